//! Build backends: sources become a wheel, by the backend that their `pyproject.toml` names
//! (PEP 517, 518, 660).
//!
//! Here are the parts of a *build frontend*: sources are unpacked or checked out, `[build-system]`
//! is read, and one hook of a backend is called in a child process. `front/building.rs` puts them
//! together, because it takes a resolver and an environment of rvenv's own in between.
//!
//! Promises:
//! - An archive is unpacked only after its bytes had the digest that was asked for, and a commit is
//!   checked out by its own hash.
//! - Nothing of an archive is written outside its directory: absolute names, `..`, links that lead
//!   out, devices and archive bombs are refused (I6; PEP 706, 721).
//! - A backend runs in an environment that rvenv created for this build alone, in its own process
//!   group, with a directory of its own for temporary files.
//!
//! Does not promise to confine a backend: it is a program that runs as the user.
//!
//! On disk: `<cache dir>/building/KEY`, in which everything happens, and `KEY.lock` beside it,
//! which a process holds while it builds; `<cache dir>/built/`, a note on each wheel that was
//! built. What a crash leaves:
//!
//! | after | exists | the next run |
//! |---|---|---|
//! | locking | an empty lock file | takes the lock |
//! | unpacking, checking out | part of `KEY/source` | deletes `KEY` and begins again |
//! | creating the environment | `KEY/env`, whole or absent | deletes `KEY` |
//! | calling hooks | whatever the backend wrote into `KEY` | deletes `KEY` |
//! | keeping the wheel | part of a file in `fetched/` | builds again, and completes that file |
//! | keeping the wheel | the wheel in `fetched/`, no note | builds again |
//! | noting | the wheel and its note | uses the wheel |
//!
//! A directory that is installed is the exception: its backend runs in it, as with pip, and what
//! the backend leaves there is the backend's.
//!
//! Read next: `backend/workshop.rs`, then `backend/archive.rs` and `backend/hook.rs`.

mod archive;
mod built;
mod hook;
mod project;
mod repository;
mod workshop;

pub use archive::{UnpackFailed, Unpacked, unpack};
pub(crate) use built::Built;
pub use hook::HookFailed;
pub(crate) use hook::{Form, Frontend};
pub(crate) use project::BuildSystem;
pub use project::ProjectFault;
pub(crate) use repository::Checkout;
pub use repository::CheckoutFailed;
pub(crate) use workshop::Workshop;
pub use workshop::{BUILDING, WorkshopFailed, is_workshop};

/// The directory of notes in the cache.
pub use built::BUILT;
