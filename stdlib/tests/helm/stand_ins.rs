//! Stand-ins: releases on the sandbox where helm or the chart cannot be had, and what is said where none is declared.

use serde_json::{Value, json};

use super::{Tool, World, pick, release, unreachable, web};

#[tokio::test]
async fn a_stand_in_is_a_whole_release_without_helm() {
    let world = World::with(Tool::None).await;
    let first = world.call("helm::install", unreachable(json!({ "values": { "a": 1 } }))).await;
    let told = pick(&first, &["stand_in", "status", "revision", "chart"]);
    assert_eq!(told, [&json!(true), &json!("deployed"), &json!(1), &json!("web-v1.2.3")]);
    let deployment = world.call("k8s::get", json!({ "target": "deployment/web", "namespace": "shop" })).await;
    assert_eq!(deployment["status"]["readyReplicas"], 2);
    assert_eq!(deployment["metadata"]["annotations"]["meta.helm.sh/release-name"], "web");
    assert_eq!(deployment["metadata"]["labels"]["app.kubernetes.io/managed-by"], "Helm");
    assert!(world.exists("gizmos.example.com/one").await);

    let fewer =
        json!({ "provides": { "workloads": [{ "name": "web", "replicas": 1 }] }, "values": { "a": 2 } });
    assert_eq!(world.call("helm::install", unreachable(fewer)).await["revision"], 2);
    assert!(!world.exists("statefulset/store").await);
    assert_eq!(world.call("helm::values", release()).await, json!({ "a": 2 }));

    let back = world.call("helm::rollback", json!({ "name": "web", "namespace": "shop" })).await;
    assert_eq!(pick(&back, &["revision", "stand_in"]), [&json!(3), &json!(true)]);
    assert!(world.exists("statefulset/store").await);
    let history = world.call("helm::history", release()).await;
    let states: Vec<&str> =
        history.as_array().unwrap().iter().map(|r| r["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["superseded", "superseded", "deployed"]);
    assert_eq!(world.call("helm::test", release()).await["stand_in"], true);

    world.call("helm::uninstall", release()).await;
    assert!(!world.exists("deployment/web").await);
    assert_eq!(world.call("helm::list", json!({ "all_namespaces": true })).await, json!([]));
}

#[tokio::test]
async fn real_helm_reads_and_removes_a_stand_in() {
    for helm in ["helm3", "helm4"] {
        let world = World::with(Tool::None).await;
        world.call("helm::install", unreachable(json!({ "values": { "a": 1 } }))).await;
        let list: Value = serde_json::from_str(&world.by_hand(helm, &["list", "-A", "-o", "json"])).unwrap();
        assert_eq!(
            pick(&list[0], &["name", "status", "chart"]),
            [&json!("web"), &json!("deployed"), &json!("web-v1.2.3")]
        );
        let values = world.by_hand(helm, &["get", "values", "web", "-n", "shop", "-o", "json"]);
        assert_eq!(serde_json::from_str::<Value>(&values).unwrap(), json!({ "a": 1 }));
        assert!(world.by_hand(helm, &["get", "manifest", "web", "-n", "shop"]).contains("kind: DaemonSet"));
        world.by_hand(helm, &["uninstall", "web", "-n", "shop"]);
        assert_eq!(world.call("helm::list", json!({ "all_namespaces": true })).await, json!([]));
    }
}

#[tokio::test]
async fn a_stand_in_that_does_not_become_ready_is_taken_back() {
    let world = World::with(Tool::None).await;
    let bad =
        json!({ "provides": { "workloads": [{ "name": "web", "image": "web:bad" }] }, "timeout": "2s" });
    let error = world.fails("helm::install", unreachable(bad)).await;
    assert_eq!(error.code, "A0403");
    assert!(
        error.message.contains("the stand-in is not ready after 2s: deployment/web: "),
        "{}",
        error.message
    );
    assert!(!world.exists("deployment/web").await);
    assert_eq!(world.call("helm::install", unreachable(json!({}))).await["revision"], 1);
}

#[tokio::test]
async fn a_stand_in_takes_the_place_of_a_chart_whose_repository_cannot_be_reached() {
    let world = World::with(Tool::Three).await;
    let answer =
        world.call("helm::install", unreachable(json!({ "repository": "http://127.0.0.1:9" }))).await;
    assert_eq!(answer["stand_in"], true);
}

#[tokio::test]
async fn without_helm_and_without_a_declaration_the_error_says_what_to_install() {
    let world = World::with(Tool::None).await;
    let error = world.fails("helm::install", web(json!({}))).await;
    assert_eq!(error.code, "A0401");
    let error = world.fails("helm::template", json!({ "name": "web", "chart": "./charts/web" })).await;
    assert_eq!(error.code, "A0401");
    assert!(error.hint.unwrap().contains("brew install helm"));
}

#[tokio::test]
async fn a_plan_of_a_stand_in_says_why() {
    let mut world = World::with(Tool::None).await;
    world.planning();
    let plan = world.bench.plan("helm::install", unreachable(json!({}))).await.unwrap();
    assert!(plan.summary.contains("; stand-in, because helm is not installed"), "{}", plan.summary);
    assert_eq!(plan.predicted["stand_in"], true);
    assert!(world.exists("gizmos.example.com/one").await);
    world.planning();
    assert_eq!(world.call("helm::list", json!({ "all_namespaces": true })).await, json!([]));
}
