//! `runbook(header)` as authors see it. The header is read with the place of every value
//! ([`crate::runbook::Header`]); which keys there are, and what they mean, is said here.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

use super::{Builtin, options};
use crate::runbook::{AtWindowEnd, Kind, OnFailure, Risk};
use crate::units::Period;

pub(super) fn described() -> Builtin {
    Builtin {
        name: "runbook",
        arity: (1, 1),
        signature: "runbook(header)",
        options: options::<HeaderKeys>(),
        summary: "Says what the runbook is, needs and takes; read before anything runs.",
        page: "The header is a literal map at the top level of the file: values are written down, not computed. \
               `aegis new` writes one to start from.",
        example: "runbook(#{ title: \"Restart the shop\", risk: \"high\", needs: [\"k8s:change:shop/*\"], timeout: \
                  \"1h\", params: #{ zones: #{ type: \"list\", help: \"which zones, in order\" } } })",
    }
}

/// Keys of a header.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct HeaderKeys {
    /// What the runbook does, in one line.
    title: String,
    /// A paragraph for the reader, when the title is not enough.
    #[serde(default)]
    description: String,
    /// Team or person who answers for it.
    #[serde(default)]
    owner: String,
    /// How much can go wrong. Runs of high risk on protected targets need an approval, and wait for a maintenance
    /// window.
    #[serde(default)]
    risk: Risk,
    /// What it may do: `module:verb` or `module:verb:scope`, where the scope may have `*` for any text. Verbs are
    /// `read`, `change`, `destroy` (each includes those before it), `send`, `run` and `*`. The page of each function
    /// says what it needs. Example: `needs: ["k8s:read", "k8s:change:shop/*"]`.
    #[serde(default)]
    needs: Vec<String>,
    /// The longest that the whole run may take. Example: `timeout: "1h"`.
    #[serde(default)]
    timeout: Option<Period>,
    /// Times that reports compare with, by name. Example: `objectives: #{ rto: "15m" }`.
    #[serde(default)]
    objectives: BTreeMap<String, Period>,
    /// An exercise: whatever is not undone at its end makes the run fail.
    #[serde(default)]
    drill: bool,
    /// What becomes of effects when the run fails: with `stop` they stay and the run can be retried, with `undo` they
    /// are taken back, newest first.
    #[serde(default)]
    on_failure: OnFailure,
    /// What becomes of a run that is under way when its maintenance window closes: it goes on with a warning, is left to
    /// be resumed in the next one, or is cancelled.
    #[serde(default)]
    at_window_end: AtWindowEnd,
    /// Channels of the target that hear of its runs: one, several, or either by moment (`started`, `succeeded`,
    /// `failed`, `waiting`, `missed`, `break_glass`). Example: `notify: #{ failed: ["ops", "pager"] }`.
    #[serde(default)]
    notify: Option<Channels>,
    /// When it runs by itself: a time, or a map with all that `docs/schedules.md` has. Example: `schedule: "every 6h"`.
    #[serde(default)]
    schedule: Option<Times>,
    /// What it takes, by name. `aegis run` is given them with `--param NAME=VALUE`, the script finds them in `params`.
    /// Of each is said:
    #[serde(default)]
    params: BTreeMap<String, ParameterKeys>,
}

/// Keys of a parameter.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct ParameterKeys {
    /// Its type.
    #[serde(default)]
    r#type: Kind,
    /// Its value when none is given.
    #[serde(default)]
    default: Value,
    /// Must be given. Without this, those without a default must.
    #[serde(default)]
    required: Option<bool>,
    /// Regular expression that a text must match.
    #[serde(default)]
    pattern: Option<String>,
    /// The smallest number; the fewest characters or items; the shortest duration.
    #[serde(default)]
    min: Option<Limit>,
    /// The largest, as `min`.
    #[serde(default)]
    max: Option<Limit>,
    /// The only values that are taken. `enum` is the same.
    #[serde(default)]
    choices: Vec<Value>,
    /// Comes from the environment (`AEGIS_PARAM_NAME`) and is never shown.
    #[serde(default)]
    secret: bool,
    /// One line for the person who gives it.
    #[serde(default)]
    help: String,
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Channels {
    One(String),
    Several(Vec<String>),
    ByMoment(BTreeMap<String, Value>),
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Times {
    When(String),
    All(BTreeMap<String, Value>),
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Limit {
    Number(f64),
    Duration(Period),
}
