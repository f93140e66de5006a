//! Locks for a caller: what is to be resolved, and for which interpreter.
//!
//! Promises that the interpreter is found as `create` finds it.
//! Read next: `resolving.rs`; `project_needs.rs`.

use std::path::PathBuf;

use super::building::BuildTerms;
use super::caller::Caller;
use super::lock_request::{Builds, LockRequest};
use super::request::AskedPython;
use super::resolving::ResolvingFailed;
use crate::lock::{Environment, Kernel, Lock};
use crate::resolve::{Asked, Resolver, SourceUse};
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
        let cwd = &self.host.surroundings.cwd;
        let interpreter = self.find(&request.python, cwd).map_err(Box::new)?;
        let terms = BuildTerms {
            interpreter: &interpreter,
            environment: &Environment::of(&interpreter, &Kernel::running()),
            request: &LockRequest {
                resolver: request.resolver,
                builds: match asked.sources {
                    SourceUse::Build => Builds::Unlocked,
                    SourceUse::Refuse => Builds::Nothing,
                },
                config_settings: asked.config_settings.clone(),
                ..LockRequest::default()
            },
            sources: &request.sources,
        };
        for project in &request.projects {
            let needs = self.project_needs(project, &request.extras, terms)?;
            asked.requirements.extend(needs);
        }
        self.resolve(&asked, request.resolver, &interpreter, &request.sources)
    }
}
