//! Listing: every interpreter that can be found, each of them once.
//!
//! Promises:
//! - One interpreter is listed once, under the first path that leads to it, with the other paths
//!   beside it.
//! - An environment counts as a path to its base.
//! - A file that does not work is reported with the reason, and does not end the listing.
//! - No interpreter is started if its answer is remembered or if it has a `build-details.json`.
//!
//! Leaves out Python 2, and pyenv shims that lead to no active version, since pyenv's versions are
//! listed themselves.
//!
//! Read next: `candidates.rs`, which decides where to search.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::candidates::{self, Candidate};
use super::discover::{self, Located};
use super::error::{InterpreterError, Tried};
use super::pyenv_shim;
use super::request::Request;
use super::surroundings::{Control, Surroundings};

/// The interpreters that were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// `CPython` first, the newest version first.
    pub found: Vec<Listed>,
    /// The files that were tried and do not work.
    pub unusable: Vec<Tried>,
}

/// An interpreter, and every path that leads to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The interpreter, under the first path that leads to it.
    pub located: Located,
    /// The other paths, in the order in which they were found; those of environments are among
    /// them.
    pub links: Vec<PathBuf>,
}

/// Lists the interpreters that match a request; [`Request::Default`] lists all.
///
/// # Errors
/// [`InterpreterError::Interrupted`] as soon as `control` asks for it; for a request by path, what
/// is wrong with that file.
pub fn list(
    request: &Request,
    around: &Surroundings,
    control: &Control<'_>,
) -> Result<Listing, InterpreterError> {
    let candidates = match request {
        Request::Path(_) => {
            let located = discover::locate(request, around, control)?;
            let links = Vec::new();
            let found = vec![Listed { located, links }];
            return Ok(Listing {
                found,
                ..Listing::default()
            });
        }
        Request::Name(_) => candidates::candidates(request, around).collect(),
        Request::Default | Request::Version(_) | Request::Range(_) => {
            candidates::everything(around)
        }
    };
    let mut listing = Listing::default();
    let mut seen = BTreeSet::new();
    for candidate in candidates {
        let place = place(&candidate.path);
        if is_left_out(&candidate.path, around) || !seen.insert(place) {
            continue;
        }
        listing.look(candidate, around, control)?;
    }
    let fits = |listed: &Listed| request.objection(&listed.located.release).is_none();
    listing.found.retain(fits);
    listing.found.sort_by_key(order);
    Ok(listing)
}

impl Listing {
    fn look(
        &mut self,
        candidate: Candidate,
        around: &Surroundings,
        control: &Control<'_>,
    ) -> Result<(), InterpreterError> {
        let Candidate { path, source } = candidate;
        // A shim is not the file that answers.
        if let Ok(real) = fs::canonicalize(&path)
            && let Some(known) = self.known(&real)
        {
            known.links.push(path);
            return Ok(());
        }
        match discover::glance(&path, around, control) {
            Ok(found) => {
                if let Some(known) = self.known(&found.real_executable) {
                    known.links.push(path);
                    return Ok(());
                }
                let is_link = found.executable != path;
                self.found.push(Listed {
                    located: Located { source, ..found },
                    links: is_link.then_some(path).into_iter().collect(),
                });
            }
            Err(error @ InterpreterError::Interrupted { .. }) => return Err(error),
            Err(error) => self.unusable.push(Tried {
                reason: error.to_string(),
                is_broken: true,
                path,
            }),
        }
        Ok(())
    }

    fn known(&mut self, real: &Path) -> Option<&mut Listed> {
        let mut found = self.found.iter_mut();
        found.find(|listed| listed.located.real_executable == real)
    }
}

/// A file under the real path of its directory: `/bin` may be another name of `/usr/bin`.
fn place(path: &Path) -> PathBuf {
    let directory = path.parent().and_then(|above| fs::canonicalize(above).ok());
    match (directory, path.file_name()) {
        (Some(directory), Some(name)) => directory.join(name),
        _ => path.to_owned(),
    }
}

fn is_left_out(path: &Path, around: &Surroundings) -> bool {
    let real = fs::canonicalize(path).unwrap_or_default();
    let name = real.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("python2")
        || (pyenv_shim::is_shim(path) && pyenv_shim::behind(path, around).is_none())
}

/// `CPython` first, then the newest version first; equal ones stay in the order in which they were
/// found.
fn order(listed: &Listed) -> (bool, String, Reverse<(u32, u32, u32)>) {
    let release = &listed.located.release;
    let version = &release.version;
    let numbers = (version.major, version.minor, version.micro);
    let name = release.implementation.clone();
    (name != "cpython", name, Reverse(numbers))
}
