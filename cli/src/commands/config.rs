//! `aegis config`: every value of the configuration with its origin. Secrets stay covered.

use aegis_engine::secret::MASK;
use clap::Args;
use serde::Serialize;
use toml::Value;

use crate::config::DEFAULTS;
use crate::context::{Context, Global};
use crate::exit::Exit;
use crate::view::failure::Failure;
use crate::view::table;

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
            .collect();
        table::list(global, &lines, &["KEY", "VALUE", "ORIGIN"], |line| {
            vec![line.key.clone(), line.value.to_string(), line.origin.clone()]
        });
        Ok(Exit::Ok)
    }
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
