//! A small host for the tests of runbooks: one module with a read, a change and a call that takes choices.

use std::collections::BTreeMap;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::diagnostic::Problems;
use crate::error::CallError;
use crate::function::{Context, Description, Effect, Function, HostFunction, Module, Registry};
use crate::runbook::{BUILTINS, examine};
use crate::units::Period;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetArguments {
    /// What to read: `KIND/NAME`.
    target: String,
    /// Namespace. Default: the target's.
    #[serde(default)]
    namespace: Option<String>,
}

struct Get;

#[async_trait]
impl HostFunction for Get {
    type Arguments = GetArguments;

    fn describe() -> Description {
        Description {
            summary: "Reads an object.",
            capability: "k8s:read",
            positional: &["target"],
            returns: "map: the object",
            undo: "none: it only reads",
            fails_when: "There is no such object.",
            example: "k8s::get(\"deployment/web\")",
            ..Description::of("get", Effect::Reads)
        }
    }

    async fn perform(_: &Context, arguments: GetArguments) -> Result<Value, CallError> {
        Ok(json!({ "name": arguments.target, "namespace": arguments.namespace }))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Strategy {
    Now,
    Rolling,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ScaleArguments {
    /// What to scale: `KIND/NAME`.
    target: String,
    /// How many replicas there will be.
    replicas: i64,
    /// Namespace. Default: the target's.
    #[serde(default)]
    namespace: Option<String>,
    /// Longest wait. Default: 5m.
    #[serde(default)]
    timeout: Option<Period>,
    /// How fast.
    #[serde(default)]
    strategy: Option<Strategy>,
}

struct Scale;

#[async_trait]
impl HostFunction for Scale {
    type Arguments = ScaleArguments;

    fn describe() -> Description {
        Description {
            summary: "Scales a workload.",
            capability: "k8s:change",
            positional: &["target", "replicas"],
            returns: "map: the workload",
            undo: "scales back",
            fails_when: "There is no such workload.",
            example: "k8s::scale(\"deployment/web\", 3)",
            ..Description::of("scale", Effect::Changes)
        }
    }

    fn scope(arguments: &ScaleArguments) -> Option<String> {
        Some(format!("{}/{}", arguments.namespace.as_deref().unwrap_or("default"), arguments.target))
    }

    async fn perform(_: &Context, arguments: ScaleArguments) -> Result<Value, CallError> {
        let strategy = arguments.strategy.map(|strategy| matches!(strategy, Strategy::Rolling));
        Ok(json!({ "replicas": arguments.replicas, "rolling": strategy, "timeout": arguments.timeout }))
    }
}

pub(super) fn registry() -> Registry {
    let functions = vec![Function::new::<Get>(), Function::new::<Scale>()];
    Registry::new(vec![Module { name: "k8s", summary: "Kubernetes.", page: "", functions }]).unwrap()
}

pub(super) fn embedded() -> BTreeMap<String, String> {
    let nodes = "/// Drains.\nfn drain(node) { k8s::scale(node, 0) }\nprivate fn secret_helper() { 1 }\nfn pods(node, kind) { k8s::get(kind + node) }\n";
    BTreeMap::from([("std/nodes".to_owned(), nodes.to_owned())])
}

/// Writes `files` into a fresh project and checks the first.
pub(super) fn examined(files: &[(&str, &str)]) -> Problems {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("aegis.toml"), "").unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    examine(&folder.path().join(files[0].0), &embedded(), &registry(), &BUILTINS)
}

/// The transcript a person sees for a main script.
pub(super) fn transcript(text: &str) -> String {
    let text = text.trim_start_matches('\n');
    examined(&[("runbooks/deploy.rhai", text)]).render(false)
}
