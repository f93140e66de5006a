//! Files on this machine: a directory of wheels, and the path that a lock names.
//!
//! Promises that a file is used where it is, and that only a regular file counts.
//! Read next: `../fetcher.rs`, which hashes it.

use std::path::PathBuf;

use crate::fetch::asked::Asked;
use crate::fetch::place::{Found, Place, PlaceError, Resume};
use crate::python::shown;

/// A directory of wheels.
#[derive(Clone, Debug)]
pub struct Directory(pub PathBuf);

/// The path or the `file:` URL that is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalFile;

impl Place for Directory {
    fn shown(&self) -> String {
        format!("the directory `{}`", shown(&self.0))
    }

    fn find(&self, asked: &Asked, _: &Resume) -> Result<Option<Found>, PlaceError> {
        regular(self.0.join(asked.file_name()), asked)
    }
}

impl Place for LocalFile {
    fn shown(&self) -> String {
        "its path".to_owned()
    }

    fn find(&self, asked: &Asked, _: &Resume) -> Result<Option<Found>, PlaceError> {
        let path = asked.path.clone();
        match path.or_else(|| asked.url()?.file_path()) {
            Some(path) => regular(path, asked),
            None => Ok(None),
        }
    }
}

/// A file that has the size that is asked for.
pub(super) fn regular(path: PathBuf, asked: &Asked) -> Result<Option<Found>, PlaceError> {
    let len = match std::fs::metadata(&path) {
        Ok(meta) if meta.is_file() => meta.len(),
        Ok(_) => {
            return Err(local(
                path,
                std::io::Error::other("it is not a regular file"),
            ));
        }
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(local(path, error)),
    };
    check_size(asked, len, &shown(&path))?;
    Ok(Some(Found::File(path)))
}

fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

fn local(path: PathBuf, source: std::io::Error) -> PlaceError {
    PlaceError::Local { path, source }
}

/// Refuses a file of another size before any of it is read.
pub(in crate::fetch) fn check_size(asked: &Asked, len: u64, shown: &str) -> Result<(), PlaceError> {
    match asked.size {
        Some(expected) if expected != len => Err(PlaceError::Size {
            shown: shown.to_owned(),
            len,
            expected,
        }),
        Some(_) | None => Ok(()),
    }
}
