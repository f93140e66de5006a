//! The commands during which the power fails, with the state before each.

use std::fs;
use std::io::Write;
use std::process::Command;

use crate::actions::PACKAGES;
use crate::trees::{Lab, Sameness, end};
use crate::{locked, machine, packages};

/// A command of the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Where nothing exists.
    Create,
    /// In one switch; the old tree is deleted.
    Clear,
    /// The same, and the old tree is kept.
    ClearAndKeep,
    /// To another Python: entries are added, changed and removed; the old ones are kept.
    Upgrade,
    /// The same with packages, which come along.
    UpgradePackages,
    /// With another prompt: entries change, and the replaced ones are deleted.
    Merge,
    /// Restores deleted and edited files.
    Repair,
    /// A damaged package is replaced by its wheel, as a whole.
    RepairPackage,
    /// To another lock: packages are added, replaced and removed; the old ones are kept.
    Sync,
    /// Of an upgrade, entry by entry.
    Rollback,
    /// Of a tree that was replaced as a whole.
    RollbackOfTree,
    /// Into a directory with foreign files, where everything is added.
    Adopt,
    /// The recovery of an upgrade that was killed before it was decided.
    Undo,
    /// The same of a tree that was switched.
    UndoOfTree,
    /// A control: an environment that shall survive a kill, but no power cut.
    CreateForProcess,
    /// A control: a program that copies a tree to the target, and syncs nothing.
    PlainCopy,
}

use Action::{
    Adopt, Clear, ClearAndKeep, Create, CreateForProcess, Merge, PlainCopy, Repair, RepairPackage,
    Rollback, RollbackOfTree, Sync, Undo, UndoOfTree, Upgrade, UpgradePackages,
};

pub(crate) const ACTIONS: [Action; 14] = [
    Create,
    Clear,
    ClearAndKeep,
    Upgrade,
    UpgradePackages,
    Merge,
    Repair,
    RepairPackage,
    Sync,
    Rollback,
    RollbackOfTree,
    Adopt,
    Undo,
    UndoOfTree,
];
/// The controls, each with the failure that must be found.
pub(crate) const CONTROLS: [(Action, &str); 2] = [
    (CreateForProcess, "the old tree, after exit 0"),
    (PlainCopy, "neither the new tree"),
];

/// A action, with pip in the environment or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) action: Action,
    pub(crate) has_pip: bool,
}

impl Case {
    pub(crate) fn name(self) -> String {
        let action = match self.action {
            Create => "create",
            Clear => "clear",
            ClearAndKeep => "clear-and-keep",
            Upgrade => "upgrade",
            UpgradePackages => "upgrade-packages",
            Merge => "merge",
            Repair => "repair",
            RepairPackage => "repair-package",
            Sync => "sync",
            Rollback => "rollback",
            RollbackOfTree => "rollback-of-tree",
            Adopt => "adopt",
            Undo => "undo",
            UndoOfTree => "undo-of-tree",
            CreateForProcess => "create-for-process",
            PlainCopy => "copy",
        };
        let pip = if self.has_pip { "-with-pip" } else { "" };
        format!("{action}{pip}")
    }

    /// How exactly the old tree must come back: where entries went and came back, their directories
    /// have another time.
    pub(crate) fn sameness(self) -> Sameness {
        match self.action {
            Create | Clear | ClearAndKeep | UndoOfTree | CreateForProcess | PlainCopy => {
                Sameness::Exact
            }
            Upgrade | UpgradePackages | Merge | Repair | RepairPackage | Sync | Rollback
            | RollbackOfTree | Adopt | Undo => Sameness::Restored,
        }
    }

    /// Whether the same command, run again, gives the new tree: a second rollback goes forward, and
    /// a second clear keeps one more generation.
    pub(crate) fn can_repeat(self) -> bool {
        matches!(
            self.action,
            Create
                | Clear
                | Upgrade
                | UpgradePackages
                | Merge
                | Repair
                | RepairPackage
                | Sync
                | Adopt
        )
    }

    /// Whether the state before is half done: then no old tree exists that could come back.
    pub(crate) fn is_recovery(self) -> bool {
        matches!(self.action, Undo | UndoOfTree)
    }

    fn flags(self) -> &'static [&'static str] {
        if self.has_pip {
            &[]
        } else {
            &["--without-pip"]
        }
    }

    /// Makes the state before the command.
    pub(crate) fn begin(self, lab: &Lab) {
        fs::create_dir_all(lab.parent()).unwrap();
        match self.action {
            Create | CreateForProcess => return,
            PlainCopy => {
                done(lab, &lab.create(self.flags()));
                fs::rename(lab.target(), lab.file("template")).unwrap();
                return;
            }
            Adopt => {
                fs::create_dir_all(lab.target().join("bin")).unwrap();
                fs::write(lab.target().join(".gitignore"), "mine\n").unwrap();
            }
            Clear | ClearAndKeep | Upgrade | UpgradePackages | Merge | Repair | RepairPackage
            | Sync | Rollback | RollbackOfTree | Undo | UndoOfTree => {
                done(
                    lab,
                    &lab.create(&[self.flags(), &["--prompt", "old"]].concat()),
                );
            }
        }
        lab.add_strangers(5);
        let bin = lab.target().join("bin");
        fs::write(bin.join("mine"), "mine\n").unwrap();
        match self.action {
            Repair => {
                fs::remove_file(bin.join("activate.csh")).unwrap();
                let mut activate = fs::OpenOptions::new();
                let mut activate = activate.append(true).open(bin.join("activate")).unwrap();
                activate.write_all(b"# mine\n").unwrap();
            }
            RepairPackage => {
                let wheels = lab.file("index");
                packages::lay_with_wheel(&lab.python, &lab.target(), (PACKAGES[0], &wheels));
                let package = packages::packages_of(&lab.target()).join(PACKAGES[0]);
                fs::remove_file(package.join("inner.py")).unwrap();
                // The wheel mends it, and not the store: the power cut may take what the recorded
                // run entered there, and each way leaves other times.
                packages::forget_digest(&lab.target(), PACKAGES[0], "inner.py");
            }
            Upgrade | Merge => fs::remove_file(bin.join("activate.csh")).unwrap(),
            UpgradePackages => packages::lay_in(&lab.python, &lab.target(), &PACKAGES),
            Sync => locked::begin(lab),
            Rollback => done(lab, &self.with(Upgrade).words(lab)),
            RollbackOfTree => done(lab, &self.with(ClearAndKeep).words(lab)),
            Undo => self.with(Upgrade).die_undecided(lab),
            UndoOfTree => self.with(Clear).die_undecided(lab),
            Create | Clear | ClearAndKeep | Adopt | CreateForProcess | PlainCopy => {}
        }
    }

    /// A health check runs after everything is in place, and nothing is decided before it has
    /// passed.
    fn die_undecided(self, lab: &Lab) {
        let mut words = self.words(lab);
        words.extend(["--check", "kill -KILL $PPID"].map(str::to_owned));
        let ended = end(&mut lab.rvenv(&words));
        assert_eq!(ended.code, None, "{}", ended.story);
    }

    fn with(self, action: Action) -> Self {
        Self { action, ..self }
    }

    /// The command under test, started by another one such as a tracer.
    pub(crate) fn command(self, lab: &Lab, wrapper: &[String]) -> Command {
        if self.action != PlainCopy {
            return lab.under(wrapper, &self.words(lab));
        }
        let words = ["cp".to_owned(), "-a".to_owned()];
        let paths = [lab.file("template"), lab.target()].map(|path| path.display().to_string());
        let words: Vec<_> = wrapper.iter().chain(&words).chain(&paths).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        command
    }

    fn words(self, lab: &Lab) -> Vec<String> {
        let create = |more: &[&str]| lab.create(&[self.flags(), more].concat());
        let verb = |verb: &str| vec![verb.to_owned(), lab.shown_target()];
        match self.action {
            Create | Adopt => create(&[]),
            Clear => create(&["--clear", "--no-keep"]),
            ClearAndKeep => create(&["--clear", "--keep"]),
            Upgrade | UpgradePackages => {
                let newest = machine::any_python().map_or(lab.python.clone(), |found| found.path);
                let newest = newest.display().to_string();
                let more = ["--prompt", "new", "--python", &newest];
                let more = more.iter().chain(self.flags());
                let more = more.map(|word| (*word).to_owned());
                verb("upgrade").into_iter().chain(more).collect()
            }
            Merge => create(&["--prompt", "new"]),
            Repair | RepairPackage => verb("repair"),
            Sync => locked::forward(lab, &[]),
            Undo | UndoOfTree => lab.recover(),
            Rollback | RollbackOfTree => verb("rollback"),
            CreateForProcess => create(&["--durability", "process"]),
            PlainCopy => unreachable!("rvenv has no such command"),
        }
    }
}

fn done(lab: &Lab, words: &[String]) {
    let ended = end(&mut lab.rvenv(words));
    assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.story);
}
