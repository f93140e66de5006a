//! A saved plan on the machine that applies it: its interpreter is checked, and its wheels are
//! found by their digests.
//!
//! Promises that a wheel comes from the first of these places that has its bytes: the path in the
//! plan, the store, the cache, a wheelhouse, the URL in the plan, what `find-links` names, an
//! index. The host of the URL must be allowed here, since a plan is no reason to ask a server.
//! Writes only to the cache, starts nothing, and asks no server if everything is on this machine.
//!
//! Read next: `rebuilding.rs`, a saved plan for another path; `../fetch/fetcher.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rvenv_journal::fs::FsError;
use rvenv_journal::raw::Input;
use rvenv_journal::{Digest, Plan};
use thiserror::Error;

use super::caller::Caller;
use super::plan_note::{Note, interpreter_of, wheels_of};
use crate::change::provision::{Known, Provision, StoreAccess};
use crate::fetch::{
    Address, Asked, AskedError, FetchFailed, FetchOptions, Fetcher, Hashes, Repository, Settings,
    SettingsError,
};
use crate::python::{self, shown};
use crate::wheel::Catalogue;
use crate::wheel::Sources;

/// Where the wheels of a saved plan may be, besides the places that the plan names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WheelPlaces {
    /// Directories of wheels, which are asked first.
    pub wheelhouses: Vec<PathBuf>,
    /// Indexes and pages.
    pub sources: Sources,
    /// More hosts that files may come from.
    pub allow_hosts: Vec<String>,
}

impl WheelPlaces {
    /// The same places and a repository, which is asked after those of `--from`.
    #[must_use]
    pub fn with_repository(&self, repository: &Repository) -> Self {
        let mut places = self.clone();
        places.sources.from.push(repository.to_string());
        places
    }
}

/// What the wheels of a saved plan are needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Their members: the store is enough.
    Members,
    /// The files themselves.
    Files,
}

/// Why a saved plan cannot be applied on this machine.
#[derive(Debug, Error)]
pub enum UnsuitedPlan {
    /// The interpreter is another one.
    #[error("the plan is for {planned}, {why}")]
    Interpreter {
        /// Its path, and its version if the plan names it.
        planned: String,
        /// What is there, as a clause.
        why: String,
    },
    /// A wheel is nowhere.
    #[error("the plan needs the wheel `{file}` with the sha256 digest {digest}{}", other(at.as_deref()))]
    Wheel {
        /// The name of its file.
        file: String,
        /// Its digest.
        digest: Digest,
        /// Another file at the path where the plan found it.
        at: Option<PathBuf>,
        /// Why it could not be had.
        source: Box<FetchFailed>,
    },
    /// The fetcher failed for another reason.
    #[error(transparent)]
    Fetch(FetchFailed),
    /// There is no cache to fetch into.
    #[error("there is no cache directory to fetch wheels into")]
    NoCache,
    /// A setting of the index is malformed.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The name of a wheel in the plan is not the name of a file.
    #[error(transparent)]
    Asked(#[from] AskedError),
}

fn other(at: Option<&Path>) -> String {
    let text = at.map(|path| format!("; the file `{}` is another one", shown(path)));
    text.unwrap_or_default()
}

impl Caller<'_> {
    /// Checks that the interpreter of a plan is the one at its path.
    ///
    /// What is remembered about it counts too, so that a version that changed beside an unchanged
    /// executable is noticed.
    ///
    /// # Errors
    /// [`UnsuitedPlan::Interpreter`].
    pub fn check_interpreter(&self, plan: &Plan) -> Result<(), UnsuitedPlan> {
        let Some(input) = interpreter_of(plan) else {
            return Ok(());
        };
        let version = plan.request().and_then(Note::read).map(|note| note.python);
        let path = Path::new(&input.path);
        let known = python::remembered(path, &self.host.surroundings);
        let found = match &known {
            Some(known) => Ok((known.executable_digest, known.executable_len)),
            None => self.fs.digest_path(path),
        };
        let why = match (found, &version, known) {
            (Err(error), ..) => absent(&error),
            (Ok((digest, len)), ..) if digest != input.digest || len != input.len => {
                "and the file at this path is another one".to_owned()
            }
            (Ok(_), Some(planned), Some(known)) if known.version.text != *planned => {
                format!("and at this path is Python {}", known.version.text)
            }
            (Ok(_), ..) => return Ok(()),
        };
        let version = version.map(|version| format!(" (Python {version})"));
        Err(UnsuitedPlan::Interpreter {
            planned: format!(
                "the interpreter `{}`{}",
                shown(path),
                version.unwrap_or_default().escape_debug()
            ),
            why,
        })
    }

    /// Finds the wheels of a plan, and returns the plan with where they are.
    ///
    /// # Errors
    /// See [`UnsuitedPlan`].
    pub fn find_wheels(
        &self,
        plan: &Plan,
        from: &WheelPlaces,
        need: Need,
    ) -> Result<Plan, UnsuitedPlan> {
        let catalogue = Catalogue::new(self.host.cache.as_ref());
        let mut missing = self.not_at_hand(plan, &catalogue, need);
        let mut seen = BTreeSet::new();
        missing.retain(|input| seen.insert(input.digest));
        if missing.is_empty() {
            return Ok(plan.clone());
        }
        let cache = self.host.cache.as_ref().ok_or(UnsuitedPlan::NoCache)?;
        let prefix =
            interpreter_of(plan).and_then(|input| Path::new(&input.path).ancestors().nth(2));
        let options = FetchOptions {
            allow_hosts: from.allow_hosts.clone(),
            prefix: prefix.map(Path::to_owned),
            keyring: None,
        };
        let settings = Settings::read(&from.sources, &options, &self.host.surroundings)?;
        let fetcher = Fetcher::new(cache, settings, &from.wheelhouses, &catalogue);
        let fetcher = fetcher.at(self.host.now);
        let asked: Vec<Asked> = missing.iter().map(asked).collect::<Result<_, _>>()?;
        let files = self.fetch_control(|control| fetcher.fetch(&asked, control));
        let files = files.map_err(|failed| of_fetch(failed, &missing))?;
        let places = missing.iter().zip(files);
        let places = places.map(|(input, file)| {
            let path = file.path.to_string_lossy().into_owned();
            (input.digest, path)
        });
        Ok(plan.found_at(&places.collect::<BTreeMap<_, _>>()))
    }

    /// The wheels of a plan that are neither where it found them nor, if that is enough, in the
    /// store.
    fn not_at_hand(&self, plan: &Plan, catalogue: &Catalogue, need: Need) -> Vec<Input> {
        let store_access = StoreAccess {
            fs: self.fs,
            cache: self.host.cache.as_ref(),
        };
        let known = Known::of_saved(catalogue, None);
        let wheels: Vec<Input> = match need {
            Need::Members => {
                let provision = Provision::new(store_access, plan, known);
                provision.not_stored().into_iter().cloned().collect()
            }
            Need::Files => wheels_of(plan).cloned().collect(),
        };
        let is_there = |input: &Input| {
            let path = Path::new(input.file());
            if !path.is_absolute() {
                return false;
            }
            let digest = catalogue.known_digest(path);
            let digest = digest.or_else(|| Some(self.fs.digest_path(path).ok()?.0));
            digest == Some(input.digest)
        };
        wheels
            .into_iter()
            .filter(|input| !is_there(input))
            .collect()
    }
}

fn absent(error: &FsError) -> String {
    if error.kind() == std::io::ErrorKind::NotFound {
        return "which does not exist here".to_owned();
    }
    format!("which cannot be read: {}", error.source)
}

/// A wheel as the fetcher is asked for it. A malformed URL is as good as none.
pub(super) fn asked(input: &Input) -> Result<Asked, AskedError> {
    let digest = input.digest.to_string();
    let asked = Asked::new(&input.path, Hashes::of([("sha256", digest.as_str())]))?;
    let url = input.url.as_deref().map(Address::parse);
    let asked = asked.sized(Some(input.len));
    Ok(match url {
        // A path on this machine would be found whatever the caller allows.
        Some(Ok(url)) if url.file_path().is_none() => asked.at_url(url.without_login()),
        Some(_) | None => asked,
    })
}

fn of_fetch(failed: FetchFailed, missing: &[Input]) -> UnsuitedPlan {
    let FetchFailed::Nowhere { file, .. } = &failed else {
        return UnsuitedPlan::Fetch(failed);
    };
    let file = file.clone();
    match missing.iter().find(|input| input.path == file) {
        Some(input) => UnsuitedPlan::Wheel {
            file,
            digest: input.digest,
            at: Some(PathBuf::from(input.file())).filter(|path| path.is_file()),
            source: Box::new(failed),
        },
        None => UnsuitedPlan::Fetch(failed),
    }
}
