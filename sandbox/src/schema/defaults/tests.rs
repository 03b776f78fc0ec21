//! Defaults that a real server was seen to fill in.

use crate::schema::{builtin, decode, fill_defaults};
use serde_json::{Value, json};

fn defaulted(group: &str, kind: &str, body: Value) -> Value {
    let schema = builtin(group, "v1", kind).unwrap();
    let mut object = decode(&schema, &body).unwrap().object;
    fill_defaults(&schema, kind, &mut object);
    object
}

fn template(containers: Value) -> Value {
    json!({"containers": containers, "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst", "securityContext": {}, "schedulerName": "default-scheduler"})
}

#[test]
fn a_deployment_comes_back_with_its_defaults() {
    let body = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api"}, "spec": {
        "selector": {"matchLabels": {"app": "api"}},
        "template": {"metadata": {"labels": {"app": "api"}}, "spec": {"containers": [{"name": "api", "image": "api:1",
            "env": [{"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "livenessProbe": {"httpGet": {"path": "/", "port": 80}}}]}}}});
    let spec = &defaulted("apps", "Deployment", body)["spec"];
    assert_eq!(
        spec["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}})
    );
    assert_eq!(
        (&spec["replicas"], &spec["revisionHistoryLimit"], &spec["progressDeadlineSeconds"]),
        (&json!(1), &json!(10), &json!(600))
    );
    let container = json!([{"name": "api", "image": "api:1", "resources": {}, "imagePullPolicy": "IfNotPresent",
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        "env": [{"name": "B", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}],
        "livenessProbe": {"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "timeoutSeconds": 1,
            "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}}]);
    assert_eq!(spec["template"]["spec"], template(container));
}

#[test]
fn recreate_has_no_rolling_parameters() {
    let body = json!({"spec": {"strategy": {"type": "Recreate"}}});
    assert_eq!(defaulted("apps", "Deployment", body)["spec"]["strategy"], json!({"type": "Recreate"}));
}

#[test]
fn a_cron_jobs_job_is_left_alone_but_its_pod_is_not() {
    let body = json!({"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}}}}}});
    let spec = defaulted("batch", "CronJob", body)["spec"].clone();
    assert_eq!(spec["concurrencyPolicy"], "Allow");
    assert_eq!(spec["jobTemplate"]["metadata"], json!({}));
    assert_eq!(spec["jobTemplate"]["spec"]["backoffLimit"], Value::Null);
    assert_eq!(spec["jobTemplate"]["spec"]["template"]["metadata"], json!({}));
    assert_eq!(spec["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"], "Always");
}

#[test]
fn secrets_services_and_limits_follow_their_rules() {
    let secret =
        defaulted("", "Secret", json!({"stringData": {"user": "u", "pw": "p"}, "data": {"pw": "b2xk"}}));
    assert_eq!(secret, json!({"data": {"pw": "cA==", "user": "dQ=="}, "type": "Opaque"}));
    let service = defaulted("", "Service", json!({"spec": {"ports": [{"port": 80}]}}));
    assert_eq!(
        service["spec"],
        json!({"ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}], "type": "ClusterIP",
            "sessionAffinity": "None", "internalTrafficPolicy": "Cluster"})
    );
    let limits = defaulted(
        "",
        "LimitRange",
        json!({"spec": {"limits": [{"type": "Container",
        "default": {"cpu": "500m", "memory": "256Mi"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"},
        "min": {"memory": "64Mi"}}]}}),
    );
    assert_eq!(limits["spec"]["limits"][0]["defaultRequest"], json!({"cpu": "100m", "memory": "256Mi"}));
}

#[test]
fn a_pod_requests_what_it_is_limited_to() {
    let body =
        json!({"spec": {"containers": [{"name": "a", "image": "a", "resources": {"limits": {"cpu": "1"}}}]}});
    let pod = defaulted("", "Pod", body);
    assert_eq!(pod["spec"]["containers"][0]["resources"]["requests"], json!({"cpu": "1"}));
    assert_eq!(pod["spec"]["enableServiceLinks"], json!(true));
}
