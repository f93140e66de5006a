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

use thiserror::Error;

use super::caller::Caller;
use super::resolving::ResolvingFailed;
use crate::base::{regular_file, version};
use crate::build::hooks::Context;
use crate::build::supply::{Extraneous, Supply, WheelSource};
use crate::fetch::{
    Address, Asked, AskedError, FetchControl, FetchFailed, FetchOptions, Fetcher, Hashes, Links,
    PlaceError, Settings, SettingsError,
};
use crate::lock::{
    BYTES_MAX, ChoiceError, Chosen, ChosenSource, Environment, Files, IndexOptions, Kernel, Lock,
    LockError, LockFault, Place, Selection, choose, is_pylock_name, join, read_pylock,
    read_requirements,
};
use crate::resolve::{self, Resolver};
use crate::wheel::Named;
use crate::wheel::distributions::Distribution;
use crate::wheel::download::{Release, Sources};
use crate::wheel::wheelhouse::{Wheelhouse, WheelhouseError};

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
    /// A directory of wheels cannot be listed.
    #[error(transparent)]
    Wheelhouse(#[from] WheelhouseError),
    /// A setting of the index is malformed.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is no cache to fetch into.
    #[error("there is no cache directory to fetch wheels into")]
    NoCache,
    /// A file cannot be asked for.
    #[error(transparent)]
    Asked(#[from] AskedError),
    /// An index cannot be asked.
    #[error("cannot look for `{name}`")]
    Index {
        /// The distribution.
        name: String,
        /// Why.
        #[source]
        source: PlaceError,
    },
    /// No place has a wheel of a release that fits.
    #[error("no wheel of `{name}` {version} that fits is there: {}", found(names))]
    NoWheel {
        /// The distribution.
        name: String,
        /// The version.
        version: String,
        /// The wheels of this release that were found.
        names: Vec<String>,
    },
    /// A wheel cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchFailed),
    /// What is not locked cannot be resolved.
    #[error(transparent)]
    Resolving(#[from] Box<ResolvingFailed>),
}

fn found(names: &[String]) -> String {
    if names.is_empty() {
        return "no place has this release".to_owned();
    }
    let names: Vec<String> = names
        .iter()
        .take(8)
        .map(|name| format!("`{}`", name.escape_debug()))
        .collect();
    format!("there are {}", names.join(", "))
}

impl Caller<'_> {
    /// Adds the wheels of locks to the supplies of a context.
    ///
    /// # Errors
    /// See [`LockedFailed`].
    pub(super) fn supply_locked(
        &self,
        request: &LockRequest,
        sources: &Sources,
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
        let prefix = context.interpreter.executable.ancestors().nth(2);
        let options = FetchOptions {
            allow_hosts: request.allow_hosts.clone(),
            prefix: prefix.map(Path::to_owned),
            keyring: None,
        };
        let settings = Settings::read(&sources, &options, &self.host.surroundings)?;
        let cache = self.host.cache.as_ref().ok_or(LockedFailed::NoCache)?;
        let mut houses = request.wheelhouses.clone();
        houses.extend(settings.find_links.iter().filter_map(|links| match links {
            Links::Local(path) if path.is_dir() => Some(path.clone()),
            Links::Local(_) | Links::Page(_) => None,
        }));
        let wheels = &context.wheels;
        let fetcher = Fetcher::new(cache, settings, &request.wheelhouses, wheels);
        let fetcher = fetcher.at(self.host.now);
        let look = Look {
            environment: &environment,
            houses: &houses,
            fetcher: &fetcher,
        };
        let asked: Vec<Asked> = chosen
            .iter()
            .map(|one| look.asked(one))
            .collect::<Result<_, _>>()?;
        let control = FetchControl {
            interrupted: &|| self.listener.interrupted(),
            progress: &|_| {},
        };
        let files = fetcher.fetch(&asked, &control)?;
        let urls: Vec<Option<String>> = asked
            .iter()
            .map(|one| one.url().and_then(Address::public))
            .collect();
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
        let sources = with_indexes(sources, indexes);
        let mut dependencies = BTreeSet::new();
        if !asked.is_empty() {
            let mut places = sources.clone();
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
        let variable = |name: &str| {
            let mut all = self.host.surroundings.environment.iter();
            let found = all.find(|(key, _)| key == name);
            found.and_then(|(_, value)| value.to_str().map(str::to_owned))
        };
        let files = Files {
            read: &read,
            variable: &variable,
            cwd,
        };
        read_requirements(&path, &files)
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
}

/// Where wheels are looked for: an option of the command counts more than the line of a file.
fn with_indexes(sources: &Sources, indexes: IndexOptions) -> Sources {
    let mut all = sources.clone();
    all.find_links
        .extend(indexes.find_links.into_iter().map(Into::into));
    all.extra_index_urls
        .extend(indexes.extra_index_urls.into_iter().map(Into::into));
    all.no_index |= indexes.no_index;
    all.index_url = all.index_url.or(indexes.index_url.map(Into::into));
    all
}

/// Where the file of a release is looked for.
struct Look<'a> {
    environment: &'a Environment,
    houses: &'a [PathBuf],
    fetcher: &'a Fetcher,
}

impl Look<'_> {
    fn asked(&self, chosen: &Chosen) -> Result<Asked, LockedFailed> {
        match &chosen.source {
            ChosenSource::Wheel { file, .. } => Ok(Asked::of_lock(file)?),
            ChosenSource::Release { hashes } => self.of_release(chosen, &Hashes::from(hashes)),
        }
    }

    /// The best wheel of a release whose hash may be one of these: directories come first.
    fn of_release(&self, chosen: &Chosen, hashes: &Hashes) -> Result<Asked, LockedFailed> {
        let mut seen = Vec::new();
        for house in self.houses {
            let house = Wheelhouse::read(house)?;
            let of_it = house.wheels().iter().filter(|path| is_of(path, chosen));
            let names: Vec<&str> = of_it
                .filter_map(|path| path.file_name()?.to_str())
                .collect();
            let best = self.environment.best_of(names.iter().copied());
            if let Some(name) = best.and_then(|at| names.get(at)) {
                return Ok(Asked::new(name, hashes.clone())?);
            }
            seen.extend(names.into_iter().map(str::to_owned));
        }
        for index in self.fetcher.indexes() {
            let files = index.project(&chosen.name);
            let files = files.map_err(|source| LockedFailed::Index {
                name: chosen.name.clone(),
                source,
            })?;
            let Some(files) = files else { continue };
            // A hash that is asked for and that the page denies belongs to another file.
            let fits = files.iter().filter(|file| {
                is_of(Path::new(&file.name), chosen) && hashes.agree(&file.hashes) != Some(false)
            });
            let fits: Vec<_> = fits.collect();
            let names = fits.iter().map(|file| file.name.as_str());
            if let Some(file) = self.environment.best_of(names).and_then(|at| fits.get(at)) {
                return Ok(file.ask(hashes)?);
            }
            seen.extend(fits.iter().map(|file| file.name.clone()));
        }
        Err(LockedFailed::NoWheel {
            name: chosen.name.clone(),
            version: chosen.version.clone(),
            names: seen,
        })
    }
}

/// Whether a file is a wheel of this release.
pub(super) fn is_of(path: &Path, chosen: &Chosen) -> bool {
    Named::of(path).is_some_and(|named| {
        named.name == chosen.name
            && crate::base::version::compare(&named.version, &chosen.version).is_eq()
    })
}
