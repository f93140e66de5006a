//! One command, recorded once, and the state after each of many power cuts.
//!
//! A state is judged like this: mount it, which replays the filesystem's journal; run `rvenv
//! recover`, or for some states the same command again; then everything must equal the state before
//! the command, or the state after it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use rustix::fs::{CWD, FileType, Mode};

use crate::powercut::cases::Case;
use crate::powercut::cut::{Cut, Kept, cuts};
use crate::powercut::log::{DONE, Log, Op, START};
use crate::powercut::machine::Machine;
use crate::trees::{Ended, Lab, Sameness, Tree, compare, end, look};

/// How long a call waits for a commit to happen right after it, in microseconds.
const DELAY: u32 = 2000;
/// The calls that change a disk.
const CHANGING: &str = "openat,write,pwrite64,copy_file_range,ftruncate,mkdirat,mkdir,linkat,symlinkat,renameat2,renameat,\
                        unlinkat,fsync,fdatasync,syncfs,fchmod,fchmodat,fchown,fchownat,utimensat,ioctl";
/// The prefix of the mark of a call.
const CALL: &str = "call ";
/// After this many recoveries the same command runs instead.
const REPEATED: usize = 5;

/// How the command runs while it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// At full speed. Finds data that is not on the disk when the command reports success.
    Plain,
    /// Slowly, and the filesystem commits its metadata after about each call that changes
    /// something. Finds a wrong order. Hides data that is not synced at the end, because a commit
    /// follows soon.
    Stepped,
}

impl Pace {
    pub(crate) const ALL: [Self; 2] = [Self::Plain, Self::Stepped];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Stepped => "stepped",
        }
    }
}

/// The target, the engine's directory in it, and the names beside it.
#[derive(Debug)]
struct Snapshot {
    tree: Tree,
    inside: Vec<String>,
    beside: Vec<String>,
}

impl Snapshot {
    fn of(lab: &Lab) -> Self {
        Self {
            tree: look(&lab.target()),
            inside: names(&lab.target().join(".rvenv")),
            beside: lab.litter(),
        }
    }

    fn compare(&self, found: &Self, sameness: Sameness) -> Result<(), String> {
        compare(&self.tree, &found.tree, sameness)?;
        if self.inside != found.inside {
            return Err(format!("in .rvenv/ there is {:?}", found.inside));
        }
        if self.beside != found.beside {
            return Err(format!("beside it there is {:?}", found.beside));
        }
        Ok(())
    }
}

fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).into_iter().flatten();
    let names = names.map(|name| name.unwrap().file_name().to_string_lossy().into_owned());
    // The log is not synced.
    let mut names: Vec<_> = names.filter(|name| name != "log").collect();
    names.sort();
    names
}

/// The counts of the states of a trial.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) old: usize,
    pub(crate) new: usize,
    /// New, after the command had ended with success.
    pub(crate) after_success: usize,
    /// How many states needed recovery.
    pub(crate) open: usize,
    /// Each with the name of its state.
    pub(crate) failures: Vec<String>,
}

impl Tally {
    pub(crate) fn states(&self) -> usize {
        self.old + self.new + self.failures.len()
    }
}

/// The result of one state.
struct Found {
    is_new: bool,
    is_open: bool,
}

/// A command and its recording.
pub(crate) struct Trial<'a> {
    machine: &'a Machine,
    lab: &'a Lab,
    case: Case,
    pace: Pace,
    dir: PathBuf,
    log: Log,
    old: Snapshot,
    new: Snapshot,
}

/// Makes the state before a command, on a new filesystem.
pub(crate) fn begin(machine: &Machine, lab: &Lab, case: Case) {
    machine.make();
    machine.mount().unwrap();
    case.begin(lab);
    machine.unmount();
    machine.requests.keep();
}

impl<'a> Trial<'a> {
    /// Runs the command, and saves its recording in a directory below `logs`.
    pub(crate) fn record(
        machine: &'a Machine,
        lab: &'a Lab,
        case: Case,
        pace: Pace,
        logs: &Path,
    ) -> Self {
        let dir = logs.join(case.name()).join(pace.name());
        fs::create_dir_all(&dir).unwrap();
        machine.requests.record();
        machine.mount().unwrap();
        machine.requests.mark(START);
        let ended = match pace {
            Pace::Plain => end(&mut case.command(lab, &[])),
            Pace::Stepped => step(machine, &dir.join("calls"), |tracer| {
                case.command(lab, tracer)
            }),
        };
        assert_eq!(ended.code, Some(0), "{case:?}: {}", ended.story);
        machine.requests.mark(DONE);
        machine.root().commit();
        machine.root().sync();
        machine.requests.save(&dir);
        machine.unmount();
        Self::of(machine, lab, case, pace, dir)
    }

    /// Loads the recording that a failure left.
    pub(crate) fn load(
        machine: &'a Machine,
        lab: &'a Lab,
        case: Case,
        pace: Pace,
        logs: &Path,
    ) -> Self {
        let dir = logs.join(case.name()).join(pace.name());
        machine.requests.load(&dir);
        Self::of(machine, lab, case, pace, dir)
    }

    fn of(machine: &'a Machine, lab: &'a Lab, case: Case, pace: Pace, dir: PathBuf) -> Self {
        let log = Log::load_ops(&dir);
        let snapshot = |end, kept| {
            machine.requests.cut(&Cut { end, kept });
            machine.mount().unwrap();
            let snapshot = Snapshot::of(lab);
            machine.unmount();
            snapshot
        };
        let old = snapshot(0, Kept::None);
        let new = snapshot(log.ops.len(), Kept::All);
        Self {
            machine,
            lab,
            case,
            pace,
            dir,
            log,
            old,
            new,
        }
    }

    pub(crate) fn name(&self) -> String {
        let filesystem = self.machine.filesystem.name();
        format!("{filesystem}/{}/{}", self.case.name(), self.pace.name())
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.dir
    }

    /// Judges about this many states.
    pub(crate) fn judge_some(&self, count: usize) -> Tally {
        let mut tally = Tally::default();
        for cut in cuts(&self.log, count) {
            match self.judge(&cut) {
                Ok(found) if found.is_new => {
                    tally.new += 1;
                    tally.after_success += usize::from(self.is_done(&cut));
                    tally.open += usize::from(found.is_open);
                }
                Ok(found) => {
                    tally.old += 1;
                    tally.open += usize::from(found.is_open);
                }
                Err(why) => tally.failures.push(self.describe(&cut, &why)),
            }
        }
        println!(
            "{}: {} flushes, {} states: {} old, {} new ({} of them after exit 0), {} failed; {} had something to recover",
            self.name(),
            self.log.ops.iter().filter(|op| **op == Op::Flush).count(),
            tally.states(),
            tally.old,
            tally.new,
            tally.after_success,
            tally.failures.len(),
            tally.open,
        );
        tally
    }

    fn is_done(&self, cut: &Cut) -> bool {
        self.log.mark(DONE).is_some_and(|done| cut.end > done)
    }

    /// Judges one state: which of the two trees it is.
    fn judge(&self, cut: &Cut) -> Result<Found, String> {
        self.machine.requests.cut(cut);
        self.machine
            .mount()
            .map_err(|error| format!("cannot mount: {error}"))?;
        // An unreadable file is a finding about this state, and the disk still has to be unmounted.
        let found = catch_unwind(AssertUnwindSafe(|| self.judge_mounted(cut)));
        self.machine.unmount();
        found.unwrap_or_else(|panic| {
            let text = panic
                .downcast_ref::<String>()
                .map_or("a panic", String::as_str);
            Err(text.to_owned())
        })
    }

    fn judge_mounted(&self, cut: &Cut) -> Result<Found, String> {
        let before = (names(&self.lab.target().join(".rvenv")), self.lab.litter());
        let is_at_rest =
            |snapshot: &Snapshot| before == (snapshot.inside.clone(), snapshot.beside.clone());
        let is_open = !is_at_rest(&self.old) && !is_at_rest(&self.new);
        let is_again = self.case.can_repeat() && cut.end.is_multiple_of(REPEATED);
        let ended = if is_again {
            end(&mut self.case.command(self.lab, &[]))
        } else {
            end(&mut self.lab.rvenv(&self.lab.recover()))
        };
        if ended.code != Some(0) {
            return Err(format!("exit {:?}: {}", ended.code, ended.story));
        }
        let found = Snapshot::of(self.lab);
        let sameness = if is_again {
            Sameness::Alike
        } else {
            Sameness::Restored
        };
        let not_new = match self.new.compare(&found, sameness) {
            Ok(()) => {
                let is_new = true;
                return Ok(Found { is_new, is_open });
            }
            Err(not_new) => not_new,
        };
        if let Err(not_old) = self.old.compare(&found, self.case.sameness()) {
            return Err(format!(
                "neither the new tree ({not_new}) nor the old one ({not_old}): {}",
                ended.story
            ));
        }
        if self.case.is_recovery() {
            return Err(format!("nothing was recovered: {}", ended.story));
        }
        if is_again {
            return Err(format!(
                "the old tree, after the command ran again: {}",
                ended.story
            ));
        }
        if self.is_done(cut) {
            return Err("the old tree, after exit 0".to_owned());
        }
        let is_new = false;
        Ok(Found { is_new, is_open })
    }

    /// The story of a failure, with the line that reproduces it.
    fn describe(&self, cut: &Cut, why: &str) -> String {
        let pending = Cut {
            kept: Kept::All,
            ..*cut
        }
        .writes(&self.log)
        .len();
        let kept = cut.writes(&self.log).len();
        let when = if self.is_done(cut) { "after" } else { "before" };
        let called = self.log.ops[..cut.end].iter().filter_map(|op| match op {
            Op::Mark(mark) => mark.strip_prefix(CALL),
            Op::Write { .. } | Op::Zero { .. } | Op::Flush => None,
        });
        let called: Vec<_> = called.collect();
        let called = called[called.len().saturating_sub(3)..].join("\n    ");
        let name = self.name();
        format!(
            "{name}@{cut}: {why}\n  {kept} of {pending} unflushed writes kept, {when} exit 0, after\n    {called}\n  \
             again: RVENV_POWERCUT={name}@{cut} cargo test --test it powercut:: -- --nocapture\n  \
             the recording: {}",
            self.dir.display()
        )
    }

    /// Judges the state of a failure once more, and prints the result.
    pub(crate) fn replay(&self, cut: &Cut) -> Result<(), String> {
        let found = self.judge(cut).map_err(|why| self.describe(cut, &why))?;
        let tree = if found.is_new { "new" } else { "old" };
        println!("{}@{cut}: the {tree} tree", self.name());
        Ok(())
    }
}

/// Runs a command to its end. Right after each call that changes something, the filesystem commits
/// its metadata, and a mark names the call. The tracer delays the call long enough for that.
fn step(machine: &Machine, fifo: &Path, command: impl Fn(&[String]) -> Command) -> Ended {
    drop(fs::remove_file(fifo));
    rustix::fs::mknodat(CWD, fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let trace = format!("trace={CHANGING}");
    let delay = format!("inject={CHANGING}:delay_exit={DELAY}");
    let calls = fifo.display().to_string();
    let tracer = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-o",
        &calls,
        "-e",
        &trace,
        "-e",
        &delay,
    ];
    let mut command = command(&tracer.map(str::to_owned));
    let root = machine.root();
    thread::scope(|scope| {
        let running = scope.spawn(|| {
            let ended = end(&mut command);
            // Opens the other end, in case the tracer failed before it did so.
            drop(File::options().read(true).write(true).open(fifo).unwrap());
            ended
        });
        for call in BufReader::new(File::open(fifo).unwrap()).lines() {
            machine.requests.mark(&format!("{CALL}{}", call.unwrap()));
            root.commit();
        }
        running.join().unwrap()
    })
}
