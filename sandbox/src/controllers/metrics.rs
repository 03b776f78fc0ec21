//! Simulated resource use of pods and nodes: what metrics-server would report.
//!
//! A container uses what its pod's annotation `sandbox.aegis.dev/cpu` or `.../memory` says (with `.NAME`
//! behind it for one container, else shared evenly), else a tenth of what it requests (half of the
//! memory), else a small fixed amount.

use serde_json::Value;

use super::fields::{Fields, Object};
use super::quantity;
use super::usage::Usage;

/// Millicores of a container that requests nothing and says nothing.
const SMALL_CPU: i128 = 5;
/// Thousandths of bytes likewise: 20 MiB.
const SMALL_MEMORY: i128 = 20 * 1024 * 1024 * 1000;

/// What a pod uses now, in thousandths of cores and of bytes; nothing while it does not run.
pub fn of_pod(pod: &Value) -> Usage {
    let mut usage = Usage::default();
    for (_, container) in of_containers(pod) {
        usage.add_all(&container, 1);
    }
    usage
}

/// What each container of a pod uses now; none while the pod does not run.
pub fn of_containers(pod: &Value) -> Vec<(String, Usage)> {
    if pod.text("/status/phase") != "Running" {
        return Vec::new();
    }
    let sidecars = pod.list("/spec/initContainers").iter();
    let sidecars = sidecars.filter(|container| container.text("/restartPolicy") == "Always");
    let containers: Vec<&Value> = pod.list("/spec/containers").iter().chain(sidecars).collect();
    let share = containers.len().max(1) as i128;
    let measured = containers
        .into_iter()
        .map(|container| (container.text("/name").to_owned(), of(pod, container, share)));
    measured.collect()
}

fn of(pod: &Value, container: &Value, share: i128) -> Usage {
    let requested = |resource: &str| quantity::milli(&container["resources"]["requests"][resource]);
    let name = container.text("/name");
    let mut usage = Usage::default();
    for (resource, portion, least) in [("cpu", 10, SMALL_CPU), ("memory", 2, SMALL_MEMORY)] {
        let own = said(pod, &format!("{resource}.{name}"));
        let said = own.or_else(|| said(pod, resource).map(|amount| amount / share));
        usage.add(resource, said.unwrap_or((requested(resource) / portion).max(least)));
    }
    usage
}

/// What a node with these pods uses: they and a little of its own.
pub fn of_node<'a>(pods: impl IntoIterator<Item = &'a Object>) -> Usage {
    let mut usage = Usage::default();
    usage.add("cpu", 100);
    usage.add("memory", 512 * 1024 * 1024 * 1000);
    for pod in pods {
        usage.add_all(&of_pod(pod), 1);
    }
    usage
}

fn said(pod: &Value, what: &str) -> Option<i128> {
    let text = pod.annotation(&format!("sandbox.aegis.dev/{what}"));
    (!text.is_empty()).then(|| quantity::milli(&text.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_annotation_is_shared_by_containers_unless_it_names_one() {
        let pod = json!({
            "metadata": {"annotations": {"sandbox.aegis.dev/cpu": "300m", "sandbox.aegis.dev/cpu.b": "1"}},
            "spec": {"containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}]},
            "status": {"phase": "Running"},
        });
        let used: Vec<i128> = of_containers(&pod).iter().map(|(_, usage)| usage.get("cpu")).collect();
        assert_eq!(used, [100, 1000, 100]);
        assert_eq!(of_pod(&pod).get("cpu"), 1200);
    }

    #[test]
    fn a_pod_that_does_not_run_uses_nothing() {
        let pod = json!({"spec": {"containers": [{"name": "a"}]}, "status": {"phase": "Pending"}});
        assert_eq!(of_pod(&pod), Usage::default());
    }
}
