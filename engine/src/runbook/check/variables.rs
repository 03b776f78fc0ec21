//! Rule: every variable exists where it is used, and `params` is used only where it is visible.

use std::collections::BTreeSet;

use rhai::{Engine, Module, ParseError, ParseErrorType, Scope};

use super::Subject;
use crate::codes;
use crate::diagnostic::{Diagnostic, from_parse_error};
use crate::runbook::{PARAMS, compiler};
use crate::text::did_you_mean;

/// Rhai stops at the first unknown name; each one found is declared and the text parsed again, at most this often.
const MOST: usize = 50;

pub(super) fn rule(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let engine = strict(subject);
    let parsed = subject.facts.imports.keys();
    let undefined = parsed.flat_map(|source| undefined(&engine, source, subject));
    undefined.chain(invisible_params(subject)).collect()
}

fn strict(subject: &Subject<'_>) -> Engine {
    let mut engine = compiler();
    engine.set_strict_variables(true);
    for module in subject.registry.modules() {
        engine.register_static_module(module.name, Module::new().into());
    }
    engine
}

fn undefined(engine: &Engine, source: &str, subject: &Subject<'_>) -> Vec<Diagnostic> {
    let text = subject.sources.text(source).unwrap_or_default();
    let mut scope = Scope::new();
    scope.push_constant(PARAMS, ());
    let mut found = Vec::new();
    for _ in 0..MOST {
        let Err(error) = engine.compile_with_scope(&scope, text) else { break };
        let ParseErrorType::VariableUndefined(name) = error.err_type() else { break };
        scope.push(name.clone(), ());
        found.push(tell(&error, name, source, subject));
    }
    found
}

fn tell(error: &ParseError, name: &str, source: &str, subject: &Subject<'_>) -> Diagnostic {
    let bodies = || subject.facts.bodies.iter().filter(|body| body.source == source);
    let above = bodies().any(|body| body.function.is_none() && body.locals.contains(name));
    let known: BTreeSet<&str> =
        bodies().flat_map(|body| body.locals.iter().chain(&body.params)).map(String::as_str).collect();
    let hint = if above {
        Some(format!(
            "a function sees only its parameters, and a line only what stands above it; pass `{name}` in"
        ))
    } else {
        did_you_mean(name, known.into_iter().chain([PARAMS]).filter(|known| *known != name))
    };
    from_parse_error(error, source, subject.sources).hint(hint)
}

fn invisible_params(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let main = subject.sources.main();
    let mut found = Vec::new();
    for body in &subject.facts.bodies {
        let inside = !body.is_closure() && (body.function.is_some() || body.source != main);
        let own = body.locals.contains(PARAMS) || body.params.iter().any(|name| name == PARAMS);
        if !inside || own {
            continue;
        }
        let uses = body.variables.iter().filter(|(name, _)| name == PARAMS);
        found.extend(uses.map(|(_, position)| {
            Diagnostic::new(codes::VARIABLE, "`params` is visible at the top level of the main script only")
                .at(subject.sources.place(&body.source, *position))
                .hint("hand the value to the function as an argument".to_owned())
        }));
    }
    found
}
