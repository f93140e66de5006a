//! Copying: every distribution of an environment, as it comes along to a clone of it.
//!
//! Promises that each is copied whole and as its RECORD lists it, with another interpreter in its
//! scripts, or is named with the reason why not (I8); and that what belongs to no distribution and
//! is no part of a new environment is named. Writes nothing.
//!
//! Read next: `files.rs`, the files of one distribution.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use rvenv_journal::fs::{Dir, FsError, Kind};
use rvenv_journal::raw::ENGINE_DIR;
use rvenv_journal::{Fs, PlanBuilder, RelPath};

use super::{Carried, Companions, LostPackage, Search};
use crate::build::hooks::Context;
use crate::build::roles;
use crate::change::existing::Existing;
use crate::python::bytecode::path::is_bytecode;
use crate::wheel::distributions::{Distribution, DistributionKind};

/// Every distribution that the environment's Python uses; `context` is that of the clone.
///
/// # Errors
/// The error of the disk.
pub(crate) fn copied(
    fs: &dyn Fs,
    root: &Dir,
    existing: &Existing,
    context: &Context,
) -> Result<Companions, FsError> {
    let search = Search::new(fs, root, existing, context).copying();
    let flavour = existing.flavour();
    let mut found = Companions::default();
    let libs = existing.libs.iter();
    for lib in libs.filter(|lib| flavour.is_none() || lib.flavour == flavour) {
        for distribution in &lib.distributions {
            let files = match distribution.kind {
                DistributionKind::DistInfo => search.files(lib, distribution)?,
                DistributionKind::EggInfo | DistributionKind::EggLink => {
                    Err("it has no RECORD".to_owned())
                }
            };
            match files {
                Ok(mut carried) => {
                    source_as_input(&mut carried, existing, context);
                    found.carried.push(carried);
                }
                Err(reason) => found.lost.push(lost(distribution, reason)),
            }
        }
    }
    found.checked = search.checked.into_inner();
    Ok(found)
}

fn lost(distribution: &Distribution, reason: String) -> LostPackage {
    LostPackage {
        reason,
        ..LostPackage::named(distribution)
    }
}

/// The RECORD is an input from elsewhere: it is in the environment that is cloned.
fn source_as_input(carried: &mut Carried, existing: &Existing, context: &Context) {
    let record = &mut carried.record;
    let below = record
        .path
        .strip_prefix(&context.env_dir)
        .map(str::to_owned);
    let source = existing.path.to_string_lossy();
    record.path = format!("{source}{}", below.unwrap_or_default());
    roles::CLONED.clone_into(&mut record.role);
}

/// The files of an environment that its clone does not get: those of no distribution and of no new
/// environment, without bytecode. A directory that has nothing else is one path.
///
/// # Errors
/// The error of the disk.
pub(crate) fn foreign(
    fs: &dyn Fs,
    root: &Dir,
    companions: &Companions,
    draft: &PlanBuilder,
) -> Result<Vec<String>, FsError> {
    let carried = companions.carried.iter().flat_map(|one| &one.left);
    let mut known: BTreeSet<&RelPath> = carried.collect();
    known.extend(draft.operations().keys());
    let mut found = Vec::new();
    let mut waiting: Vec<(Dir, Option<RelPath>)> = vec![(root.clone(), None)];
    while let Some((dir, at)) = waiting.pop() {
        for name in fs.list(&dir)? {
            let Some(path) = below(at.as_ref(), &name) else {
                found.push(name.to_string_lossy().into_owned());
                continue;
            };
            let Some(meta) = fs.meta(&dir, &name)? else {
                continue;
            };
            let is_own = path.as_str() == ENGINE_DIR || name == "__pycache__";
            let is_link_to_lib = path.as_str() == "lib64" && meta.kind == Kind::Symlink;
            if is_own || is_link_to_lib || is_of_frame(&path) || is_bytecode(path.as_str()) {
                continue;
            }
            match meta.kind {
                Kind::Dir if known.contains(&path) => {
                    waiting.push((fs.open_dir(&dir, &name)?, Some(path)));
                }
                Kind::Dir => found.push(format!("{path}/")),
                Kind::File | Kind::Symlink | Kind::Other if known.contains(&path) => {}
                Kind::File | Kind::Symlink | Kind::Other => found.push(path.to_string()),
            }
        }
    }
    found.sort();
    Ok(found)
}

fn below(dir: Option<&RelPath>, name: &OsStr) -> Option<RelPath> {
    let name = name.to_str()?;
    match dir {
        Some(dir) => dir.join(name).ok(),
        None => RelPath::new(name).ok(),
    }
}

/// The interpreter under any name, and activation scripts of other tools.
fn is_of_frame(path: &RelPath) -> bool {
    let Some(name) = path.as_str().strip_prefix("bin/") else {
        return false;
    };
    let is_of = |stem: &str| {
        name.strip_prefix(stem)
            .is_some_and(|rest| !rest.contains('/'))
    };
    ["python", "pypy", "activate", "Activate", "deactivate"]
        .iter()
        .any(|stem| is_of(stem))
}
