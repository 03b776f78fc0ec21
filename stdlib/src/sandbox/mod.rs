//! The `sandbox` module: what goes wrong on purpose, in the embedded cluster and nowhere else, and what a rehearsal
//! leaned on.
//!
//! Faults are objects of that cluster (`faults.sandbox.aegis.dev`), so they go through the same client as
//! everything of `k8s`. On any other target every function refuses.

mod fault;
mod webhooks;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Function, Module};

/// The module and its table.
#[must_use]
pub fn module() -> Module {
    Module {
        name: "sandbox",
        summary: "Makes things go wrong on purpose, and tells what was assumed, on a sandbox target.",
        page: include_str!("page.md"),
        functions: vec![
            Function::new::<fault::Fault>(),
            Function::new::<fault::Clear>(),
            Function::new::<fault::Faults>(),
            Function::new::<webhooks::Webhooks>(),
        ],
    }
}

/// Whether the target of a run is a sandbox.
#[derive(Debug, Clone, Copy)]
pub struct Rehearsal(pub bool);

/// Refuses on anything that is not a sandbox.
fn check(context: &Context) -> Result<(), CallError> {
    match context.service::<Rehearsal>()?.0 {
        true => Ok(()),
        false => {
            let message =
                format!("target `{}` is no sandbox: nothing is broken on purpose there", context.target);
            Err(CallError::new(codes::TARGET, message).hint("rehearse on `--target sandbox`"))
        }
    }
}
