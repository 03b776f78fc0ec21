//! Rule: every function that is called exists and gets as many arguments as it takes.

use std::collections::{BTreeMap, BTreeSet};

use super::Subject;
use super::arguments;
use super::facts::{Body, Call};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::function::Module;
use crate::runbook::compiler::standard_functions;
use crate::text::{count, did_you_mean, list};

pub(super) fn rule(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let mut standard: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (name, arity) in standard_functions() {
        standard.entry(name).or_default().insert(arity);
    }
    let mut found = Vec::new();
    for body in &subject.facts.bodies {
        for call in body.calls.iter().filter(|call| !call.callee.is_operator_call()) {
            let problems = match call.namespace() {
                Some(namespace) => qualified(subject, body, call, &namespace),
                None => plain(subject, body, call, &standard),
            };
            found.extend(problems.into_iter().map(|problem| match problem.place {
                Some(_) => problem,
                None => problem.at(subject.sources.place(&body.source, call.position)),
            }));
        }
    }
    found
}

/// `module::function(...)`, of an import or of the host.
fn qualified(subject: &Subject<'_>, body: &Body, call: &Call, namespace: &str) -> Vec<Diagnostic> {
    if let Some(imported) = subject.facts.imported(&body.source, namespace) {
        return imported.as_deref().map_or_else(Vec::new, |source| of_import(subject, call, source));
    }
    if namespace.contains("::") || namespace == "global" {
        return Vec::new();
    }
    let Some(module) = subject.registry.modules().iter().find(|module| module.name == namespace) else {
        return vec![no_module(subject, body, namespace)];
    };
    let Some(function) = subject.registry.function(&call.full_name()) else {
        return vec![no_host_function(module, call)];
    };
    arguments::of_host_function(subject, body, call, function)
}

fn no_module(subject: &Subject<'_>, body: &Body, namespace: &str) -> Diagnostic {
    let modules = subject.registry.modules().iter().map(|module| module.name);
    let aliases =
        subject.facts.imports.get(&body.source).into_iter().flatten().map(|(alias, _)| alias.as_str());
    let hint = did_you_mean(namespace, modules.chain(aliases)).unwrap_or_else(|| {
        format!("import it, `import \"{namespace}\" as {namespace};`, or see `aegis docs`")
    });
    Diagnostic::new(codes::FUNCTION, format!("there is no module `{namespace}`")).hint(hint)
}

fn no_host_function(module: &Module, call: &Call) -> Diagnostic {
    let names: Vec<&str> = module.functions.iter().map(|function| function.description.name).collect();
    let hint = did_you_mean(call.name(), names.iter().copied())
        .map(|hint| hint.replace("mean `", &format!("mean `{}::", module.name)))
        .unwrap_or_else(|| format!("`{}` has {}", module.name, list(&names)));
    Diagnostic::new(codes::FUNCTION, format!("there is no function `{}`", call.full_name())).hint(hint)
}

fn of_import(subject: &Subject<'_>, call: &Call, source: &str) -> Vec<Diagnostic> {
    if !subject.facts.imports.contains_key(source) {
        return Vec::new(); // It does not parse, which is told already.
    }
    let public = || subject.facts.functions(source).filter(|body| !body.private);
    let same: Vec<&Body> = public().filter(|body| body.function.as_deref() == Some(call.name())).collect();
    if !same.is_empty() {
        return wrong_arity(&same, call).into_iter().collect();
    }
    let mut names: Vec<&str> = public().filter_map(|body| body.function.as_deref()).collect();
    names.sort_unstable();
    let hint = did_you_mean(call.name(), names.iter().copied())
        .unwrap_or_else(|| format!("`{source}` has {}", list(&names)));
    vec![Diagnostic::new(codes::FUNCTION, format!("there is no function `{}`", call.full_name())).hint(hint)]
}

/// `function(...)` or `value.function(...)`.
fn plain(
    subject: &Subject<'_>,
    body: &Body,
    call: &Call,
    standard: &BTreeMap<String, BTreeSet<usize>>,
) -> Vec<Diagnostic> {
    let name = call.name();
    // Calls of closures take what the closure takes.
    if matches!(name, "call" | "curry") {
        return Vec::new();
    }
    if let Some(builtin) = subject.builtins.iter().find(|builtin| builtin.name == name) {
        return arguments::of_builtin(subject, body, call, builtin);
    }
    let own: Vec<&Body> =
        subject.facts.functions(&body.source).filter(|body| body.function.as_deref() == Some(name)).collect();
    match standard.get(name) {
        Some(arities) if arities.contains(&call.arity()) => Vec::new(),
        // Called as a method, a function of the script gets the value as `this`.
        _ if !own.is_empty() && call.method => Vec::new(),
        _ if !own.is_empty() => wrong_arity(&own, call).into_iter().collect(),
        _ if call.method && subject.facts.keys.contains(name) => Vec::new(),
        Some(arities) => vec![standard_arity(call, arities)],
        None => vec![unknown(subject, body, call, standard)],
    }
}

fn wrong_arity(same: &[&Body], call: &Call) -> Option<Diagnostic> {
    if same.iter().any(|body| body.params.len() == call.arity()) {
        return None;
    }
    let lines: Vec<String> =
        same.iter().map(|body| format!("`{}({})`", call.full_name(), body.params.join(", "))).collect();
    Some(arity(call, call.arity()).hint(format!("it is {}", lines.join(" or "))))
}

fn standard_arity(call: &Call, arities: &BTreeSet<usize>) -> Diagnostic {
    let itself = usize::from(call.method);
    let takes: Vec<String> =
        arities.iter().filter_map(|arity| arity.checked_sub(itself)).map(|arity| arity.to_string()).collect();
    arity(call, call.callee.args.len()).hint(format!("it takes {}", takes.join(" or ")))
}

pub(super) fn arity(call: &Call, given: usize) -> Diagnostic {
    let message = format!("`{}` does not take {}", call.full_name(), count(given, "argument"));
    Diagnostic::new(codes::ARITY, message)
}

fn unknown(
    subject: &Subject<'_>,
    body: &Body,
    call: &Call,
    standard: &BTreeMap<String, BTreeSet<usize>>,
) -> Diagnostic {
    let name = call.name();
    let problem = Diagnostic::new(codes::FUNCTION, format!("there is no function `{name}`"));
    if body.locals.contains(name) || body.params.iter().any(|param| param == name) {
        return problem.hint(format!("to call the closure in `{name}` write `{name}.call(...)`"));
    }
    let host: Vec<&str> =
        subject.registry.names().filter(|full| full.rsplit("::").next() == Some(name)).collect();
    if !host.is_empty() && !call.method {
        return problem.hint(format!("host functions need their module: {}", list(&host)));
    }
    let own = subject.facts.functions(&body.source).filter_map(|body| body.function.as_deref());
    let builtins = subject.builtins.iter().map(|builtin| builtin.name);
    let words =
        standard.keys().map(String::as_str).filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()));
    problem.hint(did_you_mean(name, own.chain(builtins).chain(words)))
}
