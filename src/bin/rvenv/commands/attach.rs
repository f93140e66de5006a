//! `rvenv attach` and `rvenv attached`: files that refer to what is in a registry.
//!
//! Promises to print references with digests on standard output, and nothing else there; and that
//! a file of the user is never replaced by one that comes from a registry.
//! Read next: the library's `front/attaching.rs`.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use rvenv::artifact::manifest::SBOM;
use rvenv::artifact::referrer::Listed;
use rvenv::attaching::{AttachFailed, AttachedFile, Attachment, Lister};
use rvenv::fetch::{Parcel, Reference};
use rvenv::render::escape;
use rvenv::saved_plan::WheelPlaces;
use rvenv_journal::Plan;
use rvenv_journal::raw::counted;
use serde::Serialize;

use super::generations::json_of;
use super::push::{places, reference};
use crate::advice::{CliError, Code, Exit, of_attach, of_described};
use crate::args::{AttachArgs, AttachedArgs, PlacesArgs};
use crate::session::Session;

/// The name of an SBOM that a push attaches.
const SBOM_NAME: &str = "sbom.cdx.json";

/// What is attached now.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct AttachJson {
    /// The version of this form.
    format: u64,
    /// What it is attached to, with the digest.
    subject: String,
    /// The manifest that names the file, with the digest.
    reference: String,
    listed_by: ListerJson,
}

/// Who lists it.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum ListerJson {
    /// The registry itself.
    Registry,
    /// A list under a tag, which clients write.
    Tag,
}

/// What is attached to something.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct AttachedJson {
    /// The version of this form.
    format: u64,
    /// What it is attached to, with the digest.
    subject: String,
    attached: Vec<OneJson>,
}

/// Something that is attached.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct OneJson {
    /// The manifest that names its files, with the digest.
    reference: String,
    #[serde(rename = "type")]
    kind: String,
    annotations: BTreeMap<String, String>,
    /// The files that were written, with --out.
    files: Vec<String>,
}

impl Session<'_> {
    pub(crate) fn attach(&self, args: &AttachArgs) -> Result<Exit, CliError> {
        let to = reference(&args.reference)?;
        let attachment =
            self.with_caller(|caller| caller.attachment(&args.kind, args.file.clone()));
        let attachment = attachment.map_err(|failed| self.not_attached(failed))?;
        let from = places(&PlacesArgs::default());
        let attached = self.with_caller(|caller| caller.attach(&to, &attachment, &from));
        let attached = attached.map_err(|failed| self.not_attached(failed))?;
        let (subject, there) = (to.at(attached.subject), to.at(attached.manifest));
        if self.json {
            self.terminal.json(&json_of(&AttachJson {
                format: 1,
                subject: subject.to_string(),
                reference: there.to_string(),
                listed_by: match attached.lister {
                    Lister::Registry => ListerJson::Registry,
                    Lister::Tag => ListerJson::Tag,
                },
            }))?;
        } else {
            self.terminal.data(&format!("{there}\n"))?;
        }
        let name = escape(&attachment.parcel.name);
        self.terminal
            .story(&format!("Attached `{name}` to `{subject}`"));
        Ok(Exit::Done)
    }

    pub(crate) fn attached(&self, args: &AttachedArgs) -> Result<Exit, CliError> {
        let to = reference(&args.reference)?;
        let from = places(&PlacesArgs::default());
        let all = self.with_caller(|caller| caller.attached(&to, &from));
        let all = all.map_err(|failed| self.not_attached(failed))?;
        let is_wanted = |one: &&Listed| args.kind.as_ref().is_none_or(|kind| *kind == one.kind);
        let listed: Vec<Listed> = all.listed.iter().filter(is_wanted).cloned().collect();
        let written = match &args.out {
            Some(dir) => self.write_attached(&to, &listed, dir)?,
            None => Vec::new(),
        };
        self.tell_attached(&to.at(all.subject), &listed, &written)?;
        Ok(Exit::Done)
    }

    fn tell_attached(
        &self,
        subject: &Reference,
        listed: &[Listed],
        written: &[Written],
    ) -> Result<(), CliError> {
        if self.json {
            let one = |one: &Listed| OneJson {
                reference: subject.at(one.digest).to_string(),
                kind: one.kind.clone(),
                annotations: one.annotations.clone(),
                files: written
                    .iter()
                    .filter(|file| file.manifest == one.digest)
                    .map(|file| file.path.to_string_lossy().into_owned())
                    .collect(),
            };
            self.terminal.json(&json_of(&AttachedJson {
                format: 1,
                subject: subject.to_string(),
                attached: listed.iter().map(one).collect(),
            }))?;
        } else {
            let line = |one: &Listed| format!("{} {}\n", subject.at(one.digest), escape(&one.kind));
            let lines: String = listed.iter().map(line).collect();
            self.terminal.data(&lines)?;
        }
        for file in written {
            let shown = escape(&file.path.to_string_lossy());
            self.terminal.story(&format!("Wrote `{shown}`"));
        }
        let count = counted(listed.len(), "artifact");
        self.terminal
            .story(&format!("`{subject}` has {count} attached to it"));
        Ok(())
    }

    /// Writes what is attached into a directory.
    fn write_attached(
        &self,
        to: &Reference,
        listed: &[Listed],
        dir: &Path,
    ) -> Result<Vec<Written>, CliError> {
        let from = places(&PlacesArgs::default());
        let files = self.with_caller(|caller| caller.fetch_attached(to, listed, &from));
        let files = files.map_err(|failed| self.not_attached(failed))?;
        make(dir).map_err(|error| not_written(dir, &error))?;
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        for file in &files {
            *names.entry(&file.name).or_default() += 1;
        }
        let mut written = Vec::new();
        for file in &files {
            let is_alone = names.get(file.name.as_str()) == Some(&1);
            let name = if is_alone {
                file.name.clone()
            } else {
                format!("{:.12}-{}", file.manifest.to_string(), file.name)
            };
            let path = dir.join(name);
            write(&path, file).map_err(|error| not_written(&path, &error))?;
            written.push(Written {
                manifest: file.manifest,
                path,
            });
        }
        Ok(written)
    }

    /// Attaches the SBOM of a plan to what was pushed.
    pub(super) fn attach_sbom(
        &self,
        plan: &Plan,
        to: &Reference,
        from: &WheelPlaces,
    ) -> Result<(), CliError> {
        let described = self.with_caller(|caller| caller.describe(plan));
        let described = described.map_err(|error| of_described(&error))?;
        let bom = super::sbom::bom_of_plan(plan, described);
        let attachment = Attachment {
            kind: SBOM.to_owned(),
            parcel: Parcel::of_bytes(SBOM_NAME, bom.into_bytes()),
        };
        let attached = self.with_caller(|caller| caller.attach(to, &attachment, from));
        let attached = attached.map_err(|failed| self.not_attached(failed))?;
        let there = to.at(attached.manifest);
        self.terminal
            .story(&format!("Attached the SBOM: `{there}`"));
        Ok(())
    }

    fn not_attached(&self, failed: AttachFailed) -> CliError {
        of_attach(failed, self.signals.terminated())
    }
}

/// A file that was written.
struct Written {
    manifest: rvenv_journal::Digest,
    path: PathBuf,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the directory is the user's, and no target"
)]
fn make(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)
}

/// Writes a file that is not there yet: its name comes from the registry.
fn write(path: &Path, file: &AttachedFile) -> io::Result<()> {
    let bytes = std::fs::read(&file.path)?;
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut out) => out.write_all(&bytes),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let is_same = std::fs::read(path).is_ok_and(|found| found == bytes);
            if is_same { Ok(()) } else { Err(error) }
        }
        Err(error) => Err(error),
    }
}

fn not_written(path: &Path, error: &io::Error) -> CliError {
    let shown = escape(&path.to_string_lossy());
    CliError::new(Code::NotSaved, format!("cannot write `{shown}`"))
        .because(error)
        .hint("name a directory that does not exist, or is empty, with `--out`")
}
