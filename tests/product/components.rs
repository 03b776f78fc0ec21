//! The life of the platform on the embedded cluster, by the runbooks people use: bootstrap, verify, upgrade, backup,
//! restore; then every component is removed alone, before what it needs, until nothing is left of any.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cluster::Cluster;
use crate::process::Project;

/// Everything in the cluster by kind, namespace and name, but for what lives by itself.
const INVENTORY: &str = r#"
runbook(#{ title: "Inventory", needs: ["k8s:read", "storage:change"] });
let passing = ["Event", "EndpointSlice", "Endpoints", "Lease", "Pod", "Node", "ControllerRevision", "IPAddress"];
let names = [];
for kind in k8s::api_resources() {
    if !("list" in kind.verbs) || kind.kind in passing { continue; }
    let target = if kind.group == "" { kind.name } else { `${kind.name}.${kind.group}` };
    // Published to every namespace by and by; revisions of releases are counted elsewhere.
    let passing_names = ["kube-root-ca.crt", "istio-ca-root-cert"];
    for object in k8s::list(target, #{ all_namespaces: kind.namespaced }) {
        let name = object.metadata.name;
        if name in passing_names || name.starts_with("sh.helm.release.v1.") { continue; }
        names.push(`${kind.kind}.${kind.group} ${object.metadata.namespace ?? ""}/${object.metadata.name}`);
    }
}
storage::put("file:///inventory.json", text::render_json(names));
"#;

/// Every component, in the order in which they can be removed one by one.
const COMPONENTS: [&str; 15] = [
    "strimzi",
    "cloudnative-pg",
    "openbao",
    "monitoring",
    "istio",
    "argo-cd",
    "gatekeeper",
    "cert-manager",
    "metrics-server",
    "velero",
    "storage",
    "prometheus-crds",
    "gateway-api",
    "calico",
    "baseline",
];

/// Those that hold data.
const WITH_DATA: [&str; 4] = ["strimzi", "cloudnative-pg", "openbao", "velero"];

fn runbook(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(format!("runbooks/{name}.rhai"))
}

/// Runs one of the platform's runbooks and answers its report.
fn run(project: &Project, name: &str, parameters: &[&str]) -> Value {
    let file = runbook(name);
    let mut command = project.command(&["run", file.to_str().unwrap()]);
    command.args(["--project", project.path().to_str().unwrap()]);
    for parameter in parameters {
        command.args(["--param", parameter]);
    }
    let output = command.output().unwrap();
    let told =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    assert!(output.status.success(), "{name} {parameters:?}: {told}");
    project.show()
}

fn inventory(project: &Project) -> BTreeSet<String> {
    let output = project.output(&["run", "book.rhai"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(project.path().join("inventory.json")).unwrap();
    let all: BTreeSet<String> = serde_json::from_str(&text).unwrap();
    // A controller makes these in every namespace, in its own time; the namespaces themselves are counted.
    let by_controller = |name: &String| name.starts_with("ServiceAccount. ") && name.ends_with("/default");
    all.into_iter().filter(|name| !by_controller(name)).collect()
}

/// The rows of a report's table.
fn rows(report: &Value) -> Vec<Vec<String>> {
    let tables = report["report"]["tables"].as_array().unwrap();
    let cells =
        |row: &Value| row.as_array().unwrap().iter().map(|cell| cell.as_str().unwrap().to_owned()).collect();
    tables[0]["rows"].as_array().unwrap().iter().map(cells).collect()
}

#[test]
fn every_component_is_installed_verified_upgraded_backed_up_restored_and_removed() {
    let project = Project::new(INVENTORY);
    let _cluster = Cluster::of(&project);
    let before = inventory(&project);

    let installed = rows(&run(&project, "bootstrap", &[]));
    let ids: BTreeSet<&str> = installed.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(ids, BTreeSet::from(COMPONENTS), "this test must know every component");
    assert_eq!(rows(&run(&project, "verify", &[])).len(), COMPONENTS.len());

    let upgraded = rows(&run(&project, "upgrade", &[]));
    for row in &upgraded {
        let (passed, total) = row[4].split_once('/').unwrap();
        assert_eq!(passed, total, "{row:?}");
    }
    assert_eq!(upgraded.len(), COMPONENTS.len());

    let backups = rows(&run(&project, "backup", &[]));
    assert_eq!(backups.iter().map(|row| row[0].as_str()).collect::<BTreeSet<_>>(), BTreeSet::from(WITH_DATA));
    for row in &backups {
        let (component, backup) = (format!("component={}", row[0]), format!("backup={}", row[1]));
        run(&project, "restore", &[&component, &backup]);
    }

    for id in COMPONENTS {
        let removed = rows(&run(&project, "remove", &[&format!("components={id}"), "purge=true"]));
        assert_eq!(removed, [[id, ""]], "something stays");
    }
    let after = inventory(&project);
    let left: Vec<_> = after.difference(&before).collect();
    let missing: Vec<_> = before.difference(&after).collect();
    assert!(left.is_empty() && missing.is_empty(), "left: {left:#?}\nmissing: {missing:#?}");
}

#[test]
fn a_component_that_others_need_stays_and_one_that_is_removed_comes_back_with_its_data() {
    let project = Project::new(INVENTORY);
    let _cluster = Cluster::of(&project);
    run(&project, "bootstrap", &["components=cert-manager"]);
    let all = inventory(&project);
    let remove = runbook("remove");
    let folder = project.path().to_str().unwrap();
    let refused = project.output(&[
        "run",
        remove.to_str().unwrap(),
        "--project",
        folder,
        "--param",
        "components=calico",
    ]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("needs [\"calico\"]"), "{told}");

    run(&project, "remove", &["components=cert-manager"]);
    let without = inventory(&project);
    assert!(!without.contains("Deployment.apps cert-manager/cert-manager"));
    for stays in ["Namespace. /cert-manager", "Secret. cert-manager/platform-ca"] {
        assert!(without.contains(stays), "{stays}");
    }
    run(&project, "bootstrap", &["components=cert-manager"]);
    assert_eq!(inventory(&project), all);
}
