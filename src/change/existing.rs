//! Existing environments: the state of a target before it is upgraded or added to, whichever tool
//! created it.
//!
//! Promises to read through open directories, to follow no symbolic link in the environment, and to
//! run nothing: it understands what `venv`, `virtualenv`, `uv` and `rvenv` create by its files
//! alone. It refuses a link that could hide packages rather than overlook them (I7). Does not
//! promise that the environment works; `build/checks.rs` checks that.
//!
//! Read next: `existing/config_reader.rs` for `pyvenv.cfg`, `existing/python_names.rs` for `bin`,
//! `existing/base_interpreter.rs` for the interpreter that an upgrade uses.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use rvenv_journal::fs::{Dir, Fs, FsError, Kind};
use rvenv_journal::{Plan, RelPath};
use thiserror::Error;

use crate::build::layout::Layout;
use crate::build::options::{Choices, Prompt};
use crate::build::pyvenv_cfg::CONFIG_NAME;
use crate::wheel::distributions::Distribution;
use crate::wheel::marker::Variables;
use crate::wheel::requirement::variables;

mod base_interpreter;
mod config_reader;
mod libs;
mod python_change;
mod python_names;

pub use base_interpreter::BaseError;
pub use config_reader::Config;
pub use libs::Lib;
pub(crate) use libs::{LIBRARIES, Libs, WINDOWS_LIBRARY};
pub use python_change::{EnvPython, PythonChange};
pub(crate) use python_change::{planned_distributions, planned_libs};
pub(crate) use python_names::bin_name;
pub use python_names::{PythonFile, PythonNames};

/// More than any real `pyvenv.cfg` has.
const CONFIG_BYTES_MAX: u64 = 1 << 16;
/// The directory of packages.
pub(crate) const SITE_PACKAGES: &str = "site-packages";

/// The current state of an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// Where it is.
    pub path: PathBuf,
    /// What it has besides packages.
    pub frame: Frame,
    /// Its directories of packages, by path.
    pub libs: Vec<Lib>,
}

/// The frame of an environment: what it consists of before any package is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The content of its `pyvenv.cfg`.
    pub config: Config,
    /// The names of its interpreter and of pip.
    pub python: PythonNames,
}

/// The interpreter that a name such as `python3.13t` or `pypy3.9` means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flavour {
    /// `python`, `pypy`, `graalpy`.
    pub stem: String,
    /// The minor version after 3.
    pub minor: u32,
    /// Whether it is the build without the global interpreter lock.
    pub free_threaded: bool,
}

/// Why an environment could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExistingError {
    /// There is no `pyvenv.cfg`, so this is not an environment.
    #[error("`{0}` is not a virtual environment: it has no pyvenv.cfg")]
    NoConfig(PathBuf),
    /// The `pyvenv.cfg` is malformed or incomplete.
    #[error("`{path}` is not a valid pyvenv.cfg: {reason}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A symbolic link in place of a directory of packages, whose packages cannot be seen.
    #[error("`{0}` is a symbolic link, and packages behind it could be overlooked")]
    Link(PathBuf),
    /// A system call failed.
    #[error("cannot read the environment `{path}`")]
    Disk {
        /// The environment.
        path: PathBuf,
        /// Why.
        source: FsError,
    },
}

impl Existing {
    /// Reads the environment at `path`, open as `root`.
    ///
    /// # Errors
    /// See [`ExistingError`].
    pub fn read(fs: &dyn Fs, root: &Dir, path: &Path) -> Result<Self, ExistingError> {
        let reader = Reader { fs, path };
        let config = reader.config(root)?;
        let Libs { libs, links } = Libs::read(fs, root).map_err(|e| reader.disk(e))?;
        if let Some(link) = links.first() {
            return Err(ExistingError::Link(path.join(link.as_str())));
        }
        reader.with(root, config, libs)
    }

    /// The environment at `path` whose packages were read already, links in their place or not.
    ///
    /// # Errors
    /// See [`ExistingError`].
    pub(crate) fn with_libs(
        fs: &dyn Fs,
        root: &Dir,
        path: &Path,
        libs: Vec<Lib>,
    ) -> Result<Self, ExistingError> {
        let reader = Reader { fs, path };
        reader.with(root, reader.config(root)?, libs)
    }

    /// The interpreter that it is for: by its `pyvenv.cfg`, else by the target of its interpreter,
    /// else by its only library.
    #[must_use]
    pub fn flavour(&self) -> Option<Flavour> {
        let only = || match self.libs.as_slice() {
            [lib] => lib.flavour.as_ref().map(|flavour| flavour.minor),
            _ => None,
        };
        let minor = self
            .frame
            .config
            .minor()
            .or_else(|| self.frame.python.minor());
        let minor = minor.or_else(only)?;
        let mut known = self.libs.iter().filter_map(|lib| lib.flavour.as_ref());
        let own = known.find(|flavour| flavour.minor == minor);
        Some(
            own.cloned()
                .unwrap_or_else(|| Flavour::of_config(&self.frame.config, minor)),
        )
    }

    /// What markers may ask about its Python, which has this minor version.
    pub(crate) fn variables(&self, minor: u32) -> Variables {
        let short = format!("3.{minor}");
        let full = self.frame.config.version.as_deref().unwrap_or(&short);
        let full = full.split(".final").next().unwrap_or(full);
        let is_pypy = self.flavour().is_some_and(|flavour| flavour.is_pypy());
        variables(minor, full, if is_pypy { "pypy" } else { "cpython" })
    }

    /// The options that an upgrade keeps unless the caller sets them.
    #[must_use]
    pub fn choices(&self) -> Choices {
        let linked = self.frame.python.main().map(|file| match file {
            PythonFile::Linked { .. } | PythonFile::Dangling { .. } => true,
            PythonFile::Copied => false,
        });
        Choices {
            system_site_packages: Some(self.frame.config.system_site_packages),
            symlinks: linked,
            prompt: self.frame.config.prompt.as_ref().map(|prompt| Prompt {
                asked: prompt.clone(),
                // The file has the final text, even if it is `.`.
                cwd_name: prompt.clone(),
            }),
        }
    }

    /// The distributions that are installed where the layout `new` has its packages.
    #[must_use]
    pub fn installed(&self, new: &Layout) -> Vec<Distribution> {
        let own = self.libs.iter().filter(|lib| is_of(lib, new));
        own.flat_map(|lib| lib.distributions.iter().cloned())
            .collect()
    }

    /// The packages that can be imported now and could not be once the environment has the layout
    /// `new`, by name.
    ///
    /// Those named in `seeded` are not counted, since the upgrade installs them anew. Nor are
    /// packages that an earlier upgrade left in a library that neither `pyvenv.cfg` nor the
    /// interpreter points to.
    #[must_use]
    pub fn lost(&self, new: &Layout, seeded: &[&str]) -> Vec<Distribution> {
        self.lost_outside(&|lib| is_of(lib, new), seeded)
    }

    /// The same for a plan that exists already.
    #[must_use]
    pub fn lost_by(&self, plan: &Plan, seeded: &[&str]) -> Vec<Distribution> {
        let planned: Vec<&RelPath> = planned_libs(plan).collect();
        let flavours: Vec<_> = planned.iter().map(|lib| Flavour::of_lib(lib)).collect();
        // On some systems a version has two directories of packages, and a plan creates one of
        // them.
        let stays = |lib: &Lib| {
            planned.contains(&&lib.path) || lib.flavour.is_some() && flavours.contains(&lib.flavour)
        };
        self.lost_outside(&stays, seeded)
    }

    /// The same as [`lost`](Self::lost), each with the directory of packages that it is in, and
    /// every installation of a name.
    pub(crate) fn lost_in(&self, new: &Layout, seeded: &[&str]) -> Vec<(&Lib, &Distribution)> {
        self.left_outside(&|lib| is_of(lib, new), seeded)
    }

    fn lost_outside(&self, stays: &dyn Fn(&Lib) -> bool, seeded: &[&str]) -> Vec<Distribution> {
        let mut lost: Vec<Distribution> = self
            .left_outside(stays, seeded)
            .into_iter()
            .map(|(_, found)| found.clone())
            .collect();
        lost.dedup_by(|a, b| a.name == b.name);
        lost
    }

    fn left_outside(
        &self,
        stays: &dyn Fn(&Lib) -> bool,
        seeded: &[&str],
    ) -> Vec<(&Lib, &Distribution)> {
        let (kept, left): (Vec<&Lib>, Vec<&Lib>) = self.libs.iter().partition(|lib| stays(lib));
        let kept = kept.into_iter().flat_map(|lib| &lib.distributions);
        let stay: BTreeSet<&str> = kept.map(|found| found.name.as_str()).collect();
        let in_use = left.into_iter().filter(|lib| self.is_in_use(lib));
        let mut lost: Vec<(&Lib, &Distribution)> = in_use
            .flat_map(|lib| lib.distributions.iter().map(move |found| (lib, found)))
            .filter(|(_, found)| !stay.contains(found.name.as_str()))
            .filter(|(_, found)| !seeded.contains(&found.name.as_str()))
            .collect();
        lost.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
        lost
    }

    /// Whether the current interpreter may use a library. The file and the link may disagree, since
    /// `venv` writes one and leaves the other; either counts.
    fn is_in_use(&self, lib: &Lib) -> bool {
        let minors = [self.frame.config.minor(), self.frame.python.minor()];
        let Some(flavour) = &lib.flavour else {
            return true;
        };
        let known = minors.iter().any(Option::is_some);
        !known || minors.contains(&Some(flavour.minor))
    }
}

fn is_of(lib: &Lib, layout: &Layout) -> bool {
    lib.path == layout.lib_path || lib.path == layout.platlib_path
}

impl Flavour {
    /// Reads a name such as `python3.13t` or `pypy3.9`; `None` for every other name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let stems = ["python", "pypy", "graalpy"];
        let stem = stems
            .into_iter()
            .find(|stem| name.strip_prefix(stem).is_some_and(|v| v.starts_with("3.")))?;
        let version = name.strip_prefix(stem)?.strip_prefix("3.")?;
        let digits = version.strip_suffix('t').unwrap_or(version);
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        Some(Self {
            stem: stem.to_owned(),
            minor: digits.parse().ok().filter(|_| plain)?,
            free_threaded: version.len() > digits.len(),
        })
    }

    /// The flavour in a `pyvenv.cfg`, for an environment whose libraries do not show it.
    fn of_config(config: &Config, minor: u32) -> Self {
        let named = config.implementation.as_deref().unwrap_or_default();
        let is_pypy = named.eq_ignore_ascii_case("pypy");
        Self {
            stem: if is_pypy { "pypy" } else { "python" }.to_owned(),
            minor,
            free_threaded: false,
        }
    }

    /// The flavour in a path such as `lib/python3.13t/site-packages`.
    #[must_use]
    pub fn of_lib(path: &RelPath) -> Option<Self> {
        path.as_str().split('/').find_map(Self::parse)
    }

    /// Whether it is `PyPy`.
    #[must_use]
    pub fn is_pypy(&self) -> bool {
        self.stem == "pypy"
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = if self.free_threaded { "t" } else { "" };
        write!(f, "{}3.{}{flag}", self.stem, self.minor)
    }
}

/// Reads one environment.
struct Reader<'a> {
    fs: &'a dyn Fs,
    path: &'a Path,
}

impl Reader<'_> {
    fn disk(&self, source: FsError) -> ExistingError {
        ExistingError::Disk {
            path: self.path.to_owned(),
            source,
        }
    }

    fn config(&self, root: &Dir) -> Result<Config, ExistingError> {
        let name = OsStr::new(CONFIG_NAME);
        let path = self.path.join(CONFIG_NAME);
        let fault = |reason| ExistingError::Config {
            path: path.clone(),
            reason,
        };
        match self.fs.meta(root, name).map_err(|e| self.disk(e))? {
            None => return Err(ExistingError::NoConfig(self.path.to_owned())),
            Some(meta) if meta.kind != Kind::File => return Err(fault("it is not a regular file")),
            Some(meta) if meta.len > CONFIG_BYTES_MAX => return Err(fault("it is too long")),
            Some(_) => {}
        }
        let bytes = self.fs.read_file(root, name, CONFIG_BYTES_MAX);
        Config::parse(&bytes.map_err(|e| self.disk(e))?).map_err(fault)
    }

    fn with(&self, root: &Dir, config: Config, libs: Vec<Lib>) -> Result<Existing, ExistingError> {
        let python = PythonNames::read(self.fs, root, self.path);
        Ok(Existing {
            path: self.path.to_owned(),
            frame: Frame {
                config,
                python: python.map_err(|e| self.disk(e))?,
            },
            libs,
        })
    }
}

#[cfg(test)]
mod tests;
