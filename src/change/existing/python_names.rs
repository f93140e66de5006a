//! The names of the interpreter in an environment: where they lead, and which of them are stale.
//!
//! Promises to follow links by their text, one name at a time, and to report where a chain ends: at
//! an interpreter of the base installation, at a copy, or nowhere. Reads only names and links; runs
//! nothing. Does not promise that the end of a chain is a Python.
//!
//! Read next: `base_interpreter.rs`, which uses this.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use rvenv_journal::RelPath;
use rvenv_journal::fs::{Dir, Fs, FsError, Kind};
use rvenv_journal::raw::RelPathError;

use super::Flavour;
use crate::build::layout::Layout;

/// The directory of executables.
const BIN: &str = "bin";
/// The same on Windows.
const WINDOWS_BIN: &str = "Scripts";
/// As many links as the kernel follows.
const LINKS_MAX: usize = 40;

/// The names of the interpreter and of pip in an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PythonNames {
    /// The directory of executables: `bin`, or `Scripts` on Windows.
    pub bin_name: String,
    /// Where each name of the interpreter leads, by name.
    pub pythons: BTreeMap<String, PythonFile>,
    /// The names of pip's scripts, and of `easy_install`'s.
    pub pips: Vec<String>,
}

/// Where a name of the interpreter leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PythonFile {
    /// Out of the environment, to a file.
    Linked {
        /// The first path outside, as the link spells it.
        base: PathBuf,
        /// The file at the end of the chain.
        real: PathBuf,
    },
    /// To nothing: the base interpreter is gone.
    Dangling {
        /// The first path outside, as the link spells it; the missing path if the chain never
        /// leaves the environment.
        target: PathBuf,
    },
    /// To a file in the environment.
    Copied,
}

impl PythonNames {
    /// Reads the directory of executables of the environment at `env_dir`, open as `root`.
    ///
    /// An environment without one has no names.
    ///
    /// # Errors
    /// What the system reports, also if the directory is a symbolic link.
    pub fn read(fs: &dyn Fs, root: &Dir, env_dir: &Path) -> Result<Self, FsError> {
        let found = bin_name(fs, root)?;
        let bin_name = found.unwrap_or(BIN);
        let mut names = Self {
            bin_name: bin_name.to_owned(),
            ..Self::default()
        };
        if found.is_none() {
            return Ok(names);
        }
        let bin = Bin {
            fs,
            dir: fs.open_dir(root, OsStr::new(bin_name))?,
            path: env_dir.join(bin_name),
        };
        let listed = fs.list(&bin.dir)?;
        let mut open = Vec::new();
        for name in listed.iter().filter_map(|name| name.to_str()) {
            if is_python(name) {
                open.push(name.to_owned());
            } else if pip_minor(name).is_some() {
                names.pips.push(name.to_owned());
            }
        }
        while let Some(name) = open.pop() {
            if names.pythons.contains_key(&name) {
                continue;
            }
            let (file, through) = bin.trace(&name)?;
            names.pythons.insert(name, file);
            // An interpreter with an unusual name is found only through the links to it.
            open.extend(through);
        }
        Ok(names)
    }

    /// Where `python` leads, or else the best other name.
    #[must_use]
    pub fn main(&self) -> Option<&PythonFile> {
        let known = ["python", "python3", "python.exe"];
        let mut known = known.into_iter().filter_map(|name| self.pythons.get(name));
        known.next().or_else(|| self.pythons.values().next())
    }

    /// Whether no name leads to an interpreter any more.
    #[must_use]
    pub fn is_dangling(&self) -> bool {
        let dangling = |file: &PythonFile| matches!(file, PythonFile::Dangling { .. });
        !self.pythons.is_empty() && self.pythons.values().all(dangling)
    }

    /// The minor version in the name of the file that `python` leads to; `None` for copies and
    /// plain names.
    #[must_use]
    pub fn minor(&self) -> Option<u32> {
        match self.main()? {
            PythonFile::Linked { real, .. } => {
                let name = real.file_name()?.to_str()?;
                Flavour::parse(name).map(|flavour| flavour.minor)
            }
            PythonFile::Dangling { .. } | PythonFile::Copied => None,
        }
    }

    /// The names that would lead to another Python, or nowhere, once the environment has the layout
    /// `new`.
    ///
    /// # Errors
    /// A name that is not valid in a plan.
    pub fn stale(&self, new: &Layout) -> Result<Vec<RelPath>, RelPathError> {
        let stays = |name: &str| {
            let mut own = std::iter::once(&new.env_exe).chain(&new.names);
            own.any(|path| path.name() == name)
        };
        let flavour = Flavour::of_lib(&new.lib_path);
        let pythons = self.pythons.keys().filter(|name| {
            let of_new = flavour.is_some() && Flavour::parse(name) == flavour;
            !stays(name) && !of_new
        });
        let minor = flavour.as_ref().map(|flavour| flavour.minor);
        let pips = self.pips.iter().filter(|name| {
            let own = pip_minor(name).flatten();
            own.is_some() && minor.is_some() && own != minor
        });
        let bin = RelPath::new(&self.bin_name)?;
        pythons.chain(pips).map(|name| bin.join(name)).collect()
    }
}

/// The directory of executables of an environment: `bin`, or `Scripts` on Windows; `None` if there
/// is neither.
pub(crate) fn bin_name(fs: &dyn Fs, root: &Dir) -> Result<Option<&'static str>, FsError> {
    for name in [BIN, WINDOWS_BIN] {
        if fs.meta(root, OsStr::new(name))?.is_some() {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// The open directory of executables, and its path.
struct Bin<'a> {
    fs: &'a dyn Fs,
    dir: Dir,
    path: PathBuf,
}

impl Bin<'_> {
    /// Follows a name to its end; also returns the names in this directory that it passes.
    fn trace(&self, name: &str) -> Result<(PythonFile, Vec<String>), FsError> {
        let mut through = Vec::new();
        let mut base: Option<PathBuf> = None;
        let mut at = self.path.join(name);
        for _ in 0..LINKS_MAX {
            match self.look(&at)? {
                Some(Seen::File) => {
                    let file = base.map_or(PythonFile::Copied, |base| PythonFile::Linked {
                        base,
                        real: at,
                    });
                    return Ok((file, through));
                }
                Some(Seen::Link(target)) => {
                    let Some(parent) = at.parent() else { break };
                    at = parent.join(target);
                }
                None => break,
            }
            if base.is_none() {
                match at.file_name().and_then(OsStr::to_str) {
                    Some(name) if at.parent() == Some(&self.path) => through.push(name.to_owned()),
                    Some(_) | None => base = Some(at.clone()),
                }
            }
        }
        // A name on the chain exists only if it was read; the last one is missing.
        if base.is_none() {
            through.pop();
        }
        let target = base.unwrap_or(at);
        Ok((PythonFile::Dangling { target }, through))
    }

    /// What exists at a path; `None` for nothing, and for anything that cannot be run.
    fn look(&self, at: &Path) -> Result<Option<Seen>, FsError> {
        let (Some(parent), Some(name)) = (at.parent(), at.file_name()) else {
            return Ok(None);
        };
        let opened;
        let dir = if parent == self.path {
            &self.dir
        } else {
            // If the base installation cannot be opened, it counts as gone.
            match self.fs.open_path(parent) {
                Ok(dir) => opened = dir,
                Err(_) => return Ok(None),
            }
            &opened
        };
        let kind = self.fs.meta(dir, name)?.map(|meta| meta.kind);
        match kind {
            Some(Kind::File) => Ok(Some(Seen::File)),
            Some(Kind::Symlink) => Ok(Some(Seen::Link(self.fs.read_link(dir, name)?))),
            Some(Kind::Dir | Kind::Other) | None => Ok(None),
        }
    }
}

enum Seen {
    File,
    Link(OsString),
}

/// Whether tools use this name for an interpreter.
fn is_python(name: &str) -> bool {
    let plain = [
        "python",
        "python3",
        "pypy",
        "pypy3",
        "graalpy",
        "graalpy3",
        "𝜋thon",
        "python.exe",
    ];
    plain.contains(&name) || Flavour::parse(name).is_some()
}

/// The minor version in the name of one of pip's scripts; `None` for other names.
#[expect(
    clippy::option_option,
    reason = "whether it is pip's, and whether it names a version, are two questions"
)]
fn pip_minor(name: &str) -> Option<Option<u32>> {
    let stems = ["pip", "easy_install"];
    let rest = stems.iter().find_map(|stem| name.strip_prefix(stem))?;
    let version = rest.strip_prefix('-').unwrap_or(rest);
    match version {
        "" | "3" => Some(None),
        _ => Some(Some(version.strip_prefix("3.")?.parse().ok()?)),
    }
}
