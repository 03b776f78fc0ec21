//! The next state of each container of a pod: pulled, configured, started, ended, started again.

use std::time::Duration;

use serde_json::Value;

use super::super::controller::{Plan, Write};
use super::super::events::Note;
use super::super::fields::Fields;
use super::behaviour::End;
use super::status::{self, State};
use super::{Play, process, references};

/// The first wait before a container that keeps ending starts again, doubled each time.
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
/// The longest wait. Both are the kubelet's defaults.
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);

/// What all containers do next.
pub(super) struct Step {
    pub(super) phase: &'static str,
    pub(super) init: Vec<Value>,
    pub(super) containers: Vec<Value>,
}

/// Moves every container one state on.
pub(super) fn next(play: &Play<'_>, plan: &mut Plan) -> Step {
    let inits = play.pod.list("/spec/initContainers");
    let mut init = Vec::new();
    let mut clear = true;
    for container in inits {
        let held = held(play.pod, "/status/initContainerStatuses", container);
        let one = One { play, container, held, is_init: true };
        let status = if clear { one.next(plan) } else { one.wait("PodInitializing") };
        clear = clear && one.lets_pass(&status);
        init.push(status);
    }
    let containers: Vec<Value> = play
        .pod
        .list("/spec/containers")
        .iter()
        .map(|container| {
            let held = held(play.pod, "/status/containerStatuses", container);
            let one = One { play, container, held, is_init: false };
            if clear { one.next(plan) } else { one.wait("PodInitializing") }
        })
        .collect();
    Step { phase: phase(play.pod, &init, &containers), init, containers }
}

/// The exit code of a container that was told to stop: 128 plus SIGTERM.
const TERMINATED: i64 = 143;

/// Every container ended, as it looks just before a deleted pod goes. Servers stop well; work that was
/// to run to its end has failed.
pub(super) fn stopped(play: &Play<'_>) -> Step {
    let now = play.world.timestamp();
    let serves = play.pod.text("/spec/restartPolicy") == "Always";
    let (phase, code) = if serves { ("Succeeded", 0) } else { ("Failed", TERMINATED) };
    let end = |list: &str, path: &str| -> Vec<Value> {
        play.pod
            .list(list)
            .iter()
            .map(|container| {
                let held = held(play.pod, path, container);
                if held.at("/state/terminated").is_object() {
                    return held.clone();
                }
                let since = held.text("/state/running/startedAt");
                let since = if since.is_empty() { &now } else { since };
                let one = One { play, container, held, is_init: list.ends_with("initContainers") };
                if one.is_process()
                    && let Some(ended) = process::ended(&one, held.count("/restartCount"), since)
                {
                    return ended;
                }
                let state = State::Ended(code, since.to_owned(), now.clone());
                status::container(container, play.pod, state, false, held)
            })
            .collect()
    };
    let init = end("/spec/initContainers", "/status/initContainerStatuses");
    Step { phase, init, containers: end("/spec/containers", "/status/containerStatuses") }
}

fn held<'a>(pod: &'a Value, list: &str, container: &Value) -> &'a Value {
    let name = container.text("/name");
    pod.list(list).iter().find(|held| held.text("/name") == name).unwrap_or(&Value::Null)
}

fn phase(pod: &Value, init: &[Value], containers: &[Value]) -> &'static str {
    let code = |status: &Value| status.number("/state/terminated/exitCode");
    let policy = pod.text("/spec/restartPolicy");
    let done = |status: &Value| match code(status) {
        Some(0) => policy != "Always",
        Some(_) => policy == "Never",
        None => false,
    };
    let is_sidecar = |status: &&Value| status.at("/state/running").is_object();
    if init
        .iter()
        .filter(|status| !is_sidecar(status))
        .any(|status| code(status).is_some_and(|code| code != 0) && policy == "Never")
    {
        return "Failed";
    }
    if containers.iter().all(done) {
        let well = containers.iter().all(|status| code(status) == Some(0));
        return if well { "Succeeded" } else { "Failed" };
    }
    let begun =
        |status: &Value| !status.at("/state/waiting").is_object() || status.count("/restartCount") > 0;
    if containers.iter().any(begun) { "Running" } else { "Pending" }
}

/// One container of the pod.
pub(super) struct One<'a> {
    pub(super) play: &'a Play<'a>,
    pub(super) container: &'a Value,
    held: &'a Value,
    is_init: bool,
}

impl One<'_> {
    fn next(&self, plan: &mut Plan) -> Value {
        if self.held.at("/state/running").is_object() {
            return self.go_on(plan);
        }
        if self.held.at("/state/terminated").is_object() {
            return self.after_end(plan);
        }
        if self.held.text("/state/waiting/reason") == "CrashLoopBackOff" {
            return self.wait_for_restart(plan);
        }
        self.begin(plan)
    }

    /// Whether the containers behind this init container may begin.
    fn lets_pass(&self, status: &Value) -> bool {
        match self.is_sidecar() {
            true => status.flag("/started"),
            false => status.number("/state/terminated/exitCode") == Some(0),
        }
    }

    fn is_process(&self) -> bool {
        self.play.behaviour.is_process(self.container)
    }

    fn is_sidecar(&self) -> bool {
        self.is_init && self.container.text("/restartPolicy") == "Always"
    }

    fn wait(&self, reason: &'static str) -> Value {
        self.status(State::Waiting(reason, String::new()), false, self.held)
    }

    /// Pulls the image, checks the environment, starts.
    fn begin(&self, plan: &mut Plan) -> Value {
        if !self.play.behaviour.pulls(self.container) {
            return self.fail_to_pull(plan);
        }
        if let Some(problem) =
            references::missing_environment(self.play.pod, self.container, self.play.world.cache)
        {
            self.warn(plan, "Failed", format!("Error: {problem}"));
            plan.upkeep(FIRST_BACKOFF);
            return self.status(State::Waiting("CreateContainerConfigError", problem), false, self.held);
        }
        self.start(self.held, plan)
    }

    fn start(&self, held: &Value, plan: &mut Plan) -> Value {
        let restarts = held.count("/restartCount");
        if self.is_process()
            && let Err(problem) = process::launch(self, restarts, plan)
        {
            self.warn(plan, "Failed", format!("Error: {problem}"));
            plan.upkeep(FIRST_BACKOFF);
            return self.status(State::Waiting("CreateContainerError", problem), false, held);
        }
        self.note_start(plan);
        self.play.elapsed(&self.stage("run", restarts));
        self.play.elapsed(&self.stage("ready", restarts));
        self.plan_end(restarts, plan);
        let state = State::Running(self.play.world.timestamp());
        self.status(state, self.is_ready(restarts, plan), held)
    }

    fn fail_to_pull(&self, plan: &mut Plan) -> Value {
        let image = self.container.text("/image");
        if self.held.text("/state/waiting/reason") == "ErrImagePull" {
            let message = format!("Back-off pulling image \"{image}\"");
            self.note(plan, "BackOff", message.clone());
            self.warn(plan, "Failed", "Error: ImagePullBackOff".to_owned());
            plan.upkeep(LONGEST_BACKOFF);
            return self.status(State::Waiting("ImagePullBackOff", message), false, self.held);
        }
        if self.held.text("/state/waiting/reason") == "ImagePullBackOff" {
            return self.held.clone();
        }
        let problem = format!("failed to pull and unpack image \"{}\": not found", status::full_image(image));
        self.note(plan, "Pulling", format!("Pulling image \"{image}\""));
        self.warn(plan, "Failed", format!("Failed to pull image \"{image}\": {problem}"));
        self.warn(plan, "Failed", "Error: ErrImagePull".to_owned());
        plan.soon(Duration::from_millis(100));
        self.status(State::Waiting("ErrImagePull", problem), false, self.held)
    }

    /// A running container: ends when its time has come, becomes ready when it shall.
    fn go_on(&self, plan: &mut Plan) -> Value {
        let restarts = self.held.count("/restartCount");
        let since = self.held.text("/state/running/startedAt").to_owned();
        if self.is_process()
            && let Some(ended) = process::ended(self, restarts, &since)
        {
            if let Some(probe) = process::health(self, restarts).and_then(|health| health.ended_by) {
                let name = self.container.text("/name");
                self.note(
                    plan,
                    "Killing",
                    format!("Container {name} failed {probe} probe, will be restarted"),
                );
            }
            return ended;
        }
        if let Some(end) = self.end() {
            if self.play.elapsed(&self.stage("run", restarts)) >= end.after {
                return self.end_with(end.code, &since, &self.play.world.timestamp());
            }
            self.plan_end(restarts, plan);
        }
        self.status(State::Running(since), self.is_ready(restarts, plan), self.held)
    }

    /// An ended container stays, or starts again: at once the first time, then ever later.
    fn after_end(&self, plan: &mut Plan) -> Value {
        let code = self.held.count("/state/terminated/exitCode");
        let restart = match self.play.pod.text("/spec/restartPolicy") {
            "Always" => !self.is_init || self.is_sidecar() || code != 0,
            "OnFailure" => code != 0,
            _ => false,
        };
        if !restart {
            return self.held.clone();
        }
        let held = status::ended(self.held);
        if held.count("/restartCount") == 0 {
            return self.start(&status::restarted(&held), plan);
        }
        let wait = backoff(held.count("/restartCount"));
        let name = self.container.text("/name");
        let pod = format!("{}_{}({})", self.play.pod.name(), self.play.pod.namespace(), self.play.pod.uid());
        self.warn(plan, "BackOff", format!("Back-off restarting failed container {name} in pod {pod}"));
        let message = format!("back-off {} restarting failed container={name} pod={pod}", span(wait));
        self.play.elapsed(&self.stage("backoff", held.count("/restartCount")));
        plan.upkeep(wait);
        self.status(State::Waiting("CrashLoopBackOff", message), false, &held)
    }

    fn wait_for_restart(&self, plan: &mut Plan) -> Value {
        let restarts = self.held.count("/restartCount");
        let waited = self.play.elapsed(&self.stage("backoff", restarts));
        match backoff(restarts).checked_sub(waited).filter(|left| !left.is_zero()) {
            Some(left) => {
                plan.upkeep(left);
                self.held.clone()
            }
            None => self.start(&status::restarted(self.held), plan),
        }
    }

    fn plan_end(&self, restarts: i64, plan: &mut Plan) {
        let Some(end) = self.end() else { return };
        let left = end.after.saturating_sub(self.play.elapsed(&self.stage("run", restarts)));
        // A container that runs to its end is work under way; one that crashes on and on is not.
        match self.play.pod.text("/spec/restartPolicy") == "Always" && !self.is_init {
            true => plan.upkeep(left),
            false => plan.soon(left),
        }
    }

    fn end(&self) -> Option<End> {
        match (self.is_init, self.is_sidecar()) {
            _ if self.is_process() && !self.play.behaviour.crashes(self.container) => None,
            (true, true) => None,
            (true, false) => Some(self.play.behaviour.end_of_init(self.container)),
            (false, _) => self.play.behaviour.end(self.container),
        }
    }

    /// How it ended, as its status says it.
    pub(super) fn end_with(&self, code: i64, since: &str, at: &str) -> Value {
        let state = State::Ended(code, since.to_owned(), at.to_owned());
        // An init container that did its work counts as ready.
        self.status(state, self.is_init && code == 0, self.held)
    }

    fn is_ready(&self, restarts: i64, plan: &mut Plan) -> bool {
        if self.is_init && !self.is_sidecar() {
            return false;
        }
        if !self.play.behaviour.becomes_ready(self.container) {
            self.note_unready(plan);
            return false;
        }
        let left = self
            .play
            .behaviour
            .ready_delay(self.container)
            .saturating_sub(self.play.elapsed(&self.stage("ready", restarts)));
        if !left.is_zero() {
            plan.soon(left);
        }
        left.is_zero() && self.is_well(restarts, plan)
    }

    /// What the probes of a process say; a container that is simulated passes them by its annotations.
    fn is_well(&self, restarts: i64, plan: &mut Plan) -> bool {
        let Some(health) = self.is_process().then(|| process::health(self, restarts)).flatten() else {
            // A process that is about to start has not been probed.
            return !(self.is_process() && self.container.at("/readinessProbe").is_object());
        };
        if let Some((_, problem)) = health.problem.filter(|_| !health.ready) {
            self.warn(plan, "Unhealthy", problem);
        }
        health.started && health.ready
    }

    fn note_unready(&self, plan: &mut Plan) {
        if self.held.at("/state/running").is_object() && self.container.at("/readinessProbe").is_object() {
            return;
        }
        if self.container.at("/readinessProbe").is_object() {
            self.warn(plan, "Unhealthy", "Readiness probe failed: simulated by the sandbox".to_owned());
        }
    }

    pub(super) fn status(&self, state: State, ready: bool, held: &Value) -> Value {
        status::container(self.container, self.play.pod, state, ready, held)
    }

    fn stage(&self, what: &str, restarts: i64) -> String {
        format!("{what}/{}/{restarts}", self.container.text("/name"))
    }

    fn note_start(&self, plan: &mut Plan) {
        let image = self.container.text("/image");
        let name = self.container.text("/name");
        if self.is_pulled() {
            self.note(plan, "Pulled", format!("Container image \"{image}\" already present on machine"));
        } else {
            self.note(plan, "Pulling", format!("Pulling image \"{image}\""));
            let took = span(self.play.behaviour.start_delay());
            self.note(
                plan,
                "Pulled",
                format!("Successfully pulled image \"{image}\" in {took} ({took} including waiting)."),
            );
        }
        self.note(plan, "Created", format!("Created container: {name}"));
        self.note(plan, "Started", format!("Started container {name}"));
    }

    /// Whether another pod on the node runs the image already.
    fn is_pulled(&self) -> bool {
        let image = self.container.text("/image");
        let policy = self.container.text("/imagePullPolicy");
        policy == "Never"
            || (policy != "Always"
                && self.play.world.cache.pods_on(self.play.node.name()).any(|pod| {
                    pod.uid() != self.play.pod.uid()
                        && pod.text("/status/phase") == "Running"
                        && pod.list("/spec/containers").iter().any(|held| held.text("/image") == image)
                }))
    }

    fn note(&self, plan: &mut Plan, reason: &'static str, message: String) {
        plan.push(Write::Note(Note::normal(self.play.pod, reason, message).at(&self.place())));
    }

    fn warn(&self, plan: &mut Plan, reason: &'static str, message: String) {
        plan.push(Write::Note(Note::warning(self.play.pod, reason, message).at(&self.place())));
    }

    fn place(&self) -> String {
        let list = if self.is_init { "initContainers" } else { "containers" };
        format!("spec.{list}{{{}}}", self.container.text("/name"))
    }
}

fn backoff(restarts: i64) -> Duration {
    let doublings = u32::try_from(restarts - 1).unwrap_or_default().min(10);
    FIRST_BACKOFF.saturating_mul(1 << doublings).min(LONGEST_BACKOFF)
}

/// A span as Go prints it, for the few shapes used here.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 60, seconds % 60) {
        (0, 0) => format!("{}ms", span.as_millis()),
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}
