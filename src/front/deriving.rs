//! The plan of an artifact, made on this machine in place of being fetched.
//!
//! A plan names each file of an environment, so that it is longer than everything else that a
//! change of one wheel sends. The manifest names the wheels, and the notes say what was asked for;
//! planning by them gives the plan again. Promises that neither is believed: the plan has the
//! digest by which the manifest names it, or there is none, and the caller fetches it. Starts no
//! interpreter. Fetches no wheel that applying the plan would not need.
//!
//! Read next: `pulling.rs`, which asks for it; `rebuilding.rs`, a plan for another path.

use std::fs;

use rvenv_journal::raw::{Input, PlanNotes};
use rvenv_journal::{Mode, Plan, PlanBuilder};

use super::caller::Caller;
use super::plan_note::{Note, interpreter_of, wheels_of};
use super::pushing::TARGET;
use super::saved_plan::{Need, UnsuitedPlan, WheelPlaces, asked};
use crate::artifact::demands::Demands;
use crate::artifact::manifest::{Manifest, WHEEL};
use crate::build::hooks::{self, Venv};
use crate::build::roles;
use crate::change::environment;
use crate::change::provision::StoreAccess;
use crate::fetch::is_at_hand;
use crate::python::Interpreter;

/// What a plan is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// To be carried out: the wheels that this machine lacks will be fetched anyway.
    Applied,
    /// To be looked at: no wheel is fetched for it.
    Seen,
}

impl Caller<'_> {
    /// The plan that a manifest names, if this machine can make it; its interpreter is checked, and
    /// its wheels are files of this machine.
    ///
    /// # Errors
    /// A wheel that cannot be had.
    ///
    /// # Crash
    /// What was fetched is in the cache.
    pub(super) fn derived(
        &self,
        manifest: &Manifest,
        notes: &PlanNotes,
        from: &WheelPlaces,
        wanted: Wanted,
    ) -> Result<Option<Plan>, UnsuitedPlan> {
        let note = notes.request().and_then(Note::read);
        let Some((note, sketch)) = note.zip(sketch(manifest, notes)) else {
            return Ok(None);
        };
        // Only the interpreter knows the bytecode of new wheels.
        let is_possible = !note.compiles() && self.check_interpreter(&sketch).is_ok();
        if !is_possible || !self.is_cheaper(&sketch, wanted) {
            return Ok(None);
        }
        let sketch = self.find_wheels(&sketch, from, Need::Files)?;
        let plan = self.planned_by(&note, &sketch);
        Ok(plan
            .map(|plan| plan.with_notes(notes))
            .filter(|plan| plan.digest() == manifest.config.digest))
    }

    /// Whether the wheels that are no files here are missing in the store too. Else the plan costs
    /// less than they do: it can be applied with what the store has of them.
    fn is_cheaper(&self, sketch: &Plan, wanted: Wanted) -> bool {
        let Some(cache) = &self.host.cache else {
            return false;
        };
        let store_access = StoreAccess {
            fs: self.fs,
            cache: Some(cache),
        };
        let store = store_access.find();
        let is_stored = |input: &Input| {
            let store = store.as_ref();
            store.is_some_and(|store| matches!(store.pack(input.digest), Ok(Some(_))))
        };
        let is_file = |input: &Input| asked(input).is_ok_and(|asked| is_at_hand(cache, &asked));
        let mut lacking = wheels_of(sketch).filter(|input| !is_file(input));
        match wanted {
            Wanted::Applied => lacking.all(|input| !is_stored(input)),
            Wanted::Seen => lacking.next().is_none(),
        }
    }

    /// What planning by a note gives for the target of a sketch, if it gives anything.
    fn planned_by(&self, note: &Note, sketch: &Plan) -> Option<Plan> {
        let interpreter = noted_interpreter(sketch, note)?;
        let context = self.noted_context(sketch, note, &interpreter, sketch.target());
        let context = context.ok()?;
        environment::put(hooks::build(&Venv, &context).ok()?).ok()
    }
}

/// The interpreter of a plan as its note has it, unless it would have to compile.
pub(super) fn noted_interpreter(plan: &Plan, note: &Note) -> Option<Interpreter> {
    let input = interpreter_of(plan).filter(|_| !note.compiles())?;
    note.interpreter(input, fs::canonicalize(&input.path).ok()?)
}

/// A plan without operations: the target, the interpreter and the wheels that a manifest names.
fn sketch(manifest: &Manifest, notes: &PlanNotes) -> Option<Plan> {
    let demands = Demands::of(manifest)?;
    let target = manifest.annotations.get(TARGET)?;
    let mut draft = PlanBuilder::new(target, Mode::SHARED_DIR).ok()?;
    let input = |role: &str, path: String, digest, len| Input {
        role: role.to_owned(),
        path,
        found: None,
        url: None,
        digest,
        len,
    };
    let len = fs::metadata(&demands.python).ok()?.len();
    draft.add_input(input(
        roles::INTERPRETER,
        demands.python,
        demands.sha256,
        len,
    ));
    for wheel in manifest.of_kind(WHEEL) {
        let name = wheel.title.clone()?;
        draft.add_input(input(roles::WHEEL, name, wheel.digest, wheel.len));
    }
    Some(environment::put(draft).ok()?.with_notes(notes))
}
