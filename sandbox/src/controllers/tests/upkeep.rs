//! What a cluster keeps right by itself: roles, tokens, APIServices, endpoints, and what it tells of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::bench::{Bench, deployment};
use crate::controllers::fields::{Fields, Object};

const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";

fn role(name: &str, label: &str, resource: &str) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": name, "labels": {label: "yes"}},
        "rules": [{"apiGroups": [""], "resources": [resource], "verbs": ["get"]}]})
}

fn slice(bench: &Bench) -> Object {
    bench.list("EndpointSlice").into_iter().next().unwrap()
}

#[tokio::test]
async fn an_aggregated_role_has_the_rules_of_those_it_selects_and_loses_them_with_them() {
    let mut bench = Bench::new().await;
    bench.create(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "sum"}, "rules": null,
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"part": "yes"}}]}}));
    for (name, label, resource) in [("b", "part", "pods"), ("a", "part", "nodes"), ("c", "other", "secrets")]
    {
        bench.create(role(name, label, resource));
    }
    bench.settle().await;
    let resources = |bench: &Bench| -> Vec<String> {
        let rules = bench.get("ClusterRole", "sum").list("/rules").to_vec();
        rules.iter().map(|rule| rule.text("/resources/0").to_owned()).collect()
    };
    assert_eq!(resources(&bench), ["nodes", "pods"]);
    bench.delete("ClusterRole", "a");
    bench.settle().await;
    assert_eq!(resources(&bench), ["pods"]);
}

#[tokio::test]
async fn a_token_secret_is_filled_for_its_account_and_goes_with_it() {
    let mut bench = Bench::new().await;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot", "namespace": "default"}});
    let uid = bench.create(account).uid().to_owned();
    bench.create(json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "bot-token", "namespace": "default",
            "annotations": {"kubernetes.io/service-account.name": "bot"}}}));
    bench.settle().await;
    let secret = bench.get("Secret", "bot-token");
    assert_eq!(secret.annotation("kubernetes.io/service-account.uid"), uid);
    assert_eq!(secret.text("/data/namespace"), "ZGVmYXVsdA==");
    assert!(!secret.text("/data/token").is_empty() && secret.at("/data").get("ca.crt").is_some());
    bench.delete("ServiceAccount", "bot");
    bench.settle().await;
    assert!(bench.find("Secret", "bot-token").is_none());
}

#[tokio::test]
async fn a_definition_brings_its_api_service_and_takes_it_away() {
    let mut bench = Bench::new().await;
    bench.create(json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [{"name": "v1", "served": true, "storage": true}, {"name": "v2", "served": false}]}}));
    bench.settle().await;
    let service = bench.get("APIService", "v1.example.com");
    assert_eq!(service.label("kube-aggregator.kubernetes.io/automanaged"), "true");
    assert!(service.is("Available") && bench.find("APIService", "v2.example.com").is_none());
    bench.delete("CustomResourceDefinition", "widgets.example.com");
    bench.settle().await;
    assert!(bench.find("APIService", "v1.example.com").is_none());
}

#[tokio::test]
async fn a_node_is_registered_once() {
    let bench = Bench::new().await;
    let told: Vec<String> = bench.events("Node", "worker-1");
    let registered = "RegisteredNode: Node worker-1 event: Registered Node worker-1 in Controller";
    assert_eq!(told.iter().filter(|event| *event == registered).count(), 1);
    let events = bench.list("Event");
    let event = events.iter().find(|event| event.text("/reason") == "RegisteredNode").unwrap();
    assert!(event.at("/involvedObject/resourceVersion").is_null());
}

#[tokio::test]
async fn endpoints_follow_pod_by_pod_and_tell_since_when() {
    let mut bench = Bench::new().await;
    bench.create(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"type": "ClusterIP", "selector": {"app": "web"}, "ports": [{"port": 80, "protocol": "TCP"}]}}));
    bench.settle().await;
    let made = bench.get("Service", "web").text("/metadata/creationTimestamp").to_owned();
    assert_eq!(slice(&bench).annotation(TRIGGER), made);
    bench.manager.advance(Duration::from_secs(60)).await;
    bench.create(deployment("web", 3, "nginx:1.25"));
    bench.settle().await;
    let slice = slice(&bench);
    assert_eq!(slice.list("/endpoints").len(), 3);
    // The Service is not what changed last.
    assert_ne!(slice.annotation(TRIGGER), made);
    assert_eq!(slice.at("/metadata/annotations").is_null(), slice.annotation(TRIGGER).is_empty());
}

#[tokio::test]
async fn a_claim_that_waits_says_so_once_a_period() {
    let mut bench = Bench::new().await;
    bench.create(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "ghost", "namespace": "default"}, "status": {"phase": "Pending"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "ghost",
            "resources": {"requests": {"storage": "1Gi"}}}}));
    bench.manager.advance(Duration::from_secs(1)).await;
    let times = |bench: &Bench| {
        let events = bench.list("Event");
        let event =
            events.iter().find(|event| event.text("/reason") == "ProvisioningFailed").unwrap().clone();
        event.count("/count")
    };
    let first = times(&bench);
    for number in 0..5 {
        bench.create(json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": format!("other-{number}")}, "provisioner": "csi.example.com"}));
        bench.manager.advance(Duration::from_secs(1)).await;
    }
    assert_eq!(times(&bench), first, "a look because of another object says nothing");
    bench.manager.advance(Duration::from_secs(30)).await;
    assert_eq!(times(&bench), first + 2);
}

#[tokio::test]
async fn a_set_takes_over_how_long_its_pods_have_to_be_ready() {
    let mut bench = Bench::new().await;
    bench.create(deployment("web", 1, "nginx:1.25"));
    bench.settle().await;
    bench.change("Deployment", "web", "/spec/minReadySeconds", json!(3));
    bench.settle().await;
    assert_eq!(bench.list("ReplicaSet")[0].count("/spec/minReadySeconds"), 3);
}

#[tokio::test]
async fn a_pod_that_was_let_go_has_no_owners_left() {
    let mut bench = Bench::new().await;
    bench.create(deployment("web", 1, "nginx:1.25"));
    bench.settle().await;
    let pod = bench.list("Pod")[0].name().to_owned();
    bench.change("Pod", &pod, "/metadata/labels", json!({"app": "other"}));
    bench.settle().await;
    assert!(bench.get("Pod", &pod).at("/metadata/ownerReferences").is_null());
}
