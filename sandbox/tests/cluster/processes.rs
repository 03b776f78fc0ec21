//! Process pods: commands that really run, with logs, exits, restarts, and ways in; and what the other pods
//! answer, which run nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use aegis_sandbox::{Options, Sandbox};
use futures::SinkExt;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Cluster;
use crate::tools::{attempt, command, kubectls, run};

/// A cluster whose pods may run processes.
pub(crate) async fn allowing() -> Cluster {
    Cluster::with(Options { allow_processes: true, ..Options::default() }).await
}

fn pod(name: &str, script: &str, more: &str) -> String {
    format!(
        r#"{{"apiVersion": "v1", "kind": "Pod",
          "metadata": {{"name": "{name}", "annotations": {{"sandbox.aegis.dev/process": "true"}}}},
          "spec": {{{more} "terminationGracePeriodSeconds": 5,
            "containers": [{{"name": "main", "image": "any", "stdin": true, "command": ["sh", "-c", {script:?}],
              "env": [{{"name": "COLOUR", "value": "blue"}}, {{"name": "POD", "valueFrom": {{"fieldRef": {{"fieldPath": "metadata.name"}}}}}}]}}]}}}}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_has_its_environment_its_logs_its_exit_code_and_its_restarts() {
    let cluster = allowing().await;
    let kubectls = kubectls();
    let Some(kubectl) = kubectls.last() else { return };
    let run = |arguments: &str, input: &str| run(kubectl, &cluster, arguments, input);
    let job = pod("job", "echo $POD is $COLOUR; echo oops >&2; exit 3", r#""restartPolicy": "Never","#);
    run("apply -f -", &job);
    run("wait pod/job --for=jsonpath={.status.phase}=Failed --timeout=60s", "");
    let code = "get pod job -o jsonpath={.status.containerStatuses[0].state.terminated.exitCode}";
    assert_eq!(run(code, ""), "3");
    let mut lines: Vec<String> = run("logs job", "").lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["job is blue", "oops"]);
    let stamped = run("logs job --timestamps --tail=1", "");
    assert!(stamped.split(' ').next().unwrap().ends_with('Z') && stamped.lines().count() == 1, "{stamped}");
    assert_eq!(run("logs job --since-time=2999-01-01T00:00:00Z", ""), "");
    run("apply -f -", &pod("again", "echo try; exit 1", r#""restartPolicy": "Always","#));
    run("wait pod/again --for=jsonpath={.status.containerStatuses[0].restartCount}=1 --timeout=60s", "");
    assert_eq!(run("logs again --previous", ""), "try\n");
    run(
        "apply -f -",
        &pod("none", "x", r#""restartPolicy": "Never","#).replace(r#""sh", "-c","#, r#""no-such-program","#),
    );
    run("wait pod/none --for=jsonpath={.status.phase}=Failed --timeout=60s", "");
    let reason = "get pod none -o jsonpath={.status.containerStatuses[0].state.terminated.reason}";
    assert_eq!(run(reason, ""), "StartError");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_followed_until_the_process_ends() {
    let cluster = allowing().await;
    let folder = cluster.directory.path().display().to_string();
    for kubectl in kubectls() {
        let script = format!("echo first; while [ ! -e {folder}/go ]; do sleep 0.05; done; echo last");
        let input = pod("slow", &script, r#""restartPolicy": "Never","#);
        run(kubectls().last().unwrap(), &cluster, "apply -f -", &input);
        run(&kubectl, &cluster, "wait pod/slow --for=condition=Ready --timeout=60s", "");
        let mut following =
            command(&kubectl, &cluster, "logs slow --follow").stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "first");
        std::fs::write(format!("{folder}/go"), "").unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "last");
        assert!(lines.next().is_none());
        assert!(following.wait().unwrap().success());
        std::fs::remove_file(format!("{folder}/go")).unwrap();
        run(&kubectl, &cluster, "delete pod slow --timeout=60s", "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kubectl_can_exec_attach_and_forward_ports() {
    let cluster = allowing().await;
    let Some(newest) = kubectls().pop() else { return };
    let server = "exec python3 -u -m http.server 0 --bind 127.0.0.1 2>&1";
    run(&newest, &cluster, "apply -f -", &pod("shell", "while read line; do echo got $line; done", ""));
    run(&newest, &cluster, "apply -f -", &pod("web", &format!("echo hello > index.txt; {server}"), ""));
    run(&newest, &cluster, "wait pod/shell pod/web --for=condition=Ready --timeout=60s", "");
    let port = port_of(&newest, &cluster);
    for kubectl in kubectls() {
        let attempt = |arguments: &str, input: &str| attempt(&kubectl, &cluster, arguments, input);
        let run = |arguments: &str, input: &str| run(&kubectl, &cluster, arguments, input);
        assert_eq!(run("exec shell -- sh -c 'echo $COLOUR $HOSTNAME'", ""), "blue shell\n");
        assert_eq!(run("exec -i shell -- cat", "through and back"), "through and back");
        let large = "0123456789".repeat(100_000);
        assert!(run("exec -i shell -- cat", &large) == large, "a large input came back different");
        let (worked, out, err) = attempt("exec shell -- sh -c 'echo out; echo err >&2; exit 7'", "");
        assert!(
            !worked && out == "out\n" && err.starts_with("err\n") && err.contains("exit code 7"),
            "{out}{err}"
        );
        let (worked, _, err) = attempt("exec shell -- no-such-program", "");
        assert!(!worked && err.contains("executable file not found"), "{err}");
        attached(&kubectl, &cluster);
        forwarded(&kubectl, &cluster, port);
    }
}

/// The port a process chose for itself, as it says in its log.
fn port_of(kubectl: &std::path::Path, cluster: &Cluster) -> u16 {
    let mut following =
        command(kubectl, cluster, "logs web --follow").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let line = lines.find_map(|line| {
        let line = line.unwrap();
        line.contains("Serving HTTP").then_some(line)
    });
    following.kill().unwrap();
    following.wait().unwrap();
    line.unwrap().split("port ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

fn attached(kubectl: &std::path::Path, cluster: &Cluster) {
    let mut attached = command(kubectl, cluster, "attach -i shell -q");
    let mut attached = attached.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = attached.stdin.take().unwrap();
    let mut lines = BufReader::new(attached.stdout.take().unwrap()).lines();
    stdin.write_all(b"one\n").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "got one");
    attached.kill().unwrap();
    attached.wait().unwrap();
}

fn forwarded(kubectl: &std::path::Path, cluster: &Cluster, port: u16) {
    let mut forward = command(kubectl, cluster, &format!("port-forward pod/web :{port} --address 127.0.0.1"));
    let mut forward = forward.stdout(Stdio::piped()).spawn().unwrap();
    // Kept open: it writes a line a connection.
    let mut lines = BufReader::new(forward.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let local = line.split(" -> ").next().unwrap().rsplit(':').next().unwrap().to_owned();
    // Twice: a forward serves one connection after the other.
    for _ in 0..2 {
        let mut stream = std::net::TcpStream::connect(format!("127.0.0.1:{local}")).unwrap();
        stream.write_all(b"GET /index.txt HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("hello\n"), "{answer}");
    }
    forward.kill().unwrap();
    forward.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kube_client_execs_with_and_without_a_terminal_and_forwards_ports() {
    let cluster = allowing().await;
    let pods: Api<Pod> = Api::namespaced(cluster.client().await, "default");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let object: Pod = serde_json::from_str(&pod("shell", "exec sleep 600", "")).unwrap();
    pods.create(&Default::default(), &object).await.unwrap();
    kube::runtime::wait::await_condition(pods.clone(), "shell", kube::runtime::conditions::is_pod_running())
        .await
        .unwrap();
    let mut process =
        pods.exec("shell", ["sh", "-c", "cat; exit 4"], &AttachParams::default().stdin(true)).await.unwrap();
    let mut stdin = process.stdin().unwrap();
    stdin.write_all(b"hello").await.unwrap();
    stdin.shutdown().await.unwrap();
    drop(stdin);
    let mut text = String::new();
    process.stdout().unwrap().read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "hello");
    let status = process.take_status().unwrap().await.unwrap();
    assert_eq!(status.reason.as_deref(), Some("NonZeroExitCode"));
    assert_eq!(status.details.unwrap().causes.unwrap()[0].message.as_deref(), Some("4"));

    let mut terminal =
        pods.exec("shell", ["sh", "-c", "tty; stty size"], &AttachParams::interactive_tty()).await.unwrap();
    let mut sizes = terminal.terminal_size().unwrap();
    sizes.send(kube::api::TerminalSize { width: 91, height: 17 }).await.unwrap();
    let mut text = String::new();
    terminal.stdout().unwrap().read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("/dev/pts/"), "{text}");

    let mut forward = pods.portforward("shell", &[port]).await.unwrap();
    let mut stream = forward.take_stream(port).unwrap();
    let (mut accepted, _) = listener.accept().await.unwrap();
    stream.write_all(b"ping").await.unwrap();
    let mut bytes = [0; 4];
    accepted.read_exact(&mut bytes).await.unwrap();
    accepted.write_all(b"pong").await.unwrap();
    stream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"pong");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_pod_says_so_and_a_sandbox_that_allows_no_processes_as_well() {
    let cluster = Cluster::start().await;
    let Some(newest) = kubectls().pop() else { return };
    let plain = pod("plain", "true", "").replace(r#""true"}"#, r#""false"}"#);
    run(&newest, &cluster, "apply -f -", &plain);
    run(&newest, &cluster, "wait pod/plain --for=condition=Ready --timeout=60s", "");
    for kubectl in kubectls() {
        let said = run(&kubectl, &cluster, "logs plain", "");
        assert_eq!(said, "[sandbox] container \"main\" is simulated: it runs no program and writes no log\n");
        for way in ["exec plain -- true", "attach plain", "port-forward plain :80"] {
            let (worked, _, err) = attempt(&kubectl, &cluster, way, "");
            assert!(!worked && err.contains("into a simulated container"), "{way}: {err}");
        }
    }
    run(&newest, &cluster, "apply -f -", &pod("asks", "true", ""));
    let reason = "jsonpath={.status.containerStatuses[0].state.waiting.reason}=CreateContainerError";
    run(&newest, &cluster, &format!("wait pod/asks --for={reason} --timeout=60s"), "");
    let message = run(
        &newest,
        &cluster,
        "get pod asks -o jsonpath={.status.containerStatuses[0].state.waiting.message}",
        "",
    );
    assert!(message.contains("--allow-processes"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_end_with_their_pod_and_with_the_sandbox_that_ran_them() {
    let cluster = allowing().await;
    let Some(kubectl) = kubectls().pop() else { return };
    let folder = cluster.directory.path().display().to_string();
    // `$$` in a command is `$`: kubelets replace `$(NAME)`.
    let script = |name: &str| {
        format!(
            "trap 'echo stopped > {folder}/{name}.stopped; exit 0' TERM; echo $$$$ > {folder}/{name}.pid; while :; do sleep 0.05; done"
        )
    };
    run(&kubectl, &cluster, "apply -f -", &pod("kind", &script("kind"), ""));
    run(
        &kubectl,
        &cluster,
        "apply -f -",
        &pod("last", &format!("echo $$$$ > {folder}/last.pid; exec sleep 600"), ""),
    );
    let pid = |name: &str| loop {
        match std::fs::read_to_string(format!("{folder}/{name}.pid"))
            .ok()
            .and_then(|text| text.trim().parse::<i32>().ok())
        {
            Some(pid) => break pid,
            None => std::thread::yield_now(),
        }
    };
    let (kind, last) = (pid("kind"), pid("last"));
    run(&kubectl, &cluster, "delete pod kind --timeout=60s", "");
    assert!(std::fs::exists(format!("{folder}/kind.stopped")).unwrap(), "it was not asked to end");
    assert!(!is_alive(kind));
    assert!(is_alive(last));
    let Cluster { sandbox, directory } = cluster;
    drop(sandbox);
    while is_alive(last) {
        tokio::task::yield_now().await;
    }
    // The next sandbox knows that it does not know how it ended, and starts it again.
    let options = Options { allow_processes: true, ..Options::default() };
    let sandbox = Sandbox::join(directory.path(), options).unwrap();
    sandbox.ready().await.unwrap();
    let cluster = Cluster { sandbox, directory };
    run(
        &kubectl,
        &cluster,
        "wait pod/last --for=jsonpath={.status.containerStatuses[0].restartCount}=1 --timeout=60s",
        "",
    );
    let reason = "get pod last -o jsonpath={.status.containerStatuses[0].lastState.terminated.reason}";
    assert_eq!(run(&kubectl, &cluster, reason, ""), "Unknown");
}

/// Who deletes a pod with force wants it to be gone, whatever its process says and whatever finalizer holds it.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_deleted_with_force_is_gone_at_once_and_its_process_ended() {
    let cluster = allowing().await;
    let Some(kubectl) = kubectls().pop() else { return };
    let folder = cluster.directory.path().display().to_string();
    let run = |arguments: &str, input: &str| run(&kubectl, &cluster, arguments, input);
    let deaf = |name: &str| {
        let script = format!("trap '' TERM; echo $$$$ > {folder}/{name}.pid; while :; do sleep 0.05; done");
        let longer = pod(name, &script, r#""restartPolicy": "Never","#);
        longer.replace(r#"GracePeriodSeconds": 5"#, r#"GracePeriodSeconds": 3600"#)
    };
    let held =
        deaf("held").replace(r#""name": "held","#, r#""name": "held", "finalizers": ["example.com/hold"],"#);
    run("apply -f -", &held);
    run("apply -f -", &deaf("alone"));
    let template = deaf("of-job").replace(r#""apiVersion": "v1", "kind": "Pod","#, "");
    run(
        "apply -f -",
        &format!(
            r#"{{"apiVersion": "batch/v1", "kind": "Job", "metadata": {{"name": "job"}}, "spec": {{"backoffLimit": 0, "template": {template}}}}}"#
        ),
    );
    let pid = |name: &str| loop {
        let text = std::fs::read_to_string(format!("{folder}/{name}.pid")).unwrap_or_default();
        match text.trim().parse::<i32>() {
            Ok(pid) => break pid,
            Err(_) => std::thread::yield_now(),
        }
    };
    let pids = ["held", "alone", "of-job"].map(pid);
    let force = "--grace-period=0 --force";
    // One that is already on its way out is hurried as well.
    run("delete pod -l batch.kubernetes.io/job-name=job --wait=false", "");
    run(&format!("delete pod -l batch.kubernetes.io/job-name=job {force} --timeout=60s"), "");
    run(&format!("delete pod alone {force} --timeout=60s"), "");
    run(&format!("delete pod held {force} --wait=false"), "");
    run("wait job/job --for=condition=Failed --timeout=60s", "");
    run("wait pod/held --for=jsonpath={.status.phase}=Failed --timeout=60s", "");
    assert_eq!(run("get pods -o name", ""), "pod/held\n", "its finalizer holds it");
    for pid in pids {
        while is_alive(pid) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

pub(crate) fn is_alive(pid: i32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !state.is_empty() && !state.contains(") Z ")
}
