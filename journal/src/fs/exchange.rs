//! Whether a filesystem can exchange two names: the one test, for publication and for rollback.
//!
//! Promises that a filesystem counts as unable only if it refuses the exchange
//! (`fs/refusal.rs` lists the error codes); any other failure is an error. Does not promise that a
//! later exchange succeeds: a mount point or a missing permission can still refuse one entry.
//!
//! On disk meanwhile: two empty directories, whose names the caller chooses.
//! Read next: `transaction/step_facts.rs`, `transaction/rollback.rs`.

use std::ffi::OsStr;

use crate::fs::{Dir, Fs, FsError, Rename};

/// Whether the filesystem can exchange two names in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CanExchange {
    /// An object is replaced by one exchange.
    Yes,
    /// An object is replaced by a take and a put.
    No,
}

impl CanExchange {
    /// Tries to exchange two empty directories that the caller created for this, and removes them.
    ///
    /// # Errors
    /// The exchange failed for another reason than that it is refused, or a directory could not be
    /// removed.
    ///
    /// # Crash
    /// The two directories may remain.
    pub(crate) fn probe(fs: &dyn Fs, dir: &Dir, scratch: [&OsStr; 2]) -> Result<Self, FsError> {
        let [one, other] = scratch;
        let tried = fs.rename(dir.at(one), dir.at(other), Rename::Exchange);
        let removed = scratch.map(|name| fs.remove_dir(dir, name));
        let can_exchange = match tried {
            Ok(()) => Self::Yes,
            Err(error) if error.is_no_exchange() => Self::No,
            Err(error) => return Err(error),
        };
        removed.into_iter().collect::<Result<(), FsError>>()?;
        Ok(can_exchange)
    }
}
