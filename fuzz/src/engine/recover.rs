//! Recovery from any state of the disk: what a killed run leaves, changed by another process.
//!
//! The first bytes choose the publication and the step after which it is killed, the others the
//! changes to what it left. A changed journal gets a right checksum, because a wrong one would be
//! refused at once.

use std::collections::BTreeSet;
use std::path::Path;

use rvenv_journal::fs::sim::{SimEntry, SimFs};
use rvenv_journal::raw::{Decision, Identity, Inspection, Names, RecoverError, Sibling};
use rvenv_journal::{Parents, Patience, ReadyError, Recovered, Target, inspect};

use super::choices::Choices;
use super::disk::{Bounds, Object, Objects, copy, histories, lost, objects, without_locks};
use super::tamper::{records, tamper};
use crate::publication::{Case, TARGET, run};

/// The greatest number of changes to a disk.
const CHANGES_MAX: usize = 8;

/// I5, I6, I7: recovery stays within its bounds, deletes only what a record owns, changes nothing
/// if it refuses, and is complete if it reports success.
pub fn recover(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    let Some((case, base)) = choices.pick(histories()) else {
        return false;
    };
    let disk = copy(base);
    let plan = case.plan(&disk);
    disk.crash_after(choices.below(400));
    run(&disk, &plan, case);
    let disk = copy(&disk);
    for _ in 0..CHANGES_MAX {
        if choices.is_over() {
            break;
        }
        tamper(&disk, &mut choices);
    }
    disk.set_user(*choices.pick(&[1000, 0, 1001]).unwrap_or(&1000));
    check(case, &disk)
}

fn check(case: &Case, disk: &SimFs) -> bool {
    let before = objects(disk);
    let Ok(target) = Target::open(disk, Path::new(TARGET), Parents::Require) else {
        return false;
    };
    let bounds = Bounds::of(&target);
    let inspected = inspect(&target);
    let first = recovered(disk);
    let after = objects(disk);
    bounds.check_outside(&before, &after);
    check_deletions(case, &bounds, (&before, &after));
    match &first {
        Ok(recovered) => check_done(disk, recovered, inspected.as_ref().ok()),
        Err(ReadyError::Recover(RecoverError::End { .. } | RecoverError::Disk { .. })) => {}
        Err(error) => {
            assert_eq!(
                without_locks(&before),
                without_locks(&after),
                "refused, and changed: {error:?}"
            );
        }
    }
    first.is_ok()
}

fn recovered(disk: &SimFs) -> Result<Recovered, ReadyError> {
    let target = Target::open(disk, Path::new(TARGET), Parents::Require);
    let target =
        target.expect("it was opened before, and recovery leaves no link or file in its place");
    target
        .lock("fuzz", &mut |_| Patience::GiveUp)
        .map(|(_, recovered)| recovered)
}

/// Recovery did what it announced, and the next run has nothing to do.
fn check_done(disk: &SimFs, done: &Recovered, announced: Option<&Inspection>) {
    let announced = announced.expect("who can recover can look");
    assert_eq!(announced.decision.as_ref().ok(), Some(&done.decision));
    let before = objects(disk);
    let again = recovered(disk).expect("what was recovered can be locked");
    assert_eq!(again.decision, Decision::Nothing);
    assert_eq!(
        without_locks(&before),
        without_locks(&objects(disk)),
        "a second recovery changes something"
    );
}

/// I5: what is deleted is owned by a record, or its name proves what it is.
fn check_deletions(case: &Case, bounds: &Bounds, (before, after): (&Objects, &Objects)) {
    let mut claimed: BTreeSet<Identity> = BTreeSet::new();
    for (_, record) in records(before) {
        claimed.insert(record.stage);
        let acts = record.steps().iter().map(|step| step.act);
        claimed.extend(acts.flat_map(|act| [act.coming(), act.going()]).flatten());
    }
    let is_owned = |path: &str, object: &Object| {
        let above = path
            .match_indices('/')
            .filter_map(|(end, _)| path.get(..end));
        let mut at = above
            .chain([path])
            .filter_map(|path| Some((path, before.get(path)?)));
        at.any(|(path, object)| claimed.contains(&object.identity) || proves_itself(path, object))
            || is_passing(before, bounds, path, object)
    };
    let lost = lost(before, after, case, is_owned);
    assert!(
        lost.is_empty(),
        "no record owned what was deleted: {lost:?}"
    );
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Objects whose name holds their own identity: trash, and a stage that was not published.
fn proves_itself(path: &str, object: &Object) -> bool {
    let proofs = ["trash", "new"].map(|kind| format!("{kind}-{}", object.identity));
    proofs
        .iter()
        .any(|proof| name(path).ends_with(proof.as_str()))
}

/// What transactions create and delete: journals, locks, markers, the engine's own directory, and
/// empty objects.
fn is_passing(before: &Objects, bounds: &Bounds, path: &str, object: &Object) -> bool {
    match &object.entry {
        // A record is deleted with its generation; a marker was part of an identity.
        SimEntry::File { .. } => {
            bounds.has(path) && (is_note(bounds, path) || name(path).starts_with("token-"))
        }
        SimEntry::Dir { .. } => {
            let below = format!("{path}/");
            let is_empty = !before.keys().any(|other| other.starts_with(&below));
            is_empty || path == format!("{}/.rvenv", bounds.target)
        }
        SimEntry::Symlink { .. } | SimEntry::Other { .. } => false,
    }
}

fn is_note(bounds: &Bounds, path: &str) -> bool {
    let within = format!("{}/.rvenv/", bounds.target);
    let read = match path.strip_prefix(&within) {
        Some(name) => Names::inside().read(name),
        None if bounds.has(path) => {
            let target = name(&bounds.target);
            Names::of(target).read(name(path))
        }
        None => None,
    };
    matches!(
        read,
        Some(
            Sibling::Journal(_)
                | Sibling::JournalDraft
                | Sibling::Lock
                | Sibling::GenerationRecord(_)
        )
    )
}
