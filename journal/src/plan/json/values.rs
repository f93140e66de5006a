//! The values in a plan's text: each type of the engine has exactly one spelling.
//!
//! Promises that fields are declared in the order of their names, which makes the form canonical,
//! and that strings are borrowed in both directions unless they need an escape.
//!
//! Read next: `plan/json.rs`.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::PlanReadError;
use crate::base::digest::Digest;
use crate::plan::error::PlanError;
use crate::plan::node::{Content, Input, Mode, Node, Observed, Publication};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetiredDto<'a> {
    #[serde(borrow)]
    pub(super) path: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) was: Option<ObservedDto<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PublicationDto {
    Nothing,
    Put,
    Swap,
    Merge,
    Refill,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum ExpectedDto<'a> {
    Absent,
    Tree {
        birth: Option<(i64, u32)>,
        inode: u64,
        #[serde(borrow)]
        names: Cow<'a, [String]>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputDto<'a> {
    pub(super) len: u64,
    #[serde(borrow)]
    pub(super) path: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) role: Cow<'a, str>,
    pub(super) sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OperationDto<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) node: NodeDto<'a>,
    #[serde(borrow)]
    pub(super) path: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) stage: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) was: Option<ObservedDto<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum NodeDto<'a> {
    Dir {
        mode: String,
    },
    File {
        #[serde(borrow)]
        content: ContentDto<'a>,
        mode: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        mtime: Option<i64>,
    },
    Symlink {
        #[serde(borrow)]
        target: Cow<'a, str>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum ContentDto<'a> {
    #[serde(borrow)]
    Text(Cow<'a, str>),
    Hex(String),
    Object {
        len: u64,
        sha256: String,
    },
    Local {
        len: u64,
        path: Cow<'a, str>,
        sha256: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum ObservedDto<'a> {
    Dir {
        mode: String,
    },
    File {
        inode: u64,
        len: u64,
        mode: String,
        mtime: (i64, u32),
        #[serde(skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
    },
    Symlink {
        #[serde(borrow)]
        target: Cow<'a, str>,
    },
    Other,
}

impl PublicationDto {
    pub(super) fn from_publication(publication: Publication) -> Self {
        match publication {
            Publication::Nothing => Self::Nothing,
            Publication::Put => Self::Put,
            Publication::Replace => Self::Swap,
            Publication::Merge => Self::Merge,
            Publication::Refill => Self::Refill,
        }
    }

    pub(super) fn into_publication(self) -> Publication {
        match self {
            Self::Nothing => Publication::Nothing,
            Self::Put => Publication::Put,
            Self::Swap => Publication::Replace,
            Self::Merge => Publication::Merge,
            Self::Refill => Publication::Refill,
        }
    }
}

impl<'a> InputDto<'a> {
    pub(super) fn from_input(input: &'a Input) -> Self {
        let Input {
            role,
            path,
            found: _,
            url: _,
            digest,
            len,
        } = input;
        Self {
            role: role.into(),
            path: path.into(),
            sha256: digest.to_string(),
            len: *len,
        }
    }
}

impl<'a> NodeDto<'a> {
    pub(super) fn from_node(node: &'a Node) -> Self {
        match node {
            Node::Dir { mode } => Self::Dir {
                mode: mode.to_string(),
            },
            Node::Symlink { target } => Self::Symlink {
                target: target.into(),
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

    pub(super) fn into_node(self) -> Result<Node, PlanReadError> {
        Ok(match self {
            Self::Dir { mode: text } => Node::Dir { mode: mode(&text)? },
            Self::Symlink { target } => Node::Symlink {
                target: target.into_owned(),
            },
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

impl<'a> ContentDto<'a> {
    pub(super) fn from_content(content: &'a Content) -> Self {
        match content {
            Content::Inline(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Self::Text(text.into()),
                Err(_) => Self::Hex(to_hex(bytes)),
            },
            Content::Object { digest, len } => Self::Object {
                sha256: digest.to_string(),
                len: *len,
            },
            Content::Local { path, digest, len } => Self::Local {
                path: path.into(),
                sha256: digest.to_string(),
                len: *len,
            },
        }
    }

    pub(super) fn into_content(self) -> Result<Content, PlanReadError> {
        Ok(match self {
            Self::Text(text) => Content::Inline(text.into_owned().into_bytes()),
            Self::Hex(text) => Content::Inline(hex(&text)?),
            Self::Object { sha256, len } => Content::Object {
                digest: Digest::parse(&sha256)?,
                len,
            },
            Self::Local { path, sha256, len } => Content::Local {
                path: path.into_owned(),
                digest: Digest::parse(&sha256)?,
                len,
            },
        })
    }
}

impl<'a> ObservedDto<'a> {
    pub(super) fn from_observed(seen: &'a Observed) -> Self {
        match seen {
            Observed::Dir { mode } => Self::Dir {
                mode: format!("{mode:04o}"),
            },
            Observed::Symlink { target } => Self::Symlink {
                target: target.into(),
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

    pub(super) fn into_observed(self) -> Result<Observed, PlanReadError> {
        Ok(match self {
            Self::Dir { mode } => Observed::Dir {
                mode: octal(&mode)?,
            },
            Self::Symlink { target } => Observed::Symlink {
                target: target.into_owned(),
            },
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

pub(super) fn mode(text: &str) -> Result<Mode, PlanReadError> {
    Ok(Mode::new(octal(text)?).map_err(PlanError::from)?)
}

/// Parses exactly four octal digits, so that one value has one spelling. Five digits are accepted
/// so that the error can report a mode above 0777.
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
