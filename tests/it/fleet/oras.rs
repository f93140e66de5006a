//! The Python library `oras` as a stranger: it gets out of a registry what rvenv put there, and
//! puts something there that rvenv applies or refuses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rvenv_journal::Digest;

use super::artifacts::{Ground, TWO, ground};
use crate::machine::tool;

/// What each of its scripts begins with.
const CLIENT: &str = "import os, sys\n\
                      try:\n\
                      \x20   import oras.client\n\
                      except ImportError:\n\
                      \x20   sys.exit(9)\n\
                      client = oras.client.OrasClient(insecure=True)\n";
const PULL: &str = "client.pull(target=sys.argv[1], outdir=sys.argv[2])\n";
const PUSH: &str = "os.chdir(sys.argv[2])\n\
                    client.push(target=sys.argv[1], files=sys.argv[3:])\n";
/// It writes the JSON of the manifest again in its own way.
const COPY: &str = "source, to = map(client.get_container, sys.argv[1:3])\n\
                    manifest = client.get_manifest(source)\n\
                    for blob in [manifest['config'], *manifest['layers']]:\n\
                    \x20   path = os.path.join(sys.argv[3], blob['digest'][7:])\n\
                    \x20   client.download_blob(source, blob['digest'], path)\n\
                    \x20   client.upload_blob(path, to, blob)\n\
                    client.upload_manifest(manifest, to).raise_for_status()\n";

/// A registry with the environment `team/web:v1`, and a Python that has `oras`.
struct Stranger {
    ground: Ground,
    python: PathBuf,
}

fn stranger() -> Option<Stranger> {
    let python = tool("oras-python")?;
    let ground = ground()?;
    ground.plan("p.json", TWO);
    ground.push("p.json", &ground.registry.oci("team/web:v1"));
    let stranger = Stranger { ground, python };
    let has_it = stranger.run("", &[]);
    if !has_it {
        println!("skipped: the Python there has no oras");
    }
    has_it.then_some(stranger)
}

impl Stranger {
    /// Runs a script; false if there is no `oras`.
    fn run(&self, script: &str, words: &[&str]) -> bool {
        let mut python = Command::new(&self.python);
        python
            .args(["-c", &format!("{CLIENT}{script}")])
            .args(words);
        python.env("HOME", self.ground.bench.scratch.path("."));
        let output = python.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        assert!(code == Some(0) || code == Some(9), "{said}");
        code == Some(0)
    }

    /// A name in the registry, as `oras` writes it.
    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.ground.registry.address)
    }

    fn dir(&self, name: &str) -> PathBuf {
        let dir = self.ground.bench.scratch.path(name);
        fs::create_dir(&dir).unwrap();
        dir
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn oras_gets_the_wheels_of_an_environment_by_their_names() {
    let Some(stranger) = stranger() else { return };
    let pulled = stranger.dir("pulled");
    assert!(stranger.run(PULL, &[&stranger.at("team/web:v1"), text(&pulled)]));
    let pulled = fs::read_dir(&pulled).unwrap();
    let pulled = pulled.map(|file| file.unwrap().path());
    let is_wheel = |path: &PathBuf| path.extension().is_some_and(|end| end == "whl");
    let wheels: Vec<PathBuf> = pulled.filter(is_wheel).collect();
    for wheel in &wheels {
        let house = &stranger.ground.bench.house;
        let locked = fs::read(house.join(wheel.file_name().unwrap())).unwrap();
        let found = fs::read(wheel).unwrap();
        assert_eq!(
            Digest::of(&found),
            Digest::of(&locked),
            "{}",
            wheel.display()
        );
    }
    assert_eq!(wheels.len(), TWO.len());
}

#[test]
fn what_oras_copied_is_applied_and_what_it_made_is_refused() {
    let Some(stranger) = stranger() else { return };
    let ground = &stranger.ground;
    let (blobs, files) = (stranger.dir("blobs"), stranger.dir("files"));
    let names = [&*stranger.at("team/web:v1"), &stranger.at("other/web:v1")];
    assert!(stranger.run(COPY, &[names[0], names[1], text(&blobs)]));
    ground.lose();
    let copied = ground.registry.oci("other/web:v1");
    ground.there(&["apply", "--no-index", &copied]).ok();
    ground.there(&["verify", "--against", &copied, "E"]).ok();
    fs::write(files.join("plan.json"), "{}").unwrap();
    let made = stranger.at("made/web:v1");
    assert!(stranger.run(PUSH, &[&made, text(&files), "plan.json"]));
    let made = ground.registry.oci("made/web:v1");
    for words in [
        &["apply", "--no-index", &made][..],
        &["cache", "pull", &made],
    ] {
        let said = ground.there(words).failed(1);
        assert!(said.contains("is not an environment of rvenv"), "{said}");
        assert!(said.contains("unknown.config"), "{said}");
    }
    assert_eq!(ground.there(&["attached", &made]).ok(), "");
}
