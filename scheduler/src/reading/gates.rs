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

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aegis_engine::diagnostic::Diagnostic;
use aegis_engine::files::{GENERATED, read_text};
use aegis_engine::runbook::{AtWindowEnd, Risk, Shape, Written};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::fields::{Entry, Fields, Style};
use super::file::File;
use crate::calendar::{Freeze, Frozen, Gates, Manual, Scope, Window};
use crate::expression::Expression;
use crate::schedule::{Doubled, Missed, Overlap, Policy, Schedule, Skipped};

/// The keys of the whole file.
pub(super) const WHOLE: &[&str] = &["zone", "schedules", "triggers", "windows", "freezes"];
const WINDOW: &[&str] = &["when", "lasts", "zone", "risk", "targets", "manual"];
const FREEZE: &[&str] = &["from", "until", "times", "file", "zone", "risk", "targets", "manual", "title"];
const RISKS: &[&str] = &["low", "medium", "high"];

/// When a project says nothing: Sundays 02:00 to 04:00 in Seoul, for what is of high risk.
pub(super) fn usual() -> Gates {
    let zone = crate::zone::find("Asia/Seoul").unwrap_or(TimeZone::UTC);
    let Ok(when) = Expression::read("0 2 * * 0") else { return Gates::default() };
    let scope = Scope { risk: Risk::High, targets: Vec::new(), manual: Manual::Protected };
    let window = Window {
        name: "sunday".to_owned(),
        opens: opens("sunday", when, zone),
        lasts: Duration::from_secs(2 * 3600),
        scope,
    };
    Gates { windows: vec![window], freezes: Vec::new() }
}

/// Nothing runs by itself as long as nobody can say when it may: who cannot read a freeze does not know that there is
/// none.
pub(super) fn shut() -> Gates {
    let scope = Scope { risk: Risk::Low, targets: Vec::new(), manual: Manual::All };
    let always = Frozen { from: Timestamp::MIN, until: Timestamp::MAX, title: String::new() };
    let name = "mistakes in the windows or freezes of schedules.toml".to_owned();
    Gates { windows: Vec::new(), freezes: vec![Freeze::listed(name, TimeZone::UTC, scope, vec![always])] }
}

/// The gates of a file; without `[windows]` the usual one stands.
pub(super) fn read(file: &File, root: &Path) -> (Gates, Vec<Diagnostic>) {
    let table = match &file.table {
        Ok(table) => table,
        Err(problem) => return (usual(), vec![problem.clone()]),
    };
    let mut reader = Reader { fields: Fields::new(Style::File), root, zone: TimeZone::UTC };
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
    (gates, reader.fields.problems)
}

struct Reader<'a> {
    fields: Fields,
    root: &'a Path,
    zone: TimeZone,
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
        let entries = self.fields.table(written, &format!("window `{name}`"), WINDOW);
        let (mut zone, mut lasts, mut when) = (self.zone.clone(), None, None);
        let mut scope = Scope { risk: Risk::High, targets: Vec::new(), manual: Manual::Protected };
        for (key, (_, _, value)) in entries {
            match key {
                "zone" => zone = self.fields.zone(value)?,
                "lasts" => lasts = self.fields.length(value),
                "when" => when = self.opening(value),
                _ => self.scope(&mut scope, key, value),
            }
        }
        let missing = |fields: &mut Fields, key: &str| {
            let hint = "a window opens at `when = \"0 2 * * 0\"` and is open for `lasts = \"2h\"`".to_owned();
            fields.refuse(place, format!("window `{name}` has no `{key}`"), Some(hint));
        };
        match (when, lasts) {
            (Some(when), Some(lasts)) => {
                Some(Window { name: name.clone(), opens: opens(name, when, zone), lasts, scope })
            }
            (None, _) if self.fields.problems.is_empty() => {
                missing(&mut self.fields, "when");
                None
            }
            (_, None) if self.fields.problems.is_empty() => {
                missing(&mut self.fields, "lasts");
                None
            }
            _ => None,
        }
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
            "targets" => scope.targets = self.fields.texts(value),
            "manual" => scope.manual = self.fields.word(value, Manual::WORDS).unwrap_or(scope.manual),
            _ => {}
        }
    }

    fn freeze(&mut self, (name, place, written): &Entry) -> Option<Freeze> {
        let before = self.fields.problems.len();
        let entries = self.fields.table(written, &format!("freeze `{name}`"), FREEZE);
        let find = |wanted: &str| entries.iter().find(|(key, _)| *key == wanted).map(|(_, entry)| &entry.2);
        let zone = find("zone").and_then(|zone| self.fields.zone(zone)).unwrap_or_else(|| self.zone.clone());
        let mut scope = Scope { risk: Risk::Low, targets: Vec::new(), manual: Manual::All };
        for (key, (_, _, value)) in &entries {
            self.scope(&mut scope, key, value);
        }
        let title = find("title").and_then(|title| self.fields.text(title)).unwrap_or_default();
        if let Some(file) = find("file") {
            return self.calendar(name, zone, scope, file);
        }
        let mut stretches = Vec::new();
        if let Some((from, until)) = find("from").zip(find("until")) {
            stretches.extend(self.stretch(from, until, &zone, &title));
        }
        for item in find("times").map(|times| self.items(times)).unwrap_or_default() {
            let Shape::List(pair) = &item.shape else { continue };
            if let [from, until] = pair.as_slice() {
                stretches.extend(self.stretch(from, until, &zone, &title));
            }
        }
        if stretches.is_empty() && self.fields.problems.len() == before {
            let hint = "give `from` and `until`, `times = [[\"2026-12-24\", \"2027-01-04\"]]`, or `file = \"freezes.ics\"`";
            self.fields.refuse(place, format!("freeze `{name}` freezes no time"), Some(hint.to_owned()));
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

    fn calendar(&mut self, name: &str, zone: TimeZone, scope: Scope, file: &Written) -> Option<Freeze> {
        let path = self.fields.text(file)?;
        let read = read_text(&self.root.join(&path), GENERATED).map_err(|error| error.to_string());
        let freeze = read.and_then(|text| Freeze::of_calendar(name.to_owned(), zone, scope, &text));
        freeze
            .map_err(|why| {
                let hint = "an iCalendar file (.ics) with the events in which nothing changes".to_owned();
                self.fields.refuse(
                    &file.place,
                    format!("cannot use the calendar `{path}`: {why}"),
                    Some(hint),
                );
            })
            .ok()
    }
}

/// A schedule that only says when.
fn opens(name: &str, when: Expression, zone: TimeZone) -> Schedule {
    let policy = Policy {
        from: None,
        until: None,
        overlap: Overlap::Allow,
        missed: Missed::None,
        catch_up: Duration::ZERO,
        jitter: Duration::ZERO,
        skipped: Skipped::Shift,
        doubled: if when.is_hourly() { Doubled::Both } else { Doubled::First },
        pause_after: None,
        priority: 0,
    };
    Schedule {
        name: name.into(),
        runbook: "".into(),
        risk: Risk::Low,
        at_window_end: AtWindowEnd::Continue,
        notify: Arc::default(),
        target: "".into(),
        protected: false,
        most_on_target: None,
        group: None,
        params: Arc::default(),
        when: Arc::new(when),
        zone,
        paused: None,
        policy: Arc::new(policy),
        place: None,
    }
}
