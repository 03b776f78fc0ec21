//! What a person reads when the cluster cannot be reached, does not accept them, or refuses.

use aegis_engine::error::CallError;
use aegis_engine::testing::Bench;
use aegis_stdlib::target::{KubernetesTarget, Target};
use serde_json::{Value, json};

use super::{World, deployment, settings};
use crate::support::{self, surroundings};

fn bench_with(kubeconfig: String) -> Bench {
    let mut surroundings = surroundings(&std::env::temp_dir(), &[]);
    surroundings.kubeconfig = Some(kubeconfig);
    support::bench(&Target::default(), &surroundings)
}

async fn version(bench: &Bench) -> CallError {
    bench.call("k8s::version", json!({})).await.unwrap_err()
}

#[tokio::test]
async fn a_cluster_that_is_down_is_unreachable() {
    let world = World::new().await;
    let kubeconfig = world.sandbox.kubeconfig();
    let endpoint = world.sandbox.endpoint();
    drop(world);
    let error = version(&bench_with(kubeconfig)).await;
    assert_eq!(error.code, "A0302");
    assert!(error.retryable && !error.unknown);
    assert!(error.message.starts_with(&format!("cannot reach `{endpoint}`: ")), "{}", error.message);
}

#[tokio::test]
async fn a_wrong_token_is_told_from_a_missing_right() {
    let world = World::new().await;
    let mut kubeconfig: Value = serde_saphyr::from_str(&world.sandbox.kubeconfig()).unwrap();
    kubeconfig["users"][0]["user"] = json!({ "token": "expired" });
    let bench = bench_with(kubeconfig.to_string());
    let error = bench.call("k8s::list", json!({ "kind": "pods" })).await.unwrap_err();
    assert_eq!(error.code, "A0303", "{}", error.message);
    assert!(error.hint.unwrap().contains("token may have expired"));
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_not_trusted() {
    let (world, other) = (World::new().await, World::new().await);
    let mut kubeconfig: Value = serde_saphyr::from_str(&world.sandbox.kubeconfig()).unwrap();
    let foreign: Value = serde_saphyr::from_str(&other.sandbox.kubeconfig()).unwrap();
    kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"] =
        foreign["clusters"][0]["cluster"]["certificate-authority-data"].clone();
    let error = version(&bench_with(kubeconfig.to_string())).await;
    assert_eq!(error.code, "A0305", "{}", error.message);
}

#[tokio::test]
async fn a_kubeconfig_that_is_missing_or_wrong_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let at = |kubernetes: KubernetesTarget, environment: &[(&str, &str)]| {
        let target = Target { kubernetes, ..Target::default() };
        support::bench(&target, &surroundings(folder.path(), environment))
    };
    let named = KubernetesTarget { kubeconfig: Some("absent".into()), ..KubernetesTarget::default() };
    let error = version(&at(named, &[])).await;
    assert_eq!(error.code, "A0301");
    assert!(error.message.contains("absent` does not exist"), "{}", error.message);
    let error = version(&at(KubernetesTarget::default(), &[("HOME", "/nonexistent")])).await;
    assert_eq!((error.code.as_str(), error.message.as_str()), ("A0301", "no kubeconfig was found"));

    let world = World::new().await;
    let mut surroundings = surroundings(folder.path(), &[]);
    surroundings.kubeconfig = Some(world.sandbox.kubeconfig());
    let kubernetes = KubernetesTarget { context: Some("prod".to_owned()), ..KubernetesTarget::default() };
    let error = version(&support::bench(&Target { kubernetes, ..Target::default() }, &surroundings)).await;
    assert_eq!(error.code, "A0301");
    assert!(error.hint.unwrap().starts_with("its contexts are `"));
}

#[tokio::test]
async fn what_is_not_there_is_answered_with_what_is() {
    let world = World::new().await;
    world.apply(settings("fast")).await;
    let error = world.fails("get", json!({ "target": "cm/setings", "namespace": "shop" })).await;
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("A0306", "configmap/setings in shop does not exist")
    );
    assert_eq!(error.hint.as_deref(), Some("did you mean `settings`?"));
    let error = world.fails("get", json!({ "target": "deploymnet/web" })).await;
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("A0306", "the cluster serves no kind `deploymnet`")
    );
    assert_eq!(error.hint.as_deref(), Some("did you mean `deployment`?"));
}

#[tokio::test]
async fn an_object_the_server_refuses_is_refused_with_the_causes() {
    let world = World::new().await;
    let mut wrong = deployment("web", 1);
    wrong["spec"]["template"]["metadata"]["labels"] = json!({ "app": "other" });
    let error = world.fails("apply", json!({ "manifest": wrong, "namespace": "shop" })).await;
    assert_eq!(error.code, "A0308");
    assert!(error.message.contains("`deployments.apps/web` in namespace `shop`"), "{}", error.message);
    assert!(error.message.contains("spec.template.metadata.labels"), "{}", error.message);
    let mut misspelt = deployment("web", 1);
    misspelt["spec"]["replcas"] = json!(3);
    let error = world.fails("apply", json!({ "manifest": misspelt, "namespace": "shop" })).await;
    assert!(error.message.contains("replcas"), "{}", error.message);
}

#[tokio::test]
async fn a_field_that_somebody_else_owns_is_a_conflict_until_it_is_forced() {
    let world = World::new().await;
    let client = client(&world).await;
    let maps: kube::Api<k8s_openapi::api::core::v1::ConfigMap> = kube::Api::namespaced(client, "shop");
    let theirs = kube::api::PatchParams::apply("theirs");
    maps.patch("settings", &theirs, &kube::api::Patch::Apply(settings("fast"))).await.unwrap();
    let error = world.fails("apply", json!({ "manifest": settings("slow") })).await;
    assert_eq!(error.code, "A0307");
    assert!(error.message.contains("`.data.mode` (`theirs`)"), "{}", error.message);
    assert!(error.hint.unwrap().contains("force: true"));
    world.ok("apply", json!({ "manifest": settings("slow"), "force": true })).await;
    assert_eq!(world.get("cm/settings").await["data"]["mode"], "slow");
}

async fn client(world: &World) -> kube::Client {
    let kubeconfig = kube::config::Kubeconfig::from_yaml(&world.sandbox.kubeconfig()).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    kube::Client::try_from(config).unwrap()
}
