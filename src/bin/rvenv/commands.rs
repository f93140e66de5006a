//! The commands, one file each.
//!
//! Read next: the file that is named after the command.

mod apply;
mod asking;
mod cache;
mod clone;
mod create;
mod generations;
mod list;
mod lock;
mod plan;
mod proof;
mod python;
mod recover;
mod repair;
mod rollback;
mod sbom;
mod show;
mod status;
mod sync;
mod upgrade;
mod verify;
