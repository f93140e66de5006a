//! Images: the same bytes everywhere, whole or not there, and run by programs that know nothing of
//! rvenv.
//!
//! Wheels made here; nothing leaves this machine. Who unpacks, mounts and copies is a stranger:
//! `umoci`, `skopeo`, the kernel.
//! Read next: `layouts.rs`, `bases.rs`, `filesystems.rs`, `kills.rs`.

#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests start real programs, and read and damage what they made"
)]

mod bases;
mod filesystems;
mod kills;
mod layouts;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use rvenv_journal::{Digest, Plan};
use serde_json::Value;

use crate::behaviour::locks::{Bench, bench};
use crate::machine::{Ended, Kind, ended, tree};

/// The wheels of most plans here.
const TWO: &[(&str, &str)] = &[("alpha", "1.0"), ("beta", "1.0")];

/// A machine with wheels.
struct Ground {
    bench: Bench,
}

fn ground() -> Option<Ground> {
    Some(Ground { bench: bench()? })
}

impl Ground {
    fn rvenv(&self, words: &[&str]) -> Ended {
        ended(&mut self.bench.scratch.command(words))
    }

    /// Plans these releases at `E`.
    fn plan(&self, file: &str, releases: &[(&str, &str)]) -> Plan {
        self.plan_with(file, releases, &[])
    }

    /// The same with more words.
    fn plan_with(&self, file: &str, releases: &[(&str, &str)], more: &[&str]) -> Plan {
        let lock = self.bench.lock("a", releases);
        let python = self.bench.python.to_str().unwrap();
        let house = self.bench.house.to_str().unwrap();
        let words = ["plan", "E", "-o", file, "-p", python, "--without-pip"];
        let places = ["--no-index", "--wheelhouse", house];
        let lock = ["-r", lock.to_str().unwrap()];
        self.rvenv(&[&words[..], &places, &lock, more].concat())
            .ok();
        Plan::from_json(&fs::read(self.bench.scratch.path(file)).unwrap()).unwrap()
    }

    /// Makes an image of a plan, and returns what is reported.
    #[track_caller]
    fn image(&self, words: &[&str]) -> Value {
        let said = self.rvenv(&[&["image", "--json"], words].concat()).ok();
        serde_json::from_str(&said).unwrap()
    }

    /// The names in the working directory that a run left there.
    fn litter(&self) -> Vec<String> {
        let names = fs::read_dir(self.bench.scratch.path("")).unwrap();
        let names = names.map(|name| name.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with('.')).collect()
    }
}

/// Every path of a directory, or one file, and the bytes there; `None` if nothing exists.
type Bytes = Option<BTreeMap<String, Kind>>;

fn bytes(path: &Path) -> Bytes {
    if path.is_dir() {
        let found = tree(path).into_iter();
        return Some(found.map(|(path, entry)| (path, entry.kind)).collect());
    }
    let found = fs::read(path).ok()?;
    Some(BTreeMap::from([(
        String::new(),
        Kind::File(Digest::of(&found)),
    )]))
}

/// Runs a program of a stranger, which must succeed; returns what it prints.
#[track_caller]
fn stranger(command: &mut Command) -> String {
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}\n{said}{told}");
    said
}
