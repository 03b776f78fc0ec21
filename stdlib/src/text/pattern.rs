//! Regular expressions: match, find, replace.

use aegis_engine::CallError;
use aegis_engine::function::{Context, Description, HostFunction};
use async_trait::async_trait;
use regex::{Captures, Regex};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::pure;

/// Arguments of `matches`, `find` and `find_all`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PatternArguments {
    /// The text to look at.
    text: String,
    /// The regular expression; it may match anywhere unless it has `^` and `$`.
    pattern: String,
}

pub(super) struct Matches;

#[async_trait]
impl HostFunction for Matches {
    type Arguments = PatternArguments;

    fn describe() -> Description {
        Description {
            summary: "Tells whether a pattern occurs in a text.",
            positional: &["text", "pattern"],
            returns: "bool",
            fails_when: "The pattern is not a regular expression.",
            example: "text::matches(\"web-7f9c\", `^web-[0-9a-f]+$`)",
            ..pure("matches")
        }
    }

    async fn perform(_: &Context, arguments: PatternArguments) -> Result<Value, CallError> {
        Ok(Value::Bool(compiled(&arguments.pattern)?.is_match(&arguments.text)))
    }
}

pub(super) struct Find;

#[async_trait]
impl HostFunction for Find {
    type Arguments = PatternArguments;

    fn describe() -> Description {
        Description {
            summary: "Finds the first place where a pattern matches.",
            positional: &["text", "pattern"],
            returns: "map: `text` (the match), `groups` (array, from the first group on), `names` (map of named groups); `()` when nothing matches",
            fails_when: "The pattern is not a regular expression.",
            example: "text::find(\"image web:1.27.3\", `(?<name>\\w+):(?<tag>\\S+)`).names.tag",
            ..pure("find")
        }
    }

    async fn perform(_: &Context, arguments: PatternArguments) -> Result<Value, CallError> {
        let pattern = compiled(&arguments.pattern)?;
        Ok(pattern.captures(&arguments.text).map_or(Value::Null, |found| told(&pattern, &found)))
    }
}

pub(super) struct FindAll;

#[async_trait]
impl HostFunction for FindAll {
    type Arguments = PatternArguments;

    fn describe() -> Description {
        Description {
            summary: "Finds every place where a pattern matches, from left to right, without overlaps.",
            positional: &["text", "pattern"],
            returns: "array of maps as `find` gives them",
            fails_when: "The pattern is not a regular expression, or there are more than 150,000 matches.",
            example: "text::find_all(\"a=1 b=2\", `(\\w)=(\\d)`).len()",
            ..pure("find_all")
        }
    }

    async fn perform(_: &Context, arguments: PatternArguments) -> Result<Value, CallError> {
        let pattern = compiled(&arguments.pattern)?;
        super::gathered(pattern.captures_iter(&arguments.text).map(|found| told(&pattern, &found)))
    }
}

/// Arguments of `replace`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplaceArguments {
    /// The text to change.
    text: String,
    /// The regular expression.
    pattern: String,
    /// What stands there instead; `$1` and `${name}` are groups, `$$` is a dollar sign.
    replacement: String,
    /// Replaces at most so many matches; 0 means all.
    #[serde(default)]
    limit: usize,
}

pub(super) struct Replace;

#[async_trait]
impl HostFunction for Replace {
    type Arguments = ReplaceArguments;

    fn describe() -> Description {
        Description {
            summary: "Replaces what a pattern matches.",
            positional: &["text", "pattern", "replacement"],
            returns: "string: the changed text",
            fails_when: "The pattern is not a regular expression, or the text would be larger than 16 MiB.",
            example: "text::replace(\"web:1.27\", `:(.+)$`, \"@$1\")",
            ..pure("replace")
        }
    }

    async fn perform(_: &Context, arguments: ReplaceArguments) -> Result<Value, CallError> {
        let pattern = compiled(&arguments.pattern)?;
        super::bounded(largest(&pattern, &arguments))?;
        let changed = pattern.replacen(&arguments.text, arguments.limit, arguments.replacement.as_str());
        Ok(Value::String(changed.into_owned()))
    }
}

/// What a replacement comes to at most: each of its dollar signs may stand for a whole match.
fn largest(pattern: &Regex, arguments: &ReplaceArguments) -> usize {
    let most = if arguments.limit == 0 { usize::MAX } else { arguments.limit };
    let dollars = arguments.replacement.matches('$').count();
    let each = |found: regex::Match<'_>| {
        arguments.replacement.len().saturating_add(dollars.saturating_mul(found.len()))
    };
    let found = pattern.find_iter(&arguments.text).take(most).map(each);
    found.fold(arguments.text.len(), usize::saturating_add)
}

fn compiled(pattern: &str) -> Result<Regex, CallError> {
    Regex::new(pattern).map_err(|error| {
        CallError::argument(format!("`{pattern}` is not a regular expression"))
            .because(error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: "))
            .hint("look-around and back-references are not supported")
    })
}

fn told(pattern: &Regex, found: &Captures<'_>) -> Value {
    let part = |group: Option<regex::Match<'_>>| group.map_or(Value::Null, |m| Value::from(m.as_str()));
    let groups: Vec<Value> = found.iter().skip(1).map(part).collect();
    let names: Map<String, Value> =
        pattern.capture_names().flatten().map(|name| (name.to_owned(), part(found.name(name)))).collect();
    json!({ "text": &found[0], "groups": groups, "names": names })
}
