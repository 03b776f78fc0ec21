//! Parameters: what a header says about each, and binding the values that a run is started with. Every
//! missing, unknown and wrong value is reported at once.

use std::collections::BTreeMap;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::header::{Reader, either};
use super::literal::Literal;
use super::{Builtin, Header};
use crate::codes;
use crate::diagnostic::{Diagnostic, Place};
use crate::function::kind_of;
use crate::secret::Secret;
use crate::text::{did_you_mean, list};
use crate::units::Period;

/// The type of a parameter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Any text.
    #[default]
    String,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// `true` or `false`.
    Bool,
    /// A text like `5m`; given to the script as a text.
    Duration,
    /// An array; on the command line `a,b,c` or JSON.
    List,
    /// A map; on the command line JSON.
    Map,
}

const KINDS: [&str; 7] = ["string", "int", "float", "bool", "duration", "list", "map"];

/// What the header says about one parameter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ParameterSpec {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Value when none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Must be given. The default for a parameter without a default value.
    pub required: bool,
    /// Regular expression that a text must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Smallest number; fewest characters or items; shortest duration in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Largest, as `min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The only values allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Value>,
    /// Comes from the environment and is never shown.
    pub secret: bool,
    /// One line for the person who gives it.
    pub help: String,
    /// Where it is declared.
    #[serde(skip)]
    pub place: Option<Place>,
}

/// The parameters of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Params {
    /// Values by name; declared ones that were not given and have no default are null, secret ones too.
    pub plain: BTreeMap<String, Value>,
    /// Secret values by name.
    pub secret: BTreeMap<String, Secret>,
}

impl ParameterSpec {
    pub(super) fn read(reader: &mut Reader<'_>, name: &str, literal: &Literal) -> Self {
        let mut spec = Self::default();
        let mut required = None;
        let mut defaulted = None;
        let mut largest = literal.position;
        for (key, position, value) in reader.entries(literal, &format!("parameter `{name}`")) {
            match key.as_str() {
                "type" => spec.kind = reader.choice(value, &KINDS),
                "default" => defaulted = Some(value),
                "required" => required = Some(reader.boolean(value)),
                "pattern" => spec.pattern = Some(pattern(reader, value)),
                "min" => spec.min = limit(reader, value),
                "max" => {
                    spec.max = limit(reader, value);
                    largest = value.position;
                }
                "choices" | "enum" => spec.choices = reader.items(value).iter().map(Literal::value).collect(),
                "secret" => spec.secret = reader.boolean(value),
                "help" => spec.help = reader.text(value),
                _ => {
                    let keys = Builtin::options_of("runbook").parameters.iter();
                    let params =
                        keys.filter(|key| key.name == "params").find_map(|key| key.shape.values.as_ref());
                    let known = params.map_or(&[][..], |each| &each.fields);
                    reader.unknown(key, *position, &format!("parameter `{name}`"), known);
                }
            }
        }
        if let (Some(min), Some(max)) = (spec.min, spec.max)
            && min > max
        {
            let message = format!("no value fits: `min` is {min}, and `max` is {max}");
            reader.refuse(largest, message, None);
        }
        spec.required = required.unwrap_or(defaulted.is_none());
        spec.place = reader.place(literal.position);
        if let Some(literal) = defaulted {
            match spec.convert(&literal.value()) {
                Ok(value) => spec.default = Some(value),
                Err(wrong) => reader.refuse(literal.position, format!("the default {wrong}"), None),
            }
        }
        if spec.secret && (spec.default.is_some() || spec.kind != Kind::String) {
            let hint = "keep only `type: \"string\"`, `secret: true`, `pattern`, `required` and `help`";
            reader.refuse(
                literal.position,
                format!("secret parameter `{name}` is a string without a default"),
                Some(hint.to_owned()),
            );
        }
        spec
    }

    /// A value in this parameter's type, from its type or from a text; the error continues `PARAMETER ...`.
    fn convert(&self, given: &Value) -> Result<Value, String> {
        let converted = match given {
            Value::String(text) if self.kind != Kind::String => self.parse(text),
            other => Some(other.clone()).filter(|value| self.is_typed(value)).map(|value| self.normal(value)),
        };
        let kind = KINDS[self.kind as usize];
        let value = converted.ok_or_else(|| match given {
            Value::String(text) => format!("must be {kind}, and `{text}` is not"),
            other => format!("must be {kind}, not {}", kind_of(other)),
        })?;
        self.refuse(&value).map_or(Ok(value), Err)
    }

    fn is_typed(&self, value: &Value) -> bool {
        match self.kind {
            Kind::String => value.is_string(),
            Kind::Int => value.is_i64(),
            Kind::Float => value.is_number(),
            Kind::Bool => value.is_boolean(),
            Kind::Duration => value.is_u64(),
            Kind::List => value.is_array(),
            Kind::Map => value.is_object(),
        }
    }

    /// Whole seconds are read as a duration, whole numbers as a float.
    fn normal(&self, value: Value) -> Value {
        match (self.kind, value.as_u64(), value.as_f64()) {
            (Kind::Duration, Some(seconds), _) => Period::seconds(seconds).to_string().into(),
            (Kind::Float, _, Some(number)) => number.into(),
            _ => value,
        }
    }

    fn parse(&self, text: &str) -> Option<Value> {
        match self.kind {
            Kind::String => Some(text.into()),
            Kind::Int => text.parse::<i64>().ok().map(Value::from),
            Kind::Float => text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from),
            Kind::Bool => text.parse::<bool>().ok().map(Value::from),
            Kind::Duration => text.parse::<Period>().ok().map(|_| text.into()),
            Kind::List if text.trim_start().starts_with('[') => {
                serde_json::from_str(text).ok().filter(Value::is_array)
            }
            Kind::List if text.is_empty() => Some(Value::Array(Vec::new())),
            Kind::List => Some(text.split(',').map(|item| Value::from(item.trim())).collect()),
            Kind::Map => serde_json::from_str(text).ok().filter(Value::is_object),
        }
    }

    /// Why a value of the right type is not allowed.
    fn refuse(&self, value: &Value) -> Option<String> {
        if !self.choices.is_empty() && !self.choices.contains(value) {
            let choices: Vec<String> = self.choices.iter().map(plain).collect();
            let choices: Vec<&str> = choices.iter().map(String::as_str).collect();
            return Some(format!("must be {}, not `{}`", either(&choices), plain(value)));
        }
        if let (Some(pattern), Some(text)) = (&self.pattern, value.as_str())
            && Regex::new(pattern).is_ok_and(|regex| !regex.is_match(text))
        {
            let shown = if self.secret { "its value" } else { &format!("`{text}`") };
            return Some(format!("must match `{pattern}`, and {shown} does not"));
        }
        let size = self.size(value)?;
        let what = match self.kind {
            Kind::String => " characters",
            Kind::Duration => " seconds",
            Kind::List | Kind::Map => " items",
            _ => "",
        };
        match (self.min, self.max) {
            (Some(min), _) if size < min => Some(format!("must be at least {min}{what}, not {size}")),
            (_, Some(max)) if size > max => Some(format!("must be at most {max}{what}, not {size}")),
            _ => None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "sizes that lose precision are far beyond any limit")]
    fn size(&self, value: &Value) -> Option<f64> {
        match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) if self.kind == Kind::Duration => {
                text.parse::<Period>().ok().map(|period| period.0.as_secs_f64())
            }
            Value::String(text) => Some(text.chars().count() as f64),
            Value::Array(items) => Some(items.len() as f64),
            Value::Object(map) => Some(map.len() as f64),
            _ => None,
        }
    }
}

impl Header {
    /// Binds the values a run is started with: texts of `--param` or typed values of a file. Secret ones
    /// come from `AEGIS_PARAM_NAME` of `environment`, or as `env:VARIABLE`.
    ///
    /// # Errors
    /// One diagnostic for every parameter that is missing, unknown or wrong.
    pub fn bind(
        &self,
        given: &BTreeMap<String, Value>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Params, Vec<Diagnostic>> {
        let mut params = Params::default();
        let mut problems: Vec<Diagnostic> = given
            .keys()
            .filter(|name| !self.params.contains_key(*name))
            .map(|name| self.unknown(name))
            .collect();
        for (name, spec) in &self.params {
            let result = if spec.secret {
                bind_secret(name, spec, given.get(name), environment).map(|secret| match secret {
                    Some(secret) => drop(params.secret.insert(name.clone(), secret)),
                    None => drop(params.plain.insert(name.clone(), Value::Null)),
                })
            } else {
                bind_plain(name, spec, given.get(name)).map(|value| {
                    params.plain.insert(name.clone(), value);
                })
            };
            problems.extend(result.err().map(|problem| problem.at(spec.place.clone())));
        }
        if problems.is_empty() { Ok(params) } else { Err(problems) }
    }

    fn unknown(&self, name: &str) -> Diagnostic {
        let known: Vec<&str> = self.params.keys().map(String::as_str).collect();
        let hint = did_you_mean(name, known.iter().copied())
            .unwrap_or_else(|| format!("parameters are {}", list(&known)));
        wrong(format!("the runbook has no parameter `{name}`")).hint(hint)
    }
}

fn bind_plain(name: &str, spec: &ParameterSpec, given: Option<&Value>) -> Result<Value, Diagnostic> {
    match given {
        Some(value) => {
            spec.convert(value).map_err(|why| wrong(format!("parameter `{name}` {why}")).hint(help(spec)))
        }
        None if spec.required => Err(wrong(format!("parameter `{name}` is missing"))
            .hint(format!("add `--param {name}=...`{}", about(spec)))),
        None => Ok(spec.default.clone().unwrap_or_default()),
    }
}

fn bind_secret(
    name: &str,
    spec: &ParameterSpec,
    given: Option<&Value>,
    environment: &BTreeMap<String, String>,
) -> Result<Option<Secret>, Diagnostic> {
    let own = format!("AEGIS_PARAM_{}", name.to_uppercase().replace('-', "_"));
    let named = given.map(|value| value.as_str().and_then(|text| text.strip_prefix("env:")));
    let variable = match named {
        None => own.as_str(),
        Some(Some(variable)) => variable,
        Some(None) => {
            return Err(wrong(format!("parameter `{name}` is secret and cannot be given in the open"))
                .hint(format!("set `{own}`, or name a variable: `--param {name}=env:VARIABLE`")));
        }
    };
    match environment.get(variable) {
        Some(text) => match spec.refuse(&Value::from(text.as_str())) {
            None => Ok(Some(Secret::new(text))),
            Some(why) => Err(wrong(format!("parameter `{name}` {why}")).hint(help(spec))),
        },
        None if spec.required || given.is_some() => {
            Err(wrong(format!("secret parameter `{name}` is missing: `{variable}` is not set"))
                .hint(format!("set `{variable}`{}", about(spec))))
        }
        None => Ok(None),
    }
}

fn pattern(reader: &mut Reader<'_>, literal: &Literal) -> String {
    let text = reader.text(literal);
    if let Err(error) = Regex::new(&text) {
        let why = error.to_string();
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
        reader.refuse(literal.position, format!("the pattern is not a regular expression: {why}"), None);
    }
    text
}

/// A number, or a duration in seconds.
fn limit(reader: &mut Reader<'_>, literal: &Literal) -> Option<f64> {
    let value = literal.value();
    let period = value.as_str().and_then(|text| text.parse::<Period>().ok());
    let limit = value.as_f64().or_else(|| period.map(|period| period.0.as_secs_f64()));
    if limit.is_none() {
        reader.refuse(literal.position, "a limit is a number or a duration", None);
    }
    limit
}

fn wrong(message: String) -> Diagnostic {
    Diagnostic::new(codes::PARAMETER, message)
}

fn help(spec: &ParameterSpec) -> Option<String> {
    (!spec.help.is_empty()).then(|| spec.help.clone())
}

fn about(spec: &ParameterSpec) -> String {
    if spec.help.is_empty() { String::new() } else { format!(" ({})", spec.help) }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
