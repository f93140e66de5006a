//! Wheels as values: reads a wheel, checks all of it, and decides which files its installation
//! consists of; also where wheels come from, and which distributions a directory has.
//!
//! Promises that nothing here writes to a disk, that a hostile wheel is refused and never causes a
//! panic (I6), and that one wheel and one target give one list of files, byte for byte (I4). Does
//! not promise to resolve dependencies, or to compile the bytecode that it lists.
//!
//! Read next: `wheel/contents.rs`, the [`Wheel`]; then `wheel/install.rs`, the files that it
//! installs.

mod archive;
mod archive_bytes;
mod catalogue;
pub mod checked_files;
mod checked_member;
mod contents;
pub mod distributions;
mod entry_points;
mod fault;
mod file_name;
mod install;
pub mod installed;
pub(crate) mod launcher;
pub(crate) mod marker;
pub mod origin;
pub(crate) mod record;
mod release;
pub(crate) mod requirement;
mod script_text;
pub(crate) mod shebang;
mod sources;
pub(crate) mod tags;
mod taken_paths;
pub mod wheelhouse;

pub use archive::{ENTRIES_MAX, MEMBER_BYTES_MAX, TOTAL_BYTES_MAX};
pub use catalogue::Catalogue;
pub(crate) use contents::requires_python;
pub use contents::{Library, Member, WHEEL_BYTES_MAX, Wheel};
pub use entry_points::EntryPointError;
pub use fault::{WheelError, WheelFault};
pub use file_name::Named;
pub(crate) use file_name::{Tagged, normal_name};
pub(crate) use install::is_reserved;
pub use install::{
    FileContent, INSTALLER, InstallError, InstallFault, InstallScheme, Notes, Planned, Requested,
    WheelBytecode, installation, program_mode, script_mode,
};
pub use launcher::Launchers;
pub use marker::Marker;
pub use release::Release;
pub(crate) use script_text::interpreter_lines;
pub use sources::Sources;
pub use taken_paths::Collision;

#[cfg(test)]
mod sample;
