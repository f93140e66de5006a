//! The catalogue: the facts about wheels that were read before.
//!
//! Promises that a process reads a wheel at most once, and that it uses the facts of an earlier
//! process only while the file is unchanged, as far as its fingerprint can tell; planning then
//! needs none of the wheel's bytes. A caller that needs bytes gets those of exactly that file,
//! which are checked against its digest first. Has no errors of its own: a wheel that is not
//! remembered is read.
//!
//! On disk: answers, `<cache dir>/wheels/<sha256 of the path>.json`.
//! Read next: `contents.rs`, which reads a wheel.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rvenv_journal::{Digest, RelPath};
use serde::{Deserialize, Serialize};

use super::contents::{Facts, Library, Member, Wheel};
use super::fault::WheelError;
use crate::base::cache::Cache;
use crate::base::cached_answer::CachedAnswer;
use crate::base::fingerprint::Fingerprint;

/// The version of this format.
const FORMAT: u32 = 2;
/// Some 250 bytes for each of the entries that a wheel may have.
const MEMO_BYTES_MAX: u64 = 32 << 20;

/// Wheels that were read before; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    cache: Option<Cache>,
    read: Arc<Mutex<BTreeMap<PathBuf, Arc<Wheel>>>>,
}

impl Catalogue {
    /// The catalogue of a cache directory; without one it lasts as long as the process.
    #[must_use]
    pub fn new(cache: Option<&Cache>) -> Self {
        Self {
            cache: cache.cloned(),
            read: Arc::default(),
        }
    }

    /// The wheel at a path: as this process read it, else as an earlier process read it, else read
    /// now.
    ///
    /// # Errors
    /// As [`Wheel::open`].
    pub fn open(&self, path: &Path) -> Result<Arc<Wheel>, WheelError> {
        self.open_with(path, || match self.recall(path) {
            Some(wheel) => Ok(wheel),
            None => self.read(path),
        })
    }

    /// Opens a wheel whose file will soon be removed, and so remembers nothing for later processes.
    ///
    /// # Errors
    /// As [`Wheel::open`].
    pub fn open_uncached(&self, path: &Path) -> Result<Arc<Wheel>, WheelError> {
        self.open_with(path, || Wheel::open(path))
    }

    /// The digest of the wheel at a path, if this process read it.
    #[must_use]
    pub fn examined(&self, path: &Path) -> Option<Digest> {
        self.known().get(path).map(|wheel| wheel.digest())
    }

    /// The digest of the wheel at a path, if this or an earlier process read it.
    #[must_use]
    pub fn known_digest(&self, path: &Path) -> Option<Digest> {
        if let Some(known) = self.known().get(path) {
            return Some(known.digest());
        }
        let wheel = Arc::new(self.recall(path)?);
        let digest = wheel.digest();
        self.known().insert(path.to_owned(), wheel);
        Some(digest)
    }

    fn open_with(
        &self,
        path: &Path,
        open: impl FnOnce() -> Result<Wheel, WheelError>,
    ) -> Result<Arc<Wheel>, WheelError> {
        if let Some(known) = self.known().get(path) {
            return Ok(Arc::clone(known));
        }
        let wheel = Arc::new(open()?);
        self.known().insert(path.to_owned(), Arc::clone(&wheel));
        Ok(wheel)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, Arc<Wheel>>> {
        // A panic cannot leave the map half changed: a wheel is in it or is not.
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memo(&self, path: &Path) -> Option<CachedAnswer> {
        Some(CachedAnswer::about(path, "wheels", self.cache.as_ref()?))
    }

    fn recall(&self, path: &Path) -> Option<Wheel> {
        let bytes = self.memo(path)?.read(MEMO_BYTES_MAX)?;
        let entry: CachedWheel<'_> = serde_json::from_slice(&bytes).ok()?;
        if entry.format != FORMAT {
            return None;
        }
        let witness = entry.witness;
        if witness.path != path || witness.state.is_none() || !witness.holds() {
            return None;
        }
        Wheel::recalled(path, entry.facts.restore()?).ok()
    }

    fn read(&self, path: &Path) -> Result<Wheel, WheelError> {
        let before = Fingerprint::of(path);
        let wheel = Wheel::open(path)?;
        if before.holds()
            && let Some(memo) = self.memo(path)
        {
            let entry = CachedWheel {
                format: FORMAT,
                witness: before,
                facts: StoredFacts::of(wheel.facts()),
            };
            if let Ok(bytes) = serde_json::to_vec(&entry) {
                drop(memo.write(&bytes));
            }
        }
        Ok(wheel)
    }
}

#[derive(Serialize, Deserialize)]
struct CachedWheel<'a> {
    format: u32,
    witness: Fingerprint,
    #[serde(borrow)]
    facts: StoredFacts<'a>,
}

/// [`Facts`] on disk.
#[derive(Serialize, Deserialize)]
struct StoredFacts<'a> {
    digest: String,
    len: u64,
    dist_info: String,
    pure: bool,
    entry_points: Option<String>,
    #[serde(borrow)]
    members: Vec<StoredMember<'a>>,
}

/// [`Member`] on disk: path, length, digest, whether it is executable, time, and its number in the
/// archive.
#[derive(Serialize, Deserialize)]
struct StoredMember<'a>(
    // Borrowed, because no path has a character that JSON escapes except the quotation mark, which
    // is rare.
    #[serde(borrow)] std::borrow::Cow<'a, str>,
    u64,
    std::borrow::Cow<'a, str>,
    bool,
    i64,
    usize,
);

impl<'a> StoredFacts<'a> {
    fn of(facts: &'a Facts) -> Self {
        let member = |member: &'a Member| {
            StoredMember(
                member.path.as_str().into(),
                member.len,
                member.digest.to_string().into(),
                member.executable,
                member.mtime,
                member.file,
            )
        };
        Self {
            digest: facts.digest.to_string(),
            len: facts.len,
            dist_info: facts.dist_info.clone(),
            pure: facts.library == Library::Pure,
            entry_points: facts.entry_points.clone(),
            members: facts.members.iter().map(member).collect(),
        }
    }

    fn restore(self) -> Option<Facts> {
        let member = |StoredMember(path, len, digest, executable, mtime, file)| {
            Some(Member {
                path: RelPath::new(&path).ok()?,
                len,
                digest: Digest::parse(&digest).ok()?,
                executable,
                mtime,
                file,
            })
        };
        let members = self.members.into_iter().map(member);
        Some(Facts {
            digest: Digest::parse(&self.digest).ok()?,
            len: self.len,
            dist_info: self.dist_info,
            library: if self.pure {
                Library::Pure
            } else {
                Library::Platform
            },
            members: members.collect::<Option<_>>()?,
            entry_points: self.entry_points,
        })
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests put wheels where others would"
)]
mod tests {
    use std::fs;

    use super::*;
    use crate::wheel::sample;

    fn wheel(text: &str) -> Vec<u8> {
        sample::Builder::new().file("demo.py", text).bytes()
    }

    /// A wheel in a directory, and the catalogue of a cache beside it.
    fn shelf() -> (tempfile::TempDir, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(sample::NAME);
        fs::write(&path, wheel("one")).unwrap();
        (place, path)
    }

    fn catalogue(place: &tempfile::TempDir) -> Catalogue {
        Catalogue::new(Some(&Cache::at(place.path().join("cache"))))
    }

    fn bytes_of(wheel: &Wheel) -> Vec<u8> {
        let member = wheel.members().iter().find(|m| m.path.name() == "demo.py");
        wheel.read(member.unwrap()).unwrap()
    }

    #[test]
    fn what_is_recalled_is_what_was_read_and_gives_the_same_bytes() {
        let (place, path) = shelf();
        let read = catalogue(&place).open(&path).unwrap();
        let recalled = catalogue(&place).recall(&path).unwrap();
        assert_eq!(recalled.facts(), read.facts());
        assert_eq!(recalled.file_name(), read.file_name());
        assert_eq!(bytes_of(&recalled), b"one");
    }

    #[test]
    fn a_wheel_that_was_replaced_is_read_again() {
        let (place, path) = shelf();
        let before = catalogue(&place).open(&path).unwrap();
        let other = path.with_extension("tmp");
        fs::write(&other, wheel("two")).unwrap();
        fs::rename(&other, &path).unwrap();
        let after = catalogue(&place).open(&path).unwrap();
        assert_ne!(after.digest(), before.digest());
        assert_eq!(bytes_of(&after), b"two");
    }

    #[test]
    fn bytes_of_another_file_than_the_recalled_one_are_refused() {
        let (place, path) = shelf();
        catalogue(&place).open(&path).unwrap();
        let recalled = catalogue(&place).open(&path).unwrap();
        fs::write(&path, wheel("two")).unwrap();
        let error = recalled.read(&recalled.members()[0]).unwrap_err();
        assert!(error.fault.to_string().contains("changed"), "{error}");
    }

    #[test]
    fn a_note_that_rvenv_did_not_write_is_as_good_as_none() {
        let (place, path) = shelf();
        let catalogue = catalogue(&place);
        catalogue.open(&path).unwrap();
        let memo = catalogue.memo(&path).unwrap();
        let whole = String::from_utf8(memo.read(MEMO_BYTES_MAX).unwrap()).unwrap();
        let broken = [
            whole.replace("\"format\":2", "\"format\":1"),
            whole.replace("demo.py", "../demo.py"),
            whole.replace("\"len\":", "\"length\":"),
            whole.get(..whole.len() / 2).unwrap().to_owned(),
            String::new(),
        ];
        for text in broken {
            memo.write(text.as_bytes()).unwrap();
            assert!(catalogue.recall(&path).is_none(), "{text}");
        }
        memo.write(whole.as_bytes()).unwrap();
        assert!(catalogue.recall(&path).is_some());
    }
}
