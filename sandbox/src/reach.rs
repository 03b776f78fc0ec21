//! Who reaches whom: NetworkPolicies as a question, since no packet ever flows in a simulated cluster.
//!
//! The rules are those of `networking.k8s.io/v1`: a pod that no policy selects (for a direction) takes and
//! sends everything; one that some select takes what any of them allows. Both ends must agree. Policies are
//! taken to be enforced, as they are with a network plugin that does.

use std::net::Ipv4Addr;

use serde::Serialize;
use serde_json::Value;

use crate::controllers::fields::Fields;
use crate::controllers::selector;

/// The objects the question is about, all namespaces.
#[derive(Debug, Default)]
pub struct World {
    /// Pods.
    pub pods: Vec<Value>,
    /// Namespaces.
    pub namespaces: Vec<Value>,
    /// Services.
    pub services: Vec<Value>,
    /// NetworkPolicies.
    pub policies: Vec<Value>,
}

/// The answer.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the connection is possible.
    pub allowed: bool,
    /// The pod it comes from.
    pub from: String,
    /// The pod and port it goes to.
    pub to: String,
    /// Why, a sentence each: what the sender's side says, then the receiver's.
    pub reasons: Vec<String>,
}

/// Asks whether `from` reaches `to`: each `[NAMESPACE/]POD` or `[NAMESPACE/]SERVICE`, the second with
/// `:PORT`. Of several pods behind a Service, the first ready one is taken.
///
/// # Errors
/// A sentence, when there is no such pod, Service or port.
pub fn reach(world: &World, from: &str, to: &str) -> Result<Verdict, String> {
    let (to, port) = to.rsplit_once(':').ok_or_else(|| format!("`{to}` names no port: write `{to}:PORT`"))?;
    let sender = world.pod(from)?;
    let (receiver, port) = world.target(to, port)?;
    let mut reasons = Vec::new();
    let sends = world.side("Egress", sender, receiver, port, &mut reasons);
    let takes = world.side("Ingress", receiver, sender, port, &mut reasons);
    let to = format!("{}:{port}", title(receiver));
    Ok(Verdict { allowed: sends && takes, from: title(sender), to, reasons })
}

fn title(object: &Value) -> String {
    format!("{}/{}", object.namespace(), object.name())
}

fn split(text: &str) -> (&str, &str) {
    text.split_once('/').unwrap_or(("default", text))
}

impl World {
    fn pod(&self, text: &str) -> Result<&Value, String> {
        let (namespace, name) = split(text);
        let named = self.pods.iter().find(|pod| pod.namespace() == namespace && pod.name() == name);
        let service = || self.service(namespace, name).and_then(|service| self.behind(service));
        named
            .or_else(service)
            .ok_or_else(|| format!("there is no pod, and no Service with pods, `{namespace}/{name}`"))
    }

    fn service(&self, namespace: &str, name: &str) -> Option<&Value> {
        self.services.iter().find(|service| service.namespace() == namespace && service.name() == name)
    }

    fn behind(&self, service: &Value) -> Option<&Value> {
        let labels = service.at("/spec/selector");
        let mut pods: Vec<&Value> = self
            .pods
            .iter()
            .filter(|pod| pod.namespace() == service.namespace() && labels.is_object())
            .filter(|pod| selector::contains(pod.at("/metadata/labels"), labels))
            .collect();
        pods.sort_by_key(|pod| (!pod.is("Ready"), pod.name().to_owned()));
        pods.first().copied()
    }

    /// The pod and the port of it that a name and a port mean: a Service's port leads to its target port.
    fn target(&self, text: &str, port: &str) -> Result<(&Value, i64), String> {
        let (namespace, name) = split(text);
        let service = self.service(namespace, name);
        let pod = self.pod(text)?;
        if let Some(service) = service {
            let ports = service.list("/spec/ports");
            let asked = ports
                .iter()
                .find(|held| held.text("/name") == port || held.count("/port").to_string() == port);
            let asked = asked.ok_or_else(|| {
                let known: Vec<String> = ports.iter().map(|held| held.count("/port").to_string()).collect();
                format!("Service `{namespace}/{name}` has no port {port}; it has {}", known.join(", "))
            })?;
            let target = match asked.at("/targetPort") {
                Value::Null => asked.count("/port"),
                Value::String(name) => container_port(pod, name)
                    .ok_or_else(|| format!("pod `{}` has no port named `{name}`", title(pod)))?,
                number => number.as_i64().unwrap_or_default(),
            };
            return Ok((pod, target));
        }
        let number = port.parse().ok().or_else(|| container_port(pod, port));
        Ok((pod, number.ok_or_else(|| format!("pod `{}` has no port named `{port}`", title(pod)))?))
    }

    /// Whether the policies of one side allow the connection; says why.
    fn side(
        &self,
        direction: &str,
        own: &Value,
        other: &Value,
        port: i64,
        reasons: &mut Vec<String>,
    ) -> bool {
        let policies: Vec<&Value> = self
            .policies
            .iter()
            .filter(|policy| policy.namespace() == own.namespace() && is_about(policy, direction))
            .filter(|policy| selector::matches(policy.at("/spec/podSelector"), own))
            .collect();
        let (verb, list, peers) = match direction {
            "Egress" => ("send to", "/spec/egress", "/to"),
            _ => ("take from", "/spec/ingress", "/from"),
        };
        let (own_name, other_name) = (title(own), title(other));
        if policies.is_empty() {
            reasons.push(format!(
                "{own_name} may {verb} everyone: no policy selects it for {}",
                direction.to_lowercase()
            ));
            return true;
        }
        // The port is the receiver's.
        let receiver = if direction == "Egress" { other } else { own };
        let allowing = policies.iter().find(|policy| {
            policy.list(list).iter().any(|rule| {
                self.peer_matches(policy, rule.list(peers), other)
                    && port_matches(rule.list("/ports"), receiver, port)
            })
        });
        match allowing {
            Some(policy) => reasons
                .push(format!("{own_name} may {verb} {other_name}: policy `{}` allows it", policy.name())),
            None => {
                let names: Vec<String> =
                    policies.iter().map(|policy| format!("`{}`", policy.name())).collect();
                reasons.push(format!(
                    "{own_name} may not {verb} {other_name}: no policy that selects it allows it ({})",
                    names.join(", ")
                ));
            }
        }
        allowing.is_some()
    }

    /// No peers mean everyone.
    fn peer_matches(&self, policy: &Value, peers: &[Value], other: &Value) -> bool {
        peers.is_empty() || peers.iter().any(|peer| self.is_peer(policy, peer, other))
    }

    fn is_peer(&self, policy: &Value, peer: &Value, other: &Value) -> bool {
        if peer.at("/ipBlock").is_object() {
            return in_block(peer.at("/ipBlock"), other.text("/status/podIP"));
        }
        let in_namespace = match peer.at("/namespaceSelector") {
            Value::Null => other.namespace() == policy.namespace(),
            wanted => self
                .namespaces
                .iter()
                .find(|namespace| namespace.name() == other.namespace())
                .is_some_and(|namespace| selector::matches(wanted, namespace)),
        };
        let is_pod = peer.at("/podSelector").is_null() || selector::matches(peer.at("/podSelector"), other);
        in_namespace && is_pod
    }
}

/// Policies without types are about ingress, and about egress when they have rules for it.
fn is_about(policy: &Value, direction: &str) -> bool {
    match policy.list("/spec/policyTypes") {
        [] => direction == "Ingress" || policy.at("/spec/egress").is_array(),
        types => types.iter().any(|held| held == direction),
    }
}

fn port_matches(ports: &[Value], receiver: &Value, port: i64) -> bool {
    ports.is_empty()
        || ports.iter().filter(|held| matches!(held.text("/protocol"), "" | "TCP")).any(|held| {
            match held.at("/port") {
                Value::Null => true,
                Value::String(name) => container_port(receiver, name) == Some(port),
                first => {
                    let first = first.as_i64().unwrap_or_default();
                    (first..=held.number("/endPort").unwrap_or(first)).contains(&port)
                }
            }
        })
}

fn container_port(pod: &Value, name: &str) -> Option<i64> {
    let containers = pod.list("/spec/containers").iter();
    let mut ports = containers.flat_map(|container| container.list("/ports"));
    ports.find(|port| port.text("/name") == name).map(|port| port.count("/containerPort"))
}

fn in_block(block: &Value, address: &str) -> bool {
    let excepted =
        block.list("/except").iter().filter_map(Value::as_str).any(|range| in_range(range, address));
    in_range(block.text("/cidr"), address) && !excepted
}

fn in_range(range: &str, address: &str) -> bool {
    let (base, bits) = range.split_once('/').unwrap_or((range, "32"));
    let number = |text: &str| text.parse::<Ipv4Addr>().ok().map(u32::from);
    let (Some(base), Some(address), Ok(bits)) = (number(base), number(address), bits.parse::<u32>()) else {
        return false;
    };
    let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
    base & mask == address & mask
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(namespace: &str, name: &str, ip: &str) -> Value {
        json!({"metadata": {"namespace": namespace, "name": name, "labels": {"app": name}},
            "spec": {"containers": [{"ports": [{"name": "sql", "containerPort": 5432}]}]}, "status": {"podIP": ip}})
    }

    fn world(policies: Value) -> World {
        World {
            pods: vec![
                pod("shop", "web", "10.0.0.1"),
                pod("shop", "db", "10.0.0.2"),
                pod("spy", "web", "10.0.9.1"),
            ],
            namespaces: vec![
                json!({"metadata": {"name": "shop", "labels": {"team": "shop"}}}),
                json!({"metadata": {"name": "spy", "labels": {"team": "spy"}}}),
            ],
            services: vec![json!({"metadata": {"namespace": "shop", "name": "database"},
                "spec": {"selector": {"app": "db"}, "ports": [{"port": 5000, "targetPort": "sql"}]}})],
            policies: policies.as_array().cloned().unwrap_or_default(),
        }
    }

    fn policy(spec: Value) -> Value {
        json!({"metadata": {"namespace": "shop", "name": "guard"}, "spec": spec})
    }

    fn allowed(policies: Value, from: &str, to: &str) -> bool {
        reach(&world(policies), from, to).unwrap().allowed
    }

    #[test]
    fn without_policies_everyone_reaches_everyone_and_a_service_leads_to_its_pods() {
        let verdict = reach(&world(json!([])), "spy/web", "shop/database:5000").unwrap();
        assert_eq!((verdict.allowed, verdict.to.as_str()), (true, "shop/db:5432"));
    }

    #[test]
    fn a_selected_pod_takes_only_what_some_policy_allows() {
        let rules = |ingress: Value| {
            json!([policy(json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": ingress}))])
        };
        assert!(!allowed(rules(json!([])), "shop/web", "shop/db:5432"));
        assert!(allowed(rules(json!([{}])), "spy/web", "shop/db:5432"));
        let own = json!([{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]);
        assert!(allowed(rules(own.clone()), "shop/web", "shop/db:5432"));
        assert!(!allowed(rules(own), "spy/web", "shop/db:5432"));
        let team = json!([{"from": [{"namespaceSelector": {"matchLabels": {"team": "spy"}}}], "ports": [{"port": "sql"}]}]);
        assert!(allowed(rules(team.clone()), "spy/web", "shop/db:5432"));
        assert!(!allowed(rules(team), "spy/web", "shop/db:80"));
        let block = json!([{"from": [{"ipBlock": {"cidr": "10.0.0.0/16", "except": ["10.0.9.0/24"]}}]}]);
        assert!(allowed(rules(block.clone()), "shop/web", "shop/db:5432"));
        assert!(!allowed(rules(block), "spy/web", "shop/db:5432"));
    }

    #[test]
    fn the_sender_must_be_allowed_to_send_as_well() {
        let silent = json!([policy(
            json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 8000, "endPort": 9000}]}]})
        )]);
        assert!(allowed(silent.clone(), "shop/web", "spy/web:8080"));
        assert!(!allowed(silent.clone(), "shop/web", "spy/web:5432"));
        let reasons = reach(&world(silent), "shop/web", "spy/web:5432").unwrap().reasons;
        assert_eq!(
            reasons[0],
            "shop/web may not send to spy/web: no policy that selects it allows it (`guard`)"
        );
    }

    #[test]
    fn what_is_not_there_is_named() {
        let problem = reach(&world(json!([])), "shop/nobody", "shop/db:1").unwrap_err();
        assert_eq!(problem, "there is no pod, and no Service with pods, `shop/nobody`");
        assert_eq!(
            reach(&world(json!([])), "shop/web", "shop/db").unwrap_err(),
            "`shop/db` names no port: write `shop/db:PORT`"
        );
    }
}
