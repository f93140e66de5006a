//! The tree that engines are compared on: small files, a hundred per directory, whose bytes
//! identify file and edition.
//!
//! All racers compile this same file, so that all write the same bytes.

/// Files in one directory.
const PER_DIR: usize = 100;
/// Bytes of a file, about the size of a small module.
const LEN: usize = 1024;

/// The path of a file.
pub(crate) fn path(file: usize) -> String {
    format!("dir_{:04}/file_{file:06}", file / PER_DIR)
}

/// The bytes of a file in an edition.
pub(crate) fn bytes(file: usize, edition: usize) -> Vec<u8> {
    let line = format!("file {file:08} edition {edition:04}\n");
    line.bytes().cycle().take(LEN).collect()
}

/// The files that a workload replaces.
pub(crate) fn replaced(workload: &str, files: usize) -> Vec<usize> {
    match workload {
        "all" => (0..files).collect(),
        // Spread over the tree, as an upgrade's are.
        _ => (0..10.min(files))
            .map(|number| number * files / 10)
            .collect(),
    }
}
