//! A directory in the form of a registry at every moment of a push: on a simulated disk, with every
//! disk that a kill or a power cut there may leave.

use std::collections::BTreeMap;
use std::path::Path;

use rvenv_journal::fs::sim::{Bound, Persistence, SimEntry, SimFs};
use rvenv_journal::{Digest, Fs as _};
use serde_json::{Value, json};

use super::writing::Writer;
use crate::base::image_layout::{INDEX, MARK, MARK_BYTES, TAG};
use crate::fetch::registry::{Blob, BlobBytes};

const ABOVE: &str = "/srv";
const LAYOUT: &str = "/srv/layout";
const KIND: &str = "application/vnd.oci.image.manifest.v1+json";
const MODELS: [Persistence; 2] = [Persistence::Ordered, Persistence::Independent];

/// A manifest under a tag, with what it names.
#[derive(Clone, Copy)]
struct Push {
    tag: Option<&'static str>,
    blobs: &'static [&'static str],
}

const OLD: Push = Push {
    tag: Some("v1"),
    blobs: &["both"],
};
const NEW: Push = Push {
    tag: Some("v1"),
    blobs: &["both", "new"],
};
const UNTAGGED: Push = Push { tag: None, ..NEW };

impl Push {
    fn manifest(&self) -> Vec<u8> {
        let layers = self.blobs.iter();
        let layers = layers.map(|text| format!("sha256:{}", Digest::of(text.as_bytes())));
        let layers: Vec<String> = layers.collect();
        json!({ "layers": layers }).to_string().into_bytes()
    }

    fn make(&self, disk: &SimFs) {
        let writer = Writer {
            path: Path::new(LAYOUT),
            fs: disk,
        };
        for text in self.blobs {
            let bytes = text.as_bytes();
            let sent = writer.put_blob(&Blob {
                digest: Digest::of(bytes),
                len: bytes.len() as u64,
                bytes: BlobBytes::Memory(bytes),
            });
            sent.unwrap();
        }
        writer
            .put_manifest(self.tag, KIND, &self.manifest())
            .unwrap();
    }
}

/// The files of a layout.
struct Seen(BTreeMap<String, Vec<u8>>);

impl Seen {
    fn of(disk: &SimFs) -> Self {
        let tree = disk.tree(Path::new(LAYOUT)).into_iter();
        Self(
            tree.filter_map(|(path, entry)| match entry {
                SimEntry::File { bytes, .. } => Some((path, bytes.to_vec())),
                SimEntry::Dir { .. } | SimEntry::Symlink { .. } | SimEntry::Other { .. } => None,
            })
            .collect(),
        )
    }

    fn blob(&self, digest: &str) -> Option<&Vec<u8>> {
        let digits = digest.strip_prefix("sha256:")?;
        let bytes = self.0.get(&format!("blobs/sha256/{digits}"))?;
        (Digest::of(bytes).to_string() == digits).then_some(bytes)
    }

    /// The manifest with this digest, if it and all that it names are whole.
    fn whole(&self, digest: &str) -> Result<Vec<u8>, String> {
        let manifest = self.blob(digest).ok_or("no whole manifest")?;
        let read: Value = serde_json::from_slice(manifest).unwrap();
        for layer in read["layers"].as_array().unwrap() {
            let digest = layer.as_str().unwrap();
            self.blob(digest).ok_or(format!("no whole {digest}"))?;
        }
        Ok(manifest.clone())
    }

    /// What the tag names.
    fn tagged(&self) -> Result<Option<Vec<u8>>, String> {
        let Some(index) = self.0.get(INDEX) else {
            return Ok(None);
        };
        let index: Value = serde_json::from_slice(index).map_err(|why| why.to_string())?;
        let entry = &index["manifests"][0];
        assert_eq!(entry["annotations"][TAG], "v1");
        self.whole(entry["digest"].as_str().unwrap()).map(Some)
    }

    /// Whether no blob has other bytes than its name says.
    fn has_whole_blobs(&self) -> bool {
        let mut blobs = self.0.keys().filter_map(|path| path.strip_prefix("blobs/"));
        blobs.all(|name| self.blob(&name.replace('/', ":")).is_some())
    }

    fn is_marked(&self) -> bool {
        self.0.get(MARK).is_some_and(|mark| mark == MARK_BYTES)
    }

    /// Whether a push is there, with all that it names and what other tools demand.
    fn has(&self, push: &Push) -> Result<(), String> {
        let digest = format!("sha256:{}", Digest::of(&push.manifest()));
        self.whole(&digest)?;
        if push.tag.is_some() && self.tagged()? != Some(push.manifest()) {
            return Err("the tag names something else".to_owned());
        }
        self.is_marked().then_some(()).ok_or("no mark".to_owned())
    }
}

/// A disk with what was pushed before, all of it durable.
fn disk(before: Option<Push>) -> SimFs {
    let disk = SimFs::new();
    let root = disk.open_path(Path::new("/")).unwrap();
    disk.make_dir(&root, "srv".as_ref(), 0o755).unwrap();
    disk.sync_dir(&root).unwrap();
    if let Some(before) = before {
        before.make(&disk);
        let above = disk.open_path(Path::new(ABOVE)).unwrap();
        disk.sync_filesystem(&above).unwrap();
    }
    disk
}

/// Checks every disk that a power cut may leave; returns how many there are.
fn after_each_cut(disk: &SimFs, check: impl Fn(&Seen) -> Result<(), String>) -> usize {
    let counts = MODELS.map(|model| {
        disk.for_each_image(model, Bound::QUICK, |image, story| {
            if let Err(why) = check(&Seen::of(&image)) {
                panic!("{why}: {story}");
            }
        })
    });
    counts.iter().sum()
}

/// Cuts the power at each step of a push, and kills it there and lets another process push again.
fn check(before: Option<Push>, push: Push) {
    let disk = disk(before);
    let old = before.map(|before| before.manifest());
    disk.keep_crashes();
    push.make(&disk);
    let crashes = disk.take_crashes();
    let at_any_time = |seen: &Seen| {
        let tagged = seen.tagged()?;
        let is_old_or_new = tagged == old || tagged == Some(push.manifest());
        let whole = is_old_or_new && seen.has_whole_blobs();
        whole
            .then_some(())
            .ok_or("neither the old tag nor the new one".to_owned())
    };
    let mut cuts = after_each_cut(&disk, |seen| seen.has(&push));
    for crash in &crashes {
        cuts += after_each_cut(crash, at_any_time);
        // The machine runs on, and what the dead process did is not durable yet.
        let killed = crash.killed();
        push.make(&killed);
        cuts += after_each_cut(&killed, |seen| seen.has(&push));
    }
    // What a power cut leaves, does not keep the next push from what it promises.
    for crash in crashes.iter().step_by(3) {
        crash.for_each_image(Persistence::Independent, Bound::QUICK, |image, _| {
            push.make(&image);
            cuts += after_each_cut(&image, |seen| seen.has(&push));
        });
    }
    println!("{} moments, {cuts} power cuts", crashes.len());
    assert!(cuts > 5 * crashes.len());
}

#[test]
fn a_power_cut_leaves_the_first_tag_of_a_layout_or_none() {
    check(None, NEW);
}

#[test]
fn a_power_cut_leaves_the_old_tag_or_the_new_one() {
    check(Some(OLD), NEW);
}

#[test]
fn a_manifest_without_a_tag_survives_a_power_cut() {
    check(None, UNTAGGED);
    check(Some(OLD), UNTAGGED);
}
