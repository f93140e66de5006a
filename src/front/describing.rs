//! The distributions of a plan, described for an inventory: what `status --sbom` reads in the
//! environment that the plan makes.
//!
//! Promises the same description as of that environment. Reads only the wheels, which must be files
//! of this machine; writes nothing but notes on wheels in the cache.
//!
//! Read next: `../change/verify/glance.rs`, which describes an environment.

use std::ffi::OsStr;
use std::path::Path;

use rvenv_journal::{Content, Node, Plan};

use super::caller::Caller;
use super::plan_note::wheels_of;
use crate::build::pyvenv_cfg::CONFIG_NAME;
use crate::change::existing::Config;
use crate::change::verify::Described;
use crate::wheel::distributions::named;
use crate::wheel::installed::{Installed, Licence};
use crate::wheel::origin::Origin;
use crate::wheel::{Catalogue, WheelError};

/// What a plan makes.
#[derive(Clone, Debug)]
pub struct PlanDescribed {
    /// Its `pyvenv.cfg`.
    pub config: Option<Config>,
    /// Its distributions.
    pub distributions: Vec<Described>,
}

impl Caller<'_> {
    /// Describes what a plan makes whose wheels are files, as [`Caller::find_wheels`] finds them.
    ///
    /// # Errors
    /// [`WheelError`].
    pub fn describe(&self, plan: &Plan) -> Result<PlanDescribed, WheelError> {
        let catalogue = Catalogue::new(self.host.cache.as_ref());
        let mut distributions = Vec::new();
        for input in wheels_of(plan) {
            let wheel = catalogue.open(Path::new(input.file()))?;
            let Some(distribution) = named(OsStr::new(wheel.dist_info())) else {
                continue;
            };
            let origin = inline(plan, &format!("/{}/direct_url.json", wheel.dist_info()));
            distributions.push(Described {
                installed: Installed {
                    distribution,
                    installer: None,
                    origin: origin.map_or(Origin::Index, Origin::of),
                },
                licence: Licence::of(&wheel.core_metadata()?),
                wheel: Some(input.digest),
            });
        }
        let config = inline(plan, CONFIG_NAME).and_then(|bytes| Config::parse(bytes).ok());
        Ok(PlanDescribed {
            config,
            distributions,
        })
    }
}

/// The bytes of a file that the plan itself has, by the end of its path.
fn inline<'a>(plan: &'a Plan, end: &str) -> Option<&'a [u8]> {
    let mut operations = plan.operations().iter();
    operations.find_map(|(path, operation)| match &operation.node {
        Node::File {
            content: Content::Inline(bytes),
            ..
        } if path.as_str().ends_with(end) => Some(bytes.as_slice()),
        Node::File { .. } | Node::Dir { .. } | Node::Symlink { .. } => None,
    })
}
