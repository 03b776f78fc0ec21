//! Those who look for events that nobody sends: the events of a cluster, new objects in a bucket. Each trigger has a task
//! of its own, which begins where the last process stopped: with what happened since a little before the trigger's last
//! record. What has its record already is known.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aegis_console::Console;
use aegis_engine::error::CallError;
use aegis_engine::function::Services;
use aegis_sandbox::serve::Sandbox;
use aegis_scheduler::Trigger;
use aegis_scheduler::trigger::Source;
use aegis_scheduler::trigger::payload::{Part, cluster_event, object};
use aegis_stdlib::k8s::{Cluster, Position};
use aegis_stdlib::storage::Storage;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;

use crate::context::Context;
use crate::view::say;

/// What happened this long before the last record of a trigger may not have been told of yet.
const BEFORE: SignedDuration = SignedDuration::from_mins(5);

/// How long after a failure it is tried again, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// The tasks, by the trigger that each is for.
pub(super) struct Watching {
    context: Arc<Context>,
    console: Arc<Console>,
    tasks: Mutex<BTreeMap<String, (Source, JoinHandle<()>)>>,
}

impl Watching {
    pub(super) fn new(context: &Arc<Context>, console: &Arc<Console>) -> Arc<Self> {
        let (context, console) = (Arc::clone(context), Arc::clone(console));
        Arc::new(Self { context, console, tasks: Mutex::default() })
    }

    /// Watches for what the project names now. Those that watch for the same as before go on.
    pub(super) fn look(&self) {
        let wanted = self.console.project.triggers();
        let wanted: Vec<_> = wanted
            .into_iter()
            .filter(|trigger| matches!(trigger.source, Source::Kubernetes { .. } | Source::S3 { .. }))
            .collect();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|name, (source, task)| {
            let stays = wanted.iter().any(|trigger| *trigger.name == **name && trigger.source == *source);
            if !stays {
                task.abort();
            }
            stays
        });
        for trigger in wanted {
            let (context, console) = (Arc::clone(&self.context), Arc::clone(&self.console));
            let (name, source) = (trigger.name.to_string(), trigger.source.clone());
            tasks.entry(name).or_insert_with(|| {
                (source, self.context.runtime.spawn(Watch::begin(context, console, trigger)))
            });
        }
    }
}

/// One trigger that is watched for.
struct Watch {
    console: Arc<Console>,
    name: String,
    since: Timestamp,
    /// Instants that have been offered by this process.
    offered: Mutex<BTreeSet<Timestamp>>,
    services: Services,
    /// The embedded cluster lives as long as somebody watches it.
    _sandbox: Option<Sandbox>,
}

impl Watch {
    async fn begin(context: Arc<Context>, console: Arc<Console>, trigger: Arc<Trigger>) {
        let name = trigger.name.to_string();
        let mut wait = AGAIN.0;
        let watch = loop {
            let (context, console, trigger) =
                (Arc::clone(&context), Arc::clone(&console), Arc::clone(&trigger));
            let made = tokio::task::spawn_blocking(move || Self::new(&context, console, &trigger)).await;
            match made {
                Ok(Ok(watch)) => break watch,
                Ok(Err(why)) => say(&format!("trouble: trigger `{name}` cannot look: {why}")),
                Err(_) => return,
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(AGAIN.1);
        };
        watch.go_on(&trigger.source).await;
    }

    fn new(context: &Arc<Context>, console: Arc<Console>, trigger: &Trigger) -> Result<Self, String> {
        let told = |failure: crate::view::failure::Failure| match failure {
            crate::view::failure::Failure::Call(error) => error.message,
            crate::view::failure::Failure::Problems(problems) => problems.to_string(),
        };
        let config = context.settings.config.target(&trigger.target).map_err(|error| error.message)?;
        let clustered = config.sandbox && matches!(trigger.source, Source::Kubernetes { .. });
        let sandbox = clustered.then(|| context.sandbox(&trigger.target)).transpose().map_err(told)?;
        let services = context.services(&trigger.target, sandbox.as_ref()).map_err(told)?;
        let last = console.records.history(Some(&trigger.name), 1).map_err(|error| error.to_string())?.pop();
        let first = console.first_seen(&trigger.name).map_err(|error| error.to_string())?;
        let since = last.map_or(first, |last| first.max(last.instant.checked_sub(BEFORE).unwrap_or(first)));
        let name = trigger.name.to_string();
        Ok(Self { console, name, since, offered: Mutex::default(), services, _sandbox: sandbox })
    }

    async fn go_on(self, source: &Source) {
        let watch = Arc::new(self);
        let mut position = Position::default();
        let (mut wait, mut silent) = (AGAIN.0, false);
        loop {
            let looked = match source {
                Source::Kubernetes { namespace } => watch.cluster(namespace.as_deref(), &mut position).await,
                Source::S3 { url, every } => watch.bucket(url, *every).await,
                _ => return,
            };
            match looked {
                Ok(()) => (wait, silent) = (AGAIN.0, false),
                Err(error) => {
                    if !silent {
                        say(&format!("trouble: trigger `{}` cannot look: {}", watch.name, error.message));
                    }
                    silent = true;
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(AGAIN.1);
                }
            }
        }
    }

    async fn cluster(
        self: &Arc<Self>,
        namespace: Option<&str>,
        position: &mut Position,
    ) -> Result<(), CallError> {
        let cluster = self.services.get::<Cluster>();
        let Some(cluster) = cluster else { return Ok(()) };
        let (parts, mut coming) = tokio::sync::mpsc::unbounded_channel();
        let watch = Arc::clone(self);
        let taking = tokio::spawn(async move {
            while let Some(part) = coming.recv().await {
                watch.offer(part).await;
            }
        });
        let fed = cluster.feed(namespace, position, |event| drop(parts.send(cluster_event(&event)))).await;
        drop(parts);
        let _ = taking.await;
        // The server ended it: not at once again.
        tokio::time::sleep(AGAIN.0).await;
        fed
    }

    async fn bucket(self: &Arc<Self>, url: &str, every: Duration) -> Result<(), CallError> {
        let Some(storage) = self.services.get::<Storage>() else { return Ok(()) };
        for found in storage.objects(url).await? {
            self.offer(object(&found)).await;
        }
        tokio::time::sleep(every).await;
        Ok(())
    }

    /// Hands an event in once, until it has been decided.
    async fn offer(self: &Arc<Self>, part: Part) {
        let instant = part.instant.unwrap_or(Timestamp::UNIX_EPOCH);
        // Objects tell whole seconds: the one of the beginning counts.
        if instant.as_second() < self.since.as_second()
            || self.offered.lock().unwrap_or_else(PoisonError::into_inner).contains(&instant)
        {
            return;
        }
        let mut wait = AGAIN.0;
        loop {
            let (watch, part) = (Arc::clone(self), part.clone());
            match tokio::task::spawn_blocking(move || watch.take(&part)).await {
                Ok(Ok(())) | Err(_) => break,
                Ok(Err(_)) => tokio::time::sleep(wait).await,
            }
            wait = (wait * 2).min(AGAIN.1);
        }
        self.offered.lock().unwrap_or_else(PoisonError::into_inner).insert(instant);
    }

    fn take(&self, part: &Part) -> Result<(), CallError> {
        let Some(trigger) = self.console.project.trigger(&self.name) else { return Ok(()) };
        let Some(event) = trigger.event(part) else { return Ok(()) };
        let came = self.console.intake.take(&trigger, event)?;
        self.console.metrics.event(&trigger.name, &came);
        Ok(())
    }
}
