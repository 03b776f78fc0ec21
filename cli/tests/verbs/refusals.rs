//! What cannot be used, said by the API in one shape and by the command line in the same words: nothing is passed over in
//! silence, and every answer has a hint.

use serde_json::json;

use crate::api::{ACTS, LOOKS, project};
use crate::serving::Serving;

/// An error of the API has these keys, and a sentence and a hint.
#[track_caller]
fn refused(
    serving: &Serving,
    request: (&str, &str, &[(&str, &str)], &str),
    status: u16,
    parts: &[&str],
) -> String {
    let (method, path, headers, body) = request;
    let answer = serving.ask(method, path, headers, body).with(status);
    assert!(answer.head.contains("content-type: application/json"), "{answer:?}");
    let told = answer.json();
    let error = told["error"].as_object().unwrap_or_else(|| panic!("{answer:?}"));
    assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "hint", "message"], "{answer:?}");
    let text = |key: &str| error[key].as_str().unwrap_or_else(|| panic!("no `{key}`: {answer:?}")).to_owned();
    assert!(text("code").starts_with('A'), "{answer:?}");
    let said = format!("{} ({})", text("message"), text("hint"));
    for part in parts {
        assert!(said.contains(part), "{method} {path}: `{part}` is not in: {said}");
    }
    answer.head
}

#[test]
fn what_a_request_says_wrongly_is_told_in_the_shape_of_every_error_with_a_hint() {
    let project = project("");
    let serving = Serving::listening(&project, &[]);
    let plain = ("Content-Type", "text/plain");
    let pause = "/v1/schedules/ask/pause";
    let table: &[(&str, &str, &str, u16, &[&str])] = &[
        ("PUT", "/v1/halt", "{}", 422, &["the body has no `reason`", "add `\"reason\": ...`"]),
        ("PUT", "/v1/halt", "{\"reason\": 7}", 422, &["the body cannot be used", "expected a string"]),
        (
            "PUT",
            "/v1/halt",
            "{\"reson\": \"x\"}",
            422,
            &["the body has no key `reson`", "did you mean `reason`?"],
        ),
        ("PUT", "/v1/halt", "[1]", 422, &["the body"]),
        ("PUT", "/v1/halt", "{\"reason\"", 400, &["the body is not JSON", "line 1 column"]),
        ("PUT", "/v1/halt", "", 400, &["the body is not JSON"]),
        ("PUT", "/v1/halt", "{\"reason\": \"\"}", 400, &["a halt needs a reason"]),
        ("PUT", pause, "{\"reason\": \" \"}", 400, &["a pause needs a reason"]),
        (
            "POST",
            "/v1/runs/last/decisions",
            "{\"act\": \"aprove\"}",
            422,
            &["cannot be `aprove`", "did you mean `approve`?"],
        ),
        (
            "GET",
            "/v1/runs?status=bogus",
            "",
            400,
            &["`status` in the query cannot be `bogus`", "known are `running`"],
        ),
        ("GET", "/v1/runs?status=wating", "", 400, &["did you mean `waiting`?"]),
        (
            "POST",
            "/v1/runs/last/decisions",
            "{\"act\": \"cancel\", \"call\": \"x\"}",
            422,
            &["takes no `call`"],
        ),
        (
            "POST",
            "/v1/runs/last/decisions",
            "{\"act\": \"skip\", \"call\": \"x\", \"value\": 1}",
            422,
            &["takes no `value`"],
        ),
        (
            "GET",
            "/v1/runs?state=waiting",
            "",
            400,
            &["the query has no `state` here", "names are `limit` and `status`"],
        ),
        ("GET", "/v1/runs?limt=1", "", 400, &["did you mean `limit`?"]),
        ("GET", "/v1/runs?limit=many", "", 400, &["`limit` in the query cannot be used"]),
        ("GET", "/v1/halt?limit=1", "", 400, &["the query has no `limit` here", "leave the query away"]),
        ("GET", "/v1/schedules/ask/history?limit=-1", "", 400, &["`limit` in the query"]),
        ("GET", "/v1/schedules/aks", "", 404, &["there is no schedule `aks`", "did you mean `ask`?"]),
        ("GET", "/v1/runs/none-such", "", 404, &["there is no run `none-such`"]),
        (
            "POST",
            "/v1/runs//decisions",
            "{}",
            404,
            &["`/v1/runs//decisions` names no run", "`/v1/runs/{run}/decisions`"],
        ),
        ("GET", "/v1/runs/", "", 404, &["`/v1/runs/` names no run"]),
        (
            "GET",
            "/v1/schedule",
            "",
            404,
            &["there is nothing at `/v1/schedule`", "did you mean `/v1/schedules`?"],
        ),
        ("GET", "/v1/run/last/events", "", 404, &["did you mean `/v1/runs/last/events`?"]),
        ("GET", "/v2", "", 404, &["there is nothing at `/v2`", "docs/api.md"]),
        ("GET", "/v1/runs/%FF", "", 400, &["not text in UTF-8"]),
    ];
    for (method, path, body, status, parts) in table {
        refused(&serving, (method, path, &[ACTS], body), *status, parts);
    }
    let reason = "{\"reason\": \"x\"}";
    refused(
        &serving,
        ("PUT", "/v1/halt", &[ACTS, plain], reason),
        415,
        &["not said to be JSON", "Content-Type: application/json"],
    );
    for (method, path) in [("POST", "/v1/schedules/ask/runs"), ("DELETE", pause), ("DELETE", "/v1/halt")] {
        let said = ["this takes no body", "leave the body away"];
        refused(&serving, (method, path, &[ACTS], "{\"params\":{}}"), 422, &said);
        refused(&serving, (method, path, &[ACTS], "so"), 422, &said);
        refused(&serving, (method, path, &[ACTS, plain], "params=1"), 415, &said);
    }
    serving.ask("DELETE", "/v1/halt", &[ACTS], " {} ").with(200);
    let large = format!("{{\"reason\":\"{}\"}}", "x".repeat(2 << 20));
    refused(&serving, ("PUT", "/v1/halt", &[ACTS], &large), 413, &["larger than 1 MiB"]);
    let head = refused(
        &serving,
        ("POST", "/v1/runs", &[ACTS], ""),
        405,
        &["`POST` is not possible at `/v1/runs`", "possible is `GET`"],
    );
    assert!(head.contains("allow: get, head"), "{head}");
    let head = refused(&serving, ("POST", pause, &[ACTS], ""), 405, &["possible is `PUT` and `DELETE`"]);
    assert!(head.contains("allow: put, delete"), "{head}");
    serving.ask("GET", "/healthz?from=probe", &[], "").with(200);
    refused(&serving, ("GET", "/v1/runs", &[], ""), 401, &["this needs a token"]);
    refused(&serving, ("PUT", "/v1/halt", &[LOOKS], reason), 403, &["`grafana` is viewer"]);
    assert_eq!(serving.ask("GET", "/v1/halt", &[LOOKS], "").with(200).body, "null", "nothing was halted");
    serving.stop();
}

#[test]
fn a_call_that_is_under_way_is_neither_skipped_nor_marked() {
    let project = project("");
    project.write(
        "runbooks/ask.rhai",
        "runbook(#{ title: \"Waits\", needs: [] });\nstep(\"nap\", || time::sleep(\"10m\"));\n",
    );
    let mut serving = Serving::listening(&project, &[]);
    let record = serving.ask("POST", "/v1/schedules/ask/runs", &[ACTS], "").with(200).json();
    let run = record["run"].as_str().unwrap().to_owned();
    serving.hears("started");
    let steps = || serving.ask("GET", &format!("/v1/runs/{run}"), &[LOOKS], "").with(200).body;
    let began = std::time::Instant::now();
    while !steps().contains("time::sleep") {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "it does not sleep: {}", steps());
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
    let decisions = format!("/v1/runs/{run}/decisions");
    for act in ["skip", "mark-done"] {
        let body = json!({ "act": act, "call": "nap", "note": "it takes too long" }).to_string();
        let said = ["is under way: what comes of it is what counts", &format!("aegis cancel {run}")];
        refused(&serving, ("POST", &decisions, &[ACTS], &body), 409, &said);
    }
    let skipped = project.aegis(&["skip", &run, "nap"]).ended(2);
    assert!(skipped.talk.contains("is under way"), "{}", skipped.talk);
    let cancel = json!({ "act": "cancel", "note": "it takes too long" }).to_string();
    serving.ask("POST", &decisions, &[ACTS], &cancel).with(200);
    assert_eq!(serving.hears("ended")["verdict"], "cancelled");
    serving.stop();
}

#[test]
fn the_command_line_refuses_what_says_nothing() {
    let project = project("");
    let told = |arguments: &[&str], parts: &[&str]| {
        let done = project.aegis(arguments).ended(2);
        for part in parts {
            assert!(done.talk.contains(part), "{arguments:?}: {}", done.talk);
        }
    };
    told(&["schedule", "pause", "ask", "--reason", " "], &["a pause needs a reason", "hint: "]);
    let backfill = ["schedule", "backfill", "ask", "--from", "2026-03-02", "--to", "2026-03-01"];
    told(&backfill, &["`--from` (2026-03-01T15:00:00Z) is after `--to` (2026-02-28T15:00:00Z)", "hint: "]);
    told(&["halt", " "], &["a halt needs a reason", "hint: "]);
    told(&["show", ""], &["no run is named", "`aegis runs` lists them"]);
    told(&["run", "runbooks/ask.rhai", "--break-glass", ""], &["breaking the glass needs a reason"]);
    let paused = project.aegis(&["schedule", "ls", "--output", "json"]).ended(0).json().remove(0);
    assert_eq!(paused[0]["paused"], json!(null), "{paused}");
}

/// An event of 2020, or of these days.
fn calendar(year: i16) -> String {
    format!(
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nSUMMARY:moving house\nDTSTART;VALUE=DATE:{year}0101\nDTEND;VALUE=DATE:{}0101\n\
         END:VEVENT\nEND:VCALENDAR\n",
        year + 10
    )
}

#[test]
fn people_hear_once_that_nothing_starts_for_mistakes_in_freezes_and_calendars_are_read_again() {
    let schedules = |freeze: &str| {
        format!(
            "[schedules.one]\nrunbook = \"runbooks/ask.rhai\"\nwhen = \"* * * * * *\"\n\
             [schedules.two]\nrunbook = \"runbooks/ask.rhai\"\nwhen = \"* * * * * *\"\n[freezes.company]\n{freeze}\n"
        )
    };
    let project = project("[serve]\nnotify = \"ops\"\n");
    project.write("runbooks/ask.rhai", "runbook(#{ title: \"Ticks\", needs: [] });\nlog(\"tick\");\n");
    project
        .write("schedules.toml", &schedules("from = 2020-01-01\nuntil = 2020-02-01\ntargets = [\"prod\"]"));
    let mut serving = Serving::listening(&project, &[]);
    assert_eq!(serving.hears("shut")["schedules"], 2);
    let explained = serving.ask("GET", "/v1/schedules/one", &[LOOKS], "").with(200).json();
    let note = explained["next"][0]["note"].as_str().unwrap_or_default();
    assert!(note.starts_with("will not run: frozen"), "{explained}");
    for _ in 0..4 {
        let record = &serving.hears("not-started")["record"];
        assert_eq!(
            record["note"], "freeze `mistakes in the windows or freezes of schedules.toml`",
            "{record}"
        );
    }
    project.write("calendars/company.ics", &calendar(2000));
    project.write("schedules.toml", &schedules("file = \"calendars/company.ics\""));
    serving.hears("opened");
    serving.hears("started");
    let year = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year();
    project.write("calendars/company.ics", &calendar(year));
    while serving.hears("not-started")["record"]["note"]
        .as_str()
        .is_none_or(|note| !note.contains("moving house"))
    {}
    serving.stop();
    let told = std::fs::read_to_string(project.path(".aegis/notifications/ops.jsonl")).unwrap();
    let told: Vec<&str> = told.lines().filter(|line| line.contains("nothing starts by itself")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
}
