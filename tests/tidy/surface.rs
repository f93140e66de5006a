//! The public names of the engine: few, and each one shown in use.
//!
//! What is at the root of `rvenv-journal` is what its users write. The rest is in `raw`, which
//! promises nothing.

use std::collections::BTreeSet;
use std::path::Path;

use crate::source::{Source, sources};

/// Names at the root of the engine.
const NAMES_MAX: usize = 45;

#[test]
fn the_root_of_the_engine_has_few_names_and_each_is_in_an_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("journal/src/lib.rs");
    let root = std::fs::read_to_string(root).expect("the engine has a root");
    let names = exported(&root);
    assert!(names.len() <= NAMES_MAX, "{} names", names.len());
    let mut shown = BTreeSet::new();
    for source in sources("journal/examples") {
        shown.extend(words(&source.text).map(str::to_owned));
    }
    for source in sources("journal/src") {
        shown.extend(words(&doctests(&source)).map(str::to_owned));
    }
    let unseen: Vec<_> = names
        .iter()
        .filter(|name| !shown.contains(**name))
        .collect();
    assert!(unseen.is_empty(), "in no example: {unseen:?}");
}

/// What `pub use` re-exports; a glob would hide how much that is.
fn exported(root: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for item in root.split("\npub use ").skip(1) {
        let (item, _) = item.split_once(';').expect("an import ends");
        assert!(!item.contains('*'), "{item}");
        let (_, last) = item.rsplit_once("::").unwrap_or(("", item));
        names.extend(words(last));
    }
    assert!(!names.is_empty());
    names
}

/// The code of a file's doctests.
fn doctests(source: &Source) -> String {
    let mut code = String::new();
    let mut fence = None;
    for line in source.text.lines().map(str::trim_start) {
        let Some(line) = line.strip_prefix("//!").or(line.strip_prefix("///")) else {
            continue;
        };
        match (line.trim().strip_prefix("```"), fence) {
            (Some(_), Some(_)) => fence = None,
            (Some(kind), None) => fence = Some(kind),
            (None, Some("")) => code = code + line + "\n",
            (None, _) => {}
        }
    }
    code
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| !word.is_empty())
}
