//! A release from its first revision to its end: installed, upgraded, rolled back, tested, planned, removed, by helm 3
//! and helm 4 alike.

use serde_json::{Value, json};

use super::{Tool, World, pick, release, web};

async fn a_release_lives_and_dies(tool_: Tool) {
    let world = World::with(tool_).await;
    let first = world.call("helm::install", web(json!({ "values": { "replicas": 2 } }))).await;
    let told = pick(&first, &["revision", "status", "chart", "version", "stand_in", "digest"]);
    assert_eq!(
        told,
        [&json!(1), &json!("deployed"), &json!("web-0.1.0"), &json!("0.1.0"), &json!(false), &Value::Null]
    );
    let deployment = world.call("k8s::get", json!({ "target": "deployment/web", "namespace": "shop" })).await;
    assert_eq!(deployment["status"]["readyReplicas"], 2);

    let second =
        world.call("helm::install", web(json!({ "values": { "replicas": 2, "greeting": "salut" } }))).await;
    assert_eq!(second["revision"], 2);
    assert_eq!(world.call("helm::values", release()).await, json!({ "replicas": 2, "greeting": "salut" }));

    let back =
        world.call("helm::rollback", json!({ "name": "web", "namespace": "shop", "revision": 1 })).await;
    assert_eq!(pick(&back, &["revision", "status"]), [&json!(3), &json!("deployed")]);
    let config = world.call("k8s::get", json!({ "target": "configmap/web", "namespace": "shop" })).await;
    assert_eq!(config["data"]["greeting"], "hello");

    let history = world.call("helm::history", release()).await;
    let states: Vec<&str> =
        history.as_array().unwrap().iter().map(|r| r["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["superseded", "superseded", "deployed"]);
    let all = world.call("helm::list", json!({ "all_namespaces": true })).await;
    assert_eq!(pick(&all[0], &["name", "namespace", "revision"]), [&json!("web"), &json!("shop"), &json!(3)]);
    let status = world.call("helm::status", release()).await;
    assert_eq!(
        pick(&status, &["status", "pending", "not_ready"]),
        [&json!("deployed"), &json!(false), &json!([])]
    );

    let gone = world.call("helm::uninstall", release()).await;
    assert_eq!(gone["action"], "uninstalled");
    assert!(!world.exists("deployment/web").await);
    assert_eq!(world.call("helm::uninstall", release()).await["action"], "absent");
    assert_eq!(world.fails("helm::status", release()).await.code, "A0306");
}

#[tokio::test]
async fn a_release_lives_and_dies_with_helm_3() {
    a_release_lives_and_dies(Tool::Three).await;
}

#[tokio::test]
async fn a_release_lives_and_dies_with_helm_4() {
    a_release_lives_and_dies(Tool::Four).await;
}

async fn what_is_not_ready_is_told(tool_: Tool) {
    let world = World::with(tool_).await;
    let bad = json!({ "values": { "image": "registry.example.com/web:bad" }, "timeout": "8s" });
    let error = world.fails("helm::install", web(bad)).await;
    assert_eq!(error.code, "A0403", "{error:?}");
    assert!(error.message.starts_with("`helm upgrade` failed: "), "{}", error.message);
    assert!(error.message.contains("not ready: deployment/web: "), "{}", error.message);
    assert!(!world.exists("deployment/web").await, "an atomic install leaves nothing");
    let again = world.call("helm::install", web(json!({}))).await;
    assert_eq!(again["status"], "deployed");
}

#[tokio::test]
async fn what_is_not_ready_is_told_with_helm_3() {
    what_is_not_ready_is_told(Tool::Three).await;
}

#[tokio::test]
async fn what_is_not_ready_is_told_with_helm_4() {
    what_is_not_ready_is_told(Tool::Four).await;
}

async fn a_plan_shows_the_diff_and_later_reads_see_it(tool_: Tool) {
    let mut world = World::with(tool_).await;
    world.call("helm::install", web(json!({ "values": { "password": "first-password" } }))).await;
    world.planning();
    let next = web(json!({ "values": { "greeting": "salut", "password": "second-password" } }));
    let plan = world.bench.plan("helm::install", next.clone()).await.unwrap();
    assert_eq!(
        plan.summary,
        "upgrade `web` in `shop` from web 0.1.0 to web 0.1.0 (revision 1): 2 objects changed"
    );
    let diff = plan.diff.unwrap();
    assert!(diff.contains("-  greeting: hello\n+  greeting: salut\n"), "{diff}");
    assert!(diff.contains("*** (changed)"), "{diff}");
    let undo = plan.undo.unwrap();
    assert_eq!((undo.function.as_str(), &undo.arguments["revision"]), ("helm::rollback", &json!(1)));
    assert_eq!(plan.predicted["revision"], 2);
    assert_eq!(world.call("helm::status", release()).await["revision"], 2);
    let config = world.call("k8s::get", json!({ "target": "configmap/web", "namespace": "shop" })).await;
    assert_eq!(config["data"]["greeting"], "salut");

    world.planning();
    assert_eq!(world.call("helm::status", release()).await["revision"], 1, "nothing was written");
    let difference = world.call("helm::diff", next).await;
    assert_eq!(difference["changed"], json!(["configmap/web", "secret/web"]));
    let same =
        world.bench.plan("helm::install", web(json!({ "values": { "password": "first-password" } }))).await;
    assert!(same.unwrap().unchanged);
}

#[tokio::test]
async fn a_plan_shows_the_diff_and_later_reads_see_it_with_helm_3() {
    a_plan_shows_the_diff_and_later_reads_see_it(Tool::Three).await;
}

#[tokio::test]
async fn a_plan_shows_the_diff_and_later_reads_see_it_with_helm_4() {
    a_plan_shows_the_diff_and_later_reads_see_it(Tool::Four).await;
}

#[tokio::test]
async fn a_plan_of_a_first_install_brings_definitions_and_namespace() {
    let mut world = World::with(Tool::Three).await;
    world.planning();
    let plan = world.bench.plan("helm::install", web(json!({}))).await.unwrap();
    assert_eq!(plan.summary, "install web 0.1.0 as `web` in `shop`: 1 kind defined, 4 objects added");
    assert_eq!(plan.undo.unwrap().function, "helm::uninstall");
    let gadget = json!({ "manifest": {
        "apiVersion": "example.com/v1", "kind": "Gadget", "metadata": { "name": "g", "namespace": "shop" },
    } });
    assert!(world.bench.plan("k8s::apply", gadget).await.is_ok());
    for target in ["namespace/shop", "deployment/web", "customresourcedefinition/gadgets.example.com"] {
        assert!(world.exists(target).await, "{target}");
    }
    world.planning();
    for target in ["namespace/shop", "deployment/web"] {
        assert!(!world.exists(target).await, "{target} was only planned");
    }
}

#[tokio::test]
async fn the_tests_of_a_chart_run_in_the_cluster() {
    for tool_ in [Tool::Three, Tool::Four] {
        let world = World::with(tool_).await;
        world.call("helm::install", web(json!({}))).await;
        let answer =
            world.call("helm::test", json!({ "name": "web", "namespace": "shop", "timeout": "60s" })).await;
        assert_eq!(pick(&answer, &["passed", "stand_in"]), [&json!(true), &json!(false)]);
    }
}
