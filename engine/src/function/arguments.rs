//! Arguments of a call: positional ones first, everything optional in one trailing map. The signature is
//! read off the argument struct's schema, so that the struct's field docs are the reference page and a
//! misspelt option is caught with the nearest real name before the function sees anything.

use schemars::Schema;
use serde_json::{Map, Value};

use crate::text::{did_you_mean, list};

/// One argument.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Name in the options map, and of the field in the argument struct.
    pub name: String,
    /// `string`, `int`, `number`, `bool`, `map`, `array`, several joined by ` | `, or `any`.
    pub kind: String,
    /// Doc comment of the field.
    pub help: String,
    /// Given by position.
    pub positional: bool,
    /// Must be given.
    pub required: bool,
    /// Default as JSON, where the struct says one.
    pub default: Option<Value>,
    /// The values an enumeration allows.
    pub choices: Vec<String>,
}

/// The arguments of a function, in order: positional, then options by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Signature {
    /// Every parameter.
    pub parameters: Vec<Parameter>,
    unknown_positional: Vec<String>,
}

/// Arguments that do not fit the signature: a sentence and a hint.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ArgumentError {
    /// What is wrong.
    pub message: String,
    /// What would be right, when we know it.
    pub hint: Option<String>,
}

impl Signature {
    pub(crate) fn new(positional: &[&str], schema: &Schema) -> Self {
        let empty = Map::new();
        let root = schema.as_object().unwrap_or(&empty);
        let properties = root.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let required: Vec<&str> = strings(root.get("required"));
        let parameter = |name: &str, property: &Value| Parameter {
            name: name.to_owned(),
            kind: kind(property, root),
            help: property.get("description").and_then(Value::as_str).unwrap_or_default().to_owned(),
            positional: positional.contains(&name),
            required: required.contains(&name),
            default: property.get("default").filter(|value| !value.is_null()).cloned(),
            choices: choices(property, root),
        };
        let first = positional.iter().filter_map(|name| properties.get(*name).map(|p| parameter(name, p)));
        let rest = properties.iter().filter(|(name, _)| !positional.contains(&name.as_str()));
        let parameters = first.chain(rest.map(|(name, p)| parameter(name, p))).collect();
        let unknown = positional.iter().filter(|name| !properties.contains_key(**name));
        Self { parameters, unknown_positional: unknown.map(|name| (*name).to_owned()).collect() }
    }

    pub(crate) fn defects(&self) -> impl Iterator<Item = String> {
        let absent = self.unknown_positional.iter().map(|name| format!("no field for positional `{name}`"));
        let silent = self.parameters.iter().filter(|p| p.help.is_empty());
        absent.chain(silent.map(|p| format!("argument `{}` has no doc comment", p.name)))
    }

    /// Positional parameters, in order.
    pub fn positional(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(|p| p.positional)
    }

    /// Options, by name.
    pub fn options(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(|p| !p.positional)
    }

    /// How many positional arguments must be given, and how many may be.
    #[must_use]
    pub fn arity(&self) -> (usize, usize) {
        (self.positional().filter(|p| p.required).count(), self.positional().count())
    }

    /// The signature line: `scale(target, replicas, [options])`.
    #[must_use]
    pub fn line(&self, name: &str) -> String {
        let mut parts: Vec<String> = self
            .positional()
            .map(|p| if p.required { p.name.clone() } else { format!("[{}]", p.name) })
            .collect();
        if self.options().next().is_some() {
            parts.push("[options]".to_owned());
        }
        format!("{name}({})", parts.join(", "))
    }

    /// Puts positional values and the options map into one map by name, refusing what does not fit.
    ///
    /// # Errors
    /// When an option is unknown, a required argument is missing, or a value has the wrong type.
    pub fn assemble(
        &self,
        positional: Vec<Value>,
        options: Option<Map<String, Value>>,
    ) -> Result<Value, ArgumentError> {
        let mut arguments = options.unwrap_or_default();
        self.refuse_unknown(&arguments)?;
        for (parameter, value) in self.positional().zip(positional) {
            arguments.insert(parameter.name.clone(), value);
        }
        arguments.retain(|_, value| !value.is_null());
        self.refuse_missing(&arguments)?;
        self.refuse_mistyped(&arguments)?;
        Ok(Value::Object(arguments))
    }

    fn refuse_unknown(&self, arguments: &Map<String, Value>) -> Result<(), ArgumentError> {
        let names: Vec<&str> = self.parameters.iter().map(|p| p.name.as_str()).collect();
        let Some(unknown) = arguments.keys().find(|key| !names.contains(&key.as_str())) else {
            return Ok(());
        };
        let options: Vec<&str> = self.options().map(|p| p.name.as_str()).collect();
        let hint = did_you_mean(unknown, names.iter().copied())
            .unwrap_or_else(|| format!("options are {}", list(&options)));
        Err(ArgumentError { message: format!("unknown option `{unknown}`"), hint: Some(hint) })
    }

    fn refuse_missing(&self, arguments: &Map<String, Value>) -> Result<(), ArgumentError> {
        let missing = self.parameters.iter().filter(|p| p.required && !arguments.contains_key(&p.name));
        let missing: Vec<&str> = missing.map(|p| p.name.as_str()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let message = format!("missing argument {}", list(&missing));
        Err(ArgumentError { message, hint: None })
    }

    fn refuse_mistyped(&self, arguments: &Map<String, Value>) -> Result<(), ArgumentError> {
        for parameter in &self.parameters {
            let Some(value) = arguments.get(&parameter.name) else { continue };
            if !accepts(&parameter.kind, value) {
                let message = format!(
                    "argument `{}` must be {}, not {}",
                    parameter.name,
                    parameter.kind,
                    kind_of(value)
                );
                return Err(ArgumentError { message, hint: first_sentence(&parameter.help) });
            }
            if let (false, Value::String(text)) = (parameter.choices.is_empty(), value)
                && !parameter.choices.contains(text)
            {
                let choices: Vec<&str> = parameter.choices.iter().map(String::as_str).collect();
                let message = format!("argument `{}` cannot be `{text}`", parameter.name);
                return Err(ArgumentError { message, hint: Some(format!("choose {}", list(&choices))) });
            }
        }
        Ok(())
    }
}

fn strings(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Follows `$ref` into `$defs`.
fn resolved<'a>(property: &'a Value, root: &'a Map<String, Value>) -> &'a Value {
    let target = property.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/"));
    target.and_then(|name| root.get("$defs")?.get(name)).unwrap_or(property)
}

fn kind(property: &Value, root: &Map<String, Value>) -> String {
    let property = resolved(property, root);
    if let Some(types) = property.get("type") {
        let types =
            if types.is_string() { vec![types.as_str().unwrap_or("any")] } else { strings(Some(types)) };
        return types.into_iter().filter(|t| *t != "null").map(plain).collect::<Vec<_>>().join(" | ");
    }
    for several in ["anyOf", "oneOf"] {
        if let Some(variants) = property.get(several).and_then(Value::as_array) {
            let mut kinds: Vec<String> =
                variants.iter().map(|variant| kind(variant, root)).filter(|kind| kind != "()").collect();
            kinds.dedup();
            return kinds.join(" | ");
        }
    }
    if property.get("enum").is_some() || property.get("const").is_some_and(Value::is_string) {
        return "string".to_owned();
    }
    "any".to_owned()
}

fn choices(property: &Value, root: &Map<String, Value>) -> Vec<String> {
    let property = resolved(property, root);
    let listed = strings(property.get("enum"));
    let constants = property.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let constants = constants.filter_map(|variant| variant.get("const").and_then(Value::as_str));
    listed.into_iter().chain(constants).map(str::to_owned).collect()
}

fn plain(json_type: &str) -> &str {
    match json_type {
        "integer" => "int",
        "boolean" => "bool",
        "object" => "map",
        "null" => "()",
        other => other,
    }
}

pub(crate) fn accepts(kinds: &str, value: &Value) -> bool {
    let actual = kind_of(value);
    kinds.split(" | ").any(|kind| {
        kind.is_empty() || kind == "any" || kind == actual || (kind == "number" && actual == "int") || {
            // A secret stands where a string is wanted.
            kind == "string" && crate::secret::is_placeholder(value)
        }
    })
}

/// The script's word for the type of a value.
#[must_use]
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "()",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "map",
    }
}

fn first_sentence(help: &str) -> Option<String> {
    let sentence = help.split_inclusive(". ").next()?.trim().trim_end_matches('.');
    (!sentence.is_empty()).then(|| sentence.to_owned())
}
