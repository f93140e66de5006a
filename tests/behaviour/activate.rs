//! The activation scripts in the shells that they are written for.
//!
//! Each test starts every shell that the machine has, on environments whose path and prompt are as
//! awkward as rvenv accepts, and compares what the shell's own children see. A shell that is not
//! installed is named and passed over.
//! Read next: `src/build/activation.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rvenv::activation::{self, Activation};
use tempfile::TempDir;

/// Names that some shell would like to interpret; each is both a directory and a prompt.
const AWKWARD: [&str; 10] = [
    "two  words ",
    "it's \"quoted\" ;&|<>()[]{}*?#=~@+,",
    "$(touch X)`touch X`${HOME}$HOME$$",
    r"\u\h\w\$\\\n\044(touch X)^X^[\",
    "%n%m%%%d%{%}%",
    "! !! !x !$ \\! !",
    "-n",
    "~",
    "\u{2018}\u{2019}\u{201a}\u{201b} é漢字🐍 &`",
    "__RVENV_PROMPT__",
];

struct Shell {
    name: &'static str,
    /// The options before the path of a script, which keep the user's own settings out.
    options: &'static [&'static str],
    /// The script of the environment that this shell reads.
    script: &'static str,
    /// The command that reads the script at `$ACTIVATE`.
    load: &'static str,
}

const SHELLS: [Shell; 7] = [
    Shell {
        name: "bash",
        options: &["--norc", "--noprofile"],
        script: "activate",
        load: ". \"$ACTIVATE\"",
    },
    Shell {
        name: "zsh",
        options: &["-f"],
        script: "activate",
        load: ". \"$ACTIVATE\"",
    },
    Shell {
        name: "dash",
        options: &[],
        script: "activate",
        load: ". \"$ACTIVATE\"",
    },
    Shell {
        name: "ksh",
        options: &[],
        script: "activate",
        load: ". \"$ACTIVATE\"",
    },
    Shell {
        name: "tcsh",
        options: &["-f"],
        script: "activate.csh",
        load: "source \"$ACTIVATE:q\"",
    },
    Shell {
        name: "csh",
        options: &["-f"],
        script: "activate.csh",
        load: "source \"$ACTIVATE:q\"",
    },
    Shell {
        name: "fish",
        options: &["--no-config"],
        script: "activate.fish",
        load: "source $ACTIVATE",
    },
];

/// A directory with its scripts and a `python` that says where it is.
struct Env {
    dir: PathBuf,
}

impl Env {
    fn new(parent: &Path, name: &str, prompt: &str) -> Self {
        let dir = parent.join(name);
        let bin = dir.join("bin");
        fs::create_dir_all(&bin).unwrap();
        let site_packages = [
            "lib/python3/site-packages".to_owned(),
            "lib64/python3/site-packages".to_owned(),
        ];
        let activation = Activation {
            env_dir: dir.to_str().unwrap(),
            prompt,
            bin_name: "bin",
            site_packages: &site_packages,
        };
        for script in activation::scripts(&activation) {
            fs::write(bin.join(script.name), script.text).unwrap();
        }
        make_executable(
            &bin.join("python"),
            "#!/bin/sh\nprintf 'python=%s\\n' \"$0\"\n",
        );
        Self { dir }
    }

    fn script(&self, shell: &Shell) -> PathBuf {
        self.dir.join("bin").join(shell.script)
    }

    fn text(&self) -> &str {
        self.dir.to_str().unwrap()
    }
}

fn make_executable(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A clean place: home, working directory and parent of the environments.
fn scratch() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn search_path() -> String {
    std::env::var("PATH").unwrap()
}

fn is_installed(program: &str) -> bool {
    let found = search_path()
        .split(':')
        .any(|directory| Path::new(directory).join(program).is_file());
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

fn installed_shells() -> impl Iterator<Item = &'static Shell> {
    SHELLS.iter().filter(|shell| is_installed(shell.name))
}

fn posix_shells() -> impl Iterator<Item = &'static Shell> {
    installed_shells().filter(|shell| shell.script == "activate")
}

/// A program with nothing in its environment but what the tests put there.
fn command(program: &str, home: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", search_path())
        .env("HOME", home)
        .env("TERM", "dumb")
        .env("LC_ALL", "C.UTF-8")
        .current_dir(home);
    command
}

/// Runs a script in a shell that is not interactive.
fn run(shell: &Shell, home: &Path, script: &str, vars: &[(&str, &Path)]) -> Output {
    let file = home.join("script");
    fs::write(&file, format!("{script}\n")).unwrap();
    command(shell.name, home)
        .args(shell.options)
        .arg(&file)
        .envs(vars.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stdout_of(shell: &Shell, output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr, "", "{} complains", shell.name);
    assert!(output.status.success(), "{}: {}", shell.name, output.status);
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What `env` printed, without the variables that shells keep for themselves.
fn variables(text: &str) -> BTreeMap<&str, &str> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| !matches!(*name, "_" | "SHLVL" | "A__z" | "OLDPWD" | "_AST_FEATURES"))
        .collect()
}

/// Runs a script and returns what stood between its `echo @@@` lines.
fn sections(shell: &Shell, home: &Path, script: &str, vars: &[(&str, &Path)]) -> Vec<String> {
    let output = run(shell, home, script, vars);
    stdout_of(shell, &output)
        .split("@@@\n")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_shell_sees_the_awkward_path_and_prompt_as_written_and_forgets_them_again() {
    for shell in installed_shells() {
        for name in AWKWARD {
            let home = scratch();
            let env = Env::new(home.path(), name, name);
            let script = format!(
                "env; echo @@@; {}; env; echo @@@; python; echo @@@; deactivate; env",
                shell.load
            )
            .replace("; ", "\n");
            let vars = [
                ("ACTIVATE", env.script(shell).as_path()),
                ("PYTHONHOME", Path::new("/old home")),
            ]
            .map(|(name, value)| (name, value.to_owned()));
            let vars = vars
                .each_ref()
                .map(|(name, value)| (*name, value.as_path()));
            let parts = sections(shell, home.path(), &script, &vars);
            let [before, active, python, after] = parts.as_slice() else {
                panic!("{}: {parts:?}", shell.name);
            };

            let active = variables(active);
            let context = format!("{} with {name:?}", shell.name);
            assert_eq!(active.get("VIRTUAL_ENV"), Some(&env.text()), "{context}");
            assert_eq!(active.get("VIRTUAL_ENV_PROMPT"), Some(&name), "{context}");
            assert_eq!(active.get("PYTHONHOME"), None, "{context}");
            let path = format!("{}/bin:{}", env.text(), search_path());
            assert_eq!(active.get("PATH"), Some(&path.as_str()), "{context}");
            let python_path = format!("python={}/bin/python\n", env.text());
            assert_eq!(*python, python_path, "{context}");
            assert_eq!(variables(before), variables(after), "{context}");
            assert_nothing_ran(home.path());
        }
    }
}

/// The prompts and paths of these tests make a file X if anything executes them.
fn assert_nothing_ran(home: &Path) {
    assert!(!home.join("X").exists(), "the prompt was executed");
}

#[test]
fn deactivate_removes_itself() {
    for shell in installed_shells() {
        let home = scratch();
        let env = Env::new(home.path(), "env", "env");
        // Some tools have a program of that name.
        let no_programs = match shell.script {
            "activate.csh" => "setenv PATH /nowhere",
            "activate.fish" => "set PATH /nowhere",
            _ => "PATH=/nowhere",
        };
        let script = format!("{}\ndeactivate\n{no_programs}\ndeactivate", shell.load);
        let output = run(
            shell,
            home.path(),
            &script,
            &[("ACTIVATE", &env.script(shell))],
        );
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{}", shell.name);
        assert!(
            stderr.to_lowercase().contains("not found") || stderr.contains("Unknown command"),
            "{}: {stderr}",
            shell.name
        );
    }
}

#[test]
fn an_environment_activated_over_another_or_itself_leaves_the_first() {
    for shell in installed_shells() {
        let home = scratch();
        let first = Env::new(home.path(), "first !", "first");
        let second = Env::new(home.path(), "second", "second");
        let again = shell.load.replace("ACTIVATE", "SECOND");
        let script = format!(
            "env\necho @@@\n{}\n{again}\n{again}\nenv\necho @@@\ndeactivate\nenv",
            shell.load
        );
        let vars = [
            ("ACTIVATE", first.script(shell)),
            ("SECOND", second.script(shell)),
            ("PYTHONHOME", PathBuf::from("/old")),
        ];
        let vars = vars
            .each_ref()
            .map(|(name, value)| (*name, value.as_path()));
        let parts = sections(shell, home.path(), &script, &vars);
        let path = format!("{}/bin:{}", second.text(), search_path());
        assert_eq!(
            variables(&parts[1]).get("PATH"),
            Some(&path.as_str()),
            "{}",
            shell.name
        );
        assert_eq!(variables(&parts[0]), variables(&parts[2]), "{}", shell.name);
    }
}

#[test]
fn environments_of_pythons_own_venv_and_ours_leave_each_other() {
    let home = scratch();
    let theirs = home.path().join("theirs");
    let made = is_installed("python3")
        && command("python3", home.path())
            .args(["-m", "venv", "--without-pip"])
            .arg(&theirs)
            .envs(std::env::var_os("PYENV_ROOT").map(|root| ("PYENV_ROOT", root)))
            .env("HOME", std::env::var_os("HOME").unwrap())
            .status()
            .unwrap()
            .success();
    if !made {
        println!("skipped: python3 makes no environments here");
        return;
    }
    for shell in installed_shells() {
        let ours = Env::new(home.path(), "ours", "ours");
        let their_script = theirs.join("bin").join(shell.script);
        let over = shell.load.replace("ACTIVATE", "OVER");
        let orders = [
            (ours.script(shell), their_script.clone(), theirs.clone()),
            (their_script, ours.script(shell), ours.dir.clone()),
        ];
        for (first, second, active) in orders {
            // Many versions of venv need a csh that has a prompt.
            let prompt = if shell.script == "activate.csh" {
                "set prompt = x"
            } else {
                ":"
            };
            let script = format!(
                "{prompt}\nenv\necho @@@\n{}\n{over}\nenv\necho @@@\ndeactivate\nenv",
                shell.load
            );
            let vars = [("ACTIVATE", first.as_path()), ("OVER", second.as_path())];
            let parts = sections(shell, home.path(), &script, &vars);
            let context = format!(
                "{}: {} over {}",
                shell.name,
                second.display(),
                first.display()
            );
            let path = format!("{}/bin:{}", active.display(), search_path());
            let seen = variables(&parts[1]);
            assert_eq!(seen.get("PATH"), Some(&path.as_str()), "{context}");
            assert_eq!(
                variables(&parts[0]).get("PATH"),
                variables(&parts[2]).get("PATH"),
                "{context}"
            );
            assert_eq!(variables(&parts[2]).get("VIRTUAL_ENV"), None, "{context}");
        }
    }
}

#[test]
fn strict_shells_and_shells_that_hash_nothing_stay_silent() {
    for shell in posix_shells() {
        let mut settings = vec!["set -eu"];
        if shell.name != "dash" {
            settings.push("set -euo pipefail");
        }
        if shell.name == "bash" {
            settings.push("set -euo pipefail; set +h");
            settings.push("set -euo pipefail; trap 'echo trapped' ERR");
            settings.push("set -euo posix");
        }
        if shell.name == "zsh" {
            settings.push("set -eu; setopt ksh_arrays sh_word_split glob_subst warn_create_global");
            settings.push("emulate sh; set -eu");
            settings.push("emulate ksh; set -eu");
        }
        for setting in settings {
            let home = scratch();
            let env = Env::new(home.path(), "two `words`", "`$%!\\");
            let script = format!("{setting}\n{0}\n{0}\ndeactivate\ntrue", shell.load);
            let output = run(
                shell,
                home.path(),
                &script,
                &[("ACTIVATE", &env.script(shell))],
            );
            let stdout = stdout_of(shell, &output);
            assert_eq!(stdout, "", "{} under {setting}", shell.name);
        }
    }
}

#[test]
fn a_csh_that_stops_at_the_first_failure_stays_silent() {
    for shell in installed_shells().filter(|shell| shell.script == "activate.csh") {
        let home = scratch();
        let env = Env::new(home.path(), "env", "env");
        let file = home.path().join("script");
        fs::write(
            &file,
            format!("{0}\n{0}\ndeactivate\necho end\n", shell.load),
        )
        .unwrap();
        let output = command(shell.name, home.path())
            .args(["-f", "-e"])
            .arg(&file)
            .env("ACTIVATE", env.script(shell))
            .output()
            .unwrap();
        assert_eq!(stdout_of(shell, &output), "end\n", "{}", shell.name);
    }
}

#[test]
fn what_was_unset_before_is_unset_afterwards_and_what_was_empty_is_empty() {
    for shell in posix_shells() {
        let home = scratch();
        let env = Env::new(home.path(), "env", "env");
        let show = "echo \"${PS1-unset},${PYTHONHOME-unset},${VIRTUAL_ENV-unset},${VIRTUAL_ENV_PROMPT-unset}\"";
        let states = [
            ("unset PS1 PYTHONHOME || :", "unset,unset,unset,unset\n"),
            ("PS1=; PYTHONHOME=; export PYTHONHOME", ",,unset,unset\n"),
        ];
        for (before, expected) in states {
            let script = format!("{before}\n{}\ndeactivate\n{show}\nset", shell.load);
            let output = run(
                shell,
                home.path(),
                &script,
                &[("ACTIVATE", &env.script(shell))],
            );
            let stdout = stdout_of(shell, &output);
            assert!(stdout.starts_with(expected), "{}: {stdout}", shell.name);
            let left = stdout
                .lines()
                .find(|line| line.starts_with("_OLD_VIRTUAL") || line.starts_with("_RVENV"));
            assert_eq!(left, None, "{}", shell.name);
        }
    }
}

#[test]
fn an_empty_search_path_gains_no_working_directory() {
    for shell in posix_shells() {
        let home = scratch();
        let env = Env::new(home.path(), "env", "env");
        let script = format!("PATH=\n{}\necho \"$PATH\"", shell.load);
        let output = run(
            shell,
            home.path(),
            &script,
            &[("ACTIVATE", &env.script(shell))],
        );
        let expected = format!("{}/bin\n", env.text());
        assert_eq!(stdout_of(shell, &output), expected, "{}", shell.name);
    }
}

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

#[test]
fn a_windows_path_is_converted_by_cygpath_where_there_is_one() {
    for shell in posix_shells() {
        let home = scratch();
        let activation = Activation {
            env_dir: r"C:\my env",
            prompt: "env",
            bin_name: "Scripts",
            site_packages: &[],
        };
        let script = activation::scripts(&activation)
            .into_iter()
            .find(|script| script.name == "activate");
        let file = home.path().join("activate");
        fs::write(&file, script.unwrap().text).unwrap();
        let tools = home.path().join("tools");
        fs::create_dir(&tools).unwrap();
        make_executable(
            &tools.join("cygpath"),
            "#!/bin/sh\n[ \"$*\" = 'C:\\my env' ] && echo '/c/my env'\n",
        );
        let show = "echo \"$VIRTUAL_ENV|$PATH\"";
        let text = format!("PATH={}\n{}\n{show}", tools.display(), shell.load);
        let output = run(shell, home.path(), &text, &[("ACTIVATE", &file)]);
        let expected = format!("/c/my env|/c/my env/Scripts:{}\n", tools.display());
        assert_eq!(stdout_of(shell, &output), expected, "{}", shell.name);
    }
}

/// Feeds lines to an interactive shell without a terminal and returns all that it shows.
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

#[test]
fn powershell_sees_the_awkward_path_and_prompt_as_written_and_forgets_them_again() {
    if !is_installed("pwsh") {
        return;
    }
    let script = "Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$env:PYTHONHOME = '/old'
$before = $env:PATH
. $env:ACTIVATE
. $env:ACTIVATE
$out = [Console]::Out
$out.WriteLine($env:VIRTUAL_ENV -ceq $env:EXPECTED_DIR)
$out.WriteLine($env:VIRTUAL_ENV_PROMPT -ceq $env:EXPECTED_PROMPT)
$out.WriteLine($env:PATH -ceq ($env:EXPECTED_DIR + '/bin:' + $before))
$out.WriteLine(-not (Test-Path -Path Env:PYTHONHOME))
deactivate
$out.WriteLine($env:PATH -ceq $before)
$out.WriteLine($env:PYTHONHOME -ceq '/old')
$out.WriteLine(-not (Test-Path -Path Env:VIRTUAL_ENV))
$out.WriteLine(-not (Test-Path -Path Function:deactivate))
";
    for name in AWKWARD {
        let home = scratch();
        let env = Env::new(home.path(), name, name);
        // PowerShell takes brackets in the path of a script for a pattern.
        let plain = home.path().join("Activate.ps1");
        fs::copy(env.dir.join("bin/Activate.ps1"), &plain).unwrap();
        let file = home.path().join("script.ps1");
        fs::write(&file, script).unwrap();
        let output = command("pwsh", home.path())
            .args(["-NoProfile", "-NonInteractive", "-File"])
            .arg(&file)
            .env("ACTIVATE", &plain)
            .env("EXPECTED_DIR", &env.dir)
            .env("EXPECTED_PROMPT", name)
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(stdout, "True\n".repeat(8), "{name:?}: {stderr}");
        assert_nothing_ran(home.path());
    }
}

/// The interpreters that a person is likely to have, oldest first where pyenv keeps several.
fn pythons() -> Vec<PathBuf> {
    let output = Command::new("pyenv").arg("root").output();
    let versions = output.ok().map(|output| {
        let root = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        PathBuf::from(root).join("versions")
    });
    let mut found: Vec<PathBuf> = versions
        .and_then(|versions| fs::read_dir(versions).ok())
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin/python3")))
        .filter(|python| python.is_file())
        .collect();
    found.sort();
    if found.is_empty() && is_installed("python3") {
        found.push(PathBuf::from("python3"));
    }
    found
}

#[test]
fn activate_this_changes_a_running_python() {
    let code = "\
import os, sys
os.environ['PYTHONHOME'] = '/old'
path = os.environ['ACTIVATE']
before, prefix = list(sys.path), sys.prefix
if len(sys.argv) > 1:
    import runpy
    runpy.run_path(path)
else:
    source = open(path, encoding='ascii').read()
    exec(source, {'__file__': path})
    exec(source)
assert '_activate' not in globals()
root = os.environ['ROOT']
assert os.environ['VIRTUAL_ENV'] == root, os.environ['VIRTUAL_ENV']
assert os.environ['PATH'].startswith(root + '/bin:'), os.environ['PATH']
assert 'PYTHONHOME' not in os.environ
assert sys.prefix == root and sys.real_prefix == prefix
packages = [root + '/lib/python3/site-packages', root + '/lib64/python3/site-packages']
first, rest = sys.path[:3], sys.path[3:]
assert first[0] == packages[0] and sorted(first) == sorted(packages + [root + '/lib']), first
assert rest == before, rest
sys.stdout.buffer.write(os.environb[b'VIRTUAL_ENV_PROMPT'])
";
    for python in pythons() {
        for name in AWKWARD.into_iter().step_by(4) {
            let home = scratch();
            let env = Env::new(home.path(), name, name);
            let packages = env.dir.join("lib/python3/site-packages");
            fs::create_dir_all(&packages).unwrap();
            fs::write(packages.join("more.pth"), "../..\n").unwrap();
            for (locale, argument) in [("C.UTF-8", None), ("C", Some("runpy"))] {
                let output = command(python.to_str().unwrap(), home.path())
                    .args(["-c", code])
                    .args(argument)
                    .env("LC_ALL", locale)
                    .env("ACTIVATE", env.dir.join("bin/activate_this.py"))
                    .env("ROOT", &env.dir)
                    .output()
                    .unwrap();
                let stderr = String::from_utf8_lossy(&output.stderr);
                assert_eq!(stderr, "", "{} with {name:?}", python.display());
                assert_eq!(String::from_utf8_lossy(&output.stdout), name);
            }
        }
    }
}

/// Every text that rvenv accepts, with the characters that mean something to a shell in front.
fn texts() -> impl Strategy<Value = Vec<String>> {
    let special = prop::sample::select(
        " '\"$`\\!;&|()*~%#{}[]<>?^=-@\u{2019}"
            .chars()
            .collect::<Vec<_>>(),
    );
    let character = prop_oneof![
        4 => special,
        2 => prop::char::range(' ', '~'),
        1 => any::<char>().prop_filter("no control characters", |character| !character.is_control()),
    ];
    prop::collection::vec(
        prop::collection::vec(character, 0..12)
            .prop_map(|characters| characters.into_iter().collect()),
        100,
    )
}

/// Quotes texts, lets the shell unquote them, and compares.
fn check_round_trip(program: &str, options: &[&str], quote: fn(&str) -> String) {
    if !is_installed(program) {
        return;
    }
    let home = scratch();
    let file = home.path().join("script");
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 10,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let result = runner.run(&texts(), |texts| {
        let words: Vec<String> = texts.iter().map(|text| quote(text)).collect();
        let script = format!("/usr/bin/env printf '%s\\n' {}\n", words.join(" "));
        fs::write(&file, script).unwrap();
        let output = command(program, home.path())
            .args(options)
            .arg(&file)
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        let shown: Vec<&str> = shown.split_terminator('\n').collect();
        prop_assert_eq!(shown, texts, "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    });
    assert!(result.is_ok(), "{program}: {}", result.unwrap_err());
}

#[test]
fn every_text_survives_its_quoting_in_the_shells() {
    for name in ["bash", "zsh", "dash", "ksh"] {
        let options: &[&str] = if name == "zsh" { &["-f"] } else { &[] };
        check_round_trip(name, options, activation::quote_posix);
    }
    check_round_trip("zsh", &["-f", "-o", "rc_quotes"], activation::quote_posix);
    check_round_trip("tcsh", &["-f"], activation::quote_csh);
    check_round_trip("fish", &["--no-config"], activation::quote_fish);
    check_round_trip("nu", &["--no-config-file"], activation::quote_nushell);
}

/// What nushell tells of itself: four variables, the head of PATH and what its children see, then the prompt.
const NUSHELL: &str = r#"
def show [] {
    for name in [VIRTUAL_ENV VIRTUAL_ENV_PROMPT PYTHONHOME] {
        print ($env | get -o $name | default "unset")
    }
    print ($env.PATH | str join (char esep))
    print (^env | lines | where {|line| $line starts-with "VIRTUAL_ENV" } | length)
    print (do $env.PROMPT_COMMAND)
    print "@@@"
}
$env.PROMPT_COMMAND = {|| "old> " }
"#;

#[test]
fn nushell_sees_the_awkward_path_and_prompt_as_written_and_forgets_them_again() {
    if !is_installed("nu") {
        return;
    }
    for name in AWKWARD {
        let home = scratch();
        let env = Env::new(home.path(), name, name);
        let other = Env::new(home.path(), "other", "other");
        // The path of an overlay is part of the text, because nushell reads it before it runs anything.
        let load = |env: &Env| {
            let path = env.dir.join("bin/activate.nu");
            format!(
                "overlay use {}",
                activation::quote_nushell(path.to_str().unwrap())
            )
        };
        let (load, over) = (load(&env), load(&other));
        let file = home.path().join("script.nu");
        let python = "^python\nprint '@@@'";
        let text = format!(
            "{NUSHELL}show\n{load}\nshow\n{python}\n{over}\nshow\n{load}\nshow\ndeactivate\nshow\n"
        );
        fs::write(&file, text).unwrap();
        let output = command("nu", home.path())
            .args(["--no-config-file", "--no-std-lib"])
            .arg(&file)
            .env("PYTHONHOME", "/old home")
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(stderr, "", "{name:?}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        let active = |env: &Env, prompt: &str| {
            let (dir, path) = (env.text(), search_path());
            format!("{dir}\n{prompt}\nunset\n{dir}/bin:{path}\n2\n({prompt}) old> \n")
        };
        let left = format!("unset\nunset\n/old home\n{}\n0\nold> \n", search_path());
        let expected = [
            left.clone(),
            active(&env, name),
            format!("python={}/bin/python\n", env.text()),
            active(&other, "other"),
            active(&env, name),
            left,
        ];
        let parts: Vec<_> = stdout.split_terminator("@@@\n").collect();
        assert_eq!(parts, expected, "{name:?}");
        assert_nothing_ran(home.path());
    }
}

#[test]
fn nushell_keeps_its_prompt_where_the_user_says_so() {
    if !is_installed("nu") {
        return;
    }
    for (value, expected) in [("1", "old> "), ("", "(shown) old> ")] {
        let home = scratch();
        let env = Env::new(home.path(), "env", "shown");
        let path = env.dir.join("bin/activate.nu");
        let load = activation::quote_nushell(path.to_str().unwrap());
        let text = format!(
            "$env.PROMPT_COMMAND = \"old> \"\noverlay use {load}\nlet prompt = $env.PROMPT_COMMAND\n\
             print (if ($prompt | describe) == closure {{ do $prompt }} else {{ $prompt }})\n"
        );
        let file = home.path().join("script.nu");
        fs::write(&file, text).unwrap();
        let output = command("nu", home.path())
            .args(["--no-config-file", "--no-std-lib"])
            .arg(&file)
            .env("VIRTUAL_ENV_DISABLE_PROMPT", value)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            format!("{expected}\n")
        );
    }
}

/// What xonsh tells of itself and of what its children see.
const XONSH: &str = "
import os
def show():
    for name in ('VIRTUAL_ENV', 'VIRTUAL_ENV_PROMPT', 'PYTHONHOME'):
        print(${...}.get(name, 'unset'))
    print(os.pathsep.join($PATH))
    print(len([line for line in $(env).splitlines() if line.startswith('VIRTUAL_ENV')]))
    print('deactivate' in aliases)
    print('@@@', flush=True)
";

#[test]
fn xonsh_sees_the_awkward_path_and_prompt_as_written_and_forgets_them_again() {
    if !is_installed("xonsh") {
        return;
    }
    for name in AWKWARD {
        let home = scratch();
        // In what it takes from PATH xonsh itself puts in the values of variables that are set.
        let env = Env::new(home.path(), &name.replace("$HOME", "$"), name);
        let other = Env::new(home.path(), "other", "other");
        let file = home.path().join("script.xsh");
        let text = format!(
            "{XONSH}show()\nsource $ACTIVATE\nshow()\npython\necho @@@\nsource $OTHER\nshow()\n\
             source $OTHER\nshow()\ndeactivate\nshow()\n"
        );
        fs::write(&file, text).unwrap();
        let output = command("xonsh", home.path())
            .arg("--no-rc")
            .arg(&file)
            .env("ACTIVATE", env.dir.join("bin/activate.xsh"))
            .env("OTHER", other.dir.join("bin/activate.xsh"))
            .env("PYTHONHOME", "")
            .env("XONSH_SHOW_TRACEBACK", "1")
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(stderr, "", "{name:?}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        let active = |env: &Env, prompt: &str| {
            let (dir, path) = (env.text(), search_path());
            format!("{dir}\n{prompt}\nunset\n{dir}/bin:{path}\n2\nTrue\n")
        };
        let left = format!("unset\nunset\n\n{}\n0\nFalse\n", search_path());
        let expected = [
            left.clone(),
            active(&env, name),
            format!("python={}/bin/python\n", env.text()),
            active(&other, "other"),
            active(&other, "other"),
            left,
        ];
        let parts: Vec<_> = stdout.split_terminator("@@@\n").collect();
        assert_eq!(parts, expected, "{name:?}");
        assert_nothing_ran(home.path());
    }
}
