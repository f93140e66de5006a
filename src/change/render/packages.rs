//! What a plan does to packages, one cell for each: removed, replaced, new, or brought along.
//!
//! Promises that each package of a plan that changes is in the section or, if only a few of its
//! files change, in the lines of its paths. The plan alone decides, so that a saved plan shows the
//! same packages everywhere.
//! Read next: `changes.rs`, the paths that belong to no package; `columns.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

use rvenv_journal::raw::{Effect, counted};
use rvenv_journal::{Node, Plan, Publication, RelPath};

use super::columns::{Cell, aligned, columns, flowing};
use super::signs::{SHOWN_MAX, Sign, line};
use super::{Section, escape, shown_size};
use crate::change::installed_inputs;
use crate::wheel::Named;
use crate::wheel::distributions::{Distribution, named};

/// How many packages have a line of their own.
const LINES_MAX: usize = 12;

/// What happens to a package, in the order in which it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Removed,
    Replaced,
    New,
    /// Another Python needs another wheel of the same version.
    Refitted,
    /// The same version is installed again.
    Again,
    /// It comes along to another Python.
    Along,
}

impl Fate {
    const ALL: [Self; 6] = [
        Self::Removed,
        Self::Replaced,
        Self::New,
        Self::Refitted,
        Self::Again,
        Self::Along,
    ];

    fn sign(self) -> Sign {
        match self {
            Self::Removed => Sign::Remove,
            Self::Replaced | Self::Refitted | Self::Again => Sign::Change,
            Self::New => Sign::Add,
            Self::Along => Sign::Keep,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Replaced => "in another version",
            Self::New => "new",
            Self::Refitted => "from another wheel",
            Self::Again => "installed again",
            Self::Along => "as before",
        }
    }
}

struct Package {
    fate: Fate,
    name: String,
    version: String,
    files: usize,
    bytes: u64,
}

/// The packages that a plan changes, and the groups of operations that they account for.
pub(super) struct Packages<'a> {
    all: Vec<Package>,
    pub(super) groups: BTreeSet<&'a str>,
    /// The entries of the packages that are removed or replaced.
    pub(super) entries: BTreeSet<RelPath>,
}

/// The files of one group of operations.
#[derive(Default)]
struct Files {
    all: usize,
    changing: usize,
    bytes: u64,
}

impl<'a> Packages<'a> {
    pub(super) fn of(plan: &'a Plan) -> Self {
        let seen: Vec<(RelPath, Distribution)> = installed_inputs::seen(plan).collect();
        let mut packages = Self {
            all: Vec::new(),
            groups: BTreeSet::new(),
            entries: BTreeSet::new(),
        };
        let mut planned = BTreeSet::new();
        for (group, files) in grouped_files(plan) {
            let Some(new) = package(group) else { continue };
            let of_name = || seen.iter().filter(|(_, old)| old.name == new.name);
            let is_planned =
                |(entry, _): &&(RelPath, Distribution)| plan.operations().contains_key(entry);
            let old = of_name().find(is_planned).or_else(|| of_name().next());
            let fate = fate(plan, group, &new, old);
            planned.insert(new.name.clone());
            let is_mended = fate == Fate::Again && files.changing <= SHOWN_MAX;
            if files.changing == 0 || is_mended {
                continue;
            }
            let version = match old {
                Some((_, old)) if fate == Fate::Replaced => {
                    format!("{} → {}", old.version, new.version)
                }
                Some(_) | None => new.version,
            };
            packages
                .entries
                .extend(of_name().map(|(entry, _)| entry.clone()));
            packages.groups.insert(group);
            packages.all.push(Package {
                fate,
                name: new.name,
                version,
                files: files.all,
                bytes: files.bytes,
            });
        }
        packages.add_removed(plan, seen, &planned);
        packages
            .all
            .sort_by(|one, two| (one.fate, &one.name).cmp(&(two.fate, &two.name)));
        packages
    }

    fn add_removed(
        &mut self,
        plan: &Plan,
        seen: Vec<(RelPath, Distribution)>,
        planned: &BTreeSet<String>,
    ) {
        for (entry, old) in seen {
            let goes = match plan.publication() {
                Publication::Replace | Publication::Refill => true,
                Publication::Merge => plan.retired().contains(&entry),
                Publication::Nothing | Publication::Put => false,
            };
            if goes && !planned.contains(&old.name) {
                self.entries.insert(entry);
                self.all.push(Package {
                    fate: Fate::Removed,
                    name: old.name,
                    version: old.version,
                    files: 0,
                    bytes: 0,
                });
            }
        }
    }

    /// The section of the packages; without lines if none changes.
    pub(super) fn section(&self) -> Section {
        let lines = if self.all.len() <= LINES_MAX {
            let rows = self.all.iter().map(Package::row);
            let texts = aligned(&rows.collect::<Vec<_>>());
            let lines = self.all.iter().zip(texts);
            lines
                .map(|(package, text)| line(package.fate.sign(), &text))
                .collect()
        } else {
            let alike = self.all.chunk_by(|one, two| one.fate == two.fate);
            let lines = alike.flat_map(|packages| {
                let cells: Vec<Cell> = packages.iter().map(Package::cell).collect();
                match packages.first().map(|one| one.fate) {
                    // A reviewer need not read these one by one.
                    Some(Fate::Along) => flowing(&cells),
                    Some(_) | None => columns(&cells),
                }
            });
            lines.collect()
        };
        Section {
            heading: self.heading(),
            lines,
        }
    }

    fn heading(&self) -> String {
        let counts = Fate::ALL.iter().filter_map(|fate| {
            let count = self.all.iter().filter(|one| one.fate == *fate).count();
            (count > 0).then(|| format!("{count} {}", fate.words()))
        });
        let counts: Vec<String> = counts.collect();
        let files: usize = self.all.iter().map(|one| one.files).sum();
        let bytes = self.all.iter().map(|one| one.bytes).sum();
        let size = (files > 0).then(|| {
            let files = counted(files, "file");
            format!(" ({files}, {})", shown_size(bytes))
        });
        format!(
            "packages: {}{}",
            counts.join(", "),
            size.unwrap_or_default()
        )
    }
}

impl Package {
    fn cell(&self) -> Cell {
        Cell {
            sign: self.fate.sign(),
            text: escape(format!("{} {}", self.name, self.version).trim_end()),
        }
    }

    fn row(&self) -> [String; 3] {
        let size = (self.files > 0).then(|| {
            let files = counted(self.files, "file");
            format!("{files}, {}", shown_size(self.bytes))
        });
        let note = match self.fate {
            Fate::Refitted | Fate::Again | Fate::Along => format!(", {}", self.fate.words()),
            Fate::Removed | Fate::Replaced | Fate::New => String::new(),
        };
        let size = size.map(|size| size + &note);
        [
            escape(&self.name),
            escape(&self.version),
            size.unwrap_or_default(),
        ]
    }
}

/// The files of each group, with at least one file.
fn grouped_files(plan: &Plan) -> BTreeMap<&str, Files> {
    let mut groups: BTreeMap<&str, Files> = BTreeMap::new();
    for (_, operation, effect) in plan.effects() {
        let Some(group) = operation.group.as_deref() else {
            continue;
        };
        let bytes = match &operation.node {
            Node::Dir { .. } => continue,
            Node::File { content, .. } => content.len(),
            Node::Symlink { .. } => 0,
        };
        let files = groups.entry(group).or_default();
        files.all += 1;
        files.changing += usize::from(effect != Effect::Keep);
        files.bytes = files.bytes.saturating_add(bytes);
    }
    groups
}

/// The package that a group is named after: by its wheel, or by its entry if it comes along.
fn package(group: &str) -> Option<Named> {
    let of_entry = |found: Distribution| Named {
        name: found.name,
        version: found.version,
    };
    Named::of(Path::new(group)).or_else(|| named(OsStr::new(group)).map(of_entry))
}

fn fate(plan: &Plan, group: &str, new: &Named, old: Option<&(RelPath, Distribution)>) -> Fate {
    let Some((entry, old)) = old else {
        return Fate::New;
    };
    let is_in_place = plan.operations().contains_key(entry);
    let is_wheel = Named::of(Path::new(group)).is_some();
    match (old.version == new.version, is_in_place, is_wheel) {
        (false, _, _) => Fate::Replaced,
        (true, true, _) => Fate::Again,
        (true, false, true) => Fate::Refitted,
        (true, false, false) => Fate::Along,
    }
}
