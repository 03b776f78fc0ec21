//! `aegis trigger`: what starts runs beside the clock: which there are, what a payload would start, what became of events.

use std::path::PathBuf;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::files::{WRITTEN, read_text};
use aegis_engine::text::did_you_mean;
use aegis_scheduler::trigger::payload::{Part, alerts, cluster_event, object};
use aegis_scheduler::trigger::{Event, Source};
use aegis_scheduler::{Record, Trigger as Declared};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use super::schedule::{History, outcome, tell_problems};
use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::table;

#[derive(Debug, Args)]
pub(crate) struct Trigger {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List triggers: what each is on, and what became of its last event.
    Ls,
    /// Tell what a payload would start, and start nothing.
    Test(Test),
    /// List the records of events, newest first: the run of each, or why there is none.
    History(History),
}

impl Trigger {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let context = Context::new(global, None)?;
        match self.verb {
            Verb::Ls => ls(&context),
            Verb::Test(test) => test.run(&context),
            Verb::History(history) => history.run(&context),
        }
    }
}

#[derive(Serialize)]
struct Line {
    trigger: String,
    on: &'static str,
    target: String,
    last: Option<Record>,
}

fn ls(context: &Context) -> Result<Exit, Failure> {
    let (plan, store) = (context.plan(false)?, context.records()?);
    let line = |trigger: &Declared| {
        let last = store.history(Some(&trigger.name), 1)?.pop();
        let (name, target) = (trigger.name.to_string(), trigger.target.to_string());
        Ok(Line { trigger: name, on: trigger.source.word(), target, last })
    };
    let lines: Vec<Line> = plan.triggers.iter().map(line).collect::<Result<_, Failure>>()?;
    table::list(&context.global, &lines, &["TRIGGER", "ON", "TARGET", "LAST"], |line| {
        let last = line.last.as_ref().map_or_else(|| "-".to_owned(), outcome);
        vec![line.trigger.clone(), line.on.to_owned(), line.target.clone(), last]
    });
    Ok(if tell_problems(context, &plan) == 0 { Exit::Ok } else { Exit::Usage })
}

#[derive(Debug, Args)]
struct Test {
    /// The trigger.
    trigger: String,
    /// File with the payload, as JSON: a notification, a webhook's body, an event, an object.
    payload: PathBuf,
}

#[derive(Serialize)]
struct Told {
    key: String,
    params: Value,
    refused: Option<String>,
}

impl Test {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let plan = context.plan(false)?;
        let trigger = plan.triggers.iter().find(|trigger| *trigger.name == *self.trigger);
        let Some(trigger) = trigger else {
            tell_problems(context, &plan);
            let hint = did_you_mean(&self.trigger, plan.triggers.iter().map(|trigger| &*trigger.name))
                .unwrap_or_else(|| "`aegis trigger ls` lists them".to_owned());
            let problem = format!("there is no trigger `{}`", self.trigger);
            return Err(CallError::new(codes::SCHEDULE, problem).hint(hint).into());
        };
        let parts = self.parts(trigger)?;
        let told: Vec<Told> = parts.iter().filter_map(|part| trigger.event(part)).map(told).collect();
        table::list(&context.global, &told, &["EVENT", "PARAMETERS", "REFUSED"], |told| {
            let refused = told.refused.clone().unwrap_or_else(|| "-".to_owned());
            vec![told.key.clone(), told.params.to_string(), refused]
        });
        Ok(if told.iter().any(|told| told.refused.is_some()) { Exit::Usage } else { Exit::Ok })
    }

    fn parts(&self, trigger: &Declared) -> Result<Vec<Part>, CallError> {
        let unreadable = |why: &dyn std::fmt::Display| {
            CallError::new(codes::ARGUMENT, format!("`{}` cannot be used", self.payload.display()))
                .because(why)
        };
        let text = read_text(&self.payload, WRITTEN).map_err(|error| unreadable(&error))?;
        let body: Value = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
        match &trigger.source {
            Source::Alertmanager { status } => alerts(&body, *status).map_err(|why| unreadable(&why)),
            Source::Webhook { .. } => Ok(vec![Part { value: body, key: "-".to_owned(), instant: None }]),
            Source::Kubernetes { .. } => Ok(vec![cluster_event(&body)]),
            Source::S3 { .. } => Ok(vec![object(&body)]),
        }
    }
}

fn told(event: Event) -> Told {
    Told {
        key: event.key,
        params: Value::Object(event.given.into_iter().collect()),
        refused: event.hindered.map(|(_, why)| why),
    }
}
