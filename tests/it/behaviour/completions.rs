//! Completions and manual pages: every command is in all of them, and real shells read them.
//!
//! A new command cannot be added without its help, its schema, its completions, its manual page and
//! its line in the list of commands. Read next: `help.rs`, `schemas.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::activate::is_installed;
use super::help;
use crate::machine::{Scratch, ended};

const SHELLS: [&str; 6] = ["bash", "zsh", "fish", "powershell", "nushell", "elvish"];

/// The list of commands for people.
const LIST: &str = "docs/commands.md";

fn script(scratch: &Scratch, shell: &str) -> PathBuf {
    let path = scratch.path(&format!("rvenv.{shell}"));
    fs::write(&path, scratch.rvenv(&["completions", shell]).ok()).unwrap();
    path
}

/// What a shell says when it runs this code with the path of the completions.
#[track_caller]
fn asked(scratch: &Scratch, shell: &str, words: &[&str], script: &Path) -> String {
    let mut command = scratch.program(Path::new("/usr/bin/env"), "022");
    command.args([
        "-i",
        "HOME=/nonexistent",
        "TERM=dumb",
        "PATH=/usr/local/bin:/usr/bin:/bin",
        shell,
    ]);
    let said = ended(command.args(words).env("SCRIPT", script));
    assert_eq!(said.stderr, "", "{shell}");
    said.ok()
}

fn text(script: &Path) -> String {
    script.to_str().unwrap().to_owned()
}

#[test]
fn bash_completes_commands_and_options() {
    if !is_installed("bash") {
        return;
    }
    let scratch = Scratch::cold();
    let script = script(&scratch, "bash");
    let code = "source \"$0\"; ask() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); \
                _rvenv rvenv \"${@: -1}\" \"${@: -2:1}\"; echo \"${COMPREPLY[@]}\"; }; \
                ask rvenv gener; ask rvenv cache pr; ask rvenv create --dura; \
                ask rvenv create --durability ''";
    let said = asked(
        &scratch,
        "bash",
        &["--norc", "-c", code, &text(&script)],
        &script,
    );
    assert_eq!(said, "generations\nprune\n--durability\npower process\n");
}

#[test]
fn fish_completes_commands_and_options() {
    if !is_installed("fish") {
        return;
    }
    let scratch = Scratch::cold();
    let script = script(&scratch, "fish");
    let code = format!(
        "source {}; for line in 'rvenv gener' 'rvenv cache pr' 'rvenv create --dura'; \
         complete -C $line; end",
        text(&script)
    );
    let said = asked(&scratch, "fish", &["--no-config", "-c", &code], &script);
    let words: Vec<&str> = said
        .lines()
        .filter_map(|line| line.split('\t').next())
        .collect();
    assert_eq!(words, ["generations", "prune", "--durability"]);
}

/// The shell runs in a terminal of its own, since only there it completes.
#[test]
fn zsh_completes_commands_and_options() {
    if !is_installed("zsh") {
        return;
    }
    let scratch = Scratch::cold();
    let script = script(&scratch, "zsh");
    let code = format!(
        "zmodload zsh/zpty; zpty z zsh -f -i; \
         zpty -w z 'PS1=; autoload -Uz compinit; compinit -u -D; source {0}; compdef _rvenv rvenv; \
         echo be\"\"gun'; zpty -r z heard '*begun*'; \
         for line in 'rvenv gener' 'rvenv cache pr' 'rvenv create --dura'; do \
         zpty -n -w z \"$line\"$'\\t'; zpty -r z heard \"*${{line%% *}} *(generations|prune|--durability)*\"; \
         zpty -n -w z $'\\C-u'; print -r -- \"$line\"; done; zpty -d z",
        text(&script)
    );
    let said = asked(
        &scratch,
        "timeout",
        &["60", "zsh", "-f", "-c", &code],
        &script,
    );
    assert_eq!(said, "rvenv gener\nrvenv cache pr\nrvenv create --dura\n");
}

/// Outside of a terminal elvish has no editor, in which completions live; it runs the same code.
#[test]
fn elvish_completes_commands_and_options() {
    if !is_installed("elvish") {
        return;
    }
    let scratch = Scratch::cold();
    let script = script(&scratch, "elvish");
    let code = fs::read_to_string(&script).unwrap();
    let code = code.replace(
        "set edit:completion:arg-completer[rvenv] =",
        "var complete =",
    );
    let start = code.find("edit:complex-candidate").unwrap();
    let end = start + code[start..].find('\n').unwrap();
    let code = format!(
        "{}put $text{}\n$complete rvenv '' | each {{|word| echo $word}}\n\
         $complete rvenv cache '' | each {{|word| echo $word}}\n",
        &code[..start],
        &code[end..]
    );
    fs::write(&script, code).unwrap();
    let said = asked(&scratch, "elvish", &["-norc", &text(&script)], &script);
    for word in ["generations", "prune", "--help"] {
        assert!(said.lines().any(|line| line == word), "{word}: {said}");
    }
}

#[test]
fn nushell_knows_commands_and_options() {
    if !is_installed("nu") {
        return;
    }
    let scratch = Scratch::cold();
    let script = script(&scratch, "nushell");
    let code = format!(
        "use {} *; scope externs | get name | str join ' '",
        text(&script)
    );
    let said = asked(&scratch, "nu", &["--no-config-file", "-c", &code], &script);
    for name in ["rvenv generations", "rvenv cache prune"] {
        assert!(said.contains(name), "{name}: {said}");
    }
}

#[test]
fn powershell_completes_commands_and_options() {
    if !is_installed("pwsh") {
        return;
    }
    let scratch = Scratch::cold();
    let script = script(&scratch, "powershell");
    let code = format!(
        "Invoke-Expression (Get-Content -Raw '{}'); foreach ($line in 'rvenv gener', 'rvenv cache pr', \
         'rvenv create --dura') {{ (TabExpansion2 $line $line.Length).CompletionMatches.CompletionText }}",
        text(&script)
    );
    let said = asked(
        &scratch,
        "pwsh",
        &["-NoProfile", "-NonInteractive", "-Command", &code],
        &script,
    );
    assert_eq!(said, "generations\nprune\n--durability\n");
}

#[test]
fn manual_pages_are_without_an_error() {
    let scratch = Scratch::cold();
    scratch.rvenv(&["man", "pages"]).ok();
    for page in fs::read_dir(scratch.path("pages")).unwrap() {
        let page = page.unwrap().path();
        for (program, words) in [
            ("mandoc", &["-Tlint", "-Werror"] as &[&str]),
            ("groff", &["-man", "-ww", "-z"]),
        ] {
            if !is_installed(program) {
                continue;
            }
            let output = Command::new(program)
                .args(words)
                .arg(&page)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let said = format!("{}{said}", String::from_utf8_lossy(&output.stdout));
            assert!(
                output.status.success() && said.is_empty(),
                "{}: {said}",
                page.display()
            );
        }
    }
    let page = fs::read_to_string(scratch.path("pages/rvenv-create.1")).unwrap();
    assert!(
        page.contains("durability") && page.contains("Create environments"),
        "{page}"
    );
}

/// The other tests of this kind find the commands in the help too: `help.rs` (snapshots),
/// `schemas.rs`, `streams.rs` and `named_cache.rs`.
#[test]
fn no_command_is_without_completions_a_manual_page_and_a_line_in_the_list() {
    let scratch = Scratch::cold();
    scratch.rvenv(&["man", "pages"]).ok();
    let scripts = SHELLS.map(|shell| fs::read_to_string(script(&scratch, shell)).unwrap());
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join(LIST);
    let list = fs::read_to_string(list).unwrap();
    for command in help::commands(&scratch, "") {
        let page = format!("rvenv {command}").trim().replace(' ', "-");
        let page = scratch.path(&format!("pages/{page}.1"));
        assert!(page.is_file(), "{} is no page", page.display());
        let Some(name) = command
            .split(' ')
            .next_back()
            .filter(|name| !name.is_empty())
        else {
            continue;
        };
        for (shell, script) in SHELLS.iter().zip(&scripts) {
            assert!(script.contains(name), "{shell} knows no {command}");
        }
        let has_commands = ["python", "cache"].contains(&command.as_str());
        let row = format!("\n| `rvenv {command}");
        assert!(
            has_commands || list.contains(&row),
            "{LIST} has no row for {command}"
        );
    }
}
