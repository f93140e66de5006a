//! The probe's cache: the last answer of an interpreter.
//!
//! Promises never to return a wrong answer after an interpreter, its library or its wheels were
//! replaced, in place or not. An answer is used only while every fingerprint matches. It is kept
//! only if the path leads to the very file that answered, which excludes shims, whose answer can
//! change from day to day. Never fails: an entry that cannot be read, or does not match exactly,
//! counts as absent.
//!
//! Does not notice an upgrade of the library during the milliseconds of the probe itself; nor,
//! where there is neither ctime nor inode number, a file replaced by one of the same size and time.
//!
//! On disk: answers, `<cache dir>/interpreters/<sha256 of the path>.json`.
//! Read next: `interpreter.rs`, whose values are stored here under a format of their own.

use std::fs;
use std::path::{Path, PathBuf};

use rvenv_journal::{Digest, RelPath};
use serde::{Deserialize, Serialize};

use super::interpreter::{Bundled, Caching, Interpreter, PythonVersion, Scheme};
use super::probe::PROBE;
use super::surroundings::Surroundings;
use crate::base::cached_answer::CachedAnswer;
use crate::base::fingerprint::{self, Fingerprint};

/// The version of this format.
const FORMAT: u32 = 2;
/// More than any real entry has.
const ENTRY_MAX: u64 = 1 << 20;

/// The entry of one path.
pub(super) struct Slot {
    memo: CachedAnswer,
    path: PathBuf,
    /// The file that the path leads to now.
    resolved: PathBuf,
    locale: String,
}

/// One answer on disk. The fields before `interpreter` decide whether the entry applies.
#[derive(Serialize, Deserialize)]
struct CachedProbe {
    format: u32,
    probe: String,
    path: PathBuf,
    resolved: PathBuf,
    locale: String,
    interpreter: Stored,
}

/// [`Interpreter`] on disk.
#[derive(Serialize, Deserialize)]
struct Stored {
    executable: PathBuf,
    invoked: PathBuf,
    real_executable: PathBuf,
    executable_digest: String,
    executable_len: u64,
    version: (u32, u32, u32, String),
    implementation: String,
    free_threaded: bool,
    abiflags: String,
    is_64bit: bool,
    os_name: String,
    sys_platform: String,
    filesystem_encoding: String,
    /// include, purelib, platlib, scripts
    scheme: [String; 4],
    /// tag, magic
    caching: Option<(String, String)>,
    wheels: Vec<PathBuf>,
    wheels_missing: Option<String>,
    witnesses: Vec<fingerprint::Stored>,
}

impl Slot {
    /// The entry for `path`; `None` if there is no cache, or the path cannot have an entry.
    pub(super) fn of(path: &Path, around: &Surroundings) -> Option<Self> {
        Some(Self {
            memo: CachedAnswer::about(path, "interpreters", around.cache_dir.as_ref()?),
            path: path.to_owned(),
            resolved: fs::canonicalize(path).ok()?,
            locale: around.locale(),
        })
    }

    /// The remembered answer, if nothing that it depends on has changed.
    pub(super) fn recall(&self) -> Option<Interpreter> {
        let bytes = self.memo.read(ENTRY_MAX)?;
        let entry: CachedProbe = serde_json::from_slice(&bytes).ok()?;
        let ours = entry.format == FORMAT
            && entry.probe == Digest::of(PROBE.as_bytes()).to_string()
            && entry.path == self.path
            && entry.resolved == self.resolved
            && entry.locale == self.locale;
        if !ours {
            return None;
        }
        let known = entry.interpreter.restore()?;
        // rvenv writes no entry without them.
        let watched = known.witnesses.iter().any(|w| w.path == self.path);
        (watched && known.witnesses.iter().all(Fingerprint::holds)).then_some(known)
    }

    /// Keeps an answer, if it depends on files alone. A failure to write it is ignored, since the
    /// cache only saves time.
    pub(super) fn remember(&self, found: &Interpreter) {
        let answered = fs::canonicalize(&found.invoked).ok();
        let resolved = fs::canonicalize(&self.path).ok();
        if answered != resolved || resolved.as_ref() != Some(&self.resolved) {
            return;
        }
        let entry = CachedProbe {
            format: FORMAT,
            probe: Digest::of(PROBE.as_bytes()).to_string(),
            path: self.path.clone(),
            resolved: self.resolved.clone(),
            locale: self.locale.clone(),
            interpreter: Stored::of(found),
        };
        // A path that is not UTF-8 is not remembered.
        if let Ok(bytes) = serde_json::to_vec(&entry) {
            drop(self.memo.write(&bytes));
        }
    }
}

impl Stored {
    fn of(found: &Interpreter) -> Self {
        let (wheels, wheels_missing) = match &found.bundled {
            Bundled::Wheels(wheels) => (wheels.clone(), None),
            Bundled::Missing { reason } => (Vec::new(), Some(reason.clone())),
        };
        let version = &found.version;
        let scheme = &found.scheme;
        Self {
            executable: found.executable.clone(),
            invoked: found.invoked.clone(),
            real_executable: found.real_executable.clone(),
            executable_digest: found.executable_digest.to_string(),
            executable_len: found.executable_len,
            version: (
                version.major,
                version.minor,
                version.micro,
                version.text.clone(),
            ),
            implementation: found.implementation.clone(),
            free_threaded: found.free_threaded,
            abiflags: found.abiflags.clone(),
            is_64bit: found.is_64bit,
            os_name: found.os_name.clone(),
            sys_platform: found.sys_platform.clone(),
            filesystem_encoding: found.filesystem_encoding.clone(),
            scheme: [
                &scheme.include,
                &scheme.purelib,
                &scheme.platlib,
                &scheme.scripts,
            ]
            .map(RelPath::to_string),
            caching: found
                .caching
                .as_ref()
                .map(|c| (c.tag.clone(), c.magic.clone())),
            wheels,
            wheels_missing,
            witnesses: found
                .witnesses
                .iter()
                .map(fingerprint::Stored::from)
                .collect(),
        }
    }

    fn restore(self) -> Option<Interpreter> {
        let (major, minor, micro, text) = self.version;
        let [include, purelib, platlib, scripts] = self.scheme;
        Some(Interpreter {
            executable: self.executable,
            invoked: self.invoked,
            real_executable: self.real_executable,
            executable_digest: Digest::parse(&self.executable_digest).ok()?,
            executable_len: self.executable_len,
            version: PythonVersion {
                major,
                minor,
                micro,
                text,
            },
            implementation: self.implementation,
            free_threaded: self.free_threaded,
            abiflags: self.abiflags,
            is_64bit: self.is_64bit,
            os_name: self.os_name,
            sys_platform: self.sys_platform,
            filesystem_encoding: self.filesystem_encoding,
            scheme: Scheme {
                include: RelPath::new(&include).ok()?,
                purelib: RelPath::new(&purelib).ok()?,
                platlib: RelPath::new(&platlib).ok()?,
                scripts: RelPath::new(&scripts).ok()?,
            },
            caching: self.caching.map(|(tag, magic)| Caching { tag, magic }),
            bundled: match self.wheels_missing {
                Some(reason) => Bundled::Missing { reason },
                None => Bundled::Wheels(self.wheels),
            },
            witnesses: self.witnesses.into_iter().map(Fingerprint::from).collect(),
        })
    }
}
