//! `helm` against an embedded cluster: the real helm 3 and helm 4 (put into `.tools/` by `just tools`) with a chart
//! of our own, and stand-ins without any helm.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

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

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/charts/web")
}

impl World {
    async fn with(tool_: Tool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::join(folder.path().join("cluster"), Options::default()).unwrap();
        sandbox.ready().await.unwrap();
        std::fs::write(folder.path().join("kubeconfig"), sandbox.kubeconfig()).unwrap();
        copy(&chart(), &folder.path().join("project/charts/web"));
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

async fn a_release_lives_and_dies(tool_: Tool) {
    let world = World::with(tool_).await;
    let first = world.call("helm::install", web(json!({ "values": { "replicas": 2 } }))).await;
    let told = pick(&first, &["revision", "status", "chart", "version", "stand_in", "digest"]);
    assert_eq!(
        told,
        [&json!(1), &json!("deployed"), &json!("web-0.1.0"), &json!("0.1.0"), &json!(false), &Value::Null]
    );
    let deployment = world.call("k8s::get", json!({ "target": "deployment/web", "namespace": "shop" })).await;
    assert_eq!(deployment["status"]["readyReplicas"], 2);

    let second =
        world.call("helm::install", web(json!({ "values": { "replicas": 2, "greeting": "salut" } }))).await;
    assert_eq!(second["revision"], 2);
    assert_eq!(world.call("helm::values", release()).await, json!({ "replicas": 2, "greeting": "salut" }));

    let back =
        world.call("helm::rollback", json!({ "name": "web", "namespace": "shop", "revision": 1 })).await;
    assert_eq!(pick(&back, &["revision", "status"]), [&json!(3), &json!("deployed")]);
    let config = world.call("k8s::get", json!({ "target": "configmap/web", "namespace": "shop" })).await;
    assert_eq!(config["data"]["greeting"], "hello");

    let history = world.call("helm::history", release()).await;
    let states: Vec<&str> =
        history.as_array().unwrap().iter().map(|r| r["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["superseded", "superseded", "deployed"]);
    let all = world.call("helm::list", json!({ "all_namespaces": true })).await;
    assert_eq!(pick(&all[0], &["name", "namespace", "revision"]), [&json!("web"), &json!("shop"), &json!(3)]);
    let status = world.call("helm::status", release()).await;
    assert_eq!(
        pick(&status, &["status", "pending", "not_ready"]),
        [&json!("deployed"), &json!(false), &json!([])]
    );

    let gone = world.call("helm::uninstall", release()).await;
    assert_eq!(gone["action"], "uninstalled");
    assert!(!world.exists("deployment/web").await);
    assert_eq!(world.call("helm::uninstall", release()).await["action"], "absent");
    assert_eq!(world.fails("helm::status", release()).await.code, "A0306");
}

#[tokio::test]
async fn a_release_lives_and_dies_with_helm_3() {
    a_release_lives_and_dies(Tool::Three).await;
}

#[tokio::test]
async fn a_release_lives_and_dies_with_helm_4() {
    a_release_lives_and_dies(Tool::Four).await;
}

async fn what_is_not_ready_is_told(tool_: Tool) {
    let world = World::with(tool_).await;
    let bad = json!({ "values": { "image": "registry.example.com/web:bad" }, "timeout": "8s" });
    let error = world.fails("helm::install", web(bad)).await;
    assert_eq!(error.code, "A0403", "{error:?}");
    assert!(error.message.starts_with("`helm upgrade` failed: "), "{}", error.message);
    assert!(error.message.contains("not ready: deployment/web: "), "{}", error.message);
    assert!(!world.exists("deployment/web").await, "an atomic install leaves nothing");
    let again = world.call("helm::install", web(json!({}))).await;
    assert_eq!(again["status"], "deployed");
}

#[tokio::test]
async fn what_is_not_ready_is_told_with_helm_3() {
    what_is_not_ready_is_told(Tool::Three).await;
}

#[tokio::test]
async fn what_is_not_ready_is_told_with_helm_4() {
    what_is_not_ready_is_told(Tool::Four).await;
}

async fn a_plan_shows_the_diff_and_later_reads_see_it(tool_: Tool) {
    let mut world = World::with(tool_).await;
    world.call("helm::install", web(json!({ "values": { "password": "first-password" } }))).await;
    world.planning();
    let next = web(json!({ "values": { "greeting": "salut", "password": "second-password" } }));
    let plan = world.bench.plan("helm::install", next.clone()).await.unwrap();
    assert_eq!(
        plan.summary,
        "upgrade `web` in `shop` from web 0.1.0 to web 0.1.0 (revision 1): 2 objects changed"
    );
    let diff = plan.diff.unwrap();
    assert!(diff.contains("-  greeting: hello\n+  greeting: salut\n"), "{diff}");
    assert!(diff.contains("*** (changed)"), "{diff}");
    let undo = plan.undo.unwrap();
    assert_eq!((undo.function.as_str(), &undo.arguments["revision"]), ("helm::rollback", &json!(1)));
    assert_eq!(plan.predicted["revision"], 2);
    assert_eq!(world.call("helm::status", release()).await["revision"], 2);
    let config = world.call("k8s::get", json!({ "target": "configmap/web", "namespace": "shop" })).await;
    assert_eq!(config["data"]["greeting"], "salut");

    world.planning();
    assert_eq!(world.call("helm::status", release()).await["revision"], 1, "nothing was written");
    let difference = world.call("helm::diff", next).await;
    assert_eq!(difference["changed"], json!(["configmap/web", "secret/web"]));
    let same =
        world.bench.plan("helm::install", web(json!({ "values": { "password": "first-password" } }))).await;
    assert!(same.unwrap().unchanged);
}

#[tokio::test]
async fn a_plan_shows_the_diff_and_later_reads_see_it_with_helm_3() {
    a_plan_shows_the_diff_and_later_reads_see_it(Tool::Three).await;
}

#[tokio::test]
async fn a_plan_shows_the_diff_and_later_reads_see_it_with_helm_4() {
    a_plan_shows_the_diff_and_later_reads_see_it(Tool::Four).await;
}

#[tokio::test]
async fn a_plan_of_a_first_install_brings_definitions_and_namespace() {
    let mut world = World::with(Tool::Three).await;
    world.planning();
    let plan = world.bench.plan("helm::install", web(json!({}))).await.unwrap();
    assert_eq!(plan.summary, "install web 0.1.0 as `web` in `shop`: 4 objects added");
    assert_eq!(plan.undo.unwrap().function, "helm::uninstall");
    let gadget = json!({ "manifest": {
        "apiVersion": "example.com/v1", "kind": "Gadget", "metadata": { "name": "g", "namespace": "shop" },
    } });
    assert!(world.bench.plan("k8s::apply", gadget).await.is_ok());
    for target in ["namespace/shop", "deployment/web", "customresourcedefinition/gadgets.example.com"] {
        assert!(world.exists(target).await, "{target}");
    }
    world.planning();
    for target in ["namespace/shop", "deployment/web"] {
        assert!(!world.exists(target).await, "{target} was only planned");
    }
}

async fn a_pending_release_is_repaired(tool_: Tool) {
    let world = World::with(tool_).await;
    world.call("helm::install", web(json!({}))).await;
    // What a helm that was killed in the middle of an upgrade leaves: a second revision that never ended.
    leave_pending(&world, 2, "pending-upgrade").await;
    let status = world.call("helm::status", release()).await;
    assert_eq!(pick(&status, &["status", "pending"]), [&json!("pending-upgrade"), &json!(true)]);
    let refused = world.fails("helm::install", web(json!({}))).await;
    assert_eq!((refused.code.as_str(), refused.retryable), ("A0404", true), "{refused:?}");
    let plan = world.bench.plan("helm::install", web(json!({}))).await.unwrap();
    assert!(
        plan.summary.contains("it was left `pending-upgrade`: first roll back to revision 1"),
        "{}",
        plan.summary
    );
    let probe = world.bench.probe("helm::install", web(json!({})), plan.undo.as_ref()).await.unwrap();
    assert_eq!(probe, aegis_engine::function::Probe::DidNotHappen);
    let repaired = world.call("helm::install", web(json!({ "repair": true }))).await;
    assert_eq!(repaired["repaired"], "it was left `pending-upgrade`: rolled back to revision 1");
    assert_eq!(pick(&repaired, &["status", "revision"]), [&json!("deployed"), &json!(4)]);
}

/// Writes a revision as helm would have left it: the newest one's record in another state.
async fn leave_pending(world: &World, revision: u64, status: &str) {
    let encoded = world.by_hand(
        "kubectl",
        &[
            "get",
            "-n",
            "shop",
            "secret",
            &format!("sh.helm.release.v1.web.v{}", revision - 1),
            "-o",
            "jsonpath={.data.release}",
        ],
    );
    let record = record::edit(&encoded, |record| {
        record["version"] = json!(revision);
        record["info"]["status"] = json!(status);
        record["info"]["last_deployed"] = json!(jiff::Timestamp::now().to_string());
    });
    let labels = json!({ "owner": "helm", "name": "web", "status": status, "version": revision.to_string() });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "data": { "release": record },
        "metadata": { "name": format!("sh.helm.release.v1.web.v{revision}"), "namespace": "shop", "labels": labels },
    });
    world.call("k8s::apply", json!({ "manifest": secret })).await;
}

mod record {
    //! helm's own encoding, written again here so that the tests do not believe the module's.

    use std::io::{Read, Write};

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::Value;

    pub(super) fn edit(data: &str, change: impl FnOnce(&mut Value)) -> String {
        let packed = STANDARD.decode(STANDARD.decode(data.trim()).unwrap()).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
        let mut record: Value = serde_json::from_str(&text).unwrap();
        change(&mut record);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(record.to_string().as_bytes()).unwrap();
        STANDARD.encode(STANDARD.encode(gzip.finish().unwrap()))
    }
}

#[tokio::test]
async fn a_pending_release_is_repaired_with_helm_3() {
    a_pending_release_is_repaired(Tool::Three).await;
}

#[tokio::test]
async fn a_pending_release_is_repaired_with_helm_4() {
    a_pending_release_is_repaired(Tool::Four).await;
}

/// Cancelling in the middle leaves a release that the next call, on the same machine, repairs without being told.
async fn a_cancelled_install_is_repaired_by_the_next(tool_: Tool) {
    let mut world = World::with(tool_).await;
    let token = world.bench.context.cancellation().clone();
    let slow = web(json!({ "values": { "image": "registry.example.com/web:bad" }, "timeout": "300s" }));
    let started = async {
        while !world.exists("deployment/web").await {
            tokio::task::yield_now().await;
        }
        token.cancel();
    };
    let (outcome, ()) = tokio::join!(world.bench.call("helm::install", slow), started);
    assert_eq!(outcome.unwrap_err().code, "A0107");
    world.again();
    let probe = world.bench.probe("helm::install", web(json!({})), None).await.unwrap();
    assert_eq!(probe, aegis_engine::function::Probe::DidNotHappen);
    let next = world.call("helm::install", web(json!({}))).await;
    assert_eq!(next["status"], "deployed");
    let probe = world.bench.probe("helm::install", web(json!({})), None).await.unwrap();
    let aegis_engine::function::Probe::Happened(answer) = probe else { panic!("{probe:?}") };
    assert_eq!(answer["revision"], next["revision"]);
}

#[tokio::test]
async fn a_cancelled_install_is_repaired_by_the_next_with_helm_3() {
    a_cancelled_install_is_repaired_by_the_next(Tool::Three).await;
}

#[tokio::test]
async fn a_cancelled_install_is_repaired_by_the_next_with_helm_4() {
    a_cancelled_install_is_repaired_by_the_next(Tool::Four).await;
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

#[tokio::test]
async fn a_stand_in_is_a_whole_release_without_helm() {
    let world = World::with(Tool::None).await;
    let first = world.call("helm::install", unreachable(json!({ "values": { "a": 1 } }))).await;
    let told = pick(&first, &["stand_in", "status", "revision", "chart"]);
    assert_eq!(told, [&json!(true), &json!("deployed"), &json!(1), &json!("web-v1.2.3")]);
    let deployment = world.call("k8s::get", json!({ "target": "deployment/web", "namespace": "shop" })).await;
    assert_eq!(deployment["status"]["readyReplicas"], 2);
    assert_eq!(deployment["metadata"]["annotations"]["meta.helm.sh/release-name"], "web");
    assert_eq!(deployment["metadata"]["labels"]["app.kubernetes.io/managed-by"], "Helm");
    assert!(world.exists("gizmos.example.com/one").await);

    let fewer =
        json!({ "provides": { "workloads": [{ "name": "web", "replicas": 1 }] }, "values": { "a": 2 } });
    assert_eq!(world.call("helm::install", unreachable(fewer)).await["revision"], 2);
    assert!(!world.exists("statefulset/store").await);
    assert_eq!(world.call("helm::values", release()).await, json!({ "a": 2 }));

    let back = world.call("helm::rollback", json!({ "name": "web", "namespace": "shop" })).await;
    assert_eq!(pick(&back, &["revision", "stand_in"]), [&json!(3), &json!(true)]);
    assert!(world.exists("statefulset/store").await);
    let history = world.call("helm::history", release()).await;
    let states: Vec<&str> =
        history.as_array().unwrap().iter().map(|r| r["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["superseded", "superseded", "deployed"]);
    assert_eq!(world.call("helm::test", release()).await["stand_in"], true);

    world.call("helm::uninstall", release()).await;
    assert!(!world.exists("deployment/web").await);
    assert_eq!(world.call("helm::list", json!({ "all_namespaces": true })).await, json!([]));
}

#[tokio::test]
async fn real_helm_reads_and_removes_a_stand_in() {
    for helm in ["helm3", "helm4"] {
        let world = World::with(Tool::None).await;
        world.call("helm::install", unreachable(json!({ "values": { "a": 1 } }))).await;
        let list: Value = serde_json::from_str(&world.by_hand(helm, &["list", "-A", "-o", "json"])).unwrap();
        assert_eq!(
            pick(&list[0], &["name", "status", "chart"]),
            [&json!("web"), &json!("deployed"), &json!("web-v1.2.3")]
        );
        let values = world.by_hand(helm, &["get", "values", "web", "-n", "shop", "-o", "json"]);
        assert_eq!(serde_json::from_str::<Value>(&values).unwrap(), json!({ "a": 1 }));
        assert!(world.by_hand(helm, &["get", "manifest", "web", "-n", "shop"]).contains("kind: DaemonSet"));
        world.by_hand(helm, &["uninstall", "web", "-n", "shop"]);
        assert_eq!(world.call("helm::list", json!({ "all_namespaces": true })).await, json!([]));
    }
}

#[tokio::test]
async fn a_stand_in_that_does_not_become_ready_is_taken_back() {
    let world = World::with(Tool::None).await;
    let bad =
        json!({ "provides": { "workloads": [{ "name": "web", "image": "web:bad" }] }, "timeout": "2s" });
    let error = world.fails("helm::install", unreachable(bad)).await;
    assert_eq!(error.code, "A0403");
    assert!(
        error.message.contains("the stand-in is not ready after 2s: deployment/web: "),
        "{}",
        error.message
    );
    assert!(!world.exists("deployment/web").await);
    assert_eq!(world.call("helm::install", unreachable(json!({}))).await["revision"], 1);
}

#[tokio::test]
async fn a_stand_in_takes_the_place_of_a_chart_whose_repository_cannot_be_reached() {
    let world = World::with(Tool::Three).await;
    let answer =
        world.call("helm::install", unreachable(json!({ "repository": "http://127.0.0.1:9" }))).await;
    assert_eq!(answer["stand_in"], true);
}

#[tokio::test]
async fn without_helm_and_without_a_declaration_the_error_says_what_to_install() {
    let world = World::with(Tool::None).await;
    let error = world.fails("helm::install", web(json!({}))).await;
    assert_eq!(error.code, "A0401");
    let error = world.fails("helm::template", json!({ "name": "web", "chart": "./charts/web" })).await;
    assert_eq!(error.code, "A0401");
    assert!(error.hint.unwrap().contains("brew install helm"));
}

#[tokio::test]
async fn a_plan_of_a_stand_in_says_why() {
    let mut world = World::with(Tool::None).await;
    world.planning();
    let plan = world.bench.plan("helm::install", unreachable(json!({}))).await.unwrap();
    assert!(plan.summary.contains("; stand-in, because helm is not installed"), "{}", plan.summary);
    assert_eq!(plan.predicted["stand_in"], true);
    assert!(world.exists("gizmos.example.com/one").await);
    world.planning();
    assert_eq!(world.call("helm::list", json!({ "all_namespaces": true })).await, json!([]));
}

#[tokio::test]
async fn charts_are_pinned_by_their_bytes() {
    let world = World::with(Tool::Three).await;
    let project = world.bench.context.project.clone();
    world.by_hand("helm3", &["package", chart().to_str().unwrap(), "-d", project.to_str().unwrap()]);
    let archive = json!({ "chart": "./web-0.1.0.tgz" });
    let installed = world.call("helm::install", web(archive.clone())).await;
    let digest = installed["digest"].as_str().unwrap().to_owned();
    assert!(digest.starts_with("sha256:") && digest.len() == 71, "{digest}");
    let pinned = json!({ "chart": "./web-0.1.0.tgz", "digest": digest });
    assert_eq!(world.call("helm::install", web(pinned)).await["revision"], 2);
    let wrong = json!({ "chart": "./web-0.1.0.tgz", "digest": "0".repeat(64), "provides": provides() });
    assert_eq!(world.fails("helm::install", web(wrong)).await.code, "A0502");
    let pulled = world
        .call("helm::pull", json!({ "chart": "./web-0.1.0.tgz", "digest": digest, "to": "pulled" }))
        .await;
    assert_eq!(pulled["digest"], digest);
    assert!(project.join("pulled/web-0.1.0.tgz").is_file());
}

async fn a_chart_comes_from_a_repository(tool_: Tool, by_hand: &str) {
    let world = World::with(tool_).await;
    let files = tempfile::tempdir().unwrap();
    let folder = files.path().to_str().unwrap();
    world.by_hand(by_hand, &["package", chart().to_str().unwrap(), "-d", folder]);
    let url = serve(files.path().to_owned()).await;
    world.by_hand(by_hand, &["repo", "index", folder, "--url", &url]);
    let from = json!({ "chart": "web", "repository": url, "version": "0.1.0" });
    let answer = world.call("helm::install", web(from)).await;
    assert_eq!(pick(&answer, &["chart", "stand_in"]), [&json!("web-0.1.0"), &json!(false)]);
    world.call("helm::repo_add", json!({ "name": "demo", "url": url })).await;
    world.call("helm::repo_update", json!({})).await;
    let pulled = world.call("helm::pull", json!({ "chart": "demo/web" })).await;
    assert_eq!(pulled["digest"], answer["digest"]);
    let rendered = world.call("helm::template", json!({ "name": "x", "chart": "demo/web" })).await;
    assert_eq!(rendered["objects"].as_array().unwrap().len(), 4);
    assert_eq!(rendered["definitions"].as_array().unwrap().len(), 1);
    let absent = json!({ "chart": "web", "repository": url, "version": "9.9.9" });
    assert_eq!(world.fails("helm::install", web(absent)).await.code, "A0403");
}

/// A chart repository: a folder over HTTP on loopback.
async fn serve(folder: PathBuf) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let file = move |axum::extract::Path(name): axum::extract::Path<String>| {
        let path = folder.join(name);
        async move { tokio::fs::read(path).await.map_err(|_| axum::http::StatusCode::NOT_FOUND) }
    };
    let router = axum::Router::new().route("/{name}", axum::routing::get(file));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn a_chart_comes_from_a_repository_with_helm_3() {
    a_chart_comes_from_a_repository(Tool::Three, "helm3").await;
}

#[tokio::test]
async fn a_chart_comes_from_a_repository_with_helm_4() {
    a_chart_comes_from_a_repository(Tool::Four, "helm4").await;
}

#[tokio::test]
async fn the_tests_of_a_chart_run_in_the_cluster() {
    for tool_ in [Tool::Three, Tool::Four] {
        let world = World::with(tool_).await;
        world.call("helm::install", web(json!({}))).await;
        let answer =
            world.call("helm::test", json!({ "name": "web", "namespace": "shop", "timeout": "60s" })).await;
        assert_eq!(pick(&answer, &["passed", "stand_in"]), [&json!(true), &json!(false)]);
    }
}

#[tokio::test]
async fn no_value_stands_on_a_command_line_or_stays_behind() {
    let folder = tempfile::tempdir().unwrap();
    let spy = folder.path().join("helm");
    let log = folder.path().join("seen");
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$*\" >> '{log}'\nfor word in \"$@\"; do case $word in --values=*|--kubeconfig=*) \
         stat -c '%a %n' \"${{word#*=}}\" >> '{log}';; esac; done\nexec '{helm}' \"$@\"\n",
        log = log.display(),
        helm = tool("helm3").display(),
    );
    std::fs::write(&spy, script).unwrap();
    std::process::Command::new("chmod").arg("+x").arg(&spy).status().unwrap();
    let mut world = World::with(Tool::Three).await;
    world.target.helm.binary = Some(spy);
    world.again();
    world.call("helm::install", web(json!({ "values": { "password": "correct-horse-battery" } }))).await;
    let seen = std::fs::read_to_string(&log).unwrap();
    assert!(seen.contains("upgrade web ") && !seen.contains("correct-horse-battery"), "{seen}");
    let files: Vec<&str> = seen.lines().filter(|line| line.starts_with("600 ")).collect();
    assert!(files.len() >= 2, "values and kubeconfig are private files: {seen}");
    for line in files {
        assert!(!Path::new(&line[4..]).exists(), "{line} was left behind");
    }
    for home in ["cache", "config", "data"] {
        assert!(world.folder.path().join("state/helm").join(home).is_dir());
    }
}

/// The process that is killed: it does what the last test before it asks for, and is no test by itself.
#[tokio::test]
#[ignore = "started by `a_release_survives_the_death_of_its_aegis`"]
async fn an_aegis_that_will_be_killed() {
    let state = std::env::var("AEGIS_TEST_WORLD").expect("started by the test that kills it");
    let (target, surroundings) = described(Path::new(&state), tool("helm3"));
    let slow = web(json!({ "values": { "image": "registry.example.com/web:bad" }, "timeout": "20s" }));
    let outcome = bench(&target, &surroundings).call("helm::install", slow).await;
    panic!("it was not killed: {outcome:?}");
}

/// kill -9 of aegis leaves its helm at work. The next call waits for that helm by the lock it inherited, and goes on
/// from whatever it left.
#[tokio::test]
async fn a_release_survives_the_death_of_its_aegis() {
    let world = World::with(Tool::Three).await;
    let mut doomed = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "an_aegis_that_will_be_killed", "--ignored", "--nocapture"])
        .env("AEGIS_TEST_WORLD", world.folder.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !world.exists("deployment/web").await {
        assert!(doomed.try_wait().unwrap().is_none(), "the doomed process ended too early");
    }
    doomed.kill().unwrap();
    doomed.wait().unwrap();
    assert_eq!(world.call("helm::status", release()).await["status"], "pending-install");
    let probe = world.bench.probe("helm::install", web(json!({})), None).await.unwrap();
    assert_eq!(probe, aegis_engine::function::Probe::DidNotHappen);
    let told = world.bench.progress.lock().unwrap().join("\n");
    assert!(told.contains("waiting for another helm process on `web` in `shop`"), "{told}");
    assert_eq!(world.call("helm::install", web(json!({}))).await["status"], "deployed");
}
