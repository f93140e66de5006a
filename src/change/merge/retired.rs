//! What a merge retires: what earlier plans and older distributions left, and names of another
//! version.
//!
//! Promises that a distribution which the plan does not ask for stays, unless it comes along to
//! another directory of packages or another version of it is planned (I8), and that a path of the
//! receipt goes only if it is unchanged. Does not write.
//!
//! Read next: `../carry.rs`, what comes along.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::ErrorKind;

use rvenv_journal::fs::{Dir, FsError};
use rvenv_journal::raw::{Effect, effect, paired};
use rvenv_journal::{Fs, RelPath};

use super::{LIST_BYTES_MAX, Looked, Merge, is_seed, locked, seeded};
use crate::build::hooks::{self, Context};
use crate::build::supply::Extraneous;
use crate::change::carry::{self, bytecode_of};
use crate::change::existing::Existing;
use crate::change::open_path::{Walk, is_as_published, lexical};
use crate::wheel;
use crate::wheel::distributions::Distribution;
use crate::wheel::installed::Installed;
use crate::wheel::record::Row;

impl Merge<'_> {
    /// Retires what earlier plans and older distributions put there, and names of another version.
    ///
    /// Returns the paths of the receipt that stay although the plan does not ask for them.
    pub(super) fn retire(&mut self, existing: Option<&Existing>) -> Looked<BTreeSet<RelPath>> {
        let mut retired = carry::retired(self.companions);
        let mut kept = BTreeSet::new();
        let mut stays = BTreeSet::new();
        let site = &self.context.layout.lib_path;
        for distribution in hooks::kept_distributions(self.context) {
            kept.extend(self.listed(site, &distribution)?);
        }
        let mut replaced = hooks::replaced_distributions(self.context, &self.draft);
        replaced.extend(self.extraneous()?);
        let again = self.installed_again();
        if let Err(error) = self.check_owned(&|one| replaced.contains(one))? {
            return Ok(Err(error));
        }
        for distribution in replaced.iter().chain(&again) {
            retired.extend(self.with_bytecode(self.listed(site, distribution)?)?);
        }
        if let Some(existing) = existing {
            for lib in existing.libs.iter().filter(|lib| lib.path != *site) {
                let old = lib.distributions.iter();
                for distribution in old.filter(|found| self.is_seed(found)) {
                    retired.extend(self.listed(&lib.path, distribution)?);
                }
            }
            stays = self.not_asked_for(existing, &replaced)?;
            match existing.frame.python.stale(&self.context.layout) {
                Ok(stale) => retired.extend(stale),
                Err(error) => return Ok(Err(error.into())),
            }
        }
        let mut unplanned = BTreeSet::new();
        if let Some(receipt) = &self.receipt {
            let mut walk = Walk::new(self.fs, &self.root);
            for (path, published, planned) in paired(&receipt.paths, self.draft.operations()) {
                if planned.is_none()
                    && !kept.contains(path)
                    && !stays.contains(path)
                    && !retired.contains(path)
                    && !self.is_not_asked_for(path)
                    && is_as_published(&mut walk, path, published)?
                {
                    unplanned.insert(path.clone());
                }
            }
        }
        if !replaced.is_empty() || !again.is_empty() || !unplanned.is_empty() {
            // Two distributions may list one path, and another installer may have put another
            // version there that has the same file: it stays with what lists it now. A RECORD that
            // is as planned lists what is planned, which is not retired.
            let stays = |one: &&Distribution| {
                !replaced.contains(one)
                    && !again.contains(one)
                    && self.record_effect(one) != Some(Effect::Keep)
                    && !self.is_kept(one)
            };
            for other in self.context.installed.iter().filter(stays) {
                self.each_listed(site, other, &mut |path| {
                    retired.remove(&path);
                    unplanned.remove(&path);
                })?;
            }
        }
        for path in retired.into_iter().chain(unplanned) {
            if !self.draft.operations().contains_key(&path)
                && !self.draft.kept().contains_key(&path)
                && let Err(error) = self.draft.retire(path)
            {
                return Ok(Err(error.into()));
            }
        }
        Ok(Ok(stays))
    }

    /// The distributions that the plan installs in the version that another installer put there:
    /// what that one lists besides goes, so that one RECORD lists all.
    fn installed_again(&self) -> Vec<Distribution> {
        let is_again = |one: &&Distribution| self.record_effect(one) == Some(Effect::Change);
        let installed = self.context.installed.iter();
        installed.filter(is_again).cloned().collect()
    }

    /// Whether a distribution stays without an operation, and with it everything that it lists.
    pub(super) fn is_kept(&self, distribution: &Distribution) -> bool {
        let info = self.context.layout.lib_path.join(&distribution.dir);
        info.is_ok_and(|info| self.draft.kept().contains_key(&info))
    }

    /// What the plan does with the RECORD of an installed distribution, if it plans that.
    fn record_effect(&self, distribution: &Distribution) -> Option<Effect> {
        let site = &self.context.layout.lib_path;
        let record = site.join(&format!("{}/RECORD", distribution.dir)).ok()?;
        let planned = self.draft.operations().get(&record)?;
        Some(effect(&planned.node, self.seen.paths.get(&record)))
    }

    /// These paths, and the bytecode that Python wrote for the sources among them.
    fn with_bytecode(&self, mut paths: BTreeSet<RelPath>) -> Result<BTreeSet<RelPath>, FsError> {
        let mut sources: BTreeMap<RelPath, BTreeSet<String>> = BTreeMap::new();
        for path in &paths {
            if let (Some(stem), Some(dir)) = (path.name().strip_suffix(".py"), path.parent()) {
                sources.entry(dir).or_default().insert(stem.to_owned());
            }
        }
        let mut walk = Walk::new(self.fs, &self.root);
        for (dir, stems) in sources {
            paths.extend(bytecode_of(self.fs, &mut walk, &dir, &stems)?);
        }
        Ok(paths)
    }

    /// The installed distributions that go because no lock names them, or by their names.
    fn extraneous(&self) -> Result<Vec<Distribution>, FsError> {
        if self.context.extraneous == Extraneous::Stay && self.context.removed.is_empty() {
            return Ok(Vec::new());
        }
        Ok(unlocked(self.fs, &self.root, self.context)?.go)
    }

    /// Whether the plan installs a distribution of this name anew, as one of the first packages.
    fn is_seed(&self, distribution: &Distribution) -> bool {
        seeded(self.context).contains(&distribution.name)
    }

    /// The paths of the distributions in the receipt that the plan does not ask for, and that stay,
    /// and the directories above them.
    fn not_asked_for(
        &self,
        existing: &Existing,
        replaced: &[Distribution],
    ) -> Result<BTreeSet<RelPath>, FsError> {
        let mut kept = BTreeSet::new();
        let Some(receipt) = &self.receipt else {
            return Ok(kept);
        };
        for lib in &existing.libs {
            for distribution in &lib.distributions {
                let Ok(info) = lib.path.join(&distribution.dir) else {
                    continue;
                };
                let goes = self.draft.operations().contains_key(&info)
                    || self.draft.kept().contains_key(&info)
                    || self.is_seed(distribution)
                    || self.companions.has(distribution)
                    || replaced.contains(distribution);
                if !goes && receipt.paths.contains_key(&info) {
                    for path in self.listed(&lib.path, distribution)? {
                        let above = std::iter::successors(path.parent(), RelPath::parent);
                        kept.extend(above);
                        kept.insert(path);
                    }
                }
            }
        }
        Ok(kept)
    }

    /// Whether a path is absent from the plan only because an option omits it; as in venv, such a
    /// path stays.
    fn is_not_asked_for(&self, path: &RelPath) -> bool {
        let Context {
            layout, options, ..
        } = self.context;
        let of_pip = path.is_below(&layout.lib_path) || path.is_below(&layout.bin_name);
        path.as_str() == ".gitignore" || (!options.with_pip && of_pip)
    }

    /// Everything that a distribution lists, and the directories of its own that contain it.
    fn listed(
        &self,
        site: &RelPath,
        distribution: &Distribution,
    ) -> Result<BTreeSet<RelPath>, FsError> {
        let mut paths = BTreeSet::new();
        self.each_listed(site, distribution, &mut |path| {
            paths.insert(path);
        })?;
        Ok(paths)
    }

    /// Visits these paths; a directory may be visited again.
    fn each_listed(
        &self,
        site: &RelPath,
        distribution: &Distribution,
        visit: &mut dyn FnMut(RelPath),
    ) -> Result<(), FsError> {
        let mut last = None;
        for (row, _) in self.rows(site, distribution)? {
            let Some(path) = lexical(site, &row) else {
                continue;
            };
            let parent = path.parent();
            visit(path);
            if parent == last {
                continue;
            }
            last.clone_from(&parent);
            let mut above = parent;
            // Bytecode of modules at the top is in one directory for all distributions.
            let is_shared =
                |dir: &RelPath| dir.name() == "__pycache__" && dir.parent().as_ref() == Some(site);
            let is_own = |dir: &RelPath| !self.is_of_frame(site, dir) && !is_shared(dir);
            while let Some(dir) = above.filter(is_own) {
                above = dir.parent();
                visit(dir);
            }
        }
        Ok(())
    }

    /// Whether an environment has a directory without any distribution: it stays once it is empty.
    fn is_of_frame(&self, site: &RelPath, dir: &RelPath) -> bool {
        let layout = &self.context.layout;
        let own = [&layout.bin_name, &layout.inc_path, &layout.lib_path];
        let mut own = own.into_iter().chain([&layout.platlib_path, site]);
        own.any(|own| own == dir || own.is_below(dir))
    }

    /// The rows of a RECORD; none if there is no RECORD.
    pub(super) fn rows(
        &self,
        site: &RelPath,
        distribution: &Distribution,
    ) -> Result<impl Iterator<Item = (String, Row)> + use<>, FsError> {
        let mut walk = Walk::new(self.fs, &self.root);
        let info = site.join(&distribution.dir).ok();
        let dir = info.map(|info| walk.open(&info)).transpose()?.flatten();
        let open = |dir| {
            let list = self.fs.open_file(dir, OsStr::new("RECORD"), LIST_BYTES_MAX);
            match list {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                list => list.map(Some),
            }
        };
        let list = dir.as_ref().map(open).transpose()?.flatten();
        Ok(list.into_iter().flat_map(wheel::record::rows).flatten())
    }
}

/// The installed distributions that no lock names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unlocked {
    /// Those that go.
    pub go: Vec<Distribution>,
    /// Those that stay, except what a new environment has.
    pub stay: Vec<Distribution>,
}

/// Finds the installed distributions of a context that no lock names.
pub(crate) fn unlocked(fs: &dyn Fs, root: &Dir, context: &Context) -> Result<Unlocked, FsError> {
    unlocked_in(
        fs,
        root,
        context,
        &context.layout.lib_path,
        &context.installed,
    )
}

/// The names of the distributions for other Pythons that go because no lock names them.
pub(crate) fn leaving(
    fs: &dyn Fs,
    root: &Dir,
    existing: &Existing,
    context: &Context,
) -> Result<Vec<String>, FsError> {
    let mut names = Vec::new();
    if context.extraneous == Extraneous::Stay {
        return Ok(names);
    }
    let site = &context.layout.lib_path;
    for lib in existing.libs.iter().filter(|lib| lib.path != *site) {
        let found = unlocked_in(fs, root, context, &lib.path, &lib.distributions)?;
        names.extend(found.go.into_iter().map(|one| one.name));
    }
    Ok(names)
}

fn unlocked_in(
    fs: &dyn Fs,
    root: &Dir,
    context: &Context,
    site: &RelPath,
    installed: &[Distribution],
) -> Result<Unlocked, FsError> {
    let mut found = Unlocked::default();
    let mut walk = Walk::new(fs, root);
    let Some(site) = walk.open(site)? else {
        return Ok(found);
    };
    let locked: BTreeSet<String> = locked(context).collect();
    let is_removed = |one: &Distribution| context.removed.contains(&one.name);
    // What a new environment has is no one's but the environment's.
    let others = installed
        .iter()
        .filter(|one| !locked.contains(&one.name) && (!is_seed(&one.name) || is_removed(one)));
    for distribution in others {
        let goes = match context.extraneous {
            Extraneous::Stay => false,
            Extraneous::OfLocksGo => is_of_lock(fs, &site, distribution),
            Extraneous::Go => true,
        };
        if goes || is_removed(distribution) {
            found.go.push(distribution.clone());
        } else if context.extraneous != Extraneous::Stay {
            found.stay.push(distribution.clone());
        }
    }
    Ok(found)
}

/// Whether rvenv installed a distribution from a lock, by its `INSTALLER`.
fn is_of_lock(fs: &dyn Fs, site: &Dir, distribution: &Distribution) -> bool {
    let found = Installed::read(fs, site, distribution.clone());
    found.installer.as_deref() == Some(wheel::INSTALLER)
}
