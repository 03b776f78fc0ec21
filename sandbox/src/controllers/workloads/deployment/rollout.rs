//! How many replicas each ReplicaSet of a Deployment shall have next.
//!
//! The arithmetic is that of the Deployment documentation: never more pods than `replicas + maxSurge`,
//! never fewer available than `replicas - maxUnavailable`; scaling in mid-rollout is proportional.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::super::controller::Plan;
use super::super::super::fields::{Fields, Object};
use super::{DESIRED, MAXIMUM, Rollout, resize};

fn size(set: &Value) -> i64 {
    set.count("/spec/replicas")
}

fn available(set: &Value) -> i64 {
    set.count("/status/availableReplicas")
}

fn total(rollout: &Rollout<'_>) -> i64 {
    rollout.all().map(|set| size(set)).sum()
}

/// Whether the Deployment was resized since its sets were last sized.
pub(super) fn is_scaling(rollout: &Rollout<'_>) -> bool {
    let active = rollout.all().filter(|set| size(set) > 0);
    let mut desired = active.filter_map(|set| set.annotation(DESIRED).parse::<i64>().ok());
    desired.any(|desired| desired != rollout.replicas())
}

/// The size of the new set, now `held`: as much as the surge allows.
pub(super) fn size_of_new(rollout: &Rollout<'_>, held: i64) -> i64 {
    let replicas = rollout.replicas();
    if !rollout.is_rolling() {
        return replicas;
    }
    let room = replicas + rollout.surge() - total(rollout);
    if room <= 0 { held } else { held + room.min(replicas - held) }
}

/// Sizes the new set; answers whether that changed anything.
pub(super) fn scale_up_new(rollout: &Rollout<'_>, new: &Object, plan: &mut Plan) -> bool {
    let held = size(new);
    let wanted = match held > rollout.replicas() {
        true => rollout.replicas(),
        false => size_of_new(rollout, held),
    };
    resize(rollout, new, wanted, plan)
}

/// Shrinks the old sets as far as availability allows: first what is broken anyway, then the oldest.
pub(super) fn scale_down_old(rollout: &Rollout<'_>, new: &Object, plan: &mut Plan) -> bool {
    let floor = rollout.replicas() - rollout.unavailable();
    let unready_new = (size(new) - available(new)).max(0);
    let mut sizes: BTreeMap<usize, i64> =
        rollout.old.iter().enumerate().map(|(index, set)| (index, size(set))).collect();
    let mut spare = total(rollout) - floor - unready_new;
    if spare <= 0 || sizes.values().sum::<i64>() == 0 {
        return false;
    }
    for (index, set) in rollout.old.iter().enumerate() {
        let broken = (size(set) - available(set)).max(0).min(spare);
        spare -= broken;
        sizes.entry(index).and_modify(|held| *held -= broken);
    }
    let mut surplus = rollout.all().map(|set| available(set)).sum::<i64>() - floor;
    for (index, _) in rollout.old.iter().enumerate() {
        sizes.entry(index).and_modify(|held| {
            let less = (*held).min(surplus.max(0));
            surplus -= less;
            *held -= less;
        });
    }
    let mut changed = false;
    for (index, set) in rollout.old.iter().enumerate() {
        changed |= resize(rollout, set, sizes[&index], plan);
    }
    changed
}

/// Recreate's first half; answers whether there was anything to shrink.
pub(super) fn scale_old_to_zero(rollout: &Rollout<'_>, plan: &mut Plan) -> bool {
    let mut changed = false;
    for set in rollout.old.iter().filter(|set| size(set) > 0) {
        changed |= resize(rollout, set, 0, plan);
    }
    changed
}

/// Sizes sets after the Deployment was resized, or while it is paused.
pub(super) fn scale(rollout: &Rollout<'_>, plan: &mut Plan) {
    let active: Vec<&Object> = rollout.all().filter(|set| size(set) > 0).collect();
    let latest = rollout.new.or(rollout.old.last().copied());
    match active.as_slice() {
        [] => {
            if let Some(set) = latest {
                resize(rollout, set, rollout.replicas(), plan);
            }
        }
        [only] => {
            resize(rollout, only, rollout.replicas(), plan);
        }
        _ if rollout.new.is_some_and(|new| is_saturated(rollout, new)) => {
            scale_old_to_zero(rollout, plan);
        }
        _ if rollout.is_rolling() => scale_in_proportion(rollout, active, plan),
        _ => {}
    }
}

fn is_saturated(rollout: &Rollout<'_>, set: &Value) -> bool {
    let replicas = rollout.replicas();
    size(set) == replicas && set.annotation(DESIRED) == replicas.to_string() && available(set) == replicas
}

/// Spreads a change of size over the active sets by their share; the largest takes what is left over.
fn scale_in_proportion(rollout: &Rollout<'_>, mut active: Vec<&Object>, plan: &mut Plan) {
    let replicas = rollout.replicas();
    let allowed = if replicas > 0 { replicas + rollout.surge() } else { 0 };
    let to_add = allowed - active.iter().map(|set| size(set)).sum::<i64>();
    active.sort_by_key(|set| (-size(set), set.text("/metadata/creationTimestamp").to_owned()));
    if to_add > 0 {
        // Growing favours the newest of equals, shrinking the oldest.
        active.reverse();
        active.sort_by_key(|set| -size(set));
    }
    let mut added = 0;
    let mut sizes: Vec<i64> = active
        .iter()
        .map(|set| {
            let part = share(rollout, set, to_add, added);
            added += part;
            size(set) + part
        })
        .collect();
    if let Some(first) = sizes.first_mut() {
        *first = (*first + to_add - added).max(0);
    }
    for (set, wanted) in active.into_iter().zip(sizes) {
        resize(rollout, set, wanted, plan);
    }
}

/// One set's part of a change of `to_add` of which `added` is given out.
fn share(rollout: &Rollout<'_>, set: &Value, to_add: i64, added: i64) -> i64 {
    let replicas = rollout.replicas();
    if to_add == 0 || to_add == added {
        return 0;
    }
    let wanted = if replicas == 0 {
        -size(set)
    } else {
        let before = match set.annotation(MAXIMUM).parse::<i64>() {
            Ok(before) if before > 0 => before,
            _ => rollout.deployment.count("/status/replicas").max(1),
        };
        let scaled = size(set) * (replicas + rollout.surge());
        (scaled as f64 / before as f64).round() as i64 - size(set)
    };
    match to_add > 0 {
        true => wanted.min(to_add - added),
        false => wanted.max(to_add - added),
    }
}
