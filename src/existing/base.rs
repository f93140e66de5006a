//! The base of an existing environment: which interpreter an upgrade uses when nobody names one.
//!
//! Promises the interpreter that the environment was made from if it is still there and of the same minor version;
//! else the same minor version from wherever the usual search finds it; else an error that names what is gone.
//! Never promises another minor version: packages would vanish from view, and that is a person's decision.
//!
//! Read next: `../interpreter/discover.rs`, the usual search.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Existing, Flavour, Standing};
use crate::interpreter::{
    self, Control, Interpreter, InterpreterError, Request, Surroundings, Tried, VersionRequest,
};

/// Why an environment's base interpreter could not be had.
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
        /// Which Python it was.
        python: String,
        /// Where it was.
        home: PathBuf,
        /// What was looked at.
        #[source]
        source: Box<InterpreterError>,
    },
    /// Somebody asked to stop.
    #[error(transparent)]
    Interrupted(InterpreterError),
}

impl Existing {
    /// What to ask for, in order: the base by its paths, then its version.
    ///
    /// A path says nothing of a version: whoever uses it must compare, as [`Existing::base`] does.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        let mut paths = Vec::new();
        let mut names = Vec::new();
        if let Some(Standing::Linked { base, .. } | Standing::Dangling { target: base }) =
            self.python.main()
        {
            names.extend(base.file_name().map(ToOwned::to_owned));
            paths.push(base.clone());
        }
        // A copy does not tell by which name of the base it was made, and scripts are written for that name.
        let invoked = self.config.invoked.as_deref();
        let of_home = invoked.filter(|python| python.parent() == Some(&self.config.home));
        names.extend(of_home.and_then(Path::file_name).map(ToOwned::to_owned));
        let flavour = self.flavour();
        names.extend(flavour.iter().map(|flavour| flavour.to_string().into()));
        if let Some(flavour) = &flavour {
            names.extend([format!("{}3", flavour.stem), flavour.stem.clone()].map(Into::into));
        }
        paths.extend(names.into_iter().map(|name| self.config.home.join(name)));
        paths.extend(self.config.executables.iter().cloned());
        let mut requests: Vec<Request> = Vec::new();
        for path in paths.into_iter().filter(|path| path.is_absolute()) {
            let request = Request::Path(path);
            if !requests.contains(&request) {
                requests.push(request);
            }
        }
        requests.extend(flavour.as_ref().map(version_request).map(Request::Version));
        requests
    }

    /// The interpreter for an upgrade that names none.
    ///
    /// # Errors
    /// [`BaseError::Gone`] with everything that was looked at; [`BaseError::Interrupted`] as soon as `control` says so.
    pub fn base(
        &self,
        around: &Surroundings,
        control: &Control<'_>,
    ) -> Result<Interpreter, BaseError> {
        let mut tried = Vec::new();
        for request in self.requests() {
            match interpreter::find(&request, around, control) {
                Ok(found) => match self.objection(&found) {
                    None => return Ok(found),
                    Some(reason) => tried.push(Tried {
                        is_broken: false,
                        path: found.executable,
                        reason,
                    }),
                },
                Err(error @ InterpreterError::Interrupted { .. }) => {
                    return Err(BaseError::Interrupted(error));
                }
                Err(InterpreterError::NotFound { tried: more, .. }) => tried.extend(more),
                Err(error) => tried.extend(told(&request, &error)),
            }
        }
        let mut seen: Vec<Tried> = Vec::new();
        for one in tried {
            if seen.iter().all(|other| other.path != one.path) {
                seen.push(one);
            }
        }
        let python = self
            .flavour()
            .map_or_else(|| "its version unknown".to_owned(), |f| f.to_string());
        Err(BaseError::Gone {
            path: self.path.clone(),
            home: self.config.home.clone(),
            source: Box::new(InterpreterError::NotFound {
                request: python.clone(),
                tried: seen,
                searched: Vec::new(),
            }),
            python,
        })
    }

    /// Why an interpreter cannot be this environment's base, if it cannot.
    fn objection(&self, found: &Interpreter) -> Option<String> {
        let wanted = self.flavour()?;
        if version_request(&wanted).matches(found)
            && wanted.is_pypy() == (found.implementation == "pypy")
        {
            return None;
        }
        Some(format!(
            "it is {} {}{}",
            found.implementation.escape_debug(),
            found.version.text.escape_debug(),
            if found.free_threaded {
                " (free-threaded)"
            } else {
                ""
            }
        ))
    }
}

/// A path that was asked, and what came of it.
fn told(request: &Request, error: &InterpreterError) -> Option<Tried> {
    match request {
        Request::Path(path) => Some(Tried {
            is_broken: true,
            path: path.clone(),
            reason: error.to_string(),
        }),
        Request::Default | Request::Name(_) | Request::Version(_) | Request::Range(_) => None,
    }
}

fn version_request(flavour: &Flavour) -> VersionRequest {
    VersionRequest {
        implementation: flavour.is_pypy().then(|| "pypy".to_owned()),
        minor: Some(flavour.minor),
        micro: None,
        free_threaded: flavour.free_threaded,
    }
}
