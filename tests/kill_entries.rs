//! Kills while an environment is changed in place: SIGKILL at calls of the real command, chosen by a sweep.
//!
//! A publication by entries is many renames, so a kill may leave some of each tree, in which the interpreter still works
//! (I3); after one more command it is the old tree or the new one, whole, whoever's files are in it (I1), and beside
//! what is kept nothing is left. The same holds when that command is killed, and run again.
//! `RVENV_KILLS=300` kills at more calls.

#![cfg(unix)]
#![expect(clippy::disallowed_methods, reason = "tests start the real command")]
#![expect(
    clippy::print_stdout,
    reason = "a test says what it skips and what it counted"
)]
#![expect(clippy::unwrap_used, reason = "a test may stop at anything unexpected")]

#[expect(dead_code, reason = "other tests use more of the machine")]
mod machine;
#[path = "trees/strace.rs"]
mod strace;
#[expect(dead_code, reason = "other tests compare times too")]
mod trees;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use strace::Call;
use trees::{Ended, Lab, Sameness, Tree, compare, end, look};

/// How many kills there are unless `RVENV_KILLS` says otherwise.
const KILLS: usize = 60;
/// Of these, at how many calls each command is killed, and at how many calls each of its two recoveries.
const DIRECT: usize = 6;
const IN_RECOVERY: usize = 2;

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// To another Python: entries come, change and go; what was there is kept.
    Upgrade,
    /// With another prompt: entries change, and what they replace is deleted.
    Merge,
    /// Into a directory with files of its own, where everything is added.
    Adopt,
    /// What was deleted and edited comes back, and the edits are kept.
    Repair,
    Rollback,
    Forward,
}

/// Which tree stands at the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Old,
    New,
}

/// A tree, and what stands in the engine's directory in it.
struct State {
    tree: Tree,
    receipt: Option<Vec<u8>>,
    kept: Vec<String>,
}

impl State {
    fn of(lab: &Lab) -> Self {
        let mut tree = look(&lab.target());
        if let Some(tree) = &mut tree {
            tree.retain(|path, _| path.components().all(|c| c.as_os_str() != "__pycache__"));
        }
        let inner = lab.target().join(".rvenv");
        let names = fs::read_dir(&inner).into_iter().flatten();
        let names = names.map(|name| name.unwrap().file_name().to_string_lossy().into_owned());
        let mut kept: Vec<_> = names.collect();
        kept.sort();
        Self {
            tree,
            receipt: fs::read(inner.join("receipt.json")).ok(),
            kept,
        }
    }
}

/// A command that is killed again and again, with what stands there before and after it.
struct Victim<'a> {
    lab: &'a Lab,
    way: Way,
    words: Vec<String>,
    old: State,
    new: State,
}

impl<'a> Victim<'a> {
    /// Runs the command undisturbed, to know its new tree.
    fn new(lab: &'a Lab, way: Way) -> Self {
        begin(lab, way);
        if !way.goes_back() {
            copy(&lab.target(), &lab.file("template"));
        }
        let old = State::of(lab);
        let words = words(lab, way);
        done(lab, &words);
        let new = State::of(lab);
        Self {
            lab,
            way,
            words,
            old,
            new,
        }
    }

    /// Makes the old tree, whichever of the two stands there.
    fn prepare(&self) {
        if !self.way.goes_back() {
            copy(&self.lab.file("template"), &self.lab.target());
        } else if self.judge("before a kill") == Seen::New {
            done(self.lab, &self.words);
        }
    }

    /// Which tree it is, exactly; file times and the digest of a plan that was made again do not count.
    fn judge(&self, when: &str) -> Seen {
        let found = State::of(self.lab);
        let not_old = compare(&self.old.tree, &found.tree, Sameness::Alike);
        let not_new = compare(&self.new.tree, &found.tree, Sameness::Alike);
        let (seen, state) = match (not_old, not_new) {
            (Ok(()), _) => (Seen::Old, &self.old),
            (_, Ok(())) => (Seen::New, &self.new),
            (Err(old), Err(new)) => panic!(
                "{:?} {when}: not the old tree ({old}) and not the new one ({new})",
                self.way
            ),
        };
        if seen == Seen::Old {
            assert!(found.receipt == state.receipt, "{:?} {when}", self.way);
        }
        assert_eq!(found.kept, state.kept, "{:?} {when}: {seen:?}", self.way);
        assert_eq!(self.lab.litter(), [""; 0], "{:?} {when}", self.way);
        seen
    }

    /// Kills the command at one of its calls.
    fn kill(&self, call: &Call, words: &[String]) {
        let wrapper = strace::meeting(call, "signal=SIGKILL", "");
        let ended = end(&mut self.lab.under(&wrapper, words));
        assert_eq!(
            ended.code, None,
            "{:?}: {call:?} was not met: {}",
            self.way, ended.story
        );
        self.check_interpreter();
    }

    /// I3: whatever stands there, an interpreter that is there knows its environment.
    fn check_interpreter(&self) {
        let python = self.lab.target().join("bin/python");
        if fs::symlink_metadata(&python).is_ok() {
            let code = "import sys; sys.exit(sys.prefix == sys.base_prefix)";
            self.python(code);
        }
    }

    fn python(&self, code: &str) {
        let ended: Ended = Command::new(self.lab.target().join("bin/python"))
            .args(["-I", "-B", "-c", code])
            .output()
            .unwrap()
            .into();
        assert_eq!(ended.code, Some(0), "{:?}: {}", self.way, ended.story);
    }

    /// Runs the next command, and looks at what stands there then.
    fn aftermath(&self, round: usize) -> Seen {
        // Rolling back once more goes forward, so that it is not the same command again.
        let again = round % 2 == 1 && !self.way.goes_back();
        if again {
            done(self.lab, &self.words);
        } else {
            done(self.lab, &self.lab.recover());
        }
        let seen = self.judge("after the next command");
        assert!(!again || seen == Seen::New, "{:?}", self.way);
        if self.way.has_pip(self.lab) {
            self.python("import pip");
        }
        seen
    }

    /// Kills the command at calls from its first to its last; gives how often each tree stood there at the end.
    fn sweep(&self, count: usize) -> [usize; 2] {
        self.prepare();
        let calls = strace::calls(self.lab, &self.words);
        let mut counts = [0; 2];
        for (round, call) in spread(&telling(&calls), count).iter().enumerate() {
            self.prepare();
            self.kill(call, &self.words);
            *of(&mut counts, self.aftermath(round)) += 1;
        }
        println!(
            "{:?}: {} calls, [old, new]: {counts:?}",
            self.way,
            calls.len()
        );
        counts
    }

    /// Kills the recoveries of two kills: one among the steps, one after the decision.
    fn sweep_recovery(&self, count: usize) -> [usize; 2] {
        self.prepare();
        let calls = strace::calls(self.lab, &self.words);
        let renames: Vec<_> = calls.iter().filter(|call| is_rename(&call.kind)).collect();
        let among = renames.len() * 6 / 10;
        let mut counts = [0; 2];
        for at in [among, renames.len() - 2] {
            let call = renames.get(at).unwrap();
            self.prepare();
            self.kill(call, &self.words);
            let recover = self.lab.recover();
            let inner = strace::calls(self.lab, &recover);
            for next in spread(&telling(&inner), count) {
                self.prepare();
                self.kill(call, &self.words);
                self.kill(&next, &recover);
                *of(&mut counts, self.aftermath(0)) += 1;
            }
        }
        println!("recovery of {:?}: [old, new]: {counts:?}", self.way);
        counts
    }
}

impl Way {
    fn goes_back(self) -> bool {
        matches!(self, Self::Rollback | Self::Forward)
    }

    fn has_pip(self, lab: &Lab) -> bool {
        lab.has_pip && !matches!(self, Self::Merge | Self::Adopt)
    }

    fn pip_flags(self, lab: &Lab) -> &'static [&'static str] {
        if self.has_pip(lab) {
            &[]
        } else {
            &["--without-pip"]
        }
    }
}

fn of(counts: &mut [usize; 2], seen: Seen) -> &mut usize {
    counts.get_mut(usize::from(seen == Seen::New)).unwrap()
}

fn done(lab: &Lab, words: &[String]) {
    let ended = end(&mut lab.rvenv(words));
    assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.story);
}

/// Makes what stands at the target before the command.
fn begin(lab: &Lab, way: Way) {
    let target = lab.target();
    if way == Way::Adopt {
        fs::create_dir(&target).unwrap();
        fs::write(target.join(".gitignore"), "mine\n").unwrap();
        fs::create_dir(target.join("bin")).unwrap();
    } else {
        let flags = [&["--prompt", "old"], way.pip_flags(lab)].concat();
        done(lab, &lab.create(&flags));
    }
    lab.add_strangers(6);
    fs::write(target.join("bin/mine"), "mine\n").unwrap();
    match way {
        Way::Adopt => {}
        Way::Upgrade | Way::Merge => fs::remove_file(target.join("bin/activate.csh")).unwrap(),
        Way::Repair => {
            fs::remove_file(target.join("bin/activate.csh")).unwrap();
            append(&target.join("bin/activate"), "# mine\n");
            if fs::remove_file(target.join("lib64")).is_ok() {
                std::os::unix::fs::symlink("elsewhere", target.join("lib64")).unwrap();
            }
        }
        Way::Rollback => done(lab, &words(lab, Way::Upgrade)),
        Way::Forward => {
            done(lab, &words(lab, Way::Upgrade));
            done(lab, &words(lab, Way::Rollback));
        }
    }
}

fn words(lab: &Lab, way: Way) -> Vec<String> {
    let with = |verb: &str, more: &[&str]| {
        let words = [verb.to_owned(), lab.shown_target()];
        words
            .into_iter()
            .chain(more.iter().map(|word| (*word).to_owned()))
            .collect()
    };
    match way {
        Way::Upgrade => {
            // Where there is only one Python, the entries that change are fewer.
            let newest = machine::any_python().map_or(lab.python.clone(), |python| python.path);
            let newest = newest.display().to_string();
            let more = ["--prompt", "new", "--python", &newest];
            with("upgrade", &[&more, way.pip_flags(lab)].concat())
        }
        Way::Merge => lab.create(&["--without-pip", "--prompt", "new"]),
        Way::Adopt => lab.create(&["--without-pip"]),
        Way::Repair => with("repair", &[]),
        Way::Rollback | Way::Forward => with("rollback", &[]),
    }
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Copies a tree with all that `cp -a` keeps, in the place of whatever was there.
fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    let copied = end(Command::new("cp").arg("-a").arg(from).arg(to));
    assert_eq!(copied.code, Some(0), "{}", copied.story);
}

/// The calls without those in the midst of many of one kind, but with every rename.
fn telling(calls: &[Call]) -> Vec<Call> {
    let kind = |index: usize| calls.get(index).map(|call| call.kind.as_str());
    let is_inner = |index: usize| {
        let own = kind(index);
        let is_alone = kind(index.wrapping_sub(1)) != own || kind(index + 1) != own;
        !is_alone && !own.is_some_and(is_rename)
    };
    let outer = (0..calls.len()).filter(|index| !is_inner(*index));
    outer
        .filter_map(|index| calls.get(index).cloned())
        .collect()
}

fn is_rename(kind: &str) -> bool {
    kind.starts_with("renameat")
}

/// So many calls, at equal distances, the last one among them.
fn spread(calls: &[Call], count: usize) -> Vec<Call> {
    let count = count.min(calls.len());
    let at = |round: usize| (round + 1) * calls.len() / count - 1;
    (0..count)
        .map(|round| calls.get(at(round)).unwrap().clone())
        .collect()
}

/// How many of the calls that are met by default there are to be.
fn scaled(default: usize) -> usize {
    let kills = std::env::var("RVENV_KILLS").ok();
    let kills = kills.and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    (default * kills).div_ceil(KILLS)
}

/// I1, I3: killed anywhere, also while what a kill left is being ended.
fn check(way: Way) {
    let Some(lab) = Lab::new() else { return };
    if !strace::is_there() {
        return;
    }
    let victim = Victim::new(&lab, way);
    let direct = victim.sweep(scaled(DIRECT));
    let within = victim.sweep_recovery(scaled(IN_RECOVERY));
    for seen in [Seen::Old, Seen::New] {
        let (mut direct, mut within) = (direct, within);
        let count = *of(&mut direct, seen) + *of(&mut within, seen);
        assert!(count > 0, "{way:?}: no kill led to {seen:?}");
    }
}

#[test]
fn an_upgrade_that_is_killed_anywhere_leaves_the_old_environment_or_the_new_one() {
    check(Way::Upgrade);
}

#[test]
fn a_merge_that_is_killed_anywhere_leaves_the_old_environment_or_the_new_one() {
    check(Way::Merge);
}

#[test]
fn a_directory_with_files_of_its_own_gets_the_whole_environment_or_nothing_of_it() {
    check(Way::Adopt);
}

#[test]
fn a_repair_that_is_killed_anywhere_leaves_what_was_damaged_or_all_of_it_mended() {
    check(Way::Repair);
}

#[test]
fn a_rollback_that_is_killed_anywhere_leaves_the_new_environment_or_the_old_one() {
    check(Way::Rollback);
}

#[test]
fn going_forward_again_and_killed_anywhere_leaves_the_old_environment_or_the_new_one() {
    check(Way::Forward);
}

/// Whether some file at or below a path has these lines in it.
fn holds(path: &Path, text: &str) -> bool {
    if path.is_dir() && !path.is_symlink() {
        let below = fs::read_dir(path).unwrap();
        return below
            .into_iter()
            .any(|one| holds(&one.unwrap().path(), text));
    }
    fs::read(path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text))
}

/// I5: until the check has passed nothing is decided, so the old tree comes back; what somebody wrote meanwhile stays.
#[test]
fn what_was_edited_while_a_health_check_ran_survives_its_kill() {
    let Some(lab) = Lab::new() else { return };
    begin(&lab, Way::Upgrade);
    let old = State::of(&lab);
    let mut words = words(&lab, Way::Upgrade);
    words.extend(["--check", "kill -KILL $PPID"].map(str::to_owned));
    let ended = end(&mut lab.rvenv(&words));
    assert_eq!(ended.code, None, "{}", ended.story);

    let target = lab.target();
    append(&target.join("bin/activate.csh"), "# written in place\n");
    let config = target.join("pyvenv.cfg");
    let text = fs::read_to_string(&config).unwrap() + "mine = moved over it\n";
    fs::write(target.join("draft"), text).unwrap();
    fs::rename(target.join("draft"), &config).unwrap();
    fs::write(target.join("bin/new of mine"), "mine\n").unwrap();

    let ended = end(&mut lab.rvenv(&lab.recover()));
    assert_eq!(ended.code, Some(5), "{}", ended.story);
    assert!(target.join("bin/new of mine").exists());
    fs::remove_file(target.join("bin/new of mine")).unwrap();
    let found = State::of(&lab);
    compare(&old.tree, &found.tree, Sameness::Alike).unwrap();
    assert_eq!(found.receipt, old.receipt);
    let kept = ["old-1", "old-1.journal", "receipt.json"];
    assert_eq!(found.kept, kept, "{}", ended.story);
    for text in ["# written in place", "mine = moved over it"] {
        assert!(holds(&target.join(".rvenv/old-1"), text), "{text}");
    }
    done(&lab, &lab.recover());
    assert_eq!(State::of(&lab).kept, kept);
}
