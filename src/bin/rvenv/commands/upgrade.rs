//! `rvenv upgrade`: gives environments another Python and keeps their packages.

use std::ffi::OsStr;
use std::path::Path;

use rvenv::request::Intent;

use crate::advice::{CliError, Code, Exit};
use crate::args::UpgradeArgs;
use crate::session::Session;

impl Session<'_> {
    pub(crate) fn upgrade(&self, UpgradeArgs(args): &UpgradeArgs) -> Result<Exit, CliError> {
        let upgraded = self.create_or_upgrade_found(args, Intent::Upgrade);
        let may_be_package = args.env_dirs.iter().any(|word| is_package(word));
        upgraded.map_err(|failed| {
            if failed.code != Code::NoEnvironment || !may_be_package {
                return failed;
            }
            failed.hint(
                "make one with `rvenv create`; a newer version of a package comes with `rvenv \
                 install 'NAME>=VERSION'`",
            )
        })
    }
}

/// Whether a word leads to nothing here, and may be the name of a package.
fn is_package(word: &OsStr) -> bool {
    let is_named = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_name = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(is_named)
    };
    word.to_str().is_some_and(is_name) && Path::new(word).symlink_metadata().is_err()
}
