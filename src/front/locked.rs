//! Locks in a request: from files to the wheels that a plan installs.
//!
//! Promises to read every lock and to choose from all of them before anything is fetched, and that
//! each file has a hash that its lock names. A file that no place has is an error and no reason to
//! choose another one. Sources of a lock are built only if the caller allows it, before anything is
//! fetched. Without a lock nothing here runs: no setting of pip is read.
//!
//! Read next: `../lock/choose.rs`, which chooses; `../fetch/fetcher.rs`, which gets the files;
//! `building.rs`, which makes wheels of sources.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rvenv_journal::raw::Attestation;
use tempfile::TempDir;

use super::building::{BuildTerms, Order, Origin};
use super::caller::Caller;
use super::fetching::{FetchingFailed, Looked};
pub use super::lock_request::{Builds, LockRequest};
use super::locked_failed::unbuilt;
pub use super::locked_failed::{BuildFailed, BuildFault, LockedFailed};
use super::unchanged;
use crate::backend::Form;
use crate::base::config_settings::ConfigSettings;
use crate::base::{regular_file, version};
use crate::build::hooks::Context;
use crate::build::supply::{Extraneous, Supply, WheelSource};
use crate::fetch::{
    Address, Asked, FetchControl, Fetched, Hashes, NoWheel, Offer, Releases, Wanted,
};
use crate::lock::{
    BYTES_MAX, Chosen, ChosenSource, Environment, Files, IndexOptions, Kernel, Lock, LockError,
    LockFault, Place, Selection, SourceTree, choose, is_pylock_name, join, read_config_settings,
    read_index_options, read_pylock, read_requirements, refuse_sources as refuse_sources_of,
};
use crate::python::printable;
use crate::resolve;
use crate::wheel::distributions::Distribution;
use crate::wheel::{Named, Release, Sources};

/// The file of a project, whose dependencies are resolved (PEP 621).
const PROJECT: &str = "pyproject.toml";

/// The umask of an environment from files of locks: the same lock gives the same modes, whatever
/// the process's own umask is. What was closed to the group or to others stays so
/// (`Mode::no_wider_than`).
const LOCKED_UMASK: u32 = 0o022;

impl Caller<'_> {
    /// Adds the wheels of locks to the supplies of a context.
    ///
    /// # Errors
    /// See [`LockedFailed`].
    pub(super) fn supply_locked(
        &self,
        request: &LockRequest,
        sources: &Sources,
        downloads: &mut Option<TempDir>,
        context: &mut Context,
    ) -> Result<(), LockedFailed> {
        if request.is_empty() {
            return Ok(());
        }
        let environment = Environment::of(&context.interpreter, &Kernel::running());
        let Choice {
            packages,
            sources,
            dependencies,
        } = self.choice(request, sources, &environment, context)?;
        let (there, chosen) = unchanged::split(&context.keepable, packages);
        for one in there {
            let is_dependency = dependencies.contains(&one.chosen.name);
            context.supplies.push(one.supply(is_dependency));
        }
        if !request.files.is_empty() && !context.options.umask_is_of_acl {
            context.options.umask = LOCKED_UMASK;
        }
        context.extraneous = request.extraneous;
        if chosen.is_empty() {
            return Ok(());
        }
        let looked = Looked::of(&sources, request);
        let fetcher = self.fetcher(looked, context, downloads)?;
        let releases = Releases::new(
            &environment,
            &fetcher,
            &context.wheels,
            &request.wheelhouses,
        );
        let releases = releases.map_err(FetchingFailed::from)?;
        let (asked, files) = self.fetch_control(|control| {
            let asked = self.asked(&chosen, &releases, request.builds, control)?;
            let wanted: Vec<Asked> = asked.iter().flatten().cloned().collect();
            let files = fetcher.fetch(&wanted, control);
            let files = files.map_err(FetchingFailed::from)?;
            let both: Vec<_> = wanted.iter().zip(&files).collect();
            let cache = self.host.cache.as_ref();
            let stated = fetcher.attestations(&both, cache, control);
            let stated = stated.map_err(FetchingFailed::from)?;
            let files: Vec<_> = files.into_iter().zip(stated).collect();
            Ok::<_, LockedFailed>((asked, files))
        })?;
        let interpreter = context.interpreter.clone();
        let terms = BuildTerms {
            interpreter: &interpreter,
            environment: &environment,
            request,
            sources: &sources,
        };
        let mut files = files.into_iter();
        for (one, asked) in chosen.into_iter().zip(asked) {
            let file = asked.as_ref().and_then(|_| files.next());
            let is_dependency = dependencies.contains(&one.name);
            let supply = self.supply_of(one, asked, file, terms)?;
            context.supplies.push(Supply {
                is_dependency,
                ..supply
            });
        }
        Ok(())
    }

    /// The wheel of a chosen package, which is fetched or built, and what the plan notes about it.
    fn supply_of(
        &self,
        chosen: Chosen,
        asked: Option<Asked>,
        file: Option<(Fetched, Option<Attestation>)>,
        terms: BuildTerms<'_>,
    ) -> Result<Supply, LockedFailed> {
        let (file, attestation) = file.unzip();
        let wheel = self.wheel_of(&chosen, file.as_ref(), terms)?;
        // What was built is at no URL.
        let is_fetched = file.is_some_and(|file| file.path == wheel);
        let url = asked.filter(|_| is_fetched);
        Ok(Supply {
            wheel,
            url: url.and_then(|asked| asked.url().and_then(Address::public)),
            attestation: attestation.flatten().filter(|_| is_fetched),
            source: WheelSource::Locked,
            is_dependency: false,
            installed: None,
            direct_url: match chosen.source {
                ChosenSource::Wheel { direct, .. } | ChosenSource::Sources { direct, .. } => {
                    direct.map(|direct| direct.text().into())
                }
                ChosenSource::Release { .. } => None::<Arc<str>>,
            },
        })
    }

    /// Whether an interpreter may have to be started: to resolve, or to build.
    pub(super) fn may_start_python(&self, request: &LockRequest) -> bool {
        let cwd = self.host.cwd.as_deref().unwrap_or(Path::new(""));
        let is_resolved = |file: &PathBuf| !is_pylock_name(file) && !has_hashes(&cwd.join(file));
        !request.requirements.is_empty()
            || !request.places.is_empty()
            || request.builds == Builds::All
            || request.files.iter().any(is_resolved)
    }

    /// The file of each package; `None` if its sources are in a directory or a repository. Of a
    /// release, it is the best wheel whose hash the lock has, else its source distribution.
    fn asked(
        &self,
        chosen: &[Chosen],
        releases: &Releases<'_>,
        builds: Builds,
        control: &FetchControl<'_>,
    ) -> Result<Vec<Option<Asked>>, LockedFailed> {
        let wanted: Vec<Wanted> = chosen.iter().filter_map(wanted).collect();
        let found = releases.find(&wanted, control);
        let mut found = found.map_err(FetchingFailed::from)?.into_iter();
        let mut all = Vec::new();
        for one in chosen {
            all.push(match &one.source {
                ChosenSource::Wheel { file, .. } => Some(Asked::of_lock(file)?),
                ChosenSource::Sources { tree, .. } => match &**tree {
                    SourceTree::Archive(archive) => Some(Asked::of_lock(&archive.file)?),
                    SourceTree::Directory { .. } | SourceTree::Repository(_) => None,
                },
                ChosenSource::Release { is_source_only, .. } => {
                    let Some(offer) = found.next() else { continue };
                    let is_sdist = *is_source_only;
                    let offer = match offer {
                        Err(none @ NoWheel::Nowhere { .. }) if !is_sdist => {
                            sdist(one, releases, builds, control)?.ok_or(none)
                        }
                        Ok(_) if is_sdist && builds != Builds::All => {
                            return Err(unbuilt(one, builds));
                        }
                        offer => offer,
                    };
                    let offer = offer.map_err(FetchingFailed::from)?;
                    if let Some(reason) = &offer.yanked {
                        self.listener.warning(&yanked(one, reason));
                    }
                    Some(offer.asked)
                }
            });
        }
        Ok(all)
    }

    /// The wheel of a package: the file that was fetched for it, or one that is built.
    fn wheel_of(
        &self,
        chosen: &Chosen,
        file: Option<&Fetched>,
        terms: BuildTerms<'_>,
    ) -> Result<PathBuf, LockedFailed> {
        let archive = |subdirectory| {
            let file =
                file.expect("what has a file was asked for, and a fetch without an error has it");
            Origin::Archive { file, subdirectory }
        };
        let origin = match (&chosen.source, file) {
            (ChosenSource::Wheel { .. } | ChosenSource::Release { .. }, Some(file))
                if Named::of(&file.path).is_some() =>
            {
                return Ok(file.path.clone());
            }
            (ChosenSource::Wheel { .. } | ChosenSource::Release { .. }, _) => archive(None),
            (ChosenSource::Sources { tree, .. }, _) => match &**tree {
                SourceTree::Archive(of) => archive(of.subdirectory.as_deref()),
                SourceTree::Directory {
                    path,
                    is_editable,
                    subdirectory,
                } => Origin::Directory {
                    path,
                    subdirectory: subdirectory.as_deref(),
                    form: if *is_editable {
                        Form::Editable
                    } else {
                        Form::Wheel
                    },
                },
                SourceTree::Repository(revision) => Origin::Repository(revision),
            },
        };
        let order = Order {
            name: &chosen.name,
            version: &chosen.version,
            origin,
        };
        Ok(self.built(&order, terms).map_err(Box::new)?.path)
    }

    /// What the locks of a request name, and what resolves the rest of it.
    fn choice(
        &self,
        request: &LockRequest,
        sources: &Sources,
        environment: &Environment,
        context: &Context,
    ) -> Result<Choice, LockedFailed> {
        let (mut all, mut indexes) = (Vec::new(), IndexOptions::default());
        let terms = BuildTerms {
            interpreter: &context.interpreter,
            environment,
            request,
            sources,
        };
        let (locks, asked) = self.locks_and_others(context, terms)?;
        for lock in locks {
            for warning in &lock.warnings {
                self.listener.warning(warning);
            }
            let chosen = choose(&lock, environment, &request.selection)?;
            if request.builds != Builds::All {
                refuse_sources(&chosen, request.builds)?;
            }
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
            let lock = self
                .resolve(&asked, request.resolver, &context.interpreter, &places)
                .map_err(Box::new)?;
            let mut chosen = choose(&lock, environment, &Selection::default())?;
            if request.builds == Builds::Nothing {
                refuse_sources(&chosen, request.builds)?;
            }
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
                let of_place = chosen.iter().filter(|one| asked.is_at_place(&one.source));
                let of_place: BTreeSet<&String> = of_place.map(|one| &one.name).collect();
                let is_dependency = |name: &String| {
                    !requested.contains(name) && !is_locked(name) && !of_place.contains(name)
                };
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
        context: &Context,
        terms: BuildTerms<'_>,
    ) -> Result<(Vec<Lock>, resolve::Asked), LockedFailed> {
        let request = terms.request;
        let cwd = self.host.cwd.as_deref().unwrap_or(Path::new(""));
        let mut asked = resolve::Asked {
            requirements: request.requirements.clone(),
            places: request.places.clone(),
            files: Vec::new(),
            installed: context.installed.iter().map(release).collect(),
            sources: request.resolved_sources(),
            config_settings: request.config_settings.clone(),
        };
        let mut locks = Vec::new();
        for file in &request.files {
            let path = cwd.join(file);
            if path.file_name().is_some_and(|name| name == PROJECT) {
                let needs = self.project_needs(&path, &request.selection.extras(), terms);
                asked.requirements.extend(needs.map_err(Box::new)?);
                continue;
            }
            match self.read_lock(file) {
                Ok(lock) => locks.push(lock),
                Err(error) if is_to_resolve(&error.fault) && !has_hashes(&path) => {
                    if request.builds == Builds::Nothing {
                        self.with_files(|files| refuse_sources_of(&path, files))?;
                    }
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

    /// What a requirements file has for the backend of one package; nothing, for other files.
    pub(super) fn line_settings(&self, file: &Path, name: &str) -> ConfigSettings {
        let cwd = self.host.cwd.as_deref().unwrap_or(Path::new(""));
        let path = cwd.join(file);
        if path.extension().is_some_and(|end| end == "toml") {
            return ConfigSettings::default();
        }
        let read = self.with_files(|files| read_config_settings(&path, files));
        read.unwrap_or_default().remove(name).unwrap_or_default()
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
    matches!(
        fault,
        LockFault::Unpinned(_) | LockFault::Unhashed(_) | LockFault::Unlocked { .. }
    )
}

/// Whether a file has a hash: then everything in it must have one, as for pip.
fn has_hashes(path: &Path) -> bool {
    let bytes = read(path).unwrap_or_default();
    bytes.windows(6).any(|part| part == b"--hash")
}

/// Refuses what would have to be built.
fn refuse_sources(chosen: &[Chosen], builds: Builds) -> Result<(), LockedFailed> {
    let is_built = |one: &&Chosen| matches!(one.source, ChosenSource::Sources { .. });
    match chosen.iter().find(is_built) {
        Some(one) => Err(unbuilt(one, builds)),
        None => Ok(()),
    }
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
        } | ChosenSource::Sources {
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
    let ChosenSource::Release {
        hashes,
        is_source_only,
    } = &chosen.source
    else {
        return None;
    };
    let release = Release {
        name: chosen.name.clone(),
        version: chosen.version.clone(),
    };
    let wanted = Wanted::exactly(&release).with_hashes(Hashes::from(hashes));
    Some(if *is_source_only {
        wanted.as_sdist()
    } else {
        wanted
    })
}

/// The source distribution of a release without a wheel that fits, if it may be built.
fn sdist(
    chosen: &Chosen,
    releases: &Releases<'_>,
    builds: Builds,
    control: &FetchControl<'_>,
) -> Result<Option<Offer>, LockedFailed> {
    let wanted: Vec<Wanted> = wanted(chosen).map(Wanted::as_sdist).into_iter().collect();
    let found = releases.find(&wanted, control);
    let found = found.map_err(FetchingFailed::from)?.pop();
    match found.and_then(Result::ok) {
        Some(_) if builds != Builds::All => Err(unbuilt(chosen, builds)),
        found => Ok(found),
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
