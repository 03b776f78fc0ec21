//! Where a target's cluster is: the kubeconfig of the target, of `KUBECONFIG`, of the home folder, or the service
//! account of the pod that aegis runs in, as kubectl looks for them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::Connection;
use crate::k8s::errors::{Failure, transport};
use crate::target::{Surroundings, Target};

/// Where the kubeconfig comes from; looked at when the first call connects.
pub(super) struct Source {
    text: Option<String>,
    files: Vec<PathBuf>,
    named: bool,
    context: Option<String>,
    namespace: Option<String>,
}

impl Source {
    pub(super) fn of(target: &Target, surroundings: &Surroundings) -> Self {
        let environment = |name: &str| surroundings.environment.get(name).filter(|value| !value.is_empty());
        let home = || environment("HOME").map(|home| Path::new(home).join(".kube/config"));
        let listed = || environment("KUBECONFIG").map(|list| std::env::split_paths(list).collect::<Vec<_>>());
        let (files, named) = match (&target.kubernetes.kubeconfig, listed()) {
            (Some(file), _) => (vec![surroundings.project.join(file)], true),
            (None, Some(files)) => (files, true),
            (None, None) => (home().into_iter().collect(), false),
        };
        Self {
            text: surroundings.kubeconfig.clone(),
            files,
            named,
            context: target.kubernetes.context.clone(),
            namespace: target.kubernetes.namespace.clone(),
        }
    }

    pub(super) async fn connect(&self) -> Result<Connection, CallError> {
        let mut config = self.config().await?;
        // Repeating is decided here, where it is known what is harmless to repeat.
        config.default_retry = false;
        config.connect_timeout = Some(Duration::from_secs(10));
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let client = kube::Client::try_from(config).map_err(|error| match transport(&server, &error) {
            Failure::Unusable(error) => error,
            _ => unusable("the kubeconfig cannot be used").because(error),
        })?;
        Ok(Connection { client, namespace, server })
    }

    async fn config(&self) -> Result<kube::Config, CallError> {
        let Some(kubeconfig) = self.kubeconfig()? else {
            return kube::Config::incluster().map_err(|_| {
                unusable("no kubeconfig was found")
                    .hint("set `KUBECONFIG`, or name one under `[targets.NAME.kubernetes]`")
            });
        };
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let contexts: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
        kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| {
            let names: Vec<&str> = contexts.iter().map(String::as_str).collect();
            let hint = format!("its contexts are {}", aegis_engine::text::list(&names));
            match error {
                KubeconfigError::LoadContext(name) => {
                    unusable(format!("the kubeconfig has no context `{name}`"))
                }
                other => unusable("the kubeconfig cannot be used").because(other),
            }
            .hint(hint)
        })
    }

    fn kubeconfig(&self) -> Result<Option<Kubeconfig>, CallError> {
        if let Some(text) = &self.text {
            let read = Kubeconfig::from_yaml(text);
            return read.map(Some).map_err(|error| unusable("the kubeconfig is not readable").because(error));
        }
        let mut merged: Option<Kubeconfig> = None;
        for file in self.files.iter().filter(|file| file.exists() || (self.named && self.files.len() == 1)) {
            let wrong = |error| unreadable(file, &error);
            let next = Kubeconfig::read_from(file).map_err(wrong)?;
            merged = Some(match merged {
                Some(first) => first.merge(next).map_err(wrong)?,
                None => next,
            });
        }
        if merged.is_none() && self.named {
            return Err(unusable("none of the files in `KUBECONFIG` exists"));
        }
        Ok(merged)
    }
}

fn unusable(message: impl Into<String>) -> CallError {
    CallError::new(codes::TARGET, message)
}

/// Says which file, and only the first line of what the parser draws.
fn unreadable(file: &Path, error: &KubeconfigError) -> CallError {
    if !file.exists() {
        return unusable(format!("the kubeconfig `{}` does not exist", file.display()))
            .hint("set `kubeconfig` under `[targets.NAME.kubernetes]`, or `KUBECONFIG`, to one that does");
    }
    let told = error.to_string();
    unusable(format!("the kubeconfig `{}` is not readable", file.display()))
        .because(told.lines().next().unwrap_or_default())
        .hint("`kubectl config view --kubeconfig FILE` reads it the same way")
}
