//! `pylock.toml`: reads the format of locks that every installer knows (PEP 751).
//!
//! Promises to refuse what the specification demands to refuse: another major version, a name that
//! is not normal, sources of two kinds, a file without a hash or with the name of another package.
//! `tool` tables and `dependencies` have no effect. Does not choose; does not look at the files.
//!
//! Read next: `pylock/document.rs`, the document as it is written; `choose.rs`.

mod document;

use std::path::Path;

use super::error::{LockError, LockFault, Place};
use super::hashes::Hashes;
use super::model::{Archive, File, Format, Lock, Package, Revision, Source};
use super::sdist::sdist_version;
use crate::base::version::{self, Specifiers};
use crate::python::printable;
use crate::wheel::{Marker, Tagged, normal_name};
use document::{ArchiveTable, Document, FileTable, PackageTable, VcsTable};

/// Whether a file has the name of a `pylock.toml`, which may have one word in the middle.
#[must_use]
pub fn is_pylock_name(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(rest) = name.and_then(|name| name.strip_prefix("pylock.")) else {
        return false;
    };
    let word = rest.strip_suffix(".toml");
    rest == "toml" || word.is_some_and(|word| !word.is_empty() && !word.contains('.'))
}

/// Reads the bytes of a `pylock.toml`.
///
/// # Errors
/// What is wrong with them, and where.
pub fn read(path: &Path, bytes: &[u8]) -> Result<Lock, LockError> {
    let fail = |place, fault| LockError {
        path: path.to_owned(),
        place,
        fault,
    };
    if bytes.len() as u64 > super::BYTES_MAX {
        return Err(fail(Place::File, LockFault::Large));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| fail(Place::File, LockFault::NotText))?;
    let document: Document = toml::from_str(text).map_err(|error| {
        // A newer format may have other keys and types.
        let format = document::format(text);
        if let Some(fault) = format.and_then(|format| check_format(&format).err()) {
            return fail(Place::File, fault);
        }
        let start = error.span().map_or(0, |span| span.start);
        let before = text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let fault = LockFault::Toml(printable(error.message()));
        fail(Place::Line(line), fault)
    })?;
    let dir = path.parent().unwrap_or(Path::new(""));
    let mut lock = head(&document, text).map_err(|fault| fail(Place::File, fault))?;
    path.clone_into(&mut lock.path);
    for (at, table) in document.packages.into_iter().enumerate() {
        let name = printable(table.name.as_deref().unwrap_or_default());
        let place = format!("packages[{at}]");
        let named = format!("{place} (`{name}`)");
        let package = Reader { dir }.package(table, place);
        lock.packages
            .push(package.map_err(|fault| fail(Place::Table(named), fault))?);
    }
    Ok(lock)
}

/// Everything but the packages.
fn head(document: &Document, text: &str) -> Result<Lock, LockFault> {
    let format = document.lock_version.as_deref();
    let format = format.ok_or(LockFault::Missing("lock-version"))?;
    check_format(format)?;
    let mut warnings = Vec::new();
    if version::compare(format, "1.0").is_gt() {
        let unknown = document::unknown_keys(text);
        if !unknown.is_empty() {
            warnings.push(format!(
                "its format is version {}, and rvenv does not know these keys of it: {}",
                printable(format),
                printable(&unknown.join(", "))
            ));
        }
    }
    let created_by = document.created_by.as_ref();
    let created_by = created_by.ok_or(LockFault::Missing("created-by"))?;
    let environments = document.environments.as_ref().map(|texts| {
        let markers = texts.iter().map(|text| marker("environments", text));
        markers.collect::<Result<Vec<_>, _>>()
    });
    for extra in document.extras.iter().flatten() {
        check_normal("extras", extra)?;
    }
    Ok(Lock {
        format: Format::Pylock,
        created_by: created_by.clone(),
        requires_python: range("requires-python", document.requires_python.as_deref())?,
        environments: environments.transpose()?,
        extras: document.extras.clone().unwrap_or_default(),
        groups: document.dependency_groups.clone().unwrap_or_default(),
        default_groups: document.default_groups.clone().unwrap_or_default(),
        warnings,
        ..Lock::default()
    })
}

/// Checks that the version of the format is one that can be read.
fn check_format(format: &str) -> Result<(), LockFault> {
    if !version::is_version(format) {
        return Err(value("lock-version", format, "a version"));
    }
    let known = Specifiers::parse(">=1,<2.dev0").is_ok_and(|known| known.include(format));
    if known {
        return Ok(());
    }
    Err(LockFault::Format(printable(format)))
}

struct Reader<'a> {
    /// The directory of the lock, to which its paths are relative.
    dir: &'a Path,
}

impl Reader<'_> {
    fn package(&self, table: PackageTable, place: String) -> Result<Package, LockFault> {
        let name = table.name.ok_or(LockFault::Missing("name"))?;
        check_normal("name", &name)?;
        if let Some(found) = &table.version
            && !version::is_version(found)
        {
            return Err(value("version", found, "a version"));
        }
        let held = table.marker.as_deref();
        let held = held.map(|text| marker("marker", text)).transpose()?;
        let has_files = table.sdist.is_some() || table.wheels.iter().flatten().next().is_some();
        let direct = [
            table.vcs.is_some(),
            table.directory.is_some(),
            table.archive.is_some(),
        ];
        match (direct.into_iter().filter(|is| *is).count(), has_files) {
            (0, true) | (1, false) => {}
            (0, false) => return Err(LockFault::Sources("it has no source")),
            _ => return Err(LockFault::Sources("it has sources of more than one kind")),
        }
        let source = if let Some(vcs) = table.vcs {
            self.repository(vcs)?
        } else if let Some(directory) = table.directory {
            Source::Directory {
                path: self
                    .dir
                    .join(directory.path.ok_or(LockFault::Missing("path"))?),
                is_editable: directory.editable.unwrap_or(false),
                subdirectory: subdirectory(directory.subdirectory)?,
            }
        } else if let Some(archive) = table.archive {
            Source::Archive(self.archive(archive, &name, table.version.as_deref())?)
        } else {
            let wheels = table.wheels.into_iter().flatten();
            let wheels = wheels.map(|wheel| self.wheel(wheel, &name, table.version.as_deref()));
            let version = table.version.as_deref();
            let sdist = table.sdist.map(|sdist| self.sdist(sdist, &name, version));
            Source::Files {
                wheels: wheels.collect::<Result<_, _>>()?,
                sdist: sdist.transpose()?,
            }
        };
        for identity in table.attestation_identities.iter().flatten() {
            identity
                .kind
                .as_ref()
                .ok_or(LockFault::Missing("attestation-identities.kind"))?;
        }
        Ok(Package {
            requires_python: range("requires-python", table.requires_python.as_deref())?,
            name,
            version: table.version,
            marker: held,
            index: table.index,
            source,
            place,
        })
    }

    fn repository(&self, vcs: VcsTable) -> Result<Source, LockFault> {
        let path = vcs.path.map(|path| self.dir.join(path));
        let path = path.map(|path| path.display().to_string());
        Ok(Source::Repository(Revision {
            kind: vcs.kind.ok_or(LockFault::Missing("vcs.type"))?,
            url: vcs.url.or(path).ok_or(LockFault::Missing("vcs.url"))?,
            commit: vcs.commit_id.ok_or(LockFault::Missing("vcs.commit-id"))?,
            requested: vcs.requested_revision,
            subdirectory: subdirectory(vcs.subdirectory)?,
        }))
    }

    fn archive(
        &self,
        table: ArchiveTable,
        name: &str,
        version: Option<&str>,
    ) -> Result<Archive, LockFault> {
        let file = FileTable {
            name: None,
            url: table.url,
            path: table.path,
            size: table.size,
            upload_time: table.upload_time,
            hashes: table.hashes,
        };
        let file = self.file(file)?;
        if let Some(tagged) = Tagged::of(&file.name) {
            check_is_of(&file.name, &tagged, name, version)?;
        }
        Ok(Archive {
            file,
            subdirectory: subdirectory(table.subdirectory)?,
        })
    }

    fn wheel(
        &self,
        table: FileTable,
        name: &str,
        version: Option<&str>,
    ) -> Result<File, LockFault> {
        let file = self.file(table)?;
        let tagged = Tagged::of(&file.name);
        let tagged = tagged.ok_or_else(|| value("wheels.name", &file.name, "a wheel's name"))?;
        check_is_of(&file.name, &tagged, name, version)?;
        Ok(file)
    }

    fn sdist(
        &self,
        table: FileTable,
        name: &str,
        version: Option<&str>,
    ) -> Result<File, LockFault> {
        let file = self.file(table)?;
        let stem = file.name.strip_suffix(".tar.gz");
        let stem = stem.or_else(|| file.name.strip_suffix(".zip"));
        let stem =
            stem.ok_or_else(|| value("sdist.name", &file.name, "a source archive's name"))?;
        let mut dashes = stem.match_indices('-');
        let is_name = |(at, _)| stem.get(..at).is_some_and(|part| normal_name(part) == name);
        // A name from before PEP 625 may say its version in a way that is none.
        let found = sdist_version(&file.name, name);
        let is_version = match (version, found) {
            (Some(version), Some(found)) => version::compare(version, &found).is_eq(),
            _ => true,
        };
        if !dashes.any(is_name) || !is_version {
            return Err(LockFault::OtherFile(printable(&file.name)));
        }
        Ok(file)
    }

    fn file(&self, table: FileTable) -> Result<File, LockFault> {
        let last_of_path = table.path.as_deref().map(last_part);
        let last_of_url = table.url.as_deref().and_then(name_in_url);
        if table.path.is_none() && table.url.is_none() {
            return Err(LockFault::Missing("url"));
        }
        let name = table.name.or(last_of_path).or(last_of_url);
        let name = name.ok_or(LockFault::Missing("name"))?;
        if !is_file_name(&name) {
            return Err(value("name", &name, "a file's name"));
        }
        let written = table.hashes.ok_or(LockFault::Missing("hashes"))?;
        let mut hashes = Hashes::default();
        for (algorithm, digits) in &written {
            let added = hashes.add(algorithm, digits);
            added.map_err(|why| LockFault::Hash {
                algorithm: printable(algorithm),
                of: printable(&name),
                why,
            })?;
        }
        if hashes.is_empty() {
            return Err(LockFault::Missing("hashes"));
        }
        if hashes.checked().is_empty() {
            return Err(LockFault::Hashless {
                file: printable(&name),
                found: printable(&hashes.unchecked().join(", ")),
            });
        }
        Ok(File {
            name,
            url: table.url,
            path: table.path.as_ref().map(|path| self.dir.join(path)),
            written_path: table.path,
            size: table.size,
            upload_time: table.upload_time.map(|time| time.to_string()),
            hashes,
        })
    }
}

fn value(key: &'static str, value: &str, expected: &'static str) -> LockFault {
    LockFault::Value {
        key,
        value: printable(value),
        expected,
    }
}

fn check_normal(key: &'static str, name: &str) -> Result<(), LockFault> {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_plain =
        name.chars().all(|c| edge(c) || c == '-') && name.starts_with(edge) && name.ends_with(edge);
    if !is_plain || normal_name(name) != name {
        return Err(value(key, name, "a normalized name"));
    }
    Ok(())
}

/// A directory of sources, which has to be below their top; a link in it is not known yet.
fn subdirectory(text: Option<String>) -> Result<Option<String>, LockFault> {
    let leads_out = |text: &&String| {
        text.starts_with(['/', '\\'])
            || text.contains(':')
            || text.split(['/', '\\']).any(|component| component == "..")
    };
    match text.as_ref().filter(leads_out) {
        Some(text) => Err(value("subdirectory", text, "a path below the sources")),
        None => Ok(text),
    }
}

fn marker(key: &'static str, text: &str) -> Result<Marker, LockFault> {
    Marker::parse(text).ok_or_else(|| value(key, text, "a marker"))
}

fn range(key: &'static str, text: Option<&str>) -> Result<Option<Specifiers>, LockFault> {
    match text.map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => {
            let read = Specifiers::parse(text);
            read.map(Some)
                .map_err(|_| value(key, text, "a range of versions"))
        }
    }
}

/// Checks that the name of a wheel is that of its package.
fn check_is_of(
    file: &str,
    tagged: &Tagged,
    name: &str,
    version: Option<&str>,
) -> Result<(), LockFault> {
    let found = &tagged.named;
    let is_version =
        version.is_none_or(|version| version::compare(version, &found.version).is_eq());
    if found.name == name && is_version && version::is_version(&found.version) {
        return Ok(());
    }
    Err(LockFault::OtherFile(printable(file)))
}

/// The last part of a path, in the spelling of any system.
fn last_part(path: &str) -> String {
    let last = path.rsplit(['/', '\\']).next();
    last.unwrap_or_default().to_owned()
}

/// Whether a text can be the name of a file and nothing else.
fn is_file_name(name: &str) -> bool {
    let is_fit = |c: char| !c.is_control() && !"/\\".contains(c);
    !name.is_empty() && name.chars().all(is_fit) && !matches!(name, "." | "..")
}

/// The name of the file that a URL ends with, its escapes resolved.
pub(crate) fn name_in_url(url: &str) -> Option<String> {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let path = url.get(..end)?;
    let path = path.split_once("//").map_or(path, |(_, rest)| rest);
    let (_, last) = path.rsplit_once('/')?;
    let mut bytes = Vec::new();
    let mut rest = last.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%');
        let escaped = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() {
            after.get(2..).unwrap_or_default()
        } else {
            after
        };
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests;
