//! Nodes, namespaces, events, configuration, policy and the API's own objects.

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
        kind: "LimitRange",
        columns: &[NAME, super::CREATED_AT],
        cells: (super::FALLBACK).cells,
    },
    KindTable {
        group: "",
        kind: "ResourceQuota",
        columns: &[
            NAME,
            column(
                "Request",
                "string",
                0,
                "Request represents a minimum amount of cpu/memory that a container may consume.",
            ),
            column(
                "Limit",
                "string",
                0,
                "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.",
            ),
            AGE,
        ],
        cells: resource_quota,
    },
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
        group: "policy",
        kind: "PodDisruptionBudget",
        columns: &[
            NAME,
            column("Min Available", "string", 0, "The minimum number of pods that must be available."),
            column("Max Unavailable", "string", 0, "The maximum number of pods that may be unavailable."),
            column(
                "Allowed Disruptions",
                "integer",
                0,
                "Calculated number of pods that may be disrupted at this time.",
            ),
            AGE,
        ],
        cells: disruption_budget,
    },
    KindTable {
        group: "scheduling.k8s.io",
        kind: "PriorityClass",
        columns: &[
            NAME,
            column("Value", "integer", 0, ".value"),
            column("Global-Default", "boolean", 0, ".globalDefault"),
            AGE,
            column("PreemptionPolicy", "string", 0, ".preemptionPolicy"),
        ],
        cells: |row| {
            let default = *row.at("/globalDefault") == json!(true);
            vec![
                row.name(),
                json!(row.number("/value")),
                json!(default),
                row.age(),
                row.at("/preemptionPolicy").clone(),
            ]
        },
    },
    KindTable {
        group: "coordination.k8s.io",
        kind: "Lease",
        columns: &[NAME, column("Holder", "string", 0, ".spec.holderIdentity"), AGE],
        cells: |row| vec![row.name(), json!(row.text("/spec/holderIdentity")), row.age()],
    },
    KindTable {
        group: "certificates.k8s.io",
        kind: "CertificateSigningRequest",
        columns: &[
            NAME,
            AGE,
            column("SignerName", "string", 0, ".spec.signerName"),
            column("Requestor", "string", 0, ".spec.request"),
            column("RequestedDuration", "string", 0, ".spec.expirationSeconds"),
            column("Condition", "string", 0, ".status.conditions"),
        ],
        cells: signing_request,
    },
    KindTable { group: "rbac.authorization.k8s.io", kind: "RoleBinding", columns: BINDING, cells: binding },
    KindTable {
        group: "rbac.authorization.k8s.io",
        kind: "ClusterRoleBinding",
        columns: BINDING,
        cells: binding,
    },
    KindTable {
        group: "apiregistration.k8s.io",
        kind: "APIService",
        columns: &[
            NAME,
            column("Service", "string", 0, "The reference to the service that hosts this API endpoint."),
            column("Available", "string", 0, "Whether this service is available."),
            AGE,
        ],
        cells: api_service,
    },
    KindTable {
        group: "admissionregistration.k8s.io",
        kind: "MutatingWebhookConfiguration",
        columns: WEBHOOKS,
        cells: webhooks,
    },
    KindTable {
        group: "admissionregistration.k8s.io",
        kind: "ValidatingWebhookConfiguration",
        columns: WEBHOOKS,
        cells: webhooks,
    },
    KindTable {
        group: "admissionregistration.k8s.io",
        kind: "ValidatingAdmissionPolicy",
        columns: &[
            NAME,
            column(
                "Validations",
                "integer",
                0,
                "Validations indicates the number of validation rules defined in this configuration",
            ),
            column(
                "ParamKind",
                "string",
                0,
                "ParamKind specifies the kind of resources used to parameterize this policy",
            ),
            AGE,
        ],
        cells: admission_policy,
    },
    KindTable {
        group: "admissionregistration.k8s.io",
        kind: "ValidatingAdmissionPolicyBinding",
        columns: &[
            NAME,
            column(
                "PolicyName",
                "string",
                0,
                "PolicyName indicates the policy definition which the policy binding binded to",
            ),
            column(
                "ParamRef",
                "string",
                0,
                "ParamRef indicates the param resource which sets the configration param",
            ),
            AGE,
        ],
        cells: admission_binding,
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

const BINDING: &[super::Column] = &[
    NAME,
    column("Role", "string", 0, ".roleRef"),
    AGE,
    column("Users", "string", 1, "Users in the roleBinding"),
    column("Groups", "string", 1, "Groups in the roleBinding"),
    column("ServiceAccounts", "string", 1, "ServiceAccounts in the roleBinding"),
];

const WEBHOOKS: &[super::Column] = &[
    NAME,
    column(
        "Webhooks",
        "integer",
        0,
        "Webhooks indicates the number of webhooks registered in this configuration",
    ),
    AGE,
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

fn resource_quota(row: &Row<'_>) -> Vec<Value> {
    let hard = row.at("/status/hard");
    let hard = if hard.is_object() { hard } else { row.at("/spec/hard") };
    let shown = |limits: bool| {
        let names = hard.as_object().into_iter().flatten();
        let names = names.filter(|(name, _)| name.starts_with("limits.") == limits);
        let used = |name: &str| row.object["status"]["used"][name].as_str().unwrap_or("0").to_owned();
        names
            .map(|(name, most)| format!("{name}: {}/{}", used(name), most.as_str().unwrap_or_default()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    vec![row.name(), json!(shown(false)), json!(shown(true)), row.age()]
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

fn disruption_budget(row: &Row<'_>) -> Vec<Value> {
    let share = |pointer: &str| match row.at(pointer) {
        Value::Null => "N/A".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    vec![
        row.name(),
        json!(share("/spec/minAvailable")),
        json!(share("/spec/maxUnavailable")),
        json!(row.number("/status/disruptionsAllowed")),
        row.age(),
    ]
}

fn signing_request(row: &Row<'_>) -> Vec<Value> {
    let conditions = items(row.object, "/status/conditions");
    let holds = |name: &str| conditions.iter().any(|condition| condition["type"] == name);
    let mut words = Vec::new();
    words.extend(match () {
        () if holds("Denied") => Some("Denied"),
        () if holds("Approved") => Some("Approved"),
        () => Some("Pending"),
    });
    words.extend(holds("Failed").then_some("Failed"));
    words.extend((!row.text("/status/certificate").is_empty()).then_some("Issued"));
    let lasts = row.at("/spec/expirationSeconds").as_i64();
    let signer = row.text("/spec/signerName");
    vec![
        row.name(),
        row.age(),
        json!(or_none(signer.to_owned())),
        json!(row.text("/spec/username")),
        json!(lasts.map_or_else(|| "<none>".to_owned(), super::text::duration)),
        json!(words.join(",")),
    ]
}

fn binding(row: &Row<'_>) -> Vec<Value> {
    let of = |kind: &str| {
        let subjects = items(row.object, "/subjects").iter().filter(|subject| subject["kind"] == kind);
        let names = subjects.map(|subject| match kind {
            "ServiceAccount" => format!("{}/{}", str_of(subject, "namespace"), str_of(subject, "name")),
            _ => str_of(subject, "name").to_owned(),
        });
        json!(names.collect::<Vec<_>>().join(", "))
    };
    let role = format!("{}/{}", row.text("/roleRef/kind"), row.text("/roleRef/name"));
    vec![row.name(), json!(role), row.age(), of("User"), of("Group"), of("ServiceAccount")]
}

fn api_service(row: &Row<'_>) -> Vec<Value> {
    let service = row.at("/spec/service");
    let place = match service.is_object() {
        true => format!("{}/{}", str_of(service, "namespace"), str_of(service, "name")),
        false => "Local".to_owned(),
    };
    let available =
        items(row.object, "/status/conditions").iter().find(|condition| condition["type"] == "Available");
    let available = match available {
        Some(condition) if condition["status"] == "True" => "True".to_owned(),
        Some(condition) => format!("{} ({})", str_of(condition, "status"), str_of(condition, "reason")),
        None => "Unknown".to_owned(),
    };
    vec![row.name(), json!(place), json!(available), row.age()]
}

fn webhooks(row: &Row<'_>) -> Vec<Value> {
    vec![row.name(), json!(items(row.object, "/webhooks").len()), row.age()]
}

fn admission_policy(row: &Row<'_>) -> Vec<Value> {
    let parameters = row.at("/spec/paramKind");
    let shown = match parameters.is_object() {
        true => format!("{}/{}", str_of(parameters, "apiVersion"), str_of(parameters, "kind")),
        false => "<unset>".to_owned(),
    };
    vec![row.name(), json!(items(row.object, "/spec/validations").len()), json!(shown), row.age()]
}

fn admission_binding(row: &Row<'_>) -> Vec<Value> {
    let parameters = row.at("/spec/paramRef");
    let shown = match parameters.is_object() {
        true => match str_of(parameters, "namespace") {
            "" => format!("*/{}", str_of(parameters, "name")),
            namespace => format!("{namespace}/{}", str_of(parameters, "name")),
        },
        false => "<unset>".to_owned(),
    };
    vec![row.name(), row.at("/spec/policyName").clone(), json!(shown), row.age()]
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
