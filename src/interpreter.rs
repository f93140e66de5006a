//! Interpreters: finding a Python, asking it about itself, remembering the answer.
//!
//! Promises that an [`Interpreter`] describes a base installation and never a virtual environment, that
//! no variable, no `site` and no file of the working directory has a say in the answer, that a candidate
//! which hangs, crashes or talks nonsense costs a bounded time and an error that names it, and that a
//! remembered answer is used only while every file that it rests on is unchanged.
//! Does not promise that the interpreter stays as it was: the plan pins the executable by its digest.
//!
//! On disk: the cache directory alone is written, and only by `cache.rs`.
//! What only a target names is started as `trust.rs` allows.
//! Read next: `discover.rs`, which turns a request into an interpreter; `layout.rs`, which says what an
//! environment of that interpreter looks like.

mod alternatives;
mod around;
mod cache;
mod candidates;
mod describe;
#[cfg(unix)]
mod descriptors;
mod details;
mod discover;
mod ears;
mod error;
mod listing;
mod pin;
mod probe;
mod process;
mod project;
mod registry;
mod release;
mod request;
mod shim;
mod trust;
mod wanted;

pub use around::{Control, Surroundings};
pub use candidates::Source;
pub use describe::{Bundled, Caching, Interpreter, PythonVersion, Scheme};
pub use discover::{Located, find, find_wanted, locate, locate_wanted};
pub(crate) use error::shown;
pub use error::{InterpreterError, Tried, Unread};
pub use listing::{Listed, Listing, list};
pub(crate) use process::{
    Heard, Job, Lines, Status, Unfinished, last_lines, printable, run, unsteered,
};
pub use registry::registered;
pub use release::Release;
pub use request::{RangeRequest, Request, VersionRequest};
pub use trust::{Checkout, NamedByTarget, Purpose, find_named};
pub use wanted::Wanted;
