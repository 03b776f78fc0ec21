//! Objects as the server's own types hold them: some messages show them, with Go's field names and every field.
//!
//! `internal.txt` lists the fields of those types in order, one type a line. Behind a field stands what it is when
//! absent (`n`ull, empty `s`tring, `b`oolean or `i`nteger), or its type: `{T}` in place, `*T` or null, `[]T` a list or
//! null. `^` takes the value from the object around it, `+metadata` stands for the labels and annotations there. The
//! JSON name of a field is the same but for upper and lower case.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use similar::TextDiff;

/// Lines around a change.
const CONTEXT: usize = 3;

/// A field, and what stands for it.
type Field = (&'static str, &'static str);

static TYPES: LazyLock<HashMap<&'static str, Vec<Field>>> =
    LazyLock::new(|| include_str!("internal.txt").lines().filter_map(read_type).collect());

fn read_type(line: &'static str) -> Option<(&'static str, Vec<Field>)> {
    let (name, fields) = line.split_once(": ")?;
    Some((name, fields.split(", ").map(|field| field.split_once(' ').unwrap_or((field, ""))).collect()))
}

/// A value with the members of its objects in order.
enum Dump {
    Plain(Value),
    List(Vec<Dump>),
    Struct(Vec<(String, Dump)>),
}

/// The one-line form of a value of an internal type.
pub(super) fn line(type_name: &str, value: &Value) -> String {
    let mut out = String::new();
    compact(&dump(type_name, value, &Value::Null), &mut out);
    out
}

/// How two values of an internal type differ, as a unified diff of their indented forms.
pub(super) fn diff(type_name: &str, old: &Value, new: &Value) -> String {
    let text = |value: &Value| {
        let mut out = String::new();
        indented(&dump(type_name, value, &Value::Null), 0, &mut out);
        out + "\n"
    };
    let (old, new) = (text(old), text(new));
    TextDiff::from_lines(&old, &new).unified_diff().context_radius(CONTEXT).to_string()
}

fn dump(type_name: &str, value: &Value, around: &Value) -> Dump {
    let Some(fields) = TYPES.get(type_name) else { return Dump::Plain(value.clone()) };
    let mut members = Vec::new();
    for (name, shape) in fields {
        match name.strip_prefix('^') {
            Some(name) => members.push((name.to_owned(), field(shape, member(around, name), around))),
            None if *name == "+metadata" => members.extend(metadata(&value["metadata"])),
            None => members.push(((*name).to_owned(), field(shape, member(value, name), value))),
        }
    }
    Dump::Struct(members)
}

fn field(shape: &str, value: Option<&Value>, around: &Value) -> Dump {
    let empty = Value::Object(Map::new());
    if let Some(name) = shape.strip_prefix('{').and_then(|shape| shape.strip_suffix('}')) {
        return dump(name, value.unwrap_or(&empty), around);
    }
    let zero = match shape {
        "s" => json!(""),
        "b" => json!(false),
        "i" => json!(0),
        _ => Value::Null,
    };
    match (value, shape.strip_prefix('*'), shape.strip_prefix("[]")) {
        (None, ..) => Dump::Plain(zero),
        (Some(value), Some(name), _) => dump(name, value, around),
        (Some(Value::Array(items)), _, Some(name)) => {
            Dump::List(items.iter().map(|item| dump(name, item, around)).collect())
        }
        (Some(value), ..) => Dump::Plain(value.clone()),
    }
}

fn member<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let found = object.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value).filter(|value| !value.is_null())
}

fn metadata(metadata: &Value) -> impl Iterator<Item = (String, Dump)> {
    ["labels", "annotations"].into_iter().filter_map(|name| {
        let value =
            metadata.get(name).filter(|value| value.as_object().is_some_and(|map| !map.is_empty()))?;
        Some((name.to_owned(), Dump::Plain(value.clone())))
    })
}

/// A plain value as Go writes JSON: what HTML could take for its own is escaped.
fn plain(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn compact(dump: &Dump, out: &mut String) {
    match dump {
        Dump::Plain(value) => out.push_str(&plain(value)),
        Dump::List(items) => enclosed('[', ']', items.iter(), out, compact),
        Dump::Struct(members) => enclosed('{', '}', members.iter(), out, |(name, member), out| {
            out.push_str(&format!("\"{name}\":"));
            compact(member, out);
        }),
    }
}

fn enclosed<T>(
    open: char,
    close: char,
    parts: impl Iterator<Item = T>,
    out: &mut String,
    write: impl Fn(T, &mut String),
) {
    out.push(open);
    for (index, part) in parts.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(part, out);
    }
    out.push(close);
}

fn indented(dump: &Dump, depth: usize, out: &mut String) {
    let inner = " ".repeat(depth + 1);
    let outer = " ".repeat(depth);
    match dump {
        Dump::Plain(Value::Array(items)) if !items.is_empty() => {
            let items = items.iter().cloned().map(Dump::Plain).collect();
            indented(&Dump::List(items), depth, out);
        }
        Dump::Plain(Value::Object(members)) if !members.is_empty() => {
            let members = members.iter().map(|(name, value)| (name.clone(), Dump::Plain(value.clone())));
            indented(&Dump::Struct(members.collect()), depth, out);
        }
        Dump::Plain(value) => out.push_str(&plain(value)),
        Dump::List(items) => {
            enclosed('[', ']', items.iter(), out, |item, out| {
                out.push_str(&format!("\n{inner}"));
                indented(item, depth + 1, out);
            });
            out.insert_str(out.len() - 1, &format!("\n{outer}"));
        }
        Dump::Struct(members) => {
            enclosed('{', '}', members.iter(), out, |(name, member), out| {
                out.push_str(&format!("\n{inner}\"{name}\": "));
                indented(member, depth + 1, out);
            });
            out.insert_str(out.len() - 1, &format!("\n{outer}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_is_named_is_in_the_table() {
        for (name, fields) in TYPES.iter() {
            for (field, shape) in fields {
                let named = shape.trim_start_matches(['{', '*', '[', ']']).trim_end_matches('}');
                let is_simple = ["n", "s", "b", "i", ""].contains(shape);
                assert!(is_simple || TYPES.contains_key(named), "{name}.{field} is a {shape}");
            }
        }
    }

    #[test]
    fn a_claim_is_shown_as_a_diff_with_every_field_around() {
        let claim =
            |mode: &str| json!({"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}});
        assert_eq!(
            diff("PersistentVolumeClaimSpec", &claim("ReadWriteOnce"), &claim("ReadWriteMany")),
            "@@ -1,6 +1,6 @@\n {\n  \"AccessModes\": [\n-  \"ReadWriteOnce\"\n+  \"ReadWriteMany\"\n  ],\n  \"Selector\": null,\n  \"Resources\": {\n"
        );
    }

    #[test]
    fn a_template_is_one_line_with_what_stands_elsewhere_in_its_place() {
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"hostNetwork": true, "securityContext": {},
            "containers": [{"name": "c", "tty": true}]}});
        let shown = line("PodTemplateSpec", &template);
        assert!(shown.starts_with(
            r#"{"labels":{"a":"b"},"Spec":{"Volumes":null,"InitContainers":null,"Containers":[{"Name":"c","#
        ));
        assert!(shown.contains(r#""SecurityContext":{"HostNetwork":true,"HostPID":false,"#));
        assert!(shown.contains(r#""Stdin":false,"StdinOnce":false,"TTY":true}]"#));
        assert!(shown.ends_with(r#""SchedulingGroup":null}}"#));
    }
}
