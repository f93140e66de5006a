//! Measures how time and memory grow with a plan: a hundred to a hundred thousand files, linked out
//! of a store.
//!
//! Each size is published into an absent target, exchanged for another edition of itself, and
//! verified, each by a separate process that reports its time and its peak memory. Promises that
//! the sizes take turns within each round.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rvenv_journal::Digest;

use super::budgets::Budgets;
use super::field::Field;
use super::plot::{Curve, growth_plot};
use super::report::{Report, millis};
use super::settings::Settings;
use super::small_files;
use super::subject::{OBJECT_MTIME, OBJECTS};
use super::timing::{Times, settle};

/// Workloads, in the order in which one needs the result of the other.
const WORKLOADS: &[(&str, &str)] = &[
    ("put", "publish into an absent target"),
    ("swap", "replace the whole tree"),
    ("verify", "verify, every byte read"),
];

/// A generous estimate of how long a deleted file keeps the filesystem busy.
const AFTER_DELETING: Duration = Duration::from_micros(20);

/// The memory that the largest plan may take, in mebibytes.
const PEAK_MIB_MAX: f64 = 100.0;

#[derive(Default)]
struct Grown {
    files: usize,
    times: Vec<Times>,
    peak_kib: Vec<u64>,
    failed: Option<String>,
}

/// Measures all sizes; the memory budget applies to the largest plan.
pub(crate) fn run(settings: &Settings, report: &mut Report, budgets: &mut Budgets) {
    let sizes: &[usize] = if settings.quick {
        &[100, 1000]
    } else {
        &[100, 1000, 10_000, 100_000]
    };
    let field = Field::on_disk();
    let store = field.root.join("store");
    make_store(&store);
    let mut grown: Vec<Grown> = sizes.iter().map(|&files| Grown::new(files)).collect();
    for round in 0..=settings.fewer_rounds() {
        for size in &mut grown {
            let dir = field.root.join(format!("{}-{round}", size.files));
            for workload in 0..WORKLOADS.len() {
                size.run(round, workload, [&dir, &store]);
            }
        }
        grown.reverse();
    }
    grown.sort_by_key(|size| size.files);
    tell(&grown, report);
    if let Some(largest) = grown.last() {
        if let Some(why) = &largest.failed {
            budgets.blame(&format!("{} operations: {why}", largest.files));
        }
        let peak = match &largest.failed {
            Some(why) => Err(why.clone()),
            None => Ok(largest.peak_mib()),
        };
        let work = format!("peak memory with {} operations", largest.files);
        budgets.value(&work, PEAK_MIB_MAX, "MiB", peak);
    }
}

fn make_store(store: &Path) {
    fs::create_dir(store).expect("a store can be made");
    let times = std::fs::FileTimes::new();
    let then = std::time::UNIX_EPOCH + Duration::from_secs(OBJECT_MTIME.unsigned_abs());
    for object in 0..OBJECTS {
        let bytes = small_files::bytes(object, 0);
        let path = store.join(Digest::of(&bytes).to_string());
        fs::write(&path, bytes).expect("an object can be written");
        let file = fs::File::options().append(true).open(path);
        let file = file.expect("an object can be opened");
        file.set_times(times.set_modified(then))
            .expect("an object has a time");
    }
}

fn tell(grown: &[Grown], report: &mut Report) {
    let mut rows = Vec::new();
    let mut curves = Vec::new();
    for (number, (_, workload)) in WORKLOADS.iter().enumerate() {
        let mut points = Vec::new();
        for size in grown {
            let Some(median) = size.times.get(number).and_then(Times::median) else {
                continue;
            };
            let files = f64::from(u32::try_from(size.files).unwrap_or(u32::MAX));
            points.push((files, median));
            let peak = size.peak_kib.get(number).copied().unwrap_or_default();
            rows.push(vec![
                (*workload).to_owned(),
                size.files.to_string(),
                millis(median),
                format!("{:.1} µs", median / files * 1e6),
                format!("{:.1} MiB", mib(peak)),
            ]);
        }
        curves.push(Curve {
            name: (*workload).to_owned(),
            points,
        });
    }
    let head = ["work", "files", "median", "per file", "peak memory"];
    report.table("growth", &head, &rows);
    for size in grown {
        if let Some(why) = &size.failed {
            println!("{} files: {why}\n", size.files);
        }
    }
    report.plot("growth.svg", growth_plot(&curves));
}

impl Grown {
    fn new(files: usize) -> Self {
        Self {
            files,
            times: WORKLOADS.iter().map(|_| Times::default()).collect(),
            peak_kib: WORKLOADS.iter().map(|_| 0).collect(),
            failed: None,
        }
    }

    fn peak_mib(&self) -> f64 {
        mib(self.peak_kib.iter().copied().max().unwrap_or_default())
    }

    /// The first round warms caches and is not counted.
    fn run(&mut self, round: usize, workload: usize, [dir, store]: [&PathBuf; 2]) {
        if self.failed.is_some() {
            return;
        }
        let Some((word, _)) = WORKLOADS.get(workload) else {
            return;
        };
        settle(store);
        let told = grow(word, self.files, [dir, store]);
        if *word == "swap" {
            // The old tree was deleted; the filesystem still works on that.
            std::thread::sleep(AFTER_DELETING * u32::try_from(self.files).unwrap_or(u32::MAX));
        }
        match told {
            Ok((took, peak)) => {
                if let Some(times) = self.times.get_mut(workload).filter(|_| round > 0) {
                    times.push(round, took);
                }
                if let Some(known) = self.peak_kib.get_mut(workload) {
                    *known = peak.max(*known);
                }
            }
            Err(why) => self.failed = Some(why),
        }
    }
}

fn grow(
    workload: &str,
    files: usize,
    [dir, store]: [&PathBuf; 2],
) -> Result<(Duration, u64), String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(own)
        .args(["child:grow", workload, &files.to_string()])
        .args([dir, store])
        .output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let told = said.split_once(' ').and_then(|(nanos, peak)| {
        Some((
            Duration::from_nanos(nanos.parse().ok()?),
            peak.parse().ok()?,
        ))
    });
    match told {
        Some(told) if output.status.success() => Ok(told),
        Some(_) | None => Err(said),
    }
}

fn mib(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}
