//! `helm` against an embedded cluster: the real helm 3 and helm 4 (put into `.tools/` by `just tools`) with charts
//! of our own, and stand-ins without any helm.
//!
//! - `lives`: a release from its first revision to its end
//! - `behaviours`: what real charts do besides objects: hooks, webhooks, big definitions, lookups
//! - `crashes`: what is left when somebody stops in the middle
//! - `charts`: where charts come from
//! - `stand_ins`: releases where helm or the chart cannot be had

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod behaviours;
mod charts;
mod crashes;
mod lives;
mod stand_ins;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aegis_engine::CallError;
use aegis_engine::function::Services;
use aegis_engine::testing::Bench;
use aegis_sandbox::{Options, Sandbox};
use aegis_stdlib::target::{HelmTarget, Surroundings, Target};
use aegis_stdlib::{helm, k8s};
use serde_json::{Value, json};

/// A cluster with everything a call needs, in a folder of its own.
struct World {
    bench: Bench,
    target: Target,
    surroundings: Surroundings,
    folder: tempfile::TempDir,
    _sandbox: Sandbox,
}

/// Which helm a target has.
#[derive(Clone, Copy, PartialEq)]
enum Tool {
    Three,
    Four,
    None,
}

/// A binary on `PATH`, or one that `just tools` fetched.
fn tool(name: &str) -> PathBuf {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/bin").join(name);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join(name)).chain([fetched]);
    let Some(tool) = found.find(|file| file.is_file()) else {
        panic!("this test needs `{name}`, on PATH or in .tools/: run `just tools` (or .ci/tools)")
    };
    tool.canonicalize().unwrap()
}

/// The charts of these tests.
fn own_charts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/charts")
}

impl World {
    async fn with(tool_: Tool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::join(folder.path().join("cluster"), Options::default()).unwrap();
        sandbox.ready().await.unwrap();
        std::fs::write(folder.path().join("kubeconfig"), sandbox.kubeconfig()).unwrap();
        copy(&own_charts(), &folder.path().join("project/charts"));
        let binary = match tool_ {
            Tool::Three => tool("helm3"),
            Tool::Four => tool("helm4"),
            Tool::None => folder.path().join("no-helm-here"),
        };
        let (target, surroundings) = described(folder.path(), binary);
        let bench = bench(&target, &surroundings);
        Self { bench, target, surroundings, folder, _sandbox: sandbox }
    }

    /// The next process on the same state directory.
    fn again(&mut self) {
        self.bench = bench(&self.target, &self.surroundings);
    }

    async fn call(&self, function: &str, arguments: Value) -> Value {
        self.bench.call(function, arguments).await.unwrap_or_else(|error| panic!("{function}: {error:?}"))
    }

    async fn fails(&self, function: &str, arguments: Value) -> CallError {
        self.bench.call(function, arguments).await.unwrap_err()
    }

    async fn exists(&self, target: &str) -> bool {
        self.call("k8s::exists", json!({ "target": target, "namespace": "shop" })).await == json!(true)
    }

    /// The same world in plan mode, with an empty overlay.
    fn planning(&mut self) -> &mut Self {
        self.bench.context.mode = aegis_engine::run::Mode::Plan;
        self.bench.context.overlay = Arc::default();
        self
    }

    /// What the real tool answers, run by hand as an operator would.
    fn by_hand(&self, tool_: &str, arguments: &[&str]) -> String {
        let output = std::process::Command::new(tool(tool_))
            .args(arguments)
            .env("HOME", self.folder.path())
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{tool_} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The target of a world, as every process sees it that works on it.
fn described(folder: &Path, helm: PathBuf) -> (Target, Surroundings) {
    let target = Target {
        sandbox: true,
        helm: HelmTarget { binary: Some(helm), ..HelmTarget::default() },
        ..Target::default()
    };
    let surroundings = Surroundings {
        name: "sandbox".to_owned(),
        state: folder.join("state"),
        project: folder.join("project"),
        kubeconfig: Some(std::fs::read_to_string(folder.join("kubeconfig")).unwrap()),
        environment: std::env::vars().collect(),
    };
    (target, surroundings)
}

fn bench(target: &Target, surroundings: &Surroundings) -> Bench {
    let services = Services::default()
        .with(k8s::Cluster::of(target, surroundings))
        .with(helm::Helm::of(target, surroundings));
    let mut bench = Bench::new(vec![k8s::module(), helm::module()], services);
    bench.context.project = surroundings.project.clone();
    bench
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn web(more: Value) -> Value {
    let mut arguments =
        json!({ "name": "web", "chart": "./charts/web", "namespace": "shop", "timeout": "60s" });
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    arguments
}

fn release() -> Value {
    json!({ "name": "web", "namespace": "shop" })
}

fn pick<'a>(answer: &'a Value, keys: &[&str]) -> Vec<&'a Value> {
    keys.iter().map(|key| &answer[*key]).collect()
}

fn provides() -> Value {
    json!({
        "crds": ["gizmos.example.com/v1,v1beta1 Gizmo"],
        "workloads": [
            { "name": "web", "replicas": 2 },
            { "kind": "StatefulSet", "name": "store", "replicas": 1 },
            { "kind": "DaemonSet", "name": "agent" },
        ],
        "services": [{ "name": "web", "port": 443 }],
        "webhooks": [{ "name": "web", "kind": "Validating" }],
        "objects": [{ "apiVersion": "example.com/v1", "kind": "Gizmo", "metadata": { "name": "one" }, "spec": { "size": 3 } }],
    })
}

fn unreachable(more: Value) -> Value {
    let mut arguments = web(json!({ "chart": "web", "version": "v1.2.3", "provides": provides() }));
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    arguments
}
