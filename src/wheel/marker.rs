//! Markers: for which environments a requirement or an entry of a lock holds (PEP 508, PEP 751).
//!
//! Promises the grammar of markers, with the older names of the variables and with the containers
//! `extras` and `dependency_groups` of locks. A text is read before it is evaluated, so that one
//! that is malformed is found whatever the environment is. No text causes a panic.
//!
//! Read next: `requirement.rs` and `lock/choose.rs`, which evaluate them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::base::version::Specifiers;
use crate::wheel::normal_name;

/// How deep the parentheses of a marker may be nested.
const DEPTH_MAX: usize = 32;

/// The variables that a marker may name.
const NAMES: [&str; 14] = [
    "python_version",
    "python_full_version",
    "implementation_name",
    "implementation_version",
    "platform_python_implementation",
    "os_name",
    "sys_platform",
    "platform_system",
    "platform_machine",
    "platform_release",
    "platform_version",
    "extra",
    "extras",
    "dependency_groups",
];

/// The variables that are compared as versions.
const VERSIONS: [&str; 4] = [
    "python_version",
    "python_full_version",
    "implementation_version",
    "platform_release",
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

/// What was asked for besides the packages: the containers of the markers of locks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Containers {
    /// `extras`, in their normal form.
    pub(crate) extras: BTreeSet<String>,
    /// `dependency_groups`, in their normal form.
    pub(crate) groups: BTreeSet<String>,
}

/// A marker that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The text as it was written.
    text: String,
    tree: Tree,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Tree {
    Any(Vec<Tree>),
    All(Vec<Tree>),
    Comparison {
        left: Side,
        operator: &'static str,
        right: Side,
    },
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Side {
    Text(String),
    Variable(&'static str),
}

/// What the variables of a marker are looked up in.
struct Values<'a> {
    variables: &'a Variables,
    containers: Option<&'a Containers>,
}

impl Marker {
    /// Reads a marker; `None` if the text is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = Rest { text, depth: 0 };
        let tree = rest.any()?;
        rest.text.trim().is_empty().then(|| Self {
            text: text.trim().to_owned(),
            tree,
        })
    }

    /// Its value outside locks; `None` if it compares what cannot be compared, or names a variable
    /// that has no value.
    pub(crate) fn evaluate(&self, variables: &Variables) -> Option<bool> {
        let containers = None;
        self.tree.evaluate(&Values {
            variables,
            containers,
        })
    }

    /// Its value in a lock.
    pub(crate) fn evaluate_in_lock(
        &self,
        variables: &Variables,
        containers: &Containers,
    ) -> Option<bool> {
        let containers = Some(containers);
        self.tree.evaluate(&Values {
            variables,
            containers,
        })
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Tree {
    /// Evaluates every part, also where the value is certain already: whether a marker can be
    /// evaluated does not depend on the environment.
    fn evaluate(&self, values: &Values<'_>) -> Option<bool> {
        match self {
            Self::Any(parts) => {
                let mut value = false;
                for part in parts {
                    value |= part.evaluate(values)?;
                }
                Some(value)
            }
            Self::All(parts) => {
                let mut value = true;
                for part in parts {
                    value &= part.evaluate(values)?;
                }
                Some(value)
            }
            Self::Comparison {
                left,
                operator,
                right,
            } => values.compare(left, operator, right),
        }
    }
}

impl Values<'_> {
    fn compare(&self, left: &Side, operator: &str, right: &Side) -> Option<bool> {
        if let Side::Variable(name @ ("extras" | "dependency_groups")) = right {
            return self.contains(name, left, operator);
        }
        let ((Side::Variable(variable), _) | (_, Side::Variable(variable))) = (left, right) else {
            return None;
        };
        let (left, right) = (self.text(left)?, self.text(right)?);
        compare(variable, left, operator, right)
    }

    /// Whether a container of a lock has a name; it has no other comparison.
    fn contains(&self, container: &str, name: &Side, operator: &str) -> Option<bool> {
        let Side::Text(name) = name else { return None };
        let names = match container {
            "extras" => &self.containers?.extras,
            _ => &self.containers?.groups,
        };
        let contains = names.contains(&normal_name(name));
        match operator {
            "in" => Some(contains),
            "not in" => Some(!contains),
            _ => None,
        }
    }

    fn text<'s>(&'s self, side: &'s Side) -> Option<&'s str> {
        match side {
            Side::Text(text) => Some(text),
            // The only extras of a lock are in its container.
            Side::Variable("extra") if self.containers.is_some() => None,
            Side::Variable(name) => self.variables.get(name).map(String::as_str),
        }
    }
}

/// Compares as versions where the variable is one and the right side a version, else as texts,
/// which have no order.
fn compare(variable: &str, left: &str, operator: &str, right: &str) -> Option<bool> {
    if VERSIONS.contains(&variable)
        && let Ok(range) = Specifiers::parse(&format!("{operator}{right}"))
    {
        return Some(range.include(left));
    }
    let of = |text: &str| match variable {
        "extra" => normal_name(text),
        _ => text.to_owned(),
    };
    let (left, right) = (of(left), of(right));
    Some(match operator {
        "==" | "===" | "<=" | ">=" => left == right,
        "!=" => left != right,
        "<" | ">" => false,
        "in" => right.contains(&left),
        "not in" => !right.contains(&left),
        _ => return None,
    })
}

/// The part of a marker's text that is still to be read.
struct Rest<'a> {
    text: &'a str,
    depth: usize,
}

impl Rest<'_> {
    fn any(&mut self) -> Option<Tree> {
        let mut parts = vec![self.all()?];
        while self.word("or") {
            parts.push(self.all()?);
        }
        Some(Tree::Any(parts))
    }

    fn all(&mut self) -> Option<Tree> {
        let mut parts = vec![self.term()?];
        while self.word("and") {
            parts.push(self.term()?);
        }
        Some(Tree::All(parts))
    }

    fn term(&mut self) -> Option<Tree> {
        if !self.sign("(") {
            return self.comparison();
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let inner = self.any()?;
        self.depth -= 1;
        self.sign(")").then_some(inner)
    }

    fn comparison(&mut self) -> Option<Tree> {
        let left = self.side()?;
        let operator = self.operator()?;
        let right = self.side()?;
        Some(Tree::Comparison {
            left,
            operator,
            right,
        })
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

    fn side(&mut self) -> Option<Side> {
        self.text = self.text.trim_start();
        if let Some(quote) = self.text.chars().next().filter(|c| "'\"".contains(*c)) {
            let (text, rest) = self.text.get(1..)?.split_once(quote)?;
            self.text = rest;
            return Some(Side::Text(text.to_owned()));
        }
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || "._".contains(c);
        let end = self.text.find(|c| !is_of_name(c));
        let (name, rest) = self.text.split_at(end.unwrap_or(self.text.len()));
        self.text = rest;
        let old = OLD_NAMES.into_iter().find(|(old, _)| *old == name);
        let name = old.map_or(name, |(_, name)| name);
        let known = NAMES.into_iter().find(|known| *known == name)?;
        Some(Side::Variable(known))
    }

    fn sign(&mut self, sign: &str) -> bool {
        let rest = self.text.trim_start().strip_prefix(sign);
        self.text = rest.unwrap_or(self.text);
        rest.is_some()
    }

    fn word(&mut self, word: &str) -> bool {
        let rest = self.text.trim_start().strip_prefix(word);
        let is_end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
        let rest = rest.filter(|rest| rest.chars().next().is_none_or(is_end));
        self.text = rest.unwrap_or(self.text);
        rest.is_some()
    }
}

#[cfg(test)]
impl Marker {
    /// Whether it orders texts, which `packaging` before version 26 does by their bytes.
    pub(crate) fn orders_texts(&self) -> bool {
        self.tree.orders_texts()
    }
}

#[cfg(test)]
impl Tree {
    fn orders_texts(&self) -> bool {
        match self {
            Self::Any(parts) | Self::All(parts) => parts.iter().any(Self::orders_texts),
            Self::Comparison {
                left,
                operator,
                right,
            } => {
                let is_version = |side: &Side| match side {
                    Side::Text(_) => false,
                    Side::Variable(name) => VERSIONS.contains(name),
                };
                let read = match right {
                    Side::Text(text) => Specifiers::parse(&format!("{operator}{text}")).is_ok(),
                    Side::Variable(_) => true,
                };
                let as_versions = (is_version(left) || is_version(right)) && read;
                operator.starts_with(['<', '>']) && !as_versions
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        [
            ("python_version", "3.11"),
            ("sys_platform", "linux"),
            ("extra", ""),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into()
    }

    fn check(marker: &str, outside: Option<bool>, in_lock: Option<bool>) {
        let read = Marker::parse(marker).unwrap_or_else(|| panic!("{marker}"));
        let name = |name: &str| BTreeSet::from([name.to_owned()]);
        let containers = Containers {
            extras: name("fast-io"),
            groups: name("dev"),
        };
        assert_eq!(read.evaluate(&variables()), outside, "{marker}");
        let value = read.evaluate_in_lock(&variables(), &containers);
        assert_eq!(value, in_lock, "{marker} in a lock");
        assert_eq!(read.to_string(), marker.trim());
    }

    #[test]
    fn the_containers_of_locks_have_names_in_any_spelling() {
        check("'Fast_IO' in extras", None, Some(true));
        check("'fast' in extras", None, Some(false));
        check("'dev' not in dependency_groups", None, Some(false));
        check(
            "'DEV' in dependency_groups and python_version < '3.12'",
            None,
            Some(true),
        );
        check("'dev' == dependency_groups", None, None);
        check("extras == 'dev'", None, None);
        check("extra == ''", Some(true), None);
    }

    #[test]
    fn texts_have_no_order_and_what_cannot_be_evaluated_is_found_in_every_branch() {
        check("sys_platform < 'win32'", Some(false), Some(false));
        check("sys_platform >= 'linux'", Some(true), Some(true));
        check("sys_platform ~= 'linux'", None, None);
        check("sys_platform == 'linux' or sys_platform ~= 'x'", None, None);
        check("platform_machine == 'x86_64'", None, None);
    }

    #[test]
    fn what_is_no_marker_is_not_read() {
        for text in ["", "python_version", "unknown == '1'", "(extra == ''", "'a"] {
            assert_eq!(Marker::parse(text), None, "{text}");
        }
    }
}
