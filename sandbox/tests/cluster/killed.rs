//! The serving process is killed 200 times while one client writes and another follows: what was
//! acknowledged is there, versions only grow, and a watch goes on where it was or is told that it cannot.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aegis_sandbox::{Options, Sandbox};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, PostParams, WatchEvent, WatchParams};
use rand::RngExt;
use tokio::sync::watch;

use crate::takeover::join_in_another_process;
use crate::{client, config_map, config_maps};

const KILLS: usize = 200;

/// Names and the versions they were stored as.
type Versions = BTreeMap<String, u64>;

fn version(map: &ConfigMap) -> u64 {
    map.metadata.resource_version.as_deref().unwrap().parse().unwrap()
}

fn name(map: &ConfigMap) -> String {
    map.metadata.name.clone().unwrap()
}

/// Writes until told to stop. `acknowledged` counts aloud, so that the killer can await progress.
async fn write(
    maps: kube::Api<ConfigMap>,
    acknowledged: watch::Sender<usize>,
    stop: watch::Receiver<bool>,
) -> Versions {
    let mut written = Versions::new();
    let mut last = 0;
    for number in 0.. {
        if *stop.borrow() {
            break;
        }
        // A broken connection leaves it unknown whether it was written: it counts neither way.
        if let Ok(map) = maps.create(&PostParams::default(), &config_map(&format!("n{number}"), "x")).await {
            assert!(version(&map) > last, "{} came after {last}", version(&map));
            last = version(&map);
            written.insert(name(&map), last);
            acknowledged.send_modify(|count| *count += 1);
        } else {
            tokio::task::yield_now().await;
        }
    }
    written
}

/// What a client knows that lists once and then follows, and how often it had to list again.
#[derive(Default)]
struct Follower {
    known: Versions,
    last: u64,
    resumed: usize,
    expired: usize,
}

impl Follower {
    fn learn(&mut self, map: &ConfigMap) {
        assert!(version(map) > self.last, "event {} came after {}", version(map), self.last);
        self.last = version(map);
        self.known.insert(name(map), self.last);
    }

    async fn list(&mut self, maps: &kube::Api<ConfigMap>) {
        let Ok(list) = maps.list(&ListParams::default()).await else { return };
        let at: u64 = list.metadata.resource_version.as_deref().unwrap().parse().unwrap();
        assert!(at >= self.last, "the list is of {at}, after {}", self.last);
        self.known = list.iter().map(|map| (name(map), version(map))).collect();
        self.last = at;
    }

    /// One watch, until the connection ends.
    async fn watch(&mut self, maps: &kube::Api<ConfigMap>, until: &AtomicUsize) {
        let Ok(events) = maps.watch(&WatchParams::default(), &self.last.to_string()).await else { return };
        self.resumed += 1;
        let mut events = events.boxed();
        while let Some(Ok(event)) = events.next().await {
            match event {
                WatchEvent::Added(map) | WatchEvent::Modified(map) => self.learn(&map),
                WatchEvent::Error(status) if status.code == 410 => {
                    self.expired += 1;
                    return self.list(maps).await;
                }
                _ => {}
            }
            if self.last as usize >= until.load(Ordering::Acquire) {
                return;
            }
        }
    }
}

async fn follow(maps: kube::Api<ConfigMap>, until: Arc<AtomicUsize>) -> Follower {
    let mut follower = Follower::default();
    while follower.last == 0 {
        follower.list(&maps).await;
    }
    while (follower.last as usize) < until.load(Ordering::Acquire) {
        follower.watch(&maps, &until).await;
    }
    follower
}

/// Kills whoever serves, again and again; the next one stands by already. Each kill waits for an acknowledged
/// write of the server that is to die.
async fn kill(directory: &Path, first: Child, mut acknowledged: watch::Receiver<usize>) -> Child {
    let mut serving = first;
    for _ in 0..KILLS {
        let next = join_in_another_process(directory);
        let before = *acknowledged.borrow_and_update();
        acknowledged.wait_for(|count| *count > before).await.unwrap();
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(0..20))).await;
        serving.kill().unwrap();
        serving.wait().unwrap();
        serving = next;
    }
    serving
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_it_loses_nothing_and_no_version_goes_back() {
    let directory = tempfile::tempdir().unwrap();
    let first = join_in_another_process(directory.path());
    while !directory.path().join("endpoint").exists() {
        tokio::task::yield_now().await;
    }
    let stands_by = Sandbox::join(directory.path(), Options::default()).unwrap();
    stands_by.ready().await.unwrap();
    let maps = config_maps(&client(&stands_by).await);
    drop(stands_by);

    let (acknowledged, progress) = watch::channel(0);
    let (stop, stopped) = watch::channel(false);
    let until = Arc::new(AtomicUsize::new(usize::MAX));
    let writer = tokio::spawn(write(maps.clone(), acknowledged, stopped));
    let follower = tokio::spawn(follow(maps.clone(), Arc::clone(&until)));
    let mut last = kill(directory.path(), first, progress).await;
    stop.send(true).unwrap();
    let written = writer.await.unwrap();
    until.store(usize::try_from(*written.values().max().unwrap()).unwrap(), Ordering::Release);
    // The end is told by one more event, so that a follower at rest wakes up.
    while maps.create(&PostParams::default(), &config_map("the-end", "x")).await.is_err() {
        tokio::task::yield_now().await;
    }
    let follower = follower.await.unwrap();
    let stored = maps.list(&ListParams::default()).await.unwrap();
    let stored: Versions = stored.iter().map(|map| (name(map), version(map))).collect();
    last.kill().unwrap();
    last.wait().unwrap();

    let lost = written.iter().filter(|(name, version)| stored.get(*name) != Some(version)).count();
    let unseen = written.iter().filter(|(name, version)| follower.known.get(*name) != Some(version)).count();
    eprintln!(
        "{KILLS} kills: {} writes acknowledged, {lost} lost, {unseen} not seen; {} watches, {} told 410",
        written.len(),
        follower.resumed,
        follower.expired
    );
    assert_eq!((lost, unseen), (0, 0));
}
