//! What webhooks are asked besides everyday writes: deletions, ways into pods, other versions of a kind; when they are
//! asked again or not at all; and how it is told who was not really asked.

use aegis_sandbox::Options;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{Webhook, configure};
use crate::tools::{find, run};
use crate::{Cluster, config_map, config_maps, refusal};

fn allow(_: &Value) -> Value {
    json!({"allowed": true})
}

fn rules(operations: &[&str], group: &str, versions: &[&str], resources: &[&str]) -> Value {
    json!([{"apiGroups": [group], "apiVersions": versions, "operations": operations, "resources": resources}])
}

async fn post(cluster: &Cluster, path: &str, object: Value) -> Value {
    let (code, answer) = cluster.sandbox.ask("POST", path, Some(&object)).await.unwrap();
    assert_eq!(code, 201, "{answer}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_are_asked_about_one_by_one_and_nothing_goes_when_one_is_refused() {
    let cluster = Cluster::start().await;
    let maps = config_maps(&cluster.client().await);
    let mut guard = Webhook::start("localhost", |request| {
        let kept = request["oldObject"]["metadata"]["labels"]["keep"] == "yes";
        json!({"allowed": !kept, "status": {"code": 403, "message": "it is kept"}})
    })
    .await;
    let more = json!({"rules": rules(&["DELETE"], "", &["v1"], &["configmaps"])});
    configure(&cluster, "Validating", guard.url(), more).await;
    for name in ["a", "b", "kept"] {
        let mut map = config_map(name, "1");
        map.metadata.labels =
            Some([("keep".to_owned(), if name == "kept" { "yes" } else { "no" }.to_owned())].into());
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    assert!(guard.take_asked().is_empty(), "nobody asked about new objects");
    let own = ListParams::default().labels("keep");
    assert_eq!(refusal(maps.delete_collection(&DeleteParams::default(), &own).await).0, 403);
    assert_eq!(maps.list(&own).await.unwrap().items.len(), 3);
    assert_eq!(refusal(maps.delete("kept", &DeleteParams::default()).await).0, 403);
    guard.take_asked();
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let asked = guard.take_asked().remove(0);
    assert_eq!((&asked["operation"], &asked["name"]), (&json!("DELETE"), &json!("a")));
    assert_eq!((&asked["object"], &asked["oldObject"]["metadata"]["name"]), (&Value::Null, &json!("a")));
    assert_eq!(asked["options"]["kind"], "DeleteOptions");
    // A rehearsed deletion is asked about, and told to be one.
    let rehearsed = DeleteParams { dry_run: true, ..DeleteParams::default() };
    maps.delete("b", &rehearsed).await.unwrap();
    assert_eq!(guard.take_asked().remove(0)["dryRun"], true);
    maps.delete_collection(&DeleteParams::default(), &ListParams::default().labels("keep=no")).await.unwrap();
    assert_eq!(maps.list(&own).await.unwrap().items.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ways_into_a_pod_and_what_its_subresources_are_sent_are_asked_about() {
    let cluster = Cluster::with(Options { allow_processes: true, ..Options::default() }).await;
    let mut guard = Webhook::start("localhost", |request| {
        json!({"allowed": request["operation"] != "CONNECT", "status": {"code": 403, "message": "stay out"}})
    })
    .await;
    let resources = ["pods/exec", "pods/eviction", "deployments/scale"];
    let mut all = rules(&["CONNECT", "CREATE", "UPDATE"], "*", &["*"], &resources);
    all[0]["scope"] = "Namespaced".into();
    configure(&cluster, "Validating", guard.url(), json!({"rules": all})).await;
    let pod =
        json!({"metadata": {"name": "shell"}, "spec": {"containers": [{"name": "main", "image": "a"}]}});
    post(&cluster, "/api/v1/namespaces/default/pods", pod).await;
    let exec = "/api/v1/namespaces/default/pods/shell/exec?command=ls&command=-l&stdout=true";
    let (code, answer) = cluster.sandbox.ask("GET", exec, None).await.unwrap();
    let message = "admission webhook \"guard.example.com\" denied the request: stay out";
    assert_eq!((code, &answer["message"]), (403, &json!(message)));
    let asked = guard.take_asked().remove(0);
    assert_eq!(asked["object"]["kind"], "PodExecOptions");
    assert_eq!(asked["object"]["command"], json!(["ls", "-l"]));
    assert_eq!((&asked["subResource"], &asked["name"]), (&json!("exec"), &json!("shell")));
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "shell"}});
    post(&cluster, "/api/v1/namespaces/default/pods/shell/eviction", eviction).await;
    assert_eq!(
        guard.take_asked().remove(0)["kind"],
        json!({"group": "policy", "version": "v1", "kind": "Eviction"})
    );
    let web = json!({"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {
        "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "a"}]}}}});
    post(&cluster, "/apis/apps/v1/namespaces/default/deployments", web).await;
    let scale = json!({"spec": {"replicas": 3}, "metadata": {"name": "web", "namespace": "default"}});
    let path = "/apis/apps/v1/namespaces/default/deployments/web/scale";
    assert_eq!(cluster.sandbox.ask("PUT", path, Some(&scale)).await.unwrap().0, 200);
    let asked = guard.take_asked().remove(0);
    assert_eq!(asked["kind"]["kind"], "Scale");
    assert_eq!(
        (&asked["object"]["spec"]["replicas"], &asked["oldObject"]["spec"]["replicas"]),
        (&json!(3), &json!(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_about_one_version_of_a_kind_is_about_all_unless_it_says_exact() {
    let cluster = Cluster::start().await;
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let version = |name: &str, storage: bool| json!({"name": name, "served": true, "storage": storage, "schema": schema});
    let definition = json!({"metadata": {"name": "lamps.example.com"}, "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"plural": "lamps", "kind": "Lamp"},
        "versions": [version("v1", true), version("v1beta1", false)]}});
    post(&cluster, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition).await;
    let mut equivalent = Webhook::start("localhost", |request| {
        assert_eq!(request["object"]["apiVersion"], "example.com/v1beta1");
        let patch = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            r#"[{"op": "add", "path": "/seen", "value": "yes"}]"#,
        );
        json!({"allowed": true, "patchType": "JSONPatch", "patch": patch})
    })
    .await;
    let mut exact = Webhook::start("localhost", allow).await;
    let old = rules(&["CREATE"], "example.com", &["v1beta1"], &["lamps"]);
    configure(&cluster, "Mutating", equivalent.url(), json!({"rules": old})).await;
    configure(&cluster, "Validating", exact.url(), json!({"rules": old, "matchPolicy": "Exact"})).await;
    let lamp = json!({"metadata": {"name": "hall"}});
    let made = post(&cluster, "/apis/example.com/v1/namespaces/default/lamps", lamp).await;
    assert_eq!((&made["apiVersion"], &made["seen"]), (&json!("example.com/v1"), &json!("yes")));
    let asked = equivalent.take_asked().remove(0);
    assert_eq!(
        (&asked["kind"]["version"], &asked["requestKind"]["version"]),
        (&json!("v1beta1"), &json!("v1"))
    );
    assert!(exact.take_asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_and_selectors_narrow_down_what_is_asked() {
    let cluster = Cluster::start().await;
    let maps = config_maps(&cluster.client().await);
    let mut guard = Webhook::start("localhost", allow).await;
    let more = json!({
        "objectSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]},
        "matchConditions": [
            {"name": "not-from-the-kitchen", "expression": "!('kitchen' in object.data)"},
            {"name": "written-by-people", "expression": "!request.userInfo.username.startsWith('system:')"},
        ],
    });
    configure(&cluster, "Validating", guard.url(), more).await;
    let labelled = |name: &str| {
        let mut map = config_map(name, "1");
        map.metadata.labels = Some([("app".to_owned(), "x".to_owned())].into());
        map
    };
    let mut kitchen = labelled("kitchen");
    kitchen.data = Some([("kitchen".to_owned(), String::new())].into());
    for map in [config_map("plain", "1"), kitchen, labelled("asked")] {
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    let names: Vec<_> = guard.take_asked().into_iter().map(|asked| asked["name"].clone()).collect();
    assert_eq!(names, ["asked"]);
    // Whose label is taken away was selected before.
    let unlabelled = Patch::Merge(json!({"metadata": {"labels": null}}));
    maps.patch("asked", &PatchParams::default(), &unlabelled).await.unwrap();
    assert_eq!(guard.take_asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_wants_to_is_asked_again_when_a_later_one_changed_the_object() {
    let cluster = Cluster::start().await;
    let maps = config_maps(&cluster.client().await);
    fn adding(request: &Value, label: &str) -> Value {
        let labels = &request["object"]["metadata"]["labels"];
        let patch = match labels.is_object() {
            true => json!([{"op": "add", "path": format!("/metadata/labels/{label}"), "value": "yes"}]),
            false => json!([{"op": "add", "path": "/metadata/labels", "value": {label: "yes"}}]),
        };
        let patch = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, patch.to_string());
        json!({"allowed": true, "patchType": "JSONPatch", "patch": patch})
    }
    let mut first = Webhook::start("localhost", |request| adding(request, "first")).await;
    let mut second = Webhook::start("localhost", |request| adding(request, "second")).await;
    let webhook = |name: &str, config: Value, policy: &str| {
        json!({
            "name": format!("{name}.example.com"), "clientConfig": config, "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "reinvocationPolicy": policy,
            "rules": rules(&["CREATE"], "", &["v1"], &["configmaps"]),
        })
    };
    let configuration = json!({"metadata": {"name": "both"}, "webhooks": [
        webhook("first", first.url(), "IfNeeded"), webhook("second", second.url(), "Never")]});
    post(&cluster, "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", configuration)
        .await;
    let made = maps.create(&PostParams::default(), &config_map("a", "1")).await.unwrap();
    assert_eq!(made.metadata.labels.unwrap().len(), 2);
    // The cluster writes ConfigMaps of its own, and is asked about them as well.
    let about_it = |mut asked: Vec<Value>| {
        asked.retain(|asked| asked["name"] == "a");
        asked
    };
    let (seen, later) = (about_it(first.take_asked()), about_it(second.take_asked()));
    assert_eq!((seen.len(), later.len()), (2, 1));
    assert_eq!(seen[1]["object"]["metadata"]["labels"]["second"], "yes");
}

/// A webhook as a program of its own: it keeps no ConfigMap whose name is `bad`.
const PROGRAM: &str = r#"
import http.server, json, ssl, sys
class Guard(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["content-length"])))
        asked = review["request"]
        allowed = asked["name"] != "bad"
        answer = {"uid": asked["uid"], "allowed": allowed, "status": {"code": 403, "message": "said the program"}}
        body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
server = http.server.HTTPServer(("127.0.0.1", 0), Guard)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1] + "/tls.crt", sys.argv[1] + "/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_program_behind_a_service_is_asked_and_simulated_pods_are_told_to_have_agreed() {
    let cluster = Cluster::with(Options { allow_processes: true, ..Options::default() }).await;
    let Some(kubectl) = find("kubectl") else { return };
    let certified = rcgen::generate_simple_self_signed(vec!["guard.default.svc".to_owned()]).unwrap();
    let folder = cluster.directory.path().to_owned();
    std::fs::write(folder.join("tls.crt"), certified.cert.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), certified.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("guard.py"), PROGRAM).unwrap();
    let bundle = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, certified.cert.pem());
    let simulated = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "guard-0", "labels": {"app": "guard"}},
        "spec": {"containers": [{"name": "main", "image": "guard:1"}]}});
    post(&cluster, "/api/v1/namespaces/default/pods", simulated.clone()).await;
    run(&kubectl, &cluster, "wait pod/guard-0 --for=condition=Ready --timeout=60s", "");
    let service = |port: u16| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "guard"},
        "spec": {"selector": {"app": "guard"}, "ports": [{"port": 443, "targetPort": port}]}})
    };
    post(&cluster, "/api/v1/namespaces/default/services", service(8443)).await;
    let config =
        json!({"service": {"name": "guard", "namespace": "default", "path": "/check"}, "caBundle": bundle});
    configure(&cluster, "Validating", config, json!({})).await;
    let maps = config_maps(&cluster.client().await);
    maps.create(&PostParams::default(), &config_map("bad", "1")).await.unwrap();
    let counts =
        || async { cluster.sandbox.ask("GET", "/sandbox.aegis.dev/webhooks", None).await.unwrap().1 };
    let place = "validatingwebhookconfigurations/validating-guard/guard.example.com";
    assert_eq!(counts().await, json!({"assumed": {place: 1}, "called": {}}));
    maps.delete("bad", &DeleteParams::default()).await.unwrap();

    // Now a pod that runs the program takes the place of the one that runs nothing.
    run(&kubectl, &cluster, "delete pod guard-0 --timeout=60s", "");
    let mut program = simulated;
    program["metadata"]["annotations"] = json!({"sandbox.aegis.dev/process": "true"});
    program["spec"]["containers"][0]["command"] =
        json!(["python3", folder.join("guard.py"), folder.display().to_string()]);
    post(&cluster, "/api/v1/namespaces/default/pods", program).await;
    run(&kubectl, &cluster, "wait pod/guard-0 --for=condition=Ready --timeout=60s", "");
    let port = loop {
        if let Some(line) = run(&kubectl, &cluster, "logs guard-0 --tail=1", "").lines().next() {
            break line.parse().unwrap();
        }
    };
    run(&kubectl, &cluster, "apply -f -", &service(port).to_string());
    assert_eq!(refusal(maps.create(&PostParams::default(), &config_map("bad", "1")).await).0, 403);
    maps.create(&PostParams::default(), &config_map("good", "1")).await.unwrap();
    assert_eq!(counts().await, json!({"assumed": {place: 1}, "called": {place: 2}}));
}
