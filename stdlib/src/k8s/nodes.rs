//! Nodes: `nodes`, `cordon`, `uncordon` and `taint`.

use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::diff::diff;
use super::object::{holds, items, name, text, visible};
use super::request::PatchKind;
use super::target::Target;
use super::world::{Place, Selection, World};

/// Arguments of `nodes`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NodesArguments {
    /// Label selector: `topology.kubernetes.io/zone=a`.
    #[serde(default)]
    selector: Option<String>,
}

/// `nodes([options])`.
pub(super) struct Nodes;

#[async_trait]
impl HostFunction for Nodes {
    type Arguments = NodesArguments;

    fn describe() -> Description {
        Description {
            summary: "Lists the nodes with what matters about each.",
            capability: "k8s:read",
            returns: "array of maps `{kind, name, ready: bool, schedulable: bool, roles: array, zone, version, address, taints: array, labels: map}`",
            undo: "none: it only reads",
            fails_when: "Reading nodes is not allowed (A0304).",
            example: r#"k8s::nodes(#{ selector: "!node-role.kubernetes.io/control-plane" })"#,
            ..Description::of("nodes", Effect::Reads)
        }
    }

    fn scope(_arguments: &NodesArguments) -> Option<String> {
        Some("nodes/*".to_owned())
    }

    async fn perform(context: &Context, arguments: NodesArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let place = Place { kind: world.built_in("nodes").await?, namespace: None, name: String::new() };
        let selection = Selection { labels: arguments.selector, ..Selection::default() };
        Ok(world.list(&place, &selection).await?.iter().map(line).collect())
    }
}

fn line(node: &Value) -> Value {
    const ROLE: &str = "node-role.kubernetes.io/";
    let labels = node.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({}));
    let roles: Vec<&str> = labels
        .as_object()
        .into_iter()
        .flat_map(|labels| labels.keys())
        .filter_map(|key| key.strip_prefix(ROLE))
        .collect();
    let address = items(node, "/status/addresses").iter().find(|address| address["type"] == "InternalIP");
    json!({
        "kind": "Node",
        "name": name(node),
        "ready": holds(node, "Ready"),
        "schedulable": node["spec"]["unschedulable"] != true,
        "roles": roles,
        "zone": labels["topology.kubernetes.io/zone"],
        "version": text(node, "/status/nodeInfo/kubeletVersion"),
        "address": address.map(|address| address["address"].clone()),
        "taints": items(node, "/spec/taints").iter().map(written).collect::<Vec<_>>(),
        "labels": labels,
    })
}

/// Arguments of `cordon` and `uncordon`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeArguments {
    /// A node: its name, `node/name`, or an object.
    node: Target,
}

async fn plan_cordon(context: &Context, node: &Target, cordoned: bool) -> Result<Plan, CallError> {
    let world = World::of(context)?;
    let place = world.node(node).await?;
    let live = world.get(&place).await?;
    let mut planned = live.clone();
    json_patch::merge(&mut planned, &cordon_patch(cordoned));
    let (verb, inverse) = if cordoned { ("cordon", "uncordon") } else { ("uncordon", "cordon") };
    let mut plan = Plan::new(format!("{verb} {}", place.title()));
    plan.unchanged = is_cordoned(&live) == cordoned;
    if !plan.unchanged {
        plan = plan.with_undo(UndoCall {
            function: format!("k8s::{inverse}"),
            arguments: json!({ "node": place.name }),
            summary: format!("{inverse} {}", place.title()),
        });
    }
    let text = diff(Some(&live), Some(&planned), &place.title());
    Ok(plan
        .with_diff(text)
        .predicting(visible(planned.clone()))
        .overlaying(place.key(), Some(visible(planned))))
}

/// Makes a node take new pods or not.
pub(super) async fn set_cordoned(
    world: &World<'_>,
    place: &Place,
    cordoned: bool,
) -> Result<Value, CallError> {
    match world.send(&place.patch(PatchKind::Merge, &cordon_patch(cordoned))).await {
        Err(failure) if failure.is_not_found() => world.get(place).await,
        other => Ok(visible(other?)),
    }
}

async fn probe_cordon(context: &Context, node: &Target, cordoned: bool) -> Result<Probe, CallError> {
    let world = World::of(context)?;
    let live = world.get(&world.node(node).await?).await?;
    Ok(if is_cordoned(&live) == cordoned { Probe::Happened(visible(live)) } else { Probe::DidNotHappen })
}

fn cordon_patch(cordoned: bool) -> Value {
    // Absent and false are the same; kubectl removes it as well.
    json!({ "spec": { "unschedulable": cordoned.then_some(true) } })
}

pub(super) fn is_cordoned(node: &Value) -> bool {
    node["spec"]["unschedulable"] == true
}

macro_rules! cordon {
    ($function:ident, $cordoned:literal, $line:literal, $description:expr) => {
        #[doc = $line]
        pub(super) struct $function;

        #[async_trait]
        impl HostFunction for $function {
            type Arguments = NodeArguments;

            fn describe() -> Description {
                $description
            }

            fn scope(arguments: &NodeArguments) -> Option<String> {
                arguments.node.node_scope()
            }

            async fn plan(context: &Context, arguments: &NodeArguments) -> Result<Plan, CallError> {
                plan_cordon(context, &arguments.node, $cordoned).await
            }

            async fn perform(context: &Context, arguments: NodeArguments) -> Result<Value, CallError> {
                let world = World::of(context)?;
                let place = world.node(&arguments.node).await?;
                set_cordoned(&world, &place, $cordoned).await
            }

            async fn probe(
                context: &Context,
                arguments: &NodeArguments,
                _asked: Option<&UndoCall>,
            ) -> Result<Probe, CallError> {
                probe_cordon(context, &arguments.node, $cordoned).await
            }
        }
    };
}

cordon!(
    Cordon,
    true,
    "`cordon(node)`.",
    Description {
        summary: "Keeps new pods off a node.",
        capability: "k8s:change",
        positional: &["node"],
        returns: "map: the node as it then is",
        undo: "the node is uncordoned, when it was not cordoned before",
        fails_when: "The node does not exist (A0306, with the nearest name).",
        example: r#"k8s::cordon("worker-1")"#,
        ..Description::of("cordon", Effect::Changes)
    }
);

cordon!(
    Uncordon,
    false,
    "`uncordon(node)`.",
    Description {
        summary: "Lets a node take new pods again.",
        capability: "k8s:change",
        positional: &["node"],
        returns: "map: the node as it then is",
        undo: "the node is cordoned, when it was cordoned before",
        fails_when: "The node does not exist (A0306, with the nearest name).",
        example: r#"k8s::uncordon("worker-1")"#,
        ..Description::of("uncordon", Effect::Changes)
    }
);

/// Arguments of `taint`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TaintArguments {
    /// A node: its name, `node/name`, or an object.
    node: Target,
    /// `key=value:Effect`, or `key:Effect-` (all effects: `key-`) to remove; several in an array.
    taints: Taints,
}

/// One taint or several, as written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Taints {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Taints {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// A taint taken apart.
struct Taint<'a> {
    key: &'a str,
    value: Option<&'a str>,
    effect: Option<&'a str>,
    removed: bool,
}

fn parse(text: &str) -> Result<Taint<'_>, CallError> {
    let (body, removed) = text.strip_suffix('-').map_or((text, false), |body| (body, true));
    let (pair, effect) = body.split_once(':').map_or((body, None), |(pair, effect)| (pair, Some(effect)));
    let (key, value) = pair.split_once('=').map_or((pair, None), |(key, value)| (key, Some(value)));
    let known =
        effect.map_or(removed, |effect| ["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect));
    if key.is_empty() || !known {
        let hint = "write `key=value:NoSchedule`, `PreferNoSchedule` or `NoExecute`, and `key:NoSchedule-` to remove";
        return Err(CallError::argument(format!("`{text}` is not a taint")).hint(hint));
    }
    Ok(Taint { key, value, effect, removed })
}

/// A taint of a node as it is written.
fn written(taint: &Value) -> String {
    let value = taint["value"].as_str().filter(|value| !value.is_empty());
    let value = value.map(|value| format!("={value}")).unwrap_or_default();
    format!("{}{value}:{}", text(taint, "/key"), text(taint, "/effect"))
}

/// The taints after the change.
fn tainted(node: &Value, changes: &[String]) -> Result<Vec<Value>, CallError> {
    let mut taints = items(node, "/spec/taints").to_vec();
    for change in changes {
        let taint = parse(change)?;
        let same = |known: &Value| {
            known["key"] == taint.key && taint.effect.is_none_or(|effect| known["effect"] == effect)
        };
        let kept = taints
            .iter()
            .find(|known| same(known) && !taint.removed && known["value"].as_str() == taint.value);
        if kept.is_some() {
            continue;
        }
        taints.retain(|known| !same(known));
        if !taint.removed {
            let mut new = json!({ "key": taint.key, "effect": taint.effect });
            if let Some(value) = taint.value {
                new["value"] = json!(value);
            }
            taints.push(new);
        }
    }
    Ok(taints)
}

/// The changes that bring the taints of `node` back after `changes`.
fn inverse(node: &Value, changes: &[String]) -> Result<Vec<String>, CallError> {
    let (before, after) = (items(node, "/spec/taints"), tainted(node, changes)?);
    let gone = before.iter().filter(|taint| !after.contains(taint)).map(written);
    let identity = |taint: &Value| (taint["key"].clone(), taint["effect"].clone());
    let new = after.iter().filter(|taint| !before.iter().any(|old| identity(old) == identity(taint)));
    let removals = new.map(|taint| format!("{}:{}-", text(taint, "/key"), text(taint, "/effect")));
    Ok(removals.chain(gone).collect())
}

/// `taint(node, taints)`.
pub(super) struct TaintNode;

#[async_trait]
impl HostFunction for TaintNode {
    type Arguments = TaintArguments;

    fn describe() -> Description {
        Description {
            summary: "Sets and removes taints of a node.",
            capability: "k8s:change",
            positional: &["node", "taints"],
            returns: "map: the node as it then is",
            undo: "the taints get back to what they were; pods that a `NoExecute` taint drove away do not return",
            fails_when: "The node does not exist (A0306), or a taint is malformed (A0101).",
            example: r#"k8s::taint("worker-1", "maintenance=planned:NoSchedule")"#,
            ..Description::of("taint", Effect::Changes)
        }
    }

    fn scope(arguments: &TaintArguments) -> Option<String> {
        arguments.node.node_scope()
    }

    async fn plan(context: &Context, arguments: &TaintArguments) -> Result<Plan, CallError> {
        let world = World::of(context)?;
        let place = world.node(&arguments.node).await?;
        let live = world.get(&place).await?;
        let changes = arguments.taints.as_slice();
        let mut planned = live.clone();
        planned["spec"]["taints"] = Value::Array(tainted(&live, changes)?);
        let back = inverse(&live, changes)?;
        let mut plan = Plan::new(format!("taint {}: {}", place.title(), changes.join(", ")));
        plan.unchanged = back.is_empty();
        if !plan.unchanged {
            plan = plan.with_undo(UndoCall {
                function: "k8s::taint".to_owned(),
                summary: format!("taint {} back: {}", place.title(), back.join(", ")),
                arguments: json!({ "node": place.name, "taints": back }),
            });
        }
        let text = diff(Some(&live), Some(&planned), &place.title());
        Ok(plan
            .with_diff(text)
            .predicting(visible(planned.clone()))
            .overlaying(place.key(), Some(visible(planned))))
    }

    async fn perform(context: &Context, arguments: TaintArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let place = world.node(&arguments.node).await?;
        let changes = arguments.taints.as_slice();
        let change = |live: &Value| Ok(json!({ "spec": { "taints": tainted(live, changes)? } }));
        world.modify(&place, change).await.map(visible)
    }

    async fn probe(
        context: &Context,
        arguments: &TaintArguments,
        _asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        let world = World::of(context)?;
        let live = world.get(&world.node(&arguments.node).await?).await?;
        let done = inverse(&live, arguments.taints.as_slice())?.is_empty();
        Ok(if done { Probe::Happened(visible(live)) } else { Probe::DidNotHappen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(taints: Value) -> Value {
        json!({ "spec": { "taints": taints } })
    }

    #[test]
    fn the_inverse_of_a_taint_brings_it_back() {
        let before = node(json!([{"key": "a", "value": "1", "effect": "NoSchedule"}]));
        for changes in
            [vec!["a=2:NoSchedule"], vec!["b:NoExecute"], vec!["a-"], vec!["a:NoSchedule-", "b=x:NoSchedule"]]
        {
            let changes: Vec<String> = changes.into_iter().map(str::to_owned).collect();
            let after = node(Value::Array(tainted(&before, &changes).unwrap()));
            let back = inverse(&before, &changes).unwrap();
            assert_eq!(
                node(Value::Array(tainted(&after, &back).unwrap())),
                before,
                "{changes:?} then {back:?}"
            );
        }
        assert!(inverse(&before, &["a=1:NoSchedule".to_owned()]).unwrap().is_empty());
    }

    #[test]
    fn half_a_taint_is_refused() {
        for text in ["a", "a=b", "a:Never", ":NoSchedule", "-"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
