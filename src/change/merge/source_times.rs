//! Times of planned sources: Python must not mistake old bytecode for that of a new source.
//!
//! Wheels may give all files of all versions one time, and Python compares only time and size (PEP
//! 3147), so it would go on with the old code. Promises that no source which a merge adds or
//! replaces has the time and the size of existing bytecode: such a source is planned a second or
//! more later. A source that got its time in this way, and has the planned bytes, keeps the time.
//! No bytecode has to be deleted, so a rollback finds nothing unexpected, and the source that it
//! restores has its own time.
//!
//! Read next: `python/bytecode/header.rs`, what bytecode records of its source.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::ErrorKind;

use rvenv_journal::fs::{Dir, FsError, Kind};
use rvenv_journal::raw::{Effect, Observation, Observed, effect, paired};
use rvenv_journal::{Content, Fs, Node, Operation, PlanBuilder, RelPath};

use crate::change::open_path::Walk;
use crate::python::bytecode::header::{BYTES_MAX, SourceStamp, claims};
use crate::python::bytecode::path::{dir_of, stem_of_bytecode, stem_of_source};

const NANOS: i128 = 1_000_000_000;

/// Times and sizes of sources for which bytecode exists.
type Taken = BTreeSet<SourceStamp>;

/// Plans sources with times for which no bytecode beside them counts as theirs.
///
/// # Errors
/// When an existing directory or file cannot be read.
pub(crate) fn redate(
    fs: &dyn Fs,
    root: &Dir,
    draft: &mut PlanBuilder,
    seen: &Observation,
) -> Result<(), FsError> {
    let mut around = Around {
        fs,
        walk: Walk::new(fs, root),
        planned: draft.operations(),
        caches: BTreeMap::new(),
    };
    let mut dated = Vec::new();
    for (path, operation, found) in paired(draft.operations(), &seen.paths) {
        let Some(source) = DatedSource::of(path, &operation.node) else {
            continue;
        };
        if effect(&operation.node, found) == Effect::Keep {
            continue;
        }
        let time = match around.kept_time(&source, found)? {
            Some(time) => time,
            None => source.free_time(&around.taken(&source, found)?),
        };
        if time != source.time {
            dated.push((path.clone(), time));
        }
    }
    for (path, time) in dated {
        draft.adopt_time(&path, time);
    }
    Ok(())
}

/// A source with a planned time.
struct DatedSource<'a> {
    path: &'a RelPath,
    /// Its name without the extension, with which its bytecode's name begins.
    stem: &'a str,
    time: i64,
    content: &'a Content,
}

impl<'a> DatedSource<'a> {
    fn of(path: &'a RelPath, planned: &'a Node) -> Option<Self> {
        let stem = stem_of_source(path.name())?;
        match planned {
            Node::File {
                mtime: Some(time),
                content,
                ..
            } => Some(Self {
                path,
                stem,
                time: *time,
                content,
            }),
            Node::File { .. } | Node::Dir { .. } | Node::Symlink { .. } => None,
        }
    }

    /// The first time from the planned one on that is not taken.
    fn free_time(&self, taken: &Taken) -> i64 {
        let len = self.content.len();
        let is_free = |time: &i64| !taken.contains(&SourceStamp::of(*time, len));
        (self.time..i64::MAX).find(is_free).unwrap_or(self.time)
    }
}

/// The files around the sources.
struct Around<'a> {
    fs: &'a dyn Fs,
    walk: Walk<'a>,
    planned: &'a BTreeMap<RelPath, Operation>,
    /// The times in each `__pycache__`, by the names of the sources without extension.
    caches: BTreeMap<RelPath, BTreeMap<String, Taken>>,
}

impl Around<'_> {
    /// The later time that an earlier merge gave to a source with the planned bytes.
    fn kept_time(
        &mut self,
        source: &DatedSource<'_>,
        found: Option<&Observed>,
    ) -> Result<Option<i64>, FsError> {
        let Some(Observed::File { len, mtime_ns, .. }) = found else {
            return Ok(None);
        };
        let time = seconds(*mtime_ns);
        let is_later = time > source.time && mtime_ns % NANOS == 0;
        if !is_later || *len != source.content.len() {
            return Ok(None);
        }
        let Some(dir) = self.walk.above(source.path)? else {
            return Ok(None);
        };
        let name = OsStr::new(source.path.name());
        let found = readable(self.fs.digest_file(&dir, name))?;
        let is_same = found == Some(source.content.digest());
        Ok(is_same.then_some(time))
    }

    /// Pairs of time and size that a source must not have.
    fn taken(
        &mut self,
        source: &DatedSource<'_>,
        found: Option<&Observed>,
    ) -> Result<Taken, FsError> {
        let mut taken = self.bytecode_of(source)?;
        // A process that imports the old source right now writes its bytecode a moment later.
        if let Some(Observed::File {
            len,
            mtime_ns,
            digest: Some(_),
            ..
        }) = found
        {
            taken.insert(SourceStamp::of(seconds(*mtime_ns), *len));
        }
        Ok(taken)
    }

    fn bytecode_of(&mut self, source: &DatedSource<'_>) -> Result<Taken, FsError> {
        let Ok(cache) = dir_of(source.path) else {
            return Ok(Taken::new());
        };
        if !self.caches.contains_key(&cache) {
            let read = self.read(&cache)?;
            self.caches.insert(cache.clone(), read);
        }
        let of = self
            .caches
            .get(&cache)
            .and_then(|cache| cache.get(source.stem));
        Ok(of.cloned().unwrap_or_default())
    }

    /// Reads a `__pycache__`; ignores files of the plan, which belong to the planned sources.
    fn read(&mut self, cache: &RelPath) -> Result<BTreeMap<String, Taken>, FsError> {
        let mut read: BTreeMap<String, Taken> = BTreeMap::new();
        let Some(dir) = readable(self.walk.open(cache))?.flatten() else {
            return Ok(read);
        };
        for name in readable(self.fs.list(&dir))?.into_iter().flatten() {
            let Some((stem, path)) = name
                .to_str()
                .and_then(|name| Some((stem_of_bytecode(name)?, cache.join(name).ok()?)))
            else {
                continue;
            };
            if self.planned.contains_key(&path) {
                continue;
            }
            let is_file = self
                .fs
                .meta(&dir, &name)?
                .is_some_and(|meta| meta.kind == Kind::File);
            if !is_file {
                continue;
            }
            if let Some(bytes) = readable(self.fs.read_file(&dir, &name, BYTES_MAX))? {
                let of = read.entry(stem.to_owned()).or_default();
                of.extend(claims(&bytes));
            }
        }
        Ok(read)
    }
}

/// The result of a read; `None` if the file is gone, may not be read, or is longer than any
/// bytecode. Python cannot use such a file either, so it must not stop the plan.
fn readable<T>(read: Result<T, FsError>) -> Result<Option<T>, FsError> {
    let is_unusable = |error: &FsError| {
        matches!(
            error.kind(),
            ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::FileTooLarge
        )
    };
    match read {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_unusable(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn seconds(nanos: i128) -> i64 {
    i64::try_from(nanos / NANOS).unwrap_or(i64::MIN)
}
