//! What Rhai reports, in this house's words: syntax errors, and run-time errors with their call chain.
//! Frames of closures are called `step`, because closures get their names from a hash.

use rhai::{Dynamic, EvalAltResult, LexError, ParseError, ParseErrorType};
use serde_json::Value;

use super::{Diagnostic, Place};
use crate::codes;
use crate::error::Code;
use crate::runbook::{BUILTINS, Sources};
use crate::script::convert::to_json;
use crate::secret::{Vault, without_secrets};

/// A syntax error in the named source.
#[must_use]
pub fn from_parse_error(error: &ParseError, source: &str, sources: &Sources) -> Diagnostic {
    parse_diagnostic(error.err_type()).at(sources.place(source, error.position()))
}

/// A run-time error: the sentence and hint of the innermost failure, a caret under the call that failed and
/// the chain of calls that led there.
#[must_use]
pub fn from_error(error: &EvalAltResult, sources: &Sources) -> Diagnostic {
    let mut source = sources.main().to_owned();
    let mut inner = error;
    let mut chain = Vec::new();
    loop {
        match inner {
            EvalAltResult::ErrorInFunctionCall(name, called, cause, position) => {
                chain.push(frame(name, sources.place(&source, *position)));
                if sources.text(called).is_some() {
                    source.clone_from(called);
                }
                inner = cause;
            }
            EvalAltResult::ErrorInModule(name, cause, position) => {
                chain.push(frame(name, sources.place(&source, *position)));
                if let Some(imported) = sources.resolve(&source, name) {
                    source = imported;
                }
                inner = cause;
            }
            _ => break,
        }
    }
    let mut diagnostic = runtime_diagnostic(inner).at(sources.place(&source, inner.position()));
    diagnostic.notes = chain.into_iter().rev().collect();
    diagnostic
}

fn frame(name: &str, place: Option<Place>) -> String {
    // The engine names the frame of a step body by the step; a bare closure only has its hash.
    let name = if name.starts_with("anon$") { "step" } else { name };
    match place {
        Some(place) => format!("in `{name}`, called at {}", place.address()),
        None => format!("in `{name}`"),
    }
}

fn parse_diagnostic(kind: &ParseErrorType) -> Diagnostic {
    use ParseErrorType as P;
    let say = |message: String| Diagnostic::new(codes::SYNTAX, message);
    match kind {
        P::VariableUndefined(name) => {
            Diagnostic::new(codes::VARIABLE, format!("there is no variable `{name}`"))
        }
        P::ModuleUndefined(name) => Diagnostic::new(codes::FUNCTION, format!("there is no module `{name}`"))
            .hint(
                "import it (`import \"NAME\" as NAME;`) or see `aegis docs` for the host modules".to_owned(),
            ),
        P::MissingToken(token, purpose) => say(format!("expected `{token}` {}", quoted(purpose))),
        P::UnexpectedEOF => {
            say("the script ends too early".to_owned()).hint("a `{`, `(` or `[` is not closed".to_owned())
        }
        P::BadInput(LexError::UnterminatedString) => say("the string is not closed".to_owned())
            .hint("end it with `\"`, or use backticks over several lines".to_owned()),
        P::BadInput(error) => say(lower(&error.to_string())),
        P::Reserved(word) => say(format!("`{word}` is a reserved word"))
            .hint(format!("choose another name; for a map key write `[\"{word}\"]`")),
        P::AssignmentToConstant(name) => say(format!("`{name}` is a constant and cannot be assigned to")),
        P::FnDuplicatedDefinition(name, count) => say(format!(
            "function `{name}` with {} is defined twice",
            crate::text::count(*count, "parameter")
        )),
        P::WrongFnDefinition => say("functions are defined at the top level only".to_owned()),
        P::ExprTooDeep => Diagnostic::new(codes::LIMIT, "the expression is nested too deeply")
            .hint("split it with `let`".to_owned()),
        other => say(lower(&other.to_string())),
    }
}

fn runtime_diagnostic(error: &EvalAltResult) -> Diagnostic {
    use EvalAltResult as E;
    let say = |code: Code, message: String| Diagnostic::new(code, message);
    match error {
        E::ErrorRuntime(value, _) | E::ErrorTerminated(value, _) => thrown(value),
        E::ErrorParsing(kind, _) => parse_diagnostic(kind),
        E::ErrorVariableNotFound(name, _) => say(codes::VARIABLE, format!("there is no variable `{name}`"))
            .hint("functions see only their parameters; pass the value in".to_owned()),
        E::ErrorFunctionNotFound(signature, _) => not_found(signature),
        E::ErrorModuleNotFound(name, _) => say(codes::IMPORT, format!("there is no module `{name}`")),
        E::ErrorTooManyOperations(_) => say(codes::LIMIT, "the script ran too many operations".to_owned())
            .hint("is there a loop without an end?".to_owned()),
        E::ErrorStackOverflow(_) => say(codes::LIMIT, "the script calls itself too deeply".to_owned()),
        E::ErrorDataTooLarge(what, _) => say(codes::LIMIT, format!("a value is too large: {}", lower(what))),
        E::ErrorTooManyVariables(_) => say(codes::LIMIT, "the script has too many variables".to_owned()),
        E::ErrorTooManyModules(_) => say(codes::LIMIT, "the script imports too many modules".to_owned()),
        E::ErrorSystem(context, cause) if context.is_empty() => say(codes::SCRIPT, cause.to_string()),
        E::ErrorSystem(context, _) => say(codes::SCRIPT, context.clone()),
        E::ErrorArrayBounds(length, index, _) => {
            let items = crate::text::count(*length, "item");
            say(codes::SCRIPT, format!("index {index} is outside of an array of {items}"))
        }
        E::ErrorMismatchDataType(wanted, actual, _) | E::ErrorMismatchOutputType(wanted, actual, _) => {
            say(codes::SCRIPT, format!("expected {}, not {}", word(wanted), word(actual)))
        }
        E::ErrorFor(_) => say(codes::SCRIPT, "`for` needs an array, a map's keys or a range".to_owned()),
        E::ErrorAssignmentToConstant(name, _) => {
            say(codes::SCRIPT, format!("`{name}` is a constant and cannot be assigned to"))
        }
        other => {
            let mut plain = other.to_string();
            if let Some(at) = plain.rfind(" (line ") {
                plain.truncate(at);
            }
            say(codes::SCRIPT, lower(&plain))
        }
    }
}

/// `scale (&str, i64)` is how Rhai names a call that nothing answers to.
fn not_found(signature: &str) -> Diagnostic {
    let (name, types) = signature.split_once(" (").unwrap_or((signature, ""));
    // The unit type's own name ends in a parenthesis, too.
    let types: Vec<&str> =
        types.strip_suffix(')').unwrap_or(types).split(", ").filter(|t| !t.is_empty()).map(word).collect();
    let given =
        if types.is_empty() { "without arguments".to_owned() } else { format!("for ({})", types.join(", ")) };
    let own = BUILTINS.iter().find(|builtin| builtin.name == name);
    Diagnostic::new(codes::FUNCTION, format!("there is no function `{name}` {given}"))
        .hint(own.map(|builtin| format!("it is `{}`", builtin.signature)))
}

/// What a script threw: an engine error map, or anything the author chose.
fn thrown(value: &Dynamic) -> Diagnostic {
    let Some(map) = value.read_lock::<rhai::Map>() else {
        let message = if value.is_unit() { "the script stopped".to_owned() } else { said(value) };
        return Diagnostic::new(codes::SCRIPT, message);
    };
    let text = |key: &str| map.get(key).filter(|value| value.is_string()).map(ToString::to_string);
    let code = text("code").and_then(|code| codes::explain(&code)).map_or(codes::SCRIPT, |entry| entry.code);
    let message = text("message").unwrap_or_else(|| said(value));
    Diagnostic::new(code, message).hint(text("hint").filter(|hint| !hint.is_empty()))
}

/// A value as a person is told it: of a secret, that it is one.
fn said(value: &Dynamic) -> String {
    let json = (!value.is_string()).then(|| to_json(value, &Vault::default()));
    match json {
        Some(Ok(json)) => match without_secrets(json) {
            Value::String(text) => text,
            other => other.to_string(),
        },
        Some(Err(_)) | None => value.to_string(),
    }
}

/// The script's word for a Rust type name.
fn word(rust: &str) -> &str {
    let bare = rust.trim_start_matches('&').trim_start_matches("mut ").trim();
    match bare.rsplit("::").next().unwrap_or(bare) {
        "i64" | "INT" => "int",
        "f64" | "FLOAT" => "float",
        "str" | "String" | "ImmutableString" => "string",
        "Map" => "map",
        "Array" | "Vec<Dynamic>" => "array",
        "FnPtr" | "Fn" => "closure",
        // What takes any kind of string lists them all.
        several if several.contains('|') => "string",
        other => other,
    }
}

fn quoted(sentence: &str) -> String {
    sentence.replace('\'', "`")
}

fn lower(sentence: &str) -> String {
    let plain = quoted(sentence);
    let mut characters = plain.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}
