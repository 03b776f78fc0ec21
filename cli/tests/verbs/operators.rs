//! What operators do: run, plan, decide, cancel, look.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::project::{Done, Project, finished};

/// Touches a file, then fails until there is another.
const NEEDS_A_FILE: &str = "
runbook(#{ title: \"Needs a file\", needs: [\"exec:run\"] });
step(\"touch\", || exec::run(\"touch\", [\"touched\"]));
step(\"look\", || exec::run(\"ls\", [\"wanted\"]));
log(\"done\");
";

/// Makes something in the cluster, then waits for long.
const WAITS: &str = "
runbook(#{ title: \"Waits\", needs: [\"k8s:change\"] });
step(\"make\", || k8s::apply(#{ apiVersion: \"v1\", kind: \"Namespace\", metadata: #{ name: \"shop\" } }));
step(\"wait\", || time::sleep(\"1h\"));
";

fn runs(project: &Project) -> Vec<(String, String)> {
    let runs = project.aegis(&["runs", "--output", "json"]).ended(0).json();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    runs[0].as_array().into_iter().flatten().map(|run| (text(&run["id"]), text(&run["status"]))).collect()
}

#[test]
fn a_failed_run_is_shown_and_retried_without_repeating_what_worked() {
    let project = Project::new(&[("runbooks/a.rhai", NEEDS_A_FILE)]);
    let run = project.aegis(&["run", "runbooks/a.rhai"]).ended(1);
    assert!(run.talk.contains("next: aegis retry a-"), "{}", run.talk);
    let show = project.aegis(&["show"]).ended(0).out;
    assert!(show.contains("status   failed"), "{show}");
    assert!(show.contains("runbooks/a.rhai:3:17"), "{show}");
    std::fs::remove_file(project.path("touched")).unwrap();
    project.write("wanted", "");
    // A retry that is refused leaves the run as it was.
    project.write("runbooks/a.rhai", "runbook(");
    project.aegis(&["retry", "last", "--script", "current"]).ended(2);
    assert_eq!(runs(&project)[0].1, "failed");
    project.write("runbooks/a.rhai", NEEDS_A_FILE);
    project.aegis(&["retry", "last", "--note", "made the file"]).ended(0);
    assert!(!project.path("touched").exists(), "a completed effect was repeated");
    assert_eq!(runs(&project)[0].1, "succeeded");
    let logs = project.aegis(&["logs"]).ended(0).out;
    assert!(logs.contains("retry by") && logs.contains(": made the file"), "{logs}");
    assert!(project.aegis(&["verify"]).ended(0).out.contains("holds"));
    project.aegis(&["replay"]).ended(0);
}

#[test]
fn a_retry_that_is_refused_leaves_the_run_failed() {
    let text = "
runbook(#{ title: \"A\", needs: [\"exec:run\"], params: #{ key: #{ type: \"string\", secret: true } } });
step(\"look\", || exec::run(\"ls\", [\"wanted\"]));
";
    let project = Project::new(&[("runbooks/a.rhai", text)]);
    let with_key = |arguments: &[&str]| {
        finished(project.command(arguments).env("AEGIS_PARAM_KEY", "s3cret").spawn().unwrap())
    };
    with_key(&["run", "runbooks/a.rhai"]).ended(1);
    let told = project.aegis(&["retry", "last"]).ended(2).talk;
    assert!(told.contains("AEGIS_PARAM_KEY"), "{told}");
    assert_eq!(runs(&project)[0].1, "failed");
    project.write("wanted", "");
    with_key(&["retry", "last"]).ended(0);
}

#[test]
fn what_could_not_be_taken_back_says_why_and_is_marked_done_by_hand() {
    let project = Project::new(&[(
        "runbooks/a.rhai",
        "
runbook(#{ title: \"A\", needs: [\"exec:run\"] });
fn back(file) { exec::run(\"touch\", [\"asked\"]); exec::run(\"ls\", [file]); }
undo::with(\"back\", [\"wanted\"]);
exec::run(\"touch\", [\"touched\"]);
throw \"enough\";
",
    )]);
    project.aegis(&["run", "runbooks/a.rhai"]).ended(1);
    let left = project.aegis(&["undo", "last"]).ended(1).talk;
    assert!(
        left.contains("not undone: call back (/undo::with#0)\n")
            && left.contains("undo::with#0~undo' --note"),
        "{left}"
    );
    std::fs::remove_file(project.path("asked")).unwrap();
    let leftovers = project.aegis(&["leftovers"]).ended(0).out;
    assert!(leftovers.contains("LAST TRY") && leftovers.contains("`ls` ended with"), "{leftovers}");
    project.aegis(&["undo", "last"]).ended(1);
    assert!(!project.path("asked").exists(), "what worked of it was done again");
    project.aegis(&["mark-done", "last", "undo::with#0~undo", "--note", "put back by hand"]).ended(0);
    assert!(!project.aegis(&["leftovers"]).ended(0).out.contains("undo::with"));
    let nothing = project.aegis(&["undo", "last"]).ended(0).talk;
    assert!(nothing.contains("has nothing to take back"), "{nothing}");
}

#[test]
fn edits_inside_of_what_is_over_are_told_when_a_run_goes_on_with_the_current_script() {
    let text = r#"
runbook(#{ title: "A", needs: ["exec:run"] });
fn work(zone) {
    step(`drain ${zone}`, || { log(`draining ${zone}`); 1 });
}
step("prepare", || {
    step("inner", || log("one"));
});
for zone in ["a", "b"] { work(zone); }
parallel([1, 2], #{ max: 1 }, |i| i);
step("last", #{ timeout: "9m" }, || exec::run("test", ["-e", "wanted"]));
"#;
    let project = Project::new(&[("runbooks/a.rhai", text)]);
    project.aegis(&["run", "runbooks/a.rhai"]).ended(1);
    let id = runs(&project)[0].0.clone();
    let retried = |text: &str, exit: i32| {
        project.write("runbooks/a.rhai", text);
        project.aegis(&["retry", "last", "--script", "current"]).ended(exit).talk
    };
    let harmless =
        text.replace("|| { log(", "|| {\n        // A remark.\n        log(").replace("\"9m\"", "\"8m\"");
    assert!(!retried(&harmless, 1).contains("warning"));
    let edited =
        text.replace("\"one\"", "\"two\"").replace("draining", "emptying").replace("max: 1", "max: 2");
    project.write("wanted", "");
    let talk = retried(&edited, 0);
    for told in [
        "warning[A0201]: step `prepare` is done; the change in its body has no effect\n  ┌─ runbooks/a.rhai:5:1\n",
        "steps `drain a` and `drain b` are done; the change in their body has no effect",
        "the parallel block is done; the change in its options has no effect",
        &format!("`aegis fork {id} --from 'prepare' --script current` runs it as it is now, in a new run"),
    ] {
        assert!(talk.contains(told), "`{told}` is missing:\n{talk}");
    }
    assert_eq!(talk.matches("warning").count(), 3, "{talk}");
    assert!(!talk.contains("emptying a\n"), "{talk}");
}

#[test]
fn a_step_that_was_done_by_hand_is_marked_and_the_run_goes_on() {
    let project = Project::new(&[("runbooks/a.rhai", NEEDS_A_FILE)]);
    project.aegis(&["run", "runbooks/a.rhai"]).ended(1);
    project.aegis(&["mark-done", "last", "look"]).ended(2);
    let marked = project.aegis(&["mark-done", "last", "look", "--note", "looked myself"]).ended(0);
    assert!(marked.talk.contains("next: aegis retry"), "{}", marked.talk);
    project.aegis(&["retry", "last"]).ended(0);
    project.aegis(&["fork", "last", "--from", "look"]).ended(1);
    assert_eq!(runs(&project).len(), 2);
}

#[test]
fn events_for_programs_are_json_lines_and_nothing_else() {
    let project = Project::new(&[("runbooks/a.rhai", NEEDS_A_FILE), ("wanted", "")]);
    let events = project.aegis(&["run", "runbooks/a.rhai", "--output", "json"]).ended(0).json();
    assert_eq!(events[0]["kind"], "started");
    let last = events.last().unwrap();
    assert_eq!(last["event"], "concluded");
    assert_eq!(last["verdict"], "succeeded");
    let show = project.aegis(&["show", "--output", "json"]).ended(0).json();
    assert_eq!(show[0]["run"]["status"], "succeeded");
}

#[test]
fn wrong_parameters_are_told_all_at_once() {
    let project = Project::new(&[(
        "runbooks/a.rhai",
        "runbook(#{ title: \"A\", params: #{ n: #{ type: \"int\", max: 3 }, m: #{} } });\n",
    )]);
    let run = project.aegis(&["run", "runbooks/a.rhai", "-p", "n=4", "-p", "mm=1"]).ended(2);
    let twice = project.aegis(&["run", "runbooks/a.rhai", "-p", "n=1", "-p", "n=2"]).ended(2);
    assert!(twice.talk.contains("parameter `n` is given twice"), "{}", twice.talk);
    for told in
        ["has no parameter `mm`", "parameter `m` is missing", "parameter `n` must be at most 3, not 4"]
    {
        assert!(run.talk.contains(told), "{}", run.talk);
    }
}

#[test]
fn a_file_of_parameters_is_read_and_what_is_wrong_with_it_is_told_with_its_place() {
    let project = Project::new(&[
        (
            "runbooks/a.rhai",
            "runbook(#{ title: \"A\", params: #{ n: #{ type: \"int\" } } });\nlog(`n ${params.n}`);\n",
        ),
        ("good.yaml", "n: 2\n"),
        ("good.json", "{\"n\": 3}"),
        ("twice.yaml", "n: 1\nn: 2\n"),
        ("open.yaml", "n: [1\n"),
        ("list.yaml", "- 1\n"),
        ("empty.yaml", ""),
    ]);
    let run = |arguments: &[&str]| project.aegis(&[&["run", "runbooks/a.rhai"], arguments].concat());
    assert!(run(&["--params", "good.yaml"]).ended(0).talk.contains("n 2"));
    assert!(run(&["--params", "good.json", "-p", "n=4"]).ended(0).talk.contains("n 4"));
    let table = [
        ("twice.yaml", "duplicate mapping key `n` is not allowed here\n  ┌─ twice.yaml:2:1"),
        ("open.yaml", "unclosed bracket '['\n  ┌─ open.yaml:1:4"),
        ("list.yaml", "`list.yaml` must be one map of parameters"),
        ("empty.yaml", "parameter `n` is missing"),
        ("none.yaml", "`none.yaml` cannot be read: No such file"),
        ("/dev/zero", "`/dev/zero` cannot be read: it is larger than 4 MiB"),
    ];
    for (file, told) in table {
        let refused = run(&["--params", file]).ended(2);
        assert!(refused.talk.starts_with("error[A0003]") && refused.talk.contains(told), "{}", refused.talk);
    }
}

#[test]
fn a_protected_target_wants_its_name() {
    let project = Project::new(&[
        ("runbooks/a.rhai", NEEDS_A_FILE),
        ("wanted", ""),
        ("aegis.toml", "[targets.prod]\nprotected = true\n"),
    ]);
    let refused = project.aegis(&["run", "runbooks/a.rhai", "--target", "prod"]).ended(3);
    assert!(refused.talk.contains("add `--yes-on prod`"), "{}", refused.talk);
    project.aegis(&["run", "runbooks/a.rhai", "--target", "prod", "--yes-on", "sandbox"]).ended(3);
    project.aegis(&["run", "runbooks/a.rhai", "--target", "prod", "--yes-on", "prod"]).ended(0);
    assert!(
        project.aegis(&["run", "runbooks/a.rhai", "--target", "prd"]).talk.contains("did you mean `prod`?")
    );
}

#[test]
fn step_asks_before_each_effect() {
    let project = Project::new(&[("runbooks/a.rhai", NEEDS_A_FILE), ("wanted", "")]);
    let stepped = project.answering(&["run", "--step", "runbooks/a.rhai"], "s\nalready there\nx\n");
    assert!(!project.path("touched").exists());
    assert!(stepped.talk.contains("skipped run `touch touched`: already there"), "{}", stepped.talk);
    assert_eq!(stepped.ended(3).out, "");
}

#[test]
fn effects_stop_while_they_are_halted() {
    let project = Project::new(&[("runbooks/a.rhai", NEEDS_A_FILE), ("wanted", "")]);
    project.aegis(&["halt", "incident 7"]).ended(0);
    let run = project.aegis(&["run", "runbooks/a.rhai"]).ended(3);
    assert!(run.talk.contains("incident 7") && run.talk.contains("aegis unhalt"), "{}", run.talk);
    assert!(!project.path("touched").exists());
    project.aegis(&["unhalt"]).ended(0);
    project.aegis(&["resume", "last"]).ended(0);
}

#[test]
fn the_reason_of_a_halt_is_given_in_one_of_two_ways() {
    let project = Project::new(&[]);
    let halted = project.aegis(&["halt", "--reason", "incident 7", "--output", "json"]).ended(0);
    assert_eq!(halted.json()[0]["reason"], "incident 7");
    for refused in [&["halt"][..], &["halt", "one", "--reason", "other"]] {
        project.aegis(refused).ended(2);
    }
}

#[test]
fn an_error_that_nobody_catches_tells_no_secret_and_no_trace_of_one() {
    let text = r#"
runbook(#{ title: "A", params: #{ way: #{ type: "int" }, token: #{ secret: true } } });
switch params.way {
    1 => throw `no entry with ${params.token}`,
    2 => throw #{ message: `no ${params.token}`, hint: `not ${params.token}` },
    3 => throw params.token,
    4 => throw [params.token, `a ${params.token}`, 7],
    5 => step("enter", || { throw `no entry with ${params.token}` }),
    _ => #{ kept: params.token },
}
"#;
    let project = Project::new(&[("runbooks/a.rhai", text)]);
    // The second is too short to be looked for, and all the more must not leave a trace.
    for secret in ["t-0123456789", "abc"] {
        for (way, told) in [
            (1, "no entry with ***"),
            (2, "no ***"),
            (3, "***"),
            (4, r#"["***","***",7]"#),
            (5, "no entry with ***"),
        ] {
            let mut command = project.command(&["run", "runbooks/a.rhai", "-p", &format!("way={way}")]);
            let run = finished(command.env("AEGIS_PARAM_TOKEN", secret).spawn().unwrap()).ended(1);
            assert!(run.talk.contains(&format!("error[A0011]: {told}\n")), "{}", run.talk);
            let shown = project.aegis(&["show", "last"]).ended(0);
            assert!(shown.out.contains(told) || shown.talk.contains(told), "{shown:?}");
        }
    }
}

#[test]
fn an_approval_is_given_by_somebody_else_and_the_run_goes_on() {
    let project = Project::new(&[(
        "runbooks/a.rhai",
        "runbook(#{ title: \"A\" });\napproval::ask(\"go?\", #{ details: #{ change: 4711 } });\nlog(\"went\");\n",
    )]);
    let run = project.aegis(&["run", "runbooks/a.rhai", "--operator", "ada"]).ended(4);
    assert!(run.talk.contains("aegis approve"), "{}", run.talk);
    let shown = project.aegis(&["show"]).ended(0).out;
    assert!(shown.contains("waits for an approval: go?") && shown.contains("\"change\": 4711"), "{shown}");
    let own = project.aegis(&["approve", "last", "--operator", "ada"]);
    assert!(own.talk.contains("cannot approve it"), "{}", own.talk);
    project.aegis(&["approve", "last", "--operator", "grace", "--note", "fine"]).ended(0);
    assert!(project.aegis(&["resume", "last"]).ended(0).talk.contains("went"));
}

/// Runs until a line of talk, then interrupts.
fn interrupted(project: &Project, runbook: &str, line: &str) -> Done {
    let mut child = project.command(&["run", runbook]).stdout(Stdio::null()).spawn().unwrap();
    let mut talk = BufReader::new(child.stderr.take().unwrap());
    let mut seen = String::new();
    while !seen.contains(line) {
        assert!(talk.read_line(&mut seen).unwrap() > 0, "it ended before `{line}`:\n{seen}");
    }
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut talk, &mut rest).unwrap();
    let done = finished(child);
    Done { talk: seen + rest.as_str(), ..done }
}

#[test]
fn ctrl_c_cancels_and_undoes() {
    let project = Project::new(&[("runbooks/a.rhai", WAITS)]);
    let run = interrupted(&project, "runbooks/a.rhai", "> wait").ended(130);
    assert!(run.talk.contains("undone"), "{}", run.talk);
    assert_eq!(runs(&project)[0].1, "cancelled");
    let leftovers = project.aegis(&["leftovers", "--output", "json"]).ended(0).json();
    assert_eq!(leftovers[0].as_array().map(Vec::len), Some(0));
}

/// A program that ends only a while after it was asked to; the log line comes when it is ready to be asked.
const SLOW_TO_STOP: &str = r#"
runbook(#{ title: "Slow to stop", needs: ["exec:run"] });
let stops = "trap 'sleep 1; touch stopped; exit 0' TERM; touch ready; while :; do sleep 0.1; done";
let ready = "while ! test -e ready; do sleep 0.05; done";
parallel([stops, ready], |command| {
    exec::run("sh", ["-c", command]);
    log("somebody is ready");
    time::sleep("1h");
});
"#;

#[test]
fn a_run_is_over_when_what_it_stopped_has_stopped() {
    let project = Project::new(&[("runbooks/a.rhai", SLOW_TO_STOP)]);
    interrupted(&project, "runbooks/a.rhai", "somebody is ready").ended(130);
    assert!(project.path("stopped").exists(), "the program is still stopping, or was killed");
}

#[test]
fn every_run_has_a_log_file_of_json_lines() {
    let project = Project::new(&[("runbooks/a.rhai", NEEDS_A_FILE)]);
    project.aegis(&["run", "runbooks/a.rhai"]).ended(1);
    project.write("wanted", "");
    project.aegis(&["retry", "last"]).ended(0);
    let run = runs(&project)[0].0.clone();
    let text = std::fs::read_to_string(project.path(&format!(".aegis/logs/{run}.jsonl"))).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let recorded: Vec<_> = lines.iter().filter(|line| line["event"] == "recorded").collect();
    let journal = project.aegis(&["logs", "--output", "json"]).ended(0).json();
    assert_eq!(recorded.len(), journal.len());
    assert!(recorded.iter().zip(&journal).all(|(line, entry)| line["hash"] == entry["hash"]));
    assert!(lines.iter().all(|line| line["at"].is_string()));
}

#[test]
fn a_plan_shows_the_changes_and_makes_none() {
    let project = Project::new(&[("runbooks/a.rhai", NEEDS_A_FILE)]);
    let plan = project.aegis(&["plan", "runbooks/a.rhai"]).ended(0);
    assert!(plan.out.contains("run `touch touched`"), "{}", plan.out);
    assert!(plan.out.contains("2 changes to make, 0 already so, plan "), "{}", plan.out);
    assert!(!project.path("touched").exists());
    assert!(runs(&project).is_empty());
}

#[test]
fn the_sandbox_lives_between_commands() {
    let project = Project::new(&[]);
    assert_eq!(project.aegis(&["sandbox", "status"]).ended(0).out, "not running\n");
    assert!(project.aegis(&["sandbox", "up"]).ended(0).out.starts_with("running at https://127.0.0.1:"));
    let config = project.aegis(&["sandbox", "kubeconfig"]).ended(0).out;
    assert!(config.contains("current-context: sandbox"), "{config}");
    assert_eq!(project.aegis(&["sandbox", "down"]).ended(0).out, "not running\n");
    project.aegis(&["sandbox", "reset"]).ended(0);
}

#[test]
fn a_state_directory_that_cannot_be_used_is_one_clear_error() {
    let project = Project::new(&[("file", "x")]);
    let runs = project.aegis(&["runs", "--state-dir", "file"]).ended(6);
    assert!(runs.talk.starts_with("error[A0202]: cannot use the state directory `file`"), "{}", runs.talk);
    assert!(runs.talk.contains("choose another with `--state-dir`"), "{}", runs.talk);
}

#[test]
fn a_high_risk_run_on_a_protected_target_needs_somebody_else() {
    let project = Project::new(&[
        ("runbooks/a.rhai", "runbook(#{ title: \"Cut over\", risk: \"high\" });\nlog(\"went\");\n"),
        ("aegis.toml", "[targets.prod]\nprotected = true\n"),
        ("schedules.toml", "windows = {}\n"),
    ]);
    let run = ["run", "runbooks/a.rhai", "--target", "prod", "--operator", "ada"];
    let refused = project.aegis(&run).ended(3);
    assert!(refused.talk.contains("add `--yes-on prod`"), "{}", refused.talk);
    let asked = project.aegis(&[&run[..], &["--yes-on", "prod"]].concat()).ended(4);
    let id = runs(&project)[0].0.clone();
    for line in ["run `Cut over` (high risk) on the protected target `prod`?", &format!("aegis approve {id}")]
    {
        assert!(asked.talk.contains(line), "`{line}` is missing: {}", asked.talk);
    }
    assert!(!asked.talk.contains("went"));
    project.aegis(&["approve", "last", "--operator", "ada"]).ended(3);
    project.aegis(&["approve", "last", "--operator", "grace"]).ended(0);
    let resumed = project.aegis(&["resume", "last", "--yes-on", "prod"]).ended(0);
    assert!(resumed.talk.contains("went"), "{}", resumed.talk);
}

#[test]
fn the_journal_is_followed_until_the_run_ends() {
    let project = Project::new(&[(
        "runbooks/a.rhai",
        "runbook(#{ title: \"A\", needs: [\"exec:run\"] });\nstep(\"wait\", || exec::run(\"sh\", \
         [\"-c\", \"until test -e go; do sleep 0.05; done\"]));\n",
    )]);
    let run = project.command(&["run", "runbooks/a.rhai"]).spawn().unwrap();
    while !runs(&project).iter().any(|(_, status)| status == "running") {
        std::thread::yield_now();
    }
    let mut follower = project.command(&["logs", "last", "--follow"]).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap());
    let mut seen = String::new();
    while !seen.contains("entered   /wait#0") {
        assert!(lines.read_line(&mut seen).unwrap() > 0, "{seen}");
    }
    project.write("go", "");
    std::io::Read::read_to_string(&mut lines, &mut seen).unwrap();
    assert!(seen.trim_end().ends_with("succeeded"), "{seen}");
    finished(follower).ended(0);
    finished(run).ended(0);
}

#[test]
fn diagnostics_for_programs_are_json() {
    let project = Project::new(&[("runbooks/a.rhai", NEEDS_A_FILE), ("wanted", "")]);
    let logged =
        |arguments: &[&str]| finished(project.command(arguments).env("AEGIS_LOG", "trace").spawn().unwrap());
    let run = logged(&["plan", "runbooks/a.rhai", "--output", "json"]).ended(0);
    for line in run.talk.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
    let wrong = finished(project.command(&["runs"]).env("AEGIS_LOG", "a=b=c").spawn().unwrap()).ended(2);
    assert!(wrong.talk.contains("`AEGIS_LOG` is no filter"), "{}", wrong.talk);
}

/// Two branches that ask at once.
const ASKS_TWICE: &str =
    "runbook(#{ title: \"A\" });\nparallel([\"a\", \"b\"], |zone| approval::ask(`move ${zone}?`));\n";

/// The lines that a person is told to type next.
fn next_lines(talk: &str) -> Vec<&str> {
    let lines = talk.lines().filter_map(|line| line.trim().strip_prefix("next: "));
    lines.map(|line| line.split(", then ").next().unwrap_or(line)).collect()
}

/// Types a line of a shell.
fn typed(project: &Project, line: &str, more: &[&str]) -> Done {
    let words = line.strip_prefix("aegis ").unwrap().replace('\'', "");
    project.aegis(&[&words.split(' ').collect::<Vec<_>>()[..], more].concat())
}

#[test]
fn of_several_questions_each_line_to_type_next_names_its_own() {
    let project = Project::new(&[("runbooks/a.rhai", ASKS_TWICE)]);
    let asked = project.aegis(&["run", "runbooks/a.rhai", "--operator", "ada"]).ended(4);
    let shown = project.aegis(&["show"]).ended(0).out;
    let mut lines = next_lines(&asked.talk);
    lines.sort_unstable();
    assert_eq!(lines.len(), 2, "{}", asked.talk);
    let mut told = next_lines(&shown);
    told.sort_unstable();
    assert_eq!(told, lines, "{shown}");
    let first = typed(&project, lines[0], &["--operator", "grace"]).ended(0);
    let left = next_lines(&first.talk);
    assert_eq!(left.len(), 1, "{}", first.talk);
    let second = typed(&project, left[0], &["--operator", "grace"]).ended(0);
    let resume = next_lines(&second.talk);
    assert!(resume[0].starts_with("aegis resume "), "{}", second.talk);
    typed(&project, resume[0], &[]).ended(0);
}

#[test]
fn lines_to_type_next_have_what_a_protected_target_and_a_shut_window_want() {
    let project = Project::new(&[
        (
            "runbooks/a.rhai",
            "runbook(#{ title: \"A\", risk: \"high\", needs: [\"exec:run\"] });\nexec::run(\"ls\", [\"wanted\"]);\n",
        ),
        ("aegis.toml", "[targets.prod]\nprotected = true\n"),
        ("schedules.toml", "[windows.never]\nwhen = \"0 0 1 1 *\"\nlasts = \"1s\"\n"),
    ]);
    let run = ["run", "runbooks/a.rhai", "--target", "prod", "--operator", "ada"];
    let line = "`aegis run runbooks/a.rhai --target prod --operator ada --yes-on prod";
    let refused = project.aegis(&run).ended(3);
    assert!(refused.talk.contains(&format!("{line}`")), "{}", refused.talk);
    let glass = ["--yes-on", "prod", "--break-glass", "now"];
    let asked = project.aegis(&[&run[..], &glass].concat()).ended(4);
    assert!(asked.talk.contains(" --yes-on prod"), "{}", asked.talk);
    let approved = project.aegis(&["approve", "last", "--operator", "grace"]).ended(0);
    let next = next_lines(&approved.talk);
    assert!(next[0].ends_with(" --yes-on prod --break-glass 'WHY IT CANNOT WAIT'"), "{}", approved.talk);
    let resume = next[0].replace("WHY IT CANNOT WAIT", "now");
    let failed = typed(&project, &resume, &[]).ended(1);
    let retry = next_lines(&failed.talk)[0].replace("WHY IT CANNOT WAIT", "now");
    project.write("wanted", "");
    typed(&project, &retry, &[]).ended(0);
}

#[test]
fn a_mistake_in_the_configuration_stops_nobody_from_stopping_everything() {
    for mistake in
        ["[targets.prod]\nprotecte = true\n", "target = \n", "[serv]\nlisten = \"x\"\n", "[targets\n"]
    {
        let project = Project::new(&[("runbooks/a.rhai", NEEDS_A_FILE), ("wanted", "")]);
        project.aegis(&["run", "runbooks/a.rhai", "--state-dir", "elsewhere"]).ended(0);
        project.write("aegis.toml", &format!("state-dir = \"elsewhere\"\n{mistake}"));
        project.aegis(&["plan", "runbooks/a.rhai"]).ended(2);
        let halted = project.aegis(&["halt", "incident"]).ended(0);
        assert!(
            halted.talk.contains("warning[A0300]") && halted.talk.contains("aegis.toml:"),
            "{}",
            halted.talk
        );
        for line in [&["runs"][..], &["show", "last"], &["logs", "last"]] {
            project.aegis(line).ended(0);
        }
        project.aegis(&["cancel", "last"]).ended(2);
        project.write("aegis.toml", "state-dir = \"elsewhere\"\n");
        project.aegis(&["run", "runbooks/a.rhai"]).ended(3);
        project.write("aegis.toml", &format!("state-dir = \"elsewhere\"\n{mistake}"));
        assert!(project.aegis(&["unhalt"]).ended(0).talk.contains("incident"));
    }
    // Nobody halts in the wrong place.
    for mistake in ["state-dri = \"elsewhere\"\n", "state-dir = 7\n", "[databse]\nurl = \"x\"\n"] {
        let project = Project::new(&[("aegis.toml", mistake)]);
        project.aegis(&["halt", "incident"]).ended(2);
        assert!(!project.path(".aegis").exists());
    }
}

#[test]
fn a_second_halt_does_not_take_the_first_ones_reason() {
    let project = Project::new(&[]);
    project.aegis(&["halt", "incident 7", "--operator", "ada"]).ended(0);
    let second = project.aegis(&["halt", "another", "--operator", "grace"]).ended(3);
    assert!(second.talk.contains("halted already, by ada at "), "{}", second.talk);
    assert!(second.talk.contains(": incident 7\n"), "{}", second.talk);
    let replaced = project.aegis(&["halt", "another", "--replace", "--operator", "grace"]).ended(0);
    assert!(replaced.talk.contains("in the place of the reason of ada: incident 7"), "{}", replaced.talk);
    assert!(project.aegis(&["unhalt"]).ended(0).talk.contains("grace: another"));
}

#[test]
fn who_only_looks_makes_no_folder() {
    let project = Project::new(&[]);
    for line in [&["runs"][..], &["leftovers"], &["verify"]] {
        project.aegis(line).ended(0);
        let elsewhere = project.aegis(&[line, &["--state-dir", "typo"]].concat()).ended(6);
        assert!(elsewhere.talk.contains("there is no state directory `typo`"), "{}", elsewhere.talk);
        let nowhere = project.aegis(&[line, &["--project", "nowhere"]].concat()).ended(2);
        assert!(nowhere.talk.contains("there is no folder `nowhere`"), "{}", nowhere.talk);
    }
    project.aegis(&["show", "last", "--state-dir", "typo"]).ended(6);
    for folder in [".aegis", "typo", "nowhere"] {
        assert!(!project.path(folder).exists(), "{folder}");
    }
}

#[test]
fn a_replay_hands_out_what_people_said_of_a_step() {
    for verb in ["skip", "mark-done"] {
        let text = "runbook(#{ title: \"A\", needs: [\"exec:run\"] });\nstep(\"one\", || exec::run(\"ls\", [\"wanted\"]));\nstep(\"two\", || 1);\n";
        let project = Project::new(&[("runbooks/a.rhai", text)]);
        project.aegis(&["run", "runbooks/a.rhai"]).ended(1);
        project.aegis(&[verb, "last", "one", "--note", "by hand"]).ended(0);
        project.aegis(&["retry", "last"]).ended(0);
        let replay = project.aegis(&["replay", "last"]).ended(0);
        assert!(replay.talk.contains(" one") && replay.talk.contains("ok two"), "{}", replay.talk);
    }
}

#[test]
fn a_run_that_was_undone_after_its_end_says_so_in_lists() {
    let project = Project::new(&[(
        "runbooks/a.rhai",
        "runbook(#{ title: \"A\", needs: [\"exec:run\"] });
fn back(name) { exec::run(\"rm\", [name]); }
step(\"make\", #{ undo: #{ function: \"back\", arguments: [\"made\"] } }, || exec::run(\"touch\", [\"made\"]));
",
    )]);
    project.aegis(&["run", "runbooks/a.rhai"]).ended(0);
    let before = project.aegis(&["runs"]).ended(0).out;
    assert!(before.contains("  succeeded  "), "{before}");
    project.aegis(&["undo", "last", "--operator", "kim"]).ended(0);
    let after = project.aegis(&["runs"]).ended(0).out;
    assert!(after.contains("  succeeded (undone)  "), "{after}");
    let listed = project.aegis(&["runs", "--output", "json"]).ended(0).json().remove(0);
    assert_eq!(listed[0]["undone"]["by"], "kim", "{listed}");
}
