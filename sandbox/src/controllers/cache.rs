//! The controllers' picture of the cluster: every object, with the indexes that reconciling needs.
//!
//! The store's change stream fills it with outlines: objects without their `managedFields`, which no controller looks
//! at and which are more than half of a pod. A write without them leaves them as they are. Controllers read nothing
//! else, which makes a reconcile a pure function of the picture.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::fields::{Fields, Object, kind_of};
use super::usage::Usage;

/// Which object: kind (as in `Deployment.apps`), namespace (empty when cluster-scoped), name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The kind as kubectl writes it.
    pub kind: String,
    /// The namespace, or empty.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// Names one object.
    pub fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The key of an object.
    pub fn of(object: &Value) -> Self {
        Self::new(&kind_of(object), object.namespace(), object.name())
    }

    /// The key of the owner that a reference in an object of `namespace` names.
    pub fn of_owner(reference: &Value, namespace: &str) -> Self {
        let kind = super::fields::qualified(reference.text("/kind"), reference.text("/apiVersion"));
        Self::new(&kind, namespace, reference.text("/name"))
    }
}

/// Every object of the cluster, by kind, owner, node and uid.
#[derive(Debug, Default)]
pub struct Cache {
    kinds: BTreeMap<String, BTreeMap<(String, String), Object>>,
    /// Events, as text: most objects of a busy cluster are events, and hardly one is looked at.
    told: BTreeMap<(String, String), Box<str>>,
    by_uid: HashMap<String, Key>,
    owned: HashMap<String, BTreeSet<Key>>,
    on_node: HashMap<String, BTreeSet<Key>>,
    /// Pods without a node that have claims.
    claimants: BTreeSet<Key>,
    /// Pods that were told that there is no node for them.
    refused: BTreeSet<Key>,
    /// Pods with a node that keep others away from it.
    apart: BTreeSet<Key>,
    usage: HashMap<String, Usage>,
    offered: HashMap<String, Usage>,
    no_usage: Usage,
}

impl Cache {
    /// One object.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&Object> {
        self.kinds.get(kind)?.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// One event.
    pub fn told(&self, namespace: &str, name: &str) -> Option<Object> {
        self.told.get(&(namespace.to_owned(), name.to_owned())).map(|text| parsed(text))
    }

    /// One object by key, events aside.
    pub fn find(&self, key: &Key) -> Option<&Object> {
        self.get(&key.kind, &key.namespace, &key.name)
    }

    /// One object by uid.
    pub fn by_uid(&self, uid: &str) -> Option<&Object> {
        self.find(self.by_uid.get(uid)?)
    }

    /// All objects of a kind, ordered by namespace and name.
    pub fn list(&self, kind: &str) -> impl Iterator<Item = &Object> {
        self.kinds.get(kind).into_iter().flat_map(BTreeMap::values)
    }

    /// The objects of a kind in one namespace, ordered by name.
    pub fn list_in(&self, kind: &str, namespace: &str) -> impl Iterator<Item = &Object> {
        let from = (namespace.to_owned(), String::new());
        let namespace = namespace.to_owned();
        self.kinds.get(kind).into_iter().flat_map(move |objects| {
            let namespace = namespace.clone();
            objects
                .range(from.clone()..)
                .take_while(move |((held, _), _)| *held == namespace)
                .map(|(_, object)| object)
        })
    }

    /// The kinds there are objects of.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.kinds.keys().map(String::as_str)
    }

    /// Every object.
    pub fn everything(&self) -> Vec<Object> {
        let told = self.told.values().map(|text| parsed(text));
        self.kinds.values().flat_map(BTreeMap::values).cloned().chain(told).collect()
    }

    /// Every object of a namespace, whatever its kind.
    pub fn contents(&self, namespace: &str) -> Vec<Object> {
        let told = self.told.range((namespace.to_owned(), String::new())..);
        let told = told.take_while(|((held, _), _)| held == namespace).map(|(_, text)| parsed(text));
        self.kinds.keys().flat_map(|kind| self.list_in(kind, namespace)).cloned().chain(told).collect()
    }

    /// The objects with an owner reference to `uid`.
    pub fn owned_by(&self, uid: &str) -> impl Iterator<Item = &Object> {
        self.owned.get(uid).into_iter().flatten().filter_map(|key| self.find(key))
    }

    /// The objects of `kind` that `uid` controls.
    pub fn controlled(&self, kind: &str, uid: &str) -> Vec<&Object> {
        self.owned
            .get(uid)
            .into_iter()
            .flatten()
            .filter(|key| key.kind == kind)
            .filter_map(|key| self.find(key))
            .filter(|object| object.is_controlled_by(uid))
            .collect()
    }

    /// The pods and ReplicaSets of a namespace that no controller holds.
    pub fn orphans(&self, kind: &str, namespace: &str) -> Vec<&Object> {
        let from = Key::new(kind, namespace, "");
        self.owned
            .get("")
            .into_iter()
            .flat_map(|keys| keys.range(from.clone()..))
            .take_while(|key| key.kind == kind && key.namespace == namespace)
            .filter_map(|key| self.find(key))
            .collect()
    }

    /// The pods bound to a node; with an empty name those bound to none.
    pub fn pods_on(&self, node: &str) -> impl Iterator<Item = &Object> {
        self.on_node.get(node).into_iter().flatten().filter_map(|key| self.find(key))
    }

    /// What the unfinished pods of a node ask for.
    pub fn usage(&self, node: &str) -> &Usage {
        self.usage.get(node).unwrap_or(&self.no_usage)
    }

    /// What a node offers to pods.
    pub fn offered(&self, node: &str) -> &Usage {
        self.offered.get(node).unwrap_or(&self.no_usage)
    }

    /// The pods without a node that have claims: their volumes may be on their way to one.
    pub fn claimants(&self) -> impl Iterator<Item = &Object> {
        self.claimants.iter().filter_map(|key| self.find(key))
    }

    /// The pods that were told that there is no node for them.
    pub fn refused(&self) -> impl Iterator<Item = &Object> {
        self.refused.iter().filter_map(|key| self.find(key))
    }

    /// The pods with a node whose required anti-affinity may keep others away from it.
    pub fn apart(&self) -> impl Iterator<Item = &Object> {
        self.apart.iter().filter_map(|key| self.find(key))
    }

    /// Keeps the indexes over pods in step with one of them.
    fn place(&mut self, key: &Key, pod: &Object) {
        let node = pod.text("/spec/nodeName");
        if node.is_empty() && pod.list("/spec/volumes").iter().any(is_claim) {
            self.claimants.insert(key.clone());
        }
        if node.is_empty() && is_refused(pod) {
            self.refused.insert(key.clone());
        }
        if !node.is_empty() && !pod.list(KEPT_APART).is_empty() {
            self.apart.insert(key.clone());
        }
        self.on_node.entry(node.to_owned()).or_default().insert(key.clone());
        self.account(pod, 1);
    }

    fn displace(&mut self, key: &Key, pod: &Object) {
        self.claimants.remove(key);
        self.refused.remove(key);
        self.apart.remove(key);
        forget(&mut self.on_node, pod.text("/spec/nodeName"), key);
        self.account(pod, -1);
    }

    fn account(&mut self, pod: &Object, times: i128) {
        let node = pod.text("/spec/nodeName");
        if !node.is_empty() && !super::pods::is_finished(pod) {
            self.usage.entry(node.to_owned()).or_default().add_all(&Usage::of_pod(pod), times);
        }
    }

    /// Takes in a new state of an object; answers the one it replaces.
    pub fn put(&mut self, object: Object) -> Option<Object> {
        let key = Key::of(&object);
        if key.kind == EVENT {
            self.told.insert((key.namespace, key.name), object.to_string().into());
            return None;
        }
        let previous = self.drop(&key);
        if is_orphan(&key, &object) {
            self.owned.entry(String::new()).or_default().insert(key.clone());
        }
        for owner in object.list("/metadata/ownerReferences") {
            self.owned.entry(owner.text("/uid").to_owned()).or_default().insert(key.clone());
        }
        match key.kind.as_str() {
            "Pod" => self.place(&key, &object),
            "Node" => {
                self.offered.insert(key.name.clone(), Usage::of_node(&object));
            }
            _ => {}
        }
        self.by_uid.insert(object.uid().to_owned(), key.clone());
        self.kinds.entry(key.kind).or_default().insert((key.namespace, key.name), object);
        previous
    }

    /// Forgets an object; answers its last state.
    pub fn drop(&mut self, key: &Key) -> Option<Object> {
        let place = (key.namespace.clone(), key.name.clone());
        if key.kind == EVENT {
            return self.told.remove(&place).map(|text| parsed(&text));
        }
        let object = self.kinds.get_mut(&key.kind)?.remove(&place)?;
        forget(&mut self.owned, "", key);
        for owner in object.list("/metadata/ownerReferences") {
            forget(&mut self.owned, owner.text("/uid"), key);
        }
        match key.kind.as_str() {
            "Pod" => self.displace(key, &object),
            "Node" => {
                self.offered.remove(&key.name);
            }
            _ => {}
        }
        self.by_uid.remove(object.uid());
        Some(object)
    }
}

const EVENT: &str = "Event";

/// What `put` made of an event.
fn parsed(text: &str) -> Object {
    Object::new(serde_json::from_str(text).unwrap_or_default())
}

/// Where a pod says which others it must not be with.
const KEPT_APART: &str = "/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution";

/// Whether a pod was told that there is no node for it.
fn is_refused(pod: &Value) -> bool {
    pod.condition("PodScheduled").is_some_and(|held| held.text("/status") == "False")
}

/// Whether a pod's volume comes from a claim.
fn is_claim(volume: &Value) -> bool {
    volume.get("persistentVolumeClaim").is_some() || volume.get("ephemeral").is_some()
}

/// Whether a controller may adopt it; kept as owned by the uid nobody has.
fn is_orphan(key: &Key, object: &Value) -> bool {
    matches!(key.kind.as_str(), "Pod" | "ReplicaSet.apps") && object.controller().is_none()
}

fn forget(index: &mut HashMap<String, BTreeSet<Key>>, at: &str, key: &Key) {
    if let Some(keys) = index.get_mut(at) {
        keys.remove(key);
        if keys.is_empty() {
            index.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn pod(name: &str, node: &str) -> Object {
        Arc::new(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name,
            "namespace": "shop", "uid": name, "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs", "controller": true}]},
            "spec": {"nodeName": node}}))
    }

    #[test]
    fn indexes_follow_an_object_that_moves_and_goes() {
        let mut cache = Cache::default();
        cache.put(pod("a", ""));
        assert_eq!(cache.pods_on("").count(), 1);
        cache.put(pod("a", "worker-1"));
        assert_eq!(cache.pods_on("worker-1").count(), 1);
        assert_eq!(cache.controlled("Pod", "rs").len(), 1);
        assert!(cache.by_uid("a").is_some());
        cache.drop(&Key::new("Pod", "shop", "a"));
        assert_eq!(cache.pods_on("worker-1").count(), 0);
        assert_eq!(cache.owned_by("rs").count(), 0);
    }

    #[test]
    fn a_namespace_lists_only_its_own() {
        let mut cache = Cache::default();
        cache.put(pod("a", ""));
        assert_eq!(cache.list_in("Pod", "shop").count(), 1);
        assert_eq!(cache.list_in("Pod", "sho").count(), 0);
    }
}
