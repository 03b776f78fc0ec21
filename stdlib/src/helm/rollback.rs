//! `helm::rollback`: an earlier revision as a new one.

use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use aegis_engine::{CallError, Period};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Helm, Run};
use super::command::{self, Manner, Place};
use super::install::{five_minutes, longest, scope, yes};
use super::manifest::{self, Difference, Origin};
use super::readiness::watched;
use super::release::Release;
use super::releases::{Releases, deployed};
use super::stand_in;

/// `helm::rollback`.
pub(super) struct Rollback;

/// Arguments of `helm::rollback`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// Name of the release.
    name: String,
    /// Revision to go back to; the one deployed before the newest by default.
    #[serde(default)]
    revision: Option<u64>,
    /// Namespace of the release; the target's by default.
    #[serde(default)]
    namespace: Option<String>,
    /// Wait until everything is ready.
    #[serde(default = "yes")]
    wait: bool,
    /// How long it may take.
    #[serde(default = "five_minutes")]
    timeout: Period,
    /// Run the chart's hooks.
    #[serde(default = "yes")]
    hooks: bool,
}

/// A rollback that was found to be possible.
struct Outlook {
    place: Place,
    history: Vec<Release>,
    wanted: Release,
}

impl Outlook {
    async fn of(context: &Context, arguments: &Arguments) -> Result<Self, CallError> {
        let releases = Releases::of(context)?;
        let place = releases.place(&arguments.name, arguments.namespace.as_deref()).await?;
        let history = releases.history(&place).await?;
        let before = history.iter().rev().skip(1).find(|release| release.status() == "superseded");
        let revision = arguments.revision.or_else(|| before.map(Release::revision));
        let Some(revision) = revision else {
            releases.latest(&place).await?;
            let error = CallError::argument(format!("release {place} has no revision before the newest one"));
            return Err(error.hint("`helm::history` shows what is kept"));
        };
        let wanted = releases.revision(&place, Some(revision)).await?;
        Ok(Self { place, history, wanted })
    }

    fn latest(&self) -> &Release {
        self.history.last().unwrap_or(&self.wanted)
    }

    /// The revision that would be there.
    fn planned(&self, context: &Context) -> Release {
        let told = format!("Rollback to {}", self.wanted.revision());
        let revision = self.latest().revision() + 1;
        self.wanted.clone().at_revision(revision, context.now()).with_status("deployed", &told)
    }

    fn objects(release: &Release) -> Result<Vec<Value>, CallError> {
        Ok(manifest::objects(&manifest::parse(release.manifest())?, Origin::Template))
    }
}

#[async_trait]
impl HostFunction for Rollback {
    type Arguments = Arguments;

    fn describe() -> Description {
        Description {
            summary: "Brings an earlier revision of a release back and waits until it is ready.",
            capability: "helm:change",
            positional: &["name", "revision"],
            returns: "map: the new revision as `helm::status` answers it",
            undo: "rolls back to the revision that was deployed before, where there was one",
            fails_when: "There is no such release or revision (A0306), or helm fails or something is not ready in \
                         time (A0403).",
            example: r#"helm::rollback("web", 1, #{ namespace: "shop" })"#,
            ..Description::of("rollback", Effect::Changes)
        }
    }

    fn scope(arguments: &Arguments) -> Option<String> {
        Some(scope(&arguments.name, arguments.namespace.as_deref()))
    }

    async fn plan(context: &Context, arguments: &Arguments) -> Result<Plan, CallError> {
        let outlook = Outlook::of(context, arguments).await?;
        let namespace = &outlook.place.namespace;
        let live = deployed(&outlook.history);
        let now = live.map(Outlook::objects).transpose()?.unwrap_or_default();
        let then = Outlook::objects(&outlook.wanted)?;
        let difference = Difference::between(&now, &then, namespace);
        let (from, to) = (outlook.latest().revision(), outlook.wanted.revision());
        let summary =
            format!("roll {} back from revision {from} to {to}: {}", outlook.place, difference.summary());
        let planned = outlook.planned(context);
        let mut plan = Plan::new(summary).with_diff(difference.text).predicting(planned.describe());
        plan.undo = live.map(|live| undo(&outlook.place, live.revision()));
        let objects = &Releases::of(context)?.objects;
        for object in now {
            plan = plan.overlaying(objects.key(&object, namespace).await?, None);
        }
        for object in then {
            plan = plan.overlaying(objects.key(&object, namespace).await?, Some(object));
        }
        let secret = planned.to_secret()?;
        Ok(plan.overlaying(objects.key(&secret, namespace).await?, Some(secret)))
    }

    async fn perform(context: &Context, arguments: Arguments) -> Result<Value, CallError> {
        let helm = context.service::<Helm>()?;
        let outlook = Outlook::of(context, &arguments).await?;
        let (place, revision) = (&outlook.place, outlook.wanted.revision());
        let mut claim = helm.claim(context, place).await?;
        claim.begin(&context.run)?;
        if outlook.latest().is_stand_in() {
            let manner =
                stand_in::Manner { wait: arguments.wait, atomic: false, timeout: arguments.timeout.into() };
            stand_in::rollback(context, &outlook.history, revision, manner).await?;
        } else {
            let manner = Manner {
                wait: arguments.wait,
                wait_for_jobs: false,
                timeout: arguments.timeout.into(),
                hooks: arguments.hooks,
            };
            let run = Run::on(&claim, longest(arguments.timeout.into()))?;
            let line = command::rollback(&helm.tool(context).await?.version, place, revision, &manner);
            watched(context, place, helm.run(context, &line, run)).await?;
        }
        claim.end()?;
        Ok(Releases::of(context)?.latest(place).await?.describe())
    }

    /// A rollback makes the newest revision deployed and says which one it went back to.
    async fn probe(
        context: &Context,
        arguments: &Arguments,
        asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        let helm = context.service::<Helm>()?;
        let releases = Releases::of(context)?;
        let place = releases.place(&arguments.name, arguments.namespace.as_deref()).await?;
        drop(helm.claim(context, &place).await?);
        let before = asked.and_then(|undo| undo.arguments["revision"].as_u64()).unwrap_or(0);
        let latest = releases.latest(&place).await?;
        let told = arguments.revision.map(|revision| format!("Rollback to {revision}"));
        let back = told.is_none_or(|told| latest.description() == told);
        let happened = latest.is_deployed() && latest.revision() > before && back;
        Ok(if happened { Probe::Happened(latest.describe()) } else { Probe::DidNotHappen })
    }
}

fn undo(place: &Place, revision: u64) -> UndoCall {
    UndoCall {
        function: "helm::rollback".to_owned(),
        arguments: json!({ "name": place.name, "namespace": place.namespace, "revision": revision }),
        summary: format!("roll {place} back to revision {revision}"),
    }
}
