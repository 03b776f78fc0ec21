//! One module with its services, called without a script and without a journal. In the product the gate is the
//! only caller of `perform`.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, SystemClock, SystemEntropy};
use crate::error::CallError;
use crate::function::{Cleanup, Context, Module, Overlay, Plan, Probe, Registry, Services, UndoCall};
use crate::run::Mode;

/// Modules, their services and a context to call them in.
pub struct Bench {
    registry: Registry,
    /// The context every call gets; change what a test needs changed.
    pub context: Context,
    /// What calls told of their progress.
    pub progress: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    /// Takes modules and services.
    ///
    /// # Panics
    /// When a module's description is not complete: the message names every defect.
    #[must_use]
    pub fn new(modules: Vec<Module>, services: Services) -> Self {
        let registry = Registry::new(modules).unwrap_or_else(|error| panic!("{error}"));
        let progress = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&progress);
        let context = Context {
            run: "test-run".to_owned(),
            target: "test".to_owned(),
            operator: "tester".to_owned(),
            mode: Mode::Run,
            idempotency_key: "test-run/call#0".to_owned(),
            project: std::env::temp_dir(),
            overlay: Arc::new(Overlay::default()),
            services,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            cancel: CancellationToken::new(),
            cleanup: Cleanup::default(),
            deadline: None,
            progress: Arc::new(move |text: &str| {
                told.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
            }),
            control: None,
        };
        Self { registry, context, progress }
    }

    /// Pins the clock.
    pub fn set_clock(&mut self, clock: Arc<dyn Clock>) {
        self.context.clock = clock;
    }

    /// Calls a function by its full name with all arguments by name, checked as a script's would be.
    ///
    /// # Errors
    /// What the function fails with.
    pub async fn call(&self, name: &str, arguments: Value) -> Result<Value, CallError> {
        let (function, arguments) = self.checked(name, arguments)?;
        function.perform(&self.context, &arguments).await
    }

    /// Plans a call; in plan mode the overlay keeps what it would write, as in a whole plan.
    ///
    /// # Errors
    /// What the function's reads fail with.
    pub async fn plan(&self, name: &str, arguments: Value) -> Result<Plan, CallError> {
        let (function, arguments) = self.checked(name, arguments)?;
        let plan = function.plan(&self.context, &arguments).await?;
        if self.context.planning() {
            self.context.overlay.put(plan.overlay.clone());
        }
        Ok(plan)
    }

    /// Probes a call whose outcome is missing.
    ///
    /// # Errors
    /// What the function's reads fail with.
    pub async fn probe(
        &self,
        name: &str,
        arguments: Value,
        asked: Option<&UndoCall>,
    ) -> Result<Probe, CallError> {
        let (function, arguments) = self.checked(name, arguments)?;
        function.probe(&self.context, &arguments, asked).await
    }

    fn checked(
        &self,
        name: &str,
        arguments: Value,
    ) -> Result<(&crate::function::Function, Value), CallError> {
        let function =
            self.registry.function(name).unwrap_or_else(|| panic!("no function `{name}` in this bench"));
        let options = arguments.as_object().cloned();
        let arguments = function
            .signature
            .assemble(Vec::new(), options)
            .map_err(|error| CallError::argument(error.message).hint(error.hint.unwrap_or_default()))?;
        Ok((function, arguments))
    }
}
