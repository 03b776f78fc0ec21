//! `events`: what the cluster tells about an object, or about a namespace, oldest first.

use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::object::{number, text};
use super::target::Target;
use super::world::{Place, Selection, World};

/// Arguments of `events`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsArguments {
    /// Only those about this object: `kind/name`, or an object. Default: all of the namespace.
    #[serde(default)]
    target: Option<Target>,
    /// Namespace. Default: the target's.
    #[serde(default)]
    namespace: Option<String>,
    /// True: only warnings.
    #[serde(default)]
    warnings: bool,
    /// At most so many, the newest. Default 100.
    #[serde(default = "hundred")]
    limit: usize,
}

const fn hundred() -> usize {
    100
}

/// When an event was last seen: the API has three fields for it, filled by different reporters.
pub(super) fn moment(event: &Value) -> &str {
    let fields = ["/lastTimestamp", "/series/lastObservedTime", "/eventTime", "/metadata/creationTimestamp"];
    fields.into_iter().map(|field| text(event, field)).find(|time| !time.is_empty()).unwrap_or_default()
}

/// `events([target], [options])`.
pub(super) struct Events;

#[async_trait]
impl HostFunction for Events {
    type Arguments = EventsArguments;

    fn describe() -> Description {
        Description {
            summary: "Reads the events of an object or of a namespace.",
            capability: "k8s:read",
            positional: &["target"],
            returns: "array of maps `{time, type, reason, object, message, count}`, oldest first",
            undo: "none: it only reads",
            fails_when: "Reading events is not allowed (A0304).",
            example: r#"k8s::events("deployment/web", #{ namespace: "shop" })"#,
            ..Description::of("events", Effect::Reads)
        }
    }

    fn scope(arguments: &EventsArguments) -> Option<String> {
        Some(format!("{}/events/*", arguments.namespace.as_deref().unwrap_or("_")))
    }

    async fn perform(context: &Context, arguments: EventsArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let kind = world.built_in("events").await?;
        let mut fields = Vec::new();
        let mut namespace = arguments.namespace.clone();
        if let Some(target) = &arguments.target {
            let about = world.place(target, namespace.as_deref()).await?;
            fields.push(format!("involvedObject.name={}", about.name));
            fields.push(format!("involvedObject.kind={}", about.kind.kind));
            // Events about objects without a namespace are kept in `default`.
            namespace = about.namespace.or_else(|| Some("default".to_owned()));
        }
        if arguments.warnings {
            fields.push("type=Warning".to_owned());
        }
        let namespace = world.namespace_of(&kind, namespace.as_deref()).await?;
        let selection =
            Selection { fields: (!fields.is_empty()).then(|| fields.join(",")), ..Selection::default() };
        let mut events = world.list(&Place { kind, namespace, name: String::new() }, &selection).await?;
        events.sort_by_key(|event| moment(event).to_owned());
        let older = events.len().saturating_sub(arguments.limit);
        Ok(events[older..].iter().map(line).collect())
    }
}

fn line(event: &Value) -> Value {
    let kind = text(event, "/involvedObject/kind").to_lowercase();
    json!({
        "time": moment(event),
        "type": text(event, "/type"),
        "reason": text(event, "/reason"),
        "object": format!("{kind}/{}", text(event, "/involvedObject/name")),
        "message": text(event, "/message"),
        "count": number(event, "/count").max(1),
    })
}
