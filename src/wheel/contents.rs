//! A wheel: its identity, its members, and their bytes.
//!
//! Promises that an open wheel is what its file name says, that RECORD has a SHA-256 for every
//! member, and that the bytes of a member are returned only after they were checked against it
//! (I6). Does not promise that the wheel fits an interpreter; tags are not read.
//!
//! Opening inflates RECORD, WHEEL, METADATA and `entry_points.txt`, and nothing else. A wheel that
//! the catalogue knows is opened only when bytes are needed, and then checked against its digest.
//!
//! Read next: `install.rs`, which decides where the members go.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rvenv_journal::{Digest, RelPath};

use super::archive::{Archive, File};
use super::archive_bytes::ArchiveBytes;
use super::checked_member::CheckedMember;
use super::fault::{WheelError, WheelFault, shown};
use super::file_name::WheelName;
use super::record::{self, Hash, Row};
use crate::base::regular_file;

/// The most bytes of a wheel.
pub const WHEEL_BYTES_MAX: u64 = 4 << 30;

/// Signatures of RECORD, which RECORD does not list and installers do not check.
const SIGNATURES: [&str; 2] = ["RECORD.jws", "RECORD.p7s"];

/// A wheel that was read and is consistent.
///
/// ```
/// use rvenv::wheel::Wheel;
/// let error = Wheel::from_bytes("demo-1.0-py3-none-any.whl", b"no zip".to_vec()).unwrap_err();
/// assert_eq!(error.to_string(), "cannot use the wheel `demo-1.0-py3-none-any.whl`");
/// ```
pub struct Wheel {
    file: WheelName,
    facts: Facts,
    /// Where to read the archive from, if it is needed.
    path: PathBuf,
    archive: OnceLock<Archive>,
}

/// The facts about a wheel: everything but the bytes of its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) digest: Digest,
    pub(super) len: u64,
    pub(super) dist_info: String,
    pub(super) library: Library,
    pub(super) members: Vec<Member>,
    pub(super) entry_points: Option<String>,
}

/// Which of the two library directories the root of a wheel goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// Python code for any platform: `purelib`.
    Pure,
    /// Code for one platform: `platlib`.
    Platform,
}

/// One file of a wheel; RECORD and its signatures are not members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its path in the wheel.
    pub path: RelPath,
    /// How many bytes it has.
    pub len: u64,
    /// Its SHA-256, from RECORD.
    pub digest: Digest,
    /// Whether it is to be executable.
    pub executable: bool,
    /// When it was last modified, in seconds since 1970, never before 1980.
    pub mtime: i64,
    /// Which file of the archive it is.
    pub(super) file: usize,
}

impl Wheel {
    /// Reads a wheel from a file, whose name must agree with the content.
    ///
    /// # Errors
    /// An unreadable file, or anything that [`Wheel::from_bytes`] refuses.
    pub fn open(path: &Path) -> Result<Self, WheelError> {
        let read = || Self::parse(path, file_name(path)?, open_file(path)?);
        read().map_err(|fault| of_path(path, fault))
    }

    /// Reads a wheel from its bytes; any bytes give a wheel or an error.
    ///
    /// # Errors
    /// A file name, an archive, metadata or a RECORD that is malformed, contradicts another of
    /// them, or could do harm when installed.
    pub fn from_bytes(file_name: &str, bytes: Vec<u8>) -> Result<Self, WheelError> {
        let parsed = Self::parse(Path::new(file_name), file_name, ArchiveBytes::Memory(bytes));
        parsed.map_err(|fault| WheelError {
            wheel: shown(file_name),
            fault: Box::new(fault),
        })
    }

    /// A wheel that was read before and whose file has not changed since; it is read again when
    /// bytes are needed.
    pub(super) fn recalled(path: &Path, facts: Facts) -> Result<Self, WheelError> {
        let name = file_name(path).and_then(WheelName::parse);
        Ok(Self {
            file: name.map_err(|fault| of_path(path, fault))?,
            facts,
            path: path.to_owned(),
            archive: OnceLock::new(),
        })
    }

    fn parse(path: &Path, file_name: &str, bytes: ArchiveBytes) -> Result<Self, WheelFault> {
        let file = WheelName::parse(file_name)?;
        let archive = Archive::open(bytes)?;
        let dist_info = dist_info(&archive, &file)?;
        let facts = Facts {
            digest: archive.bytes().digest().map_err(WheelFault::Read)?,
            len: archive.bytes().len(),
            members: members(&archive, &dist_info)?,
            dist_info,
            library: Library::Platform,
            entry_points: None,
        };
        let mut wheel = Self {
            file,
            facts,
            path: path.to_owned(),
            archive: OnceLock::from(archive),
        };
        wheel.facts.library = wheel.read_wheel()?;
        wheel.check_metadata()?;
        wheel.facts.entry_points = wheel.metadata("entry_points.txt")?;
        // The facts and the digest must be those of the same bytes.
        if wheel.archive()?.bytes().is_unchanged() {
            Ok(wheel)
        } else {
            Err(WheelFault::Changed)
        }
    }

    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The name of the distribution, spelled as in the file name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// The version, spelled as in the file name.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.file.version
    }

    /// The name of the wheel's file.
    #[must_use]
    pub fn file_name(&self) -> &str {
        &self.file.text
    }

    /// The SHA-256 of the whole wheel.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.facts.digest
    }

    /// How many bytes the whole wheel has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.facts.len
    }

    /// Whether the wheel has no members; it has at least its metadata.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.facts.members.is_empty()
    }

    /// The metadata directory at the top of the wheel.
    #[must_use]
    pub fn dist_info(&self) -> &str {
        &self.facts.dist_info
    }

    /// Where the root of the wheel goes.
    #[must_use]
    pub fn library(&self) -> Library {
        self.facts.library
    }

    /// The members, in the order of the archive.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.facts.members
    }

    /// The text of `entry_points.txt`, if there is one.
    #[must_use]
    pub fn entry_points(&self) -> Option<&str> {
        self.facts.entry_points.as_deref()
    }

    /// The bytes of a member, checked against RECORD.
    ///
    /// # Errors
    /// A member that cannot be unpacked, that is too large for memory, or whose bytes differ from
    /// RECORD.
    pub fn read(&self, member: &Member) -> Result<Vec<u8>, WheelError> {
        let mut bytes = Vec::new();
        self.read_into(member, &mut bytes)
            .map_err(|fault| self.error(fault))?;
        Ok(bytes)
    }

    /// Passes the bytes of a member to `take` in pieces; the reader fails at its end unless they
    /// are those of RECORD, so they count only if they are read to the end.
    ///
    /// # Errors
    /// A member that cannot be unpacked, or whose bytes differ from RECORD.
    pub fn read_in_pieces<T>(
        &self,
        member: &Member,
        take: impl FnOnce(&mut dyn Read) -> T,
    ) -> Result<T, WheelError> {
        let read = || {
            let (archive, file) = self.file(member)?;
            let mut fault = None;
            let taken = archive.with_reader(file, |reader| {
                take(&mut CheckedMember::new(
                    member.digest,
                    file,
                    reader,
                    &mut fault,
                ))
            })?;
            fault.map_or(Ok(taken), Err)
        };
        read().map_err(|fault| self.error(fault))
    }

    /// Passes every member of at most `len_max` bytes and its checked bytes to `each`, in the order
    /// of the archive.
    ///
    /// # Errors
    /// The first member that cannot be read, as for [`Wheel::read`], or the first error of `each`.
    pub fn for_each<E: From<WheelError>>(
        &self,
        len_max: u64,
        mut each: impl FnMut(&Member, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut bytes = Vec::new();
        let members = self.facts.members.iter();
        for member in members.filter(|member| member.len <= len_max) {
            self.read_into(member, &mut bytes)
                .map_err(|fault| self.error(fault))?;
            each(member, &bytes)?;
        }
        Ok(())
    }

    /// Whether a member begins with `prefix`; unpacks no more than that, and does not check the
    /// bytes.
    pub(super) fn begins_with(&self, member: &Member, prefix: &[u8]) -> Result<bool, WheelError> {
        let mut bytes = Vec::new();
        self.file(member)
            .and_then(|(archive, file)| {
                archive.unpack_at_most(file, prefix.len() as u64, &mut bytes)
            })
            .map_err(|fault| self.error(fault))?;
        Ok(bytes == prefix)
    }

    /// The text of its METADATA.
    ///
    /// # Errors
    /// A member that cannot be unpacked, or whose bytes differ from RECORD.
    pub(crate) fn core_metadata(&self) -> Result<String, WheelError> {
        let read = self.required_metadata("METADATA");
        read.map_err(|fault| self.error(fault))
    }

    /// The versions of Python that it says it is for.
    pub(crate) fn requires_python(&self) -> Option<String> {
        let text = self.metadata("METADATA").ok()??;
        requires_python(&text).map(str::to_owned)
    }

    fn error(&self, fault: WheelFault) -> WheelError {
        WheelError {
            wheel: self.file.text.clone(),
            fault: Box::new(fault),
        }
    }

    fn file(&self, member: &Member) -> Result<(&Archive, &File), WheelFault> {
        let archive = self.archive()?;
        // To pass a member of another wheel is a mistake of the caller, but no reason to panic.
        let file = archive.files().get(member.file);
        let file = file.filter(|file| file.path == member.path);
        let missing = || WheelFault::Missing(shown(member.path.as_str()));
        Ok((archive, file.ok_or_else(missing)?))
    }

    /// The archive; read now if only the facts were needed so far.
    fn archive(&self) -> Result<&Archive, WheelFault> {
        if let Some(archive) = self.archive.get() {
            return Ok(archive);
        }
        let bytes = open_file(&self.path)?;
        if bytes.digest().map_err(WheelFault::Read)? != self.facts.digest {
            return Err(WheelFault::Changed);
        }
        let archive = Archive::open(bytes)?;
        Ok(self.archive.get_or_init(|| archive))
    }

    fn read_into(&self, member: &Member, bytes: &mut Vec<u8>) -> Result<(), WheelFault> {
        let (archive, file) = self.file(member)?;
        archive.unpack(file, bytes)?;
        let found = Digest::of(bytes);
        if found == member.digest {
            return Ok(());
        }
        Err(WheelFault::Content {
            member: shown(member.path.as_str()),
            expected: member.digest,
            found,
        })
    }

    /// The text of a file in the metadata directory, if there is one.
    fn metadata(&self, name: &str) -> Result<Option<String>, WheelFault> {
        let path = format!("{}/{name}", self.facts.dist_info);
        let member = self.facts.members.iter().find(|m| m.path.as_str() == path);
        let Some(member) = member else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        self.read_into(member, &mut bytes)?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(WheelFault::NotText(path)),
        }
    }

    fn required_metadata(&self, name: &'static str) -> Result<String, WheelFault> {
        self.metadata(name)?
            .ok_or_else(|| WheelFault::Missing(format!("{}/{name}", self.facts.dist_info)))
    }

    fn read_wheel(&self) -> Result<Library, WheelFault> {
        let text = self.required_metadata("WHEEL")?;
        let version = header(&text, "Wheel-Version").ok_or(WheelFault::Header {
            member: "WHEEL".to_owned(),
            header: "Wheel-Version",
        })?;
        if version.split('.').next() != Some("1") {
            return Err(WheelFault::WheelVersion(shown(version)));
        }
        match header(&text, "Root-Is-Purelib") {
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(Library::Pure),
            Some(_) | None => Ok(Library::Platform),
        }
    }

    fn check_metadata(&self) -> Result<(), WheelFault> {
        let text = self.required_metadata("METADATA")?;
        let required = |name| {
            header(&text, name).ok_or(WheelFault::Header {
                member: "METADATA".to_owned(),
                header: name,
            })
        };
        let (name, version) = (required("Name")?, required("Version")?);
        if !self.file.is_name(name) || !self.file.is_version(version) {
            return Err(WheelFault::Identity {
                place: "METADATA".to_owned(),
                expected: format!("{} {}", self.file.name, self.file.version),
                found: shown(&format!("{name} {version}")),
            });
        }
        Ok(())
    }
}

impl fmt::Debug for Wheel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wheel")
            .field("file_name", &self.file.text)
            .field("len", &self.len())
            .field("members", &self.facts.members.len())
            .finish_non_exhaustive()
    }
}

/// The versions of Python that a METADATA says it is for.
pub(crate) fn requires_python(metadata: &str) -> Option<&str> {
    header(metadata, "Requires-Python")
}

fn of_path(path: &Path, fault: WheelFault) -> WheelError {
    WheelError {
        wheel: shown(&path.to_string_lossy()),
        fault: Box::new(fault),
    }
}

fn file_name(path: &Path) -> Result<&str, WheelFault> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.ok_or(WheelFault::FileName("it is not UTF-8"))
}

fn open_file(path: &Path) -> Result<ArchiveBytes, WheelFault> {
    // Checked before opening, because opening a FIFO waits for a writer.
    let meta = fs::metadata(path).map_err(WheelFault::Read)?;
    if !meta.is_file() {
        return Err(WheelFault::NotAFile);
    }
    let file = regular_file::open(path).map_err(WheelFault::Read)?;
    let bytes = ArchiveBytes::of_file(file).map_err(WheelFault::Read)?;
    if bytes.len() > WHEEL_BYTES_MAX {
        return Err(WheelFault::TooLarge(WHEEL_BYTES_MAX));
    }
    Ok(bytes)
}

/// The only metadata directory at the top, which must belong to this distribution.
fn dist_info(archive: &Archive, file: &WheelName) -> Result<String, WheelFault> {
    let mut found: Option<&str> = None;
    for entry in archive.files() {
        let Some((top, _)) = entry.path.as_str().split_once('/') else {
            continue;
        };
        if !top.ends_with(".dist-info") || found == Some(top) {
            continue;
        }
        if let Some(other) = found {
            return Err(WheelFault::SeveralDistInfo(shown(other), shown(top)));
        }
        found = Some(top);
    }
    let top = found.ok_or(WheelFault::NoDistInfo)?;
    let agrees = top
        .strip_suffix(".dist-info")
        .and_then(|stem| stem.rsplit_once('-'))
        .is_some_and(|(name, version)| file.is_name(name) && file.is_version(version));
    if agrees {
        Ok(top.to_owned())
    } else {
        Err(WheelFault::Identity {
            place: "the metadata directory".to_owned(),
            expected: format!("{} {}", file.name, file.version),
            found: shown(top),
        })
    }
}

fn members(archive: &Archive, dist_info: &str) -> Result<Vec<Member>, WheelFault> {
    let record_path = format!("{dist_info}/RECORD");
    let record = archive
        .files()
        .iter()
        .find(|file| file.path.as_str() == record_path)
        .ok_or_else(|| WheelFault::Missing(record_path.clone()))?;
    let mut bytes = Vec::new();
    archive.unpack(record, &mut bytes)?;
    let mut rows = record::parse(&bytes)?;
    rows.remove(&record_path);
    let signatures = SIGNATURES.map(|name| format!("{dist_info}/{name}"));
    for signature in &signatures {
        rows.remove(signature);
    }
    let mut members = Vec::with_capacity(archive.files().len());
    for (index, file) in archive.files().iter().enumerate() {
        let path = file.path.as_str();
        if path != record_path && !signatures.iter().any(|other| other == path) {
            members.push(member(file, index, &mut rows)?);
        }
    }
    match rows.pop_first() {
        Some((path, _)) => Err(WheelFault::Promised(shown(&path))),
        None => Ok(members),
    }
}

fn member(
    file: &File,
    index: usize,
    rows: &mut BTreeMap<String, Row>,
) -> Result<Member, WheelFault> {
    let name = || shown(file.path.as_str());
    let row = rows
        .remove(file.path.as_str())
        .ok_or_else(|| WheelFault::Unlisted(name()))?;
    let digest = match row.hash {
        Hash::Sha256(digest) => digest,
        Hash::Absent => return Err(WheelFault::Unhashed(name())),
        Hash::Other(algorithm) => {
            return Err(WheelFault::Algorithm {
                member: name(),
                algorithm,
            });
        }
    };
    if let Some(listed) = row.len.filter(|listed| *listed != file.len) {
        return Err(WheelFault::RecordLength {
            member: name(),
            listed,
            declared: file.len,
        });
    }
    Ok(Member {
        path: file.path.clone(),
        len: file.len,
        digest,
        executable: file.executable,
        mtime: file.mtime,
        file: index,
    })
}

/// The value of the first header of that name, before the empty line that ends the headers.
fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use proptest::prelude::*;

    use super::*;
    use crate::wheel::sample::{Builder, NAME};

    fn check(builder: Builder, expect: &str) {
        check_bytes(builder.bytes(), expect);
    }

    /// Opens and reads everything, and searches for `expect` in the chain of errors.
    fn check_bytes(bytes: Vec<u8>, expect: &str) {
        let result = Wheel::from_bytes(NAME, bytes)
            .and_then(|wheel| wheel.for_each(u64::MAX, |_, _| Ok::<(), WheelError>(())));
        let story = match result {
            Ok(()) => "accepted".to_owned(),
            Err(error) => {
                assert!(error.to_string().contains(NAME));
                let fault = error.source().unwrap();
                let cause = fault.source().map(ToString::to_string);
                format!("{fault}: {}", cause.unwrap_or_default())
            }
        };
        assert!(story.contains(expect), "{expect:?} is not in {story:?}");
    }

    #[test]
    fn a_good_wheel_gives_its_members_in_order() {
        let builder = Builder::new().executable("demo_pkg/tool", "#!/bin/sh\n");
        let bytes = builder.bytes();
        let wheel = Wheel::from_bytes(NAME, bytes.clone()).unwrap();
        let members: Vec<_> = wheel
            .members()
            .iter()
            .map(|member| (member.path.as_str(), member.len, member.executable))
            .collect();
        assert_eq!(
            members,
            [
                ("demo_pkg/__init__.py", 21, false),
                ("demo_pkg-1.0.dist-info/METADATA", 72, false),
                ("demo_pkg-1.0.dist-info/WHEEL", 59, false),
                ("demo_pkg/tool", 10, true),
            ]
        );
        assert_eq!((wheel.name(), wheel.version()), ("demo_pkg", "1.0"));
        assert_eq!(wheel.library(), Library::Pure);
        assert_eq!(wheel.digest(), Digest::of(&bytes));
        assert_eq!(wheel.len(), bytes.len() as u64);
        let tool = wheel.read(&wheel.members()[3]).unwrap();
        assert_eq!(tool, b"#!/bin/sh\n");
        assert!(wheel.begins_with(&wheel.members()[3], b"#!/bin").unwrap());
        assert!(!wheel.begins_with(&wheel.members()[3], b"#!python").unwrap());
    }

    #[test]
    fn the_metadata_must_be_that_of_the_file_name() {
        let metadata = "demo_pkg-1.0.dist-info/METADATA";
        let wheel = "demo_pkg-1.0.dist-info/WHEEL";
        check(Builder::new(), "accepted");
        check(
            Builder::new().without(metadata),
            "has no `demo_pkg-1.0.dist-info/METADATA`",
        );
        check(
            Builder::new().without(wheel),
            "has no `demo_pkg-1.0.dist-info/WHEEL`",
        );
        check(
            Builder::new().file(metadata, "Name: demo_pkg\n\nVersion: 1.0\n"),
            "no `Version` header",
        );
        check(
            Builder::new().file(metadata, "Name: other\nVersion: 1.0\n"),
            "METADATA says `other 1.0`",
        );
        check(
            Builder::new().file(metadata, "Name: demo-pkg\nVersion: 1.1\n"),
            "`demo-pkg 1.1`",
        );
        check(
            Builder::new().file(wheel, "Root-Is-Purelib: true\n"),
            "no `Wheel-Version` header",
        );
        check(
            Builder::new().file(wheel, "Wheel-Version: 2.0\n"),
            "`2.0` is not 1.x",
        );
        check(
            Builder::new().file(wheel, "Wheel-Version: 10\n"),
            "`10` is not 1.x",
        );
        check(
            Builder::new().file("a-1.dist-info/METADATA", ""),
            "two metadata directories",
        );
        check(
            Builder::new().file("a/b.dist-info/METADATA", ""),
            "accepted",
        );
    }

    #[test]
    fn a_wheel_without_purelib_goes_to_platlib() {
        let bytes = Builder::new()
            .file(
                "demo_pkg-1.0.dist-info/WHEEL",
                "Wheel-Version: 1.9\nRoot-Is-Purelib: false\n",
            )
            .bytes();
        let wheel = Wheel::from_bytes(NAME, bytes).unwrap();
        assert_eq!(wheel.library(), Library::Platform);
    }

    #[test]
    fn another_file_name_is_refused() {
        for name in [
            "other-1.0-py3-none-any.whl",
            "demo_pkg-1.1-py3-none-any.whl",
            "demo_pkg.whl",
        ] {
            assert!(
                Wheel::from_bytes(name, Builder::new().bytes()).is_err(),
                "{name}"
            );
        }
        assert!(Wheel::from_bytes("Demo.Pkg-1.0-py3-none-any.whl", Builder::new().bytes()).is_ok());
    }

    /// I6: no member is returned unless RECORD has its hash.
    #[test]
    fn every_member_must_be_what_record_promises() {
        let empty = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
        let changed = |change: fn(&str) -> String| {
            move |record: String| {
                let rows = record.lines().map(|row| {
                    if row.starts_with("demo_pkg/__init__.py,") {
                        change(row)
                    } else {
                        row.to_owned()
                    }
                });
                rows.map(|row| row + "\n").collect()
            }
        };
        let bent = |change| Builder::new().record(changed(change));
        check(bent(str::to_owned), "accepted");
        check(
            bent(|_| String::new()),
            "`demo_pkg/__init__.py` is not listed",
        );
        check(
            bent(|_| "demo_pkg/__init__.py,,21".to_owned()),
            "without a hash",
        );
        check(
            bent(|_| "demo_pkg/__init__.py,md5=x,21".to_owned()),
            "algorithm `md5`",
        );
        check(
            bent(|row| row.replace(",21", ",22")),
            "has 22 bytes, the archive says 21",
        );
        check(bent(|row| row.replace(",21", ",")), "accepted");
        check(bent(|row| format!("{row}\nx.py,,")), "lists `x.py`, which");
        check(bent(|row| format!("{row}\n\"a")), "three columns");
        check(
            Builder::new().record(|_| String::new()),
            "has no `demo_pkg-1.0.dist-info/RECORD`",
        );
        let own = format!("demo_pkg/__init__.py,{empty},21");
        let twice = changed(|row| format!("{row}\n{}", row.replace(",21", ",22")));
        check(Builder::new().record(twice), "contradicts an earlier row");
        let wrong = changed(|_| "a row of another hash".to_owned());
        let wrong =
            Builder::new().record(|record| wrong(record).replace("a row of another hash", &own));
        check(wrong, "the entry `demo_pkg/__init__.py` has the SHA-256");
    }

    #[test]
    fn signatures_of_record_are_no_members() {
        let builder = Builder::new();
        let record = builder.right_record();
        let wheel = builder
            .file("demo_pkg-1.0.dist-info/RECORD.jws", "x")
            .file("demo_pkg-1.0.dist-info/RECORD.p7s", "x")
            .record(|_| record);
        let wheel = Wheel::from_bytes(NAME, wheel.bytes()).unwrap();
        assert_eq!(wheel.members().len(), 3);
    }

    /// I6: an incomplete download is an error, wherever it broke off.
    #[test]
    fn every_prefix_of_a_wheel_is_refused() {
        let bytes = Builder::new().bytes();
        for len in 0..bytes.len() {
            let result = Wheel::from_bytes(NAME, bytes[..len].to_vec());
            assert!(result.is_err(), "{len} of {} bytes", bytes.len());
        }
        check_bytes(bytes, "accepted");
    }

    /// I6: one changed byte anywhere gives the same contents or an error, never other contents.
    #[test]
    fn every_changed_byte_is_noticed_or_harmless() {
        let bytes = Builder::new().bytes();
        let read = |bytes: Vec<u8>| -> Result<Vec<(String, Vec<u8>)>, WheelError> {
            let mut contents = Vec::new();
            Wheel::from_bytes(NAME, bytes)?.for_each(u64::MAX, |member, bytes| {
                contents.push((member.path.to_string(), bytes.to_vec()));
                Ok::<(), WheelError>(())
            })?;
            Ok(contents)
        };
        let good = read(bytes.clone()).unwrap();
        for index in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bent = bytes.clone();
                bent[index] ^= flip;
                if let Ok(contents) = read(bent) {
                    assert_eq!(contents, good, "byte {index} ^ {flip:#x}");
                }
            }
        }
    }

    #[test]
    fn a_wheel_is_read_from_a_file_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        let missing = Wheel::open(&path).unwrap_err();
        assert!(matches!(*missing.fault, WheelFault::Read(_)));
        let shown = path.to_string_lossy().escape_debug().to_string();
        assert!(missing.to_string().contains(&shown));
        #[expect(
            clippy::disallowed_methods,
            reason = "a test lays out the files that it reads"
        )]
        fs::write(&path, Builder::new().bytes()).unwrap();
        assert_eq!(Wheel::open(&path).unwrap().file_name(), NAME);
        let directory = directory.path().join("d-1.0-py3-none-any.whl");
        #[expect(
            clippy::disallowed_methods,
            reason = "a test lays out the files that it reads"
        )]
        fs::create_dir(&directory).unwrap();
        let fault = Wheel::open(&directory).unwrap_err().fault;
        assert!(matches!(*fault, WheelFault::NotAFile));
    }

    proptest! {
        /// I6: no bytes cause a panic.
        #[test]
        fn arbitrary_bytes_give_a_wheel_or_an_error(
            bytes in prop::collection::vec(any::<u8>(), 0..600),
            name in "\\PC{0,40}",
        ) {
            drop(Wheel::from_bytes(NAME, bytes.clone()));
            drop(Wheel::from_bytes(&name, bytes));
        }

        /// I6: a damaged wheel causes no panic.
        #[test]
        fn a_damaged_wheel_gives_a_wheel_or_an_error(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        ) {
            let mut bytes = Builder::new().entry_points("[console_scripts]\na = b:c\n").bytes();
            for (index, byte) in damage {
                let index = index.index(bytes.len());
                bytes[index] = byte;
            }
            if let Ok(wheel) = Wheel::from_bytes(NAME, bytes) {
                drop(wheel.for_each(u64::MAX, |_, _| Ok::<(), WheelError>(())));
            }
        }
    }
}
