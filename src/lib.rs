//! Python virtual environments as filesystem transactions.
//!
//! - To make an environment: [`builder::Context`], then [`environment::create`].
//! - To see what that would do: [`environment::plan`]; a [`Plan`](rvenv_journal::Plan) can be saved, compared and given
//!   to [`environment::apply`] elsewhere.
//! - To compare one with what was published and what its packages list: [`verify::verify`].
//! - To build environments of another kind: implement [`builder::Stages`] and override the stages that differ. A stage adds
//!   operations to the plan; it has no disk.
//! - To publish trees that have nothing to do with Python: the engine, [`rvenv_journal`].
//!
//! Promises what the engine promises: the target is the old tree or the new one, and success is durable.
//! Does not read the process's environment, working directory or clock: whoever calls hands them in, as
//! [`interpreter::Surroundings`], [`options::Options`] and [`environment::Run`].
//!
//! ```
//! use rvenv::builder::{Context, EnvBuilder};
//! use rvenv::environment::{self, Force, Outcome, Permissions, Run};
//! use rvenv::interpreter::{self, Control, Request, Surroundings};
//! use rvenv::merge::Lost;
//! use rvenv::options::Options;
//! use rvenv_journal::fs::real::RealFs;
//! use rvenv_journal::{Durability, LinkMode, Patience, Retention, Unwatched};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let surroundings = Surroundings { search_path: std::env::var_os("PATH"), ..Surroundings::default() };
//! let python = interpreter::find(&Request::Default, &surroundings, &Control::default())?;
//!
//! # let place = tempfile::tempdir()?;
//! # let path = place.path().join("env");
//! # let env_dir = path.to_str().ok_or("the path is not UTF-8")?;
//! let options = Options { with_pip: false, ..Options::default() };
//! let context = Context::new(env_dir, python, options)?;
//!
//! let disk = RealFs::new();
//! let run = Run {
//!     fs: &disk,
//!     cache: None,
//!     now: None,
//!     compiler: None,
//!     durability: Durability::Power,
//!     link_mode: LinkMode::Auto,
//!     retention: Retention::Discard,
//!     permissions: Permissions { force: Force::No, lost: Lost::Refuse },
//!     check: None,
//!     owner: "an example",
//!     pause: &|_holder| Patience::GiveUp,
//!     interrupted: &|| false,
//!     watch: &Unwatched,
//!     recovered: &|_recovered| {},
//!     copying: &|_failed| {},
//! };
//! let outcome = environment::create(&run, &EnvBuilder, &context)?;
//! assert!(matches!(outcome, Outcome::Published(_)));
//!
//! // The same again has nothing to do.
//! let outcome = environment::create(&run, &EnvBuilder, &context)?;
//! assert!(matches!(outcome, Outcome::NoChanges));
//! # Ok(())
//! # }
//! ```
//!
//! Read next: `builder.rs` for the stages, `environment.rs` for how a plan meets the disk.

pub mod activate;
pub mod builder;
pub mod bytecode;
pub mod check;
pub mod config;
pub mod download;
pub mod environment;
pub mod existing;
pub mod installed;
pub mod interpreter;
pub mod layout;
pub mod lexical;
mod memo;
pub mod merge;
pub mod options;
pub mod provision;
pub mod render;
pub mod repair;
pub mod verify;
pub mod version;
pub mod wheel;
pub mod witness;
