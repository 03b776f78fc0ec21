//! `http` against servers on loopback: answers, statuses, repeats, redirects, and failures told apart.

use aegis_engine::function::Probe;
use aegis_engine::testing::Bench;
use aegis_stdlib::target::Target;
use serde_json::{Value, json};

use crate::support::server::{Answer, Server, plain};
use crate::support::tls::Certificates;
use crate::support::{self, surroundings};

fn bench() -> Bench {
    support::bench(&Target::default(), &surroundings(&std::env::temp_dir(), &[]))
}

fn with(status: u16, header: &'static str, value: impl Into<String>) -> Answer {
    (status, vec![(header, value.into())], Vec::new())
}

#[tokio::test]
async fn a_get_sends_what_it_was_given_and_answers_with_everything_a_script_needs() {
    let server = Server::start(|_, _| {
        (
            200,
            vec![("content-type", "application/problem+json; charset=utf-8".into())],
            b"{\"up\": true}".to_vec(),
        )
    })
    .await;
    let arguments = json!({
        "url": server.url("/health"), "query": { "q": "a b&c", "n": [1, 2] },
        "headers": { "x-team": "ops" }, "bearer": "token-1",
    });
    let answer = bench().call("http::get", arguments).await.unwrap();
    assert_eq!(
        (&answer["status"], &answer["json"], &answer["body"]),
        (&json!(200), &json!({ "up": true }), &json!("{\"up\": true}"))
    );
    assert_eq!(answer["headers"]["content-type"], "application/problem+json; charset=utf-8");
    let seen = &server.seen()[0];
    assert_eq!(seen.uri.to_string(), "/health?n=1&n=2&q=a+b%26c");
    assert_eq!((seen.header("authorization"), seen.header("x-team")), (Some("Bearer token-1"), Some("ops")));
    assert!(seen.header("user-agent").unwrap().starts_with("aegis/"));
}

#[tokio::test]
async fn a_body_that_is_not_text_comes_as_base64_and_a_large_one_is_refused() {
    let server = Server::start(|_, seen| match seen.uri.path() {
        "/binary" => plain(200, [0xff, 0x00]),
        _ => plain(200, vec![b'x'; 5000]),
    })
    .await;
    let binary = bench().call("http::get", json!({ "url": server.url("/binary") })).await.unwrap();
    assert_eq!((&binary["body"], &binary["base64"]), (&Value::Null, &json!("/wA=")));
    let large = json!({ "url": server.url("/large?token=abc"), "max_bytes": 4999 });
    let error = bench().call("http::get", large).await.unwrap_err();
    assert_eq!(error.code, "A0602");
    assert_eq!(
        error.message,
        format!("the answer to `GET {}` is larger than 4999 bytes", server.url("/large"))
    );
}

#[tokio::test]
async fn statuses_fail_unless_they_are_expected() {
    let server =
        Server::start(|_, seen| plain(seen.uri.path()[1..].parse().unwrap(), "no  such\nthing")).await;
    let get = async |path: &str, expect: Value| {
        let arguments = json!({ "url": server.url(path), "expect_status": expect, "retries": 0 });
        bench().call("http::get", arguments).await
    };
    for (path, code) in
        [("/401", "A0303"), ("/403", "A0304"), ("/404", "A0306"), ("/418", "A0602"), ("/500", "A0602")]
    {
        assert_eq!(get(path, Value::Null).await.unwrap_err().code, code, "{path}");
    }
    let told = get("/404", Value::Null).await.unwrap_err().message;
    assert_eq!(told, format!("`GET {}` was answered 404 Not Found: no such thing", server.url("/404")));
    for expect in [json!(404), json!([200, 404]), json!("any")] {
        assert_eq!(get("/404", expect).await.unwrap()["status"], 404);
    }
    assert!(get("/200", json!(204)).await.is_err());
}

#[tokio::test]
async fn reads_and_repeatable_sends_are_repeated_and_others_are_not() {
    let flaky = || {
        Server::start(|number, _| if number < 2 { with(503, "retry-after", "0") } else { plain(200, "ok") })
    };
    let server = flaky().await;
    bench().call("http::get", json!({ "url": server.url("/") })).await.unwrap();
    assert_eq!(server.seen().len(), 3);

    let server = flaky().await;
    bench()
        .call("http::send", json!({ "method": "PUT", "url": server.url("/"), "json": { "a": 1 } }))
        .await
        .unwrap();
    assert_eq!((server.seen().len(), server.seen()[2].json()), (3, json!({ "a": 1 })));

    let server = flaky().await;
    let keyed = json!({ "method": "POST", "url": server.url("/"), "idempotent": true });
    bench().call("http::send", keyed).await.unwrap();
    let keys: Vec<_> =
        server.seen().iter().map(|seen| seen.header("idempotency-key").unwrap().to_owned()).collect();
    assert_eq!(keys, ["test-run/call#0"; 3]);

    let server = flaky().await;
    let error =
        bench().call("http::send", json!({ "method": "POST", "url": server.url("/") })).await.unwrap_err();
    assert_eq!((server.seen().len(), error.unknown), (1, false));
}

#[tokio::test]
async fn a_server_that_asks_for_a_long_pause_is_told_to_the_script_at_once() {
    let server = Server::start(|_, _| with(429, "retry-after", "3600")).await;
    let error = bench().call("http::get", json!({ "url": server.url("/") })).await.unwrap_err();
    assert_eq!((server.seen().len(), error.retryable), (1, true));
    assert_eq!(error.retry_after.unwrap().as_secs(), 3600);
}

#[tokio::test]
async fn a_lost_answer_is_unknown_only_where_repeating_would_be_wrong() {
    let server = Server::silent().await;
    let post = json!({ "method": "POST", "url": server.url("/"), "body": "x" });
    let error = bench().call("http::send", post.clone()).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.unknown), ("A0602", true));
    let put = json!({ "method": "PUT", "url": server.url("/"), "retries": 0 });
    assert!(!bench().call("http::send", put.clone()).await.unwrap_err().unknown);
    assert_eq!(bench().probe("http::send", post, None).await, Ok(Probe::CannotTell));
    assert_eq!(bench().probe("http::send", put, None).await, Ok(Probe::DidNotHappen));

    let gateway = Server::start(|_, _| plain(504, "upstream timed out")).await;
    let post = json!({ "method": "POST", "url": gateway.url("/") });
    assert!(bench().call("http::send", post).await.unwrap_err().unknown);
}

#[tokio::test]
async fn redirects_keep_credentials_at_home() {
    let other = Server::start(|_, _| plain(200, "other")).await;
    let elsewhere = other.url("/landing");
    let home = Server::start(move |_, seen| match seen.uri.path() {
        "/same" => with(302, "location", "/end"),
        "/away" => with(302, "location", elsewhere.clone()),
        "/away-with-body" => with(307, "location", elsewhere.clone()),
        "/loop" => with(301, "location", "/loop"),
        _ => plain(200, "home"),
    })
    .await;
    let get = async |path: &str, follow: &str| {
        let arguments = json!({
            "url": home.url(path), "follow": follow, "bearer": "token-1", "headers": { "x-api-key": "key-1" },
        });
        bench().call("http::get", arguments).await
    };
    let same = get("/same", "same-host").await.unwrap();
    assert_eq!((&same["body"], &same["url"]), (&json!("home"), &json!(home.url("/end"))));
    assert_eq!(home.seen().last().unwrap().header("authorization"), Some("Bearer token-1"));

    let refused = get("/away", "same-host").await.unwrap_err();
    assert_eq!(
        refused.hint.unwrap(),
        format!("it points to `{}`; call that, or pass `follow: \"any\"`", other.url("/landing"))
    );
    assert_eq!(other.seen().len(), 0);

    assert_eq!(get("/away", "any").await.unwrap()["body"], "other");
    let seen = &other.seen()[0];
    assert_eq!((seen.header("authorization"), seen.header("x-api-key")), (None, None));

    let post =
        json!({ "method": "POST", "url": home.url("/away-with-body"), "body": "secret", "follow": "any" });
    assert!(bench().call("http::send", post).await.is_err());
    assert_eq!(other.seen().len(), 1, "a body must not travel to another host");
    assert!(get("/loop", "same-host").await.unwrap_err().message.contains("redirected more than 10 times"));
}

#[tokio::test]
async fn failures_below_http_are_told_apart() {
    let get =
        async |url: &str| bench().call("http::get", json!({ "url": url, "retries": 0 })).await.unwrap_err();
    let name = get("http://no-such-host.invalid/").await;
    assert_eq!((name.code.as_str(), name.retryable), ("A0302", true));
    assert!(
        name.message.starts_with("the name `no-such-host.invalid` cannot be resolved"),
        "{}",
        name.message
    );

    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = get(&format!("http://{port}/")).await;
    assert_eq!(refused.code, "A0302");
    assert!(refused.message.starts_with(&format!("cannot reach `{port}`: ")), "{}", refused.message);
    assert!(refused.message.contains("refused"), "{}", refused.message);

    let user = get("https://user:hunter2@localhost/").await;
    assert_eq!(user.code, "A0101");
    assert!(!user.message.contains("hunter2"));
}

#[tokio::test]
async fn tls_trusts_private_authorities_by_file_and_says_so_when_it_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::issue(folder.path());
    let address = certificates.serve().await;
    let get = async |environment: &[(&str, &str)], host: &str| {
        let bench = support::bench(&Target::default(), &surroundings(folder.path(), environment));
        let url = format!("https://{host}:{}/", address.port());
        bench.call("http::get", json!({ "url": url, "retries": 0 })).await
    };
    let error = get(&[], "localhost").await.unwrap_err();
    assert_eq!(error.code, "A0305");
    assert!(
        error.message.starts_with(&format!("no secure connection to `localhost:{}`: ", address.port())),
        "{}",
        error.message
    );
    assert!(error.hint.unwrap().contains("SSL_CERT_FILE"));
    let authority = certificates.authority.to_str().unwrap();
    assert_eq!(get(&[("SSL_CERT_FILE", authority)], "localhost").await.unwrap()["body"], "ok");
}

#[tokio::test]
async fn the_scope_is_the_url_without_its_query() {
    aegis_stdlib::tls::install_ring();
    let module = aegis_stdlib::http::module();
    let scope = |name: &str, arguments: Value| {
        module.functions.iter().find(|f| f.description.name == name).unwrap().scope(&arguments).unwrap()
    };
    let get = scope("get", json!({ "url": "https://Status.example.com/a/../b?token=1#x" }));
    assert_eq!(get.as_deref(), Some("https://status.example.com/b"));
    let send = scope("send", json!({ "method": "POST", "url": "https://a.example.com" }));
    assert_eq!(send.as_deref(), Some("https://a.example.com/"));
    let plan =
        bench().plan("http::send", json!({ "method": "DELETE", "url": "https://a.example.com/x?k=1" })).await;
    assert_eq!(plan.unwrap().summary, "send `DELETE https://a.example.com/x`");
}
