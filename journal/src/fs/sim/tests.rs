//! Tests of the simulated disk: what a power cut may leave (`power`), laws over random histories
//! (`laws`), faults and crashes (`faults`), layers (`layers`), and behaviour that only a simulation
//! can show (`verbs`).

mod faults;
mod laws;
mod layers;
mod power;
mod verbs;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

use super::{Bound, Options, Persistence, SimEntry, SimFs};
use crate::fs::{Dir, Flush, Fs, FsError, NewFile, Rename};

const POWER: [Persistence; 2] = [Persistence::Ordered, Persistence::Independent];

/// A disk with an open root, for short tests.
struct Sim {
    disk: SimFs,
    root: Dir,
}

fn os(name: &str) -> &OsStr {
    OsStr::new(name)
}

impl Sim {
    fn new() -> Self {
        Self::with(Options::default())
    }

    fn with(options: Options) -> Self {
        Self::on(SimFs::with(options))
    }

    fn on(disk: SimFs) -> Self {
        let root = disk.open_path(Path::new("/")).unwrap();
        Self { disk, root }
    }

    fn mkdir(&self, name: &str) -> Dir {
        self.mkdir_in(&self.root, name)
    }

    fn mkdir_in(&self, at: &Dir, name: &str) -> Dir {
        self.disk.make_dir(at, os(name), 0o755).unwrap();
        self.disk.open_dir(at, os(name)).unwrap()
    }

    fn write(&self, at: &Dir, name: &str, bytes: &str, flush: Flush) {
        self.try_write(at, name, bytes, flush).unwrap();
    }

    fn try_write(&self, at: &Dir, name: &str, bytes: &str, flush: Flush) -> Result<(), FsError> {
        let file = NewFile {
            mode: 0o600,
            mtime: None,
            bytes: bytes.as_bytes(),
            flush,
        };
        self.disk.write_file(at, os(name), &file)
    }

    fn rename(&self, from: &str, to: &str, how: Rename) {
        self.disk
            .rename(self.root.at(from), self.root.at(to), how)
            .unwrap();
    }

    fn sync_root(&self) {
        self.disk.sync_dir(&self.root).unwrap();
    }

    fn sync_all(&self) {
        self.disk.sync_filesystem(&self.root).unwrap();
    }

    /// The disks that a power cut may leave, each as one line.
    fn found(&self, model: Persistence) -> BTreeSet<String> {
        let (mut found, mut digests) = (BTreeSet::new(), BTreeSet::new());
        self.disk
            .for_each_image(model, Bound::THOROUGH, |image, _| {
                assert!(digests.insert(image.state_digest()), "an image twice");
                found.insert(show(&image));
            });
        found
    }

    #[track_caller]
    fn check(&self, model: Persistence, expect: &[&str]) {
        let expect: BTreeSet<String> = expect.iter().map(ToString::to_string).collect();
        assert_eq!(self.found(model), expect, "{model:?}");
    }
}

/// A disk as one line: `d/ f=content l->target`, with zeros as `0` and without times.
fn show(disk: &SimFs) -> String {
    let tree = disk.tree(Path::new("/"));
    let entries = tree.iter().filter(|(path, _)| !path.is_empty());
    let text = entries.map(|(path, entry)| match entry {
        SimEntry::Dir { .. } => format!("{path}/"),
        SimEntry::File { bytes, .. } => {
            format!(
                "{path}={}",
                String::from_utf8_lossy(bytes).replace('\0', "0")
            )
        }
        SimEntry::Symlink { target } => format!("{path}->{}", target.display()),
        SimEntry::Other { .. } => format!("{path}|"),
    });
    text.collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check_kind<T>(result: Result<T, FsError>, kind: ErrorKind) {
    assert_eq!(result.err().map(|error| error.kind()), Some(kind));
}
