//! Lookups: what comes along to another Python, and the wheels that this takes.
//!
//! A distribution that does not fit the new interpreter is replaced by a wheel of the same version.
//! Which ones do not fit is decided here, before the lock, so that every wheel is at hand before
//! anything is written; the change decides again under the lock, by the same function.
//!
//! Promises to write nothing to the target: wheels are downloaded into a directory that is deleted
//! with the answer. Does not download what the user installed from a file: an index may have
//! another distribution under that name. Only sources that the caller names count then.
//!
//! Read next: `../change/carry.rs`, which decides.

use std::io;
use std::mem;
use std::path::Path;

use rvenv_journal::fs::Dir;
use tempfile::TempDir;

use super::caller::Caller;
use crate::base::cache::Cache;
use crate::build::hooks::Context;
use crate::build::supply::{LookedUp, Supply, WheelSource};
use crate::change::carry::{Companions, Unresolved};
use crate::change::existing::{Existing, ExistingError};
use crate::change::merge;
use crate::wheel::download::{DownloadFailed, Downloader, Release, Sources};

/// The prefix of directories that a process downloads to; `rvenv cache prune` deletes those of dead
/// processes.
pub const DOWNLOADS_PREFIX: &str = "downloads-";

/// Why it is not known what comes along.
#[derive(Debug)]
pub(super) enum LookupFailed {
    Existing(ExistingError),
    NoDownloads(io::Error),
    Interrupted(DownloadFailed),
}

/// An environment that may get another Python.
pub(super) struct Before {
    pub(super) root: Dir,
    pub(super) existing: Existing,
}

impl Caller<'_> {
    /// Decides what comes along, and downloads the wheels that this takes.
    ///
    /// # Errors
    /// An environment that cannot be read; an interruption.
    pub(super) fn accompany(
        &self,
        before: &Before,
        sources: &Sources,
        context: &mut Context,
        downloads: &mut Option<TempDir>,
    ) -> Result<Companions, LookupFailed> {
        context.installed = before.existing.installed(&context.layout);
        let leaving = merge::leaving(self.fs, &before.root, &before.existing, context);
        context.leaving = leaving.map_err(|source| {
            let path = before.existing.path.clone();
            LookupFailed::Existing(ExistingError::Disk { path, source })
        })?;
        let mut companions = self.companions(before, context)?;
        context.checked = mem::take(&mut companions.checked);
        if companions.unresolved.is_empty() {
            context.looked_up = Some(Vec::new());
            return Ok(companions);
        }
        let is_asked = *sources != Sources::default();
        let may_look = |one: &&Unresolved| one.archive.is_none() || is_asked;
        let (wanted, others): (Vec<_>, Vec<_>) = companions.unresolved.iter().partition(may_look);
        let of_file = others.into_iter().map(|one| LookedUp {
            release: one.release.clone(),
            found: Err(format!(
                "it was installed from `{}`, so no index was asked for it",
                one.archive.as_deref().unwrap_or_default()
            )),
        });
        let mut looked_up: Vec<LookedUp> = of_file.collect();
        if !wanted.is_empty() {
            let releases: Vec<Release> = wanted.iter().map(|one| one.release.clone()).collect();
            let dir = match downloads {
                Some(dir) => dir,
                None => downloads.insert(self.download_dir().map_err(LookupFailed::NoDownloads)?),
            };
            // In a directory of its own: the newest pip may be beside it.
            let dir = tempfile::tempdir_in(dir.path()).map_err(LookupFailed::NoDownloads)?;
            looked_up.extend(self.look_up(releases, sources, context, &dir.keep())?);
        }
        let found = looked_up.iter().filter_map(|one| one.found.as_ref().ok());
        let found: Vec<_> = found.cloned().collect();
        context
            .supplies
            .extend(Supply::from_source(&found, WheelSource::Refit));
        context.looked_up = Some(looked_up);
        self.companions(before, context)
    }

    fn companions(&self, before: &Before, context: &Context) -> Result<Companions, LookupFailed> {
        let found = merge::companions(self.fs, &before.root, &before.existing, context);
        found.map_err(|source| {
            let path = before.existing.path.clone();
            LookupFailed::Existing(ExistingError::Disk { path, source })
        })
    }

    /// A directory to download to.
    pub(super) fn download_dir(&self) -> io::Result<TempDir> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(DOWNLOADS_PREFIX);
        let in_cache = |cache: &Cache| {
            cache.make().ok()?;
            builder.tempdir_in(cache.path()).ok()
        };
        let made = self.host.cache.as_ref().and_then(in_cache);
        // A cache that cannot be used is never necessary.
        made.map_or_else(|| builder.tempdir(), Ok)
    }

    /// Downloads the wheels of exactly these releases.
    fn look_up(
        &self,
        releases: Vec<Release>,
        sources: &Sources,
        context: &Context,
        into: &Path,
    ) -> Result<Vec<LookedUp>, LookupFailed> {
        let found = self.with_control(|control| {
            let downloader = Downloader {
                interpreter: &context.interpreter,
                sources,
                around: &self.host.surroundings,
                control,
            };
            downloader.exactly(&releases, into)
        });
        let minor = context.interpreter.version.minor;
        let found = match found {
            Ok(found) => found
                .into_iter()
                .map(|one| one.map_err(|why| clause(&why, minor))),
            Err(why @ DownloadFailed::Interrupted { .. }) => {
                return Err(LookupFailed::Interrupted(why));
            }
            Err(why) => {
                let why = clause(&why, minor);
                let same = |release| LookedUp {
                    release,
                    found: Err(why.clone()),
                };
                return Ok(releases.into_iter().map(same).collect());
            }
        };
        let pairs = releases.into_iter().zip(found);
        Ok(pairs
            .map(|(release, found)| LookedUp { release, found })
            .collect())
    }
}

/// Why there is no wheel, as a clause on one line: the last thing that pip said.
fn clause(failed: &DownloadFailed, minor: u32) -> String {
    let last = match failed {
        DownloadFailed::Pip { said, .. } => said.iter().rfind(|line| line.starts_with("ERROR")),
        DownloadFailed::NoPip { .. }
        | DownloadFailed::NotStarted { .. }
        | DownloadFailed::Listing { .. }
        | DownloadFailed::Count { .. }
        | DownloadFailed::Interrupted { .. } => None,
    };
    match last {
        Some(line) => {
            let line = line.trim_start_matches("ERROR:").trim();
            format!("pip has no wheel of it for Python 3.{minor}: {line}")
        }
        None => failed.to_string().replace('\n', ";"),
    }
}
