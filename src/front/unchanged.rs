//! Packages of locks that an environment has already: no file is looked for.
//!
//! Promises that each is the very wheel that a lock names, by the digest that the receipt states;
//! the merge then checks, under the lock of the target, that it is installed as it was published.
//!
//! Read next: `locked.rs`, which looks for the others; `../change/merge/kept.rs`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rvenv_journal::Digest;
use rvenv_journal::raw::Statement;

use crate::build::supply::{Supply, WheelSource};
use crate::lock::{Algorithm, Chosen, ChosenSource, Hash};
use crate::wheel::Named;

/// A package whose wheel is installed.
pub(super) struct There {
    pub(super) chosen: Chosen,
    wheel: PathBuf,
    digest: Digest,
}

impl There {
    /// Its supply, which has no file.
    pub(super) fn supply(self, is_dependency: bool) -> Supply {
        let direct = match self.chosen.source {
            ChosenSource::Wheel { direct, .. } => direct,
            ChosenSource::Release { .. } | ChosenSource::Sources { .. } => None,
        };
        Supply {
            wheel: self.wheel,
            source: WheelSource::Locked,
            direct_url: direct.map(|direct| Arc::from(direct.text())),
            url: None,
            attestation: None,
            is_dependency,
            installed: Some(self.digest),
        }
    }
}

/// Separates the packages whose wheels a receipt states from the others.
pub(super) fn split(
    keepable: &BTreeMap<Digest, Statement>,
    chosen: Vec<Chosen>,
) -> (Vec<There>, Vec<Chosen>) {
    let named = |(digest, statement): (&Digest, &Statement)| {
        let wheel = PathBuf::from(&statement.file);
        let Named { name, version, .. } = Named::of(&wheel)?;
        Some(((name, version), (*digest, wheel)))
    };
    let stated: BTreeMap<_, _> = keepable.iter().filter_map(named).collect();
    let (mut there, mut others) = (Vec::new(), Vec::new());
    for one in chosen {
        let key = (one.name.clone(), one.version.clone());
        match stated.get(&key) {
            Some((digest, wheel)) if names(&one.source, *digest) => there.push(There {
                chosen: one,
                wheel: wheel.clone(),
                digest: *digest,
            }),
            Some(_) | None => others.push(one),
        }
    }
    (there, others)
}

/// Whether a lock names the wheel with this digest.
fn names(source: &ChosenSource, digest: Digest) -> bool {
    let hashes = match source {
        ChosenSource::Wheel { file, .. } => &file.hashes,
        ChosenSource::Release {
            hashes,
            is_source_only: false,
        } => hashes,
        ChosenSource::Release { .. } | ChosenSource::Sources { .. } => return false,
    };
    let digits = digest.to_string();
    let is_it = |hash: &Hash| hash.algorithm == Algorithm::Sha256 && hash.digits == digits;
    hashes.checked().iter().any(is_it)
}

/// What a receipt states about the wheels of these releases.
pub(super) fn of_releases(
    statements: BTreeMap<Digest, Statement>,
    is_installed: impl Fn(&Named) -> bool,
) -> BTreeMap<Digest, Statement> {
    let stays = |statement: &Statement| {
        let name = Path::new(&statement.file);
        // The receipt of a checkout may have anything: a path is no name.
        name.file_name() == Some(name.as_os_str())
            && Named::of(name).as_ref().is_some_and(&is_installed)
    };
    let all = statements.into_iter();
    all.filter(|(_, statement)| stays(statement)).collect()
}
