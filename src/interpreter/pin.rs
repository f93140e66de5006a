//! Pins: the version that a project names in its `.python-version`.
//!
//! Promises to read the nearest file at or above the working directory, and its first line that is no comment.
//! A line that means something to pyenv alone, such as `system` or the name of an environment, pins nothing here:
//! pyenv's own `python3` on PATH answers it. So is it where `PYENV_VERSION` is set, which outranks the file.
//!
//! Read next: `shim.rs`, which knows pyenv's rules; `discover.rs`, which asks when nobody asked for anything else.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

use super::around::Surroundings;
use super::request::Request;

/// More than any honest file.
const TEXT_MAX: u64 = 4096;

/// A request that stands in a file.
pub(super) struct Pin {
    pub(super) file: PathBuf,
    pub(super) request: Request,
}

/// What the project wants, if it says so.
pub(super) fn pinned(around: &Surroundings) -> Option<Pin> {
    let mut environment = around.environment.iter();
    if environment.any(|(key, value)| key == "PYENV_VERSION" && !value.is_empty()) {
        return None;
    }
    let mut above = around.cwd.ancestors();
    let file = above.find_map(|directory| {
        let file = directory.join(".python-version");
        file.is_file().then_some(file)
    })?;
    let mut text = String::new();
    let opened = fs::File::open(&file).ok()?;
    opened.take(TEXT_MAX).read_to_string(&mut text).ok()?;
    let mut lines = text.lines().map(str::trim);
    let line = lines.find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let request = Request::parse(OsStr::new(line), &around.cwd).ok()?;
    match request {
        Request::Version(_) | Request::Range(_) => Some(Pin { file, request }),
        Request::Default | Request::Path(_) | Request::Name(_) => None,
    }
}
