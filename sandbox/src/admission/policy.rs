//! ValidatingAdmissionPolicy: rules in CEL that bindings put to work.
//!
//! An expression the evaluator cannot answer lets the write pass; the real server would apply the failure
//! policy. Audit actions say nothing to clients.

use super::facts::Facts;
use super::matching::{Scope, rules_match};
use super::{Denial, Request, items, name_of};
use serde_json::{Map, Value};

const GROUP: &str = "admissionregistration.k8s.io";

pub(super) fn admit(
    request: &Request<'_>,
    object: &mut Value,
    warnings: &mut Vec<String>,
) -> Result<(), Denial> {
    if request.kind.group == GROUP {
        return Ok(());
    }
    let policies = request.all(GROUP, "validatingadmissionpolicies");
    for binding in request.all(GROUP, "validatingadmissionpolicybindings") {
        let named = policies.iter().find(|policy| binding["spec"]["policyName"] == *name_of(policy));
        if let Some(policy) = named.filter(|policy| concerns(request, policy, &binding, object)) {
            enforce(request, policy, &binding, object, warnings)?;
        }
    }
    Ok(())
}

/// Whether both the policy and its binding are about this request.
fn concerns(request: &Request<'_>, policy: &Value, binding: &Value, object: &Value) -> bool {
    let (all, some) = (&policy["spec"]["matchConstraints"], &binding["spec"]["matchResources"]);
    let narrowed = items(some, "/resourceRules");
    rules_match(request, items(all, "/resourceRules"), &all["matchPolicy"])
        && (narrowed.is_empty() || rules_match(request, narrowed, &some["matchPolicy"]))
        && [all, some].into_iter().all(|part| in_scope(request, part, object))
}

fn in_scope(request: &Request<'_>, part: &Value, object: &Value) -> bool {
    !rules_match(request, items(part, "/excludeResourceRules"), &part["matchPolicy"])
        && Scope::of(part).includes(request, object)
}

fn enforce(
    request: &Request<'_>,
    policy: &Value,
    binding: &Value,
    object: &Value,
    warnings: &mut Vec<String>,
) -> Result<(), Denial> {
    let facts = facts(request, policy, binding, object);
    let conditions = items(policy, "/spec/matchConditions")
        .iter()
        .filter_map(|condition| condition["expression"].as_str());
    if !conditions.into_iter().all(|expression| facts.holds(expression) != Some(false)) {
        return Ok(());
    }
    let does = |action: &str| items(binding, "/spec/validationActions").iter().any(|name| name == action);
    let (policy_name, binding_name) = (name_of(policy), name_of(binding));
    for validation in items(policy, "/spec/validations") {
        let Some(message) = broken(&facts, validation) else { continue };
        if does("Warn") {
            warnings.push(format!(
                "Validation failed for ValidatingAdmissionPolicy '{policy_name}' with binding '{binding_name}': {message}"
            ));
        }
        if does("Deny") {
            let reason = validation["reason"].as_str().unwrap_or("Invalid").to_owned();
            let sentence = format!(
                "ValidatingAdmissionPolicy '{policy_name}' with binding '{binding_name}' denied request: {message}"
            );
            return Err(Denial::Policy { reason, sentence });
        }
    }
    Ok(())
}

fn facts(request: &Request<'_>, policy: &Value, binding: &Value, object: &Value) -> Facts {
    let namespace = request.own_namespace().map(|namespace| Value::clone(&namespace));
    let facts = Facts::of(request, object)
        .with("namespaceObject", namespace.unwrap_or_default())
        .with("params", parameters(request, policy, binding).unwrap_or_default());
    with_variables(facts, policy)
}

/// Variables may use those before them.
fn with_variables(facts: Facts, policy: &Value) -> Facts {
    let mut facts = facts.with("variables", Value::Object(Map::new()));
    for variable in items(policy, "/spec/variables") {
        let (Some(name), Some(expression)) = (variable["name"].as_str(), variable["expression"].as_str())
        else {
            continue;
        };
        if let Some(value) = facts.evaluate(expression)
            && let Some(known) = facts.value_mut("variables")
        {
            known[name] = value;
        }
    }
    facts
}

/// What to say when a validation does not hold.
fn broken(facts: &Facts, validation: &Value) -> Option<String> {
    let expression = validation["expression"].as_str()?;
    if facts.holds(expression)? {
        return None;
    }
    let written = validation["messageExpression"].as_str().and_then(|text| facts.evaluate(text));
    let written = written.and_then(|text| text.as_str().map(str::to_owned));
    let given = validation["message"].as_str().map(str::to_owned);
    Some(written.or(given).unwrap_or_else(|| format!("failed expression: {expression}")))
}

/// The object a binding gives its policy as parameters.
fn parameters(request: &Request<'_>, policy: &Value, binding: &Value) -> Option<Value> {
    let kind = request.store.kinds().of_object(&policy["spec"]["paramKind"])?;
    let reference = &binding["spec"]["paramRef"];
    let namespace =
        if kind.namespaced { reference["namespace"].as_str().unwrap_or(request.namespace) } else { "" };
    let found = request.store.get(&kind.storage.key(namespace, reference["name"].as_str()?))?;
    Some(Value::clone(&found))
}
