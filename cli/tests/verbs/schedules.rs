//! Schedules as people use them: looked at, paused, served, caught up; windows and freezes before runs of their own.

use serde_json::Value;

use crate::listener::Listener;
use crate::project::{Done, Project};
use crate::serving::Serving;

const TICK: &str = "runbook(#{ title: \"Ticks\", needs: [], params: #{ word: #{ type: \"string\", default: \"tick\" } } });\n\
                    log(params.word);\n";

fn project(schedules: &str) -> Project {
    Project::new(&[("runbooks/tick.rhai", TICK), ("aegis.toml", ""), ("schedules.toml", schedules)])
}

fn history(project: &Project, schedule: &str) -> Vec<Value> {
    let done = project.aegis(&["schedule", "history", schedule, "-n", "1000", "--output", "json"]).ended(0);
    done.json().remove(0).as_array().unwrap().clone()
}

fn saying(done: &Done, parts: &[&str]) {
    let all = format!("{}\n{}", done.out, done.talk);
    for part in parts {
        assert!(all.contains(part), "`{part}` is not in:\n{all}");
    }
}

#[test]
fn what_is_due_runs_once_and_is_recorded_with_its_run() {
    let project = project(
        "[schedules.second]\nrunbook = \"runbooks/tick.rhai\"\nwhen = \"* * * * * *\"\nparams = { word = \"tock\" }\n",
    );
    let mut serving = Serving::start(&project, &[]);
    assert_eq!(serving.hears("serving")["schedules"], 1);
    let started = serving.hears("started");
    let ended = serving.hears("ended");
    assert_eq!((&ended["run"], &ended["verdict"]), (&started["run"], &Value::from("succeeded")));
    let another = project.aegis(&["serve"]).ended(6);
    saying(&another, &["another `aegis serve` serves", "stop it first"]);
    let rest = serving.stop();
    assert!(rest.contains("draining") && rest.contains("goes on with the next `aegis serve`"), "{rest}");
    let run = started["run"].as_str().unwrap();
    let logs = project.aegis(&["logs", run]).ended(0);
    saying(&logs, &["by schedule second for ", "tock"]);
    let records = history(&project, "second");
    assert!(
        records.iter().any(|record| record["run"] == run && record["verdict"] == "succeeded"),
        "{records:?}"
    );
}

#[test]
fn schedules_are_listed_and_explained_with_both_days_on_which_clocks_change() {
    let project = project(
        "zone = \"Europe/Berlin\"\n[schedules.nightly]\nrunbook = \"runbooks/tick.rhai\"\nwhen = \"30 2 * * *\"\n\
                           missed = \"none\"\n[schedules.gone]\nrunbook = \"runbooks/gone.rhai\"\nwhen = \"@daily\"\n",
    );
    let listed = project.aegis(&["schedule", "ls"]).ended(2);
    saying(
        &listed,
        &[
            "nightly",
            "30 2 * * *",
            "Europe/Berlin",
            "there is no runbook `runbooks/gone.rhai`",
            "schedules.toml:7:11",
        ],
    );
    let explained =
        project.aegis(&["schedule", "explain", "nightly", "--at", "2026-12-01", "--next", "2"]).ended(0);
    saying(
        &explained,
        &[
            "when          30 2 * * * in Europe/Berlin",
            "Tue 2026-12-01 02:30:00 +01:00  2026-12-01T01:30:00Z",
            "clocks change Sun 2027-03-28 02:00 -> 03:00",
            "60 minutes from 02:00 are on no clock: what names them runs 60 minutes later",
            "Sun 2027-03-28 03:30:00 +02:00  2027-03-28T01:30:00Z  moved from 02:30, which is on no clock that day",
            "clocks change Sun 2027-10-31 03:00 -> 02:00",
            "Sun 2027-10-31 02:30:00 +02:00  2027-10-31T00:30:00Z  the first 02:30 of that day",
        ],
    );
    let json =
        project.aegis(&["schedule", "explain", "nightly", "--output", "json"]).ended(0).json().remove(0);
    assert_eq!((json["next"].as_array().unwrap().len(), json["changes"].as_array().unwrap().len()), (5, 2));
    saying(&project.aegis(&["check"]).ended(2), &["2 files checked, 1 with errors"]);
    let mistaken = project.aegis(&["schedule", "explain", "gone"]).ended(2);
    saying(&mistaken, &["there is no runbook `runbooks/gone.rhai`", "the schedule `gone` is refused"]);
    assert!(!mistaken.talk.contains("there is no schedule"), "{}", mistaken.talk);
    let unknown = project.aegis(&["schedule", "explain", "nightli"]).ended(2);
    saying(&unknown, &["there is no schedule `nightli`", "did you mean `nightly`?"]);
    let check = project.aegis(&["check"]).ended(2);
    saying(&check, &["there is no runbook `runbooks/gone.rhai`"]);
}

#[test]
fn a_pause_keeps_back_with_its_reason_until_it_is_resumed() {
    let project = project("[schedules.second]\nrunbook = \"runbooks/tick.rhai\"\nwhen = \"* * * * * *\"\n");
    project.aegis(&["schedule", "pause", "second", "--reason", "the disk is full"]).ended(0);
    saying(&project.aegis(&["schedule", "ls"]).ended(0), &["paused: the disk is full"]);
    let mut serving = Serving::start(&project, &[]);
    let record = serving.hears("not-started")["record"].clone();
    assert_eq!((&record["why"], &record["note"]), (&Value::from("paused"), &Value::from("the disk is full")));
    project.aegis(&["schedule", "resume", "second"]).ended(0);
    serving.hears("started");
    serving.stop();
}

#[test]
fn what_is_missing_is_backfilled_and_run_now_runs_now() {
    let project = project("[schedules.hourly]\nrunbook = \"runbooks/tick.rhai\"\nwhen = \"@hourly\"\n");
    let dry = project
        .aegis(&[
            "schedule",
            "backfill",
            "hourly",
            "--from",
            "2026-01-01",
            "--to",
            "2026-01-01T03:00",
            "--dry-run",
        ])
        .ended(0);
    assert_eq!(dry.out.lines().count(), 4);
    project
        .aegis(&["schedule", "backfill", "hourly", "--from", "2026-01-01", "--to", "2026-01-01T03:00"])
        .ended(0);
    let again = project
        .aegis(&["schedule", "backfill", "hourly", "--from", "2026-01-01", "--to", "2026-01-01T03:00"])
        .ended(0);
    assert_eq!(again.out.lines().count(), 1, "each instant runs once: {}", again.out);
    project.aegis(&["schedule", "run-now", "hourly"]).ended(0);
    let records = history(&project, "hourly");
    assert_eq!(records.len(), 4);
    assert!(records.iter().all(|record| record["verdict"] == "succeeded"), "{records:?}");
    project.aegis(&["schedule", "backfill", "hourly", "--from", "2026-01-01", "--to", "2999-01-01"]).ended(2);
}

#[test]
fn a_risky_run_on_a_protected_target_waits_for_its_window_or_breaks_the_glass() {
    let project = Project::new(&[
        (
            "runbooks/risky.rhai",
            "runbook(#{ title: \"Risky\", risk: \"high\", needs: [] });\nlog(\"went\");\n",
        ),
        ("aegis.toml", "[targets.prod]\nprotected = true\n[targets.staging]\n"),
        ("schedules.toml", "[windows.never]\nwhen = \"0 0 1 1 *\"\nlasts = \"1s\"\n"),
    ]);
    let run = ["run", "runbooks/risky.rhai", "--target", "prod", "--yes-on", "prod"];
    let refused = project.aegis(&run).ended(3);
    saying(
        &refused,
        &[
            "error[A0113]: no maintenance window is open for `prod`: `never` is closed until",
            "`aegis run runbooks/risky.rhai --target prod --yes-on prod --break-glass 'WHY IT CANNOT WAIT'`",
        ],
    );
    let broken = project.aegis(&[&run[..], &["--break-glass", "certificates end tonight"]].concat()).ended(4);
    saying(&broken, &["the glass is broken (window `never` is closed until", "certificates end tonight"]);
    saying(&project.aegis(&["logs", "last"]).ended(0), &["by ", ", glass broken: certificates end tonight"]);
    let planned = project.aegis(&["plan", "runbooks/risky.rhai", "--target", "prod"]);
    assert_eq!(planned.exit, 0, "{}", planned.talk);
    for note in
        ["refused now: no maintenance window", "wants `--yes-on prod`", "asks somebody else for an approval"]
    {
        assert!(planned.out.contains(note), "`{note}` is missing: {}", planned.out);
    }
    // Where nothing is protected, people know what they do.
    saying(&project.aegis(&["run", "runbooks/risky.rhai"]).ended(0), &["went"]);
}

#[test]
fn who_breaks_the_glass_in_an_open_window_is_not_stopped_at_its_end() {
    let project = Project::new(&[
        (
            "runbooks/risky.rhai",
            "runbook(#{ title: \"Risky\", risk: \"high\", needs: [], at_window_end: \"leave\" });\n",
        ),
        ("aegis.toml", "[targets.prod]\nprotected = true\n"),
        ("schedules.toml", "[windows.always]\nwhen = \"0 0 * * *\"\nlasts = \"24h\"\n"),
    ]);
    // It waits for its approval.
    let run = ["run", "runbooks/risky.rhai", "--target", "prod", "--yes-on", "prod"];
    let plain = project.aegis(&run).ended(4);
    assert!(!plain.talk.contains("the glass is broken"), "{}", plain.talk);
    let glass = ["resume", "last", "--yes-on", "prod", "--break-glass", "it takes all night"];
    let broken = project.aegis(&glass).ended(4);
    saying(&broken, &["the glass is broken (the maintenance window closes at ", "): it takes all night"]);
    saying(&project.aegis(&["logs", "last"]).ended(0), &["glass broken: it takes all night"]);
}

#[test]
fn a_freeze_holds_back_people_and_schedules() {
    let project = project(
        "[schedules.second]\nrunbook = \"runbooks/tick.rhai\"\nwhen = \"* * * * * *\"\n\
                           [freezes.black-week]\nfrom = 2020-01-01\nuntil = 2999-01-01\ntitle = \"nobody changes anything\"\n",
    );
    let refused = project.aegis(&["run", "runbooks/tick.rhai"]).ended(3);
    saying(&refused, &["changes on `sandbox` are frozen by `black-week: nobody changes anything` until"]);
    let mut serving = Serving::start(&project, &[]);
    assert_eq!(serving.hears("not-started")["record"]["why"], "frozen");
    serving.stop();
}

#[test]
fn a_schedule_that_was_edited_wrongly_stands_as_it_was() {
    let project = project(
        "[schedules.second]\nrunbook = \"runbooks/tick.rhai\"\nwhen = \"* * * * * *\"\n\
         [schedules.other]\nrunbook = \"runbooks/tick.rhai\"\nwhen = \"every 1s\"\n",
    );
    let mut serving = Serving::start(&project, &[]);
    serving.hears("started");
    project.write(
        "schedules.toml",
        "[schedules.second]\nrunbook = \"runbooks/tick.rhai\"\nwhen = \"* * * * * *\"\n\
         [schedules.other]\nrunbook = \"runbooks/tick.rhai\"\nwhen = \"0 0 30 2 *\"\n",
    );
    let other = |serving: &mut Serving| while serving.hears("started")["schedule"] != "other" {};
    let refused = serving.refused();
    assert!(refused.contains("never comes"), "{refused}");
    other(&mut serving);
    // What is no file any more says nothing, so nothing changes either.
    project.write("schedules.toml", "[schedules.second\n");
    let refused = serving.refused();
    assert!(refused.contains("is no TOML"), "{refused}");
    other(&mut serving);
    // What is taken out is gone.
    project.write(
        "schedules.toml",
        "[schedules.second]\nrunbook = \"runbooks/tick.rhai\"\nwhen = \"* * * * * *\"\n",
    );
    for _ in 0..8 {
        serving.hears("ended");
    }
    let last = |name: &str| history(&project, name)[0]["instant"].as_str().unwrap().to_owned();
    assert!(last("other") < last("second"), "{} {}", last("other"), last("second"));
    let said = serving.stop();
    assert!(said.contains("what has mistakes stands as it was"), "{said}");
}

const FAILS: &str = "runbook(#{ title: \"Fails\", needs: [], notify: #{ failed: \"pager\", started: [] } });\nthrow \"broken\";\n";

fn told(project: &Project, channel: &str) -> String {
    std::fs::read_to_string(project.path(&format!(".aegis/notifications/{channel}.jsonl")))
        .unwrap_or_default()
}

#[test]
fn people_hear_what_schedules_and_runbooks_declare_through_the_channels_of_their_target() {
    let project = Project::new(&[
        ("runbooks/tick.rhai", TICK),
        ("runbooks/fails.rhai", FAILS),
        (
            "aegis.toml",
            "[targets.other]\nsandbox = true\n\
             [targets.other.notify]\nops = { type = \"file\", path = \"notifications/other.jsonl\" }\n\
             log = { type = \"file\", path = \"notifications/log.jsonl\" }\n\
             pager = { type = \"file\", path = \"notifications/pager.jsonl\" }\n\
             [targets.real.notify]\nops = { type = \"file\", path = \"real.jsonl\" }\n",
        ),
        (
            "schedules.toml",
            "[schedules.good]\nrunbook = \"runbooks/tick.rhai\"\nwhen = \"every 1s\"\ntarget = \"other\"\n\
             notify = { started = \"log\", succeeded = [\"log\"] }\n\
             [schedules.bad]\nrunbook = \"runbooks/fails.rhai\"\nwhen = \"every 1s\"\ntarget = \"other\"\n\
             pause-after-failures = 2\n\
             [schedules.missed]\nrunbook = \"runbooks/secret.rhai\"\nwhen = \"every 1s\"\ntarget = \"other\"\n\
             [schedules.silent]\nrunbook = \"runbooks/tick.rhai\"\nwhen = \"@daily\"\ntarget = \"real\"\nnotify = \"opz\"\n",
        ),
    ]);
    project.write("runbooks/secret.rhai", "runbook(#{ title: \"Secret\", needs: [] });\n");
    let mut serving = Serving::start(&project, &[]);
    let refused = serving.refused();
    assert!(refused.contains("target `real` has no notification channel `opz`"), "{refused}");
    serving.hears("paused");
    // From here on its runbook cannot be used: a missed run is told to the people of its own target.
    project.write(
        "runbooks/secret.rhai",
        "runbook(#{ title: \"Secret\", needs: [], params: #{ key: #{ type: \"string\" } } });\n",
    );
    serving.hears("not-started");
    let heard = |channel: &str, text: &str| told(&project, channel).contains(text);
    while !(heard("log", "good of ")
        && heard("log", ": succeeded: aegis show")
        && heard("other", "not started, refused"))
    {
        serving.hears("ended");
    }
    while !(heard("pager", ": failed: aegis show bad-") && heard("pager", "bad: paused, 2 runs in a row")) {
        serving.hears("ended");
    }
    serving.stop();
    // Nothing of it went to the usual target, and nobody was told more than was declared.
    assert_eq!(told(&project, "ops"), "");
    assert!(!heard("other", "failed") && !heard("pager", "started"), "{}", told(&project, "pager"));
}

#[test]
fn who_breaks_the_glass_is_heard_and_a_run_tells_what_its_header_declares() {
    let project = Project::new(&[
        ("aegis.toml", ""),
        ("runbooks/fails.rhai", &FAILS.replace("pager", "ops")),
        (
            "runbooks/ask.rhai",
            "runbook(#{ title: \"Asks\", needs: [], notify: #{ waiting: \"ops\", started: \"ops\" } });\napproval::ask(\"sure?\");\n",
        ),
        (
            "runbooks/info.rhai",
            "runbook(#{ title: \"Info\", needs: [] });\nlog(`${run::info().scheduled}`);\n",
        ),
        (
            "schedules.toml",
            "[schedules.info]\nrunbook = \"runbooks/info.rhai\"\nwhen = \"@daily\"\n\
             [freezes.now]\nfrom = 2020-01-01\nuntil = 2999-01-01\n",
        ),
    ]);
    project
        .aegis(&["run", "runbooks/fails.rhai", "--operator", "kim", "--break-glass", "the disk is full"])
        .ended(1);
    let lines = told(&project, "ops");
    assert!(lines.contains("kim broke the glass on sandbox: the disk is full: aegis show fails-"), "{lines}");
    assert!(lines.contains(": failed: aegis show fails-"), "{lines}");
    // `last` is what a person started, not the message about it.
    saying(&project.aegis(&["show", "last"]).ended(0), &["Fails"]);
    project.aegis(&["run", "runbooks/ask.rhai", "--break-glass", "now"]).ended(4);
    let lines = told(&project, "ops");
    assert!(lines.contains("started by ") && lines.contains(": aegis show ask-"), "{lines}");
    project.aegis(&["schedule", "run-now", "info", "--break-glass", "now"]).ended(0);
    let logs = project.aegis(&["logs", "last"]).ended(0);
    saying(&logs, &["\"schedule\": \"info\"", "\"instant\": \"20"]);
}

#[test]
fn a_channel_that_no_target_has_is_a_mistake_on_the_sandbox_as_anywhere() {
    let schedule = |name: &str, channel: &str| {
        format!(
            "[schedules.{name}]\nrunbook = \"runbooks/tick.rhai\"\nwhen = \"@daily\"\nnotify = \"{channel}\"\n"
        )
    };
    let project = project(&format!("{}{}", schedule("wrong", "opz"), schedule("rehearsed", "pager")));
    let config = "[targets.prod.notify.pager]\ntype = \"slack\"\nurl = \"env:PAGER\"\n";
    project.write("aegis.toml", config);
    let listed = project.aegis(&["schedule", "ls"]).ended(2);
    assert!(listed.out.contains("rehearsed") && !listed.out.contains("wrong"), "{}", listed.out);
    saying(
        &listed,
        &["target `sandbox` has no notification channel `opz`", "did you mean `ops`?", "schedules.toml:4:10"],
    );
}

#[test]
fn what_is_told_while_effects_are_halted_is_told_afterwards() {
    let project = project(
        "[schedules.second]\nrunbook = \"runbooks/late.rhai\"\nwhen = \"every 1s\"\nnotify = { failed = \"ops\" }\n",
    );
    project.write(
        "runbooks/late.rhai",
        "runbook(#{ title: \"Late\", needs: [] });\ntime::sleep(\"2s\");\nthrow \"broken\";\n",
    );
    let mut serving = Serving::start(&project, &[]);
    serving.hears("started");
    project.aegis(&["halt", "incident 7"]).ended(0);
    serving.hears("ended");
    project.aegis(&["unhalt"]).ended(0);
    let began = std::time::Instant::now();
    while !told(&project, "ops").contains("failed: aegis show second-") {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "{}", told(&project, "ops"));
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
    serving.stop();
    let waiting = project.aegis(&["runs", "--output", "json"]).ended(0).json();
    assert!(!waiting.iter().any(|run| run["status"] == "waiting"), "{waiting:?}");
}

#[test]
fn those_outside_see_that_it_lives() {
    let project = project("[schedules.second]\nrunbook = \"runbooks/tick.rhai\"\nwhen = \"* * * * * *\"\n");
    let mut serving = Serving::listening(&project, &[]);
    serving.hears("ended");
    assert_eq!(serving.ask("GET", "/healthz", &[], "").with(200).body, "ok\n");
    let metrics = serving.ask("GET", "/metrics", &[], "").with(200);
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"), "{}", metrics.head);
    let samples = prometheus(&metrics.body);
    let value =
        |name: &str| samples.iter().find(|(sample, _)| sample == name).unwrap_or_else(|| panic!("{name}")).1;
    assert!((value("aegis_scheduler_alive") - 1.0).abs() < f64::EPSILON);
    assert!((value("aegis_scheduler_schedules") - 1.0).abs() < f64::EPSILON);
    for name in [
        "aegis_scheduler_last_tick_timestamp_seconds",
        "aegis_scheduler_due_total",
        "aegis_scheduler_runs_total{verdict=\"succeeded\"}",
        "aegis_scheduler_instants_total{outcome=\"started\"}",
        "aegis_scheduler_start_lag_seconds_count",
        "aegis_runs{status=\"succeeded\"}",
    ] {
        assert!(value(name) >= 1.0, "{name}: {}", metrics.body);
    }
    assert!(value("aegis_scheduler_missed_total").abs() < f64::EPSILON);
    serving.stop();
}

/// Reads the text format as strictly as its specification says; answers samples with their values.
fn prometheus(text: &str) -> Vec<(String, f64)> {
    let is_name = |name: &str| {
        let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == ':');
        first && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
    };
    let (mut samples, mut typed) = (Vec::new(), Vec::<(String, String)>::new());
    assert!(text.ends_with('\n'), "the last line has no end");
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap();
            assert!(is_name(name) && !words.is_empty(), "{line}");
            assert!(typed.iter().all(|(known, _)| known != name), "twice: {line}");
            typed.push((name.to_owned(), String::new()));
            continue;
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            let last = typed.last_mut().unwrap();
            assert!(last.0 == name && last.1.is_empty(), "{line}");
            last.1 = kind.to_owned();
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
        assert!(is_name(name) && labels.ends_with('}'), "{line}");
        let (family, kind) = typed.last().unwrap();
        let parts = ["_bucket", "_sum", "_count"].map(|part| format!("{family}{part}"));
        assert!(name == family || kind == "histogram" && parts.contains(&name.to_owned()), "{line}");
        assert!(kind != "counter" || name.ends_with("_total"), "{line}");
        assert!(samples.iter().all(|(known, _)| known != sample), "twice: {line}");
        samples.push((sample.to_owned(), value.parse().unwrap()));
    }
    samples
}

#[test]
fn somebody_outside_is_told_as_long_as_the_loop_goes_round() {
    let listener = Listener::start();
    let config = format!(
        "[serve]\nheartbeat = \"{}/ping/aegis?key=secret\"\nheartbeat-every = \"1s\"\n",
        listener.url
    );
    let project = Project::new(&[("aegis.toml", &config), ("schedules.toml", "")]);
    let serving = Serving::start(&project, &[]);
    for _ in 0..2 {
        assert_eq!(listener.next().line, "GET /ping/aegis?key=secret");
    }
    serving.stop();
}

/// A window that is open now and closes soon, and a risky runbook that would go on.
fn closing(at_end: &str) -> Project {
    let opened = jiff::Timestamp::now().checked_sub(jiff::SignedDuration::from_secs(2)).unwrap();
    let opened = opened.strftime("%-S %-M %-H %-d %-m ?");
    let schedules = format!(
        "[schedules.long]\nrunbook = \"runbooks/long.rhai\"\nwhen = \"every 1s\"\n\
         [windows.short]\nwhen = \"{opened}\"\nlasts = \"8s\"\n"
    );
    let long = format!(
        "runbook(#{{ title: \"Long\", needs: [], risk: \"high\", at_window_end: \"{at_end}\" }});\n\
         step(\"wait\", || time::sleep(\"10m\"));\n"
    );
    Project::new(&[("aegis.toml", ""), ("schedules.toml", &schedules), ("runbooks/long.rhai", &long)])
}

#[test]
fn at_the_end_of_its_window_a_run_is_warned_and_cancelled_if_it_says_so() {
    let project = closing("cancel");
    let mut serving = Serving::start(&project, &[]);
    let started = serving.hears("started");
    assert_eq!(serving.hears("closing")["run"], started["run"]);
    let ended = serving.hears("ended");
    assert_eq!((&ended["run"], &ended["verdict"]), (&started["run"], &Value::from("cancelled")));
    serving.stop();
    let logs = project.aegis(&["logs", started["run"].as_str().unwrap()]).ended(0);
    saying(&logs, &["its maintenance window closed"]);
    assert!(history(&project, "long").iter().any(|record| record["why"] == "outside-window"));
}

#[test]
fn at_the_end_of_its_window_a_run_is_left_to_be_resumed_if_it_says_so() {
    let project = closing("leave");
    let mut serving = Serving::start(&project, &[]);
    let started = serving.hears("started");
    serving.hears("closing");
    // Outside of the window it is left alone, and others of the schedule are kept out by the window.
    while serving.hears("not-started")["record"]["why"] != "outside-window" {}
    let run = started["run"].as_str().unwrap();
    let mut shown = String::new();
    while !shown.contains("interrupted: left by scheduler, its maintenance window closed") {
        shown = project.aegis(&["show", run]).ended(0).out;
    }
    while !told(&project, "ops").contains("then it is left where it stands, and goes on in the next one") {
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
    serving.stop();
}
