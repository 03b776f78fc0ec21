//! `exec::run` against real programs of this machine.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::path::Path;
use std::time::Duration;

use aegis_engine::function::{Module, Services};
use aegis_engine::testing::Bench;
use aegis_stdlib::exec;
use aegis_stdlib::target::Surroundings;
use serde_json::{Value, json};

fn bench(project: &Path) -> Bench {
    let environment = std::env::vars().chain([("NOT_FOR_PROGRAMS".to_owned(), "seen".to_owned())]).collect();
    let surroundings = Surroundings { environment, ..Surroundings::default() };
    let modules: Vec<Module> = vec![exec::module()];
    let mut bench = Bench::new(modules, Services::default().with(exec::Exec::new(&surroundings)));
    bench.context.project = project.to_owned();
    bench
}

async fn stdout(bench: &Bench, arguments: Value) -> String {
    let answer = bench.call("exec::run", arguments).await.unwrap();
    answer["stdout"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_answer_holds_code_and_output() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path());
    let answer =
        bench.call("exec::run", json!({ "program": "echo", "arguments": ["hello", "world"] })).await.unwrap();
    assert_eq!(answer, json!({ "code": 0, "stdout": "hello world\n", "stderr": "", "truncated": false }));
    assert_eq!(*bench.progress.lock().unwrap(), ["hello world"]);
}

#[tokio::test]
async fn no_shell_reads_the_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let words = json!(["$HOME; echo `id` > f && *", "a  b"]);
    let printed = stdout(&bench(folder.path()), json!({ "program": "echo", "arguments": words })).await;
    assert_eq!(printed, "$HOME; echo `id` > f && * a  b\n");
}

#[tokio::test]
async fn the_environment_holds_only_what_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let printed =
        stdout(&bench(folder.path()), json!({ "program": "env", "env": { "GREETING": "salut" } })).await;
    let mut names: Vec<&str> = printed.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.retain(|name| !["PATH", "HOME", "LANG"].contains(name));
    assert_eq!(names, ["GREETING"]);
}

#[tokio::test]
async fn standard_input_is_given_as_text_and_may_stay_unread() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path());
    let printed = stdout(&bench, json!({ "program": "cat", "stdin": "line one\nline two" })).await;
    assert_eq!(printed, "line one\nline two");
    let unread = "x".repeat(1 << 20);
    assert_eq!(stdout(&bench, json!({ "program": "true", "stdin": unread })).await, "");
}

#[tokio::test]
async fn relative_paths_start_at_the_project() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::write(folder.path().join("tool"), "#!/bin/sh\npwd\n").unwrap();
    std::process::Command::new("chmod").arg("+x").arg(folder.path().join("tool")).status().unwrap();
    let printed = stdout(&bench(folder.path()), json!({ "program": "./tool", "cwd": "sub" })).await;
    let sub = folder.path().canonicalize().unwrap().join("sub");
    assert_eq!(Path::new(printed.trim_end()).canonicalize().unwrap(), sub);
}

#[tokio::test]
async fn a_failure_quotes_the_last_lines() {
    let folder = tempfile::tempdir().unwrap();
    let script = "for i in 1 2 3 4 5 6 7; do echo line $i >&2; done; exit 3";
    let call = json!({ "program": "sh", "arguments": ["-c", script] });
    let error = bench(folder.path()).call("exec::run", call).await.unwrap_err();
    assert_eq!(error.code, "A0405");
    assert_eq!(error.message, "`sh` ended with code 3: line 3\nline 4\nline 5\nline 6\nline 7");
    assert!(!error.unknown);
}

#[tokio::test]
async fn other_codes_can_mean_success() {
    let folder = tempfile::tempdir().unwrap();
    let call = json!({ "program": "sh", "arguments": ["-c", "exit 2"], "ok_codes": [0, 2] });
    let answer = bench(folder.path()).call("exec::run", call).await.unwrap();
    assert_eq!(answer["code"], 2);
}

#[tokio::test]
async fn a_missing_program_is_named_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path());
    for error in [
        bench.plan("exec::run", json!({ "program": "no-such-tool" })).await.unwrap_err(),
        bench.call("exec::run", json!({ "program": "no-such-tool" })).await.unwrap_err(),
    ] {
        assert_eq!((error.code.as_str(), error.unknown), ("A0401", false));
        assert_eq!(error.message, "there is no program `no-such-tool`");
    }
}

#[tokio::test]
async fn output_is_bounded_and_the_end_stays() {
    let folder = tempfile::tempdir().unwrap();
    let call = json!({ "program": "seq", "arguments": ["100000"], "limit": 14 });
    let answer = bench(folder.path()).call("exec::run", call).await.unwrap();
    assert_eq!(
        (answer["stdout"].as_str(), answer["truncated"].as_bool()),
        (Some("\n99999\n100000\n"), Some(true))
    );
}

#[tokio::test]
async fn a_plan_shows_the_command_as_a_person_would_type_it() {
    let folder = tempfile::tempdir().unwrap();
    let call = json!({ "program": "echo", "arguments": ["it's", "--all", "two words"] });
    let plan = bench(folder.path()).plan("exec::run", call).await.unwrap();
    assert_eq!(plan.summary, r"run `echo 'it'\''s' --all 'two words'`");
    assert_eq!((plan.undo, plan.predicted["code"].as_i64()), (None, Some(0)));
}

/// A program that starts another one, tells its id and waits for it.
const PARENT: &str = "sleep 600 & echo $! > child.tmp; mv child.tmp child; wait";

/// True once the process is gone or only waits to be collected.
fn ended(id: &str) -> bool {
    let state = std::process::Command::new("ps").args(["-o", "stat=", "-p", id]).output().unwrap();
    let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
    state.is_empty() || state.starts_with('Z')
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = tokio::time::Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(tokio::time::Instant::now() < patience, "{what} did not come true");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_timeout_ends_the_program_and_what_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let call = json!({ "program": "sh", "arguments": ["-c", PARENT], "timeout": "1s" });
    let error = bench(folder.path()).call("exec::run", call).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.unknown), ("A0106", true));
    let child = std::fs::read_to_string(folder.path().join("child")).unwrap();
    until("the end of the child", || ended(child.trim())).await;
}

#[tokio::test]
async fn cancellation_ends_the_program_and_what_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path());
    let token = bench.context.cancellation().clone();
    let started = folder.path().join("child");
    let call = bench.call("exec::run", json!({ "program": "sh", "arguments": ["-c", PARENT] }));
    let cancel = async {
        until("the start of the child", || started.exists()).await;
        token.cancel();
    };
    let (answer, ()) = tokio::join!(call, cancel);
    assert_eq!(answer.unwrap_err().code, "A0107");
    let child = std::fs::read_to_string(&started).unwrap();
    until("the end of the child", || ended(child.trim())).await;
}

#[tokio::test]
async fn a_dropped_call_ends_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path());
    let started = folder.path().join("child");
    tokio::select! {
        _ = bench.call("exec::run", json!({ "program": "sh", "arguments": ["-c", PARENT] })) => panic!("it ended"),
        () = until("the start of the child", || started.exists()) => {}
    }
    let child = std::fs::read_to_string(&started).unwrap();
    until("the end of the child", || ended(child.trim())).await;
}

#[tokio::test]
async fn a_background_process_does_not_hold_the_answer_back() {
    let folder = tempfile::tempdir().unwrap();
    let script = "sleep 600 & echo $!";
    let printed =
        stdout(&bench(folder.path()), json!({ "program": "sh", "arguments": ["-c", script] })).await;
    let child = printed.trim().to_owned();
    assert!(!ended(&child), "the background process was not asked to end");
    std::process::Command::new("kill").arg(&child).status().unwrap();
}
