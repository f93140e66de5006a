//! Groups, setgid bits and ACLs of open directories.
//!
//! Promises that setting a mode never clears a setgid bit. Where a directory hands down a group
//! that the user is not in, the system sets the bit on a new directory, and the user cannot set it
//! again.
//! Does not promise anything about ACLs on systems other than Linux.
//! Read next: `linux.rs`.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Gid, Mode};

use super::acl::AclKind;
use super::stat::number;
use super::system;
use crate::fs::Sharing;

/// The bit by which a directory hands down its group.
const SETGID: u32 = 0o2000;
/// All bits that a mode can have.
const BITS: u32 = 0o7777;

pub(super) fn of(dir: &OwnedFd) -> io::Result<Sharing> {
    let stat = rustix::fs::fstat(dir)?;
    Ok(Sharing {
        group: stat.st_gid,
        is_setgid: number::<_, u32>(stat.st_mode) & SETGID != 0,
        acl: system::acl(dir, AclKind::Own)?,
        default_acl: system::acl(dir, AclKind::Default)?,
    })
}

pub(super) fn hand_down(dir: &OwnedFd, sharing: &Sharing) -> io::Result<()> {
    let stat = rustix::fs::fstat(dir)?;
    if stat.st_gid != sharing.group {
        rustix::fs::fchown(dir, None, Some(Gid::from_raw(sharing.group)))?;
    }
    let found = number::<_, u32>(stat.st_mode) & BITS;
    let bit = if sharing.is_setgid { SETGID } else { 0 };
    if found & SETGID != bit {
        set_mode(dir, found & !SETGID | bit)?;
    }
    if system::acl(dir, AclKind::Default)? != sharing.default_acl {
        system::set_acl(dir, AclKind::Default, sharing.default_acl.as_ref())?;
    }
    Ok(())
}

/// Sets the permission bits of a new directory, and keeps the setgid bit that it was created with.
pub(super) fn set_bits(dir: &OwnedFd, mode: u32) -> io::Result<()> {
    let found = number::<_, u32>(rustix::fs::fstat(dir)?.st_mode) & BITS;
    let wanted = mode | found & SETGID;
    if found == wanted {
        return Ok(());
    }
    set_mode(dir, wanted)
}

fn set_mode(dir: &OwnedFd, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::fchmod(dir, Mode::from_raw_mode(number(mode)))?)
}
