//! A text of TOML as values with the places they stand at.

use std::ops::Range;
use std::path::Path;

use aegis_engine::codes;
use aegis_engine::diagnostic::{Diagnostic, Place};
use aegis_engine::files::{GENERATED, read_text};
use aegis_engine::runbook::{Shape, Sources, Written};
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::FILE;

/// `schedules.toml` of a project.
pub(super) struct File {
    pub(super) sources: Sources,
    /// What it says, or why it says nothing.
    pub(super) table: Result<Written, Diagnostic>,
}

impl File {
    /// `None`: there is none.
    pub(super) fn read(root: &Path) -> Option<Self> {
        let path = root.join(FILE);
        let text = match read_text(&path, GENERATED) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => {
                let message = format!("cannot read `{FILE}`: {error}");
                let table = Err(Diagnostic::new(codes::SCHEDULE, message));
                return Some(Self { sources: Sources::new(FILE, ""), table });
            }
        };
        let lines = Lines::of(&text);
        let table = DeTable::parse(&text).map(|table| lines.table(&table)).map_err(|error| {
            let place = error.span().map(|span| lines.place(span));
            Diagnostic::new(codes::SCHEDULE, format!("`{FILE}` is no TOML: {}", error.message())).at(place)
        });
        Some(Self { sources: Sources::new(FILE, text.clone()), table })
    }
}

/// Where lines begin, so that 100,000 places are found quickly.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let after = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(after).collect() }
    }

    fn place(&self, span: Range<usize>) -> Place {
        let line = self.starts.partition_point(|start| *start <= span.start);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..span.start).unwrap_or_default();
        let covered = self.text.get(span).unwrap_or_default().lines().next().unwrap_or_default();
        Place {
            source: FILE.to_owned(),
            line,
            column: before.chars().count() + 1,
            length: covered.chars().count().max(1),
        }
    }

    fn table(&self, table: &Spanned<DeTable<'_>>) -> Written {
        let entries = table
            .get_ref()
            .iter()
            .map(|(key, value)| (key.get_ref().to_string(), Some(self.place(key.span())), self.value(value)));
        let mut entries: Vec<(String, Option<Place>, Written)> = entries.collect();
        entries.sort_by(|one, other| one.1.cmp(&other.1));
        Written { place: Some(self.place(table.span())), shape: Shape::Map(entries) }
    }

    fn value(&self, value: &Spanned<DeValue<'_>>) -> Written {
        let scalar = |value: Value| Shape::Scalar(value);
        let shape = match value.get_ref() {
            DeValue::Table(table) => return self.table(&Spanned::new(value.span(), table.clone())),
            DeValue::Array(items) => Shape::List(items.iter().map(|item| self.value(item)).collect()),
            DeValue::String(text) => scalar(Value::from(text.as_ref())),
            DeValue::Boolean(value) => scalar(Value::from(*value)),
            DeValue::Datetime(at) => scalar(Value::from(at.to_string())),
            DeValue::Integer(number) => {
                scalar(i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Null, Value::from))
            }
            DeValue::Float(number) => scalar(number.as_str().parse::<f64>().map_or(Value::Null, Value::from)),
        };
        Written { place: Some(self.place(value.span())), shape }
    }
}
