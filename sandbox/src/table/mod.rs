//! Tables: the columns `kubectl get` shows for a kind, and the cells of one object.
//!
//! [`Printer::builtin`] knows the built-in kinds (a visible list, one row a kind, in the files below),
//! [`Printer::custom`] reads `additionalPrinterColumns`. Anything else shows its name and when it was
//! created. Cells are computed at a given instant, because ages are.
//!
//! | file       | kinds                                          |
//! |------------|------------------------------------------------|
//! | `workload` | pods and what makes them                       |
//! | `network`  | services, endpoints, ingresses, policies       |
//! | `storage`  | volumes, claims, classes                       |
//! | `cluster`  | nodes, namespaces, events, leases, configuration|
//! | `policy`   | quotas, budgets, roles, webhooks, API services |
//! | `custom`   | columns of CustomResourceDefinitions           |

mod cluster;
mod custom;
mod json_path;
mod network;
mod pod;
mod policy;
mod storage;
mod text;
mod workload;

pub use json_path::JsonPath;

use crate::schema::{builtin_kind, description};
use serde_json::{Value, json};

/// A column of a built-in kind.
struct Column {
    name: &'static str,
    /// `string`, `integer`, `boolean` or `date`.
    kind: &'static str,
    /// 0 is always shown, 1 with `-o wide`.
    priority: u8,
    /// Path of the field whose description is the column's (`.spec.type`), or the description itself.
    about: &'static str,
}

const fn column(name: &'static str, kind: &'static str, priority: u8, about: &'static str) -> Column {
    Column { name, kind, priority, about }
}

const NAME: Column = column("Name", "string", 0, ".metadata.name");
const AGE: Column = column("Age", "string", 0, ".metadata.creationTimestamp");
const CREATED_AT: Column = column("Created At", "date", 0, ".metadata.creationTimestamp");
const CONTAINERS: Column = column("Containers", "string", 1, "Names of each container in the template.");
const IMAGES: Column = column("Images", "string", 1, "Images referenced by each container in the template.");

/// How one kind is shown.
struct KindTable {
    group: &'static str,
    kind: &'static str,
    columns: &'static [Column],
    cells: fn(&Row<'_>) -> Vec<Value>,
}

/// One object at one instant.
struct Row<'a> {
    object: &'a Value,
    /// Seconds since 1970.
    now: i64,
}

impl Row<'_> {
    fn name(&self) -> Value {
        self.object["metadata"]["name"].clone()
    }

    fn age(&self) -> Value {
        json!(text::age(&self.object["metadata"]["creationTimestamp"], self.now))
    }

    /// Text at a pointer, empty when absent.
    fn text(&self, pointer: &str) -> &str {
        self.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Number at a pointer, zero when absent.
    fn number(&self, pointer: &str) -> i64 {
        self.object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
    }

    fn at(&self, pointer: &str) -> &Value {
        self.object.pointer(pointer).unwrap_or(&Value::Null)
    }
}

const FALLBACK: KindTable = KindTable {
    group: "",
    kind: "",
    columns: &[NAME, CREATED_AT],
    cells: |row| vec![row.name(), row.at("/metadata/creationTimestamp").clone()],
};

/// Shows objects of one kind as table rows.
pub enum Printer {
    /// A built-in kind: its group and version, and what is shown.
    Builtin(BuiltinPrinter),
    /// A custom kind.
    Custom(custom::Columns),
}

/// Shows objects of a built-in kind.
pub struct BuiltinPrinter {
    table: &'static KindTable,
    group: String,
    version: String,
    kind: String,
}

impl Printer {
    /// The printer of a built-in kind; kinds without columns of their own show name and creation.
    #[must_use]
    pub fn builtin(group: &str, version: &str, kind: &str) -> Self {
        let lists = [workload::TABLES, network::TABLES, storage::TABLES, cluster::TABLES, policy::TABLES];
        let mut tables = lists.into_iter().flatten();
        let table = tables.find(|table| table.group == group && table.kind == kind).unwrap_or(&FALLBACK);
        let (group, version, kind) = (group.to_owned(), version.to_owned(), kind.to_owned());
        Self::Builtin(BuiltinPrinter { table, group, version, kind })
    }

    /// The printer of one version of a custom kind, from its entry in `spec.versions`.
    #[must_use]
    pub fn custom(version: &Value) -> Self {
        Self::Custom(custom::Columns::new(version))
    }

    /// The `columnDefinitions` of a table.
    #[must_use]
    pub fn column_definitions(&self) -> Value {
        match self {
            Self::Builtin(printer) => printer.definitions(),
            Self::Custom(columns) => columns.definitions(),
        }
    }

    /// The cells of one object at `now`, in seconds since 1970.
    #[must_use]
    pub fn cells(&self, object: &Value, now: i64) -> Vec<Value> {
        let row = Row { object, now };
        match self {
            Self::Builtin(printer) => (printer.table.cells)(&row),
            Self::Custom(columns) => columns.cells(&row),
        }
    }
}

impl BuiltinPrinter {
    fn definitions(&self) -> Value {
        self.table.columns.iter().map(|column| self.definition(column)).collect()
    }

    fn definition(&self, column: &Column) -> Value {
        let about = match column.about.strip_prefix('.') {
            Some(path) => self.describe(path).unwrap_or_default(),
            None => column.about.to_owned(),
        };
        definition(column.name, column.kind, column.priority.into(), &about)
    }

    fn describe(&self, path: &str) -> Option<String> {
        let path: Vec<&str> = path.split('.').collect();
        // Kinds the library does not carry share the metadata of those it does.
        let kind = builtin_kind(&self.group, &self.version, &self.kind)
            .or_else(|| builtin_kind("", "v1", "ConfigMap"))?;
        description(kind, &path)
    }
}

fn definition(name: &str, kind: &str, priority: i64, about: &str) -> Value {
    let format = if name == "Name" { "name" } else { "" };
    json!({"name": name, "type": kind, "format": format, "description": about, "priority": priority})
}

#[cfg(test)]
mod tests;
