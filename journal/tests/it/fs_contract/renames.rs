//! Contracts of renames and removals.

use std::io::ErrorKind;

use super::{can_rename, is_absent, kind, make_dir, meta, name, read, rename, symlink, write};
use rvenv_journal::fs::{Dir, Fs, Kind, Layers, Rename};

pub(super) fn a_rename_keeps_identity_and_replaces_a_file(fs: &dyn Fs, root: &Dir) {
    let dir = make_dir(fs, root, "dir");
    write(fs, root, "file", "new");
    write(fs, &dir, "taken", "old");
    let moved = meta(fs, root, "file").identity;
    fs.rename(root.at("file"), dir.at("taken"), Rename::Replace)
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

pub(super) fn a_rename_never_mixes_files_and_directories(fs: &dyn Fs, root: &Dir) {
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
        let inside = fs.rename(root.at("full"), full.at("x"), Rename::Replace);
        assert_eq!(kind(inside), ErrorKind::InvalidInput);
    }
    if symlink(fs, root, "link", "dir") {
        check(("dir", "link"), ErrorKind::NotADirectory);
    }
}

pub(super) fn a_rename_between_two_links_of_one_file_does_nothing(fs: &dyn Fs, root: &Dir) {
    write(fs, root, "one", "x");
    if cfg!(windows) || fs.link(root.at("one"), root.at("two")).is_err() {
        return eprintln!("skipped: no links here, or another rule about them");
    }
    rename(fs, root, ("one", "two"), Rename::Replace).unwrap();
    assert_eq!(fs.list(root).unwrap(), ["one", "two"]);
    rename(fs, root, ("one", "one"), Rename::Replace).unwrap();
    assert_eq!(read(fs, root, "one"), "x");
}

pub(super) fn a_rename_without_replacement_refuses_every_taken_name(fs: &dyn Fs, root: &Dir) {
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
        fs.rename(root.at(source), full.at(&free), Rename::NoReplace)
            .unwrap();
        assert_eq!(meta(fs, &full, &free).identity, moved);
        assert!(is_absent(fs, root, source));
    }
    assert_eq!(read(fs, root, "file"), "old");
    let absent = rename(fs, root, ("absent", "free"), Rename::NoReplace);
    assert_eq!(kind(absent), ErrorKind::NotFound);
}

pub(super) fn an_exchange_changes_both_places_at_once(fs: &dyn Fs, root: &Dir) {
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
    fs.rename(root.at("file"), dir.at("in-dir"), Rename::Exchange)
        .unwrap();
    let after = (
        meta(fs, &dir, "in-dir").identity,
        meta(fs, root, "file").identity,
    );
    assert_eq!(after, before);
    // A directory cannot be exchanged with something inside it.
    let inside = fs.rename(root.at("dir"), dir.at("in-dir"), Rename::Exchange);
    assert_eq!(kind(inside), ErrorKind::InvalidInput);
    assert_eq!(fs.list(&dir).unwrap(), ["in-dir"]);
}

pub(super) fn an_exchange_needs_both_sides(fs: &dyn Fs, root: &Dir) {
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

pub(super) fn removal_is_of_one_kind_and_follows_nothing(fs: &dyn Fs, root: &Dir) {
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
    // Linux answers `EISDIR`, others `EPERM`.
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

pub(super) fn a_pinned_object_keeps_its_identity_when_it_is_renamed(fs: &dyn Fs, root: &Dir) {
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
