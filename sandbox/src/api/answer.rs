//! Successful answers: an object or a list in the form the client wants.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::Call;
use super::accept::{Accept, Format, PROTOBUF, View, negotiate, negotiate_with};
use super::read::served;
use super::status::Status;
use crate::kinds::Kind;
use crate::protobuf;
use crate::store::{Item, Object};
use crate::table::Printer;

/// An answer without a body of objects, such as a page.
pub(super) fn json_response(code: u16, body: &Value) -> Response {
    text_response(code, "application/json", format!("{body}\n"))
}

/// An answer of any text.
pub(super) fn text_response(code: u16, content_type: &str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = HeaderValue::from_str(content_type).unwrap_or(HeaderValue::from_static("text/plain"));
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// An answer that is only a code.
pub(super) fn without_type(code: u16) -> Response {
    let mut response = text_response(code, "", String::new());
    response.headers_mut().remove(header::CONTENT_TYPE);
    response
}

/// Sets a header to a value of our own making.
pub(super) fn set_header(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// The address by which the client knows us.
pub(super) fn host(headers: &HeaderMap) -> &str {
    headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost")
}

/// Adds a `Warning` header for each sentence.
pub(super) fn with_warnings(mut response: Response, warnings: &[String]) -> Response {
    for warning in warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(HeaderName::from_static("warning"), value);
        }
    }
    response
}

/// Answers with one object of the called kind.
pub(super) fn object_response(call: &Call, code: u16, object: &Object) -> Result<Response, Status> {
    let kind = &*call.path.kind;
    let accept = negotiate_with(&call.headers, is_written(object))?;
    let value = match &accept.view {
        View::Whole => return encode(accept.format, code, || object.to_string(), || Value::clone(object)),
        View::Metadata(version) => partial(object, version),
        View::Table(version) => {
            let meta = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            let shape = TableShape::new(kind, version, included(call)?, call.now);
            shape.table([object.clone()], &meta, true)
        }
    };
    encode(accept.format, code, || value.to_string(), || value.clone())
}

/// Answers with a bare value, such as a Status of success or a review.
pub(super) fn value_response(call: &Call, code: u16, value: &Value) -> Result<Response, Status> {
    let accept = negotiate_with(&call.headers, is_written(value));
    let accept = accept.unwrap_or(Accept { format: Format::Json, view: View::Whole });
    encode(accept.format, code, || value.to_string(), || value.clone())
}

/// Answers with a value that is no object of the API, in JSON or YAML.
pub(super) fn negotiated(headers: &HeaderMap, code: u16, value: &Value) -> Result<Response, Status> {
    let format = negotiate(headers).map_or(Format::Json, |accept| accept.format);
    encode(format, code, || value.to_string(), || value.clone())
}

/// What a list is made of: an object, or one that is still text.
pub(super) enum Listed {
    Object(Object),
    Item(Item),
}

impl Listed {
    /// As an object of the kind that is listed.
    fn object(self, kind: &Kind) -> Object {
        match self {
            Self::Object(object) => object,
            Self::Item(item) => served(&item.object(), kind),
        }
    }

    /// Writes it into a list. Objects of built-in lists carry no kind of their own, those of custom lists do.
    fn push(self, text: &mut String, kind: &Kind) {
        let head = match kind.custom {
            true => format!("{{\"apiVersion\":\"{}\",", kind.api_version()),
            false => format!("{{\"apiVersion\":\"{}\",\"kind\":\"{}\",", kind.api_version(), kind.kind),
        };
        if let Self::Item(item) = &self
            && let written = item.text()
            && let Some(rest) = std::str::from_utf8(&written).ok().and_then(|line| line.strip_prefix(&head))
        {
            // It is what it would be after reading and writing it again.
            text.push_str(if kind.custom { &head } else { "{" });
            return text.push_str(rest);
        }
        let object = self.object(kind);
        if kind.custom { text.push_str(&object.to_string()) } else { push_untyped(text, &object) }
    }
}

/// Answers with a list; `meta` is its metadata. Of a large list one object at a time is in memory.
pub(super) fn list_response(
    call: &Call,
    items: impl IntoIterator<Item = Listed>,
    meta: &Value,
) -> Result<Response, Status> {
    let kind = &*call.path.kind;
    let is_written = !kind.custom && protobuf::is_written(&kind.api_version(), &kind.list_kind);
    let accept = negotiate_with(&call.headers, is_written)?;
    let value = match &accept.view {
        View::Whole => {
            let mut meta = meta.clone();
            if kind.custom && meta["continue"].is_null() {
                meta["continue"] = "".into();
            }
            let text = list_text(kind, items, &meta);
            return match accept.format {
                Format::Json => Ok(text_response(200, "application/json", text)),
                format => {
                    let parse = || serde_json::from_str(&text).unwrap_or_default();
                    encode(format, 200, String::new, parse)
                }
            };
        }
        View::Metadata(version) => json!({
            "kind": "PartialObjectMetadataList",
            "apiVersion": format!("meta.k8s.io/{version}"),
            "metadata": meta,
            "items": items.into_iter().map(|item| partial(&item.object(kind), version)).collect::<Vec<_>>(),
        }),
        View::Table(version) => {
            let objects = items.into_iter().map(|item| item.object(kind));
            TableShape::new(kind, version, included(call)?, call.now).table(objects, meta, true)
        }
    };
    encode(accept.format, 200, || value.to_string(), || value.clone())
}

/// Written out directly: a list of ten thousand pods is not copied first.
fn list_text(kind: &Kind, items: impl IntoIterator<Item = Listed>, meta: &Value) -> String {
    let head =
        json!({"kind": kind.list_kind, "apiVersion": kind.api_version(), "metadata": meta}).to_string();
    let mut text = String::new();
    text.push_str(head.trim_end_matches('}'));
    text.push_str("}".repeat(head.len() - head.trim_end_matches('}').len() - 1).as_str());
    text.push_str(",\"items\":[");
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        item.push(&mut text, kind);
    }
    text.push_str("]}\n");
    text
}

fn push_untyped(text: &mut String, item: &Value) {
    text.push('{');
    let fields = item.as_object().into_iter().flatten();
    let fields = fields.filter(|(field, _)| !matches!(&***field, "kind" | "apiVersion"));
    for (index, (field, value)) in fields.enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&Value::from(field.as_str()).to_string());
        text.push(':');
        text.push_str(&value.to_string());
    }
    text.push('}');
}

/// Whether an object has a protobuf form.
fn is_written(object: &Value) -> bool {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    protobuf::is_written(text("apiVersion"), text("kind"))
}

fn encode(
    format: Format,
    code: u16,
    text: impl FnOnce() -> String,
    value: impl FnOnce() -> Value,
) -> Result<Response, Status> {
    match format {
        Format::Json => Ok(text_response(code, "application/json", text() + "\n")),
        Format::Yaml => {
            let yaml = serde_saphyr::to_string(&value());
            let yaml =
                yaml.map_err(|error| Status::internal(format!("the answer has no YAML form: {error}")))?;
            Ok(text_response(code, "application/yaml", yaml))
        }
        Format::Protobuf => {
            let bytes = protobuf::encode(&value());
            let bytes =
                bytes.ok_or_else(|| Status::internal("the answer has no protobuf form".to_owned()))?;
            Ok(text_response(code, PROTOBUF, bytes))
        }
    }
}

/// The metadata of an object, as its own kind.
pub(super) fn partial(object: &Value, version: &str) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": object["metadata"],
    })
}

/// What the rows of a table carry besides their cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Include {
    Nothing,
    Metadata,
    Object,
}

/// Reads the `includeObject` option.
pub(super) fn included(call: &Call) -> Result<Include, Status> {
    match call.query.get("includeObject") {
        None | Some("Metadata") => Ok(Include::Metadata),
        Some("None") => Ok(Include::Nothing),
        Some("Object") => Ok(Include::Object),
        Some(other) => Err(Status::bad_request(format!("unrecognized includeObject value: {other:?}"))),
    }
}

/// How objects of a kind become a table.
pub(super) struct TableShape<'a> {
    printer: Printer,
    version: &'a str,
    include: Include,
    /// Seconds since 1970: ages are told from here.
    now: i64,
}

impl<'a> TableShape<'a> {
    pub(super) fn new(kind: &Kind, version: &'a str, include: Include, now: i64) -> Self {
        let printer = match kind.custom {
            true => Printer::custom(&kind.definition),
            false => Printer::builtin(&kind.group, &kind.version, &kind.kind),
        };
        Self { printer, version, include, now }
    }

    /// A table of objects; later events of a watch leave the column definitions out.
    pub(super) fn table(
        &self,
        items: impl IntoIterator<Item = Object>,
        meta: &Value,
        with_columns: bool,
    ) -> Value {
        let rows: Vec<Value> = items.into_iter().map(|item| self.row(&item)).collect();
        let columns = if with_columns { self.printer.column_definitions() } else { Value::Null };
        json!({
            "kind": "Table",
            "apiVersion": format!("meta.k8s.io/{}", self.version),
            "metadata": meta,
            "columnDefinitions": columns,
            "rows": rows,
        })
    }

    fn row(&self, item: &Object) -> Value {
        let object = match self.include {
            Include::Nothing => Value::Null,
            Include::Metadata => {
                let mut metadata = partial(item, self.version);
                super::strategy::hide_in_tables(&mut metadata, &item["kind"]);
                metadata
            }
            Include::Object => Value::clone(item),
        };
        json!({"cells": self.printer.cells(item, self.now), "object": object})
    }
}
