//! `rvenv rollback`: brings back what the last change replaced.

use std::path::Path;

use rvenv::caller::RunTerms;
use rvenv::checks;
use rvenv::distributions::Distribution;
use rvenv::environment::{self, Checker, RolledBack};
use rvenv::generations::Difference;
use rvenv::render::escape;
use rvenv::rollback::Turn;
use rvenv_journal::Retention;
use rvenv_journal::raw::{WhyKept, counted};

use super::done::Kind;
use crate::advice::{CliError, Code, Exit};
use crate::args::RollbackArgs;
use crate::found_env::{Use, absent};
use crate::health_checks::may_run;
use crate::session::Session;
use crate::shell_words::word;

/// How many files are named.
const FILES_MAX: usize = 20;

impl Session<'_> {
    pub(crate) fn rollback(&self, args: &RollbackArgs) -> Result<Exit, CliError> {
        let given = self.env_of(&args.target, Use::change(args.checks.allow_other_owner))?;
        let env_dir = self.world.env_dir(&given)?;
        let commands = &args.checks.check;
        if !commands.is_empty() {
            may_run(&env_dir, args.checks.allow_other_owner)?;
        }
        let checker = || {
            // The restored files may have other owners.
            match checks::other_owner(Path::new(&env_dir)) {
                Some(other) if !args.checks.allow_other_owner => Err(other.into()),
                Some(_) | None => self.check_named_by_record(Path::new(&env_dir), commands),
            }
        };
        let terms = RunTerms {
            retention: Some(Retention::Keep),
            check: (!commands.is_empty()).then_some(&checker as &Checker<'_>),
            ..RunTerms::default()
        };
        let before = self.before(&env_dir);
        let rolled_back = self.run(&args.run, &terms, |run| {
            environment::rollback(run, Path::new(&env_dir))
        });
        let RolledBack { turn, ending } = rolled_back.map_err(|failed| {
            let is_gone = Path::new(&env_dir).symlink_metadata().is_err();
            if failed.code == Code::NoGeneration && is_gone {
                return absent(&given);
            }
            failed
        })?;
        let shown = escape(&given.to_string_lossy());
        let env = word(&given.to_string_lossy());
        // A removed environment comes back to where nothing is: then there is no way forward.
        let forward = ending
            .kept
            .as_ref()
            .map(|_| format!(". Go forward again with `rvenv rollback {env}`"));
        self.terminal.story(&format!(
            "Brought generation {} of `{shown}` back{}{}",
            turn.generation,
            python_change(&turn),
            forward.unwrap_or_default(),
        ));
        for line in changes(&turn, &env) {
            self.terminal.story(&line);
        }
        let changed = before.map(|before| {
            self.since(before, Kind::RolledBack, &ending)
                .restoring(turn.generation)
        });
        self.report(changed.into_iter().collect())?;
        let asked = |why| why == WhyKept::Asked;
        Ok(if ending.kept.is_none_or(|kept| asked(kept.why)) {
            Exit::Done
        } else {
            Exit::NeedsPerson
        })
    }
}

fn python_change(turn: &Turn) -> String {
    match &turn.python {
        (Some(old), Some(new)) if old != new => {
            format!(": Python {} instead of {}", escape(new), escape(old))
        }
        _ => String::new(),
    }
}

/// What went aside, came back and changed, one line for each kind.
fn changes(turn: &Turn, env: &str) -> Vec<String> {
    let (mut gone, mut back, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for difference in &turn.differences {
        match difference {
            Difference::Without(one) => gone.push(one.to_string()),
            Difference::With(one) => back.push(one.to_string()),
            Difference::Other(old, new) => changed.push(format!("{old} → {}", new.version)),
        }
    }
    let unused = turn.unused.iter().map(|placed| {
        let site = &placed.site_packages;
        format!("{} (in {site})", placed.distribution)
    });
    let of_each = |files: &[(String, Distribution)]| -> Vec<String> {
        let all = files.iter();
        all.map(|(path, of)| format!("{path} of {of}")).collect()
    };
    let whole = turn.whole.iter().map(ToString::to_string);
    let named = [
        ("Set aside", gone),
        ("Back again", back),
        ("Changed", changed),
        (
            "Stays although the generation has a part of it",
            whole.collect(),
        ),
        ("Stays where this Python does not look", unused.collect()),
    ];
    let line = |what: &str, kind: &str, names: &[String]| {
        let count = counted(names.len(), kind);
        format!("{what}: {count} ({})", escape(&names.join(", ")))
    };
    let named = named.iter().filter(|(_, names)| !names.is_empty());
    let mut lines: Vec<String> = named
        .map(|(what, names)| line(what, "package", names))
        .collect();
    if !turn.files.is_empty() {
        let mut files: Vec<String> = turn.files.iter().take(FILES_MAX).cloned().collect();
        files.extend((turn.files.len() > FILES_MAX).then(|| "…".to_owned()));
        let count = counted(turn.files.len(), "other path");
        lines.push(format!(
            "Set aside: {count} ({})",
            escape(&files.join(", "))
        ));
    }
    let lost = [
        (
            "Overwritten since, and not in the generation",
            of_each(&turn.overwritten),
        ),
        ("Deleted since, and not back again", of_each(&turn.missing)),
    ];
    let lost = lost.iter().filter(|(_, files)| !files.is_empty());
    let lost: Vec<String> = lost
        .map(|(what, files)| line(what, "file", files))
        .collect();
    if !lost.is_empty() {
        lines.extend(lost);
        lines.push(format!("Look at them with `rvenv verify {env}`"));
    }
    lines
}
