//! What the directory of an installed distribution says of it: who installed it, from where, and
//! what it requires.
//!
//! Promises to read only small files, each of bounded length, to follow no link, and that a file
//! which is absent, damaged or something else says nothing. `RECORD` is not read.
//!
//! Read next: `distributions.rs`, which distributions there are.

use std::ffi::OsStr;

use rvenv_journal::Fs;
use rvenv_journal::fs::{Dir, Kind};

use super::distributions::{Distribution, DistributionKind};
use super::origin::Origin;

/// The maximum length of `INSTALLER` and `direct_url.json`.
const NOTE_BYTES_MAX: u64 = 1 << 16;
/// The maximum length of `METADATA`; it may hold a whole description.
const METADATA_BYTES_MAX: u64 = 4 << 20;

/// An installed distribution and what its directory says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Which one.
    pub distribution: Distribution,
    /// The program that installed it, such as `pip` or `uv`.
    pub installer: Option<String>,
    /// Where it was installed from.
    pub origin: Origin,
}

impl Installed {
    /// Where a distribution in an open directory of packages comes from.
    pub(crate) fn origin(fs: &dyn Fs, site_packages: &Dir, distribution: &Distribution) -> Origin {
        let dir = fs.open_dir(site_packages, OsStr::new(&distribution.dir));
        dir.map_or(Origin::Unknown, |dir| origin(fs, &dir))
    }

    /// Reads the small files of a distribution in an open directory of packages.
    #[must_use]
    pub fn read(fs: &dyn Fs, site_packages: &Dir, distribution: Distribution) -> Self {
        let mut found = Self {
            distribution,
            installer: None,
            origin: Origin::Index,
        };
        if found.distribution.kind != DistributionKind::DistInfo {
            return found;
        }
        let Ok(dir) = fs.open_dir(site_packages, OsStr::new(&found.distribution.dir)) else {
            return found;
        };
        found.installer = text(fs, &dir, "INSTALLER", NOTE_BYTES_MAX)
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty());
        found.origin = origin(fs, &dir);
        found
    }
}

/// What a distribution says about its licence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Licence {
    /// An expression of SPDX (`License-Expression`).
    Expression(String),
    /// Other words (`License`): the first line.
    Text(String),
}

impl Licence {
    /// Reads the metadata of a distribution in an open directory of packages; an expression counts
    /// more than other words.
    pub(crate) fn read(fs: &dyn Fs, site_packages: &Dir, of: &Distribution) -> Option<Self> {
        Self::of(&metadata(fs, site_packages, of)?)
    }

    /// The same from the text of a `METADATA`.
    pub(crate) fn of(metadata: &str) -> Option<Self> {
        let of = |name: &str| {
            let mut values = headers(metadata, name).into_iter();
            values.find(|value| !value.is_empty() && value != "UNKNOWN")
        };
        let expression = of("license-expression").map(Self::Expression);
        expression.or_else(|| of("license").map(Self::Text))
    }
}

/// What decides whether a distribution can come along to another interpreter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The tags in `WHEEL`; none if it was not installed from a wheel.
    pub(crate) tags: Vec<String>,
    /// `Requires-Python`, as it is written.
    pub(crate) requires_python: Option<String>,
    /// What it requires, each as it is written.
    pub(crate) requirements: Vec<String>,
    /// Where it comes from.
    pub(crate) origin: Origin,
    /// Whether the user asked for it: it was not installed only because another needs it.
    pub(crate) is_requested: bool,
}

impl Facts {
    /// Reads the small files of a distribution in an open directory of packages.
    pub(crate) fn read(fs: &dyn Fs, site_packages: &Dir, distribution: &Distribution) -> Self {
        let metadata = metadata(fs, site_packages, distribution).unwrap_or_default();
        let mut facts = Self {
            requires_python: headers(&metadata, "requires-python").pop(),
            requirements: of_metadata(fs, site_packages, distribution, &metadata),
            ..Self::default()
        };
        if distribution.kind != DistributionKind::DistInfo {
            return facts;
        }
        let Ok(dir) = fs.open_dir(site_packages, OsStr::new(&distribution.dir)) else {
            return facts;
        };
        let wheel = text(fs, &dir, "WHEEL", NOTE_BYTES_MAX).unwrap_or_default();
        facts.tags = headers(&wheel, "tag");
        facts.origin = origin(fs, &dir);
        let requested = fs.meta(&dir, OsStr::new("REQUESTED"));
        facts.is_requested = requested.is_ok_and(|meta| meta.is_some());
        facts
    }
}

/// Where a distribution comes from, by the `direct_url.json` in its directory.
fn origin(fs: &dyn Fs, dir: &Dir) -> Origin {
    let name = OsStr::new("direct_url.json");
    match fs.meta(dir, name) {
        Ok(None) => Origin::Index,
        Ok(Some(meta)) if meta.kind == Kind::File => {
            let read = fs.read_file(dir, name, NOTE_BYTES_MAX);
            read.map_or(Origin::Unknown, |text| Origin::of(&text))
        }
        Ok(Some(_)) | Err(_) => Origin::Unknown,
    }
}

/// What a distribution requires, each as it is written, such as `idna>=2; python_version < "3.9"`.
///
/// An egg has it in a file of its own, unless its setuptools was new enough to write it into
/// `PKG-INFO`. A checkout that an `egg-link` leads to is not read.
pub(crate) fn requirements(
    fs: &dyn Fs,
    site_packages: &Dir,
    distribution: &Distribution,
) -> Vec<String> {
    let metadata = metadata(fs, site_packages, distribution).unwrap_or_default();
    of_metadata(fs, site_packages, distribution, &metadata)
}

/// What a distribution requires, if this is its metadata.
fn of_metadata(
    fs: &dyn Fs,
    site_packages: &Dir,
    distribution: &Distribution,
    metadata: &str,
) -> Vec<String> {
    let required = headers(metadata, "requires-dist");
    if required.is_empty() && distribution.kind == DistributionKind::EggInfo {
        let dir = fs
            .open_dir(site_packages, OsStr::new(&distribution.dir))
            .ok();
        let read = dir.and_then(|dir| text(fs, &dir, "requires.txt", METADATA_BYTES_MAX));
        return read.as_deref().map(sectioned).unwrap_or_default();
    }
    required
}

/// The metadata of a distribution.
fn metadata(fs: &dyn Fs, site_packages: &Dir, distribution: &Distribution) -> Option<String> {
    let entry = OsStr::new(&distribution.dir);
    let inside = |name: &str| {
        let dir = fs.open_dir(site_packages, entry).ok()?;
        text(fs, &dir, name, METADATA_BYTES_MAX)
    };
    match distribution.kind {
        DistributionKind::DistInfo => inside("METADATA"),
        DistributionKind::EggInfo => inside("PKG-INFO")
            .or_else(|| text(fs, site_packages, &distribution.dir, METADATA_BYTES_MAX)),
        DistributionKind::EggLink => None,
    }
}

/// The values of one header; a description begins after an empty line.
pub(crate) fn headers(metadata: &str, name: &str) -> Vec<String> {
    let headers = metadata.lines().take_while(|line| !line.is_empty());
    let pairs = headers.filter_map(|line| line.split_once(':'));
    let wanted = pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name));
    wanted.map(|(_, value)| value.trim().to_owned()).collect()
}

/// The requirements in the `requires.txt` of an egg: the name of a section is an extra, a marker
/// after a colon, or both.
fn sectioned(text: &str) -> Vec<String> {
    let mut marker = String::new();
    let mut required = Vec::new();
    for line in text.lines().map(str::trim) {
        let section = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if let Some(section) = section {
            let (extra, condition) = section.split_once(':').unwrap_or((section, ""));
            let extra = match extra {
                "" => String::new(),
                extra => format!("extra == \"{extra}\""),
            };
            marker = match (condition, extra.as_str()) {
                ("", "") => String::new(),
                (condition, "") => format!(" ; {condition}"),
                ("", extra) => format!(" ; {extra}"),
                (condition, extra) => format!(" ; ({condition}) and {extra}"),
            };
        } else if !line.is_empty() && !line.starts_with('#') {
            required.push(format!("{line}{marker}"));
        }
    }
    required
}

/// The text of a file; `None` if it is absent, something else, too long or not UTF-8.
fn text(fs: &dyn Fs, dir: &Dir, name: &str, len_max: u64) -> Option<String> {
    let meta = fs.meta(dir, OsStr::new(name)).ok()??;
    if meta.kind != Kind::File {
        return None;
    }
    let bytes = fs.read_file(dir, OsStr::new(name), len_max).ok()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_the_header_lines_alone() {
        let read = headers(
            "Metadata-Version: 2.1\nRequires-Python: >=3.8\nrequires-dist: idna (>=2)\n\
             Requires-Dist: six; extra == 'old'\n\nRequires-Dist: not-this\n",
            "requires-dist",
        );
        assert_eq!(read, ["idna (>=2)", "six; extra == 'old'"]);
    }

    #[test]
    fn the_sections_of_an_egg_are_markers() {
        let read = sectioned(
            "idna>=2\n\n# old\n[:python_version < \"3.8\"]\nsix\n[test]\npytest\n\
             [docs:os_name == \"nt\"]\nsphinx @ https://host/s.zip\n",
        );
        assert_eq!(
            read,
            [
                "idna>=2",
                "six ; python_version < \"3.8\"",
                "pytest ; extra == \"test\"",
                "sphinx @ https://host/s.zip ; (os_name == \"nt\") and extra == \"docs\"",
            ]
        );
    }
}
