//! The byte form of a plan: canonical JSON, versioned, pinned by its digest.
//!
//! Promises one text per plan (sorted keys, no optional spelling), and that a text that was cut short, edited
//! or written for another version is refused with the reason (I4, I6). What is read goes through
//! [`PlanBuilder`], so a hostile file can say nothing that code could not.
//!
//! The text is an object with `digest`, `format` (1) and `plan`; the digest is the SHA-256 of the value of
//! `plan` in compact form. Bytes that are not UTF-8 are written in hexadecimal.
//!
//! Read next: `plan.rs`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest::{Digest, DigestError};
use crate::identity::{Birth, Identity};
use crate::node::{
    Content, Expected, Input, Mode, Node, Observation, Observed, Operation, Publication,
};
use crate::path::{RelPath, RelPathError};
use crate::plan::{Plan, PlanBuilder, PlanError};

/// The version of the byte form that this code reads and writes.
pub const PLAN_FORMAT: u64 = 1;
/// Bytes that a plan's text may have.
pub const PLAN_BYTES_MAX: u64 = 256 << 20;

/// Why a text is not a plan.
#[derive(Debug, Error)]
pub enum PlanReadError {
    /// Longer than [`PLAN_BYTES_MAX`].
    #[error("the plan has {0} bytes, more than any plan has")]
    TooLong(u64),
    /// Not JSON, cut short, or with fields that a plan does not have.
    #[error("the text is not a whole plan")]
    Syntax(#[source] serde_json::Error),
    /// A version that this code does not know.
    #[error("the plan has format {0}, and this version reads format {PLAN_FORMAT}")]
    Format(u64),
    /// The text is not what the digest was made of.
    #[error(
        "the plan was changed after it was made: it says {written}, and its content is {found}"
    )]
    Digest {
        /// The digest in the text.
        written: Digest,
        /// The digest of what stands there.
        found: Digest,
    },
    /// A digest that is none.
    #[error(transparent)]
    BadDigest(#[from] DigestError),
    /// A path that leads out of the target, or is none.
    #[error(transparent)]
    BadPath(#[from] RelPathError),
    /// Operations that cannot stand together.
    #[error(transparent)]
    BadPlan(#[from] PlanError),
    /// A value that is not of its kind, such as a mode that is not four octal digits.
    #[error("`{value}` is not a {kind}")]
    BadValue {
        /// What was expected.
        kind: &'static str,
        /// What stands there.
        value: String,
    },
}

impl Plan {
    /// The plan as text for people and for `diff`, ending with a line feed.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        reason = "strings and numbers always serialize"
    )]
    pub fn to_json(&self) -> String {
        let plan = self.value();
        let digest = digest_of(&plan);
        let envelope = EnvelopeOut {
            digest: digest.to_string(),
            format: PLAN_FORMAT,
            plan: &plan,
        };
        let mut text =
            serde_json::to_string_pretty(&envelope).expect("strings and numbers serialize");
        text.push('\n');
        text
    }

    /// The SHA-256 of the plan's canonical form.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest_of(&self.value())
    }

    /// Reads what [`Plan::to_json`] wrote.
    ///
    /// # Errors
    /// Everything but such a text; never a panic, whatever the bytes.
    pub fn from_json(bytes: &[u8]) -> Result<Self, PlanReadError> {
        let len = bytes.len() as u64;
        if len > PLAN_BYTES_MAX {
            return Err(PlanReadError::TooLong(len));
        }
        let version: VersionDto = serde_json::from_slice(bytes).map_err(PlanReadError::Syntax)?;
        if version.format != PLAN_FORMAT {
            return Err(PlanReadError::Format(version.format));
        }
        let envelope: EnvelopeIn = serde_json::from_slice(bytes).map_err(PlanReadError::Syntax)?;
        let written = Digest::parse(&envelope.digest)?;
        let found =
            digest_of(&serde_json::to_value(&envelope.plan).map_err(PlanReadError::Syntax)?);
        if written != found {
            return Err(PlanReadError::Digest { written, found });
        }
        envelope.plan.into_plan()
    }

    fn value(&self) -> serde_json::Value {
        // A `Value` keeps its keys sorted, which is what makes the form canonical.
        serde_json::to_value(PlanDto::from_plan(self)).expect("strings and numbers serialize")
    }
}

fn digest_of(plan: &serde_json::Value) -> Digest {
    Digest::of(plan.to_string().as_bytes())
}

#[derive(Deserialize)]
struct VersionDto {
    format: u64,
}

#[derive(Serialize)]
struct EnvelopeOut<'a> {
    digest: String,
    format: u64,
    plan: &'a serde_json::Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeIn {
    digest: String,
    #[expect(dead_code, reason = "checked by `VersionDto` before the rest is read")]
    format: u64,
    plan: PlanDto,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanDto {
    target: String,
    root_mode: String,
    publication: PublicationDto,
    expects: ExpectedDto,
    inputs: Vec<InputDto>,
    operations: Vec<OperationDto>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retired: Vec<RetiredDto>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    order: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetiredDto {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<ObservedDto>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PublicationDto {
    Nothing,
    Put,
    Swap,
    Merge,
    Refill,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum ExpectedDto {
    Absent,
    Tree {
        inode: u64,
        birth: Option<(i64, u32)>,
        names: Vec<String>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InputDto {
    role: String,
    path: String,
    sha256: String,
    len: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OperationDto {
    path: String,
    stage: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    node: NodeDto,
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<ObservedDto>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum NodeDto {
    Dir {
        mode: String,
    },
    File {
        mode: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        mtime: Option<i64>,
        content: ContentDto,
    },
    Symlink {
        target: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum ContentDto {
    Text(String),
    Hex(String),
    Object {
        sha256: String,
        len: u64,
    },
    Local {
        path: String,
        sha256: String,
        len: u64,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum ObservedDto {
    Dir {
        mode: String,
    },
    File {
        mode: String,
        len: u64,
        mtime: (i64, u32),
        inode: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
    },
    Symlink {
        target: String,
    },
    Other,
}

impl PlanDto {
    fn from_plan(plan: &Plan) -> Self {
        let seen = plan.observation();
        let operation = |(path, operation): (&RelPath, &Operation)| OperationDto {
            path: path.to_string(),
            stage: operation.stage.clone(),
            group: operation.group.clone(),
            node: NodeDto::from_node(&operation.node),
            was: seen.paths.get(path).map(ObservedDto::from_observed),
        };
        let retired = |path: &RelPath| RetiredDto {
            path: path.to_string(),
            was: seen.paths.get(path).map(ObservedDto::from_observed),
        };
        Self {
            target: plan.target().to_owned(),
            root_mode: plan.root_mode().to_string(),
            publication: PublicationDto::from_publication(plan.publication()),
            expects: match &seen.target {
                Expected::Absent => ExpectedDto::Absent,
                Expected::Tree { identity, names } => ExpectedDto::Tree {
                    inode: identity.inode,
                    birth: identity.birth.map(|birth| (birth.seconds, birth.nanos)),
                    names: names.clone(),
                },
            },
            inputs: plan.inputs().iter().map(InputDto::from_input).collect(),
            operations: plan.operations().iter().map(operation).collect(),
            retired: plan.retired().iter().map(retired).collect(),
            order: plan.order().iter().map(RelPath::to_string).collect(),
        }
    }

    fn into_plan(self) -> Result<Plan, PlanReadError> {
        let mut builder = PlanBuilder::new(&self.target, mode(&self.root_mode)?)?;
        let mut paths = BTreeMap::new();
        for dto in self.operations {
            let path = RelPath::new(&dto.path)?;
            if let Some(was) = dto.was {
                paths.insert(path.clone(), was.into_observed()?);
            }
            let node = dto.node.into_node()?;
            builder.add(
                path,
                Operation {
                    stage: dto.stage,
                    group: dto.group,
                    node,
                },
            )?;
        }
        for RetiredDto { path, was } in self.retired {
            let path = RelPath::new(&path)?;
            if let Some(was) = was {
                paths.insert(path.clone(), was.into_observed()?);
            }
            builder.retire(path)?;
        }
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
                role,
                path,
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
                    names,
                }
            }
        };
        let publication = self.publication.into_publication();
        Ok(builder.finish(Observation { target, paths }, publication)?)
    }
}

impl PublicationDto {
    fn from_publication(publication: Publication) -> Self {
        match publication {
            Publication::Nothing => Self::Nothing,
            Publication::Put => Self::Put,
            Publication::Swap => Self::Swap,
            Publication::Merge => Self::Merge,
            Publication::Refill => Self::Refill,
        }
    }

    fn into_publication(self) -> Publication {
        match self {
            Self::Nothing => Publication::Nothing,
            Self::Put => Publication::Put,
            Self::Swap => Publication::Swap,
            Self::Merge => Publication::Merge,
            Self::Refill => Publication::Refill,
        }
    }
}

impl InputDto {
    fn from_input(input: &Input) -> Self {
        let Input {
            role,
            path,
            digest,
            len,
        } = input;
        Self {
            role: role.clone(),
            path: path.clone(),
            sha256: digest.to_string(),
            len: *len,
        }
    }
}

impl NodeDto {
    fn from_node(node: &Node) -> Self {
        match node {
            Node::Dir { mode } => Self::Dir {
                mode: mode.to_string(),
            },
            Node::Symlink { target } => Self::Symlink {
                target: target.clone(),
            },
            Node::File {
                mode,
                mtime,
                content,
            } => Self::File {
                mode: mode.to_string(),
                mtime: *mtime,
                content: ContentDto::from_content(content),
            },
        }
    }

    fn into_node(self) -> Result<Node, PlanReadError> {
        Ok(match self {
            Self::Dir { mode: text } => Node::Dir { mode: mode(&text)? },
            Self::Symlink { target } => Node::Symlink { target },
            Self::File {
                mode: text,
                mtime,
                content,
            } => Node::File {
                mode: mode(&text)?,
                mtime,
                content: content.into_content()?,
            },
        })
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

impl ContentDto {
    fn from_content(content: &Content) -> Self {
        match content {
            Content::Inline(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Self::Text(text.to_owned()),
                Err(_) => Self::Hex(to_hex(bytes)),
            },
            Content::Object { digest, len } => Self::Object {
                sha256: digest.to_string(),
                len: *len,
            },
            Content::Local { path, digest, len } => Self::Local {
                path: path.clone(),
                sha256: digest.to_string(),
                len: *len,
            },
        }
    }

    fn into_content(self) -> Result<Content, PlanReadError> {
        Ok(match self {
            Self::Text(text) => Content::Inline(text.into_bytes()),
            Self::Hex(text) => Content::Inline(hex(&text)?),
            Self::Object { sha256, len } => Content::Object {
                digest: Digest::parse(&sha256)?,
                len,
            },
            Self::Local { path, sha256, len } => Content::Local {
                path,
                digest: Digest::parse(&sha256)?,
                len,
            },
        })
    }
}

impl ObservedDto {
    fn from_observed(seen: &Observed) -> Self {
        match seen {
            Observed::Dir { mode } => Self::Dir {
                mode: format!("{mode:04o}"),
            },
            Observed::Symlink { target } => Self::Symlink {
                target: target.clone(),
            },
            Observed::Other => Self::Other,
            Observed::File {
                mode,
                len,
                mtime_ns,
                inode,
                digest,
            } => Self::File {
                mode: format!("{mode:04o}"),
                len: *len,
                mtime: split_ns(*mtime_ns),
                inode: *inode,
                sha256: digest.map(|digest| digest.to_string()),
            },
        }
    }

    fn into_observed(self) -> Result<Observed, PlanReadError> {
        Ok(match self {
            Self::Dir { mode } => Observed::Dir {
                mode: octal(&mode)?,
            },
            Self::Symlink { target } => Observed::Symlink { target },
            Self::Other => Observed::Other,
            Self::File {
                mode,
                len,
                mtime: (seconds, nanos),
                inode,
                sha256,
            } => Observed::File {
                mode: octal(&mode)?,
                len,
                mtime_ns: i128::from(seconds) * 1_000_000_000 + i128::from(nanos),
                inode,
                digest: sha256.as_deref().map(Digest::parse).transpose()?,
            },
        })
    }
}

fn split_ns(nanoseconds: i128) -> (i64, u32) {
    let seconds = i64::try_from(nanoseconds.div_euclid(1_000_000_000)).unwrap_or(i64::MAX);
    let nanos = u32::try_from(nanoseconds.rem_euclid(1_000_000_000)).unwrap_or(0);
    (seconds, nanos)
}

fn mode(text: &str) -> Result<Mode, PlanReadError> {
    Ok(Mode::new(octal(text)?).map_err(PlanError::from)?)
}

/// Exactly four octal digits (or five, for an error that can name them): one value, one spelling.
fn octal(text: &str) -> Result<u32, PlanReadError> {
    let digits =
        matches!(text.len(), 4..=5) && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let value = digits.then(|| u32::from_str_radix(text, 8).ok()).flatten();
    value.ok_or_else(|| bad_value("mode in octal digits", text))
}

fn hex(text: &str) -> Result<Vec<u8>, PlanReadError> {
    let pair = |pair: &[u8]| {
        let digits = std::str::from_utf8(pair)
            .ok()
            .filter(|digits| digits.bytes().all(|d| d.is_ascii_hexdigit()))?;
        u8::from_str_radix(digits, 16).ok()
    };
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks(2)
        .map(|c| (c.len() == 2).then(|| pair(c)).flatten())
        .collect();
    bytes.ok_or_else(|| bad_value("text of hexadecimal pairs", text))
}

fn bad_value(kind: &'static str, value: &str) -> PlanReadError {
    PlanReadError::BadValue {
        kind,
        value: value
            .chars()
            .take(80)
            .collect::<String>()
            .escape_debug()
            .to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let target = if cfg!(windows) { "C:/t" } else { "/t" };
        let mut builder = PlanBuilder::new(target, Mode::SHARED_DIR).unwrap();
        let mut add = |path: &str, node| {
            let operation = Operation {
                stage: "one".into(),
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
            digest: Digest::of(b"w"),
            len: 1,
        });
        builder.finish(observation(), Publication::Swap).unwrap()
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

    /// I4: one plan, one text, one digest; and the way back.
    #[test]
    fn a_plan_survives_its_byte_form() {
        let text = plan().to_json();
        let back = Plan::from_json(text.as_bytes()).unwrap();
        assert_eq!(back, plan());
        assert_eq!(back.to_json(), text);
        assert!(text.contains(&format!("\"digest\": \"{}\"", plan().digest())));
    }

    /// I4: the byte form of version 1 never changes.
    #[test]
    #[cfg(unix)]
    fn the_golden_plan_is_read_and_written_unchanged() {
        let golden = include_str!("../tests/golden/plan-1.json");
        assert_eq!(plan().to_json(), golden);
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

    /// I6: a mode with a setuid bit and a path outside the target are named, even under a right digest.
    #[test]
    fn a_hostile_plan_with_a_right_digest_is_refused_for_what_it_asks() {
        let refused = |from: &str, to: &str| {
            let value: serde_json::Value =
                serde_json::from_str(&plan().to_json().replace(from, to)).unwrap();
            let plan: PlanDto = serde_json::from_value(value["plan"].clone()).unwrap();
            let plan = serde_json::to_value(plan).unwrap();
            let text = format!(
                "{{\"digest\":\"{}\",\"format\":1,\"plan\":{plan}}}",
                digest_of(&plan)
            );
            Plan::from_json(text.as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(
            refused("\"0644\"", "\"04755\""),
            "mode 04755 has bits above 0777"
        );
        assert_eq!(
            refused("a/text\"", "../text\""),
            "`../text` has the component `..`"
        );
    }
}
