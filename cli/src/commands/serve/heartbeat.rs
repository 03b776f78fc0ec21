//! A URL that is asked as long as the loop goes round, so that somebody outside notices when it does not: who watches
//! scheduled work must not itself be scheduled work.

use std::sync::Arc;
use std::time::Duration;

use aegis_console::Metrics;
use aegis_engine::codes;
use aegis_engine::error::CallError;

use crate::context::Context;
use crate::view::failure::Failure;
use crate::view::say;

/// Begins to ask, as configured.
pub(super) fn start(context: &Context, metrics: Arc<Metrics>) -> Result<(), Failure> {
    let config = &context.settings.config.serve;
    if config.heartbeat.is_empty() {
        return Ok(());
    }
    let (url, every) =
        (config.heartbeat.clone(), config.heartbeat_every.map_or(Duration::from_secs(60), Into::into));
    let client = reqwest::Client::builder().timeout(every.min(Duration::from_secs(20))).build();
    let client = client
        .map_err(|error| CallError::new(codes::CONFIG, "the heartbeat cannot be set up").because(error))?;
    context.runtime.spawn(async move {
        let mut silent = false;
        loop {
            if metrics.lives() {
                let answer = client.get(&url).send().await.and_then(reqwest::Response::error_for_status);
                if let Err(error) = &answer
                    && !silent
                {
                    say(&format!("trouble: the heartbeat was not heard: {}", why(error)));
                }
                silent = answer.is_err();
            }
            let pause = if metrics.lives() { every } else { Duration::from_millis(200).min(every) };
            tokio::time::sleep(pause).await;
        }
    });
    Ok(())
}

/// Why it was not heard, without its address, which may hold a secret.
fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    error
        .status()
        .map_or_else(|| "it cannot be reached".to_owned(), |status| format!("the answer was {status}"))
}
