//! The digest of what is published in an environment: a key for caches.
//!
//! Promises that two environments at the same path whose receipts list the same paths with the
//! same bytes and modes, and whose distributions have the same lists, have the same digest: no
//! time, inode number, owner or plan is part of it. Does not compare the files with the lists;
//! `verify.rs` does.
//!
//! Read next: `../installed_inputs.rs`, the file that identifies a distribution.

use std::collections::BTreeMap;

use rvenv_journal::raw::DiskError;
use rvenv_journal::{Digest, Receipt, Target};

use super::VerifyFailed;
use super::receipt_paths::{self, Kept};
use crate::change::installed_inputs::{self, InstalledInput};
use crate::change::look_failed::LookFailed;

/// The digest of what is published at a target; `None` without a readable receipt.
///
/// # Errors
/// The error of the disk.
pub fn state_digest(target: &Target<'_>) -> Result<Option<Digest>, VerifyFailed> {
    let disk = LookFailed::disk(target.path());
    let root = target.root().map_err(disk)?;
    let Kept::Whole(receipt) = receipt_paths::receipt(target.disk(), &root) else {
        return Ok(None);
    };
    // Different plans may make the same tree.
    let receipt = Receipt {
        plan: Digest::of(b""),
        // What an index says about a wheel may change, and the wheel does not.
        statements: BTreeMap::new(),
        ..receipt
    };
    let inputs = installed_inputs::inputs(target, &root, "", None).map_err(disk)?;
    let line = |one: &InstalledInput| format!("{} {}\n", one.input.digest, one.path());
    let mut lines: Vec<String> = inputs.iter().map(line).collect();
    lines.sort();
    let text = receipt.to_json() + &lines.concat();
    Ok(Some(Digest::of(text.as_bytes())))
}
