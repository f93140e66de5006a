//! `rvenv apply`: applies exactly the plan that was saved.

use std::ffi::OsStr;
use std::path::Path;

use rvenv::caller::{Compilation, RunTerms};
use rvenv::deriving::Wanted;
use rvenv::environment::{self, Checker, Fit, Outcome};
use rvenv::fetch::{Reference, is_reference};
use rvenv::pulling::Pulled;
use rvenv::rebuilding::NoteState;
use rvenv::render::escape;
use rvenv::saved_plan::{Need, WheelPlaces};
use rvenv_journal::{Digest, Parents, Plan, Publication, Retention, Target};

use super::asking::retention;
use super::choice::not_an_index;
use super::push::{places_of, reference};
use super::verify::warning;
use crate::advice::{
    CliError, Code, Exit, Recovery, of_plan, of_pull, of_rebuild, of_run, of_unsuited,
};
use crate::args::{ApplyArgs, ChoiceArg};
use crate::health_checks::may_run;
use crate::session::Session;
use crate::shell_words::word;

impl Session<'_> {
    pub(crate) fn apply(&self, args: &ApplyArgs) -> Result<Exit, CliError> {
        let mut from = places_of(&args.wheels);
        let read = self.read_plan(&args.plan_file, &args.choice, &mut from)?;
        if let Some(pinned) = &args.digest {
            check_digest(&read, pinned)?;
        }
        let is_deployed = read.is_deployed();
        let plan = self.suited(args, &read, &from)?;
        if args.dry_run {
            return if is_deployed {
                let plan = self.over(args, &plan)?;
                self.try_on(args, &plan, Some(Retention::Keep))
            } else {
                self.try_on(args, &plan, None)
            };
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
            compilation: Compilation::of(args.wheels.compile_bytecode),
            ..RunTerms::default()
        };
        let before = self.before(plan.target());
        let outcome = self.run(&args.run, &terms, |run| {
            if is_deployed {
                environment::deploy(run, &plan)
            } else {
                environment::apply(run, &plan)
            }
        })?;
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

    /// The plan in a file, or in a registry, which then is a place for its wheels too.
    pub(super) fn read_plan(
        &self,
        plan_file: &Path,
        choice: &ChoiceArg,
        from: &mut WheelPlaces,
    ) -> Result<Read, CliError> {
        let given = plan_file.to_string_lossy();
        let python = self.wanted_of_index(choice)?;
        let python = python.as_ref();
        if !is_reference(&given) {
            if let Some(python) = python {
                return Err(not_an_index(&escape(&given), python));
            }
            return self.saved_plan(plan_file).map(Read::File);
        }
        let reference = reference(&given)?;
        let pulled =
            self.with_caller(|caller| caller.pull_plan(&reference, from, python, Wanted::Applied));
        let pulled = pulled.map_err(|failed| of_pull(&failed, self.signals.terminated()))?;
        let chosen = pulled.chosen.as_ref();
        self.tell_found(&reference, pulled.manifest, chosen, python)?;
        *from = from.with_repository(&reference.repository);
        Ok(Read::Registry {
            reference,
            pulled: Box::new(pulled),
        })
    }

    /// Takes the bytecode of a plan out of the registry, as far as the store does not have it.
    pub(super) fn take_bytecode(&self, read: &Read, from: &WheelPlaces) -> Result<(), CliError> {
        let Read::Registry { reference, pulled } = read else {
            return Ok(());
        };
        let taken = self.with_caller(|caller| caller.pull_bytecode(pulled, reference, from));
        taken.map_err(|failed| of_pull(&failed, self.signals.terminated()))
    }

    /// Shows a plan, and reports whether it could be applied now.
    fn try_on(
        &self,
        args: &ApplyArgs,
        plan: &Plan,
        usual: Option<Retention>,
    ) -> Result<Exit, CliError> {
        if !self.json {
            let retention = retention(&args.replace).or(usual);
            self.show(plan, Some(args.run.durability), retention)?;
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
    fn suited(&self, args: &ApplyArgs, read: &Read, from: &WheelPlaces) -> Result<Plan, CliError> {
        let planned = read.plan();
        let at = args.at.as_ref().or(args.dir.as_ref());
        let env_dir = at.map(|at| self.world.env_dir(at)).transpose()?;
        let env_dir = env_dir.filter(|at| at != planned.target());
        let need = match at {
            Some(_) => Need::Files,
            None => Need::Members,
        };
        if read.note_state() == NoteState::Unproved {
            let checked = self.with_caller(|caller| caller.check_interpreter(planned));
            checked.map_err(|failed| of_unsuited(&failed, self.signals.terminated()))?;
        }
        self.take_bytecode(read, from)?;
        let found = self.with_caller(|caller| caller.find_wheels(planned, from, need));
        let plan = found.map_err(|failed| of_unsuited(&failed, self.signals.terminated()))?;
        match env_dir {
            Some(env_dir) => self.made_again(args, read, &plan, &env_dir),
            None => Ok(plan),
        }
    }

    /// A plan of a registry over what is at its target now, which is replaced as by `create
    /// --clear`.
    fn over(&self, args: &ApplyArgs, plan: &Plan) -> Result<Plan, CliError> {
        let permissions = self.permissions(args.force, args.lost.allow_lost);
        environment::over(&self.fs, plan, permissions).map_err(|error| of_plan(&error))
    }

    /// A saved plan, made again for another path.
    fn made_again(
        &self,
        args: &ApplyArgs,
        read: &Read,
        plan: &Plan,
        env_dir: &str,
    ) -> Result<Plan, CliError> {
        let permissions = self.permissions(args.force, args.lost.allow_lost);
        let made = self.with_caller(|caller| {
            if read.is_deployed() {
                caller.rebuilt(plan, env_dir, read.note_state())
            } else {
                caller.rebuild(plan, env_dir, permissions)
            }
        });
        let made = made.map_err(|failed| of_rebuild(failed, self.signals.terminated()))?;
        self.terminal.story(&format!(
            "Planned again for `{}`: the saved plan is for `{}`; the digest is now {}",
            escape(env_dir),
            escape(plan.target()),
            made.digest()
        ));
        Ok(made)
    }
}

/// A plan that was read.
pub(super) enum Read {
    File(Plan),
    Registry {
        reference: Reference,
        pulled: Box<Pulled>,
    },
}

impl Read {
    pub(super) fn plan(&self) -> &Plan {
        match self {
            Self::File(plan) => plan,
            Self::Registry { pulled, .. } => &pulled.plan,
        }
    }

    /// Whether it comes from a registry.
    fn is_deployed(&self) -> bool {
        matches!(self, Self::Registry { .. })
    }

    /// Whether this machine made it by its note, and checked its interpreter.
    pub(super) fn note_state(&self) -> NoteState {
        match self {
            Self::File(_) => NoteState::Unproved,
            Self::Registry { pulled, .. } => pulled.note_state,
        }
    }

    /// Whether it, its manifest or the index that lists this has a digest.
    fn has(&self, digest: Digest) -> bool {
        let is_named = match self {
            Self::File(_) => false,
            Self::Registry { pulled, .. } => {
                let index = pulled.chosen.as_ref().map(|chosen| chosen.index);
                pulled.manifest == digest || index == Some(digest)
            }
        };
        is_named || self.plan().digest() == digest
    }
}

fn check_digest(read: &Read, pinned: &str) -> Result<(), CliError> {
    let digits = pinned.strip_prefix("sha256:").unwrap_or(pinned);
    let digest = Digest::parse(digits)
        .map_err(|error| CliError::new(Code::Usage, escape(&error.to_string())))
        .map_err(|error| error.hint("`rvenv plan` prints the digest of a plan"))?;
    if read.has(digest) {
        return Ok(());
    }
    let what = format!(
        "the plan has the digest {}, not the one that `--digest` names",
        read.plan().digest()
    );
    Err(CliError::new(Code::PlanDigest, what).hint("review the plan again before you apply it"))
}
