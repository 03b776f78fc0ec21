//! The edge where errors are told: once, with the source line, a hint, and what to type next.

use std::process::ExitCode;

use aegis_engine::diagnostic::{Diagnostic, Problems};
use aegis_engine::error::CallError;
use aegis_engine::journal::StoreError;
use aegis_engine::run::Stop;
use aegis_engine::run::engine::EngineError;
use aegis_engine::runbook::Sources;

use crate::context::Global;
use crate::exit::Exit;

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// One error.
    Call(CallError),
    /// Everything that is wrong with a script or its parameters.
    Problems(Problems),
}

impl Failure {
    /// Its first sentence.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Call(error) => error.message.clone(),
            Self::Problems(problems) => {
                problems.diagnostics.first().map(|first| first.message.clone()).unwrap_or_default()
            }
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Problems(problems)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Call(Stop::Store(error).error())
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Call(error) => Self::Call(error),
            EngineError::Problems(problems) => Self::Problems(problems),
        }
    }
}

/// Tells a failure and answers how the process ends.
pub(crate) fn tell(failure: &Failure, global: &Global) -> ExitCode {
    let problems = match failure {
        Failure::Call(error) => Problems::of(Diagnostic::from(error), Sources::default()),
        Failure::Problems(problems) => problems.clone(),
    };
    if global.json() {
        super::table::json(&serde_json::json!({ "error": problems.diagnostics }));
    } else {
        super::say(problems.render(global.colour()).trim_end());
    }
    let code = problems.diagnostics.first().map(|diagnostic| diagnostic.code.clone()).unwrap_or_default();
    if !global.json() && !code.is_empty() {
        super::say(&format!("  see: aegis explain {code}"));
    }
    Exit::of(&code).into()
}
