//! Interpreters: finding a Python, asking it about itself, remembering the answer.
//!
//! Promises:
//! - An [`Interpreter`] describes a base installation, never a virtual environment.
//! - No environment variable, no `site` and no file of the working directory changes the answer.
//! - A candidate that hangs, crashes or prints nonsense costs a bounded time and yields an error
//!   that names it.
//! - A remembered answer is used only while every file that it depends on is unchanged.
//!
//! Does not promise that the interpreter stays as it was: the plan pins the executable by its
//! digest.
//!
//! On disk: only `probe_cache.rs` writes, and only in the cache directory. An interpreter that only
//! a target names is started as `trust.rs` allows.
//! Read next: `discover.rs`, which turns a request into an interpreter; `build/layout.rs`, which
//! describes an environment of that interpreter.

mod build_details;
pub mod bytecode;
mod candidates;
mod child_output;
mod debian_alternatives;
mod discover;
mod error;
mod interpreter;
mod listing;
mod passwords;
mod precedence;
mod probe;
mod probe_cache;
mod process;
mod pyenv_shim;
mod registry;
mod release;
mod request;
mod requires_python;
mod surroundings;
mod trust;
mod version_file;

pub use candidates::FoundBy;
pub(crate) use discover::remembered;
pub use discover::{Located, find, find_wanted, locate, locate_wanted};
pub(crate) use error::shown;
pub use error::{InterpreterError, Tried, Unread};
#[cfg(test)]
pub(crate) use interpreter::sample;
pub use interpreter::{Bundled, Caching, Interpreter, Platform, PythonVersion, Scheme};
pub use listing::{Listed, Listing, list};
pub(crate) use passwords::without_passwords;
pub use precedence::Wanted;
pub(crate) use process::{
    Finished, Heard, Job, Lines, Status, Unfinished, last_lines, printable, run, unsteered,
};
pub use registry::registered;
pub use release::Release;
pub use request::{RangeRequest, Request, VersionRequest};
pub use surroundings::{Control, Surroundings};
pub use trust::{Checkout, NamedByTarget, Purpose, find_named, may_start};
