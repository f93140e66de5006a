//! `rvenv clone`: makes an environment with the packages of another one.
//!
//! Promises that the environment that is cloned is only read, that the clone appears whole or not
//! at all, and that what it does not get is named.
//! Read next: the library's `front/cloning.rs`.

use std::path::Path;

use rvenv::caller::RunTerms;
use rvenv::carry::LostPackage;
use rvenv::checks;
use rvenv::cloning::CloneAnswer;
use rvenv::environment::{self, Checker, Outcome};
use rvenv::hooks::Venv;
use rvenv::python::Purpose;
use rvenv::render::escape;
use rvenv_journal::raw::counted;

use super::plan::Saving;
use crate::advice::{CliError, Code, Exit, of_plan};
use crate::args::CloneArgs;
use crate::health_checks::allow;
use crate::session::{READING, Session};
use crate::shell_words::{quoted_activate, word};

/// How many foreign paths are named without `-v`.
const FOREIGN_MAX: usize = 10;

impl Session<'_> {
    pub(crate) fn clone_env(&self, args: &CloneArgs) -> Result<Exit, CliError> {
        let from = self.world.env_dir(&args.env_dir)?;
        let to = self.world.env_dir(&args.new_dir)?;
        let shown = escape(&args.new_dir.to_string_lossy());
        if Path::new(&to).symlink_metadata().is_ok() {
            let refused = CliError::new(Code::Occupied, format!("`{shown}` exists already"));
            return Err(refused.hint("name a path at which nothing exists"));
        }
        let saving = Saving::of(
            args.output.out.as_ref(),
            self.json && args.output.dry_run,
            Some(args.run.durability),
        )?;
        let purpose = if args.output.dry_run {
            Purpose::Show
        } else {
            Purpose::Change
        };
        let named = self.typed_python(args.python.as_ref());
        let named = named.map_err(|error| self.not_found(&error, None))?;
        let answer = self.with_caller(|caller| caller.prepare_clone(&from, &to, &named, purpose));
        let answer = answer.map_err(|failed| self.unanswered(failed, args.python.as_ref()))?;
        if !answer.is_same_python {
            let version = escape(&answer.context.interpreter.version.text);
            let source = escape(&args.env_dir.to_string_lossy());
            let what = format!("the packages of `{source}` are for another Python than {version}");
            let hint = "clone it with its own Python, and use `rvenv upgrade` on the clone";
            return Err(CliError::new(Code::OtherPython, what).hint(hint));
        }
        let source = args.env_dir.to_string_lossy();
        refuse_lost(&answer.companions.lost, &source)?;
        if args.output.dry_run {
            let plan = self.during(READING, |_| {
                environment::plan_clone(&Venv, &answer.context, &answer.companions)
            });
            let plan = plan.map_err(|error| of_plan(&error))?;
            self.save_or_show_plan(&plan, &saving)?;
        } else {
            // The check runs files that belonged to the owner of the environment that is cloned.
            let other = checks::other_owner(Path::new(&from));
            allow(other, args.checks.allow_other_owner)?;
            let before = self.before(&to);
            let outcome = self.publish_clone(args, &answer)?;
            if let Outcome::Published(report) = &outcome {
                let activate = escape(&quoted_activate(&args.new_dir.to_string_lossy()));
                let packages = counted(answer.companions.carried.len(), "package");
                self.terminal.story(&format!(
                    "Cloned `{}` to `{shown}` with {packages}. Activate it with `{activate}`",
                    escape(&source)
                ));
                self.terminal
                    .tell_ending(&report.ending, &word(&args.new_dir.to_string_lossy()));
            }
            let changed = before.map(|before| self.changed(before, &outcome));
            self.report(changed.into_iter().collect())?;
        }
        self.tell_foreign(&answer.foreign, args.output.dry_run);
        Ok(Exit::Done)
    }

    fn publish_clone(&self, args: &CloneArgs, answer: &CloneAnswer) -> Result<Outcome, CliError> {
        let env_dir = Path::new(&answer.context.env_dir);
        let commands = &args.checks.check;
        let checker = || {
            // The source may lead to another interpreter than the one that may be started.
            checks::is_of(env_dir, &answer.context.interpreter)?;
            self.check_published(env_dir, commands)
        };
        let terms = RunTerms {
            check: Some(&checker as &Checker<'_>),
            ..RunTerms::default()
        };
        self.run(&args.run, &terms, |run| {
            environment::clone(run, &Venv, &answer.context, &answer.companions)
        })
    }

    /// Names what the clone does not get.
    fn tell_foreign(&self, foreign: &[String], is_planned: bool) {
        if foreign.is_empty() {
            return;
        }
        let is_full = self.detail() == rvenv::render::Detail::EveryPath;
        let shown_max = if is_full { usize::MAX } else { FOREIGN_MAX };
        let shown: Vec<&str> = foreign.iter().take(shown_max).map(String::as_str).collect();
        let more = foreign.len() - shown.len();
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let verb = if is_planned {
            "Will not copy"
        } else {
            "Did not copy"
        };
        let count = counted(foreign.len(), "path");
        self.terminal.story(&format!(
            "{verb} {count} of no package: {}{more}",
            escape(&shown.join(", "))
        ));
    }
}

/// Refuses to leave packages out.
fn refuse_lost(lost: &[LostPackage], source: &str) -> Result<(), CliError> {
    if lost.is_empty() {
        return Ok(());
    }
    let all: Vec<String> = lost.iter().map(|one| escape(&one.to_string())).collect();
    let count = counted(lost.len(), "package");
    let what = format!(
        "{count} of `{}` cannot be copied: {}",
        escape(source),
        all.join("; ")
    );
    let env = word(source);
    Err(CliError::new(Code::LostPackages, what).hint(format!(
        "`rvenv repair {env}` mends damaged packages; install others again, or uninstall them"
    )))
}
