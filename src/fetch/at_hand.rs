//! Files at hand: those of this machine alone, by their digests.
//!
//! Promises to open no connection, to write nothing, and to hash every byte of what it returns: no
//! remembered digest counts, since the result is evidence. Looks in the cache, in directories, and
//! at the path of the file.
//!
//! Read next: `places/directory.rs`; `shelf.rs`, the cache.

use std::io;
use std::path::{Path, PathBuf};

use super::asked::{Asked, Hasher, Hashes};
use super::download::Fetched;
use super::place::{Found, Place, PlaceError, Resume};
use super::places::{Directory, LocalFile};
use super::shelf::{FETCHED, Shelf, hash};
use crate::base::cache::Cache;
use crate::base::regular_file;
use crate::python::shown;

/// Finds files on this machine by their digests.
#[derive(Debug)]
pub struct AtHand {
    places: Vec<Box<dyn Place>>,
    houses: Vec<PathBuf>,
    fetched: Option<PathBuf>,
}

impl AtHand {
    /// Looks in the cache and in these directories.
    #[must_use]
    pub fn new(cache: Option<&Cache>, houses: &[PathBuf]) -> Self {
        let mut places: Vec<Box<dyn Place>> = Vec::new();
        if let Some(cache) = cache {
            places.push(Box::new(Shelf::new(cache)));
        }
        for house in houses {
            places.push(Box::new(Directory(house.clone())));
        }
        places.push(Box::new(LocalFile));
        Self {
            places,
            houses: houses.to_vec(),
            fetched: cache.map(|cache| cache.path().join(FETCHED)),
        }
    }

    /// Finds a file whose bytes have the digest that is asked for; `None` if no place has a file of
    /// this name.
    ///
    /// # Errors
    /// Why the only files of this name are not the one that is asked for, and an interruption.
    pub fn find(
        &self,
        asked: &Asked,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Option<Fetched>, PlaceError> {
        let mut first = None;
        for place in &self.places {
            match in_place(place.as_ref(), asked, is_stopped) {
                Ok(Some(file)) => return Ok(Some(file)),
                Ok(None) => {}
                Err(PlaceError::Interrupted) => return Err(PlaceError::Interrupted),
                Err(error) => first = first.or(Some(error)),
            }
        }
        first.map_or(Ok(None), Err)
    }

    /// The names of the files that may have one of these digests, each with the digests that it may
    /// have: all files of the directories, and those that were fetched by such a digest.
    ///
    /// # Errors
    /// A directory that cannot be listed.
    pub fn candidates(&self, hashes: &Hashes) -> Result<Vec<(String, Hashes)>, PlaceError> {
        let mut found = Vec::new();
        for house in &self.houses {
            let names = names(house).map_err(|source| PlaceError::Local {
                path: house.clone(),
                source,
            })?;
            found.extend(names.into_iter().map(|name| (name, hashes.clone())));
        }
        for asked in hashes.each().chain([hashes.clone()]) {
            let dir = self.fetched.as_ref().map(|top| top.join(asked.key()));
            // Most digests of a release were never fetched.
            let names = dir.and_then(|dir| names(&dir).ok()).unwrap_or_default();
            found.extend(names.into_iter().map(|name| (name, asked.clone())));
        }
        Ok(found)
    }
}

/// The names of the files in a directory, sorted.
fn names(dir: &Path) -> io::Result<Vec<String>> {
    let entries = std::fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    let names = entries
        .into_iter()
        .filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}

fn in_place(
    place: &dyn Place,
    asked: &Asked,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Option<Fetched>, PlaceError> {
    let Some(Found::File(path)) = place.find(asked, &Resume::default())? else {
        return Ok(None);
    };
    let failed = |source| PlaceError::Local {
        path: path.clone(),
        source,
    };
    let mut state = Hasher::for_(asked.hashes());
    let mut file = regular_file::open(&path).map_err(failed)?;
    if !hash(&mut file, &mut state, is_stopped).map_err(failed)? {
        return Err(PlaceError::Interrupted);
    }
    let hashed = state.finish();
    if !asked.is(&hashed) {
        return Err(PlaceError::Hash {
            shown: shown(&path),
            found: hashed.sha256.to_string(),
        });
    }
    Ok(Some(Fetched {
        path,
        sha256: hashed.sha256,
        place: place.shown(),
    }))
}
