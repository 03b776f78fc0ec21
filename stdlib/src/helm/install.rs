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
use super::manifest::{self, Difference, Origin};
use super::pending::{self, Repair, with_repair};
use super::readiness::watched;
use super::release::Release;
use super::releases::{Releases, deployed};
use super::render::{self, Rendering, Source, Wanted};
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
    create_namespace: bool,
    /// URL of the chart repository, or the name of one under `[targets.NAME.helm.repositories]`.
    #[serde(default)]
    repository: Option<String>,
    /// Version of the chart, or a range like `^1.2`; the newest by default.
    #[serde(default)]
    version: Option<String>,
    /// SHA-256 of the chart archive, as `helm::pull` answers it; other bytes are refused.
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
    /// Keep the values of the last revision and lay the given ones over them.
    #[serde(default)]
    reuse_values: bool,
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
    skip_crds: bool,
    /// Replace objects that cannot be changed in place. They are gone for a moment.
    #[serde(default)]
    force: bool,
    /// Take over objects and fields that belong to somebody else (helm 3.17 or newer).
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
    provides: Option<Provides>,
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
    fn request(&self) -> Request<'_> {
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
        let outlook = Outlook::of(context, arguments).await?;
        // A helm that outlived its aegis may still be at work: its lock tells, and its end settles the matter.
        drop(helm.claim(context, &outlook.place).await?);
        let history = Releases::of(context)?.history(&outlook.place).await?;
        let happened = history.last().filter(|latest| outlook.is_done_by(latest, asked, arguments));
        Ok(happened.map_or(Probe::DidNotHappen, |latest| Probe::Happened(answer(latest, outlook.digest()))))
    }
}

/// The scope of a helm capability: `NAMESPACE/RELEASE`; `_` is the target's own namespace.
pub(super) fn scope(name: &str, namespace: Option<&str>) -> String {
    format!("{}/{name}", namespace.unwrap_or("_"))
}

/// What a call would meet and make.
pub(super) struct Outlook {
    pub(super) place: Place,
    pub(super) history: Vec<Release>,
    pub(super) difference: Difference,
    source: Source,
    rendering: Rendering,
    config: Value,
}

impl Outlook {
    /// Looks at the release and renders what would take its place.
    pub(super) async fn of(context: &Context, arguments: &Arguments) -> Result<Self, CallError> {
        let helm = context.service::<Helm>()?;
        let releases = Releases::of(context)?;
        let place = releases.place(&arguments.name, arguments.namespace.as_deref()).await?;
        let history = releases.history(&place).await?;
        let config = config(arguments, &history);
        let source = Source::find(context, &helm, &arguments.request(), arguments.provides.as_ref()).await?;
        let rendering = match (&source, arguments.provides.as_ref()) {
            (Source::Chart(chart), _) => {
                let values = ValueFiles::write(&context.project, &arguments.values_files, Some(&config))?;
                let upgrade = deployed(&history).is_some();
                let wanted =
                    Wanted { place: &place, values: &values, upgrade, skip_crds: arguments.skip_crds };
                Rendering::of(context, &helm, chart, &wanted).await?
            }
            (Source::StandIn(_), provides) => declared(arguments, &place, provides)?,
        };
        let live = match deployed(&history) {
            Some(release) => manifest::objects(&manifest::parse(release.manifest())?, Origin::Template),
            None => Vec::new(),
        };
        let difference = Difference::between(&live, &rendering.objects, &place.namespace);
        Ok(Self { place, history, difference, source, rendering, config })
    }

    async fn plan(self, context: &Context, arguments: &Arguments) -> Result<Plan, CallError> {
        let planned = self.planned(context);
        let mut plan = Plan::new(self.summary())
            .with_diff(self.difference.text.clone())
            .with_undo(undo(&self.place, deployed(&self.history)))
            .predicting(answer(&planned, self.digest()));
        plan.unchanged = self.is_unchanged();
        plan.overlay = self.overlay(context, arguments, &planned).await?;
        Ok(plan)
    }

    fn digest(&self) -> Option<&str> {
        match &self.source {
            Source::Chart(chart) => chart.digest.as_deref(),
            Source::StandIn(_) => None,
        }
    }

    fn summary(&self) -> String {
        let (chart, version) = (self.rendering.chart(), self.rendering.version());
        let what = match deployed(&self.history) {
            Some(live) => format!(
                "upgrade {} from {} {} to {chart} {version} (revision {}): {}",
                self.place,
                live.chart(),
                live.chart_version(),
                live.revision(),
                self.difference.summary()
            ),
            None => format!("install {chart} {version} as {}: {}", self.place, self.difference.summary()),
        };
        let repair = Repair::needed(&self.history).map(|repair| format!("; {}", repair.planned()));
        let stand_in = match &self.source {
            Source::Chart(_) => String::new(),
            Source::StandIn(why) => format!("; stand-in, because {why}"),
        };
        format!("{what}{}{stand_in}", repair.unwrap_or_default())
    }

    fn is_unchanged(&self) -> bool {
        let whole = Repair::needed(&self.history).is_none();
        let same =
            self.history.last().is_some_and(|latest| self.is_content_of(latest) && latest.is_deployed());
        whole && same && self.difference.is_empty()
    }

    /// True when a revision has the chart and the values of this call.
    fn is_content_of(&self, release: &Release) -> bool {
        release.chart() == self.rendering.chart()
            && release.chart_version() == self.rendering.version()
            && release.is_stand_in() == matches!(self.source, Source::StandIn(_))
            && self.difference.is_empty()
    }

    /// True when the newest revision is what this call was about to make, and is newer than what it met.
    fn is_done_by(&self, latest: &Release, asked: Option<&UndoCall>, arguments: &Arguments) -> bool {
        let before = asked.and_then(|undo| undo.arguments["revision"].as_u64()).unwrap_or(0);
        let same_values = arguments.values_files.is_empty() && latest.config() == self.config;
        latest.is_deployed()
            && latest.revision() > before
            && self.is_content_of(latest)
            && (same_values || !arguments.values_files.is_empty())
    }

    /// The revision that would be there.
    fn planned(&self, context: &Context) -> Release {
        let revision = self.history.last().map_or(0, Release::revision) + 1;
        let now = context.now();
        let first = self.history.first().and_then(Release::first_deployed).unwrap_or_else(|| now.to_string());
        let record = json!({
            "name": self.place.name, "namespace": self.place.namespace, "version": revision,
            "info": {
                "status": "deployed", "description": "planned",
                "first_deployed": first, "last_deployed": now.to_string(),
            },
            "chart": { "metadata": self.rendering.metadata, "values": {} },
            "config": self.config,
            "manifest": self.rendering.manifest,
        });
        Release::new(record)
    }

    /// What later reads of the plan see: the objects, those that are gone, and the release itself.
    async fn overlay(
        &self,
        context: &Context,
        arguments: &Arguments,
        planned: &Release,
    ) -> Result<Vec<(String, Option<Value>)>, CallError> {
        let objects = &Releases::of(context)?.objects;
        let namespace = &self.place.namespace;
        let mut writes = Vec::new();
        let own = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
        if arguments.create_namespace && objects.find(&own, "").await?.is_none() {
            writes.push((objects.key(&own, "").await?, Some(own)));
        }
        for object in self.rendering.definitions.iter().chain(&self.rendering.objects) {
            writes.push((objects.key(object, namespace).await?, Some(complete(object, namespace))));
        }
        let secret = planned.to_secret()?;
        writes.push((objects.key(&secret, namespace).await?, Some(secret)));
        let here: Vec<String> = writes.iter().map(|(key, _)| key.clone()).collect();
        if let Some(release) = deployed(&self.history) {
            for object in manifest::objects(&manifest::parse(release.manifest())?, Origin::Template) {
                let key = objects.key(&object, namespace).await?;
                if !here.contains(&key) {
                    writes.push((key, None));
                }
            }
        }
        Ok(writes)
    }
}

/// Objects of a chart may leave their namespace out; readers of the overlay do not know the release's.
fn complete(object: &Value, namespace: &str) -> Value {
    let mut object = object.clone();
    let cluster_wide = CLUSTER_KINDS.contains(&object["kind"].as_str().unwrap_or_default());
    if !cluster_wide && object["metadata"]["namespace"].is_null() {
        object["metadata"]["namespace"] = json!(namespace);
    }
    object
}

/// Built-in kinds without a namespace that charts bring.
const CLUSTER_KINDS: [&str; 12] = [
    "Namespace",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
    "StorageClass",
    "PriorityClass",
    "IngressClass",
    "RuntimeClass",
    "APIService",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "PersistentVolume",
];

fn declared(
    arguments: &Arguments,
    place: &Place,
    provides: Option<&Provides>,
) -> Result<Rendering, CallError> {
    let nothing = Provides::Objects(Vec::new());
    let request = arguments.request();
    stand_in::rendering(place, request.name(), request.version, provides.unwrap_or(&nothing))
}

/// The values of the call as the release will record them.
fn config(arguments: &Arguments, history: &[Release]) -> Value {
    let given = render::values(arguments.values.as_ref()).unwrap_or_else(|| json!({}));
    match deployed(history) {
        Some(live) if arguments.reuse_values => {
            let mut reused = live.config();
            json_patch::merge(&mut reused, &given);
            reused
        }
        _ => given,
    }
}

fn undo(place: &Place, before: Option<&Release>) -> UndoCall {
    let (name, namespace) = (&place.name, &place.namespace);
    match before.map(Release::revision) {
        None => UndoCall {
            function: "helm::uninstall".to_owned(),
            arguments: json!({ "name": name, "namespace": namespace }),
            summary: format!("uninstall {place}"),
        },
        Some(revision) => UndoCall {
            function: "helm::rollback".to_owned(),
            arguments: json!({ "name": name, "namespace": namespace, "revision": revision }),
            summary: format!("roll {place} back to revision {revision}"),
        },
    }
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

fn answer(release: &Release, digest: Option<&str>) -> Value {
    let mut answer = release.describe();
    answer["notes"] = json!(release.notes());
    answer["digest"] = json!(digest.map(|hex| format!("sha256:{hex}")));
    answer
}
