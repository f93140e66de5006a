//! Every command that changes an environment, with the states before and after it, for tests that
//! disturb it again and again.
//!
//! A [`Bench`] makes the old state anew, runs the command, and reports which of the two states
//! exists: the tree with every byte, mode and time, the names of what is kept in it and beside it,
//! and the names in the cache. After a switch of the whole tree, the old tree has all its old
//! times; after a change entry by entry, the times of directories do not count. A new tree equals
//! that of another run, except for its times.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

mod action;

use self::action::plan_file;
pub(crate) use self::action::{Action, PACKAGES, done};
use crate::calls::Call;
use crate::trees::{Ended, Lab, Sameness, Tree, compare, copy, end, forget, look};

/// How many commands are disturbed in parallel.
const AT_A_TIME: usize = 4;

/// The state that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Old,
    New,
}

/// A tree, and the names of everything that a run may leave.
#[derive(Debug)]
struct State {
    tree: Tree,
    kept: Vec<PathBuf>,
    cache: Vec<PathBuf>,
}

impl State {
    fn of(lab: &Lab) -> Self {
        let inner = names(&lab.target().join(".rvenv"), 1);
        let mut kept: Vec<PathBuf> = inner
            .into_iter()
            // A change that dies right after its end has no entry in the log.
            .filter(|name| name != Path::new("log"))
            .map(|name| Path::new("E/.rvenv").join(name))
            .collect();
        kept.extend(lab.litter().iter().map(PathBuf::from));
        Self {
            tree: look(&lab.target()),
            kept,
            cache: names(&lab.cache, 5),
        }
    }
}

/// A name of the engine, the same for beside the target and inside it.
fn wherever(path: &Path) -> PathBuf {
    let shown = path.to_string_lossy();
    let bare = shown
        .strip_prefix(".E.rvenv.")
        .or(shown.strip_prefix("E/.rvenv/"));
    PathBuf::from(bare.unwrap_or(&shown))
}

/// The paths below a directory, down to this depth.
fn names(dir: &Path, depth: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for one in fs::read_dir(dir).into_iter().flatten() {
        let one = one.unwrap();
        let name = PathBuf::from(one.file_name());
        if depth > 1 && one.file_type().unwrap().is_dir() {
            let below = names(&one.path(), depth - 1);
            found.extend(below.iter().map(|below| name.join(below)));
        }
        found.push(name);
    }
    found.sort();
    found
}

/// A command that is disturbed again and again.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) lab: Lab,
    /// The root of the lab.
    pub(crate) home: PathBuf,
    pub(crate) action: Action,
    pub(crate) words: Vec<String>,
    flags: &'static [&'static str],
    /// Whether unexpected empty directories may exist.
    pub(crate) empty_may_stay: Cell<bool>,
    /// Whether the filesystem may refuse to switch the whole tree: then the command still succeeds,
    /// and what is kept is inside the tree.
    pub(crate) may_go_by_entries: Cell<bool>,
    old: State,
    new: State,
}

impl Bench {
    /// Runs the command undisturbed to learn its new state, then restores the old one. `None` where
    /// no interpreter exists.
    pub(crate) fn new(action: Action, flags: &'static [&'static str]) -> Option<Self> {
        let lab = Lab::in_memory()?;
        action.begin(&lab, flags);
        if action != Action::CreateCold {
            warm(&lab, action, flags);
        }
        if lab.target().exists() && !action.goes_back() {
            copy(&lab.target(), &lab.file("template"));
        }
        let old = State::of(&lab);
        let words = action.words(&lab, flags);
        if action == Action::Apply {
            plan(&lab, flags);
        }
        done(&lab, &words);
        let new = State::of(&lab);
        let bench = Self {
            home: lab.file(""),
            lab,
            action,
            words,
            flags,
            empty_may_stay: Cell::new(false),
            may_go_by_entries: Cell::new(false),
            old,
            new,
        };
        bench.prepare();
        assert_eq!(bench.settled(), Ok(Seen::Old), "{action:?}");
        Some(bench)
    }

    /// The name of the command for a table.
    pub(crate) fn shown(&self) -> String {
        let pip = if self.flags.is_empty() {
            ", with pip"
        } else {
            ""
        };
        format!("{:?}{pip}", self.action)
    }

    /// The command.
    pub(crate) fn command(&self) -> Command {
        self.lab.rvenv(&self.words)
    }

    /// Makes the old state, whichever of the two exists.
    pub(crate) fn prepare(&self) {
        if self.action == Action::CreateCold {
            forget(&self.lab.cache);
        }
        self.empty_may_stay.set(false);
        self.may_go_by_entries.set(false);
        let seen = self.seen();
        if seen == Ok(Seen::Old) {
            return;
        }
        if self.action.goes_back() {
            assert_eq!(seen, Ok(Seen::New), "{:?}", self.action);
            done(&self.lab, &self.words);
        } else {
            for name in self.lab.litter() {
                forget(&self.lab.parent().join(name));
            }
            forget(&self.lab.target());
            let template = self.lab.file("template");
            if template.exists() {
                copy(&template, &self.lab.target());
            }
            if self.action == Action::Apply {
                plan(&self.lab, self.flags);
            }
        }
    }

    /// Which tree exists, whatever else exists beside it.
    pub(crate) fn seen(&self) -> Result<Seen, String> {
        self.judge(&look(&self.lab.target()))
    }

    fn judge(&self, found: &Tree) -> Result<Seen, String> {
        let sameness = if self.action.is_whole() {
            Sameness::Exact
        } else {
            Sameness::Restored
        };
        let not_old = compare(
            &self.old.tree,
            &self.without_empty(found, &self.old.tree),
            sameness,
        );
        let not_new = compare(
            &self.new.tree,
            &self.without_empty(found, &self.new.tree),
            Sameness::Alike,
        );
        match (not_old, not_new) {
            (Ok(()), _) => Ok(Seen::Old),
            (_, Ok(())) => Ok(Seen::New),
            (Err(old), Err(new)) => Err(format!(
                "not the old tree ({old}) and not the new one ({new})"
            )),
        }
    }

    /// A tree without the unexpected empty directories that the run reported.
    fn without_empty(&self, found: &Tree, expected: &Tree) -> Tree {
        let mut found = found.clone();
        let (true, Some(found_in), Some(expected)) =
            (self.empty_may_stay.get(), &mut found, expected)
        else {
            return found;
        };
        // Deeper directories come first.
        for path in found_in.keys().rev().cloned().collect::<Vec<_>>() {
            let is_dir = self.lab.target().join(&path).is_dir();
            let is_empty = !found_in
                .keys()
                .any(|other| *other != path && other.starts_with(&path));
            if is_dir && is_empty && !expected.contains_key(&path) {
                found_in.remove(&path);
            }
        }
        found
    }

    /// Which state exists, and that no leftover of the run exists.
    pub(crate) fn settled(&self) -> Result<Seen, String> {
        if self.action == Action::CreateCold {
            // A half-written cache file about an interpreter does not concern the target.
            done(&self.lab, &["cache", "prune"].map(str::to_owned));
        }
        let found = State::of(&self.lab);
        let seen = self.judge(&found.tree)?;
        let state = match seen {
            Seen::Old => &self.old,
            Seen::New => &self.new,
        };
        let (mut is, mut expected) = (found.kept.clone(), state.kept.clone());
        if self.may_go_by_entries.get() {
            is = is.iter().map(|path| wherever(path)).collect();
            expected = expected.iter().map(|path| wherever(path)).collect();
            is.sort();
            expected.sort();
        }
        if is != expected {
            return Err(format!(
                "{seen:?}, but there is {:?} and not {:?}",
                found.kept, state.kept
            ));
        }
        // New cache entries and their times of use may stay; nothing else may.
        let is_known =
            |name: &PathBuf| self.new.cache.contains(name) || self.old.cache.contains(name);
        let is_use = |name: &PathBuf| {
            name.ends_with("used") && is_known(&name.with_file_name("manifest.json"))
        };
        let is_litter = |name: &&PathBuf| !is_known(name) && !is_use(name);
        match found.cache.iter().find(is_litter) {
            Some(litter) => Err(format!("{seen:?}, but the cache has {}", litter.display())),
            None => Ok(seen),
        }
    }

    /// I3: an existing interpreter has its configuration.
    pub(crate) fn check_interpreter(&self) {
        let target = self.lab.target();
        if fs::symlink_metadata(target.join("bin/python")).is_ok() {
            assert!(target.join("pyvenv.cfg").is_file(), "{:?}", self.action);
        }
    }

    /// Recovers what a run left, which must succeed, and returns the state after that.
    pub(crate) fn recover(&self, what: &str) -> Seen {
        let ended = end(&mut self.lab.rvenv(&self.lab.recover()));
        assert_eq!(ended.code, Some(0), "{what}: {}", ended.story);
        match self.settled() {
            Ok(seen) => seen,
            Err(why) => panic!("{what}, after `recover`: {why}\n{}", ended.story),
        }
    }

    /// After a failed sync nothing is touched until a reboot; another boot id simulates it.
    pub(crate) fn wait_out_doubt(&self, what: &str) {
        let Some(doubt) = self.lab.doubt() else {
            return;
        };
        let found = State::of(&self.lab);
        let ended = end(&mut self.lab.rvenv(&self.lab.recover()));
        assert_eq!(ended.code, Some(6), "{what}: {}", ended.story);
        let now = State::of(&self.lab);
        assert_eq!(now.kept, found.kept, "{what}");
        assert_eq!(
            compare(&found.tree, &now.tree, Sameness::Exact),
            Ok(()),
            "{what}"
        );
        Lab::reboot(&doubt);
    }

    /// Whether the run reports that nothing was changed, or that everything was; `None` where it
    /// reports neither.
    pub(crate) fn claim(ended: &Ended) -> Option<Seen> {
        match ended.code {
            Some(0) => Some(Seen::New),
            Some(1 | 2 | 3 | 130 | 143) => Some(Seen::Old),
            _ if ended.story.contains("the new tree is published") => Some(Seen::New),
            _ => None,
        }
    }
}

/// Runs a check for all actions, a few at a time, since most of the time goes into waiting for a
/// disk.
pub(crate) fn for_each<T: Send>(
    actions: &[Action],
    act: impl Fn(Action) -> Vec<T> + Sync,
) -> Vec<T> {
    let waiting = Mutex::new(actions.iter().enumerate());
    let made = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap().next();
                    let Some((index, action)) = next else { return };
                    let of_action = act(*action);
                    made.lock().unwrap().push((index, of_action));
                }
            });
        }
    });
    let mut made = made.into_inner().unwrap();
    made.sort_by_key(|(index, _)| *index);
    made.into_iter()
        .flat_map(|(_, of_action)| of_action)
        .collect()
}

/// The calls after which a run dies, so that its recovery can be disturbed: one in the middle of
/// the renames and one near the end, or every rename.
pub(crate) fn wrecks(calls: &[Call], every: bool) -> Vec<Call> {
    let renames = calls.iter().filter(|call| call.kind.starts_with("rename"));
    let renames: Vec<Call> = renames.cloned().collect();
    if every {
        return renames;
    }
    let picked = [renames.len() * 6 / 10, renames.len().saturating_sub(2)];
    picked
        .iter()
        .filter_map(|at| renames.get(*at).cloned())
        .collect()
}

/// Fills the cache with what the command needs.
fn warm(lab: &Lab, action: Action, flags: &[&str]) {
    let mut words = lab.create(flags);
    let upgrade = Action::Upgrade.words(lab, flags);
    let python = if matches!(action, Action::Upgrade | Action::UpgradePackages) {
        upgrade.last()
    } else {
        None
    };
    *words.get_mut(1).unwrap() = lab.file("another").display().to_string();
    if let Some(python) = python {
        words.get_mut(3).unwrap().clone_from(python);
    }
    done(lab, &words);
}

/// Saves the plan of a clear.
fn plan(lab: &Lab, flags: &[&str]) {
    let mut words = Action::Clear.words(lab, flags);
    "plan".clone_into(words.first_mut().unwrap());
    words.extend(["-o".to_owned(), plan_file(lab)]);
    done(lab, &words);
}
