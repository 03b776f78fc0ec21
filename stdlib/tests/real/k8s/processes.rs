//! `exec` and `logs` of containers that really run.

use aegis_sandbox::Options;
use serde_json::{Value, json};

use super::World;

fn pod(name: &str, command: &[&str]) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "annotations": { "sandbox.aegis.dev/process": "true" } },
        "spec": { "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "containers": [{ "name": "main", "image": "any", "command": command, "env": [{ "name": "COLOUR", "value": "blue" }] }] } })
}

async fn running(command: &[&str], until: &str) -> World {
    let world = World::with(Options { allow_processes: true, ..Options::default() }).await;
    world.apply(pod("web", command)).await;
    world
        .ok("wait", json!({ "target": "pod/web", "namespace": "shop", "until": until, "timeout": "60s" }))
        .await;
    world
}

#[tokio::test]
async fn a_command_runs_with_the_environment_and_input_it_is_given() {
    let world = running(&["sleep", "600"], "Ready").await;
    let exec = |command: Value, check: bool| {
        let arguments = json!({ "target": "pod/web", "namespace": "shop", "command": command, "stdin": "hello", "check": check });
        world.call("exec", arguments)
    };
    let answer = exec(json!(["sh", "-c", "echo $COLOUR; cat; echo no >&2; exit 3"]), false).await.unwrap();
    assert_eq!(
        answer,
        json!({ "stdout": "blue\nhello", "stderr": "no\n", "exit_code": 3, "pod": "web", "container": "main" })
    );
    let error = exec(json!(["sh", "-c", "echo no >&2; exit 3"]), true).await.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.message.contains("ended with code 3: no")),
        ("A0405", true),
        "{error}"
    );
}

#[tokio::test]
async fn logs_are_what_the_command_wrote() {
    let world =
        running(&["sh", "-c", "for i in 1 2 3; do echo line $i; done"], "status.phase == 'Succeeded'").await;
    let logs = world.ok("logs", json!({ "target": "pod/web", "namespace": "shop", "tail": 2 })).await;
    assert_eq!(logs, json!("line 2\nline 3\n"));
}

#[tokio::test]
async fn a_simulated_container_runs_no_command() {
    let world = World::new().await;
    let mut simulated = pod("web", &["true"]);
    simulated["metadata"]["annotations"] = json!({ "sandbox.aegis.dev/run-for": "forever" });
    world.apply(simulated).await;
    world
        .ok("wait", json!({ "target": "pod/web", "namespace": "shop", "until": "Ready", "timeout": "60s" }))
        .await;
    let error =
        world.fails("exec", json!({ "target": "pod/web", "namespace": "shop", "command": ["true"] })).await;
    assert!(error.message.contains("simulated container"), "{error}");
}
