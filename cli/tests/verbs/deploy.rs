//! What aegis is run with: the chart with real helm on the embedded cluster under its strictest Pod Security, and what a
//! supervisor is told.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::project::{Done, Project, finished};
use crate::sandbox::Up;
use crate::serving::Serving;

/// Long enough for any machine that is not broken.
const PATIENCE: Duration = Duration::from_secs(60);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn tool(project: &Project, name: &str, arguments: &[&str]) -> Done {
    let binary = root().join(".tools/bin").join(name);
    assert!(binary.exists(), "`.ci/tools {name}` installs what this test talks to");
    let mut command = Command::new(binary);
    command.args(arguments).env("KUBECONFIG", project.path("kubeconfig")).env("HOME", project.path("home"));
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    finished(command.spawn().unwrap())
}

const ACCESS: &str =
    r#"access={"shop":[{"apiGroups":["apps"],"resources":["deployments"],"verbs":["get","list"]}]}"#;

#[test]
fn the_chart_is_installed_by_real_helm_where_nothing_may_be_root() {
    let project = Project::new(&[("aegis.toml", "")]);
    let chart = root().join("deploy/chart").display().to_string();
    for helm in ["helm3", "helm4"] {
        tool(&project, helm, &["lint", "--strict", &chart]).ended(0);
        tool(&project, helm, &["template", "night", &chart, "--set-json", ACCESS]).ended(0);
        let secured =
            tool(&project, helm, &["template", "night", &chart, "--set", "tls.secret=cert"]).ended(0);
        for wanted in ["scheme: HTTPS", "mountPath: /tls", "secretName: cert", "prometheus.io/scheme: https"]
        {
            assert!(secured.out.contains(wanted), "{wanted}: {}", secured.out);
        }
    }
    let _up = Up::start(&project, "sandbox", &[]);
    let kubeconfig = project.aegis(&["sandbox", "kubeconfig"]).ended(0).out;
    project.write("kubeconfig", &kubeconfig);
    let kubectl = |arguments: &[&str]| tool(&project, "kubectl", arguments).ended(0);
    for namespace in ["night", "shop", "runs"] {
        kubectl(&["create", "namespace", namespace]);
    }
    kubectl(&["label", "namespace", "night", "pod-security.kubernetes.io/enforce=restricted"]);
    let files = r#"project.files={"aegis.toml":"","schedules.toml":"","runbooks__a.rhai":"runbook(#{ title: \"A\" });"}"#;
    let install = [
        "install",
        "night",
        &chart,
        "-n",
        "night",
        "--set-json",
        ACCESS,
        "--set-json",
        files,
        "--set-json",
        r#"jobs={"namespaces":["runs"]}"#,
        "--set",
        "lease.enabled=true",
        "--wait",
        "--timeout",
        "120s",
    ];
    tool(&project, "helm4", &install).ended(0);
    let read = |kind: &str, namespace: &str| -> Value {
        serde_json::from_str(&kubectl(&["get", kind, "night", "-n", namespace, "-o", "json"]).out).unwrap()
    };
    let set = read("statefulset", "night");
    assert_eq!((&set["status"]["readyReplicas"], &set["spec"]["replicas"]), (&1.into(), &1.into()), "{set}");
    let pod = &set["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    for wanted in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(container[wanted]["httpGet"]["path"], "/healthz", "{wanted}");
    }
    assert!(
        container["resources"]["requests"]["cpu"].is_string()
            && container["resources"]["limits"]["memory"].is_string()
    );
    assert_eq!(read("poddisruptionbudget", "night")["spec"]["maxUnavailable"], 1);
    assert_eq!(read("networkpolicy", "night")["spec"]["policyTypes"], serde_json::json!(["Ingress"]));
    // What was asked for, where it was asked for, and nothing else.
    assert_eq!(read("role", "shop")["rules"][0]["verbs"], serde_json::json!(["get", "list"]));
    let may = |verb: &str, what: &str| {
        let subject = "--as=system:serviceaccount:night:night";
        tool(&project, "kubectl", &["auth", "can-i", verb, what, "-n", "shop", subject]).out.trim().to_owned()
    };
    assert_eq!((may("list", "deployments").as_str(), may("delete", "deployments").as_str()), ("yes", "no"));
    assert_eq!(may("get", "secrets"), "no");
    // Its Lease (docs/several-engines.md), and no other.
    let may = |verb: &str, what: &str| {
        let subject = "--as=system:serviceaccount:night:night";
        tool(&project, "kubectl", &["auth", "can-i", verb, what, "-n", "night", subject])
            .out
            .trim()
            .to_owned()
    };
    let lease = "leases.coordination.k8s.io";
    for (verb, what, answer) in [
        ("create", lease, "yes"),
        ("patch", &format!("{lease}/aegis-scheduler"), "yes"),
        ("patch", &format!("{lease}/other"), "no"),
        ("delete", &format!("{lease}/aegis-scheduler"), "no"),
    ] {
        assert_eq!(may(verb, what), answer, "{verb} {what}");
    }
    // What an engine needs of Jobs (docs/jobs.md), where they are made.
    let may = |verb: &str, what: &str| {
        let subject = "--as=system:serviceaccount:night:night";
        let (what, part) = what.split_once('/').unwrap_or((what, ""));
        let part = format!("--subresource={part}");
        let asked = ["auth", "can-i", verb, what, &part, "-n", "runs", subject];
        tool(&project, "kubectl", &asked).out.trim().to_owned()
    };
    for (verb, what) in [
        ("create", "jobs.batch"),
        ("get", "jobs.batch"),
        ("list", "jobs.batch"),
        ("watch", "jobs.batch"),
        ("delete", "jobs.batch"),
        ("list", "pods"),
        ("watch", "pods"),
        ("get", "pods/log"),
        ("list", "events"),
    ] {
        assert_eq!(may(verb, what), "yes", "{verb} {what}");
    }
    for (verb, what) in [("get", "secrets"), ("create", "pods"), ("delete", "pods"), ("patch", "jobs.batch")]
    {
        assert_eq!(may(verb, what), "no", "{verb} {what}");
    }
    tool(&project, "helm4", &["uninstall", "night", "-n", "night"]).ended(0);
}

#[test]
fn a_supervisor_is_told_that_it_serves_lives_and_stops() {
    let project = Project::new(&[("aegis.toml", ""), ("schedules.toml", "")]);
    let path = project.path("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let serving = Serving::listening(
        &project,
        &[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "200000")],
    );
    let mut told = Vec::new();
    let mut next = || {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        told.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        told.last().cloned().unwrap()
    };
    while next() != "READY=1" {}
    while next() != "WATCHDOG=1" {}
    while next() != "WATCHDOG=1" {}
    serving.stop();
    while next() != "STOPPING=1" {}
}

#[test]
fn the_unit_says_what_the_binary_tells() {
    let unit = std::fs::read_to_string(root().join("deploy/systemd/aegis.service")).unwrap();
    for line in [
        "Type=notify",
        "WatchdogSec=60s",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "KillSignal=SIGTERM",
    ] {
        assert!(unit.lines().any(|written| written == line), "{line}");
    }
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/aegis ")).unwrap();
    let project = Project::new(&[]);
    let help: Vec<&str> = start.split(' ').chain(["--help"]).collect();
    project.aegis(&help).ended(0);
    // systemd itself reads it, where it is.
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(root().join("deploy/systemd/aegis.service"))
        .output();
    if let Ok(verified) = verified {
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        assert!(!said.contains("Unknown") && !said.contains("Failed to parse"), "{said}");
    }
}

#[test]
fn the_image_runs_as_nobody_without_a_shell() {
    let file = std::fs::read_to_string(root().join("deploy/Containerfile")).unwrap();
    let (_, last) = file.rsplit_once("\nFROM ").unwrap();
    assert!(last.starts_with("gcr.io/distroless/") && last.contains("\nUSER 65532:65532\n"), "{last}");
    assert!(last.contains("ENTRYPOINT [\"/usr/bin/aegis\"]") && !last.contains("\nRUN "), "{last}");
    assert!(file.contains("cargo build --release --locked"), "{file}");
    let command = last.lines().find_map(|line| line.strip_prefix("CMD ")).unwrap();
    let command: Vec<String> = serde_json::from_str(command).unwrap();
    let arguments: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
    Project::new(&[]).aegis(&arguments).ended(0);
}
