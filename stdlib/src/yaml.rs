//! YAML from outside, read in one way: every document as a JSON value, every mistake as a sentence with its place.

use std::fmt;

use serde_json::Value;
use serde_saphyr::{MessageFormatter, UserMessageFormatter};

/// Why a text is not YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A lower-case sentence.
    pub message: String,
    /// From 1, where it is known: line and column.
    pub place: Option<(usize, usize)>,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(formatter, "line {line}, column {column}: ")?;
        }
        formatter.write_str(&self.message)
    }
}

/// The documents of a text that say something.
///
/// # Errors
/// The first mistake in it.
pub fn documents(text: &str) -> Result<Vec<Value>, Problem> {
    serde_saphyr::from_multiple(text).map_err(|error| {
        let place = error.location().map(|location| (location.line() as usize, location.column() as usize));
        let told = UserMessageFormatter.format_message(error.without_snippet());
        Problem { message: aegis_engine::text::one_sentence(&told), place }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_sentences_with_places() {
        let table = [
            ("n: [1\nname", "line 1, column 4: unclosed bracket '['"),
            ("n: 1\nn: 2\n", "line 2, column 1: duplicate mapping key `n` is not allowed here"),
            ("a: *b\n", "line 1, column 4: reference to unknown value"),
        ];
        for (text, told) in table {
            assert_eq!(documents(text).unwrap_err().to_string(), told);
        }
    }

    #[test]
    fn documents_come_one_by_one() {
        let read = documents("a: 1\n---\n---\n- 2\n").unwrap();
        assert_eq!(read, [serde_json::json!({ "a": 1 }), serde_json::json!([2])]);
    }
}
