//! Nodes: where they come from, how they stay alive, and what happens when they do not.
//!
//! | file | what |
//! |---|---|
//! | `topology` | the nodes a new cluster starts with |
//! | `heartbeat` | the kubelet's lease and conditions |
//! | `lifecycle` | NotReady after missed heartbeats, and the taints that follow from a node's state |
//! | `eviction` | pods leave nodes with NoExecute taints they do not tolerate |
//! | `static_pods` | the control plane as pods |
//! | `garbage` | pods of nodes that are no more |

pub mod eviction;
pub mod garbage;
pub mod heartbeat;
pub mod lifecycle;
pub mod static_pods;
pub mod topology;

use std::net::Ipv4Addr;

use serde_json::Value;

use super::fields::Fields;

/// The annotation that takes a simulated node's kubelet down: no heartbeats, no pod moves on.
pub const DOWN: &str = "sandbox.aegis.dev/down";

/// The annotation that says which fault a node suffers (see `faults::nodes`): it is down as well.
pub const FAULT: &str = "sandbox.aegis.dev/fault";

/// Whether the node's kubelet stands still.
pub fn is_down(node: &Value) -> bool {
    node.annotation(DOWN) == "true" || !node.annotation(FAULT).is_empty()
}

/// Whether this is a node we play the kubelet of: one with a machine, whoever provides it. A bare Node object
/// has no machine, so nobody reports for it.
pub fn is_ours(node: &Value) -> bool {
    !node.text("/spec/providerID").is_empty()
}

/// The node's address inside the cluster.
pub fn internal_ip(node: &Value) -> &str {
    let addresses = node.list("/status/addresses");
    addresses.iter().find(|held| held.text("/type") == "InternalIP").map_or("", |held| held.text("/address"))
}

/// An address of the node's pod range that is not in `taken`, counted up from the highest one; the
/// first (the bridge) is never given.
pub fn free_address(node: &Value, taken: &[&str]) -> String {
    let (base, bits) = range(node.text("/spec/podCIDR"));
    let size = 1_u32 << (32 - bits.min(30));
    let host = |text: &&str| text.parse::<Ipv4Addr>().ok().map(|ip| u32::from(ip).wrapping_sub(base));
    let used: std::collections::BTreeSet<u32> =
        taken.iter().filter_map(host).filter(|host| *host < size).collect();
    let last = used.last().copied().unwrap_or(1);
    let free = (last + 1..size - 1).chain(2..=last).find(|host| !used.contains(host)).unwrap_or(2);
    Ipv4Addr::from(base + free).to_string()
}

fn range(cidr: &str) -> (u32, u32) {
    let (ip, bits) = cidr.split_once('/').unwrap_or((cidr, "24"));
    let base = ip.parse::<Ipv4Addr>().map_or(0x0AF4_FF00, u32::from);
    (base, bits.parse().unwrap_or(24))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_go_up_and_come_back_round() {
        let node = json!({"spec": {"podCIDR": "10.244.3.0/24"}});
        assert_eq!(free_address(&node, &[]), "10.244.3.2");
        assert_eq!(free_address(&node, &["10.244.3.2", "10.244.3.7"]), "10.244.3.8");
        assert_eq!(free_address(&node, &["10.244.3.254"]), "10.244.3.2");
    }
}
