//! Replaying a corpus without a fuzzer.

use std::path::Path;

/// Runs a target on every file of its corpus; returns how many there are, and how many are
/// accepted.
pub fn replay(root: &str, target: &str, body: fn(&[u8]) -> bool) -> (usize, usize) {
    let root = Path::new(root).join("fuzz/corpus").join(target);
    let listing = std::fs::read_dir(&root);
    let listing = listing.unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let mut paths: Vec<_> = listing
        .map(|entry| entry.expect("a listing goes on").path())
        .collect();
    paths.sort();
    let accepted = paths.iter().filter(|path| {
        let bytes = std::fs::read(path).expect("the corpus is readable");
        // A panic of the target does not name the file.
        let named = path.display().to_string();
        std::panic::catch_unwind(|| body(&bytes))
            .unwrap_or_else(|_| panic!("{named} breaks a promise"))
    });
    let accepted = accepted.count();
    (paths.len(), accepted)
}
