//! The phases of a run that may take long, for callers that show them.
//!
//! Promises that each begins after the one before has ended. Decides nothing.

/// What a run does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// What exists is read, so that a plan can be made.
    Reading,
    /// A resolver is at work.
    Resolving,
    /// Interpreters compile sources.
    Compiling,
    /// Wheels are unpacked into the store.
    Unpacking,
    /// The new tree or the new entries are built in the stage.
    Building,
    /// What was built is made durable, and renamed to its place.
    Publishing,
    /// What was replaced is kept or deleted.
    Settling,
    /// Something else, which has an event of its own.
    Other,
}
