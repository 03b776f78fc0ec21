//! Lays configuration over each other and remembers where each value came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use aegis_engine::codes;
use aegis_engine::diagnostic::{Diagnostic, Place, Problems};
use aegis_engine::error::CallError;
use aegis_engine::files::{WRITTEN, read_text};
use aegis_engine::runbook::Sources;
use aegis_engine::text::did_you_mean;
use toml::{Table, Value};

use super::{Config, DEFAULTS, project_file, user_file};
use crate::context::Global;
use crate::view::failure::Failure;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File(PathBuf),
    Environment(&'static str),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// The configuration, and each of its values with its origin.
#[derive(Debug)]
pub(crate) struct Layered {
    pub(crate) config: Config,
    /// Path of keys (`targets.prod.protected`), value, origin; in the order of the keys.
    pub(crate) values: BTreeMap<String, (Value, Origin)>,
}

/// Environment variables that are configuration.
const VARIABLES: [(&str, &str); 4] = [
    ("AEGIS_TARGET", "target"),
    ("AEGIS_STATE_DIR", "state-dir"),
    ("AEGIS_OPERATOR", "operator"),
    ("AEGIS_DATABASE_URL", "database.url"),
];

/// Reads every layer; a mistake in a file is refused.
pub(crate) fn load(
    root: &Path,
    environment: &BTreeMap<String, String>,
    flags: &Global,
) -> Result<Layered, Failure> {
    layered(root, environment, flags, parsed)
}

/// Every layer, with the files read in one way or the other.
pub(super) fn layered(
    root: &Path,
    environment: &BTreeMap<String, String>,
    flags: &Global,
    mut read_file: impl FnMut(&Path, &str) -> Result<Table, Failure>,
) -> Result<Layered, Failure> {
    let mut values = BTreeMap::new();
    lay(&mut values, parsed(Path::new("default.toml"), DEFAULTS)?, &Origin::Default);
    for path in user_file(environment).into_iter().chain([project_file(root)]) {
        if let Some(text) = read(&path)? {
            let mut table = read_file(&path, &text)?;
            anchor(&mut table, &path);
            lay(&mut values, table, &Origin::File(path));
        }
    }
    for (variable, key) in VARIABLES {
        if let Some(value) = environment.get(variable).filter(|value| !value.is_empty()) {
            values.insert(key.to_owned(), (value.clone().into(), Origin::Environment(variable)));
        }
    }
    if let Some(folder) = &flags.state_dir {
        let value = folder.display().to_string().into();
        values.insert("state-dir".to_owned(), (value, Origin::Flag("--state-dir")));
    }
    if let Some(url) = &flags.database {
        super::database::refuse_password(url)?;
        values.insert("database.url".to_owned(), (url.clone().into(), Origin::Flag("--database")));
    }
    if let Some(operator) = &flags.operator {
        values.insert("operator".to_owned(), (operator.clone().into(), Origin::Flag("--operator")));
    }
    let config = Config::deserialize_from(&values)?;
    Ok(Layered { config, values })
}

impl Config {
    fn deserialize_from(values: &BTreeMap<String, (Value, Origin)>) -> Result<Self, Failure> {
        let mut table = Table::new();
        for (path, (value, _)) in values {
            put(&mut table, &split(path), value.clone());
        }
        table.try_into().map_err(|error: toml::de::Error| {
            CallError::new(codes::CONFIG, error.message().to_owned()).into()
        })
    }
}

fn read(path: &Path) -> Result<Option<String>, Failure> {
    match read_text(path, WRITTEN) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => Ok(None),
        Err(error) => {
            let message = format!("`{}` cannot be read", path.display());
            Err(CallError::new(codes::CONFIG, message).because(error).into())
        }
    }
}

/// One file as a table, refused with its line when it is not a configuration.
pub(super) fn parsed(path: &Path, text: &str) -> Result<Table, Failure> {
    let wrong = |error: toml::de::Error| {
        let name = path.display().to_string();
        let place = error.span().map(|span| place(&name, text, span));
        Failure::from(Problems::of(told(error.message()).at(place), Sources::new(name, text)))
    };
    toml::from_str::<Config>(text).map_err(wrong)?;
    toml::from_str::<Table>(text).map_err(wrong)
}

pub(super) fn place(name: &str, text: &str, span: std::ops::Range<usize>) -> Place {
    let before = &text[..span.start.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let covered = text.get(span).unwrap_or_default().lines().next().unwrap_or_default();
    Place { source: name.to_owned(), line, column, length: covered.chars().count().max(1) }
}

/// ``unknown field `x`, expected one of `a`, `b` `` becomes a sentence with the nearest name.
fn told(message: &str) -> Diagnostic {
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return Diagnostic::new(codes::CONFIG, message.to_owned());
    };
    let mut names = rest.split('`').step_by(2);
    let key = names.next().unwrap_or_default();
    let known: Vec<&str> = rest.split('`').skip(2).step_by(2).collect();
    let hint = did_you_mean(key, known.iter().copied())
        .unwrap_or_else(|| format!("keys are {}", aegis_engine::text::list(&known)));
    Diagnostic::new(codes::CONFIG, format!("the configuration has no key `{key}`")).hint(hint)
}

/// Makes paths relative to the file they stand in.
fn anchor(table: &mut Table, file: &Path) {
    let folder = file.parent().unwrap_or(Path::new("."));
    let anchored = |value: &mut Value| {
        if let Value::String(path) = value {
            let home = std::env::var("HOME").unwrap_or_default();
            let expanded = path
                .strip_prefix("~/")
                .map_or_else(|| PathBuf::from(&*path), |rest| Path::new(&home).join(rest));
            *path = folder.join(expanded).display().to_string();
        }
    };
    if let Some(value) = table.get_mut("state-dir") {
        anchored(value);
    }
    let targets = table.get_mut("targets").and_then(Value::as_table_mut);
    for target in targets.into_iter().flatten().filter_map(|(_, target)| target.as_table_mut()) {
        for (section, key) in
            [("kubernetes", "kubeconfig"), ("helm", "binary"), ("helm", "charts"), ("storage", "file-root")]
        {
            if let Some(value) = target.get_mut(section).and_then(|section| section.get_mut(key)) {
                anchored(value);
            }
        }
    }
}

fn lay(values: &mut BTreeMap<String, (Value, Origin)>, table: Table, origin: &Origin) {
    for (path, value) in leaves("", Value::Table(table)) {
        // A channel of another type replaces the whole channel.
        if let Some(channel) = path.strip_suffix(".type") {
            values.retain(|known, _| !known.starts_with(&format!("{channel}.")));
        }
        values.insert(path, (value, origin.clone()));
    }
}

fn leaves(prefix: &str, value: Value) -> Vec<(String, Value)> {
    match value {
        Value::Table(table) if !table.is_empty() => {
            let mut table: Vec<(String, Value)> = table.into_iter().collect();
            // `type` first: see `lay`.
            table.sort_by_key(|(key, _)| (key != "type", key.clone()));
            table.into_iter().flat_map(|(key, value)| leaves(&joined(prefix, &key), value)).collect()
        }
        leaf => vec![(prefix.to_owned(), leaf)],
    }
}

/// Keys with a dot in them are quoted, as in TOML.
fn joined(prefix: &str, key: &str) -> String {
    let key = if key.contains('.') { format!("\"{key}\"") } else { key.to_owned() };
    if prefix.is_empty() { key } else { format!("{prefix}.{key}") }
}

fn split(path: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let (part, after) = match rest.strip_prefix('"').and_then(|quoted| quoted.split_once('"')) {
            Some((part, after)) => (part, after.strip_prefix('.').unwrap_or(after)),
            None => rest.split_once('.').unwrap_or((rest, "")),
        };
        parts.push(part.to_owned());
        rest = after;
    }
    parts
}

fn put(table: &mut Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => drop(table.insert(last.clone(), value)),
        [first, rest @ ..] => {
            let inner = table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new()));
            if let Some(inner) = inner.as_table_mut() {
                put(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{Colour, Output};

    fn flags() -> Global {
        Global {
            state_dir: None,
            database: None,
            project: None,
            operator: None,
            output: Output::Text,
            color: Colour::Never,
            yes_on: None,
        }
    }

    fn loaded(project: &str, user: &str, environment: &[(&str, &str)]) -> Result<Layered, String> {
        let folder = tempfile::tempdir().unwrap();
        let (root, home) = (folder.path().join("project"), folder.path().join("home"));
        std::fs::create_dir_all(&root).unwrap();
        std::fs::create_dir_all(home.join("aegis")).unwrap();
        std::fs::write(root.join("aegis.toml"), project).unwrap();
        std::fs::write(home.join("aegis/aegis.toml"), user).unwrap();
        let mut environment: BTreeMap<String, String> =
            environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        environment.insert("XDG_CONFIG_HOME".to_owned(), home.display().to_string());
        load(&root, &environment, &flags())
            .map_err(|failure| format!("{failure:?}").replace(&folder.path().display().to_string(), ""))
    }

    #[test]
    fn without_files_the_target_is_the_sandbox() {
        let layered = loaded("", "", &[]).unwrap();
        assert_eq!(layered.config.target, "sandbox");
        assert!(layered.config.targets["sandbox"].sandbox);
        assert_eq!(layered.values["target"].1, Origin::Default);
    }

    #[test]
    fn later_layers_rule_and_are_named() {
        let project = "target = \"prod\"\n[targets.prod]\nprotected = true\n[targets.sandbox.notify.ops]\ntype = \"slack\"\nurl = \"env:HOOK\"\n";
        let layered =
            loaded(project, "target = \"mine\"\noperator = \"kim\"\n", &[("AEGIS_OPERATOR", "lee")]).unwrap();
        assert_eq!(layered.config.target, "prod");
        assert_eq!(layered.config.operator, "lee");
        assert!(layered.config.targets["prod"].protected);
        assert_eq!(layered.values["operator"].1, Origin::Environment("AEGIS_OPERATOR"));
        assert!(
            matches!(&layered.values["target"].1, Origin::File(path) if path.ends_with("project/aegis.toml"))
        );
        assert!(!layered.values.contains_key("targets.sandbox.notify.ops.path"));
    }

    #[test]
    fn what_would_never_run_or_never_rest_is_told_with_its_line() {
        for (lines, said) in [
            ("[serve]\nnotify = \"\"\nmost-runs = 0\n", "1 or more"),
            ("[targets.prod]\nprotected = true\nmost-runs = 0\n", "1 or more"),
            ("[serve]\nnotify = \"\"\nheartbeat-every = \"0s\"\n", "some time, not none"),
        ] {
            let failure = loaded(lines, "", &[]).unwrap_err();
            assert!(failure.contains(said) && failure.contains("line: 3, "), "{lines}: {failure}");
        }
        let right = "[serve]\nmost-runs = 1\nheartbeat-every = \"1s\"\n[targets.prod]\nmost-runs = 2\n";
        let layered = loaded(right, "", &[]).unwrap();
        assert_eq!(
            (layered.config.serve.most_runs, layered.config.targets["prod"].most_runs),
            (Some(1), Some(2))
        );
    }

    #[test]
    fn an_unknown_key_is_told_with_its_line_and_the_nearest_name() {
        let failure = loaded("\n[targets.prod]\nprotecte = true\n", "", &[]).unwrap_err();
        assert!(failure.contains("the configuration has no key `protecte`"), "{failure}");
        assert!(failure.contains("did you mean `protected`?"), "{failure}");
        assert!(failure.contains("line: 3, column: 1"), "{failure}");
    }
}
