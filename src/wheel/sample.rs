//! Wheels built in memory for the tests of this module, good ones and bad ones.

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};

use rvenv_journal::Digest;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::record;

/// The file name that [`Builder`] writes metadata for.
pub(super) const NAME: &str = "demo_pkg-1.0-py3-none-any.whl";

/// One entry of a zip archive.
#[derive(Clone)]
pub(super) struct SampleMember<'a> {
    name: &'a str,
    bytes: &'a [u8],
    mode: u32,
    time: (u16, u8, u8),
}

impl<'a> SampleMember<'a> {
    pub(super) fn file(name: &'a str, bytes: &'a [u8]) -> Self {
        Self {
            name,
            bytes,
            mode: 0o100_644,
            time: (0, 0, 0),
        }
        .with_directory_mode()
    }

    pub(super) fn directory(name: &'a str) -> Self {
        Self::file(name, b"")
    }

    fn with_directory_mode(mut self) -> Self {
        if self.name.ends_with('/') {
            self.mode = 0o040_755;
        }
        self
    }

    pub(super) fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Sets the time of the entry to 12:30:58 on that day.
    pub(super) fn time(mut self, year: u16, month: u8, day: u8) -> Self {
        self.time = (year, month, day);
        self
    }
}

/// A zip archive of these entries.
pub(super) fn zip(entries: &[SampleMember<'_>]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for entry in entries {
        let (year, month, day) = entry.time;
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .external_attributes(entry.mode << 16)
            .last_modified_time(
                DateTime::from_date_and_time(year, month, day, 12, 30, 58).unwrap_or_default(),
            );
        writer.start_file(entry.name, options).unwrap();
        writer.write_all(entry.bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Builds a wheel named [`NAME`], whose files and RECORD a test can change.
pub(super) struct Builder {
    files: Vec<(String, Vec<u8>, u32)>,
    record: Option<String>,
}

impl Builder {
    /// A good wheel with one module.
    pub(super) fn new() -> Self {
        let builder = Self {
            files: Vec::new(),
            record: None,
        };
        builder
            .file("demo_pkg/__init__.py", "def main(): return 0\n")
            .file(
                "demo_pkg-1.0.dist-info/METADATA",
                "Metadata-Version: 2.1\nName: Demo.Pkg\nVersion: 1.0\n\nVersion: in the text\n",
            )
            .file(
                "demo_pkg-1.0.dist-info/WHEEL",
                "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            )
    }

    /// Adds a file, or replaces the one with that name.
    pub(super) fn file(mut self, name: &str, text: &str) -> Self {
        self.files.retain(|(other, ..)| other != name);
        self.files
            .push((name.to_owned(), text.as_bytes().to_vec(), 0o100_644));
        self
    }

    pub(super) fn executable(self, name: &str, text: &str) -> Self {
        let mut builder = self.file(name, text);
        if let Some(file) = builder.files.last_mut() {
            file.2 = 0o100_755;
        }
        builder
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.files.retain(|(other, ..)| other != name);
        self
    }

    pub(super) fn entry_points(self, text: &str) -> Self {
        self.file("demo_pkg-1.0.dist-info/entry_points.txt", text)
    }

    /// The RECORD that matches the files so far.
    pub(super) fn right_record(&self) -> String {
        let rows = self
            .files
            .iter()
            .map(|(name, bytes, _)| (name.clone(), Some((Digest::of(bytes), bytes.len() as u64))))
            .collect();
        let mut text = String::from_utf8(record::write(&rows)).unwrap();
        writeln!(text, "demo_pkg-1.0.dist-info/RECORD,,").unwrap();
        text
    }

    /// Writes another RECORD than the matching one.
    pub(super) fn record(mut self, change: impl FnOnce(String) -> String) -> Self {
        self.record = Some(change(self.right_record()));
        self
    }

    pub(super) fn bytes(mut self) -> Vec<u8> {
        let record = self.record.take().unwrap_or_else(|| self.right_record());
        let record_name = "demo_pkg-1.0.dist-info/RECORD";
        let mut entries: Vec<SampleMember<'_>> = self
            .files
            .iter()
            .map(|(name, bytes, mode)| SampleMember::file(name, bytes).mode(*mode))
            .collect();
        if !record.is_empty() {
            entries.push(SampleMember::file(record_name, record.as_bytes()));
        }
        zip(&entries)
    }
}

/// Replaces every occurrence of some bytes by others of the same length.
pub(super) fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let mut found = false;
    for start in 0..bytes.len().saturating_sub(from.len()) {
        if bytes[start..].starts_with(from) {
            bytes[start..start + to.len()].copy_from_slice(to);
            found = true;
        }
    }
    assert!(found);
}

/// Replaces the first occurrence of some bytes by others of the same length.
pub(super) fn replace_first(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let start = bytes.windows(from.len()).position(|window| window == from);
    let start = start.unwrap();
    bytes[start..start + to.len()].copy_from_slice(to);
}

/// Sets bits of the general purpose flag in every local and central header.
pub(super) fn set_flag(bytes: &mut [u8], flag: u8) {
    for (magic, offset) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
        for start in 0..bytes.len() - 4 {
            if bytes[start..].starts_with(magic) {
                bytes[start + offset] |= flag;
            }
        }
    }
}
