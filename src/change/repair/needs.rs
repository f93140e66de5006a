//! The wheels that a repair needs: one for each damaged distribution that is not restored from what
//! rvenv published.
//!
//! Promises to write nothing and to start no program.
//!
//! Read next: `../../front/mending.rs`, which finds them.

use rvenv_journal::Fs;
use rvenv_journal::fs::{Dir, FsError};

use super::stored::Listed;
use super::survey::{Placed, open, survey};
use super::whole::release;
use crate::change::existing::Existing;
use crate::change::merge::receipt_in;
use crate::change::published_wheels::{PublishedWheel, PublishedWheels};
use crate::python::{Bundled, Interpreter};
use crate::wheel::Named;
use crate::wheel::Release;
use crate::wheel::installed::Installed;
use crate::wheel::origin::Origin;

/// A wheel that a repair needs.
#[derive(Clone, Debug)]
pub struct Need {
    /// The distribution and its version.
    pub release: Release,
    /// Where it was installed from.
    pub origin: Origin,
    /// What to pass to pip in order to install it again.
    pub again: Vec<String>,
    /// The wheel that rvenv installed.
    pub wheel: Option<PublishedWheel>,
    /// Its damaged files, if its list has the digest of each.
    pub listed: Option<Listed>,
}

/// Finds the damaged distributions of an environment for which a wheel is needed.
///
/// # Errors
/// The error of the disk.
pub fn needs(
    fs: &dyn Fs,
    root: &Dir,
    existing: &Existing,
    interpreter: &Interpreter,
) -> Result<Vec<Need>, FsError> {
    let survey = survey(fs, root, existing)?;
    let published = receipt_in(fs, root).map(PublishedWheels::of);
    let is_bundled = |one: &Placed| {
        let bundled = match &interpreter.bundled {
            Bundled::Wheels(wheels) => wheels.as_slice(),
            Bundled::Missing { .. } => &[],
        };
        let mut named = bundled.iter().filter_map(|path| Named::of(path));
        let own = &one.distribution;
        named.any(|named| named.name == own.name && named.version == own.version)
    };
    let wheel = |one: &Placed| {
        let list = one.info()?.join("RECORD").ok()?;
        published.as_ref()?.of_record(&list, &one.distribution)
    };
    let mut needs = Vec::new();
    for damaged in survey.damaged {
        let wheel = wheel(&damaged);
        if wheel.is_some() && is_bundled(&damaged) {
            continue;
        }
        let release = release(&damaged);
        let site = open(fs, root, &damaged.site)?;
        let origin = Installed::origin(fs, &site, &damaged.distribution);
        let again = origin.again();
        let again = again.unwrap_or_else(|| vec![release.to_string()]);
        needs.push(Need {
            release,
            origin,
            again,
            wheel: wheel.cloned(),
            listed: Listed::of(fs, root, &damaged)?,
        });
    }
    Ok(needs)
}
