//! YAML by the 1.1 rules the server reads it with, as a JSON value.
//!
//! `y`, `no`, `on` are booleans, `0o17` is text but `017` is octal, keys become strings (`y: 1` is the key
//! `true`), `<<` merges. Only the first document counts.

use super::PatchError;
use super::yaml_problem::in_words_of_libyaml;
use granit_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Number, Value};
use std::collections::HashMap;

/// Nodes a document may expand to through aliases; stops "billion laughs" bodies.
const MAX_NODES: usize = 1_000_000;
/// Depth of nesting a document may have.
const MAX_DEPTH: usize = 500;

/// Reads the first YAML document of `text`.
///
/// # Errors
/// 400 with the server's `error converting YAML to JSON` sentence.
pub fn yaml_to_json(text: &str) -> Result<Value, PatchError> {
    Reader::new(text).document().map_err(|why| {
        PatchError::BadRequest(format!("error decoding YAML: error converting YAML to JSON: yaml: {why}"))
    })
}

struct Reader<'a> {
    text: &'a str,
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, (Value, usize)>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 }
    }

    fn next(&mut self) -> Result<Event<'a>, String> {
        loop {
            match self.parser.next_event() {
                None => return Ok(Event::StreamEnd),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok((event, _))) => return Ok(event),
                Some(Err(error)) => {
                    let problem = in_words_of_libyaml(&error.info(), self.text);
                    return Err(format!("line {}: {problem}", error.marker().line()));
                }
            }
        }
    }

    fn document(&mut self) -> Result<Value, String> {
        loop {
            match self.next()? {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::StreamEnd | Event::DocumentEnd => return Ok(Value::Null),
                event => return self.node(event, 0),
            }
        }
    }

    fn node(&mut self, event: Event<'a>, depth: usize) -> Result<Value, String> {
        self.count(1)?;
        if depth > MAX_DEPTH {
            return Err("exceeded max depth of nesting".to_owned());
        }
        let before = self.nodes;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => (scalar(&text, style, tag.as_deref()), anchor),
            Event::SequenceStart(_, anchor, _) => (self.sequence(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.mapping(depth)?, anchor),
            Event::Alias(id) => {
                let (value, size) = self.anchors.get(&id).cloned().ok_or("unknown anchor referenced")?;
                self.count(size)?;
                (value, 0)
            }
            other => return Err(format!("did not find expected node content, got {other:?}")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, (value.clone(), self.nodes - before + 1));
        }
        Ok(value)
    }

    fn count(&mut self, more: usize) -> Result<(), String> {
        self.nodes += more;
        if self.nodes > MAX_NODES { Err("document contains excessive aliasing".to_owned()) } else { Ok(()) }
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(Value::Array(items)),
                event => items.push(self.node(event, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, String> {
        let mut map = Map::new();
        let mut merged = Map::new();
        loop {
            let event = self.next()?;
            if matches!(event, Event::MappingEnd) {
                merged.extend(map);
                return Ok(Value::Object(merged));
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = self.node(event, depth + 1)?;
            let value_event = self.next()?;
            let value = self.node(value_event, depth + 1)?;
            if is_merge {
                merge_into(&mut merged, value)?;
            } else {
                map.insert(key_text(key)?, value);
            }
        }
    }
}

fn merge_into(merged: &mut Map<String, Value>, value: Value) -> Result<(), String> {
    match value {
        Value::Object(map) => map.into_iter().for_each(|(key, value)| {
            merged.entry(key).or_insert(value);
        }),
        Value::Array(maps) => maps.into_iter().try_for_each(|map| merge_into(merged, map))?,
        _ => return Err("map merge requires map or sequence of maps as the value".to_owned()),
    }
    Ok(())
}

fn key_text(key: Value) -> Result<String, String> {
    match key {
        Value::String(text) => Ok(text),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Null => Ok("null".to_owned()),
        _ => Err("invalid map key".to_owned()),
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let is_text = tag.is_some_and(|tag| tag.suffix() == "str");
    if style != ScalarStyle::Plain || is_text {
        return Value::String(text.to_owned());
    }
    plain(text)
}

/// Resolves a plain scalar by YAML 1.1.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => {
            Value::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => {
            Value::Bool(false)
        }
        _ => number(text).unwrap_or_else(|| Value::String(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || !digits.contains(|c: char| c.is_ascii_digit())
    {
        return None;
    }
    whole(digits, negative).or_else(|| float(digits, negative))
}

fn whole(digits: &str, negative: bool) -> Option<Value> {
    let (radix, body) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some(two) if two.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()) => (8, &digits[1..]),
        _ => (10, digits),
    };
    if body.starts_with(['+', '-']) {
        return None;
    }
    let value = i128::from_str_radix(body, radix).ok()?;
    let value = if negative { -value } else { value };
    i64::try_from(value).map(Value::from).or_else(|_| u64::try_from(value).map(Value::from)).ok()
}

fn float(digits: &str, negative: bool) -> Option<Value> {
    if !digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) {
        return None;
    }
    let value: f64 = digits.parse().ok()?;
    Number::from_f64(if negative { -value } else { value }).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_words_are_read_by_yaml_1_1() {
        let text =
            "data:\n  y: yes\n  b: 'yes'\n  c: 017\n  d: 1.5\n  e: 1.2.3\n  f: ~\n  g: 0x10\n  h: 1e3\n";
        assert_eq!(
            yaml_to_json(text).unwrap()["data"],
            json!({"true": true, "b": "yes", "c": 15, "d": 1.5, "e": "1.2.3", "f": null, "g": 16, "h": 1000.0})
        );
    }

    #[test]
    fn anchors_and_merge_keys_are_resolved() {
        let text = "a: &base {x: 1, y1: 2}\nb:\n  <<: *base\n  x: 3\nlist: [*base]\n";
        assert_eq!(
            yaml_to_json(text).unwrap(),
            json!({"a": {"x": 1, "y1": 2}, "b": {"x": 3, "y1": 2}, "list": [{"x": 1, "y1": 2}]})
        );
    }

    #[test]
    fn json_is_yaml_and_only_the_first_document_counts() {
        assert_eq!(yaml_to_json(r#"{"a": ["b", 1]}"#).unwrap(), json!({"a": ["b", 1]}));
        assert_eq!(yaml_to_json("a: 1\n---\nb: 2\n").unwrap(), json!({"a": 1}));
    }

    #[test]
    fn bombs_and_broken_text_are_refused() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{}", level - 1);
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(","));
        }
        assert!(yaml_to_json(&bomb).unwrap_err().to_string().contains("aliasing"));
        assert!(yaml_to_json("a: [").unwrap_err().to_string().starts_with("error decoding YAML: "));
    }
}
