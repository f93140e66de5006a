//! The target: one name in an open directory.
//!
//! Promises that a symbolic link at the target's own name is resolved once, and that everything
//! afterwards happens in the directory that was opened then: replacing a parent with a link changes
//! nothing.
//!
//! On disk: nothing, except absent parents, which are created (and made durable) if the caller
//! requests it.
//! Read next: `place/lock.rs`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::base::watch::{Unwatched, Watch};
use crate::fs::error_place::DiskError;
use crate::fs::{Dir, Fs, FsError, Kind, Meta, NameInDir};
use crate::place::names::Names;

/// What to do about directories above the target that are absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parents {
    /// Refuse.
    Require,
    /// Create them, each durable before the next; those that are still empty when the locks are
    /// released are removed.
    Make,
}

/// One name in an open directory.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    pub(crate) fs: &'a dyn Fs,
    pub(crate) parent: Dir,
    pub(crate) name: OsString,
    pub(crate) names: Names,
    /// The observer of deletions.
    pub(crate) watch: &'a dyn Watch,
    path: PathBuf,
    /// The path that the caller opened.
    asked: PathBuf,
    /// Whether that path is a symbolic link.
    is_linked: bool,
    /// The directories that were created above the target, from the top down, each with its parent.
    made: Made,
}

/// Why a path cannot be a target.
#[derive(Debug, Error)]
pub enum TargetError {
    /// The path has no last component, as `/` has none.
    #[error("`{0}` does not end with the name of a directory")]
    NoName(PathBuf),
    /// The name is not UTF-8.
    #[error("`{0}` is not UTF-8")]
    NotUtf8(PathBuf),
    /// The parent directory is absent.
    #[error("the directory `{0}` does not exist")]
    NoParent(PathBuf),
    /// The object there is not a directory.
    #[error("`{0}` is not a directory")]
    NotADirectory(PathBuf),
    /// A symbolic link whose target does not exist.
    #[error("`{link}` is a symbolic link to `{to}`, which does not exist")]
    Dangling {
        /// The link.
        link: PathBuf,
        /// Its target.
        to: PathBuf,
    },
    /// A symbolic link to another symbolic link, which may lead anywhere.
    #[error(
        "`{link}` is a symbolic link to `{to}`, which is a symbolic link too; only one is followed"
    )]
    Chain {
        /// The link.
        link: PathBuf,
        /// Its target.
        to: PathBuf,
    },
    /// A call of the disk failed.
    #[error("cannot open the parent directory of `{path}`")]
    Disk {
        /// The target.
        path: PathBuf,
        /// Why.
        #[source]
        source: FsError,
    },
}

impl DiskError for TargetError {
    type At = Path;

    fn of_disk(place: &Path, source: FsError) -> Self {
        Self::Disk {
            path: place.to_path_buf(),
            source,
        }
    }
}

impl<'a> Target<'a> {
    /// Opens the target's parent directory and resolves a symbolic link at the target's name.
    ///
    /// # Errors
    /// Paths that cannot be a target: see [`TargetError`].
    ///
    /// # Crash
    /// With [`Parents::Make`] empty directories may remain above an absent target.
    pub fn open(fs: &'a dyn Fs, path: &Path, mut parents: Parents) -> Result<Self, TargetError> {
        let mut at = path.to_path_buf();
        let mut made = Vec::new();
        let mut is_linked = false;
        loop {
            let (above, name) = split(&at)?;
            let parent = match open_parent(fs, above, parents, &mut made) {
                // No parents are created for a link whose target does not exist.
                Err(TargetError::NoParent(_)) if is_linked => {
                    return Err(TargetError::Dangling {
                        link: path.to_path_buf(),
                        to: at,
                    });
                }
                opened => opened?,
            };
            let here = at.clone();
            let disk = TargetError::disk(&here);
            match fs.meta(&parent, name).map_err(disk)?.map(|meta| meta.kind) {
                None if is_linked => {
                    return Err(TargetError::Dangling {
                        link: path.to_path_buf(),
                        to: at,
                    });
                }
                None | Some(Kind::Dir) => {
                    let text = name
                        .to_str()
                        .ok_or_else(|| TargetError::NotUtf8(at.clone()))?;
                    let names = Names::of(text);
                    return Ok(Self {
                        fs,
                        parent,
                        name: name.to_owned(),
                        names,
                        watch: &Unwatched,
                        path: at,
                        asked: path.to_path_buf(),
                        is_linked,
                        made,
                    });
                }
                Some(Kind::Symlink) if is_linked => {
                    return Err(TargetError::Chain {
                        link: path.to_path_buf(),
                        to: at,
                    });
                }
                Some(Kind::Symlink) => {
                    is_linked = true;
                    at = above.join(fs.read_link(&parent, name).map_err(disk)?);
                    parents = Parents::Require;
                }
                Some(Kind::File | Kind::Other) => return Err(TargetError::NotADirectory(at)),
            }
        }
    }

    /// The same target with an observer, which is called during deletions of what the target no
    /// longer needs and may stop them.
    #[must_use]
    pub fn watched(self, watch: &'a dyn Watch) -> Self {
        Self { watch, ..self }
    }

    /// Whether a plan for this path is a plan for this target: it may have the path that was opened
    /// or the resolved one.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        path == self.asked || path == self.path
    }

    /// The target's path, after its own symbolic link was resolved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The symbolic link through which the target was opened, if any.
    #[must_use]
    pub fn link(&self) -> Option<&Path> {
        self.is_linked.then_some(&*self.asked)
    }

    /// The disk of the target.
    #[must_use]
    pub fn disk(&self) -> &'a dyn Fs {
        self.fs
    }

    /// The target's parent directory, and the target's name in it.
    #[must_use]
    pub fn place(&self) -> NameInDir<'_> {
        self.parent.at(&self.name)
    }

    /// Opens the directory at the target.
    ///
    /// # Errors
    /// As [`Fs::open_dir`]: `NotADirectory` also for a link.
    pub fn root(&self) -> Result<Dir, FsError> {
        self.fs.open_dir(&self.parent, &self.name)
    }

    /// Removes the directories that were created above the target, if they are empty.
    pub(crate) fn unmake_parents(&self) {
        for (above, name) in self.made.iter().rev() {
            // A directory that contains the target or anything else stays.
            if self.fs.remove_dir(above, name).is_err() {
                return;
            }
        }
    }

    /// The metadata of what exists at the target's name now.
    ///
    /// # Errors
    /// The error of the disk.
    pub fn meta(&self) -> Result<Option<Meta>, FsError> {
        self.fs.meta(&self.parent, &self.name)
    }
}

fn split(path: &Path) -> Result<(&Path, &OsStr), TargetError> {
    let no_name = || TargetError::NoName(path.to_path_buf());
    let name = path.file_name().ok_or_else(no_name)?;
    let above = path.parent().ok_or_else(no_name)?;
    Ok((
        if above.as_os_str().is_empty() {
            Path::new(".")
        } else {
            above
        },
        name,
    ))
}

/// Directories that were created, each with its parent.
type Made = Vec<(Dir, OsString)>;

fn open_parent(
    fs: &dyn Fs,
    path: &Path,
    parents: Parents,
    made: &mut Made,
) -> Result<Dir, TargetError> {
    match (fs.open_path(path), parents) {
        (Ok(dir), _) => Ok(dir),
        (Err(error), Parents::Make) if error.kind() == std::io::ErrorKind::NotFound => {
            make_parent(fs, path, made)
        }
        (Err(error), _) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(TargetError::NoParent(path.to_path_buf()))
        }
        (Err(error), _) if error.kind() == std::io::ErrorKind::NotADirectory => {
            Err(TargetError::NotADirectory(path.to_path_buf()))
        }
        (Err(source), _) => Err(TargetError::Disk {
            path: path.to_path_buf(),
            source,
        }),
    }
}

fn make_parent(fs: &dyn Fs, path: &Path, made: &mut Made) -> Result<Dir, TargetError> {
    let (above, name) = split(path)?;
    let dir = open_parent(fs, above, Parents::Make, made)?;
    let disk = TargetError::disk(path);
    match fs.make_plain_dir(&dir, name) {
        // The tree survives a power cut only if the directories above it do.
        Ok(()) => {
            made.push((dir.clone(), name.to_owned()));
            fs.sync_dir(&dir).map_err(disk)?;
        }
        // Another process that creates the same target was faster.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(disk(source)),
    }
    fs.open_path(path).map_err(disk)
}
