//! Following objects: events in order, from a version, in a stream that begins with the state.

use futures::{StreamExt, TryStreamExt};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::watcher;
use serde_json::json;

use crate::{Cluster, config_map, config_maps};

#[tokio::test]
async fn a_watch_from_a_version_sees_every_change_since() {
    let cluster = Cluster::start().await;
    let maps = config_maps(&cluster.client().await);
    let first = maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    let since = first.metadata.resource_version.unwrap();
    maps.patch("a", &PatchParams::default(), &Patch::Merge(json!({"data": {"value": "2"}}))).await.unwrap();
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let params = WatchParams::default().fields("metadata.name=a");
    let events = maps.watch(&params, &since).await.unwrap().take(2).try_collect::<Vec<_>>().await.unwrap();
    let value = |map: &k8s_openapi::api::core::v1::ConfigMap| map.data.as_ref().unwrap()["value"].clone();
    match &events[..] {
        [WatchEvent::Modified(changed), WatchEvent::Deleted(last)] => {
            assert_eq!((value(changed), value(last)), ("2".into(), "2".into()));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_object_that_leaves_the_selection_is_deleted_for_the_watcher() {
    let cluster = Cluster::start().await;
    let maps = config_maps(&cluster.client().await);
    let mut map = config_map("a", "1");
    map.metadata.labels = Some([("app".to_owned(), "x".to_owned())].into());
    let first = maps.create(&PostParams::default(), &map).await.unwrap();
    let since = first.metadata.resource_version.unwrap();
    let moved = Patch::Merge(json!({"metadata": {"labels": {"app": "y"}}}));
    let moved = maps.patch("a", &PatchParams::default(), &moved).await.unwrap();
    let params = WatchParams::default().labels("app=x");
    let mut events = maps.watch(&params, &since).await.unwrap().boxed();
    match events.next().await.unwrap().unwrap() {
        WatchEvent::Deleted(last) => {
            assert_eq!(last.metadata.labels.unwrap()["app"], "x");
            assert_eq!(last.metadata.resource_version, moved.metadata.resource_version);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_streaming_list_says_when_the_state_is_complete() {
    let cluster = Cluster::start().await;
    let maps = config_maps(&cluster.client().await);
    maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    let config = watcher::Config::default().streaming_lists().fields("metadata.name=a");
    let mut events = watcher(maps.clone(), config).boxed();
    let mut names = Vec::new();
    loop {
        match events.next().await.unwrap().unwrap() {
            watcher::Event::InitApply(map) => names.push(map.metadata.name.unwrap()),
            watcher::Event::InitDone => break,
            _ => {}
        }
    }
    assert_eq!(names, ["a"]);
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(matches!(events.next().await.unwrap().unwrap(), watcher::Event::Delete(_)));
}
