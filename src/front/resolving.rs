//! Resolving for a caller: with its interpreter, its settings and its working directory.
//!
//! Promises that a resolver gets the same sources as the fetcher that follows it, and a directory
//! of its own in the cache, for its temporary files too. After a kill that directory stays: it has
//! a list of what is installed, what pip logged and downloaded, and a lock that is not finished.
//! `rvenv cache prune` deletes it a day later. Where no cache can be used, it is a temporary
//! directory of the system.
//!
//! Read next: `../resolve.rs`; `locking.rs`, which writes down what is resolved.

use std::io;
use std::path::Path;

use tempfile::TempDir;

use super::caller::{Caller, Phase};
pub use super::locked_failed::ResolvingFailed;
use crate::base::cache::Cache;
use crate::fetch::{FetchOptions, Settings};
use crate::lock::Lock;
use crate::python::Interpreter;
use crate::resolve::{Asked, ResolveFailed, Resolver, Resolving};
use crate::wheel::Sources;

/// The prefix of the directories in the cache that resolvers use; `rvenv cache prune` deletes those
/// of dead processes.
pub const SCRATCH_PREFIX: &str = "resolve-";

impl Caller<'_> {
    /// Resolves requirements for an interpreter.
    ///
    /// # Errors
    /// See [`ResolvingFailed`].
    pub(super) fn resolve(
        &self,
        asked: &Asked,
        resolver: Resolver,
        interpreter: &Interpreter,
        sources: &Sources,
    ) -> Result<Lock, ResolvingFailed> {
        let around = &self.host.surroundings;
        let prefix = interpreter.executable.ancestors().nth(2);
        let options = FetchOptions {
            prefix: prefix.map(Path::to_owned),
            ..FetchOptions::default()
        };
        let mut sources = sources.clone();
        for file in &asked.files {
            let trusted = self.index_options(file).trusted_hosts;
            sources.trusted_hosts.extend(trusted);
        }
        let settings = Settings::read(&sources, &options, around)?;
        let sources = Sources {
            no_index: settings.indexes.is_empty(),
            ..sources
        };
        let uv_variables = settings.uv_variables();
        let scratch = self.scratch().map_err(ResolveFailed::Scratch)?;
        self.listener.phase(Phase::Resolving);
        Ok(self.with_control(|control| {
            let resolving = Resolving {
                interpreter,
                sources: &sources,
                uv_variables: &uv_variables,
                config_settings: &settings.config_settings,
                scratch: scratch.path(),
                around,
                control,
            };
            resolving.resolve(resolver, asked)
        })?)
    }

    /// A directory for one resolver, which is deleted with the value.
    fn scratch(&self) -> io::Result<TempDir> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(SCRATCH_PREFIX);
        let in_cache = |cache: &Cache| {
            cache.make().ok()?;
            builder.tempdir_in(cache.path()).ok()
        };
        let made = self.host.cache.as_ref().and_then(in_cache);
        // A cache that cannot be used is never necessary.
        made.map_or_else(|| builder.tempdir(), Ok)
    }
}
