//! The receipt: what was published, stored in the tree itself.
//!
//! Promises one byte form per plan: it contains no identity, no link mode, and no time but the
//! planned ones, so the same plan gives the same bytes wherever it is applied, whatever it replaces
//! (I4). Recovery and `verify` compare a tree with it. A plan that keeps what an earlier one
//! published ([`PlanBuilder::keep`](crate::PlanBuilder::keep)) has the receipt of the whole.
//!
//! On disk: `.rvenv/receipt.json` in the published tree; written into the stage, never afterwards.
//! Read next: `plan/drift.rs`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::base::digest::{Digest, DigestError, Hasher};
use crate::base::path::{RelPath, RelPathError};
use crate::plan::builder::Plan;
use crate::plan::node::{ENGINE_DIR, Node, PublishedPath, RECEIPT_NAME, Statement};
use crate::plan::statements::{StatementDto, statements_in, statements_out};

/// The version of the receipt that this code reads and writes.
pub const RECEIPT_FORMAT: u64 = 1;
/// Maximum length of a receipt in bytes.
pub const RECEIPT_BYTES_MAX: u64 = 128 << 20;

/// The plan that was published, and what it created at each path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Digest of what the plan makes ([`Plan::outcome`]).
    pub plan: Digest,
    /// Permission bits of the tree's root.
    pub root_mode: u32,
    /// Whether the root existed before any plan, with entries of its own.
    pub is_shared: bool,
    /// Statements about the files that the tree was made from, by the digests of these.
    pub statements: BTreeMap<Digest, Statement>,
    /// Every managed path.
    pub paths: BTreeMap<RelPath, PublishedPath>,
}

/// Why bytes are not a receipt.
#[derive(Debug, Error)]
pub enum ReceiptReadError {
    /// The text is not JSON, is cut short, or has other fields.
    #[error("the receipt is not valid")]
    Syntax(#[source] serde_json::Error),
    /// The format version is unknown to this code.
    #[error("the receipt has format {0}, and this version reads format {RECEIPT_FORMAT}")]
    Format(u64),
    /// A digest is not valid.
    #[error(transparent)]
    BadDigest(#[from] DigestError),
    /// A path is not valid, or leads out of the tree.
    #[error(transparent)]
    BadPath(#[from] RelPathError),
    /// A path occurs twice.
    #[error("the receipt lists `{0}` twice")]
    Twice(RelPath),
}

impl Receipt {
    /// The receipt of a plan, known before anything is staged.
    ///
    /// # Panics
    /// Never: what a plan says about a path has a published form.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        Self::from_json(Self::json_of(plan).as_bytes()).expect("json_of writes what is read")
    }

    /// The byte form of the receipt of a plan, known before anything is staged.
    #[must_use]
    pub fn json_of(plan: &Plan) -> String {
        let paths = planned_json(plan);
        let head = Head {
            plan: *plan.outcome.0.get_or_init(|| outcome_of(plan, &paths)),
            root_mode: plan.root_mode().bits(),
            is_shared: plan.is_shared(),
            statements: plan.statements(),
        };
        json(&head, &paths)
    }

    /// The path of the receipt in its tree.
    ///
    /// # Panics
    /// Never: both names are constants that form a valid path.
    #[must_use]
    pub fn path() -> RelPath {
        RelPath::new(&format!("{ENGINE_DIR}/{RECEIPT_NAME}")).expect("two plain names")
    }

    /// The byte form: one path per line, so that `diff` can compare two receipts.
    #[must_use]
    pub fn to_json(&self) -> String {
        let paths = self.paths.iter();
        let paths = paths.map(|(path, published)| (path, PublishedDto::from_published(published)));
        let head = Head {
            plan: self.plan,
            root_mode: self.root_mode,
            is_shared: self.is_shared,
            statements: &self.statements,
        };
        json(&head, &paths_json(paths))
    }

    /// The statements alone of bytes that [`Receipt::to_json`] wrote, which is quicker than reading
    /// every path.
    ///
    /// # Errors
    /// As [`Receipt::from_json`], but for what is wrong with a path.
    pub fn statements_of(bytes: &[u8]) -> Result<BTreeMap<Digest, Statement>, ReceiptReadError> {
        // No string can contain this, since a quote inside of one has a backslash before it.
        let end = place_of(bytes, b",\"paths\":{").unwrap_or(bytes.len());
        let head = [bytes.get(..end).unwrap_or_default(), b"}"].concat();
        let dto: StatementsDto<'_> =
            serde_json::from_slice(&head).map_err(ReceiptReadError::Syntax)?;
        if dto.format != RECEIPT_FORMAT {
            return Err(ReceiptReadError::Format(dto.format));
        }
        Ok(statements_in(dto.statements)?)
    }

    /// Reads bytes that [`Receipt::to_json`] wrote.
    ///
    /// # Errors
    /// Any other bytes are refused.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ReceiptReadError> {
        let dto: ReceiptDto<'_> =
            serde_json::from_slice(bytes).map_err(ReceiptReadError::Syntax)?;
        if dto.format != RECEIPT_FORMAT {
            return Err(ReceiptReadError::Format(dto.format));
        }
        Ok(Self {
            plan: Digest::parse(&dto.plan)?,
            root_mode: dto.root_mode,
            is_shared: dto.shared,
            statements: statements_in(dto.statements)?,
            paths: dto.paths.into_map()?,
        })
    }
}

/// Where `wanted` begins in `bytes`.
fn place_of(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|part| part == wanted)
}

/// The properties of the tree as a whole.
struct Head<'a> {
    plan: Digest,
    root_mode: u32,
    is_shared: bool,
    statements: &'a BTreeMap<Digest, Statement>,
}

impl Plan {
    /// The digest of what the plan makes, whatever existed before: of the target's path, the
    /// modes, and what the receipt says about each path.
    ///
    /// A receipt has this digest, so that it is the same for the same tree, on any machine.
    #[must_use]
    pub fn outcome(&self) -> Digest {
        let made = || outcome_of(self, &planned_json(self));
        *self.outcome.0.get_or_init(made)
    }
}

fn outcome_of(plan: &Plan, paths: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    let root = (plan.target(), plan.root_mode().bits(), plan.is_shared());
    hasher.update(&serde_json::to_vec(&root).expect("strings and numbers serialize"));
    hasher.update(paths);
    hasher.finish()
}

/// The paths of a plan in the byte form of its receipt: what it makes, and what it keeps.
fn planned_json(plan: &Plan) -> Vec<u8> {
    let planned = plan.operations().iter();
    let planned = planned.map(|(path, operation)| (path, PublishedDto::from_node(&operation.node)));
    if plan.kept().is_empty() {
        return paths_json(planned);
    }
    let kept = plan.kept().iter();
    let kept = kept.map(|(path, published)| (path, PublishedDto::from_published(published)));
    let mut all: Vec<_> = planned.chain(kept).collect();
    all.sort_by_key(|(path, _)| *path);
    paths_json(all.into_iter())
}

fn paths_json<'a>(paths: impl Iterator<Item = (&'a RelPath, PublishedDto<'a>)>) -> Vec<u8> {
    let mut text = Vec::new();
    for (index, (path, published)) in paths.enumerate() {
        text.extend_from_slice(if index == 0 { b"\n" } else { b",\n" });
        serde_json::to_writer(&mut text, path.as_str()).expect("a string serializes");
        text.push(b':');
        serde_json::to_writer(&mut text, &published).expect("strings and numbers serialize");
    }
    text
}

fn json(head: &Head<'_>, paths: &[u8]) -> String {
    let Head {
        plan,
        root_mode,
        is_shared,
        statements,
    } = head;
    // Only the receipt of a shared root has this field.
    let shared = if *is_shared { ",\"shared\":true" } else { "" };
    let mut text = format!(
        "{{\"format\":{RECEIPT_FORMAT},\"plan\":\"{plan}\",\"root_mode\":{root_mode}{shared}"
    )
    .into_bytes();
    if !statements.is_empty() {
        text.extend_from_slice(b",\n\"statements\":");
        serde_json::to_writer(&mut text, &statements_out(*statements)).expect("strings serialize");
        text.push(b'\n');
    }
    text.extend_from_slice(b",\"paths\":{");
    text.extend_from_slice(paths);
    text.extend_from_slice(b"\n}}\n");
    String::from_utf8(text).expect("JSON is UTF-8")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptDto<'a> {
    format: u64,
    plan: String,
    root_mode: u32,
    #[serde(default)]
    shared: bool,
    #[serde(borrow, default)]
    statements: BTreeMap<String, StatementDto<'a>>,
    paths: PathsIn,
}

/// The parts of a receipt that are read for its statements.
#[derive(Deserialize)]
struct StatementsDto<'a> {
    format: u64,
    #[serde(borrow, default)]
    statements: BTreeMap<String, StatementDto<'a>>,
}

/// The paths of a receipt, each checked as it is read.
#[derive(Default)]
struct PathsIn {
    paths: Vec<(RelPath, PublishedPath)>,
    /// The first error; the paths after it are parsed but ignored.
    fault: Option<ReceiptReadError>,
}

impl PathsIn {
    fn take(&mut self, text: &str, published: PublishedDto<'_>) -> Result<(), ReceiptReadError> {
        let path = RelPath::new(text)?;
        self.paths.push((path, published.into_published()?));
        Ok(())
    }

    /// The paths as a map, which is made at once: they come in its order.
    fn into_map(self) -> Result<BTreeMap<RelPath, PublishedPath>, ReceiptReadError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let mut paths = self.paths;
        paths.sort_by(|(one, _), (other, _)| one.cmp(other));
        let twice = paths.windows(2).find_map(|pair| match pair {
            [(one, _), (next, _)] if one == next => Some(one.clone()),
            _ => None,
        });
        match twice {
            Some(path) => Err(ReceiptReadError::Twice(path)),
            None => Ok(paths.into_iter().collect()),
        }
    }
}

impl<'de> Deserialize<'de> for PathsIn {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(OneByOne)
    }
}

struct OneByOne;

impl<'de> Visitor<'de> for OneByOne {
    type Value = PathsIn;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("paths and what was published there")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PathsIn, A::Error> {
        let mut read = PathsIn::default();
        while let Some((Text(text), published)) =
            map.next_entry::<Text<'de>, PublishedDto<'de>>()?
        {
            if read.fault.is_none() {
                read.fault = read.take(&text, published).err();
            }
        }
        Ok(read)
    }
}

/// A string that is borrowed unless it contains an escape.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum PublishedDto<'a> {
    Dir {
        mode: u32,
    },
    File {
        mode: u32,
        #[serde(borrow)]
        sha256: Cow<'a, str>,
        len: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mtime: Option<i64>,
    },
    Symlink {
        #[serde(borrow)]
        target: Cow<'a, str>,
    },
}

impl<'a> PublishedDto<'a> {
    fn from_node(node: &'a Node) -> Self {
        match node {
            Node::Dir { mode } => Self::Dir { mode: mode.bits() },
            Node::File {
                mode,
                mtime,
                content,
            } => Self::File {
                mode: mode.bits(),
                sha256: content.digest().to_string().into(),
                len: content.len(),
                mtime: *mtime,
            },
            Node::Symlink { target } => Self::Symlink {
                target: target.into(),
            },
        }
    }

    pub(super) fn from_published(published: &'a PublishedPath) -> Self {
        match published {
            PublishedPath::Dir { mode } => Self::Dir { mode: *mode },
            PublishedPath::File {
                mode,
                digest,
                len,
                mtime,
            } => Self::File {
                mode: *mode,
                sha256: digest.to_string().into(),
                len: *len,
                mtime: *mtime,
            },
            PublishedPath::Symlink { target } => Self::Symlink {
                target: target.into(),
            },
        }
    }

    pub(super) fn into_published(self) -> Result<PublishedPath, DigestError> {
        Ok(match self {
            Self::Dir { mode } => PublishedPath::Dir { mode },
            Self::File {
                mode,
                sha256,
                len,
                mtime,
            } => PublishedPath::File {
                mode,
                digest: Digest::parse(&sha256)?,
                len,
                mtime,
            },
            Self::Symlink { target } => PublishedPath::Symlink {
                target: target.into_owned(),
            },
        })
    }
}

/// The receipt of a plan, made at first use; other threads wait for it meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct LateReceipt<'a> {
    plan: &'a Plan,
    made: Arc<OnceLock<(String, Digest)>>,
}

impl<'a> LateReceipt<'a> {
    /// The receipt of this plan, not yet made.
    pub(crate) fn of(plan: &'a Plan) -> Self {
        let made = Arc::default();
        Self { plan, made }
    }

    /// Its text and digest; the plan of a new tree then also caches its own digest.
    pub(crate) fn get(&self) -> &(String, Digest) {
        self.made.get_or_init(|| {
            let receipt = Receipt::json_of(self.plan);
            let digest = Digest::of(receipt.as_bytes());
            (receipt, digest)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt() -> Receipt {
        let path = |text| RelPath::new(text).unwrap();
        let file = PublishedPath::File {
            mode: 0o644,
            digest: Digest::of(b"x"),
            len: 1,
            mtime: None,
        };
        Receipt {
            plan: Digest::of(b"plan"),
            root_mode: 0o755,
            is_shared: false,
            statements: BTreeMap::new(),
            paths: BTreeMap::from([
                (path("a"), PublishedPath::Dir { mode: 0o755 }),
                (path("a/\"quoted\""), file),
                (path("b"), PublishedPath::Symlink { target: "a".into() }),
            ]),
        }
    }

    /// The byte form of version 1 never changes; only a receipt of a shared root has a field for
    /// that.
    #[test]
    fn the_golden_receipts_are_read_and_written_unchanged() {
        let golden = include_str!("../../tests/golden/receipt-1.json");
        assert_eq!(receipt().to_json(), golden);
        assert_eq!(Receipt::from_json(golden.as_bytes()).unwrap(), receipt());
        let shared = Receipt {
            is_shared: true,
            ..receipt()
        };
        let golden = include_str!("../../tests/golden/receipt-1-shared.json");
        assert_eq!(shared.to_json(), golden);
        assert_eq!(Receipt::from_json(golden.as_bytes()).unwrap(), shared);
    }

    /// No string of a receipt looks like the beginning of its paths.
    #[test]
    fn statements_are_read_without_the_paths() {
        let statement = Statement {
            file: "a,\"paths\":{.whl".into(),
            attestation: None,
        };
        let receipt = Receipt {
            statements: BTreeMap::from([(Digest::of(b"wheel"), statement)]),
            ..receipt()
        };
        let text = receipt.to_json();
        let of = |text: &str| Receipt::statements_of(text.as_bytes());
        assert_eq!(of(&text).unwrap(), receipt.statements);
        assert!(of(&text.replacen("\"format\":1", "\"format\":2", 1)).is_err());
        assert!(of(text.get(..40).unwrap()).is_err());
    }

    #[test]
    fn a_receipt_survives_its_byte_form() {
        let receipt = receipt();
        let text = receipt.to_json();
        assert_eq!(Receipt::from_json(text.as_bytes()).unwrap(), receipt);
        for end in 0..text.trim_end().len() {
            assert!(
                Receipt::from_json(&text.as_bytes()[..end]).is_err(),
                "cut at {end}"
            );
        }
        assert!(Receipt::from_json(text.replace("\"a\":", "\"../a\":").as_bytes()).is_err());
        let twice = text.replace("\"b\":", "\"a\":");
        assert!(matches!(
            Receipt::from_json(twice.as_bytes()),
            Err(ReceiptReadError::Twice(_))
        ));
    }
}
