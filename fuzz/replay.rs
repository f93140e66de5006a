//! Replaying a corpus without a fuzzer.

use std::path::Path;

/// Hands every file of a target's corpus to the target; tells how many there were, and how many were accepted.
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
        // Which file it was is what a panic of the target does not say.
        let named = path.display().to_string();
        std::panic::catch_unwind(|| body(&bytes))
            .unwrap_or_else(|_| panic!("{named} breaks a promise"))
    });
    let accepted = accepted.count();
    (paths.len(), accepted)
}
