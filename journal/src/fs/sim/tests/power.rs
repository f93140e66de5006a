//! What a power cut may leave: the measured behaviour of ext4, xfs and btrfs, and what POSIX
//! promises.

use super::super::{Moves, Options};
use super::*;

#[test]
fn a_rename_of_an_unsynced_file_may_publish_nothing() {
    for model in POWER {
        let sim = Sim::new();
        sim.write(&sim.root, "f", "old", Flush::Now);
        sim.sync_root();
        sim.write(&sim.root, "tmp", "anew", Flush::Later);
        sim.rename("tmp", "f", Rename::Replace);
        sim.sync_root();
        sim.check(model, &["f=", "f=0000", "f=an", "f=anew"]);
    }
}

#[test]
fn a_rename_of_a_synced_file_leaves_the_old_or_the_new_one() {
    for model in POWER {
        let sim = Sim::new();
        sim.write(&sim.root, "f", "old", Flush::Now);
        sim.write(&sim.root, "tmp", "new", Flush::Now);
        sim.sync_root();
        sim.rename("tmp", "f", Rename::Replace);
        sim.check(model, &["f=old tmp=new", "f=new"]);
        sim.sync_root();
        sim.check(model, &["f=new"]);
    }
}

#[test]
fn an_unsynced_journal_may_be_empty_when_the_rename_that_it_describes_is_durable() {
    for model in POWER {
        let sim = Sim::new();
        sim.mkdir("a");
        sim.sync_all();
        sim.write(&sim.root, "journal", "ab", Flush::Later);
        sim.rename("a", "b", Rename::NoReplace);
        sim.sync_root();
        sim.check(
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
        let sim = Sim::new();
        let (old, new) = (sim.mkdir("env"), sim.mkdir("stage"));
        sim.write(&old, "f", "1", Flush::Later);
        sim.write(&new, "f", "2", Flush::Later);
        sim.sync_all();
        sim.rename("stage", "env", Rename::Exchange);
        let new = "env/ env/f=2 stage/ stage/f=1";
        sim.check(model, &[new, "env/ env/f=1 stage/ stage/f=2"]);
        sim.sync_root();
        sim.check(model, &[new]);
    }
}

#[test]
fn an_exchange_of_an_unsynced_tree_leaves_the_old_tree_whole_beside_it() {
    for model in POWER {
        let sim = Sim::new();
        let old = sim.mkdir("env");
        sim.write(&old, "f", "old", Flush::Later);
        sim.sync_all();
        let new = sim.mkdir("stage");
        sim.write(&new, "f", "new", Flush::Later);
        sim.rename("stage", "env", Rename::Exchange);
        sim.sync_root();
        let found = sim.found(model);
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
    let sim = Sim::new();
    let stage = sim.mkdir("stage");
    sim.write(&stage, "f", "1", Flush::Now);
    sim.disk.make_symlink(&stage, os("l"), os("f")).unwrap();
    sim.rename("stage", "env", Rename::NoReplace);
    sim.sync_root();
    sim.check(Persistence::Ordered, &["env/ env/f=1 env/l->f"]);
    sim.check(
        Persistence::Independent,
        &[
            "env/",
            "env/ env/f=1",
            "env/ env/l->f",
            "env/ env/f=1 env/l->f",
        ],
    );
    sim.disk.sync_dir(&stage).unwrap();
    sim.check(Persistence::Independent, &["env/ env/f=1 env/l->f"]);
}

#[test]
fn an_inner_directory_that_was_not_synced_may_be_empty() {
    let sim = Sim::new();
    let outer = sim.mkdir("a");
    let inner = sim.mkdir_in(&outer, "b");
    sim.write(&inner, "f", "1", Flush::Now);
    sim.disk.sync_dir(&outer).unwrap();
    sim.sync_root();
    sim.check(Persistence::Independent, &["a/ a/b/", "a/ a/b/ a/b/f=1"]);
    sim.check(Persistence::Ordered, &["a/ a/b/ a/b/f=1"]);
}

#[test]
fn a_rename_in_a_directory_that_was_not_synced_into_its_own_says_nothing_of_its_name() {
    let sim = Sim::new();
    let dir = sim.mkdir("a");
    sim.mkdir_in(&dir, "x");
    let (from, to) = (dir.at("x"), dir.at("y"));
    sim.disk.rename(from, to, Rename::NoReplace).unwrap();
    sim.disk.sync_dir(&dir).unwrap();
    sim.check(Persistence::Ordered, &["a/ a/y/"]);
    sim.check(Persistence::Independent, &["", "a/ a/y/"]);
    sim.sync_root();
    sim.check(Persistence::Independent, &["a/ a/y/"]);
}

#[test]
fn a_synced_file_needs_its_directory_synced_unless_names_persist_in_order() {
    let sim = Sim::new();
    sim.write(&sim.root, "f", "1", Flush::Now);
    sim.check(Persistence::Ordered, &["f=1"]);
    sim.check(Persistence::Independent, &["", "f=1"]);
}

#[test]
fn names_persist_in_order_or_independently() {
    let sim = Sim::new();
    sim.mkdir("a");
    sim.mkdir("b");
    sim.check(Persistence::Ordered, &["", "a/", "a/ b/"]);
    sim.check(Persistence::Independent, &["", "a/", "b/", "a/ b/"]);
}

#[test]
fn a_sync_of_one_directory_leaves_another_alone_unless_names_persist_in_order() {
    let sim = Sim::new();
    let (a, b) = (sim.mkdir("a"), sim.mkdir("b"));
    sim.sync_root();
    sim.mkdir_in(&a, "x");
    sim.mkdir_in(&b, "y");
    sim.mkdir_in(&a, "z");
    sim.disk.sync_dir(&b).unwrap();
    sim.check(
        Persistence::Ordered,
        &["a/ a/x/ b/ b/y/", "a/ a/x/ a/z/ b/ b/y/"],
    );
    let found = sim.found(Persistence::Independent);
    assert_eq!(found.len(), 4);
    assert!(found.contains("a/ b/ b/y/"));
}

#[test]
fn a_move_between_directories_is_durable_when_either_of_them_is_synced() {
    for model in POWER {
        for synced in ["a", "b"] {
            let sim = Sim::new();
            let (a, b) = (sim.mkdir("a"), sim.mkdir("b"));
            sim.write(&a, "f", "1", Flush::Later);
            sim.sync_all();
            sim.disk
                .rename(a.at("f"), b.at("f"), Rename::NoReplace)
                .unwrap();
            sim.check(model, &["a/ a/f=1 b/", "a/ b/ b/f=1"]);
            let synced = sim.disk.open_dir(&sim.root, os(synced)).unwrap();
            sim.disk.sync_dir(&synced).unwrap();
            sim.check(model, &["a/ b/ b/f=1"]);
        }
    }
}

#[test]
fn a_split_move_may_leave_both_names_and_never_none() {
    let sim = Sim::with(Options {
        moves: Moves::Split,
        ..Options::default()
    });
    let (a, b) = (sim.mkdir("a"), sim.mkdir("b"));
    sim.write(&a, "f", "1", Flush::Later);
    sim.sync_all();
    sim.disk
        .rename(a.at("f"), b.at("f"), Rename::NoReplace)
        .unwrap();
    let moved = "a/ b/ b/f=1";
    let both = "a/ a/f=1 b/ b/f=1";
    sim.check(Persistence::Independent, &["a/ a/f=1 b/", both, moved]);
    sim.disk.sync_dir(&b).unwrap();
    sim.check(Persistence::Independent, &[both, moved]);
    sim.disk.sync_dir(&a).unwrap();
    sim.check(Persistence::Independent, &[moved]);
}

#[test]
fn taking_the_old_tree_away_and_putting_the_new_one_never_loses_the_old_one() {
    for model in POWER {
        let sim = Sim::new();
        let (old, new) = (sim.mkdir("env"), sim.mkdir("stage"));
        sim.write(&old, "f", "1", Flush::Later);
        sim.write(&new, "f", "2", Flush::Later);
        sim.sync_all();
        sim.rename("env", "old", Rename::NoReplace);
        sim.rename("stage", "env", Rename::NoReplace);
        let both = "env/ env/f=2 old/ old/f=1";
        let taken = "old/ old/f=1 stage/ stage/f=2";
        sim.check(model, &["env/ env/f=1 stage/ stage/f=2", taken, both]);
        sim.sync_root();
        sim.check(model, &[both]);
    }
}

#[test]
fn a_directory_that_is_gone_took_nothing_along_that_was_moved_out_of_it() {
    for model in POWER {
        let sim = Sim::new();
        let stage = sim.mkdir("stage");
        sim.write(&stage, "f", "1", Flush::Later);
        sim.sync_all();
        sim.disk
            .rename(stage.at("f"), sim.root.at("f"), Rename::NoReplace)
            .unwrap();
        sim.disk.remove_dir(&sim.root, os("stage")).unwrap();
        sim.check(model, &["stage/ stage/f=1", "f=1 stage/", "f=1"]);
    }
}

#[test]
fn what_is_moved_into_a_new_directory_does_not_vanish_with_it() {
    for model in POWER {
        let sim = Sim::new();
        sim.write(&sim.root, "f", "1", Flush::Later);
        sim.sync_all();
        let kept = sim.mkdir("kept");
        sim.disk
            .rename(sim.root.at("f"), kept.at("f"), Rename::NoReplace)
            .unwrap();
        sim.check(model, &["f=1", "f=1 kept/", "kept/ kept/f=1"]);
    }
}

#[test]
fn a_split_move_into_a_new_directory_does_not_vanish_with_it_either() {
    let sim = Sim::with(Options {
        moves: Moves::Split,
        ..Options::default()
    });
    sim.write(&sim.root, "f", "1", Flush::Later);
    sim.sync_all();
    let kept = sim.mkdir("kept");
    sim.disk
        .rename(sim.root.at("f"), kept.at("f"), Rename::NoReplace)
        .unwrap();
    let images = ["f=1", "f=1 kept/", "f=1 kept/ kept/f=1", "kept/ kept/f=1"];
    sim.check(Persistence::Independent, &images);
}

#[test]
fn two_directories_are_never_inside_each_other() {
    for model in POWER {
        let sim = Sim::new();
        let a = sim.mkdir("a");
        let b = sim.mkdir_in(&a, "b");
        sim.sync_all();
        sim.disk
            .rename(a.at("b"), sim.root.at("b"), Rename::NoReplace)
            .unwrap();
        sim.disk
            .rename(sim.root.at("a"), b.at("a"), Rename::NoReplace)
            .unwrap();
        sim.check(model, &["a/ a/b/", "a/ b/", "b/ b/a/"]);
    }
}

#[test]
fn a_sync_of_a_renamed_file_makes_its_new_name_durable_where_names_persist_in_order() {
    let sim = Sim::new();
    sim.write(&sim.root, "f", "1", Flush::Later);
    sim.sync_all();
    sim.rename("f", "g", Rename::NoReplace);
    sim.mkdir("later");
    sim.disk.sync_file(&sim.root, os("g")).unwrap();
    sim.check(Persistence::Ordered, &["g=1", "g=1 later/"]);
    sim.check(
        Persistence::Independent,
        &["f=1", "g=1", "f=1 later/", "g=1 later/"],
    );
}

#[test]
fn writing_over_a_file_in_place_may_leave_the_old_content_or_none() {
    for model in POWER {
        let sim = Sim::new();
        sim.write(&sim.root, "f", "old", Flush::Now);
        sim.sync_root();
        let held = sim.disk.hold_file(&sim.root, os("f")).unwrap();
        sim.disk.write_held(&held, b"x").unwrap();
        sim.disk.write_held(&held, b"new").unwrap();
        sim.check(model, &["f=old", "f=x", "f=", "f=000", "f=n", "f=new"]);
        sim.disk.sync_file(&sim.root, os("f")).unwrap();
        sim.check(model, &["f=new"]);
    }
}

#[test]
fn an_unsynced_file_may_have_the_mode_that_it_was_made_with() {
    for model in POWER {
        let sim = Sim::new();
        let file = NewFile {
            mode: 0o755,
            mtime: Some(5),
            bytes: b"",
            flush: Flush::Later,
        };
        sim.disk.write_file(&sim.root, os("f"), &file).unwrap();
        sim.sync_root();
        let mut modes = BTreeSet::new();
        sim.disk.for_each_image(model, Bound::QUICK, |image, _| {
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
        let sim = Sim::new();
        let dir = sim.mkdir("d");
        sim.sync_all();
        sim.disk.set_mode_of(&dir, 0o700).unwrap();
        let modes = || {
            let mut modes = BTreeSet::new();
            sim.disk.for_each_image(model, Bound::QUICK, |image, _| {
                modes.insert(format!("{:?}", image.tree(Path::new("/d"))[""]));
            });
            modes.len()
        };
        assert_eq!(modes(), 2);
        sim.disk.sync_dir(&dir).unwrap();
        assert_eq!(modes(), 1);
    }
}

#[test]
fn after_a_barrier_there_is_one_image_and_it_is_what_programs_see() {
    for model in POWER {
        let sim = Sim::new();
        let dir = sim.mkdir("d");
        sim.write(&dir, "f", "abc", Flush::Later);
        sim.disk.make_symlink(&dir, os("l"), os("f")).unwrap();
        sim.disk.link(dir.at("f"), sim.root.at("g")).unwrap();
        sim.disk.set_mode_of(&dir, 0o500).unwrap();
        sim.sync_all();
        let mut count = 0;
        sim.disk.for_each_image(model, Bound::QUICK, |image, _| {
            count += 1;
            assert_eq!(image.tree(Path::new("/")), sim.disk.tree(Path::new("/")));
            assert_eq!(image.state_digest(), sim.disk.state_digest());
        });
        assert_eq!(count, 1);
    }
}

#[test]
fn a_filesystem_without_a_barrier_says_so_and_syncs_nothing() {
    let sim = Sim::with(Options {
        barrier: crate::fs::Barrier::PerObject,
        ..Options::default()
    });
    sim.mkdir("a");
    let answer = sim.disk.sync_filesystem(&sim.root).unwrap();
    assert_eq!(answer, crate::fs::Barrier::PerObject);
    sim.check(Persistence::Ordered, &["", "a/"]);
}

#[test]
fn what_a_failed_sync_covered_stays_in_doubt_after_one_that_succeeds() {
    for model in POWER {
        let sim = Sim::new();
        sim.write(&sim.root, "f", "a", Flush::Later);
        sim.sync_root();
        let step = sim.disk.step_count() + 1;
        sim.disk.fail(super::super::Fault {
            step,
            kind: ErrorKind::Other,
            reach: super::super::Reach::Once,
        });
        check_kind(sim.disk.sync_file(&sim.root, os("f")), ErrorKind::Other);
        sim.disk.sync_file(&sim.root, os("f")).unwrap();
        sim.sync_all();
        sim.check(model, &["f=", "f=0", "f=a"]);
        // A new file behaves differently.
        sim.write(&sim.root, "g", "b", Flush::Now);
        sim.rename("g", "f", Rename::Replace);
        sim.sync_root();
        sim.check(model, &["f=b"]);
    }
}

#[test]
fn names_that_a_failed_sync_covered_stay_in_doubt_until_something_durable_builds_on_them() {
    for model in POWER {
        let sim = Sim::new();
        sim.mkdir("a");
        let step = sim.disk.step_count() + 1;
        sim.disk.fail(super::super::Fault {
            step,
            kind: ErrorKind::Other,
            reach: super::super::Reach::Once,
        });
        check_kind(sim.disk.sync_filesystem(&sim.root), ErrorKind::Other);
        sim.mkdir("b");
        sim.sync_all();
        sim.check(model, &["b/", "a/ b/"]);
        sim.rename("a", "c", Rename::NoReplace);
        sim.sync_root();
        sim.check(model, &["b/ c/"]);
    }
}

#[test]
fn a_kill_loses_nothing_and_makes_nothing_durable() {
    let sim = Sim::new();
    sim.write(&sim.root, "f", "a", Flush::Later);
    sim.check(Persistence::Kill, &["f=a"]);
    let next = Sim::on(sim.disk.killed());
    assert_eq!(next.disk.boot_id(), sim.disk.boot_id());
    next.check(Persistence::Ordered, &["", "f=", "f=0", "f=a"]);
    next.disk.sync_file(&next.root, os("f")).unwrap();
    next.check(Persistence::Ordered, &["f=a"]);
}

#[test]
fn every_subset_of_twelve_changes_is_visited_and_a_named_family_of_more() {
    let count = |changes: usize, bound| {
        let sim = Sim::new();
        (0..changes).for_each(|n| drop(sim.mkdir(&format!("d{n:02}"))));
        let mut found = BTreeSet::new();
        let images = sim
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
    let sim = Sim::new();
    let names: Vec<String> = (0..9).map(|n| format!("f{n}")).collect();
    for name in &names {
        sim.write(&sim.root, name, "ab", Flush::Later);
    }
    sim.sync_root();
    // Two changes that cancel out must not make the image with all name changes count as the one
    // without any.
    sim.mkdir("g");
    sim.disk.remove_dir(&sim.root, os("g")).unwrap();
    let found = sim.found(Persistence::Ordered);
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
    let sim = Sim::new();
    let dir = sim.mkdir("d");
    sim.sync_root();
    sim.write(&dir, "f", "ab", Flush::Later);
    sim.disk
        .rename(dir.at("f"), dir.at("g"), Rename::NoReplace)
        .unwrap();
    let mut stories = Vec::new();
    sim.disk
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
