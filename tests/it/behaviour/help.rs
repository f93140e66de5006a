//! The help: every text of every command is a snapshot, opens with the command's own sentence, and
//! lists the options below headings.
//!
//! The commands are found in the help itself, so that a new one cannot be left out; tests of other
//! modules that run every command compare their lists with it ([`assert_all_are_in`]). Read next:
//! `cli.rs`.

use std::fmt::Write as _;

use crate::machine::Scratch;

/// The headings in the order in which they may follow each other.
const HEADINGS: &[&str] = &[
    "Commands:",
    "Arguments:",
    "Target:",
    "Interpreter:",
    "Packages:",
    "Publication:",
    "Output:",
    "Exit codes:",
];

/// Every command with the sentence that its help opens with.
const SENTENCES: &[(&str, &str)] = &[
    ("", "Python virtual environments as filesystem transactions"),
    ("create", "Create environments"),
    (
        "upgrade",
        "Bring environments to another Python, or to a Python that changed",
    ),
    (
        "clone",
        "Make an environment with the packages of another one",
    ),
    (
        "sync",
        "Bring the packages of an environment to what locks name",
    ),
    ("install", "Install packages into an environment"),
    ("uninstall", "Uninstall packages from an environment"),
    (
        "plan",
        "Show what `create` would do, and save it for `apply`",
    ),
    ("lock", "Resolve requirements into a lock (pylock.toml)"),
    ("show", "Show a saved plan"),
    ("apply", "Apply a saved plan"),
    ("push", "Push an environment into a registry"),
    (
        "attach",
        "Attach a file to what is in a registry, such as a signature or an SBOM",
    ),
    (
        "attached",
        "List what is attached to something in a registry",
    ),
    ("image", "Make an image of an environment"),
    ("list", "List the environments below a directory"),
    (
        "status",
        "Show the state of a target: environment, open transaction, generations",
    ),
    (
        "verify",
        "Compare an environment with its receipt and its packages",
    ),
    (
        "repair",
        "Mend what is damaged, moved, or has lost its base",
    ),
    ("rollback", "Bring back what the last change replaced"),
    (
        "generations",
        "List the generations of an environment, or delete some",
    ),
    (
        "log",
        "Show what was done to an environment, when, and by which command",
    ),
    ("remove", "Remove an environment, whole"),
    ("recover", "Finish or undo what a crash left"),
    ("python", "Find Python interpreters"),
    (
        "python list",
        "List interpreters, each once, with every path to it",
    ),
    (
        "python find",
        "Print the path of the interpreter that `create` would use",
    ),
    (
        "cache",
        "Manage the cache: unpacked wheels, bytecode, and notes on interpreters",
    ),
    ("cache dir", "Print the directory of the cache"),
    (
        "cache verify",
        "Compare every unpacked file with its wheel, and delete what differs",
    ),
    (
        "cache push",
        "Push the wheels that the cache has as files into a registry",
    ),
    (
        "cache pull",
        "Fetch the wheels of a registry into the cache",
    ),
    ("cache prune", "Delete what is unused"),
    (
        "cache clear",
        "Delete everything, except what another process is unpacking",
    ),
    ("config", "Show the settings, and where each comes from"),
    ("explain", "Explain the code of an error"),
    ("completions", "Print the completions of a shell"),
    ("man", "Write manual pages into a directory"),
];

/// What `rvenv COMMAND FLAG` prints.
fn help(scratch: &Scratch, command: &str, flag: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().chain([flag]).collect();
    let ended = scratch.rvenv(&words);
    assert_eq!(ended.stderr, "", "{command}");
    ended.ok()
}

/// The command and the commands below it, as the help lists them, in its order.
pub(super) fn commands(scratch: &Scratch, above: &str) -> Vec<String> {
    let text = help(scratch, above, "-h");
    let listed = text.split("Commands:\n").nth(1).unwrap_or_default();
    let names = listed
        .lines()
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help");
    let below = names.flat_map(|name| commands(scratch, format!("{above} {name}").trim()));
    [above.to_owned()].into_iter().chain(below).collect()
}

/// Fails if a command that the help lists is in none of the lines and is no exception.
pub(super) fn assert_all_are_in(lines: &[Vec<&str>], exceptions: &[&str]) {
    let all = commands(&Scratch::cold(), "");
    let has_commands = |one: &String| {
        all.iter()
            .any(|other| other.starts_with(&format!("{one} ")))
    };
    for command in all
        .iter()
        .filter(|one| !one.is_empty() && !has_commands(one))
    {
        let words: Vec<&str> = command.split(' ').collect();
        let is_run = lines.iter().any(|line| line.starts_with(&words));
        let is_exception = exceptions.contains(&command.as_str());
        assert_ne!(
            is_run, is_exception,
            "`{command}` is in no line, or in both lists"
        );
    }
}

#[test]
fn every_help_is_the_one_that_was_reviewed() {
    let scratch = Scratch::cold();
    for command in commands(&scratch, "") {
        let mut text = String::new();
        for flag in ["-h", "--help"] {
            let typed = format!("rvenv {command} {flag}").replace("  ", " ");
            let _infallible = writeln!(text, "$ {typed}\n{}", help(&scratch, &command, flag));
        }
        let name = format!("rvenv {command}").trim().replace(' ', "-");
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, text);
        });
    }
}

#[test]
fn every_help_opens_with_the_sentence_of_its_command() {
    let scratch = Scratch::cold();
    let known: Vec<&str> = SENTENCES.iter().map(|(command, _)| *command).collect();
    assert_eq!(commands(&scratch, ""), known);
    for (command, sentence) in SENTENCES {
        for flag in ["-h", "--help"] {
            let text = help(&scratch, command, flag);
            assert_eq!(text.lines().next(), Some(*sentence), "{command} {flag}");
        }
        // The line in the list of commands is the same sentence.
        if let Some(name) = command.split_whitespace().last() {
            let above = command.strip_suffix(name).unwrap();
            let list = help(&scratch, above, "-h").replace("\n           ", "");
            let listed = list.lines().any(|line| {
                let line = line.trim().strip_prefix(name).unwrap_or_default();
                line.trim() == *sentence
            });
            assert!(listed, "{command}: {list}");
        }
    }
}

#[test]
fn every_help_lists_the_options_below_headings_and_help_last() {
    let scratch = Scratch::cold();
    for command in commands(&scratch, "") {
        for flag in ["-h", "--help"] {
            let text = help(&scratch, &command, flag);
            let places: Vec<_> = HEADINGS
                .iter()
                .filter_map(|heading| text.find(&format!("\n{heading}\n")))
                .collect();
            assert!(places.is_sorted(), "{command} {flag}: {text}");
            assert!(!text.contains("\nOptions:\n"), "{command}: {text}");
            let mut options = text.lines().filter(|line| line.trim().starts_with('-'));
            let last = options.next_back().unwrap().trim();
            assert!(last.starts_with("-h, --help"), "{command} {flag}: {last}");
        }
    }
}

#[test]
fn short_lines_of_help_are_imperatives_without_a_full_stop() {
    let scratch = Scratch::cold();
    for command in commands(&scratch, "") {
        let short = help(&scratch, &command, "-h");
        let stop = short
            .lines()
            .find(|line| line.ends_with('.') && !line.ends_with("..."));
        assert_eq!(stop, None, "{command}");
        for word in [
            "stands", "somebody", "whoever", "nobody", "told", "the disk",
        ] {
            let long = help(&scratch, &command, "--help");
            assert!(!long.contains(word), "{command}: {word}: {long}");
        }
    }
}

#[test]
fn help_of_a_command_is_the_same_however_it_is_typed() {
    let scratch = Scratch::cold();
    for (command, _) in SENTENCES {
        let words: Vec<&str> = ["help"]
            .into_iter()
            .chain(command.split_whitespace())
            .collect();
        let helped = scratch.rvenv(&words).ok();
        assert_eq!(helped, help(&scratch, command, "--help"), "{command}");
    }
}

#[test]
fn a_command_that_is_missing_gets_the_list_of_commands() {
    let scratch = Scratch::cold();
    for above in ["", "python", "cache"] {
        let words: Vec<&str> = above.split_whitespace().collect();
        let ended = scratch.rvenv(&words);
        assert_eq!(ended.stdout, "", "{above}");
        assert_eq!(ended.failed(2), help(&scratch, above, "-h"), "{above}");
    }
}

#[test]
fn an_upgrade_cannot_be_asked_to_delete_what_it_keeps() {
    let scratch = crate::behaviour::cli::played();
    crate::behaviour::cli::with_player(&scratch, "create", &["E"]).ok();
    let said = crate::behaviour::cli::with_player(&scratch, "upgrade", &["E", "--clear"]).failed(2);
    let first = said.lines().next().unwrap();
    assert_eq!(
        first,
        "error[usage]: `upgrade` keeps the packages, and `--clear` deletes them; \
         `rvenv create --clear` creates the environment again"
    );
    assert!(!help(&scratch, "upgrade", "--help").contains("--clear"));
    assert!(help(&scratch, "create", "--help").contains("--clear"));
}
