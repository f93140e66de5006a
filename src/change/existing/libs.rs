//! The directories of packages of an environment: which there are, for which interpreter, and which
//! distributions each of them has.
//!
//! Promises to list each directory once, to follow no symbolic link, and to name each link that
//! could hide a directory of packages. Works without a `pyvenv.cfg` too. Does not read the files of
//! a distribution.
//!
//! Read next: `wheel/distributions.rs`, one directory of packages.

use std::ffi::OsStr;
use std::io::ErrorKind;

use rvenv_journal::RelPath;
use rvenv_journal::fs::{Dir, Fs, FsError, Kind};

use super::{Flavour, SITE_PACKAGES};
use crate::wheel::distributions::{Distribution, distributions};

/// The directories that contain the libraries of each version.
pub(crate) const LIBRARIES: [&str; 2] = ["lib", "lib64"];
/// The directory of libraries on Windows, where an environment has one version.
pub(crate) const WINDOWS_LIBRARY: &str = "Lib";

/// A directory of packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lib {
    /// Its path in the environment.
    pub path: RelPath,
    /// The interpreter that it is for; `None` where its path does not say it: on Windows, and for
    /// the `site-packages` at the top that early versions of `PyPy` use.
    pub flavour: Option<Flavour>,
    /// The installed distributions.
    pub distributions: Vec<Distribution>,
}

/// What can be seen of the packages in a directory, whether or not it is an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Libs {
    /// The directories of packages, by path.
    pub(crate) libs: Vec<Lib>,
    /// The symbolic links that could hide more of them.
    pub(crate) links: Vec<RelPath>,
}

impl Libs {
    /// Reads the open directory `root`.
    ///
    /// # Errors
    /// The error of the disk.
    pub(crate) fn read(fs: &dyn Fs, root: &Dir) -> Result<Self, FsError> {
        let mut seen = Self::default();
        let top = Above {
            fs,
            dir: root,
            path: "",
        };
        seen.add(&top, None)?;
        if let Some(dir) = seen.open(&top, WINDOWS_LIBRARY)? {
            let path = WINDOWS_LIBRARY;
            seen.add(
                &Above {
                    fs,
                    dir: &dir,
                    path,
                },
                None,
            )?;
        }
        for library in LIBRARIES {
            // `lib64` is a link to `lib` in most environments, and then shows nothing new.
            let meta = fs.meta(root, OsStr::new(library))?;
            let is_link = meta.is_some_and(|meta| meta.kind == Kind::Symlink);
            if is_link && library == "lib64" {
                continue;
            }
            let Some(dir) = seen.open(&top, library)? else {
                continue;
            };
            let above = Above {
                fs,
                dir: &dir,
                path: library,
            };
            for name in fs.list(&dir)? {
                let Some(flavour) = name.to_str().and_then(Flavour::parse) else {
                    continue;
                };
                let name = flavour.to_string();
                if let Some(dir) = seen.open(&above, &name)? {
                    let path = &format!("{library}/{name}");
                    seen.add(
                        &Above {
                            fs,
                            dir: &dir,
                            path,
                        },
                        Some(flavour),
                    )?;
                }
            }
        }
        seen.libs.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(seen)
    }

    /// Adds the `site-packages` of a directory, if it has one.
    fn add(&mut self, above: &Above<'_>, flavour: Option<Flavour>) -> Result<(), FsError> {
        if let Some(dir) = self.open(above, SITE_PACKAGES)?
            && let Some(path) = above.join(SITE_PACKAGES)
        {
            let distributions = distributions(above.fs, &dir)?;
            self.libs.push(Lib {
                path,
                flavour,
                distributions,
            });
        }
        Ok(())
    }

    /// Opens a directory; `None` if there is none. A link in its place is noted.
    fn open(&mut self, above: &Above<'_>, name: &str) -> Result<Option<Dir>, FsError> {
        let entry = OsStr::new(name);
        match above.fs.open_dir(above.dir, entry) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                let meta = above.fs.meta(above.dir, entry)?;
                let is_link = meta.is_some_and(|meta| meta.kind == Kind::Symlink);
                if is_link && !above.leads_to_sibling(entry)? {
                    self.links.extend(above.join(name));
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// An open directory, and its path in the environment.
struct Above<'a> {
    fs: &'a dyn Fs,
    dir: &'a Dir,
    path: &'a str,
}

impl Above<'_> {
    /// Whether a link is another name of a directory that is read too, as `python3.1` for
    /// `python3.12` in environments of conda.
    fn leads_to_sibling(&self, entry: &OsStr) -> Result<bool, FsError> {
        let text = self.fs.read_link(self.dir, entry)?;
        let is_read = text
            .to_str()
            .is_some_and(|text| Flavour::parse(text).is_some());
        Ok(is_read && self.fs.open_dir(self.dir, &text).is_ok())
    }

    /// The path of an entry; the names here are such that a plan can contain it.
    fn join(&self, name: &str) -> Option<RelPath> {
        let path = format!("{}/{name}", self.path);
        RelPath::new(path.trim_start_matches('/')).ok()
    }
}
