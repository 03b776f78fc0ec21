//! Arguments of a call: positional ones first, everything optional in one trailing map. The signature is
//! read off the argument struct's schema, so that the struct's field docs are the reference page and a
//! misspelt option is caught with the nearest real name before the function sees anything. What each argument
//! may be is its [`Shape`].

use schemars::Schema;
use serde_json::{Map, Value};

use super::shape::{self, Misfit, Shape};
use crate::text::{did_you_mean, list};

/// One argument.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Name in the options map, and of the field in the argument struct.
    pub name: String,
    /// What it may be.
    pub shape: Shape,
    /// Doc comment of the field.
    pub help: String,
    /// Given by position.
    pub positional: bool,
    /// Must be given.
    pub required: bool,
    /// Default as JSON, where the struct says one.
    pub default: Option<Value>,
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
        let mut known = shape::parameters(schema);
        let mut parameters = Vec::with_capacity(known.len());
        let mut unknown = Vec::new();
        for name in positional {
            match known.iter().position(|parameter| parameter.name == *name) {
                Some(at) => parameters.push(Parameter { positional: true, ..known.remove(at) }),
                None => unknown.push((*name).to_owned()),
            }
        }
        parameters.extend(known);
        Self { parameters, unknown_positional: unknown }
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
        shape::leave_out(&mut arguments, &self.parameters);
        self.refuse_missing(&arguments)?;
        self.refuse_mistyped(&arguments)?;
        Ok(Value::Object(arguments))
    }

    fn refuse_unknown(&self, arguments: &Map<String, Value>) -> Result<(), ArgumentError> {
        let unknown = arguments.keys().find(|key| self.parameters.iter().all(|p| p.name != **key));
        unknown.map_or(Ok(()), |key| Err(self.unknown(key)))
    }

    /// There is no such option.
    pub(crate) fn unknown(&self, key: &str) -> ArgumentError {
        let options: Vec<&str> = self.options().map(|p| p.name.as_str()).collect();
        let names = self.parameters.iter().map(|p| p.name.as_str());
        let hint = did_you_mean(key, names).unwrap_or_else(|| match options.as_slice() {
            [] => "there are no options".to_owned(),
            options => format!("options are {}", list(options)),
        });
        ArgumentError { message: format!("unknown option `{key}`"), hint: Some(hint) }
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
            if let Some(misfit) = parameter.misfits(value, "").into_iter().next() {
                return Err(misfit.error);
            }
        }
        Ok(())
    }
}

impl Parameter {
    /// Everything in a value for it that is not as it may be; `outer` is the map that it is a key of.
    pub(crate) fn misfits(&self, value: &Value, outer: &str) -> Vec<Misfit> {
        let name = if outer.is_empty() { self.name.clone() } else { format!("{outer}.{}", self.name) };
        let found = self.shape.misfits(value, &name).into_iter();
        found
            .map(|misfit| {
                let hint = misfit.error.hint.or_else(|| self.about());
                Misfit { error: ArgumentError { hint, ..misfit.error }, ..misfit }
            })
            .collect()
    }

    /// What it is, as short as that can be said.
    fn about(&self) -> Option<String> {
        let help = self.help.split_whitespace().collect::<Vec<_>>().join(" ");
        let sentence = help.split_inclusive(". ").next()?.trim().trim_end_matches('.');
        (!sentence.is_empty()).then(|| format!("`{}`: {sentence}", self.name))
    }
}
