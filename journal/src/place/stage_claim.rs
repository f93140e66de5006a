//! Claiming a stage: an empty directory whose name contains its identity, from before its first
//! entry.
//!
//! Promises that the engine recognises its own stage by its name, even if no journal names it and
//! whatever it contains: another user can create a name, but not an identity. So nothing has to be
//! recorded before staging, and giving up a stage needs no journal.
//!
//! On disk meanwhile: an empty `new-X`; then `new-I-B`, with the inode number and birth time that
//! it must have. Without birth times it stays `new-X`, and a tree contains its token X.
//! Read next: `staging/build.rs`, which fills it; `recovery/recover.rs`, which deletes the stage of
//! a dead run.

use std::ffi::{OsStr, OsString};

use crate::base::identity::Identity;
use crate::base::mutant::Safeguard;
use crate::base::safeguard::{holds, perform};
use crate::base::watch::{Unwatched, Watch};
use crate::fs::named_sync::sync_dir;
use crate::fs::remove::{Leftovers, remove_watched};
use crate::fs::{Dir, Flush, FsError, Kind, Meta, NewFile, Rename};
use crate::place::record::{Durability, Form};
use crate::place::transaction_dir::TransactionDir;
use crate::plan::node::ENGINE_DIR;

/// A stage that no journal owns yet.
#[derive(Debug)]
pub(crate) struct StageClaim {
    /// The root of the staged tree, or the directory of the slots.
    pub(crate) root: Dir,
    pub(crate) identity: Identity,
    /// Its metadata when it had just been created, which shows what the parent directory handed
    /// down.
    pub(crate) made: Meta,
    /// The end of its name.
    pub(crate) token: String,
}

impl StageClaim {
    /// Creates an empty stage that proves itself from before its first entry.
    ///
    /// # Crash
    /// An empty directory, or a stage that proves itself, remains; the next run deletes it.
    pub(crate) fn make(home: &TransactionDir<'_>, durability: Durability) -> Result<Self, FsError> {
        let TransactionDir { fs, dir, names, .. } = home;
        let prefix = names.stage_prefix();
        let name = fs.make_unique_dir(dir, &prefix)?;
        let token = name.to_string_lossy();
        let token = token.strip_prefix(&prefix).unwrap_or_default().to_owned();
        let made = Self::named(home, &name, token).and_then(|stage| {
            if durability == Durability::Power {
                // If its first entries became durable before its name, nothing would prove that the
                // engine created them.
                sync_dir(*fs, dir, Safeguard::SyncOfStageName)
                    .inspect_err(|_| stage.delete(home))?;
            }
            Ok(stage)
        });
        made.inspect_err(|_| {
            // It is still empty.
            let _tidied = fs.remove_dir(dir, &name);
        })
    }

    /// Gives an empty stage the name that proves it; without a certain identity it contains its
    /// token instead.
    fn named(home: &TransactionDir<'_>, name: &OsStr, token: String) -> Result<Self, FsError> {
        let TransactionDir { fs, dir, names, .. } = home;
        let root = fs.open_dir(dir, name)?;
        let made = fs.meta_of(&root)?;
        let identity = made.identity;
        let stage = |token| Self {
            root,
            identity,
            made,
            token,
        };
        if identity.is_certain() {
            let stage = stage(identity.to_string());
            let proof = OsString::from(names.stage(&stage.token));
            perform(Safeguard::StageName, || {
                fs.rename(dir.at(name), dir.at(&proof), Rename::Replace)
            })?;
            return Ok(stage);
        }
        let stage = stage(token);
        // Slots are recognised by the random name of their directory. A tree loses that name when
        // it is published.
        if home.form == Form::Tree {
            let marked = stage.mark(home);
            marked.inspect_err(|_| stage.delete(home))?;
        }
        Ok(stage)
    }

    fn mark(&self, home: &TransactionDir<'_>) -> Result<(), FsError> {
        let fs = home.fs;
        fs.make_dir(&self.root, OsStr::new(ENGINE_DIR), 0o755)?;
        let inner = fs.open_dir(&self.root, OsStr::new(ENGINE_DIR))?;
        let marker = NewFile {
            mode: 0o600,
            mtime: None,
            bytes: b"",
            flush: Flush::Now,
        };
        fs.write_file(&inner, &marker_name(&self.token), &marker)?;
        sync_dir(fs, &inner, Safeguard::SyncOfMarkerDirs)?;
        sync_dir(fs, &self.root, Safeguard::SyncOfMarkerDirs)
    }

    /// Deletes the stage, which contains nothing but its marker.
    fn delete(&self, home: &TransactionDir<'_>) {
        let _tidied = delete(home, &self.token, &Unwatched);
    }
}

/// An empty stage that was created while the plan was made, or why there is none.
#[derive(Debug)]
pub(crate) struct EarlyClaim<'a> {
    home: TransactionDir<'a>,
    durability: Durability,
    claim: Option<Result<StageClaim, FsError>>,
}

impl<'a> EarlyClaim<'a> {
    /// Creates a stage, as [`StageClaim::make`]; dropping this value discards it.
    pub(crate) fn make(home: TransactionDir<'a>, durability: Durability) -> Self {
        let claim = Some(StageClaim::make(&home, durability));
        Self {
            home,
            durability,
            claim,
        }
    }

    /// The stage that was created early, if it has the form and the durability that are needed now.
    pub(crate) fn fitting(
        mut self,
        form: Form,
        durability: Durability,
    ) -> Option<Result<StageClaim, FsError>> {
        let fits = form == Form::Tree && durability == self.durability;
        if fits { self.claim.take() } else { None }
    }
}

impl Drop for EarlyClaim<'_> {
    fn drop(&mut self) {
        if let Some(Ok(claim)) = &self.claim {
            claim.delete(&self.home);
        }
    }
}

/// Deletes the stage with this token, which must prove itself; any remainder still does.
pub(crate) fn delete(home: &TransactionDir<'_>, token: &str, watch: &dyn Watch) -> Leftovers {
    // If the observer stopped the deletion of a tree after its token was deleted, nothing could
    // identify the rest.
    let is_named = token.contains('-');
    let watch = if is_named { watch } else { &Unwatched };
    let name = home.names.stage(token);
    remove_watched(home.fs, home.dir.at(&name), watch)
}

/// Removes the directory at the name of a stage if it is empty, or contains only the empty
/// directory for the marker.
pub(crate) fn remove_if_empty(home: &TransactionDir<'_>, token: &str) -> bool {
    let TransactionDir { fs, dir, names, .. } = home;
    let name = OsString::from(names.stage(token));
    if fs.remove_dir(dir, &name).is_ok() {
        return true;
    }
    let opened = fs.open_dir(dir, &name);
    let emptied = opened.and_then(|root| fs.remove_dir(&root, OsStr::new(ENGINE_DIR)));
    emptied.and_then(|()| fs.remove_dir(dir, &name)).is_ok()
}

/// Whether the directory at the name of a stage was created by the engine and not published,
/// whatever it contains.
///
/// Another user can create a name, but not an identity. Without birth times a tree must contain its
/// token. Slots are in a directory of the engine, under a random name, and contain replaced entries
/// only while a journal names it.
pub(crate) fn proves_itself(home: &TransactionDir<'_>, token: &str) -> Result<bool, FsError> {
    let TransactionDir { fs, dir, names, .. } = home;
    let name = OsString::from(names.stage(token));
    let Some(meta) = fs.meta(dir, &name)? else {
        return Ok(false);
    };
    if meta.kind != Kind::Dir || !holds(Safeguard::OwnerOfStage, meta.owner == fs.user()) {
        return Ok(false);
    }
    match (meta.identity.is_certain(), home.form) {
        (true, _) => {
            let is_named = meta.identity.to_string() == token;
            Ok(holds(Safeguard::IdentityOfStage, is_named))
        }
        (false, Form::Tree) => {
            let is_marked = bears_token(home, &name, token)?;
            Ok(holds(Safeguard::MarkerOfStage, is_marked))
        }
        (false, Form::Entries) => Ok(true),
    }
}

/// The name of the file that marks a staged tree on filesystems without birth times.
pub(crate) fn marker_name(token: &str) -> OsString {
    OsString::from(format!("token-{token}"))
}

/// Whether a tree contains the token of a stage, which identifies it on filesystems without birth
/// times.
pub(crate) fn bears_token(
    home: &TransactionDir<'_>,
    name: &OsStr,
    token: &str,
) -> Result<bool, FsError> {
    let TransactionDir { fs, dir, .. } = home;
    let Ok(inner) = fs
        .open_dir(dir, name)
        .and_then(|root| fs.open_dir(&root, OsStr::new(ENGINE_DIR)))
    else {
        return Ok(false);
    };
    Ok(fs.meta(&inner, &marker_name(token))?.is_some())
}
