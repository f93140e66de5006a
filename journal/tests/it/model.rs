//! The model: random trees, plans and histories on the real disk, compared with a map.
//!
//! Between publications a user works in the tree: writes, links, sets attributes, changes modes.
//! Each publication is first undone, then settled, rolled back and rolled forward again. Each time
//! the test compares everything: bytes, modes, times, links, attributes, and which object it is
//! (I1, I4, I5). `RVENV_CASES=1000` tries more histories.
//!
//! Read next: `laws.rs`, for laws that need no disk.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "these are tests, which work on a real disk and say what they counted"
)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rvenv_journal::fs::real::RealFs;
use rvenv_journal::raw::{Decision, ENGINE_DIR, Effect, Expected, Observed};
use rvenv_journal::*;

/// The paths of a history; some are inside others.
const PATHS: [&str; 12] = [
    "a", "a/x", "a/y", "b", "b/c", "b/c/z", "d", "d/e", "f", "g", "g/h", "i",
];

/// What a plan shall put at a path.
#[derive(Clone, Debug)]
enum Wish {
    Dir,
    File {
        text: String,
        executable: bool,
        timed: bool,
    },
    Link(String),
}

#[derive(Clone, Debug)]
enum Edit {
    Write(String),
    Mode(u32),
    Attribute(String),
    SecondName(usize),
    Link,
    Dir,
    Remove,
}

#[derive(Clone, Debug)]
enum Act {
    Publish(Publication, BTreeMap<usize, Wish>),
    Work(Vec<(usize, Edit)>),
}

fn wish() -> impl Strategy<Value = Wish> {
    let file = ("[a-c]{0,3}", any::<bool>(), any::<bool>());
    prop_oneof![
        2 => Just(Wish::Dir),
        4 => file.prop_map(|(text, executable, timed)| Wish::File { text, executable, timed }),
        1 => "[a-c]{1,3}".prop_map(Wish::Link),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        3 => "[a-c]{0,3}".prop_map(Edit::Write),
        1 => prop::sample::select(vec![0o600, 0o640, 0o755, 0o700]).prop_map(Edit::Mode),
        2 => "[a-c]{0,3}".prop_map(Edit::Attribute),
        1 => (0..PATHS.len()).prop_map(Edit::SecondName),
        1 => Just(Edit::Link),
        1 => Just(Edit::Dir),
        1 => Just(Edit::Remove),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let way = prop::sample::select(vec![
        Publication::Replace,
        Publication::Merge,
        Publication::Merge,
        Publication::Refill,
    ]);
    let wishes = prop::collection::btree_map(0..PATHS.len(), wish(), 0..8);
    prop_oneof![
        3 => (way, wishes).prop_map(|(way, wishes)| Act::Publish(way, wishes)),
        2 => prop::collection::vec((0..PATHS.len(), edit()), 1..6).prop_map(Act::Work),
    ]
}

/// Everything about one object that a promise covers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Thing {
    mode: u32,
    mtime: (i64, i64),
    content: String,
    attribute: Option<Vec<u8>>,
    inode: u64,
}

type Map = BTreeMap<String, Thing>;

/// Reads a tree, without the engine's directory; empty where none exists.
fn look(root: &Path) -> Map {
    let mut map = Map::new();
    let mut open = vec![(String::new(), root.to_path_buf())];
    while let Some((path, full)) = open.pop() {
        let Ok(meta) = fs::symlink_metadata(&full) else {
            continue;
        };
        let content = if meta.is_symlink() {
            fs::read_link(&full).unwrap().display().to_string()
        } else if meta.is_file() {
            fs::read_to_string(&full).unwrap()
        } else {
            for entry in fs::read_dir(&full).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                if name != ENGINE_DIR {
                    let separator = if path.is_empty() { "" } else { "/" };
                    open.push((format!("{path}{separator}{name}"), full.join(name)));
                }
            }
            "a directory".to_owned()
        };
        let mut value = vec![0; 64];
        let len = rustix::fs::lgetxattr(&full, "user.model", &mut value).ok();
        let attribute = len.map(|len| value.get(..len).unwrap().to_vec());
        let (mode, mtime) = (meta.mode(), (meta.mtime(), meta.mtime_nsec()));
        map.insert(
            path,
            Thing {
                mode,
                mtime,
                content,
                attribute,
                inode: meta.ino(),
            },
        );
    }
    map
}

/// A map without the times of directories: an entry that went and came back changes the time of its
/// directory.
fn but_for_times_of_directories(map: &Map) -> Map {
    let mut map = map.clone();
    let dirs = map
        .values_mut()
        .filter(|thing| thing.content == "a directory");
    dirs.for_each(|thing| thing.mtime = (0, 0));
    map
}

/// One history on one disk.
struct Lab {
    _home: tempfile::TempDir,
    disk: RealFs,
    target: PathBuf,
    /// The files of the last plan, which the next one removes.
    managed: Vec<RelPath>,
}

/// How often something was done.
#[derive(Default)]
struct Counts {
    published: AtomicU64,
    refused: AtomicU64,
    rolled: AtomicU64,
}

impl Lab {
    fn new() -> Self {
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let target = home.path().canonicalize().unwrap().join("t");
        Self {
            _home: home,
            disk: RealFs::new(),
            target,
            managed: Vec::new(),
        }
    }

    fn open(&self) -> Target<'_> {
        Target::open(&self.disk, &self.target, Parents::Require).unwrap()
    }

    fn ready(&self) -> Ready<'_> {
        let (ready, recovered) = self
            .open()
            .lock("model", &mut |_| Patience::GiveUp)
            .unwrap();
        assert_eq!(recovered.decision, Decision::Nothing);
        assert_eq!(recovered.orphans, [""; 0]);
        ready
    }

    /// The plan for what exists now; `None` where the wishes contradict each other.
    fn plan(&self, way: Publication, wishes: &BTreeMap<usize, Wish>) -> Option<Plan> {
        let builder = self.builder(way, wishes);
        let seen = observe(
            &self.disk,
            self.open().place(),
            builder.operations(),
            builder.retired(),
        )
        .unwrap();
        let way = if seen.target == Expected::Absent {
            Publication::Put
        } else {
            way
        };
        let mut builder = builder;
        if way == Publication::Put {
            builder.clear_retired();
        }
        builder.finish(seen, way).ok()
    }

    fn builder(&self, way: Publication, wishes: &BTreeMap<usize, Wish>) -> PlanBuilder {
        let mut builder =
            PlanBuilder::new(self.target.to_str().unwrap(), Mode::SHARED_DIR).unwrap();
        for (index, wish) in wishes {
            let path = RelPath::new(PATHS.get(*index).unwrap()).unwrap();
            let operation = Operation {
                part: "model".into(),
                group: None,
                node: node(wish),
            };
            // A path below a planned file cannot be part of the plan.
            let _refused = builder
                .add_parents(&path, "model", None, Mode::SHARED_DIR)
                .and_then(|()| builder.add(path, operation));
        }
        if let Ok(meta) = fs::metadata(&self.target)
            && way.is_by_entries()
        {
            builder.adopt_root_mode(Mode::new(meta.mode() & 0o777).unwrap());
        }
        if way == Publication::Merge {
            let gone = self
                .managed
                .iter()
                .filter(|path| !builder.operations().contains_key(*path))
                .cloned();
            let gone: Vec<_> = gone.collect();
            for path in gone {
                builder.retire(path).unwrap();
            }
        }
        builder
    }

    /// Publishes; `None` if the engine refused, which leaves everything unchanged.
    fn publish<'a>(&'a self, plan: &'a Plan) -> Option<Published<'a>> {
        // Other tests cover power cuts; syncing would take long on a real disk.
        let terms = Terms {
            durability: Durability::Process,
            retention: Retention::Keep,
            ..Terms::default()
        };
        let options = StageOptions {
            content: &NoContent,
            link_mode: LinkMode::Copy,
            interrupted: &|| false,
        };
        let prepared = self.ready().prepare(plan, terms, &NoContent).ok()?;
        Some(
            prepared
                .stage(&options)
                .unwrap()
                .publish(&|| false)
                .unwrap(),
        )
    }

    /// Rolls back to what was replaced, or forward again.
    fn roll(&self) {
        let terms = RollbackTerms::of(Durability::Process, Verdict::BySteps);
        self.ready().rollback(&terms).unwrap().settle().unwrap();
    }

    fn work(&self, path: &str, edit: &Edit) {
        let at = self.target.join(path);
        // An edit that is impossible there is skipped.
        let _done = match edit {
            Edit::Write(text) => fs::write(&at, text),
            Edit::Mode(mode) if !at.is_symlink() => {
                fs::set_permissions(&at, fs::Permissions::from_mode(*mode))
            }
            Edit::Mode(_) => Ok(()),
            Edit::Attribute(value) => {
                let set = rustix::fs::lsetxattr(
                    &at,
                    "user.model",
                    value.as_bytes(),
                    rustix::fs::XattrFlags::empty(),
                );
                set.map_err(Into::into)
            }
            Edit::SecondName(index) => {
                fs::hard_link(&at, self.target.join(PATHS.get(*index).unwrap()))
            }
            Edit::Link => symlink("somewhere", &at),
            Edit::Dir => fs::create_dir_all(&at),
            Edit::Remove => fs::remove_file(&at),
        };
    }
}

fn node(wish: &Wish) -> Node {
    match wish {
        Wish::Dir => Node::Dir {
            mode: Mode::SHARED_DIR,
        },
        Wish::Link(target) => Node::Symlink {
            target: target.clone(),
        },
        Wish::File {
            text,
            executable,
            timed,
        } => {
            // A file with a planned time counts as unchanged if its length and time are equal, so
            // other bytes get another time.
            let time = 1_000_000_000
                + text
                    .bytes()
                    .fold(0, |sum, byte| sum * 256 + i64::from(byte))
                    % 100_000_000;
            Node::File {
                mode: if *executable {
                    Mode::SHARED_DIR
                } else {
                    Mode::SHARED_FILE
                },
                mtime: timed.then_some(time),
                content: Content::Inline(text.clone().into_bytes()),
            }
        }
    }
}

/// What the target must hold after a publication. `None` where something else replaces a directory:
/// whether that is refused depends on unplanned files in it.
fn expected(before: &Map, plan: &Plan) -> Option<BTreeMap<String, Expectation>> {
    let keeps = plan.publication() == Publication::Merge;
    let mut map: BTreeMap<String, Expectation> = BTreeMap::new();
    if keeps {
        let retired =
            |path: &String| RelPath::new(path).is_ok_and(|path| plan.retired().contains(&path));
        let stays = before.iter().filter(|(path, _)| !retired(path));
        map.extend(stays.map(|(path, thing)| (path.clone(), Expectation::Same(thing.clone()))));
    } else {
        map.insert(
            String::new(),
            Expectation::Planned(Node::Dir {
                mode: plan.root_mode(),
            }),
        );
    }
    for (path, operation, effect) in plan.effects() {
        let old = before.get(path.as_str());
        let was_dir = old.is_some_and(|thing| thing.content == "a directory");
        let is_dir = matches!(operation.node, Node::Dir { .. });
        if keeps && was_dir && !is_dir {
            return None;
        }
        if !(keeps && (effect == Effect::Keep || was_dir)) {
            map.insert(
                path.to_string(),
                Expectation::Planned(operation.node.clone()),
            );
        }
    }
    Some(map)
}

#[derive(Clone, Debug)]
enum Expectation {
    Same(Thing),
    Planned(Node),
}

impl Expectation {
    fn check(&self, path: &str, found: &Thing) {
        let bits = found.mode & 0o777;
        match self {
            Self::Same(thing) => {
                let same = (thing.mode, &thing.content, &thing.attribute, thing.inode);
                assert_eq!(
                    same,
                    (found.mode, &found.content, &found.attribute, found.inode),
                    "{path}"
                );
            }
            Self::Planned(Node::Dir { mode }) => assert_eq!(
                (bits, found.content.as_str()),
                (mode.bits(), "a directory"),
                "{path}"
            ),
            Self::Planned(Node::Symlink { target }) => assert_eq!(found.content, *target, "{path}"),
            Self::Planned(Node::File {
                mode,
                mtime,
                content: Content::Inline(bytes),
            }) => {
                assert_eq!(
                    (bits, found.content.as_bytes()),
                    (mode.bits(), bytes.as_slice()),
                    "{path}"
                );
                assert!(
                    mtime.is_none_or(|mtime| found.mtime == (mtime, 0)),
                    "{path}: {found:?}"
                );
            }
            Self::Planned(node @ Node::File { .. }) => panic!("not planned: {node:?}"),
        }
    }
}

fn check_published(lab: &Lab, before: &Map, plan: &Plan) {
    let found = look(&lab.target);
    let Some(map) = expected(before, plan) else {
        return;
    };
    let paths = |keys: Vec<&String>| keys.into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(
        paths(found.keys().collect()),
        paths(map.keys().collect()),
        "{plan:?}"
    );
    for (path, expectation) in map {
        expectation.check(&path, found.get(&path).unwrap());
    }
}

/// The laws of one publication.
fn publish(lab: &mut Lab, counts: &Counts, way: Publication, wishes: &BTreeMap<usize, Wish>) {
    let before = look(&lab.target);
    let Some(plan) = lab.plan(way, wishes) else {
        return;
    };
    let same = |map: &Map| {
        if way == Publication::Replace {
            map.clone()
        } else {
            but_for_times_of_directories(map)
        }
    };
    // The text and the digest are the same each time a plan is made or read.
    assert_eq!(lab.plan(way, wishes).unwrap().digest(), plan.digest());
    assert_eq!(
        Plan::from_json(plan.to_json().as_bytes()).unwrap().digest(),
        plan.digest()
    );
    let Some(published) = lab.publish(&plan) else {
        // The engine may have made its own directory, and removed it again.
        assert_eq!(
            same(&before),
            same(&look(&lab.target)),
            "refused, and changed"
        );
        counts.refused.fetch_add(1, Ordering::Relaxed);
        return;
    };
    published.undo().unwrap();
    assert_eq!(
        same(&before),
        same(&look(&lab.target)),
        "undo ∘ publish is the identity"
    );
    let Some(published) = lab.publish(&plan) else {
        panic!("it was published a moment ago")
    };
    let kept = published.settle().unwrap().kept;
    check_published(lab, &before, &plan);
    let files = plan
        .operations()
        .iter()
        .filter(|(_, operation)| !matches!(operation.node, Node::Dir { .. }));
    let managed = files.map(|(path, _)| path.clone()).collect();
    counts.published.fetch_add(1, Ordering::Relaxed);
    check_nothing_to_do(lab, wishes);
    if kept.is_some() {
        let after = look(&lab.target);
        lab.roll();
        assert_eq!(
            same(&before),
            same(&look(&lab.target)),
            "roll back ∘ publish is the identity"
        );
        if way != Publication::Refill {
            // The engine's own directory may be new, and a refill lists it among the names that it
            // expects.
            assert_eq!(
                lab.plan(way, wishes).unwrap().digest(),
                plan.digest(),
                "what came back gets the same plan"
            );
        }
        lab.roll();
        assert_eq!(same(&after), same(&look(&lab.target)), "forward again");
        counts.rolled.fetch_add(2, Ordering::Relaxed);
    }
    lab.managed = managed;
}

/// plan(apply(plan)) has nothing to do; directories that stay keep their mode.
fn check_nothing_to_do(lab: &Lab, wishes: &BTreeMap<usize, Wish>) {
    let builder = lab.builder(Publication::Nothing, wishes);
    let seen = observe(
        &lab.disk,
        lab.open().place(),
        builder.operations(),
        builder.retired(),
    )
    .unwrap();
    for (path, effect) in builder.effects(&seen) {
        let is_dir = matches!(seen.paths.get(path), Some(Observed::Dir { .. }));
        assert!(
            effect == Effect::Keep || is_dir,
            "{path}: {effect:?}, {:?}",
            seen.paths.get(path)
        );
    }
    drop(seen);
}

/// I1, I4, I5: any history ends as the model predicts.
#[test]
fn every_history_is_as_the_model_says() {
    let asked = std::env::var("RVENV_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    let config = ProptestConfig {
        cases: asked.unwrap_or(64),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let counts = Counts::default();
    let history = prop::collection::vec(act(), 1..7);
    let ended = TestRunner::new(config).run(&history, |history| {
        let mut lab = Lab::new();
        for act in history {
            match act {
                Act::Publish(way, wishes) => publish(&mut lab, &counts, way, &wishes),
                Act::Work(edits) => edits
                    .iter()
                    .for_each(|(index, edit)| lab.work(PATHS.get(*index).unwrap(), edit)),
            }
        }
        Ok(())
    });
    let [published, refused, rolled] = [&counts.published, &counts.refused, &counts.rolled]
        .map(|count| count.load(Ordering::Relaxed));
    println!("{published} publications, {rolled} rollbacks, {refused} refused");
    ended.unwrap_or_else(|error| panic!("{error}"));
    assert!(
        published > 20 && rolled > 20,
        "too few publications or rollbacks"
    );
}

/// This disk stores the attribute, so comparing it proves something.
#[test]
fn attributes_are_seen_here() {
    let lab = Lab::new();
    fs::write(&lab.target, "").unwrap();
    lab.work("", &Edit::Attribute("x".to_owned()));
    let seen = look(&lab.target);
    if seen.values().all(|thing| thing.attribute.is_none()) {
        println!("skipped: this disk keeps no attributes");
        return;
    }
    assert_eq!(
        OsStr::from_bytes(seen.get("").unwrap().attribute.as_ref().unwrap()),
        "x"
    );
}
