//! The JSONPath dialect of printer columns: `.spec.x`, `['a/b']`, `[0]`, `[*]`, `[?(@.type=="Ready")]`.

use serde_json::Value;

/// A parsed path.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    All,
    /// Elements whose value at a path compares so with a literal.
    Filter(JsonPath, Comparison, Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Exists,
}

impl JsonPath {
    /// Reads a path; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = step(rest)?;
            steps.push(step);
            rest = after;
        }
        Some(Self(steps))
    }

    /// The values the path leads to.
    #[must_use]
    pub fn find<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        self.0
            .iter()
            .fold(vec![value], |found, step| found.into_iter().flat_map(|value| step.follow(value)).collect())
    }
}

impl Step {
    fn follow<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match (self, value) {
            (Step::Field(name), Value::Object(map)) => map.get(name).into_iter().collect(),
            (Step::Index(index), Value::Array(items)) => {
                let at = if *index < 0 { index + items.len() as i64 } else { *index };
                usize::try_from(at).ok().and_then(|at| items.get(at)).into_iter().collect()
            }
            (Step::All, Value::Array(items)) => items.iter().collect(),
            (Step::All, Value::Object(map)) => map.values().collect(),
            (Step::Filter(path, comparison, literal), Value::Array(items)) => {
                items.iter().filter(|item| holds(path, *comparison, literal, item)).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn holds(path: &JsonPath, comparison: Comparison, literal: &Value, item: &Value) -> bool {
    let found = path.find(item);
    match comparison {
        Comparison::Exists => !found.is_empty(),
        Comparison::Equal => found.contains(&literal),
        Comparison::NotEqual => !found.is_empty() && !found.contains(&literal),
    }
}

fn step(text: &str) -> Option<(Step, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        return bracket(rest);
    }
    let rest = text.strip_prefix('.').unwrap_or(text);
    let mut name = String::new();
    let mut characters = rest.char_indices();
    let mut end = rest.len();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => name.extend(characters.next().map(|(_, escaped)| escaped)),
            '.' | '[' => {
                end = at;
                break;
            }
            other => name.push(other),
        }
    }
    match name.as_str() {
        "" => None,
        "*" => Some((Step::All, &rest[end..])),
        _ => Some((Step::Field(name), &rest[end..])),
    }
}

fn bracket(text: &str) -> Option<(Step, &str)> {
    if let Some(rest) = text.strip_prefix("?(") {
        let end = rest.find(")]")?;
        return Some((filter(&rest[..end])?, &rest[end + 2..]));
    }
    for quote in ['\'', '"'] {
        if let Some(rest) = text.strip_prefix(quote) {
            let end = rest.find(&format!("{quote}]"))?;
            return Some((Step::Field(rest[..end].to_owned()), &rest[end + 2..]));
        }
    }
    let end = text.find(']')?;
    let step = match &text[..end] {
        "*" => Step::All,
        index => Step::Index(index.parse().ok()?),
    };
    Some((step, &text[end + 1..]))
}

fn filter(text: &str) -> Option<Step> {
    for (sign, comparison) in [("==", Comparison::Equal), ("!=", Comparison::NotEqual)] {
        if let Some((path, literal)) = text.split_once(sign) {
            let path = JsonPath::parse(path.trim().strip_prefix('@')?)?;
            return Some(Step::Filter(path, comparison, self::literal(literal.trim())?));
        }
    }
    let path = JsonPath::parse(text.trim().strip_prefix('@')?)?;
    Some(Step::Filter(path, Comparison::Exists, Value::Null))
}

fn literal(text: &str) -> Option<Value> {
    let quoted = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    match quoted {
        Some(text) => Some(Value::from(text)),
        None => serde_json::from_str(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_find_what_printer_columns_ask_for() {
        let object = json!({"spec": {"n": [1, 2]}, "metadata": {"labels": {"a.b/c": "x"}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]}});
        let cases = [
            (".spec.n[1]", vec![json!(2)]),
            (".spec.n[-1]", vec![json!(2)]),
            (".spec.n[*]", vec![json!(1), json!(2)]),
            (".metadata.labels.a\\.b/c", vec![json!("x")]),
            (".metadata.labels['a.b/c']", vec![json!("x")]),
            (".status.conditions[?(@.type==\"Ready\")].status", vec![json!("True")]),
            (".status.conditions[?(@.type=='Ready')].status", vec![json!("True")]),
            ("{.status.conditions[?(@.type!='Ready')].status}", vec![json!("False")]),
            (".absent.x", vec![]),
        ];
        for (path, wanted) in cases {
            let found: Vec<Value> =
                JsonPath::parse(path).unwrap().find(&object).into_iter().cloned().collect();
            assert_eq!(found, wanted, "{path}");
        }
    }

    #[test]
    fn other_texts_are_no_paths() {
        for text in ["..", ".a[", ".a[x]", ".a[?(@.b", ".a[?(b==1)]"] {
            assert_eq!(JsonPath::parse(text), None, "{text}");
        }
    }
}
