//! The members of a `.tar.gz`: ustar, with the extensions of POSIX and of GNU tar for long names.
//!
//! Promises to read headers one by one, since a long name may claim any length, and to refuse what
//! no source distribution has: devices, FIFOs and sparse files.

use std::fs::File;
use std::io::{self, BufReader, Read};

use ::tar::{Archive, Entry, PaxExtensions};
use flate2::read::MultiGzDecoder;

use super::{Fault, Member, Tree, broken, text};
use crate::python::printable;

/// More than any real extension of a header has.
const EXTENSION_MAX: u64 = 1 << 20;
/// How many bytes headers may have besides what is unpacked.
const HEADERS_MAX: u64 = 1 << 30;

/// What extensions say about the next member.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    mtime: Option<i64>,
}

/// Unpacks all members into a tree.
pub(super) fn list(file: File, tree: &mut Tree<'_>) -> Result<(), Fault> {
    let bounded = Bounded {
        inner: MultiGzDecoder::new(BufReader::new(file)),
        left: tree.left.saturating_add(HEADERS_MAX),
    };
    let mut archive = Archive::new(bounded);
    let entries = archive.entries().map_err(|error| broken(&error))?;
    let mut extended = Extended::default();
    for entry in entries.raw(true) {
        let mut entry = entry.map_err(|error| broken(&error))?;
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            continue;
        }
        if kind.is_pax_local_extensions() {
            extended.read(&extension(&mut entry)?)?;
        } else if kind.is_gnu_longname() {
            extended.path = Some(name(&mut entry)?);
        } else if kind.is_gnu_longlink() {
            extended.link = Some(name(&mut entry)?);
        } else {
            member(&mut entry, std::mem::take(&mut extended), tree)?;
        }
    }
    Ok(())
}

impl Extended {
    fn read(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        for one in PaxExtensions::new(bytes) {
            let one = one.map_err(|error| broken(&error))?;
            let value = one.value_bytes();
            match one.key_bytes() {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"mtime" => {
                    let text = one.value().unwrap_or_default();
                    let seconds = text.split('.').next().unwrap_or_default();
                    self.mtime = seconds.parse().ok();
                }
                // The header has no room for sizes from 8 GiB on.
                b"size" => return Err(Fault::Refused("has a file of 8 GiB or more".to_owned())),
                key if key.starts_with(b"GNU.sparse.") => return Err(sparse()),
                _ => {}
            }
        }
        Ok(())
    }
}

fn member<R: Read>(
    entry: &mut Entry<'_, R>,
    extended: Extended,
    tree: &mut Tree<'_>,
) -> Result<(), Fault> {
    let header = entry.header();
    let kind = header.entry_type();
    let name = extended
        .path
        .unwrap_or_else(|| header.path_bytes().into_owned());
    let mode = header.mode().map_err(|error| broken(&error))?;
    let mtime = header
        .mtime()
        .ok()
        .and_then(|time| i64::try_from(time).ok());
    let linked = header.link_name_bytes().map(std::borrow::Cow::into_owned);
    let linked = extended.link.or(linked).unwrap_or_default();
    let is_directory = name.ends_with(b"/");
    let Some(path) = tree.path(&name)? else {
        return Ok(());
    };
    let member = Member {
        path,
        is_executable: mode & 0o100 != 0,
        mtime: extended.mtime.or(mtime),
    };
    if kind.is_dir() || (is_directory && kind.is_file()) {
        tree.directory(&member.path)
    } else if kind.is_file() || kind.is_contiguous() {
        tree.file(&member, entry)
    } else if kind.is_symlink() {
        tree.link(member.path, &linked)
    } else if kind.is_hard_link() {
        match tree.path(&linked)? {
            Some(first) => tree.again(&member, &first),
            None => Err(Fault::Refused("has a link to a directory".to_owned())),
        }
    } else if kind.is_gnu_sparse() {
        Err(sparse())
    } else {
        let shown = printable(member.path.as_str());
        let is_special = kind.is_character_special() || kind.is_block_special() || kind.is_fifo();
        Err(Fault::Refused(if is_special {
            format!("has a device or a FIFO `{shown}`")
        } else {
            let kind = char::from(kind.as_byte()).escape_debug();
            format!("has a member `{shown}` of the unknown kind {kind}")
        }))
    }
}

fn sparse() -> Fault {
    Fault::Refused("has a sparse file".to_owned())
}

/// The name that an extension of GNU tar holds, without the zero at its end.
fn name<R: Read>(entry: &mut Entry<'_, R>) -> Result<Vec<u8>, Fault> {
    let mut name = extension(entry)?;
    if name.last() == Some(&0) {
        name.pop();
    }
    text(&name).map(String::into_bytes)
}

fn extension<R: Read>(entry: &mut Entry<'_, R>) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let limited = &mut entry.take(EXTENSION_MAX + 1);
    limited
        .read_to_end(&mut bytes)
        .map_err(|error| broken(&error))?;
    if bytes.len() as u64 > EXTENSION_MAX {
        return Err(Fault::Refused("has a header of more than 1 MiB".to_owned()));
    }
    Ok(bytes)
}

/// A reader that ends with an error after too many bytes: what is skipped is inflated too.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(into)?;
        let left = self.left.checked_sub(len as u64);
        self.left = left.ok_or_else(|| io::Error::other("it inflates to too many bytes"))?;
        Ok(len)
    }
}
