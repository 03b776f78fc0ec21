//! CEL expressions, as custom resources and admission policies use them.
//!
//! The `cel` crate runs the language and its standard functions, not the libraries Kubernetes adds
//! (quantities, URLs, addresses, formats). An expression it cannot read or finish has no answer, and
//! whoever asks goes on as if it were not there: an unknown function must not refuse a good object.

use cel::{Context, Program};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Expressions read so far; past this many they are read anew.
const KEPT: usize = 4096;

static PROGRAMS: LazyLock<Mutex<HashMap<String, Option<Arc<Program>>>>> = LazyLock::new(Mutex::default);

/// A name an expression can use, and its value.
pub type Variable<'a> = (&'a str, &'a Value);

/// The value of an expression; `None` when it cannot be had.
#[must_use]
pub fn evaluate(expression: &str, variables: &[Variable<'_>]) -> Option<Value> {
    let program = program(expression)?;
    let mut context = Context::default();
    for (name, value) in variables {
        context.add_variable(*name, *value).ok()?;
    }
    program.execute(&context).ok()?.json().ok()
}

/// Whether an expression that should be true is; `None` when it cannot be told.
#[must_use]
pub fn holds(expression: &str, variables: &[Variable<'_>]) -> Option<bool> {
    evaluate(expression, variables)?.as_bool()
}

fn program(expression: &str) -> Option<Arc<Program>> {
    let mut programs = PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = programs.get(expression) {
        return known.clone();
    }
    if programs.len() >= KEPT {
        programs.clear();
    }
    let read = Program::compile(&unescaped(expression)).ok().map(Arc::new);
    if read.is_none() {
        tracing::debug!(expression, "a CEL expression cannot be read");
    }
    programs.insert(expression.to_owned(), read.clone());
    read
}

/// Fields named like a word the language keeps for later are written `__word__` in Kubernetes; the parser
/// here takes them as they are.
fn unescaped(expression: &str) -> String {
    const KEPT_FOR_LATER: [&str; 16] = [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "namespace",
        "package",
        "return",
        "var",
        "while",
    ];
    let escaped = |text: String, word: &&str| text.replace(&format!("__{word}__"), word);
    KEPT_FOR_LATER.iter().fold(expression.to_owned(), escaped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn expressions_have_values_or_none() {
        let value = json!({"mode": "Fast", "replicas": 9, "items": [{"name": "a"}]});
        let holds = |expression: &str| holds(expression, &[("self", &value)]);
        assert_eq!(holds("!has(self.mode) || self.mode != 'Fast' || self.replicas <= 5"), Some(false));
        assert_eq!(holds("self.items.all(item, item.name.startsWith('a'))"), Some(true));
        assert_eq!(holds("quantity(self.mode).isLessThan(quantity('1'))"), None, "not a standard function");
        let kept = json!({"namespace": "a"});
        assert_eq!(
            super::holds("has(self.__namespace__) && self.__namespace__ == 'a'", &[("self", &kept)]),
            Some(true)
        );
        assert_eq!(holds("not ((CEL"), None);
        assert_eq!(
            evaluate("'at most ' + string(self.replicas)", &[("self", &value)]),
            Some(json!("at most 9"))
        );
    }
}
