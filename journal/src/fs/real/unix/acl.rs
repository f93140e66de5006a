//! Which ACL of a directory is meant.
//!
//! Read next: `linux.rs`, which reads and sets both.

/// One of the two ACLs of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AclKind {
    /// Its own.
    Own,
    /// That of what is made in it.
    Default,
}
