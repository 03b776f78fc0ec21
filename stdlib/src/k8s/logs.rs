//! `logs`: what the containers of a pod, or of the pods of a workload, have written.

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction};
use aegis_engine::units::Period;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::diagnose::pods_of;
use super::object::{items, name};
use super::request::Request;
use super::target::Target;
use super::world::{Place, World};

/// Arguments of `logs`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogsArguments {
    /// A pod or a workload: `kind/name`, or an object.
    target: Target,
    /// Namespace. Default: the target's.
    #[serde(default)]
    namespace: Option<String>,
    /// Container. Default: all of the pod.
    #[serde(default)]
    container: Option<String>,
    /// The last lines of each container. Default 200.
    #[serde(default = "two_hundred")]
    tail: u32,
    /// Only what is younger.
    #[serde(default)]
    since: Option<Period>,
    /// True: of the container before its last restart.
    #[serde(default)]
    previous: bool,
}

const fn two_hundred() -> u32 {
    200
}

/// `logs(target, [options])`.
pub(super) struct Logs;

#[async_trait]
impl HostFunction for Logs {
    type Arguments = LogsArguments;

    fn describe() -> Description {
        Description {
            summary: "Reads the logs of a pod, or of every pod of a workload.",
            capability: "k8s:read",
            positional: &["target"],
            returns: "string; with several containers each line begins with `[pod/container] `",
            undo: "none: it only reads",
            fails_when: "The pod or container does not exist or has not started (A0306, A0308).",
            example: r#"k8s::logs("deployment/web", #{ namespace: "shop", tail: 20 })"#,
            ..Description::of("logs", Effect::Reads)
        }
    }

    fn scope(arguments: &LogsArguments) -> Option<String> {
        arguments.target.scope(arguments.namespace.as_deref())
    }

    async fn perform(context: &Context, arguments: LogsArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        let object = world.get(&place).await?;
        let pods = pods_behind(&world, &place, &object).await?;
        let mut sources = Vec::new();
        for pod in &pods {
            let containers =
                items(pod, "/spec/containers").iter().filter_map(|container| container["name"].as_str());
            let wanted =
                containers.filter(|name| arguments.container.as_deref().is_none_or(|wanted| wanted == *name));
            sources.extend(wanted.map(|container| (name(pod).to_owned(), container.to_owned())));
        }
        if sources.is_empty() {
            let wanted = arguments.container.as_deref().unwrap_or("container");
            return Err(CallError::new(codes::NOT_FOUND, format!("{} has no `{wanted}`", place.title())));
        }
        let mut text = String::new();
        for (pod, container) in &sources {
            let prefix = if sources.len() > 1 { format!("[{pod}/{container}] ") } else { String::new() };
            let lines = read(&world, &place, pod, container, &arguments).await?;
            lines.lines().for_each(|line| text.push_str(&format!("{prefix}{line}\n")));
        }
        Ok(Value::String(text))
    }
}

/// The pod itself, or the pods a workload selects.
pub(super) async fn pods_behind(
    world: &World<'_>,
    place: &Place,
    object: &Value,
) -> Result<Vec<Value>, CallError> {
    if place.kind.plural == "pods" {
        return Ok(vec![object.clone()]);
    }
    let pods = pods_of(world, place, object).await;
    if pods.is_empty() {
        return Err(CallError::new(codes::NOT_FOUND, format!("{} has no pods", place.title())));
    }
    Ok(pods)
}

async fn read(
    world: &World<'_>,
    place: &Place,
    pod: &str,
    container: &str,
    arguments: &LogsArguments,
) -> Result<String, CallError> {
    let kind = world.built_in("pods").await?;
    let mut request = Request::get(&kind, place.namespace.as_deref(), pod)
        .query("container", container)
        .query("tailLines", arguments.tail.to_string());
    request.path = format!("{}/log", request.path);
    request.accept = "*/*";
    if let Some(since) = arguments.since {
        request = request.query("sinceSeconds", since.0.as_secs().max(1).to_string());
    }
    if arguments.previous {
        request = request.query("previous", "true");
    }
    Ok(world.cluster.text(world.context, &request).await?)
}
