//! What the typed form of an object cannot tell from absent, and what it tells although it is absent.
//!
//! The facts are those of the Go types of 1.36: `omitempty` on plain fields, and times that are no pointers.

use serde_json::Value;

use super::shape::{Scalar, Schema};

/// Plain number and boolean fields whose zero value means absent.
const ZERO_IS_ABSENT: &[&str] = &[
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "readOnly",
    "stdin",
    "stdinOnce",
    "tty",
    "paused",
    "publishNotReadyAddresses",
    "unschedulable",
    "globalDefault",
    "minReadySeconds",
    "hostPort",
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
    "nodePort",
    "observedGeneration",
    "readyReplicas",
    "availableReplicas",
    "unavailableReplicas",
    "updatedReplicas",
    "currentReplicas",
    "fullyLabeledReplicas",
    "healthCheckNodePort",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
    "generation",
    "count",
    "active",
    "succeeded",
    "failed",
];

/// Text fields whose empty value says something, wherever they stand.
const EMPTY_IS_TEXT: &[&str] =
    &["storageClassName", "holderIdentity", "ingressClassName", "timeZone", "volumeAttributesClassName"];

/// Text fields whose empty value is answered, by type; `*` is every field of the type.
const EMPTY_IS_TEXT_IN: &[(&str, &str)] = &[
    ("Condition", "message"),
    ("ContainerStatus", "image"),
    ("ContainerStatus", "imageID"),
    ("EndpointPort", "name"),
    ("Event", "reportingComponent"),
    ("Event", "reportingInstance"),
    ("GRPCAction", "service"),
    ("HostPathVolumeSource", "type"),
    ("NodeSystemInfo", "*"),
];

/// Types in which some status counters are answered even when zero.
const KEEP_ZERO: &[(&str, &str)] =
    &[("StatefulSetStatus", "availableReplicas"), ("HorizontalPodAutoscalerStatus", "currentReplicas")];

/// Times that are answered as `null` when there are none: they are no pointers.
const ALWAYS_TOLD: &[(&str, &[&str])] = &[
    ("APIServiceCondition", &["lastTransitionTime"]),
    ("CertificateSigningRequestCondition", &["lastTransitionTime", "lastUpdateTime"]),
    ("Condition", &["lastTransitionTime"]),
    ("ContainerStateRunning", &["startedAt"]),
    ("ContainerStateTerminated", &["finishedAt", "startedAt"]),
    ("CustomResourceDefinitionCondition", &["lastTransitionTime"]),
    ("DaemonSetCondition", &["lastTransitionTime"]),
    ("DeploymentCondition", &["lastTransitionTime", "lastUpdateTime"]),
    ("FlowSchemaCondition", &["lastTransitionTime"]),
    ("HorizontalPodAutoscalerCondition", &["lastTransitionTime"]),
    ("JobCondition", &["lastProbeTime", "lastTransitionTime"]),
    ("NamespaceCondition", &["lastTransitionTime"]),
    ("NodeCondition", &["lastHeartbeatTime", "lastTransitionTime"]),
    ("PersistentVolumeClaimCondition", &["lastProbeTime", "lastTransitionTime"]),
    ("PodCondition", &["lastProbeTime", "lastTransitionTime"]),
    ("PriorityLevelConfigurationCondition", &["lastTransitionTime"]),
    ("ReplicaSetCondition", &["lastTransitionTime"]),
    ("ReplicationControllerCondition", &["lastTransitionTime"]),
    ("StatefulSetCondition", &["lastTransitionTime"]),
];

/// The fields of a type that are answered as `null` when they are absent.
pub(super) fn always_told(owner: &str) -> &'static [&'static str] {
    ALWAYS_TOLD.iter().find(|(name, _)| *name == owner).map_or(&[], |(_, fields)| fields)
}

/// Whether a decoded value of a field is written out again.
pub(super) fn keeps(owner: &str, field: &str, schema: &Schema, value: &Value) -> bool {
    match value {
        Value::String(text) if text.is_empty() => {
            EMPTY_IS_TEXT.contains(&field)
                || schema.shape_is(Scalar::IntOrString)
                || EMPTY_IS_TEXT_IN.contains(&(owner, field))
                || EMPTY_IS_TEXT_IN.contains(&(owner, "*"))
        }
        Value::Bool(false) => !ZERO_IS_ABSENT.contains(&field),
        Value::Number(number) if number.as_i64() == Some(0) && schema.shape_is_integer() => {
            !ZERO_IS_ABSENT.contains(&field) || KEEP_ZERO.contains(&(owner, field))
        }
        _ => true,
    }
}
