//! Why operations do not make a plan.
//!
//! Read next: `plan/builder.rs`, which refuses them.

use thiserror::Error;

use crate::base::path::RelPath;
use crate::plan::node::{Mode, ModeError, Publication};

/// Why operations do not make a plan.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PlanError {
    /// Two operations claim the same path.
    #[error("both `{first}` and `{second}` plan `{path}`")]
    Conflict {
        /// The path.
        path: RelPath,
        /// The stage that claimed it first.
        first: String,
        /// The stage that claimed it again.
        second: String,
    },
    /// Two paths are equal on a case-insensitive filesystem.
    #[error("`{first}` and `{second}` are the same name where case is ignored")]
    CaseCollision {
        /// The path that was added first.
        first: RelPath,
        /// The path that collides with it.
        second: RelPath,
    },
    /// A path's parent is planned as something other than a directory, or not at all.
    #[error("the parent directory of `{0}` is not planned")]
    NoParent(RelPath),
    /// Permission bits above 0777.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// A link without a target, or with one that no filesystem accepts.
    #[error("the target of the symbolic link `{0}` is empty, too long or contains NUL")]
    LinkTarget(RelPath),
    /// A directory whose owner could not list and search it.
    #[error(
        "the directory `{dir}` is planned with the mode {mode}, which locks out even its owner; \
         it needs at least 0500"
    )]
    Closed {
        /// Its path in the target, or the path of the target.
        dir: String,
        /// The mode.
        mode: Mode,
    },
    /// A path inside the engine's own directory.
    #[error("`{0}` is in the directory that the engine reserves for itself")]
    Reserved(RelPath),
    /// A path that is both planned and retired.
    #[error("`{0}` is both planned and to be removed")]
    Retired(RelPath),
    /// A path that is kept as it is, and planned or retired as well.
    #[error("`{0}` is both kept as it is and to be changed")]
    Kept(RelPath),
    /// Paths are kept in a plan after which only what is planned exists.
    #[error("a plan that is published by `{0:?}` cannot keep what an earlier plan published")]
    NothingKept(Publication),
    /// Paths are retired in a plan that is not published by [`Publication::Merge`].
    #[error("a plan that is published by `{0:?}` cannot remove single entries")]
    NoEntries(Publication),
    /// A root that is marked as shared, in a plan after which it has no other entries.
    #[error("a plan that is published by `{0:?}` cannot leave unplanned entries in the target")]
    NothingShared(Publication),
    /// The target's path is not absolute.
    #[error("the target `{0}` is not an absolute path")]
    Target(String),
    /// The publication does not fit the expected target.
    #[error(
        "a plan that expects the target to be {expected} cannot be published by `{publication:?}`"
    )]
    Publication {
        /// What is expected.
        expected: &'static str,
        /// How it was to be published.
        publication: Publication,
    },
}
