//! Wheels whose archive is not sound: truncated, contradicting itself, or unpacking to more than it
//! declares or than any wheel needs.

use super::archive::{Wheel, declare, entry, headers, mark, put, record_row};
use super::{Ground, Row, all_refused};

/// The offsets of two fields in the header before the content and in the central directory.
const FLAGS: [usize; 2] = [6, 8];
const METHOD: [usize; 2] = [8, 10];
const CRC: [usize; 2] = [14, 16];
/// The length of the record at the end of an archive.
const END: usize = 22;

const NOT_SOUND: &str = "it is not a complete and consistent zip archive";

#[test]
fn archives_that_contradict_themselves_are_refused() {
    let wheel = || Wheel::new().with(entry("demo/evil.py", b"evil")).bytes();
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = wheel();
        change(&mut bytes);
        bytes
    };
    let marked = |offsets, number| changed(&|bytes| mark(bytes, "demo/evil.py", offsets, number));
    let whole = wheel();
    let end = whole.len() - END;
    let prefixed = [b"#!/bin/sh\nrm -rf /\n", &whole[..]].concat();
    let mut commented = [&whole[..], &whole].concat();
    let len = u16::try_from(whole.len()).unwrap();
    commented[end + 20..][..2].copy_from_slice(&len.to_le_bytes());
    let rows = [
        Row::of_wheel("another archive in its comment", commented, NOT_SOUND),
        Row::of_wheel("bytes after it", [&whole[..], &[0]].concat(), NOT_SOUND),
        Row::of_wheel("no archive", b"demo".to_vec(), NOT_SOUND),
        Row::of_wheel("nothing", Vec::new(), NOT_SOUND),
        Row::of_wheel("truncated", whole[..end].to_vec(), NOT_SOUND),
        Row::of_wheel("without its beginning", whole[60..].to_vec(), NOT_SOUND),
        Row::of_wheel("a program before it", prefixed, NOT_SOUND),
        Row::of_wheel(
            "another archive before it",
            [&whole[..], &whole].concat(),
            NOT_SOUND,
        ),
        Row::of_wheel(
            "encrypted",
            marked(FLAGS, 1),
            "the entry `demo/evil.py` is encrypted",
        ),
        Row::of_wheel("an unknown compression", marked(METHOD, 77), "demo/evil.py"),
        Row::of_wheel("another checksum", marked(CRC, 0xabcd), "demo/evil.py"),
        Row::of_wheel(
            "another name before its content",
            changed(&|bytes| {
                let [local, _] = headers(bytes, "demo/evil.py");
                bytes[local + 30..][..12].copy_from_slice(b"demo/good.py");
            }),
            NOT_SOUND,
        ),
        Row::of_wheel(
            "an entry that begins outside",
            changed(&|bytes| {
                let [_, central] = headers(bytes, "demo/evil.py");
                put(bytes, central + 42, 0x7fff_ffff);
            }),
            NOT_SOUND,
        ),
        Row::of_wheel(
            "lengths of zip64 without a field for them",
            changed(&|bytes| {
                let [_, central] = headers(bytes, "demo/evil.py");
                put(bytes, central + 20, u32::MAX);
                put(bytes, central + 24, u32::MAX);
            }),
            NOT_SOUND,
        ),
        Row::of_wheel(
            "more entries at its end than it has",
            changed(&|bytes| {
                bytes[end + 8..][..4].copy_from_slice(&[0xff, 0x7f, 0xff, 0x7f]);
            }),
            NOT_SOUND,
        ),
        Row::of_wheel(
            "fewer entries at its end than it has",
            changed(&|bytes| bytes[end + 8..][..4].copy_from_slice(&[1, 0, 1, 0])),
            NOT_SOUND,
        ),
    ];
    all_refused(&Ground::new(), &rows);
}

#[test]
fn archives_that_unpack_to_more_than_they_declare_or_than_any_wheel_needs_are_refused() {
    let zeros = vec![0; 8 << 20];
    // It declares 10 bytes, so does RECORD, and it unpacks to millions.
    let bomb = || Wheel::new().with(entry("demo/bomb", &zeros));
    let (large, small) = (
        record_row("demo/bomb", &zeros),
        record_row("demo/bomb", &[0; 10]),
    );
    let mut liar = bomb().bytes_with_record(|right| right.replace(&large, &small));
    declare(&mut liar, "demo/bomb", 10);
    let mut short = Wheel::new().with(entry("demo/short", b"x")).bytes();
    declare(&mut short, "demo/short", 4 << 20);
    let mut huge = Wheel::new().with(entry("demo/bomb", b"")).bytes();
    declare(&mut huge, "demo/bomb", 2049 << 20);
    let names: Vec<String> = (0..5).map(|number| format!("demo/bomb{number}")).collect();
    let many = names
        .iter()
        .fold(Wheel::new(), |wheel, name| wheel.with(entry(name, b"")));
    let mut many = many.bytes();
    for name in &names {
        declare(&mut many, name, 2000 << 20);
    }
    // Both entries share the same bytes of the archive.
    let pair = Wheel::new().with(entry("demo/bomb1", &[0; 4096]));
    let mut overlapping = pair.with(entry("demo/bomb2", &[0; 4096])).bytes();
    let [first, _] = headers(&overlapping, "demo/bomb1");
    let [_, second] = headers(&overlapping, "demo/bomb2");
    put(&mut overlapping, second + 42, u32::try_from(first).unwrap());
    let rows = [
        Row::of_wheel("a lie", liar, "the entry `demo/bomb`"),
        Row::of_wheel("a lie in the other direction", short, "`demo/short`"),
        Row::of_wheel("one huge file", huge, "`demo/bomb` would unpack to"),
        Row::of_wheel(
            "many large files",
            many,
            "its entries would unpack to more than",
        ),
        Row::of_wheel("entries that overlap", overlapping, NOT_SOUND),
    ];
    all_refused(&Ground::new(), &rows);
}

#[test]
fn more_entries_than_any_wheel_has_are_refused() {
    let members = (0..100_001).map(|number| entry(&format!("demo/{number}"), b""));
    let wheel = Wheel::holding(members.collect());
    let row = Row::of_wheel("empty files", wheel.bytes(), "entries, too many");
    all_refused(&Ground::new(), &[row]);
}
