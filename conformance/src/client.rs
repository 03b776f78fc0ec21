//! Talks to a sandbox: one connection a request, nothing added to what the caller says.

use std::collections::BTreeMap;

use anyhow::Context;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What was answered, here or in the recording.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    /// By lower-case name.
    pub(crate) headers: BTreeMap<String, Vec<String>>,
    pub(crate) body: Value,
}

/// Where a sandbox is.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) authority: String,
    pub(crate) token: String,
}

impl Client {
    /// Asks and waits for the whole answer.
    pub(crate) async fn ask(&self, asked: &Asked) -> anyhow::Result<Answer> {
        let response = self.send(asked).await?;
        let mut answer = head(&response);
        let bytes = response.into_body().collect().await?.to_bytes();
        answer.body = body(&answer.content_type, &bytes);
        Ok(answer)
    }

    /// Asks and hands over the answer's stream once the server has begun to answer.
    pub(crate) async fn send(&self, asked: &Asked) -> anyhow::Result<Response<Incoming>> {
        let stream = TcpStream::connect(&self.authority).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let method: Method = asked.method.parse()?;
        let mut request =
            Request::builder().method(method).uri(&asked.target).header("Host", &self.authority);
        for (name, value) in &asked.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(asked.body.clone())))?;
        sender.send_request(request).await.with_context(|| format!("no answer to `{}`", asked.target))
    }

    /// Reads as the administrator.
    pub(crate) async fn get(&self, target: &str) -> anyhow::Result<Value> {
        Ok(self.ask(&self.as_administrator("GET", target, &Value::Null)).await?.body)
    }

    /// A request of the administrator.
    pub(crate) fn as_administrator(&self, method: &str, target: &str, body: &Value) -> Asked {
        let json = "application/json".to_owned();
        let sent = if method == "PATCH" { "application/merge-patch+json".to_owned() } else { json.clone() };
        Asked {
            method: method.into(),
            target: target.into(),
            headers: vec![
                ("Authorization".into(), format!("Bearer {}", self.token)),
                ("Accept".into(), json),
                ("Content-Type".into(), sent),
            ],
            body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
        }
    }
}

/// Status and headers of an answer.
pub(crate) fn head(response: &Response<Incoming>) -> Answer {
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in response.headers() {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(name.as_str().to_owned()).or_default().push(value);
    }
    let content_type = headers.get("content-type").and_then(|values| values.first()).cloned();
    Answer {
        status: response.status().as_u16(),
        content_type: content_type.unwrap_or_default(),
        headers,
        body: Value::Null,
    }
}

/// A body as recordings hold it: JSON where it is JSON, `@text` or `@summary` where not.
fn body(content_type: &str, bytes: &[u8]) -> Value {
    if content_type.contains("protobuf") {
        return json!({"@summary": {"content_type": content_type, "length": bytes.len()}});
    }
    match serde_json::from_slice::<Value>(bytes) {
        Ok(value) if value.is_object() || value.is_array() => value,
        _ => json!({"@text": String::from_utf8_lossy(bytes)}),
    }
}
