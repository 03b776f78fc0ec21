//! Reading and writing objects: locks, dry runs, paging, ownership, deletion.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::{Cluster, config_map, config_maps, refusal};

#[tokio::test]
async fn a_new_cluster_has_nodes_in_three_zones() {
    let cluster = Cluster::start().await;
    let nodes: Api<Node> = Api::all(cluster.client().await);
    let nodes = nodes.list(&ListParams::default()).await.unwrap();
    let zone = |node: &Node| node.metadata.labels.as_ref().unwrap()["topology.kubernetes.io/zone"].clone();
    let zones: std::collections::BTreeSet<String> = nodes.iter().map(zone).collect();
    assert_eq!((nodes.items.len(), zones.len()), (9, 3));
}

#[tokio::test]
async fn stale_and_double_writes_are_refused() {
    let cluster = Cluster::start().await;
    let maps = config_maps(&cluster.client().await);
    let first = maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    let again = maps.create(&PostParams::default(), &config_map("a", "1")).await;
    assert_eq!(refusal(again), (409, "AlreadyExists".into()));
    let mut second = first.clone();
    second.data = Some([("value".to_owned(), "2".to_owned())].into());
    maps.replace("a", &PostParams::default(), &second).await.unwrap();
    assert_eq!(refusal(maps.replace("a", &PostParams::default(), &first).await), (409, "Conflict".into()));
    assert_eq!(refusal(maps.get("absent").await), (404, "NotFound".into()));
    assert_eq!(
        refusal(maps.create(&PostParams::default(), &config_map("Bad", "")).await),
        (422, "Invalid".into())
    );
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let cluster = Cluster::start().await;
    let maps = config_maps(&cluster.client().await);
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let answered = maps.create(&dry, &config_map("dry", "1")).await.unwrap();
    assert!(answered.metadata.uid.is_some() && answered.metadata.resource_version.is_none());
    assert_eq!(maps.get_opt("dry").await.unwrap(), None);
}

#[tokio::test]
async fn pages_show_one_moment() {
    let cluster = Cluster::start().await;
    let maps = config_maps(&cluster.client().await);
    for number in 0..5 {
        let mut map = config_map(&format!("page-{number}"), "x");
        map.metadata.labels = Some([("page".to_owned(), "yes".to_owned())].into());
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    let params = ListParams::default().labels("page=yes").limit(2);
    let mut page = maps.list(&params).await.unwrap();
    let mut seen = Vec::new();
    // This one comes too late for a list that began before it.
    let mut late = config_map("page-9", "x");
    late.metadata.labels = Some([("page".to_owned(), "yes".to_owned())].into());
    maps.create(&PostParams::default(), &late).await.unwrap();
    loop {
        seen.extend(page.items.iter().map(|map| map.metadata.name.clone().unwrap()));
        match page.metadata.continue_.take().filter(|token| !token.is_empty()) {
            Some(token) => page = maps.list(&params.clone().continue_token(&token)).await.unwrap(),
            None => break,
        }
    }
    assert_eq!(seen, ["page-0", "page-1", "page-2", "page-3", "page-4"]);
}

#[tokio::test]
async fn server_side_apply_owns_fields_and_refuses_to_take_them() {
    let cluster = Cluster::start().await;
    let maps = config_maps(&cluster.client().await);
    let wish = |value: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"value": value}});
    let apply = |manager: &str| PatchParams::apply(manager);
    maps.patch("a", &apply("one"), &Patch::Apply(wish("1"))).await.unwrap();
    let taken = maps.patch("a", &apply("two"), &Patch::Apply(wish("2"))).await;
    assert_eq!(refusal(taken), (409, "Conflict".into()));
    let forced = maps.patch("a", &apply("two").force(), &Patch::Apply(wish("2"))).await.unwrap();
    let owners = forced.metadata.managed_fields.unwrap();
    assert_eq!(owners.iter().filter_map(|entry| entry.manager.as_deref()).collect::<Vec<_>>(), ["two"]);
}

#[tokio::test]
async fn a_deployment_becomes_available_on_the_nodes() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "default");
    let wish = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": 3, "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]},
            },
        },
    });
    deployments.patch("web", &PatchParams::apply("test"), &Patch::Apply(wish)).await.unwrap();
    let is_available = |deployment: Option<&Deployment>| {
        let status = deployment.and_then(|deployment| deployment.status.as_ref());
        status.and_then(|status| status.available_replicas) == Some(3)
    };
    kube::runtime::wait::await_condition(deployments.clone(), "web", is_available).await.unwrap();
    deployments
        .patch_scale("web", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 1}})))
        .await
        .unwrap();
    let scale = deployments.get_scale("web").await.unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(1));
}

#[tokio::test]
async fn finalizers_hold_a_deleted_object() {
    let cluster = Cluster::start().await;
    let maps = config_maps(&cluster.client().await);
    let mut map = config_map("held", "1");
    map.metadata.finalizers = Some(vec!["example.com/hold".into()]);
    maps.create(&PostParams::default(), &map).await.unwrap();
    maps.delete("held", &DeleteParams::default()).await.unwrap();
    assert!(maps.get("held").await.unwrap().metadata.deletion_timestamp.is_some());
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("held", &PatchParams::default(), &release).await.unwrap();
    assert_eq!(maps.get_opt("held").await.unwrap(), None);
}
