//! Resolving for a caller: with its interpreter, its settings and its working directory.
//!
//! Promises that a resolver gets the same sources as the fetcher that follows it.
//! Read next: `../resolve.rs`.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::caller::Caller;
use super::request::AskedPython;
use crate::fetch::{FetchOptions, Settings, SettingsError};
use crate::lock::Lock;
use crate::python::{Interpreter, InterpreterError};
use crate::resolve::{Asked, ProjectError, ResolveFailed, Resolver, Resolving, dependencies};
use crate::wheel::download::Sources;

/// What a lock is made of.
#[derive(Clone, Debug)]
pub struct ResolveRequest {
    /// Requirements, files of them, and what is preferred.
    pub asked: Asked,
    /// The `pyproject.toml` of projects, whose dependencies are added.
    pub projects: Vec<PathBuf>,
    /// The extras of these projects.
    pub extras: Vec<String>,
    /// Who resolves.
    pub resolver: Resolver,
    /// The interpreter that it is for.
    pub python: AskedPython,
    /// Where distributions are looked for, besides pip's own configuration.
    pub sources: Sources,
}

/// Why there is no lock.
#[derive(Debug, Error)]
pub enum ResolvingFailed {
    /// There is no interpreter.
    #[error(transparent)]
    Interpreter(#[from] InterpreterError),
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
    /// Resolves requirements for the interpreter that is asked for.
    ///
    /// # Errors
    /// See [`ResolvingFailed`].
    pub fn lock(&self, request: &ResolveRequest) -> Result<Lock, ResolvingFailed> {
        let mut asked = request.asked.clone();
        for project in &request.projects {
            asked
                .requirements
                .extend(dependencies(project, &request.extras)?);
        }
        let cwd = &self.host.surroundings.cwd;
        let interpreter = self.find(&request.python, cwd)?;
        self.resolve(&asked, request.resolver, (&interpreter, &request.sources))
    }

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
        let settings = Settings::read(sources, &options, around)?;
        let sources = Sources {
            no_index: settings.indexes.is_empty(),
            ..sources.clone()
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
