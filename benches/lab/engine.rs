//! Compares engines: each replaces all files of a tree of small files, and ten of them, so that the
//! change survives a power cut.
//!
//! Promises that every engine starts each round from the same tree, on its own empty filesystem
//! where one can be mounted: ext4 does not reuse an inode number for minutes and skips every freed
//! one, which slows an engine down that makes files where others were deleted. Each engine is
//! called as its own documentation shows, and must leave the right bytes in every file, or does not
//! count. The clock runs inside the process, from the engine's first call to its last, including
//! the deletion of the old tree.
//!
//! The rivals are a separate program, `benches/rivals/`, so that only this bench builds them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::budgets::Budgets;
use super::field::Field;
use super::report::{Report, spread_cells};
use super::rivals::{self, done};
use super::settings::Settings;
use super::small_files;
use super::timing::{Times, settle};

/// Workloads, and their names in tables.
const WORKLOADS: &[(&str, &str)] = &[("all", "replace all"), ("ten", "replace ten")];

/// Room for the largest tree, twice.
const IMAGE_BYTES: u64 = 1 << 30;

/// The names of directories that engines keep for themselves.
const OWN: &[&str] = &[".rvenv", ".fstx", ".fstx-journal"];

/// An engine with its own tree.
struct Racer {
    name: &'static str,
    program: Result<PathBuf, String>,
    /// The arguments before those of the workload.
    words: Vec<String>,
    /// The directory in which it runs without its own filesystem.
    place: PathBuf,
    /// The edition of each file.
    editions: Vec<usize>,
    /// Per workload: the whole time, and the time until the new tree is durable where the engine
    /// reports it.
    all: Vec<Times>,
    durable: Vec<Times>,
    failed: Option<String>,
}

/// Races with small and large trees.
pub(crate) fn run(settings: &Settings, report: &mut Report, budgets: &mut Budgets) {
    let rivals = build_rivals(settings);
    let sizes: &[usize] = if settings.quick {
        &[200]
    } else {
        &[1000, 10_000]
    };
    let mut rows = Vec::new();
    for &files in sizes {
        let rounds = if files > 1000 {
            settings.fewer_rounds()
        } else {
            settings.rounds
        };
        let racers = race(files, rounds, &rivals);
        if let Some(why) = racers.first().and_then(|own| own.failed.as_ref()) {
            budgets.blame(&format!("replacing files: {why}"));
        }
        for (number, (_, workload)) in WORKLOADS.iter().enumerate() {
            let work = format!("{workload} of {files} files");
            rows.extend(workload_rows(&work, number, &racers));
        }
        if files == sizes.first().copied().unwrap_or_default() {
            judge(files, &racers, budgets);
        }
    }
    let head = [
        "work",
        "engine",
        "median",
        "quartiles",
        "least",
        "runs",
        "ratio",
    ];
    report.table("engines", &head, &rows);
}

fn judge(files: usize, racers: &[Racer], budgets: &mut Budgets) {
    let timed = |racer: &'_ Racer| match &racer.failed {
        Some(why) => Err(why.clone()),
        None => Ok(racer.all.first().cloned().unwrap_or_default()),
    };
    let Some((own, others)) = racers.split_first() else {
        return;
    };
    let own = timed(own);
    for other in others {
        let work = format!("engine: replace all of {files} small files, power-durable");
        let base = timed(other);
        let pair = [own.as_ref(), base.as_ref()].map(|times| times.map_err(Clone::clone));
        budgets.ratio(&work, 0.2, &format!("`{}`", other.name), pair);
    }
}

fn workload_rows(work: &str, workload: usize, racers: &[Racer]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let base = racers.first().and_then(|racer| racer.all.get(workload));
    let mut add = |name: String, times: Option<&Times>| {
        let Some((times, base)) = times.zip(base) else {
            return;
        };
        let ratio = times.ratio(base);
        let ratio = ratio.map_or("–".to_owned(), |ratio| format!("{:.2}", ratio.median));
        let mut row = vec![work.to_owned(), name];
        row.extend(spread_cells(times));
        row.push(ratio);
        rows.push(row);
    };
    for racer in racers {
        let name = match &racer.failed {
            Some(why) => format!("{}: {why}", racer.name),
            None => racer.name.to_owned(),
        };
        add(name, racer.all.get(workload));
        if racer
            .durable
            .get(workload)
            .is_some_and(|times| times.len() > 0)
        {
            let name = format!("{}, until the new files are durable", racer.name);
            add(name, racer.durable.get(workload));
        }
    }
    rows
}

fn race(files: usize, rounds: usize, rivals: &Result<PathBuf, String>) -> Vec<Racer> {
    let field = Field::on_disk();
    let own = std::env::current_exe().map_err(|error| error.to_string());
    let engine = |name: &'static str, program: &Result<PathBuf, String>, word: &str| Racer {
        name,
        program: program.clone(),
        words: vec![word.to_owned()],
        place: field.root.join(name),
        editions: vec![0; files],
        all: WORKLOADS.iter().map(|_| Times::default()).collect(),
        durable: WORKLOADS.iter().map(|_| Times::default()).collect(),
        failed: None,
    };
    let mut racers = vec![
        engine("rvenv-journal", &own, "child:engine"),
        engine("fstx", rivals, "fstx"),
        engine("fs-transaction", rivals, "fs-transaction"),
    ];
    let count = racers.len();
    for round in 0..=rounds {
        for workload in 0..WORKLOADS.len() {
            for turn in 0..count {
                let place = if round % 2 == 0 { turn } else { count - turn };
                if let Some(racer) = racers.get_mut((place + round) % count) {
                    racer.run(round, workload);
                }
            }
        }
    }
    racers
}

impl Racer {
    /// Makes a new tree, in which every file has its first edition.
    fn make_tree(&mut self, tree: &Path) {
        self.editions.fill(0);
        for file in 0..self.editions.len() {
            let path = tree.join(small_files::path(file));
            let dir = path.parent().expect("a file is in a directory");
            fs::create_dir_all(dir).expect("a directory can be made");
            fs::write(path, small_files::bytes(file, 0)).expect("a file can be written");
        }
    }

    /// The first round warms caches and is not counted; a failed round is the last.
    fn run(&mut self, round: usize, workload: usize) {
        if self.failed.is_some() {
            return;
        }
        match self.try_run(round, workload) {
            Ok(_) if round == 0 => {}
            Ok((durable, all)) => {
                if let Some(times) = self.all.get_mut(workload) {
                    times.push(round, all);
                }
                if let Some((times, durable)) = self.durable.get_mut(workload).zip(durable) {
                    times.push(round, durable);
                }
            }
            Err(why) => self.failed = Some(why),
        }
    }

    fn try_run(
        &mut self,
        round: usize,
        workload: usize,
    ) -> Result<(Option<Duration>, Duration), String> {
        let (workload_word, _) = WORKLOADS.get(workload).ok_or("there is no such workload")?;
        let edition = round * WORKLOADS.len() + workload + 1;
        let program = self.program.clone()?;
        let own = Field::on_image("ext4", IMAGE_BYTES);
        let place = own.as_ref().map_or(&self.place, |field| &field.root);
        let tree = place.join(format!("round-{round}-{workload}")).join("site");
        self.make_tree(&tree);
        settle(&tree);
        let output = Command::new(program)
            .args(&self.words)
            .arg(workload_word)
            .arg(self.editions.len().to_string())
            .arg(edition.to_string())
            .arg(&tree)
            .output()
            .map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() {
            return Err(said);
        }
        for file in small_files::replaced(workload_word, self.editions.len()) {
            if let Some(known) = self.editions.get_mut(file) {
                *known = edition;
            }
        }
        self.check(&tree)?;
        let nanos: Vec<u64> = said
            .split(' ')
            .filter_map(|word| word.parse().ok())
            .collect();
        let all = nanos.last().copied().ok_or(said)?;
        let durable = nanos.first().filter(|_| nanos.len() > 1).copied();
        Ok((durable.map(Duration::from_nanos), Duration::from_nanos(all)))
    }

    /// Checks that every file has the right bytes, and that no other file exists.
    fn check(&self, tree: &Path) -> Result<(), String> {
        for (file, &edition) in self.editions.iter().enumerate() {
            let path = tree.join(small_files::path(file));
            let bytes = fs::read(&path).map_err(|error| error.to_string())?;
            if bytes != small_files::bytes(file, edition) {
                return Err(format!("{} has different content", path.display()));
            }
        }
        let found = count_files(tree).map_err(|error| error.to_string())?;
        if found == self.editions.len() {
            return Ok(());
        }
        Err(format!(
            "there are {found} files, not {}",
            self.editions.len()
        ))
    }
}

fn count_files(dir: &Path) -> std::io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if OWN.iter().any(|own| entry.file_name() == *own) {
            continue;
        }
        count += if entry.file_type()?.is_dir() {
            count_files(&entry.path())?
        } else {
            1
        };
    }
    Ok(count)
}

/// Builds the rivals' program once, or returns why that failed.
fn build_rivals(settings: &Settings) -> Result<PathBuf, String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/rivals/Cargo.toml");
    let into = rivals::folder().join("engines");
    let program = into.join("release/engines");
    if settings.quick {
        let why = "a quick run builds no rivals".to_owned();
        return if program.is_file() {
            Ok(program)
        } else {
            Err(why)
        };
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    done(
        Command::new(cargo)
            .args([
                "build",
                "--quiet",
                "--release",
                "--locked",
                "--manifest-path",
            ])
            .arg(manifest)
            .arg("--target-dir")
            .arg(&into),
    )?;
    Ok(program)
}
