//! Readers and writers: programs that use an environment while rvenv changes it (I3).
//!
//! A look-up during a clear finds the old tree or the new one, never nothing. A program starts
//! successfully during upgrades, and imports what a `sync` does not replace. What a user writes
//! into `site-packages` meanwhile is in place afterwards, or in a kept generation.
//! `RVENV_ROUNDS=200` runs more rounds.

#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "tests start the real command")]
#![expect(clippy::unwrap_used, reason = "a test may stop at anything unexpected")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::locked;
use crate::machine::{Python, twins};
use crate::trees::{Ended, Lab, end};

fn rounds(few: u64) -> u64 {
    let asked = std::env::var("RVENV_ROUNDS").ok();
    asked.and_then(|rounds| rounds.parse().ok()).unwrap_or(few)
}

/// An environment with pip, of the first of two interpreters of one minor version.
fn lab_with_pip() -> Option<(Lab, [Python; 2])> {
    let mut lab = Lab::in_memory()?;
    let twins = twins()?;
    lab.python.clone_from(&twins.first()?.path);
    done(&lab, &lab.create(&[]));
    Some((lab, twins))
}

fn done(lab: &Lab, words: &[String]) -> Ended {
    let ended = end(&mut lab.rvenv(words));
    assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.story);
    ended
}

fn upgrade(lab: &Lab, python: &Python, more: &[&str]) -> Vec<String> {
    let (target, python) = (lab.shown_target(), python.path.display().to_string());
    let words = ["upgrade", &target, "--python", &python];
    let words = words.iter().chain(more);
    words.map(|word| (*word).to_owned()).collect()
}

fn site_packages(lab: &Lab) -> PathBuf {
    let lib = fs::read_dir(lab.target().join("lib")).unwrap();
    let python = lib.map(|entry| entry.unwrap().path()).next().unwrap();
    python.join("site-packages")
}

/// Ends the other threads, also when the work panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Repeats a action on threads while `work` runs; returns how often.
fn meanwhile(threads: usize, action: impl Fn() + Sync, work: impl FnOnce()) -> u64 {
    let (is_over, count) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    action();
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _over = Over(&is_over);
        work();
    });
    count.into_inner()
}

/// I3: each single look-up finds one of the two trees.
#[test]
fn no_look_up_finds_nothing_while_an_environment_is_cleared() {
    let Some((lab, _)) = lab_with_pip() else {
        return;
    };
    let mut words = lab.create(&["--clear", "-v"]);
    if done(&lab, &words).story.contains("no exchange") {
        println!("skipped: this filesystem has no exchange");
        return;
    }
    words.pop();
    let site = site_packages(&lab);
    let paths = [
        lab.target().join("bin/python"),
        lab.target().join("pyvenv.cfg"),
        site.join("pip"),
        site.join("pip/__init__.py"),
    ];
    let look = || {
        for path in &paths {
            let found = fs::symlink_metadata(path);
            assert!(found.is_ok(), "{}: {found:?}", path.display());
        }
        let config = fs::read_to_string(&paths[1]).unwrap();
        assert!(config.contains("version = "), "{config}");
    };
    let clears = rounds(12);
    let looks = meanwhile(2, look, || {
        for _ in 0..clears {
            done(&lab, &words);
        }
    });
    println!("{looks} times five look-ups during {clears} clears");
    assert!(looks > clears, "no reader looked");
}

/// A program that starts while entries are switched one by one finds a working environment.
#[test]
fn no_start_of_python_fails_while_an_environment_is_upgraded() {
    let Some((lab, twins)) = lab_with_pip() else {
        return;
    };
    let python = lab.target().join("bin/python");
    let start = || {
        let mut command = Command::new(&python);
        let output = command.args(["-c", "import pip"]).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {told}", output.status);
        assert_eq!(told, "");
    };
    let upgrades = rounds(8);
    let starts = meanwhile(1, start, || {
        for (_, python) in (0..upgrades).zip(twins.iter().rev().cycle()) {
            done(&lab, &upgrade(&lab, python, &["--no-keep"]));
        }
    });
    println!("{starts} starts during {upgrades} upgrades");
    assert!(starts > 0, "no reader started it");
}

/// Not even a package whose namespace it shares with those that come, go and change.
#[test]
fn no_import_fails_while_a_sync_replaces_other_packages() {
    let Some(lab) = Lab::in_memory() else { return };
    done(&lab, &lab.create(&["--without-pip"]));
    locked::begin(&lab);
    let python = lab.target().join("bin/python");
    let import = || {
        let mut command = Command::new(&python);
        let output = command
            .args(["-B", "-c", locked::IMPORTS])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {told}", output.status);
    };
    let syncs = rounds(8);
    let readers = meanwhile(1, import, || {
        for _ in 0..syncs {
            done(&lab, &locked::forward(&lab, &["--no-keep"]));
            done(&lab, &locked::back(&lab));
        }
    });
    println!("{readers} readers during {syncs} syncs and {syncs} back");
    assert!(readers > 0, "no reader imported anything");
}

/// A user who works in `site-packages`: what was written, by its name below it.
struct Writer {
    site: PathBuf,
    written: BTreeMap<PathBuf, String>,
}

impl Writer {
    /// Writes one more file or edit, in one of several ways; tries again while its directory is
    /// being exchanged.
    fn write(&mut self, round: u64) {
        let dir = ["", "work", "work/sub", "pip", "pip/_internal"];
        let dir = *dir.get(usize::try_from(round % 5).unwrap()).unwrap();
        let name = PathBuf::from(dir).join(format!("mine-{}.txt", round % 40));
        let line = format!("line {round}\n");
        let way: fn(&Path, &str) -> std::io::Result<()> = match round % 3 {
            0 => append,
            1 => create_over,
            _ => rename_over,
        };
        let full = self.site.join(&name);
        if dir.starts_with("work") {
            fs::create_dir_all(self.site.join(dir)).unwrap();
        }
        // Between two renames a package's directory may be absent: then nothing was written.
        if way(&full, &line).is_ok() {
            self.written.insert(name, line);
        }
    }

    /// What was written but is neither in place nor in a generation.
    fn lost(&self, generations: &Path) -> Vec<String> {
        let mut kept = Vec::new();
        collect(generations, &mut kept);
        let is_lost = |(name, line): &(&PathBuf, &String)| {
            let has = |path: &Path| {
                fs::read_to_string(path).is_ok_and(|text| text.contains(line.as_str()))
            };
            let own = name.file_name();
            let aside = kept.iter().filter(|path| path.file_name() == own);
            !has(&self.site.join(name)) && !aside.into_iter().any(|path| has(path))
        };
        let lost = self.written.iter().filter(is_lost);
        lost.map(|(name, line)| format!("{}: {line}", name.display()))
            .collect()
    }
}

fn append(path: &Path, line: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)?;
    file.write_all(line.as_bytes())
}

fn create_over(path: &Path, line: &str) -> std::io::Result<()> {
    fs::write(path, line)
}

fn rename_over(path: &Path, line: &str) -> std::io::Result<()> {
    let temp = path.with_extension("tmp");
    fs::write(&temp, line)?;
    fs::rename(temp, path)
}

/// Every file below a directory.
fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// Every byte that was written during upgrades and rollbacks is in place, or in a kept generation.
#[test]
fn nothing_that_is_written_during_upgrades_and_rollbacks_is_lost() {
    let Some((lab, twins)) = lab_with_pip() else {
        return;
    };
    let writer = std::sync::Mutex::new(Writer {
        site: site_packages(&lab),
        written: BTreeMap::new(),
    });
    let count = AtomicU64::new(0);
    let write = || {
        let round = count.fetch_add(1, Ordering::Relaxed);
        writer.lock().unwrap().write(round);
        thread::sleep(std::time::Duration::from_millis(1));
    };
    let rollback = vec!["rollback".to_owned(), lab.shown_target()];
    let (mut changes, mut refusals) = (0, 0);
    let total = rounds(10) / 2;
    meanwhile(1, write, || {
        for (_, python) in (0..total).zip(twins.iter().rev().cycle()) {
            for words in [upgrade(&lab, python, &[]), rollback.clone()] {
                let ended = end(&mut lab.rvenv(&words));
                match ended.code {
                    Some(0) => changes += 1,
                    Some(1 | 3 | 5) => {
                        assert!(ended.story.contains('`'), "{}", ended.story);
                        refusals += 1;
                    }
                    other => panic!("{words:?}: {other:?} {}", ended.story),
                }
            }
        }
    });
    let writer = writer.into_inner().unwrap();
    let lost = writer.lost(&lab.target().join(".rvenv"));
    let written = count.into_inner();
    println!("{written} writes during {changes} changes and {refusals} refusals");
    assert_eq!(lost, [""; 0]);
    assert!(changes > 0 && written > 0, "nothing was tried");
}
