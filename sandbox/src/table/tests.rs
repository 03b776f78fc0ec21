//! Rows a real server was seen to answer.

use super::*;

fn now() -> i64 {
    "2026-01-01T00:10:00Z".parse::<jiff::Timestamp>().unwrap().as_second()
}

fn cells(group: &str, version: &str, kind: &str, object: Value) -> Value {
    let mut object = object;
    object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:09:51Z");
    json!(Printer::builtin(group, version, kind).cells(&object, now()))
}

#[test]
fn deployments_and_services() {
    let web = json!({"metadata": {"name": "web"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
        "template": {"spec": {"containers": [{"name": "nginx", "image": "nginx:1.25"}]}}},
        "status": {"readyReplicas": 2, "updatedReplicas": 2, "availableReplicas": 2}});
    assert_eq!(
        cells("apps", "v1", "Deployment", web),
        json!(["web", "2/2", 2, 2, "9s", "nginx", "nginx:1.25", "app=web"])
    );
    let balancer = json!({"metadata": {"name": "lb"}, "spec": {"type": "LoadBalancer", "clusterIP": "10.0.203.190",
        "ports": [{"port": 80, "nodePort": 32678, "protocol": "TCP"}], "selector": {"app": "lb"}},
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.2"}]}}});
    assert_eq!(
        cells("", "v1", "Service", balancer),
        json!(["lb", "LoadBalancer", "10.0.203.190", "203.0.113.2", "80:32678/TCP", "9s", "app=lb"])
    );
}

#[test]
fn a_pods_containers_become_one_word() {
    let pod = |status: Value| {
        let object = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "w", "containers": [{"name": "c"}]}, "status": status});
        cells("", "v1", "Pod", object)[2].clone()
    };
    let container = |state: Value| json!({"phase": "Running", "containerStatuses": [{"name": "c", "restartCount": 0, "state": state}]});
    assert_eq!(pod(container(json!({"waiting": {"reason": "ImagePullBackOff"}}))), "ImagePullBackOff");
    assert_eq!(pod(container(json!({"terminated": {"exitCode": 3}}))), "ExitCode:3");
    assert_eq!(pod(container(json!({"terminated": {"exitCode": 0, "reason": "Completed"}}))), "Completed");
    assert_eq!(pod(json!({"phase": "Pending"})), "Pending");
    assert_eq!(pod(json!({"phase": "Failed", "reason": "Evicted"})), "Evicted");
}

#[test]
fn ages_have_at_most_two_units() {
    let cases = [
        (0, "0s"),
        (119, "119s"),
        (122, "2m2s"),
        (120, "2m"),
        (720, "12m"),
        (10_900, "3h1m"),
        (30_000, "8h"),
        (172_800, "2d"),
        (180_000, "2d2h"),
        (86_400 * 400, "400d"),
        (86_400 * 800, "2y70d"),
        (-5, "<invalid>"),
    ];
    for (seconds, wanted) in cases {
        assert_eq!(text::duration(seconds), wanted, "{seconds}");
    }
}

#[test]
fn column_definitions_describe_their_fields() {
    let columns = Printer::builtin("", "v1", "ConfigMap").column_definitions();
    assert_eq!(columns[0]["format"], "name");
    assert!(columns[1]["description"].as_str().unwrap().starts_with("Data contains the configuration data."));
    for list in [workload::TABLES, network::TABLES, storage::TABLES, cluster::TABLES, policy::TABLES] {
        for table in list {
            let version = if table.kind == "HorizontalPodAutoscaler" { "v2" } else { "v1" };
            let columns = Printer::builtin(table.group, version, table.kind).column_definitions();
            for column in columns.as_array().unwrap() {
                assert_ne!(column["description"], "", "{} {}", table.kind, column["name"]);
            }
        }
    }
}

#[test]
fn unknown_kinds_show_when_they_were_created() {
    let role = json!({"metadata": {"name": "reader"}});
    assert_eq!(
        cells("rbac.authorization.k8s.io", "v1", "Role", role),
        json!(["reader", "2026-01-01T00:09:51Z"])
    );
}

#[test]
fn custom_columns_follow_their_paths() {
    let printer = Printer::custom(&json!({"additionalPrinterColumns": [
        {"name": "Spec", "type": "string", "jsonPath": ".spec.cronSpec"},
        {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
        {"name": "Mode", "type": "string", "priority": 1, "jsonPath": ".spec.mode"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]}));
    let object = json!({"metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:09:58Z"}, "spec": {"cronSpec": "* * * * */5", "replicas": 2}});
    assert_eq!(json!(printer.cells(&object, now())), json!(["a", "* * * * */5", 2, null, "2s"]));
    let columns = printer.column_definitions();
    assert_eq!(columns[3]["priority"], 1);
    assert_eq!(
        columns[1]["description"],
        "Custom resource definition column (in JSONPath format): .spec.cronSpec"
    );
}
