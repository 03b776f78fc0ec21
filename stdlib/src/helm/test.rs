//! `helm::test`: runs the tests a chart brings.

use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use aegis_engine::{CallError, Period};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Helm, Run};
use super::command;
use super::install::{five_minutes, longest, scope};
use super::releases::Releases;

/// Lines of the tests' logs that are answered.
const LOG_LINES: usize = 200;

/// `helm::test`.
pub(super) struct Test;

/// Arguments of `helm::test`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// Name of the release.
    name: String,
    /// Namespace of the release; the target's by default.
    #[serde(default)]
    namespace: Option<String>,
    /// Names of tests; all by default.
    #[serde(default)]
    only: Vec<String>,
    /// How long each may take.
    #[serde(default = "five_minutes")]
    timeout: Period,
}

#[async_trait]
impl HostFunction for Test {
    type Arguments = Arguments;

    fn describe() -> Description {
        Description {
            summary: "Runs the tests of a release's chart in the cluster.",
            capability: "helm:change",
            positional: &["name"],
            returns: "map: `name`, `namespace`, `passed` (true), `stand_in` (a stand-in has no tests), `log` (the \
                      last lines of what helm and the tests printed)",
            undo: "none: test pods are left as the chart says; they change nothing by themselves",
            fails_when: "There is no such release (A0306), or a test fails (A0403).",
            example: r#"helm::test("web", #{ namespace: "shop", timeout: "2m" }).passed"#,
            ..Description::of("test", Effect::Changes)
        }
    }

    fn scope(arguments: &Arguments) -> Option<String> {
        Some(scope(&arguments.name, arguments.namespace.as_deref()))
    }

    async fn plan(context: &Context, arguments: &Arguments) -> Result<Plan, CallError> {
        let releases = Releases::of(context)?;
        let place = releases.place(&arguments.name, arguments.namespace.as_deref()).await?;
        releases.latest(&place).await?;
        let predicted =
            json!({ "name": place.name, "namespace": place.namespace, "passed": true, "log": "" });
        Ok(Plan::new(format!("run the tests of {place}")).predicting(predicted))
    }

    async fn perform(context: &Context, arguments: Arguments) -> Result<Value, CallError> {
        let helm = context.service::<Helm>()?;
        let releases = Releases::of(context)?;
        let place = releases.place(&arguments.name, arguments.namespace.as_deref()).await?;
        let latest = releases.latest(&place).await?;
        let stand_in = latest.is_stand_in();
        let mut log = String::new();
        if !stand_in {
            let claim = helm.claim(context, &place).await?;
            // helm 3 calls a test failed whose logs are gone.
            let logs = !latest.loses_test_logs();
            let line = command::test(&place, arguments.timeout.into(), &arguments.only, logs);
            let run = Run::on(&claim, longest(arguments.timeout.into()))?;
            log = helm.run(context, &line, run).await?.stdout.last_lines(LOG_LINES).join("\n");
        }
        Ok(json!({
            "name": place.name, "namespace": place.namespace, "passed": true, "stand_in": stand_in, "log": log,
        }))
    }

    async fn probe(
        _context: &Context,
        _arguments: &Arguments,
        _asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        Ok(Probe::DidNotHappen)
    }
}
