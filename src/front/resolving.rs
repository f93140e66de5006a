//! Resolving for a caller: with its interpreter, its settings and its working directory.
//!
//! Promises that a resolver gets the same sources as the fetcher that follows it.
//! Read next: `../resolve.rs`; `locking.rs`, which writes down what is resolved.

use std::path::Path;

use thiserror::Error;

use super::caller::Caller;
use crate::fetch::{FetchOptions, Settings, SettingsError};
use crate::lock::Lock;
use crate::python::{Interpreter, InterpreterError};
use crate::resolve::{Asked, ProjectError, ResolveFailed, Resolver, Resolving};
use crate::wheel::Sources;

/// Why there is no lock.
#[derive(Debug, Error)]
pub enum ResolvingFailed {
    /// There is no interpreter.
    #[error(transparent)]
    Interpreter(#[from] Box<InterpreterError>),
    /// The dependencies of a project are not known.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// A setting of the index is malformed.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The resolver failed.
    #[error(transparent)]
    Resolve(#[from] ResolveFailed),
}

impl Caller<'_> {
    /// Resolves requirements for an interpreter.
    ///
    /// # Errors
    /// See [`ResolvingFailed`].
    pub(super) fn resolve(
        &self,
        asked: &Asked,
        resolver: Resolver,
        (interpreter, sources): (&Interpreter, &Sources),
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
        Ok(self.with_control(|control| {
            let resolving = Resolving {
                interpreter,
                sources: &sources,
                uv_variables: &uv_variables,
                around,
                control,
            };
            resolving.resolve(resolver, asked)
        })?)
    }
}
