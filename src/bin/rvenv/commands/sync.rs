//! `rvenv sync`, `install` and `uninstall`: changes the packages of an environment.
//!
//! Read next: `create.rs`, which carries it out.

use rvenv::request::Intent;

use crate::advice::{CliError, Exit};
use crate::args::ChangeArgs;
use crate::found_env::Use;
use crate::session::Session;

impl Session<'_> {
    pub(crate) fn sync(&self, args: &ChangeArgs) -> Result<Exit, CliError> {
        let to = if args.create.output.dry_run {
            Use::Look
        } else {
            Use::change(args.create.replace.checks.allow_other_owner)
        };
        let env_dir = self.named_or_found(args.env.as_ref(), to)?;
        self.create_or_upgrade(&[env_dir], &args.create, Intent::Sync)
    }
}
