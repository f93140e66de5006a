//! `rvenv verify --against`: proves that what is installed is what a registry has.
//!
//! Promises to compare every file with the plan in the registry, and not with the receipt beside
//! the files, which could have been changed with them. Writes only to the cache: the plan is
//! fetched, and for another path than that of the plan its wheels too.
//! Read next: the library's `front/pulling.rs`.

use std::path::Path;

use rvenv::deriving::Wanted;
use rvenv::fetch::Reference;
use rvenv::render::{Detail, escape};
use rvenv::saved_plan::{Need, WheelPlaces};
use rvenv::verify::{Checked, Verification, differences};
use rvenv_journal::raw::{agreeing, counted};
use rvenv_journal::{Digest, Parents, Plan, Receipt, Target};
use serde::Serialize;

use super::generations::json_of;
use super::push::reference;
use super::verify::{CheckedDto, NamedDto, push, push_named, warning};
use crate::advice::{
    CliError, Exit, of_pull, of_rebuild, of_unsuited, of_verify, of_verify_target,
};
use crate::args::VerifyArgs;
use crate::found_env::Use;
use crate::session::Session;

/// An environment compared with what a registry has.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct AgainstDto<'a> {
    /// The version of this form.
    format: u64,
    path: String,
    /// The reference with the digest.
    reference: String,
    /// The reference of the index that lists it, if one was named.
    index: Option<String>,
    /// The digest of what the plan makes at this path.
    publishes: String,
    /// The paths of the plan.
    managed: CheckedDto<'a>,
    /// The packages that the plan does not have.
    added: Vec<NamedDto<'a>>,
    /// Whether nothing differs.
    proved: bool,
}

impl Session<'_> {
    pub(crate) fn verify_against(
        &self,
        args: &VerifyArgs,
        against: &str,
    ) -> Result<Exit, CliError> {
        let named = reference(against)?;
        let given = self.env_of(&args.target, Use::Look)?;
        let path = self.world.env_dir(&given)?;
        let Expected {
            plan: expected,
            there,
            index,
        } = self.expected(&named, &path)?;
        let target = Target::open(&self.fs, Path::new(&path), Parents::Require);
        let target = target.map_err(of_verify_target)?;
        if let Some(warning) = warning(&target, &given.to_string_lossy()) {
            self.terminal.error(&warning);
        }
        let receipt = Receipt::of(&expected);
        let (drift, verification) = self
            .during("Comparing files", |_| {
                let drift = differences(&target, &receipt)?;
                Ok((drift, rvenv::verify::verify(&target)?))
            })
            .map_err(|error| of_verify(&error))?;
        let checked = Checked {
            checked: receipt.paths.len(),
            drift,
            more: 0,
        };
        let added = added(&verification, &receipt);
        let is_proved = checked.drift.is_empty() && added.is_empty();
        if self.json {
            self.terminal.json(&json_of(&AgainstDto {
                format: 1,
                path: path.clone(),
                reference: there.to_string(),
                index: index.map(|index| named.at(index).to_string()),
                publishes: expected.outcome().to_string(),
                managed: CheckedDto::of(&checked),
                added: added.iter().map(|one| NamedDto::of(one)).collect(),
                proved: is_proved,
            }))?;
        } else {
            let text = text(&path, &there, &checked, &added, self.detail());
            self.terminal.data(&text)?;
        }
        Ok(if is_proved { Exit::Done } else { Exit::Pending })
    }

    /// The plan of a registry for this path; of an index, the one for the environment's Python.
    fn expected(&self, named: &Reference, path: &str) -> Result<Expected, CliError> {
        let mut from = WheelPlaces::default();
        let pulled = self.with_caller(|caller| {
            let python = caller.python_of(path);
            caller.pull_plan(named, &from, python.as_ref(), Wanted::Seen)
        });
        let pulled = pulled.map_err(|failed| of_pull(&failed, self.signals.terminated()))?;
        let expected = Expected {
            plan: pulled.plan.clone(),
            there: named.at(pulled.manifest),
            index: pulled.chosen.as_ref().map(|chosen| chosen.index),
        };
        if expected.plan.target() == path {
            return Ok(expected);
        }
        let taken = self.with_caller(|caller| caller.pull_bytecode(&pulled, named, &from));
        taken.map_err(|failed| of_pull(&failed, self.signals.terminated()))?;
        from = from.with_repository(&named.repository);
        let found = self.with_caller(|caller| {
            caller.check_interpreter(&expected.plan)?;
            caller.find_wheels(&expected.plan, &from, Need::Files)
        });
        let plan = found.map_err(|failed| of_unsuited(&failed, self.signals.terminated()))?;
        let rebuilt = self.with_caller(|caller| caller.rebuilt(&plan, path, pulled.note_state));
        let plan = rebuilt.map_err(|failed| of_rebuild(failed, self.signals.terminated()))?;
        Ok(Expected { plan, ..expected })
    }
}

/// What a registry has for a path.
struct Expected {
    plan: Plan,
    /// The reference with the digest.
    there: Reference,
    /// The digest of the index that lists it.
    index: Option<Digest>,
}

/// The installed packages that are not among these paths.
fn added<'v>(
    found: &'v Verification,
    receipt: &Receipt,
) -> Vec<&'v rvenv::distributions::Distribution> {
    let is_planned = |dir: &str| receipt.paths.keys().any(|path| path.as_str() == dir);
    let all = found.distributions.iter();
    all.filter(|one| {
        let dir = &one.installed.distribution.dir;
        !is_planned(&format!("{}/{dir}", one.site_packages))
    })
    .map(|one| &one.installed.distribution)
    .collect()
}

fn text(
    path: &str,
    there: &Reference,
    checked: &Checked,
    added: &[&rvenv::distributions::Distribution],
    detail: Detail,
) -> String {
    let paths = counted(checked.checked, "path");
    let mut lines = vec![format!("registry: {paths}, {there}")];
    let findings: Vec<_> = checked.drift.iter().collect();
    push(&mut lines, "paths", &findings, detail);
    let names = added.iter().map(ToString::to_string);
    push_named(&mut lines, "not in the registry", names, detail);
    let count = checked.drift.len() + added.len();
    lines.push(if count == 0 {
        "state: proved, every path is as in the registry".to_owned()
    } else {
        let verb = agreeing(count, "differs", "differ");
        format!("state: not proved, {count} {verb}")
    });
    format!("`{}`\n{}\n", escape(path), lines.join("\n"))
}
