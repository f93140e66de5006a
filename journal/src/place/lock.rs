//! Both locks of a target: the file beside it, then the target directory itself.
//!
//! Promises that two holders never work on one target: a lock counts only if its name still leads
//! to the locked inode once the lock is held. If the holder unlinked the file meanwhile, the waiter
//! has locked a dead inode and starts over. The kernel releases a lock when its holder dies.
//! Does not promise anything between machines that share a disk without sharing locks.
//!
//! On disk meanwhile: `.N.rvenv.lock`, with a line that names the holder; it is unlinked at the
//! end.
//! Read next: `transaction/ready.rs`.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::PathBuf;

use thiserror::Error;

use crate::fs::{FsError, Held, Kind, Lock};
use crate::place::target::Target;

/// Maximum length in bytes of the line that names the holder of a lock.
const OWNER_BYTES_MAX: u64 = 4096;
/// How often in a row a lock may be on a dead inode before this process waits like any other.
const RACES_MAX: usize = 100;

/// What a waiter does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Try again: the caller has waited a while.
    Again,
    /// Stop waiting.
    GiveUp,
}

/// The locks of one target; dropping them unlinks the lock file and releases both.
#[derive(Debug)]
pub(crate) struct Locks<'a> {
    target: Target<'a>,
    sibling: Option<Held>,
    tree: Option<Held>,
    /// The holder of the last busy lock, if the system reports it.
    holder: Option<String>,
}

/// The result of trying to lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    /// The lock is held, or this filesystem does not support it.
    Held,
    /// Another process holds it.
    Busy,
    /// It was acquired, but its name now leads to another object.
    Raced,
}

/// Why a target could not be locked.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process holds it, and the caller stopped waiting.
    #[error("`{path}` is locked by {owner}")]
    Busy {
        /// The target.
        path: PathBuf,
        /// What the lock file says about its holder.
        owner: String,
    },
    /// The lock file belongs to another user, or is not a regular file.
    #[error("the lock file `{path}` belongs to user {owner}")]
    Foreign {
        /// The lock file.
        path: PathBuf,
        /// The user id of its owner.
        owner: u32,
    },
    /// The lock file has another name too: writing to it would change that file.
    #[error(
        "the lock file `{0}` has a second hard link, so writing to it would change another file"
    )]
    Linked(PathBuf),
    /// Neither the parent directory nor the target can be locked.
    #[error("cannot lock `{path}`")]
    Disk {
        /// The target.
        path: PathBuf,
        /// Why.
        #[source]
        source: FsError,
    },
    /// The filesystem does not support locks.
    #[error(
        "the filesystem of `{0}` does not support locks, so two processes could change it at once"
    )]
    NoLocks(PathBuf),
}

impl<'a> Locks<'a> {
    /// Locks a target; `pause` is called with a description of the holder each time the lock is
    /// busy.
    ///
    /// # Errors
    /// See [`LockError`].
    ///
    /// # Crash
    /// The lock file may remain; it is not locked, and the next holder unlinks it.
    pub(crate) fn take(
        target: Target<'a>,
        owner: &str,
        pause: &mut dyn FnMut(&str) -> Patience,
    ) -> Result<Self, LockError> {
        let mut locks = Self {
            target,
            sibling: None,
            tree: None,
            holder: None,
        };
        locks.acquire(owner, pause)?;
        Ok(locks)
    }

    /// Locks the directory at the target's name, if recovery has put another one there; returns
    /// whether it did.
    ///
    /// # Errors
    /// See [`LockError`].
    pub(crate) fn follow(
        &mut self,
        owner: &str,
        pause: &mut dyn FnMut(&str) -> Patience,
    ) -> Result<bool, LockError> {
        if self.are_current().map_err(|source| self.disk(source))? {
            return Ok(false);
        }
        self.tree = None;
        self.acquire(owner, pause)?;
        Ok(true)
    }

    fn acquire(
        &mut self,
        owner: &str,
        pause: &mut dyn FnMut(&str) -> Patience,
    ) -> Result<(), LockError> {
        let mut races = 0;
        loop {
            match self.try_both(owner)? {
                Attempt::Held if self.sibling.is_none() && self.tree.is_none() => {
                    return Err(LockError::NoLocks(self.path()));
                }
                Attempt::Held => return Ok(()),
                // Probably no process holds the lock on the new object, so waiting would be
                // pointless.
                Attempt::Raced if races < RACES_MAX => {
                    races += 1;
                    continue;
                }
                Attempt::Busy | Attempt::Raced => races = 0,
            }
            let owner = self.holder();
            if pause(&owner) == Patience::GiveUp {
                return Err(LockError::Busy {
                    path: self.path(),
                    owner,
                });
            }
        }
    }

    /// Whether the target's name still leads to the directory that was locked.
    pub(crate) fn are_current(&self) -> Result<bool, FsError> {
        let Some(tree) = &self.tree else {
            return Ok(true);
        };
        let locked = self.target.fs.meta_of_held(tree)?.identity;
        Ok(self.target.meta()?.map(|named| named.identity) == Some(locked))
    }

    /// The locked target.
    #[must_use]
    pub(crate) fn target(&self) -> &Target<'a> {
        &self.target
    }

    fn path(&self) -> PathBuf {
        self.target.path().to_path_buf()
    }

    /// The lock file, which is beside the target.
    fn lock_path(&self) -> PathBuf {
        self.target.path().with_file_name(self.target.names.lock())
    }

    /// Tries the lock file first. A process that cannot create one waits for the tree only, so no
    /// two processes wait for each other.
    fn try_both(&mut self, owner: &str) -> Result<Attempt, LockError> {
        if self.sibling.is_none() {
            match self.try_sibling(owner)? {
                Attempt::Held => {}
                lost @ (Attempt::Busy | Attempt::Raced) => return Ok(lost),
            }
        }
        self.try_tree()
    }

    /// Tries the lock file. A parent without write permission has none, and the lock on the target
    /// must be enough.
    fn try_sibling(&mut self, owner: &str) -> Result<Attempt, LockError> {
        let Target {
            fs, parent, names, ..
        } = &self.target;
        let name = names.lock();
        let held = match fs.hold_file(parent, OsStr::new(&name)) {
            Ok(held) => held,
            Err(error) if error.is_closed_to_writes() && self.target_is_dir()? => {
                return Ok(Attempt::Held);
            }
            Err(source) => return Err(self.foreign_or(source)?),
        };
        let meta = fs.meta_of_held(&held).map_err(|source| self.disk(source))?;
        if meta.kind != Kind::File || meta.owner != fs.user() {
            return Err(LockError::Foreign {
                path: self.lock_path(),
                owner: meta.owner,
            });
        }
        // Where any user may link another user's file, that user could make the lock file a name of
        // an important file.
        if meta.links > 1 {
            return Err(LockError::Linked(self.lock_path()));
        }
        match fs.try_lock(&held).map_err(|source| self.disk(source))? {
            Lock::Busy => {
                self.holder = fs.lock_holder(&held);
                return Ok(Attempt::Busy);
            }
            Lock::Unsupported => return Ok(Attempt::Held),
            Lock::Acquired => {}
        }
        // The previous holder unlinks the file while it holds the lock. Then this lock is on a dead
        // inode, and a third process may lock a new file of the same name.
        let named = fs
            .meta(parent, OsStr::new(&name))
            .map_err(|source| self.disk(source))?;
        if named.map(|named| named.identity) != Some(meta.identity) {
            return Ok(Attempt::Raced);
        }
        // The line only informs other processes: a full disk must not prevent recovery.
        let _courtesy = fs.write_held(&held, owner.as_bytes());
        self.sibling = Some(held);
        Ok(Attempt::Held)
    }

    /// Locks the target itself, so that a user who cannot write its parent is excluded too.
    fn try_tree(&mut self) -> Result<Attempt, LockError> {
        let Target {
            fs, parent, name, ..
        } = &self.target;
        let Some(before) = self.target.meta().map_err(|source| self.disk(source))? else {
            return Ok(Attempt::Held);
        };
        if before.kind != Kind::Dir {
            return Ok(Attempt::Held);
        }
        let opened = fs.open_dir(parent, name).and_then(|dir| fs.hold_dir(&dir));
        let held = match opened {
            Ok(held) => held,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Attempt::Raced),
            Err(source) => return Err(self.disk(source)),
        };
        match fs.try_lock(&held).map_err(|source| self.disk(source))? {
            Lock::Busy => {
                // A user who may only read the directory can lock it, but writes no line into the
                // lock file.
                self.holder = fs.lock_holder(&held);
                return Ok(Attempt::Busy);
            }
            // If there is no lock file either, there is no lock at all, and `take` refuses that.
            Lock::Unsupported => return Ok(Attempt::Held),
            Lock::Acquired => {}
        }
        let locked = fs.meta_of_held(&held).map_err(|source| self.disk(source))?;
        let named = self.target.meta().map_err(|source| self.disk(source))?;
        if named.map(|named| named.identity) != Some(locked.identity) {
            return Ok(Attempt::Raced);
        }
        self.tree = Some(held);
        Ok(Attempt::Held)
    }

    fn target_is_dir(&self) -> Result<bool, LockError> {
        let meta = self.target.meta().map_err(|source| self.disk(source))?;
        Ok(meta.is_some_and(|meta| meta.kind == Kind::Dir))
    }

    /// A lock file of another user cannot be opened: report its owner rather than "permission
    /// denied".
    fn foreign_or(&self, source: FsError) -> Result<LockError, LockError> {
        let Target {
            fs, parent, names, ..
        } = &self.target;
        let there = fs
            .meta(parent, OsStr::new(&names.lock()))
            .map_err(|source| self.disk(source))?;
        Ok(match there {
            Some(meta) if meta.kind != Kind::File || meta.owner != fs.user() => {
                LockError::Foreign {
                    path: self.lock_path(),
                    owner: meta.owner,
                }
            }
            Some(_) | None => self.disk(source),
        })
    }

    fn disk(&self, source: FsError) -> LockError {
        LockError::Disk {
            path: self.path(),
            source,
        }
    }

    /// The holder: as the system reports it, or else as the lock file does, unless that file is
    /// this process's own.
    fn holder(&self) -> String {
        if let Some(holder) = &self.holder {
            return holder.clone();
        }
        let Target {
            fs, parent, names, ..
        } = &self.target;
        let line = match self.sibling {
            None => fs.read_file(parent, OsStr::new(&names.lock()), OWNER_BYTES_MAX),
            Some(_) => return "another process".to_owned(),
        };
        let line = line.unwrap_or_default();
        let text = String::from_utf8_lossy(&line)
            .trim()
            .escape_debug()
            .to_string();
        if text.is_empty() {
            "another process".to_owned()
        } else {
            text
        }
    }
}

/// Only tidies up: a lock file that remains is not locked and does no harm.
impl Drop for Locks<'_> {
    fn drop(&mut self) {
        let Target {
            fs, parent, names, ..
        } = &self.target;
        if let Some(sibling) = &self.sibling {
            let name = names.lock();
            let ours = fs.meta_of_held(sibling).map(|meta| meta.identity);
            let named = fs.meta(parent, OsStr::new(&name));
            // Another process may have deleted this lock file and created its own.
            if let (Ok(ours), Ok(Some(named))) = (ours, named)
                && named.identity == ours
            {
                let _tidied = fs.remove_file(parent, OsStr::new(&name));
            }
        }
        self.target.unmake_parents();
    }
}
