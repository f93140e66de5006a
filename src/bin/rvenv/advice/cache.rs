//! What the command prints about a cache that other users can write: who owns it, and what to do.

use std::path::Path;

use rvenv::activation::quote_posix;
use rvenv::cache::NotUsed;
use rvenv::render::escape;

use super::{CliError, Code};

/// The command that stops other users from writing a cache, if its modes are the problem.
pub(crate) fn private_by(why: &NotUsed) -> Option<String> {
    let (command, path) = match why {
        NotUsed::Writable { path, .. } => ("chmod -R go-w", path),
        NotUsed::Above { path, .. } => ("chmod go-w", path),
        NotUsed::Foreign { .. } | NotUsed::Disk { .. } => return None,
    };
    Some(chmod(command, path))
}

/// A command for a path.
pub(crate) fn chmod(command: &str, path: &Path) -> String {
    let quoted = quote_posix(&path.to_string_lossy());
    format!("{command} {}", escape(&quoted))
}

/// Describes why a cache is not used, and what to do.
pub(crate) fn of_cache(why: &NotUsed) -> CliError {
    let refused = CliError::of(Code::UnusableCache, why);
    match why {
        NotUsed::Foreign { .. } => {
            refused.hint("run as that user, or set RVENV_CACHE_DIR to a directory of your own")
        }
        NotUsed::Writable { .. } | NotUsed::Above { .. } => {
            let mend = private_by(why).unwrap_or_default();
            refused.hint(format!(
                "run `{mend}`, or set RVENV_CACHE_DIR to a directory of your own"
            ))
        }
        NotUsed::Disk { .. } => refused.hint("set RVENV_CACHE_DIR to a directory of your own"),
    }
}
