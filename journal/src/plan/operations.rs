//! The operations of a plan while they are collected.
//!
//! Promises that no two operations claim one path, that no two paths collide on a case-insensitive
//! filesystem, that none is in the engine's own directory, and that each name of a part or group
//! is in memory once.
//! Does not promise that each has its parent directory, until [`Operations::check_parents`] has
//! checked it.
//!
//! Read next: `plan/builder.rs`.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::path::RelPath;
use crate::plan::error::PlanError;
use crate::plan::node::{ENGINE_DIR, LINK_BYTES_MAX, Mode, Node, Operation};

/// Operations that do not contradict each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operations {
    pub(super) by_path: BTreeMap<RelPath, Operation>,
    /// The planned paths whose case-folded form differs, by that form.
    pub(super) folded: BTreeMap<RelPath, RelPath>,
    /// The names of parts and groups, of which a large plan has few: each is in memory once.
    words: BTreeSet<Arc<str>>,
}

impl Operations {
    /// As [`PlanBuilder::add`](crate::PlanBuilder::add).
    pub(crate) fn add(&mut self, path: RelPath, mut operation: Operation) -> Result<(), PlanError> {
        if is_reserved(&path) {
            return Err(PlanError::Reserved(path));
        }
        if let Node::Symlink { target } = &operation.node
            && (target.is_empty() || target.len() > LINK_BYTES_MAX || target.contains('\0'))
        {
            return Err(PlanError::LinkTarget(path));
        }
        if let Node::Dir { mode } = operation.node {
            check_open(mode, || path.as_str().to_owned())?;
        }
        if let Some(occupant) = self.occupant(&path) {
            if matches!(occupant.node, Node::Dir { .. }) && occupant.node == operation.node {
                return Ok(());
            }
            return Err(PlanError::Conflict {
                path,
                first: occupant.part.to_string(),
                second: operation.part.to_string(),
            });
        }
        if let Some(first) = self.fold(&path) {
            return Err(PlanError::CaseCollision {
                first,
                second: path,
            });
        }
        self.share(&mut operation.part);
        if let Some(group) = &mut operation.group {
            self.share(group);
        }
        self.by_path.insert(path, operation);
        Ok(())
    }

    /// The operation that already claims a path. Most paths come in order, and nothing claims a
    /// path after the last one.
    fn occupant(&self, path: &RelPath) -> Option<&Operation> {
        let (last, operation) = self.by_path.last_key_value()?;
        match path.cmp(last) {
            Ordering::Greater => None,
            Ordering::Equal => Some(operation),
            Ordering::Less => self.by_path.get(path),
        }
    }

    /// Records the case-folded form of a path, or returns the path that has the same form.
    fn fold(&mut self, path: &RelPath) -> Option<RelPath> {
        let Some(folded) = path.folded_to_another() else {
            return self.folded.get(path).cloned();
        };
        if self.by_path.contains_key(&folded) {
            return Some(folded);
        }
        self.folded.insert(folded, path.clone())
    }

    /// The planned path that is the same name as this one on a case-insensitive filesystem, and is
    /// spelled otherwise.
    pub(super) fn other_spelling(&self, path: &RelPath) -> Option<RelPath> {
        let Some(folded) = path.folded_to_another() else {
            return self.folded.get(path).cloned();
        };
        if self.by_path.contains_key(&folded) {
            return Some(folded);
        }
        self.folded.get(&folded).cloned()
    }

    fn share(&mut self, word: &mut Arc<str>) {
        match self.words.get(word) {
            Some(known) => *word = Arc::clone(known),
            None => drop(self.words.insert(Arc::clone(word))),
        }
    }

    /// Checks that each operation's parent is planned. In the order of a tree walk the directories
    /// above a path are those seen last.
    pub(super) fn check_parents(&self) -> Result<(), PlanError> {
        let mut above: Vec<&RelPath> = Vec::new();
        for (path, operation) in &self.by_path {
            while above.last().is_some_and(|dir| !path.is_below(dir)) {
                above.pop();
            }
            if path.parent_text() != above.last().map(|dir| dir.as_str()) {
                return Err(PlanError::NoParent(path.clone()));
            }
            if matches!(operation.node, Node::Dir { .. }) {
                above.push(path);
            }
        }
        Ok(())
    }
}

/// Refuses a directory that could not be opened again: its contents could never be compared with
/// the plan.
pub(super) fn check_open(mode: Mode, name: impl FnOnce() -> String) -> Result<(), PlanError> {
    const READ_AND_SEARCH: u32 = 0o500;
    if mode.bits() & READ_AND_SEARCH == READ_AND_SEARCH {
        Ok(())
    } else {
        Err(PlanError::Closed { dir: name(), mode })
    }
}

pub(super) fn is_reserved(path: &RelPath) -> bool {
    let first = path.components().next();
    // Most names do not begin with a dot, and need no case folding.
    first.is_some_and(|first| first.starts_with('.') && first.to_lowercase() == ENGINE_DIR)
}
