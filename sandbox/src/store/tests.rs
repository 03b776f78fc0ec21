//! The store's promises, one test each.

use std::io::Write;

use serde_json::{Value, json};

use super::*;

fn ambient() -> Ambient {
    Ambient::pinned("2026-01-01T00:00:00Z".parse().unwrap(), 1)
}

fn memory() -> Store {
    Store::in_memory(Kinds::builtin(), ambient())
}

fn open(directory: &Path) -> Store {
    Store::open(directory, Kinds::builtin(), ambient()).unwrap()
}

fn config(name: &str) -> Key {
    Resource::core("configmaps").key("default", name)
}

fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap()
}

#[test]
fn a_created_object_has_uid_time_and_version() {
    let store = memory();
    let object =
        store.create(&Resource::new("apps", "deployments").key("d", "web"), json!({"spec": {}})).unwrap();
    let metadata = &object["metadata"];
    assert_eq!(metadata["creationTimestamp"], "2026-01-01T00:00:00Z");
    assert_eq!((&metadata["name"], &metadata["namespace"]), (&json!("web"), &json!("d")));
    assert_eq!((metadata["generation"].as_i64(), version(&object)), (Some(1), "1"));
    assert!(store.create(&config("a"), json!({})).unwrap()["metadata"].get("generation").is_none());
    assert!(matches!(
        store.create(&config("a"), json!({})),
        Err(Error::AlreadyExists { terminating: false, .. })
    ));
}

#[test]
fn equal_content_writes_nothing_and_stale_writers_are_refused() {
    let store = memory();
    let first = store.create(&config("a"), json!({"data": {"x": "1"}})).unwrap();
    assert_eq!(version(&store.update(&config("a"), Value::clone(&first)).unwrap()), version(&first));
    store.modify(&config("a"), |object| object["data"]["x"] = "2".into()).unwrap();
    assert!(matches!(store.update(&config("a"), Value::clone(&first)), Err(Error::Conflict(_))));
}

#[test]
fn the_generation_counts_wishes_and_not_status() {
    let store = memory();
    let key = Resource::core("pods").key("default", "p");
    store.create(&key, json!({"spec": {"a": 1}})).unwrap();
    let generation = |object: Object| object["metadata"]["generation"].as_i64().unwrap();
    assert_eq!(generation(store.modify(&key, |pod| pod["status"]["phase"] = "Running".into()).unwrap()), 1);
    assert_eq!(generation(store.modify(&key, |pod| pod["spec"]["a"] = 2.into()).unwrap()), 2);
}

#[test]
fn finalizers_hold_a_deleted_object_until_the_last_is_gone() {
    let store = memory();
    store.create(&config("a"), json!({"metadata": {"finalizers": ["x/y"]}})).unwrap();
    let Deleted::Marked(marked) = store.delete(&config("a"), &DeleteOptions::default()).unwrap() else {
        panic!("removed")
    };
    assert!(lifecycle::is_terminating(&marked));
    assert!(matches!(
        store.create(&config("a"), json!({})),
        Err(Error::AlreadyExists { terminating: true, .. })
    ));
    let mut watch = store.watch(&Resource::core("configmaps"), store.version()).unwrap();
    let last = store.modify(&config("a"), |object| lifecycle::remove_finalizer(object, "x/y")).unwrap();
    assert!(store.get(&config("a")).is_none());
    // Its writer sees what it wrote, watchers what was stored last, both with the version of the end.
    assert!(last["metadata"].get("finalizers").is_none());
    let events = watch.try_next().unwrap();
    assert_eq!(events[0].object()["metadata"]["finalizers"], json!(["x/y"]));
    assert_eq!(version(&events[0].object()), version(&last));
}

#[test]
fn a_running_pod_has_its_grace_period_and_a_waiting_one_has_none() {
    let store = memory();
    let key = |name| Resource::core("pods").key("default", name);
    store
        .create(&key("running"), json!({"spec": {"nodeName": "n", "terminationGracePeriodSeconds": 7}}))
        .unwrap();
    store.create(&key("waiting"), json!({"spec": {}})).unwrap();
    let marked = store.delete(&key("running"), &DeleteOptions::default()).unwrap();
    assert_eq!(marked.object()["metadata"]["deletionTimestamp"], "2026-01-01T00:00:07Z");
    assert!(matches!(store.delete(&key("running"), &DeleteOptions::now()).unwrap(), Deleted::Removed(_)));
    assert!(matches!(store.delete(&key("waiting"), &DeleteOptions::default()).unwrap(), Deleted::Removed(_)));
}

#[test]
fn a_failed_transaction_leaves_nothing_behind() {
    let store = memory();
    store.create(&config("a"), json!({"data": {}})).unwrap();
    let outcome: Result<(), Error> = store.transaction(|t| {
        t.create(&config("b"), json!({}))?;
        t.delete(&config("a"), &DeleteOptions::now())?;
        t.update(&config("absent"), json!({})).map(|_| ())
    });
    assert!(matches!(outcome, Err(Error::NotFound(_))));
    assert_eq!((store.version(), store.count(&Resource::core("configmaps"))), (1, 1));
    assert_eq!(version(&store.get(&config("a")).unwrap()), "1");
}

#[tokio::test]
async fn a_watch_sees_every_change_once_with_old_and_new() {
    let store = memory();
    let mut watch = store.watch(&Resource::core("configmaps"), 0).unwrap();
    store.create(&config("a"), json!({"data": {"x": "1"}})).unwrap();
    store.create(&Resource::core("secrets").key("default", "other"), json!({})).unwrap();
    store.modify(&config("a"), |object| object["data"]["x"] = "2".into()).unwrap();
    store.delete(&config("a"), &DeleteOptions::default()).unwrap();
    let events = watch.next().await.unwrap();
    let seen: Vec<_> = events.iter().map(|event| (event.kind, event.version)).collect();
    assert_eq!(seen, [(EventKind::Added, 1), (EventKind::Modified, 3), (EventKind::Deleted, 4)]);
    assert_eq!(events[1].previous().unwrap()["data"]["x"], "1");
    assert_eq!((version(&events[2].object()), &events[2].object()["data"]["x"]), ("4", &json!("2")));
    assert!(watch.try_next().unwrap().is_empty());
}

#[tokio::test]
async fn a_waiting_watch_wakes_up() {
    let store = memory();
    let mut watch = store.watch_all(0).unwrap();
    let writer = store.clone();
    let (events, _) =
        tokio::join!(watch.next(), async move { writer.create(&config("a"), json!({})).unwrap() });
    assert_eq!(events.unwrap().len(), 1);
}

#[test]
fn a_watch_that_fell_too_far_behind_is_told() {
    let store = memory();
    store.create(&config("a"), json!({})).unwrap();
    let mut slow = store.watch(&Resource::core("configmaps"), 0).unwrap();
    for round in 0..state::HISTORY {
        store.modify(&config("a"), |object| object["data"]["x"] = round.to_string().into()).unwrap();
    }
    assert_eq!(slow.try_next().unwrap_err(), TooOld { requested: 0, oldest: 1 });
    assert!(store.watch(&Resource::core("secrets"), 0).is_ok(), "another resource has all its events");
}

#[test]
fn old_events_go_and_the_newest_stay() {
    let store = memory();
    store.create(&config("a"), json!({})).unwrap();
    let change = |round: usize| {
        store.modify(&config("a"), |object| object["data"]["x"] = round.to_string().into()).unwrap();
    };
    (0..1000).for_each(change);
    assert_eq!(store.watch_all(0).unwrap().try_next().unwrap().len(), 1001);
    store.ambient().advance(std::time::Duration::from_secs(301));
    change(1000);
    let floor = 1002 - state::KEPT as u64;
    assert_eq!(store.watch_all(0).unwrap_err(), TooOld { requested: 0, oldest: floor });
    assert_eq!(store.watch_all(floor).unwrap().try_next().unwrap().len(), state::KEPT);
}

#[test]
fn what_was_written_is_there_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.create(&config("a"), json!({"data": {"x": "ä\n"}})).unwrap();
    store.create(&config("b"), json!({})).unwrap();
    store.delete(&config("b"), &DeleteOptions::now()).unwrap();
    drop(store);
    let store = open(directory.path());
    assert_eq!((store.version(), store.count(&Resource::core("configmaps"))), (3, 1));
    assert_eq!(store.get(&config("a")).unwrap()["data"]["x"], "ä\n");
    assert_eq!(store.watch_all(0).unwrap().try_next().unwrap().len(), 3, "events are remembered");
}

#[test]
fn a_torn_tail_is_cut_off_and_damage_before_it_is_named() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).create(&config("a"), json!({})).unwrap();
    let path = directory.path().join("log-000001");
    let whole = std::fs::read(&path).unwrap();
    for kept in whole.len() - 20..whole.len() {
        std::fs::write(&path, [&whole[..], &whole[whole.len() - 60..kept]].concat()).unwrap();
        let store = open(directory.path());
        assert_eq!(store.version(), 1);
        drop(store);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"rubbish\n").unwrap();
    file.write_all(&whole[whole.len() - 60..]).unwrap();
    let error = Store::open(directory.path(), Kinds::builtin(), ambient()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { line: 3, .. }), "{error}");
}

#[test]
fn half_a_transaction_is_no_transaction() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let both: Result<_, Error> =
        store.transaction(|t| t.create(&config("a"), json!({})).and(t.create(&config("b"), json!({}))));
    both.unwrap();
    drop(store);
    let path = directory.path().join("log-000001");
    let text = std::fs::read_to_string(&path).unwrap();
    let second_line = text.match_indices('\n').nth(1).unwrap().0 + 1;
    std::fs::write(&path, &text[..second_line]).unwrap();
    assert_eq!(open(directory.path()).version(), 0);
}

#[test]
fn a_snapshot_replaces_the_log_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for name in 0..100 {
        store.create(&config(&name.to_string()), json!({"data": {"name": name.to_string()}})).unwrap();
    }
    store.compact().unwrap();
    store.delete(&config("7"), &DeleteOptions::now()).unwrap();
    drop(store);
    let store = open(directory.path());
    assert_eq!((store.version(), store.count(&Resource::core("configmaps"))), (101, 99));
    assert_eq!(store.get(&config("8")).unwrap()["data"]["name"], "8");
    assert!(!directory.path().join("log-000001").exists());
    assert_eq!(store.watch_all(99).unwrap_err(), TooOld { requested: 99, oldest: 100 });
    store.compact().unwrap();
    drop(store);
    assert_eq!(open(directory.path()).count(&Resource::core("configmaps")), 99);
}

#[test]
fn a_lost_segment_is_told_and_not_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.create(&config("a"), json!({})).unwrap();
    store.create(&config("b"), json!({})).unwrap();
    drop(store);
    let path = directory.path().join("log-000001");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    std::fs::write(&path, format!("{}\n{}\n", lines[0], lines[2])).unwrap();
    let error = Store::open(directory.path(), Kinds::builtin(), ambient()).unwrap_err();
    assert!(error.to_string().contains("versions 1 to 1 are missing"), "{error}");
}

#[test]
fn a_closed_store_takes_no_more_writes() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.close();
    assert!(matches!(store.create(&config("a"), json!({})), Err(Error::Log(_))));
    assert_eq!((store.version(), store.get(&config("a"))), (0, None));
}
