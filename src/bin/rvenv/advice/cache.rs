//! What is said of a cache that other users can write: whose it is, and the way out.

use rvenv::activate::quote_posix;
use rvenv::cache::NotUsed;
use rvenv::render::escape;

use super::{CliError, Exit};

/// Tells why a cache is not used, and how it would be.
pub(crate) fn of_cache(why: &NotUsed) -> CliError {
    let refused = CliError::of(Exit::Precondition, why);
    match why {
        NotUsed::Foreign { .. } => {
            refused.hint("run as that user, or set RVENV_CACHE_DIR to a directory of your own")
        }
        NotUsed::Writable { path, .. } => {
            let quoted = quote_posix(&path.to_string_lossy());
            refused.hint(format!(
                "run `chmod -R go-w {}`, or set RVENV_CACHE_DIR to a directory of your own",
                escape(&quoted)
            ))
        }
        NotUsed::Disk { .. } => refused.hint("set RVENV_CACHE_DIR to a directory of your own"),
    }
}
