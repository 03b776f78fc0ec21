//! Values as the server's messages print them: Go's `%v` of maps and slices.

use serde_json::Value;

/// `map[image:nginx ports:[80]]`.
pub(crate) fn print(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(print).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            let entries: Vec<String> =
                entries.into_iter().map(|(key, value)| format!("{key}:{}", print(value))).collect();
            format!("map[{}]", entries.join(" "))
        }
    }
}

/// The type Go's JSON decoder names when it refuses a value.
pub(crate) fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What Go's JSON decoder says about text that is not JSON.
pub(crate) fn json_error(text: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".to_owned();
    }
    if let Some(problem) = literal_error(text) {
        return problem;
    }
    let found = offending(text, error).map_or_else(|| "?".to_owned(), shown);
    let place = if text.iter().take_while(|b| b.is_ascii_whitespace()).count() + 1 >= column(text, error) {
        "looking for beginning of value"
    } else {
        "after top-level value"
    };
    format!("invalid character '{found}' {place}")
}

/// A text that begins like `null`, `true` or `false` and goes on otherwise.
fn literal_error(text: &[u8]) -> Option<String> {
    let start = text.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let literal =
        ["null", "true", "false"].into_iter().find(|literal| literal.as_bytes()[0] == text[start])?;
    let place =
        (0..literal.len()).find(|&index| text.get(start + index) != Some(&literal.as_bytes()[index]))?;
    let found = char::from(*text.get(start + place)?);
    let expected = char::from(literal.as_bytes()[place]);
    Some(format!("invalid character '{found}' in literal {literal} (expecting '{expected}')"))
}

fn column(text: &[u8], error: &serde_json::Error) -> usize {
    let lines: usize =
        text.split(|b| *b == b'\n').take(error.line().saturating_sub(1)).map(|l| l.len() + 1).sum();
    lines + error.column()
}

/// A character as Go quotes it.
fn shown(found: char) -> String {
    if found.is_ascii() && !found.is_ascii_control() {
        found.to_string()
    } else {
        format!("\\x{:02x}", u32::from(found))
    }
}

fn offending(text: &[u8], error: &serde_json::Error) -> Option<char> {
    let at = column(text, error).saturating_sub(1);
    text.get(at).map(|byte| char::from(*byte))
}
