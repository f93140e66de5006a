//! What the disk says about an object: its kind, its times, and which object it is.
//!
//! Read next: `interface.rs`, whose calls return it.

use crate::base::identity::Identity;

/// The kind of the object at a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link, which is never followed.
    Symlink,
    /// A FIFO, socket or device.
    Other,
}

/// A point in time, as filesystems store it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Seconds since 1970-01-01 UTC.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanos: u32,
}

/// The metadata of an object, as `lstat` reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The kind of the object.
    pub kind: Kind,
    /// Permission bits, 0 to 0o7777; on Windows 0o777 or 0o555.
    pub mode: u32,
    /// Length in bytes: of a file's content, or of a symbolic link's target.
    pub len: u64,
    /// When the content was last modified.
    pub mtime: Time,
    /// When anything about it last changed: its content, mode, owner or number of names. No program
    /// can set it. On Windows it is `mtime`.
    pub ctime: Time,
    /// User id of the owner; 0 on Windows.
    pub owner: u32,
    /// Group id; 0 on Windows.
    pub group: u32,
    /// How many names the object has.
    pub links: u64,
    /// Which object it is.
    pub identity: Identity,
}
