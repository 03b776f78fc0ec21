//! Pods and what makes them.

use super::text::{duration, items, joined, or_none, pairs, seconds, selector, str_of};
use super::{AGE, CONTAINERS, IMAGES, KindTable, NAME, Row, column, pod};
use serde_json::{Value, json};

pub(super) const TABLES: &[KindTable] = &[
    KindTable { group: "", kind: "Pod", columns: pod::COLUMNS, cells: pod::cells },
    KindTable {
        group: "apps",
        kind: "Deployment",
        columns: &[
            NAME,
            column("Ready", "string", 0, "Number of the pod with ready state"),
            column("Up-to-date", "string", 0, ".status.updatedReplicas"),
            column("Available", "string", 0, ".status.availableReplicas"),
            AGE,
            CONTAINERS,
            IMAGES,
            column("Selector", "string", 1, ".spec.selector"),
        ],
        cells: deployment,
    },
    KindTable {
        group: "apps",
        kind: "ReplicaSet",
        columns: &[
            NAME,
            column("Desired", "integer", 0, ".spec.replicas"),
            column("Current", "integer", 0, ".status.replicas"),
            column("Ready", "integer", 0, ".status.readyReplicas"),
            AGE,
            CONTAINERS,
            IMAGES,
            column("Selector", "string", 1, ".spec.selector"),
        ],
        cells: replica_set,
    },
    KindTable {
        group: "",
        kind: "ReplicationController",
        columns: &[
            NAME,
            column("Desired", "integer", 0, ".spec.replicas"),
            column("Current", "integer", 0, ".status.replicas"),
            column("Ready", "integer", 0, ".status.readyReplicas"),
            AGE,
            CONTAINERS,
            IMAGES,
            column("Selector", "string", 1, ".spec.selector"),
        ],
        cells: replication_controller,
    },
    KindTable {
        group: "apps",
        kind: "StatefulSet",
        columns: &[
            NAME,
            column("Ready", "string", 0, "Number of the pod with ready state"),
            AGE,
            CONTAINERS,
            IMAGES,
        ],
        cells: stateful_set,
    },
    KindTable {
        group: "apps",
        kind: "DaemonSet",
        columns: &[
            NAME,
            column("Desired", "integer", 0, ".status.desiredNumberScheduled"),
            column("Current", "integer", 0, ".status.currentNumberScheduled"),
            column("Ready", "integer", 0, ".status.numberReady"),
            column("Up-to-date", "integer", 0, ".status.updatedNumberScheduled"),
            column("Available", "integer", 0, ".status.numberAvailable"),
            column("Node Selector", "string", 0, ".spec.template.spec.nodeSelector"),
            AGE,
            CONTAINERS,
            IMAGES,
            column("Selector", "string", 1, ".spec.selector"),
        ],
        cells: daemon_set,
    },
    KindTable {
        group: "batch",
        kind: "Job",
        columns: &[
            NAME,
            column("Status", "string", 0, "Status of the job."),
            column("Completions", "string", 0, ".status.succeeded"),
            column("Duration", "string", 0, "Time required to complete the job."),
            AGE,
            CONTAINERS,
            IMAGES,
            column("Selector", "string", 1, ".spec.selector"),
        ],
        cells: job,
    },
    KindTable {
        group: "batch",
        kind: "CronJob",
        columns: &[
            NAME,
            column("Schedule", "string", 0, ".spec.schedule"),
            column("Timezone", "string", 0, ".spec.timeZone"),
            column("Suspend", "boolean", 0, ".spec.suspend"),
            column("Active", "integer", 0, ".status.active"),
            column("Last Schedule", "string", 0, ".status.lastScheduleTime"),
            AGE,
            CONTAINERS,
            IMAGES,
            column("Selector", "string", 1, ".spec.jobTemplate.spec.selector"),
        ],
        cells: cron_job,
    },
    KindTable {
        group: "autoscaling",
        kind: "HorizontalPodAutoscaler",
        columns: &[
            NAME,
            column("Reference", "string", 0, ".spec.scaleTargetRef"),
            column("Targets", "string", 0, ".spec.metrics"),
            column("MinPods", "string", 0, ".spec.minReplicas"),
            column("MaxPods", "string", 0, ".spec.maxReplicas"),
            column("Replicas", "string", 0, ".status.currentReplicas"),
            AGE,
        ],
        cells: autoscaler,
    },
];

/// Names and images of a template's containers.
fn containers(row: &Row<'_>, pointer: &str) -> [Value; 2] {
    let containers = items(row.object, pointer);
    [json!(joined(containers, "name")), json!(joined(containers, "image"))]
}

const TEMPLATE: &str = "/spec/template/spec/containers";

fn deployment(row: &Row<'_>) -> Vec<Value> {
    let [names, images] = containers(row, TEMPLATE);
    vec![
        row.name(),
        json!(format!("{}/{}", row.number("/status/readyReplicas"), row.number("/spec/replicas"))),
        json!(row.number("/status/updatedReplicas")),
        json!(row.number("/status/availableReplicas")),
        row.age(),
        names,
        images,
        json!(selector(row.at("/spec/selector"))),
    ]
}

fn replica_set(row: &Row<'_>) -> Vec<Value> {
    let [names, images] = containers(row, TEMPLATE);
    vec![
        row.name(),
        json!(row.number("/spec/replicas")),
        json!(row.number("/status/replicas")),
        json!(row.number("/status/readyReplicas")),
        row.age(),
        names,
        images,
        json!(selector(row.at("/spec/selector"))),
    ]
}

fn replication_controller(row: &Row<'_>) -> Vec<Value> {
    let mut cells = replica_set(row);
    cells[7] = json!(pairs(row.at("/spec/selector")));
    cells
}

fn stateful_set(row: &Row<'_>) -> Vec<Value> {
    let [names, images] = containers(row, TEMPLATE);
    let ready = format!("{}/{}", row.number("/status/readyReplicas"), row.number("/spec/replicas"));
    vec![row.name(), json!(ready), row.age(), names, images]
}

fn daemon_set(row: &Row<'_>) -> Vec<Value> {
    let [names, images] = containers(row, TEMPLATE);
    let counters = [
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    ];
    let mut cells = vec![row.name()];
    cells.extend(counters.iter().map(|name| json!(row.number(&format!("/status/{name}")))));
    cells.push(json!(pairs(row.at("/spec/template/spec/nodeSelector"))));
    cells.extend([row.age(), names, images, json!(selector(row.at("/spec/selector")))]);
    cells
}

fn job(row: &Row<'_>) -> Vec<Value> {
    let [names, images] = containers(row, TEMPLATE);
    let done = row.number("/status/succeeded");
    let completions = match (row.at("/spec/completions").as_i64(), row.number("/spec/parallelism")) {
        (Some(wanted), _) => format!("{done}/{wanted}"),
        (None, parallel @ 2..) => format!("{done}/1 of {parallel}"),
        (None, _) => format!("{done}/1"),
    };
    let start = seconds(row.at("/status/startTime"));
    let took = start.map(|start| {
        let end = seconds(row.at("/status/completionTime")).or_else(|| failed_at(row)).unwrap_or(row.now);
        duration(end - start)
    });
    vec![
        row.name(),
        json!(job_status(row)),
        json!(completions),
        json!(took.unwrap_or_default()),
        row.age(),
        names,
        images,
        json!(selector(row.at("/spec/selector"))),
    ]
}

fn failed_at(row: &Row<'_>) -> Option<i64> {
    let conditions = items(row.object, "/status/conditions");
    let failed = conditions.iter().find(|c| c["type"] == "Failed" && c["status"] == "True")?;
    seconds(&failed["lastTransitionTime"])
}

fn job_status(row: &Row<'_>) -> &'static str {
    let holds = |name: &str| {
        let conditions = items(row.object, "/status/conditions");
        conditions.iter().any(|condition| condition["type"] == name && condition["status"] == "True")
    };
    match () {
        () if holds("Complete") => "Complete",
        () if holds("Failed") => "Failed",
        () if row.at("/metadata/deletionTimestamp").is_string() => "Terminating",
        () if holds("Suspended") => "Suspended",
        () if holds("FailureTarget") => "FailureTarget",
        () if holds("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn cron_job(row: &Row<'_>) -> Vec<Value> {
    let [names, images] = containers(row, "/spec/jobTemplate/spec/template/spec/containers");
    let suspended = if *row.at("/spec/suspend") == json!(true) { "True" } else { "False" };
    vec![
        row.name(),
        row.at("/spec/schedule").clone(),
        json!(or_none(row.text("/spec/timeZone").to_owned())),
        json!(suspended),
        json!(items(row.object, "/status/active").len()),
        json!(pod::ago(row.at("/status/lastScheduleTime"), row.now)),
        row.age(),
        names,
        images,
        json!(selector(row.at("/spec/jobTemplate/spec/selector"))),
    ]
}

fn autoscaler(row: &Row<'_>) -> Vec<Value> {
    let target = row.at("/spec/scaleTargetRef");
    let least = row.at("/spec/minReplicas");
    let least = least.as_i64().map_or_else(|| "<unset>".to_owned(), |number| number.to_string());
    vec![
        row.name(),
        json!(format!("{}/{}", str_of(target, "kind"), str_of(target, "name"))),
        json!(metrics(row.object)),
        json!(least),
        json!(row.number("/spec/maxReplicas")),
        json!(row.number("/status/currentReplicas")),
        row.age(),
    ]
}

/// Current and wanted value of every metric, the first two spelled out.
fn metrics(object: &Value) -> String {
    let shown: Vec<String> = match items(object, "/spec/metrics") {
        [] => match object["spec"]["targetCPUUtilizationPercentage"].as_i64() {
            Some(target) => {
                let current = object["status"]["currentCPUUtilizationPercentage"].as_i64();
                let current = current.map_or_else(|| "<unknown>".to_owned(), |share| format!("{share}%"));
                vec![format!("cpu: {current}/{target}%")]
            }
            None => Vec::new(),
        },
        metrics => {
            metrics.iter().enumerate().map(|(at, metric)| one_metric(metric, current(object, at))).collect()
        }
    };
    match shown.len() {
        0 => "<none>".to_owned(),
        1 | 2 => shown.join(", "),
        more => format!("{} + {} more...", shown[..2].join(", "), more - 2),
    }
}

fn current(object: &Value, at: usize) -> &Value {
    items(object, "/status/currentMetrics").get(at).unwrap_or(&Value::Null)
}

fn one_metric(metric: &Value, now: &Value) -> String {
    let part = match str_of(metric, "type") {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        _ => "external",
    };
    let (target, current) = (&metric[part]["target"], &now[part]["current"]);
    let name = match part {
        "resource" | "containerResource" => format!("{}: ", str_of(&metric[part], "name")),
        _ => String::new(),
    };
    let value = |holder: &Value, field: &str| holder[field].as_str().map(str::to_owned);
    let (now, wanted) = if let Some(share) = target["averageUtilization"].as_i64() {
        (current["averageUtilization"].as_i64().map(|share| format!("{share}%")), format!("{share}%"))
    } else if let Some(amount) = value(target, "averageValue") {
        let suffix = if matches!(part, "object" | "external") { " (avg)" } else { "" };
        (value(current, "averageValue"), format!("{amount}{suffix}"))
    } else {
        (value(current, "value"), value(target, "value").unwrap_or_default())
    };
    format!("{name}{}/{wanted}", now.unwrap_or_else(|| "<unknown>".to_owned()))
}
