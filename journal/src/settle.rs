//! The end of a publication: settled, undone, or given up. One way each, for a running process, for a failed
//! step and for recovery after a crash (I5).
//!
//! Promises that each may die at any call and be begun again: every effect is looked at before it is repeated. The
//! journal is unlinked only after what it owns is at its place, in trash, or gone, and that is durable.
//! Nothing deletes what the journal does not name by its identity.
//!
//! On disk meanwhile: the journal as `.settle` or `.undo`; then trash, which the next run deletes too.
//! Read next: `transaction.rs`.

use std::ffi::{OsStr, OsString};

use thiserror::Error;

use crate::barrier::sync_tree;
use crate::digest::Digest;
use crate::evidence::{Place, Sight, marker_name, replaced_identity, sight};
use crate::fs::{Barrier, FsError, Rename};
use crate::identity::Identity;
use crate::names::{Direction, JournalName};
use crate::node::ENGINE_DIR;
use crate::receipt::{RECEIPT_BYTES_MAX, RECEIPT_NAME, Receipt};
use crate::record::{Durability, Record, Retention, Step};
use crate::remove::{Leftovers, remove_tree};
use crate::steps;
use crate::target::Target;
use crate::verify::drift;

/// What became of a publication.
#[derive(Debug, Default)]
pub struct Ending {
    /// The generation that now holds what was replaced, or what was changed after it was published.
    pub kept: Option<Kept>,
    /// What could not be deleted.
    pub leftovers: Leftovers,
}

/// A tree that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its number.
    pub generation: u32,
    /// Its name in the directory of the target.
    pub name: String,
    /// Why it was not deleted.
    pub why: WhyKept,
}

/// Why a tree was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyKept {
    /// It was asked for.
    Asked,
    /// Somebody changed it after it was published.
    Changed,
    /// Without times of birth nothing proves that it is what the journal means.
    Uncertain,
}

/// Why a publication could not be ended.
#[derive(Debug, Error)]
pub enum EndError {
    /// The disk refused; the journal stays, and the next run goes on.
    #[error("cannot {what}")]
    Disk {
        /// What was to be done.
        what: &'static str,
        /// Why.
        #[source]
        source: FsError,
    },
    /// Somebody moved our trees while they were locked; nothing was deleted.
    #[error("the trees of this publication were moved by somebody else")]
    Moved,
    /// A sync failed: what is on the disk will be known after the machine was started anew.
    #[error("the disk did not confirm what was written to it")]
    Doubt(#[source] FsError),
}

/// Who ends the publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The process that began it, which has seen every object itself.
    Itself,
    /// A later one, which has only the record.
    Recovery,
}

/// A publication that is to be ended.
pub(crate) struct End<'a, 't> {
    pub(crate) target: &'a Target<'t>,
    pub(crate) record: &'a Record,
    pub(crate) journal: JournalName,
    pub(crate) by: By,
}

impl End<'_, '_> {
    /// The new tree stays.
    pub(crate) fn settle(mut self) -> Result<Ending, EndError> {
        self.decide(Direction::Settle)?;
        let old = self
            .record
            .steps
            .as_ref()
            .and_then(|steps| replaced_identity(&steps.list));
        let seen = self.look()?;
        match old.zip(seen.replaced) {
            None | Some((_, Place::Gone)) => self.drop_journal(),
            Some((old, Place::Trash)) => self.empty_trash(old),
            Some((_, Place::Target)) => Err(EndError::Moved),
            // The new tree is not where it was published: what it replaced may be the last good one.
            Some((old, Place::Stage | Place::Generation)) if seen.staged != Place::Target => {
                self.keep(old, WhyKept::Changed)
            }
            Some((old, Place::Stage | Place::Generation)) => match self.why_keep(old) {
                Some(why) => self.keep(old, why),
                None => self.discard(old),
            },
        }
    }

    /// The old tree comes back.
    pub(crate) fn undo(mut self) -> Result<Ending, EndError> {
        // Taking back needs both trees: without the old one the new one is the last that is good.
        if self.look()?.has_lost_the_old_tree() && !self.can_exchange_back()? {
            return Err(EndError::Moved);
        }
        self.decide(Direction::Undo)?;
        let steps = self.record.steps.iter().flat_map(|steps| &steps.list);
        let mut is_changed = false;
        for step in steps.rev() {
            if self.is_taken(*step)? {
                steps::take_back(self.target, self.record, *step)
                    .map_err(disk("take a step back"))?;
                is_changed = true;
            }
        }
        if is_changed {
            // Deleting the new tree before the old one is durably back could lose both.
            self.sync_always(Direction::Undo)?;
        }
        self.give_up()
    }

    /// The staged tree goes; no step is taken any more.
    pub(crate) fn give_up(mut self) -> Result<Ending, EndError> {
        self.decide(Direction::Undo)?;
        let stage = self.record.stage;
        match self.look()?.staged {
            Place::Gone => self.drop_journal(),
            Place::Trash => self.empty_trash(stage),
            Place::Target => Err(EndError::Moved),
            Place::Generation => self.keep(stage, WhyKept::Changed),
            Place::Stage => match self.why_keep_undone(stage) {
                Some(why) => self.keep(stage, why),
                None => self.discard(stage),
            },
        }
    }

    /// Whatever stood at the target when it was exchanged comes back by another exchange, ours or not.
    fn can_exchange_back(&self) -> Result<bool, EndError> {
        let steps = self
            .record
            .steps
            .as_ref()
            .map(|steps| steps.list.as_slice());
        let Some([Step::Swap { .. }]) = steps else {
            return Ok(false);
        };
        let Target {
            fs, parent, names, ..
        } = self.target;
        let stage = names.stage(&self.record.token);
        let there = fs.meta(parent, OsStr::new(&stage));
        Ok(there.map_err(disk("look at the stage"))?.is_some())
    }

    fn look(&self) -> Result<Sight, EndError> {
        sight(self.target, self.record).map_err(|source| EndError::Disk {
            what: "look at what was published",
            source,
        })
    }

    fn is_taken(&self, step: Step) -> Result<bool, EndError> {
        let seen = self.look()?;
        Ok(match step {
            Step::Put | Step::Swap { .. } => seen.staged == Place::Target,
            Step::Take { .. } => seen.replaced == Some(Place::Generation),
        })
    }

    /// Writes the decision down: the journal's name is its state.
    fn decide(&mut self, to: Direction) -> Result<(), EndError> {
        let decided = JournalName::Decided(to);
        if self.journal == decided {
            return Ok(());
        }
        self.rename_journal(&self.target.names.journal(&decided))?;
        self.journal = decided;
        self.sync(to)
    }

    fn rename_journal(&self, to: &str) -> Result<(), EndError> {
        let Target {
            fs, parent, names, ..
        } = self.target;
        let from = names.journal(&self.journal);
        let moved = fs.rename(
            (parent, OsStr::new(&from)),
            (parent, OsStr::new(to)),
            Rename::Replace,
        );
        moved.map_err(|source| EndError::Disk {
            what: "write the decision down",
            source,
        })
    }

    fn why_keep(&self, identity: Identity) -> Option<WhyKept> {
        match (self.record.retention, self.by) {
            (Retention::Keep, _) => Some(WhyKept::Asked),
            (Retention::Discard, By::Recovery) if !identity.is_certain() => {
                Some(WhyKept::Uncertain)
            }
            (Retention::Discard, By::Recovery | By::Itself) => None,
        }
    }

    /// A tree that readers saw may have been written to since; it is compared with its receipt.
    fn why_keep_undone(&self, identity: Identity) -> Option<WhyKept> {
        let Some(steps) = &self.record.steps else {
            return None;
        };
        if self.by == By::Recovery && !identity.is_certain() {
            return Some(WhyKept::Uncertain);
        }
        let name = self.target.names.stage(&self.record.token);
        if is_whole(self.target, OsStr::new(&name), steps.receipt) {
            None
        } else {
            Some(WhyKept::Changed)
        }
    }

    /// Keeps a tree as the generation that the record numbers, with the record beside it.
    fn keep(&self, identity: Identity, why: WhyKept) -> Result<Ending, EndError> {
        let Target {
            fs, parent, names, ..
        } = self.target;
        let to = Direction::of(&self.journal);
        let name = names.generation(self.record.generation);
        let kept = OsString::from(&name);
        if fs
            .meta(parent, &kept)
            .map_err(disk("look at the generation"))?
            .map(|meta| meta.identity)
            != Some(identity)
        {
            let from = OsString::from(names.stage(&self.record.token));
            steps::put(*fs, parent, &from, &kept).map_err(disk("keep what was replaced"))?;
            self.sync(to)?;
        }
        self.rename_journal(&names.generation_record(self.record.generation))?;
        self.remove_marker();
        self.sync(to)?;
        let kept = Kept {
            generation: self.record.generation,
            name,
            why,
        };
        Ok(Ending {
            kept: Some(kept),
            leftovers: Leftovers::default(),
        })
    }

    /// Renames a tree to trash, which says whose it is, then deletes it.
    fn discard(&self, identity: Identity) -> Result<Ending, EndError> {
        let Target {
            fs, parent, names, ..
        } = self.target;
        if self.record.steps.is_some() {
            // Process durability has synced nothing yet: the tree that stays must be on the disk before the
            // other one is taken from it.
            self.sync_before_trash()?;
        }
        let stage = OsString::from(names.stage(&self.record.token));
        let at_stage = fs
            .meta(parent, &stage)
            .map_err(disk("look at the stage"))?
            .map(|meta| meta.identity);
        let from = if at_stage == Some(identity) {
            stage
        } else {
            OsString::from(names.generation(self.record.generation))
        };
        let trash = OsString::from(names.trash(identity));
        steps::put(*fs, parent, &from, &trash).map_err(disk("move to trash"))?;
        // If the journal were gone before the tree is in trash, nothing would say whose tree it is.
        self.sync(Direction::of(&self.journal))?;
        self.empty_trash(identity)
    }

    fn empty_trash(&self, identity: Identity) -> Result<Ending, EndError> {
        let Target {
            fs, parent, names, ..
        } = self.target;
        self.unlink_journal()?;
        let leftovers = remove_tree(*fs, parent, OsStr::new(&names.trash(identity)));
        Ok(Ending {
            kept: None,
            leftovers,
        })
    }

    pub(crate) fn drop_journal(&self) -> Result<Ending, EndError> {
        self.unlink_journal()?;
        Ok(Ending::default())
    }

    fn unlink_journal(&self) -> Result<(), EndError> {
        let Target {
            fs, parent, names, ..
        } = self.target;
        let name = names.journal(&self.journal);
        fs.remove_file(parent, OsStr::new(&name))
            .map_err(disk("retire the journal"))?;
        self.remove_marker();
        self.sync(Direction::of(&self.journal))
    }

    /// Without times of birth the published tree still bears its token, which was part of its identity until now.
    fn remove_marker(&self) {
        let Target {
            fs, parent, name, ..
        } = self.target;
        if self.record.stage.is_certain() {
            return;
        }
        let inner = fs
            .open_dir(parent, name)
            .and_then(|root| fs.open_dir(&root, OsStr::new(ENGINE_DIR)));
        if let Ok(inner) = inner {
            let _tidied = fs.remove_file(&inner, &marker_name(&self.record.token));
        }
    }

    /// Makes the names beside the target durable, where that was promised.
    pub(crate) fn sync(&self, to: Direction) -> Result<(), EndError> {
        match self.record.durability {
            Durability::Power => self.sync_always(to),
            Durability::Process => Ok(()),
        }
    }

    fn sync_always(&self, to: Direction) -> Result<(), EndError> {
        let Target { fs, parent, .. } = self.target;
        fs.sync_dir(parent).map_err(|source| self.doubt(to, source))
    }

    fn sync_before_trash(&self) -> Result<(), EndError> {
        let Target {
            fs, parent, name, ..
        } = self.target;
        if self.record.durability == Durability::Power {
            return Ok(());
        }
        let to = Direction::of(&self.journal);
        let synced = match fs.sync_filesystem(parent) {
            Ok(Barrier::Filesystem) => Ok(()),
            Ok(Barrier::PerObject) => match fs.open_dir(parent, name) {
                Ok(tree) => sync_tree(*fs, &tree),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        synced.map_err(|source| self.doubt(to, source))?;
        self.sync_always(to)
    }

    /// Writes down that a sync failed. A second sync would prove nothing, so nothing more is done in this boot.
    pub(crate) fn doubt(&self, to: Direction, source: FsError) -> EndError {
        if self.record.steps.is_none() {
            // No step can have been taken: whatever the disk forgets, the target is the old tree.
            return EndError::Disk {
                what: "give the staged tree up",
                source,
            };
        }
        let Target { fs, names, .. } = self.target;
        let name = names.journal(&JournalName::Doubt(to, fs.boot_id()));
        // If even the rename fails, the journal keeps its name, and recovery decides by what it finds.
        let _noted = self.rename_journal(&name);
        EndError::Doubt(source)
    }
}

impl Direction {
    fn of(journal: &JournalName) -> Self {
        match journal {
            JournalName::Open => Self::Settle,
            JournalName::Decided(to) | JournalName::Doubt(to, _) => *to,
        }
    }
}

fn disk(what: &'static str) -> impl Fn(FsError) -> EndError {
    move |source| EndError::Disk { what, source }
}

/// Whether the tree at a name is exactly what its receipt says, and the receipt is the one that was recorded.
pub(crate) fn is_whole(target: &Target<'_>, name: &OsStr, receipt: Digest) -> bool {
    let Target { fs, parent, .. } = target;
    let read = || -> Result<bool, FsError> {
        let root = fs.open_dir(parent, name)?;
        let inner = fs.open_dir(&root, OsStr::new(ENGINE_DIR))?;
        let bytes = fs.read_file(&inner, OsStr::new(RECEIPT_NAME), RECEIPT_BYTES_MAX)?;
        if Digest::of(&bytes) != receipt {
            return Ok(false);
        }
        match Receipt::from_json(&bytes) {
            Ok(receipt) => Ok(drift(*fs, &root, &receipt)?.is_empty()),
            Err(_) => Ok(false),
        }
    };
    // What cannot be read is not known to be whole.
    read().unwrap_or(false)
}
