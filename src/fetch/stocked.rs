//! The files that the cache has, by their digests, without asking any other place.
//!
//! Promises their order, and not their bytes: a power cut can have emptied one.
//! Read next: `shelf.rs`, which writes them.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

use super::asked::{Asked, Hasher};
use super::shelf::{FETCHED, Shelf, Taken, fetched_digest};
use crate::base::cache::Cache;
use crate::base::regular_file;
use crate::wheel::Named;

/// Whether the cache has a file that is asked for; does not look at its bytes.
#[must_use]
pub fn is_at_hand(cache: &Cache, asked: &Asked) -> bool {
    Shelf::new(cache).path_of(asked).is_some()
}

/// The bytes of a file that the cache has, if they are what is asked for.
#[must_use]
pub fn cached_bytes(cache: &Cache, asked: &Asked) -> Option<Vec<u8>> {
    let bytes = regular_file::read(&Shelf::new(cache).path_of(asked)?).ok()?;
    let mut state = Hasher::for_(asked.hashes());
    state.update(&bytes);
    // A power cut can have emptied it.
    asked.is(&state.finish()).then_some(bytes)
}

/// Keeps bytes that were fetched, unless they are not what was asked for or the cache cannot be
/// used: then they are fetched again.
///
/// # Crash
/// The cache has the file, or a part that the next run replaces; its bytes may be lost.
pub fn keep_bytes(cache: &Cache, asked: &Asked, bytes: &[u8]) {
    let shelf = Shelf::new(cache);
    let Ok(Taken::Part(mut part)) = shelf.take(asked, &|| false) else {
        return;
    };
    if part.rewind(0).and_then(|()| part.write(bytes)).is_err() {
        return shelf.discard(part, asked);
    }
    let hashed = part.hashed();
    if asked.is(&hashed) {
        let _fetched_again = shelf.finish(part, asked, &hashed);
    } else {
        shelf.discard(part, asked);
    }
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
