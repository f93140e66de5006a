//! Bytecode for other machines, and from them: each host of a fleet has the same interpreter, so
//! that one compiles for all.
//!
//! Promises that what comes from elsewhere is entered only once every file of it is what a plan
//! names; and that it is kept under a name of its own, since its sources were not seen here: a plan
//! of this machine finds only what was compiled on this machine.
//!
//! On disk: as `bytecode_cache.rs`, under another name.
//! Read next: `bytecode_pack.rs`, the file; `kept_bytecode.rs`, which uses it.

use std::collections::BTreeMap;
use std::io::Read;

use rvenv_journal::raw::{NewPack, counted};
use rvenv_journal::{ContentError, Digest, Fetched, Mode, Wanted};
use thiserror::Error;

use super::bytecode_cache::{BytecodeLost, memo, recall, write_index};
use super::bytecode_pack::{PackFault, Packed, read, write};
use super::unpacked::{BytecodeFile, Files, Unpacked};
use super::{Provision, SourceBytecode, SourceWheel};
use crate::base::cache::Cache;

/// The bytecode of one wheel as a file.
#[derive(Clone, Debug)]
pub struct BytecodePack {
    /// The name of the wheel.
    pub wheel: String,
    /// The name that the bytecode is kept under where it was compiled.
    pub key: Digest,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Bytecode that a plan needs and the store does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeededBytecode {
    /// The name of the wheel.
    pub wheel: String,
    /// Its name as in [`BytecodePack`].
    pub key: Digest,
}

/// Why bytecode from elsewhere is not in the store.
#[derive(Debug, Error)]
pub enum NotEntered {
    /// It is not what the plan names.
    #[error(transparent)]
    Fault(#[from] PackFault),
    /// The store did not take it.
    #[error("the cache did not take {}", counted(*.0, "file"))]
    Store(usize),
}

impl<'a> Provision<'a> {
    fn with_bytecode(&self) -> impl Iterator<Item = (&SourceWheel<'a>, &SourceBytecode<'a>)> {
        let sources = self.sources.iter();
        let all = sources.filter_map(|source| Some((source, source.bytecode.as_ref()?)));
        all.filter(|(_, bytecode)| !bytecode.planned.files.is_empty())
    }

    /// The bytecode that the plan needs and the store does not have.
    #[must_use]
    pub fn needed_bytecode(&self) -> Vec<NeededBytecode> {
        let all = self.with_bytecode();
        let missing = all.filter(|(_, own)| self.bytecode_packs_of(own).next().is_none());
        missing
            .map(|(source, own)| NeededBytecode {
                wheel: source.input.path.clone(),
                key: own.key,
            })
            .collect()
    }

    /// By wheel, the names under which the store may have bytecode that was not compiled here.
    #[must_use]
    pub fn foreign_names(&self) -> BTreeMap<Digest, Digest> {
        let all = self.with_bytecode();
        all.map(|(source, own)| (source.input.digest, own.foreign_name()))
            .collect()
    }

    /// Enters bytecode from elsewhere, once everything in it is what the plan names.
    ///
    /// # Errors
    /// See [`NotEntered`].
    ///
    /// # Crash
    /// As [`Store::enter_all`](rvenv_journal::Store::enter_all).
    pub fn enter_bytecode(
        &self,
        key: Digest,
        pack: &mut dyn Read,
        pack_len: u64,
    ) -> Result<(), NotEntered> {
        let Some((_, own)) = self.with_bytecode().find(|(_, own)| own.key == key) else {
            return Ok(());
        };
        let Packed { files, mut bytes } = read(key, pack, pack_len, &own.planned)?;
        let mut made = Vec::new();
        for (source, (digest, _)) in &files {
            let planned = own.planned.files.get(digest);
            if let (Some(planned), Some(bytes)) = (planned, bytes.remove(digest)) {
                made.push(BytecodeFile {
                    source: source.clone(),
                    mtime: planned.mtime,
                    digest: *digest,
                    bytes,
                });
            }
        }
        let name = own.foreign_name();
        let content = Unpacked {
            files: Files::Bytecode(&made),
            umask: self.umask,
        };
        let new = [NewPack {
            source: name,
            content: &content,
        }];
        let entered = self.store.as_ref().map(|store| store.enter_all(&new));
        let pack = entered.and_then(|entered| entered.ok()?.pop()?.ok());
        self.used(pack.ok_or(NotEntered::Store(made.len()))?);
        if let Some(memo) = memo(self.store_access.cache, name) {
            drop(memo.write(&write_index(name, &files)));
        }
        Ok(())
    }

    /// The bytecode of the plan as files; compiled now if it is not kept and the run may start an
    /// interpreter.
    ///
    /// # Errors
    /// Bytecode that is neither kept nor compiled.
    pub fn packed_bytecode(&self) -> Result<Vec<BytecodePack>, ContentError> {
        let all = self.with_bytecode();
        all.map(|(source, own)| {
            let lost = |why| source.lost(why);
            let kept = |cache: Option<&Cache>| {
                recall(cache, own.key).or_else(|| recall(cache, own.foreign_name()))
            };
            let cache = self.store_access.cache;
            let mut files = kept(cache);
            if files.is_none() {
                self.make(source, own.key).map_err(lost)?;
                files = kept(cache);
            }
            let nowhere = || BytecodeLost::Failed("the cache did not keep it".to_owned());
            let files = files.ok_or_else(|| lost(nowhere()))?;
            let is_planned = |digest: &Digest| own.planned.files.contains_key(digest);
            let files = files
                .into_iter()
                .filter(|(_, (digest, _))| is_planned(digest));
            let files: BTreeMap<_, _> = files.collect();
            let mut bytes = BTreeMap::new();
            for (digest, len) in files.values() {
                bytes.insert(*digest, self.bytes_of(own, *digest, *len)?);
            }
            let packed = Packed { files, bytes };
            let failed = |error: std::io::Error| lost(BytecodeLost::Failed(error.to_string()));
            Ok(BytecodePack {
                wheel: source.input.path.clone(),
                key: own.key,
                bytes: write(own.key, &packed).map_err(failed)?,
            })
        })
        .collect()
    }

    /// The bytes of kept bytecode, else compiled again.
    fn bytes_of(
        &self,
        own: &SourceBytecode<'a>,
        digest: Digest,
        len: u64,
    ) -> Result<Vec<u8>, ContentError> {
        // With no time it is not linked, but read.
        let wanted = Wanted {
            digest,
            len,
            mode: Mode::ALL_DATA,
            mtime: None,
        };
        let mut packs = self.bytecode_packs_of(own);
        let kept = packs.find_map(|pack| match pack.fetch(&wanted).ok()?? {
            Fetched::Bytes(bytes) => Some(bytes),
            Fetched::Pieces => {
                let mut bytes = Vec::new();
                let poured = pack.pour(digest, &mut |reader| {
                    let read = reader.read_to_end(&mut bytes);
                    read.map(drop).map_err(|source| rvenv_journal::fs::FsError {
                        verb: "read",
                        name: digest.to_string(),
                        source,
                    })
                });
                poured.is_ok_and(|is_there| is_there).then_some(bytes)
            }
            Fetched::Stored { .. } => None,
        });
        kept.map_or_else(|| self.new_bytecode(&wanted), Ok)
    }
}
