//! `exec`: runs a command in a container, by argument list, and answers what it wrote. The client half of the
//! exec protocol is kube's; this file only opens it through `client.rs` and collects.

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan};
use aegis_engine::units::Period;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Output;
use super::delete::five_minutes;
use super::logs::pods_behind;
use super::object::{holds, items, name};
use super::target::Target;
use super::world::{Place, World};

/// Arguments of `exec`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExecArguments {
    /// A pod, or a workload, of which the first ready pod is taken: `kind/name`, or an object.
    target: Target,
    /// The command and its arguments; no shell is between.
    command: Vec<String>,
    /// Namespace. Default: the target's.
    #[serde(default)]
    namespace: Option<String>,
    /// Container. Default: the first.
    #[serde(default)]
    container: Option<String>,
    /// Text for its standard input.
    #[serde(default)]
    stdin: Option<String>,
    /// False: a command that fails is an answer, not an error.
    #[serde(default = "super::delete::yes")]
    check: bool,
    /// How long it may run. Default 5m.
    #[serde(default = "five_minutes")]
    timeout: Period,
}

/// `exec(target, command, [options])`.
pub(super) struct Exec;

#[async_trait]
impl HostFunction for Exec {
    type Arguments = ExecArguments;

    fn describe() -> Description {
        Description {
            summary: "Runs a command in a container of a pod.",
            capability: "k8s:change",
            positional: &["target", "command"],
            returns: "map `{stdout, stderr, exit_code: int, pod, container}`",
            undo: "none: what a command did, only its author knows",
            fails_when: "The pod does not run (A0306), or the command ends with another code than 0 (A0405, unless `check: false`). A connection that breaks leaves the outcome unknown.",
            example: r#"k8s::exec("deployment/web", ["cat", "/etc/hostname"], #{ namespace: "shop" })"#,
            ..Description::of("exec", Effect::Once)
        }
    }

    fn scope(arguments: &ExecArguments) -> Option<String> {
        arguments.target.scope(arguments.namespace.as_deref())
    }

    async fn plan(context: &Context, arguments: &ExecArguments) -> Result<Plan, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        let summary = format!("run `{}` in {}", arguments.command.join(" "), place.title());
        let predicted = json!({ "stdout": "", "stderr": "", "exit_code": 0, "pod": place.name, "container": arguments.container });
        Ok(Plan::new(summary).predicting(predicted))
    }

    async fn perform(context: &Context, arguments: ExecArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        let object = world.get(&place).await?;
        let pod = runner(&pods_behind(&world, &place, &object).await?, &place)?;
        let first = items(&pod, "/spec/containers").first().and_then(|container| container["name"].as_str());
        let container = arguments.container.clone().or_else(|| first.map(str::to_owned)).unwrap_or_default();
        let at = place.sibling(world.built_in("pods").await?, name(&pod));
        let running = world.cluster.exec(&at, &container, &arguments.command, arguments.stdin.as_deref());
        let output = tokio::time::timeout(arguments.timeout.0, running).await.map_err(|_| {
            let message = format!(
                "`{}` in {} did not end within {}",
                arguments.command.join(" "),
                at.title(),
                arguments.timeout
            );
            CallError::new(codes::TIMEOUT, message).unknown()
        })??;
        if arguments.check && output.exit_code != 0 {
            return Err(failed(&arguments.command, &at, &output));
        }
        Ok(json!({ "stdout": output.stdout, "stderr": output.stderr, "exit_code": output.exit_code,
            "pod": at.name, "container": container }))
    }
}

fn runner(pods: &[Value], place: &Place) -> Result<Value, CallError> {
    let ready = pods.iter().find(|pod| holds(pod, "Ready"));
    ready.or_else(|| pods.iter().find(|pod| pod["status"]["phase"] == "Running")).cloned().ok_or_else(|| {
        CallError::new(codes::NOT_FOUND, format!("{} has no running pod", place.title())).retryable()
    })
}

fn failed(command: &[String], at: &Place, output: &Output) -> CallError {
    let said = output.stderr.trim().lines().last().map(|line| format!(": {line}")).unwrap_or_default();
    let message =
        format!("`{}` in {} ended with code {}{said}", command.join(" "), at.title(), output.exit_code);
    CallError::new(codes::COMMAND, message)
}
