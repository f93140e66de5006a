//! Merging: what an environment that stands there keeps, gets and gives up, as a draft of a plan.
//!
//! Promises that files which nobody planned stay; that what an earlier plan published and this one does not want is taken
//! away only as long as nobody changed it; that a directory which is no environment only gets what is absent in it (a
//! project's own files are never overwritten); and that packages which would no longer be importable are named first.
//! Does not write.
//!
//! Read next: `environment.rs`, which publishes the draft; `existing.rs`, what is known of the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::PathBuf;

use rvenv_journal::fs::{Dir, FsError, Kind, Meta};
use rvenv_journal::{
    Content, Digest, ENGINE_DIR, Effect, Fs, Mode, Node, Observation, Observed, Operation,
    PlanBuilder, PlanError, Publication, PublishedPath, RECEIPT_BYTES_MAX, RECEIPT_NAME, Receipt,
    RelPath, RelPathError, Target, counted, in_parallel, observe, paired,
};
use thiserror::Error;

use crate::build::hooks::{self, Context, StageError, Stages};
use crate::build::pyvenv_cfg::CONFIG_NAME;
use crate::change::existing::{Existing, ExistingError};
use crate::wheel;
use crate::wheel::distributions::Distribution;

mod lost_packages;
mod open_path;
mod source_times;

use lost_packages::{check_lost, seeded};
pub(crate) use lost_packages::{check_lost_by, lost_by};
use open_path::{Walk, is_as_published};
pub(crate) use source_times::redate;

/// Bytes of a RECORD or a `pyvenv.cfg`; more than any has.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// Whether packages may stop being importable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// They are named, and nothing is done.
    Refuse,
    /// They may: somebody said so on the command line of this very run.
    Allow,
}

/// Why nothing can be merged.
#[derive(Debug, Error)]
pub enum MergeError {
    /// A stage could not plan.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// Operations and target do not fit.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A name that cannot be a path.
    #[error(transparent)]
    Path(#[from] RelPathError),
    /// The environment cannot be read.
    #[error(transparent)]
    Existing(#[from] ExistingError),
    /// Something stands where a directory is planned, or a directory where something else is.
    #[error("`{path}` in `{target}` is {found}, where the environment has {wanted}")]
    Blocked {
        /// The target.
        target: PathBuf,
        /// The path below it.
        path: RelPath,
        /// What stands there.
        found: &'static str,
        /// What is planned.
        wanted: &'static str,
    },
    /// The directory is no environment, and has files where the environment would put its own.
    #[error("`{target}` is a directory that is not a virtual environment, and has files of its own where one would put its: {}", paths.join(", "))]
    Occupied {
        /// The target.
        target: PathBuf,
        /// The files.
        paths: Vec<String>,
    },
    /// Packages could not be imported any more.
    #[error("{} of `{target}` could not be imported any more: {}", counted(packages.len(), "package"), packages.join(", "))]
    Lost {
        /// The target.
        target: PathBuf,
        /// Names and versions.
        packages: Vec<String>,
    },
    /// An upgrade of something that is no environment.
    #[error("`{0}` is not a virtual environment, so there is nothing to upgrade")]
    NoEnvironment(PathBuf),
    /// The disk refused.
    #[error("cannot look at `{target}`")]
    Disk {
        /// The target.
        target: PathBuf,
        /// Why.
        #[source]
        source: FsError,
    },
}

/// A draft for a target that is there, what was seen of it, and how it is published.
#[derive(Debug)]
pub struct Merged {
    /// What shall stand there.
    pub draft: PlanBuilder,
    /// What stands there.
    pub seen: Observation,
    /// Entry by entry, or not at all.
    pub publication: Publication,
}

/// Plans the environment of `context` into the directory at the target.
///
/// # Errors
/// See [`MergeError`].
pub fn merge(
    target: &Target<'_>,
    stages: &dyn Stages,
    context: &Context,
    lost: Lost,
) -> Result<Merged, MergeError> {
    let disk = |source| MergeError::Disk {
        target: target.path().to_path_buf(),
        source,
    };
    let (parent, name) = target.place();
    let root = target.disk().open_dir(parent, name).map_err(disk)?;
    let meta = target.disk().meta_of(&root).map_err(disk)?;
    let existing = match Existing::read(target.disk(), &root, target.path()) {
        Ok(existing) => Some(existing),
        Err(ExistingError::NoConfig(path)) if context.options.upgrade => {
            return Err(MergeError::NoEnvironment(path));
        }
        Err(ExistingError::NoConfig(_)) => None,
        // A configuration that is torn is written anew; what else there is stays.
        Err(ExistingError::Config { .. }) if !context.options.upgrade => None,
        Err(error) => return Err(error.into()),
    };
    let is_environment = is_environment(target.disk(), &root).map_err(disk)?;
    let mut context = context.clone();
    if let Some(existing) = &existing {
        check_lost(existing, &context, lost)?;
        context.installed = existing.installed(&context.layout);
    }
    let fs = target.disk();
    let (receipt, draft) = in_parallel(
        fs,
        || receipt_in(fs, &root),
        || hooks::build(stages, &context),
    );
    let draft = draft?;
    let seen = look(target, draft.operations(), &BTreeSet::new()).map_err(disk)?;
    let mut merge = Merge {
        fs: target.disk(),
        target,
        root,
        receipt,
        draft,
        seen,
        context: &context,
    };
    if let Ok(mode) = Mode::new(meta.mode & 0o777) {
        merge.draft.adopt_root_mode(mode);
    }
    if is_shared(fs, &merge.root, merge.receipt.as_ref()).map_err(disk)? {
        merge.draft.share();
    }
    merge.recall();
    merge.adopt().map_err(disk)??;
    redate(fs, &merge.root, &mut merge.draft, &merge.seen).map_err(disk)?;
    if is_environment {
        merge.retire(existing.as_ref()).map_err(disk)??;
    }
    let Merge {
        draft,
        receipt,
        mut seen,
        ..
    } = merge;
    let retired = look(target, &BTreeMap::new(), draft.retired()).map_err(disk)?;
    seen.paths.extend(retired.paths);
    check_occupied(target, &draft, &seen, is_environment)?;
    Ok(decide(draft, seen, receipt.as_ref()))
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

/// Whether an environment at this root shares it with entries that existed before: the receipt says so from the first
/// plan on, which finds something in a directory that is no environment.
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
    // A filesystem of its own brings `lost+found`.
    let is_other = |name: &OsString| name != ENGINE_DIR && name != "lost+found";
    Ok(names.iter().any(is_other))
}

/// The receipt in an open environment, if it has one that can be read.
pub(crate) fn receipt_in(fs: &dyn Fs, root: &Dir) -> Option<Receipt> {
    let inner = fs.open_dir(root, OsStr::new(ENGINE_DIR)).ok()?;
    let bytes = fs.read_file(&inner, OsStr::new(RECEIPT_NAME), RECEIPT_BYTES_MAX);
    Receipt::from_json(&bytes.ok()?).ok()
}

/// A directory that is no environment only gets what is absent in it.
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

/// Whether there is anything to publish.
fn decide(mut draft: PlanBuilder, seen: Observation, receipt: Option<&Receipt>) -> Merged {
    let keeps = draft
        .effects(&seen)
        .all(|(_, effect)| effect == Effect::Keep);
    let takes = draft
        .retired()
        .iter()
        .any(|path| seen.paths.contains_key(path));
    // What was planned before and is no longer must leave the receipt.
    let managed = receipt.is_some_and(|receipt| receipt.paths.keys().eq(draft.operations().keys()));
    if keeps && !takes && managed {
        draft.clear_retired();
        return Merged {
            draft,
            seen,
            publication: Publication::Nothing,
        };
    }
    Merged {
        draft,
        seen,
        publication: Publication::Merge,
    }
}

/// A result whose disk may refuse while it is being found.
type Looked<T> = Result<Result<T, MergeError>, FsError>;

struct Merge<'a> {
    fs: &'a dyn Fs,
    target: &'a Target<'a>,
    root: Dir,
    receipt: Option<Receipt>,
    draft: PlanBuilder,
    /// What stands where something is planned.
    seen: Observation,
    context: &'a Context,
}

impl Merge<'_> {
    /// Accepts what may stay as it is: directories with their modes, files that are the user's own by now, and of every
    /// other file that others may not read it.
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
                // Where `lib64` is a directory already, venv leaves it.
                (Node::Symlink { .. }, Observed::Dir { .. })
                    if &*operation.stage == "directories" =>
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
                    self.keeps_own(&mut walk, path, (content, &operation.stage))?
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

    /// Takes note of files that were published with other bytes than are planned: length and time may be the same, as
    /// those who build wheels like to give every file of every version one time.
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

    /// Takes note that a file has the bytes that were read, as another look for them would.
    fn expect(&mut self, path: &RelPath, bytes: &[u8]) {
        let planned = self.draft.operations().get(path);
        let Some(Node::File { mtime: None, .. }) = planned.map(|planned| &planned.node) else {
            // Files with a planned time are told by that.
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

    /// Files that stay although other bytes are planned.
    fn keeps_own(
        &self,
        walk: &mut Walk<'_>,
        path: &RelPath,
        (planned, stage): (&Content, &str),
    ) -> Result<Option<Own>, FsError> {
        let is_config = path.as_str() == CONFIG_NAME;
        let is_ignore = path.as_str() == ".gitignore";
        // As venv's, an upgrade leaves scripts alone that are somebody's own; so does every run a `.gitignore`.
        let is_upgraded_script = stage == "scripts" && self.context.options.upgrade;
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
        // A file of another length is not read: it may be sparse, and of any length.
        let mine = match self.fs.meta(dir, name)?.filter(is_one_of) {
            Some(_) => {
                let found = self.fs.digest_file(dir, name)?;
                published.map(|(digest, _)| digest) != Some(found) && found != planned.digest()
            }
            None => true,
        };
        Ok(mine.then_some(Own::Leave))
    }

    /// Takes away what earlier plans and older distributions put there, and names of another version.
    fn retire(&mut self, existing: Option<&Existing>) -> Looked<()> {
        let mut retired = BTreeSet::new();
        let mut kept = BTreeSet::new();
        let site = &self.context.layout.lib_path;
        for distribution in hooks::kept_distributions(self.context) {
            kept.extend(self.listed(site, &distribution)?);
        }
        for distribution in hooks::replaced_distributions(self.context, &self.draft) {
            retired.extend(self.listed(site, &distribution)?);
        }
        if let Some(existing) = existing {
            for lib in existing.libs.iter().filter(|lib| lib.path != *site) {
                let old = lib.distributions.iter();
                for distribution in old.filter(|d| seeded(self.context).contains(&d.name.as_str()))
                {
                    retired.extend(self.listed(&lib.path, distribution)?);
                }
            }
            match existing.python.stale(&self.context.layout) {
                Ok(stale) => retired.extend(stale),
                Err(error) => return Ok(Err(error.into())),
            }
        }
        if let Some(receipt) = &self.receipt {
            let mut walk = Walk::new(self.fs, &self.root);
            for (path, published, planned) in paired(&receipt.paths, self.draft.operations()) {
                if planned.is_none()
                    && !kept.contains(path)
                    && !self.is_not_asked_for(path)
                    && is_as_published(&mut walk, path, published)?
                {
                    retired.insert(path.clone());
                }
            }
        }
        for path in retired {
            if !self.draft.operations().contains_key(&path)
                && let Err(error) = self.draft.retire(path)
            {
                return Ok(Err(error.into()));
            }
        }
        Ok(Ok(()))
    }

    /// Whether a path is absent from the plan only because an option leaves it out: as with venv, it stays.
    fn is_not_asked_for(&self, path: &RelPath) -> bool {
        let Context {
            layout, options, ..
        } = self.context;
        let of_pip = path.is_below(&layout.lib_path) || path.is_below(&layout.bin_name);
        path.as_str() == ".gitignore" || (!options.with_pip && of_pip)
    }

    /// Everything that a distribution lists, and the directories of its own that it is in.
    fn listed(
        &self,
        site: &RelPath,
        distribution: &Distribution,
    ) -> Result<BTreeSet<RelPath>, FsError> {
        let mut paths = BTreeSet::new();
        let Ok(info) = site.join(&distribution.dir) else {
            return Ok(paths);
        };
        let mut walk = Walk::new(self.fs, &self.root);
        let Some(dir) = walk.open(&info)? else {
            return Ok(paths);
        };
        let list = match self
            .fs
            .open_file(&dir, OsStr::new("RECORD"), LIST_BYTES_MAX)
        {
            Ok(list) => list,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(paths),
            Err(error) => return Err(error),
        };
        for (row, _) in wheel::record::rows(list).flatten() {
            let Some(path) = lexical(site, &row) else {
                continue;
            };
            let mut above = path.parent();
            while let Some(dir) = above.filter(|dir| dir.is_below(site)) {
                above = dir.parent();
                paths.insert(dir);
            }
            paths.insert(path);
        }
        Ok(paths)
    }
}

/// What is taken over of what stands there.
enum Own {
    /// All of it: it stays, and is no longer managed.
    Leave,
    /// The bytes of a file that is as good as the planned one.
    Content(Vec<u8>),
    /// Permission bits: those of a directory, or of a file no more than it lets others do.
    Mode(Mode),
}

/// A row of a RECORD as a path of the environment; rows that lead out of it are nobody's business.
fn lexical(site: &RelPath, row: &str) -> Option<RelPath> {
    let mut at: Vec<&str> = site.components().collect();
    if row.starts_with('/') {
        return None;
    }
    for component in row.split('/') {
        match component {
            ".." => drop(at.pop()?),
            "." | "" => {}
            name => at.push(name),
        }
    }
    RelPath::new(&at.join("/")).ok()
}

/// The `command` of a `pyvenv.cfg` tells how it came about, which is no reason to write it again.
fn differ_by_command_only(there: &[u8], planned: &[u8]) -> bool {
    let lines = |bytes: &[u8]| -> Option<Vec<String>> {
        let text = std::str::from_utf8(bytes).ok()?;
        let lines = text.lines().filter(|line| !line.starts_with("command = "));
        Some(lines.map(str::to_owned).collect())
    };
    lines(there).is_some_and(|there| Some(there) == lines(planned))
}
