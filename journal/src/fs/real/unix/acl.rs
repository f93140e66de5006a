//! Which of a directory's ACLs is meant.
//!
//! Read next: `linux.rs`, which reads and sets both.

/// One of the two ACLs of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AclKind {
    /// The directory's own ACL.
    Own,
    /// The ACL that new objects in it inherit.
    Default,
}
