//! Plan mode: nothing is sent that changes anything, and later steps see what earlier ones would have made.

use serde_json::json;

use super::{World, deployment, settings};

#[tokio::test]
async fn a_plan_sees_its_own_earlier_steps_and_changes_nothing() {
    let mut world = World::new().await;
    world.planning();
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "new" } });
    let plan = world.plan("apply", json!({ "manifest": namespace })).await;
    assert_eq!(plan.predicted[0]["action"], "created");
    let plan = world.plan("apply", json!({ "manifest": deployment("web", 2), "namespace": "new" })).await;
    assert!(plan.diff.unwrap().starts_with("# an estimate"), "the namespace is only planned");
    let at = |target: &str| json!({ "target": target, "namespace": "new" });
    assert_eq!(world.ok("get", at("deploy/web")).await["spec"]["replicas"], 2);
    assert_eq!(world.ok("exists", at("deploy/web")).await, true);
    assert_eq!(world.ok("wait", at("deploy/web")).await["metadata"]["name"], "web");
    let plan =
        world.plan("scale", json!({ "target": "deploy/web", "namespace": "new", "replicas": 5 })).await;
    assert_eq!(plan.summary, "scale deployment/web in new from 2 to 5");
    let listed = world.ok("list", json!({ "kind": "deployments", "namespace": "new" })).await;
    assert_eq!(listed[0]["spec"]["replicas"], 5);
    world.plan("delete", at("deploy/web")).await;
    assert_eq!(world.ok("exists", at("deploy/web")).await, false);
    world.running();
    assert!(!world.exists("namespace/new").await);
}

#[tokio::test]
async fn a_kind_that_is_only_planned_can_be_planned_with() {
    let mut world = World::new().await;
    world.planning();
    let crd = json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.example.com" },
        "spec": { "group": "example.com", "scope": "Namespaced", "names": { "plural": "widgets", "singular": "widget", "kind": "Widget" },
            "versions": [{ "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } } }] } });
    world.plan("apply", json!({ "manifest": crd })).await;
    let widget = json!({ "apiVersion": "example.com/v1", "kind": "Widget", "metadata": { "name": "w", "namespace": "shop" } });
    world.plan("apply", json!({ "manifest": widget })).await;
    assert_eq!(world.get("widgets.example.com/w").await["kind"], "Widget");
    // A kind that an earlier step brings by other means (a chart) is taken on trust.
    let gadget = json!({ "apiVersion": "other.example/v1", "kind": "Gadget", "metadata": { "name": "g", "namespace": "shop" } });
    let plan = world.plan("apply", json!({ "manifest": gadget })).await;
    assert_eq!(plan.summary, "apply gadget/g in shop (created)");
    world.ok("wait", json!({ "target": "gadgets.other.example/g", "namespace": "shop" })).await;
    world.running();
    let error = world.fails("apply", json!({ "manifest": gadget })).await;
    assert_eq!(error.message, "the cluster serves no kind `Gadget` in `other.example/v1`");
}

#[tokio::test]
async fn in_plan_mode_no_function_can_change_the_cluster_even_when_performed() {
    let mut world = World::new().await;
    world.apply(json!([settings("fast"), deployment("web", 1)])).await;
    world.planning();
    let at = |target: &str| json!({ "target": target, "namespace": "shop" });
    let mut scale = at("deploy/web");
    scale["replicas"] = json!(0);
    let mut patch = at("cm/settings");
    patch["patch"] = json!({ "data": { "mode": "slow" } });
    let mut label = at("deploy/web");
    label["values"] = json!({ "a": "b" });
    let calls = [
        ("apply", json!({ "manifest": settings("slow") })),
        (
            "create",
            json!({ "object": { "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "x", "namespace": "shop" } } }),
        ),
        ("scale", scale),
        ("patch", patch),
        ("label", label),
        ("delete", at("cm/settings")),
        ("cordon", json!({ "node": "worker-1" })),
        ("rollout_restart", at("deploy/web")),
    ];
    for (function, arguments) in calls {
        let error = world.fails(function, arguments).await;
        assert!(error.message.starts_with("a plan does not "), "{function}: {}", error.message);
    }
    world.running();
    assert_eq!(world.get("cm/settings").await["data"]["mode"], "fast");
}

#[tokio::test]
async fn a_diff_is_the_servers_own_and_stores_nothing() {
    let world = World::new().await;
    world.apply(settings("fast")).await;
    let diff = world.ok("diff", json!({ "manifest": settings("slow") })).await;
    assert_eq!(diff["changed"], true);
    let text = diff["diff"].as_str().unwrap();
    assert!(
        text.starts_with("--- live configmap/settings in shop\n+++ planned configmap/settings in shop\n"),
        "{text}"
    );
    assert_eq!(world.ok("diff", json!({ "manifest": settings("fast") })).await["changed"], false);
    assert_eq!(world.get("cm/settings").await["data"]["mode"], "fast");
}
