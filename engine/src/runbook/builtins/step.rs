//! `step(name, [options], body)` as authors see it; [`crate::run`] does what is said here.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Builtin, options};
use crate::builtin::{AskArguments, WithArguments};
use crate::units::Period;

pub(super) fn described() -> Builtin {
    Builtin {
        name: "step",
        arity: (2, 3),
        signature: "step(name, [options], body)",
        options: options::<StepOptions>(),
        summary: "Groups calls under a name and answers what its body returns.",
        page: "People find a step by its name, and `aegis skip`, `mark-done` and `fork --from` take it. A step that \
               is done is not run again when the run is resumed: its answer is handed out. The body therefore \
               sees copies of the variables around it, and hands its result back. Steps may be nested.",
        example: "step(\"move traffic\", #{ retry: #{ max: 3, backoff: \"5s\", only_if: |error| error.retryable }, \
                  timeout: \"20m\", when: true, on_failure: \"undo\" }, || log(\"moved\"))",
    }
}

/// Options of a step.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepOptions {
    /// Runs the whole body again when it fails, calls that are done included: put what must not be repeated into
    /// a step of its own. Example: `retry: #{ max: 3, backoff: "5s" }`.
    #[serde(default)]
    pub(crate) retry: Option<Retry>,
    /// The longest that one attempt may take; then it fails with code A0106. Without it, the time of what is
    /// around the step. Example: `timeout: "20m"`.
    #[serde(default)]
    pub(crate) timeout: Option<Period>,
    /// `false` leaves the step out: it is shown as skipped and answers `()`. Example: `when: params.zones.len() > 1`.
    #[serde(default = "yes")]
    pub(crate) when: bool,
    /// What happens when no attempt is left: `stop` hands the error to the script (which ends the run unless it
    /// is caught), `continue` goes on with `()`, `undo` takes back what the step did, newest first, and then
    /// hands the error on. Example: `on_failure: "undo"`.
    #[serde(default)]
    pub(crate) on_failure: OnStepFailure,
    /// Asks people before the first attempt: the question, or all arguments of `approval::ask`.
    /// Example: `approval: "fail over to Tokyo?"`.
    #[serde(default)]
    #[schemars(with = "Option<TextOr<AskArguments>>")]
    pub(crate) approval: Option<Value>,
    /// Takes the step back when it is undone: the name of a function of the runbook, or all arguments of
    /// `undo::with`. Example: `undo: #{ function: "restore_weight", arguments: ["web", 100] }`.
    #[serde(default)]
    #[schemars(with = "Option<TextOr<WithArguments>>")]
    pub(crate) undo: Option<Value>,
}

/// When and how often the body of a step is run again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retry {
    /// How often it is run again; the first attempt does not count. Example: `max: 3`.
    #[serde(default = "twice")]
    pub(crate) max: u32,
    /// The wait before it is run again. It doubles with each attempt, and up to a quarter is added at random
    /// (jitter), so that many runs do not come back together. When the other side asked for a longer wait, that
    /// is kept. Example: `backoff: "5s"`.
    #[serde(default = "a_second")]
    pub(crate) backoff: Period,
    /// Asked after each failure with the error (`code`, `message`, `hint`, `retryable`): `false` ends the
    /// retries. Without it, every error is worth another attempt. Example: `only_if: |error| error.code == "A0302"`.
    #[serde(default)]
    #[expect(dead_code, reason = "the engine takes the function itself from the map")]
    only_if: Option<ScriptFunction>,
}

/// What a failed step does to the rest of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnStepFailure {
    /// The error goes on to the script.
    #[default]
    Stop,
    /// The script goes on with `()`.
    Continue,
    /// Effects of the step are undone, then the error goes on.
    Undo,
}

/// Where a function of the script is.
#[derive(Debug, Deserialize)]
struct ScriptFunction(#[expect(dead_code, reason = "a stand-in says nothing")] Value);

impl JsonSchema for ScriptFunction {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Function".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "function" })
    }
}

/// The first argument of a function, or all of them.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum TextOr<T> {
    /// The first.
    Text(String),
    /// All of them.
    All(T),
}

/// Arguments of a host function, where its first one may stand for all.
pub(crate) fn arguments_of(given: Value, first: &str) -> Value {
    if given.is_string() { json!({ first: given }) } else { given }
}

const fn yes() -> bool {
    true
}

const fn twice() -> u32 {
    2
}

const fn a_second() -> Period {
    Period::seconds(1)
}
