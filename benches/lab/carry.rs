//! Pure packages carried from one Python to the next, against `uv pip sync` of the same wheels into
//! a new environment.
//!
//! The wheels are made here. rvenv carries what is installed, makes the change durable, and can go
//! back; after each upgrade it does, unmeasured. uv gets a new empty environment each time,
//! unmeasured too, and links from its cache. Neither uses a network.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::budgets::{Budgets, Timed, shown_spread};
use super::field::Field;
use super::report::{Report, spread_cells};
use super::rivals::{Python, Rivals, done};
use super::settings::Settings;
use super::timing::{Times, time};
use super::wheels::{VERSION, Wheels};

/// Most of what `uv pip sync` takes.
const SHARE: f64 = 0.5;
const SYNC: &str = "`uv pip sync`";

/// The times of both, or why there are none.
type Measured = [Result<Times, String>; 2];

/// Measures the change of Python.
pub(crate) fn run(settings: &Settings, report: &mut Report, budgets: &mut Budgets) {
    let count = settings.carried;
    let pythons = Python::all();
    let measured = if let [.., old, new] = pythons.as_slice() {
        measure(settings, [old, new]).unwrap_or_else(|why| {
            budgets.blame(&why);
            [Err(why.clone()), Err(why)]
        })
    } else {
        let none = "there are no two CPythons here that bundle only pip".to_owned();
        [Err(none.clone()), Err(none)]
    };
    tell(count, &measured, report);
    let [own, rival] = measured.each_ref().map(as_timed);
    let work = format!("carrying {count} pure packages to another Python");
    budgets.ratio(&work, SHARE, SYNC, [own, rival]);
}

fn as_timed(times: &Result<Times, String>) -> Timed<'_> {
    times.as_ref().map_err(Clone::clone)
}

fn tell(count: usize, measured: &Measured, report: &mut Report) {
    let names = ["`rvenv upgrade`", SYNC];
    let base = measured.last().and_then(|times| times.as_ref().ok());
    let rows = names.iter().zip(measured).map(|(name, times)| {
        let mut row = vec![(*name).to_owned()];
        match times {
            Ok(times) => {
                row.extend(spread_cells(times));
                let ratio = base.and_then(|base| times.ratio(base));
                row.push(ratio.map_or("–".to_owned(), |ratio| shown_spread(&ratio)));
            }
            Err(why) => row.push(why.clone()),
        }
        row
    });
    let count = format!("with {count} pure packages");
    let head = [
        &count,
        "median",
        "quartiles",
        "least",
        "runs",
        "ratio to `uv pip sync`",
    ];
    report.table("carry", &head, &rows.collect::<Vec<_>>());
}

/// What both work on.
struct Course {
    field: Field,
    wheels: PathBuf,
    lock: PathBuf,
}

fn measure(settings: &Settings, [old, new]: [&Python; 2]) -> Result<Measured, String> {
    let course = Course::new(settings, old)?;
    let field = &course.field;
    let target = field.root.join("carried");
    done(&mut field.rvenv(&["create"], old, &target))?;
    let mut pip = field.command(&target.join("bin/python"));
    pip.args(["-m", "pip", "install", "-q", "--no-index", "--find-links"]);
    done(pip.arg(&course.wheels).arg("-r").arg(&course.lock))?;
    let rivals = Rivals::installed(new, settings);
    let mut own = Times::default();
    let mut synced = rivals
        .uv
        .as_ref()
        .map(|_| Times::default())
        .map_err(Clone::clone);
    // The first round warms caches and is not counted.
    for round in 0..=settings.fewer_rounds() {
        let took = time(&mut field.rvenv(&["upgrade"], new, &target), &field.root)?;
        done(&mut field.rvenv(&["rollback"], new, &target))?;
        if round > 0 {
            own.push(round, took);
        }
        if let (Ok(times), Ok(uv)) = (&mut synced, &rivals.uv) {
            let took = course.sync(uv, new, round)?;
            if round > 0 {
                times.push(round, took);
            }
        }
    }
    Ok([Ok(own), synced])
}

impl Course {
    fn new(settings: &Settings, python: &Python) -> Result<Self, String> {
        let field = Field::on_disk();
        let lock = field.root.join("lock.txt");
        let count = settings.carried;
        let wheels = Wheels::new(&field)?;
        wheels.make(&field, python, count, VERSION)?;
        let mut text = String::new();
        for number in 0..count {
            let _infallible = writeln!(text, "package_{number}=={VERSION}");
        }
        fs::write(&lock, text).map_err(|error| error.to_string())?;
        Ok(Self {
            field,
            wheels: wheels.dir,
            lock,
        })
    }

    /// The time of a sync into a new environment.
    fn sync(
        &self,
        uv: &Path,
        python: &Python,
        round: usize,
    ) -> Result<std::time::Duration, String> {
        let field = &self.field;
        let target = field.root.join(format!("synced-{round}"));
        let mut venv = field.command(uv);
        venv.args(["venv", "-q", "--python"]).arg(&python.path);
        done(venv.arg(&target))?;
        let mut sync = field.command(uv);
        sync.args(["pip", "sync", "-q", "--no-index", "--find-links"])
            .arg(&self.wheels)
            .arg("--python")
            .arg(target.join("bin/python"))
            .arg(&self.lock);
        time(&mut sync, &field.root)
    }
}
