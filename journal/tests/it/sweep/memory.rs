//! What a sweep has met, so that no recovery is made twice: not in one sweep, and not in two that
//! could not differ.
//!
//! Promises that a recovery is left out only if the very same one was made and judged before, by a
//! judge no milder. What becomes of a recovery follows from the disk, from what of it is durable,
//! from what the filesystem can do and from whether the machine was started since the publication.
//! What is right about it follows from the old tree and the new one, and from what may be kept
//! beside them. Sweeps in which all of that is equal make a class; the disk is the key. How the
//! publication ends, who was to judge it and how it was cut into steps is no part of that: where it
//! matters, the journal says it, and the journal is on the disk.
//!
//! Two things that differ between equal disks matter to no recovery: how far clocks and counters
//! are (new objects get numbers and times that none has, whatever these are), and what the lock
//! file of the run before is.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use rvenv_journal::Retention;

use super::{Job, Trouble};
use crate::publication::{Ground, Outcome, Verb};

/// What the sweeps of one class have met.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Disks that were recovered, with how many crashes were let follow.
    recovered: BTreeMap<u64, u8>,
    /// Disks as recovery left them, which were looked at.
    ended: BTreeSet<u64>,
}

impl Memory {
    /// Whether a disk was recovered, with no fewer crashes inside.
    pub(super) fn has(&self, key: u64, later: usize) -> bool {
        let met = self.recovered.get(&key);
        met.is_some_and(|met| usize::from(*met) >= later)
    }

    /// Notes that a disk is recovered, with so many crashes inside.
    pub(super) fn keep(&mut self, key: u64, later: usize) {
        let later = u8::try_from(later).expect("three crashes follow on each other at most");
        self.recovered.insert(key, later);
    }

    /// Notes how a recovery left a disk; whether it is the first that did.
    pub(super) fn is_first_end(&mut self, digest: u64) -> bool {
        self.ended.insert(digest)
    }
}

/// The positions of jobs, by class, the largest class first; in a class first those that are judged
/// most strictly.
pub(super) fn in_classes(jobs: &[Job]) -> Vec<Vec<usize>> {
    let mut classes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, job) in jobs.iter().enumerate() {
        classes.entry(class(job)).or_default().push(at);
    }
    let mut classes: Vec<_> = classes.into_values().collect();
    for class in &mut classes {
        // After a failed sync less is asked of a recovery.
        class.sort_by_key(|at| jobs.get(*at).map(|job| job.trouble == Trouble::Sync));
    }
    classes.sort_by_key(|class| std::cmp::Reverse(class.len()));
    classes
}

/// What is equal in two sweeps in which equal disks mean equal recoveries, and equal judgements.
fn class(job: &Job) -> String {
    let case = &job.case;
    let by_entries = case.publication.is_by_entries();
    let is_layered = case.ground == Ground::Lower;
    let is_rolled = case.verb != Verb::Publish;
    // What is kept is brought back on the terms of the case, to see whether it can be.
    let kept = (case.terms.retention == Retention::Keep).then_some(case.terms);
    let outcome = Outcome::of(case);
    let mut trees = DefaultHasher::new();
    for tree in [&outcome.old, &outcome.new] {
        format!("{tree:?}").hash(&mut trees);
    }
    format!(
        "{:?} {:?} {by_entries} {is_layered} {is_rolled} {kept:?} {:?} {:x}",
        job.models,
        case.options,
        case.terms.durability,
        trees.finish(),
    )
}
