//! Writing Kubernetes protobuf: the way back of what `protobuf` reads, by the same table.
//!
//! Only what is there is written. Go also writes the empty texts of what is absent; every reader takes both for the
//! same.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Field, MAGIC, MESSAGES, Many, message_name};

/// The bytes of an object or of a list of objects; none when its kind is not in the table.
pub(crate) fn encode(object: &Value) -> Option<Vec<u8>> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let mut raw = Vec::new();
    match item_kind(api_version, kind) {
        Some(item) => {
            write_field(1, "meta.v1.ListMeta", &object["metadata"], &mut raw)?;
            for one in object["items"].as_array().into_iter().flatten() {
                write_field(2, &item, one, &mut raw)?;
            }
        }
        None => write_members(&message_of(api_version, kind)?, object.as_object()?, &mut raw)?,
    }
    let mut meta = Vec::new();
    write_bytes(1, api_version.as_bytes(), &mut meta);
    write_bytes(2, kind.as_bytes(), &mut meta);
    let mut out = MAGIC.to_vec();
    write_bytes(1, &meta, &mut out);
    write_bytes(2, &raw, &mut out);
    write_bytes(3, b"", &mut out);
    write_bytes(4, b"", &mut out);
    Some(out)
}

/// Whether objects of a kind, or lists of them, can be written.
pub(crate) fn is_written(api_version: &str, kind: &str) -> bool {
    message_of(api_version, kind).is_some() || item_kind(api_version, kind).is_some()
}

fn message_of(api_version: &str, kind: &str) -> Option<String> {
    let name = match kind {
        "Status" => "meta.v1.Status".to_owned(),
        _ => message_name(api_version, kind),
    };
    MESSAGES.contains_key(&*name).then_some(name)
}

/// The message of the items of a list: lists are all alike and not in the table.
fn item_kind(api_version: &str, kind: &str) -> Option<String> {
    message_of(api_version, kind.strip_suffix("List")?)
}

fn write_members(shape: &str, members: &Map<String, Value>, out: &mut Vec<u8>) -> Option<()> {
    let mut fields: Vec<(&u64, &Field)> = MESSAGES.get(shape)?.iter().collect();
    fields.sort_by_key(|(number, _)| **number);
    for (number, field) in fields {
        if field.inline {
            let mut inner = Vec::new();
            write_members(field.shape, members, &mut inner)?;
            write_bytes(*number, &inner, out);
            continue;
        }
        let Some(value) = members.get(field.name).filter(|value| !value.is_null()) else { continue };
        match field.many {
            Many::One => write_field(*number, field.shape, value, out)?,
            Many::List => {
                for item in value.as_array()? {
                    write_field(*number, field.shape, item, out)?;
                }
            }
            Many::Map => {
                for (key, value) in value.as_object()? {
                    let mut pair = Vec::new();
                    write_bytes(1, key.as_bytes(), &mut pair);
                    write_field(2, field.shape, value, &mut pair)?;
                    write_bytes(*number, &pair, out);
                }
            }
        }
    }
    Some(())
}

/// One value of a shape; nothing when the value is not of that shape.
fn write_field(number: u64, shape: &str, value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match shape {
        "s" => write_bytes(number, value.as_str()?.as_bytes(), out),
        "i" => write_number(number, value.as_i64()?.cast_unsigned(), out),
        "b" => write_number(number, value.as_bool()?.into(), out),
        "d" => {
            write_varint(number << 3 | 1, out);
            out.extend_from_slice(&value.as_f64()?.to_le_bytes());
        }
        "y" => write_bytes(number, &STANDARD.decode(value.as_str()?).ok()?, out),
        _ => write_bytes(number, &message(shape, value)?, out),
    }
    Some(())
}

/// What is a message on the wire, the simple ones that JSON shows as one value included.
fn message(shape: &str, value: &Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match shape {
        "time" | "micro" => {
            let moment: Timestamp = value.as_str()?.parse().ok()?;
            write_number(1, moment.as_second().cast_unsigned(), &mut out);
            write_number(2, u64::try_from(moment.subsec_nanosecond()).ok()?, &mut out);
        }
        "quantity" | "duration" => write_bytes(1, value.as_str()?.as_bytes(), &mut out),
        "intorstring" => match value {
            Value::String(text) => {
                write_number(1, 1, &mut out);
                write_bytes(3, text.as_bytes(), &mut out);
            }
            number => {
                write_number(1, 0, &mut out);
                write_number(2, number.as_i64()?.cast_unsigned(), &mut out);
            }
        },
        "raw" => write_bytes(1, value.to_string().as_bytes(), &mut out),
        "extra" => {
            for item in value.as_array()? {
                write_bytes(1, item.as_str()?.as_bytes(), &mut out);
            }
        }
        shape => write_members(shape, value.as_object()?, &mut out)?,
    }
    Some(out)
}

fn write_number(number: u64, value: u64, out: &mut Vec<u8>) {
    write_varint(number << 3, out);
    write_varint(value, out);
}

fn write_bytes(number: u64, bytes: &[u8], out: &mut Vec<u8>) {
    write_varint(number << 3 | 2, out);
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::decode;
    use super::*;

    #[test]
    fn what_was_written_is_read_again() {
        let objects = [
            json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s", "labels": {"a": "b"},
                "creationTimestamp": "2026-11-23T09:00:00Z", "managedFields": [{"manager": "m", "operation": "Update",
                "fieldsV1": {"f:data": {}}}]}, "data": {"k": "djE="}, "type": "Opaque"}),
            json!({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "d", "generation": 3},
                "spec": {"replicas": 0, "paused": false, "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}},
                "template": {"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "500m"}},
                "ports": [{"containerPort": 80}], "livenessProbe": {"httpGet": {"port": "http"}, "periodSeconds": 5}}]}}}}),
            json!({"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": {"name": "l"},
                "spec": {"renewTime": "2026-11-23T09:00:00.123456Z", "leaseDurationSeconds": -1}}),
            json!({"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {},
                "spec": {"resourceAttributes": {"verb": "get"}}, "status": {"allowed": true}}),
        ];
        for object in objects {
            assert_eq!(decode(&encode(&object).unwrap()).unwrap(), object);
        }
    }

    #[test]
    fn a_list_is_its_items_after_its_metadata() {
        let item = json!({"metadata": {"name": "a"}});
        let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": [item, item]});
        let bytes = encode(&list).unwrap();
        assert!(bytes.starts_with(b"k8s\0\n\x0d\n\x02v1\x12\x07PodList\x12"));
        assert_eq!(bytes.iter().filter(|byte| **byte == b'a').count(), 2);
    }

    #[test]
    fn kinds_that_are_not_in_the_table_are_not_written() {
        assert!(encode(&json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1"})).is_none());
        assert!(!is_written("example.com/v1", "Widget"));
        assert!(is_written("v1", "Pod") && is_written("v1", "PodList"));
    }
}
