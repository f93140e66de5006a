//! More checks of an environment that `rvenv` made: its RECORDs are true, and no path of a stage
//! appears in it.
//!
//! Does not check what `venv` makes, and starts nothing: `cpython/mod.rs` tests that an environment
//! runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rvenv_journal::Digest;

use crate::machine::{Kind, tree};

/// Checks that every row names an existing file, with its digest and length, and that every file of
/// the packages has a row.
pub(crate) fn check_records(env: &Path) {
    let tree = tree(env);
    let mut listed = BTreeSet::new();
    for record in tree
        .keys()
        .filter(|path| path.ends_with(".dist-info/RECORD"))
    {
        let rows = fs::read_to_string(env.join(record)).unwrap();
        let dist_info = Path::new(record).parent().unwrap();
        let packages = dist_info.parent().unwrap();
        let installer = fs::read(env.join(dist_info).join("INSTALLER")).unwrap();
        assert_eq!(installer, b"pip\n", "{record}");
        for row in rows.lines() {
            let mut fields = row.rsplitn(3, ',');
            let (len, hash) = (fields.next().unwrap(), fields.next().unwrap());
            let path = normal(&packages.join(fields.next().unwrap()));
            let bytes = fs::read(env.join(&path)).unwrap_or_else(|_| panic!("{row}"));
            if path != *record {
                assert_eq!(hash, format!("sha256={}", urlsafe(&bytes)), "{row}");
                assert_eq!(len, bytes.len().to_string(), "{row}");
            }
            assert!(listed.insert(path), "{row} is there twice");
        }
    }
    let is_package = |path: &&String| path.contains("/site-packages/");
    let is_file = |path: &&String| matches!(tree.get(*path).unwrap().kind, Kind::File(_));
    for path in tree.keys().filter(is_package).filter(is_file) {
        assert!(
            path.contains("/__pycache__/") || path.ends_with("/mine.py") || listed.contains(path),
            "{path} is in no RECORD"
        );
    }
}

fn normal(path: &Path) -> String {
    let mut parts = Vec::new();
    for part in path.to_str().unwrap().split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

/// SHA-256 as RECORD writes it: URL-safe base64, without padding.
fn urlsafe(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let hex = Digest::of(bytes).to_string();
    let bits = hex.chars().fold(String::new(), |bits, digit| {
        format!("{bits}{:04b}", digit.to_digit(16).unwrap())
    });
    let letter = |six: &[u8]| {
        let text = format!("{:0<6}", str::from_utf8(six).unwrap());
        char::from(LETTERS[usize::from_str_radix(&text, 2).unwrap()])
    };
    bits.as_bytes().chunks(6).map(letter).collect()
}

/// Checks that no file contains the name of a stage, and that paths are the environment's own.
pub(crate) fn check_leaks(env: &Path) {
    let place = env.to_str().unwrap();
    for (path, entry) in tree(env) {
        let bytes = match entry.kind {
            Kind::File(_) => fs::read(env.join(&path)).unwrap(),
            Kind::Link(target) => target.into_os_string().into_encoded_bytes(),
            Kind::Dir | Kind::Other => continue,
        };
        let has = |text: &str| {
            bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes())
        };
        assert!(!has(".rvenv.new-"), "{path} names the stage");
        let is_script = bytes.starts_with(format!("#!{place}").as_bytes());
        let name = path.strip_prefix("bin/").unwrap_or_default();
        if name.starts_with("pip") || name.starts_with("easy_install") {
            assert!(is_script, "{path} is run by another interpreter");
        }
        if ["activate", "activate.csh", "activate.fish"].contains(&name) {
            assert!(has(place), "{path} does not say where it is");
        }
    }
}
