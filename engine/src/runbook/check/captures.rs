//! Rule: the body of a `step` or `parallel` changes no variable outside of it. A body sees a snapshot and
//! hands its result back, because a resumed run skips bodies that are done.

use super::Subject;
use super::facts::{Body, Facts, Write};
use crate::codes;
use crate::diagnostic::Diagnostic;

pub(super) fn rule(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let closures = subject.facts.bodies.iter().filter(|body| body.is_closure());
    let writes = closures.flat_map(|body| body.writes.iter().map(move |write| (body, write)));
    writes.filter_map(|(body, write)| lost(subject, body, write)).collect()
}

/// The write, if the variable belongs to somebody outside of a `step` or `parallel` body around it.
fn lost(subject: &Subject<'_>, body: &Body, write: &Write) -> Option<Diagnostic> {
    let mut inner = body;
    loop {
        let (outer, closure) = maker(subject.facts, inner)?;
        if !closure.captured.contains(&write.variable) {
            return None;
        }
        if let Some(step) = &closure.body_of {
            return Some(tell(step, write).at(subject.sources.place(&body.source, write.position)));
        }
        inner = outer;
    }
}

/// Where a closure is made.
fn maker<'a>(facts: &'a Facts, body: &Body) -> Option<(&'a Body, &'a super::facts::Closure)> {
    let name = body.function.as_deref()?;
    let sources = facts.bodies.iter().filter(|outer| outer.source == body.source);
    sources.filter_map(|outer| Some((outer, outer.closures.get(name)?))).next()
}

fn tell(step: &str, write: &Write) -> Diagnostic {
    let name = &write.variable;
    let instead = if step == "step" {
        format!("let the body end in the new value: `{name} = step(\"...\", || ...);`")
    } else {
        format!("collect the results: `let results = {step}(items, |item| ...);` and set `{name}` from them")
    };
    Diagnostic::new(codes::CAPTURE, format!("the body of `{step}` changes `{name}`, which is outside of it"))
        .note("a body works on a copy, and a resumed run skips bodies that are done")
        .hint(instead)
}
