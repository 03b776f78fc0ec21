//! Deployments: stages, conditions and notes as recorded from a real cluster.

use serde_json::json;

use super::bench::{Bench, deployment};
use crate::controllers::fields::{Fields, Object};

fn conditions(object: &Object) -> Vec<String> {
    let held = object.list("/status/conditions").iter();
    held.map(|held| format!("{}={} {}", held.text("/type"), held.text("/status"), held.text("/reason")))
        .collect()
}

#[tokio::test]
async fn a_new_deployment_becomes_available() {
    let mut bench = Bench::new().await;
    bench.create(deployment("web", 3, "nginx:1.25"));
    bench.settle().await;
    let web = bench.get("Deployment", "web");
    assert_eq!(
        conditions(&web),
        ["Available=True MinimumReplicasAvailable", "Progressing=True NewReplicaSetAvailable"]
    );
    assert_eq!(web.at("/status/readyReplicas"), 3);
    assert_eq!(web.at("/status/terminatingReplicas"), 0);
    assert_eq!(web.annotation("deployment.kubernetes.io/revision"), "1");
    let set = &bench.list("ReplicaSet")[0];
    assert_eq!(set.annotation("deployment.kubernetes.io/max-replicas"), "4");
    assert_eq!(
        bench.events("Deployment", "web"),
        [format!("ScalingReplicaSet: Scaled up replica set {} from 0 to 3", set.name())]
    );
    let pod = &bench.list("Pod")[0];
    assert!(pod.is("Ready"), "{pod}");
    assert_eq!(
        bench
            .events("Pod", pod.name())
            .iter()
            .map(|event| event.split(':').next().unwrap())
            .collect::<Vec<_>>(),
        ["Scheduled", "Pulling", "Pulled", "Created", "Started"]
    );
}

#[tokio::test]
async fn a_new_image_rolls_without_loss_and_a_second_revision_remains() {
    let mut bench = Bench::new().await;
    bench.create(deployment("web", 4, "nginx:1.25"));
    bench.settle().await;
    bench.change(
        "Deployment",
        "web",
        "/spec/template/spec/containers",
        json!([{"name": "main", "image": "nginx:1.26"}]),
    );
    let (mut least, mut most) = (4, 0);
    while bench.manager.step().await
        || !bench.manager.settle(std::time::Duration::from_millis(300)).await.is_zero()
    {
        let web = bench.get("Deployment", "web");
        least = least.min(web.count("/status/availableReplicas"));
        most = most.max(web.count("/status/replicas"));
    }
    assert!(least >= 3 && most <= 5, "{least} were available, {most} there");
    let web = bench.get("Deployment", "web");
    assert_eq!(web.annotation("deployment.kubernetes.io/revision"), "2");
    assert_eq!(web.at("/status/updatedReplicas"), 4);
    let mut sizes: Vec<i64> =
        bench.list("ReplicaSet").iter().map(|set| set.count("/spec/replicas")).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [0, 4]);
    assert_eq!(bench.list("Pod").len(), 4);
}

#[tokio::test]
async fn going_back_reuses_the_old_replica_set_under_a_new_revision() {
    let mut bench = Bench::new().await;
    bench.create(deployment("web", 2, "nginx:1.25"));
    bench.settle().await;
    for image in ["nginx:1.26", "nginx:1.25"] {
        bench.change(
            "Deployment",
            "web",
            "/spec/template/spec/containers",
            json!([{"name": "main", "image": image}]),
        );
        bench.settle().await;
    }
    let web = bench.get("Deployment", "web");
    assert_eq!(web.annotation("deployment.kubernetes.io/revision"), "3");
    let sets = bench.list("ReplicaSet");
    assert_eq!(sets.len(), 2);
    let new = sets.iter().find(|set| set.count("/spec/replicas") == 2).unwrap();
    assert_eq!(new.annotation("deployment.kubernetes.io/revision-history"), "1");
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_runs_out_of_time_and_keeps_the_old_pods() {
    let mut bench = Bench::new().await;
    bench.create(deployment("web", 3, "nginx:1.25"));
    bench.settle().await;
    bench.change(
        "Deployment",
        "web",
        "/spec/template/spec/containers",
        json!([{"name": "main", "image": "nginx:bad"}]),
    );
    bench.settle().await;
    bench.manager.advance(std::time::Duration::from_secs(700)).await;
    let web = bench.get("Deployment", "web");
    assert_eq!(
        conditions(&web),
        ["Available=True MinimumReplicasAvailable", "Progressing=False ProgressDeadlineExceeded"]
    );
    assert_eq!(web.at("/status/availableReplicas"), 3);
    let stuck = bench.list("Pod").into_iter().find(|pod| !pod.is("Ready")).unwrap();
    assert_eq!(stuck.text("/status/containerStatuses/0/state/waiting/reason"), "ImagePullBackOff");
}

#[tokio::test]
async fn scaling_down_takes_pods_away_gracefully() {
    let mut bench = Bench::new().await;
    bench.create(deployment("web", 5, "nginx:1.25"));
    bench.settle().await;
    bench.change("Deployment", "web", "/spec/replicas", json!(2));
    bench.settle().await;
    assert_eq!(bench.list("Pod").len(), 2);
    assert_eq!(bench.get("Deployment", "web").at("/status/replicas"), 2);
}

#[tokio::test]
async fn a_paused_deployment_says_so_and_waits() {
    let mut bench = Bench::new().await;
    bench.create(deployment("web", 2, "nginx:1.25"));
    bench.settle().await;
    bench.change("Deployment", "web", "/spec/paused", json!(true));
    bench.settle().await;
    bench.change(
        "Deployment",
        "web",
        "/spec/template/spec/containers",
        json!([{"name": "main", "image": "nginx:1.26"}]),
    );
    bench.settle().await;
    assert_eq!(bench.list("ReplicaSet").len(), 1);
    assert_eq!(conditions(&bench.get("Deployment", "web"))[1], "Progressing=Unknown DeploymentPaused");
    bench.change("Deployment", "web", "/spec/paused", json!(false));
    bench.settle().await;
    assert_eq!(bench.list("ReplicaSet").len(), 2);
}
