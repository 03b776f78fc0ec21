//! `FieldSet`: a set of paths into an object, in the shape of `FieldsV1`.
//!
//! A trie whose edges are the strings FieldsV1 writes: `f:name`, `k:{"name":"web"}`, `v:"x"`, `i:0`.
//! A node is in the set itself (`.` when it has children), or only on the way to its children.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A set of field paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    member: bool,
    children: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    /// Reads a `fieldsV1` value; anything that is not an object holds nothing.
    #[must_use]
    pub fn from_fields_v1(value: &Value) -> Self {
        let mut set = Self::default();
        for (edge, below) in value.as_object().into_iter().flatten() {
            if edge != "." {
                let mut child = Self::from_fields_v1(below);
                child.member = below.get(".").is_some() || child.children.is_empty();
                set.children.insert(edge.clone(), child);
            }
        }
        set
    }

    /// Writes the `fieldsV1` value.
    #[must_use]
    pub fn to_fields_v1(&self) -> Value {
        let mut map = Map::new();
        for (edge, child) in &self.children {
            let mut below = child.to_fields_v1();
            if let (true, Value::Object(below)) = (child.member && !child.children.is_empty(), &mut below) {
                below.insert(".".to_owned(), Value::Object(Map::new()));
            }
            map.insert(edge.clone(), below);
        }
        Value::Object(map)
    }

    /// A set of plain field paths, each written `spec.template.spec`.
    #[must_use]
    pub fn of_fields(paths: &[&str]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let edges: Vec<String> = path.split('.').map(field_edge).collect();
            set.insert(&edges);
        }
        set
    }

    /// Whether no path is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.member && self.children.values().all(Self::is_empty)
    }

    /// Adds the path made of these edges.
    pub fn insert(&mut self, edges: &[String]) {
        match edges {
            [] => self.member = true,
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    /// Whether the single-edge path is in the set.
    pub(super) fn has(&self, edge: &str) -> bool {
        self.children.get(edge).is_some_and(|child| child.member)
    }

    /// The paths below an edge.
    pub(super) fn below(&self, edge: &str) -> Option<&FieldSet> {
        self.children.get(edge)
    }

    pub(super) fn children(&self) -> impl Iterator<Item = (&String, &FieldSet)> {
        self.children.iter()
    }

    pub(super) fn set_member(&mut self) {
        self.member = true;
    }

    pub(super) fn attach(&mut self, edge: String, child: FieldSet) {
        if !child.is_empty() {
            self.children.insert(edge, child);
        }
    }

    /// Paths in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut result = self.clone();
        result.member |= other.member;
        for (edge, child) in &other.children {
            let merged = result.children.get(edge).map_or_else(|| child.clone(), |mine| mine.union(child));
            result.children.insert(edge.clone(), merged);
        }
        result
    }

    /// Paths in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut result = Self { member: self.member && other.member, ..Self::default() };
        for (edge, child) in &self.children {
            if let Some(theirs) = other.children.get(edge) {
                result.attach(edge.clone(), child.intersection(theirs));
            }
        }
        result
    }

    /// Paths of this set that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut result = Self { member: self.member && !other.member, ..Self::default() };
        for (edge, child) in &self.children {
            let left =
                other.children.get(edge).map_or_else(|| child.clone(), |theirs| child.difference(theirs));
            result.attach(edge.clone(), left);
        }
        result
    }

    /// Paths of this set that are neither in `other` nor below one of its paths.
    #[must_use]
    pub fn recursive_difference(&self, other: &Self) -> Self {
        let mut result = Self { member: self.member && !other.member, ..Self::default() };
        for (edge, child) in &self.children {
            match other.children.get(edge) {
                Some(theirs) if theirs.member => {}
                Some(theirs) => result.attach(edge.clone(), child.recursive_difference(theirs)),
                None => result.attach(edge.clone(), child.clone()),
            }
        }
        result
    }

    /// Every path, as the server prints it in a conflict.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect("", &mut paths);
        paths
    }

    fn collect(&self, prefix: &str, paths: &mut Vec<String>) {
        if self.member {
            paths.push(prefix.to_owned());
        }
        for (edge, child) in &self.children {
            child.collect(&format!("{prefix}{}", edge_text(edge)), paths);
        }
    }
}

/// The edge of a named field.
pub(super) fn field_edge(name: &str) -> String {
    format!("f:{name}")
}

/// An edge in a printed path: `.image`, `[name="web"]`, `[="x"]`, `[0]`.
pub(super) fn edge_text(edge: &str) -> String {
    match edge.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", keys)) => format!("[{}]", key_text(keys)),
        Some(("v", value)) => format!("[={value}]"),
        Some((_, index)) => format!("[{index}]"),
        None => edge.to_owned(),
    }
}

fn key_text(keys: &str) -> String {
    let keys: BTreeMap<String, Value> = serde_json::from_str(keys).unwrap_or_default();
    keys.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_v1_survives_the_round_trip() {
        let fields = json!({"f:data": {".": {}, "f:a": {}}, "f:spec": {"f:c": {"k:{\"name\":\"x\"}": {".": {}, "f:name": {}}}}});
        assert_eq!(FieldSet::from_fields_v1(&fields).to_fields_v1(), fields);
    }

    #[test]
    fn paths_read_like_the_servers() {
        let fields = json!({"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {"f:name": {}}}, "f:set": {"v:\"x\"": {}}}});
        assert_eq!(
            FieldSet::from_fields_v1(&fields).paths(),
            [".spec.ports[port=80,protocol=\"TCP\"].name", ".spec.set[=\"x\"]"]
        );
    }

    #[test]
    fn differences_remove_members_and_whole_branches() {
        let all = FieldSet::from_fields_v1(&json!({"f:a": {".": {}, "f:b": {}}, "f:c": {}}));
        let a = FieldSet::of_fields(&["a"]);
        assert_eq!(all.difference(&a).paths(), [".a.b", ".c"]);
        assert_eq!(all.recursive_difference(&a).paths(), [".c"]);
        assert_eq!(all.union(&a), all);
        assert_eq!(all.intersection(&a), a);
    }
}
