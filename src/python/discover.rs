//! Discovery: from a request to an interpreter.
//!
//! Promises to try candidates in the order of `candidates.rs`, to take the first that fits, and to
//! report what it skipped, why, and where it searched. For a request by path it tries that file
//! alone, and the file's error is the result. Without a request, the project may decide
//! (`precedence.rs`). Reads no environment variable and no working directory: [`Surroundings`] has
//! them.
//!
//! Read next: `probe.rs`, which asks a candidate; `probe_cache.rs` and `build_details.rs`, which
//! may save the question; `listing.rs`, which tries all of them.

use std::fs;
use std::path::{Path, PathBuf};

use super::build_details;
use super::candidates::{self, Candidate, FoundBy};
use super::error::{InterpreterError, Tried};
use super::interpreter::Interpreter;
use super::precedence::{Resolved, Wanted};
use super::probe;
use super::probe_cache;
use super::pyenv_shim;
use super::release::Release;
use super::request::Request;
use super::surroundings::{Control, Surroundings};

/// Finds the requested interpreter, and describes the base installation that it belongs to.
///
/// # Errors
/// [`InterpreterError::NotFound`] with everything that was tried; for a request by path, what is
/// wrong with that file; [`InterpreterError::Interrupted`] as soon as `control` asks for it.
pub fn find(
    request: &Request,
    around: &Surroundings,
    control: &Control<'_>,
) -> Result<Interpreter, InterpreterError> {
    find_wanted(&unlimited(request), around, control)
}

/// Finds the interpreter that is wanted, where a project may choose or limit it.
///
/// # Errors
/// As those of [`find`], and [`InterpreterError::BadPin`].
pub fn find_wanted(
    wanted: &Wanted<'_>,
    around: &Surroundings,
    control: &Control<'_>,
) -> Result<Interpreter, InterpreterError> {
    let look = Look {
        around,
        take: &|path| ask(path, around, control),
    };
    look.search(wanted).map(|(found, _)| found)
}

/// A request that no project limits.
fn unlimited(request: &Request) -> Wanted<'_> {
    Wanted {
        request,
        variable: None,
        target: None,
        warning: &|_| {},
    }
}

/// As much of an interpreter as is needed to choose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Which Python it is.
    pub release: Release,
    /// The base executable: the path that it is started by, links not resolved.
    pub executable: PathBuf,
    /// The file that [`executable`](Self::executable) leads to.
    pub real_executable: PathBuf,
    /// How it was found.
    pub source: FoundBy,
}

/// Finds the interpreter that [`find`] would find; starts none that has a `build-details.json`.
///
/// # Errors
/// As those of [`find`].
pub fn locate(
    request: &Request,
    around: &Surroundings,
    control: &Control<'_>,
) -> Result<Located, InterpreterError> {
    locate_wanted(&unlimited(request), around, control)
}

/// Finds the interpreter that [`find_wanted`] would find; starts none that has a
/// `build-details.json`.
///
/// # Errors
/// As those of [`find_wanted`].
pub fn locate_wanted(
    wanted: &Wanted<'_>,
    around: &Surroundings,
    control: &Control<'_>,
) -> Result<Located, InterpreterError> {
    let look = Look {
        around,
        take: &|path| glance(path, around, control),
    };
    let (found, source) = look.search(wanted)?;
    Ok(Located { source, ..found })
}

/// Describes a file from what is known without starting it, else from its own answer.
pub(super) fn glance(
    path: &Path,
    around: &Surroundings,
    control: &Control<'_>,
) -> Result<Located, InterpreterError> {
    let behind = pyenv_shim::behind(path, around);
    let path = behind.as_deref().unwrap_or(path);
    if let (Some(release), Ok(real_executable)) =
        (build_details::beside(path), fs::canonicalize(path))
    {
        return Ok(Located {
            release,
            executable: path.to_owned(),
            real_executable,
            source: FoundBy::Asked,
        });
    }
    let found = ask(path, around, control)?;
    Ok(Located {
        release: found.release(),
        executable: found.executable,
        real_executable: found.real_executable,
        source: FoundBy::Asked,
    })
}

/// The remembered answer of a file, if nothing that the answer depends on has changed.
pub(crate) fn remembered(path: &Path, around: &Surroundings) -> Option<Interpreter> {
    let behind = pyenv_shim::behind(path, around);
    let path = behind.as_deref().unwrap_or(path);
    probe_cache::Slot::of(path, around).as_ref()?.recall()
}

/// Asks a file, unless its answer is remembered; remembers the answer.
pub(super) fn ask(
    path: &Path,
    around: &Surroundings,
    control: &Control<'_>,
) -> Result<Interpreter, InterpreterError> {
    let behind = pyenv_shim::behind(path, around);
    let path = behind.as_deref().unwrap_or(path);
    let slot = probe_cache::Slot::of(path, around);
    if let Some(known) = slot.as_ref().and_then(probe_cache::Slot::recall) {
        return Ok(known);
    }
    let probed = probe::probe(path, around, control)?;
    if let Some(slot) = slot
        && probed.steady
    {
        slot.remember(&probed.interpreter);
    }
    Ok(probed.interpreter)
}

/// The result of trying a candidate, as far as the search needs it.
trait Found {
    fn release(&self) -> Release;
    fn real_executable(&self) -> &Path;
}

impl Found for Interpreter {
    fn release(&self) -> Release {
        self.release()
    }

    fn real_executable(&self) -> &Path {
        &self.real_executable
    }
}

impl Found for Located {
    fn release(&self) -> Release {
        self.release.clone()
    }

    fn real_executable(&self) -> &Path {
        &self.real_executable
    }
}

/// How candidates are tried, and what is kept of the one that fits.
struct Look<'a, T> {
    around: &'a Surroundings,
    take: &'a dyn Fn(&Path) -> Result<T, InterpreterError>,
}

impl<T: Found> Look<'_, T> {
    fn search(&self, wanted: &Wanted<'_>) -> Result<(T, FoundBy), InterpreterError> {
        let resolved = wanted.resolve(self.around)?;
        let (found, source) = self.first(&resolved)?;
        wanted.compare(&resolved, &found.release());
        Ok((found, source))
    }

    fn first(&self, resolved: &Resolved) -> Result<(T, FoundBy), InterpreterError> {
        if let Request::Path(path) = &resolved.request {
            return self.at_path(path).map(|found| (found, FoundBy::Asked));
        }
        let mut seen = Seen::default();
        for candidate in candidates::candidates(&resolved.request, self.around) {
            if let Some(found) = self.consider(&candidate, resolved, &mut seen)? {
                return Ok((found, candidate.source));
            }
        }
        Err(InterpreterError::NotFound {
            request: resolved.in_words(),
            tried: seen.tried,
            searched: candidates::searched(self.around),
        })
    }

    fn at_path(&self, path: &Path) -> Result<T, InterpreterError> {
        let path = probe::absolute(path, &self.around.cwd);
        match fs::metadata(&path) {
            Err(error) => Err(InterpreterError::NotFound {
                request: Request::Path(path.clone()).to_string(),
                tried: vec![Tried {
                    is_broken: true,
                    reason: error.to_string(),
                    path,
                }],
                searched: Vec::new(),
            }),
            Ok(found) if found.is_dir() => {
                (self.take)(&candidates::in_directory(&path).unwrap_or(path))
            }
            Ok(_) => (self.take)(&path),
        }
    }

    /// Tries one candidate. Only an interrupt ends the search with an error.
    fn consider(
        &self,
        candidate: &Candidate,
        wanted: &Resolved,
        seen: &mut Seen,
    ) -> Result<Option<T>, InterpreterError> {
        let path = &candidate.path;
        let real = fs::canonicalize(path).unwrap_or_default();
        if seen.unfit.contains(&real) {
            return Ok(None);
        }
        let unfit = |release: Release| wanted.objection(&release).map(|reason| (false, reason));
        let (is_broken, reason) = match build_details::beside(path).and_then(unfit) {
            Some(unfit) => {
                seen.unfit.push(real);
                unfit
            }
            None => match (self.take)(path) {
                Ok(found) => match unfit(found.release()) {
                    None => return Ok(Some(found)),
                    Some(unfit) => {
                        // A shim is not the file that answered: under another name it may answer
                        // differently.
                        if real == found.real_executable() {
                            seen.unfit.push(real);
                        }
                        unfit
                    }
                },
                Err(error @ InterpreterError::Interrupted { .. }) => return Err(error),
                Err(error) => {
                    let is_old = matches!(error, InterpreterError::TooOld { .. });
                    (!is_old && !pyenv_shim::is_shim(path), error.to_string())
                }
            },
        };
        seen.tried.push(Tried {
            path: path.clone(),
            reason,
            is_broken,
        });
        Ok(None)
    }
}

/// What a search has seen so far.
#[derive(Default)]
struct Seen {
    tried: Vec<Tried>,
    /// Files that are known not to match, whatever path leads to them again.
    unfit: Vec<PathBuf>,
}
