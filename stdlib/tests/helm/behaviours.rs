//! What real charts do besides objects, with a chart of our own (`charts/station`) that does all of it at once: hook
//! Jobs that make a Secret and patch a webhook, a webhook that refuses while its server is not there, a definition in
//! `crds/` and one too large for any annotation, `lookup`, capabilities, claims of a StatefulSet, an autoscaler, an
//! aggregated API, a `pre-delete` hook.

use serde_json::{Value, json};

use super::{Tool, World, pick};

fn station(values: Value) -> Value {
    json!({ "name": "st", "chart": "./charts/station", "namespace": "shop", "timeout": "60s", "values": values })
}

fn release() -> Value {
    json!({ "name": "st", "namespace": "shop" })
}

async fn read(world: &World, target: &str) -> Value {
    world.call("k8s::get", json!({ "target": target, "namespace": "shop" })).await
}

fn gauge(name: &str) -> Value {
    json!({ "manifest": {
        "apiVersion": "station.example.org/v1", "kind": "Gauge",
        "metadata": { "name": name, "namespace": "shop" }, "spec": { "unit": "K" },
    } })
}

async fn a_chart_with_everything_lives_and_dies(tool: Tool) {
    let world = World::with(tool).await;
    let first = world.call("helm::install", station(json!({}))).await;
    assert_eq!(
        pick(&first, &["status", "stand_in", "notes"]),
        [&json!("deployed"), &json!(false), &json!("The station says hello.\n")]
    );

    // The Secret of the hook held the webhook's pods back until it was there, and its authority is in the webhook.
    let admission = read(&world, "secret/st-admission").await;
    assert_eq!(admission["data"].as_object().unwrap().len(), 3);
    let webhook = read(&world, "validatingwebhookconfiguration/st").await;
    assert!(webhook["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap().len() > 100);
    assert!(
        !world.exists("job/st-certificates-create").await && !world.exists("job/st-certificates-patch").await
    );
    world.call("k8s::apply", gauge("one")).await;

    let definition = read(&world, "customresourcedefinition/panels.station.example.org").await;
    assert!(definition.to_string().len() > 262_144, "it would not fit into an annotation");
    assert_eq!(read(&world, "daemonset/st-agent").await["status"]["numberReady"], 9);
    assert_eq!(read(&world, "statefulset/st-store").await["status"]["readyReplicas"], 2);
    assert_eq!(read(&world, "job/st-seed").await["status"]["succeeded"], 1);
    let capabilities = read(&world, "configmap/st-capabilities").await;
    assert_eq!(capabilities["data"]["gateways"], "false");
    let version = world.call("k8s::version", json!({})).await;
    assert_eq!(capabilities["data"]["server"], version["version"]);
    let api =
        json!({ "target": "apiservice/v1.readings.example.org", "until": "Available", "timeout": "30s" });
    world.call("k8s::wait", api).await;

    // What the chart states and a hook filled in is no conflict, and what it looks up stays.
    let password = world.by_hand("kubectl", &PASSWORD);
    let second = world.call("helm::install", station(json!({ "greeting": "salut" }))).await;
    assert_eq!(pick(&second, &["status", "revision"]), [&json!("deployed"), &json!(2)]);
    assert_eq!(world.by_hand("kubectl", &PASSWORD), password);
    let webhook = read(&world, "validatingwebhookconfiguration/st").await;
    assert!(webhook["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap().len() > 100);

    let broken = station(json!({ "image": "registry.example.com/station:bad" }));
    let mut broken_soon = broken.clone();
    broken_soon["timeout"] = json!("8s");
    assert_eq!(world.fails("helm::install", broken_soon).await.code, "A0403");
    let status = world.call("helm::status", release()).await;
    assert_eq!(pick(&status, &["status", "revision"]), [&json!("deployed"), &json!(4)], "it went back");
    assert_eq!(world.by_hand("kubectl", &PASSWORD), password);

    let back =
        world.call("helm::rollback", json!({ "name": "st", "namespace": "shop", "revision": 1 })).await;
    assert_eq!(back["status"], "deployed");
    assert_eq!(world.call("helm::test", json!({ "name": "st", "namespace": "shop" })).await["passed"], true);

    world.call("helm::uninstall", release()).await;
    for gone in ["deployment/st-webhook", "statefulset/st-store", "secret/st-password", "job/st-farewell"] {
        assert!(!world.exists(gone).await, "{gone}");
    }
    for kept in [
        "persistentvolumeclaim/data-st-store-1",
        "customresourcedefinition/panels.station.example.org",
        "customresourcedefinition/gauges.station.example.org",
        "gauges.station.example.org/one",
    ] {
        assert!(world.exists(kept).await, "{kept}");
    }
}

const PASSWORD: [&str; 6] = ["get", "secret", "st-password", "-n", "shop", "-o=jsonpath={.data.password}"];

#[tokio::test]
async fn a_chart_with_everything_lives_and_dies_with_helm_3() {
    a_chart_with_everything_lives_and_dies(Tool::Three).await;
}

#[tokio::test]
async fn a_chart_with_everything_lives_and_dies_with_helm_4() {
    a_chart_with_everything_lives_and_dies(Tool::Four).await;
}

/// A webhook whose server is not ready refuses what it watches over, as the real API server has it.
#[tokio::test]
async fn a_webhook_without_its_server_refuses() {
    let world = World::with(Tool::Three).await;
    let mut hasty = station(json!({ "image": "registry.example.com/station:bad" }));
    hasty["wait"] = json!(false);
    hasty["atomic"] = json!(false);
    world.call("helm::install", hasty).await;
    let refused = world.fails("k8s::apply", gauge("one")).await;
    assert!(refused.message.contains("failed calling webhook"), "{refused:?}");
}

#[tokio::test]
async fn a_chart_that_needs_another_kubernetes_is_refused_before_anything_happens() {
    let world = World::with(Tool::Four).await;
    let chart = world.folder.path().join("project/charts/station/Chart.yaml");
    let text = std::fs::read_to_string(&chart).unwrap().replace(">= 1.28.0-0", ">= 1.99.0-0");
    std::fs::write(&chart, text).unwrap();
    let refused = world.fails("helm::install", station(json!({}))).await;
    assert_eq!(refused.code, "A0403");
    assert!(refused.message.contains("requires kubeVersion: >= 1.99.0-0"), "{}", refused.message);
    assert_eq!(world.call("helm::list", json!({ "all_namespaces": true })).await, json!([]));
}
