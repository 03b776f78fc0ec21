//! `notify` against a webhook receiver that verifies signatures with the reference library, a Slack that
//! answers as Slack's documentation says, and a real mail server.

use std::path::{Path, PathBuf};
use std::process::Command;

use aegis_engine::CallError;
use aegis_engine::function::Probe;
use aegis_engine::testing::Bench;
use aegis_stdlib::target::{Channel, Target};
use serde_json::{Value, json};

use crate::support::server::{Answer, Server, plain};
use crate::support::tls::Certificates;
use crate::support::tools::{Running, free_port, tool};
use crate::support::{self, surroundings};

fn target(channels: Value) -> Target {
    Target { notify: serde_json::from_value(channels).unwrap(), ..Target::default() }
}

fn bench(channels: Value, environment: &[(&str, &str)]) -> Bench {
    support::bench(&target(channels), &surroundings(&std::env::temp_dir(), environment))
}

fn hint(error: &CallError) -> &str {
    error.hint.as_deref().unwrap_or_default()
}

#[tokio::test]
async fn a_webhook_is_signed_so_that_the_reference_library_accepts_it() {
    let server = Server::start(|_, _| plain(204, "")).await;
    let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let bench = bench(
        json!({ "hook": { "type": "webhook", "url": "env:HOOK", "key": key } }),
        &[("HOOK", &server.url("/in"))],
    );
    let sent = bench
        .call("notify::send", json!({ "channel": "hook", "message": "pool is on v1.31", "severity": "warning", "fields": { "nodes": 6 } }))
        .await
        .unwrap();
    let seen = &server.seen()[0];
    assert_eq!(seen.header("idempotency-key"), seen.header("webhook-id"));
    assert_eq!(sent, json!([{ "channel": "hook", "kind": "webhook", "id": seen.header("webhook-id") }]));
    let body = seen.json();
    assert_eq!(
        (&body["message"], &body["severity"], &body["fields"]),
        (&json!("pool is on v1.31"), &json!("warning"), &json!({ "nodes": 6 }))
    );
    assert_eq!((&body["run"], &body["operator"]), (&json!("test-run"), &json!("tester")));

    let headers: serde_json::Map<String, Value> = ["webhook-id", "webhook-timestamp", "webhook-signature"]
        .into_iter()
        .map(|name| (name.to_owned(), json!(seen.header(name))))
        .collect();
    let verify = "import sys, json; from standardwebhooks import Webhook; Webhook(sys.argv[1]).verify(sys.argv[2], json.loads(sys.argv[3]))";
    let verified = |body: &str| {
        let mut python = Command::new(tool("python/bin/python"));
        let python = python.args(["-c", verify, key, body, &Value::Object(headers.clone()).to_string()]);
        python.output().unwrap()
    };
    let text = std::str::from_utf8(&seen.body).unwrap();
    let good = verified(text);
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    assert!(!verified(&text.replace("v1.31", "v1.32")).status.success());
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_a_refusal_is_not() {
    let silent = Server::silent().await;
    let refusing = Server::start(|_, _| plain(422, "no such team")).await;
    let gateway = Server::start(|_, _| plain(504, "")).await;
    let channels = json!({
        "silent": { "type": "webhook", "url": silent.url("/secret-path") },
        "refusing": { "type": "webhook", "url": refusing.url("/") },
        "gateway": { "type": "webhook", "url": gateway.url("/") },
    });
    let bench = bench(channels, &[]);
    let send = async |name: &str| {
        bench.call("notify::send", json!({ "channel": name, "message": "x" })).await.unwrap_err()
    };
    let lost = send("silent").await;
    assert!(lost.unknown && !lost.message.contains("secret-path"), "{lost:?}");
    assert!(
        lost.message.starts_with("the notification for `silent` lost its connection"),
        "{}",
        lost.message
    );
    let refused = send("refusing").await;
    assert_eq!((refused.code.as_str(), refused.unknown, refused.retryable), ("A0601", false, false));
    assert_eq!(refused.message, "the webhook of `refusing` refuses the notification: 422 no such team");
    assert!(send("gateway").await.unknown);
    let probe = bench.probe("notify::send", json!({ "channel": "silent", "message": "x" }), None).await;
    assert_eq!(probe, Ok(Probe::CannotTell));
}

#[tokio::test]
async fn slack_gets_a_payload_in_its_own_shape() {
    let slack = Server::start(|_, _| plain(200, "ok")).await;
    let bench = bench(json!({ "ops": { "type": "slack", "url": slack.url("/services/T0/B0/x") } }), &[]);
    let arguments = json!({
        "channel": "ops", "message": "drained <5> nodes\n& moved on", "title": "Upgrade", "severity": "critical",
        "fields": { "pool": "blue", "nodes": 6 }, "link": "https://runs.example.com/1?a=1&b=2",
    });
    bench.call("notify::send", arguments).await.unwrap();
    let seen = &slack.seen()[0];
    assert_eq!((seen.method.as_str(), seen.header("content-type")), ("POST", Some("application/json")));
    let field = |text: &str| json!({ "type": "mrkdwn", "text": text });
    assert_eq!(
        seen.json(),
        json!({
            "text": ":rotating_light: *Upgrade*",
            "attachments": [{ "color": "#e01e5a", "blocks": [
                { "type": "section", "text": field("drained &lt;5&gt; nodes\n&amp; moved on") },
                { "type": "section", "fields": [field("*nodes*\n6"), field("*pool*\nblue")] },
                { "type": "section", "text": field("<https://runs.example.com/1?a=1&amp;b=2|Open details>") },
                { "type": "context", "elements": [field("run test-run on test, by tester")] },
            ]}],
        })
    );
}

#[tokio::test]
async fn slack_refusals_say_what_to_do_and_a_rate_limit_is_waited_for() {
    let slack = Server::start(|number, seen| -> Answer {
        match seen.uri.path() {
            "/limited" if number == 0 => (429, vec![("retry-after", "0".into())], b"rate_limited".to_vec()),
            "/limited" => plain(200, "ok"),
            "/gone" => plain(404, "no_service"),
            "/archived" => plain(410, "channel_is_archived"),
            _ => plain(400, "invalid_payload"),
        }
    })
    .await;
    let channel = |path: &str| json!({ "type": "slack", "url": slack.url(path) });
    let channels = json!({
        "limited": channel("/limited"), "gone": channel("/gone"), "archived": channel("/archived"), "bad": channel("/bad"),
    });
    let bench = bench(channels, &[]);
    let send =
        async |name: &str| bench.call("notify::send", json!({ "channel": name, "message": "x" })).await;
    send("limited").await.unwrap();
    assert_eq!(slack.seen().len(), 2);
    let gone = send("gone").await.unwrap_err();
    assert_eq!(
        (gone.code.as_str(), gone.message.as_str()),
        ("A0601", "Slack refuses the notification for `gone`: 404 `no_service`")
    );
    assert!(hint(&gone).contains("make a new incoming webhook"));
    assert!(hint(&send("archived").await.unwrap_err()).contains("unarchive"));
    assert!(send("bad").await.unwrap_err().message.contains("`invalid_payload`"));
}

#[tokio::test]
async fn several_channels_are_served_side_by_side_and_a_failure_says_who_was_reached() {
    let good = Server::start(|_, _| plain(200, "ok")).await;
    let bad = Server::start(|_, _| plain(400, "invalid_payload")).await;
    let channels = json!({
        "good": { "type": "slack", "url": good.url("/") }, "bad": { "type": "slack", "url": bad.url("/") },
    });
    let bench = bench(channels, &[]);
    let error = bench
        .call("notify::send", json!({ "channel": ["good", "bad", "good"], "message": "x" }))
        .await
        .unwrap_err();
    assert_eq!(good.seen().len(), 1);
    assert!(error.message.ends_with("400 `invalid_payload` (delivered to `good`)"), "{}", error.message);

    let module = aegis_stdlib::notify::module();
    let scope = |channel: Value| {
        module.functions[0].scope(&json!({ "channel": channel, "message": "" })).unwrap().unwrap()
    };
    assert_eq!((scope(json!("ops")).as_str(), scope(json!(["ops", "mail"])).as_str()), ("ops", "+mail+ops"));
}

#[tokio::test]
async fn a_sandbox_writes_every_channel_into_a_file_that_can_be_asked_afterwards() {
    let state = tempfile::tempdir().unwrap();
    let target = Target { sandbox: true, ..Target::default() };
    let mut bench = support::bench(&target, &surroundings(state.path(), &[]));
    let arguments = json!({ "channel": "ops", "message": "hello" });
    let plan = bench.plan("notify::send", arguments.clone()).await.unwrap();
    assert_eq!(plan.summary, "notify `ops` (file): hello");
    assert_eq!(bench.probe("notify::send", arguments.clone(), None).await, Ok(Probe::DidNotHappen));
    let sent = bench.call("notify::send", arguments.clone()).await.unwrap();
    assert_eq!(sent, plan.predicted);
    assert_eq!(bench.probe("notify::send", arguments.clone(), None).await, Ok(Probe::Happened(sent)));
    bench.context.idempotency_key = "another call".to_owned();
    assert_eq!(bench.probe("notify::send", arguments, None).await, Ok(Probe::DidNotHappen));
    bench.call("notify::test", json!({ "channel": "ops" })).await.unwrap();
    let text = std::fs::read_to_string(state.path().join("notifications.jsonl")).unwrap();
    let titles: Vec<Value> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["title"].clone()).collect();
    assert_eq!(titles, [Value::Null, json!("aegis test")]);
}

#[tokio::test]
async fn channels_that_are_not_configured_are_told_before_anything_is_sent() {
    let channels = json!({ "ops": { "type": "slack", "url": "env:SLACK_OPS" } });
    let bench = bench(channels, &[]);
    let plan = async |name: &str| {
        bench.plan("notify::send", json!({ "channel": name, "message": "x" })).await.unwrap_err()
    };
    let near = plan("opps").await;
    assert_eq!((near.code.as_str(), hint(&near)), ("A0301", "did you mean `ops`?"));
    assert!(hint(&plan("pagers").await).contains("[targets.test.notify.pagers]"));
    let unset = bench.call("notify::send", json!({ "channel": "ops", "message": "x" })).await.unwrap_err();
    assert_eq!((unset.code.as_str(), hint(&unset)), ("A0300", "set the environment variable `SLACK_OPS`"));
}

struct MailServer {
    _running: Running,
    port: u16,
    mails: PathBuf,
}

impl MailServer {
    async fn start(folder: &Path, certificates: &Certificates, security: &str) -> Self {
        let port = free_port();
        let mails = folder.join(format!("mails-{security}.jsonl"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/support/mail_server.py");
        let _ = tool("python/bin/aiosmtpd");
        let mut python = Command::new(tool("python/bin/python"));
        let python = python.arg(script).arg(port.to_string()).arg(&mails);
        let running =
            Running::start(python.args([&certificates.certificate, &certificates.key]).arg(security));
        Self { _running: running.listening(port).await, port, mails }
    }

    fn mails(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.mails).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn channel(&self, scheme: &str, to: &[&str], password: Option<&str>) -> Channel {
        Channel::Email {
            server: format!("{scheme}://localhost:{}", self.port),
            from: "aegis <aegis@example.com>".to_owned(),
            to: to.iter().map(|name| format!("{name}@example.com")).collect(),
            user: password.map(|_| "aegis".to_owned()),
            password: password.map(aegis_engine::Secret::new),
        }
    }
}

fn mail_bench(folder: &Path, channel: Channel, environment: &[(&str, &str)]) -> Bench {
    let target = Target { notify: [("mail".to_owned(), channel)].into(), ..Target::default() };
    support::bench(&target, &surroundings(folder, environment))
}

#[tokio::test]
async fn mail_goes_over_starttls_and_tls_with_a_login_and_a_recognisable_message_id() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::issue(folder.path());
    let trust = [("SSL_CERT_FILE", certificates.authority.to_str().unwrap())];
    for (security, scheme) in [("starttls", "smtp"), ("implicit", "smtps")] {
        let server = MailServer::start(folder.path(), &certificates, security).await;
        let channel = server.channel(scheme, &["ada", "nobody"], Some("correct horse"));
        let bench = mail_bench(folder.path(), channel, &trust);
        let arguments = json!({ "channel": "mail", "message": "Grüße vom Knoten", "title": "Pool blue", "severity": "critical", "fields": { "nodes": 6 } });
        let first = bench.call("notify::send", arguments.clone()).await.unwrap();
        bench.call("notify::send", arguments).await.unwrap();
        assert_eq!(first[0]["refused"], json!(["nobody@example.com"]));
        let mails = server.mails();
        assert_eq!((mails.len(), &mails[0]["secure"], &mails[0]["login"]), (2, &json!(true), &json!(true)));
        assert_eq!(
            (&mails[0]["from"], &mails[0]["to"]),
            (&json!("aegis@example.com"), &json!(["ada@example.com"]))
        );
        let content = mails[0]["content"].as_str().unwrap();
        let id = format!("Message-ID: <{}@example.com>", first[0]["id"].as_str().unwrap());
        for line in [
            id.as_str(),
            "Subject: [CRITICAL] Pool blue",
            "Auto-Submitted: auto-generated",
            "nodes: 6",
            "Gr=C3=BC=C3=9Fe",
        ] {
            assert!(content.contains(line), "{line} is missing in {content}");
        }
        assert!(mails[1]["content"].as_str().unwrap().contains(&id), "a repeat has the same Message-ID");
    }
}

#[tokio::test]
async fn mail_failures_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::issue(folder.path());
    let authority = certificates.authority.to_str().unwrap();
    let trust = [("SSL_CERT_FILE", authority)];
    let server = MailServer::start(folder.path(), &certificates, "starttls").await;
    let send = async |channel: Channel, environment: &[(&str, &str)]| {
        let bench = mail_bench(folder.path(), channel, environment);
        bench.call("notify::send", json!({ "channel": "mail", "message": "x" })).await.unwrap_err()
    };
    let login = send(server.channel("smtp", &["ada"], Some("wrong")), &trust).await;
    assert_eq!((login.code.as_str(), login.unknown), ("A0303", false));
    assert!(!login.message.contains("wrong"), "{}", login.message);

    let refused = send(server.channel("smtp", &["nobody"], Some("correct horse")), &trust).await;
    assert_eq!((refused.code.as_str(), refused.retryable), ("A0601", false));
    assert!(refused.message.contains("no such mailbox"), "{}", refused.message);
    let later = send(server.channel("smtp", &["later"], Some("correct horse")), &trust).await;
    assert!(later.retryable && later.message.contains("come back later"), "{later:?}");

    let stranger = send(server.channel("smtp", &["ada"], Some("correct horse")), &[]).await;
    assert_eq!(stranger.code, "A0305", "{stranger:?}");

    let lost = send(server.channel("smtp", &["lost"], Some("correct horse")), &trust).await;
    assert!(lost.unknown, "{lost:?}");
    assert_eq!(server.mails().len(), 1, "only the lost mail arrived");

    let plain = MailServer::start(folder.path(), &certificates, "plain").await;
    let bare = send(plain.channel("smtp", &["ada"], None), &trust).await;
    assert_eq!(bare.code, "A0305");
    assert!(bare.message.contains("offers no STARTTLS"), "{}", bare.message);
    let bench = mail_bench(folder.path(), plain.channel("smtp+plain", &["ada"], None), &trust);
    bench.call("notify::send", json!({ "channel": "mail", "message": "x" })).await.unwrap();
    assert_eq!(plain.mails().len(), 1);

    let nobody = Channel::Email {
        server: format!("smtps://localhost:{}", free_port()),
        from: "a@b.c".into(),
        to: vec!["d@e.f".into()],
        user: None,
        password: None,
    };
    let closed = send(nobody, &trust).await;
    assert_eq!((closed.code.as_str(), closed.retryable, closed.unknown), ("A0302", true, false));
}
