//! `rvenv apply`: applies exactly the plan that was saved.

use std::ffi::OsStr;
use std::path::Path;

use rvenv::caller::{Compilation, RunTerms};
use rvenv::environment::{self, Checker, Fit, Outcome};
use rvenv::render::escape;
use rvenv::saved_plan::{Need, WheelPlaces};
use rvenv_journal::{Digest, Parents, Plan, Publication, Target};

use super::asking::{retention, sources};
use super::verify::warning;
use crate::advice::{CliError, Code, Exit, Recovery, of_rebuild, of_run, of_unsuited};
use crate::args::ApplyArgs;
use crate::health_checks::may_run;
use crate::session::Session;
use crate::shell_words::word;

impl Session<'_> {
    pub(crate) fn apply(&self, args: &ApplyArgs) -> Result<Exit, CliError> {
        let plan = self.saved_plan(&args.plan_file)?;
        if let Some(pinned) = &args.digest {
            check_digest(&plan, pinned)?;
        }
        let plan = self.suited(args, &plan)?;
        if args.dry_run {
            return self.try_on(args, &plan);
        }
        let commands = &args.replace.checks.check;
        if !commands.is_empty() {
            may_run(plan.target(), args.replace.checks.allow_other_owner)?;
        }
        let checker = || self.check_named_by_record(Path::new(plan.target()), commands);
        let terms = RunTerms {
            retention: retention(&args.replace),
            permissions: self.permissions(args.force, args.lost.allow_lost),
            check: (!commands.is_empty()).then_some(&checker as &Checker<'_>),
            compilation: Compilation::of(args.compile_bytecode),
            ..RunTerms::default()
        };
        let before = self.before(plan.target());
        let outcome = self.run(&args.run, &terms, |run| environment::apply(run, &plan))?;
        let is_nothing = plan.publication() == Publication::Nothing;
        if matches!(outcome, Outcome::NoChanges(_)) && !is_nothing {
            let shown = escape(plan.target());
            self.terminal.story(&format!(
                "The plan is applied to `{shown}` already: no changes"
            ));
        } else {
            self.tell(&outcome, OsStr::new(plan.target()), "as planned");
            self.tell_other_versions(outcome.plan());
        }
        let changed = before.map(|before| self.changed(before, &outcome));
        self.report(changed.into_iter().collect())?;
        Ok(Exit::Done)
    }

    /// Shows a plan, and reports whether it could be applied now.
    fn try_on(&self, args: &ApplyArgs, plan: &Plan) -> Result<Exit, CliError> {
        if !self.json {
            self.show(plan, Some(args.run.durability))?;
        }
        let path = Path::new(plan.target());
        if let Ok(target) = Target::open(&self.fs, path, Parents::Require)
            && let Some(warning) = warning(&target, plan.target())
        {
            self.terminal.error(&warning);
        }
        let permissions = self.permissions(args.force, args.lost.allow_lost);
        let cache = self.world.cache.as_ref();
        let fits = self.during("Comparing with what exists", |_| {
            environment::check_saved(&self.fs, cache, plan, permissions)
        });
        let fit =
            fits.map_err(|error| of_run(&error, self.signals.terminated(), Recovery::default()))?;
        if self.json {
            self.terminal.json(&plan.to_json())?;
        }
        let shown = escape(plan.target());
        let is_done = fit == Fit::IsApplied || plan.publication() == Publication::Nothing;
        self.terminal.story(&if is_done {
            format!("`{shown}` is as planned: nothing to apply")
        } else {
            let file = word(&args.plan_file.to_string_lossy());
            format!("The plan fits `{shown}`. Apply it with `rvenv apply {file}`")
        });
        Ok(Exit::Done)
    }

    /// The plan with its interpreter checked and its wheels found on this machine, or in their
    /// place; for another path it is made again.
    fn suited(&self, args: &ApplyArgs, plan: &Plan) -> Result<Plan, CliError> {
        let from = WheelPlaces {
            wheelhouses: args.places.wheelhouse.clone(),
            sources: sources(&args.index, &args.places.from),
            allow_hosts: args.places.allow_host.clone(),
        };
        let need = match args.at {
            Some(_) => Need::Files,
            None => Need::Members,
        };
        let found = self.with_caller(|caller| {
            caller.check_interpreter(plan)?;
            caller.find_wheels(plan, &from, need)
        });
        let plan = found.map_err(|failed| of_unsuited(&failed, self.signals.terminated()))?;
        let Some(at) = &args.at else {
            return Ok(plan);
        };
        let env_dir = self.world.env_dir(at)?;
        if env_dir == plan.target() {
            return Ok(plan);
        }
        let permissions = self.permissions(args.force, args.lost.allow_lost);
        let made = self.with_caller(|caller| caller.rebuild(&plan, &env_dir, permissions));
        let made = made.map_err(|failed| of_rebuild(failed, self.signals.terminated()))?;
        self.terminal.story(&format!(
            "Planned again for `{}`: the saved plan is for `{}`; the digest is now {}",
            escape(&env_dir),
            escape(plan.target()),
            made.digest()
        ));
        Ok(made)
    }
}

fn check_digest(plan: &Plan, pinned: &str) -> Result<(), CliError> {
    let digest = Digest::parse(pinned)
        .map_err(|error| CliError::new(Code::Usage, escape(&error.to_string())))
        .map_err(|error| error.hint("`rvenv plan` prints the digest of a plan"))?;
    if plan.digest() == digest {
        return Ok(());
    }
    let what = format!(
        "the plan has the digest {}, not the one that `--digest` names",
        plan.digest()
    );
    Err(CliError::new(Code::PlanDigest, what).hint("review the plan again before you apply it"))
}
