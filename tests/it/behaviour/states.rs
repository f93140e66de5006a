//! What messages say about the state of a target, compared with what it contains.
//!
//! A command that never writes says nothing about it; a failed or interrupted check, and the
//! recovery of a run that died, say what is there now, which differs where nothing was there
//! before. Read next: the tables of the unit tests in `src/bin/rvenv/advice.rs` and
//! `advice/state.rs`, which hold every sentence.

use std::fs;

use crate::machine::{Ended, Python, Scratch, any_python};

/// Ends the command that runs the check, as a kill from outside does.
const DIES: &str = "kill -9 $PPID; sleep 20";

struct Lab {
    scratch: Scratch,
    python: Python,
}

impl Lab {
    fn new() -> Option<Self> {
        Some(Self {
            python: any_python()?,
            scratch: Scratch::in_memory(),
        })
    }

    fn create(&self, more: &[&str]) -> Ended {
        let python = self.python.path.to_str().unwrap();
        let words = ["create", "E", "--without-pip", "-p", python];
        self.scratch.rvenv(&[&words, more].concat())
    }

    /// What `status` says is to be done, and what `recover` says that it did.
    fn recovered(&self) -> (String, String) {
        let said = self.scratch.rvenv(&["status", "E"]).ok();
        let open = said
            .lines()
            .find_map(|line| line.strip_prefix("transaction: "));
        let ended = self.scratch.rvenv(&["recover", "E"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        (open.unwrap().to_owned(), ended.stderr)
    }
}

#[test]
fn a_command_that_never_writes_says_nothing_of_a_target() {
    let scratch = Scratch::in_memory();
    fs::write(scratch.path("file"), "").unwrap();
    fs::create_dir(scratch.path("dir")).unwrap();
    std::os::unix::fs::symlink("nowhere", scratch.path("dangling")).unwrap();
    for words in [
        &["plan", "E", "-p", "./nothing"] as &[&str],
        &["plan", "E", "-p", "1.0"],
        &["plan", "fo:ur"],
        &["plan", "E", "-p", "x y"],
        &["create", "--dry-run", "E", "-p", "./nothing"],
        &["upgrade", "--dry-run", "E"],
        &["repair", "--dry-run", "E"],
        &["status", "dangling"],
        &["verify", "E"],
        &["verify", "dir"],
        &["verify", "file"],
        &["python", "find", "1.0"],
        &["python", "list", "./nothing"],
    ] {
        let ended = scratch.rvenv(words);
        let said = ended.stderr;
        assert!(
            [1, 2, 3].contains(&ended.code.unwrap()),
            "{words:?}: {said}"
        );
        assert!(said.starts_with("error["), "{words:?}: {said}");
        for of_state in ["as it was", "nothing was", "is back"] {
            assert!(!said.contains(of_state), "{words:?}: {said}");
        }
    }
    // The same failures for commands that write.
    for words in [
        &["create", "E", "-p", "./nothing"] as &[&str],
        &["create", "fo:ur"],
        &["upgrade", "E"],
        &["repair", "E"],
        &["rollback", "E"],
        &["apply", "nothing.json"],
    ] {
        let said = scratch.rvenv(words).stderr;
        assert!(
            said.contains("\n  the target is as it was before\n"),
            "{words:?}: {said}"
        );
    }
}

#[test]
fn the_recovery_of_a_first_creation_that_died_says_that_nothing_is_there() {
    let Some(lab) = Lab::new() else { return };
    assert_eq!(lab.create(&["--check", DIES]).code, None);
    let (open, done) = lab.recovered();
    assert_eq!(
        open,
        "a run died; recovery will undo its changes, and the target will not exist"
    );
    assert_eq!(
        done,
        "An earlier run died; its changes are undone, and the target does not exist, as before\n"
    );
    assert!(!lab.scratch.path("E").exists());
}

#[test]
fn the_recovery_of_a_replacement_that_died_says_that_the_tree_before_it_is_back() {
    let Some(lab) = Lab::new() else { return };
    lab.create(&["--prompt", "before"]).ok();
    assert_eq!(lab.create(&["--clear", "--check", DIES]).code, None);
    let (open, done) = lab.recovered();
    assert_eq!(
        open,
        "a run died; recovery will undo its changes and bring back the previous tree"
    );
    assert_eq!(
        done,
        "An earlier run died; its changes are undone, and the previous tree is back\n"
    );
    let config = fs::read_to_string(lab.scratch.path("E/pyvenv.cfg")).unwrap();
    assert!(config.contains("before"), "{config}");
}

#[test]
fn the_recovery_of_a_change_that_died_says_that_the_entries_before_it_are_back() {
    let Some(lab) = Lab::new() else { return };
    lab.create(&["--prompt", "before"]).ok();
    assert_eq!(lab.create(&["--prompt", "p", "--check", DIES]).code, None);
    let (open, done) = lab.recovered();
    assert_eq!(
        open,
        "a run died; recovery will undo its changes and bring back the previous entries"
    );
    assert_eq!(
        done,
        "An earlier run died; its changes are undone, and the previous entries are back\n"
    );
    let config = fs::read_to_string(lab.scratch.path("E/pyvenv.cfg")).unwrap();
    assert!(config.contains("before"), "{config}");
}

#[test]
fn an_interrupted_check_is_not_said_to_have_failed() {
    let Some(lab) = Lab::new() else { return };
    let at = lab.scratch.path("E");
    let at = at.display();
    let check = "kill -INT $PPID; sleep 20";
    assert_eq!(
        lab.create(&["--check", check]).failed(130),
        format!(
            "error[interrupted]: the health check of the environment at `{at}` did not end\n  \
             caused by: interrupted during the health check `{check}`\n  \
             the target is as it was before\n"
        )
    );
    assert!(!lab.scratch.path("E").exists());
}

#[test]
fn a_failed_check_of_a_first_creation_claims_nothing_of_an_environment_before_it() {
    let Some(lab) = Lab::new() else { return };
    let at = lab.scratch.path("E");
    let at = at.display();
    assert_eq!(
        lab.create(&["--check", "exit 3"]).failed(1),
        format!(
            "error[check-failed]: the environment at `{at}` failed its health check\n  \
             caused by: the health check `exit 3` failed: exit code 3\n  \
             the target is as it was before\n"
        )
    );
    assert!(!lab.scratch.path("E").exists());
}

/// "Before" would be before this run, which has just ended what another one left.
#[test]
fn a_failure_after_a_recovery_says_what_the_target_is_as() {
    let Some(lab) = Lab::new() else { return };
    assert_eq!(lab.create(&["--check", DIES]).code, None);
    assert!(lab.scratch.path("E").exists());
    let said = lab.create(&["--check", "exit 3"]).failed(1);
    assert!(
        said.contains("\n  the target is as the recovery of the earlier run left it\n"),
        "{said}"
    );
    assert!(!lab.scratch.path("E").exists());
}

/// A tree that failed its check and cannot be taken back is not called "published": it should not
/// stay.
#[test]
fn a_failed_check_that_cannot_be_undone_says_both() {
    let Some(lab) = Lab::new() else { return };
    lab.create(&[]).ok();
    let steals = "mv .E.rvenv.new-* stolen; exit 3";
    let said = lab.create(&["--clear", "--prompt", "p", "--check", steals]);
    let said = said.failed(5);
    for expected in [
        "error[undo-unfinished]: cannot undo the publication of `",
        "` after its check: the environment at `",
        "` failed its health check\n",
        "failed: exit code 3\n",
        "\n  what was published may still be at the target, but must not stay\n",
    ] {
        assert!(said.contains(expected), "{expected:?} is not in\n{said}");
    }
}
