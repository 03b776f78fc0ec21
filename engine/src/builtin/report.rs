//! `report`: what a run found out, for people and for auditors. Nothing outside changes; the arguments are in
//! the journal and every report is a fold over them.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::CallError;
use crate::function::{Context, Description, Effect, Function, HostFunction, Module};
use crate::units::Period;

pub(super) fn module() -> Module {
    Module {
        name: "report",
        summary: "Puts checks, measures, tables and evidence into the run's report.",
        page: "A check has one of four states: `pass`, `fail`, `unevaluable` (it could not be read; never \
               counted as a pass) and `excepted` (with a reason). `aegis show RUN` and the end of a run print \
               them; `--output json` has them all.",
        functions: vec![
            Function::new::<Check>(),
            Function::new::<Measure>(),
            Function::new::<Table>(),
            Function::new::<Evidence>(),
        ],
    }
}

/// State of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum CheckStatus {
    /// It holds.
    Pass,
    /// It does not hold.
    Fail,
    /// It could not be read.
    Unevaluable,
    /// It does not hold, and somebody accepted that.
    Excepted,
}

struct Check;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CheckArguments {
    /// Short name of the check, the same in every run: `istio/mtls-strict`.
    id: String,
    /// `pass`, `fail`, `unevaluable` or `excepted`.
    status: CheckStatus,
    /// Requirements it is evidence for: `["R2.1"]`.
    #[serde(default)]
    requirements: Vec<String>,
    /// What was read, as a person should see it.
    #[serde(default)]
    read: Value,
    /// Where it was read from.
    #[serde(default)]
    from: String,
    /// Why it is excepted, or could not be read.
    #[serde(default)]
    reason: String,
}

#[async_trait]
impl HostFunction for Check {
    type Arguments = CheckArguments;

    fn describe() -> Description {
        Description {
            summary: "Records the outcome of a check.",
            positional: &["id"],
            returns: "bool: true unless the check failed or could not be read",
            undo: "none: nothing outside changes",
            fails_when: "The status is not one of the four.",
            example: r#"report::check("storage/default-class", #{ status: "pass", requirements: ["R1.4"], read: "1 default class", from: "storageclasses" })"#,
            ..Description::of("check", Effect::Ambient)
        }
    }

    async fn perform(_: &Context, arguments: CheckArguments) -> Result<Value, CallError> {
        let CheckArguments { id, status, requirements, read, from, reason } = arguments;
        drop((id, requirements, read, from, reason));
        Ok(json!(matches!(status, CheckStatus::Pass | CheckStatus::Excepted)))
    }
}

struct Measure;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MeasureArguments {
    /// What was measured: `time to ready`, `RTO`.
    name: String,
    /// The time it took.
    value: Period,
    /// The time it may take.
    #[serde(default)]
    objective: Option<Period>,
    /// Requirements it is evidence for.
    #[serde(default)]
    requirements: Vec<String>,
}

#[async_trait]
impl HostFunction for Measure {
    type Arguments = MeasureArguments;

    fn describe() -> Description {
        Description {
            summary: "Records a measured time and compares it with its objective.",
            positional: &["name"],
            returns: "bool: true when the objective is met or there is none",
            undo: "none: nothing outside changes",
            fails_when: "A duration does not read as one.",
            example: r#"report::measure("time to ready", #{ value: "9m", objective: "15m", requirements: ["NFR-1"] })"#,
            ..Description::of("measure", Effect::Ambient)
        }
    }

    async fn perform(_: &Context, arguments: MeasureArguments) -> Result<Value, CallError> {
        let MeasureArguments { name, value, objective, requirements } = arguments;
        drop((name, requirements));
        Ok(json!(objective.is_none_or(|objective| value <= objective)))
    }
}

struct Table;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TableArguments {
    /// Title above the table.
    title: String,
    /// Column heads.
    columns: Vec<String>,
    /// Rows: arrays with one cell a column.
    rows: Vec<Vec<Value>>,
}

#[async_trait]
impl HostFunction for Table {
    type Arguments = TableArguments;

    fn describe() -> Description {
        Description {
            summary: "Puts a table at the end of the run's report.",
            positional: &["title", "columns", "rows"],
            returns: "nothing",
            undo: "none: nothing outside changes",
            fails_when: "A row has more or fewer cells than there are columns.",
            example: r#"report::table("Nodes", ["node", "version"], [["worker-1", "v1.31.2"]])"#,
            ..Description::of("table", Effect::Ambient)
        }
    }

    async fn perform(_: &Context, arguments: TableArguments) -> Result<Value, CallError> {
        let wrong = arguments.rows.iter().position(|row| row.len() != arguments.columns.len());
        match wrong {
            None => Ok(Value::Null),
            Some(row) => Err(CallError::argument(format!(
                "row {row} of table `{}` has {}, not {}",
                arguments.title,
                crate::text::count(arguments.rows[row].len(), "cell"),
                arguments.columns.len()
            ))),
        }
    }
}

struct Evidence;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EvidenceArguments {
    /// What it is: `backup manifest`.
    name: String,
    /// The evidence itself, or where it is.
    value: Value,
    /// Requirements it is evidence for.
    #[serde(default)]
    requirements: Vec<String>,
}

#[async_trait]
impl HostFunction for Evidence {
    type Arguments = EvidenceArguments;

    fn describe() -> Description {
        Description {
            summary: "Keeps a value as evidence in the run's report.",
            positional: &["name", "value"],
            returns: "nothing",
            undo: "none: nothing outside changes",
            fails_when: "The value cannot be journaled.",
            example: r#"report::evidence("server version", "v1.31.2")"#,
            ..Description::of("evidence", Effect::Ambient)
        }
    }

    async fn perform(_: &Context, arguments: EvidenceArguments) -> Result<Value, CallError> {
        let EvidenceArguments { name, value, requirements } = arguments;
        drop((name, value, requirements));
        Ok(Value::Null)
    }
}
