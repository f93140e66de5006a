//! `rvenv status --sbom`, `rvenv push --sbom`: what an environment consists of, as `CycloneDX` 1.6;
//! writes nothing.
//!
//! Promises the same bytes for the same environment: the components are sorted, the serial number
//! is derived from the content, and there is a time only if `SOURCE_DATE_EPOCH` is set. An origin
//! has no password in it. Says only what the files of the environment say: a hash is that of the
//! archive in `direct_url.json`, or that of the wheel in the receipt while the package is as rvenv
//! installed it; a licence is that in `METADATA`. Of what another installer got from an index no
//! file has a hash; `--lock` takes it from a lock that has the same version. That is no proof:
//! `verify --lock` proves it.
//!
//! Read next: the library's `verify/glance.rs`, which reads the distributions.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;

use rvenv::describing::PlanDescribed;
use rvenv::proving::ProofRequest;
use rvenv::pyvenv_cfg::CONFIG_NAME;
use rvenv::render::escape;
use rvenv::timestamp::timestamp;
use rvenv::verify::{Described, VerifyFailed, glance};
use rvenv::wheel::installed::Licence;
use rvenv::wheel::origin::Origin;
use rvenv_journal::fs::Kind;
use rvenv_journal::{Digest, Fs as _, Parents, Plan, Target};
use serde::Serialize;

use crate::advice::{CliError, Code, Exit, of_verify, of_verify_target};
use crate::args::StatusArgs;
use crate::found_env::Use;
use crate::session::{READING, Session};

const SCHEMA: &str = "http://cyclonedx.org/schema/bom-1.6.schema.json";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bom {
    #[serde(rename = "$schema")]
    schema: &'static str,
    #[serde(rename = "bomFormat")]
    format: &'static str,
    spec_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_number: Option<String>,
    version: u64,
    metadata: Metadata,
    components: Vec<Component>,
}

#[derive(Serialize)]
struct Metadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    tools: Tools,
    /// The environment itself.
    component: Component,
}

#[derive(Serialize)]
struct Tools {
    components: [Component; 1],
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref")]
    bom_ref: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<LicenceChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_references: Vec<Reference>,
}

#[derive(Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum LicenceChoice {
    Expression(String),
    License(LicenceName),
}

#[derive(Serialize)]
struct LicenceName {
    name: String,
}

#[derive(Serialize)]
struct Reference {
    #[serde(rename = "type")]
    kind: &'static str,
    url: String,
}

impl Hash {
    fn sha256(digest: Digest) -> Self {
        Self {
            alg: "SHA-256",
            content: digest.to_string(),
        }
    }
}

/// The digests of wheels by the names and versions of their packages.
type Digests = BTreeMap<(String, String), Digest>;

impl Session<'_> {
    pub(crate) fn sbom(&self, args: &StatusArgs) -> Result<Exit, CliError> {
        let given = self.env_of(&args.target, Use::Look)?;
        let env_dir = self.world.env_dir(&given)?;
        let path = Path::new(&env_dir);
        let target = Target::open(&self.fs, path, Parents::Require).map_err(of_verify_target)?;
        let failed = |error: VerifyFailed| of_verify(&error);
        let disk = |error: rvenv_journal::fs::FsError| {
            let shown = escape(&env_dir);
            CliError::new(Code::Disk, format!("cannot look at `{shown}`")).because(&error.source)
        };
        let meta = target.meta().map_err(disk)?;
        if meta.is_none_or(|meta| meta.kind != Kind::Dir) {
            return Err(failed(VerifyFailed::Absent(target.path().to_owned())));
        }
        let root = target.root().map_err(disk)?;
        let config = self.fs.meta(&root, OsStr::new(CONFIG_NAME)).map_err(disk)?;
        if config.is_none() {
            let path = target.path().to_owned();
            return Err(failed(VerifyFailed::NotAnEnvironment(path)));
        }
        let (seen, found) = self.during(READING, |_| {
            let seen = glance(&target).map_err(failed)?;
            let found = seen.described(&target).map_err(failed)?;
            Ok((seen, found))
        })?;
        let locked = self.locked(args, &env_dir)?;
        let package = |found| package(found, &locked);
        let mut components: Vec<Component> = found.into_iter().map(package).collect();
        let config = seen.config.as_ref();
        let implementation = config.and_then(|config| config.implementation.clone());
        let version = seen.contents().python;
        components.push(interpreter(implementation.as_deref(), version));
        let name = target.path().file_name().unwrap_or_default();
        let bom = bom(&name.to_string_lossy(), components, self.world.epoch);
        self.terminal.data(&bom)?;
        Ok(Exit::Done)
    }

    /// What the locks say about wheels, if there are locks.
    fn locked(&self, args: &StatusArgs, env_dir: &str) -> Result<Digests, CliError> {
        if args.files.is_empty() {
            return Ok(Digests::new());
        }
        let request = ProofRequest {
            files: args.files.clone(),
            ..self.proof_request(env_dir.to_owned(), &args.python, &args.choice)?
        };
        let found = self.with_caller(|caller| caller.locked_digests(&request));
        found.map_err(|failed| self.unanswered(failed, args.python.python.as_ref()))
    }
}

/// The same of what a plan makes; it has no time.
pub(super) fn bom_of_plan(plan: &Plan, described: PlanDescribed) -> String {
    let config = described.config.as_ref();
    let implementation = config.and_then(|config| config.implementation.clone());
    let version = config.and_then(|config| config.version.clone());
    let none = Digests::new();
    let packages = described.distributions.into_iter();
    let mut components: Vec<Component> = packages.map(|found| package(found, &none)).collect();
    components.push(interpreter(implementation.as_deref(), version));
    let name = Path::new(plan.target()).file_name().unwrap_or_default();
    bom(&name.to_string_lossy(), components, None)
}

/// The document, with its serial number.
fn bom(environment: &str, mut components: Vec<Component>, epoch: Option<i64>) -> String {
    components.sort_by(|one, other| {
        let key = |of: &Component| (of.name.clone(), of.version.clone(), of.kind);
        key(one).cmp(&key(other))
    });
    // A reference must be unique, and two directories of packages may have the same distribution.
    let mut taken = BTreeSet::new();
    for component in &mut components {
        let base = component.bom_ref.clone();
        let mut number = 1;
        while !taken.insert(component.bom_ref.clone()) {
            number += 1;
            component.bom_ref = format!("{base}#{number}");
        }
    }
    let rvenv = env!("CARGO_PKG_VERSION");
    let mut bom = Bom {
        schema: SCHEMA,
        format: "CycloneDX",
        spec_version: "1.6",
        serial_number: None,
        version: 1,
        metadata: Metadata {
            timestamp: epoch.map(timestamp),
            tools: Tools {
                components: [Component {
                    kind: "application",
                    bom_ref: format!("rvenv@{rvenv}"),
                    name: "rvenv".to_owned(),
                    version: Some(rvenv.to_owned()),
                    ..Component::default()
                }],
            },
            component: Component {
                kind: "application",
                bom_ref: "environment".to_owned(),
                name: environment.to_owned(),
                ..Component::default()
            },
        },
        components,
    };
    bom.serial_number = Some(serial(Digest::of(json(&bom).as_bytes())));
    json(&bom)
}

fn json(bom: &Bom) -> String {
    let mut text = serde_json::to_string_pretty(bom).expect("strings and numbers serialize");
    text.push('\n');
    text
}

/// A digest as a UUID of version 8, whose bits the author decides (RFC 9562).
fn serial(digest: Digest) -> String {
    let mut text = String::from("urn:uuid:");
    for (at, digit) in digest.to_string().chars().take(32).enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(match (at, digit) {
            (12, _) | (16, '0' | '4' | '8' | 'c') => '8',
            (16, '1' | '5' | '9' | 'd') => '9',
            (16, '2' | '6' | 'a' | 'e') => 'a',
            (16, _) => 'b',
            (_, digit) => digit,
        });
    }
    text
}

fn package(found: Described, locked: &Digests) -> Component {
    let Described {
        installed,
        licence,
        wheel,
    } = found;
    let (name, version) = (installed.distribution.name, installed.distribution.version);
    let version = Some(version).filter(|version| !version.is_empty());
    let purl = purl("pypi", &name, version.as_deref());
    let (mut hashes, external_references) = origin(&installed.origin);
    let of_lock = version.clone().and_then(|version| {
        let digest = locked.get(&(name.clone(), version))?;
        Some(Hash::sha256(*digest))
    });
    if hashes.is_empty() && installed.origin == Origin::Index {
        hashes.extend(wheel.map(Hash::sha256).or(of_lock));
    }
    let licences = licence.map(|licence| match licence {
        Licence::Expression(text) => LicenceChoice::Expression(text),
        Licence::Text(name) => LicenceChoice::License(LicenceName { name }),
    });
    Component {
        kind: "library",
        bom_ref: purl.clone(),
        name,
        version,
        hashes,
        licenses: licences.into_iter().collect(),
        purl: Some(purl),
        external_references,
    }
}

fn origin(origin: &Origin) -> (Vec<Hash>, Vec<Reference>) {
    let reference = |kind, url: &str| {
        let url = url.to_owned();
        vec![Reference { kind, url }]
    };
    match origin {
        Origin::Index | Origin::Unknown => (Vec::new(), Vec::new()),
        Origin::Archive { url, digest } => {
            let hash = digest.map(Hash::sha256);
            (hash.into_iter().collect(), reference("distribution", url))
        }
        Origin::Directory { url, .. } => (Vec::new(), reference("distribution", url)),
        Origin::Repository { requirement, .. } => (Vec::new(), reference("vcs", requirement)),
    }
}

fn interpreter(implementation: Option<&str>, version: Option<String>) -> Component {
    let name = implementation.unwrap_or("cpython").to_lowercase();
    let purl = purl("generic", &name, version.as_deref());
    Component {
        kind: "platform",
        bom_ref: purl.clone(),
        name,
        version,
        purl: Some(purl),
        ..Component::default()
    }
}

/// A package URL.
fn purl(kind: &str, name: &str, version: Option<&str>) -> String {
    let mut text = format!("pkg:{kind}/{}", escaped(name));
    if let Some(version) = version {
        let _infallible = write!(text, "@{}", escaped(version));
    }
    text
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _infallible = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_url_has_no_character_that_means_something_else() {
        assert_eq!(purl("pypi", "a-b", Some("1!2+c")), "pkg:pypi/a-b@1%212%2Bc");
        assert_eq!(purl("pypi", "a/@b", None), "pkg:pypi/a%2F%40b");
    }
}
