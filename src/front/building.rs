//! Building for a caller: sources become a wheel in the cache, in an environment that rvenv itself
//! creates for the build (a *build frontend*: PEP 517, 518, 660).
//!
//! Promises:
//! - What a backend needs is resolved and fetched as everything else is, with the same indexes.
//! - The environment of a build has nothing else in it, and its files are copies, so that a backend
//!   that writes into them changes no other environment.
//! - The wheel is the one that the name and the version of the sources promise, and fits the
//!   interpreter.
//! - What was built of an archive or a commit is built once for each kind of interpreter and all
//!   settings of the backend: a note has the digest of the wheel. A directory is built each time.
//!
//! On disk: what `../backend.rs` says, with what a crash leaves after each step.
//! Read next: `../backend.rs`; `locked.rs`, the caller.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rvenv_journal::{Digest, Durability, LinkMode, Retention};

use super::caller::{Caller, RunTerms};
use super::lock_request::LockRequest;
use super::locked_failed::{BuildFailed, BuildFault};
use crate::backend::{
    BuildSystem, Built, Checkout, Form, Frontend, Workshop, WorkshopFailed, unpack,
};
use crate::base::cache::Cache;
use crate::base::config_settings::ConfigSettings;
use crate::base::version;
use crate::build::checks::EnvAt;
use crate::build::hooks::Venv;
use crate::build::options::Options;
use crate::build::supply::WheelSource;
use crate::change::environment;
use crate::fetch::{Asked, AtHand, FetchOptions, Fetched, Hashes, Settings, SettingsError, keep};
use crate::lock::{Environment, Revision};
use crate::python::{Interpreter, printable, shown};
use crate::wheel::{Named, Sources, Wheel};

/// The earliest time that a zip archive can have.
const ZIP_EPOCH: i64 = 315_532_800;

/// Sources of which a wheel is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order<'a> {
    /// Empty if only the build tells it.
    pub(super) name: &'a str,
    /// Empty if only the build tells it.
    pub(super) version: &'a str,
    pub(super) origin: Origin<'a>,
}

/// Where sources are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin<'a> {
    /// An archive on this machine, with its digest.
    Archive {
        file: &'a Fetched,
        subdirectory: Option<&'a str>,
    },
    Directory {
        path: &'a Path,
        subdirectory: Option<&'a str>,
        form: Form,
    },
    Repository(&'a Revision),
}

/// For whom something is built, and where what a build needs comes from.
#[derive(Clone, Copy)]
pub(super) struct BuildTerms<'a> {
    pub(super) interpreter: &'a Interpreter,
    pub(super) environment: &'a Environment,
    pub(super) request: &'a LockRequest,
    pub(super) sources: &'a Sources,
}

/// The project to build, and when it was made.
struct Project {
    dir: PathBuf,
    epoch: Option<i64>,
}

/// Where a project is built, and the settings of its backend.
#[derive(Clone, Copy)]
struct Site<'a> {
    project: &'a Project,
    workshop: &'a Workshop,
    settings: &'a ConfigSettings,
}

impl Caller<'_> {
    /// The wheel of these sources: the one that was built before, or a new one.
    ///
    /// # Errors
    /// See [`BuildFailed`].
    ///
    /// # Crash
    /// As `../backend.rs` says: nothing is left that the next run uses, except whole wheels.
    pub(super) fn built(
        &self,
        order: &Order<'_>,
        terms: BuildTerms<'_>,
    ) -> Result<Fetched, BuildFailed> {
        self.build(order, terms).map_err(|fault| BuildFailed {
            what: order.what(),
            fault,
        })
    }

    /// The METADATA of the project in a directory, by its backend: what it prepares, or that of
    /// the wheel that it builds.
    ///
    /// # Errors
    /// See [`BuildFailed`].
    ///
    /// # Crash
    /// As for [`Caller::built`].
    pub(super) fn metadata(
        &self,
        order: &Order<'_>,
        terms: BuildTerms<'_>,
    ) -> Result<String, BuildFailed> {
        let made = || {
            let (cache, settings) = self.begin(order, terms)?;
            let key = format!("metadata {}", order.key(terms.environment, &settings));
            let workshop = self.workshop(cache, order, &key)?;
            self.listener.building(&order.metadata());
            let site = Site {
                project: &self.project(&order.origin, &workshop)?,
                workshop: &workshop,
                settings: &settings,
            };
            let (made, ..) = self.by_backend(order, site, terms, |frontend, into| {
                Ok(match frontend.metadata(into)? {
                    Some(text) => text,
                    None => Wheel::open(&frontend.build(Form::Wheel, into)?)?.core_metadata()?,
                })
            })?;
            Ok(made)
        };
        made().map_err(|fault| BuildFailed {
            what: order.metadata(),
            fault,
        })
    }

    /// What every build needs: no circle, a cache, and the settings of the backend.
    fn begin(
        &self,
        order: &Order<'_>,
        terms: BuildTerms<'_>,
    ) -> Result<(&Cache, ConfigSettings), BuildFault> {
        let chain = &terms.request.for_build_of;
        if chain.iter().any(|name| name == order.name) {
            let chain = chain.join(", which needs ");
            return Err(BuildFault::Circle(format!(
                "{chain}, which needs {}",
                order.name
            )));
        }
        let cache = self.host.cache.as_ref().ok_or(BuildFault::NoCache)?;
        Ok((cache, self.config_settings(order, terms)?))
    }

    fn workshop(
        &self,
        cache: &Cache,
        order: &Order<'_>,
        key: &str,
    ) -> Result<Workshop, WorkshopFailed> {
        let is_stopped = || self.listener.interrupted();
        let waiting = || {
            let what = order.what();
            let holder = format!("another process, which builds {what}");
            self.listener.waiting(&holder);
        };
        Workshop::open(cache, Digest::of(key.as_bytes()), &is_stopped, &waiting)
    }

    fn build(&self, order: &Order<'_>, terms: BuildTerms<'_>) -> Result<Fetched, BuildFault> {
        let (cache, settings) = self.begin(order, terms)?;
        let key = order.key(terms.environment, &settings);
        if let Some(found) = self.built_before(cache, order, &key) {
            return Ok(found);
        }
        let is_stopped = || self.listener.interrupted();
        let workshop = self.workshop(cache, order, &key)?;
        // Another process may have built it meanwhile.
        if let Some(found) = self.built_before(cache, order, &key) {
            return Ok(found);
        }
        self.listener.building(&order.what());
        let project = self.project(&order.origin, &workshop)?;
        let site = Site {
            project: &project,
            workshop: &workshop,
            settings: &settings,
        };
        let form = order.origin.form();
        let (wheel, system, requires) = self.by_backend(order, site, terms, |frontend, into| {
            Ok(frontend.build(form, into)?)
        })?;
        check(&wheel, order, terms.environment)?;
        let kept = keep(cache, self.host.now, &wheel, &is_stopped)?;
        let kept = kept.ok_or(BuildFault::Interrupted)?;
        if order.is_fixed() {
            let name = wheel.file_name().unwrap_or_default().to_string_lossy();
            let mut built = Built::new(key, name.into_owned(), kept.sha256);
            built.backend = system.backend;
            built.requires = requires;
            built.note(cache);
        }
        Ok(kept)
    }

    /// What backends are told: what pip's configuration has, then what the caller typed; what the
    /// line of a requirements file has counts in place of both. What a build needs is built without
    /// any of it.
    fn config_settings(
        &self,
        order: &Order<'_>,
        terms: BuildTerms<'_>,
    ) -> Result<ConfigSettings, SettingsError> {
        if !terms.request.for_build_of.is_empty() {
            return Ok(ConfigSettings::default());
        }
        let prefix = terms.interpreter.executable.ancestors().nth(2);
        let options = FetchOptions {
            prefix: prefix.map(Path::to_owned),
            ..FetchOptions::default()
        };
        let around = &self.host.surroundings;
        let mut settings = Settings::read(terms.sources, &options, around)?.config_settings;
        settings.extend(terms.request.config_settings.all());
        for file in &terms.request.files {
            settings.replace(self.line_settings(file, order.name));
        }
        Ok(settings)
    }

    /// The wheel that was built of the same sources, if it is still in the cache.
    fn built_before(&self, cache: &Cache, order: &Order<'_>, key: &str) -> Option<Fetched> {
        let built = Built::find(cache, key).filter(|_| order.is_fixed())?;
        let digits = built.digest()?.to_string();
        let asked = Asked::new(&built.wheel, Hashes::of([("sha256", digits.as_str())])).ok()?;
        let is_stopped = || self.listener.interrupted();
        let found = AtHand::new(Some(cache), &[]).find(&asked, &is_stopped);
        found.ok().flatten()
    }

    /// Brings the sources into the workshop, unless they are a directory.
    fn project(&self, origin: &Origin<'_>, workshop: &Workshop) -> Result<Project, BuildFault> {
        let is_stopped = || self.listener.interrupted();
        let (top, subdirectory, epoch) = match origin {
            Origin::Archive { file, subdirectory } => {
                let into = workshop.make("source")?;
                let unpacked = unpack(&file.path, file.sha256, &into, &is_stopped)?;
                (unpacked.root, *subdirectory, unpacked.newest)
            }
            Origin::Directory {
                path, subdirectory, ..
            } => ((*path).to_owned(), *subdirectory, None),
            Origin::Repository(revision) => {
                let into = workshop.path().join("source");
                let checked_out = self.with_control(|control| {
                    let checkout = Checkout {
                        revision,
                        into: &into,
                        around: &self.host.surroundings,
                        control,
                    };
                    checkout.run()
                })?;
                let subdirectory = revision.subdirectory.as_deref();
                (into, subdirectory, checked_out.committed)
            }
        };
        let dir = match subdirectory {
            Some(inner) => {
                below(&top, inner).ok_or_else(|| BuildFault::Subdirectory(printable(inner)))?
            }
            None => top,
        };
        let epoch = epoch.map(|seconds| seconds.max(ZIP_EPOCH));
        Ok(Project { dir, epoch })
    }

    /// Lets the backend do its work in a directory; returns what it needed too.
    fn by_backend<T>(
        &self,
        order: &Order<'_>,
        site: Site<'_>,
        terms: BuildTerms<'_>,
        work: impl FnOnce(&Frontend<'_>, &Path) -> Result<T, BuildFault>,
    ) -> Result<(T, BuildSystem, Vec<String>), BuildFault> {
        let Site {
            project, workshop, ..
        } = site;
        let system = BuildSystem::read(&project.dir)?;
        let (into, _tmp) = (workshop.make("wheel")?, workshop.make("tmp")?);
        let mut request = LockRequest {
            requirements: system.requires.clone(),
            for_build_of: terms.request.for_build_of.clone(),
            wheelhouses: terms.request.wheelhouses.clone(),
            allow_hosts: terms.request.allow_hosts.clone(),
            resolver: terms.request.resolver,
            builds: terms.request.builds,
            ..LockRequest::default()
        };
        request.for_build_of.push(order.name.to_owned());
        let (env, mut needed) = self.build_env(workshop, &request, terms)?;
        let form = order.origin.form();
        self.with_control(|control| {
            let frontend = Frontend {
                source: &project.dir,
                system: &system,
                python: &env.python,
                bin: &env.bin,
                scratch: workshop.path(),
                epoch: project.epoch,
                settings: site.settings,
                around: &self.host.surroundings,
                control,
            };
            let more = frontend.get_requires(form)?;
            let known: BTreeSet<&String> = system.requires.iter().collect();
            if more.iter().any(|one| !known.contains(one)) {
                request.requirements.extend(more);
                (_, needed) = self.build_env(workshop, &request, terms)?;
            }
            let made = work(&frontend, &into)?;
            Ok((made, system.clone(), needed))
        })
    }

    /// Creates the environment of a build, or adds to it; returns what was installed too.
    fn build_env(
        &self,
        workshop: &Workshop,
        request: &LockRequest,
        terms: BuildTerms<'_>,
    ) -> Result<(EnvAt, Vec<String>), BuildFault> {
        let env_dir = workshop.path().join("env").to_string_lossy().into_owned();
        let options = Options {
            with_pip: false,
            scm_ignore_files: BTreeSet::new(),
            ..Options::default()
        };
        let mut context = self
            .context(&env_dir, terms.interpreter.clone(), options)
            .map_err(|failed| BuildFault::Plan(Box::new(failed)))?;
        // What is fetched is in the cache: without one, nothing is built.
        let mut downloads = None;
        self.supply_locked(request, terms.sources, &mut downloads, &mut context)
            .map_err(|failed| {
                let requires = request.requirements.join(", ");
                BuildFault::Requires(printable(&requires), Box::new(failed))
            })?;
        let needed = context.supplies.iter();
        let needed = needed.filter(|supply| supply.source == WheelSource::Locked);
        let needed = needed.filter_map(|supply| Named::of(&supply.wheel));
        let needed = needed.map(|one| format!("{}=={}", one.name, one.version));
        let needed = needed.collect();
        let run_terms = RunTerms {
            // It is deleted in any case after a power cut.
            durability: Durability::Process,
            // A backend may write into its files, which must not be those of the store.
            link_mode: LinkMode::Reflink,
            retention: Some(Retention::Discard),
            ..RunTerms::default()
        };
        self.run(&run_terms, |run| environment::create(run, &Venv, &context))
            .map_err(|failed| BuildFault::Create(Box::new(failed)))?;
        let env = EnvAt::of(Path::new(&env_dir), &context.layout);
        Ok((env, needed))
    }
}

impl Order<'_> {
    /// The package in a message.
    fn what(&self) -> String {
        let version = printable(self.version);
        match (self.version, &self.origin) {
            ("", Origin::Directory { path, .. }) if self.name.is_empty() => {
                format!("the project in `{}`", shown(path))
            }
            ("", Origin::Directory { path, .. }) => format!("`{}` in `{}`", self.name, shown(path)),
            ("", _) => format!("`{}`", self.name),
            _ => format!("`{}` {version}", self.name),
        }
    }

    /// Its metadata in a message.
    fn metadata(&self) -> String {
        format!("the metadata of {}", self.what())
    }

    /// Whether the sources cannot change.
    fn is_fixed(&self) -> bool {
        !matches!(self.origin, Origin::Directory { .. })
    }

    /// What decides which wheel is built: the sources, the kind of interpreter, and the settings of
    /// the backend.
    fn key(&self, environment: &Environment, settings: &ConfigSettings) -> String {
        let sources = match &self.origin {
            Origin::Archive { file, subdirectory } => {
                let inner = subdirectory.unwrap_or_default();
                format!("sha256:{}#{inner}", file.sha256)
            }
            Origin::Directory {
                path, subdirectory, ..
            } => format!("{}#{}", path.display(), subdirectory.unwrap_or_default()),
            Origin::Repository(revision) => {
                let inner = revision.subdirectory.as_deref().unwrap_or_default();
                format!("{}:{}#{inner}", revision.kind, revision.commit)
            }
        };
        let kind = environment.kind();
        if settings.is_empty() {
            return format!("{sources} {kind}");
        }
        format!("{sources} {kind} {}", settings.to_json())
    }
}

impl Origin<'_> {
    fn form(&self) -> Form {
        match self {
            Self::Directory { form, .. } => *form,
            Self::Archive { .. } | Self::Repository(_) => Form::Wheel,
        }
    }
}

/// A directory below another one, which a lock names; `None` if it is not there or not below.
fn below(top: &Path, inner: &str) -> Option<PathBuf> {
    let real = top.join(inner).canonicalize().ok()?;
    let top = top.canonicalize().ok()?;
    (real.is_dir() && real.starts_with(top)).then_some(real)
}

/// Checks that a wheel is the one that was ordered.
fn check(path: &Path, order: &Order<'_>, environment: &Environment) -> Result<(), BuildFault> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let other = |why: String| BuildFault::Other {
        wheel: printable(&name),
        why,
    };
    let named = Named::of(path).ok_or_else(|| other("is not the name of a wheel".to_owned()))?;
    let is_version =
        order.version.is_empty() || version::compare(&named.version, order.version).is_eq();
    if named.name != order.name || !is_version {
        let version = printable(order.version);
        return Err(other(format!("is not `{}` {version}", order.name)));
    }
    if environment.best_of([&*name]).is_none() {
        return Err(other("is for another interpreter".to_owned()));
    }
    // Its METADATA must say the same as its name.
    Wheel::open(path)?;
    Ok(())
}
