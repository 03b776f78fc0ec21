//! What can never become ready costs next to nothing: writes are counted over a simulated hour.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::bench::{Bench, deployment, template};
use super::workloads::{job, stateful_set};
use crate::controllers::fields::{Fields, set};

const HOUR: Duration = Duration::from_secs(3600);

/// A client-go back-off makes 18 attempts within 1311 s, and then one each 1000 s: 20 in an hour.
const ATTEMPTS: usize = 20;

fn restricted(bench: &mut Bench) {
    bench.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tight",
        "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}));
}

fn within(namespace: &str, mut object: Value) -> Value {
    set(&mut object, "/metadata/namespace", namespace.into());
    object
}

/// Counts the writes from here on, in the restricted namespace.
fn writes(bench: &Bench) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    bench.store.observe(move |event| {
        if &*event.key.namespace == "tight" {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    count
}

async fn writes_of_an_hour(bench: &mut Bench) -> usize {
    let count = writes(bench);
    bench.manager.advance(HOUR).await;
    count.load(Ordering::Relaxed)
}

#[tokio::test]
async fn a_deployment_whose_pods_are_refused_writes_little_and_says_why() {
    let mut bench = Bench::admitted().await;
    restricted(&mut bench);
    bench.apply(within("tight", deployment("web", 2, "nginx:1"))).await;
    let written = writes_of_an_hour(&mut bench).await;
    assert!(written <= 3 * ATTEMPTS, "{written} writes");
    let set = &bench.list("ReplicaSet")[0];
    let failure = set.condition("ReplicaFailure").unwrap();
    assert!(failure.text("/message").contains("violates PodSecurity"), "{failure}");
    let said = bench.events("ReplicaSet", "web");
    assert!((1..=10).contains(&said.len()), "{said:#?}");
}

#[tokio::test]
async fn other_workloads_whose_pods_are_refused_write_little() {
    let daemon_set = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent",
        "namespace": "tight"}, "spec": {"selector": {"matchLabels": {"app": "agent"}},
        "template": template("agent", "agent:1"), "updateStrategy": {"type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}, "revisionHistoryLimit": 10}, "status": {}});
    for workload in [daemon_set, within("tight", stateful_set("db", 3)), within("tight", job("import"))] {
        let mut bench = Bench::admitted().await;
        restricted(&mut bench);
        let kind = workload.text("/kind").to_owned();
        bench.apply(workload).await;
        let written = writes_of_an_hour(&mut bench).await;
        assert!(written <= 3 * ATTEMPTS, "{kind}: {written} writes");
        assert!(!bench.events(&kind, "").is_empty(), "{kind} says nothing");
    }
}

#[tokio::test]
async fn a_quota_that_is_raised_lets_the_pods_in_after_the_wait() {
    let mut bench = Bench::admitted().await;
    bench.create(json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few",
        "namespace": "default"}, "spec": {"hard": {"pods": "1"}}, "status": {"hard": {"pods": "1"},
        "used": {"pods": "0"}}}));
    bench.apply(deployment("web", 3, "nginx:1")).await;
    bench.manager.advance(Duration::from_secs(60)).await;
    assert_eq!(bench.list("Pod").len(), 1);
    bench.change("ResourceQuota", "few", "/spec/hard/pods", json!("5"));
    bench.manager.advance(Duration::from_secs(120)).await;
    assert_eq!(bench.get("Deployment", "web").count("/status/readyReplicas"), 3);
    assert!(bench.list("ReplicaSet")[0].condition("ReplicaFailure").is_none());
}
