//! `helm::diff`: what `helm::install` with the same arguments would change.

use aegis_engine::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction};
use async_trait::async_trait;
use serde_json::{Value, json};

use super::install::{Arguments, scope};
use super::outlook::Outlook;
use super::releases::deployed;

/// `helm::diff`.
pub(super) struct Diff;

#[async_trait]
impl HostFunction for Diff {
    type Arguments = Arguments;

    fn describe() -> Description {
        Description {
            summary: "Compares what a chart renders to with the live release.",
            capability: "helm:read",
            positional: &["name", "chart"],
            returns: "map: `changes` (bool), `added`, `changed`, `removed` (arrays of `kind/name`), `diff` (unified \
                      text, Secrets masked) and `revision` (of the live release, 0 without one)",
            undo: "none: it only reads",
            fails_when: "helm is missing (A0401) or too old (A0402), or the chart cannot be had or rendered.",
            example: r#"helm::diff("web", "./charts/web", #{ namespace: "shop", values: #{ replicas: 3 } }).diff"#,
            ..Description::of("diff", Effect::Reads)
        }
    }

    fn scope(arguments: &Arguments) -> Option<String> {
        Some(scope(&arguments.name, arguments.namespace.as_deref()))
    }

    async fn perform(context: &Context, arguments: Arguments) -> Result<Value, CallError> {
        let outlook = Outlook::of(context, &arguments).await?;
        let mut answer = outlook.difference.describe();
        answer["revision"] = json!(deployed(&outlook.history).map_or(0, |release| release.revision()));
        Ok(answer)
    }
}
