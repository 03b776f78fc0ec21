//! Every function's example, run as it stands in the reference.

use aegis_stdlib::k8s;
use regex::Regex;
use serde_json::{Map, Value, json};

use super::{World, deployment, settings};

/// Reads the arguments of an example: `k8s::NAME(a, b, #{ c: d })`.
fn arguments(example: &str) -> Vec<Value> {
    let inside = &example[example.find('(').unwrap() + 1..example.rfind(')').unwrap()];
    let quoted = Regex::new(r"([{,]\s*)([a-zA-Z_]+):").unwrap();
    let json = inside.replace("#{", "{").replace("()", "null");
    let json = quoted.replace_all(&json, "$1\"$2\":");
    serde_json::from_str(&format!("[{json}]")).unwrap_or_else(|error| panic!("{example}: {error}"))
}

/// By name, as the gate hands them over.
fn assembled(positional: &[&str], example: &str) -> Value {
    let mut all = Map::new();
    for (place, value) in arguments(example).into_iter().enumerate() {
        match (positional.get(place), value) {
            (Some(name), value) => drop(all.insert((*name).to_owned(), value)),
            (None, Value::Object(options)) => all.extend(options),
            (None, other) => panic!("{other} is no map of options"),
        }
    }
    Value::Object(all)
}

/// A new sandbox has no metrics API and its containers run no commands: `workloads` and `processes` cover these.
const ELSEWHERE: [&str; 2] = ["top", "exec"];

#[tokio::test]
async fn every_example_works() {
    let world = World::new().await;
    world.apply(json!([settings("fast"), deployment("web", 2)])).await;
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "database" }, "stringData": { "password": "x" } });
    world.apply(secret).await;
    let mut pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web-0" }, "spec": {} });
    pod["spec"]["containers"] = deployment("web", 1)["spec"]["template"]["spec"]["containers"].clone();
    world.apply(pod.clone()).await;
    for target in ["deploy/web", "pod/web-0"] {
        world.ok("wait", json!({ "target": target, "namespace": "shop" })).await;
    }
    for function in k8s::module().functions {
        let description = function.description;
        if ELSEWHERE.contains(&description.name) {
            continue;
        }
        if description.name == "rollout_undo" {
            let images = json!({ "web": "registry.local/web:9" });
            world
                .ok("set_image", json!({ "target": "deploy/web", "namespace": "shop", "images": images }))
                .await;
        }
        if description.name == "patch" || description.name == "restore" {
            world.apply(settings("fast")).await;
        }
        if description.name == "evict" {
            // The drain before may have taken it along.
            world.apply(pod.clone()).await;
        }
        let arguments = assembled(description.positional, description.example);
        if description.effect.is_effect() {
            let plan = world.plan(description.name, arguments.clone()).await;
            assert!(!plan.summary.is_empty(), "{}", description.name);
        }
        world.ok(description.name, arguments).await;
    }
}
