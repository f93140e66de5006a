//! The `rvenv` command.
//!
//! Read next: `dispatch.rs`, from the command line to a command; `commands.rs`, one file for each.

mod advice;
mod announcer;
mod args;
mod commands;
mod companions;
mod descriptors;
mod dispatch;
mod ending;
mod find_python;
mod found_env;
mod health_checks;
mod other_words;
mod outcome;
mod packages;
mod plan_file;
mod progress;
mod screen;
mod session;
mod settings;
mod shell_words;
mod signals;
mod terminal;
mod too_long;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    descriptors::keep_to_this_process();
    ExitCode::from(dispatch::run(std::env::args_os()) as u8)
}
