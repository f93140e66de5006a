//! Removal: takes the whole target away, and keeps or deletes it.
//!
//! Promises that a removal is a publication like any other: a journal, one step of one rename, and
//! the same recovery (I5). After a crash the target is as it was, or absent. A target that is kept
//! is a generation, which a rollback puts back.
//!
//! Does not promise that the generations beside the target go with it; those inside it do.
//!
//! On disk meanwhile: the journal, whose only step is a take; then the target as `old-K`, and as
//! trash if it is not kept.
//! Read next: `transaction/rollback.rs`, the way back; `recovery/settle.rs`, keep or delete.

use std::path::PathBuf;

use thiserror::Error;

use crate::base::digest::Digest;
use crate::fs::error_place::DiskError;
use crate::place::names::JournalName;
use crate::place::record::{Act, Form, Origin, Record, Step, Steps};
use crate::place::target::Target;
use crate::place::transaction_dir::TransactionDir;
use crate::plan::node::Mode;
use crate::staging::build::StageCounts;
use crate::transaction::failures::{PrepareError, PublishFailed};
use crate::transaction::preconditions::mounted;
use crate::transaction::published::{Open, Published};
use crate::transaction::ready::Ready;
use crate::transaction::step_facts::next_generation;
use crate::transaction::terms::Terms;

/// Why a target was not removed.
#[derive(Debug, Error)]
pub enum RemoveError {
    /// Nothing exists at the target.
    #[error("`{0}` does not exist")]
    Absent(PathBuf),
    /// It could not begin; the target is as it was.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The step could not be taken.
    #[error(transparent)]
    Publish(#[from] PublishFailed),
}

/// Whether a target can be taken away: it exists, and nothing is mounted in it. Writes nothing.
///
/// # Errors
/// See [`RemoveError`].
pub fn check_removal(target: &Target<'_>) -> Result<(), RemoveError> {
    let disk = PrepareError::disk(target.path());
    if target.meta().map_err(disk)?.is_none() {
        return Err(RemoveError::Absent(target.path().to_path_buf()));
    }
    if let Some(mount) = mounted(target).map_err(disk)? {
        let target = target.path().to_path_buf();
        return Err(PrepareError::Mounted { target, mount }.into());
    }
    Ok(())
}

impl<'a> Ready<'a> {
    /// Takes the target away; once that is settled it is deleted, or kept as a generation.
    ///
    /// # Errors
    /// See [`RemoveError`].
    ///
    /// # Crash
    /// The target is as it was, or absent; the next run continues to settle.
    pub fn remove(self, terms: Terms) -> Result<Published<'a>, RemoveError> {
        let target = self.locks.target();
        let disk = PrepareError::disk(target.path());
        check_removal(target)?;
        let generation = next_generation(target)?;
        // The identity that a rename keeps.
        target.fs.pin(&target.parent, &target.name).map_err(disk)?;
        let Some(found) = target.meta().map_err(disk)? else {
            return Err(RemoveError::Absent(target.path().to_path_buf()));
        };
        let old = found.identity;
        let record = Record {
            // Nothing is made.
            plan: Digest::of(b""),
            token: old.to_string(),
            generation,
            form: Form::Tree,
            origin: Origin::Built,
            stage: old,
            boot: target.fs.boot_id(),
            durability: terms.durability,
            retention: terms.retention,
            root_mode: Mode::new(found.mode & 0o777).ok(),
            steps: Steps {
                list: vec![Step {
                    entry: None,
                    act: Act::Take { old },
                }],
                receipt: None,
                verdict: terms.verdict,
            },
        };
        let home = TransactionDir::beside(target);
        let open = Open {
            locks: self.locks,
            home,
            record,
            journal: JournalName::Open,
        };
        open.publish_unbuilt(None)?;
        Ok(Published {
            open,
            counts: StageCounts::default(),
            emptied: Vec::new(),
            _lock: None,
        })
    }
}
