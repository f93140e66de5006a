//! The members of a `.zip`.
//!
//! Promises to refuse encrypted members and devices, and that what is unpacked is counted by the
//! bytes that arrive, not by what headers claim.

use std::fs::File;
use std::io::{BufReader, Read as _};

use ::zip::{DateTime, ZipArchive};

use super::{Fault, Member, TARGET_MAX, Tree, broken};
use crate::python::printable;

const KIND_BITS: u32 = 0o170_000;
const KIND_REGULAR: u32 = 0o100_000;
const KIND_DIRECTORY: u32 = 0o040_000;
const KIND_LINK: u32 = 0o120_000;

/// Unpacks all members into a tree.
pub(super) fn list(file: File, tree: &mut Tree<'_>) -> Result<(), Fault> {
    let refused = |error: ::zip::result::ZipError| {
        Fault::Refused(format!("is damaged: {}", printable(&error.to_string())))
    };
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(refused)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(refused)?;
        let name = entry.name_raw().to_vec();
        let Some(path) = tree.path(&name)? else {
            continue;
        };
        let mode = entry.unix_mode().unwrap_or_default();
        let kind = mode & KIND_BITS;
        let is_directory = name.ends_with(b"/") || kind == KIND_DIRECTORY;
        let member = Member {
            path,
            is_executable: mode & 0o100 != 0,
            mtime: entry.last_modified().and_then(seconds),
        };
        match kind {
            _ if is_directory => tree.directory(&member.path)?,
            0 | KIND_REGULAR => tree.file(&member, &mut entry)?,
            KIND_LINK => {
                let mut target = Vec::new();
                let limited = &mut entry.by_ref().take(TARGET_MAX as u64 + 1);
                limited
                    .read_to_end(&mut target)
                    .map_err(|error| broken(&error))?;
                tree.link(member.path, &target)?;
            }
            _ => {
                let shown = printable(member.path.as_str());
                return Err(Fault::Refused(format!("has a device or a FIFO `{shown}`")));
            }
        }
    }
    Ok(())
}

/// Seconds since 1970, as if the time of the archive were UTC.
fn seconds(time: DateTime) -> Option<i64> {
    let (year, month, day) = (i64::from(time.year()), i64::from(time.month()), time.day());
    if !(1..=12).contains(&month) {
        return None;
    }
    // Days in the calendar of March to February, in which the leap day is the last one.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + i64::from(day)
            - 719_469;
    let clock = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60;
    Some(days * 86_400 + clock + i64::from(time.second()))
}
