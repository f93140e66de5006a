//! The prompts of activated shells: what an interactive shell shows, and what it restores
//! afterwards.
//!
//! Read next: `activate.rs`, which has the shells.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use super::activate::{
    AWKWARD, Env, Shell, assert_nothing_ran, command, installed_shells, is_installed, posix_shells,
    run, scratch, stdout_of,
};

#[test]
fn the_prompt_stays_as_it_is_where_the_user_says_so() {
    for shell in posix_shells() {
        let home = scratch();
        let env = Env::new(home.path(), "env", "shown");
        for (value, expected) in [("1", "old|shown\n"), ("", "(shown) old|shown\n")] {
            // The other shells expand the variable only when they show the prompt.
            let script = format!(
                "PS1=old\nVIRTUAL_ENV_DISABLE_PROMPT={value}\n{}\neval \"echo \\\"$PS1|$VIRTUAL_ENV_PROMPT\\\"\"",
                shell.load
            );
            let output = run(
                shell,
                home.path(),
                &script,
                &[("ACTIVATE", &env.script(shell))],
            );
            assert_eq!(stdout_of(shell, &output), expected, "{}", shell.name);
        }
    }
}

/// Feeds lines to an interactive shell without a terminal and returns its output.
fn interact(shell: &Shell, home: &Path, lines: &str, script: &Path) -> String {
    let mut child = command("setsid", home)
        .args(["--wait", shell.name])
        .args(shell.options)
        .arg("-i")
        .env("ACTIVATE", script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(lines.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let mut shown = String::from_utf8_lossy(&output.stdout).into_owned();
    shown.push_str(&String::from_utf8_lossy(&output.stderr));
    shown
}

/// The settings under which a shell reads its prompt differently, each a line to begin with.
fn prompt_settings(shell: &Shell) -> &'static [&'static str] {
    match shell.name {
        "bash" => &[
            ":",
            "shopt -u promptvars",
            "set -o posix",
            "shopt -u promptvars; set -o posix",
        ],
        "zsh" => &[
            ":",
            "setopt prompt_subst",
            "setopt prompt_bang",
            "setopt prompt_subst prompt_bang",
        ],
        _ => &[":"],
    }
}

/// The commands with which a test begins in an interactive shell: a known prompt, no line editor.
fn known_prompt(shell: &Shell) -> &'static str {
    match shell.name {
        "tcsh" | "csh" => "set prompt = 'old> '",
        "zsh" => "PS1='old> '; unsetopt zle prompt_cr prompt_sp",
        _ => "PS1='old> '",
    }
}

#[test]
fn an_interactive_shell_shows_the_awkward_prompt_as_written_and_executes_none_of_it() {
    if !is_installed("setsid") {
        return;
    }
    for shell in installed_shells().filter(|shell| shell.name != "fish") {
        for setting in prompt_settings(shell) {
            for prompt in AWKWARD.iter().copied().chain([""]) {
                let home = scratch();
                let env = Env::new(home.path(), "env", prompt);
                let known = known_prompt(shell);
                let lines = format!("{setting}\n{known}\n{}\n", shell.load);
                let shown = interact(shell, home.path(), &lines, &env.script(shell));
                let context = format!("{} with {prompt:?} after {setting}:\n{shown}", shell.name);
                assert!(shown.contains(&format!("({prompt}) old> ")), "{context}");
                assert_nothing_ran(home.path());
            }
        }
    }
}

#[test]
fn an_interactive_shell_has_its_own_prompt_back_after_deactivate() {
    if !is_installed("setsid") {
        return;
    }
    for shell in installed_shells().filter(|shell| shell.name != "fish") {
        let home = scratch();
        let env = Env::new(home.path(), "env", "prompt");
        let known = known_prompt(shell);
        let lines = format!("{known}\n{}\ndeactivate\n", shell.load);
        let shown = interact(shell, home.path(), &lines, &env.script(shell));
        let last = shown.rfind("old> ").unwrap();
        assert!(
            !shown[..last].ends_with("(prompt) "),
            "{}:\n{shown}",
            shell.name
        );
    }
}

#[test]
fn a_prompt_setting_changed_after_activation_still_executes_nothing() {
    if !is_installed("setsid") {
        return;
    }
    let changes = [
        ("bash", "shopt -u promptvars", "shopt -s promptvars"),
        ("bash", "shopt -s promptvars", "shopt -u promptvars"),
        ("zsh", "unsetopt prompt_subst", "setopt prompt_subst"),
        ("zsh", "setopt prompt_subst", "unsetopt prompt_subst"),
    ];
    for (name, before, after) in changes {
        for shell in installed_shells().filter(|shell| shell.name == name) {
            for prompt in AWKWARD {
                let home = scratch();
                let env = Env::new(home.path(), "env", prompt);
                let lines = format!("{before}\n{}\n{after}\n:\n:\n", shell.load);
                interact(shell, home.path(), &lines, &env.script(shell));
                assert_nothing_ran(home.path());
            }
        }
    }
}

#[test]
fn fish_shows_the_prompt_and_hands_the_last_status_on() {
    let Some(shell) = installed_shells().find(|shell| shell.name == "fish") else {
        return;
    };
    for prompt in AWKWARD.iter().copied().chain([""]) {
        let home = scratch();
        let env = Env::new(home.path(), "env", prompt);
        let script = "function fish_prompt; echo -n \"old $status> \"; end
source $ACTIVATE
false
fish_prompt; echo
deactivate
fish_prompt; echo
functions -q _old_fish_prompt; or functions -q _rvenv_status; or echo gone
set -gx VIRTUAL_ENV_DISABLE_PROMPT 1
source $ACTIVATE
fish_prompt; echo
deactivate
fish_prompt; echo
set -n | string match -r '^_(OLD|RVENV).*'; or echo clean";
        let output = run(
            shell,
            home.path(),
            script,
            &[("ACTIVATE", &env.script(shell))],
        );
        let expected = format!("({prompt}) old 1> \nold 0> \ngone\nold 0> \nold 0> \nclean\n");
        assert_eq!(stdout_of(shell, &output), expected);
        assert_nothing_ran(home.path());
    }
}
