//! `k8s` against the sandbox's API server, one cluster a test: what a script asks for, what the server then has.

mod changes;
mod errors;
mod examples;
mod plans;
mod processes;
mod transport;
mod workloads;

use std::time::Duration;

use aegis_engine::error::CallError;
use aegis_engine::function::{Plan, Probe};
use aegis_engine::run::Mode;
use aegis_engine::testing::Bench;
use aegis_sandbox::{Options, Sandbox};
use aegis_stdlib::target::Target;
use serde_json::{Value, json};

use crate::support;

/// A cluster with a namespace `shop`, and a bench on it.
pub(crate) struct World {
    pub(crate) bench: Bench,
    pub(crate) sandbox: Sandbox,
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    /// A new cluster whose containers start at once.
    pub(crate) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    /// As [`World::new`], with options of the sandbox.
    pub(crate) async fn with(mut options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        options.settings.container_start = Duration::from_millis(5);
        options.settings.stop_delay = Duration::from_millis(5);
        options.settings.job_run = Duration::from_millis(5);
        let sandbox = Sandbox::join(folder.path().join("cluster"), options).unwrap();
        sandbox.ready().await.unwrap();
        let mut surroundings = support::surroundings(folder.path(), &[]);
        surroundings.kubeconfig = Some(sandbox.kubeconfig());
        let bench = support::bench(&Target::default(), &surroundings);
        let world = Self { bench, sandbox, folder };
        world.apply(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } })).await;
        world
    }

    pub(crate) async fn call(&self, function: &str, arguments: Value) -> Result<Value, CallError> {
        self.bench.call(&format!("k8s::{function}"), arguments).await
    }

    /// A call that must succeed.
    pub(crate) async fn ok(&self, function: &str, arguments: Value) -> Value {
        let shown = arguments.to_string();
        self.call(function, arguments)
            .await
            .unwrap_or_else(|error| panic!("{function}({shown}): {error} ({:?})", error.hint))
    }

    /// A call that must fail.
    pub(crate) async fn fails(&self, function: &str, arguments: Value) -> CallError {
        self.call(function, arguments).await.expect_err("it must fail")
    }

    pub(crate) async fn plan(&self, function: &str, arguments: Value) -> Plan {
        let shown = arguments.to_string();
        let plan = self.bench.plan(&format!("k8s::{function}"), arguments).await;
        plan.unwrap_or_else(|error| panic!("plan of {function}({shown}): {error}"))
    }

    pub(crate) async fn probe(&self, function: &str, arguments: Value, plan: &Plan) -> Probe {
        self.bench.probe(&format!("k8s::{function}"), arguments, plan.undo.as_ref()).await.unwrap()
    }

    /// Runs the inverse that a plan journaled.
    pub(crate) async fn undo(&self, plan: &Plan) {
        let undo = plan.undo.clone().expect("the plan has an inverse");
        self.bench.call(&undo.function, undo.arguments).await.unwrap();
    }

    pub(crate) async fn apply(&self, manifest: Value) -> Value {
        self.ok("apply", json!({ "manifest": manifest, "namespace": "shop" })).await
    }

    /// An object of `shop`.
    pub(crate) async fn get(&self, target: &str) -> Value {
        self.ok("get", json!({ "target": target, "namespace": "shop" })).await
    }

    pub(crate) async fn exists(&self, target: &str) -> bool {
        self.ok("exists", json!({ "target": target, "namespace": "shop" })).await == json!(true)
    }

    /// The same cluster seen in plan mode.
    pub(crate) fn planning(&mut self) {
        self.bench.context.mode = Mode::Plan;
    }

    pub(crate) fn running(&mut self) {
        self.bench.context.mode = Mode::Run;
    }
}

/// A Deployment of `replicas` pods.
pub(crate) fn deployment(name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
        "spec": { "replicas": replicas, "selector": { "matchLabels": { "app": name } },
            "template": { "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "web", "image": "registry.local/web:1" }] } } },
    })
}

/// A ConfigMap `settings` with one value.
pub(crate) fn settings(mode: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings", "namespace": "shop" }, "data": { "mode": mode } })
}
