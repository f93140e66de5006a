//! The bytecode of a plan: from the store, or compiled again.
//!
//! Promises that bytecode which was not compiled here is used only for a plan that names it, by its
//! digest. An interpreter is started only if the run may start one.
//! Read next: `bytecode_cache.rs`, which keeps what is compiled.

use std::collections::BTreeMap;
use std::sync::Arc;

use rvenv_journal::raw::Pack;
use rvenv_journal::{ContentError, Digest, Fetched, Wanted};

use super::bytecode_cache::{self, BytecodeFailed, BytecodeLost, NewBytecode};
use super::{Provision, SourceBytecode, SourceWheel, chain, mend};
use crate::python::bytecode::{CompileFailed, key};
use crate::python::{self, Request};

impl<'a> Provision<'a> {
    /// Bytecode that is kept, or that this process compiled and could not keep.
    pub(super) fn kept_bytecode(
        &self,
        source: &SourceWheel<'a>,
        wanted: &Wanted,
    ) -> Option<Fetched> {
        let bytecode = source.bytecode.as_ref()?;
        let compiled = self.known.bytecode;
        let made = compiled.and_then(|compiled| compiled.of(source.input.digest));
        if let Some(bytes) = made.and_then(|made| made.bytes.get(&wanted.digest)) {
            return Some(Fetched::Bytes(bytes.clone()));
        }
        let mut packs = self.bytecode_packs_of(bytecode);
        packs.find_map(|pack| pack.locate(wanted).ok()?)
    }

    /// The packs that may have bytecode: what was compiled here, then what was not.
    pub(super) fn bytecode_packs_of<'s>(
        &'s self,
        bytecode: &'s SourceBytecode<'a>,
    ) -> impl Iterator<Item = &'s Pack<'a>> {
        let own = [(false, &bytecode.pack), (true, &bytecode.foreign)];
        own.into_iter().filter_map(move |(is_foreign, slot)| {
            let pack = || {
                let name = if is_foreign {
                    bytecode.foreign_name()
                } else {
                    bytecode.key
                };
                let pack = self.store.as_ref()?.pack(name).ok()??;
                Some(self.used(pack))
            };
            slot.get_or_init(pack).as_ref()
        })
    }

    /// Compiles bytecode again that is no longer kept. Content that is in no wheel counts as
    /// bytecode, if the plan has bytecode at all.
    pub(super) fn new_bytecode(&self, wanted: &Wanted) -> Result<Vec<u8>, ContentError> {
        let mut last = ContentError::Unknown(wanted.digest);
        for source in &self.sources {
            let Some(bytecode) = &source.bytecode else {
                continue;
            };
            let made = || self.make(source, bytecode.key);
            let files = bytecode.made.get_or_init(made).as_ref();
            let files = files.map_err(|why| source.lost(why.clone()))?;
            if let Some(bytes) = files.get(&wanted.digest) {
                mend(bytecode.pack.get(), wanted.digest, bytes);
                return Ok(bytes.clone());
            }
            last = source.lost(BytecodeLost::OtherPython);
        }
        Err(last)
    }

    pub(super) fn make(
        &self,
        source: &SourceWheel<'a>,
        planned: Digest,
    ) -> Result<BTreeMap<Digest, Vec<u8>>, BytecodeLost> {
        let failed = |error: &dyn std::error::Error| BytecodeLost::Failed(chain(error));
        let compiler = self.known.compiler.ok_or(BytecodeLost::NoCompiler)?;
        let input = self.interpreter.as_ref().ok_or(BytecodeLost::OtherPython)?;
        let request = Request::Path(input.path.clone().into());
        let found = python::find(&request, compiler.around, compiler.control);
        let interpreter = found.map_err(|error| failed(&error))?;
        if key(source.input.digest, &interpreter) != Some(planned) {
            return Err(BytecodeLost::OtherPython);
        }
        let opened = self.opened(source).map_err(|error| failed(&error))?;
        let new = NewBytecode::of(planned, Arc::clone(&opened.wheel));
        let new = new.map_err(|error| failed(&error))?;
        let made = bytecode_cache::make(compiler, &interpreter, &[new]);
        let made = made.map_err(|error| match error {
            BytecodeFailed::Compile(CompileFailed::Interrupted { .. }) => BytecodeLost::Interrupted,
            BytecodeFailed::Compile(_) | BytecodeFailed::Wheel(_) => failed(&error),
        })?;
        let files = made.iter().flat_map(|made| &made.files);
        let bytes = files.map(|made| (made.digest, made.bytes.clone()));
        let bytes = bytes.collect();
        bytecode_cache::keep(self.store_access, self.umask, made);
        Ok(bytes)
    }
}
