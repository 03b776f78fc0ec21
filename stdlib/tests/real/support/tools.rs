//! Third-party programs that tests talk to: found in `.tools/` or on `PATH`, started on free ports, ended
//! when dropped.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The path of a program in `.tools/`.
///
/// # Panics
/// When it is not there: the message says how to get it.
pub(crate) fn tool(relative: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let path = root.join(".tools").join(relative);
    assert!(
        path.exists(),
        "this test needs `{}`; run `just tools` (or `.ci/tools`) to install it",
        path.display()
    );
    path
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A program that runs as long as this value lives.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")))
    }

    /// Waits until the port accepts connections.
    ///
    /// # Panics
    /// When the program ends before that, or takes half a minute.
    pub(crate) async fn listening(mut self, port: u16) -> Self {
        let deadline = Instant::now() + Duration::from_secs(30);
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if let Some(status) = self.0.try_wait().unwrap() {
                panic!("the program ended before it listened on {port}: {status}");
            }
            assert!(Instant::now() < deadline, "nothing listens on {port} after half a minute");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
