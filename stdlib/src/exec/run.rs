//! `exec::run`: one program, its arguments, its output.

use std::collections::BTreeMap;
use std::time::Duration;

use aegis_engine::codes;
use aegis_engine::function::{Context, Description, Effect, HostFunction, Plan};
use aegis_engine::{CallError, Period};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{self, DEFAULT_LIMIT, Exec, Finished, Input, Invocation};

/// Time between SIGTERM and SIGKILL: what init systems and container runtimes give, too.
const GRACE: Duration = Duration::from_secs(10);

/// Lines of a failed program's own words that its error quotes.
const QUOTED_LINES: usize = 5;

/// `exec::run`.
pub(super) struct Run;

/// Arguments of `exec::run`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// Program: a name on `PATH`, an absolute path, or a path with a slash that starts at the project.
    program: String,
    /// Arguments, one text each. No shell reads them.
    #[serde(default)]
    arguments: Vec<String>,
    /// Environment variables besides `PATH`, `HOME` and `LANG`; secrets belong here or on `stdin`.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Working directory; relative to the project, which is the default.
    #[serde(default)]
    cwd: Option<String>,
    /// Text the program reads from its standard input; nothing by default.
    #[serde(default)]
    stdin: Option<String>,
    /// How long it may take; without one the timeout of the step holds.
    #[serde(default)]
    timeout: Option<Period>,
    /// Exit codes that count as success.
    #[serde(default = "zero")]
    ok_codes: Vec<i32>,
    /// False: the answer holds no output (it is still shown live, and quoted in an error).
    #[serde(default = "yes")]
    capture: bool,
    /// Bytes of each output stream that are kept; the last ones stay.
    #[serde(default = "default_limit")]
    limit: usize,
}

fn zero() -> Vec<i32> {
    vec![0]
}

fn yes() -> bool {
    true
}

fn default_limit() -> usize {
    DEFAULT_LIMIT
}

#[async_trait]
impl HostFunction for Run {
    type Arguments = Arguments;

    fn describe() -> Description {
        Description {
            summary: "Runs a local program with an argument list and answers what it printed.",
            capability: "exec:run",
            positional: &["program", "arguments"],
            returns: "map: `code`, `stdout`, `stderr` (text) and `truncated` (true when output was dropped)",
            undo: "none: what a program did is unknown; give the step a script-level undo",
            fails_when: "The program is not there, ends with a code that is not in `ok_codes`, or takes longer \
                         than `timeout`.",
            example: r#"exec::run("echo", ["hello", "world"]).stdout"#,
            ..Description::of("run", Effect::Once)
        }
    }

    fn scope(arguments: &Arguments) -> Option<String> {
        Some(arguments.program.clone())
    }

    async fn plan(context: &Context, arguments: &Arguments) -> Result<Plan, CallError> {
        find(context, arguments)?;
        let predicted = json!({ "code": 0, "stdout": "", "stderr": "", "truncated": false });
        Ok(Plan::new(format!("run `{}`", shown(arguments))).predicting(predicted))
    }

    async fn perform(context: &Context, arguments: Arguments) -> Result<Value, CallError> {
        let invocation = invocation(context, &arguments)?;
        let finished = client::run(context, invocation)
            .await
            .map_err(|stopped| stopped.into_error(&arguments.program))?;
        if arguments.ok_codes.contains(&finished.code()) {
            Ok(answer(&arguments, &finished))
        } else {
            Err(failure(&arguments, &finished))
        }
    }
}

fn find(context: &Context, arguments: &Arguments) -> Result<std::path::PathBuf, CallError> {
    let exec = context.service::<Exec>()?;
    exec.find(&arguments.program, &context.project).ok_or_else(|| {
        let wrong = format!("there is no program `{}`", arguments.program);
        let hint = if arguments.program.contains('/') {
            "a path with a slash starts at the project folder, and the file must be executable"
        } else {
            "install it, or name it by its path; it is looked up on `PATH`"
        };
        CallError::new(codes::TOOL_MISSING, wrong).hint(hint)
    })
}

fn invocation(context: &Context, arguments: &Arguments) -> Result<Invocation, CallError> {
    let exec = context.service::<Exec>()?;
    let mut environment = exec.minimal_environment();
    environment.extend(arguments.env.clone());
    Ok(Invocation {
        program: find(context, arguments)?,
        arguments: arguments.arguments.iter().map(Into::into).collect(),
        environment,
        directory: context.project.join(arguments.cwd.as_deref().unwrap_or("")),
        stdin: arguments.stdin.clone().map_or(Input::Nothing, Input::Text),
        timeout: arguments.timeout.map(Duration::from),
        limit: arguments.limit,
        grace: GRACE,
        told: true,
    })
}

fn answer(arguments: &Arguments, finished: &Finished) -> Value {
    let text = |tail: &client::Tail| if arguments.capture { tail.text() } else { String::new() };
    json!({
        "code": finished.code(),
        "stdout": text(&finished.stdout),
        "stderr": text(&finished.stderr),
        "truncated": arguments.capture && (finished.stdout.truncated || finished.stderr.truncated),
    })
}

fn failure(arguments: &Arguments, finished: &Finished) -> CallError {
    let ended = format!("`{}` ended with code {}", arguments.program, finished.code());
    let words = [&finished.stderr, &finished.stdout].map(|tail| tail.last_lines(QUOTED_LINES));
    match words.into_iter().find(|lines| !lines.is_empty()) {
        // The program's own lines stay lines.
        Some(lines) => CallError::new(codes::COMMAND, format!("{ended}: {}", lines.join("\n"))),
        None => CallError::new(codes::COMMAND, ended)
            .hint("it printed nothing; add a code that means success to `ok_codes`"),
    }
}

/// The command as a person would type it: words that a shell would split or change are quoted.
fn shown(arguments: &Arguments) -> String {
    let words = std::iter::once(&arguments.program).chain(&arguments.arguments);
    words.map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
