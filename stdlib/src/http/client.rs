//! One request, one answer. Knows connections, proxies, certificates and the size limit; knows nothing of
//! repeats and redirects, which are `exchange.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use aegis_engine::{CallError, codes};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method};
use reqwest::{Certificate, NoProxy, Proxy};
use tokio::sync::OnceCell;
use url::Url;

use super::errors::{self, Failure};
use crate::target::Surroundings;
use crate::tls::client::extra_authorities;

/// Long enough for a slow handshake over a bad line, short enough to try again within a step.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A request as it goes out.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// What people are shown instead of method and URL, when the URL is secret.
    pub(crate) label: Option<String>,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// For the whole exchange, body included.
    pub(crate) timeout: Duration,
    /// Largest body accepted, in bytes.
    pub(crate) max_bytes: usize,
}

/// An answer as it came in.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) url: Url,
}

/// The HTTP client of a target. Connects at the first request.
pub struct HttpClient {
    environment: BTreeMap<String, String>,
    client: OnceCell<reqwest::Client>,
}

impl HttpClient {
    /// Takes proxies and certificate files from the environment; opens nothing.
    #[must_use]
    pub fn new(surroundings: &Surroundings) -> Self {
        Self { environment: surroundings.environment.clone(), client: OnceCell::new() }
    }

    pub(crate) async fn exchange(&self, request: &Request) -> Result<Response, Failure> {
        let client = self.client.get_or_try_init(|| async { self.build() }).await?;
        let outgoing = client
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone())
            .timeout(request.timeout)
            .body(request.body.clone());
        let incoming = outgoing.send().await.map_err(|error| errors::transport(request, &error))?;
        let (status, headers) = (incoming.status().as_u16(), incoming.headers().clone());
        let body = bounded(request, incoming).await?;
        Ok(Response { status, headers, body, url: request.url.clone() })
    }

    fn build(&self) -> Result<reqwest::Client, CallError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("aegis/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy();
        for proxy in self.proxies()? {
            builder = builder.proxy(proxy);
        }
        if let Some(pem) = extra_authorities(&self.environment)? {
            builder = builder.tls_certs_merge(Certificate::from_pem_bundle(&pem).map_err(unusable)?);
        }
        builder.build().map_err(unusable)
    }

    fn proxies(&self) -> Result<Vec<Proxy>, CallError> {
        let none = self.variable("NO_PROXY").and_then(NoProxy::from_string);
        let wrong =
            |error| CallError::new(codes::CONFIG, "the proxy in the environment is not a URL").because(error);
        let mut proxies = Vec::new();
        for (name, make) in [
            ("HTTPS_PROXY", Proxy::https::<String> as fn(String) -> reqwest::Result<Proxy>),
            ("HTTP_PROXY", Proxy::http::<String>),
            ("ALL_PROXY", Proxy::all::<String>),
        ] {
            if let Some(url) = self.variable(name) {
                proxies.push(make(url.to_owned()).map_err(wrong)?.no_proxy(none.clone()));
            }
        }
        Ok(proxies)
    }

    /// Proxy variables are met in both cases; the lower one is the older convention and wins, as in curl.
    fn variable(&self, name: &str) -> Option<&str> {
        let lower = self.environment.get(&name.to_lowercase());
        lower.or_else(|| self.environment.get(name)).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// Reads the body up to the limit.
async fn bounded(request: &Request, mut incoming: reqwest::Response) -> Result<Bytes, Failure> {
    let mut body = BytesMut::new();
    while let Some(chunk) = incoming.chunk().await.map_err(|error| errors::transport(request, &error))? {
        if body.len() + chunk.len() > request.max_bytes {
            return Err(errors::too_large(request));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn unusable(error: reqwest::Error) -> CallError {
    CallError::new(codes::TLS, "the HTTP client cannot be set up").because(errors::root(&error))
}
