//! The place of an image: a private directory beside it, and the rename that gives it its name.
//!
//! Promises that the name leads to the old image or to the whole new one, and that nothing is
//! replaced but an image of the same form. `../imaging.rs` has what a crash leaves.
//!
//! Read next: `layout.rs`, `filesystem.rs`, which write into it.

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use rvenv_journal::Fs;
use rvenv_journal::fs::{Dir, FsError, Kind, Rename};
use rvenv_journal::raw::remove_tree;

use super::{Format, ImageFailed, ImageRequest, Replace, disk, of_fs};
use crate::base::image_layout::MARK;
use crate::base::regular_file;

/// What the name of the private directory begins with.
const PREFIX: &str = ".rvenv-image-";
/// The names in it: the new image, and one that it replaces.
const NEW: &str = "image";
const OLD: &str = "old";
/// What the path of an archive ends with.
const ARCHIVE: &str = "tar";

/// The place of an image; the private directory goes with it.
pub(super) struct Place<'a> {
    pub(super) fs: &'a dyn Fs,
    pub(super) out: PathBuf,
    /// Whether the image is a directory.
    pub(super) is_dir: bool,
    above: Dir,
    name: OsString,
    scratch: OsString,
    scratch_dir: Dir,
    replaces: bool,
    /// Whether the private directory has the only image there is.
    has_last: Cell<bool>,
}

impl<'a> Place<'a> {
    /// Finds out whether the image may have its path, and makes the private directory.
    pub(super) fn open(fs: &'a dyn Fs, request: &ImageRequest) -> Result<Self, ImageFailed> {
        let out = request.out.clone();
        let no_name = || ImageFailed::NoName(out.clone());
        let name = out.file_name().ok_or_else(no_name)?.to_owned();
        let is_archive = out.extension() == Some(OsStr::new(ARCHIVE));
        let is_dir = request.format == Format::OciLayout && !is_archive;
        let above = fs.open_path(directory_of(&out)).map_err(of_fs(&out))?;
        let found = fs.meta(&above, &name).map_err(of_fs(&out))?;
        if let Some(found) = found {
            if request.replace == Replace::Refuse {
                return Err(ImageFailed::Exists(out));
            }
            let (is_alike, expected) = if is_dir {
                (is_layout(fs, &above, &name), "an OCI layout")
            } else {
                let form = FileForm::of(request.format);
                let is_file = found.kind == Kind::File;
                (is_file && form.is_of(&out), form.named)
            };
            if !is_alike {
                let path = out;
                return Err(ImageFailed::Foreign { path, expected });
            }
        }
        let scratch = fs.make_unique_dir(&above, PREFIX).map_err(of_fs(&out))?;
        let scratch_dir = fs.open_dir(&above, &scratch).map_err(of_fs(&out))?;
        Ok(Self {
            fs,
            is_dir,
            above,
            name,
            scratch,
            scratch_dir,
            replaces: found.is_some(),
            has_last: Cell::new(false),
            out,
        })
    }

    /// Where the image is written.
    pub(super) fn image(&self) -> PathBuf {
        self.beside(NEW)
    }

    /// Another path in the private directory.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        directory_of(&self.out).join(&self.scratch).join(name)
    }

    /// Creates a directory in the private one, with the mode that any program's directory gets.
    pub(super) fn make_dir(&self, at: &Path) -> Result<Dir, ImageFailed> {
        let failed = of_fs(&self.out);
        let above = self.fs.open_path(directory_of(at)).map_err(failed)?;
        let name = at.file_name().unwrap_or_default();
        self.fs.make_plain_dir(&above, name).map_err(failed)?;
        self.fs.open_dir(&above, name).map_err(failed)
    }

    /// Makes the entries of a directory durable.
    pub(super) fn sync_dir(&self, dir: &Dir) -> Result<(), ImageFailed> {
        self.fs.sync_dir(dir).map_err(of_fs(&self.out))
    }

    /// Gives the image its name.
    ///
    /// # Crash
    /// Before the rename, the old image or none has the name, and after it the new one; which, is
    /// certain after the fsync.
    pub(super) fn publish(&self) -> Result<(), ImageFailed> {
        self.sync_dir(&self.scratch_dir)?;
        let renamed = match (self.replaces, self.is_dir) {
            (false, _) => self.put(),
            (true, false) => self.rename(Rename::Replace),
            (true, true) => self.exchange(),
        };
        renamed.map_err(|error| {
            let taken = [ErrorKind::AlreadyExists, ErrorKind::DirectoryNotEmpty];
            if taken.contains(&error.kind()) {
                ImageFailed::Exists(self.out.clone())
            } else {
                disk(&self.out)(error.source)
            }
        })?;
        let synced = self.fs.sync_dir(&self.above);
        synced.map_err(|error| ImageFailed::Doubt {
            path: self.out.clone(),
            source: error.source,
        })
    }

    fn rename(&self, how: Rename) -> Result<(), FsError> {
        let to = self.above.at(&self.name);
        self.fs.rename(self.scratch_dir.at(NEW), to, how)
    }

    /// Where the name was absent: another process may have taken it.
    fn put(&self) -> Result<(), FsError> {
        match self.rename(Rename::NoReplace) {
            // The filesystem has no such rename: between the look and the rename is a moment.
            Err(error)
                if is_no_such_rename(&error)
                    && self.fs.meta(&self.above, &self.name)?.is_none() =>
            {
                self.rename(Rename::Replace)
            }
            renamed => renamed,
        }
    }

    fn exchange(&self) -> Result<(), FsError> {
        match self.rename(Rename::Exchange) {
            Err(error) if is_no_such_rename(&error) => {}
            renamed => return renamed,
        }
        let (at, aside) = (self.above.at(&self.name), self.scratch_dir.at(OLD));
        self.fs.rename(at, aside, Rename::Replace)?;
        self.rename(Rename::Replace).inspect_err(|_| {
            let back = self.fs.rename(aside, at, Rename::Replace);
            self.has_last.set(back.is_err());
        })
    }
}

impl Drop for Place<'_> {
    /// Deletes the private directory, and an image in it that was replaced.
    fn drop(&mut self) {
        if !self.has_last.get() {
            let _harmless = remove_tree(self.fs, &self.above, &self.scratch);
        }
    }
}

fn is_no_such_rename(error: &FsError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::PermissionDenied
    )
}

/// Whether an entry is a directory with an OCI layout.
fn is_layout(fs: &dyn Fs, above: &Dir, name: &OsStr) -> bool {
    let Ok(dir) = fs.open_dir(above, name) else {
        return false;
    };
    let marked = fs.meta(&dir, OsStr::new(MARK));
    marked.is_ok_and(|meta| meta.is_some_and(|meta| meta.kind == Kind::File))
}

/// How a file shows that it is an image of some form.
struct FileForm {
    named: &'static str,
    /// What every such file has, and where.
    magic: &'static [u8],
    at: u64,
}

impl FileForm {
    fn of(format: Format) -> Self {
        let (named, magic, at): (_, &[u8], _) = match format {
            Format::OciLayout => ("a tar archive", b"ustar", 257),
            Format::Squashfs => ("a squashfs image", b"hsqs", 0),
            Format::Erofs => ("an erofs image", &[0xe2, 0xe1, 0xf5, 0xe0], 1024),
        };
        Self { named, magic, at }
    }

    fn is_of(&self, path: &Path) -> bool {
        let mut found = vec![0; self.magic.len()];
        let read = regular_file::open(path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.at))?;
            file.read_exact(&mut found)
        });
        read.is_ok() && found == self.magic
    }
}

pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        Some(_) | None => Path::new("."),
    }
}
