//! Lookups: what comes along to another Python, and the wheels that this takes.
//!
//! A distribution that does not fit the new interpreter is replaced by a wheel of the same version.
//! Which ones do not fit is decided here, before the lock, so that every wheel is at hand before
//! anything is written; the change decides again under the lock, by the same function.
//!
//! Promises to write nothing to the target. Does not fetch what the user installed from a file: an
//! index may have another distribution under that name. Only sources that the caller names count
//! then.
//!
//! Read next: `../change/carry.rs`, which decides; `fetching.rs`, which gets the wheels.

use std::mem;

use rvenv_journal::fs::Dir;
use tempfile::TempDir;

use super::caller::Caller;
use super::fetching::Looked;
use crate::build::hooks::Context;
use crate::build::supply::{LookedUp, Supply, WheelSource};
use crate::change::carry::{Companions, Unresolved};
use crate::change::existing::{Existing, ExistingError};
use crate::change::merge;
use crate::fetch::FetchFailed;
use crate::wheel::Release;

/// Why it is not known what comes along.
#[derive(Debug)]
pub(super) enum LookupFailed {
    Existing(ExistingError),
    Interrupted(FetchFailed),
}

/// An environment that may get another Python.
pub(super) struct Before {
    pub(super) root: Dir,
    pub(super) existing: Existing,
}

impl Caller<'_> {
    /// Decides what comes along, and fetches the wheels that this takes.
    ///
    /// # Errors
    /// An environment that cannot be read; an interruption.
    pub(super) fn accompany(
        &self,
        before: &Before,
        looked: Looked<'_>,
        context: &mut Context,
        downloads: &mut Option<TempDir>,
    ) -> Result<Companions, LookupFailed> {
        context.installed = before.existing.installed(&context.layout);
        let leaving = merge::leaving(self.fs, &before.root, &before.existing, context);
        context.leaving = leaving.map_err(|source| {
            let path = before.existing.path.clone();
            LookupFailed::Existing(ExistingError::Disk { path, source })
        })?;
        let mut companions = self.companions(before, context)?;
        context.checked = mem::take(&mut companions.checked);
        if companions.unresolved.is_empty() {
            context.looked_up = Some(Vec::new());
            return Ok(companions);
        }
        let is_asked = looked.is_said();
        let may_look = |one: &&Unresolved| one.archive.is_none() || is_asked;
        let (wanted, others): (Vec<_>, Vec<_>) = companions.unresolved.iter().partition(may_look);
        let of_file = others.into_iter().map(|one| LookedUp {
            release: one.release.clone(),
            found: Err(format!(
                "it was installed from `{}`, so no index was asked for it",
                one.archive.as_deref().unwrap_or_default()
            )),
        });
        let mut looked_up: Vec<LookedUp> = of_file.collect();
        if !wanted.is_empty() {
            let releases: Vec<Release> = wanted.iter().map(|one| one.release.clone()).collect();
            let found = self.exactly(&releases, looked, context, downloads);
            let found = found.map_err(LookupFailed::Interrupted)?;
            let pairs = releases.into_iter().zip(found);
            looked_up.extend(pairs.map(|(release, found)| LookedUp { release, found }));
        }
        let found = looked_up.iter().filter_map(|one| one.found.as_ref().ok());
        let found: Vec<_> = found.cloned().collect();
        context
            .supplies
            .extend(Supply::from_source(&found, WheelSource::Refit));
        context.looked_up = Some(looked_up);
        self.companions(before, context)
    }

    pub(super) fn companions(
        &self,
        before: &Before,
        context: &Context,
    ) -> Result<Companions, LookupFailed> {
        let found = merge::companions(self.fs, &before.root, &before.existing, context);
        found.map_err(|source| {
            let path = before.existing.path.clone();
            LookupFailed::Existing(ExistingError::Disk { path, source })
        })
    }
}
