//! The zip archive of a wheel: which files it holds, and their bytes.
//!
//! Promises that every entry has a [`RelPath`], that no two of them collide, that none is a link, a
//! device or encrypted, that both sets of headers agree, that the archive is all of the file, and
//! that unpacking stops at the declared length (I6). Does not promise that the bytes are those that
//! the builder meant; `contents.rs` compares them with RECORD. Opening reads headers only and
//! inflates nothing.
//!
//! Read next: `contents.rs`, the wheel around this archive.

use std::borrow::Cow;
use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::sync::Arc;

use rvenv_journal::RelPath;
use zip::read::{ZipArchiveMetadata, ZipFileEntry};
use zip::result::ZipError;
use zip::{DateTime, ZipArchive, ZipReadOptions};

use super::archive_bytes::{ArchiveBytes, At};
use super::fault::{WheelFault, shown};
use super::taken_paths::Places;

/// Entries that a wheel may have.
pub const ENTRIES_MAX: usize = 100_000;
/// Bytes that one member may have when unpacked.
pub const MEMBER_BYTES_MAX: u64 = 2 << 30;
/// Bytes that all members together may have when unpacked.
pub const TOTAL_BYTES_MAX: u64 = 8 << 30;

/// Bytes of a member that is read whole: more than any metadata or script has.
const WHOLE_BYTES_MAX: u64 = 64 << 20;
/// The most memory that is reserved before bytes arrive, since a declared length may be false.
const RESERVE_BYTES_MAX: u64 = 4 << 20;
const BUFFER_BYTES: usize = 4 << 10;
/// The first bytes of the record at the end of an archive, and how long it is without a comment.
const END_MAGIC: &[u8] = b"PK\x05\x06";
const END_BYTES: usize = 22;
/// 1980-01-01, where DOS time begins.
const DOS_EPOCH: i64 = 315_532_800;
const KIND_BITS: u32 = 0o170_000;
const KIND_REGULAR: u32 = 0o100_000;
const KIND_DIRECTORY: u32 = 0o040_000;

/// A validated archive. Its bytes may be those of a file, which can change after they were hashed:
/// what is unpacked counts only if it has the digest in RECORD, which is read once.
pub(super) struct Archive {
    bytes: ArchiveBytes,
    directory: Arc<ZipArchiveMetadata>,
    files: Vec<File>,
}

/// One file of the archive.
pub(super) struct File {
    pub(super) path: RelPath,
    pub(super) len: u64,
    pub(super) executable: bool,
    pub(super) mtime: i64,
    index: usize,
}

impl Archive {
    pub(super) fn open(bytes: ArchiveBytes) -> Result<Self, WheelFault> {
        let mut zip = ZipArchive::new(reader(&bytes)).map_err(WheelFault::Archive)?;
        if zip.has_duplicate_names() {
            return Err(WheelFault::Duplicate);
        }
        if zip.len() > ENTRIES_MAX {
            return Err(WheelFault::TooManyEntries(zip.len()));
        }
        // Two readers must not see two archives: the local headers agree with the directory, no
        // entries overlap, and no bytes are hidden between them.
        zip.validate_header_consistency()
            .map_err(WheelFault::Archive)?;
        let (directory, comment) = (zip.metadata(), zip.comment().to_vec());
        drop(zip);
        check_ends(&bytes, &directory, &comment)?;
        let files = files(&directory)?;
        Ok(Self {
            bytes,
            directory,
            files,
        })
    }

    pub(super) fn files(&self) -> &[File] {
        &self.files
    }

    pub(super) fn bytes(&self) -> &ArchiveBytes {
        &self.bytes
    }

    /// Unpacks a file into `out`, replacing its content; fails unless the file has the declared
    /// length, and if that is too much for memory.
    pub(super) fn unpack(&self, file: &File, out: &mut Vec<u8>) -> Result<(), WheelFault> {
        if file.len > WHOLE_BYTES_MAX {
            return Err(WheelFault::MemberTooLarge {
                member: shown(file.path.as_str()),
                len: file.len,
            });
        }
        self.unpack_at_most(file, file.len + 1, out)?;
        if out.len() as u64 == file.len {
            Ok(())
        } else {
            Err(WheelFault::Length {
                member: shown(file.path.as_str()),
                len: file.len,
            })
        }
    }

    /// Unpacks the first bytes of a file into `out`, at most `len` of them.
    pub(super) fn unpack_at_most(
        &self,
        file: &File,
        len: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), WheelFault> {
        out.clear();
        out.reserve(usize::try_from(len.min(RESERVE_BYTES_MAX)).unwrap_or(0));
        let read = self.with_reader(file, |reader| reader.take(len).read_to_end(out))?;
        read.map_err(|source| unpack_fault(file, source.into()))?;
        Ok(())
    }

    /// Passes a reader of a file's bytes to `read`.
    pub(super) fn with_reader<T>(
        &self,
        file: &File,
        read: impl FnOnce(&mut dyn Read) -> T,
    ) -> Result<T, WheelFault> {
        let mut bytes = reader(&self.bytes);
        let mut reader = self
            .directory
            .entry(file.index)
            .and_then(|entry| entry.with_reader(&mut bytes, ZipReadOptions::new()))
            .map_err(|source| unpack_fault(file, source))?;
        Ok(read(&mut reader))
    }
}

/// The fault of a file that the decoder refuses.
pub(super) fn unpack_fault(file: &File, source: ZipError) -> WheelFault {
    WheelFault::Unpack {
        member: shown(file.path.as_str()),
        source,
    }
}

/// Checks that the first entry begins with the file and that the archive ends with it: a reader
/// that begins at the other end would otherwise see another archive, or a program.
fn check_ends(
    bytes: &ArchiveBytes,
    directory: &ZipArchiveMetadata,
    comment: &[u8],
) -> Result<(), WheelFault> {
    let fail = |why| WheelFault::Archive(ZipError::InvalidArchive(Cow::Borrowed(why)));
    let mut first = bytes.len();
    for index in 0..directory.len() {
        let entry = directory.entry(index).map_err(WheelFault::Archive)?;
        first = first.min(entry.header_start());
    }
    if first != 0 {
        return Err(fail("bytes come before its first entry"));
    }
    let mut end = Vec::new();
    let mut reader = bytes.reader();
    let len = (END_BYTES + comment.len()) as u64;
    let read = reader.seek(SeekFrom::Start(bytes.len().saturating_sub(len)));
    read.and_then(|_| reader.read_to_end(&mut end))
        .map_err(WheelFault::Read)?;
    // Before the comment is its length.
    let comment_len = end.get(END_BYTES - 2..END_BYTES);
    let len = u16::try_from(comment.len()).unwrap_or_default();
    let is_end = end.starts_with(END_MAGIC) && comment_len == Some(&len.to_le_bytes());
    if is_end && end.ends_with(comment) {
        Ok(())
    } else {
        Err(fail("bytes come after its end"))
    }
}

/// Headers are far apart, so little is read with each.
fn reader(bytes: &ArchiveBytes) -> BufReader<At<'_>> {
    BufReader::with_capacity(BUFFER_BYTES, bytes.reader())
}

fn files(directory: &ZipArchiveMetadata) -> Result<Vec<File>, WheelFault> {
    let mut files = Vec::with_capacity(directory.len());
    let mut places = Places::default();
    let mut total = 0_u64;
    for index in 0..directory.len() {
        let entry = directory.entry(index).map_err(WheelFault::Archive)?;
        let Some(file) = file(&entry, index, &mut places)? else {
            continue;
        };
        total = total.saturating_add(file.len);
        if total > TOTAL_BYTES_MAX {
            return Err(WheelFault::TotalTooLarge(TOTAL_BYTES_MAX));
        }
        files.push(file);
    }
    places.check().map_err(WheelFault::Collision)?;
    Ok(files)
}

/// Checks one entry; `None` for a directory.
fn file(
    entry: &ZipFileEntry<'_>,
    index: usize,
    places: &mut Places,
) -> Result<Option<File>, WheelFault> {
    let name = str::from_utf8(entry.name_raw())
        .map_err(|_| WheelFault::NotUtf8Name(entry.name_raw().escape_ascii().to_string()))?;
    let (text, kind) = match name.strip_suffix('/') {
        Some(text) => (text, KIND_DIRECTORY),
        None => (name, KIND_REGULAR),
    };
    let path = RelPath::new(text).map_err(WheelFault::Name)?;
    if entry.encrypted() {
        return Err(WheelFault::Encrypted(shown(name)));
    }
    // Installers read the mode from these bits, whatever system the header names.
    let mode = entry.external_attributes() >> 16;
    let declared = mode & KIND_BITS;
    if declared != 0 && declared != kind {
        return Err(WheelFault::Kind(shown(name)));
    }
    let len = entry.size();
    if kind == KIND_DIRECTORY {
        if len != 0 {
            return Err(WheelFault::Kind(shown(name)));
        }
        places.directory(&path);
        return Ok(None);
    }
    if len > MEMBER_BYTES_MAX {
        let member = shown(name);
        return Err(WheelFault::MemberTooLarge { member, len });
    }
    places.file(&path);
    Ok(Some(File {
        path,
        len,
        // As in pip, the bits count only if the mode is that of a regular file.
        executable: declared == KIND_REGULAR && mode & 0o111 != 0,
        mtime: entry.last_modified().map_or(DOS_EPOCH, unix_seconds),
        index,
    }))
}

/// DOS time has no time zone; reading it as UTC gives one wheel the same times everywhere.
fn unix_seconds(time: DateTime) -> i64 {
    if !time.is_valid() {
        return DOS_EPOCH;
    }
    let days = days_since_1970(
        i64::from(time.year()),
        i64::from(time.month()),
        i64::from(time.day()),
    );
    let seconds =
        i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    (days * 86_400 + seconds).max(DOS_EPOCH)
}

/// Days of the Gregorian calendar for years after 1970.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // In a year that begins in March, the leap day is the last day.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days_before_month = (153 * month + 2) / 5;
    year * 365 + leap_days + days_before_month + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wheel::sample::{self, SampleMember};

    fn check(entries: &[SampleMember<'_>], expect: &str) {
        let fault = Archive::open(ArchiveBytes::Memory(sample::zip(entries)))
            .err()
            .map_or_else(
                || "accepted".to_owned(),
                |fault| match std::error::Error::source(&fault) {
                    Some(source) => format!("{fault}: {source}"),
                    None => fault.to_string(),
                },
            );
        assert!(fault.contains(expect), "{expect:?} is not in {fault:?}");
    }

    #[test]
    fn a_plain_archive_is_accepted() {
        check(
            &[
                SampleMember::file("a/b.py", b"x"),
                SampleMember::file("a/c.py", b"y"),
            ],
            "accepted",
        );
        check(
            &[
                SampleMember::directory("a/"),
                SampleMember::file("a/c.py", b"y"),
            ],
            "accepted",
        );
    }

    /// I6: no entry leads out of the tree.
    #[test]
    fn a_name_that_could_lead_elsewhere_is_refused() {
        check(&[SampleMember::file("../a", b"")], "component `..`");
        check(&[SampleMember::file("a/../../b", b"")], "component `..`");
        check(&[SampleMember::file("/etc/passwd", b"")], "is absolute");
        check(&[SampleMember::file("C:/a", b"")], "is absolute");
        check(
            &[SampleMember::file("a\\b", b"")],
            "has the character '\\\\'",
        );
        check(
            &[SampleMember::file("a\nb", b"")],
            "has the character '\\n'",
        );
        check(&[SampleMember::file("a//b", b"")], "component ``");
        check(&[SampleMember::file("a\0b", b"")], "has the character");
        check(&[SampleMember::file("", b"")], "cannot be empty");
        check(&[SampleMember::file("/", b"")], "cannot be empty");
        check(&[SampleMember::file("\u{e4}x", b"")], "accepted");
    }

    #[test]
    fn entries_that_share_a_place_are_refused() {
        check(
            &[SampleMember::file("a", b"1"), SampleMember::file("A", b"2")],
            "where case is ignored",
        );
        check(
            &[
                SampleMember::file("d/a", b"1"),
                SampleMember::file("D/b", b"2"),
            ],
            "where case is ignored",
        );
        check(
            &[
                SampleMember::file("a", b"1"),
                SampleMember::file("a/b", b"2"),
            ],
            "is both a file and a directory",
        );
        check(
            &[SampleMember::file("a", b"1"), SampleMember::directory("a/")],
            "is both a file and a directory",
        );
    }

    #[test]
    fn two_entries_with_one_name_are_refused() {
        let mut bytes = sample::zip(&[
            SampleMember::file("one.py", b"1"),
            SampleMember::file("two.py", b"2"),
        ]);
        sample::replace(&mut bytes, b"two.py", b"one.py");
        assert!(matches!(
            Archive::open(ArchiveBytes::Memory(bytes)).err(),
            Some(WheelFault::Duplicate)
        ));
    }

    #[test]
    fn links_devices_and_misnamed_directories_are_refused() {
        let expect = "neither a regular file";
        check(
            &[SampleMember::file("a", b"/etc/passwd").mode(0o120_777)],
            expect,
        );
        check(&[SampleMember::file("a", b"").mode(0o020_644)], expect);
        check(&[SampleMember::file("a", b"").mode(0o010_644)], expect);
        check(&[SampleMember::file("a", b"").mode(0o040_755)], expect);
        check(&[SampleMember::directory("a/").mode(0o100_644)], expect);
        check(&[SampleMember::file("a/", b"x").mode(0o040_755)], expect);
    }

    #[test]
    fn an_encrypted_entry_is_refused() {
        let mut bytes = sample::zip(&[SampleMember::file("a.py", b"x")]);
        sample::set_flag(&mut bytes, 1);
        assert!(matches!(
            Archive::open(ArchiveBytes::Memory(bytes)).err(),
            Some(WheelFault::Encrypted(_))
        ));
    }

    /// I6: unpacking stops at the declared length.
    #[test]
    fn an_entry_that_unpacks_to_more_or_less_than_declared_is_refused() {
        for declared in [10_u32, 99_999, 100_001] {
            let mut bytes = sample::zip(&[SampleMember::file("a.py", &vec![b'x'; 100_000])]);
            sample::replace(
                &mut bytes,
                &100_000_u32.to_le_bytes(),
                &declared.to_le_bytes(),
            );
            let archive = Archive::open(ArchiveBytes::Memory(bytes)).unwrap();
            let mut out = Vec::new();
            let result = archive.unpack(&archive.files()[0], &mut out);
            assert!(result.is_err(), "{declared}");
            assert!(out.len() <= 100_001, "{declared}: {} bytes", out.len());
        }
    }

    #[test]
    fn an_entry_that_declares_too_much_is_refused() {
        let mut bytes = sample::zip(&[SampleMember::file("a.py", &vec![b'x'; 100_000])]);
        sample::replace(
            &mut bytes,
            &100_000_u32.to_le_bytes(),
            &0x8000_0001_u32.to_le_bytes(),
        );
        assert!(matches!(
            Archive::open(ArchiveBytes::Memory(bytes)).err(),
            Some(WheelFault::MemberTooLarge { .. })
        ));
        let file = |name| SampleMember::file(name, &[b'x'; 1000]);
        let mut bytes = sample::zip(&[file("a"), file("b"), file("c"), file("d"), file("e")]);
        sample::replace(
            &mut bytes,
            &1000_u32.to_le_bytes(),
            &0x8000_0000_u32.to_le_bytes(),
        );
        assert!(matches!(
            Archive::open(ArchiveBytes::Memory(bytes)).err(),
            Some(WheelFault::TotalTooLarge(_))
        ));
    }

    #[test]
    fn a_local_header_that_contradicts_the_directory_is_refused() {
        let mut bytes = sample::zip(&[SampleMember::file("one.py", b"1")]);
        sample::replace_first(&mut bytes, b"one.py", b"two.py");
        assert!(matches!(
            Archive::open(ArchiveBytes::Memory(bytes)).err(),
            Some(WheelFault::Archive(_))
        ));
    }

    #[test]
    fn an_archive_is_all_of_its_file() {
        let whole = sample::zip(&[SampleMember::file("one.py", b"1")]);
        let open = |bytes: Vec<u8>| match Archive::open(ArchiveBytes::Memory(bytes)) {
            Ok(_) => "accepted".to_owned(),
            Err(fault) => std::error::Error::source(&fault).unwrap().to_string(),
        };
        let before = open([b"#!/bin/sh\n", &whole[..]].concat());
        assert!(before.contains("before its first entry"), "{before}");
        let after = open([&whole[..], b"\n"].concat());
        assert!(after.contains("after its end"), "{after}");
        let mut commented = [&whole[..], b"as some builders do"].concat();
        commented[whole.len() - 2] = 19;
        assert_eq!(open(commented), "accepted");
        assert_eq!(open(whole), "accepted");
    }

    #[test]
    fn modes_and_times_are_read() {
        let bytes = sample::zip(&[
            SampleMember::file("a", b"")
                .mode(0o100_744)
                .time(2024, 2, 29),
            SampleMember::file("b", b"").mode(0o100_600),
            SampleMember::file("c", b"").mode(0o755),
        ]);
        let archive = Archive::open(ArchiveBytes::Memory(bytes)).unwrap();
        let seen: Vec<_> = archive
            .files()
            .iter()
            .map(|file| (file.executable, file.mtime))
            .collect();
        // 2024-02-29 12:30:58 and 1980-01-01 00:00:00.
        assert_eq!(
            seen,
            [
                (true, 1_709_209_858),
                (false, DOS_EPOCH),
                (false, DOS_EPOCH)
            ]
        );
        assert_eq!(days_since_1970(1980, 1, 1) * 86_400, DOS_EPOCH);
        assert_eq!(days_since_1970(2000, 3, 1), 11_017);
        assert_eq!(days_since_1970(2107, 12, 31), 50_402);
    }
}
