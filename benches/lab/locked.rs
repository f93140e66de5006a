//! Packages that a lock names: the same wheels by the same hashes, installed by rvenv, uv and pip.
//!
//! The wheels are made here. `uv venv` and `uv pip sync` run one right after the other, and link
//! from uv's cache; so do `python -m venv` and `pip install`, which compiles no bytecode. rvenv
//! waits for the disk and keeps what it replaces; uv and pip do neither. Cold caches are new
//! directories for each run, and the wheels then come from an index of the bench.
//! Promises that the files of each result are counted and shown.
//!
//! Read next: `course.rs` (the commands), `wheels.rs`, `index_server.rs`.

use super::budgets::{Budgets, Timed, shown_spread};
use super::course::{Course, Tool, Work};
use super::made::Made;
use super::peak;
use super::report::{Report, millis, spread_cells};
use super::rivals::{Python, Rivals};
use super::settings::Settings;
use super::timing::{Times, time_all};

/// The most that rvenv may take, as a share of a rival's time.
const LIMITS: [(Work, Tool, f64); 9] = [
    (Work::New, Tool::Uv, 0.6),
    (Work::WithPip, Tool::Pip, 0.1),
    (Work::Change, Tool::Uv, 0.6),
    (Work::Nothing, Tool::Uv, 0.5),
    (Work::Cold, Tool::Uv, 1.0),
    (Work::ColdWithPip, Tool::Pip, 0.1),
    (Work::ColdUrls, Tool::Uv, 1.0),
    (Work::ColdBytecode, Tool::Uv, 1.0),
    (Work::Bytecode, Tool::Uv, 0.3),
];

/// How many packages beside those of the budgets.
const SIZES: [usize; 3] = [10, 100, 300];

/// One tool at one work.
struct Racer {
    work: Work,
    tool: Tool,
    count: usize,
    /// Runs only in every n-th round.
    every: usize,
    times: Times,
    made: Made,
    peak_kib: u64,
    failed: Option<String>,
}

/// Measures all works with all tools.
pub(crate) fn run(settings: &Settings, report: &mut Report, budgets: &mut Budgets) {
    let mut racers = entered(settings);
    let measured = match Python::choose(settings) {
        Some(python) => measure(settings, &python, &mut racers),
        None => Err("there is no CPython here, so no packages are installed".to_owned()),
    };
    if let Err(why) = &measured {
        budgets.blame(why);
        for racer in &mut racers {
            racer.failed = Some(why.clone());
        }
    }
    for racer in &racers {
        if let (Tool::Rvenv, Some(why)) = (racer.tool, &racer.failed) {
            budgets.blame(&format!("{}: {why}", racer.name()));
        }
    }
    tell(&racers, report);
    tell_growth(&racers, report);
    judge(settings, &racers, budgets);
}

fn entered(settings: &Settings) -> Vec<Racer> {
    let count = settings.carried;
    let mut racers = Vec::new();
    let mut enter = |work, tool, count, every| racers.push(Racer::new(work, tool, count, every));
    for size in sizes(settings) {
        enter(Work::New, Tool::Rvenv, size, 1);
        enter(Work::New, Tool::Uv, size, 1);
    }
    let works = [
        Work::Change,
        Work::Nothing,
        Work::Cold,
        Work::ColdUrls,
        Work::ColdBytecode,
        Work::Bytecode,
    ];
    for work in works {
        enter(work, Tool::Rvenv, count, 1);
        enter(work, Tool::Uv, count, 1);
    }
    // pip takes as long as all others together; a quick run starts none of the others.
    if !settings.quick {
        for work in [Work::WithPip, Work::ColdWithPip] {
            enter(work, Tool::Rvenv, count, 1);
            enter(work, Tool::Pip, count, 3);
        }
    }
    racers
}

/// All numbers of packages, in order.
fn sizes(settings: &Settings) -> Vec<usize> {
    let mut sizes = vec![settings.carried];
    if !settings.quick {
        sizes.extend(SIZES);
    }
    sizes.sort_unstable();
    sizes
}

/// The first round fills caches and is not counted; one more after all others measures memory.
fn measure(settings: &Settings, python: &Python, racers: &mut [Racer]) -> Result<(), String> {
    let rivals = Rivals::installed(python, settings);
    let most = sizes(settings).into_iter().max().unwrap_or_default();
    let course = Course::new(python, rivals.uv, settings.carried, most)?;
    let count = racers.len();
    for round in 0..=settings.rounds {
        for turn in 0..count {
            let place = if round % 2 == 0 { turn } else { count - turn };
            if let Some(racer) = racers.get_mut((place + round) % count) {
                racer.run(&course, round);
            }
        }
    }
    for racer in racers.iter_mut().filter(|racer| racer.every == 1) {
        racer.measure_memory(&course, settings.rounds + 1);
    }
    Ok(())
}

impl Racer {
    fn new(work: Work, tool: Tool, count: usize, every: usize) -> Self {
        Self {
            work,
            tool,
            count,
            every,
            times: Times::default(),
            made: Made::default(),
            peak_kib: 0,
            failed: None,
        }
    }

    fn name(&self) -> String {
        format!("{} by {}", self.work.name(self.count), self.tool.name())
    }

    /// A racer that fails once is out.
    fn run(&mut self, course: &Course<'_>, round: usize) {
        if self.failed.is_some() || !round.is_multiple_of(self.every) {
            return;
        }
        let trial = course.trial(self.work, self.tool, self.count, round);
        let took = trial.and_then(|mut trial| {
            let took = time_all(&mut trial.measured, &course.field.root)?;
            if round == 0 {
                self.made = Made::at(&trial.result);
            }
            Ok(took)
        });
        match took {
            Ok(took) if round > 0 => self.times.push(round, took),
            Ok(_) => {}
            Err(why) => self.failed = Some(why),
        }
    }

    fn measure_memory(&mut self, course: &Course<'_>, round: usize) {
        if self.failed.is_some() {
            return;
        }
        let trial = course.trial(self.work, self.tool, self.count, round);
        let peak = trial.and_then(|trial| {
            trial
                .measured
                .iter()
                .map(peak::kib)
                .max_by_key(|peak| {
                    // A failure counts as the most.
                    peak.as_ref().copied().unwrap_or(u64::MAX)
                })
                .unwrap_or(Ok(0))
        });
        match peak {
            Ok(peak) => self.peak_kib = peak,
            Err(why) => self.failed = Some(why),
        }
    }

    fn peak(&self) -> String {
        match self.peak_kib {
            0 => "–".to_owned(),
            kib => format!(
                "{:.1} MiB",
                f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
            ),
        }
    }
}

fn of(racers: &[Racer], work: Work, tool: Tool, count: usize) -> Timed<'_> {
    let mut racers = racers.iter();
    let found = racers.find(|racer| (racer.work, racer.tool, racer.count) == (work, tool, count));
    let racer = found.ok_or("it did not run")?;
    match &racer.failed {
        Some(why) => Err(format!("{}: {why}", racer.name())),
        None => Ok(&racer.times),
    }
}

fn tell(racers: &[Racer], report: &mut Report) {
    let mut sorted: Vec<&Racer> = racers.iter().collect();
    sorted.sort_by_key(|racer| (racer.work, racer.count, racer.tool));
    let rows = sorted.into_iter().map(|racer| {
        let mut row = vec![racer.work.name(racer.count)];
        let tool = racer.tool.name();
        match &racer.failed {
            Some(why) => row.push(format!("{tool}: {why}")),
            None => row.push(tool.to_owned()),
        }
        row.extend(spread_cells(&racer.times));
        let base = of(racers, racer.work, Tool::Uv, racer.count).ok();
        let ratio = base.and_then(|base| racer.times.ratio(base));
        row.push(ratio.map_or("–".to_owned(), |ratio| shown_spread(&ratio)));
        row.extend(
            [racer.made.files, racer.made.bytecode].map(|count| match count {
                0 => "–".to_owned(),
                count => count.to_string(),
            }),
        );
        row.push(racer.peak());
        row
    });
    let head = [
        "work",
        "by",
        "median",
        "quartiles",
        "least",
        "runs",
        "ratio to uv",
        "files",
        "of them .pyc",
        "peak memory",
    ];
    report.table("locked", &head, &rows.collect::<Vec<_>>());
}

/// Time and memory by the number of packages.
fn tell_growth(racers: &[Racer], report: &mut Report) {
    let mut grown: Vec<&Racer> = racers.iter().filter(|racer| racer.is_in_growth()).collect();
    grown.sort_by_key(|racer| (racer.tool, racer.count));
    let rows = grown.into_iter().filter_map(|racer| {
        let median = racer.times.median()?;
        let count = f64::from(u32::try_from(racer.count).unwrap_or(u32::MAX));
        Some(vec![
            racer.tool.name().to_owned(),
            racer.count.to_string(),
            millis(median),
            format!("{:.2} ms", median / count * 1e3),
            racer.peak(),
        ])
    });
    let head = ["by", "packages", "median", "per package", "peak memory"];
    report.table("locked-growth", &head, &rows.collect::<Vec<_>>());
}

impl Racer {
    fn is_in_growth(&self) -> bool {
        self.work == Work::New && self.tool != Tool::Pip
    }
}

fn judge(settings: &Settings, racers: &[Racer], budgets: &mut Budgets) {
    let count = settings.carried;
    for (work, rival, limit) in LIMITS {
        let times = [
            of(racers, work, Tool::Rvenv, count),
            of(racers, work, rival, count),
        ];
        budgets.ratio(&work.name(count), limit, rival.name(), times);
    }
}
