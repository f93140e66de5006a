//! The cache, through the real command: what it reports, what it deletes, and that no command needs
//! it.
//!
//! Read next: `cache_kills.rs` (kills and full disks), and the engine's `tests/store/`.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::machine::{Ended, Python, Scratch, any_python, ended, player, tree};
use rvenv_journal::Digest;
use serde_json::Value;

/// The user that tests become where the system refuses nothing to root.
const OTHER_USER: u32 = 65534;
const PIP: &str = "site-packages/pip/__init__.py";

/// A scratch directory, and an interpreter that brings pip.
fn with_pip() -> Option<(Scratch, Python)> {
    any_python().map(|python| (Scratch::cold_in_memory(), python))
}

fn create(scratch: &Scratch, python: &Python, env: &str) -> Ended {
    scratch.rvenv(&["create", "-p", python.path.to_str().unwrap(), env])
}

/// The file of pip's package in an environment.
fn pip_of(scratch: &Scratch, env: &str) -> PathBuf {
    let lib = fs::read_dir(scratch.path(env).join("lib")).unwrap();
    let mut lib = lib.map(|entry| entry.unwrap().path());
    lib.next().unwrap().join(PIP)
}

fn links(path: &Path) -> u64 {
    fs::metadata(path).unwrap().nlink()
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap()
}

fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap()
}

/// The directories of packs.
fn packs(scratch: &Scratch) -> Vec<PathBuf> {
    let packs = fs::read_dir(scratch.cache().join("packs"));
    let mut packs: Vec<_> = packs
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    packs.sort();
    packs
}

/// Every object of every pack.
fn stored(scratch: &Scratch) -> Vec<PathBuf> {
    let files = packs(scratch)
        .into_iter()
        .flat_map(|pack| fs::read_dir(pack.join("files")).unwrap());
    files.map(|entry| entry.unwrap().path()).collect()
}

fn edit(path: &Path, text: &[u8], at: SeekFrom) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(at).unwrap();
    file.write_all(text).unwrap();
}

/// Before the first run no cache exists; that is no failure, and nothing is made.
#[test]
fn an_absent_cache_is_clean_and_stays_absent() {
    let scratch = Scratch::cold();
    fs::remove_dir(scratch.cache()).unwrap();
    for words in [
        &["cache", "verify"][..],
        &["cache", "prune"],
        &["cache", "clear"],
        &["cache", "verify", "--json"],
    ] {
        scratch.rvenv(words).ok();
    }
    let said = scratch.rvenv(&["cache", "dir"]).ok();
    assert_eq!(said.trim_end(), scratch.cache().to_str().unwrap());
    assert!(!scratch.cache().exists());
}

/// What the commands report about a small cache, with its true sizes.
#[test]
fn sizes_are_shown_in_units_and_in_bytes() {
    let Some((scratch, python)) = with_pip() else {
        return;
    };
    create(&scratch, &python, "E").ok();
    let objects = stored(&scratch);
    let bytes: u64 = objects.iter().map(|o| fs::metadata(o).unwrap().len()).sum();
    let shared = objects.iter().filter(|object| links(object) > 1);
    let shared: u64 = shared.map(|o| fs::metadata(o).unwrap().len()).sum();
    let verified = scratch.rvenv(&["cache", "verify", "--json"]);
    let told = json(&verified);
    verified.ok();
    assert_eq!(number(&told, "/stock/bytes"), bytes);
    assert_eq!(number(&told, "/stock/shared"), shared);
    assert_eq!(number(&told, "/stock/objects"), objects.len() as u64);
    assert_eq!(number(&told, "/format"), 1);
    let said = scratch.rvenv(&["cache", "verify"]).ok();
    let tenths = format!("{}.{} MB)", bytes / 1_000_000, bytes % 1_000_000 / 100_000);
    assert!(said.contains(&tenths), "{said}");
    assert!(said.ends_with("state: clean\n"), "{said}");
    let cleared = scratch.rvenv(&["cache", "clear", "--json"]);
    let told = json(&cleared);
    assert_eq!(number(&told, "/deleted/bytes"), bytes);
    let notes = number(&told, "/notes/bytes");
    assert_eq!(number(&told, "/freed"), bytes - shared + notes);
    if shared > 0 {
        assert!(cleared.stderr.contains("also in environments"));
    }
    assert_eq!(fs::read_dir(scratch.cache()).unwrap().count(), 0);
    // The environment has everything that it shared.
    scratch.rvenv(&["verify", "E"]).ok();
    create(&scratch, &python, "F").ok();
    assert_eq!(stored(&scratch).len(), objects.len());
}

/// Edits of the same length and longer ones: the next environment has the bytes of the wheel, and
/// shares them with the one after it.
#[test]
fn an_edit_in_place_in_one_environment_reaches_no_new_one() {
    let Some((scratch, python)) = with_pip() else {
        return;
    };
    create(&scratch, &python, "A").ok();
    let edited = pip_of(&scratch, "A");
    if links(&edited) == 1 {
        println!("skipped: files are not linked out of the store on this filesystem");
        return;
    }
    let right = fs::read(&edited).unwrap();
    for (round, (text, at)) in [
        (&b"#"[..], SeekFrom::Start(0)),
        (b"\nraise SystemExit\n", SeekFrom::End(0)),
    ]
    .into_iter()
    .enumerate()
    {
        edit(&edited, text, at);
        let [one, other] = ["B", "C"].map(|name| format!("{name}{round}"));
        create(&scratch, &python, &one).ok();
        assert_eq!(fs::read(pip_of(&scratch, &one)).unwrap(), right);
        scratch.rvenv(&["verify", &one]).ok();
        // The environment that was edited stays as its user made it.
        assert_ne!(fs::read(&edited).unwrap(), right);
        scratch.rvenv(&["verify", "A"]).failed(4);
        create(&scratch, &python, &other).ok();
        let shared = pip_of(&scratch, &other);
        assert_eq!(fs::read(&shared).unwrap(), right);
        assert!(links(&shared) > 1, "the store serves the object again");
        scratch.rvenv(&["cache", "verify"]).ok();
        // What is edited next is shared again.
        fs::remove_file(&edited).unwrap();
        fs::hard_link(&shared, &edited).unwrap();
    }
}

/// Only `cache verify` finds an edit that sets the time back.
#[test]
fn verifying_finds_what_no_size_or_time_tells() {
    let Some((scratch, python)) = with_pip() else {
        return;
    };
    create(&scratch, &python, "A").ok();
    let right = fs::read(pip_of(&scratch, "A")).unwrap();
    let digest = Digest::of(&right).to_string();
    let object = stored(&scratch).into_iter().find(|object| {
        let name = object.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with(&digest)
    });
    let object = object.unwrap();
    let time = fs::metadata(&object).unwrap().modified().unwrap();
    edit(&object, b"#", SeekFrom::Start(0));
    let file = fs::OpenOptions::new().write(true).open(&object).unwrap();
    file.set_modified(time).unwrap();
    let pack = object.parent().unwrap().parent().unwrap();
    fs::write(pack.join("notes"), "mine").unwrap();
    let found = scratch.rvenv(&["cache", "verify", "--json"]);
    let told = json(&found);
    let story = found.failed(4);
    assert!(story.contains("unpacked again"), "{story}");
    let faults = told["faults"].as_array().unwrap();
    let differences: Vec<_> = faults.iter().map(|f| f["difference"].as_str()).collect();
    assert_eq!(differences, [Some("unlisted"), Some("content")]);
    assert!(faults.iter().all(|fault| fault["deleted"] == true));
    assert!(!object.exists());
    scratch.rvenv(&["cache", "verify"]).ok();
    create(&scratch, &python, "B").ok();
    assert_eq!(fs::read(pip_of(&scratch, "B")).unwrap(), right);
    assert_eq!(fs::read(&object).unwrap(), right);
}

#[test]
fn a_damaged_pack_is_replaced_by_the_next_run() {
    let Some((scratch, python)) = with_pip() else {
        return;
    };
    create(&scratch, &python, "A").ok();
    let count = stored(&scratch).len();
    for pack in packs(&scratch) {
        fs::write(pack.join("manifest.json"), "{").unwrap();
    }
    create(&scratch, &python, "B").ok();
    assert_eq!(stored(&scratch).len(), count);
    scratch.rvenv(&["cache", "verify"]).ok();
    let pack = packs(&scratch).remove(0);
    fs::remove_dir_all(pack.join("files")).unwrap();
    let said = scratch.rvenv(&["cache", "verify"]);
    assert!(
        said.stdout
            .contains("has no manifest that can be read; deleted")
    );
    said.failed(4);
    assert!(!pack.exists());
}

#[test]
fn packs_are_pruned_by_age_unless_an_environment_shares_them() {
    let Some((scratch, python)) = with_pip() else {
        return;
    };
    create(&scratch, &python, "A").ok();
    let count = packs(&scratch).len() as u64;
    let is_linked = stored(&scratch).iter().any(|object| links(object) > 1);
    let prune = |words: &[&str]| {
        let pruned = scratch.rvenv(&[&["cache", "prune", "--json"], words].concat());
        let told = json(&pruned);
        pruned.ok();
        (
            number(&told, "/deleted/packs"),
            number(&told, "/kept/packs"),
        )
    };
    if is_linked {
        assert_eq!(prune(&["--unused-for", "0"]), (0, count));
    }
    fs::remove_dir_all(scratch.path("A")).unwrap();
    assert_eq!(prune(&[]), (0, count));
    age(&scratch, 20);
    assert_eq!(prune(&[]), (0, count));
    // An environment that shares nothing still counts as a use.
    let path = python.path.to_str().unwrap();
    let copied = ["create", "--link-mode", "copy", "-p", path, "B"];
    scratch.rvenv(&copied).ok();
    assert_eq!(prune(&["--unused-for", "19"]), (0, count));
    age(&scratch, 20);
    assert_eq!(prune(&["--unused-for", "19"]), (count, 0));
}

/// Makes a pack look unused for some days.
fn age(scratch: &Scratch, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 86_400 + 60);
    for pack in packs(scratch) {
        for name in ["manifest.json", "used"] {
            if let Ok(file) = fs::OpenOptions::new().write(true).open(pack.join(name)) {
                file.set_modified(then).unwrap();
            }
        }
    }
}

/// A note about an interpreter is outdated once the interpreter was changed.
#[test]
fn pruning_deletes_notes_on_what_is_gone_or_has_changed() {
    let scratch = Scratch::cold();
    player(&scratch, "python");
    let create = |env| scratch.rvenv(&["create", "-p", "./python", "--without-pip", env]);
    let notes = || {
        let pruned = scratch.rvenv(&["cache", "prune", "--json"]);
        let told = json(&pruned);
        pruned.ok();
        (
            number(&told, "/notes/deleted"),
            number(&told, "/notes/kept"),
        )
    };
    create("A").ok();
    assert_eq!(notes(), (0, 1));
    edit(&scratch.path("python"), b"#\n", SeekFrom::End(0));
    assert_eq!(notes(), (1, 0));
    create("B").ok();
    let dir = scratch.cache().join("interpreters");
    fs::write(dir.join(".tmpQx81aB"), "half").unwrap();
    let stem = Digest::of(b"").to_string();
    fs::write(dir.join(format!("{stem}.json")), "{\"format\":1}").unwrap();
    fs::write(dir.join("mine"), "mine").unwrap();
    assert_eq!(notes(), (2, 1));
    fs::remove_file(scratch.path("python")).unwrap();
    assert_eq!(notes(), (1, 0));
    assert!(dir.join("mine").exists());
}

/// I6: nothing is deleted that has no name of rvenv's, or that a link leads to.
#[test]
fn clearing_leaves_foreign_files_alone_and_names_them() {
    let scratch = Scratch::cold();
    player(&scratch, "python");
    scratch
        .rvenv(&["create", "-p", "./python", "--without-pip", "A"])
        .ok();
    let cache = scratch.cache();
    let precious = scratch.path("precious");
    for dir in [&precious, &precious.join("tmp-dir"), &cache.join("mine")] {
        fs::create_dir(dir).unwrap();
    }
    let stem = Digest::of(b"").to_string();
    fs::write(precious.join(format!("{stem}.json")), "precious").unwrap();
    symlink(&precious, cache.join("packs")).unwrap();
    symlink(&precious, cache.join("wheels")).unwrap();
    let before = tree(&precious);
    let cleared = scratch.rvenv(&["cache", "clear"]);
    for name in ["mine", "packs", "wheels"] {
        let path = cache.join(name);
        assert!(
            cleared
                .stderr
                .contains(&format!("Left `{}`", path.display()))
        );
        assert!(path.exists());
    }
    cleared.ok();
    assert!(before == tree(&precious));
    assert!(!cache.join("interpreters").exists());
}

/// Something else may exist where the wheels should be.
#[test]
fn a_plain_file_in_place_of_the_packs_costs_no_environment() {
    let Some((scratch, python)) = with_pip() else {
        return;
    };
    create(&scratch, &python, "A").ok();
    let packs = scratch.cache().join("packs");
    fs::remove_dir_all(&packs).unwrap();
    fs::write(&packs, "mine").unwrap();
    create(&scratch, &python, "E").ok();
    scratch.rvenv(&["verify", "E"]).ok();
    assert_eq!(links(&pip_of(&scratch, "E")), 1);
    let cleared = scratch.rvenv(&["cache", "clear"]);
    assert!(
        cleared.stderr.contains("rvenv did not create it"),
        "{}",
        cleared.stderr
    );
    cleared.ok();
    assert_eq!(fs::read(&packs).unwrap(), b"mine");
}

/// Runs the command as a user who is not root, in a directory of their own.
struct OtherUser {
    scratch: Scratch,
    python: Python,
}

impl OtherUser {
    fn new() -> Option<Self> {
        let (scratch, python) = with_pip()?;
        let code = "import ensurepip; print(ensurepip.version())";
        let asked = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&python.path)
            .args(["-c", code])
            .output();
        if !asked.is_ok_and(|output| output.status.success()) {
            println!(
                "skipped: this is not root, or the Python that brings pip is not for everybody"
            );
            return None;
        }
        let other = Self { scratch, python };
        fs::create_dir(other.home()).unwrap();
        chown(other.home(), Some(OTHER_USER), Some(OTHER_USER)).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_rvenv"), other.home().join("rvenv")).unwrap();
        Some(other)
    }

    fn home(&self) -> PathBuf {
        self.scratch.path("other")
    }

    fn rvenv(&self, words: &[&str]) -> Ended {
        let mut command = self.scratch.program(Path::new("setpriv"), "022");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(self.home().join("rvenv"))
            .args(words);
        ended(&mut command)
    }

    fn create(&self, env: &str) {
        let env = format!("other/{env}");
        let python = self.python.path.to_str().unwrap();
        self.rvenv(&["create", "-p", python, &env]).ok();
        self.rvenv(&["verify", &env]).ok();
    }
}

/// An empty one cannot be filled; a full one still serves; and nothing in it changes.
#[test]
fn a_read_only_cache_costs_no_environment() {
    let Some(other) = OtherUser::new() else {
        return;
    };
    let cache = other.scratch.cache();
    let close = |mode| {
        for path in [cache.clone(), cache.join("packs")] {
            if path.exists() {
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
    };
    chown(&cache, Some(OTHER_USER), Some(OTHER_USER)).unwrap();
    close(0o555);
    other.create("A");
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 0);
    close(0o755);
    other.create("B");
    close(0o555);
    // Packs themselves are writable: a run notes the last use in a pack once a day, and its links
    // each time.
    let without_notes = || {
        let mut found = tree(&cache);
        found.retain(|path, _| !path.ends_with("/linked"));
        found
    };
    other.create("C");
    let before = without_notes();
    other.create("D");
    assert!(before == without_notes());
    let is_linked = |env| links(&pip_of(&other.scratch, &format!("other/{env}"))) > 1;
    assert!(!is_linked("A"));
    assert_eq!(is_linked("B"), is_linked("D"));
}

/// In both directions: no user is served by a cache that others can write, and root leaves nothing
/// in a user's.
#[test]
fn a_cache_of_another_user_is_neither_used_nor_touched() {
    let Some(other) = OtherUser::new() else {
        return;
    };
    let cache = other.scratch.cache();
    create(&other.scratch, &other.python, "A").ok();
    let mode = fs::Permissions::from_mode(0o777);
    fs::set_permissions(&cache, mode.clone()).unwrap();
    fs::set_permissions(cache.join("packs"), mode).unwrap();
    let before = tree(&cache.join("packs"));
    let python = other.python.path.to_str().unwrap();
    let create_a = ["create", "-p", python, "other/A"];
    for words in [&create_a[..], &["cache", "verify"], &["cache", "clear"]] {
        let said = other.rvenv(words).failed(2);
        assert!(said.contains("other users may write into"), "{said}");
    }
    assert!(before == tree(&cache.join("packs")));

    fs::remove_dir_all(&cache).unwrap();
    fs::create_dir(&cache).unwrap();
    chown(&cache, Some(OTHER_USER), Some(OTHER_USER)).unwrap();
    for words in [&["create", "-p", python, "B"][..], &["cache", "clear"]] {
        let said = other.scratch.rvenv(words).failed(2);
        assert!(said.contains("belongs to user 65534"), "{said}");
    }
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 0);
}

/// A creation during a clear takes deleted objects from the wheels.
#[test]
fn creating_while_another_process_clears_makes_whole_environments() {
    let Some((scratch, python)) = with_pip() else {
        return;
    };
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (scratch, python, is_over) = (&scratch, &python, &is_over);
        let clearer = scope.spawn(move || {
            let mut count = 0;
            while !is_over.load(Ordering::Relaxed) {
                let verb = ["clear", "prune", "verify"][count % 3];
                scratch.rvenv(&["cache", verb]).ok();
                count += 1;
            }
            count
        });
        let creators = ["A", "B", "C"].map(|name| {
            scope.spawn(move || {
                for round in 0..6 {
                    let env = format!("{name}{round}");
                    create(scratch, python, &env).ok();
                    scratch.rvenv(&["verify", &env]).ok();
                }
            })
        });
        let ended = creators.map(std::thread::ScopedJoinHandle::join);
        is_over.store(true, Ordering::Relaxed);
        let count = clearer.join().unwrap();
        println!("cleared, pruned or verified {count} times");
        assert!(ended.iter().all(Result::is_ok));
    });
    scratch.rvenv(&["cache", "clear"]).ok();
    assert_eq!(fs::read_dir(scratch.cache()).unwrap().count(), 0);
}
