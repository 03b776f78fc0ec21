//! What authors do: new, check, docs, explain, config, completions.

use std::path::Path;

use crate::project::Project;

#[test]
fn a_new_runbook_passes_check_and_runs() {
    let project = Project::new(&[]);
    project.aegis(&["new", "rotate-keys"]).ended(0);
    let check = project.aegis(&["check"]).ended(0);
    assert_eq!(check.talk, "1 file checked, 0 with errors\n");
    let run = project.aegis(&["run", "runbooks/rotate-keys.rhai", "--param", "name=ada"]).ended(0);
    assert!(run.talk.contains("hello ada"), "{}", run.talk);
    assert!(project.aegis(&["new", "rotate-keys"]).ended(2).talk.contains("File exists"));
    project.aegis(&["new", "../escape"]).ended(2);
}

#[test]
fn check_tells_every_file_at_once() {
    let project = Project::new(&[
        ("runbooks/a.rhai", "runbook(#{ title: \"A\" });\nlgo(\"x\");\n"),
        ("runbooks/b.rhai", "runbook(#{ title: \"B\" });\nimport \"../../etc/passwd\" as p;\n"),
        ("runbooks/c.rhai", "runbook(#{ title: \"C\" });\nlog(\"fine\");\n"),
    ]);
    let check = project.aegis(&["check"]).ended(2);
    assert_eq!(
        check.talk,
        "\
error[A0005]: there is no function `lgo`
  ┌─ runbooks/a.rhai:2:1
  │
2 │ lgo(\"x\");
  │ ^^^
  │
  = hint: did you mean `log`?

error[A0004]: `../../etc/passwd` is outside of the project
  ┌─ runbooks/b.rhai:2:8
  │
2 │ import \"../../etc/passwd\" as p;
  │        ^^^^^^^^^^^^^^^^^^
  │
  = hint: imports come from the runbook's own folder, the project's `lib/`, or the embedded `std/`; copy the file into `lib/`

3 files checked, 2 with errors
"
    );
    let json = project.aegis(&["check", "--output", "json"]).ended(2).json();
    assert_eq!(json[0]["diagnostics"][0]["code"], "A0005");
    assert_eq!(json[0]["diagnostics"][0]["line"], 2);
    assert_eq!(json.len(), 3);
}

#[test]
fn a_run_refuses_what_check_knows_to_be_wrong() {
    let project = Project::new(&[(
        "runbooks/a.rhai",
        "runbook(#{ title: \"A\" });\nlog(\"before\");\nexec::run(\"true\");\n",
    )]);
    let run = project.aegis(&["run", "runbooks/a.rhai"]).ended(3);
    assert!(run.talk.contains("write `needs: [\"exec:run\"],` in the header"), "{}", run.talk);
    assert_eq!(
        project.aegis(&["runs", "--output", "json"]).ended(0).json()[0].as_array().map(Vec::len),
        Some(0)
    );
}

#[test]
fn an_unknown_key_of_the_configuration_is_told_with_its_line() {
    let project = Project::new(&[("aegis.toml", "[targets.prod]\nprotecte = true\n")]);
    let config = project.aegis(&["config"]).ended(2);
    assert!(config.talk.contains("aegis.toml:2:1"), "{}", config.talk);
    assert!(config.talk.contains("did you mean `protected`?"), "{}", config.talk);
}

#[test]
fn the_configuration_tells_where_values_come_from_and_covers_secrets() {
    let project = Project::new(&[(
        "aegis.toml",
        "[targets.prod]\nnotify.ops = { type = \"slack\", url = \"https://hooks.example.com/T0/secret\" }\n",
    )]);
    let config = project.aegis(&["config", "--operator", "kim"]).ended(0).out;
    let row = |key: &str| {
        let line = config.lines().find(|line| line.split(' ').next() == Some(key)).unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("operator"), ["operator", "\"kim\"", "flag", "--operator"]);
    assert_eq!(row("state-dir"), ["state-dir", "\".aegis\"", "default"]);
    assert!(row("targets.prod.notify.ops.url")[2].ends_with("aegis.toml"));
    assert!(!config.contains("secret"), "{config}");
    assert_eq!(row("windows.sunday.zone"), ["windows.sunday.zone", "\"Asia/Seoul\"", "default"]);
    project.write("schedules.toml", "[windows.night]\nwhen = \"0 3 * * *\"\nlasts = \"1h\"\n");
    let own = project.aegis(&["config", "--output", "json"]).ended(0);
    assert!(own.talk.contains("schedules.toml"), "{}", own.talk);
    let lines = own.json().remove(0);
    let windows: Vec<&serde_json::Value> = lines
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["key"].as_str().unwrap().starts_with("windows."))
        .collect();
    assert_eq!(windows[0]["key"], "windows.night.when");
    assert_eq!(windows[0]["value"], "0 3 * * *");
    assert!(windows.iter().all(|line| line["origin"].as_str().unwrap().ends_with("schedules.toml")));
}

#[test]
fn every_code_has_a_page_and_every_shell_its_completions() {
    let project = Project::new(&[]);
    for line in project.aegis(&["explain"]).ended(0).out.lines().skip(1) {
        let code = line.split(' ').next().unwrap();
        let page = project.aegis(&["explain", code]).ended(0).out;
        assert!(page.starts_with(&format!("# {code}: ")), "{page}");
    }
    project.aegis(&["explain", "A9999"]).ended(2);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(project.aegis(&["completions", shell]).ended(0).out.contains("aegis"));
    }
}

#[test]
fn the_reference_pages_are_those_of_the_binary() {
    let project = Project::new(&[]);
    project.aegis(&["docs", "--markdown", "reference"]).ended(0);
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference");
    for entry in std::fs::read_dir(project.path("reference")).unwrap() {
        let name = entry.unwrap().file_name();
        let made = std::fs::read_to_string(project.path("reference").join(&name)).unwrap();
        let kept = std::fs::read_to_string(kept.join(&name)).unwrap_or_default();
        assert!(
            made == kept,
            "docs/reference/{} is out of date: run `aegis docs --markdown docs/reference`",
            name.display()
        );
    }
}

#[test]
fn a_function_has_a_page_and_a_misspelt_one_a_hint() {
    let project = Project::new(&[]);
    let known = project.aegis(&["docs", "exec::run"]).ended(0).out;
    assert!(known.contains("exec::run(program, [arguments], [options])"), "{known}");
    let wrong = project.aegis(&["docs", "exec::rnu"]).ended(2);
    assert!(wrong.talk.contains("did you mean `exec::run`?"), "{}", wrong.talk);
}

#[test]
fn the_reference_for_programs_is_json() {
    let project = Project::new(&[]);
    let page = |name: &str| project.aegis(&["docs", name, "--output", "json"]).ended(0).json().remove(0);
    let function = page("exec::run");
    assert_eq!(function["signature"], "exec::run(program, [arguments], [options])");
    assert_eq!(function["arguments"][0]["name"], "program");
    assert_eq!(function["options"][0]["kind"], "bool");
    assert!(page("exec")["functions"].as_array().unwrap().contains(&function));
    assert!(page("script")["functions"].as_array().unwrap().contains(&page("step")));
    assert_eq!(page("lock::hold")["needs"], "", "it needs nothing, and no header may say that it does");
    let step = page("step");
    let option = |name: &str| {
        let options = step["options"].as_array().unwrap();
        options.iter().find(|option| option["name"] == name).unwrap().clone()
    };
    assert_eq!(option("on_failure")["choices"], serde_json::json!(["stop", "continue", "undo"]));
    assert_eq!(option("on_failure")["default"], "stop");
    assert_eq!(option("timeout")["format"], "duration");
    let retry = option("retry");
    let keys: Vec<&str> =
        retry["keys"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(keys, ["backoff", "max", "only_if"]);
}

#[test]
fn what_a_page_says_that_a_function_needs_a_header_takes() {
    let project = Project::new(&[]);
    let overview = project.aegis(&["docs", "--output", "json"]).ended(0).json().remove(0);
    let mut asked = 0;
    for module in overview.as_array().unwrap() {
        let page = project.aegis(&["docs", module["name"].as_str().unwrap(), "--output", "json"]).ended(0);
        for function in page.json()[0]["functions"].as_array().into_iter().flatten() {
            let needs = function["needs"].as_str().filter(|needs| !needs.is_empty());
            let needs = needs.map(|needs| format!("\"{needs}\"")).unwrap_or_default();
            let text = format!(
                "runbook(#{{ title: \"A\", needs: [{needs}] }});\nfn restore_weight(name, weight) {{}}\n{};\n",
                function["example"].as_str().unwrap()
            );
            project.write(&format!("runbooks/{asked}.rhai"), &text);
            asked += 1;
        }
    }
    assert!(asked > 50, "{asked}");
    project.aegis(&["check"]).ended(0);
}

#[test]
fn mistakes_of_newcomers_are_told_with_their_place_and_what_to_write() {
    let header = "runbook(#{ title: \"A\", needs: [\"exec:run\"] });\n";
    let cases = [
        (
            "runbook(#{ title: \"A\", needs: [\"k9s:read\"] });",
            "there is no module `k9s`",
            "1:32",
            "did you mean `k8s`?",
        ),
        (
            "parallel(0..5, |i| i);",
            "no function `parallel` for (range, closure)",
            "2:1",
            "it is `parallel(items, [options], body)`",
        ),
        ("step(\"\", || 1);", "a step needs a name", "2:1", "people find it by that"),
        (
            "text::matches(\"a\", \"(a\");",
            "`(a` is not a regular expression: unclosed group",
            "2:1",
            "look-around",
        ),
        ("log(().len());", "no function `len` for (())", "2:8", ""),
        ("sleep(5);", "there is no `sleep`; use `time::sleep`", "2:1", ""),
    ];
    for (script, message, place, hint) in cases {
        let text =
            if script.starts_with("runbook(") { script.to_owned() } else { format!("{header}{script}") };
        let project = Project::new(&[("runbooks/a.rhai", text.as_str())]);
        let talk = project.aegis(&["run", "runbooks/a.rhai"]).talk;
        for part in [message, &format!("┌─ runbooks/a.rhai:{place}\n"), hint] {
            assert!(talk.contains(part), "`{part}` is missing:\n{talk}");
        }
    }
}

#[test]
fn what_servers_and_scripts_say_does_not_steer_the_terminal() {
    let script = "runbook(#{ title: \"A\" });\nlog(\"\\x1b[2J\\x07gone\");\nthrow \"\\x1b]0;title\";\n";
    let project = Project::new(&[("runbooks/a.rhai", script)]);
    let talk = project.aegis(&["run", "runbooks/a.rhai"]).ended(1).talk;
    assert!(talk.contains("␛[2J␇gone") && talk.contains("␛]0;title"), "{talk}");
    for verb in ["show", "logs"] {
        assert!(!project.aegis(&[verb]).ended(0).out.contains(['\u{1b}', '\u{7}']), "{verb}");
    }
}

#[test]
fn what_a_run_refuses_is_told_before_where_it_stands_in_the_text() {
    let wrong = [
        ("step(\"a\", #{ undo: \"nofn\" }, || 1);", "the runbook has no function `nofn` with 0 parameters"),
        ("step(\"a\", #{ undo: #{ function: \"bcak\", arguments: [1] } }, || 1);", "did you mean `back`?"),
        ("undo::with(\"back\", []);", "it is `back(what)`"),
        ("undo::with(\"back\", [1, 2]);", "the runbook has no function `back` with 2 parameters"),
        ("approval::ask(\"go?\", #{ quorum: 0 });", "at least 1"),
        (
            "step(\"a\", #{ approval: #{ question: \"go?\", quorum: 2, approvers: [\"ada\", \"ada\"] } }, || 1);",
            "1 person may",
        ),
    ];
    for (line, told) in wrong {
        let text = format!("runbook(#{{ title: \"A\" }});\nfn back(what) {{ log(what) }}\n{line}\n");
        let project = Project::new(&[("runbooks/a.rhai", &text)]);
        let checked = project.aegis(&["check", "runbooks/a.rhai"]).ended(2);
        assert!(format!("{}{}", checked.out, checked.talk).contains(told), "{line}: {checked:?}");
    }
    for line in [
        "step(\"a\", #{ undo: #{ function: \"back\", arguments: [params] } }, || 1);",
        "let given = [1]; undo::with(\"back\", given); undo::with(\"b\" + \"ack\", [1]);",
        "let n = 1; approval::ask(\"go?\", #{ quorum: n, approvers: [\"ada\"] });",
    ] {
        let text = format!("runbook(#{{ title: \"A\" }});\nfn back(what) {{ log(what) }}\n{line}\n");
        let project = Project::new(&[("runbooks/a.rhai", &text)]);
        project.aegis(&["check", "runbooks/a.rhai"]).ended(0);
    }
    let limits = "runbook(#{ title: \"A\", params: #{ n: #{ type: \"int\", min: 5, max: 2 } } });\n";
    let project = Project::new(&[("runbooks/a.rhai", limits)]);
    let checked = project.aegis(&["check", "runbooks/a.rhai"]).ended(2);
    assert!(format!("{checked:?}").contains("no value fits: `min` is 5, and `max` is 2"), "{checked:?}");
}
