//! Filesystems: what each command does on each kind of them, in every byte, mode and time (I1).
//!
//! On each place each command does what [`EXPECTED`] says, or is refused and leaves the tree and
//! everything beside it unchanged. `plan` predicts how. `recover` ends a run that was killed at its
//! renames, and the target is then the old tree or the new one. `RVENV_EVERY=1` kills at each
//! rename. Places need root, and some of them a tool; missing ones are skipped with the reason.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::machine::{self, Python, Scratch};
use crate::mounts::is_among_mounts;
use crate::places::{Kind, MountedLab};
use crate::strace::{self, Call, meeting, noted, noting};
use crate::trees::{Ended, Lab, Sameness, Tree, compare, end, look};
use rvenv_journal::fs::real::RealFs;
use rvenv_journal::raw::{Difference, Drift};
use rvenv_journal::{Fs as _, Receipt};

/// A command at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// `create`, where nothing exists; at an empty mount point.
    Create,
    /// `create --clear` over an environment with foreign files.
    Clear,
    /// `create` over an environment with foreign files, with another option.
    Merge,
    /// `upgrade` of an environment with foreign files to another interpreter.
    Upgrade,
    /// `rollback` after an upgrade.
    Rollback,
    /// `rollback` after a rollback.
    Forward,
    /// `repair` of an environment with foreign files and damaged ones.
    Repair,
    /// `recover`, where an environment exists and nothing is to be recovered.
    Recover,
}

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    /// The exit code is 1, 2 or 3, and everything is unchanged.
    Refused,
    /// Not possible: no environment can exist there.
    Moot,
}

use Action::{Clear, Create, Forward, Merge, Recover, Repair, Rollback, Upgrade};
use End::{Done, Moot, Refused};

const ACTIONS: [Action; 8] = [
    Create, Clear, Merge, Upgrade, Rollback, Forward, Repair, Recover,
];

type Ends = [End; ACTIONS.len()];
const ALL_DONE: Ends = [Done; ACTIONS.len()];
const ONLY_RECOVER: Ends = [
    Refused, Refused, Refused, Refused, Refused, Refused, Refused, Done,
];

const EXPECTED: [(Kind, Ends); 12] = [
    (Kind::Ext4, ALL_DONE),
    (Kind::Xfs, ALL_DONE),
    (Kind::Btrfs, ALL_DONE),
    (Kind::Tmpfs, ALL_DONE),
    (Kind::Overlay, ALL_DONE),
    (Kind::Bind, ALL_DONE),
    (Kind::MountPoint, ALL_DONE),
    (Kind::Fuse, ALL_DONE),
    (
        Kind::Exfat,
        [Done, Moot, Moot, Moot, Moot, Moot, Moot, Moot],
    ),
    (Kind::ReadOnly, ONLY_RECOVER),
    (Kind::NoRenameFlags, ALL_DONE),
    (
        Kind::Unwritable,
        [Refused, Done, Done, Done, Done, Done, Done, Done],
    ),
];

/// Additional arguments of a command.
type Flags = &'static [&'static str];
const BARE: Flags = &["--without-pip"];

/// The number of foreign files in an environment.
const STRANGERS: usize = 20;

/// The calls that rename.
const RENAMES: [&str; 2] = ["renameat2", "renameat"];
/// The first rename at which the test kills: one of the steps, after those of the journal.
const FIRST: usize = 4;
/// The test also kills at each n-th rename after it; `RVENV_EVERY` sets another n.
const EVERY: usize = 36;

impl Action {
    /// Prepares the target for the action; stores the expected result where it existed before.
    fn prepare(self, lab: &mut Lab, flags: Flags, goal: &RefCell<Tree>) {
        if let Some([old, _]) = twins() {
            lab.python = old.path;
            lab.has_pip = true;
        }
        let keep_goal = |lab: &Lab| *goal.borrow_mut() = look(&lab.target());
        match self {
            Create => {}
            // `pyvenv.cfg` contains the command, so it must be the same one.
            Clear => {
                done(lab, &Clear.words(lab, flags));
                lab.add_strangers(STRANGERS);
            }
            Recover => done(lab, &lab.create(flags)),
            Merge | Upgrade => {
                done(lab, &lab.create(flags));
                lab.add_strangers(STRANGERS);
            }
            Rollback => {
                Upgrade.prepare(lab, flags, goal);
                keep_goal(lab);
                done(lab, &Upgrade.words(lab, flags));
            }
            Forward => {
                Upgrade.prepare(lab, flags, goal);
                done(lab, &Upgrade.words(lab, flags));
                keep_goal(lab);
                done(lab, &Rollback.words(lab, flags));
            }
            Repair => {
                Upgrade.prepare(lab, flags, goal);
                keep_goal(lab);
                damage(&lab.target());
            }
        }
    }

    fn words(self, lab: &Lab, flags: Flags) -> Vec<String> {
        match self {
            Create => lab.create(flags),
            Clear => lab.create(&[flags, &["--clear"]].concat()),
            Merge => lab.create(&[flags, &["--prompt", "other"]].concat()),
            Upgrade => {
                let new = twins().map_or(lab.python.clone(), |[_, new]| new.path);
                let target = lab.shown_target();
                let new = new.display().to_string();
                let words = ["upgrade", &target, "--python", &new, "--prompt", "other"];
                let words = words.iter().chain(flags);
                words.map(|word| (*word).to_owned()).collect()
            }
            Rollback | Forward => vec!["rollback".to_owned(), lab.shown_target()],
            Repair => vec!["repair".to_owned(), lab.shown_target()],
            Recover => lab.recover(),
        }
    }

    /// What `plan` reports at a place, where a plan exists.
    fn publication(self, kind: Kind) -> Option<&'static str> {
        let is_fixed = matches!(kind, Kind::MountPoint | Kind::Unwritable | Kind::ReadOnly);
        match self {
            Create if kind == Kind::MountPoint => Some("entry by entry (each file"),
            Create => Some("put (readers see nothing, then all of it)"),
            Clear if is_fixed => Some("entry by entry (the directory cannot be renamed"),
            Clear => Some("swap (readers see the old tree, then the new one)"),
            Merge | Upgrade => Some("entry by entry (each file"),
            Rollback | Forward | Repair | Recover => None,
        }
    }
}

/// Two interpreters, looked for once.
fn twins() -> Option<[Python; 2]> {
    static TWINS: OnceLock<Option<[Python; 2]>> = OnceLock::new();
    TWINS.get_or_init(machine::twins).clone()
}

fn done(lab: &Lab, words: &[String]) {
    let ended = end(&mut lab.rvenv(words));
    assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.story);
}

/// Damages managed files in three ways.
fn damage(env: &Path) {
    fs::write(env.join("bin/activate"), "").unwrap();
    fs::remove_file(env.join("bin/activate.fish")).unwrap();
    fs::remove_file(env.join("bin/python3")).unwrap();
}

/// The drift between the target and its receipt.
fn drift(lab: &Lab) -> Option<Vec<Drift>> {
    let disk = RealFs::new();
    let root = disk.open_path(&lab.target()).unwrap();
    let receipt = fs::read(lab.target().join(Receipt::path().as_str())).ok()?;
    let receipt = Receipt::from_json(&receipt).unwrap();
    Some(rvenv_journal::drift(&disk, &root, &receipt).unwrap())
}

/// A place, and the tree there before the action.
struct Bench {
    place: MountedLab,
    action: Action,
    flags: Flags,
    old: Tree,
    goal: Tree,
}

impl Bench {
    fn new(kind: Kind, action: Action, flags: Flags, cache: &Path) -> Option<Self> {
        let goal = RefCell::default();
        // The environment is in the lower layer; what a rollback restores was replaced above it.
        let is_above = kind == Kind::Overlay && matches!(action, Rollback | Forward);
        let first = if is_above { Upgrade } else { action };
        let place = MountedLab::new(kind, |lab| {
            // Another user must not use root's cache.
            if kind != Kind::Unwritable {
                cache.clone_into(&mut lab.cache);
            }
            first.prepare(lab, flags, &goal);
        })?;
        if is_above {
            *goal.borrow_mut() = look(&place.lab.target());
            place.done(&Upgrade.words(&place.lab, flags));
        }
        if is_above && action == Forward {
            *goal.borrow_mut() = look(&place.lab.target());
            place.done(&Rollback.words(&place.lab, flags));
        }
        let old = look(&place.lab.target());
        Some(Self {
            place,
            action,
            flags,
            old,
            goal: goal.into_inner(),
        })
    }

    fn words(&self) -> Vec<String> {
        self.action.words(&self.place.lab, self.flags)
    }

    fn what(&self) -> String {
        format!("{:?} on {:?}", self.action, self.place.kind)
    }

    fn tree(&self) -> Tree {
        look(&self.place.lab.target())
    }

    /// I1: the old tree with all its times; where entries went and came back, without the times of
    /// their directories.
    fn is_old(&self) -> Result<(), String> {
        let publication = self.action.publication(self.place.kind).unwrap_or_default();
        let is_whole = publication.starts_with("put") || publication.starts_with("swap");
        let sameness = if self.action == Recover || is_whole && self.place.kind != Kind::Overlay {
            Sameness::Exact
        } else {
            Sameness::Restored
        };
        compare(&self.old, &self.tree(), sameness)
    }

    /// I1: the tree that the undisturbed action leaves: that of an earlier run, or one that matches
    /// its receipt, and works.
    fn is_new(&self) -> Result<(), String> {
        let lab = &self.place.lab;
        let of = |tree: &Tree, is_meant: fn(&PathBuf) -> bool| {
            tree.clone().map(|tree| {
                tree.into_iter()
                    .filter(|(path, _)| is_meant(path))
                    .collect()
            })
        };
        let strangers: fn(&PathBuf) -> bool = |path| path.starts_with("./strangers");
        let own: fn(&PathBuf) -> bool = |path| !path.starts_with("./strangers");
        match self.action {
            Create => {}
            // Directories of a lower layer are not renamed: unplanned ones stay behind, empty.
            Clear if self.place.kind == Kind::Overlay => {
                let (old, new) = (of(&self.old, own), of(&self.tree(), own));
                compare(&old, &new, Sameness::Alike)?;
                let left = fs::read_dir(lab.target().join("strangers")).unwrap();
                if left.count() > 0 {
                    return Err("a foreign file is left".to_owned());
                }
            }
            Clear => compare(&of(&self.old, own), &self.tree(), Sameness::Alike)?,
            Merge | Upgrade => compare(
                &of(&self.old, strangers),
                &of(&self.tree(), strangers),
                Sameness::Exact,
            )?,
            Rollback | Forward => compare(&self.goal, &self.tree(), Sameness::Restored)?,
            Repair => compare(&self.goal, &self.tree(), Sameness::Alike)?,
            Recover => self.is_old()?,
        }
        let mut drift = drift(lab).ok_or("there is no receipt")?;
        // An upgrade leaves a newer setuptools, which is then the user's own.
        let may_stay =
            |path: &str| path.starts_with("strangers") || matches!(self.action, Upgrade | Forward);
        drift.retain(|drift| drift.difference != Difference::Foreign || !may_stay(&drift.path));
        if !self.place.kind.keeps_modes() {
            drift.retain(|drift| drift.difference != Difference::Mode);
        }
        if !drift.is_empty() {
            return Err(format!("not as its receipt says: {drift:?}"));
        }
        let asked = Command::new(lab.target().join("bin/python"))
            .args(["-Bc", "import sys; print(sys.prefix)"])
            .output();
        let said = asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        match said {
            Ok(prefix) if prefix.trim() == lab.shown_target() => {}
            other => return Err(format!("its python says {other:?}")),
        }
        let is_other = matches!(self.action, Merge | Upgrade | Forward);
        let config = fs::read_to_string(lab.target().join("pyvenv.cfg")).unwrap();
        if config.contains("other") == is_other {
            Ok(())
        } else {
            Err(format!("its configuration is {config}"))
        }
    }

    /// Leftovers with the engine's names, beside the target and in it.
    fn litter(&self) -> Vec<String> {
        let mut litter = self.place.lab.litter();
        let inner = fs::read_dir(self.place.lab.target().join(".rvenv"));
        let inner = inner.into_iter().flatten();
        let inner = inner.map(|name| name.unwrap().file_name().to_string_lossy().into_owned());
        let is_kept =
            |name: &str| ["receipt.json", "log"].contains(&name) || name.starts_with("old-");
        litter.extend(inner.filter(|name| !is_kept(name)));
        litter
    }

    /// Checks that `plan` predicts how the action publishes.
    fn check_plan(&self) {
        let Some(publication) = self.action.publication(self.place.kind) else {
            return;
        };
        let mut words = self.words();
        "plan".clone_into(words.first_mut().unwrap());
        if self.action == Upgrade {
            words.push("--upgrade".to_owned());
        }
        let mut command = self.place.lab.rvenv(&words);
        let output = command.stdout(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let expected = format!("Publication: {publication}");
        assert!(said.contains(&expected), "{}: {said}", self.what());
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
        assert_eq!(self.litter(), [""; 0], "{what}: {story}");
    }
}

/// Runs all commands at a kind of place, and kills each at its renames.
fn check(test: &str, kind: Kind) {
    if !is_among_mounts(module_path!(), test) {
        return;
    }
    let (_, ends) = EXPECTED.iter().find(|(known, _)| *known == kind).unwrap();
    // The answers of interpreters and the unpacked wheels are the same for all that follows.
    let cache = Scratch::in_memory();
    let cache = &cache.cache();
    let possible = ACTIONS
        .into_iter()
        .zip(ends)
        .filter(|(_, end)| **end != Moot);
    let (mut asked, mut sum) = (0, 0);
    for (action, expected) in possible {
        // `recover` does not believe what other users may write, and where modes are not kept, all
        // users may write.
        let is_believed = kind.keeps_modes();
        let is_killed = action != Recover && *expected == Done && is_believed && strace::is_there();
        let mut renames = [0; RENAMES.len()];
        for flags in [BARE, &[]] {
            let Some(bench) = Bench::new(kind, action, flags, cache) else {
                return;
            };
            if flags == BARE || bench.place.lab.has_pip {
                bench.check_plan();
                let ended = if flags == BARE && is_killed {
                    let log = bench.place.lab.file("renames");
                    let ended = bench
                        .place
                        .run_under(&noting(&RENAMES, &log), &bench.words());
                    renames = RENAMES.map(|call| noted(&log, call));
                    ended
                } else {
                    bench.place.run(&bench.words())
                };
                bench.judge(&ended, *expected);
            }
        }
        if is_killed {
            let calls = RENAMES.into_iter().zip(renames);
            let kills = calls.map(|(call, count)| {
                let kills = kill_at_some((kind, action), (call, count), cache)?;
                println!("{action:?} on {kind:?}: killed at {kills} of {count} {call}");
                Some(kills)
            });
            asked += 1;
            sum += kills.flatten().sum::<usize>();
        }
    }
    assert!(asked == 0 || sum > 0, "nothing was killed on {kind:?}");
}

/// I1: kills a run before some of its calls of a kind, and recovers; returns the number of kills.
fn kill_at_some(
    (kind, action): (Kind, Action),
    (call, count): (&str, usize),
    cache: &Path,
) -> Option<usize> {
    let mut kills = 0;
    let every = std::env::var("RVENV_EVERY").ok();
    let every = every.and_then(|every| every.parse().ok()).unwrap_or(EVERY);
    for nth in (FIRST..=count).step_by(every) {
        let bench = Bench::new(kind, action, BARE, cache)?;
        let call = Call {
            kind: call.to_owned(),
            nth,
        };
        let killer = meeting(&call, "signal=KILL", "");
        let ended = bench.place.run_under(&killer, &bench.words());
        let what = format!("{}, killed at {call:?}", bench.what());
        assert_eq!(ended.code, None, "{what}: {}", ended.story);
        kills += 1;
        let recovered = bench.place.run(&bench.place.lab.recover());
        let mut litter = bench.litter();
        if kind.tells_births() {
            assert_eq!(recovered.code, Some(0), "{what}: {}", recovered.story);
        } else {
            // Then an inode number may have been reused: what is in doubt is kept and named, never
            // deleted.
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
    Some(kills)
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
    old_or_new_where_the_directory_above_may_not_be_written: Unwritable,
}

/// The command names a mount where entries change before it touches anything; elsewhere a mount
/// does not matter.
#[test]
fn a_mount_inside_is_named_where_it_is_in_the_way() {
    if !is_among_mounts(
        module_path!(),
        "a_mount_inside_is_named_where_it_is_in_the_way",
    ) {
        return;
    }
    let (Some(mut lab), Some(_)) = (Lab::new(), twins()) else {
        return;
    };
    let flags: Flags = &[];
    Upgrade.prepare(&mut lab, flags, &RefCell::default());
    let old = look(&lab.target());
    let lib = lab.target().join("lib");
    let python = fs::read_dir(&lib).unwrap().next().unwrap().unwrap().path();
    let site = python.join("site-packages");
    for (at, actions) in [
        (&lib, &[Upgrade, Clear][..]),
        (&site, &[Upgrade, Clear]),
        (&lab.target().join("strangers"), &[Clear]),
    ] {
        let at = at.display().to_string();
        let mount =
            |words: &[&str]| assert!(Command::new("sh").args(words).status().unwrap().success());
        mount(&["-c", "mount --bind \"$0\" \"$0\"", &at]);
        let ends = actions
            .iter()
            .map(|action| end(&mut lab.rvenv(&action.words(&lab, flags))));
        let ends: Vec<_> = ends.collect();
        let unchanged = compare(&old, &look(&lab.target()), Sameness::Restored);
        let upgraded = (ends.len() == 1).then(|| end(&mut lab.rvenv(&Upgrade.words(&lab, flags))));
        mount(&["-c", "umount \"$0\"", &at]);
        for ended in ends {
            assert!(matches!(ended.code, Some(1 | 3)), "{}", ended.story);
            assert!(ended.story.contains(&at), "{at}: {}", ended.story);
        }
        assert_eq!(unchanged, Ok(()), "{at}");
        if let Some(upgraded) = upgraded {
            assert_eq!(upgraded.code, Some(0), "{at}: {}", upgraded.story);
        }
    }
}
