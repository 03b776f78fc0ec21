//! Values as somebody wrote them, with the place of each: what a header says that the engine only passes on
//! (`schedule`), and the same from files of other formats. Whoever reads one can point at what is wrong.

use serde_json::{Map, Value};

use crate::diagnostic::Place;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// Where; `None` for a text that is not at hand.
    pub place: Option<Place>,
    /// What.
    pub shape: Shape,
}

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A text, number, truth value or nothing.
    Scalar(Value),
    /// Items in their order.
    List(Vec<Written>),
    /// Keys with their places, in the order they are written.
    Map(Vec<(String, Option<Place>, Written)>),
}

impl Written {
    /// As JSON.
    #[must_use]
    pub fn value(&self) -> Value {
        match &self.shape {
            Shape::Scalar(value) => value.clone(),
            Shape::List(items) => items.iter().map(Self::value).collect(),
            Shape::Map(entries) => entries
                .iter()
                .map(|(key, _, value)| (key.clone(), value.value()))
                .collect::<Map<_, _>>()
                .into(),
        }
    }
}
