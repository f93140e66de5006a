//! Paths inside a tree: validated once, trusted afterwards.
//!
//! Promises that a [`RelPath`] is relative, that it cannot leave the tree that it is joined to, and
//! that it means the same on every platform that accepts it (I6).
//! Does not promise that the path exists, or that the components above it are not symbolic links:
//! the [`Fs`](crate::Fs) walks one component at a time and follows none.
//!
//! Read next: `plan/builder.rs`, which maps these paths to the nodes that a plan creates.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// Maximum length of a component in bytes: the limit of every common filesystem.
pub const COMPONENT_BYTES_MAX: usize = 255;
/// Maximum length of a whole path in bytes.
pub const PATH_BYTES_MAX: usize = 4096;
/// Maximum number of components of a path.
pub const DEPTH_MAX: usize = 128;

/// A relative path below the root of a tree, in UTF-8, with `/` between its components.
///
/// The order is that of a tree walk: a directory comes directly before its contents. Clones share
/// one text.
///
/// ```
/// use rvenv_journal::RelPath;
/// assert!(RelPath::new("lib/python3.12/site-packages").is_ok());
/// assert!(RelPath::new("../outside").is_err());
/// assert!(RelPath::new("/absolute").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RelPath(Arc<str>);

/// Why a text is not a [`RelPath`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RelPathError {
    /// The text is empty.
    #[error("a path inside a tree cannot be empty")]
    Empty,
    /// The text starts at a root or names a drive.
    #[error("`{0}` is absolute")]
    Absolute(String),
    /// A component is empty, `.` or `..`.
    #[error("`{0}` has the component `{1}`, which is not allowed")]
    Component(String, String),
    /// A character that some platform does not treat as part of a name.
    #[error("`{0}` has the character {1:?}, which is not allowed")]
    Character(String, char),
    /// The path is longer or deeper than the limits of this module.
    #[error("`{0}…` is too long")]
    TooLong(String),
}

impl RelPath {
    /// Parses a path that is already in its normal form.
    ///
    /// # Errors
    /// Everything that could leave the tree or mean something else on another platform: absolute
    /// paths, empty components, `.` and `..`, NUL and other control characters, backslashes, and
    /// lengths above the limits of this module.
    pub fn new(text: &str) -> Result<Self, RelPathError> {
        if !is_plain(text) {
            Self::check(text)?;
        }
        Ok(Self(text.into()))
    }

    /// Checks all rules one after the other, for a text that [`is_plain`] does not accept.
    fn check(text: &str) -> Result<(), RelPathError> {
        let shown = || {
            text.chars()
                .take(80)
                .collect::<String>()
                .escape_debug()
                .to_string()
        };
        if text.is_empty() {
            return Err(RelPathError::Empty);
        }
        if text.len() > PATH_BYTES_MAX || text.split('/').count() > DEPTH_MAX {
            return Err(RelPathError::TooLong(shown()));
        }
        // A control character could forge lines of output. A backslash separates components on
        // Windows.
        if let Some(bad) = text.chars().find(|c| c.is_control() || *c == '\\') {
            return Err(RelPathError::Character(shown(), bad));
        }
        if text.starts_with('/') || is_drive(text) {
            return Err(RelPathError::Absolute(shown()));
        }
        for component in text.split('/') {
            if matches!(component, "" | "." | "..") {
                return Err(RelPathError::Component(shown(), component.to_owned()));
            }
            if component.len() > COMPONENT_BYTES_MAX {
                return Err(RelPathError::TooLong(shown()));
            }
        }
        Ok(())
    }

    /// The text of the path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components, from the root down.
    #[must_use = "the iterator does nothing by itself"]
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The last component.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The directory that contains this path; `None` if that is the root of the tree.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.parent_text().map(|parent| Self(parent.into()))
    }

    /// The text of the parent, for comparisons that do not need a [`RelPath`].
    pub(crate) fn parent_text(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(parent, _)| parent)
    }

    /// Joins this path and a path below it.
    ///
    /// # Errors
    /// As [`RelPath::new`], for the joined text.
    pub fn join(&self, below: &str) -> Result<Self, RelPathError> {
        Self::new(&format!("{}/{below}", self.0))
    }

    /// Whether this path lies below `other`.
    #[must_use]
    pub fn is_below(&self, other: &Self) -> bool {
        let rest = self.as_str().strip_prefix(other.as_str());
        rest.is_some_and(|rest| rest.starts_with('/'))
    }

    /// The text that is equal for two names that are one name on a case-insensitive filesystem.
    #[must_use]
    pub fn folded(&self) -> Cow<'_, str> {
        if self.is_folded() {
            Cow::Borrowed(self.as_str())
        } else {
            Cow::Owned(if self.0.is_ascii() {
                self.0.to_ascii_lowercase()
            } else {
                self.0.to_lowercase()
            })
        }
    }

    /// Whether the path equals its [`RelPath::folded`] text, judged by its bytes alone.
    fn is_folded(&self) -> bool {
        let is_plain = |byte: u8| byte.is_ascii() & !byte.is_ascii_uppercase();
        // No early exit, as in `is_plain`.
        self.0.bytes().fold(true, |all, byte| all & is_plain(byte))
    }

    /// The path with that text, or `None` if the text does not change. The result may exceed the
    /// length limits.
    #[must_use]
    pub fn folded_to_another(&self) -> Option<Self> {
        if self.is_folded() {
            return None;
        }
        let folded = self.folded();
        (folded != *self.0).then(|| Self(folded.into()))
    }
}

/// Whether a text is a valid path, by one pass over all of its bytes.
///
/// A plan has thousands of paths, and nearly all of them pass this fast check. Names that begin
/// with a dot are left to [`RelPath::check`].
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    // No loop exits early, so that the compiler can process many bytes at a time. All printable
    // ASCII characters are plain, except `:` and the backslash.
    let is_plain_byte = |byte: u8| matches!(byte, b' '..=b'9' | b';'..=b'[' | b']'..=b'~');
    let all_plain = bytes
        .iter()
        .fold(true, |all, byte| all & is_plain_byte(*byte));
    let is_start = |byte: u8| !matches!(byte, b'/' | b'.');
    let pairs = bytes.iter().zip(bytes.get(1..).unwrap_or_default());
    let all_start = pairs.fold(true, |all, (one, next)| {
        all & ((*one != b'/') | is_start(*next))
    });
    // Within this length no path can exceed the depth limit, and no component the length limit.
    (bytes.len() <= COMPONENT_BYTES_MAX.min(2 * DEPTH_MAX - 1))
        & all_plain
        & all_start
        & bytes.first().is_some_and(|first| is_start(*first))
        & (bytes.last() != Some(&b'/'))
}

/// `C:` and `C:name` name a drive on Windows, where joining them would leave the tree.
fn is_drive(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic()) && chars.next() == Some(':')
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Ord for RelPath {
    /// Compares component by component. This equals comparing bytes with `/` before every other
    /// character.
    fn cmp(&self, other: &Self) -> Ordering {
        let (one, two) = (self.0.as_bytes(), other.0.as_bytes());
        let same = same_bytes(one, two);
        match (one.get(same), two.get(same)) {
            (Some(b'/'), Some(_)) => Ordering::Less,
            (Some(_), Some(b'/')) => Ordering::Greater,
            (one, two) => one.cmp(&two),
        }
    }
}

/// The number of leading bytes that two texts share.
///
/// Paths of one tree have long common prefixes, and a plan compares each of them about ten times.
/// So this compares sixteen bytes at a time.
fn same_bytes(one: &[u8], two: &[u8]) -> usize {
    const PIECE: usize = 16;
    let shorter = one.len().min(two.len());
    let piece = |text: &[u8], at: usize| {
        let piece = text.get(at..).and_then(<[u8]>::first_chunk::<PIECE>);
        piece.map(|piece| u128::from_le_bytes(*piece))
    };
    let Some(last) = shorter.checked_sub(PIECE) else {
        let pairs = one.iter().zip(two);
        return pairs.take_while(|(one, two)| one == two).count();
    };
    let mut at = 0;
    loop {
        // The last piece may overlap the piece before it, which was equal.
        at = at.min(last);
        if let (Some(one), Some(two)) = (piece(one, at), piece(two, at))
            && one != two
        {
            return at + (one ^ two).trailing_zeros() as usize / 8;
        }
        if at == last {
            return shorter;
        }
        at += PIECE;
    }
}

/// Pairs each entry of one tree with the entry of the other tree at the same path.
///
/// Both trees are walked side by side, which takes a fourth of the comparisons that a lookup for
/// each path takes.
pub fn paired<'a, A, B>(
    one: &'a BTreeMap<RelPath, A>,
    other: &'a BTreeMap<RelPath, B>,
) -> impl Iterator<Item = (&'a RelPath, &'a A, Option<&'a B>)> {
    let mut beside = other.iter().peekable();
    one.iter().map(move |(path, entry)| {
        while let Some((next, found)) = beside.peek() {
            match (*next).cmp(path) {
                Ordering::Less => drop(beside.next()),
                Ordering::Equal => return (path, entry, Some(*found)),
                Ordering::Greater => break,
            }
        }
        (path, entry, None)
    })
}

impl PartialOrd for RelPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A name as text. Bytes that are not UTF-8 are escaped, and so is the escape character itself.
#[must_use]
pub fn escaped(name: &OsStr) -> String {
    match name.to_str() {
        Some(text) if !text.contains('\\') => text.to_owned(),
        _ => name.as_encoded_bytes().escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_trees_side_by_side_say_what_each_path_has_in_the_other() {
        let tree = |texts: &[&str]| -> BTreeMap<RelPath, usize> {
            let paths = texts.iter().map(|text| RelPath::new(text).unwrap());
            paths.zip(0..).collect()
        };
        let texts = ["a", "a/b", "a-b", "b", "c", "d/e", "f"];
        for bits in 0..1_u32 << (2 * texts.len()) {
            let part = |from: usize| {
                let chosen = texts.iter().enumerate();
                let chosen = chosen.filter(|(at, _)| bits & 1 << (from + at) != 0);
                tree(&chosen.map(|(_, text)| *text).collect::<Vec<_>>())
            };
            let (one, other) = (part(0), part(texts.len()));
            let asked = one
                .iter()
                .map(|(path, entry)| (path, entry, other.get(path)));
            assert!(paired(&one, &other).eq(asked), "{one:?} {other:?}");
        }
    }

    /// I6: every text that the fast check accepts passes all rules.
    #[test]
    fn no_path_is_plain_that_breaks_a_rule() {
        let letters = ["a", "Z", ".", "/", ":", "\\", "\n", "é", " "];
        let mut texts = vec![String::new()];
        for _ in 0..5 {
            let longer = texts
                .iter()
                .flat_map(|text| letters.map(|letter| format!("{text}{letter}")));
            texts.extend(longer.collect::<Vec<_>>());
        }
        texts.sort();
        texts.dedup();
        texts.extend([
            "a/".repeat(127) + "a",
            "a/".repeat(128) + "a",
            "a".repeat(256),
        ]);
        let plain: Vec<_> = texts.iter().filter(|text| is_plain(text)).collect();
        assert!(plain.len() > 1000, "{}", plain.len());
        for text in plain {
            assert_eq!(RelPath::check(text), Ok(()), "{text:?}");
        }
    }

    fn check(text: &str, accepted: bool) {
        assert_eq!(RelPath::new(text).is_ok(), accepted, "{text:?}");
    }

    /// I6: nothing that could lead out of the tree becomes a path.
    #[test]
    fn only_plain_relative_paths_are_accepted() {
        check("bin/python", true);
        check(".rvenv/receipt.json", true);
        check("a/𝜋thon", true);
        check("a:b", false);
        check("ab:c", true);
        for text in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "./a", "a\0", "a\nb", "a\\b",
            "C:/a",
        ] {
            check(text, false);
        }
        check(&"x".repeat(255), true);
        check(&"x".repeat(256), false);
        check(&vec!["x"; 129].join("/"), false);
        check(&vec!["x".repeat(200); 30].join("/"), false);
    }

    #[test]
    fn a_directory_sorts_right_before_what_is_in_it() {
        let mut paths: Vec<_> = ["a-b", "a/b", "a", "a/b/c", "a.b"]
            .iter()
            .map(|p| RelPath::new(p).unwrap())
            .collect();
        paths.sort();
        let order: Vec<_> = paths.iter().map(RelPath::as_str).collect();
        assert_eq!(order, ["a", "a/b", "a/b/c", "a-b", "a.b"]);
    }

    #[test]
    fn the_order_is_that_of_the_components() {
        let parts = [
            "a",
            "aa",
            "a-b",
            "a b",
            "a.b",
            "b",
            "\u{e9}",
            "0123456789abcde",
            "z",
        ];
        let mut paths = Vec::new();
        for one in parts {
            paths.push(RelPath::new(one).unwrap());
            for two in parts {
                paths.push(RelPath::new(&format!("{one}/{two}")).unwrap());
                paths.push(RelPath::new(&format!("0123456789abcdef/{one}{two}/{two}")).unwrap());
            }
        }
        for one in &paths {
            for two in &paths {
                assert_eq!(
                    one.cmp(two),
                    one.components().cmp(two.components()),
                    "{one} {two}"
                );
            }
        }
    }

    #[test]
    fn a_path_that_is_folded_already_is_not_copied() {
        let folded = |text: &str| RelPath::new(text).unwrap().folded_to_another();
        assert_eq!(folded("a/é_1"), None);
        assert_eq!(folded("A/b"), Some(RelPath::new("a/b").unwrap()));
        assert_eq!(folded("É"), Some(RelPath::new("é").unwrap()));
    }
}
