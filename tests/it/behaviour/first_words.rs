//! What a newcomer types first: words of other tools, paths that lead nowhere, a package where a
//! directory is meant. Each gets an error with a code, or a sentence that says what was compared.
//!
//! Read next: `messages.rs`; `../catalogue/`, every error once.

use crate::machine::{Scratch, player};

/// A scratch directory with the environment `E` of a script that plays Python.
fn lab() -> Scratch {
    let scratch = Scratch::cold();
    player(&scratch, "python");
    let create = ["create", "-p", "./python", "--without-pip", "E"];
    scratch.rvenv(&create).ok();
    scratch
}

#[test]
fn a_word_of_another_tool_gets_a_tip_that_names_the_command() {
    let scratch = Scratch::cold();
    for (words, tip) in [
        (
            &["venv", ".venv"][..],
            "`rvenv create` makes an environment",
        ),
        (&["init"], "`rvenv create` makes an environment"),
        (&["add", "six"], "`rvenv install` installs packages"),
        (
            &["pip", "install", "six"],
            "`rvenv install`, `rvenv uninstall`",
        ),
        (&["freeze"], "`rvenv status -v` lists the packages"),
        (&["update"], "`rvenv upgrade` changes the Python"),
        (&["ls"], "`rvenv list` lists environments"),
        (&["rm", "E"], "`rvenv remove` removes environments"),
        (
            &["run", "python"],
            "by its path, such as `ENV_DIR/bin/python`",
        ),
        (&["instal"], "similar subcommand"),
        (&["install"], "name packages, `-r FILE`"),
        (&["uninstall"], "name packages, which"),
        (&["rollback", "E", "2"], "brings back the last generation"),
        (
            &["rollback", "--to", "2"],
            "brings back the last generation",
        ),
    ] {
        let said = scratch.rvenv(words).failed(2);
        assert!(said.contains("error[usage]: "), "{words:?}: {said}");
        assert!(said.contains("\n  tip: "), "{words:?}: {said}");
        assert!(said.contains(tip), "{words:?}: {said}");
    }
    let json = scratch.rvenv(&["--json", "venv"]).stdout;
    assert!(json.contains("tip: `rvenv create`"), "{json}");
}

#[test]
fn what_does_not_exist_is_an_error_for_every_command() {
    let scratch = lab();
    for words in [
        &["status", "nosuch"][..],
        &["status", "nosuch/deep"],
        &["status", "--sbom", "nosuch"],
        &["generations", "nosuch"],
        &["generations", "nosuch", "--prune"],
        &["generations", "nosuch", "--prune", "--dry-run"],
        &["log", "nosuch"],
        &["verify", "nosuch"],
        &["repair", "nosuch"],
        &["rollback", "nosuch"],
        &["upgrade", "nosuch"],
        &["uninstall", "six", "--env", "nosuch"],
        &["clone", "nosuch", "new"],
        &["remove", "nosuch"],
        &["list", "nosuch"],
    ] {
        let said = scratch.rvenv(words).failed(3);
        assert!(
            said.starts_with("error[no-environment]: "),
            "{words:?}: {said}"
        );
        assert!(said.contains("nosuch"), "{words:?}: {said}");
        assert!(said.contains("\nhint: "), "{words:?}: {said}");
    }
    // What was kept of an environment that is gone is to be seen, and comes back.
    scratch.rvenv(&["remove", "E", "--keep"]).ok();
    let said = scratch.rvenv(&["status", "E"]).ok();
    assert!(
        said.contains("`: absent\n") && said.contains("  1: "),
        "{said}"
    );
    let said = scratch.rvenv(&["generations", "E"]).ok();
    assert!(said.starts_with("  1: "), "{said}");
    scratch.rvenv(&["rollback", "E"]).ok();
}

#[test]
fn an_upgrade_says_what_it_compared_and_hints_at_packages() {
    let scratch = lab();
    let python = scratch.path("python").display().to_string();
    let said = scratch
        .rvenv(&["upgrade", "E", "--without-pip", "-p", &python])
        .stderr;
    let expected = format!(
        "`E` is up to date with Python 3.13.0 at `{python}`: no changes. `--python` names another"
    );
    assert!(said.starts_with(&expected), "{said}");
    let said = scratch.rvenv(&["upgrade", "six"]).failed(3);
    assert!(
        said.contains("comes with `rvenv install 'NAME>=VERSION'`"),
        "{said}"
    );
    let said = scratch.rvenv(&["upgrade", "./six"]).failed(3);
    assert!(!said.contains("VERSION"), "{said}");
}

#[test]
fn the_json_of_a_failure_begins_with_its_form_and_its_error() {
    let scratch = lab();
    let said = scratch.rvenv(&["remove", "E", "nosuch", "--json"]).stdout;
    let keys: Vec<&str> = said
        .lines()
        .filter_map(|line| line.trim_start().split('"').nth(1))
        .collect();
    let expected = [
        "format",
        "error",
        "code",
        "exit",
        "message",
        "causes",
        "details",
        "state",
        "hint",
        "environments",
    ];
    assert_eq!(keys.get(..expected.len()), Some(&expected[..]), "{said}");
}
