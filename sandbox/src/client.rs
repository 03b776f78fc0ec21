//! Asking a server over HTTP or HTTPS: the cluster's own API, and admission webhooks.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Uri, header};
use hyper::body::Body as _;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The largest answer that is read.
const LIMIT: usize = 64 << 20;

/// One question.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    /// Where to connect in place of the URL's host.
    pub(crate) connect: Option<SocketAddr>,
    /// Who the server's certificate must come from, as PEM; none for those this machine trusts.
    pub(crate) authority: Option<&'a str>,
    pub(crate) token: Option<&'a str>,
    /// JSON.
    pub(crate) body: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0:?} is no URL with a host")]
    Url(String),
    #[error("the certificates cannot be used: {0}")]
    Certificates(String),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("the answer cannot be read: {0}")]
    Body(String),
}

/// Asks; answers the code and the body.
pub(crate) async fn send(request: &Request<'_>) -> Result<(u16, Bytes), Error> {
    let wrong = || Error::Url(request.url.to_owned());
    let url: Uri = request.url.parse().map_err(|_| wrong())?;
    let host = url.host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
    let is_tls = url.scheme_str() == Some("https");
    let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let stream = match request.connect {
        Some(address) => TcpStream::connect(address).await?,
        None => TcpStream::connect((host.as_str(), port)).await?,
    };
    let _ = stream.set_nodelay(true);
    if !is_tls {
        return exchange(stream, request, &url).await;
    }
    let name = ServerName::try_from(host).map_err(|_| wrong())?;
    let connector = TlsConnector::from(Arc::new(trust(request.authority)?));
    exchange(connector.connect(name, stream).await?, request, &url).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: &Request<'_>,
    url: &Uri,
) -> Result<(u16, Bytes), Error> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let mut builder = http::Request::builder()
        .method(Method::from_bytes(request.method.as_bytes()).unwrap_or(Method::GET))
        .uri(path)
        .header(header::HOST, url.authority().map_or("", |authority| authority.as_str()))
        .header(header::ACCEPT, "application/json");
    if let Some(token) = request.token {
        builder = builder.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if request.body.is_some() {
        builder = builder.header(header::CONTENT_TYPE, "application/json");
    }
    let body = axum::body::Body::from(request.body.clone().unwrap_or_default());
    let question = builder.body(body).map_err(|error| Error::Body(error.to_string()))?;
    let response = sender.send_request(question).await?;
    let code = response.status().as_u16();
    let size = response.body().size_hint().lower();
    if size > LIMIT as u64 {
        return Err(Error::Body(format!("it has {size} bytes")));
    }
    let body = axum::body::to_bytes(axum::body::Body::new(response.into_body()), LIMIT).await;
    driver.abort();
    Ok((code, body.map_err(|error| Error::Body(error.to_string()))?))
}

/// Trusts one authority, or without one those this machine trusts.
fn trust(authority: Option<&str>) -> Result<ClientConfig, Error> {
    let wrong = |error: &dyn std::fmt::Display| Error::Certificates(error.to_string());
    let mut roots = RootCertStore::empty();
    if authority.is_none() {
        // What cannot be read is not trusted.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    for certificate in CertificateDer::pem_slice_iter(authority.unwrap_or_default().as_bytes()) {
        roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().map_err(|error| wrong(&error))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// A `caBundle` as PEM; none when there is none.
pub(crate) fn bundle(base64: &str) -> Option<String> {
    let pem = String::from_utf8(STANDARD.decode(base64).ok()?).ok()?;
    (!pem.is_empty()).then_some(pem)
}
