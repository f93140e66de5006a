//! What a crash did to a disk, in words.
//!
//! Promises that a failing sweep prints a story instead of a seed: every step in order, and for
//! each one whose effect was not durable, what the crash did to it.

use std::fmt;

use super::bound::Persistence;
use super::disk::Id;
use super::log::{Delta, Mutation};
use super::machine::Machine;
use crate::base::plural::counted;

/// How an image was created; print it when a check fails.
///
/// ```text
/// the power is cut after 4 steps; names persist in order; all without a note is durable
///    1 make directory /d
///    2 make file /d/f: survived
///    3 write /d/f: full of zeros
///    4 rename /d/f -> /d/g: lost
/// ```
#[derive(Debug)]
pub struct ImageStory<'a> {
    machine: &'a Machine,
    model: Persistence,
    names: Vec<(&'a Mutation, bool)>,
    files: Vec<(Id, Fate)>,
}

/// What happened to the content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Survived,
    Lost,
    Emptied,
    Zeros,
    Torn,
    /// An earlier version survived.
    Earlier,
}

impl<'a> ImageStory<'a> {
    pub(super) fn of_kill(machine: &'a Machine) -> Self {
        Self {
            machine,
            model: Persistence::Kill,
            names: Vec::new(),
            files: Vec::new(),
        }
    }

    pub(super) fn of_power_cut(
        machine: &'a Machine,
        model: Persistence,
        names: Vec<(&'a Mutation, bool)>,
        files: Vec<(Id, Fate)>,
    ) -> Self {
        Self {
            machine,
            model,
            names,
            files,
        }
    }

    /// How many steps were made before the crash.
    #[must_use]
    pub fn step_count(&self) -> usize {
        self.machine.steps.made.len()
    }

    /// What the crash did to each step that was not durable.
    fn notes(&self) -> Vec<(usize, &'static str)> {
        let note = |(mutation, kept): &(&Mutation, bool)| {
            (mutation.step, if *kept { "survived" } else { "lost" })
        };
        let mut notes: Vec<_> = self.names.iter().map(note).collect();
        if self.model == Persistence::Kill {
            return notes;
        }
        for mutation in &self.machine.log.pending {
            if let Delta::Data(written, _) = mutation.change {
                let found = self.files.iter().find(|(file, _)| *file == written);
                let fate = found.map_or(Fate::Lost, |(_, fate)| *fate);
                notes.push((mutation.step, fate.text()));
            }
        }
        notes
    }
}

impl Fate {
    fn text(self) -> &'static str {
        match self {
            Self::Survived => "survived",
            Self::Lost => "content lost",
            Self::Emptied => "emptied",
            Self::Zeros => "full of zeros",
            Self::Torn => "torn",
            Self::Earlier => "an earlier content survived",
        }
    }
}

impl fmt::Display for ImageStory<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = counted(self.step_count(), "step");
        match self.model {
            Persistence::Kill => writeln!(f, "the process is killed after {steps}")?,
            Persistence::Ordered | Persistence::Independent => {
                let how = match self.model {
                    Persistence::Kill | Persistence::Ordered => "in order",
                    Persistence::Independent => "independently",
                };
                writeln!(
                    f,
                    "the power is cut after {steps}; names persist {how}; all without a note is durable"
                )?;
            }
        }
        let notes = self.notes();
        for (_, note) in notes.iter().filter(|(step, _)| *step == 0) {
            writeln!(f, "     (before this process started): {note}")?;
        }
        for (index, step) in self.machine.steps.made.iter().enumerate() {
            let number = index + 1;
            write!(f, "{number:4} {step}")?;
            for (_, note) in notes.iter().filter(|(step, _)| *step == number) {
                write!(f, ": {note}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
