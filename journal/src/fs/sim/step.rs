//! Steps: what was done, in order, and which step is to fail.
//!
//! Promises that every step has one number, counted from 1 since boot, whether it succeeded or not,
//! so that a sweep over the numbers covers every moment at which the disk differs. A call that is
//! refused (because a name exists, say) is not a step, since it changes nothing.

use std::fmt;
use std::io;
use std::sync::Arc;

use thiserror::Error;

use super::disk::Name;

/// The source of every error of a process that has died.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the simulated process is dead")]
pub struct Crashed;

/// A step that fails although nothing is wrong with it.
///
/// A failing step changes nothing, with two exceptions: a write leaves half of its bytes, and a
/// sync leaves everything that it covered in doubt: that may be lost in a power cut even if a later
/// sync succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The number of the step, counted from 1 since boot.
    pub step: usize,
    /// The error of the system.
    pub kind: io::ErrorKind,
    /// Which later steps fail too.
    pub reach: Reach,
}

/// Which steps a [`Fault`] affects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Only that step.
    Once,
    /// That step and all later ones: the disk is gone.
    FromThenOn,
    /// From that step on, all steps that need new space: the disk is full. Renames, removals and
    /// syncs still work.
    CreationsFromThenOn,
}

/// What a step needs from the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Space,
    Nothing,
}

/// An entry, with the name that the program uses for it.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) dir: Arc<str>,
    /// `None` for the directory itself.
    pub(super) name: Option<Name>,
}

/// An action on one place, or from one place to another.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) verb: &'static str,
    pub(super) at: Spot,
    pub(super) to: Option<Spot>,
    pub(super) failed: Option<Failed>,
}

/// How a step failed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failed {
    Died,
    With(io::ErrorKind),
}

/// Returns the list with spare room for what a recovery adds: a sweep makes millions of lists, so
/// growing them takes noticeable time.
pub(super) fn roomy<T>(list: &mut Vec<T>) -> &mut Vec<T> {
    if list.len() == list.capacity() {
        list.reserve(48);
    }
    list
}

/// The steps made so far, and the future failures.
#[derive(Clone, Debug, Default)]
pub(super) struct Schedule {
    pub(super) made: Vec<Step>,
    last: Option<usize>,
    faults: Vec<Fault>,
    is_dead: bool,
}

impl Schedule {
    pub(super) fn crash_after(&mut self, steps: usize) {
        self.last = Some(self.made.len().saturating_add(steps));
    }

    /// Marks the process as dead at a step.
    pub(super) fn die_at(&mut self, mut step: Step) {
        step.failed = Some(Failed::Died);
        self.made.push(step);
        self.is_dead = true;
    }

    pub(super) fn fail(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(super) fn has_crashed(&self) -> bool {
        self.is_dead
    }

    /// Fails if the process is dead.
    pub(super) fn check(&self) -> io::Result<()> {
        if self.is_dead {
            return Err(io::Error::other(Crashed));
        }
        Ok(())
    }

    /// Gives a step its number, and fails if it is to fail.
    pub(super) fn make(&mut self, mut step: Step, need: Need) -> io::Result<()> {
        let number = self.made.len() + 1;
        self.is_dead = self.last.is_some_and(|last| number > last);
        let hits = |fault: &&Fault| match fault.reach {
            Reach::Once => number == fault.step,
            Reach::FromThenOn => number >= fault.step,
            Reach::CreationsFromThenOn => number >= fault.step && need == Need::Space,
        };
        let fault = self.faults.iter().find(hits).map(|fault| fault.kind);
        step.failed = if self.is_dead {
            Some(Failed::Died)
        } else {
            fault.map(Failed::With)
        };
        let failed = step.failed;
        roomy(&mut self.made).push(step);
        match failed {
            None => Ok(()),
            Some(Failed::Died) => Err(io::Error::other(Crashed)),
            Some(Failed::With(kind)) => Err(kind.into()),
        }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dir = &*self.dir;
        match &self.name {
            Some(name) => {
                let separator = if dir.ends_with('/') { "" } else { "/" };
                write!(f, "{dir}{separator}{}", name.display())
            }
            None => f.write_str(dir),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.at)?;
        if let Some(to) = &self.to {
            write!(f, " -> {to}")?;
        }
        match self.failed {
            None => Ok(()),
            Some(Failed::Died) => f.write_str(" (dies here)"),
            Some(Failed::With(kind)) => write!(f, " (fails: {kind})"),
        }
    }
}
