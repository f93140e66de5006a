//! A saved plan for another path: what was asked for is noted in the plan, and planned again.
//!
//! Promises that the note is believed only if planning by it for the plan's own path gives what the
//! plan makes, by its digest. So the note needs no digest of its own, and a plan that was reviewed
//! and is pinned by its digest is pinned for every path. A plan that changes an existing
//! environment entry by entry has no note: what it keeps is in that environment.
//!
//! Read next: `plan_note.rs`, the note; `saved_plan.rs`, which finds the wheels; `request.rs`, the
//! first way to a plan.

use std::path::{Path, PathBuf};

use rvenv_journal::{Digest, Plan, Publication};
use thiserror::Error;

use super::answer::Answer;
use super::caller::Caller;
use super::deriving::noted_interpreter;
use super::plan_note::{Note, interpreter_of, makes_all};
use super::request::RequestFailed;
use crate::base::umask::Umask;
use crate::build::hooks::{self, Context, Venv};
use crate::change::environment::{self, Permissions, PlanFailed};
use crate::python::{self, Interpreter, NamedByTarget, Purpose};

/// Whether the note of a plan was compared with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteState {
    /// Planning by the note gives the plan.
    Proved,
    /// They were not compared yet.
    Unproved,
}

/// Why a saved plan cannot be made for another path.
#[derive(Debug, Error)]
pub enum RebuildFailed {
    /// It changes an environment entry by entry.
    #[error("the plan changes the environment at `{}`, and keeps what is there", .0.escape_debug())]
    OfExisting(String),
    /// It has no note of what was asked for.
    #[error("the plan does not say what was asked for")]
    NoRequest,
    /// The note is not that of this plan.
    #[error(
        "what the plan says was asked for gives another environment: its digest is {found}, \
         that of the plan is {planned}"
    )]
    OtherOutcome {
        /// The digest of what the plan makes.
        planned: Digest,
        /// The digest of what the note gives.
        found: Digest,
    },
    /// The interpreter is not the one of the plan.
    #[error("`{}` is not the interpreter of the plan", path.display().to_string().escape_debug())]
    Interpreter {
        /// Its path.
        path: PathBuf,
    },
    /// Something exists at the path, and the plan replaces nothing.
    #[error("the plan is for a path where nothing exists, and `{}` exists", .0.escape_debug())]
    Exists(String),
    /// What was asked for cannot be planned.
    #[error(transparent)]
    Request(#[from] Box<RequestFailed>),
    /// There is no plan for the path.
    #[error(transparent)]
    Plan(#[from] PlanFailed),
}

impl From<RequestFailed> for RebuildFailed {
    fn from(failed: RequestFailed) -> Self {
        Self::Request(Box::new(failed))
    }
}

impl Answer {
    /// The plan with a note of what was asked for, if it makes a whole environment.
    #[must_use]
    pub fn noted(&self, plan: Plan) -> Plan {
        let note = Note::of(&self.context, &plan);
        match note.and_then(|note| serde_json::to_string(&note).ok()) {
            Some(text) => plan.with_request(&text),
            None => plan,
        }
    }
}

impl Caller<'_> {
    /// Plans for another path what a saved plan makes; its wheels must be files, as
    /// [`Caller::find_wheels`] finds them.
    ///
    /// # Errors
    /// See [`RebuildFailed`].
    pub fn rebuild(
        &self,
        plan: &Plan,
        env_dir: &str,
        permissions: Permissions<'_>,
    ) -> Result<Plan, RebuildFailed> {
        let clear = plan.publication() != Publication::Put;
        let other = self.context_elsewhere(plan, env_dir, NoteState::Unproved)?;
        let made = environment::plan(self.fs, &Venv, &other, permissions)?;
        if !clear && made.publication() != Publication::Put {
            return Err(RebuildFailed::Exists(env_dir.to_owned()));
        }
        Ok(made.with_statements_of(plan))
    }

    /// Plans for another path, at which nothing counts as existing, what a saved plan makes; its
    /// wheels must be files.
    ///
    /// # Errors
    /// See [`RebuildFailed`].
    pub fn rebuilt(
        &self,
        plan: &Plan,
        env_dir: &str,
        note_state: NoteState,
    ) -> Result<Plan, RebuildFailed> {
        let other = self.context_elsewhere(plan, env_dir, note_state)?;
        let draft = hooks::build(&Venv, &other).map_err(PlanFailed::from)?;
        Ok(environment::put(draft)?.with_statements_of(plan))
    }

    /// Everything that a hook may know about what a saved plan makes, for another path.
    fn context_elsewhere(
        &self,
        plan: &Plan,
        env_dir: &str,
        note_state: NoteState,
    ) -> Result<Context, RebuildFailed> {
        if !makes_all(plan) {
            return Err(RebuildFailed::OfExisting(plan.target().to_owned()));
        }
        let note = plan.request().and_then(Note::read);
        let note = note.ok_or(RebuildFailed::NoRequest)?;
        // Most need no interpreter at work: what the note says of it gives the same plan.
        let noted = noted_interpreter(plan, &note).filter(|noted| {
            note_state == NoteState::Proved || self.prove_note(plan, &note, noted).is_ok()
        });
        let interpreter = if let Some(noted) = noted {
            noted
        } else {
            let found = match self.remembered_interpreter(plan) {
                // To compile, it must be started.
                Some(known) if !note.compiles() => known,
                Some(_) | None => self.interpreter(plan, env_dir)?,
            };
            self.prove_note(plan, &note, &found)?;
            found
        };
        let mut context = self.noted_context(plan, &note, &interpreter, env_dir)?;
        let umask = Umask::at(self.fs, Path::new(env_dir), self.host.umask);
        if umask.is_of_acl {
            (context.options.umask, context.options.umask_is_of_acl) = (umask.bits, true);
        }
        Ok(context)
    }

    /// Checks that planning by a note gives what the plan makes.
    fn prove_note(
        &self,
        plan: &Plan,
        note: &Note,
        interpreter: &Interpreter,
    ) -> Result<(), RebuildFailed> {
        let own = self.noted_context(plan, note, interpreter, plan.target())?;
        check_outcome(plan, &own)
    }

    /// Everything that a hook may know by a note, for a path.
    pub(super) fn noted_context(
        &self,
        plan: &Plan,
        note: &Note,
        interpreter: &Interpreter,
        env_dir: &str,
    ) -> Result<Context, RebuildFailed> {
        let options = note.options(plan.publication() != Publication::Put);
        let mut context = self.context(env_dir, interpreter.clone(), options.clone())?;
        context.options = options;
        context.supplies = note.supplies(plan);
        let compiled = self.compile_or_take(&mut context, &self.foreign_names(plan));
        compiled.map_err(RequestFailed::from)?;
        Ok(context)
    }

    /// The interpreter of a plan, as an earlier command asked it; it is not started.
    fn remembered_interpreter(&self, plan: &Plan) -> Option<Interpreter> {
        let input = interpreter_of(plan)?;
        let path = Path::new(&input.path);
        let known = python::remembered(path, &self.host.surroundings)?;
        (known.executable_digest == input.digest && known.executable == path).then_some(known)
    }

    /// The interpreter of a plan, asked about itself. Only the plan names it, so it must be one
    /// that a command may start for a target that names it.
    fn interpreter(&self, plan: &Plan, env_dir: &str) -> Result<Interpreter, RebuildFailed> {
        let input = interpreter_of(plan).ok_or(RebuildFailed::NoRequest)?;
        let path = PathBuf::from(&input.path);
        let other = || RebuildFailed::Interpreter { path: path.clone() };
        let named = NamedByTarget::new(path.clone()).ok_or_else(other)?;
        let targets = [Path::new(env_dir), Path::new(plan.target())];
        let found = self.find_published(&named, targets, Purpose::Change);
        let found = found.map_err(RequestFailed::from)?;
        if found.executable_digest == input.digest && found.executable == path {
            Ok(found)
        } else {
            Err(other())
        }
    }
}

/// Checks that planning by the note gives what the plan makes.
fn check_outcome(plan: &Plan, own: &Context) -> Result<(), RebuildFailed> {
    let mut draft = hooks::build(&Venv, own).map_err(PlanFailed::from)?;
    if plan.publication() != Publication::Put {
        // The directory that is replaced gave its mode.
        draft.adopt_root_mode(plan.root_mode());
    }
    let own = environment::put(draft)?;
    let (planned, found) = (plan.outcome(), own.outcome());
    if planned == found {
        Ok(())
    } else {
        Err(RebuildFailed::OtherOutcome { planned, found })
    }
}
