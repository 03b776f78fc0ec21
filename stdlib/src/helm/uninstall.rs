//! `helm::uninstall`: removes a release and what belongs to it.

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
use super::release::Release;
use super::releases::{Releases, deployed};
use super::stand_in;

/// `helm::uninstall`.
pub(super) struct Uninstall;

/// Arguments of `helm::uninstall`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// Name of the release.
    name: String,
    /// Namespace of the release; the target's by default.
    #[serde(default)]
    namespace: Option<String>,
    /// Keep the revisions, so that `helm::rollback` can bring the release back.
    #[serde(default)]
    keep_history: bool,
    /// Wait until everything is gone.
    #[serde(default = "yes")]
    wait: bool,
    /// How long it may take.
    #[serde(default = "five_minutes")]
    timeout: Period,
    /// Run the chart's hooks.
    #[serde(default = "yes")]
    hooks: bool,
    /// Fail when there is no such release, instead of answering `absent`.
    #[serde(default)]
    must_exist: bool,
}

#[async_trait]
impl HostFunction for Uninstall {
    type Arguments = Arguments;

    fn describe() -> Description {
        Description {
            summary: "Removes a release with everything that belongs to it and waits until it is gone.",
            capability: "helm:destroy",
            positional: &["name"],
            returns: "map: `name`, `namespace`, `action` (`uninstalled` or `absent`)",
            undo: "with `keep_history`, rolls back to the revision that was deployed; else none: the release's \
                   record is gone, and with it what its volumes held",
            fails_when: "helm fails or something is not gone in time (A0403); without a release only with \
                         `must_exist` (A0306).",
            example: r#"helm::uninstall("web", #{ namespace: "shop" })"#,
            ..Description::of("uninstall", Effect::Destroys)
        }
    }

    fn scope(arguments: &Arguments) -> Option<String> {
        Some(scope(&arguments.name, arguments.namespace.as_deref()))
    }

    async fn plan(context: &Context, arguments: &Arguments) -> Result<Plan, CallError> {
        let (place, history) = look(context, arguments).await?;
        let Some(latest) = history.last().filter(|latest| !latest.is_uninstalled()) else {
            let mut plan = Plan::new(format!("uninstall {place} (there is no such release)"));
            plan.unchanged = true;
            return Ok(plan.predicting(answer(&place, "absent")));
        };
        let leaving = manifest::objects(&manifest::parse(latest.manifest())?, Origin::Template);
        let difference = Difference::between(&leaving, &[], &place.namespace);
        let kept = if arguments.keep_history { ", keeping its history" } else { "" };
        let mut plan = Plan::new(format!("uninstall {place}: {}{kept}", difference.summary()))
            .with_diff(difference.text)
            .predicting(answer(&place, "uninstalled"));
        plan.undo = deployed(&history).filter(|_| arguments.keep_history).map(|live| undo(&place, live));
        let objects = &Releases::of(context)?.objects;
        for object in &leaving {
            plan = plan.overlaying(objects.key(object, &place.namespace).await?, None);
        }
        for release in &history {
            let secret = release.clone().with_status("uninstalled", "planned").to_secret()?;
            let key = objects.key(&secret, &place.namespace).await?;
            plan = plan.overlaying(key, arguments.keep_history.then_some(secret));
        }
        Ok(plan)
    }

    async fn perform(context: &Context, arguments: Arguments) -> Result<Value, CallError> {
        let helm = context.service::<Helm>()?;
        let place = look(context, &arguments).await?.0;
        let mut claim = helm.claim(context, &place).await?;
        // Looked at again under the lock: whoever held it may have removed the release.
        let history = look(context, &arguments).await?.1;
        let Some(latest) = history.last().filter(|latest| !latest.is_uninstalled()) else {
            return Ok(answer(&place, "absent"));
        };
        claim.begin(&context.run)?;
        if latest.is_stand_in() {
            let manner =
                stand_in::Manner { wait: arguments.wait, atomic: false, timeout: arguments.timeout.into() };
            stand_in::uninstall(context, &history, manner, arguments.keep_history).await?;
        } else {
            let manner = Manner {
                wait: arguments.wait,
                wait_for_jobs: false,
                timeout: arguments.timeout.into(),
                hooks: arguments.hooks,
            };
            let line = command::uninstall(&place, &manner, arguments.keep_history);
            helm.run(context, &line, Run::on(&claim, longest(arguments.timeout.into()))?).await?;
        }
        claim.end()?;
        Ok(answer(&place, "uninstalled"))
    }

    async fn probe(
        context: &Context,
        arguments: &Arguments,
        _asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        let helm = context.service::<Helm>()?;
        let place = look(context, arguments).await?.0;
        drop(helm.claim(context, &place).await?);
        let history = look(context, arguments).await?.1;
        let gone = history.last().is_none_or(Release::is_uninstalled);
        Ok(if gone { Probe::Happened(answer(&place, "uninstalled")) } else { Probe::DidNotHappen })
    }
}

async fn look(context: &Context, arguments: &Arguments) -> Result<(Place, Vec<Release>), CallError> {
    let releases = Releases::of(context)?;
    let place = releases.place(&arguments.name, arguments.namespace.as_deref()).await?;
    let history = releases.history(&place).await?;
    if arguments.must_exist && history.is_empty() {
        return Err(super::errors::no_release(&place));
    }
    Ok((place, history))
}

fn answer(place: &Place, action: &str) -> Value {
    json!({ "name": place.name, "namespace": place.namespace, "action": action })
}

fn undo(place: &Place, live: &Release) -> UndoCall {
    let revision = live.revision();
    UndoCall {
        function: "helm::rollback".to_owned(),
        arguments: json!({ "name": place.name, "namespace": place.namespace, "revision": revision }),
        summary: format!("bring {place} back at revision {revision}"),
    }
}
