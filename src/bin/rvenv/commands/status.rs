//! `rvenv status`: shows the state of a target; writes nothing.

use std::ffi::OsStr;
use std::path::Path;

use rvenv::environment::LookFailed;
use rvenv::pyvenv_cfg::CONFIG_NAME;
use rvenv::render::{Detail, escape};
use rvenv::verify::{State, VerifyFailed, glance};
use rvenv::wheel::installed::Installed;
use rvenv_journal::fs::{FsError, Kind};
use rvenv_journal::raw::{
    ENGINE_DIR, Inspection, RECEIPT_BYTES_MAX, RECEIPT_NAME, TargetError, counted,
};
use rvenv_journal::{Parents, Receipt, Target, inspect};
use serde::Serialize;

use super::generations::{Kept, Sizes, all_kept, json_of};
use crate::advice::{CliError, Code, Exit, of_verify_target, pending};
use crate::args::StatusArgs;
use crate::found_env::{Use, absent};
use crate::session::{READING, Session};

const NOTHING_OPEN: &str = "nothing is open";
const ENVIRONMENT: &str = "environment";
const ABSENT: &str = "absent";

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Status {
    format: u64,
    path: String,
    state: &'static str,
    receipt: Option<ReceiptStatus>,
    transaction: Transaction,
    generations: Vec<Kept>,
    environment: Option<Environment>,
}

/// An environment as its files show it; an unknown value is `null`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Environment {
    python: Option<String>,
    base: Option<String>,
    prompt: Option<String>,
    packages: usize,
    /// What is true of the frame; only `verify` compares files.
    health: Vec<&'static str>,
    /// With `-v` alone.
    distributions: Option<Vec<Package>>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Package {
    name: String,
    version: String,
    installer: Option<String>,
    origin: Option<String>,
    site_packages: String,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ReceiptStatus {
    plan: String,
    paths: usize,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Transaction {
    open: bool,
    recovery: &'static str,
    refused: Option<String>,
}

impl Session<'_> {
    pub(crate) fn status(&self, args: &StatusArgs) -> Result<Exit, CliError> {
        let given = self.env_of(&args.target, Use::Look)?;
        let path = self.world.env_dir(&given)?;
        let path = Path::new(&path);
        let disk = |error: FsError| {
            let shown = escape(&path.to_string_lossy());
            CliError::new(Code::Disk, format!("cannot look at `{shown}`")).because(&error.source)
        };
        let status = match Target::open(&self.fs, path, Parents::Require) {
            Ok(target) => self.during(READING, |_| self.look(&target)).map_err(disk)?,
            Err(TargetError::NoParent(_)) => return Err(absent(&given)),
            Err(error) => return Err(of_verify_target(error)),
        };
        // What was kept of an environment that was removed, or what a crash left, is to be seen.
        if status.state == ABSENT && status.generations.is_empty() && !status.transaction.open {
            return Err(absent(&given));
        }
        if self.json {
            self.terminal.json(&json_of(&status))?;
        } else {
            self.terminal.data(&status.text(self.detail()))?;
        }
        Ok(Exit::Done)
    }

    /// Looks at a target. Trees of generations are measured with `-v` alone.
    fn look(&self, target: &Target<'_>) -> Result<Status, FsError> {
        let seen = inspect(target)?;
        let is_full = self.detail() == Detail::EveryPath;
        let sizes = if is_full {
            Sizes::Measured
        } else {
            Sizes::Unknown
        };
        let (state, receipt) = tree(target)?;
        let environment = match state {
            ENVIRONMENT => environment(target, is_full)?,
            _ => None,
        };
        Ok(Status {
            format: 1,
            path: target.path().to_string_lossy().into_owned(),
            state,
            receipt,
            transaction: transaction(&seen),
            generations: all_kept(target, sizes, self.world.now)?,
            environment,
        })
    }
}

fn environment(target: &Target<'_>, is_full: bool) -> Result<Option<Environment>, FsError> {
    let disk = |failed| match failed {
        VerifyFailed::Disk(LookFailed { source, .. }) => Some(source),
        VerifyFailed::Absent(_) | VerifyFailed::NotAnEnvironment(_) => None,
    };
    let seen = match glance(target) {
        Ok(seen) => seen,
        Err(failed) => return disk(failed).map_or(Ok(None), Err),
    };
    let contents = seen.contents();
    let distributions = if is_full {
        seen.installed(target)
            .map(Some)
            .or_else(|failed| disk(failed).map_or(Ok(None), Err))?
    } else {
        None
    };
    let package = |(site_packages, found): (String, Installed)| Package {
        name: found.distribution.name,
        version: found.distribution.version,
        installer: found.installer,
        origin: found.origin.url().map(str::to_owned),
        site_packages,
    };
    let config = seen.config.as_ref();
    Ok(Some(Environment {
        python: contents.python.clone(),
        base: config.map(|config| config.home.to_string_lossy().into_owned()),
        prompt: config.and_then(|config| config.prompt.clone()),
        packages: contents.in_use().len(),
        health: seen.states().into_iter().map(State::as_str).collect(),
        distributions: distributions.map(|found| found.into_iter().map(package).collect()),
    }))
}

fn tree(target: &Target<'_>) -> Result<(&'static str, Option<ReceiptStatus>), FsError> {
    let fs = target.disk();
    if target.meta()?.is_none_or(|meta| meta.kind != Kind::Dir) {
        return Ok((ABSENT, None));
    }
    let root = target.root()?;
    let config = fs.meta(&root, OsStr::new(CONFIG_NAME))?;
    let read = |inner| fs.read_file(&inner, OsStr::new(RECEIPT_NAME), RECEIPT_BYTES_MAX);
    let receipt = fs
        .open_dir(&root, OsStr::new(ENGINE_DIR))
        .and_then(read)
        .ok();
    let receipt = receipt.and_then(|bytes| Receipt::from_json(&bytes).ok());
    let receipt = receipt.map(|receipt| ReceiptStatus {
        plan: receipt.plan.to_string(),
        paths: receipt.paths.len(),
    });
    Ok((
        if config.is_some() {
            ENVIRONMENT
        } else {
            "directory"
        },
        receipt,
    ))
}

fn transaction(seen: &Inspection) -> Transaction {
    let pending = pending(seen);
    Transaction {
        open: pending.is_some(),
        recovery: pending.unwrap_or(NOTHING_OPEN),
        refused: seen.decision.as_ref().err().map(ToString::to_string),
    }
}

/// Describes the open transaction of a target, if there is one.
pub(crate) fn open(seen: &Inspection) -> Option<String> {
    let Transaction {
        open,
        recovery,
        refused,
    } = transaction(seen);
    open.then(|| refused.unwrap_or_else(|| recovery.to_owned()))
}

impl Status {
    fn text(&self, detail: Detail) -> String {
        let mut lines = vec![format!("`{}`: {}", escape(&self.path), self.state)];
        lines.extend(self.environment.iter().flat_map(Environment::lines));
        match &self.receipt {
            Some(receipt) => lines.push(format!(
                "receipt: {}, plan {}",
                counted(receipt.paths, "managed path"),
                receipt.plan
            )),
            None => lines.push("receipt: none".to_owned()),
        }
        lines.push(format!("transaction: {}", self.transaction.recovery));
        lines.extend(
            self.transaction
                .refused
                .as_ref()
                .map(|why| format!("  {}", escape(why))),
        );
        if !self.generations.is_empty() {
            let sizes = match detail {
                Detail::EveryPath => "",
                Detail::Folded => "; `rvenv generations` measures them",
            };
            lines.push(format!(
                "generations (`rvenv rollback` brings back the last{sizes}):"
            ));
            lines.extend(self.generations.iter().map(|kept| kept.text(detail)));
        }
        lines.join("\n") + "\n"
    }
}

impl Environment {
    fn lines(&self) -> Vec<String> {
        let known = |text: &Option<String>| {
            text.as_ref()
                .map_or_else(|| "unknown".to_owned(), |text| escape(text))
        };
        let mut lines = vec![format!(
            "python: {}, from `{}`",
            known(&self.python),
            known(&self.base)
        )];
        lines.extend(
            self.prompt
                .as_ref()
                .map(|prompt| format!("prompt: {}", escape(prompt))),
        );
        lines.push(format!("packages: {}", self.packages));
        for package in self.distributions.iter().flatten() {
            let installer = package
                .installer
                .as_deref()
                .unwrap_or("an unknown installer");
            let origin = package
                .origin
                .as_ref()
                .map(|origin| format!(", from {origin}"));
            let origin = origin.unwrap_or_default();
            let text = format!(
                "  {} {}, by {installer}{origin}",
                package.name, package.version
            );
            lines.push(escape(&text));
        }
        lines.push(format!(
            "health: {} at a glance; `rvenv verify` compares every file",
            self.health.join(", ")
        ));
        lines
    }
}
