//! Merging: what an existing environment keeps, gets and gives up, as a draft of a plan.
//!
//! Promises:
//! - Files that were never planned stay.
//! - A file that an earlier plan published and this one does not want is removed only if it is
//!   unchanged.
//! - A directory that is not an environment only gets what it does not have; a project's own files
//!   are never overwritten.
//! - Packages that could no longer be imported are named first.
//!
//! Does not write.
//!
//! Read next: `environment.rs`, which publishes the draft; `existing.rs`, the facts about the
//! environment.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;

use rvenv_journal::fs::{Dir, FsError, Kind, Meta};
use rvenv_journal::raw::{
    DiskError, ENGINE_DIR, Effect, Observation, Observed, PlanError, PublishedPath,
    RECEIPT_BYTES_MAX, RECEIPT_NAME, in_parallel, paired,
};
use rvenv_journal::{
    Content, Digest, Fs, Mode, Node, Operation, Plan, PlanBuilder, Publication, Receipt, RelPath,
    Target, observe,
};

use crate::build::hooks::{self, Context, Hooks};
use crate::build::pyvenv_cfg::CONFIG_NAME;
use crate::change::carry::{self, Companions};
use crate::change::existing::{Existing, ExistingError};
use crate::change::installed_inputs::{self, ReadBefore};
use crate::change::look_failed::LookFailed;
use crate::change::open_path::Walk;

mod failures;
mod kept;
mod lost_packages;
mod own_seeds;
mod owned;
mod retired;
mod source_times;
mod statements;

pub use failures::{MergeError, Overlap};
use kept::Keeper;
use lost_packages::{check_lost, lock_files, locked, seeded};
pub(crate) use lost_packages::{check_lost_by, is_seed, lost_by};
pub(crate) use own_seeds::is_own_seed;
pub use retired::Unlocked;
pub(crate) use retired::{leaving, unlocked};
pub(crate) use source_times::redate;
pub(crate) use statements::keep_statements;

/// More bytes than any real RECORD or `pyvenv.cfg` has.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// Whether packages may become impossible to import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// No: they are named, and nothing is done.
    Refuse,
    /// Yes: this run's command line allows it.
    Allow,
}

/// A draft for an existing target, the observed state, and how the draft is published.
#[derive(Debug)]
pub struct Merged {
    /// The wanted state.
    pub draft: PlanBuilder,
    /// The observed state.
    pub seen: Observation,
    /// Entry by entry, or not at all.
    pub publication: Publication,
    /// The files of distributions that were read.
    pub(crate) read: ReadBefore,
}

impl Merged {
    /// The plan.
    ///
    /// # Errors
    /// As [`PlanBuilder::finish`].
    pub fn finish(self) -> Result<Plan, PlanError> {
        self.draft.finish(self.seen, self.publication)
    }
}

/// Plans the environment of `context` into the directory at the target.
///
/// # Errors
/// See [`MergeError`].
pub fn merge(
    target: &Target<'_>,
    hooks: &dyn Hooks,
    context: &Context,
    lost: Lost,
) -> Result<Merged, MergeError> {
    let disk = LookFailed::disk(target.path());
    let root = target.root().map_err(disk)?;
    let meta = target.disk().meta_of(&root).map_err(disk)?;
    let existing = existing_at(target, &root, context.options.upgrade)?;
    let is_environment = is_environment(target.disk(), &root).map_err(disk)?;
    let fs = target.disk();
    let mut context = context.clone();
    let mut companions = Companions::default();
    if let Some(existing) = &existing {
        companions = accompany(fs, &root, existing, &mut context)?;
        check_lost(existing, &companions, lost)?;
    }
    let libs = existing.as_ref().map(|existing| &*existing.libs);
    let installed = || installed_inputs::inputs(target, &root, &context.env_dir, libs);
    let others = || {
        let draft = hooks::build(hooks, &context);
        (context.early.published(fs, &root), draft)
    };
    let (installed, (mut published, draft)) = in_parallel(fs, installed, others);
    let mut draft = draft?;
    let installed = installed.map_err(disk)?;
    let installed_names: Vec<String> = installed.iter().map(|one| one.path().to_owned()).collect();
    carry::add(&companions, &context, &mut draft)?;
    let keeper = Keeper {
        target,
        root: &root,
        context: &context,
        installed: &installed,
    };
    let seen = keeper.look(published.as_mut(), &mut draft)?;
    let receipt = published.map(|published| published.receipt);
    let read = ReadBefore::of(&installed);
    for one in installed {
        draft.add_input(one.input);
    }
    let mut merge = Merge {
        fs: target.disk(),
        target,
        root,
        receipt,
        draft,
        seen,
        context: &context,
        companions: &companions,
    };
    merge.adopt_root(meta.mode).map_err(disk)?;
    merge.recall();
    merge.adopt().map_err(disk)??;
    redate(fs, &merge.root, &mut merge.draft, &merge.seen).map_err(disk)?;
    let mut stays = BTreeSet::new();
    if is_environment {
        stays = merge.retire(existing.as_ref()).map_err(disk)??;
    }
    let (receipt, mut draft, mut seen) = (merge.receipt, merge.draft, merge.seen);
    keep_statements(receipt.as_ref(), &installed_names, &mut draft);
    let retired = look(target, &BTreeMap::new(), draft.retired()).map_err(disk)?;
    seen.paths.extend(retired.paths);
    check_occupied(target, &draft, &seen, is_environment)?;
    kept::check_frame(target, &draft, &seen)?;
    let publication = decide(&mut draft, &seen, receipt.as_ref(), &stays);
    Ok(Merged {
        draft,
        seen,
        publication,
        read,
    })
}

/// The environment at the target; `None` if there is none, or only a torn one, and none is needed.
fn existing_at(
    target: &Target<'_>,
    root: &Dir,
    is_upgrade: bool,
) -> Result<Option<Existing>, MergeError> {
    match Existing::read(target.disk(), root, target.path()) {
        Ok(existing) => Ok(Some(existing)),
        Err(ExistingError::NoConfig(path)) if is_upgrade => Err(MergeError::NoEnvironment(path)),
        Err(ExistingError::NoConfig(_)) => Ok(None),
        // A torn configuration is written anew; everything else stays.
        Err(ExistingError::Config { .. }) if !is_upgrade => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Decides what comes along to the Python of `context`, and what then is installed there.
fn accompany(
    fs: &dyn Fs,
    root: &Dir,
    existing: &Existing,
    context: &mut Context,
) -> Result<Companions, MergeError> {
    context.installed = existing.installed(&context.layout);
    let disk = LookFailed::disk(&existing.path);
    context.leaving = leaving(fs, root, existing, context).map_err(disk)?;
    let companions = companions(fs, root, existing, context);
    let mut companions = companions.map_err(LookFailed::disk(&existing.path))?;
    if context.looked_up.is_none() {
        companions.give_up("no other wheel was looked up");
    }
    // The hook that installs pip then sees one that is newer than its own.
    let carried = companions.carried.iter().map(|one| &one.distribution);
    context.installed.extend(carried.cloned());
    Ok(companions)
}

/// The fates of the distributions that the Python of `context` could not import.
pub(crate) fn companions(
    fs: &dyn Fs,
    root: &Dir,
    existing: &Existing,
    context: &Context,
) -> Result<Companions, FsError> {
    let seeded = seeded(context);
    let seeded: Vec<&str> = seeded.iter().map(String::as_str).collect();
    carry::decide(fs, root, existing, context, &seeded)
}

fn look(
    target: &Target<'_>,
    operations: &BTreeMap<RelPath, Operation>,
    retired: &BTreeSet<RelPath>,
) -> Result<Observation, FsError> {
    observe(target.disk(), target.place(), operations, retired)
}

/// Whether a directory has a `pyvenv.cfg`, which makes it an environment.
pub(crate) fn is_environment(fs: &dyn Fs, root: &Dir) -> Result<bool, FsError> {
    let config = fs.meta(root, OsStr::new(CONFIG_NAME))?;
    Ok(config.is_some_and(|meta| meta.kind == Kind::File))
}

/// Whether an environment at this root shares it with entries that existed before. The first plan
/// that finds entries in a directory which is not an environment records that in the receipt.
pub(crate) fn is_shared(
    fs: &dyn Fs,
    root: &Dir,
    receipt: Option<&Receipt>,
) -> Result<bool, FsError> {
    if let Some(receipt) = receipt {
        return Ok(receipt.is_shared);
    }
    if is_environment(fs, root)? {
        return Ok(false);
    }
    let names = fs.list(root)?;
    // A filesystem of its own comes with `lost+found`.
    let is_other = |name: &OsString| name != ENGINE_DIR && name != "lost+found";
    Ok(names.iter().any(is_other))
}

/// The receipt in an open environment, if it can be read.
pub(crate) fn receipt_in(fs: &dyn Fs, root: &Dir) -> Option<Receipt> {
    Receipt::from_json(&receipt_bytes(fs, root)?).ok()
}

/// The bytes of the receipt in an open environment, if there is one.
pub(crate) fn receipt_bytes(fs: &dyn Fs, root: &Dir) -> Option<Vec<u8>> {
    let inner = fs.open_dir(root, OsStr::new(ENGINE_DIR)).ok()?;
    let bytes = fs.read_file(&inner, OsStr::new(RECEIPT_NAME), RECEIPT_BYTES_MAX);
    bytes.ok()
}

/// Checks that a directory which is not an environment only gets what it does not have.
fn check_occupied(
    target: &Target<'_>,
    draft: &PlanBuilder,
    seen: &Observation,
    is_environment: bool,
) -> Result<(), MergeError> {
    if is_environment {
        return Ok(());
    }
    let is_dir = |path: &RelPath| matches!(seen.paths.get(path), Some(Observed::Dir { .. }));
    let changed = |(path, effect): (&RelPath, Effect)| {
        (effect == Effect::Change && !is_dir(path)).then(|| path.to_string())
    };
    let paths: Vec<String> = draft.effects(seen).filter_map(changed).collect();
    if paths.is_empty() {
        return Ok(());
    }
    Err(MergeError::Occupied {
        target: target.path().to_path_buf(),
        paths,
    })
}

/// Decides whether there is anything to publish.
///
/// A path that was planned before and no longer is must leave the receipt, except those that stay
/// with a distribution: a change for them alone would keep a generation in which nothing differs.
fn decide(
    draft: &mut PlanBuilder,
    seen: &Observation,
    receipt: Option<&Receipt>,
    stays: &BTreeSet<RelPath>,
) -> Publication {
    let keeps = draft
        .effects(seen)
        .all(|(_, effect)| effect == Effect::Keep);
    let takes = draft
        .retired()
        .iter()
        .any(|path| seen.paths.contains_key(path));
    let planned = draft.operations();
    let managed = receipt.is_some_and(|receipt| {
        let stays = |path: &&RelPath| planned.contains_key(*path) || !stays.contains(*path);
        receipt.paths.keys().filter(stays).eq(planned.keys())
    });
    if keeps && !takes && managed {
        draft.clear_retired();
        return Publication::Nothing;
    }
    Publication::Merge
}

/// A result of a search during which a system call may fail.
type Looked<T> = Result<Result<T, MergeError>, FsError>;

struct Merge<'a> {
    fs: &'a dyn Fs,
    target: &'a Target<'a>,
    root: Dir,
    /// Without what the plan keeps.
    receipt: Option<Receipt>,
    draft: PlanBuilder,
    /// What exists at the planned paths.
    seen: Observation,
    context: &'a Context,
    companions: &'a Companions,
}

impl Merge<'_> {
    /// Accepts what may stay as it is: directories with their modes, and files that the user has
    /// made their own. A replaced file gets no more permissions than the old one had.
    fn adopt(&mut self) -> Looked<()> {
        let mut adopted = Vec::new();
        let mut walk = Walk::new(self.fs, &self.root);
        for (path, operation, found) in paired(self.draft.operations(), &self.seen.paths) {
            let Some(found) = found else { continue };
            let node = &operation.node;
            let own = match (node, found) {
                (Node::Dir { .. }, Observed::Dir { mode }) => Mode::new(mode & 0o777)
                    .ok()
                    .filter(|_| operation.group.is_none())
                    .map(Own::Mode),
                // If `lib64` already is a directory, venv leaves it.
                (Node::Symlink { .. }, Observed::Dir { .. })
                    if &*operation.part == "directories" =>
                {
                    Some(Own::Leave)
                }
                (Node::Dir { .. }, found) | (_, found @ Observed::Dir { .. }) => {
                    return Ok(Err(self.blocked(path.clone(), found, node)));
                }
                (Node::File { mode, content, .. }, Observed::File { mode: old, .. }) => {
                    let kept = mode.no_wider_than(*old);
                    if kept != *mode {
                        adopted.push((path.clone(), Own::Mode(kept)));
                    }
                    self.keeps_own(&mut walk, path, content, &operation.part)?
                }
                (Node::File { .. } | Node::Symlink { .. }, _) => None,
            };
            adopted.extend(own.map(|own| (path.clone(), own)));
        }
        for (path, own) in adopted {
            match own {
                Own::Leave => {
                    self.draft.leave(&path);
                    self.seen.paths.remove(&path);
                }
                Own::Content(bytes) => {
                    self.expect(&path, &bytes);
                    self.draft.adopt_content(&path, bytes);
                }
                Own::Mode(mode) => self.draft.adopt_mode(&path, mode),
            }
        }
        Ok(Ok(()))
    }

    /// Takes over the mode of the root, and whether it is shared.
    fn adopt_root(&mut self, mode: u32) -> Result<(), FsError> {
        if let Ok(mode) = Mode::new(mode & 0o777) {
            self.draft.adopt_root_mode(mode);
        }
        if is_shared(self.fs, &self.root, self.receipt.as_ref())? {
            self.draft.share();
        }
        Ok(())
    }

    /// Records files that were published with other bytes than planned. Their length and time may
    /// be equal, since builders of wheels often give every file of every version the same time.
    fn recall(&mut self) {
        let Some(receipt) = &self.receipt else { return };
        for (path, operation, published) in paired(self.draft.operations(), &receipt.paths) {
            let Node::File {
                mtime: Some(_),
                content,
                ..
            } = &operation.node
            else {
                continue;
            };
            let Some(PublishedPath::File { digest: own, .. }) = published else {
                continue;
            };
            if *own != content.digest()
                && let Some(Observed::File { digest, .. }) = self.seen.paths.get_mut(path)
            {
                *digest = Some(*own);
            }
        }
    }

    /// Records that a file has the bytes that were read, as another observation would find them.
    fn expect(&mut self, path: &RelPath, bytes: &[u8]) {
        let planned = self.draft.operations().get(path);
        let Some(Node::File { mtime: None, .. }) = planned.map(|planned| &planned.node) else {
            // A file with a planned time is compared by its time.
            return;
        };
        if let Some(Observed::File { digest, .. }) = self.seen.paths.get_mut(path) {
            *digest = Some(Digest::of(bytes));
        }
    }

    fn blocked(&self, path: RelPath, found: &Observed, node: &Node) -> MergeError {
        MergeError::Blocked {
            target: self.target.path().to_path_buf(),
            path,
            found: match found {
                Observed::Dir { .. } => "a directory",
                Observed::File { .. } => "a file",
                Observed::Symlink { .. } => "a symbolic link",
                Observed::Other => "a special file",
            },
            wanted: match node {
                Node::Dir { .. } => "a directory",
                Node::File { .. } => "a file",
                Node::Symlink { .. } => "a symbolic link",
            },
        }
    }

    /// Finds a file that stays although other bytes are planned.
    fn keeps_own(
        &self,
        walk: &mut Walk<'_>,
        path: &RelPath,
        planned: &Content,
        part: &str,
    ) -> Result<Option<Own>, FsError> {
        let is_config = path.as_str() == CONFIG_NAME;
        let is_ignore = path.as_str() == ".gitignore";
        // As in venv, an upgrade leaves scripts that the user changed; every run leaves a changed
        // `.gitignore`.
        let is_upgraded_script = part == "scripts" && self.context.options.upgrade;
        if !(is_config || is_ignore || is_upgraded_script) {
            return Ok(None);
        }
        let Some(dir) = &walk.above(path)? else {
            return Ok(None);
        };
        let name = OsStr::new(path.name());
        let read = || match self.fs.read_file(dir, name, LIST_BYTES_MAX) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::FileTooLarge => Ok(None),
            Err(error) => Err(error),
        };
        if is_config && let Content::Inline(planned) = planned {
            let there = read()?.filter(|there| differ_by_command_only(there, planned));
            return Ok(there.map(Own::Content));
        }
        if !(is_ignore || is_upgraded_script) {
            return Ok(None);
        }
        let of_receipt = self
            .receipt
            .as_ref()
            .and_then(|receipt| receipt.paths.get(path));
        let published = match of_receipt {
            Some(PublishedPath::File { digest, len, .. }) => Some((*digest, *len)),
            Some(PublishedPath::Dir { .. } | PublishedPath::Symlink { .. }) | None => None,
        };
        let is_one_of = |found: &Meta| {
            let lens = [published.map(|(_, len)| len), Some(planned.len())];
            lens.contains(&Some(found.len))
        };
        // A file of another length is not read: it may be sparse and of any length.
        let mine = match self.fs.meta(dir, name)?.filter(is_one_of) {
            Some(_) => {
                let found = self.fs.digest_file(dir, name)?;
                published.map(|(digest, _)| digest) != Some(found) && found != planned.digest()
            }
            None => true,
        };
        Ok(mine.then_some(Own::Leave))
    }
}

/// What a plan adopts from an existing path.
enum Own {
    /// Everything: the path stays, and is no longer managed.
    Leave,
    /// The bytes of a file that is equivalent to the planned one.
    Content(Vec<u8>),
    /// Permission bits: those of a directory, or for a file no more than the old one had.
    Mode(Mode),
}

/// Whether only the `command` of a `pyvenv.cfg` differs: it records how the file came about, which
/// is no reason to write it again.
fn differ_by_command_only(there: &[u8], planned: &[u8]) -> bool {
    let lines = |bytes: &[u8]| -> Option<Vec<String>> {
        let text = std::str::from_utf8(bytes).ok()?;
        let lines = text.lines().filter(|line| !line.starts_with("command = "));
        Some(lines.map(str::to_owned).collect())
    };
    lines(there).is_some_and(|there| Some(there) == lines(planned))
}
