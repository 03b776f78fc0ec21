//! Diagnostics for engineers of aegis itself: `AEGIS_LOG=debug` (the filter syntax of tracing), on stderr, as
//! lines for people or, with `--output json`, as JSON.

use aegis_engine::codes;
use aegis_engine::error::CallError;
use tracing_subscriber::EnvFilter;

use super::failure::Failure;
use crate::context::Global;

/// What to log.
const VARIABLE: &str = "AEGIS_LOG";

/// Starts it when `AEGIS_LOG` is set.
///
/// # Errors
/// When it is set to what is no filter.
pub(crate) fn start(global: &Global) -> Result<(), Failure> {
    let Ok(text) = std::env::var(VARIABLE) else { return Ok(()) };
    let filter = EnvFilter::try_new(&text).map_err(|error| {
        CallError::new(codes::CONFIG, format!("`{VARIABLE}` is no filter: `{text}`"))
            .because(error)
            .hint("write a level (`debug`) or levels by module (`aegis_stdlib=debug,kube=info`)")
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    if global.json() {
        lines.json().init()
    } else {
        lines.with_ansi(global.colour()).init()
    }
    Ok(())
}
