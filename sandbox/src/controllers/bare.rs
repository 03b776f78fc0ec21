//! Writing straight to the store, without admission: for tests of controllers alone, and until the API is up.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::api::{Api, Deletion, Part, Refused};
use super::fields::{Fields, Object, set, set_key};
use crate::store::{DeleteOptions, Error, Key, Propagation, Store};

/// The store as an [`Api`] that refuses nothing but what the store refuses.
#[derive(Debug, Clone)]
pub struct Bare(pub Store);

impl Bare {
    fn key(&self, object: &Value) -> Result<Key, Refused> {
        let kind = self.0.kinds().of_object(object).ok_or_else(|| Refused {
            code: 404,
            reason: "NotFound".into(),
            message: format!("no kind `{}` in `{}`", object.text("/kind"), object.text("/apiVersion")),
        })?;
        Ok(kind.storage.key(object.namespace(), object.name()))
    }
}

#[async_trait]
impl Api for Bare {
    async fn create(&self, _manager: &str, object: Value) -> Result<Object, Refused> {
        let key = self.key(&object)?;
        let kind = self.0.kinds().of_object(&object);
        let object = kind.map_or(object.clone(), |kind| crate::api::stored(object, &kind));
        self.0.create(&key, object).map_err(refused)
    }

    async fn replace(&self, _manager: &str, object: Value, part: Part) -> Result<Object, Refused> {
        let key = self.key(&object)?;
        let whole = match (part, self.0.get(&key)) {
            (Part::Main | Part::Scale | Part::Finalizers, Some(held)) => {
                with_field(object, "status", held.get("status"))
            }
            (Part::Status, Some(held)) => {
                let version = object.text("/metadata/resourceVersion").to_owned();
                let mut whole = with_field(Value::clone(&held), "status", object.get("status"));
                set(&mut whole, "/metadata/resourceVersion", version.into());
                whole
            }
            (_, None) => object,
        };
        self.0.update(&key, whole).map_err(refused)
    }

    async fn apply(&self, _manager: &str, object: Value, _subresource: &str) -> Result<Object, Refused> {
        let applied = self.0.modify(&self.key(&object)?, |held| {
            let fields = object.as_object().into_iter().flatten();
            for (field, value) in
                fields.filter(|(field, _)| !matches!(&***field, "kind" | "apiVersion" | "metadata"))
            {
                set(held, &format!("/{field}"), value.clone());
            }
        });
        applied.map_err(refused)
    }

    fn token(&self, account: &Value, _secret: &Value) -> String {
        account.name().to_owned()
    }

    async fn bind(&self, _manager: &str, pod: &Value, node: &str) -> Result<(), Refused> {
        let key = self.key(pod)?;
        let labels: Vec<(&str, String)> = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"]
            .into_iter()
            .filter_map(|label| {
                let node = self.0.get(&crate::store::Resource::core("nodes").key("", node))?;
                let value = node.label(label).to_owned();
                (!value.is_empty()).then_some((label, value))
            })
            .collect();
        let now = self.0.ambient().timestamp();
        let bound = self.0.modify(&key, |pod| {
            set(pod, "/spec/nodeName", node.into());
            for (label, value) in labels {
                set_key(pod, "/metadata/labels", label, value);
            }
            let condition = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now});
            let mut conditions = pod.list("/status/conditions").to_vec();
            conditions.retain(|held| held.text("/type") != "PodScheduled");
            conditions.push(condition);
            set(pod, "/status/conditions", conditions.into());
        });
        bound.map(|_| ()).map_err(refused)
    }

    async fn delete(&self, _manager: &str, object: &Value, how: Deletion) -> Result<(), Refused> {
        let key = self.key(object)?;
        let options = DeleteOptions {
            grace_seconds: how.grace.and_then(|grace| i64::try_from(grace).ok()),
            propagation: how.propagation.map(|name| match name {
                "Foreground" => Propagation::Foreground,
                "Orphan" => Propagation::Orphan,
                _ => Propagation::Background,
            }),
            uid: Some(object.uid().to_owned()).filter(|uid| !uid.is_empty()),
            resource_version: None,
        };
        self.0.delete(&key, &options).map(|_| ()).map_err(refused)
    }
}

fn with_field(mut object: Value, field: &str, value: Option<&Value>) -> Value {
    match value {
        Some(value) => set(&mut object, &format!("/{field}"), value.clone()),
        None => super::fields::remove_key(&mut object, "", field),
    }
    object
}

fn refused(error: Error) -> Refused {
    let (code, reason) = match &error {
        Error::NotFound(_) => (404, "NotFound"),
        Error::AlreadyExists { .. } => (409, "AlreadyExists"),
        Error::Conflict(_) | Error::Precondition { .. } => (409, "Conflict"),
        Error::Log(_) => (500, "InternalError"),
    };
    Refused { code, reason: reason.into(), message: error.to_string() }
}
