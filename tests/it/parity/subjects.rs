//! Subjects: the interpreters of this machine, by the kinds that the rules distinguish.
//!
//! Debian's Python appears twice where the machine allows to hide its `ensurepip`, which the
//! package python3-venv provides: each command then runs in its own mount namespace. Nothing on the
//! machine is changed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine::{Python, Scratch, supported};

/// Hides one directory of the standard library, `$0`, for one command.
const HIDE: &str = "mount -t tmpfs tmpfs \"$1\" && mkdir \"$1/upper\" \"$1/work\" && \
    mount -t overlay -o \"lowerdir=$0,upperdir=$1/upper,workdir=$1/work\" overlay \"$0\" && \
    rm -r \"$0/ensurepip\" && shift && exec \"$@\"";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    CPython,
    /// Debian's without the package python3-venv.
    WithoutVenv,
    /// Debian's; other distributions are not inspected.
    PyPy,
}

/// An interpreter, and how its commands are started.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) python: Python,
    pub(crate) kind: Kind,
    /// The standard library, of which a part is hidden.
    library: Option<PathBuf>,
}

/// Every interpreter that supports environments.
pub(crate) fn subjects() -> Vec<Subject> {
    let mut found = Vec::new();
    for python in supported() {
        let subject = Subject::of(&python);
        if subject.kind == Kind::PyPy && !python.path.starts_with("/usr/bin") {
            println!("skipped: {} is not inspected", subject.name());
            continue;
        }
        found.extend(subject.without_venv());
        found.push(subject);
    }
    found
}

impl Subject {
    /// This interpreter without changes.
    pub(crate) fn of(python: &Python) -> Self {
        let said = asked(
            python,
            "import platform; print(platform.python_implementation())",
        );
        let brings_pip = asked(python, "import ensurepip; print(True)").is_some();
        let kind = match (said.as_deref(), brings_pip) {
            (Some("PyPy"), _) => Kind::PyPy,
            (_, true) => Kind::CPython,
            (_, false) => Kind::WithoutVenv,
        };
        let python = python.clone();
        Self {
            python,
            kind,
            library: None,
        }
    }

    /// The same interpreter as it is where python3-venv was not installed.
    fn without_venv(&self) -> Option<Self> {
        let library = asked(
            &self.python,
            "import os; print(os.path.dirname(os.__file__))",
        )?;
        if self.kind != Kind::CPython || !Path::new(&library).starts_with("/usr/lib") {
            return None;
        }
        let hidden = Self {
            python: self.python.clone(),
            kind: Kind::WithoutVenv,
            library: Some(library.into()),
        };
        let asked = "import venv\ntry: import ensurepip\nexcept ImportError: print('hidden')";
        let scratch = Scratch::cold();
        let output = hidden
            .start(&scratch, &self.python.path, "022")
            .args(["-c", asked])
            .output()
            .unwrap();
        if output.stdout != b"hidden\n" {
            println!(
                "skipped: {} cannot be had without its ensurepip here",
                hidden.name()
            );
            return None;
        }
        Some(hidden)
    }

    /// A program, started as this interpreter's users start it.
    pub(crate) fn start(&self, scratch: &Scratch, program: &Path, umask: &str) -> Command {
        let Some(library) = &self.library else {
            return scratch.program(program, umask);
        };
        let layers = scratch.path("../layers");
        std::fs::create_dir_all(&layers).unwrap();
        let mut command = scratch.program(Path::new("unshare"), umask);
        let words = ["--mount", "--propagation", "private", "sh", "-c", HIDE];
        command
            .args(words.map(OsStr::new))
            .arg(library)
            .arg(layers)
            .arg(program);
        command
    }

    pub(crate) fn name(&self) -> String {
        let without = if self.kind == Kind::WithoutVenv {
            " without python3-venv"
        } else {
            ""
        };
        format!("{}{without}", self.python.path.display())
    }
}

/// What an interpreter answers, if it does not fail.
fn asked(python: &Python, code: &str) -> Option<String> {
    let output = Command::new(&python.path)
        .args(["-c", code])
        .output()
        .ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| said.trim().to_owned())
}
