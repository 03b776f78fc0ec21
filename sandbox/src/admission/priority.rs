//! Priority: pods get the number their class stands for; only one class is the default.

use super::{Denial, Request, name_of};
use crate::store::Object;
use serde_json::{Value, json};

/// Classes every cluster has.
const SYSTEM: &[(&str, i64)] =
    &[("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

pub(super) fn admit(request: &Request<'_>, object: &mut Value, _: &mut Vec<String>) -> Result<(), Denial> {
    if request.creates("", "Pod") {
        return pod(request, object);
    }
    if request.is_of("scheduling.k8s.io", "PriorityClass") {
        return class(request, object);
    }
    Ok(())
}

fn classes(request: &Request<'_>) -> Vec<Object> {
    request.all("scheduling.k8s.io", "priorityclasses")
}

fn class(request: &Request<'_>, class: &Value) -> Result<(), Denial> {
    if class["globalDefault"] != true {
        return Ok(());
    }
    let classes = classes(request);
    let other =
        classes.iter().find(|other| other["globalDefault"] == true && name_of(other) != name_of(class));
    match other {
        Some(other) => Err(Denial::Forbidden(format!(
            "PriorityClass {} is already marked as default. Only one default can exist",
            name_of(other)
        ))),
        None => Ok(()),
    }
}

fn pod(request: &Request<'_>, pod: &mut Value) -> Result<(), Denial> {
    let classes = classes(request);
    let name = pod["spec"]["priorityClassName"].as_str().unwrap_or_default().to_owned();
    let class = match name.as_str() {
        "" => classes.iter().find(|class| class["globalDefault"] == true),
        name => classes.iter().find(|class| name_of(class) == name),
    };
    let system = SYSTEM.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let value = match (class, system, name.as_str()) {
        (Some(class), _, _) => class["value"].as_i64().unwrap_or_default(),
        (None, Some(value), _) => value,
        (None, None, "") => 0,
        (None, None, name) => {
            return Err(Denial::Forbidden(format!("no PriorityClass with name {name} was found")));
        }
    };
    if let Some(given) = pod["spec"]["priority"].as_i64().filter(|given| *given != value) {
        return Err(Denial::Forbidden(format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
        )));
    }
    if let Some(class) = class {
        pod["spec"]["priorityClassName"] = json!(name_of(class));
    }
    pod["spec"]["priority"] = json!(value);
    let policy = class.and_then(|class| class["preemptionPolicy"].as_str()).unwrap_or("PreemptLowerPriority");
    if pod["spec"]["preemptionPolicy"].is_null() {
        pod["spec"]["preemptionPolicy"] = json!(policy);
    }
    Ok(())
}
