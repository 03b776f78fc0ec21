//! What helm does for a release, done for stand-ins through the cluster's API: objects applied in waves, the ones
//! no longer wanted removed, readiness awaited, each revision recorded before and after.

use std::time::Duration;

use aegis_engine::codes;
use aegis_engine::function::Context;
use aegis_engine::{CallError, Period};
use serde_json::{Value, json};

use super::record;
use crate::helm::command::{HISTORY, Place};
use crate::helm::manifest::{self, Identity, Origin};
use crate::helm::pending::Repair;
use crate::helm::release::Release;
use crate::helm::render::Rendering;
use crate::k8s::objects::{Objects, hindrance, wave};

/// How often readiness is looked at.
const EVERY: Duration = Duration::from_millis(100);

/// Kinds that become ready by and by, as `helm --wait` knows them; custom resources have nobody who would make
/// them ready here.
const AWAITED: [&str; 7] =
    ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "Pod", "PersistentVolumeClaim"];

/// How an operation is carried out.
#[derive(Debug, Clone, Copy)]
pub(in crate::helm) struct Manner {
    pub(in crate::helm) wait: bool,
    pub(in crate::helm) atomic: bool,
    pub(in crate::helm) timeout: Duration,
}

impl Manner {
    const HASTY: Self = Self { wait: false, atomic: false, timeout: Duration::from_secs(60) };
}

/// Installs or upgrades a stand-in and answers the deployed revision.
pub(in crate::helm) async fn install(
    context: &Context,
    place: &Place,
    rendering: &Rendering,
    config: &Value,
    history: &[Release],
    manner: Manner,
) -> Result<Release, CallError> {
    let objects = Objects::of(context)?;
    define(context, &objects, &rendering.definitions).await?;
    let release = record::release(place, rendering, config, history.last(), context.now());
    let deployed = deploy(context, &objects, release, history, manner).await;
    match deployed {
        Err(error) if manner.atomic => {
            take_back(context, &objects, place, history).await?;
            Err(error)
        }
        outcome => outcome,
    }
}

/// What an atomic install does when it fails: the revision that served before, or nothing.
async fn take_back(
    context: &Context,
    objects: &Objects<'_>,
    place: &Place,
    before: &[Release],
) -> Result<(), CallError> {
    let now = crate::helm::releases::Releases::of(context)?.history(place).await?;
    match before.iter().rev().find(|release| release.is_deployed()) {
        Some(good) => back_to(context, objects, &now, good.revision(), Manner::HASTY).await.map(|_| ()),
        None => remove(context, objects, &now, Manner::HASTY, false).await,
    }
}

/// Goes back to an earlier revision, as a new one.
pub(in crate::helm) async fn rollback(
    context: &Context,
    history: &[Release],
    revision: u64,
    manner: Manner,
) -> Result<Release, CallError> {
    back_to(context, &Objects::of(context)?, history, revision, manner).await
}

async fn back_to(
    context: &Context,
    objects: &Objects<'_>,
    history: &[Release],
    revision: u64,
    manner: Manner,
) -> Result<Release, CallError> {
    let wanted = history.iter().find(|release| release.revision() == revision);
    let (Some(wanted), Some(latest)) = (wanted, history.last()) else {
        return Err(CallError::new(codes::NOT_FOUND, format!("there is no revision {revision}")));
    };
    let release = wanted
        .clone()
        .at_revision(latest.revision() + 1, context.now())
        .with_status("pending-rollback", "stand-in under way");
    let deployed = deploy(context, objects, release, history, manner).await?;
    let told = format!("Rollback to {revision}");
    let deployed = deployed.with_status("deployed", &told);
    write(objects, &deployed).await?;
    Ok(deployed)
}

/// Removes a stand-in with its history.
pub(in crate::helm) async fn uninstall(
    context: &Context,
    history: &[Release],
    manner: Manner,
    keep_history: bool,
) -> Result<(), CallError> {
    remove(context, &Objects::of(context)?, history, manner, keep_history).await
}

/// Brings a stand-in that a crash left half done back to something whole.
pub(in crate::helm) async fn repair(
    context: &Context,
    history: &[Release],
    repair: &Repair,
) -> Result<(), CallError> {
    match repair {
        Repair::Rollback { to, .. } => rollback(context, history, *to, Manner::HASTY).await.map(|_| ()),
        Repair::Uninstall { .. } => uninstall(context, history, Manner::HASTY, false).await,
    }
}

async fn define(context: &Context, objects: &Objects<'_>, definitions: &[Value]) -> Result<(), CallError> {
    for definition in definitions {
        objects.apply(definition, "").await?;
    }
    if !definitions.is_empty() {
        ready(context, objects, definitions, "", Manner::HASTY.timeout).await?;
        objects.discover().await?;
    }
    Ok(())
}

/// The one way a revision comes to be: recorded as under way, applied, what went out of it removed, awaited,
/// recorded as deployed.
async fn deploy(
    context: &Context,
    objects: &Objects<'_>,
    release: Release,
    history: &[Release],
    manner: Manner,
) -> Result<Release, CallError> {
    let namespace = release.namespace().to_owned();
    objects.create(&release.to_secret()?, &namespace).await?;
    let outcome = put(context, objects, &release, history, manner).await;
    let release = match &outcome {
        Ok(()) => release.with_status("deployed", "stand-in: declared objects, no software"),
        Err(error) => release.with_status("failed", &error.message),
    };
    write(objects, &release).await?;
    outcome?;
    supersede(objects, history).await?;
    Ok(release)
}

async fn put(
    context: &Context,
    objects: &Objects<'_>,
    release: &Release,
    history: &[Release],
    manner: Manner,
) -> Result<(), CallError> {
    let namespace = release.namespace();
    let wanted = templates(release)?;
    for object in in_waves(&wanted) {
        objects.apply(object, namespace).await?;
        context.progress(format!("applied {}", Identity::of(object, namespace).title()));
    }
    let kept: Vec<Identity> = wanted.iter().map(|object| Identity::of(object, namespace)).collect();
    for object in history.last().map(templates).transpose()?.unwrap_or_default() {
        if !kept.contains(&Identity::of(&object, namespace)) && !is_kept(&object) {
            objects.delete(&object, namespace).await?;
        }
    }
    let awaited: Vec<Value> = wanted.into_iter().filter(is_awaited).collect();
    if manner.wait { ready(context, objects, &awaited, namespace, manner.timeout).await } else { Ok(()) }
}

fn templates(release: &Release) -> Result<Vec<Value>, CallError> {
    Ok(manifest::objects(&manifest::parse(release.manifest())?, Origin::Template))
}

fn in_waves(objects: &[Value]) -> Vec<&Value> {
    let mut sorted: Vec<&Value> = objects.iter().collect();
    sorted.sort_by_key(|object| wave(object));
    sorted
}

fn is_awaited(object: &Value) -> bool {
    object["kind"].as_str().is_some_and(|kind| AWAITED.contains(&kind))
}

/// helm leaves such objects alone for good.
fn is_kept(object: &Value) -> bool {
    object["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
}

async fn ready(
    context: &Context,
    objects: &Objects<'_>,
    awaited: &[Value],
    namespace: &str,
    timeout: Duration,
) -> Result<(), CallError> {
    let deadline = tokio::time::Instant::now() + timeout;
    loop {
        let mut missing = Vec::new();
        for object in awaited {
            match objects.find(object, namespace).await? {
                Some(live) => missing.extend(hindrance(&live)),
                None => missing.push(format!("{}: it is not there", Identity::of(object, namespace).title())),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        context.progress(missing.join("; "));
        if tokio::time::Instant::now() > deadline {
            let message =
                format!("the stand-in is not ready after {}: {}", Period(timeout), missing.join("; "));
            return Err(CallError::new(codes::HELM, message));
        }
        context.pause(EVERY).await;
    }
}

async fn remove(
    context: &Context,
    objects: &Objects<'_>,
    history: &[Release],
    manner: Manner,
    keep_history: bool,
) -> Result<(), CallError> {
    let Some(latest) = history.last() else { return Ok(()) };
    let namespace = latest.namespace();
    write(objects, &latest.clone().with_status("uninstalling", "stand-in under way")).await?;
    let present = templates(latest)?;
    let leaving: Vec<&Value> =
        in_waves(&present).into_iter().rev().filter(|object| !is_kept(object)).collect();
    for object in &leaving {
        objects.delete(object, namespace).await?;
    }
    if manner.wait {
        gone(context, objects, &leaving, namespace, manner.timeout).await?;
    }
    if keep_history {
        return write(objects, &latest.clone().with_status("uninstalled", "Uninstallation complete")).await;
    }
    for release in history {
        objects.delete(&release.to_secret()?, namespace).await?;
    }
    Ok(())
}

async fn gone(
    context: &Context,
    objects: &Objects<'_>,
    leaving: &[&Value],
    namespace: &str,
    timeout: Duration,
) -> Result<(), CallError> {
    let deadline = tokio::time::Instant::now() + timeout;
    loop {
        let mut left = Vec::new();
        for object in leaving {
            if objects.find(object, namespace).await?.is_some() {
                left.push(Identity::of(object, namespace).title());
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        context.progress(format!("still there: {}", left.join(", ")));
        if tokio::time::Instant::now() > deadline {
            let message = format!("not gone after {}: {}", Period(timeout), left.join(", "));
            return Err(CallError::new(codes::HELM, message).retryable());
        }
        context.pause(EVERY).await;
    }
}

/// What served before serves no longer, and old revisions go, as helm does it.
async fn supersede(objects: &Objects<'_>, history: &[Release]) -> Result<(), CallError> {
    for release in history.iter().filter(|release| release.is_deployed()) {
        let description = release.description().to_owned();
        write(objects, &release.clone().with_status("superseded", &description)).await?;
    }
    let excess = (history.len() + 1).saturating_sub(HISTORY as usize);
    for release in history.iter().take(excess) {
        objects.delete(&release.to_secret()?, release.namespace()).await?;
    }
    Ok(())
}

async fn write(objects: &Objects<'_>, release: &Release) -> Result<(), CallError> {
    let secret = release.to_secret()?;
    let patch = json!({ "metadata": { "labels": secret["metadata"]["labels"] }, "data": secret["data"] });
    objects.merge(&secret, release.namespace(), &patch).await.map(|_| ())
}
