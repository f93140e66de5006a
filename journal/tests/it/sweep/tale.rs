//! The story of a failure: the steps of every run, the effect of each crash on them, and one line
//! that reproduces exactly that failure.
//!
//! Promises that the line leads to the same failure: it stops the runs where the crash was, while
//! the sweep keeps the disks of all crashes of one run.

use std::fmt;

use rvenv_journal::fs::sim::{Bound, Persistence, SimFs};

use super::{Job, Sweep};
use crate::publication::{Exit, TARGET, Tree, numbered, recover, run, tree_at};

/// One crash: the model, how many images the sweep visits, the number of steps before it, and the
/// index of the image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Crash {
    pub(crate) model: Persistence,
    pub(crate) bound: Bound,
    pub(crate) step: usize,
    pub(crate) nth: usize,
}

const MODELS: [Persistence; 3] = [
    Persistence::Kill,
    Persistence::Ordered,
    Persistence::Independent,
];

/// The message when a completed run is not durable.
pub(super) const LOST: &str = "I2: what was said to be done is not there";

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            model,
            bound,
            step,
            nth,
        } = self;
        let Bound {
            combinations_max,
            sampled,
            seed,
        } = bound;
        write!(
            f,
            "{model:?} {combinations_max} {sampled} {seed} {step} {nth}"
        )
    }
}

impl Crash {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let word = words.next()?;
        let model = MODELS
            .into_iter()
            .find(|model| format!("{model:?}") == word)?;
        let mut number = || words.next()?.parse().ok();
        Some(Self {
            model,
            bound: Bound {
                combinations_max: number()?,
                sampled: number()?,
                seed: number()? as u64,
            },
            step: number()?,
            nth: number()?,
        })
    }
}

impl Sweep<'_> {
    /// The story: what went wrong, how, and the line that reproduces it.
    pub(super) fn tale(&self, what: &str) -> String {
        let Job { group, case, .. } = self.job;
        let fault = self
            .fault
            .map_or_else(String::new, |step| format!("; fault {step}"));
        let path = self.path.iter();
        let path = path.fold(String::new(), |text, crash| format!("{text}; {crash}"));
        let (story, _, _) = self.story();
        format!(
            "{what}\n{}\n{story}\nagain: RVENV_SWEEP='{group}; {}{fault}{path}' cargo test -p rvenv-journal --test it crash::\n",
            case.name, case.name
        )
    }

    /// The steps of every run, each stopped at its crash; the last image, and the tree that it must
    /// hold if the run before it completed.
    fn story(&self) -> (String, Option<SimFs>, Option<Tree>) {
        let mut story = String::new();
        let mut disk = self.begin();
        let mut last = None;
        let mut wanted = None;
        for (index, crash) in self.path.iter().enumerate() {
            disk.crash_after(crash.step);
            if index == 0 {
                let exit = run(&disk, &self.plan, &self.job.case);
                let of_success = self.outcome.wanted(&self.job.case);
                wanted = (exit == Exit::Done).then(|| of_success.clone());
            } else {
                let recovered = recover(&disk);
                let is_done = recovered.is_ok();
                wanted = is_done.then(|| tree_at(&disk, TARGET));
            }
            let (image, told) = nth_image(&disk, crash);
            story = format!("{story}{told}then, in the recovery from that,\n");
            disk = image.killed();
            last = Some(image);
        }
        let ended = recover(&disk);
        story = format!("{story}{}{ended:?}\n", numbered(&disk.steps()));
        (story, last, wanted)
    }

    /// Replays the line at the end of a story; returns the story again if it still fails.
    pub(crate) fn again(mut self, line: &str) -> Result<String, String> {
        for part in line.split(';').map(str::trim).skip(2) {
            if let Some(step) = part.strip_prefix("fault ") {
                self.fault = Some(step.parse().expect("the number of a step"));
            } else {
                self.path.push(Crash::parse(part).expect("a crash"));
            }
        }
        let (story, image, wanted) = self.story();
        let image = image.expect("there is a crash in the line");
        if wanted.is_some_and(|wanted| tree_at(&image, TARGET) != wanted) {
            return Err(self.tale(LOST));
        }
        self.recover(&image, 0).map(|()| story)
    }
}

fn nth_image(disk: &SimFs, crash: &Crash) -> (SimFs, String) {
    let (mut found, mut nth) = (None, 0);
    disk.for_each_image(crash.model, crash.bound, |image, told| {
        if nth == crash.nth {
            found = Some((image, told.to_string()));
        }
        nth += 1;
    });
    found.expect("equal runs leave equal images")
}
