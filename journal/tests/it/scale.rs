//! Scale: the cost of a hundred thousand operations, and that the cost of a change depends only on
//! the change.
//!
//! The tests count calls of the disk instead of time, since clocks of busy machines prove nothing.
//! They measure memory in a child process. Read next: `counted/mod.rs`, which counts.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests start themselves as processes of their own, and make files by hand"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::counted::{Calls, Counted};
use rvenv_journal::fs::Dir;
use rvenv_journal::raw::Grain;
use rvenv_journal::{
    Content, ContentError, ContentSource, Digest, Durability, Fetched, Fs, LinkMode, Mode,
    NoContent, Node, Operation, Parents, Patience, Plan, PlanBuilder, Publication, Ready, Receipt,
    RelPath, Retention, RollbackTerms, StageOptions, Target, Terms, Verdict, Wanted, drift,
    observe,
};

/// Tells a child process which part it plays, and where.
const PART: &str = "RVENV_SCALE_PART";
const FILES_PER_DIR: usize = 50;

/// A few objects; each file of a plan is a link to one of them.
struct Objects {
    dir: Dir,
}

impl Objects {
    const COUNT: usize = 8;

    fn text(number: usize) -> String {
        format!("object {}\n", number % Self::COUNT)
    }

    fn make(fs: &dyn Fs, place: &Path) -> Self {
        let path = place.join("objects");
        fs::create_dir_all(&path).unwrap();
        for number in 0..Self::COUNT {
            let text = Self::text(number);
            let name = Digest::of(text.as_bytes()).to_string();
            fs::write(path.join(name), text).unwrap();
        }
        Self {
            dir: fs.open_path(&path).unwrap(),
        }
    }
}

impl ContentSource for Objects {
    fn fetch(&self, wanted: &Wanted) -> Result<Fetched, ContentError> {
        Ok(Fetched::Stored {
            dir: self.dir.clone(),
            name: wanted.digest.to_string().into(),
            custody: None,
        })
    }
}

/// What the files of a plan contain.
#[derive(Clone, Copy)]
enum Files {
    /// Links to objects of the store.
    Objects,
    /// Each its own text.
    Own(&'static str),
}

/// Plans `count` files, in directories of a few, each of which is planned by itself.
fn draft(target: &Path, count: usize, files: Files) -> PlanBuilder {
    let mut draft = PlanBuilder::new(target.to_str().unwrap(), Mode::SHARED_DIR).unwrap();
    let site = RelPath::new("lib/site").unwrap();
    let below = site.join("x").unwrap();
    draft
        .add_parents(&below, "test", None, Mode::SHARED_DIR)
        .unwrap();
    for number in 0..count {
        let dir = number / FILES_PER_DIR;
        let path = site.join(&format!("dir-{dir:05}/module_number_{number:06}.py"));
        let path = path.unwrap();
        let group = format!("package-{dir}");
        draft
            .add_parents(&path, "test", Some(&group), Mode::SHARED_DIR)
            .unwrap();
        let content = match files {
            Files::Own(text) => Content::Inline(text.into()),
            Files::Objects => {
                let text = Objects::text(number);
                Content::Object {
                    digest: Digest::of(text.as_bytes()),
                    len: text.len() as u64,
                }
            }
        };
        let operation = Operation {
            part: "test".into(),
            group: Some(group.into()),
            node: Node::File {
                mode: Mode::SHARED_FILE,
                mtime: None,
                content,
            },
        };
        draft.add(path, operation).unwrap();
    }
    draft
}

fn ready<'a>(fs: &'a dyn Fs, target: &Path) -> Ready<'a> {
    let target = Target::open(fs, target, Parents::Require).unwrap();
    let mut pause = |_: &str| Patience::GiveUp;
    target.lock("test", &mut pause).unwrap().0
}

fn finish(ready: &Ready<'_>, draft: PlanBuilder, publication: Publication) -> Plan {
    let target = ready.target();
    let (operations, retired) = (draft.operations(), draft.retired());
    let seen = observe(target.disk(), target.place(), operations, retired).unwrap();
    draft.finish(seen, publication).unwrap()
}

fn terms(retention: Retention) -> Terms {
    Terms {
        durability: Durability::Process,
        retention,
        ..Terms::default()
    }
}

fn options(content: &dyn ContentSource) -> StageOptions<'_> {
    StageOptions {
        content,
        link_mode: LinkMode::Hardlink,
        interrupted: &|| false,
    }
}

/// Publishes a draft over the current target.
fn publish(
    fs: &dyn Fs,
    target: &Path,
    draft: PlanBuilder,
    (publication, terms): (Publication, Terms),
) {
    let ready = ready(fs, target);
    let plan = finish(&ready, draft, publication);
    let prepared = ready.prepare(&plan, terms, &NoContent).unwrap();
    let staged = prepared.stage(&options(&NoContent)).unwrap();
    let ending = staged.publish(&|| false).unwrap().settle().unwrap();
    assert_eq!(ending.leftovers.count, 0);
}

fn rollback(fs: &dyn Fs, target: &Path) {
    let terms = RollbackTerms::of(Durability::Process, Verdict::BySteps);
    let published = ready(fs, target).rollback(&terms).unwrap();
    published.settle().unwrap();
}

fn verify(fs: &dyn Fs, target: &Path) {
    let text = fs::read(target.join(".rvenv/receipt.json")).unwrap();
    let receipt = Receipt::from_json(&text).unwrap();
    drop(text);
    let root = fs.open_path(target).unwrap();
    assert_eq!(drift(fs, &root, &receipt).unwrap(), []);
}

/// The place where this process plays the named part, if it is a child process.
fn part(name: &str) -> Option<PathBuf> {
    let text = std::env::var(PART).ok()?;
    let (part, place) = text.split_once(':')?;
    (part == name).then(|| PathBuf::from(place))
}

/// Runs one test of this binary in a child process, under a `ulimit` of the shell, and returns its
/// output.
fn child(test: &str, limit: &str, place: &Path) -> String {
    let ended = Command::new("sh")
        .arg("-c")
        .arg(format!("{limit} exec \"$0\" \"$@\""))
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("scale::{test}"),
            "--nocapture",
            "--test-threads=1",
        ])
        .env(PART, format!("{test}:{}", place.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    let why = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}{why}");
    said
}

/// A tmpfs is quicker than a disk, and its pages do not count for this process.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    made.or_else(|_| tempfile::tempdir()).unwrap()
}

/// The peak resident memory of this process, in megabytes.
fn memory_max() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1024)
}

#[test]
fn a_hundred_thousand_operations_need_at_most_a_hundred_megabytes() {
    const NAME: &str = "a_hundred_thousand_operations_need_at_most_a_hundred_megabytes";
    let Some(place) = part(NAME) else {
        if memory_max().is_none() {
            println!("skipped: this system does not say how much memory was used");
            return;
        }
        let place = scratch();
        let said = child(NAME, "", place.path());
        let used = said.split_once("used ").unwrap().1;
        let used: u64 = used.split_whitespace().next().unwrap().parse().unwrap();
        assert!(used <= 100, "{used} MB");
        return;
    };
    let fs = Counted::new();
    let target = place.join("t");
    let objects = Objects::make(&fs, &place);
    let saved = place.join("plan");
    let ready_to_make = ready(&fs, &target);
    let draft_of_all = draft(&target, 98_000, Files::Objects);
    let plan = finish(&ready_to_make, draft_of_all, Publication::Put);
    assert!(plan.operations().len() > 99_900);
    let file = fs::File::create(&saved).unwrap();
    plan.write_json(std::io::BufWriter::new(file)).unwrap();
    drop(plan);
    let plan = Plan::from_json(&fs::read(&saved).unwrap()).unwrap();
    let prepared = ready_to_make
        .prepare(&plan, terms(Retention::Keep), &objects)
        .unwrap();
    let staged = prepared.stage(&options(&objects)).unwrap();
    staged.publish(&|| false).unwrap().settle().unwrap();
    drop(plan);
    verify(&fs, &target);
    // Over the whole tree: every path exists already.
    let ready_to_clear = ready(&fs, &target);
    let draft_of_all = draft(&target, 98_000, Files::Objects);
    let plan = finish(&ready_to_clear, draft_of_all, Publication::Replace);
    let prepared = ready_to_clear
        .prepare(&plan, terms(Retention::Keep), &objects)
        .unwrap();
    let staged = prepared.stage(&options(&objects)).unwrap();
    staged.publish(&|| false).unwrap().settle().unwrap();
    drop(plan);
    rollback(&fs, &target);
    println!("used {}", memory_max().unwrap());
}

/// The calls that each transaction makes over an environment of this many files.
fn calls(count: usize) -> BTreeMap<&'static str, Calls> {
    let place = scratch();
    let fs = Counted::new();
    let target = place.path().join("t");
    let mut found = BTreeMap::new();
    let all = |text| draft(&target, count, Files::Own(text));
    let keep = terms(Retention::Keep);
    publish(&fs, &target, all("one"), (Publication::Put, keep));
    found.insert("put", fs.take());
    verify(&fs, &target);
    found.insert("verify", fs.take());
    publish(&fs, &target, all("two"), (Publication::Replace, keep));
    found.insert("swap", fs.take());
    rollback(&fs, &target);
    found.insert("rollback of a swap", fs.take());
    publish(&fs, &target, all("three"), (Publication::Merge, keep));
    found.insert("merge of packages", fs.take());
    let files = Terms {
        grain: Grain::Files,
        ..keep
    };
    publish(&fs, &target, all("four!"), (Publication::Merge, files));
    found.insert("merge of files", fs.take());
    rollback(&fs, &target);
    found.insert("rollback of a merge", fs.take());
    let discard = terms(Retention::Discard);
    publish(&fs, &target, all("five"), (Publication::Refill, discard));
    found.insert("refill", fs.take());
    publish(
        &fs,
        &target,
        draft(&target, 0, Files::Objects),
        (Publication::Replace, discard),
    );
    found.insert("clear", fs.take());
    found
}

#[test]
fn every_transaction_calls_the_disk_as_often_as_there_are_files() {
    let [small, middle, large] = [200, 400, 800].map(calls);
    for (transaction, large) in &large {
        for (verb, large) in large {
            let of =
                |calls: &BTreeMap<&str, Calls>| calls[transaction].get(verb).copied().unwrap_or(0);
            let (small, middle) = (of(&small), of(&middle));
            let (first, second) = (middle - small, large - middle);
            assert_eq!(
                second,
                2 * first,
                "{transaction}, {verb}: {small} {middle} {large}"
            );
        }
    }
}

/// A plan of three files, for an existing target.
fn small_change(target: &Path, text: &'static str) -> PlanBuilder {
    draft(target, 3, Files::Own(text))
}

#[test]
fn a_small_change_costs_the_same_in_an_environment_of_any_size() {
    let calls = |strangers: usize| {
        let place = scratch();
        let fs = Counted::new();
        let target = place.path().join("t");
        let keep = terms(Retention::Keep);
        let put = (Publication::Put, keep);
        publish(&fs, &target, small_change(&target, "one"), put);
        // Paths before, after and deep below the planned ones.
        for dir in ["aaa", "zzz", "zzz/deep/er"] {
            let dir = target.join("lib/site").join(dir);
            fs::create_dir_all(&dir).unwrap();
            for number in 0..strangers {
                fs::write(dir.join(number.to_string()), "x").unwrap();
            }
        }
        fs.take();
        let change = || small_change(&target, "two");
        publish(&fs, &target, change(), (Publication::Merge, keep));
        rollback(&fs, &target);
        let merged = fs.take();
        publish(&fs, &target, change(), (Publication::Replace, keep));
        rollback(&fs, &target);
        (merged, fs.take())
    };
    assert_eq!(calls(0), calls(300));
}

/// Any thread may meet a fault; the error is the same.
#[test]
fn what_cannot_be_deleted_is_named_by_its_path_whichever_thread_met_it() {
    for _ in 0..4 {
        let place = scratch();
        let mut fs = Counted::new();
        let target = place.path().join("t");
        let all = draft(&target, 1_500, Files::Own("x"));
        publish(
            &fs,
            &target,
            all,
            (Publication::Put, terms(Retention::Keep)),
        );
        for dir in 5..30 {
            let dir = target.join(format!("lib/site/dir-{dir:05}"));
            fs::write(dir.join("stays"), "").unwrap();
        }
        fs.stays = Some("stays");
        let ready = ready(&fs, &target);
        let nothing = draft(&target, 0, Files::Own(""));
        let plan = finish(&ready, nothing, Publication::Replace);
        let discard = terms(Retention::Discard);
        let prepared = ready.prepare(&plan, discard, &NoContent).unwrap();
        let staged = prepared.stage(&options(&NoContent)).unwrap();
        let ending = staged.publish(&|| false).unwrap().settle().unwrap();
        // 25 files, their directories, and the three directories above.
        assert_eq!(ending.leftovers.count, 25 + 25 + 3);
        let first = ending.leftovers.first.unwrap();
        assert_eq!((first.verb, first.name.as_str()), ("remove", "stays"));
        let trash = fs::read_dir(place.path()).unwrap();
        let mut trash = trash.map(|entry| entry.unwrap().path());
        let trash = trash.find(|path| path.to_string_lossy().contains(".trash-"));
        let left = fs::read_dir(trash.unwrap().join("lib/site")).unwrap();
        assert_eq!(left.count(), 25);
    }
}

#[test]
fn a_tree_that_is_deeper_than_there_are_descriptors_is_deleted() {
    const NAME: &str = "a_tree_that_is_deeper_than_there_are_descriptors_is_deleted";
    let Some(place) = part(NAME) else {
        let place = scratch();
        child(NAME, "ulimit -n 64 &&", place.path());
        return;
    };
    let fs = Counted::new();
    let target = place.join("t");
    fs::create_dir(&target).unwrap();
    let mut at = fs.open_path(&target).unwrap();
    for _ in 0..2_000 {
        for name in ["wide", "deep"] {
            fs.make_dir(&at, name.as_ref(), 0o755).unwrap();
        }
        at = fs.open_dir(&at, "deep".as_ref()).unwrap();
    }
    drop(at);
    let discard = terms(Retention::Discard);
    let nothing = draft(&target, 0, Files::Own(""));
    publish(&fs, &target, nothing, (Publication::Replace, discard));
    assert_eq!(fs::read_dir(&place).unwrap().count(), 1);
}
