//! The environment of a command that names none: the active one, else the nearest `.venv` upwards.
//!
//! Promises that a command names what it found, unless that is the `.venv` of the working
//! directory, and that it changes nothing that another user may have put there.
//! Read next: `commands/sync.rs`, `commands/rollback.rs`, which use this.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use rvenv::checks::{self, OtherOwner};
use rvenv::pyvenv_cfg::CONFIG_NAME;
use rvenv::render::escape;
use rvenv_journal::raw::{ENGINE_DIR, RECEIPT_NAME};

use crate::advice::{CliError, Code};
use crate::args::EnvDirArg;
use crate::session::Session;
use crate::shell_words::word;

/// The name of an environment that is found, or created, without being named.
pub(crate) const ENV_NAME: &str = ".venv";

/// What a command does with the environment that it works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// It only reads: what it finds may belong to any user.
    Look,
    /// It changes the environment, or runs what is in it.
    Change,
    /// The same, and the command line allows other owners.
    ChangeOfAny,
}

impl Use {
    /// A change by a command that has `--allow-other-owner`.
    pub(crate) fn change(allow_other_owner: bool) -> Self {
        if allow_other_owner {
            Self::ChangeOfAny
        } else {
            Self::Change
        }
    }
}

impl Session<'_> {
    /// The environment that is named, else the one that is found.
    pub(crate) fn env_of(&self, typed: &EnvDirArg, to: Use) -> Result<OsString, CliError> {
        self.named_or_found(typed.env_dir.as_ref(), to)
    }

    /// The same for a command that names its environment in another way.
    pub(crate) fn named_or_found(
        &self,
        named: Option<&OsString>,
        to: Use,
    ) -> Result<OsString, CliError> {
        match named {
            Some(named) => Ok(named.clone()),
            None => self.found_env(to),
        }
    }

    /// The active environment, else the nearest `.venv` in or above the working directory.
    fn found_env(&self, to: Use) -> Result<OsString, CliError> {
        let cwd = self.world.cwd.as_deref();
        let nearest = cwd.and_then(nearest);
        if let Some(active) = &self.world.surroundings.active {
            let nearer = nearest.filter(|nearest| nearest != active);
            let nearer = nearer.map(|nearer| format!(", not `{}`", shown(&nearer)));
            self.terminal.story(&format!(
                "Using the active environment `{}`{}",
                shown(active),
                nearer.unwrap_or_default()
            ));
            return Ok(active.clone().into_os_string());
        }
        let found = nearest.ok_or_else(|| {
            CliError::new(
                Code::NoEnvironment,
                "no environment is active, and there is no `.venv` here or above",
            )
            .hint("name one, or make one with `rvenv create`")
        })?;
        if to == Use::Change {
            // What another user may have put above the working directory is not chosen.
            let other = checks::other_owner(&found).filter(|other| {
                matches!(other, OtherOwner::Part { .. } | OtherOwner::Above { .. })
            });
            other.map_or(Ok(()), |other| {
                let refused = CliError::new(Code::OtherOwner, escape(&other.to_string()));
                let env = shown(&found);
                Err(refused.hint(format!(
                    "run as that user, or name `{env}` if you trust them"
                )))
            })?;
        }
        if found.parent() == cwd {
            return Ok(ENV_NAME.into());
        }
        self.terminal
            .story(&format!("Using `{}`, the nearest `.venv`", shown(&found)));
        Ok(found.into_os_string())
    }
}

/// The nearest `.venv` that is an environment, or was one: without its configuration it is damaged,
/// and must not be passed over for another one above.
fn nearest(cwd: &Path) -> Option<PathBuf> {
    cwd.ancestors().find_map(|dir| {
        let env = dir.join(ENV_NAME);
        let receipt = env.join(ENGINE_DIR).join(RECEIPT_NAME);
        let is_one = env.join(CONFIG_NAME).is_file() || receipt.is_file();
        is_one.then_some(env)
    })
}

fn shown(path: &Path) -> String {
    escape(&path.to_string_lossy())
}

/// Reports that nothing is where an environment was named.
pub(crate) fn absent(given: &OsStr) -> CliError {
    let given = given.to_string_lossy();
    let what = format!("`{}` does not exist", escape(&given));
    CliError::new(Code::NoEnvironment, what).hint(format!(
        "`rvenv list` shows the environments below this directory, `rvenv create {}` makes one",
        word(&given)
    ))
}
