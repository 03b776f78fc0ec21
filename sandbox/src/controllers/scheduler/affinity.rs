//! Where other pods are: affinity, anti-affinity, topology spread and the siblings of a workload.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::super::cache::Cache;
use super::super::fields::{Fields, Object};
use super::super::{pods, selector};
use super::{filters, volumes};

const POD_AFFINITY: &str = "node(s) didn't match pod affinity rules";
const ANTI_AFFINITY: &str = "node(s) didn't match pod anti-affinity rules";
const THEIR_ANTI_AFFINITY: &str = "node(s) didn't satisfy existing pods anti-affinity rules";
const SPREAD: &str = "node(s) didn't match pod topology spread constraints";
const SPREAD_LABEL: &str = "node(s) didn't match pod topology spread constraints (missing required label)";

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// What the other pods mean for one pod, counted once for all nodes.
pub(super) struct Others<'a> {
    /// Required affinity: topology key, and how many pods match in each domain.
    near: Vec<(&'a str, HashMap<String, i64>, bool)>,
    /// Required anti-affinity of this pod.
    away: Vec<(&'a str, HashMap<String, i64>)>,
    /// Domains (`key=value`) that pods with anti-affinity against this one keep it out of.
    barred: Vec<(String, String)>,
    spread: Vec<Spread<'a>>,
    /// Preferred terms with signed weights.
    wishes: Vec<(&'a str, HashMap<String, i64>, i64)>,
    siblings: HashMap<String, i64>,
    sibling_zones: HashMap<String, i64>,
}

struct Spread<'a> {
    constraint: &'a Value,
    counts: BTreeMap<String, i64>,
}

impl<'a> Others<'a> {
    pub(super) fn of(pod: &'a Object, cache: &'a Cache, nodes: &[&Object]) -> Self {
        let placed = Placed { pod, cache };
        let terms = |kind: &str, strength: &str| pod.list(&format!("/spec/affinity/{kind}/{strength}"));
        let near = terms("podAffinity", REQUIRED).iter().map(|term| {
            let counts = placed.count(pod, term);
            let first = counts.is_empty() && matches_term(pod, pod, term, cache);
            (term.text("/topologyKey"), counts, first)
        });
        let away = terms("podAntiAffinity", REQUIRED)
            .iter()
            .map(|term| (term.text("/topologyKey"), placed.count(pod, term)));
        let wish = |sign: i64| {
            let placed = &placed;
            move |wish: &'a Value| {
                let term = wish.at("/podAffinityTerm");
                (term.text("/topologyKey"), placed.count(pod, term), sign * wish.count("/weight"))
            }
        };
        let wishes = terms("podAffinity", PREFERRED)
            .iter()
            .map(wish(1))
            .chain(terms("podAntiAffinity", PREFERRED).iter().map(wish(-1)));
        let (siblings, sibling_zones) = placed.siblings(pod);
        Self {
            near: near.collect(),
            away: away.collect(),
            barred: placed.barred(pod),
            spread: pod
                .list("/spec/topologySpreadConstraints")
                .iter()
                .map(|constraint| Spread::of(pod, constraint, &placed, nodes))
                .collect(),
            wishes: wishes.collect(),
            siblings,
            sibling_zones,
        }
    }

    /// Why a node is refused because of other pods.
    pub(super) fn refuse(&self, pod: &Object, node: &Object) -> Option<String> {
        let here = |key: &str, counts: &HashMap<String, i64>| {
            counts.get(node.label(key)).copied().unwrap_or_default()
        };
        if let Some(why) = self.spread.iter().find_map(|spread| spread.refuse(pod, node)) {
            return Some(why.to_owned());
        }
        if !self
            .near
            .iter()
            .all(|(key, counts, first)| has_label(node, key) && (*first || here(key, counts) > 0))
        {
            return Some(POD_AFFINITY.to_owned());
        }
        if self.away.iter().any(|(key, counts)| has_label(node, key) && here(key, counts) > 0) {
            return Some(ANTI_AFFINITY.to_owned());
        }
        let is_barred =
            self.barred.iter().any(|(key, value)| has_label(node, key) && node.label(key) == value);
        is_barred.then(|| THEIR_ANTI_AFFINITY.to_owned())
    }

    /// How welcome the node is: wishes, soft spread, and few siblings on it and in its zone.
    pub(super) fn score(&self, pod: &Object, node: &Object) -> i128 {
        let wishes: i64 = self
            .wishes
            .iter()
            .map(|(key, counts, weight)| counts.get(node.label(key)).copied().unwrap_or_default() * weight)
            .sum();
        let soft: i64 = self
            .spread
            .iter()
            .filter(|spread| !spread.is_hard())
            .map(|spread| -10 * spread.skew(pod, node))
            .sum();
        let siblings = self.siblings.get(node.name()).copied().unwrap_or_default();
        let zone =
            self.sibling_zones.get(node.label("topology.kubernetes.io/zone")).copied().unwrap_or_default();
        i128::from(wishes + soft - 20 * siblings - 5 * zone)
    }
}

impl<'a> Spread<'a> {
    fn of(pod: &Object, constraint: &'a Value, placed: &Placed<'_>, nodes: &[&Object]) -> Self {
        let key = constraint.text("/topologyKey");
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        for node in nodes.iter().filter(|node| has_label(node, key) && filters::wants(pod, node)) {
            counts.entry(node.label(key).to_owned()).or_default();
        }
        for (other, node) in placed.pods(Some(placed.pod.namespace())) {
            let counted =
                !other.is_terminating() && selector::matches(constraint.at("/labelSelector"), other);
            if let Some(count) = counts.get_mut(node.label(key)).filter(|_| counted) {
                *count += 1;
            }
        }
        Self { constraint, counts }
    }

    fn is_hard(&self) -> bool {
        self.constraint.text("/whenUnsatisfiable") != "ScheduleAnyway"
    }

    fn refuse(&self, pod: &Object, node: &Object) -> Option<&'static str> {
        if !self.is_hard() {
            return None;
        }
        if !has_label(node, self.constraint.text("/topologyKey")) {
            return Some(SPREAD_LABEL);
        }
        (self.skew(pod, node) > self.constraint.count("/maxSkew")).then_some(SPREAD)
    }

    /// How far the node's domain would be above the emptiest one with this pod in it.
    fn skew(&self, pod: &Object, node: &Object) -> i64 {
        let here =
            self.counts.get(node.label(self.constraint.text("/topologyKey"))).copied().unwrap_or_default();
        let domains = self.counts.len() as i64;
        let least = match self.constraint.number("/minDomains") {
            Some(wanted) if domains < wanted => 0,
            _ => self.counts.values().min().copied().unwrap_or_default(),
        };
        here + i64::from(selector::matches(self.constraint.at("/labelSelector"), pod)) - least
    }
}

/// The pods that take room, as one pod that looks for a node sees them.
struct Placed<'a> {
    pod: &'a Object,
    cache: &'a Cache,
}

impl<'a> Placed<'a> {
    /// Pods with their nodes: those of one namespace, or of all.
    fn pods(&self, namespace: Option<&'a str>) -> impl Iterator<Item = (&'a Object, &'a Object)> + use<'a> {
        let cache = self.cache;
        let pods: Box<dyn Iterator<Item = &'a Object>> = match namespace {
            Some(namespace) => Box::new(cache.list_in("Pod", namespace)),
            None => Box::new(cache.list("Pod")),
        };
        let bound = pods.filter(|other| !other.text("/spec/nodeName").is_empty());
        let bound =
            bound.filter_map(|other| Some((other, cache.get("Node", "", other.text("/spec/nodeName"))?)));
        let promised =
            self.promised().filter(move |(other, _)| namespace.is_none_or(|name| other.namespace() == name));
        bound.chain(promised).filter(|(other, _)| !pods::is_finished(other))
    }

    /// A pod whose volumes are on their way counts where they will be: real schedulers assume it there as well, or
    /// two that must stay apart would get volumes in a zone with room for one of them.
    fn promised(&self) -> impl Iterator<Item = (&'a Object, &'a Object)> + use<'a> {
        let (cache, uid) = (self.cache, self.pod.uid());
        cache.claimants().filter(move |other| other.uid() != uid).filter_map(|other| {
            let node = volumes::promised_node(other, cache)?;
            Some((other, cache.get("Node", "", node)?))
        })
    }

    fn count(&self, pod: &Object, term: &Value) -> HashMap<String, i64> {
        let key = term.text("/topologyKey");
        let own = term.list("/namespaces").is_empty() && term.at("/namespaceSelector").is_null();
        let mut counts = HashMap::new();
        for (other, node) in self.pods(own.then(|| self.pod.namespace())) {
            if has_label(node, key) && matches_term(pod, other, term, self.cache) {
                *counts.entry(node.label(key).to_owned()).or_default() += 1;
            }
        }
        counts
    }

    fn barred(&self, pod: &Object) -> Vec<(String, String)> {
        let path = format!("/spec/affinity/podAntiAffinity/{REQUIRED}");
        let bound = self.cache.apart().filter(|other| !pods::is_finished(other));
        let bound = bound
            .filter_map(|other| Some((other, self.cache.get("Node", "", other.text("/spec/nodeName"))?)));
        let mut barred = Vec::new();
        for (other, node) in bound.chain(self.promised()) {
            for term in other.list(&path).iter().filter(|term| matches_term(other, pod, term, self.cache)) {
                let key = term.text("/topologyKey");
                barred.push((key.to_owned(), node.label(key).to_owned()));
            }
        }
        barred
    }

    fn siblings(&self, pod: &Object) -> (HashMap<String, i64>, HashMap<String, i64>) {
        let (mut nodes, mut zones) = (HashMap::new(), HashMap::new());
        let Some(owner) = pod.controller().map(|owner| owner.text("/uid")) else {
            return (nodes, zones);
        };
        for sibling in self.cache.controlled("Pod", owner).into_iter().filter(|pod| pods::is_active(pod)) {
            let node = match sibling.text("/spec/nodeName") {
                "" => volumes::promised_node(sibling, self.cache).filter(|_| sibling.uid() != pod.uid()),
                node => Some(node),
            };
            if let Some(node) = node.and_then(|node| self.cache.get("Node", "", node)) {
                *nodes.entry(node.name().to_owned()).or_default() += 1;
                *zones.entry(node.label("topology.kubernetes.io/zone").to_owned()).or_default() += 1;
            }
        }
        (nodes, zones)
    }
}

/// Whether it matters to a pod where others are.
pub(super) fn looks_at_others(pod: &Value) -> bool {
    pod.at("/spec/affinity/podAffinity").is_object()
        || !pod.list("/spec/topologySpreadConstraints").is_empty()
}

/// Whether `other` is one of the pods that a term of `pod` means.
fn matches_term(pod: &Value, other: &Value, term: &Value, cache: &Cache) -> bool {
    let named = term.list("/namespaces");
    let by_label = term.at("/namespaceSelector");
    let namespace = other.namespace();
    let in_reach = if named.is_empty() && by_label.is_null() {
        namespace == pod.namespace()
    } else {
        named.iter().any(|name| name == namespace)
            || cache.get("Namespace", "", namespace).is_some_and(|held| selector::matches(by_label, held))
    };
    in_reach && selector::matches(term.at("/labelSelector"), other)
}

fn has_label(node: &Value, key: &str) -> bool {
    node.at("/metadata/labels").get(key).is_some()
}
