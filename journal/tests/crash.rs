//! The crash sweep: every publication of a whole tree, killed and cut off from power at every step.
//!
//! For each step of a publication the run is stopped there; for each disk that may be found afterwards the next
//! run recovers, and the target must be the old tree or the new one (I1), the new one if the run had succeeded
//! (I2), with nothing of ours beside it. Then the same again, with further crashes inside the recovery.
//!
//! A failure prints the steps and what became of each: a story, not a seed. `RVENV_SWEEP=deep` goes further.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests unwrap, print what they counted, and are asked by a variable to go further"
)]

use std::collections::BTreeSet;

use rvenv_journal::fs::Barrier;
use rvenv_journal::fs::sim::{Bound, Fault, Options, Persistence, Reach, SimFs, Support};
use rvenv_journal::{Aftermath, Decision, Durability, Plan, Publication, ReadyError, RecoverError};

use publication::cases::{cases, entry_cases, layered_cases, rolled_cases, with_numbers_reused};
use publication::{Case, Exit, Outcome, TARGET, numbered, recover, run, run_until, tree_at};

mod publication;

/// A kind of crash, and how many of its images are visited.
type Crash = (Persistence, Bound);

const KILL: Crash = (Persistence::Kill, Bound::QUICK);

/// Enough images for each way in which names may be lost, where a crash follows on a crash.
const NARROW: Bound = Bound {
    combinations_max: if IS_BOUNDED { 6 } else { 12 },
};

/// Whether the question is only if a mutant is noticed: a few cases then, and a few images of each.
const IS_BOUNDED: bool = cfg!(feature = "mutants");

/// How far the sweeps go.
fn is_deep() -> bool {
    std::env::var_os("RVENV_SWEEP").is_some_and(|value| value == "deep")
}

fn wide() -> Bound {
    if is_deep() {
        Bound::THOROUGH
    } else if IS_BOUNDED {
        NARROW
    } else {
        Bound::QUICK
    }
}

fn narrow() -> Bound {
    if is_deep() { Bound::QUICK } else { NARROW }
}

/// One case, and the crashes that follow on each other: the first in the publication, the rest in recoveries.
struct Sweep<'a> {
    case: &'a Case,
    /// The disk before the publication, and its plan.
    base: SimFs,
    plan: Plan,
    outcome: Outcome,
    crashes: &'a [Crash],
    /// Disks that were recovered already, with how many crashes were still to come.
    seen: BTreeSet<(u64, usize)>,
    /// Distinct pairs of a disk that a crash left and what was decided about it.
    pairs: BTreeSet<(u64, Decision)>,
    recoveries: u64,
}

impl<'a> Sweep<'a> {
    fn new(case: &'a Case, crashes: &'a [Crash]) -> Self {
        let base = case.disk();
        Self {
            case,
            plan: case.plan(&base),
            base,
            outcome: Outcome::of(case),
            crashes,
            seen: BTreeSet::new(),
            pairs: BTreeSet::new(),
            recoveries: 0,
        }
    }

    fn run(mut self) -> Self {
        let (&(model, bound), later) = self.crashes.split_first().expect("a sweep has a crash");
        for count in 0.. {
            let disk = self.base.killed();
            disk.crash_after(count);
            let exit = run(&disk, &self.plan, self.case);
            let crashed = disk.has_crashed();
            assert!(
                crashed || exit == Exit::Done,
                "{}: {exit:?}",
                self.case.name
            );
            disk.for_each_image(model, bound, |image, story| {
                let story = || format!("{}\n{story}", self.case.name);
                if !crashed {
                    let (tree, wanted) = (tree_at(&image, TARGET), self.outcome.wanted(self.case));
                    assert_eq!(&tree, wanted, "I2: success was not durable\n{}", story());
                }
                self.crash_again(&image, model, later, &story);
            });
            if !crashed {
                return self;
            }
        }
        self
    }

    /// Recovers from a crash with each crash that may come next, and then without any.
    fn crash_again(
        &mut self,
        image: &SimFs,
        before: Persistence,
        later: &[Crash],
        story: &dyn Fn() -> String,
    ) {
        let digest = image.state_digest();
        // After a kill two equal disks may differ in what of them is durable.
        let is_plain = before != Persistence::Kill || later.iter().all(|(next, _)| *next == before);
        if is_plain && !self.seen.insert((digest, later.len())) {
            return;
        }
        if let Some((&(model, bound), latest)) = later.split_first() {
            for steps in 0.. {
                let disk = image.killed();
                disk.crash_after(steps);
                let _interrupted = recover(&disk);
                if !disk.has_crashed() {
                    break;
                }
                disk.for_each_image(model, bound, |next, again| {
                    let story = || format!("{}\nthen, while recovering, {again}", story());
                    self.crash_again(&next, model, latest, &story);
                });
            }
        }
        self.recover(&image.killed(), digest, story);
    }

    fn recover(&mut self, disk: &SimFs, digest: u64, story: &dyn Fn() -> String) {
        self.recoveries += 1;
        let told = || format!("{}\nthen:\n{}", story(), numbered(&disk.steps()));
        let decision = recover(disk).unwrap_or_else(|error| panic!("{error:?}\n{}", told()));
        self.pairs.insert((digest, decision));
        let checked = self.outcome.check(self.case, disk);
        checked.unwrap_or_else(|what| panic!("{what}\n{}", told()));
    }
}

fn sweep_all(name: &str, cases: &[Case], crashes: &[Crash]) {
    let (mut recoveries, mut pairs) = (0, 0);
    for case in cases {
        let done = Sweep::new(case, crashes).run();
        println!(
            "{name}, {}: {} recoveries, {} distinct",
            case.name,
            done.recoveries,
            done.pairs.len()
        );
        recoveries += done.recoveries;
        pairs += done.pairs.len();
    }
    println!("{name}: {recoveries} recoveries, {pairs} distinct pairs of disk and decision");
}

/// Whole trees, and entries.
fn all_cases() -> Vec<Case> {
    let all = cases().into_iter().chain(entry_cases());
    all.filter(|case| !IS_BOUNDED || BOUNDED.contains(&case.name))
        .collect()
}

/// One case for each thing that only it does.
const BOUNDED: [&str; 14] = [
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
    "merge, synced object by object",
    "merge, kept",
    "merge, undone by a verdict",
    "merge into a foreign directory",
];

/// The cases in which crashes follow on each other, and the rest: one of each kind there are steps, unless runs may be
/// long. How a tree is synced and who looks at it matter little to a recovery.
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
        is_deep() || (is_plain && is_kind && is_chosen)
    };
    all_cases().into_iter().partition(is_nested)
}

fn unsynced_cases() -> Vec<Case> {
    all_cases().into_iter().map(Case::unsynced).collect()
}

/// I1, I5: a generation that comes back may be stopped anywhere: one of the two trees stands, and the other is kept.
#[test]
fn a_rollback_that_is_stopped_leaves_either_tree_and_keeps_the_other() {
    let cases = rolled_cases();
    sweep_all("rollback, kill, kill", &cases, &[KILL, KILL]);
    for model in [Persistence::Ordered, Persistence::Independent] {
        sweep_all(
            &format!("rollback, {model:?}"),
            &cases,
            &[(model, narrow())],
        );
        if IS_BOUNDED {
            continue;
        }
        let crashes = [KILL, (model, narrow())];
        sweep_all(&format!("rollback, kill, then {model:?}"), &cases, &crashes);
    }
}

/// I1: over a lower layer, where what is first moved becomes another object.
#[test]
fn a_crash_over_a_lower_layer_leaves_the_old_or_the_new_tree() {
    let cases = layered_cases();
    sweep_all("layers, kill, kill", &cases, &[KILL, KILL]);
    sweep_all(
        "layers, ordered",
        &cases,
        &[(Persistence::Ordered, narrow())],
    );
}

/// I1, I5: a kill at every step, again at every step of the recovery, and of the recovery from that.
#[test]
fn a_kill_at_every_step_leaves_the_old_or_the_new_tree() {
    let (nested, others) = nested_cases();
    sweep_all("kill, kill, kill", &nested, &[KILL, KILL, KILL]);
    sweep_all("kill, kill", &others, &[KILL, KILL]);
}

/// I1: process durability promises the same for kills.
#[test]
fn process_durability_survives_a_kill_at_every_step() {
    sweep_all("process durability", &unsynced_cases(), &[KILL, KILL]);
}

/// I1, I2: a power cut at every step, on filesystems that keep the order of names.
#[test]
fn a_power_cut_at_every_step_leaves_the_old_or_the_new_tree_where_names_persist_in_order() {
    sweep_all("ordered", &all_cases(), &[(Persistence::Ordered, wide())]);
}

/// I1, I2: a power cut at every step, on filesystems that promise no more than POSIX.
#[test]
fn a_power_cut_at_every_step_leaves_the_old_or_the_new_tree_where_names_persist_independently() {
    sweep_all(
        "independent",
        &all_cases(),
        &[(Persistence::Independent, wide())],
    );
}

/// I1: the power is cut, and cut again at every step of the recovery.
fn sweep_two_power_cuts(model: Persistence) {
    let (cases, _) = nested_cases();
    if IS_BOUNDED {
        return;
    }
    let crashes = vec![(model, narrow()); if is_deep() { 3 } else { 2 }];
    sweep_all(&format!("{model:?} twice"), &cases, &crashes);
}

#[test]
fn a_second_power_cut_leaves_the_old_or_the_new_tree_where_names_persist_in_order() {
    sweep_two_power_cuts(Persistence::Ordered);
}

#[test]
fn a_second_power_cut_leaves_the_old_or_the_new_tree_where_names_persist_independently() {
    sweep_two_power_cuts(Persistence::Independent);
}

/// I1: what a killed run left in the page cache is not durable when the recovery from it is cut off.
#[test]
fn a_power_cut_in_the_recovery_from_a_kill_leaves_the_old_or_the_new_tree() {
    let (nested, others) = nested_cases();
    for model in [Persistence::Ordered, Persistence::Independent] {
        let crashes = [KILL, (model, narrow())];
        sweep_all(&format!("kill, then {model:?}"), &nested, &crashes);
    }
    if IS_BOUNDED {
        return;
    }
    // Where there is one order there are few disks.
    let crashes = [KILL, (Persistence::Ordered, narrow())];
    sweep_all("kill, then Ordered", &others, &crashes);
}

/// The receipt names the plan, which expects another tree each time.
fn without_receipt(disk: &SimFs) -> publication::Tree {
    let mut tree = tree_at(disk, TARGET);
    tree.remove(".rvenv/receipt.json");
    tree
}

/// I1: a journal that was retired is not found again beside that of the next publication.
#[test]
fn a_power_cut_in_the_next_publication_finds_one_journal() {
    for case in [
        Case::of("swap", Publication::Swap),
        Case::of("swap, kept", Publication::Swap).kept(),
    ] {
        for count in 0.. {
            let disk = case.disk();
            assert_eq!(run(&disk, &case.plan(&disk), &case), Exit::Done);
            let new = without_receipt(&disk);
            let plan = case.plan(&disk);
            disk.crash_after(count);
            run(&disk, &plan, &case);
            disk.for_each_image(Persistence::Independent, narrow(), |image, story| {
                recover(&image).unwrap_or_else(|error| panic!("{error:?}\n{story}"));
                assert_eq!(without_receipt(&image), new, "{story}");
            });
            if !disk.has_crashed() {
                break;
            }
        }
    }
}

/// I2: what a recovery said is done survives the power cut after it.
#[test]
fn a_recovery_that_succeeded_is_durable() {
    for (model, case) in [Persistence::Ordered, Persistence::Independent]
        .into_iter()
        .flat_map(|model| all_cases().into_iter().map(move |case| (model, case)))
    {
        let outcome = Outcome::of(&case);
        for count in 0.. {
            let disk = case.disk();
            let plan = case.plan(&disk);
            disk.crash_after(count);
            run(&disk, &plan, &case);
            let killed = disk.killed();
            recover(&killed).unwrap();
            let tree = tree_at(&killed, TARGET);
            killed.for_each_image(model, narrow(), |image, story| {
                assert_eq!(tree_at(&image, TARGET), tree, "{}\n{story}", case.name);
                recover(&image).unwrap_or_else(|error| panic!("{error:?}\n{story}"));
                let checked = outcome.check(&case, &image);
                checked.unwrap_or_else(|what| panic!("{what}\n{}\n{story}", case.name));
            });
            if !disk.has_crashed() {
                break;
            }
        }
    }
}

/// I1: an inode number that is given out again misleads nobody, since the time of birth tells.
#[test]
fn inode_numbers_that_are_given_out_again_mislead_nobody() {
    let reused: Vec<Case> = all_cases()
        .into_iter()
        .map(|case| {
            let options = with_numbers_reused(&case.options);
            case.on(options)
        })
        .collect();
    sweep_all("numbers reused", &reused, &[KILL, KILL]);
    let crashes = [(Persistence::Ordered, narrow())];
    sweep_all("numbers reused", &reused, &crashes);
}

/// I1, I5: without times of birth the tree is old or new, and what cannot be proved to be ours is kept.
#[test]
fn without_times_of_birth_recovery_keeps_what_it_cannot_prove() {
    let bases = [
        Case::of("put", Publication::Put),
        Case::of("swap", Publication::Swap),
        Case::of("swap, kept", Publication::Swap).kept(),
        Case::of("swap, undone", Publication::Swap).undone(),
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

/// I5: process durability promises nothing for power cuts, but it never deletes the last tree that is whole.
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
            disk.for_each_image(Persistence::Ordered, narrow(), |image, story| {
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

/// I1: whoever asks to stop gets the old tree back, and nothing beside it.
#[test]
fn an_interrupted_run_leaves_the_old_tree_and_no_litter() {
    for case in all_cases() {
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

/// I1, I2: one call after the other fails, once or from then on; the caller is told the truth.
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
        let plan = case.plan(&base);
        // What comes out of a full disk or a refused call is the same for all cases of a kind.
        let is_kind = kinds.iter().any(|other| other.name == case.name);
        for &(reach, kind) in reaches.iter().take(if is_kind { 4 } else { 2 }) {
            for step in 1_usize.. {
                let disk = base.killed();
                disk.fail(Fault { step, kind, reach });
                let exit = run(&disk, &plan, &case);
                check_after_fault(&case, &outcome, &disk, exit);
                faults += 1;
                if disk.step_count() < step {
                    break;
                }
            }
        }
    }
    println!("{faults} faults");
}

fn check_after_fault(case: &Case, outcome: &Outcome, disk: &SimFs, exit: Exit) {
    let tree = tree_at(disk, TARGET);
    let story = || format!("{}: {exit:?}\n{}", case.name, numbered(&disk.steps()));
    match exit {
        Exit::Done => assert_eq!(&tree, outcome.wanted(case), "{}", story()),
        Exit::NotBegun | Exit::Failed(Aftermath::Unchanged) => {
            assert_eq!(tree, outcome.old, "{}", story());
        }
        Exit::Failed(Aftermath::NeedsRecovery | Aftermath::InDoubt) => {}
    }
    // The disk works again, in this boot: a doubt waits, anything else is ended.
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

/// I1: without times of birth a stage bears its token, which a power cut must not take before the rest.
#[test]
fn without_times_of_birth_a_power_cut_while_staging_leaves_no_litter() {
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
            // From the journal on, what cannot be proved is kept.
            let is_journal = |step: &String| step.starts_with("rename /p/.t.rvenv.journal.tmp");
            if disk.steps().iter().any(is_journal) {
                break;
            }
            disk.for_each_image(model, narrow(), |image, story| {
                recover(&image).unwrap_or_else(|error| panic!("{error:?}\n{story}"));
                assert_eq!(publication::beside(&image), [""; 0], "{story}");
            });
        }
    }
}
