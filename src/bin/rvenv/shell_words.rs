//! Words of commands in messages, quoted for the shell.

use rvenv::activation::quote_posix;
use rvenv::render::escape;

/// A path as a word of a command in a message: quoted for the shell, and never taken for an option.
pub(crate) fn word(path: &str) -> String {
    let plain = if path.starts_with('-') {
        format!("./{path}")
    } else {
        path.to_owned()
    };
    escape(&quote_posix(&plain))
}

pub(crate) fn quoted_activate(env_dir: &str) -> String {
    format!("source {}", word(&format!("{env_dir}/bin/activate")))
}

/// The arguments of a command that installs packages, options among them.
pub(crate) fn arguments(all: &[String]) -> String {
    let shown = |argument: &String| match argument.as_str() {
        "-e" => argument.clone(),
        other => word(other),
    };
    all.iter().map(shown).collect::<Vec<_>>().join(" ")
}
