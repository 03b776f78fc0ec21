//! How the containers of one pod behave: the cluster's rules, then the pod's own annotations, then faults.
//!
//! | annotation | value | meaning |
//! |---|---|---|
//! | `sandbox.aegis.dev/image-pull` | `fail` | images cannot be pulled |
//! | `sandbox.aegis.dev/start-delay` | `5s` | from binding to running |
//! | `sandbox.aegis.dev/ready-delay` | `30s` | from running to ready |
//! | `sandbox.aegis.dev/ready` | `false` | runs, never ready |
//! | `sandbox.aegis.dev/exit-code` | `1` | containers end with this code |
//! | `sandbox.aegis.dev/run-for` | `2m`, `forever` | how long a container runs before it ends |
//! | `sandbox.aegis.dev/stop-delay` | `10s` | from deletion to gone, at most the grace period |
//! | `sandbox.aegis.dev/process` | `true` | the command runs as a process of this machine (see `processes`) |
//!
//! A container's name behind a dot (`.../exit-code.main`) means that container only. Without an
//! `exit-code` a container ends with 0 when its pod runs to completion, else it runs on. An exit code is
//! never guessed from the text of a command.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;

use super::super::fields::Fields;
use super::super::names::fnv1a;
use super::super::settings::{Effect, Rule, Settings};
use crate::faults::Fault;

/// How many times as long things take on a node that is slow and does not say how slow.
const SLOW_FACTOR: f64 = 10.0;
/// How long containers take to become ready that start slowly and do not say how slowly.
const SLOW_START: Duration = Duration::from_secs(30);

const PREFIX: &str = "sandbox.aegis.dev/";

/// What the kubelet plays for one pod.
pub(super) struct Behaviour<'a> {
    pod: &'a Value,
    settings: &'a Settings,
    /// Those that are about this pod.
    faults: Vec<Fault>,
}

impl<'a> Behaviour<'a> {
    pub(super) fn of(pod: &'a Value, settings: &'a Settings, faults: Vec<Fault>) -> Self {
        Self { pod, settings, faults }
    }

    /// The fault of a kind that is about a container, if any.
    fn fault(&self, kind: &str, container: &Value) -> Option<&Fault> {
        self.faults.iter().find(|fault| fault.is(kind) && fault.hits_image(container))
    }

    /// The fault that keeps volumes of a class from being mounted, if any.
    pub(super) fn broken_storage(&self, class: &str) -> Option<&Fault> {
        self.faults.iter().find(|fault| fault.is("storage") && fault.hits_class(class))
    }

    /// What a span becomes on a slow node.
    fn slowed(&self, span: Duration) -> Duration {
        let slow = self.faults.iter().find(|fault| fault.is("node-slow"));
        slow.map_or(span, |fault| span.mul_f64(fault.factor.unwrap_or(SLOW_FACTOR).clamp(0.0, 1e6)))
    }

    /// Whether the container asks to be run as a process.
    pub(super) fn is_process(&self, container: &Value) -> bool {
        self.said("process", container) == "true"
    }

    /// No two pods start in the same instant, as no two machines are the same: up to an eighth more than what is set,
    /// by the pod's uid. What follows them (endpoints, a rollout) so takes its steps pod by pod.
    pub(super) fn start_delay(&self) -> Duration {
        const STEPS: u32 = 256;
        if let Some(wanted) = self.duration("start-delay", "") {
            return self.slowed(wanted);
        }
        let usual = self.settings.container_start;
        self.slowed(usual + usual / 8 * (fnv1a(self.pod.uid().as_bytes()) % STEPS) / STEPS)
    }

    pub(super) fn ready_delay(&self, container: &Value) -> Duration {
        let own = self.duration("ready-delay", "").unwrap_or(self.settings.ready_delay);
        let slow = self.fault("slow-start", container);
        self.slowed(slow.map_or(own, |fault| own.max(fault.delay().unwrap_or(SLOW_START))))
    }

    pub(super) fn stop_delay(&self) -> Duration {
        let grace = self.pod.count("/metadata/deletionGracePeriodSeconds").max(0).unsigned_abs();
        let wanted = self.duration("stop-delay", "").unwrap_or(self.settings.stop_delay);
        self.slowed(wanted).min(Duration::from_secs(grace))
    }

    pub(super) fn pulls(&self, container: &Value) -> bool {
        self.said("image-pull", container) != "fail"
            && !self.has(container, |effect| effect == Effect::PullFails)
            && self.fault("image-pull", container).is_none()
    }

    pub(super) fn becomes_ready(&self, container: &Value) -> bool {
        let holds = |effect| match effect {
            Effect::NeverReady => true,
            Effect::Sealed(label) => {
                self.pod.label("component") == "server" && self.pod.label(label) != "false"
            }
            Effect::PullFails | Effect::Exits(_) => false,
        };
        self.said("ready", container) != "false"
            && !self.has(container, holds)
            && self.fault("unready", container).is_none()
    }

    /// When and how a container ends by itself; none for one that runs on.
    pub(super) fn end(&self, container: &Value) -> Option<End> {
        let to_completion = matches!(self.pod.text("/spec/restartPolicy"), "Never" | "OnFailure");
        if let Some(crash) = self.fault("crash", container) {
            return Some(End { after: self.settings.job_run, code: crash.exit_code.unwrap_or(1) });
        }
        let name = container.text("/name");
        let code = self.exit_code(container);
        if self.said("run-for", container) == "forever" || (code.is_none() && !to_completion) {
            return None;
        }
        let after = self.duration("run-for", name).unwrap_or(self.settings.job_run);
        Some(End { after, code: code.unwrap_or(0) })
    }

    /// Whether a fault ends the container, whatever it runs.
    pub(super) fn crashes(&self, container: &Value) -> bool {
        self.fault("crash", container).is_some()
    }

    /// How an init container ends: well, unless an annotation names it.
    pub(super) fn end_of_init(&self, container: &Value) -> End {
        let own = format!("{PREFIX}exit-code.{}", container.text("/name"));
        let after = self.duration("run-for", container.text("/name")).unwrap_or(self.settings.init_run);
        End { after, code: self.pod.annotation(&own).parse().unwrap_or(0) }
    }

    fn exit_code(&self, container: &Value) -> Option<i64> {
        let said = self.said("exit-code", container).parse().ok();
        said.or_else(|| {
            self.rules(container).find_map(|rule| match rule.effect {
                Effect::Exits(code) => Some(code),
                _ => None,
            })
        })
    }

    fn has(&self, container: &Value, wanted: impl Fn(Effect) -> bool) -> bool {
        self.rules(container).any(|rule| wanted(rule.effect))
    }

    fn rules<'b>(&'b self, container: &Value) -> impl Iterator<Item = &'a Rule> + use<'a, 'b> {
        let image = container.text("/image").to_owned();
        let words = container.list("/command").iter().chain(container.list("/args"));
        let command = words.filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
        self.settings.rules.iter().filter(move |rule| {
            let any = rule.image.is_empty() && rule.command.is_empty();
            !any && image.contains(&rule.image) && command.contains(&rule.command)
        })
    }

    /// The annotation for this container, else for the pod.
    fn said(&self, what: &str, container: &Value) -> &'a str {
        self.annotation(what, container.text("/name"))
    }

    fn annotation(&self, what: &str, container: &str) -> &'a str {
        let own = self.pod.annotation(&format!("{PREFIX}{what}.{container}"));
        if own.is_empty() { self.pod.annotation(&format!("{PREFIX}{what}")) } else { own }
    }

    fn duration(&self, what: &str, container: &str) -> Option<Duration> {
        let span: SignedDuration = self.annotation(what, container).parse().ok()?;
        Duration::try_from(span).ok()
    }
}

/// How a container ends by itself.
pub(super) struct End {
    /// After running this long.
    pub(super) after: Duration,
    /// With this exit code.
    pub(super) code: i64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn annotations_win_over_rules_and_one_container_over_the_pod() {
        let settings = Settings::default();
        let pod = json!({"metadata": {"annotations": {
            "sandbox.aegis.dev/exit-code": "3", "sandbox.aegis.dev/exit-code.side": "4",
            "sandbox.aegis.dev/run-for": "2m"}}, "spec": {"restartPolicy": "Never"}});
        let behaviour = Behaviour::of(&pod, &settings, Vec::new());
        let main = behaviour.end(&json!({"name": "main", "image": "a"})).unwrap();
        assert_eq!((main.after, main.code), (Duration::from_secs(120), 3));
        assert_eq!(behaviour.end(&json!({"name": "side", "image": "a"})).unwrap().code, 4);
    }

    #[test]
    fn script_text_never_decides_an_exit_code() {
        let settings = Settings::default();
        let pod = json!({"metadata": {}, "spec": {"restartPolicy": "Never"}});
        let container = json!({"name": "main", "image": "a", "command": ["sh", "-c", "exit 1"]});
        assert_eq!(Behaviour::of(&pod, &settings, Vec::new()).end(&container).unwrap().code, 0);
    }

    #[test]
    fn an_image_of_a_rule_cannot_be_pulled() {
        let settings = Settings::default();
        let pod = json!({"metadata": {}, "spec": {}});
        assert!(
            !Behaviour::of(&pod, &settings, Vec::new()).pulls(&json!({"name": "a", "image": "nginx:bad"}))
        );
        assert!(
            Behaviour::of(&pod, &settings, Vec::new()).pulls(&json!({"name": "a", "image": "nginx:1.25"}))
        );
    }
}
