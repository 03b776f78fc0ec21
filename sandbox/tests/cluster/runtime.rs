//! What programs do with the runtime of the kube crate: reflectors, waits, controllers with finalizers and events, and
//! leases that elect a leader.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::controller::Action;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::finalizer::{Event as Finalizer, finalizer};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::wait::{await_condition, conditions, delete::delete_and_finalize};
use kube::runtime::{Controller, WatchStreamExt, watcher};
use kube::{Client, Resource, ResourceExt};
use serde_json::{Value, json};

use crate::{Cluster, config_map, config_maps, refusal};

/// Nothing here takes this long.
const BOUND: Duration = Duration::from_secs(60);

fn of<K: serde::de::DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).unwrap()
}

fn deployment(image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]}}},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reflector_holds_what_the_cluster_holds_however_it_lists() {
    let cluster = Cluster::start().await;
    let maps = config_maps(&cluster.client().await);
    let lists = [watcher::Config::default().page_size(2), watcher::Config::default().streaming_lists()];
    for (round, config) in lists.into_iter().enumerate() {
        let name = |number: usize| format!("map-{round}-{number}");
        for number in 0..5 {
            maps.create(&PostParams::default(), &config_map(&name(number), "old")).await.unwrap();
        }
        let (store, writer) = reflector::store();
        let stream = watcher(maps.clone(), config).default_backoff().reflect(writer).applied_objects();
        let following = tokio::spawn(stream.for_each(|_| async {}));
        store.wait_until_ready().await.unwrap();
        assert_eq!(store.state_filter(|map| map.name_any().starts_with(&name(0)[..6])).len(), 5);
        let changed = Patch::Merge(json!({"data": {"value": "new"}}));
        maps.patch(&name(0), &PatchParams::default(), &changed).await.unwrap();
        maps.delete(&name(1), &DeleteParams::default()).await.unwrap();
        let get = |number: usize| store.get(&ObjectRef::new(&name(number)).within("default"));
        let value = |map: Arc<ConfigMap>| map.data.as_ref().unwrap()["value"].clone();
        let caught_up = async {
            while get(1).is_some() || get(0).map(value).as_deref() != Some("new") {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(BOUND, caught_up).await.expect("the reflector did not catch up");
        following.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_of_every_kind_are_awaited() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let (pods, jobs): (Api<Pod>, Api<Job>) =
        (Api::default_namespaced(client.clone()), Api::default_namespaced(client.clone()));
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let post = PostParams::default();
    let waited = async {
        deployments.create(&post, &of(deployment("nginx:1"))).await.unwrap();
        await_condition(deployments.clone(), "web", conditions::is_deployment_completed()).await.unwrap();
        let pod =
            json!({"metadata": {"name": "one"}, "spec": {"containers": [{"name": "main", "image": "a"}]}});
        let pod: Pod = pods.create(&post, &of(pod)).await.unwrap();
        await_condition(pods.clone(), "one", conditions::is_pod_running()).await.unwrap();
        pods.delete("one", &DeleteParams::default()).await.unwrap();
        await_condition(pods.clone(), "one", conditions::is_deleted(&pod.uid().unwrap())).await.unwrap();
        let job = json!({"metadata": {"name": "once"}, "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "main", "image": "a", "command": ["true"]}]}}}});
        jobs.create(&post, &of(job)).await.unwrap();
        await_condition(jobs.clone(), "once", conditions::is_job_completed()).await.unwrap();
        delete_and_finalize(jobs.clone(), "once", &DeleteParams::foreground()).await.unwrap();
        let definition = json!({
            "metadata": {"name": "lamps.example.com"},
            "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "lamps", "kind": "Lamp"},
                "versions": [{"name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object"}}}]},
        });
        definitions.create(&post, &of(definition)).await.unwrap();
        await_condition(definitions, "lamps.example.com", conditions::is_crd_established()).await.unwrap();
    };
    tokio::time::timeout(BOUND, waited).await.expect("a condition never came");
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(String);

/// Copies every ConfigMap labelled `copy` with a finalizer that takes the copy away, and tells events of it.
async fn copy(map: Arc<ConfigMap>, client: Arc<Client>) -> Result<Action, Failed> {
    let maps = config_maps(&client);
    let reporter = Reporter { controller: "copier".into(), instance: None };
    let recorder = Recorder::new(Client::clone(&client), reporter);
    let name = format!("{}-copy", map.name_any());
    let tell = |reason: &str| Event {
        type_: EventType::Normal,
        reason: reason.into(),
        note: Some(format!("about {name}")),
        action: "Copy".into(),
        secondary: None,
    };
    let reconciled = finalizer(&maps, "example.com/copier", map.clone(), |event| async {
        match event {
            Finalizer::Apply(map) => {
                let copy = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name,
                    "ownerReferences": [map.controller_owner_ref(&()).unwrap()]}, "data": map.data});
                let apply = PatchParams::apply("copier").force();
                maps.patch(&name, &apply, &Patch::Apply(copy)).await?;
                recorder.publish(&tell("Copied"), &map.object_ref(&())).await?;
            }
            Finalizer::Cleanup(map) => {
                maps.delete(&name, &DeleteParams::default()).await?;
                recorder.publish(&tell("Removed"), &map.object_ref(&())).await?;
            }
        }
        Ok::<_, kube::Error>(Action::await_change())
    });
    reconciled.await.map_err(|error| Failed(format!("{error:?}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_owns_finalizes_and_tells_events() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let maps = config_maps(&client);
    let controller = Controller::new(maps.clone(), watcher::Config::default().labels("copy=yes"))
        .owns(maps.clone(), watcher::Config::default())
        .run(copy, |_, _, _| Action::requeue(Duration::from_millis(50)), Arc::new(client.clone()));
    let running = tokio::spawn(controller.for_each(|outcome| async move {
        if let Err(error) = outcome {
            eprintln!("reconciling: {error:?}");
        }
    }));
    let followed = async {
        let mut map = config_map("original", "1");
        map.metadata.labels = Some([("copy".to_owned(), "yes".to_owned())].into());
        maps.create(&PostParams::default(), &map).await.unwrap();
        let copied = |value: &'static str| {
            move |map: Option<&ConfigMap>| map.is_some_and(|map| map.data.as_ref().unwrap()["value"] == value)
        };
        await_condition(maps.clone(), "original-copy", copied("1")).await.unwrap();
        // Somebody deletes what the controller owns: it comes back, with what the original says by then.
        let changed = Patch::Merge(json!({"data": {"value": "2"}}));
        maps.patch("original", &PatchParams::default(), &changed).await.unwrap();
        await_condition(maps.clone(), "original-copy", copied("2")).await.unwrap();
        maps.delete("original-copy", &DeleteParams::default()).await.unwrap();
        await_condition(maps.clone(), "original-copy", copied("2")).await.unwrap();
        let original = maps.get("original").await.unwrap();
        assert_eq!(original.finalizers(), ["example.com/copier"]);
        delete_and_finalize(maps.clone(), "original", &DeleteParams::default()).await.unwrap();
        assert!(
            maps.get_opt("original-copy")
                .await
                .unwrap()
                .is_none_or(|copy| copy.meta().deletion_timestamp.is_some())
        );
    };
    tokio::time::timeout(BOUND, followed).await.expect("the controller did not follow");
    running.abort();
    let events: Api<k8s_openapi::api::events::v1::Event> = Api::default_namespaced(client);
    let events = events.list(&Default::default()).await.unwrap();
    let mut reasons: Vec<_> = events.items.iter().filter_map(|event| event.reason.as_deref()).collect();
    reasons.retain(|reason| ["Copied", "Removed"].contains(reason));
    reasons.sort_unstable();
    reasons.dedup();
    assert_eq!(reasons, ["Copied", "Removed"]);
}

/// One who wants to lead.
struct Candidate {
    name: &'static str,
    leases: Api<Lease>,
}

/// How long a leader that stops renewing is believed.
const TERM: SignedDuration = SignedDuration::from_secs(1);

impl Candidate {
    fn spec(&self, transitions: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.name.to_owned()),
            lease_duration_seconds: Some(1),
            renew_time: Some(MicroTime(Timestamp::now())),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }

    /// Takes the lease when it is free, keeps it when it is its own; answers whether it leads.
    async fn try_to_lead(&self) -> bool {
        let Some(mut lease) = self.leases.get_opt("leader").await.unwrap() else {
            let metadata = ObjectMeta { name: Some("leader".into()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(self.spec(0)) };
            return self.won(self.leases.create(&PostParams::default(), &lease).await);
        };
        let held = lease.spec.clone().unwrap();
        let own = held.holder_identity.as_deref() == Some(self.name);
        let renewed = held.renew_time.as_ref().unwrap().0;
        if !own && Timestamp::now().duration_since(renewed) < TERM {
            return false;
        }
        lease.spec = Some(self.spec(held.lease_transitions.unwrap() + i32::from(!own)));
        self.won(self.leases.replace("leader", &PostParams::default(), &lease).await)
    }

    /// Somebody else may have been quicker: that is told by 409 and nothing else.
    fn won(&self, written: Result<Lease, kube::Error>) -> bool {
        match written {
            Ok(lease) => lease.spec.unwrap().holder_identity.as_deref() == Some(self.name),
            Err(error) => {
                assert_eq!(refusal::<()>(Err(error)).0, 409);
                false
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_has_one_holder_at_a_time_and_passes_on_when_it_is_not_renewed() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let leases: Api<Lease> = Api::default_namespaced(client);
    let names = ["a", "b", "c", "d"];
    let candidates = names.map(|name| Candidate { name, leases: leases.clone() });
    let all = futures::future::join_all(candidates.iter().map(Candidate::try_to_lead)).await;
    assert_eq!(all.iter().filter(|leads| **leads).count(), 1, "{all:?}");
    let first = all.iter().position(|leads| *leads).unwrap();
    assert!(candidates[first].try_to_lead().await, "who holds it renews it");
    // The leader is gone: the others take turns to look until one of them leads.
    let (next, rest): (Vec<_>, Vec<_>) =
        candidates.iter().enumerate().partition(|(index, _)| *index != first);
    drop(rest);
    let passed_on = async {
        loop {
            for (index, candidate) in &next {
                if candidate.try_to_lead().await {
                    return *index;
                }
            }
        }
    };
    let second = tokio::time::timeout(BOUND, passed_on).await.expect("nobody took over");
    let lease = leases.get("leader").await.unwrap();
    let spec = lease.spec.unwrap();
    assert_eq!(spec.holder_identity.as_deref(), Some(names[second]));
    assert_eq!(spec.lease_transitions, Some(1));
    // A lease keeps microseconds, which is what renewals are compared by.
    let raw = format!("/apis/coordination.k8s.io/v1/namespaces/default/leases/{}", "leader");
    let (_, raw) = cluster.sandbox.ask("GET", &raw, None).await.unwrap();
    assert!(raw["spec"]["renewTime"].as_str().unwrap().len() == "2026-01-02T03:04:05.000607Z".len(), "{raw}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_watch_are_typed_all_the_way_down() {
    let cluster = Cluster::start().await;
    let deployments: Api<Deployment> = Api::default_namespaced(cluster.client().await);
    deployments.create(&PostParams::default(), &of(deployment("nginx:1"))).await.unwrap();
    let mut seen = pin!(watcher(deployments.clone(), watcher::Config::default()).applied_objects());
    let apply = PatchParams::apply("test").force();
    deployments.patch("web", &apply, &Patch::Apply(deployment("nginx:2"))).await.unwrap();
    let rolled = async {
        while let Some(web) = seen.try_next().await.unwrap() {
            let status = web.status.unwrap_or_default();
            if status.observed_generation == Some(2)
                && status.updated_replicas == Some(2)
                && status.replicas == Some(2)
            {
                return;
            }
        }
    };
    tokio::time::timeout(BOUND, rolled).await.expect("the new revision was never complete");
}
