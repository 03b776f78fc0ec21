//! Simulated resource use of pods and nodes: what metrics-server would report.
//!
//! A pod uses what its annotation `sandbox.aegis.dev/cpu` or `.../memory` says, else a tenth of what it
//! requests (half of the memory), else a small fixed amount.

use serde_json::Value;

use super::fields::{Fields, Object};
use super::quantity;
use super::usage::Usage;

/// Millicores of a pod that requests nothing and says nothing.
const SMALL_CPU: i128 = 5;
/// Thousandths of bytes likewise: 20 MiB.
const SMALL_MEMORY: i128 = 20 * 1024 * 1024 * 1000;

/// What a pod uses now, in thousandths of cores and of bytes; nothing while it does not run.
pub fn of_pod(pod: &Value) -> Usage {
    let mut usage = Usage::default();
    if pod.text("/status/phase") == "Running" {
        let requests = Usage::requested(pod, "requests");
        usage.add("cpu", said(pod, "cpu").unwrap_or((requests.get("cpu") / 10).max(SMALL_CPU)));
        usage.add("memory", said(pod, "memory").unwrap_or((requests.get("memory") / 2).max(SMALL_MEMORY)));
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

fn said(pod: &Value, resource: &str) -> Option<i128> {
    let text = pod.annotation(&format!("sandbox.aegis.dev/{resource}"));
    (!text.is_empty()).then(|| quantity::milli(&text.into()))
}
