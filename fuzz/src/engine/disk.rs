//! Disks on which the engine worked, with foreign objects beside its target, and how they may
//! change.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::OnceLock;

use rvenv_journal::Target;
use rvenv_journal::fs::sim::{SimEntry, SimFs};
use rvenv_journal::fs::{Dir, Fs};
use rvenv_journal::raw::{Identity, Names};

use crate::publication::cases;
use crate::publication::{Case, Ground, parent, write};

/// Every case, with its disk: the old tree, and foreign objects that must not change.
pub fn histories() -> &'static [(Case, SimFs)] {
    static ALL: OnceLock<Vec<(Case, SimFs)>> = OnceLock::new();
    ALL.get_or_init(|| {
        let lists = [
            cases::cases(),
            cases::entry_cases(),
            cases::rolled_cases(),
            cases::layered_cases(),
        ];
        let all = lists.into_iter().flatten().map(|case| {
            let disk = case.disk();
            add_strangers(&disk);
            (case, disk)
        });
        all.collect()
    })
}

/// A copy of a disk, with no locks and no pending fault.
pub fn copy(disk: &SimFs) -> SimFs {
    disk.killed()
}

fn add_strangers(disk: &SimFs) {
    let root = disk.open_path(Path::new("/")).expect("there is a root");
    let dir = |at: &Dir, name: &str| {
        disk.make_dir(at, OsStr::new(name), 0o750)
            .expect("the name is free");
        disk.open_dir(at, OsStr::new(name))
            .expect("it was just made")
    };
    let outside = dir(&root, "o");
    write(disk, &outside, "f", b"a file outside");
    let deeper = dir(&outside, "d");
    write(disk, &deeper, "f", b"a file further outside");
    let at = parent(disk);
    write(disk, &dir(&at, "n"), "f", b"a neighbour's file");
    // What another target has beside it, and names that almost look like the engine's.
    for name in [
        ".n.rvenv.journal",
        ".n.rvenv.new-x",
        ".t.rvenv",
        "t.rvenv.journal",
        ".tt.rvenv.lock",
    ] {
        write(disk, &at, name, b"a neighbour's notes");
    }
    disk.make_symlink(&outside, OsStr::new("link"), OsStr::new("/p/t"))
        .expect("the name is free");
}

/// One object: its identity, and everything that a promise covers.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    pub identity: Identity,
    pub entry: SimEntry,
    owner: u32,
}

/// Every object of a disk, by its path from the root.
pub type Objects = BTreeMap<String, Object>;

pub fn objects(disk: &SimFs) -> Objects {
    let seen = disk
        .tree(Path::new("/"))
        .into_iter()
        .filter(|(path, _)| !path.is_empty());
    let object = |(path, entry): (String, SimEntry)| {
        let (dir, name) = place(disk, &path)?;
        let meta = disk.meta(&dir, &name).ok()??;
        let (identity, owner) = (meta.identity, meta.owner);
        Some((
            path,
            Object {
                identity,
                entry,
                owner,
            },
        ))
    };
    seen.filter_map(object).collect()
}

/// The directory that holds a path from the root, and its name there.
pub fn place(disk: &SimFs, path: &str) -> Option<(Dir, OsString)> {
    let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
    let dir = disk.open_path(&Path::new("/").join(above)).ok()?;
    Some((dir, name.into()))
}

/// Where a transaction may write: at one target, and at the engine's names beside it.
pub struct Bounds {
    /// The target, from the root.
    pub target: String,
    /// The directory that holds it, with a separator at its end unless it is the root.
    above: String,
    names: Names,
}

impl Bounds {
    pub fn of(target: &Target<'_>) -> Self {
        let path = target.path().to_string_lossy().into_owned();
        let target = path.trim_start_matches('/').to_owned();
        let (above, name) = target
            .rsplit_once('/')
            .map_or((String::new(), target.as_str()), |(above, name)| {
                (format!("{above}/"), name)
            });
        let names = Names::of(name);
        Self {
            target,
            above,
            names,
        }
    }

    /// The first name below the directory that holds the target, if it is one of those that may
    /// change.
    fn own_name<'p>(&self, path: &'p str) -> Option<&'p str> {
        let name = path.strip_prefix(&self.above)?.split('/').next()?;
        let is_target = format!("{}{name}", self.above) == self.target;
        (is_target || self.names.read(name).is_some()).then_some(name)
    }

    /// Whether the object at a path may change.
    pub fn has(&self, path: &str) -> bool {
        self.own_name(path).is_some()
    }

    /// I6: nothing changes outside of the target and the engine's names beside it.
    pub fn check_outside(&self, before: &Objects, after: &Objects) {
        let outside = |objects: &Objects| -> Objects {
            let outside = objects.iter().filter(|(path, _)| !self.has(path));
            outside
                .map(|(path, object)| (path.clone(), object.clone()))
                .collect()
        };
        assert_eq!(
            outside(before),
            outside(after),
            "something outside of {} changed",
            self.target
        );
    }
}

/// Everything except lock files, which every run creates and removes.
pub fn without_locks(objects: &Objects) -> Objects {
    let mut objects = objects.clone();
    objects.retain(|path, _| !path.ends_with(".rvenv.lock"));
    objects
}

/// The objects that `is_owned` does not allow to be deleted, and that are gone.
pub fn lost<'o>(
    before: &'o Objects,
    after: &Objects,
    case: &Case,
    is_owned: impl Fn(&str, &Object) -> bool,
) -> Vec<&'o str> {
    let identities: BTreeSet<Identity> = after.values().map(|object| object.identity).collect();
    let is_there = |object: &Object| match &object.entry {
        // What was in a lower layer becomes another object, and keeps its content.
        SimEntry::File { bytes, .. } => after.values().any(|other| {
            let same = case.ground == Ground::Lower || other.identity == object.identity;
            same && matches!(&other.entry, SimEntry::File { bytes: found, .. } if found == bytes)
        }),
        SimEntry::Dir { .. } | SimEntry::Symlink { .. } | SimEntry::Other { .. } => {
            case.ground == Ground::Lower || identities.contains(&object.identity)
        }
    };
    let lost = before
        .iter()
        .filter(|(path, object)| !is_owned(path, object) && !is_there(object));
    lost.map(|(path, _)| path.as_str()).collect()
}
