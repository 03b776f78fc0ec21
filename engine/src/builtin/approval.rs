//! `approval::ask`: the run goes on when enough people have said yes. Durable: the process may leave and the
//! run be resumed days later.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::codes;
use crate::error::CallError;
use crate::function::{Context, Description, Effect, Function, HostFunction, Module, Plan};
use crate::journal::{Act, Wait};
use crate::run::session::Decision;
use crate::units::Period;

pub(super) fn module() -> Module {
    Module {
        name: "approval",
        summary: "Asks people before the run goes on.",
        page: "An approval names what it approves and holds for nothing else: the call's place in the run, its \
               question and its arguments. People answer with `aegis approve RUN` or `aegis reject RUN`. Nobody \
               approves a run that they started. A question that nobody answers in time fails the call.",
        functions: vec![Function::new::<Ask>()],
    }
}

struct Ask;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AskArguments {
    /// What people are asked, as one sentence.
    question: String,
    /// How many must say yes.
    #[serde(default = "one")]
    quorum: u32,
    /// Who may answer; empty: anybody but the person who started the run.
    #[serde(default)]
    approvers: Vec<String>,
    /// How long the question stands (`24h`); without it, until somebody answers.
    #[serde(default)]
    timeout: Option<Period>,
    /// What they should know before they answer: shown with the question.
    #[serde(default)]
    details: Value,
}

const fn one() -> u32 {
    1
}

#[async_trait]
impl HostFunction for Ask {
    type Arguments = AskArguments;

    fn describe() -> Description {
        Description {
            summary: "Waits until enough people have said yes.",
            positional: &["question"],
            returns: "map: `approved_by` (array of names), `note` (the last answer's)",
            undo: "none: an answer cannot be taken back",
            fails_when: "Somebody says no, or the timeout runs out.",
            example: r#"approval::ask("fail over to Tokyo?", #{ quorum: 2, timeout: "1h" })"#,
            waits: true,
            ..Description::of("ask", Effect::Ambient)
        }
    }

    async fn plan(_: &Context, arguments: &AskArguments) -> Result<Plan, CallError> {
        let people = crate::text::count(arguments.quorum as usize, "approval");
        Ok(Plan::new(format!("wait for {people}: {}", arguments.question))
            .predicting(json!({ "approved_by": [], "note": "planned" })))
    }

    async fn perform(context: &Context, arguments: AskArguments) -> Result<Value, CallError> {
        let control = context.control()?;
        let (decisions, mut bell) = control.decisions();
        let subject = subject(&control.call, &arguments);
        if let Some(answer) = settled(&arguments, &control.call, &subject, &decisions) {
            return answer;
        }
        let mut wait = Wait::Approval {
            question: arguments.question.clone(),
            quorum: arguments.quorum,
            approvers: arguments.approvers.clone(),
            subject: subject.clone(),
            until: until(context.now(), arguments.timeout),
        };
        let since = control.wait_for(wait.clone())?;
        let until = until(since, arguments.timeout);
        if let Wait::Approval { until: shown, .. } = &mut wait {
            *shown = until;
        }
        loop {
            let (decisions, _) = control.decisions();
            if let Some(answer) = settled(&arguments, &control.call, &subject, &decisions) {
                control.go_on()?;
                return answer;
            }
            let left = until.map(|until| context.now().duration_until(until));
            if left.is_some_and(|left| !left.is_positive()) {
                return Err(ran_out(&arguments));
            }
            context.progress(waiting_text(&arguments, &control.session.run));
            if !control.patient() {
                return Err(waiting(&arguments, &control.session.run));
            }
            let patience =
                left.and_then(|left| Duration::try_from(left).ok()).unwrap_or(Duration::from_secs(3600));
            tokio::select! {
                _ = bell.changed() => {}
                () = tokio::time::sleep(patience) => {}
            }
        }
    }
}

/// Hash of what is approved.
fn subject(call: &str, arguments: &AskArguments) -> String {
    let told = json!([call, arguments.question, arguments.details]);
    hex::encode(Sha256::digest(told.to_string().as_bytes()))
}

fn until(since: Timestamp, timeout: Option<Period>) -> Option<Timestamp> {
    timeout.and_then(|timeout| since.checked_add(timeout.0).ok())
}

/// The answer, once there is one: a no rules, then as many different people as asked for.
fn settled(
    arguments: &AskArguments,
    call: &str,
    subject: &str,
    decisions: &[Decision],
) -> Option<Result<Value, CallError>> {
    let rejection = decisions.iter().find(|d| matches!(&d.act, Act::Reject { call: of } if of == call));
    if let Some(no) = rejection {
        let why = if no.note.is_empty() { String::new() } else { format!(": {}", no.note) };
        let message = format!("`{}` rejected \"{}\"{why}", no.person.0, arguments.question);
        return Some(Err(CallError::new(codes::APPROVAL, message)));
    }
    let said_yes = |d: &&Decision| matches!(&d.act, Act::Approve { call: of, subject: about } if of == call && about == subject);
    let yes: Vec<&Decision> = decisions.iter().filter(said_yes).collect();
    let people: BTreeSet<&str> = yes.iter().map(|d| d.person.0.as_str()).collect();
    let note = yes.last().map(|d| d.note.clone()).unwrap_or_default();
    (people.len() >= arguments.quorum as usize).then(|| Ok(json!({ "approved_by": people, "note": note })))
}

fn waiting_text(arguments: &AskArguments, run: &str) -> String {
    format!("waiting for approval: {} (aegis approve {run})", arguments.question)
}

fn waiting(arguments: &AskArguments, run: &str) -> CallError {
    CallError::new(codes::WAITING, format!("the run waits for an approval: {}", arguments.question)).hint(
        format!("`aegis approve {run}` or `aegis reject {run}` as somebody else, then `aegis resume {run}`"),
    )
}

fn ran_out(arguments: &AskArguments) -> CallError {
    CallError::new(codes::APPROVAL, format!("nobody answered in time: {}", arguments.question))
}
