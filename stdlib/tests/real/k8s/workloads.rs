//! Waiting, scaling, rollouts, nodes and drains: the controllers of the cluster do their part.

use aegis_engine::function::Probe;
use aegis_sandbox::Options;
use aegis_sandbox::controllers::settings::{Effect, Rule};
use serde_json::{Value, json};

use super::{World, deployment};

async fn ready(world: &World, target: &str) -> Value {
    world.ok("wait", json!({ "target": target, "namespace": "shop", "timeout": "30s" })).await
}

#[tokio::test]
async fn wait_holds_until_the_workload_is_there_and_tells_how_far_it_is() {
    let world = World::new().await;
    world.apply(deployment("web", 3)).await;
    let object = ready(&world, "deployment/web").await;
    assert_eq!(object["status"]["availableReplicas"], 3);
    let pods = world.ok("wait", json!({ "target": "pods", "selector": "app=web", "namespace": "shop", "until": "status.phase == \"Running\"" })).await;
    assert_eq!(pods.as_array().unwrap().len(), 3);
    let condition = json!({ "target": "deploy/web", "namespace": "shop", "until": "Available" });
    assert_eq!(world.ok("wait", condition).await["metadata"]["name"], "web");
}

#[tokio::test]
async fn a_wait_that_runs_out_says_which_pods_and_why() {
    let world = World::new().await;
    let mut broken = deployment("web", 1);
    broken["spec"]["template"]["spec"]["containers"][0]["image"] = json!("registry.local/web:bad");
    world.apply(broken).await;
    world
        .ok(
            "wait",
            json!({ "target": "pods", "selector": "app=web", "namespace": "shop",
        "until": "status.containerStatuses[0].state.waiting.reason" }),
        )
        .await;
    let error =
        world.fails("wait", json!({ "target": "deploy/web", "namespace": "shop", "timeout": "1s" })).await;
    assert_eq!(error.code, "A0309");
    assert!(error.message.starts_with("deployment/web in shop is not ready after 1s: "), "{}", error.message);
    assert!(error.message.contains("ImagePull"), "{}", error.message);
}

#[tokio::test]
async fn a_job_that_fails_is_not_waited_for() {
    let mut options = Options::default();
    options.settings.rules.push(Rule::command("exit 1", Effect::Exits(1)));
    let world = World::with(options).await;
    let job = |name: &str, command: &str| {
        json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name },
        "spec": { "backoffLimit": 0, "template": { "spec": { "restartPolicy": "Never",
            "containers": [{ "name": "c", "image": "registry.local/job:1", "command": ["sh", "-c", command] }] } } } })
    };
    world.apply(json!([job("good", "exit 0"), job("bad", "exit 1")])).await;
    ready(&world, "job/good").await;
    let error =
        world.fails("wait", json!({ "target": "job/bad", "namespace": "shop", "timeout": "30s" })).await;
    assert!(error.message.contains("will not become ready: BackoffLimitExceeded"), "{}", error.message);
}

#[tokio::test]
async fn scale_waits_and_scales_back() {
    let world = World::new().await;
    world.apply(deployment("web", 1)).await;
    ready(&world, "deploy/web").await;
    let arguments = json!({ "target": "deploy/web", "replicas": 3, "namespace": "shop" });
    let plan = world.plan("scale", arguments.clone()).await;
    assert_eq!(plan.summary, "scale deployment/web in shop from 1 to 3");
    assert!(matches!(world.probe("scale", arguments.clone(), &plan).await, Probe::DidNotHappen));
    let scaled = world.ok("scale", arguments.clone()).await;
    assert_eq!(scaled["status"]["availableReplicas"], 3);
    assert!(matches!(world.probe("scale", arguments, &plan).await, Probe::Happened(_)));
    world.undo(&plan).await;
    assert_eq!(world.get("deploy/web").await["spec"]["replicas"], 1);
    let error = world
        .fails("scale", json!({ "target": "cm/kube-root-ca.crt", "replicas": 3, "namespace": "shop" }))
        .await;
    assert!(error.message.contains("cannot be scaled"), "{}", error.message);
}

#[tokio::test]
async fn a_rollout_goes_forward_and_back() {
    let world = World::new().await;
    world.apply(deployment("web", 2)).await;
    ready(&world, "deploy/web").await;
    let at = |extra: Value| {
        let mut arguments = json!({ "target": "deploy/web", "namespace": "shop" });
        arguments.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        arguments
    };
    let image = |object: &Value| object["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    let arguments = at(json!({ "images": { "web": "registry.local/web:2" } }));
    let plan = world.plan("set_image", arguments.clone()).await;
    assert!(matches!(world.probe("set_image", arguments.clone(), &plan).await, Probe::DidNotHappen));
    assert_eq!(image(&world.ok("set_image", arguments.clone()).await), "registry.local/web:2");
    assert!(matches!(world.probe("set_image", arguments, &plan).await, Probe::Happened(_)));

    let status = world.ok("rollout_status", at(json!({}))).await;
    assert_eq!((&status["done"], &status["revision"]), (&json!(true), &json!(2)));
    let history = world.ok("rollout_history", at(json!({}))).await;
    let images: Vec<&Value> = history.as_array().unwrap().iter().map(|line| &line["images"][0]).collect();
    assert_eq!(images, ["registry.local/web:1", "registry.local/web:2"]);

    let back = world.plan("rollout_undo", at(json!({}))).await;
    assert_eq!(back.summary, "roll deployment/web in shop back to revision 1");
    assert!(matches!(world.probe("rollout_undo", at(json!({})), &back).await, Probe::DidNotHappen));
    assert_eq!(image(&world.ok("rollout_undo", at(json!({}))).await), "registry.local/web:1");
    assert!(matches!(world.probe("rollout_undo", at(json!({})), &back).await, Probe::Happened(_)));
    world.undo(&back).await;
    assert_eq!(image(&world.get("deploy/web").await), "registry.local/web:2");
    let error = world.fails("rollout_undo", at(json!({ "revision": 99 }))).await;
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("A0306", "deployment/web in shop has no revision 99")
    );
}

#[tokio::test]
async fn a_restart_replaces_every_pod_once() {
    let world = World::new().await;
    world.apply(deployment("web", 2)).await;
    ready(&world, "deploy/web").await;
    let uids = |pods: Value| -> Vec<String> {
        pods.as_array().unwrap().iter().map(|pod| pod["metadata"]["uid"].to_string()).collect()
    };
    let list = json!({ "kind": "pods", "selector": "app=web", "namespace": "shop" });
    let before = uids(world.ok("list", list.clone()).await);
    let arguments = json!({ "target": "deploy/web", "namespace": "shop" });
    let plan = world.plan("rollout_restart", arguments.clone()).await;
    assert_eq!(plan.summary, "restart deployment/web in shop (2 pods)");
    assert!(matches!(world.probe("rollout_restart", arguments.clone(), &plan).await, Probe::DidNotHappen));
    world.ok("rollout_restart", arguments.clone()).await;
    assert!(matches!(world.probe("rollout_restart", arguments, &plan).await, Probe::Happened(_)));
    let gone = json!({ "target": "pods", "selector": "app=web", "namespace": "shop", "until": "status.phase == Running" });
    world.ok("wait", gone).await;
    let after = uids(world.ok("list", list).await);
    assert!(after.iter().all(|uid| !before.contains(uid)), "{before:?} {after:?}");
}

#[tokio::test]
async fn revisions_of_stateful_sets_are_found_too() {
    let world = World::new().await;
    let mut set = deployment("db", 2);
    set["kind"] = json!("StatefulSet");
    set["spec"]["serviceName"] = json!("db");
    world.apply(set).await;
    ready(&world, "sts/db").await;
    let arguments =
        json!({ "target": "sts/db", "namespace": "shop", "images": { "web": "registry.local/web:2" } });
    world.ok("set_image", arguments).await;
    let undone = world.ok("rollout_undo", json!({ "target": "sts/db", "namespace": "shop" })).await;
    assert_eq!(undone["spec"]["template"]["spec"]["containers"][0]["image"], "registry.local/web:1");
}

#[tokio::test]
async fn nodes_are_cordoned_and_tainted_and_put_back() {
    let world = World::new().await;
    let nodes = world.ok("nodes", json!({ "selector": "!node-role.kubernetes.io/control-plane" })).await;
    assert_eq!(nodes.as_array().unwrap().len(), 6);
    assert_eq!((&nodes[0]["name"], &nodes[0]["ready"]), (&json!("worker-1"), &json!(true)));
    // A node keeps its first taint for a moment after it is ready.
    while world.get("node/worker-2").await.pointer("/spec/taints").is_some() {
        tokio::task::yield_now().await;
    }
    let changes = [
        ("cordon", json!({ "node": "worker-1" }), "/spec/unschedulable", json!(true)),
        (
            "taint",
            json!({ "node": nodes[1], "taints": "drill=yes:NoSchedule" }),
            "/spec/taints/0/key",
            json!("drill"),
        ),
    ];
    for (function, arguments, pointer, value) in changes {
        let plan = world.plan(function, arguments.clone()).await;
        assert!(matches!(world.probe(function, arguments.clone(), &plan).await, Probe::DidNotHappen));
        let node = world.ok(function, arguments.clone()).await;
        assert_eq!(node.pointer(pointer), Some(&value), "{node}");
        assert!(matches!(world.probe(function, arguments.clone(), &plan).await, Probe::Happened(_)));
        world.undo(&plan).await;
        let target = format!("node/{}", node["metadata"]["name"].as_str().unwrap());
        assert_eq!(world.get(&target).await.pointer(pointer), None);
    }
    let error = world.fails("cordon", json!({ "node": "worker-11" })).await;
    assert_eq!(error.code, "A0306");
    assert!(error.hint.unwrap().starts_with("did you mean `worker-"));
}

/// The node of the first pod of `web`.
async fn node_of(world: &World) -> String {
    let pods = world.ok("list", json!({ "kind": "pods", "selector": "app=web", "namespace": "shop" })).await;
    pods[0]["spec"]["nodeName"].as_str().unwrap().to_owned()
}

fn budget(minimum: Value) -> Value {
    json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "web" },
        "spec": { "minAvailable": minimum, "selector": { "matchLabels": { "app": "web" } } } })
}

#[tokio::test]
async fn a_drain_moves_the_pods_as_their_budget_allows() {
    let world = World::new().await;
    world.apply(json!([deployment("web", 3), budget(json!(2))])).await;
    ready(&world, "deploy/web").await;
    world
        .ok(
            "wait",
            json!({ "target": "pdb/web", "namespace": "shop", "until": "status.disruptionsAllowed == 1" }),
        )
        .await;
    let node = node_of(&world).await;
    let arguments = json!({ "node": node, "timeout": "30s", "delete_empty_dir": true });
    let preflight = world.ok("drain_preflight", arguments.clone()).await;
    assert_eq!(preflight["drainable"], true, "{preflight}");
    let plan = world.plan("drain", arguments.clone()).await;
    assert!(matches!(world.probe("drain", arguments.clone(), &plan).await, Probe::DidNotHappen));
    let drained = world.ok("drain", arguments.clone()).await;
    assert!(drained["evicted"].as_u64().unwrap() >= 1, "{drained}");
    assert!(matches!(world.probe("drain", arguments, &plan).await, Probe::Happened(_)));
    let fields = format!("spec.nodeName={node}");
    let left = world.ok("list", json!({ "kind": "pods", "namespace": "shop", "fields": fields })).await;
    assert_eq!(left, json!([]));
    world.undo(&plan).await;
    assert_eq!(world.get(&format!("node/{node}")).await["spec"]["unschedulable"], json!(null));
}

#[tokio::test]
async fn what_blocks_a_drain_is_told_before_anything_is_touched() {
    let world = World::new().await;
    world.apply(json!([deployment("web", 2), budget(json!(2))])).await;
    ready(&world, "deploy/web").await;
    world
        .ok("wait", json!({ "target": "pdb/web", "namespace": "shop", "until": "status.expectedPods == 2" }))
        .await;
    let node = node_of(&world).await;
    let error = world.fails("drain", json!({ "node": node })).await;
    assert_eq!(error.code, "A0311");
    assert!(error.message.contains("disruption budget `web` wants 2 of 2 pods healthy"), "{}", error.message);
    assert_eq!(world.get(&format!("node/{node}")).await["spec"]["unschedulable"], json!(null));
}

#[tokio::test]
async fn a_spent_budget_is_waited_for_and_named() {
    let world = World::new().await;
    world.apply(json!([deployment("web", 2), budget(json!(2))])).await;
    ready(&world, "deploy/web").await;
    world
        .ok("wait", json!({ "target": "pdb/web", "namespace": "shop", "until": "status.expectedPods == 2" }))
        .await;
    let pods = world.ok("list", json!({ "kind": "pods", "selector": "app=web", "namespace": "shop" })).await;
    let error = world.fails("evict", json!({ "pod": pods[0], "timeout": "1s" })).await;
    assert_eq!(error.code, "A0311");
    assert!(error.message.contains("disruption budget web needs 2 healthy pods"), "{}", error.message);
    // The budget is widened, and the pod may go.
    world.apply(budget(json!(1))).await;
    let evicted = world.ok("evict", json!({ "pod": pods[0], "timeout": "30s" })).await;
    assert_eq!(evicted["action"], "evicted");
}

#[tokio::test]
async fn use_is_read_from_the_metrics_api_the_busiest_first() {
    let world = World::new().await;
    let error = world.fails("top", json!({ "kind": "nodes" })).await;
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("A0306", "the cluster has no metrics of `nodes`")
    );
    // Objects of the shape metrics-server serves, by a definition in its place.
    let definition = json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "nodes.metrics.k8s.io", "annotations": { "api-approved.kubernetes.io": "unapproved, a test" } },
        "spec": { "group": "metrics.k8s.io", "scope": "Cluster", "names": { "plural": "nodes", "singular": "node", "kind": "NodeMetrics" },
            "versions": [{ "name": "v1beta1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } } }] } });
    let metrics = |name: &str, cpu: &str| {
        json!({ "apiVersion": "metrics.k8s.io/v1beta1", "kind": "NodeMetrics",
        "metadata": { "name": name }, "usage": { "cpu": cpu, "memory": "1Gi" } })
    };
    world.apply(json!([definition, metrics("worker-1", "250m"), metrics("worker-2", "1500m")])).await;
    let top = world.ok("top", json!({ "kind": "nodes" })).await;
    assert_eq!(top[0], json!({ "name": "worker-2", "namespace": null, "cpu": 1.5, "memory": 1_073_741_824 }));
    assert_eq!(top[1]["cpu"], 0.25);
}

#[tokio::test]
async fn a_wait_is_woken_by_what_it_waits_for() {
    let world = World::new().await;
    let begun = std::time::Instant::now();
    for (until, selector) in [("Exists", None), ("Deleted", None), ("Exists", Some("app=late"))] {
        let target = if selector.is_some() { "configmaps" } else { "configmap/late" };
        let wait = world.ok(
            "wait",
            json!({ "target": target, "namespace": "shop", "until": until, "selector": selector }),
        );
        let change = async {
            // The wait has looked and watches by now, or finds the change at its first look: both are right.
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            if until == "Deleted" {
                world.ok("delete", json!({ "target": "configmap/late", "namespace": "shop" })).await;
            } else {
                world
                    .apply(json!({ "apiVersion": "v1", "kind": "ConfigMap",
                        "metadata": { "name": "late", "labels": { "app": "late" } } }))
                    .await;
            }
        };
        tokio::join!(wait, change);
    }
    // Without the watch each of them would look again after half a minute only.
    assert!(begun.elapsed() < std::time::Duration::from_secs(25));
}
