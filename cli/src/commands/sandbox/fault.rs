//! `aegis sandbox fault`: what goes wrong on purpose. Faults are objects of the cluster; this writes, lists and
//! deletes them.

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::text::{did_you_mean, list as listed};
use aegis_sandbox::Sandbox as Cluster;
use aegis_sandbox::faults::table::{KINDS, Kind, PARAMETERS, Shape};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{ask, list};
use crate::context::Context;
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::{say, table};

const PATH: &str = "/apis/sandbox.aegis.dev/v1/faults";

#[derive(Debug, Args)]
pub(super) struct Fault {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add one.
    Add {
        /// Which kind; see `aegis sandbox fault kinds`.
        kind: String,
        /// What it is about: `node=worker-1 lasts=10m`.
        #[arg(value_name = "NAME=VALUE")]
        parameters: Vec<String>,
        /// Its name [default: the kind and a few letters].
        #[arg(long)]
        name: Option<String>,
    },
    /// List them.
    Ls,
    /// Clear them.
    Clear {
        /// Which ones; without a name and without --all, none.
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// Every one.
        #[arg(long, conflicts_with = "names")]
        all: bool,
    },
    /// List the kinds with what each takes.
    Kinds,
}

impl Fault {
    pub(super) fn run(&self, context: &Context, target: &str) -> Result<Exit, Failure> {
        match &self.verb {
            Verb::Kinds => kinds(context),
            Verb::Add { kind, parameters, name } => {
                let spec = spec(kind, parameters)?;
                add(context, &context.sandbox(target)?, spec, name.as_deref())?;
            }
            Verb::Ls => show(context, &list(context, &context.sandbox(target)?, PATH)?),
            Verb::Clear { names, all } => clear(context, &context.sandbox(target)?, names, *all)?,
        }
        Ok(Exit::Ok)
    }
}

/// Reads the words of a command line by the table; the cluster checks what belongs together.
fn spec(kind: &str, parameters: &[String]) -> Result<Value, CallError> {
    let kinds: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    if !kinds.contains(&kind) {
        let hint = did_you_mean(kind, kinds.iter().copied())
            .unwrap_or_else(|| format!("kinds are {}", listed(&kinds)));
        return Err(CallError::new(codes::ARGUMENT, format!("there is no fault `{kind}`")).hint(hint));
    }
    let mut spec = json!({ "kind": kind });
    for parameter in parameters {
        let (name, text) = parameter.split_once('=').ok_or_else(|| {
            CallError::new(codes::ARGUMENT, format!("`{parameter}` has no value")).hint("write `name=value`")
        })?;
        let Some((_, shape, _)) = PARAMETERS.iter().find(|(known, ..)| *known == name) else {
            let names: Vec<&str> = PARAMETERS.iter().map(|(name, ..)| *name).collect();
            let hint = did_you_mean(name, names.iter().copied())
                .unwrap_or_else(|| "see `aegis sandbox fault kinds`".to_owned());
            return Err(CallError::new(codes::ARGUMENT, format!("faults have no `{name}`")).hint(hint));
        };
        spec[name] = value(name, text, *shape)?;
    }
    Ok(spec)
}

fn value(name: &str, text: &str, shape: Shape) -> Result<Value, CallError> {
    let wrong = |what: &str| CallError::new(codes::ARGUMENT, format!("`{name}={text}` is no {what}"));
    match shape {
        Shape::Text | Shape::Span | Shape::OneOf(_) => Ok(text.into()),
        Shape::List => Ok(text.split(',').map(str::trim).collect::<Vec<_>>().into()),
        Shape::Whole => text.parse::<u32>().map(Value::from).map_err(|_| wrong("whole number")),
        Shape::Share | Shape::Number => text.parse::<f64>().map(Value::from).map_err(|_| wrong("number")),
    }
}

fn add(context: &Context, cluster: &Cluster, spec: Value, name: Option<&str>) -> Result<(), Failure> {
    let metadata = match name {
        Some(name) => json!({ "name": name }),
        None => json!({ "generateName": format!("{}-", spec["kind"].as_str().unwrap_or_default()) }),
    };
    let fault =
        json!({ "apiVersion": "sandbox.aegis.dev/v1", "kind": "Fault", "metadata": metadata, "spec": spec });
    let added = ask(context, cluster, "POST", &format!("{PATH}?fieldValidation=Strict"), Some(&fault))?;
    let name = added["metadata"]["name"].as_str().unwrap_or_default();
    match context.global.json() {
        true => table::json(&json!({ "name": name, "spec": added["spec"] })),
        false => {
            table::text(name);
            say(&format!("  next: aegis sandbox fault clear {name}"));
        }
    }
    Ok(())
}

fn show(context: &Context, faults: &[Value]) {
    if faults.is_empty() && !context.global.json() {
        return say("no faults");
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    table::list(&context.global, faults, &["NAME", "KIND", "WHAT", "SINCE"], |fault| {
        let fields = fault["spec"].as_object().into_iter().flatten().filter(|(name, _)| *name != "kind");
        let what: Vec<String> = fields.map(|(name, value)| format!("{name}={}", text(value))).collect();
        let metadata = &fault["metadata"];
        vec![
            text(&metadata["name"]),
            text(&fault["spec"]["kind"]),
            what.join(" "),
            text(&metadata["creationTimestamp"]),
        ]
    });
}

fn clear(context: &Context, cluster: &Cluster, names: &[String], all: bool) -> Result<(), Failure> {
    if names.is_empty() && !all {
        return Err(CallError::new(codes::ARGUMENT, "which faults?")
            .hint("name them, or add `--all`")
            .into());
    }
    let present = || -> Result<Vec<String>, Failure> {
        let faults = list(context, cluster, PATH)?;
        Ok(faults.iter().filter_map(|fault| fault["metadata"]["name"].as_str()).map(str::to_owned).collect())
    };
    let names = if all { present()? } else { names.to_vec() };
    for name in &names {
        ask(context, cluster, "DELETE", &format!("{PATH}/{name}"), None)?;
    }
    say(&match names.len() {
        1 => "1 fault cleared".to_owned(),
        count => format!("{count} faults cleared"),
    });
    Ok(())
}

fn kinds(context: &Context) {
    if context.global.json() {
        let kind = |kind: &Kind| json!({ "kind": kind.name, "about": kind.about, "needs": kind.needs, "takes": kind.takes });
        return table::json(&KINDS.iter().map(kind).collect::<Vec<_>>());
    }
    let mut rows = vec![["KIND", "NEEDS ONE OF", "TAKES", "WHAT HAPPENS"].map(str::to_owned).to_vec()];
    rows.extend(KINDS.iter().map(|kind| {
        vec![kind.name.to_owned(), kind.needs.join(" "), kind.takes.join(" "), kind.about.to_owned()]
    }));
    table::text(&table::aligned(&rows));
    let mut rows = vec![["PARAMETER", "WHAT IT IS"].map(str::to_owned).to_vec()];
    rows.extend(PARAMETERS.iter().map(|(name, _, about)| vec![(*name).to_owned(), (*about).to_owned()]));
    table::text(&format!("\n{}", table::aligned(&rows)));
}
