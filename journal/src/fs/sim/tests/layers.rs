//! A disk over a lower layer: what copying up changes, and what a crash leaves of it.

use super::*;
use crate::base::identity::Identity;
use crate::fs::sim::{Fault, Reach};
use crate::fs::{Kind, Layers};

/// A lower layer with a directory `d` that contains `f`, and beside it `f`, its second name `g` and
/// a link `l`.
fn sim() -> Sim {
    let sim = Sim::new();
    let d = sim.mkdir("d");
    sim.write(&d, "f", "1", Flush::Later);
    sim.write(&sim.root, "f", "2", Flush::Later);
    let root = &sim.root;
    sim.disk.link(root.at("f"), root.at("g")).unwrap();
    sim.disk.make_symlink(root, os("l"), os("f")).unwrap();
    sim.disk.seal_lower();
    sim
}

impl Sim {
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
fn what_is_below_is_durable_and_is_shown() {
    let sim = sim();
    assert_eq!(sim.disk.layers(&sim.root), Layers::Overlay);
    for model in POWER {
        sim.check(model, &["d/ d/f=1 f=2 g=2 l->f"]);
    }
    let image = Sim::on(sim.disk.killed());
    assert_eq!(image.disk.layers(&image.root), Layers::Overlay);
    assert_eq!(Sim::new().disk.layers(&sim.root), Layers::Plain);
}

#[test]
fn what_was_pinned_is_renamed_under_the_same_identity() {
    for name in ["f", "l"] {
        let sim = sim();
        let below = sim.identity(name);
        sim.disk.pin(&sim.root, os(name)).unwrap();
        let pinned = sim.identity(name);
        assert_ne!(pinned, below, "{name}");
        sim.disk.pin(&sim.root, os(name)).unwrap();
        sim.rename(name, "moved", Rename::NoReplace);
        assert_eq!(sim.identity("moved"), pinned, "{name}");
        sim.rename("moved", "g", Rename::Exchange);
        assert_eq!(sim.identity("g"), pinned, "{name}");
    }
}

#[test]
fn what_was_not_pinned_is_renamed_under_another_identity() {
    let sim = sim();
    let below = ["f", "l"].map(|name| sim.identity(name));
    sim.rename("f", "l", Rename::Exchange);
    let above = ["l", "f"].map(|name| sim.identity(name));
    assert!(
        below
            .iter()
            .zip(&above)
            .all(|(below, above)| below != above)
    );
    sim.rename("f", "l", Rename::Exchange);
    assert_eq!(["f", "l"].map(|name| sim.identity(name)), above);
    assert_eq!(show(&sim.disk), "d/ d/f=1 f=2 g=2 l->f");
}

#[test]
fn a_copy_leaves_the_other_names_of_a_file_below() {
    let sim = sim();
    let below = sim.identity("g");
    assert_eq!(sim.identity("f"), below);
    sim.disk.pin(&sim.root, os("f")).unwrap();
    assert_eq!(sim.identity("g"), below);
    let links = |name| sim.disk.meta(&sim.root, os(name)).unwrap().unwrap().links;
    assert_eq!((links("f"), links("g")), (1, 1));
}

#[test]
fn a_directory_from_below_never_moves() {
    let sim = sim();
    sim.mkdir("new");
    for pinned in [false, true] {
        if pinned {
            sim.disk.pin(&sim.root, os("d")).unwrap();
        }
        for (from, to, how) in [
            ("d", "free", Rename::Replace),
            ("d", "free", Rename::NoReplace),
            ("d", "new", Rename::Exchange),
            ("new", "d", Rename::Exchange),
            ("f", "d", Rename::Exchange),
        ] {
            check_kind(sim.try_rename(from, to, how), ErrorKind::CrossesDevices);
        }
    }
    sim.rename("new", "newer", Rename::NoReplace);
    sim.rename("newer", "f", Rename::Exchange);
}

#[test]
fn a_change_inside_a_directory_changes_the_directories_above_it() {
    let sim = Sim::new();
    let a = sim.mkdir("a");
    let b = sim.mkdir_in(&a, "b");
    sim.disk.seal_lower();
    let identities = || (sim.identity("a"), sim.identity("a/b"));
    let below = identities();
    sim.write(&b, "f", "", Flush::Later);
    let above = identities();
    assert!(below.0 != above.0 && below.1 != above.1);
    sim.disk.pin(&a, os("b")).unwrap();
    sim.write(&b, "g", "", Flush::Later);
    assert_eq!(identities(), above);
    assert_eq!(sim.disk.meta_of(&b).unwrap().identity, above.1);
}

#[test]
fn a_copy_is_one_numbered_step_that_needs_space() {
    let sim = sim();
    let first = sim.disk.step_count() + 1;
    let full = Fault {
        step: first,
        kind: ErrorKind::StorageFull,
        reach: Reach::CreationsFromThenOn,
    };
    sim.disk.fail(full);
    let below = sim.identity("f");
    check_kind(sim.disk.pin(&sim.root, os("f")), ErrorKind::StorageFull);
    let renamed = sim.try_rename("f", "h", Rename::Replace);
    check_kind(renamed, ErrorKind::StorageFull);
    assert_eq!(sim.identity("f"), below);
    assert_eq!(sim.disk.step_count(), first + 1);

    let sim = Sim::on(sim.disk.killed());
    sim.disk.pin(&sim.root, os("f")).unwrap();
    sim.disk.pin(&sim.root, os("f")).unwrap();
    sim.rename("f", "h", Rename::Replace);
    sim.rename("l", "k", Rename::Replace);
    let verbs = [
        "copy up /f",
        "rename /f -> /h",
        "copy up /l",
        "rename /l -> /k",
    ];
    assert_eq!(sim.disk.steps(), verbs);
}

#[test]
fn a_pin_on_one_layer_is_no_step_and_changes_nothing() {
    let sim = Sim::new();
    sim.write(&sim.root, "f", "", Flush::Later);
    let before = (sim.disk.step_count(), sim.disk.state_digest());
    sim.disk.pin(&sim.root, os("f")).unwrap();
    sim.disk.pin(&sim.root, os("absent")).unwrap();
    assert_eq!((sim.disk.step_count(), sim.disk.state_digest()), before);
}

#[test]
fn a_copy_survives_a_power_cut_once_its_directory_was_synced() {
    for model in POWER {
        let sim = sim();
        let below = sim.identity("f");
        sim.disk.pin(&sim.root, os("f")).unwrap();
        let above = sim.identity("f");
        let found = || {
            let mut found = BTreeSet::new();
            sim.disk.for_each_image(model, Bound::THOROUGH, |image, _| {
                found.insert(Sim::on(image).identity("f"));
            });
            found
        };
        assert_eq!(found(), BTreeSet::from([below, above]), "{model:?}");
        sim.sync_root();
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
        let sim = sim();
        let d = sim.disk.open_dir(&sim.root, os("d")).unwrap();
        let below = (sim.identity("d"), sim.identity("d/f"), sim.identity("l"));
        sim.write(&d, "new", "3", Flush::Now);
        sim.disk.pin(&d, os("f")).unwrap();
        let above = (sim.identity("d"), sim.identity("d/f"));
        let mut images = 0;
        sim.disk
            .for_each_image(model, Bound::THOROUGH, |image, story| {
                images += 1;
                let image = Sim::on(image);
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
    let sim = sim();
    let held = sim.disk.hold_file(&sim.root, os("f")).unwrap();
    let found = sim.disk.meta_of_held(&held).unwrap();
    assert_eq!(
        (found.identity, found.kind),
        (sim.identity("f"), Kind::File)
    );
    assert_ne!(found.identity, sim.identity("g"));
    sim.disk.write_held(&held, b"new").unwrap();
    assert_eq!(show(&sim.disk), "d/ d/f=1 f=new g=2 l->f");
}
