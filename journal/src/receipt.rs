//! The receipt: what was published, kept in the tree itself.
//!
//! Promises one byte form per plan: no time, no identity, no way of linking is in it, so that the same plan
//! gives the same bytes wherever it is applied (I4). Recovery and `verify` compare a tree with it.
//!
//! On disk: `.rvenv/receipt.json` in the published tree; written into the stage, never afterwards.
//! Read next: `verify.rs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest::{Digest, DigestError};
use crate::node::{ENGINE_DIR, Node, RECEIPT_NAME};
use crate::path::{RelPath, RelPathError};
use crate::plan::Plan;

/// The version of the receipt that this code reads and writes.
pub const RECEIPT_FORMAT: u64 = 1;
/// Bytes that a receipt may have.
pub const RECEIPT_BYTES_MAX: u64 = 128 << 20;

/// What was published at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// A directory.
    Dir {
        /// Its permission bits.
        mode: u32,
    },
    /// A regular file.
    File {
        /// Its permission bits.
        mode: u32,
        /// SHA-256 of its bytes.
        digest: Digest,
        /// How many bytes it has.
        len: u64,
    },
    /// A symbolic link.
    Symlink {
        /// The text of the link.
        target: String,
    },
}

/// The plan that was published, and what it put where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Digest of the plan.
    pub plan: Digest,
    /// Permission bits of the tree's root.
    pub root_mode: u32,
    /// Every managed path.
    pub paths: BTreeMap<RelPath, Published>,
}

/// Why bytes are not a receipt.
#[derive(Debug, Error)]
pub enum ReceiptReadError {
    /// Not JSON, cut short, or with other fields.
    #[error("the receipt is not whole")]
    Syntax(#[source] serde_json::Error),
    /// A version that this code does not know.
    #[error("the receipt has format {0}, and this version reads format {RECEIPT_FORMAT}")]
    Format(u64),
    /// A digest that is none.
    #[error(transparent)]
    BadDigest(#[from] DigestError),
    /// A path that leads out of the tree, or is none.
    #[error(transparent)]
    BadPath(#[from] RelPathError),
    /// One path twice.
    #[error("the receipt has `{0}` twice")]
    Twice(RelPath),
}

impl Receipt {
    /// The receipt of a plan, known before a single byte of it is staged.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let published = |node: &Node| match node {
            Node::Dir { mode } => Published::Dir { mode: mode.bits() },
            Node::File { mode, content, .. } => Published::File {
                mode: mode.bits(),
                digest: content.digest(),
                len: content.len(),
            },
            Node::Symlink { target } => Published::Symlink {
                target: target.clone(),
            },
        };
        let paths = plan
            .operations()
            .iter()
            .map(|(path, operation)| (path.clone(), published(&operation.node)));
        Self {
            plan: plan.digest(),
            root_mode: plan.root_mode().bits(),
            paths: paths.collect(),
        }
    }

    /// Where the receipt stands in its tree.
    ///
    /// # Panics
    /// Never: both names are constants that make a path.
    #[must_use]
    pub fn path() -> RelPath {
        RelPath::new(&format!("{ENGINE_DIR}/{RECEIPT_NAME}")).expect("two plain names")
    }

    /// The byte form: one path a line, so that two receipts can be compared with `diff`.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        reason = "strings and numbers always serialize"
    )]
    pub fn to_json(&self) -> String {
        let mut text = format!(
            "{{\"format\":{RECEIPT_FORMAT},\"plan\":\"{}\",\"root_mode\":{},\"paths\":{{",
            self.plan, self.root_mode
        );
        for (index, (path, published)) in self.paths.iter().enumerate() {
            let line = serde_json::to_string(&PublishedDto::from_published(published));
            let name = serde_json::to_string(path.as_str());
            text.push_str(if index == 0 { "\n" } else { ",\n" });
            text.push_str(&name.expect("a string serializes"));
            text.push(':');
            text.push_str(&line.expect("strings and numbers serialize"));
        }
        text.push_str("\n}}\n");
        text
    }

    /// Reads what [`Receipt::to_json`] wrote.
    ///
    /// # Errors
    /// Everything but such bytes.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ReceiptReadError> {
        let dto: ReceiptDto = serde_json::from_slice(bytes).map_err(ReceiptReadError::Syntax)?;
        if dto.format != RECEIPT_FORMAT {
            return Err(ReceiptReadError::Format(dto.format));
        }
        let mut paths = BTreeMap::new();
        for (text, published) in dto.paths {
            let path = RelPath::new(&text)?;
            if paths
                .insert(path.clone(), published.into_published()?)
                .is_some()
            {
                return Err(ReceiptReadError::Twice(path));
            }
        }
        Ok(Self {
            plan: Digest::parse(&dto.plan)?,
            root_mode: dto.root_mode,
            paths,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptDto {
    format: u64,
    plan: String,
    root_mode: u32,
    paths: BTreeMap<String, PublishedDto>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum PublishedDto {
    Dir { mode: u32 },
    File { mode: u32, sha256: String, len: u64 },
    Symlink { target: String },
}

impl PublishedDto {
    fn from_published(published: &Published) -> Self {
        match published {
            Published::Dir { mode } => Self::Dir { mode: *mode },
            Published::File { mode, digest, len } => Self::File {
                mode: *mode,
                sha256: digest.to_string(),
                len: *len,
            },
            Published::Symlink { target } => Self::Symlink {
                target: target.clone(),
            },
        }
    }

    fn into_published(self) -> Result<Published, DigestError> {
        Ok(match self {
            Self::Dir { mode } => Published::Dir { mode },
            Self::File { mode, sha256, len } => Published::File {
                mode,
                digest: Digest::parse(&sha256)?,
                len,
            },
            Self::Symlink { target } => Published::Symlink { target },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_survives_its_byte_form() {
        let path = |text| RelPath::new(text).unwrap();
        let file = Published::File {
            mode: 0o644,
            digest: Digest::of(b"x"),
            len: 1,
        };
        let receipt = Receipt {
            plan: Digest::of(b"plan"),
            root_mode: 0o755,
            paths: BTreeMap::from([
                (path("a"), Published::Dir { mode: 0o755 }),
                (path("a/\"quoted\""), file),
                (path("b"), Published::Symlink { target: "a".into() }),
            ]),
        };
        let text = receipt.to_json();
        assert_eq!(Receipt::from_json(text.as_bytes()).unwrap(), receipt);
        for end in 0..text.trim_end().len() {
            assert!(
                Receipt::from_json(&text.as_bytes()[..end]).is_err(),
                "cut at {end}"
            );
        }
        assert!(Receipt::from_json(text.replace("\"a\":", "\"../a\":").as_bytes()).is_err());
    }
}
