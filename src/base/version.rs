//! The order of versions (PEP 440), of distributions and of Pythons.
//!
//! Promises a total order: of any two texts, one comes first or they are equal, and none causes a
//! panic. Texts that are not versions come before all that are, in the order of their bytes.
//!
//! Read next: `version/specifiers.rs`, which decides whether a version is in a range;
//! `build/hooks/pip.rs`, which keeps a pip that is newer than the bundled one.

mod specifiers;

use std::cmp::Ordering;

pub use specifiers::Specifiers;

/// Compares two versions, in any spelling that PEP 440 allows.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    match (Version::parse(a), Version::parse(b)) {
        (None, None) => a.cmp(b),
        // `None` is less than `Some`.
        (a, b) => a.cmp(&b),
    }
}

/// Whether a text is a version.
#[must_use]
pub fn is_version(text: &str) -> bool {
    Version::parse(text).is_some()
}

/// Whether a text is a version before a final release.
pub(crate) fn is_preview(text: &str) -> bool {
    Version::parse(text).is_some_and(|version| version.is_preview())
}

/// A version in the form in which the derived order is the order of PEP 440.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    epoch: u64,
    /// Without trailing zeros: 1.0 equals 1.
    release: Vec<u64>,
    pre: Pre,
    /// `1.0` before `1.0.post0`.
    post: Option<u64>,
    dev: Dev,
    /// `1.0` before `1.0+anything`.
    local: Option<Vec<Local>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pre {
    /// `1.0.dev1` comes before `1.0a1`.
    DevAlone,
    Alpha(u64),
    Beta(u64),
    Candidate(u64),
    None,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Dev {
    Number(u64),
    None,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Local {
    Word(String),
    Number(u64),
}

/// The part of a version's text that is still to be read.
struct Rest<'a>(&'a str);

impl Version {
    fn parse(text: &str) -> Option<Self> {
        Self::read(text).map(|(version, _)| version)
    }

    /// Reads the version, and the numbers of its release as they were written.
    fn read(text: &str) -> Option<(Self, Vec<u64>)> {
        let text = text.trim().to_ascii_lowercase();
        let (public, local) = match text.split_once('+') {
            Some((public, local)) => (public, Some(Self::local(local)?)),
            None => (text.as_str(), None),
        };
        let public = public.strip_prefix('v').unwrap_or(public);
        let (epoch, public) = match public.split_once('!') {
            Some((epoch, rest)) => (number(epoch)?, rest),
            None => (0, public),
        };
        let mut rest = Rest(public);
        let mut release = vec![rest.number()?];
        while let Some(part) = rest.after(|rest| rest.eat(".").then(|| rest.number())?) {
            release.push(part);
        }
        let written = release.clone();
        while release.len() > 1 && release.last() == Some(&0) {
            release.pop();
        }
        let pre = rest.pre();
        let post = rest.post();
        let dev = rest.word(&["dev"]);
        rest.0.is_empty().then_some(())?;
        let version = Self {
            epoch,
            release,
            pre: match pre {
                None if post.is_none() && dev.is_some() => Pre::DevAlone,
                None => Pre::None,
                Some(pre) => pre,
            },
            post,
            dev: dev.map_or(Dev::None, Dev::Number),
            local,
        };
        Some((version, written))
    }

    /// The normal form of the version, whose release has these numbers.
    fn text(&self, release: &[u64]) -> String {
        let epoch = match self.epoch {
            0 => String::new(),
            epoch => format!("{epoch}!"),
        };
        let release: Vec<String> = release.iter().map(u64::to_string).collect();
        let pre = match self.pre {
            Pre::DevAlone | Pre::None => String::new(),
            Pre::Alpha(number) => format!("a{number}"),
            Pre::Beta(number) => format!("b{number}"),
            Pre::Candidate(number) => format!("rc{number}"),
        };
        let post = self.post.map(|number| format!(".post{number}"));
        let dev = match self.dev {
            Dev::Number(number) => format!(".dev{number}"),
            Dev::None => String::new(),
        };
        let local = self.local.iter().flatten().map(|part| match part {
            Local::Word(word) => word.clone(),
            Local::Number(number) => number.to_string(),
        });
        let local: Vec<String> = local.collect();
        let plus = if local.is_empty() { "" } else { "+" };
        let (release, local) = (release.join("."), local.join("."));
        let post = post.unwrap_or_default();
        format!("{epoch}{release}{pre}{post}{dev}{plus}{local}")
    }

    /// Whether this version comes before the release with the same numbers.
    fn is_preview(&self) -> bool {
        self.pre != Pre::None || self.dev != Dev::None
    }

    /// Whether this version consists of release numbers alone.
    fn is_release(&self) -> bool {
        !self.is_preview() && self.post.is_none() && self.local.is_none()
    }

    fn has_release_of(&self, other: &Self) -> bool {
        (self.epoch, &self.release) == (other.epoch, &other.release)
    }

    fn without_local(&self) -> Self {
        Self {
            local: None,
            ..self.clone()
        }
    }

    fn local(text: &str) -> Option<Vec<Local>> {
        let parts = text.split(['.', '-', '_']);
        let part = |part: &str| {
            let plain = !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
            plain.then(|| number(part).map_or_else(|| Local::Word(part.to_owned()), Local::Number))
        };
        parts.map(part).collect()
    }
}

impl Rest<'_> {
    /// Tries to read something; consumes nothing if that fails.
    fn after<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let before = self.0;
        let found = read(self);
        if found.is_none() {
            self.0 = before;
        }
        found
    }

    fn eat(&mut self, start: &str) -> bool {
        let rest = self.0.strip_prefix(start);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn separator(&mut self) {
        self.0 = self.0.strip_prefix(['.', '-', '_']).unwrap_or(self.0);
    }

    fn number(&mut self) -> Option<u64> {
        let end = self.0.find(|c: char| !c.is_ascii_digit());
        let (digits, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        number(digits)
    }

    /// Reads one of these words, with optional separators around it, and the number after it; a
    /// missing number is 0.
    fn word(&mut self, words: &[&str]) -> Option<u64> {
        self.after(|rest| {
            rest.separator();
            words.iter().any(|word| rest.eat(word)).then_some(())?;
            rest.separator();
            let number = rest.after(Self::number);
            // After a word without a number, more digits would be a number that is too long to be
            // read.
            let readable = !rest.0.starts_with(|c: char| c.is_ascii_digit());
            readable.then_some(number.unwrap_or(0))
        })
    }

    fn pre(&mut self) -> Option<Pre> {
        // The long words come first, since each begins with a short one.
        let alpha = self.word(&["alpha", "a"]).map(Pre::Alpha);
        let beta = alpha.or_else(|| self.word(&["beta", "b"]).map(Pre::Beta));
        let words = ["preview", "pre", "rc", "c"];
        beta.or_else(|| self.word(&words).map(Pre::Candidate))
    }

    fn post(&mut self) -> Option<u64> {
        let dash = self.after(|rest| rest.eat("-").then(|| rest.number())?);
        dash.or_else(|| self.word(&["post", "rev", "r"]))
    }
}

/// Reads digits and nothing else; a number beyond 64 bits is no number, since no version has one.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The summary of PEP 440, and its corner cases.
    #[test]
    fn versions_are_ordered_as_pep_440_orders_them() {
        let sorted = [
            "junk",
            "99999999999999999999999999",
            "1.dev0",
            "1.0.dev456",
            "1.0a1",
            "1.0a2.dev456",
            "1.0a12.dev456",
            "1.0a12",
            "1.0b1.dev456",
            "1.0b2",
            "1.0b2.post345.dev456",
            "1.0b2.post345",
            "1.0rc1.dev456",
            "1.0rc1",
            "1.0",
            "1.0+abc.5",
            "1.0+abc.7",
            "1.0+5",
            "1.0.post456.dev34",
            "1.0.post456",
            "1.0.15",
            "1.1.dev1",
            "18.1",
            "22.0.4",
            "23.0",
            "23.0.1",
            "24.2b1",
            "24.2",
            "2026.1",
            "1!0.1",
        ];
        let mut expect = sorted.to_vec();
        expect.swap(0, 1);
        for (i, a) in expect.iter().enumerate() {
            for (j, b) in expect.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} {b}");
            }
        }
    }

    #[test]
    fn spellings_of_one_version_are_equal() {
        let check = |a: &str, b: &str| assert_eq!(compare(a, b), Ordering::Equal, "{a} {b}");
        check("1.0", "1");
        check("1.0.0", "v1");
        check("0", "0.0.0");
        check("1.0A1", "1.0-alpha.1");
        check("1.0c1", "1.0_rc1");
        check("1.0pre1", "1.0-preview-1");
        check("1.0-1", "1.0.post1");
        check("1.0r1", "1.0_rev_1");
        check("1.0.post", "1.0.post0");
        check("1.0.dev", "1.0dev0");
        check("1.0+a-1", "1.0+A_1");
        check("01.00", "1.0");
        check("0!1.0", "1.0");
        check("1.0a1-2", "1.0a1.post2");
    }

    #[test]
    fn what_is_no_version_comes_before_all_that_are() {
        for text in [
            "",
            ".",
            "1.",
            "1..0",
            "1.0+",
            "1.0+a..b",
            "1.0junk",
            "!1",
            "1!",
            "-1",
            "1.0a1b2",
            "1.0 0",
            "é",
            "1.0post1post2",
        ] {
            assert_eq!(Version::parse(text), None, "{text}");
            assert_eq!(compare(text, "0.dev0"), Ordering::Less, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_two_texts_are_ordered_both_ways(
            a in "[0-9a-z.!+_-]{0,12}|\\PC{0,4}",
            b in "[0-9a-z.!+_-]{0,12}",
        ) {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
        }
    }
}
