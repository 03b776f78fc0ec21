//! Releases left half done by a crash: `pending-install`, `pending-upgrade`, `pending-rollback`, `uninstalling`,
//! and a first install that failed. helm refuses to go on from there; this says how to get back to a revision
//! that was whole, and when it is ours to do so.

use std::time::Duration;

use aegis_engine::CallError;
use aegis_engine::function::Context;
use serde_json::Value;

use super::client::{Claim, Helm, Run};
use super::command::{self, Manner, Place};
use super::errors;
use super::release::Release;
use super::releases::{Releases, deployed};
use super::stand_in;

/// Older than this, a pending release has no process behind it whatever timeout was given: helm's own default is
/// five minutes, and twice that is what an atomic upgrade with its rollback takes at most.
const ABANDONED_AFTER: Duration = Duration::from_secs(600);

/// The way back to something whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Repair {
    /// To the revision that was deployed last.
    Rollback { from: String, to: u64 },
    /// There never was one: what is half there is removed.
    Uninstall { from: String },
}

impl Repair {
    /// What a release needs before helm can work on it; `None` when it is whole.
    pub(super) fn needed(history: &[Release]) -> Option<Self> {
        let latest = history.last()?;
        let from = latest.status().to_owned();
        match (deployed(history), latest) {
            (_, latest) if latest.status() == "uninstalling" => Some(Self::Uninstall { from }),
            (Some(deployed), latest) if latest.is_pending() => {
                Some(Self::Rollback { from, to: deployed.revision() })
            }
            (None, latest) if latest.is_pending() || latest.status() == "failed" => {
                Some(match history.iter().rev().find(|release| release.status() == "superseded") {
                    Some(superseded) => Self::Rollback { from, to: superseded.revision() },
                    None => Self::Uninstall { from },
                })
            }
            _ => None,
        }
    }

    /// ``it was left `pending-upgrade`: rolled back to revision 2``.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Rollback { from, to } => format!("it was left `{from}`: rolled back to revision {to}"),
            Self::Uninstall { from } => {
                format!("it was left `{from}` and never deployed: removed what was there")
            }
        }
    }

    /// As it stands in a plan.
    pub(super) fn planned(&self) -> String {
        match self {
            Self::Rollback { from, to } => format!("it was left `{from}`: first roll back to revision {to}"),
            Self::Uninstall { from } => format!("it was left `{from}`: first remove what is there"),
        }
    }
}

/// True when no other process can be at work on a pending release: we hold the lock that a crashed aegis held, a
/// person says so, or nothing has happened for long.
fn is_ours(release: &Release, claim: &Claim, forced: bool, now: jiff::Timestamp) -> bool {
    let idle = release.last_deployed().map(|since| now.duration_since(since));
    let abandoned = idle.is_some_and(|idle| idle.as_secs() > ABANDONED_AFTER.as_secs() as i64);
    claim.left_behind || forced || abandoned || !release.is_pending()
}

/// Repairs a release before an effect on it, and tells what was done.
pub(super) async fn repair(
    context: &Context,
    helm: &Helm,
    claim: &Claim,
    place: &Place,
    forced: bool,
) -> Result<Option<String>, CallError> {
    let history = Releases::of(context)?.history(place).await?;
    let (Some(repair), Some(latest)) = (Repair::needed(&history), history.last()) else { return Ok(None) };
    if !is_ours(latest, claim, forced, context.now()) {
        let since = latest.last_deployed().map_or_else(String::new, |since| since.to_string());
        return Err(errors::pending(place, latest.revision(), latest.status(), &since));
    }
    context.progress(format!("release {place}: {}", repair.planned()));
    if latest.is_stand_in() {
        stand_in::repair(context, &history, &repair).await?;
    } else {
        by_helm(context, helm, claim, place, &repair).await?;
    }
    Ok(Some(repair.told()))
}

/// Without waiting: what comes next decides what must be ready.
async fn by_helm(
    context: &Context,
    helm: &Helm,
    claim: &Claim,
    place: &Place,
    repair: &Repair,
) -> Result<(), CallError> {
    let manner = Manner { wait: false, wait_for_jobs: false, timeout: ABANDONED_AFTER, hooks: false };
    let version = &helm.tool(context).await?.version;
    let line = match repair {
        Repair::Rollback { to, .. } => command::rollback(version, place, *to, &manner),
        Repair::Uninstall { .. } => command::uninstall(place, &manner, false),
    };
    helm.run(context, &line, Run::on(claim, ABANDONED_AFTER)?).await.map(|_| ())
}

/// Adds what was repaired to an answer.
pub(super) fn with_repair(mut answer: Value, repaired: Option<String>) -> Value {
    if let Some(repaired) = repaired {
        answer["repaired"] = Value::String(repaired);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn history(states: &[&str]) -> Vec<Release> {
        let release = |(at, status): (usize, &&str)| {
            Release::new(json!({ "name": "web", "version": at + 1, "info": { "status": status } }))
        };
        states.iter().enumerate().map(release).collect()
    }

    #[test]
    fn the_way_back_is_the_last_deployed_revision_or_nothing() {
        let needed = |states: &[&str]| Repair::needed(&history(states));
        let rollback = |from: &str, to| Some(Repair::Rollback { from: from.to_owned(), to });
        let uninstall = |from: &str| Some(Repair::Uninstall { from: from.to_owned() });
        assert_eq!(needed(&[]), None);
        assert_eq!(needed(&["deployed"]), None);
        assert_eq!(needed(&["superseded", "deployed", "failed"]), None);
        assert_eq!(needed(&["uninstalled"]), None);
        assert_eq!(needed(&["superseded", "deployed", "pending-upgrade"]), rollback("pending-upgrade", 2));
        assert_eq!(
            needed(&["superseded", "deployed", "failed", "pending-rollback"]),
            rollback("pending-rollback", 2)
        );
        assert_eq!(needed(&["superseded", "superseded", "pending-upgrade"]), rollback("pending-upgrade", 2));
        assert_eq!(needed(&["pending-install"]), uninstall("pending-install"));
        assert_eq!(needed(&["failed"]), uninstall("failed"));
        assert_eq!(needed(&["superseded", "uninstalling"]), uninstall("uninstalling"));
    }
}
