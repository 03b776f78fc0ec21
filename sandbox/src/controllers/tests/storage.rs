//! Claims and volumes: binding, waiting for the first consumer, protection, release.

use std::time::Duration;

use serde_json::{Value, json};

use super::bench::Bench;
use super::workloads::stateful_set;
use crate::controllers::fields::{Fields, set};

fn class(name: &str, mode: &str) -> Value {
    json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
        "provisioner": "csi.example.com", "reclaimPolicy": "Delete", "volumeBindingMode": mode})
}

fn claim(name: &str, class: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "default", "finalizers": ["kubernetes.io/pvc-protection"]},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": class,
        "volumeMode": "Filesystem"}, "status": {"phase": "Pending"}})
}

fn user(claim: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "user", "namespace": "default"},
        "spec": {"restartPolicy": "Always", "containers": [{"name": "main", "image": "a"}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]}, "status": {"phase": "Pending"}})
}

#[tokio::test]
async fn a_claim_of_an_immediate_class_is_provisioned_and_bound() {
    let mut bench = Bench::new().await;
    bench.create(class("standard", "Immediate"));
    bench.create(claim("data", "standard"));
    bench.settle().await;
    let data = bench.get("PersistentVolumeClaim", "data");
    assert_eq!(
        data.at("/status"),
        &json!({"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}})
    );
    assert_eq!(data.text("/spec/volumeName"), format!("pvc-{}", data.uid()));
    assert_eq!(data.annotation("pv.kubernetes.io/bind-completed"), "yes");
    assert_eq!(bench.list("PersistentVolume")[0].text("/status/phase"), "Bound");
}

#[tokio::test]
async fn pods_that_must_stay_apart_get_their_volumes_where_there_is_room() {
    let mut bench = Bench::new().await;
    bench.create(class("late", "WaitForFirstConsumer"));
    let apart = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "store"}}, "topologyKey": "kubernetes.io/hostname"}]}});
    for number in 0..6 {
        bench.create(claim(&format!("data-{number}"), "late"));
        let mut pod = user(&format!("data-{number}"));
        set(&mut pod, "/metadata/name", format!("store-{number}").into());
        set(&mut pod, "/metadata/labels", json!({"app": "store"}));
        set(&mut pod, "/spec/affinity", apart.clone());
        bench.create(pod);
    }
    bench.settle().await;
    let unready: Vec<_> = bench.list("Pod").into_iter().filter(|pod| !pod.is("Ready")).collect();
    assert!(unready.is_empty(), "{unready:#?}");
}

#[tokio::test]
async fn a_late_claim_waits_for_its_pod_and_ties_the_volume_to_its_zone() {
    let mut bench = Bench::new().await;
    bench.create(class("late", "WaitForFirstConsumer"));
    bench.create(claim("data", "late"));
    bench.settle().await;
    assert_eq!(bench.get("PersistentVolumeClaim", "data").text("/status/phase"), "Pending");
    bench.create(user("data"));
    bench.manager.advance(Duration::from_millis(1)).await;
    let meant_for = bench.get("Pod", "user").text("/status/nominatedNodeName").to_owned();
    bench.settle().await;
    let pod = bench.get("Pod", "user");
    assert!(pod.is("Ready"), "{pod}");
    assert_eq!(pod.text("/spec/nodeName"), meant_for);
    let data = bench.get("PersistentVolumeClaim", "data");
    assert_eq!(data.annotation("volume.kubernetes.io/selected-node"), pod.text("/spec/nodeName"));
    let volume = bench.list("PersistentVolume").remove(0);
    let zone =
        volume.text("/spec/nodeAffinity/required/nodeSelectorTerms/0/matchExpressions/0/values/0").to_owned();
    assert_eq!(zone, pod.label("topology.kubernetes.io/zone"));
}

#[tokio::test]
async fn a_claim_in_use_stays_until_its_pod_is_gone_and_takes_its_volume_along() {
    let mut bench = Bench::new().await;
    bench.create(class("standard", "Immediate"));
    bench.create(claim("data", "standard"));
    bench.create(user("data"));
    bench.settle().await;
    bench.delete("PersistentVolumeClaim", "data");
    bench.settle().await;
    assert!(bench.get("PersistentVolumeClaim", "data").is_terminating());
    bench.delete("Pod", "user");
    bench.settle().await;
    assert!(bench.find("PersistentVolumeClaim", "data").is_none());
    assert!(bench.list("PersistentVolume").is_empty());
}

#[tokio::test]
async fn a_claim_without_class_takes_a_volume_that_is_there_and_releases_it() {
    let mut bench = Bench::new().await;
    bench.create(claim("data", ""));
    bench.settle().await;
    bench.create(json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "static-1"},
        "spec": {"capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": {"path": "/mnt/x"}, "volumeMode": "Filesystem"}, "status": {"phase": "Pending"}}));
    bench.settle().await;
    assert_eq!(bench.get("PersistentVolumeClaim", "data").text("/status/capacity/storage"), "5Gi");
    assert_eq!(
        bench.get("PersistentVolume", "static-1").annotation("pv.kubernetes.io/bound-by-controller"),
        "yes"
    );
    bench.delete("PersistentVolumeClaim", "data");
    bench.settle().await;
    assert_eq!(bench.get("PersistentVolume", "static-1").text("/status/phase"), "Released");
}

#[tokio::test]
async fn a_claim_of_an_unknown_class_says_so() {
    let mut bench = Bench::new().await;
    bench.create(claim("ghost", "ghost"));
    bench.settle().await;
    let said = bench.events("PersistentVolumeClaim", "ghost");
    assert_eq!(said, ["ProvisioningFailed: storageclass.storage.k8s.io \"ghost\" not found"]);
}

#[tokio::test]
async fn a_stateful_set_gets_its_claims_and_leaves_them() {
    let mut bench = Bench::new().await;
    bench.create(class("standard", "WaitForFirstConsumer"));
    let mut db = stateful_set("db", 2);
    let template = json!([{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "standard",
        "resources": {"requests": {"storage": "1Gi"}}}}]);
    set(&mut db, "/spec/volumeClaimTemplates", template);
    bench.create(db);
    bench.settle().await;
    assert_eq!(bench.get("StatefulSet", "db").count("/status/readyReplicas"), 2);
    let claims: Vec<String> =
        bench.list("PersistentVolumeClaim").iter().map(|claim| claim.name().to_owned()).collect();
    assert_eq!(claims, ["data-db-0", "data-db-1"]);
    bench.delete("StatefulSet", "db");
    bench.settle().await;
    assert!(bench.list("Pod").is_empty());
    assert_eq!(bench.list("PersistentVolumeClaim").len(), 2);
}
