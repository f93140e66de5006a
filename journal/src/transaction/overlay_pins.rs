//! Pinning: the identities of a kept generation and its target, on a filesystem with layers.
//!
//! On an overlayfs an object of a lower layer becomes another one at its first change, so a record
//! that was written in the lower layer no longer names what a rename would move. Promises that
//! afterwards every object of a record has the identity that a rename keeps, and that the record on
//! disk contains it. On other filesystems nothing is done.
//!
//! Read next: `rollback.rs`, which needs it.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use crate::base::identity::Identity;
use crate::base::mutant::Safeguard;
use crate::base::safeguard::perform;
use crate::fs::{Dir, Fs, FsError, Layers};
use crate::place::journal_file;
use crate::place::record::{Act, Record};
use crate::place::target::Target;
use crate::place::transaction_dir::TransactionDir;
use crate::steps::step_places::StepPlaces;

/// The record of a generation, after pinning every object that it names.
///
/// # Crash
/// Objects may be pinned while the record still contains their former identities: then the
/// generation counts as changed.
pub(crate) fn with_pinned_identities(
    target: &Target<'_>,
    home: &TransactionDir<'_>,
    record: Record,
) -> Result<Record, FsError> {
    let fs = home.fs;
    if fs.layers(&home.dir) == Layers::Plain {
        return Ok(record);
    }
    let step_places = StepPlaces::open(target, home, &record)?;
    let mut pins = Pins {
        fs,
        now: BTreeMap::new(),
    };
    let name = home.names.generation(record.generation);
    pins.pin(&home.dir, OsStr::new(&name))?;
    for step in record.steps() {
        let both = [step_places.slot(step), step_places.live(step)];
        for place in both.iter().flatten() {
            pins.pin(&place.dir, &place.name)?;
        }
    }
    let mut record = record;
    record.stage = pins.of(record.stage);
    for step in &mut record.steps.list {
        step.act = match step.act {
            Act::Put { new } => Act::Put { new: pins.of(new) },
            Act::Take { old } => Act::Take { old: pins.of(old) },
            Act::Exchange { new, old } => Act::Exchange {
                new: pins.of(new),
                old: pins.of(old),
            },
        };
    }
    if pins.has_changed() {
        journal_file::write_generation(home, &record)?;
    }
    Ok(record)
}

/// Former and current identities of objects.
struct Pins<'a> {
    fs: &'a dyn Fs,
    now: BTreeMap<Identity, Identity>,
}

impl Pins<'_> {
    fn pin(&mut self, dir: &Dir, name: &OsStr) -> Result<(), FsError> {
        let Some(before) = self.fs.meta(dir, name)? else {
            return Ok(());
        };
        perform(Safeguard::PinOfGeneration, || self.fs.pin(dir, name))?;
        if let Some(after) = self.fs.meta(dir, name)? {
            self.now.insert(before.identity, after.identity);
        }
        Ok(())
    }

    fn of(&self, identity: Identity) -> Identity {
        self.now.get(&identity).copied().unwrap_or(identity)
    }

    fn has_changed(&self) -> bool {
        self.now.iter().any(|(before, after)| before != after)
    }
}
