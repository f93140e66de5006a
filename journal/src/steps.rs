//! Steps: the renames that publish, and their inverses.
//!
//! Promises that each is one atomic rename, that none is made over something that it would destroy, and that
//! [`take_back`] of all of them restores the names as they were (I5).
//! Does not sync: the caller owns the order of writes.
//!
//! Read next: `settle.rs`, `transaction.rs`.

use std::ffi::OsString;
use std::io::ErrorKind;

use crate::fs::{Dir, Fs, FsError, Rename};
use crate::record::{Record, Step};
use crate::target::Target;

/// Takes one step.
pub(crate) fn take(target: &Target<'_>, record: &Record, step: Step) -> Result<(), FsError> {
    let places = Places::of(target, record);
    match step {
        Step::Put => put(target.fs, &target.parent, &places.stage, &target.name),
        Step::Swap { .. } => places.exchange(),
        Step::Take { .. } => put(target.fs, &target.parent, &target.name, &places.generation),
    }
}

/// Takes one step back.
pub(crate) fn take_back(target: &Target<'_>, record: &Record, step: Step) -> Result<(), FsError> {
    let places = Places::of(target, record);
    match step {
        Step::Put => put(target.fs, &target.parent, &target.name, &places.stage),
        Step::Swap { .. } => places.exchange(),
        Step::Take { .. } => put(target.fs, &target.parent, &places.generation, &target.name),
    }
}

/// Moves a directory to a name that must be free.
///
/// Without `RENAME_NOREPLACE` the name is looked at first; a plain rename of a directory then fails on anything that
/// appeared meanwhile, except an empty directory, which holds nothing to lose.
pub(crate) fn put(fs: &dyn Fs, at: &Dir, from: &OsString, to: &OsString) -> Result<(), FsError> {
    let tried = fs.rename((at, from), (at, to), Rename::NoReplace);
    let Err(error) = &tried else { return tried };
    if !matches!(
        error.kind(),
        ErrorKind::InvalidInput | ErrorKind::Unsupported
    ) {
        return tried;
    }
    if fs.meta(at, to)?.is_some() {
        let name = to.to_string_lossy().escape_debug().to_string();
        return Err(FsError {
            verb: "rename to",
            name,
            source: ErrorKind::AlreadyExists.into(),
        });
    }
    fs.rename((at, from), (at, to), Rename::Replace)
}

struct Places<'a> {
    target: &'a Target<'a>,
    stage: OsString,
    generation: OsString,
}

impl<'a> Places<'a> {
    fn of(target: &'a Target<'a>, record: &Record) -> Self {
        let stage = OsString::from(target.names.stage(&record.token));
        let generation = OsString::from(target.names.generation(record.generation));
        Self {
            target,
            stage,
            generation,
        }
    }

    fn exchange(&self) -> Result<(), FsError> {
        let Target {
            fs, parent, name, ..
        } = self.target;
        fs.rename((parent, &self.stage), (parent, name), Rename::Exchange)
    }
}
