//! Text in columns: many short cells side by side, and rows whose parts are aligned.
//!
//! Promises that no cell is cut, and that a line is at most as wide as a screen unless one cell is
//! wider.

use super::signs::{Sign, coloured};

/// The width of a line, with its indentation.
const WIDTH: usize = 100;
const INDENT: &str = "    ";
const GAP: usize = 2;

/// A short text and what happens to it.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) sign: Sign,
    pub(super) text: String,
}

impl Cell {
    fn width(&self) -> usize {
        // The sign and a space come first.
        2 + self.text.chars().count()
    }
}

/// The cells in as many columns as fit, read from top to bottom.
pub(super) fn columns(cells: &[Cell]) -> Vec<String> {
    let room = WIDTH - INDENT.len();
    let fits = |rows: &usize| {
        let widths = widths(cells, *rows);
        let gaps = GAP * widths.len().saturating_sub(1);
        widths.iter().sum::<usize>() + gaps <= room
    };
    let rows = (1..=cells.len()).find(fits).unwrap_or(cells.len());
    let widths = widths(cells, rows);
    let row = |row: usize| {
        let mut line = INDENT.to_owned();
        let of_row = cells.iter().skip(row).step_by(rows.max(1));
        let mut gap = 0;
        for (cell, width) in of_row.zip(&widths) {
            line.extend(std::iter::repeat_n(' ', gap));
            line.push_str(&coloured(cell.sign, &cell.text));
            gap = width - cell.width() + GAP;
        }
        line
    };
    (0..rows).map(row).collect()
}

/// The width of each column if a column has so many rows.
fn widths(cells: &[Cell], rows: usize) -> Vec<usize> {
    let columns = cells.chunks(rows.max(1));
    columns
        .map(|column| column.iter().map(Cell::width).max().unwrap_or(0))
        .collect()
}

/// The cells one after the other, with the sign of the first one before each line.
pub(super) fn flowing(cells: &[Cell]) -> Vec<String> {
    let mut lines: Vec<(Sign, String)> = Vec::new();
    for cell in cells {
        let room = (WIDTH - INDENT.len() - GAP).saturating_sub(cell.width());
        match lines.last_mut() {
            Some((_, line)) if line.chars().count() <= room => {
                line.push_str("  ");
                line.push_str(&cell.text);
            }
            Some(_) | None => lines.push((cell.sign, cell.text.clone())),
        }
    }
    let shown = |(sign, text): &(Sign, String)| format!("{INDENT}{}", coloured(*sign, text));
    lines.iter().map(shown).collect()
}

/// Rows of three parts, each part below the one above.
pub(super) fn aligned(rows: &[[String; 3]]) -> Vec<String> {
    let width = |part: fn(&[String; 3]) -> &String| {
        let all = rows.iter().map(|row| part(row).chars().count());
        all.max().unwrap_or(0)
    };
    let (first, second) = (width(|[one, _, _]| one), width(|[_, two, _]| two));
    let shown = |[one, two, three]: &[String; 3]| {
        let text = format!("{one:first$} {two:second$}  {three}");
        text.trim_end().to_owned()
    };
    rows.iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_fill_as_many_columns_as_fit_from_top_to_bottom() {
        let cell = |text: String| Cell {
            sign: Sign::Add,
            text,
        };
        let cells: Vec<Cell> = (1..=7)
            .map(|n| cell(format!("{n}{}", "x".repeat(18))))
            .collect();
        let plain = |line: String| line.replace("\x1b[32m", "").replace("\x1b[0m", "");
        let lines: Vec<String> = columns(&cells).into_iter().map(plain).collect();
        assert_eq!(lines.len(), 2);
        assert!(
            lines.iter().all(|line| line.chars().count() <= WIDTH),
            "{lines:?}"
        );
        let first: Vec<&str> = lines[0]
            .split_whitespace()
            .filter(|word| *word != "+")
            .collect();
        let numbers: Vec<char> = first
            .iter()
            .filter_map(|word| word.chars().next())
            .collect();
        assert_eq!(numbers, ['1', '3', '5', '7']);
    }

    #[test]
    fn flowing_cells_fill_each_line() {
        let cell = |text: &str| Cell {
            sign: Sign::Keep,
            text: text.to_owned(),
        };
        let cells: Vec<Cell> = (0..30).map(|_| cell("alpha 1.0")).collect();
        let plain = |line: String| line.replace("\x1b[2m", "").replace("\x1b[0m", "");
        let lines: Vec<String> = flowing(&cells).into_iter().map(plain).collect();
        let counts: Vec<usize> = lines
            .iter()
            .map(|line| line.matches("alpha").count())
            .collect();
        assert_eq!(counts, [8, 8, 8, 6]);
        assert!(
            lines.iter().all(|line| line.starts_with("    = alpha")),
            "{lines:?}"
        );
        assert!(
            lines.iter().all(|line| line.chars().count() <= WIDTH),
            "{lines:?}"
        );
    }

    #[test]
    fn a_cell_that_is_wider_than_a_screen_has_a_line_of_its_own() {
        let cell = |text: &str| Cell {
            sign: Sign::Add,
            text: text.to_owned(),
        };
        let wide = "x".repeat(2 * WIDTH);
        let lines = columns(&[cell(&wide), cell("short")]);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains(&wide));
    }

    #[test]
    fn the_parts_of_rows_are_aligned_without_trailing_spaces() {
        let row = |parts: [&str; 3]| parts.map(str::to_owned);
        let rows = [row(["idna", "3.7", "9 files"]), row(["requests", "2", ""])];
        assert_eq!(aligned(&rows), ["idna     3.7  9 files", "requests 2"]);
    }
}
