//! `helm::pull`: a chart archive, its bytes checked against a pinned digest.

use aegis_engine::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::chart::Request;
use super::client::{Helm, NoChart, keep};

/// `helm::pull`.
pub(super) struct Pull;

/// Arguments of `helm::pull`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// Chart, as for `helm::install`.
    chart: String,
    /// URL of the chart repository, or the name of one under `[targets.NAME.helm.repositories]`.
    #[serde(default)]
    repository: Option<String>,
    /// Version of the chart, or a range like `^1.2`; the newest by default.
    #[serde(default)]
    version: Option<String>,
    /// SHA-256 the archive must have: `sha256:` and 64 hex digits.
    #[serde(default)]
    digest: Option<String>,
    /// The registry speaks HTTP, not HTTPS.
    #[serde(default)]
    plain_http: bool,
    /// Folder of the project that gets the archive.
    #[serde(default = "charts")]
    to: String,
}

fn charts() -> String {
    "charts".to_owned()
}

#[async_trait]
impl HostFunction for Pull {
    type Arguments = Arguments;

    fn describe() -> Description {
        Description {
            summary: "Fetches a chart archive into the project and tells its digest.",
            capability: "helm:change",
            positional: &["chart"],
            returns: "map: `path` (of the archive), `digest` (`sha256:...`, to be pinned in `helm::install`)",
            undo: "none: the archive is a file of the project",
            fails_when: "helm is missing (A0401), the chart cannot be had (A0403), or its digest is another one than \
                         the pinned (A0502).",
            example: r#"helm::pull("web", #{ version: "0.1.0", to: "pulled" }).digest"#,
            ..Description::of("pull", Effect::Changes)
        }
    }

    fn scope(arguments: &Arguments) -> Option<String> {
        Some(arguments.chart.clone())
    }

    async fn plan(_context: &Context, arguments: &Arguments) -> Result<Plan, CallError> {
        let version = arguments.version.as_deref().unwrap_or("newest");
        let predicted = json!({ "path": arguments.to, "digest": arguments.digest });
        Ok(Plan::new(format!("fetch chart `{}` ({version}) into `{}`", arguments.chart, arguments.to))
            .predicting(predicted))
    }

    async fn perform(context: &Context, arguments: Arguments) -> Result<Value, CallError> {
        let helm = context.service::<Helm>()?;
        let request = Request {
            chart: &arguments.chart,
            repository: arguments.repository.as_deref(),
            version: arguments.version.as_deref(),
            digest: arguments.digest.as_deref(),
            plain_http: arguments.plain_http,
        };
        let chart = helm.chart(context, &request).await.map_err(NoChart::into_error)?;
        let Some(digest) = &chart.digest else {
            let error =
                CallError::argument(format!("chart `{}` is a folder of this machine", arguments.chart));
            return Err(error.hint("there is nothing to fetch: name it in `helm::install` as it is"));
        };
        let path = keep(&chart, &context.project, &arguments.to)?;
        Ok(json!({ "path": path, "digest": format!("sha256:{digest}") }))
    }

    async fn probe(
        _context: &Context,
        _arguments: &Arguments,
        _asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        Ok(Probe::DidNotHappen)
    }
}
