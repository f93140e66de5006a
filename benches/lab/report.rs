//! Tables and plots, on the terminal and in the documentation.
//!
//! Promises that generated text in a document is between two marks, and that nothing outside of
//! them changes. A block that this run did not measure stays unchanged.

use std::fs;
use std::path::Path;

use super::timing::Times;

/// Documents with generated blocks.
const DOCUMENTS: &[&str] = &["README.md", "docs/performance.md", "docs/fleet.md"];

/// The results of a run, by the names of the blocks.
#[derive(Debug, Default)]
pub(crate) struct Report {
    blocks: Vec<(String, String)>,
    plots: Vec<(String, String)>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Prints a text, and keeps it.
    pub(crate) fn say(&mut self, block: &str, text: &str) {
        println!("{text}\n");
        self.blocks.push((block.to_owned(), text.to_owned()));
    }

    /// Prints a table, and keeps it.
    pub(crate) fn table(&mut self, block: &str, head: &[&str], rows: &[Vec<String>]) {
        let text = table(head, rows);
        self.say(block, &text);
    }

    /// Keeps a plot, to be shown beside a document.
    pub(crate) fn plot(&mut self, name: &str, svg: String) {
        self.plots.push((name.to_owned(), svg));
    }

    /// Writes every block and plot where it belongs.
    pub(crate) fn write_docs(&self) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (name, svg) in &self.plots {
            let path = root.join("docs").join(name);
            fs::write(&path, svg).expect("a plot can be written");
        }
        for document in DOCUMENTS {
            let path = root.join(document);
            let mut text = fs::read_to_string(&path).expect("a document can be read");
            for (name, block) in &self.blocks {
                text = replaced(&text, name, block).unwrap_or(text);
            }
            fs::write(&path, text).expect("a document can be written");
        }
        println!("written: {}, docs/*.svg", DOCUMENTS.join(", "));
    }
}

/// The text with a new block; `None` where it has no such block.
fn replaced(text: &str, name: &str, block: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- generated: {name} -->"), "<!-- end -->");
    let (before, rest) = text.split_once(&begin)?;
    let (_old, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n{block}\n{end}{after}"))
}

fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widths = cells.map(|cell| cell.chars().count());
        let own = head.get(column).map_or(0, |cell| cell.chars().count());
        widths.max().unwrap_or(0).max(own)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| {
            // Numbers are right-aligned, names left-aligned.
            if cell.starts_with(|c: char| c.is_ascii_digit()) {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            }
        });
        format!("| {} |", padded.collect::<Vec<_>>().join(" | "))
    };
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
    let mut lines = vec![line(&head), format!("|{}|", rule.join("|"))];
    lines.extend(rows.iter().map(|row| line(row)));
    lines.join("\n")
}

/// A time as shown in a table.
pub(crate) fn millis(seconds: f64) -> String {
    let millis = seconds * 1000.0;
    if millis < 100.0 {
        format!("{millis:.1} ms")
    } else if seconds < 10.0 {
        format!("{millis:.0} ms")
    } else {
        format!("{seconds:.1} s")
    }
}

/// Median, quartiles, minimum and number of some times, as shown in a table.
pub(crate) fn spread_cells(times: &Times) -> [String; 4] {
    match times.spread() {
        Some(spread) => [
            millis(spread.median),
            format!("{} – {}", millis(spread.low), millis(spread.high)),
            millis(spread.least),
            times.len().to_string(),
        ],
        None => ["–", "–", "–", "0"].map(str::to_owned),
    }
}
