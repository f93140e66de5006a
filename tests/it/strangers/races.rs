//! Races in the middle: another user, who owns the directories above a target or the target itself,
//! waits for the stage and then exchanges what the command is working in.
//!
//! The racer is a thread with the rights of that user. What it may do is denial of service; what it
//! must not reach is anything outside: a victim of root's, to which all of its links lead.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use rustix::process::Uid;
use rustix::thread::set_thread_res_uid;

use crate::machine::{Ended, tree};
use crate::sandbox::{Sandbox, sandbox};
use crate::strangers::users::{STRANGER, dir_of, give, is_root};

const ROUNDS: u32 = 2;

/// What the racer does once a stage exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attack {
    /// The stage becomes a link to the victim.
    LinkStage,
    /// The stage becomes a directory of the racer's, with links in it.
    ReplaceStage,
    /// The journal, its draft and its decided names become links.
    LinkJournal,
    /// The lock becomes a link.
    LinkLock,
    /// The target becomes a link.
    LinkTarget,
    /// The directory above the target becomes a link.
    LinkParent,
    /// Directories in the target become links.
    LinkEntries,
}

const ATTACKS: [Attack; 7] = [
    Attack::LinkStage,
    Attack::ReplaceStage,
    Attack::LinkJournal,
    Attack::LinkLock,
    Attack::LinkTarget,
    Attack::LinkParent,
    Attack::LinkEntries,
];

/// The paths in a directory whose names have this prefix.
fn named(dir: &Path, start: &str) -> Vec<PathBuf> {
    let found = fs::read_dir(dir).into_iter().flatten().flatten();
    let found = found.map(|entry| entry.path());
    let is_it = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with(start)
    };
    found.filter(is_it).collect()
}

/// In the same directory: the owner of a directory may rename what is in it, but not move away a
/// directory of root's.
fn moved_away(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap().to_string_lossy();
    path.with_file_name(format!("moved_away{name}"))
}

struct Racer {
    /// The directory of the user's in which the target is.
    parent: PathBuf,
    victim: PathBuf,
}

impl Racer {
    /// Moves an entry away and puts a link to the victim in its place; whether both were
    /// possible.
    fn link(&self, path: &Path) -> bool {
        let moved_away = moved_away(path);
        fs::rename(path, moved_away).is_ok() && symlink(&self.victim, path).is_ok()
    }

    fn stages(&self) -> Vec<PathBuf> {
        let mut stages = named(&self.parent, ".E.rvenv.new-");
        stages.extend(named(&self.parent.join("E/.rvenv"), "new-"));
        stages
    }

    fn replace(&self, stage: &Path) -> bool {
        let moved_away = moved_away(stage);
        let is_done = fs::rename(stage, moved_away).is_ok() && fs::create_dir(stage).is_ok();
        for name in [
            "bin",
            "lib",
            "include",
            ".rvenv",
            "0",
            "1",
            "2",
            "pyvenv.cfg",
        ] {
            let _there = symlink(self.victim.join("bin"), stage.join(name));
        }
        is_done
    }

    /// Whether something of the command's was exchanged.
    fn strike(&self, attack: Attack) -> bool {
        let inner = self.parent.join("E/.rvenv");
        let any = |paths: &[PathBuf]| paths.iter().filter(|path| self.link(path)).count() > 0;
        match attack {
            Attack::LinkStage => any(&self.stages()),
            Attack::ReplaceStage => {
                let stages = self.stages();
                stages.iter().filter(|stage| self.replace(stage)).count() > 0
            }
            Attack::LinkJournal => {
                let mut journals = named(&self.parent, ".E.rvenv.journal");
                journals.extend(named(&inner, "journal"));
                any(&journals)
            }
            Attack::LinkLock => any(&[self.parent.join(".E.rvenv.lock")]),
            Attack::LinkTarget => any(&[self.parent.join("E")]),
            Attack::LinkParent => {
                let gone = self.parent.with_extension("gone");
                fs::rename(&self.parent, gone).is_ok()
                    && symlink(&self.victim, &self.parent).is_ok()
            }
            Attack::LinkEntries => {
                let names = ["E/bin", "E/lib", "E/include", "E/pyvenv.cfg"];
                any(&names.map(|name| self.parent.join(name)))
            }
        }
    }

    /// Waits for a stage, and strikes as soon and as often as something can be exchanged.
    fn run(&self, attack: Attack, over: &AtomicBool, hits: &AtomicU32) {
        let user = Uid::from_raw(STRANGER);
        set_thread_res_uid(user, user, user).unwrap();
        while !over.load(Ordering::Relaxed) {
            if !self.stages().is_empty() && self.strike(attack) {
                hits.fetch_add(1, Ordering::Relaxed);
                if attack != Attack::LinkJournal {
                    return;
                }
            }
        }
    }
}

/// An environment of root's in a directory of the stranger's, or one that is the stranger's, too.
fn prepare(sandbox: &Sandbox, command: &[&str], is_given: bool) {
    for name in ["above", "gone"] {
        let _absent = fs::remove_dir_all(sandbox.path(name));
    }
    dir_of(&sandbox.path("above"), STRANGER, 0o755);
    dir_of(&sandbox.path("above/tmp"), STRANGER, 0o755);
    if command != NEW {
        sandbox.create(&["above/tmp/E"]).ok();
    }
    if command[0] == "rollback" {
        sandbox
            .create(&["above/tmp/E", "--clear", "--keep", "--prompt", "a"])
            .ok();
    }
    if is_given && command != NEW {
        give(&sandbox.path("above/tmp/E"), STRANGER);
    }
}

const NEW: &[&str] = &["create", "above/tmp/E"];
const CHANGES: [&[&str]; 4] = [
    NEW,
    &[
        "create",
        "above/tmp/E",
        "--clear",
        "--force",
        "--prompt",
        "b",
    ],
    &["upgrade", "above/tmp/E", "--prompt", "b"],
    &["rollback", "above/tmp/E"],
];

fn run(sandbox: &Sandbox, words: &[&str]) -> Ended {
    match words[0] {
        "rollback" => sandbox.scratch.rvenv(words),
        verb => sandbox.verb(verb, &words[1..]),
    }
}

/// I6: whatever is exchanged in the middle, nothing outside is written, deleted or chmod-ed.
#[test]
fn what_is_exchanged_in_the_middle_of_a_change_leads_nowhere() {
    let Some(sandbox) = sandbox().map(Sandbox::cold) else {
        return;
    };
    if !is_root() {
        return;
    }
    // What a link to it would be taken for: a target, a stage, slots, a lock and a journal.
    sandbox.create(&["victim"]).ok();
    sandbox.create(&["victim/E"]).ok();
    for name in [
        "0",
        "1",
        "moved_away/x",
        ".E.rvenv.lock",
        ".E.rvenv.journal",
        "precious",
    ] {
        sandbox.write(&format!("victim/{name}"), "precious");
    }
    let racer = Racer {
        parent: sandbox.path("above/tmp"),
        victim: sandbox.path("victim"),
    };
    let before = tree(&racer.victim);
    let (mut hits, mut codes) = (BTreeMap::new(), BTreeMap::new());
    for attack in ATTACKS {
        for words in CHANGES {
            for round in 0..ROUNDS {
                prepare(&sandbox, words, round % 2 == 1);
                let (over, struck) = (AtomicBool::new(false), AtomicU32::new(0));
                let ended = thread::scope(|scope| {
                    scope.spawn(|| racer.run(attack, &over, &struck));
                    let ended = run(&sandbox, words);
                    over.store(true, Ordering::Relaxed);
                    ended
                });
                let which = format!("{attack:?}, {words:?}, {round}: {ended:?}");
                let is_told = matches!(ended.code, Some(0 | 1 | 3 | 5 | 6));
                assert!(is_told && !ended.stderr.contains("panicked"), "{which}");
                assert!(before == tree(&racer.victim), "{which}");
                *hits.entry(format!("{attack:?}")).or_insert(0) +=
                    u32::from(struck.into_inner() > 0);
                *codes.entry(ended.code).or_insert(0) += 1;
                if attack == Attack::LinkParent {
                    // From now on the path leads to the victim's own environment.
                    continue;
                }
                let later = sandbox.scratch.rvenv(&["recover", "above/tmp/E"]);
                assert!(before == tree(&racer.victim), "{which}, then {later:?}");
            }
        }
    }
    println!("runs that were hit in the middle: {hits:?}; exit codes {codes:?}");
    for (attack, count) in hits {
        assert!(count > 0, "{attack} never hit");
    }
}
