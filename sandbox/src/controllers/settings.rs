//! How a simulated cluster behaves: delays, and rules for workloads that shall misbehave.
//!
//! Delays are short so that a rehearsal is quick, and longer than nothing so that watchers see the
//! stages. Everything is settable per cluster here, per image or command by a [`Rule`], and per pod by
//! an annotation (see `kubelet::behaviour`).

use std::time::Duration;

/// Behaviour of one cluster.
#[derive(Debug, Clone)]
pub struct Settings {
    /// From binding to the first container running: sandbox, volumes, images.
    pub container_start: Duration,
    /// How long each init container takes.
    pub init_run: Duration,
    /// From running to ready.
    pub ready_delay: Duration,
    /// How long a pod that runs to completion runs.
    pub job_run: Duration,
    /// How long containers take to stop; never longer than the grace period.
    pub stop_delay: Duration,
    /// From a claim to its provisioned volume, and from a Service to its load balancer's address.
    pub provision_delay: Duration,
    /// From a custom resource to the answer of the operator that owns it.
    pub operator_delay: Duration,
    /// From the deletion of a namespace to the first look at what is in it. A real cluster waits five seconds.
    pub namespace_delay: Duration,
    /// What happens to pods whose image or command matches; the first match counts.
    pub rules: Vec<Rule>,
    /// Addresses handed to Services of type LoadBalancer: TEST-NET-3 of RFC 5737.
    pub load_balancer_prefix: [u8; 3],
    /// The certificate (PEM) that proves the API server, published to every namespace.
    pub certificate_authority: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            container_start: Duration::from_millis(200),
            init_run: Duration::from_millis(100),
            ready_delay: Duration::ZERO,
            job_run: Duration::from_millis(500),
            stop_delay: Duration::from_millis(250),
            provision_delay: Duration::from_millis(150),
            operator_delay: Duration::from_millis(200),
            namespace_delay: Duration::ZERO,
            rules: vec![
                Rule::image(":bad", Effect::PullFails),
                Rule::image("does-not-exist", Effect::PullFails),
                Rule {
                    image: "openbao".into(),
                    command: String::new(),
                    effect: Effect::Sealed("openbao-sealed"),
                },
                Rule {
                    image: "vault".into(),
                    command: String::new(),
                    effect: Effect::Sealed("vault-sealed"),
                },
            ],
            load_balancer_prefix: [203, 0, 113],
            certificate_authority: String::new(),
        }
    }
}

/// One rule: containers whose image or command contains a text behave in a certain way.
#[derive(Debug, Clone)]
pub struct Rule {
    /// A part of the image's name; empty for any.
    pub image: String,
    /// A part of the command and arguments joined by spaces; empty for any.
    pub command: String,
    /// What happens to such a container.
    pub effect: Effect,
}

impl Rule {
    /// A rule for images.
    pub fn image(part: &str, effect: Effect) -> Self {
        Self { image: part.to_owned(), command: String::new(), effect }
    }

    /// A rule for commands.
    pub fn command(part: &str, effect: Effect) -> Self {
        Self { image: String::new(), command: part.to_owned(), effect }
    }
}

/// What a rule does to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Its image cannot be pulled.
    PullFails,
    /// It ends with this exit code.
    Exits(i64),
    /// It runs and never becomes ready.
    NeverReady,
    /// It becomes ready once this label of its pod says `false`: a vault that must be unsealed first. Only
    /// in pods labelled `component: server`, as both products' charts label theirs.
    Sealed(&'static str),
}
