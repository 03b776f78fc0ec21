//! A notification as an e-mail, and the server address it goes to. No IO: the conversation is in `client.rs`.

use aegis_engine::{CallError, codes};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message as Mail};
use url::Url;

use super::message::{Message, Severity};

/// How the connection is made secure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    /// TLS from the first byte (`smtps://`, RFC 8314).
    Implicit,
    /// STARTTLS before anything else, or no conversation (`smtp://`).
    StartTls,
    /// None; loopback only (`smtp+plain://`).
    Plain,
}

/// The server of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
}

impl Server {
    pub(super) fn parse(channel: &str, text: &str) -> Result<Self, CallError> {
        let wrong = |what: &str| {
            CallError::new(codes::CONFIG, format!("the server of channel `{channel}` {what}")).hint(
                "write `smtps://HOST:465`, `smtp://HOST:587`, or on loopback `smtp+plain://127.0.0.1:25`",
            )
        };
        let url = Url::parse(text).map_err(|error| wrong("is not a URL").because(error))?;
        let (security, port) = match url.scheme() {
            "smtps" => (Security::Implicit, 465),
            "smtp" => (Security::StartTls, 587),
            "smtp+plain" => (Security::Plain, 25),
            _ => return Err(wrong("has an unknown scheme")),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("names no host"))?;
        if security == Security::Plain && !is_loopback(host) {
            return Err(wrong("must be secure: plain SMTP is for loopback only"));
        }
        Ok(Self { host: host.to_owned(), port: url.port().unwrap_or(port), security })
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

/// The mail. Its `Message-ID` is made from the notification's id, so that a repeat is recognisable.
pub(super) fn mail(message: &Message, from: &str, to: &[String]) -> Result<Mail, CallError> {
    let sender = mailbox(&message.channel, from)?;
    let mut builder = Mail::builder()
        .message_id(Some(format!("<{}@{}>", message.id, sender.email.domain())))
        .date(message.sent_at.into())
        .from(sender)
        .subject(subject(message))
        .raw_header(raw("Auto-Submitted", "auto-generated"))
        .header(ContentType::TEXT_PLAIN);
    for address in to {
        builder = builder.to(mailbox(&message.channel, address)?);
    }
    builder.body(body(message)).map_err(|error| {
        CallError::new(codes::CONFIG, format!("channel `{}` makes no complete e-mail", message.channel))
            .because(error)
    })
}

fn mailbox(channel: &str, text: &str) -> Result<Mailbox, CallError> {
    text.parse().map_err(|error| {
        CallError::new(codes::CONFIG, format!("`{text}` in channel `{channel}` is not an e-mail address"))
            .because(error)
    })
}

fn raw(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn subject(message: &Message) -> String {
    let headline = message.headline();
    match message.severity {
        Severity::Info => headline.to_owned(),
        severity => format!("[{}] {headline}", severity.word().to_uppercase()),
    }
}

fn body(message: &Message) -> String {
    let mut parts = vec![message.message.clone()];
    let fields: Vec<String> =
        message.shown_fields().map(|(name, value)| format!("{name}: {value}")).collect();
    parts.extend((!fields.is_empty()).then(|| fields.join("\n")));
    parts.extend(message.link.clone());
    parts.push(format!("-- \n{}", message.origin()));
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_secure_or_on_this_machine() {
        let parse = |text| Server::parse("mail", text);
        let server = |host: &str, port, security| Server { host: host.to_owned(), port, security };
        assert_eq!(parse("smtps://mx.example.com"), Ok(server("mx.example.com", 465, Security::Implicit)));
        assert_eq!(
            parse("smtp://mx.example.com:2525"),
            Ok(server("mx.example.com", 2525, Security::StartTls))
        );
        assert_eq!(parse("smtp+plain://127.0.0.1:1025"), Ok(server("127.0.0.1", 1025, Security::Plain)));
        let refused = parse("smtp+plain://mx.example.com").unwrap_err();
        assert_eq!(
            refused.message,
            "the server of channel `mail` must be secure: plain SMTP is for loopback only"
        );
        assert!(parse("https://mx.example.com").is_err() && parse("mx.example.com").is_err());
    }
}
