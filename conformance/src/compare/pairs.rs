//! Which object of one list is which of the other: by name where the name was chosen or has been learnt,
//! by likeness where it was drawn.

use serde_json::{Map, Value};

use super::rules::{IMITATED_CONDITIONS, Rule, rule};
use crate::learnt::{Learnt, alike};

/// An object of one list, of the other, or of both.
type Pair<'a> = (Option<&'a Value>, Option<&'a Value>);

/// The objects of a list that have not been found in the other one yet.
pub(super) struct Left<'a>(Vec<Option<&'a Value>>);

impl<'a> Left<'a> {
    pub(super) fn of(here: &'a [Value]) -> Self {
        Self(here.iter().map(Some).collect())
    }

    /// Takes the object that is known to be the recorded one.
    pub(super) fn known(&mut self, recorded: &Value, learnt: &Learnt) -> Option<&'a Value> {
        let is_it = |here: &Option<&Value>| here.is_some_and(|here| is_known(recorded, here, learnt));
        let place = self.0.iter().position(is_it)?;
        self.0[place].take()
    }

    /// Takes the object that is most like the recorded one, by what has been learnt until now: of two events of
    /// one pod the second is found by the first.
    pub(super) fn nearest(&mut self, recorded: &Value, learnt: &Learnt) -> Option<&'a Value> {
        let candidates = self.0.iter().enumerate().filter_map(|(place, here)| Some((place, (*here)?)));
        let translated = learnt.guessed_here(recorded);
        let best = candidates
            .filter(|(_, here)| alike(&name(recorded), &name(here)))
            .min_by_key(|(_, here)| distance(&translated, here, &mut Vec::new()));
        let (place, _) = best?;
        self.0[place].take()
    }

    /// Those that nothing was found for.
    pub(super) fn rest(self) -> impl Iterator<Item = &'a Value> {
        self.0.into_iter().flatten()
    }
}

fn is_known(recorded: &Value, here: &Value, learnt: &Learnt) -> bool {
    let (recorded, here) = (name(recorded), name(here));
    let same = |(recorded, here): (&str, &str)| learnt.is_known(recorded, here);
    recorded.split('/').count() == here.split('/').count()
        && recorded.split('/').zip(here.split('/')).all(same)
}

/// `namespace/name` of an object, a row, or an item of a discovery document.
pub(super) fn name(object: &Value) -> String {
    let object = object.get("object").unwrap_or(object);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match text(&object["metadata"]["namespace"]) {
        namespace if namespace.is_empty() => text(&object["metadata"]["name"]),
        namespace => format!("{namespace}/{}", text(&object["metadata"]["name"])),
    }
}

/// How many values differ that may not.
fn distance(recorded: &Value, here: &Value, place: &mut Vec<String>) -> usize {
    match (recorded, here) {
        (Value::Object(recorded), Value::Object(here)) => {
            let mut sum = 2 * here.keys().filter(|key| !recorded.contains_key(*key)).count();
            for (key, value) in recorded {
                place.push(key.clone());
                sum += here.get(key).map_or(2, |here| distance(value, here, place));
                place.pop();
            }
            sum
        }
        (Value::Array(recorded), Value::Array(here)) => {
            let common: usize =
                recorded.iter().zip(here).map(|(recorded, here)| distance(recorded, here, place)).sum();
            common + 2 * recorded.len().abs_diff(here.len())
        }
        (Value::String(recorded), Value::String(here)) if rule(place) == Rule::Words => {
            // A name drawn for the same owner is nearer than one that was drawn for another.
            let is_sibling = || owner_of(recorded).is_some_and(|owner| Some(owner) == owner_of(here));
            if recorded == here {
                0
            } else if is_sibling() {
                1
            } else {
                2
            }
        }
        _ => 2 * usize::from(recorded != here && rule(place) == Rule::Words),
    }
}

/// What a drawn name begins with: the name of who it was drawn for.
fn owner_of(name: &str) -> Option<&str> {
    Some(name.rsplit_once('-')?.0).filter(|owner| !owner.is_empty() && !name.contains(' '))
}

/// The endpoints of a Service in the order in which the recorded ones stand: the real controllers write them in none.
pub(super) fn in_order_of(recorded: &[Value], here: &[Value], learnt: &Learnt) -> Vec<Value> {
    let pod = |endpoint: &Value| endpoint["targetRef"]["name"].as_str().unwrap_or_default().to_owned();
    let mut left = here.to_vec();
    let mut ordered = Vec::new();
    for recorded in recorded {
        let found = left.iter().position(|here| learnt.is_known(&pod(recorded), &pod(here)));
        ordered.push(found.map(|place| left.remove(place)));
    }
    let mut left = left.into_iter();
    let mut ordered: Vec<Value> =
        ordered.into_iter().filter_map(|found| found.or_else(|| left.next())).collect();
    ordered.extend(left);
    ordered
}

/// The members of two objects by key. Keys hold uids as well; owned fields come last, when what they name has
/// been learnt.
pub(super) fn members<'a>(
    recorded: &'a Map<String, Value>,
    here: &'a Map<String, Value>,
    learnt: &Learnt,
) -> Vec<(String, Pair<'a>)> {
    let mut members: Vec<(String, Pair<'_>)> = Vec::new();
    for (key, value) in recorded {
        let key = learnt.text_here(key);
        let other = here.get(&key);
        members.push((key, (Some(value), other)));
    }
    let missing = |key: &String| !members.iter().any(|(other, _)| other == key);
    let added: Vec<(String, Pair<'_>)> = here
        .iter()
        .filter(|(key, _)| missing(key))
        .map(|(key, value)| (key.clone(), (None, Some(value))))
        .collect();
    members.extend(added);
    members.sort_by_key(|(key, _)| key == "managedFields");
    members
}

/// A pod whose imitated conditions say only whether they hold.
pub(super) fn without_imitation(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let conditions = pod.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        let kind = condition["type"].as_str().unwrap_or_default();
        if IMITATED_CONDITIONS.contains(&kind) {
            *condition = serde_json::json!({"type": kind, "status": condition["status"]});
        } else if let Some(condition) = condition.as_object_mut() {
            condition.remove("observedGeneration");
        }
    }
    pod
}

/// When what endpoints follow last changed. Whether it is told depends on whether the second turned between two states
/// of a pod, so it is left out.
const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// An object without that moment and without whom it belongs to.
pub(super) fn without_trigger(object: &Value) -> Value {
    let mut object = object.clone();
    remove_below(&mut object, &["metadata", "annotations"], TRIGGER);
    let entries = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten() {
        remove_below(entry, &["fieldsV1", "f:metadata", "f:annotations"], &format!("f:{TRIGGER}"));
    }
    object
}

/// Removes a key below a path, and what holds nothing any more then.
fn remove_below(value: &mut Value, path: &[&str], key: &str) {
    let Some(members) = value.as_object_mut() else { return };
    let Some((first, rest)) = path.split_first() else {
        if members.remove(key).is_some() && members.len() == 1 {
            members.remove(".");
        }
        return;
    };
    let Some(below) = members.get_mut(*first) else { return };
    let was_empty = below.as_object().is_some_and(Map::is_empty);
    remove_below(below, rest, key);
    if !was_empty && below.as_object().is_some_and(Map::is_empty) {
        members.remove(*first);
    }
}

/// Whether the server drew an object's name.
pub(super) fn is_drawn(object: &Value) -> bool {
    crate::learnt::is_drawn(&name(object))
}

/// Whether only programs that were imitated in the recordings wrote an object, such as the events of a kubelet.
pub(super) fn is_imitation(object: &Value) -> bool {
    let object = object.get("object").unwrap_or(object);
    let owners = object["metadata"]["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default();
    !owners.is_empty() && owners.iter().all(|entry| super::rules::is_imitation(&owner(entry)))
}

/// Who owns fields, how, and where.
pub(super) fn owner(entry: &Value) -> String {
    let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    [text("manager"), text("operation"), text("apiVersion"), text("subresource")]
        .join(" ")
        .trim_end()
        .to_owned()
}

/// Pairs two lists of field owners.
pub(super) fn owners<'a>(recorded: &'a [Value], here: &'a [Value]) -> Vec<Pair<'a>> {
    let mut left: Vec<&Value> = here.iter().collect();
    let mut pairs: Vec<Pair<'_>> = Vec::new();
    for recorded in recorded {
        let place = left.iter().position(|here| owner(here) == owner(recorded));
        pairs.push((Some(recorded), place.map(|place| left.remove(place))));
    }
    pairs.extend(left.into_iter().map(|here| (None, Some(here))));
    pairs
}

/// Whether two lists hold the same, in any order.
pub(super) fn same_bag(recorded: &[&str], here: &[&str]) -> bool {
    let sorted = |words: &[&str]| {
        let mut words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        words.sort();
        words
    };
    sorted(recorded) == sorted(here)
}

/// A set as a list.
pub(super) fn sorted(values: &[Value]) -> Vec<Value> {
    let mut values = values.to_vec();
    values.sort_by_key(Value::to_string);
    values
}

/// The names of a table's columns.
pub(super) fn column_names(definitions: &Value) -> Vec<String> {
    let definitions = definitions.as_array().map(Vec::as_slice).unwrap_or_default();
    definitions.iter().map(|column| column["name"].as_str().unwrap_or_default().to_owned()).collect()
}
