//! Adversity: `create --clear` over an environment with 1,000 foreign files, made to fail at every
//! stage; and a `sync` to another lock, where the disk becomes full.
//!
//! A corrupt wheel, a full disk, SIGINT and SIGTERM at system calls: the exit code says which tree
//! is at the target, and the tree matches it in every byte, mode and time (I1); nothing is left
//! beside it after `recover`. An error never becomes a panic. `RVENV_FAULTS=all` tries more of
//! them. Read next: `tests/it/faults.rs`, where single system calls fail.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::locked;
use crate::mounts::{has, is_among_mounts};
use crate::strace::{self, Call};
use crate::trees::{Ended, Lab, Sameness, Tree, compare, copy, end, look};
use rustix::process::{Pid, Signal, kill_process};

/// An environment with foreign files, which a clear or a sync changes or leaves unchanged.
struct Bench<'a> {
    lab: &'a Lab,
    words: Vec<String>,
    old: Tree,
    new: Tree,
    /// A copy of the old tree, from which it is made again; the tree of a clear is made anew.
    template: Option<PathBuf>,
}

impl<'a> Bench<'a> {
    fn new(lab: &'a Lab, flags: &[&str]) -> Self {
        let mut words = lab.create(flags);
        words.push("--clear".to_owned());
        let ended = end(&mut lab.rvenv(&words));
        assert_eq!(ended.code, Some(0), "{}", ended.story);
        let new = look(&lab.target());
        let mut bench = Self {
            lab,
            words,
            old: None,
            new,
            template: None,
        };
        bench.prepare();
        bench
    }

    /// An environment with the packages of one lock, which a sync brings to another lock.
    fn of_sync(lab: &'a Lab) -> Self {
        let ended = end(&mut lab.rvenv(&lab.create(&["--without-pip"])));
        assert_eq!(ended.code, Some(0), "{}", ended.story);
        lab.add_strangers(6);
        locked::begin(lab);
        let (template, old) = (lab.file("template"), look(&lab.target()));
        copy(&lab.target(), &template);
        let words = locked::forward(lab, &[]);
        let ended = end(&mut lab.rvenv(&words));
        assert_eq!(ended.code, Some(0), "{}", ended.story);
        let mut bench = Self {
            lab,
            words,
            old,
            new: look(&lab.target()),
            template: Some(template),
        };
        bench.prepare();
        bench
    }

    /// Makes the old tree, unless it still exists.
    fn prepare(&mut self) {
        if let Some(template) = &self.template {
            if self.is_old().is_err() {
                copy(template, &self.lab.target());
            }
        } else if !self.lab.target().join("strangers").exists() {
            self.lab.add_strangers(1000);
            self.old = look(&self.lab.target());
        }
    }

    fn is_old(&self) -> Result<(), String> {
        // A sync goes entry by entry.
        let sameness = match self.template {
            Some(_) => Sameness::Restored,
            None => Sameness::Exact,
        };
        compare(&self.old, &look(&self.lab.target()), sameness)
    }

    fn is_new(&self) -> Result<(), String> {
        compare(&self.new, &look(&self.lab.target()), Sameness::Alike)
    }

    /// Checks that the tree matches the exit code.
    fn judge(&self, ended: &Ended, what: &str) {
        let story = &ended.story;
        assert!(!story.contains("panicked"), "{what}: {story}");
        let truth = match ended.code {
            Some(0) => self.is_new(),
            Some(1 | 3 | 130 | 143) => self.is_old(),
            Some(5 | 6) => self.is_old().or_else(|_| self.is_new()),
            code => Err(format!("not an exit code of rvenv: {code:?}")),
        };
        assert_eq!(truth, Ok(()), "{what}: {:?} {story}", ended.code);
    }

    /// Checks that an undisturbed `recover` leaves the tree that the exit code named, and nothing
    /// else.
    fn recover(&self, ended: &Ended, what: &str) {
        let story = &ended.story;
        let recovered = end(&mut self.lab.rvenv(&self.lab.recover()));
        assert_eq!(
            recovered.code,
            Some(0),
            "{what}: {story}\n{}",
            recovered.story
        );
        self.judge(ended, &format!("{what}, recovered"));
        assert_eq!(self.lab.litter(), [""; 0], "{what}: {story}");
    }
}

/// The changing calls of a run; of the thousand that delete the foreign files, only the first and
/// the last.
fn calls(bench: &mut Bench<'_>) -> Vec<Call> {
    let mut calls = strace::calls(bench.lab, &bench.words);
    bench.prepare();
    let deletions = calls.iter().filter(|call| call.kind == "unlinkat").count();
    calls.retain(|call| call.kind != "unlinkat" || call.nth < 12 || call.nth + 8 > deletions);
    calls
}

/// The names beside the target; a signal after the switch may leave trash, which the command
/// reports.
fn left_by(lab: &Lab, ended: &Ended) -> Vec<String> {
    let mut left = lab.litter();
    if ended.story.contains("Interrupted while deleting") {
        left.retain(|name| !name.starts_with(".E.rvenv.trash-"));
    }
    left
}

fn wants_all() -> bool {
    std::env::var_os("RVENV_FAULTS").is_some()
}

/// A signal before the switch ends the run with nothing changed and nothing left; after the switch
/// it has no effect.
#[test]
fn a_signal_at_a_changing_call_ends_the_run_with_its_own_code() {
    let Some(lab) = Lab::in_memory() else { return };
    if !strace::is_there() {
        return;
    }
    let mut bench = Bench::new(&lab, &["--without-pip"]);
    let calls = calls(&mut bench);
    let each = if wants_all() { 1 } else { 3 };
    let mut codes: BTreeMap<Option<i32>, usize> = BTreeMap::new();
    for (number, call) in calls.iter().step_by(each).enumerate() {
        bench.prepare();
        let (signal, own) = [("SIGINT", 130), ("SIGTERM", 143)][number % 2];
        // A second signal does no further harm.
        let stays = if number % 4 < 2 { "" } else { "+" };
        let what = format!("{} {}{stays} {signal}", call.kind, call.nth);
        let wrapper = strace::meeting(call, &format!("signal={signal}"), stays);
        let ended = end(&mut lab.under(&wrapper, &bench.words));
        assert!(
            [Some(0), Some(own)].contains(&ended.code),
            "{what}: {ended:?}"
        );
        bench.judge(&ended, &what);
        assert_eq!(left_by(&lab, &ended), [""; 0], "{what}: {}", ended.story);
        *codes.entry(ended.code).or_default() += 1;
    }
    println!("signals at calls; exit codes: {codes:?}");
    assert!(
        [0, 130, 143]
            .iter()
            .all(|code| codes.contains_key(&Some(*code))),
        "{codes:?}"
    );
}

/// The same without a tracer, at random moments.
#[test]
fn a_signal_at_any_moment_leaves_the_tree_that_the_exit_code_says() {
    let Some(lab) = Lab::in_memory() else { return };
    let flags: &[&str] = if lab.has_pip { &[] } else { &["--without-pip"] };
    let mut bench = Bench::new(&lab, flags);
    let since = Instant::now();
    assert_eq!(end(&mut lab.rvenv(&bench.words)).code, Some(0));
    let duration = since.elapsed();
    let rounds = if wants_all() { 60 } else { 15 };
    let mut codes: BTreeMap<Option<i32>, usize> = BTreeMap::new();
    for round in 0..rounds {
        bench.prepare();
        let (signal, own) = [(Signal::INT, 130), (Signal::TERM, 143)][usize::from(round % 2 == 1)];
        let child = lab.rvenv(&bench.words).spawn().unwrap();
        let pid = Pid::from_child(&child);
        std::thread::sleep(duration * round / rounds + Duration::from_millis(10));
        for _ in 0..=round % 3 {
            let _ended_meanwhile = kill_process(pid, signal);
        }
        let ended: Ended = child.wait_with_output().unwrap().into();
        let what = format!("{signal:?} in round {round}");
        if ended.code.is_none() {
            // The signal came before its handler was installed: it kills the command, before
            // anything has begun.
            assert_eq!(bench.is_old(), Ok(()), "{what}");
        } else {
            assert!(
                [Some(0), Some(own)].contains(&ended.code),
                "{what}: {ended:?}"
            );
            bench.judge(&ended, &what);
        }
        assert_eq!(left_by(&lab, &ended), [""; 0], "{what}: {}", ended.story);
        *codes.entry(ended.code).or_default() += 1;
    }
    println!("signals at moments; exit codes: {codes:?}");
}

/// Mounts a small filesystem at the directory; `false`, with the reason printed, where that cannot
/// be done.
fn mount_small(lab: &Lab) -> bool {
    let image = lab.file("disk.img");
    fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
    let made = Command::new("mkfs.ext4")
        .args(["-q", "-b", "1024", "-m", "0", "-N", "6000"])
        .arg(&image)
        .output();
    let mounted = Command::new("mount")
        .args(["-o", "loop"])
        .arg(&image)
        .arg(lab.parent())
        .output();
    let there = [made, mounted]
        .into_iter()
        .all(|output| output.is_ok_and(|output| output.status.success()));
    if there {
        fs::remove_dir(lab.parent().join("lost+found")).unwrap();
    } else {
        println!("skipped: cannot mount a small ext4 here");
    }
    there
}

/// Leaves this many KiB free.
fn fill(filler: &Path, free: u64) {
    let mut file = fs::File::create(filler).unwrap();
    let mut block = 1 << 16;
    while block >= 1024 {
        // Only near the end of the space does a write allocate blocks that were not reserved
        // before.
        if file.write_all(&vec![1; block]).is_err() {
            let _is_full = file.sync_all();
            block /= 4;
        }
    }
    let len = file.metadata().unwrap().len();
    file.set_len(len.saturating_sub(free << 10)).unwrap();
    file.sync_all().unwrap();
}

/// Runs a command on a small filesystem that becomes full sooner or later.
fn on_full_disks(test: &str, bench: impl for<'a> FnOnce(&'a Lab) -> Bench<'a>) {
    if !has("mkfs.ext4") || !is_among_mounts(module_path!(), test) {
        return;
    }
    let Some(lab) = Lab::in_memory() else { return };
    if !mount_small(&lab) {
        return;
    }
    let mut bench = bench(&lab);
    let filler = lab.parent().join("E.filler");
    let mut codes: BTreeMap<Option<i32>, usize> = BTreeMap::new();
    for free in (0..60).step_by(if wants_all() { 1 } else { 3 }) {
        bench.prepare();
        fill(&filler, free);
        let ended = end(&mut lab.rvenv(&bench.words));
        let what = format!("{free} KiB free");
        bench.judge(&ended, &what);
        assert!(
            [Some(0), Some(1)].contains(&ended.code),
            "{what}: {ended:?}"
        );
        assert!(
            ended.code == Some(0) || ended.story.contains("No space left"),
            "{what}: {}",
            ended.story
        );
        assert_eq!(lab.litter(), ["E.filler"], "{what}: {}", ended.story);
        fs::remove_file(&filler).unwrap();
        bench.recover(&ended, &what);
        *codes.entry(ended.code).or_default() += 1;
    }
    println!("full disks; exit codes: {codes:?}");
    let unmounted = Command::new("umount").arg(lab.parent()).status().unwrap();
    assert!(unmounted.success());
    assert!(codes.len() == 2, "some runs fit and some do not: {codes:?}");
}

/// I1: wherever the disk becomes full, the old environment is unchanged, and with free space the
/// command succeeds.
#[test]
fn a_full_disk_leaves_the_old_environment() {
    on_full_disks("a_full_disk_leaves_the_old_environment", |lab| {
        Bench::new(lab, &["--without-pip"])
    });
}

/// The same of a sync, where the packages change entry by entry.
#[test]
fn a_full_disk_leaves_the_old_packages() {
    on_full_disks("a_full_disk_leaves_the_old_packages", |lab| {
        Bench::of_sync(lab)
    });
}

/// A copy of the interpreter's installation, made of links except for pip's wheel; returns both
/// paths.
fn installation(lab: &Lab) -> Option<(PathBuf, PathBuf)> {
    let asked = "import sys, os, glob, ensurepip; d = os.path.dirname(ensurepip.__file__)\n\
                 print(sys.base_prefix); print(os.path.dirname(os.__file__)); print(os.path.realpath(sys.executable))\n\
                 print(glob.glob(d + '/_bundled/pip-*.whl')[0])";
    let answer = Command::new(&lab.python)
        .args(["-I", "-c", asked])
        .output()
        .unwrap();
    let answer = String::from_utf8_lossy(&answer.stdout).into_owned();
    let [prefix, library, executable, wheel] =
        answer.lines().collect::<Vec<_>>().try_into().ok()?;
    let root = lab.file("installation");
    let to = root.join(Path::new(library).strip_prefix(prefix).ok()?);
    fs::create_dir_all(to.join("ensurepip/_bundled")).unwrap();
    fs::create_dir_all(root.join("bin")).unwrap();
    let link_all = |from: &Path, to: &Path, but: &str| {
        for name in fs::read_dir(from)
            .unwrap()
            .map(|name| name.unwrap().file_name())
        {
            if name != but {
                symlink(from.join(&name), to.join(&name)).unwrap();
            }
        }
    };
    let library = Path::new(library);
    link_all(library, &to, "ensurepip");
    link_all(
        &library.join("ensurepip"),
        &to.join("ensurepip"),
        "_bundled",
    );
    let wheels = library.join("ensurepip/_bundled");
    let wheel = Path::new(wheel).file_name()?;
    link_all(
        &wheels,
        &to.join("ensurepip/_bundled"),
        &wheel.to_string_lossy(),
    );
    let own = to.join("ensurepip/_bundled").join(wheel);
    fs::copy(wheels.join(wheel), &own).ok()?;
    let python = root.join("bin").join(Path::new(executable).file_name()?);
    fs::copy(executable, &python).unwrap();
    let checked = Command::new(&python)
        .args(["-I", "-c", "import sys; print(sys.base_prefix)"])
        .output()
        .ok()?;
    let there = String::from_utf8_lossy(&checked.stdout).trim() == root.display().to_string();
    there.then_some((python, own))
}

fn damages(whole: &[u8]) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let mut flipped = whole.to_vec();
    let middle = whole.len() / 2;
    for byte in flipped.iter_mut().skip(middle).take(64) {
        *byte ^= 0x5a;
    }
    let cut = whole.iter().take(middle).copied().collect();
    vec![
        ("flipped", Some(flipped)),
        ("cut", Some(cut)),
        ("empty", Some(Vec::new())),
        ("missing", None),
    ]
}

/// A corrupt wheel fails the run with its name; a damaged store does not.
#[test]
fn a_corrupt_wheel_leaves_the_old_environment() {
    let Some(mut lab) = Lab::in_memory() else {
        return;
    };
    if !lab.has_pip {
        println!("skipped: python3 has no pip to install");
        return;
    }
    let Some((python, wheel)) = installation(&lab) else {
        println!("skipped: this interpreter does not work from a copy");
        return;
    };
    lab.python = python;
    let mut bench = Bench::new(&lab, &[]);
    let whole = fs::read(&wheel).unwrap();
    let plan_file = lab.file("plan.json").display().to_string();
    let mut plan = bench.words.clone();
    *plan.first_mut().unwrap() = "plan".to_owned();
    plan.extend(["-o".to_owned(), plan_file.clone()]);
    assert_eq!(end(&mut lab.rvenv(&plan)).code, Some(0));
    for (damage, bytes) in damages(&whole) {
        match bytes {
            Some(bytes) => fs::write(&wheel, bytes).unwrap(),
            None => fs::remove_file(&wheel).unwrap(),
        }
        for (words, code) in [
            (bench.words.clone(), 1),
            (vec!["apply".to_owned(), plan_file.clone()], 3),
        ] {
            // A plan is applied from the store, whatever happened to the wheel since.
            let packs = lab.file("cache/packs");
            if packs.exists() {
                fs::remove_dir_all(packs).unwrap();
            }
            let ended = end(&mut lab.rvenv(&words));
            assert_eq!(ended.code, Some(code), "{damage}: {}", ended.story);
            let name = wheel.file_name().unwrap().to_str().unwrap();
            assert!(ended.story.contains(name), "{damage}: {}", ended.story);
            bench.judge(&ended, damage);
            assert_eq!(lab.litter(), [""; 0], "{damage}: {}", ended.story);
        }
    }
    fs::write(&wheel, &whole).unwrap();
    let ended = end(&mut lab.rvenv(&bench.words));
    assert_eq!(ended.code, Some(0), "{}", ended.story);
    bench.judge(&ended, "a whole wheel");
    bench.prepare();
    damage_the_store(&lab);
    let ended = end(&mut lab.rvenv(&bench.words));
    assert_eq!(ended.code, Some(0), "{}", ended.story);
    bench.judge(&ended, "a damaged store");
    bench.prepare();
}

/// Makes one object too long, deletes another, and deletes the manifests of all other packs.
fn damage_the_store(lab: &Lab) {
    for pack in fs::read_dir(lab.file("cache/packs")).unwrap() {
        let files = pack.unwrap().path().join("files");
        let mut objects: Vec<_> = fs::read_dir(files)
            .unwrap()
            .map(|name| name.unwrap().path())
            .collect();
        objects.sort();
        fs::remove_file(objects.pop().unwrap()).unwrap();
        let edited = objects.pop().unwrap();
        fs::write(&edited, "edited in place").unwrap();
    }
}

/// A store that cannot be made costs only time.
#[test]
fn an_unwritable_cache_is_no_failure() {
    let Some(lab) = Lab::in_memory() else { return };
    let flags: &[&str] = if lab.has_pip { &[] } else { &["--without-pip"] };
    let mut bench = Bench::new(&lab, flags);
    bench.prepare();
    let cache = "/proc/self/none";
    let ended = end(lab.rvenv(&bench.words).env("RVENV_CACHE_DIR", cache));
    assert_eq!(ended.code, Some(0), "{}", ended.story);
    bench.judge(&ended, "no cache");
    assert_eq!(lab.litter(), [""; 0]);
}
