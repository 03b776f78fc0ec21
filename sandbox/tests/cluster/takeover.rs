//! Several processes, one cluster: whoever serves may die at any moment.

use std::process::{Child, Command, Stdio};

use aegis_sandbox::{Options, Sandbox};
use kube::api::{ListParams, PostParams};

use crate::{client, config_map, config_maps};

const DIRECTORY: &str = "AEGIS_SANDBOX_TAKEOVER_DIRECTORY";

/// Another process that takes part in the cluster until it is killed: this very binary.
pub(crate) fn join_in_another_process(directory: &std::path::Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "takeover::takes_part_until_killed"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
#[ignore = "run by the tests below, in a process of its own"]
async fn takes_part_until_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let options = Options { allow_processes: true, ..Options::default() };
    let _sandbox = Sandbox::join(directory, options).unwrap();
    std::future::pending::<()>().await;
}

/// Writes until `count` writes are acknowledged; lost connections are tried again.
async fn write(sandbox: &Sandbox, round: usize, count: usize) -> Vec<(String, u64)> {
    let mut acknowledged = Vec::new();
    let mut maps = config_maps(&client(sandbox).await);
    let mut number = 0;
    while acknowledged.len() < count {
        let name = format!("r{round}-{number}");
        match maps.create(&PostParams::default(), &config_map(&name, "x")).await {
            Ok(created) => {
                let version = created.metadata.resource_version.unwrap().parse().unwrap();
                acknowledged.push((name, version));
                number += 1;
            }
            // Written, but the answer was lost with the server: unknown, so not counted.
            Err(kube::Error::Api(status)) if status.code == 409 => number += 1,
            Err(_) => {
                sandbox.ready().await.unwrap();
                maps = config_maps(&client(sandbox).await);
            }
        }
    }
    acknowledged
}

#[tokio::test]
async fn a_killed_server_is_replaced_and_no_acknowledged_write_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = join_in_another_process(directory.path());
    // The first to join serves; everyone after stands by.
    let endpoint = directory.path().join("endpoint");
    while !endpoint.exists() {
        tokio::task::yield_now().await;
    }
    let mut acknowledged: Vec<(String, u64)> = Vec::new();
    let rounds = 4;
    for round in 0..rounds {
        let next = join_in_another_process(directory.path());
        let me = Sandbox::join(directory.path(), Options::default()).unwrap();
        me.ready().await.unwrap();
        let killed = async {
            server.kill().unwrap();
            server.wait().unwrap();
        };
        let (written, ()) = tokio::join!(write(&me, round, 40), killed);
        acknowledged.extend(written);
        server = next;
        drop(me);
    }
    let me = Sandbox::join(directory.path(), Options::default()).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    me.ready().await.unwrap();
    let stored = config_maps(&client(&me).await).list(&ListParams::default()).await.unwrap();
    let names: std::collections::HashSet<String> =
        stored.iter().filter_map(|map| map.metadata.name.clone()).collect();
    let lost: Vec<_> = acknowledged.iter().filter(|(name, _)| !names.contains(name)).collect();
    assert!(lost.is_empty(), "{} of {} are lost: {lost:?}", lost.len(), acknowledged.len());
    assert!(acknowledged.windows(2).all(|pair| pair[0].1 < pair[1].1), "a version went back");
}

#[tokio::test]
async fn two_in_one_directory_see_one_cluster_that_outlives_both() {
    let directory = tempfile::tempdir().unwrap();
    let first = Sandbox::join(directory.path(), Options::default()).unwrap();
    first.ready().await.unwrap();
    let second = Sandbox::join(directory.path(), Options::default()).unwrap();
    second.ready().await.unwrap();
    assert_eq!(first.endpoint(), second.endpoint());
    config_maps(&client(&first).await).create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    assert!(config_maps(&client(&second).await).get("a").await.is_ok());
    drop((first, second));
    let later = Sandbox::join(directory.path(), Options::default()).unwrap();
    later.ready().await.unwrap();
    // The one that goes may still have answered; as after any takeover, a broken connection is tried again.
    let maps = config_maps(&client(&later).await);
    while let Err(error) = maps.get("a").await {
        assert!(!matches!(error, kube::Error::Api(_)), "{error}");
        later.ready().await.unwrap();
    }
    drop(later);
    Sandbox::reset(directory.path()).unwrap();
    let fresh = Sandbox::join(directory.path(), Options::default()).unwrap();
    fresh.ready().await.unwrap();
    assert!(config_maps(&client(&fresh).await).get_opt("a").await.unwrap().is_none());
}
