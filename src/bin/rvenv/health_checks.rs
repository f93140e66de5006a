//! Health checks of a command: which ones, whether they may run, and how they are reported.
//!
//! Read next: the library's `checks.rs`, which runs one.

use std::collections::BTreeSet;
use std::path::Path;

use rvenv::checks::{self, Check, CheckFailed, EnvAt, Expectation, Expected, OtherOwner};
use rvenv::existing::{Config, Existing};
use rvenv::python::Checkout;
use rvenv::render::escape;
use rvenv_journal::Fs as _;

use crate::advice::{CliError, Code, chmod};
use crate::session::Session;

/// More than any real `pyvenv.cfg` has.
const CONFIG_BYTES_MAX: u64 = 1 << 16;

impl Session<'_> {
    /// Checks what was published from a record: its own configuration names its Python.
    pub(crate) fn check_published(
        &self,
        env_dir: &Path,
        commands: &[String],
    ) -> Result<(), CheckFailed> {
        self.check_with(env_dir, Vec::new(), commands)
    }

    /// Checks what was repaired: these modules can be imported, and pip, if it is installed.
    pub(crate) fn check_repaired(
        &self,
        env_dir: &Path,
        mended: &BTreeSet<String>,
        commands: &[String],
    ) -> Result<(), CheckFailed> {
        let root = self.fs.open_path(env_dir);
        let existing = root.ok().and_then(|root| {
            let read = Existing::read(&self.fs, &root, env_dir);
            read.ok()
        });
        let has_pip = existing.is_some_and(|existing| {
            let flavour = existing.flavour();
            let own = existing.libs.iter().filter(|lib| lib.flavour == flavour);
            own.flat_map(|lib| &lib.distributions)
                .any(|found| found.name == "pip")
        });
        let mut modules = mended.clone();
        modules.extend(has_pip.then(|| "pip".to_owned()));
        let modules = modules.into_iter().collect();
        self.check_with(env_dir, modules, commands)
    }

    fn check_with(
        &self,
        env_dir: &Path,
        modules: Vec<String>,
        commands: &[String],
    ) -> Result<(), CheckFailed> {
        let read = self
            .fs
            .read_path(&env_dir.join("pyvenv.cfg"), CONFIG_BYTES_MAX);
        let config = read.ok().and_then(|bytes| Config::parse(&bytes).ok());
        let version = config.and_then(|config| config.version);
        let expected = Expectation {
            version: version.map_or(Expected::Any, |version| Expected::by_config(&version)),
            modules,
            imports: Vec::new(),
        };
        let checks = checks::built_in_first(expected, commands);
        self.with_caller(|caller| caller.check(&EnvAt::in_dir(env_dir), &checks))
    }

    /// The same, if the command line does not name the interpreter: it must be one that may be
    /// started.
    pub(crate) fn check_named_by_record(
        &self,
        env_dir: &Path,
        commands: &[String],
    ) -> Result<(), CheckFailed> {
        self.may_start_interpreter(env_dir)?;
        self.check_published(env_dir, commands)
    }

    /// The modules among these that the environment cannot import now; none if its interpreter may
    /// not be started.
    pub(crate) fn not_importable(&self, env_dir: &Path, modules: &[String]) -> Vec<String> {
        if self.may_start_interpreter(env_dir).is_err() {
            return Vec::new();
        }
        let imports = Check::Builtin(Expectation {
            version: Expected::Any,
            modules: Vec::new(),
            imports: modules.to_vec(),
        });
        let env = EnvAt::in_dir(env_dir);
        match self.with_caller(|caller| caller.check(&env, &[imports])) {
            Err(CheckFailed::Imports { modules, .. }) => modules,
            Err(_) | Ok(()) => Vec::new(),
        }
    }

    /// Whether the environment's interpreter may be started although no command line names it.
    fn may_start_interpreter(&self, env_dir: &Path) -> Result<(), CheckFailed> {
        let root = self.fs.open_path(env_dir);
        let root = root.map_err(|error| CheckFailed::Untrusted(Box::new(error)))?;
        let existing = Existing::read(&self.fs, &root, env_dir);
        let existing = existing.map_err(|error| CheckFailed::Untrusted(Box::new(error)))?;
        let mut homes = existing.named();
        homes.retain(|path| path.path().parent() == Some(&existing.frame.config.home));
        let around = &self.world.surroundings;
        let checkout = Checkout::of(&[env_dir], around);
        let python = EnvAt::in_dir(env_dir).python;
        rvenv::python::may_start(&python, &homes, &checkout, around)
            .map_err(|error| CheckFailed::Untrusted(Box::new(error)))
    }
}

/// Refuses health checks that would run another user's files in an environment.
pub(crate) fn may_run(env_dir: &str, allowed: bool) -> Result<(), CliError> {
    allow(checks::other_owner(Path::new(env_dir)), allowed)
}

/// Refuses health checks if another user can change the environment, unless they are allowed.
pub(crate) fn allow(other: Option<OtherOwner>, allowed: bool) -> Result<(), CliError> {
    match other {
        Some(other) if !allowed => {
            let refused = CliError::new(Code::OtherOwner, escape(&other.to_string()));
            Err(refused.hint(way_out(&other)))
        }
        Some(_) | None => Ok(()),
    }
}

fn way_out(other: &OtherOwner) -> String {
    let trust = "or use `--allow-other-owner` if you trust them";
    match other {
        OtherOwner::Open { path } | OtherOwner::OpenAbove { path } => {
            let close = chmod("chmod o-w", path);
            format!("run `{close}` so that other users cannot write to it, {trust}")
        }
        OtherOwner::Part { .. } | OtherOwner::Above { .. } | _ => {
            format!("run as that user, {trust}")
        }
    }
}
