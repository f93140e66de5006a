//! Publications entry by entry, while a user works in the target.
//!
//! What a user edits, replaces, deletes or makes between a crash and its recovery, or between the
//! last check and the steps, is not lost (I5), and everything else is as it was or as planned (I1).
//! Filesystems that refuse a step, once or for good, are here too.
//!
//! Read next: `crash.rs`, where no user acts.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

use rvenv_journal::fs::sim::{Fault, Options, Reach, SimFs, Support};
use rvenv_journal::fs::{Dir, Fs, Rename};
use rvenv_journal::raw::{Decision, Former, PublishError, Upshot, WhyKept};
use rvenv_journal::{Aftermath, NoContent, Publication, PublishFailed};

use crate::publication::history::{killed_before, options, slots};
use crate::publication::user::{ACTS, Act, PATHS, act, has_work, target_without, without};
use crate::publication::{
    Case, Exit, Ground, Outcome, TARGET, Verb, beside, numbered, ready, recover, run, tree_at,
};

fn merge() -> Case {
    Case::of("merge", Publication::Merge)
}

fn no_exchange() -> Options {
    Options {
        exchange: Support::Absent,
        ..Options::default()
    }
}

/// Merges on every kind of filesystem and ground on which a user may act.
fn merges() -> [Case; 5] {
    let pairs = Case::of("merge, take and put", Publication::Merge).on(no_exchange());
    [
        merge(),
        merge().awaited(),
        pairs.clone(),
        pairs.awaited(),
        merge().file_by_file().awaited(),
    ]
}

/// Tries everything that a user may do, each on its own copy of the disk.
fn for_each_act(disk: &SimFs, mut check: impl FnMut(&SimFs, &str, Act)) {
    for path in PATHS {
        for done in ACTS {
            let disk = disk.killed();
            if act(&disk, path, done) {
                check(&disk, path, done);
            }
        }
    }
}

/// I1, I5: a merge is killed at every step, then a user does something, then it is recovered.
#[test]
fn what_a_user_does_before_the_recovery_is_not_lost() {
    let mut meddled = 0;
    for case in merges() {
        let base = case.disk();
        let plan = case.plan(&base);
        let outcome = Outcome::of(&case);
        for steps in 0.. {
            let disk = base.killed();
            disk.crash_after(steps);
            run(&disk, &plan, &case);
            if !disk.has_crashed() {
                break;
            }
            for_each_act(&disk, |found, path, done| {
                meddled += 1;
                let story = format!(
                    "{}, {done:?} {path}, after\n{}",
                    case.name,
                    numbered(&disk.steps())
                );
                check_recovered(&outcome, found, (path, done), &story);
            });
        }
    }
    assert!(meddled > 5000, "{meddled}");
}

fn check_recovered(outcome: &Outcome, disk: &SimFs, (path, done): (&str, Act), story: &str) {
    let (_, recovered) = ready(disk).unwrap_or_else(|error| panic!("{error:?}\n{story}"));
    let told = || format!("{story}\nthen\n{}", numbered(&disk.steps()));
    let rest = target_without(disk, path);
    let is_one = [&outcome.old, &outcome.new].map(|tree| without(tree, path) == rest);
    assert!(is_one.contains(&true), "neither old nor new\n{}", told());
    // The report about the target matches what it contains.
    let [is_old, is_new] = is_one;
    let is_so = match recovered.upshot {
        Upshot::NothingOpen | Upshot::Torn => true,
        Upshot::Unpublished | Upshot::Undone(Former::Entries) => is_old,
        Upshot::Stays => is_new,
        Upshot::Undone(Former::Nothing | Former::Tree) => false,
    };
    assert!(is_so, "{:?}\n{}", recovered.upshot, told());
    if done != Act::Delete && !has_work(disk, &format!("{TARGET}/{path}")) {
        let kept = recovered.ending.kept;
        let kept = kept.unwrap_or_else(|| panic!("nothing is kept\n{}", told()));
        assert_eq!(kept.why, WhyKept::Changed);
        let name = format!("{TARGET}/.rvenv/{}", kept.name);
        assert!(has_work(disk, &name), "not in {name}\n{}", told());
    }
    assert_eq!(recover(disk).unwrap(), Decision::Nothing, "{}", told());
}

/// I4, I5: what a user writes between the last check and the steps makes the plan stale, or is
/// kept.
#[test]
fn what_a_user_does_right_before_the_steps_is_not_lost() {
    let refill = Case::of("refill", Publication::Refill);
    for case in merges().into_iter().chain([refill]) {
        let base = case.disk();
        let plan = case.plan(&base);
        let outcome = Outcome::of(&case);
        for (path, done) in PATHS.iter().flat_map(|path| ACTS.map(|done| (*path, done))) {
            // A clear is asked to delete unplanned files as well.
            let is_cleared = case.publication == Publication::Refill
                && (!outcome.new.contains_key(path)
                    || (done == Act::Edit && ["bin", "package"].contains(&path)));
            if is_cleared || !act(&base.killed(), path, done) {
                continue;
            }
            let disk = base.killed();
            let (ready, _) = ready(&disk).unwrap();
            let prepared = ready.prepare(&plan, case.terms, &NoContent).unwrap();
            let staged = prepared.stage(&options()).unwrap();
            // The interrupt check is the last call before the steps.
            let published = staged.publish(&|| {
                act(&disk, path, done);
                false
            });
            let wanted = match published {
                Ok(published) => {
                    published.settle().unwrap();
                    &outcome.new
                }
                Err(failed) => {
                    assert_eq!(failed.aftermath, Aftermath::Unchanged, "{failed:?}");
                    &outcome.old
                }
            };
            let story = format!(
                "{}, {done:?} {path}\n{}",
                case.name,
                numbered(&disk.steps())
            );
            assert_eq!(
                target_without(&disk, path),
                without(wanted, path),
                "{story}"
            );
            let place = format!("{TARGET}/{path}");
            assert!(done == Act::Delete || has_work(&disk, &place), "{story}");
            assert_eq!(beside(&disk), [""; 0], "{story}");
        }
    }
}

/// I4: the same, before the last check.
#[test]
fn what_changed_while_staging_is_refused_and_named() {
    let case = merge();
    for (path, done, named) in [
        ("cfg", Act::Edit, "cfg"),
        ("cfg", Act::Delete, "cfg"),
        ("link", Act::Replace, "link"),
        ("bin/tool", Act::Create, "bin/tool"),
        ("package/b", Act::Edit, "package/b"),
    ] {
        let disk = case.disk();
        let plan = case.plan(&disk);
        let (ready, _) = ready(&disk).unwrap();
        let prepared = ready.prepare(&plan, case.terms, &NoContent).unwrap();
        let staged = prepared.stage(&options()).unwrap();
        assert!(act(&disk, path, done));
        let failed = staged.publish(&|| false).unwrap_err();
        let PublishError::Changed(stale) = &failed.source else {
            panic!("{failed:?}");
        };
        assert_eq!(stale.path, named);
        assert_eq!(failed.aftermath, Aftermath::Unchanged);
        assert_eq!(beside(&disk), [""; 0]);
    }
}

/// I1: the journal has the identity of the directory that the steps will move, not of the one that
/// was there while the draft was written.
#[test]
fn a_directory_that_was_replaced_by_an_equal_one_while_staging_is_the_old_one() {
    for (case, decision) in [
        (merge(), Decision::Settle),
        (merge().awaited(), Decision::Undo),
    ] {
        let disk = case.disk();
        let plan = case.plan(&disk);
        let outcome = Outcome::of(&case);
        let (ready, _) = ready(&disk).unwrap();
        let prepared = ready.prepare(&plan, case.terms, &NoContent).unwrap();
        let staged = prepared.stage(&options()).unwrap();
        replace_by_an_equal_one(&disk, "package");
        let published = staged.publish(&|| false).unwrap();
        assert_eq!(tree_at(&disk, TARGET), outcome.new);
        drop(published);
        let disk = disk.killed();
        assert_eq!(recover(&disk).unwrap(), decision);
        let is_settled = decision == Decision::Settle;
        let wanted = if is_settled { outcome.new } else { outcome.old };
        assert_eq!(tree_at(&disk, TARGET), wanted);
        assert_eq!(beside(&disk), [""; 0]);
    }
}

/// Moves everything in a directory of the target into another one, which takes its name.
fn replace_by_an_equal_one(disk: &SimFs, name: &str) {
    let root = disk.open_path(Path::new(TARGET)).unwrap();
    let (name, other) = (OsStr::new(name), OsStr::new("other"));
    let mode = disk.meta(&root, name).unwrap().unwrap().mode;
    disk.make_dir(&root, other, mode & 0o777).unwrap();
    let [from, to] = [name, other].map(|name| disk.open_dir(&root, name).unwrap());
    for entry in disk.list(&from).unwrap() {
        disk.rename(from.at(&entry), to.at(&entry), Rename::NoReplace)
            .unwrap();
    }
    disk.rename(root.at(name), root.at(OsStr::new("old")), Rename::NoReplace)
        .unwrap();
    disk.rename(root.at(other), root.at(name), Rename::NoReplace)
        .unwrap();
    disk.remove_dir(&root, OsStr::new("old")).unwrap();
}

/// I4: the engine exchanges a directory as a whole only while it knows everything in it; another
/// file in it prevents that.
#[test]
fn a_directory_that_got_a_file_while_staging_is_not_exchanged() {
    let case = merge();
    for path in ["package", "gone"] {
        let disk = case.disk();
        let plan = case.plan(&disk);
        let (ready, _) = ready(&disk).unwrap();
        let prepared = ready.prepare(&plan, case.terms, &NoContent).unwrap();
        let staged = prepared.stage(&options()).unwrap();
        assert!(act(&disk, path, Act::Edit));
        let before = disk.step_count();
        let failed = staged.publish(&|| false).unwrap_err();
        assert!(
            matches!(failed.source, PublishError::Changed(_)),
            "{failed:?}"
        );
        let steps = disk.steps().split_off(before);
        let is_of_entry = |step: &String| step.contains(&format!(" /p/t/{path}"));
        assert!(!steps.iter().any(is_of_entry), "{}", numbered(&steps));
        assert!(has_work(&disk, &format!("{TARGET}/{path}")));
    }
}

/// The renames that publish, each with the number of steps before it and both of its paths.
fn publishing(case: &Case) -> Vec<(usize, String, String, Rename)> {
    let steps = case.steps();
    let slots = "/p/t/.rvenv/new-";
    let renames = steps.iter().enumerate().filter_map(|(index, step)| {
        let (verb, names) = step.split_once(" /")?;
        let (from, to) = names.split_once(" -> ")?;
        let (from, to) = (format!("/{from}"), to.to_owned());
        let is_step =
            [&from, &to].map(|side| side.starts_with(slots) && side.matches('/').count() == 5);
        let how = match verb {
            "rename" => Rename::NoReplace,
            "exchange" => Rename::Exchange,
            _ => return None,
        };
        (is_step[0] != is_step[1]).then_some((index, from, to, how))
    });
    let found: Vec<_> = renames.collect();
    assert!(found.len() > 5, "{}", numbered(&steps));
    found
}

fn open_side<'p>(disk: &SimFs, path: &'p str) -> (Dir, &'p OsStr) {
    let (above, name) = path.rsplit_once('/').unwrap();
    let above = above.replace("/p/t/.rvenv/new-*", &format!("/p/{}", slots(disk)));
    let dir = disk.open_path(std::path::Path::new(&above)).unwrap();
    (dir, OsStr::new(name))
}

/// I5: a user replaces an entry right before its step, and the process dies after the step.
#[test]
fn an_entry_that_was_replaced_right_before_its_step_comes_back() {
    for case in [merge(), merge().on(no_exchange())] {
        let outcome = Outcome::of(&case);
        let base = case.disk();
        let plan = case.plan(&base);
        for (steps, from, to, how) in publishing(&case) {
            let disk = base.killed();
            disk.crash_after(steps);
            run(&disk, &plan, &case);
            let disk = disk.killed();
            let live = [&from, &to]
                .into_iter()
                .find(|side| !side.contains("/new-"));
            let path = live.unwrap().strip_prefix("/p/t/").unwrap();
            if path.starts_with(".rvenv") || !act(&disk, path, Act::Replace) {
                continue;
            }
            let (one, other) = (open_side(&disk, &from), open_side(&disk, &to));
            disk.rename(one.0.at(one.1), other.0.at(other.1), how)
                .unwrap();
            let story = format!("{}: {from} -> {to}", case.name);
            assert_eq!(recover(&disk).unwrap(), Decision::Undo, "{story}");
            assert!(has_work(&disk, &format!("{TARGET}/{path}")), "{story}");
            assert_eq!(target_without(&disk, path), without(&outcome.old, path));
            assert_eq!(beside(&disk), [""; 0], "{story}");
        }
    }
}

/// Publishes a case that fails.
fn failed(disk: &SimFs, case: &Case) -> PublishFailed {
    let plan = case.plan(disk);
    let (ready, _) = ready(disk).unwrap();
    let prepared = ready.prepare(&plan, case.terms, &NoContent).unwrap();
    let staged = prepared.stage(&options()).unwrap();
    staged.publish(&|| false).unwrap_err()
}

/// I1: when a filesystem refuses one step, the engine takes the others back, and the caller may
/// retry with smaller steps.
#[test]
fn a_step_that_is_refused_takes_the_others_back() {
    let foreign = merge().on_ground(Ground::Foreign);
    let refill = Case::of("refill", Publication::Refill);
    for case in [merge(), merge().on(no_exchange()), foreign, refill] {
        let outcome = Outcome::of(&case);
        let base = case.disk();
        for (steps, from, to, _) in publishing(&case) {
            for kind in [
                ErrorKind::CrossesDevices,
                ErrorKind::ResourceBusy,
                ErrorKind::PermissionDenied,
            ] {
                let disk = base.killed();
                disk.fail(Fault {
                    step: steps + 1,
                    kind,
                    reach: Reach::Once,
                });
                let failed = failed(&disk, &case);
                let story = format!("{}: {from} -> {to}: {failed:?}", case.name);
                assert_eq!(failed.aftermath, Aftermath::Unchanged, "{story}");
                assert!(failed.may_go_by_smaller_steps(), "{story}");
                assert_eq!(tree_at(&disk, TARGET), outcome.old, "{story}");
                assert_eq!(beside(&disk), [""; 0], "{story}");
                let smaller = case.clone().file_by_file();
                let plan = smaller.plan(&disk);
                assert_eq!(run(&disk, &plan, &smaller), Exit::Done, "{story}");
            }
        }
    }
}

/// A directory that cannot be switched as a whole is switched file by file.
#[test]
fn over_a_lower_layer_smaller_steps_succeed() {
    for publication in [Publication::Merge, Publication::Refill] {
        let whole = Case::of("over a lower layer", publication).on_ground(Ground::Lower);
        let disk = whole.disk();
        let before = tree_at(&disk, TARGET);
        let failed = failed(&disk, &whole);
        assert!(failed.may_go_by_smaller_steps(), "{failed:?}");
        assert_eq!(tree_at(&disk, TARGET), before);
        assert_eq!(beside(&disk), [""; 0]);
        let smaller = whole.clone().file_by_file();
        let plan = smaller.plan(&disk);
        assert_eq!(run(&disk, &plan, &smaller), Exit::Done);
        let tree = tree_at(&disk, TARGET);
        let new = Outcome::of(&smaller).new;
        // The receipt names the plan, and the plan expects the objects that were copied up before
        // the first step.
        let receipt = ".rvenv/receipt.json";
        assert_eq!(without(&tree, receipt), without(&new, receipt));
        // A directory that cannot be moved stays behind, empty.
        let below = |path: &&String| path.starts_with("gone");
        assert_eq!(tree.keys().filter(below).collect::<Vec<_>>(), ["gone"]);
    }
}

/// I3: an interpreter never exists without its configuration: the engine switches ordered entries
/// in the plan's order.
#[test]
fn what_a_plan_orders_is_switched_last_and_in_its_order() {
    let case = merge();
    let live = |(_, from, to, _): (usize, String, String, Rename)| {
        let side = [from, to].into_iter().find(|side| !side.contains("/new-"));
        side.unwrap().strip_prefix("/p/t/").unwrap().to_owned()
    };
    let order: Vec<String> = publishing(&case).into_iter().map(live).collect();
    let expected = [
        "bin/tool",
        "fresh",
        "package",
        "cfg",
        "link",
        "bin/old-tool",
        "gone",
        "mixed/y",
        ".rvenv/receipt.json",
    ];
    assert_eq!(order, expected);
    // Only renames happen between two of them.
    let steps: Vec<usize> = publishing(&case).into_iter().map(|step| step.0).collect();
    assert!(
        steps.windows(2).all(|pair| pair[0] + 1 == pair[1]),
        "{steps:?}"
    );
}

/// I2: POSIX guarantees a rename between two directories only once both are synced. The simulated
/// disk loses less than POSIX allows, so this test checks the syncs themselves.
#[test]
fn both_sides_of_every_step_are_synced_before_the_decision() {
    let rolled = merge().rolled(Verb::Rollback);
    let parents = ["/p/t", "/p/t/bin", "/p/t/mixed"];
    for (case, slots) in [
        (merge(), "/p/t/.rvenv/new-*"),
        (rolled, "/p/t/.rvenv/old-1"),
    ] {
        let steps = case.steps();
        let mut decided = steps.iter().enumerate();
        let decided = decided.find(|(_, step)| step.ends_with("/journal.settle"));
        let (decided, _) = decided.unwrap();
        let is_sync = |step: &&String| step.starts_with("sync /p/t");
        let before = steps[..decided].iter().rev();
        let mut synced: Vec<_> = before.take_while(is_sync).collect();
        synced.reverse();
        // The entries are synced first: a power cut that persists the removal from a slot but not
        // the new entry would lose its content.
        let dirs = parents.iter().chain([&slots, &"/p/t/.rvenv"]);
        let expected: Vec<_> = dirs.map(|dir| format!("sync {dir}")).collect();
        assert!(synced.into_iter().eq(&expected), "{}", numbered(&steps));
    }
}

/// I5: without an exchange, undoing a take keeps a file that a user made at the entry meanwhile.
#[test]
fn without_an_exchange_a_new_file_at_a_taken_entry_is_kept() {
    let case = merge().on(no_exchange()).awaited();
    let outcome = Outcome::of(&case);
    let base = case.disk();
    let plan = case.plan(&base);
    let (steps, ..) = publishing(&case).pop().unwrap();
    let published = base.killed();
    published.crash_after(steps + 1);
    run(&published, &plan, &case);
    let published = published.killed();
    assert!(act(&published, "bin/old-tool", Act::Create));
    // The recovery is killed at every step, too.
    for count in 0.. {
        let disk = published.killed();
        disk.crash_after(count);
        let _interrupted = recover(&disk);
        let is_done = !disk.has_crashed();
        let disk = disk.killed();
        let (_, recovered) = ready(&disk).unwrap();
        let is_ended = recovered.decision == Decision::Nothing;
        assert!(is_ended || recovered.ending.kept.is_some(), "{count}");
        assert_eq!(tree_at(&disk, TARGET), outcome.old);
        assert!(has_work(&disk, "/p/t/.rvenv/old-1"), "{count}");
        if is_done {
            break;
        }
    }
}

/// I1: a power cut lost the new entry, and a second one hit while recovery restored the old entry
/// by a link. The entry that exists then is not a user's change.
#[test]
fn an_old_entry_that_is_half_back_is_not_taken_for_a_change() {
    let case = merge().on(Options {
        no_replace: Support::Absent,
        ..no_exchange()
    });
    let outcome = Outcome::of(&case);
    let base = killed_before(&case, "link /p/t/.rvenv/new-*/5 -> /p/t/cfg");
    let slots = base.open_path(&Path::new("/p").join(slots(&base))).unwrap();
    let root = base.open_path(Path::new(TARGET)).unwrap();
    base.remove_file(&slots, OsStr::new("5")).unwrap();
    base.link(slots.at("4"), root.at("cfg")).unwrap();
    let home = base.open_path(Path::new("/p/t/.rvenv")).unwrap();
    let [open, undo] = ["journal", "journal.undo"].map(OsStr::new);
    base.rename(home.at(open), home.at(undo), Rename::Replace)
        .unwrap();
    for steps in 0.. {
        let disk = base.killed();
        disk.crash_after(steps);
        let _interrupted = recover(&disk);
        let is_done = !disk.has_crashed();
        let disk = disk.killed();
        recover(&disk).unwrap_or_else(|error| panic!("{error:?} after {steps} steps"));
        assert_eq!(tree_at(&disk, TARGET), outcome.old, "{steps}");
        if is_done {
            break;
        }
    }
}
