//! Bases out of a registry: by a tag, by a digest, of an index; and those that are refused.

#![expect(
    clippy::indexing_slicing,
    reason = "tests read and complete the JSON that they made"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use rvenv_journal::{Digest, Plan};
use serde_json::{Value, json};

use super::{Ground, TWO, ground, stranger};
use crate::machine::{Ended, ended};
use crate::registry::{Registry, registry, which};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A registry with an index of two images at `team/base:v1`, which `skopeo` copied there from the
/// layout `base`; the one for this machine has the interpreter of the plan `p.json`.
struct Shelf {
    ground: Ground,
    registry: Registry,
    skopeo: PathBuf,
    /// The digest of the image for this machine.
    own: String,
    /// The digest of its layer.
    layer: String,
}

fn shelf() -> Option<Shelf> {
    let skopeo = which("skopeo")?;
    let (registry, ground) = (registry()?, ground()?);
    let plan = ground.plan("p.json", TWO);
    let made = ground.image(&["p.json", "-o", "alone"]);
    let layout = ground.bench.scratch.path("base");
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    fs::write(
        layout.join("oci-layout"),
        "{\"imageLayoutVersion\": \"1.0.0\"}",
    )
    .unwrap();
    let layer = blob(&layout, &layer(&plan));
    let own = image(&layout, &layer, made["architecture"].as_str().unwrap());
    let other = image(&layout, &layer, "s390x");
    let list = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [own, other] });
    let mut list = descriptor(INDEX, &blob(&layout, list.to_string().as_bytes()));
    list["annotations"] = json!({ "org.opencontainers.image.ref.name": "v1" });
    let index = json!({ "schemaVersion": 2, "manifests": [list] });
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    let shelf = Shelf {
        ground,
        registry,
        skopeo,
        own: own["digest"].as_str().unwrap().to_owned(),
        layer: Digest::of(&layer).to_string(),
    };
    shelf.copy(&["--all", "oci:base:v1"], "team/base:v1");
    Some(shelf)
}

/// A layer with the interpreter of a plan, at its path.
fn layer(plan: &Plan) -> Vec<u8> {
    let mut inputs = plan.inputs().iter();
    let python = inputs.find(|input| input.role == "interpreter").unwrap();
    let file = fs::read(&python.path).unwrap();
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(file.len() as u64);
    header.set_mode(0o755);
    let path = python.path.trim_start_matches('/');
    tar.append_data(&mut header, path, &*file).unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}

fn blob(layout: &Path, bytes: &[u8]) -> Vec<u8> {
    let path = layout.join("blobs/sha256");
    fs::write(path.join(Digest::of(bytes).to_string()), bytes).unwrap();
    bytes.to_vec()
}

fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    let digest = format!("sha256:{}", Digest::of(bytes));
    json!({ "mediaType": kind, "digest": digest, "size": bytes.len() })
}

fn image(layout: &Path, layer: &[u8], architecture: &str) -> Value {
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": { "Env": ["LANG=C"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", Digest::of(b"?"))] },
    });
    let config = blob(layout, config.to_string().as_bytes());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, &config),
        "layers": [descriptor(LAYER, layer)],
    });
    let mut listed = descriptor(MANIFEST, &blob(layout, manifest.to_string().as_bytes()));
    listed["platform"] = json!({ "architecture": architecture, "os": "linux" });
    listed
}

impl Shelf {
    /// Copies an image into the registry.
    fn copy(&self, from: &[&str], to: &str) {
        let mut skopeo = Command::new(&self.skopeo);
        skopeo.current_dir(self.ground.bench.scratch.path(""));
        skopeo.args(["--insecure-policy", "copy", "--preserve-digests"]);
        skopeo.arg("--dest-tls-verify=false").args(from);
        stranger(skopeo.arg(format!("docker://{}/{to}", self.registry.address)));
    }

    fn image(&self, base: &str, out: &str) -> Value {
        self.ground
            .image(&["p.json", "-o", out, "--no-index", "--base", base])
    }

    fn refused(&self, base: &str) -> Ended {
        let words = ["image", "p.json", "-o", "img", "--no-index", "--base", base];
        let said = self.ground.rvenv(&words);
        assert!(!self.ground.bench.scratch.path("img").exists());
        assert_eq!(self.ground.litter(), Vec::<String>::new());
        said
    }
}

#[test]
fn a_base_comes_out_of_a_registry_by_its_tag_and_by_its_digest() {
    let Some(shelf) = shelf() else { return };
    let scratch = &shelf.ground.bench.scratch;
    let expected = shelf.image("base:v1", "from-layout");
    assert_eq!(expected["base_layers"], 1);
    let tagged = shelf.registry.oci("team/base:v1");
    let pinned = shelf.registry.oci(&format!("team/base@{}", shelf.own));
    let shared = format!("oci:{}:v1", scratch.path("base").display());
    for (out, base) in [("tag", &tagged), ("pin", &pinned), ("dir", &shared)] {
        let made = shelf.image(base, out);
        assert_eq!(made["sha256"], expected["sha256"], "{base}");
        let layer = scratch.path(out).join("blobs/sha256").join(&shelf.layer);
        assert!(layer.is_file(), "{base}");
    }
    // What another machine needs of it is in the cache.
    let kept = scratch.cache().join("fetched").join(&shelf.layer);
    assert!(kept.is_dir());
}

#[test]
fn a_base_of_a_registry_that_cannot_be_one_is_refused_and_named() {
    let Some(shelf) = shelf() else { return };
    let base = shelf.registry.oci("team/base:v1");
    let absent = shelf.refused(&shelf.registry.oci("team/base:v2")).failed(1);
    assert!(absent.contains("team/base:v2`"), "{absent}");
    assert!(absent.contains("it does not exist"), "{absent}");
    // An environment is none, and neither is an image for another machine.
    let environment = shelf.registry.oci("team/web:v1");
    shelf.ground.rvenv(&["push", "p.json", &environment]).ok();
    let said = shelf.refused(&environment).failed(3);
    assert!(
        said.contains("cannot read the base image `oci://"),
        "{said}"
    );
    shelf.copy(
        &["--override-arch", "s390x", "oci:base:v1"],
        "team/other:v1",
    );
    let other = shelf
        .refused(&shelf.registry.oci("team/other:v1"))
        .failed(3);
    assert!(other.contains("it has no image for"), "{other}");
    // A registry that gives other bytes, and one that is not there.
    let data = format!(
        "docker/registry/v2/blobs/sha256/{}/{}/data",
        &shelf.layer[..2],
        shelf.layer
    );
    let data = shelf.registry.storage.join(data);
    let mut bytes = fs::read(&data).unwrap();
    bytes[100] ^= 1;
    fs::write(&data, bytes).unwrap();
    let damaged = shelf.refused(&base).failed(1);
    assert!(
        damaged.contains("which is not the expected one"),
        "{damaged}"
    );
    drop(shelf.registry);
    let words = [
        "image",
        "p.json",
        "-o",
        "img",
        "--no-index",
        "--base",
        &base,
    ];
    let mut command = shelf.ground.bench.scratch.command(&words);
    let gone = ended(command.env("PIP_RETRIES", "0")).failed(1);
    assert!(gone.contains("team/base"), "{gone}");
    assert!(gone.contains("no image was written"), "{gone}");
}

/// I6: what is too large is not fetched, and memory is not reserved for it.
#[test]
fn a_base_that_claims_more_than_any_has_is_refused_before_it_is_fetched() {
    let Some(ground) = ground() else { return };
    ground.plan("p.json", TWO);
    let layout = ground.bench.scratch.path("base");
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    fs::write(layout.join("oci-layout"), "{}").unwrap();
    let digest = format!("sha256:{}", Digest::of(b"nowhere"));
    for (size, layers) in [(1_u64 << 30, 1), (1 << 40, 1), (2, 21_000)] {
        let one = json!({ "mediaType": LAYER, "digest": digest, "size": 1 });
        let manifest = json!({
            "schemaVersion": 2,
            "config": { "mediaType": CONFIG, "digest": digest, "size": size },
            "layers": vec![one; layers],
        });
        let mut manifest = descriptor(MANIFEST, &blob(&layout, manifest.to_string().as_bytes()));
        manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": "v1" });
        let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
        fs::write(layout.join("index.json"), index.to_string()).unwrap();
        let base = format!("oci:{}:v1", layout.display());
        let words = ["image", "p.json", "-o", "img", "--base", &base];
        let said = ground.rvenv(&words).failed(3);
        assert!(said.contains("is malformed"), "{said}");
        assert!(said.contains("it names"), "{said}");
    }
}
