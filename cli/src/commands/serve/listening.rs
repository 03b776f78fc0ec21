//! The address that `aegis serve` answers at: on loopback unless somebody says otherwise, and beyond it with TLS only.

use std::net::SocketAddr;
use std::sync::Arc;

use aegis_console::{Console, api, server};
use aegis_engine::codes;
use aegis_engine::error::CallError;

use crate::context::Context;
use crate::view::failure::Failure;
use crate::view::say;

/// Begins to answer.
pub(super) fn start(context: &Context, address: &str, console: Arc<Console>) -> Result<(), Failure> {
    let config = &context.settings.config.serve;
    let tls = match (&config.tls.certificate, &config.tls.key) {
        (Some(certificate), Some(key)) => {
            let wrong =
                |why: String| CallError::new(codes::CONFIG, "`serve.tls` cannot be used").because(why);
            let folder = &context.project;
            Some(server::tls(&folder.join(certificate), &folder.join(key)).map_err(wrong)?)
        }
        (None, None) => None,
        _ => {
            let problem = CallError::new(codes::CONFIG, "`serve.tls` needs a `certificate` and a `key`");
            return Err(problem.hint("name the PEM file of each").into());
        }
    };
    let unusable = |error: std::io::Error| {
        CallError::new(codes::CONFIG, format!("cannot listen at `{address}`"))
            .because(error)
            .hint("give an address like `127.0.0.1:9464`, or port 0 for a free one")
    };
    let listener = context.runtime.block_on(tokio::net::TcpListener::bind(address)).map_err(unusable)?;
    let bound = listener.local_addr().map_err(unusable)?;
    refuse_open(&bound, tls.is_some(), !config.tokens.is_empty())?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    say(&format!("metrics at {scheme}://{bound}/metrics"));
    context.runtime.spawn(server::serve(listener, tls, api::router(console)));
    Ok(())
}

/// Tokens in clear over a network are tokens of everybody on it. Metrics and signed webhooks hold none.
fn refuse_open(bound: &SocketAddr, tls: bool, tokens: bool) -> Result<(), Failure> {
    if bound.ip().is_loopback() || tls || !tokens {
        return Ok(());
    }
    let problem =
        CallError::new(codes::CONFIG, format!("tokens would cross the network in clear at `{bound}`"));
    Err(problem.hint("add `[serve.tls]` with `certificate` and `key`, or listen at `127.0.0.1`").into())
}
