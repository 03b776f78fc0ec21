//! The way to the database, which can be cut: nothing comes through in either direction and nobody is told, as when a
//! cable is pulled. What was under way comes through late, when it is mended.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// One engine's way.
pub(crate) struct Proxy {
    port: u16,
    whole: watch::Sender<bool>,
}

impl Proxy {
    pub(crate) fn start(runtime: &tokio::runtime::Runtime, to: u16) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (whole, seen) = watch::channel(true);
        runtime.spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(connection(near, to, seen.clone()));
            }
        });
        Self { port, whole }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn cut(&self) {
        self.whole.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.whole.send_replace(true);
    }
}

async fn connection(near: TcpStream, to: u16, mut whole: watch::Receiver<bool>) {
    if whole.wait_for(|whole| *whole).await.is_err() {
        return;
    }
    let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await else { return };
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let other = whole.clone();
    tokio::join!(pass(near_in, far_out, whole), pass(far_in, near_out, other));
}

/// Passes bytes on; whichever end closes, both are closed.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut whole: watch::Receiver<bool>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if whole.wait_for(|whole| *whole).await.is_err() || to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

/// So that a proxy can be shared with whoever cuts it.
pub(crate) type Shared = Arc<Proxy>;
