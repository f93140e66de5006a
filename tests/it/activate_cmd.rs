//! The activation scripts of cmd, run by cmd itself: that of Windows, or that of Wine.
//!
//! Environments have paths and prompts as awkward as Windows allows. This program itself, as a
//! child of cmd, reports what such a child sees in each state, since the output of cmd depends on
//! code pages. Read next: `src/build/activation.rs`, `tests/it/behaviour/activate.rs`.

#![cfg(windows)]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test starts a real shell on real files, and tells what it sees"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rvenv::activation::{Activation, windows_scripts};
use tempfile::TempDir;

/// Set for a child that shall report its variables.
const TELL: &str = "RVENV_TELL";
/// The prefix of each reported line.
const TOLD: &str = "@@@ ";

/// Names of directories, which are also prompts.
const NAMES: [&str; 8] = [
    "two  words",
    "it's (a) [b] {c}=,@#~+!`$",
    "100% %PATH% %%x%% %1",
    "^ ^^ ^& a&b & ^%PATH^%",
    "!PATH! ^!x^!",
    "$P$G $$",
    "é漢字🐍",
    "__RVENV_PROMPT__",
];

/// Prompts that cannot be names of directories.
const PROMPTS: [&str; 4] = ["a|b<c>d", "\"quoted\"", "\"odd & even", "*?:;/\\"];

/// A directory with its scripts and a `where-am-i` that prints where it is.
struct Env {
    dir: PathBuf,
}

impl Env {
    fn new(parent: &Path, name: &str, prompt: &str) -> Self {
        let dir = parent.join(name);
        let bin = dir.join("Scripts");
        fs::create_dir_all(&bin).unwrap();
        let activation = Activation {
            env_dir: dir.to_str().unwrap(),
            prompt,
            bin_name: "Scripts",
            site_packages: &[],
        };
        for script in windows_scripts(&activation) {
            fs::write(bin.join(script.name), script.text).unwrap();
        }
        Self { dir }
    }

    fn text(&self) -> &str {
        self.dir.to_str().unwrap()
    }
}

/// The variables of a child of cmd, by name in upper case, since Windows ignores case.
type Seen = BTreeMap<String, String>;

/// Runs lines in cmd; `tell` in them runs a child that reports its variables.
fn run(home: &Path, lines: &[&str], vars: &[(&str, &str)]) -> Vec<Seen> {
    let tell = "\"%SELF%\" --exact tells_its_variables --nocapture";
    let lines: Vec<String> = lines
        .iter()
        .map(|line| line.replace("tell", tell))
        .collect();
    let script = home.join("script.bat");
    fs::write(&script, format!("@echo off\r\n{}\r\n", lines.join("\r\n"))).unwrap();
    let output = Command::new("cmd")
        .args(["/d", "/c", "script.bat"])
        .current_dir(home)
        .env("SELF", std::env::current_exe().unwrap())
        .env(TELL, "1")
        .envs(vars.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert_eq!(complaints, "", "{vars:?} {said}");
    let mut seen = Vec::new();
    for line in said.lines().filter_map(|line| line.strip_prefix(TOLD)) {
        match line.split_once('=') {
            None => seen.push(Seen::new()),
            Some((name, value)) => {
                let last = seen.last_mut().unwrap();
                last.insert(name.to_uppercase(), value.to_owned());
            }
        }
    }
    seen
}

/// Not a test of its own: the part of a child that reports its variables.
#[test]
fn tells_its_variables() {
    if std::env::var_os(TELL).is_none() {
        return;
    }
    println!("\n{TOLD}begin");
    for (name, value) in std::env::vars() {
        // Names with this prefix are cmd's own.
        if !name.starts_with('=') {
            println!("{TOLD}{name}={value}");
        }
    }
}

/// Changes into the environment that a variable names: a name in the line itself would be parsed by
/// cmd once more.
fn enter(variable: &str) -> String {
    format!("cd /d \"%{variable}%\\Scripts\"\r\ncall activate.bat\r\ncd /d \"%HOME%\"")
}

/// The value of a variable; to cmd an unset one is empty.
fn value(seen: &Seen, name: &str) -> String {
    seen.get(name).cloned().unwrap_or_default()
}

fn check(name: &str, prompt: &str) {
    let scratch = TempDir::new().unwrap();
    let home = scratch.path();
    let env = Env::new(home, name, prompt);
    let lines = [
        "set PROMPT=$P$G",
        "tell",
        &enter("FIRST"),
        "tell",
        "call deactivate",
        "tell",
    ];
    let vars = [
        ("FIRST", env.text()),
        ("HOME", home.to_str().unwrap()),
        ("PYTHONHOME", "C:\\old home"),
    ];
    let seen = run(home, &lines, &vars);
    let [before, inside, after] = seen.as_slice() else {
        panic!("{name}, {prompt}: {seen:?}");
    };
    let context = format!("{name:?}, {prompt:?}");
    assert_eq!(value(inside, "VIRTUAL_ENV"), env.text(), "{context}");
    assert_eq!(value(inside, "VIRTUAL_ENV_PROMPT"), prompt, "{context}");
    assert_eq!(inside.get("PYTHONHOME"), None, "{context}");
    let path = format!("{}\\Scripts;{}", env.text(), value(before, "PATH"));
    assert_eq!(value(inside, "PATH"), path, "{context}");
    let label = prompt.replace('$', "$$").replace('"', "'");
    assert_eq!(
        value(inside, "PROMPT"),
        format!("({label}) $P$G"),
        "{context}"
    );
    assert_eq!(before, after, "{context}");
}

/// Whether cmd reads the rest of a file in the code page that the file selects: that of Windows
/// does, that of Wine does not.
fn follows_code_pages() -> bool {
    let scratch = TempDir::new().unwrap();
    let choose = "\"%SystemRoot%\\System32\\chcp.com\" 65001 > nul";
    let seen = run(scratch.path(), &[choose, "set LETTER=é", "tell"], &[]);
    seen.first()
        .is_some_and(|seen| value(seen, "LETTER") == "é")
}

#[test]
fn cmd_sees_the_awkward_path_and_prompt_as_written_and_forgets_them_again() {
    let follows_code_pages = follows_code_pages();
    for name in NAMES {
        if name.is_ascii() || follows_code_pages {
            check(name, name);
        } else {
            println!("skipped: this cmd reads {name:?} in the code page of its start");
        }
    }
    for prompt in PROMPTS {
        check("env", prompt);
    }
}

#[test]
fn an_environment_activated_over_another_or_itself_leaves_the_first() {
    let scratch = TempDir::new().unwrap();
    let home = scratch.path();
    let first = Env::new(home, "first", "first");
    let second = Env::new(home, "second", "second");
    let (one, two) = (enter("FIRST"), enter("SECOND"));
    let lines = ["tell", &one, &two, &two, "tell", "call deactivate", "tell"];
    let vars = [
        ("FIRST", first.text()),
        ("SECOND", second.text()),
        ("HOME", home.to_str().unwrap()),
        ("PYTHONHOME", "C:\\old"),
    ];
    let seen = run(home, &lines, &vars);
    let path = format!("{}\\Scripts;{}", second.text(), value(&seen[0], "PATH"));
    assert_eq!(value(&seen[1], "PATH"), path);
    assert_eq!(value(&seen[1], "VIRTUAL_ENV_PROMPT"), "second");
    assert_eq!(seen[0], seen[2]);
}

#[test]
fn the_prompt_stays_where_that_is_asked_for() {
    let scratch = TempDir::new().unwrap();
    let home = scratch.path();
    let env = Env::new(home, "env", "env");
    let vars = [
        ("FIRST", env.text()),
        ("HOME", home.to_str().unwrap()),
        ("VIRTUAL_ENV_DISABLE_PROMPT", "1"),
    ];
    let seen = run(
        home,
        &[
            "set PROMPT=mine$G",
            &enter("FIRST"),
            "tell",
            "call deactivate",
            "tell",
        ],
        &vars,
    );
    assert_eq!(value(&seen[0], "VIRTUAL_ENV"), env.text());
    assert_eq!(value(&seen[0], "PROMPT"), "mine$G");
    assert_eq!(value(&seen[1], "PROMPT"), "mine$G");
}
