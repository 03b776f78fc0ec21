//! What `[targets.NAME.executor]` needs beside its own keys, looked at before anything is served.

use aegis_engine::codes;
use aegis_engine::diagnostic::{Diagnostic, Place, Problems};
use aegis_engine::runbook::Sources;
use toml::de::{DeTable, DeValue};

use super::layers::place;
use super::{Config, Layered, Origin};

impl Layered {
    /// Everything that is wrong with executors, each with the place of its table.
    ///
    /// # Errors
    /// When there is something.
    pub(crate) fn check_executors(&self) -> Result<(), Problems> {
        let mut sources = Sources::default();
        let mut diagnostics = Vec::new();
        for name in self.config.targets.keys() {
            let Some((problem, hint)) = wrong(&self.config, name) else { continue };
            let (at, text) = self.written(name);
            if let (Some(at), Some(text)) = (&at, text) {
                sources = sources.with(&at.source, text);
            }
            diagnostics.push(Diagnostic::new(codes::CONFIG, problem).hint(hint).at(at));
        }
        if diagnostics.is_empty() { Ok(()) } else { Err(Problems { diagnostics, sources }) }
    }

    /// Where a target's executor is written, and the text of that file.
    fn written(&self, name: &str) -> (Option<Place>, Option<String>) {
        let prefix = format!("targets.{name}.executor.");
        let file = self.values.iter().find_map(|(key, (_, origin))| match origin {
            Origin::File(path) if key.starts_with(&prefix) => Some(path),
            _ => None,
        });
        let Some((file, text)) = file.and_then(|file| Some((file, std::fs::read_to_string(file).ok()?)))
        else {
            return (None, None);
        };
        let at = DeTable::parse(&text).ok().and_then(|table| {
            let DeValue::Table(targets) = table.get_ref().get("targets")?.get_ref() else { return None };
            let DeValue::Table(target) = targets.get(name)?.get_ref() else { return None };
            let (key, _) = target.get_key_value("executor")?;
            Some(place(&file.display().to_string(), &text, key.span()))
        });
        (at, Some(text))
    }
}

/// What is wrong with the executor of a target, and what to do about it.
fn wrong(config: &Config, name: &str) -> Option<(String, String)> {
    let executor = config.targets.get(name)?.executor.as_ref()?;
    if config.database.url.open().is_empty() {
        let problem = format!("the target `{name}` has an executor, and journals are in the state directory");
        let hint = "a pod reaches no state directory: name the PostgreSQL that engines and pods share below \
                    `[database]`, or leave the executor out";
        return Some((problem, hint.to_owned()));
    }
    let cluster = executor.cluster.as_deref()?;
    config.target(cluster).err().map(|error| {
        let problem = format!(
            "the executor of `{name}` makes its jobs in a cluster that is not known: {}",
            error.message
        );
        (problem, error.hint.unwrap_or_default())
    })
}
