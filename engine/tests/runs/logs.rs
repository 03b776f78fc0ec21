//! Log files: the whole journal of a run, in order, whatever happened to the processes that wrote it.

use std::path::PathBuf;

use aegis_engine::clock::SystemClock;
use aegis_engine::journal::{Person, Store, Verdict};
use aegis_engine::run::engine::EngineError;
use aegis_engine::run::operate::{Decider, Desk};
use aegis_engine::run::{Event, Mode};
use serde_json::{Value, json};

use crate::world::Bench;

const WAITS: &str = r#"
    step("one", || world::change("x", 1));
    approval::ask("go?");
    world::once("y");
"#;

/// A run that waits, gets its approval while no process executes it, and ends; `meanwhile` happens to its log
/// file before it is resumed.
fn through_a_wait(meanwhile: impl FnOnce(&PathBuf)) -> (Bench, PathBuf, Vec<Value>) {
    let bench = Bench::new();
    let ended = bench.run(WAITS);
    let file = bench.logs.clone().unwrap().join(format!("{}.jsonl", ended.run));
    let grace = Person("grace".to_owned());
    let desk = Desk { store: &*bench.store, clock: &SystemClock };
    desk.approve(&ended.run, None, &Decider { person: &grace, note: "", evidence: "" }).unwrap();
    meanwhile(&file);
    assert_eq!(bench.resume(&ended.run).unwrap().verdict, Some(Verdict::Succeeded));
    let entries = bench.store.entries(&ended.run, 0).unwrap();
    let whole = entries.into_iter().map(|entry| json!(Event::Recorded(Box::new(entry)))).collect();
    (bench, file, whole)
}

fn recorded(file: &PathBuf) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["event"] == "recorded").collect()
}

#[test]
fn decisions_of_other_processes_are_in_it() {
    let (_bench, file, whole) = through_a_wait(|_| ());
    assert_eq!(recorded(&file), whole);
    assert!(whole.iter().any(|line| line["kind"] == "decided" && line["person"] == "grace"));
}

#[test]
fn what_a_killed_process_did_not_get_to_is_written_later() {
    for lost in [1, 10, 500] {
        let (_bench, file, whole) = through_a_wait(|file| {
            let text = std::fs::read(file).unwrap();
            std::fs::write(file, &text[..text.len() - lost]).unwrap();
        });
        assert_eq!(recorded(&file), whole, "{lost} bytes lost");
    }
}

#[test]
fn a_log_file_that_was_deleted_is_written_again() {
    let (_bench, file, whole) = through_a_wait(|file| std::fs::remove_file(file).unwrap());
    assert_eq!(recorded(&file), whole);
}

#[test]
fn plans_and_replays_write_none() {
    let bench = Bench::new();
    let store: std::sync::Arc<dyn Store> = bench.store.clone();
    let _ = bench.begin(r#"world::change("x", 1);"#, Mode::Plan, store).unwrap().wait();
    assert!(!bench.logs.unwrap().exists());
}

#[test]
fn a_folder_that_cannot_be_written_starts_nothing() {
    let mut bench = Bench::new();
    let store: std::sync::Arc<dyn Store> = bench.store.clone();
    std::fs::write(bench.directory.path().join("file"), "").unwrap();
    bench.logs = Some(bench.directory.path().join("file/logs"));
    match bench.begin(r#"world::change("x", 1);"#, Mode::Run, store) {
        Err(EngineError::Call(error)) => {
            assert_eq!(error.code, "A0202");
            assert!(error.message.contains("file/logs"), "{error}");
        }
        _ => panic!("it began"),
    }
    assert!(bench.world.lines().is_empty());
}
