//! A real S3 server for a test: SeaweedFS in its small form, with one bucket, in a folder of its own.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long it may take until it listens, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server; it ends when it is dropped.
pub struct SeaweedServer {
    child: Child,
    endpoint: String,
    _folder: TempDir,
}

impl SeaweedServer {
    /// Starts it with a bucket, for whoever has a key. The port listens a little before the bucket is there.
    ///
    /// # Panics
    /// When `.ci/tools` has not installed it, or it does not start.
    #[must_use]
    pub fn start(bucket: &str, key: &str, secret: &str) -> Self {
        let weed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/bin/weed");
        assert!(weed.exists(), "there is no SeaweedFS for the tests: run `.ci/tools seaweedfs`");
        let folder = tempfile::Builder::new().prefix("aegis-seaweed").tempdir().expect("a temporary folder");
        let s3 = port_with_room();
        let mut command = Command::new(weed);
        command.arg("mini").arg(format!("-dir={}", folder.path().display())).current_dir(folder.path());
        command.args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
        command.args([format!("-bucket={bucket}"), format!("-s3.port={s3}")]);
        for part in ["master", "volume", "filer", "webdav", "admin"] {
            command.arg(format!("-{part}.port={}", port_with_room()));
        }
        // Its sockets and logs go where temporary files go.
        command
            .env("AWS_ACCESS_KEY_ID", key)
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .env("TMPDIR", folder.path());
        let log = folder.path().join("log");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(&log).expect("a file in a temporary folder"));
        let child = command.spawn().unwrap_or_else(|error| panic!("SeaweedFS does not start: {error}"));
        let mut server = Self { child, endpoint: format!("http://127.0.0.1:{s3}"), _folder: folder };
        server.wait_until_it_listens(s3, &log);
        server
    }

    /// Its address.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn wait_until_it_listens(&mut self, port: u16, log: &Path) {
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = self.child.try_wait().ok().flatten();
            let told = || std::fs::read_to_string(log).unwrap_or_default();
            assert!(ended.is_none(), "SeaweedFS ended before it listened: {}", told());
            assert!(began.elapsed() < PATIENCE, "SeaweedFS does not listen: {}", told());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for SeaweedServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// SeaweedFS opens every port once more 10000 higher.
fn port_with_room() -> u16 {
    let bound = |port: u16| TcpListener::bind(("127.0.0.1", port));
    loop {
        let port = bound(0).and_then(|first| first.local_addr()).expect("a free port").port();
        let port = if port > 50_000 { port - 15_000 } else { port };
        if bound(port).is_ok() && bound(port + 10_000).is_ok() {
            return port;
        }
    }
}
