//! Crashes of the content store: every step of every verb, every disk that a kill or a power cut
//! may leave, and every fault.
//!
//! Afterwards the store hands out nothing, or what was entered. Entering the source works, and the
//! unfinished build of the dead process is gone. Read next: `src/store.rs`.

#![expect(
    clippy::unwrap_used,
    reason = "outside of `#[test]` functions, too, these are tests"
)]

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::ErrorKind;
use std::path::Path;

use crate::entered::{
    Source, assert_whole, files_dir, key, mend, name_of, names, objects, pack_dir, wanted,
};
use rvenv_journal::fs::sim::{Bound, Fault, Options, Persistence, Reach, SimFs, Support};
use rvenv_journal::fs::{Barrier, Dir, Flush, Fs, NewFile, Time};
use rvenv_journal::raw::NewPack;
use rvenv_journal::{Digest, Store, StoreError};

const MODELS: [Persistence; 3] = [
    Persistence::Kill,
    Persistence::Ordered,
    Persistence::Independent,
];

/// A verb of the store, and the disk on which it runs.
struct Case {
    /// Changes an empty disk, all of which is durable afterwards.
    prepare: fn(&SimFs, &Dir),
    act: fn(&SimFs, &Dir) -> Result<(), StoreError>,
    /// What must be true of every disk after success.
    done: fn(&SimFs, &Dir, &dyn Display),
}

impl Case {
    fn disk(&self, options: &Options) -> (SimFs, Dir) {
        let disk = SimFs::with(options.clone());
        let root = disk.open_path(Path::new("/")).unwrap();
        (self.prepare)(&disk, &root);
        sync_all(&disk, &root);
        (disk, root)
    }
}

/// Object by object, so that it works without a barrier.
fn sync_all(disk: &SimFs, dir: &Dir) {
    for name in disk.list(dir).unwrap() {
        match disk.open_dir(dir, &name) {
            Ok(below) => sync_all(disk, &below),
            Err(_) => disk.sync_file(dir, &name).unwrap(),
        }
    }
    disk.sync_dir(dir).unwrap();
}

fn enter(disk: &SimFs, root: &Dir) -> Result<(), StoreError> {
    let pack = Store::open(disk, root)?.enter(key(), &Source)?;
    assert_whole(disk, &pack);
    Ok(())
}

/// The key of a second source with the same objects.
fn other() -> Digest {
    Digest::of(b"another source")
}

fn enter_two(disk: &SimFs, root: &Dir) -> Result<(), StoreError> {
    let new = [other(), key()].map(|source| NewPack {
        source,
        content: &Source,
    });
    for pack in Store::open(disk, root)?.enter_all(&new)? {
        assert_whole(disk, &pack?);
    }
    Ok(())
}

fn entered(disk: &SimFs, root: &Dir) {
    enter(disk, root).unwrap();
}

/// An object was edited through a link, and another is gone.
fn edited(disk: &SimFs, root: &Dir) {
    entered(disk, root);
    let [(first, _), _, (last, _)] = <[_; 3]>::try_from(objects()).unwrap();
    let files = files_dir(disk, root);
    let name = name_of(&first);
    disk.overwrite(&files, OsStr::new(&name), b"PRINT()")
        .unwrap();
    let name = name_of(&last);
    disk.remove_file(&files, OsStr::new(&name)).unwrap();
}

fn enter_again(disk: &SimFs, root: &Dir) -> Result<(), StoreError> {
    let pack = Store::open(disk, root)?.pack(key())?;
    let pack = pack.ok_or(StoreError::Manifest(key()))?;
    for (object, bytes) in objects() {
        if pack.fetch(&wanted(&object))?.is_none() {
            pack.enter_again(object, bytes)?;
        }
    }
    Ok(())
}

fn damaged(disk: &SimFs, root: &Dir) {
    entered(disk, root);
    let pack = pack_dir(disk, root);
    disk.overwrite(&pack, OsStr::new("manifest.json"), b"{\"format\":1,")
        .unwrap();
}

/// A pack that was unused for long, a build of a dead process, and an edited object.
fn neglected(disk: &SimFs, root: &Dir) {
    edited(disk, root);
    let packs = disk.open_dir(root, OsStr::new("packs")).unwrap();
    disk.make_dir(&packs, OsStr::new("tmp-dead"), 0o700)
        .unwrap();
    let build = disk.open_dir(&packs, OsStr::new("tmp-dead")).unwrap();
    let file = NewFile {
        mode: 0o600,
        mtime: None,
        bytes: b"half",
        flush: Flush::Later,
    };
    disk.write_file(&build, OsStr::new("x"), &file).unwrap();
}

fn prune(disk: &SimFs, root: &Dir) -> Result<(), StoreError> {
    let now = Time {
        seconds: 1 << 40,
        nanos: 0,
    };
    Store::open(disk, root)?.prune(now, 1).map(|_| ())
}

fn clear(disk: &SimFs, root: &Dir) -> Result<(), StoreError> {
    Store::open(disk, root)?.clear().map(|_| ())
}

fn verify(disk: &SimFs, root: &Dir) -> Result<(), StoreError> {
    Store::open(disk, root)?.verify().map(|_| ())
}

/// Checks that the pack is durable after success.
fn is_durable(disk: &SimFs, root: &Dir, crash: &dyn Display) {
    let store = Store::open(disk, root).unwrap();
    let Some(pack) = store.pack(key()).unwrap() else {
        panic!("not durable\n{crash}");
    };
    assert_whole(disk, &pack);
}

fn both_are_durable(disk: &SimFs, root: &Dir, crash: &dyn Display) {
    is_durable(disk, root, crash);
    let found = Store::open(disk, root).unwrap().pack(other()).unwrap();
    assert!(found.is_some(), "not durable\n{crash}");
}

fn nothing(_: &SimFs, _: &Dir) {}

fn no_promise(_: &SimFs, _: &Dir, _: &dyn Display) {}

/// Checks a disk after a crash: what the store hands out is right, and the source can be entered.
#[track_caller]
fn check_after_crash(disk: &SimFs, crash: &dyn Display) {
    let root = disk.open_path(Path::new("/")).unwrap();
    let store = Store::open(disk, &root).unwrap();
    for key in [key(), other()] {
        let found = store.pack(key);
        if let Some(pack) = found.unwrap_or_else(|error| panic!("{error:?}\n{crash}")) {
            mend(disk, &pack);
            assert_whole(disk, &pack);
        }
    }
    // Entering deletes what dead builders left; another process may have entered the pack already.
    let pack = store.enter(key(), &Source).unwrap();
    mend(disk, &pack);
    assert_whole(disk, &pack);
    let mut names = names(disk, &root);
    names.retain(|name| *name != other().to_string());
    assert_eq!(names, [key().to_string()], "{crash}");
}

fn disks() -> [Options; 2] {
    let objects = Options {
        barrier: Barrier::PerObject,
        exchange: Support::Absent,
        no_replace: Support::Absent,
        ..Options::default()
    };
    [Options::default(), objects]
}

/// Stops the verb at every step, and checks every disk that may exist then.
fn crash_everywhere(case: &Case) {
    for options in disks() {
        for count in 0.. {
            let (disk, root) = case.disk(&options);
            disk.crash_after(count);
            let ended = (case.act)(&disk, &root);
            assert!(ended.is_ok() || disk.has_crashed(), "{ended:?}");
            for model in MODELS {
                disk.for_each_image(model, Bound::QUICK, |image, crash| {
                    if !disk.has_crashed() {
                        let root = image.open_path(Path::new("/")).unwrap();
                        (case.done)(&image, &root, crash);
                    }
                    check_after_crash(&image, crash);
                });
            }
            if !disk.has_crashed() {
                assert!(count > 3, "the sweep met {count} steps only");
                break;
            }
        }
    }
}

/// Lets every step fail, and checks the disk after a kill and after a power cut.
fn fail_everywhere(case: &Case) {
    let reaches = [Reach::Once, Reach::CreationsFromThenOn, Reach::FromThenOn];
    for (options, reach) in disks()
        .into_iter()
        .flat_map(|options| reaches.map(|reach| (options.clone(), reach)))
    {
        for step in 1.. {
            let (disk, root) = case.disk(&options);
            let before = disk.step_count();
            let step = before + step;
            let kind = ErrorKind::StorageFull;
            disk.fail(Fault { step, kind, reach });
            let ended = (case.act)(&disk, &root);
            let story = format!("a fault at step {step}, {reach:?}: {ended:?}");
            let met = disk.step_count() >= step;
            check_after_crash(&disk.killed(), &story);
            disk.for_each_image(Persistence::Ordered, Bound::QUICK, |image, _| {
                check_after_crash(&image, &story);
            });
            if !met {
                break;
            }
        }
    }
}

#[test]
fn a_crash_at_every_step_of_entering_leaves_a_whole_pack_or_none() {
    let case = Case {
        prepare: nothing,
        act: enter,
        done: is_durable,
    };
    crash_everywhere(&case);
}

#[test]
fn a_fault_at_every_step_of_entering_leaves_nothing_that_is_believed() {
    let case = Case {
        prepare: nothing,
        act: enter,
        done: no_promise,
    };
    fail_everywhere(&case);
}

#[test]
fn of_sources_that_are_entered_together_a_crash_leaves_each_whole_or_absent() {
    let case = Case {
        prepare: nothing,
        act: enter_two,
        done: both_are_durable,
    };
    crash_everywhere(&case);
    fail_everywhere(&case);
}

#[test]
fn a_crash_while_an_edited_object_is_entered_again_leaves_it_out_or_right() {
    let case = Case {
        prepare: edited,
        act: enter_again,
        done: is_durable,
    };
    crash_everywhere(&case);
    fail_everywhere(&case);
}

#[test]
fn a_crash_while_a_damaged_pack_is_replaced_leaves_a_whole_pack_or_none() {
    let case = Case {
        prepare: damaged,
        act: enter,
        done: is_durable,
    };
    crash_everywhere(&case);
    fail_everywhere(&case);
}

#[test]
fn a_crash_while_the_store_is_pruned_leaves_what_can_be_entered_again() {
    let case = Case {
        prepare: neglected,
        act: prune,
        done: no_promise,
    };
    crash_everywhere(&case);
    fail_everywhere(&case);
}

#[test]
fn a_crash_while_the_store_is_cleared_leaves_what_can_be_entered_again() {
    let case = Case {
        prepare: neglected,
        act: clear,
        done: no_promise,
    };
    crash_everywhere(&case);
    fail_everywhere(&case);
}

#[test]
fn a_crash_while_the_store_is_verified_leaves_what_can_be_entered_again() {
    let case = Case {
        prepare: neglected,
        act: verify,
        done: no_promise,
    };
    fail_everywhere(&case);
}
