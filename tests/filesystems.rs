//! Filesystems: what the command does on each kind of them, to the byte, mode and time (I1).
//!
//! On each place `create`, `create --clear` and `recover` do what [`EXPECTED`] says, or are refused and leave the tree
//! and everything beside it as it was; and a run that is killed at any of its renames is ended by `recover`, after which
//! the old tree stands or the new one.
//! Places need root, and some of them a tool; what cannot be had is skipped with the reason.

#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "tests start the real command")]
#![expect(
    clippy::print_stdout,
    reason = "a test says what it skips and what it counted"
)]
#![expect(clippy::unwrap_used, reason = "a test may stop at anything unexpected")]

#[path = "trees/mounts.rs"]
mod mounts;
mod places;
#[expect(
    dead_code,
    reason = "here calls are counted by meeting them, not by a list"
)]
#[path = "trees/strace.rs"]
mod strace;
mod trees;

use std::path::PathBuf;
use std::process::Command;

use mounts::is_among_mounts;
use places::{Kind, Place};
use rvenv_journal::fs::real::RealFs;
use rvenv_journal::{Difference, Drift, Fs as _, Receipt};
use strace::{Call, meeting};
use trees::{Ended, Lab, Sameness, Tree, compare, end, look};

/// What is done at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// `create`, where nothing is; at a mount point, where nothing is in it.
    Create,
    /// `create --clear` over an environment with foreign files.
    Clear,
    /// `recover`, where an environment stands and nothing is to be recovered.
    Recover,
}

/// How a deed ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    /// The exit code is 1, 2 or 3, and all is as it was.
    Refused,
    /// It cannot be asked for: no environment can be there.
    Moot,
}

use Deed::{Clear, Create, Recover};
use End::{Done, Moot, Refused};

const DEEDS: [Deed; 3] = [Create, Clear, Recover];

const EXPECTED: [(Kind, [End; DEEDS.len()]); 11] = [
    (Kind::Ext4, [Done, Done, Done]),
    (Kind::Xfs, [Done, Done, Done]),
    (Kind::Btrfs, [Done, Done, Done]),
    (Kind::Tmpfs, [Done, Done, Done]),
    (Kind::Overlay, [Done, Refused, Done]),
    (Kind::Bind, [Done, Done, Done]),
    (Kind::MountPoint, [Refused, Refused, Done]),
    (Kind::Fuse, [Done, Done, Done]),
    (Kind::Exfat, [Done, Moot, Moot]),
    (Kind::ReadOnly, [Refused, Refused, Done]),
    (Kind::NoRenameFlags, [Done, Done, Done]),
];

/// Words of the command line that a deed has beside its own.
type Flags = &'static [&'static str];
const BARE: Flags = &["--without-pip"];

/// How many foreign files stand in an environment that is cleared.
const STRANGERS: usize = 20;

impl Deed {
    /// Puts down what the deed meets.
    fn prepare(self, lab: &Lab, flags: Flags) {
        match self {
            Create => {}
            // The command stands in `pyvenv.cfg`: it has to be the same one.
            Clear => {
                create(lab, &Clear.words(lab, flags));
                lab.add_strangers(STRANGERS);
            }
            Recover => create(lab, &Create.words(lab, flags)),
        }
    }

    fn words(self, lab: &Lab, flags: Flags) -> Vec<String> {
        match self {
            Create => lab.create(flags),
            Clear => lab.create(&[flags, &["--clear"]].concat()),
            Recover => lab.recover(),
        }
    }
}

fn create(lab: &Lab, words: &[String]) {
    let ended = end(&mut lab.rvenv(words));
    assert_eq!(ended.code, Some(0), "{}", ended.story);
}

/// What the engine finds in the target that its receipt does not say.
fn drift(lab: &Lab) -> Vec<Drift> {
    let fs = RealFs::new();
    let root = fs.open_path(&lab.target()).unwrap();
    let receipt = std::fs::read(lab.target().join(Receipt::path().as_str())).unwrap();
    let receipt = Receipt::from_json(&receipt).unwrap();
    rvenv_journal::drift(&fs, &root, &receipt).unwrap()
}

/// A place, and the tree that stands there before the deed.
struct Bench {
    place: Place,
    deed: Deed,
    flags: Flags,
    old: Tree,
}

impl Bench {
    fn new(kind: Kind, deed: Deed, flags: Flags) -> Option<Self> {
        let place = Place::new(kind, |lab| deed.prepare(lab, flags))?;
        let old = look(&place.lab.target());
        Some(Self {
            place,
            deed,
            flags,
            old,
        })
    }

    fn words(&self) -> Vec<String> {
        self.deed.words(&self.place.lab, self.flags)
    }

    fn what(&self) -> String {
        format!("{:?} on {:?}", self.deed, self.place.kind)
    }

    fn tree(&self) -> Tree {
        look(&self.place.lab.target())
    }

    /// I1: the old tree, to the time, and nothing beside it.
    fn is_old(&self) -> Result<(), String> {
        compare(&self.old, &self.tree(), Sameness::Exact)
    }

    /// I1: the tree that the deed leaves when nobody disturbs it: that of an earlier run, or all that its receipt says,
    /// and it works.
    fn is_new(&self) -> Result<(), String> {
        let lab = &self.place.lab;
        let fresh = self.old.clone().map(|old| {
            let own = |(path, _): &(PathBuf, _)| !path.starts_with("./strangers");
            old.into_iter().filter(own).collect()
        });
        match self.deed {
            Create => {}
            Clear => compare(&fresh, &self.tree(), Sameness::Alike)?,
            Recover => self.is_old()?,
        }
        let mut drift = drift(lab);
        if !self.place.kind.keeps_modes() {
            drift.retain(|drift| drift.difference != Difference::Mode);
        }
        if !drift.is_empty() {
            return Err(format!("not as its receipt says: {drift:?}"));
        }
        let asked = Command::new(lab.target().join("bin/python"))
            .args(["-c", "import sys; print(sys.prefix)"])
            .output();
        let said = asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        match said {
            Ok(prefix) if prefix.trim() == lab.shown_target() => Ok(()),
            other => Err(format!("its python says {other:?}")),
        }
    }

    fn judge(&self, ended: &Ended, expected: End) {
        let (what, story) = (self.what(), &ended.story);
        assert!(!story.contains("panicked"), "{what}: {story}");
        let truth = match expected {
            Done => {
                assert_eq!(ended.code, Some(0), "{what}: {story}");
                self.is_new()
            }
            Refused => {
                let is_refusal = matches!(ended.code, Some(1..=3));
                assert!(is_refusal, "{what}: {:?} {story}", ended.code);
                self.is_old()
            }
            Moot => unreachable!("{what} was asked for"),
        };
        assert_eq!(truth, Ok(()), "{what}: {story}");
        assert_eq!(self.place.lab.litter(), [""; 0], "{what}: {story}");
    }
}

/// All deeds at a kind of place, and each of them killed at each of its renames.
fn check(test: &str, kind: Kind) {
    if !is_among_mounts(test) {
        return;
    }
    let (_, ends) = EXPECTED.iter().find(|(known, _)| *known == kind).unwrap();
    let possible = DEEDS.into_iter().zip(ends).filter(|(_, end)| **end != Moot);
    for (deed, expected) in possible {
        for flags in [BARE, &[]] {
            let Some(bench) = Bench::new(kind, deed, flags) else {
                return;
            };
            if flags == BARE || bench.place.lab.has_pip {
                let ended = bench.place.run(&bench.words());
                bench.judge(&ended, *expected);
            }
        }
        // What others may write to is not believed by whoever recovers, and everybody may where modes are not kept.
        let is_believed = kind.keeps_modes();
        if deed != Recover && *expected == Done && is_believed && strace::is_there() {
            let killed = ["renameat2", "renameat"].map(|call| kill_at_each(kind, deed, call));
            println!("{deed:?} on {kind:?}: killed at {killed:?} renames");
        }
    }
}

/// I1: kills a run before each call of a kind, and lets `recover` end what it left; says how many kills there were.
fn kill_at_each(kind: Kind, deed: Deed, call: &str) -> usize {
    for nth in 1.. {
        let Some(bench) = Bench::new(kind, deed, BARE) else {
            return nth - 1;
        };
        let call = Call {
            kind: call.to_owned(),
            nth,
        };
        let killer = meeting(&call, "signal=KILL", "");
        let ended = bench.place.run_under(&killer, &bench.words());
        let what = format!("{}, killed at {call:?}", bench.what());
        if ended.code.is_some() {
            assert_eq!(ended.code, Some(0), "{what}: {}", ended.story);
            return nth - 1;
        }
        let recovered = bench.place.run(&bench.place.lab.recover());
        let mut litter = bench.place.lab.litter();
        if kind.tells_births() {
            assert_eq!(recovered.code, Some(0), "{what}: {}", recovered.story);
        } else {
            // Then an inode number may have been given out again: what is in doubt is kept and named, never deleted.
            litter.retain(|name| !name.starts_with(".E.rvenv.old-"));
            let is_told = matches!(recovered.code, Some(0 | 5));
            assert!(is_told, "{what}: {}", recovered.story);
        }
        assert_eq!(litter, [""; 0], "{what}: {}", recovered.story);
        let truth = bench.is_old().or_else(|old| {
            bench
                .is_new()
                .map_err(|new| format!("not old: {old}; not new: {new}"))
        });
        assert_eq!(truth, Ok(()), "{what}: {}", recovered.story);
    }
    unreachable!("a run has fewer renames than there are numbers")
}

macro_rules! places {
    ($($test:ident: $kind:ident,)*) => {
        $(
            #[test]
            fn $test() {
                check(stringify!($test), Kind::$kind);
            }
        )*
    };
}

places! {
    old_or_new_on_ext4: Ext4,
    old_or_new_on_xfs: Xfs,
    old_or_new_on_btrfs: Btrfs,
    old_or_new_on_tmpfs: Tmpfs,
    old_or_new_over_a_lower_layer: Overlay,
    old_or_new_below_a_bind_mount: Bind,
    old_or_new_at_a_mount_point: MountPoint,
    old_or_new_on_fuse_without_flags_of_a_rename: Fuse,
    old_or_new_on_exfat: Exfat,
    old_on_what_may_only_be_read: ReadOnly,
    old_or_new_without_flags_of_a_rename: NoRenameFlags,
}
