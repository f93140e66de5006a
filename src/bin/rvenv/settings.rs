//! Settings: values of options that come from the environment or from files.
//!
//! Promises that the command line comes first, then `RVENV_…` variables, the nearest `rvenv.toml`
//! or `[tool.rvenv]` of a `pyproject.toml`, and the user's own `rvenv.toml`; and that a file which
//! comes with a checkout starts no program and chooses no interpreter by its path.
//! Read next: `settings/files.rs`, which reads the files; `commands/config.rs`, which shows them.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Parser as _};
use rvenv::python::Request;
use rvenv::render::escape;

use crate::advice::{CliError, Code, of_usage};
use crate::args::{self, Cli};
use crate::world::World;

mod files;

pub(crate) use files::skipped;

/// What the variables begin with.
const PREFIX: &str = "RVENV_";

const PYTHON: &str = "python";

/// The commands that choose a Python; the others keep that of the environment.
const NEEDS_PYTHON: [&str; 4] = ["create", "upgrade", "plan", "lock"];

/// What a setting holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Number,
    Flag,
    List,
    /// A list of paths and URLs; a relative path starts at the directory of its file.
    Places,
}

/// Which files may have a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// Files of a project too: the setting starts nothing, and fetches nothing from elsewhere.
    Project,
    /// Only the user's own file.
    User,
}

/// A setting: an option that may have its value from elsewhere, by the name of the option.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) key: &'static str,
    form: Form,
    from: From,
}

const fn setting(key: &'static str, form: Form, from: From) -> Setting {
    Setting { key, form, from }
}

/// Every setting, in the order in which `rvenv config` shows them.
pub(crate) const SETTINGS: [Setting; 28] = [
    setting(PYTHON, Form::Text, From::Project),
    setting("prompt", Form::Text, From::Project),
    setting("system-site-packages", Form::Flag, From::Project),
    setting("copies", Form::Flag, From::Project),
    setting("without-pip", Form::Flag, From::Project),
    setting("without-scm-ignore-files", Form::Flag, From::Project),
    setting("upgrade-deps", Form::Flag, From::Project),
    setting("compile-bytecode", Form::Flag, From::Project),
    setting("with-deps", Form::Flag, From::Project),
    setting("no-build", Form::Flag, From::Project),
    setting("build", Form::Flag, From::User),
    setting("resolver", Form::Text, From::Project),
    setting("wheelhouse", Form::Places, From::User),
    setting("from", Form::List, From::User),
    setting("find-links", Form::Places, From::User),
    setting("index-url", Form::Text, From::User),
    setting("extra-index-url", Form::List, From::User),
    setting("no-index", Form::Flag, From::User),
    setting("allow-host", Form::List, From::User),
    setting("durability", Form::Text, From::Project),
    setting("link-mode", Form::Text, From::Project),
    setting("wait", Form::Number, From::Project),
    setting("keep", Form::Flag, From::Project),
    setting("allow-other-owner", Form::Flag, From::User),
    setting("unused-for", Form::Number, From::User),
    setting("color", Form::Text, From::User),
    setting("quiet", Form::Flag, From::User),
    setting("verbose", Form::Flag, From::User),
];

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Flag(bool),
    Texts(Vec<String>),
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Variable(String),
    File(PathBuf),
}

/// A setting that has a value.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) key: &'static str,
    pub(crate) value: Value,
    pub(crate) source: Source,
}

impl Source {
    /// The place, for people.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Variable(name) => format!("`{name}`"),
            Self::File(path) => format!("`{}`", escape(&path.to_string_lossy())),
        }
    }
}

impl Found {
    /// The option that has this value: `--keep`, or `--no-keep` if it is `false`.
    fn option(&self) -> String {
        match self.value {
            Value::Flag(false) => format!("no-{}", self.key),
            Value::Flag(true) | Value::Texts(_) => self.key.to_owned(),
        }
    }

    /// The words of a command line that say the same.
    fn words(&self) -> Vec<OsString> {
        let option = self.option();
        match &self.value {
            Value::Flag(_) => vec![format!("--{option}").into()],
            Value::Texts(texts) => {
                let word = |text: &String| format!("--{option}={text}").into();
                texts.iter().map(word).collect()
            }
        }
    }
}

/// Every setting that has a value, the one that counts.
///
/// # Errors
/// A file or a variable that cannot be read, names no setting, or has no such value.
pub(crate) fn found(world: &World) -> Result<Vec<Found>, CliError> {
    let files = files::read(world)?;
    let mut found = Vec::new();
    for setting in &SETTINGS {
        let variable = of_variable(setting, world).transpose()?;
        let file = || files.iter().find(|one| one.key == setting.key).cloned();
        found.extend(variable.or_else(file));
    }
    Ok(found)
}

fn of_variable(setting: &Setting, world: &World) -> Option<Result<Found, CliError>> {
    let name = PREFIX.to_owned() + &setting.key.to_uppercase().replace('-', "_");
    let environment = &world.surroundings.environment;
    let (_, text) = environment.iter().find(|(key, _)| *key == *name)?;
    if text.is_empty() {
        return None;
    }
    let source = Source::Variable(name);
    let Some(text) = text.to_str() else {
        return Some(Err(refused(setting.key, &source, "is not valid UTF-8")));
    };
    let words = || text.split_whitespace().map(str::to_owned).collect();
    let value = match setting.form {
        Form::Text | Form::Number => Value::Texts(vec![text.to_owned()]),
        Form::List | Form::Places => Value::Texts(words()),
        Form::Flag => match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Value::Flag(true),
            "0" | "false" | "no" | "off" => Value::Flag(false),
            _ => {
                let why = "is neither `true` nor `false`";
                return Some(Err(refused(setting.key, &source, why)));
            }
        },
    };
    let key = setting.key;
    Some(Ok(Found { key, value, source }))
}

/// The command line with the options that settings add, right behind the words of the command, so
/// that what was typed comes later and counts.
fn with_settings(typed: &[OsString], matches: &ArgMatches, found: &[Found]) -> Vec<OsString> {
    let (mut command, mut matches, mut at) = (args::command(), matches, 1);
    while let Some((name, inner)) = matches.subcommand() {
        let words = typed.iter().skip(at);
        let Some(place) = words.clone().position(|word| word == OsStr::new(name)) else {
            return typed.to_vec();
        };
        at += place + 1;
        let Some(below) = command.find_subcommand(name).cloned() else {
            return typed.to_vec();
        };
        command = below;
        matches = inner;
    }
    let added = found.iter().filter(|one| counts(one, &command, matches));
    let added: Vec<OsString> = added.flat_map(Found::words).collect();
    let mut line = typed.to_vec();
    line.splice(at..at, added);
    line
}

/// Whether a command has the option, and neither it nor one that contradicts it was typed.
fn counts(found: &Found, command: &clap::Command, matches: &ArgMatches) -> bool {
    // The host has read the variable, which names an interpreter wherever `--python` exists.
    let is_variable = matches!(found.source, Source::Variable(_));
    let is_read =
        found.key == PYTHON && (is_variable || !NEEDS_PYTHON.contains(&command.get_name()));
    let takes_values = matches!(found.value, Value::Texts(_));
    let option = found.option();
    let mut args = command.get_arguments();
    let is_it = |arg: &&clap::Arg| {
        let is_named = arg.get_long() == Some(&option);
        is_named && arg.get_action().takes_values() == takes_values
    };
    let Some(arg) = args.find(is_it) else {
        return false;
    };
    let is_typed = |id: &str| {
        let source = matches
            .try_contains_id(id)
            .ok()
            .and_then(|_| matches.value_source(id));
        source == Some(ValueSource::CommandLine)
    };
    let opposite = match option.strip_prefix("no-") {
        Some(key) => key.replace('-', "_"),
        None => format!("no_{}", option.replace('-', "_")),
    };
    // A conflict is written down at one of the two options.
    let has = |one: &clap::Arg, other: &clap::Arg| {
        let conflicts = command.get_arg_conflicts_with(one);
        conflicts
            .iter()
            .any(|found| found.get_id() == other.get_id())
    };
    let is_against = command
        .get_arguments()
        .filter(|other| is_typed(other.get_id().as_str()))
        .any(|other| has(arg, other) || has(other, arg));
    !(is_read
        || arg.is_hide_set()
        || is_typed(arg.get_id().as_str())
        || is_typed(&opposite)
        || is_against)
}

/// The command line that was typed, with the settings that it leaves open.
///
/// # Errors
/// A setting that the command refuses is named with its place.
pub(crate) fn settled(typed: &[OsString], found: &[Found]) -> Result<Cli, CliError> {
    let of_clap = |error: &clap::Error| of_usage(&error.render().to_string());
    let matches = args::command().try_get_matches_from(typed);
    let matches = matches.map_err(|error| of_clap(&error))?;
    let parse = |found: &[Found]| Cli::try_parse_from(with_settings(typed, &matches, found));
    let error = match parse(found) {
        Ok(cli) => return Ok(cli),
        Err(error) => error,
    };
    let mut fitting = Vec::new();
    for one in found {
        match parse(std::slice::from_ref(one)) {
            Ok(_) => fitting.push(one.clone()),
            // The option belongs to another one, which was not typed.
            Err(why) if why.kind() == ErrorKind::MissingRequiredArgument => {}
            Err(why) => return Err(of_refused(one, &why)),
        }
    }
    parse(&fitting).map_err(|_| of_clap(&error))
}

/// Names the setting because of which a command line is refused.
fn of_refused(found: &Found, error: &clap::Error) -> CliError {
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    let why = first.strip_prefix("error: ").unwrap_or(first);
    refused(
        found.key,
        &found.source,
        &format!("is refused: {}", escape(why)),
    )
}

fn refused(key: &str, source: &Source, why: &str) -> CliError {
    let message = format!("the setting `{key}` in {} {why}", source.shown());
    CliError::new(Code::BadSetting, message)
        .hint("`rvenv help COMMAND` describes the option of this name")
}

/// Why a project's file may not have this value, if so.
fn not_for_projects(setting: &Setting, value: &Value, world: &World) -> Option<&'static str> {
    if setting.from == From::User {
        return Some("may only be in your own file, not in that of a project");
    }
    let Value::Texts(texts) = value else {
        return None;
    };
    let is_version = |text: &String| {
        let asked = Request::parse(OsStr::new(text), &world.surroundings.cwd);
        matches!(asked, Ok(Request::Version(_) | Request::Range(_)))
    };
    let is_wrong = setting.key == PYTHON && !texts.iter().all(is_version);
    is_wrong.then_some("may only be a version in a file of a project, not a path or a name")
}
