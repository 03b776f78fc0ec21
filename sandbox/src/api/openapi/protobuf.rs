//! The OpenAPI v2 document in protobuf, the form in which kubectl asks for it.
//!
//! The field numbers are those of the published `openapi_v2.proto` of gnostic. Only what our documents hold
//! is in the table; a value that is kept as text there (defaults, extensions) is written as YAML, of which
//! JSON is a part.

use serde_json::{Map, Value};

/// How a member of the JSON document is written.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Texts,
    Flag,
    /// A message.
    One(Shape),
    /// A message for each element.
    Each(Shape),
    /// A message whose field `.1` holds, for each member, its name and a message.
    Named(Shape, u64),
    /// A message whose first field is the value.
    Wrapped(Shape),
    /// Text or texts in a message of their own.
    WrappedTexts,
    /// Any value, as YAML.
    Any,
    Anys,
}

/// A kind of message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Document,
    Info,
    Path,
    Operation,
    /// A parameter, and not a reference to one.
    ParameterItem,
    /// Of those, one that is not in the body.
    Parameter,
    /// Of those, one in the query.
    NonBodyParameter,
    Query,
    /// A response, and not a reference to one.
    ResponseValue,
    Response,
    Schema,
}

impl Shape {
    /// Members of the JSON document with their field numbers and forms. A nameless member is the value itself, one
    /// message deeper.
    fn fields(self) -> &'static [(&'static str, u64, Form)] {
        match self {
            Self::Document => &[
                ("swagger", 1, Form::Text),
                ("info", 2, Form::One(Self::Info)),
                ("paths", 8, Form::Named(Self::Path, 2)),
                ("definitions", 9, Form::Named(Self::Schema, 1)),
            ],
            Self::Info => &[("title", 1, Form::Text), ("version", 2, Form::Text)],
            Self::Path => &[
                ("get", 2, Form::One(Self::Operation)),
                ("put", 3, Form::One(Self::Operation)),
                ("post", 4, Form::One(Self::Operation)),
                ("delete", 5, Form::One(Self::Operation)),
                ("patch", 8, Form::One(Self::Operation)),
            ],
            Self::Operation => &[
                ("description", 3, Form::Text),
                ("operationId", 5, Form::Text),
                ("produces", 6, Form::Texts),
                ("consumes", 7, Form::Texts),
                ("parameters", 8, Form::Each(Self::ParameterItem)),
                ("responses", 9, Form::Named(Self::ResponseValue, 1)),
            ],
            Self::ParameterItem => &[("", 1, Form::One(Self::Parameter))],
            Self::Parameter => &[("", 2, Form::One(Self::NonBodyParameter))],
            Self::NonBodyParameter => &[("", 3, Form::One(Self::Query))],
            Self::Query => &[
                ("required", 1, Form::Flag),
                ("in", 2, Form::Text),
                ("description", 3, Form::Text),
                ("name", 4, Form::Text),
                ("type", 6, Form::Text),
                ("uniqueItems", 20, Form::Flag),
            ],
            Self::ResponseValue => &[("", 1, Form::One(Self::Response))],
            Self::Response => &[("description", 1, Form::Text), ("schema", 2, Form::Wrapped(Self::Schema))],
            Self::Schema => &[
                ("$ref", 1, Form::Text),
                ("format", 2, Form::Text),
                ("title", 3, Form::Text),
                ("description", 4, Form::Text),
                ("default", 5, Form::Any),
                ("pattern", 13, Form::Text),
                ("required", 19, Form::Texts),
                ("enum", 20, Form::Anys),
                ("additionalProperties", 21, Form::Wrapped(Self::Schema)),
                ("type", 22, Form::WrappedTexts),
                ("items", 23, Form::Wrapped(Self::Schema)),
                ("allOf", 24, Form::Each(Self::Schema)),
                ("properties", 25, Form::Named(Self::Schema, 1)),
            ],
        }
    }

    /// The number of the field for members that begin with `x-`.
    fn extensions(self) -> Option<u64> {
        match self {
            Self::Schema => Some(31),
            Self::Operation => Some(13),
            Self::Query => Some(23),
            _ => None,
        }
    }
}

/// Writes a document.
pub(in crate::api) fn encode(document: &Value) -> Vec<u8> {
    message(Shape::Document, document)
}

fn message(shape: Shape, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, number, form) in shape.fields() {
        let member = if name.is_empty() { value } else { &value[*name] };
        if !member.is_null() {
            field(&mut out, *number, *form, member);
        }
    }
    if let Some(number) = shape.extensions() {
        let members = value.as_object().into_iter().flatten();
        for (name, value) in members.filter(|(name, _)| name.starts_with("x-")) {
            named(&mut out, number, name, &any(value));
        }
    }
    out
}

fn field(out: &mut Vec<u8>, number: u64, form: Form, value: &Value) {
    match form {
        Form::Text => bytes(out, number, value.as_str().unwrap_or_default().as_bytes()),
        Form::Texts => texts(out, number, value),
        Form::Flag => flag(out, number, value == true),
        Form::One(shape) => bytes(out, number, &message(shape, value)),
        Form::Each(shape) => {
            for item in value.as_array().into_iter().flatten() {
                bytes(out, number, &message(shape, item));
            }
        }
        Form::Named(shape, inner) => bytes(out, number, &members(value.as_object(), shape, inner)),
        Form::Wrapped(shape) => {
            let mut wrapper = Vec::new();
            match value {
                Value::Bool(value) => flag(&mut wrapper, 2, *value),
                value => bytes(&mut wrapper, 1, &message(shape, value)),
            }
            bytes(out, number, &wrapper);
        }
        Form::WrappedTexts => {
            let mut wrapper = Vec::new();
            texts(&mut wrapper, 1, value);
            bytes(out, number, &wrapper);
        }
        Form::Any => bytes(out, number, &any(value)),
        Form::Anys => {
            for item in value.as_array().into_iter().flatten() {
                bytes(out, number, &any(item));
            }
        }
    }
}

fn members(members: Option<&Map<String, Value>>, shape: Shape, number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in members.into_iter().flatten() {
        named(&mut out, number, name, &message(shape, value));
    }
    out
}

fn named(out: &mut Vec<u8>, number: u64, name: &str, value: &[u8]) {
    let mut pair = Vec::new();
    bytes(&mut pair, 1, name.as_bytes());
    bytes(&mut pair, 2, value);
    bytes(out, number, &pair);
}

/// Any value: its YAML is field 2.
fn any(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(&mut out, 2, format!("{value}\n").as_bytes());
    out
}

fn texts(out: &mut Vec<u8>, number: u64, value: &Value) {
    let one = value.as_str().into_iter();
    let many = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    one.chain(many).for_each(|text| bytes(out, number, text.as_bytes()));
}

fn flag(out: &mut Vec<u8>, number: u64, value: bool) {
    varint(out, number << 3);
    varint(out, u64::from(value));
}

fn bytes(out: &mut Vec<u8>, number: u64, value: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_is_written_by_the_published_numbers() {
        let document = json!({"swagger": "2.0", "definitions": {"T": {"type": "object", "x-y": 1}}});
        // swagger = 1; definitions = 9 { 1 { name = 1, schema = 2 { type = 22 { 1 }, extension = 31 { 1, 2 { yaml = 2 } } } } }
        let schema = [
            &[0xb2, 0x01, 8, 0x0a, 6][..],
            b"object",
            &[0xfa, 0x01, 11, 0x0a, 3],
            b"x-y",
            &[0x12, 4, 0x12, 2],
            b"1\n",
        ]
        .concat();
        let pair = [&[0x0a, 1, b'T', 0x12, schema.len() as u8][..], &schema].concat();
        let definitions = [&[0x0a, pair.len() as u8][..], &pair].concat();
        let wanted = [&[0x0a, 3][..], b"2.0", &[0x4a, definitions.len() as u8], &definitions].concat();
        assert_eq!(encode(&document), wanted);
    }
}
