//! Rule (part of `calls`): arguments that are literals are of the right type, and options have real names.

use rhai::{Expr, Position};
use serde_json::{Map, Value};

use super::Subject;
use super::calls::arity;
use super::facts::{Body, Call};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::function::{Function, Parameter, Signature, accepts, kind_of};
use crate::runbook::Builtin;
use crate::runbook::literal::Literal;
use crate::text::{did_you_mean, list};

/// A call of the engine's own: number of arguments and names of options.
pub(super) fn of_builtin(
    subject: &Subject<'_>,
    body: &Body,
    call: &Call,
    builtin: &Builtin,
) -> Vec<Diagnostic> {
    let given = call.arity();
    if given < builtin.arity.0 || given > builtin.arity.1 {
        return vec![arity(call, given).hint(format!("it is `{}`", builtin.signature))];
    }
    let Some(Expr::Map(map, _)) = call.callee.args.get(1).filter(|_| given == builtin.arity.1) else {
        return Vec::new();
    };
    let unknown = map.0.iter().filter(|(key, _)| !builtin.options.contains(&key.name.as_str()));
    unknown
        .map(|(key, _)| {
            unknown_option(&key.name, builtin.options).at(subject.sources.place(&body.source, key.pos))
        })
        .collect()
}

/// A call of a host function: number, types and names of arguments, as far as they are literal.
pub(super) fn of_host_function(
    subject: &Subject<'_>,
    body: &Body,
    call: &Call,
    function: &Function,
) -> Vec<Diagnostic> {
    let Some(arguments) = Arguments::of(call, &function.signature) else {
        let line = function.signature.line(&call.full_name());
        return vec![arity(call, call.arity()).hint(format!("it is `{line}`"))];
    };
    let mut found: Vec<Diagnostic> = Vec::new();
    let mut add = |position: Position, problem: Diagnostic| {
        found.push(problem.at(subject.sources.place(&body.source, position)));
    };
    for (parameter, expression) in function.signature.positional().zip(arguments.positional) {
        if let Some(problem) = mistyped(parameter, expression) {
            add(expression.position(), problem);
        }
    }
    let options: Vec<&str> = function.signature.options().map(|option| option.name.as_str()).collect();
    for (key, position, expression) in &arguments.options {
        match function.signature.parameters.iter().find(|parameter| parameter.name == *key) {
            None => add(*position, unknown_option(key, &options)),
            Some(parameter) => {
                if let Some(problem) = mistyped(parameter, expression) {
                    add(expression.position(), problem);
                }
            }
        }
    }
    if found.is_empty()
        && let Some(Err(problem)) = literally(call, function)
    {
        found.push(problem);
    }
    found
}

/// The scope of a call whose arguments are all literal; an error when they do not fit after all.
pub(super) fn literally(call: &Call, function: &Function) -> Option<Result<Option<String>, Diagnostic>> {
    let arguments = Arguments::of(call, &function.signature)?;
    let value = |expression: &Expr| Literal::of(expression).ok().map(|literal| literal.value());
    let positional: Vec<Value> = arguments.positional.iter().map(value).collect::<Option<_>>()?;
    if arguments.unknown_options {
        return None;
    }
    let options: Map<String, Value> = arguments
        .options
        .iter()
        .map(|(key, _, expression)| Some((key.clone(), value(expression)?)))
        .collect::<Option<_>>()?;
    let wrong = |message: String, hint: Option<String>| Diagnostic::new(codes::ARGUMENT, message).hint(hint);
    let assembled = function.signature.assemble(positional, Some(options));
    Some(match assembled {
        Err(error) => Err(wrong(format!("`{}`: {}", call.full_name(), error.message), error.hint)),
        Ok(arguments) => function
            .scope(&arguments)
            .map_err(|error| wrong(format!("`{}`: {}", call.full_name(), error.message), error.hint)),
    })
}

/// Arguments as the signature takes them.
struct Arguments<'a> {
    positional: &'a [Expr],
    options: Vec<(String, Position, &'a Expr)>,
    /// The options are computed.
    unknown_options: bool,
}

impl<'a> Arguments<'a> {
    /// `None` when there are too few or too many.
    fn of(call: &'a Call, signature: &Signature) -> Option<Self> {
        let given: &[Expr] = &call.callee.args;
        let (least, most) = signature.arity();
        let optional = signature.options().next().is_some();
        let last_is_options = optional && given.len() > least && {
            let kind = signature.positional().nth(given.len() - 1).map_or("", |p| p.kind.as_str());
            let is_map = matches!(given.last(), Some(Expr::Map(..)));
            given.len() == most + 1 || (is_map && !accepts(kind, &Value::Object(Map::new())))
        };
        let (positional, options) =
            if last_is_options { given.split_at(given.len() - 1) } else { (given, &given[..0]) };
        let fits = (least..=most).contains(&positional.len());
        let (options, unknown_options) = match options.first() {
            Some(Expr::Map(map, _)) => {
                (map.0.iter().map(|(key, value)| (key.name.to_string(), key.pos, value)).collect(), false)
            }
            Some(_) => (Vec::new(), true),
            None => (Vec::new(), false),
        };
        fits.then_some(Self { positional, options, unknown_options })
    }
}

fn mistyped(parameter: &Parameter, expression: &Expr) -> Option<Diagnostic> {
    let value = match expression {
        // Their type is known even where their content is not.
        Expr::Map(..) => Value::Object(Map::new()),
        Expr::Array(..) => Value::Array(Vec::new()),
        Expr::InterpolatedString(..) => Value::String(String::new()),
        Expr::Unit(_) => return None,
        other => Literal::of(other).ok()?.value(),
    };
    if !accepts(&parameter.kind, &value) {
        let message =
            format!("argument `{}` must be {}, not {}", parameter.name, parameter.kind, kind_of(&value));
        return Some(Diagnostic::new(codes::ARGUMENT, message).hint(about(parameter)));
    }
    let text = value.as_str().filter(|_| matches!(expression, Expr::StringConstant(..)))?;
    if parameter.choices.is_empty() || parameter.choices.iter().any(|choice| choice == text) {
        return None;
    }
    let choices: Vec<&str> = parameter.choices.iter().map(String::as_str).collect();
    let hint =
        did_you_mean(text, choices.iter().copied()).unwrap_or_else(|| format!("choose {}", list(&choices)));
    let message = format!("argument `{}` cannot be `{text}`", parameter.name);
    Some(Diagnostic::new(codes::ARGUMENT, message).hint(hint))
}

fn about(parameter: &Parameter) -> Option<String> {
    let sentence = parameter.help.split_inclusive(". ").next()?.trim().trim_end_matches('.');
    (!sentence.is_empty()).then(|| format!("`{}`: {sentence}", parameter.name))
}

fn unknown_option(key: &str, known: &[&str]) -> Diagnostic {
    let hint = did_you_mean(key, known.iter().copied()).unwrap_or_else(|| match known {
        [] => "there are no options".to_owned(),
        _ => format!("options are {}", list(known)),
    });
    Diagnostic::new(codes::ARGUMENT, format!("unknown option `{key}`")).hint(hint)
}
