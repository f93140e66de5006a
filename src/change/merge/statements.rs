//! What a receipt keeps about the wheels of distributions that stay.
//!
//! Promises that what goes, or what another wheel replaces, takes its statement along, and that
//! what comes along to another Python keeps it.
//!
//! Read next: `../merge.rs`, `../repair.rs`.

use std::collections::BTreeSet;
use std::path::Path;

use rvenv_journal::raw::Statement;
use rvenv_journal::{PlanBuilder, Receipt, RelPath};

use crate::wheel::{Named, normal_name};

/// The name and the version of a distribution.
type Release = (String, String);

/// Keeps what the receipt states about the wheels of distributions that are there afterwards;
/// `installed` are the paths of the files that identify those which are there now.
pub(crate) fn keep_statements(
    receipt: Option<&Receipt>,
    installed: &[String],
    draft: &mut PlanBuilder,
) {
    let of_file = |path: &String| of_entry(Path::new(path).parent()?);
    let installed: BTreeSet<Release> = installed.iter().filter_map(of_file).collect();
    let entries = |paths: &mut dyn Iterator<Item = &str>| -> BTreeSet<Release> {
        paths.filter_map(|path| of_entry(Path::new(path))).collect()
    };
    let planned = entries(&mut draft.operations().keys().map(RelPath::as_str));
    let retired = entries(&mut draft.retired().iter().map(RelPath::as_str));
    let stated = draft.statements().values().filter_map(of_wheel);
    let stated: BTreeSet<Release> = stated.collect();
    let stays = |statement: &Statement| {
        of_wheel(statement).is_some_and(|of| {
            let is_there = installed.contains(&of) && !retired.contains(&of);
            !stated.contains(&of) && (planned.contains(&of) || is_there)
        })
    };
    let old = receipt.into_iter().flat_map(|receipt| &receipt.statements);
    for (of, statement) in old.filter(|(_, statement)| stays(statement)) {
        draft.state(*of, statement.clone());
    }
}

/// The release in the name of a `.dist-info` directory.
fn of_entry(path: &Path) -> Option<Release> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".dist-info")?;
    let (name, version) = stem.rsplit_once('-')?;
    Some((normal_name(name), version.to_owned()))
}

fn of_wheel(statement: &Statement) -> Option<Release> {
    let Named { name, version, .. } = Named::of(Path::new(&statement.file))?;
    Some((name, version))
}
