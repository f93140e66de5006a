//! What a project needs: as its `pyproject.toml` lists it, or as its build tool says.
//!
//! Promises that no backend runs for a project that lists its dependencies, nor for any project if
//! nothing may be built.
//!
//! On disk: what `../backend.rs` says; the backend runs in the project.
//! Read next: `building.rs`, which runs the backend.

use std::path::Path;

use super::building::{BuildTerms, Order, Origin};
use super::caller::Caller;
use super::lock_request::Builds;
use super::resolving::ResolvingFailed;
use crate::backend::Form;
use crate::resolve::{ProjectError, ProjectNeeds, dependencies, needs_in_metadata};

impl Caller<'_> {
    /// The requirements of the project whose `pyproject.toml` is at `path`, with those of these
    /// extras.
    ///
    /// # Errors
    /// A file that cannot be read; a backend that fails or may not run.
    pub(super) fn project_needs(
        &self,
        path: &Path,
        extras: &[String],
        terms: BuildTerms<'_>,
    ) -> Result<Vec<String>, ResolvingFailed> {
        let name = match dependencies(path, extras)? {
            ProjectNeeds::Listed(all) => return Ok(all),
            ProjectNeeds::Dynamic { name } => name.unwrap_or_default(),
        };
        if terms.request.builds == Builds::Nothing {
            let path = path.to_owned();
            return Err(ProjectError::Dynamic { path }.into());
        }
        let order = Order {
            name: &name,
            version: "",
            origin: Origin::Directory {
                path: path.parent().unwrap_or(path),
                subdirectory: None,
                form: Form::Wheel,
            },
        };
        let metadata = self.metadata(&order, terms).map_err(Box::new)?;
        let needs = needs_in_metadata(&metadata, extras, terms.environment);
        Ok(needs.map_err(|why| ProjectError::Content {
            path: path.to_owned(),
            why,
        })?)
    }
}
