//! Keeping a file that was made on this machine as if it had been fetched.
//!
//! Promises that the file has its name in the cache only after its bytes had the digest in its
//! path, as for downloads.
//!
//! On disk: what `shelf.rs` says.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use rvenv_journal::Digest;
use rvenv_journal::fs::Time;

use super::asked::{Asked, Hasher, Hashes};
use super::download::Fetched;
use super::place::{Found, Place as _, Resume};
use super::shelf::{Shelf, ShelfError, Taken, hash};
use crate::base::cache::Cache;
use crate::base::regular_file;

const CHUNK_BYTES: usize = 64 << 10;

/// Copies a file into the cache under its digest; `None` if the caller asked to stop.
///
/// # Errors
/// See [`ShelfError`].
///
/// # Crash
/// Part of the file exists under a name that the next call completes.
pub fn keep(
    cache: &Cache,
    now: Time,
    file: &Path,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Option<Fetched>, ShelfError> {
    let failed = |source| ShelfError::Write {
        path: file.to_owned(),
        source,
    };
    let mut from = regular_file::open(file).map_err(failed)?;
    let mut state = Hasher::for_(&Hashes::default());
    if !hash(&mut from, &mut state, is_stopped).map_err(failed)? {
        return Ok(None);
    }
    let sha256 = state.finish().sha256;
    let digits = sha256.to_string();
    let hashes = Hashes::of([("sha256", digits.as_str())]);
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let asked = Asked::new(&name, hashes).map_err(|why| failed(io::Error::other(why)))?;
    let shelf = Shelf::new(cache).at(now);
    let fetched = |path| Fetched {
        path,
        sha256,
        place: shelf.shown(),
    };
    // What a power cut emptied is written again.
    if let Ok(Some(Found::File(path))) = shelf.find(&asked, &Resume::default())
        && regular_file::open(&path).is_ok_and(|mut file| is_whole(&mut file, sha256))
    {
        return Ok(Some(fetched(path)));
    }
    let mut part = match shelf.take(&asked, is_stopped)? {
        Taken::Part(part) => part,
        Taken::Done(path) => return Ok(Some(fetched(path))),
        Taken::Stopped => return Ok(None),
    };
    part.rewind(0)?;
    from.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let len = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        let bytes = chunk.get(..len).unwrap_or_default();
        part.write(bytes)?;
    }
    let copied = part.hashed();
    if copied.sha256 != sha256 {
        shelf.discard(part, &asked);
        let why = "it changed while it was copied";
        return Err(failed(io::Error::other(why)));
    }
    Ok(Some(fetched(shelf.finish(part, &asked, &copied)?)))
}

fn is_whole(file: &mut File, expected: Digest) -> bool {
    let mut state = Hasher::for_(&Hashes::default());
    hash(file, &mut state, &|| false).is_ok() && state.finish().sha256 == expected
}
