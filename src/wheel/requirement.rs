//! Requirements of distributions (PEP 508): a name, a range of versions, and a marker that says for
//! which environments it holds.
//!
//! Promises the grammar of dependency specifiers, the older form with parentheses, and the
//! comparisons of markers; no text causes a panic, and a text that is none of this is no
//! requirement. Does not promise extras: a requirement that holds for an extra only does not hold
//! here, as for `pip check`, because no file says which extras were asked for.
//!
//! Versions are compared by `base/version`, which has been here for `requires-python`. The crate
//! for PEP 508 is no longer maintained apart from uv's internal one, knows no markers of locks, and
//! would bring a parser of URLs and regular expressions for this.
//!
//! Read next: `marker.rs`; `installed.rs`, where the texts come from.

use crate::base::version::Specifiers;
use crate::wheel::marker::{Marker, Variables};
use crate::wheel::normal_name;

/// What markers may ask about a Python on this machine: `implementation` is its
/// `sys.implementation.name`, `full` its whole version.
pub(crate) fn variables(minor: u32, full: &str, implementation: &str) -> Variables {
    let short = format!("3.{minor}");
    let title = match implementation {
        "pypy" => "PyPy",
        _ => "CPython",
    };
    let (sys_platform, system) = match std::env::consts::OS {
        "linux" => ("linux", "Linux"),
        "macos" => ("darwin", "Darwin"),
        "windows" => ("win32", "Windows"),
        other => (other, other),
    };
    let machine = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("macos", "aarch64") => "arm64",
        ("windows", "x86_64") => "AMD64",
        (_, arch) => arch,
    };
    [
        ("python_version", short.as_str()),
        ("python_full_version", full),
        ("implementation_name", implementation),
        ("implementation_version", full),
        ("platform_python_implementation", title),
        ("os_name", if cfg!(windows) { "nt" } else { "posix" }),
        ("sys_platform", sys_platform),
        ("platform_system", system),
        ("platform_machine", machine),
        ("platform_release", ""),
        ("platform_version", ""),
        ("extra", ""),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into()
}

/// The parts of a requirement, for every environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Specified {
    /// The name in its normal form.
    pub(crate) name: String,
    /// Its extras, in their normal form.
    pub(crate) extras: Vec<String>,
    /// Which versions; `None` for every version, and for a URL.
    pub(crate) versions: Option<Specifiers>,
    /// The URL that it comes from, if it has one.
    pub(crate) url: Option<String>,
    /// For which environments it holds.
    pub(crate) marker: Option<Marker>,
}

/// One requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Requirement {
    /// The name in its normal form.
    pub(crate) name: String,
    /// Which versions; `None` for every version, and for a URL.
    pub(crate) versions: Option<Specifiers>,
    /// Whether it holds in the environment that it was read for.
    pub(crate) holds: bool,
}

impl Requirement {
    /// Reads a requirement, for an environment with these variables; `None` if it is not one.
    pub(crate) fn parse(text: &str, variables: &Variables) -> Option<Self> {
        let read = Specified::parse(text)?;
        let holds = match read.marker {
            Some(marker) => marker.evaluate(variables)?,
            None => true,
        };
        Some(Self {
            name: read.name,
            versions: read.versions,
            holds,
        })
    }
}

impl Specified {
    /// Reads a requirement; `None` if the text is not one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, rest) = word(text.trim()).filter(|(name, _)| !name.ends_with('_'))?;
        let mut rest = rest.trim_start();
        let mut extras = Vec::new();
        if let Some(inner) = rest.strip_prefix('[') {
            let (inner, after) = inner.split_once(']')?;
            extras = extras_of(inner)?;
            rest = after.trim_start();
        }
        let (url, range, marker) = if let Some(url) = rest.strip_prefix('@') {
            // A URL may have semicolons, so it ends at the first space.
            let url = url.trim_start();
            let end = url.find(char::is_whitespace).unwrap_or(url.len());
            let (url, rest) = url.split_at(end);
            let rest = rest.trim_start();
            let marker = rest.strip_prefix(';');
            if url.is_empty() || (marker.is_none() && !rest.is_empty()) {
                return None;
            }
            (Some(url.to_owned()), "", marker)
        } else {
            match rest.split_once(';') {
                Some((range, marker)) => (None, range, Some(marker)),
                None => (None, rest, None),
            }
        };
        let range = range.trim();
        let range = range
            .strip_prefix('(')
            .map_or(Some(range), |inner| inner.strip_suffix(')'))?;
        let versions = match range.trim() {
            "" => None,
            range => Some(versions(range)?),
        };
        let marker = match marker {
            Some(marker) => Some(Marker::parse(marker)?),
            None => None,
        };
        Some(Self {
            name: normal_name(name),
            extras,
            versions,
            url,
            marker,
        })
    }

    /// The text of this requirement, which was read from `text`, without its marker.
    pub(crate) fn without_marker<'t>(&self, text: &'t str) -> &'t str {
        // A URL may have semicolons.
        let url_end = self
            .url
            .as_ref()
            .and_then(|url| Some(text.find(url)? + url.len()));
        let from = url_end.unwrap_or_default();
        let marker = text.get(from..).and_then(|rest| rest.find(';'));
        let end = marker.map_or(text.len(), |at| from + at);
        text.get(..end).unwrap_or(text).trim()
    }
}

/// The name at the start of a text, of a distribution or an extra, and the rest; `None` if there is
/// none.
fn word(text: &str) -> Option<(&str, &str)> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let end = text.find(|c| !is_of_name(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    (starts && !name.ends_with(['.', '-'])).then_some((name, rest))
}

/// A range; only the last part may be followed by a comma.
fn versions(range: &str) -> Option<Specifiers> {
    let range = range.strip_suffix(',').unwrap_or(range);
    let mut parts = range.split(',');
    let is_whole = parts.all(|part| !part.trim().is_empty());
    is_whole.then(|| Specifiers::parse(range).ok())?
}

/// What the brackets hold: nothing, or names with commas between them.
fn extras_of(text: &str) -> Option<Vec<String>> {
    if text.trim().is_empty() {
        return Some(Vec::new());
    }
    let extras = text.split(',').map(|extra| {
        let (name, rest) = word(extra.trim())?;
        rest.is_empty().then(|| normal_name(name))
    });
    extras.collect()
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the test asks a library that is written in Python"
)]
pub(crate) mod peers;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn variables() -> Variables {
        [
            ("python_version", "3.11"),
            ("python_full_version", "3.11.7"),
            ("sys_platform", "linux"),
            ("platform_machine", "x86_64"),
            ("extra", ""),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into()
    }

    fn holds(marker: &str, expected: Option<bool>) {
        let text = format!("demo; {marker}");
        let found = Requirement::parse(&text, &variables()).map(|read| read.holds);
        assert_eq!(found, expected, "{marker}");
    }

    #[test]
    fn a_marker_has_the_value_that_packaging_gives_it() {
        holds("python_version < '3.8'", Some(false));
        holds("python_version >= \"3.8\"", Some(true));
        holds("'3.8' <= python_version", Some(true));
        holds("python_version ~= '3.10'", Some(true));
        holds("python_full_version == '3.11.*'", Some(true));
        holds(
            "sys_platform == 'win32' or sys_platform == 'linux'",
            Some(true),
        );
        holds("sys_platform == 'linux' and extra == 'Test_x'", Some(false));
        holds(
            "(python_version < '3.8' or (sys_platform != 'win32')) and platform_machine in 'x86_64 arm64'",
            Some(true),
        );
        holds("'linux' not in sys_platform", Some(false));
        holds(
            "python_version < '3.8' or sys_platform == 'linux' and extra == ''",
            Some(true),
        );
        for other in [
            "",
            "python_version",
            "unknown == '1'",
            "'a' == 'a'",
            "(extra == ''",
        ] {
            holds(other, None);
        }
        holds(
            &format!("{}extra == ''{}", "(".repeat(40), ")".repeat(40)),
            None,
        );
    }

    #[test]
    fn a_requirement_is_read_in_every_form() {
        let check = |text: &str, version: &str, expected: Option<(&str, bool)>| {
            let read = Requirement::parse(text, &variables());
            let found = read.as_ref().map(|read| {
                let versions = read.versions.as_ref();
                let fits = versions.is_none_or(|range| range.include(version));
                (read.name.as_str(), fits)
            });
            assert_eq!(found, expected, "{text}");
        };
        check("idna", "1", Some(("idna", true)));
        check("Ruamel.Yaml>=1,<2", "1.5", Some(("ruamel-yaml", true)));
        check("idna (>=2,<4)", "4", Some(("idna", false)));
        check("requests [socks] >= 2.8.1", "2.9", Some(("requests", true)));
        check(
            "pip @ https://x/p.whl;y ; extra == 'a'",
            "1",
            Some(("pip", true)),
        );
        check("idna >= nonsense", "1", None);
        check("idna (>=2", "1", None);
        check(">=2", "1", None);
        check("idna>=1.0b1", "1.0b2", Some(("idna", true)));
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange_to_be_read(text in "[a-z ;\\[\\]()<>=!'\"@.,]{0,40}|\\PC{0,20}") {
            let _read = Requirement::parse(&text, &variables());
            let _read = Requirement::parse(&format!("a; {text}"), &variables());
        }
    }
}
