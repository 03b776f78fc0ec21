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
    let commands: Vec<&str> =
        blocks(&readme, "console").iter().flat_map(|block| block.lines()).filter_map(|l| l.strip_prefix("$ aegis ")).collect();
    assert!(commands.len() > 10);
    for command in commands {
        let arguments: Vec<&str> = command.split(' ').collect();
        let output = project.output(&arguments);
        assert!(output.status.success(), "aegis {command}: {}", both(&output));
    }
}

#[test]
fn the_configuration_of_the_readme_is_read() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let project = Project::new("");
    std::fs::write(project.path().join("aegis.toml"), blocks(&readme, "toml").concat()).unwrap();
    let output = project.output(&["targets"]);
    assert!(output.status.success() && both(&output).contains("staging"), "{}", both(&output));
}

#[test]
fn every_lesson_says_what_its_transcript_says() {
    let examples = root().join("examples");
    let mut lessons: Vec<PathBuf> =
        std::fs::read_dir(&examples).unwrap().map(|entry| entry.unwrap().path()).collect();
    lessons.retain(|path| path.extension().is_some_and(|ending| ending == "rhai"));
    lessons.sort();
    assert!(lessons.len() >= 9);
    let mut wrong = Vec::new();
    for lesson in lessons {
        let project = Project::new(&std::fs::read_to_string(&lesson).unwrap());
        let plan = project.output(&["plan", "book.rhai"]);
        let run = project.output(&["run", "book.rhai"]);
        let told = format!("plan exits {:?}\n{}\nexits {:?}\n", plan.status.code(), normal(&both(&run)), run.status.code());
        let file = lesson.with_extension("txt");
        if std::env::var_os("AEGIS_UPDATE_TRANSCRIPTS").is_some() {
            std::fs::write(&file, &told).unwrap();
        } else if std::fs::read_to_string(&file).unwrap_or_default() != told {
            wrong.push(format!("{} now says:\n{told}", lesson.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A transcript without times and generated names; branches of a parallel block end in any order, so lines
/// are sorted.
fn normal(text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(|line| words(line).join(" ")).collect();
    lines.retain(|line| !line.trim().is_empty());
    lines.sort();
    lines.join("\n")
}

fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let bare = word.trim_matches(|c: char| "(),.;:`'".contains(c));
        if bare.starts_with("book-2") {
            words.push(word.replace(bare, "RUN"));
        } else if matches!(bare, "ms" | "s") && words.last().is_some_and(|w| w.trim_start_matches('(').parse::<f64>().is_ok()) {
            words.pop();
            words.push("(time)".to_owned());
        } else {
            words.push(word.to_owned());
        }
    }
    words
}
