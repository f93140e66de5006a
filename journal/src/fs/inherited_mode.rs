//! Which permission bits a directory leaves to what is made in it.
//!
//! Read next: `sharing.rs`, which reads the ACL.

use super::interface::{Dir, Fs};

/// The permission bits that the default ACL of an open directory leaves to a new object in it; `None` where it has none, or
/// one of a form that is not known.
#[must_use]
pub fn left_by_acl(fs: &dyn Fs, dir: &Dir) -> Option<u32> {
    if !fs.has_default_acl(dir) {
        return None;
    }
    fs.sharing(dir).ok()?.default_acl?.leaves()
}
