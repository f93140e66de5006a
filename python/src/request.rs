//! What Python asks for: the options of a builder, and what its hooks planned.
//!
//! Promises to read a dictionary of Python's and nothing else.
//! Read next: `recorded.rs`.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use pyo3::prelude::*;
use rvenv::host::Host;
use rvenv::locked::LockRequest;
use rvenv::options::{Choices, Options, Prompt};
use rvenv::python::{Purpose, Request};
use rvenv::removal::Removal;
use rvenv::request::{AskedPython, EnvRequest, Intent, Unchanged};
use rvenv::wheel::Sources;

use crate::recorded::Step;

/// The arguments of `create` and `plan`, by the names that the Python half gives them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are the options of venv.EnvBuilder"
)]
pub(crate) struct Asked {
    pub(crate) env_dir: OsString,
    pub(crate) python: PathBuf,
    pub(crate) system_site_packages: bool,
    pub(crate) clear: bool,
    pub(crate) symlinks: bool,
    pub(crate) upgrade: bool,
    pub(crate) with_pip: bool,
    pub(crate) prompt: Option<String>,
    pub(crate) orig_prompt: Option<String>,
    pub(crate) upgrade_deps: bool,
    /// Whether the newest pip is downloaded for that, rather than by an override.
    pub(crate) downloads_deps: bool,
    pub(crate) scm_ignore_files: BTreeSet<String>,
    /// What the hooks planned, in their order; a hook that is not listed does what venv does.
    pub(crate) steps: Vec<(String, Vec<Step>)>,
    /// Whether code of the caller changes the environment before it is settled.
    pub(crate) as_whole: bool,
    /// Wheels and requirements that are installed.
    pub(crate) wheels: Vec<PathBuf>,
    pub(crate) requirements: Vec<String>,
    /// Whether a directory that is not an environment may be cleared.
    pub(crate) force: bool,
    /// Whether what is replaced is kept as a generation.
    pub(crate) keep: bool,
}

impl Asked {
    /// Whether an existing environment gets this interpreter; venv's `upgrade` also makes one where
    /// there is none.
    fn intent(&self, env_dir: &str) -> Intent {
        let exists = std::fs::symlink_metadata(PathBuf::from(env_dir).join("pyvenv.cfg")).is_ok();
        if self.upgrade && exists {
            Intent::Upgrade
        } else {
            Intent::Create
        }
    }

    /// The request of the library.
    pub(crate) fn request(
        &self,
        host: &Host,
        env_dir: String,
        purpose: Purpose,
    ) -> Result<EnvRequest, rvenv::request::RequestFailed> {
        let intent = self.intent(&env_dir);
        let asked = AskedPython::of(Request::Path(self.python.clone()), host)?;
        let said = Choices {
            system_site_packages: match intent {
                Intent::Upgrade => self.system_site_packages.then_some(true),
                Intent::Create | Intent::Sync => Some(self.system_site_packages),
            },
            symlinks: (intent != Intent::Upgrade).then_some(self.symlinks),
            prompt: self.prompt.as_ref().map(|prompt| Prompt {
                // The constructor has already replaced `.`.
                asked: self.orig_prompt.clone().unwrap_or_else(|| prompt.clone()),
                cwd_name: prompt.clone(),
            }),
        };
        Ok(EnvRequest {
            env_dir,
            intent,
            python: asked,
            options: Options {
                system_site_packages: self.system_site_packages,
                clear: self.clear,
                upgrade_deps: self.upgrade_deps && self.downloads_deps,
                symlinks: self.symlinks,
                with_pip: self.with_pip,
                scm_ignore_files: self.scm_ignore_files.clone(),
                ..Options::default()
            },
            said,
            packages: self.wheels.clone(),
            removal: Removal::default(),
            locks: LockRequest {
                requirements: self.requirements.clone(),
                ..LockRequest::default()
            },
            sources: Sources::default(),
            purpose,
            unchanged: Unchanged::Planned,
        })
    }
}
