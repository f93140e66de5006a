//! What a child process of rvenv inherits: three file descriptors, and the environment variables
//! that `docs/security.md` lists.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::machine::{Scratch, ended, player, script};

/// The words by which a program leaves its descriptors and its environment in files named after
/// `mark`.
fn leaves(mark: &Path) -> String {
    let mark = mark.display();
    format!(
        "for fd in /proc/$$/fd/*; do echo \"${{fd##*/}} $(readlink \"$fd\")\"; done > '{mark}.fds'\n\
         cat /proc/$$/environ > '{mark}.env'"
    )
}

/// The lines of descriptors that lead to what only the caller opened.
fn inherited(mark: &Path) -> Vec<String> {
    let found = fs::read_to_string(mark.with_extension("fds")).unwrap();
    assert!(found.lines().count() >= 3, "{found}");
    let lines = found.lines().filter(|line| line.contains("secret"));
    lines.map(str::to_owned).collect()
}

fn environment(mark: &Path) -> BTreeMap<String, String> {
    let found = fs::read_to_string(mark.with_extension("env")).unwrap();
    let pairs = found.split('\0').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

/// A command in a shell that left a file open, for reading and for writing, and whose environment
/// is known.
fn careless(scratch: &Scratch, words: &str) -> Command {
    let program = env!("CARGO_BIN_EXE_rvenv");
    let mut command = scratch.program(Path::new("/bin/sh"), "022");
    command
        .args([
            "-c",
            &format!("exec 7<secret 8>>secret; exec '{program}' {words}"),
        ])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", scratch.path("home"))
        .env("TOKEN", "of the caller's")
        .env("PYTHONPATH", scratch.path("planted"))
        .env("PYTHONSTARTUP", scratch.path("planted.py"))
        .env("RVENV_CACHE_DIR", scratch.cache());
    command
}

#[test]
fn an_interpreter_gets_three_descriptors_and_nothing_that_steers_python() {
    let scratch = Scratch::cold();
    fs::write(scratch.path("secret"), "s").unwrap();
    let python = player(&scratch, "python3");
    let mark = scratch.path("probed");
    let text = fs::read_to_string(&python).unwrap();
    fs::write(
        &python,
        text.replacen('\n', &format!("\n{}\n", leaves(&mark)), 1),
    )
    .unwrap();
    ended(&mut careless(&scratch, "plan --without-pip -p ./python3 E")).ok();

    assert_eq!(inherited(&mark), [] as [String; 0]);
    let found = environment(&mark);
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    let caller = ["HOME", "PATH", "PWD", "RVENV_CACHE_DIR", "TOKEN"];
    let others = names
        .iter()
        .filter(|name| !caller.contains(name) && **name != "_");
    assert_eq!(others.count(), 0, "{names:?}");
    assert_eq!(found["TOKEN"], "of the caller's");
}

#[test]
fn a_health_check_gets_three_descriptors_and_an_activated_environment() {
    let Some(python) = crate::machine::any_python() else {
        return;
    };
    let scratch = Scratch::cold();
    fs::write(scratch.path("secret"), "s").unwrap();
    let mark = scratch.path("checked");
    let check = scratch.path("check");
    script(&check, &leaves(&mark));
    let words = format!(
        "create --without-pip -p '{}' --check '{}' E",
        python.path.display(),
        check.display()
    );
    ended(&mut careless(&scratch, &words)).ok();

    assert_eq!(inherited(&mark), [] as [String; 0]);
    let found = environment(&mark);
    let env = scratch.path("E").canonicalize().unwrap();
    assert_eq!(found["VIRTUAL_ENV"], env.to_str().unwrap());
    assert_eq!(found["PYTHONDONTWRITEBYTECODE"], "1");
    let path = format!("{}/bin:/usr/bin:/bin", env.display());
    assert_eq!(found["PATH"], path);
    assert_eq!(found["TOKEN"], "of the caller's");
}
