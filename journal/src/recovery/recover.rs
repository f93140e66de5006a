//! Recovery: what the next run does about what a crash left.
//!
//! Promises that afterwards the target is exactly the old tree or exactly the new one (I1), that
//! recovery may itself be killed at any point, and that evidence which fits no known history
//! changes nothing (I7). [`inspect`] reports the same without writing.
//!
//! Read next: `recovery/decide.rs` (the table), `settle.rs` (the execution).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::base::mutant::Safeguard;
use crate::base::safeguard::holds;
use crate::base::watch::Watch;
use crate::fs::error_place::DiskError;
use crate::fs::named_sync::sync_dir;
use crate::fs::remove::{Leftovers, remove_watched};
use crate::fs::{FsError, Kind};
use crate::place::journal_file::{self, JournalRead, Siblings};
use crate::place::names::{Direction, JournalName};
use crate::place::record::{Durability, Form, Origin, Record};
use crate::place::stage_claim::{self, proves_itself};
use crate::place::target::Target;
use crate::place::transaction_dir::TransactionDir;
use crate::recovery::as_published::{are_entries_as_published, is_as_published};
use crate::recovery::decide::{Boot, Decision, Former, JournalSeen, Refusal, Upshot, decide};
use crate::recovery::discard::retire_records_of_trash;
use crate::recovery::ending::{EndError, Ending};
use crate::recovery::evidence::{Location, Sight, StepsTaken, sight};
use crate::recovery::settle::{EndedBy, PublicationToEnd};

/// What is beside a target, and what recovery would do about it.
#[derive(Debug)]
pub struct Inspection {
    /// All of the engine's names beside the target.
    pub beside: Siblings,
    /// All of the engine's names in its directory inside the target.
    pub within: Siblings,
    /// What recovery would do; `Err` is the reason why it would refuse.
    pub decision: Result<Decision, RecoverError>,
    /// What the open transaction replaces, if its journal can be read.
    pub former: Option<Former>,
}

/// What recovery did.
#[derive(Debug)]
pub struct Recovered {
    /// The decision about the open transaction.
    pub decision: Decision,
    /// What happened to the transaction.
    pub upshot: Upshot,
    /// What the transaction moved, if one was open.
    pub form: Option<Form>,
    /// What happened to the trees that it moved.
    pub ending: Ending,
    /// Names of the engine that no journal owns and that are not empty; they were left alone.
    pub orphans: Vec<String>,
    /// Why those of the orphans that the engine created could not be deleted, by their names.
    pub undeleted: BTreeMap<String, String>,
    /// How many leftovers of earlier runs were deleted.
    pub tidied: u64,
}

/// Why recovery changed nothing, or could not continue.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// A journal does not count; it is never treated as absent.
    #[error("the journal `{name}` cannot be trusted: {why}")]
    Foreign {
        /// The journal.
        name: String,
        /// Why it does not count.
        why: String,
    },
    /// There is more than one journal.
    #[error(
        "there are {} journals where at most one is expected: {}",
        names.len(),
        names.join(", ")
    )]
    Several {
        /// Their names.
        names: Vec<String>,
    },
    /// The evidence fits no known history.
    #[error(
        "the state of `{target}` is not one that a crash can leave: {what}{}",
        of_journal(journal)
    )]
    Refused {
        /// The target.
        target: PathBuf,
        /// What does not fit.
        what: &'static str,
        /// The journal that was found.
        journal: String,
    },
    /// An fsync failed during this boot.
    #[error("fsync failed for `{target}`; its on-disk state is unknown until reboot")]
    Doubt {
        /// The target.
        target: PathBuf,
    },
    /// The transaction could not be ended.
    #[error("cannot recover `{target}`")]
    End {
        /// The target.
        target: PathBuf,
        /// Why.
        #[source]
        source: EndError,
    },
    /// A call of the disk failed.
    #[error("cannot look at the files beside `{target}`")]
    Disk {
        /// The target.
        target: PathBuf,
        /// Why.
        #[source]
        source: FsError,
    },
}

impl DiskError for RecoverError {
    type At = Path;

    fn of_disk(place: &Path, source: FsError) -> Self {
        Self::Disk {
            target: place.to_path_buf(),
            source,
        }
    }
}

/// Everything that determines what to do about an open transaction.
struct Case<'t> {
    open: Option<Found<'t>>,
    decision: Decision,
}

/// A journal, and its content unless it is torn.
struct Found<'t> {
    home: TransactionDir<'t>,
    state: JournalName,
    record: Option<Record>,
}

/// Inspects what is beside a target, and writes nothing.
///
/// # Errors
/// The error of the disk.
pub fn inspect(target: &Target<'_>) -> Result<Inspection, FsError> {
    let beside = Siblings::list(&TransactionDir::beside(target))?;
    let within = TransactionDir::within(target)?.map(|home| Siblings::list(&home));
    let within = within.transpose()?.unwrap_or_default();
    let case = Case::of(target);
    let former = case.as_ref().ok().and_then(Case::former);
    Ok(Inspection {
        beside,
        within,
        decision: case.map(|case| case.decision),
        former,
    })
}

/// Whether no transaction is open at a target, and there is nothing that recovery would delete or
/// name; writes nothing.
///
/// # Errors
/// The error of the disk.
pub fn is_tidy(target: &Target<'_>) -> Result<bool, FsError> {
    for home in homes(target)? {
        if !Siblings::list(&home)?.is_tidy() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Ends the transaction that an earlier run left open, and deletes what it left behind. The target
/// must be locked.
///
/// # Errors
/// See [`RecoverError`]; nothing was changed unless it is [`RecoverError::End`].
///
/// # Crash
/// Every effect is one that the table covers: running recovery again continues.
pub(crate) fn recover(target: &Target<'_>) -> Result<Recovered, RecoverError> {
    let case = Case::of(target)?;
    let refused = |what| RecoverError::Refused {
        target: target.path().to_path_buf(),
        what,
        journal: case.open.as_ref().map(Found::name).unwrap_or_default(),
    };
    match case.decision {
        Decision::Wait => {
            return Err(RecoverError::Doubt {
                target: target.path().to_path_buf(),
            });
        }
        Decision::Refuse(Refusal::Stranger) => {
            return Err(refused(
                "another tree exists where the journal expects rvenv's",
            ));
        }
        Decision::Refuse(Refusal::DamagedJournal) => {
            return Err(refused(
                "the journal is damaged, and its stage is not empty",
            ));
        }
        Decision::Refuse(Refusal::Contradiction) => {
            return Err(refused("the journal and the trees contradict each other"));
        }
        Decision::Nothing
        | Decision::DropJournal
        | Decision::Discard
        | Decision::Settle
        | Decision::Undo
        | Decision::VerifyThenSettle => {}
    }
    let (upshot, mut ending) = act(target, &case).map_err(|source| RecoverError::End {
        target: target.path().to_path_buf(),
        source,
    })?;
    let disk = RecoverError::disk(target.path());
    let tidied = tidy(target).map_err(disk)?;
    ending.leftovers.stopped |= tidied.is_stopped;
    Ok(Recovered {
        form: case.open.as_ref().map(|found| found.home.form),
        decision: case.decision,
        upshot,
        ending,
        orphans: tidied.orphans,
        undeleted: tidied.undeleted,
        tidied: tidied.count,
    })
}

fn act(target: &Target<'_>, case: &Case<'_>) -> Result<(Upshot, Ending), EndError> {
    let Some(found) = &case.open else {
        // `tidy_home` deletes a stage that no journal names, with everything else that none owns.
        let upshot = match case.decision {
            Decision::Discard => Upshot::Unpublished,
            Decision::Nothing
            | Decision::DropJournal
            | Decision::Settle
            | Decision::Undo
            | Decision::VerifyThenSettle
            | Decision::Wait
            | Decision::Refuse(_) => Upshot::NothingOpen,
        };
        return Ok((upshot, Ending::default()));
    };
    let Some(record) = &found.record else {
        return Ok((Upshot::Torn, drop_torn(found)?));
    };
    let undone = Upshot::Undone(Former::of(record));
    let end = PublicationToEnd {
        target,
        home: &found.home,
        record,
        journal: found.state.clone(),
        by: EndedBy::Recovery,
    };
    // A killed run leaves names that were not synced. A decision that became durable before them
    // would contradict them.
    match case.decision {
        Decision::Settle | Decision::VerifyThenSettle => end.sync_found(Direction::Settle)?,
        Decision::Discard | Decision::Undo => end.sync_found(Direction::Undo)?,
        Decision::Nothing | Decision::Wait | Decision::Refuse(_) | Decision::DropJournal => {}
    }
    match case.decision {
        Decision::Nothing | Decision::Wait | Decision::Refuse(_) => {
            Ok((Upshot::NothingOpen, Ending::default()))
        }
        Decision::DropJournal => Ok((Upshot::Torn, end.drop_journal()?)),
        Decision::Discard => Ok((Upshot::Unpublished, end.discard_staged()?)),
        Decision::Settle => Ok((Upshot::Stays, end.settle()?)),
        Decision::Undo => Ok((undone, end.undo()?)),
        Decision::VerifyThenSettle => {
            let receipt = record.steps.receipt;
            let is_whole = match (record.origin, record.form) {
                // Nothing was written: the generation was durable before, and all of it is in its
                // place.
                (Origin::Generation, _) => true,
                // Nothing was written either: the target is away.
                (Origin::Built, Form::Tree) if record.is_removal() => true,
                (Origin::Built, Form::Tree) => is_as_published(target, &target.name, receipt),
                (Origin::Built, Form::Entries) => are_entries_as_published(target, receipt),
            };
            if holds(Safeguard::ReceiptOfDoubt, is_whole) {
                Ok((Upshot::Stays, end.settle()?))
            } else {
                Ok((undone, end.undo()?))
            }
        }
    }
}

/// Drops a journal that a power cut tore before anything else existed.
fn drop_torn(found: &Found<'_>) -> Result<Ending, EndError> {
    let TransactionDir { fs, dir, .. } = &found.home;
    let disk = |source| EndError::Disk {
        what: "unlink a torn journal",
        source,
    };
    fs.remove_file(dir, OsStr::new(&found.home.names.journal(&found.state)))
        .map_err(disk)?;
    fs.sync_dir(dir).map_err(disk)?;
    Ok(Ending::default())
}

impl Found<'_> {
    /// The journal's name, for messages.
    fn name(&self) -> String {
        shown(&self.home, &self.state)
    }
}

/// The journal that a contradiction is about, where there is one.
fn of_journal(name: &str) -> String {
    if name.is_empty() {
        String::new()
    } else {
        format!(" (the journal is `{name}`)")
    }
}

fn shown(home: &TransactionDir<'_>, state: &JournalName) -> String {
    home.shown(home.names.journal(state))
}

impl<'t> Case<'t> {
    /// What the open transaction replaces.
    fn former(&self) -> Option<Former> {
        let record = self.open.as_ref()?.record.as_ref()?;
        Some(Former::of(record))
    }

    fn of(target: &Target<'t>) -> Result<Self, RecoverError> {
        let disk = RecoverError::disk(target.path());
        let mut journals = Vec::new();
        for home in homes(target).map_err(disk)? {
            let siblings = Siblings::list(&home).map_err(disk)?;
            let of_home = siblings.journals.iter().cloned();
            journals.extend(of_home.map(|state| (home.clone(), state)));
        }
        if !holds(Safeguard::OneJournal, journals.len() <= 1) {
            let names = journals.iter().map(|(home, state)| shown(home, state));
            return Err(RecoverError::Several {
                names: names.collect(),
            });
        }
        let Some((home, state)) = journals.pop() else {
            let decision = decide(JournalSeen::AbsentOrDraft, unowned(target).map_err(disk)?);
            return Ok(Self {
                open: None,
                decision,
            });
        };
        match journal_file::read(&home, &state).map_err(disk)? {
            JournalRead::Foreign(why) => Err(RecoverError::Foreign {
                name: shown(&home, &state),
                why,
            }),
            JournalRead::Torn => {
                let nothing = Sight {
                    staged: Location::Gone,
                    replaced: None,
                    taken: StepsTaken::NoStep,
                };
                let decision = decide(torn(&home).map_err(disk)?, nothing);
                Ok(Self::found(home, state, None, decision))
            }
            JournalRead::Record(record) => {
                let sight = sight(target, &home, &record, &state).map_err(disk)?;
                let decision = decide(seen(target, &state, &record), sight);
                Ok(Self::found(home, state, Some(record), decision))
            }
        }
    }

    fn found(
        home: TransactionDir<'t>,
        state: JournalName,
        record: Option<Record>,
        decision: Decision,
    ) -> Self {
        let open = Found {
            home,
            state,
            record,
        };
        Self {
            open: Some(open),
            decision,
        }
    }
}

/// Both directories in which a transaction may have begun.
fn homes<'t>(target: &Target<'t>) -> Result<Vec<TransactionDir<'t>>, FsError> {
    let within = TransactionDir::within(target)?;
    Ok(std::iter::once(TransactionDir::beside(target))
        .chain(within)
        .collect())
}

/// What a valid journal says, during this boot.
fn seen(target: &Target<'_>, state: &JournalName, record: &Record) -> JournalSeen {
    let boot = |of: &str| {
        if holds(Safeguard::BootOfDoubt, of != target.fs.boot_id()) {
            Boot::Another
        } else {
            Boot::Same
        }
    };
    // Nothing of a process-durable publication was synced: after a reboot it is as doubtful as
    // after a failed fsync.
    let unsynced = record.durability == Durability::Process && boot(&record.boot) == Boot::Another;
    let verdict = record.steps.verdict;
    match state {
        JournalName::Doubt(to, of) => JournalSeen::Doubt(*to, boot(of)),
        JournalName::Open if unsynced => JournalSeen::Doubt(verdict.direction(), Boot::Another),
        JournalName::Decided(to) if unsynced => JournalSeen::Doubt(*to, Boot::Another),
        JournalName::Open => JournalSeen::Open(verdict),
        JournalName::Decided(to) => JournalSeen::Decided(*to),
        // A draft is not trusted: it describes nothing that a later run needs.
        JournalName::Draft => JournalSeen::AbsentOrDraft,
    }
}

/// What exists without a journal: stages that prove themselves.
fn unowned(target: &Target<'_>) -> Result<Sight, FsError> {
    let mut staged = Location::Gone;
    for home in homes(target)? {
        for token in &Siblings::list(&home)?.stages {
            if proves_itself(&home, token)? {
                staged = Location::StagingName;
            }
        }
    }
    Ok(Sight {
        staged,
        replaced: None,
        taken: StepsTaken::NoStep,
    })
}

fn torn(home: &TransactionDir<'_>) -> Result<JournalSeen, FsError> {
    for token in &Siblings::list(home)?.stages {
        let name = home.names.stage(token);
        let dir = match home.fs.open_dir(&home.dir, OsStr::new(&name)) {
            Ok(dir) => dir,
            // A file or a link, which is not an empty stage of the engine.
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
                return Ok(JournalSeen::TornBesideStage);
            }
            Err(error) => return Err(error),
        };
        if !holds(Safeguard::TornBesideStage, home.fs.list(&dir)?.is_empty()) {
            return Ok(JournalSeen::TornBesideStage);
        }
    }
    Ok(JournalSeen::TornAlone)
}

/// What happened to the engine's names that no journal owns.
#[derive(Default)]
struct Tidied {
    /// How many were deleted.
    count: u64,
    /// Those that were left alone, because nothing proves that the engine created them.
    orphans: Vec<String>,
    /// Why the engine's own among them could not be deleted.
    undeleted: BTreeMap<String, String>,
    /// Whether the observer stopped a deletion.
    is_stopped: bool,
}

/// Deletes what no journal owns and what the engine provably created: drafts of journals, stages
/// and trash.
fn tidy(target: &Target<'_>) -> Result<Tidied, FsError> {
    let mut tidied = Tidied::default();
    for home in homes(target)? {
        tidy_home(target, &home, &mut tidied)?;
    }
    // An engine's directory that a merge created before it died.
    TransactionDir::remove_if_empty(target);
    Ok(tidied)
}

fn tidy_home(
    target: &Target<'_>,
    home: &TransactionDir<'_>,
    tidied: &mut Tidied,
) -> Result<(), FsError> {
    let TransactionDir { fs, dir, names, .. } = home;
    let siblings = Siblings::list(home)?;
    let mut left = siblings.unknown.clone();
    if siblings.has_draft {
        let name = OsString::from(names.journal_draft());
        let ours = fs
            .meta(dir, &name)?
            .is_some_and(|meta| meta.kind == Kind::File && meta.owner == fs.user());
        if ours {
            // A run may have died between a lone put, which needs no other record, and the fsync
            // that confirms it.
            sync_dir(*fs, dir, Safeguard::SyncOfFoundDraft)?;
        }
        if ours && fs.remove_file(dir, &name).is_ok() {
            tidied.count += 1;
        } else {
            left.push(names.journal_draft());
        }
    }
    for token in &siblings.stages {
        if proves_itself(home, token)? {
            match stage_claim::delete(home, token, target.watch) {
                Leftovers { stopped: true, .. } => tidied.is_stopped = true,
                Leftovers { count: 0, .. } => tidied.count += 1,
                leftovers @ Leftovers { .. } => {
                    let name = names.stage(token);
                    tidied.undeleted.extend(undeleted(home, &name, &leftovers));
                    left.push(name);
                }
            }
        } else if stage_claim::remove_if_empty(home, token) {
            tidied.count += 1;
        } else {
            left.push(names.stage(token));
        }
    }
    tidied.count += retire_records_of_trash(home, &siblings)?;
    for identity in &siblings.trash {
        let name = format!("{}{identity}", names.trash_prefix());
        match empty_trash(home, &name, identity, target.watch)? {
            // It remains trash until a run has time to delete it.
            Leftovers { stopped: true, .. } => tidied.is_stopped = true,
            Leftovers { count: 0, .. } => tidied.count += 1,
            leftovers @ Leftovers { .. } => {
                tidied.undeleted.extend(undeleted(home, &name, &leftovers));
                left.push(name);
            }
        }
    }
    let orphans = left.into_iter().map(|name| home.shown(name));
    tidied.orphans.extend(orphans);
    Ok(())
}

/// Why something of the engine's own stays, if that is known.
fn undeleted(
    home: &TransactionDir<'_>,
    name: &str,
    leftovers: &Leftovers,
) -> Option<(String, String)> {
    let why = leftovers.why()?;
    Some((home.shown(name.to_owned()), why))
}

/// Deletes trash whose name contains its identity: another user can create a name, but not an
/// identity.
fn empty_trash(
    home: &TransactionDir<'_>,
    name: &str,
    identity: &str,
    watch: &dyn Watch,
) -> Result<Leftovers, FsError> {
    let TransactionDir { fs, dir, .. } = home;
    let meta = fs.meta(dir, OsStr::new(name))?;
    let ours = meta.is_some_and(|meta| {
        let is_named = meta.identity.is_certain() && meta.identity.to_string() == identity;
        holds(Safeguard::OwnerOfTrash, meta.owner == fs.user())
            && holds(Safeguard::IdentityOfTrash, is_named)
    });
    if ours {
        return Ok(remove_watched(*fs, dir.at(name), watch));
    }
    Ok(Leftovers {
        count: 1,
        ..Leftovers::default()
    })
}
