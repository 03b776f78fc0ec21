//! Scenarios: the same file gives the same outcome.

use std::path::PathBuf;

use aegis_sandbox::scenario::{Error, Outcome, play};

/// A rollout, a zone that goes dark, requests that fail by chance, an operator's objects, generated names.
const STORY: &str = "
seed: 7
topology: {workers: 6, zones: [a, b, c]}
lasts: 40m
steps:
- apply: {file: shop.yaml}
- at: 2m
  fault: {name: flaky, kind: api-error, error: '503', verbs: [patch], rate: 0.5, lasts: 10m}
- {at: 3m, patch: {object: deploy/web, namespace: shop, with: {spec: {replicas: 5}}}}
- {at: 4m, patch: {object: deploy/web, namespace: shop, with: {spec: {replicas: 6}}}}
- {at: 5m, patch: {object: deploy/web, namespace: shop, with: {spec: {replicas: 7}}}}
- {at: 6m, patch: {object: deploy/web, namespace: shop, with: {spec: {replicas: 8}}}}
- {at: 15m, fault: {name: dark, kind: node-kill, zone: b}}
- {at: 25m, clear: dark}
- {at: 30m, fault: {name: unlucky, kind: pod-kill, namespace: shop, count: 3}}
- {at: 35m, delete: {object: statefulset/store, namespace: shop}}
- {at: 36m, delete: {object: wombat/none}}
";

const SHOP: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "nginx:1", ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store, namespace: shop}
spec:
  serviceName: store
  replicas: 3
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec: {containers: [{name: store, image: "redis:7"}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: sweep, namespace: shop}
spec:
  schedule: "*/10 * * * *"
  jobTemplate:
    spec:
      template: {spec: {restartPolicy: Never, containers: [{name: sweep, image: "busybox:1", command: ["true"]}]}}
"#;

fn story(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("shop.yaml"), SHOP).unwrap();
    let path = folder.path().join("story.yaml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn told<'a>(outcome: &'a Outcome, reason: &str) -> Vec<&'a str> {
    let moments = outcome.timeline.iter().filter(|moment| moment.reason == reason);
    moments.map(|moment| moment.object.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scenario_played_twice_has_one_outcome_and_another_seed_another() {
    let (_folder, path) = story(STORY);
    let first = play(&path, None).await.unwrap();
    let second = play(&path, None).await.unwrap();
    for (one, other) in first.timeline.iter().zip(&second.timeline) {
        assert_eq!(one, other);
    }
    assert_eq!(first, second);
    let other = play(&path, Some(8)).await.unwrap();
    assert_ne!(first.digest, other.digest);
    assert_ne!(told(&first, "Killing"), told(&other, "Killing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_in_a_scenario_is_what_the_file_says() {
    let (_folder, path) = story(STORY);
    let outcome = play(&path, None).await.unwrap();
    assert_eq!(told(&outcome, "NodeNotReady").iter().filter(|object| object.starts_with("Node ")).count(), 3);
    assert_eq!(told(&outcome, "Killed").len(), 3);
    let refused = told(&outcome, "Refused");
    assert_eq!(refused.last(), Some(&"delete wombat/none"));
    assert!(refused.len() > 1 && refused.len() < 6, "the dice hit some patches: {refused:?}");
    let shop = outcome.picture.namespaces.iter().find(|space| space.name == "shop").unwrap();
    assert_eq!((shop.workloads, shop.ready), (1, 1), "{shop:?}");
    assert!(outcome.picture.faults.iter().all(|(name, _)| name == "unlucky"), "{:?}", outcome.picture.faults);
    let about_sweep = outcome.timeline.iter().filter(|moment| moment.object == "CronJob shop/sweep");
    let reasons: Vec<_> = about_sweep.map(|moment| moment.reason.as_str()).collect();
    assert_eq!(reasons.iter().filter(|reason| **reason == "SuccessfulCreate").count(), 4, "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_wrong_is_told() {
    let (_folder, path) = story("lasts: 5m\nsteps:\n- {at: soon, clear: x}\n");
    match play(&path, None).await {
        Err(Error::File { problem, .. }) => {
            assert!(problem.contains("`soon` is no span of time"), "{problem}")
        }
        other => panic!("{other:?}"),
    }
    let (_folder, path) = story("lasts: 5m\nsteps:\n- apply: {file: none.yaml}\n");
    assert!(matches!(play(&path, None).await, Err(Error::Read { .. })));
}
