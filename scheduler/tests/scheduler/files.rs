//! `schedules.toml` and headers: what is read, and what is said about mistakes while the others stay.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use aegis_engine::error::CallError;
use aegis_engine::function::Registry;
use aegis_engine::runbook::Risk;
use aegis_engine::{builtin, codes};
use aegis_scheduler::reading::{Surroundings, Target, Targets};
use aegis_scheduler::{Missed, Overlap, Plan, Skipped, Subject};

pub(crate) struct Known;

impl Targets for Known {
    fn channel(&self, target: &str, channel: &str) -> Result<(), CallError> {
        match channel {
            "ops" | "pager" => Ok(()),
            _ => Err(CallError::new(
                codes::TARGET,
                format!("target `{target}` has no notification channel `{channel}`"),
            )),
        }
    }

    fn target(&self, name: &str) -> Result<Target, CallError> {
        match name {
            "sandbox" => Ok(Target::default()),
            "prod" => Ok(Target { protected: true, most_runs: Some(2) }),
            _ => Err(CallError::new(codes::TARGET, format!("there is no target `{name}`"))
                .hint("targets are `prod` and `sandbox`")),
        }
    }
}

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| Registry::new(builtin::modules()).unwrap())
}

const BACKUP: &str = "runbook(#{ title: \"Backs up\", needs: [], risk: \"high\",\n  params: #{ bucket: #{ type: \"string\" }, \
                      keep: #{ type: \"int\", default: 7 } } });\n";

fn read(text: &str, runbooks: &[(&str, &str)]) -> Plan {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("runbooks")).unwrap();
    std::fs::write(folder.path().join("aegis.toml"), "").unwrap();
    std::fs::write(folder.path().join("schedules.toml"), text).unwrap();
    std::fs::write(folder.path().join("runbooks/backup.rhai"), BACKUP).unwrap();
    for (name, text) in runbooks {
        std::fs::write(folder.path().join("runbooks").join(name), text).unwrap();
    }
    plan_of(&folder.path().canonicalize().unwrap())
}

pub(crate) fn plan_of(root: &std::path::Path) -> Plan {
    Plan::read(&Surroundings {
        root,
        targets: &Known,
        target: "sandbox",
        libraries: &BTreeMap::new(),
        registry: registry(),
        now: crate::world::at("2026-11-23T00:00:00Z"),
        environment: None,
    })
}

fn told(plan: &Plan) -> String {
    plan.problems.iter().map(|problems| problems.render(false)).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_file_says_everything_and_a_header_the_same_with_underscores() {
    let plan = read(
        "zone = \"Asia/Seoul\"\n[schedules.nightly]\nrunbook = \"runbooks/backup.rhai\"\nwhen = \"30 2 * * *\"\n\
         target = \"prod\"\nparams = { bucket = \"s3://b\" }\njitter = \"5m\"\nmissed = \"all\"\ncatch-up = \"6h\"\n\
         skipped-hour = \"skip\"\nfrom = 2026-12-01\npause-after-failures = 3\n",
        &[
            (
                "tidy.rhai",
                "runbook(#{ title: \"Tidies\", schedule: #{ when: \"0 4 * * *\", zone: \"Europe/Berlin\", catch_up: \"2h\" } });\n",
            ),
            ("poll.rhai", "runbook(#{ title: \"Polls\", schedule: \"every 15m\" });\n"),
        ],
    );
    assert_eq!(told(&plan), "");
    let names: Vec<&str> = plan.schedules.iter().map(|schedule| &*schedule.name).collect();
    assert_eq!(names, ["nightly", "poll", "tidy"]);
    let nightly = &plan.schedules[0];
    assert!(nightly.protected && &*nightly.target == "prod");
    assert_eq!(nightly.zone.iana_name(), Some("Asia/Seoul"));
    assert_eq!((nightly.policy.missed, nightly.policy.overlap), (Missed::All, Overlap::BufferAll));
    assert_eq!(nightly.policy.skipped, Skipped::Skip);
    assert_eq!(nightly.policy.from.unwrap().to_string(), "2026-11-30T15:00:00Z");
    assert_eq!(plan.schedules[2].zone.iana_name(), Some("Europe/Berlin"));
    assert_eq!(plan.schedules[2].policy.catch_up.as_secs(), 7200);
}

/// What a file with one wrong schedule says; the other one always stays.
fn wrong(lines: &str) -> String {
    let text = format!(
        "[schedules.good]\nrunbook = \"runbooks/backup.rhai\"\nwhen = \"@daily\"\nparams = {{ bucket = \"b\" }}\n\
         [schedules.bad]\n{lines}"
    );
    let plan = read(&text, &[]);
    let names: Vec<&str> = plan.schedules.iter().map(|schedule| &*schedule.name).collect();
    assert_eq!(names, ["good"], "{}", told(&plan));
    told(&plan)
}

fn with(line: &str) -> String {
    wrong(&format!(
        "runbook = \"runbooks/backup.rhai\"\nparams = {{ bucket = \"b\" }}\nwhen = \"@daily\"\n{line}\n"
    ))
}

#[test]
fn mistakes_are_told_with_line_caret_and_hint_and_the_others_stay() {
    let said = |text: String, parts: &[&str]| {
        for part in parts {
            assert!(text.contains(part), "`{part}` is not in:\n{text}");
        }
    };
    said(
        with("zone = \"Asia/Seol\""),
        &[
            "there is no time zone `Asia/Seol`",
            "did you mean `Asia/Seoul`?",
            "schedules.toml:9:8",
            "^^^^^^^^^^^",
        ],
    );
    said(with("zone = \"KST\""), &["there is no time zone `KST`", "hint: "]);
    said(
        with("ovrelap = \"skip\""),
        &["schedule `bad` has no key `ovrelap`", "did you mean `overlap`?", "schedules.toml:9:1"],
    );
    said(
        with("overlap = \"skipp\""),
        &["expected `skip`, `buffer-one`, `buffer-all`, `cancel-other` or `allow`", "did you mean `skip`?"],
    );
    said(with("catch-up = \"soon\""), &["expected a duration", "schedules.toml:9:12"]);
    said(with("target = \"prd\""), &["there is no target `prd`", "schedules.toml:9:10"]);
    said(with("pause-after-failures = 0"), &["expected a whole number from 1 to 4294967295"]);
    said(with("until = \"some day\""), &["`some day` is no time"]);
    let runbook = "runbook = \"runbooks/backup.rhai\"\n";
    said(
        wrong(&format!("{runbook}when = \"0 0 30 2 *\"\nparams = {{ bucket = \"b\" }}\n")),
        &["the time `0 0 30 2 *` never comes", "schedules.toml:7:8"],
    );
    said(
        wrong(&format!("{runbook}params = {{ bucket = \"b\" }}\n")),
        &["schedule `bad` does not say when", "add `when = "],
    );
    said(
        wrong("runbook = \"runbooks/bakup.rhai\"\nwhen = \"@daily\"\n"),
        &["there is no runbook `runbooks/bakup.rhai`", "did you mean `runbooks/backup.rhai`?"],
    );
    said(
        wrong(&format!("{runbook}when = \"@daily\"\n")),
        &["parameter `bucket` is missing", "params = { bucket = ... }", "declared here"],
    );
    said(
        wrong(&format!("{runbook}when = \"@daily\"\nparams = {{ bucket = \"b\", keep = \"many\" }}\n")),
        &["parameter `keep` must be int", "schedules.toml:8:26"],
    );
    said(
        wrong(&format!("{runbook}when = \"@daily\"\nparams = {{ bucket = \"b\", kep = 1 }}\n")),
        &["no parameter `kep`", "did you mean `keep`?"],
    );
    said(wrong("when = \"@daily\"\n"), &["schedule `bad` names no runbook"]);
    said(with("paused = \"  \""), &["a reason is missing", "schedules.toml:9:10", "hint: say why"]);
    for outside in ["../x.rhai", "runbooks/../../x.rhai", "/etc/x.rhai"] {
        said(
            wrong(&format!("runbook = \"{outside}\"\nwhen = \"@daily\"\n")),
            &[&format!("the runbook `{outside}` is outside of the project"), "schedules.toml:6:11"],
        );
    }
}

#[test]
fn what_contradicts_itself_and_never_comes_is_refused_and_what_is_merely_over_is_not() {
    // Read on the 23rd of November 2026.
    let lines = |when: &str, bounds: &str| {
        format!(
            "runbook = \"runbooks/backup.rhai\"\nparams = {{ bucket = \"b\" }}\nwhen = \"{when}\"\n{bounds}"
        )
    };
    let never = [
        ("0 0 2 ? * SUN 2020", "", "the years of `0 0 2 ? * SUN 2020` are over", "8:8"),
        ("0 0 2 ? * SUN 2019-2026", "from = 2027-01-01\n", "at or after its `from`", "8:8"),
        ("0 0 2 ? * SUN 2028", "until = 2027-12-31\n", "before its `until`", "8:8"),
        (
            "0 0 30 * *",
            "from = 2027-02-01\nuntil = 2027-03-01\n",
            "between its `from` and its `until`",
            "8:8",
        ),
        ("2026-12-24T18:00", "from = 2027-01-01\n", "at or after its `from`", "8:8"),
        ("@daily", "from = 2026-12-24\nuntil = 2026-12-01\n", "it ends before it begins", "10:9"),
        ("every 1h", "from = 2026-12-24\nuntil = 2026-12-24\n", "it ends before it begins", "10:9"),
        (
            "2027-03-28T02:30",
            "zone = \"Europe/Berlin\"\nskipped-hour = \"skip\"\n",
            "clocks jump over",
            "8:8",
        ),
        ("2027-02-30T02:30", "", "is on no calendar: it never comes", "8:8"),
    ];
    for (when, bounds, part, place) in never {
        let told = wrong(&lines(when, bounds));
        let has = [part, &format!("schedules.toml:{place}"), "hint: "].iter().all(|part| told.contains(part));
        assert!(has, "{when} {bounds}: {told}");
    }
    for (when, bounds) in [
        ("@daily", "until = 2020-01-01\n"),
        ("0 0 2 ? * SUN 2020", "until = 2021-01-01\n"),
        ("2020-12-24T18:00", ""),
        ("0 0 2 ? * SUN 2026-2027", ""),
        ("0 0 30 * *", "from = 2027-01-30\nuntil = 2027-01-31\n"),
        ("2027-03-28T02:30", "zone = \"Europe/Berlin\"\n"),
        ("every 1h", "from = 2027-01-01\nuntil = 2027-01-02\n"),
    ] {
        let plan = read(&format!("[schedules.a]\n{}", lines(when, bounds)), &[]);
        assert_eq!((told(&plan), plan.schedules.len()), (String::new(), 1), "{when} {bounds}");
    }
    let header = "runbook(#{ title: \"T\", schedule: #{ when: \"@daily\", from: \"2027-01-02\", until: \"2027-01-01\" } });\n";
    let plan = read("", &[("tidy.rhai", header)]);
    assert!(told(&plan).contains("it ends before it begins"), "{}", told(&plan));
}

#[test]
fn a_header_is_told_about_in_its_own_file_and_a_name_is_taken_once() {
    let plan = read(
        "[schedules.tidy]\nrunbook = \"runbooks/backup.rhai\"\nwhen = \"@daily\"\nparams = { bucket = \"b\" }\n",
        &[
            ("tidy.rhai", "runbook(#{ title: \"Tidies\", schedule: \"0 4 * * *\" });\n"),
            (
                "odd.rhai",
                "runbook(#{\n  title: \"Odd\",\n  schedule: #{ when: \"0 4 * * *\", zon: \"UTC\" },\n});\n",
            ),
        ],
    );
    let told = told(&plan);
    assert!(told.contains("there are two schedules `tidy`") && told.contains("schedules.toml:1"), "{told}");
    assert!(told.contains("`odd` has no key `zon`") && told.contains("runbooks/odd.rhai:3"), "{told}");
    assert_eq!(plan.schedules.len(), 1);
}

const SEOUL: &str =
    "runbook(#{ title: \"Sweeps\", schedule: #{ when: \"0 5 * * *\", zone: \"Asia/Seoul\" } });\n";
const FILES: &str = "runbook(#{ title: \"Tidies\", schedule: \"0 4 * * *\" });\n";

fn names(plan: &Plan) -> Vec<&str> {
    plan.schedules.iter().map(|schedule| &*schedule.name).collect()
}

#[test]
fn a_file_that_is_no_toml_is_told_and_what_needs_nothing_of_it_stays() {
    let plan = read("[schedules\n", &[("tidy.rhai", FILES), ("sweep.rhai", SEOUL)]);
    assert!(told(&plan).contains("`schedules.toml` is no TOML"), "{}", told(&plan));
    assert_eq!((names(&plan), plan.refused.as_slice()), (vec!["sweep"], &["tidy".to_owned()][..]));
    assert!(plan.unreadable && is_shut(&plan));
}

#[test]
fn a_wrong_zone_of_the_file_moves_no_schedule() {
    let daily = "[schedules.d]\nrunbook = \"runbooks/backup.rhai\"\nwhen = \"0 3 * * *\"\nparams = { bucket = \"b\" }\n";
    let own = daily.replace("schedules.d", "schedules.own") + "zone = \"Asia/Seoul\"\n";
    let plan = read(&format!("zone = \"Asia/Soul\"\n{daily}{own}"), &[("tidy.rhai", FILES)]);
    let told = told(&plan);
    assert!(told.contains("the zone of `d` is that of `schedules.toml`, which has mistakes"), "{told}");
    assert!(told.contains("schedules.toml:1:8") && told.contains("Asia/Seoul"), "{told}");
    assert_eq!(names(&plan), ["own"]);
    assert_eq!(plan.refused, ["d", "tidy"]);
}

/// Whether nothing runs by itself, however harmless.
fn is_shut(plan: &Plan) -> bool {
    let subject = Subject { risk: Risk::Low, target: "sandbox", protected: false, scheduled: true };
    let refused = plan.gates.admit(&subject, jiff::Timestamp::now()).err();
    // A record says where to look.
    refused.is_some_and(|refused| {
        refused.note() == "freeze `mistakes in the windows or freezes of schedules.toml`"
    })
}

#[test]
fn windows_and_freezes_with_mistakes_let_nothing_through() {
    for wrong in [
        "[windows.sunday]\nwhen = \"0 2 * * 0\"\nlasts = \"2 parsecs\"\n",
        "[freezes.now]\nfrom = \"2026-11-20\"\nuntil = \"2026-11-3O\"\n",
        "[freezes.company]\nfile = \"missing.ics\"\n",
        "zone = \"Asia/Soul\"\n[freezes.now]\nfrom = \"2020-01-01\"\nuntil = \"2020-01-02\"\n",
    ] {
        let plan = read(wrong, &[("sweep.rhai", SEOUL)]);
        assert!(plan.gates_refused && is_shut(&plan), "{wrong}");
        assert_eq!(names(&plan), ["sweep"], "{wrong}");
    }
    assert!(!is_shut(&read("[freezes.then]\nfrom = \"2020-01-01\"\nuntil = \"2020-01-02\"\n", &[])));
}

#[test]
fn a_group_a_priority_and_the_limit_of_the_target_are_read() {
    let plan = read(
        "[schedules.a]\nrunbook = \"runbooks/backup.rhai\"\nwhen = \"@daily\"\nparams = { bucket = \"b\" }\n\
         target = \"prod\"\ngroup = \"database/orders\"\npriority = 7\n",
        &[],
    );
    assert!(plan.problems.is_empty(), "{}", told(&plan));
    let schedule = &plan.schedules[0];
    assert_eq!(schedule.group.as_deref(), Some("database/orders"));
    assert_eq!((schedule.policy.priority, schedule.most_on_target), (7, Some(2)));
    for right in [0, -3, i32::MIN, i32::MAX] {
        let plan = read(
            &format!(
                "[schedules.a]\nrunbook = \"runbooks/backup.rhai\"\nwhen = \"@daily\"\nparams = {{ bucket = \"b\" }}\npriority = {right}\n"
            ),
            &[],
        );
        assert!(plan.problems.is_empty(), "{}", told(&plan));
        assert_eq!(plan.schedules[0].policy.priority, right);
    }
    for wrong in ["priority = 2147483648", "priority = 1.5", "priority = \"high\""] {
        assert!(
            with(wrong).contains("a whole number from -2147483648 to 2147483647"),
            "{wrong}: {}",
            with(wrong)
        );
    }
}
