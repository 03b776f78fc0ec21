//! Which of the possible nodes is best: least used, fewest siblings, most wished for.

use serde_json::Value;

use super::super::fields::{Fields, Object};
use super::{Search, filters};

/// The best node. Equal ones are told apart by name, so that a scenario has one outcome.
pub(super) fn best<'a>(search: &Search<'_>, possible: &[&'a Object]) -> Option<&'a Object> {
    possible
        .iter()
        .copied()
        .map(|node| (score(search, node), node))
        .max_by(|(a, left), (b, right)| a.cmp(b).then_with(|| right.name().cmp(left.name())))
        .map(|(_, node)| node)
}

/// Each part gives 0 to 100; spreading and wishes weigh double, as by default.
fn score(search: &Search<'_>, node: &Object) -> i128 {
    let (pod, cache) = (search.pod, search.world.cache);
    let (used, offers) = (cache.usage(node.name()), cache.offered(node.name()));
    let free = |resource: &str| {
        let offered = offers.get(resource).max(1);
        // A pod that asks for nothing still counts a little: the scheduler's own default request.
        let least = if resource == "cpu" { 100 } else { 200 * 1024 * 1024 * 1000 };
        ((offered - used.get(resource) - search.wanted.get(resource).max(least)).max(0) * 100) / offered
    };
    let unwanted = node
        .list("/spec/taints")
        .iter()
        .filter(|taint| taint.text("/effect") == "PreferNoSchedule")
        .filter(|taint| !pod.list("/spec/tolerations").iter().any(|held| filters::tolerates(held, taint)))
        .count() as i128;
    let crowd = used.get("pods") / 1000;
    (free("cpu") + free("memory")) / 2 - crowd - 300 * unwanted
        + 2 * wished(pod, node)
        + 2 * search.others.score(pod, node)
}

/// The weights of the preferred node affinity that hold.
fn wished(pod: &Value, node: &Value) -> i128 {
    pod.list("/spec/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution")
        .iter()
        .filter(|wish| filters::term_holds(wish.at("/preference"), node))
        .map(|wish| i128::from(wish.count("/weight")))
        .sum()
}
