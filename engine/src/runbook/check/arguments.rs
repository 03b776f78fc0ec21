//! Rule (part of `calls`): arguments are what their shapes allow as far as they are literal, and options have
//! real names. Everything that only running could tell stands for itself, so that nothing is found here that a
//! run would take.

use rhai::{Expr, Position};
use serde_json::{Map, Value};

use super::Subject;
use super::calls::arity;
use super::facts::{Body, Call, closure};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::function::{ArgumentError, Function, Misfit, Parameter, Signature, stand_in};
use crate::runbook::Builtin;
use crate::runbook::literal::Literal;

/// A call of the engine's own: number of arguments, names and values of options.
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
    let options = call.callee.args.get(1).filter(|_| given == builtin.arity.1).map(entries);
    let found = options.into_iter().flatten().flat_map(|option| misfits(&builtin.options, &option));
    found.map(|(position, problem)| problem.at(subject.sources.place(&body.source, position))).collect()
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
    let given = function.signature.positional().zip(arguments.positional);
    let positional = given.flat_map(|(parameter, expression)| of_parameter(parameter, expression));
    let options = arguments.options.iter().flat_map(|option| misfits(&function.signature, option));
    let found = positional.chain(options);
    let found: Vec<Diagnostic> =
        found.map(|(position, problem)| problem.at(subject.sources.place(&body.source, position))).collect();
    match literally(call, function) {
        Some(Err(problem)) if found.is_empty() => vec![problem],
        _ => found,
    }
}

/// What is wrong with one entry of an options map.
fn misfits(signature: &Signature, (key, position, value): &Entry<'_>) -> Vec<(Position, Diagnostic)> {
    match signature.parameters.iter().find(|parameter| parameter.name == *key) {
        Some(parameter) => of_parameter(parameter, value),
        None => vec![(*position, told(signature.unknown(key)))],
    }
}

fn of_parameter(parameter: &Parameter, expression: &Expr) -> Vec<(Position, Diagnostic)> {
    let found = parameter.misfits(&known(expression), "").into_iter();
    found.map(|misfit| (locate(expression, &misfit), told(misfit.error))).collect()
}

fn told(error: ArgumentError) -> Diagnostic {
    Diagnostic::new(codes::ARGUMENT, error.message).hint(error.hint)
}

/// What is known of a value without running: of what is not literal, its kind at best.
fn known(expression: &Expr) -> Value {
    match expression {
        Expr::Map(map, _) => map
            .0
            .iter()
            .map(|(key, value)| (key.name.to_string(), known(value)))
            .collect::<Map<_, _>>()
            .into(),
        Expr::Array(items, _) => items.iter().map(known).collect(),
        Expr::InterpolatedString(..) => stand_in("string"),
        closed if closure(closed).is_some() => stand_in("function"),
        other => Literal::of(other).map_or_else(|_| stand_in("any"), |literal| literal.value()),
    }
}

/// Where in the script the part is that does not fit.
fn locate(expression: &Expr, misfit: &Misfit) -> Position {
    let mut here = expression;
    let mut position = here.position();
    for part in &misfit.path {
        let inner = match here {
            Expr::Map(map, _) => {
                let entry = map.0.iter().find(|(key, _)| key.name == part.as_str());
                entry.map(|(key, value)| (key.pos, value))
            }
            Expr::Array(items, _) => {
                let item = part.parse().ok().and_then(|index: usize| items.get(index));
                item.map(|item| (item.position(), item))
            }
            _ => None,
        };
        let Some((key, value)) = inner else { break };
        position = if misfit.is_key { key } else { value.position() };
        here = value;
    }
    position
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

/// What a call gives to each parameter by its name, as far as it can be seen.
pub(super) fn given<'a>(call: &'a Call, signature: &'a Signature) -> Vec<(String, &'a Expr)> {
    let Some(arguments) = Arguments::of(call, signature) else { return Vec::new() };
    let names = signature.positional().map(|parameter| parameter.name.clone());
    let options = arguments.options.into_iter().map(|(key, _, value)| (key, value));
    names.zip(arguments.positional).chain(options).collect()
}

/// An entry of an options map: its key, where that stands, and what it holds.
pub(super) type Entry<'a> = (String, Position, &'a Expr);

/// The entries of a literal map.
pub(super) fn entries(expression: &Expr) -> Vec<Entry<'_>> {
    let Expr::Map(map, _) = expression else { return Vec::new() };
    map.0.iter().map(|(key, value)| (key.name.to_string(), key.pos, value)).collect()
}

/// Arguments as the signature takes them.
struct Arguments<'a> {
    positional: &'a [Expr],
    options: Vec<Entry<'a>>,
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
            let parameter = signature.positional().nth(given.len() - 1);
            let takes_maps = parameter.is_none_or(|p| p.shape.accepts(&Value::Object(Map::new())));
            let is_map = matches!(given.last(), Some(Expr::Map(..)));
            given.len() == most + 1 || (is_map && !takes_maps)
        };
        let (positional, options) =
            if last_is_options { given.split_at(given.len() - 1) } else { (given, &given[..0]) };
        let fits = (least..=most).contains(&positional.len());
        let unknown_options = options.first().is_some_and(|options| !matches!(options, Expr::Map(..)));
        let options = options.first().map(entries).unwrap_or_default();
        fits.then_some(Self { positional, options, unknown_options })
    }
}
