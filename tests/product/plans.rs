//! A plan changes nothing: every request of a plan comes by a proxy before the API, which counts the ones that
//! would change something. Two targets: the embedded one, where every component of the platform is planned
//! with stand-ins for its charts; and one by kubeconfig with the real helm and charts of our own, so that
//! helm's own requests are counted too.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::cluster::{Cluster, Proxy};
use crate::process::Project;

/// The charts of the components below, by the names that `stdlib/platform/` gives them.
const CHARTS: &[&str] = &[
    "argo-cd",
    "cloudnative-pg",
    "crd.projectcalico.org.v1",
    "gatekeeper",
    "kube-prometheus-stack",
    "longhorn",
    "metrics-server",
    "prometheus-operator-crds",
    "tigera-operator",
];

/// What can be planned on a real target without internet: the Gateway API is a manifest on a web server, which
/// cert-manager, the mesh and OpenBao need. The sandbox target plans those as well.
const REACHABLE: &str = "baseline,storage,metrics-server,monitoring,gatekeeper,argo-cd,cloudnative-pg";

/// What the full profile demands where passwords are not made up.
const SECRETS: &[&str] = &[
    "SLACK_WEBHOOK",
    "SMTP_PASSWORD",
    "GRAFANA_PASSWORD",
    "OPENBAO_UNSEAL_KEY",
    "S3_ACCESS_KEY",
    "S3_SECRET_KEY",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn examples() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "rhai")).collect();
    files.sort();
    assert!(files.len() >= 9, "the examples are missing");
    files
}

fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What a plan printed: effects, and lines of their diffs.
fn shown(plan: &Output) -> (usize, usize) {
    let text = String::from_utf8_lossy(&plan.stdout);
    let effects = text.lines().filter(|line| line.starts_with("~ ") || line.starts_with("- ")).count();
    let added = |line: &&str| line.starts_with("    +") || line.starts_with("    -");
    (effects, text.lines().filter(added).count())
}

/// Plans a runbook and demands that nothing was changed; answers requests, effects and lines of diffs.
fn planned(project: &Project, proxy: &Proxy, runbook: &Path, target: &str) -> (usize, usize, usize) {
    proxy.taken();
    let output = plan(project, runbook, target);
    assert!(output.status.success(), "plan {}: {}", runbook.display(), both(&output));
    let seen = proxy.taken();
    let changing: Vec<_> = seen.iter().filter(|request| request.mutates()).collect();
    let (effects, lines) = shown(&output);
    println!(
        "plan {} on {target}: {} requests, {} of them change something, {effects} effects, {lines} lines of diff",
        runbook.file_name().unwrap().display(),
        seen.len(),
        changing.len(),
    );
    assert!(changing.is_empty(), "plan {}: {changing:?}", runbook.display());
    (seen.len(), effects, lines)
}

fn plan(project: &Project, runbook: &Path, target: &str) -> Output {
    let root = root();
    let mut command = project.command(&["plan", runbook.to_str().unwrap(), "--target", target]);
    if target == "real" && runbook.ends_with("bootstrap.rhai") {
        command.args(["--param", &format!("components={REACHABLE}")]);
    }
    // The project is the test's own, whatever stands beside the runbook.
    command.args(["--project", project.path().to_str().unwrap()]).current_dir(root);
    for secret in SECRETS {
        command.env(format!("AEGIS_PARAM_{secret}"), "https://hooks.example.com/0123456789abcdef");
    }
    command.output().unwrap()
}

/// The proxy must be in the way and must see changes, else counting none means nothing.
fn the_proxy_sees_a_run(project: &Project, proxy: &Proxy, target: &str) {
    proxy.taken();
    let run = project.output(&["run", "book.rhai", "--target", target]);
    assert!(run.status.success(), "{}", both(&run));
    let changing = proxy.taken().iter().filter(|request| request.mutates()).count();
    println!("run book.rhai on {target}: {changing} requests change something");
    assert!(changing >= 1);
}

const NAMESPACE: &str = r#"
runbook(#{ title: "One namespace", needs: ["k8s:change"] });
k8s::apply(#{ apiVersion: "v1", kind: "Namespace", metadata: #{ name: "seen" } });
"#;

#[test]
fn plans_on_the_sandbox_change_nothing() {
    let project = Project::new(NAMESPACE);
    let cluster = Cluster::of(&project);
    let proxy = Proxy::before(&cluster);
    cluster.is_reached_through(&proxy);
    let (requests, effects, lines) =
        planned(&project, &proxy, &root().join("runbooks/bootstrap.rhai"), "sandbox");
    assert!(requests > 50 && effects > 30 && lines > 1000, "the plan of the platform is not whole");
    let mut total = (0, 0);
    for example in examples() {
        let (_, effects, lines) = planned(&project, &proxy, &example, "sandbox");
        total = (total.0 + effects, total.1 + lines);
    }
    assert!(total.0 >= 10 && total.1 >= 10, "the plans of the examples show nothing: {total:?}");
    the_proxy_sees_a_run(&project, &proxy, "sandbox");
}

#[test]
fn plans_on_a_kubeconfig_with_the_real_helm_change_nothing() {
    let project = Project::new(NAMESPACE);
    let cluster = Cluster::of(&project);
    let proxy = Proxy::before(&cluster);
    let server = format!("http://{}", proxy.address);
    std::fs::write(project.path().join("kubeconfig"), cluster.kubeconfig_with(&[("server", &server)]))
        .unwrap();
    charts(&project.path().join("charts"));
    let target = format!(
        "[targets.real]\nkubernetes.kubeconfig = \"kubeconfig\"\nhelm.binary = \"{}\"\nhelm.charts = \"charts\"\n\
         notify.ops = {{ type = \"file\", path = \"ops.jsonl\" }}\n",
        helm().display()
    );
    std::fs::write(project.path().join("aegis.toml"), target).unwrap();
    let (requests, effects, lines) =
        planned(&project, &proxy, &root().join("runbooks/bootstrap.rhai"), "real");
    assert!(requests > 50 && effects > 10 && lines > 300, "the plan of the platform is not whole");
    for example in examples() {
        planned(&project, &proxy, &example, "real");
    }
    the_proxy_sees_a_run(&project, &proxy, "real");
}

/// The real helm 3, which `scripts/test` puts into `.tools/`.
fn helm() -> PathBuf {
    let helm = root().join(".tools/bin/helm3");
    assert!(helm.exists(), "this test needs helm 3 in .tools/: run `just tools` (or .ci/tools helm3)");
    helm
}

/// A chart of one ConfigMap for each name: what the real ones hold is not on a machine without internet.
fn charts(folder: &Path) {
    for name in CHARTS {
        let chart = folder.join(name);
        std::fs::create_dir_all(chart.join("templates")).unwrap();
        let about = format!("apiVersion: v2\nname: {name}\nversion: 1.0.0\n");
        std::fs::write(chart.join("Chart.yaml"), about).unwrap();
        let object =
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata: { a: b }\n";
        std::fs::write(chart.join("templates/one.yaml"), object).unwrap();
    }
}
