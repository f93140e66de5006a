//! Preparing: an empty stage, and a journal that owns it.
//!
//! Promises that nothing of ours ever stands on the disk that neither a journal names nor emptiness proves harmless; and
//! that what a filesystem can do is tried on scratch entries inside the stage, where trying harms nobody.
//!
//! On disk meanwhile: an empty `new-X`, then the journal's first part.
//! Read next: `transaction.rs`.

use std::ffi::{OsStr, OsString};

use crate::cover::{CoverError, Grain};
use crate::entries::{Exchange, Moves};
use crate::evidence::marker_name;
use crate::failure::PrepareError;
use crate::fs::{Dir, Flush, FsError, NewFile, Rename};
use crate::home::Home;
use crate::identity::Identity;
use crate::journal::{self, Siblings};
use crate::names::JournalName;
use crate::node::ENGINE_DIR;
use crate::plan::Plan;
use crate::precondition::{expected_root, mounted_entries};
use crate::record::{Durability, Form, Record, Retention, Source};
use crate::settle::{By, End};
use crate::target::Target;

/// The identity of the directory at the target, which a layered filesystem may change when something in it changes.
pub(crate) fn pinned_root(target: &Target<'_>, plan: &Plan) -> Result<Option<Identity>, FsError> {
    if expected_root(plan).is_none() {
        return Ok(None);
    }
    target.fs.pin(&target.parent, &target.name)?;
    Ok(target.meta()?.map(|meta| meta.identity))
}

/// What is moved of a target entry by entry; nothing that is mounted is.
pub(crate) fn moves(
    target: &Target<'_>,
    plan: &Plan,
    grain: Grain,
    exchange: Exchange,
) -> Result<Moves, PrepareError> {
    let path = || target.path().to_path_buf();
    let disk = |source| PrepareError::Disk {
        target: path(),
        source,
    };
    let moves = match Moves::of(target, plan, grain, exchange) {
        Ok(moves) => moves,
        Err(CoverError::Disk(source)) => return Err(disk(source)),
        Err(source @ (CoverError::Blocked(_) | CoverError::Unnamable(_))) => {
            return Err(PrepareError::Cover {
                target: path(),
                source,
            });
        }
    };
    match mounted_entries(target, &moves).map_err(disk)? {
        None => Ok(moves),
        Some(mount) => Err(PrepareError::Mounted {
            target: path(),
            mount,
        }),
    }
}

/// Makes the empty stage of a plan, and the first part of the record that will own it.
pub(crate) fn make_stage(
    target: &Target<'_>,
    home: &Home<'_>,
    plan: &Plan,
    (durability, retention): (Durability, Retention),
) -> Result<(Dir, Record), FsError> {
    let Home { fs, dir, names, .. } = home;
    let generation = next_generation(target)?;
    let prefix = names.stage_prefix();
    let name = fs.make_unique_dir(dir, &prefix)?;
    let opened = fs
        .open_dir(dir, &name)
        .and_then(|root| Ok((fs.meta_of(&root)?.identity, root)));
    let (stage, root) = opened.inspect_err(|_| {
        // Nobody owns it yet, and it is empty.
        let _tidied = fs.remove_dir(dir, &name);
    })?;
    let token = name.to_string_lossy();
    let record = Record {
        plan: plan.digest(),
        token: token.strip_prefix(&prefix).unwrap_or_default().to_owned(),
        generation,
        form: home.form,
        source: Source::Built,
        stage,
        boot: fs.boot_id(),
        durability,
        retention,
        steps: None,
    };
    Ok((root, record))
}

/// One above the highest in both places, so that the order of generations is that in which they were replaced.
fn next_generation(target: &Target<'_>) -> Result<u32, FsError> {
    let beside = Siblings::list(&Home::beside(target))?.next_generation();
    let within = match Home::within(target)? {
        Some(home) => Siblings::list(&home)?.next_generation(),
        None => 1,
    };
    Ok(beside.max(within))
}

/// From here on the stage is owned: whoever finds the journal may delete what it names.
pub(crate) fn write_first_part(
    home: &Home<'_>,
    root: &Dir,
    record: &Record,
) -> Result<(), FsError> {
    journal::write(home, record)?;
    // Slots are known by the random name of their directory; a tree leaves it when it is published.
    if record.stage.is_certain() || record.form == Form::Entries {
        return Ok(());
    }
    let fs = home.fs;
    fs.make_dir(root, OsStr::new(ENGINE_DIR), 0o755)?;
    let inner = fs.open_dir(root, OsStr::new(ENGINE_DIR))?;
    let marker = NewFile {
        mode: 0o600,
        mtime: None,
        bytes: b"",
        flush: Flush::Later,
    };
    fs.write_file(&inner, &marker_name(&record.token), &marker)
}

/// Tries an exchange on two scratch entries.
pub(crate) fn try_exchange(home: &Home<'_>, root: &Dir) -> Result<Exchange, FsError> {
    let fs = home.fs;
    let [one, two] = ["scratch-1", "scratch-2"].map(OsString::from);
    for name in [&one, &two] {
        fs.make_dir(root, name, 0o700)?;
    }
    let exchanged = fs.rename((root, &one), (root, &two), Rename::Exchange);
    for name in [&one, &two] {
        fs.remove_dir(root, name)?;
    }
    Ok(match exchanged {
        Ok(()) => Exchange::Possible,
        Err(_) => Exchange::Impossible,
    })
}

/// The attempt failed before anything was staged: an empty stage needs no journal to be known as ours.
pub(crate) fn abandon(target: &Target<'_>, home: &Home<'_>, record: &Record) {
    let Home { fs, dir, names, .. } = home;
    let end = End {
        target,
        home,
        record,
        journal: JournalName::Open,
        by: By::Itself,
    };
    let journal = names.journal(&JournalName::Open);
    let written = fs
        .meta(dir, OsStr::new(&journal))
        .is_ok_and(|meta| meta.is_some());
    // Whatever stays is found by the next run: an owned stage through its journal, an empty one by itself.
    let _tidied = written && end.give_up().is_ok();
    let _tidied = fs.remove_file(dir, OsStr::new(&names.journal_temp()));
    let _tidied = fs.remove_dir(dir, OsStr::new(&names.stage(&record.token)));
    home.leave(target);
}
