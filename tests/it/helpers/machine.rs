//! The machine on which the tests run: its interpreters, scratch directories, and the command
//! itself.
//!
//! Promises that a command runs with its own environment variables (home, cache, PATH and nothing
//! else), under a umask that the test names, and that a tree is read completely: every path, kind,
//! mode, link target and byte.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock};

use rvenv_journal::Digest;

use crate::{answers, warm};

/// A Python of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Python {
    pub(crate) path: PathBuf,
    pub(crate) version: (u32, u32),
}

impl Python {
    pub(crate) fn at_least(&self, minor: u32) -> bool {
        self.version >= (3, minor)
    }

    pub(crate) fn is_supported(&self) -> bool {
        self.at_least(6)
    }
}

/// Every Python of this machine, old ones too, each once.
///
/// Each process queries them once: to start all of them takes longer than most tests.
pub(crate) fn pythons() -> Vec<Python> {
    static FOUND: OnceLock<Vec<Python>> = OnceLock::new();
    FOUND.get_or_init(search).clone()
}

fn search() -> Vec<Python> {
    let mut paths: Vec<PathBuf> = Vec::new();
    let root = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let root = root.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".pyenv")));
    let versions = root.and_then(|root| fs::read_dir(root.join("versions")).ok());
    for version in versions.into_iter().flatten().flatten() {
        let bin = version.path().join("bin");
        let found = ["python3", "python"].map(|name| bin.join(name));
        paths.extend(found.into_iter().find(|path| path.is_file()));
    }
    let search = std::env::var_os("PATH").unwrap_or_default();
    for dir in std::env::split_paths(&search) {
        // The `t` marks a build without the global interpreter lock.
        let minors =
            (6..20).flat_map(|minor| ["", "t"].map(|free| format!("python3.{minor}{free}")));
        let names = minors.chain(["python3", "pypy3", "python2.7"].map(str::to_owned));
        paths.extend(names.map(|name| dir.join(name)));
    }
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for path in paths {
        let Ok(real) = path.canonicalize() else {
            continue;
        };
        if !seen.contains(&real) {
            seen.push(real);
            found.extend(version_of(&path).map(|version| Python { path, version }));
        }
    }
    found.sort_by_key(|python| python.version);
    found
}

/// Interpreters that support environments; prints a message if none exist.
pub(crate) fn supported() -> Vec<Python> {
    let mut found = pythons();
    found.retain(Python::is_supported);
    if found.is_empty() {
        println!("skipped: no Python 3.6 or newer on this machine");
    }
    found
}

/// One interpreter that bundles pip, for tests that accept any: the newest.
pub(crate) fn any_python() -> Option<Python> {
    let found = supported().into_iter().rev().find(bundles_pip);
    if found.is_none() {
        println!("skipped: no Python that bundles pip on this machine");
    }
    found
}

/// Two builds of `CPython` of one minor version that bundle pip; prints a message if none exist.
pub(crate) fn twins() -> Option<[Python; 2]> {
    let is_meant = |python: &Python| !python.path.ends_with("pypy3") && bundles_pip(python);
    let found: Vec<Python> = supported().into_iter().filter(is_meant).collect();
    let pair = found.windows(2).find_map(|pair| match pair {
        [one, other] if one.version == other.version => Some([other.clone(), one.clone()]),
        _ => None,
    });
    if pair.is_none() {
        println!("skipped: no two Pythons of one minor version on this machine");
    }
    pair
}

/// Whether an interpreter bundles pip; each is queried once per process.
pub(crate) fn bundles_pip(python: &Python) -> bool {
    static ANSWERS: Mutex<BTreeMap<PathBuf, bool>> = Mutex::new(BTreeMap::new());
    let code = "import ensurepip; print(ensurepip.version())";
    let ask = || {
        let asked = Command::new(&python.path).args(["-c", code]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    let mut answers = ANSWERS.lock().unwrap();
    *answers.entry(python.path.clone()).or_insert_with(ask)
}

/// A tool on the PATH of the user who runs the tests.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let search = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&search).map(|dir| dir.join(name));
    let found = found.filter(|path| path.is_file()).find(|path| {
        let asked = Command::new(path).arg("--version").output();
        asked.is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        println!("skipped: no {name} on this machine");
    }
    found
}

/// Queries the version; a script that only dispatches to another Python does not count.
fn version_of(path: &Path) -> Option<(u32, u32)> {
    if fs::read(path).ok()?.starts_with(b"#!") {
        return None;
    }
    let code = "import sys; print('%d %d' % sys.version_info[:2])";
    let output = Command::new(path).args(["-c", code]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Standard output of a success.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Standard error of a failure with this exit code.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        self.stderr
    }
}

/// A new directory in memory; `None` where a container leaves less room than tests need.
#[cfg(target_os = "linux")]
pub(crate) fn memory() -> Option<tempfile::TempDir> {
    const ROOM: u64 = 1 << 30;
    let shared = Path::new("/dev/shm");
    let found = rustix::fs::statvfs(shared).ok()?;
    let is_roomy = found.f_bavail.saturating_mul(found.f_frsize) >= ROOM;
    let is_executable = !found.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC);
    (is_roomy && is_executable)
        .then(|| tempfile::tempdir_in(shared).ok())
        .flatten()
}

/// Other systems have no directory in memory that every machine has.
#[cfg(not(target_os = "linux"))]
pub(crate) fn memory() -> Option<tempfile::TempDir> {
    None
}

/// A scratch directory with a home and a cache of its own.
pub(crate) struct Scratch {
    root: PathBuf,
    _dir: tempfile::TempDir,
}

impl Scratch {
    /// A new one where the system keeps temporary files.
    pub(crate) fn new() -> Self {
        let scratch = Self::cold();
        answers::give(&scratch.cache());
        scratch
    }

    /// The same without a cache: the command queries each interpreter itself.
    pub(crate) fn cold() -> Self {
        Self::of(tempfile::tempdir().unwrap())
    }

    /// A new one in memory, where the system has room for it there: for tests that write many
    /// files. Everything below `/dev/shm` is one checkout, so that tests of which interpreters are
    /// trusted do not belong there.
    pub(crate) fn in_memory() -> Self {
        let scratch = Self::cold_in_memory();
        answers::give(&scratch.cache());
        scratch
    }

    /// The same without a cache.
    pub(crate) fn cold_in_memory() -> Self {
        memory().map_or_else(Self::cold, Self::of)
    }

    fn of(dir: tempfile::TempDir) -> Self {
        let root = dir.path().canonicalize().unwrap();
        // A process of another user must be able to pass through.
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["home", "cache", "work"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        Self { root, _dir: dir }
    }

    /// A path in the working directory of the test, in which commands start.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.root.join("work").join(below)
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// A program under a umask, without the test's own environment variables.
    pub(crate) fn program(&self, program: &Path, umask: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "umask \"$0\" && exec \"$@\"", umask])
            .arg(program)
            .current_dir(self.path(""))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("HOME", self.root.join("home"))
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .env("PIP_NO_INDEX", "1")
            .env("RVENV_CACHE_DIR", self.cache());
        command
    }

    /// Runs a program to its end; a pip with the bytecode of earlier runs, and for later ones.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, program: &Path, arguments: &[S]) -> Ended {
        let words: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).collect();
        let is_module = words.windows(2).any(|two| two == ["-m", "pip"]);
        let is_script = program.file_name().is_some_and(|name| name == "pip");
        // With `-B` the environment is to stay as it is.
        let is_quick = (is_module || is_script) && !words.contains(&OsStr::new("-B"));
        let python = is_quick.then(|| program.with_file_name("python"));
        if let Some(python) = &python {
            warm::give(python);
        }
        let mut command = self.program(program, "022");
        let ended = Ended::of(&command.args(words).output().unwrap());
        if let Some(python) = &python {
            warm::keep(python);
        }
        ended
    }

    /// The command under test, not yet started.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = self.program(Path::new(env!("CARGO_BIN_EXE_rvenv")), "022");
        command.args(arguments);
        command
    }

    pub(crate) fn rvenv<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ended {
        ended(&mut self.command(arguments))
    }
}

pub(crate) fn ended(command: &mut Command) -> Ended {
    Ended::of(&command.output().unwrap())
}

/// One entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) inode: u64,
    /// Nanoseconds since 1970.
    pub(crate) mtime: i128,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Dir,
    File(Digest),
    Link(PathBuf),
    Other,
}

/// Every path in a tree, the root as the empty path, without following links. The log of an
/// environment says how it came about, and is left out.
pub(crate) fn tree(root: &Path) -> BTreeMap<String, Entry> {
    let mut entries = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(path) = open.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let kind = if meta.is_dir() {
            let below = fs::read_dir(&path).unwrap();
            let below = below.map(|entry| entry.unwrap().path());
            open.extend(below.filter(|path| !path.ends_with(".rvenv/log")));
            Kind::Dir
        } else if meta.is_symlink() {
            Kind::Link(fs::read_link(&path).unwrap())
        } else if meta.is_file() {
            Kind::File(Digest::of(&fs::read(&path).unwrap()))
        } else {
            Kind::Other
        };
        let entry = Entry {
            kind,
            mode: meta.mode() & 0o7777,
            inode: meta.ino(),
            mtime: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
        };
        let name = path.strip_prefix(root).unwrap().to_string_lossy();
        entries.insert(name.into_owned(), entry);
    }
    entries
}

/// A script that plays uv: to every question it answers that nothing is needed.
pub(crate) fn resolver(path: &Path) {
    let body = "[ \"$1\" = --version ] && echo uv 9.0.0 && exit\n\
                while [ $# -gt 1 ]; do [ \"$1\" = --output-file ] && out=$2; shift; done\n\
                printf \"lock-version = '1.0'\\ncreated-by = 'uv'\\npackages = []\\n\" > \"$out\"\n";
    script(path, body);
}

/// Lays an installed distribution `gone` in an environment of a [`player`].
pub(crate) fn lay_gone(env: &Path) {
    let info = env.join("lib/python3.13/site-packages/gone-1.0.dist-info");
    fs::create_dir_all(&info).unwrap();
    fs::write(info.join("RECORD"), "gone-1.0.dist-info/RECORD,,\n").unwrap();
}

/// A script that answers like a `CPython` 3.13.0 without pip: the same on every machine.
pub(crate) fn player(scratch: &Scratch, name: &str) -> PathBuf {
    let path = scratch.path(name);
    let own = path.to_str().unwrap();
    let answer = serde_json::json!({
        "version": { "major": 3, "minor": 13, "micro": 0, "text": "3.13.0" },
        "executable": own, "base_executable": own, "real_executable": own,
        "platform": {
            "implementation": "cpython", "free_threaded": false, "abiflags": "",
            "is_64bit": true, "os_name": "posix", "sys_platform": "linux",
            "filesystem_encoding": "utf-8",
            "implementation_version": "3.13.0",
            "extension_suffix": ".cpython-313-x86_64-linux-gnu.so",
            "built_for": "linux-x86_64", "machine": "x86_64", "system": "glibc 2.36",
        },
        "scheme": [
            "include/python3.13",
            "lib/python3.13/site-packages",
            "lib/python3.13/site-packages",
            "bin",
        ],
        "caching": null,
        "bundled": { "missing": { "reason": "No module named 'ensurepip'" } },
        "watched": [],
    });
    script(
        &path,
        &format!(
            "printf '%s\\n' 'rvenv-probe-3:{}'",
            answer.to_string().replace('\'', "'\\''")
        ),
    );
    path
}

/// A script that answers as `python` does, except for the directory of its wheels.
pub(crate) fn stand_in(scratch: &Scratch, python: &Python) -> (PathBuf, Vec<PathBuf>) {
    let code = "import ensurepip, os, sysconfig; print(os.path.dirname(ensurepip.__file__)); \
                print((sysconfig.get_config_var('WHEEL_PKG_DIR') or '').rstrip('/')); \
                names = getattr(ensurepip, '_PROJECTS', None); \
                names = names or getattr(ensurepip, '_PACKAGE_NAMES', ['pip']); \
                print(*(name if isinstance(name, str) else name[0] for name in names))";
    let said = scratch.run(&python.path, &["-c", code]).ok();
    let mut lines = said.lines();
    let bundled = Path::new(lines.next().unwrap()).join("_bundled");
    let shared = lines.next().filter(|line| !line.is_empty());
    let from = shared.map_or(bundled, PathBuf::from);
    // Debian's directory has wheels that only other Pythons install.
    let installed: Vec<_> = lines.next().unwrap().split(' ').collect();
    let to = scratch.path("wheels");
    fs::create_dir(&to).unwrap();
    let mut wheels = Vec::new();
    for wheel in fs::read_dir(&from).unwrap() {
        let wheel = wheel.unwrap().path();
        let name = wheel.file_name().unwrap().to_string_lossy().into_owned();
        if installed.contains(&name.split('-').next().unwrap()) {
            wheels.push(to.join(&name));
            fs::copy(&wheel, to.join(&name)).unwrap();
        }
    }
    let path = scratch.path("python3");
    let (from, to, real) = (from.display(), to.display(), python.path.display());
    let own = path.display();
    let body = format!("{real} \"$@\" | sed -e 's|{from}|{to}|g' -e 's|\"{real}\"|\"{own}\"|g'");
    script(&path, &body);
    (path, wheels)
}

/// An executable shell script.
pub(crate) fn script(path: &Path, body: &str) {
    fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
