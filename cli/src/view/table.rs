//! Lists for people and programs: an aligned table, or the same items as one JSON array.

use std::io::Write;

use serde::Serialize;

use crate::context::Global;

/// Items as one JSON array, or as a table with a heading.
pub(crate) fn list<T: Serialize>(
    global: &Global,
    items: &[T],
    head: &[&str],
    row: impl Fn(&T) -> Vec<String>,
) {
    if global.json() {
        return json(&items);
    }
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(items.iter().map(row)).collect();
    text(&aligned(&rows));
}

/// One JSON value on one line.
pub(crate) fn json(value: &impl Serialize) {
    if let Ok(line) = serde_json::to_string(value) {
        text(&line);
    }
}

/// One text for people.
pub(crate) fn text(text: &str) {
    // A reader that has gone away (`| head`) is no error.
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end_matches('\n'));
}

/// Columns as wide as their widest cell, two blanks apart.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
