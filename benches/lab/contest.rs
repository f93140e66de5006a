//! The race of creating environments: rvenv, its rivals and the floor, each in a fresh directory in
//! every round.
//!
//! Promises that all get the same interpreter and the same pip, from the interpreter's own wheel;
//! that the files of each result are counted and shown; that the order rotates from round to round
//! and is reversed in every other one; and that no tree is deleted before the race ends, because
//! deletion leaves work for the filesystem's journal. Rivals sync nothing; the bench flushes the
//! writes that they leave to the kernel before the next one starts, unmeasured.

use std::path::PathBuf;

use super::budgets::{Budgets, Timed, shown_spread};
use super::calls;
use super::field::Field;
use super::made::Made;
use super::plot::{Dot, Side, dot_plot};
use super::race::{
    BYTECODE, CREATE, FLOOR, HARD, NOTHING, PLAN, Race, START, TRUE, UV, UV_SEED, VENV,
    WITHOUT_PIP, make_floor,
};
use super::report::{Report, millis, spread_cells};
use super::rivals::{Python, Rivals, version};
use super::settings::Settings;
use super::timing::Times;

/// The absolute limit for the start of the program, in milliseconds.
const START_MILLIS_MAX: f64 = 2.0;

/// Races on ext4 with all rivals, then with a few on other filesystems.
pub(crate) fn run(settings: &Settings, report: &mut Report, budgets: &mut Budgets) {
    let Some(python) = Python::choose(settings) else {
        let why = "there is no CPython here, so no environments are made";
        return judge(&|_| Err(why.to_owned()), budgets);
    };
    let rivals = Rivals::installed(&python, settings);
    report.say("rivals", &introduce(&python, &rivals));
    let field = Field::on_disk();
    let script = make_floor(&field, &python);
    let mut race = Race::new(&field, &python);
    race.enter_rvenv();
    race.enter_rivals(&rivals, settings);
    race.enter_floor(&script);
    race.run(settings.rounds);
    race.tell(report);
    judge(&|name| race.times(name), budgets);
    race.blame(budgets);
    report.table("calls", calls::HEAD, &race.calls());
    elsewhere((&python, &rivals), settings, report, budgets);
}

fn introduce(python: &Python, rivals: &Rivals) -> String {
    let shown = |rival: &Result<PathBuf, String>, name: &str| match rival {
        Ok(path) => version(path),
        Err(why) => format!("{name} is MISSING ({why})"),
    };
    format!(
        "CPython {} with its own pip {} for all rows; {}; {}.",
        python.version,
        python.pip,
        shown(&rivals.uv, "uv"),
        shown(&rivals.virtualenv, "virtualenv")
    )
}

impl Race<'_> {
    fn tell(&self, report: &mut Report) {
        let base = self.times(CREATE).ok();
        let mut rows = Vec::new();
        let mut dots = Vec::new();
        for entrant in &self.entrants {
            let ratio = base.and_then(|base| entrant.times.ratio(base));
            let mut row = vec![entrant.name.clone()];
            if let Err(why) = &entrant.start {
                row = vec![format!("{}: {why}", entrant.name)];
            }
            row.extend(spread_cells(&entrant.times));
            row.push(ratio.map_or("–".to_owned(), |ratio| shown_spread(&ratio)));
            let made = entrant.made.unwrap_or_default();
            row.extend([made.files, made.bytecode, made.dirs, made.links].map(shown_count));
            rows.push(row);
            if let Some(spread) = entrant.times.spread().filter(|_| entrant.made.is_some()) {
                let name = entrant.name.split(" (").next().unwrap_or_default();
                let side = match name {
                    name if name.starts_with("rvenv") => Side::Ours,
                    name if name.starts_with("floor") => Side::Floor,
                    _ => Side::Theirs,
                };
                let name = name.to_owned();
                dots.push(Dot { name, side, spread });
            }
        }
        self.tell_shortly(report);
        let ratio = format!("ratio to `{CREATE}`");
        let head = [
            "command",
            "median",
            "quartiles",
            "least",
            "runs",
            &ratio,
            "files",
            "of them .pyc",
            "directories",
            "links",
        ];
        report.table("create", &head, &rows);
        let filesystem = &self.field.filesystem;
        report.say("create-notes", &self.notes());
        dots.sort_by(|one, other| one.spread.median.total_cmp(&other.spread.median));
        let title = format!("Creating an environment on {filesystem}, warm caches");
        report.plot("create.svg", dot_plot(&title, &dots));
    }

    /// The short table for readers who only want to know how fast rvenv is.
    fn tell_shortly(&self, report: &mut Report) {
        let shown = [
            CREATE,
            UV_SEED,
            "virtualenv",
            VENV,
            WITHOUT_PIP,
            UV,
            "python -m venv --without-pip",
        ];
        let rows = shown.into_iter().filter_map(|name| {
            let times = self.times(name).ok()?;
            let ratio = times.ratio(self.times(CREATE).ok()?)?;
            let cells = [
                format!("`{name}`"),
                millis(times.median()?),
                format!("{:.2}", ratio.median),
            ];
            Some(cells.to_vec())
        });
        let rows: Vec<_> = rows.collect();
        report.table("speed", &["command", "median", "ratio"], &rows);
    }

    /// Notes on rivals that made other files than rvenv.
    fn notes(&self) -> String {
        let made = |name: &str| {
            let found = self.entrants.iter().find(|entrant| entrant.name == name);
            found.and_then(|entrant| entrant.made)
        };
        let mut notes = vec!["Files beyond bytecode, against `rvenv create`:".to_owned()];
        let Some(own) = made(CREATE) else {
            return "rvenv made nothing to compare with.".to_owned();
        };
        let sources = |made: &Made| made.files - made.bytecode;
        for name in [UV_SEED, "virtualenv", VENV, FLOOR] {
            if let Some(other) = made(name) {
                let (other, own) = (sources(&other), sources(&own));
                notes.push(format!("{name} {other} to {own};"));
            }
        }
        notes.push("the rest are activation scripts, markers and receipts.".to_owned());
        notes.join(" ")
    }

    /// Counts each variant of rvenv that does not run as a defect, except options that this rvenv
    /// does not have yet.
    fn blame(&self, budgets: &mut Budgets) {
        for entrant in &self.entrants {
            let is_rvenv = entrant.name.starts_with("rvenv") || entrant.name.starts_with("floor");
            if let Err(why) = &entrant.start
                && is_rvenv
                && !why.contains("unexpected argument")
            {
                budgets.blame(&format!("{}: {why}", entrant.name));
            }
        }
    }

    /// The system calls of some racers per file of the result.
    fn calls(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for name in [CREATE, WITHOUT_PIP, UV, UV_SEED, FLOOR] {
            let found = self.entrants.iter().find(|entrant| entrant.name == name);
            let Some((start, made)) = found.and_then(|entrant| {
                let start = entrant.start.as_ref().ok()?;
                Some((start, entrant.made?))
            }) else {
                continue;
            };
            let target = self.field.root.join(format!("calls-{}", rows.len()));
            let cells = calls::cells(&start(&target), &self.field.root, made.files);
            rows.push([vec![name.to_owned()], cells].concat());
        }
        rows
    }
}

/// Compares each time with its budget; what did not run is not measured.
fn judge<'a>(times: &dyn Fn(&str) -> Timed<'a>, budgets: &mut Budgets) {
    let of = |own: &str, base: &str| [times(own), times(base)];
    let same = "create without pip";
    budgets.ratio(same, 0.5, "`uv venv`", of(WITHOUT_PIP, UV));
    let seeded = "create with pip, power-durable";
    budgets.ratio(seeded, 0.6, "`uv venv --seed`", of(CREATE, UV_SEED));
    let compiled = "create with pip and bytecode";
    budgets.ratio(compiled, 0.01, "`python -m venv`", of(BYTECODE, VENV));
    let floor = "create with pip against the floor";
    budgets.ratio(floor, 1.5, "the floor with `syncfs`", of(CREATE, FLOOR));
    budgets.ratio("plan", 0.5, "`uv venv`", of(PLAN, UV));
    let nothing = "create with nothing to do";
    budgets.ratio(nothing, 0.5, "`uv venv`", of(NOTHING, UV));
    // Subtracts what the system needs to start and end any process.
    let median = |name| -> Result<f64, String> {
        let median = times(name)?.median();
        median.ok_or_else(|| "it did not run".to_owned())
    };
    let start = median(START).and_then(|own| Ok((own - median(TRUE)?) * 1000.0));
    let work = "start of the program itself (`rvenv --version` without what `true` takes)";
    budgets.value(work, START_MILLIS_MAX, "ms", start);
}

/// The same race on other filesystems, between racers that make the same files.
fn elsewhere(
    with: (&Python, &Rivals),
    settings: &Settings,
    report: &mut Report,
    budgets: &mut Budgets,
) {
    let (python, rivals) = with;
    let mut rows = Vec::new();
    for kind in ["ext4", "xfs", "btrfs", "tmpfs"] {
        let field = match Field::on(kind) {
            Ok(field) => field,
            Err(why) => {
                rows.push(vec![kind.to_owned(), format!("not measured: {why}")]);
                continue;
            }
        };
        let script = make_floor(&field, python);
        let mut race = Race::new(&field, python);
        race.enter_rvenv();
        race.enter_uv(rivals);
        race.enter_floor(&script);
        let shown = [CREATE, HARD, UV_SEED, FLOOR];
        race.entrants
            .retain(|entrant| shown.contains(&entrant.name.as_str()));
        race.run(settings.fewer_rounds());
        race.blame(budgets);
        let median = |name| race.times(name).map(Times::median);
        let cells = shown.map(|name| match median(name) {
            Ok(Some(median)) => millis(median),
            Ok(None) => "–".to_owned(),
            Err(why) => why,
        });
        rows.push([vec![kind.to_owned()], cells.to_vec()].concat());
    }
    let head = ["filesystem", CREATE, HARD, UV_SEED, FLOOR];
    report.table("filesystems", &head, &rows);
}

fn shown_count(count: usize) -> String {
    match count {
        0 => "–".to_owned(),
        _ => count.to_string(),
    }
}
