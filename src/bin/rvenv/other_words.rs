//! Words of other tools, and words without what they need: a tip that names the command of rvenv.
//!
//! Promises that the tip is printed below the error of the command line, and that a word which is
//! only mistyped still gets the similar ones.
//! Read next: `dispatch.rs`, which prints the error.

use std::ffi::{OsStr, OsString};

use clap::Error;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// A command of another tool, and what does the same here.
const WORDS: &[(&[&str], &str)] = &[
    (
        &[
            "venv",
            "virtualenv",
            "new",
            "init",
            "make",
            "mkvirtualenv",
            "env",
        ],
        "`rvenv create` makes an environment",
    ),
    (
        &["add"],
        "`rvenv install` installs packages, `rvenv lock` writes those of a project into a lock",
    ),
    (
        &["pip", "pip3"],
        "`rvenv install`, `rvenv uninstall` and `rvenv lock` need no `pip` before them; \
         `rvenv status -v` lists packages, `rvenv verify` checks them",
    ),
    (
        &["freeze", "tree", "show-packages", "packages", "inspect"],
        "`rvenv status -v` lists the packages of an environment, `rvenv status --sbom` with their \
         hashes",
    ),
    (
        &["update", "up", "outdated", "self-update"],
        "`rvenv install 'NAME>=VERSION'` replaces a package by a newer version, `rvenv upgrade` \
         changes the Python of an environment",
    ),
    (
        &["ls", "envs", "lsvirtualenv"],
        "`rvenv list` lists environments",
    ),
    (
        &["rm", "delete", "destroy", "rmvirtualenv"],
        "`rvenv remove` removes environments, `rvenv uninstall` packages",
    ),
    (
        &["cp", "copy", "cpvirtualenv", "duplicate"],
        "`rvenv clone` makes the same environment at another path",
    ),
    (
        &["mv", "move", "rename", "relocate"],
        "move the directory, then `rvenv repair` makes the environment work there",
    ),
    (
        &["activate", "deactivate", "workon", "shell", "use"],
        "`source ENV_DIR/bin/activate` activates an environment, `deactivate` ends that",
    ),
    (
        &["run", "exec", "tool", "x"],
        "a program of an environment runs by its path, such as `ENV_DIR/bin/python`",
    ),
    (
        &["undo", "revert", "restore", "reset", "redo"],
        "`rvenv rollback` brings back what the last change replaced, and goes forward again",
    ),
    (
        &["history", "reflog"],
        "`rvenv log` shows what was done to an environment",
    ),
    (
        &["check", "doctor", "fsck", "audit"],
        "`rvenv verify` compares an environment with what was installed",
    ),
    (&["fix", "heal"], "`rvenv repair` mends an environment"),
    (
        &["info", "inspect-env"],
        "`rvenv status` shows the state of an environment",
    ),
    (
        &["compile", "pip-compile", "resolve"],
        "`rvenv lock` resolves requirements into a lock",
    ),
    (
        &["export"],
        "`rvenv lock` writes a lock, `rvenv status --sbom` what is installed",
    ),
    (&["diff"], "`rvenv plan` shows what a change would do"),
    (
        &["clean", "gc", "purge"],
        "`rvenv cache prune` deletes what is unused in the cache, `rvenv generations --prune` what \
         changes kept",
    ),
    (&["version"], "`rvenv --version` prints the version"),
];

/// Adds a tip to an error of the command line, if there is one for what was typed.
pub(crate) fn add_tip(error: &mut Error, typed: &[OsString]) {
    let kind = error.kind();
    let tip = if kind == ErrorKind::InvalidSubcommand {
        tip_for_word(error)
    } else if kind == ErrorKind::UnknownArgument {
        tip_for_rollback(error, typed)
    } else if kind == ErrorKind::MissingRequiredArgument {
        tip_for_missing(typed)
    } else {
        None
    };
    if let Some(tip) = tip {
        let _similar = error.remove(ContextKind::SuggestedSubcommand);
        let text = ContextValue::StyledStrs(vec![StyledStr::from(tip)]);
        let _former = error.insert(ContextKind::Suggested, text);
    }
}

fn tip_for_word(error: &Error) -> Option<&'static str> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let found = WORDS.iter().find(|(words, _)| words.contains(&&**word));
    found.map(|(_, tip)| *tip)
}

/// A generation cannot be chosen: the last one comes back, and a second rollback goes forward.
fn tip_for_rollback(error: &Error, typed: &[OsString]) -> Option<&'static str> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let is_asked = is_number || ["--to", "--generation", "-n"].contains(&&**word);
    (is_command(typed, "rollback") && is_asked).then_some(
        "a rollback brings back the last generation, which `rvenv generations` lists last; a \
         second one goes forward again",
    )
}

fn tip_for_missing(typed: &[OsString]) -> Option<&'static str> {
    if is_command(typed, "install") {
        return Some(
            "name packages, `-r FILE` with requirements or `-e DIR` with a project; `rvenv sync -r \
             LOCK` installs what a lock names",
        );
    }
    is_command(typed, "uninstall").then_some(
        "name packages, which `rvenv status -v` lists; `rvenv remove` removes a whole environment",
    )
}

/// Whether this is the command: the first word that is no option.
fn is_command(typed: &[OsString], name: &str) -> bool {
    let mut words = typed.iter().skip(1);
    let word = words.find(|word| !word.as_encoded_bytes().starts_with(b"-"));
    word.is_some_and(|word| word == OsStr::new(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    #[test]
    fn a_word_of_another_tool_is_no_command_and_has_one_tip() {
        let command = args::command();
        let mut all: Vec<&str> = WORDS
            .iter()
            .flat_map(|(words, _)| *words)
            .copied()
            .collect();
        for word in &all {
            assert!(command.find_subcommand(word).is_none(), "{word}");
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn a_tip_names_commands_that_exist() {
        let command = args::command();
        let quoted = WORDS
            .iter()
            .flat_map(|(_, tip)| tip.split('`').skip(1).step_by(2));
        for quoted in quoted.filter_map(|text| text.strip_prefix("rvenv ")) {
            let name = quoted.split(' ').next().unwrap_or_default();
            let exists = name.starts_with("--") || command.find_subcommand(name).is_some();
            assert!(exists, "{quoted}");
        }
    }
}
