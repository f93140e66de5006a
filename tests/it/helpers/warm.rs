//! Makes the pip that tests start quick: most of what its first start in an environment takes is
//! to compile its modules.
//!
//! [`give`] lays out the bytecode that an earlier run of the same pip wrote, and [`keep`] remembers
//! what a run has written. [`venv`] makes what `python -m venv` makes, and copies the pip that
//! `ensurepip` installed into another environment. What an environment has afterwards is what the
//! program itself would have written there.
//!
//! Does not promise that bytecode is used: Python compiles again where a source has another time or
//! length.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use rvenv_journal::Digest;

use crate::machine::{Python, Scratch};

/// An interpreter, and the time of the pip that it starts.
type Key = (PathBuf, i64);
/// Bytecode files, by their paths below the directory of pip.
type Files = BTreeMap<PathBuf, Arc<[u8]>>;

static KNOWN: Mutex<BTreeMap<Key, Files>> = Mutex::new(BTreeMap::new());

/// The directory of the pip of the environment with this interpreter, and the key to its bytecode.
fn pip_of(python: &Path) -> Option<(PathBuf, Key)> {
    let libs = python.parent()?.parent()?.join("lib");
    let mut libs = fs::read_dir(libs).ok()?.map(|lib| lib.unwrap().path());
    let pip = libs.find_map(|lib| {
        let pip = lib.join("site-packages/pip");
        pip.is_dir().then_some(pip)
    })?;
    let time = fs::metadata(pip.join("__init__.py")).ok()?.mtime();
    Some((pip, (python.canonicalize().ok()?, time)))
}

/// Lays out the known bytecode for the pip of the environment with this interpreter.
pub(crate) fn give(python: &Path) {
    let Some((pip, key)) = pip_of(python) else {
        return;
    };
    let known = KNOWN.lock().unwrap().get(&key).cloned();
    for (path, bytes) in known.into_iter().flatten() {
        let path = pip.join(path);
        let cache = path.parent().unwrap();
        // A module that was removed gets no bytecode.
        if !path.exists() && cache.parent().unwrap().is_dir() {
            fs::create_dir_all(cache).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}

/// Remembers the bytecode of the pip of the environment with this interpreter.
pub(crate) fn keep(python: &Path) {
    let Some((pip, key)) = pip_of(python) else {
        return;
    };
    let mut known = KNOWN.lock().unwrap();
    let known = known.entry(key).or_default();
    let mut open = vec![pip.clone()];
    while let Some(dir) = open.pop() {
        let is_cache = dir.ends_with("__pycache__");
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                open.push(path);
            } else if is_cache {
                let below = path.strip_prefix(&pip).unwrap().to_owned();
                known
                    .entry(below)
                    .or_insert_with(|| fs::read(&path).unwrap().into());
            }
        }
    }
}

/// A file that `ensurepip` installed.
struct Installed {
    bytes: Vec<u8>,
    mode: u32,
    mtime: SystemTime,
}

/// What `ensurepip` installs into an environment: files by their paths in it.
type Pip = BTreeMap<PathBuf, Installed>;

/// Makes an environment as `python -m venv` does, with pip.
pub(crate) fn venv(scratch: &Scratch, python: &Python, name: &str) {
    static PIPS: Mutex<BTreeMap<PathBuf, Arc<(PathBuf, Pip)>>> = Mutex::new(BTreeMap::new());
    let real = python.path.canonicalize().unwrap();
    let pip = {
        let mut pips = PIPS.lock().unwrap();
        let pip = pips
            .entry(real)
            .or_insert_with(|| Arc::new(ensured(python)));
        Arc::clone(pip)
    };
    let (from, files) = &*pip;
    let words = ["-m", "venv", "--without-pip", name];
    scratch.run(&python.path, &words).ok();
    let env = scratch.path(name);
    let config = env.join("pyvenv.cfg");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace(" --without-pip", "")).unwrap();
    lay(from, files, &env);
}

/// Installs into an environment, or lays out what the same installation wrote into an equal one at
/// another path; `what` is the environment and what is installed.
pub(crate) fn installed(env: &Path, what: &str, install: impl FnOnce()) {
    static DONE: Mutex<BTreeMap<String, (PathBuf, Pip)>> = Mutex::new(BTreeMap::new());
    let mut done = DONE.lock().unwrap();
    if let Some((from, files)) = done.get(what) {
        return lay(from, files, env);
    }
    let before = files_of(env);
    install();
    let mut after = files_of(env);
    after.retain(|path, _| !before.contains_key(path));
    done.insert(what.to_owned(), (env.to_owned(), after));
}

/// Lays out files that an installer wrote into the environment `from`.
fn lay(from: &Path, files: &Pip, env: &Path) {
    let of_here = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        text.replace(from.to_str().unwrap(), env.to_str().unwrap())
    };
    for (path, file) in files {
        let to = env.join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        if path.starts_with("bin") {
            fs::write(&to, of_here(&file.bytes)).unwrap();
        } else if path.ends_with("RECORD") {
            let text = String::from_utf8(file.bytes.clone()).unwrap();
            let row = |row: &str| match row.strip_prefix("../../../").map(|row| row.split(',')) {
                Some(mut columns) => {
                    let path = columns.next().unwrap();
                    let script = of_here(&files.get(Path::new(path)).unwrap().bytes);
                    let digest = urlsafe(Digest::of(script.as_bytes()).as_bytes());
                    format!("../../../{path},sha256={digest},{}\n", script.len())
                }
                None => format!("{row}\n"),
            };
            fs::write(&to, text.lines().map(row).collect::<String>()).unwrap();
        } else {
            fs::write(&to, &file.bytes).unwrap();
        }
        fs::set_permissions(&to, fs::Permissions::from_mode(file.mode)).unwrap();
        let opened = fs::File::options().append(true).open(&to).unwrap();
        opened.set_modified(file.mtime).unwrap();
    }
}

/// The pip that the interpreter's own `venv` brings along, and the environment that it was in.
fn ensured(python: &Python) -> (PathBuf, Pip) {
    let scratch = Scratch::in_memory();
    let env = scratch.path("E");
    let words = ["-m", "venv", "--without-pip", "E"];
    scratch.run(&python.path, &words).ok();
    let before = files_of(&env);
    let words = ["-I", "-m", "ensurepip", "--upgrade", "--default-pip"];
    scratch.run(&env.join("bin/python"), &words).ok();
    let mut after = files_of(&env);
    after.retain(|path, _| !before.contains_key(path));
    (env, after)
}

/// The files of an environment; links belong to `venv` itself.
fn files_of(env: &Path) -> Pip {
    let mut found = Pip::new();
    let mut open = vec![env.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let (path, meta) = (entry.path(), entry.metadata().unwrap());
            if meta.is_dir() {
                open.push(path);
            } else if meta.is_file() {
                let file = Installed {
                    bytes: fs::read(&path).unwrap(),
                    mode: meta.mode() & 0o7777,
                    mtime: meta.modified().unwrap(),
                };
                found.insert(path.strip_prefix(env).unwrap().to_owned(), file);
            }
        }
    }
    found
}

/// Base64 as RECORD has it.
fn urlsafe(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| {
            bits << 8 | usize::from(three.get(at).copied().unwrap_or_default())
        });
        let letters = (0..=three.len()).map(|at| LETTERS.get(bits >> (18 - 6 * at) & 63));
        text.extend(letters.flatten().copied().map(char::from));
    }
    text
}
