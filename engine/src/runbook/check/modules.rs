//! Rule: the top level of an imported script only defines things. Calls there would happen at the `import`,
//! outside of any step, once for all branches.

use super::Subject;
use crate::codes;
use crate::diagnostic::Diagnostic;

pub(super) fn rule(subject: &Subject<'_>) -> Vec<Diagnostic> {
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
