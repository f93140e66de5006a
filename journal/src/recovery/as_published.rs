//! Whether what was published still matches its receipt, byte by byte.
//!
//! Promises to write nothing, and that an unreadable object does not count as unchanged.
//! Read next: `settle.rs`, which deletes only what is unchanged.

use std::ffi::OsStr;

use crate::base::digest::Digest;
use crate::fs::{Fs, FsError, NameInDir};
use crate::place::record::Record;
use crate::place::target::Target;
use crate::plan::drift::{Difference, drift, drift_at};
use crate::plan::node::{ENGINE_DIR, RECEIPT_NAME};
use crate::plan::receipt::{RECEIPT_BYTES_MAX, Receipt};
use crate::steps::step_places::StepPlaces;

/// Whether the tree at a name matches its receipt exactly, and the receipt is the recorded one.
pub(crate) fn is_as_published(target: &Target<'_>, name: &OsStr, receipt: Option<Digest>) -> bool {
    let Target { fs, parent, .. } = target;
    let read = || -> Result<bool, FsError> {
        let root = fs.open_dir(parent, name)?;
        let inner = fs.open_dir(&root, OsStr::new(ENGINE_DIR))?;
        match read_receipt(*fs, inner.at(RECEIPT_NAME), receipt)? {
            Some(receipt) => Ok(drift(*fs, &root, &receipt)?.is_empty()),
            None => Ok(false),
        }
    };
    // What cannot be read does not count as unchanged.
    read().unwrap_or(false)
}

/// Whether everything that a publication by entries manages matches its receipt; other entries do
/// not matter.
pub(crate) fn are_entries_as_published(target: &Target<'_>, receipt: Option<Digest>) -> bool {
    let Target {
        fs, parent, name, ..
    } = target;
    let read = || -> Result<bool, FsError> {
        let root = fs.open_dir(parent, name)?;
        let inner = fs.open_dir(&root, OsStr::new(ENGINE_DIR))?;
        match read_receipt(*fs, inner.at(RECEIPT_NAME), receipt)? {
            Some(receipt) => {
                let drift = drift(*fs, &root, &receipt)?;
                let foreign = |difference| difference == Difference::Foreign;
                Ok(drift.iter().all(|drift| foreign(drift.difference)))
            }
            None => Ok(false),
        }
    };
    read().unwrap_or(false)
}

/// Whether the slots contain exactly what was staged in them.
pub(crate) fn are_slots_as_published(
    step_places: &StepPlaces<'_>,
    record: &Record,
) -> Result<bool, FsError> {
    let receipt_path = Receipt::path();
    let steps = record.steps();
    let of_receipt = steps.iter().find(|step| {
        let path = step.entry.as_ref().map(|entry| &entry.path);
        path == Some(&receipt_path) && step.act.coming().is_some()
    });
    let Some(slot) = of_receipt.and_then(|step| step_places.slot(step)) else {
        return Ok(false);
    };
    let digest = record.steps.receipt;
    let Some(receipt) = read_receipt(step_places.fs, slot.at(), digest)? else {
        return Ok(false);
    };
    // Without an exchange, an object that another process had put at an entry has a name of its
    // own. A slot that no step has holds a link to the file at its entry, so its step was left out.
    let names = step_places.fs.list(&slot.dir)?;
    if !names.iter().all(|name| is_slot(name)) {
        return Ok(false);
    }
    for step in steps {
        let Some((entry, slot)) = step.entry.as_ref().zip(step_places.slot(step)) else {
            return Ok(false);
        };
        match step_places.identity(Some(&slot))? {
            // Another process deleted the object that was put, so its data is not here.
            None => continue,
            Some(found) if Some(found) != step.act.coming() => return Ok(false),
            Some(_) => {}
        }
        let is_receipt = entry.path == receipt_path;
        if !is_receipt && !drift_at(step_places.fs, slot.at(), &entry.path, &receipt)?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a name is that of a slot.
fn is_slot(name: &OsStr) -> bool {
    let text = name.to_str().unwrap_or_default();
    text.parse::<u32>()
        .is_ok_and(|slot| slot.to_string() == text)
}

/// The receipt at a name, if its digest matches.
fn read_receipt(
    fs: &dyn Fs,
    at: NameInDir<'_>,
    digest: Option<Digest>,
) -> Result<Option<Receipt>, FsError> {
    let bytes = fs.read_file(at.dir, at.name, RECEIPT_BYTES_MAX)?;
    if Some(Digest::of(&bytes)) != digest {
        return Ok(None);
    }
    Ok(Receipt::from_json(&bytes).ok())
}
