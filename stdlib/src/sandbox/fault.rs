//! `fault`, `clear` and `faults`.

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use aegis_engine::units::Period;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::check;
use crate::k8s::objects::Objects;

const API_VERSION: &str = "sandbox.aegis.dev/v1";
const PATH: &str = "/apis/sandbox.aegis.dev/v1/faults";

/// Arguments of `fault`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultArguments {
    /// `node-kill`, `node-freeze`, `node-slow`, `partition`, `pod-kill`, `crash`, `unready`, `slow-start`,
    /// `image-pull`, `quota-full`, `storage`, `certificate-expired` or `api-error`.
    kind: String,
    /// Its name. Default: made from the kind and the options.
    #[serde(default)]
    name: Option<String>,
    /// Name of a node.
    #[serde(default)]
    node: Option<String>,
    /// Name of a zone: every node in it.
    #[serde(default)]
    zone: Option<String>,
    /// A namespace.
    #[serde(default)]
    namespace: Option<String>,
    /// Label selector of pods: `app=web`.
    #[serde(default)]
    selector: Option<String>,
    /// Part of an image's name.
    #[serde(default)]
    image: Option<String>,
    /// A StorageClass.
    #[serde(default)]
    class: Option<String>,
    /// Name of a Certificate of cert-manager.
    #[serde(default)]
    certificate: Option<String>,
    /// Verbs of requests: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    #[serde(default)]
    verbs: Option<Vec<String>>,
    /// Resources of requests: `pods`, `deployments.apps`.
    #[serde(default)]
    resources: Option<Vec<String>>,
    /// What requests get: `429`, `500`, `503`, `timeout`, `reset` or `slow`.
    #[serde(default)]
    error: Option<String>,
    /// Share of the requests it happens to. Default 1.
    #[serde(default)]
    rate: Option<f64>,
    /// Which ones: the same seed chooses the same.
    #[serde(default)]
    seed: Option<u32>,
    /// How many pods. Default 1.
    #[serde(default)]
    count: Option<u32>,
    /// How many times as long. Default 10.
    #[serde(default)]
    factor: Option<f64>,
    /// How long something takes.
    #[serde(default)]
    delay: Option<Period>,
    /// After how many seconds a refused client shall come back. Default 1.
    #[serde(default)]
    retry_after: Option<u32>,
    /// With which code containers end. Default 1.
    #[serde(default)]
    exit_code: Option<u8>,
    /// How long the fault holds. Default: until it is cleared.
    #[serde(default)]
    lasts: Option<Period>,
}

impl FaultArguments {
    fn spec(&self) -> Value {
        let span = |period: Option<Period>| period.map(|period| format!("{}ms", period.0.as_millis()));
        let given = json!({
            "kind": self.kind, "node": self.node, "zone": self.zone, "namespace": self.namespace,
            "selector": self.selector, "image": self.image, "class": self.class, "certificate": self.certificate, "verbs": self.verbs,
            "resources": self.resources, "error": self.error, "rate": self.rate, "seed": self.seed,
            "count": self.count, "factor": self.factor, "delay": span(self.delay),
            "retryAfter": self.retry_after, "exitCode": self.exit_code, "lasts": span(self.lasts),
        });
        let fields = given.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        Value::Object(fields.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>())
    }

    /// The same options make the same name, so that a call that is made twice is one fault.
    fn name(&self) -> String {
        let own = || {
            let hash = Sha256::digest(self.spec().to_string());
            format!("{}-{}", self.kind, hex::encode(&hash[..4]))
        };
        self.name.clone().unwrap_or_else(own)
    }

    fn object(&self) -> Value {
        object(&self.name(), self.spec())
    }
}

fn object(name: &str, spec: Value) -> Value {
    json!({ "apiVersion": API_VERSION, "kind": "Fault", "metadata": { "name": name }, "spec": spec })
}

/// The cluster, told that it is going to be asked about faults.
async fn cluster(context: &Context) -> Result<Objects<'_>, CallError> {
    check(context)?;
    let objects = Objects::of(context)?;
    objects.read(PATH).await?;
    objects.discover().await?;
    Ok(objects)
}

fn short(fault: &Value) -> Value {
    json!({ "name": fault["metadata"]["name"], "spec": fault["spec"], "status": fault["status"] })
}

/// `fault(kind, [options])`.
pub(super) struct Fault;

#[async_trait]
impl HostFunction for Fault {
    type Arguments = FaultArguments;

    fn describe() -> Description {
        Description {
            summary: "Makes something go wrong in the sandbox, until it is cleared.",
            capability: "sandbox:change",
            positional: &["kind"],
            returns: "map `{name, spec, status}`",
            undo: "the fault is cleared",
            fails_when: "The target is no sandbox (A0301), or the kind does not take these options (A0308).",
            example: r#"sandbox::fault("node-kill", #{ zone: "seoul-a", lasts: "10m" })"#,
            ..Description::of("fault", Effect::Changes)
        }
    }

    fn scope(arguments: &FaultArguments) -> Option<String> {
        Some(arguments.kind.clone())
    }

    async fn plan(context: &Context, arguments: &FaultArguments) -> Result<Plan, CallError> {
        let objects = cluster(context).await?;
        let wanted = arguments.object();
        let live = objects.find(&wanted, "").await?;
        let spec = arguments.spec();
        let words: Vec<String> = spec
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| *name != "kind")
            .map(|(name, value)| format!("{name} {}", value.to_string().trim_matches('"')))
            .collect();
        let mut plan = Plan::new(format!("break on purpose: {} ({})", arguments.kind, words.join(", ")));
        plan.unchanged = live.as_ref().is_some_and(|live| live["spec"] == spec);
        let key = objects.key(&wanted, "").await?;
        if !plan.unchanged {
            plan = plan.with_undo(UndoCall {
                function: "sandbox::clear".to_owned(),
                arguments: json!({ "name": arguments.name() }),
                summary: format!("clear fault {}", arguments.name()),
            });
        }
        Ok(plan.predicting(short(&wanted)).overlaying(key, Some(wanted)))
    }

    async fn perform(context: &Context, arguments: FaultArguments) -> Result<Value, CallError> {
        let objects = cluster(context).await?;
        Ok(short(&objects.apply(&arguments.object(), "").await?))
    }

    async fn probe(
        context: &Context,
        arguments: &FaultArguments,
        _asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        let live = cluster(context).await?.find(&arguments.object(), "").await?;
        Ok(live.map_or(Probe::DidNotHappen, |live| Probe::Happened(short(&live))))
    }
}

/// Arguments of `clear`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClearArguments {
    /// The fault's name.
    name: String,
}

/// `clear(name)`.
pub(super) struct Clear;

#[async_trait]
impl HostFunction for Clear {
    type Arguments = ClearArguments;

    fn describe() -> Description {
        Description {
            summary: "Clears a fault of the sandbox; one that is gone already is fine.",
            capability: "sandbox:change",
            positional: &["name"],
            returns: "map `{name, cleared: bool}`; false when there was none",
            undo: "the fault is made again",
            fails_when: "The target is no sandbox (A0301).",
            example: r#"sandbox::clear("node-kill-1a2b3c4d")"#,
            ..Description::of("clear", Effect::Changes)
        }
    }

    fn scope(arguments: &ClearArguments) -> Option<String> {
        Some(arguments.name.clone())
    }

    async fn plan(context: &Context, arguments: &ClearArguments) -> Result<Plan, CallError> {
        let objects = cluster(context).await?;
        let wanted = object(&arguments.name, Value::Null);
        let live = objects.find(&wanted, "").await?;
        let answer = json!({ "name": arguments.name, "cleared": live.is_some() });
        let mut plan = Plan::new(format!("clear fault {}", arguments.name)).predicting(answer);
        plan.unchanged = live.is_none();
        let key = objects.key(&wanted, "").await?;
        match live {
            None => Ok(plan),
            Some(live) => Ok(plan.with_undo(again(&arguments.name, &live)).overlaying(key, None)),
        }
    }

    async fn perform(context: &Context, arguments: ClearArguments) -> Result<Value, CallError> {
        let objects = cluster(context).await?;
        let wanted = object(&arguments.name, Value::Null);
        let cleared = objects.find(&wanted, "").await?.is_some();
        objects.delete(&wanted, "").await?;
        Ok(json!({ "name": arguments.name, "cleared": cleared }))
    }

    async fn probe(
        context: &Context,
        arguments: &ClearArguments,
        _asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        let live = cluster(context).await?.find(&object(&arguments.name, Value::Null), "").await?;
        let answer = json!({ "name": arguments.name, "cleared": true });
        Ok(if live.is_none() { Probe::Happened(answer) } else { Probe::DidNotHappen })
    }
}

/// The call that makes a fault as it was.
fn again(name: &str, live: &Value) -> UndoCall {
    let mut arguments = live["spec"].clone();
    arguments["name"] = name.into();
    for (field, option) in [("retryAfter", "retry_after"), ("exitCode", "exit_code")] {
        if let Some(value) = arguments.as_object_mut().and_then(|fields| fields.remove(field)) {
            arguments[option] = value;
        }
    }
    UndoCall { function: "sandbox::fault".to_owned(), arguments, summary: format!("make fault {name} again") }
}

/// Arguments of `faults`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultsArguments {}

/// `faults()`.
pub(super) struct Faults;

#[async_trait]
impl HostFunction for Faults {
    type Arguments = FaultsArguments;

    fn describe() -> Description {
        Description {
            summary: "Lists the faults of the sandbox.",
            capability: "sandbox:read",
            positional: &[],
            returns: "array of maps `{name, spec, status}`",
            undo: "none: it only reads",
            fails_when: "The target is no sandbox (A0301).",
            example: "sandbox::faults()",
            ..Description::of("faults", Effect::Reads)
        }
    }

    async fn perform(context: &Context, _arguments: FaultsArguments) -> Result<Value, CallError> {
        check(context)?;
        let list = Objects::of(context)?.read(PATH).await?;
        let items = list["items"]
            .as_array()
            .ok_or_else(|| CallError::new(codes::API, "the sandbox answered no list of faults"))?;
        Ok(Value::Array(items.iter().map(short).collect()))
    }
}
