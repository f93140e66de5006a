//! Another place and another base in an existing `pyvenv.cfg`, whichever tool wrote it.
//!
//! Promises that only the values which name the old place or the old base change: other lines, the
//! order, the spaces and the line ends stay. Does not promise that the file names either; a file
//! of `uv` has no `command`.
//!
//! Read next: `../existing/config_reader.rs`, which reads the file; `frame.rs`, which uses this.

use std::path::Path;

use crate::build::layout::Layout;
use crate::change::existing::Config;
use crate::python::Interpreter;

/// What a configuration names anew.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edit<'a> {
    /// The path of the environment.
    pub(super) env_dir: &'a str,
    /// The base, if it is another one.
    pub(super) base: Option<(&'a Interpreter, &'a Layout)>,
}

/// The text of a configuration with these changes; `old` is what it says now.
pub(super) fn edited(text: &str, old: &Config, edit: Edit<'_>) -> String {
    let lines = text.split_inclusive('\n');
    lines.map(|line| edit.line(line, old)).collect()
}

impl Edit<'_> {
    fn line(&self, line: &str, old: &Config) -> String {
        let Some((key, rest)) = line.split_once('=') else {
            return line.to_owned();
        };
        let value = rest.trim();
        let Some(new) = self.value(&key.trim().to_lowercase(), value, old) else {
            return line.to_owned();
        };
        let space = &rest[..rest.len() - rest.trim_start().len()];
        let end = &rest[rest.trim_end().len()..];
        format!("{key}={space}{new}{end}")
    }

    /// The new value of a key; `None` if it stays.
    fn value(&self, key: &str, value: &str, old: &Config) -> Option<String> {
        if key == "command" {
            return self.command(value, old);
        }
        let (interpreter, layout) = self.base?;
        let home = layout.python_dir.as_path();
        let shown = |path: &Path| Some(path.to_string_lossy().into_owned());
        match key {
            "home" => shown(home),
            "version" | "version_info" => {
                let version = &interpreter.version;
                let after = value.splitn(4, '.').nth(3);
                let after = after.map(|after| format!(".{after}")).unwrap_or_default();
                let [major, minor, micro] = [version.major, version.minor, version.micro];
                Some(format!("{major}.{minor}.{micro}{after}"))
            }
            "executable" => shown(&interpreter.real_executable),
            "base-executable" => shown(&interpreter.executable),
            "base-prefix" | "base-exec-prefix" => {
                let is_above = old.home.parent() == Some(Path::new(value));
                home.parent().filter(|_| is_above).and_then(shown)
            }
            _ => None,
        }
    }

    /// The command with the new place at its end and the new interpreter at its beginning.
    fn command(&self, command: &str, old: &Config) -> Option<String> {
        let mut new = command.to_owned();
        if let Some(place) = old.made_for.as_ref().and_then(|place| place.to_str()) {
            let start = new.strip_suffix(place)?;
            new = format!("{start}{}", self.env_dir);
        }
        if let (Some((interpreter, _)), Some(invoked)) = (self.base, &old.invoked) {
            let rest = new.strip_prefix(invoked.to_str()?)?;
            new = format!("{}{rest}", interpreter.invoked.display());
        }
        Some(new)
    }
}
