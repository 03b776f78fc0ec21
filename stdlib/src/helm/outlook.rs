//! What an install would meet and make: the live release, the rendered objects and the difference, as a plan with
//! its overlay and undo. Reads only; `install.rs` acts on it.

use aegis_engine::CallError;
use aegis_engine::function::{Context, Plan, UndoCall};
use serde_json::{Value, json};

use super::client::{Helm, ValueFiles};
use super::command::Place;
use super::install::Arguments;
use super::manifest::{self, Difference, Origin};
use super::pending::Repair;
use super::release::Release;
use super::releases::{Releases, deployed};
use super::render::{self, Rendering, Source, Wanted};
use super::stand_in::{self, Provides};
use crate::k8s::objects::Objects;

/// What a call would meet and make.
pub(super) struct Outlook {
    pub(super) place: Place,
    pub(super) history: Vec<Release>,
    pub(super) difference: Difference,
    source: Source,
    rendering: Rendering,
    config: Value,
    /// How many custom resource definitions would be made.
    defined: usize,
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
                let wanted = Wanted {
                    place: &place,
                    values: &values,
                    upgrade,
                    skip_crds: arguments.skip_crds,
                    skip_schema: arguments.skip_schema,
                };
                Rendering::of(context, &helm, chart, &wanted).await?
            }
            (Source::StandIn(_), provides) => declared(arguments, &place, provides)?,
        };
        let live = match deployed(&history) {
            Some(release) => manifest::objects(&manifest::parse(release.manifest())?, Origin::Template),
            None => Vec::new(),
        };
        let difference = Difference::between(&live, &rendering.objects, &place.namespace);
        let mut outlook = Self { place, history, difference, source, rendering, config, defined: 0 };
        outlook.defined = outlook.missing_definitions(&releases.objects).await?;
        Ok(outlook)
    }

    /// How many definitions would be made. They are no part of a release: helm brings those of a `crds/` folder along
    /// when it installs, never when it upgrades.
    async fn missing_definitions(&self, objects: &Objects<'_>) -> Result<usize, CallError> {
        if matches!(self.source, Source::Chart(_)) && deployed(&self.history).is_some() {
            return Ok(0);
        }
        let mut missing = 0;
        for definition in &self.rendering.definitions {
            missing += usize::from(objects.find(definition, "").await?.is_none());
        }
        Ok(missing)
    }

    fn changes(&self) -> String {
        let defined = match self.defined {
            0 => return self.difference.summary(),
            1 => "1 kind defined".to_owned(),
            several => format!("{several} kinds defined"),
        };
        if self.difference.is_empty() { defined } else { format!("{defined}, {}", self.difference.summary()) }
    }

    pub(super) async fn plan(self, context: &Context, arguments: &Arguments) -> Result<Plan, CallError> {
        let planned = self.planned(context);
        let mut plan = Plan::new(self.summary())
            .with_diff(self.difference.text.clone())
            .with_undo(undo(&self.place, deployed(&self.history)))
            .predicting(answer(&planned, self.digest()));
        plan.unchanged = self.is_unchanged();
        plan.overlay = self.overlay(context, arguments, &planned).await?;
        Ok(plan)
    }

    pub(super) fn digest(&self) -> Option<&str> {
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
                self.changes()
            ),
            None => format!("install {chart} {version} as {}: {}", self.place, self.changes()),
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
        whole && same && self.difference.is_empty() && self.defined == 0
    }

    /// True when a revision has the chart and the values of this call.
    fn is_content_of(&self, release: &Release) -> bool {
        release.chart() == self.rendering.chart()
            && release.chart_version() == self.rendering.version()
            && release.is_stand_in() == matches!(self.source, Source::StandIn(_))
            && self.difference.is_empty()
    }

    /// True when the newest revision is what this call was about to make, and is newer than what it met.
    pub(super) fn is_done_by(
        &self,
        latest: &Release,
        asked: Option<&UndoCall>,
        arguments: &Arguments,
    ) -> bool {
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

pub(super) fn declared(
    arguments: &Arguments,
    place: &Place,
    provides: Option<&Provides>,
) -> Result<Rendering, CallError> {
    let nothing = Provides::Objects(Vec::new());
    let request = arguments.request();
    stand_in::rendering(place, request.name(), request.version, provides.unwrap_or(&nothing))
}

/// The values of the call as the release will record them.
pub(super) fn config(arguments: &Arguments, history: &[Release]) -> Value {
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

pub(super) fn answer(release: &Release, digest: Option<&str>) -> Value {
    let mut answer = release.describe();
    answer["notes"] = json!(release.notes());
    answer["digest"] = json!(digest.map(|hex| format!("sha256:{hex}")));
    answer
}
