//! What `wait` waits for: readiness, deletion, a condition, or an expression over the object such as
//! `status.phase == "Running"`. Pure.
//!
//! ```text
//! until      = "Ready" | "Deleted" | "Exists" | condition | path [operator value]
//! condition  = Name ["=" Status]            Available, Progressing=False
//! path       = key { "." key | "[" index "]" | "[" key "=" value "]" }
//! operator   = == != >= <= > <
//! ```

use aegis_engine::error::CallError;
use serde_json::Value;

use super::object::condition;

/// What a wait waits for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Until {
    Ready,
    Deleted,
    Exists,
    Condition { name: String, status: String },
    Expression(Expression),
}

/// A path into an object, compared with a value; without one: it must be there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expression {
    text: String,
    path: Vec<Segment>,
    test: Option<(Operator, Value)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Segment {
    Key(String),
    Index(usize),
    Item { key: String, value: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    AtLeast,
    AtMost,
    More,
    Less,
}

/// Two-character operators first: `>=` begins like `>`.
const OPERATORS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    (">", Operator::More),
    ("<", Operator::Less),
];

impl Until {
    /// Reads it.
    pub(super) fn parse(text: &str) -> Result<Self, CallError> {
        let text = text.trim();
        match text {
            "Ready" | "ready" => return Ok(Self::Ready),
            "Deleted" | "deleted" | "gone" => return Ok(Self::Deleted),
            "Exists" | "exists" => return Ok(Self::Exists),
            _ => {}
        }
        if let Some((name, status)) = as_condition(text) {
            return Ok(Self::Condition { name: name.to_owned(), status: status.to_owned() });
        }
        Expression::parse(text).map(Self::Expression)
    }

    /// As it is told to people.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Ready => "ready".to_owned(),
            Self::Deleted => "gone".to_owned(),
            Self::Exists => "there".to_owned(),
            Self::Condition { name, status } => format!("{name}={status}"),
            Self::Expression(expression) => expression.text.clone(),
        }
    }
}

/// `Available`, `Progressing=False`, `condition=Ready`: a word in capitals without a path in it.
fn as_condition(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix("condition=").unwrap_or(text);
    let (name, status) = text.split_once('=').unwrap_or((text, "True"));
    let is_name = name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    let is_status = ["True", "False", "Unknown"].contains(&status);
    (is_name && is_status).then_some((name, status))
}

/// Whether a condition has a status, and if not, what it says.
pub(super) fn check_condition(object: &Value, name: &str, status: &str) -> Result<(), String> {
    let Some(condition) = condition(object, name) else {
        return Err(format!("no condition `{name}` yet"));
    };
    if condition["status"] == status {
        return Ok(());
    }
    let part = |field: &str| condition[field].as_str().filter(|text| !text.is_empty());
    let why = [part("reason"), part("message")].into_iter().flatten().collect::<Vec<_>>().join(": ");
    let is = condition["status"].as_str().unwrap_or("Unknown");
    Err(if why.is_empty() { format!("{name}={is}") } else { format!("{name}={is}, {why}") })
}

impl Expression {
    fn parse(text: &str) -> Result<Self, CallError> {
        let found = OPERATORS.iter().find_map(|(sign, operator)| {
            let (path, value) = text.split_once(sign)?;
            Some((path, Some((*operator, literal(value)))))
        });
        let (path, test) = found.unwrap_or((text, None));
        // kubectl's JSON paths stand in braces.
        let path = segments(path.trim_matches(['{', '}', ' '])).ok_or_else(|| {
            CallError::argument(format!("`{text}` is not something to wait for"))
                .hint("write `Ready`, `Deleted`, a condition (`Available`) or a path (`status.phase == \"Running\"`)")
        })?;
        Ok(Self { text: text.to_owned(), path, test })
    }

    /// Whether it holds, and if not, what is there instead.
    pub(super) fn check(&self, object: &Value) -> Result<(), String> {
        let found = self.path.iter().try_fold(object, step);
        let shown = || found.map_or("nothing".to_owned(), Value::to_string);
        let holds = match (&self.test, found) {
            (None, found) => found.is_some_and(|value| !value.is_null()),
            (Some((Operator::NotEqual, wanted)), found) => found.is_none_or(|value| !same(value, wanted)),
            (Some(_), None) => false,
            (Some((Operator::Equal, wanted)), Some(value)) => same(value, wanted),
            (Some((operator, wanted)), Some(value)) => ordered(*operator, value, wanted),
        };
        if holds { Ok(()) } else { Err(format!("{} (it is {})", self.text, shown())) }
    }
}

fn step<'a>(value: &'a Value, segment: &Segment) -> Option<&'a Value> {
    match segment {
        Segment::Key(key) => value.get(key),
        Segment::Index(index) => value.get(index),
        Segment::Item { key, value: wanted } => {
            value.as_array()?.iter().find(|item| item[key].as_str().is_some_and(|text| text == wanted))
        }
    }
}

fn same(value: &Value, wanted: &Value) -> bool {
    match (value.as_f64(), wanted.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => {
            value == wanted || value.as_str().is_some_and(|text| wanted.to_string().trim_matches('"') == text)
        }
    }
}

fn ordered(operator: Operator, value: &Value, wanted: &Value) -> bool {
    let (Some(a), Some(b)) = (value.as_f64(), wanted.as_f64()) else { return false };
    match operator {
        Operator::AtLeast => a >= b,
        Operator::AtMost => a <= b,
        Operator::More => a > b,
        Operator::Less => a < b,
        Operator::Equal | Operator::NotEqual => false,
    }
}

/// A number, `true`, a quoted text, or a bare word.
fn literal(text: &str) -> Value {
    let text = text.trim();
    let unquoted = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    match unquoted {
        Some(plain) => Value::String(plain.to_owned()),
        None => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
    }
}

fn segments(path: &str) -> Option<Vec<Segment>> {
    let mut segments = Vec::new();
    let mut rest = path.trim_start_matches('.');
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let (bracket, after) = inside.split_once(']')?;
            segments.push(bracketed(bracket.trim())?);
            rest = after.strip_prefix('.').unwrap_or(after);
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (key, after) = rest.split_at(end);
            let plain =
                !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_/".contains(c));
            segments.push(Segment::Key(plain.then(|| key.to_owned())?));
            rest = after.strip_prefix('.').unwrap_or(after);
        }
    }
    (!segments.is_empty()).then_some(segments)
}

fn bracketed(text: &str) -> Option<Segment> {
    let quoted = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
    if let Ok(index) = text.parse() {
        return Some(Segment::Index(index));
    }
    match text.split_once('=') {
        Some((key, value)) => Some(Segment::Item { key: quoted(key), value: quoted(value) }),
        None if text.starts_with(['"', '\'']) => Some(Segment::Key(quoted(text))),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(until: &str, object: &Value) -> Result<(), String> {
        match Until::parse(until).unwrap() {
            Until::Expression(expression) => expression.check(object),
            other => panic!("{other:?} is no expression"),
        }
    }

    #[test]
    fn paths_reach_into_lists_and_odd_keys() {
        let object = json!({"status": {"phase": "Running", "count": 3, "list": [{"name": "a", "ok": true}]},
            "metadata": {"annotations": {"a.b/c": "x"}}});
        for until in [
            r#"status.phase == "Running""#,
            ".status.phase == 'Running'",
            "{.status.phase}==Running",
            "status.count >= 3",
            "status.count != 4",
            "status.list[0].ok == true",
            "status.list[name=a].ok",
            r#"metadata.annotations["a.b/c"] == x"#,
            "status.gone != 1",
        ] {
            assert_eq!(check(until, &object), Ok(()), "{until}");
        }
        assert_eq!(check("status.count > 3", &object), Err("status.count > 3 (it is 3)".to_owned()));
        assert_eq!(check("status.gone", &object), Err("status.gone (it is nothing)".to_owned()));
    }

    #[test]
    fn a_word_in_capitals_is_a_condition() {
        let until =
            |name: &str, status: &str| Until::Condition { name: name.to_owned(), status: status.to_owned() };
        assert_eq!(Until::parse("Available").unwrap(), until("Available", "True"));
        assert_eq!(Until::parse("Progressing=False").unwrap(), until("Progressing", "False"));
        assert_eq!(Until::parse("condition=Ready").unwrap(), until("Ready", "True"));
        let object =
            json!({"status": {"conditions": [{"type": "Available", "status": "False", "reason": "NoPods"}]}});
        assert_eq!(check_condition(&object, "Available", "True"), Err("Available=False, NoPods".to_owned()));
    }

    #[test]
    fn nonsense_is_refused_with_the_forms() {
        for text in ["", "a b", "x[", "status..phase == 1"] {
            assert!(Until::parse(text).is_err(), "{text}");
        }
    }
}
