//! Mending: what a repair needs for damaged distributions.
//!
//! What the content store has comes from there. A wheel comes from the cache, if that still has the
//! one that the receipt names, from the file that the distribution was installed from, from those
//! that are bundled with the interpreter, from the places of `--from` by its digest, or from the
//! sources of the command line and of pip's configuration. Everything is looked up before the lock,
//! so that nothing is written when a wheel is missing; the repair looks again under the lock at
//! what is damaged.
//!
//! Promises to write nothing to the target. Does not fetch what came from a directory or a
//! repository, nor, unless the command line names a source, what came from a file: an index may
//! have another distribution under that name.
//!
//! Read next: `change/repair/whole.rs`, which plans the wheels.

use std::path::{Path, PathBuf};

use rvenv_journal::Digest;
use tempfile::TempDir;

use super::caller::Caller;
use super::fetching::{FetchingFailed, Looked};
use super::request::{AskedPython, RequestFailed, at_work};
use crate::base::version;
use crate::build::hooks::Context;
use crate::build::options::Options;
use crate::change::existing::{Existing, ExistingError};
use crate::change::provision::StoreAccess;
use crate::change::repair::{self, Found, Need, Source, has_published_bytecode, published_base};
use crate::fetch::{Asked, FETCHED, Hashes};
use crate::python::{Bundled, Purpose, Request};
use crate::wheel::Named;
use crate::wheel::Release;
use crate::wheel::Sources;
use crate::wheel::origin::Origin;

/// The context of a repair, and the wheels that it may need.
#[derive(Debug)]
pub struct RepairAnswer {
    /// Everything that a hook may know.
    pub context: Context,
    /// The wheels of damaged distributions, or why there are none.
    pub found: Vec<Found>,
    /// The directory of the fetched wheels if there is no cache; it is deleted with this value.
    pub downloads: Option<TempDir>,
}

impl Caller<'_> {
    /// The context of a repair: what the environment says about itself, or else what its receipt
    /// says; and the wheels of damaged distributions, from these sources.
    ///
    /// Bytecode is restored if it was published.
    ///
    /// # Errors
    /// See [`RequestFailed`].
    pub fn prepare_repair(
        &self,
        env_dir: &str,
        named: &Request,
        purpose: Purpose,
        sources: &Sources,
    ) -> Result<RepairAnswer, RequestFailed> {
        let path = Path::new(env_dir);
        let (root, real) = self.open_existing(path)?;
        let compile_bytecode = has_published_bytecode(self.fs, &root);
        let existing = match Existing::read(self.fs, &root, &real) {
            Ok(existing) => Ok(existing),
            Err(error @ (ExistingError::NoConfig(_) | ExistingError::Config { .. })) => Err(error),
            Err(error) => return Err(error.into()),
        };
        let choices = existing.as_ref().map(Existing::choices);
        let choices = choices.unwrap_or_default();
        let purpose = at_work(purpose, compile_bytecode);
        let readable = existing.as_ref().ok().cloned();
        let interpreter = match (named, existing) {
            (Request::Default, Ok(existing)) => self.base_of(&existing, path, purpose)?,
            (Request::Default, Err(error)) => {
                let base = published_base(self.fs, &root).ok_or(error)?;
                self.find_published(&base, [path, &real], purpose)?
            }
            (named, _) => self.find(&AskedPython::named(named), path)?,
        };
        let options = choices.over(Options {
            compile_bytecode,
            ..Options::default()
        });
        let mut context = self.context(env_dir, interpreter, options)?;
        self.compile(&mut context)?;
        let needs = readable.map(|existing| {
            let found = repair::needs(self.fs, &root, &existing, &context.interpreter);
            found.map_err(|source| ExistingError::Disk {
                path: real.clone(),
                source,
            })
        });
        let needs = needs.transpose()?.unwrap_or_default();
        let (found, downloads) = self.wheels_for(needs, &context, sources)?;
        Ok(RepairAnswer {
            context,
            found,
            downloads,
        })
    }

    /// Finds a wheel for each need.
    ///
    /// # Errors
    /// An interruption.
    fn wheels_for(
        &self,
        needs: Vec<Need>,
        context: &Context,
        sources: &Sources,
    ) -> Result<(Vec<Found>, Option<TempDir>), RequestFailed> {
        let mut found = Vec::new();
        let mut wanted = Vec::new();
        let access = StoreAccess {
            fs: self.fs,
            cache: self.host.cache.as_ref(),
        };
        for need in needs {
            let stored = need.listed.as_ref().and_then(|listed| listed.find(access));
            let stored = stored.map(|stored| Ok(Source::Store(stored)));
            let fetched = || Some(Ok(Source::Wheel(self.fetched_before(&need)?)));
            let at_hand = || at_hand(&need, context, sources).map(|at| at.map(Source::Wheel));
            match stored.or_else(fetched).or_else(at_hand) {
                Some(source) => found.push(Found {
                    release: need.release,
                    source,
                    again: need.again,
                }),
                None => wanted.push(need),
            }
        }
        let mut downloads = None;
        if !sources.from.is_empty() {
            let looked = Looked::only(sources);
            let (there, others) = self.by_digest(wanted, looked, context, &mut downloads)?;
            found.extend(there);
            wanted = others;
        }
        if wanted.is_empty() {
            return Ok((found, downloads));
        }
        let releases: Vec<Release> = wanted.iter().map(|need| need.release.clone()).collect();
        let fetched = self.exactly(&releases, Looked::only(sources), context, &mut downloads);
        let fetched = fetched.map_err(|failed| Box::new(FetchingFailed::from(failed)))?;
        for (need, wheel) in wanted.into_iter().zip(fetched) {
            let wheel = wheel.and_then(|wheel| match need.origin {
                Origin::Archive {
                    digest: Some(own), ..
                } if !has_digest(&wheel, own) => {
                    Err("the wheel that was found is not the one that was installed".to_owned())
                }
                Origin::Archive { .. }
                | Origin::Directory { .. }
                | Origin::Repository { .. }
                | Origin::Index
                | Origin::Unknown => Ok(wheel),
            });
            found.push(Found {
                release: need.release,
                source: wheel.map(Source::Wheel),
                again: need.again,
            });
        }
        Ok((found, downloads))
    }
}

impl Caller<'_> {
    /// Fetches the wheels that rvenv installed by their digests; returns also what is not found so.
    ///
    /// # Errors
    /// An interruption.
    fn by_digest(
        &self,
        needs: Vec<Need>,
        looked: Looked<'_>,
        context: &Context,
        downloads: &mut Option<TempDir>,
    ) -> Result<(Vec<Found>, Vec<Need>), RequestFailed> {
        let asked_of = |need: &Need| {
            let wheel = need.wheel.as_ref()?;
            let digits = wheel.digest.to_string();
            Asked::new(&wheel.file, Hashes::of([("sha256", digits.as_str())])).ok()
        };
        let asked: Vec<Asked> = needs.iter().filter_map(asked_of).collect();
        let failed = |failed: FetchingFailed| RequestFailed::from(Box::new(failed));
        let fetcher = self.fetcher(looked, context, downloads).map_err(failed)?;
        let files = self.fetch_control(|control| fetcher.fetch_each(&asked, control));
        let mut files = files.map_err(|why| failed(why.into()))?.into_iter();
        let (mut found, mut others) = (Vec::new(), Vec::new());
        for need in needs {
            match asked_of(&need).and_then(|_| files.next()) {
                Some(Ok(file)) => found.push(Found {
                    release: need.release,
                    source: Ok(Source::Wheel(file.path)),
                    again: need.again,
                }),
                Some(Err(_)) | None => others.push(need),
            }
        }
        Ok((found, others))
    }

    /// The wheel that rvenv installed, if the cache still has it.
    fn fetched_before(&self, need: &Need) -> Option<PathBuf> {
        let (wheel, cache) = (need.wheel.as_ref()?, self.host.cache.as_ref()?);
        cache.open_kind(FETCHED)?;
        let dir = cache.path().join(FETCHED).join(wheel.digest.to_string());
        let path = dir.join(&wheel.file);
        has_digest(&path, wheel.digest).then_some(path)
    }
}

/// The wheel that needs no download, or why there is none at all; `None` if one may be downloaded.
fn at_hand(need: &Need, context: &Context, sources: &Sources) -> Option<Result<PathBuf, String>> {
    let Sources {
        find_links,
        index_url,
        extra_index_urls,
        ..
    } = sources;
    let is_asked = !find_links.is_empty() || index_url.is_some() || !extra_index_urls.is_empty();
    match &need.origin {
        Origin::Index => {}
        Origin::Archive { url, digest } if need.origin.is_wheel() => {
            let path = need.origin.path();
            let is_it =
                |path: &PathBuf| path.is_file() && digest.is_none_or(|own| has_digest(path, own));
            if let Some(path) = path.filter(is_it) {
                return Some(Ok(path));
            }
            let gone = "and that file is not there any more";
            let reason = format!("it was installed from `{url}`, {gone}");
            return (!is_asked).then_some(Err(reason));
        }
        Origin::Archive { url, .. }
        | Origin::Directory { url, .. }
        | Origin::Repository { url, .. } => {
            let reason = format!("it was installed from `{url}`, which is no wheel");
            return Some(Err(reason));
        }
        Origin::Unknown => {
            let reason = "its direct_url.json, which says where it comes from, cannot be read";
            return (!is_asked).then_some(Err(reason.to_owned()));
        }
    }
    let bundled = match &context.interpreter.bundled {
        Bundled::Wheels(wheels) => wheels.as_slice(),
        Bundled::Missing { .. } => &[],
    };
    let is_it = |path: &&PathBuf| {
        Named::of(path).is_some_and(|named| {
            named.name == need.release.name
                && version::compare(&named.version, &need.release.version).is_eq()
        })
    };
    bundled.iter().find(is_it).map(|path| Ok(path.clone()))
}

fn has_digest(path: &Path, digest: Digest) -> bool {
    let bytes = crate::base::regular_file::read(path);
    bytes.is_ok_and(|bytes| Digest::of(&bytes) == digest)
}
