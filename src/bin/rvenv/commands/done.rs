//! What a command changed, as the object of `--json`.
//!
//! Promises that the packages are those that the environment had before and has now, whatever the
//! plan named.
//! Read next: the library's `change/generations.rs`, which reads them.

use std::path::Path;

use rvenv::environment::Outcome;
use rvenv::generations::{Contents, Difference};
use rvenv_journal::raw::Ending;
use rvenv_journal::{Parents, Publication, Target};
use serde::Serialize;

use super::generations::json_of;
use crate::advice::CliError;
use crate::session::{READING, Session};

/// What a command changed.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Changes {
    /// The version of this form.
    format: u64,
    /// The environments, in the order in which they were changed.
    environments: Vec<Changed>,
}

/// What happened to one environment.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Changed {
    /// Its absolute path.
    path: String,
    outcome: Kind,
    /// The digest of the plan; `null` where none was made.
    plan: Option<String>,
    python: Pythons,
    /// The packages that differ from before.
    packages: Vec<PackageChange>,
    /// The generation that has what was replaced, or what went aside.
    generation: Option<u32>,
    /// The generation that came back.
    restored: Option<u32>,
    /// How many entries of what was replaced could not be deleted.
    leftovers: u64,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// There was no environment.
    Created,
    /// Another tree is in its place.
    Replaced,
    /// Some entries changed.
    Changed,
    /// Everything was as asked for.
    Unchanged,
    /// A generation came back.
    RolledBack,
    /// It is gone.
    Removed,
    /// A dry run would have removed it.
    WouldBeRemoved,
}

/// The versions of Python; `null` where there is no environment, or none is known.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Pythons {
    before: Option<String>,
    after: Option<String>,
}

/// The versions of a package; `null` where it is not installed.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct PackageChange {
    name: String,
    before: Option<String>,
    after: Option<String>,
}

/// What an environment had before a change.
pub(super) struct Before {
    path: String,
    contents: Contents,
}

impl Changed {
    /// Adds the generation that came back.
    pub(super) fn restoring(self, generation: u32) -> Self {
        Self {
            restored: Some(generation),
            ..self
        }
    }
}

impl Changes {
    pub(super) fn of(environments: Vec<Changed>) -> Self {
        Self {
            format: 1,
            environments,
        }
    }
}

impl Session<'_> {
    /// Looks at an environment before a change, if its report will be JSON.
    pub(super) fn before(&self, path: &str) -> Option<Before> {
        self.json.then(|| Before {
            path: path.to_owned(),
            contents: self.contents(path),
        })
    }

    /// What a run changed since then.
    pub(super) fn changed(&self, before: Before, outcome: &Outcome) -> Changed {
        let plan = outcome.plan();
        let done = match outcome {
            Outcome::NoChanges(_) => Kind::Unchanged,
            Outcome::Published(_) => match plan.publication() {
                Publication::Replace | Publication::Refill => Kind::Replaced,
                Publication::Merge => Kind::Changed,
                Publication::Put | Publication::Nothing => Kind::Created,
            },
        };
        let nothing = Ending::default();
        let ending = match outcome {
            Outcome::NoChanges(_) => &nothing,
            Outcome::Published(report) => &report.ending,
        };
        Changed {
            plan: Some(plan.digest().to_string()),
            ..self.since(before, done, ending)
        }
    }

    /// The same for a change that has no plan.
    pub(super) fn since(&self, before: Before, outcome: Kind, ending: &Ending) -> Changed {
        let now = if outcome == Kind::WouldBeRemoved {
            Contents::default()
        } else {
            self.contents(&before.path)
        };
        // Another process may have changed it before this one had the lock.
        let then = self.locked.take().unwrap_or(before.contents);
        let differences = then.differences(&now);
        Changed {
            path: before.path,
            outcome,
            plan: None,
            python: Pythons {
                before: then.python,
                after: now.python,
            },
            packages: differences.iter().map(PackageChange::of).collect(),
            generation: ending.kept.as_ref().map(|kept| kept.generation),
            restored: None,
            leftovers: ending.leftovers.count,
        }
    }

    /// Prints what was changed, if the report is JSON.
    pub(super) fn report(&self, changed: Vec<Changed>) -> Result<(), CliError> {
        if !self.json {
            return Ok(());
        }
        self.terminal.json(&json_of(&Changes::of(changed)))
    }

    /// What an environment has; nothing if it cannot be read, which the command itself reports.
    fn contents(&self, path: &str) -> Contents {
        let target = Target::open(&self.fs, Path::new(path), Parents::Require);
        let read = |target| self.during(READING, |_| Contents::now(&target));
        let read = target.ok().map(read);
        read.and_then(Result::ok).unwrap_or_default()
    }
}

impl PackageChange {
    fn of(difference: &Difference) -> Self {
        let (old, new) = match difference {
            Difference::Without(old) => (Some(old), None),
            Difference::With(new) => (None, Some(new)),
            Difference::Other(old, new) => (Some(old), Some(new)),
        };
        Self {
            name: old.or(new).map_or_else(String::new, |one| one.name.clone()),
            before: old.map(|one| one.version.clone()),
            after: new.map(|one| one.version.clone()),
        }
    }

    /// The same of a line of a log, which is a difference as text.
    pub(super) fn logged(line: &str) -> Self {
        let (sign, rest) = line.split_once(' ').unwrap_or_default();
        let (name, versions) = rest.split_once(' ').unwrap_or((rest, ""));
        let version = || Some(versions.to_owned());
        let (before, after) = match (sign, versions.split_once(" → ")) {
            ("-", _) => (version(), None),
            ("+", _) => (None, version()),
            (_, Some((old, new))) => (Some(old.to_owned()), Some(new.to_owned())),
            (_, None) => (None, None),
        };
        Self {
            name: name.to_owned(),
            before,
            after,
        }
    }
}
