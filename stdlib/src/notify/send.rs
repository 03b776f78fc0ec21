//! `notify::send` and `notify::test`.

use aegis_engine::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan, Probe, UndoCall};
use async_trait::async_trait;
use futures::future::join_all;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::channels::kind;
use super::client::Notifier;
use super::message::{self, Content, Message, Severity};

/// One channel or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Names {
    /// One.
    One(String),
    /// Several, served side by side.
    Several(Vec<String>),
}

impl Names {
    /// Sorted, each once.
    fn sorted(&self) -> Vec<&str> {
        let mut names: Vec<&str> = match self {
            Self::One(name) => vec![name],
            Self::Several(names) => names.iter().map(String::as_str).collect(),
        };
        names.sort_unstable();
        names.dedup();
        names
    }

    /// A single name, or `+a+b`: a pattern for one channel (`ops*`) must not match several.
    fn scope(&self) -> String {
        match self.sorted().as_slice() {
            [only] => (*only).to_owned(),
            several => several.iter().map(|name| format!("+{name}")).collect(),
        }
    }
}

/// Arguments of `send`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SendArguments {
    /// Name of the channel, or an array of names.
    channel: Names,
    /// What to tell.
    message: String,
    /// Headline and mail subject. Default: the first line of the message.
    #[serde(default)]
    title: Option<String>,
    /// How bad it is.
    #[serde(default)]
    severity: Severity,
    /// Facts by name, shown as a table.
    #[serde(default)]
    fields: Map<String, Value>,
    /// A URL with more.
    #[serde(default)]
    link: Option<String>,
}

impl SendArguments {
    fn content(&self) -> Content {
        Content {
            severity: self.severity,
            title: self.title.clone(),
            message: self.message.clone(),
            fields: self.fields.clone(),
            link: self.link.clone(),
        }
    }
}

const fn notify(name: &'static str) -> Description {
    Description {
        capability: "notify:send",
        undo: "none: what people have read cannot be taken back",
        ..Description::of(name, Effect::Once)
    }
}

pub(super) struct Send;

#[async_trait]
impl HostFunction for Send {
    type Arguments = SendArguments;

    fn describe() -> Description {
        Description {
            summary: "Sends a notification to one channel or several.",
            positional: &["channel", "message"],
            returns: "array of maps, one a channel: `channel`, `kind`, `id`, and for e-mail `refused` (addresses the server did not take)",
            fails_when: "A channel is not configured, cannot be reached or refuses the message. An answer lost after the message went out is an unknown outcome.",
            example: "notify::send(\"ops\", \"pool blue is on v1.31.4\", #{ severity: \"ok\", fields: #{ nodes: 6 } })",
            ..notify("send")
        }
    }

    fn scope(arguments: &SendArguments) -> Option<String> {
        Some(arguments.channel.scope())
    }

    async fn plan(context: &Context, arguments: &SendArguments) -> Result<Plan, CallError> {
        planned(context, &arguments.channel, arguments.content().message.as_str())
    }

    async fn perform(context: &Context, arguments: SendArguments) -> Result<Value, CallError> {
        deliver(context, &arguments.channel, &arguments.content()).await
    }

    async fn probe(
        context: &Context,
        arguments: &SendArguments,
        _: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        looked_up(context, &arguments.channel).await
    }
}

/// Arguments of `test`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TestArguments {
    /// Name of the channel, or an array of names.
    channel: Names,
}

pub(super) struct Test;

#[async_trait]
impl HostFunction for Test {
    type Arguments = TestArguments;

    fn describe() -> Description {
        Description {
            summary: "Sends a test message, to see that a channel works before it is needed.",
            positional: &["channel"],
            returns: "as `send`",
            fails_when: "As `send`.",
            example: "notify::test(\"ops\")",
            ..notify("test")
        }
    }

    fn scope(arguments: &TestArguments) -> Option<String> {
        Some(arguments.channel.scope())
    }

    async fn plan(context: &Context, arguments: &TestArguments) -> Result<Plan, CallError> {
        planned(context, &arguments.channel, "a test message")
    }

    async fn perform(context: &Context, arguments: TestArguments) -> Result<Value, CallError> {
        let content = Content {
            title: Some("aegis test".to_owned()),
            message: "This is a test of the notification channel. Nothing needs to be done.".to_owned(),
            ..Content::default()
        };
        deliver(context, &arguments.channel, &content).await
    }

    async fn probe(
        context: &Context,
        arguments: &TestArguments,
        _: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        looked_up(context, &arguments.channel).await
    }
}

/// Finds every channel, so that a misspelt name shows in the plan and not at 3 a.m.
fn planned(context: &Context, names: &Names, message: &str) -> Result<Plan, CallError> {
    let notifier = context.service::<Notifier>()?;
    let mut shown = Vec::new();
    let mut predicted = Vec::new();
    for name in names.sorted() {
        let kind = kind(&notifier.channels.find(name)?);
        shown.push(format!("`{name}` ({kind})"));
        predicted.push(delivery(name, kind, &message::id(&context.idempotency_key, name)));
    }
    let first = message.lines().next().unwrap_or_default();
    Ok(Plan::new(format!("notify {}: {first}", shown.join(", "))).predicting(Value::Array(predicted)))
}

/// What a delivery looks like to a script.
pub(super) fn delivery(channel: &str, kind: &str, id: &str) -> Value {
    json!({ "channel": channel, "kind": kind, "id": id })
}

async fn deliver(context: &Context, names: &Names, content: &Content) -> Result<Value, CallError> {
    let notifier = context.service::<Notifier>()?;
    let names = names.sorted();
    if names.is_empty() {
        return Err(CallError::argument("no channel is named"));
    }
    let sends = names.iter().map(|name| {
        let message = Message::new(context, name, content);
        let notifier = &notifier;
        async move { notifier.deliver(context, &message).await }
    });
    let (delivered, failed): (Vec<_>, Vec<_>) = join_all(sends).await.into_iter().partition(Result::is_ok);
    let delivered: Vec<Value> = delivered.into_iter().flatten().collect();
    match failed.into_iter().filter_map(Result::err).collect::<Vec<_>>().as_slice() {
        [] => Ok(Value::Array(delivered)),
        failures => Err(together(&delivered, failures)),
    }
}

/// One error for all channels that failed. What was delivered somewhere must not be repeated without thought.
fn together(delivered: &[Value], failures: &[CallError]) -> CallError {
    let mut whole = failures[0].clone();
    let causes: Vec<&str> = failures.iter().map(|failure| failure.message.as_str()).collect();
    whole.message = causes.join("; ");
    whole.unknown = failures.iter().any(|failure| failure.unknown);
    whole.retryable =
        delivered.is_empty() && !whole.unknown && failures.iter().all(|failure| failure.retryable);
    whole.retry_after = failures.iter().filter_map(|failure| failure.retry_after).max();
    let reached: Vec<String> =
        delivered.iter().filter_map(|one| Some(format!("`{}`", one["channel"].as_str()?))).collect();
    if !reached.is_empty() {
        whole.message = format!("{} (delivered to {})", whole.message, reached.join(", "));
    }
    whole
}

/// Only a file can be asked afterwards; one channel that cannot tell leaves the whole in doubt.
async fn looked_up(context: &Context, names: &Names) -> Result<Probe, CallError> {
    let notifier = context.service::<Notifier>()?;
    let mut found = Vec::new();
    let names = names.sorted();
    for name in &names {
        let id = message::id(&context.idempotency_key, name);
        match notifier.holds(name, &id).await? {
            None => return Ok(Probe::CannotTell),
            Some(true) => found.push(delivery(name, "file", &id)),
            Some(false) => {}
        }
    }
    Ok(match found.len() {
        0 => Probe::DidNotHappen,
        all if all == names.len() => Probe::Happened(Value::Array(found)),
        _ => Probe::CannotTell,
    })
}
