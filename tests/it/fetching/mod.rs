//! Fetching, against servers on loopback that break, lie and dawdle.
//!
//! Every test starts its own server, which ends with it. Nothing leaves this machine.
//! Read next: `../helpers/server.rs`; `caching.rs`, `downloads.rs`, `refusals.rs`, `indexes.rs`,
//! `releases.rs`, `kills.rs`, `killed_sync.rs`.

#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test damages what it made, and starts itself as another process"
)]

mod caching;
mod downloads;
mod indexes;
mod killed_sync;
mod kills;
mod refusals;
mod releases;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rvenv::Sources;
use rvenv::cache::Cache;
use rvenv::fetch::{
    Address, Asked, FetchControl, FetchFailed, FetchOptions, Fetched, Fetcher, Hashes, Settings,
};
use rvenv::python::Surroundings;
use rvenv::wheel::Catalogue;
use rvenv_journal::Digest;
use tempfile::TempDir;

use crate::server::Server;

const WHEEL: &str = "demo-1.0-py3-none-any.whl";

/// What a test configures.
struct Ground {
    place: TempDir,
    sources: Sources,
    options: FetchOptions,
    environment: Vec<(String, String)>,
    timeout: Duration,
    retries: u32,
}

impl Ground {
    /// A cache of its own, and a server whose host is the index's.
    fn new(server: &Server) -> Self {
        let index_url = Some(server.url("/simple/").into());
        Self {
            place: tempfile::tempdir().unwrap(),
            sources: Sources {
                index_url,
                ..Sources::default()
            },
            options: FetchOptions::default(),
            environment: vec![("PIP_CONFIG_FILE".into(), "/dev/null".into())],
            timeout: Duration::from_secs(20),
            retries: 3,
        }
    }

    fn cache(&self) -> Cache {
        Cache::at(self.place.path().canonicalize().unwrap().join("cache"))
    }

    fn fetcher(&self) -> Fetcher {
        self.fetcher_in(self.place.path())
    }

    /// The fetcher with the cache of another directory.
    fn fetcher_in(&self, place: &Path) -> Fetcher {
        self.fetcher_at(&place.canonicalize().unwrap().join("cache"))
    }

    /// The fetcher with another cache.
    fn fetcher_at(&self, cache: &Path) -> Fetcher {
        let cache = Cache::at(cache);
        let pairs = self.environment.iter();
        let around = Surroundings {
            environment: pairs
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            search_path: Some(self.place.path().join("bin").into()),
            cwd: self.place.path().to_owned(),
            ..Surroundings::default()
        };
        let mut settings = Settings::read(&self.sources, &self.options, &around).unwrap();
        settings.timeout = self.timeout;
        settings.retries = self.retries;
        settings.pause = Duration::from_millis(1);
        Fetcher::new(&cache, settings, &[], &Catalogue::new(Some(&cache)))
    }

    fn fetch(&self, asked: &Asked) -> Result<Fetched, FetchFailed> {
        let mut files = self
            .fetcher()
            .fetch(std::slice::from_ref(asked), &FetchControl::default())?;
        Ok(files.remove(0))
    }

    /// The message of a failure, with all causes.
    fn refusal(&self, asked: &Asked) -> String {
        let failed = self.fetch(asked).unwrap_err();
        let mut text = failed.to_string();
        let mut cause = std::error::Error::source(&failed);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }

    /// The paths of what is in the cache, without its directories.
    fn kept(&self) -> Vec<PathBuf> {
        let root = self
            .place
            .path()
            .canonicalize()
            .unwrap()
            .join("cache/fetched");
        let mut kept = Vec::new();
        walk(&root, &mut kept);
        kept.iter()
            .map(|path| path.strip_prefix(&root).unwrap().to_owned())
            .collect()
    }
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Bytes that differ everywhere.
fn bytes(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// The wheel with these bytes, at a URL.
fn asked(bytes: &[u8], url: &str) -> Asked {
    named(bytes).at_url(Address::parse(url).unwrap())
}

/// The wheel with these bytes, somewhere.
fn named(bytes: &[u8]) -> Asked {
    let digest = Digest::of(bytes).to_string();
    Asked::new(WHEEL, Hashes::of([("sha256", digest.as_str())])).unwrap()
}
