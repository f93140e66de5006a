//! Reports about the cache: as text for users, with sizes in units, and as JSON, in bytes.
//!
//! Promises one line per entry that differed, and that names from the disk are escaped.
//! Read next: `../cache.rs`, which does what is reported here.

use std::path::Path;

use rvenv::render::escape;
use rvenv_journal::raw::{Audit, Fault, Flaw, Leftovers, Stock, Swept, counted};
use serde::Serialize;

use rvenv::render::shown_size;

use super::fetched::Wheels;

/// What happened to each part of the cache.
pub(crate) struct Deleted {
    pub(crate) packs: Swept,
    pub(crate) notes: Notes,
    pub(crate) fetched: Wheels,
    /// How many incomplete downloads and directories of resolvers were deleted.
    pub(crate) downloads: u64,
    pub(crate) strangers: Vec<String>,
    pub(crate) leftovers: Leftovers,
}

/// What happened to cached answers about interpreters and wheels.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Notes {
    pub(crate) deleted: u64,
    pub(crate) bytes: u64,
    pub(crate) kept: u64,
}

fn stock_text(stock: &Stock) -> String {
    let objects = counted(stock.objects, "file");
    format!("{objects}, {}", shown_size(stock.bytes))
}

/// The result of verifying the cache.
pub(crate) fn audit_text(path: &Path, audit: &Audit, fetched: u64) -> String {
    let mut lines = vec![format!("`{}`", escape(&path.to_string_lossy()))];
    let packs = counted(audit.stock.packs, "wheel");
    lines.push(format!("packs: {packs} ({})", stock_text(&audit.stock)));
    if fetched > 0 {
        lines.push(format!("fetched: {}", counted(fetched, "wheel")));
    }
    lines.extend(audit.faults.iter().map(fault_text));
    lines.push(match audit.faults.len() {
        0 => "state: clean".to_owned(),
        faults => format!("state: {} differed", counted(faults, "entry")),
    });
    lines.join("\n") + "\n"
}

fn fault_text(fault: &Fault) -> String {
    let path = fault.path.as_ref().map(|path| format!("/{path}"));
    let shown = escape(&format!("{}{}", fault.pack, path.unwrap_or_default()));
    let done = match fault.kept {
        None => "deleted",
        Some(_) => "could not be deleted",
    };
    format!("  `{shown}` {}; {done}", flaw_text(fault.flaw))
}

fn flaw_text(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::Manifest => "has no manifest that can be read",
        Flaw::Kind => "is not a regular file",
        Flaw::Length => "has another length",
        Flaw::Content => "has different content",
        Flaw::Mode => "has another mode",
        Flaw::Owner => "belongs to another user or group",
        Flaw::Time => "has another time",
        Flaw::Unlisted => "is in no manifest",
        Flaw::Unreadable => "cannot be read",
    }
}

fn flaw_word(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::Manifest => "manifest",
        Flaw::Kind => "kind",
        Flaw::Length => "length",
        Flaw::Content => "content",
        Flaw::Mode => "mode",
        Flaw::Owner => "owner",
        Flaw::Time => "time",
        Flaw::Unlisted => "unlisted",
        Flaw::Unreadable => "unreadable",
    }
}

/// What was deleted and what was kept.
pub(crate) fn swept_text(path: &Path, swept: &Deleted) -> String {
    let Deleted { packs, notes, .. } = swept;
    let mut lines = vec![format!("`{}`", escape(&path.to_string_lossy()))];
    let gone = (packs.deleted.packs, stock_text(&packs.deleted));
    let kept = (packs.kept.packs, stock_text(&packs.kept));
    lines.push(format!(
        "packs: {} deleted ({}), {} kept ({})",
        gone.0, gone.1, kept.0, kept.1
    ));
    if packs.damaged > 0 {
        lines.push(format!("damaged: {} of the deleted ones", packs.damaged));
    }
    let dead = packs.builds + swept.downloads;
    if dead > 0 || packs.living > 0 {
        let living = packs.living;
        lines.push(format!(
            "unfinished: {dead} of dead processes deleted, {living} kept for processes that may \
             be running"
        ));
    }
    lines.push(format!(
        "notes on interpreters and wheels: {} deleted, {} kept",
        notes.deleted, notes.kept
    ));
    let Wheels { deleted, kept, .. } = swept.fetched;
    if deleted + kept > 0 {
        lines.push(format!("fetched wheels: {deleted} deleted, {kept} kept"));
    }
    lines.push(format!("freed: {}", shown_size(swept.freed())));
    lines.join("\n") + "\n"
}

impl Deleted {
    /// Adds what could not be deleted.
    pub(crate) fn leave(&mut self, left: Leftovers) {
        self.leftovers.count += left.count;
        if let Some(first) = left.first {
            self.leftovers.first.get_or_insert(first);
        }
    }

    /// The bytes that are free now, without those that environments share.
    fn freed(&self) -> u64 {
        let packs = self.packs.deleted.bytes - self.packs.deleted.shared;
        packs + self.notes.bytes + self.fetched.bytes
    }
}

/// The same as one JSON object.
pub(crate) fn audit_json(path: &Path, audit: &Audit, fetched: u64) -> String {
    json(&AuditDto::of(path, audit, fetched))
}

/// The same as one JSON object.
pub(crate) fn swept_json(path: &Path, swept: &Deleted) -> String {
    json(&SweptDto::of(path, swept))
}

/// What was deleted, to be shown beside an error.
pub(super) fn swept<'a>(path: &Path, swept: &'a Deleted) -> impl Serialize + use<'a> {
    SweptDto::of(path, swept)
}

/// The directory of the cache as one JSON object.
pub(super) fn place_json(path: &str) -> String {
    json(&PlaceDto { format: 1, path })
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::commands) struct PlaceDto<'a> {
    format: u64,
    path: &'a str,
}

fn json(dto: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(dto).expect("strings and numbers serialize");
    text.push('\n');
    text
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct StockDto {
    packs: u64,
    objects: u64,
    bytes: u64,
    shared: u64,
}

impl StockDto {
    fn of(stock: &Stock) -> Self {
        Self {
            packs: stock.packs,
            objects: stock.objects,
            bytes: stock.bytes,
            shared: stock.shared,
        }
    }
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::commands) struct AuditDto<'a> {
    format: u64,
    path: String,
    stock: StockDto,
    fetched: u64,
    faults: Vec<FaultDto<'a>>,
    strangers: &'a [String],
    clean: bool,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct FaultDto<'a> {
    pack: &'a str,
    path: Option<&'a str>,
    difference: &'static str,
    deleted: bool,
}

impl<'a> AuditDto<'a> {
    fn of(path: &Path, audit: &'a Audit, fetched: u64) -> Self {
        let fault = |fault: &'a Fault| FaultDto {
            pack: &fault.pack,
            path: fault.path.as_deref(),
            difference: flaw_word(fault.flaw),
            deleted: fault.kept.is_none(),
        };
        Self {
            format: 1,
            path: path.to_string_lossy().into_owned(),
            stock: StockDto::of(&audit.stock),
            fetched,
            faults: audit.faults.iter().map(fault).collect(),
            strangers: &audit.strangers,
            clean: audit.faults.is_empty(),
        }
    }
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::commands) struct SweptDto<'a> {
    format: u64,
    path: String,
    deleted: StockDto,
    damaged: u64,
    builds: u64,
    downloads: u64,
    kept: StockDto,
    living: u64,
    notes: Notes,
    fetched: Wheels,
    freed: u64,
    strangers: &'a [String],
    failed: u64,
}

impl<'a> SweptDto<'a> {
    fn of(path: &Path, swept: &'a Deleted) -> Self {
        Self {
            format: 1,
            path: path.to_string_lossy().into_owned(),
            deleted: StockDto::of(&swept.packs.deleted),
            damaged: swept.packs.damaged,
            builds: swept.packs.builds,
            downloads: swept.downloads,
            kept: StockDto::of(&swept.packs.kept),
            living: swept.packs.living,
            notes: swept.notes,
            fetched: swept.fetched,
            freed: swept.freed(),
            strangers: &swept.strangers,
            failed: swept.leftovers.count,
        }
    }
}
