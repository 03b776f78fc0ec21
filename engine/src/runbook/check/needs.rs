//! Rule: the header declares every capability that the runbook uses. Only code that the main script can
//! reach counts: a library may be able to do more than this runbook needs.

use std::collections::{BTreeMap, BTreeSet};

use rhai::Expr;

use super::Subject;
use super::arguments::literally;
use super::facts::{Body, Call, Facts};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::runbook::{Capability, Header};
use crate::text::{count, did_you_mean, list};

pub(super) fn rule(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let Some(header) = subject.header else { return Vec::new() };
    let unknown = unknown_modules(subject, header);
    let mut missing: BTreeMap<String, Vec<Diagnostic>> = BTreeMap::new();
    for body in reachable(subject.facts, subject.sources.main()) {
        for call in &body.calls {
            if let Some((needed, problem)) = undeclared(subject, header, body, call) {
                missing.entry(needed).or_default().push(problem);
            }
        }
    }
    let missing = missing.into_values().filter_map(|mut problems| {
        problems.sort_by_key(|problem| problem.place.clone());
        let others = problems.len() - 1;
        let first = problems.into_iter().next()?;
        Some(if others == 0 { first } else { first.note(format!("and {}", count(others, "more call"))) })
    });
    unknown.into_iter().chain(missing).collect()
}

/// A capability of a module that has none permits nothing: it is a slip of the fingers.
fn unknown_modules(subject: &Subject<'_>, header: &Header) -> Vec<Diagnostic> {
    let modules = subject.registry.modules();
    let needed =
        modules.iter().flat_map(|module| &module.functions).filter_map(|one| one.description.needs());
    let known: BTreeSet<&str> = needed.filter_map(|needed| needed.split(':').next()).collect();
    let unknown = |need: &&Capability| need.module != "*" && !known.contains(need.module.as_str());
    let told = header.needs.iter().filter(unknown).map(|need| {
        let name = need.module.as_str();
        let (message, hint) = match modules.iter().find(|module| module.name == name) {
            Some(_) => (format!("`{name}` needs no capability"), "leave it out".to_owned()),
            None => {
                let names: Vec<&str> = known.iter().copied().collect();
                let hint = did_you_mean(name, names.iter().copied());
                let hint = hint.unwrap_or_else(|| format!("capabilities are those of {}", list(&names)));
                (format!("there is no module `{name}`"), hint)
            }
        };
        let place = subject.sources.find(&format!("\"{name}:"));
        Diagnostic::new(codes::CAPABILITY, message).at(place).hint(hint)
    });
    told.collect()
}

fn undeclared(
    subject: &Subject<'_>,
    header: &Header,
    body: &Body,
    call: &Call,
) -> Option<(String, Diagnostic)> {
    let namespace = call.namespace()?;
    if subject.facts.imported(&body.source, &namespace).is_some() {
        return None;
    }
    let name = call.full_name();
    let function = subject.registry.function(&name)?;
    let required: Capability = function.description.needs()?.parse().ok()?;
    let scope = literally(call, function).and_then(Result::ok);
    let declared = header.needs.iter().any(|need| match &scope {
        Some(scope) => need.allows(&required, scope.as_deref()),
        None => need.covers(&required),
    });
    if declared {
        return None;
    }
    let touches = scope.flatten().map(|scope| format!(" on `{scope}`")).unwrap_or_default();
    let message = format!("`{name}` needs `{required}`{touches}, which the header does not declare");
    let line: Vec<String> =
        header.needs.iter().chain([&required]).map(|capability| format!("\"{capability}\"")).collect();
    let problem = Diagnostic::new(codes::CAPABILITY, message)
        .at(subject.sources.place(&body.source, call.position))
        .hint(format!("write `needs: [{}],` in the header", line.join(", ")));
    Some((required.to_string(), problem))
}

/// Bodies that can run: from the main script's top level along calls, closures and function names.
fn reachable<'a>(facts: &'a Facts, main: &str) -> Vec<&'a Body> {
    let mut open: Vec<(String, Option<String>)> = vec![(main.to_owned(), None)];
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    while let Some(next) = open.pop() {
        if !seen.insert(next.clone()) {
            continue;
        }
        let (source, function) = next;
        for body in facts.bodies.iter().filter(|body| body.source == source && body.function == function) {
            open.extend(references(facts, body));
            found.push(body);
        }
    }
    found
}

fn references(facts: &Facts, body: &Body) -> Vec<(String, Option<String>)> {
    let here = |name: &str| (body.source.clone(), Some(name.to_owned()));
    let calls = body.calls.iter().filter_map(|call| match call.namespace() {
        None => Some(here(call.name())),
        Some(alias) => {
            let source = facts.imported(&body.source, &alias)?.clone()?;
            Some((source, Some(call.name().to_owned())))
        }
    });
    let pointers = body.calls.iter().filter(|call| call.name() == "Fn").filter_map(|call| {
        let Some(Expr::StringConstant(name, _)) = call.callee.args.first() else { return None };
        Some(here(name))
    });
    let names = body.variables.iter().map(|(name, _)| here(name));
    let closures = body.closures.keys().map(|name| here(name));
    calls.chain(pointers).chain(names).chain(closures).collect()
}
