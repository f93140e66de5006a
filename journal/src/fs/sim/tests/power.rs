//! What a power cut may leave: the measured behaviour of ext4, xfs and btrfs, and what POSIX
//! promises.

use super::super::{Moves, Options};
use super::*;

#[test]
fn a_rename_of_an_unsynced_file_may_publish_nothing() {
    for model in POWER {
        let desk = Desk::new();
        desk.write(&desk.root, "f", "old", Flush::Now);
        desk.sync_root();
        desk.write(&desk.root, "tmp", "anew", Flush::Later);
        desk.rename("tmp", "f", Rename::Replace);
        desk.sync_root();
        desk.check(model, &["f=", "f=0000", "f=an", "f=anew"]);
    }
}

#[test]
fn a_rename_of_a_synced_file_leaves_the_old_or_the_new_one() {
    for model in POWER {
        let desk = Desk::new();
        desk.write(&desk.root, "f", "old", Flush::Now);
        desk.write(&desk.root, "tmp", "new", Flush::Now);
        desk.sync_root();
        desk.rename("tmp", "f", Rename::Replace);
        desk.check(model, &["f=old tmp=new", "f=new"]);
        desk.sync_root();
        desk.check(model, &["f=new"]);
    }
}

#[test]
fn an_unsynced_journal_may_be_empty_when_the_rename_that_it_describes_is_durable() {
    for model in POWER {
        let desk = Desk::new();
        desk.mkdir("a");
        desk.sync_all();
        desk.write(&desk.root, "journal", "ab", Flush::Later);
        desk.rename("a", "b", Rename::NoReplace);
        desk.sync_root();
        desk.check(
            model,
            &[
                "b/ journal=",
                "b/ journal=00",
                "b/ journal=a",
                "b/ journal=ab",
            ],
        );
    }
}

#[test]
fn a_synced_tree_that_was_exchanged_is_old_or_new_and_after_a_sync_new() {
    for model in POWER {
        let desk = Desk::new();
        let (old, new) = (desk.mkdir("env"), desk.mkdir("stage"));
        desk.write(&old, "f", "1", Flush::Later);
        desk.write(&new, "f", "2", Flush::Later);
        desk.sync_all();
        desk.rename("stage", "env", Rename::Exchange);
        let new = "env/ env/f=2 stage/ stage/f=1";
        desk.check(model, &[new, "env/ env/f=1 stage/ stage/f=2"]);
        desk.sync_root();
        desk.check(model, &[new]);
    }
}

#[test]
fn an_exchange_of_an_unsynced_tree_leaves_the_old_tree_whole_beside_it() {
    for model in POWER {
        let desk = Desk::new();
        let old = desk.mkdir("env");
        desk.write(&old, "f", "old", Flush::Later);
        desk.sync_all();
        let new = desk.mkdir("stage");
        desk.write(&new, "f", "new", Flush::Later);
        desk.rename("stage", "env", Rename::Exchange);
        desk.sync_root();
        let found = desk.found(model);
        assert!(found.len() > 1, "nothing was in danger");
        assert!(
            found
                .iter()
                .all(|disk| disk.ends_with("stage/ stage/f=old")),
            "{found:?}"
        );
        assert!(found.contains("env/ env/f= stage/ stage/f=old"));
    }
}

#[test]
fn a_symlink_may_be_lost_without_a_sync_of_its_directory_unless_names_persist_in_order() {
    let desk = Desk::new();
    let stage = desk.mkdir("stage");
    desk.write(&stage, "f", "1", Flush::Now);
    desk.disk.make_symlink(&stage, os("l"), os("f")).unwrap();
    desk.rename("stage", "env", Rename::NoReplace);
    desk.sync_root();
    desk.check(Persistence::Ordered, &["env/ env/f=1 env/l->f"]);
    desk.check(
        Persistence::Independent,
        &[
            "env/",
            "env/ env/f=1",
            "env/ env/l->f",
            "env/ env/f=1 env/l->f",
        ],
    );
    desk.disk.sync_dir(&stage).unwrap();
    desk.check(Persistence::Independent, &["env/ env/f=1 env/l->f"]);
}

#[test]
fn an_inner_directory_that_was_not_synced_may_be_empty() {
    let desk = Desk::new();
    let outer = desk.mkdir("a");
    let inner = desk.mkdir_in(&outer, "b");
    desk.write(&inner, "f", "1", Flush::Now);
    desk.disk.sync_dir(&outer).unwrap();
    desk.sync_root();
    desk.check(Persistence::Independent, &["a/ a/b/", "a/ a/b/ a/b/f=1"]);
    desk.check(Persistence::Ordered, &["a/ a/b/ a/b/f=1"]);
}

#[test]
fn a_rename_in_a_directory_that_was_not_synced_into_its_own_says_nothing_of_its_name() {
    let desk = Desk::new();
    let dir = desk.mkdir("a");
    desk.mkdir_in(&dir, "x");
    let (from, to) = (dir.at("x"), dir.at("y"));
    desk.disk.rename(from, to, Rename::NoReplace).unwrap();
    desk.disk.sync_dir(&dir).unwrap();
    desk.check(Persistence::Ordered, &["a/ a/y/"]);
    desk.check(Persistence::Independent, &["", "a/ a/y/"]);
    desk.sync_root();
    desk.check(Persistence::Independent, &["a/ a/y/"]);
}

#[test]
fn a_synced_file_needs_its_directory_synced_unless_names_persist_in_order() {
    let desk = Desk::new();
    desk.write(&desk.root, "f", "1", Flush::Now);
    desk.check(Persistence::Ordered, &["f=1"]);
    desk.check(Persistence::Independent, &["", "f=1"]);
}

#[test]
fn names_persist_in_order_or_independently() {
    let desk = Desk::new();
    desk.mkdir("a");
    desk.mkdir("b");
    desk.check(Persistence::Ordered, &["", "a/", "a/ b/"]);
    desk.check(Persistence::Independent, &["", "a/", "b/", "a/ b/"]);
}

#[test]
fn a_sync_of_one_directory_leaves_another_alone_unless_names_persist_in_order() {
    let desk = Desk::new();
    let (a, b) = (desk.mkdir("a"), desk.mkdir("b"));
    desk.sync_root();
    desk.mkdir_in(&a, "x");
    desk.mkdir_in(&b, "y");
    desk.mkdir_in(&a, "z");
    desk.disk.sync_dir(&b).unwrap();
    desk.check(
        Persistence::Ordered,
        &["a/ a/x/ b/ b/y/", "a/ a/x/ a/z/ b/ b/y/"],
    );
    let found = desk.found(Persistence::Independent);
    assert_eq!(found.len(), 4);
    assert!(found.contains("a/ b/ b/y/"));
}

#[test]
fn a_move_between_directories_is_durable_when_either_of_them_is_synced() {
    for model in POWER {
        for synced in ["a", "b"] {
            let desk = Desk::new();
            let (a, b) = (desk.mkdir("a"), desk.mkdir("b"));
            desk.write(&a, "f", "1", Flush::Later);
            desk.sync_all();
            desk.disk
                .rename(a.at("f"), b.at("f"), Rename::NoReplace)
                .unwrap();
            desk.check(model, &["a/ a/f=1 b/", "a/ b/ b/f=1"]);
            let synced = desk.disk.open_dir(&desk.root, os(synced)).unwrap();
            desk.disk.sync_dir(&synced).unwrap();
            desk.check(model, &["a/ b/ b/f=1"]);
        }
    }
}

#[test]
fn a_split_move_may_leave_both_names_and_never_none() {
    let desk = Desk::with(Options {
        moves: Moves::Split,
        ..Options::default()
    });
    let (a, b) = (desk.mkdir("a"), desk.mkdir("b"));
    desk.write(&a, "f", "1", Flush::Later);
    desk.sync_all();
    desk.disk
        .rename(a.at("f"), b.at("f"), Rename::NoReplace)
        .unwrap();
    let moved = "a/ b/ b/f=1";
    let both = "a/ a/f=1 b/ b/f=1";
    desk.check(Persistence::Independent, &["a/ a/f=1 b/", both, moved]);
    desk.disk.sync_dir(&b).unwrap();
    desk.check(Persistence::Independent, &[both, moved]);
    desk.disk.sync_dir(&a).unwrap();
    desk.check(Persistence::Independent, &[moved]);
}

#[test]
fn taking_the_old_tree_away_and_putting_the_new_one_never_loses_the_old_one() {
    for model in POWER {
        let desk = Desk::new();
        let (old, new) = (desk.mkdir("env"), desk.mkdir("stage"));
        desk.write(&old, "f", "1", Flush::Later);
        desk.write(&new, "f", "2", Flush::Later);
        desk.sync_all();
        desk.rename("env", "old", Rename::NoReplace);
        desk.rename("stage", "env", Rename::NoReplace);
        let both = "env/ env/f=2 old/ old/f=1";
        let taken = "old/ old/f=1 stage/ stage/f=2";
        desk.check(model, &["env/ env/f=1 stage/ stage/f=2", taken, both]);
        desk.sync_root();
        desk.check(model, &[both]);
    }
}

#[test]
fn a_directory_that_is_gone_took_nothing_along_that_was_moved_out_of_it() {
    for model in POWER {
        let desk = Desk::new();
        let stage = desk.mkdir("stage");
        desk.write(&stage, "f", "1", Flush::Later);
        desk.sync_all();
        desk.disk
            .rename(stage.at("f"), desk.root.at("f"), Rename::NoReplace)
            .unwrap();
        desk.disk.remove_dir(&desk.root, os("stage")).unwrap();
        desk.check(model, &["stage/ stage/f=1", "f=1 stage/", "f=1"]);
    }
}

#[test]
fn what_is_moved_into_a_new_directory_does_not_vanish_with_it() {
    for model in POWER {
        let desk = Desk::new();
        desk.write(&desk.root, "f", "1", Flush::Later);
        desk.sync_all();
        let kept = desk.mkdir("kept");
        desk.disk
            .rename(desk.root.at("f"), kept.at("f"), Rename::NoReplace)
            .unwrap();
        desk.check(model, &["f=1", "f=1 kept/", "kept/ kept/f=1"]);
    }
}

#[test]
fn a_split_move_into_a_new_directory_does_not_vanish_with_it_either() {
    let desk = Desk::with(Options {
        moves: Moves::Split,
        ..Options::default()
    });
    desk.write(&desk.root, "f", "1", Flush::Later);
    desk.sync_all();
    let kept = desk.mkdir("kept");
    desk.disk
        .rename(desk.root.at("f"), kept.at("f"), Rename::NoReplace)
        .unwrap();
    let images = ["f=1", "f=1 kept/", "f=1 kept/ kept/f=1", "kept/ kept/f=1"];
    desk.check(Persistence::Independent, &images);
}

#[test]
fn two_directories_are_never_inside_each_other() {
    for model in POWER {
        let desk = Desk::new();
        let a = desk.mkdir("a");
        let b = desk.mkdir_in(&a, "b");
        desk.sync_all();
        desk.disk
            .rename(a.at("b"), desk.root.at("b"), Rename::NoReplace)
            .unwrap();
        desk.disk
            .rename(desk.root.at("a"), b.at("a"), Rename::NoReplace)
            .unwrap();
        desk.check(model, &["a/ a/b/", "a/ b/", "b/ b/a/"]);
    }
}

#[test]
fn a_sync_of_a_renamed_file_makes_its_new_name_durable_where_names_persist_in_order() {
    let desk = Desk::new();
    desk.write(&desk.root, "f", "1", Flush::Later);
    desk.sync_all();
    desk.rename("f", "g", Rename::NoReplace);
    desk.mkdir("later");
    desk.disk.sync_file(&desk.root, os("g")).unwrap();
    desk.check(Persistence::Ordered, &["g=1", "g=1 later/"]);
    desk.check(
        Persistence::Independent,
        &["f=1", "g=1", "f=1 later/", "g=1 later/"],
    );
}

#[test]
fn writing_over_a_file_in_place_may_leave_the_old_content_or_none() {
    for model in POWER {
        let desk = Desk::new();
        desk.write(&desk.root, "f", "old", Flush::Now);
        desk.sync_root();
        let held = desk.disk.hold_file(&desk.root, os("f")).unwrap();
        desk.disk.write_held(&held, b"x").unwrap();
        desk.disk.write_held(&held, b"new").unwrap();
        desk.check(model, &["f=old", "f=x", "f=", "f=000", "f=n", "f=new"]);
        desk.disk.sync_file(&desk.root, os("f")).unwrap();
        desk.check(model, &["f=new"]);
    }
}

#[test]
fn an_unsynced_file_may_have_the_mode_that_it_was_made_with() {
    for model in POWER {
        let desk = Desk::new();
        let file = NewFile {
            mode: 0o755,
            mtime: Some(5),
            bytes: b"",
            flush: Flush::Later,
        };
        desk.disk.write_file(&desk.root, os("f"), &file).unwrap();
        desk.sync_root();
        let mut modes = BTreeSet::new();
        desk.disk.for_each_image(model, Bound::QUICK, |image, _| {
            let Some(SimEntry::File { mode, mtime, .. }) = image.tree(Path::new("/f")).remove("")
            else {
                panic!("the entry was synced");
            };
            modes.insert((mode, mtime.seconds == 5));
        });
        assert_eq!(modes, BTreeSet::from([(0o600, false), (0o755, true)]));
    }
}

#[test]
fn the_mode_of_a_directory_is_durable_when_it_is_synced() {
    for model in POWER {
        let desk = Desk::new();
        let dir = desk.mkdir("d");
        desk.sync_all();
        desk.disk.set_mode_of(&dir, 0o700).unwrap();
        let modes = || {
            let mut modes = BTreeSet::new();
            desk.disk.for_each_image(model, Bound::QUICK, |image, _| {
                modes.insert(format!("{:?}", image.tree(Path::new("/d"))[""]));
            });
            modes.len()
        };
        assert_eq!(modes(), 2);
        desk.disk.sync_dir(&dir).unwrap();
        assert_eq!(modes(), 1);
    }
}

#[test]
fn after_a_barrier_there_is_one_image_and_it_is_what_programs_see() {
    for model in POWER {
        let desk = Desk::new();
        let dir = desk.mkdir("d");
        desk.write(&dir, "f", "abc", Flush::Later);
        desk.disk.make_symlink(&dir, os("l"), os("f")).unwrap();
        desk.disk.link(dir.at("f"), desk.root.at("g")).unwrap();
        desk.disk.set_mode_of(&dir, 0o500).unwrap();
        desk.sync_all();
        let mut count = 0;
        desk.disk.for_each_image(model, Bound::QUICK, |image, _| {
            count += 1;
            assert_eq!(image.tree(Path::new("/")), desk.disk.tree(Path::new("/")));
            assert_eq!(image.state_digest(), desk.disk.state_digest());
        });
        assert_eq!(count, 1);
    }
}

#[test]
fn a_filesystem_without_a_barrier_says_so_and_syncs_nothing() {
    let desk = Desk::with(Options {
        barrier: crate::fs::Barrier::PerObject,
        ..Options::default()
    });
    desk.mkdir("a");
    let answer = desk.disk.sync_filesystem(&desk.root).unwrap();
    assert_eq!(answer, crate::fs::Barrier::PerObject);
    desk.check(Persistence::Ordered, &["", "a/"]);
}

#[test]
fn what_a_failed_sync_covered_stays_in_doubt_after_one_that_succeeds() {
    for model in POWER {
        let desk = Desk::new();
        desk.write(&desk.root, "f", "a", Flush::Later);
        desk.sync_root();
        let step = desk.disk.step_count() + 1;
        desk.disk.fail(super::super::Fault {
            step,
            kind: ErrorKind::Other,
            reach: super::super::Reach::Once,
        });
        check_kind(desk.disk.sync_file(&desk.root, os("f")), ErrorKind::Other);
        desk.disk.sync_file(&desk.root, os("f")).unwrap();
        desk.sync_all();
        desk.check(model, &["f=", "f=0", "f=a"]);
        // A new file behaves differently.
        desk.write(&desk.root, "g", "b", Flush::Now);
        desk.rename("g", "f", Rename::Replace);
        desk.sync_root();
        desk.check(model, &["f=b"]);
    }
}

#[test]
fn names_that_a_failed_sync_covered_stay_in_doubt_until_something_durable_builds_on_them() {
    for model in POWER {
        let desk = Desk::new();
        desk.mkdir("a");
        let step = desk.disk.step_count() + 1;
        desk.disk.fail(super::super::Fault {
            step,
            kind: ErrorKind::Other,
            reach: super::super::Reach::Once,
        });
        check_kind(desk.disk.sync_filesystem(&desk.root), ErrorKind::Other);
        desk.mkdir("b");
        desk.sync_all();
        desk.check(model, &["b/", "a/ b/"]);
        desk.rename("a", "c", Rename::NoReplace);
        desk.sync_root();
        desk.check(model, &["b/ c/"]);
    }
}

#[test]
fn a_kill_loses_nothing_and_makes_nothing_durable() {
    let desk = Desk::new();
    desk.write(&desk.root, "f", "a", Flush::Later);
    desk.check(Persistence::Kill, &["f=a"]);
    let next = Desk::on(desk.disk.killed());
    assert_eq!(next.disk.boot_id(), desk.disk.boot_id());
    next.check(Persistence::Ordered, &["", "f=", "f=0", "f=a"]);
    next.disk.sync_file(&next.root, os("f")).unwrap();
    next.check(Persistence::Ordered, &["f=a"]);
}

#[test]
fn every_subset_of_twelve_changes_is_visited_and_a_named_family_of_more() {
    let count = |changes: usize, bound| {
        let desk = Desk::new();
        (0..changes).for_each(|n| drop(desk.mkdir(&format!("d{n:02}"))));
        let mut found = BTreeSet::new();
        let images = desk
            .disk
            .for_each_image(Persistence::Independent, bound, |image, _| {
                let missing = (0..changes).filter(|n| !show(&image).contains(&format!("d{n:02}")));
                found.insert(missing.collect::<Vec<_>>());
            });
        assert_eq!(images, found.len());
        found
    };
    assert_eq!(count(12, Bound::THOROUGH).len(), 4096);
    let family = count(20, Bound::THOROUGH);
    assert!(family.len() < 400);
    assert!(family.contains(&vec![]));
    assert!(family.contains(&(0..20).collect::<Vec<_>>()));
    for one in 0..20 {
        assert!(family.contains(&vec![one]));
        assert!(family.contains(&(one..20).collect::<Vec<_>>()));
        assert!(family.contains(&(0..20).filter(|n| *n != one).collect::<Vec<_>>()));
        for other in one + 1..20 {
            assert!(family.contains(&vec![one, other]));
        }
    }
}

#[test]
fn of_many_unsynced_files_each_one_alone_is_damaged_in_each_way() {
    let desk = Desk::new();
    let names: Vec<String> = (0..9).map(|n| format!("f{n}")).collect();
    for name in &names {
        desk.write(&desk.root, name, "ab", Flush::Later);
    }
    desk.sync_root();
    // Two changes that cancel out must not make the image with all name changes count as the one
    // without any.
    desk.mkdir("g");
    desk.disk.remove_dir(&desk.root, os("g")).unwrap();
    let found = desk.found(Persistence::Ordered);
    let whole: Vec<String> = names.iter().map(|name| format!("{name}=ab")).collect();
    for at in 0..9 {
        for damage in ["", "a", "00"] {
            let mut damaged = whole.clone();
            damaged[at] = format!("{}={damage}", names[at]);
            assert!(found.contains(&damaged.join(" ")), "{damaged:?}");
        }
    }
    assert!(found.len() < 64);
}

#[test]
fn a_story_names_every_step_and_what_became_of_it() {
    let desk = Desk::new();
    let dir = desk.mkdir("d");
    desk.sync_root();
    desk.write(&dir, "f", "ab", Flush::Later);
    desk.disk
        .rename(dir.at("f"), dir.at("g"), Rename::NoReplace)
        .unwrap();
    let mut stories = Vec::new();
    desk.disk
        .for_each_image(Persistence::Ordered, Bound::QUICK, |image, story| {
            stories.push((show(&image), story.to_string()));
        });
    let (_, story) = stories
        .iter()
        .find(|(image, _)| image == "d/ d/f=00")
        .unwrap();
    let lines: Vec<_> = story.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "   1 make directory /d",
            "   2 sync /",
            "   3 make file /d/f: survived",
            "   4 write /d/f: full of zeros",
            "   5 rename /d/f -> /d/g: lost",
        ]
    );
}
