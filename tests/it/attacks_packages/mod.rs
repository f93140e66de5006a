//! Hostile wheels, locks and indexes, in tables: each is refused with its fault, and nothing is
//! written (I6).
//!
//! A row says what is made, what is wrong with it, and what the message has. Two commands meet
//! each row: `create` of an environment that does not exist, and then of one that exists, which is
//! a sync, with the cache that the first one left. Both have to refuse it with the same words,
//! without a panic and without the password that the row may have. Everything on the scratch disk
//! stays as it was, byte, mode and time, and the cache gets neither a file nor unpacked contents
//! that a later run would use. After all rows, an honest wheel of the same name is installed.
//!
//! The interpreter is a script that answers like one, and the index is on loopback: the tables run
//! on every machine. Read next: `wheels.rs`, `zips.rs`, `sources.rs`, `locks.rs`, `indexes.rs`, the
//! tables; `archive.rs`, which makes wheels.

#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test starts real programs and plants what it likes"
)]
#![expect(clippy::too_many_lines, reason = "a table has a line for each row")]

mod archive;
mod indexes;
mod locks;
mod sources;
mod wheels;
mod zips;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rvenv_journal::Digest;

use crate::machine::{Ended, Entry, Kind, Scratch, ended, player, tree};
use archive::{Wheel, entry};

/// The file of the wheel that most rows are about.
const WHEEL: &str = "demo-1.0-py3-none-any.whl";
/// The password of every row that has one.
const SECRET: &str = "s3cret";

/// One attack.
struct Row {
    /// What is wrong with it.
    what: &'static str,
    /// The lock that a command gets, as a file name and its text.
    lock: (&'static str, Vec<u8>),
    /// The wheels that lie beside it.
    wheels: Vec<(&'static str, Vec<u8>)>,
    /// The exit code.
    code: i32,
    /// Parts of the message: what is refused, and why.
    says: Vec<String>,
}

impl Row {
    /// A wheel, which a lock names by its path and with its hash.
    fn of_wheel(what: &'static str, bytes: Vec<u8>, why: &str) -> Self {
        Self::of_named_wheel(what, WHEEL, bytes, why)
    }

    /// The same with another file name, which the message has.
    fn of_named_wheel(what: &'static str, file: &'static str, bytes: Vec<u8>, why: &str) -> Self {
        let row = Self::of_lock(what, &lock_of(file, &bytes), why);
        Self {
            says: vec![file.to_owned(), why.to_owned()],
            wheels: vec![(file, bytes)],
            code: 1,
            ..row
        }
    }

    /// A `pylock.toml`, with the honest wheel beside it.
    fn of_lock(what: &'static str, text: &str, why: &str) -> Self {
        Self {
            what,
            lock: ("pylock.toml", text.as_bytes().to_vec()),
            wheels: vec![(WHEEL, Wheel::new().bytes())],
            code: 2,
            says: vec!["pylock.toml".to_owned(), why.to_owned()],
        }
    }

    /// A requirements file.
    fn of_requirements(what: &'static str, text: &str, why: &str) -> Self {
        let row = Self::of_lock(what, text, why);
        Self {
            lock: ("requirements.txt", text.as_bytes().to_vec()),
            says: vec!["requirements.txt".to_owned(), why.to_owned()],
            ..row
        }
    }

    /// The message of a command, unless it is not what it should be.
    fn check(&self, ended: &Ended) -> Result<String, String> {
        let said = &ended.stderr;
        let is_plain = |c: char| c == '\n' || !c.is_control();
        let is_missing = |part: &&String| !said.contains(*part);
        let wrong = if ended.code != Some(self.code) {
            format!("the exit code {:?}", ended.code)
        } else if !ended.stdout.is_empty() {
            "standard output".to_owned()
        } else if let Some(part) = self.says.iter().find(is_missing) {
            format!("no {part:?}")
        } else if said.contains(SECRET) {
            "the password".to_owned()
        } else if said.contains("panicked") || !said.chars().all(is_plain) {
            "a panic or a control character".to_owned()
        } else {
            // The advice depends on whether the environment exists, and how many bytes of an
            // endless answer arrived is a matter of chance.
            let facts = said.lines().filter(|line| !line.starts_with("hint: "));
            let facts = facts.collect::<Vec<_>>().join("\n");
            let facts = facts.replace("/absent`", "/E`");
            return Ok(facts.replace(|c: char| c.is_ascii_digit(), ""));
        };
        Err(format!("{wrong} in {said:?}"))
    }

    fn code(self, code: i32) -> Self {
        Self { code, ..self }
    }

    /// A message with these parts.
    fn says(self, says: &[&str]) -> Self {
        let says = says.iter().map(|part| (*part).to_owned()).collect();
        Self { says, ..self }
    }
}

/// A `pylock.toml` with one package, whose wheel lies beside it.
fn lock_of(file: &str, wheel: &[u8]) -> String {
    let digest = Digest::of(wheel);
    locked(&format!(
        "wheels = [{{ path = '{file}', hashes = {{ sha256 = '{digest}' }} }}]"
    ))
}

/// A `pylock.toml` with one package, from these lines.
fn locked(source: &str) -> String {
    format!(
        "lock-version = '1.0'\ncreated-by = 'hand'\n[[packages]]\nname = 'demo'\nversion = '1.0'\n\
         {source}\n"
    )
}

/// Where the rows of a table meet the command: an environment `E` with one package, and settings.
struct Ground {
    scratch: Scratch,
    python: String,
    /// More arguments of each command.
    options: Vec<String>,
}

impl Ground {
    /// A ground without an index.
    fn new() -> Self {
        Self::with(&["--no-index"])
    }

    /// A ground with these options.
    fn with(options: &[&str]) -> Self {
        let scratch = Scratch::in_memory();
        let python = player(&scratch, "python3").to_str().unwrap().to_owned();
        let kept = Wheel::of("kept", "1.0").bytes();
        fs::write(scratch.path("kept-1.0-py3-none-any.whl"), &kept).unwrap();
        let lock = lock_of("kept-1.0-py3-none-any.whl", &kept).replace("'demo'", "'kept'");
        fs::write(scratch.path("pylock.kept.toml"), lock).unwrap();
        fs::write(scratch.path("outside"), "of the user\n").unwrap();
        let ground = Self {
            scratch,
            python,
            options: options.iter().map(|option| (*option).to_owned()).collect(),
        };
        ground.create("E", "pylock.kept.toml").ok();
        ground
    }

    fn create(&self, env: &str, lock: &str) -> Ended {
        let words = [
            "create",
            env,
            "--without-pip",
            "-p",
            &self.python,
            "-r",
            lock,
        ];
        self.rvenv(&words)
    }

    fn rvenv(&self, words: &[&str]) -> Ended {
        let options = self.options.iter().map(String::as_str);
        let words: Vec<&str> = words.iter().copied().chain(options).collect();
        let mut command = self.scratch.command(&words);
        command
            .env_remove("PIP_NO_INDEX")
            .env("PIP_CONFIG_FILE", self.scratch.path("no-pip.conf"))
            .env("PIP_RETRIES", "0");
        ended(&mut command)
    }

    /// Checks what the head of this file promises of a row; the error says what is not so.
    fn refuses(&self, row: &Row) -> Result<(), String> {
        let (lock, text) = &row.lock;
        let files = row.wheels.iter().map(|(file, bytes)| (*file, bytes));
        let files: Vec<_> = files.chain([(*lock, text)]).collect();
        for (file, bytes) in &files {
            fs::write(self.scratch.path(file), bytes).unwrap();
        }
        let (disk, cache) = (self.disk(), self.trusted());
        let created = row.check(&self.create("absent", lock))?;
        let synced = row.check(&self.create("E", lock))?;
        if created != synced {
            return Err(format!("first {created}, then {synced}"));
        }
        let after = self.disk();
        let differ = |path: &&String| disk.get(*path) != after.get(*path);
        let touched: Vec<_> = disk.keys().chain(after.keys()).filter(differ).collect();
        if !touched.is_empty() {
            return Err(format!("touched {touched:?}"));
        }
        if self.trusted() != cache {
            return Err(format!("{:?} were {cache:?}", self.trusted()));
        }
        for (file, _) in files {
            fs::remove_file(self.scratch.path(file)).unwrap();
        }
        self.forgets_secrets()
    }

    /// Everything on the scratch disk but the cache. Locks come and go beside targets, and stages
    /// in the engine's directory, so that the times of these directories do not count.
    fn disk(&self) -> BTreeMap<String, Entry> {
        let root = self.scratch.path("..");
        let mut found = tree(&root);
        found.retain(|path, _| path != "cache" && !path.starts_with("cache/"));
        for path in ["work", "work/E/.rvenv"] {
            found.get_mut(path).unwrap().mtime = 0;
        }
        found
    }

    /// What the cache has that a later run would use: unpacked wheels, fetched files, and what was
    /// built. That the wheel itself was read is no reason to use it, as the second command shows,
    /// and a download that broke off is continued, but hashed from its beginning.
    fn trusted(&self) -> Vec<String> {
        let mut found = tree(&self.scratch.cache());
        found.retain(|path, entry| {
            let is_noted = ["interpreters/", "wheels/"]
                .iter()
                .any(|dir| path.starts_with(dir));
            entry.kind != Kind::Dir
                && !is_noted
                && Path::new(path).extension().is_none_or(|end| end != "part")
        });
        found.into_keys().collect()
    }

    /// No file of the cache has the password of a row.
    fn forgets_secrets(&self) -> Result<(), String> {
        for (path, entry) in tree(&self.scratch.cache()) {
            if matches!(entry.kind, Kind::File(_)) {
                let bytes = fs::read(self.scratch.cache().join(&path)).unwrap();
                let mut parts = bytes.windows(SECRET.len());
                if parts.any(|part| part == SECRET.as_bytes()) {
                    return Err(format!("the password is in {path}"));
                }
            }
        }
        Ok(())
    }

    /// A control: the same commands take what has nothing wrong.
    #[track_caller]
    fn takes_an_honest_wheel(&self) {
        let wheel = Wheel::new().with(entry("demo/more.py", b"more")).bytes();
        fs::write(self.scratch.path(WHEEL), &wheel).unwrap();
        let lock = lock_of(WHEEL, &wheel);
        fs::write(self.scratch.path("pylock.toml"), lock).unwrap();
        self.create("E", "pylock.toml").ok();
        let site = Path::new("E/lib/python3.13/site-packages/demo");
        let more = self.scratch.path(site.join("more.py").to_str().unwrap());
        assert_eq!(fs::read(more).unwrap(), b"more");
    }
}

/// Checks every row of a table on one ground, and lists all rows that are not refused as they
/// should be.
#[track_caller]
fn all_refused(ground: &Ground, rows: &[Row]) {
    let check = |row: &Row| {
        let wrong = ground.refuses(row).err()?;
        Some(format!("{}: {wrong}", row.what))
    };
    let wrong: Vec<String> = rows.iter().filter_map(check).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    ground.takes_an_honest_wheel();
}
