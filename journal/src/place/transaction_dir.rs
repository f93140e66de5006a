//! The directory of a transaction, which contains its journal, its stage and what it keeps.
//!
//! Promises that all of them are entries of one directory, so that one sync of it covers their
//! names: beside the target for a whole tree, in the engine's directory inside the target for
//! entries.
//!
//! Read next: `place/journal_file.rs`, `steps/step_places.rs`.

use std::ffi::OsStr;
use std::io::ErrorKind;

use crate::base::mutant::Safeguard;
use crate::fs::named_sync::sync_dir;
use crate::fs::{Dir, Fs, FsError, left_by_acl};
use crate::place::names::Names;
use crate::place::record::Form;
use crate::place::target::Target;
use crate::plan::node::ENGINE_DIR;

/// The directory in which a transaction keeps its files.
#[derive(Clone, Debug)]
pub(crate) struct TransactionDir<'a> {
    pub(crate) fs: &'a dyn Fs,
    pub(crate) dir: Dir,
    pub(crate) names: Names,
    pub(crate) form: Form,
}

impl<'a> TransactionDir<'a> {
    /// Beside the target, for publications of the whole tree.
    pub(crate) fn beside(target: &Target<'a>) -> Self {
        Self {
            fs: target.fs,
            dir: target.parent.clone(),
            names: target.names.clone(),
            form: Form::Tree,
        }
    }

    /// Inside the target, for publications of entries; `None` if that directory does not exist.
    pub(crate) fn within(target: &Target<'a>) -> Result<Option<Self>, FsError> {
        let fs = target.fs;
        let dir = match fs
            .open_dir(&target.parent, &target.name)
            .and_then(|root| fs.open_dir(&root, OsStr::new(ENGINE_DIR)))
        {
            Ok(dir) => dir,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        Ok(Some(Self {
            fs,
            dir,
            names: Names::inside(),
            form: Form::Entries,
        }))
    }

    /// A name in this directory as messages show it: relative to the target's parent, or to the
    /// target.
    pub(crate) fn shown(&self, name: String) -> String {
        match self.form {
            Form::Tree => name,
            Form::Entries => format!("{ENGINE_DIR}/{name}"),
        }
    }

    /// Inside the target; creates the directory, and makes its name durable, if it is absent.
    ///
    /// # Crash
    /// An empty directory may remain; the next recovery removes it.
    pub(crate) fn make_within(target: &Target<'a>, mode: u32) -> Result<Self, FsError> {
        let fs = target.fs;
        let root = fs.open_dir(&target.parent, &target.name)?;
        let mode = left_by_acl(fs, &root).unwrap_or(mode);
        match fs.make_dir(&root, OsStr::new(ENGINE_DIR), mode) {
            // Without this sync a power cut could remove the directory that contains a durable
            // journal.
            Ok(()) => sync_dir(fs, &root, Safeguard::SyncOfEngineDir)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        Ok(Self {
            fs,
            dir: fs.open_dir(&root, OsStr::new(ENGINE_DIR))?,
            names: Names::inside(),
            form: Form::Entries,
        })
    }

    /// Removes the engine's directory inside a target, if this is it and it is empty.
    pub(crate) fn leave(&self, target: &Target<'_>) {
        match self.form {
            Form::Tree => {}
            Form::Entries => Self::remove_if_empty(target),
        }
    }

    /// Removes the engine's directory inside a target if it is empty.
    pub(crate) fn remove_if_empty(target: &Target<'_>) {
        let fs = target.fs;
        if let Ok(root) = fs.open_dir(&target.parent, &target.name) {
            let _tidied = fs.remove_dir(&root, OsStr::new(ENGINE_DIR));
        }
    }
}
