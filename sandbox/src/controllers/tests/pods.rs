//! Kubelet and scheduler: what pods wait for, how they fail, where they go.

use std::time::Duration;

use serde_json::{Value, json};

use super::bench::{Bench, deployment};
use crate::controllers::fields::{Fields, set};

fn pod(name: &str, spec: Value) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {"restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
        "containers": [{"name": "main", "image": "nginx:1.25"}]}, "status": {"phase": "Pending"}});
    for (key, value) in spec.entries("") {
        set(&mut pod, &format!("/spec/{key}"), value.clone());
    }
    pod
}

fn annotated(mut pod: Value, key: &str, value: &str) -> Value {
    crate::controllers::fields::set_key(
        &mut pod,
        "/metadata/annotations",
        &format!("sandbox.aegis.dev/{key}"),
        value,
    );
    pod
}

#[tokio::test]
async fn a_pod_waits_for_each_kind_of_missing_reference() {
    let needs =
        |from: Value| json!([{"name": "main", "image": "a", "env": [{"name": "A", "valueFrom": from}]}]);
    let cases = [
        ("volume", json!({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]})),
        (
            "projected",
            json!({"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "s"}}]}}]}),
        ),
        ("env", json!({"containers": needs(json!({"secretKeyRef": {"name": "s", "key": "k"}}))})),
        (
            "env-from",
            json!({"containers": [{"name": "main", "image": "a", "envFrom": [{"secretRef": {"name": "s"}}]}]}),
        ),
    ];
    for (name, spec) in cases {
        let mut bench = Bench::new().await;
        bench.create(pod(name, spec));
        bench.settle().await;
        assert_eq!(bench.get("Pod", name).text("/status/phase"), "Pending", "{name}");
        bench.create(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default"}, "data": {"k": ""}}));
        bench.settle().await;
        assert!(bench.get("Pod", name).is("Ready"), "{name}");
    }
}

#[tokio::test]
async fn an_optional_reference_does_not_hold_a_pod() {
    let mut bench = Bench::new().await;
    bench.create(pod(
        "a",
        json!({"volumes": [{"name": "v", "configMap": {"name": "none", "optional": true}}]}),
    ));
    bench.settle().await;
    assert!(bench.get("Pod", "a").is("Ready"));
}

#[tokio::test]
async fn a_missing_key_is_a_configuration_error() {
    let mut bench = Bench::new().await;
    bench.create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}, "data": {}}));
    let from = json!({"configMapKeyRef": {"name": "c", "key": "k"}});
    bench.create(pod(
        "a",
        json!({"containers": [{"name": "main", "image": "a", "env": [{"name": "A", "valueFrom": from}]}]}),
    ));
    bench.settle().await;
    let waiting = bench.get("Pod", "a").at("/status/containerStatuses/0/state/waiting").clone();
    assert_eq!(
        waiting,
        json!({"reason": "CreateContainerConfigError", "message": "couldn't find key k in ConfigMap default/c"})
    );
}

#[tokio::test]
async fn init_containers_come_first_and_sidecars_stay() {
    let mut bench = Bench::new().await;
    let inits =
        json!([{"name": "prepare", "image": "a"}, {"name": "mesh", "image": "b", "restartPolicy": "Always"}]);
    bench.create(pod("a", json!({"initContainers": inits})));
    bench.settle().await;
    let pod = bench.get("Pod", "a");
    assert_eq!(pod.text("/status/initContainerStatuses/0/state/terminated/reason"), "Completed");
    assert!(pod.at("/status/initContainerStatuses/1/state/running").is_object());
    assert!(pod.is("Ready"), "{pod}");
}

#[tokio::test]
async fn a_crashing_container_backs_off_ever_longer() {
    let mut bench = Bench::new().await;
    bench.create(annotated(pod("a", json!({})), "exit-code", "3"));
    bench.settle().await;
    bench.manager.advance(Duration::from_secs(100)).await;
    let pod = bench.get("Pod", "a");
    let status = pod.at("/status/containerStatuses/0");
    assert_eq!(status.text("/state/waiting/reason"), "CrashLoopBackOff");
    assert_eq!(status.at("/lastState/terminated/exitCode"), 3);
    assert_eq!(status.at("/restartCount"), 4, "{status}");
    assert!(!pod.is("Ready"));
}

#[tokio::test]
async fn readiness_comes_after_its_delay_or_never() {
    let mut bench = Bench::new().await;
    bench.create(annotated(pod("slow", json!({})), "ready-delay", "20s"));
    bench.create(annotated(pod("never", json!({})), "ready", "false"));
    bench.manager.advance(Duration::from_secs(10)).await;
    assert!(!bench.get("Pod", "slow").is("Ready"));
    bench.settle().await;
    assert!(bench.get("Pod", "slow").is("Ready"));
    assert_eq!(bench.get("Pod", "never").text("/status/phase"), "Running");
    assert!(!bench.get("Pod", "never").is("Ready"));
}

#[tokio::test]
async fn a_pod_that_fits_nowhere_says_why_in_the_words_of_the_scheduler() {
    let mut bench = Bench::new().await;
    bench.create(pod("nosel", json!({"nodeSelector": {"no": "where"}})));
    let big = json!([{"name": "main", "image": "a", "resources": {"requests": {"cpu": "100"}}}]);
    bench.create(pod("big", json!({"containers": big})));
    bench.settle().await;
    assert_eq!(
        bench.get("Pod", "nosel").condition("PodScheduled").unwrap().text("/message"),
        "0/9 nodes are available: 3 node(s) had untolerated taint(s), 6 node(s) didn't match Pod's node affinity/selector. \
         no new claims to deallocate, preemption: 0/9 nodes are available: 9 Preemption is not helpful for scheduling."
    );
    let why = bench.get("Pod", "big").condition("PodScheduled").unwrap().text("/message").to_owned();
    assert!(
        why.starts_with("0/9 nodes are available: 3 node(s) had untolerated taint(s), 6 Insufficient cpu."),
        "{why}"
    );
}

#[tokio::test]
async fn a_gated_pod_waits_until_its_gates_are_gone() {
    let mut bench = Bench::new().await;
    bench.create(pod("a", json!({"schedulingGates": [{"name": "example.com/wait"}]})));
    bench.settle().await;
    assert_eq!(bench.get("Pod", "a").condition("PodScheduled").unwrap().text("/reason"), "SchedulingGated");
    bench.change("Pod", "a", "/spec/schedulingGates", json!([]));
    bench.settle().await;
    assert!(bench.get("Pod", "a").is("Ready"));
}

#[tokio::test]
async fn spread_and_anti_affinity_put_pods_apart() {
    let mut bench = Bench::new().await;
    let mut web = deployment("web", 6, "nginx:1.25");
    let spread = json!([{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}}}]);
    set(&mut web, "/spec/template/spec/topologySpreadConstraints", spread);
    let apart =
        json!([{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}]);
    set(
        &mut web,
        "/spec/template/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution",
        apart,
    );
    bench.create(web);
    bench.settle().await;
    let pods = bench.list("Pod");
    let mut nodes: Vec<&str> = pods.iter().map(|pod| pod.text("/spec/nodeName")).collect();
    nodes.sort_unstable();
    nodes.dedup();
    assert_eq!(nodes.len(), 6);
    for zone in ["seoul-a", "seoul-b", "seoul-c"] {
        assert_eq!(
            pods.iter().filter(|pod| pod.label("topology.kubernetes.io/zone") == zone).count(),
            2,
            "{zone}"
        );
    }
    bench.change("Deployment", "web", "/spec/replicas", json!(7));
    bench.settle().await;
    let waiting = bench.list("Pod").into_iter().find(|pod| pod.text("/spec/nodeName").is_empty()).unwrap();
    assert!(
        waiting.condition("PodScheduled").unwrap().text("/message").contains("anti-affinity"),
        "{waiting}"
    );
}
