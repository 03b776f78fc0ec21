//! Connections: bounded in number, in size and in time, with TLS where there is a certificate.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// Connections at the same time; more wait to be accepted.
const CONNECTIONS: usize = 256;

/// How long a client may take to say what it wants: who opens a connection and stays silent is let go.
const HEADERS: Duration = Duration::from_secs(10);

/// Out of file descriptors, most likely: some connections may end meanwhile.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// Certificate and key from PEM files.
///
/// # Errors
/// What cannot be read, or does not fit together.
pub fn tls(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, String> {
    let unreadable = |path: &Path, error: &dyn std::fmt::Display| format!("`{}`: {error}", path.display());
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(certificate, &error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| unreadable(certificate, &error))?;
    Ok(Arc::new(config))
}

/// The certificate that holds at the moment; `None`: there is none.
pub type Certificate = watch::Receiver<Option<Arc<ServerConfig>>>;

/// Accepts connections for as long as it is polled.
pub async fn serve(listener: TcpListener, certificate: Certificate, router: Router) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(TRY_AGAIN).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (tls, router) = (certificate.borrow().clone().map(TlsAcceptor::from), router.clone());
        tokio::spawn(async move {
            let _slot = slot;
            match tls {
                None => connection(stream, router).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = tokio::time::timeout(HEADERS, tls.accept(stream)).await {
                        connection(stream, router).await;
                    }
                }
            }
        });
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, router: Router) {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
    server.http2().timer(TokioTimer::new()).max_concurrent_streams(32).keep_alive_interval(HEADERS);
    let service = TowerToHyperService::new(router);
    // A client that goes away in the middle is no event worth telling.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}
