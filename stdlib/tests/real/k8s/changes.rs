//! Applying, creating, patching, deleting, marking: what happens, what a probe says after, what undo brings back.

use aegis_engine::function::Probe;
use serde_json::json;

use super::{World, deployment, settings};

#[tokio::test]
async fn apply_says_what_it_did_to_each_object() {
    let world = World::new().await;
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: v\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: b\n";
    let actions = |answer: serde_json::Value| -> Vec<String> {
        answer
            .as_array()
            .unwrap()
            .iter()
            .map(|line| format!("{} {}", line["name"], line["action"]).replace('"', ""))
            .collect()
    };
    assert_eq!(actions(world.apply(json!(yaml)).await), ["a created", "b created"]);
    assert_eq!(actions(world.apply(json!(yaml)).await), ["a unchanged", "b unchanged"]);
    let changed = yaml.replace("k: v", "k: w");
    assert_eq!(actions(world.apply(json!(changed)).await), ["a configured", "b unchanged"]);
    assert_eq!(world.get("cm/a").await["data"]["k"], "w");
}

#[tokio::test]
async fn a_folder_is_applied_in_the_order_a_cluster_can_take() {
    let world = World::new().await;
    let folder = world.folder.path().join("manifests");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(
        folder.join("a.yaml"),
        "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w, namespace: late}\nspec: {size: 3}\n",
    )
    .unwrap();
    std::fs::write(folder.join("b.yaml"), "apiVersion: v1\nkind: Namespace\nmetadata: {name: late}\n")
        .unwrap();
    let crd = json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.example.com" },
        "spec": { "group": "example.com", "scope": "Namespaced",
            "names": { "plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"] },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": {
                "type": "object", "properties": { "spec": { "type": "object", "properties": { "size": { "type": "integer" } } } } } } }] } });
    std::fs::write(folder.join("c.json"), crd.to_string()).unwrap();
    let answer = world.ok("apply", json!({ "manifest": "manifests" })).await;
    assert_eq!(answer.as_array().unwrap().len(), 3);
    let widget = world.ok("get", json!({ "target": "wd/w", "namespace": "late" })).await;
    assert_eq!(widget["spec"]["size"], 3);
    // The definition was not known to discovery when the client first asked.
    let widget = world.ok("get", json!({ "target": "widgets.example.com/w", "namespace": "late" })).await;
    assert_eq!(widget["kind"], "Widget");
}

#[tokio::test]
async fn undo_of_an_apply_brings_back_what_was_and_deletes_what_was_not() {
    let world = World::new().await;
    world.apply(settings("fast")).await;
    let both = json!({ "manifest": [settings("slow"), deployment("web", 1)], "namespace": "shop" });
    let plan = world.plan("apply", both.clone()).await;
    assert_eq!(plan.summary, "apply 2 objects (1 created, 1 configured)");
    assert!(plan.diff.as_deref().unwrap().contains("-  mode: fast\n+  mode: slow\n"), "{:?}", plan.diff);
    assert!(matches!(world.probe("apply", both.clone(), &plan).await, Probe::DidNotHappen));
    world.ok("apply", both.clone()).await;
    assert!(matches!(world.probe("apply", both.clone(), &plan).await, Probe::Happened(_)));
    world.undo(&plan).await;
    assert_eq!(world.get("cm/settings").await["data"]["mode"], "fast");
    assert!(!world.exists("deploy/web").await);
    // What undo wrote is ours: applying again is no conflict.
    world.ok("apply", both).await;
    assert_eq!(world.get("cm/settings").await["data"]["mode"], "slow");
}

#[tokio::test]
async fn create_happens_once_and_is_found_again() {
    let world = World::new().await;
    let arguments = json!({ "object": settings("fast") });
    let plan = world.plan("create", arguments.clone()).await;
    assert_eq!(plan.summary, "create configmap/settings in shop");
    assert!(matches!(world.probe("create", arguments.clone(), &plan).await, Probe::DidNotHappen));
    world.ok("create", arguments.clone()).await;
    assert!(matches!(world.probe("create", arguments.clone(), &plan).await, Probe::Happened(_)));
    let error = world.fails("create", arguments).await;
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("A0307", "configmap/settings in shop exists already")
    );
    world.undo(&plan).await;
    assert!(!world.exists("cm/settings").await);

    let generated = json!({ "object": { "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "generateName": "note-", "namespace": "shop" } } });
    let plan = world.plan("create", generated.clone()).await;
    let made = world.ok("create", generated.clone()).await;
    let Probe::Happened(found) = world.probe("create", generated, &plan).await else {
        panic!("not found again")
    };
    assert_eq!(found["metadata"]["name"], made["metadata"]["name"]);
}

#[tokio::test]
async fn each_patch_type_changes_what_it_says_and_undo_takes_it_back() {
    let world = World::new().await;
    world.apply(settings("fast")).await;
    let patches = [
        json!({ "target": "cm/settings", "namespace": "shop", "patch": { "data": { "mode": "slow", "extra": "1" } } }),
        json!({ "target": "cm/settings", "namespace": "shop", "type": "json",
            "patch": [{ "op": "replace", "path": "/data/mode", "value": "slow" }] }),
        json!({ "target": "cm/settings", "namespace": "shop", "type": "strategic", "patch": { "data": { "mode": "slow" } } }),
    ];
    for arguments in patches {
        let plan = world.plan("patch", arguments.clone()).await;
        assert!(matches!(world.probe("patch", arguments.clone(), &plan).await, Probe::DidNotHappen));
        let patched = world.ok("patch", arguments.clone()).await;
        assert_eq!(patched["data"]["mode"], "slow");
        assert!(
            matches!(world.probe("patch", arguments.clone(), &plan).await, Probe::Happened(_)),
            "{arguments}"
        );
        world.undo(&plan).await;
        assert_eq!(world.get("cm/settings").await["data"], json!({ "mode": "fast" }));
    }
}

#[tokio::test]
async fn delete_waits_and_says_what_holds_an_object() {
    let world = World::new().await;
    let mut held = settings("fast");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.apply(held).await;
    let arguments = json!({ "target": "cm/settings", "namespace": "shop", "timeout": "1s" });
    let plan = world.plan("delete", arguments.clone()).await;
    assert_eq!(plan.summary, "delete configmap/settings in shop");
    let error = world.fails("delete", arguments.clone()).await;
    assert_eq!(error.code, "A0309");
    assert_eq!(error.message, "configmap/settings in shop is not gone after 1s, held by `example.com/hold`");
    world.ok("patch", json!({ "target": "cm/settings", "namespace": "shop", "patch": { "metadata": { "finalizers": null } } })).await;
    assert_eq!(world.ok("delete", arguments.clone()).await["action"], "absent");
    assert!(matches!(world.probe("delete", arguments, &plan).await, Probe::Happened(_)));
    let error = world
        .fails("delete", json!({ "target": "cm/settings", "namespace": "shop", "must_exist": true }))
        .await;
    assert_eq!(error.code, "A0306");
}

#[tokio::test]
async fn marks_come_and_go() {
    let world = World::new().await;
    world.apply(deployment("web", 1)).await;
    for (function, field) in [("label", "labels"), ("annotate", "annotations")] {
        let set = json!({ "target": "deploy/web", "namespace": "shop", "values": { "tier": "front" } });
        let plan = world.plan(function, set.clone()).await;
        assert!(matches!(world.probe(function, set.clone(), &plan).await, Probe::DidNotHappen));
        assert_eq!(world.ok(function, set.clone()).await["metadata"][field]["tier"], "front");
        assert!(world.plan(function, set.clone()).await.unchanged);
        assert!(matches!(world.probe(function, set, &plan).await, Probe::Happened(_)));
        world.undo(&plan).await;
        assert_eq!(world.get("deploy/web").await["metadata"][field]["tier"], json!(null));
    }
}

#[tokio::test]
async fn the_data_of_secrets_is_neither_shown_nor_journaled() {
    let world = World::new().await;
    let secret = |value: &str| json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "db" }, "stringData": { "password": value } });
    let created =
        world.plan("apply", json!({ "manifest": secret("hunter2hunter2"), "namespace": "shop" })).await;
    world.apply(secret("hunter2hunter2")).await;
    assert_eq!(world.get("secret/db").await["data"], json!({ "password": "***" }));
    let read = world.ok("read_secret", json!({ "name": "db", "key": "password", "namespace": "shop" })).await;
    assert_eq!(read, "hunter2hunter2");
    let changed =
        world.plan("apply", json!({ "manifest": secret("correct-horse"), "namespace": "shop" })).await;
    for plan in [&created, &changed] {
        let shown = format!("{plan:?}");
        for plain in ["hunter2hunter2", "correct-horse", "aHVudGVyMmh1bnRlcjI", "Y29ycmVjdC1ob3JzZQ"] {
            assert!(!shown.contains(plain), "{shown}");
        }
    }
    assert_eq!(changed.undo, None);
    world.undo(&created).await;
    assert!(!world.exists("secret/db").await);
    let error =
        world.fails("read_secret", json!({ "name": "db", "key": "password", "namespace": "shop" })).await;
    assert_eq!(error.code, "A0306");
}
