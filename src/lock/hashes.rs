//! Hashes of files: what a lock says that the bytes of a file must be.
//!
//! Promises that a hash has the length of its algorithm and only hexadecimal digits, and that an
//! algorithm that is broken (MD5, SHA-1) or unknown is never the one that is checked.
//!
//! Read next: `model.rs`, whose files have them.

use std::collections::BTreeMap;
use std::fmt;

/// An algorithm that rvenv checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// The name in locks and requirements.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// How many hexadecimal digits its hashes have.
    fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }
}

/// One hash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hash {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// Lowercase hexadecimal digits.
    pub digits: String,
}

impl Hash {
    /// Reads a hash; `Ok(None)` for an algorithm that is not checked.
    ///
    /// # Errors
    /// What is wrong with it, as a clause.
    pub fn parse(algorithm: &str, digits: &str) -> Result<Option<Self>, &'static str> {
        let name = algorithm.to_ascii_lowercase();
        let mut known = Algorithm::ALL.into_iter();
        let Some(algorithm) = known.find(|known| known.name() == name) else {
            return Ok(None);
        };
        if digits.len() != algorithm.digits() {
            return Err("it has not as many digits as its algorithm gives");
        }
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("it has characters that are not hexadecimal digits");
        }
        let digits = digits.to_ascii_lowercase();
        Ok(Some(Self { algorithm, digits }))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.digits)
    }
}

/// The hashes that a lock has for a file, or for the files of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hashes {
    /// Sorted, without duplicates, of the algorithms that are checked.
    all: Vec<Hash>,
    /// Those of other algorithms, which are kept for the file that is written.
    others: BTreeMap<String, String>,
}

impl Hashes {
    /// Adds a hash.
    ///
    /// # Errors
    /// What is wrong with it, as a clause.
    pub fn add(&mut self, algorithm: &str, digits: &str) -> Result<(), &'static str> {
        match Hash::parse(algorithm, digits)? {
            Some(hash) => {
                if let Err(at) = self.all.binary_search(&hash) {
                    self.all.insert(at, hash);
                }
            }
            None => {
                self.others.insert(algorithm.to_owned(), digits.to_owned());
            }
        }
        Ok(())
    }

    /// The hashes that can be checked, sorted.
    ///
    /// A file of a `pylock.toml` has at most one for each algorithm, and must match all of them. A
    /// line of a requirements file has one for each file of the release, and a file must match one
    /// of them.
    #[must_use]
    pub fn checked(&self) -> &[Hash] {
        &self.all
    }

    /// The SHA-256, if there is exactly one: the name of the file in the cache.
    #[must_use]
    pub fn sha256(&self) -> Option<&str> {
        let mut of_sha256 = self.all.iter();
        let mut of_sha256 = of_sha256
            .by_ref()
            .filter(|hash| hash.algorithm == Algorithm::Sha256);
        let first = of_sha256.next()?;
        of_sha256.next().is_none().then_some(first.digits.as_str())
    }

    /// Every hash by its algorithm's name, those that are not checked too.
    pub(super) fn named(&self) -> impl Iterator<Item = (&str, &str)> {
        let others = self.others.iter();
        let others = others.map(|(name, digits)| (name.as_str(), digits.as_str()));
        let known = self.all.iter();
        let mut named: Vec<(&str, &str)> = known
            .map(|hash| (hash.algorithm.name(), hash.digits.as_str()))
            .chain(others)
            .collect();
        named.sort_unstable();
        named.into_iter()
    }

    /// The names of the algorithms that are not checked.
    pub(super) fn unchecked(&self) -> Vec<&str> {
        self.others.keys().map(String::as_str).collect()
    }

    /// Whether there is none at all.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.others.is_empty()
    }

    /// Those that both have: what a requirement and its constraint allow.
    pub(super) fn common(&self, other: &Self) -> Self {
        let both = self.all.iter().filter(|hash| other.all.contains(hash));
        Self {
            all: both.cloned().collect(),
            others: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_the_digits_of_its_algorithm() {
        let digits = "A".repeat(64);
        let hash = Hash::parse("SHA256", &digits).unwrap().unwrap();
        assert_eq!(hash.to_string(), format!("sha256:{}", "a".repeat(64)));
        assert!(Hash::parse("sha256", "aa").is_err());
        assert!(Hash::parse("sha512", &digits).is_err());
        assert!(Hash::parse("sha256", &"g".repeat(64)).is_err());
        assert_eq!(Hash::parse("md5", "x").unwrap(), None);
    }

    #[test]
    fn only_strong_hashes_are_checked_and_all_are_kept() {
        let mut hashes = Hashes::default();
        hashes.add("md5", "0b").unwrap();
        assert!(hashes.checked().is_empty() && !hashes.is_empty());
        assert_eq!(hashes.unchecked(), ["md5"]);
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        for digits in [&b, &a, &a] {
            hashes.add("sha256", digits).unwrap();
        }
        assert_eq!(hashes.checked().len(), 2);
        assert_eq!(hashes.sha256(), None);
        let mut other = Hashes::default();
        other.add("sha256", &a).unwrap();
        assert_eq!(other.sha256(), Some(a.as_str()));
        assert_eq!(hashes.common(&other), other);
    }
}
