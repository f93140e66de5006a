//! Activation outside of POSIX shells: PowerShell, nushell, xonsh and a running Python; and the
//! quoting of texts.
//!
//! Read next: `activate.rs`, which has the awkward environments.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::activate::{
    AWKWARD, Env, assert_nothing_ran, command, is_installed, scratch, search_path,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rvenv::activation;

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
        // PowerShell treats brackets in the path of a script as a pattern.
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

/// The interpreters that a user is likely to have, oldest first where pyenv keeps several.
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

/// Any text that rvenv accepts; characters with a meaning to a shell are frequent.
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

/// What nushell reports: four variables, the head of PATH and what its children see, then the
/// prompt.
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
        // The path of an overlay is part of the text, because nushell reads it before it runs
        // anything.
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

/// What xonsh reports about itself and about what its children see.
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
        // xonsh itself expands variables in the entries of PATH.
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
