//! The address that `aegis serve` answers at: on loopback unless somebody says otherwise, and beyond it with TLS only.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aegis_console::{Console, api, server};
use aegis_engine::codes;
use aegis_engine::error::CallError;
use rustls::ServerConfig;
use tokio::sync::watch::{self, Sender};

use crate::context::Context;
use crate::view::failure::Failure;
use crate::view::say;

/// How often it looks whether the certificate was renewed.
const LOOK: Duration = Duration::from_secs(2);

/// Begins to answer.
pub(super) fn start(context: &Context, address: &str, console: Arc<Console>) -> Result<(), Failure> {
    let config = &context.settings.config.serve;
    let files = Files::of(context)?;
    let tls = files.as_ref().map(Files::read).transpose()?;
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
    let (renewed, certificate) = watch::channel(tls);
    if let Some(files) = files {
        context.runtime.spawn(files.renew(renewed));
    }
    context.runtime.spawn(server::serve(listener, certificate, api::router(console)));
    Ok(())
}

/// Where the certificate and its key are.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn of(context: &Context) -> Result<Option<Self>, CallError> {
        let tls = &context.settings.config.serve.tls;
        match (&tls.certificate, &tls.key) {
            (Some(certificate), Some(key)) => {
                let (certificate, key) = (context.project.join(certificate), context.project.join(key));
                Ok(Some(Self { certificate, key }))
            }
            (None, None) => Ok(None),
            _ => Err(CallError::new(codes::CONFIG, "`serve.tls` needs a `certificate` and a `key`")
                .hint("name the PEM file of each")),
        }
    }

    fn read(&self) -> Result<Arc<ServerConfig>, CallError> {
        server::tls(&self.certificate, &self.key)
            .map_err(|why| CallError::new(codes::CONFIG, "`serve.tls` cannot be used").because(why))
    }

    fn texts(&self) -> [Vec<u8>; 2] {
        [&self.certificate, &self.key].map(|file| std::fs::read(file).unwrap_or_default())
    }

    /// Certificates are renewed while nobody looks. Files that are still being written are left alone, and what cannot be
    /// used leaves the one before.
    async fn renew(self, renewed: Sender<Option<Arc<ServerConfig>>>) {
        let mut known = self.texts();
        let mut last = known.clone();
        while !renewed.is_closed() {
            tokio::time::sleep(LOOK).await;
            let texts = self.texts();
            let is_settled = texts == std::mem::replace(&mut last, texts.clone());
            if texts == known || !is_settled {
                continue;
            }
            match self.read() {
                Ok(config) => {
                    say("the certificate was renewed");
                    renewed.send_replace(Some(config));
                }
                Err(error) => {
                    let why = error.message;
                    say(&format!("trouble: the new certificate is not taken, the one before stays: {why}"));
                }
            }
            known = texts;
        }
    }
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
