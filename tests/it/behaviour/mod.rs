//! What rvenv does, one subject to a file, with the interpreters, shells and filesystems that this
//! machine has.
//!
//! `cargo test --test it merge::` runs the tests of one file. Slow tests, and those with a longer
//! form, have their own modules beside this one.

#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test starts real programs, reads and damages what they made, and says what it skips"
)]

#[expect(
    dead_code,
    reason = "an example has a main function, which tests do not call"
)]
#[path = "../../../examples/preinstalled.rs"]
mod preinstalled;
#[expect(
    dead_code,
    reason = "an example has a main function, which tests do not call"
)]
#[path = "../../../examples/scripted.rs"]
mod scripted;
#[expect(
    dead_code,
    reason = "an example has a main function, which tests do not call"
)]
#[path = "../../../journal/examples/site.rs"]
mod site;

mod activate;
mod activate_others;
mod activate_prompts;
mod adversity;
mod another_python;
#[cfg(target_os = "linux")]
mod attested;
mod bad_input;
mod breakages;
mod breakages_peers;
mod breakages_upgrade;
mod build_settings;
mod builders;
mod builders_examples;
mod bytecode;
mod bytecode_env;
mod cache;
mod carried_plans;
mod carry;
#[cfg(target_os = "linux")]
mod carry_sources;
mod check;
#[cfg(target_os = "linux")]
mod ci_kit;
mod clear;
mod cli;
mod clone;
mod completions;
mod deletion;
mod dependencies;
mod discovery;
mod discovery_order;
#[cfg(target_os = "linux")]
mod download_progress;
#[cfg(target_os = "linux")]
mod dynamic_projects;
mod eggs;
mod existing;
#[cfg(target_os = "linux")]
mod filesystems;
mod first_words;
mod found_env;
mod full_disk;
mod generations;
mod handed_down;
mod health;
mod help;
mod install;
mod installed_since;
mod interpreter;
mod interpreter_answers;
mod interpreter_misbehaving;
mod interrupt;
mod kept;
mod list;
mod lock;
mod lock_proofs;
pub(crate) mod locks;
mod log;
mod merge;
mod messages;
mod musl_loader;
mod named_cache;
mod pins;
#[cfg(target_os = "linux")]
mod plan_files;
mod plans;
#[cfg(target_os = "linux")]
mod policies;
#[cfg(target_os = "linux")]
mod progress;
#[cfg(target_os = "linux")]
mod progress_everywhere;
#[cfg(target_os = "linux")]
mod recorded_wheels;
mod remove;
mod repair;
mod repair_frame;
mod repair_packages;
#[cfg(target_os = "linux")]
mod repair_store;
mod reproducible;
mod requests;
mod rollback;
mod rollback_aside;
mod sbom;
pub(crate) mod schemas;
mod settings;
mod shown_plans;
mod signals;
mod sources;
mod sources_refused;
mod stale;
mod states;
#[cfg(target_os = "linux")]
mod streams;
mod trusted_hosts;
mod up_to_date;
mod upgrade;
mod verify;
mod verify_frame;
mod verify_installers;
mod verify_layouts;
mod wheel;
mod wheel_memory;
mod whole_tree;
mod windows_plan;
mod yanked;
