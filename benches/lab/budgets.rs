//! The budgets, each with the value reached: passed, missed or not measured. What is not measured
//! never counts as passed.

use super::report::Report;
use super::timing::{Spread, Times};

/// The outcome of a budget.
#[derive(Debug)]
enum Reached {
    /// A value, and how it is shown.
    Value(f64, String),
    /// The reason why no value exists.
    Not(String),
}

/// One budget.
#[derive(Debug)]
struct Budget {
    work: String,
    limit: f64,
    shown: String,
    reached: Reached,
}

/// All budgets of a run.
#[derive(Debug, Default)]
pub(crate) struct Budgets {
    all: Vec<Budget>,
    /// What should have run and did not.
    broken: Vec<String>,
}

/// A ratio above this means that a time depends on the size; smaller differences are noise between
/// rounds.
const SAME: f64 = 1.25;

impl Budgets {
    /// Compares a time with a rival's.
    pub(crate) fn ratio(&mut self, work: &str, limit: f64, base: &str, of: [Timed<'_>; 2]) {
        let shown = format!("≤ {limit} × {base}");
        let reached = match of {
            [Ok(own), Ok(base)] => shown_ratio(own, base),
            [Err(why), _] | [_, Err(why)] => Reached::Not(why),
        };
        self.add(work, limit, shown, reached);
    }

    /// Compares a time with that of the same work at another size.
    pub(crate) fn independent(&mut self, work: &str, times: Result<[&Times; 2], String>) {
        let shown = format!("independent of its size (≤ {SAME} ×)");
        let reached = match times {
            Ok([large, small]) => shown_ratio(large, small),
            Err(why) => Reached::Not(why),
        };
        self.add(work, SAME, shown, reached);
    }

    /// Compares a single value with its limit.
    pub(crate) fn value(&mut self, work: &str, limit: f64, unit: &str, value: Result<f64, String>) {
        let reached = match value {
            Ok(value) => Reached::Value(value, format!("{value:.1} {unit}")),
            Err(why) => Reached::Not(why),
        };
        self.add(work, limit, format!("≤ {limit} {unit}"), reached);
    }

    /// Notes that something of rvenv's failed, which no run may ignore.
    pub(crate) fn blame(&mut self, why: &str) {
        self.broken.push(why.to_owned());
    }

    pub(crate) fn is_broken(&self) -> bool {
        !self.broken.is_empty()
    }

    pub(crate) fn all_pass(&self) -> bool {
        self.all.iter().all(|budget| match budget.reached {
            Reached::Value(value, _) => value <= budget.limit,
            Reached::Not(_) => false,
        })
    }

    /// Prints every budget; without any, nothing.
    pub(crate) fn tell(&self, block: &str, report: &mut Report) {
        if self.all.is_empty() && self.broken.is_empty() {
            return;
        }
        let rows = self.all.iter().map(|budget| {
            let (verdict, reached) = match &budget.reached {
                Reached::Value(value, shown) if *value <= budget.limit => ("PASS", shown.clone()),
                Reached::Value(_, shown) => ("FAIL", shown.clone()),
                Reached::Not(why) => ("NOT MEASURED", why.clone()),
            };
            vec![
                budget.work.clone(),
                budget.shown.clone(),
                reached,
                verdict.to_owned(),
            ]
        });
        let head = ["work", "budget", "reached", "verdict"];
        report.table(block, &head, &rows.collect::<Vec<_>>());
        for why in &self.broken {
            println!("BROKEN: {why}");
        }
    }

    fn add(&mut self, work: &str, limit: f64, shown: String, reached: Reached) {
        self.all.push(Budget {
            work: work.to_owned(),
            limit,
            shown,
            reached,
        });
    }
}

/// Times, or the reason why none exist.
pub(crate) type Timed<'a> = Result<&'a Times, String>;

fn shown_ratio(own: &Times, base: &Times) -> Reached {
    match own.ratio(base) {
        Some(ratio) => Reached::Value(ratio.median, shown_spread(&ratio)),
        None => Reached::Not("no two of them ran in one round".to_owned()),
    }
}

/// A ratio with the quartiles of its rounds.
pub(crate) fn shown_spread(ratio: &Spread) -> String {
    let digits = if ratio.median < 0.1 { 4 } else { 2 };
    let Spread {
        low, median, high, ..
    } = ratio;
    format!("{median:.digits$} ({low:.digits$}–{high:.digits$})")
}
