//! The journal file: how a record comes to its name, and how it is found again.
//!
//! Promises that a record under the name `journal` is whole: it is written to `journal.tmp`, synced, and renamed
//! in; and that its state is its name, so that changing it needs no new file and works on a full disk.
//! A journal counts only if it is a regular file with one link, of our user, that nobody else may write (I6).
//!
//! On disk meanwhile: `journal.tmp`, which holds nothing that is believed.
//! Read next: `place/record.rs`, `recovery/evidence.rs`.

use std::ffi::{OsStr, OsString};

use crate::base::mutant::{self, Site};
use crate::fs::{Flush, FsError, Kind, NewFile, Rename};
use crate::place::names::{JournalName, Names, Sibling};
use crate::place::record::{Durability, Record};
use crate::place::record_json::{RECORD_BYTES_MAX, RecordReadError};
use crate::place::transaction_dir::TransactionDir;

/// Everything in one home that bears one of our names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Siblings {
    /// Journals in every state.
    pub journals: Vec<JournalName>,
    /// Whether a `journal.tmp` stands there.
    pub temp: bool,
    /// Tokens of staged trees.
    pub stages: Vec<String>,
    /// Numbers of kept generations.
    pub generations: Vec<u32>,
    /// Numbers of the records of kept generations.
    pub generation_records: Vec<u32>,
    /// Identities in the names of trash.
    pub trash: Vec<String>,
    /// Names that begin like ours and are none.
    pub unknown: Vec<String>,
}

/// What a journal's name led to.
#[derive(Debug)]
pub(crate) enum JournalRead {
    /// A record of ours.
    Record(Record),
    /// Torn by a power cut, or changed.
    Torn,
    /// It does not count: why.
    Foreign(String),
}

impl Siblings {
    /// Lists them.
    pub(crate) fn list(home: &TransactionDir<'_>) -> Result<Self, FsError> {
        let mut found = Self::default();
        // Beside a target there may be millions of other names.
        let wanted = |name: &OsStr| {
            name.to_str()
                .and_then(|name| home.names.read(name))
                .is_some()
        };
        for name in home.fs.list_wanted(&home.dir, &wanted)? {
            let Some(name) = name.to_str() else { continue };
            match home.names.read(name) {
                Some(Sibling::Journal(state)) => found.journals.push(state),
                Some(Sibling::JournalTemp) => found.temp = true,
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

    /// The name of a kept generation, or of the record of one, that has the highest number; and that number.
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
/// Before the rename there is none; after it, this one. With power durability the rename is durable when this returns.
pub(crate) fn write(home: &TransactionDir<'_>, record: &Record) -> Result<(), FsError> {
    write_as(home, record, &home.names.journal(&JournalName::Open))
}

/// Replaces the record of a kept generation, as [`write`] does.
pub(crate) fn write_generation(home: &TransactionDir<'_>, record: &Record) -> Result<(), FsError> {
    write_as(
        home,
        record,
        &home.names.generation_record(record.generation),
    )
}

/// Writes a journal that becomes durable with a barrier of the caller's, and counts from [`publish_draft`] on.
///
/// # Crash
/// `journal.tmp` may remain, which nobody believes.
pub(crate) fn write_draft(home: &TransactionDir<'_>, record: &Record) -> Result<(), FsError> {
    let bytes = record.to_bytes();
    let temp = OsString::from(home.names.journal_temp());
    let file = draft_file(&bytes, Flush::Later);
    let written = home.fs.write_file(&home.dir, &temp, &file);
    written.inspect_err(|_| discard_draft(home))
}

/// Makes a draft that is durable the journal.
///
/// # Crash
/// As [`write`].
pub(crate) fn publish_draft(
    home: &TransactionDir<'_>,
    durability: Durability,
) -> Result<(), FsError> {
    let (fs, dir) = (home.fs, &home.dir);
    let temp = OsString::from(home.names.journal_temp());
    let name = OsString::from(home.names.journal(&JournalName::Open));
    fs.rename((dir, &temp), (dir, &name), Rename::Replace)?;
    match durability {
        Durability::Power if mutant::drops(Site::SyncOfDraftRename) => Ok(()),
        Durability::Power => fs.sync_dir(dir),
        Durability::Process => Ok(()),
    }
}

/// Removes a draft that does not come to count; if it stays, the next run removes it.
pub(crate) fn discard_draft(home: &TransactionDir<'_>) {
    let temp = OsString::from(home.names.journal_temp());
    let meta = home.fs.meta(&home.dir, &temp).ok().flatten();
    // Root could remove what somebody else put there, and what kept the draft from being written.
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
    let temp = OsString::from(home.names.journal_temp());
    let name = OsString::from(name);
    // Without the sync the rename could be durable and the record empty: a journal that promises nothing.
    let flush = match record.durability {
        Durability::Power if mutant::drops(Site::SyncOfRecord) => Flush::Later,
        Durability::Power => Flush::Now,
        Durability::Process => Flush::Later,
    };
    let bytes = record.to_bytes();
    let file = draft_file(&bytes, flush);
    let renamed = fs
        .write_file(dir, &temp, &file)
        .and_then(|()| fs.rename((dir, &temp), (dir, &name), Rename::Replace));
    if let Err(error) = renamed {
        // On a full disk a half-written journal would keep the room that giving up needs; nobody believes it.
        discard_draft(home);
        return Err(error);
    }
    match record.durability {
        Durability::Power if mutant::drops(Site::SyncOfRecordRename) => Ok(()),
        Durability::Power => fs.sync_dir(dir),
        Durability::Process => Ok(()),
    }
}

/// Reads the journal in a state that was listed.
pub(crate) fn read(home: &TransactionDir<'_>, state: &JournalName) -> Result<JournalRead, FsError> {
    read_name(home, &home.names.journal(state))
}

/// Reads a journal, or the record of a generation, by its name.
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
    if meta.owner != fs.user() && !mutant::drops(Site::OwnerOfJournal) {
        return Ok(JournalRead::Foreign(format!(
            "it belongs to user {}",
            meta.owner
        )));
    }
    if meta.links != 1 && !mutant::drops(Site::LinksOfJournal) {
        return foreign("it has more than one name");
    }
    if meta.mode & 0o022 != 0 && !mutant::drops(Site::ModeOfJournal) {
        return foreign("others may write it");
    }
    if meta.len > RECORD_BYTES_MAX {
        return foreign("it is longer than any record");
    }
    let bytes = fs.read_file(dir, name, RECORD_BYTES_MAX)?;
    Ok(match Record::from_bytes(&bytes) {
        Ok(record) if record.form == home.form => JournalRead::Record(record),
        Ok(_) => JournalRead::Foreign("it is of a transaction in another place".to_owned()),
        Err(RecordReadError::Torn) => JournalRead::Torn,
        Err(error) => JournalRead::Foreign(error.to_string()),
    })
}
