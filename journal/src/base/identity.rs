//! Which object this is, whatever its name: inode number and time of birth.
//!
//! Promises that an object that was moved is recognised, and that another object at the same name is not.
//! Does not promise anything across filesystems: numbers are compared per name and step, never looked up.
//! The device number takes no part, since it changes at reboot.
//!
//! Without a time of birth (old ext4, NFS, some FUSE) an inode number may have been given out again;
//! [`Identity::is_certain`] says so, and recovery then deletes nothing.

use std::fmt;

/// When an inode was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Birth {
    /// Seconds since 1970-01-01 UTC.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanos: u32,
}

/// The identity of a filesystem object: what a rename keeps and a replacement changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// Inode number (file index on Windows).
    pub inode: u64,
    /// Time of birth, where the filesystem tells it.
    pub birth: Option<Birth>,
}

impl Identity {
    /// Whether equality proves that two sightings are of one object.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.birth.is_some()
    }
}

/// The form in names of trash: `INODE-SECONDS.NANOS`, or `INODE-0` without a time of birth.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.birth {
            Some(birth) => write!(f, "{}-{}.{:09}", self.inode, birth.seconds, birth.nanos),
            None => write!(f, "{}-0", self.inode),
        }
    }
}
