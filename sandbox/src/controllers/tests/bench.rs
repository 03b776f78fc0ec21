//! The workbench of these tests: a cluster with nodes, a pinned clock and a manager.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::ambient::Ambient;
use crate::api::{Api as Served, Identity};
use crate::controllers::api::Api;
use crate::controllers::bare::Bare;
use crate::controllers::fields::{Fields, Object, set};
use crate::controllers::{ALL, Manager, Settings, Topology};
use crate::kinds::Kinds;
use crate::store::{Key, Store};

/// A cluster to try controllers in.
pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) manager: Manager,
    door: Arc<dyn Api>,
}

impl Bench {
    /// The default topology with the clock at a quarter past noon.
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        Self::behind(settings, |store| Arc::new(Bare(store))).await
    }

    /// A cluster whose controllers write through the real API, so that admission may refuse them.
    pub(crate) async fn admitted() -> Self {
        let identity = || Identity::new(String::new(), b"key", String::new());
        Self::behind(Settings::default(), |store| Arc::new(Served::new(store, identity()))).await
    }

    async fn behind(settings: Settings, door: impl FnOnce(Store) -> Arc<dyn Api>) -> Self {
        let ambient = Ambient::pinned("2026-11-23T12:15:00Z".parse().unwrap(), 1);
        let store = Store::in_memory(Kinds::builtin(), ambient);
        let door = door(store.clone());
        let manager = Manager::new(ALL, store.clone(), door.clone(), settings);
        let mut bench = Self { store, manager, door };
        for name in ["default", "kube-node-lease", "kube-system"] {
            bench.namespace(name);
        }
        for node in Topology::default().nodes() {
            bench.create(node);
        }
        bench.settle().await;
        bench
    }

    pub(crate) fn namespace(&mut self, name: &str) {
        self.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}));
    }

    /// Creates an object as a client would, with defaults and admission.
    pub(crate) async fn apply(&self, object: Value) -> Object {
        self.door.create("kubectl", object).await.unwrap()
    }

    pub(crate) fn key(&self, object: &Value) -> Key {
        let kind = self.store.kinds().of_object(object).unwrap();
        kind.storage.key(object.namespace(), object.name())
    }

    pub(crate) fn create(&mut self, object: Value) -> Object {
        self.store.create(&self.key(&object), object).unwrap()
    }

    /// Works until nothing is under way, at most an hour of the cluster's time.
    pub(crate) async fn settle(&mut self) -> Duration {
        self.manager.settle(Duration::from_secs(3600)).await
    }

    pub(crate) fn get(&self, kind: &str, name: &str) -> Object {
        self.find(kind, name).unwrap_or_else(|| panic!("no {kind} `{name}`"))
    }

    pub(crate) fn find(&self, kind: &str, name: &str) -> Option<Object> {
        self.list_all(kind).into_iter().find(|object| object.name() == name)
    }

    /// The objects of a kind, the control plane's own pods aside.
    pub(crate) fn list(&self, kind: &str) -> Vec<Object> {
        let mut objects = self.list_all(kind);
        objects.retain(|object| object.namespace() != "kube-system" || kind != "Pod");
        objects
    }

    pub(crate) fn list_all(&self, kind: &str) -> Vec<Object> {
        let kinds = self.store.kinds().all();
        let kind = kinds.iter().find(|held| held.kind == kind).unwrap();
        self.store.list(&kind.storage, None).objects().collect()
    }

    pub(crate) fn change(&mut self, kind: &str, name: &str, path: &str, value: Value) {
        let object = self.get(kind, name);
        self.store.modify(&self.key(&object), |object| set(object, path, value)).unwrap();
    }

    pub(crate) fn delete(&mut self, kind: &str, name: &str) {
        let object = self.get(kind, name);
        self.store.delete(&self.key(&object), &Default::default()).unwrap();
    }

    /// `reason: message` of the events about an object, in the order they came.
    pub(crate) fn events(&self, kind: &str, name: &str) -> Vec<String> {
        let mut events = self.list("Event");
        events.retain(|event| {
            event.text("/involvedObject/kind") == kind && event.text("/involvedObject/name").starts_with(name)
        });
        events.sort_by_key(|event| event.name().rsplit('.').next().unwrap_or_default().to_owned());
        events.iter().map(|event| format!("{}: {}", event.text("/reason"), event.text("/message"))).collect()
    }
}

/// A pod template with one container.
pub(crate) fn template(app: &str, image: &str) -> Value {
    json!({"metadata": {"labels": {"app": app}}, "spec": {"restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30, "containers": [{"name": "main", "image": image}]}})
}

/// A Deployment as the API defaults it.
pub(crate) fn deployment(name: &str, replicas: i64, image: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template(name, image),
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
        "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600}, "status": {}})
}
