//! `install`, `uninstall` and `sync` in a history: the words of the command, and what it may
//! change.
//!
//! `promises.rs` checks what holds for every command: nothing breaks, and nothing vanishes unnamed.
//! Here is what holds for these commands besides: what was asked for is there, only that has
//! changed, and what another installer installed stays.

use std::fs;

use rvenv_journal::Digest;

use super::acts::{Change, Lock, Package, Rest};
use super::place::{Found, Look, Place};

/// The packages that a new environment has, and that no lock removes.
const SEEDS: [&str; 2] = ["pip", "setuptools"];

/// A change of packages in one environment: names in place of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Install(Package, Option<u8>),
    Uninstall { name: String, with_unused: bool },
    Sync(Lock, Rest),
}

impl Asked {
    /// What a change is about now; `None` if there is nothing to uninstall.
    pub(super) fn of(change: Change, place: &Place<'_>) -> Option<Self> {
        Some(match change {
            Change::Install(package, version) => Self::Install(package, version),
            Change::Sync(lock, rest) => Self::Sync(lock, rest),
            Change::Uninstall(which) => Self::Uninstall {
                name: place.installed(which)?,
                with_unused: false,
            },
            Change::UninstallWithUnused(which) => Self::Uninstall {
                name: place.installed(which)?,
                with_unused: true,
            },
        })
    }

    /// The words of the command; writes the lock that it reads.
    pub(super) fn words(&self, place: &Place<'_>) -> Vec<String> {
        let mut words = match self {
            Self::Install(package, version) => {
                let name = package.name();
                let requirement = version.map(|version| format!("{name}=={version}.0"));
                vec![
                    "install".to_owned(),
                    requirement.unwrap_or_else(|| name.to_owned()),
                ]
            }
            Self::Uninstall { name, with_unused } => {
                let unused = with_unused.then(|| "--unused".to_owned());
                let words = ["uninstall".to_owned(), name.clone()];
                words.into_iter().chain(unused).collect()
            }
            Self::Sync(lock, rest) => {
                let exact = (*rest == Rest::Goes).then(|| "--exact".to_owned());
                let words = ["sync".to_owned(), "-r".to_owned(), place.lock(*lock)];
                words.into_iter().chain(exact).collect()
            }
        };
        if !matches!(self, Self::Uninstall { .. }) {
            let index = place.index().display().to_string();
            words.extend(["--no-index", "--find-links", &index].map(str::to_owned));
        }
        let env = place.env().display().to_string();
        words.extend(["--env".to_owned(), env]);
        words
    }

    /// What must hold after a success.
    pub(super) fn done(&self, before: &Look, after: &Look) -> Result<(), String> {
        for (name, version) in self.wanted() {
            let version = version.map(|version| format!("{version}.0"));
            let is_it = |found: &&Found| {
                let is_version = version.as_ref().is_none_or(|one| *one == found.version);
                found.name == name && is_version
            };
            let found = after.here.iter().find(is_it);
            let found = found.ok_or_else(|| format!("{name} {version:?} is not there"))?;
            if self.mends() && !found.is_good() {
                return Err(format!("a lock names {found:?}"));
            }
        }
        for was in &before.here {
            let now = after.here.iter().find(|now| now.name == was.name);
            match (self.fate(was, before), now) {
                (Fate::Changes, _) | (Fate::Goes, None) => {}
                (Fate::Goes, Some(now)) => return Err(format!("{} stays", now.title())),
                (Fate::Stays, Some(now)) if is_same(was, now) => {}
                (Fate::Stays, now) => {
                    return Err(format!("{was:?} was not asked for, and became {now:?}"));
                }
            }
        }
        Ok(())
    }

    /// The packages that must be there afterwards, and their versions.
    fn wanted(&self) -> Vec<(&'static str, Option<u8>)> {
        match self {
            Self::Install(Package::Birch, version) => {
                vec![("birch", *version), ("alder", None)]
            }
            Self::Install(package, version) => vec![(package.name(), *version)],
            Self::Uninstall { .. } => Vec::new(),
            Self::Sync(lock, _) => {
                let releases = lock.releases();
                let releases = releases.map(|(package, version)| (package.name(), Some(version)));
                releases.collect()
            }
        }
    }

    /// Whether it mends what it installs: an installation leaves what meets the requirement.
    fn mends(&self) -> bool {
        matches!(self, Self::Sync(..))
    }

    fn fate(&self, was: &Found, before: &Look) -> Fate {
        match self {
            Self::Install(package, version) => {
                let is_other = version.is_some_and(|one| was.version != format!("{one}.0"));
                if was.name == package.name() && is_other {
                    Fate::Changes
                } else {
                    Fate::Stays
                }
            }
            Self::Uninstall { name, .. } if was.name == *name => Fate::Goes,
            Self::Uninstall { name, with_unused } => {
                // Birch alone needs another one.
                let is_needed = *with_unused && name == "birch" && was.name == "alder";
                if is_needed && before.is_there("birch") {
                    Fate::Changes
                } else {
                    Fate::Stays
                }
            }
            Self::Sync(lock, rest) => {
                let is_seed = SEEDS.contains(&&*was.name);
                let is_of_lock = was.installer == "rvenv";
                if lock.releases().any(|(one, _)| one.name() == was.name) {
                    Fate::Changes
                } else if !is_seed && (is_of_lock || *rest == Rest::Goes) {
                    Fate::Goes
                } else {
                    Fate::Stays
                }
            }
        }
    }
}

/// Whether a distribution is as it was, or as it should have been: after a move, every run writes
/// the scripts of pip again.
fn is_same(was: &Found, now: &Found) -> bool {
    let is_whole = was.is_good() && was.dead.is_empty();
    let is_as_it_was = now.record == was.record || !is_whole;
    is_as_it_was && (now.title(), &now.installer) == (was.title(), &was.installer)
}

/// What happens to an installed distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Stays,
    Goes,
    /// It was asked for, in this version or in another one.
    Changes,
}

impl Place<'_> {
    /// Writes a lock as a requirements file with the hashes of all wheels.
    fn lock(&self, lock: Lock) -> String {
        let path = self.file("lock.txt");
        let mut text = String::new();
        for (package, version) in lock.releases() {
            let start = format!("{}-{version}.0-", package.name());
            text.extend([package.name(), "==", &version.to_string(), ".0"]);
            let mut wheels: Vec<_> = fs::read_dir(self.index())
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| {
                    path.file_name()
                        .unwrap()
                        .to_string_lossy()
                        .starts_with(&start)
                })
                .collect();
            wheels.sort();
            for wheel in wheels {
                let digest = Digest::of(&fs::read(wheel).unwrap());
                text.extend([" \\\n    --hash=sha256:", &digest.to_string()]);
            }
            text += "\n";
        }
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}
