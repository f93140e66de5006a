//! Archives as tools make them, and hostile ones, each of which is refused with its own reason.

#![cfg(unix)]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use ::tar::{Builder, EntryType, Header};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

/// One member of a tar archive.
struct One<'a> {
    kind: EntryType,
    name: &'a [u8],
    link: &'a [u8],
    bytes: &'a [u8],
    mode: u32,
}

fn file<'a>(name: &'a str, bytes: &'a str) -> One<'a> {
    One {
        kind: EntryType::Regular,
        name: name.as_bytes(),
        link: b"",
        bytes: bytes.as_bytes(),
        mode: 0o644,
    }
}

fn link<'a>(kind: EntryType, name: &'a str, target: &'a str) -> One<'a> {
    One {
        kind,
        link: target.as_bytes(),
        ..file(name, "")
    }
}

/// The bytes of a `.tar.gz`, with names as they are: a builder would refuse them itself.
fn tar(members: &[One<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    for one in members {
        let mut header = Header::new_gnu();
        let old = header.as_old_mut();
        old.name[..one.name.len()].copy_from_slice(one.name);
        old.linkname[..one.link.len()].copy_from_slice(one.link);
        header.set_entry_type(one.kind);
        header.set_mode(one.mode);
        header.set_mtime(1_700_000_000);
        header.set_size(one.bytes.len() as u64);
        header.set_cksum();
        builder.append(&header, one.bytes).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

fn unpacked(
    name: &str,
    bytes: &[u8],
    is_stopped: bool,
) -> (tempfile::TempDir, Result<Unpacked, String>) {
    let place = tempfile::tempdir().unwrap();
    let archive = place.path().join(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&archive)
        .unwrap();
    file.write_all(bytes).unwrap();
    let into = place.path().join("into");
    make_dirs(&into).unwrap();
    let done = unpack(&archive, Digest::of(bytes), &into, &|| is_stopped);
    (place, done.map_err(|error| error.to_string()))
}

#[track_caller]
fn refused(name: &str, bytes: &[u8], expected: &str) {
    let (place, done) = unpacked(name, bytes, false);
    let why = done.unwrap_err();
    assert!(why.contains(expected), "{why}");
    let names = std::fs::read_dir(place.path()).unwrap();
    assert_eq!(names.count(), 2, "{why}");
}

#[test]
fn a_source_distribution_becomes_a_directory() {
    let program = One {
        mode: 0o4777,
        ..file("demo-1/./bin/run", "#!/bin/sh\n")
    };
    let long = format!("demo-1/{}/x.py", "long".repeat(50));
    let mut pax = format!(" path={long}\n");
    pax.insert_str(0, &(pax.len() + 3).to_string());
    let members = [
        link(EntryType::Directory, "demo-1/", ""),
        file("demo-1/a.py", "a = 1\n"),
        program,
        link(EntryType::Symlink, "demo-1/sub/up.py", "../a.py"),
        link(EntryType::Link, "demo-1/b.py", "demo-1/a.py"),
        One {
            kind: EntryType::XGlobalHeader,
            ..file("pax_global_header", "18 comment=commit\n")
        },
        One {
            kind: EntryType::XHeader,
            ..file("x", &pax)
        },
        file("demo-1/cut", "long\n"),
    ];
    let (place, done) = unpacked("demo-1.tar.gz", &tar(&members), false);
    let done = done.unwrap();
    assert_eq!(done.root, place.path().join("into/demo-1"));
    assert_eq!(done.newest, Some(1_700_000_000));
    let text = |path: &str| std::fs::read_to_string(done.root.join(path)).unwrap();
    assert_eq!((text("a.py"), text("b.py"), text("sub/up.py")), {
        let a = "a = 1\n".to_owned();
        (a.clone(), a.clone(), a)
    });
    assert_eq!(text(long.strip_prefix("demo-1/").unwrap()), "long\n");
    let meta = done.root.join("bin/run").metadata().unwrap();
    assert_eq!(meta.permissions().mode() & 0o7111, 0o111);
}

/// A link below another link is elsewhere than its name says, where its target may lead out.
#[test]
fn a_link_below_a_link_is_refused() {
    let symlink = |name, target| link(EntryType::Symlink, name, target);
    for outer in ["..", ".", "e"] {
        let members = [
            file("d/a", ""),
            symlink("d/l", outer),
            symlink("d/l/m", "../d/a"),
        ];
        refused("x.tar.gz", &tar(&members), "below another link");
    }
}

#[test]
fn what_leads_out_of_the_directory_is_refused() {
    let check =
        |member: One<'_>, why: &str| refused("x.tar.gz", &tar(&[file("d/a", ""), member]), why);
    check(file("/etc/x", ""), "its path is absolute");
    check(file("d/../../x", ""), "its path leads out with `..`");
    check(file("..", ""), "its path leads out with `..`");
    check(file("d/a\u{1}b", ""), "which is not allowed");
    let raw = One {
        name: b"d/\xff",
        ..file("", "")
    };
    check(raw, "that is not UTF-8");
    let symlink = |name, target| link(EntryType::Symlink, name, target);
    check(symlink("d/l", "/etc/passwd"), "which is absolute");
    check(symlink("d/l", "../../x"), "which leads out");
    check(symlink("l", ".."), "which leads out");
    check(symlink("d/l", "x/../../y"), "with `..` after a name");
    check(symlink("d/l", ""), "which no link can have");
    check(
        link(EntryType::Link, "d/l", "/etc/passwd"),
        "its path is absolute",
    );
    check(link(EntryType::Link, "d/l", "../x"), "its path leads out");
    check(
        link(EntryType::Link, "d/l", "d/later"),
        "which is no file before it",
    );
}

#[test]
fn nothing_is_written_through_a_link() {
    for members in [
        [link(EntryType::Symlink, "d/l", "."), file("d/l/x", "")],
        [link(EntryType::Symlink, "d/l", "m"), file("d/l", "x")],
        [file("d/l", "x"), file("d/l", "y")],
    ] {
        refused("x.tar.gz", &tar(&members), "has two members `d/l`");
    }
    let members = [file("d/a", "x"), file("d/a/b", "y")];
    refused("x.tar.gz", &tar(&members), "cannot unpack");
}

#[test]
fn what_no_source_distribution_has_is_refused() {
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo] {
        let members = [link(kind, "d/device", "")];
        refused(
            "x.tar.gz",
            &tar(&members),
            "has a device or a FIFO `d/device`",
        );
    }
    let sparse = [link(EntryType::GNUSparse, "d/s", "")];
    refused("x.tar.gz", &tar(&sparse), "has a sparse file");
    let other = [link(EntryType::new(b'Z'), "d/z", "")];
    refused("x.tar.gz", &tar(&other), "of the unknown kind Z");
    refused("x.tar.gz", b"no archive", "is damaged");
    refused("x.zip", b"no archive", "is damaged");
    refused("x.tar.xz", b"", "is no archive of a kind that is unpacked");
    let whole = tar(&[file("d/a", &"a".repeat(5000))]);
    refused("x.tar.gz", &whole[..whole.len() / 2], "is damaged");
    let (_place, done) = unpacked("x.tar.gz", &whole, true);
    assert!(done.unwrap_err().contains("interrupted"));
}

#[test]
fn a_bomb_is_refused_before_it_fills_a_disk() {
    let much = "\0".repeat(1 << 20);
    let members: Vec<One<'_>> = (0..70)
        .map(|_| One {
            kind: EntryType::Regular,
            ..file("", &much)
        })
        .collect();
    let names: Vec<String> = (0..70).map(|number| format!("d/{number}")).collect();
    let members: Vec<One<'_>> = members
        .into_iter()
        .zip(&names)
        .map(|(one, name)| One {
            name: name.as_bytes(),
            ..one
        })
        .collect();
    refused(
        "x.tar.gz",
        &tar(&members),
        "far more bytes than an archive of its size may",
    );
    let name = "n".repeat(2 << 20);
    let long = One {
        kind: EntryType::GNULongName,
        ..file("x", &name)
    };
    refused("x.tar.gz", &tar(&[long]), "has a header of more than 1 MiB");
}

#[test]
fn other_bytes_than_those_that_were_fetched_are_not_unpacked() {
    let place = tempfile::tempdir().unwrap();
    let archive = place.path().join("x.tar.gz");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&archive)
        .unwrap();
    file.write_all(&tar(&[self::file("d/a", "")])).unwrap();
    let done = unpack(&archive, Digest::of(b"other"), place.path(), &|| false);
    assert!(matches!(done, Err(UnpackFailed::Changed { .. })));
    assert!(!place.path().join("d").exists());
}

#[test]
fn a_zip_is_unpacked_by_the_same_rules() {
    use ::zip::write::{SimpleFileOptions, ZipWriter};
    let zip = |members: &[(&str, u32, &str)]| {
        let mut writer = ZipWriter::new(io::Cursor::new(Vec::new()));
        for (name, mode, text) in members {
            let time = ::zip::DateTime::from_date_and_time(2024, 2, 29, 12, 30, 10).unwrap();
            let options = SimpleFileOptions::default()
                .compression_method(::zip::CompressionMethod::Stored)
                .last_modified_time(time);
            if mode & 0o170_000 == 0o120_000 {
                writer.add_symlink(*name, *text, options).unwrap();
            } else {
                writer
                    .start_file(*name, options.unix_permissions(*mode))
                    .unwrap();
                writer.write_all(text.as_bytes()).unwrap();
            }
        }
        writer.finish().unwrap().into_inner()
    };
    let good = zip(&[
        ("d/a.py", 0o644, "a"),
        ("d/l", 0o120_777, "a.py"),
        ("d/x", 0o755, "x"),
    ]);
    let (_place, done) = unpacked("d-1.zip", &good, false);
    let done = done.unwrap();
    assert_eq!(std::fs::read_to_string(done.root.join("l")).unwrap(), "a");
    assert_eq!(done.newest, Some(1_709_209_810));
    refused("x.zip", &zip(&[("d/../../x", 0o644, "")]), "leads out");
    refused("x.zip", &zip(&[("/x", 0o644, "")]), "is absolute");
    refused(
        "x.zip",
        &zip(&[("d/l", 0o120_777, "../../x")]),
        "which leads out",
    );
}
