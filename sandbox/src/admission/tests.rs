//! Pods and namespaces as a real server admitted or refused them.

use super::*;
use crate::ambient::Ambient;
use crate::kinds::Kinds;
use crate::store::{Error, Store};
use serde_json::json;

/// A cluster with the namespace `ns` and whatever else is given, as kind, group, plural and object.
fn cluster(objects: &[(&str, &str, &str, Value)]) -> Store {
    let store =
        Store::in_memory(Kinds::builtin(), Ambient::pinned("2026-01-01T00:00:00Z".parse().unwrap(), 1));
    let namespaces = Resource::core("namespaces");
    if !objects.iter().any(|(_, plural, _, _)| *plural == "namespaces") {
        store.create(&namespaces.key("", "ns"), json!({"metadata": {"name": "ns"}})).unwrap();
    }
    for (group, plural, namespace, object) in objects {
        let name = object["metadata"]["name"].as_str().unwrap();
        store.create(&Resource::new(group, plural).key(namespace, name), object.clone()).unwrap();
    }
    store
}

fn write(
    store: &Store,
    plural: (&str, &str),
    old: Option<&Value>,
    object: Value,
) -> (Value, Result<Vec<String>, Denial>) {
    let mut object = object;
    let kind = store.kinds().served(plural.0, "v1", plural.1).unwrap();
    object["kind"] = json!(kind.kind);
    let outcome = store.rehearse(|t| {
        let operation = if old.is_some() { Operation::Update } else { Operation::Create };
        let namespace = if kind.namespaced { "ns" } else { "" };
        let webhooks = Webhooks::default();
        let request = Request {
            operation,
            kind: &kind,
            namespace,
            subresource: "",
            name: "",
            old,
            store: t,
            user: Value::Null,
            dry_run: false,
            webhooks: &webhooks,
        };
        Ok::<_, Error>(admit(&request, &mut object))
    });
    (object, outcome.unwrap())
}

fn create(store: &Store, plural: (&str, &str), object: Value) -> (Value, Result<Vec<String>, Denial>) {
    write(store, plural, None, object)
}

fn pod(spec: Value) -> Value {
    json!({"metadata": {"name": "p", "namespace": "ns"}, "spec": spec})
}

fn refusal(outcome: Result<Vec<String>, Denial>) -> String {
    outcome.unwrap_err().to_string()
}

const PODS: (&str, &str) = ("", "pods");

#[test]
fn a_plain_pod_gets_account_token_tolerations_and_priority() {
    let store = cluster(&[]);
    let (pod, outcome) = create(&store, PODS, pod(json!({"containers": [{"name": "c", "image": "x"}]})));
    assert_eq!(outcome, Ok(vec![]));
    let spec = &pod["spec"];
    assert_eq!((&spec["serviceAccountName"], &spec["priority"]), (&json!("default"), &json!(0)));
    assert_eq!(spec["tolerations"].as_array().unwrap().len(), 2);
    let name = spec["volumes"][0]["name"].as_str().unwrap();
    assert!(name.starts_with("kube-api-access-") && name.len() == "kube-api-access-".len() + 5, "{name}");
    assert_eq!(spec["containers"][0]["volumeMounts"][0]["name"], name);
}

#[test]
fn namespaces_must_be_there() {
    let store = cluster(&[("", "namespaces", "", json!({"metadata": {"name": "other"}}))]);
    let (_, outcome) = create(&store, ("", "configmaps"), json!({"metadata": {"name": "c"}}));
    assert_eq!(outcome, Err(Denial::NoNamespace("ns".to_owned())));
}

#[test]
fn classes_are_filled_in_from_the_default_ones() {
    let class = json!({"metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}});
    let store = cluster(&[("storage.k8s.io", "storageclasses", "", class)]);
    let (claim, _) =
        create(&store, ("", "persistentvolumeclaims"), json!({"metadata": {"name": "c"}, "spec": {}}));
    assert_eq!(claim["spec"]["storageClassName"], "standard");
    assert_eq!(claim["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
}

#[test]
fn priorities_come_from_classes() {
    let high = json!({"metadata": {"name": "high"}, "value": 1000, "globalDefault": true});
    let store = cluster(&[("scheduling.k8s.io", "priorityclasses", "", high)]);
    let of = |spec: Value| create(&store, PODS, pod(spec));
    let (created, _) = of(json!({"containers": []}));
    assert_eq!(
        (&created["spec"]["priority"], &created["spec"]["priorityClassName"]),
        (&json!(1000), &json!("high"))
    );
    assert_eq!(
        refusal(of(json!({"priorityClassName": "nope"})).1),
        "no PriorityClass with name nope was found"
    );
    assert!(
        refusal(of(json!({"priority": 7})).1)
            .starts_with("the integer value of priority (7) must not be provided")
    );
    let second = json!({"metadata": {"name": "high2"}, "value": 2000, "globalDefault": true});
    assert_eq!(
        refusal(create(&store, ("scheduling.k8s.io", "priorityclasses"), second).1),
        "PriorityClass high is already marked as default. Only one default can exist"
    );
}

#[test]
fn limit_ranges_fill_in_and_enforce() {
    let range = json!({"metadata": {"name": "l"}, "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "500m", "memory": "256Mi"}, "defaultRequest": {"cpu": "100m", "memory": "256Mi"},
            "max": {"cpu": "1"}, "min": {"memory": "64Mi"}, "maxLimitRequestRatio": {"cpu": "10"}},
        {"type": "PersistentVolumeClaim", "max": {"storage": "2Gi"}}]}});
    let store = cluster(&[("", "limitranges", "ns", range)]);
    let (filled, outcome) =
        create(&store, PODS, pod(json!({"containers": [{"name": "main", "image": "x"}]})));
    assert_eq!(outcome, Ok(vec![]));
    assert_eq!(
        filled["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu, memory request for container main; cpu, memory limit for container main"
    );
    let big = json!({"containers": [{"name": "c", "image": "x",
        "resources": {"limits": {"cpu": "2", "memory": "32Mi"}, "requests": {"cpu": "10m", "memory": "32Mi"}}}]});
    assert_eq!(
        refusal(create(&store, PODS, pod(big)).1),
        "[minimum memory usage per Container is 64Mi, but request is 32Mi, maximum cpu usage per Container is 1, but limit is 2, cpu max limit to request ratio per Container is 10, but provided ratio is 200.000000]"
    );
    let claim = json!({"metadata": {"name": "p"}, "spec": {"resources": {"requests": {"storage": "3Gi"}}}});
    assert_eq!(
        refusal(create(&store, ("", "persistentvolumeclaims"), claim).1),
        "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"
    );
}

#[test]
fn quotas_count_what_is_there() {
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {"pods": "2", "requests.cpu": "1", "limits.memory": "1Gi",
        "configmaps": "1", "services.loadbalancers": "0"}}});
    let container = |cpu: &str| {
        json!({"containers": [{"name": "c", "image": "x",
        "resources": {"requests": {"cpu": cpu}, "limits": {"memory": "100Mi"}}}]})
    };
    let mut first = pod(container("600m"));
    first["metadata"]["name"] = json!("p1");
    let store = cluster(&[("", "resourcequotas", "ns", quota), ("", "pods", "ns", first)]);
    assert_eq!(
        refusal(create(&store, PODS, pod(json!({"containers": [{"name": "main", "image": "x"}]}))).1),
        "failed quota: q: must specify limits.memory for: main; requests.cpu for: main"
    );
    assert_eq!(
        refusal(create(&store, PODS, pod(container("600m"))).1),
        "exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1"
    );
    assert_eq!(create(&store, PODS, pod(container("200m"))).1, Ok(vec![]));
    let balancer =
        json!({"metadata": {"name": "lb"}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}});
    assert_eq!(
        refusal(create(&store, ("", "services"), balancer).1),
        "exceeded quota: q, requested: services.loadbalancers=1, used: services.loadbalancers=0, limited: services.loadbalancers=0"
    );
}

fn secured(labels: Value) -> Store {
    cluster(&[("", "namespaces", "", json!({"metadata": {"name": "ns", "labels": labels}}))])
}

#[test]
fn pod_security_refuses_and_warns() {
    let store = secured(
        json!({"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}),
    );
    let privileged = json!({"hostNetwork": true, "containers": [{"name": "c", "image": "x", "securityContext": {"privileged": true}}]});
    assert_eq!(
        refusal(create(&store, PODS, pod(privileged)).1),
        "violates PodSecurity \"restricted:latest\": host namespaces (hostNetwork=true), privileged (container \"c\" must not set securityContext.privileged=true), allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
    );
    let good = json!({"securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}, "containers": [
        {"name": "c", "image": "x", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]});
    assert_eq!(create(&store, PODS, pod(good)).1, Ok(vec![]));
    let deployment = json!({"metadata": {"name": "w"}, "spec": {"template": {"spec": {"containers": [{"name": "w", "image": "x"}]}}}});
    let warnings = create(&store, ("apps", "deployments"), deployment).1.unwrap();
    assert!(
        warnings[0].starts_with(
            "would violate PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false"
        )
    );
}

#[test]
fn a_stricter_namespace_says_which_pods_do_not_fit() {
    let plain = |name: &str| json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "x"}]}});
    let before = json!({"metadata": {"name": "ns", "labels": {}}});
    let store = cluster(&[
        ("", "namespaces", "", before.clone()),
        ("", "pods", "ns", plain("a")),
        ("", "pods", "ns", plain("b")),
    ]);
    let after =
        json!({"metadata": {"name": "ns", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    let warnings = write(&store, ("", "namespaces"), Some(&before), after).1.unwrap();
    assert_eq!(
        warnings,
        [
            "existing pods in namespace \"ns\" violate the new PodSecurity enforce level \"restricted:latest\"",
            "a (and 1 other pod): allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile",
        ]
    );
}

#[test]
fn webhooks_answer_once_a_pod_is_ready_or_none_can_be() {
    let hook = |policy: &str| {
        json!({"metadata": {"name": "wh"}, "webhooks": [{"name": "wh.example.com", "failurePolicy": policy, "timeoutSeconds": 10,
        "clientConfig": {"service": {"name": "svc", "namespace": "ns", "path": "/v", "port": 443}},
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]}]})
    };
    let configuration = |policy: &str| (GROUP, "validatingwebhookconfigurations", "", hook(policy));
    let service =
        ("", "services", "ns", json!({"metadata": {"name": "svc"}, "spec": {"selector": {"app": "w"}}}));
    let deployment = (
        "apps",
        "deployments",
        "ns",
        json!({"metadata": {"name": "w"}, "spec": {"template": {"metadata": {"labels": {"app": "w"}}}}}),
    );
    let ready = (
        "",
        "pods",
        "ns",
        json!({"metadata": {"name": "w", "labels": {"app": "w"}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
    );
    let ask = |objects: &[(&str, &str, &str, Value)]| {
        create(&cluster(objects), ("", "configmaps"), json!({"metadata": {"name": "c"}})).1
    };
    assert_eq!(
        refusal(ask(&[configuration("Fail")])),
        "failed calling webhook \"wh.example.com\": failed to call webhook: Post \"https://svc.ns.svc:443/v?timeout=10s\": service \"svc\" not found"
    );
    assert_eq!(ask(&[configuration("Ignore")]), Ok(vec![]));
    assert!(
        refusal(ask(&[configuration("Fail"), service.clone(), deployment.clone()]))
            .contains("no endpoints available")
    );
    assert_eq!(ask(&[configuration("Fail"), service.clone(), deployment, ready]), Ok(vec![]));
    assert_eq!(ask(&[configuration("Fail"), service]), Ok(vec![]), "nothing will ever stand behind it");
}

#[test]
fn policies_deny_what_their_rules_forbid() {
    let policy = json!({"metadata": {"name": "maxrep"}, "spec": {
        "matchConstraints": {"resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}]},
        "variables": [{"name": "replicas", "expression": "object.spec.replicas"}],
        "validations": [{"expression": "variables.replicas <= 5", "message": "at most 5 replicas"}]}});
    let binding = |action: &str| json!({"metadata": {"name": "b"}, "spec": {"policyName": "maxrep", "validationActions": [action]}});
    let ask = |action: &str, replicas: u32| {
        let store = cluster(&[
            (GROUP, "validatingadmissionpolicies", "", policy.clone()),
            (GROUP, "validatingadmissionpolicybindings", "", binding(action)),
        ]);
        create(
            &store,
            ("apps", "deployments"),
            json!({"metadata": {"name": "d"}, "spec": {"replicas": replicas}}),
        )
        .1
    };
    assert_eq!(
        refusal(ask("Deny", 9)),
        "ValidatingAdmissionPolicy 'maxrep' with binding 'b' denied request: at most 5 replicas"
    );
    assert_eq!(ask("Deny", 5), Ok(vec![]));
    assert_eq!(
        ask("Warn", 9).unwrap(),
        ["Validation failed for ValidatingAdmissionPolicy 'maxrep' with binding 'b': at most 5 replicas"]
    );
}

const GROUP: &str = "admissionregistration.k8s.io";
