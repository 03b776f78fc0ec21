//! What `run` and `plan` are about: a runbook, its parameters, a target.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aegis_engine::codes;
use aegis_engine::diagnostic::{Diagnostic, Place, Problems};
use aegis_engine::error::CallError;
use aegis_engine::files::{WRITTEN, read_text};
use aegis_engine::runbook::{BUILTINS, Params, Runbook, Sources, check};
use aegis_stdlib::yaml;
use clap::Args;
use serde_json::Value;

use crate::context::Context;
use crate::view::failure::Failure;

/// Which runbook with which parameters on which target.
#[derive(Debug, Args)]
pub(crate) struct Subject {
    /// The runbook.
    #[arg(value_name = "RUNBOOK")]
    pub(crate) runbook: PathBuf,
    /// A parameter, `name=value`; for several parameters several times.
    #[arg(long = "param", short = 'p', value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// Parameters from a YAML or JSON file; `--param` rules over them.
    #[arg(long = "params", value_name = "FILE")]
    file: Option<PathBuf>,
    /// The target [default: the configuration's, else the sandbox].
    #[arg(long, short = 't', value_name = "NAME")]
    pub(crate) target: Option<String>,
}

impl Subject {
    /// Reads the runbook and binds its parameters.
    pub(crate) fn load(&self, context: &Context) -> Result<(Runbook, Params), Failure> {
        let runbook = Runbook::load(&self.runbook, &aegis_stdlib::libraries())?;
        refuse_mistakes(&runbook)?;
        let params = runbook
            .header
            .bind(&self.given()?, &context.environment)
            .map_err(|diagnostics| Problems { diagnostics, sources: runbook.sources.clone() })?;
        Ok((runbook, params))
    }

    /// Name of the run in lists: the file's.
    pub(crate) fn name(&self) -> String {
        self.runbook.file_stem().map_or_else(|| "run".to_owned(), |stem| stem.to_string_lossy().into_owned())
    }

    fn given(&self) -> Result<BTreeMap<String, Value>, Failure> {
        let mut given = BTreeMap::new();
        for pair in &self.params {
            let Some((name, value)) = pair.split_once('=') else {
                let error = CallError::new(codes::PARAMETER, format!("`{pair}` is not a parameter"));
                return Err(error.hint("write `--param name=value`").into());
            };
            if given.insert(name.to_owned(), Value::String(value.to_owned())).is_some() {
                let error = CallError::new(codes::PARAMETER, format!("parameter `{name}` is given twice"));
                return Err(error.hint("give it once: nobody can know which of the two is meant").into());
            }
        }
        let file = self.file.as_deref().map(parameters).transpose()?.unwrap_or_default();
        Ok(file.into_iter().chain(given).collect())
    }
}

/// Nothing begins that is known to be wrong.
pub(crate) fn refuse_mistakes(runbook: &Runbook) -> Result<(), Failure> {
    let diagnostics = check(runbook, &Context::registry()?, &BUILTINS);
    let problems = Problems { diagnostics, sources: runbook.sources.clone() };
    if problems.has_errors() { Err(problems.into()) } else { Ok(()) }
}

/// The parameters of a file: one map, or nothing at all.
fn parameters(path: &Path) -> Result<BTreeMap<String, Value>, Failure> {
    let name = path.display().to_string();
    let text = read_text(path, WRITTEN).map_err(|error| {
        CallError::new(codes::PARAMETER, format!("`{name}` cannot be read")).because(error)
    })?;
    let wrong = |message: String, place: Option<(usize, usize)>| {
        let place = place.map(|(line, column)| Place { source: name.clone(), line, column, length: 1 });
        let diagnostic = Diagnostic::new(codes::PARAMETER, message).at(place);
        Failure::from(Problems::of(diagnostic, Sources::new(name.clone(), text.clone())))
    };
    let documents =
        yaml::documents(&text).map_err(|problem| wrong(problem.message.clone(), problem.place))?;
    match documents.as_slice() {
        [] => Ok(BTreeMap::new()),
        [Value::Object(map)] => Ok(map.clone().into_iter().collect()),
        _ => Err(wrong(format!("`{name}` must be one map of parameters, `name: value`"), None)),
    }
}
