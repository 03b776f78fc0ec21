//! The rules of the Pod Security Standards, each a function from a pod to a complaint.

use super::Level;
use crate::admission::items;
use serde_json::Value;

/// A broken rule.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Violation {
    /// What is wrong, in a few words.
    pub(super) reason: &'static str,
    /// Where, and what would be right.
    pub(super) detail: String,
}

type Check = fn(&Pod<'_>) -> Option<Violation>;

/// Rules of both levels, in the order they are reported. A restricted rule that says more than its baseline
/// one takes its place.
const CHECKS: &[(Level, bool, Check)] = &[
    (Level::Baseline, false, app_armor),
    (Level::Baseline, true, default_capabilities),
    (Level::Baseline, false, host_namespaces),
    (Level::Baseline, false, host_paths),
    (Level::Baseline, false, host_ports),
    (Level::Baseline, false, privileged),
    (Level::Baseline, false, proc_mount),
    (Level::Baseline, false, se_linux),
    (Level::Baseline, true, unconfined),
    (Level::Baseline, false, sysctls),
    (Level::Baseline, false, windows_host_process),
    (Level::Restricted, false, privilege_escalation),
    (Level::Restricted, false, dropped_capabilities),
    (Level::Restricted, false, volume_types),
    (Level::Restricted, false, run_as_non_root),
    (Level::Restricted, false, run_as_user),
    (Level::Restricted, false, confined),
];

/// What breaks the rules of a level.
pub(super) fn violations(level: Level, pod: &Value) -> Vec<Violation> {
    let pod = Pod::of(pod);
    let applies = |of: Level, superseded: bool| of <= level && !(superseded && level == Level::Restricted);
    CHECKS
        .iter()
        .filter(|(of, superseded, _)| applies(*of, *superseded))
        .filter_map(|(_, _, check)| check(&pod))
        .collect()
}

/// A pod with its containers of all sorts.
struct Pod<'a> {
    pod: &'a Value,
    spec: &'a Value,
    containers: Vec<&'a Value>,
}

impl<'a> Pod<'a> {
    fn of(pod: &'a Value) -> Self {
        let lists = ["/spec/initContainers", "/spec/containers", "/spec/ephemeralContainers"];
        let containers = lists.iter().flat_map(|list| items(pod, list)).collect();
        Self { pod, spec: &pod["spec"], containers }
    }

    /// Names of the containers for which something holds.
    fn which(&self, holds: impl Fn(&Value) -> bool) -> Vec<String> {
        let names = self.containers.iter().filter(|container| holds(container));
        names.map(|container| container["name"].as_str().unwrap_or_default().to_owned()).collect()
    }

    fn security(&self) -> &Value {
        &self.spec["securityContext"]
    }
}

fn violation(reason: &'static str, details: &[String]) -> Option<Violation> {
    (!details.is_empty()).then(|| Violation { reason, detail: details.join("; ") })
}

/// `container "a" must ...`, or `containers "a", "b" must ...`.
fn containers(names: &[String], rule: &str) -> Vec<String> {
    match names {
        [] => Vec::new(),
        names => vec![format!("{} {rule}", plural("container", names))],
    }
}

fn plural(word: &str, names: &[String]) -> String {
    let ending = if names.len() == 1 { "" } else { "s" };
    format!("{word}{ending} {}", quoted(names))
}

fn quoted<T: std::fmt::Debug>(names: &[T]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn host_namespaces(pod: &Pod<'_>) -> Option<Violation> {
    let names = ["hostNetwork", "hostPID", "hostIPC"];
    let set: Vec<String> =
        names.iter().filter(|name| pod.spec[**name] == true).map(|name| format!("{name}=true")).collect();
    (!set.is_empty()).then(|| Violation { reason: "host namespaces", detail: set.join(", ") })
}

fn host_paths(pod: &Pod<'_>) -> Option<Violation> {
    let volumes = items(pod.pod, "/spec/volumes").iter().filter(|volume| volume["hostPath"].is_object());
    let names: Vec<String> = volumes.map(|volume| text(volume, "name").to_owned()).collect();
    (!names.is_empty()).then(|| Violation { reason: "hostPath volumes", detail: plural("volume", &names) })
}

fn host_ports(pod: &Pod<'_>) -> Option<Violation> {
    let used = |container: &Value| -> Vec<i64> {
        items(container, "/ports")
            .iter()
            .filter_map(|port| port["hostPort"].as_i64())
            .filter(|port| *port != 0)
            .collect()
    };
    let names = pod.which(|container| !used(container).is_empty());
    let mut ports: Vec<i64> = pod.containers.iter().flat_map(|container| used(container)).collect();
    ports.sort_unstable();
    ports.dedup();
    let uses = if names.len() == 1 { "uses" } else { "use" };
    let word = if ports.len() == 1 { "hostPort" } else { "hostPorts" };
    let ports = ports.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    violation("hostPort", &containers(&names, &format!("{uses} {word} {ports}")))
}

fn privileged(pod: &Pod<'_>) -> Option<Violation> {
    let names = pod.which(|container| container["securityContext"]["privileged"] == true);
    violation("privileged", &containers(&names, "must not set securityContext.privileged=true"))
}

/// Capabilities the baseline lets a container add.
const BASELINE_CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

fn added(container: &Value, allowed: &[&str]) -> Vec<String> {
    let added = items(container, "/securityContext/capabilities/add").iter().filter_map(Value::as_str);
    added.filter(|name| !allowed.contains(name)).map(str::to_owned).collect()
}

/// The complaint about capabilities beyond the allowed ones.
fn added_detail(pod: &Pod<'_>, allowed: &[&str]) -> Vec<String> {
    let names = pod.which(|container| !added(container, allowed).is_empty());
    let mut all: Vec<String> =
        pod.containers.iter().flat_map(|container| added(container, allowed)).collect();
    all.sort();
    all.dedup();
    containers(&names, &format!("must not include {} in securityContext.capabilities.add", quoted(&all)))
}

fn default_capabilities(pod: &Pod<'_>) -> Option<Violation> {
    violation("non-default capabilities", &added_detail(pod, BASELINE_CAPABILITIES))
}

fn dropped_capabilities(pod: &Pod<'_>) -> Option<Violation> {
    let names = pod.which(|container| {
        !items(container, "/securityContext/capabilities/drop").iter().any(|name| name == "ALL")
    });
    let mut details = containers(&names, "must set securityContext.capabilities.drop=[\"ALL\"]");
    details.extend(added_detail(pod, &["NET_BIND_SERVICE"]));
    violation("unrestricted capabilities", &details)
}

fn proc_mount(pod: &Pod<'_>) -> Option<Violation> {
    let unusual =
        |container: &Value| !matches!(text(&container["securityContext"], "procMount"), "" | "Default");
    let names = pod.which(unusual);
    let found = pod.containers.iter().find(|container| unusual(container));
    let found = found.map(|container| text(&container["securityContext"], "procMount")).unwrap_or_default();
    violation(
        "procMount",
        &containers(&names, &format!("must not set securityContext.procMount to {found:?}")),
    )
}

fn app_armor(pod: &Pod<'_>) -> Option<Violation> {
    let prefix = "container.apparmor.security.beta.kubernetes.io/";
    let annotations = pod.pod["metadata"]["annotations"].as_object().into_iter().flatten();
    let forbidden = annotations.filter(|(key, value)| {
        let profile = value.as_str().unwrap_or_default();
        let allowed = matches!(profile, "" | "runtime/default") || profile.starts_with("localhost/");
        key.starts_with(prefix) && !allowed
    });
    let shown: Vec<String> = forbidden.map(|(key, value)| format!("{key}={value}")).collect();
    let noun = if shown.len() == 1 { "forbidden AppArmor profile" } else { "forbidden AppArmor profiles" };
    (!shown.is_empty()).then(|| Violation { reason: noun, detail: shown.join(", ") })
}

fn se_linux(pod: &Pod<'_>) -> Option<Violation> {
    let broken = |options: &Value| {
        let allowed = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
        !allowed.contains(&text(options, "type"))
            || !text(options, "user").is_empty()
            || !text(options, "role").is_empty()
    };
    let mut places = Vec::new();
    if broken(&pod.security()["seLinuxOptions"]) {
        places.push("pod".to_owned());
    }
    let names = pod.which(|container| broken(&container["securityContext"]["seLinuxOptions"]));
    if !names.is_empty() {
        places.push(plural("container", &names));
    }
    let detail = format!("{} set forbidden securityContext.seLinuxOptions", places.join(" and "));
    (!places.is_empty()).then_some(Violation { reason: "seLinuxOptions", detail })
}

/// Kernel parameters the baseline lets a pod set.
const SAFE_SYSCTLS: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

fn sysctls(pod: &Pod<'_>) -> Option<Violation> {
    let set = items(pod.spec, "/securityContext/sysctls").iter().map(|sysctl| text(sysctl, "name"));
    let unsafe_ones: Vec<&str> = set.filter(|name| !SAFE_SYSCTLS.contains(name)).collect();
    (!unsafe_ones.is_empty())
        .then(|| Violation { reason: "forbidden sysctls", detail: unsafe_ones.join(", ") })
}

fn windows_host_process(pod: &Pod<'_>) -> Option<Violation> {
    let set = |security: &Value| security["windowsOptions"]["hostProcess"] == true;
    let mut places = Vec::new();
    if set(pod.security()) {
        places.push("pod".to_owned());
    }
    let names = pod.which(|container| set(&container["securityContext"]));
    if !names.is_empty() {
        places.push(plural("container", &names));
    }
    let detail =
        format!("{} must not set securityContext.windowsOptions.hostProcess=true", places.join(" and "));
    (!places.is_empty()).then_some(Violation { reason: "hostProcess", detail })
}

fn privilege_escalation(pod: &Pod<'_>) -> Option<Violation> {
    let names = pod.which(|container| container["securityContext"]["allowPrivilegeEscalation"] != false);
    let rule = "must set securityContext.allowPrivilegeEscalation=false";
    violation("allowPrivilegeEscalation != false", &containers(&names, rule))
}

/// Volume sources the restricted level allows.
const RESTRICTED_VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

fn volume_types(pod: &Pod<'_>) -> Option<Violation> {
    let source = |volume: &Value| -> Option<String> {
        let keys = volume.as_object()?.keys();
        keys.into_iter().find(|key| *key != "name" && !RESTRICTED_VOLUMES.contains(&key.as_str())).cloned()
    };
    let bad: Vec<(String, String)> = items(pod.pod, "/spec/volumes")
        .iter()
        .filter_map(|volume| Some((text(volume, "name").to_owned(), source(volume)?)))
        .collect();
    let names: Vec<String> = bad.iter().map(|(name, _)| name.clone()).collect();
    let mut types: Vec<&String> = bad.iter().map(|(_, source)| source).collect();
    types.sort();
    types.dedup();
    let (uses, word) =
        (if names.len() == 1 { "uses" } else { "use" }, if types.len() == 1 { "type" } else { "types" });
    let detail = format!("{} {uses} restricted volume {word} {}", plural("volume", &names), quoted(&types));
    (!names.is_empty()).then_some(Violation { reason: "restricted volume types", detail })
}

fn run_as_non_root(pod: &Pod<'_>) -> Option<Violation> {
    let field = |security: &Value| security["runAsNonRoot"].as_bool();
    let of_pod = field(pod.security());
    let mut details = Vec::new();
    if of_pod == Some(false) {
        details.push("pod must not set securityContext.runAsNonRoot=false".to_owned());
    }
    let explicit = pod.which(|container| field(&container["securityContext"]) == Some(false));
    details.extend(containers(&explicit, "must not set securityContext.runAsNonRoot=false"));
    if details.is_empty() && of_pod.is_none() {
        let silent = pod.which(|container| field(&container["securityContext"]).is_none());
        let silent = containers(&silent, "must set securityContext.runAsNonRoot=true");
        details.extend(silent.into_iter().map(|detail| format!("pod or {detail}")));
    }
    violation("runAsNonRoot != true", &details)
}

fn run_as_user(pod: &Pod<'_>) -> Option<Violation> {
    let mut details = Vec::new();
    if pod.security()["runAsUser"] == 0 {
        details.push("pod must not set runAsUser=0".to_owned());
    }
    let names = pod.which(|container| container["securityContext"]["runAsUser"] == 0);
    details.extend(containers(&names, "must not set runAsUser=0"));
    violation("runAsUser=0", &details)
}

fn seccomp(security: &Value) -> &str {
    text(&security["seccompProfile"], "type")
}

fn unconfined(pod: &Pod<'_>) -> Option<Violation> {
    violation("seccompProfile", &explicit_seccomp(pod, |profile| profile == "Unconfined"))
}

/// Complaints about profiles that are set and not allowed.
fn explicit_seccomp(pod: &Pod<'_>, bad: fn(&str) -> bool) -> Vec<String> {
    let mut details = Vec::new();
    if bad(seccomp(pod.security())) {
        details.push(format!(
            "pod must not set securityContext.seccompProfile.type to {:?}",
            seccomp(pod.security())
        ));
    }
    let names = pod.which(|container| bad(seccomp(&container["securityContext"])));
    let found = pod
        .containers
        .iter()
        .map(|container| seccomp(&container["securityContext"]))
        .find(|profile| bad(profile));
    let rule = format!("must not set securityContext.seccompProfile.type to {:?}", found.unwrap_or_default());
    details.extend(containers(&names, &rule));
    details
}

fn confined(pod: &Pod<'_>) -> Option<Violation> {
    let mut details =
        explicit_seccomp(pod, |profile| !matches!(profile, "" | "RuntimeDefault" | "Localhost"));
    if details.is_empty() && seccomp(pod.security()).is_empty() {
        let silent = pod.which(|container| seccomp(&container["securityContext"]).is_empty());
        let rule = "must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"";
        details.extend(containers(&silent, rule).into_iter().map(|detail| format!("pod or {detail}")));
    }
    violation("seccompProfile", &details)
}
