//! What a drain would meet: the pods that leave, those that stay, and those that block it, each with its reason.
//! `drain_preflight` answers it, `drain` heeds it before it touches anything.

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction};
use aegis_engine::units::Period;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::diagnose::selector_of;
use super::object::{controller, items, name, namespace, number, text, title};
use super::selector::selects;
use super::target::Target;
use super::world::{Place, Selection, World};

/// Arguments of `drain` and `drain_preflight`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DrainArguments {
    /// A node: its name, `node/name`, or an object.
    pub(super) node: Target,
    /// How long all pods may take to leave. Default 10m.
    #[serde(default = "ten_minutes")]
    pub(super) timeout: Period,
    /// Time each pod's processes get to end. Default: what the pod says.
    #[serde(default)]
    pub(super) grace: Option<Period>,
    /// True: evict pods with `emptyDir` volumes, whose data is lost.
    #[serde(default)]
    delete_empty_dir: bool,
    /// True: evict pods that nobody will create again.
    #[serde(default)]
    force: bool,
    /// Only pods with these labels.
    #[serde(default)]
    selector: Option<String>,
}

const fn ten_minutes() -> Period {
    Period::minutes(10)
}

/// What a drain would meet.
pub(super) struct Preflight {
    /// Pods that leave by eviction.
    pub(super) leaving: Vec<Value>,
    /// Pods that stay, and why.
    pub(super) staying: Vec<(Value, &'static str)>,
    /// Pods that cannot leave, and why.
    pub(super) blocked: Vec<(Value, String)>,
}

impl Preflight {
    /// Looks at the pods of a node and at the budgets that cover them.
    pub(super) async fn of(
        world: &World<'_>,
        node: &str,
        arguments: &DrainArguments,
    ) -> Result<Self, CallError> {
        let pods = pods_on(world, node, arguments.selector.clone()).await?;
        let mut preflight = Self { leaving: Vec::new(), staying: Vec::new(), blocked: Vec::new() };
        for pod in pods {
            match verdict(&pod, arguments) {
                Verdict::Stays(why) => preflight.staying.push((pod, why)),
                Verdict::Blocks(why) => preflight.blocked.push((pod, why)),
                Verdict::Leaves => preflight.leaving.push(pod),
            }
        }
        preflight.ask_budgets(world).await?;
        Ok(preflight)
    }

    /// Budgets that can never allow an eviction block; those that are only spent at the moment do not.
    async fn ask_budgets(&mut self, world: &World<'_>) -> Result<(), CallError> {
        if self.leaving.is_empty() {
            return Ok(());
        }
        let kind = world.built_in("poddisruptionbudgets.policy").await?;
        let all = Place { kind, namespace: None, name: String::new() };
        let budgets = world.list(&all, &Selection::default()).await?;
        let (blocked, leaving) = std::mem::take(&mut self.leaving).into_iter().partition(|pod| {
            !is_finished(pod) && budgets.iter().any(|budget| covers(budget, pod) && allows_none_ever(budget))
        });
        self.leaving = leaving;
        let blocked: Vec<Value> = blocked;
        self.blocked.extend(blocked.into_iter().map(|pod| {
            let budget = budgets.iter().find(|budget| covers(budget, &pod) && allows_none_ever(budget));
            let why = budget.map(never).unwrap_or_default();
            (pod, why)
        }));
        Ok(())
    }

    /// As it is answered to scripts.
    pub(super) fn describe(&self, node: &str) -> Value {
        let entry =
            |pod: &Value, why: &str| json!({ "name": name(pod), "namespace": namespace(pod), "why": why });
        json!({
            "node": node,
            "drainable": self.blocked.is_empty(),
            "evict": self.leaving.iter().map(|pod| entry(pod, "")).collect::<Vec<_>>(),
            "stay": self.staying.iter().map(|(pod, why)| entry(pod, why)).collect::<Vec<_>>(),
            "blocked": self.blocked.iter().map(|(pod, why)| entry(pod, why)).collect::<Vec<_>>(),
        })
    }

    /// The error when a pod cannot leave.
    pub(super) fn refuse(&self, node: &Place) -> Result<(), CallError> {
        if self.blocked.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> =
            self.blocked.iter().map(|(pod, why)| format!("{}: {why}", where_is(pod))).collect();
        let message = format!("{} cannot be drained: {}", node.title(), lines.join("; "));
        Err(CallError::new(codes::DRAIN_BLOCKED, message)
            .hint("`delete_empty_dir: true` gives up emptyDir data, `force: true` pods without a controller; a budget needs more replicas or a wider limit"))
    }
}

enum Verdict {
    Leaves,
    Stays(&'static str),
    Blocks(String),
}

/// What becomes of a pod: the rules of `kubectl drain --ignore-daemonsets`.
fn verdict(pod: &Value, arguments: &DrainArguments) -> Verdict {
    let mirror =
        pod.pointer("/metadata/annotations").is_some_and(|all| !all["kubernetes.io/config.mirror"].is_null());
    let owner = controller(pod);
    if mirror {
        return Verdict::Stays("a static pod of the node");
    }
    if owner.is_some_and(|owner| owner["kind"] == "DaemonSet") {
        return Verdict::Stays("its DaemonSet would put it back");
    }
    if is_finished(pod) {
        return Verdict::Leaves;
    }
    if owner.is_none() && !arguments.force {
        return Verdict::Blocks("no controller would create it again".to_owned());
    }
    let scratch = items(pod, "/spec/volumes").iter().any(|volume| !volume["emptyDir"].is_null());
    if scratch && !arguments.delete_empty_dir {
        return Verdict::Blocks("it would lose the data of an emptyDir volume".to_owned());
    }
    Verdict::Leaves
}

fn is_finished(pod: &Value) -> bool {
    ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"))
}

fn covers(budget: &Value, pod: &Value) -> bool {
    namespace(budget) == namespace(pod)
        && selector_of(budget).is_some_and(|labels| selects(Some(&labels), None, pod))
}

/// True when a budget wants as many healthy pods as there can be.
fn allows_none_ever(budget: &Value) -> bool {
    let expected = number(budget, "/status/expectedPods");
    number(budget, "/status/disruptionsAllowed") == 0
        && expected > 0
        && number(budget, "/status/desiredHealthy") >= expected
}

fn never(budget: &Value) -> String {
    let (desired, expected) =
        (number(budget, "/status/desiredHealthy"), number(budget, "/status/expectedPods"));
    format!(
        "disruption budget `{}` wants {desired} of {expected} pods healthy and so never lets one go",
        name(budget)
    )
}

/// `pod/web-0 in shop`, for people.
pub(super) fn where_is(pod: &Value) -> String {
    format!("{} in {}", title(pod), namespace(pod).unwrap_or_default())
}

async fn pods_on(world: &World<'_>, node: &str, labels: Option<String>) -> Result<Vec<Value>, CallError> {
    let place = Place { kind: world.built_in("pods").await?, namespace: None, name: String::new() };
    let selection = Selection { labels, fields: Some(format!("spec.nodeName={node}")), limit: None };
    world.list(&place, &selection).await
}

/// `drain_preflight(node, [options])`.
pub(super) struct DrainPreflight;

#[async_trait]
impl HostFunction for DrainPreflight {
    type Arguments = DrainArguments;

    fn describe() -> Description {
        Description {
            summary: "Tells which pods a drain would evict, leave, or be blocked by, and why.",
            capability: "k8s:read",
            positional: &["node"],
            returns: "map `{node, drainable: bool, evict, stay, blocked}`; the three are arrays of `{name, namespace, why}`",
            undo: "none: it only reads",
            fails_when: "The node does not exist (A0306), or reading pods is not allowed (A0304).",
            example: r#"k8s::drain_preflight("worker-1")"#,
            ..Description::of("drain_preflight", Effect::Reads)
        }
    }

    fn scope(arguments: &DrainArguments) -> Option<String> {
        arguments.node.node_scope()
    }

    async fn perform(context: &Context, arguments: DrainArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let node = world.node(&arguments.node).await?;
        world.get(&node).await?;
        Ok(Preflight::of(&world, &node.name, &arguments).await?.describe(&node.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(options: Value) -> DrainArguments {
        let mut all = json!({ "node": "w1" });
        json_patch::merge(&mut all, &options);
        serde_json::from_value(all).unwrap()
    }

    fn pod(owner: Option<&str>, extra: Value) -> Value {
        let owners: Vec<Value> =
            owner.iter().map(|kind| json!({ "kind": kind, "controller": true })).collect();
        let mut pod = json!({ "kind": "Pod", "metadata": { "name": "p", "namespace": "n", "ownerReferences": owners } });
        json_patch::merge(&mut pod, &extra);
        pod
    }

    #[test]
    fn daemon_set_and_static_pods_stay() {
        assert!(matches!(
            verdict(&pod(Some("DaemonSet"), json!({})), &arguments(json!({}))),
            Verdict::Stays(_)
        ));
        let mirror = json!({ "metadata": { "annotations": { "kubernetes.io/config.mirror": "x" } } });
        assert!(matches!(verdict(&pod(None, mirror), &arguments(json!({}))), Verdict::Stays(_)));
    }

    #[test]
    fn what_would_be_lost_blocks_until_it_is_allowed() {
        let scratch = || json!({ "spec": { "volumes": [{ "name": "tmp", "emptyDir": {} }] } });
        let cases = [
            (pod(None, json!({})), json!({}), false),
            (pod(None, json!({})), json!({ "force": true }), true),
            (pod(Some("ReplicaSet"), scratch()), json!({}), false),
            (pod(Some("ReplicaSet"), scratch()), json!({ "delete_empty_dir": true }), true),
            (pod(None, json!({ "status": { "phase": "Succeeded" } })), json!({}), true),
        ];
        for (pod, options, leaves) in cases {
            let leaves_now = matches!(verdict(&pod, &arguments(options.clone())), Verdict::Leaves);
            assert_eq!(leaves_now, leaves, "{pod} {options}");
        }
    }

    #[test]
    fn a_budget_blocks_for_ever_only_when_it_wants_every_pod() {
        let budget = |desired: i64| json!({ "metadata": { "name": "b" }, "status": { "disruptionsAllowed": 0, "expectedPods": 3, "desiredHealthy": desired } });
        assert!(allows_none_ever(&budget(3)));
        assert!(!allows_none_ever(&budget(2)));
    }
}
