//! `logs`: what the containers of a pod, or of the pods of a workload, have written.

use std::collections::VecDeque;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction};
use aegis_engine::units::Period;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::SelectAll;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::diagnose::pods_of;
use super::kinds::Kind;
use super::object::{items, name};
use super::request::Request;
use super::target::Target;
use super::world::{Place, World};

/// Bytes of followed logs that are kept: more is a file's business, not a script's.
const MOST_FOLLOWED: usize = 4 << 20;

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
    /// True: each line begins with the time it was written.
    #[serde(default)]
    timestamps: bool,
    /// Goes on reading until every container has ended, at most this long. The last line is shown live.
    #[serde(default)]
    follow: Option<Period>,
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
        let kind = world.built_in("pods").await?;
        let mut logs = Vec::new();
        for (pod, container) in &sources {
            let prefix = if sources.len() > 1 { format!("[{pod}/{container}] ") } else { String::new() };
            logs.push((prefix, request(&kind, &place, pod, container, &arguments)));
        }
        let text = match arguments.follow.filter(|_| !context.planning()) {
            Some(longest) => followed(&world, &logs, longest).await?,
            None => written(&world, &logs).await?,
        };
        Ok(Value::String(text))
    }
}

/// What is there now, one container after the other.
async fn written(world: &World<'_>, logs: &[(String, Request)]) -> Result<String, CallError> {
    let mut text = String::new();
    for (prefix, request) in logs {
        let lines = world.cluster.text(world.context, request).await?;
        lines.lines().for_each(|line| text.push_str(&format!("{prefix}{line}\n")));
    }
    Ok(text)
}

/// What is there and what comes, in the order in which it comes. The newest stays when it is too much.
async fn followed(
    world: &World<'_>,
    logs: &[(String, Request)],
    longest: Period,
) -> Result<String, CallError> {
    let mut streams = SelectAll::new();
    for (prefix, request) in logs {
        let request = request.clone().query("follow", "true");
        let lines = world.cluster.lines(&request).await?;
        let prefix = prefix.clone();
        streams.push(Box::pin(lines.map(move |line| line.map(|line| format!("{prefix}{line}\n")))));
    }
    let (mut lines, mut bytes) = (VecDeque::new(), 0);
    let end = tokio::time::sleep(longest.0);
    tokio::pin!(end);
    loop {
        let line: String = tokio::select! {
            line = streams.next() => match line {
                Some(line) => line?,
                None => break,
            },
            () = &mut end => break,
        };
        world.context.progress(line.trim_end());
        bytes += line.len();
        lines.push_back(line);
        while bytes > MOST_FOLLOWED {
            bytes -= lines.pop_front().map_or(bytes, |line| line.len());
        }
    }
    Ok(lines.into_iter().collect())
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

fn request(kind: &Kind, place: &Place, pod: &str, container: &str, arguments: &LogsArguments) -> Request {
    let mut request = Request::get(kind, place.namespace.as_deref(), pod)
        .query("container", container)
        .query("tailLines", arguments.tail.to_string());
    request.path = format!("{}/log", request.path);
    request.accept = "*/*";
    if let Some(since) = arguments.since {
        request = request.query("sinceSeconds", since.0.as_secs().max(1).to_string());
    }
    for (key, wanted) in [("previous", arguments.previous), ("timestamps", arguments.timestamps)] {
        if wanted {
            request = request.query(key, "true");
        }
    }
    request
}
