//! What of a release is not ready: told live while helm waits, and in the error when it gave up. helm itself only
//! says that a deadline has passed, and an atomic install has removed the evidence by then.

use std::time::Duration;

use aegis_engine::CallError;
use aegis_engine::codes;
use aegis_engine::function::Context;
use serde_json::Value;

use super::command::Place;
use crate::k8s::objects::{Objects, hindrance};

/// How often the cluster is looked at while helm waits.
const EVERY: Duration = Duration::from_secs(2);

/// Objects that an error names; the rest is counted.
const NAMED: usize = 5;

/// Kinds that become ready by and by.
const KINDS: [&str; 4] = ["deployments.apps", "statefulsets.apps", "daemonsets.apps", "jobs.batch"];

/// Runs `work` to its end and looks at the release meanwhile. An error says what was not ready last.
pub(super) async fn watched<T>(
    context: &Context,
    place: &Place,
    work: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    tokio::pin!(work);
    let mut missing: Vec<String> = Vec::new();
    loop {
        tokio::select! {
            outcome = &mut work => return outcome.map_err(|error| explained(error, &missing)),
            () = tokio::time::sleep(EVERY) => {
                match unready(context, place).await {
                    Ok(now) if now.is_empty() => {}
                    Ok(now) => {
                        context.progress(now.join("; "));
                        missing = now;
                    }
                    Err(error) => tracing::debug!(%error, "the release cannot be looked at"),
                }
            }
        }
    }
}

fn explained(error: CallError, missing: &[String]) -> CallError {
    let waited = [codes::HELM.0, codes::TIMEOUT.0, codes::NOT_READY.0].contains(&error.code.as_str());
    if missing.is_empty() || !waited {
        return error;
    }
    let mut named: Vec<&str> = missing.iter().take(NAMED).map(String::as_str).collect();
    let more = format!("and {} more", missing.len().saturating_sub(NAMED));
    if missing.len() > NAMED {
        named.push(&more);
    }
    let told = format!("not ready: {}", named.join("; "));
    CallError { message: format!("{}\n{told}", error.message), ..error }
}

/// Every workload and pod of a release that is not ready, with what it lacks.
pub(super) async fn unready(context: &Context, place: &Place) -> Result<Vec<String>, CallError> {
    let objects = Objects::of(context)?;
    let mut missing = Vec::new();
    for kind in KINDS {
        let found = objects.list(kind, Some(&place.namespace), "app.kubernetes.io/managed-by=Helm").await?;
        missing.extend(found.iter().filter(|object| belongs(object, place)).filter_map(hindrance));
    }
    if !missing.is_empty() {
        let labels = format!("app.kubernetes.io/instance={}", place.name);
        let pods = objects.list("pods", Some(&place.namespace), &labels).await?;
        missing.extend(pods.iter().filter_map(hindrance));
    }
    Ok(missing)
}

fn belongs(object: &Value, place: &Place) -> bool {
    object["metadata"]["annotations"]["meta.helm.sh/release-name"] == place.name.as_str()
}
