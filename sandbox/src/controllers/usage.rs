//! How much of each resource pods ask for, and how much a node offers; all in thousandths.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fields::Fields;
use super::quantity;

/// Amounts by resource name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage(pub BTreeMap<String, i128>);

impl Usage {
    /// What a pod takes on its node: the sum of its containers and sidecars, or of its largest init
    /// container when that is more; overhead; and one pod.
    pub fn of_pod(pod: &Value) -> Self {
        let mut usage = Self::requested(pod, "requests");
        usage.add("pods", 1000);
        usage
    }

    /// The pod's `requests` or `limits` as its node accounts for them.
    pub fn requested(pod: &Value, what: &str) -> Self {
        let path = format!("/resources/{what}");
        let mut usage = Self::default();
        for container in pod.list("/spec/containers") {
            usage.take(container.at(&path));
        }
        let mut sidecars = Self::default();
        let mut largest = Self::default();
        for container in pod.list("/spec/initContainers") {
            let mut alone = sidecars.clone();
            alone.take(container.at(&path));
            if container.text("/restartPolicy") == "Always" {
                sidecars = alone.clone();
            }
            largest.raise(&alone);
        }
        for (resource, amount) in &sidecars.0 {
            usage.add(resource, *amount);
        }
        usage.raise(&largest);
        usage.take(pod.at("/spec/overhead"));
        usage
    }

    /// What a node offers to pods.
    pub fn of_node(node: &Value) -> Self {
        let mut usage = Self::default();
        usage.take(node.at("/status/allocatable"));
        usage
    }

    /// The amount of one resource.
    pub fn get(&self, resource: &str) -> i128 {
        self.0.get(resource).copied().unwrap_or_default()
    }

    /// Adds to one resource.
    pub fn add(&mut self, resource: &str, amount: i128) {
        *self.0.entry(resource.to_owned()).or_default() += amount;
    }

    /// Adds every amount of another, `times` over (minus one takes it away).
    pub fn add_all(&mut self, other: &Self, times: i128) {
        for (resource, amount) in &other.0 {
            self.add(resource, amount * times);
        }
    }

    fn take(&mut self, quantities: &Value) {
        for (resource, amount) in quantities.entries("") {
            self.add(resource, quantity::milli(amount));
        }
    }

    fn raise(&mut self, other: &Self) {
        for (resource, amount) in &other.0 {
            let held = self.0.entry(resource.clone()).or_default();
            *held = (*held).max(*amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_large_init_container_counts_instead_of_the_sum() {
        let pod = json!({"spec": {
            "containers": [{"resources": {"requests": {"cpu": "100m"}}}, {"resources": {"requests": {"cpu": "200m"}}}],
            "initContainers": [{"resources": {"requests": {"cpu": "1"}}}]}});
        assert_eq!(Usage::of_pod(&pod).get("cpu"), 1000);
        assert_eq!(Usage::of_pod(&pod).get("pods"), 1000);
    }
}
