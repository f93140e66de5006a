//! Locks for a caller: what is to be resolved, and for which interpreter.
//!
//! Promises that the interpreter is found as `create` finds it.
//! Read next: `resolving.rs`.

use std::path::PathBuf;

use super::caller::Caller;
use super::request::AskedPython;
use super::resolving::ResolvingFailed;
use crate::lock::Lock;
use crate::resolve::{Asked, Resolver, dependencies};
use crate::wheel::Sources;

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
        let interpreter = self.find(&request.python, cwd).map_err(Box::new)?;
        self.resolve(&asked, request.resolver, &interpreter, &request.sources)
    }
}
