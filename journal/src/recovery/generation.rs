//! Generations: what earlier publications replaced. This file reads them and does not move them.
//!
//! Promises to write nothing, to follow no link, and to report as much as possible about a
//! generation whose record is absent or invalid. A file is read as it was when the generation was
//! replaced: an entry that no later publication moved is still in its place.
//! Does not promise that a generation can be published again; `transaction/rollback.rs` checks
//! that.
//!
//! Read next: `transaction/rollback.rs`, `place/journal_file.rs`.

use std::ffi::{OsStr, OsString};

use crate::base::digest::Digest;
use crate::base::path::RelPath;
use crate::fs::{Dir, FsError, Kind, Time};
use crate::place::journal_file::{self, JournalRead, Siblings};
use crate::place::record::{Form, Record};
use crate::place::target::Target;
use crate::place::transaction_dir::TransactionDir;

/// What a publication replaced and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its number; a rollback takes the highest one first.
    pub number: u32,
    /// A whole tree beside the target, or entries inside it.
    pub form: Form,
    /// The plan whose publication replaced it; `None` without a valid record.
    pub plan: Option<Digest>,
    /// When its record was last written: when its replacement was ready to be published.
    pub time: Option<Time>,
    /// How much it contains; `None` if a part of it cannot be read.
    pub size: Option<Size>,
    record: Option<Record>,
}

/// The size of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Files, links and directories, without the outermost directory.
    pub entries: u64,
    /// Bytes of regular files, including those that share them with other files.
    pub bytes: u64,
}

/// Every generation of a target, the oldest first; the duration grows with their sizes.
///
/// # Errors
/// The error of the disk about the target and what is beside it.
pub fn generations(target: &Target<'_>) -> Result<Vec<Generation>, FsError> {
    let mut found = Vec::new();
    let homes =
        std::iter::once(TransactionDir::beside(target)).chain(TransactionDir::within(target)?);
    for home in homes {
        for number in Siblings::list(&home)?.generations {
            found.push(look(&home, number)?);
        }
    }
    found.sort_by_key(|generation| generation.number);
    Ok(found)
}

fn look(home: &TransactionDir<'_>, number: u32) -> Result<Generation, FsError> {
    let name = OsString::from(home.names.generation_record(number));
    let meta = home.fs.meta(&home.dir, &name)?;
    let record = record(home, number)?;
    Ok(Generation {
        number,
        form: home.form,
        plan: record.as_ref().map(|record| record.plan),
        time: meta.filter(|_| record.is_some()).map(|meta| meta.mtime),
        size: size(home, number).ok(),
        record,
    })
}

fn record(home: &TransactionDir<'_>, number: u32) -> Result<Option<Record>, FsError> {
    let name = home.names.generation_record(number);
    Ok(match journal_file::read_name(home, &name)? {
        JournalRead::Record(record) => Some(record).filter(|record| record.generation == number),
        JournalRead::Torn | JournalRead::Foreign(_) => None,
    })
}

fn size(home: &TransactionDir<'_>, number: u32) -> Result<Size, FsError> {
    let mut size = Size::default();
    let mut open = vec![kept(home, number)?];
    while let Some(dir) = open.pop() {
        for name in home.fs.list(&dir)? {
            let Some(meta) = home.fs.meta(&dir, &name)? else {
                continue;
            };
            size.entries += 1;
            match meta.kind {
                Kind::Dir => open.push(home.fs.open_dir(&dir, &name)?),
                Kind::File => size.bytes += meta.len,
                Kind::Symlink | Kind::Other => {}
            }
        }
    }
    Ok(size)
}

fn kept(home: &TransactionDir<'_>, number: u32) -> Result<Dir, FsError> {
    let name = home.names.generation(number);
    home.fs.open_dir(&home.dir, OsStr::new(&name))
}

/// Where the replaced object of a path is: in a slot of the generation, or below one.
enum Slot {
    /// The publication did not move it.
    Elsewhere,
    /// The publication created it: nothing existed there before.
    Absent,
    /// In the slot with this name, at the remaining path.
    At(String, Vec<String>),
}

impl Generation {
    /// Reads a file as it was when this generation was replaced; `None` if there was no such file.
    ///
    /// # Errors
    /// `FileTooLarge` for a longer file, or the error of the disk.
    pub fn read(
        &self,
        target: &Target<'_>,
        path: &RelPath,
        len_max: u64,
    ) -> Result<Option<Vec<u8>>, FsError> {
        let components = || path.components().map(str::to_owned).collect();
        match self.form {
            Form::Tree => {
                let root = kept(&TransactionDir::beside(target), self.number);
                present(root.and_then(|root| read_below(target, root, components(), len_max)))
            }
            Form::Entries => {
                let Some(home) = TransactionDir::within(target)? else {
                    return Ok(None);
                };
                let mut numbers = Siblings::list(&home)?.generations;
                numbers.sort_unstable();
                for number in numbers.into_iter().filter(|number| *number >= self.number) {
                    let record = if number == self.number {
                        self.record.clone()
                    } else {
                        record(&home, number)?
                    };
                    // An invalid record does not show where the file is.
                    let Some(record) = record else {
                        return Ok(None);
                    };
                    match slot(&home, &record, path)? {
                        Slot::Elsewhere => {}
                        Slot::Absent => return Ok(None),
                        Slot::At(slot, mut below) => {
                            below.insert(0, slot);
                            let slots = kept(&home, number);
                            return present(
                                slots.and_then(|dir| read_below(target, dir, below, len_max)),
                            );
                        }
                    }
                }
                let root = target.fs.open_dir(&target.parent, &target.name);
                present(root.and_then(|root| read_below(target, root, components(), len_max)))
            }
        }
    }
}

fn slot(home: &TransactionDir<'_>, record: &Record, path: &RelPath) -> Result<Slot, FsError> {
    let slots = kept(home, record.generation)?;
    let mut found = Slot::Elsewhere;
    for step in record.steps() {
        let Some(entry) = &step.entry else { continue };
        if *path != entry.path && !path.is_below(&entry.path) {
            continue;
        }
        let name = entry.slot.to_string();
        if home.fs.meta(&slots, OsStr::new(&name))?.is_some() {
            let depth = entry.path.components().count();
            let below = path.components().skip(depth).map(str::to_owned);
            return Ok(Slot::At(name, below.collect()));
        }
        found = Slot::Absent;
    }
    Ok(found)
}

fn read_below(
    target: &Target<'_>,
    mut dir: Dir,
    mut components: Vec<String>,
    len_max: u64,
) -> Result<Vec<u8>, FsError> {
    let name = components.pop().unwrap_or_default();
    for component in components {
        dir = target.fs.open_dir(&dir, OsStr::new(&component))?;
    }
    target.fs.read_file(&dir, OsStr::new(&name), len_max)
}

/// Returns `None` for an object that is absent or not a file: it was not a file then either.
fn present(read: Result<Vec<u8>, FsError>) -> Result<Option<Vec<u8>>, FsError> {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_no_such_file() => Ok(None),
        Err(error) => Err(error),
    }
}
