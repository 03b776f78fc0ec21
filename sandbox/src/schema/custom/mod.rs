//! Custom resources: what a CustomResourceDefinition's `openAPIV3Schema` says, made to work.
//!
//! `view` turns it into a [`Schema`] for patches and ownership, `prune` drops what it does not know,
//! `defaults` fills in what is missing, `validate` finds what does not fit, `rules` runs the CEL rules,
//! `definition` checks the CustomResourceDefinition itself.

mod defaults;
mod definition;
mod formats;
mod prune;
mod rules;
mod scale;
mod validate;
mod view;

pub use definition::{definition_problems, first_definition_status};

use super::builtin::object_meta;
use super::cause::Cause;
use super::decode::decode;
use super::shape::Schema;
use serde_json::Value;
use std::sync::Arc;

/// One served version of a custom kind.
#[derive(Clone, Debug)]
pub struct CustomType {
    json: Arc<Value>,
    schema: Schema,
    /// `subresources.scale`, or null.
    scale: Arc<Value>,
}

impl CustomType {
    /// The type of one version of a CustomResourceDefinition; `None` when it has no such version.
    #[must_use]
    pub fn of(definition: &Value, version: &str) -> Option<Self> {
        let versions = definition.pointer("/spec/versions")?.as_array()?;
        let found = versions.iter().find(|entry| entry["name"] == version)?;
        let scale = Arc::new(found["subresources"]["scale"].clone());
        Some(Self { scale, ..Self::new(&found["schema"]["openAPIV3Schema"]) })
    }

    /// The type an `openAPIV3Schema` describes.
    #[must_use]
    pub fn new(schema: &Value) -> Self {
        let json = Arc::new(schema.clone());
        Self { schema: view::root(&json), json, scale: Arc::default() }
    }

    /// The view for patches and field ownership.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The `openAPIV3Schema` itself.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// Drops unknown fields and returns their paths; reads `metadata` as every kind's.
    ///
    /// # Errors
    /// A sentence when `metadata` has a value of the wrong type.
    pub fn read(&self, object: &mut Value) -> Result<Vec<String>, String> {
        let mut unknown = prune::prune(&self.json, object);
        if let Some(metadata) = object.get_mut("metadata") {
            let decoded = decode(&object_meta(), metadata)?;
            *metadata = decoded.object;
            unknown.extend(decoded.unknown.into_iter().map(|path| format!("metadata.{path}")));
        }
        Ok(unknown)
    }

    /// Fills in the schema's defaults.
    pub fn fill_defaults(&self, object: &mut Value) {
        defaults::fill(&self.json, object);
    }

    /// What does not fit the schema, or breaks its rules; `old` is the stored object on an update.
    #[must_use]
    pub fn problems(&self, old: Option<&Value>, new: &Value) -> Vec<Cause> {
        let mut causes = validate::problems(&self.json, new);
        causes.extend(scale::problems(&self.scale, new));
        match causes.iter().any(stops_rules) {
            true if self.has_rules() => causes.push(Cause::invalid("<nil>", &Value::Null, UNCHECKED)),
            true => {}
            false => causes.extend(rules::broken(&self.json, old, new)),
        }
        causes
    }

    /// Whether the schema has CEL rules.
    #[must_use]
    pub fn has_rules(&self) -> bool {
        has_rules(&self.json)
    }
}

const UNCHECKED: &str = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

fn stops_rules(cause: &Cause) -> bool {
    matches!(
        cause.reason,
        "FieldValueNotSupported"
            | "FieldValueRequired"
            | "FieldValueTooLong"
            | "FieldValueTooMany"
            | "FieldValueTypeInvalid"
    )
}

fn has_rules(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => map.contains_key("x-kubernetes-validations") || map.values().any(has_rules),
        Value::Array(items) => items.iter().any(has_rules),
        _ => false,
    }
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name) == Some(&Value::Bool(true))
}

fn preserves_unknown(schema: &Value) -> bool {
    flag(schema, "x-kubernetes-preserve-unknown-fields")
}

#[cfg(test)]
mod tests;
