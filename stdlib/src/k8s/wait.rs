//! `wait`: holds a run until the cluster is as wanted, tells how far it is, and on timeout what is missing.
//! A plan does not wait: what a plan would bring about counts as there.

use std::time::Duration;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan};
use aegis_engine::units::Period;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::bell::Bell;
use super::delete::five_minutes;
use super::diagnose::diagnosis;
use super::expression::{Until, check_condition};
use super::object::{title, visible};
use super::ready::{Readiness, readiness};
use super::target::{Target, scope};
use super::world::{Place, Selection, World};

/// A moment to give up at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    pub(super) period: Period,
}

impl Deadline {
    pub(super) fn after(period: Period) -> Self {
        Self { at: Instant::now() + period.0, period }
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.at
    }

    pub(super) fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }
}

/// Wait before the next look where nothing tells of changes: quick at first, once a second later.
pub(super) fn pace(attempt: u32) -> Duration {
    Duration::from_millis(100 + 90 * u64::from(attempt.min(10)))
}

/// Arguments of `wait`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitArguments {
    /// `kind/name`, an object, or a kind alone: then all of them (that `selector` selects).
    target: Target,
    /// `Ready` (default), `Deleted`, `Exists`, a condition (`Available`, `Progressing=False`) or an expression
    /// (`status.phase == "Running"`).
    #[serde(default = "ready")]
    until: String,
    /// Namespace. Default: the target's.
    #[serde(default)]
    namespace: Option<String>,
    /// Label selector, for a kind alone.
    #[serde(default)]
    selector: Option<String>,
    /// True: of every namespace, for a kind alone.
    #[serde(default)]
    all_namespaces: bool,
    /// How long it may take. Default 5m.
    #[serde(default = "five_minutes")]
    timeout: Period,
}

fn ready() -> String {
    "Ready".to_owned()
}

/// What a look found.
enum Look {
    Holds(Value),
    Missing(String),
    Hopeless(String),
}

/// `wait(target, [options])`.
pub(super) struct Wait;

#[async_trait]
impl HostFunction for Wait {
    type Arguments = WaitArguments;

    fn describe() -> Description {
        Description {
            summary: "Waits until an object is ready, gone, or as an expression says.",
            capability: "k8s:read",
            positional: &["target"],
            returns: "map: the object as it then is; an array of them for a kind alone; `()` for `Deleted`",
            undo: "none: it only reads",
            fails_when: "The condition does not hold in time, or cannot hold any more as with a failed Job (A0309, with what is missing: replicas, pods, their reasons and events).",
            example: r#"k8s::wait("deployment/web", #{ namespace: "shop", timeout: "2m" })"#,
            waits: true,
            ..Description::of("wait", Effect::Reads)
        }
    }

    fn scope(arguments: &WaitArguments) -> Option<String> {
        let namespace = if arguments.all_namespaces { Some("*") } else { arguments.namespace.as_deref() };
        Some(scope(&arguments.target.reference().ok()?, namespace))
    }

    async fn plan(context: &Context, arguments: &WaitArguments) -> Result<Plan, CallError> {
        let until = Until::parse(&arguments.until)?;
        let name = arguments.target.reference()?;
        let name = format!("{}/{}", name.kind.as_written(), name.name.as_deref().unwrap_or("*"));
        let seen = seen_in_plan(context, arguments, &until).await?;
        Ok(Plan::new(format!("wait until {name} is {}", until.text())).predicting(seen))
    }

    async fn perform(context: &Context, arguments: WaitArguments) -> Result<Value, CallError> {
        let until = Until::parse(&arguments.until)?;
        if context.planning() {
            return seen_in_plan(context, &arguments, &until).await;
        }
        let world = World::of(context)?;
        let subject = Subject::of(&world, &arguments).await?;
        subject.hold(&world, &until, Deadline::after(arguments.timeout)).await
    }
}

/// What a plan shows instead of waiting: the planned or live object, else its bare name.
async fn seen_in_plan(
    context: &Context,
    arguments: &WaitArguments,
    until: &Until,
) -> Result<Value, CallError> {
    let reference = arguments.target.reference()?;
    let bare = json!({ "kind": reference.kind.as_written(),
        "metadata": { "name": reference.name, "namespace": reference.namespace.as_ref().or(arguments.namespace.as_ref()) } });
    if *until == Until::Deleted {
        return Ok(Value::Null);
    }
    let world = World::of(context)?;
    match Subject::of(&world, arguments).await {
        Ok(Subject::One(place)) => Ok(world.find(&place).await?.map_or(bare, visible)),
        Ok(Subject::All(place, selection)) => {
            let objects = world.list(&place, &selection).await?;
            Ok(objects.into_iter().map(visible).collect())
        }
        // The kind itself may only come with an earlier step of the plan.
        Err(error) if error.code == codes::NOT_FOUND.0 => {
            Ok(if reference.name.is_some() { bare } else { json!([]) })
        }
        Err(error) => Err(error),
    }
}

/// What is waited for.
pub(super) enum Subject {
    One(Place),
    All(Place, Selection),
}

impl Subject {
    async fn of(world: &World<'_>, arguments: &WaitArguments) -> Result<Self, CallError> {
        let reference = arguments.target.reference()?;
        let namespace = arguments.namespace.as_deref();
        if reference.name.is_some() {
            return Ok(Self::One(world.at(&reference, namespace).await?));
        }
        let place = world.collection(&reference, namespace, arguments.all_namespaces).await?;
        Ok(Self::All(place, Selection { labels: arguments.selector.clone(), ..Selection::default() }))
    }

    /// Looks at every change until it holds, cannot hold, or the time is over.
    pub(super) async fn hold(
        &self,
        world: &World<'_>,
        until: &Until,
        deadline: Deadline,
    ) -> Result<Value, CallError> {
        let mut told = String::new();
        let mut bell = match self {
            Self::One(place) => Bell::of(place),
            Self::All(place, selection) => Bell::of_all(place, selection),
        };
        for attempt in 0.. {
            let missing = match self.look(world, until).await? {
                Look::Holds(value) => return Ok(value),
                Look::Missing(missing) => missing,
                Look::Hopeless(why) => return Err(self.failed(world, &why).await),
            };
            if missing != told {
                world.context.progress(format!("{}: {missing}", self.name()));
                told.clone_from(&missing);
            }
            if deadline.is_over() {
                return Err(self.ran_out(world, until, deadline, &missing).await);
            }
            bell.wait(world, attempt, deadline.left()).await;
        }
        Ok(Value::Null)
    }

    async fn look(&self, world: &World<'_>, until: &Until) -> Result<Look, CallError> {
        match self {
            Self::One(place) => Ok(look_at(world.live(place).await?.as_ref(), until)),
            Self::All(place, selection) => {
                let objects = world.list(place, selection).await?;
                Ok(look_at_all(objects, until))
            }
        }
    }

    fn name(&self) -> String {
        match self {
            Self::One(place) => place.title(),
            Self::All(place, selection) => match &selection.labels {
                Some(labels) => format!("{} with {labels}", place.kind.plural),
                None => place.kind.plural.clone(),
            },
        }
    }

    async fn ran_out(
        &self,
        world: &World<'_>,
        until: &Until,
        deadline: Deadline,
        missing: &str,
    ) -> CallError {
        let message = format!("{} is not {} after {}: {missing}", self.name(), until.text(), deadline.period);
        self.explained(world, CallError::new(codes::NOT_READY, message).retryable()).await
    }

    async fn failed(&self, world: &World<'_>, why: &str) -> CallError {
        let message = format!("{} will not become ready: {why}", self.name());
        self.explained(world, CallError::new(codes::NOT_READY, message)).await
    }

    async fn explained(&self, world: &World<'_>, mut error: CallError) -> CallError {
        let Self::One(place) = self else { return error };
        for line in diagnosis(world, place).await {
            error.message = format!("{}\n  {line}", error.message);
        }
        error
    }
}

fn look_at(object: Option<&Value>, until: &Until) -> Look {
    let Some(object) = object else {
        return match until {
            Until::Deleted => Look::Holds(Value::Null),
            _ => Look::Missing("it does not exist".to_owned()),
        };
    };
    let checked = match until {
        Until::Exists => Ok(()),
        Until::Deleted => Err("it is still there".to_owned()),
        Until::Condition { name, status } => check_condition(object, name, status),
        Until::Expression(expression) => expression.check(object),
        Until::Ready => match readiness(object) {
            Readiness::Ready => Ok(()),
            Readiness::Waiting(missing) => Err(missing),
            Readiness::Failed(why) => return Look::Hopeless(why),
        },
    };
    match checked {
        Ok(()) => Look::Holds(visible(object.clone())),
        Err(missing) => Look::Missing(missing),
    }
}

fn look_at_all(objects: Vec<Value>, until: &Until) -> Look {
    match (objects.is_empty(), until) {
        (true, Until::Deleted) => return Look::Holds(Value::Null),
        (true, _) => return Look::Missing("there is none".to_owned()),
        (false, _) => {}
    }
    let looks: Vec<Look> = objects.iter().map(|object| look_at(Some(object), until)).collect();
    let holding = looks.iter().filter(|look| matches!(look, Look::Holds(_))).count();
    let first = looks.iter().zip(&objects).find_map(|(look, object)| match look {
        Look::Holds(_) => None,
        Look::Missing(why) | Look::Hopeless(why) => Some((format!("{}: {why}", title(object)), look)),
    });
    match first {
        None => Look::Holds(objects.into_iter().map(visible).collect()),
        Some((why, Look::Hopeless(_))) => Look::Hopeless(why),
        Some((why, _)) => Look::Missing(format!("{holding} of {} hold; {why}", objects.len())),
    }
}
