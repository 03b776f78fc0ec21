//! Rhai around a run: the sealed engine with the host functions of the registry and the builtins.
//!
//! - [`convert`], [`view`]: script values and JSON
//! - [`errors`]: errors into scripts and out of them
//! - [`options`]: option maps of the builtins

pub(crate) mod convert;
pub(crate) mod errors;
mod host;
pub(crate) mod options;
mod view;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use rhai::{AST, CallFnOptions, Dynamic, Engine, EvalAltResult, Scope};
use serde_json::Value;

use crate::codes;
use crate::error::CallError;
use crate::run::frame::{Frame, Here};
use crate::run::interrupt::Interrupt;
use crate::run::limits::step_time_is_up;
use crate::run::session::Session;
use crate::runbook::{PARAMS, Params, Runbook, Sources, compiler};
use crate::secret::{Secret, Vault};
use errors::Halted;

/// A runbook's script, ready to run in one session.
pub(crate) struct Script {
    engine: Engine,
    ast: AST,
    pub(crate) sources: Sources,
    params: Dynamic,
}

impl Script {
    pub(crate) fn new(session: &Arc<Session>, runbook: &Runbook, params: &Params) -> Self {
        let mut engine = compiler();
        engine.set_module_resolver(runbook.resolver());
        view::register(&mut engine);
        register_secret(&mut engine, &session.vault);
        host::register(&mut engine, &session.registry);
        engine.on_progress(watch(Arc::downgrade(session)));
        let params = params_map(params);
        Self { engine, ast: runbook.script().clone(), sources: runbook.sources.clone(), params }
    }

    /// Runs the script from the top, in the frame that is current.
    pub(crate) fn run(&self) -> Result<Dynamic, Box<EvalAltResult>> {
        let mut scope = Scope::new();
        scope.push_constant(PARAMS, self.params.clone());
        self.engine.eval_ast_with_scope(&mut scope, &self.ast)
    }

    /// Calls the script function that undoes an effect.
    pub(crate) fn call_undo(
        &self,
        frame: &Arc<Frame>,
        name: &str,
        arguments: &Value,
    ) -> Result<Value, CallError> {
        let session = &frame.session;
        let given: Vec<Dynamic> = arguments
            .as_array()
            .into_iter()
            .flatten()
            .map(|argument| convert::from_json(argument, &session.vault))
            .collect();
        let _here = Here::set(frame);
        let options = CallFnOptions::new().eval_ast(false);
        let answer: Result<Dynamic, _> =
            self.engine.call_fn_with_options(options, &mut Scope::new(), &self.ast, name, given);
        match answer.map_err(|error| errors::caught(&error, session)) {
            Ok(value) => convert::to_json(&value, &session.vault),
            Err(Interrupt::Failed(error)) => Err(error),
            Err(Interrupt::Stop(stop)) => Err(stop.error()),
        }
    }

    /// True when the script has a function of that name with that many parameters.
    pub(crate) fn has_function(&self, name: &str, parameters: usize) -> bool {
        self.ast.iter_functions().any(|function| function.name == name && function.params.len() == parameters)
    }
}

/// Ends the script from inside its loops: when the run was stopped, the time is up or it ran too much.
fn watch(session: Weak<Session>) -> impl Fn(u64) -> Option<Dynamic> + Send + Sync {
    move |_| {
        let session = session.upgrade()?;
        if session.operations.spend(session.limits.operations) {
            return Some(Dynamic::from(Halted::Operations));
        }
        if session.undoing.load(Ordering::Relaxed) {
            return session.left.is_cancelled().then(|| Dynamic::from(Halted::Stopped));
        }
        if session.cancel.is_cancelled() {
            return Some(Dynamic::from(Halted::Stopped));
        }
        if step_time_is_up() {
            let run = session.deadline.is_some_and(|at| std::time::Instant::now() >= at);
            return Some(Dynamic::from(if run { Halted::RunTime } else { Halted::StepTime }));
        }
        None
    }
}

/// A secret inside a script: prints as a marker that stays secret through every string operation.
fn register_secret(engine: &mut Engine, vault: &Vault) {
    let (one, two) = (vault.clone(), vault.clone());
    engine
        .register_type_with_name::<Secret>("Secret")
        .register_fn("to_string", move |secret: &mut Secret| one.marker(secret))
        .register_fn("to_debug", move |secret: &mut Secret| two.marker(secret))
        .register_fn("==", |left: Secret, right: Secret| left == right)
        .register_fn("!=", |left: Secret, right: Secret| left != right);
}

fn params_map(params: &Params) -> Dynamic {
    let vault = Vault::default();
    let plain = params.plain.iter().map(|(name, value)| (name.into(), convert::from_json(value, &vault)));
    let secret = params.secret.iter().map(|(name, secret)| (name.into(), Dynamic::from(secret.clone())));
    plain.chain(secret).collect::<rhai::Map>().into()
}

/// A function that a script names for its undo does not exist.
pub(crate) fn no_such_undo(name: &str, parameters: usize) -> CallError {
    let message =
        format!("the runbook has no function `{name}` with {}", crate::text::count(parameters, "parameter"));
    CallError::new(codes::FUNCTION, message)
}
