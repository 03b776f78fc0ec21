//! What may differ between two servers that do the same: one visible list, taken from the recordings' README, and
//! from what is plainly chance or time.

use std::sync::LazyLock;

use regex::Regex;

/// How two values in one place are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Both are there; what they say does not matter.
    Present,
    /// A resourceVersion: learnt, for later requests.
    Version,
    /// A value that only the server reads: learnt, for later requests.
    Opaque,
    /// An address: both are one, or both say the same word.
    Address,
    /// Which node or zone the scheduler picked.
    Placement,
    /// How often something was said: whether more than once. A controller that looks every so often says it as often as
    /// it had time.
    Repeated,
    /// Word by word, generated names and uids by what was learnt.
    Words,
}

/// Keys whose values are addresses that the cluster hands out.
const ADDRESSES: &[&str] = &[
    "serverAddress",
    "jwks_uri",
    "clusterIP",
    "clusterIPs",
    "podIP",
    "podIPs",
    "hostIP",
    "hostIPs",
    "ip",
    "addresses",
    "nodePort",
    "healthCheckNodePort",
    "kubernetes.io/peer-advertise-address",
];
/// Keys whose values depend on the node that the scheduler picked.
const PLACEMENTS: &[&str] = &[
    "nodeName",
    "volume.kubernetes.io/selected-node",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "zone",
];

/// The rule for a place: the keys and indices on the way to it.
pub(super) fn rule(place: &[String]) -> Rule {
    let key = place.iter().rev().find(|part| part.parse::<usize>().is_err());
    let key = key.map_or_else(String::new, |key| key.replace("~1", "/"));
    let key = key.as_str();
    let is_in = |part: &str| place.iter().any(|other| other == part);
    match key {
        "resourceVersion" => Rule::Version,
        "continue" => Rule::Opaque,
        "remainingItemCount" => Rule::Present,
        "count" => Rule::Repeated,
        "time" if is_in("managedFields") => Rule::Present,
        _ if key.ends_with("Time") || key.ends_with("Timestamp") => Rule::Present,
        // The machine that the server ran on.
        "kubernetes.io/hostname" if place.iter().any(|part| part.contains("~1apiserver-")) => Rule::Present,
        _ if ADDRESSES.contains(&key) => Rule::Address,
        _ if PLACEMENTS.contains(&key) => Rule::Placement,
        _ => Rule::Words,
    }
}

/// The rule for a cell, by the name of its column.
pub(super) fn cell_rule(column: &str) -> Rule {
    match column {
        "Age" | "Duration" | "Last Schedule" | "Last Seen" | "First Seen" => Rule::Present,
        "IP" | "Cluster-IP" | "External-IP" | "Endpoints" => Rule::Address,
        "Node" => Rule::Placement,
        "Count" => Rule::Repeated,
        _ => Rule::Words,
    }
}

/// Who wrote what is an imitation in the recordings: their cluster had no kubelet, no volume provisioner and no
/// load balancer, but a program that played them.
pub(super) fn is_imitation(owner: &str) -> bool {
    ["kubelet ", "csi-provisioner ", "cloud-controller-manager ", "service-controller "]
        .iter()
        .any(|player| owner.starts_with(player))
}

/// What of a pod's status that program wrote: conditions it holds by type and status only (those of the
/// scheduler and of evictions are real), and of containers neither ids nor sentences.
pub(super) fn is_imitated(place: &[String]) -> bool {
    let parts: Vec<&str> = place.iter().map(String::as_str).collect();
    let status = parts.iter().rposition(|part| *part == "status").unwrap_or(parts.len());
    match parts.get(status..).unwrap_or_default() {
        [_, "containerStatuses" | "initContainerStatuses", _, rest @ ..] => {
            !matches!(rest, ["name" | "ready" | "started" | "restartCount"])
        }
        [_, "observedGeneration" | "startTime" | "hostIPs" | "podIPs" | "hostIP" | "podIP"] => true,
        _ => false,
    }
}

/// Conditions of a pod that the program wrote.
pub(super) const IMITATED_CONDITIONS: &[&str] =
    &["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"];

/// The volume source of a patch that the recorded server carried; the rest of that patch was switched off.
pub(super) fn is_foreign_source(source: &serde_json::Value) -> bool {
    source["configMap"]["name"] == "openshift-service-ca.crt"
}

/// Objects of a patch that the recorded server carried: those of the fork it was built from.
pub(super) fn is_foreign(name: &str) -> bool {
    name.contains("openshift") || name == "system:controller:service-ca-cert-publisher"
}

/// Whether a list is one of endpoints, which the real controllers write in no order.
pub(super) fn is_endpoints(key: &str, list: &[serde_json::Value]) -> bool {
    matches!(key, "endpoints" | "addresses" | "notReadyAddresses")
        && list.iter().all(|one| one["targetRef"].is_object())
}

/// Lists that are sets of named objects.
pub(super) fn is_set(key: &str) -> bool {
    matches!(key, "items" | "rows")
}

/// Texts inside of texts that say when, not what: replaced before words are compared.
#[expect(clippy::unwrap_used, reason = "the patterns are literals")]
static MASKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let mask = |pattern: &str, name: &'static str| (Regex::new(pattern).unwrap(), name);
    vec![
        mask(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "TIME"),
        mask(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? \+0000 UTC( m=[+-][\d.]+)?", "TIME"),
        mask(r"(-----BEGIN [A-Z ]+-----[^-]*-----END [A-Z ]+-----\n?)+", "PEM"),
        mask(r"LS0tLS1CRUdJTi[A-Za-z0-9+/]+=*", "PEM"),
        mask(r"^(@base64-jwt|ZXlK[A-Za-z0-9+/]+=*)$", "JWT"),
        mask(r"(resource version: \d+, current: )\d+", "${1}VERSION"),
        mask(r"(too old resource version: \d+ \()\d+", "${1}VERSION"),
        mask(r"(ResourceVersion in record \()\d+", "${1}VERSION"),
        mask(r#"(resourceVersion\\*":\\*")\d+"#, "${1}VERSION"),
        mask(r#"(clusterIPs?\\*":\[?\\*")[0-9.]+"#, "${1}ADDRESS"),
        mask(r#"(ResourceVersion:)"?\d+"?"#, "${1}VERSION"),
        mask(r"\b\d+(ms|[smhd])(\d+[smh])? ago", "TIME ago"),
        mask(r"\?hash=[0-9A-F]+", "?hash=HASH"),
        mask(r":3[0-2]\d{3}/", ":PORT/"),
        // The machine that the scheduler ran on.
        mask(r"default-scheduler-[a-z0-9-]+", "default-scheduler-HOST"),
        mask(r"apiserver-[a-z2-7]{26}", "apiserver-HOST"),
        mask(r"JTI=[0-9a-f-]+", "JTI"),
    ]
});

/// A text without what says when.
pub(super) fn masked(text: &str) -> String {
    MASKS.iter().fold(text.to_owned(), |text, (pattern, name)| pattern.replace_all(&text, *name).into_owned())
}

#[expect(clippy::unwrap_used, reason = "the pattern is a literal")]
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b\d{1,3}(\.\d{1,3}){3}\b(:\d+)?").unwrap());

/// A list of causes in brackets is made from maps here and there, so its order says nothing.
pub(super) fn is_unordered(text: &str) -> bool {
    text.contains(" is invalid: [")
}

/// A text without addresses.
pub(super) fn without_addresses(text: &str) -> String {
    ADDRESS.replace_all(text, "ADDRESS").into_owned()
}

#[expect(clippy::unwrap_used, reason = "the pattern is a literal")]
static NODE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(cp|worker)-\d+\b").unwrap());

/// A text without names of nodes, where the scheduler says what it picked.
pub(super) fn without_nodes(text: &str) -> String {
    NODE.replace_all(text, "NODE").into_owned()
}

/// Whether a text tells what the scheduler picked.
pub(super) fn tells_placement(text: &str) -> bool {
    text.starts_with("Successfully assigned")
}

/// Whether a place inside an object (which stands `depth` parts deep) is the controllers' to write: of an object
/// that a controller made, its size is as well.
pub(super) fn is_controllers(place: &str, depth: usize, is_owned: bool) -> bool {
    let parts: Vec<&str> = place.split('/').skip(depth).collect();
    match parts[..] {
        ["status", ..] => true,
        ["spec", "replicas"] => is_owned,
        // A pod before it has a node.
        ["spec", "nodeName"]
        | ["metadata", "labels", "topology.kubernetes.io~1zone" | "topology.kubernetes.io~1region"] => true,
        [
            "metadata",
            "managedFields" | "annotations" | "generation" | "resourceVersion" | "finalizers",
            ..,
        ] => true,
        ["metadata", "deletionTimestamp" | "deletionGracePeriodSeconds", ..] => true,
        _ => false,
    }
}
