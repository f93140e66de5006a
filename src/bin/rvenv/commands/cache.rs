//! `rvenv cache`: shows where the cache is, checks it, and deletes parts of it.
//!
//! Promises to touch only entries with rvenv's names in rvenv's directories, and that other
//! commands may run at the same time: they need nothing that is deleted. Leaves everything else
//! alone and names it.
//! Read next: the engine's `store/tend.rs`, which maintains unpacked wheels; `cache/answers.rs`,
//! which maintains cached answers; `cache/fetched.rs`, which maintains fetched wheels;
//! `cache/scratch.rs`, which deletes what killed resolvers left; `cache/workshops.rs`, in which
//! wheels are built.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

use rvenv::cache::Cache;
use rvenv::render::escape;
use rvenv_journal::fs::{Dir, Fs, Time};
use rvenv_journal::raw::{Audit, Stock, Swept, counted};
use rvenv_journal::{Store, StoreError};

use crate::advice::{CliError, Code, Exit, State, of_cache};
use crate::args::{CacheCommand, CachePruneArgs, Deferred};
use crate::session::Session;
use rvenv::backend::BUILDING;
use rvenv::fetch::FETCHED;
use rvenv::render::shown_size;

mod answers;
mod fetched;
pub(super) mod report;
mod scratch;
pub(super) mod transfer;
mod workshops;

use answers::Which;
use report::{Deleted, Notes};

const PACKS: &str = "packs";
const DAY_SECONDS: u64 = 24 * 60 * 60;

impl Session<'_> {
    pub(crate) fn cache(&self, command: &CacheCommand) -> Result<Exit, CliError> {
        let cache = self.world.cache.as_ref().ok_or_else(|| {
            CliError::new(Code::NoCache, "there is no cache directory")
                .hint("set RVENV_CACHE_DIR to an absolute path")
        })?;
        match command {
            CacheCommand::Dir => self.cache_dir(cache.path()),
            CacheCommand::Verify => self.cache_verify(cache),
            CacheCommand::Prune(args) => self.cache_prune(cache, args),
            CacheCommand::Clear => self.cache_clear(cache),
            CacheCommand::Push(Deferred(args)) => self.cache_push(args),
            CacheCommand::Pull(Deferred(args)) => self.cache_pull(args),
        }
    }

    fn cache_dir(&self, path: &Path) -> Result<Exit, CliError> {
        // A script would use whatever is printed here.
        let text = path.to_str().ok_or_else(|| {
            let shown = path.as_os_str().as_encoded_bytes().escape_ascii();
            CliError::new(
                Code::BadSetting,
                format!("the path `{shown}` of the cache is not UTF-8"),
            )
            .hint("set RVENV_CACHE_DIR to a path in UTF-8")
        })?;
        if self.json {
            self.terminal.json(&report::place_json(text))?;
        } else {
            self.terminal.data(&format!("{text}\n"))?;
        }
        Ok(Exit::Done)
    }

    fn cache_verify(&self, cache: &Cache) -> Result<Exit, CliError> {
        let path = cache.path();
        let cache = Opened::of(&self.fs, cache)?;
        let failed = |error: &StoreError| failed(path, error).leaving(State::CacheHalfSwept);
        let audit = self.during("Comparing unpacked files", |_| {
            cache.store().map(Store::verify)
        });
        let audit = audit.transpose().map_err(|error| failed(&error))?;
        let mut audit = audit.unwrap_or_else(|| Audit {
            stock: Stock::default(),
            faults: Vec::new(),
            strangers: Vec::new(),
        });
        audit.strangers = cache.strangers(&audit.strangers);
        let fetched = self.during("Comparing fetched wheels", |_| {
            let all = cache.dir.iter().map(|dir| fetched::verify(&self.fs, dir));
            all.collect::<Vec<_>>()
        });
        let mut wheels = 0;
        for (faults, count) in fetched {
            audit.faults.extend(faults);
            wheels += count;
        }
        let reported = if self.json {
            self.terminal
                .json(&report::audit_json(path, &audit, wheels))
        } else {
            self.terminal
                .data(&report::audit_text(path, &audit, wheels))
        };
        let has_deleted = audit.faults.iter().any(|fault| fault.kept.is_none());
        reported.map_err(|lost| {
            if has_deleted {
                lost.leaving(State::CacheSwept)
            } else {
                lost
            }
        })?;
        self.tell_strangers(path, &audit.strangers);
        if audit.faults.is_empty() {
            return Ok(Exit::Done);
        }
        self.terminal.story(
            "What was deleted is unpacked again when it is next needed. Environments may share \
             edited files: \
             see `rvenv verify ENV_DIR`",
        );
        let kept = audit.faults.iter().filter_map(|fault| fault.kept.as_ref());
        for why in kept {
            let why = escape(&format!("{why}: {}", why.source));
            self.terminal.story(&format!("Could not delete it: {why}"));
        }
        Ok(Exit::Pending)
    }

    fn cache_prune(&self, cache: &Cache, args: &CachePruneArgs) -> Result<Exit, CliError> {
        let path = cache.path();
        let cache = Opened::of(&self.fs, cache)?;
        let unused_for = u64::from(args.unused_for) * DAY_SECONDS;
        let now = self.world.now;
        let seconds = unused_for;
        let wheels = fetched::Which::Unused { now, seconds };
        let prune = |store: &Store<'_>| store.prune(now, unused_for);
        let swept = self.during("Deleting what is unused", |_| {
            cache.sweep(Which::Outdated, wheels, now, prune)
        })?;
        self.tell_swept(path, &swept)
    }

    fn cache_clear(&self, cache: &Cache) -> Result<Exit, CliError> {
        let path = cache.path();
        let cache = Opened::of(&self.fs, cache)?;
        let (all, now) = (fetched::Which::All, self.world.now);
        let swept = self.during("Deleting the cache", |_| {
            cache.sweep(Which::All, all, now, Store::clear)
        })?;
        cache.remove_empty();
        self.tell_swept(path, &swept)
    }

    fn tell_swept(&self, path: &Path, swept: &Deleted) -> Result<Exit, CliError> {
        let is_whole = swept.leftovers.first.is_none();
        let reported = if self.json && is_whole {
            self.terminal.json(&report::swept_json(path, swept))
        } else if self.json {
            // The error has the report beside it.
            Ok(())
        } else {
            self.terminal.data(&report::swept_text(path, swept))
        };
        self.tell_strangers(path, &swept.strangers);
        let lives_on = swept.packs.deleted.shared;
        if lives_on > 0 {
            let size = shown_size(lives_on);
            self.terminal.story(&format!(
                "{size} of what was deleted is also in environments, and is freed with them"
            ));
        }
        let Some(first) = &swept.leftovers.first else {
            reported.map_err(|lost| lost.leaving(State::CacheSwept))?;
            return Ok(Exit::Done);
        };
        if let Err(lost) = reported {
            self.terminal.error(&lost.text());
        }
        let count = counted(swept.leftovers.count, "entry");
        let shown = escape(&path.to_string_lossy());
        Err(CliError::new(
            Code::CacheLeftovers,
            format!("cannot delete {count} of the cache `{shown}`"),
        )
        .beside(&report::swept(path, swept))
        .leaving(State::CacheSweptButSome)
        .because(first)
        .because(&first.source)
        .hint("check the owner of these entries, and whether something is mounted there"))
    }

    fn tell_strangers(&self, path: &Path, strangers: &[String]) {
        for stranger in strangers {
            let shown = escape(&path.join(stranger).to_string_lossy());
            self.terminal.story(&format!(
                "Left `{shown}` alone: rvenv did not create it; delete it if it is not needed"
            ));
        }
    }
}

/// The cache directory, if it exists.
struct Opened<'a> {
    fs: &'a dyn Fs,
    path: &'a Path,
    dir: Option<Dir>,
    store: Option<Store<'a>>,
    /// An entry that exists in place of the store.
    stranger: Option<String>,
}

impl<'a> Opened<'a> {
    /// Opens the cache; creates nothing.
    fn of(fs: &'a dyn Fs, from: &'a Cache) -> Result<Self, CliError> {
        let path = from.path();
        let mut cache = Self {
            fs,
            path,
            dir: None,
            store: None,
            stranger: None,
        };
        let Some(dir) = from.dir().map_err(|why| of_cache(&why))? else {
            return Ok(cache);
        };
        match Store::find(fs, &dir) {
            Ok(store) => cache.store = store,
            Err(StoreError::Disk(error)) if error.kind() == ErrorKind::NotADirectory => {
                cache.stranger = Some(PACKS.to_owned());
            }
            Err(error) => return Err(failed(path, &error)),
        }
        cache.dir = Some(dir);
        Ok(cache)
    }

    fn store(&self) -> Option<&Store<'a>> {
        self.store.as_ref()
    }

    fn sweep(
        &self,
        which: Which,
        wheels: fetched::Which,
        now: Time,
        packs: impl FnOnce(&Store<'a>) -> Result<Swept, StoreError>,
    ) -> Result<Deleted, CliError> {
        let packs = self.store().map_or_else(|| Ok(Swept::default()), packs);
        let mut packs =
            packs.map_err(|error| failed(self.path, &error).leaving(State::CacheHalfSwept))?;
        let mut deleted = Deleted {
            strangers: self.strangers(&packs.strangers),
            leftovers: std::mem::take(&mut packs.leftovers),
            notes: Notes::default(),
            fetched: fetched::Wheels::default(),
            downloads: 0,
            packs,
        };
        let kinds = self
            .dir
            .iter()
            .flat_map(|dir| answers::KINDS.map(|kind| (dir, kind)));
        if let Some(dir) = &self.dir {
            let swept = fetched::sweep(self.fs, dir, wheels);
            deleted.fetched = swept.wheels;
            deleted.downloads += swept.parts;
            deleted.packs.living += swept.living;
            deleted.strangers.extend(swept.strangers);
            deleted.leave(swept.leftovers);
            let swept = scratch::sweep(self.fs, dir, now);
            deleted.downloads += swept.deleted;
            deleted.packs.living += swept.living;
            deleted.strangers.extend(swept.strangers);
            for left in swept.leftovers {
                deleted.leave(left);
            }
        }
        if let Some(dir) = &self.dir {
            let swept = workshops::sweep(self.fs, dir);
            deleted.downloads += swept.dead;
            deleted.packs.living += swept.living;
            deleted.strangers.extend(swept.strangers);
            deleted.leave(swept.leftovers);
        }
        for (dir, kind) in kinds {
            let swept = answers::sweep(self.fs, dir, kind, which);
            deleted.notes.deleted += swept.deleted;
            deleted.notes.bytes += swept.bytes;
            deleted.notes.kept += swept.kept;
            deleted.strangers.extend(swept.strangers);
            deleted.leave(swept.leftovers);
        }
        Ok(deleted)
    }

    /// Entries that rvenv did not create, by their paths in the cache.
    fn strangers(&self, among_packs: &[String]) -> Vec<String> {
        let names = self.dir.as_ref().map(|dir| self.fs.list(dir));
        let names = names.and_then(Result::ok).unwrap_or_default();
        let names = names.iter().map(|name| name.to_string_lossy().into_owned());
        let is_known = |name: &String| {
            name == PACKS
                || name == FETCHED
                || name == BUILDING
                || answers::KINDS.contains(&name.as_str())
                || scratch::is_scratch(name)
        };
        let mut strangers: Vec<_> = names.filter(|name| !is_known(name)).collect();
        strangers.extend(self.stranger.clone());
        strangers.extend(among_packs.iter().map(|name| format!("{PACKS}/{name}")));
        strangers
    }

    /// Removes the directories in the cache that are empty now; a process that is using one creates
    /// it again.
    fn remove_empty(&self) {
        for name in answers::KINDS.iter().chain([&PACKS, &FETCHED, &BUILDING]) {
            if let Some(dir) = &self.dir {
                let _others_are_left = self.fs.remove_dir(dir, OsStr::new(name));
            }
        }
    }
}

fn failed(path: &Path, error: &StoreError) -> CliError {
    let shown = escape(&path.to_string_lossy());
    let told = CliError::new(
        Code::Disk,
        format!("cannot look through the cache `{shown}`"),
    );
    match error {
        StoreError::Disk(error) => told.because(error).because(&error.source),
        StoreError::Source(_) | StoreError::Manifest(_) | StoreError::Crowded => {
            told.because(error)
        }
    }
}
