//! `helm::status`, `helm::history`, `helm::values` and `helm::list`: read from helm's own records in the cluster,
//! so they need no helm, cost one request, and see a plan's releases.

use aegis_engine::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::command::Place;
use super::install::scope;
use super::manifest;
use super::pending::Repair;
use super::readiness::unready;
use super::release::Release;
use super::releases::Releases;

/// Which release. Flattened into the arguments of every read of one; `deny_unknown_fields` does not go together with
/// that, and the registry refuses unknown options by the schema anyway.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(super) struct Named {
    /// Name of the release.
    name: String,
    /// Namespace of the release; the target's by default.
    #[serde(default)]
    namespace: Option<String>,
}

impl Named {
    fn scope(&self) -> Option<String> {
        Some(scope(&self.name, self.namespace.as_deref()))
    }

    async fn place(&self, releases: &Releases<'_>) -> Result<Place, CallError> {
        releases.place(&self.name, self.namespace.as_deref()).await
    }
}

/// Which revision of which release.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(super) struct Revision {
    #[serde(flatten)]
    of: Named,
    /// Revision; the newest by default.
    #[serde(default)]
    revision: Option<u64>,
}

/// `helm::status`.
pub(super) struct Status;

/// Arguments of `helm::status`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(super) struct StatusArguments {
    #[serde(flatten)]
    release: Revision,
    /// Answer the release's objects, too.
    #[serde(default)]
    objects: bool,
}

#[async_trait]
impl HostFunction for Status {
    type Arguments = StatusArguments;

    fn describe() -> Description {
        Description {
            summary: "Tells the state of a release.",
            capability: "helm:read",
            positional: &["name"],
            returns: "map: `name`, `namespace`, `revision`, `status` (`deployed`, `failed`, `pending-upgrade`, ...), \
                      `chart` (name-version), `version` (of the chart), `app_version`, `description`, \
                      `first_deployed`, `last_deployed`, `stand_in`, `pending` (true when a crash left it half \
                      done), `not_ready` (array of texts), `notes`, and `objects` when asked for",
            undo: "none: it only reads",
            fails_when: "There is no such release or revision (A0306).",
            example: r#"helm::status("web", #{ namespace: "shop" }).status"#,
            ..Description::of("status", Effect::Reads)
        }
    }

    fn scope(arguments: &StatusArguments) -> Option<String> {
        arguments.release.of.scope()
    }

    async fn perform(context: &Context, arguments: StatusArguments) -> Result<Value, CallError> {
        let releases = Releases::of(context)?;
        let place = arguments.release.of.place(&releases).await?;
        let release = releases.revision(&place, arguments.release.revision).await?;
        let history = releases.history(&place).await?;
        let mut answer = release.describe();
        answer["pending"] = json!(Repair::needed(&history).is_some());
        answer["notes"] = json!(release.notes());
        answer["not_ready"] =
            json!(if context.planning() { Vec::new() } else { unready(context, &place).await? });
        if arguments.objects {
            let objects = manifest::parse(release.manifest())?;
            answer["objects"] = objects.into_iter().map(|rendered| masked(rendered.object)).collect();
        }
        Ok(answer)
    }
}

/// A Secret's data does not belong into an answer that is journaled.
fn masked(mut object: Value) -> Value {
    if object["kind"] == "Secret" {
        for field in ["data", "stringData"] {
            for (_, value) in object[field].as_object_mut().into_iter().flatten() {
                *value = json!(aegis_engine::secret::MASK);
            }
        }
        if let Some(object) = object.as_object_mut() {
            object.retain(|_, value| !value.is_null());
        }
    }
    object
}

/// `helm::history`.
pub(super) struct History;

#[async_trait]
impl HostFunction for History {
    type Arguments = Named;

    fn describe() -> Description {
        Description {
            summary: "Lists the kept revisions of a release, the oldest first.",
            capability: "helm:read",
            positional: &["name"],
            returns: "array of maps: each revision as `helm::status` answers it, without `notes`",
            undo: "none: it only reads",
            fails_when: "There is no such release (A0306).",
            example: r#"helm::history("web", #{ namespace: "shop" }).len()"#,
            ..Description::of("history", Effect::Reads)
        }
    }

    fn scope(release: &Named) -> Option<String> {
        release.scope()
    }

    async fn perform(context: &Context, release: Named) -> Result<Value, CallError> {
        let releases = Releases::of(context)?;
        let place = release.place(&releases).await?;
        let history = releases.history(&place).await?;
        if history.is_empty() {
            return Err(super::errors::no_release(&place));
        }
        Ok(history.iter().map(Release::describe).collect())
    }
}

/// `helm::values`.
pub(super) struct Values;

/// Arguments of `helm::values`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(super) struct ValuesArguments {
    #[serde(flatten)]
    release: Revision,
    /// With the chart's defaults beneath.
    #[serde(default)]
    all: bool,
}

#[async_trait]
impl HostFunction for Values {
    type Arguments = ValuesArguments;

    fn describe() -> Description {
        Description {
            summary: "Reads the values a release was installed with.",
            capability: "helm:read",
            positional: &["name"],
            returns: "map: the given values; with `all`, over the chart's defaults",
            undo: "none: it only reads",
            fails_when: "There is no such release or revision (A0306).",
            example: r#"helm::values("web", #{ namespace: "shop" })"#,
            ..Description::of("values", Effect::Reads)
        }
    }

    fn scope(arguments: &ValuesArguments) -> Option<String> {
        arguments.release.of.scope()
    }

    async fn perform(context: &Context, arguments: ValuesArguments) -> Result<Value, CallError> {
        let releases = Releases::of(context)?;
        let place = arguments.release.of.place(&releases).await?;
        let release = releases.revision(&place, arguments.release.revision).await?;
        Ok(if arguments.all { release.computed_values() } else { release.config() })
    }
}

/// `helm::list`.
pub(super) struct List;

/// Arguments of `helm::list`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListArguments {
    /// Namespace; the target's by default.
    #[serde(default)]
    namespace: Option<String>,
    /// The releases of every namespace.
    #[serde(default)]
    all_namespaces: bool,
    /// Only releases in this state.
    #[serde(default)]
    status: Option<String>,
}

#[async_trait]
impl HostFunction for List {
    type Arguments = ListArguments;

    fn describe() -> Description {
        Description {
            summary: "Lists releases in any state, each at its newest revision.",
            capability: "helm:read",
            positional: &[],
            returns: "array of maps: each release as `helm::status` answers it, without `notes`",
            undo: "none: it only reads",
            fails_when: "The cluster does not let its Secrets be listed (A0304).",
            example: r#"helm::list(#{ all_namespaces: true, status: "deployed" })"#,
            ..Description::of("list", Effect::Reads)
        }
    }

    fn scope(arguments: &ListArguments) -> Option<String> {
        let namespace = if arguments.all_namespaces { Some("*") } else { arguments.namespace.as_deref() };
        Some(scope("*", namespace))
    }

    async fn perform(context: &Context, arguments: ListArguments) -> Result<Value, CallError> {
        let releases = Releases::of(context)?;
        let namespace = match (arguments.all_namespaces, arguments.namespace) {
            (true, _) => None,
            (false, Some(namespace)) => Some(namespace),
            (false, None) => Some(releases.objects.namespace().await?),
        };
        let all = releases.all(namespace.as_deref()).await?;
        let wanted =
            |release: &&Release| arguments.status.as_deref().is_none_or(|status| release.status() == status);
        Ok(all.iter().filter(wanted).map(Release::describe).collect())
    }
}
