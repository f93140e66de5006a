//! The commands that are disturbed, and the states on which they run.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use crate::machine;
use crate::trees::{Lab, end};
use crate::{locked, packages};

/// The packages that come along.
pub(crate) const PACKAGES: [&str; 2] = ["p00", "p07"];

/// A command, and the state on which it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Where nothing exists.
    Create,
    /// The same with an empty cache, so that the interpreter is queried and the answer cached.
    CreateCold,
    /// Over an environment with foreign files, all of which are deleted.
    Clear,
    /// The same, and the old tree is kept.
    ClearKeep,
    /// The same with a saved plan.
    Apply,
    /// To another Python: entries are added, changed and removed; the old ones are kept.
    Upgrade,
    /// The same with packages, which come along.
    UpgradePackages,
    /// With another prompt: entries change, and the replaced ones are deleted.
    Merge,
    /// Into a directory with foreign files, where everything is added.
    Adopt,
    /// Deleted and edited files are restored, and the edits are kept.
    Repair,
    /// A damaged package is replaced by its wheel, as a whole.
    RepairPackage,
    /// To another lock: packages are added, replaced and removed; the old ones are kept.
    Sync,
    /// An upgrade is rolled back.
    Rollback,
    /// The same, and rolled forward again.
    Forward,
    /// A clear is rolled back.
    RollbackTree,
    /// The environment is taken away, with foreign files in it.
    Remove,
    /// Where nothing exists, with the packages of another environment.
    Clone,
}

impl Action {
    /// All actions.
    pub(crate) const ALL: [Self; 17] = [
        Self::Create,
        Self::CreateCold,
        Self::Clear,
        Self::ClearKeep,
        Self::Apply,
        Self::Upgrade,
        Self::UpgradePackages,
        Self::Merge,
        Self::Adopt,
        Self::Repair,
        Self::RepairPackage,
        Self::Sync,
        Self::Rollback,
        Self::Forward,
        Self::RollbackTree,
        Self::Remove,
        Self::Clone,
    ];

    /// Whether the tree is switched as a whole, not entry by entry.
    pub(crate) fn is_whole(self) -> bool {
        match self {
            Self::Create
            | Self::CreateCold
            | Self::Clear
            | Self::ClearKeep
            | Self::Apply
            | Self::RollbackTree
            | Self::Remove
            | Self::Clone => true,
            Self::Upgrade
            | Self::UpgradePackages
            | Self::Merge
            | Self::Adopt
            | Self::Repair
            | Self::RepairPackage
            | Self::Sync
            | Self::Rollback
            | Self::Forward => false,
        }
    }

    /// Whether a published tree may be undone, since a check decides about it.
    pub(crate) fn awaits_a_check(self) -> bool {
        self == Self::Clone || !self.is_whole()
    }

    /// Whether the same command restores the old state.
    pub(crate) fn goes_back(self) -> bool {
        matches!(self, Self::Rollback | Self::Forward | Self::RollbackTree)
    }

    /// Whether the same command, run again after a kill, ends in the new state; a second run of a
    /// command that keeps what it replaces keeps more, and what is gone cannot be removed.
    pub(crate) fn can_be_repeated(self) -> bool {
        !self.goes_back() && !matches!(self, Self::ClearKeep | Self::Remove)
    }

    pub(super) fn words(self, lab: &Lab, flags: &[&str]) -> Vec<String> {
        let with = |verb: &str, more: &[&str]| {
            let words = [verb, &lab.shown_target()].map(str::to_owned);
            let more = more.iter().map(|word| (*word).to_owned());
            words.into_iter().chain(more).collect()
        };
        match self {
            Self::Create | Self::CreateCold | Self::Adopt => lab.create(flags),
            Self::Clear => lab.create(&[flags, &["--clear"]].concat()),
            Self::ClearKeep => lab.create(&[flags, &["--clear", "--keep"]].concat()),
            Self::Apply => vec!["apply".to_owned(), plan_file(lab)],
            Self::Upgrade | Self::UpgradePackages => {
                // With only one Python, fewer entries change.
                let newest = machine::any_python().map_or(lab.python.clone(), |python| python.path);
                let newest = newest.display().to_string();
                with(
                    "upgrade",
                    &[flags, &["--prompt", "new", "--python", &newest]].concat(),
                )
            }
            Self::Merge => lab.create(&[flags, &["--prompt", "new"]].concat()),
            Self::Repair | Self::RepairPackage => with("repair", &[]),
            Self::Sync => locked::forward(lab, &[]),
            Self::Rollback | Self::Forward | Self::RollbackTree => with("rollback", &[]),
            Self::Remove => with("remove", &[]),
            Self::Clone => vec!["clone".to_owned(), source(lab), lab.shown_target()],
        }
    }

    /// Makes the state of the target before the command.
    pub(super) fn begin(self, lab: &Lab, flags: &[&str]) {
        let target = lab.target();
        match self {
            Self::Create | Self::CreateCold => return,
            Self::Clone => {
                let mut words = lab.create(&[flags, &["--prompt", "source"]].concat());
                *words.get_mut(1).unwrap() = source(lab);
                done(lab, &words);
                packages::lay_in(&lab.python, &lab.file("source"), &PACKAGES);
                return;
            }
            Self::Adopt => {
                fs::create_dir(&target).unwrap();
                fs::write(target.join(".gitignore"), "mine\n").unwrap();
                fs::create_dir(target.join("bin")).unwrap();
            }
            Self::Clear
            | Self::ClearKeep
            | Self::Apply
            | Self::Upgrade
            | Self::UpgradePackages
            | Self::Merge
            | Self::Repair
            | Self::RepairPackage
            | Self::Sync
            | Self::Rollback
            | Self::Forward
            | Self::RollbackTree
            | Self::Remove => {
                done(lab, &lab.create(&[flags, &["--prompt", "old"]].concat()));
            }
        }
        lab.add_strangers(6);
        fs::write(target.join("bin/mine"), "mine\n").unwrap();
        match self {
            Self::Upgrade | Self::Merge => {
                fs::remove_file(target.join("bin/activate.csh")).unwrap();
            }
            Self::UpgradePackages => packages::lay_in(&lab.python, &target, &PACKAGES),
            Self::Repair => damage(&target),
            Self::RepairPackage => {
                packages::lay_with_wheel(&lab.python, &target, (PACKAGES[0], &lab.file("index")));
                damage_package(&target);
                // The wheel is in the cache then.
                done(lab, &self.words(lab, flags));
                damage_package(&target);
            }
            Self::Sync => locked::begin(lab),
            Self::Rollback => done(lab, &Self::Upgrade.words(lab, flags)),
            Self::Forward => {
                done(lab, &Self::Upgrade.words(lab, flags));
                done(lab, &Self::Rollback.words(lab, flags));
            }
            Self::RollbackTree => done(lab, &Self::ClearKeep.words(lab, flags)),
            Self::Create
            | Self::CreateCold
            | Self::Clear
            | Self::ClearKeep
            | Self::Apply
            | Self::Adopt
            | Self::Remove
            | Self::Clone => {}
        }
    }
}

fn damage(target: &Path) {
    fs::remove_file(target.join("bin/activate.csh")).unwrap();
    let script = target.join("bin/activate");
    let mut script = fs::OpenOptions::new().append(true).open(script).unwrap();
    script.write_all(b"# mine\n").unwrap();
    if fs::remove_file(target.join("lib64")).is_ok() {
        std::os::unix::fs::symlink("elsewhere", target.join("lib64")).unwrap();
    }
}

/// Deletes a module of the first package, and edits its data.
fn damage_package(target: &Path) {
    let site = packages::packages_of(target);
    fs::remove_file(site.join(PACKAGES[0]).join("inner.py")).unwrap();
    fs::write(site.join(PACKAGES[0]).join("table.txt"), "edited\n").unwrap();
}

/// The environment that is cloned.
fn source(lab: &Lab) -> String {
    lab.file("source").display().to_string()
}

pub(super) fn plan_file(lab: &Lab) -> String {
    lab.file("plan.json").display().to_string()
}

/// Runs a command that has to succeed.
pub(crate) fn done(lab: &Lab, words: &[String]) {
    let ended = end(&mut lab.rvenv(words));
    assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.story);
}
