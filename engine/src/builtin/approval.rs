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
use crate::journal::{Act, Body, Entry, Person, Wait};
use crate::text::shell_word;
use crate::units::Period;

pub(super) fn module() -> Module {
    Module {
        name: "approval",
        summary: "Asks people before the run goes on.",
        page: "An approval names what it approves and holds for nothing else: the call's place in the run, its \
               question, its details and the script; where another script goes on, and in a fork, it is \
               asked again. People answer with `aegis approve RUN` or `aegis reject RUN`, and say which \
               question when a run asks several. Nobody approves a run that they started. A question that nobody answers in time fails the \
               call; after that, or after a no, `aegis retry RUN` asks again.",
        functions: vec![Function::new::<Ask>()],
    }
}

struct Ask;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskArguments {
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
        arguments.check()?;
        let control = context.control()?;
        let mut bell = control.bell();
        let entries = control.entries()?;
        let subject = subject(&control.call, &arguments, &entries);
        let known = Asked::of(&entries, &control.call, &subject);
        if let Some(answer) = known.as_ref().and_then(|asked| asked.settled(&arguments)) {
            return answer;
        }
        let since = known.map_or_else(|| context.now(), |asked| asked.since);
        let until = until(since, arguments.timeout);
        // Said again by each process: the run waits, and has not been cut off.
        control.wait_for(Wait::Approval {
            question: arguments.question.clone(),
            quorum: arguments.quorum,
            approvers: arguments.approvers.clone(),
            subject: subject.clone(),
            until,
        })?;
        loop {
            let entries = control.entries()?;
            let asked = Asked::of(&entries, &control.call, &subject);
            if let Some(answer) = asked.and_then(|asked| asked.settled(&arguments)) {
                control.go_on()?;
                return answer;
            }
            let left = until.map(|until| context.now().duration_until(until));
            if left.is_some_and(|left| !left.is_positive()) {
                return Err(ran_out(&arguments));
            }
            context.progress(waiting_text(&arguments, &control.session.run, &control.call));
            if !control.patient() {
                return Err(waiting(&arguments, &control.session.run, &control.call));
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

impl AskArguments {
    /// A question that asks nobody, or more people than there are, is a mistake.
    pub(crate) fn check(&self) -> Result<(), CallError> {
        if self.quorum == 0 {
            return Err(CallError::argument("`quorum` is how many must say yes: at least 1"));
        }
        let asked = self.approvers.iter().collect::<BTreeSet<_>>().len();
        if asked > 0 && asked < self.quorum as usize {
            let asked = crate::text::count(asked, "person");
            let message = format!("`quorum` wants {} to say yes, and {asked} may", self.quorum);
            return Err(CallError::argument(message).hint("name more `approvers`, or ask for fewer"));
        }
        Ok(())
    }
}

/// Hash of what is approved: the question at its place, in this very script.
fn subject(call: &str, arguments: &AskArguments, entries: &[Entry]) -> String {
    let script = entries.iter().rev().find_map(|entry| match &entry.body {
        Body::Started(started) => Some(&started.sources),
        Body::Resumed { sources, .. } => sources.as_ref(),
        _ => None,
    });
    let told = json!([call, arguments.question, arguments.details, script]);
    hex::encode(Sha256::digest(told.to_string().as_bytes()))
}

fn until(since: Timestamp, timeout: Option<Period>) -> Option<Timestamp> {
    timeout.and_then(|timeout| since.checked_add(timeout.0).ok())
}

/// A question that people were asked, and what they have said since.
struct Asked<'a> {
    since: Timestamp,
    answers: Vec<Answer<'a>>,
}

struct Answer<'a> {
    at: Timestamp,
    person: &'a Person,
    yes: bool,
    note: &'a str,
}

impl<'a> Asked<'a> {
    /// What the journal has of it. A retry asks anew, and so does another script.
    fn of(entries: &'a [Entry], call: &str, subject: &str) -> Option<Self> {
        let mut asked: Option<Self> = None;
        for entry in entries {
            match &entry.body {
                Body::Waiting { call: of, wait: Wait::Approval { subject: about, .. } } if of == call => {
                    let new = || Self { since: entry.at, answers: Vec::new() };
                    asked = (about == subject).then(|| asked.take().unwrap_or_else(new));
                }
                Body::Decided { act: Act::Retry { forget }, .. } if forget.iter().any(|key| key == call) => {
                    asked = None;
                }
                Body::Decided { person, act, note, .. } => {
                    let yes = match act {
                        Act::Approve { call: of, subject: about } if of == call && about == subject => true,
                        Act::Reject { call: of } if of == call => false,
                        _ => continue,
                    };
                    if let Some(asked) = &mut asked {
                        asked.answers.push(Answer { at: entry.at, person, yes, note });
                    }
                }
                _ => {}
            }
        }
        asked
    }

    /// The answer, once there is one: a no rules, then as many different people as asked for. What comes too late does
    /// not count.
    fn settled(&self, arguments: &AskArguments) -> Option<Result<Value, CallError>> {
        let until = until(self.since, arguments.timeout);
        let in_time = |answer: &&Answer<'_>| until.is_none_or(|until| answer.at <= until);
        let answers: Vec<&Answer<'_>> = self.answers.iter().filter(in_time).collect();
        if let Some(no) = answers.iter().find(|answer| !answer.yes) {
            let why = if no.note.is_empty() { String::new() } else { format!(": {}", no.note) };
            let message = format!("`{}` rejected \"{}\"{why}", no.person.0, arguments.question);
            return Some(Err(CallError::new(codes::APPROVAL, message)));
        }
        let people: BTreeSet<&str> = answers.iter().map(|answer| answer.person.0.as_str()).collect();
        let note = answers.last().map(|answer| answer.note).unwrap_or_default();
        (people.len() >= arguments.quorum as usize)
            .then(|| Ok(json!({ "approved_by": people, "note": note })))
    }
}

/// The question by its place: a run may ask several at once.
fn answered_by(verb: &str, run: &str, call: &str) -> String {
    format!("aegis {verb} {run} {}", shell_word(call))
}

fn waiting_text(arguments: &AskArguments, run: &str, call: &str) -> String {
    format!("waiting for approval: {} ({})", arguments.question, answered_by("approve", run, call))
}

fn waiting(arguments: &AskArguments, run: &str, call: &str) -> CallError {
    let (yes, no) = (answered_by("approve", run, call), answered_by("reject", run, call));
    CallError::new(codes::WAITING, format!("the run waits for an approval: {}", arguments.question))
        .hint(format!("`{yes}` or `{no}` as somebody else"))
}

fn ran_out(arguments: &AskArguments) -> CallError {
    CallError::new(codes::APPROVAL, format!("nobody answered in time: {}", arguments.question))
}
