//! Programs on Windows: which files of an installation an environment gets, under which names.
//!
//! Promises the rules of each version's `venv`: Python 3.6 takes the interpreter and its libraries,
//! 3.7 to 3.12 take redirectors with the interpreter's names, 3.13 and later take launchers and
//! rename them. Pure: the caller passes the files of the installation, so the rules are the same on
//! any machine. Does not search for the files, and has no rules for interpreters that run from
//! their source tree.
//!
//! Read next: `hooks.rs`, whose hook `setup_python` plans them.

use std::path::{Path, PathBuf};

use rvenv_journal::Digest;

use crate::python::Interpreter;

/// A file of an installation on Windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The directory that it is in.
    pub place: ProgramDir,
    /// Its name there.
    pub name: String,
    /// Its absolute path.
    pub path: PathBuf,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub len: u64,
}

/// A directory of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramDir {
    /// The directory of the interpreter.
    Base,
    /// `DLLs`, beside the interpreter.
    Libraries,
    /// `Lib\venv\scripts\nt`.
    Launchers,
}

/// The names that an environment's `Scripts` gets, each with the file that is copied or linked.
#[must_use]
pub fn chosen<'p>(
    interpreter: &Interpreter,
    symlinks: bool,
    found: &'p [Program],
) -> Vec<(String, &'p Program)> {
    let newer = interpreter.version.at_least(3, 13);
    let own = |program: &'p Program| (program.name.clone(), program);
    let mut chosen: Vec<_> = if interpreter.version.minor < 7 {
        found.iter().filter(|p| is_of_3_6(p)).map(own).collect()
    } else if symlinks {
        let base = found.iter().filter(|p| p.place == ProgramDir::Base);
        base.filter(|p| is_linked(&p.name, newer))
            .map(own)
            .collect()
    } else if newer {
        let launchers = names_of_launchers(interpreter).into_iter();
        launchers
            .filter_map(|(name, source)| Some((name, launcher(found, source)?)))
            .collect()
    } else {
        let mut names = ["python.exe", "python_d.exe", "pythonw.exe", "pythonw_d.exe"].to_vec();
        let running = running_name(interpreter);
        if interpreter.version.at_least(3, 9) && !names.contains(&running.as_str()) {
            names.push(&running);
        }
        let there = |name: &&str| {
            found
                .iter()
                .any(|p| p.place == ProgramDir::Base && p.name == *name)
        };
        let names = names.into_iter().filter(there);
        names
            .filter_map(|name| Some((name.to_owned(), launcher(found, name)?)))
            .collect()
    };
    chosen.sort_by(|(one, _), (other, _)| one.cmp(other));
    chosen.dedup_by(|(one, _), (other, _)| one == other);
    chosen
}

fn launcher<'p>(found: &'p [Program], name: &str) -> Option<&'p Program> {
    let mut launchers = found.iter().filter(|p| p.place == ProgramDir::Launchers);
    launchers.find(|p| p.name == name)
}

/// The name of the executable that creates an environment.
fn running_name(interpreter: &Interpreter) -> String {
    let name = interpreter.executable.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn is_of_3_6(program: &Program) -> bool {
    let name = program.name.to_ascii_lowercase();
    let library = is_a(&name, "dll") || is_a(&name, "pyd");
    match program.place {
        ProgramDir::Base | ProgramDir::Libraries => {
            library || (name.starts_with("python") && is_a(&name, "exe"))
        }
        ProgramDir::Launchers => false,
    }
}

fn is_linked(name: &str, newer: bool) -> bool {
    let name = name.to_ascii_lowercase();
    if !newer {
        return is_a(&name, "exe") || is_a(&name, "dll");
    }
    let library = name.starts_with("python") || name.starts_with("vcruntime");
    matches!(
        name.as_str(),
        "python.exe" | "pythonw.exe" | "python_d.exe" | "pythonw_d.exe"
    ) || (library && is_a(&name, "dll"))
}

fn is_a(name: &str, extension: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|found| found == extension)
}

/// The names in an environment since Python 3.13, each with the name of its launcher.
fn names_of_launchers(interpreter: &Interpreter) -> Vec<(String, &'static str)> {
    let minor = interpreter.version.minor;
    let debug = if running_name(interpreter).ends_with("_d.exe") {
        "_d"
    } else {
        ""
    };
    let sources = match (interpreter.platform.free_threaded, debug) {
        (false, "") => ["venvlauncher.exe", "venvwlauncher.exe"],
        (false, _) => ["venvlauncher_d.exe", "venvwlauncher_d.exe"],
        (true, "") => ["venvlaunchert.exe", "venvwlaunchert.exe"],
        (true, _) => ["venvlaunchert_d.exe", "venvwlaunchert_d.exe"],
    };
    let mut names = Vec::new();
    for (kind, source) in ["", "w"].into_iter().zip(sources) {
        names.push((format!("python{kind}{debug}.exe"), source));
        if interpreter.platform.free_threaded {
            names.push((format!("python{kind}3.{minor}t{debug}.exe"), source));
        }
    }
    names
}
