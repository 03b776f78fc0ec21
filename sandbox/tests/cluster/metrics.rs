//! What pods and nodes use, once metrics-server is installed: `kubectl top` and the API behind it.

use serde_json::Value;

use crate::Cluster;
use crate::tools::{attempt, kubectls, run};

/// What the chart of metrics-server comes down to.
const METRICS_SERVER: &str = r"
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.metrics.k8s.io}
spec:
  group: metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {name: metrics-server, namespace: kube-system, port: 443}
---
apiVersion: v1
kind: Service
metadata: {name: metrics-server, namespace: kube-system}
spec: {selector: {app: metrics-server}, ports: [{port: 443, targetPort: 10250}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: metrics-server
  namespace: kube-system
  labels: {app: metrics-server}
  annotations: {sandbox.aegis.dev/cpu: 120m, sandbox.aegis.dev/memory: 300Mi}
spec:
  containers: [{name: server, image: metrics-server:1}, {name: side, image: side:1}]
";

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_top_works_once_metrics_server_is_there_and_not_before() {
    let cluster = Cluster::start().await;
    let kubectls = kubectls();
    for kubectl in &kubectls {
        let (worked, _, err) = attempt(kubectl, &cluster, "top nodes", "");
        assert!(!worked && err.contains("Metrics API not available"), "{err}");
    }
    let Some(newest) = kubectls.last() else { return };
    run(newest, &cluster, "apply -f -", METRICS_SERVER);
    let ready = "wait apiservice/v1beta1.metrics.k8s.io --for=condition=Available --timeout=60s";
    run(newest, &cluster, ready, "");
    for kubectl in &kubectls {
        let run = |arguments: &str, input: &str| run(kubectl, &cluster, arguments, input);
        let nodes = run("top nodes", "");
        assert!(nodes.starts_with("NAME"), "{nodes}");
        assert_eq!(nodes.lines().count(), 10, "{nodes}");
        let pods = run("top pods -n kube-system -l app=metrics-server --no-headers", "");
        assert_eq!(pods.split_whitespace().collect::<Vec<_>>(), ["metrics-server", "120m", "300Mi"]);
        let containers = run("top pods -n kube-system metrics-server --containers --no-headers", "");
        assert_eq!(containers.lines().count(), 2, "{containers}");
        assert!(run("top pods -A --sum", "").lines().count() > 3);
        let raw =
            run("get --raw /apis/metrics.k8s.io/v1beta1/namespaces/kube-system/pods/metrics-server", "");
        let raw: Value = serde_json::from_str(&raw).unwrap();
        assert_eq!(raw["containers"][0]["usage"]["cpu"], "60m");
        assert_eq!(raw["metadata"]["labels"]["app"], "metrics-server");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_server_is_away_is_unavailable_and_one_that_is_not_played_says_so() {
    let cluster = Cluster::start().await;
    let Some(kubectl) = kubectls().pop() else { return };
    run(&kubectl, &cluster, "apply -f -", METRICS_SERVER);
    let ready = "wait apiservice/v1beta1.metrics.k8s.io --for=condition=Available --timeout=60s";
    run(&kubectl, &cluster, ready, "");
    run(&kubectl, &cluster, "delete pod metrics-server -n kube-system --timeout=60s", "");
    let gone = "wait apiservice/v1beta1.metrics.k8s.io --for=condition=Available=False --timeout=60s";
    run(&kubectl, &cluster, gone, "");
    let refused = |path: &str| attempt(&kubectl, &cluster, &format!("get --raw {path}"), "").2;
    let said = refused("/apis/metrics.k8s.io/v1beta1/nodes");
    assert!(said.contains("currently unable to handle the request"), "{said}");
    let other = METRICS_SERVER.replace("v1beta1.metrics.k8s.io", "v1beta1.custom.metrics.k8s.io");
    let other = other.replace("group: metrics.k8s.io", "group: custom.metrics.k8s.io");
    run(&kubectl, &cluster, "apply -f -", &other);
    let ready = "wait apiservice/v1beta1.custom.metrics.k8s.io --for=condition=Available --timeout=60s";
    run(&kubectl, &cluster, ready, "");
    let said = refused("/apis/custom.metrics.k8s.io/v1beta1/nodes");
    assert!(said.contains("does not support the aggregated API"), "{said}");
}
