//! What every disk must do, on each that there is: one suite for the operating system and for the simulated disk.
//!
//! A contract is a function of a disk and an empty directory on it. `contracts!` makes a test of each, once per
//! disk; so the crash tests, which run on the simulated disk alone, speak of the real one too.
//! What a system or a filesystem cannot do (links, exchange, locks on directories, modes) is tried first, and the
//! contract that needs it is left with a word on standard error.
//!
//! `real` has more: what only an operating system can do wrong, such as fifos, umasks and inherited ACLs.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::wildcard_enum_match_arm,
    reason = "a test says so and stops"
)]

use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use rvenv_journal::Digest;
use rvenv_journal::fs::real::RealFs;
use rvenv_journal::fs::{
    Barrier, Dir, Flush, Fs, FsError, Kind, Layers, Lock, Meta, NewFile, Rename, Time,
};

macro_rules! contracts {
    ($($contract:ident,)*) => {
        mod on_the_real_disk {
            $(#[test] fn $contract() { super::real::check(super::$contract); })*
        }
        // It keeps modes whatever machine this is; it is held to the contract where the machine's disk keeps them, too.
        #[cfg(unix)]
        mod on_the_simulated_disk {
            $(#[test] fn $contract() { super::simulated::check(super::$contract); })*
        }
    };
}

contracts! {
    a_name_is_one_plain_component,
    an_absent_name_is_none_to_a_look_and_not_found_to_all_else,
    a_failure_names_the_verb_and_the_escaped_entry,
    a_directory_of_another_disk_is_refused,
    a_directory_is_made_once_and_opened_only_if_it_is_one,
    a_directory_has_exactly_the_mode_that_was_asked_for,
    a_directory_below_a_setgid_one_has_the_permission_bits_that_were_asked_for,
    what_a_directory_hands_down_already_changes_nothing,
    a_plain_directory_is_one_that_its_owner_can_use,
    unique_directories_are_private_and_differ,
    a_file_is_written_whole_and_read_back,
    a_file_has_exactly_the_mode_and_time_that_were_asked_for,
    a_taken_name_is_never_written_to,
    a_read_is_bounded_and_of_regular_files_alone,
    a_link_shares_identity_and_is_counted,
    a_link_to_a_symbolic_link_does_not_follow_it,
    a_symbolic_link_keeps_its_target_as_written,
    a_clone_has_its_own_identity_or_leaves_nothing,
    a_listing_is_sorted_whole_and_repeatable,
    a_directory_held_open_is_followed_under_another_name,
    a_rename_keeps_identity_and_replaces_a_file,
    a_rename_never_mixes_files_and_directories,
    a_rename_between_two_links_of_one_file_does_nothing,
    a_rename_without_replacement_refuses_every_taken_name,
    an_exchange_changes_both_places_at_once,
    an_exchange_needs_both_sides,
    removal_is_of_one_kind_and_follows_nothing,
    what_is_there_can_be_synced,
    a_held_file_is_made_private_and_keeps_its_content,
    a_held_file_is_locked_by_one_holder_until_it_is_dropped,
    what_is_held_is_known_without_a_name,
    a_held_directory_is_locked_by_one_holder_until_it_is_dropped,
    files_belong_to_the_user_of_the_disk,
    every_change_moves_the_time_of_change,
    a_directory_by_name_gets_exactly_the_mode_that_is_asked_for,
    only_directories_get_a_mode_by_name,
    a_pinned_object_keeps_its_identity_when_it_is_renamed,
    the_right_to_write_is_that_of_the_directory,
}

/// How the contracts meet the simulated disk.
#[cfg(unix)]
mod simulated {
    use super::*;
    use rvenv_journal::fs::sim::SimFs;

    pub(crate) fn check(contract: fn(&dyn Fs, &Dir)) {
        let fs = SimFs::new();
        let root = fs.open_path(Path::new("/")).unwrap();
        contract(&fs, &root);
    }
}

const NAMES_REFUSED: [&str; 7] = ["", ".", "..", "/", "a/b", "/a", "a\0b"];
const SECOND: i64 = 1_234_567_890;

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

fn file(bytes: &[u8]) -> NewFile<'_> {
    NewFile {
        mode: 0o644,
        mtime: None,
        bytes,
        flush: Flush::Later,
    }
}

fn write(fs: &dyn Fs, at: &Dir, entry: &str, bytes: &str) {
    fs.write_file(at, name(entry), &file(bytes.as_bytes()))
        .unwrap();
}

fn read(fs: &dyn Fs, at: &Dir, entry: &str) -> String {
    String::from_utf8(fs.read_file(at, name(entry), 1 << 20).unwrap()).unwrap()
}

fn make_dir(fs: &dyn Fs, at: &Dir, entry: &str) -> Dir {
    fs.make_dir(at, name(entry), 0o755).unwrap();
    fs.open_dir(at, name(entry)).unwrap()
}

fn meta(fs: &dyn Fs, at: &Dir, entry: &str) -> Meta {
    fs.meta(at, name(entry)).unwrap().unwrap()
}

fn is_absent(fs: &dyn Fs, at: &Dir, entry: &str) -> bool {
    fs.meta(at, name(entry)).unwrap().is_none()
}

fn kind<T>(result: Result<T, FsError>) -> ErrorKind {
    match result {
        Ok(_) => panic!("it was done"),
        Err(error) => error.kind(),
    }
}

fn rename(fs: &dyn Fs, at: &Dir, names: (&str, &str), how: Rename) -> Result<(), FsError> {
    fs.rename((at, name(names.0)), (at, name(names.1)), how)
}

/// The bits that the system keeps: Windows knows only whether a file may be written.
fn kept(mode: u32) -> u32 {
    match (cfg!(windows), mode & 0o200) {
        (false, _) => mode,
        (true, 0) => 0o555,
        (true, _) => 0o777,
    }
}

/// The bits that the system keeps of a directory: Windows knows none.
fn kept_of_dir(mode: u32) -> u32 {
    if cfg!(windows) { 0o777 } else { mode }
}

/// Makes a symbolic link; some systems have none, and some say that they made one and did not.
fn symlink(fs: &dyn Fs, at: &Dir, entry: &str, target: &str) -> bool {
    match fs.make_symlink(at, name(entry), name(target)) {
        Ok(()) if !is_absent(fs, at, entry) => return true,
        Ok(()) => {}
        Err(error) if is_no_such_thing(error.kind()) => {}
        Err(error) => panic!("{error:?}"),
    }
    eprintln!("skipped: no symbolic links here");
    false
}

fn is_no_such_thing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unsupported | ErrorKind::PermissionDenied)
}

/// Whether the filesystem has this kind of rename.
fn can_rename(fs: &dyn Fs, at: &Dir, how: Rename) -> bool {
    fs.make_dir(at, name("probe-a"), 0o700).unwrap();
    if how == Rename::Exchange {
        fs.make_dir(at, name("probe-b"), 0o700).unwrap();
    }
    let done = rename(fs, at, ("probe-a", "probe-b"), how);
    for entry in fs.list(at).unwrap() {
        fs.remove_dir(at, &entry).unwrap();
    }
    match done {
        Ok(()) => true,
        Err(error) => {
            let kind = error.kind();
            assert!(
                matches!(kind, ErrorKind::Unsupported | ErrorKind::InvalidInput),
                "{kind:?}"
            );
            eprintln!("skipped: no such rename here: {how:?}");
            false
        }
    }
}

/// I6: no name leads out of the directory.
fn a_name_is_one_plain_component(fs: &dyn Fs, root: &Dir) {
    write(fs, root, "file", "");
    let good = name("file");
    for text in NAMES_REFUSED {
        let bad = name(text);
        let refusals = [
            fs.open_dir(root, bad).map(drop),
            fs.make_dir(root, bad, 0o755),
            fs.write_file(root, bad, &file(b"")),
            fs.make_symlink(root, bad, good),
            fs.link((root, bad), (root, name("new"))),
            fs.link((root, good), (root, bad)),
            fs.reflink((root, bad), (root, name("new")), (0o644, None)),
            fs.reflink((root, good), (root, bad), (0o644, None)),
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

fn an_absent_name_is_none_to_a_look_and_not_found_to_all_else(fs: &dyn Fs, root: &Dir) {
    assert_eq!(fs.meta(root, name("absent")).unwrap(), None);
    let absent = name("absent");
    let refusals = [
        fs.open_dir(root, absent).map(drop),
        fs.link((root, absent), (root, name("new"))),
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
    let clone = kind(fs.reflink((root, absent), (root, name("new")), (0o644, None)));
    assert!(
        matches!(clone, ErrorKind::NotFound | ErrorKind::Unsupported),
        "{clone:?}"
    );
    assert!(fs.list(root).unwrap().is_empty());
}

fn a_failure_names_the_verb_and_the_escaped_entry(fs: &dyn Fs, root: &Dir) {
    let error = fs.open_dir(root, name("a\nb")).unwrap_err();
    assert_eq!(error.name, "a\\nb");
    assert_eq!(error.to_string(), format!("cannot {} `a\\nb`", error.verb));
    assert!(!error.verb.is_empty());
    assert!(std::error::Error::source(&error).is_some());
}

fn a_directory_of_another_disk_is_refused(fs: &dyn Fs, root: &Dir) {
    let foreign = Dir::from_handle("another disk");
    assert_eq!(kind(fs.list(&foreign)), ErrorKind::InvalidInput);
    assert_eq!(kind(fs.pin(&foreign, name("a"))), ErrorKind::InvalidInput);
    assert_eq!(fs.layers(&foreign), Layers::Plain);
    assert!(!fs.may_write(&foreign));
    assert_eq!(kind(fs.meta(&foreign, name("a"))), ErrorKind::InvalidInput);
    write(fs, root, "file", "");
    let moved = fs.rename(
        (root, name("file")),
        (&foreign, name("file")),
        Rename::Replace,
    );
    assert_eq!(kind(moved), ErrorKind::InvalidInput);
    assert_eq!(fs.list(root).unwrap(), ["file"]);
}

fn a_directory_is_made_once_and_opened_only_if_it_is_one(fs: &dyn Fs, root: &Dir) {
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

fn a_directory_has_exactly_the_mode_that_was_asked_for(fs: &dyn Fs, root: &Dir) {
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

/// A setgid bit above it says whose a directory is, and nothing of who may use it.
fn a_directory_below_a_setgid_one_has_the_permission_bits_that_were_asked_for(
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

fn what_a_directory_hands_down_already_changes_nothing(fs: &dyn Fs, root: &Dir) {
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

fn a_plain_directory_is_one_that_its_owner_can_use(fs: &dyn Fs, root: &Dir) {
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

fn unique_directories_are_private_and_differ(fs: &dyn Fs, root: &Dir) {
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

fn a_file_is_written_whole_and_read_back(fs: &dyn Fs, root: &Dir) {
    let long = (0..300_000_u32)
        .flat_map(u32::to_le_bytes)
        .collect::<Vec<_>>();
    for (entry, bytes, flush) in [
        ("empty", &b""[..], Flush::Later),
        ("short", b"one line\n", Flush::Now),
        ("long", &long, Flush::Later),
    ] {
        let new = NewFile {
            flush,
            ..file(bytes)
        };
        fs.write_file(root, name(entry), &new).unwrap();
        assert_eq!(fs.read_file(root, name(entry), 1 << 21).unwrap(), bytes);
        let mut read = Vec::new();
        let mut pieces = fs.open_file(root, name(entry), bytes.len() as u64).unwrap();
        pieces.read_to_end(&mut read).unwrap();
        assert_eq!(read, bytes);
        assert_eq!(
            fs.digest_file(root, name(entry)).unwrap(),
            Digest::of(bytes)
        );
        let found = meta(fs, root, entry);
        assert_eq!((found.kind, found.links), (Kind::File, 1));
        assert_eq!(found.len, bytes.len() as u64);
    }
}

fn a_file_has_exactly_the_mode_and_time_that_were_asked_for(fs: &dyn Fs, root: &Dir) {
    for mode in [0o644, 0o755, 0o600, 0o444, 0o666, 0o777] {
        for mtime in [None, Some(SECOND), Some(0)] {
            let entry = format!("file-{mode:o}-{mtime:?}");
            let new = NewFile {
                mode,
                mtime,
                ..file(b"x")
            };
            fs.write_file(root, name(&entry), &new).unwrap();
            let found = meta(fs, root, &entry);
            assert_eq!(found.mode, kept(mode), "{entry}");
            if let Some(seconds) = mtime {
                assert_eq!(found.mtime, Time { seconds, nanos: 0 }, "{entry}");
            } else {
                assert!(found.mtime.seconds != 0 && found.mtime.seconds != SECOND);
            }
            fs.sync_file(root, name(&entry)).unwrap();
            assert_eq!(meta(fs, root, &entry).mode, kept(mode), "{entry}");
            fs.remove_file(root, name(&entry)).unwrap();
        }
    }
}

fn a_taken_name_is_never_written_to(fs: &dyn Fs, root: &Dir) {
    write(fs, root, "file", "old");
    fs.make_dir(root, name("dir"), 0o755).unwrap();
    let mut taken = vec!["file", "dir"];
    let has_symlinks = symlink(fs, root, "dangling", "target");
    if has_symlinks {
        taken.push("dangling");
    }
    for entry in taken {
        let before = meta(fs, root, entry);
        let mut refusals = vec![
            fs.write_file(root, name(entry), &file(b"new")),
            fs.link((root, name("file")), (root, name(entry))),
        ];
        if has_symlinks {
            refusals.push(fs.make_symlink(root, name(entry), name("elsewhere")));
        }
        for (number, refusal) in refusals.into_iter().enumerate() {
            assert_eq!(
                kind(refusal),
                ErrorKind::AlreadyExists,
                "{entry}, verb {number}"
            );
        }
        let clone = kind(fs.reflink((root, name("file")), (root, name(entry)), (0o644, None)));
        assert!(
            matches!(clone, ErrorKind::AlreadyExists | ErrorKind::Unsupported),
            "{clone:?}"
        );
        assert_eq!(meta(fs, root, entry), before);
    }
    assert_eq!(read(fs, root, "file"), "old");
    assert!(is_absent(fs, root, "target"));
}

fn a_read_is_bounded_and_of_regular_files_alone(fs: &dyn Fs, root: &Dir) {
    write(fs, root, "file", "12345");
    assert_eq!(fs.read_file(root, name("file"), 5).unwrap(), b"12345");
    assert_eq!(
        fs.read_file(root, name("file"), u64::MAX).unwrap(),
        b"12345"
    );
    for len_max in [0, 4] {
        let read = fs.read_file(root, name("file"), len_max);
        assert_eq!(kind(read), ErrorKind::FileTooLarge);
        let opened = fs.open_file(root, name("file"), len_max);
        assert_eq!(kind(opened), ErrorKind::FileTooLarge);
    }
    fs.make_dir(root, name("dir"), 0o755).unwrap();
    let mut others = vec!["dir"];
    if symlink(fs, root, "link", "file") {
        others.push("link");
    }
    for entry in others {
        assert_eq!(
            kind(fs.read_file(root, name(entry), 10)),
            ErrorKind::InvalidInput,
            "{entry}"
        );
        assert_eq!(
            kind(fs.open_file(root, name(entry), 10)),
            ErrorKind::InvalidInput,
            "{entry}"
        );
        assert_eq!(
            kind(fs.digest_file(root, name(entry))),
            ErrorKind::InvalidInput,
            "{entry}"
        );
    }
}

fn a_link_shares_identity_and_is_counted(fs: &dyn Fs, root: &Dir) {
    let dir = make_dir(fs, root, "dir");
    let new = NewFile {
        mtime: Some(SECOND),
        ..file(b"shared")
    };
    fs.write_file(root, name("one"), &new).unwrap();
    match fs.link((root, name("one")), (&dir, name("two"))) {
        Err(error) if is_no_such_thing(error.kind()) => return eprintln!("skipped: no links here"),
        done => done.unwrap(),
    }
    assert_eq!(meta(fs, root, "one"), meta(fs, &dir, "two"));
    assert_eq!(
        (meta(fs, root, "one").links, read(fs, &dir, "two")),
        (2, "shared".into())
    );
    fs.remove_file(root, name("one")).unwrap();
    assert_eq!(
        (meta(fs, &dir, "two").links, read(fs, &dir, "two")),
        (1, "shared".into())
    );
    assert!(fs.link((root, name("dir")), (root, name("dir-2"))).is_err());
    assert!(is_absent(fs, root, "dir-2"));
}

fn a_link_to_a_symbolic_link_does_not_follow_it(fs: &dyn Fs, root: &Dir) {
    write(fs, root, "file", "");
    if !symlink(fs, root, "link", "file") {
        return;
    }
    match fs.link((root, name("link")), (root, name("second"))) {
        Err(error) if is_no_such_thing(error.kind()) => return eprintln!("skipped: no links here"),
        done => done.unwrap(),
    }
    assert_eq!(meta(fs, root, "second"), meta(fs, root, "link"));
    assert_eq!(meta(fs, root, "second").kind, Kind::Symlink);
    assert_eq!(meta(fs, root, "file").links, 1);
}

fn a_symbolic_link_keeps_its_target_as_written(fs: &dyn Fs, root: &Dir) {
    for (entry, target) in [
        ("a", "../up/./x"),
        ("b", "/absolute"),
        ("c", "c"),
        ("d", "ü b"),
    ] {
        if !symlink(fs, root, entry, target) {
            return;
        }
        assert_eq!(fs.read_link(root, name(entry)).unwrap(), target);
        let found = meta(fs, root, entry);
        assert_eq!(
            (found.kind, found.len),
            (Kind::Symlink, target.len() as u64)
        );
    }
    write(fs, root, "file", "");
    fs.make_dir(root, name("dir"), 0o755).unwrap();
    for entry in ["file", "dir"] {
        assert_eq!(
            kind(fs.read_link(root, name(entry))),
            ErrorKind::InvalidInput
        );
    }
}

fn a_clone_has_its_own_identity_or_leaves_nothing(fs: &dyn Fs, root: &Dir) {
    write(fs, root, "old", "content");
    let refused = |kind| matches!(kind, ErrorKind::Unsupported | ErrorKind::CrossesDevices);
    match fs.reflink(
        (root, name("old")),
        (root, name("new")),
        (0o755, Some(SECOND)),
    ) {
        Ok(()) => {
            let found = meta(fs, root, "new");
            assert_eq!(
                (found.mode, found.links, found.kind),
                (0o755, 1, Kind::File)
            );
            assert_eq!(
                found.mtime,
                Time {
                    seconds: SECOND,
                    nanos: 0
                }
            );
            assert_ne!(found.identity, meta(fs, root, "old").identity);
            assert_eq!(read(fs, root, "new"), "content");
            fs.remove_file(root, name("old")).unwrap();
            assert_eq!(read(fs, root, "new"), "content");
        }
        Err(error) => {
            assert!(refused(error.kind()), "{error:?}");
            assert!(is_absent(fs, root, "new"));
            eprintln!("half of it skipped: blocks cannot be shared here");
        }
    }
    fs.make_dir(root, name("dir"), 0o755).unwrap();
    let clone = kind(fs.reflink((root, name("dir")), (root, name("other")), (0o755, None)));
    assert!(
        refused(clone) || clone == ErrorKind::InvalidInput,
        "{clone:?}"
    );
    assert!(is_absent(fs, root, "other"));
}

fn a_listing_is_sorted_whole_and_repeatable(fs: &dyn Fs, root: &Dir) {
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
    // More than any system gives in one piece.
    let mut names = (0..2_000)
        .map(|number| OsString::from(format!("{number:0>60}")))
        .collect::<Vec<_>>();
    for entry in names.iter().rev() {
        fs.make_dir(&dir, entry, 0o755).unwrap();
    }
    names.sort();
    assert_eq!(fs.list(&dir).unwrap(), names);
}

fn a_directory_held_open_is_followed_under_another_name(fs: &dyn Fs, root: &Dir) {
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

fn a_rename_keeps_identity_and_replaces_a_file(fs: &dyn Fs, root: &Dir) {
    let dir = make_dir(fs, root, "dir");
    write(fs, root, "file", "new");
    write(fs, &dir, "taken", "old");
    let moved = meta(fs, root, "file").identity;
    fs.rename((root, name("file")), (&dir, name("taken")), Rename::Replace)
        .unwrap();
    assert!(is_absent(fs, root, "file"));
    assert_eq!(meta(fs, &dir, "taken").identity, moved);
    assert_eq!(read(fs, &dir, "taken"), "new");
    assert_eq!(fs.list(&dir).unwrap(), ["taken"]);

    let moved = meta(fs, root, "dir").identity;
    rename(fs, root, ("dir", "free"), Rename::Replace).unwrap();
    assert_eq!(meta(fs, root, "free").identity, moved);
    if symlink(fs, root, "link", "free") {
        let link = meta(fs, root, "link");
        rename(fs, root, ("link", "moved"), Rename::Replace).unwrap();
        assert_eq!(meta(fs, root, "moved").identity, link.identity);
        write(fs, root, "file", "over the link");
        rename(fs, root, ("file", "moved"), Rename::Replace).unwrap();
        assert_eq!(meta(fs, root, "moved").kind, Kind::File);
        assert_eq!(fs.list(root).unwrap(), ["free", "moved"]);
    }
}

fn a_rename_never_mixes_files_and_directories(fs: &dyn Fs, root: &Dir) {
    let full = make_dir(fs, root, "full");
    write(fs, &full, "file", "");
    fs.make_dir(root, name("dir"), 0o755).unwrap();
    write(fs, root, "file", "");
    let check = |names, expected| {
        let before = fs.list(root).unwrap();
        assert_eq!(
            kind(rename(fs, root, names, Rename::Replace)),
            expected,
            "{names:?}"
        );
        assert_eq!(fs.list(root).unwrap(), before);
    };
    check(("dir", "file"), ErrorKind::NotADirectory);
    check(("file", "dir"), ErrorKind::IsADirectory);
    if cfg!(unix) {
        check(("dir", "full"), ErrorKind::DirectoryNotEmpty);
        let inside = fs.rename((root, name("full")), (&full, name("x")), Rename::Replace);
        assert_eq!(kind(inside), ErrorKind::InvalidInput);
    }
    if symlink(fs, root, "link", "dir") {
        check(("dir", "link"), ErrorKind::NotADirectory);
    }
}

fn a_rename_between_two_links_of_one_file_does_nothing(fs: &dyn Fs, root: &Dir) {
    write(fs, root, "one", "x");
    if cfg!(windows) || fs.link((root, name("one")), (root, name("two"))).is_err() {
        return eprintln!("skipped: no links here, or another rule about them");
    }
    rename(fs, root, ("one", "two"), Rename::Replace).unwrap();
    assert_eq!(fs.list(root).unwrap(), ["one", "two"]);
    rename(fs, root, ("one", "one"), Rename::Replace).unwrap();
    assert_eq!(read(fs, root, "one"), "x");
}

fn a_rename_without_replacement_refuses_every_taken_name(fs: &dyn Fs, root: &Dir) {
    if !can_rename(fs, root, Rename::NoReplace) {
        return;
    }
    let full = make_dir(fs, root, "full");
    write(fs, &full, "file", "");
    fs.make_dir(root, name("empty"), 0o755).unwrap();
    fs.make_dir(root, name("dir"), 0o755).unwrap();
    write(fs, root, "file", "old");
    write(fs, root, "new", "new");
    let mut taken = vec!["full", "empty", "file"];
    if symlink(fs, root, "dangling", "absent") {
        taken.push("dangling");
    }
    for source in ["new", "dir"] {
        for target in &taken {
            let before = (
                meta(fs, root, source).identity,
                meta(fs, root, target).identity,
            );
            let refusal = kind(rename(fs, root, (source, target), Rename::NoReplace));
            assert_eq!(refusal, ErrorKind::AlreadyExists, "{source} to {target}");
            let after = (
                meta(fs, root, source).identity,
                meta(fs, root, target).identity,
            );
            assert_eq!(after, before);
        }
        let moved = meta(fs, root, source).identity;
        let free = format!("{source}-moved");
        fs.rename(
            (root, name(source)),
            (&full, name(&free)),
            Rename::NoReplace,
        )
        .unwrap();
        assert_eq!(meta(fs, &full, &free).identity, moved);
        assert!(is_absent(fs, root, source));
    }
    assert_eq!(read(fs, root, "file"), "old");
    let absent = rename(fs, root, ("absent", "free"), Rename::NoReplace);
    assert_eq!(kind(absent), ErrorKind::NotFound);
}

fn an_exchange_changes_both_places_at_once(fs: &dyn Fs, root: &Dir) {
    if !can_rename(fs, root, Rename::Exchange) {
        return;
    }
    let dir = make_dir(fs, root, "dir");
    write(fs, &dir, "in-dir", "");
    fs.make_dir(root, name("other"), 0o755).unwrap();
    write(fs, root, "file", "");
    write(fs, root, "second", "");
    let mut names = vec!["dir", "other", "file", "second"];
    if symlink(fs, root, "link", "dir") {
        names.push("link");
    }
    for one in &names {
        for two in &names {
            let before = (meta(fs, root, one).identity, meta(fs, root, two).identity);
            rename(fs, root, (one, two), Rename::Exchange).unwrap();
            let after = (meta(fs, root, two).identity, meta(fs, root, one).identity);
            assert_eq!(after, before, "{one} and {two}");
            rename(fs, root, (one, two), Rename::Exchange).unwrap();
        }
    }
    let before = (
        meta(fs, root, "file").identity,
        meta(fs, &dir, "in-dir").identity,
    );
    fs.rename(
        (root, name("file")),
        (&dir, name("in-dir")),
        Rename::Exchange,
    )
    .unwrap();
    let after = (
        meta(fs, &dir, "in-dir").identity,
        meta(fs, root, "file").identity,
    );
    assert_eq!(after, before);
    // A directory and what is in it cannot change places.
    let inside = fs.rename(
        (root, name("dir")),
        (&dir, name("in-dir")),
        Rename::Exchange,
    );
    assert_eq!(kind(inside), ErrorKind::InvalidInput);
    assert_eq!(fs.list(&dir).unwrap(), ["in-dir"]);
}

fn an_exchange_needs_both_sides(fs: &dyn Fs, root: &Dir) {
    if !can_rename(fs, root, Rename::Exchange) {
        return;
    }
    fs.make_dir(root, name("dir"), 0o755).unwrap();
    for names in [("dir", "absent"), ("absent", "dir"), ("absent", "none")] {
        assert_eq!(
            kind(rename(fs, root, names, Rename::Exchange)),
            ErrorKind::NotFound
        );
    }
    assert_eq!(fs.list(root).unwrap(), ["dir"]);
}

fn removal_is_of_one_kind_and_follows_nothing(fs: &dyn Fs, root: &Dir) {
    let dir = make_dir(fs, root, "dir");
    write(fs, &dir, "file", "");
    write(fs, root, "file", "");
    assert_eq!(
        kind(fs.remove_dir(root, name("dir"))),
        ErrorKind::DirectoryNotEmpty
    );
    assert_eq!(
        kind(fs.remove_dir(root, name("file"))),
        ErrorKind::NotADirectory
    );
    // Linux says that it is a directory, others that it is not permitted.
    let refusal = kind(fs.remove_file(root, name("dir")));
    assert!(matches!(
        refusal,
        ErrorKind::IsADirectory | ErrorKind::PermissionDenied
    ));
    if symlink(fs, root, "link", "dir") {
        assert_eq!(
            kind(fs.remove_dir(root, name("link"))),
            ErrorKind::NotADirectory
        );
        fs.remove_file(root, name("link")).unwrap();
    }
    assert_eq!(fs.list(root).unwrap(), ["dir", "file"]);
    fs.remove_file(&dir, name("file")).unwrap();
    drop(dir);
    fs.remove_dir(root, name("dir")).unwrap();
    fs.remove_file(root, name("file")).unwrap();
    assert!(fs.list(root).unwrap().is_empty());
}

fn what_is_there_can_be_synced(fs: &dyn Fs, root: &Dir) {
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

fn a_held_file_is_made_private_and_keeps_its_content(fs: &dyn Fs, root: &Dir) {
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
    // An emulation of Windows may take the last change for the birth.
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

fn a_held_file_is_locked_by_one_holder_until_it_is_dropped(fs: &dyn Fs, root: &Dir) {
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

fn what_is_held_is_known_without_a_name(fs: &dyn Fs, root: &Dir) {
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

fn a_held_directory_is_locked_by_one_holder_until_it_is_dropped(fs: &dyn Fs, root: &Dir) {
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

fn files_belong_to_the_user_of_the_disk(fs: &dyn Fs, root: &Dir) {
    write(fs, root, "file", "");
    assert_eq!(meta(fs, root, "file").owner, fs.user());
    assert_eq!(fs.boot_id(), fs.boot_id());
    assert_eq!(fs.boot_id().trim(), fs.boot_id());
    assert!(!fs.boot_id().is_empty());
}

/// Nothing that changes a file is earlier than what was written before, whatever its other time says (I6).
fn every_change_moves_the_time_of_change(fs: &dyn Fs, root: &Dir) {
    if cfg!(windows) {
        return;
    }
    // Clocks tick slowly: the same is done until it is later.
    let moves = |what: &str, mut change: Box<dyn FnMut(usize) + '_>| {
        let before = meta(fs, root, "file");
        for round in 0.. {
            change(round);
            let after = meta(fs, root, "file");
            assert!(after.ctime >= before.ctime, "{what}");
            assert_eq!(after.mtime.seconds, SECOND, "{what}");
            if after.ctime > before.ctime {
                return;
            }
        }
    };
    let old = NewFile {
        mtime: Some(SECOND),
        ..file(b"text")
    };
    fs.write_file(root, name("file"), &old).unwrap();
    write(fs, root, "later", "");
    let [first, later] = ["file", "later"].map(|entry| meta(fs, root, entry));
    assert!(first.ctime.seconds > SECOND || first.ctime.seconds < 1000);
    assert!(later.mtime >= first.ctime && later.ctime >= later.mtime);
    assert_eq!((first.owner, first.group), (later.owner, later.group));
    let entry = |round: usize| OsString::from(format!("link-{round}"));
    if fs.link((root, name("file")), (root, name("link"))).is_ok() {
        let link = |round: usize| {
            let done = fs.link((root, name("file")), (root, &entry(round)));
            done.unwrap();
        };
        moves("link", Box::new(link));
        // A name that goes is a change of the file behind the others.
        let unlink = |round: usize| {
            let done = fs.remove_file(root, &entry(round));
            // There may be fewer names than the clock takes to tick.
            done.unwrap_or_else(|_| link(round));
        };
        moves("unlink", Box::new(unlink));
    }
    moves(
        "rename",
        Box::new(|round| {
            let names = [["file", "away"], ["away", "file"]];
            for [from, to] in names {
                rename(fs, root, (from, to), Rename::Replace).unwrap();
            }
            assert!(round < 1 << 20);
        }),
    );
}

/// A directory without any bits can be given some, which is why this verb needs no open directory.
fn a_directory_by_name_gets_exactly_the_mode_that_is_asked_for(fs: &dyn Fs, root: &Dir) {
    let dir = make_dir(fs, root, "dir");
    write(fs, &dir, "file", "x");
    for mode in [0o000, 0o700, 0o300, 0o2755, 0o000, 0o755] {
        fs.set_mode(root, name("dir"), mode).unwrap();
        assert_eq!(meta(fs, root, "dir").mode, kept_of_dir(mode), "{mode:o}");
    }
    let dir = fs.open_dir(root, name("dir")).unwrap();
    assert_eq!(read(fs, &dir, "file"), "x");
}

/// I6: neither what a link leads to nor what stands in the way of a directory is changed.
fn only_directories_get_a_mode_by_name(fs: &dyn Fs, root: &Dir) {
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

fn a_pinned_object_keeps_its_identity_when_it_is_renamed(fs: &dyn Fs, root: &Dir) {
    let dir = make_dir(fs, root, "dir");
    write(fs, &dir, "in-dir", "");
    write(fs, root, "file", "x");
    let mut names = vec!["dir", "file"];
    if symlink(fs, root, "link", "file") {
        names.push("link");
    }
    assert_eq!(fs.layers(root), fs.layers(&dir));
    for entry in names {
        let before = meta(fs, root, entry);
        fs.pin(root, name(entry)).unwrap();
        let pinned = meta(fs, root, entry);
        if fs.layers(root) == Layers::Plain {
            assert_eq!(pinned, before, "{entry}");
        }
        rename(fs, root, (entry, "moved"), Rename::Replace).unwrap();
        assert_eq!(meta(fs, root, "moved").identity, pinned.identity, "{entry}");
        rename(fs, root, ("moved", entry), Rename::Replace).unwrap();
    }
}

fn the_right_to_write_is_that_of_the_directory(fs: &dyn Fs, root: &Dir) {
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

/// How the contracts meet the operating system, and what only that can do wrong.
mod real {
    use super::*;

    pub(crate) fn check(contract: fn(&dyn Fs, &Dir)) {
        on_a_scratch_disk(|fs, root, _| contract(fs, root));
    }

    fn on_a_scratch_disk(body: impl FnOnce(&RealFs, &Dir, &Path)) {
        let scratch = tempfile::tempdir().unwrap();
        let fs = RealFs::new();
        let root = fs.open_path(scratch.path()).unwrap();
        body(&fs, &root, scratch.path());
    }

    #[test]
    fn a_path_leads_through_links_to_a_directory_alone() {
        on_a_scratch_disk(|fs, root, path| {
            let dir = make_dir(fs, root, "dir");
            write(fs, root, "file", "");
            assert_eq!(
                kind(fs.open_path(&path.join("file"))),
                ErrorKind::NotADirectory
            );
            if symlink(fs, root, "link", "dir") {
                let through_link = fs.open_path(&path.join("link")).unwrap();
                let identity = fs.meta_of(&dir).unwrap().identity;
                assert_eq!(fs.meta_of(&through_link).unwrap().identity, identity);
            }
        });
    }

    #[cfg(unix)]
    #[test]
    fn a_name_need_not_be_text() {
        use std::os::unix::ffi::OsStrExt;
        let raw = OsStr::from_bytes(b"caf\xe9");
        on_a_scratch_disk(|fs, root, _| {
            if let Err(error) = fs.write_file(root, raw, &file(b"x")) {
                return eprintln!("skipped: {error}: {}", error.source);
            }
            assert_eq!(fs.list(root).unwrap(), [raw]);
            fs.remove_file(root, raw).unwrap();
        });
    }

    /// I6: a fifo in the way neither blocks nor is taken for a file.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_fifo_is_refused_without_waiting_for_its_other_end() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        on_a_scratch_disk(|fs, root, path| {
            mknodat(CWD, path.join("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
            let fifo = name("fifo");
            assert_eq!(meta(fs, root, "fifo").kind, Kind::Other);
            let refusals = [
                fs.read_file(root, fifo, 10).map(drop),
                fs.open_file(root, fifo, 10).map(drop),
                fs.digest_file(root, fifo).map(drop),
                fs.hold_file(root, fifo).map(drop),
                fs.sync_file(root, fifo),
                fs.reflink((root, fifo), (root, name("new")), (0o644, None)),
                fs.read_link(root, fifo).map(drop),
            ];
            for (number, refusal) in refusals.into_iter().enumerate() {
                assert_eq!(kind(refusal), ErrorKind::InvalidInput, "verb {number}");
            }
            assert_eq!(kind(fs.open_dir(root, fifo)), ErrorKind::NotADirectory);
            assert_eq!(fs.list(root).unwrap(), ["fifo"]);
        });
    }

    /// The umask belongs to the whole process, so the contracts about modes run again in one of their own.
    #[cfg(unix)]
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a process with another umask")]
    fn modes_are_exact_whatever_the_umask() {
        for umask in ["000", "022", "077"] {
            let child = std::process::Command::new("sh")
                .arg("-c")
                .arg(format!("umask {umask}; exec \"$0\" \"$@\""))
                .arg(std::env::current_exe().unwrap())
                .args(["that_was_asked_for", "that_were_asked_for", "private"])
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&child.stdout);
            assert!(child.status.success(), "umask {umask}: {told}");
            assert!(told.contains("test result: ok. "), "{told}");
            assert!(!told.contains(" 0 passed"), "{told}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn modes_are_exact_below_a_default_acl() {
        use rustix::fs::{XattrFlags, setxattr};
        // Version 2; then tag, permissions and id of the owner (rwx), the group (r-x) and the others (none).
        let mut acl = 2_u32.to_le_bytes().to_vec();
        for (tag, permissions) in [(1_u16, 7_u16), (4, 5), (32, 0)] {
            acl.extend(tag.to_le_bytes());
            acl.extend(permissions.to_le_bytes());
            acl.extend(u32::MAX.to_le_bytes());
        }
        on_a_scratch_disk(|fs, _, path| {
            let flags = XattrFlags::empty();
            if let Err(error) = setxattr(path, "system.posix_acl_default", &acl, flags) {
                return eprintln!("skipped: no ACLs here: {error}");
            }
            let root = fs.open_path(path).unwrap();
            let dir = make_dir(fs, &root, "dir");
            write(fs, &dir, "file", "");
            assert_eq!(meta(fs, &root, "dir").mode, 0o755);
            assert_eq!(meta(fs, &dir, "file").mode, 0o644);
        });
    }

    /// Setting a mode in so many words would take the bit away again.
    #[cfg(unix)]
    #[test]
    fn a_setgid_bit_and_its_group_are_handed_down_beside_the_bits_that_were_asked_for() {
        on_a_scratch_disk(|fs, root, path| {
            let dir = make_dir(fs, root, "dir");
            let other = std::os::unix::fs::chown(path.join("dir"), None, Some(54321));
            let group = if other.is_ok() {
                54321
            } else {
                fs.meta_of(&dir).unwrap().group
            };
            fs.set_mode_of(&dir, 0o2777).unwrap();
            fs.make_dir(&dir, name("below"), 0o757).unwrap();
            fs.make_plain_dir(&dir, name("plain")).unwrap();
            let unique = fs.make_unique_dir(&dir, "unique-").unwrap();
            write(fs, &dir, "file", "");
            let found = |entry: &str| {
                let meta = meta(fs, &dir, entry);
                (meta.mode, meta.group)
            };
            assert_eq!(found("below"), (0o2757, group));
            assert_eq!(found("plain").0 & 0o2700, 0o2700);
            assert_eq!(found(unique.to_str().unwrap()), (0o2700, group));
            assert_eq!(found("file"), (0o644, group));
            let below = fs.open_dir(&dir, name("below")).unwrap();
            let own = make_dir(fs, root, "own");
            fs.hand_down(&own, &fs.sharing(&below).unwrap()).unwrap();
            assert_eq!(fs.sharing(&own).unwrap(), fs.sharing(&below).unwrap());
            assert_eq!(fs.meta_of(&own).unwrap().mode, 0o2755);
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_acl_is_given_and_taken_as_it_is_and_leaves_what_the_kernel_leaves() {
        use rustix::fs::{XattrFlags, setxattr};
        use rvenv_journal::fs::left_by_acl;
        let mut acl = 2_u32.to_le_bytes().to_vec();
        let entries = [(1_u16, 7_u16, u32::MAX), (2, 7, 54321), (4, 5, u32::MAX)];
        for (tag, permissions, id) in entries
            .into_iter()
            .chain([(16, 7, u32::MAX), (32, 1, u32::MAX)])
        {
            acl.extend(tag.to_le_bytes());
            acl.extend(permissions.to_le_bytes());
            acl.extend(id.to_le_bytes());
        }
        on_a_scratch_disk(|fs, root, path| {
            let flags = XattrFlags::empty();
            let giver = make_dir(fs, root, "giver");
            assert!(!fs.has_default_acl(&giver));
            if let Err(error) =
                setxattr(path.join("giver"), "system.posix_acl_default", &acl, flags)
            {
                return eprintln!("skipped: no ACLs here: {error}");
            }
            let giver = fs.open_dir(root, name("giver")).unwrap();
            let shared = fs.sharing(&giver).unwrap();
            assert_eq!(shared.acl, None);
            assert_eq!(left_by_acl(fs, &giver), Some(0o771));
            let dir = make_dir(fs, root, "dir");
            // What was known of it before must not be believed.
            write(fs, &dir, "before", "");
            fs.hand_down(&dir, &shared).unwrap();
            assert!(fs.has_default_acl(&dir));
            write(fs, &dir, "after", "");
            fs.make_plain_dir(&dir, name("plain")).unwrap();
            let plain = fs.open_dir(&dir, name("plain")).unwrap();
            assert_eq!(fs.meta_of(&plain).unwrap().mode, 0o771);
            let inherited = fs.sharing(&plain).unwrap();
            assert_eq!(inherited.default_acl, shared.default_acl);
            fs.set_acl_of(&dir, inherited.acl.as_ref()).unwrap();
            assert_eq!(fs.sharing(&dir).unwrap(), inherited);
            fs.set_acl_of(&dir, None).unwrap();
            let none = fs.sharing(&make_dir(fs, root, "none")).unwrap();
            fs.hand_down(&dir, &none).unwrap();
            assert_eq!(fs.sharing(&dir).unwrap(), none);
            assert!(!fs.has_default_acl(&dir));
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_root_is_a_mount_point_and_this_start_has_a_name() {
        let fs = RealFs::new();
        let top = fs.open_path(Path::new("/")).unwrap();
        let mounts = fs.mounts_under(&top);
        assert!(mounts.iter().any(|path| path == Path::new("/")));
        assert!(mounts.iter().any(|path| path == Path::new("/proc")));
        let proc = fs.open_path(Path::new("/proc")).unwrap();
        assert!(
            fs.mounts_under(&proc)
                .iter()
                .all(|path| path.starts_with("/proc"))
        );
        assert_eq!(fs.boot_id().len(), 36, "{}", fs.boot_id());
    }

    /// Where root runs the tests, nothing is ever refused for want of a right; so the contracts about rights run
    /// again as somebody else.
    #[cfg(target_os = "linux")]
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a process of another user")]
    fn the_contracts_about_rights_hold_for_ordinary_users() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("skipped: the contracts ran as an ordinary user already");
        }
        let scratch = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(scratch.path(), Some(65534), Some(65534)).unwrap();
        let test = scratch.path().join("test");
        std::fs::copy(std::env::current_exe().unwrap(), &test).unwrap();
        let child = std::process::Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&test)
            .args(["by_name", "the_right_to_write"])
            .env("TMPDIR", scratch.path())
            .current_dir(scratch.path())
            .output();
        let child = match child {
            Err(error) => return eprintln!("skipped: there is no `setpriv`: {error}"),
            Ok(child) => child,
        };
        let told = String::from_utf8_lossy(&child.stdout);
        assert!(
            child.status.success(),
            "{told}{}",
            String::from_utf8_lossy(&child.stderr)
        );
        assert!(told.contains("test result: ok. 6 passed"), "{told}");
    }

    /// What a lower layer gave is another object once it was changed.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_an_overlay_was_given_keeps_its_identity_once_it_was_pinned() {
        let test = "what_an_overlay_was_given_keeps_its_identity_once_it_was_pinned";
        on_an_overlay(test, fill_lower_layer, |fs, root| {
            assert_eq!(fs.layers(root), Layers::Overlay);
            let dir = fs.open_dir(root, name("dir")).unwrap();
            let below = fs.open_dir(&dir, name("below")).unwrap();
            let identity = |dir| fs.meta_of(dir).unwrap().identity;
            let before = (identity(&dir), identity(&below));
            for (at, entry) in [
                (&below, "file"),
                (root, "file"),
                (root, "link"),
                (root, "linked"),
            ] {
                let found = meta(fs, at, entry);
                fs.pin(at, name(entry)).unwrap();
                let pinned = meta(fs, at, entry);
                assert_ne!(pinned.identity, found.identity, "{entry}");
                let same = |meta: &Meta| (meta.kind, meta.mode, meta.len, meta.mtime, meta.owner);
                assert_eq!(same(&pinned), same(&found), "{entry}");
                let above = (identity(&dir), identity(&below));
                let free = format!("{entry}-moved");
                rename(fs, at, (entry, &free), Rename::NoReplace).unwrap();
                assert_eq!(meta(fs, at, &free).identity, pinned.identity, "{entry}");
                assert_eq!((identity(&dir), identity(&below)), above, "{entry}");
            }
            assert_ne!(identity(&dir), before.0, "a change in it is one of it");
            assert_ne!(identity(&below), before.1, "a change in it is one of it");
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_directory_that_an_overlay_was_given_is_pinned_and_yet_does_not_move() {
        let test = "a_directory_that_an_overlay_was_given_is_pinned_and_yet_does_not_move";
        on_an_overlay(test, fill_lower_layer, |fs, root| {
            let found = meta(fs, root, "dir");
            fs.pin(root, name("dir")).unwrap();
            let pinned = meta(fs, root, "dir");
            assert_ne!(pinned.identity, found.identity);
            assert_eq!((pinned.mode, pinned.mtime), (found.mode, found.mtime));
            fs.pin(root, name("dir")).unwrap();
            assert_eq!(meta(fs, root, "dir").identity, pinned.identity);
            // Where the mount allows it (`redirect_dir`), it moves and stays what it is.
            match rename(fs, root, ("dir", "away"), Rename::Replace) {
                Ok(()) => assert_eq!(meta(fs, root, "away").identity, pinned.identity),
                Err(error) => assert_eq!(error.kind(), ErrorKind::CrossesDevices),
            }
            assert_eq!(kind(fs.pin(root, name("absent"))), ErrorKind::NotFound);
        });
    }

    /// Directories, a file that is setuid, one that nobody may write, one with two names, and a link.
    #[cfg(target_os = "linux")]
    #[expect(
        clippy::disallowed_methods,
        reason = "what is below a disk to be tried"
    )]
    fn fill_lower_layer(lower: &Path) {
        use std::fs;
        use std::os::unix::fs::PermissionsExt;
        fs::create_dir_all(lower.join("dir/below")).unwrap();
        for (file, mode) in [
            ("dir/below/file", 0o4755),
            ("file", 0o444),
            ("linked", 0o644),
        ] {
            fs::write(lower.join(file), file).unwrap();
            fs::set_permissions(lower.join(file), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::hard_link(lower.join("linked"), lower.join("other")).unwrap();
        std::os::unix::fs::symlink("file", lower.join("link")).unwrap();
    }

    /// Runs the test of this name again in a process among mounts of its own, which go with it, and there `body`.
    #[cfg(target_os = "linux")]
    #[expect(clippy::disallowed_methods, reason = "a process with other mounts")]
    fn on_an_overlay(test: &str, fill: fn(&Path), body: impl FnOnce(&RealFs, &Dir)) {
        const PLACE: &str = "RVENV_TEST_OVERLAY";
        const SCRIPT: &str =
            "mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work top || exit 77
                              exec \"$0\" --exact \"$1\" --nocapture";
        if let Some(place) = std::env::var_os(PLACE) {
            let fs = RealFs::new();
            let root = fs.open_path(Path::new(&place)).unwrap();
            return body(&fs, &root);
        }
        let scratch = tempfile::tempdir().unwrap();
        for dir in ["lower", "upper", "work", "top"] {
            std::fs::create_dir(scratch.path().join(dir)).unwrap();
        }
        fill(&scratch.path().join("lower"));
        let child = std::process::Command::new("unshare")
            .args(["-m", "--propagation", "private", "sh", "-c", SCRIPT])
            .arg(std::env::current_exe().unwrap())
            .arg(format!("real::{test}"))
            .env(PLACE, scratch.path().join("top"))
            .current_dir(scratch.path())
            .output();
        let child = match child {
            Err(error) => return eprintln!("skipped: there is no `unshare`: {error}"),
            Ok(child) => child,
        };
        let told = [child.stdout, child.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        if !child.status.success() && !told.contains("running 1 test") {
            return eprintln!("skipped: no overlay can be mounted here: {told}");
        }
        assert!(child.status.success(), "{told}");
        assert!(told.contains("1 passed"), "{told}");
    }

    /// The verbs work on descriptors: what is at the path by now does not matter.
    #[cfg(unix)]
    #[test]
    fn a_directory_swapped_for_a_link_leads_nobody_elsewhere() {
        on_a_scratch_disk(|fs, root, path| {
            let dir = make_dir(fs, root, "dir");
            let elsewhere = make_dir(fs, root, "elsewhere");
            rename(fs, root, ("dir", "aside"), Rename::Replace).unwrap();
            std::os::unix::fs::symlink("elsewhere", path.join("dir")).unwrap();
            write(fs, &dir, "file", "x");
            assert!(fs.list(&elsewhere).unwrap().is_empty());
            assert_eq!(
                kind(fs.open_dir(root, name("dir"))),
                ErrorKind::NotADirectory
            );
        });
    }
}
