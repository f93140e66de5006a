//! What a hook of a plan changes, as lines: one for each path, or for many that belong together.
//!
//! Promises that no change is omitted: it is shown by its path, or counted in the line of its
//! package or of the new directory that contains it. Unchanged paths are shown only when every path
//! is wanted.
//! Read next: `render.rs`, which puts the lines below headings.

use std::collections::{BTreeMap, BTreeSet};

use rvenv_journal::raw::counted;
use rvenv_journal::{Content, Node, Operation, Plan, RelPath};

use super::packages::Packages;
use super::signs::{SHOWN_MAX, Sign, line};
use super::{Detail, escape};

/// One path of a plan.
#[derive(Clone, Copy)]
struct Change<'a> {
    path: &'a RelPath,
    operation: &'a Operation,
    sign: Sign,
}

impl Change<'_> {
    fn line(&self) -> String {
        line(self.sign, &describe(self.path, &self.operation.node))
    }

    fn is_dir(&self) -> bool {
        matches!(self.operation.node, Node::Dir { .. })
    }
}

/// The lines of a hook, without those of packages that have their own section.
pub(super) fn part_lines(
    plan: &Plan,
    part: &str,
    packages: &Packages<'_>,
    detail: Detail,
) -> Vec<String> {
    let of_part = plan
        .effects()
        .filter(|(_, operation, _)| &*operation.part == part);
    let all = of_part.map(|(path, operation, effect)| Change {
        path,
        operation,
        sign: Sign::of(effect),
    });
    match detail {
        Detail::EveryPath => all.map(|change| change.line()).collect(),
        Detail::Folded => folded(&all.collect::<Vec<_>>(), packages),
    }
}

/// What changes, with each group and each new directory of many files in one line. The directories
/// of packages that have their own section belong to these.
fn folded(all: &[Change<'_>], packages: &Packages<'_>) -> Vec<String> {
    let is_of_package = |change: &&Change<'_>| {
        let group = change.operation.group.as_deref();
        group.is_some_and(|group| packages.groups.contains(group))
    };
    let has_packages = all.iter().any(|change| is_of_package(&change));
    let has_groups = all.iter().any(|change| change.operation.group.is_some());
    let changing = all.iter().filter(|change| change.sign != Sign::Keep);
    let changing =
        changing.filter(|change| !(is_of_package(change) || has_packages && change.is_dir()));
    let (grouped, loose): (Vec<_>, Vec<_>) = changing.copied().partition(|change| {
        let is_grouped = change.operation.group.is_some();
        is_grouped || (has_groups && change.is_dir())
    });
    let mut lines = grouped_lines(&grouped, &partial_groups(all));
    lines.extend(loose_lines(&loose));
    lines
}

/// The groups that exist in part.
fn partial_groups<'a>(all: &[Change<'a>]) -> BTreeSet<&'a str> {
    let existing = all.iter().filter(|change| change.sign != Sign::Add);
    existing
        .filter(|change| !change.is_dir())
        .filter_map(|change| change.operation.group.as_deref())
        .collect()
}

/// One line for the directories and one for each wheel, unless only a few paths change of a wheel
/// that exists already.
fn grouped_lines(changes: &[Change<'_>], partial: &BTreeSet<&str>) -> Vec<String> {
    let mut groups: BTreeMap<(Option<&str>, Sign), Vec<&Change<'_>>> = BTreeMap::new();
    for change in changes {
        let group = change.operation.group.as_deref();
        let group = group.filter(|_| !change.is_dir());
        groups.entry((group, change.sign)).or_default().push(change);
    }
    let shown = |((group, sign), changes): (&(Option<&str>, Sign), &Vec<&Change<'_>>)| {
        let is_partial = group.map_or(!partial.is_empty(), |group| partial.contains(group));
        if is_partial && changes.len() <= SHOWN_MAX {
            return changes.iter().map(|change| change.line()).collect();
        }
        let what = match group {
            Some(group) => format!("{}: {}", escape(group), counted(changes.len(), "file")),
            None => counted(changes.len(), "directory"),
        };
        vec![line(*sign, &what)]
    };
    groups.iter().flat_map(shown).collect()
}

/// One line for each path, and one for a new directory with many files.
fn loose_lines(changes: &[Change<'_>]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = changes;
    while let Some((first, after)) = rest.split_first() {
        let is_new_dir = first.is_dir() && first.sign == Sign::Add;
        // The entries of a directory follow it.
        let below = after
            .iter()
            .take_while(|change| is_new_dir && change.path.is_below(first.path));
        let (below, further) = after.split_at(below.count());
        let files = below.iter().filter(|change| !change.is_dir()).count();
        if files > SHOWN_MAX {
            let dir = describe(first.path, &first.operation.node);
            let what = format!("{dir}: {}", counted(files, "file"));
            lines.push(line(first.sign, &what));
            rest = further;
        } else {
            lines.push(first.line());
            rest = after;
        }
    }
    lines
}

fn describe(path: &RelPath, node: &Node) -> String {
    let path = escape(path.as_str());
    match node {
        Node::Dir { .. } => format!("{path}/"),
        Node::Symlink { target } => format!("{path} -> {}", escape(target)),
        Node::File { content, .. } => match content {
            Content::Local { path: from, .. } => format!("{path} (a copy of {})", escape(from)),
            Content::Inline(_) | Content::Object { .. } => {
                format!("{path} ({})", counted(content.len(), "byte"))
            }
        },
    }
}
