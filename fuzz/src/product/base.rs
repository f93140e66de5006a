//! A layout with a base image from any author.
//!
//! The first byte says what the rest is: an index, a configuration or a layer of an image that is
//! otherwise well-formed, or choices from which all of it is made: layers of links, deletions and
//! files, under names that lead anywhere. Then some bytes of a text or of a layer are changed.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use rvenv::artifact::image::{Addition, Config, LAYER, WrittenLayer};
use rvenv::artifact::manifest::Descriptor;
use rvenv::imaging::ImageFailed;
use rvenv::imaging::base::Base;
use rvenv_journal::Digest;
use rvenv_journal::raw::Input;
use tar::{Builder, EntryType, Header};

use super::choices::Choices;
use super::sources::{compressed, pax, put};

/// The kind of a layer that is not compressed.
const TAR: &str = "application/vnd.oci.image.layer.v1.tar";
const PYTHON: &[u8] = b"python";
const LAYERS: usize = 4;
const MEMBERS: usize = 8;
/// What a layer may end with: as many zeros as a sparse file has, which cost no memory.
const ZEROS: u64 = 256 << 20;
const NAMES: [&str; 20] = [
    "usr/bin/python3",
    "./usr//bin/python3",
    "/usr/bin/python3",
    "usr/bin",
    "usr/bin/",
    "usr",
    "bin",
    "usr/bin/.wh.python3",
    "usr/.wh.bin",
    "usr/bin/.wh..wh..opq",
    ".wh..wh..opq",
    ".wh.",
    "a",
    "b",
    "a/python3",
    "../usr/bin/python3",
    "..",
    ".",
    "",
    "usr/bin/python3/more",
];
const TARGETS: [&str; 12] = [
    "usr/bin",
    "/usr/bin/python3",
    "usr/bin/python3",
    "../usr/bin",
    "python3",
    "..",
    "/",
    ".",
    "",
    "a",
    "b",
    "a/a/a/a/a/a/a",
];
const KINDS: [EntryType; 16] = [
    EntryType::Regular,
    EntryType::Regular,
    EntryType::Regular,
    EntryType::Regular,
    EntryType::Symlink,
    EntryType::Symlink,
    EntryType::Symlink,
    EntryType::Link,
    EntryType::Directory,
    EntryType::GNULongName,
    EntryType::GNULongLink,
    EntryType::XHeader,
    EntryType::XGlobalHeader,
    EntryType::GNUSparse,
    EntryType::Char,
    EntryType::Continuous,
];
const LENS: [u64; 4] = [1 << 20, 200 << 20, 1 << 40, u64::MAX];
const PATHS: [&str; 4] = [
    "/usr/bin/python3",
    "/bin/python3",
    "/a",
    "/a/../b/./python3",
];
const CONFIGS: [&str; 5] = [
    r#""config":{"Env":["PATH=/b","LANG=C"],"Cmd":["sh"]},"history":[{"created_by":"x"}],"#,
    r#""config":[],"history":7,"#,
    r#""config":{"Env":{"PATH":1}},"#,
    r#""rootfs":{"diff_ids":[]},"#,
    "",
];

/// A layer as it is in the layout.
struct Layer {
    bytes: Vec<u8>,
    kind: &'static str,
    /// How many zeros follow.
    zeros: u64,
}

/// I6: any image is refused with a reason on one line, or is one whose layers and configuration
/// agree, on which an environment can be put; and an interpreter is only found if a layer has its
/// bytes.
pub fn base_read(bytes: &[u8]) -> bool {
    let (mut image, rest) = match bytes.split_first() {
        Some((0..=31, index)) => (Image::plain(), Some(index)),
        Some((32..=63, layer)) => {
            let (kind, raw) = layer.split_first().unwrap_or((&0, &[]));
            let kind = if kind % 2 == 0 { TAR } else { LAYER };
            let layer = Layer::new(raw.to_vec(), kind);
            (Image::with(vec![layer], "", "amd64"), None)
        }
        Some((64..=95, config)) => {
            let mut image = Image::plain();
            image.config = config.to_vec();
            (image, None)
        }
        Some((_, choices)) => (Image::made(Choices::of(choices)), None),
        None => (Image::plain(), Some(&[][..])),
    };
    let memory = tempfile::tempdir_in("/dev/shm");
    let place = memory.or_else(|_| tempfile::tempdir());
    let place = place.expect("there is room for a small directory");
    let layout = place.path().join("layout");
    image.write(&layout);
    if let Some(index) = rest {
        put_file(&layout.join("index.json"), index);
    }
    let base = match Base::read(&image.given(&layout), "amd64") {
        Ok(base) => base,
        Err(error) => return refused(&error),
    };
    check_config(&base);
    let wanted = Input {
        role: "interpreter".to_owned(),
        path: image.python.to_owned(),
        found: None,
        url: None,
        digest: Digest::of(PYTHON),
        len: PYTHON.len() as u64,
    };
    match base.must_have(&wanted, &|| false) {
        Ok(()) => {
            let is_readable =
                |layer: &Descriptor| layer.kind.ends_with("tar") || layer.kind.ends_with("gzip");
            assert!(
                !base.layers.iter().all(is_readable) || image.has_python(),
                "an interpreter was found that no layer has"
            );
            true
        }
        Err(error) => refused(&error),
    }
}

fn refused(error: &ImageFailed) -> bool {
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        assert!(!text.is_empty());
        // What a system or a library says is escaped where it is printed.
        let is_own = error.downcast_ref::<std::io::Error>().is_none();
        assert!(!is_own || !text.contains(char::is_control), "{text:?}");
        next = error.source();
    }
    false
}

/// What an environment adds to the configuration is added, whatever the base says.
fn check_config(base: &Base) {
    let added = WrittenLayer {
        blob: Descriptor::new(LAYER, Digest::of(b"layer"), 5),
        diff_id: Digest::of(b"unpacked"),
        what: "wheels".to_owned(),
    };
    let config = base.config.clone().with(&Addition {
        target: "/opt/app",
        architecture: "amd64",
        created: "1980-01-01T00:00:00Z",
        layers: &[added],
    });
    let again = Config::from_bytes(&config.to_bytes()).expect("what is written is read");
    assert_eq!(again, config);
    assert_eq!(again.layer_count(), base.layers.len() + 1);
    assert_eq!(again.architecture(), Some("amd64"));
}

/// The texts and the layers of an image.
struct Image {
    layers: Vec<Layer>,
    config: Vec<u8>,
    manifest: Option<Vec<u8>>,
    python: &'static str,
    tag: &'static str,
    is_nested: bool,
    /// How often each text is named.
    names: usize,
}

impl Image {
    fn plain() -> Self {
        let mut tar = Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_size(PYTHON.len() as u64);
        let added = tar.append_data(&mut header, "usr/bin/python3", PYTHON);
        added.expect("memory takes what it is given");
        let bytes = tar.into_inner().expect("memory takes what it is given");
        Self::with(vec![Layer::new(bytes, TAR)], "", "amd64")
    }

    fn with(layers: Vec<Layer>, config: &str, architecture: &str) -> Self {
        let ids = vec!["\"sha256:0\""; layers.len()].join(",");
        let rootfs = format!(r#"{{"type":"layers","diff_ids":[{ids}]}}"#);
        let config = format!(
            r#"{{{config}"architecture":"{architecture}","os":"linux","rootfs":{rootfs}}}"#
        );
        Self {
            layers,
            config: config.into_bytes(),
            manifest: None,
            python: PATHS[0],
            tag: "",
            is_nested: false,
            names: 1,
        }
    }

    fn made(mut choices: Choices<'_>) -> Self {
        let layers = (0..=choices.next() % LAYERS).map(|_| layer(&mut choices));
        let layers = layers.collect();
        let config = choices.pick(&CONFIGS);
        let architecture = choices.pick(&["amd64", "amd64", "amd64", "arm64"]);
        let mut image = Self::with(layers, config, architecture);
        for layer in &mut image.layers {
            if choices.next() % 16 == 15 {
                layer.kind = choices.pick(&["application/x+zstd", "tar", "gzip", ""]);
            }
        }
        image.python = choices.pick(&PATHS);
        image.tag = choices.pick(&["", ":v1", ":v2", ":"]);
        image.is_nested = choices.next() % 4 == 3;
        image.names = 1 + choices.next() % 3;
        if choices.next() % 8 == 7 {
            choices.damage(&mut image.config);
        }
        if choices.next() % 8 == 7 {
            let mut manifest = image.manifest();
            choices.damage(&mut manifest);
            image.manifest = Some(manifest);
        }
        image
    }

    fn given(&self, layout: &Path) -> PathBuf {
        let mut given = layout.as_os_str().to_owned();
        given.push(self.tag);
        given.into()
    }

    fn manifest(&self) -> Vec<u8> {
        let layers = self.layers.iter().map(|layer| {
            let len = layer.bytes.len() as u64 + layer.zeros;
            entry(layer.kind, layer.digest(), len, "")
        });
        let layers: Vec<String> = layers.collect();
        let config = entry(
            "application/x",
            Digest::of(&self.config),
            self.config.len() as u64,
            "",
        );
        let layers = layers.join(",");
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]}}"#).into_bytes()
    }

    fn write(&mut self, layout: &Path) {
        let blobs = layout.join("blobs/sha256");
        fs::create_dir_all(&blobs).expect("the directory takes another one");
        let text = |bytes: &[u8]| {
            put_file(&blobs.join(Digest::of(bytes).to_string()), bytes);
            (Digest::of(bytes), bytes.len() as u64)
        };
        for layer in &self.layers {
            layer.write(&blobs);
        }
        text(&self.config);
        let manifest = self.manifest.clone().unwrap_or_else(|| self.manifest());
        let (digest, len) = text(&manifest);
        let named = r#","annotations":{"org.opencontainers.image.ref.name":"v1"}"#;
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let one = entry(kind, digest, len, named);
        let mut index = index(&vec![one; self.names]);
        if self.is_nested {
            let (digest, len) = text(&index);
            let kind = "application/vnd.oci.image.index.v1+json";
            index = self::index(&vec![entry(kind, digest, len, named); self.names]);
        }
        put_file(&layout.join("index.json"), &index);
    }

    fn has_python(&self) -> bool {
        let has = |bytes: &[u8]| bytes.windows(PYTHON.len()).any(|some| some == PYTHON);
        self.layers.iter().any(|layer| {
            let mut unpacked = Vec::new();
            // What is damaged at its end counts up to there.
            let _damaged = MultiGzDecoder::new(&*layer.bytes).read_to_end(&mut unpacked);
            has(&layer.bytes) || has(&unpacked)
        })
    }
}

impl Layer {
    fn new(bytes: Vec<u8>, kind: &'static str) -> Self {
        Self {
            bytes,
            kind,
            zeros: 0,
        }
    }

    /// A layer with zeros at its end is only read in parts, so its digest is never compared.
    fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    fn write(&self, blobs: &Path) {
        let path = blobs.join(self.digest().to_string());
        put_file(&path, &self.bytes);
        if self.zeros > 0 {
            let file = OpenOptions::new().write(true).open(&path);
            let grown = file.and_then(|file| file.set_len(self.bytes.len() as u64 + self.zeros));
            grown.expect("a file can be sparse");
        }
    }
}

fn put_file(path: &Path, bytes: &[u8]) {
    let written = File::create(path).and_then(|mut file| file.write_all(bytes));
    written.expect("the directory takes a file");
}

fn entry(kind: &str, digest: Digest, len: u64, more: &str) -> String {
    format!(r#"{{"mediaType":"{kind}","digest":"sha256:{digest}","size":{len}{more}}}"#)
}

fn index(entries: &[String]) -> Vec<u8> {
    let entries = entries.join(",");
    format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#).into_bytes()
}

fn layer(choices: &mut Choices<'_>) -> Layer {
    let mut builder = Builder::new(Vec::new());
    for _ in 0..choices.next() % MEMBERS {
        member(&mut builder, choices);
    }
    let mut bytes = builder.into_inner().expect("memory takes what it is given");
    choices.damage(&mut bytes);
    match choices.next() % 16 {
        0..=9 => Layer::new(compressed(&bytes), LAYER),
        10..=14 => Layer::new(bytes, TAR),
        _ => {
            // Two blocks of zeros are the end.
            bytes.truncate(bytes.len().saturating_sub(1024));
            Layer {
                zeros: ZEROS,
                ..Layer::new(bytes, TAR)
            }
        }
    }
}

fn member(builder: &mut Builder<Vec<u8>>, choices: &mut Choices<'_>) {
    let kind = choices.pick(&KINDS);
    let name = text(choices, &NAMES);
    let target = text(choices, &TARGETS);
    let content = if kind.is_pax_local_extensions() {
        let records: [(&str, &[u8]); 3] = [("path", &name), ("linkpath", &target), ("size", b"6")];
        pax(&records, choices)
    } else if kind.is_gnu_longname() {
        [&name[..], b"\0"].concat()
    } else if kind.is_gnu_longlink() {
        [&target[..], b"\0"].concat()
    } else {
        match choices.next() % 8 {
            0..=5 => PYTHON.to_vec(),
            6 => b"pythin".to_vec(),
            _ => choices.some().to_vec(),
        }
    };
    let is_link = kind.is_symlink() || kind.is_hard_link();
    let content = if is_link { &[][..] } else { &content };
    let mut header = Header::new_gnu();
    let old = header.as_old_mut();
    put(&mut old.name, &name);
    put(&mut old.linkname, &target);
    header.set_entry_type(kind);
    header.set_size(match choices.next() % 16 {
        15 => choices.pick(&LENS),
        _ => content.len() as u64,
    });
    header.set_cksum();
    let added = builder.append(&header, content);
    added.expect("memory takes what it is given");
}

fn text(choices: &mut Choices<'_>, list: &[&'static str]) -> Vec<u8> {
    match choices.next() % 8 {
        7 => choices.some().to_vec(),
        _ => choices.pick(list).as_bytes().to_vec(),
    }
}
