//! Interruptions: SIGINT and SIGTERM while an existing environment is changed.
//!
//! The signals come at system calls that a sweep chooses, and while a health check runs. The exit
//! code says which tree is at the target, and the tree matches it; a second signal does no further
//! harm, and nothing is left behind. `RVENV_FAULTS=all` interrupts every changing call. Read next:
//! `adversity.rs`, where a clear is interrupted.

use crate::strace;
use std::collections::BTreeMap;
use std::fs;

use crate::trees::{Ended, Lab, Sameness, Tree, compare, end, look};

/// What is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Merge,
    Upgrade,
    Repair,
    Rollback,
}

impl Action {
    const ALL: [Self; 4] = [Self::Merge, Self::Upgrade, Self::Repair, Self::Rollback];

    fn words(self, lab: &Lab) -> Vec<String> {
        match self {
            Self::Merge => lab.create(&["--without-pip", "--prompt", "new", "--keep"]),
            Self::Upgrade => {
                let target = lab.shown_target();
                let words = ["upgrade", &target, "--without-pip", "--prompt", "new"];
                words.map(str::to_owned).to_vec()
            }
            Self::Repair => vec!["repair".to_owned(), lab.shown_target()],
            Self::Rollback => vec!["rollback".to_owned(), lab.shown_target()],
        }
    }

    /// Makes the state before the action, and reads it.
    fn prepare(self, lab: &Lab) -> Tree {
        if lab.target().exists() {
            fs::remove_dir_all(lab.target()).unwrap();
        }
        done(lab, &lab.create(&["--without-pip"]));
        lab.add_strangers(5);
        match self {
            Self::Merge | Self::Upgrade => {}
            Self::Repair => {
                fs::remove_file(lab.target().join("bin/activate")).unwrap();
                fs::write(lab.target().join("bin/activate.csh"), "broken").unwrap();
            }
            Self::Rollback => done(lab, &Self::Merge.words(lab)),
        }
        look(&lab.target())
    }
}

fn done(lab: &Lab, words: &[String]) {
    let ended = end(&mut lab.rvenv(words));
    assert_eq!(ended.code, Some(0), "{}", ended.story);
}

/// What is in the environment's own directory.
fn inner(lab: &Lab) -> Vec<String> {
    let names = fs::read_dir(lab.target().join(".rvenv")).unwrap();
    let mut names: Vec<_> = names
        .map(|name| name.unwrap().file_name().to_string_lossy().into_owned())
        // An interruption after the change leaves its entry in the log, or none.
        .filter(|name| name != "log")
        .collect();
    names.sort();
    names
}

/// The trees before and after a action, each with what is in the environment's own directory.
struct Ends {
    old: (Tree, Vec<String>),
    new: (Tree, Vec<String>),
}

impl Ends {
    fn of(lab: &Lab, action: Action) -> Self {
        let old = (action.prepare(lab), inner(lab));
        done(lab, &action.words(lab));
        let new = (look(&lab.target()), inner(lab));
        Self { old, new }
    }

    fn judge(&self, lab: &Lab, ended: &Ended, what: &str) {
        let story = &ended.story;
        let (tree, names) = match ended.code {
            Some(0) => &self.new,
            Some(1 | 130 | 143) => &self.old,
            code => panic!("{what}: not an exit code of rvenv: {code:?} {story}"),
        };
        let truth = compare(tree, &look(&lab.target()), Sameness::Alike);
        assert_eq!(truth, Ok(()), "{what}: {:?} {story}", ended.code);
        assert_eq!(&inner(lab), names, "{what}: {:?} {story}", ended.code);
        assert_eq!(lab.litter(), [""; 0], "{what}: {story}");
    }
}

fn sweep(action: Action) {
    let Some(lab) = Lab::new() else { return };
    if !strace::is_there() {
        return;
    }
    let ends = Ends::of(&lab, action);
    action.prepare(&lab);
    let calls = strace::calls(&lab, &action.words(&lab));
    let each = if std::env::var_os("RVENV_FAULTS").is_some() {
        1
    } else {
        calls.len().div_ceil(14)
    };
    let mut codes: BTreeMap<Option<i32>, usize> = BTreeMap::new();
    for (number, call) in calls.iter().step_by(each).enumerate() {
        action.prepare(&lab);
        let (signal, own) = if number % 2 == 0 {
            ("SIGINT", 130)
        } else {
            ("SIGTERM", 143)
        };
        // A second signal does no further harm.
        let stays = if number % 4 < 2 { "" } else { "+" };
        let what = format!("{action:?}: {} {}{stays} {signal}", call.kind, call.nth);
        let wrapper = strace::meeting(call, &format!("signal={signal}"), stays);
        let ended = end(&mut lab.under(&wrapper, &action.words(&lab)));
        // The signal may reach only the check of an upgrade, which is a process of its own.
        let is_check = action == Action::Upgrade && ended.code == Some(1);
        assert!(
            is_check || [Some(0), Some(own)].contains(&ended.code),
            "{what}: {ended:?}"
        );
        ends.judge(&lab, &ended, &what);
        *codes.entry(ended.code).or_default() += 1;
    }
    println!("{action:?}: {} calls; exit codes: {codes:?}", calls.len());
    assert!(codes.contains_key(&Some(0)), "{codes:?}");
    let interrupted = codes.contains_key(&Some(130)) && codes.contains_key(&Some(143));
    assert!(interrupted || action == Action::Rollback, "{codes:?}");
}

#[test]
fn a_merge_that_is_interrupted_leaves_what_its_exit_code_says() {
    sweep(Action::Merge);
}

#[test]
fn an_upgrade_that_is_interrupted_leaves_what_its_exit_code_says() {
    sweep(Action::Upgrade);
}

#[test]
fn a_repair_that_is_interrupted_leaves_what_its_exit_code_says() {
    sweep(Action::Repair);
}

/// It is a handful of renames: a signal comes too early or too late for it.
#[test]
fn a_rollback_that_is_interrupted_leaves_what_its_exit_code_says() {
    sweep(Action::Rollback);
}

/// An undecided change is undone, however many signals come.
#[test]
fn an_interruption_of_a_check_brings_the_old_environment_back() {
    let Some(lab) = Lab::new() else { return };
    for action in Action::ALL {
        let ends = Ends::of(&lab, action);
        for (signal, code) in [("INT", 130), ("TERM", 143)] {
            for times in [1, 3] {
                action.prepare(&lab);
                let kill = format!("kill -{signal} $PPID;").repeat(times);
                let mut words = action.words(&lab);
                words.extend(["--check".to_owned(), format!("{kill} sleep 20")]);
                let ended = end(&mut lab.rvenv(&words));
                let what = format!("{action:?}: {times} times {signal}");
                assert_eq!(ended.code, Some(code), "{what}: {}", ended.story);
                ends.judge(&lab, &ended, &what);
            }
        }
    }
}
