//! Deleting a kept generation.
//!
//! Promises that the target is not touched, and that a crash leaves the generation whole with its
//! record, or one more run deletes the rest of both. Of the generations inside a target only the
//! oldest is deleted, because an older one is described, and comes back, through the newer ones.
//! Deletes nothing whose record does not count.
//!
//! Read next: `recovery/discard.rs`, the record.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::base::mutant::Safeguard;
use crate::base::safeguard::in_order;
use crate::base::watch::{Unwatched, Watch};
use crate::fs::FsError;
use crate::fs::error_place::DiskError;
use crate::fs::remove::{Leftovers, remove_watched};
use crate::place::journal_file::{self, JournalRead, Siblings};
use crate::place::record::{Form, Record};
use crate::place::transaction_dir::TransactionDir;
use crate::recovery::discard::retire_record;
use crate::recovery::evidence::replaced_identity;
use crate::steps::renames;
use crate::steps::step_places::StepPlace;
use crate::transaction::ready::Ready;

/// Why a generation was not deleted.
#[derive(Debug, Error)]
pub enum DiscardError {
    /// There is no generation with this number.
    #[error("`{target}` has no generation {generation}")]
    NoGeneration {
        /// The target.
        target: PathBuf,
        /// The number.
        generation: u32,
    },
    /// Its record is absent, invalid or another user's, or it belongs to other files.
    #[error("the record of generation {generation} of `{target}` cannot be trusted: {why}")]
    NoRecord {
        /// The target.
        target: PathBuf,
        /// The number.
        generation: u32,
        /// What is wrong.
        why: String,
    },
    /// An older generation needs it.
    #[error("generation {oldest} of `{target}` is older than generation {generation} and needs it")]
    Needed {
        /// The target.
        target: PathBuf,
        /// The number.
        generation: u32,
        /// The oldest one.
        oldest: u32,
    },
    /// Something is mounted in it.
    #[error("something is mounted in generation {generation} of `{target}`, at `{mount}`")]
    Mounted {
        /// The target.
        target: PathBuf,
        /// The number.
        generation: u32,
        /// The mount point.
        mount: PathBuf,
    },
    /// A call of the disk failed before anything was deleted.
    #[error("cannot delete a generation of `{target}`")]
    Disk {
        /// The target.
        target: PathBuf,
        /// Why.
        #[source]
        source: FsError,
    },
    /// The generation is in trash, and its record could not be removed durably; the next run
    /// continues.
    #[error("cannot finish deleting generation {generation} of `{target}`")]
    Unfinished {
        /// The target.
        target: PathBuf,
        /// The number.
        generation: u32,
        /// Why.
        #[source]
        source: FsError,
    },
}

impl DiskError for DiscardError {
    type At = Path;

    fn of_disk(place: &Path, source: FsError) -> Self {
        Self::Disk {
            target: place.to_path_buf(),
            source,
        }
    }
}

fn place(home: &TransactionDir<'_>, name: &OsStr) -> StepPlace {
    StepPlace {
        dir: home.dir.clone(),
        name: name.to_owned(),
    }
}

impl Ready<'_> {
    /// Deletes a kept generation and its record; returns what could not be deleted and stays trash.
    ///
    /// # Errors
    /// See [`DiscardError`].
    ///
    /// # Crash
    /// The generation is whole with its record, or the next run deletes what is left of both.
    pub fn discard_generation(&self, generation: u32) -> Result<Leftovers, DiscardError> {
        let target = self.target();
        let path = || target.path().to_path_buf();
        let disk = DiscardError::disk(target.path());
        let home = self.home_of(generation)?;
        let record = self.trusted(&home, generation)?;
        let TransactionDir { fs, dir, names, .. } = &home;
        let kept = OsString::from(names.generation(generation));
        let no_record = |why: &str| DiscardError::NoRecord {
            target: path(),
            generation,
            why: why.to_owned(),
        };
        let Some(found) = fs.meta(dir, &kept).map_err(disk)? else {
            return Err(DiscardError::NoGeneration {
                target: path(),
                generation,
            });
        };
        let identity = found.identity;
        if identity != record.stage && replaced_identity(&record) != Some(identity) {
            return Err(no_record(
                "it belongs to other files, as in a copy of an environment",
            ));
        }
        if found.owner != fs.user() {
            return Err(no_record("the generation belongs to another user"));
        }
        let root = fs.open_dir(dir, &kept).map_err(disk)?;
        if let Some(mount) = fs.mounts_under(&root).into_iter().next() {
            return Err(DiscardError::Mounted {
                target: path(),
                generation,
                mount,
            });
        }
        let trash = OsString::from(names.trash(identity));
        let to_trash = || renames::put(*fs, &place(&home, &kept), &place(&home, &trash));
        let retire = || retire_record(&home, generation);
        if let Err(source) = in_order(Safeguard::TrashBeforeRecord, to_trash, retire) {
            return Err(self.failed(&home, &trash, generation, source));
        }
        // Trash that a later run could not recognise is deleted completely now.
        let watch: &dyn Watch = if identity.is_certain() {
            target.watch
        } else {
            &Unwatched
        };
        let leftovers = remove_watched(*fs, dir.at(&trash), watch);
        home.leave(target);
        Ok(leftovers)
    }

    /// The directory that has a generation, if nothing older in it needs the generation.
    fn home_of(&self, generation: u32) -> Result<TransactionDir<'_>, DiscardError> {
        let target = self.target();
        let disk = DiscardError::disk(target.path());
        let within = TransactionDir::within(target).map_err(disk)?;
        for home in std::iter::once(TransactionDir::beside(target)).chain(within) {
            let siblings = Siblings::list(&home).map_err(disk)?;
            if !siblings.generations.contains(&generation) {
                continue;
            }
            let older = siblings.generations.iter().copied().filter(|older| {
                home.form == Form::Entries
                    && *older < generation
                    && self.trusted(&home, *older).is_ok()
            });
            return match older.min() {
                Some(oldest) => Err(DiscardError::Needed {
                    target: target.path().to_path_buf(),
                    generation,
                    oldest,
                }),
                None => Ok(home),
            };
        }
        Err(DiscardError::NoGeneration {
            target: target.path().to_path_buf(),
            generation,
        })
    }

    fn trusted(&self, home: &TransactionDir<'_>, generation: u32) -> Result<Record, DiscardError> {
        let target = self.target().path();
        let no_record = |why: String| DiscardError::NoRecord {
            target: target.to_path_buf(),
            generation,
            why,
        };
        let name = home.names.generation_record(generation);
        match journal_file::read_name(home, &name).map_err(DiscardError::disk(target))? {
            JournalRead::Record(record) if record.generation == generation => Ok(record),
            JournalRead::Record(_) => Err(no_record("it belongs to another generation".to_owned())),
            JournalRead::Torn => Err(no_record("it is absent or torn".to_owned())),
            JournalRead::Foreign(why) => Err(no_record(why)),
        }
    }

    /// Gives the generation its name back while its record exists. A failed fsync is not repeated:
    /// whatever the disk has, both names lead to the whole generation.
    fn failed(
        &self,
        home: &TransactionDir<'_>,
        trash: &OsStr,
        generation: u32,
        source: FsError,
    ) -> DiscardError {
        let TransactionDir { fs, dir, names, .. } = home;
        let target = self.target().path().to_path_buf();
        let record = names.generation_record(generation);
        let kept = OsString::from(names.generation(generation));
        let has_record = fs
            .meta(dir, OsStr::new(&record))
            .is_ok_and(|found| found.is_some());
        let is_kept = || fs.meta(dir, &kept).is_ok_and(|found| found.is_some());
        let is_back = has_record
            && (is_kept() || renames::put(*fs, &place(home, trash), &place(home, &kept)).is_ok());
        if is_back {
            DiscardError::Disk { target, source }
        } else {
            DiscardError::Unfinished {
                target,
                generation,
                source,
            }
        }
    }
}
