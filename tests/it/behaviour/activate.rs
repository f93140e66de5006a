//! The activation scripts in the shells that they are written for.
//!
//! Each test starts every installed shell, on environments whose path and prompt are as awkward as
//! rvenv accepts, and compares what the shell's own children see. The test prints the name of a
//! missing shell and skips it.
//! Read next: `src/build/activation.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rvenv::activation::{self, Activation};
use tempfile::TempDir;

/// Names that some shell might interpret; each is both a directory and a prompt.
pub(super) const AWKWARD: [&str; 10] = [
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

pub(super) struct Shell {
    pub(super) name: &'static str,
    /// The options before the path of a script, which keep the user's own settings out.
    pub(super) options: &'static [&'static str],
    /// The script of the environment that this shell reads.
    pub(super) script: &'static str,
    /// The command that reads the script at `$ACTIVATE`.
    pub(super) load: &'static str,
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

/// A directory with its scripts and a `python` that prints its own path.
pub(super) struct Env {
    pub(super) dir: PathBuf,
}

impl Env {
    pub(super) fn new(parent: &Path, name: &str, prompt: &str) -> Self {
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

    pub(super) fn script(&self, shell: &Shell) -> PathBuf {
        self.dir.join("bin").join(shell.script)
    }

    pub(super) fn text(&self) -> &str {
        self.dir.to_str().unwrap()
    }
}

fn make_executable(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A scratch directory: home, working directory and parent of the environments.
pub(super) fn scratch() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(super) fn search_path() -> String {
    std::env::var("PATH").unwrap()
}

pub(super) fn is_installed(program: &str) -> bool {
    let found = search_path()
        .split(':')
        .any(|directory| Path::new(directory).join(program).is_file());
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

pub(super) fn installed_shells() -> impl Iterator<Item = &'static Shell> {
    SHELLS.iter().filter(|shell| is_installed(shell.name))
}

pub(super) fn posix_shells() -> impl Iterator<Item = &'static Shell> {
    installed_shells().filter(|shell| shell.script == "activate")
}

/// A program with only the tests' own environment variables.
pub(super) fn command(program: &str, home: &Path) -> Command {
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
pub(super) fn run(shell: &Shell, home: &Path, script: &str, vars: &[(&str, &Path)]) -> Output {
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

pub(super) fn stdout_of(shell: &Shell, output: &Output) -> String {
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

/// Runs a script and returns the text between its `echo @@@` lines.
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
pub(super) fn assert_nothing_ran(home: &Path) {
    assert!(!home.join("X").exists(), "the prompt was executed");
}

#[test]
fn deactivate_removes_itself() {
    for shell in installed_shells() {
        let home = scratch();
        let env = Env::new(home.path(), "env", "env");
        // Some tools bring a program of that name.
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
fn environments_of_venv_and_rvenv_leave_each_other() {
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
