//! What a serving aegis shows and takes over HTTP: readers of events, and the way back in for those who hold a token.
//!
//! ```text
//! sender, person, Prometheus -> server (TLS, limits) -> api (who may) -> journals, records (read)
//!                                                                    -> Desk, Intake (decide)
//! ```
//!
//! - [`server`]: connections, bounded in number, size and time
//! - [`token`]: who may do what
//! - [`api`]: the routes, a file a resource, in one visible list
//! - [`metrics`]: what the service tells, counted for Prometheus; [`traces`]: runs as spans for OpenTelemetry
//!
//! It starts no run and decides nothing by itself. What it shows is what the command line shows.

pub mod api;
pub mod metrics;
pub mod server;
pub mod token;
pub mod traces;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use aegis_engine::clock::Clock;
use aegis_engine::diagnostic::Diagnostic;
use aegis_engine::journal::{Store, StoreError};
use aegis_scheduler::store::RecordStore;
use aegis_scheduler::trigger::{Intake, Trigger};
use aegis_scheduler::{Gates, Plan, Schedule};
use jiff::Timestamp;

pub use metrics::Metrics;
pub use token::{Role, Token, Tokens};

/// What the routes work with.
pub struct Console {
    /// Journals of runs, and the halt.
    pub journals: Arc<dyn Store>,
    /// Records of instants and events.
    pub records: Arc<dyn RecordStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where events go.
    pub intake: Intake,
    /// What the project says.
    pub project: Known,
    /// Where keys of webhooks come from.
    pub environment: BTreeMap<String, String>,
    /// Who may do what.
    pub tokens: Tokens,
    /// What has been counted.
    pub metrics: Arc<Metrics>,
}

impl Console {
    /// Since when a trigger is served: what happened before starts nothing.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn first_seen(&self, trigger: &str) -> Result<Timestamp, StoreError> {
        let mut first = None;
        self.records.progress(Some(trigger), &mut |progress| first = Some(progress.decided))?;
        Ok(first.unwrap_or_else(|| self.clock.now()))
    }
}

/// What the project said when it was last read without mistakes. Cheap to clone.
#[derive(Clone, Default)]
pub struct Known {
    inner: Arc<RwLock<Inner>>,
}

#[derive(Default)]
struct Inner {
    schedules: Vec<Arc<Schedule>>,
    triggers: Vec<Arc<Trigger>>,
    /// `None`: nothing was read yet.
    gates: Option<Arc<Gates>>,
    mistakes: Vec<Diagnostic>,
}

impl Known {
    /// Takes in what the project says now; what it says wrongly stands as it was.
    pub fn set(&self, plan: &Plan) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let stands = |name: &str| plan.unreadable || plan.refused.iter().any(|refused| refused == name);
        let triggers = inner.triggers.iter().filter(|trigger| stands(&trigger.name)).cloned();
        let triggers: Vec<Arc<Trigger>> =
            triggers.chain(plan.triggers.iter().cloned().map(Arc::new)).collect();
        let schedules = inner.schedules.iter().filter(|schedule| stands(&schedule.name)).cloned();
        let schedules: Vec<Arc<Schedule>> = schedules.chain(plan.schedules.iter().cloned()).collect();
        // Those that have mistakes and were never right are shut.
        let before = inner.gates.take().filter(|_| plan.gates_refused);
        let gates = Some(before.unwrap_or_else(|| Arc::new(plan.gates.clone())));
        let mistakes = plan.problems.iter().flat_map(|problems| &problems.diagnostics).cloned().collect();
        *inner = Inner { schedules, triggers, gates, mistakes };
    }

    /// What is wrong with the project as it was last read.
    #[must_use]
    pub fn mistakes(&self) -> Vec<Diagnostic> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).mistakes.clone()
    }

    /// A trigger by its name.
    #[must_use]
    pub fn trigger(&self, name: &str) -> Option<Arc<Trigger>> {
        self.triggers().into_iter().find(|trigger| &*trigger.name == name)
    }

    /// Every trigger.
    #[must_use]
    pub fn triggers(&self) -> Vec<Arc<Trigger>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).triggers.clone()
    }

    /// Windows and freezes.
    #[must_use]
    pub fn gates(&self) -> Arc<Gates> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).gates.clone().unwrap_or_default()
    }

    /// Every schedule.
    #[must_use]
    pub fn schedules(&self) -> Vec<Arc<Schedule>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).schedules.clone()
    }

    /// A schedule by its name.
    #[must_use]
    pub fn schedule(&self, name: &str) -> Option<Arc<Schedule>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.schedules.iter().find(|schedule| &*schedule.name == name).cloned()
    }
}
