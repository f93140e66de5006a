//! Wheels made by hand, byte by byte where that is needed.

use std::io::{Cursor, Write as _};

use rvenv_journal::Digest;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const FILE: u32 = 0o100_644;
/// The first bytes of an entry's headers: the one before its content, and the one in the central
/// directory.
const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";

/// One entry of an archive.
#[derive(Clone)]
pub(super) struct Member {
    name: String,
    content: Vec<u8>,
    mode: u32,
}

/// A regular file.
pub(super) fn entry(name: &str, content: &[u8]) -> Member {
    of_mode(name, content, FILE)
}

/// An entry with another mode.
pub(super) fn of_mode(name: &str, content: &[u8], mode: u32) -> Member {
    Member {
        name: name.to_owned(),
        content: content.to_vec(),
        mode,
    }
}

/// A wheel whose RECORD lists everything in it, unless a row says otherwise.
pub(super) struct Wheel {
    info: String,
    members: Vec<Member>,
}

impl Wheel {
    /// The wheel of `demo` 1.0.
    pub(super) fn new() -> Self {
        Self::of("demo", "1.0")
    }

    pub(super) fn of(name: &str, version: &str) -> Self {
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        let wheel = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
        let mut made = Self {
            info: format!("{name}-{version}.dist-info"),
            members: vec![entry(&format!("{name}/__init__.py"), b"")],
        };
        for (file, text) in [("METADATA", &*metadata), ("WHEEL", wheel)] {
            let path = made.info(file);
            made.members.push(entry(&path, text.as_bytes()));
        }
        made
    }

    /// The wheel of `demo` 1.0 with more entries, none of which it has already.
    pub(super) fn holding(members: Vec<Member>) -> Self {
        let mut made = Self::new();
        made.members.extend(members);
        made
    }

    /// The path of a file in the metadata directory.
    pub(super) fn info(&self, name: &str) -> String {
        format!("{}/{name}", self.info)
    }

    /// Adds an entry, or replaces the one with that name.
    pub(super) fn with(mut self, member: Member) -> Self {
        self.members.retain(|other| other.name != member.name);
        self.members.push(member);
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.members.retain(|member| member.name != name);
        self
    }

    pub(super) fn entry_points(self, text: &[u8]) -> Self {
        let path = self.info("entry_points.txt");
        self.with(entry(&path, text))
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.bytes_with_record(str::to_owned)
    }

    /// The archive, with a RECORD that `change` makes of the right one.
    pub(super) fn bytes_with_record(mut self, change: impl FnOnce(&str) -> String) -> Vec<u8> {
        let own = self.info("RECORD");
        let rows = self.members.iter();
        let rows: String = rows
            .map(|one| record_row(&one.name, &one.content))
            .collect();
        let record = change(&format!("{rows}{own},,\n"));
        self.members.push(entry(&own, record.as_bytes()));
        zipped(&self.members)
    }
}

/// A row of RECORD.
pub(super) fn record_row(name: &str, content: &[u8]) -> String {
    let sum = encoded(Digest::of(content).as_bytes());
    format!("\"{name}\",sha256={sum},{}\n", content.len())
}

/// Base64 as RECORD has it.
fn encoded(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let padded = group.iter().chain([0, 0].iter()).take(3);
        let bits = padded.fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        let digits = (0..=group.len()).map(|place| BASE64[bits >> (18 - 6 * place) & 63]);
        text.extend(digits.map(char::from));
    }
    text
}

pub(super) fn zipped(members: &[Member]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for member in members {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .external_attributes(member.mode << 16);
        writer.start_file(member.name.as_str(), options).unwrap();
        writer.write_all(&member.content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The offsets of the headers of the entry with this name: before its content, and in the central
/// directory.
pub(super) fn headers(bytes: &[u8], name: &str) -> [usize; 2] {
    [(LOCAL, 30), (CENTRAL, 46)].map(|(magic, fixed)| {
        let is_header = |start: &usize| {
            let at = &bytes[*start..];
            let named = at.get(fixed..);
            at.starts_with(magic) && named.is_some_and(|at| at.starts_with(name.as_bytes()))
        };
        (0..bytes.len()).find(is_header).unwrap()
    })
}

/// Writes a number of two bytes into both headers of an entry, at these offsets.
pub(super) fn mark(bytes: &mut [u8], name: &str, offsets: [usize; 2], number: u16) {
    for (header, offset) in headers(bytes, name).into_iter().zip(offsets) {
        bytes[header + offset..][..2].copy_from_slice(&number.to_le_bytes());
    }
}

/// Writes a number of four bytes.
pub(super) fn put(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

/// Makes the headers of an entry declare this unpacked length.
pub(super) fn declare(bytes: &mut [u8], name: &str, len: u32) {
    let [local, central] = headers(bytes, name);
    // A local header that was written before its content was known declares no length.
    put(bytes, local + 22, len);
    put(bytes, central + 24, len);
}

/// Gives an entry another name of the same length, only in its headers.
pub(super) fn rename(bytes: &mut [u8], name: &str, to: &[u8]) {
    assert_eq!(name.len(), to.len());
    let [local, central] = headers(bytes, name);
    for at in [local + 30, central + 46] {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
}
