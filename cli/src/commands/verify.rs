//! `aegis verify`: looks at everything that is kept of runs, from the stored bytes: the hash chain of their records, and
//! the texts of their scripts. All that is damaged is named, with what can be done.

use aegis_engine::journal::{Damage, Examined, Part, RunRecord, Status, Store};
use aegis_engine::text::count;
use clap::Args;
use serde::Serialize;

use super::deciding::Case;
use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::table;

/// What can be done about a list of runs that somebody wrote into.
const LISTED: &str = "find out who wrote into the list, only aegis does; a backup has it as it was. What goes on with a \
                      run, or takes it back, goes by its records";

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Only this run. Default: all of them.
    run: Option<String>,
}

#[derive(Serialize)]
struct Verified {
    run: String,
    #[serde(flatten)]
    examined: Examined,
    /// What can be done; nothing where nothing is damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl Verify {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let context = Context::new(global, None)?;
        let store = context.existing_store()?;
        let runs = match &self.run {
            Some(run) => vec![Case::open(global, run)?.record],
            None => store.runs()?,
        };
        let unlisted = if self.run.is_none() { store.unlisted()? } else { Vec::new() };
        let listed = runs.iter().map(|record| verify(&*store, record));
        let unlisted = unlisted.into_iter().map(|run| verify_unlisted(&*store, run));
        let verified = listed.chain(unlisted).collect::<Result<Vec<_>, _>>()?;
        table::list(global, &verified, &["RUN", "ENTRIES", "CHAIN", "HEAD"], |run| {
            let examined = &run.examined;
            vec![run.run.clone(), examined.entries.to_string(), run.chain(), examined.head.clone()]
        });
        let damaged: Vec<&Verified> = verified.iter().filter(|run| run.next.is_some()).collect();
        if !global.json() {
            damaged.iter().for_each(|run| table::text(&run.told()));
        }
        Ok(if damaged.is_empty() { Exit::Ok } else { Exit::State })
    }
}

impl Verified {
    fn chain(&self) -> String {
        match self.examined.damages.len() {
            0 => "holds".to_owned(),
            number => format!("{} damaged", count(number, "part")),
        }
    }

    /// A line for each part that is damaged, and what can be done.
    fn told(&self) -> String {
        let part = |damage: &Damage| format!("  {}: {}\n", damage.part, damage.why);
        let parts: String = self.examined.damages.iter().map(part).collect();
        format!("\n{}\n{parts}  next: {}", self.run, self.next.as_deref().unwrap_or_default())
    }
}

fn verify(store: &dyn Store, record: &RunRecord) -> Result<Verified, Failure> {
    let mut examined = store.examine(&record.id)?;
    examined.damages.extend(cut_off(store, record, &examined)?);
    let listed = examined.listed.iter().flat_map(|listed| misplaced(record, listed));
    let listed: Vec<Damage> = listed.collect();
    examined.damages.extend(listed);
    let next = next(record, &examined.damages);
    Ok(Verified { run: record.id.clone(), examined, next })
}

/// A run that somebody took out of the list.
fn verify_unlisted(store: &dyn Store, run: String) -> Result<Verified, Failure> {
    let mut examined = store.examine(&run)?;
    let why = "it is missing, and the run has records".to_owned();
    examined.damages.push(Damage { part: Part::Listed { about: "run" }, why });
    let next = Some(LISTED.to_owned());
    Ok(Verified { run, examined, next })
}

/// The chain holds without its last records as well; the list of runs knows how the run stood. Both are looked at again
/// before they are said to differ: the run may be under way.
fn cut_off(store: &dyn Store, record: &RunRecord, examined: &Examined) -> Result<Option<Damage>, Failure> {
    let is_record = |damage: &Damage| matches!(damage.part, Part::Record { .. });
    let listed =
        store.standing(&record.id).ok().flatten().map_or(examined.status, |standing| standing.status);
    if listed == examined.status
        || examined.damages.iter().any(is_record)
        || store.examine(&record.id)? != *examined
    {
        return Ok(None);
    }
    let (seq, told) = (examined.entries as u64 + 1, examined.status.word());
    let why = format!("it is missing: the run is listed as {}, and is {told} by its records", listed.word());
    Ok(Some(Damage { part: Part::Record { seq }, why }))
}

/// What the list of runs says, where the run's first record says something else.
fn misplaced(record: &RunRecord, recorded: &RunRecord) -> Vec<Damage> {
    let of = |record: &RunRecord| {
        let RunRecord { title, runbook, target, person, started, .. } = record;
        [title.clone(), runbook.clone(), target.clone(), person.0.clone(), started.to_string()]
    };
    let about = ["title", "runbook", "target", "person", "start"].into_iter();
    let pairs = about.zip(of(record).into_iter().zip(of(recorded)));
    let differ = pairs.filter(|(_, (listed, recorded))| listed != recorded);
    differ
        .map(|(about, (listed, recorded))| {
            let why = format!("it is listed as `{listed}`, and is `{recorded}` by the run's first record");
            Damage { part: Part::Listed { about }, why }
        })
        .collect()
}

fn next(record: &RunRecord, damages: &[Damage]) -> Option<String> {
    let run = &record.id;
    let only_listed = damages.iter().all(|damage| matches!(damage.part, Part::Listed { .. }));
    let only_texts = damages.iter().all(|damage| matches!(damage.part, Part::Text { .. }));
    Some(match record.status {
        _ if damages.is_empty() => return None,
        _ if only_listed => LISTED.to_owned(),
        _ if !only_texts => format!(
            "keep a copy of the state directory, then bring it back from a backup; without one, see in \
             `logs/{run}.jsonl` what the run did, look at the system, and start anew (aegis explain A0204)"
        ),
        Status::Running | Status::Interrupted | Status::Waiting => {
            format!("aegis resume {run} --script current, which goes on with the files as they are now")
        }
        Status::Failed => {
            format!("aegis retry {run} --script current, which takes the files as they are now")
        }
        Status::Succeeded | Status::Cancelled => {
            format!(
                "bring it back from a backup, if the run is to be replayed: {run} has ended and needs it for nothing else"
            )
        }
    })
}
