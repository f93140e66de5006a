//! The width of lines: 100 columns, in code, comments and the prose of documents.
//!
//! A text in quotes stays on one line, so that it can be found as it is written; in a document,
//! tables and blocks of code keep theirs.

use crate::source::{Source, without_texts};

/// Columns of a line.
const COLUMNS_MAX: usize = 100;

/// The lines of a file that are too long.
pub(crate) fn of_source(source: &Source) -> Vec<String> {
    let code = without_texts(&source.text);
    let lines = source.text.lines().zip(code.lines()).enumerate();
    let long = lines.filter(|(_, (line, code))| {
        let is_comment = line.trim_start().starts_with("//");
        let line = if is_comment { line } else { code };
        line.chars().count() > COLUMNS_MAX
    });
    let path = source.path.display();
    long.map(|(at, _)| format!("{path}:{}", at + 1)).collect()
}

/// The lines of a document that are too long.
pub(crate) fn of_document(path: &str, text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut long = Vec::new();
    for (at, line) in text.lines().enumerate() {
        is_code ^= line.trim_start().starts_with("```");
        // A word that is longer than a line cannot be broken: an address, or a badge.
        let is_one_word = !line.trim().trim_start_matches("- ").contains(' ');
        let is_exempt = is_code || line.starts_with('|') || is_one_word;
        if !is_exempt && line.chars().count() > COLUMNS_MAX {
            long.push(format!("{path}:{}", at + 1));
        }
    }
    long
}
