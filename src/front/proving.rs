//! Proving that an environment has what locks name: reads the locks, chooses from them for the
//! environment's own interpreter, and finds the wheels on this machine.
//!
//! Promises to write nothing, to open no connection, and to start no program that only the target
//! names. A package counts as proved only by the bytes of a wheel with a hash of the lock; if no
//! such wheel is on this machine, the answer says so.
//!
//! Read next: `../change/verify/lock_proof.rs`, which compares; `../fetch/at_hand.rs`, which finds
//! the wheels.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rvenv_journal::Digest;
use rvenv_journal::fs::Dir;

use super::caller::Caller;
use super::fetching::FetchingFailed;
use super::locked::is_of;
use super::locked_failed::LockedFailed;
use super::request::{AskedPython, RequestFailed};
use crate::base::one_line::one_line;
use crate::base::version;
use crate::build::hooks::{self, Context};
use crate::build::options::Options;
use crate::change::existing::{Existing, ExistingError};
use crate::change::merge::is_seed;
use crate::change::verify::{Extra, PackageProof, Proof, Subject, Verdict};
use crate::fetch::{Asked, AtHand, FetchFailed, Fetched, Hashes, PlaceError};
use crate::lock::{Chosen, ChosenSource, Environment, Kernel, Selection, choose, join};
use crate::python::{Interpreter, Purpose, Request};
use crate::wheel::Catalogue;
use crate::wheel::distributions::Distribution;
use crate::wheel::wheelhouse::Wheelhouse;

/// Which environment is compared with which locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofRequest {
    /// The absolute path of the environment, as [`Host::env_dir`](super::host::Host::env_dir) reads
    /// it.
    pub env_dir: String,
    /// The interpreter; by default, the environment's own.
    pub python: Request,
    /// The locks: `pylock.toml` or hashed requirements files.
    pub files: Vec<PathBuf>,
    /// The extras and dependency groups.
    pub selection: Selection,
    /// Directories of wheels, besides the cache.
    pub wheelhouses: Vec<PathBuf>,
}

impl Caller<'_> {
    /// Compares an environment with locks.
    ///
    /// # Errors
    /// See [`RequestFailed`]; a difference is no error.
    pub fn prove(&self, request: &ProofRequest) -> Result<Proof, RequestFailed> {
        let (root, path) = self.open_existing(Path::new(&request.env_dir))?;
        let existing = Existing::read(self.fs, &root, &path)?;
        let interpreter = self.own_interpreter(request, &existing)?;
        let environment = Environment::of(&interpreter, &Kernel::running());
        let chosen = self.chosen(request, &environment).map_err(Box::new)?;
        // Scripts name the path by which the environment was created: this one, or the real one.
        let mut places = vec![request.env_dir.clone()];
        places.extend(
            path.to_str()
                .filter(|real| *real != request.env_dir)
                .map(str::to_owned),
        );
        let options = existing.choices().over(Options::default());
        let contexts = places.into_iter().map(|place| {
            let mut context = self.context(&place, interpreter.clone(), options.clone())?;
            context.wheels = Catalogue::default();
            Ok(context)
        });
        let contexts: Vec<Context> = contexts.collect::<Result<_, RequestFailed>>()?;
        let bench = Bench {
            caller: self,
            root: &root,
            existing: &existing,
            contexts: &contexts,
            wheels: Wheels {
                environment: &environment,
                at_hand: &AtHand::new(self.host.cache.as_ref(), &request.wheelhouses),
                is_stopped: &|| self.listener.interrupted(),
            },
        };
        let extraneous = bench.extraneous(&chosen);
        let packages = chosen.into_iter().map(|one| {
            let verdict = bench.verdict(&one)?;
            let mut version = one.version;
            if version.is_empty() {
                // Only the build of its sources told it.
                let mut found = bench
                    .installed()
                    .filter(|(_, found)| found.name == one.name);
                version = found
                    .next()
                    .map_or(version, |(_, found)| found.version.clone());
            }
            Ok(PackageProof {
                name: one.name,
                version,
                place: one.place,
                verdict,
            })
        });
        let packages = packages.collect::<Result<_, RequestFailed>>()?;
        Ok(Proof {
            path,
            packages,
            extraneous,
        })
    }

    /// The digests of the wheels that locks name for the installed distributions, by the names and
    /// versions of these. Where a lock has several for one release, the wheel must be on this
    /// machine.
    ///
    /// # Errors
    /// See [`RequestFailed`].
    pub fn locked_digests(
        &self,
        request: &ProofRequest,
    ) -> Result<BTreeMap<(String, String), Digest>, RequestFailed> {
        let (root, path) = self.open_existing(Path::new(&request.env_dir))?;
        let existing = Existing::read(self.fs, &root, &path)?;
        let interpreter = self.own_interpreter(request, &existing)?;
        let environment = Environment::of(&interpreter, &Kernel::running());
        let chosen = self.chosen(request, &environment).map_err(Box::new)?;
        let wheels = Wheels {
            environment: &environment,
            at_hand: &AtHand::new(self.host.cache.as_ref(), &request.wheelhouses),
            is_stopped: &|| self.listener.interrupted(),
        };
        let digest = |one: &Chosen| {
            let hashes = match &one.source {
                ChosenSource::Wheel { file, .. } => &file.hashes,
                ChosenSource::Release { hashes, .. } => hashes,
                // The wheel is built, and no lock has its hash.
                ChosenSource::Sources { .. } => return None,
            };
            let only = hashes.sha256().and_then(|text| Digest::parse(text).ok());
            let found = || wheels.of(one).ok().flatten().map(|wheel| wheel.sha256);
            only.or_else(found)
        };
        let installed = existing.libs.iter().flat_map(|lib| &lib.distributions);
        let known = installed.filter_map(|found| {
            let mut chosen = chosen.iter().filter(|one| one.name == found.name);
            let same = chosen.find(|one| version::compare(&one.version, &found.version).is_eq())?;
            Some(((found.name.clone(), found.version.clone()), digest(same)?))
        });
        Ok(known.collect())
    }

    /// The interpreter that the caller names, else the environment's own.
    fn own_interpreter(
        &self,
        request: &ProofRequest,
        existing: &Existing,
    ) -> Result<Interpreter, RequestFailed> {
        let env_dir = Path::new(&request.env_dir);
        Ok(if request.python == Request::Default {
            self.base_of(existing, env_dir, Purpose::Show)?
        } else {
            self.find(&AskedPython::named(&request.python), env_dir)?
        })
    }

    /// What the locks name for an interpreter. A directory of wheels that does not exist is an
    /// error.
    fn chosen(
        &self,
        request: &ProofRequest,
        environment: &Environment,
    ) -> Result<Vec<Chosen>, LockedFailed> {
        for house in &request.wheelhouses {
            Wheelhouse::read(house).map_err(FetchingFailed::from)?;
        }
        let mut all = Vec::new();
        for file in &request.files {
            let lock = self.read_lock(file)?;
            for warning in &lock.warnings {
                self.listener.warning(warning);
            }
            let chosen = choose(&lock, environment, &request.selection)?;
            all.push((lock.path, chosen));
        }
        Ok(join(all)?)
    }
}

/// An environment, and where the wheels of locks are looked for.
struct Bench<'a> {
    caller: &'a Caller<'a>,
    root: &'a Dir,
    existing: &'a Existing,
    /// One for each path by which the environment may have been created.
    contexts: &'a [Context],
    wheels: Wheels<'a>,
}

/// The wheels on this machine, for one interpreter.
struct Wheels<'a> {
    environment: &'a Environment,
    at_hand: &'a AtHand,
    is_stopped: &'a dyn Fn() -> bool,
}

impl Bench<'_> {
    /// The distributions that its interpreter imports, each with its directory of packages.
    fn installed(&self) -> impl Iterator<Item = (&str, &Distribution)> {
        let own = self.existing.libs.iter().filter(|lib| {
            let mut layouts = self.contexts.iter().map(|context| &context.layout);
            layouts.any(|layout| lib.path == layout.lib_path || lib.path == layout.platlib_path)
        });
        own.flat_map(|lib| {
            let all = lib.distributions.iter();
            all.map(|distribution| (lib.path.as_str(), distribution))
        })
    }

    fn extraneous(&self, chosen: &[Chosen]) -> Vec<Extra> {
        let is_named = |found: &Distribution| chosen.iter().any(|one| one.name == found.name);
        let others = self.installed().filter(|(_, found)| !is_named(found));
        others
            .map(|(_, found)| Extra {
                distribution: found.clone(),
                is_seed: is_seed(&found.name),
            })
            .collect()
    }

    fn verdict(&self, chosen: &Chosen) -> Result<Verdict, RequestFailed> {
        let of_name = self
            .installed()
            .filter(|(_, found)| found.name == chosen.name);
        let of_name: Vec<_> = of_name.collect();
        let (site_packages, distribution) = match of_name.as_slice() {
            [] => return Ok(Verdict::Absent),
            [one] if chosen.version.is_empty() => *one,
            [one] if version::compare(&one.1.version, &chosen.version).is_eq() => *one,
            others => {
                let versions = others.iter().map(|(_, found)| found.version.clone());
                return Ok(Verdict::OtherVersion(versions.collect()));
            }
        };
        let wheel = match self.wheels.of(chosen) {
            Ok(Some(wheel)) => wheel,
            Ok(None) => {
                return Ok(match chosen.source {
                    ChosenSource::Sources { .. } => Verdict::OfSources,
                    ChosenSource::Wheel { .. } | ChosenSource::Release { .. } => {
                        let reason = "no wheel with a hash of the lock is on this machine";
                        Verdict::NotProvable(reason.to_owned())
                    }
                });
            }
            Err(PlaceError::Interrupted) => {
                return Err(Box::new(LockedFailed::from(FetchingFailed::from(
                    FetchFailed::Interrupted,
                )))
                .into());
            }
            Err(error) => return Ok(Verdict::NotProvable(one_line(&error))),
        };
        let mut plans = Vec::new();
        for context in self.contexts {
            match hooks::plan_locked(context, &wheel.path) {
                Ok(plan) => plans.push(plan),
                Err(error) => return Ok(Verdict::NotProvable(one_line(&error))),
            }
        }
        let read = |plan: &rvenv_journal::PlanBuilder| {
            let mut inputs = plan.inputs().iter();
            inputs.all(|input| input.digest == wheel.sha256)
        };
        if !plans.iter().all(read) {
            let why = "the wheel was replaced while it was read";
            return Ok(Verdict::NotProvable(why.to_owned()));
        }
        let subject = Subject {
            fs: self.caller.fs,
            root: self.root,
            site_packages,
            distribution,
        };
        let files = subject
            .compare(&plans)
            .map_err(|source| ExistingError::Disk {
                path: self.existing.path.clone(),
                source,
            })?;
        Ok(Verdict::Compared {
            wheel: wheel.path,
            sha256: wheel.sha256,
            files,
        })
    }
}

impl Wheels<'_> {
    /// The wheel of a package on this machine, if it has a hash of the lock.
    fn of(&self, chosen: &Chosen) -> Result<Option<Fetched>, PlaceError> {
        let hashes = match &chosen.source {
            ChosenSource::Wheel { file, .. } => {
                return match Asked::of_lock(file) {
                    Ok(asked) => self.at_hand.find(&asked, self.is_stopped),
                    // Its URL is malformed, and nothing could have been fetched from there.
                    Err(_) => Ok(None),
                };
            }
            ChosenSource::Release { hashes, .. } => Hashes::from(hashes),
            ChosenSource::Sources { .. } => return Ok(None),
        };
        let mut fits = Vec::new();
        let mut first = None;
        for (name, hashes) in self.at_hand.candidates(&hashes)? {
            if !is_of(Path::new(&name), chosen) {
                continue;
            }
            let Ok(asked) = Asked::new(&name, hashes) else {
                continue;
            };
            match self.at_hand.find(&asked, self.is_stopped) {
                Ok(found) => fits.extend(found.map(|file| (name, file))),
                Err(PlaceError::Interrupted) => return Err(PlaceError::Interrupted),
                Err(error) => first = first.or(Some(error)),
            }
        }
        let names = fits.iter().map(|(name, _)| name.as_str());
        match self.environment.best_of(names) {
            Some(best) => Ok(fits.into_iter().nth(best).map(|(_, file)| file)),
            None => first.map_or(Ok(None), Err),
        }
    }
}
