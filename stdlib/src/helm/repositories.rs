//! `helm::repo_add` and `helm::repo_update`: chart repositories by name, kept under the state directory and apart
//! from the user's own.

use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use aegis_engine::{CallError, Secret};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Helm, Run};
use super::command::Line;
use crate::exec::client::Input;

/// `helm::repo_add`.
pub(super) struct RepoAdd;

/// Arguments of `helm::repo_add`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddArguments {
    /// Name, as in `NAME/chart`.
    name: String,
    /// URL of the repository.
    url: String,
    /// User, where it asks for one.
    #[serde(default)]
    username: Option<String>,
    /// Password; helm gets it on its standard input and keeps it in its configuration (mode 0600).
    #[serde(default)]
    password: Option<Secret>,
}

#[async_trait]
impl HostFunction for RepoAdd {
    type Arguments = AddArguments;

    fn describe() -> Description {
        Description {
            summary: "Adds a chart repository by name, or changes its URL.",
            capability: "helm:change",
            positional: &["name", "url"],
            returns: "map: `name`, `url`",
            undo: "none: a repository is a bookmark; nothing depends on it before a chart is taken from it",
            fails_when: "helm is missing (A0401), the URL is no repository, or it cannot be reached (A0302).",
            example: r#"helm::repo_add("jetstack", "https://charts.jetstack.io")"#,
            ..Description::of("repo_add", Effect::Changes)
        }
    }

    fn scope(arguments: &AddArguments) -> Option<String> {
        Some(arguments.url.clone())
    }

    async fn plan(_context: &Context, arguments: &AddArguments) -> Result<Plan, CallError> {
        let AddArguments { name, url, .. } = arguments;
        Ok(Plan::new(format!("add chart repository `{name}` at {url}"))
            .predicting(json!({ "name": name, "url": url })))
    }

    async fn perform(context: &Context, arguments: AddArguments) -> Result<Value, CallError> {
        let AddArguments { name, url, username, password } = arguments;
        if name.starts_with('-') || url.starts_with('-') {
            return Err(CallError::argument(format!("`{name}` at `{url}` is no repository")));
        }
        let line = Line::new(&["repo", "add", &name, &url])
            .flag(true, "--force-update")
            .maybe("--username", username.as_deref())
            .flag(password.is_some(), "--password-stdin");
        let stdin = password.map_or(Input::Nothing, |password| Input::Text(password.open().to_owned()));
        context.service::<Helm>()?.run(context, &line, Run { stdin, ..Run::offline() }).await?;
        Ok(json!({ "name": name, "url": url }))
    }

    async fn probe(
        _context: &Context,
        _arguments: &AddArguments,
        _asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        Ok(Probe::DidNotHappen)
    }
}

/// `helm::repo_update`.
pub(super) struct RepoUpdate;

/// Arguments of `helm::repo_update`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateArguments {
    /// Names of repositories; all by default.
    #[serde(default)]
    names: Vec<String>,
}

#[async_trait]
impl HostFunction for RepoUpdate {
    type Arguments = UpdateArguments;

    fn describe() -> Description {
        Description {
            summary: "Fetches the newest index of added chart repositories.",
            capability: "helm:change",
            positional: &[],
            returns: "map: `updated` (names as given; empty means all)",
            undo: "none: an index is a cache",
            fails_when: "helm is missing (A0401), no repository was added (A0403), or one cannot be reached (A0302).",
            example: r#"helm::repo_update(#{ names: ["jetstack"] })"#,
            ..Description::of("repo_update", Effect::Changes)
        }
    }

    async fn plan(_context: &Context, arguments: &UpdateArguments) -> Result<Plan, CallError> {
        let which = if arguments.names.is_empty() { "all".to_owned() } else { arguments.names.join(", ") };
        Ok(Plan::new(format!("fetch the newest index of chart repositories: {which}"))
            .predicting(json!({ "updated": arguments.names })))
    }

    async fn perform(context: &Context, arguments: UpdateArguments) -> Result<Value, CallError> {
        if let Some(name) = arguments.names.iter().find(|name| name.starts_with('-')) {
            return Err(CallError::argument(format!("`{name}` is no repository")));
        }
        let mut words = vec!["repo", "update"];
        words.extend(arguments.names.iter().map(String::as_str));
        context.service::<Helm>()?.run(context, &Line::new(&words), Run::offline()).await?;
        Ok(json!({ "updated": arguments.names }))
    }

    async fn probe(
        _context: &Context,
        _arguments: &UpdateArguments,
        _asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        Ok(Probe::DidNotHappen)
    }
}
