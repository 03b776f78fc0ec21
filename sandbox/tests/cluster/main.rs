//! The sandbox as its users meet it: over HTTPS, with the kube client, kubectl and helm.
//!
//! One binary; each file is one promise. Nothing here sleeps: everything that takes time is awaited
//! as a condition.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![expect(clippy::print_stderr, reason = "what is not tested is said aloud")]

mod custom;
mod faults;
mod killed;
mod metrics;
mod objects;
mod processes;
mod runtime;
mod scenarios;
mod sessions;
mod takeover;
mod tools;
mod volumes;
mod watching;
mod webhooks;

use aegis_sandbox::{Options, Sandbox};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

/// A cluster of this test's own, gone with it.
struct Cluster {
    sandbox: Sandbox,
    directory: tempfile::TempDir,
}

impl Cluster {
    async fn start() -> Self {
        Self::with(Options::default()).await
    }

    async fn with(options: Options) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::join(directory.path(), options).unwrap();
        sandbox.ready().await.unwrap();
        Self { sandbox, directory }
    }

    async fn client(&self) -> Client {
        client(&self.sandbox).await
    }

    /// The kubeconfig as a file, for tools.
    fn kubeconfig(&self) -> std::path::PathBuf {
        let path = self.directory.path().join("kubeconfig");
        std::fs::write(&path, self.sandbox.kubeconfig()).unwrap();
        path
    }
}

/// A kube client for whoever serves the sandbox.
async fn client(sandbox: &Sandbox) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::from_yaml(&sandbox.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

fn config_maps(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), "default")
}

fn config_map(name: &str, value: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
        data: Some([("value".to_owned(), value.to_owned())].into()),
        ..ConfigMap::default()
    }
}

/// The code and reason of a refusal.
fn refusal<T: std::fmt::Debug>(outcome: Result<T, kube::Error>) -> (u16, String) {
    match outcome {
        Err(kube::Error::Api(status)) => (status.code, status.reason.clone()),
        other => panic!("not refused: {other:?}"),
    }
}
