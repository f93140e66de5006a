//! What another process of the same user may do to a disk between two runs: move, remove and create
//! objects, and write journals.

use std::ffi::OsStr;

use rvenv_journal::fs::sim::{SimEntry, SimFs};
use rvenv_journal::fs::{Dir, Flush, Fs, NewFile, Rename};
use rvenv_journal::raw::{Act, EntrySlot, Form, Identity, Origin, Record, Step};
use rvenv_journal::{Digest, Durability, RelPath, Retention, Verdict};

use super::choices::Choices;
use super::disk::{Objects, objects, place};

/// Names in the directory of the target; those inside it have no prefix.
const NAMES: [&str; 14] = [
    "journal",
    "journal.settle",
    "journal.undo",
    "journal.tmp",
    "journal.doubt-settle-00000000-0000-4000-8000-000000000001",
    "journal.doubt-undo-00000000-0000-4000-8000-000000000002",
    "new-1-1",
    "new-x",
    "old-1",
    "old-1.journal",
    "old-2",
    "lock",
    "trash-7",
    "other",
];
const PLAIN: [&str; 10] = [
    "t",
    "n",
    "cfg",
    "bin",
    "link",
    "package",
    "0",
    "3",
    ".rvenv",
    "receipt.json",
];

/// Does one thing.
pub fn tamper(disk: &SimFs, choices: &mut Choices<'_>) {
    let seen = objects(disk);
    let paths: Vec<&String> = seen.keys().collect();
    match choices.below(10) {
        0..=3 => rewrite_journal(disk, &seen, choices),
        4 => plant_journal(disk, &seen, choices),
        5 => {
            let (Some(from), Some(to)) = (choices.pick(&paths), new_place(disk, &seen, choices))
            else {
                return;
            };
            let how = if choices.below(4) == 3 {
                Rename::Exchange
            } else {
                Rename::Replace
            };
            if let Some((dir, name)) = place(disk, from) {
                let _refused = disk.rename(dir.at(&name), to.0.at(&to.1), how);
            }
        }
        6 => {
            if let Some((dir, name)) = choices.pick(&paths).and_then(|path| place(disk, path)) {
                remove(disk, &dir, &name);
            }
        }
        7 => plant(disk, &seen, choices),
        8 => {
            let (Some(from), Some(to)) = (choices.pick(&paths), new_place(disk, &seen, choices))
            else {
                return;
            };
            if let Some((dir, name)) = place(disk, from) {
                let _refused = disk.link(dir.at(&name), to.0.at(&to.1));
            }
        }
        _ => {
            let found = choices.pick(&paths).and_then(|path| place(disk, path));
            if let Some((dir, name)) = found {
                let bytes = choices.bytes();
                let _refused = disk.overwrite(&dir, &name, bytes);
            }
        }
    }
}

/// A name that the engine uses or another one, beside the target, in the engine's directory inside
/// it, or anywhere.
fn new_place(disk: &SimFs, seen: &Objects, choices: &mut Choices<'_>) -> Option<(Dir, String)> {
    let is_dir = |path: &&String| {
        seen.get(*path)
            .is_some_and(|object| matches!(object.entry, SimEntry::Dir { .. }))
    };
    let dirs: Vec<&String> = seen.keys().filter(is_dir).collect();
    let (within, beside) = ("p/t/.rvenv".to_owned(), "p".to_owned());
    let (dir, prefix) = match choices.below(4) {
        0 | 1 => (&beside, ".t.rvenv."),
        2 => (&within, ""),
        _ => (*choices.pick(&dirs)?, ""),
    };
    let name = match choices.below(4) {
        0 | 1 => format!("{prefix}{}", choices.pick(&NAMES)?),
        2 => choices.pick(&PLAIN).map(|name| (*name).to_owned())?,
        _ => {
            let identity = pick_identity(seen, choices);
            let kind = *choices.pick(&["trash", "new"])?;
            format!("{prefix}{kind}-{identity}")
        }
    };
    Some((
        disk.open_path(&std::path::Path::new("/").join(dir)).ok()?,
        name,
    ))
}

fn remove(disk: &SimFs, dir: &Dir, name: &OsStr) {
    let Ok(inner) = disk.open_dir(dir, name) else {
        let _refused = disk.remove_file(dir, name);
        return;
    };
    for below in disk.list(&inner).unwrap_or_default() {
        remove(disk, &inner, &below);
    }
    let _refused = disk.remove_dir(dir, name);
}

/// A file, a directory, a link or a FIFO; also of another user.
fn plant(disk: &SimFs, seen: &Objects, choices: &mut Choices<'_>) {
    let Some((dir, name)) = new_place(disk, seen, choices) else {
        return;
    };
    let name = OsStr::new(&name);
    let user = disk.user();
    if choices.below(4) == 3 {
        disk.set_user(0);
    }
    let paths: Vec<&String> = seen.keys().collect();
    let _refused = match choices.below(4) {
        0 => disk.make_dir(&dir, name, 0o755),
        1 => {
            let to = choices
                .pick(&paths)
                .map_or_else(|| "/o".to_owned(), |path| format!("/{path}"));
            disk.make_symlink(&dir, name, OsStr::new(&to))
        }
        2 => disk.make_other(&dir, name, 0o644),
        _ => write(disk, &dir, name, choices.bytes()),
    };
    disk.set_user(user);
}

fn write(
    disk: &SimFs,
    dir: &Dir,
    name: &OsStr,
    bytes: &[u8],
) -> Result<(), rvenv_journal::fs::FsError> {
    let file = NewFile {
        mode: 0o600,
        mtime: None,
        bytes,
        flush: Flush::Now,
    };
    disk.write_file(dir, name, &file)
}

fn pick_identity(seen: &Objects, choices: &mut Choices<'_>) -> Identity {
    let all: Vec<Identity> = seen.values().map(|object| object.identity).collect();
    let mut identity = choices.pick(&all).copied().unwrap_or(Identity {
        inode: 1,
        birth: None,
    });
    match choices.below(8) {
        6 => identity.birth = None,
        7 => identity.inode = choices.number(),
        _ => {}
    }
    identity
}

/// The records on a disk, with their paths.
pub fn records(seen: &Objects) -> Vec<(&str, Record)> {
    let found = seen
        .iter()
        .filter_map(|(path, object)| match &object.entry {
            SimEntry::File { bytes, .. } => Some((path.as_str(), Record::from_bytes(bytes).ok()?)),
            SimEntry::Dir { .. } | SimEntry::Symlink { .. } | SimEntry::Other { .. } => None,
        });
    found.collect()
}

/// Changes a journal and corrects its checksum; a wrong one would be refused at once.
fn rewrite_journal(disk: &SimFs, seen: &Objects, choices: &mut Choices<'_>) {
    let found = records(seen);
    let Some((path, record)) = choices.pick(&found) else {
        return;
    };
    let mut record = record.clone();
    for _ in 0..=choices.below(3) {
        change(&mut record, seen, choices);
    }
    let Some((dir, name)) = place(disk, path) else {
        return;
    };
    let _refused = disk.remove_file(&dir, &name);
    let _refused = write(disk, &dir, &name, &record.to_bytes());
}

/// Writes a journal in the right form with any content, and a right or wrong checksum.
fn plant_journal(disk: &SimFs, seen: &Objects, choices: &mut Choices<'_>) {
    let Some((dir, name)) = new_place(disk, seen, choices) else {
        return;
    };
    let sealed = choices.below(4) != 3;
    let mut bytes = b"rvenv-journal 1 incompat=\n".to_vec();
    bytes.extend_from_slice(choices.bytes());
    bytes.push(b'\n');
    if sealed {
        let sum = format!("{}\n", Digest::of(&bytes));
        bytes.extend_from_slice(sum.as_bytes());
    }
    let name = OsStr::new(&name);
    let _refused = disk.remove_file(&dir, name);
    let _refused = write(disk, &dir, name, &bytes);
}

fn change(record: &mut Record, seen: &Objects, choices: &mut Choices<'_>) {
    match choices.below(10) {
        0 => {
            record.token = match choices.below(3) {
                0 => "x".to_owned(),
                1 => pick_identity(seen, choices).to_string(),
                _ => choices.text(),
            }
        }
        1 => record.generation = choices.pick(&[0, 1, 2, u32::MAX]).copied().unwrap_or(0),
        2 => {
            record.form = if record.form == Form::Tree {
                Form::Entries
            } else {
                Form::Tree
            }
        }
        3 => {
            record.origin = if record.origin == Origin::Built {
                Origin::Generation
            } else {
                Origin::Built
            }
        }
        4 => record.stage = pick_identity(seen, choices),
        5 => {
            record.boot = format!("00000000-0000-4000-8000-{:012}", choices.below(4));
        }
        6 => {
            record.durability = if choices.below(2) == 0 {
                Durability::Power
            } else {
                Durability::Process
            }
        }
        7 => {
            record.retention = if choices.below(2) == 0 {
                Retention::Discard
            } else {
                Retention::Keep
            }
        }
        8 => record.plan = Digest::of(choices.bytes()),
        _ => change_steps(record, seen, choices),
    }
}

fn change_steps(record: &mut Record, seen: &Objects, choices: &mut Choices<'_>) {
    let verdict = if choices.below(2) == 0 {
        Verdict::BySteps
    } else {
        Verdict::Awaited
    };
    let form = record.form;
    let steps = &mut record.steps;
    match choices.below(6) {
        0 => steps.verdict = verdict,
        1 => steps.receipt = (choices.below(2) == 1).then(|| Digest::of(choices.bytes())),
        2 => {
            let index = choices.below(steps.list.len().max(1));
            if index < steps.list.len() {
                steps.list.remove(index);
            }
        }
        3 => steps.list.reverse(),
        4 => steps.list.push(step(form, seen, choices)),
        _ => {
            let index = choices.below(steps.list.len().max(1));
            if let Some(at) = steps.list.get_mut(index) {
                *at = step(form, seen, choices);
            }
        }
    }
}

fn step(form: Form, seen: &Objects, choices: &mut Choices<'_>) -> Step {
    let mut paths: Vec<&str> = seen
        .keys()
        .filter_map(|path| path.strip_prefix("p/t/"))
        .collect();
    paths.extend([
        "new",
        "fresh/f",
        "n/f",
        ".rvenv/receipt.json",
        ".rvenv/journal",
    ]);
    let path = choices
        .pick(&paths)
        .and_then(|path| RelPath::new(path).ok());
    let slot = u32::try_from(choices.below(12)).unwrap_or(0);
    let entry = path.map(|path| EntrySlot { path, slot });
    let (new, old) = (pick_identity(seen, choices), pick_identity(seen, choices));
    let act = match choices.below(3) {
        0 => Act::Put { new },
        1 => Act::Exchange { new, old },
        _ => Act::Take { old },
    };
    Step {
        entry: entry.filter(|_| form == Form::Entries),
        act,
    }
}
