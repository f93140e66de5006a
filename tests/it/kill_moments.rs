//! Kills at random moments: the real command with pip on a real disk dies by SIGKILL between any
//! two instructions.
//!
//! After every kill the target is the complete old or new tree, even before anything recovers (I3);
//! after the next command it still is (I1), and nothing is left beside it or in the store.
//! `RVENV_KILLS=300` kills more often; `RVENV_SEED` repeats the moments of an earlier run as far as
//! a clock can. Read next: `kill.rs`, which leaves nothing to chance.

#![cfg(unix)]
#![expect(clippy::disallowed_methods, reason = "tests start the real command")]
#![expect(
    clippy::print_stdout,
    reason = "a test says what it skips and what it counted"
)]
#![expect(clippy::unwrap_used, reason = "a test may stop at anything unexpected")]

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::trees::{Lab, Sameness, Tree, compare, end, look};

/// The default number of kills.
const KILLS: u64 = 12;
/// After this many new trees, `pip check` tests one; all others are equal to a tested one.
const ASKED: u64 = 5;

/// The command that is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Create,
    Clear,
    Apply,
}

/// Which tree is at the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Old,
    New,
}

/// A command that is killed again and again, with the trees that it may leave.
struct Victim<'a> {
    lab: &'a Lab,
    way: Way,
    flags: Vec<&'static str>,
    new: Tree,
    duration: Duration,
    /// Without an exchange of names, no tree exists for a moment.
    exchanges: bool,
}

impl<'a> Victim<'a> {
    /// Runs the command undisturbed, to learn its new tree and its duration.
    fn new(lab: &'a Lab, way: Way, flags: &[&'static str]) -> Self {
        let mut victim = Self {
            lab,
            way,
            flags: flags.to_vec(),
            new: None,
            duration: Duration::ZERO,
            exchanges: true,
        };
        for _ in 0..2 {
            victim.prepare();
            let since = Instant::now();
            let mut words = victim.words();
            words.push("-v".to_owned());
            let ended = end(&mut lab.rvenv(&words));
            assert_eq!(ended.code, Some(0), "{}", ended.story);
            victim.duration = since.elapsed();
            victim.exchanges = !ended.story.contains("no exchange");
        }
        victim.new = look(&lab.target());
        victim
    }

    /// Makes the old tree, and the plan to apply; returns the old tree.
    fn prepare(&self) -> Tree {
        let target = self.lab.target();
        if self.way == Way::Create {
            if target.exists() {
                fs::remove_dir_all(&target).unwrap();
            }
            return None;
        }
        if !target.exists() {
            let ended = end(&mut self.lab.rvenv(&self.lab.create(&["--without-pip"])));
            assert_eq!(ended.code, Some(0), "{}", ended.story);
        }
        if !target.join("strangers").exists() {
            self.lab.add_strangers(20);
        }
        if self.way == Way::Apply {
            let mut words = self.lab.create(&self.flags);
            "plan".clone_into(words.first_mut().unwrap());
            words.extend(["--clear".to_owned(), "-o".to_owned(), self.plan_file()]);
            let ended = end(&mut self.lab.rvenv(&words));
            assert_eq!(ended.code, Some(0), "{}", ended.story);
        }
        look(&target)
    }

    fn plan_file(&self) -> String {
        self.lab.file("plan.json").display().to_string()
    }

    fn words(&self) -> Vec<String> {
        match self.way {
            Way::Create => self.lab.create(&self.flags),
            Way::Clear => {
                let mut words = self.lab.create(&self.flags);
                words.push("--clear".to_owned());
                words
            }
            Way::Apply => vec!["apply".to_owned(), self.plan_file()],
        }
    }

    /// Which tree it is, exactly.
    fn judge(&self, old: &Tree, when: &str) -> Seen {
        let found = look(&self.lab.target());
        let not_old = compare(old, &found, Sameness::Exact);
        let not_new = compare(&self.new, &found, Sameness::Alike);
        match (not_old, not_new) {
            (Ok(()), _) => Seen::Old,
            (_, Ok(())) => Seen::New,
            (Err(_), Err(_)) if found.is_none() && !self.exchanges => Seen::Old,
            (Err(old), Err(new)) => panic!(
                "{:?} {when}: not the old tree ({old}) and not the new one ({new})",
                self.way
            ),
        }
    }

    /// Checks what a kill left, runs the next command, and checks again.
    fn aftermath(&self, old: &Tree, round: u64) -> (Seen, Seen) {
        let before = self.judge(old, "after the kill");
        let again = round % 2 == 1;
        let words = if again {
            self.words()
        } else {
            self.lab.recover()
        };
        let ended = end(&mut self.lab.rvenv(&words));
        // A plan whose own new tree exists is applied already.
        assert_eq!(ended.code, Some(0), "{:?}: {}", self.way, ended.story);
        let after = self.judge(old, "after the next command");
        let published = again || before == Seen::New;
        assert_eq!(
            after == Seen::New,
            published,
            "{:?}: {}",
            self.way,
            ended.story
        );
        assert_eq!(
            self.lab.litter(),
            [""; 0],
            "{:?}: {}",
            self.way,
            ended.story
        );
        (before, after)
    }
}

/// Xorshift: the moments are random, and the printed seed repeats them.
struct Moments(u64);

impl Moments {
    fn from_environment() -> Self {
        let given = number("RVENV_SEED");
        let seed = given.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        println!("RVENV_SEED={seed}");
        Self(seed | 1)
    }

    fn within(&mut self, duration: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let micros = u64::try_from(duration.as_micros()).unwrap().max(1);
        Duration::from_micros(self.0 % micros)
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Kills the command after a while; returns whether it still ran.
fn kill_after(command: &mut Command, moment: Duration) -> bool {
    let mut child = command.spawn().unwrap();
    std::thread::sleep(moment);
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

fn pip_check(lab: &Lab) {
    let python = lab.target().join("bin/python");
    let checked = Command::new(python)
        .args(["-I", "-B", "-m", "pip", "check"])
        .output()
        .unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}

fn dead_builds(lab: &Lab) -> Vec<String> {
    let Ok(packs) = fs::read_dir(lab.file("cache").join("packs")) else {
        return Vec::new();
    };
    let names = packs.map(|name| name.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("tmp-")).collect()
}

/// Empties the store, so that the next run enters its wheels again.
fn forget_wheels(lab: &Lab) {
    let packs = lab.file("cache").join("packs");
    for name in fs::read_dir(packs).into_iter().flatten() {
        let path = name.unwrap().path();
        if !path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("tmp-")
        {
            fs::remove_dir_all(path).unwrap();
        }
    }
}

/// I1, I3: whenever the command dies, the target is one of two trees, and the next command
/// recovers.
#[test]
fn a_kill_at_any_moment_leaves_the_old_tree_or_the_new_one() {
    let Some(lab) = Lab::new() else { return };
    let kills = number("RVENV_KILLS");
    let flags: &[&str] = if lab.has_pip { &[] } else { &["--without-pip"] };
    let victims = [Way::Create, Way::Clear, Way::Apply].map(|way| Victim::new(&lab, way, flags));
    let mut moments = Moments::from_environment();
    let (mut died, mut counts, mut new_trees, mut builds) = (0, [[0; 2]; 3], 0, 0);
    for round in 0..kills.unwrap_or(KILLS) {
        let index = usize::try_from(round % 3).unwrap();
        let victim = victims.get(index).unwrap();
        let old = victim.prepare();
        if round % 4 == 0 {
            forget_wheels(&lab);
        }
        let moment = moments.within(victim.duration * 13 / 10);
        died += u64::from(kill_after(&mut lab.rvenv(&victim.words()), moment));
        builds += dead_builds(&lab).len();
        let (before, after) = victim.aftermath(&old, round / 3);
        *counts
            .get_mut(index)
            .unwrap()
            .get_mut(usize::from(before == Seen::New))
            .unwrap() += 1;
        new_trees += u64::from(after == Seen::New);
        if lab.has_pip && after == Seen::New && (kills.is_some() || new_trees % ASKED == 1) {
            pip_check(&lab);
        }
    }
    forget_wheels(&lab);
    let mut words = lab.create(flags);
    words.push("--clear".to_owned());
    assert_eq!(end(&mut lab.rvenv(&words)).code, Some(0));
    assert_eq!(
        dead_builds(&lab),
        [""; 0],
        "the store keeps builds that died"
    );
    println!(
        "{died} runs died, the others had ended; [old, new] of create, clear, apply: {counts:?}; \
         {builds} builds of the store died"
    );
}
