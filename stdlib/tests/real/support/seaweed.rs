//! The S3 server of tests as storage sees it: its target, and a client of the tests' own.

use aegis_engine::testing::SeaweedServer;
use aegis_stdlib::target::{S3Target, StorageTarget, Target};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};

pub(crate) const KEY: &str = "AKIAAEGISTEST0000001";
pub(crate) const SECRET: &str = "test-secret-of-the-seaweed-server";
pub(crate) const BUCKET: &str = "backups";

/// The server; it ends when it is dropped.
pub(crate) struct Seaweed {
    _server: SeaweedServer,
    pub(crate) endpoint: String,
}

impl Seaweed {
    pub(crate) async fn start() -> Self {
        let server = SeaweedServer::start(BUCKET, KEY, SECRET);
        let seaweed = Self { endpoint: server.endpoint().to_owned(), _server: server };
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
