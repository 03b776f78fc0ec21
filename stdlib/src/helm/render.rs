//! What an install would make of the cluster, without asking helm to touch it: the chart rendered with the live
//! cluster's version and kinds, as objects. The same shape comes from a stand-in's declaration.

use aegis_engine::CallError;
use aegis_engine::codes;
use aegis_engine::function::Context;
use serde_json::{Map, Value, json};

use super::chart::Request;
use super::client::{Chart, Helm, NoChart, Run, ValueFiles, complete};
use super::command::{Line, Place, Render};
use super::manifest::{self, Origin, Rendered};
use super::stand_in::Provides;
use crate::k8s::objects::Objects;

/// Where the objects of a release come from.
#[derive(Debug)]
pub(super) enum Source {
    /// A real chart and a real helm.
    Chart(Chart),
    /// The component's own declaration; why it takes the chart's place.
    StandIn(String),
}

impl Source {
    /// A chart wherever it can be had; on the sandbox a stand-in where it cannot.
    pub(super) async fn find(
        context: &Context,
        helm: &Helm,
        request: &Request<'_>,
        provides: Option<&Provides>,
    ) -> Result<Self, CallError> {
        let may_stand_in = helm.is_sandbox();
        let missing = match helm.tool(context).await {
            Ok(_) => match helm.chart(context, request).await {
                Ok(chart) => return Ok(Self::Chart(chart)),
                Err(NoChart::Unavailable(error)) if may_stand_in => error,
                Err(error) => return Err(error.into_error()),
            },
            Err(error) if may_stand_in && error.code == codes::TOOL_MISSING.0 => error,
            Err(error) => return Err(error),
        };
        if provides.is_some() {
            return Ok(Self::StandIn(missing.message));
        }
        Err(missing
            .hint("on the sandbox, `provides` lets a stand-in take the place of a chart that cannot be had"))
    }
}

/// What will be there.
#[derive(Debug)]
pub(super) struct Rendering {
    pub(super) objects: Vec<Value>,
    pub(super) definitions: Vec<Value>,
    /// `name`, `version`, `appVersion` and the rest of Chart.yaml.
    pub(super) metadata: Value,
    pub(super) manifest: String,
}

/// What is asked of a chart.
pub(super) struct Wanted<'a> {
    pub(super) place: &'a Place,
    pub(super) values: &'a ValueFiles,
    pub(super) upgrade: bool,
    pub(super) skip_crds: bool,
    pub(super) skip_schema: bool,
}

impl Rendering {
    /// Renders a chart for the live cluster.
    pub(super) async fn of(
        context: &Context,
        helm: &Helm,
        chart: &Chart,
        wanted: &Wanted<'_>,
    ) -> Result<Self, CallError> {
        let objects = Objects::of(context)?;
        let render = Render {
            values: &wanted.values.files,
            upgrade: wanted.upgrade,
            skip_crds: wanted.skip_crds,
            skip_schema: wanted.skip_schema,
            kube_version: Some(objects.version().await?).filter(|version| !version.is_empty()),
            api_versions: objects.served().await?,
        };
        Self::with(context, helm, chart, wanted.place, &render).await
    }

    /// Renders a chart for the cluster that `render` describes.
    pub(super) async fn with(
        context: &Context,
        helm: &Helm,
        chart: &Chart,
        place: &Place,
        render: &Render<'_>,
    ) -> Result<Self, CallError> {
        let text = helm.template(context, place, chart, render).await?;
        let rendered = manifest::parse(&text)?;
        let metadata = metadata(context, helm, chart).await?;
        Ok(Self::from_parts(&rendered, metadata, text))
    }

    /// From parsed parts.
    pub(super) fn from_parts(rendered: &[Rendered], metadata: Value, manifest: String) -> Self {
        Self {
            objects: manifest::objects(rendered, Origin::Template),
            definitions: manifest::objects(rendered, Origin::Definition),
            metadata,
            manifest,
        }
    }

    pub(super) fn version(&self) -> &str {
        self.metadata["version"].as_str().unwrap_or_default()
    }

    pub(super) fn chart(&self) -> &str {
        self.metadata["name"].as_str().unwrap_or_default()
    }
}

async fn metadata(context: &Context, helm: &Helm, chart: &Chart) -> Result<Value, CallError> {
    let line = Line::new(&["show", "chart", &chart.path.to_string_lossy()]);
    let finished = helm.run(context, &line, Run::offline()).await?;
    complete(&finished)?;
    serde_saphyr::from_str(&finished.stdout.text())
        .map_err(|error| CallError::new(codes::HELM, "the chart's Chart.yaml cannot be read").because(error))
}

/// A values map as JSON.
pub(super) fn values(values: Option<&Map<String, Value>>) -> Option<Value> {
    values.map(|values| json!(values))
}
