//! Statements in the texts of plans and receipts.
//!
//! Promises one spelling for both. Does not promise that an attestation is true, or that its text
//! still exists: nothing here reads it.
//!
//! Read next: `json.rs`, `receipt.rs`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::digest::{Digest, DigestError};
use crate::plan::node::{Attestation, Statement};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatementDto<'a> {
    #[serde(borrow)]
    file: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    attestation: Option<AttestationDto<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AttestationDto<'a> {
    sha256: String,
    #[serde(borrow)]
    url: Cow<'a, str>,
}

/// Statements for writing.
pub(super) fn statements_out<'a>(
    all: impl IntoIterator<Item = (&'a Digest, &'a Statement)>,
) -> BTreeMap<String, StatementDto<'a>> {
    let out = all.into_iter().map(|(of, statement)| {
        let attestation = statement.attestation.as_ref();
        let dto = StatementDto {
            file: Cow::Borrowed(&statement.file),
            attestation: attestation.map(|of| AttestationDto {
                sha256: of.digest.to_string(),
                url: Cow::Borrowed(&of.url),
            }),
        };
        (of.to_string(), dto)
    });
    out.collect()
}

/// Statements that were read.
pub(super) fn statements_in(
    all: BTreeMap<String, StatementDto<'_>>,
) -> Result<BTreeMap<Digest, Statement>, DigestError> {
    let read = all.into_iter().map(|(of, dto)| {
        let attestation = dto.attestation.map(|of| {
            Ok::<_, DigestError>(Attestation {
                url: of.url.into_owned(),
                digest: Digest::parse(&of.sha256)?,
            })
        });
        let statement = Statement {
            file: dto.file.into_owned(),
            attestation: attestation.transpose()?,
        };
        Ok((Digest::parse(&of)?, statement))
    });
    read.collect()
}
