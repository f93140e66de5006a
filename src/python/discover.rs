//! Discovery: from a request to an interpreter.
//!
//! Promises to look in the order of `candidates.rs`, to take the first that fits, and to say what it passed over, why, and
//! where it looked. A file that was named by its path is the only one looked at, and its error is the error. Where nobody
//! asked for anything, the project may (`precedence.rs`).
//! Reads no variable and no working directory: [`Surroundings`] has them.
//!
//! Read next: `probe.rs`, which asks a candidate; `probe_cache.rs` and `build_details.rs`, which may spare the asking; `listing.rs`,
//! which looks at all of them.

use std::fs;
use std::path::{Path, PathBuf};

use super::build_details;
use super::candidates::{self, Candidate, Source};
use super::error::{InterpreterError, Tried};
use super::interpreter::Interpreter;
use super::precedence::{Resolved, Wanted};
use super::probe;
use super::probe_cache;
use super::pyenv_shim;
use super::release::Release;
use super::request::Request;
use super::surroundings::{Control, Surroundings};

/// Finds the interpreter that was asked for, and describes the base installation that it belongs to.
///
/// # Errors
/// [`InterpreterError::NotFound`] with everything that was tried; for a request by path what is wrong with
/// that one file; [`InterpreterError::Interrupted`] as soon as `control` says so.
pub fn find(
    request: &Request,
    around: &Surroundings,
    control: &Control<'_>,
) -> Result<Interpreter, InterpreterError> {
    find_wanted(&unlimited(request), around, control)
}

/// The same, with a project that has a say.
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

/// An interpreter, as far as it has to be known to choose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Which Python it is.
    pub release: Release,
    /// The base executable: the path that it is started by, links not resolved.
    pub executable: PathBuf,
    /// The file that [`executable`](Self::executable) leads to.
    pub real_executable: PathBuf,
    /// How it was found.
    pub source: Source,
}

/// Finds the interpreter that [`find`] would find, and starts none that says beside itself what it is.
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

/// Finds the interpreter that [`find_wanted`] would find, and starts none that says beside itself what it is.
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

/// What is known of a file without starting it, or what it answers.
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
            source: Source::Asked,
        });
    }
    let found = ask(path, around, control)?;
    Ok(Located {
        release: found.release(),
        executable: found.executable,
        real_executable: found.real_executable,
        source: Source::Asked,
    })
}

/// What a file answered once, if nothing that the answer rests on has changed.
pub(super) fn remembered(path: &Path, around: &Surroundings) -> Option<Interpreter> {
    let behind = pyenv_shim::behind(path, around);
    let path = behind.as_deref().unwrap_or(path);
    probe_cache::Slot::of(path, around).as_ref()?.recall()
}

/// One look at a file: remembered, or asked and then remembered.
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

/// What is taken of a candidate, as far as the search needs it.
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

/// How candidates are looked at, and what is taken of the one that fits.
struct Look<'a, T> {
    around: &'a Surroundings,
    take: &'a dyn Fn(&Path) -> Result<T, InterpreterError>,
}

impl<T: Found> Look<'_, T> {
    fn search(&self, wanted: &Wanted<'_>) -> Result<(T, Source), InterpreterError> {
        let resolved = wanted.resolve(self.around)?;
        let (found, source) = self.first(&resolved)?;
        wanted.compare(&resolved, &found.release());
        Ok((found, source))
    }

    fn first(&self, resolved: &Resolved) -> Result<(T, Source), InterpreterError> {
        if let Request::Path(path) = &resolved.request {
            return self.at_path(path).map(|found| (found, Source::Asked));
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

    /// Looks at one candidate. Only an interrupt ends the search with an error.
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
                        // The file of a shim is not the file that answered: it may answer otherwise
                        // under another name.
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
    /// Files that are known not to match, under whatever name they come again.
    unfit: Vec<PathBuf>,
}
