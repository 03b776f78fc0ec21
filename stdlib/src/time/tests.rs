//! Every function of `time`, by a table of calls and answers on a pinned clock.

use std::sync::Arc;
use std::time::Duration;

use aegis_engine::clock::Clock;
use aegis_engine::function::Services;
use aegis_engine::testing::Bench;
use jiff::Timestamp;
use serde_json::{Value, json};

struct Pinned;

impl Clock for Pinned {
    fn now(&self) -> Timestamp {
        "2026-03-29T00:59:30.123456Z".parse().unwrap()
    }
}

fn bench() -> Bench {
    let mut bench = Bench::new(vec![super::module()], Services::default());
    bench.set_clock(Arc::new(Pinned));
    bench
}

#[tokio::test]
async fn calls_answer_as_their_pages_say() {
    let bench = bench();
    let berlin = "Europe/Berlin";
    let table = [
        ("now", json!({}), json!("2026-03-29T00:59:30.123Z")),
        ("now", json!({ "zone": berlin }), json!("2026-03-29T01:59:30.123+01:00")),
        ("sleep", json!({ "duration": "1ms" }), Value::Null),
        ("sleep_until", json!({ "instant": "2020-01-01T00:00:00Z" }), Value::Null),
        ("since", json!({ "instant": "2026-03-29T00:58:00.123456Z" }), json!(90.0)),
        ("since", json!({ "instant": 60, "until": "1970-01-01T00:00:30Z" }), json!(-30.0)),
        ("parse", json!({ "text": "2026-03-01T12:00:00+02:00" }), json!("2026-03-01T10:00:00Z")),
        (
            "parse",
            json!({ "text": "01.07.2026 13:00", "format": "%d.%m.%Y %H:%M", "zone": berlin }),
            json!("2026-07-01T11:00:00Z"),
        ),
        ("parse", json!({ "text": "2026-07-01", "format": "%Y-%m-%d" }), json!("2026-07-01T00:00:00Z")),
        (
            "format",
            json!({ "instant": "2026-07-01T11:00:00Z", "pattern": "%a %d %b %H:%M %Z", "zone": berlin }),
            json!("Wed 01 Jul 13:00 CEST"),
        ),
        (
            "add",
            json!({ "instant": "2026-03-01T12:00:00Z", "duration": "-90m" }),
            json!("2026-03-01T10:30:00Z"),
        ),
        (
            "add",
            json!({ "instant": "2026-01-31T12:00:00Z", "duration": "1mo" }),
            json!("2026-02-28T12:00:00Z"),
        ),
        // The day the clocks go forward in Berlin has 23 hours.
        (
            "add",
            json!({ "instant": "2026-03-28T12:00:00Z", "duration": "1d", "zone": berlin }),
            json!("2026-03-29T11:00:00Z"),
        ),
        (
            "in_zone",
            json!({ "instant": "2026-07-01T12:00:00Z", "zone": "America/New_York" }),
            json!("2026-07-01T08:00:00-04:00"),
        ),
        ("seconds", json!({ "duration": "1h 30m" }), json!(5400)),
        ("seconds", json!({ "duration": "250ms" }), json!(0.25)),
        ("human", json!({ "seconds": 5400 }), json!("1h 30m")),
    ];
    for (name, arguments, answer) in table {
        let shown = format!("time::{name}({arguments})");
        let answered = bench.call(&format!("time::{name}"), arguments).await;
        assert_eq!(answered.as_ref(), Ok(&answer), "{shown}");
    }
}

#[tokio::test]
async fn mistakes_name_the_right_spelling() {
    let bench = bench();
    let zone = bench.call("time::now", json!({ "zone": "Europe/Berln" })).await.unwrap_err();
    assert_eq!(zone.message, "`Europe/Berln` is not a time zone this machine knows");
    let instant = bench.call("time::since", json!({ "instant": "yesterday" })).await.unwrap_err();
    assert_eq!(instant.message, "`yesterday` is not an instant; write `2026-03-01T12:00:00Z`");
    let length = bench.call("time::add", json!({ "instant": 0, "duration": "soon" })).await.unwrap_err();
    assert!(length.hint.unwrap().contains("1h 30m"));
    let negative = bench.call("time::human", json!({ "seconds": -1 })).await.unwrap_err();
    assert_eq!(negative.message, "`-1` seconds are not a length of time");
}

#[tokio::test]
async fn a_plan_says_how_long_it_would_wait_and_a_long_wait_says_until_when() {
    let bench = bench();
    let plan = bench.plan("time::sleep", json!({ "duration": "90m" })).await.unwrap();
    assert_eq!(plan.summary, "wait 1h 30m");
    let waiting = bench.call("time::sleep", json!({ "duration": "1h" }));
    assert!(tokio::time::timeout(Duration::from_millis(20), waiting).await.is_err());
    assert_eq!(*bench.progress.lock().unwrap(), ["waiting until 2026-03-29T01:59:30Z"]);
}
