//! Contracts of syncs, and of files and directories that are held open and locked.

use std::io::ErrorKind;

use super::{is_absent, kept, kind, make_dir, meta, name, read, rename, symlink, write};
use rvenv_journal::fs::{Barrier, Dir, Fs, Kind, Lock, Rename};

pub(super) fn what_is_there_can_be_synced(fs: &dyn Fs, root: &Dir) {
    let dir = make_dir(fs, root, "dir");
    write(fs, &dir, "file", "x");
    fs.sync_file(&dir, name("file")).unwrap();
    fs.sync_dir(&dir).unwrap();
    fs.sync_dir(root).unwrap();
    let reach = fs.sync_filesystem(root).unwrap();
    assert!(matches!(reach, Barrier::Filesystem | Barrier::PerObject));
    assert_eq!(reach, fs.sync_filesystem(&dir).unwrap());
    assert_eq!(
        kind(fs.sync_file(root, name("absent"))),
        ErrorKind::NotFound
    );
    if symlink(fs, &dir, "link", "file") {
        assert!(fs.sync_file(&dir, name("link")).is_err());
    }
}

pub(super) fn a_held_file_is_made_private_and_keeps_its_content(fs: &dyn Fs, root: &Dir) {
    let held = fs.hold_file(root, name("lock")).unwrap();
    let found = meta(fs, root, "lock");
    assert_eq!(
        (found.kind, found.mode, found.len),
        (Kind::File, kept(0o600), 0)
    );
    fs.write_held(&held, b"a long text about the holder")
        .unwrap();
    drop(held);
    let held = fs.hold_file(root, name("lock")).unwrap();
    assert_eq!(read(fs, root, "lock"), "a long text about the holder");
    fs.write_held(&held, b"short").unwrap();
    assert_eq!(read(fs, root, "lock"), "short");
    let identity = meta(fs, root, "lock").identity;
    assert_eq!(identity.inode, found.identity.inode);
    // An emulation of Windows may report the last change as the birth time.
    assert!(cfg!(windows) || identity == found.identity);

    fs.make_dir(root, name("dir"), 0o755).unwrap();
    assert_eq!(
        kind(fs.hold_file(root, name("dir"))),
        ErrorKind::InvalidInput
    );
    if symlink(fs, root, "link", "lock") && symlink(fs, root, "dangling", "absent") {
        for entry in ["link", "dangling"] {
            assert_eq!(
                kind(fs.hold_file(root, name(entry))),
                ErrorKind::InvalidInput
            );
        }
        assert!(is_absent(fs, root, "absent"));
    }
}

pub(super) fn a_held_file_is_locked_by_one_holder_until_it_is_dropped(fs: &dyn Fs, root: &Dir) {
    let first = fs.hold_file(root, name("lock")).unwrap();
    let second = fs.hold_file(root, name("lock")).unwrap();
    let other = fs.hold_file(root, name("other")).unwrap();
    assert_eq!(fs.try_lock(&first).unwrap(), Lock::Acquired);
    assert_eq!(fs.try_lock(&second).unwrap(), Lock::Busy);
    assert_eq!(fs.try_lock(&other).unwrap(), Lock::Acquired);
    drop(first);
    assert_eq!(fs.try_lock(&second).unwrap(), Lock::Acquired);
    // The lock is on the object, not on its name.
    rename(fs, root, ("lock", "moved"), Rename::Replace).unwrap();
    let third = fs.hold_file(root, name("moved")).unwrap();
    assert_eq!(fs.try_lock(&third).unwrap(), Lock::Busy);
    let newborn = fs.hold_file(root, name("lock")).unwrap();
    assert_eq!(fs.try_lock(&newborn).unwrap(), Lock::Acquired);
}

pub(super) fn what_is_held_is_known_without_a_name(fs: &dyn Fs, root: &Dir) {
    let held = fs.hold_file(root, name("lock")).unwrap();
    let found = meta(fs, root, "lock");
    assert_eq!(fs.meta_of_held(&held).unwrap().identity, found.identity);
    assert_eq!(fs.meta_of_held(&held).unwrap().links, 1);
    rename(fs, root, ("lock", "moved"), Rename::Replace).unwrap();
    assert_eq!(fs.meta_of_held(&held).unwrap().identity, found.identity);
    fs.remove_file(root, name("moved")).unwrap();
    if cfg!(unix) {
        assert_eq!(fs.meta_of_held(&held).unwrap().links, 0);
        let newborn = fs.hold_file(root, name("lock")).unwrap();
        assert_ne!(fs.meta_of_held(&newborn).unwrap().identity, found.identity);
    }
    drop(held);

    let dir = make_dir(fs, root, "dir");
    let held = fs.hold_dir(&dir).unwrap();
    rename(fs, root, ("dir", "away"), Rename::Replace).unwrap();
    let found = meta(fs, root, "away");
    assert_eq!(fs.meta_of_held(&held).unwrap().identity, found.identity);
    assert!(fs.write_held(&held, b"x").is_err());
}

pub(super) fn a_held_directory_is_locked_by_one_holder_until_it_is_dropped(
    fs: &dyn Fs,
    root: &Dir,
) {
    let dir = make_dir(fs, root, "dir");
    let first = fs.hold_dir(&dir).unwrap();
    match fs.try_lock(&first).unwrap() {
        Lock::Unsupported => return eprintln!("skipped: no locks on directories here"),
        told => assert_eq!(told, Lock::Acquired),
    }
    let second = fs
        .hold_dir(&fs.open_dir(root, name("dir")).unwrap())
        .unwrap();
    assert_eq!(fs.try_lock(&second).unwrap(), Lock::Busy);
    rename(fs, root, ("dir", "moved"), Rename::Replace).unwrap();
    assert_eq!(fs.try_lock(&second).unwrap(), Lock::Busy);
    drop(first);
    assert_eq!(fs.try_lock(&second).unwrap(), Lock::Acquired);
    // A second hold through the same open directory is another holder.
    let third = fs.hold_dir(&dir).unwrap();
    assert_eq!(fs.try_lock(&third).unwrap(), Lock::Busy);
}
