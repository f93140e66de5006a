//! The environment of an index that is for this machine.
//!
//! Promises that what is chosen depends on the index, this machine and what was asked for, and on
//! nothing else: exactly one environment fits, or none is chosen. An environment fits if its
//! system, processor and C library do, and if the interpreter that its plan names is here, by its
//! digest. Nothing is started, and nothing is written.
//!
//! Read next: `machine.rs`; `pulling.rs`, which reads the index.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::Path;

use rvenv_journal::Digest;
use rvenv_journal::raw::Hasher;
use thiserror::Error;

use super::caller::Caller;
use super::machine::Machine;
use crate::artifact::demands::Demands;
use crate::artifact::index::{Index, IndexEntry};
use crate::base::regular_file;
use crate::change::existing::Existing;
use crate::python::{Request, VersionRequest, shown};

/// Many times the size of an interpreter.
const PYTHON_BYTES_MAX: u64 = 1 << 30;
const PIECE_BYTES: usize = 64 << 10;

/// Why no environment of an index was chosen.
#[derive(Debug, Error)]
pub enum ChoiceFailed {
    /// None fits.
    #[error("none of its {} is for this machine: {machine}", offers.len())]
    None {
        /// This machine.
        machine: Machine,
        /// What the index has.
        offers: Vec<Offer>,
    },
    /// More than one fits.
    #[error("{} of its environments are for this machine: {machine}", offers.len())]
    Several {
        /// This machine.
        machine: Machine,
        /// Those that fit.
        offers: Vec<Offer>,
    },
}

/// An environment that an index has, compared with this machine.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The digest of its manifest.
    pub manifest: Digest,
    /// What it demands, if that is known.
    pub demands: Option<Demands>,
    /// Why it does not fit.
    pub objection: Option<String>,
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.manifest)?;
        if let Some(demands) = &self.demands {
            write!(f, ", {demands}")?;
        }
        match &self.objection {
            Some(why) => write!(f, ": {why}"),
            None => Ok(()),
        }
    }
}

/// The environment that was chosen.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The digest of the index.
    pub index: Digest,
    /// What the environment demands.
    pub demands: Demands,
}

impl Caller<'_> {
    /// The Python of an environment, by which one of several is chosen; `None` if it has none.
    #[must_use]
    pub fn python_of(&self, env_dir: &str) -> Option<Request> {
        let (root, real) = self.open_existing(Path::new(env_dir)).ok()?;
        let flavour = Existing::read(self.fs, &root, &real).ok()?.flavour()?;
        let implementation = match flavour.stem.as_str() {
            "python" => "cpython",
            other => other,
        };
        Some(Request::Version(VersionRequest {
            implementation: Some(implementation.to_owned()),
            minor: Some(flavour.minor),
            micro: None,
            free_threaded: flavour.free_threaded,
        }))
    }

    /// The entry for this machine, and for a Python if one is asked for.
    pub(super) fn entry_for_this_machine<'i>(
        &self,
        index: &'i Index,
        python: Option<&Request>,
    ) -> Result<(&'i IndexEntry, Demands), ChoiceFailed> {
        let machine = Machine::here();
        let mut pythons = Pythons::default();
        let asked = python.map(|python| match python {
            Request::Path(path) => Request::Path(self.host.surroundings.cwd.join(path)),
            Request::Default | Request::Name(_) | Request::Version(_) | Request::Range(_) => {
                python.clone()
            }
        });
        let mut fitting = Vec::new();
        let mut offers = Vec::new();
        for entry in &index.entries {
            let demands = entry.demands();
            let objection = match &demands {
                None => Some("it does not say for which interpreter it is".to_owned()),
                Some(demands) => machine
                    .objection(demands)
                    .or_else(|| pythons.objection(demands))
                    .or_else(|| unasked(asked.as_ref(), demands)),
            };
            if let (Some(demands), None) = (&demands, &objection) {
                fitting.push((entry, demands.clone()));
            }
            offers.push(Offer {
                manifest: entry.digest,
                demands,
                objection,
            });
        }
        match fitting.len() {
            0 => Err(ChoiceFailed::None { machine, offers }),
            1 => Ok(fitting.remove(0)),
            _ => {
                offers.retain(|offer| offer.objection.is_none());
                Err(ChoiceFailed::Several { machine, offers })
            }
        }
    }
}

fn unasked(asked: Option<&Request>, demands: &Demands) -> Option<String> {
    let takes = |asked: &Request| asked.takes(&demands.release, Path::new(&demands.python));
    let asked = asked.filter(|asked| !takes(asked))?;
    Some(format!("{asked} is asked for"))
}

/// The digests of files, each hashed once.
#[derive(Default)]
struct Pythons {
    known: BTreeMap<String, Result<Digest, String>>,
}

impl Pythons {
    /// Why the interpreter is not here.
    fn objection(&mut self, demands: &Demands) -> Option<String> {
        let path = &demands.python;
        let found = self.known.entry(path.clone());
        match found.or_insert_with(|| digest_of(Path::new(path))) {
            Ok(digest) if *digest == demands.sha256 => None,
            Ok(_) => Some("the interpreter at this path is another one here".to_owned()),
            Err(why) => Some(why.clone()),
        }
    }
}

/// The digest of an interpreter.
fn digest_of(path: &Path) -> Result<Digest, String> {
    let read = || {
        let file = regular_file::open(path)?;
        let len = file.metadata()?.len();
        if len > PYTHON_BYTES_MAX {
            return Err(std::io::Error::other("it is no interpreter"));
        }
        let mut file = file.take(len);
        let (mut hasher, mut piece) = (Hasher::default(), vec![0; PIECE_BYTES]);
        loop {
            let read = file.read(&mut piece)?;
            match piece.get(..read) {
                None | Some([]) => return Ok(hasher.finish()),
                Some(bytes) => hasher.update(bytes),
            }
        }
    };
    read().map_err(|error: std::io::Error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            return "the interpreter does not exist here".to_owned();
        }
        format!("`{}` cannot be read: {error}", shown(path))
    })
}
