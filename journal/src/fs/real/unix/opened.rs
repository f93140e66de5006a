//! An open directory, with the answers that are queried once.
//!
//! Promises that what is known of its default ACL is forgotten when the ACL changes through this
//! value.
//! Read next: `../unix.rs`.

use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use super::system;
use crate::fs::Layers;

/// A directory held open.
#[derive(Debug)]
pub(super) struct OpenDir {
    pub(super) fd: OwnedFd,
    /// Whether a default ACL replaces the umask for new objects in here, once that is known.
    default_acl: AtomicU8,
    /// Queried once, because a directory never changes its filesystem.
    layers: OnceLock<Layers>,
}

/// What is known of a default ACL.
const UNKNOWN: u8 = 0;
const ABSENT: u8 = 1;
const PRESENT: u8 = 2;

impl OpenDir {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            default_acl: AtomicU8::new(UNKNOWN),
            layers: OnceLock::new(),
        }
    }

    pub(super) fn has_default_acl(&self) -> bool {
        match self.default_acl.load(Ordering::Relaxed) {
            UNKNOWN => {
                let found = system::has_default_acl(&self.fd);
                let known = if found { PRESENT } else { ABSENT };
                self.default_acl.store(known, Ordering::Relaxed);
                found
            }
            known => known == PRESENT,
        }
    }

    /// Forgets what is known of the default ACL, which may have changed.
    pub(super) fn forget_acl(&self) {
        self.default_acl.store(UNKNOWN, Ordering::Relaxed);
    }

    pub(super) fn layers(&self) -> Layers {
        *self.layers.get_or_init(|| system::layers(&self.fd))
    }
}
