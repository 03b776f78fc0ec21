//! Namespaces, ownership, Services, budgets, quotas.

use std::time::Duration;

use serde_json::{Value, json};

use super::bench::{Bench, deployment, template};
use crate::controllers::fields::Fields;
use crate::store::{DeleteOptions, Propagation};

fn delete(bench: &mut Bench, kind: &str, name: &str, propagation: Propagation) {
    let object = bench.get(kind, name);
    let options = DeleteOptions { propagation: Some(propagation), ..Default::default() };
    bench.store.delete(&bench.key(&object), &options).unwrap();
}

fn service(name: &str, kind: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": kind, "selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]},
        "status": {"loadBalancer": {}}})
}

#[tokio::test]
async fn a_new_namespace_gets_its_account_and_certificate() {
    let mut bench = Bench::new().await;
    bench.namespace("shop");
    bench.settle().await;
    assert!(
        bench
            .list("ServiceAccount")
            .iter()
            .any(|held| held.namespace() == "shop" && held.name() == "default")
    );
    assert!(
        bench
            .list("ConfigMap")
            .iter()
            .any(|held| held.namespace() == "shop" && held.name() == "kube-root-ca.crt")
    );
}

#[tokio::test]
async fn a_namespace_goes_with_everything_in_it() {
    let mut bench = Bench::new().await;
    bench.namespace("shop");
    let mut web = deployment("web", 3, "nginx:1.25");
    web["metadata"]["namespace"] = "shop".into();
    bench.create(web);
    bench.settle().await;
    bench.delete("Namespace", "shop");
    bench.settle().await;
    assert!(bench.find("Namespace", "shop").is_none());
    assert!(bench.list("Pod").is_empty() && bench.list("Deployment").is_empty());
}

#[tokio::test]
async fn a_namespace_hangs_while_an_aggregated_api_is_down() {
    let mut bench = Bench::new().await;
    bench.create(json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "service": {"name": "metrics-server", "namespace": "default"}}}));
    bench.namespace("shop");
    bench.settle().await;
    bench.delete("Namespace", "shop");
    bench.settle().await;
    let shop = bench.get("Namespace", "shop");
    assert!(shop.is("NamespaceDeletionDiscoveryFailure"));
    bench.create(service("metrics-server", "ClusterIP"));
    bench.create(deployment("metrics-server", 1, "metrics-server:1"));
    bench.settle().await;
    assert!(bench.get("APIService", "v1beta1.metrics.k8s.io").is("Available"));
    assert!(bench.find("Namespace", "shop").is_none());
}

#[tokio::test]
async fn dependents_go_in_the_background_wait_in_the_foreground_or_stay() {
    for (propagation, left) in
        [(Propagation::Background, 0), (Propagation::Foreground, 0), (Propagation::Orphan, 3)]
    {
        let mut bench = Bench::new().await;
        bench.create(deployment("web", 3, "nginx:1.25"));
        bench.settle().await;
        delete(&mut bench, "Deployment", "web", propagation);
        bench.settle().await;
        assert!(bench.find("Deployment", "web").is_none(), "{propagation:?}");
        assert_eq!(bench.list("Pod").len(), left, "{propagation:?}");
    }
}

#[tokio::test]
async fn a_dependent_of_an_owner_that_never_was_is_collected() {
    let mut bench = Bench::new().await;
    bench.create(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "lost", "namespace": "default",
        "ownerReferences": [{"apiVersion": "v1", "kind": "Secret", "name": "none", "uid": "none"}]}}),
    );
    bench.settle().await;
    assert!(bench.find("ConfigMap", "lost").is_none());
}

#[tokio::test]
async fn a_service_has_ready_endpoints_and_an_outside_address() {
    let mut bench = Bench::new().await;
    bench.create(service("web", "LoadBalancer"));
    bench.create(deployment("web", 2, "nginx:1.25"));
    bench.settle().await;
    let slice = bench.list("EndpointSlice").remove(0);
    assert_eq!(slice.list("/endpoints").len(), 2);
    assert_eq!(
        slice.at("/endpoints/0/conditions"),
        &json!({"ready": true, "serving": true, "terminating": false})
    );
    assert_eq!(slice.at("/ports/0/port"), 8080);
    assert_eq!(slice.label("kubernetes.io/service-name"), "web");
    assert_eq!(bench.get("Endpoints", "web").list("/subsets/0/addresses").len(), 2);
    assert_eq!(bench.get("Service", "web").text("/status/loadBalancer/ingress/0/ip"), "203.0.113.1");
}

#[tokio::test]
async fn a_budget_counts_what_may_be_disrupted() {
    let mut bench = Bench::new().await;
    bench.create(deployment("web", 6, "nginx:1.25"));
    for (name, field, value, allowed) in [
        ("strict", "minAvailable", json!(6), 0),
        ("loose", "maxUnavailable", json!("50%"), 3),
        ("some", "minAvailable", json!("50%"), 3),
    ] {
        bench.create(json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name, "namespace": "default"},
            "spec": {field: value, "selector": {"matchLabels": {"app": "web"}}}}));
        bench.settle().await;
        let budget = bench.get("PodDisruptionBudget", name);
        assert_eq!(budget.at("/status/disruptionsAllowed"), allowed, "{name}");
        assert_eq!(budget.at("/status/expectedPods"), 6, "{name}");
    }
    let strict = bench.get("PodDisruptionBudget", "strict");
    assert_eq!(strict.condition("DisruptionAllowed").unwrap().text("/reason"), "InsufficientPods");
}

#[tokio::test]
async fn a_quota_counts_pods_and_requests() {
    let mut bench = Bench::new().await;
    bench.create(json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "default"},
        "spec": {"hard": {"pods": "10", "requests.cpu": "4", "requests.memory": "8Gi", "count/deployments.apps": "5"}}}));
    let mut web = deployment("web", 3, "nginx:1.25");
    web["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({"requests": {"cpu": "100m", "memory": "256Mi"}});
    bench.create(web);
    bench.settle().await;
    let used = bench.get("ResourceQuota", "q").at("/status/used").clone();
    assert_eq!(
        used,
        json!({"pods": "3", "requests.cpu": "300m", "requests.memory": "768Mi", "count/deployments.apps": "1"})
    );
}

#[tokio::test]
async fn an_autoscaler_follows_simulated_use_once_metrics_are_served() {
    let mut bench = Bench::new().await;
    let mut web = deployment("web", 2, "nginx:1.25");
    let mut pod = template("web", "nginx:1.25");
    pod["metadata"]["annotations"] = json!({"sandbox.aegis.dev/cpu": "160m"});
    pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "100m"}});
    web["spec"]["template"] = pod;
    bench.create(web);
    bench.create(json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 3,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]}}));
    bench.settle().await;
    bench.manager.advance(Duration::from_secs(20)).await;
    let reason = |bench: &Bench| {
        bench
            .get("HorizontalPodAutoscaler", "web")
            .condition("ScalingActive")
            .unwrap()
            .text("/reason")
            .to_owned()
    };
    assert_eq!(reason(&bench), "FailedGetResourceMetric");
    bench.create(json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {"group": "metrics.k8s.io", "version": "v1beta1"}}));
    bench.manager.advance(Duration::from_secs(20)).await;
    assert_eq!(reason(&bench), "ValidMetricFound");
    assert_eq!(bench.get("Deployment", "web").count("/spec/replicas"), 3);
}

#[tokio::test]
async fn events_are_forgotten_after_an_hour() {
    let mut bench = Bench::new().await;
    bench.create(deployment("web", 1, "nginx:1.25"));
    bench.settle().await;
    assert!(!bench.events("Deployment", "web").is_empty());
    bench.manager.advance(Duration::from_secs(3700)).await;
    assert!(bench.events("Deployment", "web").is_empty());
}
