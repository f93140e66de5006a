//! The files of settings: which there are, and what is in them.
//!
//! Promises that an unknown key is an error which names the file and the key, and that a file of
//! another user is not read.
//! Read next: `../settings.rs`.

use std::path::{Path, PathBuf};

use rvenv::render::escape;
use rvenv_journal::Fs as _;
use rvenv_journal::fs::real::RealFs;
use toml::{Table, Value as Toml};

use super::{Form, Found, SETTINGS, Setting, Source, Value, not_for_projects, refused};
use crate::advice::{CliError, Code};
use crate::world::World;

const NAME: &str = "rvenv.toml";
const PROJECT: &str = "pyproject.toml";
/// Maximum length of a file of settings, or of a `pyproject.toml` that may have some, in bytes.
const BYTES_MAX: u64 = 4 << 20;

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Project,
    User,
}

/// What the files say: those of the project come first.
pub(super) fn read(world: &World) -> Result<Vec<Found>, CliError> {
    let mut found = Vec::new();
    if let Some((path, table)) = of_project(world)? {
        found.extend(values(&path, &table, Owner::Project, world)?);
    }
    let user = world
        .surroundings
        .config_dir
        .as_ref()
        .map(|dir| dir.join("rvenv").join(NAME));
    if let Some(path) = user
        && let Some(text) = text(&path)?
    {
        let table = parsed(&path, &text)?;
        found.extend(values(&path, &table, Owner::User, world)?);
    }
    Ok(found)
}

/// The files that [`read`] passes over although they are where settings are looked for, and why.
pub(crate) fn skipped(world: &World) -> Vec<(PathBuf, String)> {
    let cwd = world.cwd.as_deref();
    let dirs = cwd.into_iter().flat_map(Path::ancestors);
    let own = world.surroundings.config_dir.as_ref();
    let own = own.map(|dir| dir.join("rvenv").join(NAME));
    let named = dirs.flat_map(|dir| [dir.join(NAME), dir.join(PROJECT)]);
    let mut skipped = Vec::new();
    for path in named.chain(own) {
        let is_project = path.file_name().is_some_and(|name| name == PROJECT);
        match text(&path) {
            Ok(Some(text)) if is_project => {
                // A nearer file counts, and one without a table for rvenv has no settings.
                let is_toml = toml::from_str::<Table>(&text).is_ok();
                let may_have = text.contains("tool.rvenv");
                if may_have && !is_toml {
                    skipped.push((path, "it is no valid TOML".to_owned()));
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => skipped.extend(why_passed_over(&path).map(|why| (path, why))),
            Err(error) => skipped.push((path, error.reason())),
        }
    }
    skipped
}

/// Why a file that exists has no text.
fn why_passed_over(path: &Path) -> Option<String> {
    let meta = std::fs::metadata(path).ok()?;
    if !meta.is_file() {
        return Some("it is no regular file".to_owned());
    }
    other_owner(&meta).map(|owner| format!("it belongs to user {owner}"))
}

/// The nearest file of a project that has settings, in or above the working directory.
fn of_project(world: &World) -> Result<Option<(PathBuf, Table)>, CliError> {
    let cwd = world.cwd.as_deref();
    for dir in cwd.into_iter().flat_map(Path::ancestors) {
        let path = dir.join(NAME);
        if let Some(text) = text(&path)? {
            let table = parsed(&path, &text)?;
            return Ok(Some((path, table)));
        }
        let path = dir.join(PROJECT);
        // Most projects have no such table, and need not be parsed. What cannot be read is no
        // error: the code that needs the rest of the file reports that.
        let text = text(&path).ok().flatten();
        let text = text.filter(|text| text.contains("rvenv"));
        if let Some(table) = text.and_then(|text| tool_table(&text)) {
            return Ok(Some((path, table)));
        }
    }
    Ok(None)
}

/// `[tool.rvenv]`. A file that is no TOML has none; the code that needs the rest of it reports
/// that.
fn tool_table(text: &str) -> Option<Table> {
    let mut all: Table = toml::from_str(text).ok()?;
    let mut tool = all.remove("tool")?;
    let own = tool.as_table_mut()?.remove("rvenv")?;
    own.as_table().cloned()
}

/// The text of a file, if it exists and is the user's own or root's.
fn text(path: &Path) -> Result<Option<String>, CliError> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_file() && other_owner(&meta).is_none() => {}
        Ok(_) | Err(_) => return Ok(None),
    }
    // The author of a checkout may put a file of any size there, or exchange it for a FIFO.
    let bytes = RealFs::new().read_path(path, BYTES_MAX);
    let bytes = bytes.map_err(|error| unreadable(path).because(&error.source))?;
    let text = String::from_utf8(bytes);
    text.map(Some)
        .map_err(|error| unreadable(path).because(&error))
}

fn unreadable(path: &Path) -> CliError {
    let shown = escape(&path.to_string_lossy());
    let message = format!("cannot read the settings in `{shown}`");
    CliError::new(Code::BadSetting, message)
}

/// The owner, if that is neither the user nor root.
#[cfg(unix)]
fn other_owner(meta: &std::fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = meta.uid();
    (owner != 0 && owner != rustix::process::geteuid().as_raw()).then_some(owner)
}

#[cfg(not(unix))]
fn other_owner(_meta: &std::fs::Metadata) -> Option<u32> {
    None
}

fn parsed(path: &Path, text: &str) -> Result<Table, CliError> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        // The parser would quote the line, and a checkout may have a link to a file with secrets.
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        let shown = escape(&path.to_string_lossy());
        let what = escape(error.message());
        let message = format!("cannot read the settings in `{shown}`: line {line}: {what}");
        CliError::new(Code::BadSetting, message)
    })
}

fn values(path: &Path, table: &Table, owner: Owner, world: &World) -> Result<Vec<Found>, CliError> {
    let source = Source::File(path.to_path_buf());
    let mut found = Vec::new();
    for (key, raw) in table {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            let message = format!(
                "{} has the unknown setting `{}`",
                source.shown(),
                escape(key)
            );
            return Err(
                CliError::new(Code::BadSetting, message).hint("`rvenv config` lists the settings")
            );
        };
        let value = value(setting, raw, path)
            .ok_or_else(|| refused(setting.key, &source, what_it_is_not(setting.form)))?;
        let why = not_for_projects(setting, &value, world);
        if let Some(why) = why.filter(|_| owner == Owner::Project) {
            return Err(refused(setting.key, &source, why).hint(
                "set it in `rvenv/rvenv.toml` of your configuration directory, by its variable, \
                 or on the command line",
            ));
        }
        let (key, source) = (setting.key, source.clone());
        found.push(Found { key, value, source });
    }
    Ok(found)
}

fn value(setting: &Setting, raw: &Toml, path: &Path) -> Option<Value> {
    let texts = |raw: &Toml| -> Option<Vec<String>> {
        match raw {
            Toml::String(text) => Some(vec![text.clone()]),
            Toml::Array(all) => all
                .iter()
                .map(|one| Some(one.as_str()?.to_owned()))
                .collect(),
            Toml::Integer(_)
            | Toml::Float(_)
            | Toml::Boolean(_)
            | Toml::Datetime(_)
            | Toml::Table(_) => None,
        }
    };
    match setting.form {
        Form::Flag => raw.as_bool().map(Value::Flag),
        Form::Text => Some(Value::Texts(vec![raw.as_str()?.to_owned()])),
        Form::Number => {
            let number = u64::try_from(raw.as_integer()?).ok()?;
            Some(Value::Texts(vec![number.to_string()]))
        }
        Form::List => texts(raw).map(Value::Texts),
        Form::Places => {
            let dir = path.parent().unwrap_or(Path::new("/"));
            let place = |text: String| {
                if text.contains("://") {
                    text
                } else {
                    dir.join(text).to_string_lossy().into_owned()
                }
            };
            Some(Value::Texts(texts(raw)?.into_iter().map(place).collect()))
        }
    }
}

fn what_it_is_not(form: Form) -> &'static str {
    match form {
        Form::Text => "is not a string",
        Form::Number => "is not a number of 0 or more",
        Form::Flag => "is neither `true` nor `false`",
        Form::List | Form::Places => "is neither a string nor a list of strings",
    }
}
