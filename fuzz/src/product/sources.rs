//! An archive of sources from any author.
//!
//! The first byte says what the rest is: a `.tar.gz` or a `.zip` as it is, a tar archive that is
//! compressed first, or choices from which an archive is made: members of any kind with names and
//! targets that lead out or almost do. Then some bytes of it are changed.

use std::io::{Cursor, Write as _};
use std::path::{Component, Path};

use flate2::Compression;
use flate2::write::GzEncoder;
use rvenv::backend::unpack;
use rvenv_journal::Digest;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::choices::Choices;

/// Members of an archive that is made.
const MEMBERS: usize = 12;
const NAMES: [&str; 20] = [
    "d/setup.py",
    "d/",
    "d",
    "d/a",
    "d/a/b",
    "d/A",
    "d/l",
    "d/l/x",
    "d/l/m/x",
    "d/m",
    "e",
    "./d//./a",
    "../x",
    "d/../../x",
    "d/..",
    "/x",
    "",
    ".",
    "d/\u{1}",
    "pax_global_header",
];
const TARGETS: [&[u8]; 14] = [
    b"a",
    b".",
    b"..",
    b"../..",
    b"../d/a",
    b"m",
    b"l",
    b"d/a",
    b"x/../../y",
    b"/etc",
    b"",
    b"./..",
    b"../l/..",
    b"\xff",
];
const KINDS: [EntryType; 14] = [
    EntryType::Regular,
    EntryType::Regular,
    EntryType::Symlink,
    EntryType::Symlink,
    EntryType::Link,
    EntryType::Directory,
    EntryType::Continuous,
    EntryType::GNULongName,
    EntryType::GNULongLink,
    EntryType::XHeader,
    EntryType::XGlobalHeader,
    EntryType::GNUSparse,
    EntryType::Fifo,
    EntryType::Char,
];
const MODES: [u32; 6] = [0o644, 0o755, 0o4777, 0o120_777, 0o040_755, 0o010_644];

/// I6: any bytes are refused with a reason, or become a directory in which every link leads to
/// somewhere below it. Either way nothing exists beside the archive and the directory.
pub fn sources_unpack(bytes: &[u8]) -> bool {
    let (suffix, bytes) = match bytes.split_first() {
        Some((0..=15, raw)) => (".tar.gz", raw.to_vec()),
        Some((16..=31, raw)) => (".zip", raw.to_vec()),
        Some((32..=79, raw)) => (".tar.gz", compressed(raw)),
        Some((80..=159, choices)) => (".zip", zip(Choices::of(choices))),
        Some((_, choices)) => (".tar.gz", compressed(&tar(Choices::of(choices)))),
        None => (".tar.gz", Vec::new()),
    };
    let memory = tempfile::tempdir_in("/dev/shm");
    let place = memory.or_else(|_| tempfile::tempdir());
    let place = place.expect("there is room for a small directory");
    let archive = tempfile::Builder::new().suffix(suffix).tempfile_in(&place);
    let mut archive = archive.expect("the directory takes a file");
    archive.write_all(&bytes).expect("the file takes its bytes");
    let into = TempDir::new_in(&place).expect("the directory takes another one");
    let done = unpack(archive.path(), Digest::of(&bytes), into.path(), &|| false);
    let beside = std::fs::read_dir(&place).expect("the directory can be listed");
    assert_eq!(beside.count(), 2, "something was written outside");
    check_tree(into.path(), Path::new(""));
    match done {
        Ok(unpacked) => {
            assert!(unpacked.root.starts_with(into.path()));
            let meta = unpacked.root.symlink_metadata();
            assert!(meta.is_ok_and(|meta| meta.is_dir()), "the root is a link");
            true
        }
        Err(error) => {
            let text = error.to_string();
            assert!(
                !text.is_empty() && !text.contains(char::is_control),
                "{text:?}"
            );
            false
        }
    }
}

/// Everything is a directory, a regular file, or a link that leads nowhere above the top.
fn check_tree(top: &Path, below: &Path) {
    let listing = std::fs::read_dir(top.join(below)).expect("what was unpacked can be listed");
    for entry in listing {
        let entry = entry.expect("a listing goes on");
        let path = below.join(entry.file_name());
        let kind = entry.file_type().expect("an entry has a kind");
        if kind.is_dir() {
            check_tree(top, &path);
        } else if kind.is_symlink() {
            let target = std::fs::read_link(entry.path()).expect("a link has a target");
            check_link(below, &target);
            // The whole chain, where it leads to something.
            if let Ok(real) = entry.path().canonicalize() {
                let top = top.canonicalize().expect("the top exists");
                assert!(
                    real.starts_with(top),
                    "{} leads to {}",
                    path.display(),
                    real.display()
                );
            }
        } else {
            assert!(kind.is_file(), "{} is special", path.display());
        }
    }
}

fn check_link(below: &Path, target: &Path) {
    let mut depth = below.components().count();
    for component in target.components() {
        match component {
            Component::ParentDir => {
                let above = depth.checked_sub(1);
                depth = above.unwrap_or_else(|| panic!("a link to {}", target.display()));
            }
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => panic!("a link to {}", target.display()),
        }
    }
}

pub(super) fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::fast());
    writer
        .write_all(bytes)
        .expect("memory takes what it is given");
    writer.finish().expect("memory takes what it is given")
}

fn tar(mut choices: Choices<'_>) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for _ in 0..choices.next() % MEMBERS {
        let kind = choices.pick(&KINDS);
        let name = name(&mut choices);
        let target = target(&mut choices);
        let content = if kind.is_pax_local_extensions() {
            pax(&[("path", &name), ("linkpath", &target)], &mut choices)
        } else if kind.is_gnu_longname() || kind.is_gnu_longlink() {
            [&name[..], b"\0"].concat()
        } else {
            choices.some().to_vec()
        };
        let mut header = Header::new_gnu();
        let old = header.as_old_mut();
        put(&mut old.name, &name);
        put(&mut old.linkname, &target);
        header.set_entry_type(kind);
        header.set_mode(choices.pick(&MODES));
        header.set_mtime(1 << (choices.next() % 40));
        header.set_size(content.len() as u64);
        header.set_cksum();
        let added = builder.append(&header, &content[..]);
        added.expect("memory takes what it is given");
    }
    let mut bytes = builder.into_inner().expect("memory takes what it is given");
    choices.damage(&mut bytes);
    bytes
}

/// As much of a text as a field takes.
pub(super) fn put(field: &mut [u8], text: &[u8]) {
    for (to, from) in field.iter_mut().zip(text) {
        *to = *from;
    }
}

/// Records of the extended headers of POSIX.
pub(super) fn pax(records: &[(&str, &[u8])], choices: &mut Choices<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in records {
        if choices.next().is_multiple_of(2) {
            continue;
        }
        let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
        let digits = (rest.len() + 2).to_string().len();
        bytes.extend((rest.len() + digits).to_string().into_bytes());
        bytes.extend(rest);
    }
    bytes
}

fn zip(mut choices: Choices<'_>) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for _ in 0..choices.next() % MEMBERS {
        let name = name(&mut choices);
        let name = String::from_utf8_lossy(&name).into_owned();
        let mode = choices.pick(&MODES);
        let content = match mode {
            0o120_777 => target(&mut choices),
            _ => choices.some().to_vec(),
        };
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .external_attributes(mode << 16);
        // The writer refuses a name that exists already.
        if writer.start_file(name, options).is_ok() {
            let written = writer.write_all(&content);
            written.expect("memory takes what it is given");
        }
    }
    let done = writer.finish().expect("memory takes what it is given");
    let mut bytes = done.into_inner();
    choices.damage(&mut bytes);
    bytes
}

fn name(choices: &mut Choices<'_>) -> Vec<u8> {
    match choices.next() % 8 {
        7 => choices.some().to_vec(),
        _ => choices.pick(&NAMES).as_bytes().to_vec(),
    }
}

fn target(choices: &mut Choices<'_>) -> Vec<u8> {
    match choices.next() % 8 {
        7 => choices.some().to_vec(),
        _ => choices.pick(&TARGETS).to_vec(),
    }
}
