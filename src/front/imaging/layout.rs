//! An OCI layout: a directory, or a tar archive of one, with the image of an environment.
//!
//! Promises that each blob has its digest as its name, and that the file that names the image comes
//! last. Everything is durable before the layout gets its name.
//!
//! Read next: `layer.rs`; `../../artifact/image.rs`, the texts.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::path::Path;

use rvenv_journal::Digest;
use rvenv_journal::fs::{Dir, Rename};
use tar::{EntryType, Header};

use super::base::Base;
use super::layer::{self, Hashing};
use super::place::Place;
use super::{BaseFault, ImageFailed, Imaged, Subject, disk, of_fs};
use crate::artifact::image::{Addition, CONFIG, Config, LAYER, WrittenLayer, index, manifest};
use crate::artifact::layers::layers;
use crate::artifact::manifest::{Descriptor, MANIFEST};
use crate::base::image_layout::{BLOBS, INDEX, MARK, MARK_BYTES, blobs};
use crate::base::timestamp::timestamp;

/// A blob whose digest is not known yet.
const NEW: &str = "new";
/// The size of a block of a tar archive.
const BLOCK: usize = 512;

/// Writes the layout of an environment.
pub(super) fn make(
    subject: &Subject<'_>,
    place: &Place<'_>,
    base: Option<&Base>,
) -> Result<Imaged, ImageFailed> {
    let mut layout = Layout::create(place, subject.bytes.interrupted)?;
    layout.file(MARK, MARK_BYTES)?;
    let below = base.map_or(&[][..], |base| &base.layers);
    for blob in below {
        if let Some(base) = base {
            layout.copy(base, blob)?;
        }
    }
    if let (Some(base), Some(interpreter)) = (base, subject.interpreter) {
        base.must_have(interpreter, subject.bytes.interrupted)?;
    }
    let mut written = Vec::new();
    for layer in layers(&subject.tree, below.len()) {
        let mut diff_id = None;
        let blob = layout.blob(LAYER, &mut |to| {
            diff_id = Some(layer::write(subject, &layer, &place.out, to)?);
            Ok(())
        })?;
        written.push(WrittenLayer {
            diff_id: diff_id.unwrap_or(blob.digest),
            blob,
            what: layer.what,
        });
    }
    let config = base.map_or_else(Config::default, |base| base.config.clone());
    let config = config.with(&Addition {
        target: subject.target,
        architecture: subject.architecture,
        created: &timestamp(subject.time),
        layers: &written,
    });
    let config = layout.bytes(CONFIG, &config.to_bytes())?;
    let manifest = manifest(config, below, &written).to_bytes();
    let manifest = layout.bytes(MANIFEST, &manifest)?;
    layout.file(INDEX, &index(&manifest, subject.architecture))?;
    let len = layout.finish()?;
    Ok(Imaged {
        digest: manifest.digest,
        len,
        architecture: subject.architecture,
        base_layers: below.len(),
        layers: written,
    })
}

/// A layout that is being written.
struct Layout<'a> {
    place: &'a Place<'a>,
    interrupted: &'a dyn Fn() -> bool,
    form: Form,
    /// The blobs that it has: a base may name one twice.
    written: BTreeSet<Digest>,
    len: u64,
}

enum Form {
    Dir { top: Dir, above: Dir, blobs: Dir },
    Archive(File),
}

/// What writes the bytes of a blob.
type WriteBlob<'w> = dyn FnMut(&mut dyn Write) -> Result<(), ImageFailed> + 'w;

impl<'a> Layout<'a> {
    fn create(
        place: &'a Place<'a>,
        interrupted: &'a dyn Fn() -> bool,
    ) -> Result<Self, ImageFailed> {
        let top = place.image();
        let above = top.join(BLOBS[0]);
        let form = if place.is_dir {
            Form::Dir {
                top: place.make_dir(&top)?,
                above: place.make_dir(&above)?,
                blobs: place.make_dir(&above.join(BLOBS[1]))?,
            }
        } else {
            Form::Archive(create(&top).map_err(disk(&place.out))?)
        };
        Ok(Self {
            place,
            interrupted,
            form,
            written: BTreeSet::new(),
            len: 0,
        })
    }

    /// Writes a file that is no blob.
    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), ImageFailed> {
        let disk = disk(&self.place.out);
        self.len += bytes.len() as u64;
        let written = match &mut self.form {
            Form::Dir { .. } => create(&self.place.image().join(name)).and_then(|mut file| {
                file.write_all(bytes)?;
                file.sync_all()
            }),
            Form::Archive(file) => append(file, &mut |file| {
                file.write_all(bytes)?;
                Ok((name.to_owned(), bytes.len() as u64))
            }),
        };
        written.map_err(disk)
    }

    /// Writes a blob that is in memory.
    fn bytes(&mut self, kind: &str, bytes: &[u8]) -> Result<Descriptor, ImageFailed> {
        let disk = disk(&self.place.out);
        self.blob(kind, &mut |to| to.write_all(bytes).map_err(disk))
    }

    /// Copies a blob of the base, which must have its digest.
    fn copy(&mut self, base: &Base, blob: &Descriptor) -> Result<(), ImageFailed> {
        if self.written.contains(&blob.digest) {
            return Ok(());
        }
        let disk = disk(&self.place.out);
        let mut opened = base.open(blob.digest)?.take(blob.len.saturating_add(1));
        let interrupted = self.interrupted;
        let copied = self.blob(&blob.kind, &mut |to| {
            let mut piece = vec![0; 1 << 16];
            loop {
                if interrupted() {
                    return Err(ImageFailed::Interrupted);
                }
                let len = opened
                    .read(&mut piece)
                    .map_err(|source| base.unread(blob.digest, source))?;
                if len == 0 {
                    return Ok(());
                }
                let read = piece.get(..len).unwrap_or_default();
                to.write_all(read).map_err(disk)?;
            }
        })?;
        if copied.digest == blob.digest && copied.len == blob.len {
            Ok(())
        } else {
            Err(base.fault(BaseFault::Damaged(blob.digest)))
        }
    }

    /// Writes a blob, and names it by its digest.
    fn blob(&mut self, kind: &str, write: &mut WriteBlob<'_>) -> Result<Descriptor, ImageFailed> {
        let disk = disk(&self.place.out);
        let path = blobs(&self.place.image());
        let hashed = |file: &File, write: &mut WriteBlob<'_>| {
            let mut hashing = Hashing::new(BufWriter::new(file));
            write(&mut hashing)?;
            hashing.flush().map_err(disk)?;
            let len = hashing.len;
            Ok::<_, ImageFailed>((hashing.hasher.finish(), len))
        };
        let (digest, len) = match &mut self.form {
            Form::Dir { blobs, .. } => {
                let file = create(&path.join(NEW)).map_err(disk)?;
                let (digest, len) = hashed(&file, write)?;
                file.sync_all().map_err(disk)?;
                let (from, to) = (OsStr::new(NEW), digest.to_string());
                let renamed = self
                    .place
                    .fs
                    .rename(blobs.at(from), blobs.at(&to), Rename::Replace);
                renamed.map_err(of_fs(&self.place.out))?;
                (digest, len)
            }
            Form::Archive(file) => {
                let mut done = Ok((Digest::of(b""), 0));
                let appended = append(file, &mut |file| {
                    done = hashed(file, write);
                    let (digest, len) = match &done {
                        Ok((digest, len)) => (*digest, *len),
                        Err(_) => return Err(io::Error::other("not written")),
                    };
                    Ok((format!("{}/{}/{digest}", BLOBS[0], BLOBS[1]), len))
                });
                let done = done?;
                appended.map_err(disk)?;
                done
            }
        };
        self.written.insert(digest);
        self.len += len;
        Ok(Descriptor::new(kind, digest, len))
    }

    /// Makes all of it durable; returns the number of its bytes.
    fn finish(self) -> Result<u64, ImageFailed> {
        let disk = disk(&self.place.out);
        match self.form {
            Form::Dir { top, above, blobs } => {
                for dir in [&blobs, &above, &top] {
                    self.place.sync_dir(dir)?;
                }
                Ok(self.len)
            }
            Form::Archive(mut file) => {
                let end = [0; 2 * BLOCK];
                file.write_all(&end).map_err(disk)?;
                file.sync_all().map_err(disk)?;
                file.stream_position().map_err(disk)
            }
        }
    }
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).open(path)
}

/// Appends an entry to an archive: what `write` writes, which returns its name and its length. The
/// header before it is written afterwards.
fn append(
    file: &mut File,
    write: &mut dyn FnMut(&mut File) -> io::Result<(String, u64)>,
) -> io::Result<()> {
    let start = file.stream_position()?;
    file.write_all(&[0; BLOCK])?;
    let (name, len) = write(file)?;
    let padding = len.next_multiple_of(BLOCK as u64) - len;
    io::copy(&mut io::repeat(0).take(padding), file)?;
    let end = file.stream_position()?;
    let mut header = Header::new_gnu();
    header.set_path(&name)?;
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(len);
    header.set_cksum();
    file.seek(SeekFrom::Start(start))?;
    file.write_all(header.as_bytes())?;
    file.seek(SeekFrom::Start(end))?;
    Ok(())
}
