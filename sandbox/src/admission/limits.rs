//! Amounts of a pod: what its containers request and are limited to.

use super::items;
use crate::schema::Quantity;
use serde_json::Value;
use std::collections::BTreeMap;

/// Amounts by resource name.
pub(super) type Amounts = BTreeMap<String, Quantity>;

/// `requests` or `limits` of one container.
pub(super) fn of_container(container: &Value, part: &str) -> Amounts {
    let amounts = container["resources"][part].as_object().into_iter().flatten();
    amounts.filter_map(|(name, amount)| Some((name.clone(), Quantity::from_json(amount)?))).collect()
}

/// `requests` or `limits` of a whole pod: the containers' sum, or the largest init container where more.
pub(super) fn of_pod(pod: &Value, part: &str) -> Amounts {
    let mut total = Amounts::new();
    for container in items(pod, "/spec/containers") {
        add(&mut total, &of_container(container, part));
    }
    for container in items(pod, "/spec/initContainers") {
        let amounts = of_container(container, part);
        if container["restartPolicy"] == "Always" {
            add(&mut total, &amounts);
            continue;
        }
        for (name, amount) in amounts {
            let held = total.entry(name).or_insert(amount);
            if amount.exceeds(*held) {
                *held = amount;
            }
        }
    }
    for (name, amount) in pod["spec"]["overhead"].as_object().into_iter().flatten() {
        if let Some(amount) = Quantity::from_json(amount) {
            add(&mut total, &Amounts::from([(name.clone(), amount)]));
        }
    }
    total
}

/// Adds amounts to a sum.
pub(super) fn add(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let held = total.entry(name.clone()).or_insert(Quantity::ZERO);
        *held = held.plus(*amount);
    }
}
