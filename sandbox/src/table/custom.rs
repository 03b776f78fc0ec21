//! Columns a CustomResourceDefinition declares, or name and age when it declares none.

use super::json_path::JsonPath;
use super::text::age;
use super::{Row, definition};
use crate::schema::{builtin_kind, description};
use serde_json::{Value, json};

/// The columns of one version of a custom kind, after the name.
pub struct Columns(Vec<Declared>);

struct Declared {
    name: String,
    kind: String,
    format: String,
    about: String,
    priority: i64,
    path: Option<JsonPath>,
}

impl Columns {
    /// Reads `additionalPrinterColumns` of an entry of `spec.versions`.
    pub(super) fn new(version: &Value) -> Self {
        let declared = version["additionalPrinterColumns"].as_array().filter(|columns| !columns.is_empty());
        match declared {
            Some(columns) => Self(columns.iter().map(declare).collect()),
            None => Self(vec![creation()]),
        }
    }

    pub(super) fn definitions(&self) -> Value {
        let name = definition("Name", "string", 0, &about_metadata("name"));
        let others = self.0.iter().map(|column| {
            json!({"name": column.name, "type": column.kind, "format": column.format,
                "description": column.about, "priority": column.priority})
        });
        std::iter::once(name).chain(others).collect()
    }

    pub(super) fn cells(&self, row: &Row<'_>) -> Vec<Value> {
        std::iter::once(row.name()).chain(self.0.iter().map(|column| column.cell(row))).collect()
    }
}

fn about_metadata(field: &str) -> String {
    builtin_kind("", "v1", "ConfigMap")
        .and_then(|kind| description(kind, &["metadata", field]))
        .unwrap_or_default()
}

fn creation() -> Declared {
    Declared {
        name: "Age".to_owned(),
        kind: "date".to_owned(),
        format: String::new(),
        about: about_metadata("creationTimestamp"),
        priority: 0,
        path: JsonPath::parse(".metadata.creationTimestamp"),
    }
}

fn declare(column: &Value) -> Declared {
    let text = |field: &str| column[field].as_str().unwrap_or_default().to_owned();
    let path = text("jsonPath");
    let about = match text("description") {
        about if about.is_empty() => {
            format!("Custom resource definition column (in JSONPath format): {path}")
        }
        about => about,
    };
    Declared {
        name: text("name"),
        kind: text("type"),
        format: text("format"),
        about,
        priority: column["priority"].as_i64().unwrap_or_default(),
        path: JsonPath::parse(&path),
    }
}

impl Declared {
    fn cell(&self, row: &Row<'_>) -> Value {
        let found = self.path.as_ref().map(|path| path.find(row.object)).unwrap_or_default();
        let Some(value) = found.first().filter(|value| !value.is_null()) else { return Value::Null };
        match self.kind.as_str() {
            "integer" => value.as_f64().map_or(Value::Null, |number| json!(number as i64)),
            "number" => value.as_f64().map_or(Value::Null, |number| json!(number)),
            "boolean" => value.as_bool().map_or(Value::Null, Value::from),
            "date" => date(value, row.now),
            _ => json!(plain(value)),
        }
    }
}

fn date(value: &Value, now: i64) -> Value {
    match value.as_str() {
        None => Value::Null,
        Some(text) if text.parse::<jiff::Timestamp>().is_err() => json!("<invalid>"),
        Some(_) => json!(age(value, now)),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
