//! What an environment demands of a machine: the system, the C library and the interpreter.
//!
//! A manifest says it in its annotations, and an index repeats it for each manifest, so that a
//! machine chooses without reading any of them. Promises that bytes of a registry never cause a
//! panic, and that what says less than everything demands nothing, and is not chosen. Nothing
//! believes it: what was chosen is compared with this machine by its plan.
//!
//! Read next: `index.rs`; `../front/choosing.rs`, which compares.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use rvenv_journal::Digest;

use super::manifest::{ENVIRONMENT, Manifest};
use crate::python::Release;

/// The system and the processor, as `linux/amd64`.
const PLATFORM: &str = "rvenv.platform";
/// The C library, as `glibc 2.17` or `musl`.
const LIBC: &str = "rvenv.libc";
/// The path of the interpreter.
pub const PYTHON: &str = "rvenv.python";
/// Its version, as `cpython 3.13.0` or `cpython 3.13.0 (free-threaded)`.
const RELEASE: &str = "rvenv.python.release";
/// The digest of its bytes.
const SHA256: &str = "rvenv.python.sha256";

/// A system and a processor, in the words of OCI, which are those of Go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform {
    /// `linux`, `darwin`, `windows`, ….
    pub os: String,
    /// `amd64`, `arm64`, ….
    pub architecture: String,
}

/// A C library.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Libc {
    /// `glibc` or `musl`.
    pub family: String,
    /// The oldest version that will do, if one is known.
    pub version: Option<(u32, u32)>,
}

/// What an environment demands of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demands {
    /// The system.
    pub platform: Platform,
    /// The C library, where a system has several.
    pub libc: Option<Libc>,
    /// Which Python it is.
    pub release: Release,
    /// The path of the interpreter.
    pub python: String,
    /// The digest of its bytes.
    pub sha256: Digest,
}

impl Platform {
    /// Reads `linux/amd64`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (os, architecture) = text.split_once('/')?;
        let is_word = |word: &str| {
            let mut letters = word.bytes();
            !word.is_empty()
                && letters
                    .all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == b'_')
        };
        (is_word(os) && is_word(architecture)).then(|| Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
        })
    }
}

impl Libc {
    /// Reads `glibc 2.17` or `musl`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (family, version) = match text.split_once(' ') {
            Some((family, version)) => (family, Some(version_of(version)?)),
            None => (text, None),
        };
        matches!(family, "glibc" | "musl").then(|| Self {
            family: family.to_owned(),
            version,
        })
    }
}

impl Demands {
    /// The annotations that say it.
    #[must_use]
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let libc = self.libc.as_ref();
        let pairs = [
            Some((PLATFORM, self.platform.to_string())),
            libc.map(|libc| (LIBC, libc.to_string())),
            Some((PYTHON, self.python.clone())),
            Some((RELEASE, self.release.to_string())),
            Some((SHA256, self.sha256.to_string())),
        ];
        let pairs = pairs.into_iter().flatten();
        pairs
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// Those of them that say which build of an interpreter it is.
    #[must_use]
    pub fn interpreter_annotations(&self) -> BTreeMap<String, String> {
        let mut all = self.annotations();
        all.retain(|name, _| [RELEASE, SHA256].contains(&name.as_str()));
        all
    }

    /// What the manifest of an environment demands.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Option<Self> {
        let is_environment = manifest.must_be(&[ENVIRONMENT]).is_ok();
        let own = Self::read(&manifest.annotations);
        own.filter(|_| is_environment)
    }

    /// Reads annotations.
    #[must_use]
    pub fn read(annotations: &BTreeMap<String, String>) -> Option<Self> {
        let value = |name| annotations.get(name).map(String::as_str);
        let libc = match value(LIBC) {
            Some(text) => Some(Libc::parse(text)?),
            None => None,
        };
        let python = value(PYTHON).filter(|path| Path::new(path).is_absolute())?;
        Some(Self {
            platform: Platform::parse(value(PLATFORM)?)?,
            libc,
            release: Release::parse(value(RELEASE)?)?,
            python: python.to_owned(),
            sha256: Digest::parse(value(SHA256)?).ok()?,
        })
    }

    /// The order in which an index lists, and an error shows.
    pub(super) fn order(&self) -> impl Ord + use<> {
        let version = &self.release.version;
        (
            self.platform.clone(),
            self.libc.clone(),
            self.release.implementation.clone(),
            (version.major, version.minor, version.micro),
            self.release.to_string(),
            self.python.clone(),
            self.sha256,
        )
    }

    /// Whether a machine could not tell both apart.
    #[must_use]
    pub fn is_for_the_same(&self, other: &Self) -> bool {
        self.platform == other.platform
            && self.python == other.python
            && self.sha256 == other.sha256
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

impl fmt::Display for Libc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.family)?;
        match self.version {
            Some((major, minor)) => write!(f, " {major}.{minor}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Demands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.platform)?;
        if let Some(libc) = &self.libc {
            write!(f, ", {libc}")?;
        }
        let python = self.python.escape_debug();
        write!(f, ", {} at `{python}`", self.release)
    }
}

/// Reads `2.17`.
fn version_of(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((number(major)?, number(minor)?))
}

/// Digits as they are written.
fn number(digits: &str) -> Option<u32> {
    let number: u32 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

#[cfg(test)]
pub(crate) fn sample(platform: &str, release: &str) -> Demands {
    Demands {
        platform: Platform::parse(platform).unwrap(),
        libc: Libc::parse("glibc 2.17"),
        release: Release::parse(release).unwrap(),
        python: format!("/usr/bin/{}", release.replace(' ', "-")),
        sha256: Digest::of(release.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demands_are_read_as_they_are_written() {
        for release in ["cpython 3.13.0", "cpython 3.14.0rc1 (free-threaded)"] {
            let own = sample("linux/amd64", release);
            assert_eq!(Demands::read(&own.annotations()), Some(own.clone()));
            let none = Demands { libc: None, ..own };
            assert_eq!(Demands::read(&none.annotations()), Some(none));
        }
    }

    #[test]
    fn what_says_less_than_everything_demands_nothing() {
        let own = sample("linux/amd64", "pypy 3.10.14").annotations();
        for name in own.keys().filter(|name| *name != LIBC) {
            let mut less = own.clone();
            less.remove(name);
            assert_eq!(Demands::read(&less), None, "{name}");
        }
        for (name, value) in [
            (PLATFORM, "linux"),
            (PLATFORM, "Linux/amd64"),
            (LIBC, "glibc 2"),
            (LIBC, "glibc 2.017"),
            (LIBC, "dietlibc"),
            (PYTHON, "python3"),
            (RELEASE, "3.13.0"),
            (RELEASE, "cpython 3"),
            (SHA256, "12"),
        ] {
            let mut other = own.clone();
            other.insert(name.to_owned(), value.to_owned());
            assert_eq!(Demands::read(&other), None, "{name} {value}");
        }
    }
}
