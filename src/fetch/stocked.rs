//! The wheels that the cache has as files.
//!
//! Promises their order, and not their bytes: a power cut can have emptied one.
//! Read next: `shelf.rs`, which writes them.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

use super::asked::Asked;
use super::shelf::{FETCHED, Shelf, fetched_digest};
use crate::base::cache::Cache;
use crate::wheel::Named;

/// Whether the cache has a file that is asked for; does not look at its bytes.
#[must_use]
pub fn is_at_hand(cache: &Cache, asked: &Asked) -> bool {
    Shelf::new(cache).path_of(asked).is_some()
}

/// The wheels that were fetched into a cache: name and path, by their digests.
///
/// # Errors
/// The error of the disk.
pub fn fetched_wheels(cache: &Cache) -> io::Result<Vec<(String, PathBuf)>> {
    let shelf = cache.path().join(FETCHED);
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(&shelf) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let dir = entry?.path();
        if fetched_digest(dir.file_name().unwrap_or(OsStr::new(""))).is_none() {
            continue;
        }
        for entry in std::fs::read_dir(&dir)? {
            let path = entry?.path();
            let name = path.file_name().and_then(OsStr::to_str);
            if let Some(name) = name.filter(|_| Named::of(&path).is_some()) {
                found.push((name.to_owned(), path.clone()));
            }
        }
    }
    found.sort_by(|one, other| one.1.cmp(&other.1));
    Ok(found)
}
