//! Entering: the wheels of a plan that the content store does not have, before their files are
//! staged.
//!
//! Promises to enter them together, since they share the syncs then, and only those of which a file
//! is about to be staged. Does not promise that one is entered: what the store does not take is
//! read from the wheel.
//!
//! Read next: the engine's `store.rs`.

use std::collections::BTreeSet;

use rvenv_journal::Plan;
use rvenv_journal::raw::{Effect, NewPack};

use super::unpacked::{Files, Unpacked};
use super::{Provision, SourceWheel};

/// How many wheels are entered before the caller is asked whether to stop.
const ENTERED_AT_ONCE: usize = 32;

impl<'a> Provision<'a> {
    /// Enters the wheels of which the plan changes files and that the store does not have.
    ///
    /// # Crash
    /// As [`Store::enter_all`](rvenv_journal::Store::enter_all).
    pub fn enter_missing(&self, plan: &Plan, interrupted: &dyn Fn() -> bool) {
        let Some(store) = &self.store else { return };
        let changed = plan
            .effects()
            .filter(|(.., effect)| *effect != Effect::Keep);
        let groups = changed.filter_map(|(_, operation, _)| operation.group.as_deref());
        let groups: BTreeSet<&str> = groups.collect();
        let is_missing = |source: &&SourceWheel<'a>| {
            if !groups.contains(source.input.path.as_str()) || source.pack.get().is_some() {
                return false;
            }
            match store.pack(source.input.digest) {
                Ok(Some(pack)) => {
                    let _first = source.pack.set(Some(self.used(pack)));
                    false
                }
                Ok(None) => true,
                Err(_) => false,
            }
        };
        let missing: Vec<_> = self.sources.iter().filter(is_missing).collect();
        for some in missing.chunks(ENTERED_AT_ONCE) {
            if interrupted() {
                return;
            }
            let opened = some
                .iter()
                .filter_map(|source| Some((*source, self.opened(source).ok()?)));
            let unpacked = opened.map(|(source, opened)| {
                let unpacked = Unpacked {
                    files: Files::Wheel(&opened.wheel),
                    umask: self.umask,
                };
                (source, unpacked)
            });
            let unpacked: Vec<_> = unpacked.collect();
            let new = unpacked.iter().map(|(source, content)| NewPack {
                source: source.input.digest,
                content,
            });
            let entered = store.enter_all(&new.collect::<Vec<_>>());
            for ((source, _), pack) in unpacked.iter().zip(entered.into_iter().flatten()) {
                let _first = source.pack.set(pack.ok());
            }
        }
    }
}
