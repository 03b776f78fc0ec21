//! What a container runs: command, environment and folder, read as the kubelet reads them.
//!
//! `$(NAME)` in commands, arguments and values is replaced by a variable named before; `$$(NAME)` is
//! `$(NAME)`; what is not known stays as it is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::probes::Probes;
use super::volumes::{self, Issue, Mount, Volume};
use crate::controllers::fields::{Fields, Object};
use crate::controllers::quantity;

/// Looks up a Secret or ConfigMap: kind, namespace, name.
pub type Find<'a> = &'a dyn Fn(&str, &str, &str) -> Option<Object>;

/// What a container runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables, in order.
    pub env: Vec<(String, String)>,
    /// Where it wants to work.
    pub working_dir: Option<PathBuf>,
    /// Whether it reads standard input.
    pub stdin: bool,
    /// Whether its standard input ends with the first client that attaches to it.
    pub stdin_once: bool,
    /// The volumes it mounts.
    pub volumes: Vec<Volume>,
    /// Where it wants them.
    pub mounts: Vec<Mount>,
    /// The folders that its mount paths are, once they are made.
    pub paths: Vec<(String, PathBuf)>,
    /// How it is known to be well.
    pub probes: Probes,
    /// How long it has to end.
    pub grace: Duration,
    /// The service account it runs as, for its tokens.
    pub account: Account,
}

/// Whose tokens a container is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The namespace.
    pub namespace: String,
    /// The service account.
    pub name: String,
    /// The pod that its tokens are bound to: name and uid.
    pub pod: (String, String),
}

impl Recipe {
    /// The same with its volumes made below the folder of its pod, and their folders in place of mount paths.
    ///
    /// # Errors
    /// When a volume cannot be made.
    pub fn located(self, pod: &Path, issue: Issue<'_>) -> std::io::Result<Self> {
        let paths = volumes::prepare(&self.volumes, &self.mounts, pod, issue)?;
        let at = |text: &str| volumes::located(text, &paths);
        Ok(Self {
            command: self.command.iter().map(|word| at(word)).collect(),
            env: self.env.iter().map(|(name, value)| (name.clone(), at(value))).collect(),
            working_dir: self.working_dir.map(|folder| PathBuf::from(at(&folder.to_string_lossy()))),
            probes: self.probes.map_words(at),
            paths,
            ..self
        })
    }

    /// The same with another command, as exec wants it.
    #[must_use]
    pub fn with_command(&self, words: &[String]) -> Self {
        let command = words.iter().map(|word| volumes::located(word, &self.paths)).collect();
        Self { command, ..self.clone() }
    }
}

/// Reads a container of a pod.
///
/// # Errors
/// A sentence, when it has no command.
pub fn of(pod: &Value, container: &Value, find: Find<'_>) -> Result<Recipe, String> {
    let env = environment(pod, container, find);
    let words = container.list("/command").iter().chain(container.list("/args"));
    let command: Vec<String> = words.filter_map(Value::as_str).map(|word| expand(word, &env)).collect();
    if container.list("/command").is_empty() {
        return Err(
            "no command specified: a process pod names its program in `command`, no image is read".into()
        );
    }
    let working_dir = Some(container.text("/workingDir")).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let (stdin, stdin_once) = (container.flag("/stdin"), container.flag("/stdinOnce"));
    let mounts = volumes::mounts(container);
    let account = pod.text("/spec/serviceAccountName");
    let grace = pod.number("/spec/terminationGracePeriodSeconds").unwrap_or(30).max(0).unsigned_abs();
    Ok(Recipe {
        command,
        env,
        working_dir,
        stdin,
        stdin_once,
        volumes: volumes::volumes(pod, container, &mounts, find),
        mounts,
        paths: Vec::new(),
        probes: Probes::of(container),
        grace: Duration::from_secs(grace),
        account: Account {
            namespace: pod.namespace().to_owned(),
            name: if account.is_empty() { "default" } else { account }.to_owned(),
            pod: (pod.name().to_owned(), pod.uid().to_owned()),
        },
    })
}

fn environment(pod: &Value, container: &Value, find: Find<'_>) -> Vec<(String, String)> {
    let mut env = vec![("HOSTNAME".to_owned(), pod.name().to_owned())];
    for source in container.list("/envFrom") {
        let prefix = source.text("/prefix");
        for (kind, field) in [("ConfigMap", "/configMapRef/name"), ("Secret", "/secretRef/name")] {
            let Some(object) = find(kind, pod.namespace(), source.text(field)) else { continue };
            for (name, value) in object.entries("/data") {
                set(&mut env, format!("{prefix}{name}"), decoded(kind, value));
            }
        }
    }
    for variable in container.list("/env") {
        let value = match variable.at("/valueFrom") {
            Value::Null => Some(expand(variable.text("/value"), &env)),
            from => from_elsewhere(pod, container, from, find),
        };
        if let Some(value) = value {
            set(&mut env, variable.text("/name").to_owned(), value);
        }
    }
    env
}

/// The last value of a name counts.
fn set(env: &mut Vec<(String, String)>, name: String, value: String) {
    env.retain(|(held, _)| *held != name);
    env.push((name, value));
}

fn from_elsewhere(pod: &Value, container: &Value, from: &Value, find: Find<'_>) -> Option<String> {
    for (kind, field) in [("ConfigMap", "/configMapKeyRef"), ("Secret", "/secretKeyRef")] {
        let reference = from.at(field);
        if reference.is_object() {
            let object = find(kind, pod.namespace(), reference.text("/name"))?;
            return object.at("/data").get(reference.text("/key")).map(|value| decoded(kind, value));
        }
    }
    let field = from.text("/fieldRef/fieldPath");
    if !field.is_empty() {
        return Some(field_of(pod, field));
    }
    let reference = from.at("/resourceFieldRef");
    reference.is_object().then(|| resource_of(container, reference))
}

fn decoded(kind: &str, value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    match kind {
        "Secret" => String::from_utf8_lossy(&STANDARD.decode(text).unwrap_or_default()).into_owned(),
        _ => text.to_owned(),
    }
}

/// A field of the pod by its downward path: `metadata.name`, `metadata.labels['app']`, `status.podIP`.
pub(super) fn field_of(pod: &Value, path: &str) -> String {
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        let map = pod.at(&format!("/{}", map.replace('.', "/")));
        return map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    }
    pod.text(&format!("/{}", path.replace('.', "/"))).to_owned()
}

/// A request or limit in whole divisors, rounded up.
pub(super) fn resource_of(container: &Value, reference: &Value) -> String {
    let path = format!("/resources/{}", reference.text("/resource").replacen('.', "/", 1));
    let amount = quantity::milli(container.at(&path));
    let divisor =
        Some(quantity::milli(reference.at("/divisor"))).filter(|divisor| *divisor > 0).unwrap_or(1000);
    ((amount + divisor - 1) / divisor).to_string()
}

/// Replaces `$(NAME)`.
fn expand(text: &str, env: &[(String, String)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('$') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        if let Some(after) = rest.strip_prefix("$$") {
            out.push('$');
            rest = after;
            continue;
        }
        let name = rest.strip_prefix("$(").and_then(|after| after.split_once(')'));
        match name.and_then(|(name, after)| Some((env.iter().find(|(held, _)| held == name)?, after))) {
            Some(((_, value), after)) => {
                out.push_str(value);
                rest = after;
            }
            None => {
                out.push('$');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[test]
    fn variables_come_from_everywhere_a_kubelet_looks() {
        let pod = json!({"metadata": {"name": "p", "namespace": "shop", "labels": {"app": "web"}}, "spec": {"nodeName": "worker-1"}});
        let container = json!({
            "command": ["echo", "$(GREETING)", "$(NOBODY)", "$$(GREETING)"],
            "resources": {"limits": {"cpu": "1500m"}},
            "envFrom": [{"prefix": "P_", "configMapRef": {"name": "map"}}],
            "env": [
                {"name": "USER", "valueFrom": {"secretKeyRef": {"name": "login", "key": "user"}}},
                {"name": "GREETING", "value": "hi $(USER)"},
                {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
                {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                {"name": "CORES", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
                {"name": "GONE", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "x", "optional": true}}},
            ],
        });
        let find = |kind: &str, namespace: &str, name: &str| match (kind, namespace, name) {
            ("ConfigMap", "shop", "map") => Some(Arc::new(json!({"data": {"A": "1"}}))),
            ("Secret", "shop", "login") => Some(Arc::new(json!({"data": {"user": "a2lt"}}))),
            _ => None,
        };
        let recipe = of(&pod, &container, &find).unwrap();
        assert_eq!(recipe.command, ["echo", "hi kim", "$(NOBODY)", "$(GREETING)"]);
        let env: Vec<String> = recipe.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected =
            ["HOSTNAME=p", "P_A=1", "USER=kim", "GREETING=hi kim", "APP=web", "NODE=worker-1", "CORES=2"];
        assert_eq!(env, expected);
    }

    #[test]
    fn a_container_without_a_command_cannot_be_run() {
        let problem = of(&json!({}), &json!({"image": "nginx"}), &|_, _, _| None).unwrap_err();
        assert!(problem.starts_with("no command specified"), "{problem}");
    }
}
