//! `lock::hold`, `lock::release`: one run at a time on a named thing. A lock is a lease with a fencing token,
//! tied to the run: it ends with the run, or runs out when no process keeps it alive.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::codes;
use crate::error::CallError;
use crate::function::{
    Context, Description, Effect, Function, HostFunction, Module, OWN_RUN, Plan, Probe, UndoCall,
};
use crate::units::Period;

pub(super) fn module() -> Module {
    Module {
        name: "lock",
        summary: "Keeps other runs away from a named thing.",
        page: "A lock holds among all runs that share a state directory or a database. The token grows with every new holder: \
               hand it to what the lock protects where that can refuse an older one. A run that waits for a \
               person without a process keeps its locks only until they run out.",
        functions: vec![Function::new::<Hold>(), Function::new::<Release>()],
    }
}

struct Hold;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HoldArguments {
    /// What is locked: `database/orders`.
    name: String,
    /// How long to wait for another run to give it back.
    #[serde(default)]
    wait: Option<Period>,
    /// When it ends by itself if the process dies. A process that lives renews it.
    #[serde(default = "five_minutes")]
    time_to_live: Period,
}

const fn five_minutes() -> Period {
    crate::run::LOCK_TIME_TO_LIVE
}

#[async_trait]
impl HostFunction for Hold {
    type Arguments = HoldArguments;

    fn describe() -> Description {
        Description {
            summary: "Takes a lock and holds it until the run ends or gives it back.",
            capability: OWN_RUN,
            positional: &["name"],
            returns: "map: `name`, `token` (int, grows with every new holder)",
            undo: "gives the lock back",
            fails_when: "Another run holds it and does not give it back in time.",
            example: r#"lock::hold("database/orders", #{ wait: "10m" })"#,
            ..Description::of("hold", Effect::Changes)
        }
    }

    async fn plan(_: &Context, arguments: &HoldArguments) -> Result<Plan, CallError> {
        let name = &arguments.name;
        Ok(Plan::new(format!("hold the lock {name}"))
            .with_undo(UndoCall {
                function: "lock::release".to_owned(),
                arguments: json!({ "name": name }),
                summary: format!("give the lock {name} back"),
            })
            .predicting(json!({ "name": name, "token": 0 })))
    }

    async fn perform(context: &Context, arguments: HoldArguments) -> Result<Value, CallError> {
        let control = context.control()?;
        let patience = arguments.wait.map(|wait| tokio::time::Instant::now() + wait.0);
        loop {
            match control.hold(&arguments.name, arguments.time_to_live.0)? {
                Ok(lease) => return Ok(json!({ "name": lease.name, "token": lease.token })),
                Err(held) => {
                    let now = tokio::time::Instant::now();
                    if patience.is_none_or(|until| now >= until) {
                        return Err(held_by(&arguments.name, &held.run));
                    }
                    context.progress(format!("waiting for the lock {}, held by {}", held.name, held.run));
                    context.pause(Duration::from_millis(250)).await;
                }
            }
        }
    }

    async fn probe(_: &Context, _: &HoldArguments, _: Option<&UndoCall>) -> Result<Probe, CallError> {
        // Taking a lease that the run already has renews it and keeps its token.
        Ok(Probe::DidNotHappen)
    }
}

fn held_by(name: &str, run: &str) -> CallError {
    CallError::new(codes::LOCK, format!("the lock `{name}` is held by run `{run}`"))
        .hint("wait for it with `#{ wait: \"10m\" }`, or cancel that run")
        .retryable()
}

struct Release;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReleaseArguments {
    /// What is locked.
    name: String,
}

#[async_trait]
impl HostFunction for Release {
    type Arguments = ReleaseArguments;

    fn describe() -> Description {
        Description {
            summary: "Gives a lock back before the run ends.",
            capability: OWN_RUN,
            positional: &["name"],
            returns: "nothing",
            undo: "none: another run may have it already",
            fails_when: "The journal's store cannot be written.",
            example: r#"lock::release("database/orders")"#,
            ..Description::of("release", Effect::Changes)
        }
    }

    async fn plan(_: &Context, arguments: &ReleaseArguments) -> Result<Plan, CallError> {
        Ok(Plan::new(format!("give the lock {} back", arguments.name)))
    }

    async fn perform(context: &Context, arguments: ReleaseArguments) -> Result<Value, CallError> {
        context.control()?.release(&arguments.name)?;
        Ok(Value::Null)
    }
}
