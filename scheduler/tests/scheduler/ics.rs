//! Calendar files as programs write them: what of them freezes when, and what is said about one that cannot be read.

use aegis_engine::runbook::Risk;
use aegis_scheduler::{Gates, Subject};

use crate::calendars::gates;
use crate::world::at;

const FREEZE: &str = "zone = \"Asia/Seoul\"\n[freezes.company]\nfile = \"freezes.ics\"\n";

/// A calendar around lines, each ended as the standard wants it.
fn calendar(lines: &str) -> String {
    let text = format!("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//EN\n{}\nEND:VCALENDAR\n", lines.trim());
    text.lines().map(|line| format!("{}\r\n", line.trim_start_matches('|'))).collect()
}

fn event(lines: &str) -> String {
    let lines: String = lines.trim().lines().map(|line| format!("{}\n", line.trim_start())).collect();
    format!("BEGIN:VEVENT\nUID:1\nSUMMARY:x\n{lines}END:VEVENT\n")
}

fn is_frozen(gates: &Gates, now: &str) -> bool {
    let anybody = Subject { risk: Risk::Low, target: "sandbox", protected: false, scheduled: false };
    gates.admit(&anybody, at(now)).is_err()
}

/// Instants that are frozen and instants that are not.
fn holds(what: &str, lines: &str, frozen: &[&str], free: &[&str]) {
    let text = calendar(lines);
    let unix = text.replace("\r\n", "\n");
    for text in [text, unix] {
        let gates = gates(FREEZE, &text).unwrap_or_else(|told| panic!("{what}: {told}"));
        for now in frozen {
            assert!(is_frozen(&gates, now), "{what}: {now} is not frozen");
        }
        for now in free {
            assert!(!is_frozen(&gates, now), "{what}: {now} is frozen");
        }
    }
}

#[test]
fn events_freeze_for_as_long_as_they_say() {
    let one =
        |what: &str, lines: &str, frozen: &[&str], free: &[&str]| holds(what, &event(lines), frozen, free);
    one(
        "a whole day, in the project's zone",
        "DTSTART;VALUE=DATE:20261224",
        &["2026-12-23T15:00:00Z", "2026-12-24T14:59:59Z"],
        &["2026-12-23T14:59:59Z", "2026-12-24T15:00:00Z"],
    );
    one(
        "days to before the last",
        "DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261227",
        &["2026-12-26T14:59:59Z"],
        &["2026-12-26T15:00:00Z"],
    );
    one(
        "a duration of days is by the calendar",
        "DTSTART;TZID=Europe/Berlin:20260328T120000\nDURATION:P1D",
        &["2026-03-29T09:59:59Z"],
        &["2026-03-29T10:00:00Z"],
    );
    one(
        "a duration of hours is elapsed time",
        "DTSTART;TZID=Europe/Berlin:20260328T120000\nDURATION:PT24H",
        &["2026-03-29T10:59:59Z"],
        &["2026-03-29T11:00:00Z"],
    );
    one(
        "weeks",
        "DTSTART:20261201T000000Z\nDURATION:P1W",
        &["2026-12-07T23:59:59Z"],
        &["2026-12-08T00:00:00Z"],
    );
    one(
        "a time without a zone",
        "DTSTART:20261224T180000\nDTEND:20261224T200000",
        &["2026-12-24T09:00:00Z", "2026-12-24T10:59:59Z"],
        &["2026-12-24T11:00:00Z", "2026-12-24T18:00:00Z"],
    );
    one(
        "an end in another zone",
        "DTSTART;TZID=Asia/Seoul:20261224T180000\nDTEND;TZID=Europe/Berlin:20261224T120000",
        &["2026-12-24T09:00:00Z", "2026-12-24T10:59:59Z"],
        &["2026-12-24T11:00:00Z"],
    );
    one(
        "over the turn of the year",
        "DTSTART:20261231T120000Z\nDTEND:20270102T120000Z",
        &["2026-12-31T12:00:00Z", "2027-01-01T00:00:00Z", "2027-01-02T11:59:59Z"],
        &["2027-01-02T12:00:00Z"],
    );
    one(
        "shown as free, as calendars show whole days",
        "DTSTART;VALUE=DATE:20261224\nTRANSP:TRANSPARENT\nCLASS:PRIVATE",
        &["2026-12-24T00:00:00Z"],
        &[],
    );
}

#[test]
fn what_recurs_recurs_and_what_is_taken_out_of_it_is_out() {
    let weekly =
        "DTSTART;TZID=Asia/Seoul:20261205T020000\nDTEND;TZID=Asia/Seoul:20261205T040000\nRRULE:FREQ=WEEKLY";
    let table: [(&str, &str, &[&str], &[&str]); 9] = [
        ("a rule for good", "", &["2026-12-04T17:00:00Z", "2029-12-28T17:00:00Z"], &["2026-12-05T17:00:00Z"]),
        ("an end in UTC", ";UNTIL=20261211T170000Z", &["2026-12-11T17:00:00Z"], &["2026-12-18T17:00:00Z"]),
        ("a day as the end", ";UNTIL=20261212", &["2026-12-11T17:00:00Z"], &["2026-12-18T17:00:00Z"]),
        ("a number", ";COUNT=2", &["2026-12-11T17:00:00Z"], &["2026-12-18T17:00:00Z"]),
        (
            "an exception by the same clock",
            "\nEXDATE;TZID=Asia/Seoul:20261212T020000,20261219T020000",
            &["2026-12-04T17:00:00Z", "2026-12-25T17:00:00Z"],
            &["2026-12-11T17:00:00Z", "2026-12-18T17:00:00Z"],
        ),
        (
            "an exception without a zone",
            "\nEXDATE:20261212T020000",
            &["2026-12-04T17:00:00Z"],
            &["2026-12-11T17:00:00Z"],
        ),
        (
            "an exception in UTC",
            "\nEXDATE:20261211T170000Z",
            &["2026-12-04T17:00:00Z"],
            &["2026-12-11T17:00:00Z"],
        ),
        (
            "an exception of a day",
            "\nEXDATE;VALUE=DATE:20261212",
            &["2026-12-04T17:00:00Z"],
            &["2026-12-11T17:00:00Z"],
        ),
        (
            "dates besides",
            "\nRDATE;TZID=Asia/Seoul:20261209T020000\nRDATE;VALUE=PERIOD:20261210T000000Z/PT30M,20261210T060000Z/20261210T070000Z",
            &["2026-12-08T18:59:59Z", "2026-12-10T00:29:59Z", "2026-12-10T06:59:59Z", "2026-12-04T17:00:00Z"],
            &["2026-12-08T19:00:00Z", "2026-12-10T00:30:00Z", "2026-12-10T07:00:00Z"],
        ),
    ];
    for (what, more, frozen, free) in table {
        holds(what, &event(&format!("{weekly}{more}")), frozen, free);
    }
    holds(
        "clocks change between two occurrences",
        &event(
            "DTSTART;TZID=Europe/Berlin:20260322T220000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY\nEXDATE:20260405T220000",
        ),
        &["2026-03-22T21:00:00Z", "2026-03-29T20:00:00Z"],
        &["2026-03-29T21:00:00Z", "2026-04-05T20:00:00Z"],
    );
    holds(
        "dates without a rule",
        &event("DTSTART;VALUE=DATE:20261224\nRDATE;VALUE=DATE:20261231,20270101"),
        &["2026-12-24T00:00:00Z", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"],
        &["2026-12-25T00:00:00Z", "2027-01-02T00:00:00Z"],
    );
    holds(
        "the last day of every month",
        &event("DTSTART;VALUE=DATE:20260131\nRRULE:FREQ=MONTHLY;BYMONTHDAY=-1"),
        &["2026-11-30T00:00:00Z", "2027-02-28T00:00:00Z"],
        &["2026-11-29T00:00:00Z"],
    );
}

#[test]
fn what_is_cancelled_freezes_nothing_and_what_is_moved_freezes_its_new_time() {
    let series = event("DTSTART:20261205T020000Z\nDTEND:20261205T040000Z\nRRULE:FREQ=WEEKLY\nSEQUENCE:1");
    let changed =
        |id: &str, lines: &str| format!("{series}{}", event(&format!("RECURRENCE-ID{id}\n{lines}")));
    let moved = "DTSTART:20261214T100000Z\nDTEND:20261214T130000Z";
    let (old, new, others) = ("2026-12-12T03:00:00Z", "2026-12-14T12:59:59Z", "2026-12-19T03:00:00Z");
    holds("moved", &changed(":20261212T020000Z", moved), &[new, others], &[old]);
    holds(
        "moved, by another clock",
        &changed(";TZID=Asia/Seoul:20261212T110000", moved),
        &[new, others],
        &[old],
    );
    holds("moved, by its day", &changed(";VALUE=DATE:20261212", moved), &[new, others], &[old]);
    let cancelled = "DTSTART:20261212T020000Z\nDTEND:20261212T040000Z\nSTATUS:CANCELLED";
    holds("one is cancelled", &changed(":20261212T020000Z", cancelled), &[others], &[old]);
    let before = format!("{}{series}", event(&format!("RECURRENCE-ID:20261212T020000Z\n{moved}")));
    holds("the change stands first", &before, &[new, others], &[old]);
    let again = event("RECURRENCE-ID:20261212T020000Z\nSEQUENCE:2\nDTSTART:20261215T100000Z\nDURATION:PT1H");
    let twice = format!("{}{again}", changed(":20261212T020000Z", moved));
    holds("moved twice", &twice, &["2026-12-15T10:30:00Z", others], &[old, new]);

    let kept = "BEGIN:VEVENT\nUID:2\nDTSTART:20270101T000000Z\nDURATION:P1D\nEND:VEVENT\n";
    let all = series.replace("SEQUENCE:1", "SEQUENCE:1\nSTATUS:CANCELLED");
    holds("all of it is cancelled", &format!("{all}{kept}"), &["2027-01-01T12:00:00Z"], &[old, others]);
    let later = format!("{series}{}", all.replace("SEQUENCE:1", "SEQUENCE:2"));
    holds("a later version cancels it", &format!("{later}{kept}"), &["2027-01-01T12:00:00Z"], &[old, others]);
    holds("only what is cancelled", &all, &[], &[old, others]);
    let tentative = series.replace("SEQUENCE:1", "STATUS:TENTATIVE");
    holds("tentative is not cancelled", &tentative, &[old, others], &[]);
    holds("a calendar of cancellations", &format!("METHOD:CANCEL\n{series}"), &[], &[old, others]);
}

/// How Outlook defines a zone whose clocks change.
const DEFINED: &str = "BEGIN:VTIMEZONE\nTZID:Customized Time Zone\n\
BEGIN:STANDARD\nDTSTART:16010101T030000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\n\
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10\nEND:STANDARD\n\
BEGIN:DAYLIGHT\nDTSTART:16010101T020000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200\n\
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3\nEND:DAYLIGHT\nEND:VTIMEZONE\n";

#[test]
fn a_change_for_good_holds_for_what_comes_after_it_and_rules_take_out() {
    // Thursdays at 18:00 in Seoul for an hour; from the 24th of December on Fridays at 20:00 for two.
    let series = "DTSTART;TZID=Asia/Seoul:20261203T180000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY";
    let id = "RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Asia/Seoul:20261224T180000";
    let change = format!("{id}\nDTSTART;TZID=Asia/Seoul:20261225T200000\nDURATION:PT2H");
    let all = |parts: &[&str]| parts.iter().map(|part| event(part)).collect::<String>();
    holds(
        "a change for good",
        &all(&[series, &change]),
        &["2026-12-17T09:30:00Z", "2026-12-25T12:30:00Z", "2027-01-01T11:00:00Z", "2028-12-29T12:59:59Z"],
        &["2026-12-18T11:30:00Z", "2026-12-24T09:30:00Z", "2026-12-31T09:30:00Z", "2027-01-01T13:00:00Z"],
    );
    let again = "RECURRENCE-ID;RANGE=THISANDFUTURE:20270107T090000Z\nDTSTART:20270107T000000Z\nDURATION:PT1H";
    holds(
        "another change later, told first",
        &all(&[series, again, &change]),
        &["2027-01-01T11:30:00Z", "2027-01-07T00:30:00Z", "2027-01-14T00:30:00Z"],
        &["2027-01-08T11:30:00Z", "2027-01-14T09:30:00Z"],
    );
    let single = "RECURRENCE-ID;TZID=Asia/Seoul:20261231T180000\nDTSTART:20261230T000000Z\nDURATION:PT1H";
    holds(
        "one of them is elsewhere",
        &all(&[series, &change, single]),
        &["2026-12-30T00:30:00Z", "2027-01-08T11:30:00Z"],
        &["2027-01-01T11:30:00Z", "2026-12-31T09:30:00Z"],
    );
    holds(
        "cancelled for good",
        &all(&[series, &format!("{change}\nSTATUS:CANCELLED")]),
        &["2026-12-17T09:30:00Z"],
        &["2026-12-24T09:30:00Z", "2026-12-25T11:30:00Z", "2027-01-01T11:30:00Z"],
    );
    holds(
        "which recurs by itself",
        &all(&[series, &format!("{change}\nRRULE:FREQ=MONTHLY;COUNT=2")]),
        &["2026-12-25T11:30:00Z", "2027-01-25T11:30:00Z"],
        &["2026-12-31T09:30:00Z", "2027-01-01T11:30:00Z", "2027-02-25T11:30:00Z"],
    );
    holds("without its series", &event(&change), &["2026-12-25T11:30:00Z"], &["2027-01-01T11:30:00Z"]);
    holds(
        "whole days",
        &all(&[
            "DTSTART;VALUE=DATE:20261207\nRRULE:FREQ=WEEKLY",
            "RECURRENCE-ID;VALUE=DATE;RANGE=THISANDFUTURE:20261221\nDTSTART;VALUE=DATE:20261222\nDTEND;VALUE=DATE:20261224",
        ]),
        &["2026-12-14T03:00:00Z", "2026-12-22T03:00:00Z", "2026-12-23T03:00:00Z", "2026-12-29T03:00:00Z"],
        &["2026-12-21T03:00:00Z", "2026-12-24T03:00:00Z", "2026-12-28T03:00:00Z"],
    );
    holds(
        "the first Thursday of a month is out",
        &event(&format!("{series}\nEXRULE:FREQ=MONTHLY;BYDAY=1TH")),
        &["2026-12-10T09:30:00Z", "2026-12-31T09:30:00Z", "2027-01-14T09:30:00Z"],
        &["2026-12-03T09:30:00Z", "2027-01-07T09:30:00Z", "2027-02-04T09:30:00Z"],
    );
    holds(
        "every day but weekends, until it is over",
        &event(
            "DTSTART:20261201T180000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY\nEXRULE:FREQ=WEEKLY;BYDAY=SA,SU;UNTIL=20261231T000000Z",
        ),
        &["2026-12-04T18:30:00Z", "2026-12-07T18:30:00Z", "2027-01-02T18:30:00Z"],
        &["2026-12-05T18:30:00Z", "2026-12-27T18:30:00Z"],
    );
}

#[test]
fn zones_are_named_as_iana_does_as_windows_does_or_defined_by_the_file() {
    let at_eight = |zone: &str| event(&format!("DTSTART;TZID={zone}:20260701T080000\nDURATION:PT1H"));
    for (zone, starts, before) in [
        ("Asia/Seoul", "2026-06-30T23:00:00Z", "2026-06-30T22:59:59Z"),
        ("Korea Standard Time", "2026-06-30T23:00:00Z", "2026-06-30T22:59:59Z"),
        ("\"W. Europe Standard Time\"", "2026-07-01T06:00:00Z", "2026-07-01T05:59:59Z"),
        ("/freeassociation.sourceforge.net/Europe/Berlin", "2026-07-01T06:00:00Z", "2026-07-01T05:59:59Z"),
        ("\"tzone://Microsoft/Utc\"", "2026-07-01T08:00:00Z", "2026-07-01T07:59:59Z"),
    ] {
        holds(zone, &at_eight(zone), &[starts], &[before]);
    }
    let custom = |day: &str| event(&format!("DTSTART;TZID=Customized Time Zone:{day}T080000\nDURATION:PT1H"));
    holds(
        "summer",
        &format!("{DEFINED}{}", custom("20260701")),
        &["2026-07-01T06:00:00Z"],
        &["2026-07-01T05:59:59Z"],
    );
    holds(
        "winter",
        &format!("{}{DEFINED}", custom("20261201")),
        &["2026-12-01T07:00:00Z"],
        &["2026-12-01T06:59:59Z"],
    );
    holds(
        "the day of the change",
        &format!("{DEFINED}{}", custom("20260329")),
        &["2026-03-29T06:00:00Z"],
        &["2026-03-29T05:59:59Z"],
    );
    let fixed = "BEGIN:VTIMEZONE\nTZID:Customized Time Zone\nBEGIN:STANDARD\nDTSTART:16010101T000000\n\
                 TZOFFSETFROM:+0900\nTZOFFSETTO:+0930\nEND:STANDARD\nEND:VTIMEZONE\n";
    holds(
        "one offset",
        &format!("{fixed}{}", custom("20261201")),
        &["2026-11-30T22:30:00Z"],
        &["2026-11-30T22:29:59Z"],
    );
    let said = format!("X-WR-TIMEZONE:Europe/Berlin\n{}", event("DTSTART;VALUE=DATE:20261224"));
    holds("what the calendar says of itself", &said, &["2026-12-23T23:00:00Z"], &["2026-12-23T22:59:59Z"]);
    let own = gates(&format!("{FREEZE}zone = \"UTC\"\n"), &calendar(&said)).unwrap();
    assert!(is_frozen(&own, "2026-12-24T00:00:00Z") && !is_frozen(&own, "2026-12-23T23:59:59Z"));
}

#[test]
fn folded_lines_are_put_together_also_in_the_middle_of_a_letter() {
    let text = calendar(&event("DTSTART;VALUE=DA\n|\u{20}TE:2026\n|\tDESCRIPTION"));
    let text = text.replace("\tDESCRIPTION", "\t1224");
    let gates_of = |text: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("schedules.toml"), FREEZE).unwrap();
        std::fs::write(folder.path().join("freezes.ics"), text).unwrap();
        crate::calendars::of(folder.path()).unwrap()
    };
    assert!(is_frozen(&gates_of(text.as_bytes()), "2026-12-24T00:00:00Z"), "{text}");
    let whole = calendar(&event("DTSTART;VALUE=DATE:20261224").replace("SUMMARY:x", "SUMMARY:연말 동결"));
    let middle = whole.find("말").unwrap() + 1;
    let mut bytes = whole.into_bytes();
    bytes.splice(middle..middle, *b"\r\n ");
    let anybody = Subject { risk: Risk::Low, target: "sandbox", protected: false, scheduled: false };
    let refusal = gates_of(&bytes).admit(&anybody, at("2026-12-24T00:00:00Z")).unwrap_err();
    assert_eq!(refusal.names, ["company: 연말 동결"]);
}

#[test]
fn what_is_wrong_is_a_sentence_with_the_line_of_the_file_and_a_hint() {
    let whole = calendar(&event("DTSTART:20261224T180000Z\nDURATION:PT2H"));
    let until = |what: &str| whole[..whole.find(what).unwrap()].to_owned();
    let with = |line: &str| calendar(&event(&format!("DTSTART:20261224T180000Z\n{line}")));
    let table: [(&str, String, usize, &str); 17] = [
        (
            "cut in a line",
            until("4T180000Z"),
            7,
            "the file ends in the middle of the `VEVENT` that begins in line 4",
        ),
        ("cut in a name", until("ART:"), 7, "ends in the middle of the `VEVENT`"),
        ("cut after a line", until("DURATION"), 7, "ends in the middle of the `VEVENT`"),
        (
            "cut after the event",
            until("END:VCALENDAR"),
            9,
            "the middle of the `VCALENDAR` that begins in line 1",
        ),
        ("empty", String::new(), 1, "the file is empty"),
        ("another file", "<html>\n<body>Sign in</body>\n".to_owned(), 1, "`<html>` is no line of a calendar"),
        ("without an event", calendar(""), 1, "the calendar has no event"),
        ("a lost end", whole.replace("END:VEVENT\r\n", ""), 9, "`END:VCALENDAR` stands where the `VEVENT`"),
        ("no start", calendar(&event("DURATION:PT1H")), 4, "the event has no `DTSTART`"),
        ("no time", whole.replace("20261224T180000Z", "tomorrow"), 7, "`tomorrow` is no time"),
        ("no day", whole.replace("20261224T", "20261324T"), 7, "`20261324T180000Z` is no time"),
        ("no length", with("SEQUENCE:1"), 4, "neither an end nor a duration"),
        ("backwards", with("DTEND:20261224T170000Z"), 8, "does not end after it begins"),
        ("a day and a time", with("DTEND;VALUE=DATE:20261225"), 8, "`DTEND` does not fit to `DTSTART`"),
        ("a strange duration", with("DURATION:2 hours"), 8, "`2 hours` is no duration"),
        (
            "a strange rule",
            with("DURATION:PT1H\nRRULE:FREQ=SOMETIMES"),
            9,
            "the rule `FREQ=SOMETIMES` cannot be used",
        ),
        (
            "a strange zone",
            whole.replace("DTSTART:", "DTSTART;TZID=Korean Standard Time:").replace("00Z", "00"),
            7,
            "no time zone `Korean Standard Time`",
        ),
    ];
    for (what, text, line, part) in table {
        let told = gates(FREEZE, &text).err().unwrap_or_else(|| panic!("{what} is taken"));
        let begins = format!("cannot use the calendar `freezes.ics`: line {line}: ");
        assert!(told.contains(&begins) && told.contains(part), "{what}: {told}");
        assert!(told.contains("schedules.toml:3:8") && told.contains("hint: "), "{what}: {told}");
        assert!(!told.contains("Parsing error") && !told.contains("nom"), "{what}: {told}");
    }
    let told = gates(FREEZE, &whole.replace("DTSTART:", "DTSTART;TZID=Korea Standart Time:")).map(drop);
    assert_eq!(told, Ok(()), "an instant in UTC needs no zone");
    let told =
        gates(FREEZE, &whole.replace("DTSTART:", "DTSTART;TZID=Korea Standart Time:").replace("00Z", "00"));
    assert!(told.unwrap_err().contains("did you mean `Korea Standard Time`?"));
}
