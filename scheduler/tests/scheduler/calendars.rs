//! Maintenance windows and freezes, as a project writes them.

use aegis_engine::runbook::Risk;
use aegis_scheduler::{Gates, Subject, Why, reading};
use jiff::Timestamp;

use crate::files::Known;
use crate::world::at;

pub(crate) fn gates(text: &str, calendar: &str) -> Result<Gates, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("schedules.toml"), text).unwrap();
    std::fs::write(folder.path().join("freezes.ics"), calendar).unwrap();
    of(folder.path())
}

pub(crate) fn of(folder: &std::path::Path) -> Result<Gates, String> {
    let gates = reading::gates(folder, &Known, at("2026-11-23T00:00:00Z"));
    gates.map_err(|problems| problems.render(false))
}

fn told(gates: &Gates, subject: &Subject<'_>, now: &str) -> String {
    match gates.admit(subject, at(now)) {
        Ok(None) => "free".to_owned(),
        Ok(Some(closes)) => format!("open until {closes}"),
        Err(refusal) => format!("{}: {}", refusal.why.word(), refusal.note()),
    }
}

const NIGHT: Subject<'_> = Subject { risk: Risk::High, target: "prod", protected: true, scheduled: true };

#[test]
fn without_a_file_high_risk_waits_for_sunday_in_seoul() {
    let folder = tempfile::tempdir().unwrap();
    let gates = of(folder.path()).unwrap();
    assert_eq!(told(&gates, &NIGHT, "2026-11-28T17:00:00Z"), "open until 2026-11-28T19:00:00Z");
    assert_eq!(told(&gates, &NIGHT, "2026-11-28T18:59:59Z"), "open until 2026-11-28T19:00:00Z");
    let closed = "outside-window: window `sunday` is closed until Sun 2026-12-06 02:00 (Asia/Seoul)";
    assert_eq!(told(&gates, &NIGHT, "2026-11-28T19:00:00Z"), closed);
    let medium = Subject { risk: Risk::Medium, ..NIGHT };
    assert_eq!(told(&gates, &medium, "2026-11-28T19:00:00Z"), "free");
    // A person is held back on protected targets only.
    let manual = Subject { scheduled: false, ..NIGHT };
    assert_eq!(told(&gates, &manual, "2026-11-28T19:00:00Z"), closed);
    let rehearsal = Subject { protected: false, ..manual };
    assert_eq!(told(&gates, &rehearsal, "2026-11-28T19:00:00Z"), "free");
}

#[test]
fn windows_are_for_their_targets_and_any_open_one_lets_in() {
    let text = "zone = \"Europe/Berlin\"\n[windows.nights]\nwhen = \"0 22 * * *\"\nlasts = \"8h\"\nrisk = \"medium\"\n\
                targets = [\"prod\"]\n[windows.noon]\nwhen = \"0 12 * * *\"\nlasts = \"1h\"\n";
    let gates = gates(text, "").unwrap();
    assert_eq!(told(&gates, &NIGHT, "2026-11-24T03:00:00Z"), "open until 2026-11-24T05:00:00Z");
    assert_eq!(told(&gates, &NIGHT, "2026-11-24T11:30:00Z"), "open until 2026-11-24T12:00:00Z");
    assert!(told(&gates, &NIGHT, "2026-11-24T09:00:00Z").contains("`nights`, `noon`"));
    let staging = Subject { target: "staging", risk: Risk::Medium, ..NIGHT };
    assert_eq!(told(&gates, &staging, "2026-11-24T09:00:00Z"), "free");
}

#[test]
fn a_listed_freeze_keeps_everybody_out() {
    let text = "zone = \"Asia/Seoul\"\nwindows = {}\n[freezes.new-year]\nfrom = 2026-12-24\nuntil = \"2027-01-04T09:00\"\n\
                title = \"new year\"\n";
    let gates = gates(text, "").unwrap();
    let anybody = Subject { risk: Risk::Low, target: "sandbox", protected: false, scheduled: false };
    let frozen = "frozen: freeze `new-year: new year` until Mon 2027-01-04 09:00 (Asia/Seoul)";
    assert_eq!(told(&gates, &anybody, "2026-12-23T15:00:00Z"), frozen);
    assert_eq!(told(&gates, &anybody, "2026-12-23T14:59:59Z"), "free");
    assert_eq!(told(&gates, &anybody, "2027-01-04T00:00:00Z"), "free");
}

#[test]
fn windows_and_freezes_that_would_do_nothing_are_refused_with_line_and_hint() {
    let window = |line: &str| format!("[windows.night]\nwhen = \"0 2 * * *\"\nlasts = \"1h\"\n{line}\n");
    let freeze = |line: &str| format!("[freezes.x]\nfrom = \"2026-12-24\"\nuntil = \"2026-12-26\"\n{line}\n");
    for (text, message, place, hint) in [
        (window("targets = [\"prod\", \"prd\"]"), "there is no target `prd`", "4:20", "targets are"),
        (freeze("targets = [\"prd\"]"), "there is no target `prd`", "4:12", "targets are"),
        (freeze("targets = []"), "it is for no target", "4:11", "leave `targets` out"),
        (window("").replace("1h", "0s"), "expected some time, not none", "3:9", "`2h`"),
        (
            window("").replace("0 2 * * *", "0 0 2 ? * SUN 2020"),
            "are over: it never comes",
            "2:8",
            "its year",
        ),
        (window("").replace("0 2 * * *", "0 0 30 2 *"), "never comes", "2:8", "its month"),
        (window("").replace("0 2 * * *", "0 25 * * *"), "hour: 25 is not within 0-23", "2:8", "five fields"),
        (freeze("file = \"freezes.ics\""), "has a `file` and `from`", "2:1", "two freezes"),
        (
            freeze("").replace("until = \"2026-12-26\"", ""),
            "freeze `x` has no `until`",
            "1:10",
            "`from` and `until`",
        ),
    ] {
        let told = gates(&text, "").unwrap_err();
        let place = format!("schedules.toml:{place}");
        assert!([message, &place, hint, "^"].iter().all(|part| told.contains(part)), "{text}: {told}");
    }
    assert!(gates(&window("targets = [\"prod\", \"sandbox\"]"), "").is_ok());
}

const CALENDAR: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\n\
BEGIN:VEVENT\r\nUID:1\r\nSUMMARY:month's end\r\nDTSTART;VALUE=DATE:20260131\r\nDTEND;VALUE=DATE:20260202\r\n\
RRULE:FREQ=MONTHLY;BYMONTHDAY=-1\r\nEND:VEVENT\r\n\
BEGIN:VEVENT\r\nUID:2\r\nSUMMARY:release night\r\nDTSTART;TZID=Europe/Berlin:20260301T220000\r\n\
DTEND;TZID=Europe/Berlin:20260302T060000\r\nRRULE:FREQ=WEEKLY;BYDAY=SU;COUNT=10\r\n\
EXDATE;TZID=Europe/Berlin:20260315T220000\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

#[test]
fn a_calendar_file_freezes_with_its_recurrences_exceptions_and_zones() {
    let text = "zone = \"Asia/Seoul\"\n[freezes.company]\nfile = \"freezes.ics\"\n";
    let gates = gates(text, CALENDAR).unwrap();
    let anybody = Subject { risk: Risk::Low, target: "sandbox", protected: false, scheduled: false };
    let at = |now: &str| {
        gates.admit(&anybody, now.parse::<Timestamp>().unwrap()).err().map(|refusal| refusal.names.join(" "))
    };
    let month = Some("company: month's end".to_owned());
    assert_eq!(at("2026-11-29T14:59:00Z"), None);
    assert_eq!(at("2026-11-29T15:00:00Z"), month, "the 30th begins in Seoul");
    assert_eq!(at("2026-12-01T14:59:00Z"), month, "two whole days");
    assert_eq!(at("2026-12-01T15:00:00Z"), None);
    let night = Some("company: release night".to_owned());
    assert_eq!(at("2026-03-08T21:00:00Z"), night);
    assert_eq!(at("2026-03-15T21:00:00Z"), None, "excepted");
    // Clocks went forward on the 29th of March: 22:00 is an hour earlier.
    assert_eq!((at("2026-03-29T19:59:00Z"), at("2026-03-29T20:00:00Z")), (None, night));
    assert_eq!(gates.admit(&anybody, "2026-03-29T20:00:00Z".parse().unwrap()).unwrap_err().why, Why::Frozen);
}

#[test]
fn what_is_wrong_about_a_calendar_is_told_with_its_line() {
    let told = gates("[freezes.company]\nfile = \"nowhere.ics\"\n", "").unwrap_err();
    assert!(
        told.contains("cannot read the calendar `nowhere.ics`") && told.contains("schedules.toml:2:8"),
        "{told}"
    );
    let told = gates("[freezes.company]\nfile = \"freezes.ics\"\n", "no calendar").unwrap_err();
    assert!(told.contains("cannot use the calendar `freezes.ics`: line 1"), "{told}");
    let told = gates("[windows.night]\nwhen = \"every 2h\"\nlasts = \"1h\"\n", "").unwrap_err();
    assert!(told.contains("opens again and again"), "{told}");
    let told = gates("[windows.night]\nwhen = \"0 2 * * *\"\n", "").unwrap_err();
    assert!(told.contains("window `night` has no `lasts`"), "{told}");
    let told = gates("[freezes.x]\nfrom = \"2026-12-24\"\nuntil = \"2026-12-23\"\n", "").unwrap_err();
    assert!(told.contains("ends before it begins"), "{told}");
}
