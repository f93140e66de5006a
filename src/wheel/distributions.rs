//! Installed distributions: which ones a `site-packages` directory lists.
//!
//! Promises to use the names of entries alone, to open none of them, and to write nothing. Compares
//! names in their normal form (PEP 503), and ignores every entry whose name is not that of a
//! distribution. Does not promise that a distribution is complete, or that two entries belong to
//! different ones: an interrupted upgrade leaves both. Follows no link: a symbolic link to a
//! directory does not count as one.
//!
//! Read next: `change/verify/distribution_record.rs`, which checks a distribution against its list
//! of files.

use std::ffi::{OsStr, OsString};
use std::fmt;

use rvenv_journal::Fs;
use rvenv_journal::fs::{Dir, FsError, Kind};

use crate::wheel::normal_name;

/// The form in which a distribution is recorded as installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DistributionKind {
    /// A directory `NAME-VERSION.dist-info` with a `RECORD` (recording installed projects).
    DistInfo,
    /// A file or directory `*.egg-info`, without a list that can be checked.
    EggInfo,
    /// A file `NAME.egg-link` that leads to a checkout; it has no version.
    EggLink,
}

/// One installed distribution.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distribution {
    /// The name in its normal form, as in `ruamel-yaml`.
    pub name: String,
    /// The version as the entry spells it; empty if the entry has none.
    pub version: String,
    /// The entry in `site-packages`, as in `pip-23.2.1.dist-info`.
    pub dir: String,
    /// The form of the entry.
    pub kind: DistributionKind,
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, .. } = self;
        match version.as_str() {
            "" => f.write_str(name),
            version => write!(f, "{name} {version}"),
        }
    }
}

/// The distributions in an open `site-packages` directory, sorted by name.
///
/// # Errors
/// When the directory cannot be listed.
pub fn distributions(fs: &dyn Fs, site_packages: &Dir) -> Result<Vec<Distribution>, FsError> {
    let entries = fs.list_kinds(site_packages, &|name| named(name).is_some())?;
    let of = |(entry, kind): (OsString, Kind)| {
        named(&entry).filter(|distribution| has_right_kind(distribution.kind, kind))
    };
    let mut found: Vec<_> = entries.into_iter().filter_map(of).collect();
    found.sort();
    Ok(found)
}

/// Whether an entry has the kind that its name implies.
fn has_right_kind(distribution: DistributionKind, entry: Kind) -> bool {
    match distribution {
        DistributionKind::DistInfo => entry == Kind::Dir,
        DistributionKind::EggInfo => matches!(entry, Kind::Dir | Kind::File),
        DistributionKind::EggLink => entry == Kind::File,
    }
}

/// The distribution that an entry name means; `None` for every other name.
pub(crate) fn named(entry: &OsStr) -> Option<Distribution> {
    let dir = entry.to_str()?;
    let (stem, extension) = dir.rsplit_once('.')?;
    let (kind, (name, version)) = match extension {
        "dist-info" => (DistributionKind::DistInfo, stem.rsplit_once('-')?),
        "egg-info" => {
            let stem = without_python(stem);
            let split = stem.rsplit_once('-').unwrap_or((stem, ""));
            (DistributionKind::EggInfo, split)
        }
        "egg-link" => (DistributionKind::EggLink, (stem, "")),
        _ => return None,
    };
    // While pip uninstalls, it renames what it will delete to a name that begins with `~`.
    let is_hidden = name.starts_with(['~', '.']);
    let name = normal_name(name);
    if is_hidden || name.is_empty() {
        return None;
    }
    Some(Distribution {
        name,
        version: version.to_owned(),
        dir: dir.to_owned(),
        kind,
    })
}

/// An egg's name and version without `-pyX.Y` and the rest.
fn without_python(stem: &str) -> &str {
    let is_tag = |at: usize| {
        let rest = stem.get(at + "-py".len()..);
        let tag = rest.and_then(|rest| rest.split('-').next());
        tag.is_some_and(|tag| tag.starts_with(|c: char| c.is_ascii_digit()) && tag.contains('.'))
    };
    let mut tags = stem.rmatch_indices("-py").map(|(at, _)| at);
    let end = tags.find(|at| is_tag(*at));
    end.and_then(|end| stem.get(..end)).unwrap_or(stem)
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the test lays out a directory by hand"
)]
mod tests {
    use proptest::prelude::*;
    use rvenv_journal::fs::real::RealFs;

    use super::*;

    fn check(entry: &str, expected: Option<(&str, &str)>) {
        let found = named(OsStr::new(entry));
        let found = found
            .as_ref()
            .map(|d| (d.name.as_str(), d.version.as_str()));
        assert_eq!(found, expected, "{entry:?}");
    }

    #[test]
    fn a_distribution_is_known_by_the_name_of_its_entry() {
        check("pip-23.2.1.dist-info", Some(("pip", "23.2.1")));
        check(
            "Ruamel.Yaml_x-1.0.dist-info",
            Some(("ruamel-yaml-x", "1.0")),
        );
        check(
            "foo-bar-1.0+local.dist-info",
            Some(("foo-bar", "1.0+local")),
        );
        check("six-1.16.0-py3.11.egg-info", Some(("six", "1.16.0")));
        check("six-1.16.0-py3.6-linux.egg-info", Some(("six", "1.16.0")));
        check("six-py2-1.0.egg-info", Some(("six-py2", "1.0")));
        check("six.egg-info", Some(("six", "")));
        check("my_tool.egg-link", Some(("my-tool", "")));
        for entry in [
            "",
            "pip",
            "pip.dist-info",
            "-1.0.dist-info",
            ".dist-info",
            "~ip-23.2.1.dist-info",
            "pip-23.2.1.dist-info.tmp",
            "_-1.0.dist-info",
        ] {
            check(entry, None);
        }
    }

    #[test]
    fn a_listing_is_sorted_and_takes_directories_for_what_they_are() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        for dir in ["zip-1.dist-info", "A-2.dist-info", "b-1.egg-info", "code"] {
            std::fs::create_dir(path(dir)).unwrap();
        }
        for file in ["c-1.egg-info", "d.egg-link", "file-1.dist-info"] {
            std::fs::write(path(file), "").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink("zip-1.dist-info", path("link-1.dist-info")).unwrap();
        let fs = RealFs::new();
        let dir = fs.open_path(place.path()).unwrap();
        let found = distributions(&fs, &dir).unwrap();
        let found: Vec<_> = found.iter().map(|d| (d.name.as_str(), d.kind)).collect();
        assert_eq!(
            found,
            [
                ("a", DistributionKind::DistInfo),
                ("b", DistributionKind::EggInfo),
                ("c", DistributionKind::EggInfo),
                ("d", DistributionKind::EggLink),
                ("zip", DistributionKind::DistInfo),
            ]
        );
    }

    proptest! {
        #[test]
        fn no_name_is_too_strange_to_be_read(
            stem in "\\PC{0,12}",
            end in "(-py3)?.(dist|egg)-(info|link)",
        ) {
            if let Some(found) = named(OsStr::new(&format!("{stem}{end}"))) {
                prop_assert!(!found.name.is_empty());
            }
        }
    }
}
