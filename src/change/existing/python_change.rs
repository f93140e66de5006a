//! A change of Python: what an environment had, and what a plan gives it.
//!
//! Promises to read only the plan, besides what [`Existing`] already knows: the planned
//! `pyvenv.cfg` and the planned directories of packages show the new Python. Does not promise that
//! a builder with hooks of its own plans either; such a plan counts as no change.
//!
//! Read next: `../merge/lost_packages.rs`, for the packages that such a change loses.

use std::ffi::OsStr;
use std::fmt;

use rvenv_journal::{Content, Node, Plan, RelPath};

use super::{Config, Existing, Flavour, SITE_PACKAGES};
use crate::build::pyvenv_cfg::CONFIG_NAME;
use crate::wheel::distributions::{self, Distribution};

/// The Python of an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvPython {
    /// The implementation, and the minor version.
    pub flavour: Flavour,
    /// The whole version, as in `3.12.1`, if the environment has it.
    pub version: Option<String>,
}

/// An environment gets another Python: another version, or another implementation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonChange {
    /// The current Python.
    pub from: EnvPython,
    /// The planned Python.
    pub to: EnvPython,
}

impl PythonChange {
    /// The change that a plan makes to the Python of an environment; `None` if there is none, or it
    /// is unknown.
    #[must_use]
    pub fn between(existing: &Existing, plan: &Plan) -> Option<Self> {
        let from = EnvPython {
            flavour: existing.flavour()?,
            version: existing.frame.config.version.clone(),
        };
        let to = EnvPython::planned(plan)?;
        from.differs(&to).then_some(Self { from, to })
    }
}

impl EnvPython {
    fn planned(plan: &Plan) -> Option<Self> {
        let config = RelPath::new(CONFIG_NAME).ok()?;
        let Node::File {
            content: Content::Inline(bytes),
            ..
        } = &plan.operations().get(&config)?.node
        else {
            return None;
        };
        let config = Config::parse(bytes).ok()?;
        let minor = config.minor()?;
        let libs = planned_libs(plan).filter_map(Flavour::of_lib);
        let own = libs.into_iter().find(|flavour| flavour.minor == minor);
        Some(Self {
            flavour: own.unwrap_or_else(|| Flavour::of_config(&config, minor)),
            version: config.version,
        })
    }

    fn differs(&self, other: &Self) -> bool {
        let numbers = |version: &Option<String>| -> Vec<String> {
            let parts = version.as_deref().unwrap_or_default().split('.');
            parts.take(3).map(str::to_owned).collect()
        };
        // Tools write two, three or five parts; a part that only one of them wrote is no
        // difference.
        let (one, two) = (numbers(&self.version), numbers(&other.version));
        let is_same = one.iter().zip(&two).all(|(one, two)| one == two);
        self.flavour != other.flavour || !is_same
    }
}

impl fmt::Display for EnvPython {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Flavour {
            stem,
            minor,
            free_threaded,
        } = &self.flavour;
        let name = match stem.as_str() {
            "pypy" => "PyPy",
            "graalpy" => "GraalPy",
            _ => "Python",
        };
        let version = self.version.as_deref().unwrap_or_default();
        let three: Vec<&str> = version.split('.').take(3).collect();
        if version.is_empty() {
            write!(f, "{name} 3.{minor}")?;
        } else {
            write!(f, "{name} {}", three.join("."))?;
        }
        f.write_str(if *free_threaded {
            " (free-threaded)"
        } else {
            ""
        })
    }
}

/// The directories of packages in a plan.
pub(crate) fn planned_libs(plan: &Plan) -> impl Iterator<Item = &RelPath> {
    let operations = plan.operations().iter();
    operations
        .filter(|(path, operation)| {
            let is_dir = matches!(operation.node, Node::Dir { .. });
            is_dir && operation.group.is_none() && path.name() == SITE_PACKAGES
        })
        .map(|(path, _)| path)
}

/// The distributions in a plan, whether they exist already or not.
pub(crate) fn planned_distributions(plan: &Plan) -> Vec<Distribution> {
    let libs: Vec<&RelPath> = planned_libs(plan).collect();
    let paths = plan.operations().iter();
    let dirs = paths.filter(|(path, operation)| {
        let is_in_lib = path.parent().is_some_and(|parent| libs.contains(&&parent));
        is_in_lib && matches!(operation.node, Node::Dir { .. })
    });
    dirs.filter_map(|(path, _)| distributions::named(OsStr::new(path.name())))
        .collect()
}
