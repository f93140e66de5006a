//! Generations: what earlier publications replaced, looked at and not moved.
//!
//! Promises to write nothing, to follow no link, and to tell what can be told of a generation whose record is absent or
//! cannot be believed. A file is read as it was when the generation was replaced: an entry that no later publication
//! moved either still stands in its place.
//! Does not promise that a generation can come back; `transaction/rollback.rs` looks at that.
//!
//! Read next: `transaction/rollback.rs`, `place/journal_file.rs`.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;

use crate::base::digest::Digest;
use crate::base::path::RelPath;
use crate::fs::{Dir, FsError, Kind, Time};
use crate::place::journal_file::{self, JournalRead, Siblings};
use crate::place::record::{Form, Record};
use crate::place::target::Target;
use crate::place::transaction_dir::TransactionDir;

/// What was replaced, and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its number; the highest is the one that comes back first.
    pub number: u32,
    /// A whole tree beside the target, or entries inside it.
    pub form: Form,
    /// The plan whose publication left it; `None` without a record that can be believed.
    pub plan: Option<Digest>,
    /// When its record was last written: when what replaced it was ready to be published.
    pub time: Option<Time>,
    /// How much it holds; `None` where a part of it cannot be read.
    pub size: Option<Size>,
    record: Option<Record>,
}

/// How much stands somewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Files, links, and directories, the outermost one not counted.
    pub entries: u64,
    /// Bytes of regular files, also of those that share them with others.
    pub bytes: u64,
}

/// Every generation of a target, the oldest first. Takes as long as all of them are large.
///
/// # Errors
/// What the disk says of the target and of what stands beside it.
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

/// Where the old half of a path is: in a slot of the generation, or below one.
enum Slot {
    /// The publication did not move it.
    Elsewhere,
    /// It came with the publication: before, nothing stood there.
    Absent,
    /// In the slot of this name, at the path that remains.
    At(String, Vec<String>),
}

impl Generation {
    /// Reads a file as it was when this generation was replaced; `None` where no such file was.
    ///
    /// # Errors
    /// `FileTooLarge` for a longer file, or what the disk says.
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
                    // What cannot be believed says nothing about where the file is.
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

/// What is absent, or no file, was no file then.
fn present(read: Result<Vec<u8>, FsError>) -> Result<Option<Vec<u8>>, FsError> {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidInput
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
