//! LimitRanger: fills in and enforces what a namespace's LimitRanges say about pods and claims.

use super::limits::{Amounts, of_container, of_pod};
use super::{Denial, Operation, Request, items};
use crate::schema::Quantity;
use crate::store::Object;
use serde_json::{Value, json};

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

pub(super) fn admit(request: &Request<'_>, object: &mut Value, _: &mut Vec<String>) -> Result<(), Denial> {
    let is_pod = request.creates("", "Pod");
    let is_claim = request.is_of("", "PersistentVolumeClaim") && request.operation != Operation::Delete;
    if !is_pod && !is_claim {
        return Ok(());
    }
    let ranges = request.neighbours("", "limitranges");
    if is_pod {
        fill_in(&ranges, object);
    }
    let mut problems = Vec::new();
    for item in ranges.iter().flat_map(|range| items(range, "/spec/limits")) {
        match item["type"].as_str() {
            Some("Container") if is_pod => containers(item, object, &mut problems),
            Some("Pod") if is_pod => {
                check(item, "Pod", &of_pod(object, "requests"), &of_pod(object, "limits"), &mut problems);
            }
            Some("PersistentVolumeClaim") if is_claim => claim(item, object, &mut problems),
            _ => {}
        }
    }
    match problems.as_slice() {
        [] => Ok(()),
        [only] => Err(Denial::Forbidden(only.clone())),
        many => Err(Denial::Forbidden(format!("[{}]", many.join(", ")))),
    }
}

/// Gives containers the requests and limits they do not state, and says so in an annotation.
fn fill_in(ranges: &[Object], pod: &mut Value) {
    let mut said = Vec::new();
    for (list, word) in [("initContainers", "init container"), ("containers", "container")] {
        let containers = pod["spec"].get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            fill_in_container(ranges, container, word, &mut said);
        }
    }
    if !said.is_empty() {
        if !pod["metadata"]["annotations"].is_object() {
            pod["metadata"]["annotations"] = json!({});
        }
        pod["metadata"]["annotations"][ANNOTATION] =
            json!(format!("LimitRanger plugin set: {}", said.join("; ")));
    }
}

fn fill_in_container(ranges: &[Object], container: &mut Value, word: &str, said: &mut Vec<String>) {
    let name = container["name"].as_str().unwrap_or_default().to_owned();
    for (part, source, what) in [("requests", "defaultRequest", "request"), ("limits", "default", "limit")] {
        let mut set = Vec::new();
        for item in ranges
            .iter()
            .flat_map(|range| items(range, "/spec/limits"))
            .filter(|item| item["type"] == "Container")
        {
            for (resource, amount) in item[source].as_object().into_iter().flatten() {
                if container["resources"][part].get(resource).is_none() {
                    container["resources"][part][resource] = amount.clone();
                    set.push(resource.clone());
                }
            }
        }
        if !set.is_empty() {
            set.sort_unstable();
            said.push(format!("{} {what} for {word} {name}", set.join(", ")));
        }
    }
}

fn containers(item: &Value, pod: &Value, problems: &mut Vec<String>) {
    for list in ["/spec/containers", "/spec/initContainers"] {
        for container in items(pod, list) {
            let (requests, limits) = (of_container(container, "requests"), of_container(container, "limits"));
            check(item, "Container", &requests, &limits, problems);
        }
    }
}

fn claim(item: &Value, claim: &Value, problems: &mut Vec<String>) {
    let requests = of_container(&claim["spec"], "requests");
    // A claim has a size and no limit; the size is both.
    check(item, "PersistentVolumeClaim", &requests, &Amounts::new(), problems);
}

/// Least and greatest amounts and their ratio, one problem each.
fn check(item: &Value, kind: &str, requests: &Amounts, limits: &Amounts, problems: &mut Vec<String>) {
    let bounds = |part: &str| {
        let bounds = item[part].as_object().cloned().unwrap_or_default();
        bounds.into_iter().filter_map(|(name, amount)| Some((name, Quantity::from_json(&amount)?)))
    };
    let claims = kind == "PersistentVolumeClaim";
    for (name, least) in bounds("min") {
        problems.extend(least_problem(&name, kind, least, requests.get(&name), limits.get(&name)));
    }
    for (name, most) in bounds("max") {
        let limit = if claims { requests.get(&name) } else { limits.get(&name) };
        let word = if claims { "request" } else { "limit" };
        problems.extend(most_problem(&name, kind, most, requests.get(&name), limit, word));
    }
    for (name, ratio) in bounds("maxLimitRequestRatio") {
        problems.extend(ratio_problem(&name, kind, ratio, requests.get(&name), limits.get(&name)));
    }
}

fn least_problem(
    name: &str,
    kind: &str,
    least: Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let opening = format!("minimum {name} usage per {kind} is {least}");
    match (request, limit) {
        (None, _) => Some(format!("{opening}.  No request is specified")),
        (Some(request), _) if least.exceeds(*request) => Some(format!("{opening}, but request is {request}")),
        (_, Some(limit)) if least.exceeds(*limit) => Some(format!("{opening}, but limit is {limit}")),
        _ => None,
    }
}

fn most_problem(
    name: &str,
    kind: &str,
    most: Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
    word: &str,
) -> Option<String> {
    let opening = format!("maximum {name} usage per {kind} is {most}");
    match (request, limit) {
        (_, None) => Some(format!("{opening}.  No {word} is specified")),
        (_, Some(limit)) if limit.exceeds(most) => Some(format!("{opening}, but {word} is {limit}")),
        (Some(request), _) if request.exceeds(most) => Some(format!("{opening}, but request is {request}")),
        _ => None,
    }
}

fn ratio_problem(
    name: &str,
    kind: &str,
    most: Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let opening = format!("{name} max limit to request ratio per {kind} is {most}, but");
    let amount =
        |quantity: Option<&Quantity>| quantity.map(|quantity| quantity.nanos()).filter(|nanos| *nanos > 0);
    match (amount(request), amount(limit)) {
        (None, _) => Some(format!("{opening} no request is specified or request is 0")),
        (_, None) => Some(format!("{opening} no limit is specified or limit is 0")),
        (Some(request), Some(limit)) => {
            let ratio = limit as f64 / request as f64;
            let most = most.nanos() as f64 / 1e9;
            (ratio > most).then(|| format!("{opening} provided ratio is {ratio:.6}"))
        }
    }
}
