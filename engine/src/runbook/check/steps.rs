//! Rule: steps in one place have different names, so that a person can tell them apart.

use std::collections::BTreeMap;

use rhai::Expr;

use super::Subject;
use crate::codes;
use crate::diagnostic::Diagnostic;

pub(super) fn rule(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for body in &subject.facts.bodies {
        let mut seen = BTreeMap::new();
        for call in body.calls.iter().filter(|call| call.name() == "step" && call.namespace().is_none()) {
            let (Some(Expr::StringConstant(name, position)), Some(block)) =
                (call.callee.args.first(), call.block)
            else {
                continue;
            };
            let place = subject.sources.place(&body.source, *position);
            if let Some(first) = seen.get(&(block, name.clone())) {
                found.push(
                    Diagnostic::new(codes::SCRIPT, format!("two steps in one place are called `{name}`"))
                        .warning()
                        .at(place)
                        .label(Clone::clone(first), "the first")
                        .hint("give them names that a person can tell apart".to_owned()),
                );
            } else {
                seen.insert((block, name.clone()), place);
            }
        }
    }
    found
}
