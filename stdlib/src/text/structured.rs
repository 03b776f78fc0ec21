//! JSON, YAML and TOML: text to values and back. Values are JSON on both sides, so what one format has and
//! JSON lacks (TOML dates) becomes text.

use aegis_engine::CallError;
use aegis_engine::function::{Context, Description, HostFunction};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::pure;

/// Arguments of the parsers of a single value.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ParseArguments {
    /// The text to parse.
    text: String,
}

/// Arguments of `render_yaml` and `render_toml`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RenderArguments {
    /// The value to render.
    value: Value,
}

pub(super) struct ParseJson;

#[async_trait]
impl HostFunction for ParseJson {
    type Arguments = ParseArguments;

    fn describe() -> Description {
        Description {
            summary: "Parses JSON text.",
            positional: &["text"],
            returns: "the value the text stands for",
            fails_when: "The text is not JSON; the message gives line and column.",
            example: "text::parse_json(`{\"replicas\": 3}`).replicas",
            ..pure("parse_json")
        }
    }

    async fn perform(_: &Context, arguments: ParseArguments) -> Result<Value, CallError> {
        serde_json::from_str(&arguments.text).map_err(|error| not("JSON", error))
    }
}

/// Arguments of `render_json`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RenderJsonArguments {
    /// The value to render.
    value: Value,
    /// True: over several lines, indented by two spaces.
    #[serde(default)]
    pretty: bool,
}

pub(super) struct RenderJson;

#[async_trait]
impl HostFunction for RenderJson {
    type Arguments = RenderJsonArguments;

    fn describe() -> Description {
        Description {
            summary: "Renders a value as JSON text.",
            positional: &["value"],
            returns: "string: JSON, keys sorted",
            fails_when: "Never, for a value a script can hold.",
            example: "text::render_json(#{ replicas: 3 })",
            ..pure("render_json")
        }
    }

    async fn perform(_: &Context, arguments: RenderJsonArguments) -> Result<Value, CallError> {
        let text = if arguments.pretty {
            serde_json::to_string_pretty(&arguments.value)
        } else {
            serde_json::to_string(&arguments.value)
        };
        text.map(Value::String).map_err(|error| cannot_render("JSON", error))
    }
}

/// Arguments of `parse_yaml`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ParseYamlArguments {
    /// The text to parse.
    text: String,
    /// True: the text holds several documents separated by `---`, and the answer is an array of them.
    #[serde(default)]
    all: bool,
}

pub(super) struct ParseYaml;

#[async_trait]
impl HostFunction for ParseYaml {
    type Arguments = ParseYamlArguments;

    fn describe() -> Description {
        Description {
            summary: "Parses YAML text.",
            positional: &["text"],
            returns: "the value of the one document, or an array of values with `all`",
            fails_when: "The text is not YAML, or holds several documents and `all` is not set.",
            example: "text::parse_yaml(\"replicas: 3\").replicas",
            ..pure("parse_yaml")
        }
    }

    async fn perform(_: &Context, arguments: ParseYamlArguments) -> Result<Value, CallError> {
        let documents = crate::yaml::documents(&arguments.text).map_err(|problem| not("YAML", problem))?;
        match (arguments.all, documents.as_slice()) {
            (true, _) => Ok(Value::Array(documents)),
            (false, []) => Ok(Value::Null),
            (false, [only]) => Ok(only.clone()),
            (false, several) => {
                let message = format!("the text holds {} YAML documents, not one", several.len());
                Err(CallError::argument(message).hint("pass `#{ all: true }` to get an array of them"))
            }
        }
    }
}

pub(super) struct RenderYaml;

#[async_trait]
impl HostFunction for RenderYaml {
    type Arguments = RenderArguments;

    fn describe() -> Description {
        Description {
            summary: "Renders a value as a YAML document.",
            positional: &["value"],
            returns: "string: YAML, keys sorted, ending in a line break",
            fails_when: "Never, for a value a script can hold.",
            example: "text::render_yaml(#{ replicas: 3 })",
            ..pure("render_yaml")
        }
    }

    async fn perform(_: &Context, arguments: RenderArguments) -> Result<Value, CallError> {
        let text = serde_saphyr::to_string(&arguments.value).map_err(|error| cannot_render("YAML", error))?;
        Ok(Value::String(format!("{}\n", text.trim_end())))
    }
}

pub(super) struct ParseToml;

#[async_trait]
impl HostFunction for ParseToml {
    type Arguments = ParseArguments;

    fn describe() -> Description {
        Description {
            summary: "Parses TOML text.",
            positional: &["text"],
            returns: "map: the document; dates and times are strings",
            fails_when: "The text is not TOML; the message shows the place.",
            example: "text::parse_toml(\"replicas = 3\").replicas",
            ..pure("parse_toml")
        }
    }

    async fn perform(_: &Context, arguments: ParseArguments) -> Result<Value, CallError> {
        let table: toml::Table = arguments.text.parse().map_err(|error| not("TOML", error))?;
        Ok(json_of(toml::Value::Table(table)))
    }
}

pub(super) struct RenderToml;

#[async_trait]
impl HostFunction for RenderToml {
    type Arguments = RenderArguments;

    fn describe() -> Description {
        Description {
            summary: "Renders a map as TOML text.",
            positional: &["value"],
            returns: "string: TOML, keys sorted",
            fails_when: "The value is not a map, or holds `()`, which TOML cannot say.",
            example: "text::render_toml(#{ replicas: 3 })",
            ..pure("render_toml")
        }
    }

    async fn perform(_: &Context, arguments: RenderArguments) -> Result<Value, CallError> {
        if !arguments.value.is_object() {
            return Err(CallError::argument("a TOML document is a map").hint("wrap the value in `#{ .. }`"));
        }
        toml::to_string(&arguments.value).map(Value::String).map_err(|error| {
            cannot_render("TOML", error).hint("TOML has no empty value; remove keys that are `()`")
        })
    }
}

fn json_of(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => Value::from(number),
        toml::Value::Boolean(truth) => Value::Bool(truth),
        toml::Value::Datetime(instant) => Value::String(instant.to_string()),
        toml::Value::Array(items) => items.into_iter().map(json_of).collect(),
        toml::Value::Table(table) => table.into_iter().map(|(key, item)| (key, json_of(item))).collect(),
    }
}

fn not(format: &str, cause: impl std::fmt::Display) -> CallError {
    CallError::argument(format!("the text is not {format}")).because(cause)
}

fn cannot_render(format: &str, cause: impl std::fmt::Display) -> CallError {
    CallError::argument(format!("the value cannot be rendered as {format}")).because(cause)
}
