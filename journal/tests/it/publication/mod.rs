//! Publications on a simulated disk, for tests that stop them in the middle.
//!
//! A [`Case`] is one way to publish a small tree; [`Case::disk`] is the disk before it, [`run`]
//! publishes, [`recover`] is the next run, and [`Outcome`] knows which trees the target may hold
//! afterwards.

#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "tests unwrap; the fuzz targets and the mutants share this module"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use rvenv_journal::fs::sim::{Options, SimEntry, SimFs, Support};
use rvenv_journal::fs::{Dir, Flush, Fs, NewFile};
use rvenv_journal::raw::{Decision, Grain, Inspection, RemoveError};
use rvenv_journal::{
    Aftermath, Content, Durability, LinkMode, Mode, NoContent, Node, Operation, Parents, Patience,
    Plan, PlanBuilder, PrepareError, Publication, Published, Ready, ReadyError, Recovered, RelPath,
    Retention, RollbackError, RollbackTerms, StageOptions, Target, Terms, Verdict, inspect,
    observe,
};

pub mod cases;
pub mod entries;
pub mod history;
pub mod user;

/// The directory of the target; the simulated disk has no drives, but a plan for Windows names one.
pub const PARENT: &str = if cfg!(windows) { "C:/p" } else { "/p" };
/// The target.
pub const TARGET: &str = if cfg!(windows) { "C:/p/t" } else { "/p/t" };
/// The lock file of the target, which every run makes anew.
pub(crate) const LOCK: &str = ".t.rvenv.lock";
/// The journal of an undecided publication.
pub const JOURNAL: &str = ".t.rvenv.journal";

/// Everything in a tree that a promise covers, by path.
pub type Tree = BTreeMap<String, SimEntry>;

/// A publication.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: &'static str,
    pub options: Options,
    pub publication: Publication,
    pub terms: Terms,
    pub ending: Ending,
    pub ground: Ground,
    pub verb: Verb,
    /// What a rollback puts aside besides, where the generation has no such entry.
    pub aside: &'static [&'static str],
}

/// The kind of directory that holds the old tree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ground {
    /// An environment that rvenv created.
    Ours,
    /// A directory in which rvenv never published anything.
    Foreign,
    /// The lower layer of an overlay.
    Lower,
}

/// What the run does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verb {
    /// Publishes the plan.
    Publish,
    /// Rolls back: brings back what a publication, which is already on the disk, replaced and kept.
    Rollback,
    /// Rolls forward again, after a publication and a rollback.
    Forward,
    /// Takes the whole target away.
    Remove,
    /// Rolls a removal back.
    Restore,
}

/// What the run does once the tree is published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending {
    Settle,
    Undo,
}

/// How a run ended, as its caller sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Exit {
    Done,
    /// It could not begin, or could not be prepared: the target is unchanged.
    NotBegun,
    Failed(Aftermath),
}

impl Case {
    pub fn of(name: &'static str, publication: Publication) -> Self {
        Self {
            name,
            options: Options::default(),
            publication,
            terms: Terms::default(),
            ending: Ending::Settle,
            ground: Ground::Ours,
            verb: Verb::Publish,
            aside: &[],
        }
    }

    pub fn with_aside(self, aside: &'static [&'static str]) -> Self {
        Self { aside, ..self }
    }

    pub fn on_ground(self, ground: Ground) -> Self {
        Self { ground, ..self }
    }

    /// Keeps what is replaced, and rolls it as `verb` says.
    pub fn rolled(self, verb: Verb) -> Self {
        Self { verb, ..self }.kept()
    }

    /// Takes the target away, whatever its publication is.
    pub fn removed(self) -> Self {
        let verb = Verb::Remove;
        Self { verb, ..self }
    }

    pub fn on(self, options: Options) -> Self {
        Self { options, ..self }
    }

    pub fn undone(self) -> Self {
        let ending = Ending::Undo;
        Self { ending, ..self }
    }

    pub fn kept(mut self) -> Self {
        self.terms.retention = Retention::Keep;
        self
    }

    pub fn file_by_file(mut self) -> Self {
        self.terms.grain = Grain::Files;
        self
    }

    pub fn awaited(mut self) -> Self {
        self.terms.verdict = Verdict::Awaited;
        self
    }

    pub fn unsynced(mut self) -> Self {
        self.terms.durability = Durability::Process;
        self
    }

    /// The disk with the old tree, or none; all of it durable.
    pub fn disk(&self) -> SimFs {
        let disk = SimFs::with(self.options.clone());
        let root = disk.open_path(Path::new("/")).unwrap();
        disk.make_dir(&root, OsStr::new("p"), 0o755).unwrap();
        let parent = disk.open_dir(&root, OsStr::new("p")).unwrap();
        match self.publication {
            Publication::Replace => make_old(&disk, &parent),
            Publication::Merge | Publication::Refill => {
                entries::make_old(&disk, &parent, self.ground);
            }
            Publication::Put | Publication::Nothing => {}
        }
        if self.ground == Ground::Lower {
            disk.seal_lower();
        }
        for verb in self.history() {
            let past = Self {
                verb: *verb,
                ending: Ending::Settle,
                ..self.clone()
            };
            assert_eq!(run(&disk, &past.plan(&disk), &past), Exit::Done, "{past:?}");
        }
        sync_all(&disk, &root);
        // The steps so far do not belong to the run under test.
        disk.killed()
    }

    /// What was done before the run.
    fn history(&self) -> &'static [Verb] {
        match self.verb {
            Verb::Publish | Verb::Remove => &[],
            Verb::Restore => &[Verb::Remove],
            Verb::Rollback => &[Verb::Publish],
            Verb::Forward => &[Verb::Publish, Verb::Rollback],
        }
    }

    /// The plan of the new tree for the current state of a disk.
    pub fn plan(&self, disk: &SimFs) -> Plan {
        if self.publication.is_by_entries() {
            return entries::plan(disk, self.publication);
        }
        let mut builder = PlanBuilder::new(TARGET, Mode::SHARED_DIR).unwrap();
        let mut add = |path: &str, node| {
            let operation = Operation {
                part: "test".into(),
                group: None,
                node,
            };
            builder.add(RelPath::new(path).unwrap(), operation).unwrap();
        };
        let (dir, target) = (Mode::SHARED_DIR, "bin/tool".into());
        add("bin", Node::Dir { mode: dir });
        add("bin/tool", planned_file("new tool"));
        add("cfg", planned_file("new cfg"));
        add("link", Node::Symlink { target });
        let target = open(disk);
        let seen = observe(
            disk,
            target.place(),
            builder.operations(),
            builder.retired(),
        )
        .unwrap();
        let publication = match self.verb {
            // Nothing is there, and a rollback needs no plan.
            Verb::Restore => Publication::Put,
            Verb::Publish | Verb::Rollback | Verb::Forward | Verb::Remove => self.publication,
        };
        builder.finish(seen, publication).unwrap()
    }

    /// The steps of a run in which nothing fails; every stage is called `new-*` in them.
    pub fn steps(&self) -> Vec<String> {
        let disk = self.disk();
        let before = disk.step_count();
        assert_eq!(run(&disk, &self.plan(&disk), self), Exit::Done);
        let steps = disk.steps().split_off(before);
        steps.iter().map(|step| unnumbered(step)).collect()
    }
}

/// The text with every stage named `new-*`, whatever its identity.
fn unnumbered(text: &str) -> String {
    let is_token = |letter: char| letter.is_ascii_digit() || matches!(letter, '-' | '.');
    let mut parts = text.split("new-");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str("new-*");
        plain.push_str(part.trim_start_matches(is_token));
    }
    plain
}

fn planned_file(text: &str) -> Node {
    Node::File {
        mode: Mode::SHARED_FILE,
        mtime: Some(1_700_000_000),
        content: Content::Inline(text.into()),
    }
}

/// Makes the old tree under the target's name.
pub fn make_old(disk: &SimFs, parent: &Dir) {
    disk.make_dir(parent, OsStr::new("t"), 0o750).unwrap();
    let old = disk.open_dir(parent, OsStr::new("t")).unwrap();
    write(disk, &old, "cfg", b"old cfg");
    disk.make_dir(&old, OsStr::new("kept"), 0o700).unwrap();
    let inner = disk.open_dir(&old, OsStr::new("kept")).unwrap();
    disk.make_symlink(&inner, OsStr::new("l"), OsStr::new("../cfg"))
        .unwrap();
}

/// Writes a private file.
pub fn write(disk: &SimFs, dir: &Dir, name: &str, bytes: &[u8]) {
    let file = NewFile {
        mode: 0o600,
        mtime: None,
        bytes,
        flush: Flush::Now,
    };
    disk.write_file(dir, OsStr::new(name), &file).unwrap();
}

fn sync_all(disk: &SimFs, dir: &Dir) {
    for name in disk.list(dir).unwrap() {
        match disk.open_dir(dir, &name) {
            Ok(below) => sync_all(disk, &below),
            Err(_) => drop(disk.sync_file(dir, &name)),
        }
    }
    disk.sync_dir(dir).unwrap();
}

/// Opens the directory of the target.
pub fn parent(disk: &SimFs) -> Dir {
    disk.open_path(Path::new(PARENT)).unwrap()
}

fn open(disk: &SimFs) -> Target<'_> {
    Target::open(disk, Path::new(TARGET), Parents::Require).expect("the parent is durable")
}

/// Recovers where necessary, and locks the target.
pub fn ready(disk: &SimFs) -> Result<(Ready<'_>, Recovered), ReadyError> {
    open(disk).lock("test", &mut |_| Patience::GiveUp)
}

/// What the next run decides and does.
pub fn recover(disk: &SimFs) -> Result<Decision, ReadyError> {
    ready(disk).map(|(_, recovered)| recovered.decision)
}

/// What the next run would do, without doing it.
pub fn inspected(disk: &SimFs) -> Inspection {
    inspect(&open(disk)).unwrap()
}

/// Publishes a plan and ends the publication as the case says.
pub fn run(disk: &SimFs, plan: &Plan, case: &Case) -> Exit {
    run_until(disk, plan, case, &|| false)
}

/// As [`run`], with an interrupt check.
pub fn run_until(disk: &SimFs, plan: &Plan, case: &Case, interrupted: &dyn Fn() -> bool) -> Exit {
    let Ok(target) = Target::open(disk, Path::new(TARGET), Parents::Require) else {
        return Exit::NotBegun;
    };
    let Ok((ready, _)) = target.lock("test", &mut |_| Patience::GiveUp) else {
        return Exit::NotBegun;
    };
    let published = match case.verb {
        Verb::Publish => publish(ready, plan, case, interrupted),
        Verb::Rollback | Verb::Forward | Verb::Restore => roll(ready, case),
        Verb::Remove => remove(ready, case),
    };
    let published = match published {
        Ok(published) => published,
        Err(exit) => return exit,
    };
    let ended = match case.ending {
        Ending::Settle => published.settle(),
        Ending::Undo => published.undo(),
    };
    match ended {
        Ok(_) => Exit::Done,
        Err(failed) => Exit::Failed(failed.aftermath),
    }
}

fn publish<'a>(
    ready: Ready<'a>,
    plan: &'a Plan,
    case: &Case,
    interrupted: &dyn Fn() -> bool,
) -> Result<Published<'a>, Exit> {
    let prepared = ready.prepare(plan, case.terms, &NoContent);
    let prepared = prepared.map_err(|_| Exit::NotBegun)?;
    let options = StageOptions {
        content: &NoContent,
        link_mode: LinkMode::Copy,
        interrupted,
    };
    let staged = prepared.stage(&options);
    let staged = staged.map_err(|failed| Exit::Failed(failed.aftermath))?;
    let published = staged.publish(interrupted);
    published.map_err(|failed| Exit::Failed(failed.aftermath))
}

fn remove<'a>(ready: Ready<'a>, case: &Case) -> Result<Published<'a>, Exit> {
    ready.remove(case.terms).map_err(|error| match error {
        RemoveError::Publish(failed) => Exit::Failed(failed.aftermath),
        RemoveError::Prepare(PrepareError::Disk { .. }) => Exit::NotBegun,
        RemoveError::Absent(_) | RemoveError::Prepare(_) => panic!("{error:?}"),
    })
}

/// Rolls the kept generation back, on the terms of a case.
pub fn roll<'a>(ready: Ready<'a>, case: &Case) -> Result<Published<'a>, Exit> {
    let aside = case.aside.iter().map(|path| RelPath::new(path).unwrap());
    let terms = RollbackTerms {
        aside: aside.collect(),
        ..RollbackTerms::of(case.terms.durability, case.terms.verdict)
    };
    ready.rollback(&terms).map_err(|error| match error {
        RollbackError::Publish(failed) => Exit::Failed(failed.aftermath),
        RollbackError::Disk { .. } => Exit::NotBegun,
        RollbackError::NoGeneration(_)
        | RollbackError::OnlyUndone { .. }
        | RollbackError::NoRecord { .. }
        | RollbackError::Mounted { .. } => panic!("{error:?}"),
    })
}

/// A tree as the promises compare it: of the engine's own directory only the receipt, without its
/// time.
pub fn tree_at(disk: &SimFs, path: &str) -> Tree {
    let mut tree = disk.tree(Path::new(path));
    tree.retain(|path, _| !path.starts_with(".rvenv/") || path == ".rvenv/receipt.json");
    if !tree.contains_key(".rvenv/receipt.json") {
        tree.remove(".rvenv");
    }
    if let Some(SimEntry::File { mtime, .. }) = tree.get_mut(".rvenv/receipt.json") {
        mtime.seconds = 0;
    }
    tree
}

/// A tree as a generation keeps it: its root is closed to the group and others.
pub fn closed(tree: &Tree) -> Tree {
    let mut tree = tree.clone();
    if let Some(SimEntry::Dir { mode }) = tree.get_mut("") {
        *mode &= 0o700;
    }
    tree
}

/// The names beside the target, and those in the engine's directory in it.
pub fn beside(disk: &SimFs) -> Vec<String> {
    let tree = disk.tree(Path::new(PARENT));
    let is_engine_path = |path: &String| path.starts_with("t/.rvenv/");
    let is_empty = tree.contains_key("t/.rvenv") && !tree.keys().any(is_engine_path);
    let empty = is_empty.then(|| "t/.rvenv".to_owned());
    let names = tree.into_keys().filter_map(|path| {
        let is_planned = |name: &str| !name.contains('/') && name != "receipt.json";
        match path.strip_prefix("t/.rvenv/") {
            Some(name) if is_planned(name) => Some(path),
            Some(_) => None,
            None => (!path.contains('/') && !path.is_empty() && path != "t").then_some(path),
        }
    });
    names.chain(empty).collect()
}

/// A number that is equal for disks on which the next runs and the next crashes do the same: what
/// is visible, what is durable, and the boot.
pub(crate) fn likeness(disk: &SimFs) -> u64 {
    let mut hasher = DefaultHasher::new();
    (disk.state_digest(), disk.durable_digest(), disk.boot_id()).hash(&mut hasher);
    hasher.finish()
}

/// Steps, one a line.
pub fn numbered(steps: &[String]) -> String {
    let lines = steps.iter().enumerate();
    lines.fold(String::new(), |mut text, (index, step)| {
        let _infallible = writeln!(text, "{:4} {step}", index + 1);
        text
    })
}

/// The trees that a case may end with.
pub struct Outcome {
    pub old: Tree,
    pub new: Tree,
}

impl Outcome {
    pub fn of(case: &Case) -> Self {
        let disk = case.disk();
        let old = tree_at(&disk, TARGET);
        let mut settled = Case {
            ending: Ending::Settle,
            ..case.clone()
        };
        settled.terms.verdict = Verdict::BySteps;
        assert_eq!(
            run(&disk, &case.plan(&disk), &settled),
            Exit::Done,
            "{}",
            case.name
        );
        let new = tree_at(&disk, TARGET);
        Self { old, new }
    }

    /// What the target is after a run that succeeded.
    pub fn wanted(&self, case: &Case) -> &Tree {
        match case.ending {
            Ending::Settle => &self.new,
            Ending::Undo => &self.old,
        }
    }

    /// I1 and I5: old or new, and no leftover of the engine beside it except what the case keeps.
    pub fn check(&self, case: &Case, disk: &SimFs) -> Result<(), String> {
        self.check_target(disk)?;
        let is_new = tree_at(disk, TARGET) == self.new;
        let mut beside = beside(disk);
        let by_entries = case.publication.is_by_entries();
        let has_generation = match case.verb {
            Verb::Publish | Verb::Remove => is_new,
            Verb::Rollback | Verb::Forward => true,
            Verb::Restore => !is_new,
        };
        if case.terms.retention == Retention::Keep && has_generation {
            let at = if by_entries { "t/.rvenv/" } else { ".t.rvenv." };
            let kept = [format!("{at}old-1"), format!("{at}old-1.journal")];
            beside.retain(|name| !kept.contains(name));
            let other = if is_new { &self.old } else { &self.new };
            if !by_entries && tree_at(disk, "/p/.t.rvenv.old-1") != closed(other) {
                return Err("the kept generation is not the other tree".into());
            }
            check_rolls(case, &disk.killed(), other)?;
        }
        // A power cut may lose part of a put that is not a single rename; the remainder is kept
        // then.
        if case.publication.is_by_entries() && case.options.no_replace == Support::Absent {
            beside.retain(|name| !name.starts_with("t/.rvenv/old-1"));
        }
        if beside.is_empty() {
            return Ok(());
        }
        Err(format!("litter: {beside:?}"))
    }

    /// I1: old or new.
    pub fn check_target(&self, disk: &SimFs) -> Result<(), String> {
        let tree = tree_at(disk, TARGET);
        if tree == self.old || tree == self.new {
            return Ok(());
        }
        let paths: Vec<_> = tree.into_keys().collect();
        Err(format!("neither old nor new: {paths:?}"))
    }

    /// Whether every file of the old tree still exists, in its place or in a slot.
    fn is_somewhere(&self, disk: &SimFs) -> bool {
        let contents = |tree: &Tree| -> BTreeSet<Vec<u8>> {
            let bytes = tree.values().filter_map(|entry| match entry {
                SimEntry::File { bytes, .. } => Some(bytes.to_vec()),
                SimEntry::Dir { .. } | SimEntry::Symlink { .. } | SimEntry::Other { .. } => None,
            });
            bytes.collect()
        };
        let there = contents(&disk.tree(Path::new(TARGET)));
        contents(&self.old).is_subset(&there)
    }

    /// I5: the old tree or the new one is complete, in its place or beside it.
    pub fn check_nothing_is_lost(&self, disk: &SimFs) -> Result<(), String> {
        let names = std::iter::once("t".to_owned()).chain(beside(disk));
        for name in names {
            let tree = tree_at(disk, &format!("{PARENT}/{name}"));
            let wholes = [&self.old, &self.new];
            if wholes
                .iter()
                .any(|whole| tree == **whole || tree == closed(whole))
            {
                return Ok(());
            }
        }
        if self.old.is_empty() || self.is_somewhere(disk) {
            return Ok(());
        }
        Err(format!("no whole tree is left: {:?}", beside(disk)))
    }
}

/// I5: a kept generation can be rolled back, and equals the other tree byte for byte.
fn check_rolls(case: &Case, disk: &SimFs, other: &Tree) -> Result<(), String> {
    let (ready, _) = ready(disk).map_err(|error| format!("{error:?}"))?;
    let rolled = roll(ready, case);
    let rolled = rolled.map_err(|exit| format!("the generation does not roll: {exit:?}"))?;
    rolled.settle().map_err(|error| format!("{error:?}"))?;
    if tree_at(disk, TARGET) != *other {
        return Err("what comes back is not the other tree".into());
    }
    Ok(())
}
