//! The database goes away under a run: it stops before its next effect and goes on, and everybody is told in a sentence.

use std::process::Stdio;
use std::time::{Duration, Instant};

use aegis_engine::testing::PostgresServer;

use crate::engines::{Project, until};
use crate::server::Server;

const STEPS: u32 = 60;

/// How long it is away: a minute when `AEGIS_OUTAGE` says so.
fn outage() -> Duration {
    let seconds = std::env::var("AEGIS_OUTAGE").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(4))
}

#[test]
fn a_run_waits_for_its_database_before_the_next_effect_and_loses_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (postgres, server) = (PostgresServer::start(), Server::start(&runtime));
    let runbook = format!(
        r#"runbook(#{{ title: "Many effects", needs: ["http:change:{url}/*"] }});
let act = #{{ run: run::info().id, lock: "none", token: 1 }};
for step in 0..{STEPS} {{
    http::send("PUT", "{url}/begin", #{{ json: act }});
}}
"#,
        url = server.url
    );
    let project = Project::new(&runbook, "90s", postgres.create("outage"));
    let mut running = project
        .command("state", &["run", "book.rhai"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let acts = || server.seen.lock().unwrap().runs.values().map(|counts| counts.0).sum::<u32>();
    until("a few effects", || acts() > 3);
    postgres.stop();
    let (began, before) = (Instant::now(), acts());
    until("the end of the outage", || began.elapsed() > outage());
    let during = acts();
    assert!(during <= before + 1, "{before} effects, then {during} without a journal");
    assert!(running.try_wait().unwrap().is_none(), "it waits");
    postgres.go_on();
    assert!(running.wait().unwrap().success());
    assert_eq!(acts(), STEPS, "each effect once");
    println!(
        "{} s without a database: {during} effects before, {STEPS} in the end, each once",
        outage().as_secs()
    );
}

#[test]
fn without_its_database_a_command_says_so_in_a_sentence_and_exits_with_5() {
    let nowhere = "postgres://ada:hunter22@127.0.0.1:1/aegis".to_owned();
    let project = Project::new("runbook(#{ title: \"t\" });", "90s", nowhere);
    for arguments in [&["runs"][..], &["run", "book.rhai"], &["schedule", "history"]] {
        let done = project.output(arguments);
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(5), "{arguments:?}: {told}");
        assert!(
            told.contains(
                "the database `127.0.0.1:1/aegis` cannot be reached: no connection within 3 s: connection refused"
            ),
            "{told}"
        );
        assert!(told.contains("nothing recorded is lost") && !told.contains("hunter22"), "{told}");
    }
}

#[test]
fn a_password_on_the_command_line_is_refused_and_one_in_a_file_is_read() {
    let postgres = PostgresServer::start();
    let address = postgres.create("file").replace("postgres@", "postgres:secret99@");
    let project = Project::new("runbook(#{ title: \"t\" });", "90s", String::new());
    let done = project.output(&["--database", &address, "runs"]);
    assert_eq!(done.status.code(), Some(2));
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(told.contains("AEGIS_DATABASE_URL") && !told.contains("secret99"), "{told}");
    std::fs::write(project.path().join("address"), &address).unwrap();
    let done = project.output(&["--database", "file:address", "runs"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let shown = project.output(&["--database", "file:address", "config"]);
    assert!(!String::from_utf8_lossy(&shown.stdout).contains("secret99"));
}
