//! Changes of an environment with many files, and of one that holds only pip: the cost of a change
//! must depend only on what it changes.
//!
//! The files play packages that a user installed: no plan and no receipt lists them. The two
//! environments take turns, and the order changes from round to round. The bench watches a clear
//! with deletion from outside: its time ends when another directory exists at the target.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::budgets::{Budgets, shown_spread};
use super::field::Field;
use super::report::{Report, millis};
use super::rivals::{Python, done};
use super::settings::Settings;
use super::timing::{Times, settle, time};

const FILES_PER_PACKAGE: usize = 100;

/// The workloads of every round, in this order; each leaves what the next one needs.
const WORKLOADS: &[(&str, &[&str])] = &[
    ("`upgrade`", &["upgrade", "--prompt", "other"]),
    ("`rollback` of an upgrade", &["rollback"]),
    ("`create`, nothing to do", &["create"]),
    ("`create --clear --keep`", &["create", "--clear", "--keep"]),
    ("`rollback` of a clear", &["rollback"]),
];

/// The workload that is watched; it deletes, so it gets its own tree each time.
const CLEAR: &str = "`create --clear`, until the switch";
const CLEAR_ALL: &str = "`create --clear`, with deletion";

const AFTER_DELETING: Duration = Duration::from_secs(1);

/// The interval between two looks at the target.
const LOOK: Duration = Duration::from_micros(50);

/// An environment, and the times of each workload in it.
struct Subject {
    target: PathBuf,
    times: Vec<Times>,
    switch: Times,
    cleared: Times,
}

/// Measures each change in both environments.
pub(crate) fn run(settings: &Settings, report: &mut Report, budgets: &mut Budgets) {
    let none = "there is no CPython here, so no environments are changed".to_owned();
    let measured = match Python::choose(settings) {
        Some(python) => measure(settings, &python).inspect_err(|why| budgets.blame(why)),
        None => Err(none),
    };
    if let Ok([empty, full]) = &measured {
        tell(settings.files, [empty, full], report);
    }
    judge(settings.files, &measured, budgets);
}

/// The environment with pip, and the one with many more files.
fn measure(settings: &Settings, python: &Python) -> Result<[Subject; 2], String> {
    let field = Field::on_disk();
    let subject = |name, files| Subject::new(field.root.join(name), &field, python, files);
    let mut subjects = [subject("empty", 0)?, subject("full", settings.files)?];
    for round in 0..=settings.rounds {
        for workload in 0..WORKLOADS.len() {
            for subject in &mut subjects {
                subject.change(workload, round, &field, python)?;
            }
            subjects.reverse();
        }
    }
    for round in 0..=settings.fewer_rounds() {
        for subject in &mut subjects {
            subject.clear(round, &field, python)?;
        }
        subjects.reverse();
    }
    subjects.sort_by(|one, other| one.target.cmp(&other.target));
    Ok(subjects)
}

fn pairs([empty, full]: [&Subject; 2]) -> Vec<(&'static str, [&Times; 2])> {
    let workloads = WORKLOADS.iter().zip(empty.times.iter().zip(&full.times));
    let mut pairs: Vec<_> = workloads
        .map(|((name, _), (empty, full))| (*name, [empty, full]))
        .collect();
    pairs.push((CLEAR, [&empty.switch, &full.switch]));
    pairs.push((CLEAR_ALL, [&empty.cleared, &full.cleared]));
    pairs
}

fn tell(files: usize, subjects: [&Subject; 2], report: &mut Report) {
    let shown = |times: &Times| times.median().map_or("–".to_owned(), millis);
    let rows = pairs(subjects).into_iter().map(|(name, [empty, full])| {
        let ratio = full.ratio(empty);
        let ratio = ratio.map_or("–".to_owned(), |ratio| shown_spread(&ratio));
        vec![name.to_owned(), shown(empty), shown(full), ratio]
    });
    let full = format!("with {files} more files");
    let head = ["change", "environment with pip", &full, "ratio"];
    report.table("changes", &head, &rows.collect::<Vec<_>>());
}

/// Deletion costs time per file and has no budget.
fn judge(files: usize, measured: &Result<[Subject; 2], String>, budgets: &mut Budgets) {
    let names = WORKLOADS.iter().map(|(name, _)| *name).chain([CLEAR]);
    for name in names {
        let work = format!("{name}, in an environment of {files} files");
        let times = measured.as_ref().map_err(Clone::clone);
        let times = times.and_then(|[empty, full]| {
            let pairs = pairs([empty, full]);
            let found = pairs.into_iter().find(|(other, _)| *other == name);
            let (_, [empty, full]) = found.ok_or("it did not run")?;
            Ok([full, empty])
        });
        budgets.independent(&work, times);
    }
}

impl Subject {
    fn new(target: PathBuf, field: &Field, python: &Python, files: usize) -> Result<Self, String> {
        done(&mut field.rvenv(&["create"], python, &target))?;
        fill(&target, files).map_err(|error| error.to_string())?;
        // A clear deletes a copy, made of hard links.
        let copy = target.with_extension("copy");
        done(Command::new("cp").arg("-al").args([&target, &copy]))?;
        Ok(Self {
            target,
            times: WORKLOADS.iter().map(|_| Times::default()).collect(),
            switch: Times::default(),
            cleared: Times::default(),
        })
    }

    /// The first round warms caches and is not counted.
    fn change(
        &mut self,
        workload: usize,
        round: usize,
        field: &Field,
        python: &Python,
    ) -> Result<(), String> {
        let found = WORKLOADS.get(workload).zip(self.times.get_mut(workload));
        let ((name, words), times) = found.ok_or("there is no such workload")?;
        let took = time(&mut field.rvenv(words, python, &self.target), &field.root)
            .map_err(|why| format!("{name} failed in {}: {why}", self.target.display()))?;
        if round > 0 {
            times.push(round, took);
        }
        Ok(())
    }

    fn clear(&mut self, round: usize, field: &Field, python: &Python) -> Result<(), String> {
        let copy = self.target.with_extension("copy");
        let target = self.target.with_extension(round.to_string());
        done(Command::new("cp").arg("-al").args([&copy, &target]))?;
        // The clear before this one left work for the filesystem's journal.
        std::thread::sleep(AFTER_DELETING);
        settle(&field.root);
        let command = field.rvenv(&["create", "--clear"], python, &target);
        let (switch, all) = watch(command, &target)?;
        if round > 0 {
            self.switch.push(round, switch);
            self.cleared.push(round, all);
        }
        Ok(())
    }
}

/// The time until another directory exists at the target, and until the command ends.
fn watch(mut command: Command, target: &Path) -> Result<(Duration, Duration), String> {
    let inode = || fs::metadata(target).map(|meta| meta.ino()).ok();
    let old = inode();
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let mut switch = None;
    let status = loop {
        if switch.is_none() && inode() != old {
            switch = Some(start.elapsed());
        }
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        std::thread::sleep(LOOK);
    };
    let all = start.elapsed();
    if !status.success() {
        return Err(format!("a clear of {} failed", target.display()));
    }
    Ok((switch.unwrap_or(all), all))
}

fn fill(target: &Path, files: usize) -> std::io::Result<()> {
    for version in fs::read_dir(target.join("lib"))? {
        let site = version?.path().join("site-packages");
        for package in 0..files / FILES_PER_PACKAGE {
            let dir = site.join(format!("package_{package}"));
            fs::create_dir(&dir)?;
            for module in 0..FILES_PER_PACKAGE {
                let path = dir.join(format!("module_{module}.py"));
                fs::write(path, format!("MODULE = {module}\n"))?;
            }
        }
    }
    Ok(())
}
