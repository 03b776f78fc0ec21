//! Traces of runs in OpenTelemetry's own protocol: run, step and call as spans, without secrets, in one trace however many
//! processes the run took.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::listener::Listener;
use crate::project::{Done, Project, finished};

const BOOK: &str = r#"
runbook(#{ title: "Traced", needs: [], params: #{ key: #{ type: "string", secret: true } } });
step("first", || { text::sha256(params.key); log(`used ${params.key}`); });
step("second", #{ retry: #{ max: 1, backoff: "1ms" } }, || { throw "it broke near " + params.key; });
"#;

fn run(project: &Project, arguments: &[&str], url: &str) -> Done {
    let mut command = project.command(arguments);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", url).env("AEGIS_PARAM_KEY", "hunter2-is-secret");
    command.env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue").env("OTEL_SERVICE_NAME", "night");
    finished(command.spawn().unwrap())
}

fn attribute<'a>(span: &'a Value, key: &str) -> &'a str {
    let found = span["attributes"].as_array().unwrap().iter().find(|pair| pair["key"] == key);
    found.and_then(|pair| pair["value"]["stringValue"].as_str()).unwrap_or_default()
}

/// What OpenTelemetry's own types make of a request.
fn officially(body: &str) -> Value {
    const READ: &str = "import json, sys\n\
        from opentelemetry.proto_json.collector.trace.v1.trace_service import ExportTraceServiceRequest as Request\n\
        print(Request.from_json(sys.stdin.read()).to_json())";
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/python/bin/python");
    let mut reader = Command::new(python)
        .args(["-c", READ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("`.ci/tools opentelemetry` installs what this test talks to");
    reader.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
    let read = finished(reader);
    serde_json::from_str(&read.ended(0).out).unwrap()
}

#[test]
fn a_run_its_steps_and_their_calls_are_spans_of_one_trace_without_secrets() {
    let (project, collector) = (Project::new(&[("runbooks/traced.rhai", BOOK)]), Listener::start());
    run(&project, &["run", "runbooks/traced.rhai"], &collector.url).ended(1);
    let came = collector.next();
    assert_eq!(came.line, "POST /v1/traces");
    assert!(
        came.headers.contains("x-tenant: blue") && came.headers.contains("content-type: application/json"),
        "{came:?}"
    );
    assert!(!came.body.contains("hunter2"), "{}", came.body);
    let body: Value = serde_json::from_str(&came.body).unwrap();
    assert_eq!(officially(&came.body), body, "every field is one of the protocol, as it is written there");
    let resource = &body["resourceSpans"][0]["resource"]["attributes"];
    assert_eq!(resource[0]["value"]["stringValue"], "night", "{resource}");
    let mut spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone();
    spans.extend(collector.spans());

    let named = |name: &str| spans.iter().filter(|span| span["name"] == name).collect::<Vec<_>>();
    let (root, first) = (named("run traced")[0], named("first")[0]);
    assert_eq!(root["traceId"].as_str().unwrap().len(), 32);
    assert_eq!(root["spanId"].as_str().unwrap().len(), 16);
    assert!(root["parentSpanId"].is_null() && spans.iter().all(|span| span["traceId"] == root["traceId"]));
    assert_eq!((&first["parentSpanId"], &first["status"]["code"]), (&root["spanId"], &Value::from(1)));
    let call = named("text::sha256")[0];
    assert_eq!(call["parentSpanId"], first["spanId"]);
    assert_eq!(attribute(call, "aegis.function"), "text::sha256");
    let attempts = named("second");
    assert_eq!(attempts.len(), 2, "{spans:?}");
    assert_ne!(attempts[0]["spanId"], attempts[1]["spanId"]);
    assert!(
        attempts.iter().all(|span| span["status"]["code"] == 2 && span["parentSpanId"] == root["spanId"])
    );
    assert_eq!(root["status"]["code"], 2);
    let nanoseconds = |span: &Value, key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
    assert!(nanoseconds(root, "startTimeUnixNano") <= nanoseconds(first, "startTimeUnixNano"));
    assert!(nanoseconds(root, "endTimeUnixNano") >= nanoseconds(attempts[1], "endTimeUnixNano"));

    // Another process goes on in the same trace.
    run(&project, &["retry", "last"], &collector.url).ended(1);
    let more = collector.spans();
    assert!(!more.is_empty() && more.iter().all(|span| span["traceId"] == root["traceId"]), "{more:?}");
    // A plan is no run.
    run(&project, &["plan", "runbooks/traced.rhai"], &collector.url);
    assert!(collector.spans().is_empty());
}

#[test]
fn no_run_waits_for_a_collector_that_is_not_there() {
    let project =
        Project::new(&[("runbooks/quiet.rhai", "runbook(#{ title: \"Quiet\", needs: [] });\nlog(\"x\");\n")]);
    let done = run(&project, &["run", "runbooks/quiet.rhai"], "http://127.0.0.1:9").ended(0);
    assert_eq!(
        done.talk.matches("traces do not arrive: the collector cannot be reached").count(),
        1,
        "{}",
        done.talk
    );
}
