//! Specifiers: which versions a text such as `>=3.9,<3.12` admits (PEP 440).
//!
//! Promises every operator of PEP 440 (`~= == != <= >= < > ===`), with `.*` where it allows that,
//! and that a preview is admitted only where a specifier names one itself. No text causes a panic.
//! Does not promise the fallback of installers, which take a preview when nothing else fits.
//!
//! Read next: `../version.rs`, whose order this uses; `python/request.rs`, which uses the answer.

use std::cmp::Ordering;
use std::fmt;

use super::Version;

const NO_OPERATOR: &str =
    "each part of a range begins with one of `>=`, `<=`, `>`, `<`, `==`, `!=`, `~=`";

/// A list of specifiers, all of which must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Specifiers {
    /// The text as it was written.
    text: String,
    all: Vec<Specifier>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Specifier {
    /// `===`: the text of a version, which need not be one.
    Identical(String),
    /// Every other operator.
    Ordered {
        operator: Operator,
        version: Version,
        /// The numbers of its release as they were written, zeros at the end included.
        release: Vec<u64>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Compatible,
    Equal,
    EqualPrefix,
    Unequal,
    UnequalPrefix,
    AtMost,
    AtLeast,
    Less,
    Greater,
}

impl Specifiers {
    /// Reads a list with commas in it; a comma too many does not matter.
    ///
    /// # Errors
    /// What is wrong with it, as a clause.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let parts = text.split(',').map(str::trim);
        let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        let all = parts.into_iter().map(Specifier::parse);
        let all: Vec<_> = all.collect::<Result<_, _>>()?;
        if all.is_empty() {
            return Err(NO_OPERATOR);
        }
        Ok(Self {
            text: text.to_owned(),
            all,
        })
    }

    /// The only version that the list admits, if it is one `==` or `===` without `.*`.
    pub(crate) fn pinned(&self) -> Option<&str> {
        match self.all.as_slice() {
            [Specifier::Identical(text)] => Some(text),
            [
                Specifier::Ordered {
                    operator: Operator::Equal,
                    ..
                },
            ] => {
                let only = self.text.trim().trim_matches(',').trim();
                only.strip_prefix("==").map(str::trim)
            }
            _ => None,
        }
    }

    /// Whether the list admits a version; it never admits a text that is not a version.
    #[must_use]
    pub fn admit(&self, version: &str) -> bool {
        let is_preview = |read: &Version| read.is_preview();
        let previews = self.all.iter().any(Specifier::names_preview);
        (previews || !Version::parse(version).as_ref().is_some_and(is_preview))
            && self.include(version)
    }

    /// Whether a version is in the range, where a preview counts like a release: an installed
    /// version may be a preview.
    #[must_use]
    pub fn include(&self, version: &str) -> bool {
        let Some((read, release)) = Version::read(version) else {
            return false;
        };
        let mut all = self.all.iter();
        all.all(|one| one.admits(&read, &release))
    }
}

impl fmt::Display for Specifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Specifier {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(text) = text.strip_prefix("===") {
            let text = text.trim();
            let is_one = !text.contains(|c: char| c.is_whitespace() || ";)".contains(c));
            return is_one
                .then(|| Self::Identical(text.to_owned()))
                .ok_or("`===` goes with one word");
        }
        // The long ones come first, since each begins with a short one.
        let operators = [
            ("~=", Operator::Compatible),
            ("==", Operator::Equal),
            ("!=", Operator::Unequal),
            ("<=", Operator::AtMost),
            (">=", Operator::AtLeast),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        let found = operators.into_iter().find_map(|(sign, operator)| {
            let rest = text.strip_prefix(sign)?;
            Some((operator, rest.trim()))
        });
        let (operator, written) = found.ok_or(NO_OPERATOR)?;
        let (operator, number) = match (operator, written.strip_suffix(".*")) {
            (Operator::Equal, Some(prefix)) => (Operator::EqualPrefix, prefix),
            (Operator::Unequal, Some(prefix)) => (Operator::UnequalPrefix, prefix),
            (_, Some(_)) => return Err("`.*` goes with `==` and `!=` alone"),
            (operator, None) => (operator, written),
        };
        let (version, release) =
            Version::read(number).ok_or("a part of the range names no version of PEP 440")?;
        if operator == Operator::Compatible && release.len() < 2 {
            return Err("`~=` needs a version of at least two numbers");
        }
        let is_prefix = matches!(operator, Operator::EqualPrefix | Operator::UnequalPrefix);
        if is_prefix && !version.is_release() {
            return Err("`.*` goes with the numbers of a release alone");
        }
        let is_equality = matches!(operator, Operator::Equal | Operator::Unequal);
        if version.local.is_some() && !is_equality {
            return Err("a local version goes with `==` and `!=` alone");
        }
        Ok(Self::Ordered {
            operator,
            version,
            release,
        })
    }

    /// Whether it names a preview to be admitted; `!=` names what is not.
    fn names_preview(&self) -> bool {
        match self {
            Self::Identical(text) => Version::parse(text).is_some_and(|read| read.is_preview()),
            Self::Ordered {
                operator, version, ..
            } => *operator != Operator::Unequal && version.is_preview(),
        }
    }

    fn admits(&self, found: &Version, release: &[u64]) -> bool {
        let (operator, wanted, written) = match self {
            Self::Identical(text) => return text.eq_ignore_ascii_case(&found.text(release)),
            Self::Ordered {
                operator,
                version,
                release,
            } => (*operator, version, release),
        };
        // A local version is ignored, unless the specifier has one itself.
        let public = found.without_local();
        let found_here = if wanted.local.is_some() {
            found
        } else {
            &public
        };
        let order = found_here.cmp(wanted);
        // A number that a version does not have is 0.
        let begins = |count: usize| {
            let padded = release.iter().copied().chain(std::iter::repeat(0));
            let begins = written.iter().take(count);
            found.epoch == wanted.epoch && padded.zip(begins).all(|(a, b)| a == *b)
        };
        match operator {
            Operator::Equal => order == Ordering::Equal,
            Operator::Unequal => order != Ordering::Equal,
            Operator::EqualPrefix => begins(written.len()),
            Operator::UnequalPrefix => !begins(written.len()),
            Operator::AtMost => order != Ordering::Greater,
            Operator::AtLeast => order != Ordering::Less,
            Operator::Compatible => order != Ordering::Less && begins(written.len() - 1),
            // `<3.12` does not admit the previews of 3.12.
            Operator::Less => {
                let of_it = found.has_release_of(wanted) && found.is_preview();
                order == Ordering::Less && (wanted.is_preview() || !of_it)
            }
            // `>3.12` does not admit the post-releases of 3.12, nor a local version of it.
            Operator::Greater => {
                let is_post = found.post.is_some() && wanted.post.is_none();
                let of_it = found.has_release_of(wanted) && (is_post || found.local.is_some());
                order == Ordering::Greater && !of_it
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(specifiers: &str, admitted: &str, refused: &str) {
        let read = Specifiers::parse(specifiers).unwrap();
        for version in admitted.split_whitespace() {
            assert!(read.admit(version), "{specifiers} {version}");
        }
        for version in refused.split_whitespace() {
            assert!(!read.admit(version), "{specifiers} {version}");
        }
    }

    /// The examples of PEP 440, and those that users type.
    #[test]
    fn specifiers_admit_what_pep_440_says() {
        check(
            ">=3.9,<3.12",
            "3.9 3.9.0 3.11.7",
            "3.8.18 3.12 3.12.0rc1 3.12.1 junk",
        );
        check(">= 3.9 , != 3.10.*", "3.9.1 3.11", "3.10 3.10.13");
        check("~=3.9", "3.9 3.13.0", "3.8 4.0");
        check("~=3.9.0", "3.9 3.9.18", "3.10.0 3.8.9");
        check("~=2.2.post3", "2.2.post3 2.3", "2.2 3.0");
        check("==3.12", "3.12 3.12.0 3.12.0+local", "3.12.1 3.12.0rc1");
        check("==3.12.*", "3.12 3.12.1", "3.11.9 3.13 3.12.0rc1");
        check("==3.*", "3.6.15 3.13", "2.7.18 4");
        check("!=3.12.1", "3.12 3.12.2", "3.12.1");
        check(">3.12", "3.12.1", "3.12 3.12.0 3.12.post1 3.12+local 3.11");
        check(">3.12.post1", "3.12.post2", "3.12.post1");
        check("<=3.12", "3.12 3.12+local 3.11", "3.12.1");
        check("===3.12.0", "3.12.0 v3.12.00", "3.12");
        check("===1!2rc1.post2.dev3+a.4", "1!2c1-2.dev3+A_04", "1!2");
        check("===junk", "", "junk 1");
        check("!=3.14.0rc1", "3.14.0", "3.14.0rc1 3.14.0rc2");
        check(">3.12a1", "3.12.1a1 3.12", "3.12+local");
        check(">=3.9,", "3.9", "3.8");
        check(">=3.14.0rc1", "3.14.0rc1 3.14.0rc2 3.14.0", "3.14.0b4");
        check("<3.14.0rc1", "3.14.0b4", "3.14.0rc1");
        check("==1.0+abc", "1.0+abc", "1.0 1.0+abd");
        check("==1!3.*", "1!3.1", "3.1");
    }

    #[test]
    fn what_is_no_specifier_is_refused_with_the_reason() {
        let check = |text: &str, expect: &str| {
            let error = Specifiers::parse(text).unwrap_err();
            assert!(error.contains(expect), "{text}: {error}");
        };
        for text in ["", "3.9", ",", "=3.9"] {
            check(text, "begins with one of");
        }
        for text in [">=", "==x", "<3..9", "==.*"] {
            check(text, "names no version");
        }
        check(">=3.*", "goes with `==`");
        check("~=3.9.*", "goes with `==`");
        check("~=3", "two numbers");
        check(">=1.0+abc", "local version");
        check("===3 4", "one word");
        check("==3.9a1.*", "numbers of a release");
    }

    proptest! {
        #[test]
        fn nothing_that_is_given_panics(
            a in "[~=!<>0-9a-z.*,+ -]{0,16}|\\PC{0,8}",
            b in "[0-9a-z.!+_-]{0,12}|\\PC{0,4}",
        ) {
            if let Ok(read) = Specifiers::parse(&a) {
                let _either = read.admit(&b);
            }
        }
    }
}
