//! `helm::template`: a chart as objects, without a release and without asking the cluster.

use aegis_engine::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::chart::Request;
use super::client::{Helm, NoChart, ValueFiles};
use super::command::{Place, Render};
use super::install::scope;
use super::render::{Rendering, values};

/// `helm::template`.
pub(super) struct Template;

/// Arguments of `helm::template`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// Name of the release.
    name: String,
    /// Chart, as for `helm::install`.
    chart: String,
    /// Namespace that templates see. Default `default`.
    #[serde(default)]
    namespace: Option<String>,
    /// URL of the chart repository, or the name of one under `[targets.NAME.helm.repositories]`.
    #[serde(default)]
    repository: Option<String>,
    /// Version of the chart, or a range like `^1.2`; the newest by default.
    #[serde(default)]
    version: Option<String>,
    /// SHA-256 of the chart archive; other bytes are refused.
    #[serde(default)]
    digest: Option<String>,
    /// The registry speaks HTTP, not HTTPS.
    #[serde(default)]
    plain_http: bool,
    /// Values, over the chart's defaults and over `values_files`.
    #[serde(default)]
    values: Option<Map<String, Value>>,
    /// YAML files with values, below the project; later ones rule.
    #[serde(default)]
    values_files: Vec<String>,
    /// Leave the chart's `crds/` folder out.
    #[serde(default)]
    skip_crds: bool,
    /// Do not hold the values against the chart's schema.
    #[serde(default)]
    skip_schema: bool,
    /// Kubernetes version that templates see, `v1.34.0`; helm's own default otherwise.
    #[serde(default)]
    kube_version: Option<String>,
    /// Kinds that templates see as served besides the built-in ones: `monitoring.coreos.com/v1/ServiceMonitor`.
    #[serde(default)]
    api_versions: Vec<String>,
}

#[async_trait]
impl HostFunction for Template {
    type Arguments = Arguments;

    fn describe() -> Description {
        Description {
            summary: "Renders a chart to objects without touching the cluster.",
            capability: "helm:read",
            positional: &["name", "chart"],
            returns: "map: `objects` (array; without hooks), `definitions` (array: the chart's `crds/`), `chart`, \
                      `version`, `digest` (of the archive, or `()`)",
            undo: "none: it only reads",
            fails_when: "helm is missing (A0401) or too old (A0402), or the chart cannot be had or rendered.",
            example: r#"helm::template("web", "./charts/web", #{ values: #{ replicas: 2 } }).objects"#,
            ..Description::of("template", Effect::Reads)
        }
    }

    fn scope(arguments: &Arguments) -> Option<String> {
        Some(scope(&arguments.name, arguments.namespace.as_deref()))
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
        let given = values(arguments.values.as_ref());
        let files = ValueFiles::write(&context.project, &arguments.values_files, given.as_ref())?;
        let namespace = arguments.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let place = Place { name: arguments.name.clone(), namespace };
        let render = Render {
            values: &files.files,
            upgrade: false,
            skip_crds: arguments.skip_crds,
            skip_schema: arguments.skip_schema,
            kube_version: arguments.kube_version.clone(),
            api_versions: arguments.api_versions.clone(),
        };
        let rendering = Rendering::with(context, &helm, &chart, &place, &render).await?;
        Ok(json!({
            "objects": rendering.objects,
            "definitions": rendering.definitions,
            "chart": rendering.chart(),
            "version": rendering.version(),
            "digest": chart.digest.as_ref().map(|hex| format!("sha256:{hex}")),
        }))
    }
}
