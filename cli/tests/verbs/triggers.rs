//! Runs that start beside the clock: notifications of Alertmanager, signed webhooks, events of a cluster, new objects.

use std::time::{Duration, Instant};

use aegis_engine::testing::SeaweedServer;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::project::{Done, Project, finished};
use crate::serving::{Answered, Serving};

/// Long enough for any machine that is not broken.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) const GROW: &str = "runbook(#{ title: \"Grows\", needs: [], params: #{ volume: #{ type: \"string\", pattern: \"^[a-z-]+$\" },\n  \
                    by: #{ type: \"int\", default: 10 } } });\nlog(`grows ${params.volume} by ${params.by}`);\n";

/// Who tells of alerts has this.
pub(crate) const SENDER: &str = "sender-token";
pub(crate) const READER: &str = "reader-token";

fn token(name: &str, token: &str, role: &str) -> String {
    use sha2::Digest;
    format!("[serve.tokens.{name}]\nsha256 = \"{}\"\nrole = \"{role}\"\n", hex::encode(Sha256::digest(token)))
}

/// What `aegis.toml` says of who may tell of events and who may only look.
pub(crate) fn tokens() -> String {
    format!("{}{}", token("alertmanager", SENDER, "trigger"), token("grafana", READER, "viewer"))
}

/// A project with triggers, and tokens for who tells of events and who only looks.
pub(crate) fn project(triggers: &str) -> Project {
    let aegis = tokens();
    Project::new(&[("runbooks/grow.rhai", GROW), ("aegis.toml", &aegis), ("schedules.toml", triggers)])
}

/// Records of a trigger, newest first.
pub(crate) fn history(project: &Project, trigger: &str) -> Vec<Value> {
    let done = project.aegis(&["trigger", "history", trigger, "-n", "1000", "--output", "json"]).ended(0);
    done.json().remove(0).as_array().unwrap().clone()
}

fn whys(project: &Project, trigger: &str) -> Vec<String> {
    let mut told: Vec<String> = history(project, trigger)
        .iter()
        .map(|record| record["why"].as_str().or(record["verdict"].as_str()).unwrap_or("started").to_owned())
        .collect();
    told.reverse();
    told
}

/// A notification as Alertmanager 0.2x sends it (webhook payload version 4).
pub(crate) fn notification(alerts: &[Value]) -> String {
    json!({
        "version": "4", "groupKey": "{}:{alertname=\"DiskFull\"}", "truncatedAlerts": 0, "status": "firing",
        "receiver": "aegis", "groupLabels": { "alertname": "DiskFull" }, "commonLabels": { "alertname": "DiskFull" },
        "commonAnnotations": {}, "externalURL": "http://alertmanager.example.com:9093", "alerts": alerts,
    })
    .to_string()
}

pub(crate) fn alert(name: &str, volume: &str, status: &str) -> Value {
    json!({
        "status": status, "labels": { "alertname": name, "volume": volume }, "annotations": { "summary": "full" },
        "startsAt": "2026-11-23T10:00:00.000Z", "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example.com:9090/graph", "fingerprint": format!("{name}-{volume}"),
    })
}

const DISK: &str = "[triggers.disk]\non = \"alertmanager\"\nrunbook = \"runbooks/grow.rhai\"\nparams = { by = 20 }\n\
                    match = { \"/labels/alertname\" = [\"DiskFull\", \"DiskAlmostFull\"] }\nfill = { volume = \"/labels/volume\" }\n";

#[test]
fn an_alert_starts_one_run_with_its_labels_and_has_one_record() {
    let project = project(&format!("{DISK}rate = \"2/1h\"\n"));
    let mut serving = Serving::listening(&project, &[]);
    let send = |serving: &Serving, token: &str, alerts: &[Value]| {
        let bearer = format!("Bearer {token}");
        serving.ask("POST", "/v1/triggers/disk", &[("Authorization", &bearer)], &notification(alerts))
    };
    // Who may not learns nothing, not even which triggers there are.
    let strange = send(&serving, "other", &[]).with(401);
    assert!(strange.head.contains("www-authenticate: bearer"), "{strange:?}");
    let unknown = serving.ask("POST", "/v1/triggers/nothing", &[], "{}").with(401);
    assert_eq!(unknown.json()["error"]["message"], strange.json()["error"]["message"]);
    send(&serving, READER, &[alert("DiskFull", "data", "firing")]).with(401);
    let bearer = |token: &str| format!("Bearer {token}");
    let at = |token: &str, path: &str| serving.ask("POST", path, &[("Authorization", &bearer(token))], "{}");
    at(READER, "/v1/triggers/disc").with(401);
    let unknown = at(SENDER, "/v1/triggers/disc").with(404).json();
    assert_eq!(unknown["error"]["message"], "there is no trigger `disc`");
    assert_eq!(unknown["error"]["hint"], "did you mean `disk`?");
    serving.ask("POST", "/v1/triggers/disk", &[("Authorization", "Bearer sender-token")], "{}").with(400);

    let alerts = [
        alert("DiskFull", "data", "firing"),
        alert("DiskFull", "data", "resolved"),
        alert("Other", "data", "firing"),
        alert("DiskFull", "NOT A NAME", "firing"),
    ];
    let answer = send(&serving, SENDER, &alerts).with(202).json();
    let events = answer["events"].as_array().unwrap();
    assert_eq!((events.len(), &answer["ignored"]), (2, &json!(1)), "{answer}");
    let run = events[0]["record"]["run"].as_str().unwrap().to_owned();
    assert_eq!(events[0]["record"]["given"], json!({ "volume": "data" }));
    assert_eq!(events[1]["record"]["why"], "refused");
    assert!(
        events[1]["record"]["note"].as_str().unwrap().contains("`/labels/volume` of the event"),
        "{answer}"
    );
    let ended = serving.hears("ended");
    assert_eq!((&ended["run"], &ended["verdict"]), (&json!(run), &json!("succeeded")));
    assert!(project.aegis(&["logs", &run]).ended(0).out.contains("grows data by 20"));

    // The same alert again starts nothing; another one does; the third in an hour is one too many.
    let answer = send(&serving, SENDER, &alerts[..1]).with(202).json();
    let known = &answer["events"][0];
    assert_eq!((&known["known"], &known["record"]["run"]), (&json!(true), &json!(run)), "{answer}");
    send(&serving, SENDER, &[alert("DiskFull", "logs", "firing")]).with(202);
    serving.hears("ended");
    let answer = send(&serving, SENDER, &[alert("DiskAlmostFull", "web", "firing")]).with(202).json();
    assert_eq!(answer["events"][0]["record"]["why"], "rate-limited", "{answer}");
    let metrics = serving.ask("GET", "/metrics", &[], "").with(200).body;
    assert!(
        metrics.contains("aegis_trigger_events_total{trigger=\"disk\",outcome=\"known\"} 1"),
        "{metrics}"
    );
    serving.stop();
    assert_eq!(whys(&project, "disk"), ["succeeded", "refused", "succeeded", "rate-limited"]);
    let listed = project.aegis(&["trigger", "ls"]).ended(0).out;
    assert!(listed.contains("disk") && listed.contains("alertmanager"), "{listed}");
}

#[test]
fn an_event_meets_freezes_pauses_and_the_halt_as_an_instant_does() {
    let frozen = "[freezes.now]\nfrom = 2020-01-01\nuntil = 2999-01-01\n";
    let project = project(&format!("{DISK}{frozen}"));
    let serving = Serving::listening(&project, &[]);
    let why = |serving: &Serving, volume: &str| {
        let body = notification(&[alert("DiskFull", volume, "firing")]);
        let answer =
            serving.ask("POST", "/v1/triggers/disk", &[("Authorization", "Bearer sender-token")], &body);
        answer.with(202).json()["events"][0]["record"]["why"].as_str().unwrap_or("started").to_owned()
    };
    assert_eq!(why(&serving, "data"), "frozen");
    serving.stop();
    project.write("schedules.toml", DISK);
    project.aegis(&["schedule", "pause", "disk", "--reason", "later"]).ended(0);
    let serving = Serving::listening(&project, &[]);
    assert_eq!(why(&serving, "data"), "paused");
    project.aegis(&["schedule", "resume", "disk"]).ended(0);
    project.aegis(&["halt", "stop"]).ended(0);
    assert_eq!(why(&serving, "data"), "halted");
    project.aegis(&["unhalt"]).ended(0);
    // What was not started keeps nothing from being started later.
    assert_eq!(why(&serving, "data"), "started");
    serving.stop();
}

#[test]
fn a_trigger_is_tried_with_a_payload_and_its_mistakes_are_told() {
    let project = project(&format!(
        "{DISK}[triggers.bad]\non = \"webhok\"\nrunbook = \"runbooks/grow.rhai\"\n\
         [triggers.open]\non = \"webhook\"\nsecret = \"abc\"\nrunbook = \"runbooks/grow.rhai\"\nfill = {{ volum = \"/x\" }}\n\
         [triggers.path]\non = \"s3\"\nurl = \"s3://b/\"\nrunbook = \"runbooks/grow.rhai\"\nfill = {{ volume = \"key\" }}\nstatus = \"firing\"\n"
    ));
    project.write(
        "alert.json",
        &notification(&[alert("DiskFull", "data", "firing"), alert("Other", "x", "firing")]),
    );
    let tried = project.aegis(&["trigger", "test", "disk", "alert.json"]).ended(0).out;
    assert!(tried.contains("firing DiskFull-data") && tried.contains("{\"volume\":\"data\"}"), "{tried}");
    assert!(!tried.contains("Other"), "{tried}");
    let listed = project.aegis(&["trigger", "ls"]).ended(2);
    for part in [
        "there is no source `webhok`",
        "did you mean `webhook`?",
        "a key does not stand in a file",
        "the runbook has no parameter `volum`",
        "parameter `volume` is missing",
        "`key` is no path into an event",
        "write `/key`",
        "trigger `path` has no key `status`",
    ] {
        assert!(listed.talk.contains(part), "`{part}` is not in:\n{}", listed.talk);
    }
    assert!(history(&project, "disk").is_empty());
    assert!(
        project
            .aegis(&["trigger", "test", "disc", "alert.json"])
            .ended(2)
            .talk
            .contains("did you mean `disk`?")
    );
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

pub(crate) fn standard(serving: &Serving, id: &str, at: i64, body: &str, key: &[u8]) -> Answered {
    let at = at.to_string();
    let mac = mac(key, &[id.as_bytes(), b".", at.as_bytes(), b".", body.as_bytes()]);
    let signature = format!("v1,{}", STANDARD.encode(mac));
    let headers = [("webhook-id", id), ("webhook-timestamp", &at), ("webhook-signature", &signature)];
    serving.ask("POST", "/v1/triggers/hook", &headers, body)
}

pub(crate) fn seconds() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

#[test]
fn a_webhook_is_believed_by_its_signature_and_once() {
    let hook = |name: &str, signature: &str| {
        format!(
            "[triggers.{name}]\non = \"webhook\"\nsignature = \"{signature}\"\nsecret = \"env:HOOK\"\n\
             runbook = \"runbooks/grow.rhai\"\nfill = {{ volume = \"/data/name\", by = \"/data/by\" }}\n"
        )
    };
    let project = project(&format!("{}{}", hook("hook", "standard"), hook("git", "github")));
    let key = STANDARD.encode("a key of the webhook");
    let mut serving = Serving::listening(&project, &[("HOOK", &format!("whsec_{key}"))]);
    let body = json!({ "data": { "name": "data", "by": "5" } }).to_string();
    let (now, good) = (seconds(), b"a key of the webhook");
    let refused = standard(&serving, "msg_1", now, &body, b"another").with(401).json();
    assert!(
        refused["error"]["message"].as_str().unwrap().contains("the signature does not fit"),
        "{refused}"
    );
    standard(&serving, "msg_1", now - 600, &body, good).with(401);
    let first = standard(&serving, "msg_1", now, &body, good).with(202).json();
    assert_eq!(first["events"][0]["known"], false, "{first}");
    let ended = serving.hears("ended");
    assert_eq!(ended["run"], first["events"][0]["record"]["run"]);
    assert!(project.aegis(&["logs", "last"]).ended(0).out.contains("grows data by 5"));
    // Sent again, by whoever recorded it, and after a restart: the same record, no second run.
    let again = standard(&serving, "msg_1", now, &body, good).with(202).json();
    assert_eq!(
        (&again["events"][0]["known"], &again["events"][0]["record"]["run"]),
        (&json!(true), &ended["run"])
    );
    serving.kill();
    let serving = Serving::listening(&project, &[("HOOK", &format!("whsec_{key}"))]);
    let again = standard(&serving, "msg_1", now, &body, good).with(202).json();
    assert_eq!(again["events"][0]["known"], true, "{again}");
    standard(&serving, "msg_2", now, &body, good).with(202);

    let raw = format!("whsec_{key}");
    let signature = format!("sha256={}", hex::encode(mac(raw.as_bytes(), &[body.as_bytes()])));
    let git = |delivery: &str, signature: &str| {
        let headers = [("X-GitHub-Delivery", delivery), ("X-Hub-Signature-256", signature)];
        serving.ask("POST", "/v1/triggers/git", &headers, &body)
    };
    git("one", "sha256=00").with(401);
    git("one", &signature).with(202);
    for _ in 0..3 {
        assert_eq!(git("one", &signature).with(202).json()["events"][0]["known"], true);
    }
    serving.stop();
    assert_eq!((history(&project, "hook").len(), history(&project, "git").len()), (2, 1));
}

/// Clusters and buckets tell whole seconds: what happened in the one before is before.
pub(crate) fn next_second() {
    let now = seconds();
    while seconds() <= now {
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what} does not come");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Waits until a trigger has so many records.
fn records(project: &Project, trigger: &str, number: usize) -> Vec<Value> {
    let mut records = Vec::new();
    until(trigger, || {
        records = history(project, trigger);
        records.len() >= number
    });
    records
}

pub(crate) const EVENT: &str = "runbook(#{ title: \"Event\", needs: [\"k8s:change\"], params: #{ name: #{ type: \"string\" }, reason: #{ type: \"string\" } } });\n\
    k8s::apply(`apiVersion: v1\nkind: Event\nmetadata:\n  name: ${params.name}\n  namespace: default\ninvolvedObject:\n  kind: Pod\n  name: web\n  \
    namespace: default\n  uid: ${params.name}\nreason: ${params.reason}\nmessage: it fell over\ntype: Warning\nlastTimestamp: \"${time::now()}\"\ncount: 1\n`);\n";

#[test]
fn an_event_of_the_cluster_starts_a_run_and_a_restart_starts_none_again() {
    let project = project(
        "[triggers.crash]\non = \"kubernetes\"\nnamespace = \"default\"\nrunbook = \"runbooks/grow.rhai\"\n\
         match = { \"/reason\" = \"BackOff\", \"/involvedObject/kind\" = \"Pod\" }\nfill = { volume = \"/involvedObject/name\" }\n",
    );
    project.write("runbooks/event.rhai", EVENT);
    let event = |name: &str, reason: &str| {
        let (name, reason) = (format!("name={name}"), format!("reason={reason}"));
        project.aegis(&["run", "runbooks/event.rhai", "-p", &name, "-p", &reason]).ended(0);
    };
    // What happened before anybody watched starts nothing.
    event("before", "BackOff");
    next_second();
    let mut serving = Serving::listening(&project, &[]);
    serving.hears("serving");
    event("other", "Scheduled");
    event("first", "BackOff");
    let record = records(&project, "crash", 1).remove(0);
    assert_eq!(record["given"]["volume"], "web", "{record}");
    serving.hears("ended");
    serving.kill();
    // What happens while nobody watches is found, and what is known is not started again.
    event("second", "BackOff");
    let mut serving = Serving::listening(&project, &[]);
    records(&project, "crash", 2);
    serving.hears("ended");
    event("third", "BackOff");
    let records = records(&project, "crash", 3);
    serving.stop();
    assert_eq!(records.len(), 3, "{records:?}");
    assert_eq!(history(&project, "crash").len(), 3);
}

pub(crate) const LOGIN: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "AKIAAEGISTEST0000002"),
    ("AWS_SECRET_ACCESS_KEY", "test-secret-of-the-seaweed-server"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

pub(crate) const PUT: &str = "runbook(#{ title: \"Puts\", needs: [\"storage:change\"], params: #{ url: #{ type: \"string\" }, text: #{ type: \"string\" } } });\n\
                   storage::put(params.url, params.text);\n";
pub(crate) const IMPORT: &str = "runbook(#{ title: \"Imports\", needs: [], params: #{ url: #{ type: \"string\" }, size: #{ type: \"int\" } } });\n\
                      log(`imports ${params.size} bytes of ${params.url}`);\n";

/// Puts an object into the bucket.
pub(crate) fn put(project: &Project, name: &str, text: &str) -> Done {
    let (url, text) = (format!("url=s3://incoming/{name}"), format!("text={text}"));
    let mut command = project.command(&["run", "runbooks/put.rhai", "-p", &url, "-p", &text]);
    finished(command.envs(LOGIN).spawn().unwrap())
}

#[test]
fn an_object_that_comes_to_be_starts_a_run_and_written_anew_another() {
    let seaweed = SeaweedServer::start("incoming", LOGIN[0].1, LOGIN[1].1);
    let project = Project::new(&[
        ("runbooks/put.rhai", PUT),
        ("runbooks/import.rhai", IMPORT),
        (
            "aegis.toml",
            &format!(
                "[targets.sandbox.storage.s3]\nendpoint = \"{}\"\npath-style = true\nregion = \"us-east-1\"\n",
                seaweed.endpoint()
            ),
        ),
        (
            "schedules.toml",
            "[triggers.incoming]\non = \"s3\"\nurl = \"s3://incoming/reports/\"\nevery = \"1s\"\n\
             runbook = \"runbooks/import.rhai\"\nfill = { url = \"/url\", size = \"/size\" }\n",
        ),
    ]);
    let put = |name: &str, text: &str| put(&project, name, text);
    until("the bucket", || put("reports/before.csv", "old").exit == 0);
    next_second();
    let mut serving = Serving::listening(&project, &LOGIN);
    serving.hears("serving");
    put("elsewhere.csv", "x").ended(0);
    put("reports/one.csv", "1,2,3").ended(0);
    let record = records(&project, "incoming", 1).remove(0);
    assert_eq!(record["given"], json!({ "url": "s3://incoming/reports/one.csv", "size": 5 }));
    serving.hears("ended");
    assert!(
        project.aegis(&["logs", record["run"].as_str().unwrap()]).ended(0).out.contains("imports 5 bytes of")
    );
    serving.kill();
    // Written while nobody looks, one of them anew; what is known is not imported again.
    put("reports/one.csv", "1,2,3,4").ended(0);
    put("reports/two.csv", "1").ended(0);
    let serving = Serving::listening(&project, &LOGIN);
    records(&project, "incoming", 3);
    serving.stop();
    assert_eq!(history(&project, "incoming").len(), 3);
}
