//! `helm::install`: installs a release or upgrades it, by helm or, on the sandbox, as a stand-in.
//!
//! ```text
//! arguments -> Source (chart | stand-in) -> Rendering -> plan: diff against the live release, overlay, undo
//!                                               \-----> perform: claim, repair, helm upgrade --install, answer
//! ```

use std::time::Duration;

use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use aegis_engine::{CallError, Period};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::chart::Request;
use super::client::{Chart, Helm, Run, ValueFiles};
use super::command::{self, HISTORY, Manner, Place, Upgrade};
use super::outlook::{Outlook, answer, config, declared};
use super::pending::{self, with_repair};
use super::readiness::watched;
use super::releases::Releases;
use super::render::{self, Source};
use super::stand_in::{self, Provides};

/// `helm::install`.
pub(super) struct Install;

/// Arguments of `helm::install` and `helm::diff`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// Name of the release.
    pub(super) name: String,
    /// Chart: a name (with `repository`, or from the target's charts folder), `repository/name`, an `oci://` or
    /// `https://` reference, or a path that starts with `./`.
    pub(super) chart: String,
    /// Namespace of the release; the target's by default.
    #[serde(default)]
    pub(super) namespace: Option<String>,
    /// Create the namespace when it is missing.
    #[serde(default = "yes")]
    pub(super) create_namespace: bool,
    /// URL of the chart repository, or the name of one under `[targets.NAME.helm.repositories]`.
    #[serde(default)]
    repository: Option<String>,
    /// Version of the chart, or a range like `^1.2`; the newest by default.
    #[serde(default)]
    pub(super) version: Option<String>,
    /// SHA-256 of the chart archive, as `helm::pull` answers it; other bytes are refused.
    #[serde(default)]
    digest: Option<String>,
    /// The registry speaks HTTP, not HTTPS.
    #[serde(default)]
    plain_http: bool,
    /// Values, over the chart's defaults and over `values_files`.
    #[serde(default)]
    pub(super) values: Option<Map<String, Value>>,
    /// YAML files with values, below the project; later ones rule.
    #[serde(default)]
    pub(super) values_files: Vec<String>,
    /// Keep the values of the last revision and lay the given ones over them.
    #[serde(default)]
    pub(super) reuse_values: bool,
    /// Go back to the revision before (or to nothing) when it fails.
    #[serde(default = "yes")]
    atomic: bool,
    /// Wait until everything is ready.
    #[serde(default = "yes")]
    wait: bool,
    /// Wait until Jobs have completed, too.
    #[serde(default)]
    wait_for_jobs: bool,
    /// How long each operation of helm may take.
    #[serde(default = "five_minutes")]
    pub(super) timeout: Period,
    /// Run the chart's hooks.
    #[serde(default = "yes")]
    hooks: bool,
    /// Leave the chart's `crds/` folder out.
    #[serde(default)]
    pub(super) skip_crds: bool,
    /// Do not hold the values against the chart's schema (helm 3.16 or newer; older ones always do).
    #[serde(default)]
    pub(super) skip_schema: bool,
    /// Replace objects that cannot be changed in place. They are gone for a moment.
    #[serde(default)]
    force: bool,
    /// Take over objects that belong to another release or to nobody's (helm 3.17 or newer).
    #[serde(default)]
    take_ownership: bool,
    /// Repair a release that another process left half done, however recently.
    #[serde(default)]
    repair: bool,
    /// A line for `helm history`.
    #[serde(default)]
    description: Option<String>,
    /// Revisions to keep.
    #[serde(default = "default_history")]
    history: u32,
    /// What the component provides, for a stand-in on the sandbox where helm or the chart cannot be had: an array
    /// of objects, or a map with `crds`, `workloads`, `services`, `webhooks`, `objects`.
    #[serde(default)]
    pub(super) provides: Option<Provides>,
}

pub(super) const fn yes() -> bool {
    true
}

pub(super) const fn five_minutes() -> Period {
    Period::minutes(5)
}

const fn default_history() -> u32 {
    HISTORY
}

impl Arguments {
    pub(super) fn request(&self) -> Request<'_> {
        Request {
            chart: &self.chart,
            repository: self.repository.as_deref(),
            version: self.version.as_deref(),
            digest: self.digest.as_deref(),
            plain_http: self.plain_http,
        }
    }

    fn manner(&self) -> Manner {
        Manner {
            wait: self.wait,
            wait_for_jobs: self.wait_for_jobs,
            timeout: self.timeout.into(),
            hooks: self.hooks,
        }
    }
}

#[async_trait]
impl HostFunction for Install {
    type Arguments = Arguments;

    fn describe() -> Description {
        Description {
            summary: "Installs a chart as a release, or upgrades the release, and waits until it is ready.",
            capability: "helm:change",
            positional: &["name", "chart"],
            returns: "map: the release as `helm::status` answers it, with `digest` (of the chart archive), \
                      `stand_in`, and `repaired` where a crash had left the release half done",
            undo: "uninstalls a first revision; else rolls back to the revision deployed before",
            fails_when: "helm is missing (A0401) or too old (A0402), the chart cannot be had or rendered, its \
                         digest is another one (A0502), helm fails or something is not ready in time (A0403), or \
                         somebody else works on the release (A0404).",
            example: r#"helm::install("web", "./charts/web", #{ namespace: "shop", values: #{ replicas: 2 } })"#,
            ..Description::of("install", Effect::Changes)
        }
    }

    fn scope(arguments: &Arguments) -> Option<String> {
        Some(scope(&arguments.name, arguments.namespace.as_deref()))
    }

    async fn plan(context: &Context, arguments: &Arguments) -> Result<Plan, CallError> {
        Outlook::of(context, arguments).await?.plan(context, arguments).await
    }

    async fn perform(context: &Context, arguments: Arguments) -> Result<Value, CallError> {
        let helm = context.service::<Helm>()?;
        let releases = Releases::of(context)?;
        let place = releases.place(&arguments.name, arguments.namespace.as_deref()).await?;
        match Source::find(context, &helm, &arguments.request(), arguments.provides.as_ref()).await? {
            Source::Chart(chart) => by_helm(context, &helm, &place, &chart, &arguments).await,
            Source::StandIn(why) => as_stand_in(context, &helm, &place, &why, &arguments).await,
        }
    }

    async fn probe(
        context: &Context,
        arguments: &Arguments,
        asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        let helm = context.service::<Helm>()?;
        let place = Releases::of(context)?.place(&arguments.name, arguments.namespace.as_deref()).await?;
        // A helm that outlived its aegis may still be at work: its lock tells, and its end settles the matter.
        drop(helm.claim(context, &place).await?);
        let outlook = Outlook::of(context, arguments).await?;
        let happened = outlook.history.last().filter(|latest| outlook.is_done_by(latest, asked, arguments));
        Ok(happened.map_or(Probe::DidNotHappen, |latest| Probe::Happened(answer(latest, outlook.digest()))))
    }
}

/// The scope of a helm capability: `NAMESPACE/RELEASE`; `_` is the target's own namespace.
pub(super) fn scope(name: &str, namespace: Option<&str>) -> String {
    format!("{}/{name}", namespace.unwrap_or("_"))
}

async fn by_helm(
    context: &Context,
    helm: &Helm,
    place: &Place,
    chart: &Chart,
    arguments: &Arguments,
) -> Result<Value, CallError> {
    let version = helm.tool(context).await?.version.clone();
    let mut claim = helm.claim(context, place).await?;
    let repaired = pending::repair(context, helm, &claim, place, arguments.repair).await?;
    let given = render::values(arguments.values.as_ref());
    let values = ValueFiles::write(&context.project, &arguments.values_files, given.as_ref())?;
    let line = command::upgrade(
        &version,
        &Upgrade {
            place,
            chart: &chart.path,
            values: &values.files,
            manner: arguments.manner(),
            atomic: arguments.atomic,
            create_namespace: arguments.create_namespace,
            reuse_values: arguments.reuse_values,
            skip_crds: arguments.skip_crds,
            skip_schema: arguments.skip_schema,
            force: arguments.force,
            take_ownership: arguments.take_ownership,
            history: arguments.history,
            description: arguments.description.as_deref(),
        },
    );
    claim.begin(&context.run)?;
    let run = Run::on(&claim, longest(arguments.timeout.into()))?;
    watched(context, place, helm.run(context, &line, run)).await?;
    claim.end()?;
    let release = Releases::of(context)?.latest(place).await?;
    Ok(with_repair(answer(&release, chart.digest.as_deref()), repaired))
}

/// helm's timeout counts for each operation: hooks before, the wait, hooks after, and a rollback of all that. A
/// process that takes longer than all of them hangs.
pub(super) fn longest(timeout: Duration) -> Duration {
    timeout.saturating_mul(4) + Duration::from_secs(60)
}

async fn as_stand_in(
    context: &Context,
    helm: &Helm,
    place: &Place,
    why: &str,
    arguments: &Arguments,
) -> Result<Value, CallError> {
    context.progress(format!("stand-in, because {why}"));
    let mut claim = helm.claim(context, place).await?;
    let repaired = pending::repair(context, helm, &claim, place, arguments.repair).await?;
    let releases = Releases::of(context)?;
    let history = releases.history(place).await?;
    let rendering = declared(arguments, place, arguments.provides.as_ref())?;
    if arguments.create_namespace {
        ensure_namespace(&releases, &place.namespace).await?;
    }
    claim.begin(&context.run)?;
    let manner = stand_in::Manner {
        wait: arguments.wait,
        atomic: arguments.atomic,
        timeout: arguments.timeout.into(),
    };
    let config = config(arguments, &history);
    let release = stand_in::install(context, place, &rendering, &config, &history, manner).await?;
    claim.end()?;
    Ok(with_repair(answer(&release, None), repaired))
}

async fn ensure_namespace(releases: &Releases<'_>, namespace: &str) -> Result<(), CallError> {
    let own = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
    if releases.objects.find(&own, "").await?.is_none() {
        releases.objects.apply(&own, "").await?;
    }
    Ok(())
}
