//! `aegis config`: every value of the configuration with its origin, and the windows that runs wait for, which hold
//! without being written anywhere. Secrets stay covered.

use aegis_engine::secret::MASK;
use aegis_engine::units::Period;
use aegis_scheduler::calendar::Window;
use aegis_scheduler::reading;
use clap::Args;
use serde::Serialize;
use toml::Value;

use crate::config::DEFAULTS;
use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::{say, table};

#[derive(Debug, Args)]
pub(crate) struct Config {
    /// Print the defaults as a commented file: the reference of `aegis.toml`.
    #[arg(long)]
    defaults: bool,
}

#[derive(Serialize)]
struct Line {
    key: String,
    value: Value,
    origin: String,
}

/// Keys of notification channels that are secret, unless they only name a variable or a file.
const SECRET: [&str; 3] = ["url", "key", "password"];

impl Config {
    pub(crate) fn run(self, global: &Global) -> Result<Exit, Failure> {
        if self.defaults {
            table::text(DEFAULTS);
            return Ok(Exit::Ok);
        }
        let context = Context::new(global, None)?;
        let lines: Vec<Line> = context
            .settings
            .values
            .iter()
            .map(|(key, (value, origin))| Line {
                key: key.clone(),
                value: covered(key, value),
                origin: origin.to_string(),
            })
            .chain(windows(&context)?)
            .collect();
        table::list(global, &lines, &["KEY", "VALUE", "ORIGIN"], |line| {
            vec![line.key.clone(), line.value.to_string(), line.origin.clone()]
        });
        say(
            "windows, freezes, schedules and triggers are written in `schedules.toml`\n  next: aegis check, aegis schedule ls",
        );
        Ok(Exit::Ok)
    }
}

/// The maintenance windows of the project: those of `schedules.toml`, or the usual one. Where they cannot be read,
/// `aegis check` says why.
fn windows(context: &Context) -> Result<Vec<Line>, Failure> {
    let path = context.project.join(reading::FILE);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let own = text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("windows"));
    let origin = if own { path.display().to_string() } else { "default".to_owned() };
    let plan = context.plan(false)?;
    let lines = |window: &Window| {
        let facts = [
            ("when", window.opens.when.text().to_owned()),
            ("lasts", Period(window.lasts).to_string()),
            ("zone", window.opens.zone.iana_name().unwrap_or("UTC").to_owned()),
            ("risk", window.scope.risk.word().to_owned()),
        ];
        let line = |(key, value): (&str, String)| Line {
            key: format!("windows.{}.{key}", window.name),
            value: value.into(),
            origin: origin.clone(),
        };
        facts.map(line)
    };
    Ok(plan.gates.windows.iter().flat_map(lines).collect())
}

fn covered(key: &str, value: &Value) -> Value {
    let last = key.rsplit('.').next().unwrap_or(key);
    let named = value.as_str().is_some_and(|text| text.starts_with("env:") || text.starts_with("file:"));
    let secret = key.contains(".notify.") && SECRET.contains(&last)
        || key == "database.url" && value.as_str() != Some("");
    if secret && !named {
        return Value::String(MASK.to_owned());
    }
    value.clone()
}
