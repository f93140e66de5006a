//! The bytecode of an environment in a registry: one layer for each wheel, so that another version
//! of one wheel sends and fetches the bytecode of that one alone.
//!
//! Promises that a machine whose cache has none of it starts no interpreter to compile; and that
//! what is fetched is entered into the store only if the plan names every file of it, by digest.
//!
//! Read next: `../change/provision/shared_bytecode.rs`; `pushing.rs`, `pulling.rs`.

use std::collections::BTreeMap;

use rvenv_journal::{ContentError, Digest, Plan};

use super::caller::{Caller, Compilation};
use super::plan_note::demands_of;
use super::pulling::{PullFailed, Pulled, asked};
use super::saved_plan::WheelPlaces;
use crate::artifact::manifest::{BYTECODE, Descriptor};
use crate::base::regular_file;
use crate::change::provision::{BytecodePack, Known, Provision, StoreAccess};
use crate::fetch::{Asked, Parcel, Reference};
use crate::wheel::Catalogue;

/// The annotation with the name under which bytecode is kept where it was compiled: it depends on
/// the wheel, the bytes of the interpreter and its version.
const KEY: &str = "rvenv.bytecode.key";

/// The layer of bytecode, and the blob; other tools must not take it for a wheel or sources.
fn layer_of(plan: &Plan, pack: BytecodePack) -> (Descriptor, Parcel) {
    let stem = pack.wheel.strip_suffix(".whl").unwrap_or(&pack.wheel);
    let parcel = Parcel::of_bytes(&format!("{stem}.bytecode"), pack.bytes);
    let mut annotations = BTreeMap::from([(KEY.to_owned(), pack.key.to_string())]);
    if let Some(demands) = demands_of(plan) {
        annotations.extend(demands.interpreter_annotations());
    }
    let layer = Descriptor {
        annotations,
        ..Descriptor::titled(BYTECODE, parcel.digest, parcel.len, &parcel.name)
    };
    (layer, parcel)
}

impl Caller<'_> {
    /// The layers with the bytecode of a plan, and their blobs.
    pub(super) fn bytecode_layers(
        &self,
        plan: &Plan,
        compilation: Compilation,
    ) -> Result<Vec<(Descriptor, Parcel)>, ContentError> {
        self.with_provision(plan, compilation, |provision| {
            let packs = provision.packed_bytecode()?.into_iter();
            Ok(packs.map(|pack| layer_of(plan, pack)).collect())
        })
    }

    /// By wheel, the names under which bytecode of a plan may be kept that was not compiled here.
    pub(super) fn foreign_names(&self, plan: &Plan) -> BTreeMap<Digest, Digest> {
        self.with_provision(plan, Compilation::Refused, |provision| {
            provision.foreign_names()
        })
    }

    /// Fetches the bytecode of a plan that the store does not have.
    ///
    /// # Errors
    /// See [`PullFailed`].
    ///
    /// # Crash
    /// The store has some of it; the next run fetches the rest.
    pub fn pull_bytecode(
        &self,
        pulled: &Pulled,
        reference: &Reference,
        from: &WheelPlaces,
    ) -> Result<(), PullFailed> {
        self.with_provision(&pulled.plan, Compilation::Refused, |provision| {
            let mut wanted = Vec::new();
            for needed in provision.needed_bytecode() {
                let key = needed.key.to_string();
                let is_it = |blob: &&Descriptor| blob.annotations.get(KEY) == Some(&key);
                let blob = pulled.bytecode.iter().find(is_it);
                wanted.extend(blob.map(|blob| (needed, blob)));
            }
            let name = |blob: &Descriptor| format!("{}.bytecode", blob.digest);
            let asked = wanted.iter().map(|(_, blob)| asked(blob, &name(blob)));
            let asked: Vec<Asked> = asked.collect::<Result<_, _>>()?;
            if asked.is_empty() {
                return Ok(());
            }
            let files = self.pull_files(&asked, reference, from)?;
            for ((needed, blob), file) in wanted.into_iter().zip(files) {
                let opened = regular_file::open(&file.path);
                let mut opened = opened.map_err(|source| PullFailed::Read {
                    path: file.path.clone(),
                    source,
                })?;
                let entered = provision.enter_bytecode(needed.key, &mut opened, blob.len);
                entered.map_err(|source| PullFailed::Bytecode {
                    reference: reference.clone(),
                    wheel: needed.wheel,
                    source: Box::new(source),
                })?;
            }
            Ok(())
        })
    }

    fn with_provision<T>(
        &self,
        plan: &Plan,
        compilation: Compilation,
        work: impl FnOnce(&Provision<'_>) -> T,
    ) -> T {
        let cache = self.host.cache.as_ref();
        let catalogue = Catalogue::new(cache);
        let store_access = StoreAccess { fs: self.fs, cache };
        self.with_control(|control| {
            let compiler = self.compiler(control);
            let may_compile = compilation == Compilation::Allowed;
            let known = Known::of_saved(&catalogue, may_compile.then_some(&compiler));
            let provision = Provision::new(store_access, plan, known);
            work(&provision.at(Some(self.host.now)))
        })
    }
}
