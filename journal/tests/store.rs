//! The content store, on the simulated disk and on the real one: a pack is whole, or it is not there.
//!
//! Read next: `src/store.rs`.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "outside of `#[test]` functions, too, these are tests, and they play the user who edits a file"
)]

use std::ffi::OsStr;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use rvenv_journal::fs::real::RealFs;
use rvenv_journal::fs::sim::{Bound, Fault, Persistence, Reach, SimFs};
use rvenv_journal::fs::{Dir, Fs};
use rvenv_journal::{
    Digest, Fetched, Mode, ObjectMeta, Pack, PackSource, Store, StoreError, Wanted, open_or_make,
};

/// Two objects with the same bytes and different modes, and another.
struct Source;

const MTIME: i64 = 1_700_000_000;

fn objects() -> Vec<(ObjectMeta, &'static [u8])> {
    let object = |bytes: &'static [u8], mode| {
        let meta = ObjectMeta {
            digest: Digest::of(bytes),
            len: bytes.len() as u64,
            mode,
            mtime: MTIME,
        };
        (meta, bytes)
    };
    vec![
        object(b"print()", Mode::SHARED_FILE),
        object(b"print()", Mode::SHARED_DIR),
        object(b"data", Mode::SHARED_FILE),
    ]
}

impl PackSource for Source {
    fn unpack(
        &self,
        visit: &mut dyn FnMut(ObjectMeta, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        // Asking twice for one object is one object.
        let all = objects().into_iter().chain(objects());
        all.into_iter()
            .try_for_each(|(meta, bytes)| visit(meta, bytes))
    }
}

fn key() -> Digest {
    Digest::of(b"a wheel")
}

fn wanted(object: &ObjectMeta) -> Wanted {
    Wanted {
        digest: object.digest,
        len: object.len,
        mode: object.mode,
        mtime: Some(object.mtime),
    }
}

/// Every object is handed out with its bytes, mode and time.
#[track_caller]
fn assert_whole(fs: &dyn Fs, pack: &Pack<'_>) {
    for (object, bytes) in objects() {
        match pack.fetch(&wanted(&object)).unwrap() {
            Some(Fetched::Stored { dir, name }) => {
                assert_eq!(fs.read_file(&dir, &name, 100).unwrap(), bytes);
                let meta = fs.meta(&dir, &name).unwrap().unwrap();
                assert_eq!(meta.mode, object.mode.bits());
                assert_eq!((meta.mtime.seconds, meta.mtime.nanos), (MTIME, 0));
            }
            Some(Fetched::Bytes(_)) | None => panic!("{object:?} is not handed out"),
        }
    }
}

/// Runs a test on both disks.
fn on_both(test: impl Fn(&dyn Fs, &Dir)) {
    let disk = SimFs::new();
    test(&disk, &disk.open_path(Path::new("/")).unwrap());
    let place = tempfile::tempdir().unwrap();
    let real = RealFs::new();
    test(&real, &real.open_path(place.path()).unwrap());
}

fn names(fs: &dyn Fs, dir: &Dir) -> Vec<String> {
    let packs = fs.open_dir(dir, OsStr::new("packs")).unwrap();
    let names = fs.list(&packs).unwrap();
    names
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
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

/// A builder's directory is not taken for that of a dead one in the moment before it is locked.
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
    });
}

/// A disk that is found after a crash: what is believed there is whole, and the source can be entered.
fn check_after_crash(disk: &SimFs, crash: &dyn std::fmt::Display) {
    let root = disk.open_path(Path::new("/")).unwrap();
    let store = Store::open(disk, &root).unwrap();
    let found = store.pack(key());
    if let Some(pack) = found.unwrap_or_else(|error| panic!("{error:?}\n{crash}")) {
        assert_whole(disk, &pack);
    }
    assert_whole(disk, &store.enter(key(), &Source).unwrap());
    assert_eq!(names(disk, &root), [key().to_string()], "{crash}");
}

#[test]
fn a_kill_or_a_power_cut_at_every_step_of_entering_leaves_a_whole_pack_or_none() {
    let models = [
        Persistence::Kill,
        Persistence::Ordered,
        Persistence::Independent,
    ];
    for count in 0.. {
        let disk = SimFs::new();
        let root = disk.open_path(Path::new("/")).unwrap();
        disk.crash_after(count);
        let entered = Store::open(&disk, &root).and_then(|opened| opened.enter(key(), &Source));
        assert_eq!(entered.is_err(), disk.has_crashed());
        for model in models {
            disk.for_each_image(model, Bound::QUICK, |image, crash| {
                if entered.is_ok() {
                    let root = image.open_path(Path::new("/")).unwrap();
                    let store = Store::open(&image, &root).unwrap();
                    assert!(store.pack(key()).unwrap().is_some(), "not durable\n{crash}");
                }
                check_after_crash(&image, crash);
            });
        }
        if entered.is_ok() {
            break;
        }
    }
}

#[test]
fn a_fault_at_every_step_of_entering_leaves_nothing_that_is_believed() {
    for step in 1.. {
        let disk = SimFs::new();
        let root = disk.open_path(Path::new("/")).unwrap();
        let kind = ErrorKind::StorageFull;
        let reach = Reach::Once;
        disk.fail(Fault { step, kind, reach });
        let entered = Store::open(&disk, &root).and_then(|store| store.enter(key(), &Source));
        let is_done = entered.is_ok() && disk.step_count() < step;
        drop(entered);
        check_after_crash(&disk.killed(), &format!("a fault at step {step}"));
        if is_done {
            break;
        }
    }
}

#[test]
fn an_object_that_somebody_edited_is_not_handed_out_until_it_is_entered_again() {
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
    // An edit of the same length through a link changes the time, at least.
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
            Some(Fetched::Stored { .. }) | None => panic!("{object:?} is there"),
        }
        let unknown = Wanted {
            digest: Digest::of(b"unknown"),
            ..wanted(&object)
        };
        assert!(pack.fetch(&unknown).unwrap().is_none());
    });
}

#[test]
fn a_damaged_manifest_is_never_believed() {
    let disk = SimFs::new();
    let root = disk.open_path(Path::new("/")).unwrap();
    let store = Store::open(&disk, &root).unwrap();
    store.enter(key(), &Source).unwrap();
    let packs = disk.open_dir(&root, OsStr::new("packs")).unwrap();
    let pack = disk
        .open_dir(&packs, OsStr::new(&key().to_string()))
        .unwrap();
    disk.remove_file(&pack, OsStr::new("manifest.json"))
        .unwrap();
    assert!(store.pack(key()).is_err());
}

#[test]
fn a_store_of_another_user_is_not_trusted() {
    let disk = SimFs::new();
    let root = disk.open_path(Path::new("/")).unwrap();
    open_or_make(&disk, Path::new("/cache/packs")).unwrap();
    let cache = disk.open_dir(&root, OsStr::new("cache")).unwrap();
    disk.set_user(0);
    assert!(Store::open(&disk, &cache).is_err());
}
