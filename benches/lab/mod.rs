//! What the benches share: rivals, fields to race on, clocks, budgets, tables, plots.
//!
//! Promises that compared times come from one run of one bench: interleaved, in an order that
//! changes each round, on one interpreter and one filesystem, in fresh directories, after the disk
//! had settled, with warm caches. What could not be measured is reported as such, and never counts
//! as passed. Does not promise that a time means anything alone: compare medians and ratios of the
//! same run.
//!
//! Read next: `contest.rs` (environments), `changes.rs` (large ones), `packages.rs` and
//! `carry.rs` (many distributions), `locked.rs` (packages of a lock), `fleet.rs` (many hosts),
//! `engine.rs` (the engine alone), `budgets.rs`.

mod budgets;
mod calls;
mod carry;
mod changes;
mod contest;
mod course;
mod engine;
mod field;
mod fleet;
mod floor;
mod growth;
mod index_server;
mod locked;
mod machine;
mod made;
mod packages;
mod peak;
mod plot;
mod race;
mod registry;
mod relay;
mod report;
mod rivals;
mod rollout;
mod settings;
mod small_files;
mod subject;
mod timing;
mod wheels;

use std::process::{Command, ExitCode};

use budgets::Budgets;
use report::Report;
use settings::Settings;

/// Set for the run in its own mount namespace.
const AMONG_MOUNTS: &str = "RVENV_AMONG_MOUNTS";

/// Runs the bench of a name: `create` measures everything, `upgrade` the changes of large
/// environments, `packages` the packages of a lock, `fleet` many hosts, `engine` the engine.
pub(crate) fn main(bench: &str) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some((verb, rest)) = words.split_first()
        && let Some(verb) = verb.strip_prefix("child:")
    {
        return child(verb, rest);
    }
    if let Some(code) = among_mounts(&words) {
        return code;
    }
    let settings = Settings::read(&words);
    let mut report = Report::new();
    let mut budgets = Budgets::default();
    let mut locked = Budgets::default();
    let mut fleet = Budgets::default();
    let machine = machine::described(&settings);
    let is_all = bench == "create";
    if !matches!(bench, "packages" | "fleet") {
        report.say("machine", &machine);
    }
    if is_all {
        contest::run(&settings, &mut report, &mut budgets);
    }
    if is_all || bench == "upgrade" {
        changes::run(&settings, &mut report, &mut budgets);
        packages::run(&settings, &mut report, &mut budgets);
        carry::run(&settings, &mut report, &mut budgets);
    }
    if is_all || bench == "packages" {
        report.say("locked-machine", &machine);
        locked::run(&settings, &mut report, &mut locked);
    }
    if is_all || bench == "fleet" {
        report.say("fleet-machine", &machine);
        fleet::run(&settings, &mut report, &mut fleet);
    }
    if is_all || bench == "engine" {
        engine::run(&settings, &mut report, &mut budgets);
        growth::run(&settings, &mut report, &mut budgets);
    }
    budgets.tell("budgets", &mut report);
    locked.tell("locked-budgets", &mut report);
    fleet.tell("fleet-budgets", &mut report);
    if settings.write_docs && settings.quick {
        println!("nothing is written: a quick run measures nothing");
    } else if settings.write_docs {
        report.write_docs();
    }
    let all = [budgets, locked, fleet];
    let is_broken = all.iter().any(Budgets::is_broken);
    if is_broken || (settings.strict && !all.iter().all(Budgets::all_pass)) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Runs a measured part as a child process; it is part of this program so that nothing else has to
/// be built.
fn child(verb: &str, words: &[String]) -> ExitCode {
    let told = match verb {
        "floor" => floor::replay(words),
        "engine" => subject::replace(words),
        "grow" => subject::grow(words),
        "peak" => peak::tell(words),
        _ => Err(format!("there is no child {verb}")),
    };
    match told {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Runs everything again in a child with its own mount namespace, so that no loop mount outlives
/// the bench; `None` inside that child.
fn among_mounts(words: &[String]) -> Option<ExitCode> {
    if std::env::var_os(AMONG_MOUNTS).is_some() || !rustix::process::geteuid().is_root() {
        return None;
    }
    let may = Command::new("unshare").args(["-m", "true"]).status();
    if !may.is_ok_and(|status| status.success()) {
        return None;
    }
    let own = std::env::current_exe().ok()?;
    let status = Command::new("unshare")
        .args(["-m", "--propagation", "private"])
        .arg(own)
        .args(words)
        .env(AMONG_MOUNTS, "1")
        .status()
        .ok()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Some(ExitCode::from(code.unwrap_or(1)))
}
