//! Requirements of distributions (PEP 508): a name, a range of versions, and a marker that says for
//! which environments it holds.
//!
//! Promises the grammar of dependency specifiers, the older form with parentheses, and the
//! comparisons of markers; no text causes a panic, and a text that is none of this is no
//! requirement. Does not promise extras: a requirement that holds for an extra only does not hold
//! here, as for `pip check`, because no file says which extras were asked for.
//!
//! Versions are compared by `base/version`, which has been here for `requires-python`; a marker is
//! a few comparisons joined by `and` and `or`. The crate for PEP 508 is no longer maintained apart
//! from uv's internal one, and would bring a parser of URLs and regular expressions for this.
//!
//! Read next: `installed.rs`, where the texts come from.

use std::collections::BTreeMap;

use crate::base::version::Specifiers;
use crate::wheel::normal_name;

/// How deep the parentheses of a marker may be nested.
const DEPTH_MAX: usize = 32;
/// The variables that are compared as versions.
const VERSIONS: [&str; 3] = [
    "python_version",
    "python_full_version",
    "implementation_version",
];

/// The names that the variables had before PEP 508, and those that they have now.
const OLD_NAMES: [(&str, &str); 6] = [
    ("os.name", "os_name"),
    ("sys.platform", "sys_platform"),
    ("platform.version", "platform_version"),
    ("platform.machine", "platform_machine"),
    (
        "platform.python_implementation",
        "platform_python_implementation",
    ),
    ("python_implementation", "platform_python_implementation"),
];

/// The values of the variables of markers, by name.
pub(crate) type Variables = BTreeMap<&'static str, String>;

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
        let (name, rest) = word(text.trim()).filter(|(name, _)| !name.ends_with('_'))?;
        let mut rest = rest.trim_start();
        if let Some(extras) = rest.strip_prefix('[') {
            let (extras, after) = extras.split_once(']')?;
            check_extras(extras)?;
            rest = after.trim_start();
        }
        let (range, marker) = if let Some(url) = rest.strip_prefix('@') {
            // A URL may have semicolons, so it ends at the first space.
            let url = url.trim_start();
            let end = url.find(char::is_whitespace).unwrap_or(url.len());
            let (url, rest) = url.split_at(end);
            let rest = rest.trim_start();
            let marker = rest.strip_prefix(';');
            if url.is_empty() || (marker.is_none() && !rest.is_empty()) {
                return None;
            }
            ("", marker)
        } else {
            match rest.split_once(';') {
                Some((range, marker)) => (range, Some(marker)),
                None => (rest, None),
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
        let holds = match marker {
            Some(marker) => Marker::of(marker, variables).evaluate()?,
            None => true,
        };
        Some(Self {
            name: normal_name(name),
            versions,
            holds,
        })
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

/// Checks what the brackets hold: nothing, or names with commas between them.
fn check_extras(extras: &str) -> Option<()> {
    if extras.trim().is_empty() {
        return Some(());
    }
    let mut extras = extras.split(',').map(str::trim);
    let is_name = |extra: &str| word(extra).is_some_and(|(_, rest)| rest.is_empty());
    extras.all(is_name).then_some(())
}

/// The rest of a marker that is evaluated while it is read.
struct Marker<'a> {
    rest: &'a str,
    depth: usize,
    variables: &'a Variables,
}

/// One side of a comparison.
struct Side<'a> {
    text: &'a str,
    /// The name of the variable that the text is the value of.
    variable: Option<&'a str>,
}

impl<'a> Marker<'a> {
    fn of(text: &'a str, variables: &'a Variables) -> Self {
        Self {
            rest: text,
            depth: 0,
            variables,
        }
    }

    /// The value of the whole marker; `None` if it is not one.
    fn evaluate(mut self) -> Option<bool> {
        let value = self.any()?;
        self.rest.trim().is_empty().then_some(value)
    }

    fn any(&mut self) -> Option<bool> {
        let mut value = self.all()?;
        while self.word("or") {
            value |= self.all()?;
        }
        Some(value)
    }

    fn all(&mut self) -> Option<bool> {
        let mut value = self.term()?;
        while self.word("and") {
            value &= self.term()?;
        }
        Some(value)
    }

    fn term(&mut self) -> Option<bool> {
        if !self.sign("(") {
            return self.comparison();
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let value = self.any()?;
        self.depth -= 1;
        self.sign(")").then_some(value)
    }

    fn comparison(&mut self) -> Option<bool> {
        let left = self.side()?;
        let operator = self.operator()?;
        let right = self.side()?;
        compare(&left, operator, &right)
    }

    fn operator(&mut self) -> Option<&'static str> {
        let signs = ["===", "==", "~=", "!=", "<=", ">=", "<", ">"];
        if let Some(sign) = signs.into_iter().find(|sign| self.sign(sign)) {
            return Some(sign);
        }
        if self.word("in") {
            return Some("in");
        }
        (self.word("not") && self.word("in")).then_some("not in")
    }

    fn side(&mut self) -> Option<Side<'a>> {
        self.rest = self.rest.trim_start();
        if let Some(quote) = self.rest.chars().next().filter(|c| "'\"".contains(*c)) {
            let (text, rest) = self.rest.get(1..)?.split_once(quote)?;
            self.rest = rest;
            let variable = None;
            return Some(Side { text, variable });
        }
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || "._".contains(c);
        let end = self.rest.find(|c| !is_of_name(c));
        let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        let known = OLD_NAMES.into_iter().find(|(old, _)| *old == name);
        let name = known.map_or(name, |(_, name)| name);
        let text = self.variables.get(name)?;
        let variable = Some(name);
        Some(Side { text, variable })
    }

    fn sign(&mut self, sign: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn word(&mut self, word: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(word);
        let is_end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
        let rest = rest.filter(|rest| rest.chars().next().is_none_or(is_end));
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

/// Compares as versions where a variable is one and the other side a version, else as texts.
fn compare(left: &Side<'_>, operator: &str, right: &Side<'_>) -> Option<bool> {
    let variable = left.variable.or(right.variable)?;
    if VERSIONS.contains(&variable)
        && let Ok(range) = Specifiers::parse(&format!("{operator}{}", right.text))
    {
        return Some(range.include(left.text));
    }
    let of = |side: &Side<'_>| match variable {
        "extra" => normal_name(side.text),
        _ => side.text.to_owned(),
    };
    let (left, right) = (of(left), of(right));
    Some(match operator {
        "==" | "===" => left == right,
        "!=" => left != right,
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        ">=" => left >= right,
        "in" => right.contains(&left),
        "not in" => !right.contains(&left),
        _ => return None,
    })
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the test asks a library that is written in Python"
)]
mod peers;

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
