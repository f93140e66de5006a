//! Which object this is, whatever its name: its inode number and its birth time (btime).
//!
//! Promises that an object is recognised after a rename, and that another object with the same name
//! is not taken for it.
//! Does not promise anything across filesystems: identities are compared per name and step, never
//! looked up. The device number is not part of an identity, because it changes at reboot.
//!
//! Without a birth time (old ext4, NFS, some FUSE) the filesystem may have reused an inode number.
//! [`Identity::is_certain`] reports this, and recovery then deletes nothing.

use std::fmt;

/// When an inode was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Birth {
    /// Seconds since 1970-01-01 UTC.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanos: u32,
}

/// The identity of a filesystem object: a rename keeps it, a replacement changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// Inode number (file index on Windows).
    pub inode: u64,
    /// The birth time, if the filesystem reports one.
    pub birth: Option<Birth>,
}

impl Identity {
    /// Whether equality proves that two sightings are of one object.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.birth.is_some()
    }
}

/// The form in names of trash: `INODE-SECONDS.NANOS`, or `INODE-0` without a birth time.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.birth {
            Some(birth) => write!(f, "{}-{}.{:09}", self.inode, birth.seconds, birth.nanos),
            None => write!(f, "{}-0", self.inode),
        }
    }
}
