//! Cloning: what a new environment gets of another one.
//!
//! Promises to read the source only, to keep its interpreter and its choices, and to name what is
//! not copied.
//!
//! Read next: `../change/carry/copied.rs`; `../change/environment/cloning.rs`, which plans it.

use std::path::Path;

use super::caller::Caller;
use super::request::{AskedPython, RequestFailed};
use crate::build::hooks::{Context, Venv};
use crate::build::options::{GIT, Options};
use crate::change::carry::{self, Companions};
use crate::change::environment::draft_clone;
use crate::change::existing::{Existing, ExistingError};
use crate::python::{Purpose, Request};

/// What a clone consists of.
#[derive(Debug)]
pub struct CloneAnswer {
    /// Everything that a hook may know about the clone.
    pub context: Context,
    /// The packages; those that cannot be copied are lost.
    pub companions: Companions,
    /// What the source has besides, which the clone does not get.
    pub foreign: Vec<String>,
    /// Whether the interpreter is one for the packages of the source.
    pub is_same_python: bool,
}

impl Caller<'_> {
    /// Reads the environment `from` for a clone at `to`, both absolute; `named` is its interpreter
    /// if only the environment names it.
    ///
    /// # Errors
    /// See [`RequestFailed`].
    pub fn prepare_clone(
        &self,
        from: &str,
        to: &str,
        named: &Request,
        purpose: Purpose,
    ) -> Result<CloneAnswer, RequestFailed> {
        let from = Path::new(from);
        let (root, path) = self.open_existing(from)?;
        let disk = |source| ExistingError::Disk {
            path: path.clone(),
            source,
        };
        let existing = Existing::read(self.fs, &root, &path)?;
        let interpreter = if *named == Request::Default {
            self.base_of(&existing, from, purpose)?
        } else {
            self.find(&AskedPython::named(named), from)?
        };
        let is_ignored = path.join(".gitignore").is_file();
        let options = existing.choices().over(Options {
            with_pip: false,
            scm_ignore_files: is_ignored.then(|| GIT.to_owned()).into_iter().collect(),
            ..Options::default()
        });
        let mut context = self.context(to, interpreter, options)?;
        let mut companions = carry::copied(self.fs, &root, &existing, &context).map_err(disk)?;
        context.checked = std::mem::take(&mut companions.checked);
        let own = &context.layout.lib_path;
        let has_own = existing.libs.iter().any(|lib| lib.path == *own);
        let is_same_python = existing.libs.is_empty() || has_own;
        let draft = draft_clone(&Venv, &context, &companions)?;
        let foreign = carry::foreign(self.fs, &root, &companions, &draft).map_err(disk)?;
        Ok(CloneAnswer {
            context,
            companions,
            foreign,
            is_same_python,
        })
    }
}
