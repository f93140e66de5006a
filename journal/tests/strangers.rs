//! Strangers: journals that do not count, and trees that look like ours (I6, I7).
//!
//! Read next: `recovery.rs`, for what is ours.

#![expect(
    clippy::unwrap_used,
    reason = "outside of `#[test]` functions, too, these are tests"
)]

use std::ffi::OsStr;
use std::path::Path;

use rvenv_journal::fs::Fs;
use rvenv_journal::fs::sim::{Options, SimFs, Support};
use rvenv_journal::{Digest, ReadyError, Record, RecoverError, Refusal};

use publication::history::*;
use publication::{JOURNAL, beside, inspected, parent, ready, recover, write};

mod publication;

/// Checks that a journal that does not count is never taken for none (I7).
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
    let disk = killed_before(&swap(), "make link");
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
    let disk = killed_before(&swap(), "make link");
    let place = parent(&disk);
    disk.link(
        (&place, OsStr::new(JOURNAL)),
        (&place, OsStr::new("second")),
    )
    .unwrap();
    check_foreign(&disk, "more than one name");
}

#[test]
fn a_journal_that_others_may_write_is_foreign() {
    let disk = killed_before(&swap(), "make link");
    let bytes = read(&disk, JOURNAL);
    for mode in [0o620, 0o602] {
        replace(&disk, JOURNAL, mode, &bytes);
        check_foreign(&disk, "others may write it");
    }
}

/// I6: not even root replays another user's journal.
#[test]
fn a_journal_of_another_user_is_foreign() {
    let disk = killed_before(&swap(), "make link");
    let place = parent(&disk);
    disk.remove_file(&place, OsStr::new(".t.rvenv.lock"))
        .unwrap();
    disk.set_user(0);
    check_foreign(&disk, "it belongs to user 1000");
}

#[test]
fn garbage_with_a_right_checksum_is_foreign() {
    let disk = killed_before(&swap(), "make link");
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

#[test]
fn a_journal_inside_the_tree_is_of_a_version_that_knows_more() {
    let disk = swap().disk();
    let tree = disk.open_dir(&parent(&disk), OsStr::new("t")).unwrap();
    disk.make_dir(&tree, OsStr::new(".rvenv"), 0o755).unwrap();
    let inner = disk.open_dir(&tree, OsStr::new(".rvenv")).unwrap();
    write(&disk, &inner, "journal.settle", b"");
    check_foreign(&disk, "inside a tree");
}

#[test]
fn two_journals_are_never_one() {
    let disk = killed_before(&swap(), "make link");
    let bytes = read(&disk, JOURNAL);
    write(&disk, &parent(&disk), ".t.rvenv.journal.undo", &bytes);
    let error = recover(&disk).unwrap_err();
    assert!(matches!(
        error,
        ReadyError::Recover(RecoverError::Several { names }) if names.len() == 2
    ));
}

/// Removes a directory that holds files alone, and makes another under its name and inode number.
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

/// I6: an inode number that was given out again does not make a stranger ours; nor does it without times of birth.
#[test]
fn a_strangers_tree_with_the_number_of_ours_is_not_touched() {
    let reused = publication::with_numbers_reused(&Options::default());
    let disk = killed_before(&swap().on(reused.clone()), DECIDED);
    replace_by_a_lookalike(&disk, STAGE);
    check_refused(&disk, Refusal::Stranger);
    let unborn = Options {
        births: Support::Absent,
        ..reused
    };
    let disk = killed_before(&put().on(unborn), DECIDED);
    replace_by_a_lookalike(&disk, "t");
    check_refused(&disk, Refusal::Stranger);
}

/// I6: the name of trash can be planted, its owner cannot.
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
