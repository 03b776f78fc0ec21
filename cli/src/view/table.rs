//! Lists for people and programs: an aligned table, or the same items as one JSON array.

use serde::Serialize;

use crate::context::Global;

/// Items as one JSON array, or as a table with a heading.
#[expect(clippy::print_stdout, reason = "lists are data")]
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
    println!("{}", aligned(&rows));
}

/// One JSON value on one line.
#[expect(clippy::print_stdout, reason = "answers for programs are data")]
pub(crate) fn json(value: &impl Serialize) {
    if let Ok(line) = serde_json::to_string(value) {
        println!("{line}");
    }
}

/// One text for people.
#[expect(clippy::print_stdout, reason = "an answer is data")]
pub(crate) fn text(text: &str) {
    println!("{}", text.trim_end_matches('\n'));
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
