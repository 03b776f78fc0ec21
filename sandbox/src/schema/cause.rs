//! One reason why an object is refused, in the words the server uses for field errors.

use serde_json::Value;

/// A field and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueInvalid`, `FieldValueRequired` and so on.
    pub reason: &'static str,
    /// The sentence without the field.
    pub message: String,
    /// Path of the field, such as `spec.containers[0].name`.
    pub field: String,
    /// The object or list that the sentence shows.
    shown: Option<Value>,
}

impl Cause {
    fn new(reason: &'static str, field: impl Into<String>, message: String) -> Self {
        Self { reason, message, field: field.into(), shown: None }
    }

    fn showing(mut self, value: &Value) -> Self {
        self.shown = (value.is_object() || value.is_array()).then(|| value.clone());
        self
    }

    /// The same with the object it shows written another way: the order of fields is that of the type.
    #[must_use]
    pub(crate) fn shown_by(&self, write: impl FnOnce(&Value) -> String) -> Self {
        let mut cause = self.clone();
        if let Some(value) = &self.shown {
            cause.message = cause.message.replacen(&value.to_string(), &write(value), 1);
        }
        cause
    }

    /// The field is missing; `detail` may be empty.
    #[must_use]
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        let message =
            if detail.is_empty() { "Required value".to_owned() } else { format!("Required value: {detail}") };
        Self::new("FieldValueRequired", field, message)
    }

    /// The value does not fit.
    #[must_use]
    pub fn invalid(field: impl Into<String>, value: &Value, detail: impl std::fmt::Display) -> Self {
        Self::new("FieldValueInvalid", field, format!("Invalid value: {value}: {detail}")).showing(value)
    }

    /// The value does not fit, shown in words of its own.
    #[must_use]
    pub fn invalid_shown(field: impl Into<String>, shown: &str, detail: &str) -> Self {
        Self::new("FieldValueInvalid", field, format!("Invalid value: {shown}: {detail}"))
    }

    /// The value has the wrong type.
    #[must_use]
    pub fn type_invalid(field: impl Into<String>, value: &Value, detail: impl std::fmt::Display) -> Self {
        Self::new("FieldValueTypeInvalid", field, format!("Invalid value: {value}: {detail}"))
    }

    /// The field must not be there, or not change.
    #[must_use]
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::new("FieldValueForbidden", field, format!("Forbidden: {detail}"))
    }

    /// The value is not one of a few.
    #[must_use]
    pub fn unsupported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        Self::unsupported_shown(field, &value.to_string(), supported)
    }

    /// The value, shown in words of its own, is not one of a few.
    #[must_use]
    pub fn unsupported_shown(field: impl Into<String>, value: &str, supported: &[&str]) -> Self {
        let supported: Vec<String> = supported.iter().map(|name| format!("{name:?}")).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", supported.join(", "));
        Self::new("FieldValueNotSupported", field, message)
    }

    /// The value is there twice.
    #[must_use]
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::new("FieldValueDuplicate", field, format!("Duplicate value: {value}")).showing(value)
    }

    /// The value names something that is not there.
    #[must_use]
    pub fn not_found(field: impl Into<String>, value: &Value) -> Self {
        Self::new("FieldValueNotFound", field, format!("Not found: {value}"))
    }

    /// The value is longer than `limit` bytes.
    #[must_use]
    pub fn too_long(field: impl Into<String>, limit: usize) -> Self {
        Self::new("FieldValueTooLong", field, format!("Too long: may not be more than {limit} bytes"))
    }

    /// A validation rule is broken; `reason` is what the rule gives, empty for the usual one.
    #[must_use]
    pub fn rule(reason: &str, field: impl Into<String>, message: &str) -> Self {
        match reason {
            "FieldValueForbidden" => Self::new("FieldValueForbidden", field, format!("Forbidden: {message}")),
            "FieldValueRequired" => {
                Self::new("FieldValueRequired", field, format!("Required value: {message}"))
            }
            "FieldValueDuplicate" => {
                Self::new("FieldValueDuplicate", field, format!("Duplicate value: {message}"))
            }
            _ => Self::new("FieldValueInvalid", field, format!("Invalid value: {message}")),
        }
    }

    /// The list has more elements than `limit`.
    #[must_use]
    pub fn too_many(field: impl Into<String>, found: usize, limit: u64) -> Self {
        Self::new("FieldValueTooMany", field, format!("Too many: {found}: must have at most {limit} items"))
    }
}
