//! Two watches: per object, the order of event types and the object that each run of them ends with.
//!
//! How often a controller wrote an object on its way is timing, so equal events in a row of an object
//! with a status count as one; of all others each event counts.

use serde_json::Value;

use super::{Comparison, Context, Difference, pairs};
use crate::learnt::Learnt;
use crate::recording::Event;

/// How much of two watches can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it: the server ended both.
    Whole,
    /// The beginning: the recorder kept no more.
    Beginning,
    /// What each object came to: the client watched until it saw that, however it came about.
    End,
}

/// What happened to one object.
struct History<'a> {
    object: &'a Value,
    runs: Vec<&'a Event>,
}

/// Compares the events of two watches.
pub(crate) fn watch(
    recorded: &[Event],
    here: &[Event],
    extent: Extent,
    context: Context<'_>,
    learnt: &mut Learnt,
) -> Vec<Difference> {
    let (old, new) = (histories(recorded), histories(here));
    let objects = |histories: &[History<'_>]| -> Vec<Value> {
        histories.iter().map(|history| history.object.clone()).collect()
    };
    let (mut old_objects, mut new_objects) = (objects(&old), objects(&new));
    // Of objects that are alike the first by name is the first by name, as in lists.
    old_objects.sort_by_key(pairs::name);
    new_objects.sort_by_key(pairs::name);
    let mut comparison = Comparison::new(context, learnt);
    let columns = |events: &[Event]| -> Vec<bool> {
        events
            .iter()
            .map(|event| event.object.get("columnDefinitions").is_some_and(Value::is_array))
            .collect()
    };
    if let Some(first) = recorded.first() {
        comparison.columns = pairs::column_names(&first.object["columnDefinitions"]);
        let (old, new) = (columns(recorded), columns(here));
        if let (Some(&old), Some(&new)) = (old.first(), new.first()) {
            comparison.at("columns", |c| c.values(&old.into(), &new.into()));
        }
    }
    let mut left = pairs::Left::of(&new_objects);
    let mut open = Vec::new();
    let sides = Sides { old: &old, new: &new, extent };
    for recorded in &old_objects {
        match left.known(recorded, comparison.learnt) {
            Some(here) => sides.compare(&mut comparison, Some(recorded), Some(here)),
            None => open.push(recorded),
        }
    }
    for recorded in open {
        let here = left.nearest(recorded, comparison.learnt);
        sides.compare(&mut comparison, Some(recorded), here);
    }
    for here in left.rest() {
        sides.compare(&mut comparison, None, Some(here));
    }
    comparison.differences
}

/// What happened in two watches.
struct Sides<'a> {
    old: &'a [History<'a>],
    new: &'a [History<'a>],
    extent: Extent,
}

impl Sides<'_> {
    /// Compares what happened to one object.
    fn compare(&self, comparison: &mut Comparison<'_>, recorded: Option<&Value>, here: Option<&Value>) {
        let find = |histories: &[History<'_>], object: Option<&Value>| -> Vec<Event> {
            let found = object.and_then(|object| histories.iter().find(|history| history.object == object));
            found.map(|history| history.runs.iter().map(|&event| event.clone()).collect()).unwrap_or_default()
        };
        let (mut old_runs, mut new_runs) = (find(self.old, recorded), find(self.new, here));
        match self.extent {
            Extent::Whole => {}
            Extent::Beginning => new_runs.truncate(old_runs.len()),
            Extent::End => {
                ending(&mut old_runs);
                ending(&mut new_runs);
            }
        }
        let name = pairs::name(recorded.or(here).unwrap_or(&Value::Null));
        comparison.at(&name, |c| c.runs(&old_runs, &new_runs, self.extent));
    }
}

/// Whether the events so far end, for each object, as the recorded ones do.
pub(crate) fn reached(recorded: &[Event], here: &[Event], context: Context<'_>, learnt: &Learnt) -> bool {
    watch(recorded, here, Extent::End, context, &mut learnt.clone()).is_empty()
}

impl Comparison<'_> {
    fn runs(&mut self, recorded: &[Event], here: &[Event], extent: Extent) {
        let kinds = |events: &[Event]| -> Vec<Value> {
            events.iter().map(|event| event.kind.as_str().into()).collect()
        };
        let (old, new) = (kinds(recorded), kinds(here));
        if old != new {
            self.at("types", |c| c.differ(Some(&old.into()), Some(&new.into())));
            return;
        }
        for (index, (old, new)) in recorded.iter().zip(here).enumerate() {
            if extent == Extent::Beginning && index + 1 == recorded.len() {
                continue;
            }
            self.at(&format!("{index} {}", old.kind), |c| c.event(&old.object, &new.object));
        }
    }

    fn event(&mut self, recorded: &Value, here: &Value) {
        match (recorded["rows"].as_array(), here["rows"].as_array()) {
            (Some(recorded), Some(here)) => self.objects(recorded, here),
            _ => self.object(recorded, here),
        }
    }
}

/// The last event of an object, as whether it is there or gone.
fn ending(runs: &mut Vec<Event>) {
    // Of bookmarks the first tells something; later ones come when time has passed.
    if runs.first().is_some_and(|event| event.kind == "BOOKMARK") {
        return runs.truncate(1);
    }
    let last = runs.pop().map(|mut event| {
        if event.kind == "MODIFIED" {
            event.kind = "ADDED".into();
        }
        event
    });
    *runs = last.into_iter().collect();
}

/// The events of each object, equal ones in a row as their last where the object has a status.
fn histories(events: &[Event]) -> Vec<History<'_>> {
    let mut histories: Vec<History<'_>> = Vec::new();
    for event in events {
        let object = event.object["rows"].get(0).unwrap_or(&event.object);
        let key = pairs::name(object);
        let history = match histories.iter_mut().find(|history| pairs::name(history.object) == key) {
            Some(history) => history,
            None => {
                histories.push(History { object, runs: Vec::new() });
                let last = histories.len() - 1;
                &mut histories[last]
            }
        };
        let collapses =
            event.object.get("status").is_some_and(Value::is_object) || event.object.get("rows").is_some();
        match history.runs.last_mut() {
            Some(last) if collapses && last.kind == event.kind && event.kind == "MODIFIED" => *last = event,
            _ => history.runs.push(event),
        }
    }
    histories
}
