//! Behaviour that only a simulation can produce at will; what the real disk shows too is in
//! `tests/it/fs_contract/`.

use super::super::{InodeNumbers, Support};
use super::*;
use crate::fs::{Kind, Lock};

#[test]
fn a_filesystem_without_exchange_or_no_replace_refuses_what_was_not_refused_before() {
    let sim = Sim::with(Options {
        exchange: Support::Absent,
        no_replace: Support::Absent,
        ..Options::default()
    });
    sim.mkdir("a");
    sim.mkdir("b");
    let rename = |to, how| sim.disk.rename(sim.root.at("a"), sim.root.at(to), how);
    check_kind(rename("b", Rename::NoReplace), ErrorKind::AlreadyExists);
    check_kind(rename("c", Rename::NoReplace), ErrorKind::InvalidInput);
    check_kind(rename("c", Rename::Exchange), ErrorKind::NotFound);
    check_kind(rename("b", Rename::Exchange), ErrorKind::InvalidInput);
    rename("c", Rename::Replace).unwrap();
    assert_eq!(show(&sim.disk), "b/ c/");
}

#[test]
fn a_system_without_the_call_for_flags_refuses_before_it_looks() {
    let sim = Sim::with(Options {
        rename_flags: Support::Absent,
        ..Options::default()
    });
    sim.mkdir("a");
    sim.mkdir("b");
    let rename = |to, how| sim.disk.rename(sim.root.at("a"), sim.root.at(to), how);
    for how in [Rename::NoReplace, Rename::Exchange] {
        check_kind(rename("b", how), ErrorKind::Unsupported);
        check_kind(rename("c", how), ErrorKind::Unsupported);
    }
    rename("b", Rename::Replace).unwrap();
    assert_eq!(show(&sim.disk), "b/");
}

#[test]
fn a_rename_keeps_to_the_kinds_of_what_it_replaces() {
    let sim = Sim::new();
    let full = sim.mkdir("full");
    sim.mkdir_in(&full, "in");
    sim.mkdir("d");
    sim.write(&sim.root, "f", "1", Flush::Later);
    sim.write(&sim.root, "g", "2", Flush::Later);
    let rename = |from, to| {
        let (from, to) = (sim.root.at(from), sim.root.at(to));
        sim.disk.rename(from, to, Rename::Replace)
    };
    check_kind(rename("no", "f"), ErrorKind::NotFound);
    check_kind(rename("f", "d"), ErrorKind::IsADirectory);
    check_kind(rename("d", "f"), ErrorKind::NotADirectory);
    check_kind(rename("d", "full"), ErrorKind::DirectoryNotEmpty);
    rename("f", "g").unwrap();
    rename("full", "d").unwrap();
    assert_eq!(show(&sim.disk), "d/ d/in/ g=1");
    let inside = full.at("d");
    for how in [Rename::Replace, Rename::NoReplace] {
        check_kind(
            sim.disk.rename(sim.root.at("d"), inside, how),
            ErrorKind::InvalidInput,
        );
    }
}

#[test]
fn a_rename_between_two_names_of_one_file_does_nothing() {
    let sim = Sim::new();
    sim.write(&sim.root, "f", "1", Flush::Later);
    sim.disk.link(sim.root.at("f"), sim.root.at("g")).unwrap();
    let steps = sim.disk.step_count();
    sim.rename("f", "g", Rename::Replace);
    assert_eq!(show(&sim.disk), "f=1 g=1");
    assert_eq!(sim.disk.step_count(), steps);
}

#[test]
fn a_name_is_one_component() {
    let sim = Sim::new();
    for name in ["", ".", "..", "a/b", "a\0"] {
        check_kind(
            sim.disk.make_dir(&sim.root, os(name), 0o755),
            ErrorKind::InvalidInput,
        );
        check_kind(sim.disk.meta(&sim.root, os(name)), ErrorKind::InvalidInput);
    }
    let long = "x".repeat(256);
    check_kind(
        sim.disk.make_dir(&sim.root, os(&long), 0o755),
        ErrorKind::InvalidFilename,
    );
    sim.mkdir(&long[1..]);
}

#[test]
fn a_path_is_followed_through_links_and_up_again() {
    let sim = Sim::new();
    let a = sim.mkdir("a");
    sim.mkdir_in(&a, "b");
    let link = |name, target| {
        sim.disk
            .make_symlink(&sim.root, os(name), os(target))
            .unwrap();
    };
    link("to-b", "a/./b/../b");
    link("to-root", "/to-b/../..");
    link("loop", "loop");
    sim.write(&sim.root, "f", "", Flush::Later);
    let open = |path: &str| sim.disk.open_path(Path::new(path));
    let is_same = |one, other| {
        let meta = |path| sim.disk.meta_of(&open(path).unwrap()).unwrap();
        assert_eq!(meta(one), meta(other));
    };
    is_same("/to-b", "/a/b");
    is_same("/to-root/a", "/a");
    is_same("/..", "/");
    check_kind(open("/nothing"), ErrorKind::NotFound);
    check_kind(open("/f"), ErrorKind::NotADirectory);
    check_kind(open("/f/x"), ErrorKind::NotADirectory);
    assert!(open("/loop").is_err());
    check_kind(
        sim.disk.open_dir(&sim.root, os("to-b")),
        ErrorKind::NotADirectory,
    );
}

#[test]
fn an_inode_number_is_reused_once_nothing_holds_it_and_its_birth_differs() {
    let sim = Sim::with(Options {
        inode_numbers: InodeNumbers::Reused,
        ..Options::default()
    });
    let identity = |name: &str| {
        sim.disk
            .meta(&sim.root, os(name))
            .unwrap()
            .unwrap()
            .identity
    };
    let held = sim.disk.hold_file(&sim.root, os("a")).unwrap();
    let first = identity("a");
    sim.disk.remove_file(&sim.root, os("a")).unwrap();
    assert_eq!(sim.disk.meta_of_held(&held).unwrap().links, 0);
    sim.mkdir("b");
    assert_ne!(identity("b").inode, first.inode);
    drop(held);
    sim.mkdir("c");
    assert_eq!(identity("c").inode, first.inode);
    assert_ne!(identity("c"), first);
}

#[test]
fn without_birth_times_a_reused_number_cannot_be_recognized() {
    let sim = Sim::with(Options {
        inode_numbers: InodeNumbers::Reused,
        births: Support::Absent,
        ..Options::default()
    });
    let identity = || sim.disk.meta(&sim.root, os("a")).unwrap().unwrap().identity;
    sim.disk.make_dir(&sim.root, os("a"), 0o755).unwrap();
    let first = identity();
    assert!(!first.is_certain());
    sim.disk.remove_dir(&sim.root, os("a")).unwrap();
    sim.disk.make_dir(&sim.root, os("a"), 0o755).unwrap();
    assert_eq!(identity(), first);
}

#[test]
fn a_lock_is_for_one_handle_until_it_is_dropped_or_the_machine_starts_anew() {
    let sim = Sim::new();
    let hold = |sim: &Sim| sim.disk.hold_file(&sim.root, os("lock")).unwrap();
    let (one, two) = (hold(&sim), hold(&sim));
    assert_eq!(sim.disk.try_lock(&one).unwrap(), Lock::Acquired);
    assert_eq!(sim.disk.try_lock(&one).unwrap(), Lock::Acquired);
    assert_eq!(sim.disk.try_lock(&two).unwrap(), Lock::Busy);
    let next = Sim::on(sim.disk.killed());
    assert_eq!(next.disk.try_lock(&hold(&next)).unwrap(), Lock::Acquired);
    drop(one);
    assert_eq!(sim.disk.try_lock(&two).unwrap(), Lock::Acquired);
}

#[test]
fn directories_are_locked_only_where_that_is_supported() {
    let lock = |directory_locks| {
        let sim = Sim::with(Options {
            directory_locks,
            ..Options::default()
        });
        let held = sim.disk.hold_dir(&sim.root).unwrap();
        sim.disk.try_lock(&held).unwrap()
    };
    assert_eq!(lock(Support::Present), Lock::Acquired);
    assert_eq!(lock(Support::Absent), Lock::Unsupported);
}

#[test]
fn a_power_cut_changes_the_boot_and_no_handle_survives_it() {
    let sim = Sim::new();
    sim.disk
        .for_each_image(Persistence::Ordered, Bound::QUICK, |image, _| {
            assert_ne!(image.boot_id(), sim.disk.boot_id());
            assert!(image.list(&sim.root).is_err());
            let root = image.open_path(Path::new("/")).unwrap();
            assert!(image.list(&root).is_ok());
        });
}

#[test]
fn a_held_object_is_followed_by_its_handle_and_not_by_its_name() {
    let sim = Sim::new();
    let dir = sim.mkdir("a");
    let held = sim.disk.hold_file(&dir, os("f")).unwrap();
    sim.rename("a", "b", Rename::NoReplace);
    sim.write(&dir, "g", "1", Flush::Later);
    sim.disk.write_held(&held, b"2").unwrap();
    assert_eq!(show(&sim.disk), "b/ b/f=2 b/g=1");
    assert_eq!(sim.disk.meta_of(&dir).unwrap().links, 2);
    sim.disk.remove_file(&dir, os("f")).unwrap();
    sim.disk.remove_file(&dir, os("g")).unwrap();
    sim.disk.remove_dir(&sim.root, os("b")).unwrap();
    assert_eq!(sim.disk.meta_of(&dir).unwrap().links, 0);
    check_kind(sim.disk.make_dir(&dir, os("x"), 0o755), ErrorKind::NotFound);
}

#[test]
fn a_read_only_directory_moves_within_its_parent_only_unless_root_moves_it() {
    let sim = Sim::new();
    let parent = sim.mkdir("p");
    let dir = sim.mkdir("d");
    sim.disk.set_mode_of(&dir, 0o555).unwrap();
    check_kind(
        sim.disk.make_dir(&dir, os("x"), 0o755),
        ErrorKind::PermissionDenied,
    );
    sim.rename("d", "e", Rename::NoReplace);
    let away = || {
        sim.disk
            .rename(sim.root.at("e"), parent.at("e"), Rename::NoReplace)
    };
    check_kind(away(), ErrorKind::PermissionDenied);
    sim.disk.set_user(0);
    away().unwrap();
}

#[test]
fn another_user_may_do_what_the_last_digit_says() {
    let sim = Sim::new();
    sim.write(&sim.root, "f", "1", Flush::Later);
    sim.disk.set_user(7);
    check_kind(
        sim.disk.read_file(&sim.root, os("f"), 9),
        ErrorKind::PermissionDenied,
    );
    check_kind(
        sim.disk.hold_file(&sim.root, os("f")),
        ErrorKind::PermissionDenied,
    );
    check_kind(
        sim.disk.remove_file(&sim.root, os("f")),
        ErrorKind::PermissionDenied,
    );
    check_kind(
        sim.disk.set_mode_of(&sim.root, 0o777),
        ErrorKind::PermissionDenied,
    );
    assert_eq!(
        sim.disk.meta(&sim.root, os("f")).unwrap().unwrap().owner,
        1000
    );
}

#[test]
fn a_mount_point_is_busy_and_parts_what_is_on_its_two_sides() {
    let sim = Sim::new();
    let mount = sim.mkdir("m");
    sim.mkdir("d");
    sim.disk.set_mount_points(vec!["/".into(), "/m".into()]);
    let root = &sim.root;
    let moved = sim
        .disk
        .rename(root.at("m"), root.at("n"), Rename::NoReplace);
    check_kind(moved, ErrorKind::ResourceBusy);
    check_kind(sim.disk.remove_dir(root, os("m")), ErrorKind::ResourceBusy);
    let across = sim
        .disk
        .rename(root.at("d"), mount.at("d"), Rename::NoReplace);
    check_kind(across, ErrorKind::CrossesDevices);
}

#[test]
fn blocks_are_shared_where_that_is_supported_and_leave_nothing_where_not() {
    for (reflink, expect) in [(Support::Present, "f=1 g=1"), (Support::Absent, "f=1")] {
        let sim = Sim::with(Options {
            reflink,
            ..Options::default()
        });
        sim.write(&sim.root, "f", "1", Flush::Later);
        let shared = sim
            .disk
            .reflink(sim.root.at("f"), sim.root.at("g"), 0o755, Some(3));
        if reflink == Support::Absent {
            check_kind(shared, ErrorKind::Unsupported);
        } else {
            let meta = sim.disk.meta(&sim.root, os("g")).unwrap().unwrap();
            assert_eq!((meta.mode, meta.mtime.seconds, meta.links), (0o755, 3, 1));
        }
        assert_eq!(show(&sim.disk), expect);
    }
}

#[test]
fn a_file_has_as_many_names_as_the_filesystem_allows() {
    let sim = Sim::with(Options {
        links_max: 2,
        ..Options::default()
    });
    sim.write(&sim.root, "f", "1", Flush::Later);
    let link = |name| sim.disk.link(sim.root.at("f"), sim.root.at(name));
    link("g").unwrap();
    check_kind(link("h"), ErrorKind::TooManyLinks);
    assert_eq!(sim.disk.meta(&sim.root, os("f")).unwrap().unwrap().links, 2);
}

#[test]
fn what_is_neither_file_nor_directory_nor_link_is_refused_as_a_file() {
    let sim = Sim::new();
    sim.disk.make_other(&sim.root, os("p"), 0o600).unwrap();
    let meta = sim.disk.meta(&sim.root, os("p")).unwrap().unwrap();
    assert_eq!(meta.kind, Kind::Other);
    check_kind(
        sim.disk.read_file(&sim.root, os("p"), 9),
        ErrorKind::InvalidInput,
    );
    check_kind(
        sim.disk.hold_file(&sim.root, os("p")),
        ErrorKind::InvalidInput,
    );
    sim.disk.remove_file(&sim.root, os("p")).unwrap();
}

#[test]
fn unique_names_differ_and_step_around_taken_ones() {
    let sim = Sim::new();
    sim.mkdir(".new-000001");
    let name = sim.disk.make_unique_dir(&sim.root, ".new-").unwrap();
    assert_eq!(name, ".new-000002");
    assert_ne!(sim.disk.make_unique_dir(&sim.root, ".new-").unwrap(), name);
}
