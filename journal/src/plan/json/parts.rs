//! A plan in two parts, for places that name bytes by their digests.
//!
//! Promises that the SHA-256 of the first part is the digest of the plan, and that the second part
//! has nothing of this machine: what was asked for, statements about inputs, and URLs. Both
//! together give the plan back, without where its inputs were found.
//!
//! Read next: `../json.rs`, the text of a plan in one part.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    PLAN_BYTES_MAX, PLAN_FORMAT, PlanIn, PlanOut, PlanReadError, StatementDto, noted,
    statements_out, url,
};
use crate::base::digest::Digest;
use crate::plan::builder::Plan;

#[derive(Serialize)]
struct NotesOut<'a> {
    format: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    statements: BTreeMap<String, StatementDto<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    urls: BTreeMap<String, &'a str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NotesIn<'a> {
    format: u64,
    request: Option<serde_json::Value>,
    #[serde(borrow, default)]
    statements: BTreeMap<String, StatementDto<'a>>,
    #[serde(default)]
    urls: BTreeMap<String, String>,
}

impl Plan {
    /// The bytes whose SHA-256 is the digest of the plan.
    ///
    /// # Panics
    /// Never: strings and numbers serialize.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        serde_json::to_vec(&PlanOut::of(self)).expect("strings and numbers serialize")
    }

    /// What the digest does not cover and other machines can use.
    ///
    /// # Panics
    /// Never: strings and numbers serialize.
    #[must_use]
    pub fn notes(&self) -> Vec<u8> {
        let notes = NotesOut {
            format: PLAN_FORMAT,
            request: self.request().map(noted),
            statements: statements_out(self.statements()),
            urls: self.inputs().iter().filter_map(url).collect(),
        };
        serde_json::to_vec(&notes).expect("strings and numbers serialize")
    }

    /// Reads what [`Plan::canonical`] and [`Plan::notes`] wrote.
    ///
    /// # Errors
    /// Any other bytes are refused, and never cause a panic.
    pub fn from_parts(canonical: &[u8], notes: &[u8]) -> Result<Self, PlanReadError> {
        let len = canonical.len() as u64 + notes.len() as u64;
        if len > PLAN_BYTES_MAX {
            return Err(PlanReadError::TooLong(len));
        }
        let notes: NotesIn<'_> = serde_json::from_slice(notes).map_err(PlanReadError::Syntax)?;
        if notes.format != PLAN_FORMAT {
            return Err(PlanReadError::Format(notes.format));
        }
        let plan: PlanIn<'_> = serde_json::from_slice(canonical).map_err(PlanReadError::Syntax)?;
        let written = Digest::of(canonical);
        let plan = plan.into_plan(
            &BTreeMap::new(),
            &notes.urls,
            notes.request,
            notes.statements,
        )?;
        // Bytes that say the same in another way are another blob, and no plan of rvenv.
        let found = plan.digest();
        if written != found {
            return Err(PlanReadError::Digest { written, found });
        }
        Ok(plan)
    }
}
