//! What the expressions of policies and of webhooks' conditions can speak of: the objects and the request.

use super::Request;
use crate::schema::{Variable, evaluate, holds};
use serde_json::{Value, json};

/// Values by name.
pub(super) struct Facts {
    named: Vec<(&'static str, Value)>,
}

impl Facts {
    /// `object`, `oldObject` and `request`.
    pub(super) fn of(request: &Request<'_>, object: &Value) -> Self {
        let kind = request.kind;
        let (group, version, spoken) = request.speaks();
        let resource = json!({"group": kind.group, "version": kind.version, "resource": kind.plural});
        let spoken = json!({"group": group, "version": version, "kind": spoken});
        let about = json!({
            "operation": request.operation.name(), "namespace": request.namespace,
            "name": request.object_name(object), "subResource": request.subresource,
            "requestSubResource": request.subresource, "userInfo": request.user, "dryRun": request.dry_run,
            "kind": spoken, "requestKind": spoken, "resource": resource, "requestResource": resource,
        });
        let old = request.old.cloned().unwrap_or_default();
        Self { named: vec![("object", object.clone()), ("oldObject", old), ("request", about)] }
    }

    /// One more.
    pub(super) fn with(mut self, name: &'static str, value: Value) -> Self {
        self.named.push((name, value));
        self
    }

    /// The value with a name, to be changed.
    pub(super) fn value_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.named.iter_mut().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    pub(super) fn evaluate(&self, expression: &str) -> Option<Value> {
        evaluate(expression, &self.visible())
    }

    /// Whether an expression is true; none when it cannot be told.
    pub(super) fn holds(&self, expression: &str) -> Option<bool> {
        holds(expression, &self.visible())
    }

    fn visible(&self) -> Vec<Variable<'_>> {
        self.named.iter().map(|(name, value)| (*name, value)).collect()
    }
}
