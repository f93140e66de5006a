//! Clocks: how long a command takes after the disk has settled, and statistics of many such times.
//!
//! Promises medians with their quartiles, and ratios of medians with the quartiles of the ratios
//! within each round, so that a slow round slows both sides of a ratio.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The pause after a sync, in which the disk settles.
const PAUSE: Duration = Duration::from_millis(50);

/// Times in seconds, each with its round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<(usize, f64)>);

/// The median and its quartiles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Times {
    pub(crate) fn push(&mut self, round: usize, took: Duration) {
        self.0.push((round, took.as_secs_f64()));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// `None` where no times exist.
    pub(crate) fn spread(&self) -> Option<Spread> {
        spread(self.0.iter().map(|(_, took)| *took).collect())
    }

    pub(crate) fn median(&self) -> Option<f64> {
        Some(self.spread()?.median)
    }

    /// The ratio of the medians, between the quartiles of the ratios of the rounds in which both
    /// ran.
    pub(crate) fn ratio(&self, base: &Self) -> Option<Spread> {
        let of = |round| base.0.iter().find(|(other, _)| *other == round);
        let pairs = self.0.iter();
        let ratios = pairs.filter_map(|(round, took)| Some(took / of(*round)?.1));
        let around = spread(ratios.collect())?;
        let median = self.median()? / base.median()?;
        Some(Spread { median, ..around })
    }
}

fn spread(mut values: Vec<f64>) -> Option<Spread> {
    values.sort_by(f64::total_cmp);
    Some(Spread {
        least: quarter(&values, 0)?,
        low: quarter(&values, 1)?,
        median: quarter(&values, 2)?,
        high: quarter(&values, 3)?,
    })
}

/// The quartile of a sorted list, interpolated between two values.
fn quarter(sorted: &[f64], quarters: usize) -> Option<f64> {
    let place = quarters * sorted.len().checked_sub(1)?;
    let below = *sorted.get(place / 4)?;
    let above = *sorted.get(place.div_ceil(4))?;
    let part = match place % 4 {
        1 => 0.25,
        2 => 0.5,
        3 => 0.75,
        _ => 0.0,
    };
    Some(below + (above - below) * part)
}

/// Waits until earlier writes no longer keep the filesystem of `at` busy.
pub(crate) fn settle(at: &Path) {
    let settled = Command::new("sync").arg("-f").arg(at).status();
    assert!(settled.is_ok_and(|status| status.success()), "sync -f");
    std::thread::sleep(PAUSE);
}

/// The time of a command that succeeds, on a settled disk; the error is the first line of its
/// output.
pub(crate) fn time(command: &mut Command, at: &Path) -> Result<Duration, String> {
    time_all(std::slice::from_mut(command), at)
}

/// The same of commands that run one right after the other.
pub(crate) fn time_all(commands: &mut [Command], at: &Path) -> Result<Duration, String> {
    settle(at);
    let mut took = Duration::ZERO;
    for command in commands {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let start = Instant::now();
        let output = command.output().map_err(|error| error.to_string())?;
        took += start.elapsed();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(said.lines().next().unwrap_or("it failed").to_owned());
        }
    }
    Ok(took)
}
