//! Contracts of files and links: what is written, read, shared and cloned.

use std::ffi::OsString;
use std::io::{ErrorKind, Read as _};

use super::{
    SECOND, file, is_absent, is_no_such_thing, kept, kind, make_dir, meta, name, read, rename,
    symlink, write,
};
use rvenv_journal::Digest;
use rvenv_journal::fs::{Dir, Flush, Fs, Kind, NewFile, Rename, Time};

pub(super) fn a_file_is_written_whole_and_read_back(fs: &dyn Fs, root: &Dir) {
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

pub(super) fn a_file_has_exactly_the_mode_and_time_that_were_asked_for(fs: &dyn Fs, root: &Dir) {
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

pub(super) fn a_taken_name_is_never_written_to(fs: &dyn Fs, root: &Dir) {
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
            fs.link(root.at("file"), root.at(entry)),
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
        let clone = kind(fs.reflink(root.at("file"), root.at(entry), 0o644, None));
        assert!(
            matches!(clone, ErrorKind::AlreadyExists | ErrorKind::Unsupported),
            "{clone:?}"
        );
        assert_eq!(meta(fs, root, entry), before);
    }
    assert_eq!(read(fs, root, "file"), "old");
    assert!(is_absent(fs, root, "target"));
}

pub(super) fn a_read_is_bounded_and_of_regular_files_alone(fs: &dyn Fs, root: &Dir) {
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

pub(super) fn a_link_shares_identity_and_is_counted(fs: &dyn Fs, root: &Dir) {
    let dir = make_dir(fs, root, "dir");
    let new = NewFile {
        mtime: Some(SECOND),
        ..file(b"shared")
    };
    fs.write_file(root, name("one"), &new).unwrap();
    match fs.link(root.at("one"), dir.at("two")) {
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
    assert!(fs.link(root.at("dir"), root.at("dir-2")).is_err());
    assert!(is_absent(fs, root, "dir-2"));
}

pub(super) fn a_link_to_a_symbolic_link_does_not_follow_it(fs: &dyn Fs, root: &Dir) {
    write(fs, root, "file", "");
    if !symlink(fs, root, "link", "file") {
        return;
    }
    match fs.link(root.at("link"), root.at("second")) {
        Err(error) if is_no_such_thing(error.kind()) => return eprintln!("skipped: no links here"),
        done => done.unwrap(),
    }
    assert_eq!(meta(fs, root, "second"), meta(fs, root, "link"));
    assert_eq!(meta(fs, root, "second").kind, Kind::Symlink);
    assert_eq!(meta(fs, root, "file").links, 1);
}

pub(super) fn a_symbolic_link_keeps_its_target_as_written(fs: &dyn Fs, root: &Dir) {
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

pub(super) fn a_clone_has_its_own_identity_or_leaves_nothing(fs: &dyn Fs, root: &Dir) {
    write(fs, root, "old", "content");
    let refused = |kind| matches!(kind, ErrorKind::Unsupported | ErrorKind::CrossesDevices);
    match fs.reflink(root.at("old"), root.at("new"), 0o755, Some(SECOND)) {
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
    let clone = kind(fs.reflink(root.at("dir"), root.at("other"), 0o755, None));
    assert!(
        refused(clone) || clone == ErrorKind::InvalidInput,
        "{clone:?}"
    );
    assert!(is_absent(fs, root, "other"));
}

pub(super) fn files_belong_to_the_user_of_the_disk(fs: &dyn Fs, root: &Dir) {
    write(fs, root, "file", "");
    assert_eq!(meta(fs, root, "file").owner, fs.user());
    assert_eq!(fs.boot_id(), fs.boot_id());
    assert_eq!(fs.boot_id().trim(), fs.boot_id());
    assert!(!fs.boot_id().is_empty());
}

/// The change time (ctime) of a file never goes back, whatever its mtime says (I6).
pub(super) fn every_change_moves_the_time_of_change(fs: &dyn Fs, root: &Dir) {
    if cfg!(windows) {
        return;
    }
    // Clocks tick slowly: repeat the change until the time is later.
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
    if fs.link(root.at("file"), root.at("link")).is_ok() {
        let link = |round: usize| {
            let done = fs.link(root.at("file"), root.at(&entry(round)));
            done.unwrap();
        };
        moves("link", Box::new(link));
        // Removing one name changes the file behind the others.
        let unlink = |round: usize| {
            let done = fs.remove_file(root, &entry(round));
            // The names may run out before the clock ticks.
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
