//! Nodes, namespaces, events, configuration and what the cluster keeps for itself.

use super::text::{age, items, or_none, str_of};
use super::{AGE, KindTable, NAME, Row, column};
use serde_json::{Value, json};

pub(super) const TABLES: &[KindTable] = &[
    KindTable {
        group: "",
        kind: "Namespace",
        columns: &[NAME, column("Status", "string", 0, "The status of the namespace"), AGE],
        cells: |row| vec![row.name(), row.at("/status/phase").clone(), row.age()],
    },
    KindTable {
        group: "",
        kind: "Node",
        columns: &[
            NAME,
            column("Status", "string", 0, "The status of the node"),
            column("Roles", "string", 0, "The roles of the node"),
            AGE,
            column("Version", "string", 0, ".status.nodeInfo.kubeletVersion"),
            column("Internal-IP", "string", 1, ".status.addresses"),
            column("External-IP", "string", 1, ".status.addresses"),
            column("OS-Image", "string", 1, ".status.nodeInfo.osImage"),
            column("Kernel-Version", "string", 1, ".status.nodeInfo.kernelVersion"),
            column("Container-Runtime", "string", 1, ".status.nodeInfo.containerRuntimeVersion"),
        ],
        cells: node,
    },
    KindTable { group: "", kind: "Event", columns: EVENT, cells: event },
    KindTable { group: "events.k8s.io", kind: "Event", columns: EVENT, cells: event },
    KindTable {
        group: "",
        kind: "ConfigMap",
        columns: &[NAME, column("Data", "string", 0, ".data"), AGE],
        cells: |row| vec![row.name(), json!(entries(row, "/data") + entries(row, "/binaryData")), row.age()],
    },
    KindTable {
        group: "",
        kind: "Secret",
        columns: &[NAME, column("Type", "string", 0, ".type"), column("Data", "string", 0, ".data"), AGE],
        cells: |row| vec![row.name(), row.at("/type").clone(), json!(entries(row, "/data")), row.age()],
    },
    KindTable { group: "", kind: "ServiceAccount", columns: &[NAME, AGE], cells: name_and_age },
    KindTable {
        group: "",
        kind: "ComponentStatus",
        columns: &[
            NAME,
            column("Status", "string", 0, "Status of the component conditions"),
            column("Message", "string", 0, "Message of the component conditions"),
            column("Error", "string", 0, "Error of the component conditions"),
        ],
        cells: component_status,
    },
    KindTable {
        group: "coordination.k8s.io",
        kind: "Lease",
        columns: &[NAME, column("Holder", "string", 0, ".spec.holderIdentity"), AGE],
        cells: |row| vec![row.name(), json!(row.text("/spec/holderIdentity")), row.age()],
    },
    KindTable {
        group: "node.k8s.io",
        kind: "RuntimeClass",
        columns: &[NAME, column("Handler", "string", 0, ".handler"), AGE],
        cells: |row| vec![row.name(), row.at("/handler").clone(), row.age()],
    },
    KindTable {
        group: "apps",
        kind: "ControllerRevision",
        columns: &[
            NAME,
            column("Controller", "string", 0, "Controller of the object"),
            column("Revision", "string", 0, ".revision"),
            AGE,
        ],
        cells: controller_revision,
    },
];
const EVENT: &[super::Column] = &[
    column(
        "Last Seen",
        "string",
        0,
        "The time at which the most recent occurrence of this event was recorded.",
    ),
    column("Type", "string", 0, ".type"),
    column("Reason", "string", 0, ".reason"),
    column("Object", "string", 0, "The object that this event is about."),
    column(
        "Subobject",
        "string",
        1,
        "If referring to a piece of an object instead of an entire object, this string should contain a valid JSON/Go field access statement, such as desiredState.manifest.containers[2]. For example, if the object reference is to a container within a pod, this would take on a value like: \"spec.containers{name}\" (where \"name\" refers to the name of the container that triggered the event) or if no container name is specified \"spec.containers[2]\" (container with index 2 in this pod). This syntax is chosen only to have some well-defined way of referencing a part of an object.",
    ),
    column(
        "Source",
        "string",
        1,
        "The component reporting this event. Should be a short machine understandable string.",
    ),
    column("Message", "string", 0, "A human-readable description of the status of this operation."),
    column(
        "First Seen",
        "string",
        1,
        "The time at which the event was first recorded. (Time of server receipt is in TypeMeta.)",
    ),
    column("Count", "string", 1, "The number of times this event has occurred."),
    column("Name", "string", 1, ".metadata.name"),
];

fn name_and_age(row: &Row<'_>) -> Vec<Value> {
    vec![row.name(), row.age()]
}

fn entries(row: &Row<'_>, pointer: &str) -> usize {
    row.at(pointer).as_object().map_or(0, serde_json::Map::len)
}

fn node(row: &Row<'_>) -> Vec<Value> {
    let info = |name: &str| row.text(&format!("/status/nodeInfo/{name}"));
    let address = |kind: &str| {
        let addresses = items(row.object, "/status/addresses").iter();
        or_none(
            addresses
                .filter(|a| a["type"] == kind)
                .map(|a| str_of(a, "address"))
                .next()
                .unwrap_or_default()
                .to_owned(),
        )
    };
    let unknown = |text: &str| if text.is_empty() { "<unknown>".to_owned() } else { text.to_owned() };
    let kernel = match (info("kernelVersion"), info("architecture")) {
        ("", _) => "<unknown>".to_owned(),
        (kernel, "") => kernel.to_owned(),
        (kernel, architecture) => format!("{kernel} ({architecture})"),
    };
    vec![
        row.name(),
        json!(node_status(row)),
        json!(roles(row.object)),
        row.age(),
        json!(info("kubeletVersion")),
        json!(address("InternalIP")),
        json!(address("ExternalIP")),
        json!(unknown(info("osImage"))),
        json!(kernel),
        json!(unknown(info("containerRuntimeVersion"))),
    ]
}

fn node_status(row: &Row<'_>) -> String {
    let ready = items(row.object, "/status/conditions").iter().find(|condition| condition["type"] == "Ready");
    let mut status = match ready.map(|condition| condition["status"] == "True") {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if *row.at("/spec/unschedulable") == json!(true) {
        status += ",SchedulingDisabled";
    }
    status
}

fn roles(node: &Value) -> String {
    let labels = node["metadata"]["labels"].as_object().into_iter().flatten();
    let mut roles: Vec<&str> = labels
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some("") | None => (key == "kubernetes.io/role").then(|| value.as_str()).flatten(),
            role => role,
        })
        .collect();
    roles.sort_unstable();
    or_none(roles.join(","))
}

/// Both groups of events name the same things differently.
fn event(row: &Row<'_>) -> Vec<Value> {
    let either = |core: &str, grouped: &str| {
        let value = row.at(core);
        if value.is_null() { row.at(grouped).clone() } else { value.clone() }
    };
    let about = either("/involvedObject", "/regarding");
    let object = format!("{}/{}", str_of(&about, "kind").to_lowercase(), str_of(&about, "name"));
    let time = row.at("/eventTime").clone();
    let seen = |core: &str, grouped: &str| {
        let value = either(core, grouped);
        if value.is_null() { time.clone() } else { value }
    };
    let first = seen("/firstTimestamp", "/deprecatedFirstTimestamp");
    let series = row.at("/series");
    let last = match series["lastObservedTime"].is_string() {
        true => series["lastObservedTime"].clone(),
        false => seen("/lastTimestamp", "/deprecatedLastTimestamp"),
    };
    let last = if last.is_null() { first.clone() } else { last };
    let count =
        series["count"].as_i64().or(either("/count", "/deprecatedCount").as_i64()).unwrap_or(1).max(1);
    vec![
        json!(age(&last, row.now)),
        row.at("/type").clone(),
        row.at("/reason").clone(),
        json!(object),
        json!(str_of(&about, "fieldPath")),
        json!(source(row, &either("/source", "/deprecatedSource"))),
        json!(either("/message", "/note").as_str().unwrap_or_default().trim()),
        json!(age(&first, row.now)),
        json!(count),
        row.name(),
    ]
}

fn source(row: &Row<'_>, source: &Value) -> String {
    let or = |text: &str, pointers: &[&str]| match text {
        "" => pointers
            .iter()
            .map(|pointer| row.text(pointer))
            .find(|text| !text.is_empty())
            .unwrap_or_default()
            .to_owned(),
        text => text.to_owned(),
    };
    let component = or(str_of(source, "component"), &["/reportingComponent", "/reportingController"]);
    let host = or(str_of(source, "host"), &["/reportingInstance"]);
    // Controllers report their own name as instance; it says nothing new.
    let parts: Vec<String> = [component.clone(), host].into_iter().filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        [first, second] if first == second => component,
        parts => parts.join(", "),
    }
}

fn component_status(row: &Row<'_>) -> Vec<Value> {
    let healthy = items(row.object, "/conditions").iter().find(|condition| condition["type"] == "Healthy");
    let text = |field: &str| healthy.map(|condition| str_of(condition, field)).unwrap_or_default();
    let status = match text("status") {
        "True" => "Healthy",
        "False" => "Unhealthy",
        _ => "Unknown",
    };
    vec![row.name(), json!(status), json!(text("message")), json!(text("error"))]
}

fn controller_revision(row: &Row<'_>) -> Vec<Value> {
    let owner =
        items(row.object, "/metadata/ownerReferences").iter().find(|owner| owner["controller"] == true);
    let shown = owner.map_or_else(
        || "<none>".to_owned(),
        |owner| {
            let (group, _) = str_of(owner, "apiVersion").rsplit_once('/').unwrap_or(("", ""));
            let kind = str_of(owner, "kind").to_lowercase();
            let kind = if group.is_empty() { kind } else { format!("{kind}.{group}") };
            format!("{kind}/{}", str_of(owner, "name"))
        },
    );
    vec![row.name(), json!(shown), json!(row.number("/revision")), row.age()]
}
