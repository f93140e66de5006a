//! Reads and compares whole trees, and provides a place to run the real command.
//!
//! A tree is every path with kind, mode, owner, time, link target, content and extended attributes.
//! The environment's own directory `.rvenv` counts with its receipt only. A [`Lab`] has one target,
//! `parent/E`, its own store, and the interpreter that `python3` leads to; nothing of the machine's
//! configuration reaches the command.
//!
//! Does not read a tree while another process writes: the test ends the command first.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use rvenv_journal::Digest;

use crate::answers;
use crate::machine::memory;

/// The bits of a mode that hold the kind of the object, and their value for a directory.
const S_IFMT: u32 = 0o170_000;
const S_IFDIR: u32 = 0o040_000;

/// What counts when trees are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sameness {
    /// Everything: it is the same tree.
    Exact,
    /// Everything except the times of directories: entries went and came back.
    Restored,
    /// Everything except times and the plan's digest in the receipt: the tree equals that of
    /// another run.
    Alike,
}

/// One path of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) mode: u32,
    owner: (u32, u32),
    pub(crate) mtime: (i64, i64),
    content: String,
    /// Extended attributes, each with its value.
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
    /// The receipt without what differs between two runs.
    likeness: String,
}

/// Every path of a tree; `None` where no tree exists.
pub(crate) type Tree = Option<BTreeMap<PathBuf, Entry>>;

/// Reads a whole tree.
pub(crate) fn look(root: &Path) -> Tree {
    let mut tree = BTreeMap::new();
    enter(root, Path::new("."), &mut tree).then_some(tree)
}

fn enter(root: &Path, path: &Path, tree: &mut BTreeMap<PathBuf, Entry>) -> bool {
    let full = root.join(path);
    let Ok(meta) = fs::symlink_metadata(&full) else {
        return false;
    };
    let bytes = if meta.is_file() {
        fs::read(&full).unwrap()
    } else {
        Vec::new()
    };
    let content = if meta.is_symlink() {
        format!("link to {}", fs::read_link(&full).unwrap().display())
    } else if meta.is_file() {
        Digest::of(&bytes).to_string()
    } else {
        String::new()
    };
    let likeness = if path == Path::new("./.rvenv/receipt.json") {
        without_times(&without_plan(&String::from_utf8_lossy(&bytes)))
    } else {
        content.clone()
    };
    let entry = Entry {
        mode: meta.mode(),
        owner: (meta.uid(), meta.gid()),
        mtime: (meta.mtime(), meta.mtime_nsec()),
        content,
        likeness,
        attributes: attributes(&full),
    };
    tree.insert(path.to_path_buf(), entry);
    if meta.is_dir() {
        for child in fs::read_dir(&full).unwrap() {
            let name = child.unwrap().file_name();
            if path != Path::new("./.rvenv") || name == "receipt.json" {
                enter(root, &path.join(name), tree);
            }
        }
    }
    true
}

/// The extended attributes of a path; empty where the filesystem has none.
fn attributes(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut names = vec![0; 1 << 12];
    let Ok(len) = rustix::fs::llistxattr(path, &mut names) else {
        return Vec::new();
    };
    let names = names.get(..len).unwrap().split(|byte| *byte == 0);
    let value = |name: &[u8]| {
        let mut value = vec![0; 1 << 12];
        let len = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value).unwrap();
        value.truncate(len);
        (name.to_vec(), value)
    };
    let mut found: Vec<_> = names.filter(|name| !name.is_empty()).map(value).collect();
    found.sort();
    found
}

/// A plan's digest covers the identity of the tree that it replaces.
fn without_plan(receipt: &str) -> String {
    let key = "\"plan\":\"";
    let rest = receipt.split_once(key);
    match rest.and_then(|(before, rest)| Some((before, rest.split_once('"')?.1))) {
        Some((before, after)) => format!("{before}{key}{after}"),
        // The key is unique in a receipt.
        None => receipt.to_owned(),
    }
}

/// A repair keeps the times of files that still have them, and some filesystems of FUSE keep none;
/// `behaviour/kept.rs` has what the receipt keeps elsewhere.
fn without_times(receipt: &str) -> String {
    let mut parts = receipt.split(",\"mtime\":");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.trim_start_matches(|one: char| one.is_ascii_digit() || one == '-'));
    }
    plain
}

/// Compares two trees; the error lists the paths that differ.
pub(crate) fn compare(expected: &Tree, found: &Tree, sameness: Sameness) -> Result<(), String> {
    let (expected, found) = match (expected, found) {
        (None, None) => return Ok(()),
        (Some(_), None) => return Err("there is no tree".to_owned()),
        (None, Some(_)) => return Err("there is a tree".to_owned()),
        (Some(expected), Some(found)) => (expected, found),
    };
    let same = |one: &Entry, other: &Entry| {
        let access = (one.mode, one.owner, &one.attributes);
        access == (other.mode, other.owner, &other.attributes)
            && match sameness {
                Sameness::Exact => (one.mtime, &one.content) == (other.mtime, &other.content),
                Sameness::Restored => {
                    let is_dir = one.mode & S_IFMT == S_IFDIR;
                    (is_dir || one.mtime == other.mtime) && one.content == other.content
                }
                Sameness::Alike => one.likeness == other.likeness,
            }
    };
    let mut differing: Vec<_> = expected
        .iter()
        .filter(|(path, entry)| !found.get(*path).is_some_and(|found| same(entry, found)))
        .map(|(path, entry)| format!("{}: {entry:?} became {:?}", path.display(), found.get(path)))
        .collect();
    let added = found.keys().filter(|path| !expected.contains_key(*path));
    differing.extend(added.map(|path| format!("{} appeared", path.display())));
    if differing.is_empty() {
        return Ok(());
    }
    let count = differing.len();
    differing.truncate(4);
    Err(format!("{count} paths differ: {}", differing.join("; ")))
}

/// Deletes what exists at a path.
pub(crate) fn forget(path: &Path) {
    if path.is_dir() && !path.is_symlink() {
        fs::remove_dir_all(path).unwrap();
    } else if fs::symlink_metadata(path).is_ok() {
        fs::remove_file(path).unwrap();
    }
}

/// Copies a tree with everything that `cp -a` keeps, and replaces the destination.
pub(crate) fn copy(from: &Path, to: &Path) {
    forget(to);
    let copied = end(Command::new("cp").arg("-a").arg(from).arg(to));
    assert_eq!(copied.code, Some(0), "{}", copied.story);
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; `None` for a death by signal.
    pub(crate) code: Option<i32>,
    /// Its output.
    pub(crate) story: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            story: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs a command to its end.
pub(crate) fn end(command: &mut Command) -> Ended {
    command.output().unwrap().into()
}

/// The interpreter behind `python3` on PATH and whether it bundles pip; queried once per process.
fn python_on_path() -> Option<(PathBuf, bool)> {
    static ANSWER: OnceLock<Option<String>> = OnceLock::new();
    let asked = "import sys\nprint(getattr(sys, '_base_executable', None) or sys.executable)\n\
                 import ensurepip; print(ensurepip.version())";
    let ask = || {
        let answer = Command::new("python3").args(["-c", asked]).output().ok()?;
        Some(String::from_utf8_lossy(&answer.stdout).into_owned())
    };
    let Some(answer) = ANSWER.get_or_init(ask) else {
        println!("skipped: there is no python3 on PATH");
        return None;
    };
    let Some(python) = answer.lines().next() else {
        println!("skipped: python3 on PATH does not answer");
        return None;
    };
    Some((PathBuf::from(python), answer.lines().count() == 2))
}

/// A place to run the real command in.
#[derive(Debug)]
pub(crate) struct Lab {
    home: PathBuf,
    /// Deletes the home, if it was made for this lab.
    _guard: Option<tempfile::TempDir>,
    /// The interpreter, by its real path.
    pub(crate) python: PathBuf,
    /// Whether the interpreter bundles pip.
    pub(crate) has_pip: bool,
    /// What the command remembers of interpreters, and keeps unpacked; of this lab alone, unless a
    /// test lets labs share it.
    pub(crate) cache: PathBuf,
    /// The launcher of the command.
    pub(crate) launcher: Vec<String>,
    /// The owner of the target, if it is not the user of the test.
    pub(crate) owner: Option<u32>,
}

impl Lab {
    /// A new place on the disk of the build; `None`, with the reason printed, where no interpreter
    /// exists.
    pub(crate) fn new() -> Option<Self> {
        let guard = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let lab = Self::at(guard.path())?;
        Some(Self {
            _guard: Some(guard),
            ..lab
        })
    }

    /// A new place in memory, where the system has room for it there, else on the disk of the
    /// build. For tests that run the command thousands of times and cut no power, or mount
    /// filesystems of their own: a kill and a refused call leave the same on every filesystem.
    pub(crate) fn in_memory() -> Option<Self> {
        let Some(guard) = memory() else {
            return Self::new();
        };
        let lab = Self::at(guard.path())?;
        Some(Self {
            _guard: Some(guard),
            ..lab
        })
    }

    /// The same in a directory that the caller made, and deletes.
    pub(crate) fn at(home: &Path) -> Option<Self> {
        let (python, has_pip) = python_on_path()?;
        let lab = Self {
            home: home.to_owned(),
            _guard: None,
            python,
            has_pip,
            cache: home.join("cache"),
            launcher: Vec::new(),
            owner: None,
        };
        fs::create_dir_all(lab.parent()).unwrap();
        fs::create_dir_all(&lab.cache).unwrap();
        answers::give(&lab.cache);
        Some(lab)
    }

    /// The directory that holds the target, and nothing else.
    pub(crate) fn parent(&self) -> PathBuf {
        self.home.join("parent")
    }

    /// The target.
    pub(crate) fn target(&self) -> PathBuf {
        self.parent().join("E")
    }

    /// A path for other files of a test.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// The command with arguments.
    pub(crate) fn rvenv<S: AsRef<OsStr>>(&self, words: &[S]) -> Command {
        self.under::<&str, S>(&[], words)
    }

    /// The same, started by another command such as a tracer.
    pub(crate) fn under<W: AsRef<OsStr>, S: AsRef<OsStr>>(
        &self,
        wrapper: &[W],
        words: &[S],
    ) -> Command {
        let mut all: Vec<&OsStr> = wrapper.iter().map(AsRef::as_ref).collect();
        all.extend(self.launcher.iter().map(OsStr::new));
        all.push(OsStr::new(env!("CARGO_BIN_EXE_rvenv")));
        let mut command = Command::new(all.first().unwrap());
        command
            .args(all.get(1..).unwrap())
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", &self.home)
            .env("RVENV_CACHE_DIR", &self.cache)
            .env("PIP_NO_INDEX", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// The arguments that create the target; `more` are flags.
    pub(crate) fn create(&self, more: &[&str]) -> Vec<String> {
        let mut words = vec![
            "create".to_owned(),
            self.shown_target(),
            "--python".to_owned(),
        ];
        words.push(self.python.display().to_string());
        words.extend(more.iter().map(|word| (*word).to_owned()));
        words
    }

    /// The arguments that recover what an earlier run left.
    pub(crate) fn recover(&self) -> Vec<String> {
        vec!["recover".to_owned(), self.shown_target()]
    }

    /// The target as it is typed.
    pub(crate) fn shown_target(&self) -> String {
        self.target().display().to_string()
    }

    /// The names beside the target.
    pub(crate) fn litter(&self) -> Vec<String> {
        let names = fs::read_dir(self.parent()).unwrap();
        let names = names.map(|name| name.unwrap().file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> = names.filter(|name| name != "E").collect();
        names.sort();
        names
    }

    /// The note that a sync failed, beside the target or in it: nothing is touched until a reboot.
    pub(crate) fn doubt(&self) -> Option<PathBuf> {
        let dirs = [self.parent(), self.target().join(".rvenv")];
        let names = dirs
            .iter()
            .filter_map(|dir| fs::read_dir(dir).ok())
            .flatten();
        let mut paths = names.map(|name| name.unwrap().path());
        paths.find(|path| path.to_string_lossy().contains("journal.doubt-"))
    }

    /// Gives such a note the id of another boot, as a reboot does.
    pub(crate) fn reboot(doubt: &Path) {
        let name = doubt.to_string_lossy();
        let start = ["doubt-settle-", "doubt-undo-"]
            .iter()
            .find_map(|way| name.find(way).and_then(|at| name.get(..at + way.len())))
            .unwrap();
        fs::rename(doubt, format!("{start}another")).unwrap();
    }

    /// Puts foreign files into the target, with their own modes and time.
    pub(crate) fn add_strangers(&self, count: usize) {
        let dir = self.target().join("strangers");
        fs::create_dir_all(&dir).unwrap();
        for number in 0..count {
            let path = dir.join(format!("file {number}"));
            fs::write(&path, format!("content {number}\n")).unwrap();
            let mode = if number % 3 == 0 { 0o400 } else { 0o751 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o710)).unwrap();
        let files = fs::read_dir(&dir).unwrap();
        let files = files.map(|file| file.unwrap().path());
        for path in files.chain([dir]) {
            std::os::unix::fs::chown(path, self.owner, None).unwrap();
        }
    }
}
