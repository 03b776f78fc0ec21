//! Faults as their users meet them: objects that kubectl lists and deletes, and an API that fails on purpose.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Cluster;
use crate::tools::{kubectls, run};

const FAULTS: &str = "/apis/sandbox.aegis.dev/v1/faults";

const MAP: &str = "/api/v1/namespaces/default/configmaps/a";

async fn add(cluster: &Cluster, name: &str, spec: Value) -> Value {
    let fault = json!({"apiVersion": "sandbox.aegis.dev/v1", "kind": "Fault", "metadata": {"name": name}, "spec": spec});
    cluster.sandbox.ask("POST", FAULTS, Some(&fault)).await.unwrap().1
}

async fn clear(cluster: &Cluster, name: &str) {
    let (code, _) = cluster.sandbox.ask("DELETE", &format!("{FAULTS}/{name}"), None).await.unwrap();
    assert_eq!(code, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_refused_dropped_and_delayed_until_the_fault_is_cleared() {
    let cluster = Cluster::start().await;
    let spec = |error: &str| json!({"kind": "api-error", "error": error, "verbs": ["get"], "resources": ["configmaps"]});
    let get = || cluster.sandbox.ask("GET", MAP, None);
    for (code, reason) in [(429, "TooManyRequests"), (500, "InternalError"), (503, "ServiceUnavailable")] {
        add(&cluster, "bad", spec(&code.to_string())).await;
        let (answered, body) = get().await.unwrap();
        assert_eq!((answered, &body["reason"]), (code, &json!(reason)));
        assert_eq!(body["details"]["retryAfterSeconds"] == 1, code != 500);
        // Other verbs pass.
        let (list, _) =
            cluster.sandbox.ask("GET", "/api/v1/namespaces/default/configmaps", None).await.unwrap();
        assert_eq!(list, 200);
        clear(&cluster, "bad").await;
        assert_eq!(get().await.unwrap().0, 404);
    }
    add(&cluster, "bad", spec("reset")).await;
    assert!(get().await.is_err(), "the connection held");
    clear(&cluster, "bad").await;
    let mut slow = spec("slow");
    slow["delay"] = "300ms".into();
    add(&cluster, "bad", slow).await;
    let before = Instant::now();
    assert_eq!(get().await.unwrap().0, 404);
    assert!(before.elapsed() >= Duration::from_millis(300));
    clear(&cluster, "bad").await;
    let mut timeout = spec("timeout");
    timeout["delay"] = "10ms".into();
    add(&cluster, "bad", timeout).await;
    assert_eq!(get().await.unwrap().0, 504);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_makes_no_sense_is_refused_with_what_it_needs() {
    let cluster = Cluster::start().await;
    let refused = |answer: Value| {
        assert_eq!(answer["kind"], "Status");
        answer["message"].as_str().unwrap().to_owned()
    };
    let said = refused(add(&cluster, "a", json!({"kind": "node-kill"})).await);
    assert!(said.contains("node-kill needs node or zone"), "{said}");
    let said =
        refused(add(&cluster, "a", json!({"kind": "node-kill", "node": "worker-1", "rate": 0.5})).await);
    assert!(said.contains("rate is for api-error"), "{said}");
    let said =
        refused(add(&cluster, "a", json!({"kind": "quota-full", "namespace": "a", "lasts": "soon"})).await);
    assert!(said.contains("spec.lasts"), "{said}");
    let said = refused(add(&cluster, "a", json!({"kind": "gremlins"})).await);
    assert!(said.contains("Unsupported value"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_lists_and_deletes_faults_and_a_cluster_without_any_shows_no_trace() {
    let cluster = Cluster::start().await;
    let Some(kubectl) = kubectls().pop() else { return };
    assert!(!run(&kubectl, &cluster, "api-resources", "").contains("sandbox.aegis.dev"));
    add(&cluster, "dead", json!({"kind": "node-kill", "node": "worker-1"})).await;
    let listed = run(&kubectl, &cluster, "get faults --no-headers", "");
    assert!(listed.starts_with("dead   node-kill"), "{listed}");
    run(
        &kubectl,
        &cluster,
        "wait node/worker-1 --for=jsonpath={.metadata.annotations.sandbox\\.aegis\\.dev/fault}=node-kill --timeout=60s",
        "",
    );
    run(&kubectl, &cluster, "delete fault dead --timeout=60s", "");
}
