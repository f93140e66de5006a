//! Environments with many installed distributions: what looks at them takes time in proportion to
//! their number, and little of it.
//!
//! The distributions are laid out by hand, each with a package of a few modules, as an installer
//! leaves them. `uv pip list` looks at the same ones, side by side.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::budgets::{Budgets, Timed, shown_spread};
use super::field::Field;
use super::report::{Report, spread_cells};
use super::rivals::{Python, Rivals, done};
use super::settings::Settings;
use super::timing::{Times, time};

/// How long `status` may take, in milliseconds: for itself, and for each distribution.
const STATUS_MS: [f64; 2] = [5.0, 0.05];
/// How many modules a package has.
const MODULES: usize = 5;

/// What looks at the distributions, and its name in the tables.
const LOOKS: [(&str, Look); 4] = [
    ("`rvenv status`", Look::Own(&["status"])),
    ("`rvenv plan --clear`", Look::Planning(&["plan", "--clear"])),
    ("`rvenv create`, nothing to do", Look::Planning(&["create"])),
    ("`uv pip list`", Look::Uv),
];

#[derive(Clone, Copy)]
enum Look {
    /// A command of rvenv that takes no interpreter.
    Own(&'static [&'static str]),
    /// One that does.
    Planning(&'static [&'static str]),
    Uv,
}

/// Measures the looks.
pub(crate) fn run(settings: &Settings, report: &mut Report, budgets: &mut Budgets) {
    let Some(python) = Python::choose(settings) else {
        let none = "there is no CPython here, so no packages are looked at";
        judge(settings, &Err(none.to_owned()), budgets);
        return;
    };
    let rivals = Rivals::installed(&python, settings);
    let measured = measure(settings, &python, &rivals).inspect_err(|why| budgets.blame(why));
    if let Ok(times) = &measured {
        tell(settings, times, report);
    }
    judge(settings, &measured, budgets);
}

/// The times of each look, or why it was not measured.
fn measure(
    settings: &Settings,
    python: &Python,
    rivals: &Rivals,
) -> Result<Vec<Result<Times, String>>, String> {
    let field = Field::on_disk();
    let target = field.root.join("full");
    done(&mut field.rvenv(&["create"], python, &target))?;
    lay(&target, settings.distributions).map_err(|error| error.to_string())?;
    let mut times: Vec<_> = LOOKS.iter().map(|_| Ok(Times::default())).collect();
    for round in 0..=settings.rounds {
        for ((name, look), times) in LOOKS.iter().zip(&mut times) {
            let Ok(taken) = times else { continue };
            let mut command = match (look, &rivals.uv) {
                (Look::Own(words), _) => {
                    let mut command = field.command(Path::new(env!("CARGO_BIN_EXE_rvenv")));
                    command.args(*words).arg(&target);
                    command
                }
                (Look::Planning(words), _) => field.rvenv(words, python, &target),
                (Look::Uv, Ok(uv)) => listed(&field, uv, &target),
                (Look::Uv, Err(why)) => {
                    *times = Err(why.clone());
                    continue;
                }
            };
            let took = time(&mut command, &field.root).map_err(|why| format!("{name}: {why}"))?;
            // The first round warms caches and is not counted.
            if round > 0 {
                taken.push(round, took);
            }
        }
    }
    Ok(times)
}

fn listed(field: &Field, uv: &Path, target: &Path) -> Command {
    let mut command = field.command(uv);
    command
        .args(["pip", "list", "-q", "--python"])
        .arg(target.join("bin/python"));
    command
}

fn tell(settings: &Settings, times: &[Result<Times, String>], report: &mut Report) {
    let base = times.last().and_then(|times| times.as_ref().ok());
    let rows = LOOKS.iter().zip(times).map(|((name, _), times)| {
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
    let count = format!("with {} distributions", settings.distributions);
    let head = [
        &count,
        "median",
        "quartiles",
        "least",
        "runs",
        "ratio to `uv pip list`",
    ];
    report.table("packages", &head, &rows.collect::<Vec<_>>());
}

fn judge(
    settings: &Settings,
    measured: &Result<Vec<Result<Times, String>>, String>,
    budgets: &mut Budgets,
) {
    let count = settings.distributions;
    let [own, each] = STATUS_MS;
    let many = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let status = of(measured, 0).and_then(|times| {
        let median = times.median().ok_or("it did not run")?;
        Ok(median * 1000.0)
    });
    let work = format!("`status` of an environment with {count} distributions");
    budgets.value(&work, own + each * many, "ms", status);
}

fn of(measured: &Result<Vec<Result<Times, String>>, String>, at: usize) -> Timed<'_> {
    let times = measured.as_ref().map_err(Clone::clone)?;
    let times = times.get(at).ok_or("it did not run")?;
    times.as_ref().map_err(Clone::clone)
}

/// Lays distributions out in an environment as an installer leaves them.
fn lay(target: &Path, count: usize) -> std::io::Result<()> {
    for version in fs::read_dir(target.join("lib"))? {
        let site = version?.path().join("site-packages");
        for number in 0..count {
            let name = format!("package_{number}");
            let info = format!("{name}-1.{number}.dist-info");
            let mut rows = String::new();
            let mut put = |path: String, text: &str| {
                fs::write(site.join(&path), text)?;
                let _infallible = writeln!(rows, "{path},,{}", text.len());
                Ok::<(), std::io::Error>(())
            };
            fs::create_dir(site.join(&name))?;
            fs::create_dir(site.join(&info))?;
            for module in 0..MODULES {
                put(
                    format!("{name}/module_{module}.py"),
                    &format!("MODULE = {module}\n"),
                )?;
            }
            put(format!("{info}/METADATA"), &metadata(&name, number))?;
            put(format!("{info}/INSTALLER"), "pip\n")?;
            put(format!("{info}/WHEEL"), WHEEL)?;
            let _infallible = writeln!(rows, "{info}/RECORD,,");
            fs::write(site.join(&info).join("RECORD"), rows)?;
        }
    }
    Ok(())
}

const WHEEL: &str =
    "Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n";

/// Metadata of the length that it has in real packages.
fn metadata(name: &str, number: usize) -> String {
    let mut text = format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.{number}\n");
    for other in number.saturating_sub(3)..number {
        let _infallible = writeln!(text, "Requires-Dist: package_{other}>=1");
    }
    text += "\n";
    text += &"A description that says at length what the package is for.\n".repeat(60);
    text
}
