//! ResourceQuota: a namespace's objects stay within its quotas.
//!
//! Usage is counted from the stored objects at the moment of the write, so two writes cannot both fit into
//! the last place. The quota's own status is a controller's.

use super::limits::{Amounts, add, of_pod};
use super::{Denial, Operation, Request, items, name_of};
use crate::faults;
use crate::schema::Quantity;
use crate::store::{Object, Resource};
use serde_json::Value;

pub(super) fn admit(request: &Request<'_>, object: &mut Value, _: &mut Vec<String>) -> Result<(), Denial> {
    let counted =
        request.subresource.is_empty() && request.kind.namespaced && request.operation != Operation::Delete;
    if !counted {
        return Ok(());
    }
    let quotas = request.neighbours("", "resourcequotas");
    let is_full = full(request);
    if let Some(fault) = is_full.as_ref().filter(|_| quotas.is_empty() && request.creates("", "Pod")) {
        return Err(Denial::Forbidden(format!(
            "exceeded quota: {fault}, requested: pods=1, used: pods=0, limited: pods=0"
        )));
    }
    for quota in quotas.iter().filter(|quota| in_scope(quota, object)) {
        one_quota(request, quota, object, is_full.is_some())?;
    }
    Ok(())
}

fn one_quota(request: &Request<'_>, quota: &Object, object: &Value, is_full: bool) -> Result<(), Denial> {
    let hard: Amounts = quota["spec"]["hard"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, amount)| Some((name.clone(), Quantity::from_json(amount)?)))
        .collect();
    let resource = &request.kind.storage;
    if request.operation == Operation::Create && resource.plural() == "pods" {
        must_specify(quota, &hard, object)?;
    }
    let new = usage(resource, object);
    let old = request.old.map(|old| usage(resource, old)).unwrap_or_default();
    let grows = |name: &String| {
        new.get(name).is_some_and(|amount| amount.exceeds(*old.get(name).unwrap_or(&Quantity::ZERO)))
    };
    let concerned: Vec<&String> = hard.keys().filter(|name| grows(name)).collect();
    if concerned.is_empty() {
        return Ok(());
    }
    let used = used(request, quota, resource);
    let held = |name: &String| match is_full {
        true => hard[name],
        false => used.get(name).copied().unwrap_or(Quantity::ZERO),
    };
    let asked = |name: &String| new[name].minus(old.get(name).copied().unwrap_or(Quantity::ZERO));
    let over: Vec<&String> =
        concerned.into_iter().filter(|name| held(name).plus(asked(name)).exceeds(hard[*name])).collect();
    if over.is_empty() {
        return Ok(());
    }
    let list = |amount: &dyn Fn(&String) -> Quantity| {
        over.iter().map(|name| format!("{name}={}", amount(name))).collect::<Vec<_>>().join(",")
    };
    Err(Denial::Forbidden(format!(
        "exceeded quota: {}, requested: {}, used: {}, limited: {}",
        name_of(quota),
        list(&asked),
        list(&held),
        list(&|name| hard[name])
    )))
}

/// The fault that uses up every quota of the namespace, if there is one.
fn full(request: &Request<'_>) -> Option<String> {
    let faults = faults::read_all(&request.store.list(&faults::resource(), None));
    let full =
        faults.into_iter().find(|fault| fault.is("quota-full") && fault.namespace == request.namespace);
    full.map(|fault| fault.name)
}

/// What the stored objects of a resource use; the written one's old form is among them.
fn used(request: &Request<'_>, quota: &Value, resource: &Resource) -> Amounts {
    let mut total = Amounts::new();
    let stored = request.store.list(resource, Some(request.namespace));
    for object in stored.iter().filter(|object| in_scope(quota, object)) {
        add(&mut total, &usage(resource, object));
    }
    total
}

/// A quota on compute makes every container say what it needs.
fn must_specify(quota: &Value, hard: &Amounts, pod: &Value) -> Result<(), Denial> {
    let mut missing = Vec::new();
    for name in hard.keys() {
        let (part, resource) = match name.split_once('.') {
            Some((part @ ("limits" | "requests"), resource)) => (part, resource),
            None if matches!(name.as_str(), "cpu" | "memory") => ("requests", name.as_str()),
            _ => continue,
        };
        if !matches!(resource, "cpu" | "memory") {
            continue;
        }
        let containers = items(pod, "/spec/containers").iter().chain(items(pod, "/spec/initContainers"));
        let silent = containers.filter(|container| container["resources"][part].get(resource).is_none());
        let silent: Vec<&str> = silent.filter_map(|container| container["name"].as_str()).collect();
        if !silent.is_empty() {
            missing.push(format!("{name} for: {}", silent.join(",")));
        }
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Denial::Forbidden(format!(
            "failed quota: {}: must specify {}",
            name_of(quota),
            missing.join("; ")
        ))),
    }
}

/// What one object counts for, by the names quotas use.
fn usage(resource: &Resource, object: &Value) -> Amounts {
    let mut amounts = Amounts::new();
    let counted = match resource.group() {
        "" => format!("count/{}", resource.plural()),
        group => format!("count/{}.{group}", resource.plural()),
    };
    let one = Quantity::of(1);
    amounts.insert(counted, one);
    if resource.group().is_empty() {
        match resource.plural() {
            "pods" => return with_pod(amounts, object),
            "services" => return with_service(amounts, object),
            "persistentvolumeclaims" => return with_claim(amounts, object),
            "configmaps" | "secrets" | "replicationcontrollers" | "resourcequotas" => {
                amounts.insert(resource.plural().to_owned(), one);
            }
            _ => {}
        }
    }
    amounts
}

/// A pod that ended counts as an object but uses nothing.
fn with_pod(mut amounts: Amounts, pod: &Value) -> Amounts {
    if matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
        return amounts;
    }
    amounts.insert("pods".to_owned(), Quantity::of(1));
    for (name, amount) in of_pod(pod, "requests") {
        if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") {
            amounts.insert(name.clone(), amount);
        }
        amounts.insert(format!("requests.{name}"), amount);
    }
    for (name, amount) in of_pod(pod, "limits") {
        amounts.insert(format!("limits.{name}"), amount);
    }
    amounts
}

fn with_service(mut amounts: Amounts, service: &Value) -> Amounts {
    amounts.insert("services".to_owned(), Quantity::of(1));
    let ports = i64::try_from(items(service, "/spec/ports").len()).unwrap_or_default();
    let (balancers, node_ports) = match service["spec"]["type"].as_str() {
        Some("LoadBalancer") => {
            (1, if service["spec"]["allocateLoadBalancerNodePorts"] == false { 0 } else { ports })
        }
        Some("NodePort") => (0, ports),
        _ => (0, 0),
    };
    amounts.insert("services.loadbalancers".to_owned(), Quantity::of(balancers));
    amounts.insert("services.nodeports".to_owned(), Quantity::of(node_ports));
    amounts
}

fn with_claim(mut amounts: Amounts, claim: &Value) -> Amounts {
    let size = Quantity::from_json(&claim["spec"]["resources"]["requests"]["storage"]);
    let one = Quantity::of(1);
    amounts.insert("persistentvolumeclaims".to_owned(), one);
    amounts.extend(size.map(|size| ("requests.storage".to_owned(), size)));
    if let Some(class) = claim["spec"]["storageClassName"].as_str() {
        let prefix = format!("{class}.storageclass.storage.k8s.io");
        amounts.insert(format!("{prefix}/persistentvolumeclaims"), one);
        amounts.extend(size.map(|size| (format!("{prefix}/requests.storage"), size)));
    }
    amounts
}

/// Whether a quota with scopes is about this object; scopes speak of pods only.
fn in_scope(quota: &Value, object: &Value) -> bool {
    let scopes = items(quota, "/spec/scopes").iter().filter_map(Value::as_str);
    let expressions = items(quota, "/spec/scopeSelector/matchExpressions");
    if scopes.clone().next().is_none() && expressions.is_empty() {
        return true;
    }
    if !object["spec"]["containers"].is_array() {
        return false;
    }
    scopes.into_iter().all(|scope| matches(scope, "Exists", &[], object))
        && expressions.iter().all(|expression| {
            let text = |field: &str| expression[field].as_str().unwrap_or_default();
            matches(text("scopeName"), text("operator"), items(expression, "/values"), object)
        })
}

fn matches(scope: &str, operator: &str, values: &[Value], pod: &Value) -> bool {
    let terminating = pod["spec"]["activeDeadlineSeconds"].is_u64();
    let best_effort = of_pod(pod, "requests").is_empty() && of_pod(pod, "limits").is_empty();
    let class = &pod["spec"]["priorityClassName"];
    match scope {
        "Terminating" => terminating,
        "NotTerminating" => !terminating,
        "BestEffort" => best_effort,
        "NotBestEffort" => !best_effort,
        "PriorityClass" => match operator {
            "In" => values.contains(class),
            "NotIn" => !values.contains(class),
            "DoesNotExist" => class.is_null(),
            _ => !class.is_null(),
        },
        _ => false,
    }
}
