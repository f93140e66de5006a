//! Power cuts: real filesystems on a disk that is rebuilt as it may be after a power cut.
//!
//! The test records every write and flush under ext4, xfs and btrfs while the real command works.
//! Then it rebuilds the disk as a power cut may leave it: with everything that was flushed, and any
//! part of the rest. After mount and recovery, the target is the old environment or the new one,
//! byte for byte (I1); after exit 0 only the new one (I2). The test must catch controls that sync
//! nothing, on each filesystem.
//!
//! `RVENV_POWERCUTS=9000` judges that many states on each filesystem, also of environments with
//! pip; `deep` means a number that takes a while. A failure names its state: `RVENV_POWERCUT=NAME`
//! judges that one again, from the recording that the failure left.
//!
//! The test does not find errors of disks that lose flushed data, nor those of other filesystems.

#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "tests start the real command")]
#![expect(
    clippy::print_stdout,
    reason = "a test says what it skips and what it counted"
)]
#![expect(clippy::unwrap_used, reason = "a test may stop at anything unexpected")]
#![expect(
    clippy::indexing_slicing,
    reason = "a request of the kernel has the length that its kind has"
)]

mod cases;
mod cut;
mod disk;
mod fuse;
mod log;
mod machine;
mod service;
mod trial;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use crate::trees::{Lab, end};
use crate::{mounts, strace};
use cases::{ACTIONS, CONTROLS, Case};
use machine::{Filesystem, Machine};
use trial::{Pace, Tally, Trial, begin};

/// How many states are judged on each filesystem by default, and how many for `deep`.
const STATES: usize = 176;
const STATES_DEEP: usize = 4500;
/// How many states of a control are judged.
const STATES_OF_CONTROL: usize = 16;

/// Whether power cuts can be simulated here; prints the reason if not.
fn can_cut(filesystem: Filesystem) -> bool {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root may mount");
        return false;
    }
    let tools = ["unshare", "losetup", filesystem.maker()];
    if !tools.iter().all(|tool| mounts::has(tool)) || !strace::is_there() {
        return false;
    }
    if end(Command::new("unshare").args(["-m", "true"])).code != Some(0) {
        println!("skipped: no mounts of one's own may be made here");
        return false;
    }
    for device in ["/dev/fuse", "/dev/loop-control"] {
        if let Err(error) = File::options().read(true).write(true).open(device) {
            println!("skipped: {device}: {error}");
            return false;
        }
    }
    true
}

/// The number of states from `RVENV_POWERCUTS`, if it is set.
fn asked() -> Option<usize> {
    let asked = std::env::var("RVENV_POWERCUTS").ok()?;
    Some(asked.parse().unwrap_or(STATES_DEEP))
}

/// Runs this test again in the process with the disk of one filesystem, and `work` there.
fn on_a_disk(test: &str, filesystem: Filesystem, work: impl FnOnce(&Machine, &Lab, &Path)) {
    let Some(socket) = service::socket() else {
        if can_cut(filesystem) {
            service::serve(test, machine::DISK_SIZE);
        }
        return;
    };
    // A path for this test only, and short, since environments contain it.
    let is_control = test.starts_with("what_");
    let control = if is_control { "-control" } else { "" };
    let dir = format!("powercut/{}{control}", filesystem.name());
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(dir);
    let machine = Machine::new(filesystem, &dir, &socket);
    machine.make();
    if let Err(error) = machine.mount() {
        println!("skipped: {} cannot be mounted: {error}", filesystem.name());
        return;
    }
    let lab = Lab::at(&machine.home);
    machine.unmount();
    if let Some(lab) = lab {
        work(&machine, &lab, &dir.join("recordings"));
    }
}

/// I1, I2: every command, recorded at both paces.
fn check(test: &str, filesystem: Filesystem) {
    let replayed = std::env::var("RVENV_POWERCUT").ok();
    let is_other = |name: &String| name.split('/').next() != Some(filesystem.name());
    if replayed.as_ref().is_some_and(is_other) {
        println!("skipped: another filesystem's state is judged again");
        return;
    }
    on_a_disk(test, filesystem, |machine, lab, logs| match replayed {
        Some(name) => replay(machine, lab, logs, &name),
        None => explore(machine, lab, logs),
    });
}

fn explore(machine: &Machine, lab: &Lab, logs: &Path) {
    let pips: &[bool] = match asked() {
        Some(_) if lab.has_pip => &[false, true],
        _ => &[false],
    };
    let trials = ACTIONS.len() * Pace::ALL.len() * pips.len();
    let count = asked().unwrap_or(STATES).div_ceil(trials);
    let mut sum = Tally::default();
    for has_pip in pips {
        for action in ACTIONS {
            let case = Case {
                action,
                has_pip: *has_pip,
            };
            begin(machine, lab, case);
            let mut owed = 0;
            for pace in Pace::ALL {
                owed += count;
                let trial = Trial::record(machine, lab, case, pace, logs);
                let tally = trial.judge_some(owed);
                // A run at full speed has few flushes, so few different states.
                owed = owed.saturating_sub(tally.states());
                let name = trial.name();
                // A few cuts may all come after the switch.
                let is_few = tally.states() < 20;
                let has_old = tally.old > 0 || case.is_recovery() || is_few;
                assert!(has_old, "{name}: no cut led to the old tree");
                assert!(tally.after_success > 0, "{name}: no cut after exit 0");
                if tally.failures.is_empty() {
                    fs::remove_dir_all(trial.directory()).unwrap();
                }
                add(&mut sum, tally);
            }
        }
    }
    let name = machine.filesystem.name();
    println!(
        "{name}: {} states: {} old, {} new ({} of them after exit 0), {} failed; {} had something to recover",
        sum.states(),
        sum.old,
        sum.new,
        sum.after_success,
        sum.failures.len(),
        sum.open,
    );
    for failure in sum.failures.iter().take(20) {
        println!("{failure}");
    }
    assert!(sum.open > 0, "{name}: nothing was ever recovered");
    assert!(sum.failures.is_empty(), "{name}: see above");
}

fn add(sum: &mut Tally, tally: Tally) {
    sum.old += tally.old;
    sum.new += tally.new;
    sum.after_success += tally.after_success;
    sum.open += tally.open;
    sum.failures.extend(tally.failures);
}

/// Judges the state of this name again.
fn replay(machine: &Machine, lab: &Lab, logs: &Path, name: &str) {
    let (trial, cut) = name.split_once('@').unwrap();
    let cut = cut.parse().unwrap();
    for has_pip in [false, true] {
        for action in ACTIONS {
            let case = Case { action, has_pip };
            for pace in Pace::ALL {
                let words = format!(
                    "{}/{}/{}",
                    machine.filesystem.name(),
                    case.name(),
                    pace.name()
                );
                if words == trial {
                    let trial = Trial::load(machine, lab, case, pace, logs);
                    assert_eq!(trial.replay(&cut), Ok(()));
                    return;
                }
            }
        }
    }
    panic!("there is no trial `{trial}`");
}

/// The test must catch commands that sync nothing, or the others prove nothing: one that reports
/// success too early, and one that leaves parts of a tree.
fn check_controls(test: &str, filesystem: Filesystem) {
    on_a_disk(test, filesystem, |machine, lab, logs| {
        for (action, symptom) in CONTROLS {
            let case = Case {
                action,
                has_pip: false,
            };
            begin(machine, lab, case);
            let mut caught = Vec::new();
            for pace in Pace::ALL {
                let trial = Trial::record(machine, lab, case, pace, logs);
                caught.extend(trial.judge_some(STATES_OF_CONTROL).failures);
                fs::remove_dir_all(trial.directory()).unwrap();
            }
            let is_caught = caught.iter().any(|failure| failure.contains(symptom));
            assert!(is_caught, "{case:?} was not caught: {caught:?}");
        }
    });
}

macro_rules! filesystems {
    ($($test:ident, $control:ident: $filesystem:ident,)*) => {
        $(
            #[test]
            fn $test() {
                check(stringify!($test), Filesystem::$filesystem);
            }

            #[test]
            fn $control() {
                check_controls(stringify!($control), Filesystem::$filesystem);
            }
        )*
    };
}

filesystems! {
    old_or_new_after_a_power_cut_on_ext4, what_is_not_synced_is_caught_on_ext4: Ext4,
    old_or_new_after_a_power_cut_on_xfs, what_is_not_synced_is_caught_on_xfs: Xfs,
    old_or_new_after_a_power_cut_on_btrfs, what_is_not_synced_is_caught_on_btrfs: Btrfs,
}
