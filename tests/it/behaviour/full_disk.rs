//! A disk that is too small for an environment: the error says how much space it needs and how much
//! is free.
//!
//! The tests use small filesystems in memory, in their own mount namespace. Read next:
//! `adversity.rs`, where the disk becomes full at every step of a run.

use std::path::Path;
use std::process::Command;

use crate::machine::{Ended, Scratch, any_python, ended};
use crate::mounts::is_among_mounts;

/// Creates an environment on a filesystem with these bounds, which fails and leaves nothing there.
#[track_caller]
fn refused_on(bounds: &str, flags: &[&str]) -> Option<(String, Scratch)> {
    let python = any_python()?;
    let scratch = Scratch::cold();
    let small = scratch.path("small");
    std::fs::create_dir(&small).unwrap();
    let mount = [
        "-t",
        "tmpfs",
        "-o",
        bounds,
        "tmpfs",
        small.to_str().unwrap(),
    ];
    ended(Command::new("mount").args(mount)).ok();
    let words = ["create", "-p", python.path.to_str().unwrap(), "small/E"];
    let said = Ended::failed(scratch.rvenv(&[&words, flags].concat()), 1);
    assert!(said.contains("No space left on device"), "{said}");
    assert!(said.contains("the target is as it was before"), "{said}");
    assert!(
        said.contains("hint: make room on that filesystem"),
        "{said}"
    );
    assert_eq!(names(&small), [""; 0], "{said}");
    Some((said, scratch))
}

fn names(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap();
    names
        .map(|name| name.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// The number before a word in the line that begins with "it takes".
#[track_caller]
fn number(said: &str, after: &str, before: &str) -> f64 {
    let line = said
        .lines()
        .find(|line| line.contains("the change needs up to "));
    let line = line.unwrap_or_else(|| panic!("{said}"));
    let rest = line.split(after).nth(1).unwrap_or_else(|| panic!("{said}"));
    let word = rest.split(before).next().unwrap();
    word.trim().parse().unwrap_or_else(|_| panic!("{said}"))
}

#[test]
fn bytes_that_are_wanted_and_bytes_that_are_free_are_named() {
    if !is_among_mounts(
        module_path!(),
        "bytes_that_are_wanted_and_bytes_that_are_free_are_named",
    ) {
        return;
    }
    let Some((said, _scratch)) = refused_on("size=900k", &[]) else {
        return;
    };
    // pip alone has 1.5 MB and more.
    let wanted = number(&said, "the change needs up to ", " MB");
    assert!((1.5..50.0).contains(&wanted), "{said}");
    // All of it but the pages of the directories.
    let free = number(&said, ", and ", " kB are free");
    assert!((800.0..=922.0).contains(&free), "{said}");
    assert!(!said.contains("inode"), "{said}");
}

#[test]
fn inodes_are_named_where_they_are_what_is_short() {
    if !is_among_mounts(
        module_path!(),
        "inodes_are_named_where_they_are_what_is_short",
    ) {
        return;
    }
    let flags = ["--without-pip"];
    let Some((said, _scratch)) = refused_on("size=50m,nr_inodes=12", &flags) else {
        return;
    };
    let wanted = number(&said, " and ", " inodes");
    assert!((20.0..60.0).contains(&wanted), "{said}");
    let left = number(&said, " inodes, and ", " inodes are free");
    assert!((5.0..=12.0).contains(&left), "{said}");
}

/// The reported need is enough.
#[test]
fn with_as_much_room_as_is_wanted_it_succeeds() {
    if !is_among_mounts(module_path!(), "with_as_much_room_as_is_wanted_it_succeeds") {
        return;
    }
    let Some((said, scratch)) = refused_on("size=900k", &[]) else {
        return;
    };
    let wanted = number(&said, "the change needs up to ", " MB");
    let small = scratch.path("small");
    let size = format!("remount,size={:.0}k", wanted * 1000.0 + 100.0);
    let words = ["-o", &size, small.to_str().unwrap()];
    ended(Command::new("mount").args(words)).ok();
    let python = any_python().unwrap();
    let words = ["create", "-p", python.path.to_str().unwrap(), "small/E"];
    scratch.rvenv(&words).ok();
}

#[test]
fn a_plan_for_which_there_is_no_room_is_not_saved_and_room_is_the_way_out() {
    if !is_among_mounts(
        module_path!(),
        "a_plan_for_which_there_is_no_room_is_not_saved_and_room_is_the_way_out",
    ) {
        return;
    }
    let Some(python) = any_python() else { return };
    let scratch = Scratch::cold();
    let small = scratch.path("small");
    std::fs::create_dir(&small).unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=8k", "tmpfs"];
    ended(Command::new("mount").args(mount).arg(&small)).ok();
    let python = python.path.to_str().unwrap();
    let said = scratch.rvenv(&["plan", "E", "-p", python, "-o", "small/plan.json"]);
    let said = Ended::failed(said, 1);
    assert!(said.starts_with("error[not-saved]: "), "{said}");
    assert!(
        said.contains("hint: make room on that filesystem"),
        "{said}"
    );
    assert_eq!(names(&small), [""; 0], "{said}");
}
