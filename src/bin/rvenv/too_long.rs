//! Names and paths that are too long: how long they are, and how long they may be.
//!
//! Promises to check only after the system refused a name for its length, and to name the usual
//! limits if no typed name is too long.
//! Read next: `dispatch.rs`, which adds this hint to any command.

use std::ffi::OsString;
use std::path::{Component, Path};

use rvenv::render::escape;
use rvenv_journal::raw::counted;

/// The limit of Linux and macOS for a name, unless the filesystem has another.
const NAME_BYTES_MAX: usize = 255;
/// The limit of Linux for a path in a system call; that of macOS is 1024.
const PATH_BYTES_MAX: usize = if cfg!(target_vendor = "apple") {
    1024
} else {
    4096
};
/// How much of a long name is quoted.
const QUOTED_CHARS: usize = 20;

/// The system's text for a name that is too long.
#[cfg(unix)]
pub(crate) fn words() -> String {
    std::io::Error::from(rustix::io::Errno::NAMETOOLONG).to_string()
}

/// The system's text for a name that is too long.
#[cfg(not(unix))]
pub(crate) fn words() -> String {
    std::io::ErrorKind::InvalidFilename.to_string()
}

/// What to do about a name or a path that is too long; names the length of the first one that was
/// typed.
pub(crate) fn hint(typed: &[OsString], cwd: &Path) -> String {
    let long = typed.iter().find_map(|text| of_path(&cwd.join(text)));
    let unknown = || {
        format!(
            "a name may have {}, a path {}",
            counted(NAME_BYTES_MAX, "byte"),
            counted(PATH_BYTES_MAX, "byte")
        )
    };
    format!("{}; choose a shorter one", long.unwrap_or_else(unknown))
}

fn of_path(path: &Path) -> Option<String> {
    let length = path.as_os_str().len();
    let max = name_bytes_max(path);
    let mut names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            None
        }
    });
    if let Some(name) = names.find(|name| name.len() > max) {
        let shown: String = name.to_string_lossy().chars().take(QUOTED_CHARS).collect();
        return Some(format!(
            "the name `{}…` has {}, and this filesystem allows {max}",
            escape(&shown),
            counted(name.len(), "byte")
        ));
    }
    (length >= PATH_BYTES_MAX).then(|| {
        format!(
            "the path has {}, and the system allows {}",
            counted(length, "byte"),
            // The NUL at the end takes one byte.
            PATH_BYTES_MAX - 1
        )
    })
}

/// The limit of the filesystem that a path leads to, as far as the path exists.
#[cfg(unix)]
fn name_bytes_max(path: &Path) -> usize {
    let mut above = path.ancestors();
    let found = above.find_map(|path| rustix::fs::statvfs(path).ok());
    let told = found.and_then(|found| usize::try_from(found.f_namemax).ok());
    told.filter(|max| *max > 0).unwrap_or(NAME_BYTES_MAX)
}

/// The limit of the filesystem that a path leads to, as far as the path exists.
#[cfg(not(unix))]
fn name_bytes_max(_path: &Path) -> usize {
    NAME_BYTES_MAX
}
