//! The states that a sweep has met, so that it runs no recovery twice, neither in one sweep nor in
//! two that cannot differ.
//!
//! Promises that a recovery is skipped only if the same one ran before, with a check that is at
//! least as strict. The result of a recovery depends on the disk, on which part of it is durable,
//! on what the filesystem can do and on whether the machine rebooted since the publication. Whether
//! the result is right depends on the old tree and the new one, and on what may be kept beside
//! them. Sweeps in which all of that is equal form a class; the disk is the key. How the
//! publication ends, how it is checked and how it is split into steps do not matter: where they
//! would, the journal records it, and the journal is on the disk.
//!
//! Two differences between equal disks matter to no recovery: the state of clocks and counters (new
//! objects always get unused numbers and times), and the identity of the lock file of the run
//! before.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use rvenv_journal::Retention;

use super::{Job, Trouble};
use crate::publication::{Ground, Outcome, Verb};

/// What the sweeps of one class have met.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Disks that were recovered, with the number of crashes that followed.
    recovered: BTreeMap<u64, u8>,
    /// Disks as recovery left them, which were checked.
    ended: BTreeSet<u64>,
}

impl Memory {
    /// Whether a disk was recovered, with no fewer crashes inside.
    pub(super) fn has(&self, key: u64, later: usize) -> bool {
        let met = self.recovered.get(&key);
        met.is_some_and(|met| usize::from(*met) >= later)
    }

    /// Notes that a disk is recovered, with this many crashes inside.
    pub(super) fn keep(&mut self, key: u64, later: usize) {
        let later = u8::try_from(later).expect("three crashes follow on each other at most");
        self.recovered.insert(key, later);
    }

    /// Notes how a recovery left a disk, and returns whether that result is new.
    pub(super) fn is_first_end(&mut self, digest: u64) -> bool {
        self.ended.insert(digest)
    }
}

/// The indexes of jobs, by class, the largest class first; in each class the strictest check comes
/// first.
pub(super) fn in_classes(jobs: &[Job]) -> Vec<Vec<usize>> {
    let mut classes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, job) in jobs.iter().enumerate() {
        classes.entry(class(job)).or_default().push(at);
    }
    let mut classes: Vec<_> = classes.into_values().collect();
    for class in &mut classes {
        // After a failed sync the check of a recovery is less strict.
        class.sort_by_key(|at| jobs.get(*at).map(|job| job.trouble == Trouble::Sync));
    }
    classes.sort_by_key(|class| std::cmp::Reverse(class.len()));
    classes
}

/// The key of a class: where it is equal, equal disks mean equal recoveries and equal checks.
fn class(job: &Job) -> String {
    let case = &job.case;
    let by_entries = case.publication.is_by_entries();
    let is_layered = case.ground == Ground::Lower;
    // Rollback and Forward meet the same disks, and are checked in the same way.
    let verb = match case.verb {
        Verb::Forward => Verb::Rollback,
        verb @ (Verb::Publish | Verb::Rollback | Verb::Remove | Verb::Restore) => verb,
    };
    // The check rolls back what is kept, on the terms of the case.
    let kept = (case.terms.retention == Retention::Keep).then_some(case.terms);
    let outcome = Outcome::of(case);
    let mut trees = DefaultHasher::new();
    for tree in [&outcome.old, &outcome.new] {
        format!("{tree:?}").hash(&mut trees);
    }
    format!(
        "{:?} {:?} {by_entries} {is_layered} {verb:?} {kept:?} {:?} {:?} {:x}",
        job.models,
        case.options,
        case.aside,
        case.terms.durability,
        trees.finish(),
    )
}
