//! Connections: accepting them, with and without TLS, and handing their requests to the API.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::api::{Api, Reset};

/// How long the port of a process that just died may stay taken.
const TAKEN_FOR: Duration = Duration::from_secs(2);
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// Listens where the directory says, waiting for a dying predecessor to let go.
pub(super) async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let give_up = tokio::time::Instant::now() + TAKEN_FOR;
    loop {
        match TcpListener::bind(address).await {
            Err(error)
                if error.kind() == std::io::ErrorKind::AddrInUse && tokio::time::Instant::now() < give_up =>
            {
                tokio::time::sleep(TRY_AGAIN_AFTER).await;
            }
            outcome => return outcome,
        }
    }
}

/// Whether somebody accepts connections at an address.
pub(super) async fn answers(address: &SocketAddr) -> bool {
    address.port() != 0 && TcpStream::connect(address).await.is_ok()
}

/// Accepts connections for as long as it is polled.
pub(super) async fn serve(listener: TcpListener, tls: Option<Arc<ServerConfig>>, api: Api) {
    let tls = tls.map(TlsAcceptor::from);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: let some connections end.
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (tls, api) = (tls.clone(), api.clone());
        tokio::spawn(async move {
            match tls {
                None => connection(stream, api).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        connection(stream, api).await;
                    }
                }
            }
        });
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, api: Api) {
    let service = service_fn(move |request: Request<Incoming>| {
        let api = api.clone();
        async move {
            let response = api.handle(request.map(Body::new)).await;
            match response.extensions().get::<Reset>() {
                None => Ok(response),
                Some(Reset) => Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
            }
        }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    // A client that goes away in the middle is no event worth telling.
    let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}
