//! Rules about imports. The top level of an imported script only defines things: calls there would happen at the
//! `import`, outside of any step, once for all branches. An alias is no host module's name: Rhai would take the
//! script for the module in every script below.

use super::Subject;
use crate::codes;
use crate::diagnostic::Diagnostic;

pub(super) fn rule(subject: &Subject<'_>) -> Vec<Diagnostic> {
    acting(subject).into_iter().chain(hiding(subject)).collect()
}

fn hiding(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let is_module = |alias: &str| subject.registry.modules().iter().any(|module| module.name == alias);
    let imports = subject.facts.imports.iter();
    let aliases = imports
        .flat_map(|(source, imports)| imports.iter().map(move |(alias, import)| (source, alias, import)));
    aliases
        .filter(|(_, alias, _)| is_module(alias))
        .map(|(source, alias, import)| {
            Diagnostic::new(codes::IMPORT, format!("an import named `{alias}` hides the module `{alias}`"))
                .at(subject.sources.place(source, import.position))
                .hint("give it another name, here and in its calls".to_owned())
        })
        .collect()
}

fn acting(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let main = subject.sources.main();
    let tops = subject.facts.bodies.iter().filter(|body| body.function.is_none() && body.source != main);
    let calls = tops.flat_map(|body| body.calls.iter().map(move |call| (body, call)));
    let acting = calls.filter(|(body, call)| {
        let builtin = subject.builtins.iter().any(|builtin| builtin.name == call.name());
        match call.namespace() {
            None => builtin && !call.method,
            Some(namespace) => subject.facts.imported(&body.source, &namespace).is_none(),
        }
    });
    acting
        .map(|(body, call)| {
            let message = format!("an imported script cannot call `{}` at its top level", call.full_name());
            Diagnostic::new(codes::IMPORT, message)
                .at(subject.sources.place(&body.source, call.position))
                .hint("put it into a function and call that from the runbook".to_owned())
        })
        .collect()
}
