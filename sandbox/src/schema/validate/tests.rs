//! Refusals a real server was seen to make.

use crate::schema::ObjectType;
use serde_json::{Value, json};

fn problems(group: &str, version: &str, kind: &str, old: Option<&Value>, object: Value) -> Vec<String> {
    let kind = ObjectType::builtin(group, version, kind).unwrap();
    let mut object = object;
    kind.read(&mut object).unwrap();
    kind.fill_defaults(&mut object);
    let causes = kind.problems(old, &object);
    causes.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
}

fn deployment(spec: Value) -> Value {
    let mut object = json!({"metadata": {"name": "bad"}, "spec": {"selector": {"matchLabels": {"app": "bad"}},
        "template": {"metadata": {"labels": {"app": "bad"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}}});
    for (key, value) in spec.as_object().unwrap() {
        *object.pointer_mut(key).unwrap() = value.clone();
    }
    object
}

#[test]
fn deployments_and_their_pods() {
    let check = |spec: Value| problems("apps", "v1", "Deployment", None, deployment(spec));
    let containers = "/spec/template/spec/containers";
    let cases = [
        (json!({containers: []}), vec!["spec.template.spec.containers: Required value"]),
        (
            json!({containers: [{"name": "a"}]}),
            vec!["spec.template.spec.containers[0].image: Required value"],
        ),
        (
            json!({containers: [{"name": "a", "image": "a"}, {"name": "a", "image": "a"}]}),
            vec!["spec.template.spec.containers[1].name: Duplicate value: \"a\""],
        ),
        (
            json!({containers: [{"name": "a", "image": "a", "volumeMounts": [{"name": "x", "mountPath": "/x"}]}]}),
            vec!["spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"x\""],
        ),
        (
            json!({containers: [{"name": "a", "image": "a", "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}}]}),
            vec![
                "spec.template.spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
            ],
        ),
        (
            json!({"/spec/template/spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}}),
            vec![
                "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
            ],
        ),
    ];
    for (spec, wanted) in cases {
        assert_eq!(check(spec), wanted);
    }
}

#[test]
fn rolling_updates() {
    let check = |strategy: Value| {
        let mut object = deployment(json!({}));
        object["spec"]["strategy"] = strategy;
        problems("apps", "v1", "Deployment", None, object)
    };
    assert_eq!(
        check(json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}})),
        ["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"]
    );
    assert_eq!(
        check(json!({"type": "Recreate", "rollingUpdate": {"maxSurge": 1}})),
        ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"]
    );
    assert_eq!(
        check(json!({"type": "Other"})),
        [
            "spec.strategy: Unsupported value: {\"Type\":\"Other\",\"RollingUpdate\":null}: supported values: \"Recreate\", \"RollingUpdate\""
        ]
    );
}

#[test]
fn schedules() {
    let check = |schedule: &str, zone: Value| {
        let pod = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]});
        let object = json!({"metadata": {"name": "bad"}, "spec": {"schedule": schedule, "timeZone": zone,
            "jobTemplate": {"spec": {"template": {"spec": pod}}}}});
        problems("batch", "v1", "CronJob", None, object)
    };
    let cases = [
        (
            "every minute",
            json!("Asia/Seoul"),
            "spec.schedule: Invalid value: \"every minute\": expected exactly 5 fields, found 2: [every minute]",
        ),
        (
            "61 * * * *",
            json!("UTC"),
            "spec.schedule: Invalid value: \"61 * * * *\": end of range (61) above maximum (59): 61",
        ),
        (
            "* * * * *",
            json!("Mars/Olympus"),
            "spec.timeZone: Invalid value: \"Mars/Olympus\": unknown time zone Mars/Olympus",
        ),
        (
            "@hourly",
            json!(""),
            "spec.timeZone: Invalid value: \"\": timeZone must be nil or non-empty string",
        ),
        (
            "TZ=UTC 0 0 * * *",
            json!("UTC"),
            "spec.schedule: Invalid value: \"TZ=UTC 0 0 * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
        ),
    ];
    for (schedule, zone, wanted) in cases {
        assert_eq!(check(schedule, zone), [wanted]);
    }
    assert!(check("*/5 1-3 * jan MON", Value::Null).is_empty());
}

#[test]
fn the_smaller_kinds() {
    assert_eq!(
        problems(
            "",
            "v1",
            "PersistentVolumeClaim",
            None,
            json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {}}})
        ),
        ["spec.resources[storage]: Required value"]
    );
    assert_eq!(
        problems("policy", "v1", "PodDisruptionBudget", None, json!({"spec": {"minAvailable": "150%"}})),
        ["spec.minAvailable: Invalid value: \"150%\": must not be greater than 100%"]
    );
    assert_eq!(
        problems("", "v1", "ResourceQuota", None, json!({"spec": {"hard": {"bogus": "1", "pods": "1500m"}}})),
        [
            "spec.hard[bogus]: Invalid value: \"bogus\": must be a standard resource type or fully qualified",
            "spec.hard[bogus]: Invalid value: \"bogus\": must be a standard resource for quota",
            "spec.hard[pods]: Invalid value: \"1500m\": must be an integer",
        ]
    );
    assert_eq!(
        problems(
            "rbac.authorization.k8s.io",
            "v1",
            "Role",
            None,
            json!({"rules": [{"resources": ["pods"]}]})
        ),
        [
            "rules[0].verbs: Required value: verbs must contain at least one value",
            "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
        ]
    );
    assert_eq!(
        problems(
            "networking.k8s.io",
            "v1",
            "NetworkPolicy",
            None,
            json!({"spec": {"podSelector": {}, "ingress": [
            {"ports": [{"port": 0}], "from": [{"ipBlock": {"cidr": "10.0.0.0/99"}}]}]}})
        ),
        [
            "spec.ingress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.ingress[0].from[0].ipBlock.cidr: Invalid value: \"10.0.0.0/99\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        ]
    );
    assert_eq!(
        problems(
            "autoscaling",
            "v2",
            "HorizontalPodAutoscaler",
            None,
            json!({"spec": {"minReplicas": 5, "maxReplicas": 2,
            "scaleTargetRef": {"kind": "Deployment", "name": "x"}}})
        ),
        [
            "spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`",
            "spec.scaleTargetRef.apiVersion: Invalid value: \"\": apiVersion must specify API group",
        ]
    );
}
