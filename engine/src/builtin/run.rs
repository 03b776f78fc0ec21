//! `run::info`: what a script may know about the run it is.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::CallError;
use crate::function::{Context, Description, Effect, Function, HostFunction, Module};

pub(super) fn module() -> Module {
    Module {
        name: "run",
        summary: "Tells a script about the run it is.",
        page: "Scripts should do the same on every target; use this for names and for what only a sandbox needs.",
        functions: vec![Function::new::<Info>()],
    }
}

struct Info;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct InfoArguments {}

#[async_trait]
impl HostFunction for Info {
    type Arguments = InfoArguments;

    fn describe() -> Description {
        Description {
            summary: "Tells the run's id, target, mode and operator.",
            returns: "map: `id`, `target`, `sandbox` (bool), `protected` (bool), `mode` (`run` or `plan`), `operator`, `scheduled` (map: `schedule`, `instant` (RFC 3339, the time it is the run of, however late it began); `()` for runs that people start)",
            undo: "none: nothing outside changes",
            fails_when: "Never.",
            example: "run::info()",
            ..Description::of("info", Effect::Ambient)
        }
    }

    async fn perform(context: &Context, InfoArguments {}: InfoArguments) -> Result<Value, CallError> {
        let session = &context.control()?.session;
        let target = &session.target;
        Ok(json!({
            "id": context.run,
            "target": target.name,
            "sandbox": target.sandbox,
            "protected": target.protected,
            "mode": context.mode.word(),
            "operator": context.operator,
            "scheduled": session.scheduled,
        }))
    }
}
