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
