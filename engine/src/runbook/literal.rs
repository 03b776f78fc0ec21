//! Literal values of a script with their positions, read without running: the header and the arguments that
//! `check` can judge.

use rhai::{Dynamic, Expr, Position};
use serde_json::{Map, Value};

/// A literal with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Literal {
    pub(super) position: Position,
    pub(super) shape: Shape,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Scalar(Value),
    List(Vec<Literal>),
    /// Keys with their positions, in the order they are written.
    Map(Vec<(String, Position, Literal)>),
}

impl Literal {
    /// Reads a literal.
    ///
    /// # Errors
    /// The position of the first part that only running could tell.
    pub(super) fn of(expression: &Expr) -> Result<Self, Position> {
        let position = expression.position();
        let shape = match expression {
            Expr::Array(items, _) => Shape::List(items.iter().map(Self::of).collect::<Result<_, _>>()?),
            Expr::Map(map, _) => Shape::Map(
                map.0
                    .iter()
                    .map(|(key, value)| Ok((key.name.to_string(), key.pos, Self::of(value)?)))
                    .collect::<Result<_, Position>>()?,
            ),
            other => Shape::Scalar(other.get_literal_value(None).as_ref().and_then(scalar).ok_or(position)?),
        };
        Ok(Self { position, shape })
    }

    /// As JSON.
    pub(super) fn value(&self) -> Value {
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

fn scalar(value: &Dynamic) -> Option<Value> {
    if value.is_unit() {
        return Some(Value::Null);
    }
    let plain = value.as_bool().map(Value::from);
    let plain = plain.or_else(|_| value.as_int().map(Value::from));
    let plain = plain.or_else(|_| value.as_float().map(Value::from));
    plain.or_else(|_| value.clone().into_string().map(Value::from)).ok()
}
