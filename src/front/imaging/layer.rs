//! One layer: a compressed tar archive of some paths of an environment, at its final path.
//!
//! Promises the same bytes for the same layer and time: entries in the order of their paths, owned
//! by root, with the modes of the plan, and a compression that writes no time and no system. Each
//! directory comes before what is in it. The directories above the environment are not in it: those
//! of the base stay as they are.
//!
//! Read next: `layout.rs`.

use std::io::{self, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder};
use rvenv_journal::raw::Hasher;
use rvenv_journal::{Digest, Mode, Node};
use tar::{Builder, EntryType, Header};

use super::bytes::PlannedFile;
use super::{ImageFailed, Subject, disk};
use crate::artifact::layers::Layer;

/// The beginning of a name that deletes another one from the layers below.
const WHITEOUT: &str = ".wh.";

/// Writes a layer; returns the digest of what it unpacks to.
pub(super) fn write(
    subject: &Subject<'_>,
    layer: &Layer,
    out: &Path,
    to: &mut dyn Write,
) -> Result<Digest, ImageFailed> {
    let disk = disk(out);
    let zipped = GzBuilder::new().write(to, Compression::default());
    let mut tar = Builder::new(Hashing::new(zipped));
    let top = subject.target.trim_start_matches('/').to_owned();
    let mut root = header(EntryType::Directory, subject.root_mode, subject.time);
    let named = tar.append_data(&mut root, format!("{top}/"), io::empty());
    named.map_err(disk)?;
    for path in &layer.paths {
        if path.name().starts_with(WHITEOUT) {
            return Err(ImageFailed::Whiteout(path.clone()));
        }
        let Some(operation) = subject.tree.get(path) else {
            continue;
        };
        let at = format!("{top}/{path}");
        match &operation.node {
            Node::Dir { mode } => {
                let mut header = header(EntryType::Directory, *mode, subject.time);
                tar.append_data(&mut header, format!("{at}/"), io::empty())
                    .map_err(disk)?;
            }
            Node::Symlink { target } => {
                let mut header = header(EntryType::Symlink, Mode::ALL, subject.time);
                tar.append_link(&mut header, &at, target).map_err(disk)?;
            }
            Node::File {
                mode,
                mtime,
                content,
            } => {
                let time = mtime.unwrap_or(subject.time);
                let mut header = header(EntryType::Regular, *mode, time);
                header.set_size(content.len());
                let (mode, mtime) = (*mode, *mtime);
                let file = PlannedFile {
                    path,
                    mode,
                    mtime,
                    content,
                };
                subject.bytes.pass(&file, &mut |reader| {
                    tar.append_data(&mut header, &at, reader).map_err(disk)
                })?;
            }
        }
    }
    let unpacked = tar.into_inner().map_err(disk)?;
    let Hashing { to, hasher, .. } = unpacked;
    to.finish().map_err(disk)?;
    Ok(hasher.finish())
}

fn header(kind: EntryType, mode: Mode, time: i64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode.bits());
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(u64::try_from(time).unwrap_or(0));
    header.set_size(0);
    header
}

/// Hashes and counts what is written.
pub(super) struct Hashing<W> {
    pub(super) to: W,
    pub(super) hasher: Hasher,
    pub(super) len: u64,
}

impl<W> Hashing<W> {
    pub(super) fn new(to: W) -> Self {
        Self {
            to,
            hasher: Hasher::default(),
            len: 0,
        }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.to.write(bytes)?;
        self.hasher.update(bytes.get(..len).unwrap_or_default());
        self.len += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
