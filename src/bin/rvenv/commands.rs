//! The commands, one file each.
//!
//! Read next: the file that is named after the command.

mod against;
mod apply;
mod asking;
mod attach;
mod cache;
mod choice;
mod clone;
mod config;
mod create;
mod done;
pub(crate) mod explain;
mod generations;
mod image;
mod list;
mod lock;
mod log;
pub(crate) mod manual;
mod plan;
mod proof;
mod push;
mod python;
mod recover;
mod remove;
mod repair;
mod rollback;
mod sbom;
#[cfg(test)]
mod schemas;
mod show;
mod status;
mod sync;
mod upgrade;
mod verify;
