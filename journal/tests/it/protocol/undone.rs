//! What an undo kept never was decided to be good: it is no generation to go back to.
//!
//! Read next: `recovery.rs`, what an undo keeps; `rollback.rs`, what comes back.

use std::ffi::OsStr;
use std::path::Path;

use rvenv_journal::fs::Fs;
use rvenv_journal::fs::sim::SimFs;
use rvenv_journal::raw::{Generation, WhyKept};
use rvenv_journal::{
    Durability, NoContent, Parents, Publication, RelPath, RollbackError, RollbackTerms, Target,
    Verdict, generations,
};

use crate::publication::history::{options, state};
use crate::publication::user::{Act, act};
use crate::publication::{Case, Exit, Outcome, TARGET, ready, roll, run, tree_at};

/// Every way to publish in which an undo can keep what it reversed.
fn ways() -> [Case; 2] {
    [
        Case::of("swap", Publication::Replace),
        Case::of("merge", Publication::Merge),
    ]
}

/// Publishes, dies before the verdict, and recovers after a user changed what was published.
fn undo_changed(disk: &SimFs, case: &Case) {
    let terms = case.clone().awaited().terms;
    let plan = case.plan(disk);
    let (locked, _) = ready(disk).unwrap();
    let prepared = locked.prepare(&plan, terms, &NoContent).unwrap();
    let staged = prepared.stage(&options()).unwrap();
    // Dropping it leaves on disk what a kill would leave.
    drop(staged.publish(&|| false).unwrap());
    assert!(act(disk, "bin/tool", Act::Edit));
    let (_, recovered) = ready(disk).unwrap();
    assert_eq!(recovered.ending.kept.unwrap().why, WhyKept::Changed);
}

fn found(disk: &SimFs) -> Vec<Generation> {
    let target = Target::open(disk, Path::new(TARGET), Parents::Require).unwrap();
    generations(&target).unwrap()
}

/// I5: it is refused where it is all there is, and nothing is touched.
#[test]
fn what_an_undo_kept_does_not_come_back() {
    for case in ways() {
        let disk = case.disk();
        undo_changed(&disk, &case);
        assert!(
            found(&disk).iter().all(|one| one.is_undone),
            "{}",
            case.name
        );
        let before = state(&disk);
        let (locked, _) = ready(&disk).unwrap();
        let terms = RollbackTerms::of(Durability::Power, Verdict::BySteps);
        let refused = locked.rollback(&terms).unwrap_err();
        let is_named = matches!(refused, RollbackError::OnlyUndone { generation: 1, .. });
        assert!(is_named, "{refused:?}");
        assert!(state(&disk) == before, "{}", case.name);
    }
}

/// I5: a rollback passes over it, and brings back what a publication replaced.
#[test]
fn a_rollback_passes_over_what_an_undo_kept() {
    for case in ways() {
        let kept = case.clone().kept();
        let outcome = Outcome::of(&kept);
        let disk = kept.disk();
        assert_eq!(run(&disk, &kept.plan(&disk), &kept), Exit::Done);
        // So that the next run of the same plan has something to do.
        assert!(act(&disk, "bin/tool", Act::Edit));
        undo_changed(&disk, &case);
        let found = found(&disk);
        let undone: Vec<_> = found.iter().map(|one| one.is_undone).collect();
        assert_eq!(undone, [false, true], "{}", case.name);
        // A file that the older generation has is read from it, not from the undone one.
        let target = Target::open(&disk, Path::new(TARGET), Parents::Require).unwrap();
        let path = RelPath::new("bin/tool").unwrap();
        assert_eq!(found[0].read(&target, &path, 99).unwrap(), None);
        let (locked, _) = ready(&disk).unwrap();
        let ending = roll(locked, &kept).unwrap().settle().unwrap();
        assert_eq!(ending.kept.unwrap().generation, 1);
        assert_eq!(tree_at(&disk, TARGET), outcome.old, "{}", case.name);
    }
}

/// What is kept because a later user replaced it is brought back: it may be the last copy.
#[test]
fn what_was_replaced_is_not_taken_for_undone() {
    for case in ways() {
        let kept = case.kept();
        let disk = kept.disk();
        assert_eq!(run(&disk, &kept.plan(&disk), &kept), Exit::Done);
        assert_eq!(found(&disk).len(), 1);
        assert!(!found(&disk)[0].is_undone, "{}", kept.name);
        let (locked, _) = ready(&disk).unwrap();
        roll(locked, &kept).unwrap().settle().unwrap();
        assert!(!found(&disk)[0].is_undone, "{}, rolled back", kept.name);
        let root = disk.open_path(Path::new(TARGET)).unwrap();
        assert!(disk.meta(&root, OsStr::new("cfg")).unwrap().is_some());
    }
}
