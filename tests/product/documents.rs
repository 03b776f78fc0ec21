//! Documentation that can fail: the README's runbook and commands, and every numbered lesson with its
//! transcript. `AEGIS_UPDATE_TRANSCRIPTS=1` writes the transcripts anew; the diff is the review.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::process::Project;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Fenced blocks of a language in a Markdown text.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_runbook_of_the_readme_plans_and_runs() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let blocks = blocks(&readme, "rhai");
    assert_eq!(blocks.len(), 1);
    let project = Project::new(blocks[0]);
    for verb in ["check", "plan", "run"] {
        let output = project.output(&[verb, "book.rhai"]);
        assert!(output.status.success(), "aegis {verb}: {}", both(&output));
    }
}

#[test]
fn the_commands_of_the_readme_work_in_order() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let project = Project::new("");
    let commands: Vec<&str> = blocks(&readme, "console")
        .iter()
        .flat_map(|block| block.lines())
        .filter_map(|l| l.strip_prefix("$ aegis "))
        .collect();
    assert!(commands.len() > 10);
    for command in commands {
        let arguments: Vec<&str> = command.split(' ').collect();
        let output = project.output(&arguments);
        assert!(output.status.success(), "aegis {command}: {}", both(&output));
    }
}

#[test]
fn the_commands_of_the_sandbox_page_work_in_order() {
    let page = std::fs::read_to_string(root().join("docs/sandbox.md")).unwrap();
    let project = Project::new("");
    let blocks = blocks(&page, "console");
    let commands: Vec<&str> = blocks.iter().flat_map(|block| block.lines()).collect();
    // kubectl and the pods of a shop are not here: both have tests of their own.
    let here = commands.iter().filter(|line| !line.contains("kubectl --") && !line.contains("reach shop/"));
    let commands: Vec<&str> = here.filter_map(|line| line.strip_prefix("$ aegis ")).collect();
    assert!(commands.len() >= 10, "{commands:?}");
    for command in commands {
        let words = command.split(" > ").next().unwrap_or_default();
        let output = project.output(&words.split(' ').collect::<Vec<_>>());
        assert!(output.status.success(), "aegis {command}: {}", both(&output));
    }
}

#[test]
fn the_scenario_of_the_sandbox_page_is_played_and_is_the_same_twice() {
    let page = std::fs::read_to_string(root().join("docs/sandbox.md")).unwrap();
    let project = Project::new("");
    let story = blocks(&page, "yaml").into_iter().find(|block| block.starts_with("seed:")).unwrap();
    std::fs::write(project.path().join("story.yaml"), story).unwrap();
    let web = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 2\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec: {containers: [{name: web, image: nginx}]}\n";
    std::fs::write(project.path().join("web.yaml"), web).unwrap();
    let play = || project.output(&["sandbox", "play", "story.yaml"]);
    let (first, second) = (play(), play());
    assert!(first.status.success(), "{}", both(&first));
    assert!(both(&first).contains("NodeNotReady") && both(&first).contains("outcome "), "{}", both(&first));
    assert_eq!(both(&first), both(&second));
}

#[test]
fn the_configuration_of_the_sandbox_page_is_read() {
    let page = std::fs::read_to_string(root().join("docs/sandbox.md")).unwrap();
    let project = Project::new("");
    std::fs::write(project.path().join("aegis.toml"), blocks(&page, "toml").join("\n")).unwrap();
    let output = project.output(&["config"]);
    assert!(output.status.success() && both(&output).contains("tokyo"), "{}", both(&output));
}

#[test]
fn the_examples_of_the_schedules_page_are_read_and_its_commands_work_in_order() {
    let page = std::fs::read_to_string(root().join("docs/schedules.md")).unwrap();
    let project = Project::new("");
    let (tables, books) = (blocks(&page, "toml"), blocks(&page, "rhai"));
    assert_eq!((tables.len(), books.len()), (5, 1));
    std::fs::create_dir(project.path().join("runbooks")).unwrap();
    std::fs::write(project.path().join("runbooks/backup.rhai"), books[0]).unwrap();
    for (name, params) in
        [("grow-volume", "volume by"), ("smoke-test", "version"), ("collect-logs", "pod"), ("import", "url")]
    {
        let params: String =
            params.split(' ').map(|name| format!("{name}: #{{ type: \"string\" }}, ")).collect();
        let text = format!("runbook(#{{ title: \"{name}\", needs: [], params: #{{ {params} }} }});\n");
        std::fs::write(project.path().join(format!("runbooks/{name}.rhai")), text).unwrap();
    }
    std::fs::write(project.path().join("alert.json"), r#"{"version":"4","alerts":[]}"#).unwrap();
    std::fs::write(project.path().join("schedules.toml"), tables[..3].join("\n\n")).unwrap();
    std::fs::write(project.path().join("aegis.toml"), tables[3..].join("\n")).unwrap();
    let check = project.output(&["check"]);
    assert!(check.status.success(), "{}", both(&check));
    let blocks = blocks(&page, "console");
    let commands: Vec<&str> = blocks
        .iter()
        .flat_map(|block| block.lines())
        .filter_map(|line| line.strip_prefix("$ aegis "))
        .collect();
    assert!(commands.len() >= 10, "{commands:?}");
    for command in commands {
        let output = project.output(&words_of(command));
        assert!(output.status.success(), "aegis {command}: {}", both(&output));
    }
}

#[test]
fn the_configuration_of_the_page_on_several_engines_is_read() {
    let page = std::fs::read_to_string(root().join("docs/several-engines.md")).unwrap();
    let project = Project::new("");
    let tables = blocks(&page, "toml");
    assert_eq!(tables.len(), 3);
    std::fs::create_dir(project.path().join("runbooks")).unwrap();
    let book = "runbook(#{ title: \"Back up\", needs: [] });\n";
    std::fs::write(project.path().join("runbooks/backup.rhai"), book).unwrap();
    std::fs::write(project.path().join("aegis.toml"), format!("{}\n{}", tables[0], tables[2])).unwrap();
    std::fs::write(project.path().join("schedules.toml"), tables[1]).unwrap();
    let config = project.output(&["config"]);
    assert!(config.status.success() && both(&config).contains("env:AEGIS_DATABASE"), "{}", both(&config));
    let check = project.output(&["check"]);
    assert!(check.status.success(), "{}", both(&check));
}

/// A line of a shell, with words in single quotes.
fn words_of(line: &str) -> Vec<&str> {
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(
        |(index, part)| {
            if index % 2 == 1 { vec![part] } else { part.split_whitespace().collect() }
        },
    );
    words.collect()
}

#[test]
fn the_configuration_of_the_readme_is_read() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let project = Project::new("");
    std::fs::write(project.path().join("aegis.toml"), blocks(&readme, "toml").join("\n")).unwrap();
    let output = project.output(&["targets"]);
    assert!(output.status.success() && both(&output).contains("staging"), "{}", both(&output));
}

#[test]
fn every_lesson_says_what_its_transcript_says() {
    let mut lessons: Vec<PathBuf> =
        std::fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    lessons.retain(|path| path.extension().is_some_and(|ending| ending == "rhai"));
    lessons.sort();
    assert!(lessons.len() >= 9);
    let wrong: Vec<String> = lessons.iter().filter_map(|lesson| differs(lesson)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a lesson says now, when that is not its transcript.
fn differs(lesson: &Path) -> Option<String> {
    let name = lesson.file_name().unwrap().to_string_lossy().into_owned();
    let project = Project::new("");
    // The lessons name themselves by their path in the project.
    std::fs::write(project.path().join("aegis.toml"), "").unwrap();
    std::fs::create_dir(project.path().join("examples")).unwrap();
    std::fs::copy(lesson, project.path().join("examples").join(&name)).unwrap();
    let now = normal(&project.transcript(&["run", &format!("examples/{name}")]));
    let file = lesson.with_extension("expected");
    if std::env::var_os("AEGIS_UPDATE_TRANSCRIPTS").is_some() {
        std::fs::write(&file, &now).unwrap();
        return None;
    }
    // Branches of a parallel block talk in any order.
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    let same =
        if expected.contains("branches") { sorted(&expected) == sorted(&now) } else { expected == now };
    (!same).then(|| format!("{name} now says:\n{now}"))
}

/// A transcript without times and generated names.
fn normal(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", words(line).join(" "))).collect()
}

fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let bare = word.trim_matches(|c: char| "(),.;:`'".contains(c));
        let number = |word: &String| word.strip_prefix('(').is_some_and(|n| n.parse::<f64>().is_ok());
        if is_run_id(bare) {
            words.push(word.replace(bare, "RUN"));
        } else if matches!(word, "ms)" | "s)") && words.last().is_some_and(number) {
            words.pop();
            words.push("(TIME)".to_owned());
        } else {
            words.push(word.to_owned());
        }
    }
    words
}

/// `05-approval-20261123-041128-k3f9`
fn is_run_id(word: &str) -> bool {
    let parts: Vec<&str> = word.rsplitn(4, '-').collect();
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    matches!(parts.as_slice(), [tail, time, day, _] if tail.len() == 4 && digits(time, 6) && digits(day, 8))
}
