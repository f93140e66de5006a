//! `rvenv sync`, `install` and `uninstall`: changes the packages of an environment.
//!
//! Read next: `create.rs`, which carries it out.

use std::ffi::OsString;

use rvenv::checks::{self, OtherOwner};
use rvenv::request::Intent;

use crate::advice::{CliError, Exit};
use crate::args::ChangeArgs;
use crate::health_checks::allow;
use crate::session::Session;

/// The name of an environment that is found without being named.
const ENV_NAME: &str = ".venv";

impl Session<'_> {
    pub(crate) fn sync(&self, args: &ChangeArgs) -> Result<Exit, CliError> {
        let env_dir = match &args.env {
            Some(named) => named.clone(),
            None => self.nearest_env(args.create.replace.checks.allow_other_owner)?,
        };
        self.create_or_upgrade(&[env_dir], &args.create, Intent::Sync)
    }

    /// The active environment, else the nearest `.venv` in or above the working directory.
    /// What another user may have put above it is not chosen.
    fn nearest_env(&self, allow_other_owner: bool) -> Result<OsString, CliError> {
        if let Some(active) = &self.world.surroundings.active {
            return Ok(active.clone().into_os_string());
        }
        let cwd = self.world.cwd.as_deref();
        let mut above = cwd.into_iter().flat_map(std::path::Path::ancestors);
        let found = above.find_map(|dir| {
            let env = dir.join(ENV_NAME);
            env.join("pyvenv.cfg").is_file().then_some(env)
        });
        let found = found.ok_or_else(|| {
            CliError::new(
                Exit::Precondition,
                "no environment is active, and there is no `.venv` here or above",
            )
            .hint("name one with `--env`, or make one with `rvenv create .venv`")
        })?;
        let is_owner = |other: &OtherOwner| {
            matches!(other, OtherOwner::Part { .. } | OtherOwner::Above { .. })
        };
        allow(
            checks::other_owner(&found).filter(is_owner),
            allow_other_owner,
        )?;
        Ok(found.into())
    }
}
