//! Archives of sources that would write elsewhere, or fill the disk: each is refused before any
//! part of it runs.

use flate2::Compression;
use flate2::write::GzEncoder;
use rvenv_journal::Digest;
use tar::EntryType::{self, Block, Char, Fifo, GNULongName, Link, Regular, Symlink};

use super::{Ground, Row, all_refused, locked};

/// A member: its kind, its name, its target and its contents.
type Member<'a> = (EntryType, &'a str, &'a str, &'a [u8]);

/// The bytes of a `.tar.gz`, with names as they are: a builder would refuse them itself.
fn tar_gz(members: &[Member<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    for (kind, name, target, content) in members {
        let mut header = tar::Header::new_gnu();
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        old.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

/// The source distribution of `demo` 1.0 with this name and these bytes.
fn archive(what: &'static str, file: &'static str, bytes: Vec<u8>, why: &str) -> Row {
    let digest = Digest::of(&bytes);
    let lock = locked(&format!(
        "sdist = {{ path = '{file}', hashes = {{ sha256 = '{digest}' }} }}"
    ));
    Row {
        wheels: vec![(file, bytes)],
        ..Row::of_lock(what, &lock, why)
            .code(1)
            .says(&["cannot build `demo` 1.0", why])
    }
}

fn sdist(what: &'static str, members: &[Member<'_>], why: &str) -> Row {
    archive(what, "demo-1.0.tar.gz", tar_gz(members), why)
}

#[test]
fn archives_that_write_elsewhere_are_refused() {
    let ground = Ground::with(&["--no-index", "--build"]);
    let planted = ground.scratch.path("planted");
    let one = |what, member: Member<'_>, why: &str| sdist(what, &[member], why);
    let zeros = vec![0; 1 << 20];
    let names: Vec<String> = (0..70).map(|number| format!("demo-1.0/{number}")).collect();
    let bomb = names
        .iter()
        .map(|name| (Regular, name.as_str(), "", &zeros[..]));
    let bomb: Vec<Member<'_>> = bomb.collect();
    let through = [
        (Symlink, "demo-1.0/l", "..", &b""[..]),
        (Regular, "demo-1.0/l/planted", "", b"evil"),
    ];
    let long = [
        (GNULongName, "x", "", &b"demo-1.0/../../planted\0"[..]),
        (Regular, "x", "", b""),
    ];
    let rows = [
        one(
            "absolute",
            (Regular, planted.to_str().unwrap(), "", b""),
            "its path is absolute",
        ),
        one(
            "climbing",
            (Regular, "demo-1.0/../../../planted", "", b""),
            "its path leads out",
        ),
        sdist("climbing with a long name", &long, "its path leads out"),
        one(
            "a link that leads out",
            (Symlink, "demo-1.0/l", "../../x", b""),
            "which leads out",
        ),
        one(
            "a link to a file",
            (Symlink, "demo-1.0/l", "/etc/passwd", b""),
            "which is absolute",
        ),
        one(
            "a hard link",
            (Link, "demo-1.0/l", "/etc/passwd", b""),
            "its path is absolute",
        ),
        sdist(
            "a file behind a link",
            &through,
            "has two members `demo-1.0/l`",
        ),
        one(
            "a character device",
            (Char, "demo-1.0/null", "", b""),
            "has a device or a FIFO",
        ),
        one(
            "a block device",
            (Block, "demo-1.0/disk", "", b""),
            "has a device or a FIFO",
        ),
        one(
            "a pipe",
            (Fifo, "demo-1.0/pipe", "", b""),
            "has a device or a FIFO",
        ),
        sdist(
            "one that unpacks to far more",
            &bomb,
            "far more bytes than an archive of its size",
        ),
        archive(
            "no archive",
            "demo-1.0.tar.gz",
            b"demo".to_vec(),
            "is damaged",
        ),
        archive(
            "no zip archive",
            "demo-1.0.zip",
            b"demo".to_vec(),
            "is damaged",
        ),
        one(
            "no project",
            (Regular, "demo-1.0/setup.txt", "", b""),
            "is no project",
        ),
    ];
    all_refused(&ground, &rows);
}

#[test]
fn projects_whose_backend_is_elsewhere_are_refused() {
    let project = |what, text: &str, why: &str| {
        let member = (Regular, "demo-1.0/pyproject.toml", "", text.as_bytes());
        sdist(what, &[member], why)
    };
    let backend = |what, backend: &str, path: &str, why: &str| {
        let text = format!(
            "[build-system]\nrequires = []\nbuild-backend = '{backend}'\n\
             backend-path = ['{path}']\n"
        );
        project(what, &text, why)
    };
    let rows = [
        project("no TOML", "<html>", "is malformed"),
        project("no requirements", "[build-system]\n", "without `requires`"),
        backend(
            "above the project",
            "own",
            "..",
            "in `backend-path`, outside",
        ),
        backend(
            "at an absolute path",
            "own",
            "/tmp",
            "in `backend-path`, outside",
        ),
        backend(
            "at an absent path",
            "own",
            "absent",
            "in `backend-path`, outside",
        ),
        backend(
            "code as the backend",
            "os;evil()",
            ".",
            "as its backend, which is no module",
        ),
        backend(
            "a path as the backend",
            "../own",
            ".",
            "as its backend, which is no module",
        ),
    ];
    all_refused(&Ground::with(&["--no-index", "--build"]), &rows);
}
