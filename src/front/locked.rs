//! Locks in a request: from files to the wheels that a plan installs.
//!
//! Promises to read every lock and to choose from all of them before anything is fetched, and that
//! each wheel has a hash that its lock names. A wheel that no place has is an error and no reason
//! to choose another one. Without a lock nothing here runs: no setting of pip is read.
//!
//! Read next: `../lock/choose.rs`, which chooses; `../fetch/fetcher.rs`, which gets the wheels.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use thiserror::Error;

use super::caller::Caller;
use super::fetching::{FetchingFailed, Looked};
use super::resolving::ResolvingFailed;
use crate::base::{regular_file, version};
use crate::build::hooks::Context;
use crate::build::supply::{Extraneous, Supply, WheelSource};
use crate::fetch::{Address, Asked, AskedError, FetchControl, Hashes, Releases, Wanted};
use crate::lock::{
    BYTES_MAX, ChoiceError, Chosen, ChosenSource, Environment, Files, IndexOptions, Kernel, Lock,
    LockError, LockFault, Place, Selection, choose, is_pylock_name, join, read_index_options,
    read_pylock, read_requirements,
};
use crate::python::printable;
use crate::resolve::{self, Resolver};
use crate::wheel::distributions::Distribution;
use crate::wheel::{Named, Release, Sources};

/// The file of a project, whose dependencies are resolved (PEP 621).
const PROJECT: &str = "pyproject.toml";

/// The umask of an environment from files of locks: the same lock gives the same modes, whatever
/// the process's own umask is. What was closed to the group or to others stays so
/// (`Mode::no_wider_than`).
const LOCKED_UMASK: u32 = 0o022;

/// Locks whose packages an environment gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockRequest {
    /// The locks: `pylock.toml` or hashed requirements files.
    pub files: Vec<PathBuf>,
    /// The extras and dependency groups.
    pub selection: Selection,
    /// Directories of wheels that are asked first.
    pub wheelhouses: Vec<PathBuf>,
    /// What happens to other distributions.
    pub extraneous: Extraneous,
    /// More hosts that files may come from.
    pub allow_hosts: Vec<String>,
    /// Requirements that are resolved first, with the lines of files that are no locks.
    pub requirements: Vec<String>,
    /// Who resolves them.
    pub resolver: Resolver,
}

/// Why the wheels of locks are not there.
#[derive(Debug, Error)]
pub enum LockedFailed {
    /// A file is no lock that can be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The interpreter cannot install a lock.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// A file cannot be asked for.
    #[error(transparent)]
    Asked(#[from] AskedError),
    /// A wheel is not there.
    #[error(transparent)]
    Fetching(#[from] FetchingFailed),
    /// What is not locked cannot be resolved.
    #[error(transparent)]
    Resolving(#[from] Box<ResolvingFailed>),
}

impl Caller<'_> {
    /// Adds the wheels of locks to the supplies of a context.
    ///
    /// # Errors
    /// See [`LockedFailed`].
    pub(super) fn supply_locked(
        &self,
        request: &LockRequest,
        (sources, downloads): (&Sources, &mut Option<TempDir>),
        context: &mut Context,
    ) -> Result<(), LockedFailed> {
        if request.files.is_empty() && request.requirements.is_empty() {
            return Ok(());
        }
        let environment = Environment::of(&context.interpreter, &Kernel::running());
        let Choice {
            packages: chosen,
            sources,
            dependencies,
        } = self.choice(request, sources, (&environment, context))?;
        let looked = Looked {
            wheelhouses: &request.wheelhouses,
            allow_hosts: &request.allow_hosts,
        };
        let fetcher = self.fetcher(&sources, looked, context, downloads)?;
        let places = (&fetcher, &context.wheels);
        let releases = Releases::new(&environment, places, &request.wheelhouses);
        let releases = releases.map_err(FetchingFailed::from)?;
        let (urls, files) = self.fetch_control(|control| {
            let asked = self.asked(&chosen, &releases, control)?;
            let files = fetcher.fetch(&asked, control);
            let urls = asked.iter().map(|one| one.url().and_then(Address::public));
            let urls: Vec<Option<String>> = urls.collect();
            Ok::<_, LockedFailed>((urls, files.map_err(FetchingFailed::from)?))
        })?;
        let found = files.into_iter().zip(urls);
        let supplies = chosen
            .into_iter()
            .zip(found)
            .map(|(one, (file, url))| Supply {
                wheel: file.path,
                url,
                source: WheelSource::Locked,
                is_dependency: dependencies.contains(&one.name),
                direct_url: match one.source {
                    ChosenSource::Wheel { direct, .. } => direct.map(|direct| direct.text().into()),
                    ChosenSource::Release { .. } => None::<Arc<str>>,
                },
            });
        context.supplies.extend(supplies);
        if !request.files.is_empty() && !context.options.umask_is_of_acl {
            context.options.umask = LOCKED_UMASK;
        }
        context.extraneous = request.extraneous;
        Ok(())
    }

    /// What is asked for; of a release, the best wheel whose hash the lock has.
    fn asked(
        &self,
        chosen: &[Chosen],
        releases: &Releases<'_>,
        control: &FetchControl<'_>,
    ) -> Result<Vec<Asked>, LockedFailed> {
        let wanted: Vec<Wanted> = chosen.iter().filter_map(wanted).collect();
        let found = releases.find(&wanted, control);
        let mut found = found.map_err(FetchingFailed::from)?.into_iter();
        let mut all = Vec::new();
        for one in chosen {
            all.push(match &one.source {
                ChosenSource::Wheel { file, .. } => Asked::of_lock(file)?,
                ChosenSource::Release { .. } => {
                    let Some(offer) = found.next() else { continue };
                    let offer = offer.map_err(FetchingFailed::from)?;
                    if let Some(reason) = &offer.yanked {
                        self.listener.warning(&yanked(one, reason));
                    }
                    offer.asked
                }
            });
        }
        Ok(all)
    }

    /// What the locks of a request name, and what resolves the rest of it.
    fn choice(
        &self,
        request: &LockRequest,
        sources: &Sources,
        (environment, context): (&Environment, &Context),
    ) -> Result<Choice, LockedFailed> {
        let (mut all, mut indexes) = (Vec::new(), IndexOptions::default());
        let (locks, asked) = self.locks_and_others(request, context)?;
        for lock in locks {
            for warning in &lock.warnings {
                self.listener.warning(warning);
            }
            let chosen = choose(&lock, environment, &request.selection)?;
            add_indexes(&mut indexes, lock.indexes);
            all.push((lock.path, chosen));
        }
        let mut places = with_indexes(sources, indexes.clone());
        // A resolver reads the other files itself; the fetcher then needs to know their indexes.
        for file in &asked.files {
            add_indexes(&mut indexes, self.index_options(file));
        }
        let sources = with_indexes(sources, indexes);
        let mut dependencies = BTreeSet::new();
        if !asked.is_empty() {
            let houses = request.wheelhouses.iter();
            places.find_links.extend(houses.map(Into::into));
            let with = (&context.interpreter, &places);
            let lock = self
                .resolve(&asked, request.resolver, with)
                .map_err(Box::new)?;
            let mut chosen = choose(&lock, environment, &Selection::default())?;
            if request.extraneous == Extraneous::Stay {
                chosen.retain(|one| !is_installed(context, one));
            }
            // Which names a file asks for is not known here, so all count as asked for.
            if asked.files.is_empty() {
                let requested = asked.names();
                let names = chosen.iter().map(|one| one.name.clone());
                // What a lock names was asked for.
                let is_locked = |name: &String| {
                    let locked = all.iter().flat_map(|(_, chosen): &(_, Vec<Chosen>)| chosen);
                    locked.into_iter().any(|one| one.name == *name)
                };
                let is_dependency = |name: &String| !requested.contains(name) && !is_locked(name);
                dependencies.extend(names.filter(is_dependency));
            }
            all.push((PathBuf::from("the resolver's answer"), chosen));
        }
        Ok(Choice {
            packages: join(all)?,
            sources,
            dependencies,
        })
    }

    /// The locks among the files of a request; and what is to be resolved, the lines of the other
    /// files included.
    fn locks_and_others(
        &self,
        request: &LockRequest,
        context: &Context,
    ) -> Result<(Vec<Lock>, resolve::Asked), LockedFailed> {
        let cwd = self.host.cwd.as_deref().unwrap_or(Path::new(""));
        let mut asked = resolve::Asked {
            requirements: request.requirements.clone(),
            files: Vec::new(),
            installed: context.installed.iter().map(release).collect(),
        };
        let mut locks = Vec::new();
        for file in &request.files {
            let path = cwd.join(file);
            if path.file_name().is_some_and(|name| name == PROJECT) {
                let more = resolve::dependencies(&path, &request.selection.extras());
                asked
                    .requirements
                    .extend(more.map_err(|error| Box::new(error.into()))?);
                continue;
            }
            match self.read_lock(file) {
                Ok(lock) => locks.push(lock),
                Err(error) if is_to_resolve(&error.fault) && !has_hashes(&path) => {
                    asked.files.push(path);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok((locks, asked))
    }

    pub(super) fn read_lock(&self, file: &Path) -> Result<Lock, LockError> {
        let cwd = self.host.cwd.as_deref().unwrap_or(Path::new(""));
        let path = cwd.join(file);
        let fail = |fault| LockError {
            path: path.clone(),
            place: Place::File,
            fault,
        };
        if is_pylock_name(&path) {
            let bytes = read(&path).map_err(|error| fail(LockFault::Disk(error)))?;
            return read_pylock(&path, &bytes);
        }
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            return Err(fail(LockFault::Name));
        }
        self.with_files(|files| read_requirements(&path, files))
    }

    /// What a requirements file that is resolved says about indexes; the resolver reports what is
    /// wrong with it.
    pub(super) fn index_options(&self, file: &Path) -> IndexOptions {
        let read = self.with_files(|files| read_index_options(file, files));
        read.unwrap_or_default()
    }

    /// Does something with what a reader of requirements files asks for.
    fn with_files<T>(&self, read_one: impl FnOnce(&Files<'_>) -> T) -> T {
        let variable = |name: &str| {
            let mut all = self.host.surroundings.environment.iter();
            let found = all.find(|(key, _)| key == name);
            found.and_then(|(_, value)| value.to_str().map(str::to_owned))
        };
        read_one(&Files {
            read: &read,
            variable: &variable,
            cwd: self.host.cwd.as_deref().unwrap_or(Path::new("")),
        })
    }
}

/// The packages that locks and a resolver name.
struct Choice {
    packages: Vec<Chosen>,
    /// Where they are looked for.
    sources: Sources,
    /// The names of those that are there only because others need them.
    dependencies: BTreeSet<String>,
}

/// Whether a requirements file leaves something to a resolver.
fn is_to_resolve(fault: &LockFault) -> bool {
    matches!(fault, LockFault::Unpinned(_) | LockFault::Unhashed(_))
}

/// Whether a file has a hash: then everything in it must have one, as for pip.
fn has_hashes(path: &Path) -> bool {
    let bytes = read(path).unwrap_or_default();
    bytes.windows(6).any(|part| part == b"--hash")
}

fn release(one: &Distribution) -> Release {
    Release {
        name: one.name.clone(),
        version: one.version.clone(),
    }
}

/// Whether an environment has a package in the version that was chosen.
fn is_installed(context: &Context, chosen: &Chosen) -> bool {
    let is_it = |one: &Distribution| {
        one.name == chosen.name && version::compare(&one.version, &chosen.version).is_eq()
    };
    let is_direct = matches!(
        &chosen.source,
        ChosenSource::Wheel {
            direct: Some(_),
            ..
        }
    );
    !is_direct && context.installed.iter().any(is_it)
}

/// Reads a file, and at most one byte more than a lock may have.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = regular_file::open(path)?;
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Adds what another file says about indexes.
fn add_indexes(all: &mut IndexOptions, other: IndexOptions) {
    all.index_url = other.index_url.or(all.index_url.take());
    all.extra_index_urls.extend(other.extra_index_urls);
    all.find_links.extend(other.find_links);
    all.no_index |= other.no_index;
    all.trusted_hosts.extend(other.trusted_hosts);
}

/// Where wheels are looked for: an option of the command counts more than the line of a file.
fn with_indexes(sources: &Sources, indexes: IndexOptions) -> Sources {
    let mut all = sources.clone();
    all.find_links
        .extend(indexes.find_links.into_iter().map(Into::into));
    all.extra_index_urls
        .extend(indexes.extra_index_urls.into_iter().map(Into::into));
    all.no_index |= indexes.no_index;
    all.trusted_hosts.extend(indexes.trusted_hosts);
    all.index_url = all.index_url.or(indexes.index_url.map(Into::into));
    all
}

/// What an index is asked for: a release, of which the lock has hashes alone.
fn wanted(chosen: &Chosen) -> Option<Wanted> {
    match &chosen.source {
        ChosenSource::Wheel { .. } => None,
        ChosenSource::Release { hashes } => Some(Wanted {
            name: chosen.name.clone(),
            version: Some(chosen.version.clone()),
            hashes: Hashes::from(hashes),
        }),
    }
}

/// The warning about a release that its author has withdrawn.
fn yanked(chosen: &Chosen, reason: &str) -> String {
    let Chosen { name, version, .. } = chosen;
    let mut text = format!("`{name}` {version} was yanked from its index");
    if !reason.is_empty() {
        text = format!("{text}: {}", printable(reason));
    }
    text
}

/// Whether a file is a wheel of this release.
pub(super) fn is_of(path: &Path, chosen: &Chosen) -> bool {
    Named::of(path).is_some_and(|named| {
        named.name == chosen.name
            && crate::base::version::compare(&named.version, &chosen.version).is_eq()
    })
}
