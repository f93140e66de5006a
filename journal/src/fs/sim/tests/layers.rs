//! A disk over a lower layer: what copying up changes, and what a crash leaves of it.

use super::*;
use crate::base::identity::Identity;
use crate::fs::sim::{Fault, Reach};
use crate::fs::{Kind, Layers};

/// A lower layer with a directory `d` that contains `f`, and beside it `f`, its second name `g` and
/// a link `l`.
fn desk() -> Desk {
    let desk = Desk::new();
    let d = desk.mkdir("d");
    desk.write(&d, "f", "1", Flush::Later);
    desk.write(&desk.root, "f", "2", Flush::Later);
    let root = &desk.root;
    desk.disk.link(root.at("f"), root.at("g")).unwrap();
    desk.disk.make_symlink(root, os("l"), os("f")).unwrap();
    desk.disk.seal_lower();
    desk
}

impl Desk {
    fn identity(&self, path: &str) -> Identity {
        let (dir, name) = match path.split_once('/') {
            None => (self.root.clone(), path),
            Some((dir, name)) => (self.disk.open_dir(&self.root, os(dir)).unwrap(), name),
        };
        self.disk.meta(&dir, os(name)).unwrap().unwrap().identity
    }

    fn try_rename(&self, from: &str, to: &str, how: Rename) -> Result<(), FsError> {
        let root = &self.root;
        self.disk.rename(root.at(from), root.at(to), how)
    }
}

#[test]
fn what_is_below_is_durable_and_is_told() {
    let desk = desk();
    assert_eq!(desk.disk.layers(&desk.root), Layers::Overlay);
    for model in POWER {
        desk.check(model, &["d/ d/f=1 f=2 g=2 l->f"]);
    }
    let image = Desk::on(desk.disk.killed());
    assert_eq!(image.disk.layers(&image.root), Layers::Overlay);
    assert_eq!(Desk::new().disk.layers(&desk.root), Layers::Plain);
}

#[test]
fn what_was_pinned_is_renamed_under_the_same_identity() {
    for name in ["f", "l"] {
        let desk = desk();
        let below = desk.identity(name);
        desk.disk.pin(&desk.root, os(name)).unwrap();
        let pinned = desk.identity(name);
        assert_ne!(pinned, below, "{name}");
        desk.disk.pin(&desk.root, os(name)).unwrap();
        desk.rename(name, "moved", Rename::NoReplace);
        assert_eq!(desk.identity("moved"), pinned, "{name}");
        desk.rename("moved", "g", Rename::Exchange);
        assert_eq!(desk.identity("g"), pinned, "{name}");
    }
}

#[test]
fn what_was_not_pinned_is_renamed_under_another_identity() {
    let desk = desk();
    let below = ["f", "l"].map(|name| desk.identity(name));
    desk.rename("f", "l", Rename::Exchange);
    let above = ["l", "f"].map(|name| desk.identity(name));
    assert!(
        below
            .iter()
            .zip(&above)
            .all(|(below, above)| below != above)
    );
    desk.rename("f", "l", Rename::Exchange);
    assert_eq!(["f", "l"].map(|name| desk.identity(name)), above);
    assert_eq!(show(&desk.disk), "d/ d/f=1 f=2 g=2 l->f");
}

#[test]
fn a_copy_leaves_the_other_names_of_a_file_below() {
    let desk = desk();
    let below = desk.identity("g");
    assert_eq!(desk.identity("f"), below);
    desk.disk.pin(&desk.root, os("f")).unwrap();
    assert_eq!(desk.identity("g"), below);
    let links = |name| desk.disk.meta(&desk.root, os(name)).unwrap().unwrap().links;
    assert_eq!((links("f"), links("g")), (1, 1));
}

#[test]
fn a_directory_from_below_never_moves() {
    let desk = desk();
    desk.mkdir("new");
    for pinned in [false, true] {
        if pinned {
            desk.disk.pin(&desk.root, os("d")).unwrap();
        }
        for (from, to, how) in [
            ("d", "free", Rename::Replace),
            ("d", "free", Rename::NoReplace),
            ("d", "new", Rename::Exchange),
            ("new", "d", Rename::Exchange),
            ("f", "d", Rename::Exchange),
        ] {
            check_kind(desk.try_rename(from, to, how), ErrorKind::CrossesDevices);
        }
    }
    desk.rename("new", "newer", Rename::NoReplace);
    desk.rename("newer", "f", Rename::Exchange);
}

#[test]
fn a_change_inside_a_directory_changes_the_directories_above_it() {
    let desk = Desk::new();
    let a = desk.mkdir("a");
    let b = desk.mkdir_in(&a, "b");
    desk.disk.seal_lower();
    let identities = || (desk.identity("a"), desk.identity("a/b"));
    let below = identities();
    desk.write(&b, "f", "", Flush::Later);
    let above = identities();
    assert!(below.0 != above.0 && below.1 != above.1);
    desk.disk.pin(&a, os("b")).unwrap();
    desk.write(&b, "g", "", Flush::Later);
    assert_eq!(identities(), above);
    assert_eq!(desk.disk.meta_of(&b).unwrap().identity, above.1);
}

#[test]
fn a_copy_is_one_numbered_step_that_needs_space() {
    let desk = desk();
    let first = desk.disk.step_count() + 1;
    let full = Fault {
        step: first,
        kind: ErrorKind::StorageFull,
        reach: Reach::CreationsFromThenOn,
    };
    desk.disk.fail(full);
    let below = desk.identity("f");
    check_kind(desk.disk.pin(&desk.root, os("f")), ErrorKind::StorageFull);
    let renamed = desk.try_rename("f", "h", Rename::Replace);
    check_kind(renamed, ErrorKind::StorageFull);
    assert_eq!(desk.identity("f"), below);
    assert_eq!(desk.disk.step_count(), first + 1);

    let desk = Desk::on(desk.disk.killed());
    desk.disk.pin(&desk.root, os("f")).unwrap();
    desk.disk.pin(&desk.root, os("f")).unwrap();
    desk.rename("f", "h", Rename::Replace);
    desk.rename("l", "k", Rename::Replace);
    let verbs = [
        "copy up /f",
        "rename /f -> /h",
        "copy up /l",
        "rename /l -> /k",
    ];
    assert_eq!(desk.disk.steps(), verbs);
}

#[test]
fn a_pin_on_one_layer_is_no_step_and_changes_nothing() {
    let desk = Desk::new();
    desk.write(&desk.root, "f", "", Flush::Later);
    let before = (desk.disk.step_count(), desk.disk.state_digest());
    desk.disk.pin(&desk.root, os("f")).unwrap();
    desk.disk.pin(&desk.root, os("absent")).unwrap();
    assert_eq!((desk.disk.step_count(), desk.disk.state_digest()), before);
}

#[test]
fn a_copy_survives_a_power_cut_once_its_directory_was_synced() {
    for model in POWER {
        let desk = desk();
        let below = desk.identity("f");
        desk.disk.pin(&desk.root, os("f")).unwrap();
        let above = desk.identity("f");
        let found = || {
            let mut found = BTreeSet::new();
            desk.disk
                .for_each_image(model, Bound::THOROUGH, |image, _| {
                    found.insert(Desk::on(image).identity("f"));
                });
            found
        };
        assert_eq!(found(), BTreeSet::from([below, above]), "{model:?}");
        desk.sync_root();
        assert_eq!(found(), BTreeSet::from([above]), "{model:?}");
    }
}

/// Every image keeps the lower layer, and the upper layer of an image stays as it is.
#[test]
fn every_image_keeps_its_layers() {
    for model in [
        Persistence::Kill,
        Persistence::Ordered,
        Persistence::Independent,
    ] {
        let desk = desk();
        let d = desk.disk.open_dir(&desk.root, os("d")).unwrap();
        let below = (desk.identity("d"), desk.identity("d/f"), desk.identity("l"));
        desk.write(&d, "new", "3", Flush::Now);
        desk.disk.pin(&d, os("f")).unwrap();
        let above = (desk.identity("d"), desk.identity("d/f"));
        let mut images = 0;
        desk.disk
            .for_each_image(model, Bound::THOROUGH, |image, story| {
                images += 1;
                let image = Desk::on(image);
                let d = image.disk.open_dir(&image.root, os("d")).unwrap();
                let has_new = image.disk.meta(&d, os("new")).unwrap().is_some();
                let (dir, file) = (image.identity("d"), image.identity("d/f"));
                assert!([below.0, above.0].contains(&dir), "{story}");
                assert!([below.1, above.1].contains(&file), "{story}");
                // A directory without an upper layer has nothing in it above.
                assert!(dir == above.0 || !has_new && file == below.1, "{story}");
                let moved = image.try_rename("d", "free", Rename::NoReplace);
                check_kind(moved, ErrorKind::CrossesDevices);
                image.rename("l", "k", Rename::NoReplace);
                assert_ne!(image.identity("k"), below.2, "{story}");
                image
                    .disk
                    .rename(d.at("f"), d.at("g"), Rename::Replace)
                    .unwrap();
                assert_eq!(image.identity("d/g") == file, file == above.1, "{story}");
            });
        assert_eq!(images > 1, model != Persistence::Kill, "{images}");
    }
}

#[test]
fn a_file_that_is_opened_for_writing_is_copied_first() {
    let desk = desk();
    let held = desk.disk.hold_file(&desk.root, os("f")).unwrap();
    let found = desk.disk.meta_of_held(&held).unwrap();
    assert_eq!(
        (found.identity, found.kind),
        (desk.identity("f"), Kind::File)
    );
    assert_ne!(found.identity, desk.identity("g"));
    desk.disk.write_held(&held, b"new").unwrap();
    assert_eq!(show(&desk.disk), "d/ d/f=1 f=new g=2 l->f");
}
