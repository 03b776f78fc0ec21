//! A real S3 server: SeaweedFS in its small form, with one bucket, in a folder of its own.

use std::net::TcpListener;
use std::process::Command;

use aegis_stdlib::target::{S3Target, StorageTarget, Target};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};

use super::tools::{Running, tool};

pub(crate) const KEY: &str = "AKIAAEGISTEST0000001";
pub(crate) const SECRET: &str = "test-secret-of-the-seaweed-server";
pub(crate) const BUCKET: &str = "backups";

/// The server; it ends when it is dropped.
pub(crate) struct Seaweed {
    _running: Running,
    _folder: tempfile::TempDir,
    pub(crate) endpoint: String,
}

impl Seaweed {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let s3 = port_with_room();
        let mut command = Command::new(tool("bin/weed"));
        command.arg("mini").arg(format!("-dir={}", folder.path().display()));
        command.args([
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            &format!("-bucket={BUCKET}"),
            &format!("-s3.port={s3}"),
        ]);
        for part in ["master", "volume", "filer", "webdav", "admin"] {
            command.arg(format!("-{part}.port={}", port_with_room()));
        }
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
        command.env("AWS_ACCESS_KEY_ID", KEY).env("AWS_SECRET_ACCESS_KEY", SECRET).current_dir(folder.path());
        command.stderr(std::fs::File::create(folder.path().join("log")).unwrap());
        let running = Running::start(&mut command).listening(s3).await;
        let seaweed = Self { _running: running, _folder: folder, endpoint: format!("http://127.0.0.1:{s3}") };
        seaweed.ready().await;
        seaweed
    }

    /// The port listens before the bucket is there.
    async fn ready(&self) {
        let client = self.client();
        for _ in 0..1500 {
            if client.head_bucket().bucket(BUCKET).send().await.is_ok() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the bucket is not there after half a minute");
    }

    /// A client of the test's own, to arrange and to look behind the module's back.
    pub(crate) fn client(&self) -> Client {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http)
            .credentials_provider(Credentials::new(KEY, SECRET, None, None, "test"))
            .endpoint_url(&self.endpoint)
            .force_path_style(true)
            .region(Region::new("us-east-1"));
        Client::from_conf(config.build())
    }

    pub(crate) async fn keep_versions(&self) {
        let versioning = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        let request =
            self.client().put_bucket_versioning().bucket(BUCKET).versioning_configuration(versioning);
        request.send().await.unwrap();
    }

    pub(crate) fn target(&self) -> Target {
        let s3 = S3Target { endpoint: Some(self.endpoint.clone()), path_style: true, ..S3Target::default() };
        Target { storage: StorageTarget { s3, file_root: None }, ..Target::default() }
    }
}

/// SeaweedFS opens every port once more 10000 higher.
fn port_with_room() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let port = if port > 50_000 { port - 15_000 } else { port };
        drop(first);
        if TcpListener::bind(("127.0.0.1", port)).is_ok()
            && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok()
        {
            return port;
        }
    }
}
