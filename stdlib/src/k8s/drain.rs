//! `drain`: empties a node. Pods leave by eviction (`evict.rs`), so that disruption budgets hold; what would block
//! for ever is told before anything is touched (`preflight.rs`).

use std::sync::atomic::{AtomicUsize, Ordering};

use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use aegis_engine::text as words;
use async_trait::async_trait;
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::evict::evict_until_gone;
use super::nodes::{is_cordoned, set_cordoned};
use super::object::{name, namespace};
use super::preflight::{DrainArguments, Preflight, where_is};
use super::wait::Deadline;
use super::world::{Place, World};

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
        let left = AtomicUsize::new(preflight.leaving.len());
        let leave = preflight.leaving.iter().map(|pod| async {
            let place = place_of(&world, pod).await?;
            evict_until_gone(&world, &place, pod, arguments.grace, deadline).await?;
            let left = left.fetch_sub(1, Ordering::Relaxed) - 1;
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
