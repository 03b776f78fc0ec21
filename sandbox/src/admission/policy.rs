//! ValidatingAdmissionPolicy: rules in CEL that bindings put to work.
//!
//! An expression the evaluator cannot answer lets the write pass; the real server would apply the failure
//! policy. Audit actions say nothing to clients.

use super::webhook::{in_selected_namespace, rule_matches, selected};
use super::{Denial, Operation, Request, items, name_of};
use crate::schema::{Variable, evaluate, holds};
use serde_json::{Map, Value, json};

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

/// Whether both the policy and its binding are about this write.
fn concerns(request: &Request<'_>, policy: &Value, binding: &Value, object: &Value) -> bool {
    let (all, some) = (&policy["spec"]["matchConstraints"], &binding["spec"]["matchResources"]);
    let rules = items(all, "/resourceRules");
    rules.iter().any(|rule| rule_matches(request, rule))
        && [all, some].into_iter().all(|scope| in_scope(request, scope, object))
        && (items(some, "/resourceRules").is_empty()
            || items(some, "/resourceRules").iter().any(|rule| rule_matches(request, rule)))
}

fn in_scope(request: &Request<'_>, scope: &Value, object: &Value) -> bool {
    !items(scope, "/excludeResourceRules").iter().any(|rule| rule_matches(request, rule))
        && selected(&scope["objectSelector"], object)
        && in_selected_namespace(request, &scope["namespaceSelector"], object)
}

fn enforce(
    request: &Request<'_>,
    policy: &Value,
    binding: &Value,
    object: &Value,
    warnings: &mut Vec<String>,
) -> Result<(), Denial> {
    let facts = Facts::of(request, policy, binding, object);
    let conditions = items(policy, "/spec/matchConditions")
        .iter()
        .filter_map(|condition| condition["expression"].as_str());
    if !conditions.into_iter().all(|expression| facts.holds(expression) != Some(false)) {
        return Ok(());
    }
    let does = |action: &str| items(binding, "/spec/validationActions").iter().any(|name| name == action);
    let (policy_name, binding_name) = (name_of(policy), name_of(binding));
    for validation in items(policy, "/spec/validations") {
        let Some(message) = facts.broken(validation) else { continue };
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

/// Everything an expression can speak of.
struct Facts {
    named: Vec<(&'static str, Value)>,
}

impl Facts {
    fn of(request: &Request<'_>, policy: &Value, binding: &Value, object: &Value) -> Self {
        let operation = match request.operation {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
        };
        let kind = request.kind;
        let about = json!({"operation": operation, "namespace": request.namespace, "name": name_of(object),
            "subResource": request.subresource,
            "kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
            "resource": {"group": kind.group, "version": kind.version, "resource": kind.plural}});
        let namespace = request.own_namespace().map(|namespace| Value::clone(&namespace));
        let mut facts = Self {
            named: vec![
                ("object", object.clone()),
                ("oldObject", request.old.cloned().unwrap_or_default()),
                ("request", about),
                ("namespaceObject", namespace.unwrap_or_default()),
                ("params", parameters(request, policy, binding).unwrap_or_default()),
            ],
        };
        facts.add_variables(policy);
        facts
    }

    /// Variables may use those before them.
    fn add_variables(&mut self, policy: &Value) {
        self.named.push(("variables", Value::Object(Map::new())));
        for variable in items(policy, "/spec/variables") {
            let (Some(name), Some(expression)) = (variable["name"].as_str(), variable["expression"].as_str())
            else {
                continue;
            };
            let value = evaluate(expression, &self.visible());
            if let (Some((_, known)), Some(value)) = (self.named.last_mut(), value) {
                known[name] = value;
            }
        }
    }

    fn visible(&self) -> Vec<Variable<'_>> {
        self.named.iter().map(|(name, value)| (*name, value)).collect()
    }

    fn holds(&self, expression: &str) -> Option<bool> {
        holds(expression, &self.visible())
    }

    /// What to say when a validation does not hold.
    fn broken(&self, validation: &Value) -> Option<String> {
        let expression = validation["expression"].as_str()?;
        if self.holds(expression)? {
            return None;
        }
        let written =
            validation["messageExpression"].as_str().and_then(|text| evaluate(text, &self.visible()));
        let written = written.and_then(|text| text.as_str().map(str::to_owned));
        let given = validation["message"].as_str().map(str::to_owned);
        Some(written.or(given).unwrap_or_else(|| format!("failed expression: {expression}")))
    }
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
