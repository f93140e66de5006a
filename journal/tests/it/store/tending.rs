//! Maintaining the store: notes of use, pruning, and what `verify` finds and deletes.

use std::ffi::OsStr;

use super::{on_both_entered, put};
use crate::entered::{
    MTIME, assert_whole, files_dir, key, name_of, names, objects, pack_dir, wanted,
};
use rvenv_journal::Digest;
use rvenv_journal::fs::{Dir, Flush, Fs, NewFile, Time};
use rvenv_journal::raw::{Flaw, Stock};

fn after(time: Time, days: i64) -> Time {
    Time {
        seconds: time.seconds + days * 86_400,
        nanos: 0,
    }
}

/// When something in the pack was written.
fn time_of(fs: &dyn Fs, dir: &Dir, name: &str) -> Option<Time> {
    let meta = fs.meta(&pack_dir(fs, dir), OsStr::new(name)).unwrap();
    meta.map(|meta| meta.mtime)
}

#[test]
fn use_is_noted_once_a_day() {
    on_both_entered(|fs, dir, store| {
        let pack = store.pack(key()).unwrap().unwrap();
        let entered = time_of(fs, dir, "manifest.json").unwrap();
        pack.mark_used(entered).unwrap();
        let noted = time_of(fs, dir, "used").unwrap();
        pack.mark_used(after(noted, 0)).unwrap();
        assert_eq!(time_of(fs, dir, "used"), Some(noted));
        // A note older than a day, and one from the future: both are renewed.
        for days in [1, -1] {
            let noted = time_of(fs, dir, "used").unwrap();
            // The clock of a filesystem advances in steps of some milliseconds.
            let mut times = (0..1_000_000).map(|_| {
                pack.mark_used(after(noted, days)).unwrap();
                time_of(fs, dir, "used")
            });
            assert!(times.any(|time| time > Some(noted)), "{days}");
        }
    });
}

#[test]
fn a_pack_is_pruned_when_it_was_unused_for_long_and_no_environment_shares_its_files() {
    const MONTH: u64 = 30 * 86_400;
    on_both_entered(|fs, dir, store| {
        let pack = store.pack(key()).unwrap().unwrap();
        pack.mark_used(time_of(fs, dir, "manifest.json").unwrap())
            .unwrap();
        let used = time_of(fs, dir, "used").unwrap();
        let young = store.prune(after(used, 29), MONTH).unwrap();
        assert_eq!((young.deleted, young.kept.packs), (Stock::default(), 1));
        // A clock that was wrong is no reason to delete.
        let future = store.prune(after(used, -400), MONTH).unwrap();
        assert_eq!(future.kept.packs, 1);
        // An environment shares a file.
        let files = files_dir(fs, dir);
        let name = name_of(&objects()[0].0);
        let (name, link) = (OsStr::new(&name), OsStr::new("environment"));
        fs.link(files.at(name), dir.at(link)).unwrap();
        let shared = store.prune(after(used, 400), MONTH).unwrap();
        assert_eq!((shared.deleted, shared.kept.shared), (Stock::default(), 7));
        assert_whole(fs, &pack);
        fs.remove_file(dir, link).unwrap();
        let old = store.prune(after(used, 31), MONTH).unwrap();
        let stock = Stock {
            packs: 1,
            objects: 3,
            bytes: 18,
            shared: 0,
        };
        assert_eq!((old.deleted, old.damaged), (stock, 0));
        assert_eq!(names(fs, dir), [""; 0]);
    });
}

#[test]
fn pruning_deletes_dead_builds_and_damaged_packs_and_nothing_else() {
    on_both_entered(|fs, dir, store| {
        let packs = fs.open_dir(dir, OsStr::new("packs")).unwrap();
        for name in ["tmp-dead", "tmp-alive", "mine"] {
            fs.make_dir(&packs, OsStr::new(name), 0o700).unwrap();
        }
        let alive = fs.open_dir(&packs, OsStr::new("tmp-alive")).unwrap();
        let held = fs.hold_dir(&alive).unwrap();
        fs.try_lock(&held).unwrap();
        let spelled = key().to_string().to_uppercase();
        put(fs, &packs, &spelled, b"in another spelling");
        put(fs, &packs, "tmp-file", b"no build");
        let damaged = Digest::of(b"another wheel").to_string();
        fs.make_dir(&packs, OsStr::new(&damaged), 0o500).unwrap();
        let now = time_of(fs, dir, "manifest.json").unwrap();
        let swept = store.prune(now, 1_000).unwrap();
        assert_eq!((swept.builds, swept.damaged, swept.living), (1, 1, 1));
        assert_eq!((swept.kept.packs, swept.leftovers.count), (1, 0));
        let mut strangers = swept.strangers;
        strangers.sort();
        assert_eq!(
            strangers,
            [spelled.clone(), "mine".into(), "tmp-file".into()]
        );
        let mut left = names(fs, dir);
        left.retain(|name| *name != key().to_string());
        assert_eq!(left, [&*spelled, "mine", "tmp-alive", "tmp-file"]);
        drop(held);
        let cleared = store.clear().unwrap();
        assert_eq!((cleared.deleted.packs, cleared.builds), (1, 1));
        assert_eq!(names(fs, dir), [&*spelled, "mine", "tmp-file"]);
    });
}

/// I6: the target of a link in the store is not touched.
#[test]
fn deleting_follows_no_link() {
    on_both_entered(|fs, dir, store| {
        fs.make_dir(dir, OsStr::new("precious"), 0o700).unwrap();
        let precious = fs.open_dir(dir, OsStr::new("precious")).unwrap();
        put(fs, &precious, "file", b"precious");
        let packs = fs.open_dir(dir, OsStr::new("packs")).unwrap();
        let linked = Digest::of(b"a link").to_string();
        let link = |at: &Dir, name: &str, up: &str| {
            let target = format!("{up}precious");
            fs.make_symlink(at, OsStr::new(name), OsStr::new(&target))
                .unwrap();
        };
        link(&packs, &linked, "../");
        link(&packs, "tmp-link", "../");
        link(&pack_dir(fs, dir), "up", "../../");
        link(&files_dir(fs, dir), "up", "../../../");
        let audit = store.verify().unwrap();
        assert_eq!(audit.faults.len(), 3, "{:?}", audit.faults);
        link(&files_dir(fs, dir), "up", "../../../");
        store.clear().unwrap();
        assert_eq!(names(fs, dir), ["tmp-link"]);
        assert_eq!(
            fs.read_file(&precious, OsStr::new("file"), 100).unwrap(),
            b"precious"
        );
    });
}

pub(super) type Damage = fn(&dyn Fs, &Dir, &str);

/// Everything that may be wrong with an object.
pub(super) fn damages() -> [(Flaw, Damage); 6] {
    fn again(fs: &dyn Fs, files: &Dir, name: &str, file: &NewFile<'_>) {
        fs.remove_file(files, OsStr::new(name)).unwrap();
        fs.write_file(files, OsStr::new(name), file).unwrap();
    }
    const RIGHT: NewFile<'_> = NewFile {
        mode: 0o644,
        mtime: Some(MTIME),
        bytes: b"data",
        flush: Flush::Later,
    };
    [
        (Flaw::Content, |fs, files, name| {
            // As a power cut may leave it, or a user who sets the mtime back.
            let file = NewFile {
                bytes: b"DATA",
                ..RIGHT
            };
            again(fs, files, name, &file);
        }),
        (Flaw::Length, |fs, files, name| {
            let file = NewFile {
                bytes: b"dat",
                ..RIGHT
            };
            again(fs, files, name, &file);
        }),
        (Flaw::Mode, |fs, files, name| {
            again(
                fs,
                files,
                name,
                &NewFile {
                    mode: 0o600,
                    ..RIGHT
                },
            );
        }),
        (Flaw::Time, |fs, files, name| {
            let mtime = Some(MTIME + 1);
            again(fs, files, name, &NewFile { mtime, ..RIGHT });
        }),
        (Flaw::Kind, |fs, files, name| {
            fs.remove_file(files, OsStr::new(name)).unwrap();
            fs.make_dir(files, OsStr::new(name), 0o700).unwrap();
            let dir = fs.open_dir(files, OsStr::new(name)).unwrap();
            put(fs, &dir, "inner", b"x");
        }),
        (Flaw::Unlisted, |fs, files, _| {
            put(fs, files, "notes", b"mine");
        }),
    ]
}

#[test]
fn verifying_finds_and_deletes_what_is_not_as_it_was_entered() {
    for (flaw, damage) in damages() {
        on_both_entered(|fs, dir, store| {
            let clean = store.verify().unwrap();
            assert_eq!((clean.faults.len(), clean.stock.objects), (0, 3));
            let (object, bytes) = objects().remove(2);
            damage(fs, &files_dir(fs, dir), &name_of(&object));
            let audit = store.verify().unwrap();
            let [fault] = &audit.faults[..] else {
                panic!("{flaw:?}: {:?}", audit.faults);
            };
            assert_eq!((fault.flaw, &fault.pack), (flaw, &key().to_string()));
            assert!(fault.path.as_ref().unwrap().starts_with("files/"));
            assert!(fault.kept.is_none(), "{fault:?}");
            // It was deleted: nothing differs any more, and the object can be entered again.
            assert_eq!(store.verify().unwrap().faults.len(), 0, "{flaw:?}");
            let pack = store.pack(key()).unwrap().unwrap();
            if flaw != Flaw::Unlisted {
                assert!(pack.fetch(&wanted(&object)).unwrap().is_none());
                pack.enter_again(object, bytes).unwrap();
            }
            assert_whole(fs, &pack);
        });
    }
}

#[test]
fn verifying_deletes_a_damaged_pack() {
    on_both_entered(|fs, dir, store| {
        let name = OsStr::new("manifest.json");
        fs.remove_file(&pack_dir(fs, dir), name).unwrap();
        let audit = store.verify().unwrap();
        assert_eq!(audit.faults.len(), 1);
        assert_eq!(
            (audit.faults[0].flaw, &audit.faults[0].path),
            (Flaw::Manifest, &None)
        );
        assert_eq!(names(fs, dir), [""; 0]);
    });
}
