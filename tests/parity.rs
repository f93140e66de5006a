//! Parity: environments made by `rvenv` against those of the same interpreter's `venv`, at the same path.
//!
//! Compared are every path, kind, mode, link target and byte, and `pyvenv.cfg` line by line; what may differ is in
//! the table `DIFFERENCES`, with the reason. By default each interpreter is compared once with pip and then in
//! several ways without; `RVENV_PARITY=all` compares every combination of flags.

#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test starts real programs, reads what they made, and says what it skips"
)]

#[expect(dead_code, reason = "other tests use more of the machine")]
mod machine;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use machine::{Entry, Kind, Python, Scratch, any_python, pythons, supported, tree};
use rvenv_journal::Digest;

/// What differs from `venv`, and why.
struct Difference {
    /// The path, or its end after a `*`, or its beginning before one.
    path: &'static str,
    what: What,
    /// For the reader of this table and of a failure.
    #[expect(dead_code, reason = "a reason is for people")]
    reason: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// `rvenv` makes it and `venv` does not, or the other way round.
    Presence,
    /// Both make it with the same mode, and the bytes differ.
    Bytes,
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        path: ".rvenv",
        what: What::Presence,
        reason: "the engine's own directory",
    },
    Difference {
        path: ".rvenv/receipt.json",
        what: What::Presence,
        reason: "the receipt: what was published",
    },
    Difference {
        path: "bin/activate_this.py",
        what: What::Presence,
        reason: "an additional activation script, for programs that embed Python",
    },
    Difference {
        path: "bin/activate.nu",
        what: What::Presence,
        reason: "an additional activation script, for nushell",
    },
    Difference {
        path: "bin/activate.xsh",
        what: What::Presence,
        reason: "an additional activation script, for xonsh",
    },
    Difference {
        path: "bin/Activate.ps1",
        what: What::Presence,
        reason: "venv has it since 3.8, rvenv for every version",
    },
    Difference {
        path: "*/__pycache__",
        what: What::Presence,
        reason: "bytecode is made when it is needed",
    },
    Difference {
        path: "*.pyc",
        what: What::Presence,
        reason: "bytecode is made when it is needed",
    },
    Difference {
        path: "bin/activate",
        what: What::Bytes,
        reason: "rvenv's own script, which quotes what venv does not",
    },
    Difference {
        path: "bin/activate.csh",
        what: What::Bytes,
        reason: "rvenv's own script, which quotes what venv does not",
    },
    Difference {
        path: "bin/activate.fish",
        what: What::Bytes,
        reason: "rvenv's own script, which quotes what venv does not",
    },
    Difference {
        path: "bin/Activate.ps1",
        what: What::Bytes,
        reason: "rvenv's own script",
    },
    Difference {
        path: ".gitignore",
        what: What::Bytes,
        reason: "the comment names who made the environment",
    },
    Difference {
        path: "pyvenv.cfg",
        what: What::Bytes,
        reason: "one more key; the others are compared line by line",
    },
    Difference {
        path: "bin/pip*",
        what: What::Bytes,
        reason: "rvenv's own text of a console script, which calls the same entry point",
    },
    Difference {
        path: "bin/easy_install*",
        what: What::Bytes,
        reason: "rvenv's own text of a console script, which calls the same entry point",
    },
    Difference {
        path: "share*",
        what: What::Presence,
        reason: "Debian's ensurepip for PyPy leaves copies of the wheels that it installed from",
    },
    Difference {
        path: "*.dist-info/RECORD",
        what: What::Bytes,
        reason: "no rows for bytecode; the others are compared row by row",
    },
];

fn is_listed(path: &str, what: What) -> bool {
    DIFFERENCES.iter().any(|listed| {
        let named = match listed.path.split_once('*') {
            Some((start, end)) => path.starts_with(start) && path.ends_with(end),
            None => path == listed.path,
        };
        named && listed.what == what
    })
}

/// One environment of one interpreter, made by both.
struct Pair {
    env: PathBuf,
    flags: Vec<String>,
    venv: Made,
    rvenv: Made,
}

struct Made {
    tree: BTreeMap<String, Entry>,
    config: Vec<String>,
    records: BTreeMap<String, BTreeSet<String>>,
}

impl Made {
    /// Reads an environment, and takes it away.
    fn take(env: &Path) -> Self {
        let made = Self::read(env);
        fs::remove_dir_all(env).unwrap();
        made
    }

    fn read(env: &Path) -> Self {
        let tree = tree(env);
        let lines = |path: &str| -> Vec<String> {
            let text = fs::read_to_string(env.join(path)).unwrap();
            text.lines().map(str::to_owned).collect()
        };
        let is_record = |path: &&String| path.ends_with(".dist-info/RECORD");
        let rows = |path: &String| {
            let rows = lines(path).into_iter();
            let rows = rows.filter(|row| !row.contains(".pyc,"));
            (path.clone(), rows.collect())
        };
        Self {
            config: lines("pyvenv.cfg"),
            records: tree.keys().filter(is_record).map(rows).collect(),
            tree,
        }
    }
}

impl Made {
    /// Every row, after the name of its RECORD; of a script whose text is our own, the path alone.
    fn rows(&self) -> BTreeSet<String> {
        let all = self.records.iter();
        let all = all.flat_map(|(record, rows)| rows.iter().map(move |row| (record, row)));
        let known = all.map(|(record, row)| {
            let path = row.split(',').next().unwrap();
            let own = path.starts_with("../../../bin/");
            format!("{record}: {}", if own { path } else { row })
        });
        known.collect()
    }
}

/// Makes the environment of `python` by both, one after the other at one path.
fn pair(scratch: &Scratch, python: &Python, flags: &[&str], umask: &str) -> Result<Pair, String> {
    let env = scratch.path("E");
    let run = |program: &Path, start: &[&str]| {
        let mut command = scratch.program(program, umask);
        command.args(start).args(flags).arg(&env);
        let ended = machine::ended(&mut command);
        let shown = format!("{}{}", ended.stdout, ended.stderr);
        if ended.code == Some(0) {
            Ok(())
        } else {
            Err(shown)
        }
    };
    run(&python.path, &["-m", "venv"]).map_err(|said| {
        let _half = fs::remove_dir_all(&env);
        format!("venv fails: {}", said.trim())
    })?;
    let venv = Made::take(&env);
    let asked = python.path.to_str().unwrap();
    let rvenv = Path::new(env!("CARGO_BIN_EXE_rvenv"));
    run(rvenv, &["create", "--python", asked]).unwrap();
    Ok(Pair {
        rvenv: Made::read(&env),
        venv,
        env,
        flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
    })
}

impl Pair {
    /// Everything that differs and is not listed.
    fn unexplained(&self) -> Vec<String> {
        let paths: BTreeSet<&String> = self
            .venv
            .tree
            .keys()
            .chain(self.rvenv.tree.keys())
            .collect();
        let mut found: Vec<_> = paths
            .into_iter()
            .filter_map(|path| self.path(path))
            .collect();
        found.extend(self.config());
        let (venv, rvenv) = (self.venv.rows(), self.rvenv.rows());
        for row in venv.symmetric_difference(&rvenv).take(5) {
            found.push(format!("RECORD: one alone has the row {row}"));
        }
        found
    }

    fn path(&self, path: &str) -> Option<String> {
        match (self.venv.tree.get(path), self.rvenv.tree.get(path)) {
            (Some(venv), Some(rvenv)) => compare(path, venv, rvenv),
            _ if is_listed(path, What::Presence) => None,
            (Some(_), _) => Some(format!("{path}: venv alone makes it")),
            (None, _) => Some(format!("{path}: rvenv alone makes it")),
        }
    }

    /// Same keys in the same order with the same values, and then our own.
    fn config(&self) -> Option<String> {
        let mut expected = self.venv.config.clone();
        expected.push(format!("rvenv = {}", env!("CARGO_PKG_VERSION")));
        let (venv, rvenv) = (expected.join("\n  "), self.rvenv.config.join("\n  "));
        (venv != rvenv).then(|| format!("pyvenv.cfg:\n  {venv}\nand not\n  {rvenv}"))
    }
}

fn compare(path: &str, venv: &Entry, rvenv: &Entry) -> Option<String> {
    if venv.mode != rvenv.mode && !matches!(venv.kind, Kind::Link(_)) {
        let (venv, rvenv) = (venv.mode, rvenv.mode);
        return Some(format!("{path}: mode {venv:o} and not {rvenv:o}"));
    }
    match (&venv.kind, &rvenv.kind) {
        (venv, rvenv) if venv == rvenv => None,
        (Kind::File(_), Kind::File(_)) if is_listed(path, What::Bytes) => None,
        (venv, rvenv) => Some(format!("{path}: {venv:?} and not {rvenv:?}")),
    }
}

/// Works through a list, two at a time.
fn two_at_a_time<T: Send>(items: Vec<T>, work: impl Fn(T) + Sync) {
    let items = Mutex::new(items);
    let next = || items.lock().unwrap().pop();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(item) = next() {
                    work(item);
                }
            });
        }
    });
}

/// Compares and reports; `then` looks at the environment that `rvenv` made.
fn check(
    python: &Python,
    flags: &[&str],
    umask: &str,
    then: impl Fn(&Scratch, &Pair),
) -> Vec<String> {
    let scratch = Scratch::new();
    let shown = format!("{} {}", python.path.display(), flags.join(" "));
    match pair(&scratch, python, flags, umask) {
        Ok(pair) => {
            then(&scratch, &pair);
            let found = pair.unexplained();
            found
                .iter()
                .map(|what| format!("{shown}: {what}"))
                .collect()
        }
        Err(why) => {
            println!("skipped: {shown}: {why}");
            Vec::new()
        }
    }
}

/// Compares in all these ways, and fails with everything that is not explained.
fn check_all(work: Vec<(Python, Vec<&str>)>, then: impl Fn(&Scratch, &Pair) + Sync) {
    let found = Mutex::new(Vec::new());
    two_at_a_time(work, |(python, flags)| {
        let unexplained = check(&python, &flags, "022", &then);
        found.lock().unwrap().extend(unexplained);
    });
    let found = found.into_inner().unwrap();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn with_pip_an_environment_is_that_of_venv_and_pip_works() {
    let work = supported().into_iter().map(|python| (python, Vec::new()));
    check_all(work.collect(), |scratch, pair| {
        check_records(&pair.env);
        check_leaks(&pair.env);
        check_running(scratch, &pair.env);
    });
}

#[test]
fn without_pip_an_environment_is_that_of_venv_for_other_flags() {
    let others: &[&[&str]] = &[
        &[],
        &["--copies", "--system-site-packages"],
        &["--symlinks", "--prompt", "it's \"x\" $HOME \\ é"],
        &["--clear", "--prompt", "."],
    ];
    let mut work = Vec::new();
    for python in supported() {
        for other in others {
            work.push((python.clone(), [&["--without-pip"], *other].concat()));
        }
        if python.at_least(13) {
            let flags = vec![
                "--without-pip",
                "--without-scm-ignore-files",
                "--prompt",
                "",
            ];
            work.push((python, flags));
        }
    }
    check_all(work, |_, pair| check_leaks(&pair.env));
}

#[test]
fn every_combination_of_flags_gives_the_environment_of_venv() {
    if std::env::var_os("RVENV_PARITY").is_none_or(|value| value != "all") {
        println!("skipped: set RVENV_PARITY=all for every combination of flags");
        return;
    }
    let switches = [
        "--copies",
        "--without-pip",
        "--system-site-packages",
        "--prompt=a b",
    ];
    let mut work = Vec::new();
    for python in supported() {
        for chosen in 0..1_u32 << switches.len() {
            let is_chosen = |&(bit, _): &(usize, _)| chosen >> bit & 1 == 1;
            let flags = switches.into_iter().enumerate().filter(is_chosen);
            work.push((python.clone(), flags.map(|(_, flag)| flag).collect()));
        }
    }
    check_all(work, |_, pair| {
        check_leaks(&pair.env);
        check_records(&pair.env);
    });
}

/// venv: what pip installs and `pyvenv.cfg` obey the umask, scripts and copies of the interpreter do not.
#[test]
fn under_a_strict_umask_modes_are_those_of_venv() {
    let Some(python) = any_python() else { return };
    for flags in [&["--copies"] as &[&str], &["--without-pip"]] {
        let found = check(&python, flags, "077", |_, pair| {
            let mode = |path: &str| pair.rvenv.tree.get(path).map(|entry| entry.mode);
            assert_eq!(mode(""), Some(0o700));
            assert_eq!(mode("pyvenv.cfg"), Some(0o600));
            assert_eq!(mode("bin/activate"), Some(0o644));
            if pair.flags.contains(&"--copies".to_owned()) {
                assert_eq!(mode("bin/python"), Some(0o755));
            }
        });
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}

#[test]
fn an_interpreter_from_before_3_6_is_refused() {
    let mut old = pythons();
    old.retain(|python| !python.is_supported());
    if old.is_empty() {
        println!("skipped: every Python of this machine is new enough");
    }
    for python in old {
        let scratch = Scratch::new();
        let asked = python.path.to_str().unwrap();
        let said = scratch.rvenv(&["create", "--python", asked, "E"]).failed(1);
        let what = format!(
            "error: `{asked}` is Python {}.{}.",
            python.version.0, python.version.1
        );
        assert!(said.starts_with(&what), "{said}");
        assert!(
            said.contains("which is too old: rvenv needs 3.6 or newer"),
            "{said}"
        );
        assert!(!scratch.path("E").exists());
    }
}

/// Every row names a file that is there, with its digest and length; every file of the packages is in a row.
fn check_records(env: &Path) {
    let made = Made::read(env);
    let mut listed = BTreeSet::new();
    for (record, rows) in &made.records {
        let dist_info = Path::new(record).parent().unwrap();
        let packages = dist_info.parent().unwrap();
        let installer = fs::read(env.join(dist_info).join("INSTALLER")).unwrap();
        assert_eq!(installer, b"pip\n", "{record}");
        for row in rows {
            let mut fields = row.rsplitn(3, ',');
            let (len, hash) = (fields.next().unwrap(), fields.next().unwrap());
            let path = normal(&packages.join(fields.next().unwrap()));
            let bytes = fs::read(env.join(&path)).unwrap_or_else(|_| panic!("{row}"));
            if path != *record {
                assert_eq!(hash, format!("sha256={}", urlsafe(&bytes)), "{row}");
                assert_eq!(len, bytes.len().to_string(), "{row}");
            }
            assert!(listed.insert(path), "{row} is there twice");
        }
    }
    let is_package = |path: &&String| path.contains("/site-packages/");
    let is_file = |path: &&String| matches!(made.tree.get(*path).unwrap().kind, Kind::File(_));
    for path in made.tree.keys().filter(is_package).filter(is_file) {
        assert!(
            path.contains("/__pycache__/") || listed.contains(path),
            "{path} is in no RECORD"
        );
    }
}

fn normal(path: &Path) -> String {
    let mut parts = Vec::new();
    for part in path.to_str().unwrap().split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

/// SHA-256 as RECORD spells it: base64 for URLs, without padding.
fn urlsafe(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let hex = Digest::of(bytes).to_string();
    let bits = hex.chars().fold(String::new(), |bits, digit| {
        format!("{bits}{:04b}", digit.to_digit(16).unwrap())
    });
    let letter = |six: &[u8]| {
        let text = format!("{:0<6}", str::from_utf8(six).unwrap());
        char::from(LETTERS[usize::from_str_radix(&text, 2).unwrap()])
    };
    bits.as_bytes().chunks(6).map(letter).collect()
}

/// No name of a stage, and the environment's own path wherever a path must be.
fn check_leaks(env: &Path) {
    let place = env.to_str().unwrap();
    for (path, entry) in tree(env) {
        let bytes = match entry.kind {
            Kind::File(_) => fs::read(env.join(&path)).unwrap(),
            Kind::Link(target) => target.into_os_string().into_encoded_bytes(),
            Kind::Dir | Kind::Other => continue,
        };
        let has = |text: &str| {
            bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes())
        };
        assert!(!has(".rvenv.new-"), "{path} names the stage");
        let is_script = bytes.starts_with(format!("#!{place}").as_bytes());
        let name = path.strip_prefix("bin/").unwrap_or_default();
        if name.starts_with("pip") || name.starts_with("easy_install") {
            assert!(is_script, "{path} is run by another interpreter");
        }
        if ["activate", "activate.csh", "activate.fish"].contains(&name) {
            assert!(has(place), "{path} does not say where it is");
        }
    }
}

/// The environment works: as itself, through pip, and when a shell activates it.
fn check_running(scratch: &Scratch, env: &Path) {
    let run = |program: &str, arguments: &[&str]| {
        scratch.run(&env.join("bin").join(program), arguments).ok()
    };
    let place = env.to_str().unwrap();
    assert_eq!(
        run("python", &["-c", "import sys; print(sys.prefix)"]).trim(),
        place
    );
    let version = run("pip", &["--version"]);
    assert!(version.contains(&format!(" from {place}/")), "{version}");
    let listed = run("python", &["-m", "pip", "list"]);
    assert!(
        listed.lines().any(|line| line.starts_with("pip ")),
        "{listed}"
    );
    assert_eq!(
        run("pip", &["check"]).trim(),
        "No broken requirements found."
    );
    let bash = Path::new("/bin/bash");
    if !bash.exists() {
        println!("skipped: no bash to activate {place} in");
        return;
    }
    let script = "set -eu; . \"$1/bin/activate\"; echo \"$VIRTUAL_ENV\"; command -v python; \
                  deactivate; command -v python || echo none; echo \"${VIRTUAL_ENV-none}\"";
    let said = scratch.run(bash, &["-c", script, "bash", place]).ok();
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[..2], [place, &format!("{place}/bin/python")]);
    assert!(!lines[2].starts_with(place), "{said}");
    assert_eq!(lines[3], "none");
}
