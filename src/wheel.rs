//! Wheels as values: read a wheel, check all of it, and decide which files its installation consists of.
//!
//! Promises that nothing here writes to a disk, that a hostile wheel is refused and never a panic (I6), and
//! that one wheel and one target give one list of files, byte for byte (I4).
//! Does not promise to resolve dependencies, to compare tags with an interpreter, or to compile the bytecode that it lists.
//!
//! Read next: `wheel/contents.rs`, the [`Wheel`]; then `wheel/install.rs`, what becomes of it.

mod archive;
mod cached;
mod catalogue;
mod contents;
mod entry_points;
mod fault;
mod install;
mod launcher;
mod name;
mod places;
pub(crate) mod record;
mod script;

pub use archive::{ENTRIES_MAX, MEMBER_BYTES_MAX, TOTAL_BYTES_MAX};
pub use cached::{Cached, cached};
pub use catalogue::Catalogue;
pub use contents::{Library, Member, WHEEL_BYTES_MAX, Wheel};
pub use entry_points::EntryPointError;
pub use fault::{WheelError, WheelFault};
pub use install::{
    InstallError, InstallFault, Planned, Requested, Source, Target, installation, program_mode,
    script_mode,
};
pub use launcher::Launchers;
pub use name::Named;
pub(crate) use name::normal_name;
pub use places::Collision;
pub(crate) use script::interpreter_lines;

#[cfg(test)]
mod sample;
