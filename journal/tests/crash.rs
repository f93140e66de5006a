//! The crash sweep: every publication of a whole tree, killed and cut off from power at every step.
//!
//! For each step of a publication the run is stopped there; for each disk that may be found afterwards the next
//! run recovers, and the target must be the old tree or the new one (I1), the new one if the run had succeeded
//! (I2), with nothing of ours beside it. Then the same again, with the crash inside the recovery.
//!
//! A failure prints the steps and what became of each: a story, not a seed. `RVENV_SWEEP=deep` goes further.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;

use rvenv_journal::fs::sim::{Bound, Entry, Fault, Options, Persistence, Reach, SimFs, Support};
use rvenv_journal::fs::{Barrier, Flush, Fs, NewFile};
use rvenv_journal::{
    Aftermath, Content, Decision, Durability, Mode, NoContent, Node, Operation, Parents, Patience,
    Plan, PlanBuilder, Publication, ReadyError, RecoverError, RelPath, Retention, StageOptions,
    Target, Terms, Verdict, observe,
};

const TARGET: &str = "/p/t";

type Tree = BTreeMap<String, Entry>;

/// A publication to be crashed.
#[derive(Clone)]
struct Case {
    name: &'static str,
    options: Options,
    publication: Publication,
    terms: Terms,
    ending: Ending,
}

/// What the run does once the tree is published.
#[derive(Clone, Copy, PartialEq)]
enum Ending {
    Settle,
    Undo,
}

fn cases() -> Vec<Case> {
    let case = |name, publication| Case {
        name,
        options: Options::default(),
        publication,
        terms: Terms::default(),
        ending: Ending::Settle,
    };
    let no_exchange = Options {
        exchange: Support::Absent,
        ..Options::default()
    };
    let bare = Options {
        exchange: Support::Absent,
        no_replace: Support::Absent,
        ..Options::default()
    };
    let per_object = Options {
        barrier: Barrier::PerObject,
        ..Options::default()
    };
    let keep = Terms {
        retention: Retention::Keep,
        ..Terms::default()
    };
    let awaited = Terms {
        verdict: Verdict::Awaited,
        ..Terms::default()
    };
    vec![
        case("put", Publication::Put),
        case("swap", Publication::Swap),
        Case {
            options: no_exchange.clone(),
            ..case("take and put", Publication::Swap)
        },
        Case {
            options: bare,
            ..case("take and put without no-replace", Publication::Swap)
        },
        Case {
            options: per_object.clone(),
            ..case("put, synced object by object", Publication::Put)
        },
        Case {
            options: per_object,
            ..case("swap, synced object by object", Publication::Swap)
        },
        Case {
            terms: keep,
            ..case("swap, kept", Publication::Swap)
        },
        Case {
            terms: keep,
            options: no_exchange.clone(),
            ..case("take and put, kept", Publication::Swap)
        },
        Case {
            ending: Ending::Undo,
            ..case("swap, undone", Publication::Swap)
        },
        Case {
            ending: Ending::Undo,
            ..case("put, undone", Publication::Put)
        },
        Case {
            ending: Ending::Undo,
            options: no_exchange,
            ..case("take and put, undone", Publication::Swap)
        },
        Case {
            terms: awaited,
            ..case("swap, awaiting a verdict", Publication::Swap)
        },
    ]
}

fn plan(disk: &SimFs, publication: Publication) -> Plan {
    let mut builder = PlanBuilder::new(TARGET, Mode::SHARED_DIR).unwrap();
    let mut add = |path: &str, node| {
        let operation = Operation {
            stage: "test".into(),
            group: None,
            node,
        };
        builder.add(RelPath::new(path).unwrap(), operation).unwrap();
    };
    let file = |text: &str| {
        let content = Content::Inline(text.into());
        Node::File {
            mode: Mode::SHARED_FILE,
            mtime: Some(1_700_000_000),
            content,
        }
    };
    add(
        "bin",
        Node::Dir {
            mode: Mode::SHARED_DIR,
        },
    );
    add("bin/tool", file("new tool"));
    add("cfg", file("new cfg"));
    add(
        "link",
        Node::Symlink {
            target: "bin/tool".into(),
        },
    );
    let target = Target::open(disk, Path::new(TARGET), Parents::Require).unwrap();
    let seen = observe(disk, target.place(), builder.operations()).unwrap();
    builder.finish(seen, publication).unwrap()
}

/// A disk with the old tree (or none), all of it durable.
fn prepared(case: &Case) -> SimFs {
    let disk = SimFs::with(case.options.clone());
    let root = disk.open_path(Path::new("/")).unwrap();
    disk.make_dir(&root, OsStr::new("p"), 0o755).unwrap();
    let parent = disk.open_dir(&root, OsStr::new("p")).unwrap();
    if case.publication == Publication::Swap {
        disk.make_dir(&parent, OsStr::new("t"), 0o750).unwrap();
        let old = disk.open_dir(&parent, OsStr::new("t")).unwrap();
        let file = NewFile {
            mode: 0o600,
            mtime: None,
            bytes: b"old cfg",
            flush: Flush::Now,
        };
        disk.write_file(&old, OsStr::new("cfg"), &file).unwrap();
        disk.make_dir(&old, OsStr::new("kept"), 0o700).unwrap();
        let inner = disk.open_dir(&old, OsStr::new("kept")).unwrap();
        disk.make_symlink(&inner, OsStr::new("l"), OsStr::new("../cfg"))
            .unwrap();
        disk.sync_dir(&inner).unwrap();
        disk.sync_dir(&old).unwrap();
    }
    disk.sync_dir(&parent).unwrap();
    disk.sync_dir(&root).unwrap();
    disk.sync_filesystem(&root).unwrap();
    disk
}

/// How a run ended, as its caller learns it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Exit {
    Done,
    Failed(Aftermath),
}

fn run(disk: &SimFs, plan: &Plan, case: &Case) -> Exit {
    let unchanged = Exit::Failed(Aftermath::Unchanged);
    let Ok(target) = Target::open(disk, Path::new(TARGET), Parents::Require) else {
        return unchanged;
    };
    let Ok((ready, _)) = target.lock("test", &mut |_| Patience::GiveUp) else {
        return unchanged;
    };
    let Ok(prepared) = ready.prepare(plan, case.terms, &NoContent) else {
        return unchanged;
    };
    let options = StageOptions {
        content: &NoContent,
        link_mode: rvenv_journal::LinkMode::Copy,
        interrupted: &|| false,
    };
    let staged = match prepared.stage(&options) {
        Ok(staged) => staged,
        Err(failed) => return Exit::Failed(failed.aftermath),
    };
    let published = match staged.publish(&|| false) {
        Ok(published) => published,
        Err(failed) => return Exit::Failed(failed.aftermath),
    };
    let ended = match case.ending {
        Ending::Settle => published.settle(),
        Ending::Undo => published.undo(),
    };
    match ended {
        Ok(_) => Exit::Done,
        Err(failed) => Exit::Failed(failed.aftermath),
    }
}

fn recover(disk: &SimFs) -> Result<Decision, ReadyError> {
    let target =
        Target::open(disk, Path::new(TARGET), Parents::Require).expect("the parent is durable");
    target
        .lock("test", &mut |_| Patience::GiveUp)
        .map(|(_, recovered)| recovered.decision)
}

/// The trees that a case may end with.
struct Expected {
    old: Tree,
    new: Tree,
}

impl Expected {
    fn of(case: &Case) -> Self {
        let disk = prepared(case);
        let old = disk.tree(Path::new(TARGET));
        let plan = plan(&disk, case.publication);
        let settled = Case {
            ending: Ending::Settle,
            ..case.clone()
        };
        assert_eq!(run(&disk, &plan, &settled), Exit::Done, "{}", case.name);
        Self {
            old,
            new: disk.tree(Path::new(TARGET)),
        }
    }

    /// I1 and I5: old or new, and nothing of ours beside it but what was asked for.
    fn check(&self, case: &Case, disk: &SimFs) -> Result<(), String> {
        let tree = disk.tree(Path::new(TARGET));
        if tree != self.old && tree != self.new {
            return Err(format!(
                "neither old nor new: {:?}",
                tree.keys().collect::<Vec<_>>()
            ));
        }
        let mut beside: Vec<String> = disk
            .tree(Path::new("/p"))
            .into_keys()
            .filter(|path| !path.contains('/'))
            .collect();
        beside.retain(|name| !name.is_empty() && name != "t");
        let kept = case.terms.retention == Retention::Keep && tree == self.new;
        if kept {
            beside.retain(|name| name != ".t.rvenv.old-1" && name != ".t.rvenv.old-1.journal");
            if disk.tree(Path::new("/p/.t.rvenv.old-1")) != self.old {
                return Err("the kept generation is not the old tree".into());
            }
        }
        if beside.is_empty() {
            Ok(())
        } else {
            Err(format!("litter: {beside:?}"))
        }
    }

    fn wanted(&self, case: &Case) -> &Tree {
        match case.ending {
            Ending::Settle => &self.new,
            Ending::Undo => &self.old,
        }
    }
}

/// How far a sweep goes.
#[derive(Clone, Copy)]
struct Reached {
    bound: Bound,
    depth: u32,
}

/// Counts distinct pairs of a disk that a crash left and the decision that was made about it.
#[derive(Default)]
struct Count {
    pairs: BTreeSet<(u64, Decision)>,
    recoveries: u64,
}

fn sweep(case: &Case, model: Persistence, reach: Reached, count: &mut Count) {
    let expected = Expected::of(case);
    for steps in 0.. {
        let disk = prepared(case);
        let plan = plan(&disk, case.publication);
        disk.crash_after(steps);
        let exit = run(&disk, &plan, case);
        let crashed = disk.has_crashed();
        assert!(
            crashed || exit == Exit::Done,
            "{}: fails without a crash: {exit:?}",
            case.name
        );
        disk.for_each_image(model, reach.bound, |image, story| {
            let story = format!("{}\n{story}", case.name);
            if !crashed {
                let tree = image.tree(Path::new(TARGET));
                assert_eq!(
                    &tree,
                    expected.wanted(case),
                    "I2: success was not durable\n{story}"
                );
            }
            recover_and_check(case, &expected, image, (&story, model, reach), count);
        });
        if !crashed {
            return;
        }
    }
}

fn recover_and_check(
    case: &Case,
    expected: &Expected,
    image: SimFs,
    at: (&str, Persistence, Reached),
    count: &mut Count,
) {
    let (story, model, reach) = at;
    let before = image.state_digest();
    for steps in 0.. {
        // Every recovery starts from the same disk: `killed` is a copy of it.
        let disk = image.killed();
        if reach.depth > 0 {
            disk.crash_after(steps);
        }
        let recovered = recover(&disk);
        count.recoveries += 1;
        if !disk.has_crashed() {
            let fail = |what: String| {
                panic!(
                    "{what}\n{story}\nthen the next run:\n{}",
                    numbered(&disk.steps())
                )
            };
            match recovered {
                Ok(decision) => drop(count.pairs.insert((before, decision))),
                Err(error) => fail(format!("recovery refuses: {error:?}")),
            }
            if let Err(what) = expected.check(case, &disk) {
                fail(what);
            }
            return;
        }
        let deeper = Reached {
            depth: reach.depth - 1,
            ..reach
        };
        disk.for_each_image(model, reach.bound, |image, again| {
            let story = format!("{story}\nthen, while recovering, {again}");
            recover_and_check(case, expected, image, (&story, model, deeper), count);
        });
    }
}

fn numbered(steps: &[String]) -> String {
    steps
        .iter()
        .enumerate()
        .fold(String::new(), |mut text, (index, step)| {
            let _infallible = writeln!(text, "{:4} {step}", index + 1);
            text
        })
}

fn sweep_all(model: Persistence) {
    let deep = std::env::var_os("RVENV_SWEEP").is_some_and(|value| value == "deep");
    let reach = if deep {
        Reached {
            bound: Bound::THOROUGH,
            depth: 2,
        }
    } else {
        Reached {
            bound: Bound::QUICK,
            depth: 1,
        }
    };
    let mut all = 0;
    for case in cases() {
        let mut count = Count::default();
        sweep(&case, model, reach, &mut count);
        println!(
            "{model:?}, {}: {} recoveries, {} distinct",
            case.name,
            count.recoveries,
            count.pairs.len()
        );
        all += count.recoveries;
    }
    println!("{model:?}: {all} recoveries");
}

/// I1, I5: a kill at every step, and again at every step of the recovery.
#[test]
fn a_kill_at_every_step_leaves_the_old_or_the_new_tree() {
    sweep_all(Persistence::Kill);
}

/// I1, I2: a power cut at every step, on filesystems that keep the order of names.
#[test]
fn a_power_cut_at_every_step_leaves_the_old_or_the_new_tree_where_names_persist_in_order() {
    sweep_all(Persistence::Ordered);
}

/// I1, I2: a power cut at every step, on filesystems that promise no more than POSIX.
#[test]
fn a_power_cut_at_every_step_leaves_the_old_or_the_new_tree_where_names_persist_independently() {
    sweep_all(Persistence::Independent);
}

/// I1: process durability promises the same for kills.
#[test]
fn process_durability_survives_a_kill_at_every_step() {
    let terms = Terms {
        durability: Durability::Process,
        ..Terms::default()
    };
    for case in cases()
        .into_iter()
        .filter(|case| case.terms == Terms::default())
    {
        let case = Case { terms, ..case };
        sweep(
            &case,
            Persistence::Kill,
            Reached {
                bound: Bound::QUICK,
                depth: 1,
            },
            &mut Count::default(),
        );
    }
}

/// I1: without times of birth nothing is deleted on the word of an inode number, and the tree is old or new.
#[test]
fn without_times_of_birth_recovery_keeps_what_it_cannot_prove() {
    let options = Options {
        births: Support::Absent,
        ..Options::default()
    };
    for publication in [Publication::Put, Publication::Swap] {
        let case = Case {
            name: "without births",
            options: options.clone(),
            publication,
            terms: Terms::default(),
            ending: Ending::Settle,
        };
        let expected = Expected::of(&case);
        for steps in 0.. {
            let disk = prepared(&case);
            let plan = plan(&disk, case.publication);
            disk.crash_after(steps);
            run(&disk, &plan, &case);
            let image = disk.killed();
            recover(&image)
                .unwrap_or_else(|error| panic!("{error:?}\n{}", numbered(&disk.steps())));
            let mut tree = image.tree(Path::new(TARGET));
            tree.retain(|path, _| !path.starts_with(".rvenv/token-"));
            assert!(
                tree == expected.old || tree == expected.new,
                "{}",
                numbered(&disk.steps())
            );
            if !disk.has_crashed() {
                break;
            }
        }
    }
}

/// I1, I2: one call after the other fails, once or from then on; the caller is told the truth.
#[test]
fn a_fault_at_every_step_leaves_what_the_error_says() {
    use std::io::ErrorKind;
    let reaches = [Reach::Once, Reach::FromThenOn, Reach::CreationsFromThenOn];
    let kinds = [
        ErrorKind::StorageFull,
        ErrorKind::Other,
        ErrorKind::PermissionDenied,
    ];
    let mut faults = 0;
    for case in cases() {
        let expected = Expected::of(&case);
        for (reach, kind) in reaches
            .into_iter()
            .flat_map(|reach| kinds.map(|kind| (reach, kind)))
        {
            for step in 1.. {
                let disk = prepared(&case);
                let plan = plan(&disk, case.publication);
                let before = disk.step_count();
                disk.fail(Fault {
                    step: before + step,
                    kind,
                    reach,
                });
                let exit = run(&disk, &plan, &case);
                check_after_fault(&case, &expected, &disk, exit);
                faults += 1;
                if disk.step_count() < before + step {
                    break;
                }
            }
        }
    }
    println!("{faults} faults");
}

fn check_after_fault(case: &Case, expected: &Expected, disk: &SimFs, exit: Exit) {
    let tree = disk.tree(Path::new(TARGET));
    let story = || format!("{}: {exit:?}\n{}", case.name, numbered(&disk.steps()));
    match exit {
        Exit::Done => assert_eq!(&tree, expected.wanted(case), "{}", story()),
        Exit::Failed(Aftermath::Unchanged) => assert_eq!(tree, expected.old, "{}", story()),
        Exit::Failed(Aftermath::NeedsRecovery | Aftermath::InDoubt) => {}
    }
    // The disk works again, in this boot: a doubt waits, anything else is ended.
    let same_boot = disk.killed();
    match recover(&same_boot) {
        Ok(_) => expected
            .check(case, &same_boot)
            .unwrap_or_else(|what| panic!("{what}\n{}", story())),
        Err(ReadyError::Recover(RecoverError::Doubt { .. })) => {}
        Err(error) => panic!("{error:?}\n{}", story()),
    }
    // And after a power cut.
    disk.for_each_image(Persistence::Ordered, Bound::QUICK, |image, after| {
        if exit == Exit::Done {
            assert_eq!(
                &image.tree(Path::new(TARGET)),
                expected.wanted(case),
                "I2\n{after}"
            );
        }
        match recover(&image) {
            Ok(_) => {
                let tree = image.tree(Path::new(TARGET));
                assert!(
                    tree == expected.old || tree == expected.new,
                    "{}\n{after}",
                    case.name
                );
            }
            Err(error) => panic!("{error:?}\n{}\n{after}", case.name),
        }
    });
}
