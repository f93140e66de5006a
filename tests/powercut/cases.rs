//! The commands that lose their power, with what stands there before them.

use std::fs;
use std::io::Write;
use std::process::Command;

use crate::pythons;
use crate::trees::{Lab, Sameness, end};

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Where nothing is.
    Create,
    /// In one switch; what was there is deleted.
    Clear,
    /// The same, and what was there is kept.
    ClearAndKeep,
    /// To another Python: entries come, change and go; what was there is kept.
    Upgrade,
    /// With another prompt: entries change, and what they replace is deleted.
    Merge,
    /// What was deleted and edited comes back.
    Repair,
    /// Of an upgrade, entry by entry.
    Rollback,
    /// Of a tree that was replaced as a whole.
    RollbackOfTree,
    /// A control: an environment whose success is to survive a kill, and nothing worse.
    CreateForProcess,
    /// A control: a program that copies a tree to its place, and syncs nothing.
    PlainCopy,
}

use Deed::{
    Clear, ClearAndKeep, Create, CreateForProcess, Merge, PlainCopy, Repair, Rollback,
    RollbackOfTree, Upgrade,
};

pub(crate) const DEEDS: [Deed; 8] = [
    Create,
    Clear,
    ClearAndKeep,
    Upgrade,
    Merge,
    Repair,
    Rollback,
    RollbackOfTree,
];
/// Each with what it must be caught by.
pub(crate) const CONTROLS: [(Deed, &str); 2] = [
    (CreateForProcess, "the old tree, after exit 0"),
    (PlainCopy, "neither the new tree"),
];

/// A deed, with pip in the environment or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) deed: Deed,
    pub(crate) has_pip: bool,
}

impl Case {
    pub(crate) fn name(self) -> String {
        let deed = match self.deed {
            Create => "create",
            Clear => "clear",
            ClearAndKeep => "clear-and-keep",
            Upgrade => "upgrade",
            Merge => "merge",
            Repair => "repair",
            Rollback => "rollback",
            RollbackOfTree => "rollback-of-tree",
            CreateForProcess => "create-for-process",
            PlainCopy => "copy",
        };
        let pip = if self.has_pip { "-with-pip" } else { "" };
        format!("{deed}{pip}")
    }

    /// What the old tree must still have in common with itself: where entries went and came back, their directories
    /// have another time.
    pub(crate) fn sameness(self) -> Sameness {
        match self.deed {
            Create | Clear | ClearAndKeep | CreateForProcess | PlainCopy => Sameness::Exact,
            Upgrade | Merge | Repair | Rollback | RollbackOfTree => Sameness::Restored,
        }
    }

    /// Whether the same command, run again, gives the new tree: rolling back once more goes forward, and clearing once more
    /// keeps one more.
    pub(crate) fn can_repeat(self) -> bool {
        matches!(self.deed, Create | Clear | Upgrade | Merge | Repair)
    }

    fn flags(self) -> &'static [&'static str] {
        if self.has_pip {
            &[]
        } else {
            &["--without-pip"]
        }
    }

    /// Makes what stands there before.
    pub(crate) fn begin(self, lab: &Lab) {
        fs::create_dir_all(lab.parent()).unwrap();
        match self.deed {
            Create | CreateForProcess => return,
            PlainCopy => {
                done(lab, &lab.create(self.flags()));
                fs::rename(lab.target(), lab.file("template")).unwrap();
                return;
            }
            Clear | ClearAndKeep | Upgrade | Merge | Repair | Rollback | RollbackOfTree => {
                done(
                    lab,
                    &lab.create(&[self.flags(), &["--prompt", "old"]].concat()),
                );
            }
        }
        lab.add_strangers(5);
        let bin = lab.target().join("bin");
        fs::write(bin.join("mine"), "mine\n").unwrap();
        match self.deed {
            Repair => {
                fs::remove_file(bin.join("activate.csh")).unwrap();
                let mut activate = fs::OpenOptions::new();
                let mut activate = activate.append(true).open(bin.join("activate")).unwrap();
                activate.write_all(b"# mine\n").unwrap();
            }
            Upgrade | Merge => fs::remove_file(bin.join("activate.csh")).unwrap(),
            Rollback => done(lab, &self.with(Upgrade).words(lab)),
            RollbackOfTree => done(lab, &self.with(ClearAndKeep).words(lab)),
            Create | Clear | ClearAndKeep | CreateForProcess | PlainCopy => {}
        }
    }

    fn with(self, deed: Deed) -> Self {
        Self { deed, ..self }
    }

    /// The command that loses its power, started by another one such as a tracer.
    pub(crate) fn command(self, lab: &Lab, wrapper: &[String]) -> Command {
        if self.deed != PlainCopy {
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
        match self.deed {
            Create => create(&[]),
            Clear => create(&["--clear", "--no-keep"]),
            ClearAndKeep => create(&["--clear", "--keep"]),
            Upgrade => {
                let newest = pythons::any_python().map_or(lab.python.clone(), |found| found.path);
                let newest = newest.display().to_string();
                let more = ["--prompt", "new", "--python", &newest];
                let more = more.iter().chain(self.flags());
                let more = more.map(|word| (*word).to_owned());
                verb("upgrade").into_iter().chain(more).collect()
            }
            Merge => create(&["--prompt", "new"]),
            Repair => verb("repair"),
            Rollback | RollbackOfTree => verb("rollback"),
            CreateForProcess => create(&["--durability", "process"]),
            PlainCopy => unreachable!("that is no word of ours"),
        }
    }
}

fn done(lab: &Lab, words: &[String]) {
    let ended = end(&mut lab.rvenv(words));
    assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.story);
}
