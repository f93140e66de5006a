//! What comes along, as operations of a plan, and what it leaves.
//!
//! Promises that a path which a hook plans is the hook's, and that a distribution which a hook
//! installs anew is not carried as well: there is never a mixture of two (I8). The new files of a
//! distribution are one group, so that they can change as one entry.
//!
//! Read next: `../merge.rs`, which calls this; `../provision.rs`, which finds the bytes.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use rvenv_journal::{Node, Operation, PlanBuilder, RelPath};

use super::{Carried, Companions, PART};
use crate::build::hooks::{self, Context, HookError};
use crate::wheel::distributions::named;

/// Adds what comes along to a draft.
///
/// # Errors
/// Operations that contradict each other, and wheels that cannot be installed.
pub(crate) fn add(
    companions: &Companions,
    context: &Context,
    draft: &mut PlanBuilder,
) -> Result<(), HookError> {
    let planned = planned_names(draft, context);
    for carried in &companions.carried {
        if !planned.contains(&carried.distribution.name) {
            add_carried(carried, context, draft)?;
        }
    }
    for refitted in &companions.refitted {
        if !planned.contains(&refitted.distribution.name) {
            hooks::refit(context, draft, &refitted.wheel, PART)?;
        }
    }
    Ok(())
}

/// The names of the distributions that the hooks have planned.
fn planned_names(draft: &PlanBuilder, context: &Context) -> BTreeSet<String> {
    let layout = &context.layout;
    let is_in_lib = |path: &RelPath| {
        let above = path.parent();
        above.as_ref() == Some(&layout.lib_path) || above.as_ref() == Some(&layout.platlib_path)
    };
    let paths = draft.operations().keys().filter(|path| is_in_lib(path));
    let found = paths.filter_map(|path| named(OsStr::new(path.name())));
    found.map(|distribution| distribution.name).collect()
}

fn add_carried(
    carried: &Carried,
    context: &Context,
    draft: &mut PlanBuilder,
) -> Result<(), HookError> {
    draft.add_input(carried.record.clone());
    let group = carried.distribution.dir.as_str();
    for file in &carried.files {
        if draft.operations().contains_key(&file.to) {
            continue;
        }
        let layout = &context.layout;
        let is_own = file.to.is_below(&layout.lib_path) || file.to.is_below(&layout.platlib_path);
        let own = is_own.then_some(group);
        draft.add_parents(&file.to, PART, own, context.dir_mode())?;
        let operation = Operation {
            part: PART.into(),
            group: Some(group.into()),
            node: Node::File {
                mode: file.mode,
                mtime: file.mtime,
                content: file.content.clone(),
            },
        };
        draft.add(file.to.clone(), operation)?;
    }
    Ok(())
}

/// The paths that those which come along leave, and the directories of the old Python, which go if
/// nothing else is in them.
pub(crate) fn retired(companions: &Companions) -> BTreeSet<RelPath> {
    let carried = companions.carried.iter().map(|one| &one.left);
    let refitted = companions.refitted.iter().map(|one| &one.left);
    carried.chain(refitted).flatten().cloned().collect()
}
