//! `rvenv generations`: lists the generations of an environment, or deletes some.
//!
//! Promises that the list writes nothing, and that a generation which cannot be read is listed with
//! the reason.
//! Read next: the library's `change/generations.rs`, what a generation has; `change/prune.rs`.

use std::ffi::OsStr;
use std::path::Path;

use rvenv::caller::RunTerms;
use rvenv::environment;
use rvenv::generations::{Contents, Difference};
use rvenv::prune::{Pruned, Terms};
use rvenv::render::{escape, shown_size};
use rvenv_journal::fs::Time;
use rvenv_journal::raw::{Form, Generation, TargetError, counted};
use rvenv_journal::{FsError, Parents, Target, generations};
use serde::Serialize;

use crate::advice::{CliError, Code, Exit, of_verify_target};
use crate::args::{DurabilityArg, GenerationsArgs, LinkModeArg, RunArgs};
use crate::found_env::{Use, absent};
use crate::session::Session;
use crate::shell_words::word;

const MEASURING: &str = "Measuring generations";
const DAY_SECONDS: i64 = 24 * 60 * 60;
/// How many differences are shown of each generation without `-v`.
const DIFFERENCES_MAX: usize = 6;

/// A generation; an unknown value is `null`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Kept {
    generation: u32,
    form: &'static str,
    time: Option<String>,
    python: Option<String>,
    plan: Option<String>,
    entries: Option<u64>,
    bytes: Option<u64>,
    age_seconds: Option<i64>,
    packages: Option<usize>,
    /// What a return to it does to each distribution.
    differences: Option<Vec<Change>>,
    unreadable: Option<String>,
    /// Whether it is what an undone change had put there; a rollback passes it over.
    undone: bool,
}

/// A distribution now and in a generation; `null` where there is none.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Change {
    name: String,
    now: Option<String>,
    then: Option<String>,
    #[serde(skip)]
    text: String,
}

/// Whether the trees of generations are measured, which takes as long as they are large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sizes {
    Measured,
    Unknown,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct List {
    format: u64,
    path: String,
    generations: Vec<Kept>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Pruning {
    format: u64,
    path: String,
    dry_run: bool,
    deleted: Vec<Gone>,
    failed: Vec<Failed>,
    leftovers: u64,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Gone {
    generation: u32,
    entries: Option<u64>,
    bytes: Option<u64>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Failed {
    generation: u32,
    why: String,
}

impl Session<'_> {
    pub(crate) fn generations(&self, args: &GenerationsArgs) -> Result<Exit, CliError> {
        let to = if args.prune && !args.dry_run {
            Use::Change
        } else {
            Use::Look
        };
        let given = self.env_of(&args.target, to)?;
        let path = self.world.env_dir(&given)?;
        let path = Path::new(&path);
        if !args.prune {
            return self.list_generations(path, &given);
        }
        self.kept_at(path, Sizes::Unknown, &given)?;
        let days = args.older_than.map(i64::from);
        let terms = Terms {
            keep: args.keep.unwrap_or(0),
            before: days.map(|days| self.world.now.seconds.saturating_sub(days * DAY_SECONDS)),
        };
        let pruned = if args.dry_run {
            self.would_prune(path, terms)?
        } else {
            let run = RunArgs {
                durability: DurabilityArg::Power,
                link_mode: LinkModeArg::Auto,
                lock: args.lock,
            };
            self.run(&run, &RunTerms::default(), |run| {
                environment::prune(run, path, terms)
            })?
        };
        self.tell_pruned(path, &given, args, &pruned)
    }

    fn list_generations(&self, path: &Path, given: &OsStr) -> Result<Exit, CliError> {
        let found = self.kept_at(path, Sizes::Measured, given)?;
        if self.json {
            let list = List {
                format: 1,
                path: path.to_string_lossy().into_owned(),
                generations: found,
            };
            self.terminal.json(&json_of(&list))?;
            return Ok(Exit::Done);
        }
        let env = word(&path.to_string_lossy());
        if found.is_empty() {
            let shown = escape(&path.to_string_lossy());
            self.terminal
                .story(&format!("`{shown}` has no generations"));
            return Ok(Exit::Done);
        }
        let lines: Vec<String> = found.iter().map(|one| one.text(self.detail())).collect();
        self.terminal.data(&(lines.join("\n") + "\n"))?;
        let rollback = if found.iter().any(|one| !one.undone) {
            format!("`rvenv rollback {env}` brings back the last; ")
        } else {
            String::new()
        };
        self.terminal.story(&format!(
            "{rollback}`rvenv generations --prune {env}` deletes all"
        ));
        Ok(Exit::Done)
    }

    /// The generations of a target; an error where neither it nor a generation exists.
    fn kept_at(&self, path: &Path, sizes: Sizes, given: &OsStr) -> Result<Vec<Kept>, CliError> {
        let target = match Target::open(&self.fs, path, Parents::Require) {
            Ok(target) => target,
            Err(TargetError::NoParent(_)) => return Err(absent(given)),
            Err(error) => return Err(of_verify_target(error)),
        };
        let failed = |error: FsError| failed(path, &error);
        let found = self.during(MEASURING, |_| all_kept(&target, sizes, self.world.now));
        let found = found.map_err(failed)?;
        if found.is_empty() && target.meta().map_err(failed)?.is_none() {
            return Err(absent(given));
        }
        Ok(found)
    }

    fn would_prune(&self, path: &Path, terms: Terms) -> Result<Pruned, CliError> {
        let target = Target::open(&self.fs, path, Parents::Require).map_err(of_verify_target)?;
        let found = generations(&target).map_err(|error| failed(path, &error))?;
        let mut pruned = Pruned::default();
        self.during(MEASURING, |_| {
            for generation in terms.choose(&found) {
                if let Some(why) = &generation.fault {
                    pruned.failed.push((generation.number, why.clone()));
                } else {
                    let size = generation.size(&target).ok();
                    pruned.deleted.push((generation.number, size));
                }
            }
        });
        Ok(pruned)
    }

    fn tell_pruned(
        &self,
        path: &Path,
        given: &OsStr,
        args: &GenerationsArgs,
        pruned: &Pruned,
    ) -> Result<Exit, CliError> {
        if self.json {
            let gone = pruned.deleted.iter().map(|(generation, size)| Gone {
                generation: *generation,
                entries: size.map(|size| size.entries),
                bytes: size.map(|size| size.bytes),
            });
            let failed = pruned.failed.iter().map(|(generation, why)| Failed {
                generation: *generation,
                why: why.clone(),
            });
            self.terminal.json(&json_of(&Pruning {
                format: 1,
                path: path.to_string_lossy().into_owned(),
                dry_run: args.dry_run,
                deleted: gone.collect(),
                failed: failed.collect(),
                leftovers: pruned.leftovers,
            }))?;
        }
        let shown = escape(&given.to_string_lossy());
        let bytes = pruned.deleted.iter().filter_map(|(_, size)| size.as_ref());
        let bytes: u64 = bytes.map(|size| size.bytes).sum();
        let numbers: Vec<String> = pruned
            .deleted
            .iter()
            .map(|(number, _)| number.to_string())
            .collect();
        let done = if args.dry_run {
            "Would delete"
        } else {
            "Deleted"
        };
        let what = match numbers.len() {
            0 => "no generation".to_owned(),
            count => format!(
                "{} ({}) with {}",
                counted(count, "generation"),
                numbers.join(", "),
                shown_size(bytes)
            ),
        };
        self.terminal.story(&format!("{done} {what} of `{shown}`"));
        for (number, why) in &pruned.failed {
            self.terminal
                .warning(&format!("generation {number} stays: {why}"));
        }
        if pruned.leftovers > 0 {
            let left = counted(pruned.leftovers, "entry");
            self.terminal
                .warning(&format!("{left} could not be deleted, and stay as trash"));
        }
        Ok(if pruned.failed.is_empty() {
            Exit::Done
        } else {
            Exit::NeedsPerson
        })
    }
}

fn failed(path: &Path, error: &FsError) -> CliError {
    let shown = escape(&path.to_string_lossy());
    CliError::new(Code::Disk, format!("cannot look at `{shown}`")).because(&error.source)
}

pub(super) fn json_of(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("strings and numbers serialize");
    text.push('\n');
    text
}

/// Every generation of a target, the oldest first.
pub(super) fn all_kept(
    target: &Target<'_>,
    sizes: Sizes,
    time: Time,
) -> Result<Vec<Kept>, FsError> {
    let found = generations(target)?;
    let now = if found.is_empty() {
        Contents::default()
    } else {
        Contents::now(target)?
    };
    let kept = |generation: &Generation| kept(target, generation, &now, sizes, time);
    Ok(found.iter().map(kept).collect())
}

fn kept(
    target: &Target<'_>,
    generation: &Generation,
    now: &Contents,
    sizes: Sizes,
    time: Time,
) -> Kept {
    let size = match sizes {
        Sizes::Measured => generation.size(target).map(Some),
        Sizes::Unknown => Ok(None),
    };
    let contents = Contents::of(generation, target);
    let fault = generation.fault.as_ref().map(|why| match generation.owner {
        Some(user) => {
            format!("it belongs to user {user}, who alone can look at it and bring it back")
        }
        None => format!("its record counts for nothing: {why}"),
    });
    let unreadable = contents.as_ref().err().or(size.as_ref().err());
    let unreadable = fault.or_else(|| unreadable.map(|error| error.source.to_string()));
    let size = size.ok().flatten();
    let contents = contents.ok().filter(|_| generation.fault.is_none());
    Kept {
        generation: generation.number,
        form: match generation.form {
            Form::Tree => "tree",
            Form::Entries => "entries",
        },
        time: generation.time.map(shown_time),
        plan: generation.plan.map(|plan| plan.to_string()),
        entries: size.map(|size| size.entries),
        bytes: size.map(|size| size.bytes),
        age_seconds: generation
            .time
            .map(|then| (time.seconds - then.seconds).max(0)),
        packages: contents.as_ref().map(|contents| contents.in_use().len()),
        differences: contents
            .as_ref()
            .map(|contents| changes(&now.differences(contents))),
        python: contents.and_then(|contents| contents.python),
        unreadable,
        undone: generation.is_undone,
    }
}

fn changes(differences: &[Difference]) -> Vec<Change> {
    let change = |difference: &Difference| {
        let (now, then) = match difference {
            Difference::Without(now) => (Some(now), None),
            Difference::With(then) => (None, Some(then)),
            Difference::Other(now, then) => (Some(now), Some(then)),
        };
        let named = now.or(then);
        Change {
            name: named.map(|one| one.name.clone()).unwrap_or_default(),
            now: now.map(|one| one.version.clone()),
            then: then.map(|one| one.version.clone()),
            text: difference.to_string(),
        }
    };
    differences.iter().map(change).collect()
}

impl Kept {
    pub(super) fn text(&self, detail: rvenv::render::Detail) -> String {
        let mut facts = Vec::new();
        facts.push(
            self.age_seconds
                .map_or_else(|| "of unknown age".to_owned(), age),
        );
        let unread = self.unreadable.is_some();
        let python = self
            .python
            .as_ref()
            .map(|version| format!("Python {}", escape(version)));
        facts.extend(python.or_else(|| (!unread).then(|| "no Python".to_owned())));
        facts.extend(self.packages.map(|count| counted(count, "package")));
        let size = self.entries.zip(self.bytes);
        facts.extend(size.map(|(entries, bytes)| {
            format!("{}, {}", counted(entries, "entry"), shown_size(bytes))
        }));
        let mut text = format!("  {}: {}", self.generation, facts.join(", "));
        if let Some(why) = &self.unreadable {
            return format!("{text}; cannot be read: {}", escape(why));
        }
        if self.undone {
            return format!("{text}; what an undone change had put there, never brought back");
        }
        let differences = self.differences.as_deref().unwrap_or_default();
        let is_full = detail == rvenv::render::Detail::EveryPath;
        let count_max = if is_full { usize::MAX } else { DIFFERENCES_MAX };
        let shown: Vec<&str> = differences
            .iter()
            .take(count_max)
            .map(|one| &*one.text)
            .collect();
        text = match shown.as_slice() {
            [] => format!("{text}; the same packages as now"),
            shown => format!("{text}; {}", escape(&shown.join(", "))),
        };
        if differences.len() > shown.len() {
            text = format!("{text} and {} more", differences.len() - shown.len());
        }
        match (&self.time, &self.plan) {
            (Some(time), Some(plan)) if is_full => format!("{text}\n     {time}, plan {plan}"),
            _ => text,
        }
    }
}

/// An age in the largest whole unit.
pub(super) fn age(seconds: i64) -> String {
    let units = [
        (DAY_SECONDS, "day"),
        (60 * 60, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let unit = units.into_iter().find(|(length, _)| seconds >= *length);
    let (length, name) = unit.unwrap_or((1, "second"));
    format!("{} ago", counted(seconds / length, name))
}

/// The format of RFC 3339, in UTC, to the second.
pub(super) fn shown_time(time: Time) -> String {
    let (days, seconds) = (
        time.seconds.div_euclid(86_400),
        time.seconds.rem_euclid(86_400),
    );
    // Years begin in March here, so that a leap day is the last of its year; 719 468 days from
    // 0000-03-01 to 1970.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 {
        (era * 400 + year, month + 3)
    } else {
        (era * 400 + year + 1, month - 9)
    };
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_time(seconds: i64, expected: &str) {
        assert_eq!(shown_time(Time { seconds, nanos: 0 }), expected);
    }

    #[test]
    fn an_age_has_the_largest_whole_unit() {
        for (seconds, expected) in [
            (0, "0 seconds ago"),
            (59, "59 seconds ago"),
            (60, "1 minute ago"),
            (7_199, "1 hour ago"),
            (86_400, "1 day ago"),
            (864_001, "10 days ago"),
        ] {
            assert_eq!(age(seconds), expected);
        }
    }

    #[test]
    fn a_time_is_shown_as_a_calendar_has_it() {
        check_time(0, "1970-01-01T00:00:00Z");
        check_time(-1, "1969-12-31T23:59:59Z");
        check_time(951_782_399, "2000-02-28T23:59:59Z");
        check_time(951_782_400, "2000-02-29T00:00:00Z");
        check_time(4_107_542_399, "2100-02-28T23:59:59Z");
        check_time(4_107_542_400, "2100-03-01T00:00:00Z");
    }
}
