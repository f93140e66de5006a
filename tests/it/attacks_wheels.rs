//! Hostile wheels, given to the command in place of pip: each is refused with its fault, and
//! nothing of it remains in the target or in the store (I6).
//!
//! Names that lead elsewhere, links and devices, names that some filesystems treat as equal,
//! RECORDs that lie, names that the environment itself uses, and archives that unpack to more than
//! they declare or than any wheel needs. Read next: `src/wheel/archive.rs`, which refuses most of
//! them.

#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test starts real programs and plants what it likes"
)]

use std::fs;
use std::io::{Cursor, Write as _};
use std::path::PathBuf;

use crate::machine;
use crate::machine::{Scratch, any_python, stand_in};
use crate::refused::refused_by;
use rvenv_journal::Digest;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const FILE: u32 = 0o100_644;
/// The first bytes of an entry's headers: the one before its content, and the one in the central
/// directory.
const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";

/// One entry: its name, its content, its mode.
type Entry = (String, Vec<u8>, u32);

fn entry(name: &str, content: &[u8]) -> Entry {
    (name.to_owned(), content.to_vec(), FILE)
}

/// A wheel of pip of some version whose RECORD lists everything in it.
struct Pip {
    path: PathBuf,
    version: String,
}

impl Pip {
    fn info(&self, name: &str) -> String {
        format!("pip-{}.dist-info/{name}", self.version)
    }

    fn data(&self, name: &str) -> String {
        format!("pip-{}.data/{name}", self.version)
    }

    fn with(&self, more: Vec<Entry>) -> Vec<u8> {
        let record = |rows: &str| format!("{rows}{},,\n", self.info("RECORD"));
        self.with_record(more, |rows| record(&rows))
    }

    /// The same with a RECORD that `record` makes of the right rows.
    fn with_record(&self, more: Vec<Entry>, record: impl FnOnce(String) -> String) -> Vec<u8> {
        let metadata = format!(
            "Metadata-Version: 2.1\nName: pip\nVersion: {}\n",
            self.version
        );
        let mut entries = vec![
            entry("pip/__init__.py", b""),
            entry(&self.info("METADATA"), metadata.as_bytes()),
            entry(
                &self.info("WHEEL"),
                b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            ),
        ];
        entries.extend(more);
        let rows: String = entries
            .iter()
            .map(|(name, content, _)| row(name, content))
            .collect();
        entries.push((self.info("RECORD"), record(rows).into_bytes(), FILE));
        zipped(&entries)
    }
}

fn row(name: &str, content: &[u8]) -> String {
    format!(
        "\"{name}\",sha256={},{}\n",
        encoded(Digest::of(content).as_bytes()),
        content.len()
    )
}

/// Base64 as RECORD uses it.
fn encoded(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let padded = group.iter().chain([0, 0].iter()).take(3);
        let bits = padded.fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        let digits =
            (0..=group.len()).map(|place| BASE64.get(bits >> (18 - 6 * place) & 63).unwrap());
        text.extend(digits.map(|digit| char::from(*digit)));
    }
    text
}

fn zipped(entries: &[Entry]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content, mode) in entries {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .external_attributes(mode << 16);
        writer.start_file(name.as_str(), options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The offsets of the headers of the entry with this name: before its content, and in the central
/// directory.
fn headers(bytes: &[u8], name: &str) -> [usize; 2] {
    [(LOCAL, 30), (CENTRAL, 46)].map(|(magic, fixed)| {
        let is_header = |start: &usize| {
            let at = bytes.get(*start..).unwrap();
            at.starts_with(magic)
                && at
                    .get(fixed..)
                    .is_some_and(|at| at.starts_with(name.as_bytes()))
        };
        (0..bytes.len()).find(is_header).unwrap()
    })
}

fn put(bytes: &mut [u8], at: usize, number: u32) {
    bytes
        .get_mut(at..at + 4)
        .unwrap()
        .copy_from_slice(&number.to_le_bytes());
}

/// Makes the headers of an entry declare this unpacked length.
fn declare(bytes: &mut [u8], name: &str, len: u32) {
    let [local, central] = headers(bytes, name);
    // A local header that was written before its content was known declares no length.
    put(bytes, local + 22, len);
    put(bytes, central + 24, len);
}

/// Gives an entry another name of the same length, only in its headers.
fn rename(bytes: &mut [u8], name: &str, to: &str) {
    assert_eq!(name.len(), to.len());
    let [local, central] = headers(bytes, name);
    for at in [local + 30, central + 46] {
        bytes
            .get_mut(at..at + to.len())
            .unwrap()
            .copy_from_slice(to.as_bytes());
    }
}

/// A scratch directory in which a test provides pip's wheel.
fn lab() -> Option<(Scratch, PathBuf, Pip)> {
    let python = any_python()?;
    let scratch = Scratch::new();
    let (python, wheels) = stand_in(&scratch, &python);
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let path = wheels
        .into_iter()
        .find(|path| name(path).starts_with("pip-"))?;
    let version = name(&path).split('-').nth(1)?.to_owned();
    Some((scratch, python, Pip { path, version }))
}

/// Checks that each of these wheels is refused for its reason, and that the scratch directory and
/// the store stay unchanged.
#[track_caller]
fn all_refused(make: impl Fn(&Pip) -> Vec<(&'static str, Vec<u8>, &'static str)>) {
    let Some((scratch, python, pip)) = lab() else {
        return;
    };
    for (what, bytes, why) in make(&pip) {
        fs::write(&pip.path, bytes).unwrap();
        let words = ["create", "-p", python.to_str().unwrap(), "E"];
        let said = refused_by(&scratch, &mut scratch.command(&words), 1);
        assert!(said.contains(why), "{what}: {said}");
        let packs = fs::read_dir(scratch.cache().join("packs"))
            .into_iter()
            .flatten();
        assert_eq!(packs.count(), 0, "{what}: something is in the store");
    }
}

/// A control: the wheel from which all the others are made becomes an environment's pip.
#[test]
fn a_wheel_with_nothing_wrong_is_taken() {
    let Some((scratch, python, pip)) = lab() else {
        return;
    };
    fs::write(&pip.path, pip.with(vec![entry("pip/more.py", b"more")])).unwrap();
    scratch
        .rvenv(&["create", "-p", python.to_str().unwrap(), "E"])
        .ok();
    let found = machine::tree(&scratch.path("E"));
    assert!(
        found
            .keys()
            .any(|path| path.ends_with("site-packages/pip/more.py"))
    );
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    all_refused(|pip| {
        let named = |name: &str| pip.with(vec![entry(name, b"evil")]);
        vec![
            ("climbing", named("../../evil"), "`..`"),
            ("climbing later", named("pip/../../../evil"), "`..`"),
            ("absolute", named("/etc/evil"), "is absolute"),
            ("of a drive", named("C:/evil"), "is absolute"),
            ("of another system", named("pip\\..\\evil"), "the character"),
            ("with a NUL", named("pip/a\0b"), "the character"),
            (
                "in the engine's directory",
                named(&pip.data("data/.rvenv/receipt.json")),
                ".rvenv",
            ),
            ("too deep", named(&"d/".repeat(200)), "too long"),
            ("too long", named(&"n".repeat(300)), "too long"),
        ]
    });
}

#[test]
fn links_devices_and_pipes_are_refused() {
    all_refused(|pip| {
        let of_kind = |mode| pip.with(vec![("pip/evil".to_owned(), b"/etc/passwd".to_vec(), mode)]);
        let why = "neither a regular file";
        vec![
            ("a link", of_kind(0o120_777), why),
            ("a character device", of_kind(0o020_666), why),
            ("a block device", of_kind(0o060_666), why),
            ("a pipe", of_kind(0o010_644), why),
            ("a socket", of_kind(0o140_644), why),
            ("a directory that is a file", of_kind(0o040_755), why),
        ]
    });
}

#[test]
fn two_entries_in_one_place_are_refused() {
    all_refused(|pip| {
        let pair = |one: &str, other: &str| pip.with(vec![entry(one, b"1"), entry(other, b"2")]);
        let mut twice = pair("pip/one.py", "pip/two.py");
        rename(&mut twice, "pip/two.py", "pip/one.py");
        vec![
            ("one name", twice, "two entries have the same name"),
            (
                "by their case",
                pair("pip/Evil.py", "pip/evil.py"),
                "collide",
            ),
            (
                "by the case of a directory",
                pair("pip/A/x", "pip/a/y"),
                "collide",
            ),
            (
                "a file that is a directory",
                pair("pip/a", "pip/a/y"),
                "collide",
            ),
            (
                "of two kinds of data",
                pair("pip/own.py", &pip.data("purelib/pip/own.py")),
                "collide",
            ),
        ]
    });
}

#[test]
fn what_record_does_not_vouch_for_is_refused() {
    all_refused(|pip| {
        let own = pip.info("RECORD");
        let with = |record: &dyn Fn(&str) -> String| {
            pip.with_record(vec![entry("pip/evil.py", b"evil")], |rows| record(&rows))
        };
        let listed = row("pip/evil.py", b"evil");
        vec![
            (
                "unlisted",
                with(&|rows| format!("{}{own},,\n", rows.replace(&listed, ""))),
                "not listed",
            ),
            (
                "of other bytes",
                with(&|rows| {
                    format!(
                        "{}{own},,\n",
                        rows.replace(&listed, &row("pip/evil.py", b"good"))
                    )
                }),
                "SHA-256",
            ),
            (
                "of another length",
                with(&|rows| format!("{}{own},,\n", rows.replace(",4\n", ",5\n"))),
                "bytes",
            ),
            (
                "without a hash",
                with(&|rows| format!("{}pip/evil.py,,\n{own},,\n", rows.replace(&listed, ""))),
                "without a hash",
            ),
            (
                "with what is not there",
                with(&|rows| format!("{rows}pip/absent.py,,\n{own},,\n")),
                "does not have",
            ),
            (
                "with a weak hash",
                with(&|rows| {
                    format!(
                        "{}pip/evil.py,md5=AAAA,4\n{own},,\n",
                        rows.replace(&listed, "")
                    )
                }),
                "sha256",
            ),
        ]
    });
}

#[test]
fn names_of_the_environment_itself_are_refused() {
    all_refused(|pip| {
        let data = |name: &str| pip.with(vec![entry(&pip.data(name), b"#!python\n")]);
        let points =
            |text: &str| pip.with(vec![entry(&pip.info("entry_points.txt"), text.as_bytes())]);
        let why = "belongs to the environment itself";
        vec![
            ("the interpreter", data("scripts/python"), why),
            ("the configuration", data("data/pyvenv.cfg"), why),
            ("a script of rvenv's", data("data/bin/activate"), why),
            (
                "by an entry point",
                points("[console_scripts]\npython3 = pip:main\n"),
                why,
            ),
            (
                "an entry point that climbs",
                points("[console_scripts]\n../evil = pip:main\n"),
                "entry_points.txt",
            ),
            (
                "a code that is none",
                points("[console_scripts]\nx = os; evil()\n"),
                "entry_points.txt",
            ),
        ]
    });
}

#[test]
fn what_unpacks_to_more_than_it_declares_or_than_any_wheel_needs_is_refused() {
    all_refused(|pip| {
        let zeros = vec![0; 32 << 20];
        // It declares 10 bytes, so does RECORD, and it unpacks to millions.
        let small = row("pip/bomb", &[0; 10]);
        let mut liar = pip.with_record(vec![entry("pip/bomb", &zeros)], |rows| {
            format!(
                "{}{},,\n",
                rows.replace(&row("pip/bomb", &zeros), &small),
                pip.info("RECORD")
            )
        });
        declare(&mut liar, "pip/bomb", 10);
        let mut huge = pip.with(vec![entry("pip/bomb", b"")]);
        declare(&mut huge, "pip/bomb", 2049 << 20);
        let names: Vec<String> = (0..5).map(|number| format!("pip/bomb{number}")).collect();
        let mut many = pip.with(names.iter().map(|name| entry(name, b"")).collect());
        for name in &names {
            declare(&mut many, name, 2000 << 20);
        }
        // Both entries share the same bytes of the archive.
        let mut overlapping = pip.with(vec![
            entry("pip/bomb1", &[0; 4096]),
            entry("pip/bomb2", &[0; 4096]),
        ]);
        let [[first, _], [_, second]] = [
            headers(&overlapping, "pip/bomb1"),
            headers(&overlapping, "pip/bomb2"),
        ];
        put(&mut overlapping, second + 42, u32::try_from(first).unwrap());
        vec![
            ("a lie", liar, "larger than its declared"),
            ("one huge file", huge, "too many"),
            ("many large files", many, "would unpack to more than"),
            (
                "entries that overlap",
                overlapping,
                "consistent zip archive",
            ),
        ]
    });
}

#[test]
fn more_entries_than_any_wheel_has_are_refused() {
    all_refused(|pip| {
        let entries = (0..100_001).map(|number| entry(&format!("pip/{number}"), b""));
        vec![(
            "empty files",
            pip.with(entries.collect()),
            "entries, too many",
        )]
    });
}
