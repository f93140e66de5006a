//! Recovery: what the next run does about what a crash left.
//!
//! Promises that after it the target is exactly the old tree or exactly the new one (I1), that it may itself be
//! killed anywhere, and that evidence which fits no history of ours changes nothing (I7).
//! [`inspect`] says the same without writing.
//!
//! Read next: `recovery.rs` (the table), `settle.rs` (what its decisions do).

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use thiserror::Error;

use crate::evidence::{Place, Sight, Taken, sight};
use crate::fs::{FsError, Kind};
use crate::journal::{self, JournalRead, Siblings};
use crate::names::{Direction, JournalName};
use crate::node::ENGINE_DIR;
use crate::record::{Durability, Record};
use crate::recovery::{Boot, Decision, JournalSeen, Refusal, decide};
use crate::remove::{Leftovers, remove_tree};
use crate::settle::{By, End, EndError, Ending, is_whole};
use crate::target::Target;

/// What stands beside a target, and what recovery would do about it.
#[derive(Debug)]
pub struct Inspection {
    /// Everything that bears one of our names.
    pub siblings: Siblings,
    /// What recovery would do; `Err` says why it would refuse.
    pub decision: Result<Decision, RecoverError>,
}

/// What recovery did.
#[derive(Debug)]
pub struct Recovered {
    /// What was decided about the open transaction.
    pub decision: Decision,
    /// What became of it.
    pub ending: Ending,
    /// Names of ours that no journal owns and that hold something; they were left alone.
    pub orphans: Vec<String>,
    /// How many leftovers of earlier runs were deleted.
    pub tidied: u64,
}

/// Why recovery changed nothing, or could not go on.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// A journal that does not count; it is never taken for "no journal".
    #[error("`{name}` is not a journal that can be believed: {why}")]
    Foreign {
        /// The journal.
        name: String,
        /// Why it does not count.
        why: String,
    },
    /// More than one journal.
    #[error("there are {} journals at once: {}", names.len(), names.join(", "))]
    Several {
        /// Their names.
        names: Vec<String>,
    },
    /// Evidence that fits no history of ours.
    #[error("what stands beside `{target}` fits no history that a crash can write ({what})")]
    Refused {
        /// The target.
        target: PathBuf,
        /// What does not fit.
        what: &'static str,
        /// The journal that was found.
        journal: String,
    },
    /// A sync failed in this start of the machine.
    #[error(
        "the disk failed to confirm what was written to `{target}`; what it holds is known after a restart"
    )]
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
    /// The disk refused.
    #[error("cannot look at what stands beside `{target}`")]
    Disk {
        /// The target.
        target: PathBuf,
        /// Why.
        #[source]
        source: FsError,
    },
}

/// Everything that decides about an open transaction.
struct Case {
    open: Option<(JournalName, Option<Record>)>,
    decision: Decision,
}

/// Looks at what stands beside a target, and writes nothing.
///
/// # Errors
/// What the disk says.
pub fn inspect(target: &Target<'_>) -> Result<Inspection, FsError> {
    let siblings = Siblings::list(target)?;
    let decision = Case::of(target).map(|case| case.decision);
    Ok(Inspection { siblings, decision })
}

/// Ends what an earlier run left open, and deletes what it left behind. The target must be locked.
///
/// # Errors
/// See [`RecoverError`]; nothing was changed unless it is [`RecoverError::End`].
///
/// # Crash
/// Every effect is one that the table knows: running it again goes on.
pub(crate) fn recover(target: &Target<'_>) -> Result<Recovered, RecoverError> {
    let case = Case::of(target)?;
    let refused = |what| RecoverError::Refused {
        target: target.path().to_path_buf(),
        what,
        journal: case
            .open
            .as_ref()
            .map(|(state, _)| target.names.journal(state))
            .unwrap_or_default(),
    };
    match case.decision {
        Decision::Wait => {
            return Err(RecoverError::Doubt {
                target: target.path().to_path_buf(),
            });
        }
        Decision::Refuse(Refusal::Stranger) => {
            return Err(refused("something else stands where our tree was"));
        }
        Decision::Refuse(Refusal::DamagedJournal) => {
            return Err(refused("the journal is damaged and its stage is not empty"));
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
    let ending = act(target, &case).map_err(|source| RecoverError::End {
        target: target.path().to_path_buf(),
        source,
    })?;
    let disk = |source| RecoverError::Disk {
        target: target.path().to_path_buf(),
        source,
    };
    let (tidied, orphans) = tidy(target).map_err(disk)?;
    Ok(Recovered {
        decision: case.decision,
        ending,
        orphans,
        tidied,
    })
}

fn act(target: &Target<'_>, case: &Case) -> Result<Ending, EndError> {
    let Some((journal, record)) = &case.open else {
        return Ok(Ending::default());
    };
    let Some(record) = record else {
        return drop_torn(target, journal);
    };
    let end = End {
        target,
        record,
        journal: journal.clone(),
        by: By::Recovery,
    };
    // A killed run leaves names that nobody synced: a decision that reached the disk before them would contradict it.
    match case.decision {
        Decision::Settle | Decision::VerifyThenSettle => end.sync(Direction::Settle)?,
        Decision::Discard | Decision::Undo => end.sync(Direction::Undo)?,
        Decision::Nothing | Decision::Wait | Decision::Refuse(_) | Decision::DropJournal => {}
    }
    match case.decision {
        Decision::Nothing | Decision::Wait | Decision::Refuse(_) => Ok(Ending::default()),
        Decision::DropJournal => end.drop_journal(),
        Decision::Discard => end.give_up(),
        Decision::Settle => end.settle(),
        Decision::Undo => end.undo(),
        Decision::VerifyThenSettle => {
            let receipt = record.steps.as_ref().map(|steps| steps.receipt);
            let whole = receipt.is_some_and(|receipt| is_whole(target, &target.name, receipt));
            if whole { end.settle() } else { end.undo() }
        }
    }
}

/// A first part that was torn by a power cut: its stage is still empty, and is tidied after it.
fn drop_torn(target: &Target<'_>, journal: &JournalName) -> Result<Ending, EndError> {
    let name = target.names.journal(journal);
    let disk = |source| EndError::Disk {
        what: "unlink a torn journal",
        source,
    };
    target
        .fs
        .remove_file(&target.parent, OsStr::new(&name))
        .map_err(disk)?;
    target.fs.sync_dir(&target.parent).map_err(disk)?;
    Ok(Ending::default())
}

impl Case {
    fn of(target: &Target<'_>) -> Result<Self, RecoverError> {
        let disk = |source| RecoverError::Disk {
            target: target.path().to_path_buf(),
            source,
        };
        if let Some(name) = inner_journal(target).map_err(disk)? {
            let why = "this version keeps no journal inside a tree".to_owned();
            return Err(RecoverError::Foreign { name, why });
        }
        let siblings = Siblings::list(target).map_err(disk)?;
        let state = match siblings.journals.as_slice() {
            [] => {
                return Ok(Self {
                    open: None,
                    decision: Decision::Nothing,
                });
            }
            [state] => state.clone(),
            several => {
                let names = several
                    .iter()
                    .map(|state| target.names.journal(state))
                    .collect();
                return Err(RecoverError::Several { names });
            }
        };
        match journal::read(target, &state).map_err(disk)? {
            JournalRead::Foreign(why) => Err(RecoverError::Foreign {
                name: target.names.journal(&state),
                why,
            }),
            JournalRead::Torn => {
                let seen = torn(target, &siblings).map_err(disk)?;
                let nothing = Sight {
                    staged: Place::Gone,
                    replaced: None,
                    taken: Taken::None,
                };
                let decision = decide(seen, nothing);
                Ok(Self {
                    open: Some((state, None)),
                    decision,
                })
            }
            JournalRead::Record(record) => {
                let sight = sight(target, &record).map_err(disk)?;
                let decision = decide(seen(target, &state, &record), sight);
                Ok(Self {
                    open: Some((state, Some(record))),
                    decision,
                })
            }
        }
    }
}

/// What a believed journal says, in this start of the machine.
fn seen(target: &Target<'_>, state: &JournalName, record: &Record) -> JournalSeen {
    let boot = |of: &str| {
        if of == target.fs.boot_id() {
            Boot::Same
        } else {
            Boot::Another
        }
    };
    // Nothing of a process-durable publication was synced: after a restart it is as doubtful as a failed sync.
    let unsynced = record.durability == Durability::Process && boot(&record.boot) == Boot::Another;
    match (state, &record.steps) {
        (JournalName::Doubt(to, of), _) => JournalSeen::Doubt(*to, boot(of)),
        (JournalName::Open, None) => JournalSeen::FirstPart,
        (JournalName::Open, Some(steps)) if unsynced => {
            JournalSeen::Doubt(steps.verdict.direction(), Boot::Another)
        }
        (JournalName::Decided(to), Some(_)) if unsynced => JournalSeen::Doubt(*to, Boot::Another),
        (JournalName::Open, Some(steps)) => JournalSeen::Open(steps.verdict),
        (JournalName::Decided(to), _) => JournalSeen::Decided(*to),
    }
}

fn torn(target: &Target<'_>, siblings: &Siblings) -> Result<JournalSeen, FsError> {
    for token in &siblings.stages {
        let name = target.names.stage(token);
        let dir = match target.fs.open_dir(&target.parent, OsStr::new(&name)) {
            Ok(dir) => dir,
            // Somebody else's file or link, which is not an empty stage of ours.
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
                return Ok(JournalSeen::TornAfterStaging);
            }
            Err(error) => return Err(error),
        };
        if !target.fs.list(&dir)?.is_empty() {
            return Ok(JournalSeen::TornAfterStaging);
        }
    }
    Ok(JournalSeen::TornBeforeStaging)
}

/// A journal inside the target, from a version that changes single entries.
fn inner_journal(target: &Target<'_>) -> Result<Option<String>, FsError> {
    let Target {
        fs, parent, name, ..
    } = target;
    let Ok(inner) = fs
        .open_dir(parent, name)
        .and_then(|root| fs.open_dir(&root, OsStr::new(ENGINE_DIR)))
    else {
        return Ok(None);
    };
    let names = fs.list(&inner)?;
    let journal = names
        .iter()
        .find(|name| name.to_string_lossy().starts_with("journal"));
    Ok(journal.map(|journal| format!("{ENGINE_DIR}/{}", journal.to_string_lossy().escape_debug())))
}

/// Deletes what no journal owns and what is provably ours: half-written journals, empty stages, and trash.
fn tidy(target: &Target<'_>) -> Result<(u64, Vec<String>), FsError> {
    let Target {
        fs, parent, names, ..
    } = target;
    let siblings = Siblings::list(target)?;
    let mut tidied = 0;
    let mut orphans = siblings.unknown.clone();
    if siblings.temp {
        let name = OsString::from(names.journal_temp());
        let ours = fs
            .meta(parent, &name)?
            .is_some_and(|meta| meta.kind == Kind::File && meta.owner == fs.user());
        if ours && fs.remove_file(parent, &name).is_ok() {
            tidied += 1;
        } else {
            orphans.push(names.journal_temp());
        }
    }
    for token in &siblings.stages {
        let name = names.stage(token);
        // Only an empty directory can be removed this way: nobody died before the journal named a full one.
        match fs.remove_dir(parent, OsStr::new(&name)) {
            Ok(()) => tidied += 1,
            Err(_) => orphans.push(name),
        }
    }
    for identity in &siblings.trash {
        match empty_trash(target, identity)? {
            Leftovers { count: 0, .. } => tidied += 1,
            Leftovers { .. } => orphans.push(trash_name(target, identity)),
        }
    }
    Ok((tidied, orphans))
}

/// Deletes trash whose name says its identity; a name can be planted, an identity cannot.
fn empty_trash(target: &Target<'_>, identity: &str) -> Result<Leftovers, FsError> {
    let Target { fs, parent, .. } = target;
    let name = trash_name(target, identity);
    let meta = fs.meta(parent, OsStr::new(&name))?;
    let ours = meta.is_some_and(|meta| {
        meta.owner == fs.user()
            && meta.identity.is_certain()
            && meta.identity.to_string() == identity
    });
    if ours {
        return Ok(remove_tree(*fs, parent, OsStr::new(&name)));
    }
    Ok(Leftovers {
        count: 1,
        first: None,
    })
}

fn trash_name(target: &Target<'_>, identity: &str) -> String {
    format!("{}{identity}", target.names.trash_prefix())
}
