//! The end of a report: tables, measures and checks, as data on stdout.

use aegis_engine::report::Report;
use aegis_engine::text::printable;
use serde_json::Value;

use super::table::{aligned, text as line};
use crate::context::Global;

/// Shows what a run put into its report.
pub(crate) fn show(report: &Report, global: &Global) {
    if global.json() {
        return;
    }
    for table in &report.tables {
        line(&format!("\n{}", text(&table["title"])));
        line(&rendered(table));
    }
    for measure in &report.measures {
        let objective =
            measure.get("objective").map_or_else(String::new, |o| format!(" (objective {})", text(o)));
        line(&format!("{}: {}{objective}", text(&measure["name"]), text(&measure["value"])));
    }
    let failed: Vec<&Value> = report.checks.iter().filter(|check| check["status"] != "pass").collect();
    if !report.checks.is_empty() {
        line(&format!("checks: {} passed of {}", report.checks.len() - failed.len(), report.checks.len()));
    }
    for check in failed {
        let (id, status) = (text(&check["id"]), text(&check["status"]));
        line(&format!("  {status}: {id}: {} ({})", text(&check["read"]), text(&check["from"])));
    }
}

/// Columns padded to their widest cell.
fn rendered(table: &Value) -> String {
    let row = |cells: &Value| cells.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    let mut rows = vec![row(&table["columns"])];
    rows.extend(table["rows"].as_array().into_iter().flatten().map(row));
    aligned(&rows)
}

fn text(value: &Value) -> String {
    let text = value
        .as_str()
        .map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned);
    printable(&text).into_owned()
}
