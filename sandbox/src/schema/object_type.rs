//! `ObjectType`: the one door to everything known about a kind's objects, built in or custom.

use super::builtin::{BuiltinKind, builtin, builtin_kind};
use super::cause::Cause;
use super::custom::CustomType;
use super::decode::decode;
use super::defaults::fill_defaults;
use super::shape::Schema;
use super::validate;
use serde_json::Value;

/// The type of a kind's objects.
#[derive(Clone)]
pub enum ObjectType {
    /// A kind the library describes.
    Builtin(&'static BuiltinKind, Schema),
    /// A kind a CustomResourceDefinition describes.
    Custom(CustomType),
}

impl ObjectType {
    /// The type of a built-in kind.
    #[must_use]
    pub fn builtin(group: &str, version: &str, kind: &str) -> Option<Self> {
        Some(Self::Builtin(builtin_kind(group, version, kind)?, builtin(group, version, kind)?))
    }

    /// The type of one version of a CustomResourceDefinition.
    #[must_use]
    pub fn custom(definition: &Value, version: &str) -> Option<Self> {
        CustomType::of(definition, version).map(Self::Custom)
    }

    /// The view for patches and field ownership.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        match self {
            Self::Builtin(_, schema) => schema,
            Self::Custom(custom) => custom.schema(),
        }
    }

    /// Reads a body as this type: drops unknown fields (whose paths are returned) and what means absent.
    ///
    /// # Errors
    /// The sentence after `cannot be handled as a KIND: `, when a value has the wrong type.
    pub fn read(&self, object: &mut Value) -> Result<Vec<String>, String> {
        match self {
            Self::Builtin(_, schema) => {
                let decoded = decode(schema, object)?;
                *object = decoded.object;
                Ok(decoded.unknown)
            }
            Self::Custom(custom) => custom.read(object),
        }
    }

    /// Fills in what the client left out; call it after [`ObjectType::read`].
    pub fn fill_defaults(&self, object: &mut Value) {
        match self {
            Self::Builtin(kind, schema) => fill_defaults(schema, kind.kind, object),
            Self::Custom(custom) => custom.fill_defaults(object),
        }
    }

    /// What is wrong with an object beyond its metadata; `old` is the stored one on an update.
    #[must_use]
    pub fn problems(&self, old: Option<&Value>, new: &Value) -> Vec<Cause> {
        match self {
            Self::Builtin(kind, _) => validate::problems(kind, old, new),
            Self::Custom(custom) => custom.problems(old, new),
        }
    }
}
