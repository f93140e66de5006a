//! A plan in two parts, for places that name bytes by their digests.
//!
//! Promises that the SHA-256 of the first part is the digest of the plan, and that the second part
//! has nothing of this machine: what was asked for, statements about inputs, and URLs. Both
//! together give the plan back, without where its inputs were found; and a caller that can plan by
//! the second part knows from the digest that it needs no first part.
//!
//! Read next: `../json.rs`, the text of a plan in one part.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    PLAN_BYTES_MAX, PLAN_FORMAT, PlanIn, PlanOut, PlanReadError, StatementDto, noted,
    statements_in, statements_out, url,
};
use crate::base::digest::Digest;
use crate::plan::builder::Plan;
use crate::plan::node::{Input, Statement};

#[derive(Serialize)]
struct NotesOut<'a> {
    format: u64,
    /// Whether each input that is only a name has a statement with this name.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    named: bool,
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
    #[serde(default)]
    named: bool,
    request: Option<serde_json::Value>,
    #[serde(borrow, default)]
    statements: BTreeMap<String, StatementDto<'a>>,
    #[serde(default)]
    urls: BTreeMap<String, String>,
}

/// What [`Plan::notes`] wrote.
///
/// No digest covers it: a reader must not believe it, but may plan by it and compare the digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanNotes {
    is_named: bool,
    request: Option<String>,
    statements: BTreeMap<Digest, Statement>,
    urls: BTreeMap<Digest, String>,
}

impl PlanNotes {
    /// Reads notes.
    ///
    /// # Errors
    /// Any other bytes are refused, and never cause a panic.
    pub fn from_bytes(notes: &[u8]) -> Result<Self, PlanReadError> {
        let len = notes.len() as u64;
        if len > PLAN_BYTES_MAX {
            return Err(PlanReadError::TooLong(len));
        }
        let notes: NotesIn<'_> = serde_json::from_slice(notes).map_err(PlanReadError::Syntax)?;
        if notes.format != PLAN_FORMAT {
            return Err(PlanReadError::Format(notes.format));
        }
        let urls = notes.urls.into_iter();
        let urls = urls.map(|(of, url)| Ok::<_, PlanReadError>((Digest::parse(&of)?, url)));
        Ok(Self {
            is_named: notes.named,
            request: notes.request.map(|request| request.to_string()),
            statements: statements_in(notes.statements)?,
            urls: urls.collect::<Result<_, _>>()?,
        })
    }

    /// What was asked for, if it is noted.
    #[must_use]
    pub fn request(&self) -> Option<&str> {
        self.request.as_deref()
    }
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
        let all = self.statements();
        let names: BTreeSet<Digest> = named(self.inputs()).map(|(of, _)| of).collect();
        let is_named = named(self.inputs()).all(|(of, name)| {
            let statement = all.get(&of);
            statement.is_some_and(|statement| statement.file == name)
        });
        let is_written = |(of, statement): &(&Digest, &Statement)| {
            !(is_named && names.contains(of)) || statement.attestation.is_some()
        };
        let notes = NotesOut {
            format: PLAN_FORMAT,
            named: is_named,
            request: self.request().map(noted),
            statements: statements_out(all.iter().filter(is_written)),
            urls: self.inputs().iter().filter_map(url).collect(),
        };
        serde_json::to_vec(&notes).expect("strings and numbers serialize")
    }

    /// Reads what [`Plan::canonical`] wrote: the plan without notes.
    ///
    /// # Errors
    /// Any other bytes are refused, and never cause a panic.
    pub fn from_canonical(canonical: &[u8]) -> Result<Self, PlanReadError> {
        let len = canonical.len() as u64;
        if len > PLAN_BYTES_MAX {
            return Err(PlanReadError::TooLong(len));
        }
        let plan: PlanIn<'_> = serde_json::from_slice(canonical).map_err(PlanReadError::Syntax)?;
        let plan = plan.into_plan(&BTreeMap::new(), &BTreeMap::new(), None, BTreeMap::new())?;
        // Bytes that say the same in another way are another blob, and no plan of rvenv.
        let (written, found) = (Digest::of(canonical), plan.digest());
        if written != found {
            return Err(PlanReadError::Digest { written, found });
        }
        Ok(plan)
    }

    /// The same plan with these notes in place of its own; the digest stays.
    #[must_use]
    pub fn with_notes(self, notes: &PlanNotes) -> Self {
        let mut statements = notes.statements.clone();
        for (of, name) in named(self.inputs()).filter(|_| notes.is_named) {
            statements.entry(of).or_insert_with(|| Statement {
                file: name.to_owned(),
                attestation: None,
            });
        }
        let plan = self.restated(statements, &notes.urls);
        match notes.request() {
            Some(request) => plan.with_request(request),
            None => plan,
        }
    }
}

/// The inputs that are only a name, wherever their files are.
fn named(inputs: &[Input]) -> impl Iterator<Item = (Digest, &str)> {
    let names = inputs.iter().map(|input| (input.digest, &*input.path));
    names.filter(|(_, path)| !path.contains(['/', '\\']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::builder::PlanBuilder;
    use crate::plan::node::{Attestation, Expected, Mode, Observation, Publication};

    /// A plan with these inputs, each of which has this statement, if it has one.
    fn plan(inputs: &[(&str, Option<&str>)]) -> Plan {
        let mut builder = PlanBuilder::new("/env", Mode::SHARED_DIR).unwrap();
        for (path, file) in inputs {
            let digest = Digest::of(path.as_bytes());
            builder.add_input(Input {
                role: "wheel".into(),
                path: (*path).into(),
                found: None,
                url: Some(format!("https://host/{path}")),
                digest,
                len: 1,
            });
            if let Some(file) = file {
                let (file, attested) = file.split_once('+').unwrap_or((file, ""));
                let attestation = (!attested.is_empty()).then(|| Attestation {
                    url: attested.to_owned(),
                    digest,
                });
                let file = file.to_owned();
                builder.state(digest, Statement { file, attestation });
            }
        }
        let seen = Observation {
            target: Expected::Absent,
            paths: BTreeMap::new(),
        };
        let plan = builder.finish(seen, Publication::Put).unwrap();
        plan.with_request("{\"a\":1}")
    }

    #[test]
    fn both_parts_give_the_plan_back() {
        for inputs in [
            &[][..],
            &[("a", Some("a")), ("b", Some("b")), ("/python", None)],
            &[("a", Some("a+https://a")), ("b", Some("b"))],
            &[("a", Some("a")), ("b", None)],
            &[("a", Some("a")), ("b", Some("other"))],
            &[("a", Some("a")), ("/python", Some("/python"))],
        ] {
            let plan = plan(inputs);
            let notes = PlanNotes::from_bytes(&plan.notes()).unwrap();
            let back = Plan::from_canonical(&plan.canonical()).unwrap();
            assert_eq!(back.digest(), plan.digest());
            assert_eq!(back.with_notes(&notes), plan, "{inputs:?}");
        }
    }

    #[test]
    fn a_statement_that_is_only_the_name_is_not_written_again() {
        let text = |inputs: &[_]| String::from_utf8(plan(inputs).notes()).unwrap();
        let usual = text(&[("a", Some("a")), ("b", Some("b"))]);
        assert!(!usual.contains("statements"), "{usual}");
        let attested = text(&[("a", Some("a+https://a")), ("b", Some("b"))]);
        assert_eq!(attested.matches("\"file\"").count(), 1, "{attested}");
        let bare = text(&[("a", Some("a")), ("b", None)]);
        assert_eq!(bare.matches("\"file\"").count(), 1, "{bare}");
    }

    #[test]
    fn other_bytes_are_neither_a_plan_nor_notes() {
        let plan = plan(&[("a", Some("a"))]);
        let mut spaced = plan.canonical();
        spaced.push(b' ');
        assert!(matches!(
            Plan::from_canonical(&spaced),
            Err(PlanReadError::Digest { .. })
        ));
        let notes = String::from_utf8(plan.notes()).unwrap();
        let later = notes.replace("\"format\":1", "\"format\":2");
        assert!(matches!(
            PlanNotes::from_bytes(later.as_bytes()),
            Err(PlanReadError::Format(2))
        ));
        assert!(matches!(
            PlanNotes::from_bytes(b"{}"),
            Err(PlanReadError::Syntax(_))
        ));
    }
}
