//! References to a registry, `oci://HOST/REPOSITORY`, or to a directory in the form of one,
//! `oci:DIR`; with a tag or a digest.
//!
//! Promises that a reference has no user name, password or query, so that it can be shown and kept;
//! and that plain HTTP is spoken only to this machine, or where the reference says `oci+http://`.
//! Asks nothing.
//!
//! Read next: `registry.rs`, which sends requests; `layout.rs`, the directory.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rvenv_journal::Digest;
use thiserror::Error;

use super::address::{Address, AddressError};

/// More than any registry takes.
const NAME_BYTES_MAX: usize = 255;
const TAG_BYTES_MAX: usize = 128;
/// The name of Docker's registry in references, and the host of its API.
pub(super) const DOCKER: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// Why a text is not a reference. No variant repeats the text, which may have a password in it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ReferenceError {
    /// The scheme is another one.
    #[error("it does not begin with `oci://` or `oci:`")]
    Scheme,
    /// There is no path after `oci:`.
    #[error("it names no directory")]
    NoDir,
    /// The path after `oci:` cannot be shown.
    #[error("its directory has control characters")]
    Control,
    /// The host is malformed.
    #[error("its host is malformed")]
    Host(#[source] AddressError),
    /// A user name or a password.
    #[error("it has a user name; credentials come from Docker's configuration")]
    Login,
    /// The repository is absent or has characters that no repository has.
    #[error(
        "its repository is not one: a registry takes lowercase letters, digits, `.`, `-`, `_` and `/`"
    )]
    Repository,
    /// The tag is malformed.
    #[error("its tag is malformed")]
    Tag,
    /// The digest is malformed.
    #[error("its digest is not `sha256:` and 64 hexadecimal digits")]
    Digest,
}

/// Where artifacts and their blobs are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repository {
    /// A repository of a registry.
    Hosted(Hosted),
    /// A directory in the form of the image layout specification.
    Layout(Arc<PathBuf>),
}

/// A repository of a registry.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hosted(Arc<Parts>);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Parts {
    scheme: &'static str,
    /// The host and perhaps the port, as they were typed.
    authority: String,
    root: Address,
    name: String,
}

/// Whether a text is meant as a reference.
#[must_use]
pub fn is_reference(text: &str) -> bool {
    let mut schemes = SCHEMES.iter().chain([&LAYOUT]);
    schemes.any(|scheme| text.starts_with(scheme))
}

/// A repository, and perhaps what in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The repository.
    pub repository: Repository,
    /// The tag, which may name something else tomorrow.
    pub tag: Option<String>,
    /// The digest of the manifest; it counts more than the tag.
    pub digest: Option<Digest>,
}

const SCHEMES: [&str; 3] = ["oci://", "oci+http://", "oci+https://"];
/// What other tools put before a directory with an image layout.
const LAYOUT: &str = "oci:";

impl Reference {
    /// Reads `oci://HOST[:PORT]/REPOSITORY[:TAG][@sha256:DIGEST]` or
    /// `oci:DIR[:TAG][@sha256:DIGEST]`.
    ///
    /// # Errors
    /// See [`ReferenceError`].
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let Some(scheme) = SCHEMES.into_iter().find(|scheme| text.starts_with(scheme)) else {
            let rest = text.strip_prefix(LAYOUT).ok_or(ReferenceError::Scheme)?;
            return Self::of_layout(rest);
        };
        let rest = text.strip_prefix(scheme).unwrap_or_default();
        let (authority, path) = rest.split_once('/').ok_or(ReferenceError::Repository)?;
        if authority.contains('@') {
            return Err(ReferenceError::Login);
        }
        let (path, digest) = match path.split_once('@') {
            Some((path, digest)) => (path, Some(parse_digest(digest)?)),
            None => (path, None),
        };
        let (name, tag) = match path.split_once(':') {
            Some((name, tag)) if is_tag(tag) => (name, Some(tag.to_owned())),
            Some(_) => return Err(ReferenceError::Tag),
            None => (path, None),
        };
        if !is_name(name) {
            return Err(ReferenceError::Repository);
        }
        Ok(Self {
            repository: Repository::Hosted(Hosted(Arc::new(Parts {
                scheme,
                authority: authority.to_owned(),
                root: root(scheme, authority)?,
                name: name.to_owned(),
            }))),
            tag,
            digest,
        })
    }

    /// Reads what follows `oci:`. A tag has no separator, so that what has one is a path.
    fn of_layout(text: &str) -> Result<Self, ReferenceError> {
        let (path, digest) = match text.rsplit_once("@sha256:") {
            Some((path, digits)) => (path, Some(parse_digest(&format!("sha256:{digits}"))?)),
            None => (text, None),
        };
        let (dir, tag) = match path.rsplit_once(':') {
            Some((dir, tag)) if is_tag(tag) => (dir, Some(tag.to_owned())),
            Some((_, tag)) if !tag.contains(['/', '\\']) => return Err(ReferenceError::Tag),
            Some(_) | None => (path, None),
        };
        if dir.is_empty() {
            return Err(ReferenceError::NoDir);
        }
        if dir.contains(char::is_control) {
            return Err(ReferenceError::Control);
        }
        Ok(Self {
            repository: Repository::Layout(Arc::new(PathBuf::from(dir))),
            tag,
            digest,
        })
    }
}

impl Reference {
    /// The same repository, and this digest in it.
    #[must_use]
    pub fn at(&self, digest: Digest) -> Self {
        Self {
            repository: self.repository.clone(),
            tag: None,
            digest: Some(digest),
        }
    }
}

impl Hosted {
    /// Whether both are of one registry.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.0.root == other.0.root
    }

    /// Its name in the registry.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The host and perhaps the port.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.0.authority
    }

    /// The root of the registry.
    pub(super) fn root(&self) -> &Address {
        &self.0.root
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosted(hosted) => write!(f, "{hosted}"),
            Self::Layout(dir) => write!(f, "{LAYOUT}{}", dir.display()),
        }
    }
}

impl fmt::Display for Hosted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts {
            scheme,
            authority,
            name,
            ..
        } = &*self.0;
        write!(f, "{scheme}{authority}/{name}")
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@sha256:{digest}"),
            None => Ok(()),
        }
    }
}

/// Reads `sha256:` and hexadecimal digits.
fn parse_digest(text: &str) -> Result<Digest, ReferenceError> {
    let digits = text.strip_prefix("sha256:").ok_or(ReferenceError::Digest)?;
    Digest::parse(digits).map_err(|_| ReferenceError::Digest)
}

fn root(scheme: &str, authority: &str) -> Result<Address, ReferenceError> {
    let host = if authority == DOCKER.0 {
        DOCKER.1
    } else {
        authority
    };
    let parse = |scheme: &str| Address::parse(&format!("{scheme}://{host}/"));
    let encrypted = parse("https").map_err(ReferenceError::Host)?;
    match scheme {
        "oci+http://" => parse("http").map_err(ReferenceError::Host),
        "oci://" if is_this_machine(encrypted.host()) => {
            parse("http").map_err(ReferenceError::Host)
        }
        _ => Ok(encrypted),
    }
}

/// Whether what is sent to a host stays on this machine.
fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address: Option<std::net::IpAddr> = bare.parse().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

fn is_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    // No registry takes other separators.
    let is_separator =
        |run: &str| matches!(run, "." | "_" | "__") || run.bytes().all(|byte| byte == b'-');
    let is_part = |part: &str| {
        let mut between = part.split(is_letter).filter(|run| !run.is_empty());
        part.starts_with(is_letter) && part.ends_with(is_letter) && between.all(is_separator)
    };
    name.len() <= NAME_BYTES_MAX && name.split('/').all(is_part)
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let bytes = tag.as_bytes();
    bytes.first().is_some_and(is_word)
        && bytes
            .iter()
            .all(|byte| is_word(byte) || b".-".contains(byte))
        && bytes.len() <= TAG_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_reference_is_shown_as_it_was_typed() {
        for text in [
            "oci://ghcr.io/team/web".to_owned(),
            "oci://localhost:5000/a/b-c_d.e:v1.2".to_owned(),
            "oci://r.example/a---b__c/1.2".to_owned(),
            "oci+http://inner:80/web".to_owned(),
            format!("oci://r.example/web:Tag@sha256:{HEX}"),
            format!("oci://r.example/web@sha256:{HEX}"),
            "oci:/srv/wheels".to_owned(),
            "oci:../a:b/c:v1.2".to_owned(),
            "oci:it's \"ours\"\\".to_owned(),
            format!("oci:wheels:Tag@sha256:{HEX}"),
        ] {
            let read = Reference::parse(&text).unwrap();
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_and_for_those_who_say_so() {
        for (text, expected) in [
            ("oci://r.example/web", "https://r.example/"),
            ("oci://127.0.0.1:5000/web", "http://127.0.0.1:5000/"),
            ("oci://127.3.2.1/web", "http://127.3.2.1/"),
            ("oci://[::1]:5000/web", "http://[::1]:5000/"),
            ("oci://localhost/web", "http://localhost/"),
            ("oci://localhost.example/web", "https://localhost.example/"),
            ("oci+https://localhost/web", "https://localhost/"),
            ("oci+http://inner/web", "http://inner/"),
            ("oci://docker.io/a/web", "https://registry-1.docker.io/"),
        ] {
            let read = Reference::parse(text).unwrap();
            let Repository::Hosted(hosted) = read.repository else {
                panic!("{text}");
            };
            assert_eq!(hosted.root().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_malformed_is_refused_without_repeating_it() {
        for (text, expected) in [
            ("https://r.example/web", ReferenceError::Scheme),
            ("oci://r.example", ReferenceError::Repository),
            ("oci://r.example/", ReferenceError::Repository),
            ("oci://r.example/Web", ReferenceError::Repository),
            ("oci://r.example/a//b", ReferenceError::Repository),
            ("oci://r.example/../b", ReferenceError::Repository),
            ("oci://r.example/a..b", ReferenceError::Repository),
            ("oci://r.example/a.-b", ReferenceError::Repository),
            ("oci://r.example/a___b", ReferenceError::Repository),
            ("oci://r.example/a?b", ReferenceError::Repository),
            ("oci://u:secret@r.example/web", ReferenceError::Login),
            ("oci://r.example/web:", ReferenceError::Tag),
            ("oci://r.example/web:.a", ReferenceError::Tag),
            ("oci://r.example/web@sha256:12", ReferenceError::Digest),
            ("oci://r.example/web@md5:12", ReferenceError::Digest),
            ("oci:", ReferenceError::NoDir),
            ("oci::tag", ReferenceError::NoDir),
            ("oci:a\0b", ReferenceError::Control),
            ("oci:a\n", ReferenceError::Control),
            ("oci:dir:.a", ReferenceError::Tag),
            ("oci:dir@sha256:12", ReferenceError::Digest),
            (
                "oci://r example/web",
                ReferenceError::Host(AddressError::Host),
            ),
        ] {
            let refused = Reference::parse(text).unwrap_err();
            assert_eq!(refused, expected, "{text}");
            assert!(!refused.to_string().contains("secret"));
        }
    }
}
