//! The HTTP API of `aegis serve`: who may do what, runs and their events, decisions, schedules, the halt, TLS.

use aegis_console::Role;
use aegis_console::api::ROUTES;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::listener::Listener;
use crate::project::Project;
use crate::serving::{Answered, Serving};

pub(crate) const LOOKS: (&str, &str) = ("Authorization", "Bearer looks");
pub(crate) const ACTS: (&str, &str) = ("authorization", "bearer acts");
/// Somebody else who acts.
const AGREES: (&str, &str) = ("Authorization", "Bearer agrees");

const ASK: &str = "runbook(#{ title: \"Asks\", needs: [] });\napproval::ask(\"sure?\");\nlog(\"done\");\n";

pub(crate) fn project(more: &str) -> Project {
    let token = |name: &str, token: &str, role: &str| {
        format!(
            "[serve.tokens.{name}]\nsha256 = \"{}\"\nrole = \"{role}\"\n",
            hex::encode(Sha256::digest(token))
        )
    };
    let (looks, acts) = (token("grafana", "looks", "viewer"), token("kim", "acts", "operator"));
    let aegis = format!("{looks}{acts}{}{more}", token("lee", "agrees", "operator"));
    Project::new(&[
        ("aegis.toml", &aegis),
        ("runbooks/ask.rhai", ASK),
        (
            "schedules.toml",
            "[schedules.ask]\nrunbook = \"runbooks/ask.rhai\"\nwhen = \"0 0 1 1 *\"\nzone = \"Asia/Seoul\"\noverlap = \"allow\"\n",
        ),
    ])
}

#[test]
fn every_route_asks_for_its_token_and_stands_on_the_reference_page() {
    let project = project("");
    let serving = Serving::listening(&project, &[]);
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api.md")).unwrap();
    for route in ROUTES {
        let method = route.method.to_uppercase();
        let role = route.role.map_or("-", Role::word);
        let line = format!("| `{method} {}` | {role} |", route.path);
        assert!(page.contains(&line), "docs/api.md has no line `{line}`");
        let path: Vec<&str> =
            route.path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
        let asked = |headers: &[(&str, &str)]| serving.ask(&method, &path.join("/"), headers, "{}").status;
        match route.role {
            None => continue,
            Some(_) => {
                assert_eq!((asked(&[]), asked(&[("Authorization", "Bearer no")])), (401, 401), "{line}")
            }
        }
        if route.role == Some(Role::Operator) {
            assert_eq!(asked(&[LOOKS]), 403, "{line}");
        }
    }
    let listed = page.lines().filter(|line| line.starts_with("| `") && line.contains(" /")).count();
    assert_eq!(listed, ROUTES.len(), "docs/api.md has routes that there are not");
    serving.ask("GET", "/v1/nothing", &[LOOKS], "").with(404);
    let large =
        serving.ask("PUT", "/v1/halt", &[ACTS], &format!("{{\"reason\":\"{}\"}}", "x".repeat(2 << 20)));
    assert_eq!(large.status, 413);
    serving.stop();
}

/// Entries of a stream of server-sent events.
fn sent(answer: &Answered) -> Vec<Value> {
    answer.body.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect()
}

#[test]
fn a_run_is_started_followed_and_approved() {
    let project = project("");
    let mut serving = Serving::listening(&project, &[]);
    let explained = serving.ask("GET", "/v1/schedules/ask?limit=1", &[LOOKS], "").with(200).json();
    assert_eq!(explained["next"].as_array().unwrap().len(), 1, "{explained}");
    let record = serving.ask("POST", "/v1/schedules/ask/runs", &[ACTS], "").with(200).json();
    assert_eq!(record["by"], "kim");
    let run = record["run"].as_str().unwrap().to_owned();
    serving.hears("waiting");
    let listed = serving.ask("GET", "/v1/runs?status=waiting", &[LOOKS], "").with(200).json();
    assert_eq!(listed[0]["id"], json!(run));
    let shown = serving.ask("GET", &format!("/v1/runs/{run}"), &[LOOKS], "").with(200).json();
    assert_eq!(shown["waits"][0]["wait"]["approval"]["question"], "sure?", "{shown}");
    let events = serving.ask("GET", &format!("/v1/runs/{run}/events"), &[LOOKS], "").with(200);
    let entries: Vec<Value> =
        events.body.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!((&entries[0]["kind"], &entries[0]["seq"]), (&json!("started"), &json!(1)), "{events:?}");
    assert_eq!(entries[0]["person"], "kim", "{events:?}");

    let decide = |who, body: Value| {
        serving.ask("POST", &format!("/v1/runs/{run}/decisions"), &[who], &body.to_string())
    };
    decide(ACTS, json!({ "act": "shrug" })).with(422);
    let own = decide(ACTS, json!({ "act": "approve" })).with(403);
    assert!(own.body.contains("`kim` started the run and cannot approve it"), "{}", own.body);
    let approved = decide(AGREES, json!({ "act": "approve", "note": "change 4711" })).with(200).json();
    assert_eq!((&approved["person"], &approved["act"]), (&json!("lee"), &json!("approved")));
    // Followed from where it was: the stream ends with the run.
    let from = entries.last().unwrap()["seq"].to_string();
    let headers = [LOOKS, ("Accept", "text/event-stream"), ("Last-Event-ID", &from)];
    let followed = serving.ask("GET", &format!("/v1/runs/{run}/events"), &headers, "").with(200);
    assert!(followed.head.contains("content-type: text/event-stream"), "{followed:?}");
    let body = &followed.body;
    assert!(body.contains("\"kind\":\"ended\"") && body.contains("change 4711"), "{body}");
    assert!(!body.contains("\"kind\":\"started\""), "{body}");
    assert!(sent(&followed).iter().all(|entry| entry["seq"].as_u64() > from.parse().ok()));
    decide(AGREES, json!({ "act": "approve" })).with(409);
    let history = serving.ask("GET", "/v1/schedules/ask/history?limit=5", &[LOOKS], "").with(200).json();
    assert_eq!(history[0]["run"], json!(run));
    serving.ask("GET", "/v1/runs/none-such", &[LOOKS], "").with(404);
    serving.stop();
}

const ORDER: &str =
    "runbook(#{ title: \"Orders\", needs: [\"http:change\"], params: #{ url: #{ type: \"string\" } } });
let first = http::send(\"POST\", `${params.url}/orders/1`).status;
http::send(\"POST\", `${params.url}/orders/2`);
[first, http::send(\"POST\", `${params.url}/orders/3`).status]
";

#[test]
fn what_nobody_could_say_is_marked_skipped_and_retried() {
    // A gateway that got no answer, three times; then it does.
    let shop = Listener::answering(&[502, 502, 502]);
    let project = project("");
    project.write("runbooks/order.rhai", ORDER);
    project.write(
        "schedules.toml",
        &format!(
            "[schedules.order]\nrunbook = \"runbooks/order.rhai\"\nwhen = \"0 0 1 1 *\"\nzone = \"Asia/Seoul\"\nparams = {{ url = \"{}\" }}\n",
            shop.url
        ),
    );
    let mut serving = Serving::listening(&project, &[]);
    let record = serving.ask("POST", "/v1/schedules/order/runs", &[ACTS], "").with(200).json();
    let run = record["run"].as_str().unwrap().to_owned();
    let decide = |serving: &Serving, body: Value| {
        serving.ask("POST", &format!("/v1/runs/{run}/decisions"), &[ACTS], &body.to_string())
    };
    let waits = |serving: &mut Serving| {
        serving.hears("waiting");
        let shown = serving.ask("GET", &format!("/v1/runs/{run}"), &[LOOKS], "").with(200).json();
        shown["waits"][0]["call"].as_str().unwrap().to_owned()
    };
    let first = waits(&mut serving);
    decide(&serving, json!({ "act": "mark-done", "call": "", "note": "which?" })).with(409);
    decide(&serving, json!({ "act": "mark-done", "call": first })).with(400);
    let by_hand =
        json!({ "act": "mark-done", "call": first, "value": { "status": 201 }, "note": "it is in the shop" });
    let marked = decide(&serving, by_hand).with(200).json();
    assert_eq!((&marked["act"], &marked["keys"]), (&json!("marked done"), &json!([first])));
    let second = waits(&mut serving);
    decide(&serving, json!({ "act": "skip", "call": second, "note": "not needed any more" })).with(200);
    let third = waits(&mut serving);
    decide(&serving, json!({ "act": "approve" })).with(409);
    let retried = decide(&serving, json!({ "act": "retry", "note": "the gateway is back" })).with(200).json();
    assert_eq!(retried["keys"], json!([third]));
    assert_eq!(serving.hears("ended")["verdict"], "succeeded");
    let asked: Vec<String> = (0..4).map(|_| shop.next().line).collect();
    assert_eq!(asked, ["POST /orders/1", "POST /orders/2", "POST /orders/3", "POST /orders/3"]);
    decide(&serving, json!({ "act": "retry" })).with(409);
    serving.stop();
}

#[test]
fn schedules_are_paused_and_everything_is_halted_by_those_who_may() {
    let project = project("");
    let serving = Serving::listening(&project, &[]);
    let pause =
        serving.ask("PUT", "/v1/schedules/ask/pause", &[ACTS], "{\"reason\":\"the disk\"}").with(200).json();
    assert_eq!(pause["person"], "kim");
    let listed = serving.ask("GET", "/v1/schedules", &[LOOKS], "").with(200).json();
    assert_eq!((&listed[0]["schedule"], &listed[0]["pause"]["reason"]), (&json!("ask"), &json!("the disk")));
    let record = serving.ask("POST", "/v1/schedules/ask/runs", &[ACTS], "").with(200).json();
    assert_eq!((&record["why"], &record["note"]), (&json!("paused"), &json!("the disk")));
    serving.ask("DELETE", "/v1/schedules/ask/pause", &[ACTS], "").with(200);
    serving.ask("PUT", "/v1/halt", &[ACTS], "{\"reason\":\" \"}").with(400);
    serving.ask("PUT", "/v1/halt", &[ACTS], "{\"reason\":\"incident 7\"}").with(200);
    assert_eq!(serving.ask("GET", "/v1/halt", &[LOOKS], "").with(200).json()["person"], "kim");
    let record = serving.ask("POST", "/v1/schedules/ask/runs", &[ACTS], "").with(200).json();
    assert_eq!(record["why"], "halted");
    serving.ask("DELETE", "/v1/halt", &[ACTS], "").with(200);
    assert_eq!(serving.ask("GET", "/v1/halt", &[LOOKS], "").with(200).json(), Value::Null);
    serving.ask("POST", "/v1/schedules/none/runs", &[ACTS], "").with(404);
    serving.stop();
}

#[test]
fn tokens_cross_a_network_under_tls_alone_and_are_made_here() {
    let made = project("")
        .aegis(&["token", "kim", "--role", "operator", "--output", "json"])
        .ended(0)
        .json()
        .remove(0);
    assert_eq!(made["sha256"], json!(hex::encode(Sha256::digest(made["token"].as_str().unwrap()))));
    for name in ["kim", "o'neil", "on call", "kim.lee", "a \"b\" \\", "김"] {
        let made = project("").aegis(&["token", name]).ended(0);
        let written: toml::Table = made.talk.split_once("\n\n").unwrap().1.parse().unwrap();
        assert_eq!(written["serve"]["tokens"][name]["role"].as_str(), Some("viewer"), "{}", made.talk);
    }
    project("").aegis(&["token", " "]).ended(2);
    let open = project("").aegis(&["serve", "--listen", "0.0.0.0:0"]).ended(2);
    assert!(open.talk.contains("tokens would cross the network in clear"), "{}", open.talk);

    let project = project("[serve.tls]\ncertificate = \"tls/cert.pem\"\nkey = \"tls/key.pem\"\n");
    let issue = || {
        let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        project.write("tls/cert.pem", &issued.cert.pem());
        project.write("tls/key.pem", &issued.signing_key.serialize_pem());
        reqwest::Certificate::from_pem(issued.cert.pem().as_bytes()).unwrap()
    };
    let first = issue();
    let serving = Serving::listening(&project, &[]);
    let port = serving.address.rsplit(':').next().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = |trusted: &reqwest::Certificate| {
        let client = reqwest::Client::builder().tls_certs_only([trusted.clone()]).build().unwrap();
        let ask = client.get(format!("https://localhost:{port}/v1/runs")).bearer_auth("looks");
        runtime.block_on(async { ask.send().await?.text().await })
    };
    assert_eq!(answer(&first).unwrap(), "[]");
    // Renewed while it serves: new connections have the new one.
    let second = issue();
    let began = std::time::Instant::now();
    while answer(&second).is_err() {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "the new certificate is not taken up");
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
    assert!(answer(&first).is_err());
    serving.stop();
}
