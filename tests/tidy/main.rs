//! Tidiness as a test: floors, sizes and conventions of the sources, which no compiler checks.
//!
//! A file may use files on lower floors only (ARCHITECTURE.md draws them); files and functions are
//! small enough to be read in one go; every file says at its head what it promises.

#![expect(
    clippy::indexing_slicing,
    reason = "a test that reads past an end fails, as it should"
)]

mod columns;
mod floors;
mod links;
mod source;
mod surface;
mod versions;

use std::path::Path;

use crate::source::{Source, sources};

/// The two crates.
const CRATES: [&str; 2] = ["src", "journal/src"];
/// All folders with Rust sources.
const ALL: [&str; 9] = [
    "src",
    "journal/src",
    "tests",
    "journal/tests",
    "benches",
    "examples",
    "journal/examples",
    "fuzz/src",
    "fuzz/fuzz_targets",
];

/// Lines of a file, its unit tests not counted.
const FILE_LINES_MAX: usize = 600;
/// Lines of a function.
const FUNCTION_LINES_MAX: usize = 70;

/// Files of the product that may hold more of the engine than its data types.
const PUBLISHERS: &[&str] = &[
    "base",
    "distributions",
    "installed",
    "change",
    "shelf",
    "layout",
    "front",
    "bin",
];
/// What a builder must not be able to do.
const POWERS: &[&str] = &["Fs", "Ready", "Store", "RealFs", "Terms", "StageOptions"];

/// A text without its comments: examples in comments may do what code must not.
fn code(text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

fn is_publisher(source: &Source) -> bool {
    let mut names = source.module.iter();
    names.any(|name| PUBLISHERS.contains(&name.as_str()))
}

/// I4: everything that a hook does is in the plan, because a hook has no other way to act.
#[test]
fn a_builder_cannot_publish() {
    for source in sources("src").iter().filter(|source| !is_publisher(source)) {
        for import in code(source.body()).split("use rvenv_journal::").skip(1) {
            let import = import.split(';').next().unwrap_or_default();
            let words = import.split(|c: char| !c.is_ascii_alphanumeric());
            let power = words.into_iter().find(|word| POWERS.contains(word));
            assert_eq!(power, None, "{}", source.path.display());
        }
    }
}

#[test]
fn files_end_where_one_can_still_read_them() {
    for source in ALL.into_iter().flat_map(sources) {
        let lines = source.body().lines().count();
        assert!(
            lines <= FILE_LINES_MAX,
            "{} has {lines} lines",
            source.path.display()
        );
    }
}

#[test]
fn functions_end_where_one_can_still_see_them() {
    for source in ALL.into_iter().flat_map(sources) {
        let mut open: Option<(usize, String)> = None;
        for (number, line) in source.text.lines().enumerate() {
            let indent = &line[..line.len() - line.trim_start().len()];
            let starts =
                line.contains("fn ") && line.contains('(') && !line.trim_start().starts_with("//");
            if starts && open.is_none() && !line.trim_end().ends_with(';') {
                open = Some((number, indent.to_owned()));
            }
            let Some((start, start_indent)) = &open else {
                continue;
            };
            let ends = line.trim_end() == format!("{start_indent}}}")
                || line.ends_with("{}")
                || line.ends_with(");")
                // A declaration in a trait, whose answer has a line of its own.
                || (line.trim_start().starts_with("->") && line.ends_with(';'));
            if ends {
                let length = number - start + 1;
                let at = format!("{}:{}", source.path.display(), start + 1);
                assert!(length <= FUNCTION_LINES_MAX, "{at} has {length} lines");
                open = None;
            }
        }
    }
}

#[test]
fn every_file_says_at_its_head_what_it_promises() {
    for source in CRATES.into_iter().flat_map(sources) {
        assert!(source.text.starts_with("//! "), "{}", source.path.display());
    }
}

/// One function knows when a noun is in the singular; a format string that counts by itself is
/// wrong for one.
#[test]
fn counts_are_worded_by_one_function() {
    let plurals = [
        "bytes",
        "changes",
        "directories",
        "distributions",
        "entries",
        "environments",
        "files",
        "generations",
        "interpreters",
        "leftovers",
        "lines",
        "links",
        "names",
        "packages",
        "paths",
        "places",
        "processes",
        "renames",
        "steps",
        "wheels",
    ];
    for source in CRATES.into_iter().flat_map(sources) {
        for text in code(source.body()).split("} ").skip(1) {
            // As in `{count} managed paths`: one word may come before the noun.
            let words = text.split(|c: char| !c.is_ascii_alphabetic()).take(2);
            let plural = words.into_iter().find(|word| plurals.contains(word));
            assert_eq!(plural, None, "{}: `{text:.60}`", source.path.display());
        }
    }
}

/// A pair without a name hides a sixth argument: the function wants another one, or a type.
#[test]
fn functions_take_no_unnamed_tuples() {
    for source in CRATES.into_iter().flat_map(sources) {
        for line in code(source.body()).lines().map(str::trim) {
            let Some((pattern, _)) = line.split_once("): (") else {
                continue;
            };
            let names = pattern.rsplit('(').next().unwrap_or_default();
            let is_list = names.contains(", ")
                && names
                    .chars()
                    .all(|c| c.is_alphanumeric() || matches!(c, '_' | ',' | ' '));
            let is_parameter = line.starts_with('(') || line.contains("fn ");
            // A trait of the standard library may want it.
            let is_free = !line.contains("fn try_from(") && !pattern.contains('|');
            let found = is_list && is_parameter && is_free;
            assert!(!found, "{}: `{line}`", source.path.display());
        }
    }
}

#[test]
fn nothing_is_put_off() {
    let put_off = [
        "TO".to_owned() + "DO",
        "FIX".to_owned() + "ME",
        "#[ig".to_owned() + "nore",
        "#[al".to_owned() + "low(",
    ];
    for source in ALL.into_iter().flat_map(sources) {
        let word = put_off
            .iter()
            .find(|word| source.text.contains(word.as_str()));
        assert_eq!(word, None, "{}", source.path.display());
    }
}

/// The documents for people.
fn documents() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for dir in [root.to_path_buf(), root.join("docs")] {
        for entry in std::fs::read_dir(dir).expect("the folder exists") {
            let path = entry.expect("a listing goes on").path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = std::fs::read_to_string(&path).expect("a document is UTF-8");
                found.push((path.display().to_string(), text));
            }
        }
    }
    found
}

#[test]
fn lines_end_at_100_columns() {
    let sources = ALL.into_iter().flat_map(sources);
    let mut long: Vec<_> = sources
        .flat_map(|source| columns::of_source(&source))
        .collect();
    for (path, text) in documents() {
        long.extend(columns::of_document(&path, &text));
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// A move of a file must not leave its old name in a comment or a document.
#[test]
fn every_source_file_that_a_comment_names_exists() {
    let sources: Vec<_> = ALL.into_iter().flat_map(sources).collect();
    let exists = |name: &str| sources.iter().any(|source| source.path.ends_with(name));
    let comments = sources.iter().map(|source| {
        let lines = source.text.lines().map(str::trim_start);
        let comments: Vec<_> = lines.filter(|line| line.starts_with("//")).collect();
        (source.path.display().to_string(), comments.join("\n"))
    });
    let mut missing = Vec::new();
    for (path, text) in comments.chain(documents()) {
        for name in text
            .lines()
            .flat_map(|line| line.split('`').skip(1).step_by(2))
        {
            let is_file = Path::new(name).extension().is_some_and(|it| it == "rs");
            let name = name.trim_start_matches("../");
            if is_file && !name.contains([' ', '*']) && !exists(name) {
                missing.push(format!("{path} names `{name}`"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// A table of situations is only as good as the tests that it names.
#[test]
fn every_test_that_a_document_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = Vec::new();
    for below in ["tests", "journal/tests"] {
        tests.extend(sources(below));
    }
    let exists = |name: &str| {
        let (file, test) = name.rsplit_once("::")?;
        let file = format!("{}.rs", file.replace("::", "/"));
        let mut of_file = tests.iter().filter(|source| source.path.ends_with(&file));
        of_file.find(|source| source.text.contains(&format!("fn {test}()")))
    };
    for document in ["docs/field-notes.md", "docs/security.md"] {
        let text = std::fs::read_to_string(root.join(document)).expect("the document exists");
        let mut count = 0;
        for row in text.lines().filter(|line| line.starts_with("| ")) {
            let cells: Vec<_> = row.trim_end_matches(" |").split(" | ").collect();
            let last = cells.last().copied().unwrap_or_default();
            for name in last.split('`').filter(|name| name.contains("::")) {
                assert!(exists(name).is_some(), "{document} names `{name}`");
                count += 1;
            }
        }
        assert!(count > 5, "{document} names {count} tests");
    }
}
