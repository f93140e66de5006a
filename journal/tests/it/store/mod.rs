//! The content store, on the simulated disk and on the real one: a pack is complete, or it does not
//! exist.
//!
//! Read next: `store_crashes.rs` (kills, power cuts and faults), `src/store.rs`.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "outside of `#[test]` functions, too, these are tests, and they play the user who edits a file"
)]

use std::ffi::OsStr;
use std::io::Write as _;
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Barrier;

#[cfg(unix)]
use crate::counted::Counted;
use crate::entered::{
    MTIME, Source, assert_whole, files_dir, key, name_of, names, objects, pack_dir, wanted,
};
use rvenv_journal::fs::real::RealFs;
use rvenv_journal::fs::sim::SimFs;
use rvenv_journal::fs::{Dir, Flush, Fs, NewFile, Rename};
use rvenv_journal::raw::{Flaw, NewPack};
use rvenv_journal::{Digest, Fetched, ObjectMeta, PackSource, Store, StoreError, Wanted};
use tending::damages;

mod tending;

/// Runs a test on both disks.
fn on_both(test: impl Fn(&dyn Fs, &Dir)) {
    let disk = SimFs::new();
    test(&disk, &disk.open_path(Path::new("/")).unwrap());
    let place = tempfile::tempdir().unwrap();
    let real = RealFs::new();
    test(&real, &real.open_path(place.path()).unwrap());
}

#[test]
fn a_pack_that_was_entered_twice_is_one_pack() {
    on_both(|fs, dir| {
        let store = Store::open(fs, dir).unwrap();
        assert!(store.pack(key()).unwrap().is_none());
        assert_whole(fs, &store.enter(key(), &Source).unwrap());
        assert_whole(fs, &store.enter(key(), &Source).unwrap());
        assert_whole(fs, &store.pack(key()).unwrap().unwrap());
        assert_eq!(names(fs, dir), [key().to_string()]);
    });
}

#[test]
fn the_sources_are_those_of_the_packs() {
    on_both(|fs, dir| {
        let store = Store::open(fs, dir).unwrap();
        assert_eq!(store.sources().unwrap(), []);
        store.enter(key(), &Source).unwrap();
        let packs = fs.open_dir(dir, OsStr::new("packs")).unwrap();
        fs.make_dir(&packs, OsStr::new("tmp-x"), 0o700).unwrap();
        let upper = key().to_string().to_uppercase();
        fs.make_dir(&packs, OsStr::new(&upper), 0o700).unwrap();
        assert_eq!(store.sources().unwrap(), [key()]);
    });
}

/// Another process enters the same source while this one unpacks it.
struct Crowded<'a>(Store<'a>);

impl PackSource for Crowded<'_> {
    fn unpack(
        &self,
        visit: &mut dyn FnMut(ObjectMeta, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.0.enter(key(), &Source)?;
        Source.unpack(visit)
    }
}

#[test]
fn two_builders_at_once_leave_one_whole_pack() {
    on_both(|fs, dir| {
        let store = Store::open(fs, dir).unwrap();
        let crowded = Crowded(store.clone());
        assert_whole(fs, &store.enter(key(), &crowded).unwrap());
        assert_eq!(names(fs, dir), [key().to_string()]);
    });
}

/// A builder's directory does not count as a dead builder's in the moment before it is locked.
#[test]
fn many_builders_at_once_all_succeed() {
    let place = tempfile::tempdir().unwrap();
    let real = RealFs::new();
    let dir = real.open_path(place.path()).unwrap();
    let store = Store::open(&real, &dir).unwrap();
    std::thread::scope(|scope| {
        for builder in 0..4_u8 {
            let store = &store;
            let real = &real;
            scope.spawn(move || {
                for round in 0..25_u8 {
                    let key = Digest::of(&[builder % 2, round]);
                    assert_whole(real, &store.enter(key, &Source).unwrap());
                }
            });
        }
    });
    assert!(
        names(&real, &dir)
            .iter()
            .all(|name| !name.starts_with("tmp-"))
    );
}

#[test]
fn a_source_that_fails_leaves_nothing() {
    struct Failing;
    impl PackSource for Failing {
        fn unpack(
            &self,
            visit: &mut dyn FnMut(ObjectMeta, &[u8]) -> Result<(), StoreError>,
        ) -> Result<(), StoreError> {
            for (meta, bytes) in objects().into_iter().take(1) {
                visit(meta, bytes)?;
            }
            Err(StoreError::Source("the wheel is damaged".into()))
        }
    }
    on_both(|fs, dir| {
        let store = Store::open(fs, dir).unwrap();
        assert!(store.enter(key(), &Failing).is_err());
        assert!(store.pack(key()).unwrap().is_none());
        assert_eq!(names(fs, dir), [""; 0]);
        // The others that are entered with it are.
        let keys = [b"a", b"b", b"c"].map(|text| Digest::of(text));
        let contents: [&(dyn PackSource + Sync); 3] = [&Source, &Failing, &Source];
        let pairs = keys.into_iter().zip(contents);
        let new: Vec<_> = pairs
            .map(|(source, content)| NewPack { source, content })
            .collect();
        let entered = store.enter_all(&new).unwrap();
        let is_entered: Vec<bool> = entered.iter().map(Result::is_ok).collect();
        assert_eq!(is_entered, [true, false, true]);
        for key in [keys[0], keys[2]] {
            assert_whole(fs, &store.pack(key).unwrap().unwrap());
        }
        assert_eq!(names(fs, dir).len(), 2);
    });
}

#[test]
fn an_edited_object_is_not_handed_out_until_it_is_entered_again() {
    let place = tempfile::tempdir().unwrap();
    let real = RealFs::new();
    let dir = real.open_path(place.path()).unwrap();
    let store = Store::open(&real, &dir).unwrap();
    let pack = store.enter(key(), &Source).unwrap();
    let (object, bytes) = objects().remove(2);
    let Some(Fetched::Stored { name, .. }) = pack.fetch(&wanted(&object)).unwrap() else {
        panic!("{object:?} is there");
    };
    let path = place.path().join("packs").join(key().to_string());
    let path = path.join("files").join(&name);
    // An edit of the same length through a link changes at least the time.
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all(b"DATA").unwrap();
    drop(file);
    assert!(pack.fetch(&wanted(&object)).unwrap().is_none());
    pack.enter_again(object, bytes).unwrap();
    assert_whole(&real, &pack);
    std::fs::remove_file(&path).unwrap();
    assert!(pack.fetch(&wanted(&object)).unwrap().is_none());
    pack.enter_again(object, bytes).unwrap();
    assert_whole(&real, &pack);
}

#[test]
fn an_object_with_another_mode_or_time_is_handed_out_as_bytes() {
    on_both(|fs, dir| {
        let store = Store::open(fs, dir).unwrap();
        let pack = store.enter(key(), &Source).unwrap();
        let (object, bytes) = objects().remove(2);
        let other = Wanted {
            mtime: Some(MTIME + 1),
            ..wanted(&object)
        };
        match pack.fetch(&other).unwrap() {
            Some(Fetched::Bytes(found)) => assert_eq!(found, bytes),
            Some(Fetched::Stored { .. } | Fetched::Pieces) | None => panic!("{object:?} is there"),
        }
        let unknown = Wanted {
            digest: Digest::of(b"unknown"),
            ..wanted(&object)
        };
        assert!(pack.fetch(&unknown).unwrap().is_none());
    });
}

#[test]
fn a_store_of_another_user_is_not_trusted() {
    let disk = SimFs::new();
    let root = disk.open_path(Path::new("/")).unwrap();
    let cache = made(&disk, &root, "cache", 0o700);
    made(&disk, &cache, "packs", 0o700);
    disk.set_user(0);
    assert!(Store::open(&disk, &cache).is_err());
}

/// A user who may write into the store can put any content under any digest.
#[test]
fn a_store_that_others_may_write_is_not_trusted() {
    for mode in [0o777, 0o770, 0o1777, 0o702] {
        let disk = SimFs::new();
        let root = disk.open_path(Path::new("/")).unwrap();
        let cache = made(&disk, &root, "cache", 0o700);
        made(&disk, &cache, "packs", mode);
        assert!(Store::open(&disk, &cache).is_err(), "{mode:o}");
        let bare = made(&disk, &root, "bare", mode);
        assert!(Store::open(&disk, &bare).is_err(), "{mode:o}");
        assert_eq!(disk.list(&bare).unwrap(), [""; 0], "{mode:o}");
    }
}

/// The same for any part of a pack: the pack then counts as absent, and is replaced.
#[cfg(unix)]
#[test]
fn a_pack_that_others_may_write_is_no_pack() {
    on_both_entered(|fs, dir, store| {
        let pack = pack_dir(fs, dir);
        for at in [&pack, &files_dir(fs, dir)] {
            fs.set_mode_of(at, 0o777).unwrap();
            assert!(store.pack(key()).unwrap().is_none());
            fs.set_mode_of(at, 0o755).unwrap();
            assert!(store.pack(key()).unwrap().is_some());
        }
        let name = OsStr::new("manifest.json");
        let bytes = fs.read_file(&pack, name, 1 << 20).unwrap();
        fs.remove_file(&pack, name).unwrap();
        let file = NewFile {
            mode: 0o666,
            mtime: None,
            bytes: &bytes,
            flush: Flush::Later,
        };
        fs.write_file(&pack, name, &file).unwrap();
        assert!(store.pack(key()).unwrap().is_none());
        assert_whole(fs, &store.enter(key(), &Source).unwrap());
    });
}

#[test]
fn an_object_of_another_user_is_not_handed_out_and_is_deleted() {
    let disk = SimFs::new();
    let root = disk.open_path(Path::new("/")).unwrap();
    let store = Store::open(&disk, &root).unwrap();
    store.enter(key(), &Source).unwrap();
    let (object, bytes) = objects().remove(2);
    let files = files_dir(&disk, &root);
    disk.set_user(0);
    damages()[0].1(&disk, &files, &name_of(&object));
    disk.set_user(1000);
    let pack = store.pack(key()).unwrap().unwrap();
    assert!(pack.fetch(&wanted(&object)).unwrap().is_none());
    let faults = store.verify().unwrap().faults;
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].flaw, Flaw::Owner);
    pack.enter_again(object, bytes).unwrap();
    assert_whole(&disk, &pack);
}

/// The change time reveals an edit that length, mode and mtime do not.
#[cfg(unix)]
#[test]
fn an_object_whose_times_were_set_back_after_an_edit_is_not_handed_out() {
    on_both_entered(|fs, dir, store| {
        let (object, bytes) = objects().remove(2);
        damages()[0].1(fs, &files_dir(fs, dir), &name_of(&object));
        let pack = store.pack(key()).unwrap().unwrap();
        assert!(pack.fetch(&wanted(&object)).unwrap().is_none());
        pack.enter_again(object, bytes).unwrap();
        assert_whole(fs, &store.pack(key()).unwrap().unwrap());
    });
}

/// Making a link changes the ctime. An object is hashed again only if its ctime is later than the
/// one noted after the links.
#[cfg(unix)]
#[test]
fn an_object_is_hashed_only_after_something_touched_it() {
    let place = tempfile::tempdir().unwrap();
    let disk = Counted::new();
    let dir = disk.open_path(place.path()).unwrap();
    let store = Store::open(&disk, &dir).unwrap();
    store.enter(key(), &Source).unwrap();
    let files = files_dir(&disk, &dir);
    let link = |to: &str| {
        let name = name_of(&objects().remove(2).0);
        disk.link(files.at(&name), dir.at(to)).unwrap();
    };
    // Without the note that a run writes at its end.
    let hashed = |is_noted: bool| {
        let pack = store.pack(key()).unwrap().unwrap();
        disk.take();
        assert_whole(&disk, &pack);
        let count = disk.take().get("digest_file").copied().unwrap_or_default();
        if is_noted {
            pack.note_examined().unwrap();
        }
        count
    };
    assert_eq!(hashed(false), 0, "what was just entered is known");
    until_the_clock_ticks(place.path());
    link("one");
    assert_eq!(hashed(false), 1);
    assert_eq!(hashed(true), 1);
    assert_eq!(hashed(true), 0);
    until_the_clock_ticks(place.path());
    disk.remove_file(&dir, OsStr::new("one")).unwrap();
    link("two");
    assert_eq!(hashed(true), 1);
    assert_eq!(hashed(false), 0);
    // A note that other users may have written proves nothing.
    let note = place.path().join(format!("packs/{}/linked", key()));
    std::fs::set_permissions(&note, PermissionsExt::from_mode(0o666)).unwrap();
    assert_eq!(hashed(false), 1);
}

/// Waits until a change gets a later ctime than all changes before.
#[cfg(unix)]
fn until_the_clock_ticks(place: &Path) {
    let now = || {
        let file = place.join("clock");
        std::fs::write(&file, "").unwrap();
        std::fs::metadata(&file).unwrap().modified().unwrap()
    };
    let then = now();
    while now() == then {}
}

/// A directory in a directory.
fn made(fs: &dyn Fs, at: &Dir, name: &str, mode: u32) -> Dir {
    fs.make_dir(at, OsStr::new(name), mode).unwrap();
    fs.open_dir(at, OsStr::new(name)).unwrap()
}

/// The owner of a directory could never replace what root makes in it.
#[test]
fn root_makes_no_store_in_a_directory_of_another_user() {
    let disk = SimFs::new();
    let root = disk.open_path(Path::new("/")).unwrap();
    let cache = made(&disk, &root, "cache", 0o700);
    disk.set_user(0);
    assert!(Store::open(&disk, &cache).is_err());
    assert!(Store::find(&disk, &cache).unwrap().is_none());
    assert_eq!(disk.tree(Path::new("/cache")).len(), 1);
}

/// Writes a file into a directory.
fn put(fs: &dyn Fs, dir: &Dir, name: &str, bytes: &[u8]) {
    let file = NewFile {
        mode: 0o600,
        mtime: None,
        bytes,
        flush: Flush::Later,
    };
    fs.write_file(dir, OsStr::new(name), &file).unwrap();
}

/// A store with one pack, and its directories.
fn on_both_entered(test: impl Fn(&dyn Fs, &Dir, &Store<'_>)) {
    on_both(|fs, dir| {
        let store = Store::open(fs, dir).unwrap();
        store.enter(key(), &Source).unwrap();
        pass_tick(fs, dir);
        test(fs, dir, &store);
    });
}

/// Lets the clock of the filesystem go on: a store does not notice an edit in the tick in which the
/// pack was entered.
fn pass_tick(fs: &dyn Fs, dir: &Dir) {
    let changed = |dir: &Dir, name: &str| fs.meta(dir, OsStr::new(name)).unwrap().unwrap().mtime;
    let entered = changed(&pack_dir(fs, dir), "manifest.json");
    let probe = NewFile {
        mode: 0o600,
        mtime: None,
        bytes: b"",
        flush: Flush::Later,
    };
    loop {
        fs.write_file(dir, OsStr::new("probe"), &probe).unwrap();
        let now = changed(dir, "probe");
        fs.remove_file(dir, OsStr::new("probe")).unwrap();
        if now > entered {
            return;
        }
    }
}

/// Damages a pack in each way that makes it invalid.
#[test]
fn a_damaged_pack_is_never_believed_and_is_replaced() {
    type Damage = fn(&dyn Fs, &Dir, &Dir);
    let damages: [Damage; 6] = [
        |fs, _, pack| fs.remove_file(pack, OsStr::new("manifest.json")).unwrap(),
        |fs, _, pack| {
            fs.remove_file(pack, OsStr::new("manifest.json")).unwrap();
            put(fs, pack, "manifest.json", b"{\"format\":1,\"objects\":[[");
        },
        |fs, _, pack| {
            fs.remove_file(pack, OsStr::new("manifest.json")).unwrap();
            fs.make_symlink(pack, OsStr::new("manifest.json"), OsStr::new("used"))
                .unwrap();
        },
        |fs, _, pack| {
            let (from, to) = (OsStr::new("files"), OsStr::new("elsewhere"));
            fs.rename(pack.at(from), pack.at(to), Rename::NoReplace)
                .unwrap();
        },
        // Its name is taken by something that is not a directory.
        |fs, packs, _| {
            let name = key().to_string();
            let (from, to) = (OsStr::new(&name), OsStr::new("tmp-moved"));
            fs.rename(packs.at(from), packs.at(to), Rename::NoReplace)
                .unwrap();
            put(fs, packs, &name, b"a file");
        },
        |fs, packs, _| {
            let name = key().to_string();
            let (from, to) = (OsStr::new(&name), OsStr::new("tmp-moved"));
            fs.rename(packs.at(from), packs.at(to), Rename::NoReplace)
                .unwrap();
            fs.make_symlink(packs, from, OsStr::new("tmp-moved"))
                .unwrap();
        },
    ];
    for damage in damages {
        on_both_entered(|fs, dir, store| {
            let packs = fs.open_dir(dir, OsStr::new("packs")).unwrap();
            damage(fs, &packs, &pack_dir(fs, dir));
            assert!(store.pack(key()).unwrap().is_none());
            assert_whole(fs, &store.enter(key(), &Source).unwrap());
            assert_eq!(names(fs, dir), [key().to_string()]);
        });
    }
}

/// Another process clears the store while a pack is open: the pack then hands out nothing, without
/// an error.
#[test]
fn a_pack_that_vanishes_has_nothing_to_hand_out() {
    on_both_entered(|fs, dir, store| {
        let pack = store.pack(key()).unwrap().unwrap();
        let swept = store.clear().unwrap();
        assert_eq!(swept.deleted.packs, 1);
        assert_eq!(names(fs, dir), [""; 0]);
        for (object, bytes) in objects() {
            assert!(pack.fetch(&wanted(&object)).unwrap().is_none());
            let other = Wanted {
                mtime: None,
                ..wanted(&object)
            };
            assert!(pack.fetch(&other).unwrap().is_none());
            assert!(pack.enter_again(object, bytes).is_err());
        }
        assert_eq!(names(fs, dir), [""; 0]);
        // A pack that another process has replaced is another pack.
        assert_whole(fs, &store.enter(key(), &Source).unwrap());
        let (object, bytes) = objects().remove(0);
        assert!(pack.enter_again(object, bytes).is_err());
    });
}

/// Threads enter the same pack at once; each opens the disk anew, as processes do.
#[test]
fn many_who_enter_one_pack_at_once_while_another_clears_leave_it_whole_or_absent() {
    let place = tempfile::tempdir().unwrap();
    let start = Barrier::new(5);
    std::thread::scope(|scope| {
        for builder in 0..5 {
            let (place, start) = (place.path(), &start);
            scope.spawn(move || {
                let real = RealFs::new();
                let dir = real.open_path(place).unwrap();
                let store = Store::open(&real, &dir).unwrap();
                start.wait();
                for _ in 0..30 {
                    if builder == 4 {
                        store.clear().unwrap();
                        continue;
                    }
                    // The thread that clears may be faster than the look at what was entered.
                    let entered = store.enter(key(), &Source);
                    let pack = match entered {
                        Ok(pack) => pack,
                        Err(StoreError::Manifest(_)) => continue,
                        Err(error) => panic!("{error:?}"),
                    };
                    for (object, bytes) in objects() {
                        let Some(Fetched::Stored { dir, name, .. }) =
                            pack.fetch(&wanted(&object)).unwrap()
                        else {
                            continue;
                        };
                        if let Ok(found) = real.read_file(&dir, &name, 100) {
                            assert_eq!(found, bytes);
                        }
                    }
                }
            });
        }
    });
    let real = RealFs::new();
    let dir = real.open_path(place.path()).unwrap();
    let store = Store::open(&real, &dir).unwrap();
    assert_whole(&real, &store.enter(key(), &Source).unwrap());
    assert_eq!(names(&real, &dir), [key().to_string()]);
}

/// A plan has hundreds of files: the engine must not make, lock and delete a directory in vain for
/// each.
#[test]
fn nothing_is_begun_for_a_pack_that_is_gone() {
    let disk = SimFs::new();
    let root = disk.open_path(Path::new("/")).unwrap();
    let store = Store::open(&disk, &root).unwrap();
    let pack = store.enter(key(), &Source).unwrap();
    store.clear().unwrap();
    let before = disk.step_count();
    let (object, bytes) = objects().remove(0);
    assert!(pack.enter_again(object, bytes).is_err());
    assert_eq!(disk.step_count(), before);
}
