//! Services: cluster addresses and node ports, handed out when the Service is written.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::api::status::{Cause, Status};
use crate::api::write::remove;
use crate::store::{Resource, Transaction};

/// Cluster addresses are `10.0.0.0/16`; the first belongs to the API itself, the tenth to DNS.
const NETWORK: [u8; 2] = [10, 0];
/// Where node ports begin, and how many there are.
const NODE_PORTS: (u64, u64) = (30000, 2768);

pub(super) fn prepare_for_create(t: &Transaction<'_>, object: &mut Value) -> Result<(), Status> {
    object["status"] = json!({"loadBalancer": {}});
    allocate(t, object);
    Ok(())
}

/// What was handed out stays, unless the Service no longer has a use for it.
pub(super) fn prepare_for_update(t: &Transaction<'_>, old: &Value, new: &mut Value) {
    if has_address(new) && has_address(old) {
        for field in ["clusterIP", "clusterIPs"] {
            if new["spec"].get(field).is_none_or(|value| value.as_str() == Some(""))
                && old["spec"].get(field).is_some()
            {
                new["spec"][field] = old["spec"][field].clone();
            }
        }
        keep_node_ports(old, new);
    }
    drop_node_ports(new);
    allocate(t, new);
}

fn has_address(service: &Value) -> bool {
    service["spec"]["type"] != "ExternalName"
}

fn needs_node_ports(service: &Value) -> bool {
    match service["spec"]["type"].as_str() {
        Some("NodePort") => true,
        Some("LoadBalancer") => service["spec"]["allocateLoadBalancerNodePorts"] != false,
        _ => false,
    }
}

/// A Service that was reachable from outside and no longer is gives its ports back.
fn drop_node_ports(new: &mut Value) {
    if matches!(new["spec"]["type"].as_str(), Some("NodePort" | "LoadBalancer")) {
        return;
    }
    for field in ["externalTrafficPolicy", "allocateLoadBalancerNodePorts", "healthCheckNodePort"] {
        remove(&mut new["spec"], field);
    }
    for port in new["spec"]["ports"].as_array_mut().into_iter().flatten() {
        remove(port, "nodePort");
    }
}

fn keep_node_ports(old: &Value, new: &mut Value) {
    if !needs_node_ports(new) {
        return;
    }
    let same = |a: &Value, b: &Value| a["port"] == b["port"] && a["protocol"] == b["protocol"];
    let old_ports = old["spec"]["ports"].as_array().cloned().unwrap_or_default();
    for port in new["spec"]["ports"].as_array_mut().into_iter().flatten() {
        let before = old_ports.iter().find(|before| same(before, port));
        if let Some(before) = before.filter(|before| before["nodePort"].is_u64())
            && !port["nodePort"].is_u64()
        {
            port["nodePort"] = before["nodePort"].clone();
        }
    }
}

fn allocate(t: &Transaction<'_>, object: &mut Value) {
    if !has_address(object) {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            remove(&mut object["spec"], field);
        }
        return;
    }
    if object["spec"]["clusterIP"].as_str().unwrap_or_default().is_empty() {
        let chosen = object["spec"]["clusterIPs"][0].as_str().map(str::to_owned);
        object["spec"]["clusterIP"] = chosen.unwrap_or_else(|| free_address(t, object)).into();
    }
    let spec = &mut object["spec"];
    spec["clusterIPs"] = json!([spec["clusterIP"]]);
    for (field, value) in [
        ("type", json!("ClusterIP")),
        ("sessionAffinity", json!("None")),
        ("internalTrafficPolicy", json!("Cluster")),
        ("ipFamilies", json!(["IPv4"])),
        ("ipFamilyPolicy", json!("SingleStack")),
    ] {
        if spec[field].is_null() {
            spec[field] = value;
        }
    }
    allocate_node_ports(t, object);
}

fn allocate_node_ports(t: &Transaction<'_>, object: &mut Value) {
    if !needs_node_ports(object) {
        return;
    }
    if object["spec"]["externalTrafficPolicy"].is_null() {
        object["spec"]["externalTrafficPolicy"] = "Cluster".into();
    }
    if object["spec"]["type"] == "LoadBalancer" && object["spec"]["allocateLoadBalancerNodePorts"].is_null() {
        object["spec"]["allocateLoadBalancerNodePorts"] = true.into();
    }
    let mut used = used_node_ports(t, object);
    let purpose = purpose(object);
    for port in object["spec"]["ports"].as_array_mut().into_iter().flatten() {
        if port["nodePort"].as_u64().unwrap_or(0) == 0 {
            let start = t.ambient().below(&purpose, NODE_PORTS.1);
            let free = (0..NODE_PORTS.1)
                .map(|step| NODE_PORTS.0 + (start + step) % NODE_PORTS.1)
                .find(|candidate| !used.contains(candidate));
            if let Some(free) = free {
                used.insert(free);
                port["nodePort"] = free.into();
            }
        }
    }
}

/// What addresses and ports are drawn for.
fn purpose(object: &Value) -> String {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    format!("addresses/{}/{}", text("namespace"), text("name"))
}

fn others<'a>(
    t: &Transaction<'_>,
    object: &'a Value,
) -> impl Iterator<Item = crate::store::Object> + use<'a> {
    let services = t.list(&Resource::core("services"), None);
    services.into_iter().filter(|service| service["metadata"]["uid"] != object["metadata"]["uid"])
}

fn used_node_ports(t: &Transaction<'_>, object: &Value) -> HashSet<u64> {
    others(t, object)
        .flat_map(|service| service["spec"]["ports"].as_array().cloned().unwrap_or_default())
        .filter_map(|port| port["nodePort"].as_u64())
        .collect()
}

fn free_address(t: &Transaction<'_>, object: &Value) -> String {
    let used: HashSet<String> = t
        .list(&Resource::core("services"), None)
        .iter()
        .filter_map(|service| service["spec"]["clusterIP"].as_str().map(str::to_owned))
        .collect();
    let span = 65_536 - 256;
    let start = t.ambient().below(&purpose(object), span);
    let address = |number: u64| format!("{}.{}.{}.{}", NETWORK[0], NETWORK[1], number >> 8, number & 0xff);
    let mut candidates = (0..span).map(|step| address(256 + (start + step) % span));
    candidates.find(|candidate| !used.contains(candidate)).unwrap_or_default()
}

/// Clashes of addresses and ports that the writer chose.
pub(super) fn problems(t: &Transaction<'_>, old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let address = new["spec"]["clusterIP"].as_str().unwrap_or_default();
    let is_fixed = !matches!(address, "" | "None");
    if let Some(old) = old
        && has_address(old)
        && has_address(new)
        && old["spec"]["clusterIP"] != new["spec"]["clusterIP"]
    {
        let value = json!([address]);
        causes.push(Cause::invalid("spec.clusterIPs[0]", &value, "may not change once set"));
    }
    if is_fixed && let Some(problem) = address_problem(t, new, address) {
        let detail = format!("failed to allocate IP {address}: {problem}");
        causes.push(Cause::invalid("spec.clusterIPs", &json!([address]), detail));
    }
    for (index, range) in new["spec"]["loadBalancerSourceRanges"].as_array().into_iter().flatten().enumerate()
    {
        if !is_network(range.as_str().unwrap_or_default()) {
            let field = format!("spec.LoadBalancerSourceRanges[{index}]");
            let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            causes.push(Cause::invalid(field, range, detail));
        }
    }
    let used = used_node_ports(t, new);
    for (index, port) in new["spec"]["ports"].as_array().into_iter().flatten().enumerate() {
        let field = format!("spec.ports[{index}].nodePort");
        let Some(number) = port["nodePort"].as_u64().filter(|number| *number != 0) else { continue };
        let range = NODE_PORTS.0..NODE_PORTS.0 + NODE_PORTS.1;
        if !range.contains(&number) {
            let detail = "provided port is not in the valid range. The range of valid ports is 30000-32767";
            causes.push(Cause::invalid(field, &json!(number), detail));
        } else if used.contains(&number) {
            causes.push(Cause::invalid(field, &json!(number), "provided port is already allocated"));
        }
    }
    causes.extend(port_name_problems(&new["spec"]["ports"]));
    let selects_ports = new["spec"]["ports"].as_array().is_some_and(|ports| !ports.is_empty());
    if !selects_ports && has_address(new) && address != "None" {
        causes.push(Cause::required("spec.ports", ""));
    }
    causes
}

/// Why an address that the writer chose cannot be had.
fn address_problem(t: &Transaction<'_>, service: &Value, address: &str) -> Option<&'static str> {
    let octets = address.parse::<std::net::Ipv4Addr>().ok()?.octets();
    if octets[..2] != NETWORK {
        return Some("the provided network does not match the current range");
    }
    let is_taken = others(t, service).any(|other| other["spec"]["clusterIP"] == address);
    is_taken.then_some("provided IP is already allocated")
}

/// Whether a text is an address and a prefix length.
fn is_network(text: &str) -> bool {
    let Some((address, length)) = text.trim().split_once('/') else { return false };
    let longest = match address.parse() {
        Ok(std::net::IpAddr::V4(_)) => 32,
        Ok(std::net::IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.parse::<u8>().is_ok_and(|length| length <= longest)
}

/// Several ports need names, and neither names nor numbers may repeat.
fn port_name_problems(ports: &Value) -> Vec<Cause> {
    let ports: Vec<&Value> = ports.as_array().into_iter().flatten().collect();
    let mut causes = Vec::new();
    let (mut names, mut numbers) = (HashSet::new(), HashSet::new());
    for (index, port) in ports.iter().enumerate() {
        let name = port["name"].as_str().unwrap_or_default();
        if name.is_empty() && ports.len() > 1 {
            causes.push(Cause::required(format!("spec.ports[{index}].name"), ""));
        }
        if !name.is_empty() && !names.insert(name) {
            causes.push(Cause::duplicate(format!("spec.ports[{index}].name"), &port["name"]));
        }
        let number = (port["protocol"].to_string(), port["port"].to_string());
        if !numbers.insert(number) {
            let shown = json!({"protocol": port["protocol"], "port": port["port"]});
            causes.push(Cause::duplicate(format!("spec.ports[{index}]"), &shown));
        }
    }
    causes
}
