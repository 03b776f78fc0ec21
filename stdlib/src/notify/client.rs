//! Delivery: HTTP through the `http` client, SMTP, and the file. Says of every failure whether the
//! notification may have arrived.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aegis_engine::function::Context;
use aegis_engine::{CallError, Secret, codes};
use lettre::message::Message as Mail;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::channels::{Channels, kind};
use super::email::{self, Security, Server};
use super::message::Message;
use super::{slack, webhook};
use crate::http::HttpClient;
use crate::http::client::{Request, Response};
use crate::http::errors::tls_cause;
use crate::http::exchange::{Follow, Policy, converse};
use crate::http::options::Expected;
use crate::target::{Channel, Surroundings, Target};
use crate::tls::client::extra_authorities;

/// A receiver that takes longer than this to answer a message is treated as lost.
const HTTP_TIMEOUT: Duration = Duration::from_secs(15);
/// For each part of an SMTP conversation. RFC 5321 allows minutes; an on-call run does not wait so long.
const SMTP_TIMEOUT: Duration = Duration::from_secs(60);

/// Delivers to the channels of a target. Opens no connection before the first send.
pub struct Notifier {
    pub(super) channels: Channels,
    state: PathBuf,
    environment: BTreeMap<String, String>,
}

impl Notifier {
    /// Takes the channels of the target.
    #[must_use]
    pub fn new(target: &Target, surroundings: &Surroundings) -> Self {
        Self {
            channels: Channels::new(target, surroundings),
            state: surroundings.state.clone(),
            environment: surroundings.environment.clone(),
        }
    }

    /// Delivers one message to its channel and tells how it went.
    pub(super) async fn deliver(&self, context: &Context, message: &Message) -> Result<Value, CallError> {
        let name = message.channel.as_str();
        let channel = self.channels.find(name)?;
        let mut delivery = super::send::delivery(name, kind(&channel), &message.id);
        match &channel {
            Channel::Webhook { url, key } => self.webhook(context, message, url, key.as_ref()).await?,
            Channel::Slack { url } => self.slack(context, message, url).await?,
            Channel::File { path } => append(&self.state.join(path), message).await?,
            Channel::Email { server, from, to, user, password } => {
                let server = Server::parse(name, server)?;
                let login = self.login(name, user.as_deref(), password.as_ref())?;
                let mail = email::mail(message, from, to)?;
                delivery["refused"] = json!(self.mail(name, &server, login, &mail).await?);
            }
        }
        Ok(delivery)
    }

    async fn webhook(
        &self,
        context: &Context,
        message: &Message,
        url: &Secret,
        key: Option<&Secret>,
    ) -> Result<(), CallError> {
        let key = key.map(|key| self.channels.resolved(&message.channel, key)).transpose()?;
        let (headers, body) = webhook::request(message, key.as_ref())?;
        let response = self.post(context, message, url, headers, body).await?;
        let said: String = String::from_utf8_lossy(&response.body).chars().take(200).collect();
        let refused = format!(
            "the webhook of `{}` refuses the notification: {} {said}",
            message.channel, response.status
        );
        settled(&response, || CallError::new(codes::NOTIFY, refused.trim_end()))
    }

    async fn slack(&self, context: &Context, message: &Message, url: &Secret) -> Result<(), CallError> {
        let body = slack::payload(message).to_string();
        let headers = [(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"))];
        let response = self.post(context, message, url, headers.into_iter().collect(), body.into()).await?;
        let word: String = String::from_utf8_lossy(&response.body).chars().take(200).collect();
        settled(&response, || slack::refused(&message.channel, response.status, &word))
    }

    /// Sends once: only what certainly never arrived is sent again.
    async fn post(
        &self,
        context: &Context,
        message: &Message,
        url: &Secret,
        headers: http::HeaderMap,
        body: bytes::Bytes,
    ) -> Result<Response, CallError> {
        let url = self.channels.resolved(&message.channel, url)?;
        let url = crate::http::options::parsed(url.open()).map_err(|error| {
            CallError::new(
                codes::CONFIG,
                format!("the address of channel `{}` cannot be used", message.channel),
            )
            .because(error)
        })?;
        let request = Request {
            label: Some(format!("the notification for `{}`", message.channel)),
            method: http::Method::POST,
            url,
            headers,
            body,
            timeout: HTTP_TIMEOUT,
            max_bytes: 64 * 1024,
        };
        let policy =
            Policy { repeatable: false, retries: 3, follow: Follow::None, expected: Expected::default() };
        let client = context.service::<HttpClient>()?;
        converse(context, &client, request, &policy).await
    }

    fn login(
        &self,
        channel: &str,
        user: Option<&str>,
        password: Option<&Secret>,
    ) -> Result<Option<Credentials>, CallError> {
        let (Some(user), Some(password)) = (user, password) else {
            if user.is_none() && password.is_none() {
                return Ok(None);
            }
            let message = format!("channel `{channel}` has a user or a password, but not both");
            return Err(CallError::new(codes::CONFIG, message).hint("give both, or neither"));
        };
        let password = self.channels.resolved(channel, password)?;
        Ok(Some(Credentials::new(user.to_owned(), password.open().to_owned())))
    }

    /// Everything before the message itself may fail without doubt; after its last line has gone out, silence
    /// means that nobody knows. Answers the receivers that the server refused.
    async fn mail(
        &self,
        channel: &str,
        server: &Server,
        login: Option<Credentials>,
        mail: &Mail,
    ) -> Result<Vec<String>, CallError> {
        let whole = format!("{}:{}", server.host, server.port);
        let mut connection = in_time(&whole, self.connected(server)).await?;
        let refused = in_time(&whole, async {
            if let Some(login) = &login {
                let mechanisms = [Mechanism::Plain, Mechanism::Login];
                connection.auth(&mechanisms, login).await.map_err(|error| not_welcome(channel, &error))?;
            }
            addressed(&mut connection, channel, mail).await
        })
        .await?;
        let sent = tokio::time::timeout(SMTP_TIMEOUT, connection.message(&mail.formatted())).await;
        let outcome = match sent {
            Err(_) => Err(lost(channel, "no answer in time")),
            Ok(Err(error)) if error.status().is_none() => Err(lost(channel, error)),
            Ok(Err(error)) => Err(refusal(channel, &error)),
            Ok(Ok(_)) => Ok(refused),
        };
        // The mail is taken or not; how the conversation ends changes neither.
        let _ = tokio::time::timeout(Duration::from_secs(5), connection.quit()).await;
        outcome
    }

    async fn connected(&self, server: &Server) -> Result<AsyncSmtpConnection, CallError> {
        let hello = ClientId::default();
        let address = (server.host.trim_matches(['[', ']']), server.port);
        let tls = self.tls(server)?;
        let implicit = (server.security == Security::Implicit).then(|| tls.clone());
        let connected = AsyncSmtpConnection::connect_tokio1(address, None, &hello, implicit, None).await;
        let mut connection = connected.map_err(|error| unreachable(server, &error))?;
        if server.security == Security::StartTls {
            if !connection.can_starttls() {
                let message = format!("the mail server `{}:{}` offers no STARTTLS", server.host, server.port);
                return Err(CallError::new(codes::TLS, message)
                    .hint("use `smtps://` if it speaks TLS from the start; mail is never sent in clear"));
            }
            connection.starttls(tls, &hello).await.map_err(|error| unreachable(server, &error))?;
        }
        Ok(connection)
    }

    fn tls(&self, server: &Server) -> Result<TlsParameters, CallError> {
        let wrong =
            |error: SmtpError| CallError::new(codes::TLS, "TLS cannot be set up for mail").because(error);
        let mut builder = TlsParameters::builder(server.host.clone());
        if let Some(pem) = extra_authorities(&self.environment)? {
            builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(wrong)?);
        }
        builder.build().map_err(wrong)
    }

    /// True when the file of a channel holds that notification; `None` for kinds that cannot tell.
    pub(super) async fn holds(&self, channel: &str, id: &str) -> Result<Option<bool>, CallError> {
        let Channel::File { path } = self.channels.find(channel)? else { return Ok(None) };
        let Ok(text) = tokio::fs::read_to_string(self.state.join(path)).await else { return Ok(Some(false)) };
        let has = |line: &str| serde_json::from_str::<Value>(line).is_ok_and(|line| line["id"] == id);
        Ok(Some(text.lines().any(has)))
    }
}

/// MAIL FROM, RCPT TO, DATA. One receiver that is refused does not keep the others from hearing.
async fn addressed(
    connection: &mut AsyncSmtpConnection,
    channel: &str,
    mail: &Mail,
) -> Result<Vec<String>, CallError> {
    let told = |error: SmtpError| refusal(channel, &error);
    let envelope = mail.envelope();
    connection.command(MailFrom::new(envelope.from().cloned(), Vec::new())).await.map_err(told)?;
    let mut refused = Vec::new();
    let mut last = None;
    for address in envelope.to() {
        match connection.command(Rcpt::new(address.clone(), Vec::new())).await {
            Ok(_) => {}
            Err(error) if error.status().is_some() => {
                refused.push(address.to_string());
                last = Some(error);
            }
            Err(error) => return Err(told(error)),
        }
    }
    match last {
        Some(error) if refused.len() == envelope.to().len() => Err(told(error)),
        _ => connection.command(Data).await.map(|_| refused).map_err(told),
    }
}

async fn in_time<T>(server: &str, part: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
    tokio::time::timeout(SMTP_TIMEOUT, part).await.unwrap_or_else(|_| {
        let message = format!("the mail server `{server}` does not answer in time");
        Err(CallError::new(codes::UNREACHABLE, message).retryable())
    })
}

fn unreachable(server: &Server, error: &SmtpError) -> CallError {
    let address = format!("{}:{}", server.host, server.port);
    if let Some(cause) = tls_cause(error) {
        return CallError::new(codes::TLS, format!("no secure connection to the mail server `{address}`"))
            .because(cause)
            .hint("if its certificate comes from a private authority, name the PEM file in `SSL_CERT_FILE`");
    }
    CallError::new(codes::UNREACHABLE, format!("cannot reach the mail server `{address}`"))
        .because(crate::http::errors::root(error))
        .retryable()
}

fn not_welcome(channel: &str, error: &SmtpError) -> CallError {
    CallError::new(
        codes::UNAUTHENTICATED,
        format!("the mail server does not accept the login of channel `{channel}`"),
    )
    .because(error)
    .hint("check `user` and `password` of the channel in `aegis.toml`")
}

fn refusal(channel: &str, error: &SmtpError) -> CallError {
    let told = CallError::new(
        codes::NOTIFY,
        format!("the mail server does not take the notification for `{channel}`"),
    )
    .because(error);
    if error.is_permanent() { told } else { told.retryable() }
}

fn lost(channel: &str, cause: impl std::fmt::Display) -> CallError {
    CallError::new(codes::NOTIFY, format!("the mail for `{channel}` went out and its answer was lost"))
        .because(cause)
        .hint("look into the mailbox for its `Message-ID`")
        .unknown()
}

/// 2xx is delivered; a gateway that lost its server says nothing about the notification; the rest is refused.
fn settled(response: &Response, refused: impl FnOnce() -> CallError) -> Result<(), CallError> {
    match response.status {
        200..=299 => Ok(()),
        502 | 504 => Err(refused().unknown()),
        429 | 500..=599 => Err(refused().retryable()),
        _ => Err(refused()),
    }
}

/// One line, on the disk before this returns.
async fn append(path: &Path, message: &Message) -> Result<(), CallError> {
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    let written = async {
        if let Some(folder) = path.parent() {
            tokio::fs::create_dir_all(folder).await?;
        }
        let mut file = tokio::fs::OpenOptions::new().create(true).append(true).open(path).await?;
        file.write_all(&line).await?;
        file.sync_data().await
    };
    written.await.map_err(|error| {
        CallError::new(codes::NOTIFY, format!("cannot write `{}`", path.display())).because(error)
    })
}
