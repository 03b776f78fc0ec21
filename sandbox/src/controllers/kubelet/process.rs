//! Containers that run as processes: starting them, and reading how they ended.

use serde_json::{Value, json};

use super::super::controller::{Plan, Write};
use super::super::fields::Fields;
use super::Play;
use super::containers::One;
use crate::processes::probes::Health;
use crate::processes::{Launch, Outcome, Place, Signal, recipe};

/// The exit code of a container whose end nobody saw, as kubelets tell it after their machine went down.
const NOBODY_SAW: i64 = 255;

/// Plans the start of a container.
///
/// # Errors
/// A sentence, when it cannot be created.
pub(super) fn launch(one: &One<'_>, attempt: i64, plan: &mut Plan) -> Result<(), String> {
    let (pod, world) = (one.play.pod, one.play.world);
    if !world.processes.are_allowed() {
        return Err("this sandbox runs no processes: start it with --allow-processes".into());
    }
    let find = |kind: &str, namespace: &str, name: &str| world.cache.get(kind, namespace, name).cloned();
    let recipe = recipe::of(pod, one.container, &find)?;
    let pod_key = super::Key::of(pod);
    plan.push(Write::Run(Box::new(Launch { place: place(one), pod: pod_key, attempt, recipe })));
    Ok(())
}

/// The status of a container whose process has ended; none while it runs.
pub(super) fn ended(one: &One<'_>, attempt: i64, since: &str) -> Option<Value> {
    let Some(process) = one.play.world.processes.attempt(&place(one), attempt) else {
        // The sandbox that ran it is gone, and with it the process.
        let mut status = one.end_with(NOBODY_SAW, since, &one.play.world.timestamp());
        status["state"]["terminated"]["reason"] = "Unknown".into();
        return Some(status);
    };
    let Outcome { code, problem, at } = process.outcome()?;
    let mut status = one.end_with(code, since, &at);
    if !problem.is_empty() {
        status["state"]["terminated"]["reason"] = "StartError".into();
        status["state"]["terminated"]["message"] = json!(problem);
    }
    Some(status)
}

/// What the probes of a container say that runs as a process.
pub(super) fn health(one: &One<'_>, attempt: i64) -> Option<Health> {
    one.play.world.processes.attempt(&place(one), attempt).map(|process| process.health())
}

fn place(one: &One<'_>) -> Place {
    Place::new(one.play.pod.uid(), one.container.text("/name"))
}

impl Play<'_> {
    /// Whether a process of the pod still runs.
    pub(super) fn has_processes(&self) -> bool {
        let lists = ["/spec/initContainers", "/spec/containers"];
        lists.iter().flat_map(|list| self.pod.list(list)).any(|container| {
            let place = Place::new(self.pod.uid(), container.text("/name"));
            self.world.processes.find(&place).is_some_and(|process| process.outcome().is_none())
        })
    }

    pub(super) fn signal(&self, signal: Signal) -> Write {
        Write::Signal { pod: self.pod.uid().to_owned(), signal }
    }
}
