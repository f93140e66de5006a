//! OCI images (image specification 1.1) of environments: configuration, index and layout, as text.
//!
//! Promises one text for the same layers, base and time, wherever it is made; that what the base
//! says stays, but for the search path; and that bytes of a base never cause a panic: what is
//! malformed is refused.
//!
//! Read next: `manifest.rs`, the manifest of an image; `layers.rs`; `../front/imaging.rs`.

use rvenv_journal::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::manifest::{Descriptor, INDEX, MANIFEST, Manifest, ManifestError, kind_of};
use crate::base::image_layout;

/// The kind of a layer.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// Whatever may be or list a base image, as a request names what it takes.
pub const IMAGE_OR_INDEX: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";
/// What Docker had before there was a specification: the same under other names.
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// The kind of a configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The tag of the image in its layout.
pub const TAG: &str = "latest";
/// Where programs are, if no base says it.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How processors are named in images, by the last part of a platform in the name of a wheel.
const ARCHITECTURES: &[(&str, &str)] = &[
    ("x86_64", "amd64"),
    ("aarch64", "arm64"),
    ("i686", "386"),
    ("x86", "386"),
    ("armv7l", "arm"),
    ("arm", "arm"),
    ("ppc64le", "ppc64le"),
    ("powerpc64", "ppc64le"),
    ("s390x", "s390x"),
    ("riscv64", "riscv64"),
    ("loongarch64", "loong64"),
];

/// A layer that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenLayer {
    /// The compressed bytes.
    pub blob: Descriptor,
    /// The digest of what they unpack to.
    pub diff_id: Digest,
    /// What is in it, for people.
    pub what: String,
}

/// The configuration of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config(Map<String, Value>);

/// What an image adds to its base.
#[derive(Clone, Copy, Debug)]
pub struct Addition<'a> {
    /// The path of the environment.
    pub target: &'a str,
    /// The processors that it is for, as images name them.
    pub architecture: &'a str,
    /// The time of the image, as RFC 3339 has it.
    pub created: &'a str,
    /// The layers.
    pub layers: &'a [WrittenLayer],
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ManifestError::Syntax`] if it is no object.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        let map = serde_json::from_slice(bytes).map_err(ManifestError::Syntax)?;
        Ok(Self(map))
    }

    /// The processors that the image is for.
    #[must_use]
    pub fn architecture(&self) -> Option<&str> {
        self.0.get("architecture")?.as_str()
    }

    /// How many layers it describes.
    #[must_use]
    pub fn layer_count(&self) -> usize {
        let ids = self
            .0
            .get("rootfs")
            .and_then(|rootfs| rootfs.get("diff_ids"));
        ids.and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// The configuration of an image on this one.
    #[must_use]
    pub fn with(mut self, addition: &Addition<'_>) -> Self {
        let layers = addition.layers.iter();
        let ids = layers.map(|layer| json!(format!("sha256:{}", layer.diff_id)));
        let mut rootfs = object(self.0.remove("rootfs"));
        let all = list(rootfs.remove("diff_ids")).into_iter().chain(ids);
        rootfs.insert("type".to_owned(), json!("layers"));
        rootfs.insert("diff_ids".to_owned(), all.collect());
        let steps = addition.layers.iter().map(|layer| {
            json!({
                "created": addition.created,
                "created_by": "rvenv image",
                "comment": layer.what,
            })
        });
        let history = list(self.0.remove("history")).into_iter().chain(steps);
        let mut config = object(self.0.remove("config"));
        let env = env(list(config.remove("Env")), addition.target);
        config.insert("Env".to_owned(), env);
        let pairs = [
            ("created", json!(addition.created)),
            ("architecture", json!(addition.architecture)),
            ("os", json!("linux")),
            ("config", Value::Object(config)),
            ("rootfs", Value::Object(rootfs)),
            ("history", history.collect()),
        ];
        let pairs = pairs.map(|(key, value)| (key.to_owned(), value));
        self.0.extend(pairs);
        self
    }

    /// The text.
    ///
    /// # Panics
    /// Never: an object of JSON serializes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).expect("an object of JSON serializes")
    }
}

/// The variables of a container, with those by which an environment is found.
fn env(base: Vec<Value>, target: &str) -> Value {
    let of = |name: &'static str| {
        move |line: &Value| {
            let pair = line.as_str().and_then(|line| line.split_once('='));
            pair.filter(|(key, _)| *key == name)
                .map(|(_, value)| value.to_owned())
        }
    };
    let path = base.iter().find_map(of("PATH"));
    let path = path.unwrap_or_else(|| USUAL_PATH.to_owned());
    let is_own = |line: &Value| {
        let both = [of("PATH")(line), of("VIRTUAL_ENV")(line)];
        both.iter().any(Option::is_some)
    };
    let own = [
        json!(format!("PATH={target}/bin:{path}")),
        json!(format!("VIRTUAL_ENV={target}")),
    ];
    let others = base.into_iter().filter(|line| !is_own(line));
    own.into_iter().chain(others).collect()
}

fn object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(map)) => map,
        Some(_) | None => Map::new(),
    }
}

fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(list)) => list,
        Some(_) | None => Vec::new(),
    }
}

/// Whether a text lists images.
///
/// # Errors
/// See [`ManifestError`].
pub fn is_index(bytes: &[u8]) -> Result<bool, ManifestError> {
    Ok([INDEX, DOCKER_INDEX].contains(&kind_of(bytes)?.as_str()))
}

/// Reads the manifest of a base image, with the kinds of layers that the specification has.
///
/// # Errors
/// See [`ManifestError`].
pub fn manifest_of_base(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    let mut manifest = Manifest::of_kinds(bytes, &[MANIFEST, DOCKER_MANIFEST])?;
    for layer in &mut manifest.layers {
        if layer.kind == DOCKER_LAYER {
            LAYER.clone_into(&mut layer.kind);
        }
    }
    Ok(manifest)
}

/// The manifest of an image.
#[must_use]
pub fn manifest(config: Descriptor, base: &[Descriptor], layers: &[WrittenLayer]) -> Manifest {
    let own = layers.iter().map(|layer| layer.blob.clone());
    Manifest {
        artifact: String::new(),
        config,
        layers: base.iter().cloned().chain(own).collect(),
        annotations: std::collections::BTreeMap::new(),
    }
}

/// The index of a layout with one image.
#[must_use]
pub fn index(manifest: &Descriptor, architecture: &str) -> Vec<u8> {
    let index = json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{
            "mediaType": MANIFEST,
            "digest": format!("sha256:{}", manifest.digest),
            "size": manifest.len,
            "annotations": { image_layout::TAG: TAG },
            "platform": { "architecture": architecture, "os": "linux" },
        }],
    });
    index.to_string().into_bytes()
}

/// The processors that wheels are for, as images name them; those of this program if every wheel is
/// for all. The error is a wheel for another system than Linux.
///
/// # Errors
/// The name of that wheel.
pub fn architecture<'a>(
    wheels: impl IntoIterator<Item = &'a str>,
) -> Result<&'static str, &'a str> {
    let own = ARCHITECTURES.iter();
    let own = own.clone().find(|(tag, _)| *tag == std::env::consts::ARCH);
    let mut found = own.map_or(std::env::consts::ARCH, |(_, name)| *name);
    for wheel in wheels {
        let stem = wheel.strip_suffix(".whl").unwrap_or(wheel);
        let platforms = stem.rsplit('-').next().unwrap_or_default();
        for platform in platforms.split('.') {
            let mut all = ARCHITECTURES.iter();
            let ends = |tag: &str| platform.ends_with(&format!("_{tag}"));
            match all.find(|(tag, _)| ends(tag)) {
                _ if platform == "any" => {}
                Some((_, name)) if platform.contains("linux") => found = name,
                _ => return Err(wheel),
            }
        }
    }
    Ok(found)
}

/// An image, or a list of images, that an index names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its digest.
    pub digest: Digest,
    /// Whether it is a list of images.
    pub is_index: bool,
    /// Its tag.
    pub tag: Option<String>,
    /// The processors that it is for, if the index says it.
    pub architecture: Option<String>,
}

#[derive(Deserialize)]
struct IndexDto {
    manifests: Vec<ListedDto>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedDto {
    #[serde(default)]
    media_type: String,
    digest: String,
    #[serde(default)]
    annotations: Map<String, Value>,
    #[serde(default)]
    platform: Map<String, Value>,
}

/// The images that an index names; those for other systems are left out.
///
/// # Errors
/// See [`ManifestError`].
pub fn listed(index: &[u8]) -> Result<Vec<Listed>, ManifestError> {
    let dto: IndexDto = serde_json::from_slice(index).map_err(ManifestError::Syntax)?;
    let text = |map: &Map<String, Value>, key: &str| {
        map.get(key).and_then(Value::as_str).map(str::to_owned)
    };
    let is_linux = |one: &ListedDto| text(&one.platform, "os").is_none_or(|os| os == "linux");
    let all = dto.manifests.into_iter().filter(is_linux).map(|one| {
        let digits = one.digest.strip_prefix("sha256:");
        let digest = digits.and_then(|digits| Digest::parse(digits).ok());
        Ok(Listed {
            digest: digest.ok_or(ManifestError::Digest(one.digest))?,
            is_index: [INDEX, DOCKER_INDEX].contains(&one.media_type.as_str()),
            tag: text(&one.annotations, image_layout::TAG),
            architecture: text(&one.platform, "architecture"),
        })
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(what: &str) -> WrittenLayer {
        WrittenLayer {
            blob: Descriptor::new(LAYER, Digest::of(what.as_bytes()), 1),
            diff_id: Digest::of(b"unpacked"),
            what: what.to_owned(),
        }
    }

    fn added(base: &str) -> Value {
        let config = Config::from_bytes(base.as_bytes()).unwrap();
        let config = config.with(&Addition {
            target: "/opt/app",
            architecture: "amd64",
            created: "1980-01-01T00:00:00Z",
            layers: &[layer("a")],
        });
        serde_json::from_slice(&config.to_bytes()).unwrap()
    }

    #[test]
    fn the_configuration_of_an_image_without_a_base_has_its_path_and_its_layers() {
        let id = format!("sha256:{}", Digest::of(b"unpacked"));
        let expected = json!({
            "created": "1980-01-01T00:00:00Z",
            "architecture": "amd64",
            "os": "linux",
            "config": { "Env": [
                format!("PATH=/opt/app/bin:{USUAL_PATH}"), "VIRTUAL_ENV=/opt/app"
            ]},
            "rootfs": { "type": "layers", "diff_ids": [id] },
            "history": [{
                "created": "1980-01-01T00:00:00Z", "created_by": "rvenv image", "comment": "a",
            }],
        });
        assert_eq!(added("{}"), expected);
    }

    #[test]
    fn what_a_base_says_stays_but_for_the_search_path() {
        let found = added(
            r#"{"architecture":"amd64","os":"linux","author":"x",
                "config":{"Env":["LANG=C","PATH=/b","VIRTUAL_ENV=/old"],"Cmd":["sh"],"User":"9"},
                "rootfs":{"type":"layers","diff_ids":["sha256:0"]},"history":[{"created_by":"y"}]}"#,
        );
        assert_eq!(found["author"], "x");
        assert_eq!(found["config"]["Cmd"], json!(["sh"]));
        assert_eq!(found["config"]["User"], "9");
        let env = json!(["PATH=/opt/app/bin:/b", "VIRTUAL_ENV=/opt/app", "LANG=C"]);
        assert_eq!(found["config"]["Env"], env);
        assert_eq!(found["rootfs"]["diff_ids"][0], "sha256:0");
        assert_eq!(found["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
        assert_eq!(found["history"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_configuration_or_index_is_refused() {
        for text in ["", "[]", "{", "\u{0}"] {
            assert!(Config::from_bytes(text.as_bytes()).is_err(), "{text}");
        }
        for text in ["{}", r#"{"manifests":[{"digest":"sha512:0"}]}"#, "[]"] {
            assert!(listed(text.as_bytes()).is_err(), "{text}");
        }
        // What has another form than expected counts as absent.
        let found = added(r#"{"config":[],"rootfs":7,"history":{}}"#);
        assert_eq!(found["history"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn an_index_is_read_back() {
        let manifest = Descriptor::new(MANIFEST, Digest::of(b"m"), 3);
        let listed = listed(&index(&manifest, "arm64")).unwrap();
        let expected = Listed {
            digest: manifest.digest,
            is_index: false,
            tag: Some(TAG.to_owned()),
            architecture: Some("arm64".to_owned()),
        };
        assert_eq!(listed, [expected]);
    }

    #[test]
    fn what_docker_pushed_before_the_specification_is_an_image() {
        let own = Manifest {
            artifact: String::new(),
            config: Descriptor::new(CONFIG, Digest::of(b"config"), 6),
            layers: vec![Descriptor::new(LAYER, Digest::of(b"layer"), 5)],
            annotations: std::collections::BTreeMap::new(),
        };
        let text = String::from_utf8(own.to_bytes()).unwrap();
        let dockers = text.replace(MANIFEST, DOCKER_MANIFEST);
        let dockers = dockers.replace(LAYER, DOCKER_LAYER);
        assert!(!is_index(dockers.as_bytes()).unwrap());
        assert_eq!(manifest_of_base(dockers.as_bytes()).unwrap(), own);
        assert!(Manifest::from_bytes(dockers.as_bytes()).is_err());
        let manifest = Descriptor::new(MANIFEST, Digest::of(b"m"), 3);
        let list = String::from_utf8(index(&manifest, "arm64")).unwrap();
        let list = list.replace(INDEX, DOCKER_INDEX);
        assert!(is_index(list.as_bytes()).unwrap());
        assert_eq!(listed(list.as_bytes()).unwrap()[0].digest, manifest.digest);
        assert!(manifest_of_base(list.as_bytes()).is_err());
    }

    #[test]
    fn wheels_say_for_which_processors_they_are() {
        let check = |wheels: &[&str], expected: &str| {
            let found = architecture(wheels.iter().copied());
            assert_eq!(found, Ok(expected), "{wheels:?}");
        };
        check(
            &[
                "a-1-py3-none-any.whl",
                "b-1-cp313-cp313-manylinux_2_17_aarch64.whl",
            ],
            "arm64",
        );
        check(
            &["b-1-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"],
            "amd64",
        );
        check(&["b-1-cp313-cp313-musllinux_1_1_i686.whl"], "386");
        let own = architecture(["a-1-py3-none-any.whl"]);
        assert_eq!(own, architecture([]));
        let other = "b-1-cp313-cp313-macosx_11_0_arm64.whl";
        assert_eq!(architecture([other]), Err(other));
    }
}
