//! The plan that makes an environment as it was published, for another machine.
//!
//! Promises that the plan is made of the wheels that the receipt names, and that it makes exactly
//! what the receipt has: their digests are compared. An environment that wheels alone do not make,
//! as one with an editable project or with changes of another installer, has no such plan.
//!
//! Read next: `pushing.rs`; `plan_note.rs`, what the plan notes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rvenv_journal::raw::Statement;
use rvenv_journal::{Digest, Plan, Receipt};
use thiserror::Error;

use super::caller::Caller;
use super::plan_note::Note;
use super::request::RequestFailed;
use super::saved_plan::WheelPlaces;
use crate::base::regular_file;
use crate::build::hooks::{self, Context, Venv};
use crate::build::options::{GIT, Options};
use crate::build::supply::{Supply, WheelSource};
use crate::change::environment::{self, PlanFailed};
use crate::change::existing::{Existing, ExistingError};
use crate::change::merge::receipt_in;
use crate::change::repair::has_published_bytecode;
use crate::fetch::{Asked, AskedError, FetchFailed, Fetcher, Hashes, SettingsError};
use crate::python::Purpose;
use crate::wheel::distributions::Distribution;
use crate::wheel::{Catalogue, Named};

/// Why an environment has no plan that makes it.
#[derive(Debug, Error)]
pub enum RepublishFailed {
    /// rvenv has not published it.
    #[error("rvenv has published nothing at `{}`", .0.escape_debug())]
    NoReceipt(String),
    /// Its wheels make something else.
    #[error(
        "`{}` is not what its wheels make: another installer, an editable project, files of \
         builders or older wheels went into it", .0.escape_debug()
    )]
    Differs(String),
    /// There is no cache to fetch into.
    #[error("there is no cache directory to fetch wheels into")]
    NoCache,
    /// It cannot be read.
    #[error(transparent)]
    Request(#[from] Box<RequestFailed>),
    /// A wheel cannot be had.
    #[error(transparent)]
    Fetch(#[from] FetchFailed),
    /// The receipt names a file that can be none.
    #[error(transparent)]
    Asked(#[from] AskedError),
    /// A setting is malformed.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanFailed),
}

impl From<RequestFailed> for RepublishFailed {
    fn from(failed: RequestFailed) -> Self {
        Self::Request(Box::new(failed))
    }
}

impl From<ExistingError> for RepublishFailed {
    fn from(failed: ExistingError) -> Self {
        RequestFailed::from(failed).into()
    }
}

impl Caller<'_> {
    /// Plans the environment at a path as it was published.
    ///
    /// # Errors
    /// See [`RepublishFailed`].
    pub fn republished(&self, env_dir: &str, from: &WheelPlaces) -> Result<Plan, RepublishFailed> {
        let path = Path::new(env_dir);
        let (root, real) = self.open_existing(path)?;
        let receipt = receipt_in(self.fs, &root);
        let receipt = receipt.ok_or_else(|| RepublishFailed::NoReceipt(env_dir.to_owned()))?;
        let existing = Existing::read(self.fs, &root, &real)?;
        let interpreter = self.base_of(&existing, path, Purpose::Show);
        let interpreter = interpreter.map_err(RequestFailed::from)?;
        let has = |path: &str| receipt.paths.keys().any(|own| own.as_str() == path);
        let options = existing.choices().over(Options {
            compile_bytecode: has_published_bytecode(self.fs, &root),
            scm_ignore_files: has(".gitignore")
                .then(|| GIT.to_owned())
                .into_iter()
                .collect(),
            ..Options::default()
        });
        let mut context = self.context(env_dir, interpreter, options)?;
        context.options.umask = !receipt.root_mode & 0o777;
        let wheels = self.published_wheels(&receipt, &context, from)?;
        let installed = existing.installed(&context.layout);
        let site = context.layout.lib_path.as_str().to_owned();
        context.supplies.clear();
        for (digest, wheel) in wheels {
            let of = Named::of(&wheel.path).and_then(|named| {
                let is_it =
                    |one: &&Distribution| one.name == named.name && one.version == named.version;
                installed.iter().find(is_it)
            });
            let dir = of.map(|one| format!("{site}/{}", one.dir));
            let listed = |name: &str| {
                let path = format!("{}/{name}", dir.as_deref()?);
                has(&path).then(|| real.join(path))
            };
            let text = listed("direct_url.json").and_then(|path| regular_file::read(&path).ok());
            context.supplies.push(Supply {
                source: wheel.source,
                direct_url: text.and_then(|text| Some(String::from_utf8(text).ok()?.into())),
                url: None,
                attestation: receipt
                    .statements
                    .get(&digest)
                    .and_then(|of| of.attestation.clone()),
                is_dependency: listed("REQUESTED").is_none(),
                installed: None,
                wheel: wheel.path,
            });
        }
        let is_bundled = |supply: &Supply| supply.source == WheelSource::Bundled;
        context.options.with_pip = context.supplies.iter().any(is_bundled);
        self.compile(&mut context).map_err(RequestFailed::from)?;
        let draft = hooks::build(&Venv, &context).map_err(PlanFailed::from)?;
        let plan = environment::put(draft)?;
        if plan.outcome() != receipt.plan {
            return Err(RepublishFailed::Differs(env_dir.to_owned()));
        }
        let note = Note::of(&context, &plan);
        let note = note.and_then(|note| serde_json::to_string(&note).ok());
        Ok(match note {
            Some(text) => plan.with_request(&text),
            None => plan,
        })
    }

    /// The files of the wheels that a receipt names.
    fn published_wheels(
        &self,
        receipt: &Receipt,
        context: &Context,
        from: &WheelPlaces,
    ) -> Result<BTreeMap<Digest, Published>, RepublishFailed> {
        let mut found = BTreeMap::new();
        let mut wanted = Vec::new();
        for (digest, Statement { file, .. }) in &receipt.statements {
            let mut bundled = context.interpreter.bundled.wheels().iter();
            let is_it = |path: &&PathBuf| {
                path.file_name().is_some_and(|name| *name == **file)
                    && self
                        .fs
                        .digest_path(path)
                        .is_ok_and(|(own, _)| own == *digest)
            };
            if let Some(path) = bundled.find(is_it) {
                let source = WheelSource::Bundled;
                let path = path.clone();
                found.insert(*digest, Published { path, source });
                continue;
            }
            let digits = digest.to_string();
            let hashes = Hashes::of([("sha256", digits.as_str())]);
            wanted.push((*digest, Asked::new(file, hashes)?));
        }
        let cache = self.host.cache.as_ref().ok_or(RepublishFailed::NoCache)?;
        let settings = self.registry_settings(from)?;
        let catalogue = Catalogue::new(Some(cache));
        let fetcher = Fetcher::new(cache, settings, &from.wheelhouses, &catalogue);
        let fetcher = fetcher.at(self.host.now);
        let asked: Vec<Asked> = wanted.iter().map(|(_, asked)| asked.clone()).collect();
        let files = self.fetch_control(|control| fetcher.fetch(&asked, control))?;
        let pairs = wanted.into_iter().zip(files);
        found.extend(pairs.map(|((digest, _), file)| {
            let source = WheelSource::Locked;
            let path = file.path;
            (digest, Published { path, source })
        }));
        Ok(found)
    }
}

/// A wheel that was installed.
struct Published {
    path: PathBuf,
    source: WheelSource,
}
