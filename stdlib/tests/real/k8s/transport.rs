//! Requests under bad weather: what is sent again, what is not, and what is unknown; and the exec protocol, which
//! the sandbox does not speak. A small server plays one scenario a test.

use aegis_engine::testing::Bench;
use aegis_stdlib::target::Target;
use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Value, json};

use crate::support::server::{Answer, Seen, Server};
use crate::support::{self, surroundings};

fn bench(address: &str) -> Bench {
    let kubeconfig = json!({ "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{ "name": "c", "cluster": { "server": format!("http://{address}") } }],
        "users": [{ "name": "u", "user": {} }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u", "namespace": "shop" } }] });
    let mut surroundings = surroundings(&std::env::temp_dir(), &[]);
    surroundings.kubeconfig = Some(kubeconfig.to_string());
    support::bench(&Target::default(), &surroundings)
}

/// The kinds these scenarios need, as aggregated discovery tells them.
fn discovery(path: &str) -> Option<Value> {
    let resource = |plural: &str, kind: &str| {
        json!({ "resource": plural, "scope": "Namespaced", "verbs": [],
        "singularResource": kind.to_lowercase(), "responseKind": { "group": "", "version": "v1", "kind": kind } })
    };
    let core = json!({ "metadata": {}, "versions": [{ "version": "v1",
        "resources": [resource("pods", "Pod"), resource("configmaps", "ConfigMap")] }] });
    match path {
        "/api" => Some(json!({ "items": [core] })),
        "/apis" => Some(json!({ "items": [] })),
        _ => None,
    }
}

fn answer(status: u16, body: &Value) -> Answer {
    (status, vec![("content-type", "application/json".to_owned())], body.to_string().into_bytes())
}

/// A server with discovery; everything else is `play`, told how often it was asked before.
async fn server(play: impl Fn(usize, &Seen) -> Answer + Send + Sync + 'static) -> Server {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    Server::start(move |_, seen| match discovery(seen.uri.path()) {
        Some(document) => answer(200, &document),
        None => play(asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst), seen),
    })
    .await
}

fn busy() -> Answer {
    let status =
        json!({ "kind": "Status", "reason": "TooManyRequests", "message": "slow down", "code": 429 });
    let (code, mut headers, body) = answer(429, &status);
    headers.push(("retry-after", "1".to_owned()));
    (code, headers, body)
}

/// Says that more follows than does: the connection breaks in the middle of the answer.
fn broken() -> Answer {
    (200, vec![("content-length", "1000".to_owned())], b"{".to_vec())
}

fn map() -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a", "namespace": "shop", "resourceVersion": "1" } })
}

fn asked(server: &Server) -> Vec<String> {
    let seen = server.seen();
    let asked = seen.iter().filter(|seen| discovery(seen.uri.path()).is_none());
    asked.map(|seen| seen.method.to_string()).collect()
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again_when_it_said() {
    let server = server(|n, _| if n == 0 { busy() } else { answer(201, &map()) }).await;
    let begun = std::time::Instant::now();
    let bench = bench(&server.address.to_string());
    bench.call("k8s::create", json!({ "object": map() })).await.unwrap();
    assert_eq!(asked(&server), ["POST", "POST"]);
    assert!(begun.elapsed() >= std::time::Duration::from_secs(1));
}

#[tokio::test]
async fn a_read_whose_answer_is_lost_is_asked_again() {
    let server = server(|n, _| match n {
        0 => broken(),
        1 => answer(503, &json!({ "kind": "Status", "message": "starting" })),
        _ => answer(200, &map()),
    })
    .await;
    let got = bench(&server.address.to_string())
        .call("k8s::get", json!({ "target": "configmap/a" }))
        .await
        .unwrap();
    assert_eq!(got["metadata"]["name"], "a");
    assert_eq!(asked(&server), ["GET", "GET", "GET"]);
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_is_unknown_and_not_sent_again() {
    let server = server(|_, _| broken()).await;
    let bench = bench(&server.address.to_string());
    let error = bench.call("k8s::create", json!({ "object": map() })).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.unknown), ("A0302", true));
    assert_eq!(asked(&server), ["POST"]);
}

#[tokio::test]
async fn a_create_that_a_proxy_could_not_pass_on_is_not_sent_again() {
    let server = server(|_, _| answer(502, &json!({ "kind": "Status", "message": "bad gateway" }))).await;
    let bench = bench(&server.address.to_string());
    let error = bench.call("k8s::create", json!({ "object": map() })).await.unwrap_err();
    assert_eq!(error.code, "A0310");
    assert_eq!(asked(&server), ["POST"]);
    // The proxy may have passed it on and lost the answer.
    assert!(error.unknown);
}

#[tokio::test]
async fn a_stale_look_is_taken_again() {
    let node = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p", "namespace": "shop", "resourceVersion": "1" },
        "spec": { "containers": [{ "name": "web", "image": "a:1" }] }, "status": { "phase": "Running" } });
    let stale = json!({ "kind": "Status", "reason": "Conflict", "message": "the object has been modified" });
    let server = server(move |n, seen| match (seen.method.as_str(), n) {
        ("PATCH", 1) => answer(409, &stale),
        _ => answer(200, &node),
    })
    .await;
    let arguments = json!({ "target": "pod/p", "images": { "web": "a:2" }, "wait": false });
    bench(&server.address.to_string()).call("k8s::set_image", arguments).await.unwrap();
    assert_eq!(asked(&server), ["GET", "PATCH", "GET", "PATCH", "GET"]);
    let patch = server.seen().into_iter().find(|seen| seen.method == "PATCH").unwrap().json();
    assert_eq!(patch["metadata"]["resourceVersion"], "1");
}

#[tokio::test]
async fn a_list_is_read_page_by_page_and_begins_again_when_its_token_is_too_old() {
    let page = |name: &str, token: &str| json!({ "metadata": { "continue": token }, "items": [{ "metadata": { "name": name } }] });
    let server = server(move |n, _| match n {
        0 => answer(200, &page("old", "t1")),
        1 => answer(410, &json!({ "kind": "Status", "reason": "Expired", "message": "too old" })),
        2 => answer(200, &page("a", "t2")),
        _ => answer(200, &page("b", "")),
    })
    .await;
    let listed =
        bench(&server.address.to_string()).call("k8s::list", json!({ "kind": "pods" })).await.unwrap();
    let names: Vec<&Value> = listed.as_array().unwrap().iter().map(|pod| &pod["metadata"]["name"]).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(listed[0]["kind"], "Pod");
    let queries: Vec<String> =
        server.seen().iter().filter_map(|seen| seen.uri.query().map(str::to_owned)).collect();
    assert_eq!(queries, ["limit=500", "limit=500&continue=t1", "limit=500", "limit=500&continue=t2"]);
}

/// The server's half of `v5.channel.k8s.io`: each message begins with its channel.
async fn exec(upgrade: WebSocketUpgrade, uri: axum::http::Uri) -> impl IntoResponse {
    let fails = uri.query().is_some_and(|query| query.contains("command=false"));
    upgrade.protocols(["v5.channel.k8s.io"]).on_upgrade(async move |mut socket| {
        let mut input = Vec::new();
        while uri.query().is_some_and(|query| query.contains("stdin=true")) {
            match socket.recv().await {
                Some(Ok(Message::Binary(bytes))) if bytes.first() == Some(&0) => {
                    input.extend_from_slice(&bytes[1..])
                }
                // Channel 255 closes another one: the end of the input.
                Some(Ok(Message::Binary(bytes))) if bytes.first() == Some(&255) => break,
                Some(Ok(_)) => {}
                _ => return,
            }
        }
        let status = if fails {
            json!({ "kind": "Status", "status": "Failure", "reason": "NonZeroExitCode",
                "details": { "causes": [{ "reason": "ExitCode", "message": "3" }] } })
        } else {
            json!({ "kind": "Status", "status": "Success" })
        };
        let out = [&[1][..], b"out:", input.as_slice()].concat();
        let messages =
            [out, [&[2][..], b"err\n"].concat(), [&[3][..], status.to_string().as_bytes()].concat()];
        for message in messages {
            let _ = socket.send(Message::Binary(message.into())).await;
        }
        let _ = socket.send(Message::Close(None)).await;
    })
}

#[tokio::test]
async fn a_command_in_a_container_answers_what_it_wrote_and_how_it_ended() {
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p", "namespace": "shop" },
        "spec": { "containers": [{ "name": "web" }] }, "status": { "phase": "Running" } });
    let json = |value: Value| get(move || async move { axum::Json(value) });
    let app = Router::new()
        .route("/api", json(discovery("/api").unwrap()))
        .route("/apis", json(discovery("/apis").unwrap()))
        .route("/api/v1/namespaces/shop/pods/p", json(pod))
        .route("/api/v1/namespaces/shop/pods/p/exec", get(exec));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let bench = bench(&address);
    let run = |command: Value, stdin: Value, check: bool| {
        let arguments = json!({ "target": "pod/p", "command": command, "stdin": stdin, "check": check, "timeout": "20s" });
        bench.call("k8s::exec", arguments)
    };
    let answer = run(json!(["cat"]), json!("hello"), true).await.unwrap();
    assert_eq!(
        answer,
        json!({ "stdout": "out:hello", "stderr": "err\n", "exit_code": 0, "pod": "p", "container": "web" })
    );
    assert_eq!(run(json!(["false"]), Value::Null, false).await.unwrap()["exit_code"], 3);
    let error = run(json!(["false"]), Value::Null, true).await.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("A0405", "`false` in pod/p in shop ended with code 3: err")
    );
}

#[tokio::test]
async fn a_wait_goes_on_whatever_happens_to_its_watch() {
    let old = json!({ "type": "ERROR", "object": { "kind": "Status", "status": "Failure", "code": 410,
        "reason": "Expired", "message": "too old resource version" } });
    let forbidden = json!({ "kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden",
        "message": "configmaps is forbidden" });
    let (looks, watches) = (std::sync::atomic::AtomicUsize::new(0), std::sync::atomic::AtomicUsize::new(0));
    let next =
        |counter: &std::sync::atomic::AtomicUsize| counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    let server = server(move |_, seen| {
        if seen.uri.query().is_some_and(|query| query.contains("watch=true")) {
            return match next(&watches) {
                0 => answer(200, &old),
                1 => broken(),
                2 => busy(),
                3 => answer(200, &json!({ "type": "ADDED", "object": map() })),
                _ => answer(403, &forbidden),
            };
        }
        match next(&looks) {
            0..=6 => answer(404, &json!({ "kind": "Status", "reason": "NotFound", "code": 404 })),
            _ => answer(200, &map()),
        }
    })
    .await;
    let arguments = json!({ "target": "configmap/a", "until": "Exists", "timeout": "1m" });
    let got = bench(&server.address.to_string()).call("k8s::wait", arguments).await.unwrap();
    assert_eq!(got["metadata"]["name"], "a");
    let watched = server.seen().iter().filter(|seen| seen.uri.to_string().contains("watch=true")).count();
    assert_eq!(watched, 5, "a watch that is refused is not asked for again");
}

#[tokio::test]
async fn followed_logs_end_with_their_container() {
    let server = Server::start(|_, seen| match (discovery(seen.uri.path()), seen.uri.path()) {
        (Some(document), _) => answer(200, &document),
        (None, "/api/v1/namespaces/shop/pods/web/log") => {
            (200, Vec::new(), b"2026-11-23T00:00:00Z one\n2026-11-23T00:00:01Z two\n".to_vec())
        }
        _ => answer(
            200,
            &json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web" },
            "spec": { "containers": [{ "name": "app" }] } }),
        ),
    })
    .await;
    let arguments = json!({ "target": "pod/web", "follow": "1m", "timestamps": true, "tail": 5 });
    let text = bench(&server.address.to_string()).call("k8s::logs", arguments).await.unwrap();
    assert_eq!(text, json!("2026-11-23T00:00:00Z one\n2026-11-23T00:00:01Z two\n"));
    let asked = server.seen().last().unwrap().uri.to_string();
    for part in ["follow=true", "timestamps=true", "tailLines=5", "container=app"] {
        assert!(asked.contains(part), "{asked}");
    }
}
