//! The plan: which node to create at which path, as a pure value.
//!
//! Promises that a [`Plan`] is complete and consistent: every path has its parent directory, no two
//! operations claim one path, no two paths collide on a case-insensitive filesystem, no mode
//! exceeds 0777, no directory denies its owner access, and no operation touches the engine's own
//! directory (I6). Equal plans have equal bytes and equal digests (I4).
//! Does not promise that the plan still fits the disk; `prepare` checks that under the lock.
//!
//! On disk: nothing; `plan/json.rs` writes a plan down, `plan/observe.rs` reads the target.
//! Read next: `plan/node.rs` (the types), `plan/json.rs`, `plan/observe.rs`, `staging/build.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::digest::{Digest, Memo};
use crate::base::path::{RelPath, paired};
use crate::plan::error::PlanError;
use crate::plan::kept;
use crate::plan::node::{
    Content, DIR_MODE_MASK, ENGINE_DIR, Effect, Expected, Input, Mode, Node, Observation, Observed,
    Operation, Publication, PublishedPath, Statement, is_same_mode,
};
use crate::plan::operations::{self, Operations, is_reserved};

/// Collects operations, and refuses those that contradict each other.
#[derive(Clone, Debug)]
pub struct PlanBuilder {
    target: String,
    root_mode: Mode,
    inputs: Vec<Input>,
    operations: Operations,
    retired: BTreeSet<RelPath>,
    kept: BTreeMap<RelPath, PublishedPath>,
    order: Vec<RelPath>,
    is_shared: bool,
    statements: BTreeMap<Digest, Statement>,
    /// The parent that was last found or added.
    parent: Option<RelPath>,
}

/// A complete plan: a pure value with one byte form and one digest. Clones share the large parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    target: String,
    root_mode: Mode,
    publication: Publication,
    inputs: Vec<Input>,
    operations: Arc<BTreeMap<RelPath, Operation>>,
    retired: Arc<BTreeSet<RelPath>>,
    /// What an earlier plan published and this one neither changes nor looks at.
    kept: Arc<BTreeMap<RelPath, PublishedPath>>,
    order: Vec<RelPath>,
    is_shared: bool,
    observation: Arc<Observation>,
    /// Statements about files by the digests of these.
    statements: Arc<BTreeMap<Digest, Statement>>,
    /// What was asked for, in the caller's own JSON.
    request: Option<Arc<str>>,
    pub(crate) digest: Memo,
    /// The digest that does not depend on the publication or on what was observed.
    pub(crate) outcome: Memo,
}

impl PlanBuilder {
    /// Starts a plan for the tree at `target`, an absolute path, whose root directory gets
    /// `root_mode`.
    ///
    /// # Errors
    /// A target that is not absolute; a mode that denies its owner access.
    pub fn new(target: &str, root_mode: Mode) -> Result<Self, PlanError> {
        Self::with(target, root_mode, Operations::default())
    }

    /// Starts a plan with existing operations.
    pub(crate) fn with(
        target: &str,
        root_mode: Mode,
        operations: Operations,
    ) -> Result<Self, PlanError> {
        if !std::path::Path::new(target).is_absolute() {
            return Err(PlanError::Target(target.escape_debug().to_string()));
        }
        operations::check_open(root_mode, || target.to_owned())?;
        Ok(Self {
            target: target.to_owned(),
            root_mode,
            inputs: Vec::new(),
            operations,
            retired: BTreeSet::new(),
            kept: BTreeMap::new(),
            order: Vec::new(),
            is_shared: false,
            statements: BTreeMap::new(),
            parent: None,
        })
    }

    /// Adds an operation.
    ///
    /// Adding the same directory twice is one operation.
    ///
    /// # Errors
    /// A path that is already claimed, is reserved, or collides with another on a case-insensitive
    /// filesystem; a link target that no filesystem accepts; a directory that denies its owner
    /// access.
    pub fn add(&mut self, path: RelPath, operation: Operation) -> Result<(), PlanError> {
        self.operations.add(path, operation)
    }

    /// Adds the directories above `path` that no operation has added yet, under a part and a
    /// group.
    ///
    /// A directory with a group belongs to that group alone, and may be exchanged as a whole.
    ///
    /// # Errors
    /// As [`PlanBuilder::add`]; a file or a link above the path.
    pub fn add_parents(
        &mut self,
        path: &RelPath,
        part: &str,
        group: Option<&str>,
        mode: Mode,
    ) -> Result<(), PlanError> {
        // Nearly always the parent is the same as in the last call.
        let known = self.parent.as_ref().map(RelPath::as_str);
        if known.is_some() && known == path.parent_text() {
            return Ok(());
        }
        let Some(parent) = path.parent() else {
            return Ok(());
        };
        match self.operations.by_path.get(&parent).map(|of| &of.node) {
            Some(Node::Dir { .. }) => {}
            Some(Node::File { .. } | Node::Symlink { .. }) => {
                return Err(PlanError::NoParent(path.clone()));
            }
            None => {
                self.add_parents(&parent, part, group, mode)?;
                let directory = Operation {
                    part: part.into(),
                    group: group.map(Into::into),
                    node: Node::Dir { mode },
                };
                self.add(parent.clone(), directory)?;
            }
        }
        self.parent = Some(parent);
        Ok(())
    }

    /// Retires what an earlier plan published at `path`, in a publication by entries.
    ///
    /// A directory is taken only if everything in it is retired too; what is not retired stays.
    ///
    /// # Errors
    /// A path in the engine's own directory.
    pub fn retire(&mut self, path: RelPath) -> Result<(), PlanError> {
        if is_reserved(&path) {
            return Err(PlanError::Reserved(path));
        }
        self.retired.insert(path);
        Ok(())
    }

    /// Keeps what an earlier plan published at these paths: it stays as it is and stays in the
    /// receipt, without operations. What was kept before is forgotten.
    ///
    /// The publication neither looks at the paths nor changes them: the caller knows that they are
    /// as they were published. [`finish`](Self::finish) refuses a path in the engine's own
    /// directory, and one that is also planned or retired.
    pub fn keep(&mut self, kept: BTreeMap<RelPath, PublishedPath>) {
        self.kept = kept;
    }

    /// What is kept so far.
    #[must_use]
    pub fn kept(&self) -> &BTreeMap<RelPath, PublishedPath> {
        &self.kept
    }

    /// Sets the paths whose steps come after all other puts and swaps, in this order, if entries
    /// are the steps.
    ///
    /// The default order is: new entries, exchanged entries, retired entries; each by path.
    pub fn set_order(&mut self, paths: Vec<RelPath>) {
        self.order = paths;
    }

    /// Drops an operation and all operations below it: the plan then ignores what exists there.
    pub fn leave(&mut self, path: &RelPath) {
        let gone = |other: &RelPath| other == path || other.is_below(path);
        self.operations.by_path.retain(|other, _| !gone(other));
        self.operations.folded.retain(|_, other| !gone(other));
    }

    /// Gives a planned directory or file other permission bits.
    pub fn adopt_mode(&mut self, path: &RelPath, bits: Mode) {
        if let Some(Operation {
            node: Node::Dir { mode } | Node::File { mode, .. },
            ..
        }) = self.operations.by_path.get_mut(path)
        {
            *mode = bits;
        }
    }

    /// Gives a planned file the bytes that it has already.
    pub fn adopt_content(&mut self, path: &RelPath, bytes: Vec<u8>) {
        if let Some(Operation {
            node: Node::File { content, .. },
            ..
        }) = self.operations.by_path.get_mut(path)
        {
            *content = Content::Inline(bytes);
        }
    }

    /// Gives a planned file another modification time, in seconds since 1970.
    pub fn adopt_time(&mut self, path: &RelPath, seconds: i64) {
        if let Some(Operation {
            node: Node::File { mtime, .. },
            ..
        }) = self.operations.by_path.get_mut(path)
        {
            *mtime = Some(seconds);
        }
    }

    /// Clears the list of retired paths.
    pub fn clear_retired(&mut self) {
        self.retired.clear();
    }

    /// Gives the tree's root the permission bits that it has already.
    pub fn adopt_root_mode(&mut self, mode: Mode) {
        self.root_mode = mode;
    }

    /// Notes that the target's root is a directory that existed before any plan, with other entries
    /// in it.
    ///
    /// The receipt contains this note, so that a later plan can distinguish such a target from one
    /// that only plans created.
    pub fn share(&mut self) {
        self.is_shared = true;
    }

    /// Adds a file that the plan is made from; adding the same input twice has no effect.
    pub fn add_input(&mut self, input: Input) {
        if !self.inputs.contains(&input) {
            self.inputs.push(input);
        }
    }

    /// What the receipt will keep about files, by their digests.
    #[must_use]
    pub fn statements(&self) -> &BTreeMap<Digest, Statement> {
        &self.statements
    }

    /// Adds a statement about a file with this digest; the receipt keeps it.
    pub fn state(&mut self, of: Digest, statement: Statement) {
        self.statements.insert(of, statement);
    }

    /// The inputs of the plan so far.
    #[must_use]
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The operations so far, in the order of a tree walk.
    #[must_use]
    pub fn operations(&self) -> &BTreeMap<RelPath, Operation> {
        &self.operations.by_path
    }

    /// The paths whose steps come last, in their order.
    #[must_use]
    pub fn order(&self) -> &[RelPath] {
        &self.order
    }

    /// The retired paths.
    #[must_use]
    pub fn retired(&self) -> &BTreeSet<RelPath> {
        &self.retired
    }

    /// The absolute path of the tree.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What each operation would do to a target with this observation.
    pub fn effects<'a>(
        &'a self,
        seen: &'a Observation,
    ) -> impl Iterator<Item = (&'a RelPath, Effect)> {
        let pairs = paired(&self.operations.by_path, &seen.paths);
        pairs.map(|(path, operation, seen)| (path, effect(&operation.node, seen)))
    }

    /// Completes the plan with what was observed and how it is published.
    ///
    /// # Errors
    /// An operation whose parent directory is not planned, or a publication that does not fit the
    /// observation.
    pub fn finish(
        self,
        mut observation: Observation,
        publication: Publication,
    ) -> Result<Plan, PlanError> {
        if let Some(path) = self
            .retired
            .iter()
            .find(|path| self.operations.by_path.contains_key(*path))
        {
            return Err(PlanError::Retired(path.clone()));
        }
        if publication != Publication::Merge && !self.retired.is_empty() {
            return Err(PlanError::NoEntries(publication));
        }
        let leaves_others = matches!(publication, Publication::Merge | Publication::Nothing);
        if !leaves_others && !self.kept.is_empty() {
            return Err(PlanError::NothingKept(publication));
        }
        kept::check(&self.kept, &self.operations, &self.retired)?;
        if self.is_shared && !leaves_others {
            return Err(PlanError::NothingShared(publication));
        }
        self.operations.check_parents()?;
        let expected = match (&observation.target, publication) {
            (Expected::Absent, Publication::Put)
            | (
                Expected::Tree { .. },
                Publication::Replace
                | Publication::Nothing
                | Publication::Merge
                | Publication::Refill,
            ) => None,
            (
                Expected::Absent,
                Publication::Replace
                | Publication::Nothing
                | Publication::Merge
                | Publication::Refill,
            ) => Some("absent"),
            (Expected::Tree { .. }, Publication::Put) => Some("a directory"),
        };
        if let Some(expected) = expected {
            return Err(PlanError::Publication {
                expected,
                publication,
            });
        }
        if let (Expected::Tree { names, .. }, Publication::Merge) =
            (&mut observation.target, publication)
        {
            // Other entries stay, so they may appear and disappear.
            names.clear();
        }
        Ok(Plan {
            target: self.target,
            root_mode: self.root_mode,
            publication,
            inputs: self.inputs,
            operations: Arc::new(self.operations.by_path),
            retired: Arc::new(self.retired),
            kept: Arc::new(self.kept),
            order: self.order,
            is_shared: self.is_shared,
            observation: Arc::new(observation),
            statements: Arc::new(self.statements),
            request: None,
            digest: Memo::default(),
            outcome: Memo::default(),
        })
    }
}

impl Plan {
    /// The absolute path of the tree.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Permission bits of the tree's root directory.
    #[must_use]
    pub fn root_mode(&self) -> Mode {
        self.root_mode
    }

    /// How the plan is published.
    #[must_use]
    pub fn publication(&self) -> Publication {
        self.publication
    }

    /// The files outside the target that the plan was made from.
    #[must_use]
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The operations by path, in the order of a tree walk.
    #[must_use]
    pub fn operations(&self) -> &BTreeMap<RelPath, Operation> {
        &self.operations
    }

    /// The retired paths; some of them may be gone already.
    #[must_use]
    pub fn retired(&self) -> &BTreeSet<RelPath> {
        &self.retired
    }

    /// What an earlier plan published, and this one keeps without an operation.
    #[must_use]
    pub fn kept(&self) -> &BTreeMap<RelPath, PublishedPath> {
        &self.kept
    }

    /// The paths whose steps come last, in their order.
    #[must_use]
    pub fn order(&self) -> &[RelPath] {
        &self.order
    }

    /// Whether the target's root existed before any plan, with entries of its own
    /// ([`PlanBuilder::share`]).
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// The same plan for a target that turned out not to be renamable: entry by entry instead of as
    /// a whole.
    #[must_use]
    pub fn by_entries(&self) -> Self {
        let publication = match self.publication {
            Publication::Replace => Publication::Refill,
            other @ (Publication::Nothing
            | Publication::Put
            | Publication::Merge
            | Publication::Refill) => other,
        };
        Self {
            publication,
            digest: Memo::default(),
            ..self.clone()
        }
    }

    /// The same plan with a note of what was asked for, in the caller's own JSON; what is not JSON
    /// is not noted.
    ///
    /// The note is saved with the plan and is not part of its digest, so a reader must not believe
    /// it: it must plan again by the note, and compare the digests.
    #[must_use]
    pub fn with_request(self, json: &str) -> Self {
        let value: Option<serde_json::Value> = serde_json::from_str(json).ok();
        Self {
            request: value.map(|value| value.to_string().into()),
            ..self
        }
    }

    /// Statements about files that the plan was made from, by the digests of these.
    #[must_use]
    pub fn statements(&self) -> &BTreeMap<Digest, Statement> {
        &self.statements
    }

    /// The same plan with the statements of another one.
    #[must_use]
    pub fn with_statements_of(self, other: &Self) -> Self {
        let statements = Arc::clone(&other.statements);
        Self { statements, ..self }
    }

    /// The same plan with these statements and URLs in place of its own.
    pub(super) fn restated(
        mut self,
        statements: BTreeMap<Digest, Statement>,
        urls: &BTreeMap<Digest, String>,
    ) -> Self {
        for input in &mut self.inputs {
            input.url = urls.get(&input.digest).cloned();
        }
        let statements = Arc::new(statements);
        Self { statements, ..self }
    }

    /// What was asked for, if it is noted.
    #[must_use]
    pub fn request(&self) -> Option<&str> {
        self.request.as_deref()
    }

    /// The same plan, whose named inputs were found at these paths; the digest stays.
    #[must_use]
    pub fn found_at(&self, places: &BTreeMap<Digest, String>) -> Self {
        let mut moved = self.clone();
        for input in &mut moved.inputs {
            if let Some(path) = places.get(&input.digest) {
                input.found = Some(path.clone());
            }
        }
        moved
    }

    /// What the plan expects of its target.
    #[must_use]
    pub fn observation(&self) -> &Observation {
        &self.observation
    }

    /// What each operation does to its path.
    pub fn effects(&self) -> impl Iterator<Item = (&RelPath, &Operation, Effect)> {
        let pairs = paired(&self.operations, &self.observation.paths);
        pairs.map(|(path, operation, seen)| (path, operation, effect(&operation.node, seen)))
    }

    /// The names directly in the target that the publication removes.
    #[must_use]
    pub fn removed_names(&self) -> Vec<&str> {
        match (&self.observation.target, self.publication) {
            (Expected::Tree { names, .. }, Publication::Replace | Publication::Refill) => {
                let kept = |name: &str| {
                    name == ENGINE_DIR
                        || RelPath::new(name).is_ok_and(|path| self.operations.contains_key(&path))
                };
                names
                    .iter()
                    .map(String::as_str)
                    .filter(|name| !kept(name))
                    .collect()
            }
            (
                Expected::Tree { .. },
                Publication::Nothing | Publication::Put | Publication::Merge,
            )
            | (Expected::Absent, _) => Vec::new(),
        }
    }
}

/// Compares a planned node with what was observed.
///
/// A file with a planned time is compared by length and time, and by its bytes only if its digest
/// was observed.
#[must_use]
pub fn effect(node: &Node, seen: Option<&Observed>) -> Effect {
    let same = match (node, seen) {
        (_, None) => return Effect::Create,
        (Node::Dir { mode }, Some(Observed::Dir { mode: seen })) => {
            is_same_mode(mode.bits(), *seen & DIR_MODE_MASK)
        }
        (Node::Symlink { target }, Some(seen @ Observed::Symlink { .. })) => {
            seen.is_link_to(target)
        }
        (
            Node::File {
                mode,
                mtime,
                content,
            },
            Some(Observed::File {
                mode: seen,
                len,
                mtime_ns,
                digest,
                ..
            }),
        ) => {
            let content_same = || match mtime {
                Some(seconds) => {
                    let is_other = digest.is_some_and(|digest| digest != content.digest());
                    i128::from(*seconds) * 1_000_000_000 == *mtime_ns && !is_other
                }
                None => *digest == Some(content.digest()),
            };
            is_same_mode(mode.bits(), *seen) && content.len() == *len && content_same()
        }
        (Node::Dir { .. } | Node::File { .. } | Node::Symlink { .. }, Some(_)) => false,
    };
    if same { Effect::Keep } else { Effect::Change }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::Digest;
    use crate::plan::node::Content;
    use crate::plan::node::ModeError;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    fn operation(node: Node) -> Operation {
        Operation {
            part: "one".into(),
            group: None,
            node,
        }
    }

    fn dir() -> Operation {
        operation(Node::Dir {
            mode: Mode::SHARED_DIR,
        })
    }

    fn file(text: &str) -> Operation {
        let content = Content::Inline(text.into());
        operation(Node::File {
            mode: Mode::SHARED_FILE,
            mtime: None,
            content,
        })
    }

    fn builder() -> PlanBuilder {
        PlanBuilder::new(if cfg!(windows) { "C:/t" } else { "/t" }, Mode::SHARED_DIR).unwrap()
    }

    fn absent() -> Observation {
        Observation {
            target: Expected::Absent,
            paths: BTreeMap::new(),
        }
    }

    #[test]
    fn two_operations_cannot_claim_one_path() {
        let mut plan = builder();
        plan.add(path("a"), dir()).unwrap();
        plan.add(path("a"), dir()).unwrap();
        assert!(matches!(
            plan.add(path("a"), file("x")),
            Err(PlanError::Conflict { .. })
        ));
        plan.add(path("b"), file("x")).unwrap();
        assert!(matches!(
            plan.add(path("b"), file("x")),
            Err(PlanError::Conflict { .. })
        ));
    }

    #[test]
    fn a_directory_that_is_closed_to_its_owner_is_refused() {
        let target = if cfg!(windows) { "C:/t" } else { "/t" };
        for bits in [0, 0o077, 0o100, 0o400, 0o644] {
            let mode = Mode::new(bits).unwrap();
            let refused = builder().add(path("a"), operation(Node::Dir { mode }));
            assert!(matches!(refused, Err(PlanError::Closed { dir, .. }) if dir == "a"));
            let refused = PlanBuilder::new(target, mode);
            assert!(matches!(refused, Err(PlanError::Closed { dir, .. }) if dir == target));
        }
        let mode = Mode::new(0o500).unwrap();
        builder()
            .add(path("a"), operation(Node::Dir { mode }))
            .unwrap();
    }

    #[test]
    fn names_that_differ_only_in_case_are_refused() {
        for (one, other) in [("a/X", "a/x"), ("a/x", "a/X"), ("a/xY", "a/Xy"), ("É", "é")] {
            let mut plan = builder();
            plan.add(path(one), dir()).unwrap();
            plan.add(path("a/z"), dir()).unwrap();
            assert_eq!(
                plan.add(path(other), dir()),
                Err(PlanError::CaseCollision {
                    first: path(one),
                    second: path(other),
                })
            );
        }
        let mut plan = builder();
        plan.add(path("Lib"), dir()).unwrap();
        assert!(matches!(
            plan.add(path("lib"), dir()),
            Err(PlanError::CaseCollision { .. })
        ));
        assert!(matches!(
            builder().add(path(".RVENV/x"), file("")),
            Err(PlanError::Reserved(_))
        ));
    }

    #[test]
    fn every_operation_needs_a_directory_above_it() {
        let mut plan = builder();
        plan.add(path("a/b"), file("x")).unwrap();
        assert_eq!(
            plan.clone().finish(absent(), Publication::Put),
            Err(PlanError::NoParent(path("a/b")))
        );
        plan.add(path("a"), file("x")).unwrap();
        // A file is no directory, which is also noticed before the operation is added.
        assert_eq!(
            plan.add_parents(&path("a/b/c"), "one", None, Mode::SHARED_DIR),
            Err(PlanError::NoParent(path("a/b/c")))
        );
        assert_eq!(
            plan.finish(absent(), Publication::Put),
            Err(PlanError::NoParent(path("a/b")))
        );
        let mut plan = builder();
        plan.add_parents(&path("a/b/c"), "one", None, Mode::SHARED_DIR)
            .unwrap();
        plan.add(path("a/b/c"), file("x")).unwrap();
        assert_eq!(
            plan.finish(absent(), Publication::Put)
                .unwrap()
                .operations()
                .len(),
            3
        );
    }

    /// I6: a plan cannot ask for a setuid bit.
    #[test]
    fn modes_end_at_0777() {
        assert!(Mode::new(0o777).is_ok());
        assert_eq!(Mode::new(0o4755), Err(ModeError(0o4755)));
    }

    #[test]
    fn a_publication_must_fit_what_is_expected() {
        assert!(builder().finish(absent(), Publication::Replace).is_err());
        assert!(builder().finish(absent(), Publication::Nothing).is_err());
    }

    /// A directory below one with a setgid bit inherits the bit; Windows has no modes of
    /// directories.
    #[cfg(unix)]
    #[test]
    fn a_setgid_bit_is_no_change_of_a_directory() {
        let Operation { node, .. } = dir();
        let seen = |mode| Observed::Dir { mode };
        assert_eq!(effect(&node, Some(&seen(0o2755))), Effect::Keep);
        assert_eq!(effect(&node, Some(&seen(0o2775))), Effect::Change);
    }

    #[test]
    fn a_file_without_planned_time_is_kept_only_when_its_bytes_are_known_to_be_the_same() {
        let Operation { node, .. } = file("x");
        let seen = |digest| Observed::File {
            mode: 0o644,
            len: 1,
            mtime_ns: 5,
            inode: 1,
            digest,
        };
        assert_eq!(effect(&node, None), Effect::Create);
        assert_eq!(effect(&node, Some(&seen(None))), Effect::Change);
        assert_eq!(
            effect(&node, Some(&seen(Some(Digest::of(b"y"))))),
            Effect::Change
        );
        assert_eq!(
            effect(&node, Some(&seen(Some(Digest::of(b"x"))))),
            Effect::Keep
        );
        assert_eq!(effect(&node, Some(&Observed::Other)), Effect::Change);
    }
}
