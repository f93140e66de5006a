//! `rvenv upgrade`: gives environments another Python and keeps their packages.

use rvenv::request::Intent;

use crate::advice::{CliError, Exit};
use crate::args::UpgradeArgs;
use crate::session::Session;

impl Session<'_> {
    pub(crate) fn upgrade(&self, UpgradeArgs(args): &UpgradeArgs) -> Result<Exit, CliError> {
        self.create_or_upgrade_found(args, Intent::Upgrade)
    }
}
