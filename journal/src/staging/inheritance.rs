//! What new objects inherit from a directory besides permission bits: its group, its setgid bit,
//! its default ACL.
//!
//! Promises that the system itself sets these: before an object is created, the stage takes over
//! what the object's final directory hands down. So nothing has to be set on single objects, and
//! nothing is removed from them.
//! Does not promise a group that the user may inherit but not set, if an entry's directory has
//! another group than the stage.
//!
//! On disk meanwhile: the stage, always of mode 0700. Read next: `staging/build.rs`,
//! `place/stage_claim.rs`.

use std::ffi::OsStr;
use std::io::ErrorKind;

use crate::base::path::RelPath;
use crate::fs::{Acl, Dir, Fs, FsError, Meta, Sharing, left_by_acl};
use crate::plan::node::Mode;

/// The bit by which a directory hands down its group.
const SETGID: u32 = 0o2000;

/// Why files of a store were copied although links were requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlinked {
    /// A link would have another group than a new file there.
    Group,
    /// A link would have another ACL than a new file there, or none.
    Acl,
}

/// The directory in which a stage is built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ground<'a> {
    /// The root of the staged tree, or the directory of the slots.
    pub(crate) root: &'a Dir,
    /// Its metadata when it had just been created.
    pub(crate) made: &'a Meta,
    /// The root of the target, which receives the entries.
    pub(crate) target: Option<&'a Dir>,
}

/// What a new file inherits in the stage, but a link to an existing file does not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    /// `None` if it is unknown.
    group: Option<u32>,
    has_acl: bool,
    /// The permission bits that the ACL leaves, if its format is known.
    leaves: Option<u32>,
}

impl Given {
    /// In a directory that is as it was created.
    pub(super) fn as_made(fs: &dyn Fs, ground: &Ground<'_>) -> Self {
        Self {
            // By whatever rule the system chose this group, new files get the same.
            group: Some(ground.made.group),
            has_acl: fs.has_default_acl(ground.root),
            leaves: left_by_acl(fs, ground.root),
        }
    }

    /// In a directory that took over what another directory hands down.
    pub(super) fn by(sharing: &Sharing, made: &Meta) -> Self {
        let was_setgid = made.mode & SETGID != 0;
        Self {
            group: match (sharing.is_setgid, was_setgid) {
                (true, _) => Some(sharing.group),
                (false, false) => Some(made.group),
                (false, true) => None,
            },
            has_acl: sharing.default_acl.is_some(),
            leaves: sharing.default_acl.as_ref().and_then(Acl::leaves),
        }
    }

    /// Why an object of a store, in the directory `from`, may not be linked here.
    pub(super) fn refuses(&self, fs: &dyn Fs, from: &Dir, object: &Meta) -> Option<Unlinked> {
        self.refuses_all_of(fs, from).or_else(|| {
            let is_same = self.is_group_of(object);
            (!is_same).then_some(Unlinked::Group)
        })
    }

    /// Why no object in the directory `from` may be linked here.
    pub(super) fn refuses_all_of(&self, fs: &dyn Fs, from: &Dir) -> Option<Unlinked> {
        // Querying each object's ACL would cost a call each. The directory in which it was created
        // shows whether it has one.
        (self.has_acl || fs.has_default_acl(from)).then_some(Unlinked::Acl)
    }

    /// The mode of a directory that no plan names: that of the planned root, unless an ACL
    /// determines it.
    pub(super) fn dir_mode(&self, root: Mode) -> Mode {
        let left = self.leaves.and_then(|bits| Mode::new(bits).ok());
        left.unwrap_or(root)
    }

    /// Whether a new file here gets an ACL.
    pub(super) fn has_acl(&self) -> bool {
        self.has_acl
    }

    /// Whether a new file here gets the group that the object has.
    pub(super) fn is_group_of(&self, object: &Meta) -> bool {
        self.group == Some(object.group)
    }
}

/// Makes the root of a stage hand down what the root that it will replace does; returns how that
/// root is shared.
///
/// # Errors
/// `PermissionDenied` for a group that the user is not in, or the error of the disk.
///
/// # Crash
/// The stage is empty, and its name still proves that the engine created it.
pub(super) fn take_over(fs: &dyn Fs, root: &Dir, old: &Dir) -> Result<Sharing, FsError> {
    let (own, kept) = (fs.sharing(root)?, fs.sharing(old)?);
    if own.group != kept.group || !own.gives_as(&kept) {
        fs.hand_down(root, &kept)?;
    }
    Ok(kept)
}

/// Gives the root of a stage its mode, and the ACL of the root that it replaces.
///
/// This happens before the barrier, so that the publication changes only names.
pub(super) fn finish_root(
    fs: &dyn Fs,
    ground: &Ground<'_>,
    mode: Mode,
    kept: Option<&Sharing>,
) -> Result<(), FsError> {
    let root = ground.root;
    let handed_down = ground.made.mode & SETGID;
    let bit = kept.map_or(handed_down, |kept| if kept.is_setgid { SETGID } else { 0 });
    if let Some(kept) = kept
        && fs.sharing(root)?.acl != kept.acl
    {
        fs.set_acl_of(root, kept.acl.as_ref())?;
    }
    // Set the mode last: its group bits are the mask of the ACL.
    fs.set_mode_of(root, mode.bits() | bit)?;
    // The system clears the setgid bit if the user is not in the group. That is an error only if
    // the root replaces another.
    let is_lost = kept.is_some() && bit != 0 && fs.meta_of(root)?.mode & bit == 0;
    if is_lost {
        return Err(FsError {
            verb: "keep the setgid bit of",
            name: ".".to_owned(),
            source: ErrorKind::PermissionDenied.into(),
        });
    }
    Ok(())
}

/// The directory of the slots; while an entry is built, it hands down what the entry's final
/// directory does.
pub(super) struct Slots<'a> {
    fs: &'a dyn Fs,
    ground: Ground<'a>,
    /// What it hands down now.
    sharing: Sharing,
    /// The previous entry.
    last: Option<RelPath>,
}

impl<'a> Slots<'a> {
    pub(super) fn new(fs: &'a dyn Fs, ground: Ground<'a>) -> Result<Self, FsError> {
        Ok(Self {
            fs,
            ground,
            sharing: fs.sharing(ground.root)?,
            last: None,
        })
    }

    /// Prepares for the entry with this path; `None` if nothing changes.
    pub(super) fn ready_for(&mut self, path: &RelPath) -> Result<Option<Given>, FsError> {
        let above = path.parent();
        let last = self.last.replace(path.clone());
        if last.is_some_and(|last| last.parent() == above) {
            return Ok(None);
        }
        let Some(dir) = self.open(above.as_ref())? else {
            // The entry is about to be stale; the check before the steps reports that.
            return Ok(None);
        };
        let wanted = self.fs.sharing(&dir)?;
        if wanted.gives_as(&self.sharing) {
            return Ok(None);
        }
        match self.fs.hand_down(self.ground.root, &wanted) {
            // The user is not in that group: then the slots keep what their own directory hands
            // down.
            Err(error) if error.is_forbidden() => return Ok(None),
            done => done?,
        }
        let given = Given::by(&wanted, self.ground.made);
        self.sharing = wanted;
        Ok(Some(given))
    }

    fn open(&self, path: Option<&RelPath>) -> Result<Option<Dir>, FsError> {
        let Some(target) = self.ground.target else {
            return Ok(None);
        };
        let mut dir = target.clone();
        for component in path.iter().flat_map(|path| path.components()) {
            dir = match self.fs.open_dir(&dir, OsStr::new(component)) {
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
                {
                    return Ok(None);
                }
                opened => opened?,
            };
        }
        Ok(Some(dir))
    }
}
