//! `rvenv config`: shows the settings, and where each comes from; writes nothing.
//!
//! Read next: `../settings.rs`.

use std::fmt::Write as _;

use rvenv::render::escape;
use serde::Serialize;

use super::generations::json_of;
use crate::advice::{CliError, Exit};
use crate::args;
use crate::session::Session;
use crate::settings::{self, Found, SETTINGS, Source, Value};

/// Every setting.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Configuration {
    /// The version of this form.
    format: u64,
    settings: Vec<SettingJson>,
    /// Files that are where settings are looked for, and do not count.
    skipped: Vec<SkippedJson>,
}

/// A file that does not count.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct SkippedJson {
    path: String,
    /// Why, in words that may change.
    why: String,
}

/// A setting, and where its value comes from.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct SettingJson {
    /// The name of the option.
    key: &'static str,
    /// The values; empty where the option is absent, and `true` or `false` for one without a value.
    values: Vec<String>,
    source: SourceJson,
    /// The variable or the file; `null` for a default.
    place: Option<String>,
}

#[derive(Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum SourceJson {
    Default,
    Variable,
    File,
}

impl Session<'_> {
    pub(crate) fn config(&self) -> Result<Exit, CliError> {
        let found = settings::found(self.world)?;
        let command = args::command();
        let of = |key| match found.iter().find(|one| one.key == key) {
            Some(found) => SettingJson::of(found),
            None => SettingJson::default(key, &command),
        };
        let settings: Vec<SettingJson> = SETTINGS.iter().map(|one| of(one.key)).collect();
        let skipped = settings::skipped(self.world).into_iter();
        let skipped = skipped.map(|(path, why)| SkippedJson {
            path: path.to_string_lossy().into_owned(),
            why,
        });
        let skipped: Vec<SkippedJson> = skipped.collect();
        if self.json {
            self.terminal.json(&json_of(&Configuration {
                format: 1,
                settings,
                skipped,
            }))?;
            return Ok(Exit::Done);
        }
        self.terminal.data(&text(&settings))?;
        for SkippedJson { path, why } in &skipped {
            let (path, why) = (escape(path), escape(why));
            self.terminal
                .escaped_warning(&format!("skipped `{path}`: {why}"));
        }
        Ok(Exit::Done)
    }
}

impl SettingJson {
    fn of(found: &Found) -> Self {
        let (source, place) = match &found.source {
            Source::Variable(name) => (SourceJson::Variable, name.clone()),
            Source::File(path) => (SourceJson::File, path.to_string_lossy().into_owned()),
        };
        Self {
            key: found.key,
            values: match &found.value {
                Value::Flag(is_set) => vec![is_set.to_string()],
                Value::Texts(texts) => texts.clone(),
            },
            source,
            place: Some(place),
        }
    }

    /// The value that the option has of itself, from the definition of the command line.
    fn default(key: &'static str, command: &clap::Command) -> Self {
        let below = command
            .get_subcommands()
            .flat_map(clap::Command::get_subcommands);
        let commands = [command]
            .into_iter()
            .chain(command.get_subcommands())
            .chain(below);
        let mut args = commands.flat_map(clap::Command::get_arguments);
        let arg = args.find(|arg| arg.get_long() == Some(key));
        let takes = |arg: &&clap::Arg| arg.get_action().takes_values();
        let defaults = arg.filter(takes).map(clap::Arg::get_default_values);
        let text = |value: &clap::builder::OsStr| value.to_string_lossy().into_owned();
        Self {
            key,
            values: defaults.into_iter().flatten().map(text).collect(),
            source: SourceJson::Default,
            place: None,
        }
    }
}

fn text(settings: &[SettingJson]) -> String {
    let shown: Vec<String> = settings.iter().map(shown).collect();
    let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or_default();
    let keys = width(&mut settings.iter().map(|one| one.key.len()));
    let values = width(&mut shown.iter().map(|value| value.chars().count()));
    let mut text = String::new();
    for (setting, value) in settings.iter().zip(&shown) {
        let place = setting
            .place
            .as_deref()
            .map_or("default".to_owned(), escape);
        let _infallible = writeln!(text, "{:keys$}  {value:values$}  {place}", setting.key);
    }
    text
}

fn shown(setting: &SettingJson) -> String {
    if setting.values.is_empty() {
        return "-".to_owned();
    }
    escape(&setting.values.join(" "))
}
