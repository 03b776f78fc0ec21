//! StatefulSets, DaemonSets, Jobs and CronJobs, with the facts of recordings.

use std::time::Duration;

use serde_json::{Value, json};

use super::bench::{Bench, deployment, template};
use crate::controllers::fields::{Fields, set, set_key};

pub(super) fn stateful_set(name: &str, replicas: i64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "serviceName": name, "selector": {"matchLabels": {"app": name}},
        "template": template(name, "postgres:17"), "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10,
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}},
        "status": {"replicas": 0, "availableReplicas": 0}})
}

fn daemon_set(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name, "namespace": "default",
        "annotations": {"deprecated.daemonset.template.generation": "1"}},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template(name, "agent:1"),
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
        "revisionHistoryLimit": 10}, "status": {}})
}

pub(super) fn job(name: &str) -> Value {
    let mut template = template(name, "busybox");
    set(&mut template, "/spec/restartPolicy", json!("Never"));
    set_key(&mut template, "/metadata/labels", "batch.kubernetes.io/job-name", name);
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "default"},
        "spec": {"parallelism": 1, "completions": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": false,
        "manualSelector": true, "selector": {"matchLabels": {"app": name}}, "template": template}, "status": {}})
}

fn conditions(object: &Value) -> Vec<String> {
    object
        .list("/status/conditions")
        .iter()
        .map(|held| format!("{} {}", held.text("/type"), held.text("/reason")))
        .collect()
}

#[tokio::test]
async fn a_stateful_set_makes_its_pods_one_after_the_other() {
    let mut bench = Bench::new().await;
    bench.create(stateful_set("db", 3));
    bench.settle().await;
    let db = bench.get("StatefulSet", "db");
    assert_eq!(db.at("/status/readyReplicas"), 3);
    assert_eq!(db.at("/status/currentReplicas"), 3);
    assert_eq!(db.text("/status/currentRevision"), db.text("/status/updateRevision"));
    let pod = bench.get("Pod", "db-1");
    assert_eq!(pod.label("apps.kubernetes.io/pod-index"), "1");
    assert_eq!(pod.label("statefulset.kubernetes.io/pod-name"), "db-1");
    assert_eq!(pod.text("/spec/subdomain"), "db");
    let said = bench.events("StatefulSet", "db");
    assert_eq!(said[0], "SuccessfulCreate: create Pod db-0 in StatefulSet db successful");
    let (first, second) = (bench.get("Pod", "db-0"), bench.get("Pod", "db-1"));
    let ready = first.condition("Ready").unwrap().text("/lastTransitionTime").to_owned();
    assert!(second.text("/metadata/creationTimestamp") >= ready.as_str());
}

#[tokio::test]
async fn a_partition_keeps_the_lower_pods_and_then_lets_them_go() {
    let mut bench = Bench::new().await;
    bench.create(stateful_set("db", 3));
    bench.settle().await;
    bench.change("StatefulSet", "db", "/spec/updateStrategy/rollingUpdate/partition", json!(2));
    bench.change(
        "StatefulSet",
        "db",
        "/spec/template/spec/containers",
        json!([{"name": "main", "image": "postgres:18"}]),
    );
    bench.settle().await;
    let db = bench.get("StatefulSet", "db");
    assert_eq!((db.count("/status/updatedReplicas"), db.count("/status/currentReplicas")), (1, 2));
    assert_eq!(bench.get("Pod", "db-0").text("/spec/containers/0/image"), "postgres:17");
    bench.change("StatefulSet", "db", "/spec/updateStrategy/rollingUpdate/partition", json!(0));
    bench.settle().await;
    let db = bench.get("StatefulSet", "db");
    assert_eq!((db.count("/status/updatedReplicas"), db.count("/status/currentReplicas")), (3, 3));
    assert_eq!(bench.get("Pod", "db-0").text("/spec/containers/0/image"), "postgres:18");
    assert_eq!(bench.list("ControllerRevision").len(), 2);
}

#[tokio::test]
async fn a_stateful_set_shrinks_from_the_top_and_heals_a_deleted_pod() {
    let mut bench = Bench::new().await;
    bench.create(stateful_set("db", 3));
    bench.settle().await;
    bench.change("StatefulSet", "db", "/spec/replicas", json!(1));
    bench.settle().await;
    assert_eq!(bench.list("Pod").len(), 1);
    let before = bench.get("Pod", "db-0").uid().to_owned();
    bench.delete("Pod", "db-0");
    bench.settle().await;
    assert_ne!(bench.get("Pod", "db-0").uid(), before);
    assert!(bench.get("Pod", "db-0").is("Ready"));
}

#[tokio::test]
async fn a_stateful_set_that_never_gets_ready_stops_at_its_first_pod() {
    let mut bench = Bench::new().await;
    let mut set = stateful_set("bao", 3);
    set_key(&mut set, "/spec/template/metadata/annotations", "sandbox.aegis.dev/ready", "false");
    bench.create(set);
    bench.settle().await;
    assert_eq!(bench.list("Pod").len(), 1);
    assert_eq!(bench.get("Pod", "bao-0").text("/status/phase"), "Running");
    assert_eq!(bench.get("StatefulSet", "bao").count("/status/readyReplicas"), 0);
}

#[tokio::test]
async fn a_daemon_set_has_one_pod_on_each_worker_and_rolls_one_at_a_time() {
    let mut bench = Bench::new().await;
    bench.create(daemon_set("agent"));
    bench.settle().await;
    let agent = bench.get("DaemonSet", "agent");
    assert_eq!(
        agent.at("/status"),
        &json!({"currentNumberScheduled": 6, "numberMisscheduled": 0, "desiredNumberScheduled": 6,
        "numberReady": 6, "observedGeneration": 1, "updatedNumberScheduled": 6, "numberAvailable": 6})
    );
    bench.change(
        "DaemonSet",
        "agent",
        "/spec/template/spec/containers",
        json!([{"name": "main", "image": "agent:2"}]),
    );
    let mut least = 6;
    while bench.manager.step().await || !bench.manager.settle(Duration::from_millis(300)).await.is_zero() {
        least = least.min(bench.get("DaemonSet", "agent").count("/status/numberAvailable"));
    }
    assert_eq!(least, 5);
    assert_eq!(bench.get("DaemonSet", "agent").count("/status/updatedNumberScheduled"), 6);
    bench.change("DaemonSet", "agent", "/spec/template/spec/tolerations", json!([{"operator": "Exists"}]));
    bench.settle().await;
    assert_eq!(bench.get("DaemonSet", "agent").count("/status/numberReady"), 9);
}

#[tokio::test]
async fn a_job_completes_in_two_steps_and_lets_its_pods_go() {
    let mut bench = Bench::new().await;
    bench.create(job("one"));
    bench.settle().await;
    let one = bench.get("Job", "one");
    assert_eq!(conditions(&one), ["SuccessCriteriaMet CompletionsReached", "Complete CompletionsReached"]);
    assert_eq!(one.at("/status/succeeded"), 1);
    assert_eq!(one.at("/status/ready"), 0);
    assert_eq!(one.at("/status/uncountedTerminatedPods"), &json!({}));
    let pod = &bench.list("Pod")[0];
    assert_eq!(pod.text("/status/phase"), "Succeeded");
    assert!(pod.list("/metadata/finalizers").is_empty());
    let said: Vec<String> = bench.events("Job", "one");
    assert_eq!(said[1], "Completed: Job completed");
}

#[tokio::test]
async fn a_job_that_fails_gives_up_after_its_backoff_limit() {
    let mut bench = Bench::new().await;
    let mut fail = job("fail");
    set(&mut fail, "/spec/backoffLimit", json!(1));
    set_key(&mut fail, "/spec/template/metadata/annotations", "sandbox.aegis.dev/exit-code", "1");
    bench.create(fail);
    let passed = bench.settle().await;
    let fail = bench.get("Job", "fail");
    assert_eq!(conditions(&fail), ["FailureTarget BackoffLimitExceeded", "Failed BackoffLimitExceeded"]);
    assert_eq!(fail.at("/status/failed"), 2);
    assert!(passed >= Duration::from_secs(9), "the second try came after {passed:?}");
}

#[tokio::test]
async fn an_indexed_job_works_through_every_index() {
    let mut bench = Bench::new().await;
    let mut many = job("idx");
    set(&mut many, "/spec/completionMode", json!("Indexed"));
    set(&mut many, "/spec/completions", json!(5));
    set(&mut many, "/spec/parallelism", json!(2));
    bench.create(many);
    bench.settle().await;
    let idx = bench.get("Job", "idx");
    assert_eq!(idx.text("/status/completedIndexes"), "0-4");
    assert_eq!(idx.at("/status/succeeded"), 5);
    assert!(bench.list("Pod").iter().any(|pod| pod.text("/spec/hostname") == "idx-3"));
}

#[tokio::test]
async fn a_suspended_job_waits_and_goes_on() {
    let mut bench = Bench::new().await;
    let mut late = job("late");
    set(&mut late, "/spec/suspend", json!(true));
    bench.create(late);
    bench.settle().await;
    assert_eq!(conditions(&bench.get("Job", "late")), ["Suspended JobSuspended"]);
    assert!(bench.list("Pod").is_empty());
    bench.change("Job", "late", "/spec/suspend", json!(false));
    bench.settle().await;
    assert!(bench.get("Job", "late").is("Complete"));
}

#[tokio::test]
async fn a_finished_job_with_a_time_to_live_goes_with_its_pods() {
    let mut bench = Bench::new().await;
    let mut brief = job("brief");
    set(&mut brief, "/spec/ttlSecondsAfterFinished", json!(30));
    bench.create(brief);
    bench.settle().await;
    assert!(bench.find("Job", "brief").is_some());
    bench.manager.advance(Duration::from_secs(40)).await;
    assert!(bench.find("Job", "brief").is_none());
    assert!(bench.list("Pod").is_empty());
}

#[tokio::test]
async fn a_job_that_may_go_at_once_is_seen_finished_before() {
    let mut bench = Bench::new().await;
    let mut hook = job("hook");
    set(&mut hook, "/spec/ttlSecondsAfterFinished", json!(0));
    bench.create(hook);
    let mut finished = 0;
    for _ in 0..200 {
        bench.manager.advance(Duration::from_millis(50)).await;
        match bench.find("Job", "hook") {
            Some(job) => finished += usize::from(job.is("Complete")),
            None => break,
        }
    }
    assert!(finished >= 3, "seen finished {finished} times");
    assert!(bench.find("Job", "hook").is_none());
}

#[tokio::test]
async fn a_cron_job_starts_at_its_local_time() {
    let mut bench = Bench::new().await;
    let template = json!({"spec": job("x").at("/spec").clone()});
    bench.create(json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly", "namespace": "default"},
        "spec": {"schedule": "0 22 * * *", "timeZone": "Asia/Seoul", "concurrencyPolicy": "Forbid", "suspend": false,
        "jobTemplate": template, "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1}, "status": {}}));
    bench.manager.advance(Duration::from_secs(40 * 60)).await;
    assert!(bench.list("Job").is_empty());
    bench.manager.advance(Duration::from_secs(10 * 60)).await;
    let nightly = bench.get("CronJob", "nightly");
    assert_eq!(nightly.text("/status/lastScheduleTime"), "2026-11-23T13:00:00Z");
    assert_eq!(nightly.text("/status/lastSuccessfulTime"), "2026-11-23T13:00:00Z");
    assert_eq!(bench.list("Job").len(), 1);
}

#[tokio::test]
async fn everything_at_once_becomes_ready() {
    let mut bench = Bench::new().await;
    for number in 0..10 {
        bench.create(deployment(&format!("web-{number}"), 3, "nginx:1.25"));
    }
    for number in 0..3 {
        bench.create(stateful_set(&format!("db-{number}"), 3));
    }
    for number in 0..2 {
        bench.create(daemon_set(&format!("agent-{number}")));
    }
    for number in 0..4 {
        bench.create(job(&format!("job-{number}")));
    }
    let passed = bench.settle().await;
    assert!(bench.list("Deployment").iter().all(|held| held.count("/status/availableReplicas") == 3));
    assert!(bench.list("StatefulSet").iter().all(|held| held.count("/status/readyReplicas") == 3));
    assert!(bench.list("DaemonSet").iter().all(|held| held.count("/status/numberReady") == 6));
    assert!(bench.list("Job").iter().all(|held| held.is("Complete")));
    assert!(passed < Duration::from_secs(5), "it took {passed:?} of the cluster's time");
}

#[tokio::test]
async fn the_same_scenario_twice_gives_the_same_objects() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let mut bench = Bench::new().await;
        bench.create(deployment("web", 4, "nginx:1.25"));
        bench.create(stateful_set("db", 2));
        bench.settle().await;
        runs.push(bench.list("Pod").iter().map(|pod| pod.to_string()).collect::<Vec<_>>());
    }
    assert_eq!(runs[0], runs[1]);
}
