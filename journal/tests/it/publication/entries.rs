//! A target that is changed entry by entry: what it holds before, and what is planned.

use std::ffi::OsStr;

use rvenv_journal::fs::sim::SimFs;
use rvenv_journal::fs::{Dir, Fs};
use rvenv_journal::{Mode, Node, Operation, Plan, PlanBuilder, Publication, RelPath, observe};

use super::{Ground, TARGET, open, planned_file, write};

/// Makes a target with files of the plan before, files of a user, and some of both in one
/// directory.
pub fn make_old(disk: &SimFs, parent: &Dir, ground: Ground) {
    disk.make_dir(parent, OsStr::new("t"), 0o755).unwrap();
    let old = disk.open_dir(parent, OsStr::new("t")).unwrap();
    let dir = |name: &str| {
        disk.make_dir(&old, OsStr::new(name), 0o755).unwrap();
        disk.open_dir(&old, OsStr::new(name)).unwrap()
    };
    write(disk, &old, "cfg", b"old cfg");
    write(disk, &old, "mine", b"a file of the user");
    disk.make_symlink(&old, OsStr::new("link"), OsStr::new("cfg"))
        .unwrap();
    let bin = dir("bin");
    write(disk, &bin, "old-tool", b"old tool");
    write(disk, &bin, "mine", b"a tool of the user");
    let package = dir("package");
    write(disk, &package, "a", b"old a");
    write(disk, &package, "b", b"old b");
    write(disk, &dir("gone"), "x", b"old x");
    let mixed = dir("mixed");
    write(disk, &mixed, "y", b"old y");
    write(disk, &mixed, "mine", b"a file of the user");
    if ground != Ground::Foreign {
        write(disk, &dir(".rvenv"), "receipt.json", b"the receipt before");
    }
}

/// The plan that changes it; a refill has nothing to retire.
pub fn plan(disk: &SimFs, publication: Publication) -> Plan {
    let target = open(disk);
    let builder = builder(publication);
    let (operations, retired) = (builder.operations(), builder.retired());
    let seen = observe(disk, target.place(), operations, retired).unwrap();
    builder.finish(seen, publication).unwrap()
}

fn builder(publication: Publication) -> PlanBuilder {
    let mut builder = PlanBuilder::new(TARGET, Mode::SHARED_DIR).unwrap();
    let path = |text: &str| RelPath::new(text).unwrap();
    let mut add = |text: &str, group: Option<&str>, node| {
        let operation = Operation {
            part: "test".into(),
            group: group.map(Into::into),
            node,
        };
        builder.add(path(text), operation).unwrap();
    };
    let dir = || Node::Dir {
        mode: Mode::SHARED_DIR,
    };
    let target = "bin/tool".into();
    add("bin", None, dir());
    add("bin/tool", None, planned_file("new tool"));
    add("cfg", None, planned_file("new cfg"));
    add("link", None, Node::Symlink { target });
    add("package", Some("package"), dir());
    add("package/a", Some("package"), planned_file("new a"));
    add("package/c", Some("package"), planned_file("new c"));
    add("fresh", Some("fresh"), dir());
    add("fresh/f", Some("fresh"), planned_file("new f"));
    if publication == Publication::Merge {
        for text in [
            "bin/old-tool",
            "package/b",
            "gone",
            "gone/x",
            "mixed",
            "mixed/y",
        ] {
            builder.retire(path(text)).unwrap();
        }
        builder.set_order(vec![path("cfg"), path("link")]);
    }
    builder
}
