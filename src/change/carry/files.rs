//! The files of one distribution that is to be carried, compared with its RECORD.
//!
//! Promises that every file that the RECORD lists is the listed one: its length, and its SHA-256,
//! which is computed once while nothing about the file changes. Bytecode stays behind, listed or
//! not; files in the `.dist-info` directory come along, listed or not. A script that names an
//! interpreter of this environment gets the new one, and its new hash. Reads through open
//! directories and follows no link.
//!
//! Read next: `wheel/record.rs`, the format of the list; `wheel/shebang.rs`, the scripts.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::Path;

use rvenv_journal::fs::{Dir, FsError, Kind, Meta};
use rvenv_journal::raw::Input;
use rvenv_journal::{Content, Digest, Fs, Mode, RelPath};

use super::place::Places;
use super::{Carried, CarriedFile, Search, Way};
use crate::build::roles;
use crate::change::existing::Lib;
use crate::change::open_path::{Walk, lexical};
use crate::python::bytecode::path::stem_of_bytecode;
use crate::wheel::distributions::{Distribution, DistributionKind};
use crate::wheel::record::{self, Hash, Row, RowChange};
use crate::wheel::shebang;

/// More bytes than any real RECORD has.
const LIST_BYTES_MAX: u64 = 64 << 20;
/// The longest script, and the longest file without a usable hash, that a plan contains.
const INLINE_BYTES_MAX: u64 = 16 << 20;
/// Signatures of a RECORD, which do not hold for the new one (PEP 427).
const SIGNATURES: [&str; 2] = ["RECORD.jws", "RECORD.p7s"];

/// Why a distribution cannot be carried, as a clause, or that the disk failed.
pub(super) enum Stop {
    Reason(String),
    Disk(FsError),
}

impl From<FsError> for Stop {
    fn from(error: FsError) -> Self {
        Self::Disk(error)
    }
}

impl Search<'_> {
    /// The files of a distribution; the inner error says why it cannot be carried.
    pub(super) fn files(
        &self,
        lib: &Lib,
        distribution: &Distribution,
    ) -> Result<Result<Carried, String>, FsError> {
        let packing = Packing {
            search: self,
            lib,
            distribution,
            places: Places::of(self, lib, distribution),
            rows: BTreeMap::new(),
            files: BTreeMap::new(),
            modules: BTreeSet::new(),
            leaving: Leaving::of(lib),
        };
        match packing.pack() {
            Ok(carried) => Ok(Ok(carried)),
            Err(Stop::Reason(reason)) => Ok(Err(reason)),
            Err(Stop::Disk(error)) => Err(error),
        }
    }

    /// The paths that a distribution leaves when another wheel replaces it.
    pub(super) fn left(
        &self,
        lib: &Lib,
        distribution: &Distribution,
    ) -> Result<BTreeSet<RelPath>, FsError> {
        let mut leaving = Leaving::of(lib);
        let Some((_, list)) = self.record(lib, distribution)? else {
            return Ok(BTreeSet::new());
        };
        for (row, _) in record::rows(list.as_slice()).flatten() {
            if let Some(path) = lexical(&lib.path, &row) {
                leaving.add(path);
            }
        }
        leaving.end(self)
    }

    /// The directory of a distribution, and its RECORD.
    fn record(
        &self,
        lib: &Lib,
        distribution: &Distribution,
    ) -> Result<Option<(Dir, Vec<u8>)>, FsError> {
        if distribution.kind != DistributionKind::DistInfo {
            return Ok(None);
        }
        let Ok(info) = lib.path.join(&distribution.dir) else {
            return Ok(None);
        };
        let Some(dir) = self.walk.borrow_mut().open(&info)? else {
            return Ok(None);
        };
        match self
            .fs
            .read_file(&dir, OsStr::new("RECORD"), LIST_BYTES_MAX)
        {
            Ok(list) => Ok(Some((dir, list))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The digest of a file with this metadata.
    fn digest(&self, at: (&Dir, &OsStr), path: &RelPath, meta: &Meta) -> Result<Digest, FsError> {
        let known = self.context.checked.digest(path, meta);
        let digest = match known {
            Some(digest) => digest,
            None => self.fs.digest_file(at.0, at.1)?,
        };
        self.checked
            .borrow_mut()
            .insert(path.clone(), *meta, digest);
        Ok(digest)
    }

    /// Whether the RECORD of any distribution lists a file with this content: two distributions may
    /// have a file in common, of which the later one wrote the content.
    fn is_listed(&self, path: &RelPath, content: (Digest, u64)) -> Result<bool, FsError> {
        if self.claims.get().is_none() {
            let mut claims: BTreeMap<RelPath, Vec<(Digest, u64)>> = BTreeMap::new();
            for lib in &self.existing.libs {
                for distribution in &lib.distributions {
                    let Some((_, list)) = self.record(lib, distribution)? else {
                        continue;
                    };
                    for (row, of) in record::rows(list.as_slice()).flatten() {
                        if let (Some(path), Hash::Sha256(digest), Some(len)) =
                            (lexical(&lib.path, &row), of.hash, of.len)
                        {
                            claims.entry(path).or_default().push((digest, len));
                        }
                    }
                }
            }
            let _first = self.claims.set(claims);
        }
        let of_path = self.claims.get().and_then(|claims| claims.get(path));
        Ok(of_path.is_some_and(|claims| claims.contains(&content)))
    }
}

/// One distribution while its files are collected.
struct Packing<'a, 's> {
    search: &'a Search<'s>,
    lib: &'a Lib,
    distribution: &'a Distribution,
    places: Places<'a>,
    /// What becomes of the rows of its RECORD that do not stay.
    rows: BTreeMap<String, RowChange>,
    files: BTreeMap<RelPath, CarriedFile>,
    modules: BTreeSet<String>,
    leaving: Leaving,
}

impl Packing<'_, '_> {
    fn pack(mut self) -> Result<Carried, Stop> {
        let Some((dir, list)) = self.search.record(self.lib, self.distribution)? else {
            return Err(Stop::Reason("it has no RECORD".to_owned()));
        };
        let info = self.join(&self.distribution.dir)?;
        let own = info.join("RECORD").map_err(|_| unnamable("RECORD"))?;
        for row in record::rows(list.as_slice()) {
            let (text, row) = row.map_err(|unusable| {
                let (path, reason) = (unusable.path, unusable.reason);
                Stop::Reason(format!(
                    "the row `{path}` of its RECORD is invalid: {reason}"
                ))
            })?;
            match self.places.path(&text) {
                Some(path) if path == own => {}
                Some(path) => self.listed(text, path, &row)?,
                None if row.is_cache(&text) => drop(self.rows.insert(text, RowChange::Drop)),
                None => {
                    let shown = text.escape_debug();
                    return Err(Stop::Reason(format!(
                        "`{shown}` in its RECORD leads out of the environment"
                    )));
                }
            }
        }
        self.unlisted(&dir, &info)?;
        let record = Input {
            role: roles::DISTRIBUTION.to_owned(),
            path: self.search.context.absolute(&own),
            found: None,
            url: None,
            digest: Digest::of(&list),
            len: list.len() as u64,
        };
        let mode = self.search.fs.meta(&dir, OsStr::new("RECORD"))?;
        let rows = &mut self.rows;
        let list = record::rewritten(&list, |row| rows.remove(row).unwrap_or(RowChange::Keep));
        self.add(
            &own,
            mode.map_or(0o644, |meta| meta.mode),
            Content::Inline(list),
        )?;
        let left = self.leaving.end(self.search)?;
        Ok(Carried {
            distribution: self.distribution.clone(),
            modules: self.modules.into_iter().collect(),
            record,
            files: self.files.into_values().collect(),
            left,
        })
    }

    fn join(&self, name: &str) -> Result<RelPath, Stop> {
        self.lib.path.join(name).map_err(|_| unnamable(name))
    }

    /// A file that the RECORD lists.
    fn listed(&mut self, text: String, path: RelPath, row: &Row) -> Result<(), Stop> {
        let is_signature = SIGNATURES.contains(&path.name())
            && path
                .parent()
                .is_some_and(|info| info.name().ends_with(".dist-info"));
        let is_bytecode = path.name() == "__pycache__"
            || path
                .parent()
                .is_some_and(|above| above.name() == "__pycache__");
        if is_signature || is_bytecode {
            self.rows.insert(text, RowChange::Drop);
            self.leaving.add(path);
            return Ok(());
        }
        // A copy has the same Python.
        let is_compiled = Path::new(path.name()).extension() == Some(OsStr::new("pyc"));
        if is_compiled && self.search.way == Way::Along {
            return Err(Stop::Reason(format!(
                "`{path}` is compiled for one version of Python"
            )));
        }
        let fs = self.search.fs;
        let dir = self.search.walk.borrow_mut().above(&path)?;
        let name = OsStr::new(path.name());
        let found = match &dir {
            Some(dir) => fs.meta(dir, name)?.map(|meta| (dir, meta)),
            None => None,
        };
        let Some((dir, meta)) = found else {
            // The mark of a distribution that the user asked for may be gone.
            if path.name() == "REQUESTED" || row.hash == Hash::Absent {
                self.rows.insert(text, RowChange::Drop);
                return Ok(());
            }
            return Err(Stop::Reason(format!("`{path}` is missing")));
        };
        let mut content = self.compared((dir, name), &path, &meta, row)?;
        let program = self.with_new_interpreter((dir, name), &path, &meta)?;
        let is_changed = program.is_some();
        content = program.map_or(content, Content::Inline);
        let sum = (content.digest(), content.len());
        if let Some(row) = self.new_row(&text, &path)? {
            self.rows.insert(text, RowChange::Moved(row, sum.0, sum.1));
        } else if is_changed {
            self.rows.insert(text, RowChange::Content(sum.0, sum.1));
        }
        let mtime = (meta.mtime.nanos == 0).then_some(meta.mtime.seconds);
        let is_object = matches!(content, Content::Object { .. });
        let file = self.add(&path, meta.mode, content)?;
        file.mtime = mtime.filter(|_| is_object);
        self.leaving.add(path);
        Ok(())
    }

    /// The content of a listed file, if it is what the row says.
    fn compared(
        &self,
        at: (&Dir, &OsStr),
        path: &RelPath,
        meta: &Meta,
        row: &Row,
    ) -> Result<Content, Stop> {
        if meta.kind != Kind::File {
            return Err(Stop::Reason(format!("`{path}` is not a regular file")));
        }
        let len = meta.len;
        match row.hash {
            Hash::Sha256(digest) => {
                let is_as_long = row.len.is_none_or(|listed| listed == len);
                if is_as_long && self.search.digest(at, path, meta)? == digest {
                    return Ok(Content::Object { digest, len });
                }
            }
            Hash::Absent | Hash::Other(_) => {
                if row.len.is_none_or(|listed| listed == len) && len <= INLINE_BYTES_MAX {
                    let bytes = self.search.fs.read_file(at.0, at.1, INLINE_BYTES_MAX)?;
                    return Ok(Content::Inline(bytes));
                }
            }
        }
        if len <= INLINE_BYTES_MAX {
            let bytes = self.search.fs.read_file(at.0, at.1, INLINE_BYTES_MAX)?;
            let found = (Digest::of(&bytes), bytes.len() as u64);
            if self.search.is_listed(path, found)? {
                return Ok(Content::Inline(bytes));
            }
        }
        Err(Stop::Reason(format!(
            "`{path}` is not as its RECORD lists it"
        )))
    }

    /// The text of a program with another interpreter, if it names one that the new Python does
    /// not have.
    fn with_new_interpreter(
        &self,
        at: (&Dir, &OsStr),
        path: &RelPath,
        meta: &Meta,
    ) -> Result<Option<Vec<u8>>, Stop> {
        if !self.places.is_program(path) || meta.len > INLINE_BYTES_MAX {
            return Ok(None);
        }
        let bytes = self.search.fs.read_file(at.0, at.1, INLINE_BYTES_MAX)?;
        let other = |python: &Path| self.places.interpreter(python);
        Ok(shebang::with_interpreter(&bytes, other))
    }

    /// The first column of a file's row in the new RECORD, if it is another one.
    fn new_row(&self, text: &str, from: &RelPath) -> Result<Option<String>, Stop> {
        let to = self.moved(from)?;
        let row = self.places.row(&to);
        let is_same = if text.starts_with('/') {
            to == *from && self.search.way == Way::Along
        } else {
            row == self.places.old_row(from)
        };
        Ok((!is_same).then_some(row))
    }

    fn moved(&self, from: &RelPath) -> Result<RelPath, Stop> {
        self.places
            .moved(from)
            .map_err(|_| unnamable(from.as_str()))
    }

    fn add(
        &mut self,
        from: &RelPath,
        mode: u32,
        content: Content,
    ) -> Result<&mut CarriedFile, Stop> {
        let to = self.moved(from)?;
        self.modules
            .extend(self.places.below_new(&to).and_then(module));
        let mode = Mode::new(mode & 0o777).map_err(|_| unnamable(from.as_str()))?;
        let file = CarriedFile {
            to: to.clone(),
            mode,
            mtime: None,
            content,
        };
        self.leaving.add(from.clone());
        Ok(self.files.entry(to).or_insert(file))
    }

    /// Files in the `.dist-info` directory that the RECORD does not list: notes of installers.
    fn unlisted(&mut self, dir: &Dir, info: &RelPath) -> Result<(), Stop> {
        let fs = self.search.fs;
        for name in fs.list(dir)? {
            let Some(path) = name.to_str().and_then(|name| info.join(name).ok()) else {
                continue;
            };
            let to = self.moved(&path)?;
            let is_own = path.name() == "RECORD" || SIGNATURES.contains(&path.name());
            if is_own || self.files.contains_key(&to) {
                continue;
            }
            let meta = fs.meta(dir, &name)?;
            let is_note = |meta: &Meta| meta.kind == Kind::File && meta.len <= INLINE_BYTES_MAX;
            if let Some(meta) = meta.filter(is_note) {
                let bytes = fs.read_file(dir, &name, INLINE_BYTES_MAX)?;
                self.add(&path, meta.mode, Content::Inline(bytes))?;
            }
        }
        Ok(())
    }
}

/// The paths that a distribution leaves.
struct Leaving {
    lib: RelPath,
    paths: BTreeSet<RelPath>,
    /// The stems of the sources in each directory.
    sources: BTreeMap<RelPath, BTreeSet<String>>,
}

impl Leaving {
    fn of(lib: &Lib) -> Self {
        Self {
            lib: lib.path.clone(),
            paths: BTreeSet::new(),
            sources: BTreeMap::new(),
        }
    }

    fn add(&mut self, path: RelPath) {
        let mut above = path.parent();
        let is_own = |dir: &RelPath| dir.is_below(&self.lib) || is_of_headers(dir);
        while let Some(dir) = above.filter(is_own) {
            above = dir.parent();
            if !self.paths.insert(dir) {
                break;
            }
        }
        if let (Some(stem), Some(dir)) = (path.name().strip_suffix(".py"), path.parent()) {
            self.sources.entry(dir).or_default().insert(stem.to_owned());
        }
        self.paths.insert(path);
    }

    /// Adds the bytecode of the sources, and the directories of the old Python.
    fn end(mut self, search: &Search<'_>) -> Result<BTreeSet<RelPath>, FsError> {
        for (dir, stems) in &self.sources {
            let found = bytecode_of(search.fs, &mut search.walk.borrow_mut(), dir, stems)?;
            self.paths.extend(found);
        }
        let python = self.lib.parent().filter(|above| above.parent().is_some());
        self.paths.extend(python);
        self.paths.insert(self.lib);
        Ok(self.paths)
    }
}

/// The bytecode that Python wrote for the sources with these stems in a directory, and the
/// directory that it is in, if nothing else is there.
pub(crate) fn bytecode_of(
    fs: &dyn Fs,
    walk: &mut Walk<'_>,
    dir: &RelPath,
    stems: &BTreeSet<String>,
) -> Result<Vec<RelPath>, FsError> {
    let Ok(cache) = dir.join("__pycache__") else {
        return Ok(Vec::new());
    };
    let Some(open) = walk.open(&cache)? else {
        return Ok(Vec::new());
    };
    let of_them = |name: &OsString| {
        let name = name.to_str()?;
        stem_of_bytecode(name).filter(|stem| stems.contains(*stem))?;
        cache.join(name).ok()
    };
    let all = fs.list(&open)?;
    let mut found: Vec<RelPath> = all.iter().filter_map(of_them).collect();
    if found.len() == all.len() {
        found.push(cache);
    }
    Ok(found)
}

/// Whether a directory is one of headers for one version of Python.
fn is_of_headers(dir: &RelPath) -> bool {
    dir.as_str().starts_with("include/site/")
}

fn unnamable(name: &str) -> Stop {
    Stop::Reason(format!("no plan can name `{}`", name.escape_debug()))
}

/// The module at the top that a file is, as a program imports it; `None` for other files, and for
/// names that no program imports directly.
fn module(path: &str) -> Option<String> {
    let name = match path.split_once('/') {
        Some((package, "__init__.py")) => package,
        Some(_) => return None,
        None => path.strip_suffix(".py")?,
    };
    let is_word = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let is_private = name.starts_with(|c: char| c == '_' || c.is_ascii_digit());
    let is_import = is_word && !is_private && !["test", "tests"].contains(&name);
    is_import.then(|| name.to_owned())
}
