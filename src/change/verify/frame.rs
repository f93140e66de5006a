//! The frame of an environment against reality: its base interpreter, its env, its scripts and
//! its directories of packages.
//!
//! A receipt cannot tell that the environment was moved or that its base was removed: no path in
//! the environment has changed then. This file compares what its files say with what exists.
//!
//! Promises to start no program and to write nothing. Outside of the environment it looks at the
//! paths that `pyvenv.cfg`, the activation script and the first lines of the scripts name, and
//! reads only metadata there. Does not promise that the base interpreter starts; `rvenv status` and
//! the health checks of a change do that.
//!
//! Read next: `existing.rs`, which reads the frame; `wheel/shebang.rs`, the first lines of a
//! script.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rvenv_journal::Fs;
use rvenv_journal::fs::{Dir, FsError, Kind};

use super::finding::{Change, Finding};
use crate::change::existing::{Existing, Lib, PythonFile};
use crate::wheel::distributions::Distribution;
use crate::wheel::launcher::{self, PROGRAM_BYTES_MAX};
use crate::wheel::shebang::{self, HEAD_BYTES_MAX};

/// The maximum length of an activation script.
const ACTIVATE_BYTES_MAX: u64 = 1 << 20;
/// The directories in which installations outside of environments have their programs.
const SYSTEM_BINS: [&str; 4] = ["/bin", "/usr/bin", "/usr/local/bin", "/opt/bin"];

/// What was found of the frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameChecked {
    /// Why there is no base interpreter; `None` if there is one.
    pub base_lost: Option<String>,
    /// The path that the environment was made for, if it is at another one.
    pub moved_from: Option<PathBuf>,
    /// The scripts that start the interpreter of that path, by name.
    pub moved_scripts: Vec<String>,
    /// What else differs from what the interpreter needs.
    pub drift: Vec<Finding>,
    /// The distributions that the interpreter cannot import, because they are in the directory of
    /// another minor version and not in its own.
    pub lost: Vec<Distribution>,
}

/// Examines the environment at `path`, open as `root`.
///
/// # Errors
/// The error of the disk.
pub(crate) fn examine(
    fs: &dyn Fs,
    root: &Dir,
    existing: &Existing,
) -> Result<FrameChecked, FsError> {
    let mut frame = FrameChecked {
        lost: lost(existing),
        ..FrameChecked::default()
    };
    check_base(existing, &mut frame);
    let Ok(bin) = fs.open_dir(root, OsStr::new(&existing.frame.python.bin_name)) else {
        return Ok(frame);
    };
    let env = NamedDir::of(&existing.path);
    let stated = stated_place(fs, &bin).or_else(|| existing.frame.config.made_for.clone());
    frame.moved_from = stated.filter(|stated| !env.is(stated));
    let scripts = Scripts {
        fs,
        bin: &bin,
        bin_name: &existing.frame.python.bin_name,
    };
    scripts.check(&env, &mut frame)?;
    Ok(frame)
}

/// A directory under each of its names.
struct NamedDir {
    path: PathBuf,
    real: Option<PathBuf>,
}

impl NamedDir {
    fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            real: fs::canonicalize(path).ok(),
        }
    }

    fn is(&self, other: &Path) -> bool {
        other == self.path || self.real.is_some() && fs::canonicalize(other).ok() == self.real
    }
}

/// The minor version of the interpreter that the environment starts.
fn minor(existing: &Existing) -> Option<u32> {
    existing
        .frame
        .python
        .minor()
        .or_else(|| existing.frame.config.minor())
}

fn lost(existing: &Existing) -> Vec<Distribution> {
    let Some(minor) = minor(existing) else {
        return Vec::new();
    };
    let is_own = |lib: &&Lib| lib.flavour.as_ref().is_none_or(|own| own.minor == minor);
    let (own, others): (Vec<&Lib>, Vec<&Lib>) = existing.libs.iter().partition(is_own);
    let own = own.iter().flat_map(|lib| &lib.distributions);
    let own: BTreeSet<&str> = own.map(|found| found.name.as_str()).collect();
    let others = others.iter().flat_map(|lib| &lib.distributions);
    let mut lost: Vec<_> = others
        .filter(|found| !own.contains(found.name.as_str()))
        .cloned()
        .collect();
    lost.sort();
    lost.dedup_by(|one, other| one.name == other.name);
    lost
}

fn check_base(existing: &Existing, frame: &mut FrameChecked) {
    let home = &existing.frame.config.home;
    let shown = |path: &Path| path.display().to_string();
    let bin = existing.path.join(&existing.frame.python.bin_name);
    let (link, real) = match existing.frame.python.main() {
        None => {
            frame.drift.push(Finding::missing("bin/python"));
            return;
        }
        Some(PythonFile::Dangling { target }) if target.starts_with(&bin) => {
            frame.drift.push(Finding::new(
                "bin/python",
                Change::LinkTarget,
                format!("leads to `{}`, which does not exist", shown(target)),
            ));
            return;
        }
        Some(PythonFile::Dangling { target }) => {
            frame.base_lost = Some(format!("`{}` does not exist", shown(target)));
            return;
        }
        Some(PythonFile::Linked { base, real }) => (Some(base), Some(real)),
        Some(PythonFile::Copied) => (None, None),
    };
    if let Some(real) = real.filter(|real| !is_executable(real)) {
        frame.base_lost = Some(format!("`{}` is not an executable file", shown(real)));
        return;
    }
    let held = held(existing, link.into_iter().chain(real));
    if held.is_empty() {
        frame.base_lost = Some(format!("`{}` has no Python", shown(home)));
        return;
    }
    if let Some(real) = real
        && let Ok(real) = fs::canonicalize(real)
        && !held.contains(&real)
    {
        let detail = format!(
            "leads to `{}`, which is not the Python in `{}` that pyvenv.cfg names",
            shown(&real),
            shown(home)
        );
        let finding = Finding::new("bin/python", Change::LinkTarget, detail);
        frame.drift.push(finding);
    }
    if let (Some(of_link), Some(of_config)) =
        (existing.frame.python.minor(), existing.frame.config.minor())
        && of_link != of_config
    {
        let detail = format!("names Python 3.{of_config}, and `bin/python` is Python 3.{of_link}");
        let finding = Finding::new("pyvenv.cfg", Change::Content, detail);
        frame.drift.push(finding);
    }
}

/// The interpreters in `home`, and those that `pyvenv.cfg` names besides, all links resolved.
fn held<'a>(existing: &Existing, links: impl Iterator<Item = &'a PathBuf>) -> BTreeSet<PathBuf> {
    let home = &existing.frame.config.home;
    let mut names: BTreeSet<String> = links
        .filter_map(|link| Some(link.file_name()?.to_str()?.to_owned()))
        .collect();
    let known = [
        "python",
        "python3",
        "pypy",
        "pypy3",
        "graalpy",
        "python.exe",
    ];
    names.extend(known.map(str::to_owned));
    names.extend(existing.flavour().map(|flavour| flavour.to_string()));
    let of_home = names.iter().map(|name| home.join(name));
    let found = of_home.chain(existing.frame.config.executables.iter().cloned());
    found
        .filter(|path| is_executable(path))
        .filter_map(|path| fs::canonicalize(path).ok())
        .collect()
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

/// The path that the activation script for sh gives to `VIRTUAL_ENV`; `None` if it computes it.
fn stated_place(fs: &dyn Fs, bin: &Dir) -> Option<PathBuf> {
    let name = OsStr::new("activate");
    let meta = fs.meta(bin, name).ok()??;
    if meta.kind != Kind::File {
        return None;
    }
    let bytes = fs.read_file(bin, name, ACTIVATE_BYTES_MAX).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let values = text.lines().filter_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        line.strip_prefix("VIRTUAL_ENV=")
    });
    let paths = values.filter_map(shebang::unquoted).map(PathBuf::from);
    paths.into_iter().find(|path| path.is_absolute())
}

/// The directory of the scripts, open.
struct Scripts<'a> {
    fs: &'a dyn Fs,
    bin: &'a Dir,
    bin_name: &'a str,
}

impl Scripts<'_> {
    /// Compares the first lines of the scripts with the interpreters that exist.
    fn check(&self, env: &NamedDir, frame: &mut FrameChecked) -> Result<(), FsError> {
        let own_bin = NamedDir::of(&env.path.join(self.bin_name));
        // Hundreds of scripts start few interpreters.
        let mut pythons: BTreeMap<PathBuf, (bool, bool)> = BTreeMap::new();
        for name in self.fs.list(self.bin)? {
            let Some(shown) = name.to_str() else { continue };
            let meta = self.fs.meta(self.bin, &name)?;
            if meta.is_none_or(|meta| meta.kind != Kind::File) {
                continue;
            }
            let Some(python) = self.python_of(&name) else {
                continue;
            };
            let Some(dir) = python.parent() else { continue };
            let (is_alive, is_own) = *pythons
                .entry(python.clone())
                .or_insert_with(|| (is_executable(&python), own_bin.is(dir)));
            if is_own {
                // Without a base no script starts, and that is reported once.
                if !is_alive && frame.base_lost.is_none() {
                    frame.drift.push(self.dead(shown, &python));
                }
                continue;
            }
            let env = dir.parent().unwrap_or(dir);
            let is_system = SYSTEM_BINS.iter().any(|system| dir == Path::new(system));
            let is_of_env = dir.ends_with(self.bin_name) && !is_system;
            if frame.moved_from.as_deref() == Some(env) {
                frame.moved_scripts.push(shown.to_owned());
            } else if !is_alive && is_of_env && frame.moved_from.is_none() {
                frame.moved_from = Some(env.to_owned());
                frame.moved_scripts.push(shown.to_owned());
            } else if !is_alive {
                frame.drift.push(self.dead(shown, &python));
            }
        }
        Ok(())
    }

    fn dead(&self, name: &str, python: &Path) -> Finding {
        let detail = format!("starts `{}`, which does not exist", python.display());
        let path = format!("{}/{name}", self.bin_name);
        Finding::new(&path, Change::Interpreter, detail)
    }

    /// The Python that a script starts; `None` for other programs.
    fn python_of(&self, name: &OsStr) -> Option<PathBuf> {
        let python = if Path::new(name).extension() == Some(OsStr::new("exe")) {
            let program = self.fs.read_file(self.bin, name, PROGRAM_BYTES_MAX);
            launcher::interpreter(&program.ok()?)?
        } else {
            let file = self.fs.open_file(self.bin, name, u64::MAX).ok()?;
            let mut head = Vec::new();
            file.take(HEAD_BYTES_MAX).read_to_end(&mut head).ok()?;
            shebang::interpreter(&head)?
        };
        let is_python = python.file_name()?.to_str().is_some_and(|name| {
            let mut stems = ["python", "pypy", "graalpy"].into_iter();
            stems.any(|stem| name.starts_with(stem))
        });
        (is_python && python.is_absolute()).then_some(python)
    }
}
