//! The end of a report: tables, measures and checks, as data on stdout.

use aegis_engine::report::Report;
use serde_json::Value;

use crate::context::Global;

/// Shows what a run put into its report.
#[expect(clippy::print_stdout, reason = "a report is data")]
pub(crate) fn show(report: &Report, global: &Global) {
    if global.json() {
        return;
    }
    for table in &report.tables {
        println!("\n{}", text(&table["title"]));
        println!("{}", rendered(table));
    }
    for measure in &report.measures {
        let objective =
            measure.get("objective").map_or_else(String::new, |o| format!(" (objective {})", text(o)));
        println!("{}: {}{objective}", text(&measure["name"]), text(&measure["value"]));
    }
    let failed: Vec<&Value> = report.checks.iter().filter(|check| check["status"] != "pass").collect();
    if !report.checks.is_empty() {
        println!("checks: {} passed of {}", report.checks.len() - failed.len(), report.checks.len());
    }
    for check in failed {
        let (id, status) = (text(&check["id"]), text(&check["status"]));
        println!("  {status}: {id}: {} ({})", text(&check["read"]), text(&check["from"]));
    }
}

/// Columns padded to their widest cell.
fn rendered(table: &Value) -> String {
    let row = |cells: &Value| cells.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    let mut rows = vec![row(&table["columns"])];
    rows.extend(table["rows"].as_array().into_iter().flatten().map(row));
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned)
}
