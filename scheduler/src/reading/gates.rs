//! The windows and freezes of `schedules.toml`.
//!
//! ```toml
//! [windows.sunday]
//! when = "0 2 * * 0"        # opens
//! lasts = "2h"
//! zone = "Asia/Seoul"
//! risk = "high"             # runs of this risk and above need it
//!
//! [freezes.new-year]
//! from = "2026-12-24"
//! until = "2027-01-04"
//! [freezes.company]
//! file = "freezes.ics"
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aegis_engine::codes;
use aegis_engine::diagnostic::{Diagnostic, Place};
use aegis_engine::files::{GENERATED, read_bytes};
use aegis_engine::runbook::{Risk, Shape, Sources, Written};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Targets;
use super::coming::{Time, contradiction};
use super::fields::{Entry, Fields, Style};
use super::file::File;
use crate::calendar::{Freeze, Frozen, Gates, Manual, Mistake, Scope, Window};
use crate::expression::Expression;
use crate::schedule::{Schedule, Skipped};

/// The keys of the whole file.
pub(super) const WHOLE: &[&str] = &["zone", "schedules", "triggers", "windows", "freezes"];
const WINDOW: &[&str] = &["when", "lasts", "zone", "risk", "targets", "manual"];
const FREEZE: &[&str] = &["from", "until", "times", "file", "zone", "risk", "targets", "manual", "title"];
/// Keys of times that a freeze has by itself, without a calendar.
const TIMES: &[&str] = &["from", "until", "times", "title"];
const HOW: &str =
    "give `from` and `until`, `times = [[\"2026-12-24\", \"2027-01-04\"]]`, or `file = \"freezes.ics\"`";
const RISKS: &[&str] = &["low", "medium", "high"];

/// When a project says nothing: Sundays 02:00 to 04:00 in Seoul, for what is of high risk.
pub(super) fn usual() -> Gates {
    let zone = crate::zone::find("Asia/Seoul").unwrap_or(TimeZone::UTC);
    let Ok(when) = Expression::read("0 2 * * 0") else { return Gates::default() };
    let scope = Scope { risk: Risk::High, targets: Vec::new(), manual: Manual::Protected };
    let window = Window {
        name: "sunday".to_owned(),
        opens: Schedule::timed("sunday", Arc::new(when), zone),
        lasts: Duration::from_secs(2 * 3600),
        scope,
    };
    Gates { windows: vec![window], ..Gates::default() }
}

/// Nothing runs by itself as long as nobody can say when it may: who cannot read a freeze does not know that there is
/// none.
pub(super) fn shut() -> Gates {
    let scope = Scope { risk: Risk::Low, targets: Vec::new(), manual: Manual::All };
    let always = Frozen { from: Timestamp::MIN, until: Timestamp::MAX, title: String::new() };
    let name = "mistakes in the windows or freezes of schedules.toml".to_owned();
    let freezes = vec![Freeze::listed(name, TimeZone::UTC, scope, vec![always])];
    Gates { freezes, are_shut: true, ..Gates::default() }
}

/// What a file says of windows and freezes; without `[windows]` the usual one stands.
pub(super) struct Read {
    pub(super) gates: Gates,
    pub(super) problems: Vec<Diagnostic>,
    /// The file, and the calendars that problems point into.
    pub(super) sources: Sources,
    /// Calendars that it names.
    pub(super) calendars: Vec<PathBuf>,
}

/// What the windows and freezes of a project are read with.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) root: &'a Path,
    pub(super) targets: &'a dyn Targets,
    pub(super) now: Timestamp,
}

pub(super) fn read(file: &File, around: Around<'_>) -> Read {
    let sources = file.sources.clone();
    let table = match &file.table {
        Ok(table) => table,
        Err(problem) => {
            return Read { gates: usual(), problems: vec![problem.clone()], sources, calendars: Vec::new() };
        }
    };
    let fields = Fields::new(Style::File);
    let mut reader = Reader { fields, around, zone: TimeZone::UTC, sources, calendars: Vec::new() };
    let entries = reader.fields.table(table, "the file", WHOLE);
    let find = |wanted: &str| entries.iter().find(|(key, _)| *key == wanted).map(|(_, entry)| &entry.2);
    if let Some(zone) = find("zone").and_then(|zone| reader.fields.zone(zone)) {
        reader.zone = zone;
    }
    let mut gates = Gates::default();
    match find("windows") {
        None => gates.windows = usual().windows,
        Some(windows) => {
            for entry in reader.named(windows, "`windows`") {
                gates.windows.extend(reader.window(&entry));
            }
        }
    }
    for entry in find("freezes").map(|freezes| reader.named(freezes, "`freezes`")).unwrap_or_default() {
        gates.freezes.extend(reader.freeze(&entry));
    }
    let Reader { fields, sources, calendars, .. } = reader;
    Read { gates, problems: fields.problems, sources, calendars }
}

struct Reader<'a> {
    fields: Fields,
    around: Around<'a>,
    zone: TimeZone,
    sources: Sources,
    calendars: Vec<PathBuf>,
}

impl Reader<'_> {
    /// Tables by their name.
    fn named(&mut self, written: &Written, what: &str) -> Vec<Entry> {
        if let Shape::Map(entries) = &written.shape {
            return entries.clone();
        }
        self.fields.refuse(&written.place, format!("{what} holds tables by name"), None);
        Vec::new()
    }

    fn window(&mut self, (name, place, written): &Entry) -> Option<Window> {
        let before = self.fields.problems.len();
        let entries = self.fields.table(written, &format!("window `{name}`"), WINDOW);
        let (mut zone, mut lasts, mut when) = (self.zone.clone(), None, None);
        let mut scope = Scope { risk: Risk::High, targets: Vec::new(), manual: Manual::Protected };
        for (key, (_, _, value)) in entries {
            match key {
                "zone" => zone = self.fields.zone(value)?,
                "lasts" => lasts = self.fields.some_length(value),
                "when" => when = self.opening(value).map(|when| (Arc::new(when), value)),
                _ => self.scope(&mut scope, key, value),
            }
        }
        let is_right = self.fields.problems.len() == before;
        let (Some((when, written)), Some(lasts)) = (&when, lasts) else {
            if is_right {
                let key = if when.is_none() { "when" } else { "lasts" };
                let hint =
                    "a window opens at `when = \"0 2 * * 0\"` and is open for `lasts = \"2h\"`".to_owned();
                self.fields.refuse(place, format!("window `{name}` has no `{key}`"), Some(hint));
            }
            return None;
        };
        let time = Time { when, zone: &zone, from: None, until: None, skipped: Skipped::default() };
        if let Some((_, wrong)) = contradiction(time, Some(self.around.now)) {
            self.fields.wrong(&written.place, wrong);
        }
        Some(Window {
            name: name.clone(),
            opens: Schedule::timed(name, Arc::clone(when), zone),
            lasts,
            scope,
        })
    }

    fn opening(&mut self, value: &Written) -> Option<Expression> {
        let text = self.fields.text(value)?;
        match Expression::read(&text) {
            Ok(read) if read.is_cron() => Some(read),
            Ok(_) => {
                let hint = "write five fields: `0 2 * * 0` is Sundays at two".to_owned();
                self.fields.refuse(&value.place, "a window opens again and again", Some(hint));
                None
            }
            Err(wrong) => {
                self.fields.wrong(&value.place, wrong);
                None
            }
        }
    }

    fn scope(&mut self, scope: &mut Scope, key: &str, value: &Written) {
        match key {
            "risk" => scope.risk = self.fields.word(value, RISKS).unwrap_or(scope.risk),
            "targets" => scope.targets = self.targets(value),
            "manual" => scope.manual = self.fields.word(value, Manual::WORDS).unwrap_or(scope.manual),
            _ => {}
        }
    }

    /// Targets that there are: a freeze of one that is misspelled would freeze nothing.
    fn targets(&mut self, value: &Written) -> Vec<String> {
        let names = self.fields.texts(value);
        let items = match &value.shape {
            Shape::List(items) if items.is_empty() => {
                let hint = "leave `targets` out: it is for all of them then".to_owned();
                self.fields.refuse(&value.place, "it is for no target", Some(hint));
                return names;
            }
            Shape::List(items) => items,
            _ => return names,
        };
        for item in items {
            if let Some(name) = item.value().as_str()
                && let Err(error) = self.around.targets.target(name)
            {
                self.fields.refuse(&item.place, error.message, error.hint);
            }
        }
        names
    }

    fn freeze(&mut self, (name, place, written): &Entry) -> Option<Freeze> {
        let before = self.fields.problems.len();
        let what = format!("freeze `{name}`");
        let entries = self.fields.table(written, &what, FREEZE);
        let find = |wanted: &str| entries.iter().find(|(key, _)| *key == wanted).map(|(_, entry)| &entry.2);
        let own = find("zone").and_then(|zone| self.fields.zone(zone));
        let mut scope = Scope { risk: Risk::Low, targets: Vec::new(), manual: Manual::All };
        for (key, (_, _, value)) in &entries {
            self.scope(&mut scope, key, value);
        }
        if let Some(file) = find("file") {
            if let Some((key, other)) = entries.iter().find(|(key, _)| TIMES.contains(key)) {
                let hint = "make two freezes of it".to_owned();
                self.fields.refuse(&other.1, format!("{what} has a `file` and `{key}`"), Some(hint));
            }
            return self.calendar(name, (own, self.zone.clone()), scope, file);
        }
        let zone = own.unwrap_or_else(|| self.zone.clone());
        let title = find("title").and_then(|title| self.fields.text(title)).unwrap_or_default();
        let mut stretches = Vec::new();
        match (find("from"), find("until")) {
            (Some(from), Some(until)) => stretches.extend(self.stretch(from, until, &zone, &title)),
            (None, None) => {}
            (one, _) => {
                let missing = if one.is_none() { "from" } else { "until" };
                self.fields.refuse(place, format!("{what} has no `{missing}`"), Some(HOW.to_owned()));
            }
        }
        for item in find("times").map(|times| self.items(times)).unwrap_or_default() {
            let Shape::List(pair) = &item.shape else { continue };
            if let [from, until] = pair.as_slice() {
                stretches.extend(self.stretch(from, until, &zone, &title));
            }
        }
        if stretches.is_empty() && self.fields.problems.len() == before {
            self.fields.refuse(place, format!("{what} freezes no time"), Some(HOW.to_owned()));
        }
        (!stretches.is_empty()).then(|| Freeze::listed(name.clone(), zone, scope, stretches))
    }

    fn items(&mut self, times: &Written) -> Vec<Written> {
        let pair = |item: &Written| matches!(&item.shape, Shape::List(pair) if pair.len() == 2);
        match &times.shape {
            Shape::List(items) if items.iter().all(pair) => items.clone(),
            _ => {
                let hint = "`times = [[\"2026-12-24\", \"2027-01-04\"]]`: from, and to before".to_owned();
                self.fields.refuse(&times.place, "expected a list of pairs", Some(hint));
                Vec::new()
            }
        }
    }

    fn stretch(&mut self, from: &Written, until: &Written, zone: &TimeZone, title: &str) -> Option<Frozen> {
        let (starts, ends) = (self.fields.instant(from, zone)?, self.fields.instant(until, zone)?);
        if ends <= starts {
            self.fields.refuse(&until.place, "it ends before it begins", None);
            return None;
        }
        Some(Frozen { from: starts, until: ends, title: title.to_owned() })
    }

    fn calendar(
        &mut self,
        name: &str,
        zones: (Option<TimeZone>, TimeZone),
        scope: Scope,
        file: &Written,
    ) -> Option<Freeze> {
        let path = self.fields.text(file)?;
        self.calendars.push(self.around.root.join(&path));
        let bytes = match read_bytes(&self.around.root.join(&path), GENERATED) {
            Ok(bytes) => bytes,
            Err(error) => {
                let hint = "an iCalendar file (.ics) with the events in which nothing changes".to_owned();
                self.fields.refuse(
                    &file.place,
                    format!("cannot read the calendar `{path}`: {error}"),
                    Some(hint),
                );
                return None;
            }
        };
        let freeze = Freeze::of_calendar(name.to_owned(), zones, scope, &bytes);
        freeze.map_err(|mistake| self.mistaken(path, &bytes, mistake, file)).ok()
    }

    /// Points at the line of the calendar.
    fn mistaken(&mut self, path: String, bytes: &[u8], mistake: Mistake, file: &Written) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let length = text.lines().nth(mistake.line - 1).map_or(1, |line| line.chars().count().max(1));
        let here = Place { source: path.clone(), line: mistake.line, column: 1, length };
        let message = format!("cannot use the calendar `{path}`: line {}: {}", mistake.line, mistake.message);
        let told = Diagnostic::new(codes::SCHEDULE, message).at(file.place.clone()).hint(mistake.hint);
        self.fields.problems.push(told.label(Some(here), "here"));
        self.sources = self.sources.clone().with(&path, text);
    }
}
