//! Which permission bits a directory's default ACL allows for new objects in it.
//!
//! Read next: `sharing.rs`, which parses the ACL.

use super::interface::{Dir, Fs};

/// The permission bits that the default ACL of an open directory leaves to a new object in it.
///
/// `None` if the directory has no default ACL, or one in an unknown format.
#[must_use]
pub fn left_by_acl(fs: &dyn Fs, dir: &Dir) -> Option<u32> {
    if !fs.has_default_acl(dir) {
        return None;
    }
    fs.sharing(dir).ok()?.default_acl?.leaves()
}
