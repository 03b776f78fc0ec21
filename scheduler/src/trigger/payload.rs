//! The parts of payloads that are events, with what makes each of them the same as another. Pure.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{instant_of, plain};

/// One event as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What paths are looked up in.
    pub value: Value,
    /// What makes it the same as another, where the trigger does not say.
    pub key: String,
    /// When it happened, where that is the same each time it is told of.
    pub instant: Option<Timestamp>,
}

/// The alerts of a notification (Alertmanager's webhook payload, version 4), each with the rest of the notification as
/// `group`. The same alert is the one with the same labels (their `fingerprint`, where it is told) that began at the same time.
///
/// # Errors
/// What is not as that version has it.
pub fn alerts(body: &Value, status: Option<&str>) -> Result<Vec<Part>, String> {
    if body["version"] != "4" {
        return Err(format!(
            "the payload is no notification of Alertmanager: `version` is {}, not \"4\"",
            body["version"]
        ));
    }
    let alerts = body["alerts"]
        .as_array()
        .ok_or("the payload is no notification of Alertmanager: it has no `alerts`")?;
    let mut group = body.clone();
    if let Some(group) = group.as_object_mut() {
        group.remove("alerts");
    }
    let wanted = alerts.iter().filter(|alert| status.is_none_or(|status| alert["status"] == status));
    let part = |alert: &Value| {
        let labels = if alert["fingerprint"].is_string() { "fingerprint" } else { "labels" };
        let key = ["status", labels, "startsAt"].map(|name| plain(&alert[name])).join(" ");
        let mut value = alert.clone();
        value["group"] = group.clone();
        Part { value, key, instant: None }
    };
    Ok(wanted.map(part).collect())
}

/// An event of a cluster. It counts up while the same thing happens again: each count happened once, and the same thing
/// is the same reason of the same object.
#[must_use]
pub fn cluster_event(event: &Value) -> Part {
    let text = |pointer: &str| event.pointer(pointer).map(plain).unwrap_or_default();
    let key = format!("{} {}", text("/involvedObject/uid"), text("/reason"));
    let count = [event.pointer("/series/count"), event.pointer("/count")].into_iter().flatten().next();
    let identity =
        format!("{} {}", text("/metadata/uid"), count.map_or(0, |count| count.as_u64().unwrap_or(0)));
    let times = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
    let at = times.iter().find_map(|pointer| event.pointer(pointer)?.as_str()?.parse::<Timestamp>().ok());
    Part { value: event.clone(), key, instant: at.map(|at| instant_of(at, &identity)) }
}

/// An object as `storage::list` tells of it. Written again with other bytes it is another one.
#[must_use]
pub fn object(found: &Value) -> Part {
    let url = found["url"].as_str().unwrap_or_default();
    let (bucket, key) =
        url.split_once("://").map_or(("", ""), |(_, rest)| rest.split_once('/').unwrap_or((rest, "")));
    let mut value = found.clone();
    value["bucket"] = json!(bucket);
    value["key"] = json!(key);
    let etag = plain(&found["etag"]);
    let identity = format!("{url} {etag}");
    let at = found["modified"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
    Part { value, instant: at.map(|at| instant_of(at, &identity)), key: identity }
}
