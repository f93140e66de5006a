//! `CPython`'s own tests of `venv`, for `rvenv`: what each asserts about an environment holds for
//! rvenv's.
//!
//! The folder `cpython/` has a module for each test of `Lib/test/test_venv.py` that says something
//! about an environment; it has the name of that test, and the functions in it say as sentences
//! what holds. `TESTS` below lists every test of that file, with where it is covered or why it
//! cannot be; one test here compares the list with the sources. `TRAPS` does the same for mistakes
//! that one can make when building environments. Every interpreter of the machine is asked, two at
//! a time.
//!
//! Does not compare whole trees: `parity/mod.rs` does. Read next: `cpython/bench.rs`.

#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test starts real programs, reads what they made, and says what it skips"
)]

mod bench;
mod configuration;
mod pip;
mod running;
mod shells;

use std::fs;
use std::path::Path;

/// Where a test of `CPython`'s is covered.
enum Covered {
    /// By the module of its name.
    Here,
    /// By the functions of these names, in files of the repository.
    At(&'static [(&'static str, &'static str)]),
    /// Nowhere, for this reason.
    Not(&'static str),
}

use Covered::{At, Here, Not};

const NEEDS_WINDOWS: &str = "runs programs of Windows";

const TESTS: &[(&str, Covered)] = &[
    ("test_defaults_with_str_path", Here),
    ("test_defaults_with_pathlike", Here),
    ("test_config_file_command_key", Here),
    ("test_prompt", Here),
    (
        "test_upgrade_dependencies",
        At(&[
            (
                "tests/it/behaviour/dependencies.rs",
                "the_newest_wheels_are_planned_in_place_of_what_is_bundled",
            ),
            (
                "tests/it/behaviour/upgrade.rs",
                "the_newest_dependencies_come_without_the_pip_of_the_environment",
            ),
        ]),
    ),
    ("test_prefixes", Here),
    ("test_sysconfig", Here),
    ("test_sysconfig_symlinks", Here),
    ("test_overwrite_existing", Here),
    ("test_unoverwritable_fails", Here),
    ("test_upgrade", Here),
    ("test_isolation", Here),
    ("test_symlinking", Here),
    ("test_executable", Here),
    ("test_executable_symlinks", Here),
    ("test_unicode_in_batch_file", Not(NEEDS_WINDOWS)),
    (
        "test_failed_symlink",
        At(&[(
            "tests/it/behaviour/policies.rs",
            "without_symbolic_links_it_is_planned_again_with_copies_and_said_so",
        )]),
    ),
    ("test_multiprocessing", Here),
    ("test_multiprocessing_recursion", Here),
    ("test_deactivate_with_strict_bash_opts", Here),
    (
        "test_macos_env",
        Not("looks for a variable that macOS alone sets"),
    ),
    ("test_pathsep_error", Here),
    ("test_zippath_from_non_installed_posix", Here),
    ("test_activate_shell_script_has_no_dos_newlines", Here),
    ("test_scm_ignore_files_git", Here),
    (
        "test_create_scm_ignore_files_multiple",
        At(&[(
            "tests/it/behaviour/builders.rs",
            "a_builder_may_know_of_more_systems_of_version_control_and_an_unknown_one_is_refused",
        )]),
    ),
    ("test_create_scm_ignore_files_empty", Here),
    ("test_cli_with_scm_ignore_files", Here),
    ("test_cli_without_scm_ignore_files", Here),
    (
        "test_venv_same_path",
        Not("calls a private function that compares paths of Windows"),
    ),
    ("test_no_pip_by_default", Here),
    ("test_explicit_no_pip", Here),
    (
        "test_devnull",
        Not("asserts only that the null device is empty"),
    ),
    ("test_with_pip", Here),
    ("test_special_chars_bash", Here),
    ("test_special_chars_csh", Here),
    ("test_special_chars_windows", Not(NEEDS_WINDOWS)),
    (
        "test_venvwlauncher",
        At(&[(
            "tests/it/behaviour/windows_plan.rs",
            "each_version_takes_the_programs_that_its_venv_takes",
        )]),
    ),
    (
        "test_install_scripts_selinux",
        Not(
            "asserts that a function of Python's is not called; no attribute of a script is copied here",
        ),
    ),
    // Newer than the rest, and called after what they assert: gh-149701, gh-143768, gh-129382.
    (
        "test_deactivate_with_strict_bash_opts_and_hashing_off",
        Here,
    ),
    ("test_dangling_interpreter_link_is_replaced", Here),
    (
        "test_default_symlinks",
        At(&[(
            "tests/it/behaviour/builders.rs",
            "the_defaults_of_the_api_and_of_the_command_line_are_those_of_venv",
        )]),
    ),
];

/// Common mistakes, each with the test that rvenv does not make it.
const TRAPS: &[(&str, &[(&str, &str)])] = &[
    (
        "a link at the environment's name, cleared",
        &[(
            "tests/it/behaviour/breakages_upgrade.rs",
            "clearing_through_a_link_replaces_the_directory_and_keeps_the_link",
        )],
    ),
    (
        "a fifo in a directory that is cleared",
        &[(
            "tests/it/behaviour/breakages_upgrade.rs",
            "clearing_takes_a_fifo_away_with_the_rest",
        )],
    ),
    (
        "a mount inside",
        &[
            (
                "tests/it/behaviour/bad_input.rs",
                "a_mount_in_the_target_is_not_cleared",
            ),
            (
                "tests/it/behaviour/policies.rs",
                "a_mount_inside_hinders_a_clear_and_nothing_else",
            ),
        ],
    ),
    (
        "lines of the configuration, forged by prompt or path",
        &[(
            "tests/it/behaviour/breakages.rs",
            "a_line_break_forges_no_line_of_the_configuration",
        )],
    ),
    (
        "a configuration that is cut short",
        &[(
            "tests/it/behaviour/breakages.rs",
            "a_torn_configuration_is_reported_and_written_anew",
        )],
    ),
    (
        "the .gitignore of a project",
        &[(
            "tests/it/behaviour/breakages.rs",
            "the_gitignore_of_a_project_is_never_overwritten",
        )],
    ),
    (
        "an interpreter's link that leads nowhere",
        &[
            (
                "tests/it/behaviour/breakages.rs",
                "a_dangling_interpreter_leads_to_the_base_again",
            ),
            (
                "tests/it/behaviour/breakages.rs",
                "a_copied_interpreter_is_not_written_through_a_link",
            ),
        ],
    ),
    (
        "a lib64 that leads nowhere",
        &[(
            "tests/it/behaviour/breakages.rs",
            "a_dangling_lib64_is_put_right",
        )],
    ),
    (
        "a link at the environment's name that leads nowhere",
        &[(
            "tests/it/behaviour/breakages_peers.rs",
            "a_link_that_leads_nowhere_is_refused",
        )],
    ),
    (
        "from links to copies and back",
        &[(
            "tests/it/behaviour/breakages.rs",
            "links_become_copies_and_copies_become_links",
        )],
    ),
    (
        "an interpreter that is running",
        &[(
            "tests/it/behaviour/breakages.rs",
            "a_running_interpreter_is_replaced_and_runs_on",
        )],
    ),
    (
        "cleared by its own interpreter",
        &[(
            "tests/it/behaviour/breakages.rs",
            "an_environment_is_cleared_with_its_own_interpreter",
        )],
    ),
    (
        "upgraded by its own interpreter",
        &[(
            "tests/it/cpython/configuration.rs",
            "an_environment_upgraded_with_its_own_interpreter_still_has_the_base_as_its_home",
        )],
    ),
    (
        "another minor version",
        &[(
            "tests/it/behaviour/breakages_upgrade.rs",
            "an_upgrade_to_another_minor_version_starts_that_version",
        )],
    ),
    (
        "two dots after a link",
        &[("tests/it/behaviour/breakages.rs", "two_dots_go_by_the_text")],
    ),
    (
        "an empty path",
        &[(
            "tests/it/behaviour/breakages.rs",
            "an_empty_path_is_refused",
        )],
    ),
    (
        "the working directory",
        &[(
            "tests/it/behaviour/policies.rs",
            "the_working_directory_becomes_an_environment_around_what_is_in_it",
        )],
    ),
    (
        "a path that is not UTF-8",
        &[(
            "tests/it/behaviour/breakages.rs",
            "a_path_that_is_not_utf8_is_refused_before_anything_is_made",
        )],
    ),
    (
        "a module named ensurepip in the way",
        &[(
            "tests/it/behaviour/breakages_upgrade.rs",
            "a_module_named_ensurepip_in_the_directory_is_not_run",
        )],
    ),
    (
        "SIGINT and SIGTERM at each step",
        &[(
            "tests/it/behaviour/adversity.rs",
            "a_signal_at_a_changing_call_ends_the_run_with_its_own_code",
        )],
    ),
    (
        "SIGKILL at each step",
        &[(
            "tests/it/kill.rs",
            "a_kill_at_any_call_leaves_the_old_environment_or_the_new_one",
        )],
    ),
    (
        "a strict umask",
        &[
            (
                "tests/it/behaviour/breakages.rs",
                "under_a_strict_umask_interpreters_can_still_be_run",
            ),
            (
                "tests/it/parity/mod.rs",
                "under_a_strict_umask_modes_are_those_of_venv",
            ),
        ],
    ),
    (
        "which generation of scripts quotes what",
        &[(
            "tests/it/behaviour/activate_others.rs",
            "every_text_survives_its_quoting_in_the_shells",
        )],
    ),
    (
        "include, lib64 and the names of each version",
        &[(
            "tests/it/behaviour/breakages.rs",
            "names_follow_the_version_of_the_interpreter",
        )],
    ),
];

fn source(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|_| panic!("{} is not there", path.display()))
}

/// Whether the text has this name, followed by this character.
fn has(text: &str, what: &str, end: char) -> bool {
    text.contains(&format!("{what}{end}"))
}

#[test]
fn every_test_of_cpython_is_covered_or_a_reason_is_given() {
    let files = ["configuration", "pip", "running", "shells"];
    let here = files
        .map(|file| source(&format!("tests/it/cpython/{file}.rs")))
        .join("\n");
    let mut modules = 0;
    for (name, covered) in TESTS {
        match covered {
            Here => {
                assert!(
                    has(&here, &format!("\nmod {name} "), '{'),
                    "no module {name}"
                );
                modules += 1;
            }
            At(places) => check_places(name, places),
            Not(reason) => assert!(!reason.is_empty(), "{name}"),
        }
    }
    assert_eq!(
        here.matches("\nmod test_").count(),
        modules,
        "a module is not in the list"
    );
}

#[test]
fn every_trap_has_a_test() {
    for (trap, places) in TRAPS {
        check_places(trap, places);
    }
}

fn check_places(what: &str, places: &[(&str, &str)]) {
    assert!(!places.is_empty(), "{what}");
    for (file, function) in places {
        let found = has(&source(file), &format!("fn {function}"), '(');
        assert!(found, "{what}: no {function} in {file}");
    }
}
