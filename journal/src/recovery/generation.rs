//! Generations: what earlier publications replaced. This file reads them and does not move them.
//!
//! Promises to write nothing, to follow no link, and to report as much as possible about a
//! generation whose record is absent or invalid. A file is read as it was when the generation was
//! replaced: an entry that no later publication moved is still in its place.
//! Does not promise that a generation can be published again; `transaction/rollback.rs` checks
//! that.
//!
//! Read next: `transaction/rollback.rs`, `place/journal_file.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use crate::base::digest::Digest;
use crate::base::path::RelPath;
use crate::fs::{Dir, FsError, Kind, Time};
use crate::place::journal_file::{self, JournalRead, Siblings};
use crate::place::record::{Form, Origin, Record};
use crate::place::target::Target;
use crate::place::transaction_dir::TransactionDir;

/// What a publication replaced and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its number; a rollback takes the highest one first.
    pub number: u32,
    /// A whole tree beside the target, or entries inside it.
    pub form: Form,
    /// What the plan made that replaced it, as in its receipt; `None` without a valid record.
    pub plan: Option<Digest>,
    /// When its record was last written: when its replacement was ready to be published.
    pub time: Option<Time>,
    /// Why its record does not count, as for a generation of another user; `None` if it does.
    pub fault: Option<String>,
    /// The owner of its record, if that is another user: only that user can use it.
    pub owner: Option<u32>,
    /// Whether it is not what a publication replaced, but what one had put there before it was
    /// undone. It never was decided to be good, so a rollback passes it over.
    pub is_undone: bool,
    record: Option<Record>,
    /// The records of all generations inside the target: a file that none of the later ones moved
    /// is still in its place.
    within: Arc<Records>,
}

type Records = BTreeMap<u32, Past>;

/// What a generation inside the target says about its publication.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Past {
    record: Option<Record>,
    /// Its steps were reversed, so it moved nothing.
    is_undone: bool,
}

/// The size of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Files, links and directories, without the outermost directory.
    pub entries: u64,
    /// Bytes of regular files, including those that share them with other files.
    pub bytes: u64,
}

/// Every generation of a target, the oldest first; reads their records alone.
///
/// # Errors
/// The error of the disk about the target and what is beside it.
pub fn generations(target: &Target<'_>) -> Result<Vec<Generation>, FsError> {
    let mut found = Vec::new();
    let mut within = Records::new();
    let homes =
        std::iter::once(TransactionDir::beside(target)).chain(TransactionDir::within(target)?);
    for home in homes {
        for number in Siblings::list(&home)?.generations {
            let generation = look(&home, number)?;
            if home.form == Form::Entries {
                let past = Past {
                    record: generation.record.clone(),
                    is_undone: generation.is_undone,
                };
                within.insert(number, past);
            }
            found.push(generation);
        }
    }
    let within = Arc::new(within);
    for generation in &mut found {
        generation.within = Arc::clone(&within);
    }
    found.sort_by_key(|generation| generation.number);
    Ok(found)
}

fn look(home: &TransactionDir<'_>, number: u32) -> Result<Generation, FsError> {
    let name = home.names.generation_record(number);
    let meta = home.fs.meta(&home.dir, OsStr::new(&name))?;
    let (record, fault) = match journal_file::read_name(home, &name)? {
        JournalRead::Record(record) if record.generation == number => (Some(record), None),
        JournalRead::Record(_) => (None, Some("it belongs to another generation".to_owned())),
        JournalRead::Torn if meta.is_none() => (None, Some("it is absent".to_owned())),
        JournalRead::Torn => (None, Some("it is torn".to_owned())),
        JournalRead::Foreign(why) => (None, Some(why)),
    };
    let is_undone = match &record {
        Some(record) => is_undone(home, record)?,
        None => false,
    };
    Ok(Generation {
        number,
        form: home.form,
        is_undone,
        plan: record.as_ref().map(|record| record.plan),
        time: meta.filter(|_| record.is_some()).map(|meta| meta.mtime),
        fault,
        owner: meta
            .map(|meta| meta.owner)
            .filter(|owner| *owner != home.fs.user()),
        record,
        within: Arc::default(),
    })
}

/// Whether a generation holds what its publication had put there, so that it was kept by an undo.
///
/// The identities of the record decide, by the first object that has one: the tree, or a slot.
/// What is neither, as an object of another process, counts as replaced: it may be the last copy.
///
/// # Errors
/// The error of the disk.
pub(crate) fn is_undone(home: &TransactionDir<'_>, record: &Record) -> Result<bool, FsError> {
    let TransactionDir { fs, dir, names, .. } = home;
    let name = names.generation(record.generation);
    if record.origin == Origin::Generation {
        // A rollback that is undone leaves the former record in its place.
        return Ok(false);
    }
    if record.form == Form::Tree {
        let found = fs.meta(dir, OsStr::new(&name))?;
        let is_staged = found.is_some_and(|meta| meta.identity == record.stage);
        return Ok(is_staged && !record.is_removal());
    }
    let slots = match fs.open_dir(dir, OsStr::new(&name)) {
        Ok(slots) => slots,
        Err(error) if error.is_forbidden() || error.is_no_such_file() => return Ok(false),
        Err(error) => return Err(error),
    };
    for step in record.steps() {
        let Some(entry) = &step.entry else { continue };
        let slot = entry.slot.to_string();
        let found = fs
            .meta(&slots, OsStr::new(&slot))?
            .map(|meta| meta.identity);
        if found.is_some() && found == step.act.coming() {
            return Ok(true);
        }
        if found.is_some() && found == step.act.going() {
            return Ok(false);
        }
    }
    Ok(false)
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
    /// How much it contains; the duration grows with that.
    ///
    /// # Errors
    /// The error of the disk, as for a generation of another user.
    pub fn size(&self, target: &Target<'_>) -> Result<Size, FsError> {
        match self.form {
            Form::Tree => size(&TransactionDir::beside(target), self.number),
            Form::Entries => match TransactionDir::within(target)? {
                Some(home) => size(&home, self.number),
                None => Ok(Size::default()),
            },
        }
    }

    /// The entries that a rollback to this generation moves, each with whether the generation has
    /// an object for it; none for a whole tree.
    ///
    /// # Errors
    /// The error of the disk.
    pub fn entries(&self, target: &Target<'_>) -> Result<BTreeMap<RelPath, bool>, FsError> {
        match (self.form, TransactionDir::within(target)?, &self.record) {
            (Form::Entries, Some(home), Some(record)) => entries(&home, record),
            (Form::Entries | Form::Tree, _, _) => Ok(BTreeMap::new()),
        }
    }

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
        let Some((mut dir, below)) = self.place(target, Some(path))? else {
            return Ok(None);
        };
        let mut components = below.components;
        let name = components.pop().unwrap_or_default();
        let read = || {
            for component in components {
                dir = target.fs.open_dir(&dir, OsStr::new(&component))?;
            }
            target.fs.read_file(&dir, OsStr::new(&name), len_max)
        };
        present(read())
    }

    /// The names in a directory, or in the root, as they were when this generation was replaced;
    /// `None` if there was no such directory. Only those are listed that a caller wants.
    ///
    /// # Errors
    /// The error of the disk.
    pub fn names(
        &self,
        target: &Target<'_>,
        path: Option<&RelPath>,
        wanted: &dyn Fn(&OsStr) -> bool,
    ) -> Result<Option<BTreeSet<OsString>>, FsError> {
        let Some((mut dir, below)) = self.place(target, path)? else {
            return Ok(None);
        };
        let list = || {
            for component in below.components {
                dir = target.fs.open_dir(&dir, OsStr::new(&component))?;
            }
            target.fs.list_wanted(&dir, wanted)
        };
        let Some(listed) = present(list())? else {
            return Ok(None);
        };
        let mut names: BTreeSet<OsString> = listed.into_iter().collect();
        // What later publications moved directly in this directory, the latest first.
        for number in below.passed.into_iter().rev() {
            let home = TransactionDir::within(target)?;
            let past = self.within.get(&number);
            let record = past.and_then(|past| past.record.as_ref());
            let Some((home, record)) = home.zip(record) else {
                return Ok(None);
            };
            for (entry, is_kept) in entries(&home, record)? {
                let name = OsString::from(entry.name());
                if entry.parent().as_ref() != path || !wanted(&name) {
                    continue;
                }
                if is_kept {
                    names.insert(name);
                } else {
                    names.remove(&name);
                }
            }
        }
        Ok(Some(names))
    }

    /// An open directory, and the path in it, at which the object of a path is now; `None` if there
    /// was none, or if an invalid record hides where it is.
    fn place(
        &self,
        target: &Target<'_>,
        path: Option<&RelPath>,
    ) -> Result<Option<(Dir, Below)>, FsError> {
        let components = path.into_iter().flat_map(RelPath::components);
        let mut below = Below {
            components: components.map(str::to_owned).collect(),
            passed: Vec::new(),
        };
        if self.form == Form::Tree {
            return Ok(Some((
                kept(&TransactionDir::beside(target), self.number)?,
                below,
            )));
        }
        let Some(home) = TransactionDir::within(target)? else {
            return Ok(None);
        };
        for (number, past) in self.within.range(self.number..) {
            if past.is_undone && *number != self.number {
                continue;
            }
            let Some(record) = &past.record else {
                return Ok(None);
            };
            let slot = path.map_or(Ok(Slot::Elsewhere), |path| slot(&home, record, path))?;
            match slot {
                Slot::Elsewhere => below.passed.push(*number),
                Slot::Absent => return Ok(None),
                Slot::At(slot, components) => {
                    below.components = components;
                    below.components.insert(0, slot);
                    return Ok(Some((kept(&home, *number)?, below)));
                }
            }
        }
        Ok(Some((
            target.fs.open_dir(&target.parent, &target.name)?,
            below,
        )))
    }
}

/// A path in an open directory, and the generations that did not move it.
struct Below {
    components: Vec<String>,
    passed: Vec<u32>,
}

/// The entries of a record, each with whether one of its slots has an object.
fn entries(home: &TransactionDir<'_>, record: &Record) -> Result<BTreeMap<RelPath, bool>, FsError> {
    let slots = home.fs.list(&kept(home, record.generation)?)?;
    let slots: BTreeSet<OsString> = slots.into_iter().collect();
    let mut found = BTreeMap::new();
    for entry in record.steps().iter().filter_map(|step| step.entry.as_ref()) {
        let is_kept = slots.contains(OsStr::new(&entry.slot.to_string()));
        *found.entry(entry.path.clone()).or_default() |= is_kept;
    }
    Ok(found)
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

/// Returns `None` for an object that is absent or of another kind: it was so then too.
fn present<T>(read: Result<T, FsError>) -> Result<Option<T>, FsError> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_no_such_file() => Ok(None),
        Err(error) => Err(error),
    }
}
