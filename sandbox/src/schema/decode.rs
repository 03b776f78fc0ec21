//! Reading a JSON body as a built-in kind, as the server's typed decoder would.
//!
//! Unknown fields are dropped and reported, values of the wrong type are refused in the decoder's words,
//! and what the typed form cannot tell from absent (null, empty lists and maps, zero values of plain
//! fields) is dropped. Quantities and times come out in canonical form.

use super::absence::{always_told, keeps};
use super::quantity::Quantity;
use super::shape::{ListShape, ObjectShape, Scalar, Schema, Shape};
use crate::patch::golang::json_type;
use base64::Engine;
use serde_json::{Map, Value};

/// A decoded object.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The object as the kind's type holds it.
    pub object: Value,
    /// Paths of fields that do not exist, in order of appearance; dropped from `object`.
    pub unknown: Vec<String>,
}

/// Reads `body` by `schema`. The error is the sentence after `cannot be handled as a Kind: `.
///
/// # Errors
/// The first value of a wrong type, in the words of Go's decoder.
pub fn decode(schema: &Schema, body: &Value) -> Result<Decoded, String> {
    let mut reader =
        Reader { unknown: Vec::new(), path: Vec::new(), names: Vec::new(), owner: String::new() };
    let object = reader.value(schema, body)?.unwrap_or(Value::Null);
    Ok(Decoded { object, unknown: reader.unknown })
}

struct Reader {
    unknown: Vec<String>,
    /// Steps with list positions, for unknown fields.
    path: Vec<String>,
    /// Field names only, for type errors.
    names: Vec<String>,
    /// The struct the current field belongs to.
    owner: String,
}

impl Reader {
    /// The typed form of a value; `None` when it means absent.
    fn value(&mut self, schema: &Schema, value: &Value) -> Result<Option<Value>, String> {
        if value.is_null() {
            return Ok(None);
        }
        match (schema.shape(), value) {
            (Shape::Any, other) => Ok(Some(other.clone())),
            (Shape::Object(object), Value::Object(map)) if object.name.is_empty() => {
                self.free_keys(object, map)
            }
            (Shape::Object(object), Value::Object(map)) => self.fields(object, map).map(Some),
            (Shape::List(list), Value::Array(items)) => self.items(list, items),
            (Shape::Scalar(scalar), other) => self.scalar(*scalar, other).map(Some),
            (_, other) => Err(self.mismatch(schema, other)),
        }
    }

    fn mismatch(&self, schema: &Schema, found: &Value) -> String {
        format!(
            "json: cannot unmarshal {} into Go struct field {}.{} of type {}",
            json_type(found),
            self.owner,
            self.names.join("."),
            go_type(schema)
        )
    }

    fn fields(&mut self, object: &ObjectShape, map: &Map<String, Value>) -> Result<Value, String> {
        let owner = std::mem::replace(&mut self.owner, struct_name(&object.name).to_owned());
        let mut out = Map::new();
        for (key, value) in map {
            self.path.push(key.clone());
            match object.fields.get(key) {
                None => self.unknown.push(step_path(&self.path)),
                Some(schema) => {
                    self.names.push(key.clone());
                    if let Some(value) =
                        self.value(schema, value)?.filter(|value| keeps(&self.owner, key, schema, value))
                    {
                        out.insert(key.clone(), value);
                    }
                    self.names.pop();
                }
            }
            self.path.pop();
        }
        for field in always_told(&self.owner) {
            out.entry(*field).or_insert(Value::Null);
        }
        self.owner = owner;
        Ok(Value::Object(out))
    }

    fn free_keys(&mut self, object: &ObjectShape, map: &Map<String, Value>) -> Result<Option<Value>, String> {
        let mut out = Map::new();
        let values = object.values.clone().unwrap_or_else(Schema::any);
        for (key, value) in map {
            self.path.push(key.clone());
            let read = self.value(&values, value)?;
            out.insert(key.clone(), read.unwrap_or_else(|| zero(&values)));
            self.path.pop();
        }
        Ok((!out.is_empty()).then_some(Value::Object(out)))
    }

    fn items(&mut self, list: &ListShape, items: &[Value]) -> Result<Option<Value>, String> {
        let mut out = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            self.path.push(format!("[{at}]"));
            let read = self.value(&list.items, item)?;
            out.push(read.unwrap_or_else(|| zero(&list.items)));
            self.path.pop();
        }
        Ok((!out.is_empty()).then_some(Value::Array(out)))
    }

    fn scalar(&self, scalar: Scalar, value: &Value) -> Result<Value, String> {
        let refuse = |type_name: &str| {
            let found = match value {
                Value::Number(number) if type_name.starts_with("int") => format!("number {number}"),
                other => json_type(other).to_owned(),
            };
            let (owner, path) = (&self.owner, self.names.join("."));
            format!("json: cannot unmarshal {found} into Go struct field {owner}.{path} of type {type_name}")
        };
        match (scalar, value) {
            (Scalar::String, Value::String(_))
            | (Scalar::Boolean, Value::Bool(_))
            | (Scalar::Number, Value::Number(_)) => Ok(value.clone()),
            (Scalar::IntOrString, Value::String(_)) => Ok(value.clone()),
            (Scalar::IntOrString | Scalar::Int32, Value::Number(_)) => {
                whole(value, 31).ok_or_else(|| refuse("int32"))
            }
            (Scalar::Int64, Value::Number(_)) => whole(value, 63).ok_or_else(|| refuse("int64")),
            (Scalar::Quantity, value) => quantity(value),
            (Scalar::Bytes, Value::String(text)) => bytes(text),
            (Scalar::Time, Value::String(text)) => time(text, "2006-01-02T15:04:05Z07:00"),
            (Scalar::MicroTime, Value::String(text)) => time(text, "2006-01-02T15:04:05.000000Z07:00"),
            (scalar, _) => Err(refuse(scalar_type(scalar))),
        }
    }
}

/// A whole number that fits the given bits; `1.0` counts as whole.
fn whole(value: &Value, bits: u32) -> Option<Value> {
    let number = value.as_i64().or_else(|| value.as_f64().filter(|f| f.fract() == 0.0).map(|f| f as i64))?;
    let limit = i128::from(2).pow(bits);
    (-limit..limit).contains(&i128::from(number)).then(|| Value::from(number))
}

fn quantity(value: &Value) -> Result<Value, String> {
    let read = Quantity::from_json(value);
    read.map(|quantity| Value::from(quantity.to_string())).ok_or_else(|| {
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            .to_owned()
    })
}

fn bytes(text: &str) -> Result<Value, String> {
    match base64::engine::general_purpose::STANDARD.decode(text) {
        Ok(_) => Ok(Value::from(text)),
        Err(base64::DecodeError::InvalidByte(at, _)) => {
            Err(format!("illegal base64 data at input byte {at}"))
        }
        Err(_) => Err(format!("illegal base64 data at input byte {}", text.len() / 4 * 4)),
    }
}

/// An RFC 3339 time in UTC; micro times want exactly six decimals.
fn time(text: &str, layout: &str) -> Result<Value, String> {
    let micro = layout.contains(".000000");
    let problem = |part: &str, wanted: &str| {
        format!("parsing time {text:?} as {layout:?}: cannot parse {part:?} as {wanted:?}")
    };
    let parsed: jiff::Timestamp = text.parse().map_err(|_| problem(text, "2006"))?;
    let rest = text.get(19..).unwrap_or_default();
    let decimals = rest.strip_prefix('.').map(|rest| rest.chars().take_while(char::is_ascii_digit).count());
    if micro && decimals != Some(6) {
        return Err(problem(rest, ".000000"));
    }
    let form = if micro { "%Y-%m-%dT%H:%M:%S.%6fZ" } else { "%Y-%m-%dT%H:%M:%SZ" };
    Ok(Value::from(parsed.strftime(form).to_string()))
}

fn zero(schema: &Schema) -> Value {
    match schema.shape() {
        Shape::Object(_) => Value::Object(Map::new()),
        Shape::Scalar(Scalar::String | Scalar::Bytes) => Value::from(""),
        Shape::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Number) => Value::from(0),
        Shape::Scalar(Scalar::Boolean) => Value::Bool(false),
        Shape::Scalar(Scalar::Quantity) => Value::from("0"),
        _ => Value::Null,
    }
}

fn step_path(steps: &[String]) -> String {
    let mut path = String::new();
    for step in steps {
        if !path.is_empty() && !step.starts_with('[') {
            path.push('.');
        }
        path.push_str(step);
    }
    path
}

fn struct_name(type_name: &str) -> &str {
    type_name.rsplit('.').next().unwrap_or_default()
}

/// `v1.PodSpec`, `[]string`, `map[string]string`: the name of a type in a decoder's message.
pub(super) fn go_type(schema: &Schema) -> String {
    match schema.shape() {
        Shape::Object(object) if object.name.is_empty() => {
            format!(
                "map[string]{}",
                object.values.as_ref().map_or_else(|| "interface {}".to_owned(), go_type)
            )
        }
        Shape::Object(object) => object
            .name
            .rsplitn(3, '.')
            .take(2)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
            .join("."),
        Shape::List(list) => format!("[]{}", go_type(&list.items)),
        Shape::Scalar(scalar) => scalar_type(*scalar).to_owned(),
        Shape::Any => "interface {}".to_owned(),
    }
}

fn scalar_type(scalar: Scalar) -> &'static str {
    match scalar {
        Scalar::String | Scalar::Time | Scalar::MicroTime | Scalar::Quantity => "string",
        Scalar::Bytes => "[]uint8",
        Scalar::Int32 | Scalar::IntOrString => "int32",
        Scalar::Int64 => "int64",
        Scalar::Number => "float64",
        Scalar::Boolean => "bool",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::builtin;
    use serde_json::json;

    fn config_map(body: Value) -> Result<Decoded, String> {
        decode(&builtin("", "v1", "ConfigMap").unwrap(), &body)
    }

    #[test]
    fn wrong_types_are_refused_in_the_decoders_words() {
        let cases = [
            (
                json!({"data": {"a": 5}}),
                "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
            ),
            (
                json!({"metadata": "x"}),
                "json: cannot unmarshal string into Go struct field ConfigMap.metadata of type v1.ObjectMeta",
            ),
            (
                json!({"metadata": {"name": 5}}),
                "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string",
            ),
            (
                json!({"metadata": {"labels": {"a": 1}}}),
                "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
            ),
            (
                json!({"metadata": {"creationTimestamp": "yesterday"}}),
                "parsing time \"yesterday\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"yesterday\" as \"2006\"",
            ),
            (json!({"binaryData": {"a": "!!"}}), "illegal base64 data at input byte 0"),
        ];
        for (body, wanted) in cases {
            assert_eq!(config_map(body).unwrap_err(), wanted);
        }
        let deployment = builtin("apps", "v1", "Deployment").unwrap();
        assert_eq!(
            decode(&deployment, &json!({"spec": {"replicas": "three"}})).unwrap_err(),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
        );
    }

    #[test]
    fn unknown_fields_are_dropped_and_named() {
        let pod = builtin("", "v1", "Pod").unwrap();
        let decoded =
            decode(&pod, &json!({"extra": 1, "spec": {"containers": [{"name": "a", "bogus": 1}]}})).unwrap();
        assert_eq!(decoded.unknown, ["extra", "spec.containers[0].bogus"]);
        assert_eq!(decoded.object, json!({"spec": {"containers": [{"name": "a"}]}}));
    }

    #[test]
    fn what_means_absent_is_dropped_and_quantities_are_canonical() {
        let pod = builtin("", "v1", "Pod").unwrap();
        let body = json!({"metadata": {"labels": {}, "creationTimestamp": null}, "spec": {"hostNetwork": false,
            "volumes": [{"name": "v", "emptyDir": {}}], "nodeSelector": {},
            "containers": [{"name": "a", "args": [], "resources": {"limits": {"memory": "2048Mi", "cpu": 1}}}]}});
        assert_eq!(
            decode(&pod, &body).unwrap().object,
            json!({"metadata": {}, "spec": {"volumes": [{"name": "v", "emptyDir": {}}],
                "containers": [{"name": "a", "resources": {"limits": {"memory": "2Gi", "cpu": "1"}}}]}})
        );
    }

    #[test]
    fn micro_times_want_six_decimals() {
        let lease = builtin("coordination.k8s.io", "v1", "Lease").unwrap();
        let body = |time: &str| json!({"spec": {"renewTime": time}});
        assert_eq!(
            decode(&lease, &body("2026-01-01T00:00:00Z")).unwrap_err(),
            "parsing time \"2026-01-01T00:00:00Z\" as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"Z\" as \".000000\""
        );
        assert!(decode(&lease, &body("2026-01-01T00:00:00.123456Z")).is_ok());
    }
}
