//! Links out of a store on a real disk, made by a second thread: one object vanishes, another
//! reaches the link limit of the filesystem. The engine gets the content in another way, or the run
//! fails and names what is missing (I1).
//!
//! The filesystem limits how many names a file can have: ext4 allows 65,000, tmpfs has no limit,
//! and the test skips there. Read next: `../src/staging/links.rs`.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests unwrap, and make files by hand"
)]

use std::cell::RefCell;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rvenv_journal::fs::real::RealFs;
use rvenv_journal::raw::StageCounts;
use rvenv_journal::{
    Aftermath, Content, ContentError, ContentSource, Digest, Durability, Fetched, Fs, LinkMode,
    Mode, Node, Operation, Parents, Patience, Plan, PlanBuilder, Publication, RelPath, StageFailed,
    StageOptions, Target, Terms, Verdict, Wanted, observe,
};

/// Enough links that the engine starts a second thread.
const COUNT: usize = 100;
/// An object in the middle of a batch, which still waits when the next object is fetched.
const CHOSEN: usize = 20;
/// More names than ext4 allows for a file; a test makes no more where there is no limit.
const NAMES_MAX: usize = 66_000;

/// A store in which one object vanishes after it was handed out.
struct Objects<'a> {
    fs: &'a RealFs,
    path: PathBuf,
    vanishes: bool,
    /// Whether the bytes of the vanished object are still available.
    has_bytes: bool,
    fetched: RefCell<Vec<Digest>>,
}

fn text(number: usize) -> String {
    format!("object {number}\n")
}

fn digest(number: usize) -> Digest {
    Digest::of(text(number).as_bytes())
}

impl<'a> Objects<'a> {
    fn make(fs: &'a RealFs, place: &Path) -> Self {
        let path = place.join("objects");
        fs::create_dir(&path).unwrap();
        for number in 0..COUNT {
            let object = path.join(digest(number).to_string());
            fs::write(&object, text(number)).unwrap();
            fs::set_permissions(&object, fs::Permissions::from_mode(0o644)).unwrap();
        }
        Self {
            fs,
            path,
            vanishes: false,
            has_bytes: true,
            fetched: RefCell::default(),
        }
    }

    fn chosen(&self) -> PathBuf {
        self.path.join(digest(CHOSEN).to_string())
    }
}

impl ContentSource for Objects<'_> {
    fn fetch(&self, wanted: &Wanted) -> Result<Fetched, ContentError> {
        // The object that was fetched before this one is handed out by now.
        if self.vanishes && self.fetched.borrow().last() == Some(&digest(CHOSEN)) {
            fs::remove_file(self.chosen()).unwrap();
        }
        self.fetched.borrow_mut().push(wanted.digest);
        Ok(Fetched::Stored {
            dir: self.fs.open_path(&self.path).unwrap(),
            name: wanted.digest.to_string().into(),
            custody: None,
        })
    }

    fn fetch_bytes(&self, wanted: &Wanted) -> Result<Vec<u8>, ContentError> {
        assert_eq!(wanted.digest, digest(CHOSEN), "the others are there");
        if self.has_bytes {
            return Ok(text(CHOSEN).into());
        }
        Err(ContentError::Unknown(wanted.digest))
    }
}

fn name(number: usize) -> String {
    format!("file-{number:03}")
}

fn plan(target: &Target<'_>, path: &Path) -> Plan {
    let mut draft = PlanBuilder::new(path.to_str().unwrap(), Mode::SHARED_DIR).unwrap();
    for number in 0..COUNT {
        let operation = Operation {
            part: "test".into(),
            group: None,
            node: Node::File {
                mode: Mode::SHARED_FILE,
                mtime: None,
                content: Content::Object {
                    digest: digest(number),
                    len: text(number).len() as u64,
                },
            },
        };
        let path = RelPath::new(&name(number)).unwrap();
        draft.add(path, operation).unwrap();
    }
    let (operations, retired) = (draft.operations(), draft.retired());
    let seen = observe(target.disk(), target.place(), operations, retired).unwrap();
    draft.finish(seen, Publication::Put).unwrap()
}

/// Publishes all objects as `place/t`, and checks that a failed run leaves nothing behind.
fn publish(objects: &Objects<'_>, place: &Path) -> Result<StageCounts, StageFailed> {
    let path = place.join("t");
    let target = Target::open(objects.fs, &path, Parents::Require).unwrap();
    let plan = plan(&target, &path);
    let (ready, _) = target.lock("test", &mut |_| Patience::GiveUp).unwrap();
    let terms = Terms {
        durability: Durability::Process,
        ..Terms::default()
    };
    let prepared = ready.prepare(&plan, terms, objects).unwrap();
    let staged = prepared.stage(&StageOptions {
        content: objects,
        link_mode: LinkMode::Hardlink,
        interrupted: &|| false,
    })?;
    let counts = staged.counts();
    staged.publish(&|| false).unwrap().settle().unwrap();
    for number in 0..COUNT {
        let found = fs::read_to_string(path.join(name(number))).unwrap();
        assert_eq!(found, text(number));
    }
    Ok(counts)
}

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = place.path().canonicalize().unwrap();
    (place, path)
}

/// I1: an object that is deleted between its look-up and its link is written from its bytes.
#[test]
fn an_object_that_vanishes_before_its_link_is_written() {
    let (_place, path) = scratch();
    let disk = RealFs::new();
    let mut objects = Objects::make(&disk, &path);
    objects.vanishes = true;
    let counts = publish(&objects, &path).unwrap();
    assert!(!objects.chosen().exists());
    assert_eq!((counts.linked, counts.written), (COUNT as u64 - 1, 1));
    assert_eq!(counts.copied, 0);
}

/// I1: when its bytes are gone too, the error names the file, and the target is unchanged.
#[test]
fn an_object_that_vanishes_for_good_ends_the_run_and_is_named() {
    let (_place, path) = scratch();
    let disk = RealFs::new();
    let mut objects = Objects::make(&disk, &path);
    (objects.vanishes, objects.has_bytes) = (true, false);
    let failed = publish(&objects, &path).unwrap_err();
    assert_eq!(failed.aftermath, Aftermath::Unchanged);
    let told = failed.source.to_string();
    assert_eq!(told, format!("cannot stage `{}`", name(CHOSEN)));
    let why = std::error::Error::source(&failed.source).unwrap();
    assert!(
        why.to_string().contains(&digest(CHOSEN).to_string()),
        "{why}"
    );
    let left = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let ours = left.filter(|name| name != "objects");
    assert_eq!(ours.collect::<Vec<_>>(), [""; 0], "there is litter");
}

/// I1: an object at the link limit is copied, and the others are still linked.
#[test]
fn an_object_with_too_many_names_is_copied() {
    let (_place, path) = scratch();
    let disk = RealFs::new();
    let objects = Objects::make(&disk, &path);
    let names = path.join("names");
    fs::create_dir(&names).unwrap();
    let refused = (0..NAMES_MAX).find_map(|number| {
        let linked = fs::hard_link(objects.chosen(), names.join(number.to_string()));
        linked.err()
    });
    let Some(error) = refused else {
        println!("skipped: a file can have {NAMES_MAX} names here");
        return;
    };
    assert_eq!(error.kind(), ErrorKind::TooManyLinks, "{error}");
    let counts = publish(&objects, &path).unwrap();
    assert_eq!((counts.linked, counts.copied), (COUNT as u64 - 1, 1));
    assert_eq!(counts.written, 0);
    let number = |path: PathBuf| fs::metadata(path).unwrap().ino();
    let chosen = path.join("t").join(name(CHOSEN));
    assert_eq!(fs::metadata(&chosen).unwrap().nlink(), 1);
    assert_ne!(number(chosen), number(objects.chosen()));
}

/// A file of a group that stays the same is moved with it. Where the staged file is a link to the
/// one that it would replace, its step is left out, and an undo still knows its slot.
#[test]
fn an_undo_leaves_nothing_of_a_link_to_the_file_that_it_would_replace() {
    let (_place, path) = scratch();
    let disk = RealFs::new();
    let objects = Objects::make(&disk, &path);
    publish(&objects, &path).unwrap();
    let path = path.join("t");
    let target = Target::open(&disk, &path, Parents::Require).unwrap();
    let mut draft = PlanBuilder::new(path.to_str().unwrap(), Mode::SHARED_DIR).unwrap();
    for (at, number) in [(0, 0), (1, 2)] {
        let content = Content::Object {
            digest: digest(number),
            len: text(number).len() as u64,
        };
        let operation = Operation {
            part: "test".into(),
            group: Some("group".into()),
            node: Node::File {
                mode: Mode::SHARED_FILE,
                mtime: None,
                content,
            },
        };
        draft
            .add(RelPath::new(&name(at)).unwrap(), operation)
            .unwrap();
    }
    let seen = observe(&disk, target.place(), draft.operations(), draft.retired()).unwrap();
    let plan = draft.finish(seen, Publication::Merge).unwrap();
    let (ready, _) = target.lock("test", &mut |_| Patience::GiveUp).unwrap();
    let terms = Terms {
        durability: Durability::Process,
        verdict: Verdict::Awaited,
        ..Terms::default()
    };
    let prepared = ready.prepare(&plan, terms, &objects).unwrap();
    let staged = prepared.stage(&StageOptions {
        content: &objects,
        link_mode: LinkMode::Hardlink,
        interrupted: &|| false,
    });
    let published = staged.unwrap().publish(&|| false).unwrap();
    let read = |number| fs::read_to_string(path.join(name(number))).unwrap();
    assert_eq!([read(0), read(1)], [text(0), text(2)]);
    published.undo().unwrap();
    assert_eq!([read(0), read(1)], [text(0), text(1)]);
    let kept = fs::read_dir(path.join(".rvenv")).unwrap();
    let kept: Vec<_> = kept.map(|one| one.unwrap().file_name()).collect();
    assert_eq!(kept, ["receipt.json"]);
}
