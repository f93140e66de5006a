//! Privacy: directories and files that no other user can have created or changed.
//!
//! Promises that an object that passes the check belongs to the user or to root, and that its
//! permission bits let no one else write to it. Does not check ACLs, which the group bits limit,
//! nor the directories above: the caller reached this directory through an open handle. On Windows
//! everything passes: a directory of the user's profile belongs to its owner by inheritance.
//!
//! Read next: `store.rs`.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};

use crate::fs::{Dir, Fs, FsError, Meta, NameInDir};

/// The user id of root, who may write everywhere.
const ROOT: u32 = 0;
/// The permission bits that let other users write.
const OTHERS_WRITE: u32 = 0o022;

/// Why an object is not private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposed {
    /// It belongs to another user.
    Owner(u32),
    /// Other users may write to it.
    Mode(u32),
}

/// Why an object is not private, by its metadata; `None` if it is private.
#[must_use]
pub fn exposed(fs: &dyn Fs, meta: &Meta) -> Option<Exposed> {
    if cfg!(windows) {
        return None;
    }
    if meta.owner != fs.user() && meta.owner != ROOT {
        return Some(Exposed::Owner(meta.owner));
    }
    (meta.mode & OTHERS_WRITE != 0).then_some(Exposed::Mode(meta.mode))
}

/// Checks that an open directory is private.
///
/// # Errors
/// `PermissionDenied` if it is not, or the error of the disk.
pub fn check_private(fs: &dyn Fs, dir: &Dir) -> Result<(), FsError> {
    check(fs, &fs.meta_of(dir)?, OsStr::new("."))
}

/// Opens a directory inside a private one, if it is private too; a symbolic link is refused.
///
/// # Errors
/// `PermissionDenied` if it is not private, or as [`Fs::open_dir`].
pub fn open_private_dir(fs: &dyn Fs, at: &Dir, name: &OsStr) -> Result<Dir, FsError> {
    let dir = fs.open_dir(at, name)?;
    check(fs, &fs.meta_of(&dir)?, name)?;
    Ok(dir)
}

/// Reads a regular file inside a private directory, if it is private too.
///
/// # Errors
/// `NotFound`, `PermissionDenied` if it is not private, or as [`Fs::read_file`].
pub fn read_private_file(
    fs: &dyn Fs,
    at: NameInDir<'_>,
    len_max: u64,
) -> Result<(Vec<u8>, Meta), FsError> {
    let Some(meta) = fs.meta(at.dir, at.name)? else {
        return Err(refused(at.name, ErrorKind::NotFound.into()));
    };
    // Between the two calls no other user can replace the file.
    check(fs, &meta, at.name)?;
    Ok((fs.read_file(at.dir, at.name, len_max)?, meta))
}

fn check(fs: &dyn Fs, meta: &Meta, name: &OsStr) -> Result<(), FsError> {
    let why = match exposed(fs, meta) {
        None => return Ok(()),
        Some(Exposed::Owner(owner)) => format!("it belongs to user {owner}"),
        Some(Exposed::Mode(mode)) => format!("other users can write to it (mode {mode:04o})"),
    };
    let source = io::Error::new(ErrorKind::PermissionDenied, why);
    Err(refused(name, source))
}

fn refused(name: &OsStr, source: io::Error) -> FsError {
    FsError {
        verb: "trust",
        name: name.to_string_lossy().escape_debug().to_string(),
        source,
    }
}
