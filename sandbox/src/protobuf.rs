//! Reading Kubernetes protobuf bodies, which kubectl and helm send for built-in kinds; `write` is the way back.
//!
//! A body is the four bytes `k8s\0` and a `runtime.Unknown`, which names the kind and holds the
//! object. `fields.txt` lists the field numbers of every message, one message a line; the facts are
//! those of the `.proto` definitions that Kubernetes 1.36 publishes.
//!
//! The result is what the JSON of the same object would hold before anything is dropped: `schema`
//! removes what means absent.

mod wire;
mod write;

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use self::wire::{Fields, Wire};
pub(crate) use self::write::{encode, is_written};

const MAGIC: &[u8] = b"k8s\0";
/// Deeper than any real object; a body cannot make us recurse further.
const MAX_DEPTH: usize = 64;

/// Text fields whose empty value differs from an absent one. All others are written empty by Go
/// when they are absent.
const EMPTY_IS_TEXT: &[&str] = &["storageClassName", "ingressClassName", "volumeAttributesClassName"];

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A kind that is not in the table.
    #[error("the sandbox does not read {0} as protobuf")]
    Unsupported(String),
    /// Bytes that are no protobuf.
    #[error("proto: {0}")]
    Malformed(&'static str),
}

/// One field of a message.
struct Field {
    name: &'static str,
    /// The fields of the value are those of the message around it.
    inline: bool,
    many: Many,
    shape: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Many {
    One,
    List,
    Map,
}

type Message = HashMap<u64, Field>;

static MESSAGES: LazyLock<HashMap<&'static str, Message>> =
    LazyLock::new(|| include_str!("protobuf/fields.txt").lines().filter_map(read_message).collect());

fn read_message(line: &'static str) -> Option<(&'static str, Message)> {
    let (name, fields) = line.split_once(':')?;
    let fields = fields.split(',').filter_map(|field| {
        let mut words = field.split_whitespace();
        let (number, name, shape) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
        let (many, shape) = match (shape.strip_prefix("[]"), shape.strip_prefix("{}")) {
            (Some(shape), _) => (Many::List, shape),
            (_, Some(shape)) => (Many::Map, shape),
            _ => (Many::One, shape),
        };
        let inline = name.starts_with('^');
        Some((number, Field { name: name.trim_start_matches('^'), inline, many, shape }))
    });
    Some((name, fields.collect()))
}

/// Reads an object.
pub(crate) fn decode(body: &[u8]) -> Result<Value, Error> {
    let unknown =
        body.strip_prefix(MAGIC).ok_or(Error::Malformed("the body does not begin with the magic bytes"))?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Fields::new(unknown) {
        match field? {
            (1, Wire::Bytes(meta)) => {
                for field in Fields::new(meta) {
                    match field? {
                        (1, Wire::Bytes(text)) => api_version = utf8(text)?,
                        (2, Wire::Bytes(text)) => kind = utf8(text)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let name = message_name(&api_version, &kind);
    let mut object = Map::new();
    object.insert("kind".into(), kind.clone().into());
    object.insert("apiVersion".into(), api_version.clone().into());
    if raw.is_empty() {
        return Ok(Value::Object(object));
    }
    if !MESSAGES.contains_key(&*name) {
        return Err(Error::Unsupported(format!("`{kind}` of `{api_version}`")));
    }
    message(&name, raw, &mut object, 0)?;
    Ok(Value::Object(object))
}

/// `apps/v1` and `Deployment` are `apps.v1.Deployment`; options of calls live with the metadata.
fn message_name(api_version: &str, kind: &str) -> String {
    let (group, version) = crate::kinds::split_api_version(api_version);
    let short = match group.split('.').next().unwrap_or_default() {
        "" => "core",
        "rbac" => "rbac",
        other => other,
    };
    match kind.ends_with("Options") && kind != "PodLogOptions" {
        true => format!("meta.v1.{kind}"),
        false => format!("{short}.{version}.{kind}"),
    }
}

/// An object as Go prints its JSON: fields in the order of the type, maps by key. Messages show objects so.
pub(crate) fn go_json(api_version: &str, kind: &str, path: &str, value: &Value) -> String {
    let root = message_name(api_version, kind);
    let shape = path.split('.').try_fold(root, |shape, part| {
        let name = part.split('[').next().unwrap_or_default();
        if name.is_empty() {
            return Some(shape);
        }
        let field = fields_of(&shape).into_iter().find(|field| field.name == name)?;
        Some(field.shape.to_owned())
    });
    let mut out = String::new();
    print(shape.as_deref().unwrap_or_default(), value, &mut out);
    out
}

/// The fields of a message in order, those of inlined messages in their place. References name their
/// version first.
fn fields_of(shape: &str) -> Vec<&'static Field> {
    let Some(message) = MESSAGES.get(shape) else { return Vec::new() };
    let mut numbers: Vec<&u64> = message.keys().collect();
    let is_reference = shape == "meta.v1.OwnerReference";
    numbers.sort_by_key(|number| (!(is_reference && message[number].name == "apiVersion"), **number));
    let mut fields = Vec::new();
    for field in numbers.into_iter().map(|number| &message[number]) {
        if field.inline { fields.extend(fields_of(field.shape)) } else { fields.push(field) }
    }
    fields
}

fn print(shape: &str, value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                print(shape, item, out);
            }
            out.push(']');
        }
        Value::Object(members) => print_members(shape, members, out),
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn print_members(shape: &str, members: &Map<String, Value>, out: &mut String) {
    let fields = fields_of(shape);
    let place = |key: &str| match key {
        "kind" if members.contains_key("apiVersion") && fields.iter().all(|field| field.name != "kind") => {
            Some(0)
        }
        "apiVersion" if fields.iter().all(|field| field.name != "apiVersion") => Some(1),
        _ => fields.iter().position(|field| field.name == key).map(|position| position + 2),
    };
    let mut keys: Vec<&String> = members.keys().collect();
    keys.sort_by_key(|key| (place(key).unwrap_or(usize::MAX), key.as_str()));
    out.push('{');
    for (index, key) in keys.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(&Value::from(key.as_str()).to_string());
        out.push(':');
        let shape = fields.iter().find(|field| field.name == key).map_or("", |field| match field.many {
            Many::Map if members[key].is_object() => "",
            _ => field.shape,
        });
        print(shape, &members[key], out);
    }
    out.push('}');
}

fn message(name: &str, bytes: &[u8], object: &mut Map<String, Value>, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::Malformed("it is nested too deeply"));
    }
    let Some(fields) = MESSAGES.get(name) else {
        return Err(Error::Unsupported(format!("`{name}`")));
    };
    for entry in Fields::new(bytes) {
        let (number, wire) = entry?;
        // A field that we do not know is one of a newer client.
        let Some(field) = fields.get(&number) else { continue };
        match field.many {
            _ if field.inline => {
                if let Wire::Bytes(bytes) = wire {
                    message(field.shape, bytes, object, depth + 1)?;
                }
            }
            Many::One => {
                let value = value(field, wire, depth)?;
                if value != "" || EMPTY_IS_TEXT.contains(&field.name) {
                    object.insert(field.name.into(), value);
                }
            }
            Many::List => push(object, field, wire, depth)?,
            Many::Map => {
                let (key, value) = map_entry(field, wire, depth)?;
                let map = object.entry(field.name).or_insert_with(|| json!({}));
                map[key] = value;
            }
        }
    }
    Ok(())
}

fn push(object: &mut Map<String, Value>, field: &Field, wire: Wire<'_>, depth: usize) -> Result<(), Error> {
    let value = value(field, wire, depth)?;
    match object.entry(field.name).or_insert_with(|| json!([])) {
        Value::Array(list) => list.push(value),
        other => *other = json!([value]),
    }
    Ok(())
}

/// A map is a list of pairs on the wire.
fn map_entry(field: &Field, wire: Wire<'_>, depth: usize) -> Result<(String, Value), Error> {
    let Wire::Bytes(pair) = wire else { return Err(Error::Malformed("a map entry is no message")) };
    let (mut key, mut entry) = (String::new(), None);
    for part in Fields::new(pair) {
        match part? {
            (1, Wire::Bytes(text)) => key = utf8(text)?,
            (2, wire) => entry = Some(value(field, wire, depth)?),
            _ => {}
        }
    }
    Ok((key, entry.unwrap_or_else(|| json!(""))))
}

fn value(field: &Field, wire: Wire<'_>, depth: usize) -> Result<Value, Error> {
    match (field.shape, wire) {
        ("s", Wire::Bytes(text)) => utf8(text).map(Value::from),
        ("i", Wire::Number(number)) => Ok((number as i64).into()),
        ("b", Wire::Number(number)) => Ok((number != 0).into()),
        ("d", Wire::Fixed64(bits)) => Ok(f64::from_bits(bits).into()),
        ("y", Wire::Bytes(bytes)) => Ok(STANDARD.encode(bytes).into()),
        ("time", Wire::Bytes(bytes)) => time(bytes, "%Y-%m-%dT%H:%M:%SZ"),
        ("micro", Wire::Bytes(bytes)) => time(bytes, "%Y-%m-%dT%H:%M:%S.%6fZ"),
        ("quantity", Wire::Bytes(bytes)) => text_field(bytes, 1),
        ("intorstring", Wire::Bytes(bytes)) => int_or_string(bytes),
        ("raw", Wire::Bytes(bytes)) => raw(bytes),
        ("extra", Wire::Bytes(bytes)) => texts(bytes),
        ("duration", Wire::Bytes(bytes)) => text_field(bytes, 1),
        (name, Wire::Bytes(bytes)) => {
            let mut object = Map::new();
            message(name, bytes, &mut object, depth + 1)?;
            Ok(Value::Object(object))
        }
        _ => Err(Error::Malformed("a field has another wire type than its kind says")),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, Error> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Error::Malformed("a text is not UTF-8"))
}

/// Seconds and nanoseconds; an empty message is no time.
fn time(bytes: &[u8], format: &str) -> Result<Value, Error> {
    let (mut seconds, mut nanoseconds) = (None, 0);
    for field in Fields::new(bytes) {
        match field? {
            (1, Wire::Number(number)) => seconds = Some(number as i64),
            (2, Wire::Number(number)) => nanoseconds = number as i32,
            _ => {}
        }
    }
    let Some(seconds) = seconds else { return Ok(Value::Null) };
    let moment =
        Timestamp::new(seconds, nanoseconds).map_err(|_| Error::Malformed("a time is out of range"))?;
    Ok(moment.strftime(format).to_string().into())
}

fn text_field(bytes: &[u8], wanted: u64) -> Result<Value, Error> {
    let mut found = Value::Null;
    for field in Fields::new(bytes) {
        match field? {
            (number, Wire::Bytes(text)) if number == wanted => found = utf8(text)?.into(),
            _ => {}
        }
    }
    Ok(found)
}

/// Type (0 is a number), number, text.
fn int_or_string(bytes: &[u8]) -> Result<Value, Error> {
    let (mut is_text, mut number, mut text) = (false, 0_i64, String::new());
    for field in Fields::new(bytes) {
        match field? {
            (1, Wire::Number(kind)) => is_text = kind != 0,
            (2, Wire::Number(value)) => number = i64::from(value as i32),
            (3, Wire::Bytes(value)) => text = utf8(value)?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

/// JSON inside of protobuf.
fn raw(bytes: &[u8]) -> Result<Value, Error> {
    for field in Fields::new(bytes) {
        if let (1, Wire::Bytes(text)) = field? {
            return serde_json::from_slice(text)
                .map_err(|_| Error::Malformed("embedded JSON does not parse"));
        }
    }
    Ok(Value::Null)
}

fn texts(bytes: &[u8]) -> Result<Value, Error> {
    let mut items = Vec::new();
    for field in Fields::new(bytes) {
        if let (1, Wire::Bytes(text)) = field? {
            items.push(Value::from(utf8(text)?));
        }
    }
    Ok(items.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_show_fields_in_the_order_of_their_type() {
        let owner =
            json!([{"apiVersion": "v1", "controller": true, "kind": "ConfigMap", "name": "o", "uid": "u"}]);
        assert_eq!(
            go_json("v1", "ConfigMap", "metadata.ownerReferences", &owner),
            r#"[{"apiVersion":"v1","kind":"ConfigMap","name":"o","uid":"u","controller":true}]"#
        );
        let labels = json!({"b": "1", "a": "2"});
        assert_eq!(
            go_json("apps/v1", "Deployment", "spec.template.metadata.labels", &labels),
            r#"{"a":"2","b":"1"}"#
        );
    }

    #[test]
    fn every_message_that_is_named_is_in_the_table() {
        let simple =
            ["s", "i", "b", "d", "y", "time", "micro", "quantity", "intorstring", "raw", "extra", "duration"];
        for (name, fields) in MESSAGES.iter() {
            for field in fields.values() {
                let is_known = simple.contains(&field.shape) || MESSAGES.contains_key(field.shape);
                assert!(is_known, "{name}.{} is a {}", field.name, field.shape);
            }
        }
    }

    /// `kubectl create namespace crud` of 1.33, byte for byte.
    #[test]
    fn a_namespace_as_kubectl_sends_it_is_read() {
        let mut body = b"k8s\0\n\x0f\n\x02v1\x12\tNamespace\x12\x1c\n\x14\n\x04crud".to_vec();
        body.extend_from_slice(b"\x12\0\x1a\0\"\0*\x002\x008\0B\0\x12\0\x1a\0\x1a\0\"\0");
        let object = decode(&body).unwrap();
        assert_eq!((&object["kind"], &object["metadata"]["name"]), (&json!("Namespace"), &json!("crud")));
    }

    #[test]
    fn garbage_is_refused_without_a_panic() {
        assert!(decode(b"k8s\0garbage").is_err());
        assert!(decode(b"{}").is_err());
        assert!(matches!(decode(b"k8s\0\n\x08\n\x02v1\x12\x02Xx\x12\x01\x08"), Err(Error::Unsupported(_))));
    }
}
