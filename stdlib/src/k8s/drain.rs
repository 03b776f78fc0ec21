//! Emptying nodes: `drain`, its preflight `drain_preflight`, and `evict`. Pods leave by eviction, so that
//! disruption budgets hold: a refused eviction (429) is tried again until the budget allows it or the time is
//! over. What would block for ever is told before anything is touched.

use std::time::Duration;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use aegis_engine::text as words;
use aegis_engine::units::Period;
use async_trait::async_trait;
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::delete::{deletion, five_minutes, gone, yes};
use super::diagnose::selector_of;
use super::errors::{Failure, Refusal};
use super::nodes::{is_cordoned, set_cordoned};
use super::object::{controller, items, name, namespace, number, text, title};
use super::request::Request;
use super::selector::selects;
use super::target::Target;
use super::wait::{Deadline, pace};
use super::world::{Place, Selection, World};

/// A budget that is spent is asked again this often, as kubectl does.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Arguments of `drain` and `drain_preflight`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DrainArguments {
    /// A node: its name, `node/name`, or an object.
    node: Target,
    /// How long all pods may take to leave. Default 10m.
    #[serde(default = "ten_minutes")]
    timeout: Period,
    /// Time each pod's processes get to end. Default: what the pod says.
    #[serde(default)]
    grace: Option<Period>,
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
struct Preflight {
    /// Pods that leave by eviction.
    leaving: Vec<Value>,
    /// Pods that stay, and why.
    staying: Vec<(Value, &'static str)>,
    /// Pods that cannot leave, and why.
    blocked: Vec<(Value, String)>,
}

impl Preflight {
    async fn of(world: &World<'_>, node: &str, arguments: &DrainArguments) -> Result<Self, CallError> {
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

    fn describe(&self, node: &str) -> Value {
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

    fn refuse(&self, node: &Place) -> Result<(), CallError> {
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

fn where_is(pod: &Value) -> String {
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

/// `drain(node, [options])`.
pub(super) struct Drain;

#[async_trait]
impl HostFunction for Drain {
    type Arguments = DrainArguments;

    fn describe() -> Description {
        Description {
            summary: "Cordons a node and evicts its pods, as their disruption budgets allow, until it is empty.",
            capability: "k8s:change",
            positional: &["node"],
            returns: "map `{node, evicted: int, stay: array}`",
            undo: "the node is uncordoned, when it was not cordoned before; pods that moved do not move back",
            fails_when: "A pod cannot leave (A0311, before anything is touched), or the pods have not left in time (A0311, with the budget that holds each).",
            example: r#"k8s::drain("worker-1", #{ timeout: "10m", delete_empty_dir: true, force: true })"#,
            ..Description::of("drain", Effect::Changes)
        }
    }

    fn scope(arguments: &DrainArguments) -> Option<String> {
        arguments.node.node_scope()
    }

    async fn plan(context: &Context, arguments: &DrainArguments) -> Result<Plan, CallError> {
        let world = World::of(context)?;
        let node = world.node(&arguments.node).await?;
        let live = world.get(&node).await?;
        let preflight = Preflight::of(&world, &node.name, arguments).await?;
        preflight.refuse(&node)?;
        let count = words::count(preflight.leaving.len(), "pod");
        let mut summary = format!("drain {}: evict {count}", node.title());
        for pod in &preflight.leaving {
            summary = format!("{summary}\n  {}", where_is(pod));
        }
        let mut planned = live.clone();
        planned["spec"]["unschedulable"] = json!(true);
        let predicted = answer(&node, preflight.leaving.len(), &preflight);
        let mut plan = Plan::new(summary).predicting(predicted).overlaying(node.key(), Some(planned));
        plan.unchanged = preflight.leaving.is_empty() && is_cordoned(&live);
        if !is_cordoned(&live) {
            plan = plan.with_undo(UndoCall {
                function: "k8s::uncordon".to_owned(),
                arguments: json!({ "node": node.name }),
                summary: format!("uncordon {}", node.title()),
            });
        }
        Ok(plan)
    }

    async fn perform(context: &Context, arguments: DrainArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let node = world.node(&arguments.node).await?;
        world.get(&node).await?;
        let preflight = Preflight::of(&world, &node.name, &arguments).await?;
        preflight.refuse(&node)?;
        set_cordoned(&world, &node, true).await?;
        let deadline = Deadline::after(arguments.timeout);
        let left = std::sync::atomic::AtomicUsize::new(preflight.leaving.len());
        let leave = preflight.leaving.iter().map(|pod| async {
            let place = place_of(&world, pod).await?;
            evict_until_gone(&world, &place, pod, arguments.grace, deadline).await?;
            let left = left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) - 1;
            context.progress(format!("{}: {} left", node.title(), words::count(left, "pod")));
            Ok::<(), CallError>(())
        });
        try_join_all(leave).await?;
        Ok(answer(&node, preflight.leaving.len(), &preflight))
    }

    async fn probe(
        context: &Context,
        arguments: &DrainArguments,
        _asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        let world = World::of(context)?;
        let node = world.node(&arguments.node).await?;
        let live = world.get(&node).await?;
        let preflight = Preflight::of(&world, &node.name, arguments).await?;
        let empty = preflight.leaving.is_empty() && preflight.blocked.is_empty();
        Ok(if is_cordoned(&live) && empty {
            Probe::Happened(answer(&node, 0, &preflight))
        } else {
            Probe::DidNotHappen
        })
    }
}

fn answer(node: &Place, evicted: usize, preflight: &Preflight) -> Value {
    json!({ "node": node.name, "evicted": evicted, "stay": preflight.describe(&node.name)["stay"] })
}

async fn place_of(world: &World<'_>, pod: &Value) -> Result<Place, CallError> {
    let kind = world.built_in("pods").await?;
    Ok(Place { kind, namespace: namespace(pod).map(str::to_owned), name: name(pod).to_owned() })
}

/// Asks for a pod to leave until its budgets allow it, then waits until it is gone.
async fn evict_until_gone(
    world: &World<'_>,
    place: &Place,
    pod: &Value,
    grace: Option<Period>,
    deadline: Deadline,
) -> Result<(), CallError> {
    let uid = text(pod, "/metadata/uid");
    let mut attempt = 0;
    while let Some(refusal) = evict(world, place, uid, grace).await? {
        let why = held_by(&refusal);
        world.context.progress(format!("{} stays for now: {why}", place.title()));
        if deadline.is_over() {
            let message = format!("{} could not be evicted within {}: {why}", place.title(), deadline.period);
            return Err(CallError::new(codes::DRAIN_BLOCKED, message).retryable());
        }
        world.context.pause(refusal.retry_after.unwrap_or_else(|| (pace(attempt) * 5).min(ASK_AGAIN))).await;
        attempt += 1;
    }
    gone(world, place, uid, deadline)
        .await
        .map_err(|error| CallError { code: codes::DRAIN_BLOCKED.0.to_owned(), ..error })
}

/// Evicts a pod; a budget that does not allow it answers `Some`.
async fn evict(
    world: &World<'_>,
    place: &Place,
    uid: &str,
    grace: Option<Period>,
) -> Result<Option<Box<Refusal>>, CallError> {
    let mut options = deletion(None, grace.map(Duration::from));
    // The pod that was looked at, not one that took its name meanwhile.
    options["preconditions"] = json!({ "uid": uid });
    let body = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "deleteOptions": options,
        "metadata": { "name": place.name, "namespace": place.namespace } });
    let request =
        Request::subresource(&place.kind, place.namespace.as_deref(), &place.name, "eviction", &body);
    match world.send(&Request { busy_is_an_answer: true, ..request }).await {
        Ok(_) => Ok(None),
        Err(failure) if failure.is_not_found() => Ok(None),
        Err(Failure::Refused(refusal)) if refusal.status == 429 => Ok(Some(refusal)),
        // Another pod by now: this one is gone.
        Err(Failure::Refused(refusal)) if refusal.status == 409 => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

fn held_by(refusal: &Refusal) -> String {
    let cause = refusal.causes.iter().find(|cause| cause.reason == "DisruptionBudget");
    cause.map_or_else(|| refusal.message.clone(), |cause| cause.message.clone())
}

/// Arguments of `evict`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EvictArguments {
    /// A pod: its name, `pod/name`, or an object.
    pod: Target,
    /// Namespace. Default: the target's.
    #[serde(default)]
    namespace: Option<String>,
    /// Time its processes get to end. Default: what the pod says.
    #[serde(default)]
    grace: Option<Period>,
    /// False: answer as soon as the eviction is accepted.
    #[serde(default = "yes")]
    wait: bool,
    /// How long its budgets and its end may take. Default 5m.
    #[serde(default = "five_minutes")]
    timeout: Period,
}

/// `evict(pod, [options])`.
pub(super) struct Evict;

#[async_trait]
impl HostFunction for Evict {
    type Arguments = EvictArguments;

    fn describe() -> Description {
        Description {
            summary: "Evicts one pod, as its disruption budgets allow.",
            capability: "k8s:change",
            positional: &["pod"],
            returns: "map `{kind, name, namespace, action}`; action is `evicted`, or `absent` when there was none",
            undo: "none: the pod's controller makes another one, the old one is gone",
            fails_when: "A budget does not let it go in time (A0311).",
            example: r#"k8s::evict("web-0", #{ namespace: "shop" })"#,
            ..Description::of("evict", Effect::Changes)
        }
    }

    fn scope(arguments: &EvictArguments) -> Option<String> {
        let reference = arguments.pod.reference_to("pods").ok()?;
        Some(super::target::scope(&reference, arguments.namespace.as_deref()))
    }

    async fn plan(context: &Context, arguments: &EvictArguments) -> Result<Plan, CallError> {
        let world = World::of(context)?;
        let place = pod_place(&world, arguments).await?;
        world.get(&place).await?;
        let predicted = super::preview::result(&place, "evicted");
        Ok(Plan::new(format!("evict {}", place.title())).predicting(predicted).overlaying(place.key(), None))
    }

    async fn perform(context: &Context, arguments: EvictArguments) -> Result<Value, CallError> {
        let world = World::of(context)?;
        let place = pod_place(&world, &arguments).await?;
        let Some(pod) = world.live(&place).await? else {
            return Ok(super::preview::result(&place, "absent"));
        };
        let deadline = Deadline::after(arguments.timeout);
        if arguments.wait {
            evict_until_gone(&world, &place, &pod, arguments.grace, deadline).await?;
        } else if let Some(refusal) =
            evict(&world, &place, text(&pod, "/metadata/uid"), arguments.grace).await?
        {
            let message = format!("{} may not go now: {}", place.title(), held_by(&refusal));
            return Err(CallError::new(codes::DRAIN_BLOCKED, message).retryable());
        }
        Ok(super::preview::result(&place, "evicted"))
    }

    async fn probe(
        context: &Context,
        arguments: &EvictArguments,
        _asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        let world = World::of(context)?;
        let place = pod_place(&world, arguments).await?;
        let there = world.live(&place).await?.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        Ok(match there {
            None => Probe::Happened(super::preview::result(&place, "evicted")),
            // A StatefulSet's pod may be a new one under the old name: nobody can tell.
            Some(pod) if controller(&pod).is_some_and(|owner| owner["kind"] == "StatefulSet") => {
                Probe::CannotTell
            }
            Some(_) => Probe::DidNotHappen,
        })
    }
}

async fn pod_place(world: &World<'_>, arguments: &EvictArguments) -> Result<Place, CallError> {
    world.at(&arguments.pod.reference_to("pods")?, arguments.namespace.as_deref()).await
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
