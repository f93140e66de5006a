//! The configuration of pip, as far as it says where wheels come from: `pip.conf` and `PIP_*`.
//!
//! Promises pip's order: the global files, the user's, the one of the installation, the file that
//! `PIP_CONFIG_FILE` names, then the environment variables; a later value replaces an earlier one,
//! and a section of a command replaces `[global]`. A file that cannot be read counts as absent, as
//! in pip. Does not promise to notice what pip would refuse in it.
//!
//! Read next: `settings.rs`, which reads the values.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::base::regular_file;
use crate::python::Surroundings;

/// The sections that count, later ones more: rvenv installs what pip would download.
const SECTIONS: [&str; 3] = ["global", "download", "install"];
/// More than any real file has.
const LEN_MAX: usize = 1 << 20;

/// The values by their names, such as `index-url`.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct PipConfig(BTreeMap<String, String>);

impl PipConfig {
    /// Reads all of it. `prefix` is the base installation of the interpreter.
    pub(super) fn read(around: &Surroundings, prefix: Option<&Path>) -> Self {
        let mut config = Self::default();
        let named = variable(around, "PIP_CONFIG_FILE");
        // Pip reads no file at all if the variable names the null device.
        let is_none = named.is_some_and(|named| named == null_device());
        if !is_none {
            for path in files(around, prefix) {
                let text = regular_file::read(&path).ok();
                let text = text.filter(|bytes| bytes.len() <= LEN_MAX);
                if let Some(text) = text.and_then(|bytes| String::from_utf8(bytes).ok()) {
                    config.add_file(&text);
                }
            }
        }
        for (name, value) in &around.environment {
            let name = name.to_str().and_then(|name| name.strip_prefix("PIP_"));
            if let (Some(name), Some(value)) = (name, value.to_str())
                && !value.is_empty()
            {
                config.0.insert(normal(name), value.to_owned());
            }
        }
        config
    }

    /// Adds the values of one file.
    fn add_file(&mut self, text: &str) {
        let parsed = parse(text);
        for section in SECTIONS {
            for (_, name, value) in parsed.iter().filter(|(of, ..)| of == section) {
                self.0.insert(normal(name), value.clone());
            }
        }
    }

    /// One value.
    pub(super) fn one(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .map(str::trim)
            .filter(|value| !value.is_empty())
    }

    /// The values of an option that may be given several times.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.one(name).unwrap_or_default().split_whitespace()
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        let value = self.one(name).unwrap_or_default().to_ascii_lowercase();
        ["1", "true", "yes", "y", "t", "on"].contains(&value.as_str())
    }
}

fn null_device() -> &'static OsStr {
    OsStr::new(if cfg!(windows) { "nul" } else { "/dev/null" })
}

pub(super) fn variable<'a>(around: &'a Surroundings, name: &str) -> Option<&'a OsStr> {
    let mut all = around.environment.iter();
    let found = all.find(|(key, value)| key == name && !value.is_empty());
    found.map(|(_, value)| value.as_os_str())
}

pub(super) fn home(around: &Surroundings) -> Option<PathBuf> {
    let name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    variable(around, name)
        .map(PathBuf::from)
        .filter(|home| home.is_absolute())
}

/// The files in their order; the later count more.
fn files(around: &Surroundings, prefix: Option<&Path>) -> Vec<PathBuf> {
    let name = if cfg!(windows) { "pip.ini" } else { "pip.conf" };
    let mut files: Vec<PathBuf> = Vec::new();
    let home = home(around);
    if cfg!(windows) {
        let data = variable(around, "PROGRAMDATA").map(Path::new);
        files.extend(data.map(|data| data.join("pip").join(name)));
        files.extend(home.iter().map(|home| home.join("pip").join(name)));
        let data = variable(around, "APPDATA").map(Path::new);
        files.extend(data.map(|data| data.join("pip").join(name)));
    } else {
        let shared = variable(around, "XDG_CONFIG_DIRS").unwrap_or(OsStr::new("/etc/xdg"));
        files.extend(std::env::split_paths(shared).map(|dir| dir.join("pip").join(name)));
        files.push(Path::new("/etc").join(name));
        files.extend(home.iter().map(|home| home.join(".pip").join(name)));
        let own = variable(around, "XDG_CONFIG_HOME").map(PathBuf::from);
        let own = own.or_else(|| home.map(|home| home.join(".config")));
        files.extend(own.map(|own| own.join("pip").join(name)));
    }
    files.extend(prefix.map(|prefix| prefix.join(name)));
    files.extend(variable(around, "PIP_CONFIG_FILE").map(PathBuf::from));
    files.retain(|path| path.is_absolute());
    files
}

/// The form of a name in which pip compares.
fn normal(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace('_', "-");
    name.strip_prefix("--").unwrap_or(&name).to_owned()
}

/// The values of a file as `configparser` reads them: section, name, value.
fn parse(text: &str) -> Vec<(String, String, String)> {
    let mut values: Vec<(String, String, String)> = Vec::new();
    let mut section: Option<String> = None;
    let mut is_open = false;
    for line in text.lines() {
        let plain = line.trim();
        if plain.is_empty() || plain.starts_with(['#', ';']) {
            continue;
        }
        // An indented line continues the value before it.
        if line.starts_with([' ', '\t']) && is_open {
            if let Some((.., value)) = values.last_mut() {
                value.push('\n');
                value.push_str(plain);
            }
            continue;
        }
        if let Some(name) = plain
            .strip_prefix('[')
            .and_then(|name| name.split(']').next())
        {
            section = Some(name.trim().to_owned());
            is_open = false;
            continue;
        }
        let (name, value) = plain.split_once(['=', ':']).unwrap_or((plain, ""));
        if let Some(section) = &section {
            values.push((
                section.clone(),
                name.trim().to_owned(),
                value.trim().to_owned(),
            ));
            is_open = true;
        }
    }
    values
}

#[cfg(test)]
#[cfg_attr(
    unix,
    expect(
        clippy::disallowed_methods,
        reason = "the tests write what users would"
    )
)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_configparser_reads_it() {
        let mut config = PipConfig::default();
        config.add_file(
            "# comment\nindex-url = lost\n[global]\nindex_url = https://a/\n; more\nfind-links =\n    \
             /one\n    /two\n\n[install]\nno-index: yes\nINDEX-URL=https://b/\n[list]\ncert = x\n",
        );
        assert_eq!(config.one("index-url"), Some("https://b/"));
        assert_eq!(
            config.all("find-links").collect::<Vec<_>>(),
            ["/one", "/two"]
        );
        assert!(config.is_on("no-index"));
        assert_eq!(config.one("cert"), None);
    }

    #[test]
    #[cfg(unix)]
    fn a_later_file_and_the_environment_replace_values() {
        let place = tempfile::tempdir().unwrap();
        let at = |path: &str, text: &str| {
            let path = place.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        };
        let text = |url: &str| format!("[global]\nindex-url = {url}\n");
        at("xdg/pip/pip.conf", "[global]\nindex-url=shared\nproxy=p\n");
        at("home/.pip/pip.conf", &text("old"));
        let user = at("home/.config/pip/pip.conf", &text("user"));
        let prefix = at("prefix/pip.conf", &text("site"));
        let named = at("named.conf", &text("named"));
        let read = |more: &[(&str, &Path)]| {
            let mut environment = vec![
                ("HOME".into(), place.path().join("home").into()),
                ("XDG_CONFIG_DIRS".into(), place.path().join("xdg").into()),
            ];
            environment.extend(
                more.iter()
                    .map(|(name, value)| ((*name).into(), (*value).into())),
            );
            let around = Surroundings {
                environment,
                ..Surroundings::default()
            };
            PipConfig::read(&around, prefix.parent())
        };
        let url = |config: &PipConfig| config.one("index-url").map(str::to_owned);
        assert_eq!(url(&read(&[])).as_deref(), Some("site"));
        assert_eq!(read(&[]).one("proxy"), Some("p"));
        let with_file = [("PIP_CONFIG_FILE", named.as_path())];
        assert_eq!(url(&read(&with_file)).as_deref(), Some("named"));
        let with_variable = [("PIP_INDEX_URL", Path::new("variable"))];
        assert_eq!(url(&read(&with_variable)).as_deref(), Some("variable"));
        assert_eq!(
            url(&read(&[("PIP_CONFIG_FILE", Path::new("/dev/null"))])),
            None
        );
        std::fs::remove_file(&prefix).unwrap();
        assert_eq!(url(&read(&[])).as_deref(), Some("user"));
        std::fs::remove_file(&user).unwrap();
        assert_eq!(url(&read(&[])).as_deref(), Some("old"));
    }
}
