//! One file: asking places for it, and writing what arrives.
//!
//! Promises that what it returns has a digest that was asked for, that a broken download continues
//! where it broke, and that every wait ends after the time limit or soon after the run is stopped.
//!
//! On disk: what `shelf.rs` says.
//! Read next: `place.rs`; `shelf.rs`.

use std::cell::Cell;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rvenv_journal::Digest;
use rvenv_journal::raw::counted;

use super::asked::{Asked, Hashed, Hasher};
use super::client::{Client, broken};
use super::failure::FetchFailed;
use super::pace::Pace;
use super::place::{Body, Found, Place, PlaceError, Resume};
use super::settings::Settings;
use super::shelf::{Part, Shelf, ShelfError, Taken, hash};
use crate::base::regular_file;
use crate::wheel::{Catalogue, WHEEL_BYTES_MAX};

/// So many bytes more than any attempt before, and the attempts are counted anew.
const PROGRESS_BYTES: u64 = 256 << 10;
const CHUNK_BYTES: usize = 64 << 10;

/// A file that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where it is: in the cache, or where a place on this machine has it.
    pub path: PathBuf,
    /// Its digest.
    pub sha256: Digest,
    /// The place that had it, in words.
    pub place: String,
}

/// What the threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) shelf: Shelf,
    pub(super) places: Vec<Box<dyn Place>>,
    pub(super) catalogue: Catalogue,
    pub(super) client: Arc<Client>,
    pub(super) settings: Arc<Settings>,
    pub(super) total_max: u64,
}

/// One run: what its threads count.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) stopped: Arc<AtomicBool>,
    pub(super) done: AtomicU64,
    /// All bytes that arrived, those of failed attempts too.
    arrived: AtomicU64,
}

/// Why one attempt brought nothing.
enum Failure {
    Place(PlaceError),
    Shelf(ShelfError),
    TotalTooLarge,
}

impl From<ShelfError> for Failure {
    fn from(error: ShelfError) -> Self {
        Self::Shelf(error)
    }
}

impl From<PlaceError> for Failure {
    fn from(error: PlaceError) -> Self {
        Self::Place(error)
    }
}

impl Shared {
    /// A file that is in the cache already.
    pub(super) fn cached(&self, run: &Run, asked: &Asked) -> Option<Fetched> {
        if !asked.is_known() {
            return None;
        }
        let found = self.shelf.find(asked, &Resume::default());
        let Ok(Some(Found::File(path))) = found else {
            return None;
        };
        self.local(run, path, asked, self.shelf.shown()).ok()
    }

    fn is_stopped(&self, run: &Run) -> bool {
        run.stopped.load(Ordering::Relaxed) || self.client.is_stopped()
    }

    /// Gets one file from the first place that has it.
    pub(super) fn get(&self, run: &Run, asked: &Asked) -> Result<Fetched, FetchFailed> {
        let file = || asked.file_name().to_owned();
        let mut tried = Vec::new();
        if let Ok(Some(fetched)) = self.left_complete(run, asked) {
            return Ok(fetched);
        }
        for place in &self.places {
            match self.ask_place(run, place.as_ref(), asked) {
                Ok(Some(fetched)) => return Ok(fetched),
                Ok(None) => {}
                Err(Failure::Place(PlaceError::Interrupted)) => {
                    return Err(FetchFailed::Interrupted);
                }
                Err(Failure::Place(error)) => tried.push((place.shown(), error)),
                Err(Failure::Shelf(source)) => {
                    return Err(FetchFailed::Shelf {
                        file: file(),
                        source,
                    });
                }
                Err(Failure::TotalTooLarge) => {
                    return Err(FetchFailed::TotalTooLarge(self.total_max));
                }
            }
        }
        Err(FetchFailed::Nowhere {
            file: file(),
            tried,
        })
    }

    /// A file that arrived whole before a process was killed, but has no name yet.
    fn left_complete(&self, run: &Run, asked: &Asked) -> Result<Option<Fetched>, Failure> {
        let left = self.shelf.part_len(asked);
        if left == 0 || !asked.is_known() || asked.size.is_some_and(|size| size != left) {
            return Ok(None);
        }
        // One try only: another process may still be downloading the file, and a place of this run
        // may have it.
        let was_tried = Cell::new(false);
        let is_stopped = || was_tried.replace(true) || self.is_stopped(run);
        let mut part = match self.shelf.take(asked, &is_stopped)? {
            Taken::Part(part) => part,
            Taken::Done(path) => {
                return self.local(run, path, asked, self.shelf.shown()).map(Some);
            }
            Taken::Stopped => return Ok(None),
        };
        part.rewind(part.len)?;
        let hashed = part.hashed();
        if !asked.is(&hashed) {
            // Without a known size, it may be the first part of the file.
            if asked.size.is_some() || part.len == 0 {
                self.shelf.discard(part, asked);
            }
            return Ok(None);
        }
        self.finish(part, asked, &hashed, self.shelf.shown())
            .map(Some)
    }

    /// Asks one place, again and again while its errors pass.
    fn ask_place(
        &self,
        run: &Run,
        place: &dyn Place,
        asked: &Asked,
    ) -> Result<Option<Fetched>, Failure> {
        let (mut attempts, mut longest) = (0, 0);
        let mut version = None;
        loop {
            // Without a digest, another process may have left a part of another file.
            let before = if asked.is_known() {
                self.shelf.part_len(asked)
            } else {
                0
            };
            let mut resume = Resume {
                len: before,
                version: version.take(),
            };
            let ended = self.attempt(run, place, asked, &mut resume);
            version = resume.version;
            let error = match ended {
                Err(Failure::Place(error)) => error,
                done => return done,
            };
            if self.is_stopped(run) {
                return Err(PlaceError::Interrupted.into());
            }
            let after = self.shelf.part_len(asked);
            if after >= longest + PROGRESS_BYTES {
                (attempts, longest) = (0, after);
            }
            let Some(wait) = self.client.wait(&error, attempts) else {
                return Err(error.into());
            };
            attempts += 1;
            self.client.pause(wait, &|| self.is_stopped(run))?;
        }
    }

    /// Asks one place once; `resume` gets the version of what arrived.
    fn attempt(
        &self,
        run: &Run,
        place: &dyn Place,
        asked: &Asked,
        resume: &mut Resume,
    ) -> Result<Option<Fetched>, Failure> {
        let mut body = match place.find(asked, resume)? {
            None => return Ok(None),
            Some(Found::File(path)) => {
                return self.local(run, path, asked, place.shown()).map(Some);
            }
            Some(Found::Body(body)) => body,
        };
        let is_stopped = || self.is_stopped(run);
        let mut part = match self.shelf.take(asked, &is_stopped)? {
            Taken::Part(part) => part,
            Taken::Done(path) => return self.local(run, path, asked, place.shown()).map(Some),
            Taken::Stopped => return Err(PlaceError::Interrupted.into()),
        };
        if body.start > part.len {
            let why = "another process changed the download".to_owned();
            return Err(connection(body.shown, why));
        }
        part.rewind(body.start)?;
        run.done.fetch_add(part.len, Ordering::Relaxed);
        let poured = self.pour(run, &mut body, &mut part, asked);
        let hashed = part.hashed();
        if let Err(error) = poured {
            run.done.fetch_sub(part.len, Ordering::Relaxed);
            resume.version = body.version;
            if part.len == 0 || matches!(error, Failure::Place(PlaceError::TooLarge { .. })) {
                self.shelf.discard(part, asked);
            }
            return Err(error);
        }
        if asked.is(&hashed) {
            return self.finish(part, asked, &hashed, place.shown()).map(Some);
        }
        run.done.fetch_sub(part.len, Ordering::Relaxed);
        self.shelf.discard(part, asked);
        if body.start > 0 {
            // What was left may have been the wrong half.
            let why = "what it continued was another file".to_owned();
            return Err(connection(body.shown, why));
        }
        Err(wrong(body.shown, &hashed, asked))
    }

    /// Writes and hashes bytes as they arrive.
    fn pour(
        &self,
        run: &Run,
        body: &mut Body,
        part: &mut Part,
        asked: &Asked,
    ) -> Result<(), Failure> {
        let max = asked.size.unwrap_or(WHEEL_BYTES_MAX);
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut pace = Pace::new(self.settings.timeout, part.len);
        loop {
            if self.is_stopped(run) {
                return Err(PlaceError::Interrupted.into());
            }
            let len = match body.reader.read(&mut chunk) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken(body.shown.clone(), &error).into()),
            };
            if len == 0 {
                break;
            }
            let bytes = chunk.get(..len).unwrap_or_default();
            if part.len + bytes.len() as u64 > max {
                let shown = body.shown.clone();
                return Err(PlaceError::TooLarge { shown, max }.into());
            }
            if run.arrived.fetch_add(len as u64, Ordering::Relaxed) + len as u64 > self.total_max {
                return Err(Failure::TotalTooLarge);
            }
            part.write(bytes)?;
            run.done.fetch_add(len as u64, Ordering::Relaxed);
            if pace.is_silent(part.len) {
                return Err(PlaceError::Silent(body.shown.clone()).into());
            }
        }
        match asked.size.or(body.len) {
            Some(len) if part.len < len => {
                let why = format!("it ended after {} of {}", part.len, counted(len, "byte"));
                let shown = body.shown.clone();
                Err(PlaceError::Connection { shown, why }.into())
            }
            Some(_) | None => Ok(()),
        }
    }

    fn finish(
        &self,
        part: Part,
        asked: &Asked,
        hashed: &Hashed,
        place: String,
    ) -> Result<Fetched, Failure> {
        Ok(Fetched {
            path: self.shelf.finish(part, asked, hashed)?,
            sha256: hashed.sha256,
            place,
        })
    }

    /// A file on this machine, if it has a digest that is asked for.
    fn local(
        &self,
        run: &Run,
        path: PathBuf,
        asked: &Asked,
        place: String,
    ) -> Result<Fetched, Failure> {
        let known = self.catalogue.known_digest(&path);
        if let Some(sha256) = known.filter(|known| asked.is_sha256(*known)) {
            return Ok(Fetched {
                path,
                sha256,
                place,
            });
        }
        let hashed = self.hash_local(run, &path, asked)?;
        if asked.is(&hashed) {
            let sha256 = hashed.sha256;
            return Ok(Fetched {
                path,
                sha256,
                place,
            });
        }
        Err(wrong(crate::python::shown(&path), &hashed, asked))
    }

    fn hash_local(&self, run: &Run, path: &Path, asked: &Asked) -> Result<Hashed, Failure> {
        let mut state = Hasher::for_(asked.hashes());
        let is_stopped = || self.is_stopped(run);
        let file = regular_file::open(path);
        let read = file.and_then(|mut file| hash(&mut file, &mut state, &is_stopped));
        let read = read.map_err(|source| PlaceError::Local {
            path: path.to_owned(),
            source,
        })?;
        if read {
            Ok(state.finish())
        } else {
            Err(PlaceError::Interrupted.into())
        }
    }
}

fn connection(shown: String, why: String) -> Failure {
    PlaceError::Connection { shown, why }.into()
}

/// The error for other bytes than those that are asked for.
fn wrong(shown: String, hashed: &Hashed, asked: &Asked) -> Failure {
    match asked.size {
        Some(expected) if expected != hashed.len => {
            let len = hashed.len;
            PlaceError::Size {
                shown,
                len,
                expected,
            }
            .into()
        }
        Some(_) | None => {
            let found = hashed.sha256.to_string();
            PlaceError::Hash { shown, found }.into()
        }
    }
}
