//! The journal file: how a record gets its name, and how it is found again.
//!
//! Promises that a record under the name `journal` is whole: it is written to `journal.tmp`,
//! synced, and renamed. Its state is encoded in its name, so changing the state needs no new file
//! and works on a full disk. A journal counts only if it is a regular file with one link, belongs
//! to this user, and no other user may write to it (I6).
//!
//! On disk meanwhile: `journal.tmp`, which recovery never trusts.
//! Read next: `place/record.rs`, `recovery/evidence.rs`.

use std::ffi::{OsStr, OsString};

use crate::base::mutant::Safeguard;
use crate::base::safeguard::holds;
use crate::fs::named_sync::{self, sync_dir};
use crate::fs::{Flush, FsError, Kind, NewFile, Rename};
use crate::place::names::{JournalName, Names, Sibling};
use crate::place::record::{Durability, Record};
use crate::place::record_json::{RECORD_BYTES_MAX, RecordReadError};
use crate::place::transaction_dir::TransactionDir;

/// All of the engine's names in one transaction directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Siblings {
    /// Journals in every state.
    pub journals: Vec<JournalName>,
    /// Whether `journal.tmp` exists.
    pub has_draft: bool,
    /// Tokens of staged trees.
    pub stages: Vec<String>,
    /// Numbers of kept generations.
    pub generations: Vec<u32>,
    /// Numbers of the records of kept generations.
    pub generation_records: Vec<u32>,
    /// Identities in the names of trash.
    pub trash: Vec<String>,
    /// Names that begin like the engine's but are not.
    pub unknown: Vec<String>,
}

/// What was found under a journal's name.
#[derive(Debug)]
pub(crate) enum JournalRead {
    /// A valid record.
    Record(Record),
    /// A file that a power cut tore, or that was changed.
    Torn,
    /// A file that does not count, and why.
    Foreign(String),
}

impl Siblings {
    /// Whether there is nothing but kept generations.
    pub(crate) fn is_tidy(&self) -> bool {
        let Self {
            journals,
            has_draft,
            stages,
            generations: _,
            generation_records: _,
            trash,
            unknown,
        } = self;
        !has_draft
            && journals.is_empty()
            && stages.is_empty()
            && trash.is_empty()
            && unknown.is_empty()
    }

    /// Lists the names.
    pub(crate) fn list(home: &TransactionDir<'_>) -> Result<Self, FsError> {
        let mut found = Self::default();
        // The parent of a target may contain millions of other names.
        let wanted = |name: &OsStr| {
            name.to_str()
                .and_then(|name| home.names.read(name))
                .is_some()
        };
        for name in home.fs.list_wanted(&home.dir, &wanted)? {
            let Some(name) = name.to_str() else { continue };
            match home.names.read(name) {
                Some(Sibling::Journal(state)) => found.journals.push(state),
                Some(Sibling::JournalDraft) => found.has_draft = true,
                Some(Sibling::Stage(token)) => found.stages.push(token),
                Some(Sibling::Generation(number)) => found.generations.push(number),
                Some(Sibling::GenerationRecord(number)) => found.generation_records.push(number),
                Some(Sibling::Trash(identity)) => found.trash.push(identity),
                Some(Sibling::Unknown) => found.unknown.push(name.to_owned()),
                Some(Sibling::Lock) | None => {}
            }
        }
        Ok(found)
    }

    /// The name of the generation, or of the record of one, with the highest number; and that
    /// number.
    pub(crate) fn highest_generation(&self, names: &Names) -> Option<(u32, String)> {
        let kept = self.generations.iter().max();
        let records = self.generation_records.iter().max();
        if kept >= records {
            kept.map(|number| (*number, names.generation(*number)))
        } else {
            records.map(|number| (*number, names.generation_record(*number)))
        }
    }
}

/// Writes the journal as a whole file under the name `journal`.
///
/// # Crash
/// Before the rename there is no journal; after it, this one. With power durability the rename is
/// durable when this returns.
pub(crate) fn write(home: &TransactionDir<'_>, record: &Record) -> Result<(), FsError> {
    write_as(home, record, &home.names.journal(&JournalName::Open))
}

/// Replaces the record of a kept generation, as [`write()`] does.
pub(crate) fn write_generation(home: &TransactionDir<'_>, record: &Record) -> Result<(), FsError> {
    write_as(
        home,
        record,
        &home.names.generation_record(record.generation),
    )
}

/// Writes a journal that the caller's barrier makes durable, and that counts after
/// [`publish_draft`].
///
/// # Crash
/// `journal.tmp` may remain, which recovery does not trust.
pub(crate) fn write_draft(home: &TransactionDir<'_>, record: &Record) -> Result<(), FsError> {
    let bytes = record.to_bytes();
    let temp = OsString::from(home.names.journal_draft());
    let file = draft_file(&bytes, Flush::Later);
    let written = home.fs.write_file(&home.dir, &temp, &file);
    written.inspect_err(|_| discard_draft(home))
}

/// Makes a durable draft the journal.
///
/// # Crash
/// As [`write()`].
pub(crate) fn publish_draft(
    home: &TransactionDir<'_>,
    durability: Durability,
) -> Result<(), FsError> {
    let (fs, dir) = (home.fs, &home.dir);
    let temp = OsString::from(home.names.journal_draft());
    let name = OsString::from(home.names.journal(&JournalName::Open));
    fs.rename(dir.at(&temp), dir.at(&name), Rename::Replace)?;
    match durability {
        Durability::Power => sync_dir(fs, dir, Safeguard::SyncOfDraftRename),
        Durability::Process => Ok(()),
    }
}

/// Removes an unused draft; if it remains, the next run removes it.
pub(crate) fn discard_draft(home: &TransactionDir<'_>) {
    let temp = OsString::from(home.names.journal_draft());
    let meta = home.fs.meta(&home.dir, &temp).ok().flatten();
    // Root could remove another user's file, which is what prevented the draft from being written.
    if meta.is_some_and(|meta| meta.kind == Kind::File && meta.owner == home.fs.user()) {
        let _tidied = home.fs.remove_file(&home.dir, &temp);
    }
}

fn draft_file(bytes: &[u8], flush: Flush) -> NewFile<'_> {
    NewFile {
        mode: 0o600,
        mtime: None,
        bytes,
        flush,
    }
}

fn write_as(home: &TransactionDir<'_>, record: &Record, name: &str) -> Result<(), FsError> {
    let (fs, dir) = (home.fs, &home.dir);
    let temp = OsString::from(home.names.journal_draft());
    let name = OsString::from(name);
    // Without the sync the rename could be durable while the record is empty.
    let flush = match record.durability {
        Durability::Power => named_sync::flush(Safeguard::SyncOfRecord),
        Durability::Process => Flush::Later,
    };
    let bytes = record.to_bytes();
    let file = draft_file(&bytes, flush);
    let renamed = fs
        .write_file(dir, &temp, &file)
        .and_then(|()| fs.rename(dir.at(&temp), dir.at(&name), Rename::Replace));
    if let Err(error) = renamed {
        // On a full disk a half-written journal would take the space that giving up needs, and
        // recovery does not trust it.
        discard_draft(home);
        return Err(error);
    }
    match record.durability {
        Durability::Power => sync_dir(fs, dir, Safeguard::SyncOfRecordRename),
        Durability::Process => Ok(()),
    }
}

/// Reads a journal in a state that was listed.
pub(crate) fn read(home: &TransactionDir<'_>, state: &JournalName) -> Result<JournalRead, FsError> {
    read_name(home, &home.names.journal(state))
}

/// Reads a journal, or the record of a generation, by name.
pub(crate) fn read_name(home: &TransactionDir<'_>, name: &str) -> Result<JournalRead, FsError> {
    let (fs, dir) = (home.fs, &home.dir);
    let name = OsStr::new(name);
    let Some(meta) = fs.meta(dir, name)? else {
        return Ok(JournalRead::Torn);
    };
    let foreign = |why: &str| Ok(JournalRead::Foreign(why.to_owned()));
    if meta.kind != Kind::File {
        return foreign("it is not a regular file");
    }
    if !holds(Safeguard::OwnerOfJournal, meta.owner == fs.user()) {
        return Ok(JournalRead::Foreign(format!(
            "it belongs to user {}",
            meta.owner
        )));
    }
    if !holds(Safeguard::LinksOfJournal, meta.links == 1) {
        return foreign("it has more than one hard link");
    }
    if !holds(Safeguard::ModeOfJournal, meta.mode & 0o022 == 0) {
        return foreign("other users can write to it");
    }
    if meta.len > RECORD_BYTES_MAX {
        return foreign("it is longer than any record");
    }
    let bytes = fs.read_file(dir, name, RECORD_BYTES_MAX)?;
    Ok(match Record::from_bytes(&bytes) {
        Ok(record) if record.form == home.form => JournalRead::Record(record),
        Ok(_) => {
            JournalRead::Foreign("it belongs to a transaction in another directory".to_owned())
        }
        Err(RecordReadError::Torn) => JournalRead::Torn,
        Err(error) => JournalRead::Foreign(error.to_string()),
    })
}
