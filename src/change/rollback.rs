//! Rolling back an environment: what goes aside with the generation, and what comes back.
//!
//! The engine moves the entries of a generation. That alone could tear distributions: pip replaces
//! a distribution under another name, and puts its scripts into `bin`, beside those of others. This
//! file finds the distributions that go, and every file of theirs that the generation does not
//! have.
//!
//! A distribution goes aside
//! - if its entry in `site-packages` is, or is below, an entry of the generation;
//! - if another version of it comes back in the same directory;
//! - if the Python that comes back does not look where it is, and it was installed since.
//!
//! Every other one stays. If the generation has a part of such a distribution, and the distribution
//! was installed since, that part stays in the generation.
//!
//! Promises that afterwards each distribution is as a whole in the environment or in the
//! generation, and that each one that goes, comes, changes or is no longer found is named (I8). A
//! file that a distribution which stays or comes back lists with the hash that it has stays with
//! that one. Does not promise that what was uninstalled or overwritten since comes back: only what
//! the generation has does, and what does not come back of a distribution is named. Writes nothing.
//!
//! Read next: `rollback/files_aside.rs`, which entries cover the files; `generations.rs`, what a
//! generation has.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use rvenv_journal::fs::{Dir, Fs, FsError, NameInDir};
use rvenv_journal::raw::{Form, Generation};
use rvenv_journal::{Digest, RelPath, Target};

use crate::change::generations::{Contents, Difference, Placed};
use crate::change::verify::{LIST_BYTES_MAX, Sight, Within, has_lib64, place};
use crate::python::bytecode::path::is_bytecode;
use crate::wheel::distributions::{Distribution, DistributionKind};
use crate::wheel::record::{Hash, rows};

mod files_aside;
mod other_files;

use files_aside::Cover;

/// More rows than the lists of a large application have.
const ROWS_MAX: usize = 50_000;

/// What a rollback does to an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// The generation that comes back.
    pub generation: u32,
    /// The version of Python before and afterwards.
    pub python: (Option<String>, Option<String>),
    /// The distributions that go aside, come back or change.
    pub differences: Vec<Difference>,
    /// Distributions that stay where the Python that comes back does not look.
    pub unused: Vec<Placed>,
    /// Distributions that stay although the generation has a part of an earlier one.
    pub whole: Vec<Distribution>,
    /// Files that a distribution had, which stays or comes back, and that were overwritten since.
    pub overwritten: Vec<(String, Distribution)>,
    /// Files that a distribution had, which comes back after another installer uninstalled it, and
    /// that do not come with it.
    pub missing: Vec<(String, Distribution)>,
    /// Files that go aside and belong to no distribution that is named; the first of them.
    pub files: Vec<String>,
    /// Entries that the generation does not have and that go into it too.
    pub aside: BTreeSet<RelPath>,
    /// Entries of the generation that stay in it.
    pub stay: BTreeSet<RelPath>,
}

/// Finds what a rollback to a generation does.
///
/// # Errors
/// The error of the disk.
pub(crate) fn turn(target: &Target<'_>, generation: &Generation) -> Result<Turn, FsError> {
    let before = Contents::now(target)?;
    let mut after = Contents::of(generation, target)?;
    let mut turn = Turn {
        generation: generation.number,
        python: (before.python.clone(), after.python.clone()),
        ..Turn::default()
    };
    let fs = target.disk();
    let NameInDir { dir: parent, name } = target.place();
    let Ok(root) = fs.open_dir(parent, name) else {
        turn.differences = before.differences(&after);
        return Ok(turn);
    };
    let mut search = Search {
        target,
        generation,
        within: Within::new(fs, root.clone()),
        lib64: has_lib64(fs, &root),
        entries: generation.entries(target)?,
        root,
    };
    let going = search.going(&before, &mut after)?;
    if generation.form == Form::Entries {
        search.put_aside(&before, &after, &going, &mut turn)?;
        search.miss(&before, &after, &mut turn)?;
    }
    turn.files.extend(search.other_files(&going, &turn.stay)?);
    turn.name_all(&before, &after);
    Ok(turn)
}

impl Turn {
    /// Names each distribution that goes, comes, changes or is not found any more.
    fn name_all(&mut self, before: &Contents, after: &Contents) {
        let stays = |gone: &Distribution| {
            let mut placed = after.distributions.iter();
            placed.find(|placed| {
                placed.distribution == *gone && before.distributions.contains(placed)
            })
        };
        for difference in before.differences(after) {
            match &difference {
                Difference::Without(gone) => match stays(gone) {
                    Some(placed) => self.unused.push(placed.clone()),
                    None => self.differences.push(difference),
                },
                Difference::With(_) | Difference::Other(..) => self.differences.push(difference),
            }
        }
        let unused = before.distributions.difference(&after.distributions);
        for placed in unused.filter(|placed| !before.is_used(placed)) {
            self.differences
                .push(Difference::Without(placed.distribution.clone()));
        }
        self.differences.sort();
        self.differences.dedup();
    }
}

/// A distribution that goes, and whether an entry of the generation already moves it.
struct Going {
    placed: Placed,
    is_covered: bool,
}

struct Search<'a> {
    target: &'a Target<'a>,
    generation: &'a Generation,
    within: Within<'a>,
    root: Dir,
    lib64: bool,
    entries: BTreeMap<RelPath, bool>,
}

/// The rows of a distribution: paths in the environment, with their digests where they have any.
type Rows = BTreeMap<String, Option<Digest>>;

impl Search<'_> {
    fn fs(&self) -> &dyn Fs {
        self.target.disk()
    }

    /// The entry of the generation that moves a path.
    fn moved_by(&self, path: &RelPath) -> Option<RelPath> {
        let mut at = Some(path.clone());
        while let Some(path) = at {
            if self.entries.contains_key(&path) {
                return Some(path);
            }
            at = path.parent();
        }
        None
    }

    /// The distributions that go; those that no entry moves are taken out of what comes.
    fn going(&self, before: &Contents, after: &mut Contents) -> Result<Vec<Going>, FsError> {
        let mut going = Vec::new();
        for placed in &before.distributions {
            let Some(path) = placed.path() else { continue };
            let is_tree = self.generation.form == Form::Tree;
            let is_covered = is_tree || self.moved_by(&path).is_some();
            let is_replaced = || {
                after.distributions.iter().any(|other| {
                    other.site_packages == placed.site_packages
                        && other.distribution.name == placed.distribution.name
                        && !before.distributions.contains(other)
                })
            };
            let is_left = || before.is_used(placed) && !after.is_used(placed);
            if is_covered || is_replaced() || is_left() && self.is_since(&path)? {
                going.push(Going {
                    placed: placed.clone(),
                    is_covered,
                });
            }
        }
        for gone in going.iter().filter(|gone| !gone.is_covered) {
            after.distributions.remove(&gone.placed);
        }
        Ok(going)
    }

    /// Whether an entry was created after the generation was replaced.
    fn is_since(&self, path: &RelPath) -> Result<bool, FsError> {
        let Some(time) = self.generation.time else {
            return Ok(true);
        };
        let mut dir = self.root.clone();
        for component in path.parent().iter().flat_map(RelPath::components) {
            dir = self.fs().open_dir(&dir, OsStr::new(component))?;
        }
        let meta = self.fs().meta(&dir, OsStr::new(path.name()))?;
        Ok(meta.is_some_and(|meta| {
            let written = (meta.mtime.seconds, meta.mtime.nanos);
            let born = meta.identity.birth.map(|born| (born.seconds, born.nanos));
            born.unwrap_or(written) > (time.seconds, time.nanos)
        }))
    }

    /// Finds the entries that go aside besides, and those that stay in the generation.
    fn put_aside(
        &mut self,
        before: &Contents,
        after: &Contents,
        going: &[Going],
        turn: &mut Turn,
    ) -> Result<(), FsError> {
        let stays =
            |placed: &Placed| before.distributions.contains(placed) && !is_among(going, placed);
        for placed in &after.distributions {
            let path = placed
                .path()
                .filter(|_| stays(placed) && after.is_used(placed));
            if let Some(path) = path
                && self.is_since(&path)?
            {
                let rows = self.rows(placed)?;
                self.keep_whole(placed, &rows, turn);
            }
        }
        let mut files = self.files(going)?;
        // Few rollbacks leave a file, and only then the lists of all distributions are read.
        for placed in &after.distributions {
            if files.is_empty() {
                break;
            }
            let rows = if stays(placed) {
                self.rows(placed)?
            } else {
                self.rows_that_come(placed)?
            };
            for (path, digest) in rows {
                if self.is_lost(&path, digest, &mut files)? {
                    let of = placed.distribution.clone();
                    turn.overwritten.push((path, of));
                }
            }
        }
        let files = files
            .into_keys()
            .filter_map(|path| RelPath::new(&path).ok());
        let mut files: BTreeSet<RelPath> = files.collect();
        let dead = self.dead_scripts(&files)?;
        turn.files.extend(dead.iter().map(ToString::to_string));
        files.extend(dead);
        let sites = before.distributions.iter().chain(&after.distributions);
        let cover = Cover {
            fs: self.target.disk(),
            root: self.root.clone(),
            entries: &self.entries,
            files: &files,
            sites: sites.map(|placed| placed.site_packages.clone()).collect(),
            known: BTreeMap::new(),
        };
        turn.aside = cover.entries()?;
        Ok(())
    }

    /// Finds what does not come back with the distributions that were uninstalled since: files that
    /// were the same before and after the change, and parts of entries that stay in the generation.
    fn miss(
        &mut self,
        before: &Contents,
        after: &Contents,
        turn: &mut Turn,
    ) -> Result<(), FsError> {
        let is_there = |placed: &Placed| {
            let mut all = before.distributions.iter();
            all.any(|other| other.distribution.name == placed.distribution.name)
        };
        for placed in after.distributions.iter().filter(|one| !is_there(one)) {
            for path in self.rows_that_come(placed)?.into_keys() {
                let entry = RelPath::new(&path).ok().and_then(|at| self.moved_by(&at));
                let comes = entry.is_some_and(|entry| !turn.stay.contains(&entry));
                let is_listed = !comes && !is_bytecode(&path);
                if is_listed && matches!(self.within.look(&path)?, Sight::Absent) {
                    turn.missing.push((path, placed.distribution.clone()));
                }
            }
        }
        Ok(())
    }

    /// The files of distributions that go and that no entry of the generation moves, each with its
    /// digest if another distribution lists it too.
    fn files(&mut self, going: &[Going]) -> Result<BTreeMap<String, Option<Digest>>, FsError> {
        let mut files = BTreeMap::new();
        for Going { placed, is_covered } in going {
            let mut own: Vec<String> = self.rows(placed)?.into_keys().collect();
            if !is_covered {
                own.extend(self.below(placed)?);
            }
            for path in own {
                let is_moved = RelPath::new(&path).map_or(true, |at| self.moved_by(&at).is_some());
                if !is_moved && matches!(self.within.look(&path)?, Sight::There(..)) {
                    files.insert(path, None);
                }
            }
        }
        Ok(files)
    }

    /// Leaves a file that goes with a distribution which stays or comes, if it is the file that
    /// this one lists; otherwise this one has lost it.
    fn is_lost(
        &mut self,
        path: &str,
        digest: Option<Digest>,
        files: &mut BTreeMap<String, Option<Digest>>,
    ) -> Result<bool, FsError> {
        let Some(known) = files.get_mut(path) else {
            return Ok(false);
        };
        if known.is_none()
            && let Sight::There(dir, name, _) = self.within.look(path)?
        {
            *known = self.target.disk().digest_file(&dir, name).ok();
        }
        let is_its_own = digest.is_none() || *known == digest;
        if is_its_own {
            files.remove(path);
        }
        Ok(!is_its_own)
    }

    /// The generation has a part of this distribution, which was installed since: the part stays
    /// there.
    fn keep_whole(&self, placed: &Placed, rows: &Rows, turn: &mut Turn) {
        let paths = rows.keys().filter_map(|path| RelPath::new(path).ok());
        let parts: BTreeSet<_> = paths.filter_map(|path| self.moved_by(&path)).collect();
        if !parts.is_empty() {
            turn.whole.push(placed.distribution.clone());
            turn.stay.extend(parts);
        }
    }

    /// The files that an installed distribution lists.
    fn rows(&mut self, placed: &Placed) -> Result<Rows, FsError> {
        let Some((list, base)) = list_of(placed) else {
            return Ok(Rows::new());
        };
        let Sight::There(dir, name, meta) = self.within.look(&list)? else {
            return Ok(Rows::new());
        };
        if meta.len > LIST_BYTES_MAX {
            return Ok(Rows::new());
        }
        match self.target.disk().read_file(&dir, name, LIST_BYTES_MAX) {
            Ok(bytes) => Ok(self.listed(placed, &base, &bytes)),
            Err(_) => Ok(Rows::new()),
        }
    }

    /// The files that a distribution of the generation lists.
    fn rows_that_come(&self, placed: &Placed) -> Result<Rows, FsError> {
        let Some((list, base)) = list_of(placed) else {
            return Ok(Rows::new());
        };
        let Ok(list) = RelPath::new(&list) else {
            return Ok(Rows::new());
        };
        let bytes = self.generation.read(self.target, &list, LIST_BYTES_MAX)?;
        Ok(bytes.map_or_else(Rows::new, |bytes| self.listed(placed, &base, &bytes)))
    }

    fn listed(&self, placed: &Placed, base: &str, bytes: &[u8]) -> Rows {
        if placed.distribution.kind == DistributionKind::EggInfo {
            let text = String::from_utf8_lossy(bytes);
            let paths = text
                .lines()
                .filter_map(|line| place(base, line, self.lib64).ok());
            return paths.map(|path| (path, None)).collect();
        }
        let rows = rows(bytes).filter_map(Result::ok);
        let rows = rows.filter_map(|(text, row)| {
            let path = place(base, &text, self.lib64).ok()?;
            let digest = match row.hash {
                Hash::Sha256(digest) => Some(digest),
                Hash::Absent | Hash::Other(_) => None,
            };
            Some((path, digest))
        });
        rows.collect()
    }

    /// Every file below the entry of a distribution, listed or not.
    fn below(&self, placed: &Placed) -> Result<Vec<String>, FsError> {
        let Some(path) = placed.path() else {
            return Ok(Vec::new());
        };
        files_aside::files_below(self.fs(), &self.root, &path)
    }

    /// Scripts that belong to no distribution and start an interpreter that goes.
    fn dead_scripts(&self, files: &BTreeSet<RelPath>) -> Result<Vec<RelPath>, FsError> {
        let bin = self
            .entries
            .keys()
            .filter_map(|path| path.as_str().strip_prefix("bin/"));
        let is_python = |name: &&str| name.starts_with("python") || name.starts_with("pypy");
        let gone: Vec<String> = bin
            .filter(is_python)
            .filter(|name| {
                let path = RelPath::new(&format!("bin/{name}"));
                path.is_ok_and(|path| self.entries.get(&path) == Some(&false))
            })
            .map(|name| format!("{}/bin/{name}", self.target.path().display()))
            .collect();
        let dead = other_files::starting(self.fs(), &self.root, &gone)?;
        let is_other = |path: &RelPath| !files.contains(path) && self.moved_by(path).is_none();
        Ok(dead.into_iter().filter(is_other).collect())
    }

    /// Files that go and that no distribution which goes lists. Beside distributions with very long
    /// lists no file of their directories is named.
    fn other_files(
        &mut self,
        going: &[Going],
        stay: &BTreeSet<RelPath>,
    ) -> Result<Vec<String>, FsError> {
        let drift = other_files::drift_in(self.fs(), &self.root)?;
        let is_tree = self.generation.form == Form::Tree;
        let moved = drift.into_iter().filter(|path| {
            let entry = RelPath::new(path).map(|path| self.moved_by(&path));
            is_tree || matches!(entry, Ok(Some(entry)) if !stay.contains(&entry))
        });
        let mut moved: Vec<String> = moved.filter(|path| !is_bytecode(path)).collect();
        let mut listed = BTreeSet::new();
        for gone in going.iter().filter(|_| !moved.is_empty()) {
            if listed.len() > ROWS_MAX {
                moved.retain(|path| !path.contains("/site-packages/"));
                break;
            }
            listed.extend(self.rows(&gone.placed)?.into_keys());
            listed.extend(gone.placed.path().map(|path| path.to_string()));
        }
        moved.retain(|path| {
            let below = format!("{path}/");
            let inner = listed.range(below.clone()..).next();
            !listed.contains(path) && inner.is_none_or(|inner| !inner.starts_with(&below))
        });
        Ok(moved)
    }
}

fn is_among(going: &[Going], placed: &Placed) -> bool {
    going.iter().any(|gone| gone.placed == *placed)
}

/// The list of a distribution's files, and the directory that its rows are relative to.
fn list_of(placed: &Placed) -> Option<(String, String)> {
    let site = placed.site_packages.as_str();
    let entry = format!("{site}/{}", placed.distribution.dir);
    match placed.distribution.kind {
        DistributionKind::DistInfo => Some((format!("{entry}/RECORD"), site.to_owned())),
        DistributionKind::EggInfo => Some((format!("{entry}/installed-files.txt"), entry)),
        DistributionKind::EggLink => None,
    }
}
