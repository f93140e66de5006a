//! Notes, the cached answers: what interpreters reported, what wheels hold, which source has which
//! bytecode, and which environments were up to date.
//!
//! Promises to delete only entries with rvenv's names, in a real directory, without following a
//! link; and, when only outdated notes are deleted, to keep those whose files are unchanged. Does
//! not promise that a kept note will be used: its reader checks more than fingerprints.
//!
//! Read next: the library's `python/probe_cache.rs` and `provision/bytecode_cache.rs`, which write
//! them.

use std::ffi::OsStr;
use std::io::ErrorKind;

use rvenv::backend::BUILT;
use rvenv::fetch::{ATTESTED, FETCHED};
use rvenv::fingerprint::Fingerprint;
use rvenv::up_to_date::UP_TO_DATE;
use rvenv_journal::Digest;
use rvenv_journal::fs::{Dir, Fs, FsError, Kind};
use rvenv_journal::raw::{Leftovers, check_private, open_private_dir, read_private_file};
use serde::Deserialize;

/// The directories of cached answers.
pub(crate) const KINDS: [&str; 6] = [
    ATTESTED,
    BUILT,
    "bytecode",
    "interpreters",
    UP_TO_DATE,
    "wheels",
];
/// More than any real answer has.
const BYTES_MAX: u64 = 32 << 20;

/// Which answers are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that depend on something that is gone or has changed.
    Outdated,
    All,
}

/// The result for the answers of one kind.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    pub(crate) deleted: u64,
    pub(crate) bytes: u64,
    pub(crate) kept: u64,
    /// Paths in the cache that rvenv did not create.
    pub(crate) strangers: Vec<String>,
    pub(crate) leftovers: Leftovers,
}

/// An answer, as far as it shows what it depends on.
#[derive(Deserialize)]
struct Note {
    witness: Option<Fingerprint>,
    interpreter: Option<Answer>,
    /// The pack that it describes.
    pack: Option<String>,
    /// The wheel that was built, by the name and the digest of its file.
    wheel: Option<String>,
    sha256: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    witnesses: Vec<Fingerprint>,
}

/// Deletes answers of one kind.
pub(crate) fn sweep(fs: &dyn Fs, cache: &Dir, kind: &str, which: Which) -> Swept {
    let mut swept = Swept::default();
    let dir = match fs.open_dir(cache, OsStr::new(kind)) {
        Ok(dir) => dir,
        Err(error) if error.kind() == ErrorKind::NotFound => return swept,
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            swept.strangers.push(kind.to_owned());
            return swept;
        }
        Err(error) => {
            note(&mut swept.leftovers, error);
            return swept;
        }
    };
    // rvenv does not read answers in a directory that other users may write.
    let which = match check_private(fs, &dir) {
        Ok(()) => which,
        Err(_) => Which::All,
    };
    let names = fs.list(&dir).unwrap_or_else(|error| {
        note(&mut swept.leftovers, error);
        Vec::new()
    });
    for name in names {
        let meta = match fs.meta(&dir, &name) {
            Ok(Some(meta)) => meta,
            Ok(None) => continue,
            Err(error) => {
                note(&mut swept.leftovers, error);
                continue;
            }
        };
        if meta.kind != Kind::File || !is_answer(&name) {
            let name = name.to_string_lossy();
            swept.strangers.push(format!("{kind}/{name}"));
        } else if which == Which::Outdated && !is_draft(&name) && holds(fs, cache, &dir, &name) {
            swept.kept += 1;
        } else {
            match fs.remove_file(&dir, &name) {
                Ok(()) => {
                    swept.deleted += 1;
                    swept.bytes += meta.len;
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => note(&mut swept.leftovers, error),
            }
        }
    }
    swept
}

/// Whether this is an answer, or one that a process was writing; a living process can do without
/// it.
fn is_answer(name: &OsStr) -> bool {
    let shown = name.to_string_lossy();
    let is_digest = |stem: &str| Digest::parse(stem).is_ok();
    shown.strip_suffix(".json").is_some_and(is_digest) || is_draft(name)
}

/// Whether an answer was not renamed to its name yet: rvenv does not read it, even if it is
/// complete.
fn is_draft(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with(".tmp")
}

/// Whether everything that an answer depends on is unchanged; rvenv writes none that depends on
/// nothing.
fn holds(fs: &dyn Fs, cache: &Dir, dir: &Dir, name: &OsStr) -> bool {
    let read = read_private_file(fs, dir.at(name), BYTES_MAX).ok();
    let note = read.and_then(|(bytes, _)| serde_json::from_slice::<Note>(&bytes).ok());
    let Some(note) = note else { return false };
    if let Some(pack) = note.pack {
        let packs = open_private_dir(fs, cache, OsStr::new(super::PACKS));
        let is_pack = |packs: Dir| open_private_dir(fs, &packs, OsStr::new(&pack));
        return Digest::parse(&pack).is_ok() && packs.and_then(is_pack).is_ok();
    }
    if let (Some(wheel), Some(digest)) = (note.wheel, note.sha256) {
        let fetched = open_private_dir(fs, cache, OsStr::new(FETCHED));
        let of_digest = |fetched: Dir| open_private_dir(fs, &fetched, OsStr::new(&digest));
        let has = |dir: Dir| fs.meta(&dir, OsStr::new(&wheel));
        let is_there = fetched.and_then(of_digest).and_then(has);
        return Digest::parse(&digest).is_ok() && matches!(is_there, Ok(Some(_)));
    }
    let answered = note.interpreter.map(|answer| answer.witnesses);
    let mut seen = answered.unwrap_or_default();
    seen.extend(note.witness);
    !seen.is_empty() && seen.iter().all(Fingerprint::holds)
}

fn note(leftovers: &mut Leftovers, error: FsError) {
    leftovers.count += 1;
    leftovers.first.get_or_insert(error);
}
