//! `rvenv status`: what stands at a target, without writing.

use std::ffi::OsStr;
use std::path::Path;

use rvenv::config::CONFIG_NAME;
use rvenv::render::escape;
use rvenv_journal::fs::{FsError, Kind};
use rvenv_journal::{
    Decision, ENGINE_DIR, Fs, Inspection, Parents, RECEIPT_BYTES_MAX, RECEIPT_NAME, Receipt,
    RecoverError, Target, TargetError, inspect,
};
use serde::Serialize;

use crate::error::{CliError, Exit};

#[derive(Serialize)]
struct Status {
    format: u64,
    path: String,
    state: &'static str,
    receipt: Option<ReceiptStatus>,
    transaction: Transaction,
    generations: Vec<u32>,
}

#[derive(Serialize)]
struct ReceiptStatus {
    plan: String,
    paths: usize,
}

#[derive(Serialize)]
struct Transaction {
    open: bool,
    recovery: &'static str,
    refused: Option<String>,
}

/// The status of a target, as text or as one JSON object.
pub(crate) fn status(fs: &dyn Fs, path: &Path, json: bool) -> Result<String, CliError> {
    let disk = |error: FsError| {
        let shown = escape(&path.to_string_lossy());
        CliError::new(Exit::Failed, format!("cannot look at `{shown}`")).because(&error.source)
    };
    let status = match Target::open(fs, path, Parents::Require) {
        Ok(target) => look(&target).map_err(disk)?,
        Err(TargetError::NoParent(_)) => Status::bare(path, "absent"),
        Err(TargetError::NotADirectory(_)) => Status::bare(path, "not a directory"),
        Err(error) => {
            return Err(CliError::new(
                Exit::Precondition,
                escape(&error.to_string()),
            ));
        }
    };
    Ok(if json { status.json() } else { status.text() })
}

fn look(target: &Target<'_>) -> Result<Status, FsError> {
    let Inspection {
        beside,
        within,
        decision,
    } = inspect(target)?;
    let mut generations = [beside.generations, within.generations].concat();
    generations.sort_unstable();
    let (state, receipt) = tree(target)?;
    Ok(Status {
        format: 1,
        path: target.path().to_string_lossy().into_owned(),
        state,
        receipt,
        transaction: transaction(&decision),
        generations,
    })
}

fn tree(target: &Target<'_>) -> Result<(&'static str, Option<ReceiptStatus>), FsError> {
    let (parent, name) = target.place();
    let fs = target.disk();
    if target.meta()?.is_none_or(|meta| meta.kind != Kind::Dir) {
        return Ok(("absent", None));
    }
    let root = fs.open_dir(parent, name)?;
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
            "environment"
        } else {
            "directory"
        },
        receipt,
    ))
}

fn transaction(decision: &Result<Decision, RecoverError>) -> Transaction {
    let (open, recovery) = match decision {
        Ok(Decision::Nothing) => (false, "nothing is open"),
        Ok(Decision::DropJournal | Decision::Discard) => {
            (true, "a run died while building; its stage will be deleted")
        }
        Ok(Decision::Settle) => (true, "a run died after publishing; the new tree will stay"),
        Ok(Decision::VerifyThenSettle) => (
            true,
            "a run was not confirmed by the disk; the new tree will be verified",
        ),
        Ok(Decision::Undo) => (
            true,
            "a run died while publishing; the old tree will come back",
        ),
        Ok(Decision::Wait) => (
            true,
            "the disk did not confirm what was written; nothing is done before a restart",
        ),
        Ok(Decision::Refuse(_)) | Err(_) => (
            true,
            "needs a person: what stands there fits no history of ours",
        ),
    };
    let refused = decision.as_ref().err().map(ToString::to_string);
    Transaction {
        open,
        recovery,
        refused,
    }
}

/// What is open at a target, if something is.
pub(super) fn open(decision: &Result<Decision, RecoverError>) -> Option<String> {
    let transaction = transaction(decision);
    let told = transaction
        .refused
        .unwrap_or(transaction.recovery.to_owned());
    transaction.open.then_some(told)
}

impl Status {
    fn bare(path: &Path, state: &'static str) -> Self {
        Self {
            format: 1,
            path: path.to_string_lossy().into_owned(),
            state,
            receipt: None,
            transaction: transaction(&Ok(Decision::Nothing)),
            generations: Vec::new(),
        }
    }

    fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("strings and numbers serialize");
        text.push('\n');
        text
    }

    fn text(&self) -> String {
        let mut lines = vec![format!("`{}`: {}", escape(&self.path), self.state)];
        match &self.receipt {
            Some(receipt) => lines.push(format!(
                "receipt: {} managed paths, plan {}",
                receipt.paths, receipt.plan
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
            let numbers: Vec<_> = self.generations.iter().map(ToString::to_string).collect();
            lines.push(format!("generations: {}", numbers.join(", ")));
        }
        lines.join("\n") + "\n"
    }
}
