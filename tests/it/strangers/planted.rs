//! Notes that another user plants in a cache, such as which program is an interpreter.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::machine::{Scratch, ended, player, script};
use crate::strangers::users::{STRANGER, at_home, dir_of, gives_acl, is_root, stranger_runs};

/// A scratch directory with an interpreter, a program of the stranger's, and a note that names the
/// second as the first.
struct Lab {
    scratch: Scratch,
    python: PathBuf,
    note: PathBuf,
    name: String,
}

impl Lab {
    fn new() -> Option<Self> {
        if !is_root() {
            return None;
        }
        let scratch = Scratch::cold();
        let python = player(&scratch, "python3");
        let evil = scratch.path("evil");
        script(&evil, "echo evil");
        let cache = scratch.path("template");
        dir_of(&cache, 0, 0o700);
        let find = ["python", "find", python.to_str().unwrap()];
        let mut command = scratch.command(&find);
        ended(command.env("RVENV_CACHE_DIR", &cache)).ok();
        let notes = fs::read_dir(cache.join("interpreters")).unwrap();
        let made = notes.map(|note| note.unwrap().path()).next().unwrap();
        let mut note: Value = serde_json::from_slice(&fs::read(&made).unwrap()).unwrap();
        for field in ["executable", "real_executable", "invoked"] {
            note["interpreter"][field] = evil.to_str().unwrap().into();
        }
        let planted = scratch.path("note.json");
        fs::write(&planted, note.to_string()).unwrap();
        Some(Self {
            name: made.file_name().unwrap().to_string_lossy().into_owned(),
            note: planted,
            scratch,
            python,
        })
    }

    fn find(&self) -> [&str; 3] {
        ["python", "find", self.python.to_str().unwrap()]
    }

    /// The stranger puts the note into a cache that they may write.
    fn plant(&self, cache: &Path) {
        let (cache, note) = (cache.display(), self.note.display());
        let name = &self.name;
        stranger_runs(&format!(
            "mkdir -p '{cache}/interpreters'; cp '{note}' '{cache}/interpreters/{name}'"
        ));
    }

    /// With the cache that was named.
    #[track_caller]
    fn finds_the_right_one(&self) {
        let said = self.scratch.rvenv(&self.find()).ok();
        assert!(said.contains(self.python.to_str().unwrap()), "{said}");
        assert!(!said.contains("evil"), "{said}");
    }

    /// Root puts the note there, to see that such a note is believed otherwise.
    fn is_believed_of_root(&self) -> bool {
        let kind = self.scratch.cache().join("interpreters");
        fs::copy(&self.note, kind.join(&self.name)).unwrap();
        fs::set_permissions(kind.join(&self.name), fs::Permissions::from_mode(0o600)).unwrap();
        let found = self.scratch.rvenv(&self.find()).ok();
        found.contains("evil")
    }
}

#[test]
fn a_named_cache_that_others_may_write_is_refused() {
    let Some(lab) = Lab::new() else { return };
    let cache = lab.scratch.cache();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    lab.plant(&cache);
    let env = ["create", "--without-pip", "-p", "./python3", "E"];
    for words in [
        &lab.find()[..],
        &env,
        &["cache", "verify"],
        &["cache", "clear"],
    ] {
        let said = lab.scratch.rvenv(words).failed(2);
        assert!(said.contains("other users may write into"), "{said}");
        assert!(said.contains(cache.to_str().unwrap()), "{said}");
        assert!(said.contains("(mode 0777)"), "{said}");
        assert!(said.contains("chmod -R go-w"), "{said}");
    }
    assert!(!lab.scratch.path("E").exists());
    // The hint of the message works, and the planted note is still not believed.
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o755)).unwrap();
    lab.finds_the_right_one();
}

#[test]
fn a_named_cache_of_another_user_is_refused() {
    let Some(lab) = Lab::new() else { return };
    let cache = lab.scratch.cache();
    chown(&cache, Some(STRANGER), Some(STRANGER)).unwrap();
    lab.plant(&cache);
    let said = lab.scratch.rvenv(&lab.find()).failed(2);
    assert!(
        said.contains(&format!("belongs to user {STRANGER}")),
        "{said}"
    );
}

/// The cache is root's own directory, and yet all users may write into it.
#[test]
fn the_usual_cache_behind_a_link_to_a_sticky_directory_is_not_used() {
    let Some(lab) = Lab::new() else { return };
    let sticky = lab.scratch.path("tmp");
    dir_of(&sticky, 0, 0o1777);
    let home = lab.scratch.path("home");
    dir_of(&home, 0, 0o700);
    fs::create_dir(home.join(".cache")).unwrap();
    symlink(&sticky, home.join(".cache/rvenv")).unwrap();
    lab.plant(&sticky);
    let found = ended(&mut at_home(&lab.scratch, &home, &lab.find()));
    assert!(!found.stdout.contains("evil"), "{}", found.stdout);
    let said = found.stderr.clone();
    assert!(said.contains("warning: no cache is used"), "{said}");
    assert!(said.contains(home.to_str().unwrap()), "{said}");
    found.ok();
    assert_eq!(fs::read_dir(&sticky).unwrap().count(), 1);
}

/// The user's own link to their own directory is a cache like any other.
#[test]
fn the_usual_cache_behind_a_link_to_a_private_directory_is_used() {
    let Some(lab) = Lab::new() else { return };
    let [home, other] = ["home", "other"].map(|name| lab.scratch.path(name));
    dir_of(&home, 0, 0o700);
    dir_of(&other, 0, 0o755);
    symlink("other", lab.scratch.path("link")).unwrap();
    symlink("../link", home.join(".cache")).unwrap();
    ended(&mut at_home(&lab.scratch, &home, &lab.find())).ok();
    assert!(other.join("rvenv/interpreters").join(&lab.name).exists());
}

/// In a private cache, a directory of notes that was writable for all users once.
#[test]
fn a_note_in_a_directory_that_others_may_write_is_not_believed() {
    let Some(lab) = Lab::new() else { return };
    let kind = lab.scratch.cache().join("interpreters");
    dir_of(&kind, 0, 0o777);
    fs::copy(&lab.note, kind.join(&lab.name)).unwrap();
    lab.finds_the_right_one();
    // It was made anew, with nothing of what had been in it.
    assert_eq!(fs::metadata(&kind).unwrap().mode() & 0o7777, 0o700);
    let note = fs::read_to_string(kind.join(&lab.name)).unwrap();
    assert!(!note.contains("evil"));
    assert!(lab.is_believed_of_root(), "the note proves nothing");
}

#[test]
fn a_note_of_another_user_or_that_others_may_write_is_not_believed() {
    let Some(lab) = Lab::new() else { return };
    let kind = lab.scratch.cache().join("interpreters");
    let note = kind.join(&lab.name);
    for (owner, mode) in [(STRANGER, 0o600), (0, 0o620), (0, 0o602)] {
        lab.finds_the_right_one();
        fs::copy(&lab.note, &note).unwrap();
        fs::set_permissions(&note, fs::Permissions::from_mode(mode)).unwrap();
        chown(&note, Some(owner), None).unwrap();
        lab.finds_the_right_one();
    }
    // No link is followed.
    fs::remove_file(&note).unwrap();
    symlink(&lab.note, &note).unwrap();
    lab.finds_the_right_one();
    fs::remove_dir_all(&kind).unwrap();
    let other = lab.scratch.path("kinds");
    dir_of(&other, 0, 0o700);
    fs::copy(&lab.note, other.join(&lab.name)).unwrap();
    symlink(&other, &kind).unwrap();
    lab.finds_the_right_one();
}

/// What root unpacks belongs to root, also a note from the archive's author: it only has to be
/// moved to the right place.
#[test]
fn a_cache_in_whose_place_others_can_put_another_directory_is_not_used() {
    let Some(lab) = Lab::new() else { return };
    let open = lab.scratch.path("open");
    dir_of(&open, 0, 0o755);
    let unpacked = open.join("unpacked/interpreters");
    fs::create_dir_all(&unpacked).unwrap();
    fs::copy(&lab.note, unpacked.join(&lab.name)).unwrap();
    let cache = open.join("cache");
    dir_of(&cache, 0, 0o700);
    let mut find = lab.scratch.command(&lab.find());
    find.env("RVENV_CACHE_DIR", &cache);
    ended(&mut find).ok();
    let set = |mode| fs::set_permissions(&open, fs::Permissions::from_mode(mode)).unwrap();
    set(0o777);
    let there = open.display();
    stranger_runs(&format!(
        "mv '{there}/cache' '{there}/aside'; mv '{there}/unpacked' '{there}/cache'"
    ));
    let said = ended(&mut find).failed(2);
    let why = format!("other users may write into `{there}` (mode 0777)");
    assert!(said.contains(&why), "{said}");
    assert!(said.contains(&format!("chmod go-w {there}`")), "{said}");
    // The usual one is not used.
    let home = open.join("home");
    dir_of(&home, 0, 0o755);
    fs::create_dir(home.join(".cache")).unwrap();
    stranger_runs(&format!("mv '{there}/home' '{there}/old'"));
    fs::rename(open.join("old"), &home).unwrap();
    fs::rename(&cache, home.join(".cache/rvenv")).unwrap();
    let usual = ended(&mut at_home(&lab.scratch, &home, &lab.find()));
    assert!(!usual.stdout.contains("evil"), "{}", usual.stdout);
    let said = format!("warning: no cache is used: other users may write into `{there}`");
    assert!(usual.stderr.contains(&said), "{}", usual.stderr);
    usual.ok();
    // A group with root as its only member grants nothing to others, and in a sticky directory each
    // user keeps their own entries.
    for mode in [0o775, 0o1777] {
        set(mode);
        let usual = ended(&mut at_home(&lab.scratch, &home, &lab.find()));
        assert!(usual.stdout.contains("evil"), "{mode:o} {}", usual.stdout);
        assert_eq!(usual.stderr, "");
    }
    chown(&open, Some(0), Some(STRANGER)).unwrap();
    set(0o775);
    let usual = ended(&mut at_home(&lab.scratch, &home, &lab.find()));
    assert!(!usual.stdout.contains("evil"), "{}", usual.stdout);
}

/// The bits of the group are the mask of an ACL, whichever group it is.
#[test]
fn a_cache_below_a_directory_that_an_acl_opens_to_another_user_is_not_used() {
    let Some(lab) = Lab::new() else { return };
    let open = lab.scratch.path("open");
    dir_of(&open, 0, 0o755);
    dir_of(&open.join("cache"), 0, 0o700);
    let mut find = lab.scratch.command(&lab.find());
    find.env("RVENV_CACHE_DIR", open.join("cache"));
    ended(&mut find).ok();
    if !gives_acl(&open) {
        println!("skipped: no ACL can be set here");
        return;
    }
    let there = open.display();
    stranger_runs(&format!("mkdir '{there}/theirs'"));
    let said = ended(&mut find).failed(2);
    let why = format!("other users may write into `{there}` (mode 0775)");
    assert!(said.contains(&why), "{said}");
}
