//! What process pods are given and how they are watched: volumes, tokens, probes, and their end when nobody is there
//! to end them.

use std::path::Path;

use aegis_sandbox::{Options, Sandbox};
use serde_json::{Value, json};

use crate::Cluster;
use crate::processes::{allowing, is_alive};
use crate::takeover::join_in_another_process;
use crate::tools::{find, run};

/// A process pod; `more` goes into its container, `spec` into the pod.
fn pod(name: &str, script: &str, more: Value, spec: Value) -> String {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}, "annotations": {"sandbox.aegis.dev/process": "true"}},
        "spec": {"terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": "any", "command": ["sh", "-c", script]}]}});
    merge(&mut pod["spec"]["containers"][0], more);
    merge(&mut pod["spec"], spec);
    pod.to_string()
}

fn merge(into: &mut Value, from: Value) {
    for (name, value) in from.as_object().unwrap() {
        into[name] = value.clone();
    }
}

fn status(kubectl: &Path, cluster: &Cluster, pod: &str, path: &str) -> String {
    run(kubectl, cluster, &format!("get pod {pod} -o jsonpath={{.status.containerStatuses[0].{path}}}"), "")
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_are_folders_that_commands_find_at_their_mount_paths() {
    let cluster = allowing().await;
    let Some(kubectl) = find("kubectl") else { return };
    let run = |arguments: &str, input: &str| run(&kubectl, &cluster, arguments, input);
    run("create configmap settings --from-literal=colour=blue --from-literal=size=3", "");
    run("create secret generic login --from-literal=user=kim", "");
    let script = "cat /etc/app/colour /secret/user; echo; cat $APP/size; echo; cat /pod/app; echo; echo kept > /data/kept; \
        pwd | grep -q work && echo at work; cat /var/run/secrets/kubernetes.io/serviceaccount/namespace; echo; \
        cut -c1-3 /var/run/secrets/kubernetes.io/serviceaccount/token; exec sleep 600";
    let mounts = json!([
        {"name": "settings", "mountPath": "/etc/app"}, {"name": "login", "mountPath": "/secret", "readOnly": true},
        {"name": "about", "mountPath": "/pod"}, {"name": "scratch", "mountPath": "/data"},
        {"name": "scratch", "mountPath": "/srv/work", "subPath": "work"},
    ]);
    let container = json!({"volumeMounts": mounts, "workingDir": "/srv/work", "env": [{"name": "APP", "value": "/etc/app"}]});
    let volumes = json!({"volumes": [
        {"name": "settings", "configMap": {"name": "settings"}}, {"name": "login", "secret": {"secretName": "login"}},
        {"name": "about", "downwardAPI": {"items": [{"path": "app", "fieldRef": {"fieldPath": "metadata.labels['app']"}}]}},
        {"name": "scratch", "emptyDir": {}},
    ]});
    run("apply -f -", &pod("files", script, container, volumes));
    run("wait pod/files --for=condition=Ready --timeout=60s", "");
    let expected = "bluekim\n3\nfiles\nat work\ndefault\neyJ\n";
    while run("logs files", "") != expected {
        assert!(run("logs files", "").len() <= expected.len(), "{}", run("logs files", ""));
    }
    assert_eq!(run("exec files -- cat /data/kept", ""), "kept\n");
    assert_eq!(run("exec files -- sh -c 'cat /etc/app/colour'", ""), "blue");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_claim_holds_outlives_its_pods() {
    let cluster = allowing().await;
    let Some(kubectl) = find("kubectl") else { return };
    let run = |arguments: &str, input: &str| run(&kubectl, &cluster, arguments, input);
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    run("apply -f -", &claim.to_string());
    let mounts = || json!({"volumeMounts": [{"name": "data", "mountPath": "/data"}]});
    let spec = || json!({"restartPolicy": "Never", "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]});
    run("apply -f -", &pod("writer", "echo kept > /data/file", mounts(), spec()));
    run("wait pod/writer --for=jsonpath={.status.phase}=Succeeded --timeout=60s", "");
    run("delete pod writer --timeout=60s", "");
    run("apply -f -", &pod("reader", "cat /data/file", mounts(), spec()));
    run("wait pod/reader --for=jsonpath={.status.phase}=Succeeded --timeout=60s", "");
    assert_eq!(run("logs reader", ""), "kept\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_decide_when_a_process_has_started_is_ready_and_has_to_start_again() {
    let cluster = allowing().await;
    let Some(kubectl) = find("kubectl") else { return };
    let run = |arguments: &str, input: &str| run(&kubectl, &cluster, arguments, input);
    let folder = cluster.directory.path().display().to_string();
    let test = |file: &str| json!({"exec": {"command": ["test", "-e", format!("{folder}/{file}")]}, "periodSeconds": 1, "failureThreshold": 1});
    let patient = |file: &str| json!({"exec": {"command": ["test", "-e", format!("{folder}/{file}")]}, "periodSeconds": 1, "failureThreshold": 100});
    std::fs::write(format!("{folder}/alive"), "").unwrap();
    let probes = json!({"startupProbe": patient("started"), "readinessProbe": test("ready"), "livenessProbe": test("alive")});
    run("apply -f -", &pod("probed", "exec sleep 600", probes, json!({})));
    run("wait pod/probed --for=jsonpath={.status.phase}=Running --timeout=60s", "");
    assert_eq!(status(&kubectl, &cluster, "probed", "ready"), "false");
    std::fs::write(format!("{folder}/started"), "").unwrap();
    std::fs::write(format!("{folder}/ready"), "").unwrap();
    run("wait pod/probed --for=condition=Ready --timeout=60s", "");
    std::fs::remove_file(format!("{folder}/ready")).unwrap();
    run("wait pod/probed --for=condition=Ready=False --timeout=60s", "");
    assert_eq!(status(&kubectl, &cluster, "probed", "restartCount"), "0");
    std::fs::remove_file(format!("{folder}/alive")).unwrap();
    run("wait pod/probed --for=jsonpath={.status.containerStatuses[0].restartCount}=1 --timeout=60s", "");
    let told = run(
        "get events --field-selector involvedObject.name=probed -o jsonpath={range.items[*]}{.reason}:{.message};{end}",
        "",
    );
    assert!(told.contains("Unhealthy:Readiness probe failed"), "{told}");
    assert!(told.contains("Killing:Container main failed liveness probe, will be restarted"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_probed_by_name_and_number() {
    let cluster = allowing().await;
    let Some(kubectl) = find("kubectl") else { return };
    let run = |arguments: &str, input: &str| run(&kubectl, &cluster, arguments, input);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Somebody answers on the port, whoever it is: a port of a pod is a port of this machine.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            use std::io::{Read, Write};
            let mut stream = stream;
            let mut asked = [0; 1024];
            let length = stream.read(&mut asked).unwrap_or(0);
            let good = asked[..length].starts_with(b"GET /healthy");
            let code = if good { "200 OK" } else { "503 Busy" };
            let _ = stream.write_all(
                format!("HTTP/1.1 {code}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes(),
            );
        }
    });
    let get = |path: &str| {
        json!({"ports": [{"name": "http", "containerPort": port}],
        "readinessProbe": {"httpGet": {"path": path, "port": "http"}, "periodSeconds": 1, "failureThreshold": 1}})
    };
    run("apply -f -", &pod("good", "exec sleep 600", get("/healthy"), json!({})));
    run("apply -f -", &pod("bad", "exec sleep 600", get("/ill"), json!({})));
    let tcp = json!({"readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1}});
    run("apply -f -", &pod("open", "exec sleep 600", tcp, json!({})));
    run("wait pod/good pod/open --for=condition=Ready --timeout=60s", "");
    let message = "events --for pod/bad -o jsonpath={.items[?(@.reason==\"Unhealthy\")].message}";
    while !run(message, "").contains("HTTP probe failed with statuscode: 503") {}
    assert_eq!(status(&kubectl, &cluster, "bad", "ready"), "false");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_sandbox_left_running_is_ended_by_the_next() {
    let Some(kubectl) = find("kubectl") else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut server = join_in_another_process(directory.path());
    while !directory.path().join("endpoint").exists() {
        tokio::task::yield_now().await;
    }
    let options = Options { allow_processes: true, ..Options::default() };
    let sandbox = Sandbox::join(directory.path(), options).unwrap();
    sandbox.ready().await.unwrap();
    assert!(!sandbox.is_serving());
    let cluster = Cluster { sandbox, directory };
    let file = cluster.directory.path().join("pid").display().to_string();
    // Two generations: what a process started ends with it.
    let script = format!("sleep 600 & echo $! $$$$ > {file}; wait");
    run(&kubectl, &cluster, "apply -f -", &pod("orphan", &script, json!({}), json!({})));
    let pids: Vec<i32> = loop {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let pids: Vec<i32> = text.split_whitespace().flat_map(str::parse).collect();
        if text.ends_with('\n') {
            break pids;
        }
    };
    assert!(pids.len() == 2 && pids.iter().all(|pid| is_alive(*pid)), "{pids:?}");
    run(&kubectl, &cluster, "wait pod/orphan --for=jsonpath={.status.phase}=Running --timeout=60s", "");
    server.kill().unwrap();
    server.wait().unwrap();
    // This process takes over.
    while pids.iter().any(|pid| is_alive(*pid)) {
        tokio::task::yield_now().await;
    }
    let again = "wait pod/orphan --for=jsonpath={.status.containerStatuses[0].restartCount}=1 --timeout=60s";
    run(&kubectl, &cluster, again, "");
}
