//! The shape of text: ends, lines, lists and names.

use aegis_engine::CallError;
use aegis_engine::function::{Context, Description, HostFunction};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::pure;

/// Arguments of `trim`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TrimArguments {
    /// The text.
    text: String,
}

pub(super) struct Trim;

#[async_trait]
impl HostFunction for Trim {
    type Arguments = TrimArguments;

    fn describe() -> Description {
        Description {
            summary: "Takes white space off both ends.",
            positional: &["text"],
            returns: "string",
            fails_when: "Never.",
            example: "text::trim(\"  web \")",
            ..pure("trim")
        }
    }

    async fn perform(_: &Context, arguments: TrimArguments) -> Result<Value, CallError> {
        Ok(Value::from(arguments.text.trim()))
    }
}

/// Arguments of `lines`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LinesArguments {
    /// The text.
    text: String,
    /// True: lines of nothing but white space are kept.
    #[serde(default)]
    blank: bool,
}

pub(super) struct Lines;

#[async_trait]
impl HostFunction for Lines {
    type Arguments = LinesArguments;

    fn describe() -> Description {
        Description {
            summary: "Splits text into its lines; blank ones are left out unless asked for.",
            positional: &["text"],
            returns: "array of strings without line breaks",
            fails_when: "There are more than 150,000 lines.",
            example: "text::lines(\"a\\nb\\n\").len()",
            ..pure("lines")
        }
    }

    async fn perform(_: &Context, arguments: LinesArguments) -> Result<Value, CallError> {
        let kept = |line: &&str| arguments.blank || !line.trim().is_empty();
        super::gathered(arguments.text.lines().filter(kept).map(Value::from))
    }
}

/// Arguments of `indent`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IndentArguments {
    /// The text.
    text: String,
    /// Number of spaces in front of every line that is not blank.
    #[schemars(range(max = 200))]
    spaces: u8,
}

pub(super) struct Indent;

#[async_trait]
impl HostFunction for Indent {
    type Arguments = IndentArguments;

    fn describe() -> Description {
        Description {
            summary: "Indents every line that is not blank.",
            positional: &["text", "spaces"],
            returns: "string: the text with its line breaks as they were",
            fails_when: "`spaces` is negative or above 255, or the text would be larger than 16 MiB.",
            example: "text::indent(\"a\\nb\", 2)",
            ..pure("indent")
        }
    }

    async fn perform(_: &Context, arguments: IndentArguments) -> Result<Value, CallError> {
        let margin = " ".repeat(usize::from(arguments.spaces));
        let lines = arguments.text.matches('\n').count() + 1;
        super::bounded(arguments.text.len().saturating_add(lines.saturating_mul(margin.len())))?;
        let line =
            |line: &str| if line.trim().is_empty() { line.to_owned() } else { format!("{margin}{line}") };
        Ok(Value::String(arguments.text.split_inclusive('\n').map(line).collect()))
    }
}

/// Arguments of `join`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct JoinArguments {
    /// What to join: texts as they are, everything else as JSON.
    items: Vec<Value>,
    /// What stands between two items.
    separator: String,
}

pub(super) struct Join;

#[async_trait]
impl HostFunction for Join {
    type Arguments = JoinArguments;

    fn describe() -> Description {
        Description {
            summary: "Joins the items of an array to one text.",
            positional: &["items", "separator"],
            returns: "string",
            fails_when: "The text would be larger than 16 MiB.",
            example: "text::join([\"a\", 2], \", \")",
            ..pure("join")
        }
    }

    async fn perform(_: &Context, arguments: JoinArguments) -> Result<Value, CallError> {
        let shown = |item: &Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
        let items: Vec<String> = arguments.items.iter().map(shown).collect();
        let between = items.len().saturating_sub(1).saturating_mul(arguments.separator.len());
        super::bounded(items.iter().map(String::len).fold(between, usize::saturating_add))?;
        Ok(Value::String(items.join(&arguments.separator)))
    }
}

/// Arguments of `slug`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SlugArguments {
    /// The text.
    text: String,
    /// Longest slug, in characters. The default is the longest Kubernetes label or DNS label (RFC 1123).
    #[serde(default = "longest_label")]
    max: usize,
}

/// RFC 1123 and Kubernetes label values: 63 characters.
const fn longest_label() -> usize {
    63
}

pub(super) struct Slug;

#[async_trait]
impl HostFunction for Slug {
    type Arguments = SlugArguments;

    fn describe() -> Description {
        Description {
            summary: "Makes a name out of any text: lower-case ASCII letters, digits and single dashes, as Kubernetes and DNS accept it.",
            positional: &["text"],
            returns: "string: the name; empty when the text has no letter or digit",
            fails_when: "Never.",
            example: "text::slug(\"Checkout: EU (blue)\")",
            ..pure("slug")
        }
    }

    async fn perform(_: &Context, arguments: SlugArguments) -> Result<Value, CallError> {
        let lower = arguments.text.to_lowercase();
        let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let mut slug = words.collect::<Vec<_>>().join("-");
        slug.truncate(arguments.max);
        Ok(Value::from(slug.trim_end_matches('-')))
    }
}
