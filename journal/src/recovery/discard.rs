//! The record of a generation that is being deleted: it goes after the generation is in trash and
//! before the trash is emptied.
//!
//! Promises that a generation is whole with its record, or gone with it, after a crash at any call
//! and one more run: trash whose identity a record of a generation names shows that this generation
//! was to be deleted. The verb and recovery run the same code.
//!
//! On disk meanwhile: `old-K.journal` beside the trash that was `old-K`.
//! Read next: `transaction/discard.rs`, the verb; `recover.rs`, which empties trash.

use std::ffi::OsStr;

use crate::base::mutant::Safeguard;
use crate::base::safeguard::perform;
use crate::fs::FsError;
use crate::fs::named_sync::sync_dir;
use crate::place::journal_file::{self, JournalRead, Siblings};
use crate::place::record::Record;
use crate::place::transaction_dir::TransactionDir;
use crate::recovery::evidence::replaced_identity;

/// Whether an identity, as the name of trash has it, is that of what a record kept.
fn is_of(record: &Record, identity: &str) -> bool {
    let kept = [Some(record.stage), replaced_identity(record)];
    kept.iter()
        .flatten()
        .any(|kept| kept.to_string() == identity)
}

/// Unlinks the record of a generation whose rename to trash may not be durable yet.
///
/// # Errors
/// The error of the disk; the trash must not be emptied then.
pub(crate) fn retire_record(home: &TransactionDir<'_>, generation: u32) -> Result<(), FsError> {
    let TransactionDir { fs, dir, names, .. } = home;
    // Without it a power cut could bring the generation back without its record.
    sync_dir(*fs, dir, Safeguard::SyncOfDiscard)?;
    fs.remove_file(dir, OsStr::new(&names.generation_record(generation)))?;
    // Without it a power cut could bring the record back when the trash is gone.
    sync_dir(*fs, dir, Safeguard::SyncOfDiscardedRecord)
}

/// Unlinks the records of generations that are in trash; returns how many.
///
/// # Errors
/// As [`retire_record`].
pub(crate) fn retire_records_of_trash(
    home: &TransactionDir<'_>,
    siblings: &Siblings,
) -> Result<u64, FsError> {
    let mut retired = 0;
    for number in &siblings.generation_records {
        if siblings.generations.contains(number) || siblings.trash.is_empty() {
            continue;
        }
        let name = home.names.generation_record(*number);
        let JournalRead::Record(record) = journal_file::read_name(home, &name)? else {
            continue;
        };
        let is_meant = siblings
            .trash
            .iter()
            .any(|identity| is_of(&record, identity));
        if is_meant && record.generation == *number {
            perform(Safeguard::RecordOfTrash, || retire_record(home, *number))?;
            retired += 1;
        }
    }
    Ok(retired)
}
