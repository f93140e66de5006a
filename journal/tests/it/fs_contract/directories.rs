//! Contracts of directories, names and listings.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;

use super::{
    NAMES_REFUSED, file, kept, kept_of_dir, kind, make_dir, meta, name, read, rename, symlink,
    write,
};
use rvenv_journal::fs::{Dir, Fs, Kind, Layers, Rename};

/// I6: no name leads out of the directory.
pub(super) fn a_name_is_one_plain_component(fs: &dyn Fs, root: &Dir) {
    write(fs, root, "file", "");
    let good = name("file");
    for text in NAMES_REFUSED {
        let bad = name(text);
        let refusals = [
            fs.open_dir(root, bad).map(drop),
            fs.make_dir(root, bad, 0o755),
            fs.write_file(root, bad, &file(b"")),
            fs.make_symlink(root, bad, good),
            fs.link(root.at(bad), root.at("new")),
            fs.link(root.at(good), root.at(bad)),
            fs.reflink(root.at(bad), root.at("new"), 0o644, None),
            fs.reflink(root.at(good), root.at(bad), 0o644, None),
            fs.read_file(root, bad, 10).map(drop),
            fs.open_file(root, bad, 10).map(drop),
            fs.digest_file(root, bad).map(drop),
            fs.read_link(root, bad).map(drop),
            fs.meta(root, bad).map(drop),
            rename(fs, root, (text, "new"), Rename::Replace),
            rename(fs, root, ("file", text), Rename::Replace),
            rename(fs, root, ("file", text), Rename::NoReplace),
            rename(fs, root, ("file", text), Rename::Exchange),
            fs.remove_file(root, bad),
            fs.remove_dir(root, bad),
            fs.sync_file(root, bad),
            fs.hold_file(root, bad).map(drop),
            fs.set_mode(root, bad, 0o700),
            fs.pin(root, bad),
        ];
        for (number, refusal) in refusals.into_iter().enumerate() {
            assert_eq!(
                kind(refusal),
                ErrorKind::InvalidInput,
                "{text:?}, verb {number}"
            );
        }
    }
    for prefix in ["/", "a/b", "a/", "a\0"] {
        assert_eq!(
            kind(fs.make_unique_dir(root, prefix)),
            ErrorKind::InvalidInput
        );
    }
    assert_eq!(fs.list(root).unwrap(), ["file"]);
}

pub(super) fn an_absent_name_is_none_to_a_look_and_not_found_to_all_else(fs: &dyn Fs, root: &Dir) {
    assert_eq!(fs.meta(root, name("absent")).unwrap(), None);
    let absent = name("absent");
    let refusals = [
        fs.open_dir(root, absent).map(drop),
        fs.link(root.at(absent), root.at("new")),
        fs.read_file(root, absent, 10).map(drop),
        fs.open_file(root, absent, 10).map(drop),
        fs.digest_file(root, absent).map(drop),
        fs.read_link(root, absent).map(drop),
        rename(fs, root, ("absent", "new"), Rename::Replace),
        fs.remove_file(root, absent),
        fs.remove_dir(root, absent),
        fs.sync_file(root, absent),
        fs.set_mode(root, absent, 0o700),
        fs.open_path(Path::new("/there/is/no/such/place")).map(drop),
    ];
    for (number, refusal) in refusals.into_iter().enumerate() {
        assert_eq!(kind(refusal), ErrorKind::NotFound, "verb {number}");
    }
    let clone = kind(fs.reflink(root.at(absent), root.at("new"), 0o644, None));
    assert!(
        matches!(clone, ErrorKind::NotFound | ErrorKind::Unsupported),
        "{clone:?}"
    );
    assert!(fs.list(root).unwrap().is_empty());
}

pub(super) fn a_failure_names_the_verb_and_the_escaped_entry(fs: &dyn Fs, root: &Dir) {
    let error = fs.open_dir(root, name("a\nb")).unwrap_err();
    assert_eq!(error.name, "a\\nb");
    assert_eq!(error.to_string(), format!("cannot {} `a\\nb`", error.verb));
    assert!(!error.verb.is_empty());
    assert!(std::error::Error::source(&error).is_some());
}

pub(super) fn a_directory_of_another_disk_is_refused(fs: &dyn Fs, root: &Dir) {
    let foreign = Dir::from_handle("another disk");
    assert_eq!(kind(fs.list(&foreign)), ErrorKind::InvalidInput);
    assert_eq!(kind(fs.pin(&foreign, name("a"))), ErrorKind::InvalidInput);
    assert_eq!(fs.layers(&foreign), Layers::Plain);
    assert!(!fs.may_write(&foreign));
    assert_eq!(kind(fs.meta(&foreign, name("a"))), ErrorKind::InvalidInput);
    write(fs, root, "file", "");
    let moved = fs.rename(root.at("file"), foreign.at("file"), Rename::Replace);
    assert_eq!(kind(moved), ErrorKind::InvalidInput);
    assert_eq!(fs.list(root).unwrap(), ["file"]);
}

pub(super) fn a_directory_is_made_once_and_opened_only_if_it_is_one(fs: &dyn Fs, root: &Dir) {
    let dir = make_dir(fs, root, "dir");
    assert!(fs.list(&dir).unwrap().is_empty());
    assert_eq!(
        fs.meta_of(&dir).unwrap().identity,
        meta(fs, root, "dir").identity
    );
    assert_eq!(meta(fs, root, "dir").kind, Kind::Dir);
    write(fs, root, "file", "");
    for taken in ["dir", "file"] {
        assert_eq!(
            kind(fs.make_dir(root, name(taken), 0o755)),
            ErrorKind::AlreadyExists
        );
    }
    assert_eq!(
        kind(fs.open_dir(root, name("file"))),
        ErrorKind::NotADirectory
    );
    if symlink(fs, root, "link", "dir") {
        assert_eq!(
            kind(fs.make_dir(root, name("link"), 0o755)),
            ErrorKind::AlreadyExists
        );
        assert_eq!(
            kind(fs.open_dir(root, name("link"))),
            ErrorKind::NotADirectory
        );
    }
}

pub(super) fn a_directory_has_exactly_the_mode_that_was_asked_for(fs: &dyn Fs, root: &Dir) {
    for mode in [0o755, 0o700, 0o777, 0o750, 0o555, 0o1777, 0o300] {
        let entry = format!("dir-{mode:o}");
        fs.make_dir(root, name(&entry), mode).unwrap();
        assert_eq!(meta(fs, root, &entry).mode, kept_of_dir(mode), "{mode:o}");
    }
    let dir = make_dir(fs, root, "dir");
    for mode in [0o700, 0o2755, 0o755] {
        fs.set_mode_of(&dir, mode).unwrap();
        assert_eq!(fs.meta_of(&dir).unwrap().mode, kept_of_dir(mode));
    }
}

/// A setgid bit of the parent decides the group of a directory, not its permissions.
pub(super) fn a_directory_below_a_setgid_one_has_the_permission_bits_that_were_asked_for(
    fs: &dyn Fs,
    root: &Dir,
) {
    let dir = make_dir(fs, root, "dir");
    fs.set_mode_of(&dir, 0o2775).unwrap();
    for mode in [0o755, 0o700, 0o777, 0o300] {
        let entry = format!("below-{mode:o}");
        fs.make_dir(&dir, name(&entry), mode).unwrap();
        let found = meta(fs, &dir, &entry).mode;
        assert_eq!(found & 0o777, kept_of_dir(mode), "{mode:o}");
    }
}

pub(super) fn what_a_directory_hands_down_already_changes_nothing(fs: &dyn Fs, root: &Dir) {
    let dir = make_dir(fs, root, "dir");
    for mode in [0o755, 0o2750] {
        fs.set_mode_of(&dir, mode).unwrap();
        let before = (fs.meta_of(&dir).unwrap(), fs.sharing(&dir).unwrap());
        fs.hand_down(&dir, &before.1).unwrap();
        fs.set_acl_of(&dir, before.1.acl.as_ref()).unwrap();
        let after = (fs.meta_of(&dir).unwrap(), fs.sharing(&dir).unwrap());
        assert_eq!(after, before);
        assert_eq!(fs.has_default_acl(&dir), before.1.default_acl.is_some());
    }
}

pub(super) fn a_plain_directory_is_one_that_its_owner_can_use(fs: &dyn Fs, root: &Dir) {
    fs.make_plain_dir(root, name("dir")).unwrap();
    assert_eq!(
        meta(fs, root, "dir").mode & 0o700,
        kept_of_dir(0o755) & 0o700
    );
    assert_eq!(
        kind(fs.make_plain_dir(root, name("dir"))),
        ErrorKind::AlreadyExists
    );
}

pub(super) fn unique_directories_are_private_and_differ(fs: &dyn Fs, root: &Dir) {
    let first = fs.make_unique_dir(root, ".env.new-").unwrap();
    let second = fs.make_unique_dir(root, ".env.new-").unwrap();
    assert_ne!(first, second);
    for made in [&first, &second] {
        let random = made.to_str().unwrap().strip_prefix(".env.new-").unwrap();
        assert!(random.len() >= 6 && random.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let found = fs.meta(root, made).unwrap().unwrap();
        assert_eq!((found.kind, found.mode), (Kind::Dir, kept(0o700)));
    }
    let mut made = vec![first, second];
    made.sort();
    assert_eq!(fs.list(root).unwrap(), made);
}

pub(super) fn a_listing_is_sorted_whole_and_repeatable(fs: &dyn Fs, root: &Dir) {
    assert!(fs.list(root).unwrap().is_empty());
    let dir = make_dir(fs, root, "b");
    let mut names = vec![OsString::from("b")];
    for entry in ["a", ".hidden", "é", "Z", "a b", "a.b"] {
        write(fs, root, entry, "");
        names.push(entry.into());
    }
    names.sort();
    for _ in 0..2 {
        assert_eq!(fs.list(root).unwrap(), names);
    }
    // More names than any system returns in one call.
    let mut names = (0..2_000)
        .map(|number| OsString::from(format!("{number:0>60}")))
        .collect::<Vec<_>>();
    for entry in names.iter().rev() {
        fs.make_dir(&dir, entry, 0o755).unwrap();
    }
    names.sort();
    assert_eq!(fs.list(&dir).unwrap(), names);
}

pub(super) fn a_directory_held_open_is_followed_under_another_name(fs: &dyn Fs, root: &Dir) {
    let dir = make_dir(fs, root, "old");
    rename(fs, root, ("old", "new"), Rename::Replace).unwrap();
    if cfg!(windows) && fs.list(&dir).is_err() {
        return eprintln!("skipped: this emulation of Windows tells a path that is no more");
    }
    fs.make_dir(root, name("old"), 0o755).unwrap();
    write(fs, &dir, "file", "where it went");
    assert_eq!(fs.list(&dir).unwrap(), ["file"]);
    let through_name = fs.open_dir(root, name("new")).unwrap();
    assert_eq!(read(fs, &through_name, "file"), "where it went");
    assert_eq!(
        fs.meta_of(&dir).unwrap().identity,
        meta(fs, root, "new").identity
    );
    assert_ne!(
        fs.meta_of(&dir).unwrap().identity,
        meta(fs, root, "old").identity
    );
}

/// The verb takes a name, since a directory without any permission bits cannot be opened.
pub(super) fn a_directory_by_name_gets_exactly_the_mode_that_is_asked_for(fs: &dyn Fs, root: &Dir) {
    let dir = make_dir(fs, root, "dir");
    write(fs, &dir, "file", "x");
    for mode in [0o000, 0o700, 0o300, 0o2755, 0o000, 0o755] {
        fs.set_mode(root, name("dir"), mode).unwrap();
        assert_eq!(meta(fs, root, "dir").mode, kept_of_dir(mode), "{mode:o}");
    }
    let dir = fs.open_dir(root, name("dir")).unwrap();
    assert_eq!(read(fs, &dir, "file"), "x");
}

/// I6: `set_mode` changes neither the target of a link nor a file where a directory is expected.
pub(super) fn only_directories_get_a_mode_by_name(fs: &dyn Fs, root: &Dir) {
    make_dir(fs, root, "dir");
    write(fs, root, "file", "");
    let mut others = vec!["file"];
    if symlink(fs, root, "link", "dir") && symlink(fs, root, "to-file", "file") {
        others.extend(["link", "to-file"]);
    }
    for other in others {
        let refused = fs.set_mode(root, name(other), 0o700);
        assert_eq!(kind(refused), ErrorKind::NotADirectory, "{other}");
    }
    assert_eq!(meta(fs, root, "dir").mode, kept_of_dir(0o755));
    assert_eq!(meta(fs, root, "file").mode, kept(0o644));
}

pub(super) fn the_right_to_write_is_that_of_the_directory(fs: &dyn Fs, root: &Dir) {
    let dir = make_dir(fs, root, "dir");
    assert!(fs.may_write(root) && fs.may_write(&dir));
    for (mode, expected) in [(0o555, false), (0o677, false), (0o300, true), (0o700, true)] {
        fs.set_mode_of(&dir, mode).unwrap();
        let can = fs.make_dir(&dir, name("probe"), 0o755).is_ok();
        assert_eq!(fs.may_write(&dir), can, "{mode:o}");
        // The superuser may write anywhere, and Windows keeps no such mode.
        if cfg!(unix) && fs.user() != 0 {
            assert_eq!(can, expected, "{mode:o}");
        }
        if can {
            fs.remove_dir(&dir, name("probe")).unwrap();
        }
    }
}
