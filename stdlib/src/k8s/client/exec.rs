//! Commands in containers, over the cluster's streaming protocol.

use aegis_engine::codes;
use aegis_engine::error::CallError;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::AttachParams;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Cluster;
use crate::k8s::errors::transport;
use crate::k8s::world::Place;

/// What a command in a container wrote, and how it ended.
pub(in crate::k8s) struct Output {
    pub(in crate::k8s) stdout: String,
    pub(in crate::k8s) stderr: String,
    pub(in crate::k8s) exit_code: i64,
}

impl Cluster {
    /// Runs a command in a container. Never sent twice; once it has begun, a broken connection is unknown.
    pub(in crate::k8s) async fn exec(
        &self,
        pod: &Place,
        container: &str,
        command: &[String],
        stdin: Option<&str>,
    ) -> Result<Output, CallError> {
        let connection = self.connection().await?;
        let namespace = pod.namespace.as_deref().unwrap_or_default();
        let pods: kube::Api<Pod> = kube::Api::namespaced(connection.client.clone(), namespace);
        let how = AttachParams::default().container(container).stdin(stdin.is_some());
        let mut process =
            pods.exec(&pod.name, command.to_vec(), &how).await.map_err(|error| match error {
                kube::Error::Api(status) if status.code == 404 => pod.missing(),
                kube::Error::Api(status) => {
                    CallError::new(codes::API, format!("no command can be run in {}", pod.title()))
                        .because(status.message)
                }
                other => transport(&connection.server, &other).into(),
            })?;
        let (status, input) = (process.take_status(), process.stdin());
        let (mut out, mut err) = (process.stdout(), process.stderr());
        let broke = |error: &dyn std::fmt::Display| {
            let message = format!("the connection to the command in {} broke", pod.title());
            CallError::new(codes::UNREACHABLE, message).because(error).unknown()
        };
        let streams = async { tokio::join!(write(input, stdin), read(out.as_mut()), read(err.as_mut())) };
        // After a broken connection the library leaves its streams open: they alone would be waited for without end.
        let (wrote, stdout, stderr) = tokio::select! {
            done = streams => done,
            Err(error) = process.join() => return Err(broke(&error)),
        };
        // A command may end without reading all of its input.
        drop(wrote);
        let (stdout, stderr) =
            (stdout.map_err(|error| broke(&error))?, stderr.map_err(|error| broke(&error))?);
        let status = match status {
            Some(status) => status.await,
            None => None,
        };
        let status = status.ok_or_else(|| broke(&"it ended without a status"))?;
        Ok(Output { stdout, stderr, exit_code: exit_code(&status) })
    }
}

async fn write(input: Option<impl AsyncWrite + Unpin>, text: Option<&str>) -> std::io::Result<()> {
    let (Some(mut input), Some(text)) = (input, text) else { return Ok(()) };
    input.write_all(text.as_bytes()).await?;
    input.shutdown().await
}

async fn read(output: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(mut output) = output {
        output.read_to_end(&mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The exit code stands in a cause of the final status; without one the command succeeded.
fn exit_code(status: &Status) -> i64 {
    let causes = status.details.iter().filter_map(|details| details.causes.as_ref()).flatten();
    let mut codes = causes.filter(|cause| cause.reason.as_deref() == Some("ExitCode"));
    let code = codes.find_map(|cause| cause.message.as_ref()?.parse().ok());
    code.unwrap_or_else(|| i64::from(status.status.as_deref() != Some("Success")))
}
