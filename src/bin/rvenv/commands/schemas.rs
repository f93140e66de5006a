//! The JSON Schemas of what commands print with `--json`, made from the types that are printed.
//!
//! Promises that `docs/schema/` has exactly these; `RVENV_WRITE_DOCS=1` writes them.
//! `tests/it/behaviour/schemas.rs` compares real output of every command with them.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::cache::{report, transfer};
use super::{
    against, attach, config, done, explain, generations, image, list, lock, log, manual, proof,
    push, python, recover, status, verify,
};
use crate::advice::FailureJson;

/// The variable that has the documents written.
const WRITE: &str = "RVENV_WRITE_DOCS";

/// Every file of `docs/schema/` without its ending, and what it describes.
fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("attach", of::<attach::AttachJson>()),
        ("attached", of::<attach::AttachedJson>()),
        ("cache-clear", of::<report::SweptDto<'_>>()),
        ("cache-dir", of::<report::PlaceDto<'_>>()),
        ("cache-prune", of::<report::SweptDto<'_>>()),
        ("cache-pull", of::<transfer::PulledJson>()),
        ("cache-verify", of::<report::AuditDto<'_>>()),
        ("changes", of::<done::Changes>()),
        ("completions", of::<manual::ScriptJson<'_>>()),
        ("config", of::<config::Configuration>()),
        ("error", of::<FailureJson<'_>>()),
        ("explain", of::<explain::Codes>()),
        ("generations", of::<generations::List>()),
        ("generations-prune", of::<generations::Pruning>()),
        ("image", of::<image::ImageJson>()),
        ("list", of::<list::List>()),
        ("lock", of::<lock::LockedJson>()),
        ("log", of::<log::Log>()),
        ("man", of::<manual::PagesJson<'_>>()),
        ("plan", plan()),
        ("push", of::<push::PushedJson>()),
        ("python-find", of::<python::FoundJson<'_>>()),
        ("python-list", of::<python::ListingJson<'_>>()),
        ("recover", of::<recover::Recoveries>()),
        ("status", of::<status::Status>()),
        ("verify", of::<verify::VerificationDto<'_>>()),
        ("verify-against", of::<against::AgainstDto<'_>>()),
        ("verify-lock", of::<proof::ProofDto<'_>>()),
    ]
}

fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// The outside of a saved plan. The engine writes its inside, which no program but `rvenv apply`
/// needs; it has a digest, not types that serialize themselves.
fn plan() -> Value {
    let path = json!({ "type": "string", "description": "Relative to the target." });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "SavedPlan",
        "type": "object",
        "required": ["digest", "format", "plan"],
        "properties": {
            "digest": {
                "description": "The SHA-256 of the plan, for `rvenv apply --digest`.",
                "type": "string", "pattern": "^[0-9a-f]{64}$",
            },
            "format": { "description": "The version of this form.", "const": 1 },
            "found": { "description": "Where the wheels were; not part of the digest." },
            "request": { "description": "What was asked for; not part of the digest." },
            "plan": {
                "type": "object",
                "required": ["inputs", "operations", "publication", "target"],
                "properties": {
                    "target": { "type": "string" },
                    "publication": { "enum": ["nothing", "put", "swap", "merge", "refill"] },
                    "expects": { "description": "What must exist before." },
                    "order": { "type": "array", "items": path },
                    "inputs": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["role", "path", "sha256"],
                            "properties": {
                                "role": { "type": "string" },
                                "path": { "type": "string" },
                                "sha256": { "type": "string" },
                            },
                        },
                    },
                    "operations": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["path", "node", "stage"],
                            "properties": {
                                "path": path,
                                "node": { "description": "A directory, a file or a link." },
                                "stage": { "description": "The part of the planner that added it." },
                            },
                        },
                    },
                },
            },
        },
    })
}

fn file(name: &str) -> PathBuf {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema");
    docs.join(format!("{name}.json"))
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test reads and writes the documents"
)]
fn the_schemas_in_the_documents_are_those_of_the_types() {
    for (name, schema) in all() {
        let made = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(file(name), &made).unwrap();
        }
        let committed = std::fs::read_to_string(file(name)).unwrap_or_default();
        assert!(
            committed == made,
            "docs/schema/{name}.json differs; `{WRITE}=1` writes it"
        );
    }
}
