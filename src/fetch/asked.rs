//! What is asked for: a file by its digests, and what is known about where it is.
//!
//! Promises that a [`Hashes`] holds well-formed digests of SHA-2 only (MD5 and SHA-1 can be
//! forged), and that bytes match if any of them is theirs, as in pip: a requirements file lists the
//! digests of every file of a release. A file without digests is only for what nobody locked, from
//! a page that has none; it is never looked for in the cache.
//! Read next: `place.rs`, which is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use rvenv_journal::Digest;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use thiserror::Error;

use super::address::{Address, AddressError, is_file_name};
use crate::lock::{self, Algorithm, File, Hash};

/// The digests that bytes may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hashes(BTreeMap<Algorithm, BTreeSet<String>>);

impl Hashes {
    /// Those of these pairs of an algorithm's name and a digest in hexadecimal digits that are of
    /// use; leaves the others out.
    #[must_use]
    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut hashes = Self::default();
        for (name, hex) in pairs {
            if let Ok(Some(hash)) = Hash::parse(name, hex.trim()) {
                hashes.insert(hash);
            }
        }
        hashes
    }

    fn insert(&mut self, hash: Hash) {
        self.0
            .entry(hash.algorithm)
            .or_default()
            .insert(hash.digits);
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both have a digest in common; `None` if they have no algorithm in common.
    #[must_use]
    pub fn agree(&self, other: &Self) -> Option<bool> {
        let both = self.0.iter().filter_map(|(algorithm, own)| {
            let other = other.0.get(algorithm)?;
            Some(own.intersection(other).next().is_some())
        });
        both.reduce(|one, other| one || other)
    }

    /// The only SHA-256 digest, if there is one.
    #[must_use]
    pub fn sha256(&self) -> Option<Digest> {
        let all = self.0.get(&Algorithm::Sha256)?;
        let only = all.first().filter(|_| all.len() == 1)?;
        Digest::parse(only).ok()
    }

    /// Those that both have; all of these if the others name none of their algorithms.
    #[must_use]
    pub fn common(&self, others: &Self) -> Self {
        if self.agree(others).is_none() {
            return self.clone();
        }
        let common = self.0.iter().filter_map(|(algorithm, own)| {
            let both = own & others.0.get(algorithm)?;
            (!both.is_empty()).then_some((*algorithm, both))
        });
        Self(common.collect())
    }

    /// The name of the file in the cache: its SHA-256 digest, if that is known; else what is known,
    /// which names the same file the next time.
    pub(super) fn key(&self) -> String {
        if let Some(digest) = self.sha256() {
            return digest.to_string();
        }
        let all = self
            .0
            .iter()
            .flat_map(|(algorithm, all)| all.iter().map(move |hex| (algorithm, hex)));
        let texts: Vec<String> = all
            .map(|(one, hex)| format!("{}-{hex}", one.name()))
            .collect();
        match texts.as_slice() {
            [only] => only.clone(),
            several => format!("any-{}", Digest::of(several.join(" ").as_bytes())),
        }
    }

    /// Each digest alone.
    pub(super) fn each(&self) -> impl Iterator<Item = Self> {
        let pairs = self.0.iter();
        let pairs =
            pairs.flat_map(|(algorithm, all)| all.iter().map(move |hex| (*algorithm, hex.clone())));
        pairs.map(|(algorithm, hex)| Self(BTreeMap::from([(algorithm, BTreeSet::from([hex]))])))
    }

    fn has(&self, algorithm: Algorithm) -> bool {
        self.0.contains_key(&algorithm)
    }
}

impl From<&lock::Hashes> for Hashes {
    fn from(locked: &lock::Hashes) -> Self {
        let mut hashes = Self::default();
        locked
            .checked()
            .iter()
            .cloned()
            .for_each(|hash| hashes.insert(hash));
        hashes
    }
}

/// A file that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    file_name: String,
    hashes: Hashes,
    /// How many bytes it has, if that is known.
    pub size: Option<u64>,
    match_: Match,
    url: Option<Address>,
    /// Its absolute path.
    pub path: Option<PathBuf>,
    /// Where its attestations are (PEP 740).
    pub provenance: Option<Address>,
}

/// Which of several digests bytes must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    Any,
    /// One of each algorithm.
    Every,
    /// None: nobody knows a digest.
    Unknown,
}

/// Why a file cannot be asked for.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AskedError {
    /// The name is no file's.
    #[error("`{}` is not the name of a file", .0.escape_debug())]
    Name(String),
    /// The URL of a lock is malformed.
    #[error("cannot use the URL of `{0}`")]
    Url(String, #[source] AddressError),
    /// No digest of SHA-2.
    #[error("`{0}` has no sha256, sha384 or sha512 digest")]
    Hashes(String),
}

impl Asked {
    /// A file of this name and these digests.
    ///
    /// # Errors
    /// See [`AskedError`].
    pub fn new(file_name: &str, hashes: Hashes) -> Result<Self, AskedError> {
        let asked = Self::without_hashes(file_name)?;
        if hashes.is_empty() {
            return Err(AskedError::Hashes(file_name.to_owned()));
        }
        Ok(Self {
            hashes,
            match_: Match::Any,
            ..asked
        })
    }

    /// A file of this name, whose digest nobody knows: its place is trusted.
    ///
    /// # Errors
    /// See [`AskedError`].
    pub(super) fn without_hashes(file_name: &str) -> Result<Self, AskedError> {
        if !is_file_name(file_name) {
            return Err(AskedError::Name(file_name.to_owned()));
        }
        Ok(Self {
            file_name: file_name.to_owned(),
            hashes: Hashes::default(),
            size: None,
            match_: Match::Unknown,
            url: None,
            path: None,
            provenance: None,
        })
    }

    /// A file of a lock.
    ///
    /// # Errors
    /// See [`AskedError`].
    pub fn of_lock(file: &File) -> Result<Self, AskedError> {
        let mut asked = Self::new(&file.name, Hashes::from(&file.hashes))?.matching_every();
        if let Some(url) = &file.url {
            let malformed = |why| AskedError::Url(file.name.clone(), why);
            asked = asked.at_url(Address::parse(url).map_err(malformed)?);
        }
        asked.path.clone_from(&file.path);
        Ok(asked.sized(file.size))
    }

    /// The same file, whose bytes must have a digest of each algorithm, as a `pylock.toml` demands;
    /// without this one digest is enough.
    #[must_use]
    pub fn matching_every(self) -> Self {
        Self {
            match_: Match::Every,
            ..self
        }
    }

    /// The same file, of which the size is known.
    #[must_use]
    pub fn sized(self, size: Option<u64>) -> Self {
        Self { size, ..self }
    }

    /// The same file, which is at this URL.
    #[must_use]
    pub fn at_url(self, url: Address) -> Self {
        Self {
            url: Some(url),
            ..self
        }
    }

    /// The same file, which is at this path.
    #[must_use]
    pub fn at_path(self, path: PathBuf) -> Self {
        Self {
            path: Some(path),
            ..self
        }
    }

    /// Its name.
    #[must_use]
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// The digests that it may have.
    #[must_use]
    pub fn hashes(&self) -> &Hashes {
        &self.hashes
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> Option<&Address> {
        self.url.as_ref()
    }

    /// The name of its directory in the cache, and of the file that is arriving.
    pub(super) fn key(&self) -> String {
        if self.is_known() {
            return self.hashes.key();
        }
        let place = self
            .url
            .as_ref()
            .map(|url| Digest::of(url.to_string().as_bytes()));
        let place = place.map_or_else(String::new, |place| place.to_string());
        let text = format!("{} {place}", self.file_name);
        format!("any-{}", Digest::of(text.as_bytes()))
    }

    /// The name of its directory once its bytes are known.
    pub(super) fn key_of(&self, hashed: &Hashed) -> String {
        if self.is_known() {
            self.hashes.key()
        } else {
            hashed.sha256.to_string()
        }
    }

    /// Whether a digest is known by which it can be found.
    pub(super) fn is_known(&self) -> bool {
        self.match_ != Match::Unknown
    }

    /// Whether these bytes are the file.
    pub(super) fn is(&self, hashed: &Hashed) -> bool {
        self.matches(&hashed.hashes)
    }

    /// Whether bytes with this digest are the file; false if that alone does not tell.
    pub(super) fn is_sha256(&self, digest: Digest) -> bool {
        self.matches(&Hashes::of([("sha256", digest.to_string().as_str())]))
    }

    fn matches(&self, found: &Hashes) -> bool {
        let of = |(algorithm, own): (&Algorithm, &BTreeSet<String>)| {
            let found = found.0.get(algorithm);
            found.is_some_and(|found| !found.is_disjoint(own))
        };
        let mut all = self.hashes.0.iter();
        match self.match_ {
            Match::Any => all.any(of),
            Match::Every => all.all(of),
            Match::Unknown => true,
        }
    }
}

/// Hashes bytes as they arrive, with SHA-256 and whatever else is compared.
#[derive(Clone)]
pub(super) struct Hasher {
    len: u64,
    sha256: Sha256,
    sha384: Option<Sha384>,
    sha512: Option<Sha512>,
}

/// What bytes turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hashed {
    pub(super) len: u64,
    pub(super) sha256: Digest,
    pub(super) hashes: Hashes,
}

impl Hasher {
    pub(super) fn for_(hashes: &Hashes) -> Self {
        Self {
            len: 0,
            sha256: Sha256::new(),
            sha384: hashes.has(Algorithm::Sha384).then(Sha384::new),
            sha512: hashes.has(Algorithm::Sha512).then(Sha512::new),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        self.sha256.update(bytes);
        if let Some(hash) = &mut self.sha384 {
            hash.update(bytes);
        }
        if let Some(hash) = &mut self.sha512 {
            hash.update(bytes);
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn finish(self) -> Hashed {
        let sha256 = hex(&self.sha256.finalize());
        let others = [
            ("sha384", self.sha384.map(|hash| hex(&hash.finalize()))),
            ("sha512", self.sha512.map(|hash| hex(&hash.finalize()))),
        ];
        let others = others.iter();
        let others = others.filter_map(|(name, hex)| Some((*name, hex.as_deref()?)));
        let hashes = Hashes::of(others.chain([("sha256", sha256.as_str())]));
        Hashed {
            len: self.len,
            sha256: Digest::parse(&sha256).expect("a SHA-256 digest has 64 digits"),
            hashes,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strong_and_well_formed_digests_count() {
        let good = "ab".repeat(32);
        let pairs = [
            ("md5", "d41d8cd98f00b204e9800998ecf8427e"),
            ("sha256", "ab"),
            ("sha512", good.as_str()),
            ("sha256", "zz".repeat(32).leak()),
        ];
        assert!(Hashes::of(pairs).is_empty());
        let upper = good.to_ascii_uppercase();
        let hashes = Hashes::of([("SHA256", upper.as_str())]);
        assert_eq!(hashes.key(), good);
    }

    #[test]
    fn bytes_are_hashed_with_every_algorithm_that_is_compared() {
        let mut by_all = Hasher::for_(&Hashes::of([
            ("sha384", "0".repeat(96).leak() as &str),
            ("sha512", "0".repeat(128).leak()),
        ]));
        by_all.update(b"ab");
        by_all.update(b"c");
        let hashed = by_all.finish();
        assert_eq!(hashed.sha256, Digest::of(b"abc"));
        let names: Vec<_> = hashed.hashes.0.keys().map(|one| one.name()).collect();
        assert_eq!(names, ["sha256", "sha384", "sha512"]);
        let sha384 = hashed.hashes.0[&Algorithm::Sha384].first().unwrap();
        assert!(sha384.starts_with("cb00753f45a35e8bb5a03d699ac65007"));
        let only = Hashes::of([("sha384", sha384.as_str())]);
        assert_eq!(only.agree(&hashed.hashes), Some(true));
        assert_eq!(only.key(), format!("sha384-{sha384}"));
        let other = Hashes::of([("sha256", "00".repeat(32).leak() as &str)]);
        assert_eq!(other.agree(&hashed.hashes), Some(false));
        assert_eq!(other.agree(&only), None);
    }

    #[test]
    fn one_digest_of_several_is_enough_unless_every_algorithm_counts() {
        let (one, other) = (Digest::of(b"1").to_string(), Digest::of(b"2").to_string());
        let sha512 = "0".repeat(128);
        let pairs = [
            ("sha256", one.as_str()),
            ("sha256", &other),
            ("sha512", &sha512),
        ];
        let hashed = |bytes: &[u8]| {
            let mut state = Hasher::for_(&Hashes::of(pairs));
            state.update(bytes);
            state.finish()
        };
        let any = Asked::new("a", Hashes::of(pairs)).unwrap();
        assert!(any.is(&hashed(b"1")) && any.is(&hashed(b"2")) && !any.is(&hashed(b"3")));
        assert!(any.key().starts_with("any-"));
        let every = any.matching_every();
        assert!(!every.is(&hashed(b"1")));
        assert!(!every.is_sha256(Digest::of(b"1")));
        let common = Hashes::of(pairs).common(&Hashes::of([("sha256", one.as_str())]));
        assert_eq!(common.key(), one);
    }

    #[test]
    fn a_file_of_a_lock_must_have_every_digest_of_it() {
        let mut hashes = lock::Hashes::default();
        let (right, wrong) = (Digest::of(b"x").to_string(), "0".repeat(128));
        hashes.add("sha256", &right).unwrap();
        hashes.add("sha512", &wrong).unwrap();
        let file = |url: &str| File {
            name: "a".to_owned(),
            url: Some(url.to_owned()),
            path: None,
            written_path: None,
            size: Some(1),
            upload_time: None,
            hashes: hashes.clone(),
        };
        let asked = Asked::of_lock(&file("https://h/a")).unwrap();
        let mut state = Hasher::for_(asked.hashes());
        state.update(b"x");
        assert!(!asked.is(&state.finish()));
        assert_eq!(asked.url().unwrap().host(), "h");
        let refused = Asked::of_lock(&file("gopher://u:secret@h/")).unwrap_err();
        assert!(!format!("{refused:?}").contains("secret"));
    }

    #[test]
    fn names_that_lead_elsewhere_cannot_be_asked_for() {
        let hashes = || Hashes::of([("sha256", "00".repeat(32).leak() as &str)]);
        for name in ["", "..", "a/b", "a\\b", "a\nb", "C:a"] {
            assert!(Asked::new(name, hashes()).is_err(), "{name}");
        }
        assert!(Asked::new("a-1-py3-none-any.whl", hashes()).is_ok());
        assert!(Asked::new("a", Hashes::default()).is_err());
    }
}
