//! The embedded cluster as people use it: faults, several clusters, how it looks, who reaches whom.

use serde_json::Value;

use crate::project::Project;

/// A cluster in the background, ended with the test.
pub(crate) struct Up<'a>(&'a Project, &'a str);

impl<'a> Up<'a> {
    pub(crate) fn start(project: &'a Project, target: &'a str, more: &[&str]) -> Self {
        let arguments: Vec<&str> =
            ["sandbox", "up", "--target", target].iter().chain(more).copied().collect();
        project.aegis(&arguments).ended(0);
        Self(project, target)
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        self.0.aegis(&["sandbox", "down", "--target", self.1]);
    }
}

fn faults(project: &Project) -> Vec<String> {
    let faults = project.aegis(&["sandbox", "fault", "ls", "--output", "json"]).ended(0).json();
    let faults = faults[0].as_array().cloned().unwrap_or_default();
    faults.iter().map(|fault| fault["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_fault_is_seen_by_every_process_until_it_is_cleared() {
    let project = Project::new(&[]);
    let _up = Up::start(&project, "sandbox", &[]);
    let added =
        project.aegis(&["sandbox", "fault", "add", "node-kill", "zone=seoul-a", "--name", "dark"]).ended(0);
    assert_eq!(added.out, "dark\n");
    assert_eq!(faults(&project), ["dark"]);
    let status = project.aegis(&["sandbox", "status"]).ended(0).out;
    assert!(status.contains("worker-1 (") && status.contains("node-kill: zone seoul-a"), "{status}");
    let wrong = project.aegis(&["sandbox", "fault", "add", "node-kil"]).ended(2);
    assert!(wrong.talk.contains("did you mean `node-kill`?"), "{}", wrong.talk);
    let wrong = project.aegis(&["sandbox", "fault", "add", "node-kill"]);
    assert!(wrong.exit != 0 && wrong.talk.contains("node-kill needs node or zone"), "{}", wrong.talk);
    project.aegis(&["sandbox", "fault", "clear", "--all"]).ended(0);
    assert!(faults(&project).is_empty());
}

#[test]
fn a_runbook_breaks_things_and_undo_makes_them_whole() {
    let broken = "
runbook(#{ title: \"Drill\", needs: [\"sandbox:change\"] });
step(\"drill\", #{ on_failure: \"undo\" }, || {
    sandbox::fault(\"unready\", #{ selector: \"app=web\" });
    let fault = sandbox::fault(\"node-freeze\", #{ name: \"ice\", node: \"worker-1\", lasts: \"10m\" });
    if fault.spec.node != \"worker-1\" || sandbox::faults().len() != 2 { throw \"no faults\"; }
    sandbox::clear(\"ice\");
    throw \"the drill is over\";
});
";
    let project = Project::new(&[("runbooks/drill.rhai", broken)]);
    let plan = project.aegis(&["plan", "runbooks/drill.rhai"]);
    assert!(
        format!("{}{}", plan.out, plan.talk).contains("break on purpose: unready (selector app=web)"),
        "{plan:?}"
    );
    let run = project.aegis(&["run", "runbooks/drill.rhai"]).ended(1);
    assert!(run.talk.contains("the drill is over"), "{}", run.talk);
    assert!(faults(&project).is_empty(), "{}", run.talk);
}

const LEANS_ON_A_WEBHOOK: &str = r#"
runbook(#{ title: "Leans on a webhook", needs: ["k8s:change", "sandbox:read"] });
import "std/rehearsal" as rehearsal;
k8s::apply(#{
    apiVersion: "v1", kind: "Service", metadata: #{ name: "nobody", namespace: "default" },
    spec: #{ selector: #{ app: "nobody" }, ports: [#{ port: 443 }] },
});
k8s::apply(#{
    apiVersion: "admissionregistration.k8s.io/v1", kind: "ValidatingWebhookConfiguration",
    metadata: #{ name: "gate" },
    webhooks: [#{
        name: "maps.gate.test", admissionReviewVersions: ["v1"], sideEffects: "None",
        clientConfig: #{ service: #{ namespace: "default", name: "nobody" } },
        rules: [#{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["configmaps"] }],
        // Controllers make some, too.
        objectSelector: #{ matchLabels: #{ checked: "yes" } },
    }],
});
k8s::create(#{ apiVersion: "v1", kind: "ConfigMap",
    metadata: #{ name: "settings", namespace: "default", labels: #{ checked: "yes" } } });
rehearsal::reported();
"#;

#[test]
fn a_report_names_the_webhooks_that_were_taken_to_allow() {
    let project = Project::new(&[("lean.rhai", LEANS_ON_A_WEBHOOK)]);
    let run = project.aegis(&["run", "lean.rhai"]).ended(0);
    let told = run.talk.lines().chain(run.out.lines()).find(|line| line.contains("maps.gate.test"));
    let told = told.unwrap_or_else(|| panic!("{}\n{}", run.talk, run.out));
    assert!(
        told.contains("validatingwebhookconfigurations/gate/maps.gate.test") && told.ends_with('1'),
        "{told}"
    );
}

#[test]
fn nothing_is_broken_on_purpose_where_people_work() {
    let project = Project::new(&[
        ("aegis.toml", "[targets.prod]\nkubernetes.kubeconfig = \"none\"\n"),
        (
            "runbooks/a.rhai",
            "runbook(#{ title: \"A\", needs: [\"sandbox:change\"] });\nsandbox::fault(\"storage\");\n",
        ),
    ]);
    let run = project.aegis(&["run", "runbooks/a.rhai", "--target", "prod"]);
    assert!(run.exit != 0 && run.talk.contains("target `prod` is no sandbox"), "{}", run.talk);
    let fault = project.aegis(&["sandbox", "fault", "ls", "--target", "prod"]);
    assert!(fault.exit != 0 && fault.talk.contains("target `prod` is no sandbox"), "{}", fault.talk);
}

#[test]
fn clusters_by_name_are_apart_and_where_they_are_told_to_be() {
    let toml = "[sandbox.clusters.tokyo]\nworkers = 2\nregion = \"japan\"\nzones = [\"tokyo-1\"]\n";
    let make = "
runbook(#{ title: \"Make\", needs: [\"k8s:change\"] });
k8s::apply(#{ apiVersion: \"v1\", kind: \"Namespace\", metadata: #{ name: \"shop\" } });
";
    let project = Project::new(&[("aegis.toml", toml), ("runbooks/make.rhai", make)]);
    let status = |target: &str| -> Value {
        project.aegis(&["sandbox", "status", "--target", target, "--output", "json"]).ended(0).json()[0]
            .clone()
    };
    project.aegis(&["run", "runbooks/make.rhai", "--target", "sandbox:tokyo"]).ended(0);
    let _seoul = Up::start(
        &project,
        "sandbox:seoul",
        &["--workers", "1", "--zones", "a,b", "--node-version", "v1.35.0"],
    );
    let _tokyo = Up::start(&project, "sandbox:tokyo", &[]);
    let (seoul, tokyo) = (status("sandbox:seoul"), status("sandbox:tokyo"));
    assert_ne!(seoul["endpoint"], tokyo["endpoint"]);
    let zone = |status: &Value, index: usize| status["cluster"]["zones"][index].clone();
    assert_eq!((&zone(&seoul, 0)["region"], &zone(&seoul, 1)["zone"]), (&"seoul".into(), &"b".into()));
    assert_eq!(
        (&zone(&tokyo, 0)["region"], zone(&tokyo, 0)["nodes"].as_array().unwrap().len()),
        (&"japan".into(), 5)
    );
    let wrong = project.aegis(&["sandbox", "status", "--target", "sandbox:Tokyo"]);
    assert!(wrong.exit != 0 && wrong.talk.contains("there is no target `sandbox:Tokyo`"), "{}", wrong.talk);
    let wrong = project.aegis(&["sandbox", "up", "--topology", "none.toml"]);
    assert!(wrong.exit != 0 && wrong.talk.contains("`none.toml` is no topology"), "{}", wrong.talk);
}

#[test]
fn a_kubeconfig_is_yaml_for_kubectl_and_json_for_programs() {
    let project = Project::new(&[]);
    let text = project.aegis(&["sandbox", "kubeconfig"]).ended(0).out;
    assert!(text.contains("current-context: sandbox"), "{text}");
    let json = project.aegis(&["sandbox", "kubeconfig", "--output", "json"]).ended(0).json();
    assert_eq!((json.len(), &json[0]["current-context"]), (1, &serde_json::json!("sandbox")));
}

#[test]
fn a_target_that_is_not_there_is_a_mistake_on_the_command_line() {
    let project = Project::new(&[("runbooks/a.rhai", "runbook(#{ title: \"A\" });\n")]);
    let unknown = project.aegis(&["run", "runbooks/a.rhai", "--target", "sandbx"]).ended(2);
    assert!(unknown.talk.contains("error[A0312]: there is no target `sandbx`"), "{}", unknown.talk);
    assert!(unknown.talk.contains("did you mean `sandbox`?"), "{}", unknown.talk);
}

#[test]
fn reach_says_which_policy_lets_whom_in() {
    let pods = "
runbook(#{ title: \"Pods\", needs: [\"k8s:change\"] });
for name in [\"web\", \"db\"] {
    k8s::apply(#{ apiVersion: \"v1\", kind: \"Pod\", metadata: #{ name: name, namespace: \"default\", labels: #{ app: name } },
        spec: #{ containers: [#{ name: \"main\", image: \"a\" }] } });
}
k8s::apply(#{ apiVersion: \"networking.k8s.io/v1\", kind: \"NetworkPolicy\", metadata: #{ name: \"db\", namespace: \"default\" },
    spec: #{ podSelector: #{ matchLabels: #{ app: \"db\" } },
        ingress: [#{ from: [#{ podSelector: #{ matchLabels: #{ app: \"web\" } } }], ports: [#{ port: 5432 }] }] } });
";
    let project = Project::new(&[("runbooks/pods.rhai", pods)]);
    project.aegis(&["run", "runbooks/pods.rhai"]).ended(0);
    let yes = project.aegis(&["sandbox", "reach", "web", "db:5432"]).ended(0).out;
    assert!(yes.starts_with("yes: default/web -> default/db:5432"), "{yes}");
    let no = project.aegis(&["sandbox", "reach", "web", "db:80"]).ended(7).out;
    assert!(no.starts_with("no: ") && no.contains("(`db`)"), "{no}");
    let wrong = project.aegis(&["sandbox", "reach", "web", "db"]);
    assert!(wrong.exit != 0 && wrong.talk.contains("names no port"), "{}", wrong.talk);
}
