//! A sweep stops one publication at every step, and recovers every disk that may exist then, with
//! crashes inside the recovery.
//!
//! Promises that the first crash happens at every step, under each model, with every image up to
//! [`Scale::wide`]. Crashes inside recoveries happen at every step too, for [`Scale::follow_max`]
//! images: all kills first, then the rest in the order of a hash, which is the same in every run.
//! Each disk is recovered once, also where several publications lead to it: `memory.rs` defines
//! when two recoveries are the same.
//!
//! The sweep counts pairs of a disk (names, contents, modes, identities, times of files) and the
//! decision of recovery. The kind of filesystem, the crashes that led there, and the lock file that
//! a run left do not make it another pair.
//!
//! Read next: `memory.rs` (what a sweep skips), `tale.rs` (how a failure is reported),
//! `../crash.rs` (the sweeps).

#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "tests unwrap, and say how far they are"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use rvenv_journal::fs::Fs as _;
use rvenv_journal::fs::sim::{Bound, Fault, Persistence, Reach, SimFs};
use rvenv_journal::raw::{Decision, RecoverError};
use rvenv_journal::{Plan, ReadyError};

use crate::publication::{Case, Exit, LOCK, Outcome, TARGET, Tree, recover, run, tree_at};

mod memory;
mod tale;

use memory::{Memory, in_classes};
use tale::Crash;

/// How far a sweep goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Images of each crash in the publication.
    pub(crate) wide: Bound,
    /// Images of each crash in a recovery.
    pub(crate) narrow: Bound,
    /// One in this many images of a second crash gets a third crash in its recovery.
    pub(crate) third_one_in: u64,
    /// How many images of first crashes get a second crash.
    pub(crate) follow_max: usize,
}

/// One publication to sweep, and what goes wrong in it.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// The promise that it tests.
    pub(crate) group: &'static str,
    pub(crate) case: Case,
    pub(crate) models: &'static [Persistence],
    pub(crate) trouble: Trouble,
    pub(crate) scale: Scale,
}

/// The fault before the crash.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Trouble {
    Nothing,
    /// Each sync in turn fails, so that the run ends in doubt or fails.
    Sync,
}

/// The result of a sweep.
#[derive(Debug)]
pub(crate) struct Report {
    /// The distinct pairs, sorted.
    pub(crate) pairs: Vec<u64>,
    pub(crate) recoveries: u64,
    /// The number of images of the first crash, and how many of them got a second crash.
    pub(crate) firsts: usize,
    pub(crate) followed: usize,
}

/// A running sweep.
pub(crate) struct Sweep<'a> {
    job: &'a Job,
    /// The disk before the publication, and its plan.
    base: SimFs,
    plan: Plan,
    outcome: Outcome,
    /// The crashes that led to the current disk, and the step that failed before them, if any.
    path: Vec<Crash>,
    fault: Option<usize>,
    memory: Memory,
    pairs: BTreeSet<u64>,
    /// Images of the first crash, by hash.
    firsts: BTreeMap<u64, (SimFs, Crash, Option<usize>)>,
    first_count: usize,
    recoveries: u64,
}

impl<'a> Sweep<'a> {
    pub(crate) fn new(job: &'a Job) -> Self {
        let base = job.case.disk();
        base.set_courtesy(OsStr::new(LOCK));
        Self {
            plan: job.case.plan(&base),
            base,
            outcome: Outcome::of(&job.case),
            job,
            path: Vec::new(),
            fault: None,
            memory: Memory::default(),
            pairs: BTreeSet::new(),
            firsts: BTreeMap::new(),
            first_count: 0,
            recoveries: 0,
        }
    }

    /// As [`new`](Self::new), after other sweeps of one class.
    fn after(job: &'a Job, memory: Memory) -> Self {
        Self {
            memory,
            ..Self::new(job)
        }
    }

    /// Runs every crash; the error is the story of the first one that broke a promise.
    pub(crate) fn run(self) -> Result<Report, String> {
        self.run_on().map(|(report, _)| report)
    }

    /// As [`run`](Self::run), for the next sweep of the class.
    fn run_on(mut self) -> Result<(Report, Memory), String> {
        for fault in self.faults() {
            self.fault = fault;
            self.crash_first()?;
        }
        let followed = self.crash_again()?;
        let report = Report {
            pairs: self.pairs.into_iter().collect(),
            recoveries: self.recoveries,
            firsts: self.first_count,
            followed,
        };
        Ok((report, self.memory))
    }

    /// The steps that fail, one per run.
    fn faults(&self) -> Vec<Option<usize>> {
        match self.job.trouble {
            Trouble::Nothing => vec![None],
            Trouble::Sync => {
                let disk = self.base.killed();
                run(&disk, &self.plan, &self.job.case);
                let steps = disk.steps();
                let syncs = (1_usize..)
                    .zip(&steps)
                    .filter(|(_, step)| step.starts_with("sync"));
                syncs.map(|(number, _)| Some(number)).collect()
            }
        }
    }

    /// The disk before the publication.
    fn begin(&self) -> SimFs {
        let disk = self.base.killed();
        if let Some(step) = self.fault {
            let kind = std::io::ErrorKind::Other;
            disk.fail(Fault {
                step,
                kind,
                reach: Reach::Once,
            });
        }
        disk
    }

    /// The first crash: in the publication, at every step, and after the last.
    fn crash_first(&mut self) -> Result<(), String> {
        let disk = self.begin();
        disk.keep_crashes();
        let exit = run(&disk, &self.plan, &self.job.case);
        let crashes = disk.take_crashes();
        if self.fault.is_none() && exit != Exit::Done {
            return Err(format!("{}: {exit:?}", self.job.case.name));
        }
        let wanted = (exit == Exit::Done).then(|| self.outcome.wanted(&self.job.case).clone());
        let count = crashes.len();
        for (step, crashed) in crashes.iter().chain([&disk]).enumerate() {
            // Before the fault the run equals the one without it.
            if self.fault.is_some_and(|fault| step < fault) {
                continue;
            }
            let wanted = wanted.as_ref().filter(|_| step == count);
            self.crash_at(crashed, step, (wanted, 0), &mut |sweep, image, crash| {
                sweep.first(image, crash)
            })?;
        }
        Ok(())
    }

    /// Every image of a crash at one step.
    fn crash_at(
        &mut self,
        crashed: &SimFs,
        step: usize,
        (wanted, later): (Option<&Tree>, usize),
        visit: &mut dyn FnMut(&mut Self, SimFs, Crash) -> Result<(), String>,
    ) -> Result<(), String> {
        let bound = if self.path.is_empty() {
            self.job.scale.wide
        } else {
            self.job.scale.narrow
        };
        for &model in self.job.models {
            let mut images = Vec::new();
            // After a kill, equal disks may differ in what is durable; after a power cut the
            // machine reboots.
            let is_met = |digest| model != Persistence::Kill && self.is_met(digest, later);
            crashed.for_each_new_image(
                model,
                bound,
                |digest| wanted.is_some() || !is_met(digest),
                |nth, image, _| images.push((nth, image)),
            );
            for (nth, image) in images {
                let crash = Crash {
                    model,
                    bound,
                    step,
                    nth,
                };
                let is_kept = wanted.is_none_or(|wanted| tree_at(&image, TARGET) == *wanted);
                if !is_kept {
                    self.path.push(crash);
                    return Err(self.tale(tale::LOST));
                }
                visit(self, image, crash)?;
            }
        }
        Ok(())
    }

    /// Recovers from a first crash, and notes it for the second.
    fn first(&mut self, image: SimFs, crash: Crash) -> Result<(), String> {
        let Some(key) = self.visit(&image, crash, 0)? else {
            return Ok(());
        };
        self.first_count += 1;
        // After a kill between a failed sync and the note of it, no record of the failure exists;
        // the next sync succeeds.
        if crash.model == Persistence::Kill && self.fault == Some(crash.step) {
            return Ok(());
        }
        // Kills are few, and leave the most data that is not durable.
        let rank = if crash.model == Persistence::Kill {
            mix(key) >> 8
        } else {
            mix(key) | (1 << 63)
        };
        self.firsts.insert(rank, (image, crash, self.fault));
        if self.firsts.len() > self.job.scale.follow_max {
            self.firsts.pop_last();
        }
        Ok(())
    }

    /// The second and the third crash, inside recoveries.
    fn crash_again(&mut self) -> Result<usize, String> {
        let mut followed = 0;
        for (image, crash, fault) in std::mem::take(&mut self.firsts).into_values() {
            self.fault = fault;
            followed += 1;
            self.visit(&image, crash, 2)?;
        }
        Ok(followed)
    }

    /// Recovers from an image that was not met before, with `later` crashes inside; returns its
    /// key.
    fn visit(&mut self, image: &SimFs, crash: Crash, later: usize) -> Result<Option<u64>, String> {
        let visible = image.state_digest();
        // After a kill two equal disks may differ in which part of them is durable, and in whether
        // the machine rebooted since a doubt was noted. After a power cut it rebooted, and
        // everything is durable.
        let key = match crash.model {
            Persistence::Kill if self.job.models.len() > 1 => {
                mix(visible) ^ image.durable_digest() ^ number(image.boot_id())
            }
            Persistence::Kill | Persistence::Ordered | Persistence::Independent => visible,
        };
        let later = self.chosen(key, later);
        if self.is_met(key, later) {
            return Ok(None);
        }
        self.memory.keep(key, later);
        self.path.push(crash);
        self.recover(image, later)?;
        self.path.pop();
        Ok(Some(key))
    }

    /// How many crashes follow on a disk: a third one on some disks, and on all where there are
    /// only kills.
    fn chosen(&self, key: u64, later: usize) -> usize {
        let is_chosen =
            self.job.models.len() == 1 || mix(key).is_multiple_of(self.job.scale.third_one_in);
        if later == 1 && !is_chosen { 0 } else { later }
    }

    /// Whether a disk was recovered already, with no fewer crashes inside.
    fn is_met(&self, key: u64, later: usize) -> bool {
        let later = self.chosen(key, later);
        self.memory.has(key, later)
    }

    /// Recovers from the last crash of the path, and crashes inside that recovery.
    fn recover(&mut self, image: &SimFs, later: usize) -> Result<(), String> {
        let visible = image.state_digest();
        let disk = image.killed();
        if later > 0 {
            disk.keep_crashes();
        }
        self.recoveries += 1;
        let recovered = recover(&disk);
        let crashes = disk.take_crashes();
        let is_done = recovered.is_ok();
        let decided = self.decided(recovered, image, &disk)?;
        self.pairs.insert(mix(visible) ^ mix(decided));
        if later == 0 {
            return Ok(());
        }
        let tree = tree_at(&disk, TARGET);
        let count = crashes.len();
        for (step, crashed) in crashes.iter().chain([&disk]).enumerate() {
            let wanted = Some(&tree).filter(|_| is_done && step == count);
            self.crash_at(
                crashed,
                step,
                (wanted, later - 1),
                &mut |sweep, image, crash| sweep.visit(&image, crash, later - 1).map(drop),
            )?;
        }
        Ok(())
    }

    /// The hash of the decision, after a check that it was right.
    fn decided(
        &mut self,
        recovered: Result<Decision, ReadyError>,
        image: &SimFs,
        disk: &SimFs,
    ) -> Result<u64, String> {
        let is_troubled = self.fault.is_some();
        match recovered {
            Ok(decision) => {
                if self.memory.is_first_end(disk.state_digest()) {
                    let checked = if is_troubled {
                        self.outcome.check_target(disk)
                    } else {
                        self.outcome.check(&self.job.case, disk)
                    };
                    checked.map_err(|what| self.tale(&what))?;
                }
                Ok(number(decision))
            }
            // A doubt waits for a reboot, and changes nothing.
            Err(ReadyError::Recover(RecoverError::Doubt { .. }))
                if is_troubled && tree_at(image, TARGET) == tree_at(disk, TARGET) =>
            {
                Ok(1)
            }
            Err(error) => Err(self.tale(&format!("{error:?}"))),
        }
    }
}

fn number(what: impl std::fmt::Debug) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    format!("{what:?}").hash(&mut hasher);
    hasher.finish()
}

/// Spreads a number over all its bits.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Runs all jobs on all processors; returns the reports in the order of the jobs, or the first
/// failure's story.
pub(crate) fn sweep_all(jobs: &[Job]) -> Result<Vec<Report>, String> {
    use std::sync::Mutex;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = Mutex::new(in_classes(jobs).into_iter());
    let done: Mutex<BTreeMap<usize, Report>> = Mutex::default();
    let failed: Mutex<Option<String>> = Mutex::new(None);
    let sweep_class = |class: Vec<usize>| {
        let mut memory = Memory::default();
        for at in class {
            let Some(job) = jobs.get(at).filter(|_| failed.lock().unwrap().is_none()) else {
                return;
            };
            match Sweep::after(job, memory).run_on() {
                Ok((report, known)) => {
                    let mut done = done.lock().unwrap();
                    done.insert(at, report);
                    // The deep form takes half an hour, so it shows its progress.
                    eprintln!("{} of {} publications swept", done.len(), jobs.len());
                    memory = known;
                }
                Err(tale) => {
                    *failed.lock().unwrap() = Some(tale);
                    return;
                }
            }
        }
    };
    let work = || {
        loop {
            let class = next.lock().unwrap().next();
            let Some(class) = class else { return };
            sweep_class(class);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    match failed.into_inner().unwrap() {
        Some(tale) => Err(tale),
        None => Ok(done.into_inner().unwrap().into_values().collect()),
    }
}
