//! Rules of the cluster: quotas, budgets, priorities, roles, webhooks and policies, and what extends the API.

use super::text::{items, or_none, str_of};
use super::{AGE, KindTable, NAME, Row, column};
use serde_json::{Value, json};

pub(super) const TABLES: &[KindTable] = &[
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
        group: "certificates.k8s.io",
        kind: "CertificateSigningRequest",
        columns: &[
            NAME,
            AGE,
            column("SignerName", "string", 0, SIGNER),
            column("Requestor", "string", 0, "Base64-encoded PKCS#10 CSR data"),
            column("RequestedDuration", "string", 0, ".spec.expirationSeconds"),
            column(
                "Condition",
                "string",
                0,
                "Conditions applied to the request, such as approval or denial.",
            ),
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
];
/// Printed from an older form of the type, in which a request need not name its signer.
const SIGNER: &str = "Requested signer for the request. It is a qualified name in the form: `scope-hostname.io/name`. If empty, it will be defaulted:\n 1. If it's a kubelet client certificate, it is assigned\n    \"kubernetes.io/kube-apiserver-client-kubelet\".\n 2. If it's a kubelet serving certificate, it is assigned\n    \"kubernetes.io/kubelet-serving\".\n 3. Otherwise, it is assigned \"kubernetes.io/legacy-unknown\".\nDistribution of trust for signers happens out of band. You can select on this field using `spec.signerName`.";
/// Printed from an older form of the type, which does not say that it never changes.
const ROLE: &str = "RoleRef can reference a Role in the current namespace or a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error.";
const BINDING: &[super::Column] = &[
    NAME,
    column("Role", "string", 0, ROLE),
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
