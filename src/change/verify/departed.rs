//! Distributions that rvenv published and that another installer replaced or uninstalled since.
//!
//! The receipt lists the paths of every distribution, and the digest of each `RECORD` among them. A
//! `RECORD` with another digest belongs to another installation of the distribution. Without its
//! `.dist-info` directory the distribution was uninstalled, or replaced by another version.
//!
//! Promises to call nothing replaced that is only damaged: a new `RECORD` must be readable to its
//! last row and list itself, and an uninstalled distribution has left no file. Everything else is
//! compared with the receipt, as before. Does not promise to attribute a file that a distribution
//! published under a name of its own, if the new `RECORD` does not list it and it still exists:
//! that file stays a managed path.
//!
//! Read next: `wheel/distributions.rs`, what is installed now; `repair.rs`, which leaves such paths
//! alone.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use rvenv_journal::fs::{Dir, FsError, Kind};
use rvenv_journal::raw::PublishedPath;
use rvenv_journal::{Digest, Fs, Receipt, RelPath};

use super::open_within::{Sight, Within, has_lib64, place};
use crate::build::pyvenv_cfg::CONFIG_NAME;
use crate::change::existing::{Lib, bin_name};
use crate::python::bytecode::path::is_bytecode;
use crate::wheel::distributions::{Distribution, named};
use crate::wheel::record::rows;
use crate::wheel::{is_reserved, normal_name};

/// The maximum length of a `RECORD`.
pub(crate) const LIST_BYTES_MAX: u64 = 64 << 20;
/// Scripts of distributions that have other names than the distribution.
const OTHER_SCRIPTS: [(&str, &str); 1] = [("setuptools", "easy_install")];
/// What every environment has at its top, besides its scripts.
const TOPS: [&str; 7] = [
    "lib",
    "lib64",
    "Lib",
    "include",
    "Include",
    CONFIG_NAME,
    ".gitignore",
];

/// A distribution that rvenv published and that is no longer installed as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departed {
    /// What rvenv published.
    pub published: Distribution,
    /// The directory that it was published in, below the environment.
    pub site_packages: String,
    /// What is installed under its name now; `None` if it was uninstalled.
    pub replacement: Option<Distribution>,
}

/// Every distribution of this kind, and the paths of the receipt that belong to them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Departures {
    pub(crate) distributions: Vec<Departed>,
    pub(crate) paths: BTreeSet<RelPath>,
}

/// A distribution as the receipt has it.
struct Published {
    distribution: Distribution,
    /// Its `RECORD`.
    list: String,
    digest: Digest,
    site_packages: String,
}

/// The distributions that a receipt lists.
fn published(receipt: &Receipt) -> impl Iterator<Item = Published> + use<'_> {
    receipt.paths.iter().filter_map(|(path, node)| {
        let PublishedPath::File { digest, .. } = node else {
            return None;
        };
        let info = path.as_str().strip_suffix("/RECORD")?;
        let (site_packages, entry) = info.rsplit_once('/')?;
        Some(Published {
            distribution: named(OsStr::new(entry))?,
            list: path.as_str().to_owned(),
            digest: *digest,
            site_packages: site_packages.to_owned(),
        })
    })
}

/// Whether a receipt lists a distribution in a directory.
pub(super) fn is_published(
    receipt: &Receipt,
    site_packages: &str,
    distribution: &Distribution,
) -> bool {
    let info = format!("{site_packages}/{}", distribution.dir);
    RelPath::new(&info).is_ok_and(|info| receipt.paths.contains_key(&info))
}

/// Finds the distributions that another installer replaced or uninstalled.
///
/// # Errors
/// The error of the disk.
pub(crate) fn departures(
    fs: &dyn Fs,
    root: &Dir,
    receipt: &Receipt,
    libs: &[Lib],
) -> Result<Departures, FsError> {
    let bin = bin_name(fs, root)?;
    let mut search = Search {
        fs,
        receipt,
        libs,
        within: Within::new(fs, root.clone()),
        lib64: has_lib64(fs, root),
        bin: bin.and_then(|bin| RelPath::new(bin).ok()),
    };
    let mut gone = Vec::new();
    let mut stays = Vec::new();
    for published in published(receipt) {
        match search.fate(&published)? {
            Fate::Stays => stays.push(published.list),
            Fate::Uninstalled => gone.push((published, None)),
            Fate::Replaced(by) => gone.push((published, Some(by))),
        }
    }
    let mut found = Departures::default();
    if gone.is_empty() {
        return Ok(found);
    }
    let mut kept = BTreeSet::new();
    for list in stays.into_iter().chain(others(libs, &gone)) {
        kept.extend(search.rows(&list)?);
    }
    for (published, replacement) in gone {
        let listed = match &replacement {
            Some(by) => search.rows(&format!("{}/{}/RECORD", published.site_packages, by.dir))?,
            None => BTreeSet::new(),
        };
        let own = search.paths(&published, &listed, &kept)?;
        if replacement.is_none() && search.has_files(&own)? {
            continue;
        }
        found.paths.extend(own);
        found.distributions.push(Departed {
            published: published.distribution,
            site_packages: published.site_packages,
            replacement,
        });
    }
    Ok(found)
}

/// The lists of the installed distributions that replace none of these.
fn others(libs: &[Lib], gone: &[(Published, Option<Distribution>)]) -> Vec<String> {
    let is_other = |one: &Distribution| gone.iter().all(|(_, by)| by.as_ref() != Some(one));
    let of = |lib: &Lib| {
        let others = lib.distributions.iter().filter(|one| is_other(one));
        let list = |one: &Distribution| format!("{}/{}/RECORD", lib.path, one.dir);
        others.map(list).collect::<Vec<_>>()
    };
    libs.iter().flat_map(of).collect()
}

enum Fate {
    Stays,
    Replaced(Distribution),
    Uninstalled,
}

struct Search<'a> {
    fs: &'a dyn Fs,
    receipt: &'a Receipt,
    /// The directories of packages.
    libs: &'a [Lib],
    within: Within<'a>,
    lib64: bool,
    /// The directory of scripts, if there is one.
    bin: Option<RelPath>,
}

impl Search<'_> {
    fn fate(&mut self, published: &Published) -> Result<Fate, FsError> {
        let sight = self.within.look(&published.list)?;
        if let Sight::There(dir, name, meta) = sight {
            let is_other = meta.kind == Kind::File
                && meta.len <= LIST_BYTES_MAX
                && self.fs.digest_file(&dir, name)? != published.digest
                && self.is_whole(published)?;
            return Ok(if is_other {
                Fate::Replaced(published.distribution.clone())
            } else {
                Fate::Stays
            });
        }
        let info = format!("{}/{}", published.site_packages, published.distribution.dir);
        if !matches!(self.within.look(&info)?, Sight::Absent) {
            return Ok(Fate::Stays);
        }
        // No installer removes the directories of the environment itself.
        let mut libs = self.libs.iter();
        let Some(lib) = libs.find(|lib| lib.path.as_str() == published.site_packages) else {
            return Ok(Fate::Stays);
        };
        let own = &published.distribution;
        let mut all = lib.distributions.iter();
        if let Some(other) = all.find(|other| other.name == own.name && other.dir != own.dir) {
            return Ok(Fate::Replaced(other.clone()));
        }
        Ok(if self.bin.is_some() {
            Fate::Uninstalled
        } else {
            Fate::Stays
        })
    }

    /// Whether the `RECORD` of a distribution is readable to its last row and lists itself.
    fn is_whole(&mut self, published: &Published) -> Result<bool, FsError> {
        let Sight::There(dir, name, _) = self.within.look(&published.list)? else {
            return Ok(false);
        };
        let mut lists_itself = false;
        for row in rows(self.fs.open_file(&dir, name, LIST_BYTES_MAX)?) {
            let Ok((text, _)) = row else {
                return Ok(false);
            };
            let path = place(&published.site_packages, &text, self.lib64);
            lists_itself |= path.is_ok_and(|path| path == published.list);
        }
        Ok(lists_itself)
    }

    /// The paths in the environment that a `RECORD` lists; none if it cannot be read.
    fn rows(&mut self, list: &str) -> Result<BTreeSet<String>, FsError> {
        let site_packages = list.rsplitn(3, '/').nth(2).unwrap_or_default();
        let Sight::There(dir, name, meta) = self.within.look(list)? else {
            return Ok(BTreeSet::new());
        };
        if meta.kind != Kind::File || meta.len > LIST_BYTES_MAX {
            return Ok(BTreeSet::new());
        }
        let rows = rows(self.fs.open_file(&dir, name, LIST_BYTES_MAX)?);
        let paths = rows.filter_map(Result::ok);
        let paths = paths.filter_map(|(text, _)| place(site_packages, &text, self.lib64).ok());
        Ok(paths.collect())
    }

    /// The paths of the receipt that belong to a distribution which is not installed any more. Its
    /// own `RECORD` is gone, so they are known by the new one, by its name, and by what other
    /// distributions list.
    fn paths(
        &mut self,
        published: &Published,
        listed: &BTreeSet<String>,
        kept: &BTreeSet<String>,
    ) -> Result<BTreeSet<RelPath>, FsError> {
        let below = format!("{}/", published.site_packages);
        let top = |path: &str| -> Option<String> {
            let rest = path.strip_prefix(&below)?;
            rest.split('/').next().map(str::to_owned)
        };
        let tops = |paths: &BTreeSet<String>| -> BTreeSet<String> {
            paths.iter().filter_map(|path| top(path)).collect()
        };
        let (new, others) = (tops(listed), tops(kept));
        let own = &published.distribution;
        let mut found = BTreeSet::new();
        for (path, node) in &self.receipt.paths {
            let text = path.as_str();
            let is_own = match top(text) {
                _ if kept.contains(text) => false,
                // A namespace: what is absent, and no other distribution lists, went with it.
                Some(top) if others.contains(&top) => self.is_absent(text)?,
                Some(top) => {
                    new.contains(&top)
                        || top == own.dir
                        || normal_name(&top) == own.name
                        || self.is_absent(text)?
                }
                None => {
                    let bin = self.bin.as_ref();
                    let is_own_script = || bin.is_some_and(|bin| is_script(own, path, bin));
                    listed.contains(text)
                        || matches!(node, PublishedPath::File { .. }) && is_own_script()
                        || self.went_along(path, &published.site_packages)?
                }
            };
            if is_own {
                found.insert(path.clone());
            }
        }
        Ok(found)
    }

    /// Whether a path outside of the directory of packages is gone, and is none of those that every
    /// environment has: then it went with the distribution that it came with.
    fn went_along(&mut self, path: &RelPath, site_packages: &str) -> Result<bool, FsError> {
        let text = path.as_str();
        let is_script_of_frame = |bin: &RelPath| path == bin || is_reserved(path, bin);
        let is_frame = TOPS.contains(&text)
            || site_packages.starts_with(text)
            || text.starts_with("include/python")
            || self.bin.as_ref().is_none_or(is_script_of_frame);
        Ok(!is_frame && self.is_absent(text)?)
    }

    fn is_absent(&mut self, path: &str) -> Result<bool, FsError> {
        Ok(matches!(self.within.look(path)?, Sight::Absent))
    }

    /// Whether a file other than bytecode exists among some paths.
    fn has_files(&mut self, paths: &BTreeSet<RelPath>) -> Result<bool, FsError> {
        for path in paths.iter().map(RelPath::as_str) {
            if !is_bytecode(path)
                && let Sight::There(_, _, meta) = self.within.look(path)?
                && meta.kind != Kind::Dir
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether a file has the name of a script of a distribution: `pip`, `pip3`, `pip3.11`, `pip-3.11`,
/// with `.exe` on Windows.
fn is_script(own: &Distribution, path: &RelPath, bin: &RelPath) -> bool {
    if path.parent().as_ref() != Some(bin) {
        return false;
    }
    let name = path.name();
    let name = name.strip_suffix(".exe").unwrap_or(name);
    let other = OTHER_SCRIPTS.iter().find(|(of, _)| *of == own.name);
    let mut stems = std::iter::once(own.name.as_str()).chain(other.map(|(_, stem)| *stem));
    stems.any(|stem| {
        let rest = name.strip_prefix(stem);
        rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || "-.".contains(c)))
    })
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test lays out an environment by hand"
)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use rvenv_journal::fs::real::RealFs;

    use super::*;
    use crate::change::existing::Libs;

    /// A tree with the layout of Windows, as pip and a data file of it were published there.
    const OF_WINDOWS: [&str; 8] = [
        "Lib/site-packages/pip-24.0.dist-info/RECORD",
        "Lib/site-packages/pip/__init__.py",
        "Lib/site-packages/six.py",
        "Scripts/pip3.12.exe",
        "Scripts/python.exe",
        "Include/x.h",
        "man/pip.1",
        "pyvenv.cfg",
    ];

    #[test]
    fn what_was_uninstalled_is_known_in_the_layout_of_windows() {
        let place = tempfile::tempdir().unwrap();
        let mut paths = BTreeMap::new();
        for path in OF_WINDOWS {
            let at = place.path().join(path);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(at, "").unwrap();
            let mut path = RelPath::new(path).unwrap();
            let file = PublishedPath::File {
                mode: 0o644,
                digest: Digest::of(b""),
                len: 0,
                mtime: None,
            };
            paths.insert(path.clone(), file);
            while let Some(above) = path.parent() {
                paths.insert(above.clone(), PublishedPath::Dir { mode: 0o755 });
                path = above;
            }
        }
        let receipt = Receipt {
            plan: Digest::of(b""),
            root_mode: 0o755,
            is_shared: false,
            statements: BTreeMap::new(),
            paths,
        };
        let disk = RealFs::new();
        let root = disk.open_path(place.path()).unwrap();
        let found = || {
            let libs = Libs::read(&disk, &root).unwrap().libs;
            departures(&disk, &root, &receipt, &libs).unwrap()
        };
        assert!(found().paths.is_empty());
        for path in [
            "Lib/site-packages/pip-24.0.dist-info",
            "Lib/site-packages/pip",
            "man",
        ] {
            fs::remove_dir_all(place.path().join(path)).unwrap();
        }
        // Its script is of its own name, and still there.
        assert!(found().paths.is_empty());
        fs::remove_file(place.path().join("Scripts/pip3.12.exe")).unwrap();
        let found = found();
        assert_eq!(found.distributions.len(), 1);
        let paths: Vec<&str> = found.paths.iter().map(RelPath::as_str).collect();
        let own = [
            "Lib/site-packages/pip",
            "Lib/site-packages/pip/__init__.py",
            "Lib/site-packages/pip-24.0.dist-info",
            "Lib/site-packages/pip-24.0.dist-info/RECORD",
            "Scripts/pip3.12.exe",
            "man",
            "man/pip.1",
        ];
        assert_eq!(paths, own);
    }

    #[test]
    fn a_script_is_known_by_the_name_of_its_distribution() {
        let of = |entry: &str| named(OsStr::new(entry)).unwrap();
        let is = |own: &str, path: &str, bin: &str| {
            let (path, bin) = (RelPath::new(path).unwrap(), RelPath::new(bin).unwrap());
            is_script(&of(own), &path, &bin)
        };
        let pip = "pip-24.0.dist-info";
        for name in ["bin/pip", "bin/pip3", "bin/pip3.11", "bin/pip-3.11"] {
            assert!(is(pip, name, "bin"), "{name}");
        }
        for name in ["bin/pipx", "bin/activate", "share/pip", "pip"] {
            assert!(!is(pip, name, "bin"), "{name}");
        }
        for name in ["Scripts/pip.exe", "Scripts/pip3.exe", "Scripts/pip3.11.exe"] {
            assert!(is(pip, name, "Scripts"), "{name}");
        }
        let setuptools = "setuptools-65.5.0.dist-info";
        assert!(is(setuptools, "bin/easy_install-3.11", "bin"));
    }
}
