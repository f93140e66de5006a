//! The rivals: an interpreter with its own wheels, and tools from their registries.
//!
//! Rivals are installed once, into `target/tmp/rivals`, and nowhere else. The report names one that
//! cannot be installed, with the reason, and nothing that needs it is measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::settings::Settings;

/// An interpreter, and the wheel of pip that it brings.
#[derive(Clone, Debug)]
pub(crate) struct Python {
    pub(crate) path: PathBuf,
    pub(crate) version: String,
    pub(crate) pip: String,
    /// The directory with its wheels.
    pub(crate) wheels: PathBuf,
}

/// The question to an interpreter.
const QUESTION: &str = "import ensurepip, os, platform, sys; print(sys._base_executable); \
    print(platform.python_version()); print(ensurepip.version()); \
    print(os.path.join(os.path.dirname(ensurepip.__file__), '_bundled')); \
    print(platform.python_implementation())";

/// From this minor version on, an interpreter bundles only pip, so that all rivals install the same
/// files.
const MINOR_MIN: u32 = 12;

impl Python {
    /// The named interpreter, or the newest `CPython` that bundles only pip.
    pub(crate) fn choose(settings: &Settings) -> Option<Self> {
        if let Some(path) = &settings.python {
            return Self::ask(path);
        }
        Self::all()
            .pop()
            .or_else(|| Self::ask(Path::new("python3")))
    }

    /// Each minor version of `CPython` that bundles only pip, once.
    pub(crate) fn all() -> Vec<Self> {
        let mut candidates = Vec::new();
        let home = std::env::var_os("HOME")
            .map(PathBuf::from)
            .unwrap_or_default();
        let installed = std::fs::read_dir(home.join(".pyenv/versions"));
        for version in installed.into_iter().flatten().flatten() {
            candidates.push(version.path().join("bin/python3"));
        }
        let search = std::env::var_os("PATH").unwrap_or_default();
        for dir in std::env::split_paths(&search) {
            candidates.extend((MINOR_MIN..20).map(|minor| dir.join(format!("python3.{minor}"))));
        }
        let real = |path: &PathBuf| path.is_file() && !is_script(path);
        let known = candidates.iter().filter(|path| real(path));
        let mut known: Vec<Self> = known.filter_map(|path| Self::ask(path)).collect();
        known.retain(|python| python.minor() >= MINOR_MIN);
        // Of several, the last one counts.
        known.reverse();
        known.sort_by_key(Self::minor);
        known.dedup_by_key(|python| python.minor());
        known
    }

    fn ask(path: &Path) -> Option<Self> {
        let asked = Command::new(path).args(["-Ic", QUESTION]).output().ok()?;
        let said = String::from_utf8(asked.stdout).ok()?;
        let mut lines = said.lines();
        let mut line = || lines.next().map(str::to_owned);
        let python = Self {
            path: PathBuf::from(line()?),
            version: line()?,
            pip: line()?,
            wheels: PathBuf::from(line()?),
        };
        (line()? == "CPython").then_some(python)
    }

    fn minor(&self) -> u32 {
        let minor = self.version.split('.').nth(1);
        minor.and_then(|minor| minor.parse().ok()).unwrap_or(0)
    }
}

/// Whether a file is a script, which only dispatches to an interpreter.
fn is_script(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"#!"))
}

/// Installed programs, or the reason why they are missing.
#[derive(Debug)]
pub(crate) struct Rivals {
    pub(crate) uv: Result<PathBuf, String>,
    pub(crate) virtualenv: Result<PathBuf, String>,
}

impl Rivals {
    /// The rivals of the private folder; installs them where necessary.
    pub(crate) fn installed(python: &Python, settings: &Settings) -> Self {
        let home = folder().join("python");
        let program = |name: &str| {
            let path = home.join("bin").join(name);
            if path.is_file() {
                return Ok(path);
            }
            if settings.quick {
                return Err("a quick run installs no rivals".to_owned());
            }
            install(python, &home, name).map(|()| path)
        };
        Self {
            uv: program("uv"),
            virtualenv: program("virtualenv"),
        }
    }
}

/// The private folder of rivals.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("rivals")
}

fn install(python: &Python, home: &Path, name: &str) -> Result<(), String> {
    if !home.join("bin/pip").is_file() {
        done(Command::new(&python.path).args(["-m", "venv"]).arg(home))?;
    }
    println!("installing {name} into {}", home.display());
    done(Command::new(home.join("bin/pip")).args(["install", "-q", name]))
}

/// Runs a command that must succeed; the error is the last line of its output.
pub(crate) fn done(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(said.trim().lines().last().unwrap_or("it failed").to_owned())
}

/// The output of a program for `--version`.
pub(crate) fn version(program: &Path) -> String {
    let said = Command::new(program).arg("--version").output();
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let words: Vec<String> = said
        .unwrap_or_default()
        .split_whitespace()
        .take(2)
        .map(str::to_owned)
        .collect();
    words.join(" ")
}
