//! Strangers: journals that rvenv must not believe, and trees that look like the engine's (I6, I7).
//!
//! Read next: `recovery.rs`, for the engine's own journals.

use std::ffi::OsStr;
use std::path::Path;

use rvenv_journal::fs::sim::{Options, SimFs, Support};
use rvenv_journal::fs::{Dir, Fs, Kind};
use rvenv_journal::raw::{Decision, EndError, Record, RecoverError, Refusal, Step};
use rvenv_journal::{
    Digest, NoContent, Parents, PrepareError, Publication, ReadyError, RelPath, Target, generations,
};

use crate::publication::history::*;
use crate::publication::{
    self, Case, Exit, Ground, JOURNAL, beside, inspected, parent, ready, recover, run, write,
};

/// Checks that a foreign journal is reported, and never ignored as if none existed (I7).
#[track_caller]
fn check_foreign(disk: &SimFs, why: &str) {
    let before = state(disk);
    let error = recover(disk).unwrap_err();
    let ReadyError::Recover(RecoverError::Foreign { why: found, .. }) = error else {
        panic!("{error:?}");
    };
    assert!(found.contains(why), "{found}");
    assert!(inspected(disk).decision.is_err());
    assert!(state(disk) == before, "something was touched");
}

#[test]
fn a_journal_of_another_kind_is_foreign() {
    let disk = killed_before(&swap(), SWITCH);
    let place = parent(&disk);
    rename(&disk, JOURNAL, "real");
    disk.make_symlink(&place, OsStr::new(JOURNAL), OsStr::new("real"))
        .unwrap();
    check_foreign(&disk, "not a regular file");
    disk.remove_file(&place, OsStr::new(JOURNAL)).unwrap();
    make_dir(&disk, JOURNAL);
    check_foreign(&disk, "not a regular file");
    disk.remove_dir(&place, OsStr::new(JOURNAL)).unwrap();
    disk.make_other(&place, OsStr::new(JOURNAL), 0o600).unwrap();
    check_foreign(&disk, "not a regular file");
}

#[test]
fn a_journal_with_two_names_is_foreign() {
    let disk = killed_before(&swap(), SWITCH);
    let place = parent(&disk);
    disk.link(place.at(JOURNAL), place.at("second")).unwrap();
    check_foreign(&disk, "more than one hard link");
}

#[test]
fn a_journal_that_others_may_write_is_foreign() {
    let disk = killed_before(&swap(), SWITCH);
    let bytes = read(&disk, JOURNAL);
    for mode in [0o620, 0o602] {
        replace(&disk, JOURNAL, mode, &bytes);
        check_foreign(&disk, "other users can write to it");
    }
}

/// I6: not even root replays another user's journal.
#[test]
fn a_journal_of_another_user_is_foreign() {
    let disk = killed_before(&swap(), SWITCH);
    let place = parent(&disk);
    disk.remove_file(&place, OsStr::new(".t.rvenv.lock"))
        .unwrap();
    disk.set_user(0);
    check_foreign(&disk, "it belongs to user 1000");
}

#[test]
fn garbage_with_a_right_checksum_is_foreign() {
    let disk = killed_before(&swap(), SWITCH);
    for text in [
        "rvenv-journal 1 incompat=\n{}\n",
        "rvenv-journal 1 incompat=later\n{}\n",
        "rvenv-journal 9 incompat=\n{}\n",
    ] {
        let garbage = format!("{text}{}\n", Digest::of(text.as_bytes()));
        replace(&disk, JOURNAL, 0o600, garbage.as_bytes());
        check_foreign(&disk, "");
    }
    let mut record = Record::from_bytes(&read(&killed_before(&swap(), SWITCH), JOURNAL)).unwrap();
    record.token = "../../etc".to_owned();
    replace(&disk, JOURNAL, 0o600, &record.to_bytes());
    check_foreign(&disk, "");
}

/// A merge that dies before its first step: the journal inside the target owns its slots.
fn merging() -> SimFs {
    killed_before(&merge(), "rename /p/t/.rvenv/new-*/0")
}

fn merge() -> Case {
    Case::of("merge", Publication::Merge)
}

/// The prefix of names in the engine's directory, seen from the parent of the target.
const WITHIN: &str = "t/.rvenv/";

/// The parent directory of a path that starts at the parent of the target, and its name.
fn place<'p>(disk: &SimFs, path: &'p str) -> (Dir, &'p OsStr) {
    let (above, name) = path.rsplit_once('/').unwrap();
    let dir = disk.open_path(&Path::new("/p").join(above)).unwrap();
    (dir, OsStr::new(name))
}

fn remove(disk: &SimFs, path: &str) {
    let (dir, name) = place(disk, path);
    disk.remove_file(&dir, name).unwrap();
}

fn bytes_at(disk: &SimFs, path: &str) -> Vec<u8> {
    let (dir, name) = place(disk, path);
    disk.read_file(&dir, name, 1 << 20).unwrap()
}

fn write_at(disk: &SimFs, path: &str, bytes: &[u8]) {
    let (dir, name) = place(disk, path);
    write(disk, &dir, name.to_str().unwrap(), bytes);
}

/// I7: what holds for journals beside a target holds for journals inside it.
#[test]
fn a_journal_inside_the_target_that_the_engine_did_not_write_is_foreign() {
    let path = format!("{WITHIN}journal");
    let disk = merging();
    let bytes = bytes_at(&disk, &path);
    let (dir, name) = place(&disk, &path);
    let second = OsStr::new("journal.settle");
    disk.link(dir.at(name), dir.at("second")).unwrap();
    check_foreign(&disk, "more than one hard link");
    disk.remove_file(&dir, name).unwrap();
    disk.make_symlink(&dir, name, OsStr::new("second")).unwrap();
    check_foreign(&disk, "not a regular file");
    disk.remove_file(&dir, name).unwrap();
    disk.make_other(&dir, second, 0o600).unwrap();
    check_foreign(&disk, "not a regular file");
    disk.remove_file(&dir, second).unwrap();
    let garbage = "rvenv-journal 1 incompat=later\n{}\n";
    let garbage = format!("{garbage}{}\n", Digest::of(garbage.as_bytes()));
    write_at(&disk, &path, garbage.as_bytes());
    check_foreign(&disk, "");
    // Not even root replays another user's journal.
    let disk = merging();
    remove(&disk, "./.t.rvenv.lock");
    disk.set_user(0);
    check_foreign(&disk, "it belongs to user 1000");
    // Paths that lead out of the target, or into the engine's own directory.
    let published = killed_before(&merge(), "exchange /p/t/.rvenv/new-*/3");
    let record = Record::from_bytes(&bytes_at(&published, &path)).unwrap();
    for planted in [".rvenv/journal", ".rvenv/old-1", ".rvenv"] {
        let mut record = record.clone();
        let entry = record.steps.list[0].entry.as_mut();
        entry.unwrap().path = RelPath::new(planted).unwrap();
        let disk = published.killed();
        remove(&disk, &path);
        write_at(&disk, &path, &record.to_bytes());
        check_foreign(&disk, "");
    }
    assert!(!bytes.is_empty());
}

/// I6: the engine accepts a journal only in the place where its kind of transaction keeps it.
#[test]
fn a_journal_in_the_place_of_the_other_kind_is_foreign() {
    let disk = merging();
    let bytes = bytes_at(&disk, &format!("{WITHIN}journal"));
    remove(&disk, &format!("{WITHIN}journal"));
    write(&disk, &parent(&disk), JOURNAL, &bytes);
    check_foreign(&disk, "in another directory");
    let tree = read(&killed_before(&swap(), SWITCH), JOURNAL);
    let disk = merge().disk();
    write_at(&disk, &format!("{WITHIN}journal"), &tree);
    check_foreign(&disk, "in another directory");
}

/// I7: one target has at most one open transaction, wherever its journal is.
#[test]
fn a_journal_in_each_place_is_one_too_many() {
    let disk = merging();
    let tree = read(&killed_before(&swap(), SWITCH), JOURNAL);
    write(&disk, &parent(&disk), JOURNAL, &tree);
    let before = state(&disk);
    let error = recover(&disk).unwrap_err();
    let ReadyError::Recover(RecoverError::Several { names }) = error else {
        panic!("{error:?}");
    };
    assert_eq!(names, [JOURNAL, ".rvenv/journal"]);
    assert!(state(&disk) == before, "something was touched");
}

/// I7: recovery does not touch slots that the journal does not name, or that hold unknown objects.
#[test]
fn slots_that_hold_something_else_are_refused() {
    // Other slots under the name.
    let disk = merging();
    let slots = slots(&disk);
    rename(&disk, &slots, "elsewhere");
    make_dir(&disk, &slots);
    check_refused(&disk, Refusal::Stranger);
    // None at all.
    let disk = killed_before(&merge(), "exchange /p/t/.rvenv/new-*/3");
    rename(&disk, &slots, "elsewhere");
    check_refused(&disk, Refusal::Stranger);
    // The entry of a step is in no place.
    for (text, slot) in [
        ("exchange /p/t/.rvenv/new-*/3", "3"),
        ("exchange /p/t/.rvenv/new-*/4", "3"),
    ] {
        let disk = killed_before(&merge(), text);
        rename(&disk, &format!("{slots}/{slot}"), "elsewhere");
        check_refused(&disk, Refusal::Stranger);
    }
    // A foreign file is in both places of one step.
    let disk = killed_before(&merge(), "exchange /p/t/.rvenv/new-*/4");
    for path in [&format!("{slots}/3"), "t/cfg"] {
        rename(&disk, path, &format!("elsewhere-{}", path.len()));
        write_at(&disk, path, b"a stranger's");
    }
    check_refused(&disk, Refusal::Stranger);
}

/// I6: an object with one of the engine's names that no journal owns is reported, and left alone.
#[test]
fn what_is_planted_in_the_engines_directory_is_named_and_left_alone() {
    let disk = merge().disk();
    let mut planted = vec![
        format!("{WITHIN}journal.tmp.old"),
        format!("{WITHIN}new-full"),
        format!("{WITHIN}trash-17-0"),
        format!("{WITHIN}trash-17-1700000000.000000000"),
    ];
    for path in &planted {
        make_dir(&disk, path);
        write_at(&disk, &format!("{path}/mine"), b"a stranger's");
    }
    // A user's own notes have no such name.
    write_at(&disk, &format!("{WITHIN}notes"), b"a user's");
    let before = state(&disk);
    let (_, recovered) = ready(&disk).unwrap();
    let mut orphans = recovered.orphans;
    orphans.sort();
    for path in &mut planted {
        *path = path.replace("t/", "");
    }
    assert_eq!(orphans, planted);
    assert!(state(&disk) == before, "something was touched");
}

/// I6: the engine neither follows nor replaces another object at the name of its directory.
#[test]
fn something_else_in_the_place_of_the_engines_directory_is_refused() {
    let case = merge().on_ground(Ground::Foreign);
    for kind in [Kind::File, Kind::Symlink] {
        let disk = case.disk();
        let (tree, name) = place(&disk, "t/.rvenv");
        if kind == Kind::File {
            write(&disk, &tree, ".rvenv", b"a stranger's");
        } else {
            disk.make_symlink(&tree, name, OsStr::new("mixed")).unwrap();
        }
        let plan = case.plan(&disk);
        let before = state(&disk);
        assert_eq!(run(&disk, &plan, &case), Exit::NotBegun);
        assert!(state(&disk) == before, "something was touched");
    }
}

#[test]
fn two_journals_are_never_one() {
    let disk = killed_before(&swap(), SWITCH);
    let bytes = read(&disk, JOURNAL);
    write(&disk, &parent(&disk), ".t.rvenv.journal.undo", &bytes);
    let error = recover(&disk).unwrap_err();
    assert!(matches!(
        error,
        ReadyError::Recover(RecoverError::Several { names }) if names.len() == 2
    ));
}

/// Removes a directory that holds only files, and makes another with its name and inode number.
fn replace_by_a_lookalike(disk: &SimFs, name: &str) {
    let place = parent(disk);
    let name = OsStr::new(name);
    let inode = |disk: &SimFs| disk.meta(&place, name).unwrap().unwrap().identity.inode;
    let before = inode(disk);
    let mut open = vec![name.to_owned()];
    while let Some(path) = open.last().cloned() {
        let parts: Vec<_> = Path::new(&path).iter().collect();
        let (last, above) = parts.split_last().unwrap();
        let dir = above.iter().fold(place.clone(), |dir, part| {
            disk.open_dir(&dir, part).unwrap()
        });
        let inner = disk.open_dir(&dir, last).unwrap();
        let mut deeper = None;
        for entry in disk.list(&inner).unwrap() {
            if disk.remove_file(&inner, &entry).is_err() {
                deeper = Some(Path::new(&path).join(entry).into_os_string());
            }
        }
        drop(inner);
        if let Some(deeper) = deeper {
            open.push(deeper);
        } else {
            disk.remove_dir(&dir, last).unwrap();
            open.pop();
        }
    }
    for spare in 0.. {
        disk.make_dir(&place, name, 0o755).unwrap();
        if inode(disk) == before {
            break;
        }
        rename(disk, name.to_str().unwrap(), &format!("spare-{spare}"));
    }
    let tree = disk.open_dir(&place, name).unwrap();
    write(disk, &tree, "mine", b"work");
}

/// I6: a tree with a reused inode number does not count as the engine's, with or without birth
/// times.
#[test]
fn another_tree_with_a_reused_inode_number_is_not_touched() {
    let reused = publication::cases::with_numbers_reused(&Options::default());
    let disk = killed_before(&swap().on(reused.clone()), DECIDED);
    replace_by_a_lookalike(&disk, &stage(&disk));
    check_refused(&disk, Refusal::Stranger);
    let unborn = Options {
        births: Support::Absent,
        ..reused
    };
    let disk = killed_before_the_end(&put().on(unborn));
    replace_by_a_lookalike(&disk, "t");
    check_refused(&disk, Refusal::Stranger);
}

/// I6: the record of a generation does not replace another object at its name; the error names the
/// path.
#[test]
fn another_object_at_the_name_of_a_record_is_not_replaced() {
    let decided = "rename /p/t/.rvenv/journal -> /p/t/.rvenv/journal.settle";
    for (disk, path, shown) in [
        (
            killed_before(&swap().kept(), DECIDED),
            "./.t.rvenv.old-1.journal",
            ".t.rvenv.old-1.journal",
        ),
        (
            killed_before(&merge().kept(), decided),
            "t/.rvenv/old-1.journal",
            ".rvenv/old-1.journal",
        ),
    ] {
        let (dir, name) = place(&disk, path);
        disk.make_symlink(&dir, name, OsStr::new("/o/f")).unwrap();
        for _ in 0..2 {
            let error = recover(&disk).unwrap_err();
            let ReadyError::Recover(RecoverError::End { source, .. }) = error else {
                panic!("{error:?}");
            };
            let said = source.to_string();
            assert!(matches!(source, EndError::NameOccupied { .. }), "{said}");
            assert!(
                said.starts_with(&format!("`{shown}` occupies the name")),
                "{said}"
            );
            let found = disk.meta(&dir, name).unwrap().unwrap();
            assert_eq!(found.kind, Kind::Symlink);
        }
        drop(dir);
        remove(&disk, path);
        assert_eq!(recover(&disk).unwrap(), Decision::Settle);
        let target = Target::open(&disk, Path::new("/p/t"), Parents::Require).unwrap();
        let kept = generations(&target).unwrap();
        let numbers: Vec<u32> = kept.iter().map(|kept| kept.number).collect();
        assert_eq!(numbers, [1]);
    }
}

/// I6: no number follows the highest one, so a planted generation with that number is reported
/// before anything is published.
#[test]
fn a_generation_above_which_there_is_no_number_is_refused_before_anything_is_published() {
    let beside = [".t.rvenv.old-4294967295", ".t.rvenv.old-4294967295.journal"];
    let within = [".rvenv/old-4294967295", ".rvenv/old-4294967295.journal"];
    for case in [put(), swap(), swap().kept(), merge(), merge().kept()] {
        for shown in beside.into_iter().chain(within) {
            let disk = case.disk();
            let path = match shown.strip_prefix(".rvenv/") {
                Some(name) => format!("{WITHIN}{name}"),
                None => shown.to_owned(),
            };
            if path.starts_with("t/") && disk.open_path(Path::new("/p/t/.rvenv")).is_err() {
                continue;
            }
            make_dir(&disk, &path);
            let plan = case.plan(&disk);
            let before = state(&disk);
            // Every run reports it, not only the first.
            for _ in 0..2 {
                let (ready, _) = ready(&disk).unwrap();
                let refused = ready.prepare(&plan, case.terms, &NoContent);
                let Err(PrepareError::Unnumbered { name, .. }) = refused else {
                    panic!("{} {shown}: {refused:?}", case.name);
                };
                assert_eq!(name, shown);
                assert!(state(&disk) == before, "something was touched");
            }
            // The number below is the last that can be assigned.
            rename(&disk, &path, &path.replace("295", "294"));
            let plan = case.plan(&disk);
            assert_eq!(
                run(&disk, &plan, &case),
                Exit::Done,
                "{} {shown}",
                case.name
            );
        }
    }
}

/// I6: a generation whose record has the highest slot number is rolled back like any other.
#[test]
fn the_highest_number_of_a_slot_has_no_successor_and_needs_none() {
    let bare = Options {
        exchange: Support::Absent,
        ..Options::default()
    };
    let case = merge().kept().on(bare);
    let disk = case.disk();
    let old = disk.tree(Path::new("/p/t/package"));
    let plan = case.plan(&disk);
    assert_eq!(run(&disk, &plan, &case), Exit::Done);
    let new = disk.tree(Path::new("/p/t/package"));
    let path = format!("{WITHIN}old-1.journal");
    let mut record = Record::from_bytes(&bytes_at(&disk, &path)).unwrap();
    let is_take = |step: &&mut Step| step.act.coming().is_none();
    let step = record.steps.list.iter_mut().find(is_take).unwrap();
    let entry = step.entry.as_mut().unwrap();
    let slots = format!("{WITHIN}old-1");
    let [from, to] = [entry.slot, u32::MAX].map(|slot| format!("{slots}/{slot}"));
    rename(&disk, &from, &to);
    entry.slot = u32::MAX;
    remove(&disk, &path);
    write_at(&disk, &path, &record.to_bytes());
    for tree in [&old, &new, &old, &new] {
        let (ready, _) = ready(&disk).unwrap();
        let published = publication::roll(ready, &case).unwrap();
        published.settle().unwrap();
        assert!(disk.tree(Path::new("/p/t/package")) == *tree);
    }
}

/// I6: another user can plant the name of trash, but not its owner.
#[test]
fn trash_of_another_user_is_not_deleted() {
    let disk = swap().disk();
    let place = parent(&disk);
    disk.set_user(0);
    make_dir(&disk, "planted");
    let meta = disk.meta(&place, OsStr::new("planted")).unwrap().unwrap();
    let name = format!(".t.rvenv.trash-{}", meta.identity);
    rename(&disk, "planted", &name);
    disk.set_user(1000);
    let (_, recovered) = ready(&disk).unwrap();
    assert_eq!(recovered.orphans, beside(&disk));
    assert_eq!(recovered.orphans, [name]);
}

/// I6: the same for a stage whose name contains its true identity.
#[test]
fn a_stage_of_another_user_is_not_deleted() {
    let disk = swap().disk();
    let place = parent(&disk);
    disk.set_user(0);
    make_dir(&disk, "planted");
    make_dir(&disk, "planted/theirs");
    let meta = disk.meta(&place, OsStr::new("planted")).unwrap().unwrap();
    let name = format!(".t.rvenv.new-{}", meta.identity);
    rename(&disk, "planted", &name);
    disk.set_user(1000);
    let (_, recovered) = ready(&disk).unwrap();
    assert_eq!(recovered.decision, Decision::Nothing);
    assert_eq!(recovered.orphans, beside(&disk));
    assert_eq!(recovered.orphans, [name]);
}

/// I6: where birth times are missing, the token inside decides.
#[test]
fn without_birth_times_a_planted_stage_is_named_and_left_alone() {
    let unborn = Options {
        births: Support::Absent,
        ..Options::default()
    };
    let disk = swap().on(unborn).disk();
    make_dir(&disk, ".t.rvenv.new-full");
    make_dir(&disk, ".t.rvenv.new-full/theirs");
    let (_, recovered) = ready(&disk).unwrap();
    assert_eq!(recovered.decision, Decision::Nothing);
    assert_eq!(recovered.orphans, [".t.rvenv.new-full"]);
    assert_eq!(recovered.orphans, beside(&disk));
}
