//! The cluster as a whole: `version`, `api_resources`, `can_i` and `top`.

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::kinds::Kind;
use super::object::{items, name, namespace, text};
use super::quantity::parse;
use super::request::Request;
use super::target::{Target, scope};
use super::world::{Place, Selection, World};

/// No arguments.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// `version()`.
pub(super) struct Version;

#[async_trait]
impl HostFunction for Version {
    type Arguments = Nothing;

    fn describe() -> Description {
        Description {
            summary: "Tells the version of the API server.",
            capability: "k8s:read",
            returns: "map `{version: \"v1.36.2\", major: int, minor: int, platform}`",
            undo: "none: it only reads",
            fails_when: "The cluster cannot be asked (A0302).",
            example: "k8s::version()",
            ..Description::of("version", Effect::Reads)
        }
    }

    async fn perform(context: &Context, _arguments: Nothing) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let answer = world.send(&Request::read("/version")).await?;
        // Managed clusters write `28+`.
        let number =
            |field: &str| text(&answer, field).trim_end_matches('+').parse::<u32>().unwrap_or_default();
        Ok(json!({
            "version": text(&answer, "/gitVersion"), "major": number("/major"), "minor": number("/minor"),
            "platform": text(&answer, "/platform"),
        }))
    }
}

/// Arguments of `api_resources`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiResourcesArguments {
    /// Only this group; an empty text is the core group.
    #[serde(default)]
    group: Option<String>,
}

/// `api_resources([options])`.
pub(super) struct ApiResources;

#[async_trait]
impl HostFunction for ApiResources {
    type Arguments = ApiResourcesArguments;

    fn describe() -> Description {
        Description {
            summary: "Lists the kinds the cluster serves.",
            capability: "k8s:read",
            returns: "array of maps `{kind, name, group, version, api_version, short_names, namespaced, verbs, subresources}`",
            undo: "none: it only reads",
            fails_when: "The cluster cannot be asked (A0302).",
            example: r#"k8s::api_resources(#{ group: "apps" })"#,
            ..Description::of("api_resources", Effect::Reads)
        }
    }

    async fn perform(context: &Context, arguments: ApiResourcesArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let kinds = world.cluster.discover(context).await?;
        let wanted = |kind: &&Kind| arguments.group.as_ref().is_none_or(|group| kind.group == *group);
        Ok(kinds.all().iter().filter(wanted).map(Kind::describe).collect())
    }
}

/// Arguments of `can_i`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CanIArguments {
    /// `get`, `list`, `create`, `patch`, `delete`, ...
    verb: String,
    /// A kind, or `kind/name`; `pods/exec` and other subresources with `subresource`.
    target: Target,
    /// Part of the object: `exec`, `eviction`, `scale`.
    #[serde(default)]
    subresource: Option<String>,
    /// Namespace. Default: the target's.
    #[serde(default)]
    namespace: Option<String>,
}

/// `can_i(verb, target, [options])`.
pub(super) struct CanI;

#[async_trait]
impl HostFunction for CanI {
    type Arguments = CanIArguments;

    fn describe() -> Description {
        Description {
            summary: "Tells whether the credentials allow a verb on a kind or object.",
            capability: "k8s:read",
            positional: &["verb", "target"],
            returns: "bool",
            undo: "none: the question is a POST with `dryRun=All` that stores nothing",
            fails_when: "The cluster cannot be asked (A0302).",
            example: r#"k8s::can_i("delete", "pods", #{ namespace: "shop" })"#,
            ..Description::of("can_i", Effect::Reads)
        }
    }

    fn scope(arguments: &CanIArguments) -> Option<String> {
        arguments.target.scope(arguments.namespace.as_deref())
    }

    async fn perform(context: &Context, arguments: CanIArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let reference = arguments.target.reference()?;
        let place = world.collection(&reference, arguments.namespace.as_deref(), false).await?;
        let attributes = json!({
            "verb": arguments.verb, "group": place.kind.group, "resource": place.kind.plural,
            "subresource": arguments.subresource, "namespace": place.namespace, "name": reference.name,
        });
        let review = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": attributes } });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer = world.send(&Request::question(path, &review)).await?;
        Ok(json!(answer["status"]["allowed"] == true))
    }
}

/// Arguments of `top`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TopArguments {
    /// `nodes` or `pods`.
    kind: String,
    /// Namespace, for pods. Default: the target's.
    #[serde(default)]
    namespace: Option<String>,
    /// True: the pods of every namespace.
    #[serde(default)]
    all_namespaces: bool,
    /// Label selector.
    #[serde(default)]
    selector: Option<String>,
}

/// `top(kind, [options])`.
pub(super) struct Top;

#[async_trait]
impl HostFunction for Top {
    type Arguments = TopArguments;

    fn describe() -> Description {
        Description {
            summary: "Reads how much CPU and memory nodes or pods use now, the busiest first.",
            capability: "k8s:read",
            positional: &["kind"],
            returns: "array of maps `{name, namespace, cpu, memory}`; CPU in cores, memory in bytes",
            undo: "none: it only reads",
            fails_when: "The cluster has no metrics API, as metrics-server brings it (A0306).",
            example: r#"k8s::top("nodes")"#,
            ..Description::of("top", Effect::Reads)
        }
    }

    fn scope(arguments: &TopArguments) -> Option<String> {
        let reference = Target::Text(arguments.kind.clone()).reference().ok()?;
        let namespace = if arguments.all_namespaces { Some("*") } else { arguments.namespace.as_deref() };
        Some(scope(&reference, namespace))
    }

    async fn perform(context: &Context, arguments: TopArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let reference = Target::Text(arguments.kind.clone()).reference()?;
        let plain =
            world.collection(&reference, arguments.namespace.as_deref(), arguments.all_namespaces).await?;
        let metrics =
            world.built_in(&format!("{}.metrics.k8s.io", plain.kind.plural)).await.map_err(|error| {
                let message = format!("the cluster has no metrics of `{}`", plain.kind.plural);
                let missing = error.code == codes::NOT_FOUND.0;
                if missing {
                    CallError::new(codes::NOT_FOUND, message).hint("metrics-server brings them")
                } else {
                    error
                }
            })?;
        let selection = Selection { labels: arguments.selector, ..Selection::default() };
        let place = Place { kind: metrics, ..plain };
        let mut lines: Vec<Value> = world.list(&place, &selection).await?.iter().map(usage).collect();
        lines.sort_by(|a, b| {
            b["cpu"].as_f64().unwrap_or_default().total_cmp(&a["cpu"].as_f64().unwrap_or_default())
        });
        Ok(Value::Array(lines))
    }
}

/// The usage of a node, or of all containers of a pod.
fn usage(metric: &Value) -> Value {
    let parts: Vec<&Value> = match items(metric, "/containers") {
        [] => vec![&metric["usage"]],
        containers => containers.iter().map(|container| &container["usage"]).collect(),
    };
    let sum = |resource: &str| parts.iter().filter_map(|usage| parse(usage[resource].as_str()?)).sum::<f64>();
    json!({ "name": name(metric), "namespace": namespace(metric), "cpu": sum("cpu"), "memory": sum("memory").round() as i64 })
}
