//! What a host function is handed: the clients of the target, the clock, cancellation, progress, and, in
//! plan mode, the overlay of planned writes. Nothing else; in particular no way to journal on its own.

use std::any::{Any, TypeId, type_name};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::Cleanup;
use crate::clock::{Clock, Entropy};
use crate::codes;
use crate::error::CallError;
use crate::run::Mode;

/// Clients and configuration of a target by type. Modules put theirs in; functions take them out.
#[derive(Clone, Default)]
pub struct Services {
    by_type: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl Services {
    /// Puts one in, replacing one of the same type.
    #[must_use]
    pub fn with<T: Send + Sync + 'static>(mut self, service: T) -> Self {
        self.by_type.insert(TypeId::of::<T>(), Arc::new(service));
        self
    }

    /// Takes one out.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.by_type.get(&TypeId::of::<T>()).cloned()?.downcast().ok()
    }
}

/// Planned writes of a run in plan mode, by a key that the module chooses. Reads look here first.
#[derive(Debug, Default)]
pub struct Overlay {
    planned: Mutex<BTreeMap<String, Option<Value>>>,
}

impl Overlay {
    /// `None`: nothing planned. `Some(None)`: planned to be gone. `Some(Some(v))`: planned to be `v`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Option<Value>> {
        self.lock().get(key).cloned()
    }

    /// Everything planned whose key starts with `prefix`, for lists.
    #[must_use]
    pub fn under(&self, prefix: &str) -> Vec<(String, Option<Value>)> {
        let planned = self.lock();
        let from = planned.range(prefix.to_owned()..);
        from.take_while(|(key, _)| key.starts_with(prefix)).map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    pub(crate) fn put(&self, writes: Vec<(String, Option<Value>)>) {
        self.lock().extend(writes);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Option<Value>>> {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a long call tells how far it is: shown live, never journaled.
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;

/// The surroundings of one call.
#[derive(Clone)]
pub struct Context {
    /// The run this call belongs to.
    pub run: String,
    /// Name of the target.
    pub target: String,
    /// Who started the run.
    pub operator: String,
    /// Run, plan or replay. Only reads and waits need to look at it.
    pub mode: Mode,
    /// The same text for the same call in every process that ever performs it: send it where the other
    /// side removes duplicates by key.
    pub idempotency_key: String,
    /// Folder of the runbook's project; relative paths in arguments start here.
    pub project: std::path::PathBuf,
    /// Planned writes, in plan mode.
    pub overlay: Arc<Overlay>,
    pub(crate) services: Services,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) cancel: CancellationToken,
    pub(crate) cleanup: Cleanup,
    pub(crate) deadline: Option<Instant>,
    pub(crate) progress: Progress,
    pub(crate) control: Option<crate::run::Control>,
}

impl Context {
    /// The client or configuration of type `T`.
    ///
    /// # Errors
    /// When the target has none: the product was put together wrongly, or a test forgot it.
    pub fn service<T: Send + Sync + 'static>(&self) -> Result<Arc<T>, CallError> {
        self.services.get::<T>().ok_or_else(|| {
            let message = format!("target `{}` has no `{}`", self.target, type_name::<T>());
            CallError::new(codes::TARGET, message)
        })
    }

    /// Now, by the engine's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// 64 random bits, from the engine's dice.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.entropy.next()
    }

    /// True in a plan.
    #[must_use]
    pub fn planning(&self) -> bool {
        self.mode == Mode::Plan
    }

    /// Time left until the timeout of the step or runbook; `None` without one.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Cancelled when the run is: long calls `select!` on it where dropping the future is not enough
    /// (a child process to be ended, a lease to be given back). The gate drops the future otherwise.
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        &self.cancel
    }

    /// What must be finished even when the call is dropped.
    #[must_use]
    pub fn cleanup(&self) -> &Cleanup {
        &self.cleanup
    }

    /// Tells how far the call is: `3/5 replicas ready`. Cheap; call it as often as something changes.
    pub fn progress(&self, text: impl AsRef<str>) {
        (self.progress)(text.as_ref());
    }

    /// Waits, or stops waiting when the run is cancelled (the gate then drops the call).
    pub async fn pause(&self, wait: Duration) {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.cancel.cancelled() => std::future::pending().await,
        }
    }
}
