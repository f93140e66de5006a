//! Distributions that stay as they are, without an operation: a sync costs what it changes.
//!
//! A supply without a file ([`Supply::installed`]) names a wheel that the receipt states. Promises
//! that its distribution is kept only if the plan of the whole would change nothing of it: the
//! receipt has that wheel, its RECORD is the published one, it is noted as it would be noted now,
//! and every path that it lists is as it was published, by kind, mode, length and time. A file
//! without a planned time counts as unchanged if it is older than the receipt, since nothing may
//! write to it before the receipt exists; else its bytes are compared. If anything differs, or the
//! frame around the packages changes, the plan is refused, and the caller plans every file.
//!
//! Does not write. Read next: `retired.rs`; `../../front/unchanged.rs`, which leaves files out.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;

use rvenv_journal::fs::Dir;
use rvenv_journal::raw::{DiskError, Effect, Observation, PublishedPath, RECEIPT_NAME, paired};
use rvenv_journal::{Digest, Node, PlanBuilder, Receipt, RelPath, Target, observe};

use super::{Looked, MergeError};
use crate::base::early_look::Published;
use crate::build::hooks::Context;
use crate::build::supply::Supply;
use crate::change::installed_inputs::InstalledInput;
use crate::change::look_failed::LookFailed;
use crate::change::open_path::{Walk, is_as_published, lexical};
use crate::python::bytecode::path::is_compiled;
use crate::wheel::distributions::Distribution;
use crate::wheel::record::{plain_rows, written_hash};
use crate::wheel::{self, INSTALLER, Named};

/// Finds what a plan keeps.
pub(super) struct Keeper<'a> {
    pub(super) target: &'a Target<'a>,
    pub(super) root: &'a Dir,
    pub(super) context: &'a Context,
    pub(super) installed: &'a [InstalledInput],
}

impl Keeper<'_> {
    /// Looks at every path that is planned, and takes what is to be kept out of the receipt into
    /// the plan.
    ///
    /// # Errors
    /// [`MergeError::NotKept`] if something of it is not as it was published.
    pub(super) fn look(
        &self,
        published: Option<&mut Published>,
        draft: &mut PlanBuilder,
    ) -> Result<Observation, MergeError> {
        let disk = LookFailed::disk(self.target.path());
        let (fs, place) = (self.target.disk(), self.target.place());
        let mut all = self.context.supplies.iter();
        if all.any(|supply| supply.installed.is_some()) {
            let published = published.ok_or_else(|| self.not_kept(RECEIPT_NAME))?;
            let mut is_kept = self.listed(&published.receipt)?;
            self.check(published, &mut is_kept, draft).map_err(disk)??;
            let receipt = &mut published.receipt;
            let paths = std::mem::take(&mut receipt.paths);
            let (mut kept, mut others) = (Vec::new(), Vec::new());
            for (one, is_kept) in paths.into_iter().zip(is_kept) {
                let side = if is_kept { &mut kept } else { &mut others };
                side.push(one);
            }
            receipt.paths = others.into_iter().collect();
            draft.keep(kept.into_iter().collect());
        }
        Ok(observe(fs, place, draft.operations(), &BTreeSet::new()).map_err(disk)?)
    }

    fn not_kept(&self, what: &str) -> MergeError {
        not_kept(self.target, what)
    }

    /// Which paths of the receipt belong to what is kept, in its order: what the RECORDs list, and
    /// the directories above.
    fn listed(&self, receipt: &Receipt) -> Result<Vec<bool>, MergeError> {
        let mut marked = Marked::of(receipt, &self.context.layout.lib_path);
        let mut stay = BTreeSet::new();
        for supply in &self.context.supplies {
            if let Some(digest) = supply.installed {
                let kept = self.mark(supply, digest, receipt, &mut marked);
                let kept = kept.ok_or_else(|| self.not_kept(&supply.wheel.to_string_lossy()))?;
                stay.insert(&*kept.dir);
            }
        }
        // A file that two distributions have is as the plan of both made it: without one of them it
        // may have another time.
        let mut others = self.context.installed.iter();
        let shares = |other: &&Distribution| {
            !stay.contains(&*other.dir) && {
                let list = self.list(other).unwrap_or_default();
                let mut rows = wheel::record::rows(list).flatten();
                rows.any(|(row, _)| marked.has(&row))
            }
        };
        if let Some(other) = others.find(shares) {
            return Err(self.not_kept(&other.dir));
        }
        Ok(marked.with_directories(receipt))
    }

    /// Marks what a distribution lists; `None` if the plan of the whole would change it.
    fn mark(
        &self,
        supply: &Supply,
        digest: Digest,
        receipt: &Receipt,
        marked: &mut Marked<'_>,
    ) -> Option<&Distribution> {
        let stated = receipt.statements.get(&digest)?;
        let named = Named::of(&supply.wheel)?;
        let mut all = self.context.installed.iter();
        let mut all = all.by_ref().filter(|one| one.name == named.name);
        let distribution = all.next().filter(|one| one.version == named.version)?;
        if all.next().is_some() || Path::new(&stated.file) != supply.wheel {
            return None;
        }
        let site = &self.context.layout.lib_path;
        let list = site.join(&format!("{}/RECORD", distribution.dir)).ok()?;
        let rows = plain_rows(self.published_list(&list, receipt)?)?;
        let mut notes = Notes::default();
        for (row, hash) in rows {
            marked.mark(row)?;
            notes.take(distribution, row, hash);
        }
        (notes == Notes::of(supply)).then_some(distribution)
    }

    /// The bytes of a RECORD that is as the receipt has it, with the mode that it would get now.
    fn published_list(&self, list: &RelPath, receipt: &Receipt) -> Option<&[u8]> {
        let PublishedPath::File { mode, digest, .. } = receipt.paths.get(list)? else {
            return None;
        };
        let found = self.at(list)?;
        let is_same = found.input.digest == *digest && *mode == self.context.data_mode().bits();
        is_same.then_some(&*found.bytes)
    }

    /// The bytes of the RECORD of a distribution.
    fn list(&self, distribution: &Distribution) -> Option<&[u8]> {
        let site = &self.context.layout.lib_path;
        let list = site.join(&format!("{}/RECORD", distribution.dir)).ok()?;
        self.at(&list).map(|found| &*found.bytes)
    }

    fn at(&self, list: &RelPath) -> Option<&InstalledInput> {
        let path = self.context.absolute(list);
        self.installed.iter().find(|one| one.path() == path)
    }

    /// Checks that what is kept is as it was published, and that no file of it is planned. A
    /// directory that is planned too is looked at as planned, and not kept.
    fn check(
        &self,
        published: &mut Published,
        is_kept: &mut [bool],
        draft: &PlanBuilder,
    ) -> Looked<()> {
        let fs = self.target.disk();
        let unchanged = published.unchanged(fs, self.root)?;
        let both = paired(&published.receipt.paths, draft.operations());
        let mut walk = Walk::new(fs, self.root);
        for (((path, published, planned), is_kept), unchanged) in both.zip(is_kept).zip(unchanged) {
            let is_same = match planned.map(|planned| &planned.node) {
                _ if !*is_kept => continue,
                None => match unchanged {
                    Some(is_same) => is_same,
                    None => is_as_published(&mut walk, path, published)?,
                },
                Some(Node::Dir { .. }) => {
                    *is_kept = false;
                    continue;
                }
                Some(Node::File { .. } | Node::Symlink { .. }) => false,
            };
            if !is_same {
                return Ok(Err(self.not_kept(path.as_str())));
            }
        }
        Ok(Ok(()))
    }
}

/// The files of a receipt, by their paths in its order, and which of them are kept.
struct Marked<'r> {
    site: &'r RelPath,
    /// Where each file below the directory of packages is in the order, by the rest of its path, as
    /// a RECORD has it.
    inside: Vec<(&'r str, usize)>,
    /// Where the other files are, by their paths.
    outside: Vec<(&'r str, usize)>,
    /// Where the row after the last one is among `inside`: a RECORD is in nearly the same order.
    next: Cell<usize>,
    is_kept: Vec<bool>,
}

impl<'r> Marked<'r> {
    fn of(receipt: &'r Receipt, site: &'r RelPath) -> Self {
        let mut marked = Self {
            site,
            inside: Vec::new(),
            outside: Vec::new(),
            next: Cell::new(0),
            is_kept: vec![false; receipt.paths.len()],
        };
        for (place, (path, published)) in receipt.paths.iter().enumerate() {
            let below = path.as_str().strip_prefix(site.as_str());
            let row = below.and_then(|below| below.strip_prefix('/'));
            match (published, row) {
                (PublishedPath::File { .. }, Some(row)) => {
                    marked.inside.push((row, place));
                }
                (PublishedPath::File { .. }, None) => {
                    marked.outside.push((path.as_str(), place));
                }
                (PublishedPath::Dir { .. } | PublishedPath::Symlink { .. }, _) => {}
            }
        }
        // The order of a receipt is that of its components.
        marked.inside.sort_unstable();
        marked.outside.sort_unstable();
        marked
    }

    /// Marks the file of a row; `None` if the receipt does not have it, or if it is bytecode, which
    /// the plan of the whole would not have.
    fn mark(&mut self, row: &str) -> Option<()> {
        let place = self.place(row)?;
        *self.is_kept.get_mut(place)? = true;
        (!is_compiled(row)).then_some(())
    }

    /// Whether the file of a row is marked.
    fn has(&self, row: &str) -> bool {
        let place = self.place(row);
        place.is_some_and(|place| self.is_kept.get(place) == Some(&true))
    }

    fn place(&self, row: &str) -> Option<usize> {
        if row.starts_with("..") {
            let row = lexical(self.site, row)?;
            let at = search(&self.outside, row.as_str())?;
            return self.outside.get(at).map(|(_, place)| *place);
        }
        let next = self.next.get();
        let at = match self.inside.get(next) {
            Some((path, _)) if *path == row => next,
            Some(_) | None => search(&self.inside, row)?,
        };
        self.next.set(at + 1);
        self.inside.get(at).map(|(_, place)| *place)
    }

    /// What is marked, with the directories above each.
    fn with_directories(mut self, receipt: &Receipt) -> Vec<bool> {
        // The directories above the current path that are not among the kept ones yet.
        let mut above: Vec<(usize, &RelPath)> = Vec::new();
        for (place, (path, published)) in receipt.paths.iter().enumerate() {
            while above.last().is_some_and(|(_, dir)| !path.is_below(dir)) {
                above.pop();
            }
            if matches!(published, PublishedPath::Dir { .. }) {
                above.push((place, path));
            } else if self.is_kept.get(place) == Some(&true) {
                for (dir, _) in above.drain(..) {
                    if let Some(is_kept) = self.is_kept.get_mut(dir) {
                        *is_kept = true;
                    }
                }
            }
        }
        self.is_kept
    }
}

/// Where a path is among sorted ones.
fn search(sorted: &[(&str, usize)], path: &str) -> Option<usize> {
    let found = sorted.binary_search_by(|(other, _)| (*other).cmp(path));
    found.ok()
}

/// What a RECORD says about how its distribution was asked for, as hashes in its own form.
#[derive(Debug, Default, PartialEq, Eq)]
struct Notes {
    installer: Option<String>,
    is_requested: bool,
    direct_url: Option<String>,
}

impl Notes {
    /// What would be noted now.
    fn of(supply: &Supply) -> Self {
        let installer = format!("{INSTALLER}\n");
        let direct_url = supply.direct_url.as_deref();
        Self {
            installer: Some(written_hash(installer.as_bytes())),
            is_requested: !supply.is_dependency,
            direct_url: direct_url.map(|text| written_hash(text.as_bytes())),
        }
    }

    fn take(&mut self, distribution: &Distribution, row: &str, hash: &str) {
        let name = row.strip_prefix(&*distribution.dir);
        match name.and_then(|name| name.strip_prefix('/')) {
            Some("INSTALLER") => self.installer = Some(hash.to_owned()),
            Some("REQUESTED") => self.is_requested = true,
            Some("direct_url.json") => self.direct_url = Some(hash.to_owned()),
            Some(_) | None => {}
        }
    }
}

/// Checks that nothing but packages changes in a plan that keeps some: scripts and other files of
/// packages depend on the frame.
///
/// # Errors
/// [`MergeError::NotKept`].
pub(super) fn check_frame(
    target: &Target<'_>,
    draft: &PlanBuilder,
    seen: &Observation,
) -> Result<(), MergeError> {
    if draft.kept().is_empty() {
        return Ok(());
    }
    let of_wheel = |path: &RelPath| {
        let group = draft
            .operations()
            .get(path)
            .and_then(|of| of.group.as_deref());
        group.is_some_and(|group| Named::of(Path::new(group)).is_some())
    };
    let mut changed = draft
        .effects(seen)
        .filter(|(path, effect)| *effect != Effect::Keep && !of_wheel(path));
    match changed.next() {
        Some((path, _)) => Err(not_kept(target, path.as_str())),
        None => Ok(()),
    }
}

fn not_kept(target: &Target<'_>, what: &str) -> MergeError {
    MergeError::NotKept {
        target: target.path().to_path_buf(),
        what: format!("`{what}`"),
    }
}
