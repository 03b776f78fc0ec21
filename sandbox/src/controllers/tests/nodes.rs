//! Nodes: cordon, taints, silence and return.

use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, deployment};
use crate::controllers::fields::{Fields, set, set_key};

fn set_down(bench: &mut Bench, node: &str, down: &str) {
    let held = bench.get("Node", node);
    let key = bench.key(&held);
    bench
        .store
        .modify(&key, |node| set_key(node, "/metadata/annotations", "sandbox.aegis.dev/down", down))
        .unwrap();
}

#[tokio::test]
async fn nodes_of_the_default_topology_are_ready_and_leased() {
    let bench = Bench::new().await;
    let nodes = bench.list("Node");
    assert_eq!(nodes.len(), 9);
    assert!(nodes.iter().all(|node| node.is("Ready")));
    assert_eq!(nodes.iter().filter(|node| !node.list("/spec/taints").is_empty()).count(), 3);
    assert_eq!(bench.list("Lease").len(), 9);
}

#[tokio::test]
async fn the_control_plane_runs_as_pods_that_come_back() {
    let mut bench = Bench::new().await;
    let control_plane = |bench: &Bench| {
        bench
            .list_all("Pod")
            .iter()
            .filter(|pod| pod.label("tier") == "control-plane" && pod.is("Ready"))
            .count()
    };
    assert_eq!(control_plane(&bench), 12);
    bench.delete("Pod", "kube-apiserver-cp-2");
    bench.settle().await;
    assert_eq!(control_plane(&bench), 12);
}

#[tokio::test]
async fn a_cordoned_node_is_tainted_a_moment_later() {
    let mut bench = Bench::new().await;
    bench.change("Node", "worker-1", "/spec/unschedulable", json!(true));
    bench.settle().await;
    let node = bench.get("Node", "worker-1");
    assert_eq!(node.text("/spec/taints/0/key"), "node.kubernetes.io/unschedulable");
    bench.change("Node", "worker-1", "/spec/unschedulable", json!(false));
    bench.settle().await;
    assert!(bench.get("Node", "worker-1").at("/spec/taints").is_null());
}

#[tokio::test]
async fn a_silent_node_loses_its_pods_and_comes_back_ready() {
    let mut bench = Bench::new().await;
    let mut web = deployment("web", 6, "nginx:1.25");
    let patient = json!([{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]);
    set(&mut web, "/spec/template/spec/tolerations", patient);
    bench.create(web);
    bench.settle().await;
    set_down(&mut bench, "worker-1", "true");
    bench.manager.advance(Duration::from_secs(70)).await;
    let node = bench.get("Node", "worker-1");
    assert_eq!(node.condition("Ready").unwrap().text("/status"), "Unknown");
    let lost = bench.list("Pod").into_iter().find(|pod| pod.text("/spec/nodeName") == "worker-1").unwrap();
    assert!(!lost.is("Ready"));
    assert_eq!(bench.get("Deployment", "web").count("/status/availableReplicas"), 5);
    set_down(&mut bench, "worker-1", "false");
    bench.manager.advance(Duration::from_secs(20)).await;
    assert!(bench.get("Node", "worker-1").is("Ready"));
    assert!(bench.get("Node", "worker-1").at("/spec/taints").is_null());
    assert_eq!(bench.get("Deployment", "web").count("/status/availableReplicas"), 6);
}

#[tokio::test]
async fn pods_leave_a_node_with_a_taint_they_do_not_tolerate() {
    let mut bench = Bench::new().await;
    bench.create(deployment("web", 6, "nginx:1.25"));
    bench.settle().await;
    bench.change(
        "Node",
        "worker-4",
        "/spec/taints",
        json!([{"key": "evict", "value": "now", "effect": "NoExecute"}]),
    );
    bench.settle().await;
    let pods = bench.list("Pod");
    assert!(pods.iter().all(|pod| pod.text("/spec/nodeName") != "worker-4"));
    assert_eq!(bench.get("Deployment", "web").count("/status/availableReplicas"), 6);
    let said = bench.events("Pod", "web");
    assert!(
        said.iter()
            .any(|event| event.starts_with("TaintManagerEviction: Marking for deletion Pod default/web")),
        "{said:?}"
    );
}

#[tokio::test]
async fn pods_of_a_deleted_node_are_collected() {
    let mut bench = Bench::new().await;
    bench.create(deployment("web", 6, "nginx:1.25"));
    bench.settle().await;
    bench.delete("Node", "worker-2");
    bench.manager.advance(Duration::from_secs(60)).await;
    assert!(bench.list("Pod").iter().all(|pod| pod.text("/spec/nodeName") != "worker-2"));
    assert_eq!(bench.get("Deployment", "web").count("/status/availableReplicas"), 6);
}
