//! Files that go aside in a rollback and belong to no distribution: what was edited or written
//! since, and scripts whose interpreter goes.
//!
//! Promises to write nothing. Without a receipt nothing is known of what was edited, and nothing is
//! named.
//!
//! Read next: `../rollback.rs`.

use std::ffi::OsStr;
use std::io::Read as _;

use rvenv_journal::fs::{Dir, Fs, FsError, Kind};
use rvenv_journal::raw::ENGINE_DIR;
use rvenv_journal::{RelPath, drift};

use crate::change::existing::Libs;
use crate::change::merge::receipt_in;
use crate::change::verify::departures;

/// How much of a script is read: the two lines that name its interpreter.
const HEAD_BYTES_MAX: u64 = 4096;

/// The paths that differ from the receipt or that it does not have, without the engine's own, the
/// bytecode that Python writes, and the distributions that another installer replaced.
pub(super) fn drift_in(fs: &dyn Fs, root: &Dir) -> Result<Vec<String>, FsError> {
    let Some(receipt) = receipt_in(fs, root) else {
        return Ok(Vec::new());
    };
    let libs = Libs::read(fs, root)?.libs;
    let departed = departures(fs, root, &receipt, &libs)?.paths;
    let found = drift(fs, root, &receipt)?.into_iter();
    let found = found.filter(|drift| !drift.is_of_bytecode());
    let paths = found.map(|drift| drift.path).filter(|path| {
        let is_departed = RelPath::new(path).is_ok_and(|path| departed.contains(&path));
        !path.is_empty() && path != ENGINE_DIR && !is_departed
    });
    Ok(paths.collect())
}

/// The scripts in `bin` that start one of these interpreters.
pub(super) fn starting(
    fs: &dyn Fs,
    root: &Dir,
    interpreters: &[String],
) -> Result<Vec<RelPath>, FsError> {
    let Ok(bin) = fs.open_dir(root, OsStr::new("bin")) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    if interpreters.is_empty() {
        return Ok(found);
    }
    for name in fs.list(&bin)? {
        let path = name
            .to_str()
            .and_then(|name| RelPath::new(&format!("bin/{name}")).ok());
        let is_file = fs
            .meta(&bin, &name)?
            .is_some_and(|meta| meta.kind == Kind::File);
        let Some(path) = path.filter(|_| is_file) else {
            continue;
        };
        let mut head = Vec::new();
        let Ok(file) = fs.open_file(&bin, &name, u64::MAX) else {
            continue;
        };
        let read = file.take(HEAD_BYTES_MAX).read_to_end(&mut head);
        let head = String::from_utf8_lossy(&head);
        let mut lines = head.lines().take(2);
        if read.is_ok() && head.starts_with("#!") && lines.any(|line| names(line, interpreters)) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Whether a line has one of these paths, and not only the beginning of a longer one.
fn names(line: &str, interpreters: &[String]) -> bool {
    interpreters.iter().any(|python| {
        let mut ends = line
            .match_indices(python.as_str())
            .map(|(at, _)| at + python.len());
        ends.any(|end| {
            let next = line.get(end..).and_then(|rest| rest.chars().next());
            next.is_none_or(|next| next.is_whitespace() || "\"'".contains(next))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_an_interpreter_and_no_longer_name() {
        let python = ["/e/bin/python3.1".to_owned()];
        assert!(names("#!/e/bin/python3.1", &python));
        assert!(names("#!/e/bin/python3.1 -I", &python));
        assert!(names(
            "'''exec' \"/e/bin/python3.1\" \"$0\" \"$@\"",
            &python
        ));
        assert!(!names("#!/e/bin/python3.12", &python));
        assert!(!names("#!/e/bin/python3", &python));
    }
}
