//! Diagnostics for engineers of aegis itself: `AEGIS_LOG=debug` (the filter syntax of tracing), on stderr.

use tracing_subscriber::EnvFilter;

/// Starts it when `AEGIS_LOG` is set.
pub(crate) fn start() {
    if let Ok(filter) = EnvFilter::try_from_env("AEGIS_LOG") {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
}
