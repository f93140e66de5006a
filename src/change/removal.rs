//! Removal: which distributions go when some are uninstalled, and what still requires them.
//!
//! Promises that each one lists its files in a RECORD, without which nobody knows what to delete.
//! Of what only those that go need, a distribution that the user asked for stays, and one that
//! anything else needs, however indirectly; two that need only each other go together. Does not
//! write.
//!
//! Read next: `merge/retired.rs`, which takes them out.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::PathBuf;

use rvenv_journal::Fs;
use rvenv_journal::fs::{Dir, FsError};
use thiserror::Error;

use crate::build::hooks::Context;
use crate::change::open_path::Walk;
use crate::python::shown;
use crate::wheel::distributions::{Distribution, DistributionKind};
use crate::wheel::installed::Facts;
use crate::wheel::marker::Variables;
use crate::wheel::normal_name;
use crate::wheel::requirement::{Requirement, variables};

/// What is uninstalled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// The names, in any spelling.
    pub names: Vec<String>,
    /// Whether what only they need goes too.
    pub with_unused: bool,
}

/// Why something cannot be uninstalled.
#[derive(Debug, Error)]
pub enum RemovalFailed {
    /// It is not installed.
    #[error("`{}` is not installed in `{}`", name.escape_debug(), shown(path))]
    NotInstalled {
        /// Its name.
        name: String,
        /// The environment.
        path: PathBuf,
    },
    /// What it consists of is not known.
    #[error("{distribution} cannot be uninstalled: {why}")]
    Unlisted {
        /// Which one.
        distribution: Distribution,
        /// Why, as a clause.
        why: &'static str,
    },
    /// The environment cannot be read.
    #[error("cannot read `{}`", shown(path))]
    Disk {
        /// The environment.
        path: PathBuf,
        /// Why.
        source: FsError,
    },
}

/// The names, in their normal form, of the installed distributions of a context that go.
///
/// # Errors
/// See [`RemovalFailed`].
pub(crate) fn names(
    fs: &dyn Fs,
    root: &Dir,
    context: &Context,
    removal: &Removal,
) -> Result<BTreeSet<String>, RemovalFailed> {
    let path = PathBuf::from(&context.env_dir);
    let disk = |source| RemovalFailed::Disk {
        path: path.clone(),
        source,
    };
    let mut names: BTreeSet<String> = BTreeSet::new();
    for given in &removal.names {
        let name = normal_name(given);
        if !context.installed.iter().any(|one| one.name == name) {
            return Err(RemovalFailed::NotInstalled {
                name: given.clone(),
                path,
            });
        }
        names.insert(name);
    }
    if removal.with_unused {
        let more = unused(fs, root, context, &names).map_err(disk)?;
        names.extend(more);
    }
    let goes = |one: &&Distribution| names.contains(&one.name);
    for one in context.installed.iter().filter(goes) {
        if let Some(why) = unlisted(fs, root, context, one).map_err(disk)? {
            let distribution = one.clone();
            return Err(RemovalFailed::Unlisted { distribution, why });
        }
    }
    Ok(names)
}

/// Why the files of a distribution are not known, as a clause.
fn unlisted(
    fs: &dyn Fs,
    root: &Dir,
    context: &Context,
    distribution: &Distribution,
) -> Result<Option<&'static str>, FsError> {
    if distribution.kind != DistributionKind::DistInfo {
        return Ok(Some("it is an egg, which lists no files in a RECORD"));
    }
    let Ok(info) = context.layout.lib_path.join(&distribution.dir) else {
        return Ok(Some("no plan can name its directory"));
    };
    let dir = Walk::new(fs, root).open(&info)?;
    let record = match &dir {
        Some(dir) => fs.meta(dir, OsStr::new("RECORD"))?,
        None => None,
    };
    Ok(record
        .is_none()
        .then_some("it has no RECORD, which would list its files"))
}

/// A requirement of a distribution that stays on one that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StillRequired {
    /// The distribution that stays.
    pub by: Distribution,
    /// The requirement, as it is written.
    pub requirement: String,
}

/// What the distributions that stay require of those that go. Where the environment sees the
/// packages of the base installation, they may meet it: nothing is found then.
///
/// # Errors
/// The error of the disk.
pub(crate) fn still_required(
    fs: &dyn Fs,
    root: &Dir,
    context: &Context,
    gone: &[Distribution],
) -> Result<Vec<StillRequired>, FsError> {
    let mut found = Vec::new();
    if gone.is_empty() || context.options.system_site_packages {
        return Ok(found);
    }
    let Some(site) = Walk::new(fs, root).open(&context.layout.lib_path)? else {
        return Ok(found);
    };
    let variables = variables_of(context);
    for by in context.installed.iter().filter(|one| !gone.contains(one)) {
        for requirement in Facts::read(fs, &site, by).requirements {
            let read = Requirement::parse(&requirement, &variables);
            let is_of_gone = read.is_some_and(|required| {
                required.holds && gone.iter().any(|one| one.name == required.name)
            });
            if is_of_gone {
                let by = by.clone();
                found.push(StillRequired { by, requirement });
            }
        }
    }
    Ok(found)
}

fn variables_of(context: &Context) -> Variables {
    let interpreter = &context.interpreter;
    let version = &interpreter.version;
    let implementation = &interpreter.platform.implementation;
    variables(version.minor, &version.text, implementation)
}

/// What an installed distribution needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    /// The names that it requires here.
    requires: BTreeSet<String>,
    is_requested: bool,
}

/// The names of the installed distributions of a context that only `named` need.
///
/// # Errors
/// The error of the disk.
fn unused(
    fs: &dyn Fs,
    root: &Dir,
    context: &Context,
    named: &BTreeSet<String>,
) -> Result<BTreeSet<String>, FsError> {
    let mut walk = Walk::new(fs, root);
    let Some(site) = walk.open(&context.layout.lib_path)? else {
        return Ok(BTreeSet::new());
    };
    let variables = variables_of(context);
    let node = |facts: Facts| {
        let all = facts.requirements.iter();
        let read = all.filter_map(|text| Requirement::parse(text, &variables));
        let holding = read.filter(|required| required.holds);
        Node {
            requires: holding.map(|required| required.name).collect(),
            is_requested: facts.is_requested,
        }
    };
    let nodes = context.installed.iter().map(|one| {
        let facts = Facts::read(fs, &site, one);
        (one.name.clone(), node(facts))
    });
    Ok(only_for(named, &nodes.collect()))
}

/// The nodes that only these need.
fn only_for(named: &BTreeSet<String>, nodes: &BTreeMap<String, Node>) -> BTreeSet<String> {
    let below = reached(named.clone(), nodes);
    let roots = nodes.iter().filter(|(name, node)| {
        !named.contains(*name) && (node.is_requested || !below.contains(*name))
    });
    let roots = roots.map(|(name, _)| name.clone()).collect();
    let stay = reached(roots, nodes);
    let goes = |name: &&String| !named.contains(*name) && !stay.contains(*name);
    below.iter().filter(goes).cloned().collect()
}

/// These names, and what they need, however indirectly.
fn reached(from: BTreeSet<String>, nodes: &BTreeMap<String, Node>) -> BTreeSet<String> {
    let mut open: Vec<String> = from.into_iter().collect();
    let mut found = BTreeSet::new();
    while let Some(name) = open.pop() {
        let Some(node) = nodes.get(&name) else {
            continue;
        };
        if found.insert(name) {
            open.extend(node.requires.iter().cloned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes as text: a name, `*` if it was asked for, and what it requires.
    fn nodes(text: &str) -> BTreeMap<String, Node> {
        let line = |line: &str| {
            let (name, requires) = line.split_once(':').unwrap();
            let node = Node {
                requires: requires.split_whitespace().map(str::to_owned).collect(),
                is_requested: name.ends_with('*'),
            };
            (name.trim_end_matches('*').to_owned(), node)
        };
        text.split(", ").map(line).collect()
    }

    fn check(text: &str, named: &str, expected: &[&str]) {
        let named = named.split(' ').map(str::to_owned).collect();
        let found: Vec<String> = only_for(&named, &nodes(text)).into_iter().collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn what_only_the_removed_ones_need_goes() {
        check("a*:b c, b:, c:d, d:", "a", &["b", "c", "d"]);
        check("a*:b, b:, e*:b", "a", &[]);
        check("a*:b, b*:", "a", &[]);
        check("a*:b absent, b:c, c:b", "a", &["b", "c"]);
        // Nothing says who asked for `e`, so it stays, and so does what it needs.
        check("a*:b, b:c, c:, e:c", "a", &["b"]);
        check("a*:b, b:, e*:b", "a e", &["b"]);
        check("a*:", "absent", &[]);
    }
}
