//! The base of an existing environment: which interpreter an upgrade uses if the caller names none.
//!
//! Promises the interpreter that the environment was created from, if it still exists and has the
//! same minor version; else the newest of the same minor version that the usual search finds; else
//! an error that names what is gone. An interpreter that only the environment names is started as
//! `python/trust.rs` allows. Never uses another minor version: packages would become impossible to
//! import, and only the user may decide that.
//!
//! Read next: `python/discover.rs`, the usual search.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Existing, Flavour, PythonFile};
use crate::python::{
    self, Checkout, Control, Interpreter, InterpreterError, NamedByTarget, Purpose, Request,
    Surroundings, Tried, VersionRequest,
};

/// Why an environment's base interpreter was not found.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BaseError {
    /// It is gone, and so is every other interpreter of that version.
    #[error(
        "the base interpreter of `{}` ({python} in `{}`) is gone, so `--python` must name one",
        path.display().to_string().escape_debug(), home.display().to_string().escape_debug()
    )]
    Gone {
        /// The environment.
        path: PathBuf,
        /// The Python that it was.
        python: String,
        /// Where it was.
        home: PathBuf,
        /// The files that were tried.
        #[source]
        source: Box<InterpreterError>,
    },
    /// Only the environment names it, and the environment's author may have supplied it.
    #[error(
        "rvenv starts the base interpreter of `{}` ({python}) only if `--python` names it",
        path.display().to_string().escape_debug()
    )]
    Untrusted {
        /// The environment.
        path: PathBuf,
        /// The Python that the environment says it is.
        python: String,
        /// The version of Python to request, if it is known.
        version: Option<String>,
        /// The file, and why it is not started.
        #[source]
        source: Box<InterpreterError>,
    },
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(InterpreterError),
}

impl Existing {
    /// The paths of the base that the environment names, in order.
    ///
    /// A path does not prove a version: the caller must compare it, as [`Existing::base`] does.
    #[must_use]
    pub fn named(&self) -> Vec<NamedByTarget> {
        let mut paths = Vec::new();
        let mut names = Vec::new();
        if let Some(PythonFile::Linked { base, .. } | PythonFile::Dangling { target: base }) =
            self.frame.python.main()
        {
            names.extend(base.file_name().map(ToOwned::to_owned));
            paths.push(base.clone());
        }
        // A copy does not show which name of the base it was created by, but scripts are written
        // for that name.
        let invoked = self.frame.config.invoked.as_deref();
        let of_home = invoked.filter(|python| python.parent() == Some(&self.frame.config.home));
        names.extend(of_home.and_then(Path::file_name).map(ToOwned::to_owned));
        let flavour = self.flavour();
        names.extend(flavour.iter().map(|flavour| flavour.to_string().into()));
        if let Some(flavour) = &flavour {
            names.extend([format!("{}3", flavour.stem), flavour.stem.clone()].map(Into::into));
        }
        paths.extend(
            names
                .into_iter()
                .map(|name| self.frame.config.home.join(name)),
        );
        paths.extend(self.frame.config.executables.iter().cloned());
        let mut all: Vec<NamedByTarget> = Vec::new();
        for path in paths.into_iter().filter_map(NamedByTarget::new) {
            if !all.contains(&path) {
                all.push(path);
            }
        }
        all
    }

    /// The version of the base, if the environment names it.
    #[must_use]
    pub fn version(&self) -> Option<VersionRequest> {
        self.flavour().as_ref().map(version_request)
    }

    /// The interpreter for an upgrade that names none; `checkout` is what came with the
    /// environment.
    ///
    /// # Errors
    /// [`BaseError::Untrusted`] for a program that must not be started because only the environment
    /// names it; [`BaseError::Gone`] with everything that was tried; [`BaseError::Interrupted`] as
    /// soon as `control` asks for it.
    pub fn base(
        &self,
        checkout: &Checkout,
        purpose: Purpose,
        around: &Surroundings,
        control: &Control<'_>,
    ) -> Result<Interpreter, BaseError> {
        let mut passed = Passed::default();
        for path in self.named() {
            let found = python::find_named(&path, checkout, purpose, around, control);
            if let Some(found) = self.consider(found, &mut passed)? {
                return Ok(found);
            }
        }
        let python = self
            .flavour()
            .map_or_else(|| "its version unknown".to_owned(), |f| f.to_string());
        // Another installation of the same version is not what it was created from, so only the
        // user may choose it.
        if let Some(error) = passed.untrusted {
            return Err(BaseError::Untrusted {
                path: self.path.clone(),
                version: self.flavour().map(|flavour| format!("3.{}", flavour.minor)),
                python,
                source: Box::new(error),
            });
        }
        if let Some(request) = self.version().map(Request::Version) {
            let found = newest(&request, around, control);
            if let Some(found) = self.consider(found, &mut passed)? {
                return Ok(found);
            }
        }
        let mut seen: Vec<Tried> = Vec::new();
        for one in passed.tried {
            if seen.iter().all(|other| other.path != one.path) {
                seen.push(one);
            }
        }
        Err(BaseError::Gone {
            path: self.path.clone(),
            home: self.frame.config.home.clone(),
            source: Box::new(InterpreterError::NotFound {
                request: python.clone(),
                tried: seen,
                searched: Vec::new(),
            }),
            python,
        })
    }

    /// Takes the result of a search if it fits; otherwise records the reason.
    fn consider(
        &self,
        found: Result<Interpreter, InterpreterError>,
        passed: &mut Passed,
    ) -> Result<Option<Interpreter>, BaseError> {
        match found {
            Ok(found) => match self.refuses(&found) {
                None => return Ok(Some(found)),
                Some(reason) => passed.tried.push(Tried {
                    is_broken: false,
                    path: found.executable,
                    reason,
                }),
            },
            Err(error @ InterpreterError::Interrupted { .. }) => {
                return Err(BaseError::Interrupted(error));
            }
            Err(error @ InterpreterError::Untrusted { .. }) => {
                passed.untrusted.get_or_insert(error);
            }
            Err(InterpreterError::NotFound { tried, .. }) => passed.tried.extend(tried),
            Err(error) => passed.tried.extend(error.path().map(|path| Tried {
                is_broken: true,
                path: path.to_owned(),
                reason: error.to_string(),
            })),
        }
        Ok(None)
    }

    /// Why an interpreter cannot be this environment's base, if it cannot.
    pub(crate) fn refuses(&self, found: &Interpreter) -> Option<String> {
        let wanted = self.flavour()?;
        if version_request(&wanted).matches(found)
            && wanted.is_pypy() == (found.platform.implementation == "pypy")
        {
            return None;
        }
        Some(format!("it is {}", found.release()))
    }
}

/// The newest interpreter that the usual search finds for a request.
fn newest(
    request: &Request,
    around: &Surroundings,
    control: &Control<'_>,
) -> Result<Interpreter, InterpreterError> {
    let listing = python::list(request, around, control)?;
    let newest = listing.found.into_iter().next();
    let newest = newest.map(|listed| Request::Path(listed.located.executable));
    // Without one, the search itself reports where it looked.
    python::find(newest.as_ref().unwrap_or(request), around, control)
}

/// The candidates that a search for a base skipped.
#[derive(Default)]
struct Passed {
    tried: Vec<Tried>,
    /// The first file that must not be started.
    untrusted: Option<InterpreterError>,
}

fn version_request(flavour: &Flavour) -> VersionRequest {
    VersionRequest {
        implementation: flavour.is_pypy().then(|| "pypy".to_owned()),
        minor: Some(flavour.minor),
        micro: None,
        free_threaded: flavour.free_threaded,
    }
}
