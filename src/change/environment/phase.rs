//! The phases of a run that may take long, for callers that show them.
//!
//! Promises that each begins after the one before has ended. Decides nothing.

/// What a run does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
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
    /// Something else, which is usually short or has an event of its own.
    Other,
}
