//! Rule: an inverse that is named as a literal is a function of the runbook that takes what it is given, and a question
//! asks no more people than there are; as calls, and as options of a step.

use rhai::{Expr, Position};
use serde_json::{Map, Value};

use super::Subject;
use super::arguments::{entries, given};
use super::facts::{Body, Call};
use crate::builtin::AskArguments;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::runbook::literal::Literal;
use crate::script::no_such_undo;
use crate::text::{did_you_mean, list};

/// Arguments by their names.
type Given<'a> = Vec<(String, &'a Expr)>;

/// Judges the arguments of one function.
type Judge = fn(&Subject<'_>, &Given<'_>) -> Option<(Position, Diagnostic)>;

/// Functions that are judged: the option of a step that stands for each, and its first argument.
const JUDGED: [(&str, &str, &str, Judge); 2] =
    [("approval::ask", "approval", "question", question), ("undo::with", "undo", "function", inverse)];

pub(super) fn rule(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let calls = subject.facts.bodies.iter().flat_map(|body| body.calls.iter().map(move |call| (body, call)));
    calls
        .flat_map(|(body, call)| JUDGED.iter().filter_map(move |judged| of(subject, body, call, *judged)))
        .collect()
}

fn of(
    subject: &Subject<'_>,
    body: &Body,
    call: &Call,
    (function, option, first, judge): (&str, &str, &str, Judge),
) -> Option<Diagnostic> {
    let arguments: Given<'_> = if call.full_name() == function {
        given(call, &subject.registry.function(function)?.signature)
    } else if call.full_name() == "step" && call.arity() == 3 {
        let options = entries(call.callee.args.get(1)?);
        let (.., value) = options.into_iter().find(|(key, ..)| key == option)?;
        match value {
            Expr::Map(..) => entries(value).into_iter().map(|(key, _, value)| (key, value)).collect(),
            _ => vec![(first.to_owned(), value)],
        }
    } else {
        return None;
    };
    let (position, problem) = judge(subject, &arguments)?;
    Some(problem.at(subject.sources.place(&body.source, position)))
}

fn argument<'a>(given: &Given<'a>, name: &str) -> Option<&'a Expr> {
    given.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
}

fn literal(expression: &Expr) -> Option<Value> {
    Literal::of(expression).ok().map(|literal| literal.value())
}

/// Enough people can say yes.
fn question(_: &Subject<'_>, given: &Given<'_>) -> Option<(Position, Diagnostic)> {
    let mut known = Map::from_iter([("question".to_owned(), Value::from(""))]);
    for name in ["quorum", "approvers"] {
        if let Some(value) = argument(given, name) {
            known.insert(name.to_owned(), literal(value)?);
        }
    }
    // What is of another kind is told by the rule about arguments.
    let arguments: AskArguments = serde_json::from_value(known.into()).ok()?;
    let error = arguments.check().err()?;
    let position = argument(given, "quorum").or_else(|| argument(given, "approvers"))?.position();
    Some((position, Diagnostic::new(codes::ARGUMENT, error.message).hint(error.hint)))
}

/// The runbook has the function, with as many parameters as it is given arguments.
fn inverse(subject: &Subject<'_>, given: &Given<'_>) -> Option<(Position, Diagnostic)> {
    let named = argument(given, "function")?;
    let name = literal(named)?.as_str()?.to_owned();
    let count = match argument(given, "arguments") {
        None => 0,
        Some(Expr::Array(items, _)) => items.len(),
        Some(computed) => literal(computed)?.as_array()?.len(),
    };
    let main = subject.sources.main();
    if !subject.facts.imports.contains_key(main) {
        return None; // It does not parse, which is told already.
    }
    let own: Vec<&Body> = subject.facts.functions(main).collect();
    let same = || own.iter().filter(|body| body.function.as_deref() == Some(&name));
    if same().any(|body| body.params.len() == count) {
        return None;
    }
    let lines: Vec<String> = same().map(|body| format!("`{name}({})`", body.params.join(", "))).collect();
    let mut names: Vec<&str> = own.iter().filter_map(|body| body.function.as_deref()).collect();
    names.sort_unstable();
    let hint = match lines.as_slice() {
        [] => did_you_mean(&name, names.iter().copied()).unwrap_or_else(|| match names.as_slice() {
            [] => format!("write it: `fn {name}(...) {{ ... }}`"),
            names => format!("functions of the runbook are {}", list(names)),
        }),
        lines => format!("it is {}", lines.join(" or ")),
    };
    let error = no_such_undo(&name, count);
    Some((named.position(), Diagnostic::new(codes::FUNCTION, error.message).hint(hint)))
}
