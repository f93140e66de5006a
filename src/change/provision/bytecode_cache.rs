//! Bytecode that is kept: compiled once for each wheel and interpreter, then recalled without
//! starting anything.
//!
//! Promises that recalled bytecode was entered into the store completely, and that a store which
//! cannot be used only costs time: then the plan's run keeps the files in memory. Bytecode is
//! entered as wheels are, under a key that no wheel has, so that kills, full disks and concurrent
//! processes leave either all of it or nothing that is used.
//!
//! On disk: a pack, `packs/KEY/`, and the index from source to file,
//! `bytecode/SHA256 of the key.json`.
//! Read next: `python/bytecode.rs`, which compiles.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rvenv_journal::raw::{Hasher, NewPack};
use rvenv_journal::{Digest, Fs, Store};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::open_store;
use super::unpacked::{BytecodeFile, Files, Unpacked};
use crate::base::cache::Cache;
use crate::base::cached_answer::CachedAnswer;
use crate::build::hooks::{Context, wanted_wheels};
use crate::python::Interpreter;
use crate::python::bytecode::path::stem_of_source;
use crate::python::bytecode::{Bytecode, CompileFailed, Compiled, Compiler, SourceFile, key};
use crate::wheel::{Member, Wheel, WheelError};

/// The version of the index format.
const FORMAT: u32 = 1;
/// How much text of sources may be in memory at once, unless one wheel has more.
const TEXT_BYTES_MAX: usize = 16 << 20;
/// The same limit as for the entries of a wheel.
pub(super) const INDEX_BYTES_MAX: u64 = 32 << 20;

/// Why there is no bytecode.
#[derive(Debug, Error)]
pub enum BytecodeFailed {
    /// A wheel cannot be read.
    #[error(transparent)]
    Wheel(#[from] WheelError),
    /// The interpreter could not compile.
    #[error(transparent)]
    Compile(#[from] CompileFailed),
}

/// Why planned bytecode is no longer available.
#[derive(Clone, Debug, Error)]
pub enum BytecodeLost {
    /// It is not kept, and the run may not start the interpreter that a plan names.
    #[error("the cache no longer has it, and this run may not start an interpreter")]
    NoCompiler,
    /// The interpreter that the plan names has changed, or gives other bytes.
    #[error("compiled again, it differs from the plan, which was made with another Python")]
    OtherPython,
    /// The caller asked to stop.
    #[error("interrupted while it was compiled again")]
    Interrupted,
    /// It could not be compiled again, with the causes in words.
    #[error("it could not be compiled again: {0}")]
    Failed(String),
}

/// Where bytecode is kept.
#[derive(Clone, Copy)]
pub struct StoreAccess<'a> {
    /// The disk.
    pub fs: &'a dyn Fs,
    /// The cache directory, which may have the content store.
    pub cache: Option<&'a Cache>,
}

impl<'a> StoreAccess<'a> {
    /// The content store, if it exists; creates nothing.
    pub(crate) fn find(self) -> Option<Store<'a>> {
        let dir = self.cache?.dir().ok()??;
        Store::find(self.fs, &dir).ok()?
    }
}

/// Gives a context the bytecode of the wheels that it will plan: what is kept, also under other
/// names that a plan vouches for, by wheel; else what is compiled now.
///
/// # Errors
/// See [`BytecodeFailed`]; a store that cannot be used is no error.
///
/// # Crash
/// What was entered is kept, and the next process that compiles finds it.
pub fn compile(
    store_access: StoreAccess<'_>,
    compiler: &Compiler<'_>,
    context: &mut Context,
    names: &BTreeMap<Digest, Digest>,
) -> Result<(), BytecodeFailed> {
    let interpreter = &context.interpreter;
    let mut bytecode = Bytecode::default();
    let (mut new, mut bytes) = (Vec::new(), 0);
    let make_all = |new: &mut Vec<NewBytecode>, bytecode: &mut Bytecode| {
        let made = make(compiler, interpreter, new)?;
        let umask = context.options.umask;
        let digests = new.drain(..).map(|one| one.wheel.digest());
        for (wheel, compiled) in digests.zip(keep(store_access, umask, made)) {
            bytecode.add(wheel, compiled);
        }
        Ok::<_, BytecodeFailed>(())
    };
    for wheel in wanted_wheels(context)? {
        let key = key(wheel.digest(), interpreter).ok_or_else(|| CompileFailed::NoCache {
            python: interpreter.executable.clone(),
        })?;
        let recall = |name| recall(store_access.cache, name);
        let other = || names.get(&wheel.digest()).copied();
        if let Some(files) = recall(key).or_else(|| recall(other()?)) {
            let bytes = BTreeMap::new();
            bytecode.add(wheel.digest(), Compiled { key, files, bytes });
            continue;
        }
        let one = NewBytecode::of(key, wheel)?;
        bytes += one.bytes();
        new.push(one);
        if bytes > TEXT_BYTES_MAX {
            make_all(&mut new, &mut bytecode)?;
            bytes = 0;
        }
    }
    make_all(&mut new, &mut bytecode)?;
    context.bytecode = bytecode;
    Ok(())
}

/// A wheel whose bytecode is not kept, and its sources.
pub(super) struct NewBytecode {
    key: Digest,
    wheel: Arc<Wheel>,
    sources: Vec<SourceFile>,
}

impl NewBytecode {
    /// Reads the sources of a wheel.
    pub(super) fn of(key: Digest, wheel: Arc<Wheel>) -> Result<Self, WheelError> {
        let members = wheel.members().iter();
        let is_source = |member: &&Member| stem_of_source(member.path.name()).is_some();
        let source = |member: &Member| {
            Ok(SourceFile {
                name: member.path.to_string(),
                mtime: member.mtime,
                text: wheel.read(member)?,
            })
        };
        let sources = members.filter(is_source).map(source);
        let mut sources = sources.collect::<Result<Vec<_>, WheelError>>()?;
        // Sources that are compiled together can affect each other's bytecode, so their order must
        // not be the archive's.
        sources.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self {
            key,
            wheel,
            sources,
        })
    }

    fn bytes(&self) -> usize {
        self.sources.iter().map(|source| source.text.len()).sum()
    }
}

/// The new bytecode of one wheel.
pub(super) struct Made {
    key: Digest,
    pub(super) files: Vec<BytecodeFile>,
}

/// Compiles every source of some wheels.
pub(super) fn make(
    compiler: &Compiler<'_>,
    interpreter: &Interpreter,
    new: &[NewBytecode],
) -> Result<Vec<Made>, BytecodeFailed> {
    let sources: Vec<&[SourceFile]> = new.iter().map(|one| one.sources.as_slice()).collect();
    let files = compiler.compile_all(interpreter, &sources)?;
    let made = new.iter().zip(files).map(|(one, files)| {
        let made = one.sources.iter().zip(files).filter_map(|(source, file)| {
            let bytes = file?;
            Some(BytecodeFile {
                source: source.name.clone(),
                mtime: source.mtime,
                digest: Digest::of(&bytes),
                bytes,
            })
        });
        Made {
            key: one.key,
            files: made.collect(),
        }
    });
    Ok(made.collect())
}

/// Enters new bytecode, and writes the indexes; where that fails, the result has the files
/// themselves.
pub(super) fn keep(store_access: StoreAccess<'_>, umask: u32, made: Vec<Made>) -> Vec<Compiled> {
    let is_kept = enter(store_access, umask, &made);
    let compiled = made
        .into_iter()
        .zip(is_kept)
        .map(|(Made { key, files: made }, is_kept)| {
            let file =
                |made: &BytecodeFile| (made.source.clone(), (made.digest, made.bytes.len() as u64));
            let files: BTreeMap<_, _> = made.iter().map(file).collect();
            if is_kept && let Some(memo) = memo(store_access.cache, key) {
                drop(memo.write(&write_index(key, &files)));
            }
            let bytes = made.into_iter().map(|made| (made.digest, made.bytes));
            Compiled {
                key,
                files,
                bytes: bytes.filter(|_| !is_kept).collect(),
            }
        });
    compiled.collect()
}

/// Enters new bytecode; whether the store has each.
fn enter(store_access: StoreAccess<'_>, umask: u32, made: &[Made]) -> Vec<bool> {
    let nowhere = || vec![false; made.len()];
    let Some(store) = open_store(store_access.fs, store_access.cache).filter(|_| !made.is_empty())
    else {
        return nowhere();
    };
    let unpacked = made.iter().map(|made| Unpacked {
        files: Files::Bytecode(&made.files),
        umask,
    });
    let unpacked: Vec<_> = unpacked.collect();
    let new = made.iter().zip(&unpacked).map(|(made, content)| NewPack {
        source: made.key,
        content,
    });
    let Ok(packs) = store.enter_all(&new.collect::<Vec<_>>()) else {
        return nowhere();
    };
    // Another process may have entered it before with other bytes, which are not those of this
    // plan.
    let has_all = packs.iter().zip(made).map(|(pack, made)| {
        let mut files = made.files.iter();
        matches!(pack, Ok(pack) if files.all(|made| !pack.entered(made.digest).is_empty()))
    });
    has_all.collect()
}

pub(super) fn memo(cache: Option<&Cache>, key: Digest) -> Option<CachedAnswer> {
    Some(CachedAnswer::about(
        Path::new(&key.to_string()),
        "bytecode",
        cache?,
    ))
}

/// The files that are kept under a name.
pub(super) fn recall(
    cache: Option<&Cache>,
    key: Digest,
) -> Option<BTreeMap<String, (Digest, u64)>> {
    read_index(key, &memo(cache, key)?.read(INDEX_BYTES_MAX)?)
}

/// The index on disk, with a checksum of its rows: every later plan would repeat a wrong row.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index<'a> {
    format: u32,
    /// The pack that it describes.
    pack: String,
    sum: String,
    #[serde(borrow)]
    files: Vec<Row<'a>>,
}

/// Path of the source; digest and length of its bytecode.
#[derive(Serialize, Deserialize)]
struct Row<'a>(#[serde(borrow)] Cow<'a, str>, Cow<'a, str>, u64);

pub(super) fn write_index(key: Digest, files: &BTreeMap<String, (Digest, u64)>) -> Vec<u8> {
    let row = |(name, (digest, len)): (&String, &(Digest, u64))| {
        Row(name.clone().into(), digest.to_string().into(), *len)
    };
    let files: Vec<Row<'_>> = files.iter().map(row).collect();
    let index = Index {
        format: FORMAT,
        pack: key.to_string(),
        sum: sum(&files).to_string(),
        files,
    };
    serde_json::to_vec(&index).expect("strings and numbers serialize")
}

pub(super) fn read_index(key: Digest, bytes: &[u8]) -> Option<BTreeMap<String, (Digest, u64)>> {
    let index: Index<'_> = serde_json::from_slice(bytes).ok()?;
    let is_intact = index.format == FORMAT
        && index.pack == key.to_string()
        && index.sum == sum(&index.files).to_string();
    if !is_intact {
        return None;
    }
    let file = |Row(name, digest, len): Row<'_>| {
        Some((name.into_owned(), (Digest::parse(&digest).ok()?, len)))
    };
    index.files.into_iter().map(file).collect()
}

fn sum(files: &[Row<'_>]) -> Digest {
    let mut hasher = Hasher::default();
    for Row(name, digest, len) in files {
        // No part has a NUL, so that different lists give different texts.
        hasher.update(format!("{name}\0{digest}\0{len}\0").as_bytes());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_is_not_exactly_what_was_written_is_none() {
        let key = Digest::of(b"key");
        let files = BTreeMap::from([
            ("a/b.py".to_owned(), (Digest::of(b"b"), 7)),
            ("c \"d\".py".to_owned(), (Digest::of(b"c"), 0)),
        ]);
        let whole = write_index(key, &files);
        assert_eq!(read_index(key, &whole), Some(files.clone()));
        assert_eq!(read_index(Digest::of(b"other"), &whole), None);
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            assert_eq!(read_index(key, &bytes), None, "{at}");
            assert_eq!(read_index(key, &whole[..at]), None, "{at}");
        }
    }
}
