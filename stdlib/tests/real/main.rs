//! Host modules against the real thing: servers on loopback that speak the real protocols, and real tools
//! where one exists (SeaweedFS for S3, aiosmtpd for SMTP). A missing tool fails a test with the command that
//! installs it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod http;
mod k8s;
mod notify;
mod storage;
mod support;
