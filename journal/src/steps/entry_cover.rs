//! The cover: the smallest entries that cover the changes of a plan.
//!
//! Promises that everything planned is put or exchanged, that everything retired is taken, and that
//! nothing else moves. An existing directory is one step only if everything in it is planned or
//! retired, and only if it belongs to one group (a package); otherwise its entries are the steps.
//! A file outside of its package's directories, such as a script, is a step even if it stays as it
//! is, once anything else of the package changes: a kept generation then has the whole package,
//! whatever an installer does to the new one. New entries come first, taken ones go last. Does not
//! write.
//!
//! Read next: `steps/entry_steps.rs`, which makes the steps.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use thiserror::Error;

use crate::base::identity::Identity;
use crate::base::path::{RelPath, escaped};
use crate::fs::exchange::CanExchange;
use crate::fs::{Dir, Fs, FsError, Kind};
use crate::place::record::Act;
use crate::plan::builder::{Plan, effect};
use crate::plan::node::{ENGINE_DIR, Effect, Node, Observed, Operation, Publication};

/// How large the entries are that a publication moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grain {
    /// Files, links, and directories that belong to one group.
    #[default]
    Packages,
    /// Files and links: no existing directory is renamed, for filesystems that refuse it (a lower
    /// layer of overlayfs).
    Files,
}

/// What happens to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StepKind {
    /// It comes to an absent name.
    Put,
    /// It is exchanged.
    Exchange,
    /// It is moved away.
    Take,
}

impl StepKind {
    /// The steps that replace one object by another, in order: the only place that decides it, for
    /// trees, entries and rollbacks.
    pub(crate) fn replacing(can_exchange: CanExchange) -> &'static [Self] {
        match can_exchange {
            CanExchange::Yes => &[Self::Exchange],
            CanExchange::No => &[Self::Take, Self::Put],
        }
    }

    /// What such a step does to the object that comes and the object that goes.
    pub(crate) fn act(self, new: Identity, old: Identity) -> Act {
        match self {
            Self::Put => Act::Put { new },
            Self::Exchange => Act::Exchange { new, old },
            Self::Take => Act::Take { old },
        }
    }
}

/// One entry that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CoveredEntry {
    pub(crate) path: RelPath,
    pub(crate) kind: StepKind,
}

/// Everything that changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Covered {
    pub(crate) changes: Vec<CoveredEntry>,
    /// Directories that are not planned and not moved, but whose contents are. They may end up
    /// empty.
    pub(crate) emptied: Vec<RelPath>,
}

/// Why a change cannot be covered.
#[derive(Debug, Error)]
pub enum CoverError {
    /// A directory exists where a file or a link is planned, and contains entries that are not
    /// planned.
    #[error("the directory `{0}` has entries that are not in the plan")]
    Blocked(RelPath),
    /// The target contains a name that no plan can express.
    #[error("a plan cannot name `{0}`, so it cannot be removed")]
    Unnamable(String),
    /// There are more entries than slot numbers.
    #[error("there are too many entries to number")]
    TooMany,
    /// A call of the disk failed.
    #[error("cannot look at the target")]
    Disk(#[from] FsError),
}

/// Covers what a plan changes in the target with this open root.
pub(crate) fn cover(
    fs: &dyn Fs,
    root: &Dir,
    plan: &Plan,
    grain: Grain,
) -> Result<Covered, CoverError> {
    let changed = plan.effects().filter(|(_, operation, effect)| {
        *effect != Effect::Keep && !matches!(operation.node, Node::Dir { .. })
    });
    let changing = changed.filter_map(|(_, operation, _)| operation.group.as_deref());
    let changing = changing.collect();
    let mut cover = Cover {
        fs,
        plan,
        grain,
        below: below(plan, &changing),
        changing,
        covered: Covered::default(),
    };
    cover.directory(root, None)?;
    let mut covered = cover.covered;
    // Changes of one turn are in the order of their paths.
    covered
        .changes
        .sort_by_cached_key(|change| (StepTurn::of(change, plan), change.path.clone()));
    Ok(covered)
}

/// The paths to look at, directly below each directory: what is planned or retired. Where what is
/// not planned stays, a directory is left out if nothing in it changes: what changed in it since it
/// was observed is found before the steps.
fn below(plan: &Plan, changing: &BTreeSet<&str>) -> BTreeMap<Option<RelPath>, Vec<RelPath>> {
    let is_refill = plan.publication() == Publication::Refill;
    let planned = plan.effects().filter(|(_, operation, effect)| {
        let group = operation.group.as_deref();
        let is_moved = || group.is_some_and(|group| changing.contains(group));
        let is_dir = matches!(operation.node, Node::Dir { .. });
        is_refill || *effect != Effect::Keep || (!is_dir && is_moved())
    });
    let planned = planned.map(|(path, _, _)| path);
    let mut paths = BTreeSet::new();
    for path in planned.chain(plan.retired()) {
        // The directories above a retired path need not be planned themselves.
        let mut above = Some(path.clone());
        while let Some(path) = above.filter(|path| !paths.contains(path)) {
            above = path.parent();
            paths.insert(path);
        }
    }
    let mut below: BTreeMap<Option<RelPath>, Vec<RelPath>> = BTreeMap::new();
    for path in paths {
        below.entry(path.parent()).or_default().push(path);
    }
    below
}

/// When a change takes place: the variants are in the order of the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum StepTurn {
    New,
    Exchanged,
    /// At this position of the order in the plan.
    Ordered(usize),
    Taken,
}

impl StepTurn {
    fn of(change: &CoveredEntry, plan: &Plan) -> Self {
        // A directory takes the position of the last ordered path in it.
        let in_it = |path: &RelPath| *path == change.path || path.is_below(&change.path);
        let ordered = plan.order().iter().rposition(in_it);
        match (change.kind, ordered) {
            (StepKind::Take, _) => Self::Taken,
            (StepKind::Put | StepKind::Exchange, Some(index)) => Self::Ordered(index),
            (StepKind::Put, None) => Self::New,
            (StepKind::Exchange, None) => Self::Exchanged,
        }
    }
}

/// Whether everything in a directory is planned or retired, or is bytecode that Python will write
/// again.
pub(crate) fn is_known(fs: &dyn Fs, dir: &Dir, at: &RelPath, plan: &Plan) -> Result<bool, FsError> {
    for name in fs.list(dir)? {
        let Some(path) = name.to_str().and_then(|name| at.join(name).ok()) else {
            return Ok(false);
        };
        let managed = plan.operations().contains_key(&path) || plan.retired().contains(&path);
        let is_dir = match plan.observation().paths.get(&path) {
            // Another object here since then is found before the steps, or in what was moved.
            Some(Observed::File { .. } | Observed::Symlink { .. } | Observed::Other) if managed => {
                false
            }
            Some(_) | None => fs
                .meta(dir, &name)?
                .is_some_and(|meta| meta.kind == Kind::Dir),
        };
        let passes = if is_dir {
            (managed || path.name() == "__pycache__")
                && is_known(fs, &fs.open_dir(dir, &name)?, &path, plan)?
        } else {
            managed || is_bytecode(&path)
        };
        if !passes {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_bytecode(path: &RelPath) -> bool {
    let in_cache = path
        .parent()
        .is_some_and(|parent| parent.name() == "__pycache__");
    in_cache && std::path::Path::new(path.name()).extension() == Some(OsStr::new("pyc"))
}

struct Cover<'a> {
    fs: &'a dyn Fs,
    plan: &'a Plan,
    grain: Grain,
    /// The planned and retired paths directly below each directory.
    below: BTreeMap<Option<RelPath>, Vec<RelPath>>,
    /// The groups of which a file or a link changes.
    changing: BTreeSet<&'a str>,
    covered: Covered,
}

impl Cover<'_> {
    fn directory(&mut self, dir: &Dir, at: Option<&RelPath>) -> Result<(), CoverError> {
        let known = self.below.get(&at.cloned()).cloned().unwrap_or_default();
        for path in &known {
            self.entry(dir, path)?;
        }
        if self.plan.publication() != Publication::Refill {
            return Ok(());
        }
        let planned: BTreeSet<&OsStr> = known.iter().map(|path| OsStr::new(path.name())).collect();
        for name in self.fs.list(dir)? {
            let is_engine_dir = at.is_none() && name == OsStr::new(ENGINE_DIR);
            if !is_engine_dir && !planned.contains(name.as_os_str()) {
                self.stranger(dir, at, &name)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, dir: &Dir, path: &RelPath) -> Result<(), CoverError> {
        let name = OsStr::new(path.name());
        let live = self.fs.meta(dir, name)?.map(|meta| meta.kind);
        let planned = self.plan.operations().get(path);
        let retired = self.plan.retired().contains(path);
        match (planned, live) {
            (Some(_), None) => self.add(path, StepKind::Put),
            (Some(operation), Some(Kind::Dir)) => {
                self.planned_at_dir(dir, path, operation)?;
            }
            (Some(operation), Some(_)) => {
                let group = operation.group.as_deref();
                if group.is_some_and(|group| self.changing.contains(group))
                    || effect(&operation.node, self.seen(path)) != Effect::Keep
                {
                    self.add(path, StepKind::Exchange);
                }
            }
            (None, Some(Kind::Dir)) => {
                let inner = self.fs.open_dir(dir, name)?;
                let whole = retired && self.grain == Grain::Packages;
                if whole && is_known(self.fs, &inner, path, self.plan)? {
                    self.add(path, StepKind::Take);
                } else {
                    if retired {
                        self.covered.emptied.push(path.clone());
                    }
                    self.directory(&inner, Some(path))?;
                }
            }
            (None, Some(_)) if retired => self.add(path, StepKind::Take),
            (None, _) => {}
        }
        Ok(())
    }

    /// Covers a planned path at which a directory exists.
    fn planned_at_dir(
        &mut self,
        dir: &Dir,
        path: &RelPath,
        operation: &Operation,
    ) -> Result<(), CoverError> {
        let inner = self.fs.open_dir(dir, OsStr::new(path.name()))?;
        let refill = self.plan.publication() == Publication::Refill;
        let is_dir = matches!(operation.node, Node::Dir { .. });
        // A directory that stays is not searched, however large it is.
        let is_to_go = !is_dir || refill || self.is_changed_unit(path, operation);
        let may_go = match self.grain {
            Grain::Files => false,
            Grain::Packages => is_to_go && (refill || is_known(self.fs, &inner, path, self.plan)?),
        };
        if may_go {
            self.add(path, StepKind::Exchange);
            return Ok(());
        }
        if !is_dir {
            return Err(CoverError::Blocked(path.clone()));
        }
        self.directory(&inner, Some(path))
    }

    /// Whether a directory belongs to one group, and something at or below it changes.
    fn is_changed_unit(&self, path: &RelPath, operation: &Operation) -> bool {
        if operation.group.is_none() {
            return false;
        }
        let within = |other: &RelPath| other == path || other.is_below(path);
        let planned = self.plan.operations().range(path.clone()..);
        let mut planned = planned.take_while(|(other, _)| within(other));
        let retired = self.plan.retired().range(path.clone()..);
        let mut retired = retired.take_while(|other| within(other));
        planned.any(|(other, operation)| effect(&operation.node, self.seen(other)) != Effect::Keep)
            || retired.any(|other| self.seen(other).is_some())
    }

    /// An entry that is not planned, in a target that is refilled.
    fn stranger(
        &mut self,
        dir: &Dir,
        at: Option<&RelPath>,
        name: &OsString,
    ) -> Result<(), CoverError> {
        let path = name.to_str().and_then(|name| match at {
            Some(at) => at.join(name).ok(),
            None => RelPath::new(name).ok(),
        });
        let path = path.ok_or_else(|| CoverError::Unnamable(escaped(name)))?;
        let is_dir = self
            .fs
            .meta(dir, name)?
            .is_some_and(|meta| meta.kind == Kind::Dir);
        if is_dir && self.grain == Grain::Files {
            self.covered.emptied.push(path.clone());
            return self.directory(&self.fs.open_dir(dir, name)?, Some(&path));
        }
        self.add(&path, StepKind::Take);
        Ok(())
    }

    fn seen(&self, path: &RelPath) -> Option<&Observed> {
        self.plan.observation().paths.get(path)
    }

    fn add(&mut self, path: &RelPath, kind: StepKind) {
        self.covered.changes.push(CoveredEntry {
            path: path.clone(),
            kind,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::identity::Identity;
    use crate::plan::builder::PlanBuilder;
    use crate::plan::node::{Expected, Mode, Observation};

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    /// I3: an interpreter never exists without the configuration that makes it an environment's.
    #[test]
    fn a_directory_takes_the_turn_of_the_last_path_in_it() {
        let target = if cfg!(windows) { "C:/t" } else { "/t" };
        let mut builder = PlanBuilder::new(target, Mode::SHARED_DIR).unwrap();
        builder.set_order(vec![path("cfg"), path("bin/tool")]);
        let identity = Identity {
            inode: 1,
            birth: None,
        };
        let seen = Observation {
            target: Expected::Tree {
                identity,
                names: Vec::new(),
            },
            paths: BTreeMap::new(),
        };
        let plan = builder.finish(seen, Publication::Merge).unwrap();
        let change = |text: &str, kind| CoveredEntry {
            path: path(text),
            kind,
        };
        let mut changes = [
            change("gone", StepKind::Take),
            change("bin", StepKind::Put),
            change("cfg", StepKind::Put),
            change("old", StepKind::Exchange),
            change("zero", StepKind::Put),
        ];
        changes.sort_by_key(|change| (StepTurn::of(change, &plan), change.path.clone()));
        let order: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
        assert_eq!(order, ["zero", "old", "cfg", "bin", "gone"]);
    }
}
