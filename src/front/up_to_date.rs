//! Answers that an environment is up to date, so that a request with nothing to do costs little.
//!
//! A run that found nothing to do leaves an answer in the cache: for which request that was, and
//! the state of every path. While all of these are the same, there is nothing to do again: one
//! `lstat` for each path, as git has it with its index, in place of reading and planning.
//!
//! Promises to notice what the work itself would notice: another kind, mode, size or time of a path
//! that was published, what another installer added or took, another lock, interpreter, option or
//! version of rvenv, and a transaction that is open. An answer is kept only if everything in it was
//! old when this process began, so that no later change can have the same time.
//!
//! On disk: answers, `<cache dir>/up-to-date/<sha256 of the path>.json`.
//! Read next: `begun.rs`, which asks; `../base/entry_states.rs`, the states.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rvenv_journal::fs::Time;
use rvenv_journal::raw::{ENGINE_DIR, Hasher, RECEIPT_NAME, is_tidy};
use rvenv_journal::{Digest, Parents, Plan, Target};
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::host::Host;
use super::request::{EnvRequest, Intent, Unchanged};
use crate::base::cached_answer::CachedAnswer;
use crate::base::entry_states::{lines, states};
use crate::base::fingerprint::Fingerprint;
use crate::base::regular_file;
use crate::build::hooks::Context;
use crate::change::existing::Existing;
use crate::lock::{BYTES_MAX, Kernel, is_pylock_name};

/// The directory of these answers in the cache.
pub const UP_TO_DATE: &str = "up-to-date";
/// The version of this format.
const FORMAT: u32 = 1;
/// Another version may plan something else.
const VERSION: &str = env!("RVENV_VERSION");
/// More than any real answer has.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// How old everything must be that an answer depends on. The clocks of filesystems have ticks of up
/// to two seconds.
const SETTLED_NS: i128 = 2_000_000_000;

/// What an environment is asked to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// The environment, its symbolic link resolved.
    path: PathBuf,
    asked: Asked,
    /// The interpreter and the options that it means here.
    context: Digest,
    /// The files that the interpreter depends on.
    witnesses: Vec<Fingerprint>,
}

/// A request, as far as it decides what there is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// The digest of its words and of the bytes of its locks.
    request: Digest,
    locks: Vec<PathBuf>,
}

/// An answer on disk.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Known {
    format: u32,
    /// The receipt, for `cache prune`: with another one, or none, the answer is outdated.
    witness: Fingerprint,
    request: String,
    context: String,
    /// The files that the interpreter depends on.
    witnesses: Vec<Fingerprint>,
    /// The paths in the environment that count, as lines.
    paths: String,
    /// The digest of their states.
    states: String,
}

impl Caller<'_> {
    /// A request with the bytes of its locks; `None` if more than these and the environment decides
    /// what there is to do.
    pub(super) fn asked_by(&self, request: &EnvRequest) -> Option<Asked> {
        let locks = &request.locks;
        let is_about_locks = request.intent != Intent::Upgrade
            && request.unchanged == Unchanged::Kept
            && !request.options.upgrade_deps
            && !request.options.clear
            && request.packages.is_empty()
            && request.removal.names.is_empty()
            && locks.requirements.is_empty()
            && locks.places.is_empty();
        if !is_about_locks {
            return None;
        }
        let mut hasher = Hasher::default();
        let Host {
            cwd, umask, epoch, ..
        } = self.host;
        let kernel = Kernel::running();
        let here = format!("{VERSION}\n{cwd:?} {umask:o} {epoch:?} {kernel:?}\n{request:?}");
        hasher.update(here.as_bytes());
        let cwd = self.host.cwd.as_deref().unwrap_or(Path::new(""));
        let locks: Vec<PathBuf> = locks.files.iter().map(|file| cwd.join(file)).collect();
        for lock in &locks {
            hasher.update(Digest::of(&whole_lock(lock)?).as_bytes());
        }
        let request = hasher.finish();
        Some(Asked { request, locks })
    }

    /// The answer about an environment, if it was for the same request.
    pub(super) fn known(&self, path: &Path, asked: &Asked) -> Option<Known> {
        let bytes = self.answer_about(path)?.read(ANSWER_BYTES_MAX)?;
        let known: Known = serde_json::from_slice(&bytes).ok()?;
        (known.format == FORMAT && known.request == asked.request.to_string()).then_some(known)
    }

    /// Whether an environment is still as an answer found it.
    pub(super) fn still_holds(&self, known: &Known, path: &Path) -> bool {
        let now = || states(path, &known.paths, None).map(|states| states.to_string());
        self.is_tidy(path) && now().as_ref() == Some(&known.states)
    }

    /// Keeps the answer that a plan changed nothing, if no later change could be missed. A failure
    /// to write it is ignored, since the cache only saves time.
    pub(super) fn keep(&self, question: &Question, existing: &Existing, plan: &Plan) {
        // What has no files to depend on may be another interpreter the next time.
        if question.witnesses.is_empty() {
            return;
        }
        let Time { seconds, nanos } = self.host.now;
        let now = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        let settled = now - SETTLED_NS;
        // A lock that was replaced meanwhile may not be the one that was read.
        let mut locks = question
            .asked
            .locks
            .iter()
            .map(|lock| Fingerprint::of(lock).state);
        if !locks.all(|state| state.is_some_and(|state| state.ctime_ns < settled)) {
            return;
        }
        let found = watched(existing, plan).and_then(|paths| {
            let states = states(&question.path, &paths, Some(settled))?;
            Some((paths, states))
        });
        let Some((paths, states)) = found else {
            return;
        };
        let known = Known {
            format: FORMAT,
            witness: Fingerprint::of(&question.path.join(ENGINE_DIR).join(RECEIPT_NAME)),
            request: question.asked.request.to_string(),
            context: question.context.to_string(),
            witnesses: question.witnesses.clone(),
            paths,
            states: states.to_string(),
        };
        if let Ok(bytes) = serde_json::to_vec(&known)
            && let Some(answer) = self.answer_about(&question.path)
        {
            drop(answer.write(&bytes));
        }
    }

    fn answer_about(&self, path: &Path) -> Option<CachedAnswer> {
        let cache = self.host.cache.as_ref()?;
        Some(CachedAnswer::about(path, UP_TO_DATE, cache))
    }

    /// Whether there is nothing to recover, and nothing that a recovery would name.
    fn is_tidy(&self, path: &Path) -> bool {
        let target = Target::open(self.fs, path, Parents::Require);
        target.is_ok_and(|target| is_tidy(&target).unwrap_or(false))
    }
}

impl Question {
    pub(super) fn of(path: PathBuf, asked: Asked, context: &Context) -> Self {
        let Context {
            interpreter,
            options,
            ..
        } = context;
        let text = format!("{interpreter:?}\n{options:?}");
        Self {
            path,
            asked,
            context: Digest::of(text.as_bytes()),
            witnesses: interpreter.witnesses.clone(),
        }
    }
}

impl Known {
    /// Whether the interpreter is unchanged, if the environment alone decides which one it is.
    pub(super) fn has_same_interpreter(&self) -> bool {
        self.witnesses.iter().all(Fingerprint::holds)
    }

    /// Whether the same interpreter and options were found.
    pub(super) fn is_about(&self, question: &Question) -> bool {
        self.context == question.context.to_string()
    }
}

/// The bytes of a lock that names no other file and no variable; `None` for every other file.
fn whole_lock(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = regular_file::open(path).ok()?;
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).ok()?;
    let has = |text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
    let includes = |line: &[u8]| {
        let words = [&b"-r"[..], b"-c", b"--requirement", b"--constraint"];
        words
            .iter()
            .any(|word| line.trim_ascii_start().starts_with(word))
    };
    let mut lines = bytes.split(|byte| matches!(byte, b'\n' | b'\r'));
    let is_whole = is_pylock_name(path)
        || path.extension().is_none_or(|end| end != "toml")
            && has(b"--hash")
            && !has(b"${")
            && !lines.any(includes);
    is_whole.then_some(bytes)
}

/// The paths whose states tell whether an environment is as a plan left it: what the plan has, and
/// the directories in which other distributions come and go.
fn watched(existing: &Existing, plan: &Plan) -> Option<String> {
    let own = plan.operations().keys().chain(plan.kept().keys());
    let mut paths: BTreeSet<String> = own.map(|path| path.as_str().to_owned()).collect();
    for lib in &existing.libs {
        paths.insert(lib.path.as_str().to_owned());
        let dirs = lib.distributions.iter();
        paths.extend(dirs.map(|one| format!("{}/{}", lib.path, one.dir)));
    }
    let receipt = format!("{ENGINE_DIR}/{RECEIPT_NAME}");
    paths.extend([".".to_owned(), ENGINE_DIR.to_owned(), receipt]);
    lines(paths.iter().map(String::as_str))
}
