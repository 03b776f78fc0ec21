//! The schedules of `schedules.toml` and of headers, which say the same with the same keys.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use aegis_engine::codes;
use aegis_engine::diagnostic::{Diagnostic, Place, Problems};
use aegis_engine::files::{WRITTEN, read_text};
use aegis_engine::runbook::{Header, Notify, Runbook, Shape, Sources, Written};
use aegis_engine::text::did_you_mean;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::draft::{Draft, KEYS, as_table, drafted, policy};
use super::fields::{Entry, Fields, Style};
use super::file::File;
use super::gates::WHOLE;
use super::runbooks::Runbooks;
use super::{FILE, Plan, Surroundings, Target};
use crate::expression::Expressions;
use crate::schedule::{Policy, Schedule, Spot};

/// Reads schedules one after the other.
pub(super) struct Reader<'a, 'r> {
    surroundings: Surroundings<'a>,
    runbooks: &'r mut Runbooks<'a>,
    expressions: Expressions,
    /// The zone of the file; `None`: it has mistakes.
    zone: Option<TimeZone>,
    /// Names that are taken, and where.
    names: HashMap<String, Option<Arc<Place>>>,
    /// What is equal in many schedules is kept once.
    texts: HashMap<String, Arc<str>>,
    params: HashMap<String, Arc<BTreeMap<String, Value>>>,
    notify: HashMap<Notify, Arc<Notify>>,
    policies: HashMap<Policy, Arc<Policy>>,
    /// Runbooks that problems point into.
    shown: Vec<Rc<Runbook>>,
    /// Names of what could not be used.
    refused: Vec<String>,
}

impl<'a, 'r> Reader<'a, 'r> {
    pub(super) fn new(surroundings: Surroundings<'a>, runbooks: &'r mut Runbooks<'a>) -> Self {
        Self {
            surroundings,
            runbooks,
            expressions: Expressions::default(),
            zone: Some(TimeZone::UTC),
            names: HashMap::new(),
            texts: HashMap::new(),
            params: HashMap::new(),
            notify: HashMap::new(),
            policies: HashMap::new(),
            shown: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// The texts that problems of the file point into.
    pub(super) fn sources(&self, file: &Sources) -> Sources {
        self.shown.iter().fold(file.clone(), |sources, runbook| {
            let main = runbook.sources.main();
            sources.with(main, runbook.sources.text(main).unwrap_or_default())
        })
    }

    /// Names of what could not be used.
    pub(super) fn refused(self) -> Vec<String> {
        self.refused
    }

    /// The schedules of the file; answers what is wrong with others. Its own mistakes the gates have told.
    pub(super) fn file(&mut self, file: &File, plan: &mut Plan) -> Vec<Diagnostic> {
        let Ok(table) = &file.table else {
            self.zone = None;
            return Vec::new();
        };
        let entries = Fields::new(Style::File).table(table, "the file", WHOLE);
        let mut fields = Fields::new(Style::File);
        for (key, (_, _, value)) in &entries {
            if *key == "zone" {
                self.zone = Fields::new(Style::File).zone(value);
            }
        }
        for (_, (_, place, value)) in entries.iter().filter(|(key, _)| *key == "schedules") {
            let Shape::Map(named) = &value.shape else {
                fields.refuse(place, "`schedules` holds tables by name", None);
                continue;
            };
            for entry in named {
                plan.schedules.extend(self.one(entry, None, &mut fields).map(Arc::new));
            }
        }
        for (schedule, trigger) in self.triggers(file, &mut fields) {
            plan.schedules.push(Arc::new(schedule));
            plan.triggers.push(trigger);
        }
        fields.problems
    }

    /// The schedules of headers; answers what is wrong, a runbook each. A runbook with mistakes is told of too: it
    /// may have meant to be scheduled.
    pub(super) fn headers(&mut self, schedules: &mut Vec<Arc<Schedule>>) -> Vec<Problems> {
        let mut problems = Vec::new();
        for path in self.runbooks.scheduled() {
            let runbook = match self.runbooks.find(&path) {
                Ok(runbook) => runbook,
                Err(wrong) => {
                    let place = Place { source: path.clone(), line: 1, column: 1, length: 1 };
                    let told =
                        Diagnostic::new(codes::SCHEDULE, wrong.message).at(Some(place)).hint(wrong.hint);
                    let text = read_text(&self.surroundings.root.join(&path), WRITTEN).unwrap_or_default();
                    problems.push(Problems::of(told, Sources::new(path.clone(), text)));
                    self.refused.push(name_of(&path));
                    continue;
                }
            };
            let Some(written) = &runbook.header.schedule else { continue };
            let mut fields = Fields::new(Style::Header);
            let entry = (name_of(&path), written.place.clone(), as_table(written));
            schedules.extend(self.one(&entry, Some((&path, &runbook)), &mut fields).map(Arc::new));
            problems.extend(super::told(fields.problems, runbook.sources.clone()));
        }
        problems
    }

    fn one(
        &mut self,
        entry: &Entry,
        header: Option<(&str, &Rc<Runbook>)>,
        fields: &mut Fields,
    ) -> Option<Schedule> {
        let before = fields.problems.len();
        let (name, place, written) = entry;
        let mut draft = self.drafted(&format!("schedule `{name}`"), written, KEYS, fields);
        if let Some((path, _)) = header {
            draft.runbook = Some((path.to_owned(), place.clone()));
        }
        self.taken(name, place, fields);
        let schedule = self.complete(name, place, draft, fields).map(|(schedule, _)| schedule);
        let schedule = (fields.problems.len() == before).then_some(schedule).flatten();
        if schedule.is_none() {
            self.refuse(name);
        }
        schedule
    }

    /// Reads the keys of one schedule or trigger.
    pub(super) fn drafted(
        &mut self,
        what: &str,
        written: &Written,
        known: &[&'static str],
        fields: &mut Fields,
    ) -> Draft {
        drafted(what, written, known, &mut self.expressions, fields)
    }

    pub(super) fn refuse(&mut self, name: &str) {
        self.refused.push(name.to_owned());
    }

    /// Two schedules of one name would share their records.
    pub(super) fn taken(&mut self, name: &str, place: &Option<Place>, fields: &mut Fields) {
        if let Some(other) = self.names.get(name) {
            let at = other.as_ref().map(|place| format!(" at {}", place.address())).unwrap_or_default();
            let hint = format!("the other is{at}; records are kept by name: give one of them another");
            fields.refuse(place, format!("there are two schedules `{name}`"), Some(hint));
        }
        self.names.entry(name.to_owned()).or_insert_with(|| place.clone().map(Arc::new));
    }

    pub(super) fn complete(
        &mut self,
        name: &str,
        place: &Option<Place>,
        draft: Draft,
        fields: &mut Fields,
    ) -> Option<(Schedule, Rc<Runbook>)> {
        let Some(zone) = draft.zone.clone().or_else(|| self.zone.clone()) else {
            let hint = format!("mend `{FILE}`, or give it a `zone` of its own");
            fields.refuse(
                place,
                format!("the zone of `{name}` is that of `{FILE}`, which has mistakes"),
                Some(hint),
            );
            return None;
        };
        let (from, until) = draft.bounds(&zone, fields);
        draft.refuse_contradiction(&zone, (from, until), Some(self.surroundings.now), fields);
        let known = self.target(&draft, place, fields);
        let runbook = self.runbook(name, place, &draft, fields);
        if !draft.says_when {
            let hint = "add `when = \"30 2 * * *\"`".to_owned();
            fields.refuse(place, format!("schedule `{name}` does not say when"), Some(hint));
        }
        let when = draft.when.clone()?;
        let (path, runbook) = runbook?;
        let params = self.bound(place, &draft, &runbook, fields)?;
        let target = draft.target.as_ref().map_or(self.surroundings.target, |(name, _)| name.as_str());
        let notify = self.notify(target, place, &draft, &runbook, fields);
        let policy = Policy { from, until, ..policy(&draft, &when) };
        let schedule = Schedule {
            name: name.into(),
            runbook: self.shared(&path),
            risk: runbook.header.risk,
            at_window_end: runbook.header.at_window_end,
            notify,
            target: self.shared(target),
            protected: known.as_ref()?.protected,
            most_on_target: known?.most_runs,
            group: draft.group.as_deref().map(|group| self.shared(group)),
            params,
            policy: Arc::clone(self.policies.entry(policy).or_insert_with(|| Arc::new(policy))),
            when,
            zone,
            paused: draft.paused.as_deref().map(|why| self.shared(why)),
            place: place.as_ref().map(|place| self.spot(place)),
        };
        Some((schedule, runbook))
    }

    fn target(&self, draft: &Draft, place: &Option<Place>, fields: &mut Fields) -> Option<Target> {
        let (name, at) = match &draft.target {
            Some((name, at)) => (name.as_str(), at),
            None => (self.surroundings.target, place),
        };
        let found = self.surroundings.targets.target(name);
        found.map_err(|error| fields.refuse(at, error.message, error.hint)).ok()
    }

    /// Who hears what: as the schedule says, else as the runbook does; every channel is one of the target's.
    fn notify(
        &mut self,
        target: &str,
        place: &Option<Place>,
        draft: &Draft,
        runbook: &Rc<Runbook>,
        fields: &mut Fields,
    ) -> Arc<Notify> {
        let (own, at) = match &draft.notify {
            Some((notify, at)) => (notify.or(&runbook.header.notify), at),
            None => (runbook.header.notify.clone(), place),
        };
        for channel in own.channels() {
            if let Err(error) = self.surroundings.targets.channel(target, channel) {
                fields.refuse(at, error.message, error.hint);
            }
        }
        let shared = self.notify.entry(own.clone()).or_insert_with(|| Arc::new(own));
        Arc::clone(shared)
    }

    fn runbook(
        &mut self,
        name: &str,
        place: &Option<Place>,
        draft: &Draft,
        fields: &mut Fields,
    ) -> Option<(String, Rc<Runbook>)> {
        let Some((path, at)) = &draft.runbook else {
            let hint = "add `runbook = \"runbooks/NAME.rhai\"`".to_owned();
            fields.refuse(place, format!("schedule `{name}` names no runbook"), Some(hint));
            return None;
        };
        match self.runbooks.find(path) {
            Ok(runbook) => Some((path.clone(), runbook)),
            Err(wrong) => {
                fields.wrong(at, wrong);
                None
            }
        }
    }

    /// The parameters, when the runbook takes them.
    fn bound(
        &mut self,
        place: &Option<Place>,
        draft: &Draft,
        runbook: &Rc<Runbook>,
        fields: &mut Fields,
    ) -> Option<Arc<BTreeMap<String, Value>>> {
        let written = draft.params.as_ref();
        let given = given(written, fields)?;
        let mut header = runbook.header.clone();
        self.filled(draft, &given, &mut header, fields);
        if self.surroundings.environment.is_none() {
            header.params.retain(|name, spec| !spec.secret || given.contains_key(name));
        }
        let nothing = BTreeMap::new();
        let environment = self.surroundings.environment.unwrap_or(&nothing);
        match header.bind(&given, environment) {
            Ok(_) => Some(self.shared_params(given)),
            Err(problems) => {
                for problem in problems {
                    let about = problem.message.split('`').nth(1).unwrap_or_default().to_owned();
                    let at = key_place(written, &about).or_else(|| place.clone());
                    let hint = match problem.hint {
                        Some(hint) if hint.starts_with("add `--param") => {
                            Some(format!("give it: `params = {{ {about} = ... }}`"))
                        }
                        hint => hint,
                    };
                    let told = Diagnostic::new(codes::SCHEDULE, problem.message).at(at).hint(hint);
                    fields.problems.push(told.label(problem.place, "declared here"));
                }
                self.shown.push(Rc::clone(runbook));
                None
            }
        }
    }

    /// What events give need not be given here.
    fn filled(
        &self,
        draft: &Draft,
        given: &BTreeMap<String, Value>,
        header: &mut Header,
        fields: &mut Fields,
    ) {
        for (name, place) in &draft.filled {
            let wrong = match header.params.get(name) {
                _ if given.contains_key(name) => {
                    Some(format!("parameter `{name}` is given in `params` and in `fill`"))
                }
                Some(spec) if spec.secret => {
                    Some(format!("parameter `{name}` is secret: no event may give it"))
                }
                Some(_) => None,
                None => Some(format!("the runbook has no parameter `{name}`")),
            };
            if let Some(wrong) = wrong {
                let names = header.params.keys().map(String::as_str);
                fields.refuse(place, wrong, did_you_mean(name, names));
            }
        }
        header.params.retain(|name, _| draft.filled.iter().all(|(filled, _)| filled != name));
    }

    fn spot(&mut self, place: &Place) -> Spot {
        let number = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Spot { source: self.shared(&place.source), line: number(place.line), column: number(place.column) }
    }

    fn shared(&mut self, text: &str) -> Arc<str> {
        let shared = self.texts.entry(text.to_owned()).or_insert_with(|| text.into());
        Arc::clone(shared)
    }

    fn shared_params(&mut self, params: BTreeMap<String, Value>) -> Arc<BTreeMap<String, Value>> {
        let key = serde_json::to_string(&params).unwrap_or_default();
        Arc::clone(self.params.entry(key).or_insert_with(|| Arc::new(params)))
    }
}

fn given(written: Option<&Written>, fields: &mut Fields) -> Option<BTreeMap<String, Value>> {
    let Some(written) = written else { return Some(BTreeMap::new()) };
    match &written.shape {
        Shape::Map(entries) => {
            Some(entries.iter().map(|(name, _, value)| (name.clone(), value.value())).collect())
        }
        _ => {
            fields.refuse(&written.place, "`params` is a table of parameters by name", None);
            None
        }
    }
}

fn key_place(written: Option<&Written>, name: &str) -> Option<Place> {
    match &written?.shape {
        Shape::Map(entries) => entries.iter().find(|(key, _, _)| key == name)?.1.clone(),
        _ => None,
    }
}

/// The schedule of a header is called like its file.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.strip_suffix(".rhai").unwrap_or(file).to_owned()
}

/// What is wrong with a header's schedule by itself, without the project.
pub(super) fn check_header(runbook: &Runbook) -> Vec<Diagnostic> {
    let Some(written) = &runbook.header.schedule else { return Vec::new() };
    let mut fields = Fields::new(Style::Header);
    let draft = drafted("`schedule`", &as_table(written), KEYS, &mut Expressions::default(), &mut fields);
    if !draft.says_when {
        let hint = "write `schedule: \"30 2 * * *\"` or `schedule: #{ when: \"30 2 * * *\" }`".to_owned();
        fields.refuse(&written.place, "the schedule does not say when", Some(hint));
    }
    let zone = draft.zone.clone().unwrap_or(TimeZone::UTC);
    let bounds = draft.bounds(&zone, &mut fields);
    draft.refuse_contradiction(&zone, bounds, None, &mut fields);
    fields.problems
}
