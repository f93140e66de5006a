//! The roles of a plan's inputs: what each file was to the plan, in one list.
//!
//! Promises that no two roles have the same word. The words are in saved plans, so they stay.
//!
//! Read next: `rvenv_journal`'s `plan/node.rs`, the type of an input.

/// The interpreter that the environment starts.
pub const INTERPRETER: &str = "interpreter";
/// A wheel that is installed: its path is only its name, since its digest says which it is.
pub const WHEEL: &str = "wheel";
/// The bytecode of a wheel: its path is the name of the wheel, its digest the key in the store.
pub const BYTECODE: &str = "bytecode";
/// A pack of the content store that restores files of a damaged distribution: its path is
/// below the cache, its digest the one that the store has it under.
pub const PACK: &str = "pack";
/// A distribution of another environment that is cloned: its path is that of its `RECORD` there.
pub const CLONED: &str = "cloned";
/// A distribution that was installed in the target when the plan was made: its path is that of the
/// file that identifies this installation, such as its `RECORD`.
pub const DISTRIBUTION: &str = "distribution";
