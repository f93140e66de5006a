//! The byte form of a plan: canonical JSON with a version, pinned by its digest.
//!
//! Promises one text per plan (sorted keys, no optional spelling), and that a text that was cut
//! short, edited or written for another version is refused with the reason (I4, I6). Every plan
//! that is read passes [`PlanBuilder`], so a hostile file can express nothing that code could not.
//!
//! The text is an object with `digest`, `format` (1) and `plan`; the digest is the SHA-256 of the
//! value of `plan` in compact form. `found` and `urls` have the paths and URLs of inputs by the
//! digests of their bytes: hints, so that the plan's own digest is the same on every machine.
//! `request` is a note of what was asked for, and `statements` are about inputs; the digest covers
//! neither. Bytes that
//! are not UTF-8 are written in hexadecimal.
//!
//! Read next: `plan/builder.rs`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write as _};

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::base::digest::{Digest, DigestError, Hasher};
use crate::base::identity::{Birth, Identity};
use crate::base::path::{RelPath, RelPathError};
use crate::base::plural::counted;
use crate::plan::builder::{Plan, PlanBuilder};
use crate::plan::error::PlanError;
use crate::plan::node::{Expected, Input, Observation, Observed, Operation};
use crate::plan::operations::Operations;

mod parts;
mod values;

pub use parts::PlanNotes;

use crate::plan::receipt::PublishedDto;
use crate::plan::statements::{StatementDto, statements_in, statements_out};
use values::{
    ExpectedDto, InputDto, NodeDto, ObservedDto, OperationDto, PublicationDto, RetiredDto, mode,
};

/// The version of the byte form that this code reads and writes.
pub const PLAN_FORMAT: u64 = 1;
/// Maximum length of a plan's text in bytes.
pub const PLAN_BYTES_MAX: u64 = 256 << 20;

/// Why a text is not a plan.
#[derive(Debug, Error)]
pub enum PlanReadError {
    /// The text is longer than [`PLAN_BYTES_MAX`].
    #[error("the plan has {}, more than any plan has", counted(*.0, "byte"))]
    TooLong(u64),
    /// The text is not JSON, is cut short, or has fields that a plan does not have.
    #[error("the text is not a valid plan")]
    Syntax(#[source] serde_json::Error),
    /// The format version is unknown to this code.
    #[error("the plan has format {0}, and this version reads format {PLAN_FORMAT}")]
    Format(u64),
    /// The content does not match the digest.
    #[error(
        "the plan was changed after it was made: it states the digest {written}, but its digest \
         is {found}"
    )]
    Digest {
        /// The digest in the text.
        written: Digest,
        /// The digest of the content.
        found: Digest,
    },
    /// A digest is not valid.
    #[error(transparent)]
    BadDigest(#[from] DigestError),
    /// A path is not valid, or leads out of the target.
    #[error(transparent)]
    BadPath(#[from] RelPathError),
    /// The operations contradict each other.
    #[error(transparent)]
    BadPlan(#[from] PlanError),
    /// A value has the wrong form, such as a mode that is not four octal digits.
    #[error("`{value}` is not a {kind}")]
    BadValue {
        /// What was expected.
        kind: &'static str,
        /// What the text contains.
        value: String,
    },
}

impl Plan {
    /// The plan as text for people and for `diff`, ending with a newline.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        reason = "strings and numbers always serialize, and always are UTF-8"
    )]
    pub fn to_json(&self) -> String {
        let mut text = Vec::new();
        self.write_json(&mut text)
            .expect("strings and numbers serialize");
        String::from_utf8(text).expect("JSON is UTF-8")
    }

    /// Writes the text of [`Plan::to_json`] piece by piece, so that it is never in memory as a
    /// whole.
    ///
    /// # Errors
    /// The error of the writer.
    pub fn write_json(&self, mut to: impl io::Write) -> io::Result<()> {
        let envelope = EnvelopeOut {
            digest: self.digest().to_string(),
            format: PLAN_FORMAT,
            found: self.inputs().iter().filter_map(place).collect(),
            plan: PlanOut::of(self),
            request: self.request().map(noted),
            statements: statements_out(self.statements()),
            urls: self.inputs().iter().filter_map(url).collect(),
        };
        serde_json::to_writer_pretty(&mut to, &envelope)?;
        to.write_all(b"\n")
    }

    /// The SHA-256 of the plan's canonical form.
    #[must_use]
    pub fn digest(&self) -> Digest {
        *self.digest.0.get_or_init(|| digest_of(&PlanOut::of(self)))
    }

    /// Reads a text that [`Plan::to_json`] wrote.
    ///
    /// # Errors
    /// Any other text is refused; the bytes never cause a panic.
    pub fn from_json(bytes: &[u8]) -> Result<Self, PlanReadError> {
        let len = bytes.len() as u64;
        if len > PLAN_BYTES_MAX {
            return Err(PlanReadError::TooLong(len));
        }
        let version: VersionDto = serde_json::from_slice(bytes).map_err(PlanReadError::Syntax)?;
        if version.format != PLAN_FORMAT {
            return Err(PlanReadError::Format(version.format));
        }
        let envelope: EnvelopeIn<'_> =
            serde_json::from_slice(bytes).map_err(PlanReadError::Syntax)?;
        let written = Digest::parse(&envelope.digest)?;
        let EnvelopeIn {
            plan,
            found,
            urls,
            request,
            statements,
            ..
        } = envelope;
        let plan = plan.into_plan(&found, &urls, request, statements);
        let found = if let Ok(plan) = &plan {
            // The digest is computed from the plan that was read, so it also notices text that the
            // plan does not represent.
            plan.digest()
        } else {
            // The digest is compared first: an edited text is reported as edited, and its other
            // fault only if the digest matches.
            let text: TextDto = serde_json::from_slice(bytes).map_err(PlanReadError::Syntax)?;
            digest_of(&text.plan)
        };
        if written != found {
            return Err(PlanReadError::Digest { written, found });
        }
        plan
    }
}

/// The digest of an input, and where it was found.
fn place(input: &Input) -> Option<(String, &str)> {
    let found = input.found.as_deref()?;
    Some((input.digest.to_string(), found))
}

/// The digest of an input, and a URL that had it.
fn url(input: &Input) -> Option<(String, &str)> {
    let url = input.url.as_deref()?;
    Some((input.digest.to_string(), url))
}

/// A note as a value, so that it is written as the rest of the text is.
fn noted(request: &str) -> serde_json::Value {
    serde_json::from_str(request).expect("a plan keeps valid JSON only")
}

fn digest_of(plan: &impl Serialize) -> Digest {
    let mut hasher = Hasher::default();
    let mut to = io::BufWriter::with_capacity(1 << 16, HashWriter(&mut hasher));
    serde_json::to_writer(&mut to, plan).expect("strings and numbers serialize");
    to.flush().expect("a hasher takes everything");
    drop(to);
    hasher.finish()
}

struct HashWriter<'a>(&'a mut Hasher);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Deserialize)]
struct VersionDto {
    format: u64,
}

/// The text of an invalid plan; a `Value` keeps its keys sorted.
#[derive(Deserialize)]
struct TextDto {
    plan: serde_json::Value,
}

#[derive(Serialize)]
struct EnvelopeOut<'a> {
    digest: String,
    format: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    found: BTreeMap<String, &'a str>,
    plan: PlanOut<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    statements: BTreeMap<String, StatementDto<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    urls: BTreeMap<String, &'a str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeIn<'a> {
    digest: String,
    #[expect(dead_code, reason = "checked by `VersionDto` before the rest is read")]
    format: u64,
    #[serde(default)]
    found: BTreeMap<String, String>,
    #[serde(borrow)]
    plan: PlanIn<'a>,
    request: Option<serde_json::Value>,
    #[serde(borrow, default)]
    statements: BTreeMap<String, StatementDto<'a>>,
    #[serde(default)]
    urls: BTreeMap<String, String>,
}

/// A plan for writing: its operations become text one by one.
#[derive(Serialize)]
struct PlanOut<'a> {
    expects: ExpectedDto<'a>,
    inputs: Vec<InputDto<'a>>,
    #[serde(skip_serializing_if = "KeptOut::is_empty")]
    kept: KeptOut<'a>,
    operations: OperationsOut<'a>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    order: &'a [RelPath],
    publication: PublicationDto,
    #[serde(skip_serializing_if = "RetiredOut::is_empty")]
    retired: RetiredOut<'a>,
    root_mode: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shared: bool,
    target: &'a str,
}

/// The operations, and what was observed at their paths.
struct OperationsOut<'a>(&'a Plan);

/// What the plan keeps of what an earlier one published.
struct KeptOut<'a>(&'a Plan);

/// The retired paths.
struct RetiredOut<'a>(&'a Plan);

/// A plan while it is read: each operation is parsed and checked as it comes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanIn<'a> {
    #[serde(borrow)]
    expects: ExpectedDto<'a>,
    #[serde(borrow)]
    inputs: Vec<InputDto<'a>>,
    #[serde(borrow, default)]
    kept: BTreeMap<Cow<'a, str>, PublishedDto<'a>>,
    operations: OperationsIn,
    #[serde(borrow, default)]
    order: Vec<Cow<'a, str>>,
    publication: PublicationDto,
    #[serde(borrow, default)]
    retired: Vec<RetiredDto<'a>>,
    root_mode: String,
    #[serde(default)]
    shared: bool,
    target: String,
}

#[derive(Default)]
struct OperationsIn {
    operations: Operations,
    seen: BTreeMap<RelPath, Observed>,
    /// The first invalid operation; the operations after it are parsed but ignored.
    fault: Option<PlanReadError>,
}

impl<'a> PlanOut<'a> {
    fn of(plan: &'a Plan) -> Self {
        Self {
            expects: match &plan.observation().target {
                Expected::Absent => ExpectedDto::Absent,
                Expected::Tree { identity, names } => ExpectedDto::Tree {
                    birth: identity.birth.map(|birth| (birth.seconds, birth.nanos)),
                    inode: identity.inode,
                    names: names.into(),
                },
            },
            inputs: plan.inputs().iter().map(InputDto::from_input).collect(),
            kept: KeptOut(plan),
            operations: OperationsOut(plan),
            order: plan.order(),
            publication: PublicationDto::from_publication(plan.publication()),
            retired: RetiredOut(plan),
            root_mode: plan.root_mode().to_string(),
            shared: plan.is_shared(),
            target: plan.target(),
        }
    }
}

impl RetiredOut<'_> {
    fn is_empty(&self) -> bool {
        self.0.retired().is_empty()
    }
}

impl KeptOut<'_> {
    fn is_empty(&self) -> bool {
        self.0.kept().is_empty()
    }
}

impl Serialize for KeptOut<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let kept = self.0.kept().iter();
        to.collect_map(
            kept.map(|(path, published)| (path.as_str(), PublishedDto::from_published(published))),
        )
    }
}

impl Serialize for OperationsOut<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(plan) = self;
        let seen = &plan.observation().paths;
        to.collect_seq(
            plan.operations()
                .iter()
                .map(|(path, operation)| OperationDto {
                    group: operation.group.as_deref().map(Cow::Borrowed),
                    node: NodeDto::from_node(&operation.node),
                    path: path.as_str().into(),
                    stage: Cow::Borrowed(&operation.part),
                    was: seen.get(path).map(ObservedDto::from_observed),
                }),
        )
    }
}

impl Serialize for RetiredOut<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(plan) = self;
        let seen = &plan.observation().paths;
        to.collect_seq(plan.retired().iter().map(|path| RetiredDto {
            path: path.as_str().into(),
            was: seen.get(path).map(ObservedDto::from_observed),
        }))
    }
}

impl Serialize for RelPath {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for OperationsIn {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(OneByOne)
    }
}

struct OneByOne;

impl<'de> Visitor<'de> for OneByOne {
    type Value = OperationsIn;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a list of operations")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OperationsIn, A::Error> {
        let mut read = OperationsIn::default();
        while let Some(dto) = list.next_element::<OperationDto<'de>>()? {
            if read.fault.is_none() {
                read.fault = read.take(dto).err();
            }
        }
        Ok(read)
    }
}

impl OperationsIn {
    fn take(&mut self, dto: OperationDto<'_>) -> Result<(), PlanReadError> {
        let path = RelPath::new(&dto.path)?;
        if let Some(was) = dto.was {
            self.seen.insert(path.clone(), was.into_observed()?);
        }
        let operation = Operation {
            part: dto.stage.into(),
            group: dto.group.map(Into::into),
            node: dto.node.into_node()?,
        };
        Ok(self.operations.add(path, operation)?)
    }
}

impl PlanIn<'_> {
    fn into_plan(
        self,
        found: &BTreeMap<String, String>,
        urls: &BTreeMap<String, String>,
        request: Option<serde_json::Value>,
        statements: BTreeMap<String, StatementDto<'_>>,
    ) -> Result<Plan, PlanReadError> {
        let OperationsIn {
            operations,
            seen: mut paths,
            fault,
        } = self.operations;
        if let Some(fault) = fault {
            return Err(fault);
        }
        let mut builder = PlanBuilder::with(&self.target, mode(&self.root_mode)?, operations)?;
        for RetiredDto { path, was } in self.retired {
            let path = RelPath::new(&path)?;
            if let Some(was) = was {
                paths.insert(path.clone(), was.into_observed()?);
            }
            builder.retire(path)?;
        }
        let kept = self.kept.into_iter();
        let kept = kept.map(|(path, published)| {
            Ok::<_, PlanReadError>((RelPath::new(&path)?, published.into_published()?))
        });
        builder.keep(kept.collect::<Result<_, _>>()?);
        let order = self.order.iter().map(|path| RelPath::new(path));
        builder.set_order(order.collect::<Result<_, _>>()?);
        for InputDto {
            role,
            path,
            sha256,
            len,
        } in self.inputs
        {
            builder.add_input(Input {
                role: role.into_owned(),
                path: path.into_owned(),
                found: found.get(&*sha256).cloned(),
                url: urls.get(&*sha256).cloned(),
                digest: Digest::parse(&sha256)?,
                len,
            });
        }
        let target = match self.expects {
            ExpectedDto::Absent => Expected::Absent,
            ExpectedDto::Tree {
                inode,
                birth,
                names,
            } => {
                let birth = birth.map(|(seconds, nanos)| Birth { seconds, nanos });
                Expected::Tree {
                    identity: Identity { inode, birth },
                    names: names.into_owned(),
                }
            }
        };
        if self.shared {
            builder.share();
        }
        let publication = self.publication.into_publication();
        for (of, statement) in statements_in(statements)? {
            builder.state(of, statement);
        }
        let plan = builder.finish(Observation { target, paths }, publication)?;
        Ok(match request {
            Some(request) => plan.with_request(&request.to_string()),
            None => plan,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::node::{
        Attestation, Content, Mode, Node, Publication, PublishedPath, Statement,
    };
    use crate::plan::receipt::Receipt;

    fn plan() -> Plan {
        let target = if cfg!(windows) { "C:/t" } else { "/t" };
        let mut builder = PlanBuilder::new(target, Mode::SHARED_DIR).unwrap();
        let mut add = |path: &str, node| {
            let operation = Operation {
                part: "one".into(),
                group: None,
                node,
            };
            builder.add(RelPath::new(path).unwrap(), operation).unwrap();
        };
        let file = |content| Node::File {
            mode: Mode::SHARED_FILE,
            mtime: Some(1_700_000_000),
            content,
        };
        add(
            "a",
            Node::Dir {
                mode: Mode::SHARED_DIR,
            },
        );
        add("a/text", file(Content::Inline("né\n".into())));
        add("a/bytes", file(Content::Inline(vec![0xff, 0])));
        add(
            "a/object",
            file(Content::Object {
                digest: Digest::of(b"o"),
                len: 1,
            }),
        );
        add(
            "a/local",
            file(Content::Local {
                path: "/l".into(),
                digest: Digest::of(b"l"),
                len: 1,
            }),
        );
        add(
            "link",
            Node::Symlink {
                target: "a/text".into(),
            },
        );
        builder.add_input(Input {
            role: "wheel".into(),
            path: "/w".into(),
            found: None,
            url: None,
            digest: Digest::of(b"w"),
            len: 1,
        });
        builder.finish(observation(), Publication::Replace).unwrap()
    }

    /// A plan that adds entries to a directory with other entries.
    fn shared() -> Plan {
        let target = if cfg!(windows) { "C:/t" } else { "/t" };
        let mut builder = PlanBuilder::new(target, Mode::SHARED_DIR).unwrap();
        builder.share();
        let seen = Observation {
            paths: BTreeMap::new(),
            ..observation()
        };
        builder.finish(seen, Publication::Merge).unwrap()
    }

    fn observation() -> Observation {
        let seen = Observed::File {
            mode: 0o644,
            len: 3,
            mtime_ns: -1,
            inode: 7,
            digest: Some(Digest::of(b"")),
        };
        let identity = Identity {
            inode: 5,
            birth: Some(Birth {
                seconds: 1,
                nanos: 2,
            }),
        };
        Observation {
            target: Expected::Tree {
                identity,
                names: vec!["a".into()],
            },
            paths: BTreeMap::from([(RelPath::new("a/text").unwrap(), seen)]),
        }
    }

    /// I4: one plan has one text and one digest, and the text can be read back.
    #[test]
    fn a_plan_survives_its_byte_form() {
        let text = plan().to_json();
        let back = Plan::from_json(text.as_bytes()).unwrap();
        assert_eq!(back, plan());
        assert_eq!(back.to_json(), text);
        assert!(text.contains(&format!("\"digest\": \"{}\"", plan().digest())));
    }

    /// I4: where a file was found depends on the machine, and the digest does not depend on it.
    #[test]
    fn places_and_requests_are_kept_and_are_not_in_the_digest() {
        let with = |found: Option<&str>| {
            let mut builder = PlanBuilder::new(plan().target(), Mode::SHARED_DIR).unwrap();
            if let Some(found) = found {
                let attestation = Attestation {
                    url: format!("https://host{found}.provenance"),
                    digest: Digest::of(b"statement"),
                };
                for (of, attestation) in [(b"w", Some(attestation)), (b"v", None)] {
                    let file = "w.whl".into();
                    builder.state(Digest::of(of), Statement { file, attestation });
                }
            }
            builder.add_input(Input {
                role: "wheel".into(),
                path: "w.whl".into(),
                found: found.map(Into::into),
                url: found.map(|found| format!("https://host{found}")),
                digest: Digest::of(b"w"),
                len: 1,
            });
            let seen = Observation {
                target: Expected::Absent,
                paths: BTreeMap::new(),
            };
            let plan = builder.finish(seen, Publication::Put).unwrap();
            match found {
                Some(found) => plan.with_request(&format!("{{\"b\": 1, \"a\": \"{found}\"}}")),
                None => plan.with_request("no JSON"),
            }
        };
        let (one, other) = (with(Some("/one/w.whl")), with(Some("/other/w.whl")));
        assert_eq!(one.digest(), other.digest());
        assert_eq!(one.digest(), with(None).digest());
        let stated = |plan: &Plan| {
            let receipt = Receipt::json_of(plan);
            let read = Receipt::from_json(receipt.as_bytes()).unwrap();
            assert_eq!(read.to_json(), receipt);
            read.statements
        };
        assert_eq!(stated(&one), *one.statements());
        assert_eq!(stated(&with(None)), BTreeMap::new());
        let text = one.to_json();
        let back = Plan::from_json(text.as_bytes()).unwrap();
        assert_eq!(back, one);
        assert_eq!(back.inputs()[0].file(), "/one/w.whl");
        assert_eq!(back.request(), Some("{\"a\":\"/one/w.whl\",\"b\":1}"));
        assert_eq!(with(None).request(), None);
        let places = BTreeMap::from([(Digest::of(b"w"), "/two/w.whl".to_owned())]);
        assert_eq!(one.found_at(&places).inputs()[0].file(), "/two/w.whl");
        assert_eq!(one.found_at(&places).digest(), one.digest());
        let moved = text.replace("/one/", "/other/");
        assert_eq!(Plan::from_json(moved.as_bytes()).unwrap(), other);
    }

    /// I4: the receipt of a tree does not depend on the tree that was there before.
    #[test]
    fn what_existed_before_is_not_in_the_outcome() {
        let of = |seen: Observation, publication| {
            let mut builder = PlanBuilder::new(plan().target(), Mode::SHARED_DIR).unwrap();
            for (path, operation) in plan().operations() {
                builder.add(path.clone(), operation.clone()).unwrap();
            }
            builder.finish(seen, publication).unwrap()
        };
        let absent = Observation {
            target: Expected::Absent,
            paths: BTreeMap::new(),
        };
        let new = of(absent, Publication::Put);
        for publication in [Publication::Replace, Publication::Merge] {
            let changed = of(observation(), publication);
            assert_ne!(changed.digest(), new.digest());
            assert_eq!(changed.outcome(), new.outcome());
            assert_eq!(Receipt::json_of(&changed), Receipt::json_of(&new));
        }
    }

    /// I4: the fields are sorted by name, so every JSON writer with sorted keys gives the same
    /// text.
    #[test]
    fn the_canonical_form_has_its_keys_sorted() {
        let text = serde_json::to_string(&PlanOut::of(&plan())).unwrap();
        let sorted: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(text, sorted.to_string());
    }

    /// I4: one plan has one text; another text with the same meaning is refused.
    #[test]
    fn a_text_that_spells_a_plan_differently_is_refused() {
        let text = plan().to_json();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let respelled = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut value = value.clone();
            change(&mut value["plan"]);
            let digest = digest_of(&value["plan"]);
            value["digest"] = digest.to_string().into();
            Plan::from_json(value.to_string().as_bytes())
        };
        assert_eq!(respelled(&|_| {}).unwrap(), plan());
        let swapped = respelled(&|plan| plan["operations"].as_array_mut().unwrap().swap(1, 2));
        assert!(matches!(swapped, Err(PlanReadError::Digest { .. })));
        let twice = respelled(&|plan| {
            let operations = plan["operations"].as_array_mut().unwrap();
            operations.push(operations[0].clone());
        });
        assert!(matches!(twice, Err(PlanReadError::Digest { .. })));
    }

    /// I4: the byte form of version 1 never changes.
    #[test]
    #[cfg(unix)]
    fn the_golden_plans_are_read_and_written_unchanged() {
        let golden = include_str!("../../tests/golden/plan-1.json");
        assert_eq!(plan().to_json(), golden);
        let golden = include_str!("../../tests/golden/plan-1-shared.json");
        assert_eq!(shared().to_json(), golden);
        assert_eq!(Plan::from_json(golden.as_bytes()).unwrap(), shared());
    }

    /// The digest covers the note, which fits only a publication that keeps other entries.
    #[test]
    fn a_shared_root_is_noted_where_others_stay() {
        assert!(shared().is_shared());
        assert!(!plan().is_shared());
        assert!(!plan().to_json().contains("shared"));
        let mut builder = PlanBuilder::new(shared().target(), Mode::SHARED_DIR).unwrap();
        builder.share();
        let refused = builder.finish(observation(), Publication::Replace);
        assert_eq!(refused, Err(PlanError::NothingShared(Publication::Replace)));
    }

    /// A plan of `a` and `b/c`, whose second file is planned, or kept as it was published.
    fn halves(is_kept: bool) -> Result<Plan, PlanError> {
        let path = |text: &str| RelPath::new(text).unwrap();
        let mut builder = PlanBuilder::new(plan().target(), Mode::SHARED_DIR).unwrap();
        let mut add = |at: &str, node| {
            let part = "one".into();
            let operation = Operation {
                part,
                group: None,
                node,
            };
            builder.add(path(at), operation).unwrap();
        };
        let file = |content: Content| Node::File {
            mode: Mode::SHARED_FILE,
            mtime: Some(5),
            content,
        };
        let mode = Mode::SHARED_DIR;
        add("a", file(Content::Inline(b"a".into())));
        let (digest, len) = (Digest::of(b"c"), 1);
        if is_kept {
            let (file_bits, mtime) = (Mode::SHARED_FILE.bits(), Some(5));
            let kept = PublishedPath::File {
                mode: file_bits,
                digest,
                len,
                mtime,
            };
            let above = PublishedPath::Dir { mode: mode.bits() };
            builder.keep(BTreeMap::from([(path("b"), above), (path("b/c"), kept)]));
        } else {
            add("b", Node::Dir { mode });
            add("b/c", file(Content::Object { digest, len }));
        }
        let seen = Observation {
            paths: BTreeMap::new(),
            ..observation()
        };
        builder.finish(seen, Publication::Merge)
    }

    /// I4: a plan that keeps a part makes the same as the plan of the whole, and says the same of
    /// it.
    #[test]
    fn what_is_kept_is_in_the_receipt_and_in_the_outcome() {
        let (whole, part) = (halves(false).unwrap(), halves(true).unwrap());
        assert_eq!(part.operations().len(), 1);
        assert_eq!(Receipt::json_of(&part), Receipt::json_of(&whole));
        assert_eq!(part.outcome(), whole.outcome());
        assert_ne!(part.digest(), whole.digest());
        let back = Plan::from_json(part.to_json().as_bytes()).unwrap();
        assert_eq!(back, part);
        assert_eq!(back.kept().len(), 2);
    }

    /// What is kept cannot be planned or removed as well, and needs a directory above it.
    #[test]
    fn what_is_kept_fits_the_rest_of_the_plan() {
        let path = |text: &str| RelPath::new(text).unwrap();
        let link = || PublishedPath::Symlink { target: "x".into() };
        let with = |at: &str, change: &dyn Fn(&mut PlanBuilder)| {
            let mut builder = PlanBuilder::new(plan().target(), Mode::SHARED_DIR).unwrap();
            let operation = Operation {
                part: "one".into(),
                group: None,
                node: Node::Symlink { target: "y".into() },
            };
            builder.add(path("A"), operation).unwrap();
            builder.keep(BTreeMap::from([(path(at), link())]));
            change(&mut builder);
            let seen = Observation {
                paths: BTreeMap::new(),
                ..observation()
            };
            let publication = match at {
                "whole" => Publication::Replace,
                _ => Publication::Merge,
            };
            builder.finish(seen, publication).map(|_| ())
        };
        let nothing = |_: &mut PlanBuilder| {};
        assert_eq!(with("b", &nothing), Ok(()));
        assert_eq!(with("A", &nothing), Err(PlanError::Kept(path("A"))));
        let retired = with("b", &|builder| builder.retire(path("b")).unwrap());
        assert_eq!(retired, Err(PlanError::Kept(path("b"))));
        let (first, second) = (path("A"), path("a"));
        let collision = PlanError::CaseCollision { first, second };
        assert_eq!(with("a", &nothing), Err(collision));
        let below = |at: &str| Err(PlanError::NoParent(path(at)));
        assert_eq!(with("b/c", &nothing), below("b/c"));
        assert_eq!(with("A/c", &nothing), below("A/c"));
        let reserved = ".rvenv/x";
        assert_eq!(
            with(reserved, &nothing),
            Err(PlanError::Reserved(path(reserved)))
        );
        let replaced = Err(PlanError::NothingKept(Publication::Replace));
        assert_eq!(with("whole", &nothing), replaced);
    }

    /// I6: a plan that was cut short or edited is refused.
    #[test]
    fn every_shortened_or_edited_text_is_refused() {
        let text = plan().to_json();
        for end in 0..text.trim_end().len() {
            assert!(
                Plan::from_json(&text.as_bytes()[..end]).is_err(),
                "cut at {end}"
            );
        }
        for (from, to) in [("0644", "04755"), ("a/text\"", "../text\"")] {
            let edited = Plan::from_json(text.replacen(from, to, 1).as_bytes());
            let is_noticed = matches!(edited, Err(PlanReadError::Digest { .. }));
            assert!(is_noticed, "{from} to {to}");
        }
        for (from, to) in [
            ("0644", "0600"),
            ("a/text", "a/tex"),
            ("\"format\": 1", "\"format\": 2"),
        ] {
            assert!(
                Plan::from_json(text.replacen(from, to, 1).as_bytes()).is_err(),
                "{from} to {to}"
            );
        }
    }

    /// I6: a mode with a setuid bit and a path outside the target are reported, even if the digest
    /// is right.
    #[test]
    fn a_hostile_plan_with_a_right_digest_is_refused_for_what_it_asks() {
        let refused = |from: &str, to: &str| {
            let value: serde_json::Value =
                serde_json::from_str(&plan().to_json().replace(from, to)).unwrap();
            // A `Value` keeps its keys sorted.
            let plan = &value["plan"];
            let text = format!(
                "{{\"digest\":\"{}\",\"format\":1,\"plan\":{plan}}}",
                digest_of(plan)
            );
            Plan::from_json(text.as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(
            refused("\"0644\"", "\"04755\""),
            "mode 04755 has bits above 0777"
        );
        assert_eq!(
            refused("a/text\"", "../text\""),
            "`../text` has the component `..`, which is not allowed"
        );
    }
}
