//! A pack of bytecode from any registry.
//!
//! The first byte says what the rest is: a pack as it is, a tar archive that is compressed first,
//! or choices from which a pack is made: of what is planned and what is not, under names, digests
//! and lengths that may be wrong. Then some bytes of the archive are changed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use flate2::read::GzDecoder;
use rvenv::provision::bytecode_pack::{Packed, PlannedBytecode, PlannedFile, read, write};
use rvenv_journal::Digest;

use super::choices::Choices;
use super::sources::compressed;

/// Files of a pack that is made.
const FILES: usize = 8;
const SOURCES: [&str; 6] = ["a/b.py", "a/c.py", "../d.py", "/e.py", "", "a/\u{1b}[2J.py"];
/// The last is not planned.
const CONTENTS: [&[u8]; 4] = [b"", b"b", &[7; 700], b"x"];

/// I6: any bytes are refused with a reason, or give nothing but files that are planned, with the
/// planned length and digest, and each that the pack names.
pub fn pack_read(bytes: &[u8]) -> bool {
    let key = Digest::of(b"key");
    let pack = match bytes.split_first() {
        Some((0..=31, raw)) => raw.to_vec(),
        Some((32..=95, raw)) => compressed(raw),
        Some((_, choices)) => made(Choices::of(choices), key),
        None => Vec::new(),
    };
    let mut planned = PlannedBytecode::default();
    planned.files = CONTENTS[..3].iter().map(|text| of(text)).collect();
    match read(key, &mut &*pack, pack.len() as u64, &planned) {
        Ok(packed) => {
            check(&packed, &planned);
            true
        }
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty());
            assert!(!text.contains(char::is_control), "{text:?}");
            false
        }
    }
}

fn of(content: &[u8]) -> (Digest, PlannedFile) {
    let len = content.len() as u64;
    (Digest::of(content), PlannedFile { len, mtime: 1 })
}

fn check(packed: &Packed, planned: &PlannedBytecode) {
    for (digest, len) in packed.files.values() {
        let own = planned.files.get(digest).expect("it is planned");
        assert_eq!(own.len, *len);
    }
    for (digest, bytes) in &packed.bytes {
        assert_eq!(Digest::of(bytes), *digest);
    }
    let named: BTreeSet<Digest> = packed.files.values().map(|(digest, _)| *digest).collect();
    let there: BTreeSet<Digest> = packed.bytes.keys().copied().collect();
    assert_eq!(
        named, there,
        "each file has its bytes, and no bytes are without a file"
    );
    let again = write(Digest::of(b"key"), packed).expect("memory takes what it is given");
    let again = read(
        Digest::of(b"key"),
        &mut &*again,
        again.len() as u64,
        planned,
    );
    let again = again.expect("what is written is read");
    assert_eq!((&again.files, &again.bytes), (&packed.files, &packed.bytes));
}

fn made(mut choices: Choices<'_>, key: Digest) -> Vec<u8> {
    let mut packed = Packed {
        files: BTreeMap::new(),
        bytes: BTreeMap::new(),
    };
    for _ in 0..choices.next() % FILES {
        let source = match choices.next() % 8 {
            7 => String::from_utf8_lossy(choices.some()).into_owned(),
            _ => choices.pick(&SOURCES).to_owned(),
        };
        let content = choices.pick(&CONTENTS);
        let (digest, mut len) = (Digest::of(content), content.len() as u64);
        let mut bytes = content.to_vec();
        match choices.next() % 32 {
            28 => len += 1,
            29 => len = u64::MAX,
            30 => bytes = choices.pick(&CONTENTS).to_vec(),
            31 => bytes.clear(),
            _ => {}
        }
        packed.files.insert(source, (digest, len));
        match choices.next() % 32 {
            31 => packed.bytes.remove(&digest),
            _ => packed.bytes.insert(digest, bytes),
        };
    }
    let key = match choices.next() % 32 {
        31 => Digest::of(b"another key"),
        _ => key,
    };
    let pack = write(key, &packed).expect("memory takes what it is given");
    let mut tar = Vec::new();
    let unpacked = GzDecoder::new(&*pack).read_to_end(&mut tar);
    unpacked.expect("what was compressed is unpacked");
    choices.damage(&mut tar);
    compressed(&tar)
}
