//! `label` and `annotate`: two names for one change of an object's metadata.

use std::collections::BTreeMap;

use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::diff::diff;
use super::object::visible;
use super::request::PatchKind;
use super::target::Target;
use super::world::{Place, World};

/// Arguments of `label` and `annotate`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MarkArguments {
    /// `kind/name`, or an object.
    target: Target,
    /// Text by key; `()` removes the key.
    values: BTreeMap<String, Option<String>>,
    /// Namespace. Default: the target's.
    #[serde(default)]
    namespace: Option<String>,
}

/// Which of the two.
struct Field {
    name: &'static str,
    function: &'static str,
}

const LABELS: Field = Field { name: "labels", function: "label" };
const ANNOTATIONS: Field = Field { name: "annotations", function: "annotate" };

impl Field {
    async fn plan(&self, context: &Context, arguments: &MarkArguments) -> Result<Plan, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        let live = world.get(&place).await?;
        let mut planned = live.clone();
        json_patch::merge(&mut planned, &self.patch(arguments));
        let words: Vec<String> = arguments
            .values
            .iter()
            .map(|(key, value)| value.as_ref().map_or(format!("{key}-"), |value| format!("{key}={value}")))
            .collect();
        let mut plan = Plan::new(format!("{} {}: {}", self.function, place.title(), words.join(", ")));
        plan.unchanged = self.holds(&live, arguments);
        if !plan.unchanged {
            plan = plan.with_undo(self.undo(&place, &live, arguments));
        }
        let text = diff(Some(&live), Some(&planned), &place.title());
        Ok(plan
            .with_diff(text)
            .predicting(visible(planned.clone()))
            .overlaying(place.key(), Some(visible(planned))))
    }

    async fn perform(&self, context: &Context, arguments: &MarkArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        match world.send(&place.patch(PatchKind::Merge, &self.patch(arguments))).await {
            Err(failure) if failure.is_not_found() => world.get(&place).await,
            other => Ok(visible(other?)),
        }
    }

    async fn probe(&self, context: &Context, arguments: &MarkArguments) -> Result<Probe, CallError> {
        let world = World::of(context)?;
        let place = world.place(&arguments.target, arguments.namespace.as_deref()).await?;
        let live = world.get(&place).await?;
        Ok(if self.holds(&live, arguments) { Probe::Happened(visible(live)) } else { Probe::DidNotHappen })
    }

    fn patch(&self, arguments: &MarkArguments) -> Value {
        json!({ "metadata": { self.name: arguments.values } })
    }

    fn holds(&self, live: &Value, arguments: &MarkArguments) -> bool {
        let live = &live["metadata"][self.name];
        arguments.values.iter().all(|(key, value)| live[key].as_str() == value.as_deref())
    }

    fn undo(&self, place: &Place, live: &Value, arguments: &MarkArguments) -> UndoCall {
        let live = &live["metadata"][self.name];
        let before: BTreeMap<&String, &Value> =
            arguments.values.keys().map(|key| (key, &live[key])).collect();
        UndoCall {
            function: format!("k8s::{}", self.function),
            arguments: json!({ "target": place.target(), "namespace": place.namespace, "values": before }),
            summary: format!("put the {} of {} back", self.name, place.title()),
        }
    }
}

macro_rules! mark {
    ($function:ident, $field:expr, $line:literal, $description:expr) => {
        #[doc = $line]
        pub(super) struct $function;

        #[async_trait]
        impl HostFunction for $function {
            type Arguments = MarkArguments;

            fn describe() -> Description {
                $description
            }

            fn scope(arguments: &MarkArguments) -> Option<String> {
                arguments.target.scope(arguments.namespace.as_deref())
            }

            async fn plan(context: &Context, arguments: &MarkArguments) -> Result<Plan, CallError> {
                $field.plan(context, arguments).await
            }

            async fn perform(context: &Context, arguments: MarkArguments) -> Result<Value, CallError> {
                $field.perform(context, &arguments).await
            }

            async fn probe(
                context: &Context,
                arguments: &MarkArguments,
                _asked: Option<&UndoCall>,
            ) -> Result<Probe, CallError> {
                $field.probe(context, arguments).await
            }
        }
    };
}

mark!(
    Label,
    LABELS,
    "`label(target, values, [options])`.",
    Description {
        summary: "Sets and removes labels of an object.",
        capability: "k8s:change",
        positional: &["target", "values"],
        returns: "map: the object as it then is",
        undo: "the labels get their values before back; new ones are removed",
        fails_when: "The object does not exist (A0306), or a key or value is malformed (A0308).",
        example: r#"k8s::label("deployment/web", #{ tier: "front" }, #{ namespace: "shop" })"#,
        ..Description::of("label", Effect::Changes)
    }
);

mark!(
    Annotate,
    ANNOTATIONS,
    "`annotate(target, values, [options])`.",
    Description {
        summary: "Sets and removes annotations of an object.",
        capability: "k8s:change",
        positional: &["target", "values"],
        returns: "map: the object as it then is",
        undo: "the annotations get their values before back; new ones are removed",
        fails_when: "The object does not exist (A0306), or a key is malformed (A0308).",
        example: r#"k8s::annotate("deployment/web", #{ note: "drill" }, #{ namespace: "shop" })"#,
        ..Description::of("annotate", Effect::Changes)
    }
);
