//! Locks and requirements files that lie, that lead elsewhere, or that are none.
//!
//! The honest wheel lies beside each of them: what is refused is the lock.

use std::fs;

use rvenv_journal::Digest;

use super::archive::Wheel;
use super::{Ground, Row, SECRET, WHEEL, all_refused, lock_of, locked};

fn digest() -> Digest {
    Digest::of(&Wheel::new().bytes())
}

/// A lock with one wheel, of which this is the table.
fn wheel(table: &str) -> String {
    let hashes = format!("hashes = {{ sha256 = '{}' }}", digest());
    locked(&format!(
        "wheels = [{{ {} }}]",
        table.replace("HASHES", &hashes)
    ))
}

fn honest() -> String {
    lock_of(WHEEL, &Wheel::new().bytes())
}

#[test]
fn locks_that_are_none_are_refused() {
    let without = |line: &str| honest().replace(line, "");
    let deep = format!("lock-version = '1.0'\nx = {}", "[".repeat(100_000));
    let rows = [
        Row::of_lock("no TOML", "<html>", "line 1"),
        Row::of_lock("nothing", "", "missing field `packages`"),
        Row::of_lock("nested without an end", &deep, "pylock.toml"),
        Row::of_lock(
            "no format",
            &without("lock-version = '1.0'\n"),
            "`lock-version` is missing",
        ),
        Row::of_lock(
            "a newer format",
            &honest().replace("'1.0'\ncreated", "'2.0'\ncreated"),
            "its format is version 2.0",
        ),
        Row {
            lock: ("pylock.toml", b"lock-version = '1.0'\n# \xff".to_vec()),
            ..Row::of_lock("no text", "", "it is not UTF-8")
        },
        Row::of_lock("too long", &"#".repeat((64 << 20) + 1), "it is larger than"),
        Row::of_lock(
            "two packages of one name",
            &format!(
                "{0}{1}",
                honest(),
                honest().split_once("created-by = 'hand'\n").unwrap().1
            ),
            "`demo` is there twice for this environment: at packages[0] and at packages[1]",
        )
        .code(3),
        Row::of_lock(
            "no source",
            &locked(""),
            "packages[0] (`demo`): it has no source",
        ),
        Row::of_lock(
            "sources of two kinds",
            &format!("{}directory = {{ path = '.' }}\n", honest()),
            "sources of more than one kind",
        ),
        Row::of_lock(
            "a name with a path",
            &honest().replace("name = 'demo'", "name = '../demo'"),
            "`name` is `../demo`, which is not a normalized name",
        ),
        Row::of_lock(
            "a name with an escape sequence",
            &honest().replace("name = 'demo'", "name = \"a\\u001b[2J\""),
            "which is not a normalized name",
        ),
        Row::of_lock(
            "a version that is none",
            &honest().replace("version = '1.0'\nwheels", "version = '../1'\nwheels"),
            "which is not a version",
        ),
        Row::of_lock(
            "a marker that is code",
            &honest().replace("wheels =", "marker = '__import__(\"os\")'\nwheels ="),
            "which is not a marker",
        ),
    ];
    all_refused(&Ground::new(), &rows);
}

#[test]
fn files_of_locks_that_lie_are_refused() {
    let zeros = "0".repeat(64);
    let md5 = "0".repeat(32);
    let path = |name: &str| wheel(&format!("path = '{name}', HASHES"));
    let of = |what, table: String, why: &str| Row::of_lock(what, &wheel(&table), why);
    let rows = [
        of(
            "no hash",
            format!("path = '{WHEEL}'"),
            "`hashes` is missing",
        ),
        of(
            "an empty hash",
            format!("path = '{WHEEL}', hashes = {{}}"),
            "`hashes` is missing",
        ),
        of(
            "a weak hash",
            format!("path = '{WHEEL}', hashes = {{ md5 = '{md5}' }}"),
            "has no hash of sha256, sha384 or sha512 (it has md5)",
        ),
        of(
            "a hash that is none",
            format!("path = '{WHEEL}', hashes = {{ sha256 = '../x' }}"),
            "is malformed",
        ),
        of(
            "another hash",
            format!("path = '{WHEEL}', hashes = {{ sha256 = '{zeros}' }}"),
            "which is not the expected one",
        )
        .code(1)
        .says(&[WHEEL, "which is not the expected one"]),
        of(
            "another size",
            format!("path = '{WHEEL}', size = 7, HASHES"),
            "not 7",
        )
        .code(1)
        .says(&[WHEEL, "bytes, not 7"]),
        Row::of_lock(
            "no wheel",
            &path("/etc/passwd"),
            "which is not a wheel's name",
        ),
        Row::of_lock(
            "a wheel of another",
            &path("../pip-1.0-py3-none-any.whl"),
            "is not of this",
        ),
        Row::of_lock(
            "another version",
            &path("demo-2.0-py3-none-any.whl"),
            "is not of this",
        ),
        Row::of_lock(
            "a name with a path",
            &wheel(&format!("name = '../{WHEEL}', path = '{WHEEL}', HASHES")),
            "which is not a file's name",
        ),
        Row::of_lock(
            "a URL whose name has a path",
            &wheel(&format!(
                "url = 'https://files.invalid/..%2f..%2f{WHEEL}', HASHES"
            )),
            "which is not a file's name",
        ),
        Row::of_lock(
            "an absolute path to other bytes",
            &path(&format!("/etc/{WHEEL}")),
            "",
        )
        .code(1)
        .says(&[WHEEL, "cannot fetch"]),
        Row::of_lock(
            "a URL of a file",
            &wheel(&format!("url = 'file:///etc/{WHEEL}', HASHES")),
            "",
        )
        .code(1)
        .says(&[WHEEL, "cannot fetch"]),
        Row::of_lock(
            "a URL of code",
            &wheel(&format!("url = 'data:x/{WHEEL}', HASHES")),
            "",
        )
        .code(2)
        .says(&[WHEEL, "its scheme is none of https, http and file"]),
        Row::of_lock(
            "a URL on another host, with a password",
            &wheel(&format!(
                "url = 'https://me:{SECRET}@files.invalid/{WHEEL}?k={SECRET}', HASHES"
            )),
            "",
        )
        .code(1)
        .says(&[
            &format!("https://files.invalid/{WHEEL}?****"),
            "the host `files.invalid` is neither an index's nor allowed",
        ]),
        Row::of_lock(
            "a URL with a host that is none",
            &wheel(&format!(
                "url = 'https://me:{SECRET}@ex ample/{WHEEL}', HASHES"
            )),
            "",
        )
        .says(&[WHEEL, "it has no valid host"]),
    ];
    all_refused(&Ground::new(), &rows);
}

#[test]
fn sources_of_locks_that_lead_elsewhere_are_refused() {
    let ground = Ground::with(&["--no-index", "--build"]);
    let git = |url: &str, commit: &str| {
        locked(&format!(
            "vcs = {{ type = 'git', url = '{url}', commit-id = '{commit}' }}"
        ))
    };
    let commit = "0".repeat(40);
    let archive = |more: &str| {
        locked(&format!(
            "archive = {{ path = '{WHEEL}', hashes = {{ sha256 = '{}' }}{more} }}",
            digest()
        ))
    };
    let rows = [
        Row::of_lock(
            "an option in place of a URL",
            &git("--upload-pack=touch planted", &commit),
            "",
        )
        .code(1)
        .says(&["cannot build `demo` 1.0", "--upload-pack"]),
        Row::of_lock(
            "a URL that starts a program",
            &git("ext::sh -c touch% planted", &commit),
            "",
        )
        .code(1)
        .says(&["cannot build `demo` 1.0"]),
        Row::of_lock(
            "an option in place of a commit",
            &git("file:///nowhere", "--output=x"),
            "",
        )
        .code(1)
        .says(&["cannot build `demo` 1.0"]),
        Row::of_lock(
            "a branch in place of a commit",
            &git("file:///nowhere", "main"),
            "",
        )
        .code(1)
        .says(&["cannot build `demo` 1.0"]),
        Row::of_lock(
            "a repository with a password",
            &git(&format!("https://me:{SECRET}@files.invalid/x"), &commit),
            "",
        )
        .code(1)
        .says(&["cannot build `demo` 1.0", "files.invalid"]),
        Row::of_lock(
            "another kind of repository",
            &git("x", &commit).replace("'git'", "'--config=x'"),
            "",
        )
        .code(1)
        .says(&["demo"]),
        Row::of_lock(
            "a directory above an archive",
            &archive(", subdirectory = 'a/../..'"),
            "`subdirectory` is `a/../..`, which is not a path below the sources",
        ),
        Row::of_lock(
            "an absolute directory of an archive",
            &archive(", subdirectory = '/etc'"),
            "which is not a path below the sources",
        ),
        Row::of_lock(
            "a directory that is absent",
            &locked("directory = { path = '../nowhere' }"),
            "",
        )
        .code(1)
        .says(&["cannot build `demo` 1.0", "nowhere"]),
        Row::of_lock(
            "a directory above another",
            &locked("directory = { path = '.', subdirectory = '../../..' }"),
            "which is not a path below the sources",
        ),
        Row::of_lock(
            "a directory above a repository",
            &git("file:///nowhere", &commit).replace("commit-id", "subdirectory = '..', commit-id"),
            "which is not a path below the sources",
        ),
    ];
    all_refused(&ground, &rows);
}

#[test]
fn requirements_that_lead_elsewhere_are_refused() {
    let ground = Ground::new();
    let hash = format!("--hash=sha256:{}", digest());
    let md5 = "0".repeat(32);
    let here = ground.scratch.path("");
    fs::write(here.join("loop.txt"), "-r loop.txt\n").unwrap();
    let of = |what, text: String, why: &str| Row::of_requirements(what, &text, why);
    let rows = [
        of(
            "a file by URL",
            format!("-r https://files.invalid/x.txt\ndemo==1 {hash}\n"),
            "is a URL",
        ),
        of(
            "a circle",
            format!("-r loop.txt\ndemo==1.0 {hash}\n"),
            "nested more than",
        )
        .says(&["loop.txt", "nested more than"]),
        of(
            "a file that is absent",
            format!("-r absent.txt\ndemo==1.0 {hash}\n"),
            "",
        )
        .says(&["absent.txt", "it cannot be read"]),
        of("a directory", format!("-r /etc\ndemo==1.0 {hash}\n"), "")
            .says(&["/etc", "it cannot be read"]),
        of(
            "a weak hash",
            format!("demo==1.0 --hash=md5:{md5}\n"),
            "line 1: ",
        ),
        of(
            "a hash that is none",
            "demo==1.0 --hash=sha256:../x\n".into(),
            "is malformed",
        ),
        of(
            "one without a hash",
            format!("demo==1.0 {hash}\npip==1.0\n"),
            "line 2: `pip==1.0` has no",
        ),
        of(
            "one without a version",
            format!("demo {hash}\n"),
            "has no version with `==`",
        ),
        of(
            "an option that runs a program",
            format!("--exec=x\ndemo==1.0 {hash}\n"),
            "no option",
        ),
        of(
            "a quote that is not closed",
            format!("demo==1.0 '{hash}\n"),
            "is no requirement",
        ),
        of(
            "a name with a path",
            format!("../demo==1.0 {hash}\n"),
            "line 1",
        ),
        of(
            "an escape sequence",
            format!("\x1b[2J==1.0 {hash}\n"),
            "is no requirement",
        ),
        of(
            "a URL with a password",
            format!("demo @ https://me:{SECRET}@files.invalid/{WHEEL} {hash}\n"),
            "",
        )
        .code(1)
        .says(&[
            WHEEL,
            "the host `files.invalid` is neither an index's nor allowed",
        ]),
        of(
            "an index with a password",
            format!("--index-url https://me:{SECRET}@ex ample/\ndemo==1.0 {hash}\n"),
            "",
        ),
        of(
            "another hash",
            format!(
                "--find-links .\ndemo==1.0 --hash=sha256:{}\n",
                "0".repeat(64)
            ),
            "",
        )
        .code(1)
        .says(&[WHEEL, "which is not the expected one"]),
    ];
    all_refused(&ground, &rows);
}
