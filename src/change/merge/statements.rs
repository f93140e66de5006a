//! Statements in a receipt about the wheels of distributions that stay.
//!
//! Promises that what goes, or another version replaces, takes its statement along.
//!
//! Read next: `../merge.rs`.

use std::path::Path;

use rvenv_journal::raw::Statement;
use rvenv_journal::{PlanBuilder, Receipt};

use crate::wheel::{Named, normal_name};

/// Keeps what the receipt states about the wheels of distributions that stay.
pub(super) fn keep_statements(
    receipt: Option<&Receipt>,
    installed: &[String],
    draft: &mut PlanBuilder,
) {
    let stays = |statement: &Statement| {
        let named = Named::of(Path::new(&statement.file))?;
        let is_of_it = |path: &str| {
            let info = Path::new(path).parent()?.file_stem()?.to_str()?;
            let (name, version) = info.rsplit_once('-')?;
            Some(normal_name(name) == named.name && version == named.version)
        };
        let is_retired = draft
            .retired()
            .iter()
            .any(|path| is_of_it(path.as_str()) == Some(true));
        let is_installed = installed.iter().any(|path| is_of_it(path) == Some(true));
        Some(is_installed && !is_retired)
    };
    let old = receipt.into_iter().flat_map(|receipt| &receipt.statements);
    let kept = old.filter(|(_, statement)| stays(statement) == Some(true));
    let kept: Vec<_> = kept
        .map(|(of, statement)| (*of, statement.clone()))
        .collect();
    for (of, statement) in kept {
        draft.state(of, statement);
    }
}
