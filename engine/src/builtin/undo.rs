//! `undo::with`: a script function as the inverse of what the script is about to do.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::CallError;
use crate::function::{
    Context, Description, Effect, Function, HostFunction, Module, OWN_RUN, Plan, Probe, UndoCall,
};

pub(super) fn module() -> Module {
    Module {
        name: "undo",
        summary: "Adds to the undo ledger what the host functions cannot know.",
        page: "Most effects bring their inverse along. For the rest, name a function of the runbook that takes \
               the change back, before making the change. It covers what follows in the same step (or runbook) \
               and brings no inverse of its own, up to the next `undo::with`; the option `undo` of a step covers \
               the step. What was taken back is performed again by `aegis retry`. An undo that is killed or fails goes on \
               where it was: what worked of the function is not done again. It asks nobody. Undo runs newest first: when a step or the header \
               says `on_failure: \"undo\"`, when the run is cancelled, and by `aegis undo RUN`.",
        functions: vec![Function::new::<With>()],
    }
}

struct With;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WithArguments {
    /// Name of a function of the runbook itself.
    function: String,
    /// Its arguments, in order; kept as they are now. Of secrets the name is kept: a text that was put together from one
    /// can be handed over by the run's own process alone.
    #[serde(default)]
    arguments: Vec<Value>,
    /// One line for a person; without it, the function's name.
    #[serde(default)]
    summary: Option<String>,
}

#[async_trait]
impl HostFunction for With {
    type Arguments = WithArguments;

    fn describe() -> Description {
        Description {
            summary: "Names a function of the runbook that takes the next change back.",
            capability: OWN_RUN,
            positional: &["function", "arguments"],
            returns: "nothing",
            undo: "calls the function",
            fails_when: "The runbook has no such function with that many parameters.",
            example: r#"undo::with("restore_weight", ["web", 100])"#,
            ..Description::of("with", Effect::Changes)
        }
    }

    async fn plan(context: &Context, arguments: &WithArguments) -> Result<Plan, CallError> {
        let (name, count) = (&arguments.function, arguments.arguments.len());
        let script = context.control()?.session.script.get();
        if script.is_some_and(|script| !script.has_function(name, count)) {
            return Err(crate::script::no_such_undo(name, count));
        }
        let summary = arguments.summary.clone().unwrap_or_else(|| format!("call {name}"));
        Ok(Plan::new(format!("to undo: {summary}")).with_undo(UndoCall {
            function: format!("script::{name}"),
            arguments: json!(arguments.arguments),
            summary,
        }))
    }

    async fn perform(_: &Context, _: WithArguments) -> Result<Value, CallError> {
        Ok(Value::Null)
    }

    async fn probe(_: &Context, _: &WithArguments, _: Option<&UndoCall>) -> Result<Probe, CallError> {
        Ok(Probe::Happened(Value::Null))
    }
}
