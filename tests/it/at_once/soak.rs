//! Soak: creators, upgraders, readers and killers at once, for a while.
//!
//! Every command ends in an allowed way: done, refused with a reason, or killed by the test.
//! Readers find a complete environment at every instant (I3). Now and then all threads stop; after
//! one recovery the environment starts, matches its receipt, and only requested generations are
//! beside it (I1, I5). `RVENV_SOAK_SECONDS=600` runs longer than the default.

#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test starts the real command, reads the clock"
)]

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::trees::{Ended, Lab, end};

/// The default duration in seconds.
const SECONDS: u64 = 10;
/// How long all threads work between two checks.
const SPELL: Duration = Duration::from_secs(6);
/// The prompts of the environments.
const PROMPTS: [&str; 3] = ["one", "two", "three"];
/// The exit codes that a command may have, each with a reason.
const TOLD: [i32; 3] = [1, 3, 5];

/// The counts: commands by kind and by how they ended.
#[derive(Default)]
struct Counts {
    ends: Mutex<BTreeMap<(String, String), u64>>,
    looks: AtomicU64,
    starts: AtomicU64,
}

impl Counts {
    fn note(&self, verb: &str, end: impl Into<String>) {
        let key = (verb.to_owned(), end.into());
        *self.ends.lock().unwrap().entry(key).or_default() += 1;
    }
}

/// A random number.
fn random(below: u64) -> u64 {
    RandomState::new().build_hasher().finish() % below
}

fn prompt() -> &'static str {
    PROMPTS.get(usize::try_from(random(3)).unwrap()).unwrap()
}

fn words(lab: &Lab, verb: &str) -> Vec<String> {
    let mut words = match verb {
        "create" => lab.create(&["--without-pip", "--prompt", prompt()]),
        "clear" => lab.create(&["--without-pip", "--prompt", prompt(), "--clear"]),
        "clear --keep" => lab.create(&["--without-pip", "--prompt", prompt(), "--clear", "--keep"]),
        "upgrade" => [
            "upgrade",
            &lab.shown_target(),
            "--without-pip",
            "--prompt",
            prompt(),
        ]
        .map(str::to_owned)
        .to_vec(),
        verb => vec![verb.to_owned(), lab.shown_target()],
    };
    if !matches!(verb, "verify" | "status") {
        words.extend(["--wait".to_owned(), "20".to_owned()]);
    }
    words
}

/// Runs a command, and checks that it ends in an allowed way.
fn run(lab: &Lab, counts: &Counts, verb: &str) {
    let ended = end(&mut lab.rvenv(&words(lab, verb)));
    let code = ended.code.unwrap_or(-1);
    let mut is_told = code == 0 || (TOLD.contains(&code) && !ended.story.is_empty());
    // A comparison without a lock, while others change the tree, may find differences.
    is_told |= code == 4 && verb == "verify";
    assert!(
        is_told && !ended.story.contains("panicked"),
        "{verb}: {ended:?}"
    );
    counts.note(verb, code.to_string());
}

/// Runs a command and kills it at a random moment.
fn kill(lab: &Lab, counts: &Counts, verb: &str) {
    let mut child = lab.rvenv(&words(lab, verb)).spawn().unwrap();
    thread::sleep(Duration::from_micros(random(120_000)));
    child.kill().unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert!(!ended.story.contains("panicked"), "{verb}: {ended:?}");
    counts.note(
        "killed",
        if ended.code.is_none() {
            "died"
        } else {
            "had ended"
        },
    );
}

/// I3: a reader finds a complete environment, old or new.
fn read(lab: &Lab, counts: &Counts) {
    let target = lab.target();
    let config = fs::read_to_string(target.join("pyvenv.cfg")).unwrap();
    let has = |key: &str| config.lines().any(|line| line.starts_with(key));
    assert!(
        config.ends_with('\n') && has("home = ") && has("version = "),
        "{config:?}"
    );
    assert!(
        PROMPTS.iter().any(|prompt| config.contains(prompt)) || !has("prompt"),
        "{config:?}"
    );
    fs::read_link(target.join("bin/python")).unwrap();
    let script = fs::read_to_string(target.join("bin/activate")).unwrap();
    assert!(script.contains(&lab.shown_target()), "{script}");
    if counts
        .looks
        .fetch_add(1, Ordering::Relaxed)
        .is_multiple_of(400)
    {
        start(lab);
        counts.starts.fetch_add(1, Ordering::Relaxed);
    }
}

/// Checks that the interpreter starts and reports the right prefix.
fn start(lab: &Lab) {
    let python = lab.target().join("bin/python");
    let output = Command::new(python)
        .args(["-I", "-c", "import sys; print(sys.prefix)"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {told}", output.status);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        lab.shown_target()
    );
}

/// I1, I5: after one recovery the environment is complete, and nothing is left of killed commands.
fn check_still(lab: &Lab) {
    let recovered = end(&mut lab.rvenv(&lab.recover()));
    assert_eq!(recovered.code, Some(0), "{}", recovered.story);
    let verified = end(&mut lab.rvenv(&words(lab, "verify")));
    assert_eq!(verified.code, Some(0), "{}", verified.story);
    let within = fs::read_dir(lab.target().join(".rvenv")).unwrap();
    let within = within.map(|name| name.unwrap().file_name().to_string_lossy().into_owned());
    let mut litter = lab.litter();
    litter.extend(within.filter(|name| name != "receipt.json" && name != "log"));
    litter.retain(|name| !name.trim_start_matches(".E.rvenv.").starts_with("old-"));
    assert_eq!(litter, [""; 0], "{}", recovered.story);
    start(lab);
}

/// Ends the other threads, also when one of them panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// All threads work until the spell is over.
fn spell(lab: &Lab, counts: &Counts) {
    let is_over = AtomicBool::new(false);
    let until = Instant::now() + SPELL;
    let again = |action: &dyn Fn()| {
        let _over = Over(&is_over);
        while Instant::now() < until && !is_over.load(Ordering::Relaxed) {
            action();
        }
    };
    let one_of = |verbs: &[&'static str]| {
        *verbs
            .get(usize::try_from(random(verbs.len() as u64)).unwrap())
            .unwrap()
    };
    thread::scope(|scope| {
        scope.spawn(|| again(&|| run(lab, counts, one_of(&["create", "clear", "clear --keep"]))));
        scope.spawn(|| {
            again(&|| {
                run(
                    lab,
                    counts,
                    one_of(&["upgrade", "rollback", "repair", "recover"]),
                );
            });
        });
        scope.spawn(|| again(&|| run(lab, counts, one_of(&["verify", "status"]))));
        scope.spawn(|| {
            again(&|| {
                kill(
                    lab,
                    counts,
                    one_of(&[
                        "create",
                        "clear",
                        "clear --keep",
                        "upgrade",
                        "rollback",
                        "recover",
                    ]),
                );
            });
        });
        scope.spawn(|| again(&|| read(lab, counts)));
    });
}

#[test]
fn no_environment_is_ever_broken_by_commands_that_run_and_die_at_once() {
    let Some(lab) = Lab::in_memory() else { return };
    let first = end(&mut lab.rvenv(&[words(&lab, "clear"), vec!["-v".to_owned()]].concat()));
    assert_eq!(first.code, Some(0), "{}", first.story);
    let second = end(&mut lab.rvenv(&[words(&lab, "clear"), vec!["-v".to_owned()]].concat()));
    if second.story.contains("no exchange") {
        println!("skipped: this filesystem has no exchange");
        return;
    }
    let asked = std::env::var("RVENV_SOAK_SECONDS")
        .ok()
        .and_then(|seconds| seconds.parse().ok());
    let until = Instant::now() + Duration::from_secs(asked.unwrap_or(SECONDS));
    let (counts, mut spells) = (Counts::default(), 0);
    while Instant::now() < until {
        spell(&lab, &counts);
        check_still(&lab);
        spells += 1;
    }
    let (looks, starts) = (counts.looks.into_inner(), counts.starts.into_inner());
    println!("{spells} spells, no broken state; {looks} looks, {starts} starts of Python");
    for ((verb, end), count) in counts.ends.into_inner().unwrap() {
        println!("{count:6} {verb}: {end}");
    }
    assert!(looks > 0 && spells > 0, "nothing was tried");
}
