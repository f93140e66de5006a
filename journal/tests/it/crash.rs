//! The crash sweep: every publication is killed, and loses power, at every step.
//!
//! The sweep stops the run at each step of a publication. For each disk that may exist after that
//! crash, the next run recovers. The target must then be the old tree or the new one (I1), the new
//! one if the run had succeeded (I2), with no leftover of the engine beside it. Then a second and a
//! third crash follow inside the recoveries.
//!
//! The count at the end is of distinct pairs of a disk and a decision; `sweep/mod.rs` says what
//! makes two disks equal. `RVENV_SWEEP=deep` goes further. A failure prints the steps with the
//! effect of the crash on each, and a line that reproduces it.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests print what they counted, and are asked by a variable to go further"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::time::Instant;

use rvenv_journal::fs::Barrier;
use rvenv_journal::fs::sim::{Bound, Fault, Options, Persistence, Reach, SimFs, Support};
use rvenv_journal::raw::RecoverError;
use rvenv_journal::{Aftermath, Durability, Publication, ReadyError};

use crate::publication;
use crate::publication::cases::{
    cases, entry_cases, layered_cases, removed_cases, rolled_cases, with_numbers_reused,
};
use crate::publication::{
    Case, Exit, LOCK, Outcome, TARGET, Verb, likeness, numbered, recover, run, run_until, tree_at,
};
use crate::sweep::{Job, Report, Scale, Sweep, Trouble, sweep_all};

/// All models of what a crash may lose.
const CRASHES: &[Persistence] = &[
    Persistence::Kill,
    Persistence::Ordered,
    Persistence::Independent,
];
const KILLS: &[Persistence] = &[Persistence::Kill];

/// Few images, but enough for each way to lose names.
const NARROW: Bound = narrow(6);

/// At most this many images of a crash.
const fn narrow(combinations_max: usize) -> Bound {
    Bound {
        combinations_max,
        sampled: 0,
        seed: 0,
    }
}

/// Whether the sweep only has to notice a mutant: then it takes a few cases, and a few images of
/// each.
const IS_BOUNDED: bool = cfg!(feature = "mutants");

/// The value of `RVENV_SWEEP`: `deep`, or the line that a failure ended with.
fn asked() -> Option<String> {
    std::env::var("RVENV_SWEEP").ok()
}

fn is_deep() -> bool {
    asked().is_some_and(|asked| asked == "deep")
}

/// How far a sweep goes: each publication has a random choice of its own where there are too many
/// images.
fn scale(seed: usize) -> Scale {
    let (combinations_max, sampled, inside, follow_max) = match (IS_BOUNDED, is_deep()) {
        (true, _) => (6, 0, 4, 40),
        (false, false) => (256, 5_000, 6, 40),
        (false, true) => (4096, 2_000_000, 8, 200),
    };
    let wide = Bound {
        combinations_max,
        sampled,
        seed: (seed as u64) << 32,
    };
    Scale {
        wide,
        narrow: narrow(inside),
        third_one_in: 16,
        follow_max,
    }
}

/// Every sweep.
fn jobs() -> Vec<Job> {
    let job = |group, case, models, trouble| Job {
        group,
        case,
        models,
        trouble,
        scale: scale(0),
    };
    let every = || {
        let others = rolled_cases().into_iter().chain(layered_cases());
        all_cases().into_iter().chain(others)
    };
    let nothing = Trouble::Nothing;
    let mut jobs = Vec::new();
    jobs.extend(every().map(|case| job("crashes", case, CRASHES, nothing)));
    let sync = Trouble::Sync;
    jobs.extend(
        all_cases()
            .into_iter()
            .map(|case| job("doubt", case, CRASHES, sync)),
    );
    let reused = |case: Case| {
        let options = with_numbers_reused(&case.options);
        case.on(options)
    };
    let reused = all_cases().into_iter().map(reused);
    jobs.extend(reused.map(|case| job("numbers reused", case, CRASHES, nothing)));
    jobs.extend(every().map(|case| job("kills", case, KILLS, nothing)));
    let unsynced = unsynced_cases().into_iter();
    jobs.extend(unsynced.map(|case| job("process durability", case, KILLS, nothing)));
    for (seed, job) in jobs.iter_mut().enumerate() {
        job.scale = scale(seed);
        if job.models == KILLS {
            job.scale.follow_max = usize::MAX;
        } else if job.group != "crashes" {
            job.scale.follow_max /= 4;
            if !is_deep() {
                job.scale.wide.sampled /= 8;
            }
        }
    }
    jobs
}

/// I1, I2, I5: after a crash, and after further crashes in the recovery from it and in the next
/// one, the target is the old tree or the new one, the new one if the run reported success, and
/// what was kept can be brought back.
#[test]
fn every_crash_leaves_the_old_or_the_new_tree() {
    let jobs = jobs();
    if let Some(line) = asked().filter(|asked| asked != "deep") {
        let is_it = |job: &&Job| line.starts_with(&format!("{}; {};", job.group, job.case.name));
        let job = jobs.iter().find(is_it).expect("the line names a sweep");
        let story = Sweep::new(job).again(&line);
        println!("{}", story.unwrap_or_else(|tale| panic!("{tale}")));
        return;
    }
    let start = Instant::now();
    let reports = sweep_all(&jobs).unwrap_or_else(|tale| panic!("{tale}"));
    let pairs = print_counts(&jobs, &reports);
    println!("in {:.0} s", start.elapsed().as_secs_f32());
    let pairs_min = match (IS_BOUNDED, asked()) {
        (true, _) => 1_000,
        (false, None) => 1_000_000,
        (false, Some(_)) => 10_000_000,
    };
    assert!(pairs >= pairs_min, "only {pairs} distinct pairs");
}

/// Prints one line for each publication, and the total number of distinct pairs, which it returns.
fn print_counts(jobs: &[Job], reports: &[Report]) -> usize {
    let mut groups: BTreeMap<&str, (u64, Vec<u64>)> = BTreeMap::new();
    let (mut recoveries, mut pairs) = (0, Vec::new());
    for (job, report) in jobs.iter().zip(reports) {
        let Report {
            firsts, followed, ..
        } = report;
        println!(
            "{}, {}: {} distinct pairs in {} recoveries; {followed} of {firsts} first crashes were followed by others",
            job.group,
            job.case.name,
            report.pairs.len(),
            report.recoveries,
        );
        let group = groups.entry(job.group).or_default();
        group.0 += report.recoveries;
        group.1.extend(&report.pairs);
        recoveries += report.recoveries;
        pairs.extend(&report.pairs);
    }
    let distinct = |pairs: &mut Vec<u64>| {
        pairs.sort_unstable();
        pairs.dedup();
        pairs.len()
    };
    for (name, (recoveries, mut pairs)) in groups {
        println!(
            "{name}: {} distinct pairs in {recoveries} recoveries",
            distinct(&mut pairs)
        );
    }
    let count = distinct(&mut pairs);
    println!("in all: {count} distinct pairs of disk and decision, {recoveries} recoveries");
    count
}

/// One sweep skips what another of its class has met. Both would decide it in the same way: sweeps
/// that share no memory meet exactly the same pairs.
#[test]
fn what_is_not_recovered_twice_would_have_been_decided_the_same() {
    let mut jobs = jobs();
    jobs.retain(|job| ["crashes", "doubt", "kills"].contains(&job.group));
    for job in &mut jobs {
        (job.scale.wide, job.scale.follow_max) = (narrow(2), 0);
    }
    let told = |reports: Result<Vec<Report>, String>| {
        let reports = reports.unwrap_or_else(|tale| panic!("{tale}"));
        let recoveries: u64 = reports.iter().map(|report| report.recoveries).sum();
        let pairs = reports.into_iter().flat_map(|report| report.pairs);
        (pairs.collect::<BTreeSet<u64>>(), recoveries)
    };
    let (together, fewer) = told(sweep_all(&jobs));
    let (apart, more) = told(jobs.iter().map(|job| Sweep::new(job).run()).collect());
    assert!(together == apart, "other pairs");
    println!(
        "{} pairs in {fewer} recoveries instead of {more}",
        apart.len()
    );
    assert!(fewer < more, "nothing was left out");
}

/// The sweep can fail: it sees that a power cut breaks a publication without any sync.
#[test]
fn a_sweep_over_publications_without_syncs_fails() {
    for models in [&[Persistence::Ordered], &[Persistence::Independent]] {
        for case in unsynced_cases() {
            let job = Job {
                group: "control",
                case,
                models,
                trouble: Trouble::Nothing,
                scale: scale(1),
            };
            let tale = Sweep::new(&job).run().expect_err(job.case.name);
            assert!(tale.contains("again: RVENV_SWEEP='control; "), "{tale}");
            let line = tale.rsplit('\'').nth(1).unwrap();
            let again = Sweep::new(&job).again(line).expect_err(line);
            assert_eq!(again, tale);
        }
    }
}

/// Whole trees, and entries.
fn all_cases() -> Vec<Case> {
    let all = cases().into_iter();
    let all = all.chain(entry_cases()).chain(removed_cases());
    all.filter(|case| !IS_BOUNDED || BOUNDED.contains(&case.name))
        .collect()
}

/// One case for each thing that no other case does.
const BOUNDED: [&str; 18] = [
    "put",
    "swap",
    "take and put without no-replace",
    "put, synced object by object",
    "swap, synced object by object",
    "swap, kept",
    "swap, undone",
    "take and put, undone by a verdict",
    "merge",
    "merge without no-replace",
    "merge without no-replace, undone",
    "merge, synced object by object",
    "merge into a foreign directory, synced object by object",
    "merge, kept",
    "merge, undone by a verdict",
    "merge into a foreign directory",
    "remove, kept",
    "remove, rolled back",
];

/// The cases in which several crashes follow each other, and the rest: one of each kind of steps,
/// unless runs may be long. How a tree is synced and how its check ends matter little to a
/// recovery.
fn nested_cases() -> (Vec<Case>, Vec<Case>) {
    let kinds = [
        "merge",
        "merge without no-replace",
        "merge, take and put, undone",
        "merge into a foreign directory, undone",
        "refill, kept",
    ];
    let is_nested = |case: &Case| {
        let is_plain = case.options.barrier == Barrier::Filesystem
            && (case.options.no_replace == Support::Present || case.publication.is_by_entries());
        let is_kind = !case.publication.is_by_entries() || kinds.contains(&case.name);
        let is_chosen = !IS_BOUNDED || ["put", "swap", "merge"].contains(&case.name);
        is_plain && is_kind && is_chosen
    };
    all_cases().into_iter().partition(is_nested)
}

fn unsynced_cases() -> Vec<Case> {
    all_cases().into_iter().map(Case::unsynced).collect()
}

/// A tree without its receipt: the receipt names the plan, and the plan expects another tree each
/// time.
fn without_receipt(disk: &SimFs) -> publication::Tree {
    let mut tree = tree_at(disk, TARGET);
    tree.remove(".rvenv/receipt.json");
    tree
}

/// I1: a retired journal does not reappear beside the journal of the next publication.
#[test]
fn a_power_cut_in_the_next_publication_finds_one_journal() {
    for case in [
        Case::of("swap", Publication::Replace),
        Case::of("swap, kept", Publication::Replace).kept(),
    ] {
        for count in 0.. {
            let disk = case.disk();
            assert_eq!(run(&disk, &case.plan(&disk), &case), Exit::Done);
            let new = without_receipt(&disk);
            let plan = case.plan(&disk);
            disk.crash_after(count);
            run(&disk, &plan, &case);
            disk.for_each_image(Persistence::Independent, NARROW, |image, story| {
                recover(&image).unwrap_or_else(|error| panic!("{error:?}\n{story}"));
                assert_eq!(without_receipt(&image), new, "{story}");
            });
            if !disk.has_crashed() {
                break;
            }
        }
    }
}

/// I1, I5: without birth times the tree is old or new, and recovery keeps what it cannot prove to
/// be the engine's.
#[test]
fn without_birth_times_recovery_keeps_what_it_cannot_prove() {
    let bases = [
        Case::of("put", Publication::Put),
        Case::of("swap", Publication::Replace),
        Case::of("swap, kept", Publication::Replace).kept(),
        Case::of("swap, undone", Publication::Replace).undone(),
    ];
    for (base, exchange) in bases.iter().flat_map(|base| {
        let supports = [Support::Present, Support::Absent];
        supports.map(|support| (base, support))
    }) {
        let options = Options {
            births: Support::Absent,
            exchange,
            ..with_numbers_reused(&Options::default())
        };
        let case = base.clone().on(options);
        let outcome = Outcome::of(&case);
        for count in 0.. {
            let disk = case.disk();
            let plan = case.plan(&disk);
            disk.crash_after(count);
            run(&disk, &plan, &case);
            let image = disk.killed();
            let story = || format!("{}\n{}", case.name, numbered(&disk.steps()));
            recover(&image).unwrap_or_else(|error| panic!("{error:?}\n{}", story()));
            let checked = outcome.check_target(&image);
            checked.unwrap_or_else(|what| panic!("{what}\n{}", story()));
            if !disk.has_crashed() {
                break;
            }
        }
    }
}

/// I5: process durability promises nothing for power cuts, but it never deletes the last complete
/// tree.
#[test]
fn a_power_cut_takes_no_whole_tree_from_a_process_durable_publication() {
    let (mut images, mut refused) = (0, 0);
    for case in unsynced_cases() {
        let outcome = Outcome::of(&case);
        let mut seen = BTreeSet::new();
        for steps in 0.. {
            let disk = case.disk();
            let plan = case.plan(&disk);
            disk.crash_after(steps);
            run(&disk, &plan, &case);
            disk.for_each_image(Persistence::Ordered, NARROW, |image, story| {
                if !seen.insert(image.state_digest()) {
                    return;
                }
                images += 1;
                refused += u32::from(recover(&image).is_err());
                let checked = outcome.check_nothing_is_lost(&image);
                checked.unwrap_or_else(|what| panic!("{what}\n{}\n{story}", case.name));
            });
            if !disk.has_crashed() {
                break;
            }
        }
    }
    println!("{images} disks, {refused} refused");
}

/// I1: an interrupted run leaves the old tree, and no leftover beside it.
#[test]
fn an_interrupted_run_leaves_the_old_tree_and_no_litter() {
    // A removal is one rename: there is nothing to interrupt before it.
    let built = all_cases().into_iter();
    for case in built.filter(|case| case.verb == Verb::Publish) {
        let outcome = Outcome::of(&case);
        for polls in 0.. {
            let disk = case.disk();
            let plan = case.plan(&disk);
            let left = std::cell::Cell::new(polls);
            let exit = run_until(&disk, &plan, &case, &|| match left.get() {
                0 => true,
                more => {
                    left.set(more - 1);
                    false
                }
            });
            if exit == Exit::Done {
                assert!(polls > 4, "each object is a chance to stop");
                break;
            }
            assert_eq!(exit, Exit::Failed(Aftermath::Unchanged), "{}", case.name);
            assert_eq!(tree_at(&disk, TARGET), outcome.old, "{}", case.name);
            assert_eq!(publication::beside(&disk), [""; 0], "{}", case.name);
        }
    }
}

/// I1, I2: each call in turn fails, once or from then on; the error reports the true state.
#[test]
fn a_fault_at_every_step_leaves_what_the_error_says() {
    use std::io::ErrorKind;
    let (kinds, _) = nested_cases();
    let reaches = [
        (Reach::Once, ErrorKind::Other),
        (Reach::FromThenOn, ErrorKind::PermissionDenied),
        (Reach::Once, ErrorKind::InvalidInput),
        (Reach::CreationsFromThenOn, ErrorKind::StorageFull),
    ];
    let mut faults = 0;
    let rolled = rolled_cases().into_iter().chain(layered_cases());
    let unsynced = unsynced_cases().into_iter();
    for case in all_cases().into_iter().chain(rolled).chain(unsynced) {
        let outcome = Outcome::of(&case);
        let base = case.disk();
        base.set_courtesy(OsStr::new(LOCK));
        let plan = case.plan(&base);
        let mut met = BTreeSet::new();
        // A full disk and a refused call end in the same way for all cases of a kind.
        let is_kind = kinds.iter().any(|other| other.name == case.name);
        for &(reach, kind) in reaches.iter().take(if is_kind { 4 } else { 2 }) {
            for step in 1_usize.. {
                let disk = base.killed();
                disk.fail(Fault { step, kind, reach });
                let exit = run(&disk, &plan, &case);
                check_after_fault((&case, &outcome), &disk, exit, &mut met);
                faults += 1;
                if disk.step_count() < step {
                    break;
                }
            }
        }
    }
    println!("{faults} faults");
}

/// Checks what a fault left; `met` are the disks after a power cut that were recovered, with
/// whether the run had succeeded.
fn check_after_fault(
    (case, outcome): (&Case, &Outcome),
    disk: &SimFs,
    exit: Exit,
    met: &mut BTreeSet<(u64, bool)>,
) {
    let tree = tree_at(disk, TARGET);
    let story = || format!("{}: {exit:?}\n{}", case.name, numbered(&disk.steps()));
    match exit {
        Exit::Done => assert_eq!(&tree, outcome.wanted(case), "{}", story()),
        Exit::NotBegun | Exit::Failed(Aftermath::Unchanged) => {
            assert_eq!(tree, outcome.old, "{}", story());
        }
        Exit::Failed(Aftermath::NeedsRecovery | Aftermath::InDoubt) => {}
    }
    // The disk works again in the same boot: a doubt waits for a reboot, recovery ends anything
    // else.
    let same_boot = disk.killed();
    match recover(&same_boot) {
        Ok(_) => {
            let checked = outcome.check(case, &same_boot);
            checked.unwrap_or_else(|what| panic!("{what}\n{}", story()));
        }
        Err(ReadyError::Recover(RecoverError::Doubt { .. })) => {
            assert_eq!(exit, Exit::Failed(Aftermath::InDoubt), "{}", story());
            assert_eq!(tree_at(&same_boot, TARGET), tree, "a doubt touches nothing");
        }
        Err(error) => panic!("{error:?}\n{}", story()),
    }
    if case.terms.durability == Durability::Process {
        return;
    }
    for model in [Persistence::Ordered, Persistence::Independent] {
        disk.for_each_image(model, NARROW, |image, after| {
            if !met.insert((likeness(&image), exit == Exit::Done)) {
                return;
            }
            if exit == Exit::Done {
                assert_eq!(
                    &tree_at(&image, TARGET),
                    outcome.wanted(case),
                    "I2\n{after}"
                );
            }
            recover(&image).unwrap_or_else(|error| panic!("{error:?}\n{}\n{after}", case.name));
            let checked = outcome.check_target(&image);
            checked.unwrap_or_else(|what| panic!("{what}\n{}\n{after}", story()));
        });
    }
}

/// I1: without birth times a stage contains its token, which a power cut must not lose before the
/// rest.
#[test]
fn without_birth_times_a_power_cut_while_staging_leaves_no_litter() {
    let unborn = Options {
        births: Support::Absent,
        ..Options::default()
    };
    let case = Case::of("put", Publication::Put).on(unborn);
    let base = case.disk();
    let plan = case.plan(&base);
    for model in [Persistence::Ordered, Persistence::Independent] {
        for count in 0.. {
            let disk = base.killed();
            disk.crash_after(count);
            run(&disk, &plan, &case);
            // Once the journal exists, recovery keeps what it cannot prove to be the engine's.
            let is_journal = |step: &String| step.starts_with("rename /p/.t.rvenv.journal.tmp");
            if disk.steps().iter().any(is_journal) {
                break;
            }
            disk.for_each_image(model, NARROW, |image, story| {
                recover(&image).unwrap_or_else(|error| panic!("{error:?}\n{story}"));
                assert_eq!(publication::beside(&image), [""; 0], "{story}");
            });
        }
    }
}
