//! Small checks all rules are made of.

use crate::schema::cause::Cause;
use crate::schema::internal;
use serde_json::{Value, json};

pub(super) const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";

pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

pub(super) fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A number that must not be negative, where present.
pub(super) fn not_negative(value: &Value, field: &str, path: &str, causes: &mut Vec<Cause>) {
    if value[field].as_i64().is_some_and(|number| number < 0) {
        causes.push(Cause::invalid(
            format!("{path}.{field}"),
            &value[field],
            "must be greater than or equal to 0",
        ));
    }
}

/// A text that must be one of a few, where present.
pub(super) fn one_of(value: &Value, field: &str, path: &str, allowed: &[&str], causes: &mut Vec<Cause>) {
    if value[field].as_str().is_some_and(|text| !allowed.contains(&text)) {
        causes.push(Cause::unsupported(format!("{path}.{field}"), &value[field], allowed));
    }
}

/// A text that must be there.
pub(super) fn required(value: &Value, field: &str, path: &str, causes: &mut Vec<Cause>) -> bool {
    let missing = text(value, field).is_empty();
    if missing {
        causes.push(Cause::required(join(path, field), ""));
    }
    !missing
}

pub(super) fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// A DNS label, where present.
pub(super) fn label(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let text = value.as_str().unwrap_or_default();
    let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if text.len() > 63 {
        causes.push(Cause::invalid(path, value, "must be no more than 63 bytes"));
    }
    if text.is_empty() || !plain || text.starts_with('-') || text.ends_with('-') {
        causes.push(Cause::invalid(path, value, LABEL));
    }
}

/// A TCP or UDP port number.
pub(super) fn port(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if value.as_i64().is_some_and(|number| !(1..=65535).contains(&number)) {
        causes.push(Cause::invalid(path, value, "must be between 1 and 65535, inclusive"));
    }
}

/// An IntOrString that is a number or a percentage.
pub(super) fn number_or_percent(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    match value {
        Value::Number(number) if number.as_i64().is_some_and(|n| n < 0) => {
            causes.push(Cause::invalid(path, value, "must be greater than or equal to 0"));
        }
        Value::String(text) => {
            let digits = text.strip_suffix('%').unwrap_or_default();
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                causes.push(Cause::invalid(path, value, PERCENT));
            }
        }
        _ => {}
    }
}

/// Refuses a percentage over 100.
pub(super) fn at_most_all(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let share = value.as_str().and_then(|text| text.strip_suffix('%')?.parse::<i64>().ok());
    if share.is_some_and(|share| share > 100) {
        causes.push(Cause::invalid(path, value, "must not be greater than 100%"));
    }
}

/// Whether an IntOrString is zero.
pub(super) fn is_zero(value: &Value) -> bool {
    *value == json!(0) || *value == json!("0%")
}

/// A block of addresses.
pub(super) fn cidr(value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let text = value.as_str().unwrap_or_default();
    let fits = text.split_once('/').is_some_and(|(ip, bits)| {
        let width = match ip.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V4(_)) => 32,
            Ok(std::net::IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        bits.parse::<u32>().is_ok_and(|bits| bits <= width)
    });
    if !fits {
        let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        causes.push(Cause::invalid(path, value, detail));
    }
}

/// A field that must stay as it is.
pub(super) fn immutable(
    old: Option<&Value>,
    new: &Value,
    pointer: &str,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    let Some(old) = old else { return };
    if old.pointer(pointer) != new.pointer(pointer) {
        let value = new.pointer(pointer).unwrap_or(&Value::Null);
        causes.push(Cause::invalid(path, value, "field is immutable"));
    }
}

/// A field of an internal type that must stay as it is, shown with that type's names.
pub(super) fn immutable_internal(
    old: Option<&Value>,
    new: &Value,
    (pointer, path, type_name): (&str, &str, &str),
    causes: &mut Vec<Cause>,
) {
    let Some(old) = old else { return };
    if old.pointer(pointer) != new.pointer(pointer) {
        let value = new.pointer(pointer).unwrap_or(&Value::Null);
        causes.push(Cause::invalid_shown(path, &internal::line(type_name, value), "field is immutable"));
    }
}
