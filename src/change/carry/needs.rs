//! What requirements say about another Python: which distributions are needed newly, and which are
//! not any more.
//!
//! Promises to compare the markers of what comes along for both versions of Python. Resolves
//! nothing: it names what differs, and the user decides.
//!
//! Read next: `wheel/requirement.rs`, the form of a requirement.

use std::collections::{BTreeMap, BTreeSet};

use crate::build::hooks::Context;
use crate::build::supply::WheelSource;
use crate::change::existing::Existing;
use crate::wheel::distributions::Distribution;
use crate::wheel::installed::Facts;
use crate::wheel::marker::Variables;
use crate::wheel::requirement::{Requirement, variables};

/// What the requirements of the distributions say about the new Python.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// What the new Python needs and the environment does not have: the requirement as it is
    /// written without its marker, and the distribution that has it.
    pub missing: Vec<(String, String)>,
    /// The distributions that were needed only for the old Python.
    pub unneeded: Vec<Distribution>,
}

/// The names that a distribution requires for the interpreter of a context.
pub(super) fn required(context: &Context, facts: &Facts) -> BTreeSet<String> {
    let new = new_variables(context);
    let all = facts.requirements.iter();
    let read = all.filter_map(|text| Requirement::parse(text, &new));
    let holding = read.filter(|required| required.holds);
    holding.map(|required| required.name).collect()
}

/// Compares what the distributions of the old Python require for both versions.
pub(super) fn needs(
    existing: &Existing,
    context: &Context,
    all: &[(&Distribution, Facts)],
) -> Needs {
    let Some(flavour) = existing.flavour() else {
        return Needs::default();
    };
    let (old, new) = (existing.variables(flavour.minor), new_variables(context));
    let installed: BTreeMap<&str, &Distribution> = all
        .iter()
        .map(|(one, _)| (one.name.as_str(), *one))
        .collect();
    let has = |name: &str| {
        let is_seed = context.options.with_pip && context.bundled_version(name).is_some();
        let is_there = context.installed.iter().any(|one| one.name == name);
        let mut locked = context.supplies.iter();
        let is_locked = locked.any(|supply| {
            supply.source == WheelSource::Locked && supply.name().as_deref() == Some(name)
        });
        installed.contains_key(name) || is_seed || is_there || is_locked
    };
    let mut needs = Needs::default();
    let (mut before, mut after) = (BTreeSet::new(), BTreeSet::new());
    for (distribution, facts) in all {
        for text in &facts.requirements {
            let holds = |variables: &Variables| {
                let read = Requirement::parse(text, variables)?;
                read.holds.then_some(read.name)
            };
            let (then, now) = (holds(&old), holds(&new));
            if let (None, Some(name)) = (&then, &now)
                && !has(name)
                && !existing.frame.config.system_site_packages
            {
                let bare = text.split(';').next().unwrap_or(text).trim().to_owned();
                needs.missing.push((bare, distribution.to_string()));
            }
            before.extend(then);
            after.extend(now);
        }
    }
    let unneeded = all.iter().filter(|(one, facts)| {
        let name = &one.name;
        !facts.is_requested && before.contains(name) && !after.contains(name)
    });
    needs.unneeded = unneeded.map(|(one, _)| (*one).clone()).collect();
    needs
}

fn new_variables(context: &Context) -> Variables {
    let interpreter = &context.interpreter;
    let version = &interpreter.version;
    variables(
        version.minor,
        &version.text,
        &interpreter.platform.implementation,
    )
}
