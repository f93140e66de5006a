//! Places: where a file of the old Python's directory of packages is for the new one.
//!
//! Promises that a row of a RECORD which leads out of the environment has no path, and that a path
//! outside the directory of packages stays, unless its name is that of a version.
//!
//! Read next: `files.rs`.

use std::path::Path;

use rvenv_journal::RelPath;
use rvenv_journal::raw::RelPathError;

use super::{Search, Way};
use crate::build::hooks::Context;
use crate::change::existing::{Existing, Flavour, Lib};
use crate::change::open_path::lexical;
use crate::wheel::distributions::Distribution;

/// Distributions with scripts that have the version of Python in their names.
const VERSIONED: [&str; 2] = ["pip", "setuptools"];

/// The old and the new directory of packages of one distribution.
pub(super) struct Places<'a> {
    existing: &'a Existing,
    context: &'a Context,
    old: &'a RelPath,
    new: &'a RelPath,
    old_flavour: Option<&'a Flavour>,
    way: Way,
    has_versioned_scripts: bool,
}

impl<'a> Places<'a> {
    pub(super) fn of<'s: 'a>(
        search: &Search<'s>,
        lib: &'a Lib,
        distribution: &Distribution,
    ) -> Self {
        let (existing, context) = (search.existing, search.context);
        let layout = &context.layout;
        let is_platlib = lib.path.as_str().starts_with("lib64/");
        Self {
            existing,
            context,
            old: &lib.path,
            new: if is_platlib {
                &layout.platlib_path
            } else {
                &layout.lib_path
            },
            old_flavour: lib.flavour.as_ref(),
            way: search.way,
            has_versioned_scripts: VERSIONED.contains(&distribution.name.as_str()),
        }
    }

    /// The path of a row below the environment; `None` if it leads out of it.
    pub(super) fn path(&self, row: &str) -> Option<RelPath> {
        if !row.starts_with('/') {
            return lexical(self.old, row);
        }
        let real = self.existing.path.to_str();
        let mut names = [Some(self.context.env_dir.as_str()), real]
            .into_iter()
            .flatten();
        let below = names.find_map(|env| row.strip_prefix(env)?.strip_prefix('/'))?;
        RelPath::new(below).ok()
    }

    /// Where a file goes.
    pub(super) fn moved(&self, from: &RelPath) -> Result<RelPath, RelPathError> {
        if let Some(below) = below(from, self.old) {
            return self.new.join(below);
        }
        let (Some(old), minor) = (self.old_flavour, self.context.interpreter.version.minor) else {
            return Ok(from.clone());
        };
        let parts: Vec<&str> = from.components().collect();
        match parts.as_slice() {
            // Headers have the directory that pip gives them, without the flag of a build.
            ["include", "site", name, rest @ ..]
                if Flavour::parse(name).is_some_and(|found| found.minor == old.minor) =>
            {
                let dir = format!("include/site/python3.{minor}/{}", rest.join("/"));
                RelPath::new(dir.trim_end_matches('/'))
            }
            [bin, name] if self.has_versioned_scripts && *bin == self.context.bin_name() => {
                let stem = name.strip_suffix(&format!("3.{}", old.minor));
                match stem {
                    Some(stem) => RelPath::new(&format!("{bin}/{stem}3.{minor}")),
                    None => Ok(from.clone()),
                }
            }
            _ => Ok(from.clone()),
        }
    }

    /// The first column of the row of a file in the new RECORD.
    pub(super) fn row(&self, to: &RelPath) -> String {
        relative(to, self.new)
    }

    /// The same in the old RECORD, in its usual spelling.
    pub(super) fn old_row(&self, from: &RelPath) -> String {
        relative(from, self.old)
    }

    /// The path below the new directory of packages.
    pub(super) fn below_new<'p>(&self, to: &'p RelPath) -> Option<&'p str> {
        below(to, self.new)
    }

    /// Whether a file is directly in the directory of executables.
    pub(super) fn is_program(&self, path: &RelPath) -> bool {
        path.parent()
            .is_some_and(|dir| dir == self.context.layout.bin_name)
    }

    /// The interpreter for a script that starts the one at `python`, if that is a name in this
    /// environment which the new Python does not have: then the one that its own scripts start. In
    /// a copy every name of this environment is replaced by that of the copy.
    pub(super) fn interpreter(&self, python: &Path) -> Option<String> {
        let bin = python.parent()?;
        let envs = [Path::new(&self.context.env_dir), &self.existing.path];
        let name = python.file_name()?.to_str()?;
        let is_own = envs
            .iter()
            .any(|env| env.join(self.context.bin_name()) == bin);
        let is_python =
            Flavour::parse(name).is_some() || self.existing.frame.python.pythons.contains_key(name);
        let layout = &self.context.layout;
        let mut names = std::iter::once(&layout.env_exe).chain(&layout.names);
        let stays = names.any(|own| own.name() == name);
        let names_copy = stays && self.way == Way::Copied;
        let new = if names_copy {
            let same = RelPath::new(&format!("{}/{name}", self.context.bin_name())).ok()?;
            self.context.absolute(&same)
        } else {
            self.context.absolute(&layout.env_exe)
        };
        (is_own && is_python && (!stays || names_copy)).then_some(new)
    }
}

fn relative(path: &RelPath, site: &RelPath) -> String {
    match below(path, site) {
        Some(below) => below.to_owned(),
        None => format!("{}{path}", "../".repeat(site.components().count())),
    }
}

fn below<'p>(path: &'p RelPath, dir: &RelPath) -> Option<&'p str> {
    path.as_str().strip_prefix(dir.as_str())?.strip_prefix('/')
}
