//! The real command line tools against the sandbox.
//!
//! They are looked for on `PATH` and in `.tools/bin`, where `.ci/tools` puts them. A machine without them cannot
//! run these tests and says so; in CI that is a failure.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Cluster;

/// The path of a tool; none (said aloud) when it is missing outside of CI.
pub(crate) fn find(tool: &str) -> Option<PathBuf> {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(tool));
    // `.ci/tools` fetches two versions of helm. What it fetched counts first: its version is known.
    let mut known = [fetched.join(tool), fetched.join(format!("{tool}3"))].into_iter().chain(on_path);
    let found = known.find(|path| path.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "`{tool}` is not installed: run .ci/tools");
        eprintln!("NOT TESTED: `{tool}` is not installed: run .ci/tools");
    }
    found
}

/// Every kubectl there is: the oldest and the newest that must work.
pub(crate) fn kubectls() -> Vec<PathBuf> {
    ["kubectl-1.28", "kubectl"].into_iter().filter_map(find).collect()
}

/// Runs a tool in a cluster; answers what it printed, and fails when it fails.
pub(crate) fn run(tool: &Path, cluster: &Cluster, arguments: &str, input: &str) -> String {
    let (success, out, err) = attempt(tool, cluster, arguments, input);
    assert!(success, "{} {arguments}\n{out}{err}", tool.display());
    out
}

/// Runs a tool in a cluster; answers whether it worked, what it printed and what it said. Words in single
/// quotes stay together.
pub(crate) fn attempt(
    tool: &Path,
    cluster: &Cluster,
    arguments: &str,
    input: &str,
) -> (bool, String, String) {
    use std::io::Write;
    let mut child = command(tool, cluster, arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

/// A tool that is to be run in a cluster.
pub(crate) fn command(tool: &Path, cluster: &Cluster, arguments: &str) -> Command {
    let home = cluster.directory.path();
    // Every second part is quoted.
    let words = arguments.split('\'').enumerate().flat_map(|(index, part)| match index % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    let mut command = Command::new(tool);
    command
        .args(words)
        .env("KUBECONFIG", cluster.kubeconfig())
        .env("HOME", home)
        .env("HELM_CACHE_HOME", home.join("helm"))
        .env("HELM_CONFIG_HOME", home.join("helm"))
        .env("HELM_DATA_HOME", home.join("helm"));
    command
}

const WEB: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: nginx:1.27, ports: [{containerPort: 80}]}
";

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_does_its_everyday_work() {
    let Some(kubectl) = find("kubectl") else { return };
    let cluster = Cluster::start().await;
    let kubectl = |arguments: &str, input: &str| run(&kubectl, &cluster, arguments, input);
    assert_eq!(kubectl("apply -f -", WEB), "deployment.apps/web created\n");
    assert_eq!(kubectl("apply -f -", WEB), "deployment.apps/web unchanged\n");
    assert_eq!(kubectl("apply --server-side -f -", WEB), "deployment.apps/web serverside-applied\n");
    kubectl("rollout status deployment/web --timeout=60s", "");
    let replicas = "get deployment web -o jsonpath={.status.readyReplicas}";
    assert_eq!(kubectl(replicas, ""), "2");
    let columns: Vec<String> =
        kubectl("get pods", "").lines().next().unwrap().split_whitespace().map(str::to_owned).collect();
    assert_eq!(columns, ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]);
    assert_eq!(kubectl("scale deployment/web --replicas=3", ""), "deployment.apps/web scaled\n");
    kubectl("wait deployment/web --for=jsonpath={.status.readyReplicas}=3 --timeout=60s", "");
    kubectl("label deployment web tier=front", "");
    kubectl("annotate deployment web note=x", "");
    kubectl("patch deployment web -p {\"spec\":{\"replicas\":1}}", "");
    kubectl("set image deployment/web web=nginx:1.28", "");
    kubectl("rollout status deployment/web --timeout=60s", "");
    assert!(kubectl("describe deployment web", "").contains("nginx:1.28"));
    assert!(kubectl("explain deployment.spec.replicas", "").contains("Number of desired pods"));
    assert!(kubectl("api-resources", "").contains("poddisruptionbudgets"));
    assert_eq!(kubectl("create namespace shop", ""), "namespace/shop created\n");
    kubectl("create configmap settings --from-literal=a=b -n shop", "");
    kubectl("create secret generic password --from-literal=a=b -n shop", "");
    assert_eq!(kubectl("get secret password -n shop -o jsonpath={.data.a}", ""), "Yg==");
    assert_eq!(kubectl("auth can-i delete nodes", ""), "yes\n");
    assert_eq!(kubectl("delete deployment web --timeout=60s", ""), "deployment.apps \"web\" deleted\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_installs_upgrades_rolls_back_and_uninstalls() {
    let Some(helm) = find("helm") else { return };
    let cluster = Cluster::start().await;
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/chart");
    let chart = chart.display();
    let helm = |arguments: String| run(&helm, &cluster, &arguments, "");
    helm(format!("install lamp {chart} --namespace lamps --create-namespace --wait --timeout 90s"));
    let status = helm("status lamp --namespace lamps".into());
    assert!(status.contains("STATUS: deployed") && status.contains("REVISION: 1"), "{status}");
    helm(format!("upgrade lamp {chart} --namespace lamps --set replicas=3 --wait --timeout 90s"));
    helm("rollback lamp 1 --namespace lamps --wait --timeout 90s".into());
    let history = helm("history lamp --namespace lamps".into());
    assert_eq!(history.lines().count(), 4, "{history}");
    helm("uninstall lamp --namespace lamps --wait --timeout 90s".into());
    assert!(!helm("list --namespace lamps --short".into()).contains("lamp"));
}
