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
use crate::python::bytecode::path::is_bytecode;
use crate::wheel::distributions::{Distribution, distributions, named};
use crate::wheel::record::rows;
use crate::wheel::{is_reserved, normal_name};

/// The maximum length of a `RECORD`.
pub(crate) const LIST_BYTES_MAX: u64 = 64 << 20;
/// Scripts of distributions that have other names than the distribution.
const OTHER_SCRIPTS: [(&str, &str); 1] = [("setuptools", "easy_install")];

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
) -> Result<Departures, FsError> {
    let mut search = Search {
        fs,
        receipt,
        within: Within::new(fs, root.clone()),
        lib64: has_lib64(fs, root),
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
    for list in stays {
        kept.extend(search.rows(&list)?);
    }
    for (published, replacement) in gone {
        let listed = match &replacement {
            Some(by) => search.rows(&format!("{}/{}/RECORD", published.site_packages, by.dir))?,
            None => BTreeSet::new(),
        };
        let own = search.paths(&published, (&listed, &kept))?;
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

/// The other installations of a published distribution in its directory.
fn others(
    fs: &dyn Fs,
    within: &mut Within<'_>,
    published: &Published,
) -> Result<Vec<Distribution>, FsError> {
    let Some(site_packages) = within.open(&published.site_packages)? else {
        return Ok(Vec::new());
    };
    let own = &published.distribution;
    let mut found = distributions(fs, &site_packages)?;
    found.retain(|other| other.name == own.name && other.dir != own.dir);
    Ok(found)
}

enum Fate {
    Stays,
    Replaced(Distribution),
    Uninstalled,
}

struct Search<'a> {
    fs: &'a dyn Fs,
    receipt: &'a Receipt,
    within: Within<'a>,
    lib64: bool,
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
        let mut others = others(self.fs, &mut self.within, published)?;
        if !others.is_empty() {
            return Ok(Fate::Replaced(others.swap_remove(0)));
        }
        // No installer removes the directories of the environment itself.
        let is_whole = self.within.open(&published.site_packages)?.is_some()
            && self.within.open("bin")?.is_some();
        Ok(if is_whole {
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
        (listed, kept): (&BTreeSet<String>, &BTreeSet<String>),
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
                Some(top) if others.contains(&top) => false,
                Some(top) => {
                    new.contains(&top)
                        || top == own.dir
                        || normal_name(&top) == own.name
                        || !matches!(
                            self.within.look(&format!("{below}{top}"))?,
                            Sight::There(..)
                        )
                }
                None if kept.contains(text) => false,
                None => {
                    listed.contains(text)
                        || matches!(node, PublishedPath::File { .. }) && is_script(own, text)
                        || self.went_along(text, &published.site_packages)?
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
    fn went_along(&mut self, path: &str, site_packages: &str) -> Result<bool, FsError> {
        let tops = ["bin", "lib", "lib64", "include", CONFIG_NAME, ".gitignore"];
        let bin = RelPath::new("bin");
        let is_reserved =
            RelPath::new(path).is_ok_and(|path| bin.is_ok_and(|bin| is_reserved(&path, &bin)));
        let is_frame = tops.contains(&path)
            || site_packages.starts_with(path)
            || path.starts_with("include/python")
            || is_reserved;
        Ok(!is_frame && matches!(self.within.look(path)?, Sight::Absent))
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

/// Whether a file has the name of a script of a distribution: `pip`, `pip3`, `pip3.11`, `pip-3.11`.
fn is_script(own: &Distribution, path: &str) -> bool {
    let Some(name) = path.strip_prefix("bin/") else {
        return false;
    };
    let other = OTHER_SCRIPTS.iter().find(|(of, _)| *of == own.name);
    let mut stems = std::iter::once(own.name.as_str()).chain(other.map(|(_, stem)| *stem));
    stems.any(|stem| {
        let rest = name.strip_prefix(stem);
        rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || "-.".contains(c)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_known_by_the_name_of_its_distribution() {
        let of = |entry: &str| named(OsStr::new(entry)).unwrap();
        let pip = of("pip-24.0.dist-info");
        for name in ["bin/pip", "bin/pip3", "bin/pip3.11", "bin/pip-3.11"] {
            assert!(is_script(&pip, name), "{name}");
        }
        for name in ["bin/pipx", "bin/activate", "share/pip", "pip"] {
            assert!(!is_script(&pip, name), "{name}");
        }
        assert!(is_script(
            &of("setuptools-65.5.0.dist-info"),
            "bin/easy_install-3.11"
        ));
    }
}
