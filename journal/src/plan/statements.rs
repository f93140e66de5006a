//! Statements in the texts of plans and receipts.
//!
//! Promises one spelling for both. Does not promise that a statement is true, or that its text
//! still exists: nothing here reads it.
//!
//! Read next: `json.rs`, `receipt.rs`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::digest::{Digest, DigestError};
use crate::plan::node::Statement;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatementDto<'a> {
    #[serde(borrow)]
    file: Cow<'a, str>,
    sha256: String,
    #[serde(borrow)]
    url: Cow<'a, str>,
}

/// Statements for writing.
pub(super) fn statements_out(
    all: &BTreeMap<Digest, Statement>,
) -> BTreeMap<String, StatementDto<'_>> {
    let out = all.iter().map(|(of, statement)| {
        let dto = StatementDto {
            file: Cow::Borrowed(&statement.file),
            sha256: statement.digest.to_string(),
            url: Cow::Borrowed(&statement.url),
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
        let statement = Statement {
            file: dto.file.into_owned(),
            url: dto.url.into_owned(),
            digest: Digest::parse(&dto.sha256)?,
        };
        Ok((Digest::parse(&of)?, statement))
    });
    read.collect()
}
