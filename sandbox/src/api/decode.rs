//! Reading the body of a request: JSON, YAML or protobuf, into one object.

use std::cell::RefCell;
use std::fmt;

use http::{HeaderMap, header};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::status::Status;
use crate::kinds::Kind;
use crate::protobuf;

/// A body that was read, and the fields that were in it twice.
#[derive(Clone, Debug, Default)]
pub(super) struct Decoded {
    pub(super) object: Value,
    pub(super) duplicates: Vec<String>,
}

/// How many bytes of a body a refusal repeats.
const SHOWN: usize = 30;

/// Reads an object of `kind` from a body in any of the three formats.
pub(super) fn object(headers: &HeaderMap, body: &[u8], kind: &Kind) -> Result<Decoded, Status> {
    let unrecognized = |problem: String| {
        let message =
            format!("the object provided is unrecognized (must be of type {}): {problem}", kind.kind);
        Status::bad_request(message)
    };
    let decoded = match media_type(headers).as_deref() {
        None | Some("application/json") => {
            let refuse =
                |error| format!("couldn't get version/kind; json parse error: {error} ({})", excerpt(body));
            json(body).map_err(refuse)
        }
        Some("application/yaml") => yaml(body).map_err(|error| format!("{error} ({})", excerpt(body))),
        Some("application/vnd.kubernetes.protobuf") => match protobuf::decode(body) {
            Ok(object) => Ok(Decoded { object, duplicates: Vec::new() }),
            Err(protobuf::Error::Unsupported(what)) => return Err(unsupported_protobuf(&what)),
            Err(error) => Err(format!("{error} ({})", excerpt(body))),
        },
        Some(_) => return Err(unsupported_media_type()),
    }
    .map_err(unrecognized)?;
    match decoded.object {
        Value::Object(_) => Ok(decoded),
        Value::Null => Ok(Decoded { object: Value::Object(Map::new()), ..decoded }),
        _ => {
            let found = go_type(&decoded.object);
            let problem = format!(
                "couldn't get version/kind; json parse error: json: cannot unmarshal {found} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }} ({})",
                excerpt(body)
            );
            Err(unrecognized(problem))
        }
    }
}

/// The media type of a body, without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

fn unsupported_media_type() -> Status {
    let message = "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf";
    Status::new(415, "UnsupportedMediaType", message)
}

fn unsupported_protobuf(what: &str) -> Status {
    let message = format!("the sandbox does not read {what} as protobuf; send application/json");
    Status::new(415, "UnsupportedMediaType", message)
}

/// Reads JSON; the error is worded as Go words it where clients may look.
pub(super) fn json(body: &[u8]) -> Result<Decoded, String> {
    let reader = Reader::default();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let object = Element { reader: &reader, path: String::new() }
        .deserialize(&mut deserializer)
        .and_then(|object| deserializer.end().map(|()| object))
        .map_err(|error| go_json_error(&error, body))?;
    Ok(Decoded { object, duplicates: reader.duplicates.into_inner() })
}

/// Reads the first document of a YAML text.
pub(super) fn yaml(body: &[u8]) -> Result<Decoded, String> {
    let text = std::str::from_utf8(body).map_err(|_| "yaml: invalid UTF-8".to_owned())?;
    let object = crate::patch::yaml_to_json(text).map_err(|error| {
        let text = error.to_string();
        text.strip_prefix("error decoding YAML: error converting YAML to JSON: ").unwrap_or(&text).to_owned()
    })?;
    Ok(Decoded { object, duplicates: Vec::new() })
}

fn go_json_error(error: &serde_json::Error, body: &[u8]) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".into();
    }
    let line_start = body.split(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    let offset = line_start.map(|line| line.len() + 1).sum::<usize>() + error.column().saturating_sub(1);
    let text = String::from_utf8_lossy(body.get(offset..).unwrap_or_default());
    let Some(found) = text.chars().next() else { return "unexpected end of JSON input".into() };
    let place = match error.to_string() {
        text if text.starts_with("trailing characters") => "after top-level value",
        text if text.starts_with("key must be a string") => "looking for beginning of object key string",
        text if text.contains("or `}`") => "after object key:value pair",
        text if text.contains("or `]`") => "after array element",
        text if text.contains("expected `:`") => "after object key",
        _ => "looking for beginning of value",
    };
    format!("invalid character '{found}' {place}")
}

pub(super) fn excerpt(body: &[u8]) -> String {
    if body.is_empty() {
        return "<empty>".into();
    }
    let (shown, dots) = (&body[..body.len().min(SHOWN)], if body.len() > SHOWN { " ..." } else { "" });
    match std::str::from_utf8(shown) {
        Ok(text) if body.starts_with(b"{") => format!("{text}{dots}"),
        _ => format!("{}{dots}", hex::encode(shown)),
    }
}

/// The name Go gives to the type of a JSON value.
pub(super) fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Collects what a plain `Value` would silently drop.
#[derive(Default)]
struct Reader {
    duplicates: RefCell<Vec<String>>,
}

struct Element<'a> {
    reader: &'a Reader,
    path: String,
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        loop {
            let path = format!("{}[{}]", self.path, array.len());
            match items.next_element_seed(Element { reader: self.reader, path })? {
                Some(item) => array.push(item),
                None => return Ok(Value::Array(array)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let path = if self.path.is_empty() { name.clone() } else { format!("{}.{name}", self.path) };
            let value = fields.next_value_seed(Element { reader: self.reader, path: path.clone() })?;
            if object.insert(name, value).is_some() {
                self.reader.duplicates.borrow_mut().push(path);
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_that_is_there_twice_is_told() {
        let decoded = json(br#"{"data":{"a":"1","a":"2"},"data":{"a":"3"}}"#).unwrap();
        assert_eq!(decoded.object, json!({"data": {"a": "3"}}));
        assert_eq!(decoded.duplicates, ["data.a", "data"]);
    }

    #[test]
    fn broken_json_is_told_as_go_tells_it() {
        let error = |body: &str| json(body.as_bytes()).unwrap_err();
        assert_eq!(error("{"), "unexpected end of JSON input");
        assert_eq!(error("{not json"), "invalid character 'n' looking for beginning of object key string");
        assert_eq!(error("{}garbage"), "invalid character 'g' after top-level value");
        assert_eq!(error("x"), "invalid character 'x' looking for beginning of value");
    }
}
