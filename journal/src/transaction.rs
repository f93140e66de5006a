//! The transaction: lock, recover, prepare, stage, publish, settle or undo.
//!
//! Each state is a type, and each verb takes one state and returns the next, so no step can be left out. Dropping a
//! state only lets the locks go: what it leaves on disk is what a crash would leave, and the next run ends it.
//!
//! Promises I1 to I3 for whole trees: readers see the old tree, then the new one (where the filesystem has no
//! exchange, nothing for a moment between the two).
//!
//! ```text
//! Target ──lock──▶ Ready ──prepare──▶ Prepared ──stage──▶ Staged ──publish──▶ Published ──settle──▶ Ending
//!                                                                                 └──────undo──────▶ Ending
//! ```
//!
//! Read next: `recover.rs`, for what happens when one of the arrows is never reached.

use std::ffi::{OsStr, OsString};

use crate::barrier::sync_tree;
use crate::content::ContentSource;
use crate::digest::Digest;
use crate::evidence::{Place, Taken, marker_name, sight};
use crate::failure::{
    Aftermath, EndFailed, PrepareError, PublishError, PublishFailed, ReadyError, StageFailed,
    aftermath_of,
};
use crate::fs::{Dir, Flush, FsError, Held, Lock, NewFile, Rename};
use crate::journal::{self, Siblings};
use crate::lock::{Locks, Patience};
use crate::names::{Direction, JournalName};
use crate::node::{ENGINE_DIR, Expected, Publication};
use crate::observe::observe;
use crate::plan::Plan;
use crate::precondition::{compare, mounted, not_locked, stale};
use crate::receipt::Receipt;
use crate::record::{Durability, Record, Retention, Step, Steps, Verdict};
use crate::recover::{Recovered, recover};
use crate::settle::{By, End, EndError, Ending};
use crate::stage::{self, StageCounts, StageError, StageOptions};
use crate::steps;
use crate::target::Target;

/// What a plan is published with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What success survives.
    pub durability: Durability,
    /// What becomes of what is replaced.
    pub retention: Retention,
    /// When the publication is decided.
    pub verdict: Verdict,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            durability: Durability::Power,
            retention: Retention::Discard,
            verdict: Verdict::Taken,
        }
    }
}

/// A target that is locked, with nothing open.
#[derive(Debug)]
pub struct Ready<'a> {
    locks: Locks<'a>,
}

/// A plan that fits the target, and a journal that says so.
#[derive(Debug)]
pub struct Prepared<'a> {
    open: Open<'a>,
    plan: &'a Plan,
    root: Dir,
}

/// The whole new tree beside its place, durable.
#[derive(Debug)]
pub struct Staged<'a> {
    open: Open<'a>,
    plan: &'a Plan,
    root: Dir,
    receipt: Digest,
    counts: StageCounts,
    lock: Option<Held>,
}

/// The new tree in its place; readers see it.
#[derive(Debug)]
#[must_use = "an undecided publication is settled or undone by whoever recovers next"]
pub struct Published<'a> {
    open: Open<'a>,
    counts: StageCounts,
    /// Keeps the new root locked until the end, so that nobody works in it before the publication is decided.
    _lock: Option<Held>,
}

/// What every state from `Prepared` on holds.
#[derive(Debug)]
struct Open<'a> {
    locks: Locks<'a>,
    record: Record,
    steps: Vec<Step>,
    verdict: Verdict,
}

impl<'a> Target<'a> {
    /// Locks the target and ends what an earlier run left open.
    ///
    /// `owner` is shown to those who wait; `pause` is asked, with the holder's line, each time the lock is busy.
    ///
    /// # Errors
    /// See [`ReadyError`].
    ///
    /// # Crash
    /// What recovery did stays done: running it again goes on.
    pub fn lock(
        self,
        owner: &str,
        pause: &mut dyn FnMut(&str) -> Patience,
    ) -> Result<(Ready<'a>, Recovered), ReadyError> {
        let locks = Locks::take(self, owner, pause)?;
        let recovered = recover(locks.target())?;
        Ok((Ready { locks }, recovered))
    }
}

impl<'a> Ready<'a> {
    /// What is locked.
    #[must_use]
    pub fn target(&self) -> &Target<'a> {
        self.locks.target()
    }

    /// Checks that the plan fits, makes an empty stage, and writes the first part of the journal.
    ///
    /// # Errors
    /// See [`PrepareError`]; the target is as it was.
    ///
    /// # Crash
    /// An empty stage may remain, or a journal that names one; the next run deletes both.
    pub fn prepare(
        self,
        plan: &'a Plan,
        terms: Terms,
        content: &dyn ContentSource,
    ) -> Result<Prepared<'a>, PrepareError> {
        let target = self.locks.target();
        let path = || target.path().to_path_buf();
        let disk = |source| PrepareError::Disk {
            target: path(),
            source,
        };
        let mut reasons = stale(target, plan, content).map_err(disk)?;
        reasons.extend(not_locked(&self.locks).map_err(disk)?);
        if !reasons.is_empty() {
            return Err(PrepareError::Stale {
                target: path(),
                reasons,
            });
        }
        if plan.publication() == Publication::Nothing {
            return Err(PrepareError::NothingToDo(path()));
        }
        if let Some(mount) = mounted(target).map_err(disk)? {
            return Err(PrepareError::Mounted {
                target: path(),
                mount,
            });
        }
        let (root, record) = make_stage(target, plan, terms).map_err(disk)?;
        let written = write_first_part(target, &root, &record)
            .and_then(|()| choose_steps(target, &root, plan));
        match written {
            Ok(steps) => {
                let open = Open {
                    locks: self.locks,
                    record,
                    steps,
                    verdict: terms.verdict,
                };
                Ok(Prepared { open, plan, root })
            }
            Err(source) => {
                abandon_empty_stage(target, &record);
                Err(disk(source))
            }
        }
    }
}

impl<'a> Prepared<'a> {
    /// Builds the new tree beside its place and makes it durable.
    ///
    /// # Errors
    /// See [`StageFailed`]; the stage is given up.
    ///
    /// # Crash
    /// A part of the new tree remains; the next run deletes it by the identity in the journal.
    pub fn stage(self, options: &StageOptions<'_>) -> Result<Staged<'a>, StageFailed> {
        let fs = self.open.locks.target().fs;
        let receipt = Receipt::of(self.plan).to_json();
        let built = stage::build(fs, &self.root, self.plan, &receipt, options).and_then(|counts| {
            self.finish_stage()
                .map(|()| counts)
                .map_err(|source| StageError::Disk {
                    path: ".".to_owned(),
                    source,
                })
        });
        match built {
            Ok(counts) => {
                let Self { open, plan, root } = self;
                Ok(Staged {
                    open,
                    plan,
                    root,
                    receipt: Digest::of(receipt.as_bytes()),
                    counts,
                    lock: None,
                })
            }
            Err(source) => {
                let target = self.open.locks.target().path().to_path_buf();
                Err(StageFailed {
                    target,
                    aftermath: self.open.give_up(),
                    source,
                })
            }
        }
    }

    /// The root gets its mode before the barrier, so that the switch itself changes nothing but names.
    fn finish_stage(&self) -> Result<(), FsError> {
        let Target { fs, parent, .. } = self.open.locks.target();
        fs.set_mode_of(&self.root, self.plan.root_mode().bits())?;
        match self.open.record.durability {
            Durability::Process => Ok(()),
            Durability::Power => {
                // A sync that failed is not tried again: the pages it lost count as clean now.
                sync_tree(*fs, &self.root)?;
                fs.sync_dir(parent)
            }
        }
    }
}

impl<'a> Staged<'a> {
    /// How the files came into the stage.
    #[must_use]
    pub fn counts(&self) -> StageCounts {
        self.counts
    }

    /// Takes the steps: what readers see changes here and nowhere else.
    ///
    /// `interrupted` is asked once, before the journal's second part; after that the switch is taken to its end.
    ///
    /// # Errors
    /// See [`PublishFailed`]; steps that were taken are taken back.
    ///
    /// # Crash
    /// Before the step the old tree stands, after it the new one; the journal tells the next run which to keep.
    pub fn publish(
        mut self,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<Published<'a>, PublishFailed> {
        match self.try_publish(interrupted) {
            Ok(()) => {
                let Self {
                    open, counts, lock, ..
                } = self;
                Ok(Published {
                    open,
                    counts,
                    _lock: lock,
                })
            }
            Err(source) => {
                let target = self.open.locks.target().path().to_path_buf();
                let aftermath = match source {
                    PublishError::Doubt(_) => Aftermath::InDoubt,
                    PublishError::Changed(_)
                    | PublishError::Interrupted
                    | PublishError::Disk(_)
                    | PublishError::Moved => self.open.give_up(),
                };
                Err(PublishFailed {
                    target,
                    aftermath,
                    source,
                })
            }
        }
    }

    fn try_publish(&mut self, interrupted: &dyn Fn() -> bool) -> Result<(), PublishError> {
        self.lock_root().map_err(PublishError::Disk)?;
        let target = self.open.locks.target();
        let now = observe(target.fs, target.place(), self.plan.operations())
            .map_err(PublishError::Disk)?;
        let unlocked = not_locked(&self.open.locks).map_err(PublishError::Disk)?;
        let reasons = compare(target, self.plan.observation(), &now);
        if let Some(stale) = reasons.into_iter().chain(unlocked).next() {
            return Err(PublishError::Changed(stale));
        }
        if interrupted() {
            return Err(PublishError::Interrupted);
        }
        self.open.record.steps = Some(Steps {
            list: self.open.steps.clone(),
            receipt: self.receipt,
            verdict: self.open.verdict,
        });
        let target = self.open.locks.target();
        journal::write(target, &self.open.record).map_err(PublishError::Disk)?;
        for step in &self.open.steps {
            steps::take(target, &self.open.record, *step).map_err(PublishError::Disk)?;
        }
        self.open.sync_steps()?;
        let seen = sight(target, &self.open.record).map_err(PublishError::Disk)?;
        if seen.taken != Taken::All || matches!(seen.replaced, Some(Place::Trash | Place::Gone)) {
            return Err(PublishError::Moved);
        }
        Ok(())
    }

    /// Locks the new root before it can be found by its name, so that nobody gets in between.
    fn lock_root(&mut self) -> Result<(), FsError> {
        let fs = self.open.locks.target().fs;
        let held = fs.hold_dir(&self.root)?;
        if fs.try_lock(&held)? == Lock::Acquired {
            self.lock = Some(held);
        }
        Ok(())
    }
}

impl Published<'_> {
    /// How the files came into the tree.
    #[must_use]
    pub fn counts(&self) -> StageCounts {
        self.counts
    }

    /// The steps that were taken.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.open.steps
    }

    /// The new tree stays; what it replaced is kept or deleted, as the terms say.
    ///
    /// # Errors
    /// See [`EndFailed`]; the new tree is published all the same.
    ///
    /// # Crash
    /// The next run goes on settling.
    pub fn settle(self) -> Result<Ending, EndFailed> {
        self.open.end(Direction::Settle)
    }

    /// The old tree comes back; a new tree that somebody changed meanwhile is kept as a generation.
    ///
    /// # Errors
    /// See [`EndFailed`].
    ///
    /// # Crash
    /// The next run goes on undoing.
    pub fn undo(self) -> Result<Ending, EndFailed> {
        self.open.end(Direction::Undo)
    }
}

impl Open<'_> {
    fn sync_steps(&self) -> Result<(), PublishError> {
        let Target { fs, parent, .. } = self.locks.target();
        if self.record.durability == Durability::Process {
            return Ok(());
        }
        fs.sync_dir(parent).map_err(|source| {
            match self.as_end().doubt(self.verdict.direction(), source) {
                EndError::Doubt(source) | EndError::Disk { source, .. } => {
                    PublishError::Doubt(source)
                }
                EndError::Moved => PublishError::Moved,
            }
        })
    }

    fn as_end(&self) -> End<'_, '_> {
        End {
            target: self.locks.target(),
            record: &self.record,
            journal: JournalName::Open,
            by: By::Itself,
        }
    }

    fn end(self, to: Direction) -> Result<Ending, EndFailed> {
        let ended = match to {
            Direction::Settle => self.as_end().settle(),
            Direction::Undo => self.as_end().undo(),
        };
        ended.map_err(|source| {
            let aftermath = aftermath_of(&source);
            EndFailed {
                target: self.locks.target().path().to_path_buf(),
                aftermath,
                source,
            }
        })
    }

    /// Takes back what was taken and deletes the stage.
    fn give_up(&self) -> Aftermath {
        match self.as_end().undo() {
            Ok(_) => Aftermath::Unchanged,
            Err(error) => aftermath_of(&error),
        }
    }
}

fn make_stage(target: &Target<'_>, plan: &Plan, terms: Terms) -> Result<(Dir, Record), FsError> {
    let Target {
        fs, parent, names, ..
    } = target;
    let siblings = Siblings::list(target)?;
    let prefix = names.stage_prefix();
    let name = fs.make_unique_dir(parent, &prefix)?;
    let opened = fs
        .open_dir(parent, &name)
        .and_then(|root| Ok((fs.meta_of(&root)?.identity, root)));
    let (stage, root) = opened.inspect_err(|_| {
        // Nobody owns it yet, and it is empty.
        let _tidied = fs.remove_dir(parent, &name);
    })?;
    let token = name.to_string_lossy();
    let record = Record {
        plan: plan.digest(),
        token: token.strip_prefix(&prefix).unwrap_or_default().to_owned(),
        generation: siblings.next_generation(),
        stage,
        boot: fs.boot_id(),
        durability: terms.durability,
        retention: terms.retention,
        steps: None,
    };
    Ok((root, record))
}

/// From here on the stage is owned: whoever finds the journal may delete the tree that it names.
fn write_first_part(target: &Target<'_>, root: &Dir, record: &Record) -> Result<(), FsError> {
    journal::write(target, record)?;
    if record.stage.is_certain() {
        return Ok(());
    }
    let fs = target.fs;
    fs.make_dir(root, OsStr::new(ENGINE_DIR), 0o755)?;
    let inner = fs.open_dir(root, OsStr::new(ENGINE_DIR))?;
    let marker = NewFile {
        mode: 0o600,
        mtime: None,
        bytes: b"",
        flush: Flush::Later,
    };
    fs.write_file(&inner, &marker_name(&record.token), &marker)
}

/// Chooses the steps by trying an exchange on two scratch entries, where trying harms nobody.
fn choose_steps(target: &Target<'_>, root: &Dir, plan: &Plan) -> Result<Vec<Step>, FsError> {
    match (&plan.observation().target, plan.publication()) {
        (Expected::Tree { identity, .. }, Publication::Swap) => {
            Ok(if can_exchange(target, root)? {
                vec![Step::Swap { old: *identity }]
            } else {
                vec![Step::Take { old: *identity }, Step::Put]
            })
        }
        (Expected::Absent | Expected::Tree { .. }, _) => Ok(vec![Step::Put]),
    }
}

fn can_exchange(target: &Target<'_>, root: &Dir) -> Result<bool, FsError> {
    let fs = target.fs;
    let scratch = [OsString::from("scratch-1"), OsString::from("scratch-2")];
    for name in &scratch {
        fs.make_dir(root, name, 0o700)?;
    }
    let [one, two] = &scratch;
    let exchanged = fs
        .rename((root, one), (root, two), Rename::Exchange)
        .is_ok();
    for name in &scratch {
        fs.remove_dir(root, name)?;
    }
    Ok(exchanged)
}

/// The attempt failed before anything was staged: an empty stage needs no journal to be known as ours.
fn abandon_empty_stage(target: &Target<'_>, record: &Record) {
    let Target {
        fs, parent, names, ..
    } = target;
    let end = End {
        target,
        record,
        journal: JournalName::Open,
        by: By::Itself,
    };
    let journal = names.journal(&JournalName::Open);
    let written = fs
        .meta(parent, OsStr::new(&journal))
        .is_ok_and(|meta| meta.is_some());
    // Whatever stays is found by the next run: an owned stage through its journal, an empty one by itself.
    let _tidied = if written {
        end.give_up().is_ok()
    } else {
        false
    };
    let _tidied = fs.remove_file(parent, OsStr::new(&names.journal_temp()));
    let _tidied = fs.remove_dir(parent, OsStr::new(&names.stage(&record.token)));
}
