//! What an argument may be, read off its schema once: the signature asks it about the values of a call,
//! `check` about what is literal in a script, and reference pages print it.
//!
//! A value that is not known yet, or that JSON cannot say (a function of the script), is a stand-in: a map that
//! tells its kind and nothing else.

use schemars::Schema;
use serde_json::{Map, Value, json};

use super::arguments::{ArgumentError, Parameter};
use crate::secret::is_placeholder;
use crate::text::{did_you_mean, list};
use crate::units::Period;

/// What a value may be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shape {
    /// `string`, `int`, `number`, `bool`, `map`, `array`, `function`, several joined by ` | `, or `any`.
    pub kind: String,
    /// How a text of it reads, where that is known: `duration`.
    pub format: Option<String>,
    /// The values an enumeration allows.
    pub choices: Vec<String>,
    /// The smallest number.
    pub least: Option<f64>,
    /// The largest number.
    pub most: Option<f64>,
    /// Keys that a map of it has a word for.
    pub fields: Vec<Parameter>,
    /// A map of it has no other keys.
    pub closed: bool,
    /// What other keys of a map hold.
    pub values: Option<Box<Shape>>,
    /// What items of an array are.
    pub items: Option<Box<Shape>>,
}

/// A part of a value that is not what it may be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Misfit {
    /// Keys and indexes that lead to the part.
    pub(crate) path: Vec<String>,
    /// The last key of the path is wrong, not what it holds.
    pub(crate) is_key: bool,
    pub(crate) error: ArgumentError,
}

/// Texts that have a form of their own, as `format` in a schema says it.
const FORMATS: [(&str, Reads); 1] = [("duration", |text| text.parse::<Period>().map(drop))];

/// Whether a text reads as a format, and why not.
type Reads = fn(&str) -> Result<(), String>;

/// Schemas that contain themselves are followed this far.
const DEEPEST: usize = 8;

/// The key of a stand-in in JSON.
const STAND_IN: &str = "$kind";

/// Stands for a value of a kind: `function`, `string`, or `any`.
pub(crate) fn stand_in(kind: &str) -> Value {
    json!({ STAND_IN: kind })
}

fn stood_for(value: &Value) -> Option<&str> {
    value.as_object().filter(|map| map.len() == 1)?.get(STAND_IN)?.as_str()
}

impl Shape {
    /// Reads a schema; `root` has the definitions it refers to.
    pub(super) fn of(schema: &Value, root: &Map<String, Value>) -> Self {
        Self::read(schema, root, 0)
    }

    fn read(schema: &Value, root: &Map<String, Value>, depth: usize) -> Self {
        let schema = resolved(schema, root);
        if depth > DEEPEST {
            return Self { kind: "any".to_owned(), ..Self::default() };
        }
        let variants = ["anyOf", "oneOf"].iter().find_map(|key| schema.get(*key).and_then(Value::as_array));
        if let Some(variants) = variants {
            let variants = variants.iter().map(|variant| Self::read(variant, root, depth + 1));
            return Self::one_of(variants.filter(|variant| !variant.kind.is_empty()).collect());
        }
        let inner = |key: &str| {
            let inner = schema.get(key).filter(|inner| inner.is_object())?;
            Some(Box::new(Self::read(inner, root, depth + 1)))
        };
        Self {
            kind: kind(schema),
            format: schema.get("format").and_then(Value::as_str).map(str::to_owned),
            choices: choices(schema),
            least: schema.get("minimum").and_then(Value::as_f64),
            most: schema.get("maximum").and_then(Value::as_f64),
            fields: fields(schema, |property| Self::read(property, root, depth + 1)),
            closed: schema.get("additionalProperties") == Some(&Value::Bool(false)),
            values: inner("additionalProperties"),
            items: inner("items"),
        }
    }

    /// What is one of several: what only one of them says about texts, numbers, maps or arrays still holds.
    fn one_of(variants: Vec<Self>) -> Self {
        let mut kinds: Vec<&str> = variants.iter().flat_map(|variant| variant.kind.split(" | ")).collect();
        kinds.dedup();
        let only = |kind: &str| {
            let takes = |variant: &&Self| variant.takes(kind);
            let mut found = variants.iter().filter(takes);
            found.next().filter(|_| found.next().is_none()).cloned().unwrap_or_default()
        };
        let texts: Vec<&Self> = variants.iter().filter(|variant| variant.takes("string")).collect();
        let enumerated = texts.iter().all(|variant| !variant.choices.is_empty());
        let (text, map, array) = (only("string"), only("map"), only("array"));
        let number = if kinds.contains(&"int") { only("int") } else { only("number") };
        Self {
            kind: kinds.join(" | "),
            format: text.format,
            choices: texts.iter().filter(|_| enumerated).flat_map(|text| text.choices.clone()).collect(),
            least: number.least,
            most: number.most,
            fields: map.fields,
            closed: map.closed,
            values: map.values,
            items: array.items,
        }
    }

    fn takes(&self, kind: &str) -> bool {
        self.kind.split(" | ").any(|own| own == kind || own == "any" || (own, kind) == ("number", "int"))
    }

    /// The kind as a person is told it: a `duration`, not the `string | int` that it is written as.
    #[must_use]
    pub fn word(&self) -> String {
        let known = |format: &&String| FORMATS.iter().any(|(name, _)| name == *format);
        match self.format.as_ref().filter(known) {
            Some(format) if self.kind == "string | int" => format.clone(),
            Some(format) => self.kind.replace("string", format),
            None => self.kind.clone(),
        }
    }

    /// True when a value of this kind is taken, whatever is in it.
    pub(crate) fn accepts(&self, value: &Value) -> bool {
        let actual = kind_of(value);
        self.kind.split(" | ").any(|kind| match actual {
            _ if kind.is_empty() || kind == actual => true,
            // What nobody knows yet may be anything; a function is data to nobody.
            "any" => true,
            "function" => false,
            "int" if kind == "number" => true,
            // A secret stands where a string is wanted.
            _ if kind == "string" && is_placeholder(value) => true,
            _ => kind == "any",
        })
    }

    /// Everything in a value that is not as it may be; `name` is the value's.
    pub(crate) fn misfits(&self, value: &Value, name: &str) -> Vec<Misfit> {
        if value.is_null() {
            return Vec::new();
        }
        if !self.accepts(value) {
            let message = format!("argument `{name}` must be {}, not {}", self.word(), kind_of(value));
            return vec![Misfit::here(message, None)];
        }
        match value {
            Value::String(text) => self.of_text(text, name).into_iter().collect(),
            Value::Number(number) => self.of_number(number.as_f64(), name).into_iter().collect(),
            Value::Array(items) => self.of_items(items, name),
            Value::Object(_) if is_placeholder(value) || stood_for(value).is_some() => Vec::new(),
            Value::Object(map) => self.of_entries(map, name),
            _ => Vec::new(),
        }
    }

    fn of_text(&self, text: &str, name: &str) -> Option<Misfit> {
        if !self.choices.is_empty() && !self.choices.iter().any(|choice| choice == text) {
            let choices: Vec<&str> = self.choices.iter().map(String::as_str).collect();
            let hint = did_you_mean(text, choices.iter().copied());
            let hint = hint.unwrap_or_else(|| format!("choose {}", list(&choices)));
            return Some(Misfit::here(format!("argument `{name}` cannot be `{text}`"), Some(hint)));
        }
        let reads = self.format.as_ref().and_then(|format| FORMATS.iter().find(|(name, _)| name == format));
        let why = reads.and_then(|(_, reads)| reads(text).err())?;
        Some(Misfit::here(format!("argument `{name}`: {why}"), None))
    }

    fn of_number(&self, number: Option<f64>, name: &str) -> Option<Misfit> {
        let number = number?;
        let wrong = |bound: &str, limit: f64| {
            Misfit::here(format!("argument `{name}` must be {bound} {limit}, not {number}"), None)
        };
        let below = self.least.filter(|least| number < *least).map(|least| wrong("at least", least));
        below.or_else(|| self.most.filter(|most| number > *most).map(|most| wrong("at most", most)))
    }

    fn of_items(&self, items: &[Value], name: &str) -> Vec<Misfit> {
        let Some(shape) = &self.items else { return Vec::new() };
        // Names are made for what does not fit only: an array may be long.
        let wrong = items.iter().enumerate().filter(|(_, item)| !shape.misfits(item, name).is_empty());
        wrong
            .flat_map(|(index, item)| {
                let found = shape.misfits(item, &format!("{name}[{index}]"));
                found.into_iter().map(move |misfit| misfit.below(&index.to_string()))
            })
            .collect()
    }

    fn of_entries(&self, map: &Map<String, Value>, name: &str) -> Vec<Misfit> {
        let mut found: Vec<Misfit> = Vec::new();
        for (key, value) in map {
            let field = self.fields.iter().find(|field| field.name == *key);
            let misfits = match (field, &self.values) {
                (Some(field), _) => field.misfits(value, name),
                (None, Some(shape)) => shape.misfits(value, &format!("{name}.{key}")),
                (None, None) if self.closed => vec![self.no_key(key, name)],
                (None, None) => Vec::new(),
            };
            found.extend(misfits.into_iter().map(|misfit| misfit.below(key)));
        }
        let missing = self.fields.iter().filter(|field| field.required && !map.contains_key(&field.name));
        let missing: Vec<&str> = missing.map(|field| field.name.as_str()).collect();
        if !missing.is_empty() {
            found.push(Misfit::here(format!("argument `{name}` lacks {}", list(&missing)), None));
        }
        found
    }

    fn no_key(&self, key: &str, name: &str) -> Misfit {
        let keys: Vec<&str> = self.fields.iter().map(|field| field.name.as_str()).collect();
        let hint = did_you_mean(key, keys.iter().copied());
        let hint = hint.unwrap_or_else(|| format!("keys are {}", list(&keys)));
        let misfit = Misfit::here(format!("argument `{name}` has no key `{key}`"), Some(hint));
        Misfit { is_key: true, ..misfit }
    }
}

impl Misfit {
    fn here(message: String, hint: Option<String>) -> Self {
        Self { path: Vec::new(), is_key: false, error: ArgumentError { message, hint } }
    }

    fn below(mut self, part: &str) -> Self {
        self.path.insert(0, part.to_owned());
        self
    }
}

/// Takes out what is given as `()`, which is the same as not given, wherever keys are known by name.
pub(super) fn leave_out(map: &mut Map<String, Value>, known: &[Parameter]) {
    map.retain(|key, value| !value.is_null() || !known.iter().any(|field| field.name == *key));
    for field in known {
        if let Some(Value::Object(inner)) = map.get_mut(&field.name) {
            leave_out(inner, &field.shape.fields);
        }
    }
}

/// Follows `$ref` into `$defs`.
fn resolved<'a>(schema: &'a Value, root: &'a Map<String, Value>) -> &'a Value {
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/"));
    target.and_then(|name| root.get("$defs")?.get(name)).unwrap_or(schema)
}

/// Empty for what can only be nothing.
fn kind(schema: &Value) -> String {
    if let Some(types) = schema.get("type") {
        let types = types.as_str().map_or_else(|| strings(Some(types)), |one| vec![one]);
        return types.into_iter().filter(|kind| *kind != "null").map(plain).collect::<Vec<_>>().join(" | ");
    }
    if schema.get("enum").is_some() || schema.get("const").is_some_and(Value::is_string) {
        return "string".to_owned();
    }
    "any".to_owned()
}

fn choices(schema: &Value) -> Vec<String> {
    let constant = schema.get("const").and_then(Value::as_str);
    strings(schema.get("enum")).into_iter().chain(constant).map(str::to_owned).collect()
}

fn fields(schema: &Value, shape: impl Fn(&Value) -> Shape) -> Vec<Parameter> {
    let required = strings(schema.get("required"));
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    properties
        .map(|(name, property)| Parameter {
            name: name.clone(),
            shape: shape(property),
            help: property.get("description").and_then(Value::as_str).unwrap_or_default().to_owned(),
            positional: false,
            required: required.contains(&name.as_str()),
            default: property.get("default").filter(|value| !value.is_null()).cloned(),
        })
        .collect()
}

/// The arguments that a struct's schema names, in its order.
pub(super) fn parameters(schema: &Schema) -> Vec<Parameter> {
    let empty = Map::new();
    let root = schema.as_object().unwrap_or(&empty);
    fields(schema.as_value(), |property| Shape::of(property, root))
}

fn strings(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn plain(json_type: &str) -> &str {
    match json_type {
        "integer" => "int",
        "boolean" => "bool",
        "object" => "map",
        other => other,
    }
}

/// The script's word for the type of a value.
#[must_use]
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match (value, stood_for(value)) {
        (_, Some("function")) => "function",
        (_, Some("string")) => "string",
        (_, Some(_)) => "any",
        (Value::Null, _) => "()",
        (Value::Bool(_), _) => "bool",
        (Value::Number(number), _) if number.is_f64() => "number",
        (Value::Number(_), _) => "int",
        (Value::String(_), _) => "string",
        (Value::Array(_), _) => "array",
        (Value::Object(_), _) => "map",
    }
}
