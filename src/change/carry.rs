//! Carrying: which distributions come along when an environment gets another Python, and how.
//!
//! Each distribution that the new Python could not import has one fate. It is *carried* if its tags
//! fit the new interpreter and its files are those that its RECORD lists. Otherwise it is
//! *refitted*: a wheel of the same version that fits replaces it. Otherwise it is *lost*, with the
//! reason.
//!
//! Promises that a distribution is carried whole or not at all (I8), that nothing is started and
//! nothing written, and that wheels come only from what the caller looked up: the same environment
//! and the same wheels give the same answer, before the lock and under it. Does not promise that a
//! carried distribution works with the new Python; the health check imports it.
//!
//! Read next: `carry/files.rs`, the files of one distribution; `carry/additions.rs`, which plans
//! them; `merge.rs`.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use rvenv_journal::fs::{Dir, FsError};
use rvenv_journal::raw::{Input, in_parallel};
use rvenv_journal::{Content, Digest, Fs, Mode, RelPath};

use crate::base::version::{self, Specifiers};
use crate::build::hooks::Context;
use crate::build::supply::{Supply, WheelSource};
use crate::change::existing::{Existing, Lib};
use crate::change::open_path::Walk;
use crate::wheel::Release;
use crate::wheel::checked_files::CheckedFiles;
use crate::wheel::distributions::{Distribution, DistributionKind};
use crate::wheel::installed::Facts;
use crate::wheel::origin::Origin;
use crate::wheel::tags;

mod additions;
mod copied;
mod files;
mod needs;
mod origin;
mod place;

pub(crate) use additions::{add, retired};
pub(crate) use copied::{copied, foreign};
pub(crate) use files::bytecode_of;
pub use needs::Needs;

/// The part of a plan that has what comes along.
pub(crate) const PART: &str = "packages";

/// What a change of Python does with the distributions that the new Python could not import.
#[derive(Clone, Debug, Default)]
pub struct Companions {
    /// Those that come along as they are.
    pub carried: Vec<Carried>,
    /// Those that a wheel of the same version replaces.
    pub refitted: Vec<Refitted>,
    /// Those for which the caller has not looked for a wheel.
    pub unresolved: Vec<Unresolved>,
    /// Those that stay behind.
    pub lost: Vec<LostPackage>,
    /// The first packages that go because the new Python brings others, or none.
    pub seeds: Vec<SeedChange>,
    /// What their requirements say about the new Python.
    pub needs: Needs,
    /// The files that were hashed on the way.
    pub(crate) checked: CheckedFiles,
}

/// One of the first packages of an environment, which does not come along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedChange {
    /// What is installed.
    pub distribution: Distribution,
    /// The version that the new Python brings.
    pub bundled: Option<String>,
}

/// A distribution that comes along as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Which one.
    pub distribution: Distribution,
    /// The names of its modules at the top, as a program imports them.
    pub modules: Vec<String>,
    /// Its RECORD, as an input of the plan.
    pub(crate) record: Input,
    pub(crate) files: Vec<CarriedFile>,
    /// The paths that it leaves, and the directories of its own.
    pub(crate) left: BTreeSet<RelPath>,
}

/// A file of such a distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CarriedFile {
    pub(crate) to: RelPath,
    pub(crate) mode: Mode,
    pub(crate) mtime: Option<i64>,
    pub(crate) content: Content,
}

/// A distribution that a wheel of the same version replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refitted {
    /// Which one.
    pub distribution: Distribution,
    /// The wheel.
    pub wheel: PathBuf,
    pub(crate) left: BTreeSet<RelPath>,
}

/// A distribution that does not fit, and for which no wheel was looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    /// Which one.
    pub distribution: Distribution,
    /// The release that would replace it.
    pub release: Release,
    /// The file that it was installed from, if it does not come from an index.
    pub archive: Option<String>,
    /// Why it does not fit.
    pub reason: String,
}

/// A distribution that stays behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostPackage {
    /// Which one.
    pub distribution: Distribution,
    /// Why, as clauses; empty if only a saved plan is known.
    pub reason: String,
    /// The arguments of `pip install` that may find another version.
    pub install: Vec<String>,
}

impl fmt::Display for LostPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.distribution)?;
        if self.reason.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.reason)
    }
}

impl LostPackage {
    /// A package of which nothing is known but its name.
    pub(crate) fn named(distribution: &Distribution) -> Self {
        Self {
            install: vec![origin::later(distribution)],
            distribution: distribution.clone(),
            reason: String::new(),
        }
    }
}

impl Unresolved {
    /// The same package without any wheel, for this reason.
    #[must_use]
    pub fn lost(self, why: &str) -> LostPackage {
        let install = match self.archive {
            Some(url) => vec![url],
            None => vec![origin::later(&self.distribution)],
        };
        LostPackage {
            distribution: self.distribution,
            reason: format!("{}, and {why}", self.reason),
            install,
        }
    }
}

impl Companions {
    /// Gives up on those for which no wheel was looked up, for this reason.
    pub(crate) fn give_up(&mut self, why: &str) {
        let unresolved = std::mem::take(&mut self.unresolved);
        self.lost
            .extend(unresolved.into_iter().map(|one| one.lost(why)));
    }

    /// Whether this distribution leaves its directory of packages.
    pub(crate) fn has(&self, distribution: &Distribution) -> bool {
        let carried = self.carried.iter().map(|one| &one.distribution);
        let mut all = carried.chain(self.refitted.iter().map(|one| &one.distribution));
        all.any(|one| one.name == distribution.name)
    }

    /// The modules that a health check imports.
    #[must_use]
    pub fn modules(&self) -> Vec<String> {
        let all: BTreeSet<&String> = self.carried.iter().flat_map(|one| &one.modules).collect();
        all.into_iter().cloned().collect()
    }
}

/// Decides the fate of each distribution that the interpreter of `context` could not import.
///
/// # Errors
/// The error of the disk.
pub(crate) fn decide(
    fs: &dyn Fs,
    root: &Dir,
    existing: &Existing,
    context: &Context,
    seeded: &[&str],
) -> Result<Companions, FsError> {
    let search = Search::new(fs, root, existing, context);
    let mut found = Companions::default();
    let (mut left, seeds) = search.candidates(seeded)?;
    found.seeds = seeds;
    // Of two installations of one name, the newer one is used.
    left.sort_by(|(_, a), (_, b)| {
        let newest_first = || version::compare(&b.version, &a.version);
        a.name.cmp(&b.name).then_with(newest_first)
    });
    left.dedup_by(|(_, a), (_, b)| a.name == b.name);
    // Most of the time is spent opening and hashing files, which two threads do at once.
    let (one, other) = left.split_at(left.len() / 2);
    let second = Search {
        facts: search.facts.clone(),
        ..Search::new(fs, root, existing, context)
    };
    let (one, other) = if left.is_empty() {
        (second.fates(one), search.fates(other))
    } else {
        in_parallel(fs, || second.fates(one), || search.fates(other))
    };
    let mut facts = Vec::new();
    for Fates { list, checked } in [one?, other?] {
        found.checked.extend(checked);
        for ((_, distribution), (fate, known)) in left.iter().skip(facts.len()).zip(list) {
            match fate {
                Fate::Carried(carried) => found.carried.push(*carried),
                Fate::Refitted(refitted) => found.refitted.push(refitted),
                Fate::Unresolved(unresolved) => found.unresolved.push(unresolved),
                Fate::Lost(lost) if is_bundled(context, distribution) => drop(lost),
                Fate::Lost(lost) => found.lost.push(lost),
            }
            facts.push((*distribution, known));
        }
    }
    found.needs = needs::needs(existing, context, &facts);
    Ok(found)
}

/// Whether the new interpreter brings a distribution of this name.
fn is_bundled(context: &Context, distribution: &Distribution) -> bool {
    context.bundled_version(&distribution.name).is_some()
}

enum Fate {
    Carried(Box<Carried>),
    Refitted(Refitted),
    Unresolved(Unresolved),
    Lost(LostPackage),
}

/// What becomes of some distributions, each with what it says about itself.
struct Fates {
    list: Vec<(Fate, Facts)>,
    /// The files that were hashed on the way.
    checked: CheckedFiles,
}

/// Distributions, each with the directory that it is in, and the first packages that go.
type Candidates<'a> = (Vec<(&'a Lib, &'a Distribution)>, Vec<SeedChange>);

/// Whether a distribution leaves its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It comes along to another Python in the same environment.
    Along,
    /// It is copied to another environment.
    Copied,
}

struct Search<'a> {
    fs: &'a dyn Fs,
    existing: &'a Existing,
    context: &'a Context,
    walk: RefCell<Walk<'a>>,
    checked: RefCell<CheckedFiles>,
    /// What each distribution says about itself, by its directory.
    facts: RefCell<BTreeMap<(RelPath, String), Facts>>,
    way: Way,
    /// What every RECORD says about each path.
    claims: OnceCell<BTreeMap<RelPath, Vec<(Digest, u64)>>>,
}

impl<'a> Search<'a> {
    fn new(fs: &'a dyn Fs, root: &Dir, existing: &'a Existing, context: &'a Context) -> Self {
        Self {
            fs,
            existing,
            context,
            walk: RefCell::new(Walk::new(fs, root)),
            checked: RefCell::default(),
            facts: RefCell::default(),
            way: Way::Along,
            claims: OnceCell::new(),
        }
    }

    /// The same, for a copy at another place.
    fn copying(self) -> Self {
        Self {
            way: Way::Copied,
            ..self
        }
    }

    fn fates(self, of: &[(&Lib, &Distribution)]) -> Result<Fates, FsError> {
        let fate = |(lib, distribution): &(&Lib, &Distribution)| {
            let facts = self.facts(lib, distribution)?;
            Ok((self.fate(lib, distribution, &facts)?, facts))
        };
        let list = of.iter().map(fate).collect::<Result<_, FsError>>()?;
        let checked = self.checked.into_inner();
        Ok(Fates { list, checked })
    }

    /// The distributions that could not be imported: the user's, and those of the first packages
    /// that the new interpreter does not bring in this or a newer version. Then the other first
    /// packages, as far as the new interpreter does not bring the same.
    fn candidates(&self, seeded: &[&str]) -> Result<Candidates<'a>, FsError> {
        let layout = &self.context.layout;
        let mut all = self.existing.lost_in(layout, seeded);
        let mut required = BTreeSet::new();
        let mut seeds = Vec::new();
        for (lib, distribution) in &all {
            let facts = self.facts(lib, distribution)?;
            required.extend(needs::required(self.context, &facts));
        }
        let decided = self.decided();
        for (lib, distribution) in self.existing.lost_in(layout, &[]) {
            let name = distribution.name.as_str();
            if !seeded.contains(&name) || decided.contains(name) {
                continue;
            }
            let bundled = self.context.bundled_version(name);
            let stays = match &bundled {
                Some(bundled) => version::compare(&distribution.version, bundled).is_gt(),
                None => required.contains(name),
            };
            if stays {
                all.push((lib, distribution));
            } else if bundled.as_ref() != Some(&distribution.version) {
                seeds.push(SeedChange {
                    distribution: distribution.clone(),
                    bundled,
                });
            }
        }
        Ok((all, seeds))
    }

    /// The names that a lock decides about: it has another wheel of them, or they leave.
    fn decided(&self) -> BTreeSet<String> {
        let supplies = self.context.supplies.iter();
        let locked = supplies.filter(|supply| supply.source == WheelSource::Locked);
        let leaving = self.context.leaving.iter().cloned();
        locked.filter_map(Supply::name).chain(leaving).collect()
    }

    fn facts(&self, lib: &Lib, distribution: &Distribution) -> Result<Facts, FsError> {
        let key = (lib.path.clone(), distribution.dir.clone());
        if let Some(known) = self.facts.borrow().get(&key) {
            return Ok(known.clone());
        }
        let dir = self.walk.borrow_mut().open(&lib.path)?;
        let read = |dir| Facts::read(self.fs, &dir, distribution);
        let facts = dir.map(read).unwrap_or_default();
        self.facts.borrow_mut().insert(key, facts.clone());
        Ok(facts)
    }

    fn fate(&self, lib: &Lib, distribution: &Distribution, facts: &Facts) -> Result<Fate, FsError> {
        let version = &self.context.interpreter.version;
        if let Some(range) = &facts.requires_python
            && Specifiers::parse(range).is_ok_and(|range| !range.include(&plain(version)))
        {
            let reason = format!("it requires Python {range}");
            return Ok(Fate::Lost(LostPackage {
                install: origin::again(&facts.origin, distribution),
                distribution: distribution.clone(),
                reason,
            }));
        }
        let reason = match distribution.kind {
            DistributionKind::EggLink => "it is a link to a checkout, which has no RECORD".into(),
            DistributionKind::EggInfo => "it has no RECORD".into(),
            DistributionKind::DistInfo if facts.tags.is_empty() => "its WHEEL has no tags".into(),
            DistributionKind::DistInfo if !tags::fit(&facts.tags, &self.context.interpreter) => {
                format!("it was built for {}", facts.tags.join(" and "))
            }
            DistributionKind::DistInfo => match self.files(lib, distribution)? {
                Ok(carried) => return Ok(Fate::Carried(Box::new(carried))),
                Err(damage) => damage,
            },
        };
        self.refit(lib, distribution, facts, reason)
    }

    /// The fate of a distribution that does not fit for this reason.
    fn refit(
        &self,
        lib: &Lib,
        distribution: &Distribution,
        facts: &Facts,
        reason: String,
    ) -> Result<Fate, FsError> {
        let archive = match &facts.origin {
            Origin::Index => None,
            Origin::Archive { url, .. } => Some(url.clone()),
            Origin::Directory { .. } | Origin::Repository { .. } | Origin::Unknown => {
                return Ok(Fate::Lost(LostPackage {
                    distribution: distribution.clone(),
                    reason,
                    install: origin::again(&facts.origin, distribution),
                }));
            }
        };
        let unresolved = Unresolved {
            distribution: distribution.clone(),
            release: Release {
                name: distribution.name.clone(),
                version: distribution.version.clone(),
            },
            archive,
            reason,
        };
        if distribution.version.is_empty() {
            return Ok(Fate::Lost(unresolved.lost("its version is unknown")));
        }
        let mut looked_up = self.context.looked_up.iter().flatten();
        let found = looked_up.find(|one| one.release == unresolved.release);
        Ok(match found.map(|found| &found.found) {
            None => Fate::Unresolved(unresolved),
            Some(Err(why)) => Fate::Lost(unresolved.lost(why)),
            Some(Ok(wheel)) => Fate::Refitted(Refitted {
                distribution: distribution.clone(),
                wheel: wheel.clone(),
                left: self.left(lib, distribution)?,
            }),
        })
    }
}

/// A version without what pip ignores in `Requires-Python`: that it is a preview.
fn plain(version: &crate::python::PythonVersion) -> String {
    format!("{}.{}.{}", version.major, version.minor, version.micro)
}
