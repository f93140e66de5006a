//! The layout of an environment: the names and paths that an interpreter's `venv` would use.
//!
//! Promises to be pure: the same interpreter gives the same layout, on any machine. Differences
//! between versions of Python are decided here and in the scheme that the interpreter reports, and
//! nowhere else. On Windows it has the paths only; `windows_programs.rs` decides which programs an
//! environment gets from an installation.
//!
//! Read next: `python/interpreter.rs`, where the facts come from.

use std::path::PathBuf;

use rvenv_journal::RelPath;
use rvenv_journal::raw::RelPathError;
use thiserror::Error;

use crate::base::lexical_path::normal;
use crate::python::Interpreter;

/// Names and paths in an environment of one interpreter, relative to the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The directory of executables: `bin`.
    pub bin_name: RelPath,
    /// The directory of C headers: `include`, and in Python 3.11 to 3.13 a directory below it.
    pub inc_path: RelPath,
    /// The directory of packages: `lib/python3.13/site-packages`.
    pub lib_path: RelPath,
    /// The directory of packages with compiled code, which `venv` itself creates from 3.15 on.
    pub platlib_path: RelPath,
    /// Whether `lib64` is a link to `lib`.
    pub lib64_link: bool,
    /// The environment's interpreter, with the name of the base executable.
    pub env_exe: RelPath,
    /// The other names of the interpreter, in the order in which `venv` creates them.
    pub names: Vec<RelPath>,
    /// The directory of the base executable, links not resolved: `home` in `pyvenv.cfg`.
    pub python_dir: PathBuf,
    /// The directories, in the order in which `venv` creates them.
    pub directories: Vec<RelPath>,
}

/// Why there is no layout for an interpreter.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// An operating system whose environments have another layout.
    #[error("environments on `{}` are not supported", os_name.escape_debug())]
    Platform {
        /// `os.name`.
        os_name: String,
    },
    /// The executable has no name, or one that is not valid in an environment.
    #[error(
        "the name of `{}` cannot be used in an environment",
        path.display().to_string().escape_debug()
    )]
    Name {
        /// The executable.
        path: PathBuf,
        /// What is wrong with the name.
        source: RelPathError,
    },
}

impl Layout {
    /// The layout of an environment of `interpreter`.
    ///
    /// # Errors
    /// [`LayoutError`], if the operating system or the name of the executable is not supported.
    pub fn of(interpreter: &Interpreter) -> Result<Self, LayoutError> {
        let is_nt = interpreter.platform.os_name == "nt";
        if interpreter.platform.os_name != "posix" && !is_nt {
            return Err(LayoutError::Platform {
                os_name: interpreter.platform.os_name.clone(),
            });
        }
        let executable = normal(&interpreter.executable);
        let fail = |source| LayoutError::Name {
            path: interpreter.executable.clone(),
            source,
        };
        let scheme = &interpreter.scheme;
        let in_bin = |name: &str| scheme.scripts.join(name).map_err(fail);
        let name = executable.file_name().unwrap_or_default().to_string_lossy();
        let env_exe = in_bin(nt_name(interpreter, &name).unwrap_or(&name))?;
        let mut names = Vec::new();
        let others = if is_nt {
            Vec::new()
        } else {
            names_of(interpreter)
        };
        for name in others {
            let name = in_bin(&name)?;
            if name != env_exe {
                names.push(name);
            }
        }
        let from_3_15 = interpreter.version.at_least(3, 15);
        let mut directories = vec![scheme.include.clone(), scheme.purelib.clone()];
        if from_3_15 && scheme.platlib != scheme.purelib {
            directories.push(scheme.platlib.clone());
        }
        directories.push(scheme.scripts.clone());
        let darwin = interpreter.platform.sys_platform == "darwin";
        Ok(Self {
            bin_name: scheme.scripts.clone(),
            inc_path: scheme.include.clone(),
            lib_path: scheme.purelib.clone(),
            platlib_path: scheme.platlib.clone(),
            lib64_link: interpreter.platform.is_64bit && !is_nt && !darwin && !from_3_15,
            env_exe,
            names,
            python_dir: executable.parent().unwrap_or(&executable).to_owned(),
            directories,
        })
    }
}

/// The name that the interpreter has on Windows since Python 3.13, whatever name started it.
fn nt_name(interpreter: &Interpreter, name: &str) -> Option<&'static str> {
    let is_named = interpreter.platform.os_name == "nt" && interpreter.version.at_least(3, 13);
    let debug = name.ends_with("_d.exe");
    is_named.then_some(if debug { "python_d.exe" } else { "python.exe" })
}

/// Every name of the interpreter, in the order of `venv`.
fn names_of(interpreter: &Interpreter) -> Vec<String> {
    let version = &interpreter.version;
    let mut names = vec!["python".to_owned(), "python3".to_owned()];
    if version.at_least(3, 9) {
        names.push(format!("python3.{}", version.minor));
    }
    if interpreter.platform.implementation == "pypy" {
        names.extend(["pypy3".to_owned(), "pypy".to_owned()]);
    }
    // Python 3.14 has the number pi for a version, and this name. In an encoding other than UTF-8
    // the name would have bytes that are not UTF-8.
    if version.minor == 14 && interpreter.platform.filesystem_encoding == "utf-8" {
        names.push("𝜋thon".to_owned());
    }
    names
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::python::sample as interpreter;

    fn check_names(interpreter: &Interpreter, expect: &str) {
        let layout = Layout::of(interpreter).unwrap();
        let all = std::iter::once(&layout.env_exe).chain(&layout.names);
        let all: Vec<_> = all.map(RelPath::name).collect();
        assert_eq!(all.join(" "), expect, "{}", interpreter.version);
    }

    #[test]
    fn the_names_of_the_interpreter_depend_on_its_version() {
        check_names(&interpreter(6, "/p/bin/python3"), "python3 python");
        check_names(
            &interpreter(8, "/p/bin/python3.8"),
            "python3.8 python python3",
        );
        check_names(&interpreter(9, "/p/bin/python"), "python python3 python3.9");
        check_names(
            &interpreter(13, "/d/mypy"),
            "mypy python python3 python3.13",
        );
        check_names(
            &interpreter(14, "/p/bin/python3"),
            "python3 python python3.14 𝜋thon",
        );
        check_names(
            &interpreter(15, "/p/bin/python3"),
            "python3 python python3.15",
        );
        let mut latin = interpreter(14, "/p/bin/python3");
        latin.platform.filesystem_encoding = "iso8859-1".to_owned();
        check_names(&latin, "python3 python python3.14");
        let mut pypy = interpreter(9, "/usr/bin/pypy3");
        pypy.platform.implementation = "pypy".to_owned();
        check_names(&pypy, "pypy3 python python3 python3.9 pypy");
    }

    #[test]
    fn lib64_is_a_link_where_venv_makes_one() {
        let link = |change: fn(&mut Interpreter)| {
            let mut found = interpreter(14, "/p/bin/python3");
            change(&mut found);
            Layout::of(&found).unwrap().lib64_link
        };
        assert!(link(|_| {}));
        assert!(!link(|found| found.version.minor = 15));
        assert!(!link(|found| found.platform.is_64bit = false));
        assert!(!link(
            |found| found.platform.sys_platform = "darwin".to_owned()
        ));
    }

    #[test]
    fn from_3_15_on_the_directory_for_compiled_packages_is_made() {
        let made = |minor| {
            let layout = Layout::of(&interpreter(minor, "/p/bin/python3")).unwrap();
            let made: Vec<_> = layout.directories.iter().map(RelPath::as_str).collect();
            made.join(" ")
        };
        assert_eq!(made(14), "include lib/python3.14/site-packages bin");
        assert_eq!(
            made(15),
            "include lib/python3.15/site-packages lib64/python3.15/site-packages bin"
        );
    }

    #[test]
    fn home_is_the_directory_of_the_executable_as_python_spells_it() {
        let home = |executable| Layout::of(&interpreter(8, executable)).unwrap().python_dir;
        assert_eq!(home("/d/../e/./bin/mypy"), Path::new("/e/bin"));
        assert_eq!(home("/mypy"), Path::new("/"));
    }

    #[test]
    fn a_layout_that_is_not_known_is_refused() {
        let mut other = interpreter(13, "/python");
        other.platform.os_name = "java".to_owned();
        let error = Layout::of(&other).unwrap_err().to_string();
        assert_eq!(error, "environments on `java` are not supported");
        let error = Layout::of(&interpreter(13, "/p/py\nthon")).unwrap_err();
        assert!(matches!(error, LayoutError::Name { .. }), "{error}");
    }
}
