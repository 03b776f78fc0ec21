//! Faults: what each kind does to a cluster, and that all is well again when it is gone.

use std::time::Duration;

use serde_json::{Value, json};

use super::bench::{Bench, deployment};
use crate::controllers::fields::{Fields, Object};
use crate::faults::definition::definition;

async fn bench() -> Bench {
    let mut bench = Bench::admitted().await;
    bench.apply(definition()).await;
    bench.settle().await;
    bench
}

impl Bench {
    async fn fault(&mut self, name: &str, spec: Value) {
        self.apply(json!({"apiVersion": "sandbox.aegis.dev/v1", "kind": "Fault", "metadata": {"name": name}, "spec": spec}))
            .await;
        self.settle().await;
    }

    async fn clear(&mut self, name: &str) {
        self.delete("Fault", name);
        self.settle().await;
    }

    async fn web(&mut self, replicas: i64) {
        self.apply(deployment("web", replicas, "nginx:1.27")).await;
        self.settle().await;
    }

    fn ready(&self) -> i64 {
        self.get("Deployment", "web").count("/status/readyReplicas")
    }

    fn pod(&self) -> Object {
        self.list("Pod").into_iter().find(|pod| pod.name().starts_with("web")).unwrap()
    }
}

#[tokio::test]
async fn a_killed_node_goes_silent_and_its_containers_start_again_when_it_is_back() {
    let mut bench = bench().await;
    bench.web(1).await;
    let node = bench.pod().text("/spec/nodeName").to_owned();
    bench.fault("dead", json!({"kind": "node-kill", "node": node})).await;
    bench.manager.advance(Duration::from_secs(60)).await;
    assert!(!bench.get("Node", &node).is("Ready"));
    bench.clear("dead").await;
    bench.manager.advance(Duration::from_secs(60)).await;
    assert!(bench.get("Node", &node).is("Ready"));
    let pod = bench.pod();
    assert_eq!(pod.count("/status/containerStatuses/0/restartCount"), 1);
    assert_eq!(pod.text("/status/containerStatuses/0/lastState/terminated/reason"), "Unknown");
    assert_eq!(bench.ready(), 1);
}

#[tokio::test]
async fn a_frozen_node_goes_on_where_it_stood() {
    let mut bench = bench().await;
    bench.web(1).await;
    let node = bench.pod().text("/spec/nodeName").to_owned();
    bench.fault("ice", json!({"kind": "node-freeze", "node": node})).await;
    bench.manager.advance(Duration::from_secs(60)).await;
    assert_eq!(bench.ready(), 0);
    bench.clear("ice").await;
    bench.manager.advance(Duration::from_secs(60)).await;
    assert_eq!(bench.ready(), 1);
    assert_eq!(bench.pod().count("/status/containerStatuses/0/restartCount"), 0);
}

#[tokio::test]
async fn a_lost_zone_is_left_by_its_pods() {
    let mut bench = bench().await;
    bench.web(6).await;
    bench.fault("lost", json!({"kind": "node-kill", "zone": "seoul-a"})).await;
    // Fifty seconds until it shows, five minutes until pods are given up.
    bench.manager.advance(Duration::from_secs(420)).await;
    bench.settle().await;
    assert_eq!(bench.ready(), 6);
    let zone = |pod: &Object| pod.label("topology.kubernetes.io/zone").to_owned();
    let pods = bench.list("Pod");
    assert!(pods.iter().filter(|pod| pod.is("Ready")).all(|pod| zone(pod) != "seoul-a"));
}

#[tokio::test]
async fn pods_are_killed_once_and_the_same_ones_by_the_same_seed() {
    let mut bench = bench().await;
    bench.web(4).await;
    bench.fault("axe", json!({"kind": "pod-kill", "selector": "app=web", "count": 2, "seed": 3})).await;
    let killed = bench.get("Fault", "axe").list("/status/killed").len();
    assert_eq!((killed, bench.ready()), (2, 4));
    let after: Vec<String> = bench.list("Pod").iter().map(|pod| pod.name().to_owned()).collect();
    bench.manager.advance(Duration::from_secs(60)).await;
    let later: Vec<String> = bench.list("Pod").iter().map(|pod| pod.name().to_owned()).collect();
    assert_eq!(after, later);
}

#[tokio::test]
async fn containers_crash_are_unready_and_start_slowly_until_the_fault_is_gone() {
    let mut bench = bench().await;
    bench.web(1).await;
    bench.fault("crash", json!({"kind": "crash", "selector": "app=web", "exitCode": 9})).await;
    bench.manager.advance(Duration::from_secs(30)).await;
    let ended = bench.pod();
    assert_eq!(ended.count("/status/containerStatuses/0/lastState/terminated/exitCode"), 9);
    bench.clear("crash").await;
    bench.manager.advance(Duration::from_secs(400)).await;
    assert_eq!(bench.ready(), 1);
    bench.fault("sick", json!({"kind": "unready", "image": "nginx"})).await;
    assert_eq!(bench.ready(), 0);
    bench.clear("sick").await;
    assert_eq!(bench.ready(), 1);
    bench.fault("slow", json!({"kind": "slow-start", "selector": "app=web", "delay": "5m"})).await;
    bench.delete("Pod", bench.pod().name());
    bench.manager.advance(Duration::from_secs(60)).await;
    assert_eq!(bench.ready(), 0);
    bench.manager.advance(Duration::from_secs(300)).await;
    assert_eq!(bench.ready(), 1);
}

#[tokio::test]
async fn images_cannot_be_pulled_until_the_fault_is_gone() {
    let mut bench = bench().await;
    bench.fault("registry", json!({"kind": "image-pull", "image": "nginx"})).await;
    bench.web(1).await;
    assert_eq!(bench.pod().text("/status/containerStatuses/0/state/waiting/reason"), "ImagePullBackOff");
    bench.clear("registry").await;
    assert_eq!(bench.ready(), 1);
}

#[tokio::test]
async fn a_full_quota_keeps_new_pods_out() {
    let mut bench = bench().await;
    bench.web(1).await;
    bench.fault("full", json!({"kind": "quota-full", "namespace": "default"})).await;
    bench.change("Deployment", "web", "/spec/replicas", 3.into());
    bench.manager.advance(Duration::from_secs(5)).await;
    assert_eq!(bench.ready(), 1);
    let events = bench.events("ReplicaSet", "web");
    assert!(events.iter().any(|event| event.contains("exceeded quota: full")), "{events:?}");
    bench.clear("full").await;
    bench.manager.advance(Duration::from_secs(600)).await;
    assert_eq!(bench.ready(), 3);
}

#[tokio::test]
async fn broken_storage_makes_no_volumes() {
    let mut bench = bench().await;
    bench
        .apply(
            json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fast"},
        "provisioner": "csi.example.com"}),
        )
        .await;
    bench.fault("disk", json!({"kind": "storage", "class": "fast"})).await;
    bench.apply(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}})).await;
    bench.settle().await;
    assert_eq!(bench.get("PersistentVolumeClaim", "data").text("/status/phase"), "Pending");
    let events = bench.events("PersistentVolumeClaim", "data");
    assert!(events.iter().any(|event| event.starts_with("ProvisioningFailed")), "{events:?}");
    bench.clear("disk").await;
    assert_eq!(bench.get("PersistentVolumeClaim", "data").text("/status/phase"), "Bound");
}

#[tokio::test]
async fn things_take_longer_on_a_slow_node() {
    let mut bench = bench().await;
    bench.fault("slow", json!({"kind": "node-slow", "zone": "seoul-a", "factor": 100})).await;
    bench.fault("slow-too", json!({"kind": "node-slow", "zone": "seoul-b", "factor": 100})).await;
    bench.fault("slow-as-well", json!({"kind": "node-slow", "zone": "seoul-c", "factor": 100})).await;
    bench.apply(deployment("web", 1, "nginx:1.27")).await;
    bench.manager.advance(Duration::from_secs(10)).await;
    assert_eq!(bench.ready(), 0);
    bench.manager.advance(Duration::from_secs(15)).await;
    assert_eq!(bench.ready(), 1);
}

#[tokio::test]
async fn a_fault_ends_when_its_time_is_over() {
    let mut bench = bench().await;
    bench.fault("short", json!({"kind": "unready", "selector": "app=web", "lasts": "2m"})).await;
    bench.manager.advance(Duration::from_secs(60)).await;
    assert!(bench.find("Fault", "short").is_some());
    bench.manager.advance(Duration::from_secs(90)).await;
    assert!(bench.find("Fault", "short").is_none());
}
