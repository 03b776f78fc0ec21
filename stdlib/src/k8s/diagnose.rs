//! Why something is not ready, for the error of a wait: the pods that are not, their containers' reasons, and
//! the last warnings. Reads only, and says nothing rather than failing.

use aegis_engine::text;
use serde_json::Value;

use super::object;
use super::ready::{Readiness, pod_trouble, readiness};
use super::world::{Place, Selection, World};

/// At most so many pods and so many warnings: the first few say it all.
const MOST: usize = 5;

/// One line a trouble.
pub(super) async fn diagnosis(world: &World<'_>, place: &Place) -> Vec<String> {
    let Ok(Some(object)) = world.live(place).await else { return Vec::new() };
    let mut lines = Vec::new();
    let mut names = vec![place.name.clone()];
    for pod in pods_of(world, place, &object).await {
        if readiness(&pod) == Readiness::Ready {
            continue;
        }
        let trouble = pod_trouble(&pod).unwrap_or_else(|| object::text(&pod, "/status/phase").to_lowercase());
        lines.push(format!("{}: {trouble}", object::title(&pod)));
        names.push(object::name(&pod).to_owned());
    }
    if lines.len() > MOST {
        let more = lines.len() - MOST;
        lines.truncate(MOST);
        lines.push(format!("and {}", text::count(more, "more pod")));
    }
    lines.extend(warnings(world, place, &names).await);
    lines
}

/// The pods a workload selects.
pub(super) async fn pods_of(world: &World<'_>, place: &Place, object: &Value) -> Vec<Value> {
    let Some(labels) = selector_of(object) else { return Vec::new() };
    let Ok(kind) = world.built_in("pods").await else { return Vec::new() };
    let selection = Selection { labels: Some(labels), ..Selection::default() };
    world.list(&place.sibling(kind, ""), &selection).await.unwrap_or_default()
}

/// The label selector of a workload as text.
pub(super) fn selector_of(object: &Value) -> Option<String> {
    let plain = |labels: &serde_json::Map<String, Value>| {
        let pairs = labels.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
        pairs.collect::<Vec<_>>()
    };
    let selector = object.pointer("/spec/selector")?.as_object()?;
    let Some(labels) =
        selector.get("matchLabels").or_else(|| selector.get("matchExpressions").map(|_| &Value::Null))
    else {
        // Services and replication controllers have the labels themselves.
        return Some(plain(selector).join(","));
    };
    let mut terms = labels.as_object().map(plain).unwrap_or_default();
    for expression in object::items(object, "/spec/selector/matchExpressions") {
        let key = expression["key"].as_str()?;
        let values: Vec<&str> =
            object::items(expression, "/values").iter().filter_map(Value::as_str).collect();
        let values = values.join(",");
        terms.push(match expression["operator"].as_str()? {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    Some(terms.join(","))
}

async fn warnings(world: &World<'_>, place: &Place, names: &[String]) -> Vec<String> {
    let Ok(kind) = world.built_in("events").await else { return Vec::new() };
    let namespace = place.namespace.clone().or_else(|| Some("default".to_owned()));
    let events = Place { kind, namespace, name: String::new() };
    let selection = Selection { fields: Some("type=Warning".to_owned()), ..Selection::default() };
    let events = world.list(&events, &selection).await.unwrap_or_default();
    let about = |event: &&Value| {
        let name = object::text(event, "/involvedObject/name");
        names.iter().any(|known| name == known || name.starts_with(&format!("{known}-")))
    };
    let mut about: Vec<&Value> = events.iter().filter(about).collect();
    about.sort_by_key(|event| super::events::moment(event).to_owned());
    let last = about.iter().rev().take(MOST);
    last.map(|event| format!("event {}: {}", object::text(event, "/reason"), object::text(event, "/message")))
        .collect()
}
