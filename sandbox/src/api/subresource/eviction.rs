//! `eviction`: deleting a pod politely, as far as its disruption budgets allow.

use axum::response::Response;
use serde_json::{Value, json};

use super::number;
use crate::admission::Operation;
use crate::api::admit::admit_sent;
use crate::api::answer::value_response;
use crate::api::query::WriteOptions;
use crate::api::status::Status;
use crate::api::{Api, Call, decode};
use crate::store::selector::LabelSelector;
use crate::store::{DeleteOptions, Object, Propagation, Resource, Transaction};

impl Api {
    pub(super) fn evict(&self, call: &Call) -> Result<Response, Status> {
        let mut options = WriteOptions::read(&call.query, "CreateOptions")?;
        let mut eviction = decode::object(&call.headers, &call.body, &call.path.kind)?.object;
        if eviction["metadata"]["name"].as_str().is_some_and(|name| name != call.name()) {
            return Err(Status::bad_request("name in URL does not match name in Eviction object"));
        }
        let wish = &eviction["deleteOptions"];
        options.dry_run |= wish["dryRun"].as_array().is_some_and(|values| !values.is_empty());
        let condition = |field: &str| wish["preconditions"][field].as_str().map(str::to_owned);
        let delete = DeleteOptions {
            grace_seconds: wish["gracePeriodSeconds"].as_i64(),
            propagation: Some(Propagation::Background),
            uid: condition("uid"),
            resource_version: condition("resourceVersion"),
        };
        self.commit(&options, |t| {
            admit_sent(t, call, Operation::Create, &mut eviction, options.dry_run)?;
            evict_in(t, call, &delete)
        })?;
        let done =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        value_response(call, 201, &done)
    }
}

fn evict_in(t: &mut Transaction<'_>, call: &Call, options: &DeleteOptions) -> Result<(), Status> {
    let key = call.key();
    let kind = &call.path.kind;
    let pod = t.get(&key).ok_or_else(|| Status::not_found(kind, call.name()))?;
    // A pod that does not run, or is going already, disrupts nothing.
    let is_idle = matches!(pod["status"]["phase"].as_str(), Some("Pending" | "Succeeded" | "Failed") | None)
        || crate::store::lifecycle::is_terminating(&pod);
    if !is_idle {
        spend_budget(t, call, &pod)?;
        mark_disrupted(t, call)?;
    }
    t.delete(&key, options).map(|_| ()).map_err(|error| Status::from_store(&error, kind))
}

/// Takes one disruption from the budget that covers the pod, or refuses.
fn spend_budget(t: &mut Transaction<'_>, call: &Call, pod: &Object) -> Result<(), Status> {
    let budgets = t.list(&Resource::new("policy", "poddisruptionbudgets"), Some(&call.path.namespace));
    let covers = |budget: &Object| {
        LabelSelector::from_object(&budget["spec"]["selector"]).is_some_and(|labels| labels.matches(pod))
    };
    let mut covering = budgets.into_iter().filter(covers);
    let (Some(budget), more) = (covering.next(), covering.next()) else { return Ok(()) };
    if more.is_some() {
        let message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        return Err(Status::internal(message));
    }
    let is_ready = pod["status"]["conditions"].as_array().is_some_and(|all| {
        all.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    });
    let status = &budget["status"];
    let is_healthy_enough = number(&status["currentHealthy"]) >= number(&status["desiredHealthy"])
        && number(&status["desiredHealthy"]) > 0;
    let always = budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow";
    if !is_ready && (always || is_healthy_enough) {
        return Ok(());
    }
    let name = budget["metadata"]["name"].as_str().unwrap_or_default();
    if number(&status["observedGeneration"]) < number(&budget["metadata"]["generation"]) {
        let message = "Cannot evict pod as it would violate the pod's disruption budget.";
        let cause = json!([{"reason": "DisruptionBudget", "message": format!("The disruption budget {name} is still being processed by the server.")}]);
        return Err(Status::new(429, "TooManyRequests", message).with_causes(cause).retry_after(10));
    }
    if number(&status["disruptionsAllowed"]) <= 0 {
        return Err(spent(name, status));
    }
    let key = Resource::new("policy", "poddisruptionbudgets").key(&call.path.namespace, name);
    let mut spent = Value::clone(&budget);
    spent["status"]["disruptionsAllowed"] = (number(&status["disruptionsAllowed"]) - 1).into();
    spent["status"]["disruptedPods"][call.name()] = t.ambient().timestamp().into();
    t.update(&key, spent).map(|_| ()).map_err(|error| Status::from_store(&error, &call.path.kind))
}

fn spent(name: &str, status: &Value) -> Status {
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    let detail = format!(
        "The disruption budget {name} needs {} healthy pods and has {} currently",
        number(&status["desiredHealthy"]),
        number(&status["currentHealthy"])
    );
    let causes = json!([{"reason": "DisruptionBudget", "message": detail}]);
    Status::new(429, "TooManyRequests", message).with_causes(causes)
}

/// Says in the pod's status why it goes.
fn mark_disrupted(t: &mut Transaction<'_>, call: &Call) -> Result<(), Status> {
    let key = call.key();
    let Some(pod) = t.get(&key) else { return Ok(()) };
    let mut pod = Value::clone(&pod);
    let mut conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|condition| condition["type"] != "DisruptionTarget");
    conditions.push(json!({
        "type": "DisruptionTarget", "status": "True", "lastProbeTime": null,
        "lastTransitionTime": t.ambient().timestamp(), "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }));
    pod["status"]["conditions"] = conditions.into();
    t.update(&key, pod).map(|_| ()).map_err(|error| Status::from_store(&error, &call.path.kind))
}
