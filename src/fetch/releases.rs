//! Releases: which wheel of a release, or of the newest release, an interpreter gets.
//!
//! Promises what pip does: directories count before indexes for a release, and for the newest one
//! all are compared; a preview counts only where there is nothing else; a release that was yanked
//! counts only if it is asked for by its version (PEP 592); and no wheel counts whose
//! `Requires-Python` or tags exclude the interpreter. Finds the source distribution of a release
//! where that is asked for. Fetches no file.
//!
//! Read next: `pages.rs`; `lock/choose.rs`, where a lock names the wheels itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::asked::{Asked, AskedError, Hashes};
use super::failure::FetchFailed;
use super::fetcher::{FetchControl, Fetcher};
use super::index_page::IndexFile;
use super::pages::Pages;
use super::place::PlaceError;
use crate::base::version::{self, Specifiers};
use crate::lock::{Environment, sdist_version};
use crate::wheel::wheelhouse::{Wheelhouse, WheelhouseError};
use crate::wheel::{Catalogue, Named, Release, normal_name, requires_python};

/// How many wheels a message names.
const SHOWN_WHEELS: usize = 8;

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The name in its normal form.
    pub name: String,
    /// The version; `None` for the newest.
    pub version: Option<String>,
    /// The digests that the wheel may have; any if there is none.
    pub hashes: Hashes,
    /// What kind of file.
    form: Form,
}

/// What kind of file is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    #[default]
    Wheel,
    Sdist,
}

impl Wanted {
    /// The newest release of a name.
    #[must_use]
    pub fn newest(name: &str) -> Self {
        Self {
            name: normal_name(name),
            version: None,
            hashes: Hashes::default(),
            form: Form::Wheel,
        }
    }

    /// Only files with one of these digests.
    #[must_use]
    pub fn with_hashes(self, hashes: Hashes) -> Self {
        Self { hashes, ..self }
    }

    /// The source distribution in place of a wheel.
    #[must_use]
    pub fn as_sdist(self) -> Self {
        Self {
            form: Form::Sdist,
            ..self
        }
    }

    /// A release, in whatever wheel.
    #[must_use]
    pub fn exactly(release: &Release) -> Self {
        Self {
            version: Some(release.version.clone()),
            ..Self::newest(&release.name)
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The wheel.
    pub asked: Asked,
    /// Why its release was yanked, if it was; may be empty.
    pub yanked: Option<String>,
}

/// Why there is no wheel.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NoWheel {
    /// An index cannot be asked.
    #[error("cannot look for `{name}`")]
    Index {
        /// The distribution.
        name: String,
        /// Why.
        #[source]
        source: Arc<PlaceError>,
    },
    /// No place has a wheel that fits.
    #[error("no wheel of `{name}`{} that fits is there: {}", of(version.as_deref()), found(names))]
    Nowhere {
        /// The distribution.
        name: String,
        /// The version; `None` if any would do.
        version: Option<String>,
        /// The wheels that were found.
        names: Vec<String>,
    },
    /// The wheel cannot be asked for.
    #[error(transparent)]
    Asked(#[from] AskedError),
}

fn of(version: Option<&str>) -> String {
    version.map_or_else(String::new, |version| {
        format!(" {}", version.escape_debug())
    })
}

fn found(names: &[String]) -> String {
    let quoted = |name: &String| format!("`{}`", name.escape_debug());
    match names {
        [] => "no place has this release".to_owned(),
        [one] => format!("there is only {}", quoted(one)),
        several => {
            let shown: Vec<String> = several.iter().take(SHOWN_WHEELS).map(quoted).collect();
            format!("there are only {}", shown.join(", "))
        }
    }
}

/// Where wheels are looked for, and for which interpreter.
#[derive(Debug)]
pub struct Releases<'a> {
    environment: &'a Environment,
    fetcher: &'a Fetcher,
    catalogue: &'a Catalogue,
    houses: Vec<Wheelhouse>,
}

/// A wheel that may be chosen.
struct Candidate<'a> {
    file_name: &'a str,
    version: String,
    at: At<'a>,
}

enum At<'a> {
    Path(&'a Path),
    Page(&'a IndexFile),
}

impl<'a> Releases<'a> {
    /// Lists these directories of wheels and those that the fetcher's settings name; its pages
    /// come after them.
    ///
    /// # Errors
    /// A directory that cannot be listed.
    pub fn new(
        environment: &'a Environment,
        fetcher: &'a Fetcher,
        catalogue: &'a Catalogue,
        houses: &[PathBuf],
    ) -> Result<Self, WheelhouseError> {
        let houses = houses.iter().map(|path| Wheelhouse::read(path));
        let linked = fetcher.linked().map(|path| {
            if path.is_dir() {
                Wheelhouse::read(path)
            } else {
                Ok(Wheelhouse::of_file(path))
            }
        });
        Ok(Self {
            environment,
            fetcher,
            catalogue,
            houses: houses.chain(linked).collect::<Result<_, _>>()?,
        })
    }

    /// Finds a wheel for each. Asks no index for what a directory has, but for the newest.
    ///
    /// # Errors
    /// An interruption.
    pub fn find(
        &self,
        all: &[Wanted],
        control: &FetchControl<'_>,
    ) -> Result<Vec<Result<Offer, NoWheel>>, FetchFailed> {
        let nothing = Pages::default();
        let is_missing = |wanted: &&Wanted| {
            wanted.version.is_none() || self.choose(wanted, &nothing, control).is_err()
        };
        let missing = all.iter().filter(is_missing);
        let names: BTreeSet<String> = missing.map(|wanted| wanted.name.clone()).collect();
        let pages = if names.is_empty() {
            nothing
        } else {
            self.fetcher.pages(names, control)?
        };
        let choose = |one| self.choose(one, &pages, control);
        Ok(all.iter().map(choose).collect())
    }

    fn choose(
        &self,
        wanted: &Wanted,
        pages: &Pages,
        control: &FetchControl<'_>,
    ) -> Result<Offer, NoWheel> {
        let mut groups: Vec<Vec<Candidate<'_>>> = Vec::new();
        for house in &self.houses {
            let files = match wanted.form {
                Form::Wheel => house.wheels().iter(),
                Form::Sdist => house.others().iter(),
            };
            groups.push(files.filter_map(|path| in_house(path, wanted)).collect());
        }
        if wanted.version.is_some()
            && let Some(best) = groups
                .iter()
                .find_map(|group| self.best(group, wanted.form, control))
        {
            return best.offer(wanted);
        }
        for page in pages.of(&wanted.name) {
            let page = page.as_ref().map_err(|source| NoWheel::Index {
                name: wanted.name.clone(),
                source: Arc::clone(source),
            })?;
            let files = page.iter().flat_map(|files| files.iter());
            groups.push(files.filter_map(|file| on_page(file, wanted)).collect());
        }
        let best = match wanted.version {
            // One that was not yanked counts more, whichever index has it.
            Some(_) => groups
                .iter()
                .find_map(|group| {
                    let all = group.iter().filter(|one| one.yanked().is_none());
                    self.best(all, wanted.form, control)
                })
                .or_else(|| {
                    groups
                        .iter()
                        .find_map(|group| self.best(group, wanted.form, control))
                }),
            None => self.newest(groups.iter().flatten().collect(), control),
        };
        if let Some(best) = best {
            return best.offer(wanted);
        }
        let names = groups.iter().flatten();
        Err(NoWheel::Nowhere {
            name: wanted.name.clone(),
            version: wanted.version.clone(),
            names: names.map(|one| one.file_name.to_owned()).collect(),
        })
    }

    /// The best wheel of one release. If a page does not say for which Pythons it is, its metadata
    /// does, where that can be had by itself (PEP 658): a wheel that does not fit is not fetched.
    fn best<'c, 'f>(
        &self,
        all: impl IntoIterator<Item = &'c Candidate<'f>>,
        form: Form,
        control: &FetchControl<'_>,
    ) -> Option<&'c Candidate<'f>>
    where
        'f: 'c,
    {
        let fits = all.into_iter().filter(|one| self.is_on_offer(one));
        let mut fits: Vec<_> = fits.collect();
        loop {
            let names = fits.iter().map(|one| one.file_name);
            let at = match form {
                Form::Wheel => self.environment.best_of(names)?,
                Form::Sdist => 0,
            };
            let best = *fits.get(at)?;
            if self.metadata_fits(best, control) {
                return Some(best);
            }
            fits.remove(at);
        }
    }

    /// Whether the metadata of a wheel on a page does not exclude the interpreter; what cannot be
    /// had excludes nothing.
    fn metadata_fits(&self, candidate: &Candidate<'_>, control: &FetchControl<'_>) -> bool {
        match candidate.at {
            At::Page(file) if file.requires_python.is_none() => {
                let text = self.fetcher.metadata(file, control);
                self.is_in(text.as_deref().and_then(requires_python))
            }
            At::Page(_) | At::Path(_) => true,
        }
    }

    /// The best wheel of the newest release that has one.
    fn newest<'c, 'f>(
        &self,
        mut all: Vec<&'c Candidate<'f>>,
        control: &FetchControl<'_>,
    ) -> Option<&'c Candidate<'f>> {
        all.retain(|one| one.yanked().is_none());
        if all.iter().any(|one| !version::is_preview(&one.version)) {
            all.retain(|one| !version::is_preview(&one.version));
        }
        all.sort_by(|one, other| version::compare(&other.version, &one.version));
        let same = |one: &&Candidate<'_>, other: &&Candidate<'_>| {
            version::compare(&one.version, &other.version).is_eq()
        };
        all.chunk_by(same).find_map(|release| {
            let best = self.best(release.iter().copied(), Form::Wheel, control)?;
            self.admits_interpreter(best).then_some(best)
        })
    }

    /// Whether a page offers a wheel to this interpreter's version.
    fn is_on_offer(&self, candidate: &Candidate<'_>) -> bool {
        match candidate.at {
            At::Page(file) => self.is_in(file.requires_python.as_deref()),
            At::Path(_) => true,
        }
    }

    /// Whether the METADATA of a wheel admits the interpreter: directories have no pages.
    fn admits_interpreter(&self, candidate: &Candidate<'_>) -> bool {
        match candidate.at {
            At::Page(_) => true,
            // One that cannot be read is refused when it is used, by its name.
            At::Path(path) => self
                .catalogue
                .open(path)
                .map_or(true, |wheel| self.is_in(wheel.requires_python().as_deref())),
        }
    }

    /// Whether the interpreter is in a range; in one that nobody can read, as for pip, it is.
    fn is_in(&self, range: Option<&str>) -> bool {
        let range = range.and_then(|text| Specifiers::parse(text).ok());
        range.is_none_or(|range| self.environment.is_in(&range))
    }
}

impl Candidate<'_> {
    fn yanked(&self) -> Option<&str> {
        match self.at {
            At::Page(file) => file.yanked.as_deref(),
            At::Path(_) => None,
        }
    }

    fn offer(&self, wanted: &Wanted) -> Result<Offer, NoWheel> {
        let asked = match self.at {
            At::Page(file) => file.ask(&wanted.hashes),
            At::Path(path) => {
                let asked = if wanted.hashes.is_empty() {
                    Asked::without_hashes(self.file_name)
                } else {
                    Asked::new(self.file_name, wanted.hashes.clone())
                };
                asked.map(|asked| asked.at_path(path.to_owned()))
            }
        };
        Ok(Offer {
            asked: asked?,
            yanked: self.yanked().map(str::to_owned),
        })
    }
}

fn in_house<'a>(path: &'a Path, wanted: &Wanted) -> Option<Candidate<'a>> {
    Some(Candidate {
        file_name: path.file_name()?.to_str()?,
        version: version_of(path, wanted)?,
        at: At::Path(path),
    })
}

/// A hash that is asked for and that the page denies belongs to another file.
fn on_page<'a>(file: &'a IndexFile, wanted: &Wanted) -> Option<Candidate<'a>> {
    let version = version_of(Path::new(&file.name), wanted)?;
    let is_denied = wanted.hashes.agree(&file.hashes) == Some(false);
    (!is_denied).then_some(Candidate {
        file_name: &file.name,
        version,
        at: At::Page(file),
    })
}

/// The version of a file, if it is one that is wanted.
fn version_of(path: &Path, wanted: &Wanted) -> Option<String> {
    let found = match wanted.form {
        Form::Wheel => {
            let named = Named::of(path).filter(|named| named.name == wanted.name);
            named?.version
        }
        Form::Sdist => sdist_version(path.file_name()?.to_str()?, &wanted.name)?,
    };
    let is_it = |version: &String| version::compare(version, &found).is_eq();
    let is_wanted = wanted.version.as_ref().is_none_or(is_it);
    is_wanted.then_some(found)
}
