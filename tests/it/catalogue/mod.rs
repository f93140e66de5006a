//! The catalogue of errors: makes a real failure for each code, and compares `docs/errors.md` with
//! what the command printed.
//!
//! Promises that every code which `rvenv explain` lists is in the catalogue with a failure, or with
//! the reason why no test can make it. `RVENV_WRITE_DOCS=1` writes the document. A row that needs
//! root or `strace` keeps its committed text where there is none.
//! Read next: `failures.rs`, the rows.

#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test starts real programs, reads what they made, and says what it skips"
)]

mod failures;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::machine::{Ended, Scratch, any_python, ended, player};
use crate::strace;
use crate::wheels::{self, NewWheel};
use failures::{FAILURES, Failure, Needs, UNMADE};

/// The variable that has the document written.
const WRITE: &str = "RVENV_WRITE_DOCS";

/// The interpreter in the document.
const PYTHON: &str = "/usr/bin/python3";

/// What random names begin with.
const RANDOM: [&str; 4] = [".new-", ".trash-", "resolve-", "pylock."];

/// The words that prepare a failure.
const SETUP: &str = include_str!("setup.sh");

const HEAD: &str = "\
# Errors

Every error of `rvenv` has a code, which it prints in brackets: `error[stale-plan]: …`. A code keeps
its name, its meaning and its exit code. `rvenv explain CODE` prints what is here, `rvenv explain`
lists all codes, and `--json` prints an error as an object (see [JSON](schema/index.md)).

An error names what failed, the causes, the state of what the command may have changed, and what to
do next. Each one below was made by a real failure; a test makes all of them again and compares.
";

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md")
}

/// What `rvenv explain --json` says.
fn explained() -> Vec<Value> {
    let said = Scratch::cold().rvenv(&["explain", "--json"]).ok();
    let all: Value = serde_json::from_str(&said).unwrap();
    all["codes"].as_array().unwrap().clone()
}

fn text<'a>(of: &'a Value, field: &str) -> &'a str {
    of[field].as_str().unwrap()
}

/// A directory in which a failure is made.
struct Bench {
    scratch: Scratch,
    python: PathBuf,
}

impl Bench {
    fn new(python: &Path) -> Self {
        let scratch = Scratch::cold();
        player(&scratch, "python");
        for name in ["bin", "wheels"] {
            fs::create_dir(scratch.path(name)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_rvenv"), scratch.path("bin/rvenv")).unwrap();
        let new = |name: &str| NewWheel::new(name, "1.0");
        let made = [
            new("demo").file("demo.py", "x = 1\n"),
            new("one").file("shared.py", "owner = \"one\"\n"),
            new("two").file("shared.py", "owner = \"two\"\n"),
            new("hostile").file("../escaped.py", "x = 1\n"),
        ];
        wheels::write(python, &scratch.path("wheels"), made);
        let python = python.to_path_buf();
        Self { scratch, python }
    }

    fn shell(&self, script: &str) -> Ended {
        let work = self.scratch.path("");
        let path = format!("{}:/usr/bin:/bin", self.scratch.path("bin").display());
        let mut command: Command = self.scratch.program(Path::new("/bin/sh"), "022");
        command
            .args(["-c", script])
            .env("PATH", path)
            .env("WORK", work)
            .env("REAL", &self.python)
            .env("RVENV_PYTHON", self.scratch.path("python"));
        ended(&mut command)
    }

    /// Makes a failure; its exit code and what it printed.
    fn fail(&self, failure: &Failure) -> Ended {
        let before = self.shell(&format!("{SETUP}\n{}", failure.before));
        assert_eq!(before.code, Some(0), "{}: {}", failure.code, before.stderr);
        let made = self.shell(&format!("{} {}", failure.through, failure.typed));
        let after = self.shell(failure.after);
        assert_eq!(after.code, Some(0), "{}: {}", failure.code, after.stderr);
        made
    }

    /// A text without what differs between machines and runs.
    fn stable(&self, text: &str) -> String {
        let work = self.scratch.path("");
        let root = work.ancestors().nth(1).unwrap().to_str().unwrap();
        let text = text.replace(root, "/home/me");
        let text = text.replace(self.python.to_str().unwrap(), PYTHON);
        let text = text.replace(&"0".repeat(300), "000…");
        text.lines().map(stable_line).collect::<Vec<_>>().join("\n")
    }
}

fn stable_line(line: &str) -> String {
    if line.starts_with("  installed: ") || line == "  no interpreter is installed" {
        return "  installed: cpython 3.12.1 and cpython 3.13.0".to_owned();
    }
    if line.starts_with("  the change needs up to ") {
        return "  the change needs up to 94.2 kB, and 8.0 kB are free".to_owned();
    }
    // How wide a checkout is depends on where temporary directories are.
    if let Some((before, after)) = line.split_once("does not start it: it is in `")
        && let Some((_, after)) = after.split_once('`')
    {
        return format!("{before}does not start it: it is in `/home/me/work`{after}");
    }
    stable_words(line)
}

/// Words that differ from run to run are replaced: digests, processes and random names.
fn stable_words(line: &str) -> String {
    let (mut made, mut rest, mut before) = (String::new(), line, String::new());
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric();
        let end = rest
            .find(|c| is_word(c) != is_word(first))
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let is_digest = word.len() == 64 && word.chars().all(|c| c.is_ascii_hexdigit());
        let is_random = |start: &&str| is_word(first) && before.ends_with(start);
        made.push_str(if is_digest || RANDOM.iter().any(is_random) {
            "…"
        } else if word.starts_with("tmp") && before.ends_with("/.") {
            "tmp…"
        } else if before.ends_with("process ") && word.starts_with(|c: char| c.is_ascii_digit()) {
            "1234"
        } else {
            word
        });
        before.push_str(word);
        rest = after;
    }
    made
}

/// Whether a failure can be made here; prints the reason if not.
fn can_be_made(failure: &Failure) -> bool {
    match failure.needs {
        Needs::Nothing => true,
        Needs::Root => {
            let is_root = rustix::process::geteuid().is_root();
            let may = is_root
                && Command::new("unshare")
                    .args(["-m", "true"])
                    .status()
                    .is_ok_and(|s| s.success());
            if !may {
                println!("skipped: {} needs mounts and other owners", failure.code);
            }
            may
        }
        Needs::Strace => strace::is_there(),
    }
}

/// A paragraph in lines of at most 100 columns; what follows the first line of an item is indented.
fn wrapped(paragraph: &str) -> String {
    let indent = if paragraph.starts_with("- ") {
        "  "
    } else {
        ""
    };
    let mut lines: Vec<String> = vec![String::new()];
    for word in paragraph.split(' ') {
        let last = lines.last_mut().unwrap();
        if last.chars().count() + word.chars().count() >= 100 {
            lines.push(format!("{indent}{word}"));
        } else if last.is_empty() {
            last.push_str(word);
        } else {
            last.push(' ');
            last.push_str(word);
        }
    }
    lines.join("\n")
}

/// The section of a code in the committed document.
fn committed(code: &str) -> String {
    let text = fs::read_to_string(document()).unwrap_or_default();
    let start = format!("\n## {code}\n");
    let rest = text.split_once(&start).map_or("", |(_, rest)| rest);
    let end = rest.find("\n## ").unwrap_or(rest.len());
    format!("{start}{}", &rest[..end])
}

fn section(explained: &Value, python: &Path) -> Result<String, String> {
    let code = text(explained, "code");
    let exit = explained["exit"].as_i64().unwrap();
    let meaning = format!("Exit code {exit}. {}", text(explained, "meaning"));
    let state = format!("- State: {}", text(explained, "state"));
    let way_out = format!("- What to do: {}", text(explained, "way_out"));
    let mut section = format!(
        "\n## {code}\n\n{}\n\n{}\n{}\n",
        wrapped(&meaning),
        wrapped(&state),
        wrapped(&way_out)
    );
    if let Some(unmade) = UNMADE.iter().find(|unmade| unmade.code == code) {
        let reason = wrapped(&format!("No test makes it: {}", unmade.reason));
        let _infallible = writeln!(section, "\n{reason}");
        return Ok(section);
    }
    let failure = FAILURES.iter().find(|failure| failure.code == code);
    let failure = failure.ok_or_else(|| format!("{code} has no failure"))?;
    if !can_be_made(failure) {
        return Ok(committed(code));
    }
    let bench = Bench::new(python);
    let made = bench.fail(failure);
    let said = bench.stable(&made.stderr);
    if made.code.map(i64::from) != Some(exit) || !said.contains(&format!("error[{code}]: ")) {
        return Err(format!("{code}: {made:?}"));
    }
    let variable = failure.through.strip_prefix("env RVENV_");
    let variable = variable
        .map(|set| format!("RVENV_{set} "))
        .unwrap_or_default();
    let shown = failure.typed.replace("\"$REAL\"", PYTHON);
    let shown = format!("{variable}{shown}");
    let _infallible = writeln!(section, "\n```console\n$ {shown}\n{said}\n```");
    Ok(section)
}

#[test]
fn every_code_has_a_real_failure_and_the_catalogue_shows_it() {
    let Some(python) = any_python() else { return };
    let explained = explained();
    let ways = std::thread::available_parallelism().map_or(1, usize::from);
    let sections: Vec<Result<String, String>> = std::thread::scope(|scope| {
        let share = explained.len().div_ceil(ways);
        let workers: Vec<_> = explained
            .chunks(share)
            .map(|codes| {
                let python = &python.path;
                scope.spawn(move || {
                    codes
                        .iter()
                        .map(|one| section(one, python))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    let failed: Vec<&String> = sections
        .iter()
        .filter_map(|one| one.as_ref().err())
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let made: String = sections.into_iter().map(Result::unwrap).collect();
    let made = format!("{HEAD}{made}");
    if std::env::var_os(WRITE).is_some() {
        fs::write(document(), &made).unwrap();
    }
    let committed = fs::read_to_string(document()).unwrap_or_default();
    if committed != made {
        let lines: Vec<_> = made.lines().zip(committed.lines()).collect();
        let differing = lines.iter().find(|(new, old)| new != old);
        println!("the first line that differs: {differing:?}");
    }
    assert!(
        committed == made,
        "docs/errors.md is not what is printed; `{WRITE}=1` writes it"
    );
}

#[test]
fn every_row_of_the_catalogue_is_of_one_code() {
    let known: Vec<Value> = explained();
    let known: Vec<&str> = known.iter().map(|one| text(one, "code")).collect();
    let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
    let failures = FAILURES.iter().map(|failure| failure.code);
    for code in failures.chain(UNMADE.iter().map(|unmade| unmade.code)) {
        *rows.entry(code).or_default() += 1;
        assert!(known.contains(&code), "{code} is no code");
    }
    assert!(rows.values().all(|count| *count == 1), "{rows:?}");
    assert!(UNMADE.len() <= 6, "few codes may be without a failure");
}
