//! Requirements files in which everything is pinned and hashed: pip's format, always in its mode
//! for hashes.
//!
//! Promises pip's meaning of what it accepts: `name==version` or a file, each with `--hash`; files
//! inside files with `-r` and `-c`; options for the index. Refuses what has no hash or would have
//! to be built: editable requirements, directories and repositories. Extras in brackets have no
//! effect, since what they need has lines of its own. Reads other files through its caller alone.
//!
//! Read next: `requirements/lines.rs`, the lines; `choose.rs`.

mod lines;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{LockError, LockFault, Place};
use super::hashes::Hashes;
use super::model::{Archive, Constraint, File, Format, IndexOptions, Lock, Package, Source};
use super::pylock::name_in_url;
use crate::base::config_settings::ConfigSettings;
use crate::python::{printable, without_passwords};
use crate::wheel::requirement::Specified;
use crate::wheel::{Marker, Tagged};
use lines::{Line, SetOption, is_remote};

/// How deep files may be nested.
const DEPTH_MAX: usize = 32;
/// How many files may be read, since files that name each other twice would be without end.
const FILES_MAX: usize = 256;
/// The prefixes of URLs of repositories.
const REPOSITORIES: [&str; 4] = ["git+", "hg+", "svn+", "bzr+"];
/// What the names of archives end with.
const ARCHIVES: [&str; 9] = [
    ".whl", ".zip", ".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tbz", ".tar.xz", ".txz",
];

/// What the reader asks its caller for.
pub struct Files<'a> {
    /// Reads a file that another one names.
    pub read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    /// The value of an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The working directory, to which paths of packages are relative.
    pub cwd: &'a Path,
}

/// Reads a requirements file and those that it names.
///
/// # Errors
/// What is wrong with them, and in which line.
pub fn read(path: &Path, files: &Files<'_>) -> Result<Lock, LockError> {
    let Reader { lock, unhashed, .. } = Reader::read(path, files, Wanted::All)?;
    for (name, error) in unhashed {
        let mut limits = lock.constraints.iter();
        if !limits.any(|limit| limit.name == name && !limit.hashes.is_empty()) {
            return Err(error);
        }
    }
    Ok(lock)
}

/// Reads what a requirements file and those that it names say about indexes, whatever else they
/// have: a resolver reads the rest, and what is wrong with it.
///
/// # Errors
/// A file that cannot be read.
pub fn read_index_options(path: &Path, files: &Files<'_>) -> Result<IndexOptions, LockError> {
    let reader = Reader::read(path, files, Wanted::IndexOptions)?;
    Ok(reader.lock.indexes)
}

/// Reads what the lines of a requirements file and of those that it names have for the backends of
/// their packages, by their names in normal form; whatever else they have does not matter.
///
/// # Errors
/// A file that cannot be read.
pub fn read_config_settings(
    path: &Path,
    files: &Files<'_>,
) -> Result<BTreeMap<String, ConfigSettings>, LockError> {
    let reader = Reader::read(path, files, Wanted::IndexOptions)?;
    Ok(reader.settings)
}

/// Looks in a requirements file, and in those that it names, for a line whose sources would have to
/// be built. Other faults of lines do not matter here: a resolver reads the file.
///
/// # Errors
/// The first such line; a file that cannot be read.
pub fn refuse_sources(path: &Path, files: &Files<'_>) -> Result<(), LockError> {
    Reader::read(path, files, Wanted::Sources).map(drop)
}

/// What is read of the files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    All,
    IndexOptions,
    /// Lines that name sources, as errors.
    Sources,
}

/// What the lines of a file are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Requirements,
    Constraints,
}

/// One file that is read.
struct Visit<'a> {
    path: &'a Path,
    depth: usize,
    role: Role,
}

struct Reader<'a> {
    files: &'a Files<'a>,
    /// The file that all others are named by.
    main: &'a Path,
    wanted: Wanted,
    read: usize,
    /// Packages without a hash of their own, which a constraint may have, and the error otherwise.
    unhashed: Vec<(String, LockError)>,
    /// What lines have for the backends of their packages.
    settings: BTreeMap<String, ConfigSettings>,
    lock: Lock,
}

/// What a requirement is, besides its hashes.
struct Asked {
    name: String,
    version: Option<String>,
    marker: Option<Marker>,
    /// The file, for a requirement that has one.
    file: Option<File>,
}

impl<'a> Reader<'a> {
    fn read(path: &'a Path, files: &'a Files<'a>, wanted: Wanted) -> Result<Self, LockError> {
        let mut reader = Self {
            files,
            main: path,
            wanted,
            read: 0,
            unhashed: Vec::new(),
            settings: BTreeMap::new(),
            lock: Lock {
                path: path.to_owned(),
                format: Format::Requirements,
                created_by: "requirements".to_owned(),
                ..Lock::default()
            },
        };
        let role = Role::Requirements;
        reader.file(&Visit {
            path,
            depth: 0,
            role,
        })?;
        Ok(reader)
    }
}

impl Reader<'_> {
    fn file(&mut self, visit: &Visit<'_>) -> Result<(), LockError> {
        let fail = |place, fault| LockError {
            path: visit.path.to_owned(),
            place,
            fault,
        };
        if visit.depth > DEPTH_MAX {
            return Err(fail(Place::File, LockFault::Nested(DEPTH_MAX)));
        }
        self.read += 1;
        if self.read > FILES_MAX {
            return Err(fail(Place::File, LockFault::Files(FILES_MAX)));
        }
        let bytes = (self.files.read)(visit.path)
            .map_err(|error| fail(Place::File, LockFault::Disk(error)))?;
        if bytes.len() as u64 > super::BYTES_MAX {
            return Err(fail(Place::File, LockFault::Large));
        }
        let text = std::str::from_utf8(&bytes);
        let text = text.map_err(|_| fail(Place::File, LockFault::NotText))?;
        let read = lines::lines(text, self.files.variable)
            .map_err(|(number, fault)| fail(Place::Line(number), fault))?;
        for line in read {
            let options = lines::options(&line.options);
            if self.wanted == Wanted::IndexOptions {
                match options {
                    Ok(options) if line.requirement.is_empty() => {
                        self.index_options(visit, options)?;
                    }
                    Ok(options) => self.line_settings(visit, &line, &options),
                    Err(_) => {}
                }
                continue;
            }
            let options = options.map_err(|fault| fail(Place::Line(line.number), fault));
            let result = options.and_then(|options| {
                if line.requirement.is_empty() {
                    self.options(visit, line.number, options)
                } else {
                    self.requirement(visit, &line, &options)
                        .map_err(|fault| fail(Place::Line(line.number), fault))
                }
            });
            match result {
                Err(LockError { fault, .. })
                    if self.wanted == Wanted::Sources && fault.is_of_a_line() => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// A line of options alone.
    fn options(
        &mut self,
        visit: &Visit<'_>,
        number: usize,
        options: Vec<SetOption>,
    ) -> Result<(), LockError> {
        let fail = |fault| LockError {
            path: visit.path.to_owned(),
            place: Place::Line(number),
            fault,
        };
        let dir = visit.path.parent().unwrap_or(Path::new(""));
        for SetOption { name, value } in options {
            match name {
                "--requirement" | "--constraint" => {
                    if is_remote(&value) {
                        return Err(fail(LockFault::Remote(shown(&value))));
                    }
                    self.named(visit, name, &value)?;
                }
                "--editable" => {
                    return Err(fail(LockFault::Unlocked {
                        what: shown(&value),
                        kind: "an editable requirement",
                    }));
                }
                "--hash" | "--config-settings" | "--global-option" => {
                    let name = name.to_owned();
                    let why = "goes with a requirement";
                    return Err(fail(LockFault::OptionValue(name, why)));
                }
                name => index_option(&mut self.lock.indexes, dir, name, value),
            }
        }
        Ok(())
    }

    /// A line of options alone, of which only those about indexes matter.
    fn index_options(
        &mut self,
        visit: &Visit<'_>,
        options: Vec<SetOption>,
    ) -> Result<(), LockError> {
        let dir = visit.path.parent().unwrap_or(Path::new(""));
        for SetOption { name, value } in options {
            match name {
                "--requirement" | "--constraint" if is_remote(&value) => {}
                "--requirement" | "--constraint" => self.named(visit, name, &value)?,
                name => index_option(&mut self.lock.indexes, dir, name, value),
            }
        }
        Ok(())
    }

    /// What a line has for the backend of its package.
    fn line_settings(&mut self, visit: &Visit<'_>, line: &Line, options: &[SetOption]) {
        let read = Specified::parse(&line.requirement).zip(lines::settings(options).ok());
        if let Some((package, settings)) = read
            && visit.role == Role::Requirements
            && !settings.is_empty()
        {
            self.settings.insert(package.name, settings);
        }
    }

    /// A file that another one names.
    fn named(&mut self, visit: &Visit<'_>, option: &str, value: &str) -> Result<(), LockError> {
        let dir = visit.path.parent().unwrap_or(Path::new(""));
        let path = file_path(value).unwrap_or_else(|| dir.join(value));
        let role = match option {
            "--constraint" => Role::Constraints,
            _ => visit.role,
        };
        self.file(&Visit {
            path: &path,
            depth: visit.depth + 1,
            role,
        })
    }

    /// A line with a requirement: a package, or a limit on one.
    fn requirement(
        &mut self,
        visit: &Visit<'_>,
        line: &Line,
        options: &[SetOption],
    ) -> Result<(), LockFault> {
        let hashes = hashes_of(line, options)?;
        lines::settings(options)?;
        let place = if visit.path == self.main {
            format!("line {}", line.number)
        } else {
            let path = crate::python::shown(visit.path);
            format!("`{path}`, line {}", line.number)
        };
        match visit.role {
            Role::Constraints => {
                let constraint = constraint(line, hashes, place)?;
                self.lock.constraints.push(constraint);
            }
            Role::Requirements => {
                let package = self.package(visit, line, hashes, place)?;
                self.lock.packages.push(package);
            }
        }
        Ok(())
    }

    /// A package; remembers it if it has no hash, which a constraint may have.
    fn package(
        &mut self,
        visit: &Visit<'_>,
        line: &Line,
        mut hashes: Hashes,
        place: String,
    ) -> Result<Package, LockFault> {
        let asked = self.asked(&line.requirement, &mut hashes)?;
        if self.wanted == Wanted::Sources
            && let Some(file) = &asked.file
            && Tagged::of(&file.name).is_none()
        {
            return Err(LockFault::Unlocked {
                what: shown(&line.requirement),
                kind: "a source distribution",
            });
        }
        if hashes.checked().is_empty() {
            if !hashes.is_empty() {
                return Err(LockFault::Hashless {
                    file: shown(&line.requirement),
                    found: printable(&hashes.unchecked().join(", ")),
                });
            }
            let error = LockError {
                path: visit.path.to_owned(),
                place: Place::Line(line.number),
                fault: LockFault::Unhashed(shown(&line.requirement)),
            };
            self.unhashed.push((asked.name.clone(), error));
        }
        let source = match asked.file {
            Some(file) => Source::Archive(Archive {
                file: File { hashes, ..file },
                subdirectory: None,
            }),
            None => Source::Release { hashes },
        };
        Ok(Package {
            name: asked.name,
            version: asked.version,
            marker: asked.marker,
            requires_python: None,
            index: None,
            source,
            place,
        })
    }

    /// Reads a requirement in any of its forms; a hash in its URL is added to its hashes.
    fn asked(&self, text: &str, hashes: &mut Hashes) -> Result<Asked, LockFault> {
        let is_place = |text: &str| {
            let first = text.split([';', ' ']).next().unwrap_or_default();
            let is_path = first.starts_with(['.', '/', '~'])
                || first.contains('/')
                || (cfg!(windows) && first.contains('\\'))
                || ARCHIVES.iter().any(|end| first.ends_with(end));
            first.contains("://") || is_path
        };
        if text.split('@').next().is_some_and(is_place) {
            return self.at_place(text, hashes);
        }
        let read = specified(text)?;
        let Some(url) = read.url else {
            let pinned = read.versions.as_ref().and_then(|range| range.pinned());
            let pinned = pinned.ok_or_else(|| LockFault::Unpinned(shown(text)))?;
            return Ok(Asked {
                name: read.name,
                version: Some(pinned.to_owned()),
                marker: read.marker,
                file: None,
            });
        };
        let file = self.located(&url, text, hashes)?;
        let version = match Tagged::of(&file.name) {
            Some(tagged) if tagged.named.name != read.name => {
                return Err(LockFault::OtherFile(printable(&file.name)));
            }
            tagged => tagged.map(|tagged| tagged.named.version),
        };
        Ok(Asked {
            name: read.name,
            version,
            marker: read.marker,
            file: Some(file),
        })
    }

    /// A requirement that is a URL or a path alone: the name of the file says the rest.
    fn at_place(&self, text: &str, hashes: &mut Hashes) -> Result<Asked, LockFault> {
        let separator = if text.contains("://") { "; " } else { ";" };
        let (place, marker) = match text.split_once(separator) {
            Some((place, marker)) => (place.trim(), Some(marker)),
            None => (text, None),
        };
        let marker = marker
            .map(|text| Marker::parse(text).ok_or_else(|| LockFault::Requirement(shown(text))));
        // A path may be followed by extras.
        let place = place.split_once('[').map_or(place, |(place, _)| place);
        let file = self.located(place, text, hashes)?;
        let tagged = Tagged::of(&file.name).ok_or_else(|| LockFault::Unlocked {
            what: shown(text),
            kind: "a source distribution",
        })?;
        Ok(Asked {
            name: tagged.named.name,
            version: Some(tagged.named.version),
            marker: marker.transpose()?,
            file: Some(file),
        })
    }

    /// The file at a URL or a path.
    fn located(&self, place: &str, text: &str, hashes: &mut Hashes) -> Result<File, LockFault> {
        let unlocked = |kind| LockFault::Unlocked {
            what: shown(text),
            kind,
        };
        if REPOSITORIES.iter().any(|kind| place.starts_with(kind)) {
            return Err(unlocked("a repository"));
        }
        let (bare, fragment) = place.split_once('#').unwrap_or((place, ""));
        for part in fragment.split('&') {
            if let Some((algorithm @ ("sha256" | "sha384" | "sha512"), digits)) =
                part.split_once('=')
            {
                add_hash(hashes, &format!("{algorithm}:{digits}"), text)?;
            }
        }
        let path = match file_path(bare) {
            Some(path) => Some(path),
            None if bare.contains("://") => None,
            None => Some(self.files.cwd.join(bare)),
        };
        let name = match &path {
            Some(path) => path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned()),
            None => name_in_url(bare),
        };
        let is_archive = |name: &String| ARCHIVES.iter().any(|end| name.ends_with(end));
        let name = name.filter(is_archive);
        let name = name.ok_or_else(|| unlocked("a directory or another place without a file"))?;
        Ok(File {
            name,
            url: path.is_none().then(|| bare.to_owned()),
            written_path: None,
            path,
            size: None,
            upload_time: None,
            hashes: Hashes::default(),
        })
    }
}

/// The hashes in the options of a requirement.
fn hashes_of(line: &Line, options: &[SetOption]) -> Result<Hashes, LockFault> {
    let mut hashes = Hashes::default();
    for option in options {
        match option.name {
            "--hash" => add_hash(&mut hashes, &option.value, &line.requirement)?,
            // They are for builds, whose caller reads them.
            "--config-settings" | "--global-option" => {}
            name => {
                let why = "does not go with a requirement";
                return Err(LockFault::OptionValue(name.to_owned(), why));
            }
        }
    }
    Ok(hashes)
}

/// A line of a constraints file.
fn constraint(line: &Line, hashes: Hashes, place: String) -> Result<Constraint, LockFault> {
    let read = specified(&line.requirement)?;
    if read.url.is_some() {
        return Err(LockFault::ConstraintUrl(shown(&line.requirement)));
    }
    Ok(Constraint {
        name: read.name,
        versions: read.versions,
        hashes,
        marker: read.marker,
        place,
    })
}

/// An option that is about indexes; others do not matter where everything is pinned.
fn index_option(indexes: &mut IndexOptions, dir: &Path, name: &str, value: String) {
    match name {
        "--index-url" => indexes.index_url = Some(value),
        "--extra-index-url" => indexes.extra_index_urls.push(value),
        "--no-index" => indexes.no_index = true,
        "--trusted-host" => indexes.trusted_hosts.push(value),
        "--find-links" => {
            let place = if value.contains("://") {
                value
            } else {
                dir.join(&value).display().to_string()
            };
            indexes.find_links.push(place);
        }
        "--no-binary" => {
            let names = value.split(',').map(str::trim);
            for name in names.filter(|name| !name.is_empty()) {
                match name {
                    ":none:" => indexes.no_binary.clear(),
                    ":all:" => indexes.no_binary.push(name.to_owned()),
                    name => indexes.no_binary.push(crate::wheel::normal_name(name)),
                }
            }
        }
        _ => {}
    }
}

fn specified(text: &str) -> Result<Specified, LockFault> {
    Specified::parse(text).ok_or_else(|| LockFault::Requirement(shown(text)))
}

fn add_hash(hashes: &mut Hashes, value: &str, of: &str) -> Result<(), LockFault> {
    let (algorithm, digits) = value
        .split_once(':')
        .ok_or_else(|| LockFault::OptionValue("--hash".to_owned(), "needs `ALGORITHM:DIGITS`"))?;
    hashes
        .add(algorithm, digits)
        .map_err(|why| LockFault::Hash {
            algorithm: printable(algorithm),
            of: shown(of),
            why,
        })
}

/// The path of a URL `file:`, its escapes resolved.
pub(crate) fn file_path(url: &str) -> Option<PathBuf> {
    let rest = url.strip_prefix("file:")?;
    let rest = rest.strip_prefix("//localhost/").map_or_else(
        || rest.strip_prefix("//").unwrap_or(rest).to_owned(),
        |rest| format!("/{rest}"),
    );
    let parts = rest.split('/').map(|part| {
        // The function for names in URLs takes the last part of a URL.
        name_in_url(&format!("//h/{part}")).unwrap_or_default()
    });
    let path = parts.collect::<Vec<_>>().join("/");
    Some(PathBuf::from(path))
}

/// A foreign text in a message.
fn shown(text: &str) -> String {
    printable(&without_passwords(text))
}

/// The lines of a text as plain values.
#[cfg(test)]
pub(super) fn lines_of(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Option<Vec<(usize, String, Vec<String>)>> {
    let read = lines::lines(text, variable).ok()?;
    let parts = read.into_iter();
    Some(
        parts
            .map(|line| (line.number, line.requirement, line.options))
            .collect(),
    )
}

#[cfg(test)]
mod tests;
